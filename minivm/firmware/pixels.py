"""How pixels lie in video memory in each kind of graphics mode, a line of eight-pixel columns at a time.

IBM PS/2 Hardware Interface Technical Reference, "Video: modes". A layout's `load` and `store` move raw bytes; `paint`
makes eight pixels of a colour from a glyph's byte, and `shape` tells which of them are not black.
"""

from typing import Protocol

from minivm.core.memory import AddressSpace
from minivm.firmware.dispi import Shape
from minivm.firmware.video_memory import PLANES, VideoMemory

CGA_BASE, CGA_BYTES, CGA_BANK_BYTES, CGA_LINE_BYTES = 0xB8000, 0x4000, 0x2000, 80
MODE_13_BASE, MODE_13_LINE_BYTES = 0xA0000, 320


class Layout(Protocol):
    """Lines of columns of eight pixels each."""

    lines: int
    columns: int
    most_colours: int

    def load(self, line: int, column: int, columns: int) -> bytes:
        """Return the bytes of `columns` columns."""

    def store(self, line: int, column: int, data: bytes) -> None:
        """Write such bytes."""

    def paint(self, bits: int, colour: int) -> bytes:
        """Return a column with `colour` where `bits` has ones, bit 7 at the left, and 0 elsewhere."""

    def shape(self, data: bytes) -> int:
        """Return ones for the pixels of a column that are not 0."""

    def colour(self, data: bytes, bit: int) -> int:
        """Return the colour of one pixel of a column, 7 the leftmost."""


class Planar:
    """Modes 0Dh-12h: each byte of a plane has one bit of eight pixels' colours."""

    def __init__(self, memory: VideoMemory, *, start: int, lines: int, columns: int) -> None:
        self._memory = memory
        self._start = start
        self.lines, self.columns = lines, columns
        self.most_colours = 16

    def load(self, line: int, column: int, columns: int) -> bytes:
        """Return the bytes of `columns` columns, those of the four planes in turn."""
        return self._memory.load_planes(self._offset(line, column), columns)

    def store(self, line: int, column: int, data: bytes) -> None:
        """Write such bytes."""
        self._memory.store_planes(self._offset(line, column), data)

    def paint(self, bits: int, colour: int) -> bytes:
        """Return a column with `colour` where `bits` has ones."""
        return bytes(bits if colour >> plane & 1 else 0 for plane in range(PLANES))

    def shape(self, data: bytes) -> int:
        """Return ones for the pixels of a column that are not 0."""
        return data[0] | data[1] | data[2] | data[3]

    def colour(self, data: bytes, bit: int) -> int:
        """Return the colour of one pixel of a column."""
        return sum((byte >> bit & 1) << plane for plane, byte in enumerate(data))

    def _offset(self, line: int, column: int) -> int:
        return (self._start + line * self.columns + column) & 0xFFFF


class Cga:
    """Modes 4 to 6: even lines in one bank, odd lines in the next; two bits a pixel, or one."""

    def __init__(self, space: AddressSpace, *, bits: int) -> None:
        self._space = space
        self._bits = bits
        self.lines, self.columns = 200, CGA_LINE_BYTES // bits
        self.most_colours = 1 << bits

    def load(self, line: int, column: int, columns: int) -> bytes:
        """Return the bytes of `columns` columns."""
        return self._space.load_bytes(self._address(line, column), columns * self._bits)

    def store(self, line: int, column: int, data: bytes) -> None:
        """Write such bytes."""
        self._space.store_bytes(self._address(line, column), data)

    def paint(self, bits: int, colour: int) -> bytes:
        """Return a column with `colour` where `bits` has ones."""
        colour &= self.most_colours - 1
        pixels = 0
        for bit in range(7, -1, -1):
            pixels = pixels << self._bits | (colour if bits >> bit & 1 else 0)
        return pixels.to_bytes(self._bits, "big")

    def shape(self, data: bytes) -> int:
        """Return ones for the pixels of a column that are not 0."""
        return sum((1 << bit) for bit in range(8) if self.colour(data, bit))

    def colour(self, data: bytes, bit: int) -> int:
        """Return the colour of one pixel of a column."""
        return int.from_bytes(data, "big") >> bit * self._bits & self.most_colours - 1

    def _address(self, line: int, column: int) -> int:
        bank = CGA_BASE + line % 2 * CGA_BANK_BYTES
        return bank + line // 2 * CGA_LINE_BYTES + column * self._bits


class Mode13:
    """Mode 13h: a byte a pixel."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self.lines, self.columns, self.most_colours = 200, 40, 256

    def load(self, line: int, column: int, columns: int) -> bytes:
        """Return the bytes of `columns` columns."""
        return self._space.load_bytes(self._address(line, column), 8 * columns)

    def store(self, line: int, column: int, data: bytes) -> None:
        """Write such bytes."""
        self._space.store_bytes(self._address(line, column), data)

    def paint(self, bits: int, colour: int) -> bytes:
        """Return a column with `colour` where `bits` has ones."""
        return bytes(colour if bits >> bit & 1 else 0 for bit in range(7, -1, -1))

    def shape(self, data: bytes) -> int:
        """Return ones for the pixels of a column that are not 0."""
        return sum(1 << bit for bit in range(8) if data[7 - bit])

    def colour(self, data: bytes, bit: int) -> int:
        """Return the colour of one pixel of a column."""
        return data[7 - bit]

    def _address(self, line: int, column: int) -> int:
        return MODE_13_BASE + line * MODE_13_LINE_BYTES + 8 * column


class Direct:
    """A mode of the VBE: one to four bytes a pixel, in one piece of memory.

    Colours are the palette's numbers; with more than 8 bits they stand for the CGA's sixteen.
    """

    def __init__(self, memory: VideoMemory, shape: Shape) -> None:
        self._memory = memory
        self._line_bytes = shape.line_bytes
        self._bytes = shape.pixel_bytes
        self._bits = shape.bits
        self.lines, self.columns, self.most_colours = shape.height, shape.width // 8, 256

    def load(self, line: int, column: int, columns: int) -> bytes:
        """Return the bytes of `columns` columns."""
        length = 8 * self._bytes * columns
        return self._memory.load(self._offset(line, column), length).ljust(length, b"\0")

    def store(self, line: int, column: int, data: bytes) -> None:
        """Write such bytes."""
        self._memory.store(self._offset(line, column), data)

    def paint(self, bits: int, colour: int) -> bytes:
        """Return a column with `colour` where `bits` has ones."""
        pixel = direct_colour(colour, self._bits).to_bytes(self._bytes, "little")
        blank = bytes(self._bytes)
        return b"".join(pixel if bits >> bit & 1 else blank for bit in range(7, -1, -1))

    def shape(self, data: bytes) -> int:
        """Return ones for the pixels of a column that are not 0."""
        return sum(1 << bit for bit in range(8) if any(self._pixel(data, bit)))

    def colour(self, data: bytes, bit: int) -> int:
        """Return the colour of one pixel of a column: its lowest byte where it has more."""
        return self._pixel(data, bit)[0]

    def _pixel(self, data: bytes, bit: int) -> bytes:
        return data[(7 - bit) * self._bytes : (8 - bit) * self._bytes]

    def _offset(self, line: int, column: int) -> int:
        return line * self._line_bytes + 8 * self._bytes * column


def direct_colour(colour: int, bits: int) -> int:
    """Return one of the CGA's 16 colours as a pixel of 15, 16, 24 or 32 bits; with 8 bits it is its own number."""
    if bits <= 8:
        return colour & 0xFF
    light = 0x55 if colour & 8 else 0
    red, green, blue = (0xAA * (colour >> bit & 1) + light for bit in (2, 1, 0))
    if colour & 0x0F == 6:
        green = 0x55
    if bits == 15:
        return red >> 3 << 10 | green >> 3 << 5 | blue >> 3
    if bits == 16:
        return red >> 3 << 11 | green >> 2 << 5 | blue >> 3
    return red << 16 | green << 8 | blue
