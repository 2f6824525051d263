"""Chips described as data: their registers, the bits of each, and what a value means in words.

A table of these stands beside each chip (`minivm/devices/registers`), in the words of its datasheet. The debugger, the
explainer and the documentation read it; the chip itself never does, so a run without them pays nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from minivm.core.record import record

Meaning = str | Mapping[int, str] | Callable[[int], str]
"""What a field's value means.

A table gives words for each value. Words alone are said of a flag that is set and keep silent of one that is clear; of
a wider field they are said together with its number. A function makes the words.
"""

Say = Callable[[int, Any], str]
"""Turns a register's value, and the state of its chip (None when unknown), into one sentence without a full stop."""


@record
class Field:
    """Bits `high_bit` to `low_bit` of a register, under the datasheet's name."""

    name: str
    high_bit: int
    low_bit: int
    meaning: Meaning = ""

    def of(self, value: int) -> int:
        """Return this field's number out of the register's `value`."""
        return value >> self.low_bit & ((1 << (self.high_bit - self.low_bit + 1)) - 1)

    def words(self, number: int) -> str:
        """Return what the field's `number` means; empty when there is nothing to say."""
        meaning = self.meaning
        if callable(meaning):
            return meaning(number)
        if isinstance(meaning, str):
            if self.high_bit == self.low_bit:
                return meaning if number else ""
            return f"{meaning} {number}" if meaning else ""
        return meaning.get(number, "reserved")


@record
class Register:
    """One register: the datasheet's `name`, a `title` in plain words, its place, and its fields.

    `offset` counts from the chip's first port; a register behind an index has the index in its name. `access` is "r",
    "w" or "rw". `say` makes a whole sentence where the fields' words, joined, are not good enough.
    """

    name: str
    title: str
    offset: int
    access: str
    fields: tuple[Field, ...] = ()
    note: str = ""
    say: Say | None = None


class Access(NamedTuple):
    """One access of a port: the offset within the chip, the direction, and the value (None before a read)."""

    offset: int
    write: bool
    value: int | None


class Content(NamedTuple):
    """What a register holds now."""

    register: Register
    value: int


class Decoded(NamedTuple):
    """One field of a value: its number and its meaning in words."""

    field: Field
    number: int
    words: str


@record
class Chip:
    """A chip: what it is called where it is used ("the master PIC"), and its registers.

    `pick` finds the register behind an access where offset and direction are not enough; it gets the chip's state as
    it was before the access, or None. `contents` lists what the registers hold by a state and the virtual time, `facts`
    says in sentences what else there is to know. `after` is the state that the next byte of one wider access finds.
    """

    name: str
    registers: tuple[Register, ...]
    pick: Callable[[Access, Any], Register | None] | None = None
    contents: Callable[[Any, int], list[Content]] | None = None
    facts: Callable[[Any, int], list[str]] | None = None
    after: Callable[[Access, Any], Any] | None = None

    def find(self, access: Access, state: Any = None) -> Register | None:
        """Return the register that `access` reaches, or None when there is none."""
        if self.pick is not None:
            return self.pick(access, state)
        return by_offset(self.registers, access)


def by_offset(registers: Iterable[Register], access: Access) -> Register | None:
    """Return the first register at the offset of `access` that has its direction."""
    letter = "w" if access.write else "r"
    return next((one for one in registers if one.offset == access.offset and letter in one.access), None)


def decode(register: Register, value: int) -> list[Decoded]:
    """Return each field of `value`, in the register's order, with its number and words."""
    return [Decoded(field, field.of(value), field.words(field.of(value))) for field in register.fields]


def sentence(register: Register, value: int, state: Any = None) -> str:
    """Return what `value` in `register` means as one sentence without a full stop; empty when nothing is known."""
    if register.say is not None:
        return register.say(value, state)
    return listed(decoded.words for decoded in decode(register, value))


def listed(words: Iterable[str]) -> str:
    """Join what is not empty with commas."""
    return ", ".join(word for word in words if word)


def spoken(words: Iterable[str]) -> str:
    """Join words as a sentence does: "a", "a and b", "a, b and c"."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def flag(name: str, bit: int, set_words: str, clear_words: str = "") -> Field:
    """Return a field of one bit that says `set_words` when it is set and `clear_words` when it is not."""
    return Field(name, bit, bit, {0: clear_words, 1: set_words})


def bits_set(names: Mapping[int, str] | tuple[str, ...], value: int) -> list[str]:
    """Return the names of the bits that are set, lowest first."""
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names)
    return [name for bit, name in pairs if value >> bit & 1]
