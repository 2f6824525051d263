"""What the marks of a guest's coverage mean: lines, functions and blocks, with the share of each that ran."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from minivm.core.record import record
from minivm.debug.symbols_table import SymbolTable
from minivm.testing.coverage_code import Bits, Block, Code, blocks, is_data, source_lines
from minivm.testing.coverage_marks import Marks, Range

RAN, PARTLY, NOT_RUN = "ran", "partly", "not run"


@record
class Line:
    """A line with code: `ranges` are its [start, end), `ran_bytes` of `size_bytes` ran."""

    number: int
    ranges: tuple[Range, ...]
    size_bytes: int
    ran_bytes: int

    @property
    def standing(self) -> str:
        """`RAN`, `PARTLY` or `NOT_RUN`."""
        return NOT_RUN if not self.ran_bytes else RAN if self.ran_bytes == self.size_bytes else PARTLY


@record
class Function:
    """A function, or a label of assembly language without a dot; it `ran` when its first instruction did."""

    name: str
    line: int
    address: int
    ran: bool


@record
class BlockFound:
    """A basic block [start, end) that begins in `line`; it `ran` when all of it did."""

    start: int
    end: int
    line: int
    ran: bool


@record
class Share:
    """How many of something ran."""

    ran: int
    total: int

    @property
    def percent(self) -> float:
        """The share of 100; nothing at all is 100."""
        return 100.0 * self.ran / self.total if self.total else 100.0

    def __str__(self) -> str:
        return f"{self.ran}/{self.total}"

    def __add__(self, other: "Share") -> "Share":
        return Share(self.ran + other.ran, self.total + other.total)


@record
class SourceCoverage:
    """One source file: its path as it is found (else as the symbols spell it), and what is in it, in order.

    `texts` are the lines of the source (number, text), None for one that is not at hand.
    """

    file: str
    path: str
    lines: tuple[Line, ...]
    functions: tuple[Function, ...]
    blocks: tuple[BlockFound, ...]
    texts: tuple[tuple[int, str | None], ...]

    @property
    def line_share(self) -> Share:
        """How many lines ran, at least in part."""
        return Share(sum(line.ran_bytes > 0 for line in self.lines), len(self.lines))

    @property
    def function_share(self) -> Share:
        """How many functions ran."""
        return Share(sum(function.ran for function in self.functions), len(self.functions))

    @property
    def block_share(self) -> Share:
        """How many blocks ran."""
        return Share(sum(block.ran for block in self.blocks), len(self.blocks))

    def missing(self) -> str:
        """Return the lines that did not run, as `12-15, 20`; lines without code join what is around them."""
        return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in self._missing_ranges())

    def _missing_ranges(self) -> list[Range]:
        found: list[Range] = []
        goes_on = False
        for line in self.lines:
            if line.ran_bytes:
                goes_on = False
            elif goes_on:
                found[-1] = found[-1][0], line.number
            else:
                found.append((line.number, line.number))
                goes_on = True
        return found


@record
class CoverageReport:
    """All sources of one guest; `bytes_ran` counts code of any kind, also without lines. `notes` are for the user."""

    guest: str
    sources: tuple[SourceCoverage, ...]
    bytes_ran: int
    notes: tuple[str, ...]
    code: Code

    @classmethod
    def make(cls, guest: str, table: SymbolTable, marks: Marks, code: dict[int, bytes], bits: int) -> "CoverageReport":
        """Return what `marks` say of the lines in `table`; `code` has the bytes of its pieces, where known."""
        builder = _Builder(table, marks, Code(code), bits)
        sources = tuple(builder.source(file) for file in table.files())
        notes = list(table.notes)
        if not sources:
            notes.append(
                f"{guest}: has no source lines; give its ELF file with -g, its NASM listing or its source (--symbols)"
            )
        return cls(guest, tuple(s for s in sources if s.lines), marks.size_bytes, tuple(notes), builder.code)

    @property
    def lines(self) -> Share:
        """How many lines ran, over all sources."""
        return sum((source.line_share for source in self.sources), Share(0, 0))

    @property
    def functions(self) -> Share:
        """How many functions ran."""
        return sum((source.function_share for source in self.sources), Share(0, 0))

    @property
    def blocks(self) -> Share:
        """How many blocks ran."""
        return sum((source.block_share for source in self.sources), Share(0, 0))

    def source(self, name: str) -> SourceCoverage:
        """Return the source whose path is, or ends in, `name`; raises `KeyError`."""
        for source in self.sources:
            if name in (source.file, source.path) or source.path.endswith("/" + name):
                return source
        raise KeyError(f"{self.guest}: no source {name}; there are {', '.join(s.file for s in self.sources)}")

    def as_table(self) -> str:
        """Return a table in plain text: a line for each source, and their sum."""
        return table_of([self])


def table_of(reports: Iterable[CoverageReport]) -> str:
    """Return one table of several guests in plain text, with the notes below it."""
    reports = list(reports)
    heads = ("source", "blocks", "", "lines", "", "functions", "missing lines")
    rows = [_row(_short(source.path), source, source.missing()) for report in reports for source in report.sources]
    if len(rows) > 1:
        whole = [sum((getattr(report, kind) for report in reports), Share(0, 0)) for kind in _KINDS]
        rows.append(("in all", *_shares(*whole), ""))
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [_aligned(row, widths) for row in (heads, *rows)] if rows else []
    return "\n".join([*lines, *dict.fromkeys(note for report in reports for note in report.notes)])


_KINDS = ("blocks", "lines", "functions")


def _row(name: str, source: SourceCoverage, missing: str) -> tuple[str, ...]:
    missing = missing if len(missing) <= 60 else missing[:57].rpartition(",")[0] + ", ..."
    return (name, *_shares(source.block_share, source.line_share, source.function_share), missing)


def _shares(in_blocks: Share, in_lines: Share, in_functions: Share) -> tuple[str, ...]:
    return (
        str(in_blocks), f"{in_blocks.percent:.0f}%", str(in_lines), f"{in_lines.percent:.0f}%", str(in_functions)
    )  # fmt: skip


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers, missing = row
    middle = "  ".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=False))
    return f"{name:<{widths[0]}}  {middle}  {missing}".rstrip()


def _short(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


class _Builder:
    """Makes the `SourceCoverage` of each file."""

    def __init__(self, table: SymbolTable, marks: Marks, code: Code, bits: int) -> None:
        self.table, self.marks, self.code = table, marks, code
        self.bits = Bits(table, bits)
        self._rows: dict[str, list[tuple[int, int, int]]] = {}
        for start, end, file, line in self._code_rows():
            self._rows.setdefault(file, []).append((start, end, line))
        self._blocks = self._blocks_by_file()

    def _code_rows(self) -> Iterator[tuple[int, int, str, int]]:
        """Give the table's rows, without those that lay down data: unless it ran, which makes it code."""
        for start, end, file, line in self.table.line_ranges():
            if not is_data(self.table.line_text(file, line)) or self.marks.count(start, end):
                yield start, end, file, line

    @cached_property
    def _names(self) -> list[tuple[int, str, str]]:
        """Address, name and kind of all that has a name and is no constant."""
        return sorted((s.address, s.name, s.kind) for s in self.table if s.kind != "constant")

    def _blocks_by_file(self) -> dict[str, list[tuple[Block, int]]]:
        rows = sorted((start, end, file, line) for file in self._rows for start, end, line in self._rows[file])
        named = [address for address, _, _ in self._names]
        found: dict[str, list[tuple[Block, int]]] = {}
        place = 0
        for block in blocks(rows, named, self.code.read, self.bits):
            while rows[place][1] <= block.start:
                place += 1
            _, _, file, line = rows[place]
            found.setdefault(file, []).append((block, line))
        return found

    def source(self, file: str) -> SourceCoverage:
        by_line: dict[int, list[Range]] = {}
        for start, end, line in self._rows.get(file, ()):
            by_line.setdefault(line, []).append((start, end))
        lines = tuple(self._line(number, ranges) for number, ranges in sorted(by_line.items()))
        last = lines[-1].number if lines else 0
        return SourceCoverage(
            file,
            place_of(file, self.table),
            lines,
            tuple(self._functions(file, by_line)),
            tuple(self._block(block, line) for block, line in self._blocks.get(file, ())),
            tuple(source_lines(self.table, file, last)) if lines else (),
        )

    def _line(self, number: int, ranges: list[Range]) -> Line:
        ran = sum(self.marks.count(start, end) for start, end in ranges)
        return Line(number, tuple(ranges), sum(end - start for start, end in ranges), ran)

    def _block(self, block: Block, line: int) -> BlockFound:
        start, end = block
        return BlockFound(start, end, line, self.marks.count(start, end) == end - start)

    def _functions(self, file: str, by_line: dict[int, list[Range]]) -> Iterator[Function]:
        """Give what is called a function, and where the symbols know none, the labels of code without a dot."""
        begins = {start: line for line, ranges in by_line.items() for start, _ in ranges}
        wanted = "function" if any(kind == "function" for _, _, kind in self._names) else "label"
        seen: set[int] = set()
        for address, name, kind in self._names:
            line = begins.get(address)
            if line is None or kind != wanted or address in seen or "." in name:
                continue
            seen.add(address)
            yield Function(name, line, address, self.marks.count(address, address + 1) > 0)


def place_of(file: str, table: SymbolTable) -> str:
    """Return where a source is found, as an absolute path; else its name as the symbols spell it."""
    for place in (Path(file), *(folder / part for folder in table.folders for part in (file, Path(file).name))):
        try:
            if place.is_file():
                return str(place.resolve())
        except (OSError, ValueError):
            continue  # A path from a damaged file may be anything.
    return file


__all__ = ["CoverageReport", "Function", "Line", "Share", "SourceCoverage", "table_of"]
