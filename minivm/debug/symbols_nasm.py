"""Symbols and lines from NASM: the listing (`-l`), the map (`[map all file]`), and our own assembler's result.

NASM manual, sections 2.1.3 and 8.1.2. A listing counts from each section's start and has no symbol table: where the
sections lie is worked out as NASM's `bin` format does, or read from the map beside it, and labels are read from the
source text that it repeats.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minivm.debug.code import Assembled
from minivm.debug.nasm_front.expressions import Value, evaluate
from minivm.debug.nasm_front.lines import shown
from minivm.debug.nasm_front.tokens import strip, tokenize
from minivm.debug.symbols_table import Run, SymbolTable
from minivm.errors import AssemblyError, SymbolError

_64_BITS = (1 << 64) - 1

# Maps ------------------------------------------------------------------------------------------------------------

_SUMMARY = re.compile(r"^\s*([0-9A-F]+)\s+([0-9A-F]+)\s+[0-9A-F]+\s+([0-9A-F]+)\s+\w+\s+(\S+)$", re.MULTILINE)
_SYMBOL = re.compile(r"^\s*([0-9A-F]+)(?:\s+([0-9A-F]+))?  (\S+)$", re.MULTILINE)
_SPECIAL = "..@"
"""Names that NASM makes for `%%local` labels begin so."""


def load_map(text: str, name: str) -> SymbolTable:
    """Return the symbols of a map; raises `SymbolError` when it has neither symbols nor sections."""
    table = SymbolTable(name)
    for start, length in _map_sections(text).values():
        table.add_extent(start, start + length)
    for match in _SYMBOL.finditer(text.partition("-- Symbols --")[2]):
        if not match[3].startswith(_SPECIAL):
            # Only what stands in a section has a second column, its address while it runs.
            table.add(shown(match[3]), int(match[2] or match[1], 16), 0, "label" if match[2] else "constant")
    if not table:
        raise SymbolError(f"{name}: has no symbols; put [map all {name.rpartition('/')[2]}] into the source")
    return table


def _map_sections(text: str) -> dict[str, tuple[int, int]]:
    """Return each section's address and length in bytes."""
    summary = text.partition("-- Sections (summary)")[2].partition("-- Sections (detailed)")[0]
    return {match[4]: (int(match[1], 16), int(match[3], 16)) for match in _SUMMARY.finditer(summary)}


# Listings --------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"\s*(?P<number>\d+) (?:(?P<at>[0-9A-F]{8,16}) (?P<code>(?:[^\s<]|<[^>]*>)+)\s?)?")
_TEXT_COLUMN = 40
_DEPTH_COLUMN = 34
_DEPTH = re.compile(r"\s*<(\d+)>\s*$")
_INCLUDE = re.compile(r"""\s*%include\s+["'<`]([^"'>`]+)""", re.IGNORECASE)
_ORG = re.compile(r"\s*\[?\s*org\s+([^\];]+)", re.IGNORECASE)
_SECTION = re.compile(r"\s*\[?\s*(?:section|segment)\s+([\w.$]+)([^\];]*)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"\b(align|vstart|start)\s*=\s*(\S+)", re.IGNORECASE)
_ABSOLUTE = re.compile(r"\s*\[?\s*(absolute|struc)\s+([^\];]+)", re.IGNORECASE)
_END_OF_STRUCTURE = re.compile(r"\s*endstruc\b", re.IGNORECASE)
_NAME = r"\$?[A-Za-z_.?@][\w.$#@~?]*"
_DEFINITION = re.compile(r"\s*%(?:i?r?macro\s+([\w.?@$]+)|rep\b)", re.IGNORECASE)
_DEFINITION_END = re.compile(r"\s*%(?:endm(?:acro)?|endrep)\b", re.IGNORECASE)
_EQU = re.compile(rf"\s*({_NAME})\s*:?\s+equ\s+([^;]+)", re.IGNORECASE)
_LABEL = re.compile(rf"\s*({_NAME})\s*:(?!:)")
_DATA_LABEL = re.compile(rf"\s*({_NAME})\s+(?:times\s.*?\s)?(?:d[bwdqtoyz]|res[bwdqtoyz]|incbin)\b", re.IGNORECASE)
_LONE_LABEL = re.compile(rf"({_NAME})\s*(?:;.*)?")
_NO_LABELS = re.findall(
    r"\w+",
    "endstruc iend struc istruc section segment absolute align alignb bits use16 use32 use64 cpu default global extern "
    "common org at float warning db dw dd dq dt times",
)


@dataclass
class _Section:
    """A section while the listing is read; `rows` are (offset, bytes, file, line), `labels` (name, offset)."""

    name: str
    align: int = 4
    vstart: str = ""
    size: int = 0
    address: int = 0
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    labels: list[tuple[str, int]] = field(default_factory=list)


def load_listing(text: str, name: str, *, origin: int | None = None, map_text: str = "") -> SymbolTable:
    """Return labels and lines of a listing; `map_text`, NASM's map, says where its sections lie.

    Without it they are laid out as NASM does by default. `origin` overrides the source's `org`.
    Raises `SymbolError` when no line of it has code.
    """
    reader = _Reader(name)
    for line in text.split("\n"):
        reader.read(line.rstrip("\r"))
    if not any(section.size for section in reader.sections.values()):
        raise SymbolError(f"{name}: is a listing without code")
    reader.place(origin, map_text if origin is None else "")
    return reader.table


class _Reader:
    """Reads a listing line by line, and lays out its sections at the end."""

    def __init__(self, name: str) -> None:
        self.table = SymbolTable(name)
        self.sections = {".text": _Section(".text", align=1)}
        self.section = self.outer = self.sections[".text"]
        self.structures = _Section("struc")
        self.absolute = _Section("absolute")
        self.origin = 0
        self.parent = ""
        self.constants: dict[str, int] = {}
        self.macros: set[str] = set(_NO_LABELS)
        self.definitions = 0
        self.included: dict[int, str] = {}
        self.texts: dict[str, dict[int, str]] = {}
        self.main = name.removesuffix(".lst") + ".asm" if name.endswith(".lst") else name
        self.file, self.line = self._file(self.main), 0

    def read(self, raw: str) -> None:
        """Take one line: where it comes from, what it says, where its code lies."""
        match = _LINE.match(raw)
        if match is None or raw[7:].lstrip().startswith("*****"):
            return
        text = raw[_TEXT_COLUMN:]
        depth = _DEPTH.match(raw[_DEPTH_COLUMN:_TEXT_COLUMN])
        self._locate(int(match["number"]), int(depth[1]) if depth is not None else 0, text)
        if self._defines(text):
            return
        self._follow(text)
        at, size = self.section.size, 0
        if match["at"]:
            at, size = int(match["at"], 16), _listed_bytes(match["code"])
        self._labels(text, at, has_code=bool(match["at"]))
        if size and self.section.name in self.sections:
            self.section.rows.append((at, size, self.file, self.line))
        self.section.size = max(at, 0) + size

    def _file(self, path: str) -> int:
        return self.table.add_file(path, self.texts.setdefault(path, {}))

    def _locate(self, number: int, depth: int, text: str) -> None:
        """Find file and line; a macro's lines count where its definition is seen, else as the line that calls it."""
        for level in [level for level in self.included if level > depth]:
            del self.included[level]
        if depth == 0 or depth in self.included:
            path = self.included.get(depth, self.main)
            self.file, self.line = self._file(path), number
            if text:
                self.texts[path].setdefault(number, shown(text))
        elif self.texts[self.main].get(number, "").strip() == shown(text).strip():
            self.file, self.line = self._file(self.main), number
        if found := _INCLUDE.match(text):
            self.included[depth + 1] = found[1]

    def _defines(self, text: str) -> bool:
        """Tell whether a line belongs to the definition of a macro or to a %rep's body, which is code only later."""
        opened = _DEFINITION.match(text)
        if opened is not None:
            self.definitions += 1
            if opened[1]:
                self.macros.add(opened[1].lower())
        elif _DEFINITION_END.match(text):
            self.definitions = max(0, self.definitions - 1)
        return self.definitions > 0

    def _follow(self, text: str) -> None:
        """Notice the directives that say where the following lines go."""
        if found := _SECTION.match(text):
            self.section = self.sections.setdefault(found[1], _Section(found[1]))
            for key, value in _ATTRIBUTE.findall(found[2]):
                if key.lower() == "align":
                    self.section.align = max(1, self._number(value) or 1)
                else:
                    self.section.vstart = value
        elif found := _ABSOLUTE.match(text):
            self._leave(found)
        elif _END_OF_STRUCTURE.match(text) and self.section is self.structures:
            self.constants[f"{self.parent}_size"] = self.section.size
            self.section = self.outer
        elif found := _ORG.match(text):
            self.origin = self._number(found[1]) or 0

    def _leave(self, found: re.Match[str]) -> None:
        """Go where nothing is put into the file: to a structure's offsets, or to the addresses after ABSOLUTE."""
        if self.section not in (self.structures, self.absolute):
            self.outer = self.section
        if found[1].lower() == "struc":
            self.section, self.parent = self.structures, shown(found[2].strip())
            self.constants[self.parent] = 0
            self.section.size = 0
        else:
            self.section = self.absolute
            self.section.size = self._number(found[2]) or 0

    def _labels(self, text: str, at: int, *, has_code: bool) -> None:
        if found := _EQU.match(text):
            value = self._number(found[2])
            if value is not None:
                self.constants[self._full(found[1])] = value
            return
        found = _LABEL.match(text) or _DATA_LABEL.match(text)
        if found is None and not has_code:
            found = _LONE_LABEL.fullmatch(text)
        if found is None or found[1].lower() in self.macros or found[1].startswith(_SPECIAL):
            return
        label = self._full(found[1])
        if not found[1].startswith("."):
            self.parent = label
        self.section.labels.append((label, at))

    def _full(self, name: str) -> str:
        """Return a label's whole name: `.x` belongs to the label before it (NASM manual, section 3.9)."""
        name = name.removeprefix("$")
        return shown(self.parent + name if name.startswith(".") and not name.startswith("..") else name)

    def _number(self, text: str) -> int | None:
        """Return an expression of numbers and constants, or None for one with labels."""
        try:
            value = evaluate(strip(tokenize(text)), self._constant)
        except (AssemblyError, RecursionError):
            return None
        return value.number & _64_BITS

    def _constant(self, name: str) -> Value:
        if self._full(name) not in self.constants:
            raise AssemblyError(f"'{name}' is not known")
        return Value(self.constants[self._full(name)])

    # The end -----------------------------------------------------------------------------------------------------

    def place(self, origin: int | None, map_text: str) -> None:
        """Give each section its address, and the table all symbols and lines; a map knows the names better."""
        self._lay_out(self.origin if origin is None else origin)
        known = _map_sections(map_text)
        for section in self.sections.values():
            section.address = known.get(section.name, (section.address, 0))[0]
            self._finish(section, named=not map_text)
        for name, address in self.absolute.labels:
            self.table.add(name, address)
        if map_text:
            self.table.update(load_map(map_text, self.table.name))
            return
        for name, value in (*self.constants.items(), *self.structures.labels):
            self.table.add(name, value, 0, "constant")

    def _lay_out(self, address: int) -> None:
        """Do as NASM's bin format by default: `.text`, the others in their order, `.bss` (no bytes) last."""
        ordered = sorted(self.sections.values(), key=lambda section: (section.name == ".bss", section.name != ".text"))
        for section in ordered:
            address = -(-address // section.align) * section.align
            vstart = self._number(section.vstart) if section.vstart else None
            section.address = address if vstart is None else vstart
            address += section.size
            if section.vstart and vstart is None:
                self.table.notes.append(
                    f"{self.table.name}: where {section.name} lies is not a number; use the map, [map all FILE]"
                )

    def _finish(self, section: _Section, *, named: bool) -> None:
        base = section.address
        self.table.add_extent(base, base + section.size)
        for name, offset in section.labels if named else ():
            self.table.add(name, base + offset)
        rows = [(base + at, size, file << 32 | line) for at, size, file, line in section.rows]
        for run in _runs(rows):
            self.table.add_run(run)


def _listed_bytes(text: str) -> int:
    """Return how many bytes a listing's hexadecimal column stands for."""
    if block := re.match(r"<(?:res|bin) ([0-9A-F]+)h>", text):
        return int(block[1], 16)
    repeat = re.search(r"<rep ([0-9A-F]+)h>", text)
    digits = len(re.sub(r"[^0-9A-F?]", "", text.partition("<")[0]))
    return digits // 2 * (int(repeat[1], 16) if repeat else 1)


def _runs(rows: Iterable[tuple[int, int, int]]) -> list[Run]:
    """Return (address, bytes, key) rows as runs without gaps; a line that goes on is one."""
    runs: list[Run] = []
    addresses: list[int] = []
    keys: list[int] = []
    end = -1
    for address, size, key in sorted(rows):
        if addresses and address != end:
            runs.append(Run(addresses, keys, end, list(zip(keys, addresses, strict=True))))
            addresses, keys = [], []
        if not keys or keys[-1] != key:
            addresses.append(address)
            keys.append(key)
        end = address + size
    if addresses:
        runs.append(Run(addresses, keys, end, list(zip(keys, addresses, strict=True))))
    return runs


# Our own assembler -----------------------------------------------------------------------------------------------


def from_assembled(assembled: Assembled, file: str, lines: Mapping[int, str]) -> SymbolTable:
    """Return the labels and lines of a source that was just assembled; `lines` is its text by line number.

    Code of a macro or an included file belongs to the last line of the source itself.
    """
    table = SymbolTable(file)
    number = table.add_file(file, lines)
    rows, line = [], 0
    for entry in assembled.listing:
        if not lines or lines.get(entry.number, "").strip() == entry.source.strip():
            line = entry.number
        if entry.code:
            rows.append((entry.address, len(entry.code), number << 32 | line))
    for run in _runs(rows):
        table.add_run(run)
    ends = [entry.address + len(entry.code) for entry in assembled.listing if entry.address >= assembled.origin]
    end = max([assembled.origin + len(assembled.code), *ends])
    table.add_extent(assembled.origin, end)
    numbers, variables = _unplaced(entry.source for entry in assembled.listing)
    for name, value in assembled.symbols.items():
        inside = assembled.origin <= value <= end or name in variables
        plain = name in numbers or name.partition(".")[0] in numbers or not inside
        table.add(name, value, 0, "constant" if plain else "label")
    return table


def _unplaced(sources: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the names of plain numbers and structures, and those of variables after ABSOLUTE."""
    numbers: set[str] = set()
    variables: set[str] = set()
    absolute = False
    for source in sources:
        if found := _ABSOLUTE.match(source):
            absolute = found[1].lower() == "absolute"
            if not absolute:
                numbers |= {found[2].strip(), f"{found[2].strip()}_size"}
        elif _SECTION.match(source) or _END_OF_STRUCTURE.match(source):
            absolute = False
        elif (found := _EQU.match(source)) and not found[1].startswith("."):
            numbers.add(found[1].removeprefix("$"))
        elif absolute and (found := _LABEL.match(source) or _DATA_LABEL.match(source)):
            variables.add(found[1].removeprefix("$"))
    return numbers, variables
