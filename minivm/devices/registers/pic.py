"""8259A's registers (Intel datasheet 231468, "Programming the 8259A"), and those of the ELCR.

Which command word a write is depends on A0, on bits 4 and 3, and on how far the initialization came.
"""

from functools import partial
from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag, spoken

OPERATIONAL, NEVER_INITIALIZED = 0, 1

_OCW2_COMMANDS = {
    0b001: "non-specific end of interrupt: the highest in service is done",
    0b011: "end of interrupt of {}",
    0b101: "non-specific end of interrupt, and what was served becomes the lowest priority",
    0b111: "end of interrupt of {}, which becomes the lowest priority",
    0b100: "priorities rotate at each automatic end of interrupt",
    0b000: "priorities no longer rotate at automatic ends of interrupt",
    0b110: "{} becomes the lowest priority",
    0b010: "no operation",
}
_OCW2_NAMES = {
    0b001: "non-specific EOI", 0b011: "specific EOI", 0b101: "rotate on non-specific EOI",
    0b111: "rotate on specific EOI", 0b100: "rotate in automatic EOI mode, set",
    0b000: "rotate in automatic EOI mode, clear", 0b110: "set priority", 0b010: "no operation",
}  # fmt: skip


def describe(name: str, inputs: tuple[str, ...], *, master: bool) -> Chip:
    """Return the description of one 8259A; `inputs` names what is wired to IR0-IR7, lowest first."""
    r = _Registers(inputs, master)
    registers = (r.icw1, r.icw2, r.icw3, r.icw4, r.ocw1, r.ocw2, r.ocw3, r.irr, r.isr, r.poll)
    return Chip(name, registers, pick=partial(_pick, r), contents=partial(_contents, r), facts=_facts)


class _Registers:
    """The command words of one chip, with the names of its own inputs in their sentences."""

    def __init__(self, inputs: tuple[str, ...], master: bool) -> None:
        self.icw1 = Register("ICW1", "first initialization word", 0, "w", _ICW1, say=_say_icw1)
        self.icw2 = Register("ICW2", "vector base (ICW2)", 1, "w", (Field("T7-T3", 7, 3),), say=_say_icw2)
        self.icw3 = _icw3(inputs, master)
        self.icw4 = Register("ICW4", "mode word (ICW4)", 1, "w", _ICW4)
        self.ocw1 = Register("OCW1", "mask", 1, "rw", _bits("M", inputs), say=lambda v, s: mask_words(v, inputs))
        self.ocw2 = Register("OCW2", "command (OCW2)", 0, "w", _OCW2, say=partial(_say_ocw2, inputs))
        self.ocw3 = Register("OCW3", "command (OCW3)", 0, "w", _OCW3)
        self.irr = Register("IRR", "request register", 0, "r", _bits("IR", inputs), say=_wants("requested by", inputs))
        self.isr = Register(
            "ISR", "in-service register", 0, "r", _bits("IS", inputs), say=_wants("in service:", inputs)
        )
        self.poll = Register("POLL", "poll word", 0, "r", _POLL)


_ICW1 = (
    Field("1", 4, 4),
    flag("LTIM", 3, "level-triggered", "edge-triggered"),
    flag("SNGL", 1, "single, without ICW3", "cascaded"),
    flag("IC4", 0, "ICW4 will follow", "without ICW4"),
)
_ICW4 = (
    flag("SFNM", 4, "special fully nested mode", "fully nested mode"),
    Field("BUF, M/S", 3, 2, {0: "", 1: "", 2: "buffered slave", 3: "buffered master"}),
    flag("AEOI", 1, "automatic end of interrupt", "the handler must send an end of interrupt"),
    flag("uPM", 0, "8086 mode", "8080 mode"),
)
_OCW2 = (Field("R, SL, EOI", 7, 5, _OCW2_NAMES), Field("L2-L0", 2, 0, "level"))
_OCW3 = (
    Field("ESMM, SMM", 6, 5, {0: "", 1: "", 2: "special mask mode off", 3: "special mask mode on"}),
    flag("P", 2, "poll: the next read acknowledges a request"),
    Field("RR, RIS", 1, 0, {0: "", 1: "", 2: "reads now show the IRR", 3: "reads now show the ISR"}),
)
_POLL = (flag("I", 7, "a request was acknowledged", "no request"), Field("W2-W0", 2, 0, "level"))

_HELD_ICW1 = Register("ICW1", "first initialization word", 0, "w", _ICW1)


def _bits(letter: str, inputs: tuple[str, ...]) -> tuple[Field, ...]:
    return tuple(Field(f"{letter}{bit}", bit, bit, inputs[bit]) for bit in range(7, -1, -1))


def _icw3(inputs: tuple[str, ...], master: bool) -> Register:
    if master:
        return Register("ICW3", "slave inputs (ICW3)", 1, "w", _bits("S", inputs), say=_wants("slaves at", inputs))
    return Register("ICW3", "slave number (ICW3)", 1, "w", (Field("ID", 2, 0, "the master's input"),))


def mask_words(value: int, inputs: tuple[str, ...]) -> str:
    """Return which inputs a mask lets through."""
    open_inputs = [name for bit, name in enumerate(inputs) if not value >> bit & 1]
    if not open_inputs:
        return "every input is masked"
    if len(open_inputs) == 1:
        comma = "," if "," in open_inputs[0] else ""  # "IRQ0, the timer": an apposition ends with a comma, too
        return f"only {open_inputs[0]}{comma} may now interrupt"
    if len(open_inputs) == len(inputs):
        return "no input is masked"
    masked = [name for bit, name in enumerate(inputs) if value >> bit & 1]
    if len(masked) < len(open_inputs):
        return f"masked: {'; '.join(masked)}"
    return f"open: {'; '.join(open_inputs)}; the others are masked"


def _wants(words: str, inputs: tuple[str, ...]) -> Any:
    def say(value: int, state: Any) -> str:
        chosen = [name for bit, name in enumerate(inputs) if value >> bit & 1]
        return f"{words} {'; '.join(chosen)}" if chosen else "no bit is set"

    return say


def _say_icw1(value: int, state: Any) -> str:
    words = spoken(word for field in _ICW1 if (word := field.words(field.of(value))))
    return f"initialization begins, the vector base (ICW2) comes next; {words}"


def _say_icw2(value: int, state: Any) -> str:
    return f"its interrupts are vectors {value & 0xF8:02X}h to {value & 0xF8 | 7:02X}h"


def _say_ocw2(inputs: tuple[str, ...], value: int, state: Any) -> str:
    return _OCW2_COMMANDS[value >> 5 & 7].format(inputs[value & 7])


def _pick(registers: _Registers, access: Access, state: Any) -> Register | None:
    if access.write:
        return _written(registers, access, state)
    if state is not None and state.poll:
        return registers.poll
    if access.offset & 1:
        return registers.ocw1
    return registers.isr if state is not None and state.read_isr else registers.irr


def _written(registers: _Registers, access: Access, state: Any) -> Register:
    if access.offset & 1:
        awaited = OPERATIONAL if state is None else state.awaited
        return {2: registers.icw2, 3: registers.icw3, 4: registers.icw4}.get(awaited, registers.ocw1)
    value = access.value or 0
    return registers.icw1 if value & 0x10 else registers.ocw3 if value & 0x08 else registers.ocw2


def requests(state: Any) -> int:
    """Return the IRR by a chip's state: level-triggered inputs as they are, the others by their latched edges."""
    level_triggered = 0xFF if state.icw1 & 0x08 else state.elcr
    return int((state.lines & level_triggered) | (state.edges & ~level_triggered & 0xFF))


def _contents(registers: _Registers, state: Any, now: int) -> list[Content]:
    return [
        Content(registers.irr, requests(state)),
        Content(registers.ocw1, state.imr),
        Content(registers.isr, state.isr),
        Content(_HELD_ICW1, state.icw1),
        Content(registers.icw2, state.vector_base),
        Content(registers.icw3, state.icw3),
        Content(registers.icw4, state.icw4),
    ]


def _facts(state: Any, now: int) -> list[str]:
    said = [f"The highest priority is IR{(state.lowest + 1) & 7}."]
    if state.awaited == NEVER_INITIALIZED:
        said.append("It was never initialized, and raises no interrupt before ICW1 to ICW4.")
    elif state.awaited != OPERATIONAL:
        said.append(f"It waits for ICW{state.awaited}, and raises no interrupt before.")
    if state.special_mask:
        said.append("Special mask mode is on: a masked input in service holds nobody back.")
    if state.poll:
        said.append("The next read is the answer to a poll, and acknowledges a request.")
    if state.rotate_on_auto_eoi:
        said.append("Priorities rotate at each automatic end of interrupt.")
    return said


def describe_elcr(name: str) -> Chip:
    """Return the description of the two edge/level control registers (EISA specification)."""
    halves = tuple(
        Register(f"ELCR{half + 1}", f"trigger modes of IRQ{8 * half} to IRQ{8 * half + 7}", half, "rw",
                 tuple(flag(f"IRQ{8 * half + bit}", bit, "level") for bit in range(8)),
                 say=partial(_say_elcr, half))
        for half in (0, 1)
    )  # fmt: skip
    return Chip(name, halves, contents=lambda state, now: _elcr_contents(halves, state))


def _say_elcr(half: int, value: int, state: Any) -> str:
    chosen = [f"IRQ{8 * half + bit}" for bit in range(8) if value >> bit & 1]
    return f"level-triggered: {spoken(chosen)}" if chosen else "all edge-triggered"


def _elcr_contents(halves: tuple[Register, ...], state: Any) -> list[Content]:
    return [Content(halves[0], state.master.elcr), Content(halves[1], state.slave.elcr)]
