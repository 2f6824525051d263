"""The debugger: breakpoints, watchpoints, catches and steps on one machine. The TUI and GDB are faces.

Three gears, the fastest that what is armed allows: breakpoints, interrupt and port catches and watched memory cost
nothing where they are not (the engine stops before their block, or refuses an access to their page); a catch of a mode
or privilege change looks at every block; a watched register, or memory whose address is computed from registers, looks
at every instruction. All of it goes by machine time: a run that was debugged ends in the same state.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from minivm.core.record import record
from minivm.debug.careful import careful_of
from minivm.debug.code import Instruction, disassemble
from minivm.debug.expressions import REGISTERS, CpuContext, Expression, compile_expression, parse_address
from minivm.debug.expressions_context import COUNTERS
from minivm.debug.inspect_paging import peek, peek_physical, physical_of
from minivm.debug.raw_registers import RAW_REGISTERS
from minivm.debug.symbols import SymbolTable
from minivm.engine.cpustate import CS, HF_CS64, RSP, SEGMENT_NAMES, SS
from minivm.engine.segments import Descriptor, descriptor_address, fill_cache, load_cache, load_vm86, update_hflags
from minivm.engine.watch import EDGE, Range
from minivm.errors import ConfigError, MiniVMError
from minivm.inputs import APPLY, MemoryEdit, RegisterEdit
from minivm.machine import NS_PER_MS, Ended, Machine

if TYPE_CHECKING:
    from minivm.debug.timeline import Timeline

WATCH_KINDS = ("write", "read", "access", "change")
CATCH_KINDS = ("port", "interrupt", "exception", "bios", "mode", "privilege")
_PREFIXES = ("call", "int", "syscall", "sysenter", "rep", "loop")
_RETURNS = ("ret", "iret", "sysret", "sysexit")
_LONGEST_INSTRUCTION = 15
_FOREVER = 1 << 62
_PAGE = 0x1000
_PRESENT, _SEGMENT = 0x8000, 0x1000  # in a descriptor's high word
_FLAG_BITS = {"cf": 0, "pf": 2, "af": 4, "zf": 6, "sf": 7, "tf": 8, "if": 9, "df": 10, "of": 11, "nt": 14, "rf": 16,
              "vm": 17, "ac": 18, "vif": 19, "vip": 20, "id": 21}  # fmt: skip
_FLAG_PLACES = {name: (1 << bit, bit) for name, bit in _FLAG_BITS.items()} | {
    "rflags": (-1, 0), "eflags": (0xFFFF_FFFF, 0), "flags": (0xFFFF, 0), "iopl": (0x3000, 12),
}  # fmt: skip


def _edges_near(start: int, end: int) -> list[int]:
    """Return the page boundaries that an access to [start, end) may cross."""
    first, last = (start - EDGE) // _PAGE, (end + EDGE - 1) // _PAGE
    return [page * _PAGE for page in range(first + 1, last + 1) if page > 0]


class DebugError(ConfigError):
    """A command that the debugger cannot follow, in one line."""


@record
class Stop:
    """Why the machine stands still.

    `reason` is "breakpoint", "watchpoint", "catch", "step", "limit" (the time asked for is over), "stopped", or how the
    machine ended ("halted", "shutdown", ...). `text` says it in words; `number` is the entry's that was hit.
    """

    reason: str
    text: str
    number: int = 0
    ended: Ended | None = None


class Entry:
    """Something that can stop the machine: its number, what it is in words, and how often it was hit.

    `condition` must hold for a stop; the first `ignore` hits do not stop; a `temporary` one goes when it stops.
    """

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.enabled = True
        self.hits = 0
        self.ignore = 0
        self.temporary = False
        self.condition: Expression | None = None

    def __str__(self) -> str:
        words = [self.text]
        words += [f"if {self.condition.text}"] if self.condition is not None else []
        words += [f"hit {self.hits} times"] if self.hits else []
        return ", ".join(words + ([] if self.enabled else ["disabled"]))


class Breakpoint(Entry):
    """A stop before the instruction at a linear address."""

    def __init__(self, number: int, text: str, address: int) -> None:
        super().__init__(number, text)
        self.address = address


class Watchpoint(Entry):
    """A stop after an instruction that read, wrote or changed something."""

    def __init__(self, number: int, text: str, kind: str, expression: Expression) -> None:
        super().__init__(number, text)
        self.kind = kind
        self.expression = expression
        self.start = self.end = 0  # the physical bytes; none for a register or a computed value
        self.linear: int | None = None
        self.fixed = False  # they stay where they are: no register has a part in the address
        self.last = 0

    @property
    def ranged(self) -> bool:
        """True when the engine can notice the accesses; else every instruction is looked at."""
        return self.start < self.end and (self.fixed or self.kind != "change")


class Catch(Entry):
    """A stop at an event of the machine; `value` narrows it to one port, vector or mode."""

    def __init__(self, number: int, text: str, kind: str, value: int | str | None) -> None:
        super().__init__(number, text)
        self.kind = kind
        self.value = value


class Listener(Protocol):
    """Who is told of everything that the guest makes the machine do, on the machine's thread; a recorder."""

    def on_event(self, kind: str, vector: int, words: str) -> None:
        """Take an interrupt or exception: `kind` is "irq", "int" or "exc"; before its handler is entered."""

    def on_port(self, verb: str, port: int, size: int, value: int) -> None:
        """Take a port access, "in" or "out", after it happened."""


_Kind = TypeVar("_Kind", bound=Entry)


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
        self._entries: dict[int, Entry] = {}
        self._next_number = 1
        self._stop_wanted = False
        self._accesses: list[tuple[str, int, int, int]] = []
        self._ports: list[tuple[str, int, int, int]] = []
        self._events: list[tuple[str, int]] = []
        self.listeners: tuple[Listener, ...] = ()
        self._catches_ports = self._resting = False
        self._ranges: list[Range] = []
        self._looks_at_all = self._looks_at_blocks = self._writes_itself = False
        self._outer_trace: Callable[[str, int, str], None] | None = getattr(machine.engine, "trace", None)
        self._mode, self._level = machine.cpu.mode, machine.cpu.cpl

    # -- what can stop the machine --------------------------------------------------------------------------------
    def break_at(
        self, where: str | int, *, condition: str = "", ignore: int = 0, temporary: bool = False
    ) -> Breakpoint:
        """Stop before the instruction at `where`: a linear address, or a text like `07C0:0012`, `main`, `phys:0x7C00`.

        Raises `MiniVMError` with one line when `where` or `condition` is not understood.
        """
        address, text = self._linear(where)
        entry = Breakpoint(self._next_number, f"breakpoint at {text}", address)
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
        entry = Watchpoint(self._next_number, f"watch {kind} of {what}", kind, expression)
        place = expression.place(self.context)
        if place is not None and place.kind in ("linear", "physical"):
            entry.start = place.address if place.kind == "physical" else self._physical(place.address)
            entry.end = entry.start + (length or place.size)
            entry.fixed = not expression.registers
            entry.linear = place.address if place.kind == "linear" else None
            if self.machine.space.region_at(entry.start, entry.end - entry.start) is None:
                raise DebugError(f"{what} is not in memory; it cannot be watched")
        elif kind != "change":
            raise DebugError(f"{what} is not in memory; only its change can be watched")
        entry.last = expression.evaluate(self.context)
        self._complete(entry, condition, ignore, False)
        return entry

    def catch(self, kind: str, value: int | str | None = None, *, condition: str = "", ignore: int = 0) -> Catch:
        """Stop at an event: "port" (an access), "interrupt" or "exception" (a vector), "bios", "mode", "privilege"."""
        if kind not in CATCH_KINDS:
            raise DebugError(f"{kind!r} cannot be caught; choose from {', '.join(CATCH_KINDS)}")
        shown = f" {value:X}h" if isinstance(value, int) else f" {value}" if value is not None else ""
        entry = Catch(self._next_number, f"catch {kind}{shown}", kind, value)
        self._complete(entry, condition, ignore, False)
        return entry

    def entries(self) -> list[Entry]:
        """Return everything that is armed or could be, by number."""
        return [self._entries[number] for number in sorted(self._entries)]

    def remove(self, number: int) -> None:
        """Forget an entry; raises `DebugError` when there is none of that number."""
        del self._entries[self._entry(number).number]
        self._arm()

    def enable(self, number: int, enabled: bool = True) -> None:
        """Arm or disarm an entry without forgetting it."""
        self._entry(number).enabled = enabled
        self._arm()

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` of every interrupt, exception and port access from now on; at a safe point."""
        self.listeners = (*self.listeners, listener)
        self._arm()

    def remove_listener(self, listener: Listener) -> None:
        """Tell `listener` no more; one that was not told before is no error."""
        self.listeners = tuple(one for one in self.listeners if one is not listener)
        self._arm()

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
        self._accesses.clear()
        self._ports.clear()
        self._events.clear()
        self._mode, self._level = self.machine.cpu.mode, self.machine.cpu.cpl
        for entry in self._armed(Watchpoint):
            entry.last = self._value(entry.expression, entry.last)

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Disarm everything while the machine only goes to a place in its past: breakpoints would end it often."""
        if self._resting or not (self._entries or self.listeners):
            yield
            return
        listeners, self.listeners = self.listeners, ()
        self._resting = True
        self._arm()
        try:
            yield
        finally:
            self._resting, self.listeners = False, listeners
            self._arm()

    @contextmanager
    def looking_back(self, only: Collection[Entry] | None = None) -> Iterator[None]:
        """Let entries find their places in the past without counting hits; temporary ones, or all but `only`, rest."""
        kept = [(entry, entry.enabled, entry.hits, entry.ignore) for entry in self.entries()]
        listeners, self.listeners = self.listeners, ()
        for entry in self.entries():
            entry.ignore = 0
            entry.enabled &= not entry.temporary and (only is None or entry in only)
        self._arm()
        try:
            yield
        finally:
            for entry, enabled, hits, ignore in kept:
                entry.enabled, entry.hits, entry.ignore = enabled, hits, ignore
            self.listeners = listeners
            self._arm()

    # -- going on -------------------------------------------------------------------------------------------------
    def resume(self, ms: float | None = None) -> Stop:
        """Run until something stops the machine, for at most `ms` virtual ms; the current instruction runs."""
        limit = _FOREVER if ms is None else self.machine.now + round(ms * NS_PER_MS)
        stop = self._doze(limit) if self.machine.halted else self._one_step()
        while stop is None:
            if self.machine.now >= limit:
                return self._at_breakpoint() or Stop("limit", "the time asked for is over")
            asked = self._asked_to_stop()
            stop = self._at_breakpoint() or asked if asked is not None else self._go(limit)
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
                entry = self._again(entry)
        finally:
            self._entries.pop(entry.number, None)
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
        pieces: list[tuple[int, bytes]] = []
        at = 0
        while at < len(data):
            piece = data[at : at + _PAGE - (linear + at) % _PAGE]
            physical = self._physical(linear + at)
            if self.machine.space.region_at(physical, len(piece)) is None:
                raise DebugError(f"{linear + at:X}h is not in memory")
            pieces.append((physical, piece))
            at += len(piece)
        for physical, piece in pieces:
            self._put(physical, piece)

    def _put(self, physical: int, data: bytes) -> None:
        def write() -> None:
            self._writes_itself = True
            self.machine.memory.write(physical, data)
            self._writes_itself = False

        self.machine.from_outside("memory", MemoryEdit(physical, data), write, settle=False)

    def set_register(self, name: str, value: int) -> None:
        """Set a register by name; control registers, flags, and those of the FPU and SSE included."""
        lower = name.lower()
        if lower not in ("efer", *RAW_REGISTERS) and (lower not in REGISTERS or lower in COUNTERS):
            raise DebugError(f"the CPU has no register {name!r}")
        edit = RegisterEdit(lower, value)
        self.machine.from_outside("register", edit, lambda: self._set_now(lower, value), settle=False)

    def _set_now(self, lower: str, value: int) -> None:
        self.engine.settle()
        self._set(lower, value)
        self.engine.flush()

    def _set(self, name: str, value: int) -> None:
        cpu = self.machine.cpu
        if name in ("cr0", "cr3", "cr4"):
            self.engine.set_control(int(name[2]), value)
        elif name in RAW_REGISTERS:
            number, size = RAW_REGISTERS[name]
            self.engine.set_raw_register(number, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        elif name == "efer":
            self.engine.efer = value
        elif name in SEGMENT_NAMES:
            self._load_segment(SEGMENT_NAMES.index(name), value & 0xFFFF)
        elif name in _FLAG_PLACES:
            mask, shift = _FLAG_PLACES[name]
            cpu.rflags = (cpu.rflags & ~mask) | (value << shift & mask)
        elif name in ("ldtr", "tr"):
            raise DebugError(f"{name} is loaded by LLDT and LTR; give the CPU one of those to execute")
        else:
            setattr(cpu, name, value)

    def _load_segment(self, index: int, selector: int) -> None:
        """Load a segment register with its hidden part as the CPU does in this mode, the rights unchecked."""
        cpu, name = self.machine.cpu, SEGMENT_NAMES[index].upper()
        cache = cpu.head.segs[index]
        if cpu.mode == "real":
            cache.selector, cache.base = selector, selector << 4
        elif cpu.mode == "vm86":
            load_vm86(cpu.head, index, selector)
        elif not selector & 0xFFFC and index != CS and (index != SS or cpu.code_bits == 64):
            fill_cache(cache, selector, 0, 0, cache.flags & ~_PRESENT if index != SS else cache.flags)
        else:
            load_cache(cache, selector, self._descriptor(index, selector, name))
        update_hflags(cpu.head)

    def _descriptor(self, index: int, selector: int, name: str) -> Descriptor:
        address = descriptor_address(self.machine.cpu.head, selector)
        raw = b"" if address is None or not selector & 0xFFFC else peek(self.engine, address, 8)
        found = Descriptor(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
        fits = found.is_code if index == CS else found.high & _SEGMENT and (index != SS or found.is_writable_data)
        if not found.present or not fits:
            raise DebugError(f"{name} cannot be {selector:04X}h: there is no such segment in the descriptor tables")
        return found

    def assemble_at(self, linear: int, text: str) -> bytes:
        """Put assembled instructions at a linear address, and return their bytes."""
        from minivm.debug.code import assemble

        code = assemble(text, bits=self.machine.cpu.code_bits, origin=linear).code
        self.write(linear, code)
        return code

    # -- one piece of a run -----------------------------------------------------------------------------------------
    def _go(self, limit: int) -> Stop | None:
        if self._looks_at_all:
            return self._doze(limit) if self.machine.halted else self._at_breakpoint() or self._one_step()
        if self._looks_at_blocks:
            limit = min(limit, self.machine.now + 1)
        if self.engine.in_block and (stop := self._at_breakpoint()):
            return stop  # here the engine would step first: it looks before a block, and behind each step in one
        ended = self.driver.run_to(limit)
        if ended.reason == "limit":
            return self._look_at_watches() or self._look_at_events()
        return self._at_end(ended)

    def _doze(self, limit: int) -> Stop | None:
        """Let a halted CPU's time pass to its next alarm or `limit`, and deliver what that raises: no instruction."""
        machine = self.machine
        ended = self.driver.run_to(machine.now)
        if machine.halted and ended.reason == "limit":
            ended = self.driver.run_to(min(limit, machine.clock.next_due))
        return self._look_at_watches() or self._look_at_events() if ended.reason == "limit" else self._at_end(ended)

    def _one_step(self) -> Stop | None:
        self._accesses.clear()
        self._ports.clear()
        delivered = self._deliver_what_is_due()
        if delivered is not None:
            return delivered
        ended = self.driver.step()
        if ended.reason != "limit":
            return self._at_end(ended)
        return self._look_at_watches() or self._look_at_events()

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
        return self._look_at_watches() or self._look_at_events() or self._at_breakpoint()

    def _asked_to_stop(self) -> Stop | None:
        wanted, self._stop_wanted = self._stop_wanted, False
        return Stop("stopped", f"stopped at {self.where()}") if wanted else None

    def _at_end(self, ended: Ended) -> Stop | None:
        if ended.reason == "breakpoint":
            stop = self._look_at_watches() or self._look_at_events() or self._at_breakpoint()
            return self._one_step() if stop is None and self._breaks_here() else stop
        if ended.reason == "stopped":
            asked = self._asked_to_stop()
            return (
                self._look_at_watches()
                or self._look_at_events()
                or (self._at_breakpoint() if asked is not None else None)
                or asked
            )
        return Stop(ended.reason, f"the machine has ended: {ended.reason}", ended=ended)

    def at_breakpoint(self) -> Stop | None:
        """Return the stop that a breakpoint at the next instruction asks for, and count its hit."""
        return self._at_breakpoint()

    def one_step(self, limit: int) -> Stop | None:
        """Execute one instruction, or sleep to the next alarm but not past `limit`; return what that ran into."""
        return self._doze(limit) if self.machine.halted else self._one_step()

    def entry(self, number: int) -> Entry:
        """Return a breakpoint, watchpoint or catch by its number; raises `DebugError` when there is none."""
        return self._entry(number)

    def _at_breakpoint(self) -> Stop | None:
        if self.machine.halted:  # asleep: whoever wakes it comes before the instruction behind the HLT
            return None
        here = self.machine.cpu.linear_ip
        for entry in list(self._armed(Breakpoint)):
            if entry.address == here and self._hit(entry):
                return Stop("breakpoint", f"{entry.text} reached", entry.number)
        return None

    def _breaks_here(self) -> bool:
        here = self.machine.cpu.linear_ip
        return any(entry.address == here for entry in self._armed(Breakpoint))

    def _look_at_watches(self) -> Stop | None:
        stop = self._watch_hit()
        self._accesses.clear()
        return stop

    def _watch_hit(self) -> Stop | None:
        for entry in list(self._armed(Watchpoint)):
            old, entry.last = entry.last, self._value(entry.expression, entry.last)
            happened = self._what_happened(entry, old)
            if happened and self._hit(entry):
                return Stop("watchpoint", happened, entry.number)
        return None

    def _what_happened(self, entry: Watchpoint, old: int) -> str:
        name, new = entry.expression.text, entry.last
        if entry.kind == "change":
            return f"{name} changed from {old:X}h to {new:X}h" if new != old else ""
        for verb, address, size, _ in self._accesses:
            if address < entry.end and entry.start < address + size and entry.kind in (verb, "access"):
                return (
                    f"{name} was written: {old:X}h, now {new:X}h" if verb == "write" else f"{name} was read: {new:X}h"
                )
        return ""

    def _look_at_events(self) -> Stop | None:
        events, self._events = self._events, []
        ports, self._ports = self._ports, []
        for entry in list(self._armed(Catch)):
            text = self._caught(entry, events, ports)
            if text and self._hit(entry):
                self._mode, self._level = self.machine.cpu.mode, self.machine.cpu.cpl
                return Stop("catch", text, entry.number)
        self._mode, self._level = self.machine.cpu.mode, self.machine.cpu.cpl
        return None

    def _caught(self, entry: Catch, events: list[tuple[str, int]], ports: list[tuple[str, int, int, int]]) -> str:
        cpu, wanted = self.machine.cpu, entry.value
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
                hit = source == "int" and 0x10 <= vector <= 0x1A and self.machine.cpu.cs == 0xF000
            else:
                hit = (source == "exc") == (kind == "exception")
            if hit and wanted in (None, vector):
                return f"{kind} {vector:02X}h, handler at {self.where()}"
        return ""

    # -- arming -----------------------------------------------------------------------------------------------------
    def _arm(self) -> None:
        """Tell the engine what is to be noticed, and no more than that."""
        self.engine.set_breakpoints(entry.address for entry in self._armed(Breakpoint))
        self._arm_watches()
        kinds = {entry.kind for entry in self._armed(Catch)}
        self._looks_at_blocks = bool(kinds & {"mode", "privilege"})
        if self._catches_ports != ("port" in kinds):
            self._catches_ports = "port" in kinds
            self._arm_careful()
        self.engine.port_listener = self._note_port if self._catches_ports or self.listeners else None
        wanted = kinds & {"interrupt", "exception", "bios"}
        self.engine.trace = self._note_event if wanted or self.listeners else self._outer_trace
        self._mode, self._level = self.machine.cpu.mode, self.machine.cpu.cpl

    def _arm_watches(self) -> None:
        watches = list(self._armed(Watchpoint))
        self._looks_at_all = any(not entry.ranged for entry in watches)
        ranges = [one for entry in watches if entry.ranged for one in self._ranges_of(entry)]
        if ranges == self._ranges:  # all translations go when this changes
            return
        had, self._ranges = self._ranges, ranges
        if ranges and not had:
            self.machine.memory.write_listeners.append(self._note_host_write)
        elif had and not ranges:
            self.machine.memory.write_listeners.remove(self._note_host_write)
        self._arm_careful()
        self.engine.watch_memory(ranges, self._note_access if ranges else None)

    def _arm_careful(self) -> None:
        wanted = self._catches_ports or bool(self._ranges)
        careful = careful_of(ports=self._catches_ports, memory=bool(self._ranges)) if wanted else None
        self.engine.set_careful(careful)

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
        return physical_of(self.engine, (entry.linear or 0) + physical - entry.start)

    def _note_access(self, verb: str, address: int, size: int, value: int) -> None:
        self._accesses.append((verb, address, size, value))
        self.engine.notice()

    def _note_host_write(self, start: int, end: int) -> None:
        """Note a write that was not an instruction's own: a BIOS service, a device, an interrupt's frame."""
        if not self._writes_itself and any(one.told and start < one.end and one.start < end for one in self._ranges):
            self._note_access("write", start, end - start, 0)

    def _note_port(self, verb: str, port: int, size: int, value: int) -> None:
        for listener in self.listeners:
            listener.on_port(verb, port, size, value)
        if self._catches_ports:
            self._ports.append((verb, port, size, value))
            self.engine.notice()

    def _note_event(self, kind: str, vector: int, words: str) -> None:
        if self._outer_trace is not None:
            self._outer_trace(kind, vector, words)
        for listener in self.listeners:
            listener.on_event(kind, vector, words)
        if any(self._may_be(entry, kind, vector) for entry in self._armed(Catch)):
            self._events.append((kind, vector))
            self.engine.stop()  # the next safe point is the handler's first instruction

    @staticmethod
    def _may_be(entry: Catch, source: str, vector: int) -> bool:
        kinds = {"exc": "exception", "irq": "interrupt", "int": "interrupt"}
        return entry.kind in (kinds[source], "bios") and entry.value in (None, vector)

    def stop(self) -> None:
        """Make a `resume` on another thread end at the next safe point."""
        self._stop_wanted = True
        self.engine.stop()

    def take_stop(self) -> None:
        """Forget that a stop was asked for: it has been answered."""
        self._stop_wanted = False
        self.engine.take_stop()

    def _armed(self, kind: type[_Kind]) -> Iterator[_Kind]:
        wanted = () if self._resting else self._entries.values()
        return (entry for entry in wanted if isinstance(entry, kind) and entry.enabled)

    def _hit(self, entry: Entry) -> bool:
        """Count a hit; tell whether it stops."""
        if entry.condition is not None:
            self.context.hits = entry.hits + 1
            if not self._value(entry.condition, 1):
                return False
        entry.hits += 1
        if entry.hits <= entry.ignore:
            return False
        if entry.temporary:
            del self._entries[entry.number]
            self._arm()
        return True

    def _value(self, expression: Expression, otherwise: int) -> int:
        """Evaluate; memory that has gone away meanwhile counts as `otherwise`."""
        try:
            return expression.evaluate(self.context)
        except MiniVMError:
            return otherwise

    def _complete(self, entry: Entry, condition: str, ignore: int, temporary: bool) -> None:
        if condition:
            entry.condition = compile_expression(condition, self.symbols)
        entry.ignore, entry.temporary = ignore, temporary
        self._entries[entry.number] = entry
        self._next_number += 1
        self._arm()

    def _again(self, entry: Breakpoint) -> Breakpoint:
        self._entries[entry.number] = entry
        self._arm()
        return entry

    def _entry(self, number: int) -> Entry:
        entry = self._entries.get(number)
        if entry is None:
            raise DebugError(f"there is no breakpoint {number}; `info` lists them")
        return entry

    # -- addresses --------------------------------------------------------------------------------------------------
    def _linear(self, where: str | int) -> tuple[int, str]:
        if isinstance(where, int):
            return where, f"{where:X}h"
        address = parse_address(where, self.context, self.symbols)
        return address.value, address.text

    def _physical(self, linear: int) -> int:
        physical = physical_of(self.engine, linear)
        if physical is None:
            raise DebugError(f"{linear:X}h is not mapped")
        return physical

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


def _set_again(machine: Machine, edit: RegisterEdit) -> None:
    """Set a register in a replay as it was set in the run; what was refused then is refused again."""
    with suppress(DebugError):
        Debugger(machine).set_register(edit.name, edit.value)


APPLY["register"] = _set_again
