"""The CPU's registers as a structure laid over Unicorn's own memory.

Unicorn keeps the processor in QEMU's `CPUX86State`. Its first fields have been in the same order for years, and a
structure over them makes a register read nearly free. `Registers` adds the names a programmer uses (AX, FLAGS, CS)
and keeps the fields that depend on one another together (EFLAGS lives in four places, the mode in hflags).
"""

import ctypes
from collections.abc import Callable
from ctypes import c_int32, c_uint32, c_uint64

# EFLAGS (Intel SDM vol. 1, section 3.4.3)
CF, PF, AF, ZF, SF, TF, IF, DF, OF = 0x1, 0x4, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
IOPL_MASK, NT, RF, VM, AC, VIF, VIP, ID = 0x3000, 0x4000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000
ARITHMETIC = CF | PF | AF | ZF | SF | OF

# QEMU's hflags: what a translated block depends on (target/i386/cpu.h)
HF_CPL, HF_INHIBIT_IRQ, HF_CS32, HF_SS32, HF_ADDSEG, HF_PE, HF_TF = 0x3, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100
HF_IOPL, HF_LMA, HF_CS64, HF_VM = 0x3000, 0x4000, 0x8000, 0x2_0000
# The engine ORs these in from EFLAGS itself; a copy left in hflags would outlive the guest's next POPF or IRET.
_HF_FROM_EFLAGS = TF | IOPL_MASK | VM

CC_OP_EFLAGS = 1  # "all flags are in cc_src"

# Segment numbers, as the instruction encoding has them (SDM vol. 2, table 2-2)
ES, CS, SS, DS, FS, GS = range(6)
SEGMENT_NAMES = ("es", "cs", "ss", "ds", "fs", "gs")

# A descriptor's high word (SDM vol. 3, figure 3-8)
DESC_A, DESC_W, DESC_R, DESC_C, DESC_CODE, DESC_S = 0x100, 0x200, 0x200, 0x400, 0x800, 0x1000
DESC_DPL_SHIFT, DESC_P, DESC_AVL, DESC_L, DESC_B, DESC_G = 13, 0x8000, 0x10_0000, 0x20_0000, 0x40_0000, 0x80_0000
DESC_TYPE_SHIFT = 8

# CR0 and CR4 (SDM vol. 3, section 2.5)
CR0_PE, CR0_MP, CR0_EM, CR0_TS, CR0_ET, CR0_NE, CR0_WP, CR0_AM, CR0_PG = (
    0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x1_0000, 0x4_0000, 0x8000_0000,
)  # fmt: skip
CR4_PSE, CR4_PAE, CR4_PGE, CR4_SMEP, CR4_SMAP = 0x10, 0x20, 0x80, 0x10_0000, 0x20_0000
EFER_SCE, EFER_LME, EFER_LMA, EFER_NXE = 0x1, 0x100, 0x400, 0x800

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
GENERAL_64 = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
              "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")  # fmt: skip


class SegmentCache(ctypes.Structure):
    """A segment register with its hidden part; `flags` is the descriptor's high word as it stood in memory."""

    _fields_ = (("selector", c_uint32), ("base", c_uint64), ("limit", c_uint32), ("flags", c_uint32))
    selector: int
    base: int
    limit: int
    flags: int


class CpuHead(ctypes.Structure):
    """The beginning of QEMU's `CPUX86State`, which Unicorn's context buffer copies byte for byte."""

    _fields_ = (
        ("regs", c_uint64 * 16),
        ("eip", c_uint64),
        ("eflags", c_uint64),
        ("cc_dst", c_uint64),
        ("cc_src", c_uint64),
        ("cc_src2", c_uint64),
        ("cc_op", c_uint32),
        ("df", c_int32),
        ("hflags", c_uint32),
        ("hflags2", c_uint32),
        ("segs", SegmentCache * 6),
        ("ldt", SegmentCache),
        ("tr", SegmentCache),
        ("gdt", SegmentCache),
        ("idt", SegmentCache),
        ("cr", c_uint64 * 9),
        ("a20_mask", c_int32),
    )


class Registers:
    """The programmer's view of the CPU: every register by its name, read and written in place.

    `head` is the structure underneath. `arithmetic_flags` computes the six lazy flags (QEMU keeps only the operands
    of the last arithmetic instruction) and returns the whole EFLAGS word.
    """

    def __init__(self, head: CpuHead, arithmetic_flags: Callable[[], int] | None = None) -> None:
        self.head = head
        self._code_segment = head.segs[CS]
        self._arithmetic_flags = arithmetic_flags

    # -- flags ------------------------------------------------------------------------------------------------
    @property
    def rflags(self) -> int:
        """EFLAGS as PUSHF would show it, put together from the four places where QEMU keeps it."""
        head = self.head
        if head.cc_op != CC_OP_EFLAGS and self._arithmetic_flags is not None:
            return int(self._arithmetic_flags())
        direction = DF if head.df < 0 else 0
        return int((head.eflags & ~(ARITHMETIC | DF)) | (head.cc_src & ARITHMETIC) | direction | 0x2)

    @rflags.setter
    def rflags(self, value: int) -> None:
        head = self.head
        head.cc_op = CC_OP_EFLAGS
        head.cc_src = value & ARITHMETIC
        head.cc_dst = 0
        head.df = -1 if value & DF else 1
        head.eflags = (value & ~(ARITHMETIC | DF)) | 0x2
        head.hflags &= ~_HF_FROM_EFLAGS

    # -- mode -------------------------------------------------------------------------------------------------
    @property
    def cpl(self) -> int:
        """The current privilege level, 0 to 3."""
        return int(self.head.hflags & HF_CPL)

    @property
    def mode(self) -> str:
        """One of "real", "vm86", "16", "32" (protected, by CS), "compat16", "compat32", "64"."""
        hflags = self.head.hflags
        if not hflags & HF_PE:
            return "real"
        if self.head.eflags & VM:
            return "vm86"
        if hflags & HF_CS64:
            return "64"
        bits = "32" if hflags & HF_CS32 else "16"
        return f"compat{bits}" if hflags & HF_LMA else bits

    @property
    def code_bits(self) -> int:
        """How wide the current code segment's instructions are: 16, 32 or 64."""
        hflags = self.head.hflags
        return 64 if hflags & HF_CS64 else 32 if hflags & HF_CS32 else 16

    @property
    def linear_ip(self) -> int:
        """The linear address of the next instruction."""
        head = self.head
        if head.hflags & HF_CS64:
            return int(head.eip)
        return int(self._code_segment.base + head.eip) & 0xFFFF_FFFF

    def __getattr__(self, name: str) -> int:
        place = _NAMED.get(name)
        if place is None:
            raise AttributeError(f"the CPU has no register {name!r}")
        return place.get(self.head)

    def __setattr__(self, name: str, value: object) -> None:
        place = _NAMED.get(name)
        if place is None:
            object.__setattr__(self, name, value)
        elif isinstance(value, int):
            place.set(self.head, value)
        else:
            raise TypeError(f"register {name} takes a number, not {value!r}")

    @property
    def registers(self) -> dict[str, int]:
        """The same as `as_dict()`."""
        return self.as_dict()

    def as_dict(self) -> dict[str, int]:
        """Return the general registers, RIP, RFLAGS, selectors and control registers by name."""
        values = {name: getattr(self, name) for name in GENERAL_64}
        values |= {"rip": self.rip, "rflags": self.rflags}
        values |= {name: getattr(self, name) for name in SEGMENT_NAMES}
        return values | {name: getattr(self, name) for name in ("cr0", "cr2", "cr3", "cr4")}


class _Place:
    """Where a named register lies: a getter and a setter on the structure."""

    def __init__(self, get: Callable[[CpuHead], int], put: Callable[[CpuHead, int], None]) -> None:
        self.get = get
        self.set = put


def _general(index: int, shift: int, bits: int) -> _Place:
    mask = ((1 << bits) - 1) << shift
    keep = 0 if bits >= 32 else ~mask  # a 32-bit write clears the upper half (SDM vol. 1, section 3.4.1.1)

    def get(head: CpuHead) -> int:
        return int(head.regs[index] & mask) >> shift

    def put(head: CpuHead, value: int) -> None:
        head.regs[index] = (head.regs[index] & keep) | (value << shift & mask)

    return _Place(get, put)


def _segment_field(index: int, field: str) -> _Place:
    return _Place(lambda head: getattr(head.segs[index], field),
                  lambda head, value: setattr(head.segs[index], field, value))  # fmt: skip


def _table_field(table: str, field: str) -> _Place:
    return _Place(lambda head: getattr(getattr(head, table), field),
                  lambda head, value: setattr(getattr(head, table), field, value))  # fmt: skip


def _control(index: int) -> _Place:
    def put(head: CpuHead, value: int) -> None:
        head.cr[index] = value

    return _Place(lambda head: head.cr[index], put)


def _named_places() -> dict[str, _Place]:
    places = {name: _general(index, 0, 64) for index, name in enumerate(GENERAL_64)}
    for index, name in enumerate(("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")):
        places["e" + name] = _general(index, 0, 32)
        places[name] = _general(index, 0, 16)
    for index, letter in enumerate("acdb"):
        places[letter + "l"] = _general(index, 0, 8)
        places[letter + "h"] = _general(index, 8, 8)
    for index, name in enumerate(("spl", "bpl", "sil", "dil"), start=4):
        places[name] = _general(index, 0, 8)
    for index in range(8, 16):
        places |= {f"r{index}d": _general(index, 0, 32), f"r{index}w": _general(index, 0, 16)}
        places[f"r{index}b"] = _general(index, 0, 8)
    places["rip"] = _Place(lambda head: head.eip, lambda head, value: setattr(head, "eip", value))
    places["eip"] = places["ip"] = places["rip"]
    for index, name in enumerate(SEGMENT_NAMES):
        places[name] = _segment_field(index, "selector")
        places |= {f"{name}_{field}": _segment_field(index, field) for field in ("base", "limit", "flags")}
    for table in ("gdt", "idt", "ldt", "tr"):
        places |= {f"{table}_{field}": _table_field(table, field) for field in ("base", "limit", "selector", "flags")}
    places |= {f"cr{index}": _control(index) for index in (0, 2, 3, 4, 8)}
    return places


_NAMED = _named_places()
