"""The table of names and lines that the debugger asks: names for addresses and source lines, and back.

`minivm.debug.symbols` fills it from files.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from minivm.core.record import record

LARGEST_SOURCE_BYTES = 16 << 20
FARTHEST = 0x1_0000
"""How far behind a symbol without a size an address may lie and still be called after it, in bytes."""
_NEAR = 16
"""The same for a symbol that lies outside of all sections, such as a variable after ABSOLUTE."""
_64_BITS = (1 << 64) - 1
_NO_LINE = -1
_MOST_LOOKED_BACK = 16


@record
class Symbol:
    """A named address. `kind` is "function", "object", "label" or "constant" (a plain number, not an address).

    `size` is in bytes, 0 where the file does not tell. `file` is the source of a name local to it, or "".
    """

    name: str
    address: int
    size: int
    kind: str
    file: str = ""


@record
class SourceLine:
    """One line of a source: `file` as its symbols spell it, `line` from 1, and `text` where the source is at hand."""

    file: str
    line: int
    text: str | None


class Run(NamedTuple):
    """Code without a gap: `addresses` in order, the `keys` (file << 32 | line) that begin there, and where it ends.

    `stops` are (key, address): where a breakpoint on a line belongs.
    """

    addresses: Sequence[int]
    keys: Sequence[int]
    end: int
    stops: Sequence[tuple[int, int]]


class SymbolTable:
    """Names, sizes and source lines of a guest's addresses, which are linear ones.

    Lookups go by bisection; what they need is sorted at the first one after a change.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.notes: list[str] = []
        """What was left out and why, one line each, for the user."""
        self.folders: list[Path] = []
        """Where to look for sources that are not where the compiler saw them."""
        self._symbols: list[Symbol] = []
        self._extents: list[tuple[int, int]] = []
        self._files: list[str] = []
        self._numbers: dict[str, int] = {}
        self._runs: list[Run] = []
        self._texts: dict[int, Mapping[int, str]] = {}
        self._forget()

    def _forget(self) -> None:
        self._by_name: dict[str, list[Symbol]] | None = None
        self._by_local: dict[str, list[Symbol]] | None = None
        self._by_address: tuple[list[int], list[Symbol]] | None = None
        self._by_line: dict[int, tuple[list[int], list[list[int]]]] | None = None
        self._rows: tuple[list[int], list[int]] | None = None
        self._used: tuple[str, ...] | None = None

    # Filling -----------------------------------------------------------------------------------------------------

    def add(self, name: str, address: int, size: int = 0, kind: str = "label", file: str = "") -> None:
        """Add a symbol; a name may stand for several."""
        self._symbols.append(Symbol(name, address & _64_BITS, size, kind, file))
        self._forget()

    def add_extent(self, start: int, end: int) -> None:
        """Say that [start, end) belongs to the program: a symbol without a size reaches to its extent's end."""
        if start < end:
            self._extents.append((start, end))
            self._forget()

    def add_file(self, path: str, texts: Mapping[int, str] | None = None) -> int:
        """Add a source file, with its lines where they are known (else they are read from it); return its number."""
        index = self._numbers.setdefault(path, len(self._files))
        if index == len(self._files):
            self._files.append(path)
        if texts is not None:
            self._texts[index] = texts
        self._forget()
        return index

    def add_run(self, run: Run) -> None:
        """Add the lines of some code, whose file numbers come from `add_file`."""
        if run.addresses:
            self._runs.append(run)
            self._forget()

    def add_lines(self, file: int, lines: Iterable[tuple[int, int]], end: int) -> None:
        """Add (address, line) pairs in the order of addresses, of code that ends at `end`."""
        pairs = [(address, file << 32 | line) for address, line in lines]
        stops = [(key, address) for address, key in pairs]
        self.add_run(Run([address for address, _ in pairs], [key for _, key in pairs], end, stops))

    def update(self, other: "SymbolTable") -> None:
        """Take over all that `other` knows."""
        moved = [self.add_file(path, other._texts.get(index)) for index, path in enumerate(other._files)]
        seen = set(self._symbols)
        self._symbols += [symbol for symbol in other._symbols if symbol not in seen]
        self._extents += other._extents
        self._runs += [_renumbered(run, moved) for run in other._runs]
        self.folders += other.folders
        self.notes += other.notes
        self._forget()

    @classmethod
    def merged(cls, tables: "Iterable[SymbolTable]", name: str = "") -> "SymbolTable":
        """Return one table of several."""
        whole = cls(name)
        for table in tables:
            whole.update(table)
        return whole

    def relocate(self, delta: int) -> "SymbolTable":
        """Return a table for the same program `delta` bytes further up; constants stay."""
        moved = SymbolTable(self.name)
        moved.update(self)
        moved._symbols = [
            symbol
            if symbol.kind == "constant"
            else Symbol(symbol.name, symbol.address + delta & _64_BITS, symbol.size, symbol.kind, symbol.file)
            for symbol in self._symbols
        ]
        moved._extents = [(start + delta, end + delta) for start, end in self._extents]
        moved._runs = [_shifted(run, delta) for run in self._runs]
        moved._forget()
        return moved

    # Names -------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._symbols)

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self._symbols)

    def names(self) -> list[str]:
        """Return every name once, sorted."""
        return sorted(self._named())

    def matches(self, name: str) -> tuple[Symbol, ...]:
        """Return all symbols that `name` may mean: that name, `file.c:name`, or every label's local `.name`."""
        found = self._named().get(name)
        if found is not None:
            return tuple(found)
        if name.startswith("."):
            return tuple(self._locals().get(name, ()))
        file, colon, rest = name.rpartition(":")
        return tuple(s for s in self._named().get(rest, ()) if colon and file and _is_file(s.file, file))

    def lookup(self, name: str) -> Symbol | None:
        """Return the symbol `name`; None when there is none, or several of which not just one is global.

        `.loop` is found without its parent (`start.loop`) when only one label has it; `file.c:init` is the `init`
        that is local to that file.
        """
        found = self.matches(name)
        if len({symbol.address for symbol in found}) > 1:
            found = tuple(symbol for symbol in found if not symbol.file and not name.startswith("."))
        if len({symbol.address for symbol in found}) > 1:
            return None
        return found[0] if found else None

    def nearest(self, address: int) -> tuple[Symbol, int] | None:
        """Return the symbol that `address` lies in, and how many bytes behind its start; None outside of all.

        One with a size holds just that; one without reaches to the next, and no further than its section, or
        `FARTHEST` bytes where sections are not known. Constants are not addresses and do not count.
        """
        starts, symbols = self._sorted()
        last = bisect_right(starts, address) - 1
        for index in range(last, max(-1, last - _MOST_LOOKED_BACK), -1):
            symbol = symbols[index]
            if symbol.size:
                if address < symbol.address + symbol.size:
                    return symbol, address - symbol.address
            elif starts[index] == starts[last] and self._reaches(symbol.address, address):
                return symbol, address - symbol.address
        return None

    def describe(self, address: int) -> str:
        """Return `main`, `main+10h`, or "" where no symbol is."""
        found = self.nearest(address)
        if found is None:
            return ""
        symbol, offset = found
        return f"{symbol.name}+{offset:X}h" if offset else symbol.name

    # Lines -------------------------------------------------------------------------------------------------------

    def source(self, address: int) -> SourceLine | None:
        """Return the source line that the code at `address` comes from, or None."""
        starts, keys = self._line_starts()
        index = bisect_right(starts, address) - 1
        if index < 0 or keys[index] == _NO_LINE:
            return None
        file, line = keys[index] >> 32, keys[index] & 0xFFFF_FFFF
        return SourceLine(self._files[file], line, self._text(file).get(line))

    def line_text(self, file: str, line: int) -> str | None:
        """Return a line of a source that `files` names, also one without code, or None."""
        return self._text(self._numbers[file]).get(line) if file in self._numbers else None

    def address_of_line(self, file: str, line: int) -> int | None:
        """Return where the code of a line begins, or of the next line below that has any; None when none has.

        `file` is a path as the symbols have it, or the end of one: `kernel.c`, `drivers/tty.c`.
        """
        found = self.addresses_of_line(file, line)
        return found[0] if found else None

    def addresses_of_line(self, file: str, line: int) -> tuple[int, ...]:
        """Return every place where a line's code begins, in order: an inlined or unrolled line has several."""
        choices = []
        stops = self._stops()
        for index in self._indices(file):
            lines = stops.get(index, ([], []))[0]
            place = bisect_left(lines, line)
            if place < len(lines):
                choices.append((lines[place], index))
        if not choices:
            return ()
        best = min(choice for choice, _ in choices)
        return tuple(sorted({a for choice, index in choices if choice == best for a in self._at(index, best)}))

    def line_ranges(self) -> Iterator[tuple[int, int, str, int]]:
        """Yield (start, end, file, line) of all code in the order of addresses; what belongs to no line is left out."""
        starts, keys = self._line_starts()
        for start, end, key in zip(starts, starts[1:], keys, strict=False):
            if key != _NO_LINE and start < end:
                yield start, end, self._files[key >> 32], key & 0xFFFF_FFFF

    def files(self) -> tuple[str, ...]:
        """Return the sources that have lines, as the symbols spell them."""
        if self._used is None:
            used = {key >> 32 for run in self._runs for key in run.keys if key >= 0}
            self._used = tuple(self._files[index] for index in sorted(used))
        return self._used

    # Indices, made when they are asked for ----------------------------------------------------------------------

    def _named(self) -> dict[str, list[Symbol]]:
        if self._by_name is None:
            self._by_name = {}
            for symbol in self._symbols:
                self._by_name.setdefault(symbol.name, []).append(symbol)
        return self._by_name

    def _locals(self) -> dict[str, list[Symbol]]:
        if self._by_local is None:
            self._by_local = {}
            for symbol in self._symbols:
                parent, dot, local = symbol.name.rpartition(".")
                if dot and parent:
                    self._by_local.setdefault(dot + local, []).append(symbol)
        return self._by_local

    def _sorted(self) -> tuple[list[int], list[Symbol]]:
        """Return addresses and symbols in order; of several at one address, the best one is last."""
        if self._by_address is None:
            found = sorted((s for s in self._symbols if s.kind != "constant"), key=_rank)
            self._by_address = [symbol.address for symbol in found], found
        return self._by_address

    def _reaches(self, start: int, address: int) -> bool:
        ends = [end for begin, end in self._extents if begin <= start <= end]
        if ends:
            return address < max(ends) or address == start
        return address - start < (_NEAR if self._extents else FARTHEST)

    def _line_starts(self) -> tuple[list[int], list[int]]:
        if self._rows is None:
            self._rows = _flattened(self._runs)
        return self._rows

    def _stops(self) -> dict[int, tuple[list[int], list[list[int]]]]:
        """Return, by file, the lines that have code and where each begins."""
        if self._by_line is None:
            by_key: dict[int, list[int]] = {}
            for run in self._runs:
                for key, address in run.stops:
                    by_key.setdefault(key, []).append(address)
            self._by_line = {}
            for key in sorted(by_key):
                lines, addresses = self._by_line.setdefault(key >> 32, ([], []))
                lines.append(key & 0xFFFF_FFFF)
                addresses.append(by_key[key])
        return self._by_line

    def _at(self, file: int, line: int) -> list[int]:
        lines, addresses = self._stops()[file]
        return addresses[bisect_left(lines, line)]

    def _indices(self, file: str) -> list[int]:
        if file in self._numbers:
            return [self._numbers[file]]
        return [index for index, path in enumerate(self._files) if _is_file(path, file)]

    def _text(self, file: int) -> Mapping[int, str]:
        if file not in self._texts:
            self._texts[file] = read_source(self._files[file], self.folders)
        return self._texts[file]


def _rank(symbol: Symbol) -> tuple[int, bool, bool, bool, int]:
    """Sort by address; of several there, a function is last, then what has a size, a global name, a short one."""
    return symbol.address, symbol.kind == "function", symbol.size > 0, not symbol.file, -len(symbol.name)


def _is_file(path: str, wanted: str) -> bool:
    return bool(path) and (path == wanted or path.endswith("/" + wanted))


def _renumbered(run: Run, files: Sequence[int]) -> Run:
    if all(new == old for old, new in enumerate(files)):
        return run
    moved = {old: new << 32 for old, new in enumerate(files)}
    keys = [moved[key >> 32] | key & 0xFFFF_FFFF if key >= 0 else key for key in run.keys]
    stops = [(moved[key >> 32] | key & 0xFFFF_FFFF, address) for key, address in run.stops]
    return run._replace(keys=keys, stops=stops)


def _shifted(run: Run, delta: int) -> Run:
    stops = [(key, address + delta & _64_BITS) for key, address in run.stops]
    return Run([address + delta & _64_BITS for address in run.addresses], run.keys, run.end + delta & _64_BITS, stops)


def _flattened(runs: list[Run]) -> tuple[list[int], list[int]]:
    """Return where each line begins and which one, all runs in one; a gap is `_NO_LINE`."""
    starts: list[int] = []
    keys: list[int] = []
    for run in sorted(runs, key=lambda run: run.addresses[0]):
        if starts and starts[-1] > run.addresses[0]:
            _cut(starts, keys, run.addresses[0])  # Two runs overlap: the one that begins later counts.
        starts += run.addresses
        keys += run.keys
        starts.append(run.end)
        keys.append(_NO_LINE)
    return starts, keys


def _cut(starts: list[int], keys: list[int], end: int) -> None:
    place = bisect_left(starts, end)
    del starts[place:], keys[place:]


def read_source(path: str, folders: list[Path]) -> Mapping[int, str]:
    """Return a source's lines by number; {} when it cannot be found."""
    for place in (Path(path), *(folder / part for folder in folders for part in (path, Path(path).name))):
        try:
            if place.is_file() and place.stat().st_size <= LARGEST_SOURCE_BYTES:
                text = place.read_bytes().decode("utf-8", "replace")
                return dict(enumerate((line.rstrip("\r") for line in text.split("\n")), start=1))
        except (OSError, ValueError):
            continue  # A path from a damaged file may be anything; then there is no text.
    return {}
