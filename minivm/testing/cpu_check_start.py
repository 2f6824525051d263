"""Where a checked program begins: memory, tables and registers of each mode, the same for every way to run it.

256 KiB: code at 10000h, data at 20000h; the stack at 0 and tables at 30000h, in real mode the other way round. In
16-bit modes these areas are segments; in long mode pages keep a program in. Every vector leads to a stub of one HLT, so
a program always ends with HLT: its own, or that of the vector that it raised.
"""

from functools import cache
from hashlib import shake_256
from struct import pack

from minivm.core.record import record
from minivm.engine.cpustate import CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME, EFER_SCE, GENERAL_64

RAM_BYTES = 0x4_0000
CODE, DATA, HIGH, AREA = 0x1_0000, 0x2_0000, 0x3_0000, 0x1_0000
STUBS = 0x3000
"""Where in the area of tables the stubs are; in real mode and from the descriptor `STUB_CODE` their offset."""
TSS, GDT, IDT, KERNEL_STACK, TABLES = (HIGH + offset for offset in (0x600, 0x800, 0x1000, 0x5000, 0x8000))
STACK_POINTER = 0x8000
VECTORS = 256
FLAGS = 0x202

STUB_CODE, OWN_CODE, OWN_DATA, OWN_STACK, TASK = 0x08, 0x10, 0x18, 0x20, 0x28
READ_ONLY, ABSENT, DOWNWARDS, CONFORMING, EMPTY = 0x38, 0x40, 0x48, 0x50, 0x58
SELECTORS = (OWN_DATA, OWN_STACK, OWN_CODE, READ_ONLY, ABSENT, DOWNWARDS, CONFORMING, EMPTY, TASK, 0, 3, 0x7FF8)
"""What programs load into segment registers in protected mode: some of it may not be."""

_CR0 = 0x32 | CR0_PE  # MP, ET, NE
_CR4 = 0x600  # OSFXSR, OSXMMEXCPT
_4G, _64K = 0xFFFF_FFFF, 0xFFFF
_POINTERS = ("rbx", "rbp", "rsi", "rdi")


@record
class Segment:
    """A segment register; `flags` is the descriptor's high word."""

    selector: int
    base: int
    limit: int
    flags: int


@record
class Mode:
    """One mode of the processor: its name, the width of its code in bits, its privilege, and what makes it so.

    `flat` modes have segments without bases; long mode has paging. `segments` are in the order of the instruction
    encoding.
    """

    name: str
    bits: int
    cpl: int
    flat: bool
    cr0: int
    cr4: int
    efer: int
    segments: tuple[Segment, ...]

    @property
    def code_base(self) -> int:
        """What is added to the instruction pointer."""
        return 0 if self.flat else CODE

    @property
    def start_ip(self) -> int:
        """The instruction pointer at which a program begins."""
        return CODE if self.flat else 0

    @property
    def data_offset(self) -> int:
        """The offset of the data area in DS."""
        return DATA if self.flat else 0

    @property
    def stack_base(self) -> int:
        """Where SS begins."""
        return 0 if self.protected else HIGH

    @property
    def tables(self) -> int:
        """Where the area of tables begins."""
        return HIGH if self.protected else 0

    @property
    def long(self) -> bool:
        """True in long mode, also in its compatible half."""
        return bool(self.efer)

    @property
    def protected(self) -> bool:
        """True where selectors choose descriptors."""
        return self.name != "real"


@record
class Start:
    """A program's registers and data: `general` are the 16 general registers, `xmm` 16 numbers."""

    general: tuple[int, ...]
    xmm: tuple[int, ...]
    data: bytes


def _real() -> Mode:
    segments = [Segment(base >> 4, base, _64K, 0x9300) for base in (DATA, CODE, HIGH, DATA, DATA, DATA)]
    return Mode("real", 16, 0, False, _CR0 & ~CR0_PE, _CR4, 0, tuple(segments))


def _protected16() -> Mode:
    kinds = ((OWN_DATA, DATA), (OWN_CODE, CODE), (OWN_STACK, 0), *[(OWN_DATA, DATA)] * 3)
    segments = [Segment(selector, base, _64K, 0x9B00 if selector == OWN_CODE else 0x9300) for selector, base in kinds]
    return Mode("protected16", 16, 0, False, _CR0, _CR4, 0, tuple(segments))


def _protected32() -> Mode:
    code, data = Segment(OWN_CODE, 0, _4G, 0xCF_9B00), Segment(OWN_DATA, 0, _4G, 0xCF_9300)
    return Mode("protected32", 32, 0, True, _CR0, _CR4, 0, (data, code, data, data, data, data))


def _long(name: str, bits: int) -> Mode:
    code = Segment(OWN_CODE | 3, 0, _4G, 0xAF_FB00 if bits == 64 else 0xCF_FB00)
    data = Segment(OWN_DATA | 3, 0, _4G, 0xCF_F300)
    efer = EFER_LME | EFER_LMA | EFER_SCE
    return Mode(name, bits, 3, True, _CR0 | CR0_PG, _CR4 | CR4_PAE, efer, (data, code, data, data, data, data))


MODES = {
    mode.name: mode
    for mode in (_real(), _protected16(), _protected32(), _long("compatibility32", 32), _long("long", 64))
}
"""Real; protected, with segments and flat, at level 0; long mode's two halves at level 3."""


def random_start(mode: Mode, seed: bytes) -> Start:
    """Return registers and data that follow from `seed` alone; some registers point into the data."""
    stream = shake_256(seed).digest(16 * 8 + 16 * 16 + 0x1000)
    general = [int.from_bytes(stream[8 * index : 8 * index + 8], "little") for index in range(16)]
    width = 64 if mode.bits == 64 else 32
    for index, name in enumerate(GENERAL_64):
        if name in _POINTERS:
            general[index] = mode.data_offset + (general[index] & 0xFFFC)
        elif name == "rsp":
            general[index] = STACK_POINTER
        general[index] &= (1 << width) - 1
        if width == 32 and index >= 8:
            general[index] = 0
    xmm = [int.from_bytes(stream[128 + 16 * index : 144 + 16 * index], "little") for index in range(16)]
    if width == 32:
        xmm[8:] = [0] * 8
    return Start(tuple(general), tuple(xmm), stream[384:] * (AREA // 0x1000))


def image(mode: Mode, start: Start, code: bytes) -> bytes:
    """Return all of memory, with `code` at the program's beginning."""
    ram = bytearray(_tables(mode.name))
    ram[DATA : DATA + AREA] = start.data
    ram[CODE : CODE + len(code)] = code
    return bytes(ram)


@cache
def _tables(name: str) -> bytes:
    """Return memory with the tables of a mode, and nothing else."""
    mode, ram = MODES[name], bytearray(RAM_BYTES)
    ram[mode.tables + STUBS : mode.tables + STUBS + VECTORS] = b"\xf4" * VECTORS
    for vector in range(VECTORS):
        gate, size = _gate(mode, STUBS + vector + (HIGH if mode.long else 0))
        at = vector * size + (IDT if mode.protected else 0)
        ram[at : at + size] = gate
    if mode.protected:
        _fill_gdt(ram, mode)
    if mode.long:
        _fill_page_tables(ram)
    return bytes(ram)


def _gate(mode: Mode, stub: int) -> tuple[bytes, int]:
    if not mode.protected:
        return pack("<HH", stub, 0), 4
    size = 16 if mode.long else 8
    return pack("<HHHHQ", stub & 0xFFFF, STUB_CODE, 0xEE00, stub >> 16, 0)[:size], size


def _fill_gdt(ram: bytearray, mode: Mode) -> None:
    wide = 0x40_0000 if mode.bits == 32 else 0
    kernel = 0xAF_9B00 if mode.long else wide | 0x9B00
    entries = {STUB_CODE: (0 if mode.long else HIGH, _64K, kernel), TASK: (TSS, 0x67, 0x8B00)}
    entries |= {one.selector & ~3: (one.base, one.limit, one.flags) for one in reversed(mode.segments)}
    entries |= {
        READ_ONLY: (DATA, 0x7FFF, wide | 0x9100), ABSENT: (DATA, _64K, wide | 0x1300),
        DOWNWARDS: (DATA, 0x3FFF, 0x9700), CONFORMING: (DATA, _64K, wide | 0x9F00),
    }  # fmt: skip
    for selector, (base, limit, flags) in entries.items():
        high = flags | base & 0xFF00_0000 | base >> 16 & 0xFF | (0xF_0000 if limit > _64K else 0)
        ram[GDT + selector : GDT + selector + 8] = pack("<HHI", limit & _64K, base & _64K, high)
    ram[TSS + 4 : TSS + 12] = pack("<Q", KERNEL_STACK)


def _fill_page_tables(ram: bytearray) -> None:
    """Map memory one to one: the program's areas for level 3, the rest for level 0; all accessed and dirty."""
    for depth in range(3):
        at = TABLES + 0x1000 * depth
        ram[at : at + 8] = pack("<Q", at + 0x1000 | 0x67)
    for page in range(RAM_BYTES >> 12):
        address = page << 12
        rights = 0x63 if address >= HIGH else 0x65 if CODE <= address < DATA else 0x67
        ram[TABLES + 0x3000 + 8 * page : TABLES + 0x3008 + 8 * page] = pack("<Q", address | rights)
