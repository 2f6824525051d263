"""The table of everything in which two processors may differ, with the reason and where it is written.

Rows are read by the check itself: what is undefined is masked, what is known is counted and not reported, and
docs/cpu-check.md shows the same rows. SDM is Intel's "64 and IA-32 Architectures Software Developer's Manual".
"""

from collections.abc import Callable

from minivm.core.record import record
from minivm.engine.cpustate import AF, CF, GENERAL_64, OF, PF, SF, ZF

FLAGS = {"CF": CF, "PF": PF, "AF": AF, "ZF": ZF, "SF": SF, "OF": OF}
UNDEFINED, GEARS, ENGINE, KVM, NOT_GENERATED = "undefined", "the engine's gears", "engine", "KVM", "not generated"

_MOST_NAMES = 11

CONDITIONS: dict[str, Callable[[int, int], bool]] = {
    "": lambda count, size: True,
    "count > 0": lambda count, size: count > 0,
    "count > 1": lambda count, size: count > 1,
    "count >= size": lambda count, size: count >= size,
}
"""When a row holds, by the masked shift count and the operand's size in bits."""


@record
class Difference:
    """One row: of which instructions, who is different, in what, and why.

    `who` is `UNDEFINED` where both may do as they like, `GEARS` where even one go and single steps of the engine do.

    `what` has names of flags and registers, "memory", "vector", "error code", "write bit" (of a page fault's), "ended",
    "stack fault" (#SS, not #GP), or "unchecked" (the other processor refused an access by its segment).
    `mnemonics` and `modes` are empty where it holds in all.
    """

    mnemonics: tuple[str, ...]
    who: str
    what: tuple[str, ...]
    reason: str
    reference: str
    condition: str = ""
    modes: tuple[str, ...] = ()


CONDITION_NAMES = ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
"""What SETcc and CMOVcc ask, in the order of their opcodes (SDM vol. 1, table B-1)."""
SSE_INTEGER = {
    0xFC: "paddb", 0xFD: "paddw", 0xFE: "paddd", 0xD4: "paddq", 0xF8: "psubb", 0xF9: "psubw", 0xFA: "psubd",
    0xFB: "psubq", 0xDC: "paddusb", 0xDD: "paddusw", 0xEC: "paddsb", 0xED: "paddsw", 0xD8: "psubusb", 0xE8: "psubsb",
    0xDB: "pand", 0xDF: "pandn", 0xEB: "por", 0xEF: "pxor", 0x74: "pcmpeqb", 0x75: "pcmpeqw", 0x76: "pcmpeqd",
    0x64: "pcmpgtb", 0x65: "pcmpgtw", 0x66: "pcmpgtd", 0xD5: "pmullw", 0xE5: "pmulhw", 0xE4: "pmulhuw", 0xF4: "pmuludq",
    0xF5: "pmaddwd", 0xF6: "psadbw", 0xE0: "pavgb", 0xE3: "pavgw", 0xDA: "pminub", 0xDE: "pmaxub", 0xEA: "pminsw",
    0xEE: "pmaxsw", 0x60: "punpcklbw", 0x61: "punpcklwd", 0x62: "punpckldq", 0x6C: "punpcklqdq", 0x68: "punpckhbw",
    0x69: "punpckhwd", 0x6A: "punpckhdq", 0x6D: "punpckhqdq", 0x63: "packsswb", 0x67: "packuswb", 0x6B: "packssdw",
    0xD1: "psrlw", 0xD2: "psrld", 0xD3: "psrlq", 0xE1: "psraw", 0xE2: "psrad", 0xF1: "psllw", 0xF2: "pslld",
    0xF3: "psllq",
}  # fmt: skip
"""The opcodes 0Fh xx with a prefix of 66h that work on integers in XMM registers."""

_FPU = ("fld1", "fldz", "fldpi", "fchs", "fabs", "fxch", "fld", "fstp", "ffree", "fild", "fistp")
_FPU_STATE = ("fsw", "full", "memory", *(f"st{index}" for index in range(8)))
_FAULTS = ("vector", "memory", "rip", "rsp", "cs", "cr2", "rflags", *FLAGS, *(f"xmm{index}" for index in range(16)))
_LOGIC = ("and", "or", "xor", "test")
_ROTATES = ("rol", "ror", "rcl", "rcr")
_BIT_TESTS = ("bt", "bts", "btr", "btc")

TABLE: tuple[Difference, ...] = (
    Difference(_LOGIC, UNDEFINED, ("AF",), "logic has no carry out of bit 3", "SDM vol. 2, AND, OR, XOR, TEST"),
    Difference(
        ("mul", "imul"),
        UNDEFINED,
        ("SF", "ZF", "AF", "PF"),
        "only CF and OF say something of a product",
        "SDM vol. 2, MUL, IMUL",
    ),
    Difference(("div", "idiv"), UNDEFINED, tuple(FLAGS), "a quotient sets no flag", "SDM vol. 2, DIV, IDIV"),
    Difference(
        _ROTATES, UNDEFINED, ("OF",), "OF is defined for rotates by one bit", "SDM vol. 2, RCL/RCR/ROL/ROR", "count > 1"
    ),
    Difference(
        ("shl", "shr", "sar"),
        UNDEFINED,
        ("AF",),
        "shifts leave AF undefined",
        "SDM vol. 2, SAL/SAR/SHL/SHR",
        "count > 0",
    ),
    Difference(
        ("shl", "shr", "sar"),
        UNDEFINED,
        ("OF",),
        "OF is defined for shifts by one bit",
        "SDM vol. 2, SAL/SAR/SHL/SHR",
        "count > 1",
    ),
    Difference(
        ("shl", "shr"),
        UNDEFINED,
        ("CF",),
        "no bit of the operand is left to be shifted out",
        "SDM vol. 2, SAL/SAR/SHL/SHR",
        "count >= size",
    ),
    Difference(
        ("shld", "shrd"), UNDEFINED, ("AF",), "shifts leave AF undefined", "SDM vol. 2, SHLD, SHRD", "count > 0"
    ),
    Difference(
        ("shld", "shrd"),
        UNDEFINED,
        ("OF",),
        "OF is defined for shifts by one bit",
        "SDM vol. 2, SHLD, SHRD",
        "count > 1",
    ),
    Difference(("daa", "das"), UNDEFINED, ("OF",), "decimal adjustment leaves OF undefined", "SDM vol. 2, DAA, DAS"),
    Difference(("aaa", "aas"), UNDEFINED, ("OF", "SF", "ZF", "PF"), "only AF and CF are set", "SDM vol. 2, AAA, AAS"),
    Difference(("aam", "aad"), UNDEFINED, ("OF", "AF", "CF"), "SF, ZF and PF follow AL", "SDM vol. 2, AAM, AAD"),
    Difference(
        _BIT_TESTS, UNDEFINED, ("OF", "SF", "AF", "PF"), "CF is the bit, ZF stays", "SDM vol. 2, BT/BTS/BTR/BTC"
    ),
    Difference(
        ("bsf", "bsr"), UNDEFINED, ("CF", "OF", "SF", "AF", "PF"), "only ZF says something", "SDM vol. 2, BSF, BSR"
    ),
    Difference(
        _BIT_TESTS,
        GEARS,
        ("OF", "SF", "AF", "PF"),
        "QEMU leaves them as the last arithmetic instruction, if it "
        "is in the same block; so they depend on where a block begins",
        "QEMU 5, target/i386/translate.c",
    ),
    Difference(
        ("aam", "aad"),
        KVM,
        ("SF", "ZF"),
        "KVM's emulator, which executes this mode where the host has no hardware "
        "for it, takes SF and ZF from AX instead of AL",
        "SDM vol. 2, AAM, AAD; Linux, arch/x86/kvm/emulate.c",
    ),
    Difference(
        _FPU,
        ENGINE,
        _FPU_STATE,
        "QEMU sees neither overflow nor underflow of the FPU's stack",
        "SDM vol. 1, section 8.5.1.1; QEMU 5, target/i386/fpu_helper.c",
    ),
    Difference(
        ("movdqa", "movaps", *SSE_INTEGER.values()),
        ENGINE,
        _FAULTS,
        "QEMU does not ask whether 16 bytes are aligned: no #GP, also where a page fault comes then",
        "SDM vol. 1, section 4.1.1; QEMU 5, target/i386/translate.c",
    ),
    Difference(
        (),
        ENGINE,
        ("write bit",),
        "QEMU reads before it writes: a page fault of what does both has the error code of a read",
        "SDM vol. 3, section 4.7; QEMU 5, target/i386/translate.c",
        modes=("compatibility32", "long"),
    ),
    Difference(
        ("cmpxchg",),
        ENGINE,
        tuple(name for name in GENERAL_64 if name != "rsp"),
        "QEMU clears the upper half of a 64-bit register also where the comparison fails and nothing is written",
        "SDM vol. 2, CMPXCHG; fixed in later versions of QEMU",
        modes=("long",),
    ),
    Difference(
        ("rcl", "rcr", *(f"set{name}" for name in CONDITION_NAMES)),
        ENGINE,
        (*FLAGS, "rflags", "write bit"),
        "QEMU computes the flags before the access: where that faults, wrong flags are pushed, IF among them",
        "SDM vol. 3, section 6.5; QEMU 5, target/i386/translate.c",
    ),
    Difference(
        ("cmpxchg8b",),
        ENGINE,
        (*FLAGS, "write bit"),
        "the engine has the flags worked out before it; where it faults, or an earlier one in its block stands behind "
        "the same kind of arithmetic, they are wrong",
        "SDM vol. 2, CMPXCHG8B; QEMU 5, target/i386/mem_helper.c",
    ),
    Difference(
        (),
        ENGINE,
        ("stack fault",),
        "an address that is not canonical, through RSP or RBP, is #SS; QEMU has #GP for all",
        "SDM vol. 1, section 3.3.7.1; QEMU 5, target/i386/excp_helper.c",
        modes=("long",),
    ),
    Difference(
        (),
        ENGINE,
        ("unchecked",),
        "QEMU checks neither limit nor rights of a segment at an access: no #GP or #SS comes from there",
        "SDM vol. 3, sections 5.3 to 5.5; QEMU 5, target/i386/translate.c",
        modes=("real", "protected16"),
    ),
)

SILENCE: tuple[Difference, ...] = (
    Difference(
        ("shld", "shrd"),
        NOT_GENERATED,
        ("destination",),
        "with a count above the operand's size the result is undefined",
        "SDM vol. 2, SHLD, SHRD",
    ),
    Difference(
        ("bsf", "bsr"),
        NOT_GENERATED,
        ("destination",),
        "with a source of zero the destination is undefined",
        "SDM vol. 2, BSF, BSR",
    ),
    Difference(
        ("bswap",), NOT_GENERATED, ("destination",), "of a 16-bit register it is undefined", "SDM vol. 2, BSWAP"
    ),
    Difference(
        ("fld", "fild", "fstp", "fistp", "fxch"),
        NOT_GENERATED,
        ("C0", "C2", "C3", "FIP", "FDP", "FOP"),
        "condition codes that are undefined, and where the last FPU instruction was, are not compared",
        "SDM vol. 1, section 8.1.3 and 8.1.8",
    ),
    Difference(
        ("rdtsc", "cpuid", "rdmsr"),
        NOT_GENERATED,
        ("result",),
        "they answer for the machine, not for the instruction set",
        "SDM vol. 2, RDTSC, CPUID, RDMSR",
    ),
    Difference(
        ("mov sreg", "sgdt", "sidt", "sldt", "str", "smsw", "lar", "lsl", "verr", "verw"),
        NOT_GENERATED,
        ("result",),
        "at level 3 a KVM without hardware (kvm_pvm) lets the host's own selectors and tables be seen",
        "SDM vol. 3, section 25.1.2",
        modes=("compatibility32", "long"),
    ),
    Difference(
        ("enter", "leave"),
        NOT_GENERATED,
        ("memory",),
        "with an operand-size prefix KVM's emulator pushes the usual size",
        "Linux, arch/x86/kvm/emulate.c",
    ),
    Difference(
        (),
        NOT_GENERATED,
        ("vector",),
        "a 64-bit code segment whose descriptor has a base: the processor takes 0, QEMU the base",
        "SDM vol. 1, section 3.2.4",
        modes=("long",),
    ),
)
"""What is left out of programs and of comparisons."""


def undefined_flags(mnemonic: str, count: int = 0, size: int = 0, who: str = UNDEFINED) -> int:
    """Return the mask of flags that an instruction leaves undefined; or, for `GEARS`, those of such rows."""
    mask = 0
    for row in TABLE:
        if row.who == who and mnemonic in row.mnemonics and CONDITIONS[row.condition](count, size):
            mask |= sum(FLAGS[name] for name in row.what)
    return mask


def known(mnemonic: str, mode: str, differs: frozenset[str], *, same_engine: bool) -> Difference | None:
    """Return the row that explains why runs differ here in these things, None where there is none."""
    whose = {GEARS, ENGINE} if same_engine else {ENGINE, KVM}
    for row in TABLE:
        about = mnemonic in (row.mnemonics or (mnemonic,)) and mode in (row.modes or (mode,))
        if row.who in whose and about and differs <= {*row.what}:
            return row
    return None


def as_markdown(rows: tuple[Difference, ...] = TABLE + SILENCE) -> str:
    """Return the table for docs/cpu-check.md."""
    lines = ["| instruction | who | what | when | why | reference |", "|---|---|---|---|---|---|"]
    for row in rows:
        when = ", ".join((*filter(None, [row.condition]), *row.modes)) or "always"
        cells = (few(row.mnemonics) or "all", row.who, few(row.what), when, row.reason, row.reference)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def few(names: tuple[str, ...]) -> str:
    """Return names as text, the first ones of many."""
    return (
        ", ".join(names)
        if len(names) <= _MOST_NAMES
        else f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"
    )
