"""SYSCALL and SYSENTER: the fast ways into the kernel, whose whole transition the engine leaves to its host.

Intel SDM vol. 2 and AMD APM vol. 3, the pages of the two instructions. Both load CS and SS with fixed contents and look
at no descriptor table. SYSRET and SYSEXIT are the engine's own.
"""

from minivm.engine.cpustate import (
    CR0_PE,
    CS,
    DESC_A,
    DESC_B,
    DESC_CODE,
    DESC_G,
    DESC_L,
    DESC_P,
    DESC_R,
    DESC_S,
    DESC_W,
    EFER_SCE,
    HF_CS64,
    HF_LMA,
    IF,
    RCX,
    RF,
    RSP,
    SS,
    VM,
    CpuHead,
)
from minivm.engine.paging import Fault, Processor
from minivm.engine.segments import fill_cache, update_hflags

SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP = 0x174, 0x175, 0x176
STAR, LSTAR, CSTAR, FMASK = 0xC000_0081, 0xC000_0082, 0xC000_0083, 0xC000_0084

_INVALID_OPCODE, _GENERAL_PROTECTION = 6, 13
_R11 = 11
_FLAT = DESC_G | DESC_P | DESC_S | DESC_A
_CODE_32 = _FLAT | DESC_B | DESC_CODE | DESC_R
_CODE_64 = _FLAT | DESC_L | DESC_CODE | DESC_R
_STACK = _FLAT | DESC_B | DESC_W


def syscall(processor: Processor, next_ip: int) -> None:
    """Enter the kernel as SYSCALL does; `next_ip` is the offset behind the instruction, kept in RCX.

    In long mode the entry is LSTAR (from 64-bit code) or CSTAR (from compatibility mode), R11 keeps RFLAGS and FMASK
    clears bits of it; in legacy mode the entry is in STAR, as on AMD. Raises `Fault` #UD when EFER.SCE is clear.
    """
    if not processor.efer & EFER_SCE:
        raise Fault(_INVALID_OPCODE, None, "SYSCALL needs EFER.SCE")
    cpu = processor.cpu
    head = cpu.head
    star = processor.msr(STAR)
    if head.hflags & HF_LMA:
        flags = cpu.rflags & ~RF
        head.regs[RCX], head.regs[_R11] = next_ip, flags
        head.eip = processor.msr(LSTAR if head.hflags & HF_CS64 else CSTAR)
        cpu.rflags = flags & ~processor.msr(FMASK)
    else:
        head.regs[RCX] = next_ip & 0xFFFF_FFFF
        head.eip = star & 0xFFFF_FFFF
        head.eflags &= ~(IF | RF | VM)
    _load_flat(head, star >> 32)


def sysenter(processor: Processor) -> None:
    """Enter the kernel as SYSENTER does: CS, RSP and RIP from the SYSENTER MSRs, nothing saved.

    Raises `Fault` #GP(0) in real mode and when SYSENTER_CS is null.
    """
    head = processor.cpu.head
    selector = processor.msr(SYSENTER_CS)
    if not head.cr[0] & CR0_PE or not selector & 0xFFFC:
        raise Fault(_GENERAL_PROTECTION, 0, "SYSENTER needs protected mode and a SYSENTER_CS that is not null")
    keep = 0xFFFF_FFFF_FFFF_FFFF if head.hflags & HF_LMA else 0xFFFF_FFFF
    head.regs[RSP] = processor.msr(SYSENTER_ESP) & keep
    head.eip = processor.msr(SYSENTER_EIP) & keep
    head.eflags &= ~(IF | RF | VM)
    _load_flat(head, selector)


def _load_flat(head: CpuHead, selector: int) -> None:
    """Load CS with `selector` and SS with the next one, flat, at level 0."""
    code = selector & 0xFFFC
    fill_cache(head.segs[CS], code, 0, 0xFFFF_FFFF, _CODE_64 if head.hflags & HF_LMA else _CODE_32)
    fill_cache(head.segs[SS], (code + 8) & 0xFFFF, 0, 0xFFFF_FFFF, _STACK)
    update_hflags(head)
