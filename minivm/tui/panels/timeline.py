"""Time as a bar: the whole kept past, how busy each piece was, what is marked in it, and a way to go back along it."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import pairwise
from math import log1p
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.recorder import Event
from minivm.errors import MiniVMError
from minivm.machine import NS_PER_SECOND
from minivm.tui.life import ACCESSES, EVENTS, Sample
from minivm.tui.panel import Obey
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.listing import Listing, Part, Row, merged, row, sentence
from minivm.tui.past import History, history_of, span_words
from minivm.tui.session import Session

SHOWN_MOMENTS = 300
_HEIGHTS = "·▁▂▃▄▅▆▇█"
_MODE_ROLES = {"real": "value", "vm86": "note", "16": "address", "32": "good", "64": "code"}
_BARS = frozenset({"bar", "ports", "signs", "here", "scale"})
"""The rows that lie along time: the mouse scrubs on them."""
_LEGEND = "┃ mode  ! exception  ╷ keyframe  Y branch  ■ end  ▲ here"


@record
class Moment:
    """Something worth a mark: when, and what, in words; `sign` stands in the bar. A click goes to `target`."""

    now: int
    sign: str
    words: str
    target: str = ""


@record
class Told:
    """What the panel shows: looks at the machine, the recorder's modes and exceptions, and the past that is kept."""

    samples: tuple[Sample, ...]
    events: tuple[Event, ...]
    history: History | None
    now: Sample
    ended: str = ""

    @property
    def span(self) -> tuple[int, int]:
        """From where to where the bar goes."""
        if self.history is None:
            return 0, self.samples[-1].now
        return self.history.begin, self.history.end


class TimeListing(Listing):
    """A listing whose bars are a slider for the mouse, and for the keys that go left and right."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "slide(-1)", "Earlier", show=False),
        Binding("right", "slide(1)", "Later", show=False),
        Binding("shift+left,pageup", "slide(-10)", "Much earlier", show=False),
        Binding("shift+right,pagedown", "slide(10)", "Much later", show=False),
        Binding("home", "slide_to(0)", "The beginning", show=False),
        Binding("end", "slide_to(1)", "The end", show=False),
    ]

    class Slid(Message):
        """The user wants to go to a column of the bar, or by so many columns."""

        def __init__(self, column: int | None, by: int = 0) -> None:
            super().__init__()
            self.column = column
            self.by = by

    _dragged = False

    def action_slide(self, by: int) -> None:
        """Go earlier or later."""
        self.post_message(self.Slid(None, by))

    def action_slide_to(self, end: int) -> None:
        """Go to the beginning, or to the end."""
        self.post_message(self.Slid(self.columns - 1 if end else 0))

    @property
    def columns(self) -> int:
        """How many columns the bar has."""
        return max(8, self.size.width - 1)

    def _on_bar(self, y: int) -> bool:
        line = y + self.scroll_offset.y
        return 0 <= line < len(self._lines) and self.rows[self._lines[line][0]].key in _BARS

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the slider."""
        if self._on_bar(event.y):
            self._dragged = True
            self.capture_mouse()
            self.post_message(self.Slid(event.x))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the slider."""
        if self._dragged:
            self.post_message(self.Slid(max(0, min(event.x, self.columns - 1))))

    def on_mouse_up(self) -> None:
        """Let the slider go."""
        if self._dragged:
            self._dragged = False
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        """Choose a row; the bars have had their share."""
        if not self._on_bar(event.y):
            super().on_click(event)
        event.prevent_default()


class TimelinePanel(ListingPanel):
    """The machine's life as a bar, along which it can be taken back."""

    name = "timeline"
    title = "Timeline"
    keys = "← → Home End, or the mouse: go back in time"
    help = (
        "The past that is kept, as a bar. The upper row tells how many interrupts and exceptions each piece had, in "
        "the colour of the CPU's mode; the next one how many port accesses. Below stand the marks: `┃` a change of "
        "mode, `!` exceptions, `╷` a keyframe, `Y` where a branch parts, `■` the machine's end, and `▲` where the "
        "machine is.\n\n"
        "Left and Right go back and forth by a column, with Shift or Page Up and Page Down by ten; Home and End go to "
        "the beginning and the end; a click, or dragging, goes where the mouse is. Enter or a click on a "
        "marked moment below goes there, on a branch to its end. F7 and F8 go back by an instruction, and to where "
        "something would have stopped.\n\n"
        "Modes and exceptions have their exact times where this panel, or the trace, was in view; elsewhere the "
        "machine was looked at a few times a second."
    )

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.listing: TimeListing = TimeListing()
        self.wanted_tick: int | None = None
        """Where the user has dragged the slider to, while the machine is on its way there."""
        self._seen = False
        self._known_session: Session | None = None  # the way to it is the user interface's

    # -- on the machine's thread ----------------------------------------------------------------------------------
    def on_show(self) -> None:
        """Record modes and exceptions from now on."""
        self._seen, self._known_session = True, self.session
        self.look_again()

    def on_hide(self) -> None:
        """Record no more."""
        self._seen, session = False, self._known_session
        if session is not None:
            session.call(lambda debugger: session.record("timeline", self._seen))

    def on_unmount(self) -> None:
        """Record no more."""
        self.on_hide()

    def collect(self, debugger: Debugger) -> Told | None:
        """Take one sample, and over what the recorder has."""
        session, machine, timeline = self._known_session, debugger.machine, debugger.timeline
        if session is None:
            return None
        session.record("timeline", self._seen)
        now = session.life.look(machine, timeline)
        marked = tuple(event for event in session.recorder.events if event.kind in ("mode", "exc"))
        ended = machine.ended.reason if machine.ended is not None else ""
        history = None if timeline is None else history_of(timeline)
        return Told(tuple(session.life.samples), marked, history, now, ended)

    # -- on the user interface's thread ---------------------------------------------------------------------------
    def rows(self, data: Told) -> Iterable[Row]:
        """Return the bars and what is marked in them."""
        width, (begin, end) = self.listing.columns, data.span
        here = data.now.now if self.wanted_tick is None else self.wanted_tick
        found = list(moments(data))
        yield row(Part(_head(data, here), "head"), key="head")  # never broken: the bars stay where they are
        yield Row(merged(bar(data, width, lambda one: one.events)), key="bar")
        yield Row(merged(bar(data, width, lambda one: one.accesses)), key="ports")
        yield Row((Part(signs(found, begin, end, width), "changed"),), key="signs")
        yield Row((Part(under(data, here, width), "address"),), key="here")
        left, right = seconds(begin), seconds(end)
        yield row(Part(left + right.rjust(width - len(left)), "dim"), key="scale")
        yield sentence(_LEGEND, "dim", key="legend")
        yield sentence(_totals(data.now), key="total")
        for one in sorted(found, key=lambda one: -one.now)[:SHOWN_MOMENTS]:
            yield row(
                Part(f"{seconds(one.now):>14}  ", "dim", action=one.target),
                Part(f"{one.sign} ", "changed", action=one.target),
                Part(one.words, action=one.target),
                key=f"{one.sign}{one.now} {one.target}",
                indent=18,
            )

    # -- going ------------------------------------------------------------------------------------------------------
    def on_time_listing_slid(self, event: TimeListing.Slid) -> None:
        """Go where the slider is."""
        event.stop()
        if self.data is None:
            return
        (begin, end), width = self.data.span, self.listing.columns
        now = self.data.now.now if self.wanted_tick is None else self.wanted_tick
        column = column_of(now, begin, end, width) + event.by if event.column is None else event.column
        self.scrub(tick_of(max(0, min(column, width - 1)), begin, end, width))

    def scrub(self, tick: int) -> None:
        """Go near a tick; while one wish is being fulfilled, only the newest of the later ones waits."""
        self.wanted_tick = tick
        self.redraw()
        future = self.session.scrub(tick)
        if future is not None:
            self.run_worker(self._arrive(future), group="scrub", exit_on_error=False)

    async def _arrive(self, future: "Future[None]") -> None:
        problem = ""
        try:
            await asyncio.wrap_future(future)
        except MiniVMError as error:
            problem = str(error)
        self.say(problem)
        if not self.session.scrubbing:
            self.wanted_tick = None
            self.look_again()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Go to a marked moment, or to the end of a branch."""
        event.stop()
        if event.action:
            self.post_message(Obey(event.action))


def _head(data: Told, here: int) -> str:
    _, end = data.span
    back = f", {span_words(end - here)} before the end" if here < end else ""
    return f"{seconds(here)}{back}"


def _totals(one: Sample) -> str:
    halted = 100 * (one.now - one.ticks) // one.now if one.now else 0
    names = zip(one.counts, (*EVENTS, *ACCESSES), strict=True)
    counts = ", ".join(f"{count:,} {name}" for count, name in names)
    return f"{one.ticks:,} ticks, halted {halted} % of the time; {counts}"


def moments(data: Told) -> Iterator[Moment]:
    """Yield what is marked: exactly where it was recorded, else where it was noticed."""
    for event in data.events:
        sign, words = ("┃", event.detail) if event.kind == "mode" else ("!", f"exception {event.number:02X}h")
        yield _at(event.now, sign, words)
    for before, one in pairwise(data.samples):
        inside = [event.kind for event in data.events if before.now < event.now <= one.now]
        if one.mode != before.mode and "mode" not in inside:
            yield _at(one.now, "┃", f"{before.words} -> {one.words}")
        faults = one.counts[1] - before.counts[1] - inside.count("exc")
        if faults > 0:
            yield _at(one.now, "!", f"{faults} exception{'s' * (faults != 1)}")
    if data.history is not None:
        for fork in data.history.forks:
            words = f"branch {fork.number} parts here; it goes on to {seconds(fork.end)}"
            yield Moment(fork.fork, "Y", words, f"branch {fork.number}")
    if data.ended:
        yield _at(data.now.now, "■", f"the machine ended: {data.ended}")


def _at(now: int, sign: str, words: str) -> Moment:
    return Moment(now, sign, words, f"tick {now}")


def bar(data: Told, width: int, measure: Callable[[Sample], int]) -> list[Part]:
    """Return one part for each of `width` equal pieces of time: how high by what happened, coloured by mode."""
    begin, end = data.span
    counts = [0.0] * width
    modes = [""] * width
    before: Sample | None = None
    for one in data.samples:
        happened = measure(one) - (measure(before) if before is not None else 0)
        first = 0 if before is None else column_of(before.now, begin, end, width)
        last = column_of(one.now, begin, end, width)
        for at in range(first, last + 1):
            counts[at] += max(0, happened) / (last - first + 1)
            modes[at] = modes[at] if modes[at] and at == first else one.mode
        before = one
    top = max(counts) or 1
    return [
        Part(_height(count, top), _MODE_ROLES.get(mode, "value")) for count, mode in zip(counts, modes, strict=True)
    ]


def _height(count: float, top: float) -> str:
    """Return a bar by the logarithm: a burst must not hide all the rest."""
    return _HEIGHTS[0] if count <= 0 else _HEIGHTS[1 + min(7, int(7 * log1p(count) / log1p(top)))]


def signs(found: Iterable[Moment], begin: int, end: int, width: int) -> str:
    """Return the marks at their places; the end goes before a mode change, and that before exceptions."""
    line, marked = [" "] * width, list(found)
    for wanted in "!┃■":
        for one in marked:
            if one.sign == wanted:
                line[column_of(one.now, begin, end, width)] = wanted
    return "".join(line)


def under(data: Told, here: int, width: int) -> str:
    """Return the row with keyframes, forks and the present place."""
    line, (begin, end) = [" "] * width, data.span
    if data.history is not None:
        for position in data.history.keyframes:
            line[column_of(position, begin, end, width)] = "╷"
        for fork in data.history.forks:
            line[column_of(fork.fork, begin, end, width)] = "Y"
    line[column_of(here, begin, end, width)] = "▲"
    return "".join(line)


def column_of(now: int, begin: int, end: int, width: int) -> int:
    """Return the column of a moment; the last one is the end."""
    return max(0, min(width - 1, (now - begin) * (width - 1) // max(1, end - begin)))


def tick_of(column: int, begin: int, end: int, width: int) -> int:
    """Return the first moment of a column."""
    return begin + -(-(end - begin) * column // max(1, width - 1))


def seconds(now: int) -> str:
    """Return virtual nanoseconds as seconds, in digits that fit."""
    if now < 1_000_000:
        return f"{now / 1000:.3f} us"
    if now < NS_PER_SECOND:
        return f"{now / 1_000_000:.3f} ms"
    return f"{now / NS_PER_SECOND:.3f} s"
