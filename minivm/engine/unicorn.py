"""The Unicorn engine: guest code at native speed, with exact virtual time and stops only where nothing can break.

Two gears share one tick count. The *run gear* (running.py) executes whole blocks; the thunk (thunk.py) books each
block's bytes at its start and stops there. The *step gear* (stepping.py) executes one instruction by Unicorn's own
counting. Inside a block, position is the block's start plus how far the instruction pointer came (booking.py), so both
gears agree on when a port was written (accesses.py). Exceptions are taken in Python (traps.py).

Here is how these parts are put together, and what others may ask of them.
"""

import ctypes
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import PAGE, AddressSpace
from minivm.engine import library, probes
from minivm.engine.accesses import Accesses, PortAccess
from minivm.engine.base import Attention, Breakpoint, Exit, Halted, Ran, Shutdown, Stopped
from minivm.engine.booking import Booking
from minivm.engine.bursts import Bursts
from minivm.engine.cpustate import CR0_PG, HF_INHIBIT_IRQ, IF, CpuHead, Registers
from minivm.engine.delivery import Fault
from minivm.engine.entrance import Entrance
from minivm.engine.far_returns import FarReturns
from minivm.engine.mapping import PhysicalMap
from minivm.engine.paging import peek_bytes, walk
from minivm.engine.port_rights import PortRights
from minivm.engine.power_on import RAW_REGISTERS, SYSTEM_CALL_MSRS, power_on
from minivm.engine.running import HF2_NMI_MASK, RunGear
from minivm.engine.shadow_tlb import ShadowTlb
from minivm.engine.state import CpuState, put, reset_debug_registers, take
from minivm.engine.stepping import StepGear
from minivm.engine.thunk import BlockCell, Thunk
from minivm.engine.traps import ExceptionFields, Trace, Traps
from minivm.engine.unsound import UnsoundCode
from minivm.engine.watch import Access, MemoryWatch, Range, at_edge
from minivm.errors import EngineError

if TYPE_CHECKING:
    from minivm.engine.counting import InstructionCounter
    from minivm.engine.coverage import Coverage

_FOREVER = 1 << 62
_BUFFER_BYTES = 32 << 20
_MANY_BLOCKS = 10_000  # Unicorn's buffer has room for more

Careful = Callable[[bytes, int], bool]
"""Asked of each new block's code and its bits whether it must be executed in the step gear."""


class UnicornEngine:
    """One x86 processor on Unicorn. `space` and `ports` are what it is wired to, `clock` what it moves.

    The RAM behind `space` must outlive the engine. `native=False` runs the block hook in Python, as on a host
    without the thunk. `code_bytes` is the room for translated code: with less, a large guest is translated again
    and again, and the engine costs the host less memory.
    """

    name = "unicorn"

    def __init__(
        self,
        space: AddressSpace,
        ports: Bus,
        clock: Clock,
        *,
        native: bool | None = None,
        code_bytes: int = _BUFFER_BYTES,
    ) -> None:
        self.space = space
        self.coverage: Coverage | None = None
        self._counter: InstructionCounter | None = None
        self._careful: Careful | None = None
        self._open(code_bytes)
        self._build_parts(ports, clock, native, _MANY_BLOCKS * code_bytes // _BUFFER_BYTES)
        self._connect()
        self._power_on_head = bytes(self._head)
        self.reset()

    # -- set-up -------------------------------------------------------------------------------------------------
    def _open(self, code_bytes: int) -> None:
        """Open Unicorn, and find the registers in it: they are there as soon as memory is mapped."""
        self._library = library.library()
        self._places = probes.layout(self._library)
        self._uc = self._library.open()
        self._uc.ignore_until()
        self._uc.set_buffer_size(code_bytes)
        self._map = PhysicalMap(self._uc, self.space)
        self._head = CpuHead.from_address(probes.head_address(self._uc, self._places))
        self._flags_cell = ctypes.c_uint64()
        self.cpu = Registers(self._head, self._read_flags)
        self._efer = ctypes.c_uint64.from_address(ctypes.addressof(self._head) + self._places.efer)

    def _build_parts(self, ports: Bus, clock: Clock, native: bool | None, most_translated: int) -> None:
        uc, cpu, cell = self._uc, self.cpu, self._make_cell()
        self.thunk = thunk = Thunk(self._library, cell, native=native)
        self._tlb = tlb = ShadowTlb(uc, self.space, cell, native=thunk.native)
        self._booking = booking = Booking(cell, self._head)
        self._traps = traps = Traps(self, uc, booking, ExceptionFields(self._head, self._places))
        self._entrance = entrance = Entrance(uc, cpu, cell)
        self._watch = watch = MemoryWatch(uc, self.space, cell, self._no_exit_request(), self._is_careful)
        self._far_returns = FarReturns(uc, cpu, self._peek_code, lambda linear: walk(self, linear).physical)
        self._steps = steps = StepGear(
            uc=uc, cpu=cpu, cell=cell, thunk=thunk, entrance=entrance, booking=booking, tlb=tlb, traps=traps,
            watch=watch,
            unsound=UnsoundCode(uc, cpu, self._peek_code, far_returns=self._far_returns, native=thunk.native),
            port_rights=PortRights(self, uc, self._peek_code, traps.fail, native=thunk.native),
            most_translated=most_translated,
        )  # fmt: skip
        self._runs = RunGear(
            cpu=cpu, cell=cell, clock=clock, entrance=entrance, booking=booking, steps=steps, tlb=tlb, traps=traps,
            watch=watch,
        )  # fmt: skip
        bursts = Bursts(
            ports=ports,
            clock=clock,
            cell=cell,
            processor=self,
            idle=self._nobody_looks,
            translations=lambda: steps.translations,
        )
        self._accesses = Accesses(
            ports=ports, mmio=self.space.mmio, clock=clock, cell=cell, booking=booking, bursts=bursts,
            aim=self._runs.aim, fail=traps.fail,
        )  # fmt: skip

    def _make_cell(self) -> BlockCell:
        head_at = ctypes.addressof(self._head)
        flags_at = head_at - self._places.head + self._places.block_flags
        self._cell = BlockCell(limit=_FOREVER, head=head_at, block_flags=flags_at)
        return self._cell

    def _connect(self) -> None:
        """Let Unicorn call the parts, and the host's writes to memory drop old code."""
        self._map.connect(self._accesses.mmio_callbacks)
        self._uc.hook(library.HOOK_BLOCK, self.thunk.callback, data=self._cell)
        self._steps.add_hook()
        self._traps.add_hooks()
        self._map.allow_harmless_accesses()
        self._tlb.add_hook()
        self._accesses.add_hooks(self._uc)
        self.space.memory.write_listeners.append(self._tlb.forget_code)
        self.space.map_listeners.append(self._follow_map)
        stop_checks = self._no_exit_request()
        if stop_checks is not None:
            stop_checks.value = 1  # no stop check behind every load and store

    def _no_exit_request(self) -> ctypes.c_ubyte | None:
        """Return the private cell that leaves stop checks out of translated code, where the probe has found it."""
        place = self._places.no_exit_request
        return None if place is None else ctypes.c_ubyte.from_address(self._uc.address + place)

    def _read_flags(self) -> int:
        cell = self._flags_cell
        self._library.dll.uc_reg_read(self._uc.handle, library.REG_EFLAGS, ctypes.byref(cell))
        return cell.value

    # -- life ---------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Return to the power-on state (SDM vol. 3, table 9-1), memory and time untouched."""
        ctypes.memmove(ctypes.addressof(self._head), self._power_on_head, ctypes.sizeof(self._head))
        self._efer.value = 0
        power_on(self.cpu)
        for number, value in RAW_REGISTERS:
            self.set_raw_register(number, value.to_bytes(8, "little"))
        reset_debug_registers(self)
        for index in SYSTEM_CALL_MSRS:
            self._library.dll.uc_reg_write(self._uc.handle, library.REG_MSR, ctypes.byref(library.Msr(index, 0)))
        self._runs.nmi_pending = False
        self._traps.shutdown = None
        self._booking.leave_block()
        self.flush()

    def flush(self) -> None:
        """Forget cached addresses after registers or page tables were edited from outside, and look at CR0.PG."""
        self._tlb.choose()
        self._uc.flush_tlb()

    def state(self) -> CpuState:
        """Return everything that the processor remembers, also in the middle of a block."""
        return take(self)

    def restore(self, saved: CpuState) -> None:
        """Remember `saved`; RAM and ROM must hold what they held then, or be restored first."""
        put(self, saved)

    def close(self) -> None:
        """Free the engine; the RAM that it used may be closed after this, not before."""
        self._uc.close()
        if self._tlb.forget_code in self.space.memory.write_listeners:
            self.space.memory.write_listeners.remove(self._tlb.forget_code)
            self.space.map_listeners.remove(self._follow_map)

    # -- what listens -------------------------------------------------------------------------------------------
    @property
    def trace(self) -> Trace | None:
        """Whoever is told of exceptions and interrupts."""
        return self._traps.trace

    @trace.setter
    def trace(self, listener: Trace | None) -> None:
        self._traps.trace = listener

    @property
    def port_listener(self) -> PortAccess | None:
        """Whoever is told of port accesses, after them."""
        return self._accesses.listener

    @port_listener.setter
    def port_listener(self, listener: PortAccess | None) -> None:
        self._accesses.listener = listener

    @property
    def port_watcher(self) -> Callable[[int], None] | None:
        """Whoever is told of a port before it is accessed, with the chips as the guest is about to meet them."""
        return self._accesses.before

    @port_watcher.setter
    def port_watcher(self, watcher: Callable[[int], None] | None) -> None:
        self._accesses.before = watcher

    # -- what delivery, the page walk and the debugger ask -------------------------------------------------------
    @property
    def efer(self) -> int:
        """The extended feature enable register, MSR C0000080h."""
        return self._efer.value

    @efer.setter
    def efer(self, value: int) -> None:
        self._efer.value = value

    def msr(self, index: int) -> int:
        """Return a model-specific register; one that the engine does not know reads 0."""
        msr = library.Msr(index, 0)
        self._library.dll.uc_reg_read(self._uc.handle, library.REG_MSR, ctypes.byref(msr))
        return msr.value

    def load_cr3(self, value: int) -> None:
        """Load the page directory base as a task switch does, forgetting cached addresses."""
        cell = ctypes.c_uint64(value)
        self._library.dll.uc_reg_write(self._uc.handle, library.REG_CR3, ctypes.byref(cell))

    def set_control(self, index: int, value: int) -> None:
        """Load CR0, CR3 or CR4 as MOV does, with the change of mode that it may bring, but without its checks."""
        cell = ctypes.c_uint64(value)
        number = {0: library.REG_CR0, 3: library.REG_CR3, 4: library.REG_CR4}[index]
        self._library.dll.uc_reg_write(self._uc.handle, number, ctypes.byref(cell))
        self.flush()

    def raw_register(self, number: int, size_bytes: int) -> bytes:
        """Return a register by Unicorn's number for it: those of the FPU and SSE, which no other part looks at."""
        cell = (ctypes.c_ubyte * max(size_bytes, 16))()
        self._library.dll.uc_reg_read(self._uc.handle, number, cell)
        return bytes(cell)[:size_bytes]

    def set_raw_register(self, number: int, value: bytes) -> None:
        """Set a register by Unicorn's number for it."""
        cell = (ctypes.c_ubyte * max(len(value), 16))(*value)
        self._library.dll.uc_reg_write(self._uc.handle, number, cell)

    def settle(self) -> None:
        """Give back what was booked for the rest of a block, before somebody outside changes where it goes on."""
        if self._booking.mid_block:
            self._booking.refund()

    @property
    def position(self) -> int:
        """Ticks since power-on, exact also inside a port access."""
        booking = self._booking
        return booking.inside_block() if booking.mid_block else self._cell.retired

    @property
    def exits(self) -> dict[str, int]:
        """How often the guest left native code, by kind; the same at every slice length and in both gears."""
        ports = {"port reads": self._accesses.reads, "port writes": self._accesses.writes}
        return dict(sorted((self._traps.counts | ports).items()))

    @property
    def interruptible(self) -> bool:
        """True where a hardware interrupt may be taken now: a block's start, IF set, no shadow."""
        head = self._head
        return bool(head.eflags & IF) and not head.hflags & HF_INHIBIT_IRQ and not self._booking.mid_block

    @property
    def nmi_pending(self) -> bool:
        """True while an NMI waits to be delivered."""
        return self._runs.nmi_pending and not self._head.hflags2 & HF2_NMI_MASK

    @property
    def in_block(self) -> bool:
        """True after a step that ended inside a block, where no interrupt is taken."""
        return self._booking.mid_block

    @property
    def paths(self) -> dict[str, str]:
        """Which of the possible ways this engine goes, in words, for `minivm doctor`."""
        return {
            "block hook": "machine code" if self.thunk.native else "Python (slow)",
            "stop checks": "off" if self._places.no_exit_request is not None else "on (slower stores)",
            "memory": "shadow TLB" if self._tlb.active else "the engine's MMU",
        }

    # -- running ------------------------------------------------------------------------------------------------
    def run(self, until: int) -> Exit:
        """Run to the first block start at or after position `until`, or until something else ends the run."""
        began = self.position
        ended = self._runs.run(until)
        return self._exit(ended, self.position - began)

    def step(self) -> Exit:
        """Execute one instruction, or deliver one exception; at a pending NMI, its delivery."""
        began = self.position
        if self._runs.take_nmi():
            return self._exit("ran", 0)
        ended = self._steps.step()
        self._steps.noticed = False
        return self._exit(ended, self.position - began)

    def stop(self) -> None:
        """Make the current or next `run` end with `Stopped` at the next safe point; callable from any thread."""
        self._runs.stop_requested = True
        self._cell.limit = 0

    def take_stop(self) -> bool:
        """Tell whether `stop` was called, and forget it: for a machine that sleeps instead of running."""
        return self._runs.take_stop()

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """End each run before the instruction at any of the linear `addresses`; step once to get past one."""
        self._steps.breakpoints = frozenset(addresses)
        self.thunk.set_breakpoints(self._steps.breakpoints)

    def watch_memory(self, ranges: Iterable[Range], listener: Access | None) -> None:
        """Tell `listener` of every access to the physical `ranges`, behind which `notice` can end the run (watch.py).

        It hears ("read" | "write", address, size, value) while the instruction executes.
        """
        self._watch.set(ranges, listener)
        self._see_hooked_reads()
        self._steps.translate_entered_block()  # all translations are gone

    def _see_hooked_reads(self) -> None:
        noted = self.coverage is not None and self.coverage.notes_accesses
        self._far_returns.wanted = noted or self._watch.reads

    def set_careful(self, careful: Careful | None, ends: Callable[[], bool] | None = None) -> None:
        """Execute the blocks of which `careful` says so in the step gear, where `notice` acts at once.

        There, the run also ends behind each instruction after which `ends` says so.
        """
        self._careful = careful
        self._steps.ends = ends
        self.thunk.look_over(self._look_over if careful is not None else None)

    def notice(self) -> None:
        """End the run as at a breakpoint: behind the current instruction in the step gear, else at a block start."""
        self._steps.noticed = True
        self._cell.limit = 0

    def cover(self, reads: bool = False) -> None:
        """Note in `coverage` which code runs from now on; with `reads`, slowly, also what it reads and writes."""
        from minivm.engine.coverage import Coverage  # only those who look need it

        if self.coverage is None:
            self.coverage = Coverage(self._uc, self.space.memory, self.thunk)
        self.coverage.note_accesses(reads)
        self._see_hooked_reads()
        self._steps.translate_entered_block()  # all translations are gone

    def count_instructions(self, wanted: bool = True) -> None:
        """Begin to count executed instructions, from 0, or stop counting; only between runs (counting.py)."""
        from minivm.engine.counting import InstructionCounter  # only those who count need it

        if self._counter is None:
            self._counter = InstructionCounter(self._uc, native=self.thunk.native)
        self._counter.want(wanted)
        self._steps.translate_entered_block()  # all translations are gone

    @property
    def instructions(self) -> int:
        """How many instructions were executed since `count_instructions`; 0 before."""
        return self._counter.count if self._counter is not None else 0

    def attention(self) -> None:
        """Make the current `run` end at the next block start, from inside a port access."""
        self._runs.attention = True
        self._cell.limit = 0

    def set_intr(self, level: bool) -> None:
        """Drive the INTR pin: while it is high, a run ends where the interrupt can be taken."""
        self._cell.window = IF if level else 0

    def skip_to(self, position: int) -> None:
        """Let time pass without executing anything: the CPU is halted."""
        self._booking.skip_to(position)

    def charge(self, ticks: int) -> int:
        """Let the instruction whose port access is being served take `ticks` more; return the position behind it."""
        return self._booking.charge(ticks)

    def interrupt(self, vector: int) -> Exit | None:
        """Deliver the hardware interrupt `vector` now; a `Shutdown` when it could not be."""
        traps = self._traps
        if traps.trace is not None:
            traps.trace("irq", vector, traps.where())
        traps.interrupt(vector)
        return self._exit("shutdown", 0) if traps.shutdown is not None else None

    def nmi(self) -> None:
        """Deliver the non-maskable interrupt at the next block start."""
        self._runs.nmi_pending = True
        self._cell.limit = 0

    def set_a20(self, enabled: bool) -> None:
        """Open or close address line 20."""
        self._tlb.set_a20(enabled)

    def _follow_map(self, start: int, end: int) -> None:
        """Show the guest what the address space has in [start, end) now, from its next access on.

        Unicorn looks addresses up while it maps; with paging on that would change CR2.
        """
        head = self._head
        kept, head.cr[0] = head.cr[0], head.cr[0] & ~CR0_PG
        mapped = self._map.follow(start, end)
        head.cr[0] = kept
        for one in mapped:
            self._watch.protect_again(one.start, one.end)
            if one.region is not None:
                self._steps.stale_code = True
        self._tlb.forget_pages(start, end)
        if self._steps.stale_code:
            self._cell.limit = 0

    # -- what the parts ask -------------------------------------------------------------------------------------
    def _nobody_looks(self) -> bool:
        """Tell whether nobody counts, watches or waits for single instructions."""
        if self._cell.pages or self._cell.known or self._watch.active or self.coverage is not None:
            return False
        return self._counter is None or not self._counter.active

    def _look_over(self, address: int, size: int) -> bool:
        """Look at a block before it is executed for the first time; tell whether it must be stepped through."""
        self._watch.note_code(address, size, paged=not self._tlb.active)
        return self._is_careful(address, size)

    def _is_careful(self, address: int, size: int) -> bool:
        if self._watch.active and at_edge(address, size):
            return True
        try:
            return self._careful is None or self._careful(peek_bytes(self, address, size), self.cpu.code_bits)
        except Fault:
            return True

    def _peek_code(self, address: int, size: int) -> bytes:
        """Return code as far as it is there."""
        try:
            return peek_bytes(self, address, size)
        except Fault:
            room = PAGE - address % PAGE
            return self._peek_code(address, room) if room < size else b""

    def _exit(self, reason: str, ticks: int) -> Exit:
        match reason:
            case "ran":
                return Ran(ticks)
            case "halted":
                return Halted(ticks)
            case "stopped":
                return Stopped(ticks)
            case "shutdown" if self._traps.shutdown is not None:
                return Shutdown(ticks, self._traps.shutdown)
            case "attention":
                return Attention(ticks)
            case "breakpoint":
                return Breakpoint(ticks, self.cpu.linear_ip)
        raise EngineError(f"a run ended for no reason that is known: {reason}")


__all__ = ["Careful", "PortAccess", "Trace", "UnicornEngine"]
