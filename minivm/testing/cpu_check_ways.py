"""The ways to run a checked program, and what each leaves behind.

On MiniVM's engine in one go, cut into slices, and stepped; and on the host's processor through KVM.
"""

import ctypes
from collections.abc import Callable
from types import TracebackType
from typing import Any

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import AddressSpace, Memory, Region
from minivm.core.record import record, replace
from minivm.engine.base import Attention, Halted, Ran
from minivm.engine.cpustate import GENERAL_64, SEGMENT_NAMES
from minivm.engine.segments import fill_cache, update_hflags
from minivm.engine.state import CpuState
from minivm.engine.unicorn import UnicornEngine
from minivm.testing.cpu_check_encode import Chance
from minivm.testing.cpu_check_start import FLAGS, GDT, IDT, MODES, RAM_BYTES, TABLES, TASK, TSS, Mode, Start, image
from minivm.testing.kvm import KvmExit, SecondOpinion

LONGEST_TICKS = 200_000
"""A program of this check takes a few thousand; one that does not end is cut here, in every way."""
_GDT_LIMIT, _IDT_ENTRIES = 0x5F, 256
_EMPTY_TAG, _ALL_EMPTY = 3, 0xFFFF
_FPU_CONTROL, _MXCSR = 0x37F, 0x1F80  # as after FNINIT and power-on (SDM vol. 1, 8.1.5 and 10.2.3)
_LEAST_MEMORY = 1 << 20


@record
class Outcome:
    """What a program left: how it ended ("halted", "shutdown", "endless", or why KVM gave up), registers, memory.

    `registers` has the general registers, RIP, RFLAGS, CR2, the selectors, XMM0 to XMM15, MXCSR, and of the FPU its
    control and status words, which registers are empty, and what the others hold. `position` is None but in MiniVM.
    """

    ended: str
    registers: dict[str, int]
    ram: bytes
    position: int | None = None

    @property
    def declined(self) -> bool:
        """True where the program was not run to its end."""
        return self.ended not in ("halted", "shutdown", "endless")


Way = Callable[[Mode, Start, bytes], Outcome]
"""Runs code from a start."""


# -- on MiniVM's engine -----------------------------------------------------------------------------------------------
class EngineWays:
    """One engine, which begins each program afresh; use it as a context manager."""

    def __init__(self) -> None:
        self._memory = Memory(_LEAST_MEMORY)
        space = AddressSpace(self._memory, Bus("memory", 1 << 32), [Region(0, RAM_BYTES, True)])
        self._engine = UnicornEngine(space, Bus("port", 1 << 16), Clock())
        self._states: dict[str, CpuState] = {}

    def __enter__(self) -> "EngineWays":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine and its memory."""
        self._engine.close()
        self._memory.close()

    def in_one_go(self, mode: Mode, start: Start, code: bytes) -> Outcome:
        """Run to the end without a stop."""
        self._begin(mode, start, code)
        while self._engine.position < LONGEST_TICKS:
            ended = self._engine.run(LONGEST_TICKS)
            if not isinstance(ended, Ran | Attention):
                return self._outcome(ended)
        return self._outcome(None)

    def sliced(self, mode: Mode, start: Start, code: bytes) -> Outcome:
        """Cut the run after random ticks, the same for the same registers, so also for part of a program."""
        chance = Chance(sum(start.general))
        self._begin(mode, start, code)
        while self._engine.position < LONGEST_TICKS:
            ended = self._engine.run(self._engine.position + 1 + chance.below(40))
            if not isinstance(ended, Ran | Attention):
                return self._outcome(ended)
        return self._outcome(None)

    def stepped(self, mode: Mode, start: Start, code: bytes) -> Outcome:
        """Execute one instruction after the other."""
        self._begin(mode, start, code)
        while self._engine.position < LONGEST_TICKS:
            ended = self._engine.step()
            if not isinstance(ended, Ran | Attention):
                return self._outcome(ended)
        return self._outcome(None)

    def _begin(self, mode: Mode, start: Start, code: bytes) -> None:
        self._memory.write(0, image(mode, start, code))
        state = self._states.get(mode.name)
        if state is None:
            state = self._states[mode.name] = self._enter(mode)
        general: dict[str, Any] = dict(zip(GENERAL_64, start.general, strict=True))
        xmm = tuple(value.to_bytes(16, "little") for value in start.xmm)
        fpu = replace(state.fpu, xmm=xmm, control=_FPU_CONTROL, status=0, tags=_ALL_EMPTY)
        self._engine.restore(replace(state, **general, fpu=fpu))

    def _enter(self, mode: Mode) -> CpuState:
        engine = self._engine
        engine.restore(self._states.setdefault("power-on", engine.state()))
        head = engine.cpu.head
        engine.efer = mode.efer
        engine.set_control(4, mode.cr4)
        engine.set_control(3, TABLES if mode.long else 0)
        engine.set_control(0, mode.cr0)
        fill_cache(head.gdt, 0, GDT, _GDT_LIMIT, 0)
        fill_cache(head.idt, 0, IDT if mode.protected else 0, _idt_limit(mode), 0)
        fill_cache(head.tr, TASK, TSS, 0x67, 0x8B00)
        for index, segment in enumerate(mode.segments):
            fill_cache(head.segs[index], segment.selector, segment.base, segment.limit, segment.flags)
        head.hflags = head.hflags & ~3 | mode.cpl
        update_hflags(head)
        engine.cpu.rflags = FLAGS
        head.eip = mode.start_ip
        return engine.state()

    def _outcome(self, ended: object) -> Outcome:
        engine, state = self._engine, self._engine.state()
        reason = "endless" if ended is None else "halted" if isinstance(ended, Halted) else "shutdown"
        fpu = state.fpu
        registers = {name: int(getattr(state, name)) for name in (*GENERAL_64, "rip", "rflags", "cr2")}
        registers |= {name: getattr(state, name).selector for name in SEGMENT_NAMES}
        registers |= {f"xmm{index}": int.from_bytes(data, "little") for index, data in enumerate(fpu.xmm)}
        top = fpu.status >> 11 & 7
        full = sum(1 << index for index in range(8) if fpu.tags >> 2 * index & 3 != _EMPTY_TAG)
        stack = [int.from_bytes(fpu.registers[(index + top) & 7], "little") for index in range(8)]
        registers |= _fpu_registers(fpu.control, fpu.status, full, stack) | {"mxcsr": fpu.mxcsr}
        return Outcome(reason, registers, self._memory.read(0, RAM_BYTES), engine.position)


def _idt_limit(mode: Mode) -> int:
    return _IDT_ENTRIES * (16 if mode.long else 8 if mode.protected else 4) - 1


def _fpu_registers(control: int, status: int, full: int, stack: list[int]) -> dict[str, int]:
    """Return the FPU's registers by name; one that is empty holds nothing that counts."""
    top = status >> 11 & 7
    held = {f"st{index}": value if full >> ((index + top) & 7) & 1 else 0 for index, value in enumerate(stack)}
    return {"fcw": control, "fsw": status, "full": full} | held


# -- on the host's processor ------------------------------------------------------------------------------------------
class KvmWay:
    """The host's processor; use it as a context manager. Raises `KvmError` where KVM cannot be used."""

    def __init__(self) -> None:
        self._cpu = SecondOpinion(RAM_BYTES)

    def __enter__(self) -> "KvmWay":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cpu.close()

    def __call__(self, mode: Mode, start: Start, code: bytes) -> Outcome:
        """Run code from a start."""
        cpu = self._cpu
        cpu.ram[:] = image(mode, start, code)
        self._set_system(mode)
        ctypes.memset(ctypes.addressof(cpu.regs), 0, ctypes.sizeof(cpu.regs))
        for name, value in zip(GENERAL_64, start.general, strict=True):
            setattr(cpu.regs, name, value)
        cpu.regs.rip, cpu.regs.rflags = mode.start_ip, FLAGS
        ctypes.memset(ctypes.addressof(cpu.fpu), 0, ctypes.sizeof(cpu.fpu))
        cpu.fpu.control, cpu.fpu.mxcsr = _FPU_CONTROL, _MXCSR
        for index, value in enumerate(start.xmm):
            cpu.fpu.xmm[index][:] = value.to_bytes(16, "little")
        cpu.load()
        return self._outcome(cpu.run())

    def _set_system(self, mode: Mode) -> None:
        sregs = self._cpu.sregs
        for name, segment in zip(SEGMENT_NAMES, mode.segments, strict=True):
            getattr(sregs, name).set(segment.selector, segment.base, segment.limit, segment.flags)
        sregs.tr.set(TASK, TSS, 0x67, 0x8B00)
        sregs.ldt.set(0, 0, 0, 0)
        sregs.gdt.base, sregs.gdt.limit = GDT, _GDT_LIMIT
        sregs.idt.base, sregs.idt.limit = IDT if mode.protected else 0, _idt_limit(mode)
        sregs.cr0, sregs.cr2, sregs.cr4, sregs.efer = mode.cr0, 0, mode.cr4, mode.efer
        sregs.cr3 = TABLES if mode.long else 0

    def _outcome(self, ended: KvmExit) -> Outcome:
        cpu = self._cpu
        sregs, fpu = cpu.sregs, cpu.fpu
        reason = "halted" if ended.reason == "hlt" else f"{ended.reason} {ended.detail}".strip()
        registers = {name: getattr(cpu.regs, name) for name in (*GENERAL_64, "rip", "rflags")} | {"cr2": sregs.cr2}
        registers |= {name: getattr(sregs, name).selector for name in SEGMENT_NAMES}
        registers |= {f"xmm{index}": int.from_bytes(bytes(fpu.xmm[index]), "little") for index in range(16)}
        stack = [int.from_bytes(bytes(fpu.st[index])[:10], "little") for index in range(8)]
        registers |= _fpu_registers(fpu.control, fpu.status, fpu.tags, stack) | {"mxcsr": fpu.mxcsr}
        return Outcome(reason, registers, bytes(cpu.ram))


__all__ = ["MODES", "EngineWays", "KvmWay", "Outcome", "Way"]
