"""Shrinking a list to as few parts as still show something: delta debugging (Zeller and Hildebrandt, TSE 28, 2002)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Part = TypeVar("Part")


def shrink(parts: Sequence[Part], shows: Callable[[tuple[Part, ...]], bool]) -> tuple[Part, ...]:
    """Return a part of `parts`, in order, for which `shows` holds and from which no single one can be left out.

    `shows` must hold for all of `parts`, and should be deterministic.
    """
    kept = tuple(parts)
    pieces = 2
    while len(kept) > 1:
        smaller = _without_a_piece(kept, pieces, shows)
        if smaller is not None:
            kept, pieces = smaller, max(pieces - 1, 2)
        elif pieces >= len(kept):
            break
        else:
            pieces = min(2 * pieces, len(kept))
    return kept


def first_prefix(parts: Sequence[Part], shows: Callable[[tuple[Part, ...]], bool]) -> tuple[Part, ...]:
    """Return the shortest beginning of `parts` for which `shows` holds; all of them where it holds for none."""
    prefixes = (tuple(parts[:length]) for length in range(1, len(parts)))
    return next((prefix for prefix in prefixes if shows(prefix)), tuple(parts))


def _without_a_piece(
    kept: tuple[Part, ...], pieces: int, shows: Callable[[tuple[Part, ...]], bool]
) -> tuple[Part, ...] | None:
    """Return `kept` without one of its `pieces`, where that still shows it."""
    size = -(-len(kept) // pieces)
    for begin in range(0, len(kept), size):
        rest = kept[:begin] + kept[begin + size :]
        if rest and shows(rest):
            return rest
    return None
