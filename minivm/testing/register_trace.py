"""The register trace: what was done to chips, as a table in the chips' own words.

A bench and a contract keep one; it is shown when a test fails. Each access stands with its register's name from the
datasheet and what the value means, since a row of hex bytes tells nobody what a chip was asked for.
"""

from collections.abc import Iterable
from typing import Any

from minivm.core.describe import Access, Chip, Register, decode, sentence
from minivm.core.record import record

MOST_ROWS = 200
"""A long trace is shown from its end; what came before is counted."""
NS_PER_US = 1000


@record
class Row:
    """What happened at `time_ns`: its `kind` ("read", "write", "line", ...), where, the value, what it means."""

    time_ns: int
    kind: str
    place: str
    value: str = ""
    words: str = ""


class RegisterTrace:
    """Rows in the order in which they happened, and the accesses among them in the words of a chip's description."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def note(self, time_ns: int, kind: str, place: str, value: str = "", words: str = "") -> None:
        """Add a row."""
        self.rows.append(Row(time_ns, kind, place, value, words))

    def access(
        self, time_ns: int, where: str, access: Access, size: int, *, chip: Chip | None, state: Any = None
    ) -> None:
        """Add a port or memory access at `where`; `state` is the chip's before it, None when nobody can know."""
        register = None if chip is None else find_register(chip, access, state)
        value = access.value or 0
        place = where if register is None else f"{where} {register.name}"
        words = "" if register is None else _meaning(register, value, state)
        self.note(time_ns, "write" if access.write else "read", place, f"{value:0{2 * size}X}h", words)

    def table(self) -> str:
        """Return the trace as a table of text, the last `MOST_ROWS` rows of it."""
        if not self.rows:
            return "(nothing was done)"
        shown = self.rows[-MOST_ROWS:]
        left = len(self.rows) - len(shown)
        lines = [f"({left} rows before)"] if left else []
        return "\n".join(lines + _aligned([("time/us", "", "register", "value", "meaning"), *map(_cells, shown)]))


def find_register(chip: Chip, access: Access, state: Any) -> Register | None:
    """Return the register behind an access; without a state, the one that stands at that offset."""
    try:
        return chip.find(access, state)
    except AttributeError:  # a description that cannot do without its chip's state
        return None


def _meaning(register: Register, value: int, state: Any) -> str:
    try:
        return sentence(register, value, state)
    except AttributeError:
        pass
    if register.say is not None:
        return register.title
    return ", ".join(part.words for part in decode(register, value) if part.words)


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
