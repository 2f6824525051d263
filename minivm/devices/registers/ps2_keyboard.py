"""What a keyboard is told over its cable, and what it answers (IBM PS/2 Technical Reference, "Keyboards")."""

from typing import Any

from minivm.core.describe import Chip, Field, Register, flag, spoken

COMMANDS = {
    0xED: "set the lights; an option byte follows",
    0xEE: "echo: it answers EEh",
    0xF0: "choose a scan-code set; an option byte follows",
    0xF2: "identify: it answers FAh ABh 83h",
    0xF3: "set the typematic rate; an option byte follows",
    0xF4: "start scanning",
    0xF5: "take the defaults and stop scanning",
    0xF6: "take the defaults",
    0xF7: "all keys typematic (set 3 only)",
    0xF8: "all keys make and break (set 3 only)",
    0xF9: "all keys make only (set 3 only)",
    0xFA: "all keys typematic, make and break (set 3 only)",
    0xFB: "one key typematic (set 3 only); its code follows",
    0xFC: "one key make and break (set 3 only); its code follows",
    0xFD: "one key make only (set 3 only); its code follows",
    0xFE: "send the last byte again",
    0xFF: "reset and test itself: it answers FAh, then AAh",
}
ANSWERS = {
    0x00: "too many keys at once", 0xAA: "the self test has passed", 0xAB: "first byte of a keyboard's identity",
    0xEE: "the answer to an echo", 0xFA: "acknowledged", 0xFC: "the self test has failed", 0xFE: "send that again",
}  # fmt: skip
LEDS = ("Scroll Lock", "Num Lock", "Caps Lock")
FIRST_COMMAND = 0xED


def typematic(value: int) -> str:
    """Return the delay and the rate of a typematic byte."""
    delay = ((value >> 5 & 3) + 1) * 250
    rate = 240 / ((8 + (value & 7)) << (value >> 3 & 3))
    return f"repeat after {delay} ms, {rate:.1f} times a second"


def describe(name: str) -> Chip:
    """Return the description of a keyboard; its one register is what is sent to it."""
    return Chip(name, (COMMAND, OPTION_LEDS, OPTION_SET, OPTION_RATE), pick=_pick, facts=_facts)


def _say_command(value: int, state: Any) -> str:
    return COMMANDS.get(value, "not a command: it answers FEh")


def _say_leds(value: int, state: Any) -> str:
    lit = [name for bit, name in enumerate(LEDS) if value >> bit & 1]
    return f"{spoken(lit)} lit" if lit else "all lights off"


COMMAND = Register("COMMAND", "command", 0, "w", (Field("command", 7, 0),), say=_say_command)
OPTION_LEDS = Register("LEDS", "lights", 0, "w", (
    flag("Caps", 2, "Caps Lock"), flag("Num", 1, "Num Lock"), flag("Scroll", 0, "Scroll Lock"),
), say=_say_leds)  # fmt: skip
OPTION_SET = Register("SET", "scan-code set", 0, "w", (Field("set", 7, 0),),
                      say=lambda value, state: f"use set {value}" if value else "tell which set is in use")  # fmt: skip
OPTION_RATE = Register("RATE", "typematic rate", 0, "w", (
    Field("delay", 6, 5, lambda number: f"{(number + 1) * 250} ms"), Field("rate", 4, 0),
), say=lambda value, state: typematic(value))  # fmt: skip
OPTION_KEY = Register("KEY", "key", 0, "w", (Field("code", 7, 0),), say=lambda value, state: f"the key {value:02X}h")
_OPTIONS = {
    0xED: OPTION_LEDS,
    0xF0: OPTION_SET,
    0xF3: OPTION_RATE,
    0xFB: OPTION_KEY,
    0xFC: OPTION_KEY,
    0xFD: OPTION_KEY,
}


def _pick(access: Any, state: Any) -> Register:
    waits = None if state is None else state.command
    if waits is None or (access.value or 0) >= FIRST_COMMAND:
        return COMMAND
    return _OPTIONS.get(waits, COMMAND)


def _facts(state: Any, now: int) -> list[str]:
    said = [
        f"It speaks scan-code set {state.scan_set}, and {'scans' if state.scanning else 'does not scan'}.",
        f"Lights: {_say_leds(state.leds, state)}. Typematic: {typematic(state.typematic)}.",
    ]
    waiting = len(state.replies) + len(state.buffer)
    if waiting:
        said.append(f"Bytes that wait to be sent: {(state.replies + state.buffer).hex(' ').upper()}.")
    if state.command is not None:
        said.append(f"It waits for the option of command {state.command:02X}h.")
    if state.held:
        said.append(f"Held down: {spoken(held.key for held in state.held)}.")
    return said
