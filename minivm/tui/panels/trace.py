"""The last events in words: interrupts, exceptions, port accesses and mode changes."""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.recorder import Event, event_words
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.listing import Listing, Part, Row, row, sentence
from minivm.tui.session import Session

SHOWN_EVENTS = 400
_FILTERS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "interrupts": ("irq", "int"),
    "exceptions": ("exc",),
    "ports": ("in", "out"),
    "modes": ("mode",),
}
_ROLES = {"irq": "good", "int": "address", "exc": "bad", "in": "text", "out": "text", "mode": "changed"}


@record
class Told:
    """One event and its words."""

    event: Event
    words: str


@record
class Events:
    """The last events, the oldest first, and how many of each kind there were."""

    told: tuple[Told, ...]
    counts: tuple[tuple[str, int], ...]


class TracePanel(ListingPanel):
    """What the guest made the machine do. It records only while it can be seen."""

    name = "trace"
    title = "Trace"
    keys = "K kinds, C clear"
    help = (
        "The last events, the newest at the end: hardware interrupts, INT n, exceptions, port accesses with the "
        "meaning of each value, and mode changes. It records only while this panel is in view, so that a machine "
        "whose trace nobody reads runs at full speed.\n\n"
        "**K** shows only one kind of events, then the next; **C** forgets them. / looks through all that are kept, "
        "which then stand still until Escape. Enter or a click on an address shows the code that was running."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "kinds", "Kinds", show=False),
        Binding("c", "clear", "Clear", show=False),
    ]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.listing = Listing(tail=True)
        self.filter = "everything"
        self._told: deque[Told] = deque(maxlen=SHOWN_EVENTS)
        self._seen = self._cuts = 0
        self._wanted = False
        self._known_session: Session | None = None  # the way to it is the user interface's
        self._whole = False  # show all that is kept, and stand still
        self._held: Events | None = None

    # -- recording ------------------------------------------------------------------------------------------------
    def on_show(self) -> None:
        """Record from now on."""
        self._wanted, self._known_session = True, self.session
        self.look_again()

    def on_hide(self) -> None:
        """Record no more."""
        self._wanted, session = False, self._known_session
        if session is not None:
            session.call(lambda debugger: session.record("trace", self._wanted))

    def on_unmount(self) -> None:
        """Record no more."""
        self.on_hide()

    def collect(self, debugger: Debugger) -> Events | None:
        """Take over what is new, after a way back what is left; start the recorder when it does not run yet."""
        session = self._known_session
        if session is None:
            return None
        recorder = session.recorder
        session.record("trace", self._wanted)
        if self._held is not None:
            return self._held
        total = sum(recorder.counts.values())
        if self._whole:
            told = tuple(Told(event, event_words(debugger, event)) for event in recorder.events)
            self._held = Events(told, tuple(recorder.counts.items()))
            return self._held
        if recorder.cuts != self._cuts:
            self._cuts, self._seen = recorder.cuts, 0
            self._told.clear()
        new = min(total - self._seen, len(recorder.events), SHOWN_EVENTS)
        self._seen = total
        for event in islice(recorder.events, len(recorder.events) - new, None):
            self._told.append(Told(event, event_words(debugger, event)))
        return Events(tuple(self._told), tuple(recorder.counts.items()))

    # -- showing --------------------------------------------------------------------------------------------------
    def rows(self, data: Events) -> Iterable[Row]:
        """Return a row for each event of the chosen kinds."""
        total = sum(count for _, count in data.counts)
        held = "held for the search, Esc goes on, " if self._whole else ""
        self.tell_edge(f"{held}{self.filter}, {total:,} events")
        kinds = _FILTERS[self.filter]
        found = [one for one in data.told if not kinds or one.event.kind in kinds]
        if not found:
            yield sentence("Nothing has happened since this panel came into view.", "note")
        yield from map(_event_row, found)

    def unfold(self) -> bool:
        """Show all events that are kept, and hold them while something is searched for."""
        was, self._whole = self._whole, True
        return not was

    def mark(self, wanted: str) -> None:
        """Go on once nothing is searched for."""
        super().mark(wanted)
        if not wanted and self._whole:
            self._whole, self._held = False, None
            self.look_again()

    def action_copy_all(self) -> None:
        """Copy all events that are kept."""

        session = self.session

        def told(debugger: Debugger) -> str:
            events = session.recorder.events
            return "\n".join(_event_row(Told(one, event_words(debugger, one))).text.rstrip() for one in events)

        self.command(told, lambda text: self.copy(text, "copied all events"))

    def action_kinds(self) -> None:
        """Show the next kind of events."""
        names = list(_FILTERS)
        self.filter = names[(names.index(self.filter) + 1) % len(names)]
        self.redraw()

    def action_clear(self) -> None:
        """Forget all events."""
        self.mark("")
        self.command(lambda debugger: self._told.clear())


def _event_row(one: Told) -> Row:
    event = one.event
    return row(
        Part(f"{event.now / 1000:12.3f} us  ", "dim"),
        Part(f"{event.where:08X}  ", "code", event.where),
        Part(one.words, _ROLES.get(event.kind, "text")),
        indent=26,
    )
