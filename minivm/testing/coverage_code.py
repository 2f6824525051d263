"""A guest's code in pieces, and its basic blocks: straight lines between jumps and where jumps lead.

Intel SDM, volume 1, section 7.3.8 ("Control Transfer Instructions"). A jump, call, return, interrupt or HLT ends a
block; the target of a direct jump, a named address and the instruction behind such an end begin one.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from minivm.debug.code import Instruction, disassemble
from minivm.debug.symbols_table import SymbolTable
from minivm.errors import ImageError

_ENDS = frozenset(
    ("call", "ret", "retf", "retn", "iret", "iretd", "iretq", "int", "int1", "int3", "into", "hlt", "syscall", "sysret",
     "sysenter", "sysexit", "ud2", "loop", "loope", "loopne", "xbegin", "rsm")
)  # fmt: skip
_TARGET = re.compile(r"0x[0-9a-f]+|\d+")
_DATA = re.compile(
    r"\s*(?:[A-Za-z_.?@$][\w.$#@~?]*\s*:?\s+)??(?:times\s+.+?\s+)?"
    r"(?:d[bwdqtoyz]|res[bwdqtoyz]|incbin|align[bn]?|alignb|\.(?:byte|word|long|quad|ascii|asciz|string|fill|space|skip|"
    r"zero|align|p2align|balign))\b",
    re.IGNORECASE,
)
_BITS = re.compile(r"\s*\[?\s*(?:bits\s+|use|\.code)(16|32|64)\b", re.IGNORECASE)


CHUNK = 512
_LONGEST_DATA = 64
"""How long a line of data may be and still be looked at as code, which some programs write as bytes."""


class Block(NamedTuple):
    """A basic block: the linear addresses [start, end)."""

    start: int
    end: int


def is_data(text: str | None) -> bool:
    """Tell whether a line of assembly language lays down data and not instructions."""
    return text is not None and _DATA.match(text.partition(";")[0]) is not None


def chunks(table: SymbolTable, most: int) -> list[tuple[int, int]]:
    """Return the [start, end) of all code that has lines, cut at multiples of 512 bytes, `most` bytes in all.

    A guest on a disk is loaded by sectors, so that each chunk comes into memory as a whole. Long data is left out.
    """
    found: list[tuple[int, int]] = []
    for start, end, file, line in table.line_ranges():
        if end - start <= _LONGEST_DATA or not is_data(table.line_text(file, line)):
            place = start
            while place < end and most > 0:
                stop = min(end, place - place % CHUNK + CHUNK)
                if found and place == found[-1][1] and place % CHUNK:
                    found[-1] = found[-1][0], stop
                else:
                    found.append((place, stop))
                most -= stop - place
                place = stop
    return found


def code_in_file(image: bytes, address: int, length: int) -> bytes | None:
    """Return code at a linear address out of an ELF file; None where it is none, or does not load that."""
    from minivm.loaders import elf

    if not image.startswith(b"\x7fELF"):
        return None
    try:
        segments = elf.parse(image, "guest").segments
    except ImageError:
        return None
    for segment in segments:
        offset = address - segment.virtual
        if offset >= 0 and offset + length <= segment.file_bytes:
            return image[segment.offset + offset : segment.offset + offset + length]
    return None


class Bits:
    """Says in which mode a line's code is: by the directive above it in its source, or `usual`."""

    def __init__(self, table: SymbolTable, usual: int) -> None:
        self._table, self._usual = table, usual
        self._changes: dict[str, tuple[list[int], list[int]]] = {}

    def at(self, file: str, line: int) -> int:
        """Return 16, 32 or 64."""
        if file not in self._changes:
            self._changes[file] = self._look_through(file, line)
        lines, modes = self._changes[file]
        place = bisect_right(lines, line)
        return modes[place - 1] if place else self._usual

    def _look_through(self, file: str, least: int) -> tuple[list[int], list[int]]:
        lines, modes = [], []
        for number, text in source_lines(self._table, file, least):
            if found := _BITS.match(text or ""):
                lines.append(number)
                modes.append(int(found[1]))
        return lines, modes


_GAP = 2000
"""A source is at its end when so many lines have no text: a listing leaves out what it does not show."""


def source_lines(table: SymbolTable, file: str, least: int) -> Iterator[tuple[int, str | None]]:
    """Yield number and text of each line of a source, at least the first `least`, None for a text not at hand."""
    number = 0
    waiting: list[tuple[int, str | None]] = []
    while len(waiting) < _GAP or number < least:
        number += 1
        text = table.line_text(file, number)
        waiting.append((number, text))
        if text is not None:
            yield from waiting
            waiting.clear()
    yield from (line for line in waiting if line[0] <= least)


Ranges = Iterable[tuple[int, int, str, int]]


def blocks(rows: Ranges, names: Iterable[int], code: Callable[[int, int], bytes], bits: Bits) -> list[Block]:
    """Return the basic blocks of code whose lines are `rows`, which data is not among.

    `names` are named addresses; `code` returns the bytes of a range, fewer where they are not known.
    """
    found: list[Instruction] = []
    for start, end, file, line in rows:
        found += disassemble(code(start, end), origin=start, bits=bits.at(file, line))
    return _between(found, _leaders(found) | set(names))


def _leaders(found: list[Instruction]) -> set[int]:
    leaders: set[int] = set()
    for one in found:
        if one.mnemonic[0] == "j" or one.mnemonic in ("call", "loop", "loope", "loopne"):
            target = _TARGET.fullmatch(one.operands)
            if target is not None:
                leaders.add(int(target[0], 0))
    return leaders


def _between(found: list[Instruction], leaders: set[int]) -> list[Block]:
    made: list[Block] = []
    begins = True
    behind = -1
    for one in found:
        end = one.address + len(one.code)
        if begins or one.address != behind or one.address in leaders:
            made.append(Block(one.address, end))
        else:
            made[-1] = Block(made[-1].start, end)
        begins, behind = one.mnemonic[0] == "j" or one.mnemonic in _ENDS, end
    return made


class Code:
    """The bytes of a guest's code, found by address in chunks."""

    def __init__(self, code: dict[int, bytes]) -> None:
        self._chunks = code
        self._starts = sorted(code)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes of [start, end), fewer where they are not known."""
        found = b""
        place = bisect_right(self._starts, start) - 1
        while 0 <= place < len(self._starts) and len(found) < end - start:
            first = self._starts[place]
            more = self._chunks[first][max(start + len(found) - first, 0) : end - first]
            if first > start + len(found) or not more:
                break
            found += more
            place += 1
        return found
