"""PC16550D's registers (National Semiconductor datasheet, table II).

The LCR's DLAB turns the first two ports into the divisor.
"""

from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, by_offset, flag, listed

BAUD_BASE = 115_200
TRIGGERS = {0: "1", 1: "4", 2: "8", 3: "14"}
_SOURCES = {
    0x1: "no interrupt pending", 0x6: "receiver line status", 0x4: "received data available",
    0xC: "character time-out", 0x2: "transmitter holding register empty", 0x0: "modem status",
}  # fmt: skip

_PARITIES = {1: "odd", 3: "even", 5: "mark", 7: "space"}

IER = Register("IER", "interrupt enable", 1, "rw", (
    flag("EDSSI", 3, "modem status"), flag("ELSI", 2, "line status"),
    flag("ETBEI", 1, "transmitter empty"), flag("ERBFI", 0, "received data"),
), say=lambda value, state: _enabled(value))  # fmt: skip
IIR = Register("IIR", "interrupt identification", 2, "r", (
    Field("FIFOs", 7, 6, {0: "FIFOs off", 3: "FIFOs on"}), Field("ID", 3, 0, _SOURCES),
))  # fmt: skip
FCR: Register = Register(
    "FCR",
    "FIFO control",
    2,
    "w",
    (
        Field("trigger", 7, 6, lambda number: f"receiver interrupts at {TRIGGERS[number]}"),
        flag("XFIFOR", 2, "empty the transmitter's FIFO"),
        flag("RFIFOR", 1, "empty the receiver's FIFO"),
        flag("FIFOE", 0, "FIFOs on", "FIFOs off"),
    ),
    say=lambda value, state: listed(field.words(field.of(value)) for field in FCR.fields) if value & 1 else "FIFOs off",
)
LCR = Register("LCR", "line control", 3, "rw", (
    flag("DLAB", 7, "the first two ports are the divisor now"), flag("SB", 6, "sends a break"),
    Field("SP, EPS, PEN", 5, 3, lambda number: f"{_PARITIES.get(number, 'no')} parity"),
    flag("STB", 2, "two stop bits", "one stop bit"), Field("WLS", 1, 0, lambda number: f"{5 + number} data bits"),
), say=lambda value, state: _line_format(value))  # fmt: skip
MCR = Register("MCR", "modem control", 4, "rw", (
    flag("LOOP", 4, "loopback"), flag("OUT2", 3, "OUT2 on: interrupts reach the PIC", "OUT2 off: no interrupts"),
    flag("OUT1", 2, "OUT1 on"), flag("RTS", 1, "RTS on", "RTS off"), flag("DTR", 0, "DTR on", "DTR off"),
))  # fmt: skip
LSR = Register("LSR", "line status", 5, "r", (
    flag("FIFO error", 7, "an error in the FIFO"), flag("TEMT", 6, "transmitter idle"),
    flag("THRE", 5, "ready for a byte to send", "cannot take a byte to send"), flag("BI", 4, "break"),
    flag("FE", 3, "framing error"), flag("PE", 2, "parity error"), flag("OE", 1, "overrun: a byte was lost"),
    flag("DR", 0, "a received byte waits", "nothing received"),
))  # fmt: skip
MSR = Register("MSR", "modem status", 6, "r", (
    flag("DCD", 7, "DCD on"), flag("RI", 6, "RI on"), flag("DSR", 5, "DSR on"), flag("CTS", 4, "CTS on"),
    flag("DDCD", 3, "DCD changed"), flag("TERI", 2, "RI went off"), flag("DDSR", 1, "DSR changed"),
    flag("DCTS", 0, "CTS changed"),
))  # fmt: skip
SCR = Register("SCR", "scratch register", 7, "rw", (Field("SCR", 7, 0),))
RBR = Register("RBR", "receiver buffer", 0, "r", (), say=lambda value, state: f"received {character(value)}")
THR = Register("THR", "transmitter", 0, "w", (), say=lambda value, state: f"sends {character(value)}")
DLL = Register("DLL", "divisor, low byte", 0, "rw", (), say=lambda value, state: _divisor(value, 0, state))
DLM = Register("DLM", "divisor, high byte", 1, "rw", (), say=lambda value, state: _divisor(value, 8, state))

_PLAIN = (RBR, THR, IER, IIR, FCR, LCR, MCR, LSR, MSR, SCR)
_DIVISOR = {0: DLL, 1: DLM}


def describe(name: str) -> Chip:
    """Return the description of one 16550A."""
    return Chip(name, (*_PLAIN, DLL, DLM), pick=_pick, contents=_contents, facts=_facts)


def character(value: int) -> str:
    """Return a byte as a character, when it is one that can be shown, and as a number."""
    return f"'{chr(value)}' ({value:02X}h)" if 0x20 < value < 0x7F else f"{value:02X}h"


def _pick(access: Access, state: Any) -> Register | None:
    offset = access.offset & 7
    if offset in _DIVISOR and state is not None and state.line_control & 0x80:
        return _DIVISOR[offset]
    return by_offset(_PLAIN, access._replace(offset=offset))


def _fifos(value: int) -> str:
    """Return what a write to the FCR does; without bit 0 the others are not taken (datasheet, section 8.5)."""
    return listed(field.words(field.of(value)) for field in FCR.fields) if value & 1 else "FIFOs off"


def _enabled(value: int) -> str:
    chosen = listed(field.words(field.of(value)) for field in IER.fields)
    return f"interrupts for {chosen}" if chosen else "no interrupts"


def _line_format(value: int) -> str:
    parity = _PARITIES.get(value >> 3 & 7, "no")[0].upper()
    stop = "1" if not value & 4 else "1.5" if value & 3 == 0 else "2"
    return listed((f"{5 + (value & 3)}{parity}{stop}", *(LCR.fields[at].words(value >> 7 - at & 1) for at in (0, 1))))


def _divisor(value: int, shift: int, state: Any) -> str:
    if state is None:
        return f"{value:02X}h"
    divisor = state.divisor & ~(0xFF << shift) | value << shift
    return f"the divisor is {divisor}: {rate(divisor)} baud"


def rate(divisor: int) -> str:
    """Return the speed of a divisor, in baud; 0 counts as 65536."""
    return f"{BAUD_BASE / (divisor or 0x10000):.6g}"


def _line_status(state: Any) -> int:
    idle = 0 if state.transmit_fifo else 0x20 if state.transmit_shift is not None else 0x60
    return int(state.line_errors | bool(state.receive_fifo) | idle | state.error_in_fifo << 7)


def _interrupt(state: Any, now: int) -> int:
    """Return the IIR by the state: the most urgent enabled source (datasheet, table V)."""
    enabled, fifos = state.interrupt_enable, state.fifo_control & 1
    trigger = int(TRIGGERS[state.fifo_control >> 6]) if fifos else 1
    sources = (
        (enabled & 4 and state.line_errors, 0x6),
        (enabled & 1 and len(state.receive_fifo) >= trigger, 0x4),
        (enabled & 1 and state.receive_fifo and now >= state.timeout_due, 0xC),
        (enabled & 2 and state.transmitter_pending, 0x2),
        (enabled & 8 and state.modem_deltas, 0x0),
    )
    return next((code for condition, code in sources if condition), 1) | (0xC0 if fifos else 0)


def _contents(state: Any, now: int) -> list[Content]:
    return [
        Content(IER, state.interrupt_enable),
        Content(IIR, _interrupt(state, now)),
        Content(FCR, state.fifo_control),
        Content(LCR, state.line_control),
        Content(MCR, state.modem_control),
        Content(LSR, _line_status(state)),
        Content(MSR, state.modem_inputs | state.modem_deltas),
        Content(SCR, state.scratch),
    ]


def _facts(state: Any, now: int) -> list[str]:
    waiting, sending = len(state.receive_fifo), len(state.transmit_fifo) + (state.transmit_shift is not None)
    said = [f"{rate(state.divisor)} baud (divisor {state.divisor}), {_line_format(state.line_control & 0x3F)}."]
    said.append(f"{_bytes(waiting)} received and not read, {_bytes(sending)} to be sent.")
    if state.host_queue:
        said.append(f"The host has {_bytes(len(state.host_queue))} more to send.")
    return said


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"
