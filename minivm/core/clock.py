"""Virtual time: the machine's only clock.

It counts nanoseconds since power-on and moves only when the machine says how far the CPU came, so that a run is the
same on every host. Whoever gives a device the word (the machine's loop, the engine's port hook) first calls
`advance_to`, so `now` is exact also inside a port read, and every alarm that was due has rung by then.
"""

from collections.abc import Callable
from heapq import heappop, heappush

NEVER = 1 << 62
"""A time in nanoseconds, 146 years after power-on, that no run reaches."""


class Alarm:
    """One appointment with the clock; cancel it or let it ring."""

    __slots__ = ("_clock", "action", "due")

    def __init__(self, clock: "Clock", due: int, action: Callable[[], None]) -> None:
        self._clock = clock
        self.due = due
        self.action: Callable[[], None] | None = action

    @property
    def active(self) -> bool:
        """True until the alarm has rung or was cancelled."""
        return self.action is not None

    def cancel(self) -> None:
        """Make sure that the alarm never rings; cancelling twice is harmless."""
        if self.action is not None:
            self.action = None
            self._clock._forget_cancelled()


_Entry = tuple[int, int, Alarm]


class Clock:
    """Virtual nanoseconds and the alarms set for later. Alarms due at one time ring in the order they were set.

    `next_due` is when the next alarm rings that may wake a sleeping CPU. A *quiet* alarm cannot, like the falling edge
    of a timer's output: it rings in its turn and at its time whenever the clock moves past it, but nobody stops for it.
    """

    def __init__(self) -> None:
        self.now = 0
        self.next_due = NEVER
        self._queue: list[_Entry] = []  # all alarms
        self._waking: list[_Entry] = []  # those that are not quiet, a second time
        self._first = NEVER
        self._serial = 0

    @property
    def first_due(self) -> int:
        """When the next alarm rings, quiet or not; `NEVER` while none is set."""
        return self._first

    def at(self, due_ns: int, action: Callable[[], None], *, quiet: bool = False) -> Alarm:
        """Call `action` at the virtual time `due_ns`; a time in the past rings at the next advance."""
        alarm = Alarm(self, due_ns if due_ns > self.now else self.now, action)
        self._serial += 1
        entry = (alarm.due, self._serial, alarm)
        heappush(self._queue, entry)
        self._first = self._queue[0][0]
        if not quiet:
            heappush(self._waking, entry)
            self.next_due = self._waking[0][0]
        return alarm

    def after(self, delay_ns: int, action: Callable[[], None], *, quiet: bool = False) -> Alarm:
        """Call `action` once, `delay_ns` virtual nanoseconds from now."""
        return self.at(self.now + delay_ns, action, quiet=quiet)

    def advance_to(self, time_ns: int) -> None:
        """Move on to `time_ns`, ringing on the way every alarm that is due; `now` is then the alarm's own time."""
        while self._first <= time_ns:
            due, _, alarm = heappop(self._queue)
            action, alarm.action = alarm.action, None
            self.now = due if due > self.now else self.now
            self._forget_cancelled()
            if action is not None:
                action()
        self.now = time_ns if time_ns > self.now else self.now

    def advance(self, delay_ns: int) -> None:
        """Move on by `delay_ns`."""
        self.advance_to(self.now + delay_ns)

    def pending(self) -> list[tuple[int, Callable[[], None]]]:
        """Return (due, action) of every alarm that is set, in the order in which they will ring."""
        return [(due, alarm.action) for due, _, alarm in sorted(self._queue) if alarm.action is not None]

    def settle_ties(self, rank: Callable[[int, Callable[[], None]], int]) -> None:
        """Let alarms that are due at one time ring by `rank(due, action)`, the lowest first: after a restore."""
        waking = {id(entry[2]) for entry in self._waking}
        active = [entry for entry in self._queue if entry[2].action is not None]
        active.sort(key=lambda entry: (entry[0], rank(entry[0], entry[2].action or _nothing), entry[1]))
        self._queue = [(due, self._serial + place, alarm) for place, (due, _, alarm) in enumerate(active, start=1)]
        self._waking = [entry for entry in self._queue if id(entry[2]) in waking]
        self._serial += len(active)
        self._forget_cancelled()

    def reset_to(self, time_ns: int) -> None:
        """Set the time without ringing anything and drop every alarm: a restore, after which devices arm anew."""
        for _, _, alarm in self._queue:
            alarm.action = None
        self._queue.clear()
        self._waking.clear()
        self.now = time_ns
        self._first = self.next_due = NEVER

    def _forget_cancelled(self) -> None:
        """Drop what has rung or was cancelled from the heads of both queues."""
        self._first = _head(self._queue)
        self.next_due = _head(self._waking)


def _nothing() -> None:
    """Stand in for an action that is gone."""


def _head(queue: list[_Entry]) -> int:
    while queue and queue[0][2].action is None:
        heappop(queue)
    return queue[0][0] if queue else NEVER
