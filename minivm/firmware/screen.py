"""The screen as the BIOS writes on it: a cursor for each page, and characters in text or in graphics."""

from minivm.core.vga_modes import MODE_REGISTERS, TEXT
from minivm.firmware import vga
from minivm.firmware.graphics import Graphics
from minivm.firmware.services import Board
from minivm.firmware.text import Text, Window

BELL, BACKSPACE, LINE_FEED, RETURN = 7, 8, 10, 13


class Screen:
    """Cursor, pages and characters, all of it in video memory and the data area."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.bda = board.bda
        self.text = Text(board)
        self.graphics = Graphics(board)

    @property
    def in_text(self) -> bool:
        """True in a text mode."""
        registers = MODE_REGISTERS.get(self.bda.video_mode)
        return registers is not None and registers.layout == TEXT

    @property
    def cells(self) -> Text | Graphics:
        """What characters are made of in the mode in force."""
        return self.text if self.in_text else self.graphics

    @property
    def rows(self) -> int:
        """Lines on the screen."""
        return self.bda.last_row + 1

    def cell(self, page: int) -> int:
        """Return the cell under `page`'s cursor: attribute << 8 | character."""
        return self.cells.read((page, *self.bda.cursor(page)))

    def fill(self, page: int, character: int, attribute: int | None, count: int) -> None:
        """Write a character `count` times from the cursor on, through row ends, and leave the cursor."""
        self.cells.write((page, *self.bda.cursor(page)), character, attribute, count)

    def move_cursor(self, page: int, column: int, row: int) -> None:
        """Remember a page's cursor; on the active page of a text mode show it there, too."""
        self.bda.set_cursor(page, column, row)
        if page & 7 == self.bda.active_page and self.in_text:
            start = self.bda.page_start // 2
            vga.set_crtc_word(self.board, 0x0E, start + row * self.bda.columns + column & 0xFFFF)

    def scroll(self, page: int, lines: int, attribute: int, window: Window) -> None:
        """Move a window's content up by `lines` (down when negative); 0, or more than it has, clears it.

        What of the window lies outside the screen is cut off.
        """
        left, top, right, bottom = window
        right, bottom = min(right, self.bda.columns - 1), min(bottom, self.rows - 1)
        if left <= right and top <= bottom:
            self.cells.scroll(page, lines, attribute, (left, top, right, bottom))

    def teletype(self, page: int, character: int, attribute: int | None) -> None:
        """Write a character at the cursor and move on; BEL, BS, LF and CR do what they say, the last line scrolls."""
        column, row = self.bda.cursor(page)
        if character == BACKSPACE:
            column = max(column - 1, 0)
        elif character == RETURN:
            column = 0
        elif character == LINE_FEED:
            row += 1
        elif character != BELL:
            self.cells.write((page, column, row), character, attribute)
            column = column + 1 & 0xFF
            if column == self.bda.columns:  # a cursor set beyond the edge goes on there, as on the PC
                column, row = 0, row + 1
        if row >= self.rows:
            row = self.rows - 1
            self.scroll(page, 1, self.cells.below(page), (0, 0, self.bda.columns - 1, self.rows - 1))
        self.move_cursor(page, column, row)
