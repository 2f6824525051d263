"""The hardware task switch that an interrupt through a task gate makes.

Intel SDM vol. 3, chapter 7. The old task is saved in its TSS and stays busy, the new one is linked to it and gets NT,
so that its IRET comes back. Jumps, calls and IRETs between tasks are the engine's own; this is only the interrupt.
"""

from struct import Struct

from minivm.core.record import record
from minivm.engine.cpustate import (
    CR0_PG,
    CR0_TS,
    CS,
    DESC_CODE,
    DESC_R,
    DESC_S,
    DS,
    ES,
    FS,
    GS,
    NT,
    SS,
    VM,
)
from minivm.engine.paging import Fault, Processor, check_writable, read_bytes, write_bytes, write_linear
from minivm.engine.segments import (
    TSS_BUSY,
    TYPE_LDT,
    Descriptor,
    descriptor_address,
    fill_cache,
    load_cache,
    load_vm86,
    mark_accessed,
    read_descriptor,
    update_hflags,
)

INVALID_TSS, NOT_PRESENT, STACK_FAULT, GENERAL_PROTECTION = 10, 11, 12, 13
HF_TS = 0x800  # the engine's copy of CR0.TS
_BUSY = TSS_BUSY << 8
_EFLAGS_16 = 0xFFFF
_EFLAGS_32 = 0x27_7FD7


@record
class _Layout:
    """Where a TSS keeps the dynamic state (SDM vol. 3, figures 7-2 and 7-10)."""

    smallest_limit: int
    dynamic: Struct  # EIP, EFLAGS, eight registers, the segment selectors
    dynamic_offset: int
    ldt_offset: int
    cr3_offset: int | None


_LAYOUT_16 = _Layout(0x2B, Struct("<10H4H"), 0x0E, 0x2A, None)
_LAYOUT_32 = _Layout(0x67, Struct("<10I" + "H2x" * 6), 0x20, 0x60, 0x1C)


def switch_task(processor: Processor, selector: int, *, return_ip: int, flags: int, external: int) -> None:
    """Switch to the task of the TSS `selector`, nested in the present one; raises `Fault`.

    `return_ip` and `flags` are saved in the old TSS. Faults before the switch leave everything as it was; those after
    it have `in_new_task` set.
    """
    head = processor.cpu.head
    new = _checked_tss(processor, selector, external)
    layout = _layout(new.high)
    image = layout.dynamic.unpack(read_bytes(processor, new.base + layout.dynamic_offset, layout.dynamic.size))
    ldt = int.from_bytes(read_bytes(processor, new.base + layout.ldt_offset, 2), "little")
    cr3 = head.cr[3]
    if layout.cr3_offset is not None:
        cr3 = int.from_bytes(read_bytes(processor, new.base + layout.cr3_offset, 4), "little")
    _save_old_task(processor, return_ip, flags)
    write_linear(processor, new.base, 2, head.tr.selector)
    address = descriptor_address(head, selector)
    if address is not None:
        write_linear(processor, address + 4, 4, new.high | _BUSY)
    load_cache(head.tr, selector, new)  # the engine keeps the busy bit in memory alone
    head.cr[0] |= CR0_TS
    head.hflags |= HF_TS
    if head.cr[0] & CR0_PG and cr3 != head.cr[3]:
        processor.load_cr3(cr3)
    try:
        _load_new_task(processor, layout, image, ldt, external)
    except Fault as fault:
        update_hflags(head)
        fault.in_new_task = True
        raise


def _layout(flags: int) -> _Layout:
    return _LAYOUT_32 if flags & 0x800 else _LAYOUT_16


def _checked_tss(processor: Processor, selector: int, external: int) -> Descriptor:
    """Return the TSS descriptor that a task gate points at; raises #GP, #NP or #TS with its selector."""
    code = (selector & 0xFFFC) | external
    if selector & 4 or not selector & 0xFFFC:
        raise Fault(GENERAL_PROTECTION, code, f"the task gate's selector {selector:04X}h is null or local")
    new = read_descriptor(processor, selector)
    if new is None:
        raise Fault(GENERAL_PROTECTION, code, f"the task gate's selector {selector:04X}h lies outside the GDT")
    if not new.is_tss or new.type & TSS_BUSY:
        raise Fault(GENERAL_PROTECTION, code, f"selector {selector:04X}h is no available TSS: {new}")
    if not new.present:
        raise Fault(NOT_PRESENT, code, f"the TSS {selector:04X}h is not present: {new}")
    if new.limit < _layout(new.high).smallest_limit:
        raise Fault(INVALID_TSS, code, f"the TSS {selector:04X}h has limit {new.limit:X}h, which is too short")
    return new


def _save_old_task(processor: Processor, return_ip: int, flags: int) -> None:
    """Store the dynamic state in the present task's TSS, and find out first that the new link can be stored."""
    head = processor.cpu.head
    layout = _layout(head.tr.flags)
    mask = 0xFFFF_FFFF if layout is _LAYOUT_32 else 0xFFFF
    words = [return_ip & mask, flags & mask, *(head.regs[index] & mask for index in range(8))]
    count = 6 if layout is _LAYOUT_32 else 4
    words += [head.segs[index].selector & 0xFFFF for index in range(count)]
    check_writable(processor, head.tr.base + layout.dynamic_offset, layout.dynamic.size)
    data = layout.dynamic.pack(*words)
    write_bytes(processor, head.tr.base + layout.dynamic_offset, data)


def _load_new_task(processor: Processor, layout: _Layout, image: tuple[int, ...], ldt: int, external: int) -> None:
    """Load registers, flags, LDT and segments of the new task (SDM vol. 3, section 7.3, steps 9 to 13)."""
    head = processor.cpu.head
    selectors = (*image[10:], 0, 0)[:6]
    high_half = 0 if layout is _LAYOUT_32 else 0xFFFF_0000
    head.eip = image[0]
    flags = image[1] & (_EFLAGS_32 if layout is _LAYOUT_32 else _EFLAGS_16)
    processor.cpu.rflags = flags | NT
    for index in range(8):
        head.regs[index] = image[2 + index] | high_half
    for index, selector in enumerate(selectors):
        if flags & VM:
            load_vm86(head, index, selector)
        else:
            fill_cache(head.segs[index], selector, 0, 0, 0)
    fill_cache(head.ldt, ldt, 0, 0, 0)
    update_hflags(head)
    _load_ldt(processor, ldt, external)
    if not flags & VM:
        for index in (CS, SS, ES, DS, FS, GS):
            _load_segment(processor, index, selectors[index], selectors[CS] & 3, external)
    update_hflags(head)
    if head.eip > head.segs[CS].limit:
        raise Fault(GENERAL_PROTECTION, external, f"the new task's EIP {head.eip:X}h is beyond its CS limit")


def _load_ldt(processor: Processor, selector: int, external: int) -> None:
    if not selector & 0xFFFC:
        return
    code = (selector & 0xFFFC) | external
    ldt = None if selector & 4 else read_descriptor(processor, selector)
    if ldt is None or ldt.high & DESC_S or ldt.type != TYPE_LDT or not ldt.present:
        raise Fault(INVALID_TSS, code, f"the new task's LDT {selector:04X}h is no LDT: {ldt}")
    load_cache(processor.cpu.head.ldt, selector, ldt)


def _load_segment(processor: Processor, index: int, selector: int, level: int, external: int) -> None:
    """Load one segment register of the new task, with the checks of SDM vol. 3, table 7-1."""
    code = (selector & 0xFFFC) | external
    if not selector & 0xFFFC:
        if index in (CS, SS):
            raise Fault(INVALID_TSS, code, "the new task's CS or SS is null")
        return
    found = read_descriptor(processor, selector)
    if found is None or not _suits(found, index, selector, level):
        raise Fault(INVALID_TSS, code, f"the new task's selector {selector:04X}h does not fit its register: {found}")
    if not found.present:
        vector = STACK_FAULT if index == SS else NOT_PRESENT
        raise Fault(vector, code, f"the new task's segment {selector:04X}h is not present: {found}")
    load_cache(processor.cpu.head.segs[index], selector, mark_accessed(processor, selector, found))


def _suits(found: Descriptor, index: int, selector: int, level: int) -> bool:
    """Return whether a descriptor's type and privilege allow it in segment register `index`."""
    requested = selector & 3
    if index == CS:
        return found.is_code and (found.dpl <= requested if found.is_conforming else found.dpl == requested)
    if index == SS:
        return found.is_writable_data and found.dpl == level == requested
    if not found.high & DESC_S or found.high & (DESC_CODE | DESC_R) == DESC_CODE:
        return False
    return (found.is_code and found.is_conforming) or found.dpl >= max(level, requested)
