"""Segment descriptors: how the CPU reads one, checks it, and loads a segment register's hidden part.

Intel SDM vol. 3, section 3.4. The engine derives a few bits of its own (hflags) from the loaded segments; whoever loads
a segment calls `update_hflags` before guest code runs again.
"""

from struct import Struct
from typing import NamedTuple

from minivm.engine.cpustate import (
    CR0_PE,
    CS,
    DESC_A,
    DESC_B,
    DESC_C,
    DESC_CODE,
    DESC_DPL_SHIFT,
    DESC_G,
    DESC_L,
    DESC_P,
    DESC_S,
    DESC_TYPE_SHIFT,
    DESC_W,
    DS,
    ES,
    HF_ADDSEG,
    HF_CPL,
    HF_CS32,
    HF_CS64,
    HF_IOPL,
    HF_LMA,
    HF_SS32,
    HF_TF,
    HF_VM,
    SS,
    VM,
    CpuHead,
    SegmentCache,
)
from minivm.engine.paging import Processor, read_bytes, write_linear

TYPE_LDT, TYPE_TASK_GATE = 2, 5
TSS_BUSY = 2  # in the type field; in the high word it is 200h
_TWO_WORDS = Struct("<II").unpack
_DERIVED = HF_CPL | HF_CS32 | HF_SS32 | HF_ADDSEG | HF_CS64 | HF_TF | HF_IOPL | HF_VM
_VM86_FLAGS = DESC_P | DESC_S | DESC_W | DESC_A | 3 << DESC_DPL_SHIFT


class Descriptor(NamedTuple):
    """The eight bytes of a segment or system descriptor, as two words (SDM vol. 3, figure 3-8)."""

    low: int
    high: int

    @property
    def base(self) -> int:
        """The segment's linear base, 32 bits."""
        return self.low >> 16 | (self.high & 0xFF) << 16 | (self.high & 0xFF00_0000)

    @property
    def limit(self) -> int:
        """The last valid offset, with the granularity applied."""
        limit = (self.low & 0xFFFF) | (self.high & 0xF_0000)
        return limit << 12 | 0xFFF if self.high & DESC_G else limit

    @property
    def dpl(self) -> int:
        """The descriptor's privilege level."""
        return self.high >> DESC_DPL_SHIFT & 3

    @property
    def type(self) -> int:
        """The four type bits (SDM vol. 3, tables 3-1 and 3-2)."""
        return self.high >> DESC_TYPE_SHIFT & 0xF

    @property
    def present(self) -> bool:
        """Whether the segment is in memory."""
        return bool(self.high & DESC_P)

    @property
    def is_code(self) -> bool:
        """Whether this is a code segment (not data, not a system descriptor)."""
        return self.high & (DESC_S | DESC_CODE) == DESC_S | DESC_CODE

    @property
    def is_conforming(self) -> bool:
        """Whether this code segment keeps the caller's privilege."""
        return bool(self.high & DESC_C)

    @property
    def is_writable_data(self) -> bool:
        """Whether this can be a stack: data, writable."""
        return self.high & (DESC_S | DESC_CODE | DESC_W) == DESC_S | DESC_W

    @property
    def is_tss(self) -> bool:
        """Whether this is a task state segment, 16- or 32-bit, busy or not."""
        return not self.high & DESC_S and self.type & 0x5 == 1

    def __str__(self) -> str:
        kind = "code" if self.is_code else "data" if self.high & DESC_S else f"system type {self.type}"
        presence = "present" if self.present else "not present"
        return f"{self.high:08X}:{self.low:08X} ({kind}, base {self.base:X}h, DPL {self.dpl}, {presence})"


def descriptor_address(head: CpuHead, selector: int) -> int | None:
    """Return the linear address of the selector's descriptor, or None when it lies outside its table."""
    table = head.ldt if selector & 4 else head.gdt
    index = selector & 0xFFF8
    if index + 7 > table.limit:
        return None
    address: int = table.base + index
    return address


def read_descriptor(processor: Processor, selector: int) -> Descriptor | None:
    """Return the selector's descriptor, or None when it lies outside its table; raises `PageFault`.

    A null selector is not treated specially: entry 0 of the GDT is returned.
    """
    address = descriptor_address(processor.cpu.head, selector)
    if address is None:
        return None
    return Descriptor._make(_TWO_WORDS(read_bytes(processor, address, 8)))


def mark_accessed(processor: Processor, selector: int, descriptor: Descriptor) -> Descriptor:
    """Set the accessed bit in the descriptor in memory, if it is clear, and return the descriptor as it is now."""
    if descriptor.high & DESC_A:
        return descriptor
    address = descriptor_address(processor.cpu.head, selector)
    if address is not None:
        write_linear(processor, address + 5, 1, (descriptor.high | DESC_A) >> 8 & 0xFF)
    return Descriptor(descriptor.low, descriptor.high | DESC_A)


def fill_cache(cache: SegmentCache, selector: int, base: int, limit: int, flags: int) -> None:
    """Load all four parts of a segment register or system register."""
    cache.selector, cache.base, cache.limit, cache.flags = selector, base, limit, flags


def load_cache(cache: SegmentCache, selector: int, descriptor: Descriptor) -> None:
    """Load a segment or system register from its descriptor; the caller has checked everything."""
    fill_cache(cache, selector, descriptor.base, descriptor.limit, descriptor.high)


def load_vm86(head: CpuHead, index: int, selector: int) -> None:
    """Load segment register `index` as virtual-8086 mode does: base = selector * 16, 64 KiB, DPL 3."""
    fill_cache(head.segs[index], selector, selector << 4, 0xFFFF, _VM86_FLAGS)


def stack_mask(flags: int) -> int:
    """Return which bits of ESP a stack segment with these flags uses."""
    return 0xFFFF_FFFF if flags & DESC_B else 0xFFFF


def fits(limit: int, flags: int, start: int, length: int) -> bool:
    """Return whether [start, start + length) lies in a data segment, expand-down ones too (SDM vol. 3, 5.3)."""
    if flags & DESC_C and not flags & DESC_CODE:  # in a data segment this bit means expand-down
        return start > limit and start + length - 1 <= stack_mask(flags)
    return start + length - 1 <= limit


def update_hflags(head: CpuHead) -> None:
    """Derive the engine's mode bits from the segment registers: CPL, CS32, SS32, ADDSEG and CS64.

    The engine takes the privilege level from SS (SDM vol. 3, section 5.5: CPL is SS.DPL). TF, IOPL and VM are cleared:
    the engine ORs them in from EFLAGS, and a copy left here would outlive a POPF.
    """
    segments = head.segs
    code, stack = segments[CS].flags, segments[SS]
    stack_flags = stack.flags
    hflags = (head.hflags & ~_DERIVED) | (stack_flags >> DESC_DPL_SHIFT & HF_CPL)
    if stack_flags & DESC_B:
        hflags |= HF_SS32
    if hflags & HF_LMA and code & DESC_L:
        head.hflags = hflags | HF_CS64 | HF_CS32
        return
    if code & DESC_B:
        hflags |= HF_CS32
    flat = hflags & HF_CS32 and head.cr[0] & CR0_PE and not head.eflags & VM
    if not flat or stack.base or segments[DS].base or segments[ES].base:
        hflags |= HF_ADDSEG
    head.hflags = hflags
