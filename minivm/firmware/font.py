"""MiniVM's own character shapes, from which the ROM's fonts of 8, 14 and 16 lines are made.

A person reads and edits the drawings in `font_8x8.txt` and `font_8x16.txt`, rows of # and dots. Here frames and blocks
are made by rule, because they must meet their neighbours exactly, and letters with an accent are put together. The
font of 14 lines is that of 16 without its first and last line, which only frames and blocks use.
"""

import unicodedata
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from minivm.core.cp437 import GLYPHS

WIDTH = 8
_HERE = Path(__file__).parent
_BLANK = 0

Lines = list[int]
"""A character's lines from the top, or some of them; bit 7 is the leftmost dot."""


class _Axis(NamedTuple):
    """Where the strokes of frames lie among the lines, or the columns, of a cell."""

    single: range
    """What a single stroke covers, and the gap of a double one."""
    double: range
    """What a double stroke covers, with its gap."""
    end: int
    """How many lines or columns the cell has."""

    def reach(self, kind: str, ends: tuple[str, str], crossing: tuple[str, ...]) -> set[int]:
        """Return what two opposite arms of `kind` cover: each runs from its edge over what crosses in the middle.

        A single arm stops at the near line of a double stroke that passes, unless it goes on beyond it.
        """
        middle = self.double if "2" in crossing else self.single
        stop, start = middle.stop, middle.start
        if kind == "1" and crossing == ("2", "2") and "0" in ends:
            stop, start = self.single.start, self.single.stop
        low, high = ends
        return {*range(stop if low == kind else 0)} | {*range(start if high == kind else self.end, self.end)}


_COLUMNS = _Axis(range(3, 5), range(1, 7), WIDTH)


class _Size(NamedTuple):
    """How the drawings of one height are laid out. Line numbers count from 0 at the top."""

    height: int
    first_line: int
    """Where a drawing begins that does not fill its cell."""
    small_top: int
    """The first line of small letters without a stem, such as x."""
    base: int
    """The last line of letters that stand on the base line."""
    squeezed: tuple[int, int]
    """Which lines a capital gives up for its accent, counted from its own top."""
    highest: int
    """The highest line that an accent may use: the font of 14 lacks the first of 16."""
    frame: _Axis
    """Where the level lines of frames lie."""
    marks: dict[str, tuple[str, ...]]
    """Accents by Unicode's combining characters; the cedilla's lines hang from the base line."""


_GRAVE, _ACUTE, _CIRCUMFLEX, _TILDE, _DIAERESIS, _RING, _CEDILLA = (
    "\u0300", "\u0301", "\u0302", "\u0303", "\u0308", "\u030a", "\u0327",
)  # fmt: skip
_SIZES = {
    8: _Size(8, 0, 2, 6, (2, 5), 0, _Axis(range(3, 4), range(2, 5), 8), {
        _GRAVE: ("..##....",),
        _ACUTE: ("....##..",),
        _CIRCUMFLEX: ("...##...", "..#..#.."),
        _TILDE: ("..##..#.", ".#..##.."),
        _DIAERESIS: (".##..##.",),
        _RING: ("..####..", "..#..#.."),
        _CEDILLA: ("...##...",),
    }),
    16: _Size(16, 2, 5, 11, (2, 7), 1, _Axis(range(7, 9), range(5, 11), 16), {
        _GRAVE: ("..##....", "...##..."),
        _ACUTE: ("....##..", "...##..."),
        _CIRCUMFLEX: ("..####..", ".##..##."),
        _TILDE: (".###..#.", ".#..###."),
        _DIAERESIS: (".##..##.", ".##..##."),
        _RING: ("...##...", "..#..#..", "...##..."),
        _CEDILLA: ("...##...", "....##..", "..###..."),
    }),
}  # fmt: skip

# The frames, B3h to DAh: up, right, down, left; 0 no arm, 1 a single line, 2 a double one
_ARMS = (
    "1010", "1011", "1012", "2021", "0021", "0012", "2022", "2020", "0022", "2002",
    "2001", "1002", "0011", "1100", "1101", "0111", "1110", "0101", "1111", "1210",
    "2120", "2200", "0220", "2202", "0222", "2220", "0202", "2222", "1202", "2101",
    "0212", "0121", "2100", "1200", "0210", "0120", "2121", "1212", "1001", "0110",
)  # fmt: skip
_FIRST_ARMS = 0xB3
_SHADES = {0xB0: (0x88, 0x22), 0xB1: (0xAA, 0x55), 0xB2: (0x77, 0xDD)}
"""The even and the odd lines of a quarter, a half and three quarters of the dots."""
_HALVES = {0xDB: (0xFF, 0xFF), 0xDC: (0x00, 0xFF), 0xDD: (0xF0, 0xF0), 0xDE: (0x0F, 0x0F), 0xDF: (0xFF, 0x00)}
"""The upper and the lower lines of the blocks."""


def table(height: int) -> bytes:
    """Return the font of 256 characters with 8, 14 or 16 lines each, one byte a line, bit 7 at the left."""
    return b"".join(glyph(code, height) for code in range(256))


def glyph(code: int, height: int) -> bytes:
    """Return the 8, 14 or 16 lines of a character of code page 437; raises `KeyError` if it has no drawing."""
    if height == 14:
        return glyph(code, 16)[1:-1]
    if code in _SHADES:
        return bytes(_SHADES[code]) * (height // 2)
    if code in _HALVES:
        return b"".join(bytes([line]) * (height // 2) for line in _HALVES[code])
    if 0 <= code - _FIRST_ARMS < len(_ARMS):
        return _frame_part(_ARMS[code - _FIRST_ARMS], _SIZES[height].frame)
    return bytes(_character(GLYPHS[code], _SIZES[height]))


# -- characters -------------------------------------------------------------------------------------------------
def _character(character: str, size: _Size) -> Lines:
    drawings = _drawings(size.height)
    if character == " ":
        return [_BLANK] * size.height
    if character in drawings:
        return drawings[character]
    base, mark = tuple(unicodedata.normalize("NFD", character))
    return _with_mark(base, [_line(row) for row in size.marks[mark]], size, hanging=mark == _CEDILLA)


@cache
def _drawings(height: int) -> dict[str, Lines]:
    """Read the drawings of 8 or 16 lines, each filled up to its whole cell."""
    text = (_HERE / f"font_8x{height}.txt").read_text(encoding="utf-8")
    drawings = {}
    for block in text.split("\n\n"):
        characters, *rows = [row.split() for row in block.splitlines() if not row.startswith("//")] or [[]]
        for character, drawing in zip(characters, zip(*rows, strict=True), strict=True):
            drawings[character] = _fill([_line(row) for row in drawing], _SIZES[height])
    return drawings


def _line(row: str) -> int:
    if len(row) != WIDTH or set(row) - set("#."):
        raise ValueError(f"a line of a character is {WIDTH} of # and ., not {row!r}")
    return int(row.replace("#", "1").replace(".", "0"), 2)


def _fill(lines: Lines, size: _Size) -> Lines:
    above = 0 if len(lines) == size.height else size.first_line
    return [_BLANK] * above + lines + [_BLANK] * (size.height - above - len(lines))


def _with_mark(base: str, mark: Lines, size: _Size, *, hanging: bool) -> Lines:
    """Put an accent above a letter, or a cedilla below it."""
    lines = _drawings(size.height)[base]
    if hanging:
        return lines[: size.base + 1] + mark + [_BLANK] * (size.height - size.base - 1 - len(mark))
    letter = lines[size.small_top :]
    if base.isupper():
        capital = lines[size.first_line : size.base + 1]
        low = [line for number, line in enumerate(capital) if number not in size.squeezed]
        letter = low + lines[size.base + 1 :]
    room = size.height - len(letter)
    gap = [_BLANK] if len(mark) < room - size.highest else []
    return [_BLANK] * (room - len(mark) - len(gap)) + mark + gap + letter


# -- frames -----------------------------------------------------------------------------------------------------
def _frame_part(arms: str, lines: _Axis) -> bytes:
    """Draw a frame: double arms as broad strokes, the gap cut out of them, and over that the single arms."""
    dots = _strokes(arms, "2", lines) - _strokes(arms, "2", lines, gap=True) | _strokes(arms, "1", lines)
    return bytes(sum(0x80 >> column for column in range(WIDTH) if (line, column) in dots) for line in range(lines.end))


def _strokes(arms: str, kind: str, lines: _Axis, *, gap: bool = False) -> set[tuple[int, int]]:
    """Return the dots (line, column) of the arms of one kind, or of the gap inside double arms."""
    up, right, down, left = tuple(arms)
    broad = kind == "2" and not gap
    level = _COLUMNS.reach(kind, (left, right), () if gap else (up, down))
    upright = lines.reach(kind, (up, down), () if gap else (left, right))
    return {*product(lines.double if broad else lines.single, level)} | {
        *product(upright, _COLUMNS.double if broad else _COLUMNS.single)
    }
