"""Searching: which line of text has it next, where in a line it stands, and where in memory some bytes are."""

from collections.abc import Iterator, Sequence

from minivm.core.cp437 import encode
from minivm.debug.debugger import Debugger
from minivm.debug.inspect_paging import peek
from minivm.errors import ConfigError

PIECE = 1 << 18
"""So many bytes of memory are searched between two looks at whatever else the machine's thread has to do."""
MOST_BYTES = 1 << 28
_PAGE = 0x1000
_END = 1 << 64
_SCANNED = 1 << 20


def next_line(lines: Sequence[str], wanted: str, at: int, direction: int, *, here: bool = False) -> int | None:
    """Return the number of the next line with `wanted`, from line `at` on and round the end; None when none has it.

    `direction` is 1 or -1; with `here` the line `at` itself is the first one looked at. Case does not count.
    """
    folded, count = wanted.lower(), len(lines)
    if not folded or not count:
        return None
    first = 0 if here else 1
    for step in range(first, first + count):
        number = (at + direction * step) % count
        if folded in lines[number].lower():
            return number
    return None


def spans(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    """Yield where `wanted` stands in a text, as (first column, column behind the last)."""
    folded, low = wanted.lower(), text.lower()
    if not folded or len(low) != len(text):
        return
    at = low.find(folded)
    while at >= 0:
        yield at, at + len(folded)
        at = low.find(folded, at + len(folded))


def pattern(text: str) -> bytes:
    """Return the bytes to search for: pairs of hexadecimal digits, or text, in quotes if it looks like digits."""
    words = text.split()
    if words and all(len(word) == 2 for word in words):
        try:
            return bytes(int(word, 16) for word in words)
        except ValueError:
            pass
    found = encode(text.strip().strip("\"'"))
    if not found:
        raise ConfigError("find what? Text, or bytes such as 55 AA")
    return found


def pieces(at: int, size: int, direction: int) -> Iterator[range]:
    """Yield the linear addresses at which a hit may begin, in the order of a search from `at` on.

    It goes through the `size` addresses on that side of `at`, and through the first `size` ones of all.
    """
    size = min(size, MOST_BYTES)
    if direction > 0:
        for low, high in [(at + 1, min(at + 1 + size, _END)), (0, min(at + 1, size))]:
            yield from (range(start, min(start + PIECE, high)) for start in range(low, high, PIECE))
    else:
        for low, high in [(max(0, at - size), at), (at, size)]:
            yield from (range(max(low, end - PIECE), end) for end in range(high, low, -PIECE))


def find_bytes(debugger: Debugger, wanted: bytes, where: range, direction: int) -> int | None:
    """Return the first (going down: the last) linear address of `where` at which these bytes stand; None for none."""
    end = where.stop + len(wanted) - 1
    run, start = bytearray(), where.start
    best: int | None = None
    at = where.start
    while at < end:
        count = min(end - at, _PAGE - at % _PAGE)
        data = peek(debugger.engine, at, count)
        run += data
        if len(data) < count or at + count >= end:
            found = run.find(wanted) if direction > 0 else run.rfind(wanted)
            if found >= 0:
                best = start + found
                if direction > 0:
                    return best
            run, start = bytearray(), at + count
        at += count
    return best


def find_in(memory: memoryview, wanted: bytes, at: int, direction: int) -> int | None:
    """Return the physical address of the next place in RAM behind (going down: before) `at`, round its end."""
    size = len(memory)
    spans_of = [(at + 1, size), (0, at + len(wanted))] if direction > 0 else [(0, at + len(wanted) - 1), (at + 1, size)]
    for low, high in spans_of:
        found = _scan(memory, wanted, range(max(0, low), min(size, high)), direction)
        if found is not None:
            return found
    return None


def _scan(memory: memoryview, wanted: bytes, where: range, direction: int) -> int | None:
    starts = range(where.start, where.stop, _SCANNED)
    for start in starts if direction > 0 else reversed(starts):
        data = bytes(memory[start : min(start + _SCANNED + len(wanted) - 1, where.stop)])
        found = data.find(wanted) if direction > 0 else data.rfind(wanted)
        if found >= 0:
            return start + found
    return None
