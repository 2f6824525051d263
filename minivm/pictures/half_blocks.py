"""A picture as characters: each cell is an upper half block whose two colours are two pixels, one above the other.

That works wherever a terminal has colours, through tmux and ssh, and in a browser.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from struct import iter_unpack

from minivm.core.picture import Picture
from minivm.core.record import record
from minivm.pictures.colours import DIRECT, INDEXED, NONE, SHADES, SIXTEEN, light, nearest, nearest_of_sixteen
from minivm.pictures.pixels import scaled

HALF = "▀"
Pair = tuple[int, ...]
"""Red, green and blue of the upper pixel, then of the lower one."""


@record
class HalfBlocks:
    """A grid of cells; `rows` has for each row six bytes a cell: the upper pixel's colour, then the lower one's."""

    columns: int
    rows: tuple[bytes, ...]

    def runs(self, row: int) -> Iterator[tuple[int, Pair]]:
        """Give one row as runs of one pair of colours: how many cells, and the pair."""
        return _runs(self.rows[row])


def half_blocks(picture: Picture, columns: int, rows: int) -> HalfBlocks:
    """Return the picture in a grid of `columns` x `rows` cells, stretched to fill it (`pixels.fit` gives its shape)."""
    small = scaled(picture, columns, rows * 2).rgb
    return HalfBlocks(columns, tuple(_row(small, number * 2, columns * 3) for number in range(rows)))


def _row(rgb: bytes, line: int, length: int) -> bytes:
    """Weave two lines of pixels together, cell by cell."""
    upper, lower = rgb[line * length : (line + 1) * length], rgb[(line + 1) * length : (line + 2) * length]
    woven = bytearray(2 * length)
    for level in range(3):
        woven[level::6] = upper[level::3]
        woven[level + 3 :: 6] = lower[level::3]
    return bytes(woven)


def text_of(blocks: HalfBlocks, row: int, depth: str, first: int = 0, last: int | None = None) -> str:
    """Return the cells `first` to `last` of a row as escape sequences and half blocks, in the colours of `depth`."""
    cells, show = blocks.rows[row][first * 6 : None if last is None else last * 6], _SHOWN[depth]
    return "".join(show(pair, length) for length, pair in _runs(cells))


def _runs(cells: bytes) -> Iterator[tuple[int, Pair]]:
    last, length = None, 0
    for pair in iter_unpack("6B", cells):  # groupby takes twice as long where runs are short
        if pair == last:
            length += 1
            continue
        if last is not None:
            yield length, last
        last, length = pair, 1
    if last is not None:
        yield length, last


@lru_cache(maxsize=1 << 14)
def _direct(pair: Pair, length: int) -> str:
    return "\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*pair) + HALF * length


def _indexed(pair: Pair, length: int) -> str:
    upper, lower = nearest(pair[:3]), nearest(pair[3:])
    return f"\x1b[38;5;{upper};48;5;{lower}m" + HALF * length


def _sixteen(pair: Pair, length: int) -> str:
    upper, lower = nearest_of_sixteen(pair[:3]), nearest_of_sixteen(pair[3:])
    return f"\x1b[{_code(upper) + 30};{_code(lower) + 40}m" + HALF * length


def _code(number: int) -> int:
    return (number & 7) + (60 if number & 8 else 0)


def _without_colour(pair: Pair, length: int) -> str:
    level = (light(pair[:3]) + light(pair[3:])) // 2  # type: ignore[arg-type]
    return SHADES[level * len(SHADES) // 256] * length


_SHOWN: dict[str, Callable[[Pair, int], str]] = {
    DIRECT: _direct, INDEXED: _indexed, SIXTEEN: _sixteen, NONE: _without_colour,
}  # fmt: skip
