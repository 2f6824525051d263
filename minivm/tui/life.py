"""The machine's life as samples: how much it did up to each look, in which mode.

Counts belong to the machine's state and go back with it. So a look in the past only makes the picture finer, and
nothing is counted twice; what lies behind the fork of a branch that was left is forgotten.
"""

from bisect import bisect_left

from minivm.core.record import record
from minivm.debug.inspect import mode_words
from minivm.debug.timeline import Timeline
from minivm.machine import Machine

MOST_SAMPLES = 2048
EVENTS = ("interrupts", "exceptions", "software interrupts")
ACCESSES = ("port reads", "port writes")
_COUNTED = (*EVENTS, *ACCESSES)


@record
class Sample:
    """The machine at one look: virtual time, ticks, its mode by name and in words, and what it did since power-on."""

    now: int
    ticks: int
    mode: str
    words: str
    counts: tuple[int, ...]

    @property
    def events(self) -> int:
        """How many interrupts and exceptions there were."""
        return sum(self.counts[: len(EVENTS)])

    @property
    def accesses(self) -> int:
        """How many port accesses there were."""
        return sum(self.counts[len(EVENTS) :])


class Life:
    """The samples of one machine in order of time, at most 2,048."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._branches: tuple[tuple[int, int, int], ...] = ()

    def look(self, machine: Machine, timeline: Timeline | None) -> Sample:
        """Take a sample of now, on the machine's thread, and return it."""
        self._forget(timeline)
        counts = tuple(machine.exits.get(name, 0) for name in _COUNTED)
        new = Sample(machine.now, machine.ticks, machine.cpu.mode, mode_words(machine.cpu), counts)
        at = bisect_left(self.samples, new.now, key=lambda one: one.now)
        if at < len(self.samples) and self.samples[at].now == new.now:
            self.samples[at] = new
        else:
            self.samples.insert(at, new)
        if len(self.samples) > MOST_SAMPLES:
            self.samples = self.samples[:1] + self.samples[1:-1:2] + self.samples[-1:]
        return new

    def _forget(self, timeline: Timeline | None) -> None:
        """Drop what lies on another branch than the present."""
        if timeline is None:
            return
        branches = tuple((one.number, one.fork, one.end) for one in timeline.branches)
        changed = set(branches) ^ set(self._branches)
        self._branches = branches
        last = min((fork for _, fork, _ in changed), default=timeline.end)
        if self.samples and self.samples[-1].now > last:
            self.samples = [one for one in self.samples if one.now <= last]


__all__ = ["ACCESSES", "EVENTS", "Life", "Sample"]
