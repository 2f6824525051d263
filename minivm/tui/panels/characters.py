"""A text screen in a panel: its rows as Rich's segments, and what of it changes, blinks and fits."""

import re
from collections.abc import Iterator
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from minivm.core import cp437
from minivm.core.screen import TextScreen

_RUN = re.compile(rb"(.)\1*", re.DOTALL)


def first_shown(length: int, room: int, cursor: int) -> int:
    """Return the first row or column to show: in the middle, or so that the cursor is seen where not all fits."""
    if length <= room:
        return -((room - length) // 2)
    return max(0, min(cursor - room + 2, length - room))


def shape(screen: TextScreen) -> tuple[object, ...]:
    """Return what must be the same for rows to be drawn one by one."""
    return screen.columns, screen.rows, screen.palette, screen.blink_enabled


def changed_rows(old: TextScreen, new: TextScreen) -> set[int]:
    """Return the rows in which two screens of one shape differ, and those of their cursors."""
    width = new.columns
    rows = {
        row
        for row, start in enumerate(range(0, len(new.characters), width))
        if old.characters[start : start + width] != new.characters[start : start + width]
        or old.attributes[start : start + width] != new.attributes[start : start + width]
    }
    return rows | {old.cursor_row, new.cursor_row}


def blinking_rows(screen: TextScreen) -> frozenset[int]:
    """Return the rows with the cursor or with cells that blink."""
    width = screen.columns
    rows = {screen.cursor_row} if screen.cursor_visible else set()
    if screen.blink_enabled and any(attribute & 0x80 for attribute in screen.attributes):
        rows |= {place // width for place, attribute in enumerate(screen.attributes) if attribute & 0x80}
    return frozenset(rows)


def segments(screen: TextScreen, row: int, columns: range, *, cursor: bool, blink_on: bool) -> list[Segment]:
    """Return one row as runs of one style."""
    start = row * screen.columns
    span = slice(start + columns.start, start + columns.stop)
    text = cp437.decode(screen.characters[span])
    found: list[Segment] = []
    for first, end in _runs(screen.attributes[span], screen.cursor_column - columns.start if cursor else None):
        cell = screen.cell(row, columns.start + first)
        at_cursor = cursor and columns.start + first == screen.cursor_column
        style = _style(screen.palette[cell.foreground], screen.palette[cell.background], cell.underlined, at_cursor)
        found.append(Segment(" " * (end - first) if cell.blinks and not blink_on else text[first:end], style))
    return found


def _runs(attributes: bytes, cursor: int | None) -> Iterator[tuple[int, int]]:
    """Yield where runs of one attribute begin and end; the cursor's column is a run of its own."""
    for match in _RUN.finditer(attributes):
        first, end = match.span()
        if cursor is not None and first <= cursor < end:
            pieces = (first, cursor), (cursor, cursor + 1), (cursor + 1, end)
            yield from (piece for piece in pieces if piece[0] < piece[1])
        else:
            yield first, end


@lru_cache(maxsize=1024)
def _style(foreground: tuple[int, int, int], background: tuple[int, int, int], underlined: bool, cursor: bool) -> Style:
    front, back = (background, foreground) if cursor else (foreground, background)
    return Style(color=Color.from_rgb(*front), bgcolor=Color.from_rgb(*back), underline=underlined)
