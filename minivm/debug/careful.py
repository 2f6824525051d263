"""Which blocks of code must be executed one instruction at a time while something in them is watched for.

A block with a port instruction, while a port is caught: the run must end behind that instruction. And, while memory is
watched, a block with an instruction that QEMU does in a helper: it cannot be begun again once its access was refused
(engine/watch.py). And, while a register that few instructions write is watched, a block that may write such a
register. Everything else runs at full speed.
"""

from collections.abc import Callable

_PORTS = ("in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd")
_HELPERS = frozenset(
    """
    fnstenv fstenv fldenv fnsave fsave frstor fbld fbstp fxsave fxsave64 fxrstor fxrstor64
    xsave xsave64 xsaveopt xsaveopt64 xsavec xsaves xrstor xrstor64 xrstors
    cmpxchg8b cmpxchg16b maskmovq maskmovdqu enter lcall ljmp retf retfq iret iretd iretq
    lds les lss lfs lgs ltr lldt lar lsl verr verw bound bndmov bndldx bndstx
    """.split()  # noqa: SIM905 - a list of words, to be read as one
)
_SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss")
_CONTROLS = ("cr0", "cr2", "cr3", "cr4", "cr8")
SELDOM_WRITTEN = frozenset((*_SEGMENTS, *_CONTROLS))
"""Registers that only a few kinds of instructions, and events, change."""
_SYSTEM = frozenset(
    """
    lmsw clts wrmsr rsm int int1 int3 into
    syscall sysenter sysret sysexit sysretq sysexitq
    """.split()  # noqa: SIM905 - a list of words, to be read as one
)


def careful_of(*, ports: bool, memory: bool, registers: bool = False) -> Callable[[bytes, int], bool]:
    """Return the test that `UnicornEngine.set_careful` takes, for what is watched for."""

    def careful(code: bytes, bits: int) -> bool:
        from minivm.debug.code import disassemble

        seen = 0
        for instruction in disassemble(code, origin=0, bits=bits):
            seen += len(instruction.code)
            mnemonic = instruction.mnemonic.split()[-1]
            if ports and mnemonic in _PORTS:
                return True
            if memory and _is_helper(mnemonic, instruction.operands):
                return True
            if registers and _writes_seldom_written(mnemonic, instruction.operands):
                return True
        return seen < len(code)

    return careful


def _is_helper(mnemonic: str, operands: str) -> bool:
    """Tell whether QEMU does this instruction's memory accesses from inside a helper."""
    if mnemonic in _HELPERS or mnemonic == "db":
        return True
    if mnemonic in ("call", "jmp") and ("far" in operands or ":" in operands):
        return True
    target = operands.partition(",")[0].strip()
    if mnemonic in ("mov", "pop") and target in _SEGMENTS:
        return True
    return mnemonic in ("fld", "fstp") and "xword" in operands


def _writes_seldom_written(mnemonic: str, operands: str) -> bool:
    target = operands.partition(",")[0].strip()
    return mnemonic in _SYSTEM or target in _CONTROLS or _is_helper(mnemonic, operands)
