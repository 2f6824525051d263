"""The register trace: what was done to chips, as a table in the chips' own words.

A bench and a contract keep one; it is shown when a test fails. Each access stands with its register's name from the
datasheet and what the value means, since a row of hex bytes tells nobody what a chip was asked for. The words are made
when somebody wants to read them: a test that passes pays for a tuple.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from minivm.core.describe import Access, Chip, Register, decode, sentence
from minivm.core.record import record

MOST_ROWS = 200
"""A long trace is shown from its end; what came before is counted."""
NS_PER_US = 1000
_HEADING = ("time/us", "", "register", "value", "meaning")


@record
class Row:
    """What happened at `time_ns`: its `kind` ("read", "write", "line", ...), where, the value, what it means."""

    time_ns: int
    kind: str
    place: str
    value: str = ""
    words: str = ""


class _Accessed(NamedTuple):
    """An access whose words are still to be made."""

    time_ns: int
    where: str
    access: Access
    size: int
    chip: Chip | None
    state: Any


class RegisterTrace:
    """Rows in the order in which they happened, and the accesses among them in the words of a chip's description."""

    def __init__(self) -> None:
        self._rows: list[Row | _Accessed] = []

    def note(self, time_ns: int, kind: str, place: str, value: str = "", words: str = "") -> None:
        """Add a row."""
        self._rows.append(Row(time_ns, kind, place, value, words))

    def access(
        self, time_ns: int, where: str, access: Access, size: int, *, chip: Chip | None, state: Any = None
    ) -> None:
        """Add a port or memory access at `where`; `state` is the chip's before it, None when nobody can know."""
        self._rows.append(_Accessed(time_ns, where, access, size, chip, state))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> list[Row]:
        """Everything that happened, in words."""
        return [_in_words(row) for row in self._rows]

    def table(self) -> str:
        """Return the trace as a table of text, the last `MOST_ROWS` rows of it."""
        if not self._rows:
            return "(nothing was done)"
        shown = self._rows[-MOST_ROWS:]
        left = len(self._rows) - len(shown)
        lines = [f"({left} rows before)"] if left else []
        return "\n".join(lines + _aligned([_HEADING, *(_cells(_in_words(row)) for row in shown)]))


def _in_words(row: Row | _Accessed) -> Row:
    if isinstance(row, Row):
        return row
    register = None if row.chip is None else find_register(row.chip, row.access, row.state)
    value = row.access.value or 0
    place = row.where if register is None else f"{row.where} {register.name}"
    words = "" if register is None else _meaning(register, value, row.state)
    return Row(row.time_ns, "write" if row.access.write else "read", place, f"{value:0{2 * row.size}X}h", words)


def duration(delay_ns: int) -> str:
    """Return a time in the largest unit that keeps it above one."""
    for unit_ns, unit in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")):
        if delay_ns >= unit_ns:
            return f"{delay_ns / unit_ns:g} {unit}"
    return f"{delay_ns} ns"


def find_register(chip: Chip, access: Access, state: Any) -> Register | None:
    """Return the register behind an access; None where a description cannot tell without its chip's state."""
    try:
        return chip.find(access, state)
    except AttributeError:
        return None


def _meaning(register: Register, value: int, state: Any) -> str:
    try:
        return sentence(register, value, state)
    except AttributeError:  # it wants its chip's state, which nobody has
        words = [part.words for part in decode(register, value) if part.words]
        return ", ".join(words) or register.title


def _cells(row: Row) -> tuple[str, ...]:
    return f"{row.time_ns / NS_PER_US:.3f}", row.kind, row.place, row.value, row.words


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lay rows out in columns, the first one to the right."""
    table = list(rows)
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    return [
        "  ".join([row[0].rjust(widths[0]), *(row[n].ljust(widths[n]) for n in (1, 2, 3)), row[4]]).rstrip()
        for row in table
    ]
