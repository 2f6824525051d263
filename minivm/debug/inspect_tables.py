"""Descriptor tables in words: GDT, LDT, IDT, the real-mode vector table, and the task state segment.

Intel SDM vol. 3, chapters 3 (descriptors), 6 (gates) and 7 (tasks). Reading changes nothing; what lies in no memory
ends a table.
"""

from collections.abc import Iterator

from minivm.core.record import record, replace
from minivm.debug.inspect_paging import peek
from minivm.engine.cpustate import HF_LMA, HF_PE, SegmentCache
from minivm.engine.paging import Processor
from minivm.engine.segments import TYPE_TASK_GATE, Descriptor

_SYSTEM_KINDS = {
    1: "available 16-bit TSS", 2: "LDT", 3: "busy 16-bit TSS", 4: "16-bit call gate", 5: "task gate",
    6: "16-bit interrupt gate", 7: "16-bit trap gate", 9: "available 32-bit TSS", 11: "busy 32-bit TSS",
    12: "32-bit call gate", 14: "32-bit interrupt gate", 15: "32-bit trap gate",
}  # fmt: skip
_LONG_KINDS = {
    2: "LDT", 9: "available 64-bit TSS", 11: "busy 64-bit TSS", 12: "64-bit call gate", 14: "64-bit interrupt gate",
    15: "64-bit trap gate",
}  # fmt: skip
_GATES = frozenset({4, 5, 6, 7, 12, 14, 15})
_WIDE_IN_LONG_MODE = frozenset({2, 9, 11, 12})


@record
class TableEntry:
    """One entry of a descriptor or vector table.

    `selector` loads it (an IDT's entry has none), `address` is linear. `base` and `limit` belong to segments, `target`
    (selector, offset) to gates and real-mode vectors; `flags` are words. `stack_table` is a 64-bit gate's IST number.
    """

    table: str
    index: int
    selector: int | None
    address: int
    raw: int
    kind: str
    present: bool
    dpl: int = 0
    base: int | None = None
    limit: int | None = None
    flags: tuple[str, ...] = ()
    target: tuple[int, int] | None = None
    stack_table: int = 0

    def __str__(self) -> str:
        place = f"{self.selector:04X}h" if self.selector is not None else f"{self.index:02X}h"
        return f"{self.table} {place}: {words_of(self)}"


def words_of(entry: TableEntry) -> str:
    """Return an entry's meaning as one line, without its place."""
    if entry.kind == "null" or entry.kind.startswith("reserved"):
        return entry.kind
    words = [entry.kind]
    if entry.base is not None and entry.limit is not None:
        words.append(f"base {entry.base:X}h, limit {entry.limit:X}h")
    if entry.target is not None:
        words.append(f"to {entry.target[0]:04X}:{entry.target[1]:0{4 if entry.target[1] < 0x10000 else 8}X}")
    if entry.stack_table:
        words.append(f"stack IST{entry.stack_table}")
    if entry.table != "IVT":
        words += [f"DPL {entry.dpl}", *entry.flags, "present" if entry.present else "not present"]
    return ", ".join(words)


def descriptor_entry(
    raw: int, *, table: str = "GDT", index: int = 0, selector: int | None = None, address: int = 0, long: bool = False
) -> TableEntry:
    """Return the meaning of a descriptor, 8 bytes, or 16 for a system descriptor in long mode."""
    found = Descriptor(raw & 0xFFFF_FFFF, raw >> 32 & 0xFFFF_FFFF)
    empty = TableEntry(table, index, selector, address, raw, "null", False)
    if raw == 0:
        return empty
    entry = replace(empty, present=found.present, dpl=found.dpl)
    if found.high & 0x1000:
        kind, flags = segment_kind(found.high, long=long), segment_flags(found.high)
        return replace(entry, kind=kind, base=found.base, limit=found.limit, flags=flags)
    kind = (_LONG_KINDS if long else _SYSTEM_KINDS).get(found.type, "")
    if not kind:
        return replace(entry, kind=f"reserved system type {found.type}")
    if found.type in _GATES:
        return _gate(replace(entry, kind=kind), found, long)
    base = found.base | (raw >> 64 & 0xFFFF_FFFF) << 32 if long else found.base
    return replace(entry, kind=kind, base=base, limit=found.limit)


def _gate(entry: TableEntry, found: Descriptor, long: bool) -> TableEntry:
    """Add where a gate leads (SDM vol. 3, figures 5-8, 5-9, 6-2 and 6-8)."""
    offset = found.low & 0xFFFF
    if found.type & 8:
        offset |= found.high & 0xFFFF_0000
    if long:
        offset |= (entry.raw >> 64 & 0xFFFF_FFFF) << 32
    is_call_gate = found.type & 7 == 4
    parameters = found.high & 0x1F if is_call_gate and not long else 0
    return replace(
        entry,
        target=(found.low >> 16, 0 if found.type == TYPE_TASK_GATE else offset),
        flags=(f"{parameters} parameters",) if parameters else (),
        stack_table=found.high & 7 if long and not is_call_gate else 0,
    )


def segment_kind(high: int, *, long: bool = False) -> str:
    """Return what a code or data segment with this high word is (SDM vol. 3, table 3-1)."""
    if high & 0x800:
        if long and high & 0x20_0000:
            return "64-bit code"
        return f"{32 if high & 0x40_0000 else 16}-bit code"
    return f"{32 if high & 0x40_0000 else 16}-bit data"


def segment_flags(high: int) -> tuple[str, ...]:
    """Return a code or data segment's attributes in words."""
    if high & 0x800:
        words = ["readable" if high & 0x200 else "execute-only", "conforming" if high & 0x400 else ""]
    else:
        words = ["writable" if high & 0x200 else "read-only", "expand-down" if high & 0x400 else ""]
    words += ["accessed" if high & 0x100 else "", "AVL" if high & 0x10_0000 else ""]
    return tuple(word for word in words if word)


def gdt(processor: Processor) -> Iterator[TableEntry]:
    """Yield the GDT's entries; null ones too."""
    table = processor.cpu.head.gdt
    yield from _descriptors(processor, "GDT", table.base, table.limit, 0)


def ldt(processor: Processor) -> Iterator[TableEntry]:
    """Yield the LDT's entries; none when LDTR is null."""
    table = processor.cpu.head.ldt
    if table.selector & 0xFFFC:
        yield from _descriptors(processor, "LDT", table.base, table.limit, 4)


def _descriptors(processor: Processor, name: str, base: int, limit: int, bit: int) -> Iterator[TableEntry]:
    long = bool(processor.cpu.head.hflags & HF_LMA)
    at = 0
    while at + 7 <= min(limit, 0xFFFF):
        raw = peek(processor, base + at, 8)
        if len(raw) < 8:
            return
        value = int.from_bytes(raw, "little")
        wide = long and not value >> 44 & 1 and value >> 40 & 0xF in _WIDE_IN_LONG_MODE
        if wide:
            value |= int.from_bytes(peek(processor, base + at + 8, 8), "little") << 64
        yield descriptor_entry(
            value, table=name, index=at // 8, selector=at | bit, address=base + at, long=long
        )  # fmt: skip
        at += 16 if wide else 8


def interrupt_table(processor: Processor) -> Iterator[TableEntry]:
    """Yield the entries of the table that interrupts go through now: the IVT in real mode, else the IDT."""
    for vector in range(256):
        entry = vector_entry(processor, vector)
        if entry is None:
            return
        yield entry


def vector_entry(processor: Processor, vector: int) -> TableEntry | None:
    """Return what interrupt `vector` goes through now, or None beyond the table's limit or without memory."""
    head = processor.cpu.head
    if not head.hflags & HF_PE:
        return _real_vector(processor, vector)
    long = bool(head.hflags & HF_LMA)
    size = 16 if long else 8
    if vector * size + size - 1 > head.idt.limit:
        return None
    address = head.idt.base + vector * size
    raw = peek(processor, address, size)
    if len(raw) < size:
        return None
    entry = descriptor_entry(int.from_bytes(raw, "little"), table="IDT", index=vector, address=address, long=long)
    if entry.kind == "null" or entry.kind.endswith(("interrupt gate", "trap gate", "task gate")):
        return entry
    return replace(entry, kind=f"no gate but {entry.kind}")


def _real_vector(processor: Processor, vector: int) -> TableEntry | None:
    table = processor.cpu.head.idt
    address = table.base + 4 * vector
    raw = peek(processor, address, 4)
    if 4 * vector + 3 > table.limit or len(raw) < 4:
        return None
    value = int.from_bytes(raw, "little")
    return TableEntry("IVT", vector, None, address, value, "real-mode vector", True,
                      target=(value >> 16, value & 0xFFFF))  # fmt: skip


def selector_entry(processor: Processor, selector: int) -> TableEntry | None:
    """Return the descriptor that `selector` names, or None when it is null, beyond its table or in no memory."""
    head = processor.cpu.head
    table = head.ldt if selector & 4 else head.gdt
    at = selector & 0xFFF8
    if not selector & 0xFFFC or at + 7 > table.limit:
        return None
    name = "LDT" if selector & 4 else "GDT"
    found = _descriptors(processor, name, table.base + at, min(table.limit - at, 15), selector & 4)
    entry = next(found, None)
    if entry is None:
        return None
    return descriptor_entry(
        entry.raw, table=name, index=at // 8, selector=selector, address=entry.address, long=bool(head.hflags & HF_LMA)
    )


def selector_words(selector: int) -> str:
    """Return the three parts of a selector in words (SDM vol. 3, figure 3-6)."""
    if not selector & 0xFFFC:
        return f"{selector:04X}h: null, RPL {selector & 3}"
    table = "LDT" if selector & 4 else "GDT"
    return f"{selector:04X}h: entry {selector >> 3} of the {table}, RPL {selector & 3}"


def table_segment_words(name: str, cache: SegmentCache) -> str:
    """Return LDTR or TR with its hidden part as one line."""
    if not cache.selector & 0xFFFC:
        return f"{name} {cache.selector:04X}h: null"
    return f"{name} {cache.selector:04X}h: base {cache.base:X}h, limit {cache.limit:X}h"


# -- the task state segment -----------------------------------------------------------------------------------------


@record
class TaskState:
    """The present task's TSS: its format, place, and each field that lies within its limit, by the manual's name."""

    bits: int
    base: int
    limit: int
    fields: tuple[tuple[str, int], ...]


_LAYOUT_16 = tuple((name, 2 * at, 2) for at, name in enumerate((
    "link", "SP0", "SS0", "SP1", "SS1", "SP2", "SS2", "IP", "FLAGS", "AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI",
    "ES", "CS", "SS", "DS", "LDT",
)))  # fmt: skip
_LAYOUT_32 = (
    ("link", 0, 2), ("ESP0", 4, 4), ("SS0", 8, 2), ("ESP1", 12, 4), ("SS1", 16, 2), ("ESP2", 20, 4), ("SS2", 24, 2),
    *((name, 28 + 4 * at, 4) for at, name in enumerate((
        "CR3", "EIP", "EFLAGS", "EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"))),
    *((name, 72 + 4 * at, 2) for at, name in enumerate(("ES", "CS", "SS", "DS", "FS", "GS", "LDT"))),
    ("T", 100, 2), ("I/O map base", 102, 2),
)  # fmt: skip
_LAYOUT_64 = (
    *((f"RSP{level}", 4 + 8 * level, 8) for level in range(3)),
    *((f"IST{number}", 28 + 8 * number, 8) for number in range(1, 8)),
    ("I/O map base", 102, 2),
)
_LAYOUTS = {16: _LAYOUT_16, 32: _LAYOUT_32, 64: _LAYOUT_64}


def task_state(processor: Processor) -> TaskState | None:
    """Return the TSS that TR points at, or None when TR is null (SDM vol. 3, figures 7-2, 7-10 and 7-11)."""
    head = processor.cpu.head
    task = head.tr
    if not head.hflags & HF_PE or not task.selector & 0xFFFC:
        return None
    bits = 64 if head.hflags & HF_LMA else 32 if task.flags >> 8 & 8 else 16
    raw = peek(processor, task.base, min(task.limit + 1, 104))
    fields = tuple(
        (name, int.from_bytes(raw[at : at + size], "little"))
        for name, at, size in _LAYOUTS[bits]
        if at + size <= len(raw)
    )
    return TaskState(bits, task.base, task.limit, fields)
