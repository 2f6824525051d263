"""Arming: telling the engine what it is to notice, and no more than that, and keeping notes of what it noticed."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from minivm.debug.careful import careful_of
from minivm.debug.editing import Editor
from minivm.debug.entries import Breakpoint, Catch, Entries, Watchpoint
from minivm.debug.expressions import Expression
from minivm.debug.inspect_paging import physical_of
from minivm.engine.watch import EDGE, Range
from minivm.machine import Machine

_PAGE = 0x1000


class Listener(Protocol):
    """Who is told of everything that the guest makes the machine do, on the machine's thread; a recorder."""

    def on_event(self, kind: str, vector: int, words: str) -> None:
        """Take an interrupt or exception: `kind` is "irq", "int" or "exc"; before its handler is entered."""

    def before_port(self, port: int) -> None:
        """Look at a port that is about to be accessed."""

    def on_port(self, verb: str, port: int, size: int, value: int) -> None:
        """Take a port access, "in" or "out", after it happened."""


class Arming:
    """What one machine's engine notices for its debugger.

    Notes: `accesses` to watched memory (verb, physical address, size, value), `ports` (verb, port, size, value), and
    `events` (kind, vector). `every_instruction` and `every_block` say what no engine can notice: the debugger has to
    look there itself.
    """

    def __init__(
        self, machine: Machine, entries: Entries, editor: Editor, value_of: Callable[[Expression], int]
    ) -> None:
        self._value_of = value_of
        self.accesses: list[tuple[str, int, int, int]] = []
        self.ports: list[tuple[str, int, int, int]] = []
        self.events: list[tuple[str, int]] = []
        self.listeners: tuple[Listener, ...] = ()
        self.every_instruction = self.every_block = False
        self._machine = machine
        self._engine: Any = machine.engine
        self._entries = entries
        self._editor = editor
        self._catches_ports = self._watches_registers = False
        self._ranges: list[Range] = []
        self._outer_trace: Callable[[str, int, str], None] | None = getattr(machine.engine, "trace", None)

    def arm(self) -> None:
        """Tell the engine what is to be noticed, after entries or listeners have changed."""
        self._engine.set_breakpoints(entry.address for entry in self._entries.armed(Breakpoint))
        self._arm_watches()
        kinds = {entry.kind for entry in self._entries.armed(Catch)}
        self.every_block = bool(kinds & {"mode", "privilege"})
        registers = any(entry.seldom for entry in self._entries.armed(Watchpoint))
        if (self._catches_ports, self._watches_registers) != ("port" in kinds, registers):
            self._catches_ports, self._watches_registers = "port" in kinds, registers
            self._arm_careful()
        self._engine.port_listener = self._note_port if self._catches_ports or self.listeners else None
        self._engine.port_watcher = self._before_port if self.listeners else None
        wanted = kinds & {"interrupt", "exception", "bios"}
        self._engine.trace = self._note_event if wanted or self.listeners or registers else self._outer_trace

    def _arm_watches(self) -> None:
        watches = list(self._entries.armed(Watchpoint))
        self.every_instruction = any(not entry.noticed for entry in watches)
        ranges = [one for entry in watches if entry.ranged for one in self._ranges_of(entry)]
        if ranges == self._ranges:  # all translations go when this changes
            return
        had, self._ranges = self._ranges, ranges
        if ranges and not had:
            self._machine.memory.write_listeners.append(self._note_host_write)
        elif had and not ranges:
            self._machine.memory.write_listeners.remove(self._note_host_write)
        self._arm_careful()
        self._engine.watch_memory(ranges, self._note_access if ranges else None)

    def _arm_careful(self) -> None:
        ports, memory, registers = self._catches_ports, bool(self._ranges), self._watches_registers
        careful = careful_of(ports=ports, memory=memory, registers=registers) if ports or memory or registers else None
        self._engine.set_careful(careful, self._has_register_changed if registers else None)

    # -- which memory -----------------------------------------------------------------------------------------------
    def _ranges_of(self, entry: Watchpoint) -> Iterator[Range]:
        reads, writes = entry.kind in ("read", "access"), entry.kind != "read"
        yield Range(entry.start, entry.end, reads, writes)
        for edge in _edges_near(entry.start, entry.end):
            below = edge - 1 if entry.linear is None else self._neighbour(entry, edge - 1)
            above = edge if entry.linear is None else self._neighbour(entry, edge)
            if below is not None:
                yield Range(below + 1 - EDGE, below + 1, reads, writes, told=False)
            if above is not None:
                yield Range(above, above + EDGE, reads, writes, told=False)

    def _neighbour(self, entry: Watchpoint, physical: int) -> int | None:
        """Return where the linear address lies that is as far from the watched bytes as `physical` seems to be."""
        return physical_of(self._engine, (entry.linear or 0) + physical - entry.start)

    # -- notes ------------------------------------------------------------------------------------------------------
    def forget_accesses(self) -> None:
        """Begin an instruction: what was accessed before it is no concern of it."""
        self.accesses.clear()
        self.ports.clear()

    def take_events(self) -> tuple[list[tuple[str, int]], list[tuple[str, int, int, int]]]:
        """Return the events and the port accesses noted, and forget them."""
        events, self.events = self.events, []
        ports, self.ports = self.ports, []
        return events, ports

    def _note_access(self, verb: str, address: int, size: int, value: int) -> None:
        self.accesses.append((verb, address, size, value))
        self._engine.notice()

    def _note_host_write(self, start: int, end: int) -> None:
        """Note a write that was not an instruction's own: a BIOS service, a device, an interrupt's frame."""
        if not self._editor.writing and any(one.told and start < one.end and one.start < end for one in self._ranges):
            self._note_access("write", start, end - start, 0)

    def _before_port(self, port: int) -> None:
        for listener in self.listeners:
            listener.before_port(port)

    def _note_port(self, verb: str, port: int, size: int, value: int) -> None:
        for listener in self.listeners:
            listener.on_port(verb, port, size, value)
        if self._catches_ports:
            self.ports.append((verb, port, size, value))
            self._engine.notice()

    def _has_register_changed(self) -> bool:
        watches = self._entries.armed(Watchpoint)
        return any(entry.seldom and self._value_of(entry.expression) != entry.last for entry in watches)

    def _note_event(self, kind: str, vector: int, words: str) -> None:
        if self._outer_trace is not None:
            self._outer_trace(kind, vector, words)
        for listener in self.listeners:
            listener.on_event(kind, vector, words)
        if any(_may_be(entry, kind, vector) for entry in self._entries.armed(Catch)):
            self.events.append((kind, vector))
            self._engine.stop()  # the next safe point is the handler's first instruction
        if self._watches_registers:
            self._engine.notice()


def _edges_near(start: int, end: int) -> list[int]:
    """Return the page boundaries that an access to [start, end) may cross."""
    first, last = (start - EDGE) // _PAGE, (end + EDGE - 1) // _PAGE
    return [page * _PAGE for page in range(first + 1, last + 1) if page > 0]


def _may_be(entry: Catch, source: str, vector: int) -> bool:
    kinds = {"exc": "exception", "irq": "interrupt", "int": "interrupt"}
    return entry.kind in (kinds[source], "bios") and entry.value in (None, vector)
