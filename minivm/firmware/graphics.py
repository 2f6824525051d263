"""Characters and pixels in graphics modes.

A glyph comes from where INT 43h points; in modes 4 to 6 characters from 80h on come from INT 1Fh, as on a CGA.
"""

from minivm.core.vga_modes import CGA, MODE_REGISTERS, PLANAR
from minivm.firmware import dispi
from minivm.firmware.pixels import Cga, Direct, Layout, Mode13, Planar
from minivm.firmware.services import Board
from minivm.firmware.text import Place, Window
from minivm.firmware.video_memory import VideoMemory

FONT_VECTOR, UPPER_FONT_VECTOR = 0x43, 0x1F
EXCLUSIVE_OR = 0x80
LARGEST_HEIGHT = 32


def layout(board: Board, page: int) -> Layout | None:
    """Return how pixels lie in memory in the mode in force, None in a text mode."""
    mode = board.bda.video_mode
    registers = MODE_REGISTERS.get(mode)
    if registers is None:
        shape = dispi.shape(board)
        return None if shape is None or shape.bits < 8 else Direct(VideoMemory(board), shape)
    if registers.layout == PLANAR:
        lines = registers.rows * registers.character_height
        start = (page & 7) * board.bda.page_bytes
        return Planar(VideoMemory(board), start=start, lines=lines, columns=registers.columns)
    if registers.layout == CGA:
        return Cga(board.space, bits=registers.bits)
    return Mode13(board.space) if registers.bits == 8 else None


class Graphics:
    """The screen of a graphics mode as cells of one glyph each."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._bda = board.bda

    @property
    def height(self) -> int:
        """How many lines a character has."""
        return min(max(self._bda.character_height, 1), LARGEST_HEIGHT)

    def read(self, place: Place) -> int:
        """Return the character whose glyph stands in a cell, and above it its colour; 0 when there is none such."""
        page, column, row = place
        picture = layout(self._board, page)
        if picture is None or column >= picture.columns:
            return 0
        cell = [picture.load(line, column, 1) for line in self._lines(picture, row)]
        shapes = bytes(picture.shape(line) for line in cell)
        character = next((code for code in range(256) if self._glyph(code)[: len(shapes)] == shapes), 0)
        lit = next((line for line, shape in enumerate(shapes) if shape), None)
        colour = 0 if lit is None else picture.colour(cell[lit], shapes[lit].bit_length() - 1)
        return colour << 8 | character

    def write(self, place: Place, character: int, attribute: int | None, count: int = 1) -> None:
        """Draw a character `count` times through row ends in colour `attribute`; bit 7 draws by exclusive or."""
        page, column, row = place
        picture = layout(self._board, page)
        if picture is None:
            return
        colour = 7 if attribute is None else attribute
        mixing = bool(colour & EXCLUSIVE_OR) and picture.most_colours <= 16
        lines = [picture.paint(bits, colour) for bits in self._glyph(character)]
        for index in range(min(count, picture.columns * (self._bda.last_row + 1))):
            down, across = divmod(column + index, picture.columns)
            self._draw(picture, across, row + down, lines, mixing)

    def below(self, page: int) -> int:
        """Return the colour of a row that scrolls in."""
        del page
        return 0

    def scroll(self, page: int, lines: int, attribute: int, window: Window) -> None:
        """Move a window's picture up by so many rows of text (down when negative); 0 clears it."""
        left, top, right, bottom = window
        picture = layout(self._board, page)
        if picture is None:
            return
        width = min(right, picture.columns - 1) - left + 1
        first, last = top * self.height, min((bottom + 1) * self.height, picture.lines)
        distance = lines * self.height
        if lines == 0 or abs(distance) > last - first:
            distance = last - first
        blank = picture.paint(0xFF, attribute) * width
        kept = range(first, last - distance) if distance > 0 else range(last - 1, first - distance - 1, -1)
        if width > 0 and kept:
            for line in kept:
                picture.store(line, left, picture.load(line + distance, left, width))
        if width > 0:
            for line in range(last - distance, last) if distance > 0 else range(first, first - distance):
                picture.store(line, left, blank)

    # -- pixels -------------------------------------------------------------------------------------------------
    def pixel(self, page: int, x: int, y: int) -> int | None:
        """Return a pixel's colour, None off the screen or without a graphics mode."""
        picture = layout(self._board, page)
        if picture is None or x >= 8 * picture.columns or y >= picture.lines:
            return None
        return picture.colour(picture.load(y, x // 8, 1), 7 - x % 8)

    def set_pixel(self, page: int, x: int, y: int, colour: int) -> None:
        """Set a pixel; bit 7 of `colour` mixes it in by exclusive or where there are no more than 16 colours."""
        picture = layout(self._board, page)
        if picture is None or x >= 8 * picture.columns or y >= picture.lines:
            return
        old, bit = picture.load(y, x // 8, 1), 0x80 >> x % 8
        new = picture.paint(bit, colour)
        if not (colour & EXCLUSIVE_OR and picture.most_colours <= 16):
            mask = picture.paint(bit, 0xFF) if picture.most_colours <= 16 else self._mask(len(old), x % 8)
            old = bytes(byte & ~hole for byte, hole in zip(old, mask, strict=True))
        picture.store(y, x // 8, bytes(byte ^ change for byte, change in zip(old, new, strict=True)))

    @staticmethod
    def _mask(length: int, place: int) -> bytes:
        size = length // 8
        return bytes(size * place) + b"\xff" * size + bytes(size * (7 - place))

    # -- glyphs -------------------------------------------------------------------------------------------------
    def _draw(self, picture: Layout, column: int, row: int, lines: list[bytes], mixing: bool) -> None:
        for line, new in zip(self._lines(picture, row), lines, strict=False):
            old = picture.load(line, column, 1) if mixing else bytes(len(new))
            picture.store(line, column, bytes(byte ^ change for byte, change in zip(old, new, strict=True)))

    def _lines(self, picture: Layout, row: int) -> range:
        return range(min(row * self.height, picture.lines), min((row + 1) * self.height, picture.lines))

    def _glyph(self, character: int) -> bytes:
        vector, number = FONT_VECTOR, character
        if self._bda.video_mode in (4, 5, 6) and character >= 0x80:
            vector, number = UPPER_FONT_VECTOR, character - 0x80
        far = self._board.space.load(4 * vector, 4)
        return self._board.load_bytes(far >> 16, (far & 0xFFFF) + number * self.height, self.height)
