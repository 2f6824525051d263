"""A second opinion on a few instructions: the host's own processor, asked through `/dev/kvm`.

Not the KVM engine: no devices, no interrupts, no time. A program of a few instructions is put into RAM, registers are
set, and the processor runs it until HLT, a port access or its own collapse. The interface is Linux's (kernel.org,
"The Definitive KVM API Documentation", whose names the constants here have).
"""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import c_uint8, c_uint16, c_uint32, c_uint64
from struct import unpack_from
from types import TracebackType

from minivm.core.record import record
from minivm.errors import EngineError

DEVICE = "/dev/kvm"
LONGEST_SECONDS = 0.5
"""Of the host's time for one program; each needs less than a millisecond."""

KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_GET_VCPU_MMAP_SIZE, KVM_CREATE_VCPU = 0xAE00, 0xAE01, 0xAE04, 0xAE41
KVM_SET_USER_MEMORY_REGION, KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR, KVM_RUN = (
    0x4020_AE46, 0xAE47, 0x4008_AE48, 0xAE80,
)  # fmt: skip
KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS = 0x8090_AE81, 0x4090_AE82, 0x8138_AE83, 0x4138_AE84
KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_GET_XSAVE, KVM_SET_XSAVE = (
    0x8040_AE9F, 0x4040_AEA0, 0x9000_AEA4, 0x5000_AEA5,
)  # fmt: skip
KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2 = 0xC008_AE05, 0x4008_AE90
_API_VERSION = 12
_FPU_AND_SSE = 3
_IMMEDIATE_EXIT = 1
_MOST_PIECES = 64  # of an access: PUSHA has eight, FXSAVE more
_CPUID_ENTRIES, _CPUID_ENTRY_BYTES = 256, 40
_HOLE = 0x7FFB_C000  # where KVM may keep four pages of its own, outside the guest's RAM

EXIT_REASONS = {
    0: "unknown", 1: "exception", 2: "io", 4: "debug", 5: "hlt", 6: "mmio", 8: "shutdown", 9: "fail-entry",
    10: "interrupted", 17: "internal-error",
}  # fmt: skip


class KvmError(EngineError):
    """KVM is missing, not permitted, or refused a state; the message says which."""


class Regs(ctypes.Structure):
    """`struct kvm_regs`: the general registers, in KVM's order."""

    _fields_ = tuple(
        (name, c_uint64)
        for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12", "r13",
                     "r14", "r15", "rip", "rflags")
    )  # fmt: skip


class Segment(ctypes.Structure):
    """`struct kvm_segment`: a selector with its hidden part, the descriptor's bits one by one."""

    _fields_ = (
        ("base", c_uint64), ("limit", c_uint32), ("selector", c_uint16),
        *((name, c_uint8) for name in ("type", "present", "dpl", "db", "s", "l", "g", "avl", "unusable", "padding")),
    )  # fmt: skip
    base: int
    limit: int
    selector: int

    def set(self, selector: int, base: int, limit: int, flags: int) -> None:
        """Take a segment as `SegmentCache` has it: `flags` is the descriptor's high word."""
        self.selector, self.base, self.limit = selector, base, limit
        self.type, self.s, self.dpl, self.present = flags >> 8 & 15, flags >> 12 & 1, flags >> 13 & 3, flags >> 15 & 1
        self.avl, self.l, self.db, self.g = flags >> 20 & 1, flags >> 21 & 1, flags >> 22 & 1, flags >> 23 & 1
        self.unusable = not self.present


class Table(ctypes.Structure):
    """`struct kvm_dtable`: GDTR or IDTR."""

    _fields_ = (("base", c_uint64), ("limit", c_uint16), ("padding", c_uint16 * 3))
    base: int
    limit: int


class Sregs(ctypes.Structure):
    """`struct kvm_sregs`: segments, tables, control registers."""

    _fields_ = (
        *((name, Segment) for name in ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")),
        ("gdt", Table), ("idt", Table),
        *((name, c_uint64) for name in ("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base")),
        ("interrupt_bitmap", c_uint64 * 4),
    )  # fmt: skip


class Fpu(ctypes.Structure):
    """`struct kvm_xsave`: the area that XSAVE fills (SDM vol. 1, section 13.4), as far as the FPU and SSE go.

    `KVM_SET_FPU` will not do: what it sets is lost while the processor holds the FPU and SSE for unused.
    """

    _fields_ = (
        ("control", c_uint16), ("status", c_uint16), ("tags", c_uint8), ("reserved", c_uint8), ("opcode", c_uint16),
        ("ip", c_uint64), ("dp", c_uint64), ("mxcsr", c_uint32), ("mxcsr_mask", c_uint32), ("st", c_uint8 * 16 * 8),
        ("xmm", c_uint8 * 16 * 16), ("unused", c_uint8 * 96), ("in_use", c_uint64), ("rest", c_uint8 * 3576),
    )  # fmt: skip


class _MemoryRegion(ctypes.Structure):
    _fields_ = (
        ("slot", c_uint32), ("flags", c_uint32), ("physical", c_uint64), ("size", c_uint64), ("host", c_uint64),
    )  # fmt: skip


@record
class KvmExit:
    """Why the processor came back: one of `EXIT_REASONS`, or "timeout"; `detail` says more about an internal error."""

    reason: str
    detail: str = ""


def unavailable() -> str | None:
    """Return in a few words why KVM cannot be used here, or None where it can."""
    try:
        with SecondOpinion(mmap.PAGESIZE):
            return None
    except KvmError as error:
        return str(error)


class SecondOpinion:
    """One virtual machine with `size_bytes` of RAM at 0 and one processor; use it as a context manager.

    `ram` is its memory, `regs`, `sregs` and `fpu` what `load` puts into the processor and `fetch` takes out of it.
    Raises `KvmError` when KVM is missing, not permitted, or too old.
    """

    def __init__(self, size_bytes: int) -> None:
        self._files: list[int] = []
        self.regs, self.sregs, self.fpu = Regs(), Sregs(), Fpu()
        self._events = (c_uint8 * 64)()
        try:
            self._open(size_bytes)
        except OSError as error:
            self.close()
            raise KvmError(f"{DEVICE}: {error.strerror or error}") from error

    def _open(self, size_bytes: int) -> None:
        system = self._keep(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
        version = fcntl.ioctl(system, KVM_GET_API_VERSION, 0)
        if version != _API_VERSION:
            raise KvmError(f"{DEVICE}: speaks version {version} of KVM's interface, not {_API_VERSION}")
        vm = self._keep(fcntl.ioctl(system, KVM_CREATE_VM, 0))
        with suppress(OSError):  # only Intel's processors want these
            fcntl.ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, _HOLE.to_bytes(8, "little"))
            fcntl.ioctl(vm, KVM_SET_TSS_ADDR, _HOLE + 0x1000)
        self.ram = mmap.mmap(-1, size_bytes)
        host = ctypes.addressof(ctypes.c_char.from_buffer(self.ram))
        fcntl.ioctl(vm, KVM_SET_USER_MEMORY_REGION, bytes(_MemoryRegion(0, 0, 0, size_bytes, host)))
        self._cpu = self._keep(fcntl.ioctl(vm, KVM_CREATE_VCPU, 0))
        self._run = mmap.mmap(self._cpu, fcntl.ioctl(system, KVM_GET_VCPU_MMAP_SIZE, 0))
        self._show_host_features(system)
        fcntl.ioctl(self._cpu, KVM_GET_SREGS, self.sregs)
        fcntl.ioctl(self._cpu, KVM_GET_VCPU_EVENTS, self._events)

    def _keep(self, file: int) -> int:
        self._files.append(file)
        return file

    def _show_host_features(self, system: int) -> None:
        """Let CPUID show what the host's processor has: without, KVM refuses long mode."""
        buffer = bytearray(8 + _CPUID_ENTRIES * _CPUID_ENTRY_BYTES)
        buffer[0:4] = _CPUID_ENTRIES.to_bytes(4, "little")
        fcntl.ioctl(system, KVM_GET_SUPPORTED_CPUID, buffer)
        fcntl.ioctl(self._cpu, KVM_SET_CPUID2, buffer)

    def __enter__(self) -> "SecondOpinion":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give everything back."""
        while self._files:
            os.close(self._files.pop())

    # -- one program --------------------------------------------------------------------------------------------------
    def load(self) -> None:
        """Put `regs`, `sregs` and `fpu` into the processor, with no exception left over from the last program."""
        try:
            fcntl.ioctl(self._cpu, KVM_SET_VCPU_EVENTS, self._events)
            fcntl.ioctl(self._cpu, KVM_SET_SREGS, self.sregs)
            fcntl.ioctl(self._cpu, KVM_SET_REGS, self.regs)
            self.fpu.in_use = _FPU_AND_SSE
            fcntl.ioctl(self._cpu, KVM_SET_XSAVE, self.fpu)
        except OSError as error:
            raise KvmError(f"{DEVICE}: refuses this state of the processor: {error.strerror}") from error

    def run(self) -> KvmExit:
        """Run until the processor comes back, and take its state out of it."""
        with _limited():
            reason = self._enter()
        detail = f"suberror {unpack_from('<I', self._run, 32)[0]}" if reason == "internal-error" else ""
        fcntl.ioctl(self._cpu, KVM_GET_REGS, self.regs)
        fcntl.ioctl(self._cpu, KVM_GET_SREGS, self.sregs)
        fcntl.ioctl(self._cpu, KVM_GET_XSAVE, self.fpu)
        if reason in {"mmio", "io"}:
            self._finish_access()
        return KvmExit(reason, detail)

    def _enter(self) -> str:
        try:
            fcntl.ioctl(self._cpu, KVM_RUN, 0)
        except OSError as error:
            return "timeout" if error.errno == errno.EINTR else f"error {error.errno}"
        return EXIT_REASONS.get(unpack_from("<I", self._run, 8)[0], "unknown")

    def _finish_access(self) -> None:
        """Let KVM end the instruction whose access came here: it would do so in the next program."""
        self._run[_IMMEDIATE_EXIT] = 1
        for _ in range(_MOST_PIECES):
            if self._enter() != "mmio":
                break
        self._run[_IMMEDIATE_EXIT] = 0


@contextmanager
def _limited() -> Iterator[None]:
    """Interrupt the call inside after `LONGEST_SECONDS`; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
