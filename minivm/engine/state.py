"""Everything that the processor remembers, by name: taken out of a Unicorn engine and put back into one.

Most of it lies in the live structure (cpustate.py); the FPU, SSE and the model-specific registers are asked for by
number. Beside the registers an engine remembers where it stands: ticks, and the block that a step has entered. So an
engine that is restored between any two instructions goes on exactly as the one that was saved.
"""

import ctypes
from typing import TYPE_CHECKING, Any

from minivm.core.record import record, replace
from minivm.engine import library
from minivm.engine.base import Autopsy
from minivm.engine.cpustate import IF, CpuHead, SegmentCache

if TYPE_CHECKING:
    from minivm.engine.unicorn import UnicornEngine

# Unicorn's numbers for registers that only a snapshot looks at
REG_DR0, REG_DR6, REG_DR7, REG_FP0 = 66, 72, 73, 82
REG_FIP, REG_FCS, REG_FDP, REG_FDS, REG_FOP = 254, 255, 256, 257, 258

_MACHINE_CHECK = {0x400 + bank * 4 + kind: (0 if kind else (1 << 64) - 1) for bank in range(10) for kind in range(4)}
MSRS: dict[int, int] = {
    0x174: 0, 0x175: 0, 0x176: 0, 0x17A: 0, 0x17B: (1 << 64) - 1, 0x1A0: 0,
    **dict.fromkeys(range(0x200, 0x210), 0), **dict.fromkeys((0x250, 0x258, 0x259), 0),
    **dict.fromkeys(range(0x268, 0x270), 0), 0x277: 0x0007_0406_0007_0406, 0x2FF: 0, **_MACHINE_CHECK, 0xD90: 0,
    **dict.fromkeys(range(0xC000_0081, 0xC000_0085), 0), 0xC000_0102: 0, 0xC000_0103: 0, 0xC001_0117: 0,
}  # fmt: skip
"""Every model-specific register that Unicorn stores, with its value at power-on; EFER and FS's and GS's base have their
own places. SYSENTER, machine check, MISC_ENABLE, MTRRs, PAT, BNDCFGS, SYSCALL, TSC_AUX, VM_HSAVE_PA (SDM vol. 4)."""


@record
class SegmentState:
    """A segment or table register with its hidden part; `flags` is the descriptor's high word."""

    selector: int
    base: int
    limit: int
    flags: int


@record
class FpuState:
    """The FPU and SSE: `registers` are R0 to R7 (not ST(i)), 10 bytes each, `xmm` XMM0 to XMM15, 16 bytes each."""

    control: int
    status: int
    tags: int
    opcode: int
    instruction_pointer: int
    instruction_segment: int
    data_pointer: int
    data_segment: int
    mxcsr: int
    registers: tuple[bytes, ...]
    xmm: tuple[bytes, ...]


@record
class BlockState:
    """The block of code that is being executed: where it is, and the tick at which it began.

    `entered` is true when a step has stopped inside it. Then `ip`, `resume` (RF) and `mode` (hflags, the bits of EFLAGS
    that translated code depends on, CS's base) are those with which the block was looked up.
    """

    address: int
    size: int
    start: int
    entered: bool
    ip: int
    resume: int
    mode: tuple[int, int, int]


@record
class CpuState:
    """The whole processor between two instructions.

    `hflags` and `hflags2` are QEMU's: mode bits that follow from the registers, and the shadow of STI and MOV SS
    (hflags bit 3) and the NMI mask (hflags2 bit 2), which do not. `msrs` has (index, value) of those that are not as
    at power-on. `position` counts ticks; `exits` how often the guest needed the VMM.
    """

    rax: int
    rcx: int
    rdx: int
    rbx: int
    rsp: int
    rbp: int
    rsi: int
    rdi: int
    r8: int
    r9: int
    r10: int
    r11: int
    r12: int
    r13: int
    r14: int
    r15: int
    rip: int
    rflags: int
    hflags: int
    hflags2: int
    es: SegmentState
    cs: SegmentState
    ss: SegmentState
    ds: SegmentState
    fs: SegmentState
    gs: SegmentState
    ldt: SegmentState
    tr: SegmentState
    gdt: SegmentState
    idt: SegmentState
    cr0: int
    cr2: int
    cr3: int
    cr4: int
    cr8: int
    dr0: int
    dr1: int
    dr2: int
    dr3: int
    dr6: int
    dr7: int
    efer: int
    msrs: tuple[tuple[int, int], ...]
    fpu: FpuState
    a20_open: bool
    intr: bool
    nmi_pending: bool
    retired: int
    block: BlockState
    exits: tuple[tuple[str, int], ...]
    port_reads: int
    port_writes: int
    shutdown: Autopsy | None


_GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
            "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")  # fmt: skip
_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
_TABLES = ("ldt", "tr", "gdt", "idt")
_CONTROLS = (0, 2, 3, 4, 8)
_DEBUGS = (0, 1, 2, 3, 6, 7)
_DR6_RESET = 0xFFFF_0FF0
_DR7, _DR7_ENABLES, _DR7_OFF = 7, 0xFF, 0x400
_NUMBERS = {
    "control": (library.REG_FPCW, 2), "status": (library.REG_FPSW, 2), "tags": (library.REG_FPTAG, 2),
    "opcode": (REG_FOP, 2), "instruction_pointer": (REG_FIP, 8), "instruction_segment": (REG_FCS, 2),
    "data_pointer": (REG_FDP, 8), "data_segment": (REG_FDS, 2), "mxcsr": (library.REG_MXCSR, 4),
}  # fmt: skip


# -- taking -----------------------------------------------------------------------------------------------------
def take(engine: "UnicornEngine") -> CpuState:
    """Return what `engine` remembers; only while it is not running."""
    head, cell = engine._head, engine._cell
    values: dict[str, object] = {name: head.regs[index] for index, name in enumerate(_GENERAL)}
    values |= {name: _segment(head.segs[index]) for index, name in enumerate(_SEGMENTS)}
    values |= {name: _segment(getattr(head, name)) for name in _TABLES}
    values |= {f"cr{index}": head.cr[index] for index in _CONTROLS}
    values |= {f"dr{index}": _number(engine, REG_DR0 + index, 8) for index in _DEBUGS}
    return CpuState(
        **values,  # type: ignore[arg-type]
        rip=head.eip, rflags=engine.cpu.rflags, hflags=head.hflags, hflags2=head.hflags2, efer=engine.efer,
        msrs=tuple((index, value) for index, usual in MSRS.items() if (value := engine.msr(index)) != usual),
        fpu=_take_fpu(engine), a20_open=head.a20_mask == -1, intr=bool(cell.window),
        nmi_pending=engine._runs.nmi_pending, retired=cell.retired, block=_take_block(engine),
        exits=tuple(sorted(engine._traps.counts.items())),
        port_reads=engine._accesses.reads, port_writes=engine._accesses.writes, shutdown=engine._traps.shutdown,
    )  # fmt: skip


def _segment(cache: SegmentCache) -> SegmentState:
    return SegmentState(cache.selector, cache.base, cache.limit, cache.flags)


def _number(engine: "UnicornEngine", register: int, size_bytes: int) -> int:
    return int.from_bytes(engine.raw_register(register, size_bytes), "little")


def _take_fpu(engine: "UnicornEngine") -> FpuState:
    return FpuState(
        **{name: _number(engine, register, size) for name, (register, size) in _NUMBERS.items()},
        registers=tuple(engine.raw_register(REG_FP0 + index, 10) for index in range(8)),
        xmm=tuple(engine.raw_register(library.REG_XMM0 + index, 16) for index in range(16)),
    )


def _take_block(engine: "UnicornEngine") -> BlockState:
    """Return where the engine stands; of a block that is over, only what may come again (a cut-off rest)."""
    cell, entered = engine._cell, engine._booking.mid_block
    looked_up = engine._steps.looked_up if entered else (0, 0, (0, 0, 0))
    return BlockState(cell.address, cell.size, cell.start, entered, *looked_up)


def without_history(state: Any) -> Any:
    """Return a state without what only tells how the processor came there: counters, and blocks that are over."""
    if not isinstance(state, CpuState):
        return state
    kept = state.block if state.block.entered else None
    return replace(state, block=kept, exits=(), port_reads=0, port_writes=0)


# -- putting back -----------------------------------------------------------------------------------------------
def put(engine: "UnicornEngine", state: CpuState) -> None:
    """Make `engine`, fresh or used, remember `state`; RAM must hold what it held then."""
    engine.set_a20(state.a20_open)
    _put_head(engine._head, engine, state)
    _put_beside(engine, state)
    engine.flush()
    engine.set_careful(engine._careful)
    _put_bookkeeping(engine, state)
    if state.block.entered:
        engine._steps.drop_stale_code()


def _put_head(head: CpuHead, engine: "UnicornEngine", state: CpuState) -> None:
    for index, name in enumerate(_GENERAL):
        head.regs[index] = getattr(state, name)
    for cache, name in [*zip(head.segs, _SEGMENTS, strict=True), *((getattr(head, name), name) for name in _TABLES)]:
        saved: SegmentState = getattr(state, name)
        cache.selector, cache.base, cache.limit, cache.flags = saved.selector, saved.base, saved.limit, saved.flags
    for index in _CONTROLS:
        head.cr[index] = getattr(state, f"cr{index}")
    engine.efer = state.efer
    engine.cpu.rflags = state.rflags
    head.eip, head.hflags, head.hflags2 = state.rip, state.hflags, state.hflags2


def _put_beside(engine: "UnicornEngine", state: CpuState) -> None:
    """Put back what Unicorn has to be asked for by number, and derives things from."""
    _put_debug_registers(engine, state)
    fpu, msrs = state.fpu, MSRS | dict(state.msrs)
    for index, data in enumerate(fpu.registers):
        engine.set_raw_register(REG_FP0 + index, data)
    for index, data in enumerate(fpu.xmm):
        engine.set_raw_register(library.REG_XMM0 + index, data)
    for name, (register, size) in _NUMBERS.items():
        engine.set_raw_register(register, getattr(fpu, name).to_bytes(size, "little"))
    for number, value in msrs.items():
        if engine.msr(number) != value:
            msr = library.Msr(number, value)
            engine._library.dll.uc_reg_write(engine._uc.handle, library.REG_MSR, ctypes.byref(msr))


def _put_debug_registers(engine: "UnicornEngine", state: CpuState) -> None:
    """Put back DR0 to DR7. Unicorn keeps its own list of what they break on, which only a change of DR7 renews.

    So DR7 is switched off, by the old addresses, before the new ones are put there.
    """
    armed = (_number(engine, REG_DR7, 8) | state.dr7) & _DR7_ENABLES
    if armed:
        _change_dr7(engine, _DR7_OFF)
    for index in _DEBUGS:
        if index != _DR7 or not armed:
            engine.set_raw_register(REG_DR0 + index, getattr(state, f"dr{index}").to_bytes(8, "little"))
    if armed:
        _change_dr7(engine, state.dr7)
        _put_head(engine._head, engine, state)
        engine._steps.stale_code = True


def reset_debug_registers(engine: "UnicornEngine") -> None:
    """Put DR0 to DR7 to their values at power-on, with nothing armed (SDM vol. 3, table 9-1)."""
    if _number(engine, REG_DR7, 8) & _DR7_ENABLES:
        _change_dr7(engine, _DR7_OFF)
    for index in _DEBUGS:
        value = {6: _DR6_RESET, _DR7: _DR7_OFF}.get(index, 0)
        engine.set_raw_register(REG_DR0 + index, value.to_bytes(8, "little"))


def _change_dr7(engine: "UnicornEngine", value: int) -> None:
    address = engine._library.address("cpu_x86_update_dr7_x86_64")
    if address:
        update = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)(address)
        update(engine._cell.head, value)
    else:
        engine.set_raw_register(REG_DR7, value.to_bytes(8, "little"))


def _put_bookkeeping(engine: "UnicornEngine", state: CpuState) -> None:
    cell, block = engine._cell, state.block
    runs, steps, tlb, traps, accesses = engine._runs, engine._steps, engine._tlb, engine._traps, engine._accesses
    cell.retired, cell.window = state.retired, IF if state.intr else 0
    cell.address, cell.size, cell.start = block.address, block.size, block.start
    engine._booking.mid_block = block.entered
    steps.looked_up = block.ip, block.resume, block.mode
    runs.nmi_pending, traps.shutdown = state.nmi_pending, state.shutdown
    traps.counts = dict(state.exits)
    accesses.reads, accesses.writes = state.port_reads, state.port_writes
    runs.attention = steps.noticed = traps.delivered = False
    tlb.retry = tlb.retry_of_fetch = False
    traps.failure = None
