"""Flat binaries: bytes without a header, put at an address that the user says, and begun at their first byte."""

from minivm.config import MachineConfig
from minivm.core.memory import PAGE
from minivm.errors import ImageError
from minivm.loaders.image import Image
from minivm.loaders.layout import LOW_BOTTOM, Layout
from minivm.loaders.plan import CONVENTIONAL_END, BootPlan, Entry

_USUAL_STACK = 0x7C00


def load(image: Image, config: MachineConfig) -> BootPlan:
    """Put the image at `config.origin` and start it there in real, flat 32-bit or 64-bit mode (`config.bits`)."""
    layout = Layout(config.memory, image.name)
    code = image.read(config.memory)
    if config.bits == 16 and not LOW_BOTTOM <= config.origin <= CONVENTIONAL_END - len(code):
        raise ImageError(
            f"{image.name}: {len(code)} bytes at {config.origin:X}h do not lie in {LOW_BOTTOM:X}h-"
            f"{CONVENTIONAL_END - 1:X}h, where real mode has RAM and the BIOS has not; give another --origin"
        )
    layout.place(config.origin, code, "the flat binary")
    if config.bits == 16:
        return layout.plan("flat", _real_entry(layout, config, len(code)))
    return layout.plan("flat", layout.flat_entry(config.origin, config.bits))


def _real_entry(layout: Layout, config: MachineConfig, length: int) -> Entry:
    """Start as a boot sector would; a binary above 64 KiB sees itself from offset 0 to 15 of its own segment."""
    segment = config.origin >> 4 if config.origin >= 0x1_0000 else 0
    ss, sp = 0, _USUAL_STACK
    if config.origin < _USUAL_STACK and config.origin + length > _USUAL_STACK - PAGE:
        ss, sp = layout.reserve(PAGE, "the stack") >> 4, PAGE
    registers = (("esp", sp), ("edx", 0x80 if config.disks else 0x00))
    ip = config.origin - (segment << 4)
    return Entry("real", ip, registers, cs=segment, ds=segment, ss=ss, interrupts=True)
