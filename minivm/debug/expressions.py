"""The debugger's language: conditions, watches, and addresses, as `eax == 3 and [ds:si] != 0` or `07C0:0010`.

Numbers and names are NASM's, operators are C's and Python's (docs/expressions.md has the grammar). `compile_expression`
reads a text once and makes closures of it, since a breakpoint's condition is asked at every hit.

    compile_expression("word [es:di+2] & 0xFF00 == 0x0700").evaluate(context)
    parse_address("kernel.c:42", context, symbols)

Arithmetic is done on numbers from -2^63 to 2^64-1: registers and memory are unsigned, `-1` and `s32(eax)` may be
negative. What leaves that range wraps around at 64 bits, and `==` compares 64 bits: `rax == -1` is what it says.
"""

import re
from typing import TYPE_CHECKING

from minivm.core.record import record
from minivm.debug.expressions_context import REGISTERS, Context, CpuContext, mode_number
from minivm.debug.expressions_parser import BITS_64, LONGEST_TEXT, Node, Parser, Place, did_you_mean, error_at, shown

if TYPE_CHECKING:
    from minivm.debug.symbols_table import SymbolTable


@record
class Address:
    """An address that somebody typed: `kind` is "linear", "physical" or "segmented".

    `value` is the linear address, or the physical one when `kind` says so. `selector` and `offset` are set for
    "segmented". `text` is what was typed.
    """

    kind: str
    value: int
    selector: int | None
    offset: int | None
    text: str

    def __str__(self) -> str:
        match self.kind:
            case "segmented":
                return f"{self.selector:04X}:{self.offset:04X}"
            case "physical":
                return f"phys:{self.value:08X}"
        return f"{self.value:08X}"


class Expression:
    """A text that was understood; `evaluate` it as often as you like. `registers` are the names that it uses."""

    def __init__(self, text: str, node: Node, registers: frozenset[str]) -> None:
        self.text = text
        self.registers = registers
        self._node = node

    def evaluate(self, context: Context) -> int:
        """Return the value now, -2^63 to 2^64-1.

        Raises `ExpressionError` for a division by zero, a selector without a segment, and unreadable memory.
        """
        return self._node.run(context)

    def place(self, context: Context) -> Place | None:
        """Return the memory or register that the whole expression is, or None when it computes something."""
        return self._node.place(context) if self._node.place is not None else None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compile_expression(text: str, symbols: "SymbolTable | None" = None) -> Expression:
    """Read an expression whose names are registers and `symbols`; raises `ExpressionError` of one line."""
    parser = Parser(text, symbols)
    node = parser.ternary()
    parser.expect_end()
    return Expression(text, node, frozenset(parser.registers))


def parse_address(text: str, context: Context, symbols: "SymbolTable | None" = None) -> Address:
    """Return the address that `text` names now; raises `ExpressionError` of one line.

    `0x7c00` and `main+4` are linear, `07C0:0000` and `cs:ip` segmented, `phys:0x1000` physical, `kernel.c:42` is the
    first code of that source line or of the next one that has any.
    """
    if (named := _named_whole(text, symbols)) is not None:
        return Address("linear", named, None, None, text)
    physical = _PHYSICAL.match(text)
    parser = Parser(text, symbols, start=physical.end() if physical else 0)
    spot = parser.spot()
    parser.expect_end()
    selector, offset, value = spot.selector_offset_linear(context)
    if physical is not None:
        if selector is not None:
            raise parser.error(physical.end(), "a physical address has no segment")
        return Address("physical", spot.offset.run(context) & BITS_64, None, None, text)
    if selector is not None:
        return Address("segmented", value, selector, offset, text)
    return Address("linear", value, None, None, text)


_PHYSICAL = re.compile(r"\s*phys\s*:", re.IGNORECASE)
_SOURCE_LINE = re.compile(r"\s*(.*[^\W\d][^:]*):\s*(\d{1,9})\s*", re.DOTALL)


def _named_whole(text: str, symbols: "SymbolTable | None") -> int | None:
    """Return the address of a source line, or of a symbol whose name is no name in expressions (`file.c:init`)."""
    if symbols is not None and ":" in text and (symbol := symbols.lookup(text.strip())) is not None:
        return symbol.address
    found = _SOURCE_LINE.fullmatch(text) if len(text) <= LONGEST_TEXT else None
    if found is None:
        return None
    file, line = found[1].strip(), int(found[2])
    known = symbols.files() if symbols is not None else ()
    if not any(path == file or path.endswith("/" + file) for path in known):
        looks_like_file = re.fullmatch(r"[^\[\]()]*\w\.[A-Za-z]\w*", file) and "phys" not in file.lower()
        if not looks_like_file or (symbols is not None and symbols.lookup(file) is not None):
            return None
        if not known:
            raise error_at(text, 0, f"no source lines are known for '{shown(file)}'; load symbols that have lines")
        short = sorted({path.rpartition("/")[2] for path in known})
        raise error_at(
            text, 0, f"no code comes from '{shown(file)}'{did_you_mean(file, short) or '; some does from ' + short[0]}"
        )
    assert symbols is not None
    address = symbols.address_of_line(file, line)
    if address is None:
        raise error_at(text, found.start(2), f"{shown(file)} has no code at line {line} or below")
    return address


__all__ = [
    "REGISTERS",
    "Address",
    "Context",
    "CpuContext",
    "Expression",
    "Place",
    "compile_expression",
    "mode_number",
    "parse_address",
]
