"""Characters in text modes: cells of a character byte and an attribute byte in video memory."""

from minivm.firmware.services import Board

COLOUR_TEXT, MONO_TEXT = 0xB8000, 0xB0000
WINDOW_BYTES = 0x8000
"""Text memory is 32 KiB; a write past its end comes out at its beginning."""

Place = tuple[int, int, int]
"""Page, column, row."""
Window = tuple[int, int, int, int]
"""Left, top, right, bottom, all inside."""


class Text:
    """The cells of text modes 0-3 and 7."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._bda = board.bda

    @property
    def base(self) -> int:
        """Where text memory begins."""
        return MONO_TEXT if self._bda.video_mode == 7 else COLOUR_TEXT

    def read(self, place: Place) -> int:
        """Return a cell: attribute << 8 | character."""
        return self._board.space.load(self.address(*place), 2)

    def write(self, place: Place, character: int, attribute: int | None, count: int = 1) -> None:
        """Write `count` cells through row ends, or only their characters when `attribute` is None."""
        start = self.address(*place) - self.base
        for index in range(min(count, WINDOW_BYTES // 2)):
            address = self.base + (start + 2 * index) % WINDOW_BYTES
            if attribute is None:
                self._board.space.store(address, 1, character)
            else:
                self._board.space.store(address, 2, attribute << 8 | character)

    def below(self, page: int) -> int:
        """Return the attribute for a row that scrolls in: that of the last row's first cell."""
        return self.read((page, 0, self._bda.last_row)) >> 8

    def scroll(self, page: int, lines: int, attribute: int, window: Window) -> None:
        """Move a window's text up by `lines` (down when negative); 0, or more than it has, clears it."""
        left, top, right, bottom = window
        width = 2 * (right - left + 1)
        blank = bytes([0x20, attribute]) * (width // 2)
        if lines == 0 or abs(lines) > bottom - top + 1:
            lines = bottom - top + 1
        if width == 2 * self._bda.columns:  # whole rows lie in one piece
            self._move(self.address(page, 0, top), width * (bottom - top + 1), lines * width, blank * abs(lines))
            return
        old = [self._board.space.load_bytes(self.address(page, left, row), width) for row in range(top, bottom + 1)]
        gap = [blank] * abs(lines)
        new = old[lines:] + gap if lines > 0 else gap + old[:lines]
        for row, line in enumerate(new, start=top):
            self._board.space.store_bytes(self.address(page, left, row), line)

    def clear(self) -> None:
        """Fill all text memory with blanks, grey on black."""
        self._board.space.store_bytes(self.base, b"\x20\x07" * (WINDOW_BYTES // 2))

    def address(self, page: int, column: int, row: int) -> int:
        """Return the address of a cell."""
        offset = (page & 7) * self._bda.page_bytes + 2 * (row * self._bda.columns + column)
        return self.base + offset % WINDOW_BYTES

    def _move(self, address: int, length: int, distance: int, gap: bytes) -> None:
        """Move bytes to lower addresses by `distance` (to higher ones when negative) and fill the gap."""
        space = self._board.space
        if distance > 0:
            space.store_bytes(address, space.load_bytes(address + distance, length - distance) + gap)
        else:
            space.store_bytes(address, gap + space.load_bytes(address, length + distance))
