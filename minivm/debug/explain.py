"""The explainer: an instruction, a port access, an interrupt, a descriptor, a flag change or a crash in plain words.

Everything is told with the values of now, and by tables: the chips' own descriptions (`minivm/devices/registers`), the
rules for mnemonics (`explain_instructions`), the BIOS's functions (`explain_bios`). Nothing here changes the machine,
and nothing raises, whatever the machine holds.
"""

from typing import NamedTuple

from minivm.debug.explain_bios import explain_bios_call
from minivm.debug.explain_instructions import explain_instruction
from minivm.debug.explain_ports import explain_port
from minivm.debug.inspect import EFLAGS
from minivm.debug.inspect_devices import interrupt_path
from minivm.debug.inspect_tables import descriptor_entry, selector_entry, vector_entry, words_of
from minivm.engine.base import Autopsy
from minivm.engine.cpustate import HF_PE
from minivm.engine.paging import Processor
from minivm.machine import Machine

__all__ = [
    "explain_autopsy", "explain_bios_call", "explain_descriptor", "explain_error_code", "explain_flags",
    "explain_instruction", "explain_interrupt", "explain_port", "vector_title",
]  # fmt: skip


class ExceptionName(NamedTuple):
    """An exception: its mnemonic, its name, and what it means (SDM vol. 3, section 6.15)."""

    mnemonic: str
    name: str
    meaning: str


EXCEPTIONS = {
    0: ExceptionName("#DE", "divide error", "a division by zero, or a quotient that does not fit"),
    1: ExceptionName("#DB", "debug", "a single step, or a debug register matched"),
    2: ExceptionName("NMI", "non-maskable interrupt", "the NMI pin was raised"),
    3: ExceptionName("#BP", "breakpoint", "an INT3"),
    4: ExceptionName("#OF", "overflow", "an INTO while OF was 1"),
    5: ExceptionName("#BR", "bound range", "BOUND found its index outside"),
    6: ExceptionName("#UD", "invalid opcode", "bytes that are no instruction, or one not allowed here"),
    7: ExceptionName("#NM", "no FPU", "an FPU instruction while CR0.EM or TS is 1"),
    8: ExceptionName("#DF", "double fault", "a fault came while another one was being delivered"),
    9: ExceptionName("", "FPU segment overrun", "only a 386 with a 387 raises it"),
    10: ExceptionName("#TS", "invalid TSS", "a task state segment, or a stack in it, is not right"),
    11: ExceptionName("#NP", "segment not present", "a descriptor or gate has P = 0"),
    12: ExceptionName("#SS", "stack fault", "the stack segment's limit was passed, or it is not present"),
    13: ExceptionName("#GP", "general protection", "something that the protection rules forbid"),
    14: ExceptionName("#PF", "page fault", "a page is not there, or its rights forbid the access"),
    16: ExceptionName("#MF", "FPU error", "an FPU operation went wrong before"),
    17: ExceptionName("#AC", "alignment check", "an unaligned access while AC is 1"),
    18: ExceptionName("#MC", "machine check", "the hardware found an error"),
    19: ExceptionName("#XM", "SIMD error", "an SSE operation went wrong"),
    21: ExceptionName("#CP", "control protection", "a return or jump went elsewhere than it may"),
}
_SELECTOR_CODES = frozenset({10, 11, 12, 13})


def vector_title(vector: int) -> str:
    """Return "0Eh, #PF, page fault", or the number alone for a vector without a name."""
    found = EXCEPTIONS.get(vector)
    return ", ".join(part for part in (f"{vector:02X}h", *(found[:2] if found else ())) if part)


def explain_interrupt(vector: int, error_code: int | None, machine: Machine, *, software: bool = False) -> list[str]:
    """Return what interrupt or exception `vector` is, what its error code says, and which handler gets it.

    `software` says that an INT raised it, so that it is no exception.
    """
    vector &= 0xFF
    processor: Processor = machine.engine  # type: ignore[assignment]
    said = [_title(vector, error_code, machine, software)]
    if error_code is not None and not software:
        said += explain_error_code(vector, error_code, processor)
    entry = vector_entry(processor, vector)
    if entry is None:
        said.append(f"There is no handler: the vector lies beyond the table's limit {processor.cpu.idt_limit:X}h.")
    elif entry.target is None:
        said.append(f"There is no handler: {entry}.")
    else:
        said.append(f"The handler is behind {entry}.")
    return said


def _title(vector: int, error_code: int | None, machine: Machine, software: bool) -> str:
    found = EXCEPTIONS.get(vector)
    real = not machine.cpu.head.hflags & HF_PE
    if software:
        call = explain_bios_call(machine, vector) if real else ""
        return f"{call}." if call else f"Software interrupt {vector:02X}h."
    line = _hardware_line(vector, machine) if error_code is None else ""
    if line and (real or found is None or vector >= 32):
        also = f" (or {found.mnemonic or found.name})" if found is not None else ""
        return f"Interrupt {vector:02X}h: the vector that the PIC gives {line}{also}."
    if found is None:
        return f"Interrupt {vector:02X}h."
    return f"Exception {vector_title(vector)}: {found.meaning}."


def _hardware_line(vector: int, machine: Machine) -> str:
    path = interrupt_path(machine)
    return next((one.name for one in path.interrupts if one.vector == vector), "") if path is not None else ""


def explain_error_code(vector: int, error_code: int, processor: Processor) -> list[str]:
    """Return what an exception's error code means (SDM vol. 3, section 6.13, and figure 4-12 for page faults)."""
    if vector == 14:
        return [_page_fault_words(error_code), f"CR2, the address, is {processor.cpu.cr2:X}h."]
    if vector not in _SELECTOR_CODES:
        return [f"The error code is {error_code:X}h."]
    if not error_code & 0xFFFF:
        return ["The error code is 0: no selector is to blame."]
    return [_selector_code_words(error_code & 0xFFFF, processor)]


def _page_fault_words(code: int) -> str:
    cause = "a reserved bit was set" if code & 8 else "the page's rights forbid it" if code & 1 else "no page is there"
    access = "fetching an instruction" if code & 0x10 else "writing" if code & 2 else "reading"
    who = "user" if code & 4 else "supervisor"
    return f"Error code {code:X}h: {access} by {who} code; {cause}."


def _selector_code_words(code: int, processor: Processor) -> str:
    external = "; an event from outside was being delivered" if code & 1 else ""
    if code & 2:
        entry = vector_entry(processor, code >> 3 & 0xFF)
        found = f", {words_of(entry)}" if entry is not None else ", which lies beyond its limit"
        return f"Error code {code:X}h: the IDT's entry {code >> 3:02X}h{found}{external}."
    entry = selector_entry(processor, code & 0xFFFC)
    table = "LDT" if code & 4 else "GDT"
    found = f", {words_of(entry)}" if entry is not None else ", which is not in the table"
    return (
        f"Error code {code:X}h: the selector {code & 0xFFFC:04X}h, entry {code >> 3} of the {table}{found}{external}."
    )


def explain_descriptor(raw: int, *, long: bool = False) -> str:
    """Return what the eight bytes of a descriptor mean, as one sentence; 16 bytes for a wide one in `long` mode."""
    raw &= (1 << (128 if long else 64)) - 1
    digits = 32 if raw >> 64 else 16
    return f"{raw:0{digits}X}h is {words_of(descriptor_entry(raw, long=long))}."


_FLAG_WORDS = {
    "CF": ("no carry or borrow", "a carry or a borrow"),
    "PF": ("the low byte has an odd number of ones", "the low byte has an even number of ones"),
    "AF": ("no carry out of the low digit", "a carry out of the low digit"),
    "ZF": ("the result is not zero", "the result is zero"),
    "SF": ("the result is not negative", "the result is negative"),
    "OF": ("no signed overflow", "a signed overflow"),
    "TF": ("no single steps", "a debug exception after each instruction"),
    "IF": ("interrupts are kept out", "interrupts are let in"),
    "DF": ("string instructions go up", "string instructions go down"),
    "NT": ("IRET returns within the task", "IRET returns to another task"),
    "RF": ("instruction breakpoints count", "the next instruction breakpoint is passed over"),
    "VM": ("not in virtual-8086 mode", "in virtual-8086 mode"),
    "AC": ("unaligned accesses are allowed", "unaligned accesses at level 3 raise #AC"),
}


def explain_flags(before: int, after: int) -> list[str]:
    """Return a sentence on each flag that differs between two values of EFLAGS, the carry first."""
    said = []
    for field in reversed(EFLAGS.fields):
        old, new = field.of(before), field.of(after)
        if old == new:
            continue
        words = _FLAG_WORDS.get(field.name)
        meaning = words[new] if words else field.words(new) or "off"
        said.append(f"{field.name} {old} -> {new}: {meaning}.")
    return said


_HINTS = (
    ("beyond the IDT's limit", "Either LIDT was never executed, or its limit is too small; it should be 8 times the "
                               "vectors (16 times in long mode), less one."),
    ("beyond the IVT's limit", "LIDT set a limit that is too small for real mode; it should be 3FFh."),
    ("is no gate", "The IDT's entry was never filled, or with another layout than the CPU's."),
    ("is no 64-bit gate", "In long mode an entry has 16 bytes; one of 8 bytes looks like this."),
    ("is not present", "The present bit (bit 7 of the type byte) is clear."),
    ("null CS", "The gate's selector was never filled in."),
    ("is no code segment", "The gate's selector must name the kernel's code segment."),
    ("lies outside its descriptor table", "The selector is beyond the GDT, or GDTR's limit is too small."),
    ("TSS's stack", "SS0 and ESP0 in the TSS must be filled before the first entry from a user level."),
    ("TSS) ends before", "LTR was never executed, or the TSS's limit is too small (67h for a 32-bit one)."),
    ("SS in the TSS", "SS0 in the TSS must be a writable data segment of level 0."),
    ("outside the stack segment", "The stack pointer has left its segment: an overflow, or it was never set."),
    ("page fault", "The handler, its stack or the tables themselves are not mapped."),
)  # fmt: skip


def explain_autopsy(autopsy: Autopsy) -> list[str]:
    """Return how a triple fault came about, one sentence a step, with what to look at first."""
    said = []
    for number, (vector, reason) in enumerate(autopsy.chain):
        lead = "It began with" if number == 0 else "Then came" if number < len(autopsy.chain) - 1 else "At last came"
        meaning = EXCEPTIONS[vector].meaning if vector in EXCEPTIONS else "an interrupt"
        said.append(f"{lead} {vector_title(vector)} ({meaning}); it could not be delivered, because {reason}.")
    said += [f"In the page tables: {line}." for line in autopsy.details]
    said.append("A fault while a double fault is delivered shuts the processor down: the triple fault.")
    reasons = " ".join(reason for _, reason in autopsy.chain)
    hints = [hint for sign, hint in _HINTS if sign in reasons]
    return [*said, *(f"Look first: {hint}" for hint in hints[:1])]
