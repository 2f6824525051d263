"""Reads one expression of the debugger's language and makes closures of it: precedence climbing over a token list."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from minivm.core.record import record
from minivm.debug.expressions_context import COUNTERS, REAL, REGISTERS, SEGMENTS, VM86, Context, descriptor_base
from minivm.debug.nasm_front.tokens import number
from minivm.errors import AssemblyError, ExpressionError, MiniVMError

if TYPE_CHECKING:
    from minivm.debug.symbols_table import Symbol, SymbolTable

LONGEST_TEXT = 1000
MOST_OPERANDS = 150
DEEPEST = 25
BITS_64 = (1 << 64) - 1
BITS_32 = (1 << 32) - 1


@record
class Place:
    """What an expression names, when it is one thing that can be watched or changed.

    `kind` is "linear" or "physical" (then `address` and `size` in bytes hold) or "register" (then `name` does).
    """

    kind: str
    address: int = 0
    size: int = 0
    name: str = ""


_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8}
_WORDS = frozenset(("and", "or", "not", "ptr", *_SIZES))


Run = Callable[[Context], int]


class Node(NamedTuple):
    """A part of an expression: its value, the width in bits of the widest register in it, and what it names."""

    run: Run
    width: int = 0
    place: Callable[[Context], Place] | None = None


class Spot(NamedTuple):
    """What stands in brackets, or is an address: an offset, in a segment when `segment` is there.

    `segment` returns selector and base.
    """

    offset: Node
    segment: Callable[[Context], tuple[int, int]] | None = None

    def selector_offset_linear(self, context: Context) -> tuple[int | None, int, int]:
        """Return the selector (None without a segment), the offset and the linear address, wrapped as the CPU does."""
        value, width = self.offset.run(context), self.offset.width
        if self.segment is None:
            linear = value & _linear_mask(context, value, width)
            return None, linear, linear
        selector, base = self.segment(context)
        bits = width or (context.register("bits") if value < 0 else 64)
        offset = value & (1 << max(bits, 16)) - 1
        return selector, offset, base + offset & (BITS_64 if context.register("bits") == 64 else BITS_32)


def _linear_mask(context: Context, value: int, width: int) -> int:
    """Return where a linear address wraps; a 64-bit symbol stays whole even before the guest enters long mode."""
    if 0 < width <= 32 or (value < 0 and context.register("bits") != 64):
        return BITS_32
    return BITS_64


# -- errors ---------------------------------------------------------------------------------------------------------


def shown(text: str) -> str:
    """Return a piece of the user's text fit for one line of a message."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean if len(clean) <= 60 else clean[:57] + "..."


def error_at(text: str, position: int, message: str) -> ExpressionError:
    """Return the error for what stands in `text` at `position`, which counts from 0."""
    return ExpressionError(f"'{shown(text)}', column {position + 1}: {message}", position + 1)


def _chosen(symbol: "Symbol") -> str:
    """Return how to tell one of several symbols of a name: its full name, its file, its address."""
    name = f"{symbol.file.rpartition('/')[2]}:{symbol.name}" if symbol.file else symbol.name
    return f"{shown(name)} ({symbol.address:#x})"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the name nearest to `name`, or nothing."""
    from difflib import get_close_matches

    lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), lower, 1)
    return f"; did you mean {lower[close[0]]}?" if close else ""


# -- the operators --------------------------------------------------------------------------------------------------


def _wrap(value: int) -> int:
    """Bring a result back into -2^63 … 2^64-1."""
    return value if -(1 << 63) <= value <= BITS_64 else value & BITS_64


def _quotient(left: int, right: int) -> int:
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def _equal(left: int, right: int) -> int:
    return int(not (left ^ right) & BITS_64)


_BINARY: dict[str, tuple[int, Callable[[int, int], int]]] = {
    "==": (4, _equal),
    "!=": (4, lambda a, b: 1 - _equal(a, b)),
    "<": (4, lambda a, b: int(a < b)),
    "<=": (4, lambda a, b: int(a <= b)),
    ">": (4, lambda a, b: int(a > b)),
    ">=": (4, lambda a, b: int(a >= b)),
    "|": (5, lambda a, b: a | b),
    "^": (6, lambda a, b: a ^ b),
    "&": (7, lambda a, b: a & b),
    "<<": (8, lambda a, b: a << b if 0 <= b < 64 else 0),
    ">>": (8, lambda a, b: a >> min(b & BITS_64, 64)),
    "+": (9, lambda a, b: a + b),
    "-": (9, lambda a, b: a - b),
    "*": (10, lambda a, b: a * b),
    "/": (10, _quotient),
    "%": (10, lambda a, b: a - b * _quotient(a, b)),
}
"""How tightly each operator binds, and what it does. Comparisons are looser than `&`, as in NASM and unlike in C."""

_OR, _AND, _NOT, _COMPARISON, _TIGHTEST = 1, 2, 3, 4, 10
_UNARY: dict[str, Callable[[int], int]] = {
    "-": lambda a: _wrap(-a),
    "+": lambda a: a,
    "~": lambda a: _wrap(~a),
    "!": lambda a: int(not a),
}


def _cast(bits: int, signed: bool) -> Callable[[int], int]:
    half, mask = 1 << bits - 1, (1 << bits) - 1
    if signed:
        return lambda value: ((value & mask) ^ half) - half
    return lambda value: value & mask


_CASTS = {f"{letter}{bits}": _cast(bits, letter == "s") for letter in "su" for bits in (8, 16, 32, 64)} | {
    "signed": _cast(64, True),
    "unsigned": _cast(64, False),
}


# -- the parser -----------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'[^']*'|"[^"]*")
    |(?P<number>\$?[0-9][0-9A-Za-z_]*)
    |(?P<name>\$?[^\W\d][\w.$@]*|\$?\.[\w.$@]+)
    |(?P<operator><<|>>|<=|>=|==|!=|&&|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)
_FAR = re.compile(r"\s*([0-9A-Fa-f]{1,4}):([0-9A-Fa-f]{1,8})\s*(?=[\]+-]|$)")
_SAME_AS = {"&&": "and", "||": "or"}
_HEX = re.compile(r"[0-9A-Fa-f]+")


class _Token(NamedTuple):
    kind: str  # a group of the pattern above, or "end"
    text: str
    at: int


class Parser:
    """Reads one text by precedence climbing."""

    def __init__(self, text: str, symbols: "SymbolTable | None", start: int = 0) -> None:
        self.text = text
        self.symbols = symbols
        self.registers: set[str] = set()
        self._depth = self._operands = 0
        if len(text) > LONGEST_TEXT:
            raise self.error(LONGEST_TEXT, f"an expression has at most {LONGEST_TEXT} characters")
        self._tokens = [
            _Token(match.lastgroup or "", match.group(), match.start())
            for match in _TOKEN.finditer(text, start)
            if match.lastgroup != "space"
        ]
        self._tokens.append(_Token("end", "", len(text)))
        self._position = 0

    # Tokens ------------------------------------------------------------------------------------------------------

    def error(self, position: int, message: str) -> ExpressionError:
        """Return the error for what stands at `position`, which counts from 0."""
        return error_at(self.text, position, message)

    @property
    def _now(self) -> _Token:
        return self._tokens[self._position]

    def _next(self) -> _Token:
        token = self._tokens[self._position]
        self._position += token.kind != "end"
        return token

    def _take(self, text: str) -> bool:
        """Step over an operator or word when it is the next token."""
        token = self._now
        if token.text.lower() != text or token.kind not in ("operator", "name"):
            return False
        self._position += 1
        return True

    def _expect(self, text: str, opened: _Token) -> None:
        if not self._take(text):
            if self._now.kind == "end":
                raise self.error(
                    self._now.at, f"a closing '{text}' is missing for '{opened.text}' in column {opened.at + 1}"
                )
            raise self._unexpected(self._now)

    def expect_end(self) -> None:
        """Raise unless the whole text was read."""
        if self._now.kind != "end":
            raise self._unexpected(self._now)

    def _unexpected(self, token: _Token) -> ExpressionError:
        if token.text == "=":
            return self.error(token.at, "a single '=' does not compare; write '=='")
        return self.error(token.at, f"'{shown(token.text)}' is not expected here")

    # Operators ---------------------------------------------------------------------------------------------------

    def ternary(self) -> Node:
        """Read a whole expression: `a`, or `a ? b : c`."""
        self._deeper()
        test = self._binary(_OR)
        if self._take("?"):
            yes = self.ternary()
            if not self._take(":"):
                raise self.error(self._now.at, "the ':' of '?' is missing")
            no = self.ternary()
            test = Node(_choose(test.run, yes.run, no.run), max(yes.width, no.width))
        self._depth -= 1
        return test

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.error(self._now.at, f"an expression is nested at most {DEEPEST} deep")

    def _operator(self) -> tuple[str, int]:
        """Return the binary operator that is next, and how tightly it binds; 0 when none is."""
        token = self._now
        name = _SAME_AS.get(token.text, token.text.lower())
        if token.kind == "operator" and name in _BINARY:
            return name, _BINARY[name][0]
        return name, {"or": _OR, "and": _AND}.get(name, 0)

    def _binary(self, loosest: int) -> Node:
        left = self._not() if loosest <= _NOT else self._unary()
        compared = False
        while True:
            name, level = self._operator()
            if level < loosest:
                return left
            token = self._next()
            if compared and level == _COMPARISON:
                raise self.error(token.at, "comparisons do not chain; write 'a < b and b < c'")
            compared = level == _COMPARISON
            left = self._joined(name, token, left, self._binary(level + 1))

    def _not(self) -> Node:
        """Read `not a`, which takes a whole comparison as in Python."""
        if not self._take("not"):
            return self._unary()
        self._deeper()
        run = self._binary(_COMPARISON).run if self._now.text.lower() != "not" else self._not().run
        self._depth -= 1
        return Node(lambda context: int(not run(context)))

    def _joined(self, name: str, token: _Token, left: Node, right: Node) -> Node:
        a, b, width = left.run, right.run, max(left.width, right.width)
        if name == "and":
            return Node(lambda context: int(bool(a(context) and b(context))))
        if name == "or":
            return Node(lambda context: int(bool(a(context) or b(context))))
        level, apply = _BINARY[name]
        if level == _COMPARISON:
            return Node(lambda context: apply(a(context), b(context)))
        if name in "/%":
            return Node(self._division(apply, a, b, token), width)
        return Node(lambda context: _wrap(apply(a(context), b(context))), width)

    def _division(self, apply: Callable[[int, int], int], a: Run, b: Run, token: _Token) -> Run:
        def run(context: Context) -> int:
            divisor = b(context)
            if divisor == 0:
                raise self.error(token.at, "division by zero")
            return _wrap(apply(a(context), divisor))

        return run

    def _unary(self) -> Node:
        token = self._now
        if token.kind != "operator" or token.text not in _UNARY:
            return self._operand()
        self._position += 1
        self._deeper()
        node = self._unary()
        self._depth -= 1
        apply, run = _UNARY[token.text], node.run
        return Node(lambda context: apply(run(context)), node.width)

    # Operands ----------------------------------------------------------------------------------------------------

    def _operand(self) -> Node:
        self._operands += 1
        token = self._next()
        if self._operands > MOST_OPERANDS:
            raise self.error(token.at, f"an expression has at most {MOST_OPERANDS} operands")
        match token.kind:
            case "number" | "string":
                return self._constant(token)
            case "name":
                return self._word(token)
            case "end":
                raise self.error(token.at, "a value is missing at the end")
        match token.text:
            case "(":
                node = self.ternary()
                self._expect(")", token)
                return node
            case "[":
                return self._memory(token, 0)
            case "%" if self._now.text.lower() in REGISTERS:
                return self._register(self._next().text.lower())
            case "'" | '"':
                raise self.error(token.at, "a quote is opened and not closed")
        if token.text in _BINARY or token.text in "?:)]=":
            raise self.error(token.at, f"a value is missing before '{token.text}'")
        raise self._unexpected(token)

    def _constant(self, token: _Token) -> Node:
        if token.kind == "string":
            body = token.text[1:-1]
            if len(body) > 8 or not body.isascii():
                raise self.error(token.at, "a character constant has at most 8 characters, all ASCII")
            value = int.from_bytes(body.encode(), "little")
        else:
            value = self._number(token)
        return Node(lambda context: value)

    def _number(self, token: _Token) -> int:
        try:
            value = number(token.text)
        except AssemblyError:
            hint = f"; write 0x{token.text} for hexadecimal" if _HEX.fullmatch(token.text) else ""
            raise self.error(token.at, f"'{shown(token.text)}' is no number{hint}") from None
        if value > BITS_64:
            raise self.error(token.at, f"'{shown(token.text)}' has more than 64 bits")
        return value

    def _word(self, token: _Token) -> Node:
        name = token.text.lower()
        followed = self._now.text
        if name in _SIZES:
            return self._sized(token, _SIZES[name])
        if name == "phys" and followed == "[":
            return self._physical(0)
        if name in _CASTS and followed == "(":
            return self._cast(_CASTS[name])
        if name in _WORDS:
            raise self.error(token.at, f"a value is missing before '{token.text}'")
        return self._named(token)

    def _cast(self, apply: Callable[[int], int]) -> Node:
        opened = self._next()
        run = self.ternary().run
        self._expect(")", opened)
        return Node(lambda context: apply(run(context)))

    def _sized(self, token: _Token, size: int) -> Node:
        self._take("ptr")
        opened = self._next()
        if opened.text == "[":
            return self._memory(opened, size)
        if opened.text.lower() == "phys" and self._now.text == "[":
            return self._physical(size)
        raise self.error(opened.at, f"'[' is expected after '{token.text}'")

    # Names -------------------------------------------------------------------------------------------------------

    def _named(self, token: _Token) -> Node:
        """Find a name: a register, else a symbol; with a `$`, a symbol, else a register."""
        name = token.text.removeprefix("$")
        is_register = name.lower() in REGISTERS
        symbol = self.symbols.lookup(name) if self.symbols is not None else None
        if symbol is not None and (name != token.text or not is_register):
            address = symbol.address
            return Node(lambda context: address)
        if not is_register:
            raise self._unknown(token, name)
        if symbol is not None and name.lower() in COUNTERS:
            raise self.error(token.at, f"'{name}' is a symbol and a counter; write ${name} or %{name}")
        return self._register(name.lower())

    def _register(self, name: str) -> Node:
        self.registers.add(name)
        place = Place("register", name=name)
        return Node(lambda context: context.register(name), REGISTERS[name], lambda context: place)

    def _unknown(self, token: _Token, name: str) -> ExpressionError:
        same = self.symbols.matches(name) if self.symbols is not None else ()
        if len(same) > 1:
            choices = ", ".join(_chosen(symbol) for symbol in same[:4])
            return self.error(token.at, f"'{shown(name)}' is ambiguous: {choices}{', ...' if len(same) > 4 else ''}")
        known = [*REGISTERS, *(self.symbols.names() if self.symbols is not None else ())]
        hint = did_you_mean(name, known)
        if not hint and re.fullmatch(r"[0-9A-Fa-f]+h?", name):
            hint = f"; a number begins with a digit: 0x{name.rstrip('hH')}"
        return self.error(token.at, f"there is no register and no symbol '{shown(name)}'{hint}")

    # Memory ------------------------------------------------------------------------------------------------------

    def spot(self) -> Spot:
        """Read an address: `offset`, or `segment:offset`; two bare groups of digits are hexadecimal, as printed."""
        far = _FAR.match(self.text, self._now.at)
        if far is not None:
            selector = _constant_node(int(far[1], 16))
            while self._now.at < far.end(2):
                self._position += 1
            tail = self._sum_after(int(far[2], 16))
            return Spot(tail, self._selected(selector, far.start(1)))
        token = self._now
        name = token.text.lower()
        if name in SEGMENTS and self._tokens[self._position + 1].text == ":":
            self._position += 2
            self.registers.add(name)
            return Spot(self.ternary(), _segment_register(name))
        first = self.ternary()
        if not self._take(":"):
            return Spot(first)
        return Spot(self.ternary(), self._selected(first, token.at))

    def _sum_after(self, start: int) -> Node:
        """Read what may follow the digits of `07C0:0010`: `+ 4 - si`."""
        node = _constant_node(start)
        while self._now.text in ("+", "-") and self._now.kind == "operator":
            token = self._next()
            node = self._joined(token.text, token, node, self._binary(_TIGHTEST))
        return node

    def _memory(self, opened: _Token, size: int) -> Node:
        spot = self.spot()
        self._expect("]", opened)

        def place(context: Context) -> Place:
            length = size or (2 if context.register("bits") == 16 else 4)
            return Place("linear", spot.selector_offset_linear(context)[2], length)

        def run(context: Context) -> int:
            where = place(context)
            return self._loaded(context.load, where, opened)

        return Node(run, size * 8 or 32, place)

    def _physical(self, size: int) -> Node:
        opened = self._next()
        address = self.ternary()
        self._expect("]", opened)

        def place(context: Context) -> Place:
            length = size or (2 if context.register("bits") == 16 else 4)
            return Place("physical", address.run(context) & BITS_64, length)

        def run(context: Context) -> int:
            return self._loaded(context.load_physical, place(context), opened)

        return Node(run, size * 8 or 32, place)

    def _loaded(self, load: Callable[[int, int], int], where: Place, opened: _Token) -> int:
        try:
            return load(where.address, where.size)
        except MiniVMError as error:
            raise self.error(opened.at, f"{where.kind} {where.address:08X}h cannot be read: {error}") from error

    def _selected(self, node: Node, at: int) -> Callable[[Context], tuple[int, int]]:
        """Return what finds the base of a selector that was given as a number."""

        def segment(context: Context) -> tuple[int, int]:
            selector = node.run(context)
            if not 0 <= selector <= 0xFFFF:
                raise self.error(at, f"{selector:X}h is no selector; those have 16 bits")
            if context.register("mode") in (REAL, VM86):
                return selector, selector << 4
            try:
                return selector, descriptor_base(context, selector)
            except MiniVMError as error:
                raise self.error(at, str(error)) from error

        return segment


def _constant_node(value: int) -> Node:
    return Node(lambda context: value)


def _choose(test: Run, yes: Run, no: Run) -> Run:
    return lambda context: yes(context) if test(context) else no(context)


def _segment_register(name: str) -> Callable[[Context], tuple[int, int]]:
    """Return what reads a segment register's selector and hidden base; only FS and GS have one in 64-bit code."""

    def segment(context: Context) -> tuple[int, int]:
        flat = name not in ("fs", "gs") and context.register("bits") == 64
        return context.register(name), 0 if flat else context.register(f"{name}_base")

    return segment
