"""The debugger: breakpoints, watchpoints, catches and steps on one machine. The TUI and GDB are faces.

Three gears, the fastest that what is armed allows: breakpoints, interrupt and port catches and watched memory cost
nothing where they are not (the engine stops before their block, or refuses an access to their page); a catch of a mode
or privilege change looks at every block; a watched register, or memory whose address is computed from registers, looks
at every instruction. All of it goes by machine time: a run that was debugged ends in the same state.

Its parts: what can stop it (entries.py), what the engine is told to notice (arming.py), whether that is a stop
(hits.py), and changes from outside (editing.py). Here is how a machine goes on and is looked at.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from minivm.debug.arming import Arming, Listener
from minivm.debug.careful import SELDOM_WRITTEN
from minivm.debug.code import Instruction, disassemble
from minivm.debug.editing import Editor, physical_address
from minivm.debug.entries import (
    CATCH_KINDS,
    WATCH_KINDS,
    Breakpoint,
    Catch,
    DebugError,
    Entries,
    Entry,
    Stop,
    Watchpoint,
)
from minivm.debug.expressions import CpuContext, compile_expression, parse_address
from minivm.debug.hits import Hits
from minivm.debug.inspect_paging import peek, peek_physical
from minivm.debug.symbols import SymbolTable
from minivm.engine.cpustate import HF_CS64, RSP
from minivm.machine import NS_PER_MS, Ended, Machine

if TYPE_CHECKING:
    from minivm.debug.timeline import Timeline

__all__ = [
    "CATCH_KINDS",
    "WATCH_KINDS",
    "Breakpoint",
    "Catch",
    "DebugError",
    "Debugger",
    "Entry",
    "Listener",
    "Stop",
    "Watchpoint",
]

_PREFIXES = ("call", "int", "syscall", "sysenter", "rep", "loop")
_RETURNS = ("ret", "iret", "sysret", "sysexit")
_LONGEST_INSTRUCTION = 15
_FOREVER = 1 << 62


class Debugger:
    """The debugger of one machine; everything is done at its safe points, on the thread that calls."""

    def __init__(self, machine: Machine, symbols: SymbolTable | None = None) -> None:
        self.machine = machine
        self.engine: Any = machine.engine
        self.symbols = symbols if symbols is not None else SymbolTable()
        self.timeline: Timeline | None = None
        self.driver: Machine | Timeline = machine
        self.context = CpuContext(
            machine.cpu, load=self._load, load_physical=self._load_physical, ticks=lambda: machine.ticks
        )
        self._stop_wanted = False
        self._entries = Entries()
        self._editor = Editor(machine)
        self._arming = Arming(machine, self._entries, self._editor, lambda wanted: wanted.evaluate(self.context))
        self._hits = Hits(machine, self._entries, self._arming, self.context, where=self.where, rearm=self._arm)

    # -- what can stop the machine --------------------------------------------------------------------------------
    def break_at(
        self, where: str | int, *, condition: str = "", ignore: int = 0, temporary: bool = False
    ) -> Breakpoint:
        """Stop before the instruction at `where`: a linear address, or a text like `07C0:0012`, `main`, `phys:0x7C00`.

        Raises `MiniVMError` with one line when `where` or `condition` is not understood.
        """
        address, text = self._linear(where)
        entry = Breakpoint(self._entries.next_number, f"breakpoint at {text}", address)
        self._complete(entry, condition, ignore, temporary)
        return entry

    def watch(
        self, what: str, kind: str = "write", *, condition: str = "", ignore: int = 0, length: int = 0
    ) -> Watchpoint:
        """Stop after an instruction that writes (reads, accesses, changes) `what`: `[ds:si]`, `dword [46Ch]`, `eax`.

        Registers and computed values can only "change". `length` watches so many bytes from there on.
        """
        if kind not in WATCH_KINDS:
            raise DebugError(f"{kind!r} cannot be watched for; choose from {', '.join(WATCH_KINDS)}")
        expression = compile_expression(what, self.symbols)
        entry = Watchpoint(self._entries.next_number, f"watch {kind} of {what}", kind, expression)
        place = expression.place(self.context)
        if place is not None and place.kind in ("linear", "physical"):
            entry.start = place.address if place.kind == "physical" else physical_address(self.engine, place.address)
            entry.end = entry.start + (length or place.size)
            entry.fixed = not expression.registers
            entry.linear = place.address if place.kind == "linear" else None
            if self.machine.space.region_at(entry.start, entry.end - entry.start) is None:
                raise DebugError(f"{what} is not in memory; it cannot be watched")
        elif kind != "change":
            raise DebugError(f"{what} is not in memory; only its change can be watched")
        entry.seldom = place is not None and place.kind == "register" and expression.registers <= SELDOM_WRITTEN
        entry.last = expression.evaluate(self.context)
        self._complete(entry, condition, ignore, False)
        return entry

    def catch(self, kind: str, value: int | str | None = None, *, condition: str = "", ignore: int = 0) -> Catch:
        """Stop at an event: "port" (an access), "interrupt" or "exception" (a vector), "bios", "mode", "privilege"."""
        if kind not in CATCH_KINDS:
            raise DebugError(f"{kind!r} cannot be caught; choose from {', '.join(CATCH_KINDS)}")
        shown = f" {value:X}h" if isinstance(value, int) else f" {value}" if value is not None else ""
        entry = Catch(self._entries.next_number, f"catch {kind}{shown}", kind, value)
        self._complete(entry, condition, ignore, False)
        return entry

    def entries(self) -> list[Entry]:
        """Return everything that is armed or could be, by number."""
        return list(self._entries)

    def remove(self, number: int) -> None:
        """Forget an entry; raises `DebugError` when there is none of that number."""
        self._entries.drop(self.entry(number).number)
        self._arm()

    def enable(self, number: int, enabled: bool = True) -> None:
        """Arm or disarm an entry without forgetting it."""
        self.entry(number).enabled = enabled
        self._arm()

    def entry(self, number: int) -> Entry:
        """Return a breakpoint, watchpoint or catch by its number; raises `DebugError` when there is none."""
        return self._entries[number]

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who is told of every interrupt, exception and port access."""
        return self._arming.listeners

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` of every interrupt, exception and port access from now on; at a safe point."""
        self._listen((*self.listeners, listener))

    def remove_listener(self, listener: Listener) -> None:
        """Tell `listener` no more; one that was not told before is no error."""
        self._listen(tuple(one for one in self.listeners if one is not listener))

    def _listen(self, listeners: tuple[Listener, ...]) -> None:
        self._arming.listeners = listeners
        self._arm()

    def _complete(self, entry: Entry, condition: str, ignore: int, temporary: bool) -> None:
        if condition:
            entry.condition = compile_expression(condition, self.symbols)
        entry.ignore, entry.temporary = ignore, temporary
        self._entries.add(entry)
        self._arm()

    def _arm(self) -> None:
        self._arming.arm()
        self._hits.note_mode()

    # -- time travel ------------------------------------------------------------------------------------------------
    def travel(self, **options: int) -> "Timeline":
        """Keep the past from now on, with the `options` of `Timeline`; `minivm.debug.reverse` goes back in it."""
        if self.timeline is None:
            from minivm.debug.timeline import Timeline

            self.timeline = self.driver = Timeline(self.machine, **options)
            self.timeline.went_back.append(self.look_around)
            self.timeline.undisturbed = self._at_rest
            self.timeline.interrupted = lambda: self._stop_wanted
        return self.timeline

    def forget_past(self) -> None:
        """Keep no past any more; the machine goes on from where it stands."""
        if self.timeline is not None:
            self.timeline.close()
            self.timeline, self.driver = None, self.machine

    def look_around(self) -> None:
        """Forget what happened on the way: the machine was put somewhere else."""
        self._hits.look_around()

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Disarm everything while the machine only goes to a place in its past: breakpoints would end it often."""
        if self._entries.resting or not (self._entries or self.listeners):
            yield
            return
        listeners = self.listeners
        self._entries.resting = True
        self._listen(())
        try:
            yield
        finally:
            self._entries.resting = False
            self._listen(listeners)

    @contextmanager
    def looking_back(self, only: Collection[Entry] | None = None) -> Iterator[None]:
        """Let entries find their places in the past without counting hits; temporary ones, or all but `only`, rest."""
        kept = [(entry, entry.enabled, entry.hits, entry.ignore) for entry in self.entries()]
        listeners = self.listeners
        for entry in self.entries():
            entry.ignore = 0
            entry.enabled &= not entry.temporary and (only is None or entry in only)
        self._listen(())
        try:
            yield
        finally:
            for entry, enabled, hits, ignore in kept:
                entry.enabled, entry.hits, entry.ignore = enabled, hits, ignore
            self._listen(listeners)

    # -- going on -------------------------------------------------------------------------------------------------
    def resume(self, ms: float | None = None) -> Stop:
        """Run until something stops the machine, for at most `ms` virtual ms; the current instruction runs."""
        limit = _FOREVER if ms is None else self.machine.now + round(ms * NS_PER_MS)
        stop = self._doze(limit) if self.machine.halted else self._one_step()
        while stop is None:
            if self.machine.now >= limit:
                return self._hits.at_breakpoint() or Stop("limit", "the time asked for is over")
            asked = self._asked_to_stop()
            stop = self._hits.at_breakpoint() or asked if asked is not None else self._go(limit)
        return stop

    def go_on(self, limit: int, pause: Callable[[], bool] = bool) -> Stop:
        """Run to virtual time `limit` like `resume`, but stop at a breakpoint here, too: to run on after a "limit".

        `pause` is asked at every look; when it says so, the run ends as if at its limit.
        """
        while self.machine.now < limit and not pause():
            stop = self._asked_to_stop() or self._go(limit)
            if stop is not None:
                return stop
        return Stop("limit", "the time asked for is over")

    def step(self, count: int = 1) -> Stop:
        """Execute `count` instructions; an interrupt that is due is delivered on the way."""
        for _ in range(count):
            stop = self._one_step() or self._asked_to_stop()
            if stop is not None:
                return stop
        return Stop("step", f"at {self.where()}")

    def step_over(self) -> Stop:
        """Execute one instruction; a call, a software interrupt or a repeated instruction as a whole."""
        instruction = self.instruction()
        if not instruction.mnemonic.startswith(_PREFIXES):
            return self.step()
        target = self.machine.cpu.linear_ip + len(instruction.code)
        return self.run_to(target, deeper_than=self._stack())

    def step_out(self) -> Stop:
        """Run until the current routine has returned to its caller."""
        stack = self._stack()
        while True:
            returns = self.instruction().mnemonic.startswith(_RETURNS)
            stop = self.step_over()
            if stop.reason != "step" or (returns and self._stack() > stack):
                return stop

    def run_to(self, where: str | int, *, deeper_than: int | None = None) -> Stop:
        """Run to `where`, or to whatever stops the machine first. Recursion below `deeper_than` is passed by."""
        entry = self.break_at(where, temporary=True)
        try:
            while True:
                stop = self.resume()
                if stop.number != entry.number:
                    return stop
                if deeper_than is None or self._stack() >= deeper_than:
                    return Stop("step", f"at {self.where()}")
                self._entries.put_back(entry)
                self._arm()
        finally:
            self._entries.drop(entry.number)
            self._arm()

    def run_to_interrupt(self) -> Stop:
        """Run to the first instruction of the next handler of an interrupt, exception or INT n."""
        entries = [self.catch("interrupt"), self.catch("exception")]
        try:
            return self.resume()
        finally:
            for entry in entries:
                self.remove(entry.number)

    # -- looking and changing ---------------------------------------------------------------------------------------
    def where(self) -> str:
        """Return the current address as CS:IP, with the symbol when there is one."""
        cpu = self.machine.cpu
        wide = cpu.code_bits == 64
        place = f"{cpu.rip:016X}" if wide else f"{cpu.cs:04X}:{cpu.rip:04X}"
        described = self.symbols.describe(cpu.linear_ip) if len(self.symbols) else ""
        return f"{place} {described}".strip()

    def instruction(self, linear: int | None = None) -> Instruction:
        """Return the instruction at a linear address, by default the next one."""
        cpu = self.machine.cpu
        at = cpu.linear_ip if linear is None else linear
        code = peek(self.engine, at, _LONGEST_INSTRUCTION) or b"\xff\xff"
        return disassemble(code, origin=at, bits=cpu.code_bits, count=1)[0]

    def instructions(self, linear: int, count: int) -> Iterator[Instruction]:
        """Yield `count` instructions from a linear address on."""
        code = peek(self.engine, linear, count * _LONGEST_INSTRUCTION)
        yield from disassemble(code, origin=linear, bits=self.machine.cpu.code_bits, count=count)

    def evaluate(self, text: str) -> int:
        """Return the value of an expression now."""
        return compile_expression(text, self.symbols).evaluate(self.context)

    def read(self, linear: int, length: int) -> bytes:
        """Return bytes at a linear address without side effects; fewer where the pages end."""
        return peek(self.engine, linear, length)

    def write(self, linear: int, data: bytes) -> None:
        """Put bytes at a linear address, page protection or not; raises `DebugError` where no memory is."""
        self._editor.write(linear, data)

    def set_register(self, name: str, value: int) -> None:
        """Set a register by name; control registers, flags, and those of the FPU and SSE included."""
        self._editor.set_register(name, value)

    def assemble_at(self, linear: int, text: str) -> bytes:
        """Put assembled instructions at a linear address, and return their bytes."""
        from minivm.debug.code import assemble

        code = assemble(text, bits=self.machine.cpu.code_bits, origin=linear).code
        self.write(linear, code)
        return code

    # -- one piece of a run -----------------------------------------------------------------------------------------
    def _go(self, limit: int) -> Stop | None:
        if self._arming.every_instruction:
            return self._doze(limit) if self.machine.halted else self._hits.at_breakpoint() or self._one_step()
        if self._arming.every_block:
            limit = min(limit, self.machine.now + 1)
        if self.engine.in_block and (stop := self._hits.at_breakpoint()):
            return stop  # here the engine would step first: it looks before a block, and behind each step in one
        ended = self.driver.run_to(limit)
        if ended.reason == "limit":
            return self._hits.on_the_way()
        return self._at_end(ended)

    def _doze(self, limit: int) -> Stop | None:
        """Let a halted CPU's time pass to its next alarm or `limit`, and deliver what that raises: no instruction."""
        machine = self.machine
        ended = self.driver.run_to(machine.now)
        if machine.halted and ended.reason == "limit":
            ended = self.driver.run_to(min(limit, machine.clock.next_due))
        return self._hits.on_the_way() if ended.reason == "limit" else self._at_end(ended)

    def _one_step(self) -> Stop | None:
        self._arming.forget_accesses()
        delivered = self._deliver_what_is_due()
        if delivered is not None:
            return delivered
        ended = self.driver.step()
        if ended.reason != "limit":
            return self._at_end(ended)
        return self._hits.on_the_way()

    def _deliver_what_is_due(self) -> Stop | None:
        """Let an interrupt come before an instruction is stepped: a stop may be wanted at its handler's first one."""
        if not self._entries or self.engine.in_block:
            return None
        before = self.machine.cpu.linear_ip
        ended = self.driver.run_to(self.machine.now)
        if ended.reason != "limit":
            return self._at_end(ended)
        if self.machine.cpu.linear_ip == before:
            return None
        return self._hits.on_the_way() or self._hits.at_breakpoint()

    def _asked_to_stop(self) -> Stop | None:
        wanted, self._stop_wanted = self._stop_wanted, False
        return Stop("stopped", f"stopped at {self.where()}") if wanted else None

    def _at_end(self, ended: Ended) -> Stop | None:
        if ended.reason == "breakpoint":
            stop = self._hits.on_the_way() or self._hits.at_breakpoint()
            return self._one_step() if stop is None and self._hits.breaks_here() else stop
        if ended.reason == "stopped":
            asked = self._asked_to_stop()
            return self._hits.on_the_way() or (self._hits.at_breakpoint() if asked is not None else None) or asked
        return Stop(ended.reason, f"the machine has ended: {ended.reason}", ended=ended)

    def at_breakpoint(self) -> Stop | None:
        """Return the stop that a breakpoint at the next instruction asks for, and count its hit."""
        return self._hits.at_breakpoint()

    def one_step(self, limit: int) -> Stop | None:
        """Execute one instruction, or sleep to the next alarm but not past `limit`; return what that ran into."""
        return self._doze(limit) if self.machine.halted else self._one_step()

    def stop(self) -> None:
        """Make a `resume` on another thread end at the next safe point."""
        self._stop_wanted = True
        self.engine.stop()

    def take_stop(self) -> None:
        """Forget that a stop was asked for: it has been answered."""
        self._stop_wanted = False
        self.engine.take_stop()

    # -- addresses --------------------------------------------------------------------------------------------------
    def _linear(self, where: str | int) -> tuple[int, str]:
        if isinstance(where, int):
            return where, f"{where:X}h"
        address = parse_address(where, self.context, self.symbols)
        return address.value, address.text

    def _stack(self) -> int:
        cpu = self.machine.cpu
        pointer = cpu.head.regs[RSP]
        return int(pointer if cpu.head.hflags & HF_CS64 else cpu.ss_base + (pointer & 0xFFFF_FFFF))

    def _load(self, linear: int, size: int) -> int:
        data = peek(self.engine, linear, size)
        if len(data) < size:
            raise DebugError(f"{linear:X}h is not mapped")
        return int.from_bytes(data, "little")

    def _load_physical(self, address: int, size: int) -> int:
        return int.from_bytes(peek_physical(self.engine, address, size), "little")
