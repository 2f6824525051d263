"""Interrupt delivery: how the CPU gets from an interrupt or exception to the first instruction of its handler.

Intel SDM vol. 3, chapters 6 (protected and long mode) and 20 (real and virtual-8086 mode), and vol. 2, INT n. Every
delivery has the same order: find the gate, check it, find the stack, check it, push the frame, then commit. A check
that fails raises `Fault` while all registers are still as they were. `raise_event` is the chain around it: a fault
during delivery is delivered in turn, becomes a double fault, or shuts the processor down.
"""

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from minivm.core.record import record
from minivm.engine.cpustate import (
    AC,
    CS,
    DESC_B,
    DESC_DPL_SHIFT,
    DESC_L,
    DESC_P,
    DS,
    ES,
    FS,
    GS,
    HF_CPL,
    HF_LMA,
    HF_PE,
    IF,
    IOPL_MASK,
    NT,
    RF,
    RSP,
    SS,
    TF,
    VM,
)
from minivm.engine.paging import (
    Fault,
    PageFault,
    Processor,
    describe_walk,
    is_canonical,
    read_bytes,
    read_linear,
    walk,
    write_bytes,
)
from minivm.engine.segments import (
    TYPE_TASK_GATE,
    Descriptor,
    fill_cache,
    fits,
    load_cache,
    mark_accessed,
    read_descriptor,
    stack_mask,
    update_hflags,
)
from minivm.engine.task_switch import switch_task

__all__ = ["Collapse", "Delivered", "Event", "Fault", "PageFault", "Processor", "deliver", "raise_event"]

DIVIDE, DEBUG, BREAKPOINT, OVERFLOW, DOUBLE_FAULT = 0, 1, 3, 4, 8
INVALID_TSS, NOT_PRESENT, STACK_FAULT, GENERAL_PROTECTION, PAGE_FAULT = 10, 11, 12, 13, 14

WITH_ERROR_CODE = frozenset({8, 10, 11, 12, 13, 14, 17, 21})
"""Exceptions that push an error code (SDM vol. 3, table 6-1); never for INT n and hardware interrupts."""
CONTRIBUTORY = frozenset({0, 10, 11, 12, 13, 21})
"""SDM vol. 3, table 6-4."""
FAULTS = frozenset({0, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19, 20, 21})
"""Exceptions that restart their instruction, and so push RF = 1 (SDM vol. 3, section 17.3.1.1)."""

_GATE_TYPES = frozenset({TYPE_TASK_GATE, 6, 7, 14, 15})
_LONG_GATE_TYPES = frozenset({14, 15})
_ALWAYS_CLEARED = TF | NT | RF | VM


class Event(NamedTuple):
    """Something to deliver: an exception, an INT n (`software`) or an interrupt from outside (`hardware`, also NMI).

    `return_ip` is the offset that the handler will return to. For INT n that lies behind the instruction, and
    `restart_ip` is where the instruction began: a fault during its delivery returns there.
    """

    vector: int
    return_ip: int
    software: bool = False
    hardware: bool = False
    error_code: int | None = None
    restart_ip: int | None = None


class Delivered(NamedTuple):
    """The CPU stands at a handler: that of `vector`. `chain` holds the vectors that failed before, with the reason."""

    vector: int
    chain: tuple[tuple[int, str], ...] = ()


@record
class Collapse:
    """The double fault could not be delivered either: the processor shuts down.

    `chain` holds each vector with why its delivery failed, `details` the page walks behind its page faults.
    """

    chain: tuple[tuple[int, str], ...]
    details: tuple[str, ...]


class _Delivery(NamedTuple):
    """One delivery under way."""

    processor: Processor
    vector: int
    software: bool
    external: int  # EXT, bit 0 of error codes: not the program's own INT n (SDM vol. 3, section 6.13)
    error_code: int | None  # None when none is pushed
    return_ip: int
    flags: int  # the image to push


class _Gate(NamedTuple):
    """What an IDT entry says, after its checks."""

    type: int
    selector: int
    offset: int
    interrupt_stack: int

    @property
    def masks_interrupts(self) -> bool:
        """Whether this is an interrupt gate, which clears IF; a trap gate leaves it."""
        return not self.type & 1


class _Stack(NamedTuple):
    """Where the frame goes: pointer, the bits of it that count, base, limit, flags; `selector` None keeps SS."""

    pointer: int
    mask: int
    base: int
    limit: int
    flags: int
    selector: int | None
    descriptor: Descriptor | None
    fault_code: int  # of the #SS when the frame does not fit


def raise_event(processor: Processor, event: Event) -> Delivered | Collapse:
    """Deliver `event`, and whatever exceptions its delivery causes, until one arrives or the CPU gives up.

    SDM vol. 3, table 6-5: two contributory exceptions, or a page fault followed by a page fault or a contributory
    exception, make a double fault; a fault while delivering that is the end. CR2 is set for each page fault.
    """
    chain: list[tuple[int, str]] = []
    details: list[str] = []
    while True:
        try:
            _deliver_event(processor, event)
            return Delivered(event.vector, tuple(chain))
        except Fault as fault:
            chain.append((event.vector, fault.reason))
            if isinstance(fault, PageFault):
                processor.cpu.head.cr[2] = fault.linear
                details.append(describe_walk(walk(processor, fault.linear)))
            if event.vector == DOUBLE_FAULT and not (event.software or event.hardware):
                return Collapse(tuple(chain), tuple(details))
            event = _next_event(processor, event, fault)


def _next_event(processor: Processor, event: Event, fault: Fault) -> Event:
    """Return what is delivered after `fault` interrupted the delivery of `event`."""
    return_ip = event.return_ip if event.restart_ip is None else event.restart_ip
    if fault.in_new_task:
        return_ip = processor.cpu.head.eip
    elif _doubles(event, fault):
        return Event(DOUBLE_FAULT, return_ip, error_code=0)
    return Event(fault.vector, return_ip, error_code=fault.error_code)


def _doubles(event: Event, fault: Fault) -> bool:
    if event.software or event.hardware:
        return False
    if event.vector == PAGE_FAULT:
        return fault.vector == PAGE_FAULT or fault.vector in CONTRIBUTORY
    return event.vector in CONTRIBUTORY and fault.vector in CONTRIBUTORY


def deliver(
    processor: Processor,
    vector: int,
    *,
    software: bool,
    error_code: int | None,
    return_ip: int,
    hardware: bool = False,
) -> None:
    """Deliver `vector` once, in whatever mode the CPU is; raises `Fault` when that is not possible.

    `software` is an INT n, INT3 or INTO (the gate's DPL is checked), `hardware` an interrupt from outside or an NMI;
    neither means an exception, for which `error_code` is pushed if its vector has one. `return_ip` is pushed.
    """
    _deliver_event(processor, Event(vector, return_ip, software, hardware, error_code))


def _deliver_event(processor: Processor, event: Event) -> None:
    vector, return_ip, software, hardware, error_code, _ = event
    cpu = processor.cpu
    exception = not (software or hardware)
    flags = cpu.rflags
    if exception and vector in FAULTS:
        flags |= RF
    code = (error_code or 0) if exception and vector in WITH_ERROR_CODE else None
    delivery = _Delivery(processor, vector, software, 0 if software else 1, code, return_ip, flags)
    hflags = cpu.head.hflags
    if not hflags & HF_PE:
        _deliver_real(delivery)
    elif hflags & HF_LMA:
        _deliver_long(delivery)
    else:
        _deliver_protected(delivery)


# -- real mode ------------------------------------------------------------------------------------------------------


_PLAIN_RAM_END = 0x9_FFF0
_VECTOR = Struct("<HH").unpack
_VECTOR_AT = Struct("<HH").unpack_from
_REAL_FRAME = Struct("<HHH").pack


def _deliver_real(delivery: _Delivery) -> None:
    """Take four bytes from the interrupt vector table, and push FLAGS, CS and IP (SDM vol. 3, section 20.1.4)."""
    processor = delivery.processor
    head = processor.cpu.head
    table, vector = head.idt, delivery.vector
    entry = table.base + vector * 4
    if vector * 4 + 3 > table.limit:
        raise Fault(GENERAL_PROTECTION, 0, f"vector {vector:02X}h lies beyond the IVT's limit {table.limit:X}h")
    memory = processor.space.memory
    if entry < _PLAIN_RAM_END:  # paging is off, and below 640 KiB nothing but RAM answers
        offset, selector = _VECTOR_AT(memory.view, entry)
    else:
        offset, selector = _VECTOR(read_bytes(processor, entry, 4))
    segments = head.segs
    code = segments[CS]
    words = (delivery.return_ip & 0xFFFF, code.selector & 0xFFFF, delivery.flags & 0xFFFF)
    pointer = head.regs[RSP]
    start = (pointer - 6) & 0xFFFF
    base = segments[SS].base
    if start <= 0xFFFA and base + start < _PLAIN_RAM_END:
        memory.write(base + start, _REAL_FRAME(*words))
    elif start <= 0xFFFA:
        write_bytes(processor, base + start, _REAL_FRAME(*words))
    else:
        _push_wrapping(processor, _Stack(pointer & 0xFFFF, 0xFFFF, base, 0xFFFF, 0, None, None, 0), words, 2, False)
    head.regs[RSP] = (pointer & ~0xFFFF) | start
    head.eip = offset
    code.selector = selector
    code.base = selector << 4
    head.eflags &= ~(IF | TF | AC | RF)


# -- protected mode and virtual-8086 mode -----------------------------------------------------------------------------


_GATE = Struct("<HHHH").unpack


def _deliver_protected(delivery: _Delivery) -> None:
    """Go through an 8-byte gate (SDM vol. 3, sections 6.11 and 6.12, and 20.3 for virtual-8086 mode)."""
    processor = delivery.processor
    head = processor.cpu.head
    gate = _protected_gate(delivery)
    if gate.type == TYPE_TASK_GATE:
        _through_task_gate(delivery, gate)
        return
    level = head.hflags & HF_CPL
    code = _handler_code(delivery, gate, level)
    new_level = level if code.is_conforming else code.dpl
    virtual = head.eflags & VM
    if virtual and new_level != 0:
        raise _selector_fault(delivery, gate.selector, "a virtual-8086 task's handler must run at level 0")
    stack = _inner_stack(delivery, new_level) if new_level < level else _same_stack(delivery)
    if gate.offset > code.limit:
        raise Fault(GENERAL_PROTECTION, delivery.external, f"the handler's EIP {gate.offset:X}h is beyond its CS limit")
    width = 4 if gate.type & 8 else 2
    pointer = _push(processor, stack, _frame(delivery, stack), width, new_level == 3)
    code = mark_accessed(processor, gate.selector, code)
    if stack.descriptor is not None and stack.selector is not None:
        load_cache(head.segs[SS], stack.selector, mark_accessed(processor, stack.selector, stack.descriptor))
    if virtual:
        for index in (ES, DS, FS, GS):
            fill_cache(head.segs[index], 0, 0, 0, 0)
    head.regs[RSP] = pointer if stack.mask == 0xFFFF_FFFF else (head.regs[RSP] & ~stack.mask) | pointer
    _enter(delivery, gate, code, new_level)


def _protected_gate(delivery: _Delivery) -> _Gate:
    """Read and check the IDT entry; raises #GP or #NP with the entry's number."""
    processor, vector = delivery.processor, delivery.vector
    head = processor.cpu.head
    if delivery.software and head.eflags & VM and head.eflags & IOPL_MASK != IOPL_MASK and vector not in (3, 4):
        raise Fault(GENERAL_PROTECTION, 0, f"INT {vector:02X}h in virtual-8086 mode needs IOPL 3")
    table = head.idt
    if vector * 8 + 7 > table.limit:
        raise _gate_fault(delivery, GENERAL_PROTECTION, f"lies beyond the IDT's limit {table.limit:X}h")
    offset, selector, attributes, high = _GATE(read_bytes(processor, table.base + vector * 8, 8))
    kind = attributes >> 8 & 0x1F
    if kind not in _GATE_TYPES:
        raise _gate_fault(delivery, GENERAL_PROTECTION, f"is no gate but type {kind:X}h")
    _check_gate(delivery, attributes)
    return _Gate(kind, selector, offset | high << 16 if kind & 8 else offset, 0)


def _check_gate(delivery: _Delivery, attributes: int) -> None:
    """Check the gate's privilege level, for software interrupts alone, and its present bit."""
    level = delivery.processor.cpu.head.hflags & HF_CPL
    dpl = attributes >> DESC_DPL_SHIFT & 3
    if delivery.software and dpl < level:
        raise _gate_fault(delivery, GENERAL_PROTECTION, f"has DPL {dpl}, and level {level} may not call it")
    if not attributes & DESC_P:
        raise _gate_fault(delivery, NOT_PRESENT, "is not present")


def _handler_code(delivery: _Delivery, gate: _Gate, level: int) -> Descriptor:
    """Read and check the code segment that a gate points at; raises #GP or #NP with its selector."""
    if not gate.selector & 0xFFFC:
        raise Fault(GENERAL_PROTECTION, delivery.external, f"the gate of vector {delivery.vector:02X}h has a null CS")
    code = read_descriptor(delivery.processor, gate.selector)
    if code is None:
        raise _selector_fault(delivery, gate.selector, "lies outside its descriptor table")
    if not code.is_code:
        raise _selector_fault(delivery, gate.selector, f"is no code segment: {code}")
    if code.dpl > level:
        raise _selector_fault(delivery, gate.selector, f"has DPL {code.dpl}, outside level {level}")
    if not code.present:
        raise _selector_fault(delivery, gate.selector, f"is not present: {code}", NOT_PRESENT)
    return code


def _same_stack(delivery: _Delivery) -> _Stack:
    """The frame goes on the stack in use."""
    head = delivery.processor.cpu.head
    stack = head.segs[SS]
    flags = stack.flags
    mask = stack_mask(flags)
    return _Stack(head.regs[RSP] & mask, mask, stack.base, stack.limit, flags, None, None, delivery.external)


def _inner_stack(delivery: _Delivery, level: int) -> _Stack:
    """Take SS:ESP for `level` from the TSS and check them; raises #TS, or #SS when the segment is not present."""
    pointer, selector = _stack_from_tss(delivery, level)
    if not selector & 0xFFFC:
        raise Fault(INVALID_TSS, delivery.external, f"the TSS's stack for level {level} is null")
    stack = read_descriptor(delivery.processor, selector)
    if stack is None:
        raise _selector_fault(delivery, selector, "(SS in the TSS) lies outside its descriptor table", INVALID_TSS)
    if selector & 3 != level or stack.dpl != level or not stack.is_writable_data:
        raise _selector_fault(delivery, selector, f"(SS in the TSS) is no level-{level} stack: {stack}", INVALID_TSS)
    if not stack.present:
        raise _selector_fault(delivery, selector, f"(SS in the TSS) is not present: {stack}", STACK_FAULT)
    mask = stack_mask(stack.high)
    code = (selector & 0xFFFC) | delivery.external
    return _Stack(pointer & mask, mask, stack.base, stack.limit, stack.high, selector, stack, code)


def _stack_from_tss(delivery: _Delivery, level: int) -> tuple[int, int]:
    """Return the stack pointer and selector for `level` (SDM vol. 3, figures 7-2 and 7-10)."""
    processor = delivery.processor
    task = processor.cpu.head.tr
    width = 4 if task.flags >> 8 & 8 else 2
    offset = (level * 2 + 1) * width
    if offset + 2 * width - 1 > task.limit:
        raise _selector_fault(delivery, task.selector, f"(TSS) ends before the stack of level {level}", INVALID_TSS)
    words = read_bytes(processor, task.base + offset, 2 * width)
    return int.from_bytes(words[:width], "little"), int.from_bytes(words[width : width + 2], "little")


def _frame(delivery: _Delivery, stack: _Stack) -> tuple[int, ...]:
    """Return what is pushed, lowest address first: error code, IP, CS, FLAGS, SP, SS, and a v86 task's segments."""
    head = delivery.processor.cpu.head
    segments = head.segs
    frame: tuple[int, ...] = (delivery.return_ip, segments[CS].selector, delivery.flags)
    if delivery.error_code is not None:
        frame = (delivery.error_code, *frame)
    if stack.selector is None:
        return frame
    frame += (head.regs[RSP], segments[SS].selector)
    if head.eflags & VM:
        frame += tuple(segments[index].selector for index in (ES, DS, FS, GS))
    return frame


def _through_task_gate(delivery: _Delivery, gate: _Gate) -> None:
    """Switch to the gate's task; the error code goes on its stack (SDM vol. 3, sections 6.12.2 and 7.3)."""
    processor = delivery.processor
    switch_task(
        processor, gate.selector, return_ip=delivery.return_ip, flags=delivery.flags, external=delivery.external
    )
    if delivery.error_code is None:
        return
    head = processor.cpu.head
    width = 4 if head.tr.flags >> 8 & 8 else 2
    stack = _same_stack(delivery)
    try:
        pointer = _push(processor, stack, (delivery.error_code,), width, head.hflags & HF_CPL == 3)
    except Fault as fault:
        fault.in_new_task = True
        raise
    head.regs[RSP] = (head.regs[RSP] & ~stack.mask) | pointer


# -- long mode ------------------------------------------------------------------------------------------------------


def _deliver_long(delivery: _Delivery) -> None:
    """Go through a 16-byte gate, always pushing SS and RSP (SDM vol. 3, section 6.14)."""
    processor = delivery.processor
    head = processor.cpu.head
    gate = _long_gate(delivery)
    level = head.hflags & HF_CPL
    code = _handler_code(delivery, gate, level)
    if code.high & (DESC_L | DESC_B) != DESC_L:
        raise _selector_fault(delivery, gate.selector, f"is no 64-bit code segment: {code}")
    new_level = level if code.is_conforming else code.dpl
    pointer = _long_stack(delivery, gate, new_level, level)
    if not is_canonical(processor, gate.offset):
        raise Fault(GENERAL_PROTECTION, delivery.external, f"the handler's address {gate.offset:X}h is not canonical")
    frame = _long_frame(delivery)
    pointer = (pointer & ~0xF) - 8 * len(frame) & 0xFFFF_FFFF_FFFF_FFFF
    if not is_canonical(processor, pointer):
        raise Fault(STACK_FAULT, delivery.external, f"the stack pointer {pointer:X}h is not canonical")
    write_bytes(processor, pointer, _packer(8, len(frame))(*frame), new_level == 3)
    code = mark_accessed(processor, gate.selector, code)
    if new_level != level:  # a null SS, whose RPL and hidden DPL are the new level
        fill_cache(head.segs[SS], new_level, 0, 0, new_level << DESC_DPL_SHIFT)
    head.regs[RSP] = pointer
    _enter(delivery, gate, code, new_level)


def _long_frame(delivery: _Delivery) -> tuple[int, ...]:
    head = delivery.processor.cpu.head
    frame = (delivery.return_ip, head.segs[CS].selector, delivery.flags, head.regs[RSP], head.segs[SS].selector)
    return frame if delivery.error_code is None else (delivery.error_code, *frame)


def _long_gate(delivery: _Delivery) -> _Gate:
    """Read and check a 16-byte IDT entry (SDM vol. 3, figure 6-8)."""
    processor, vector = delivery.processor, delivery.vector
    table = processor.cpu.head.idt
    if vector * 16 + 15 > table.limit:
        raise _gate_fault(delivery, GENERAL_PROTECTION, f"lies beyond the IDT's limit {table.limit:X}h")
    entry = int.from_bytes(read_bytes(processor, table.base + vector * 16, 12), "little")
    attributes = entry >> 32 & 0xFFFF
    kind = attributes >> 8 & 0x1F
    if kind not in _LONG_GATE_TYPES:
        raise _gate_fault(delivery, GENERAL_PROTECTION, f"is no 64-bit gate but type {kind:X}h")
    _check_gate(delivery, attributes)
    offset = (entry & 0xFFFF) | (entry >> 48 & 0xFFFF) << 16 | entry >> 64 << 32
    return _Gate(kind, entry >> 16 & 0xFFFF, offset, attributes & 7)


def _long_stack(delivery: _Delivery, gate: _Gate, new_level: int, level: int) -> int:
    """Return RSP before the alignment: from the interrupt stack table, from the TSS's level, or as it is."""
    processor = delivery.processor
    head = processor.cpu.head
    if not gate.interrupt_stack and new_level == level:
        return int(head.regs[RSP])
    offset = 8 * (gate.interrupt_stack + 3 if gate.interrupt_stack else new_level) + 4
    if offset + 7 > head.tr.limit:
        raise _selector_fault(delivery, head.tr.selector, "(TSS) ends before the stack pointer", INVALID_TSS)
    pointer = read_linear(processor, head.tr.base + offset, 8)
    if not is_canonical(processor, pointer):
        raise Fault(STACK_FAULT, delivery.external, f"the TSS's stack pointer {pointer:X}h is not canonical")
    return pointer


# -- common parts -----------------------------------------------------------------------------------------------------


def _enter(delivery: _Delivery, gate: _Gate, code: Descriptor, level: int) -> None:
    """Load CS:EIP with the handler, and clear the flags that a handler does not inherit."""
    head = delivery.processor.cpu.head
    load_cache(head.segs[CS], (gate.selector & ~3) | level, code)
    head.eip = gate.offset
    head.eflags &= ~(_ALWAYS_CLEARED | IF) if gate.masks_interrupts else ~_ALWAYS_CLEARED
    update_hflags(head)


def _push(processor: Processor, stack: _Stack, frame: tuple[int, ...], width: int, user: bool) -> int:
    """Store `frame` below the stack pointer and return the new one; raises #SS when it does not fit."""
    size = width * len(frame)
    start = (stack.pointer - size) & stack.mask
    if start + size > stack.mask + 1:
        return _push_wrapping(processor, stack, frame, width, user)
    _check_room(stack, start, size)
    limit = 0xFFFF if width == 2 else 0xFFFF_FFFF
    write_bytes(processor, stack.base + start, _packer(width, len(frame))(*[word & limit for word in frame]), user)
    return start


def _check_room(stack: _Stack, start: int, length: int) -> None:
    if not fits(stack.limit, stack.flags, start, length):
        raise Fault(STACK_FAULT, stack.fault_code, f"the frame at SS:{start:04X}h is outside the stack segment")


def _push_wrapping(processor: Processor, stack: _Stack, frame: tuple[int, ...], width: int, user: bool) -> int:
    """Push word by word where the frame wraps around the end of the stack segment."""
    pointer, keep = stack.pointer, (1 << 8 * width) - 1
    for word in reversed(frame):
        pointer = (pointer - width) & stack.mask
        _check_room(stack, pointer, width)
        write_bytes(processor, stack.base + pointer, (word & keep).to_bytes(width, "little"), user)
    return pointer


_LETTER = {2: "H", 4: "I", 8: "Q"}
_PACKERS: dict[tuple[int, int], Callable[..., bytes]] = {}


def _packer(width: int, count: int) -> Callable[..., bytes]:
    """Return a function that packs `count` words of `width` bytes."""
    packer = _PACKERS.get((width, count))
    if packer is None:
        packer = _PACKERS[width, count] = Struct(f"<{count}{_LETTER[width]}").pack
    return packer


def _gate_fault(delivery: _Delivery, vector: int, problem: str) -> Fault:
    """A fault that names an IDT entry: its number * 8, the IDT bit, and EXT (SDM vol. 3, section 6.13)."""
    code = delivery.vector * 8 + 2 + delivery.external
    return Fault(vector, code, f"the IDT entry of vector {delivery.vector:02X}h {problem}")


def _selector_fault(delivery: _Delivery, selector: int, problem: str, vector: int = GENERAL_PROTECTION) -> Fault:
    """A fault that names a selector: its index and table bit, and EXT."""
    return Fault(vector, (selector & 0xFFFC) | delivery.external, f"selector {selector:04X}h {problem}")
