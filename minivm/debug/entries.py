"""What can stop a machine that is debugged: breakpoints, watchpoints, catches, and the list of them."""

from collections.abc import Iterator
from typing import TypeVar

from minivm.core.record import record
from minivm.debug.expressions import Expression
from minivm.errors import ConfigError
from minivm.machine import Ended

WATCH_KINDS = ("write", "read", "access", "change")
CATCH_KINDS = ("port", "interrupt", "exception", "bios", "mode", "privilege")


class DebugError(ConfigError):
    """A command that the debugger cannot follow, in one line."""


@record
class Stop:
    """Why the machine stands still.

    `reason` is "breakpoint", "watchpoint", "catch", "step", "limit" (the time asked for is over), "stopped", or how the
    machine ended ("halted", "shutdown", ...). `text` says it in words; `number` is the entry's that was hit.
    """

    reason: str
    text: str
    number: int = 0
    ended: Ended | None = None


class Entry:
    """Something that can stop the machine: its number, what it is in words, and how often it was hit.

    `condition` must hold for a stop; the first `ignore` hits do not stop; a `temporary` one goes when it stops.
    """

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.enabled = True
        self.hits = 0
        self.ignore = 0
        self.temporary = False
        self.condition: Expression | None = None

    def __str__(self) -> str:
        words = [self.text]
        words += [f"if {self.condition.text}"] if self.condition is not None else []
        words += [f"hit {self.hits} times"] if self.hits else []
        return ", ".join(words + ([] if self.enabled else ["disabled"]))


class Breakpoint(Entry):
    """A stop before the instruction at a linear address."""

    def __init__(self, number: int, text: str, address: int) -> None:
        super().__init__(number, text)
        self.address = address


class Watchpoint(Entry):
    """A stop after an instruction that read, wrote or changed something."""

    def __init__(self, number: int, text: str, kind: str, expression: Expression) -> None:
        super().__init__(number, text)
        self.kind = kind
        self.expression = expression
        self.start = self.end = 0  # the physical bytes; none for a register or a computed value
        self.linear: int | None = None
        self.fixed = False  # they stay where they are: no register has a part in the address
        self.seldom = False  # a register, and few instructions write it
        self.last = 0

    @property
    def ranged(self) -> bool:
        """True when the engine can notice the accesses to memory."""
        return self.start < self.end and (self.fixed or self.kind != "change")

    @property
    def noticed(self) -> bool:
        """True when the engine can notice what happens; else every instruction is looked at."""
        return self.ranged or self.seldom


class Catch(Entry):
    """A stop at an event of the machine; `value` narrows it to one port, vector or mode."""

    def __init__(self, number: int, text: str, kind: str, value: int | str | None) -> None:
        super().__init__(number, text)
        self.kind = kind
        self.value = value


_Kind = TypeVar("_Kind", bound=Entry)


class Entries:
    """All entries of one debugger, by number. While `resting`, none is armed."""

    def __init__(self) -> None:
        self.resting = False
        self.next_number = 1
        self._by_number: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Entry]:
        """Go through them in the order of their numbers."""
        return iter([self._by_number[number] for number in sorted(self._by_number)])

    def __getitem__(self, number: int) -> Entry:
        """Return an entry; raises `DebugError` when there is none of that number."""
        entry = self._by_number.get(number)
        if entry is None:
            raise DebugError(f"there is no breakpoint {number}; `info` lists them")
        return entry

    def add(self, entry: Entry) -> None:
        """Take a new entry, which has `next_number`."""
        self.next_number += 1
        self.put_back(entry)

    def put_back(self, entry: Entry) -> None:
        """Take an entry again that went when it stopped."""
        self._by_number[entry.number] = entry

    def drop(self, number: int) -> None:
        """Forget an entry; one that has gone already is no error."""
        self._by_number.pop(number, None)

    def armed(self, kind: type[_Kind]) -> Iterator[_Kind]:
        """Go through the enabled entries of one kind."""
        wanted = () if self.resting else self._by_number.values()
        return (entry for entry in wanted if isinstance(entry, kind) and entry.enabled)
