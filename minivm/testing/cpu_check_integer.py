"""Random integer instructions: arithmetic, shifts, multiplication, decimal, bits, moves, strings (SDM vol. 2)."""

from collections.abc import Callable

from minivm.engine.cpustate import AF, CF, OF, PF, SF, ZF
from minivm.testing.cpu_check_encode import Encoder, Unit
from minivm.testing.cpu_differences import CONDITION_NAMES

_ARITHMETIC = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")
_SHIFTS = ("rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar")
_BIT_TESTS = ("bt", "bts", "btr", "btc")
_STRINGS = (("movs", 0xA4), ("cmps", 0xA6), ("stos", 0xAA), ("lods", 0xAC), ("scas", 0xAE))
_AX, _CX, _DX, _SI, _DI = 0, 1, 2, 6, 7
_ALL_FLAGS = AF | CF | OF | PF | SF | ZF


def arithmetic(e: Encoder) -> Unit:
    """ADD to CMP in their six forms."""
    digit, size, form = e.chance.below(8), e.size(), e.chance.below(5)
    name = _ARITHMETIC[digit]
    if form < 2:
        return e.unit(name, e.instruction(e.wide(8 * digit + 2 * form, size), e.register(size), size))
    if form == 2:
        rex = b"\x48" if size == 64 else b""
        return e.unit(name, e.prefix(size) + rex + e.wide(8 * digit + 4, size) + e.immediate(size))
    if form == 3:
        return e.unit(name, e.instruction(e.wide(0x80, size), digit, size, tail=e.immediate(size)))
    size = e.size(bytes_too=False)
    return e.unit(name, e.instruction(b"\x83", digit, size, tail=e.immediate(8)))


def test(e: Encoder) -> Unit:
    """TEST in its three forms."""
    size, form = e.size(), e.chance.below(3)
    if form == 0:
        return e.unit("test", e.instruction(e.wide(0x84, size), e.register(size), size))
    if form == 1:
        rex = b"\x48" if size == 64 else b""
        return e.unit("test", e.prefix(size) + rex + e.wide(0xA8, size) + e.immediate(size))
    return e.unit("test", e.instruction(e.wide(0xF6, size), e.chance.below(2), size, tail=e.immediate(size)))


def one_operand(e: Encoder) -> Unit:
    """INC, DEC, NOT, NEG."""
    size = e.size()
    name, opcode, digit = (("inc", 0xFE, 0), ("dec", 0xFE, 1), ("not", 0xF6, 2), ("neg", 0xF6, 3))[e.chance.below(4)]
    if opcode == 0xFE and size in (16, 32) and e.bits != 64 and e.chance.one_in(2):
        return e.unit(name, e.prefix(size) + bytes([0x40 | digit << 3 | e.register(size)]))
    return e.unit(name, e.instruction(e.wide(opcode, size), digit, size))


def multiply(e: Encoder) -> Unit:
    """MUL and IMUL with one, two and three operands."""
    size, form = e.size(), e.chance.below(4)
    if form < 2:
        return e.unit(("mul", "imul")[form], e.instruction(e.wide(0xF6, size), 4 + form, size))
    size = e.size(bytes_too=False)
    if form == 2:
        return e.unit("imul", e.instruction(b"\x0f\xaf", e.register(), size))
    opcode, tail = (b"\x6b", e.immediate(8)) if e.chance.one_in(2) else (b"\x69", e.immediate(size))
    return e.unit("imul", e.instruction(opcode, e.register(), size, tail=tail))


def divide(e: Encoder) -> Unit:
    """DIV and IDIV, mostly with an upper half that lets the quotient fit."""
    size, signed = e.size(), e.chance.below(2)
    setup = b""
    if not e.chance.one_in(4):
        setup = b"\xb4\x00" if size == 8 else e.move_immediate(_DX, 0, min(size, 32))
    return e.unit(("div", "idiv")[signed], setup + e.instruction(e.wide(0xF6, size), 6 + signed, size))


def shift(e: Encoder) -> Unit:
    """Rotates and shifts by one, by a number, by CL."""
    size, digit, form = e.size(), e.chance.below(8), e.chance.below(3)
    count = 1 if form == 0 else e.chance.below(256 if e.chance.one_in(4) else 34)
    masked = count & (63 if size == 64 else 31)
    name = _SHIFTS[digit]
    if form == 0:
        return e.unit(name, e.instruction(e.wide(0xD0, size), digit, size), count=1, size=size)
    if form == 1:
        code = e.instruction(e.wide(0xC0, size), digit, size, tail=bytes([count]))
        return e.unit(name, code, count=masked, size=size)
    code = e.move_immediate(_CX, count, 8) + e.instruction(e.wide(0xD2, size), digit, size)
    return e.unit(name, code, count=masked, size=size)


def double_shift(e: Encoder) -> Unit:
    """SHLD and SHRD, with counts up to the operand's size."""
    size, right = e.size(bytes_too=False), e.chance.below(2)
    count = e.chance.below(size + 1) & (63 if size == 64 else 31)
    opcode = 0xA4 + 8 * right
    name = ("shld", "shrd")[right]
    if e.chance.one_in(2):
        code = e.instruction(bytes([0x0F, opcode]), e.register(), size, tail=bytes([count]))
    else:
        code = e.move_immediate(_CX, count, 8) + e.instruction(bytes([0x0F, opcode + 1]), e.register(), size)
    return e.unit(name, code, count=count, size=size)


def decimal(e: Encoder) -> Unit:
    """DAA to AAD; in 64-bit mode they are not there."""
    name, code = (("daa", "27"), ("das", "2f"), ("aaa", "37"), ("aas", "3f"), ("aam", "d4"), ("aad", "d5"))[
        e.chance.below(6)
    ]
    if e.bits == 64:
        return arithmetic(e)
    base = bytes([10 if e.chance.one_in(2) else e.chance.below(256)]) if name in ("aam", "aad") else b""
    return e.unit(name, bytes.fromhex(code) + base)


def bit_test(e: Encoder) -> Unit:
    """BT, BTS, BTR, BTC by a number and by a register."""
    size, kind = e.size(bytes_too=False), e.chance.below(4)
    if e.chance.one_in(2):
        return e.unit(_BIT_TESTS[kind], e.instruction(b"\x0f\xba", 4 + kind, size, tail=e.immediate(8)))
    memory = e.bits == 16 and size == 16 and e.chance.one_in(3)  # wider offsets reach far out of the data
    return e.unit(_BIT_TESTS[kind], e.instruction(bytes([0x0F, 0xA3 | kind << 3]), e.register(), size, memory=memory))


def bit_scan(e: Encoder) -> Unit:
    """BSF and BSR of a register that is not zero."""
    size, reverse, source = e.size(bytes_too=False), e.chance.below(2), e.chance.below(4)
    not_zero = e.instruction(b"\x83", 1, size, tail=b"\x10", rm=source)
    code = not_zero + e.instruction(bytes([0x0F, 0xBC + reverse]), e.register(), size, rm=source)
    return e.unit(("bsf", "bsr")[reverse], code)


def exchange(e: Encoder) -> Unit:
    """XCHG, XADD, CMPXCHG, CMPXCHG8B, BSWAP."""
    size, form = e.size(), e.chance.below(6)
    if form == 0:
        return e.unit("xchg", e.instruction(e.wide(0x86, size), e.register(size), size))
    if form == 1:
        return e.unit("xadd", e.instruction(b"\x0f" + e.wide(0xC0, size), e.register(size), size))
    if form in (2, 3):
        return e.unit("cmpxchg", e.instruction(b"\x0f" + e.wide(0xB0, size), e.register(size), size))
    if form == 4:
        return e.unit("cmpxchg8b", e.instruction(b"\x0f\xc7", 1, 32 if e.bits != 16 else 16, memory=True))
    rex = b"\x48" if e.bits == 64 and e.chance.one_in(2) else b""
    return e.unit("bswap", (b"" if rex else e.prefix(32)) + rex + bytes([0x0F, 0xC8 | e.register() & 7]))


def move(e: Encoder) -> Unit:
    """MOV, MOVZX, MOVSX, LEA, XLAT, and what widens AX."""
    chance, size = e.chance, e.size()
    match chance.below(7):
        case 0:
            return e.unit("mov", e.instruction(e.wide(0x88 + 2 * chance.below(2), size), e.register(size), size))
        case 1:
            return e.unit("mov", e.instruction(e.wide(0xC6, size), 0, size, tail=e.immediate(size)))
        case 2:
            size = e.size(bytes_too=False)
            opcode = (0xB6, 0xB7, 0xBE, 0xBF)[chance.below(4)]
            return e.unit(
                "movzx" if opcode < 0xB8 else "movsx", e.instruction(bytes([0x0F, opcode]), e.register(), size)
            )
        case 3:
            return e.unit("lea", e.instruction(b"\x8d", e.register(), e.size(bytes_too=False), memory=True))
        case 4:
            size = e.size(bytes_too=False)
            name = ("cbw", "cwd")[form := chance.below(2)]
            return e.unit(name, e.prefix(size) + (b"\x48" if size == 64 else b"") + bytes([0x98 + form]))
        case 5 if e.bits != 64:
            offset = chance.below(0xFFF0) + e.mode.data_offset
            address = offset.to_bytes(e.bits // 8, "little")
            size = e.size()
            return e.unit("mov", e.prefix(size) + e.wide(0xA0 + 2 * chance.below(2), size) + address)
        case 6 if e.bits == 64:
            return e.unit("movsxd", e.instruction(b"\x63", e.register(), e.size(bytes_too=False)))
    return e.unit(
        "xlat", e.move_immediate(3, e.mode.data_offset + chance.below(0xFF00), max(e.bits & 48, 32)) + b"\xd7"
    )


def conditional(e: Encoder) -> Unit:
    """SETcc and CMOVcc."""
    which = e.chance.below(16)
    if e.chance.one_in(2):
        return e.unit(f"set{CONDITION_NAMES[which]}", e.instruction(bytes([0x0F, 0x90 | which]), 0, 8))
    code = e.instruction(bytes([0x0F, 0x40 | which]), e.register(), e.size(bytes_too=False))
    return e.unit(f"cmov{CONDITION_NAMES[which]}", code)


def flags(e: Encoder) -> Unit:
    """What sets and moves flags."""
    names = ["clc", "stc", "cmc", "cld", "std", "lahf", "sahf"] + (["salc"] if e.bits != 64 else [])
    name = names[e.chance.below(len(names))]
    opcodes = {
        "clc": 0xF8,
        "stc": 0xF9,
        "cmc": 0xF5,
        "cld": 0xFC,
        "std": 0xFD,
        "lahf": 0x9F,
        "sahf": 0x9E,
        "salc": 0xD6,
    }
    return e.unit(name, bytes([opcodes[name]]))


def string(e: Encoder) -> Unit:
    """MOVS, CMPS, STOS, LODS, SCAS, alone and repeated, in both directions."""
    chance, size = e.chance, e.size()
    name, opcode = _STRINGS[chance.below(5)]
    width = 32 if e.bits == 64 else e.bits
    edge = 0xFFF8 if chance.one_in(8) else 0xFF00
    place = e.mode.data_offset
    setup = e.move_immediate(_SI, place + chance.below(edge), width) + e.move_immediate(
        _DI, place + chance.below(edge), width
    )
    setup += e.move_immediate(_CX, chance.below(12), width) + (b"\xfd" if chance.one_in(3) else b"\xfc")
    repeat = (b"", b"\xf2", b"\xf3")[chance.below(3)]
    if repeat == b"\xf2" and name in ("movs", "stos", "lods"):
        repeat = b"\xf3"  # F2h is reserved with these
    rex = b"\x48" if size == 64 else b""
    return e.unit(name, setup + repeat + e.prefix(size) + rex + e.wide(opcode, size))


def population(e: Encoder) -> Unit:
    """POPCNT, in 64-bit mode alone: KVM's emulator does not know it."""
    if e.bits != 64:
        return arithmetic(e)
    return e.unit("popcnt", e.instruction(b"\x0f\xb8", e.register(), e.size(bytes_too=False), mandatory=b"\xf3"))


KINDS: tuple[tuple[int, Callable[[Encoder], Unit]], ...] = (
    (6, arithmetic), (2, test), (3, one_operand), (3, multiply), (2, divide), (5, shift), (2, double_shift),
    (2, decimal), (3, bit_test), (1, bit_scan), (3, exchange), (5, move), (3, conditional), (2, flags), (3, string),
    (1, population),
)  # fmt: skip
"""Each kind with its weight."""
