"""What the next instruction will do, what the last one changed, and why the machine stands still: in words."""

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.explain import explain_autopsy, explain_flags, explain_instruction
from minivm.debug.inspect_devices import interrupt_path
from minivm.machine import Ended
from minivm.tui.lesson import Lesson, Step
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.listing import Part, Row, row, sentence
from minivm.tui.session import View

_QUIET = frozenset({"rip", "rflags"})
_NARROW = {"real": 2, "vm86": 2, "16": 2, "compat16": 2, "32": 4, "compat32": 4, "64": 8}


@record
class Words:
    """The words for the next instruction, its source line, the interrupt that comes before it, and how it all ended."""

    sentences: tuple[str, ...]
    source: str
    interrupt: str
    ended: Ended | None = None


class ExplainPanel(ListingPanel):
    """The explainer's words for this moment."""

    name = "explain"
    title = "Explain"
    help = (
        "What happens, in words and with the values of now: why the machine stands still, what the next instruction "
        "will do, flags and faults included, and what changed since the machine last stood still. Step with F11 and "
        "read on; click an address to see what is there."
    )

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._flying = False
        self._view: View | None = None
        self.lesson: Lesson | None = None
        self._at = 0

    def go_on(self) -> Step | None:
        """Show the lesson's next step, the first one behind the last, and return it; None when there is no lesson."""
        if self.lesson is None:
            return None
        self._at = (self._at + 1) % len(self.lesson.steps)
        self.listing.cursor = 0
        self.listing.scroll_to(y=0, animate=False)
        self.listing.show_rows(self.rows(self.data))
        return self.lesson.steps[self._at]

    def _taught(self) -> Iterator[Row]:
        """Return the lesson's current step."""
        if self.lesson is None:
            return
        step, count = self.lesson.steps[self._at], len(self.lesson.steps)
        key = "N begins anew" if self._at + 1 == count else "N: next step"
        yield row(Part(f"Lesson {self._at + 1}/{count}", "head"), Part(f"  {key}", "note"))
        yield sentence(step.title, "value")
        yield sentence(step.text, indent=2)

    def collect(self, debugger: Debugger) -> Words | None:
        """Explain the next instruction; not of a machine that runs, whose next instruction nobody could read."""
        if self._flying and not debugger.machine.halted and debugger.machine.ended is None:
            return None
        machine = debugger.machine
        line = debugger.symbols.source(machine.cpu.linear_ip) if len(debugger.symbols) else None
        source = (
            "" if line is None else f"{PurePath(line.file).name}:{line.line}  {' '.join((line.text or '').split())}"
        )
        if machine.ended is not None or machine.halted:
            return Words((), source, "", machine.ended)
        return Words(tuple(explain_instruction(machine)), source, _due(debugger))

    def show(self, data: object, view: View) -> None:
        """Show what `collect` found together with what the view tells."""
        flying = view.running and view.speed.kind != "instructions"
        if self._flying and not flying and data is None:
            self._flying = False
            self.look_again()  # the machine has just stopped, and what it stopped at was not explained yet
            return
        self._flying, self._view = flying, view
        self.data = data
        self.listing.show_rows(self.rows(data))

    def rows(self, data: Any) -> Iterable[Row]:
        """Return the three parts, each under its head; without `Words` for a machine that runs."""
        yield from self._taught()
        view = self._view
        if view is None:
            return
        yield from _why(view, data.ended if data is not None else None)
        if data is None:
            yield sentence("The machine runs. Pause it, and this panel explains where it stands.", "note")
            return
        if data.sentences:
            yield row(Part("Next", "head"), Part(f"  {view.where}", "code", view.linear_ip))
            if data.source:
                yield sentence(data.source, "note", indent=2)
            if data.interrupt:
                yield sentence(f"First {data.interrupt}.", "changed", indent=2)
            yield from _told(data.sentences)
        yield from _changes(view)


def _due(debugger: Debugger) -> str:
    """Return which interrupt the CPU will take before the next instruction; "" for none."""
    path = interrupt_path(debugger.machine)
    if path is None or not path.intr or not path.interrupt_flag or path.shadow:
        return ""
    return next((f"{one.name}, {one.words}" for one in path.interrupts if one.words.startswith("will be")), "")


def _told(sentences: tuple[str, ...]) -> Iterator[Row]:
    head, colon, rest = sentences[0].partition(": ")
    if colon:
        yield row(Part(f"  {head}", "code"), Part(f": {rest}"), indent=2)
    else:
        yield sentence(head, indent=2)
    for one in sentences[1:]:
        raises = "raises #" in one
        yield sentence(one, "bad" if raises else "dim" if one == "Flags: none change." else "text", indent=2)


def _why(view: View, ended: Ended | None) -> Iterator[Row]:
    stop = view.stop
    if stop is not None and not view.running and stop.reason != "step":
        yield row(Part("Stopped", "head"), Part(f"  {stop.text}", "text"), indent=2)
    elif ended is not None:
        yield row(Part("Stopped", "head"), Part(f"  the machine has ended: {ended.reason}"), indent=2)
    if ended is not None and ended.autopsy is not None:
        for one in explain_autopsy(ended.autopsy):
            yield sentence(one, "bad" if one.startswith("Look first") else "text", indent=2)
    elif view.halted:
        waits = "no interrupt can come" if ended is not None else "it waits for an interrupt"
        yield row(Part("Halted", "head"), Part(f"  The CPU executed HLT, and {waits}."), indent=2)


def _changes(view: View) -> Iterator[Row]:
    if view.stop is None or view.before == view.registers:
        return
    yield row(Part("Changed", "head"))
    size = _NARROW.get(view.mode, 8)
    for name, value in view.registers.items():
        old = view.before.get(name, value)
        if old != value and name not in _QUIET:
            yield row(Part(f"  {_register(name, size, old | value)} "), Part(_digits(old, size), "dim"), " is now ",
                      Part(_digits(value, size), "changed"))  # fmt: skip
    for one in explain_flags(view.before["rflags"], view.registers["rflags"]):
        yield sentence(one, indent=2)
    if all(view.before.get(name) == value for name, value in view.registers.items() if name != "rip"):
        yield sentence("only the instruction pointer", "dim", indent=2)


def _register(name: str, size: int, value: int) -> str:
    """Return the name as narrow as the mode and the value allow: AX, EAX or RAX."""
    if name[:1] != "r" or name[1:].isdigit():
        return name.upper()
    size = max(size, 4 if value > 0xFFFF else 2, 8 if value > 0xFFFF_FFFF else 2)
    return ({2: "", 4: "e", 8: "r"}[size] + name[1:]).upper()


def _digits(value: int, size: int) -> str:
    size = max(size, 4 if value > 0xFFFF else 2, 8 if value > 0xFFFF_FFFF else 2)
    return f"{value:0{2 * size}X}h"
