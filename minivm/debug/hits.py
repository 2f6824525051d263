"""Hits: whether what was noticed on the way is a stop, and what it is in words."""

from collections.abc import Callable

from minivm.debug.arming import Arming
from minivm.debug.entries import Breakpoint, Catch, Entries, Entry, Stop, Watchpoint
from minivm.debug.expressions import CpuContext, Expression
from minivm.errors import MiniVMError
from minivm.machine import Machine


class Hits:
    """The judge of one debugger: each look counts hits, and returns a `Stop` or None.

    `context` is what conditions are evaluated in; `where` says in words where the machine stands; `rearm` is called
    after a temporary entry has gone.
    """

    def __init__(
        self,
        machine: Machine,
        entries: Entries,
        arming: Arming,
        context: CpuContext,
        *,
        where: Callable[[], str],
        rearm: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._entries = entries
        self._arming = arming
        self._context = context
        self._where = where
        self._rearm = rearm
        self.note_mode()

    def note_mode(self) -> None:
        """Take the mode and privilege level as they are now: only changes from here on count."""
        self._mode, self._level = self._machine.cpu.mode, self._machine.cpu.cpl

    def look_around(self) -> None:
        """Take everything as it is now: the machine was put somewhere else."""
        self._arming.forget_accesses()
        self._arming.events.clear()
        self.note_mode()
        for entry in self._entries.armed(Watchpoint):
            entry.last = self._value(entry.expression, entry.last)

    # -- breakpoints ------------------------------------------------------------------------------------------------
    def at_breakpoint(self) -> Stop | None:
        """Return the stop that a breakpoint at the next instruction asks for, and count its hit."""
        if self._machine.halted:  # asleep: whoever wakes it comes before the instruction behind the HLT
            return None
        here = self._machine.cpu.linear_ip
        for entry in list(self._entries.armed(Breakpoint)):
            if entry.address == here and self._hit(entry):
                return Stop("breakpoint", f"{entry.text} reached", entry.number)
        return None

    def breaks_here(self) -> bool:
        """Tell whether there is a breakpoint at the next instruction, hit or not."""
        here = self._machine.cpu.linear_ip
        return any(entry.address == here for entry in self._entries.armed(Breakpoint))

    # -- on the way -------------------------------------------------------------------------------------------------
    def on_the_way(self) -> Stop | None:
        """Look at watchpoints and catches, for what was noticed since the last look."""
        return self._at_watchpoint() or self._at_catch()

    def _at_watchpoint(self) -> Stop | None:
        stop = self._watch_hit()
        self._arming.accesses.clear()
        return stop

    def _watch_hit(self) -> Stop | None:
        for entry in list(self._entries.armed(Watchpoint)):
            old, entry.last = entry.last, self._value(entry.expression, entry.last)
            happened = self._what_happened(entry, old)
            if happened and self._hit(entry):
                return Stop("watchpoint", happened, entry.number)
        return None

    def _what_happened(self, entry: Watchpoint, old: int) -> str:
        name, new = entry.expression.text, entry.last
        if entry.kind == "change":
            return f"{name} changed from {old:X}h to {new:X}h" if new != old else ""
        for verb, address, size, _ in self._arming.accesses:
            if address < entry.end and entry.start < address + size and entry.kind in (verb, "access"):
                written = f"{name} was written: {old:X}h, now {new:X}h"
                return written if verb == "write" else f"{name} was read: {new:X}h"
        return ""

    def _at_catch(self) -> Stop | None:
        stop = self._catch_hit()
        self.note_mode()
        return stop

    def _catch_hit(self) -> Stop | None:
        events, ports = self._arming.take_events()
        for entry in list(self._entries.armed(Catch)):
            text = self._caught(entry, events, ports)
            if text and self._hit(entry):
                return Stop("catch", text, entry.number)
        return None

    def _caught(self, entry: Catch, events: list[tuple[str, int]], ports: list[tuple[str, int, int, int]]) -> str:
        cpu, wanted = self._machine.cpu, entry.value
        match entry.kind:
            case "port":
                for verb, port, size, value in ports:
                    if wanted is None or wanted == port:
                        return f"{verb} port {port:X}h, {value:0{2 * size}X}h"
            case "mode" if cpu.mode != self._mode and wanted in (None, cpu.mode):
                return f"the mode changed from {self._mode} to {cpu.mode}"
            case "privilege" if cpu.cpl != self._level and wanted in (None, cpu.cpl):
                return f"the privilege level changed from {self._level} to {cpu.cpl}"
            case "interrupt" | "exception" | "bios":
                return self._caught_event(entry.kind, wanted, events)
        return ""

    def _caught_event(self, kind: str, wanted: int | str | None, events: list[tuple[str, int]]) -> str:
        for source, vector in events:
            if kind == "bios":
                hit = source == "int" and 0x10 <= vector <= 0x1A and self._machine.cpu.cs == 0xF000
            else:
                hit = (source == "exc") == (kind == "exception")
            if hit and wanted in (None, vector):
                return f"{kind} {vector:02X}h, handler at {self._where()}"
        return ""

    # -- hits -------------------------------------------------------------------------------------------------------
    def _hit(self, entry: Entry) -> bool:
        """Count a hit; tell whether it stops."""
        if entry.condition is not None:
            self._context.hits = entry.hits + 1
            if not self._value(entry.condition, 1):
                return False
        entry.hits += 1
        if entry.hits <= entry.ignore:
            return False
        if entry.temporary:
            self._entries.drop(entry.number)
            self._rearm()
        return True

    def _value(self, expression: Expression, otherwise: int) -> int:
        """Evaluate; memory that has gone away meanwhile counts as `otherwise`."""
        try:
            return expression.evaluate(self._context)
        except MiniVMError:
            return otherwise
