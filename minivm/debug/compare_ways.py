"""The ways in which one run can be gone, and a machine that goes one of them.

Every way must end in the same state: that is what a comparison (compare.py) is about. A machine is brought from safe
point to safe point, which are the same in all of them.
"""

from collections.abc import Callable
from typing import Any

from minivm.core.clock import NEVER
from minivm.core.record import record
from minivm.debug.careful import careful_of
from minivm.engine.watch import Range
from minivm.errors import ConfigError
from minivm.machine import NS_PER_MS, Ended, Machine

Make = Callable[..., Machine]
"""Makes the machine at power-on, the same one each time; called with `native=False` for the way "python" only."""

SLICE = 1000
"""So many ticks are granted to a go of the way "sliced", where nothing else is said."""
RESTORE_EVERY = NS_PER_MS
"""So often the way "restored" goes on in another machine, in ticks."""
WATCHED = 0x4F0
"""Where the way "watched" looks: 16 bytes that the BIOS leaves to programs, beside the vectors and the BIOS's data."""
WATCHED_BYTES = 16


@record
class Way:
    """One way to run: its kind, one of `WAYS`, and the number behind it where it has one (0: the usual)."""

    kind: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}" if self.number else self.kind


WAYS: dict[str, str] = {
    "run": "at full speed, in goes of 20 ms",
    "step": "one instruction at a time",
    "sliced": "at full speed, in goes of N ticks",
    "python": "at full speed, the engine's block hook in Python",
    "watched": "at full speed, the 16 bytes at a physical address watched",
    "covered": "at full speed, noting what runs and what it touches",
    "restored": "at full speed, saved and restored into a new machine every N ticks",
}
"""Every way, and what it does."""
_USUAL = {"sliced": SLICE, "watched": WATCHED, "restored": RESTORE_EVERY}


def parse_way(text: str) -> Way:
    """Return the way that `text` names: `run`, `sliced 1000` or `sliced:1000`. Raises `ConfigError`."""
    kind, _, number = text.strip().replace(" ", ":").partition(":")
    if kind not in WAYS:
        raise ConfigError(f"{text!r} is no way to run; the ways are {', '.join(WAYS)}")
    if not number:
        return Way(kind)
    if kind not in _USUAL:
        raise ConfigError(f"{text!r}: {kind} takes no number")
    try:
        value = int(number, 0)
    except ValueError:
        value = 0
    if not 0 < value < 1 << 32:
        raise ConfigError(f"{text!r}: {number!r} is no number from 1 to 4294967295, such as 1000 or 0x500")
    return Way(kind, value)


class Side:
    """One of two machines that are compared. `machine` may become another one on the way; `steps` counts steps."""

    def __init__(self, make: Make, way: Way) -> None:
        self.way = way
        self.steps = 0
        self._make = make
        self._number = way.number or _USUAL.get(way.kind, 0)
        self._next_swap = self._number
        self.machine = self._made()

    def go(self, position: int) -> Ended | None:
        """Go to the first safe point at or after `position`; why not, when the machine ended or sleeps for ever."""
        match self.way.kind:
            case "step":
                ended = self._step_to(position)
            case "restored":
                ended = self._run_restored(position)
            case _:
                ended = self.machine.run_to(position)
        self.machine.settle()
        return ended if ended is not None and ended.final else None

    def step(self) -> Ended | None:
        """Execute one instruction, whatever the way; why the machine ended, if it did."""
        self.steps += 1
        ended = self.machine.step()
        return ended if ended.final else None

    def close(self) -> None:
        """Give everything back to the host."""
        self.machine.close()

    # -- ways -------------------------------------------------------------------------------------------------------
    def _step_to(self, position: int) -> Ended | None:
        while (machine := self.machine).now < position or machine.engine.in_block:
            if machine.halted:
                ended = machine.run_to(min(position, machine.clock.next_due))
            else:
                self.steps += 1
                ended = machine.step()
            if ended.final:
                return ended
        return None

    def _run_restored(self, position: int) -> Ended:
        while True:
            wakes = self.machine.clock.next_due if self.machine.halted else 0  # one sleeper is like another
            ended = self.machine.run_to(min(position, max(self._next_swap, wakes)))
            if ended.final or self.machine.now >= position:
                return ended
            self._swap()
            self._next_swap = (self.machine.now // self._number + 1) * self._number

    def _swap(self) -> None:
        """Put the whole state into a new machine, and go on in that."""
        old, new = self.machine, self._make()
        try:
            copy(old, new)
        except BaseException:
            new.close()
            raise
        self.machine = new
        old.close()

    def _made(self) -> Machine:
        machine = self._make(native=False) if self.way.kind == "python" else self._make()
        engine: Any = machine.engine
        match self.way.kind:
            case "sliced":
                machine.slice_ticks = self._number
            case "watched":
                engine.set_careful(careful_of(ports=False, memory=True))
                at = self._number
                engine.watch_memory([Range(at, at + WATCHED_BYTES, reads=True, writes=True)], _look_away)
            case "covered":
                engine.cover(reads=True)
        return machine


def copy(old: Machine, new: Machine) -> None:
    """Make `new`, of the same configuration, the machine that `old` is: RAM, disks, processor and devices."""
    pages = {*old.memory.used(), *new.memory.used()}
    new.memory.put_pages({page: bytes(old.memory.view[page * _PAGE : (page + 1) * _PAGE]) for page in pages})
    for name, disk in old.disks.items():
        new.disks[name].restore_changes(disk.changes())
    new.restore(old.state())


def asleep_for_good(machine: Machine) -> bool:
    """Tell whether only somebody outside could make this machine do anything more."""
    return machine.ended is not None or (machine.halted and machine.clock.next_due == NEVER)


_PAGE = 0x1000


def _look_away(verb: str, address: int, size: int, value: int) -> None:
    """Hear of an access to what is watched, and do nothing."""
