"""Ports 61h (port B) and 92h (port A) (IBM PC AT and PS/2 Technical References, "System board I/O")."""

from typing import Any

from minivm.core.describe import Chip, Content, Register, flag

PORT_B = Register("PORT B", "port B", 0, "rw", (
    flag("PCK", 7, "memory parity error"), flag("IOCHK", 6, "channel check"),
    flag("OUT2", 5, "the timer's OUT2 is high", "the timer's OUT2 is low"),
    flag("REF", 4, "the refresh bit is 1", "the refresh bit is 0"), flag("ENIOCHK", 3, "channel check off"),
    flag("ENPCK", 2, "parity check off"), flag("SPKR", 1, "the timer reaches the speaker", "the speaker is off"),
    flag("GATE2", 0, "timer channel 2 may count", "timer channel 2 stands still"),
))  # fmt: skip
WRITTEN_B = Register("PORT B", "port B", 0, "w", PORT_B.fields[4:])


def _say_port_a(value: int, state: Any) -> str:
    words = "A20 open" if value & 2 else "A20 closed at this port"
    if value & 1 and (state is None or not state.control & 1):
        return f"{words}, and the CPU is reset"
    return words


PORT_A = Register("PORT A", "port A", 0, "rw", (
    flag("LED", 7, "disk light"), flag("LED", 6, "disk light"), flag("A20", 1, "A20 open", "A20 closed at this port"),
    flag("RESET", 0, "the CPU is reset"),
), say=_say_port_a)  # fmt: skip


def describe_port_b(name: str) -> Chip:
    """Return the description of port 61h."""
    return Chip(name, (WRITTEN_B, PORT_B), contents=lambda state, now: [Content(WRITTEN_B, state.control)])


def describe_port_a(name: str) -> Chip:
    """Return the description of port 92h."""
    return Chip(name, (PORT_A,), contents=lambda state, now: [Content(PORT_A, state.control)])


def describe_speaker(name: str) -> Chip:
    """Return the description of the speaker, which has no registers of its own."""
    return Chip(name, (), facts=_hear)


def _hear(state: Any, now: int) -> list[str]:
    if state.tone is not None:
        return [f"It sounds at {state.tone.frequency_hz:.1f} Hz, for {(now - state.tone.from_ns) / 1e6:.1f} ms by now."]
    return ["It is silent." if state.data else "It is silent, and cut off from the timer."]
