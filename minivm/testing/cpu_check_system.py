"""Random instructions beside the integer ones: stack, jumps, segments, system registers, faults, FPU and SSE."""

from collections.abc import Callable

from minivm.testing.cpu_check_encode import Encoder, Unit
from minivm.testing.cpu_check_integer import arithmetic
from minivm.testing.cpu_check_start import SELECTORS
from minivm.testing.cpu_differences import SSE_INTEGER

_POPPED_FLAGS = 0xCD5 | 0x200
_SEGMENTS = (("es", 0), ("ds", 3), ("fs", 4), ("gs", 5))
_SSE_MOVES = (
    ("movdqu", b"\xf3", 0x6F), ("movdqu", b"\xf3", 0x7F), ("movdqa", b"\x66", 0x6F), ("movd", b"\x66", 0x6E),
    ("movd", b"\x66", 0x7E), ("movq", b"\xf3", 0x7E), ("movq", b"\x66", 0xD6), ("movaps", b"", 0x28),
)  # fmt: skip
_FPU = {
    "fld1": "d9e8", "fldz": "d9ee", "fldpi": "d9eb", "fchs": "d9e0", "fabs": "d9e1", "fxch": "d9c9", "fld": "d9c0",
    "fstp": "ddd8", "ffree": "ddc0", "fninit": "dbe3", "fnclex": "dbe2", "fincstp": "d9f7", "fdecstp": "d9f6",
}  # fmt: skip
_FPU_MEMORY = (("fild", 0xDF, 0), ("fild", 0xDB, 0), ("fild", 0xDF, 5), ("fistp", 0xDF, 3), ("fistp", 0xDB, 3),
               ("fistp", 0xDF, 7), ("fnstcw", 0xD9, 7))  # fmt: skip


# -- stack ------------------------------------------------------------------------------------------------------------
def stack(e: Encoder) -> Unit:
    """PUSH and POP of registers, numbers and memory; PUSHA, ENTER, LEAVE."""
    chance = e.chance
    size = 16 if chance.one_in(4) else e.bits if e.bits != 16 or chance.one_in(2) else 32
    prefix = e.prefix(size) if size != 64 else b""
    match chance.below(8):
        case 0:
            return e.unit("push", prefix + bytes([0x50 | chance.below(8)]))
        case 1:
            return e.unit("pop", prefix + bytes([0x58 | e.register() & 7]))
        case 2:
            return e.unit("push", prefix + b"\x6a" + e.immediate(8))
        case 3:
            return e.unit("push", prefix + b"\x68" + e.immediate(size))
        case 4:
            return e.unit("push", prefix + e.instruction(b"\xff", 6, 8, memory=True))
        case 5:
            return e.unit("pop", prefix + e.instruction(b"\x8f", 0, 8, memory=True))
        case 6 if e.bits != 64:
            both = chance.below(2)
            return e.unit(("pusha", "popa")[both], prefix + bytes([0x60 + both]))
    enter = b"\xc8" + bytes([chance.below(64) & 0xFC, 0, chance.below(4) if chance.one_in(3) else 0])
    return e.unit("enter", enter) if chance.one_in(2) else e.unit("leave", enter + b"\xc9")


def stack_flags(e: Encoder) -> Unit:
    """PUSHF; POPF of random arithmetic flags."""
    if e.chance.one_in(2):
        return e.unit("pushf", b"\x9c")
    value = e.chance.bits() & _POPPED_FLAGS | 0x202
    return e.unit("popf", b"\x68" + value.to_bytes(2 if e.bits == 16 else 4, "little") + b"\x9d")


# -- control ----------------------------------------------------------------------------------------------------------
def jump(e: Encoder) -> Unit:
    """Jcc, JMP and JCXZ over an instruction."""
    over = arithmetic(e).code
    form = e.chance.below(4)
    if form == 0:
        return e.unit("jmp", b"\xeb" + bytes([len(over)]) + over)
    if form == 1:
        return e.unit("jcxz", b"\xe3" + bytes([len(over)]) + over)
    condition = e.chance.below(16)
    if form == 2:
        return e.unit("jcc", bytes([0x70 | condition, len(over)]) + over)
    near = len(over).to_bytes(2 if e.bits == 16 else 4, "little")
    return e.unit("jcc", bytes([0x0F, 0x80 | condition]) + near + over)


def loop(e: Encoder) -> Unit:
    """LOOP, LOOPE, LOOPNE around INC of a register."""
    body = e.instruction(b"\xff", 0, 32, rm=0) if e.bits == 64 else b"\x40"
    kind = e.chance.below(3)
    setup = e.move_immediate(1, 1 + e.chance.below(9), 32 if e.bits == 64 else e.bits)
    body += b"\xeb\x00" if e.chance.one_in(4) else b""  # behind a jump LOOP begins a block
    return e.unit(("loopne", "loope", "loop")[kind], setup + body + bytes([0xE0 + kind, -(len(body) + 2) & 0xFF]))


def call(e: Encoder) -> Unit:
    """CALL and RET, near, with and without a number; PUSH CS, CALL and RETF where that returns here."""
    width = 2 if e.bits == 16 else 4
    forms = [("ret", b"", b"\xc3"), ("ret", b"", b"\xc2\x04\x00")] + (
        [("retf", b"\x0e", b"\xcb")] if not e.mode.flat else []
    )
    name, before, back = forms[e.chance.below(len(forms))]
    return e.unit(name, before + b"\xe8" + (2).to_bytes(width, "little") + b"\xeb" + bytes([len(back)]) + back)


def trap(e: Encoder) -> Unit:
    """What ends the program on purpose: INT3, INTO, INT n, UD2, and what level 3 may not do."""
    names = [("int3", "cc"), ("ud2", "0f0b")]
    names += [("into", "ce")] if e.bits != 64 else []
    names += [("int", "cd41")] if not e.mode.protected else []
    names += [("cli", "fa"), ("lmsw", "0f01f0"), ("mov cr", "0f22c0")] if e.mode.cpl else []
    names += [("in", "ec"), ("in", "ed"), ("out", "ee"), ("insb", "6c"), ("outsb", "6e")] if e.mode.cpl else []
    name, code = names[e.chance.below(len(names))]
    return e.unit(name, bytes.fromhex(code))


# -- segments and the system ------------------------------------------------------------------------------------------
def segment(e: Encoder) -> Unit:
    """MOV and POP into segment registers, PUSH and MOV out of them, far pointers."""
    if e.mode.flat:
        return stack(e)
    chance = e.chance
    name, index = _SEGMENTS[chance.below(4)]
    value = SELECTORS[chance.below(len(SELECTORS))] if e.mode.protected else 0x2000 + chance.below(0x1000)
    match chance.below(5):
        case 0:
            return e.unit("mov sreg", e.move_immediate(0, value, e.bits) + bytes([0x8E, 0xC0 | index << 3]))
        case 1:
            pop = {"es": b"\x07", "ds": b"\x1f", "fs": b"\x0f\xa1", "gs": b"\x0f\xa9"}[name]
            return e.unit("pop sreg", b"\x68" + value.to_bytes(e.bits // 8, "little") + pop)
        case 2:
            return e.unit("mov sreg", e.instruction(b"\x8c", chance.below(6), e.bits))
        case 3:
            push = {"es": b"\x06", "ds": b"\x1e", "fs": b"\x0f\xa0", "gs": b"\x0f\xa8"}[name]
            return e.unit("push sreg", push)
    prefix = {"es": 0x26, "ds": 0x3E, "fs": 0x64, "gs": 0x65}[name]
    return e.unit("mov", bytes([prefix]) + e.instruction(b"\x8b", e.register(), e.bits, memory=True))


def system(e: Encoder) -> Unit:
    """At level 0: control registers, tables, task and descriptor instructions."""
    if e.mode.cpl:
        return arithmetic(e)
    chance = e.chance
    choices = [("smsw", e.instruction(b"\x0f\x01", 4, 16)), ("clts", b"\x0f\x06"),
               ("mov cr", bytes([0x0F, 0x20, 0xC0 | (0, 2, 3, 4)[chance.below(4)] << 3 | chance.below(4)])),
               ("mov cr", bytes([0x0F, 0x22, 0xD0 | chance.below(4)])),
               ("sgdt", e.instruction(b"\x0f\x01", chance.below(2), e.bits, memory=True)), ("cli", b"\xfa"),
               ("sti", b"\xfb"), ("lgdt", e.instruction(b"\x0f\x01", 2, e.bits, rm=0))]  # fmt: skip
    if e.mode.protected:
        choices += [("sldt", e.instruction(b"\x0f\x00", chance.below(2), e.bits)),
                    ("lar", e.instruction(b"\x0f\x02", e.register(), e.bits)),
                    ("lsl", e.instruction(b"\x0f\x03", e.register(), e.bits)),
                    ("verr", e.instruction(b"\x0f\x00", 4 + chance.below(2), e.bits)),
                    ("arpl", e.instruction(b"\x63", e.register(), 16 if e.bits == 16 else 32))]  # fmt: skip
    name, code = choices[chance.below(len(choices))]
    return e.unit(name, code)


# -- FPU and SSE ------------------------------------------------------------------------------------------------------
def sse(e: Encoder) -> Unit:
    """Moves and integer operations on XMM registers."""
    chance = e.chance
    reg = chance.below(16 if e.bits == 64 else 8)
    other = chance.below(16 if e.bits == 64 else 8)
    if chance.one_in(3):
        name, prefix, opcode = _SSE_MOVES[chance.below(len(_SSE_MOVES))]
        rm = None if name == "movd" else other
        aligned = name in {"movdqa", "movaps"} and not chance.one_in(8)
        memory = chance.one_in(2) and not aligned
        if aligned and rm is None:
            rm = other
        return e.unit(name, e.instruction(bytes([0x0F, opcode]), reg, 8, mandatory=prefix, rm=rm, memory=memory))
    opcodes = sorted(SSE_INTEGER)
    opcode = opcodes[chance.below(len(opcodes))]
    memory = chance.one_in(24)  # most places are not aligned, and fault
    code = e.instruction(bytes([0x0F, opcode]), reg, 8, mandatory=b"\x66", rm=other, memory=memory)
    return e.unit(SSE_INTEGER[opcode], code)


def fpu(e: Encoder) -> Unit:
    """FPU constants, moves, integers in and out; mostly with two numbers on the FPU's stack."""
    full = b"" if e.chance.one_in(8) else b"\xdb\xe3\xd9\xeb" + e.instruction(b"\xdb", 0, 8, memory=True)
    if e.chance.one_in(2):
        name, opcode, digit = _FPU_MEMORY[e.chance.below(len(_FPU_MEMORY))]
        return e.unit(name, full + e.instruction(bytes([opcode]), digit, 8, memory=True))
    name = sorted(_FPU)[e.chance.below(len(_FPU))]
    return e.unit(name, full + bytes.fromhex(_FPU[name]))


KINDS: tuple[tuple[int, Callable[[Encoder], Unit]], ...] = (
    (5, stack), (2, stack_flags), (3, jump), (2, loop), (2, call), (1, trap), (3, segment), (2, system),
)  # fmt: skip
"""Each kind with its weight."""
VECTOR_KINDS: tuple[tuple[int, Callable[[Encoder], Unit]], ...] = ((4, sse), (2, fpu))
"""Those that KVM executes only where the host's processor does it itself, so mostly for long mode."""
