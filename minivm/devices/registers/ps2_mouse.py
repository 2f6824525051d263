"""What a mouse is told over its cable, and what it answers (IBM PS/2 Technical Reference, "Mouse")."""

from typing import Any

from minivm.core.describe import Chip, Field, Register, bits_set, spoken
from minivm.core.mouse import BUTTONS

COMMANDS = {
    0xE6: "set scaling 1:1",
    0xE7: "set scaling 2:1",
    0xE8: "set the resolution; an option byte follows",
    0xE9: "tell the status: modes and buttons, resolution, rate",
    0xEA: "set stream mode",
    0xEB: "send a packet now",
    0xEC: "leave wrap mode",
    0xEE: "set wrap mode: echo everything",
    0xF0: "set remote mode",
    0xF2: "identify: it answers FAh and its ID",
    0xF3: "set the sampling rate; an option byte follows",
    0xF4: "start reporting",
    0xF5: "stop reporting",
    0xF6: "take the defaults",
    0xFE: "send the last answer again",
    0xFF: "reset and test itself: it answers FAh, then AAh 00h",
}
KINDS = {0: "a plain mouse", 3: "a wheel mouse", 4: "a mouse with a wheel and five buttons"}

COMMAND = Register("COMMAND", "command", 0, "w", (Field("command", 7, 0),),
                   say=lambda value, state: COMMANDS.get(value, "not a command: it answers FEh"))  # fmt: skip
OPTION_RESOLUTION = Register("RESOLUTION", "resolution", 0, "w", (Field("resolution", 1, 0),),
                             say=lambda value, state: f"{1 << (value & 3)} counts a millimetre")  # fmt: skip
OPTION_RATE = Register("RATE", "sampling rate", 0, "w", (Field("rate", 7, 0),),
                       say=lambda value, state: f"{value} samples a second")  # fmt: skip
_OPTIONS = {0xE8: OPTION_RESOLUTION, 0xF3: OPTION_RATE}


def describe(name: str) -> Chip:
    """Return the description of a mouse; its one register is what is sent to it."""
    return Chip(name, (COMMAND, OPTION_RESOLUTION, OPTION_RATE), pick=_pick, facts=_facts)


def _pick(access: Any, state: Any) -> Register:
    return COMMAND if state is None else _OPTIONS.get(state.command, COMMAND)


def _facts(state: Any, now: int) -> list[str]:
    mode = "wraps" if state.wrapping else "sends when it is asked" if state.remote else "streams"
    said = [
        f"It is {KINDS[state.identity]}, {mode}, and {'reports' if state.reporting else 'does not report'}.",
        f"{state.rate} samples a second, {1 << state.resolution} counts a millimetre, "
        f"scaling {'2:1' if state.scaling else '1:1'}.",
    ]
    if state.buttons:
        said.append(f"Held down: {spoken(bits_set(BUTTONS, state.buttons))}.")
    if state.steps:
        said.append(f"Movements that wait: {len(state.steps)}.")
    if state.output:
        said.append(f"Bytes that wait to be sent: {state.output.hex(' ').upper()}.")
    return said
