"""Time as a bar: from power-on to now, how busy each piece was, and where the machine changed its mode."""

from collections.abc import Iterable
from typing import Any

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.inspect import mode_words
from minivm.machine import NS_PER_SECOND
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.listing import Part, Row, merged, row, sentence

MOST_SAMPLES = 2048
_HEIGHTS = "·▁▂▃▄▅▆▇█"
_COUNTED = ("interrupts", "exceptions", "software interrupts")
_MODE_ROLES = {"real": "value", "vm86": "note", "16": "address", "32": "good", "64": "code"}


@record
class Sample:
    """The machine at one look: virtual time, ticks, what it did since power-on, and its mode."""

    now: int
    ticks: int
    mode: str
    words: str
    counts: tuple[int, ...]


@record
class Moment:
    """Something worth a mark: when, and what, in words; `sign` stands in the bar."""

    now: int
    sign: str
    words: str


class TimelinePanel(ListingPanel):
    """The machine's life so far as a bar."""

    name = "timeline"
    title = "Timeline"
    help = (
        "Virtual time from power-on to now. The height of each piece tells how many interrupts and exceptions it had, "
        "its colour the CPU's mode; `┃` marks a change of mode, `!` exceptions, `■` the end. Below stand the marked "
        "moments and how much of the time the CPU was halted.\n\n"
        "It is made from looks at the machine while this panel is in view: what happened before is one piece."
    )

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.samples: list[Sample] = []
        self.moments: list[Moment] = []
        self._ended = False

    # -- on the machine's thread ----------------------------------------------------------------------------------
    def collect(self, debugger: Debugger) -> tuple[tuple[Sample, ...], tuple[Moment, ...]]:
        """Take one sample."""
        machine = debugger.machine
        exits = machine.exits
        counts = tuple(exits.get(name, 0) for name in _COUNTED)
        new = Sample(machine.now, machine.ticks, machine.cpu.mode, mode_words(machine.cpu), counts)
        last = self.samples[-1] if self.samples else None
        if last is not None and new.now < last.now:  # a new machine, or one that was taken back
            self.samples, self.moments, last = [], [], None
        if last is None or new != last:
            self.samples.append(new)
            self._note(last, new)
        if machine.ended is not None and not self._ended:
            self.moments.append(Moment(machine.now, "■", f"the machine ended: {machine.ended.reason}"))
        self._ended = machine.ended is not None
        if len(self.samples) > MOST_SAMPLES:
            self.samples = self.samples[:1] + self.samples[1:-1:2] + self.samples[-1:]
        del self.moments[: -MOST_SAMPLES // 4]
        return tuple(self.samples), tuple(self.moments)

    def _note(self, last: Sample | None, new: Sample) -> None:
        if last is None:
            return
        if new.mode != last.mode:
            self.moments.append(Moment(new.now, "┃", f"{last.words} -> {new.words}"))
        faults = new.counts[1] - last.counts[1]
        if faults:
            self.moments.append(Moment(new.now, "!", f"{faults} exception{'s' * (faults != 1)}"))

    # -- on the user interface's thread ---------------------------------------------------------------------------
    def rows(self, data: tuple[tuple[Sample, ...], tuple[Moment, ...]]) -> Iterable[Row]:
        """Return the bar and what is marked in it."""
        samples, moments = data
        last = samples[-1]
        width = max(8, self.listing.size.width - 1)
        halted = 100 * (last.now - last.ticks) // last.now if last.now else 0
        yield sentence(f"{seconds(last.now)}, {last.ticks:,} ticks, halted {halted} % of the time", "head")
        yield Row(merged(bar(samples, width)), key="bar")
        yield Row((Part(signs(moments, last.now, width), "changed"),), key="signs")
        left, right = "0 s", seconds(last.now)
        yield row(Part(left + right.rjust(width - len(left)), "dim"), key="scale")
        total = ", ".join(f"{count:,} {name}" for count, name in zip(last.counts, _COUNTED, strict=True))
        yield sentence(total, key="total")
        for one in reversed(moments):
            yield row(Part(f"{seconds(one.now):>14}  ", "dim"), Part(f"{one.sign} ", "changed"), one.words, indent=18)


def bar(samples: tuple[Sample, ...], width: int) -> list[Part]:
    """Return one part for each of `width` equal pieces of time: how high by events, coloured by mode."""
    end = max(1, samples[-1].now)
    counts = [0.0] * width
    modes = [""] * width
    before: Sample | None = None
    for one in samples:
        events = sum(one.counts) - (sum(before.counts) if before is not None else 0)
        first = 0 if before is None else min(width - 1, before.now * width // end)
        last = min(width - 1, one.now * width // end)
        for at in range(first, last + 1):
            counts[at] += events / (last - first + 1)
            modes[at] = modes[at] if modes[at] and at == first else one.mode
        before = one
    top = max(counts) or 1
    return [
        Part(_height(count, top), _MODE_ROLES.get(mode, "value")) for count, mode in zip(counts, modes, strict=True)
    ]


def _height(count: float, top: float) -> str:
    return _HEIGHTS[0] if count <= 0 else _HEIGHTS[1 + min(7, int(7 * count / top))]


def signs(moments: tuple[Moment, ...], end: int, width: int) -> str:
    """Return the marks at their places; the end goes before a mode change, and that before exceptions."""
    line = [" "] * width
    for wanted in "!┃■":
        for one in moments:
            if one.sign == wanted:
                line[min(width - 1, one.now * width // max(1, end))] = wanted
    return "".join(line)


def seconds(now: int) -> str:
    """Return virtual nanoseconds as seconds, in digits that fit."""
    if now < 1_000_000:
        return f"{now / 1000:.3f} us"
    if now < NS_PER_SECOND:
        return f"{now / 1_000_000:.3f} ms"
    return f"{now / NS_PER_SECOND:.3f} s"
