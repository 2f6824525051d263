"""What a ROM routine and its service in Python say to each other.

The ROM pushes a service number and writes to the trap port; the service gets a `Call`. The numbers up to FFh are those
of the interrupts. rom.asm holds the same ones, and a test compares the two.
"""

from collections.abc import Callable

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import AddressSpace
from minivm.core.record import record
from minivm.engine.cpustate import CF, DS, ES, HF_SS32, ZF, Registers
from minivm.firmware.bda import BiosDataArea
from minivm.firmware.ebda import ExtendedDataArea

ROM_SEGMENT = 0xF000
ROM_BASE = 0xF0000
TRAP_PORT = 0xB2

POST = 0x100
KERNEL = 0x101
BOOT_CANDIDATE = 0x102
WAIT_OVER = 0x103
PAUSED = 0x104
RTC_INTERRUPT = 0x105
UNHANDLED = 0x106
VBE_WINDOW = 0x110
VIDEO_START = 0x111
POINTING = 0x112
POINTING_DONE = 0x113
BOOT_CD = 0x107

CMOS_INDEX, CMOS_DATA = 0x70, 0x71


@record
class Board:
    """What the services work with: memory, ports, time, the data areas, and where to report."""

    space: AddressSpace
    ports: Bus
    clock: Clock
    bda: BiosDataArea
    ebda: ExtendedDataArea
    trace: Callable[[str], None]

    def out(self, port: int, value: int) -> None:
        """Write a byte to a port, as the ROM's own OUT would."""
        self.ports.write(port, 1, value & 0xFF)

    def cmos(self, index: int) -> int:
        """Read a byte of the CMOS chip; NMI stays enabled."""
        self.out(CMOS_INDEX, index)
        return self.ports.read(CMOS_DATA, 1)

    def set_cmos(self, index: int, value: int) -> None:
        """Write a byte of the CMOS chip."""
        self.out(CMOS_INDEX, index)
        self.out(CMOS_DATA, value)

    def load(self, segment: int, offset: int, size: int = 1) -> int:
        """Read at segment:offset; a byte past offset FFFFh comes from the segment's start."""
        return int.from_bytes(self.load_bytes(segment, offset, size), "little")

    def load_bytes(self, segment: int, offset: int, length: int) -> bytes:
        """Read `length` bytes at segment:offset, wrapping inside the segment."""
        offset &= 0xFFFF
        first = min(length, 0x1_0000 - offset)
        data = self.space.load_bytes((segment << 4) + offset, first)
        return data if first == length else data + self.load_bytes(segment, 0, length - first)

    def store(self, segment: int, offset: int, size: int, value: int) -> None:
        """Write a number at segment:offset, wrapping inside the segment."""
        self.store_bytes(segment, offset, (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little"))

    def store_bytes(self, segment: int, offset: int, data: bytes) -> None:
        """Write bytes at segment:offset, wrapping inside the segment."""
        offset &= 0xFFFF
        first = min(len(data), 0x1_0000 - offset)
        self.space.store_bytes((segment << 4) + offset, data[:first])
        if first < len(data):
            self.store_bytes(segment, 0, data[first:])


class Call:
    """One call of a service: the caller's registers, and the interrupt frame to which the ROM will return.

    A port write must not touch the live flags or the instruction pointer, so the flags go into the frame's image, from
    where IRET takes them. `frame` is how many bytes above the service number the frame begins. `answer` is what ASK in
    rom.asm makes its carry of.
    """

    def __init__(self, cpu: Registers, board: Board, frame: int = 2) -> None:
        self.cpu = cpu
        self.board = board
        self.answer = False
        self._frame = frame
        self._stack_mask = 0xFFFF_FFFF if cpu.head.hflags & HF_SS32 else 0xFFFF

    def stack(self, offset: int) -> int:
        """Read the word `offset` bytes above the service number."""
        return self.board.space.load(self._stack_address(offset), 2)

    def set_stack(self, offset: int, value: int) -> None:
        """Write the word `offset` bytes above the service number."""
        self.board.space.store(self._stack_address(offset), 2, value & 0xFFFF)

    @property
    def flags(self) -> int:
        """The caller's FLAGS, as IRET will load them."""
        return self.stack(self._frame + 4)

    @property
    def carry(self) -> bool:
        """The caller's carry flag: in most services, "it failed"."""
        return bool(self.flags & CF)

    @carry.setter
    def carry(self, value: bool) -> None:
        self._set_flag(CF, value)

    @property
    def zero(self) -> bool:
        """The caller's zero flag: in INT 16h, "no key"."""
        return bool(self.flags & ZF)

    @zero.setter
    def zero(self, value: bool) -> None:
        self._set_flag(ZF, value)

    def set_es(self, selector: int) -> None:
        """Load ES as real mode does."""
        self._set_segment(ES, selector)

    def set_ds(self, selector: int) -> None:
        """Load DS as real mode does."""
        self._set_segment(DS, selector)

    def unknown(self, what: str) -> None:
        """Report a function that this BIOS does not have."""
        self.board.trace(f"bios: {what} AX={self.cpu.ax:04X}h BX={self.cpu.bx:04X}h is not there")

    def _set_flag(self, mask: int, value: bool) -> None:
        flags = self.flags
        self.set_stack(self._frame + 4, flags | mask if value else flags & ~mask)

    def _set_segment(self, index: int, selector: int) -> None:
        segment = self.cpu.head.segs[index]
        segment.selector = selector & 0xFFFF
        segment.base = (selector & 0xFFFF) << 4

    def _stack_address(self, offset: int) -> int:
        return int(self.cpu.ss_base) + ((self.cpu.esp + offset) & self._stack_mask)


Handler = Callable[[Call], None]


def bcd(value: int) -> int:
    """Return 0-99 in binary-coded decimal, as the RTC and INT 1Ah have it."""
    return value // 10 << 4 | value % 10


def from_bcd(value: int) -> int:
    """Return the number that a binary-coded decimal byte means."""
    return (value >> 4) * 10 + (value & 0x0F)
