"""A text screen as it can be seen: characters, attributes, cursor and colours at one moment."""

from minivm.core import cp437
from minivm.core.record import record

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255 each."""


@record
class Cell:
    """One character position: its glyph, the palette numbers of its two colours, and how it is shown."""

    glyph: str
    foreground: int
    background: int
    blinks: bool
    underlined: bool


@record
class TextScreen:
    """What a text mode shows: `rows` x `columns` cells in row-major order.

    `characters` are code page 437, `attributes` one byte each (foreground in bits 0-3, background in bits 4-6, bit 7
    blinks when `blink_enabled` and brightens the background otherwise). The cursor fills the scan lines `cursor_start`
    to `cursor_end` of a cell `cell_height` lines high; where it is not visible its place means nothing.
    """

    columns: int
    rows: int
    characters: bytes
    attributes: bytes
    cursor_column: int
    cursor_row: int
    cursor_visible: bool
    cursor_start: int
    cursor_end: int
    cell_height: int
    blink_enabled: bool
    palette: tuple[Colour, ...]
    """The 16 colours an attribute can name."""
    underline_line: int | None = None
    """The scan line on which attributes with a foreground of 1 in their low three bits are underlined; None: none."""

    def row(self, number: int) -> str:
        """Return row `number`, 0 at the top, without trailing blanks; raises `IndexError` outside the screen."""
        if not 0 <= number < self.rows:
            raise IndexError(f"row {number} of a screen with {self.rows}")
        start = number * self.columns
        return cp437.decode(self.characters[start : start + self.columns]).rstrip()

    def lines(self) -> list[str]:
        """Return all rows without their trailing blanks, as many as the screen has."""
        return [self.row(number) for number in range(self.rows)]

    def text(self) -> str:
        """Return the rows joined by newlines, each stripped at its right end, without the empty rows at the bottom."""
        return "\n".join(self.lines()).rstrip("\n")

    def padded_text(self) -> str:
        """Return all rows in their full width, joined by newlines."""
        text = cp437.decode(self.characters)
        return "\n".join(text[start : start + self.columns] for start in range(0, len(text), self.columns))

    def cell(self, row: int, column: int) -> Cell:
        """Return one cell, taken apart; raises `IndexError` outside the screen."""
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            raise IndexError(f"cell {row},{column} of a screen {self.rows} x {self.columns}")
        place = row * self.columns + column
        attribute = self.attributes[place]
        return Cell(
            glyph=cp437.GLYPHS[self.characters[place]],
            foreground=attribute & 0x0F,
            background=attribute >> 4 & (0x07 if self.blink_enabled else 0x0F),
            blinks=self.blink_enabled and attribute & 0x80 != 0,
            underlined=self.underline_line is not None and attribute & 0x07 == 1,
        )

    def __contains__(self, wanted: str) -> bool:
        """True when `wanted` stands in `text()`; a newline in it matches the end of a row."""
        return wanted in self.text()
