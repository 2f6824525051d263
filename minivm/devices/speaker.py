"""The PC's speaker: what there is to hear, as events.

IBM PC AT Technical Reference, "Speaker interface": the output of timer channel 2 and bit 1 of port 61h meet in an AND
gate in front of the cone. A wave of the timer is a tone; bit 1 that moves while the timer's output stands high moves
the cone once, a click, of which programs of the time made their own waves.
"""

from collections.abc import Callable

from minivm.core.clock import Clock
from minivm.core.record import record

TIMER_HZ = 1_193_182
HIGHEST_HZ = 20_000
"""Above this nobody hears a tone: a program that sets such a count plays samples, or keeps the speaker quiet."""


@record
class Tone:
    """A tone of timer channel 2, `count` pulses of 1.193182 MHz a period; `to_ns` is None while it sounds."""

    count: int
    from_ns: int
    to_ns: int | None = None

    @property
    def frequency_hz(self) -> float:
        """The frequency in Hz."""
        return TIMER_HZ / self.count


@record
class Click:
    """The cone moved once, out (True) or back."""

    at_ns: int
    out: bool


Listener = Callable[[Tone | Click], None]


@record
class SpeakerState:
    """Whether bit 1 of port 61h lets the timer through, and what sounds."""

    data: bool
    tone: Tone | None


class Speaker:
    """The speaker, a `Device`. It asks the timer and tells its `listeners`, which may be added and removed at any time.

    A tone is told twice, when it begins (`to_ns` is None) and when it has ended, each time from within the guest's
    access. `wave()` gives the pulses of a period of the timer's wave or None, `output()` its level; `update` is to be
    called when the timer was programmed or its gate has moved, `set_data` with bit 1 of port 61h.
    """

    def __init__(self, clock: Clock, *, wave: Callable[[], int | None], output: Callable[[], bool]) -> None:
        self.listeners: list[Listener] = []
        self.tone: Tone | None = None
        self._clock = clock
        self._wave = wave
        self._output = output
        self._data = False

    def set_data(self, on: bool) -> None:
        """Let the timer's output through, or not."""
        changed, self._data = on != self._data, on
        silent = self.tone is None
        self.update()
        if changed and silent and self._wave() is None and self._output():
            self._tell(Click(self._clock.now, on))

    def update(self) -> None:
        """Begin, change or end the tone."""
        count = self._audible()
        if count == (None if self.tone is None else self.tone.count):
            return
        self._end()
        if count is not None:
            self.tone = Tone(count, self._clock.now)
            self._tell(self.tone)

    def reset(self) -> None:
        """Return to power-on: silence."""
        self._data = False
        self._end()

    def state(self) -> SpeakerState:
        """Return what sounds."""
        return SpeakerState(self._data, self.tone)

    def restore(self, state: SpeakerState) -> None:
        """Take it back; nobody is told, since nothing happens."""
        self._data, self.tone = state.data, state.tone

    def _audible(self) -> int | None:
        """Return the period of the wave that reaches the cone, or None."""
        count = self._wave() if self._data else None
        return count if count is not None and count * HIGHEST_HZ >= TIMER_HZ else None

    def _end(self) -> None:
        ended, self.tone = self.tone, None
        if ended is not None:
            self._tell(Tone(ended.count, ended.from_ns, self._clock.now))

    def _tell(self, event: Tone | Click) -> None:
        for listener in tuple(self.listeners):
            listener(event)
