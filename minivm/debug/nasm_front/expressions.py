"""Expressions: 64-bit integers that remember which section and which registers they move with.

NASM manual, section 3.5. A label is not a plain number: it moves with its section, so only sums and differences make
sense, and an instruction may not be shortened because of its present value. A difference of two labels is plain again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from minivm.debug.nasm_front.tokens import Token, number, string_bytes
from minivm.errors import AssemblyError

Terms = tuple[tuple[str, int], ...]
Lookup = Callable[[str], "Value"]
_MASK = (1 << 64) - 1
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Value:
    """A number, plus what it moves with: sections (named with a leading `/`) and registers, each with its factor."""

    number: int
    terms: Terms = ()
    unknown: bool = False
    """True while a label that it is made of has not been seen."""

    @property
    def plain(self) -> bool:
        """True for a number that nothing can move any more."""
        return not self.terms and not self.unknown

    def registers(self) -> Terms:
        """Return the registers in it, in the order written."""
        return tuple(term for term in self.terms if not term[0].startswith("/"))

    def sections(self) -> Terms:
        """Return the sections that it moves with."""
        return tuple(term for term in self.terms if term[0].startswith("/"))


def signed(value: int, bits: int = 64) -> int:
    """Return the low `bits` bits of `value` as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _shift_left(left: int, right: int) -> int:
    return left << right if 0 <= right < 64 else 0


def _shift_right(left: int, right: int) -> int:
    return (left & _MASK) >> right if 0 <= right < 64 else 0


def _shift_right_signed(left: int, right: int) -> int:
    return left >> min(max(right, 0), 63)


def _quotient(left: int, right: int) -> int:
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


_LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"||": lambda a, b: int(bool(a) or bool(b))},
    {"^^": lambda a, b: int(bool(a) != bool(b))},
    {"&&": lambda a, b: int(bool(a) and bool(b))},
    {
        "=": lambda a, b: int(a == b),
        "==": lambda a, b: int(a == b),
        "!=": lambda a, b: int(a != b),
        "<>": lambda a, b: int(a != b),
        "<": lambda a, b: int(a < b),
        "<=": lambda a, b: int(a <= b),
        ">": lambda a, b: int(a > b),
        ">=": lambda a, b: int(a >= b),
        "<=>": lambda a, b: (a > b) - (a < b),
    },
    {"|": lambda a, b: a | b},
    {"^": lambda a, b: a ^ b},
    {"&": lambda a, b: a & b},
    {"<<": _shift_left, "<<<": _shift_left, ">>": _shift_right, ">>>": _shift_right_signed},
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {
        "*": lambda a, b: a * b,
        "/": lambda a, b: (a & _MASK) // (b & _MASK),
        "%": lambda a, b: (a & _MASK) % (b & _MASK),
        "//": _quotient,
        "%%": lambda a, b: a - b * _quotient(a, b),
    },
)
"""Binary operators, the loosest first."""
_UNARY: dict[str, Callable[[int], int]] = {
    "-": lambda a: -a,
    "+": lambda a: a,
    "~": lambda a: ~a,
    "!": lambda a: int(not a),
}


class Parser:
    """Reads one expression from tokens without spaces; `lookup` gives the value of a name, `$` and `$$`."""

    def __init__(self, tokens: list[Token], lookup: Lookup) -> None:
        self.tokens = tokens
        self.position = 0
        self._lookup = lookup
        self._depth = 0

    def peek(self) -> str:
        """Return the next token's text, empty at the end and for a string."""
        if self.position < len(self.tokens) and self.tokens[self.position].kind != "string":
            return self.tokens[self.position].text
        return ""

    def expression(self, level: int = 0) -> Value:
        """Read an expression whose operators bind at least as tightly as `level`."""
        if level == len(_LEVELS):
            return self._unary()
        left = self.expression(level + 1)
        while (operator := self.peek()) in _LEVELS[level]:
            self.position += 1
            left = _binary(operator, _LEVELS[level][operator], left, self.expression(level + 1))
        return left

    def _unary(self) -> Value:
        if self.position >= len(self.tokens):
            raise AssemblyError("an expression is missing at the end of the line")
        token = self.tokens[self.position]
        self.position += 1
        self._depth += 1
        if self._depth > _DEEPEST:
            raise AssemblyError(f"an expression is nested more than {_DEEPEST} deep")
        value = self._primary(token)
        self._depth -= 1
        return value

    def _primary(self, token: Token) -> Value:
        if token.kind == "number":
            return Value(signed(number(token.text)))
        if token.kind == "string":
            return Value(signed(int.from_bytes(string_bytes(token.text)[:8], "little")))
        if token.kind == "name" or token.text in ("$", "$$"):
            return self._lookup(token.text)
        if token.text == "(":
            return self._bracket()
        if token.text in _UNARY:
            return _apply_unary(token.text, self._unary())
        if not token.text.isascii():
            raise AssemblyError("a character outside ASCII stands outside quotes")
        raise AssemblyError(f"an expression is expected where '{token.text}' stands")

    def _bracket(self) -> Value:
        value = self.expression()
        if self.peek() != ")":
            raise AssemblyError("a closing ')' is missing")
        self.position += 1
        return value


def evaluate(tokens: list[Token], lookup: Lookup) -> Value:
    """Return the value of an expression that takes up all `tokens`."""
    parser = Parser(tokens, lookup)
    value = parser.expression()
    if parser.position < len(tokens):
        raise AssemblyError(f"'{tokens[parser.position].text}' is not expected in an expression")
    return value


def _apply_unary(operator: str, value: Value) -> Value:
    if operator == "+":
        return value
    if operator == "-":
        return Value(signed(-value.number), tuple((name, -factor) for name, factor in value.terms), value.unknown)
    if value.terms:
        raise AssemblyError(f"'{operator}' takes a plain number, not a label")
    return Value(signed(_UNARY[operator](value.number)), (), value.unknown)


def _binary(operator: str, apply: Callable[[int, int], int], left: Value, right: Value) -> Value:
    unknown = left.unknown or right.unknown
    if operator in "+-":
        return Value(signed(apply(left.number, right.number)), _sum(left.terms, right.terms, operator), unknown)
    if operator == "*" and bool(left.terms) != bool(right.terms):
        return _scaled(left, right, unknown)
    if (left.terms or right.terms) and (left.terms != right.terms or operator not in _LEVELS[3]):
        raise AssemblyError(f"'{operator}' takes plain numbers, not labels (a difference of labels is plain)")
    if operator in ("/", "//", "%", "%%") and right.number == 0:
        if unknown:
            return Value(0, (), True)
        raise AssemblyError("division by zero")
    return Value(signed(apply(left.number, right.number)), (), unknown)


def _sum(left: Terms, right: Terms, operator: str) -> Terms:
    total = dict(left)
    for name, factor in right:
        total[name] = total.get(name, 0) + (factor if operator == "+" else -factor)
    return tuple((name, factor) for name, factor in total.items() if factor)


def _scaled(left: Value, right: Value, unknown: bool) -> Value:
    if right.terms:
        left, right = right, left
    if left.sections() and right.number not in (0, 1):
        raise AssemblyError("'*' takes plain numbers, not labels (a difference of labels is plain)")
    terms = tuple((name, factor * right.number) for name, factor in left.terms if right.number)
    return Value(signed(left.number * right.number), terms, unknown)
