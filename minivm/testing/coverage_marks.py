"""Sets of addresses, and how the notes of the engine's block hook become one."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ctypes import string_at

from minivm.engine.thunk import NOTED_ADDRESSES, Sizes

_PAGE = 4096
_CHUNK = 1 << 20
_MARKED = re.compile(rb"\x01+")

Range = tuple[int, int]
"""[start, end) of linear addresses below 64 MiB."""


class Marks:
    """A set of addresses, kept as sorted ranges that do not touch each other."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self.ranges = _joined(ranges)
        self._starts = [start for start, _ in self.ranges]

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self.ranges == other.ranges

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: "Marks") -> "Marks":
        return Marks((*self.ranges, *other.ranges))

    @property
    def size_bytes(self) -> int:
        """How many addresses are in the set."""
        return sum(end - start for start, end in self.ranges)

    def count(self, start: int, end: int) -> int:
        """Return how many addresses of [start, end) are in the set; addresses 64 MiB apart are one."""
        base = start & NOTED_ADDRESSES - 1
        found, last = 0, base + end - start
        index = max(bisect_right(self._starts, base) - 1, 0)
        while index < len(self.ranges) and self.ranges[index][0] < last:
            first, behind = self.ranges[index]
            found += max(0, min(behind, last) - max(first, base))
            index += 1
        return found


def _joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return tuple(found)


def marks_of(sizes: Sizes) -> Marks:
    """Return every address inside a block that the thunk has noted."""
    pages = set(_noted_pages(sizes))
    pages |= {page + 1 for page in pages}  # a block may end on the next page
    return Marks(
        (page * _PAGE + found.start(), page * _PAGE + found.end())
        for page in pages
        if page < NOTED_ADDRESSES // _PAGE
        for found in _MARKED.finditer(sizes.covered(page * _PAGE, _PAGE))
    )


def _noted_pages(sizes: Sizes) -> Iterator[int]:
    """Yield the pages of addresses where a block begins; most of the map was never touched and is skipped fast."""
    zeros = bytes(_CHUNK)
    for chunk in range(0, 2 * NOTED_ADDRESSES, _CHUNK):
        words = string_at(sizes.address + chunk, _CHUNK)
        if words == zeros:
            continue
        for place in range(0, _CHUNK, 2 * _PAGE):
            if words[place : place + 2 * _PAGE] != zeros[: 2 * _PAGE]:
                yield (chunk + place) // (2 * _PAGE)
