"""What each directive and pseudo-instruction does (NASM manual, sections 3.2, 5 and 7)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from minivm.debug.nasm_front import branches
from minivm.debug.nasm_front.encoder import PREFIXES, number_bytes
from minivm.debug.nasm_front.expressions import Value
from minivm.debug.nasm_front.sections import LARGEST_OUTPUT, Section
from minivm.debug.nasm_front.tokens import Token, float_bytes, number, split, string_bytes
from minivm.errors import AssemblyError

if TYPE_CHECKING:
    from minivm.debug.nasm_front.assembler import Pass

Handler = Callable[["Pass", list[Token]], None]
_UNITS = {"b": 1, "w": 2, "d": 4, "q": 8}
_OLD = ("8086", "186", "286")


def bracketed(job: "Pass", tokens: list[Token]) -> None:
    """Do a directive in square brackets, as `[bits 16]`."""
    word = tokens[0].text.lower()
    if word in ("map", "warning", "debug", "list"):
        return
    if word not in _PRIMITIVES:
        raise AssemblyError(f"unknown directive '[{tokens[0].text}]'")
    DIRECTIVES[word](job, tokens[1:])


def _bits(job: "Pass", tokens: list[Token]) -> None:
    bits = job.known_number(tokens, "bits")
    if bits not in (16, 32, 64):
        raise AssemblyError(f"bits {bits}: only 16, 32 and 64 exist")
    job.bits = bits


def _use(bits: int) -> Handler:
    def set_bits(job: "Pass", tokens: list[Token]) -> None:
        _nothing(tokens)
        job.bits = bits

    return set_bits


def _nothing(tokens: list[Token]) -> None:
    if tokens:
        raise AssemblyError(f"'{tokens[0].text}' is not expected here")


def _org(job: "Pass", tokens: list[Token]) -> None:
    origin = job.known_number(tokens, "org")
    if job.origin_seen and origin != job.origin:
        raise AssemblyError("a second org: a flat binary has one origin")
    if not 0 <= origin < 1 << 48:
        raise AssemblyError(f"org {origin:#x} is no address")
    job.origin, job.origin_seen = origin, True


def _cpu(job: "Pass", tokens: list[Token]) -> None:
    job.old_cpu = bool(tokens) and tokens[0].text.lower() in _OLD


def _ignored(job: "Pass", tokens: list[Token]) -> None:
    """Do nothing: what only a linker would need."""


def _refused(what: str) -> Handler:
    def refuse(job: "Pass", tokens: list[Token]) -> None:
        raise AssemblyError(what)

    return refuse


def _default(job: "Pass", tokens: list[Token]) -> None:
    for token in tokens:
        if token.text.lower() in ("rel", "abs"):
            job.default_relative = token.text.lower() == "rel"


def _section(job: "Pass", tokens: list[Token]) -> None:
    if not tokens or tokens[0].kind != "name":
        raise AssemblyError("section needs a name, as '.text'")
    if job.structure:
        raise AssemblyError("a section cannot begin inside a struc")
    section = job.open_section(tokens[0].text)
    rest = tokens[1:]
    while rest:
        word = rest[0].text.lower()
        rest = rest[1:]
        if rest and rest[0].text == "=":
            rest = _section_option(job, section, word, rest[1:])
        elif word == "nobits":
            section.reserved_only = True
        elif word not in ("progbits", "exec", "noexec", "write", "nowrite", "alloc", "code", "data"):
            raise AssemblyError(f"section option '{word}' is not supported")
    job.section = section


def _section_option(job: "Pass", section: Section, word: str, tokens: list[Token]) -> list[Token]:
    if word not in ("align", "vstart") or not tokens:
        raise AssemblyError(f"section option '{word}=' is not supported (align= and vstart= are)")
    length = next((i for i, token in enumerate(tokens) if i and token.kind == "name" and i < len(tokens)), len(tokens))
    value = job.known_number(tokens[:length], word)
    if word == "align":
        section.align = _power_of_two(value)
    else:
        section.vstart = value
    return tokens[length:]


def _power_of_two(value: int) -> int:
    if not 0 < value <= 1 << 20 or value & (value - 1):
        raise AssemblyError(f"alignment {value} is not a power of two up to 1 MiB")
    return value


def _absolute(job: "Pass", tokens: list[Token]) -> None:
    start = job.known_value(tokens).number
    job.section = Section("*absolute*", start, start, absolute=True)


# Data ------------------------------------------------------------------------------------------------------------


def _data(unit: int) -> Handler:
    def emit(job: "Pass", tokens: list[Token]) -> None:
        job.section.emit(data_bytes(job, tokens, unit))

    return emit


def data_bytes(job: "Pass", tokens: list[Token], unit: int) -> bytes:
    """Return the bytes of a DB, DW, DD or DQ line; `unit` is the size of one item."""
    if not tokens:
        raise AssemblyError("data is expected")
    parts = split(tokens)
    if len(parts) > 1 and not parts[-1]:
        parts.pop()  # NASM lets a list end in a comma
    job.first_bits = job.first_bits or job.bits
    return b"".join(_item(job, part, unit) for part in parts)


def _item(job: "Pass", tokens: list[Token], unit: int) -> bytes:
    repeat = next((index for index, token in enumerate(tokens) if token.text.lower() == "dup"), 0)
    if repeat:
        return _duplicated(job, tokens[:repeat], tokens[repeat + 1 :], unit)
    sign = len(tokens) == 2 and tokens[0].text in ("-", "+")
    if len(tokens) == 1 or sign:
        only = tokens[-1]
        if only.kind == "string" and not sign:
            text = string_bytes(only.text)
            return text + bytes(-len(text) % unit)
        if only.kind == "float":
            return float_bytes(("-" if tokens[0].text == "-" else "") + only.text, unit)
        if only.text == "?":
            return bytes(unit)
    return number_bytes(job.value(tokens), unit)


def _duplicated(job: "Pass", count: list[Token], items: list[Token], unit: int) -> bytes:
    times = job.known_number(count, "a dup count")
    if len(items) > 1 and items[0].text == "(" and items[-1].text == ")":
        items = items[1:-1]
    once = data_bytes(job, items, unit)
    return once * _checked(times, len(once), "dup")


def _checked(count: int, size: int, what: str) -> int:
    if count < 0:
        raise AssemblyError(f"{what} {count} is negative")
    if count * max(size, 1) > LARGEST_OUTPUT:
        raise AssemblyError(f"{what} {count} makes {count * size} bytes; at most {LARGEST_OUTPUT} are made")
    return count


def _reserve(unit: int) -> Handler:
    def reserve(job: "Pass", tokens: list[Token]) -> None:
        count = job.known_number(tokens, "a reservation")
        if job.section.absolute or job.section.reserved_only:
            if not 0 <= count * unit < 1 << 40:
                raise AssemblyError(f"a reservation of {count} is not possible")
        else:
            _checked(count, unit, "a reservation of")
        job.section.reserve(count * unit)

    return reserve


def _times(job: "Pass", tokens: list[Token]) -> None:
    length = _expression_length(job, tokens)
    count = job.known_number(tokens[:length], "times")
    rest = tokens[length:]
    if not rest:
        raise AssemblyError("times needs something to repeat")
    word = rest[0].text.lower()
    if count < 0:
        raise AssemblyError(f"times {count} is negative: the code before it is {-count} bytes too long")
    if word in branches.NAMES or word in PREFIXES:
        _times_branch(job, count, rest)
    elif word in (
        "times",
        "equ",
        "struc",
        "section",
        "segment",
        "absolute",
        "org",
        "bits",
        "label",
        "endstruc",
        "istruc",
        "iend",
        "at",
    ):
        raise AssemblyError(f"times cannot repeat '{word}'")
    else:
        _repeat(job, count, rest)


def _repeat(job: "Pass", count: int, tokens: list[Token]) -> None:
    """Do a line once and repeat its bytes: `$` is the address of the first, as in NASM."""
    section = job.section
    if count == 0:
        return
    before, stored = section.size, len(section.data)
    job.body(tokens)
    size = section.size - before
    _checked(count, size, "times") if not (section.absolute or section.reserved_only) else None
    if count * size >= 1 << 40:
        raise AssemblyError(f"times {count} is too much")
    section.data += bytes(section.data[stored:]) * (count - 1)
    section.size += size * (count - 1)


def _times_branch(job: "Pass", count: int, tokens: list[Token]) -> None:
    """Assemble a jump again for each place, since its distance differs, while `$` stays at the first."""
    _checked(count, 64, "times")
    job.here = job.section.value(job.section.address)
    for _ in range(count):
        job.section.emit(job.instruction(tokens, job.section.address))
    job.here = None


def _expression_length(job: "Pass", tokens: list[Token]) -> int:
    """Return how many tokens the count takes: up to the first word behind a finished expression."""
    depth = 0
    finished = False
    for index, token in enumerate(tokens):
        if token.text == "(":
            depth += 1
        operand = token.kind in ("number", "name", "string") or token.text in ("$", "$$")
        if depth == 0 and finished and token.kind == "name":
            return index
        if token.text == ")":
            depth -= 1
            operand = True
        finished = operand
    return len(tokens)


def _equ(job: "Pass", tokens: list[Token]) -> None:
    raise AssemblyError("equ needs a name before it")


def _align(job: "Pass", tokens: list[Token], *, reserve: bool = False) -> None:
    parts = split(tokens)
    boundary = _power_of_two(job.known_number(parts[0], "align"))
    section = job.section
    gap = -(section.address - section.virtual_start) % boundary
    section.align = max(section.align, boundary)
    if section.absolute:
        gap = -section.address % boundary
    filler = tokens[len(parts[0]) + 1 :]
    if reserve or section.absolute or section.reserved_only:
        section.reserve(gap)
    elif not filler:
        section.emit(b"\x90" * gap)
    elif gap:
        _repeat_to(job, gap, filler)


def _repeat_to(job: "Pass", gap: int, filler: list[Token]) -> None:
    _repeat(job, gap, filler)


def _alignb(job: "Pass", tokens: list[Token]) -> None:
    parts = split(tokens)
    if len(parts) > 1:
        _align(job, tokens)
    else:
        _align(job, tokens, reserve=True)


def _incbin(job: "Pass", tokens: list[Token]) -> None:
    parts = split(tokens)
    if not 1 <= len(parts) <= 3 or len(parts[0]) != 1 or parts[0][0].kind != "string":
        raise AssemblyError('incbin needs a file name in quotes, as incbin "font.bin"')
    data = job.files.read(parts[0][0].text[1:-1])
    skip = job.known_number(parts[1], "incbin's offset") if len(parts) > 1 else 0
    count = job.known_number(parts[2], "incbin's length") if len(parts) > 2 else len(data)
    if skip < 0 or count < 0:
        raise AssemblyError("incbin's offset and length cannot be negative")
    job.section.emit(data[skip : skip + count])


# Structures ------------------------------------------------------------------------------------------------------


def _struc(job: "Pass", tokens: list[Token]) -> None:
    parts = split(tokens)
    if job.structure or len(parts[0]) != 1 or parts[0][0].kind != "name":
        raise AssemblyError("struc needs a name, and cannot stand inside another struc")
    start = job.known_number(parts[1], "a struc's offset") if len(parts) > 1 else 0
    name = parts[0][0].text
    job.structure = (name, job.section)
    job.section = Section("*struc*", start, start, absolute=True)
    job.define(name, Value(start))


def _endstruc(job: "Pass", tokens: list[Token]) -> None:
    if job.structure is None:
        raise AssemblyError("endstruc without struc")
    name, section = job.structure
    job.define(name + "_size", Value(job.section.size), constant=True)
    job.section, job.structure = section, None


def _istruc(job: "Pass", tokens: list[Token]) -> None:
    if len(tokens) != 1 or tokens[0].kind != "name" or job.instance:
        raise AssemblyError("istruc needs the name of a struc, and ends with iend")
    job.instance = (tokens[0].text, job.section.size)


def _pad_to(job: "Pass", offset: int, what: str) -> None:
    start = job.instance[1] if job.instance else 0
    gap = offset - (job.section.size - start)
    if gap < 0:
        raise AssemblyError(f"{what} lies {-gap} bytes before what is stored already")
    job.section.emit(bytes(_checked(gap, 1, "a struc's gap of")))


def _at(job: "Pass", tokens: list[Token]) -> None:
    if job.instance is None:
        raise AssemblyError("at without istruc")
    parts = split(tokens)
    if parts[0] and parts[0][0].text.startswith("."):
        parts[0] = [Token("name", job.instance[0] + parts[0][0].text)]
    base = job.lookup(job.instance[0]).number
    _pad_to(job, job.value(parts[0]).number - base, f"'{parts[0][0].text}'")
    rest = tokens[len(split(tokens)[0]) + 1 :]
    if rest:
        job.body(rest)


def _iend(job: "Pass", tokens: list[Token]) -> None:
    if job.instance is None:
        raise AssemblyError("iend without istruc")
    _pad_to(job, job.lookup(job.instance[0] + "_size").number, "the end of the struc")
    job.instance = None


DIRECTIVES: dict[str, Handler] = {
    "bits": _bits,
    "use16": _use(16),
    "use32": _use(32),
    "use64": _use(64),
    "org": _org,
    "cpu": _cpu,
    "global": _ignored,
    "static": _ignored,
    "extern": _refused("extern: a flat binary cannot refer to another file"),
    "common": _refused("common: a flat binary cannot share variables with another file"),
    "default": _default,
    "section": _section,
    "segment": _section,
    "absolute": _absolute,
    **{f"d{letter}": _data(unit) for letter, unit in _UNITS.items()},
    **{f"res{letter}": _reserve(unit) for letter, unit in _UNITS.items()},
    "dt": _refused("dt is not supported"),
    "do": _refused("do is not supported"),
    "times": _times,
    "equ": _equ,
    "align": _align,
    "alignb": _alignb,
    "incbin": _incbin,
    "struc": _struc,
    "endstruc": _endstruc,
    "istruc": _istruc,
    "at": _at,
    "iend": _iend,
}
_PRIMITIVES = (
    "bits",
    "org",
    "cpu",
    "global",
    "static",
    "extern",
    "common",
    "default",
    "section",
    "segment",
    "absolute",
)
__all__ = ["DIRECTIVES", "bracketed", "data_bytes", "number"]
