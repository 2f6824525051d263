"""The VBE registers of the Bochs graphics card: an index at port 1CEh, data at 1CFh, 16 bits each.

Bochs, "VBE display interface"; QEMU, docs/specs/standard-vga. They turn the VGA into a card with modes of any size and
16 MiB of memory in one piece; switched off, it is a VGA again.
"""

from minivm.core.record import record
from minivm.firmware.services import Board

INDEX_PORT, DATA_PORT = 0x1CE, 0x1CF
IDENTIFICATION, WIDTH, HEIGHT, BITS, ENABLE, BANK = range(6)
VIRTUAL_WIDTH, VIRTUAL_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY_64K = range(6, 11)
ENABLED, DAC_8_BITS, LINEAR, KEEP_MEMORY = 0x01, 0x20, 0x40, 0x80  # bits of ENABLE


def read(board: Board, index: int) -> int:
    """Read a register."""
    board.ports.write(INDEX_PORT, 2, index)
    return board.ports.read(DATA_PORT, 2)


def write(board: Board, index: int, value: int) -> None:
    """Write a register."""
    board.ports.write(INDEX_PORT, 2, index)
    board.ports.write(DATA_PORT, 2, value & 0xFFFF)


def there(board: Board) -> bool:
    """Tell whether the card has these registers: the version is B0C0h to B0CFh."""
    return read(board, IDENTIFICATION) & 0xFFF0 == 0xB0C0


@record
class Shape:
    """What the card shows: its size and a pixel's bits, the width of its lines in pixels, and `flags` of ENABLE."""

    width: int
    height: int
    bits: int
    virtual_width: int
    flags: int

    @property
    def pixel_bytes(self) -> int:
        """How many bytes a pixel takes."""
        return (self.bits + 7) // 8

    @property
    def line_bytes(self) -> int:
        """How far apart in memory two lines begin."""
        return self.virtual_width * self.pixel_bytes


def shape(board: Board) -> Shape | None:
    """Return what the card shows, None while it is a VGA or never was more."""
    if not there(board) or not read(board, ENABLE) & ENABLED:
        return None
    width, height, bits, flags = (read(board, index) for index in (WIDTH, HEIGHT, BITS, ENABLE))
    return Shape(width, height, bits, max(read(board, VIRTUAL_WIDTH), width), flags)


def switch_off(board: Board) -> None:
    """Make the card a VGA again."""
    if there(board) and read(board, ENABLE) & ENABLED:
        write(board, ENABLE, 0)
