"""A PC of fakes around the BIOS: registers without a CPU, memory, and chips that only remember what was written."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.core.memory import AddressSpace, Memory, Region
from minivm.devices.i440fx import I440Fx
from minivm.devices.pci_host import PciHost
from minivm.devices.piix3 import Piix3, Piix3Ide
from minivm.devices.piix4_pm import Piix4Pm
from minivm.devices.vga_pci import VgaPci
from minivm.engine.cpustate import CS, DS, ES, SS, CpuHead, Registers
from minivm.errors import ImageError
from minivm.firmware import services
from minivm.firmware.bios import TRAP_PORT, Bios

STACK_SEGMENT, STACK_POINTER = 0x9000, 0x1000


@dataclass(frozen=True)
class FakeGeometry:
    cylinders: int
    heads: int
    sectors_per_track: int


class FakeDisk:
    """A disk in a bytearray; each sector is filled with its own number."""

    def __init__(self, sectors: int, geometry: FakeGeometry, read_only: bool = False) -> None:
        self.sectors = sectors
        self.geometry = geometry
        self.read_only = read_only
        self.broken = False
        self.reads: list[tuple[int, int]] = []
        self.data = bytearray(b"".join(bytes([number & 0xFF]) * 512 for number in range(min(sectors, 4096))))

    def read(self, lba: int, count: int) -> bytes:
        if self.broken:
            raise ImageError("the disk is broken")
        self.reads.append((lba, count))
        return bytes(self.data[lba * 512 : (lba + count) * 512]).ljust(count * 512, b"\0")

    def write(self, lba: int, data: bytes) -> None:
        self.data[lba * 512 : lba * 512 + len(data)] = data


class FakeChip:
    """Remembers writes in order; reads what was written last, or what `reads` says."""

    def __init__(self, initial: int = 0) -> None:
        self.writes: list[tuple[int, int]] = []
        self.values: dict[int, int] = {}
        self.reads: dict[int, Callable[[], int]] = {}
        self.initial = initial

    def read(self, offset: int, size: int) -> int:
        if offset in self.reads:
            return self.reads[offset]()
        return self.values.get(offset, self.initial)

    def write(self, offset: int, size: int, value: int) -> None:
        self.writes.append((offset, value))
        self.values[offset] = value


class FakeCmos:
    """An index register and 128 bytes."""

    def __init__(self) -> None:
        self.memory = bytearray(128)
        self.index = 0

    def read(self, offset: int, size: int) -> int:
        return self.memory[self.index] if offset else 0xFF

    def write(self, offset: int, size: int, value: int) -> None:
        if offset:
            self.memory[self.index] = value
        else:
            self.index = value & 0x7F


class FakeVga:
    """The register files of a VGA at 3C0h-3DFh, without a picture."""

    def __init__(self) -> None:
        self.crtc = bytearray(32)
        self.attribute = bytearray(32)
        self.sequencer = bytearray(8)
        self.graphics = bytearray(16)
        self.dac = bytearray(768)
        self.mask = 0xFF
        self.screen_on = False
        self._index = {0x04: 0, 0x0E: 0, 0x14: 0}
        self._attribute_index = 0
        self._expects_value = False
        self._dac_write = self._dac_read = 0

    def _file(self, offset: int) -> bytearray:
        return {0x04: self.sequencer, 0x0E: self.graphics, 0x14: self.crtc}[offset]

    def read(self, offset: int, size: int) -> int:
        match offset:
            case 0x1A:
                self._expects_value = False
                return 0
            case 0x01:
                return self.attribute[self._attribute_index]
            case 0x06:
                return self.mask
            case 0x09:
                self._dac_read += 1
                return self.dac[(self._dac_read - 1) % 768]
            case 0x05 | 0x0F | 0x15:
                return self._file(offset - 1)[self._index[offset - 1]]
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        match offset:
            case 0x00 if self._expects_value:
                self.attribute[self._attribute_index] = value
                self._expects_value = False
            case 0x00:
                self._attribute_index, self.screen_on = value & 0x1F, bool(value & 0x20)
                self._expects_value = True
            case 0x04 | 0x0E | 0x14:
                self._index[offset] = value & 0x1F if offset == 0x14 else value & 7 if offset == 4 else value & 15
            case 0x05 | 0x0F | 0x15:
                self._file(offset - 1)[self._index[offset - 1]] = value
            case 0x06:
                self.mask = value
            case 0x07:
                self._dac_read = value * 3
            case 0x08:
                self._dac_write = value * 3
            case 0x09:
                self.dac[self._dac_write % 768] = value
                self._dac_write += 1


@dataclass
class FakePc:
    """The BIOS among fakes. `interrupt` does what INT and the ROM's stub do."""

    memory: Memory
    space: AddressSpace
    ports: Bus
    clock: Clock
    cpu: Registers
    cmos: FakeCmos
    vga: FakeVga
    pic1: FakeChip
    pic2: FakeChip
    pit: FakeChip
    keyboard_controller: FakeChip
    system_control: FakeChip
    uart: FakeChip
    floppy: FakeDisk
    disk: FakeDisk
    trace: list[str]
    bios: Bios = field(init=False)
    answer: bool = False
    flags: int = 0
    time_slot: int = 0

    def set_segment(self, index: int, selector: int) -> None:
        segment = self.cpu.head.segs[index]
        segment.selector, segment.base = selector, selector << 4

    def interrupt(self, number: int, *, es: int | None = None, ds: int | None = None, **registers: int) -> Registers:
        """Call service `number` with these registers; afterwards `flags` is the image and `answer` the ROM's carry."""
        for name, value in registers.items():
            setattr(self.cpu, name, value)
        self.set_segment(CS, 0xF000)
        self.set_segment(SS, STACK_SEGMENT)
        if es is not None:
            self.set_segment(ES, es)
        if ds is not None:
            self.set_segment(DS, ds)
        deeper = 2 if number in (0x14, services.UNHANDLED) else 0
        place = (STACK_SEGMENT << 4) + STACK_POINTER
        frame = [number, *([self.time_slot] if deeper else []), 0x1234, 0x5678, self.flags | 0x202]
        for index, word in enumerate(frame):
            self.space.store(place + 2 * index, 2, word)
        self.cpu.sp = STACK_POINTER
        self.ports.write(TRAP_PORT, 1, 0)
        self.answer = bool(self.space.load(place, 2))
        self.flags = self.space.load(place + 6 + deeper, 2)
        self.time_slot = self.space.load(place + 2, 2) if deeper else 0
        return self.cpu

    def attach(self, cylinders: int, heads: int, sectors_per_track: int) -> FakeDisk:
        """Make a hard disk of that geometry drive 80h, and return it."""
        disk = FakeDisk(cylinders * heads * sectors_per_track, FakeGeometry(cylinders, heads, sectors_per_track))
        self.bios.drives.disks = [disk]
        return disk

    @property
    def carry(self) -> bool:
        return bool(self.flags & 0x01)

    @property
    def zero(self) -> bool:
        return bool(self.flags & 0x40)

    @property
    def bda(self) -> bytes:
        return self.memory.read(0x400, 0x100)

    def row(self, number: int, columns: int = 80, page: int = 0) -> str:
        start = 0xB8000 + page * 0x1000 + number * columns * 2
        return self.memory.read(start, columns * 2)[::2].decode("cp437")

    def type(self, *codes: int) -> list[int]:
        """Send scan codes through INT 09h; return what was left to do after each."""
        return [self.interrupt(0x09, ax=code).ah for code in codes]


def make_pc(memory_bytes: int = 32 << 20) -> FakePc:
    memory = Memory(memory_bytes)
    regions = [
        Region(0, 0xC0000, True), Region(0xF0000, 0x10000, False), Region(0x100000, memory_bytes - 0x100000, True),
    ]  # fmt: skip
    space = AddressSpace(memory, Bus("memory", 1 << 32), regions)
    pc = FakePc(
        memory, space, Bus("port", 0x1_0000), Clock(), Registers(CpuHead()), FakeCmos(), FakeVga(), FakeChip(),
        FakeChip(0xFF), FakeChip(), FakeChip(), FakeChip(), FakeChip(), FakeDisk(2880, FakeGeometry(80, 2, 18)),
        FakeDisk(2048, FakeGeometry(2, 16, 63)), [],
    )  # fmt: skip
    for base, length, chip, name in (
        (0x20, 2, pc.pic1, "pic1"), (0xA0, 2, pc.pic2, "pic2"), (0x40, 4, pc.pit, "pit"), (0x70, 2, pc.cmos, "cmos"),
        (0x60, 1, pc.keyboard_controller, "8042 data"), (0x64, 1, pc.keyboard_controller, "8042"),
        (0x92, 1, pc.system_control, "system control"), (0x3C0, 0x20, pc.vga, "vga"), (0x3F8, 8, pc.uart, "uart"),
    ):  # fmt: skip
        pc.ports.map(base, length, chip, name=name)
    pc.bios = Bios(cpu=pc.cpu, space=space, ports=pc.ports, clock=pc.clock, floppies=[pc.floppy], disks=[pc.disk],
                   trace=pc.trace.append)  # fmt: skip
    pc.ports.map(TRAP_PORT, 1, pc.bios.trap, name="bios")
    pc.bios.load_rom()
    pc.bios.post()
    return pc


@pytest.fixture
def pc() -> FakePc:
    """A PC after POST, with a 1.44 MB diskette and a hard disk."""
    return make_pc()


@pytest.fixture
def make_disk() -> Callable[..., FakeDisk]:
    """Return a function that makes a disk of so many sectors, each filled with its number's low byte."""

    def make(sectors: int, *, read_only: bool = False, data: bytes = b"") -> FakeDisk:
        disk = FakeDisk(sectors, FakeGeometry(max(1, sectors // 1008), 16, 63), read_only)
        disk.data[: len(data)] = data
        return disk

    return make


class Pci(PciHost):
    """The machine's own PCI chips; `windows` are where the bus master, the video memory and the PM block answer."""

    def __init__(self, pc: FakePc) -> None:
        self.windows: list[int | None] = [None] * 3
        self.power = Piix4Pm(pc.clock, sci=Wire(_nothing), power_off=_nothing, on_move=lambda at: self._move(2, at))
        functions = {
            (0, 0): I440Fx(pam=_nothing),
            (1, 0): Piix3(),
            (1, 1): Piix3Ide(on_move=lambda index, at: self._move(0, at)),
            (1, 3): self.power,
            (2, 0): VgaPci(on_move=lambda index, at: index or self._move(1, at)),
        }
        super().__init__({place: chip.config for place, chip in functions.items()})

    def _move(self, window: int, base: int | None) -> None:
        self.windows[window] = base


def _nothing(*anything: object) -> None:
    """Hear it and do nothing."""


@pytest.fixture
def plug_pci() -> Callable[[FakePc], Pci]:
    """Return a function that plugs PCI into a PC and runs POST again."""

    def plug(pc: FakePc) -> Pci:
        host = Pci(pc)
        for base, length, chip in (
            (0xCF8, 4, host.address), (0xCFC, 4, host.data), (0x4D0, 2, pc.pit), (0x600, 64, host.power.ports),
        ):  # fmt: skip
            pc.ports.map(base, length, chip, width=4)
        pc.bios.post()
        return host

    return plug
