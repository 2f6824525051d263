"""The inspectors: everything that the machine holds, as records and words, without changing anything.

Tables and tasks are in `inspect_tables`, paging in `inspect_paging`, chips and the interrupt path in `inspect_devices`;
here are the registers of the CPU itself, and the names of all the others.
"""

from minivm.core.describe import Decoded, Field, Register, decode, flag
from minivm.core.record import record
from minivm.debug.inspect_devices import (
    ChipReport,
    Interrupt,
    InterruptPath,
    RegisterReport,
    chip_names,
    inspect_chip,
    interrupt_path,
)
from minivm.debug.inspect_paging import (
    Node,
    Range,
    Step,
    WalkReport,
    children,
    entry_words,
    explain_walk,
    mappings,
    page_tables,
    peek,
    peek_number,
    physical_of,
    walk_text,
)
from minivm.debug.inspect_tables import (
    TableEntry,
    TaskState,
    descriptor_entry,
    gdt,
    interrupt_table,
    ldt,
    segment_flags,
    segment_kind,
    selector_entry,
    selector_words,
    task_state,
    vector_entry,
    words_of,
)
from minivm.engine.cpustate import HF_LMA, HF_PE, SEGMENT_NAMES, VM, Registers
from minivm.engine.paging import Processor

__all__ = [
    "CR0", "CR3", "CR4", "EFER", "EFLAGS", "ChipReport", "Interrupt", "InterruptPath", "Node", "Range",
    "RegisterReport", "Segment", "Step", "TableEntry", "TaskState", "WalkReport", "children", "chip_names",
    "control_registers", "descriptor_entry", "entry_words", "explain_walk", "flags_set", "gdt", "inspect_chip",
    "interrupt_path", "interrupt_table", "ldt", "mappings", "mode_words", "page_tables", "peek", "peek_number",
    "physical_of", "segment_flags", "segment_kind", "segment_words", "segments", "selector_entry", "selector_words",
    "task_state", "vector_entry", "walk_text", "words_of",
]  # fmt: skip

EFLAGS = Register("EFLAGS", "flags", 0, "rw", (
    flag("ID", 21, "CPUID is there"), flag("VIP", 20, "virtual interrupt pending"),
    flag("VIF", 19, "virtual interrupts on"),
    flag("AC", 18, "alignment check"), flag("VM", 17, "virtual-8086 mode"), flag("RF", 16, "resume"),
    flag("NT", 14, "nested task"), Field("IOPL", 13, 12, "I/O privilege level"), flag("OF", 11, "overflow"),
    flag("DF", 10, "strings go down", "strings go up"), flag("IF", 9, "interrupts on", "interrupts off"),
    flag("TF", 8, "single step"), flag("SF", 7, "negative"), flag("ZF", 6, "zero"), flag("AF", 4, "half carry"),
    flag("PF", 2, "even parity"), flag("CF", 0, "carry"),
))  # fmt: skip
CR0 = Register("CR0", "control register 0", 0, "rw", (
    flag("PG", 31, "paging on", "paging off"), flag("CD", 30, "cache off"), flag("NW", 29, "not write-through"),
    flag("AM", 18, "alignment mask"), flag("WP", 16, "read-only pages bind the supervisor, too"),
    flag("NE", 5, "FPU errors as #MF"), flag("ET", 4, "387"),
    flag("TS", 3, "task switched: the next FPU instruction is #NM"),
    flag("EM", 2, "FPU instructions are #NM"), flag("MP", 1, "WAIT obeys TS"),
    flag("PE", 0, "protected mode", "real mode"),
))  # fmt: skip
CR3 = Register("CR3", "page-table root", 0, "rw", (
    Field("root", 39, 12), flag("PCD", 4, "cache off"), flag("PWT", 3, "write-through"),
))  # fmt: skip
CR4 = Register("CR4", "control register 4", 0, "rw", (
    flag("SMAP", 21, "the supervisor may not touch user pages"),
    flag("SMEP", 20, "the supervisor may not execute user pages"), flag("OSXSAVE", 18, "XSAVE on"),
    flag("PCIDE", 17, "process contexts"), flag("FSGSBASE", 16, "RDFSBASE on"),
    flag("UMIP", 11, "SGDT and the like at CPL 0 only"),
    flag("OSXMMEXCPT", 10, "SIMD errors as #XM"), flag("OSFXSR", 9, "SSE on"), flag("PCE", 8, "RDPMC at any level"),
    flag("PGE", 7, "global pages"), flag("MCE", 6, "machine checks"), flag("PAE", 5, "8-byte page-table entries"),
    flag("PSE", 4, "4 MiB pages"), flag("DE", 3, "I/O breakpoints"), flag("TSD", 2, "RDTSC at CPL 0 only"),
    flag("PVI", 1, "virtual interrupts in protected mode"), flag("VME", 0, "virtual-8086 extensions"),
))  # fmt: skip
EFER = Register("EFER", "extended features", 0, "rw", (
    flag("NXE", 11, "no-execute pages"), flag("LMA", 10, "long mode active"), flag("LME", 8, "long mode enabled"),
    flag("SCE", 0, "SYSCALL on"),
))  # fmt: skip

_MODES = {
    "real": "real mode", "vm86": "virtual-8086 mode", "16": "16-bit protected mode", "32": "32-bit protected mode",
    "compat16": "16-bit compatibility mode", "compat32": "32-bit compatibility mode", "64": "64-bit mode",
}  # fmt: skip


def mode_words(cpu: Registers) -> str:
    """Return the CPU's mode and privilege level in words."""
    words = _MODES[cpu.mode]
    return words if cpu.mode == "real" else f"{words}, CPL {cpu.cpl}"


def control_registers(processor: Processor) -> dict[str, tuple[int, list[Decoded]]]:
    """Return CR0, CR2, CR3, CR4, EFER and EFLAGS: the value, and each field with its words (SDM vol. 3, 2.5)."""
    cpu = processor.cpu
    values = ((CR0, cpu.cr0), (CR3, cpu.cr3), (CR4, cpu.cr4), (EFER, processor.efer), (EFLAGS, cpu.rflags))
    found = {register.name: (value, decode(register, value)) for register, value in values}
    return {"CR0": found.pop("CR0"), "CR2": (cpu.cr2, []), **found}


def flags_set(value: int) -> list[str]:
    """Return the names of the flags that are set, high ones first; IOPL with its number when it is not 0."""
    return [
        f"IOPL={one.number}" if one.field.name == "IOPL" else one.field.name
        for one in decode(EFLAGS, value)
        if one.number
    ]


@record
class Segment:
    """A segment register with its hidden part: `words` says all of it in one line."""

    name: str
    selector: int
    base: int
    limit: int
    flags: int
    words: str


def segments(processor: Processor) -> list[Segment]:
    """Return ES, CS, SS, DS, FS and GS, as the CPU holds them (SDM vol. 3, section 3.4.3)."""
    head = processor.cpu.head
    return [
        Segment(name.upper(), cache.selector, cache.base, cache.limit, cache.flags, segment_words(processor, name))
        for name, cache in zip(SEGMENT_NAMES, head.segs, strict=True)
    ]


def segment_words(processor: Processor, name: str) -> str:
    """Return what the segment register `name` ("ds") means now, in one line."""
    head = processor.cpu.head
    cache = head.segs[SEGMENT_NAMES.index(name)]
    if not head.hflags & HF_PE or head.eflags & VM:
        return _real_segment_words(cache.selector, cache.base, cache.limit)
    long = bool(head.hflags & HF_LMA)
    if not cache.selector & 0xFFFC and name != "cs" and not cache.flags & 0x8000:
        return "null: " + ("base 0 in 64-bit code" if processor.cpu.code_bits == 64 else "any access is #GP")
    if processor.cpu.code_bits == 64 and name in ("es", "ss", "ds"):
        return f"DPL {cache.flags >> 13 & 3}; in 64-bit code base and limit do not count"
    words = [segment_kind(cache.flags, long=long), f"base {cache.base:X}h", f"limit {cache.limit:X}h"]
    words += [f"DPL {cache.flags >> 13 & 3}", *segment_flags(cache.flags)]
    return ", ".join(words)


def _real_segment_words(selector: int, base: int, limit: int) -> str:
    words = f"base {base:X}h" + (" = selector x 16" if base == selector << 4 else ", not selector x 16")
    return words if limit == 0xFFFF else f"{words}, limit {limit:X}h: loaded in protected mode (unreal mode)"
