"""The power-on state of the processor (SDM vol. 3, table 9-1)."""

from minivm.engine import cpuid, library
from minivm.engine.cpustate import (
    CR0_ET,
    CS,
    DESC_A,
    DESC_CODE,
    DESC_P,
    DESC_R,
    DESC_S,
    DESC_TYPE_SHIFT,
    DESC_W,
    RDX,
    CpuHead,
    Registers,
)
from minivm.engine.segments import fill_cache, update_hflags

RAW_REGISTERS = ((library.REG_FPCW, 0x0040), (library.REG_MXCSR, 0x1F80))
"""Those that Unicorn has to be asked for by number: the FPU's control word and MXCSR."""
SYSTEM_CALL_MSRS = (0x174, 0x175, 0x176, 0xC000_0081, 0xC000_0082, 0xC000_0083, 0xC000_0084, 0xC000_0102)
"""SYSENTER's three, STAR, LSTAR, CSTAR, FMASK, KernelGSbase: 0 after a reset."""

_CACHE_OFF = 0x6000_0000  # CR0.CD and CR0.NW
_DATA, _CODE = DESC_P | DESC_S | DESC_W | DESC_A, DESC_P | DESC_S | DESC_CODE | DESC_R | DESC_A
_LDT, _BUSY_TSS = DESC_P | 2 << DESC_TYPE_SHIFT, DESC_P | 11 << DESC_TYPE_SHIFT


def power_on(cpu: Registers) -> None:
    """Put the registers to their values at power-on.

    CS's base is F0000h and not FFFF0000h: the same bytes of ROM stand at both.
    """
    head = cpu.head
    for index in range(16):
        head.regs[index] = 0
    head.regs[RDX] = cpuid.SIGNATURE
    head.cr[0] = _CACHE_OFF | CR0_ET
    head.cr[2] = head.cr[3] = head.cr[4] = 0
    _load_segments(head)
    head.eip = 0xFFF0
    head.hflags = head.hflags2 = 0
    cpu.rflags = 2
    update_hflags(head)


def _load_segments(head: CpuHead) -> None:
    for segment in head.segs:
        fill_cache(segment, 0, 0, 0xFFFF, _DATA)
    fill_cache(head.segs[CS], 0xF000, 0xF0000, 0xFFFF, _CODE)
    fill_cache(head.ldt, 0, 0, 0xFFFF, _LDT)
    fill_cache(head.tr, 0, 0, 0xFFFF, _BUSY_TSS)
    fill_cache(head.gdt, 0, 0, 0xFFFF, 0)
    fill_cache(head.idt, 0, 0, 0x3FF, 0)
