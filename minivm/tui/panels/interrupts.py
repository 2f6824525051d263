"""The way of every interrupt: its line, the controller's three registers, and a sentence that says why."""

from collections.abc import Iterable
from typing import Any

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.inspect_devices import Interrupt, InterruptPath, interrupt_path
from minivm.debug.inspect_tables import vector_entry
from minivm.tui.panels.addresses import Place, target_of
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.changes import Changes
from minivm.tui.panels.listing import Part, Row, row, sentence

_BITS = (("line", "LINE"), ("requested", "IRR"), ("masked", "IMR"), ("in_service", "ISR"))


@record
class Path:
    """The path of all interrupts at the time `now`, and the handler of each, by IRQ."""

    path: InterruptPath | None
    handlers: tuple[Place | None, ...]
    now: int


class InterruptsPanel(ListingPanel):
    """Why each interrupt is, or is not, on its way to the CPU."""

    name = "interrupts"
    title = "Interrupts"
    help = (
        "How an interrupt comes to the CPU: a device raises its **line**; the PIC latches the request in the IRR; the "
        "IMR may mask it; while its handler runs, it is in service (ISR); and the CPU listens only while **IF** is 1. "
        "The sentence says where each interrupt is held up, or that it will be delivered.\n\n"
        "Enter or a click on the handler's address shows its code."
    )

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._changes = Changes()

    def collect(self, debugger: Debugger) -> Path:
        """Look at both controllers and the vector table."""
        path = interrupt_path(debugger.machine)
        vectors = () if path is None else tuple(one.vector for one in path.interrupts)
        handlers = tuple(target_of(debugger, vector_entry(debugger.engine, vector)) for vector in vectors)
        return Path(path, handlers, debugger.machine.now)

    def rows(self, data: Path) -> Iterable[Row]:
        """Return the CPU's end first, then a row for each IRQ."""
        path = data.path
        if path is None:
            yield sentence("This machine has no interrupt controllers.", "note")
            return
        flag = Part("IF 1 " if path.interrupt_flag else "IF 0 ", "good" if path.interrupt_flag else "bad")
        yield row(Part("CPU  ", "head"), flag, Part("INTR 1 " if path.intr else "INTR 0 "), path.words, indent=5)
        yield row(Part("IRQ  LINE IRR IMR ISR VECTOR  HANDLER", "head"))
        seen = {(one.irq, name): getattr(one, name) for one in path.interrupts for name, _ in _BITS}
        changed = self._changes.look(data.now, seen)
        for one, handler in zip(path.interrupts, data.handlers, strict=True):
            yield _irq_row(one, handler, changed)


def _irq_row(one: Interrupt, handler: Place | None, changed: frozenset[object]) -> Row:
    parts = [Part(f"{one.irq:3}  ", "head")]
    for name, title in _BITS:
        on = getattr(one, name)
        role = "changed" if (one.irq, name) in changed else "value" if on else "dim"
        parts += [Part("1" if on else "·", role), Part(" " * len(title))]
    parts.append(Part(f"{one.vector:02X}h     "))
    if handler is not None:
        parts.append(Part(handler.text, "code", handler.linear))
    parts.append(Part(f"  {one.name.partition(', ')[2] or one.name}: {one.words}", _mood(one)))
    return Row(tuple(parts), key=f"irq{one.irq}", indent=5)


def _mood(one: Interrupt) -> str:
    if one.words.startswith("will be"):
        return "good"
    return "bad" if one.requested and not one.in_service else "text" if one.in_service else "dim"
