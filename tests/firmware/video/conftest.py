"""The BIOS with the real graphics card, on a PCI bus or only behind its window, and no CPU."""

import pytest

from minivm.core.aperture import TEXT, TRAPPED, Aperture
from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import AddressSpace, Memory, Region
from minivm.devices.vga.card import Vga
from minivm.engine.cpustate import CS, ES, SS, CpuHead, Registers
from minivm.firmware.bios import TRAP_PORT, Bios

FRAMEBUFFER = 0xE000_0000
CARD_BYTES = 16 << 20
STACK_SEGMENT, STACK_POINTER = 0x9000, 0x1000


class FakePci:
    """Configuration mechanism 1 with one function, a VGA at device 2 whose memory answers at `base`."""

    def __init__(self, base: int) -> None:
        self.registers = {0x00: 0x1111_1234, 0x04: 0x0000_0003, 0x08: 0x0300_0002, 0x10: base | 8}
        self.address = 0

    def read(self, offset: int, size: int) -> int:
        if offset == 0:
            return self.address
        return self.registers.get(self.address & 0xFC, 0) if self.address >> 8 == 0x80_0010 else 0xFFFF_FFFF

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self.address = value


class VideoPc:
    """Registers without a CPU, memory, the card and the BIOS; `interrupt` does what INT and the ROM's stub do."""

    def __init__(self, flat: bool) -> None:
        self.flat = flat
        self.memory = Memory(2 << 20, CARD_BYTES)
        regions = [Region(0, 0xC0000, True), Region(0xF0000, 0x10000, False), Region(0x100000, 0x100000, True)]
        self.space = AddressSpace(self.memory, Bus("memory", 1 << 32), regions)
        self.ports, self.clock, self.cpu = Bus("port", 0x1_0000), Clock(), Registers(CpuHead())
        self.trace: list[str] = []
        view = self.memory.view
        self.card = Vga(self.clock, memory=view[self.memory.size :], text=view[0xA0000:0xC0000], show=self._show)
        self.ports.map(0x3B0, 0x30, self.card, name="vga")
        self.ports.map(0x1CE, 4, self.card.vbe, width=2, name="vbe")
        self.space.mmio.map(0xA0000, 0x20000, self.card.window, width=4, name="window")
        if flat:
            self.pci = FakePci(FRAMEBUFFER)
            self.ports.map(0xCF8, 8, self.pci, width=4, name="pci")
            self.space.show(Region(FRAMEBUFFER, CARD_BYTES, True, self.memory.size - FRAMEBUFFER))
        self.bios = Bios(
            cpu=self.cpu, space=self.space, ports=self.ports, clock=self.clock, trace=self.trace.append
        )  # fmt: skip
        self.ports.map(TRAP_PORT, 1, self.bios.trap, name="bios")
        self.bios.load_rom()
        self.bios.post()

    def _show(self, aperture: Aperture) -> None:
        self.space.hide(0xA0000, 0x20000)
        if aperture.kind != TRAPPED:
            shift = 0 if aperture.kind == TEXT else self.memory.size + aperture.offset - aperture.base
            self.space.show(Region(aperture.base, aperture.length, True, shift))

    def interrupt(self, number: int, *, es: int = 0, **registers: int) -> Registers:
        """Call service `number` with these registers."""
        for name, value in registers.items():
            setattr(self.cpu, name, value)
        for index, selector in ((CS, 0xF000), (SS, STACK_SEGMENT), (ES, es)):
            segment = self.cpu.head.segs[index]
            segment.selector, segment.base = selector, selector << 4
        place = (STACK_SEGMENT << 4) + STACK_POINTER
        for index, word in enumerate((number, 0x1234, 0x5678, 0x202)):
            self.space.store(place + 2 * index, 2, word)
        self.cpu.sp = STACK_POINTER
        self.ports.write(TRAP_PORT, 1, 0)
        return self.cpu

    def video(self, ax: int, **registers: int) -> Registers:
        """Call INT 10h."""
        return self.interrupt(0x10, ax=ax, **registers)

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        """Return what a monitor shows at a place of the picture, in the DAC's six bits."""
        picture = self.card.picture()
        at = 3 * (y * picture.width + x)
        red, green, blue = (level >> 2 for level in picture.rgb[at : at + 3])
        return red, green, blue


@pytest.fixture(params=["flat", "window"])
def pc(request: pytest.FixtureRequest) -> VideoPc:
    """A PC after POST with its card on the PCI bus, and one whose card has only its window at A0000h."""
    return VideoPc(flat=request.param == "flat")


@pytest.fixture
def flat_pc() -> VideoPc:
    """A PC after POST with its card on the PCI bus."""
    return VideoPc(flat=True)
