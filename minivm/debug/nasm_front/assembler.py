"""Passes over a source until every address is settled, and what each line does in a pass."""

from dataclasses import dataclass, field
from pathlib import Path

from minivm.debug.nasm_front import branches, fallback
from minivm.debug.nasm_front.encoder import PREFIXES, Context, NoFormError, Parts, encode, finish, parse_prefixes
from minivm.debug.nasm_front.expressions import Value, evaluate
from minivm.debug.nasm_front.forms import forms
from minivm.debug.nasm_front.lines import Files, Line, PlacedError, Where, shown, split_lines
from minivm.debug.nasm_front.operands import REGISTERS, Memory, Operand, parse_operand
from minivm.debug.nasm_front.preprocessor import Preprocessor, Statement
from minivm.debug.nasm_front.sections import LARGEST_OUTPUT, Placement, Section, flatten, place
from minivm.debug.nasm_front.tokens import Token, split
from minivm.errors import AssemblyError

MOST_PASSES = 60


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the listing: its place, the address of its first byte, the bytes, and the text."""

    where: Where
    address: int
    code: bytes
    text: str


@dataclass
class Layout:
    """What one pass hands to the next: all that must stay the same for the passes to end."""

    symbols: dict[str, Value] = field(default_factory=dict)
    placed: dict[str, Placement] = field(default_factory=dict)
    origin: int = 0


@dataclass(frozen=True)
class Result:
    """A finished assembly."""

    code: bytes
    origin: int
    bits: int
    entries: tuple[Entry, ...]
    symbols: dict[str, int]


def assemble_text(text: str, name: str, folders: list[Path], *, bits: int, origin: int) -> Result:
    """Assemble `text` (one character a byte), called `name` in messages; raises `AssemblyError`."""
    lines = split_lines(text, name)
    files = Files(folders)
    layout: Layout | None = None
    for _ in range(MOST_PASSES):
        current = Pass(layout, files, bits=bits, origin=origin)
        current.run(lines)
        settled = layout is not None and layout == current.layout()
        layout = current.layout()
        if settled:
            return current.result(layout)
    raise AssemblyError(f"{name}:1: the addresses do not settle in {MOST_PASSES} passes: a size depends on itself")


class Pass:
    """One pass. Names not defined yet have the value of the last pass, or are unknown in the first."""

    def __init__(self, before: Layout | None, files: Files, *, bits: int, origin: int) -> None:
        self.before = before
        self.files = files
        self.bits = bits
        self.first_bits = 0
        self.origin = origin
        self.origin_seen = False
        self.symbols: dict[str, Value] = {}
        self.defined_at: dict[str, Where] = {}
        self.parent = ""
        self.sections: dict[str, Section] = {}
        self.section = self.open_section(".text")
        self.structure: tuple[str, Section] | None = None
        self.instance: tuple[str, int] | None = None
        self.where = Where("", 0)
        self.critical = False
        self.default_relative = False
        self.old_cpu = False
        self.complaints: list[AssemblyError] = []
        self.used: set[str] = set()
        self.orphans: dict[str, Where] = {}
        self.indented = False
        self.entries: list[Entry] = []
        self.preprocessor = Preprocessor(files, self.known_value, {})
        self.here: Value | None = None

    def run(self, lines: list[Line]) -> None:
        """Go through all statements."""
        for statement in self.preprocessor.run(lines):
            self.where = statement.where
            self.indented = statement.text[:1].isspace()
            section, start = self.section, self.section.size
            address = section.address
            try:
                if statement.tokens:
                    self.statement(list(statement.tokens))
            except PlacedError:
                raise
            except AssemblyError as error:
                raise statement.where.error(error) from None
            self._list(statement, section, start, address)
        if self.structure or self.instance:
            raise self.where.error("a struc or istruc is not closed")

    def _list(self, statement: Statement, section: Section, start: int, address: int) -> None:
        if section is not self.section:
            section, start, address = self.section, self.section.size, self.section.address
        code = bytes(section.data[start:]) if len(section.data) > start else b""
        self.entries.append(Entry(statement.where, address, code, shown(statement.text)))

    def layout(self) -> Layout:
        """Return what the next pass builds on."""
        return Layout(self.symbols, place(self.sections, self.origin), self.origin)

    def result(self, layout: Layout) -> Result:
        """Return the finished assembly, or raise the first complaint."""
        for name, where in self.orphans.items():
            if name not in self.used:
                raise where.error(f"unknown instruction '{shown(name)}' (a label would end in a colon)")
        if self.complaints:
            raise self.complaints[0]
        symbols = {shown(name): value.number for name, value in self.symbols.items() if not name.startswith("..@")}
        code = flatten(self.sections, layout.placed)
        return Result(code, self.origin, self.first_bits or self.bits, tuple(self.entries), symbols)

    # Names -------------------------------------------------------------------------------------------------------

    def lookup(self, name: str) -> Value:
        """Return the value of a symbol, `$` or `$$`."""
        if name == "$":
            return self.here or self.section.value(self.section.address)
        if name == "$$":
            return self.section.value(self.section.virtual_start)
        if name.lower() in REGISTERS:
            raise AssemblyError(f"register {name} cannot stand here")
        full = self.full_name(name)
        self.used.add(full)
        if full in self.symbols:
            return self.symbols[full]
        if self.critical:
            raise AssemblyError(f"'{shown(name)}' must be known here, and is not defined before this line")
        if self.before is None:
            return Value(0, (), True)
        if full not in self.before.symbols:
            raise AssemblyError(f"symbol '{shown(name)}' is not defined")
        return self.before.symbols[full]

    def full_name(self, name: str) -> str:
        """Return a label's whole name: `.x` belongs to the label before it (NASM manual, section 3.9)."""
        name = name.removeprefix("$")
        return self.parent + name if name.startswith(".") and not name.startswith("..") else name

    def define(self, name: str, value: Value, *, constant: bool = False) -> None:
        """Give a symbol its value; a second, different one is an error."""
        full = self.full_name(name)
        if not full.startswith(".") and not name.startswith(".") and not constant:
            self.parent = full
        if full in self.symbols and not (constant and self.symbols[full] == value):
            first = self.defined_at[full]
            raise AssemblyError(f"'{shown(full)}' is defined twice, first at {first.file}:{first.line}")
        if full.lower() in REGISTERS:
            raise AssemblyError(f"'{full}' is a register and cannot be a label")
        self.symbols[full] = value
        self.defined_at[full] = self.where

    def value(self, tokens: list[Token]) -> Value:
        """Return the value of an expression, whose names may be defined later."""
        return evaluate(tokens, self.lookup)

    def known_value(self, tokens: list[Token]) -> Value:
        """Return the value of an expression whose names are all defined above (NASM manual, section 3.8)."""
        self.critical = True
        try:
            return evaluate(tokens, self.lookup)
        finally:
            self.critical = False

    def known_number(self, tokens: list[Token], what: str) -> int:
        """Return a plain number that is known now."""
        value = self.known_value(tokens)
        if not value.plain:
            raise AssemblyError(f"{what} must be a plain number, not an address")
        return value.number

    def open_section(self, name: str) -> Section:
        """Return the section called `name`, made when it is new."""
        if name not in self.sections:
            known = self.before.placed.get(name) if self.before else None
            place_now = known or Placement(0, self.origin)
            section = Section(
                name, place_now.start, place_now.virtual_start, name == ".bss", 1 if name == ".text" else 4
            )
            self.sections[name] = section
        return self.sections[name]

    # Statements --------------------------------------------------------------------------------------------------

    def statement(self, tokens: list[Token]) -> None:
        """Do one line: label, then directive, data or instruction."""
        from minivm.debug.nasm_front import directives

        if tokens[0].text == "[" and tokens[-1].text == "]" and len(tokens) > 2:
            directives.bracketed(self, tokens[1:-1])
            return
        tokens = self._label(tokens)
        if tokens:
            self.body(tokens)

    def body(self, tokens: list[Token]) -> None:
        """Do what stands behind the label."""
        from minivm.debug.nasm_front import directives

        if tokens[0].kind != "name":
            if not tokens[0].text.isascii():
                raise AssemblyError("a character outside ASCII stands outside quotes")
            raise AssemblyError(f"an instruction is expected where '{tokens[0].text}' stands")
        word = tokens[0].text.lower()
        if word in directives.DIRECTIVES:
            directives.DIRECTIVES[word](self, tokens[1:])
        else:
            self.here = None
            self.section.emit(self.instruction(tokens, self.section.address))

    def _label(self, tokens: list[Token]) -> list[Token]:
        first = tokens[0]
        if first.kind != "name":
            return tokens
        second = tokens[1].text.lower() if len(tokens) > 1 else ""
        if second == ":":
            rest = tokens[2:]
        elif self._is_word(first.text.lower()) or (len(tokens) > 1 and not self._begins(second, first.text)):
            return tokens
        else:
            rest = tokens[1:]
        if rest and rest[0].text.lower() == "equ":
            self.define(first.text, self.value(rest[1:]), constant=True)
            return []
        if not rest and second != ":":
            self.preprocessor.refuse_macro(first.text)
            if self.indented:
                # NASM makes a label of it and only warns; nobody indents a label that nothing uses.
                self.orphans[self.full_name(first.text)] = self.where
        self.define(first.text, self.section.value(self.section.address))
        return rest

    def _begins(self, second: str, first: str) -> bool:
        """Return whether `second` can follow a label without a colon; an unknown `first` is an error otherwise."""
        if self._is_word(second, cheap=True) or second == "equ":
            return True
        if first.lower() in fallback.known():
            return False
        if second in fallback.known():
            return True
        self.preprocessor.refuse_macro(first)
        raise AssemblyError(f"unknown instruction '{shown(first)}'")

    def _is_word(self, word: str, *, cheap: bool = False) -> bool:
        from minivm.debug.nasm_front import directives

        if word in directives.DIRECTIVES or word in PREFIXES or word in branches.NAMES or word in forms():
            return True
        return not cheap and word.startswith(_FALLBACK_STARTS) and word in fallback.known()

    # Instructions ------------------------------------------------------------------------------------------------

    def instruction(self, tokens: list[Token], address: int) -> bytes:
        """Return the bytes of an instruction with its prefixes, assembled for `address`."""
        names: list[str] = []
        while tokens and tokens[0].text.lower() in PREFIXES and not (tokens[0].text == "wait" and len(tokens) == 1):
            names.append(tokens[0].text.lower())
            tokens = tokens[1:]
        self.first_bits = self.first_bits or self.bits
        prefixes = parse_prefixes(names)
        context = Context(self.bits, address, self.default_relative, self.section.value(0).terms, self.old_cpu)
        if not tokens:
            return finish(Parts(), prefixes, context)
        name = tokens[0].text.lower()
        operands = self._operands(tokens[1:])
        try:
            if branches.handles(name, operands):
                return branches.encode_branch(name, operands, branches.Site(context, prefixes, self.complain))
            if name in forms() and not _needs_fallback(operands):
                return encode(name, operands, prefixes, context)
        except NoFormError:
            if not _may_be_vector(operands):
                raise
        if name not in fallback.known():
            raise AssemblyError(f"unknown instruction '{shown(name)}'")
        return fallback.encode_checked(name, operands, prefixes, self.bits, address)

    def _operands(self, tokens: list[Token]) -> tuple[Operand, ...]:
        if not tokens:
            return ()
        return tuple(parse_operand(part, self.lookup) for part in split(tokens))

    def complain(self, message: str) -> None:
        """Remember an error that a later pass may still mend."""
        self.complaints.append(self.where.error(message))


_FALLBACK_STARTS = tuple("abcdefghijklmnopqrstuvwxyz")


def _needs_fallback(operands: tuple[Operand, ...]) -> bool:
    return any(getattr(operand, "kind", "") in ("st", "mm", "xmm", "ymm") for operand in operands)


def _may_be_vector(operands: tuple[Operand, ...]) -> bool:
    return _needs_fallback(operands) or any(isinstance(o, Memory) and o.size > 64 for o in operands)


__all__ = ["LARGEST_OUTPUT", "Entry", "Result", "assemble_text"]
