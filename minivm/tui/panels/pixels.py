"""A graphics mode in a panel: half blocks as Textual's strips, which a terminal, a browser and an SVG show alike.

Pictures by Sixel or Kitty's protocol are for `minivm run`: Textual writes every cell of the terminal itself, and would
know nothing of pixels that lie over them.
"""

from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from minivm.core.picture import Picture
from minivm.core.record import record
from minivm.pictures.half_blocks import HALF, HalfBlocks, Pair, half_blocks
from minivm.pictures.pixels import Area, fit


@record
class Pixels:
    """A picture, where it lies in the panel, and the half blocks that show it there."""

    picture: Picture
    area: Area
    blocks: HalfBlocks


def pixels_of(picture: Picture, columns: int, rows: int, old: Pixels | None = None) -> Pixels:
    """Return the picture for a panel of that size, in the monitor's shape; `old` is used again where it still fits."""
    area = fit(picture, max(1, columns), max(1, rows))
    if old is not None and old.area == area and old.picture == picture:
        return old
    return Pixels(picture, area, half_blocks(picture, area.columns, area.rows))


def changed_lines(old: Pixels, new: Pixels) -> list[int]:
    """Return the panel's lines that differ, where both lie in the same area."""
    if old is new:
        return []
    pairs = zip(old.blocks.rows, new.blocks.rows, strict=True)
    return [new.area.top + row for row, (before, after) in enumerate(pairs) if before != after]


def line_of(pixels: Pixels, line: int, margin_style: Style) -> Strip:
    """Return one of the panel's lines up to the picture's right edge; nothing above and below the picture."""
    row = line - pixels.area.top
    if not 0 <= row < pixels.area.rows:
        return Strip([], 0)
    segments = [_segment(length, pair) for length, pair in pixels.blocks.runs(row)]
    margin = pixels.area.left
    return Strip([Segment(" " * margin, margin_style), *segments] if margin else segments, margin + pixels.area.columns)


@lru_cache(maxsize=1 << 14)
def _segment(length: int, pair: Pair) -> Segment:
    return Segment(HALF * length, Style.from_color(_colour(pair[:3]), _colour(pair[3:])))


@lru_cache(maxsize=1 << 14)
def _colour(levels: tuple[int, ...]) -> Color:
    return Color.from_rgb(*levels)
