"""Symbols in plain text: `nm` output, System.map, Bochs symbol files, and the map that GNU ld writes with -Map.

Each line of the first kind is an address in hexadecimal, then perhaps a size and nm's type letter, then the name.
"""

import re

from minivm.debug.symbols_table import SymbolTable
from minivm.errors import SymbolError

_LINE = re.compile(
    r"\s*(?:0[xX])?([0-9A-Fa-f]{1,16})h?(?:\s+(?:0[xX])?([0-9A-Fa-f]{8,16}))?"
    r"(?:\s+([A-Za-z?-]))?\s+([^\s\d]\S*)(?:\s+\[\w+\])?\s*"
)
_NOTHING = re.compile(r"\s*(?:[#;].*)?|\s+[UwWv]\s+\S+\s*|\S+:\s*")
"""Lines without an address: blank, a comment, an undefined symbol, the name of the file that follows."""
_KINDS = {"t": "function", "w": "function", "i": "function", "a": "constant"} | dict.fromkeys("bdrgsv", "object")
_LD_MAP = "Linker script and memory map"
_LD_SYMBOL = re.compile(r"\s+0x([0-9a-f]{8,16})\s+(?:PROVIDE \()?([A-Za-z_.$][\w.$@]*)(?: = .*)?")
_LD_SECTION = re.compile(r"(?:\.\S+)?\s+0x([0-9a-f]{8,16})\s+0x([0-9a-f]+)")


def load_text(text: str, name: str) -> SymbolTable:
    """Return the symbols in `text`; raises `SymbolError` with file and line for one that is not of these formats."""
    table = SymbolTable(name)
    if _LD_MAP in text:
        _load_ld_map(text.partition(_LD_MAP)[2], table)
    else:
        _load_lines(text, name, table)
    if not table:
        raise SymbolError(f"{name}: has no symbols")
    return table


def _load_lines(text: str, name: str, table: SymbolTable) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found is not None:
            address, size, letter, symbol = found.groups()
            # A lower-case letter is a local symbol, and its kind is that of the same letter in upper case.
            kind = _KINDS.get(letter.lower(), "label") if letter else "label"
            table.add(symbol, int(address, 16), int(size, 16) if size else 0, kind)
        elif _NOTHING.fullmatch(line) is None:
            shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line.strip()[:40])
            raise SymbolError(f"{name}:{number}: '{shown}' is not an address in hexadecimal and a name")


def _load_ld_map(text: str, table: SymbolTable) -> None:
    for line in text.splitlines():
        if found := _LD_SYMBOL.fullmatch(line):
            table.add(found[2], int(found[1], 16), 0, "label")
        elif (found := _LD_SECTION.fullmatch(line)) and int(found[1], 16):
            start = int(found[1], 16)
            table.add_extent(start, start + int(found[2], 16))
