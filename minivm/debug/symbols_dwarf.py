"""DWARF's line number programs, versions 2 to 5: which source line each address of the code comes from.

DWARF 5, section 6.2, and the same section of the versions before. This is read here and not by pyelftools for its speed
(a kernel of 1 MB has several 100,000 opcodes, and an object of each takes ten seconds), and because a count in a
damaged header must not be believed.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from minivm.debug.symbols_table import Run

_PATH, _DIRECTORY = 1, 2  # DW_LNCT_path, DW_LNCT_directory_index
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}  # DW_FORM_data1, 2, 4, 8, 16
_FORM_STRP, _FORM_LINE_STRP = 0x0E, 0x1F


def line_programs(
    lines: bytes, line_strings: bytes, strings: bytes, folders: Callable[[], Mapping[int, str]]
) -> "Iterator[LineProgram]":
    """Yield the programs in `.debug_line`; `folders` is asked for units' directories by program, before version 5.

    Raises `ValueError` or `IndexError` for damaged ones.
    """
    known: Mapping[int, str] | None = None
    start = 0
    while start < len(lines):
        reader = _Reader(lines, start, line_strings, strings)
        version = reader.begin()
        if not 2 <= version <= 5:
            raise ValueError(f"line program of version {version}")
        if version < 5 and known is None:
            known = folders()
        yield reader.program(version, (known or {}).get(start, ""))
        start = reader.end


class _Reader:
    """Reads one program's header (DWARF 5, section 6.2.4)."""

    def __init__(self, data: bytes, at: int, line_strings: bytes, strings: bytes) -> None:
        self.data = data
        self.at = at
        self.pools = {_FORM_LINE_STRP: line_strings, _FORM_STRP: strings}
        self.wide = 4
        self.end = len(data)

    def begin(self) -> int:
        """Read length and version."""
        length = self.number(4)
        if length == 0xFFFF_FFFF:
            self.wide = 8
            length = self.number(8)
        self.end = self.at + length
        if self.end > len(self.data):
            raise ValueError("a line program ends behind its section")
        return self.number(2)

    def program(self, version: int, folder: str) -> "LineProgram":
        """Read the rest of the header."""
        if version >= 5:
            self.number(2)  # sizes of addresses and segment selectors
        header_bytes = self.number(self.wide)
        code_start = self.at + header_bytes
        shortest = self.number(1)
        if version >= 4:
            self.number(1)  # operations in a VLIW instruction
        is_statement = bool(self.number(1))
        line_base = (self.number(1) ^ 0x80) - 0x80
        line_range, opcode_base = self.number(1), self.number(1)
        lengths = [0, *(self.number(1) for _ in range(opcode_base - 1))]
        files = self._files_new() if version >= 5 else self._files_old(folder)
        code = self.data[code_start : self.end]
        return LineProgram(files, code, shortest, is_statement, line_base, line_range, opcode_base, lengths)

    def number(self, size: int) -> int:
        """Read a number of `size` bytes."""
        self.at += size
        if self.at > self.end:
            raise ValueError("a line program's header is cut off")
        return int.from_bytes(self.data[self.at - size : self.at], "little")

    def unsigned(self) -> int:
        """Read a ULEB128 number."""
        value, self.at = _unsigned(self.data, self.at)
        return value

    def text(self) -> str:
        """Read a string that ends with a zero byte."""
        start, end = self.at, self.data.index(0, self.at)
        self.at = end + 1
        return self.data[start:end].decode("utf-8", "replace")

    # Versions 2 to 4 ---------------------------------------------------------------------------------------------

    def _files_old(self, folder: str) -> list[str]:
        """Read the two lists, whose numbers begin at 1; directory 0 is the unit's own."""
        directories = ["."]
        while name := self.text():
            directories.append(name)
        files = ["?"]
        while name := self.text():
            index = self.unsigned()
            self.unsigned(), self.unsigned()  # time and size
            files.append(_joined(folder, _at(directories, index), name))
        return files

    # Version 5 ---------------------------------------------------------------------------------------------------

    def _files_new(self) -> list[str]:
        """Read the two tables, which say themselves what is in them; directory 0 is the unit's own."""
        directories = [name for name, _ in self._entries()]
        own = directories[0] if directories else ""
        return [_joined(own, _at(directories, index), name) for name, index in self._entries()]

    def _entries(self) -> list[tuple[str, int]]:
        formats = [(self.unsigned(), self.unsigned()) for _ in range(self.number(1))]
        count = self.unsigned()
        if count and (not formats or count > self.end - self.at):
            raise ValueError(f"{count} entries in a line program's header")
        entries = []
        for _ in range(count):
            entry: dict[int, str | int] = {content: self._value(form) for content, form in formats}
            name, index = entry.get(_PATH, "?"), entry.get(_DIRECTORY, 0)
            entries.append((str(name), index if isinstance(index, int) else 0))
        return entries

    def _value(self, form: int) -> str | int:
        if form in self.pools:
            pool, start = self.pools[form], self.number(self.wide)
            return pool[start : pool.index(0, start)].decode("utf-8", "replace")
        if form in _FIXED:
            return self.number(_FIXED[form])
        match form:
            case 0x08:  # DW_FORM_string
                return self.text()
            case 0x0F:  # DW_FORM_udata
                return self.unsigned()
            case 0x09:  # DW_FORM_block
                self.number(self.unsigned())
                return 0
        raise ValueError(f"form {form:#x} in a line program's header")


def _at(directories: Sequence[str], index: int) -> str:
    return directories[index] if index < len(directories) else "."


def _joined(folder: str, directory: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, directory, name))


@dataclass(frozen=True, slots=True)
class LineProgram:
    """One program: its source `files` by number, its opcodes, and the header fields that those need."""

    files: list[str]
    code: bytes
    shortest: int
    is_statement: bool
    line_base: int
    line_range: int
    opcode_base: int
    lengths: list[int]

    def runs(self, numbers: Sequence[int]) -> list[Run]:
        """Return the program's sequences, each with what changes from row to row only.

        `numbers` are the table's numbers of `files`.
        """
        code, special, base = self.code, self._special(), self.opcode_base
        highs = [number << 32 for number in numbers]
        found: list[Run] = []
        place, end = 0, len(code)
        address, file, line, is_statement = 0, 1, 1, self.is_statement
        addresses: list[int] = []
        keys: list[int] = []
        stops: list[tuple[int, int]] = []
        key = last_key = last_stop = -1
        high = highs[file] if file < len(highs) else -1
        # One loop and no calls: this is what the time of loading a kernel goes into.
        while place < end:
            opcode = code[place]
            place += 1
            if opcode >= base:
                forward, down = special[opcode - base]
                address += forward
                line += down
            elif opcode == 5:  # DW_LNS_set_column
                while code[place] & 0x80:
                    place += 1
                place += 1
                continue
            elif opcode == 6:  # DW_LNS_negate_stmt
                is_statement = not is_statement
                continue
            elif opcode == 3:  # DW_LNS_advance_line
                value, place = _signed(code, place)
                line += value
                continue
            elif opcode == 1:  # DW_LNS_copy
                pass
            elif opcode == 0:  # extended
                length, place = _unsigned(code, place)
                kind, start, place = code[place], place + 1, place + length
                if kind == 2:  # DW_LNE_set_address
                    address = int.from_bytes(code[start:place], "little")
                    continue
                if kind == 1:  # DW_LNE_end_sequence
                    if addresses and address > addresses[0]:
                        found.append(_finished(addresses, keys, address, stops))
                    address, file, line, is_statement = 0, 1, 1, self.is_statement
                    addresses, keys, stops = [], [], []
                    last_key = last_stop = -1
                    high = highs[file] if file < len(highs) else -1
                continue
            elif opcode == 2:  # DW_LNS_advance_pc
                value, place = _unsigned(code, place)
                address += value * self.shortest
                continue
            elif opcode == 4:  # DW_LNS_set_file
                file, place = _unsigned(code, place)
                high = highs[file] if file < len(highs) else -1
                continue
            elif opcode == 8:  # DW_LNS_const_add_pc
                address += special[255 - base][0]
                continue
            elif opcode == 9:  # DW_LNS_fixed_advance_pc
                address += int.from_bytes(code[place : place + 2], "little")
                place += 2
                continue
            else:  # one that needs nothing here, or that this version does not know
                for _ in range(self.lengths[opcode]):
                    _, place = _unsigned(code, place)
                continue
            key = high | line if line > 0 and high >= 0 else -1  # line 0 is code that belongs to no line
            if key != last_key:
                addresses.append(address)
                keys.append(key)
                last_key = key
            if is_statement and key != last_stop and key >= 0:
                stops.append((key, address))
                last_stop = key
        return found

    def _special(self) -> list[tuple[int, int]]:
        """Return what each opcode from `opcode_base` on adds to address and line (DWARF 5, section 6.2.5.1)."""
        count, spread = 256 - self.opcode_base, self.line_range or 1
        return [((code // spread) * self.shortest, self.line_base + code % spread) for code in range(count)]


def _finished(addresses: list[int], keys: list[int], end: int, stops: list[tuple[int, int]]) -> Run:
    """Return a sequence whose addresses go up; a damaged one is sorted."""
    if any(left > right for left, right in pairwise(addresses)):
        pairs = sorted(zip(addresses, keys, strict=True))
        addresses, keys = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return Run(addresses, keys, max(end, addresses[-1]), stops)


def _unsigned(code: bytes, place: int) -> tuple[int, int]:
    """Return a ULEB128 number and where it ends (DWARF 5, section 7.6)."""
    value = shift = 0
    while True:
        byte = code[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place


def _signed(code: bytes, place: int) -> tuple[int, int]:
    value, end = _unsigned(code, place)
    bits = 7 * (end - place)
    return (value - (1 << bits) if code[end - 1] & 0x40 else value), end
