"""What Unicorn calls for exceptions and for instructions that it leaves to its host.

Nothing goes through the interrupt table by itself: Unicorn calls `_on_exception` with a vector, and delivery.py, which
is written to be read, does what the processor would.
"""

import ctypes
from collections.abc import Callable

from minivm.engine import cpuid, library, undocumented
from minivm.engine.base import Autopsy
from minivm.engine.booking import RDTSC_TICKS, SPIN_TICKS, Booking
from minivm.engine.cpustate import CS, HF_INHIBIT_IRQ, RAX, RBX, RCX, RDX, RF, CpuHead
from minivm.engine.delivery import Collapse, Event, Fault, raise_event
from minivm.engine.fastcalls import syscall, sysenter
from minivm.engine.paging import Processor, read_bytes
from minivm.engine.probes import Layout

_DEBUG, _INVALID_OPCODE, _GENERAL_PROTECTION = 1, 6, 13
_INT1 = b"\xf1"

Trace = Callable[[str, int, str], None]
"""Told of ("int" | "exc" | "irq", vector, words about it)."""


class ExceptionFields:
    """QEMU's own words about the exception that it reports."""

    def __init__(self, head: CpuHead, places: Layout) -> None:
        at = ctypes.addressof(head)
        self.error_code = ctypes.c_int32.from_address(at + places.error_code)
        self.is_int = ctypes.c_int32.from_address(at + places.exception_is_int)
        self.old_exception = ctypes.c_int32.from_address(at + places.old_exception)


class Traps:
    """The exceptions, interrupts and special instructions of one processor.

    `delivered` is set by each of them that went elsewhere than to the next instruction; `shutdown` keeps the autopsy
    of a processor that gave up. While `looking`, nothing is executed, and an exception only ends the look.
    """

    def __init__(self, processor: Processor, uc: library.Uc, booking: Booking, fields: ExceptionFields) -> None:
        self.trace: Trace | None = None
        self.counts: dict[str, int] = {}
        self.delivered = False
        self.looking = False
        self.shutdown: Autopsy | None = None
        self.failure: BaseException | None = None
        self._processor = processor
        self._head = processor.cpu.head
        self._uc = uc
        self._booking = booking
        self._error_code, self._is_int, self._old_exception = fields.error_code, fields.is_int, fields.old_exception

    def add_hooks(self) -> None:
        """Have Unicorn call for all of this."""
        hook = self._uc.hook
        hook(library.HOOK_INTR, library.INTR_CALLBACK(self._on_exception))
        hook(library.HOOK_INSN_INVALID, library.FLAG_CALLBACK(self._on_invalid))
        for instruction, callback in (
            (library.INSN_RDTSC, library.FLAG_CALLBACK(self._on_rdtsc)),
            (library.INSN_RDTSCP, library.FLAG_CALLBACK(self._on_rdtscp)),
            (library.INSN_CPUID, library.FLAG_CALLBACK(self._on_cpuid)),
            (library.INSN_SYSCALL, library.INTR_CALLBACK(self._on_syscall)),
            (library.INSN_SYSENTER, library.INTR_CALLBACK(self._on_sysenter)),
        ):
            hook(library.HOOK_INSN, callback, insn=instruction)

    # -- between two instructions -----------------------------------------------------------------------------------
    def interrupt(self, vector: int) -> None:
        """Deliver a hardware interrupt or an NMI."""
        self._count("interrupts")
        self._head.eflags &= ~RF
        self._raise(Event(vector, self._head.eip, hardware=True))

    def report(self, status: int) -> None:
        """Turn an error of the engine that has no meaning on a PC into #GP."""
        if self.trace is not None:
            name = self._uc.library.dll.uc_strerror(status).decode()
            self.trace("exc", _GENERAL_PROTECTION, f"the engine reports: {name}")
        self._booking.refund()
        self._booking.spend(SPIN_TICKS)
        self._raise(Event(_GENERAL_PROTECTION, self._head.eip, error_code=0))

    def where(self) -> str:
        """Return CS:IP in words."""
        head = self._head
        return f"at {head.segs[CS].selector:04X}:{head.eip:08X}"

    def fail(self, error: BaseException) -> None:
        """Keep a host's error until the engine has returned: ctypes would swallow it here."""
        if self.failure is None:
            self.failure = error
        self._stop()

    def raise_failure(self) -> None:
        """Raise what `fail` kept."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    # -- exceptions -------------------------------------------------------------------------------------------------
    def _on_exception(self, uc: int, vector: int, data: int) -> None:
        try:
            self._old_exception.value = -1
            if self.looking:
                self._stop()
            elif self._is_int.value:
                self._software_interrupt(vector)
            else:
                self._exception(vector)
        except BaseException as error:
            self.fail(error)

    def _software_interrupt(self, vector: int) -> None:
        head, error_code = self._head, self._error_code.value & 0xFFFF_FFFF
        self._tell("software interrupts", "int", vector)
        restart = head.eip - self._int_length()
        self._booking.refund()
        head.eflags &= ~RF
        self._raise(Event(vector, head.eip, software=True, error_code=error_code, restart_ip=restart))

    def _exception(self, vector: int) -> None:
        self._tell("exceptions", "exc", vector)
        self._booking.refund()
        self._booking.spend(SPIN_TICKS)
        self._raise(Event(vector, self._head.eip, error_code=self._error_code.value & 0xFFFF_FFFF))

    def _on_invalid(self, uc: int, data: int) -> int:
        try:
            if self.looking:
                self._stop()
            elif not self._executes_in_python():
                self._invalid_opcode()
        except BaseException as error:
            self.fail(error)
        return 1

    def _invalid_opcode(self) -> None:
        """Raise #UD, or #DB behind INT1, which Unicorn takes for an invalid opcode."""
        head, length = self._head, self._int1_length()
        vector = _DEBUG if length else _INVALID_OPCODE
        self._tell("exceptions", "exc", vector)
        self._booking.refund()
        self._booking.spend(SPIN_TICKS + length)
        if length:
            head.eflags &= ~RF
        self._raise(Event(vector, head.eip + length))

    def _executes_in_python(self) -> bool:
        """Execute what processors have and Unicorn has not; tell whether it was that. It ends its block."""
        head = self._head
        try:
            length = undocumented.execute(self._processor)
        except Fault as fault:
            self._fault(fault)
            return True
        if length:
            self._booking.refund()
            self._booking.spend(length)
            head.eip += length
            head.hflags &= ~HF_INHIBIT_IRQ
            self.delivered = True
        return bool(length)

    def _int1_length(self) -> int:
        """Tell INT1 from a real invalid opcode: its length, 1, and 0 for that."""
        try:
            return int(read_bytes(self._processor, self._processor.cpu.linear_ip, 1) == _INT1)
        except Fault:
            return 0

    def _int_length(self) -> int:
        """Tell INT n, two bytes, from INT3 and INTO, one."""
        try:
            return 2 if read_bytes(self._processor, self._processor.cpu.linear_ip - 2, 1) == b"\xcd" else 1
        except Fault:
            return 2

    def _fault(self, fault: Fault) -> None:
        """Raise the exception that an instruction done in Python ended with."""
        self._booking.refund()
        self._raise(Event(fault.vector, self._head.eip, error_code=fault.error_code))

    def _raise(self, event: Event) -> None:
        """Let delivery.py bring the CPU to the handler; keep the autopsy when it cannot."""
        outcome = raise_event(self._processor, event)
        self.delivered = True
        self._booking.leave_block()
        if isinstance(outcome, Collapse):
            cpu = self._processor.cpu  # a delivery that fails changes no register
            code = self._code_bytes(cpu.linear_ip)
            self.shutdown = Autopsy(outcome.chain, cpu.as_dict(), cpu.mode, code, outcome.details)
            self._stop()

    def _code_bytes(self, linear: int) -> bytes:
        for length in (15, 4, 1):
            try:
                return read_bytes(self._processor, linear, length)
            except Fault:
                continue
        return b""

    # -- special instructions ---------------------------------------------------------------------------------------
    def _on_rdtsc(self, uc: int, data: int) -> int:
        try:
            now = self._booking.charge(RDTSC_TICKS)
            self._head.regs[RAX] = now & 0xFFFF_FFFF
            self._head.regs[RDX] = now >> 32 & 0xFFFF_FFFF
        except BaseException as error:
            self.fail(error)
        return 1

    def _on_rdtscp(self, uc: int, data: int) -> int:
        self._head.regs[RCX] = 0
        return self._on_rdtsc(uc, data)

    def _on_cpuid(self, uc: int, data: int) -> int:
        regs = self._head.regs
        leaf, subleaf = regs[RAX] & 0xFFFF_FFFF, regs[RCX] & 0xFFFF_FFFF
        try:
            regs[RAX], regs[RBX], regs[RCX], regs[RDX] = cpuid.answer(leaf, subleaf)
        except BaseException as error:
            self.fail(error)
        return 1

    def _on_syscall(self, uc: int, data: int, unused: int) -> None:
        self._enter_kernel(lambda length: syscall(self._processor, self._head.eip + length))

    def _on_sysenter(self, uc: int, data: int, unused: int) -> None:
        self._enter_kernel(lambda length: sysenter(self._processor))

    def _enter_kernel(self, enter: Callable[[int], None]) -> None:
        """Do the whole transition. The engine adds the instruction's length to RIP afterwards: take it off."""
        try:
            self._count("system calls")
            length = self._fast_call_length()
            behind = self._booking.inside_block() + length
            try:
                enter(length)
                self._booking.cut_at(behind)
                self.delivered = True
            except Fault as fault:
                self._fault(fault)
            self._head.eip = (self._head.eip - length) & 0xFFFF_FFFF_FFFF_FFFF
        except BaseException as error:
            self.fail(error)

    def _fast_call_length(self) -> int:
        """Return how long the SYSCALL or SYSENTER at the instruction pointer is, with its prefixes."""
        linear = self._processor.cpu.linear_ip
        for prefixes in range(14):
            try:
                if read_bytes(self._processor, linear + prefixes, 1) == b"\x0f":
                    return prefixes + 2
            except Fault:
                break
        return 2

    # -- bookkeeping ------------------------------------------------------------------------------------------------
    def _stop(self) -> None:
        self._uc.library.dll.uc_emu_stop(self._uc.handle)

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _tell(self, counted: str, kind: str, vector: int) -> None:
        self.counts[counted] = self.counts.get(counted, 0) + 1
        if self.trace is not None:
            self.trace(kind, vector, self.where())
