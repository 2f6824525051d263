"""The last events of a machine, kept while somebody looks: interrupts, exceptions, port accesses and mode changes.

`Recorder.start` hangs it onto a debugger and `stop` takes it off; a recorder that is off costs the machine nothing. A
mode change is seen at the next event, since a hook of its own would slow every block down.

When the machine goes back, the events after that moment are forgotten; they come again when it goes forward. What is
run again only to get to a moment is not recorded: those events are there already.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from minivm.core.describe import Access, Register, sentence
from minivm.core.record import record, replace
from minivm.debug.debugger import Debugger
from minivm.debug.explain import vector_title
from minivm.debug.inspect_devices import IRQ_NAMES, Part, part_at, state_of

if TYPE_CHECKING:
    from minivm.debug.timeline import Timeline

MOST_EVENTS = 1000
KINDS = ("irq", "int", "exc", "in", "out", "mode")
"""What is recorded: hardware interrupts, INT n, exceptions, port reads and writes, changes of the CPU's mode."""


@record
class Event:
    """One event: its virtual time, its kind (one of `KINDS`), vector or port, and the linear address of the code.

    `value` and `size` are a port access's, and `chip`, `register` and `state` what it met, where that is described;
    the state is the one before the access. `detail` is the engine's words, or the two modes.
    """

    now: int
    kind: str
    number: int
    where: int
    value: int = 0
    size: int = 0
    detail: str = ""
    chip: str = ""
    register: Register | None = None
    state: Any = None


class Recorder:
    """Keeps the last `length` events of a debugger's machine; `counts` says how many of each kind there were."""

    def __init__(self, debugger: Debugger, length: int = MOST_EVENTS) -> None:
        self._debugger = debugger
        self._machine = debugger.machine
        self.events: deque[Event] = deque(maxlen=length)
        self.counts = dict.fromkeys(KINDS, 0)
        self.cuts = 0
        """How often events were taken back because the machine went back in time."""
        self._mode = ""
        self._follows: Timeline | None = None
        self._state: Any = None  # of the chip that is being accessed, before that

    @property
    def running(self) -> bool:
        """True between `start` and `stop`."""
        return self in self._debugger.listeners

    def start(self) -> None:
        """Begin to record; on the thread that runs the machine."""
        timeline = self._debugger.timeline
        if timeline is not None and self._follows is None:
            self._follows = timeline
            timeline.went_back.append(self._went_back)
        self._look_anew()
        self._debugger.add_listener(self)

    def stop(self) -> None:
        """Record no more; what is there stays."""
        self._debugger.remove_listener(self)

    def _look_anew(self) -> None:
        self._mode = self._machine.cpu.mode

    def _went_back(self) -> None:
        """Forget what comes after now, on whichever branch it was."""
        now = self._machine.now
        if self.events and self.events[-1].now > now:
            self.cuts += 1
        while self.events and self.events[-1].now > now:
            self.counts[self.events.pop().kind] -= 1
        self._look_anew()

    @property
    def _replaying(self) -> bool:
        """True while the past is run again only to get somewhere in it."""
        return self._follows is not None and self._follows.moving

    def on_event(self, kind: str, vector: int, words: str) -> None:
        """Take an interrupt or exception, as the engine's trace tells of it."""
        if self._replaying:
            return
        self._look_at_mode()
        self._add(Event(self._machine.now, kind, vector, self._machine.cpu.linear_ip, detail=words))

    def before_port(self, port: int) -> None:
        """Look at the chip that is about to be accessed: which register that is may hang on what it was told before.

        So it is with ICW2 to ICW4; and a byte that came by itself a moment ago is there by now.
        """
        part = None if self._replaying else self._part(port)[1]
        self._state = None if part is None else state_of(self._machine, part)

    def on_port(self, verb: str, port: int, size: int, value: int) -> None:
        """Take a port access."""
        if self._replaying:
            return
        self._look_at_mode()
        event = Event(self._machine.now, verb, port, self._machine.cpu.linear_ip, value, size)
        offset, part = self._part(port)
        if part is not None:
            register = part.chip.find(Access(offset, verb == "out", value), self._state)
            event = replace(event, chip=part.chip.name, register=register, state=self._state)
        self._add(event)

    def _part(self, port: int) -> tuple[int, Part | None]:
        """Return the offset of a port in its chip, and that chip's description."""
        mapping = self._machine.ports.find(port)
        return (0, None) if mapping is None else (port - mapping.base, part_at(self._machine, mapping)[1])

    def _look_at_mode(self) -> None:
        cpu = self._machine.cpu
        if cpu.mode != self._mode:
            old, self._mode = self._mode, cpu.mode
            self._add(Event(self._machine.now, "mode", 0, cpu.linear_ip, detail=f"{old} -> {cpu.mode}"))

    def _add(self, event: Event) -> None:
        self.events.append(event)
        self.counts[event.kind] += 1


def event_words(debugger: Debugger, event: Event) -> str:
    """Return an event as one line in plain words; a port access by the register that it met."""
    match event.kind:
        case "irq":
            return f"interrupt {event.number:02X}h from {_source(debugger, event.number)}"
        case "int":
            return f"INT {event.number:02X}h, asked for by the program"
        case "exc":
            return f"exception {vector_title(event.number)}"
        case "mode":
            return f"mode changed: {event.detail}"
    return _port_words(debugger, event)


def _source(debugger: Debugger, vector: int) -> str:
    device = debugger.machine.devices.get("pic")
    if device is not None:
        state = device.state()
        for chip, first in ((state.master, 0), (state.slave, 8)):
            if chip.vector_base & 0xF8 == vector & 0xF8:
                irq = first + (vector & 7)
                return f"{IRQ_NAMES[irq]} (IRQ{irq})" if IRQ_NAMES[irq] else f"IRQ{irq}"
    return "hardware"


def _port_words(debugger: Debugger, event: Event) -> str:
    digits = f"{event.value:0{2 * event.size}X}h"
    access = f"OUT {event.number:X}h, {digits}" if event.kind == "out" else f"IN {event.number:X}h gave {digits}"
    if event.register is None:
        mapping = debugger.machine.ports.find(event.number)
        return f"{access}: {mapping.name}" if mapping is not None else f"{access}: nobody answers there"
    words = sentence(event.register, event.value, event.state)
    title = f"{event.chip}, {event.register.title}"
    return f"{access}: {title}: {words}" if words else f"{access}: {title}"
