"""Operands: registers, numbers, memory and far pointers, as NASM writes them (NASM manual, section 3.3)."""

from dataclasses import dataclass

from minivm.debug.nasm_front.expressions import Lookup, Parser, Value
from minivm.debug.nasm_front.tokens import Token
from minivm.errors import AssemblyError

SIZES = {"byte": 8, "word": 16, "dword": 32, "qword": 64, "tword": 80, "oword": 128, "yword": 256}
_DISTANCES = ("short", "near", "far")


@dataclass(frozen=True, slots=True)
class Register:
    """A register: its kind (`gp`, `high` for AH to BH, `seg`, `cr`, `dr`, `st`, …), number and size in bits."""

    name: str
    kind: str
    number: int
    size: int


def _registers() -> dict[str, Register]:
    found: list[Register] = []
    words = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
    for index, name in enumerate(words):
        found += [Register(name, "gp", index, 16), Register("e" + name, "gp", index, 32)]
        found += [Register("r" + name, "gp", index, 64)]
    for index in range(4):
        found += [Register("acdb"[index] + "l", "gp", index, 8), Register("acdb"[index] + "h", "high", index + 4, 8)]
        found += [Register(words[4 + index] + "l", "gp", index + 4, 8)]
    for index in range(8, 16):
        for suffix, size in (("b", 8), ("l", 8), ("w", 16), ("d", 32), ("", 64)):
            found.append(Register(f"r{index}{suffix}", "gp", index, size))
    for index, name in enumerate(("es", "cs", "ss", "ds", "fs", "gs")):
        found.append(Register(name, "seg", index, 16))
    for kind, size, count in (("cr", 32, 16), ("dr", 32, 16), ("st", 80, 8), ("mm", 64, 8), ("xmm", 128, 16)):
        found += [Register(f"{kind}{index}", kind, index, size) for index in range(count)]
    found += [Register(f"ymm{index}", "ymm", index, 256) for index in range(16)]
    return {register.name: register for register in found}


REGISTERS = _registers()
SEGMENT_NAMES = ("es", "cs", "ss", "ds", "fs", "gs")


@dataclass(frozen=True, slots=True)
class Immediate:
    """A number. `size` in bits is 0 where the source gives none; `distance` is `short`, `near`, `far` or empty."""

    value: Value
    size: int = 0
    strict: bool = False
    distance: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """What stands in square brackets, sizes in bits, 0 where the source gives none."""

    base: Register | None
    index: Register | None
    scale: int
    displacement: Value
    size: int = 0
    segment: str = ""
    displacement_size: int = 0
    relative: bool | None = None
    """True for `rel`, False for `abs`, None where the source says neither."""
    distance: str = ""


@dataclass(frozen=True, slots=True)
class FarPointer:
    """`segment:offset`; `size` in bits is the offset's, 0 where the source gives none."""

    segment: Value
    offset: Value
    size: int = 0


Operand = Register | Immediate | Memory | FarPointer


def parse_operand(tokens: list[Token], lookup: Lookup) -> Operand:
    """Read one operand from its tokens (spaces removed)."""
    position, size, strict, distance = 0, 0, False, ""
    while position < len(tokens) and (word := tokens[position].text.lower()) in _QUALIFIERS:
        if word in SIZES:
            size = SIZES[word]
        elif word in _DISTANCES:
            distance = word
        strict = strict or word == "strict"
        position += 1
    rest = tokens[position:]
    if not rest:
        raise AssemblyError("an operand is missing")
    if rest[0].text == "[":
        return _memory(rest, lookup, size, distance)
    if len(rest) == 1 and rest[0].kind == "name" and (register := REGISTERS.get(rest[0].text.lower())):
        if size and size != register.size:
            raise AssemblyError(f"{register.name} has {register.size} bits, not {size}")
        return register
    return _number(rest, lookup, size, strict, distance)


_QUALIFIERS = frozenset({*SIZES, *_DISTANCES, "strict", "to"})


def _number(tokens: list[Token], lookup: Lookup, size: int, strict: bool, distance: str) -> Operand:
    parser = Parser(tokens, lookup)
    value = parser.expression()
    if parser.peek() == ":":
        parser.position += 1
        offset = parser.expression()
        _at_end(parser)
        return FarPointer(value, offset, size)
    _at_end(parser)
    return Immediate(value, size, strict, distance)


def _at_end(parser: Parser) -> None:
    if parser.position < len(parser.tokens):
        raise AssemblyError(f"'{parser.tokens[parser.position].text}' is not expected behind an operand")


def _memory(tokens: list[Token], lookup: Lookup, size: int, distance: str) -> Memory:
    if tokens[-1].text != "]":
        raise AssemblyError("a closing ']' is missing" if not _has(tokens, "]") else "nothing may follow a ']'")
    inner = tokens[1:-1]
    displacement_size, segment, nosplit = 0, "", False
    relative: bool | None = None
    while inner:
        word = inner[0].text.lower()
        if word in SIZES:
            displacement_size = SIZES[word]
        elif word in ("rel", "abs"):
            relative = word == "rel"
        elif word == "nosplit":
            nosplit = True
        elif word in SEGMENT_NAMES and len(inner) > 1 and inner[1].text == ":":
            segment = word
            inner = inner[1:]
        else:
            break
        inner = inner[1:]
    parser = Parser(inner, _with_registers(lookup))
    value = parser.expression()
    _at_end(parser)
    base, index, scale = _address(value, nosplit)
    plain = Value(value.number, value.sections(), value.unknown)
    return Memory(base, index, scale, plain, size, segment, displacement_size, relative, distance)


def _has(tokens: list[Token], text: str) -> bool:
    return any(token.text == text for token in tokens)


def _with_registers(lookup: Lookup) -> Lookup:
    def find(name: str) -> Value:
        register = REGISTERS.get(name.lower())
        if register is None:
            return lookup(name)
        if register.kind != "gp" or register.size == 8:
            raise AssemblyError(f"{register.name} cannot be part of an address")
        return Value(0, ((register.name, 1),))

    return find


def _address(value: Value, nosplit: bool) -> tuple[Register | None, Register | None, int]:
    """Return base, index and scale of the registers in an address; NASM's choice where there are several."""
    terms = value.registers()
    if len(terms) > 2:
        raise AssemblyError("an address has at most two registers")
    if len(terms) == 2:
        (first, one), (second, many) = terms
        if one != 1 or (many == 1 and REGISTERS[second].number == 4 and REGISTERS[second].size > 16):
            (first, one), (second, many) = terms[1], terms[0]
        if one != 1:
            raise AssemblyError("only one register of an address may be multiplied")
        return REGISTERS[first], REGISTERS[second], many
    if not terms:
        return None, None, 1
    name, factor = terms[0]
    register = REGISTERS[name]
    if factor == 1:
        return register, None, 1
    if factor in (3, 5, 9) or (factor == 2 and not nosplit):
        return register, register, factor - 1
    return None, register, factor
