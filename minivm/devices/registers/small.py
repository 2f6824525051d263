"""The ports with a single register: debug console (E9h), debug exit (F4h), POST code (80h) and the power switch."""

from minivm.core.describe import Chip, Content, Field, Register

CONSOLE = Register("E9h", "output", 0, "rw", (Field("character", 7, 0),), say=lambda value, state: _said(value))
EXIT = Register("EXIT", "exit code", 0, "rw", (Field("code", 31, 0),),
                say=lambda value, state: f"the machine ends, with status {(value << 1 | 1) & 0xFF}")  # fmt: skip
POST = Register("POST", "code", 0, "rw", (Field("code", 7, 0),),
                say=lambda value, state: f"the diagnostic card shows {value:02X}")  # fmt: skip
POWER = Register("PM1a_CNT", "control register", 0, "rw", (Field("SLP_EN", 13, 13), Field("SLP_TYP", 12, 10)),
                 say=lambda value, state: "the machine goes off" if value & 0x2000 else "nothing happens")  # fmt: skip


def describe_console(name: str) -> Chip:
    """Return the description of the debug console (Bochs's convention)."""
    return Chip(name, (CONSOLE,))


def describe_exit(name: str) -> Chip:
    """Return the description of the debug exit (QEMU's isa-debug-exit)."""
    return Chip(name, (EXIT,))


def describe_post(name: str) -> Chip:
    """Return the description of the POST code port (IBM PC AT Technical Reference)."""
    return Chip(name, (POST,), contents=lambda state, now: [Content(POST, state.code)])


def describe_power(name: str) -> Chip:
    """Return the description of the power switch (ACPI specification 6.4, section 4.8.3.2)."""
    return Chip(name, (POWER,))


def _said(value: int) -> str:
    return f"the host gets '{chr(value)}' ({value:02X}h)" if 0x20 < value < 0x7F else f"the host gets {value:02X}h"
