"""i8042's registers and commands (IBM PC AT and PS/2 Technical References, "Keyboard controller").

Port 60h carries a device's byte or a command's parameter, port 64h the status and the commands. What goes on to the
keyboard is in the register KEYBOARD, and what that understands is the keyboard's to say.
"""

from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag

COMMANDS = {
    0x20: "read the command byte", 0x60: "write the command byte; it follows at port 60h",
    0xA4: "is a password installed? The answer is F1h, no", 0xA7: "disable the mouse", 0xA8: "enable the mouse",
    0xA9: "test the mouse's wires; 00h is good", 0xAA: "self test; 55h is good",
    0xAB: "test the keyboard's wires; 00h is good", 0xAD: "disable the keyboard", 0xAE: "enable the keyboard",
    0xC0: "read the input port", 0xC1: "show bits 3-0 of the input port in the status",
    0xC2: "show bits 7-4 of the input port in the status", 0xD0: "read the output port",
    0xD1: "write the output port; it follows at port 60h", 0xD2: "put the next byte into port 60h as the keyboard's",
    0xD3: "put the next byte into port 60h as the mouse's", 0xD4: "send the next byte to the mouse",
    0xDD: "close the A20 gate", 0xDF: "open the A20 gate", 0xE0: "read the clock wires",
    0xFE: "pulse the reset line: the CPU is reset",
}  # fmt: skip
TAKE_PARAMETER = frozenset({*range(0x60, 0x80), 0xD1, 0xD2, 0xD3, 0xD4})


def command_words(value: int) -> str:
    """Return what a command to port 64h does."""
    if value in COMMANDS:
        return COMMANDS[value]
    if 0x20 <= value < 0x40 or 0x60 <= value < 0x80:
        return f"{'read' if value < 0x40 else 'write'} byte {value & 0x1F:02X}h of the controller's RAM"
    if value >= 0xF0:
        return "pulse the reset line: the CPU is reset" if not value & 1 else "pulse outputs; none that matters"
    return "unknown, and ignored"


STATUS = Register("STATUS", "status", 0, "r", (
    flag("PARITY", 7, "parity error"), flag("TIMEOUT", 6, "time-out"), flag("AUX", 5, "the byte is the mouse's"),
    flag("INH", 4, "", "keyboard locked"), flag("CMD", 3, "the last write was a command", "the last write was data"),
    flag("SYS", 2, "self test passed"), flag("IBF", 1, "input buffer full: wait before writing", "may be written"),
    flag("OBF", 0, "a byte waits at port 60h", "no byte waits at port 60h"),
))  # fmt: skip
COMMAND = Register(
    "COMMAND", "command", 0, "w", (Field("command", 7, 0),), say=lambda value, state: command_words(value)
)
COMMAND_BYTE = Register("COMMAND BYTE", "command byte", 0, "rw", (
    flag("XLATE", 6, "translates to set 1", "no translation"), flag("DISMS", 5, "mouse off", "mouse on"),
    flag("DISKB", 4, "keyboard off", "keyboard on"), flag("SYS", 2, "system flag"),
    flag("MIEN", 1, "IRQ12 on", "IRQ12 off"), flag("KIEN", 0, "IRQ1 on", "IRQ1 off"),
))  # fmt: skip
OUTPUT_PORT = Register("OUTPUT PORT", "output port", 0, "rw", (
    flag("IRQ12", 5, "a mouse byte waits"), flag("IRQ1", 4, "a keyboard byte waits"),
    flag("A20", 1, "A20 open", "A20 closed"), flag("RESET", 0, "", "the CPU is reset"),
))  # fmt: skip


def _say_output(value: int, state: Any) -> str:
    if state is None:
        return f"{value:02X}h"
    if not state.output_full:
        return f"no new byte; the last one was {value:02X}h"
    return f"{value:02X}h, from {'the mouse' if state.output.auxiliary else 'the keyboard or the controller'}"


OUTPUT_BUFFER = Register("OUTPUT BUFFER", "output buffer", 0, "r", (Field("byte", 7, 0),),
                         say=_say_output)  # fmt: skip
KEYBOARD = Register("KEYBOARD", "input buffer, for the keyboard", 0, "w", (Field("byte", 7, 0),),
                    say=lambda value, state: f"{value:02X}h goes to the keyboard")  # fmt: skip
PARAMETERS = {
    0x60: COMMAND_BYTE, 0xD1: OUTPUT_PORT,
    0xD2: Register("KEYBOARD OUTPUT", "keyboard output buffer", 0, "w", (Field("byte", 7, 0),),
                   say=lambda value, state: f"{value:02X}h comes back as if from the keyboard"),
    0xD3: Register("MOUSE OUTPUT", "mouse output buffer", 0, "w", (Field("byte", 7, 0),),
                   say=lambda value, state: f"{value:02X}h comes back as if from the mouse"),
    0xD4: Register("MOUSE", "input buffer, for the mouse", 0, "w", (Field("byte", 7, 0),),
                   say=lambda value, state: f"{value:02X}h goes to the mouse"),
}  # fmt: skip


def describe_data(name: str) -> Chip:
    """Return the description of port 60h."""
    return Chip(name, (OUTPUT_BUFFER, KEYBOARD, *PARAMETERS.values()), pick=_pick_data)


def describe_command(name: str) -> Chip:
    """Return the description of port 64h, with all that the controller holds."""
    return Chip(name, (STATUS, COMMAND), contents=_contents, facts=_facts)


def _pick_data(access: Access, state: Any) -> Register:
    if not access.write:
        return OUTPUT_BUFFER
    command = awaited_parameter(state)
    if command is None:
        return KEYBOARD
    if command in PARAMETERS:
        return PARAMETERS[command]
    place = f"{command & 0x1F:02X}h"
    return Register(f"RAM {place}", f"byte {place} of its RAM", 0, "w", say=lambda value, state: f"{value:02X}h")


def awaited_parameter(state: Any) -> int | None:
    """Return the command whose parameter the next byte at port 60h is; also one that is still in the input buffer."""
    if state is None:
        return None
    if state.input is not None and state.wrote_command:
        return int(state.input) if state.input in TAKE_PARAMETER else None
    return None if state.parameter_of is None else int(state.parameter_of)


def status_of(state: Any) -> int:
    """Return the status register by a state."""
    full = state.output_full
    status = 0x10 | state.ram[0] & 0x04 | (full and 0x01) | (full and state.output.auxiliary and 0x20)
    status |= (state.output.errors if full else 0) | (state.input is not None) << 1 | state.wrote_command << 3
    return int(status if state.polled_nibble is None else status & 0x0F | state.polled_nibble)


def _contents(state: Any, now: int) -> list[Content]:
    waiting = (0x20 if state.output.auxiliary else 0x10) if state.output_full else 0
    return [
        Content(STATUS, status_of(state)),
        Content(OUTPUT_BUFFER, state.output.value),
        Content(COMMAND_BYTE, state.ram[0]),
        Content(OUTPUT_PORT, state.output_port | waiting),
    ]


def _facts(state: Any, now: int) -> list[str]:
    said = []
    if state.input is not None:
        said.append(f"{state.input:02X}h waits in the input buffer to be looked at.")
    command = awaited_parameter(state)
    if command is not None:
        said.append(f"It waits for the parameter of command {command:02X}h.")
    if state.sending is not None:
        said.append(f"It is sending {state.sending_value:02X}h to the {_cable(state.sending)}.")
    if state.receiving is not None:
        said.append(f"A byte is on its way from the {_cable(state.receiving)}.")
    if state.reply is not None:
        said.append(f"Its answer {state.reply.value:02X}h follows the byte that waits.")
    return said


def _cable(number: int) -> str:
    return "mouse" if number else "keyboard"
