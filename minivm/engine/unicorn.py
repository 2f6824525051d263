"""The Unicorn engine: guest code at native speed, with exact virtual time and stops only where nothing can break.

Two gears share one tick count. The *run gear* executes whole blocks; the thunk (thunk.py) books each block's bytes at
its start and stops there. The *step gear* executes one instruction by Unicorn's own counting. Inside a block, position
is the block's start plus how far the instruction pointer came, so both gears agree on when a port was written.

Nothing goes through the interrupt table by itself: Unicorn calls `_on_exception` with a vector, and delivery.py, which
is written to be read, does what the processor would.
"""

import ctypes
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import PAGE, AddressSpace, Region
from minivm.engine import cpuid, library, probes, undocumented
from minivm.engine.base import Attention, Autopsy, Breakpoint, Exit, Halted, Ran, Shutdown, Stopped
from minivm.engine.coverage import Coverage
from minivm.engine.cpustate import (
    AC,
    CC_OP_EFLAGS,
    CR0_ET,
    CR0_PG,
    CS,
    DESC_A,
    DESC_CODE,
    DESC_P,
    DESC_R,
    DESC_S,
    DESC_TYPE_SHIFT,
    DESC_W,
    HF_CS64,
    HF_INHIBIT_IRQ,
    HF_LMA,
    IF,
    IOPL_MASK,
    RAX,
    RCX,
    RDX,
    RF,
    TF,
    VM,
    CpuHead,
    Registers,
)
from minivm.engine.delivery import Collapse, Event, Fault, raise_event
from minivm.engine.fastcalls import syscall, sysenter
from minivm.engine.fill import FillTable
from minivm.engine.paging import peek_bytes, read_bytes
from minivm.engine.segments import fill_cache, update_hflags
from minivm.engine.state import CpuState, put, take, translate_entered_block
from minivm.engine.thunk import AT_BREAKPOINT, ONE_INSTRUCTION, WHOLE_BLOCK, BlockCell, Thunk
from minivm.engine.watch import Access, MemoryWatch, Range, at_edge
from minivm.errors import EngineError

if TYPE_CHECKING:
    from minivm.engine.coverage import Coverage

FOREVER = 1 << 62
IO_TICKS = 1000
"""A port access takes about a microsecond: eight clocks of the 8 MHz ISA bus (IBM AT Technical Reference)."""
RDTSC_TICKS = 500
"""Charged for each RDTSC, so that loops that wait for the counter are short (docs/decisions/time-charges.md)."""
SPIN_TICKS = 20
"""What an exception costs beside its instruction's bytes: without it a fault that repeats would take no time."""

_BUFFER_BYTES = 32 << 20
_HIGHEST_MMIO = 1 << 40  # as many physical address bits as the emulated processor has
_MANY_BLOCKS = 10_000  # Unicorn's buffer has room for more; it is emptied before it overflows in mid-step
_MANY_FILLS = 200  # a TLB of 256 pages that missed so often is too small
_DATA = library.PROT_READ | library.PROT_WRITE
_HF2_NMI_MASK = 1 << 2  # QEMU's hflags2: an NMI is being served until the next IRET
_DEBUG, _NMI, _INVALID_OPCODE, _GENERAL_PROTECTION, _PAGE_FAULT = 1, 2, 6, 13, 14
_INT1 = b"\xf1"
_BLOCK_MODE = TF | IOPL_MASK | VM | AC  # what translated code depends on, beside QEMU's hflags

_POWER_ON_REGISTERS = ((library.REG_FPCW, 0x0040), (library.REG_MXCSR, 0x1F80))
_SYSTEM_CALL_MSRS = (0x174, 0x175, 0x176, 0xC000_0081, 0xC000_0082, 0xC000_0083, 0xC000_0084, 0xC000_0102)
"""SYSENTER's three, STAR, LSTAR, CSTAR, FMASK, KernelGSbase: 0 after a reset."""

PortAccess = Callable[[str, int, int, int], None]
"""Told of ("in" | "out", port, size in bytes, value)."""
Careful = Callable[[bytes, int], bool]
"""Asked of each new block's code and its bits whether it must be executed in the step gear."""
Trace = Callable[[str, int, str], None]
"""Told of ("int" | "exc" | "irq", vector, words about it)."""


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
        self._code_room = code_bytes
        self.trace: Trace | None = None
        self.port_listener: PortAccess | None = None
        self._counts: dict[str, int] = {}
        self.port_reads = self.port_writes = 0
        self._ports = ports
        self._clock = clock
        self._library = library.library()
        self._places = probes.layout(self._library)
        self._uc = self._library.open()
        self._cell = BlockCell(limit=FOREVER)
        self._open()
        head_at = probes.head_address(self._uc, self._places)
        self._head = CpuHead.from_address(head_at)
        self._flags_cell = ctypes.c_uint64()
        self.cpu = Registers(self._head, self._read_flags)
        self._efer = ctypes.c_uint64.from_address(head_at + self._places.efer)
        self._error_code = ctypes.c_int32.from_address(head_at + self._places.error_code)
        self._is_int = ctypes.c_int32.from_address(head_at + self._places.exception_is_int)
        self._old_exception = ctypes.c_int32.from_address(head_at + self._places.old_exception)
        self._cell.head = head_at
        self._cell.block_flags = head_at - self._places.head + self._places.block_flags
        self._block_flags = ctypes.c_uint32.from_address(self._cell.block_flags)
        self.thunk = Thunk(self._library, self._cell, native=native)
        fill = library.FILL_CALLBACK(self._on_fill)
        self._fills = FillTable(fill, head_at, native=self.thunk.native)
        self._flush_wanted = False
        self._shadow_tlb = True
        self._mid_block = False
        self._delivered = False
        self._stop_requested = False
        self._nmi_pending = False
        self._breakpoints: frozenset[int] = frozenset()
        self._careful: Careful | None = None
        self._noticed = False
        self.coverage: Coverage | None = None
        self._shutdown: Autopsy | None = None
        self._failure: BaseException | None = None
        self._until = 0
        self._attention = False
        self._retry = self._retry_of_fetch = False
        self._block_ip = self._block_rf = 0
        self._block_mode = (0, 0, 0)
        self._translated = 0
        self._looking = False
        self._inside = self._stale_code = False
        private = self._places.no_exit_request
        checks = ctypes.c_ubyte.from_address(self._uc.address + private) if private is not None else None
        self._watch = MemoryWatch(self._uc, space, self._cell, checks, self._is_careful)
        self._add_hooks()
        space.memory.write_listeners.append(self._host_wrote)
        self._leave_out_stop_checks()
        self._power_on_head = bytes(self._head)
        self.reset()

    # -- life ---------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Return to the power-on state (SDM vol. 3, table 9-1), memory and time untouched.

        CS's base is F0000h and not FFFF0000h: the same bytes of ROM stand at both.
        """
        head = self._head
        ctypes.memmove(ctypes.addressof(head), self._power_on_head, ctypes.sizeof(head))
        self._efer.value = 0
        for index in range(16):
            head.regs[index] = 0
        head.regs[RDX] = cpuid.SIGNATURE
        head.cr[0] = 0x6000_0000 | CR0_ET
        head.cr[2] = head.cr[3] = head.cr[4] = 0
        data, code = DESC_P | DESC_S | DESC_W | DESC_A, DESC_P | DESC_S | DESC_CODE | DESC_R | DESC_A
        for segment in head.segs:
            fill_cache(segment, 0, 0, 0xFFFF, data)
        fill_cache(head.segs[CS], 0xF000, 0xF0000, 0xFFFF, code)
        fill_cache(head.ldt, 0, 0, 0xFFFF, DESC_P | 2 << DESC_TYPE_SHIFT)
        fill_cache(head.tr, 0, 0, 0xFFFF, DESC_P | 11 << DESC_TYPE_SHIFT)
        fill_cache(head.gdt, 0, 0, 0xFFFF, 0)
        fill_cache(head.idt, 0, 0, 0x3FF, 0)
        head.eip = 0xFFF0
        head.hflags = head.hflags2 = 0
        self.cpu.rflags = 2
        update_hflags(head)
        for number, value in _POWER_ON_REGISTERS:
            self.set_raw_register(number, value.to_bytes(8, "little"))
        for index in _SYSTEM_CALL_MSRS:
            self._library.dll.uc_reg_write(self._uc.handle, library.REG_MSR, ctypes.byref(library.Msr(index, 0)))
        self._nmi_pending = False
        self._shutdown = None
        self._leave_block()
        self.flush()

    def flush(self) -> None:
        """Forget cached addresses after registers or page tables were edited from outside, and look at CR0.PG."""
        self._choose_tlb()
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
        if self._host_wrote in self.space.memory.write_listeners:
            self.space.memory.write_listeners.remove(self._host_wrote)

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
        if self._mid_block:
            self._refund()

    @property
    def position(self) -> int:
        """Ticks since power-on, exact also inside a port access."""
        if self._mid_block:
            return self._inside_block()
        return self._cell.retired

    @property
    def exits(self) -> dict[str, int]:
        """How often the guest left native code, by kind; the same at every slice length and in both gears."""
        return dict(sorted((self._counts | {"port reads": self.port_reads, "port writes": self.port_writes}).items()))

    @property
    def interruptible(self) -> bool:
        """True where a hardware interrupt may be taken now: a block's start, IF set, no shadow."""
        head = self._head
        return bool(head.eflags & IF) and not head.hflags & HF_INHIBIT_IRQ and not self._mid_block

    @property
    def nmi_pending(self) -> bool:
        """True while an NMI waits to be delivered."""
        return self._nmi_pending and not self._head.hflags2 & _HF2_NMI_MASK

    @property
    def in_block(self) -> bool:
        """True after a step that ended inside a block, where no interrupt is taken."""
        return self._mid_block

    @property
    def paths(self) -> dict[str, str]:
        """Which of the possible ways this engine goes, in words, for `minivm doctor`."""
        return {
            "block hook": "machine code" if self.thunk.native else "Python (slow)",
            "stop checks": "off" if self._places.no_exit_request is not None else "on (slower stores)",
            "memory": "shadow TLB" if self._shadow_tlb else "the engine's MMU",
        }

    # -- running ------------------------------------------------------------------------------------------------
    def run(self, until: int) -> Exit:
        """Run to the first block start at or after position `until`, or until something else ends the run."""
        began, self._until = self.position, until
        ended = (self._walk_to_block_end() or "attention") if self._mid_block else self._run_blocks()
        self._attention = False
        self._noticed = False
        return self._exit(ended, self.position - began)

    def step(self) -> Exit:
        """Execute one instruction, or deliver one exception; at a pending NMI, its delivery."""
        began = self.position
        if self._take_nmi():
            return self._exit("ran", 0)
        ended = self._step_once()
        self._noticed = False
        return self._exit(ended, self.position - began)

    def stop(self) -> None:
        """Make the current or next `run` end with `Stopped` at the next safe point; callable from any thread."""
        self._stop_requested = True
        self._cell.limit = 0

    def take_stop(self) -> bool:
        """Tell whether `stop` was called, and forget it: for a machine that sleeps instead of running."""
        wanted, self._stop_requested = self._stop_requested, False
        return wanted

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """End each run before the instruction at any of the linear `addresses`; step once to get past one."""
        self._breakpoints = frozenset(addresses)
        self.thunk.set_breakpoints(self._breakpoints)

    def watch_memory(self, ranges: Iterable[Range], listener: Access | None) -> None:
        """Tell `listener` of every access to the physical `ranges`, behind which `notice` can end the run (watch.py).

        It hears ("read" | "write", address, size, value) while the instruction executes.
        """
        self._watch.set(ranges, listener)
        if self._mid_block:
            translate_entered_block(self)  # all translations are gone

    def set_careful(self, careful: Careful | None) -> None:
        """Execute the blocks of which `careful` says so in the step gear, where `notice` acts at once."""
        self._careful = careful
        self.thunk.look_over(self._look_over if careful is not None else None)

    def notice(self) -> None:
        """End the run as at a breakpoint: behind the current instruction in the step gear, else at a block start."""
        self._noticed = True
        self._cell.limit = 0

    def cover(self, reads: bool = False) -> None:
        """Note in `coverage` which code runs from now on; with `reads`, slowly, also what it reads and writes."""
        from minivm.engine.coverage import Coverage  # only those who look need it

        if self.coverage is None:
            self.coverage = Coverage(self._uc, self.space.memory, self.thunk)
        self.coverage.note_accesses(reads)
        if self._mid_block:
            translate_entered_block(self)  # all translations are gone

    def attention(self) -> None:
        """Make the current `run` end at the next block start, from inside a port access."""
        self._attention = True
        self._cell.limit = 0

    def set_intr(self, level: bool) -> None:
        """Drive the INTR pin: while it is high, a run ends where the interrupt can be taken."""
        self._cell.window = IF if level else 0

    def skip_to(self, position: int) -> None:
        """Let time pass without executing anything: the CPU is halted."""
        cell = self._cell
        cell.start = cell.retired = max(cell.retired, position)
        cell.size, self._mid_block = 0, False

    def interrupt(self, vector: int) -> Exit | None:
        """Deliver the hardware interrupt `vector` now; a `Shutdown` when it could not be."""
        if self.trace is not None:
            self.trace("irq", vector, self._where())
        self._interrupt(vector)
        return self._exit("shutdown", 0) if self._shutdown is not None else None

    def nmi(self) -> None:
        """Deliver the non-maskable interrupt at the next block start."""
        self._nmi_pending = True
        self._cell.limit = 0

    def set_a20(self, enabled: bool) -> None:
        """Open or close address line 20."""
        self._head.a20_mask = -1 if enabled else ~(1 << 20)
        self.space.a20_mask = ~0 if enabled else ~(1 << 20)
        self._fills.cell.closed = not enabled
        self._uc.flush_tlb()

    # -- the run gear -------------------------------------------------------------------------------------------
    def _run_blocks(self) -> str:
        self._take_nmi()
        self._match_tlb()
        if self._fills.cell.fills > _MANY_FILLS:
            self._flush_shadow()
        while self._shutdown is None:
            self._cell.stopped = 0
            self._aim()
            status = self._enter(WHOLE_BLOCK)
            if self._watch.active:
                self._watch.settle(self._forget_code)
            self._raise_failure()
            if self._shutdown is not None:
                break
            ended = self._what_now(status)
            if ended is not None:
                return ended
        return "shutdown"

    def _aim(self) -> None:
        """Set the tick at which the thunk stops; whatever is wanted before that is taken at the next block start."""
        cell = self._cell
        cell.limit = min(self._until, self._clock.next_due)
        if self._nmi_pending:
            cell.limit = cell.retired + 1  # it is held back now, and any block may end that
        if self._attention or self._stop_requested or self._noticed:
            cell.limit = 0

    def _what_now(self, status: int) -> str | None:
        """After the engine returned: why the run ends, or None when it goes on."""
        flush = self._flush_wanted
        if flush:
            self._flush_shadow()
        if self._cell.stopped == AT_BREAKPOINT:
            return self._walk_to_breakpoint()
        if self._cell.stopped:
            return None if flush else self._why_stopped()
        if self._watch.refused:
            return self._begin_again()
        if not self._retry:
            return self._give_up(status)
        self._retry = False
        if self._retry_of_fetch:
            return None
        return self._walk_rest_of_block()

    def _walk_rest_of_block(self) -> str:
        """Execute the rest of the block in the step gear, so that blocks stay where they are."""
        head = self._head
        self._mid_block = True
        self._block_ip = (head.eip - self.cpu.linear_ip + self._cell.address) & 0xFFFF_FFFF_FFFF_FFFF
        self._block_rf, self._block_mode = 0, self._mode_key()
        return self._walk_to_block_end() or "attention"

    def _begin_again(self) -> str:
        """After an access was refused: the instruction has not happened; step through it, where that is seen."""
        cell, watch = self._cell, self._watch
        watch.refused = False
        if cell.address <= self.cpu.linear_ip < cell.address + cell.size:
            watch.dropped.clear()
            return self._walk_rest_of_block()
        watch.catch_up()  # the block's last instruction, a helper's, has happened but for its stores
        return "breakpoint" if self._noticed else "attention"

    def _why_stopped(self) -> str:
        if self._noticed:
            return "breakpoint"
        if self.take_stop():
            return "stopped"
        return "ran" if self._cell.retired >= self._until else "attention"

    def _enter(self, block_flags: int) -> int:
        """Let Unicorn execute until something stops it, the first block with `block_flags`; return its status.

        It takes the arithmetic flags from `eflags`, where they lie only between two runs, so flags that were edited
        in the meantime are put there.
        """
        head = self._head
        if head.cc_op == CC_OP_EFLAGS:
            head.eflags = self.cpu.rflags
        self._block_flags.value = block_flags
        self._inside = True
        status = int(self._library.dll.uc_emu_start(self._uc.handle, head.eip, 0, 0, 0))
        self._inside = False
        return status

    def _flush_shadow(self) -> None:
        """Flush the TLB, which also lets it grow: Unicorn sizes it only then, and it begins with 256 pages."""
        self._flush_wanted = False
        self._fills.cell.fills = 0
        self._uc.flush_tlb()

    def _report(self, status: int) -> str:
        """Turn an error of the engine that has no meaning on a PC into #GP."""
        if self.trace is not None:
            name = self._library.dll.uc_strerror(status).decode()
            self.trace("exc", _GENERAL_PROTECTION, f"the engine reports: {name}")
        self._refund()
        self._cell.retired += SPIN_TICKS
        self._raise(Event(_GENERAL_PROTECTION, self._head.eip, error_code=0))
        return "attention" if self._shutdown is None else "shutdown"

    def _take_nmi(self) -> bool:
        """Deliver a pending NMI unless one is being served or an instruction's shadow holds."""
        if not self._nmi_pending:
            return False
        if self._head.hflags2 & _HF2_NMI_MASK or self._head.hflags & HF_INHIBIT_IRQ or self._mid_block:
            return False
        self._nmi_pending = False
        self._head.hflags2 |= _HF2_NMI_MASK
        self._interrupt(_NMI)
        return True

    def _interrupt(self, vector: int) -> None:
        self._count("interrupts")
        self._head.eflags &= ~RF
        self._raise(Event(vector, self._head.eip, hardware=True))

    # -- the step gear ------------------------------------------------------------------------------------------
    def _walk_to_block_end(self) -> str | None:
        """Step to the end of the block that an earlier step has entered, so that blocks stay where they are."""
        while self._mid_block:
            ended = self._step_once()
            if ended != "ran":
                return ended
            if self._noticed or self.cpu.linear_ip in self._breakpoints:
                return "breakpoint"
        return None

    def _walk_to_breakpoint(self) -> str | None:
        """Step into the block before which the thunk stopped, to its breakpoint or, past a jump, to its end."""
        if self.cpu.linear_ip in self._breakpoints:
            return "breakpoint"
        ended = self._step_once()
        if ended == "ran" and (self._noticed or self.cpu.linear_ip in self._breakpoints):
            return "breakpoint"
        return self._walk_to_block_end() if ended == "ran" else ended

    def _step_once(self) -> str:
        """Execute one instruction, and book its whole block when it is the first of it."""
        if self._shutdown is not None:
            return "shutdown"
        self._match_tlb()
        if not self._mid_block and not self._find_block():
            return "ran" if self._shutdown is None else "shutdown"
        status = self._enter_stepping(1)
        if self._shutdown is not None:
            return "shutdown"
        if self._delivered:
            return "ran"
        if not self._cell.stopped:
            return self._give_up(status)
        self._see_where_it_went()
        return "ran"

    def _find_block(self) -> bool:
        """Ask for the block that the run gear would execute here, and book it; False when an exception came instead."""
        head, cell = self._head, self._cell
        if self._translated > _MANY_BLOCKS * self._code_room // _BUFFER_BYTES:
            self._translated = 0
            self._uc.flush_code()
        self._block_ip, self._block_rf = head.eip, head.eflags & RF
        status = self._enter_stepping(0)
        if self._delivered:
            return False
        if not cell.stopped:
            self._give_up(status)
            return False
        cell.book(cell.next_address, cell.next_size)
        self._block_mode = self._mode_key()
        return True

    def _mode_key(self) -> tuple[int, int, int]:
        head = self._head
        return head.hflags, head.eflags & _BLOCK_MODE, head.segs[CS].base

    def _enter_stepping(self, allowed: int) -> int:
        """Execute `allowed` instructions, 0 or 1, each as a block of its own, and stop before the next block."""
        cell = self._cell
        self._delivered = False
        cell.stepping = 1
        while True:
            cell.allowed, cell.stopped = allowed, 0
            status = self._enter(ONE_INSTRUCTION if allowed else WHOLE_BLOCK)
            if self._flush_wanted:
                self._flush_shadow()
            if not self._retry:
                break
            self._retry = False
            if self._retry_of_fetch and cell.allowed < allowed:
                allowed = 0  # it was executed, and what has to be tried again is finding the next block
        cell.stepping = 0
        if self.coverage is not None and allowed and not self._delivered:
            self._note_step()
        if self._watch.active:
            self._after_watched_step()
        self._raise_failure()
        return status

    def _note_step(self) -> None:
        cell, ran = self._cell, self.thunk.ran
        if ran is not None:
            stopped = bool(cell.stopped)
            ran.add(cell.this_address if stopped else cell.next_address, cell.this_size if stopped else cell.next_size)

    def _after_watched_step(self) -> None:
        cell, paged = self._cell, not self._shadow_tlb
        self._watch.note_code(cell.this_address, cell.this_size, paged=paged)
        self._watch.note_code(cell.next_address, cell.next_size, paged=paged)
        self._watch.settle(self._forget_code)

    def _see_where_it_went(self) -> None:
        """After an instruction, tell whether its block goes on, as the run gear would."""
        cell = self._cell
        end = cell.this_address + cell.this_size
        self._mid_block = cell.next_address == end and end - cell.address < cell.size
        if self._block_was_rewritten():
            # The run gear was stopped before the instruction, and executed it as a block of its own.
            cell.book(cell.this_address, cell.this_size)
            self._mid_block = False
        if not self._mid_block and cell.address <= cell.next_address < cell.address + cell.size:
            self._enter_rest_of_block()

    def _block_was_rewritten(self) -> bool:
        """Tell whether the instruction stored into the block it is in: its translation is gone then.

        So look the block up once more, and see whether Unicorn has to translate it. Only a block of the same mode can
        be looked up; the last instruction of a block may have left it, but then it has stored nothing there.
        """
        head = self._head
        if self._mode_key() != self._block_mode:
            return False
        kept = head.eip, head.eflags
        head.eip, head.eflags = self._block_ip, head.eflags & ~RF | self._block_rf
        before = self._translated
        self._look_at_block()
        head.eip, head.eflags = kept
        return self._translated != before

    def _enter_rest_of_block(self) -> None:
        """After a jump into the block that it ended: the run gear may take that for a cut-off rest, and not stop."""
        cell = self._cell
        address, size = self._look_at_block()
        if cell.end_of_cut(address, size) is not None:
            self._block_ip, self._block_rf, self._block_mode = self._head.eip, 0, self._mode_key()
            cell.book(address, size)
            self._mid_block = True

    def _look_at_block(self) -> tuple[int, int]:
        """Return address and size of the block that the run gear would execute here, and change nothing."""
        cell, head = self._cell, self._head
        kept = cell.this_address, cell.this_size, cell.next_address, cell.next_size, head.cr[2]
        self._looking = True
        self._enter_stepping(0)
        self._looking = False
        found = (cell.next_address, cell.next_size) if cell.stopped else (0, 0)
        cell.this_address, cell.this_size, cell.next_address, cell.next_size, head.cr[2] = kept
        return found

    def _give_up(self, status: int) -> str:
        """The engine has returned by itself: after HLT, or with an error."""
        self._mid_block = False
        return "halted" if status == library.ERR_OK else self._report(status)

    def _match_tlb(self) -> None:
        """Follow a change of CR0.PG."""
        if bool(self._head.cr[0] & CR0_PG) == self._shadow_tlb:
            self._choose_tlb()
        if self._stale_code:
            self._drop_stale_code()

    def _drop_stale_code(self) -> None:
        """Forget all code after the host has changed memory; of a block that was entered, translate it anew."""
        self._stale_code = False
        self._uc.flush_code()
        if self._mid_block:
            translate_entered_block(self)

    # -- ticks --------------------------------------------------------------------------------------------------
    def _inside_block(self) -> int:
        cell, head = self._cell, self._head
        if head.hflags & HF_CS64:
            return int(cell.start + head.eip - cell.address)
        return cell.start + int((head.segs[CS].base + head.eip - cell.address) & 0xFFFF_FFFF)

    def _refund(self) -> None:
        """Take back the charge for the rest of a block that an exception cut short."""
        cell = self._cell
        position = self._inside_block()
        if cell.start <= position <= cell.retired:
            cell.retired = position
        self._leave_block()

    def _leave_block(self) -> None:
        cell = self._cell
        self._mid_block = False
        cell.start, cell.size = cell.retired, 0

    def _charge(self, ticks: int) -> int:
        """Let the current instruction take `ticks` more; return the position behind it."""
        cell = self._cell
        cell.start += ticks
        cell.retired += ticks
        return self._inside_block()

    # -- port accesses ------------------------------------------------------------------------------------------
    def _on_in(self, uc: int, port: int, size: int, data: int) -> int:
        try:
            self.port_reads += 1
            self._clock.advance_to(self._charge(IO_TICKS))
            value = self._ports.read(port, size)
            if self.port_listener is not None:
                self.port_listener("in", port, size, value)
            if self._clock.next_due < self._cell.limit:
                self._aim()
            return value
        except BaseException as error:
            self._fail(error)
            return 0

    def _on_out(self, uc: int, port: int, size: int, value: int, data: int) -> None:
        try:
            self.port_writes += 1
            self._clock.advance_to(self._charge(IO_TICKS))
            value &= (1 << (8 * size)) - 1
            self._ports.write(port, size, value)
            if self.port_listener is not None:
                self.port_listener("out", port, size, value)
            if self._clock.next_due < self._cell.limit:
                self._aim()
        except BaseException as error:
            self._fail(error)

    def _mmio_callbacks(self, base: int) -> tuple[Any, Any]:
        bus, clock, cell = self.space.mmio, self._clock, self._cell

        def read(uc: int, offset: int, size: int, data: int) -> int:
            try:
                clock.advance_to(cell.start)
                return bus.read(base + offset, size) if base + offset + size <= bus.size else (1 << 8 * size) - 1
            except BaseException as error:
                self._fail(error)
                return 0

        def write(uc: int, offset: int, size: int, value: int, data: int) -> None:
            try:
                clock.advance_to(cell.start)
                if base + offset + size <= bus.size:
                    bus.write(base + offset, size, value & ((1 << 8 * size) - 1))
                if clock.next_due < cell.limit:
                    self._aim()
            except BaseException as error:
                self._fail(error)

        return library.MMIO_READ_CALLBACK(read), library.MMIO_WRITE_CALLBACK(write)

    # -- exceptions and special instructions ----------------------------------------------------------------------
    def _on_translated(self, uc: int, block: int, before: int, data: int) -> None:
        self._translated += 1

    def _look_over(self, address: int, size: int) -> bool:
        """Look at a block before it is executed for the first time; tell whether it must be stepped through."""
        self._watch.note_code(address, size, paged=not self._shadow_tlb)
        return self._is_careful(address, size)

    def _is_careful(self, address: int, size: int) -> bool:
        if self._watch.active and at_edge(address, size):
            return True
        try:
            return self._careful is None or self._careful(peek_bytes(self, address, size), self.cpu.code_bits)
        except Fault:
            return True

    def _on_exception(self, uc: int, vector: int, data: int) -> None:
        try:
            self._old_exception.value = -1
            if self._looking:
                self._library.dll.uc_emu_stop(uc)
                return
            head = self._head
            software = bool(self._is_int.value)
            self._count("software interrupts" if software else "exceptions")
            if self.trace is not None:
                self.trace("int" if software else "exc", vector, self._where())
            error_code = self._error_code.value & 0xFFFF_FFFF
            restart = head.eip - self._int_length() if software else None
            self._refund()
            if software:
                head.eflags &= ~RF
            else:
                self._cell.retired += SPIN_TICKS
                self._cell.start = self._cell.retired
            self._raise(Event(vector, head.eip, software=software, error_code=error_code, restart_ip=restart))
        except BaseException as error:
            self._fail(error)

    def _on_invalid(self, uc: int, data: int) -> int:
        try:
            if self._looking:
                self._library.dll.uc_emu_stop(uc)
                return 1
            if self._executes_in_python():
                return 1
            length = self._int1_length()
            vector = _DEBUG if length else _INVALID_OPCODE
            self._count("exceptions")
            if self.trace is not None:
                self.trace("exc", vector, self._where())
            self._refund()
            self._cell.retired += SPIN_TICKS + length
            self._cell.start = self._cell.retired
            if length:
                self._head.eflags &= ~RF
            self._raise(Event(vector, self._head.eip + length))
        except BaseException as error:
            self._fail(error)
        return 1

    def _executes_in_python(self) -> bool:
        """Execute what processors have and Unicorn has not; tell whether it was that. It ends its block."""
        head = self._head
        try:
            length = undocumented.execute(self)
        except Fault as fault:
            self._refund()
            self._raise(Event(fault.vector, head.eip, error_code=fault.error_code))
            return True
        if length:
            self._refund()
            self._cell.retired += length
            self._cell.start = self._cell.retired
            head.eip += length
            head.hflags &= ~HF_INHIBIT_IRQ
            self._delivered = True
        return bool(length)

    def _int1_length(self) -> int:
        """Tell INT1, which Unicorn takes for an invalid opcode, from a real one: 1, and 0 for that."""
        try:
            return int(read_bytes(self, self.cpu.linear_ip, 1) == _INT1)
        except Fault:
            return 0

    def _int_length(self) -> int:
        """Tell INT n, two bytes, from INT3 and INTO, one."""
        try:
            return 2 if read_bytes(self, self.cpu.linear_ip - 2, 1) == b"\xcd" else 1
        except Fault:
            return 2

    def _raise(self, event: Event) -> None:
        """Let delivery.py bring the CPU to the handler; keep the autopsy when it cannot."""
        outcome = raise_event(self, event)
        self._delivered = True
        self._leave_block()
        if isinstance(outcome, Collapse):
            cpu = self.cpu  # a delivery that fails changes no register
            code = self._code_bytes(cpu.linear_ip)
            self._shutdown = Autopsy(outcome.chain, cpu.as_dict(), cpu.mode, code, outcome.details)
            self._library.dll.uc_emu_stop(self._uc.handle)

    def _code_bytes(self, linear: int) -> bytes:
        for length in (15, 4, 1):
            try:
                return read_bytes(self, linear, length)
            except Fault:
                continue
        return b""

    def _on_rdtsc(self, uc: int, data: int) -> int:
        try:
            now = self._charge(RDTSC_TICKS)
            self._head.regs[RAX] = now & 0xFFFF_FFFF
            self._head.regs[RDX] = now >> 32 & 0xFFFF_FFFF
        except BaseException as error:
            self._fail(error)
        return 1

    def _on_rdtscp(self, uc: int, data: int) -> int:
        self._head.regs[RCX] = 0
        return self._on_rdtsc(uc, data)

    def _on_cpuid(self, uc: int, data: int) -> int:
        regs = self._head.regs
        leaf, subleaf = regs[RAX] & 0xFFFF_FFFF, regs[RCX] & 0xFFFF_FFFF
        try:
            regs[RAX], regs[3], regs[RCX], regs[RDX] = cpuid.answer(leaf, subleaf)
        except BaseException as error:
            self._fail(error)
        return 1

    def _on_syscall(self, uc: int, data: int, unused: int) -> None:
        self._enter_kernel(lambda length: syscall(self, self._head.eip + length))

    def _on_sysenter(self, uc: int, data: int, unused: int) -> None:
        self._enter_kernel(lambda length: sysenter(self))

    def _enter_kernel(self, enter: Callable[[int], None]) -> None:
        """Do the whole transition. The engine adds the instruction's length to RIP afterwards: take it off."""
        try:
            self._count("system calls")
            length = self._fast_call_length()
            cut = self._inside_block() + length
            try:
                enter(length)
                self._cell.retired = cut
                self._leave_block()
                self._delivered = True
            except Fault as fault:
                self._refund()
                self._raise(Event(fault.vector, self._head.eip, error_code=fault.error_code))
            self._head.eip = (self._head.eip - length) & 0xFFFF_FFFF_FFFF_FFFF
        except BaseException as error:
            self._fail(error)

    def _fast_call_length(self) -> int:
        """Return how long the SYSCALL or SYSENTER at the instruction pointer is, with its prefixes."""
        linear = self.cpu.linear_ip
        for prefixes in range(14):
            try:
                if read_bytes(self, linear + prefixes, 1) == b"\x0f":
                    return prefixes + 2
            except Fault:
                break
        return 2

    # -- memory -------------------------------------------------------------------------------------------------
    def _on_fill(self, uc: int, linear: int, access: int, answer: Any, data: int) -> bool:
        """Answer a TLB miss while the guest has paging off.

        A page that was ever fetched from gets read, write and execute: its stores are slow and notice rewritten code.
        Any other page gets read and write, which is fast, and moves to the first kind at its first fetch. The TLB is
        flushed then, since the other privilege level may still hold the fast kind. fill.py repeats the answers.
        """
        if self._head.cr[0] & CR0_PG:
            self._uc.set_tlb_mode(library.TLB_CPU)
            self._shadow_tlb = False
            self._retry, self._retry_of_fetch = True, access == library.MEM_FETCH
            return False
        page = linear & 0xFFFF_F000 & self.space.a20_mask
        region = self.space.region_at(page)
        if region is not None and not region.writable:
            permissions = library.PROT_ALL  # a write is dropped on its way, since the region is read-only
        elif access == library.MEM_FETCH or self.space.a20_mask != ~0 or region is None:
            self._flush_wanted |= self._fills.kinds[page >> 12] == _DATA
            permissions = library.PROT_ALL
        else:
            permissions = self._fills.kinds[page >> 12] or _DATA
        if self._flush_wanted:
            self._cell.limit = 0
        self._fills.remember(page, permissions)
        entry = answer[0]
        entry.physical, entry.permissions = page, permissions
        return True

    def _on_invalid_memory(  # noqa: PLR0917 - Unicorn calls it so
        self, uc: int, access: int, address: int, size: int, value: int, data: int
    ) -> bool:
        """Drop a write to ROM, and let code run in empty addresses, where it meets FFh; nothing else is allowed."""
        return access in (library.MEM_WRITE_PROT, library.MEM_FETCH_PROT)

    def _choose_tlb(self) -> None:
        """Use the shadow TLB exactly while paging is off."""
        shadow = not self._head.cr[0] & CR0_PG
        if shadow and not self._shadow_tlb:
            self._fills.forget()
            self._uc.flush_code()
        if shadow != self._shadow_tlb:
            self._shadow_tlb = shadow
            self._uc.set_tlb_mode(library.TLB_VIRTUAL if shadow else library.TLB_CPU)
            self._uc.flush_tlb()

    def _host_wrote(self, start: int, end: int) -> None:
        """Drop old code. Whole pages are a restore: all of it goes, at the next run, while the guest has paging on.

        Unicorn takes the addresses to forget for linear, and would mark pages accessed in tables just restored.
        """
        if self._shadow_tlb or self._inside or (start | end) % PAGE:
            self._forget_code(start, end)
        else:
            self._stale_code = True

    def _forget_code(self, start: int, end: int) -> None:
        """Drop what was translated from memory that the host has changed."""
        if self._shadow_tlb and library.PROT_ALL not in self._fills.kinds[start // PAGE : (end - 1) // PAGE + 1]:
            return
        self._uc.remove_code(start, end)

    # -- set-up -------------------------------------------------------------------------------------------------
    def _open(self) -> None:
        self._uc.ignore_until()
        self._uc.set_buffer_size(self._code_room)
        view = self.space.memory.buffer
        self._ram_pin = (ctypes.c_char * 0).from_buffer(view)
        host = ctypes.addressof(self._ram_pin)
        del self._ram_pin
        end = 0
        for region in self.space.regions:
            self._map_hole(end, region.base)
            self._uc.map_ram(region.base, region.length, host + region.base, library.PROT_ALL)
            if not region.writable:
                self._uc.make_read_only(region.base, region.length)
            end = region.end
        self._map_hole(end, 1 << 32)
        self._map_hole(1 << 32, _HIGHEST_MMIO)

    def _map_hole(self, base: int, end: int) -> None:
        if base < end:
            read, write = self._mmio_callbacks(base)
            self._uc.map_mmio(base, end - base, read, write)

    def _add_hooks(self) -> None:
        hook = self._uc.hook
        hook(library.HOOK_BLOCK, self.thunk.callback, data=self._cell)
        hook(library.HOOK_EDGE_GENERATED, library.EDGE_CALLBACK(self._on_translated))
        hook(library.HOOK_INTR, library.INTR_CALLBACK(self._on_exception))
        hook(library.HOOK_INSN_INVALID, library.FLAG_CALLBACK(self._on_invalid))
        self._hook_holes(library.MEMORY_CALLBACK(self._on_invalid_memory))
        hook(library.HOOK_TLB_FILL, self._fills.callback, data=self._fills.cell)
        for instruction, callback in (
            (library.INSN_IN, library.IN_CALLBACK(self._on_in)),
            (library.INSN_OUT, library.OUT_CALLBACK(self._on_out)),
            (library.INSN_RDTSC, library.FLAG_CALLBACK(self._on_rdtsc)),
            (library.INSN_RDTSCP, library.FLAG_CALLBACK(self._on_rdtscp)),
            (library.INSN_CPUID, library.FLAG_CALLBACK(self._on_cpuid)),
            (library.INSN_SYSCALL, library.INTR_CALLBACK(self._on_syscall)),
            (library.INSN_SYSENTER, library.INTR_CALLBACK(self._on_sysenter)),
        ):
            hook(library.HOOK_INSN, callback, insn=instruction)
        self._uc.set_tlb_mode(library.TLB_VIRTUAL)

    def _hook_holes(self, callback: Any) -> None:
        """Hook refused accesses everywhere but in RAM: where such a hook lies, every store takes the slow path."""
        end = 0
        for region in self.space.regions:
            if region.base > end:
                self._uc.hook(library.HOOK_MEM_INVALID, callback, begin=end, end=region.base - 1)
            if not region.writable:
                self._uc.hook(library.HOOK_MEM_INVALID, callback, begin=region.base, end=region.end - 1)
            end = region.end
        self._uc.hook(library.HOOK_MEM_INVALID, callback, begin=end, end=_HIGHEST_MMIO - 1)

    def _leave_out_stop_checks(self) -> None:
        """Have no stop check behind every load and store, where the private cell for it was found."""
        if self._places.no_exit_request is not None:
            ctypes.c_ubyte.from_address(self._uc.address + self._places.no_exit_request).value = 1

    def _read_flags(self) -> int:
        cell = self._flags_cell
        self._library.dll.uc_reg_read(self._uc.handle, library.REG_EFLAGS, ctypes.byref(cell))
        return cell.value

    # -- bookkeeping --------------------------------------------------------------------------------------------
    def _count(self, kind: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def _where(self) -> str:
        head = self._head
        return f"at {head.segs[CS].selector:04X}:{head.eip:08X}"

    def _fail(self, error: BaseException) -> None:
        """Keep a host's error until the engine has returned: ctypes would swallow it here."""
        if self._failure is None:
            self._failure = error
        self._library.dll.uc_emu_stop(self._uc.handle)

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _exit(self, reason: str, ticks: int) -> Exit:
        match reason:
            case "ran":
                return Ran(ticks)
            case "halted":
                return Halted(ticks)
            case "stopped":
                return Stopped(ticks)
            case "shutdown" if self._shutdown is not None:
                return Shutdown(ticks, self._shutdown)
            case "attention":
                return Attention(ticks)
            case "breakpoint":
                return Breakpoint(ticks, self.cpu.linear_ip)
        raise EngineError(f"a run ended for no reason that is known: {reason}")


__all__ = ["FOREVER", "HF_LMA", "IO_TICKS", "RDTSC_TICKS", "Region", "UnicornEngine"]
