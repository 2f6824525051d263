"""The PCI side of the graphics chip: where its linear framebuffer and its ROM are.

QEMU's standard VGA (1234:1111, docs/specs/standard-vga.txt in its sources) is what drivers know: window 0 is 16 MiB of
video memory. The VGA's own ports and A0000h-BFFFFh stay where they are, whatever is written here.
"""

from minivm.core.pci import (
    COMMAND,
    INTERRUPT_LINE,
    QEMU_MACHINE,
    QUMRANET,
    ROM_INDEX,
    Bar,
    ConfigSpace,
    ConfigState,
    OnMove,
)
from minivm.core.pci import header as pci_header
from minivm.core.record import record
from minivm.core.register_file import MaskedRegister

FRAMEBUFFER_BAR, FRAMEBUFFER_BYTES = 0, 16 << 20
ROM_BYTES = 64 << 10
REGISTERS = (
    MaskedRegister(COMMAND, 2, writable=0x0007),
    MaskedRegister(0x0C, 1, writable=0xFF),  # cache line size
    MaskedRegister(INTERRUPT_LINE, 1, writable=0xFF),
)


@record
class VgaPciState:
    """The configuration space."""

    config: ConfigState


class VgaPci:
    """The configuration space of the graphics chip, a `Device`; its `config` goes to the PCI host.

    `on_move(0, base)` says where the 16 MiB framebuffer is, `on_move(ROM_INDEX, base)` where the 64 KiB ROM is; None
    for nowhere. `rom=False` leaves the ROM's register out.
    """

    def __init__(self, *, on_move: OnMove | None = None, rom: bool = True) -> None:
        identity = pci_header(vendor=0x1234, device=0x1111, class_code=0x030000, revision=0x02,
                              subsystem_vendor=QUMRANET, subsystem=QEMU_MACHINE)  # fmt: skip
        bars = [Bar(FRAMEBUFFER_BAR, FRAMEBUFFER_BYTES, prefetchable=True)]
        if rom:
            bars.append(Bar(ROM_INDEX, ROM_BYTES))
        self.config = ConfigSpace((*identity, *REGISTERS), bars=bars, on_move=on_move)

    def reset(self) -> None:
        """Return to power-on: neither window answers."""
        self.config.reset()

    def state(self) -> VgaPciState:
        """Return the configuration space."""
        return VgaPciState(self.config.state())

    def restore(self, state: VgaPciState) -> None:
        """Take the configuration space back and tell where the windows are."""
        self.config.restore(state.config)
