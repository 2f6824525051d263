"""A graphics mode on the terminal: as half blocks, Sixel or by Kitty's protocol, whichever the terminal answers to.

XTerm Control Sequences ("Send Device Attributes": parameter 4 is Sixel; "Window manipulation", 16: a cell in pixels),
and Kitty's "Terminal graphics protocol" ("Querying support").
"""

import re
import time
from collections.abc import Mapping

from minivm.core.picture import Picture
from minivm.core.record import record, replace
from minivm.pictures import kitty
from minivm.pictures.colours import depth_of
from minivm.pictures.half_blocks import HalfBlocks, half_blocks, text_of
from minivm.pictures.pixels import Area, fit, scaled

BLOCKS, SIXEL, KITTY = "blocks", "sixel", "kitty"
QUERY = f"{kitty.QUERY}\x1b[16t\x1b[c"
"""Three questions; every terminal answers the last one, and in this order."""
PATIENCE_S = 0.2
"""So long the first frame waits for the answers. Those that come later still count."""
USUAL_CELL = 10, 20
"""A cell in pixels where nobody tells: that of a VT340."""
_ANSWER = re.compile(
    rb"\x1b_Gi=31;(?P<kitty>[^\x1b]*)\x1b\\|\x1b\[6;(?P<height>\d+);(?P<width>\d+)t|\x1b\[\?(?P<attributes>[\d;]*)c"
)
_BEGIN, _END = "\x1b[?2026h\x1b[?25l", "\x1b[?2026l"
"""Around a frame, for terminals that draw such a piece at once."""
Cell = tuple[int, int]


@record
class Answers:
    """What the terminal has told: `complete` when the last question is answered, `cell` in pixels."""

    kitty: bool = False
    sixel: bool = False
    cell: Cell | None = None
    complete: bool = False

    def with_answer(self, raw: bytes) -> "Answers | None":
        """Return the answers with one more; None when `raw` is no answer to any of the questions."""
        match = _ANSWER.fullmatch(raw)
        if match is None:
            return None
        if match["attributes"] is not None:
            return replace(self, sixel=b"4" in match["attributes"].split(b";")[1:], complete=True)
        if match["kitty"] is not None:
            return replace(self, kitty=match["kitty"] == b"OK")
        cell = int(match["width"]), int(match["height"])
        return replace(self, cell=cell) if all(cell) else self

    @property
    def way(self) -> str:
        """The best way to show a picture."""
        return KITTY if self.kitty else SIXEL if self.sixel else BLOCKS


def hint(environment: Mapping[str, str]) -> str | None:
    """Return the way that the environment promises before any answer; inside tmux and screen it promises nothing."""
    if environment.get("TMUX") or environment.get("STY"):
        return None
    term = environment.get("TERM", "")
    if term == "xterm-kitty" or environment.get("TERM_PROGRAM") in ("WezTerm", "ghostty"):
        return KITTY
    return SIXEL if term == "foot" or term.startswith("foot-") else None


class PicturePainter:
    """Paints pictures on a terminal, only what changed since the last one.

    `wanted` is "blocks", "sixel" or "kitty"; anything else asks the terminal. `cell` is the size of a cell in pixels as
    the terminal's driver knows it.
    """

    def __init__(self, wanted: str, environment: Mapping[str, str], cell: Cell | None = None) -> None:
        self._wanted = wanted if wanted in (BLOCKS, SIXEL, KITTY) else None
        self._depth, self._hint = depth_of(environment), hint(environment)
        self._answers = Answers()
        self._asked_at: float | None = None
        self.cell = cell
        self._way = ""
        self.forget()

    def forget(self) -> None:
        """Paint everything the next time."""
        self._shown: Picture | None = None
        self._place: object = None
        self._blocks: HalfBlocks | None = None
        self._lines: tuple[bytes, ...] = ()

    # -- what the terminal can do -------------------------------------------------------------------------------
    def question(self) -> str:
        """Return what to ask the terminal, once, as soon as there is a picture; else nothing."""
        if self._asked_at is not None or self._wanted in (BLOCKS, KITTY):
            return ""
        self._asked_at = time.monotonic()
        return QUERY

    def take(self, raw: bytes) -> bool:
        """Take what came from the terminal if it is an answer; False for all that is a key."""
        answers = self._answers.with_answer(raw) if self._asked_at is not None else None
        if answers is None:
            return False
        self._answers = answers
        return True

    @property
    def waits(self) -> float:
        """For how many seconds the first picture should wait for the answers."""
        if self._asked_at is None or self._answers.complete or self._way or self._hint is not None:
            return 0.0
        return max(0.0, self._asked_at + PATIENCE_S - time.monotonic())

    @property
    def way(self) -> str:
        """How pictures are painted: what was asked for, what the terminal answered, or what is likely."""
        if self._wanted is not None:
            return self._wanted
        if self._answers.complete:
            return self._answers.way
        return self._hint or BLOCKS

    # -- painting -----------------------------------------------------------------------------------------------
    def draw(self, picture: Picture, rows: int, columns: int) -> str:
        """Return what shows the picture in the middle of so many rows and columns; empty when it is there already."""
        cell = self._answers.cell or self.cell or USUAL_CELL
        cell_shape = (1, 2) if self.way == BLOCKS else cell
        place = self.way, fit(picture, columns, rows, cell_shape), cell
        if place == self._place and picture == self._shown:
            return ""
        clear = ""
        if place != self._place:
            clear = f"\x1b[0m{self.erase()}\x1b[2J"
            self.forget()
        self._way, self._shown, self._place = self.way, picture, place
        return f"{_BEGIN}{clear}{self._changes(picture, place[1], cell)}\x1b[0m{_END}"

    def erase(self) -> str:
        """Return what takes a picture away that clearing the screen leaves."""
        return kitty.ERASE if self._way == KITTY else ""

    def printed(self, picture: Picture, rows: int, columns: int) -> list[str]:
        """Return the picture as lines of half blocks, for the end of a run."""
        area = fit(picture, columns, rows)
        blocks = half_blocks(picture, area.columns, area.rows)
        return [f"{text_of(blocks, row, self._depth)}\x1b[0m" for row in range(area.rows)]

    def _changes(self, picture: Picture, area: Area, cell: Cell) -> str:
        match self._way:
            case "kitty":
                return f"{_at(area, 0)}{kitty.kitty(picture, area.columns, area.rows)}"
            case "sixel":
                return self._changed_strips(picture, area, cell)
        return self._changed_blocks(picture, area)

    def _changed_blocks(self, picture: Picture, area: Area) -> str:
        """Return the cells from the first to the last that changed, of each row that did."""
        new, old = half_blocks(picture, area.columns, area.rows), self._blocks
        self._blocks = new
        parts = []
        for row, cells in enumerate(new.rows):
            if old is not None and cells == old.rows[row]:
                continue
            first, last = (0, area.columns) if old is None else _difference(old.rows[row], cells)
            parts.append(_at(area, row, first) + text_of(new, row, self._depth, first, last))
        return "".join(parts)

    def _changed_strips(self, picture: Picture, area: Area, cell: Cell) -> str:
        """Return Sixel strips, whole rows of cells, where something changed."""
        from minivm.pictures.sixel import sixel

        width, height = area.columns * cell[0], cell[1]
        rgb = scaled(picture, width, area.rows * height).rgb
        size = width * height * 3
        new = tuple(rgb[start : start + size] for start in range(0, len(rgb), size))
        old, self._lines = self._lines, new
        changed = [row for row in range(area.rows) if not old or new[row] != old[row]]
        return "".join(
            _at(area, first) + sixel(Picture(width, height * (last - first), b"".join(new[first:last])))
            for first, last in _spans(changed)
        )


def _at(area: Area, row: int, column: int = 0) -> str:
    return f"\x1b[{area.top + row + 1};{area.left + column + 1}H"


def _difference(old: bytes, new: bytes) -> tuple[int, int]:
    """Return the first and one behind the last cell, of six bytes, in which two rows of one length differ."""
    # As numbers: what differs keeps bits, and the highest and the lowest of them tell where.
    differs = int.from_bytes(old, "big") ^ int.from_bytes(new, "big")
    first = len(new) - (differs.bit_length() + 7) // 8
    last = len(new) - 1 - ((differs & -differs).bit_length() - 1) // 8
    return first // 6, last // 6 + 1


def _spans(numbers: list[int]) -> list[tuple[int, int]]:
    """Return runs of numbers that follow each other: the first, and one behind the last."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number:
            spans[-1] = spans[-1][0], number + 1
        else:
            spans.append((number, number + 1))
    return spans
