"""BIOS calls in words: which service, which function, and what the registers ask of it.

IBM PS/2 and PC BIOS Interface Technical Reference; Ralf Brown's Interrupt List; Phoenix EDD 3.0 (INT 13h AH=41h-4Eh).
In the templates `{al}` is a register in hexadecimal; the names of `_EXTRAS` are worked out from several.
"""

from collections.abc import Callable

from minivm.debug.inspect_paging import peek
from minivm.engine.cpustate import Registers
from minivm.machine import Machine

SERVICES = {
    0x05: "print the screen", 0x10: "video", 0x11: "equipment list", 0x12: "memory size", 0x13: "disk",
    0x14: "serial port", 0x15: "system", 0x16: "keyboard", 0x17: "printer", 0x18: "no system to boot",
    0x19: "boot again", 0x1A: "clock",
}  # fmt: skip

_WITHOUT_FUNCTION = {
    0x05: "print the screen",
    0x11: "AX will be the list of equipment",
    0x12: "AX will be the memory below 640 KiB, in KiB",
    0x18: "there is no system to boot",
    0x19: "boot again",
}

_FUNCTIONS: dict[int, dict[int, str]] = {
    0x10: {
        0x00: "set video mode {al}", 0x01: "set the cursor's shape to lines {ch} to {cl}",
        0x02: "move the cursor to row {dh_d}, column {dl_d} of page {bh_d}",
        0x03: "where is the cursor of page {bh_d}? DH and DL will be row and column", 0x04: "read the light pen",
        0x05: "show page {al_d}", 0x06: "scroll up by {al_d} lines, rows {ch_d} to {dh_d}, columns {cl_d} to {dl_d}",
        0x07: "scroll down by {al_d} lines, rows {ch_d} to {dh_d}, columns {cl_d} to {dl_d}",
        0x08: "read character and attribute at the cursor of page {bh_d} into AX",
        0x09: "write {al_char} with attribute {bl}, {cx_d} times, at the cursor",
        0x0A: "write {al_char}, {cx_d} times, at the cursor", 0x0B: "set the border or background colour {bl}",
        0x0C: "set the pixel at column {cx_d}, row {dx_d} to colour {al}",
        0x0D: "read the pixel at column {cx_d}, row {dx_d}", 0x0E: "write {al_char} at the cursor and move it on",
        0x0F: "which mode is set? AL will be the mode, AH the columns, BH the page",
        0x10: "palette, function {al}", 0x11: "fonts, function {al}", 0x12: "other settings, function {bl}",
        0x13: "write a string of {cx_d} characters at ES:BP, row {dh_d}, column {dl_d}",
        0x1A: "which display is there?", 0x1B: "what can the video do? The answer goes to ES:DI",
    },
    0x13: {
        0x00: "reset {drive}", 0x01: "how did the last operation on {drive} end?",
        0x02: "read {al_d} sectors from {drive}, {chs}, to {buffer}",
        0x03: "write {al_d} sectors to {drive}, {chs}, from {buffer}",
        0x04: "verify {al_d} sectors of {drive}, {chs}", 0x05: "format a track of {drive}, {chs}",
        0x08: "what is the geometry of {drive}? CX and DH will be the last sector, cylinder and head",
        0x09: "set up {drive}", 0x0C: "move the heads of {drive} to {chs}", 0x0D: "reset {drive}",
        0x10: "is {drive} ready?", 0x11: "recalibrate {drive}", 0x14: "test the controller",
        0x15: "what kind of drive is {drive}?", 0x16: "was the diskette in {drive} changed?",
        0x17: "set the diskette's type in {drive}", 0x18: "set the medium's type in {drive}",
        0x41: "does {drive} have the extensions (EDD)? BX is {bx}", 0x42: "read from {drive} by the packet at DS:SI",
        0x43: "write to {drive} by the packet at DS:SI", 0x44: "verify {drive} by the packet at DS:SI",
        0x45: "lock {drive}", 0x46: "eject {drive}", 0x47: "seek on {drive} by the packet at DS:SI",
        0x48: "what are the parameters of {drive}? They go to DS:SI", 0x49: "was the medium in {drive} changed?",
        0x4A: "emulate a drive by a CD's image, as the packet at DS:SI says",
        0x4B: "which CD was booted, function {al}? The packet goes to DS:SI", 0x4C: "boot a CD's image",
        0x4D: "read the CD's boot catalogue, by the packet at DS:SI", 0x4E: "set the hardware of {drive}",
    },
    0x14: {
        0x00: "set up serial port {dx_d} with {al}", 0x01: "send {al_char} through serial port {dx_d}",
        0x02: "receive a character from serial port {dx_d}", 0x03: "what is the status of serial port {dx_d}?",
    },
    0x15: {
        0x24: "the A20 gate, function {al}", 0x4F: "a key came: {al}", 0x83: "tell when CX:DX microseconds are over",
        0x84: "joystick", 0x85: "the SysReq key", 0x86: "wait {microseconds} microseconds",
        0x87: "copy {cx_d} words by the descriptors at ES:SI",
        0x88: "how much memory is above 1 MiB? AX will be the KiB",
        0x89: "switch to protected mode", 0x90: "a device is busy", 0x91: "a device is ready",
        0xC0: "where is the configuration table? ES:BX will point to it",
        0xC1: "where is the extended data area? ES will be its segment", 0xE8: "memory sizes, function {al}",
    },
    0x16: {
        0x00: "wait for a key; AH will be its scan code, AL its character",
        0x01: "is there a key? ZF will be 1 when there is none", 0x02: "which shift keys are down? AL will tell",
        0x03: "set the typematic rate", 0x05: "put the key {cx} into the buffer", 0x09: "what can the keyboard do?",
        0x0A: "which keyboard is it?", 0x10: "wait for a key, also of the extended keyboard",
        0x11: "is there a key, also of the extended keyboard? ZF will be 1 when there is none",
        0x12: "which shift keys are down, also the extended ones?",
    },
    0x17: {0x00: "print {al_char}", 0x01: "reset printer {dx_d}", 0x02: "what is the status of printer {dx_d}?"},
    0x1A: {
        0x00: "how many ticks since midnight? CX:DX will be the count, 18.2 a second",
        0x01: "set the ticks since midnight to CX={cx}, DX={dx}",
        0x02: "what time is it? CH, CL and DH will be hours, minutes and seconds in BCD", 0x03: "set the time",
        0x04: "what date is it? CX, DH and DL will be year, month and day in BCD", 0x05: "set the date",
        0x06: "set the alarm", 0x07: "drop the alarm", 0xB1: "PCI BIOS, function {al}",
    },
}  # fmt: skip
_BIG_MEMORY = {
    0x01: "how much memory is there? AX and BX will tell, split at 16 MiB",
    0x20: "the next entry of the memory map, to ES:DI; EBX is {ebx}",
    0x81: "how much memory is there? EAX and EBX will tell, split at 16 MiB",
}
_REGISTERS = ("ah", "al", "ax", "bh", "bl", "bx", "ch", "cl", "cx", "dh", "dl", "dx", "ebx")
_CONTROL = {
    0x00: "NUL",
    0x07: "a beep",
    0x08: "a backspace",
    0x09: "a tab",
    0x0A: "a line feed",
    0x0D: "a carriage return",
}


def explain_bios_call(machine: Machine, vector: int | None = None) -> str:
    """Return what an INT to the BIOS asks for, by the registers as they are now.

    Without `vector` that of the INT at the instruction pointer is taken. Empty when it is no BIOS service.
    """
    if vector is None:
        code = peek(machine.engine, machine.cpu.linear_ip, 2)  # type: ignore[arg-type]
        if len(code) < 2 or code[0] != 0xCD:
            return ""
        vector = code[1]
    cpu = machine.cpu
    if vector in _WITHOUT_FUNCTION:
        return f"INT {vector:02X}h: {_WITHOUT_FUNCTION[vector]}"
    if vector not in _FUNCTIONS:
        return ""
    template = _template(vector, cpu)
    if template is None:
        return f"INT {vector:02X}h, AH={cpu.ah:02X}h: {SERVICES[vector]}, a function that few BIOSes have"
    function = f"AX={cpu.ax:04X}h" if (vector, cpu.ah) == (0x15, 0xE8) else f"AH={cpu.ah:02X}h"
    return f"INT {vector:02X}h, {function}: {SERVICES[vector]}, {template.format_map(_values(cpu))}"


def _template(vector: int, cpu: Registers) -> str | None:
    if (vector, cpu.ah) == (0x15, 0xE8) and cpu.al in _BIG_MEMORY:
        return _BIG_MEMORY[cpu.al]
    return _FUNCTIONS[vector].get(cpu.ah)


def character(code: int) -> str:
    """Return a byte as a character in quotes, or what it does, with its number."""
    if code in _CONTROL:
        return _CONTROL[code]
    return f"'{chr(code)}'" if 0x20 <= code < 0x7F else f"character {code:02X}h"


def drive_name(number: int) -> str:
    """Return the drive that the BIOS knows by this number."""
    if number >= 0xE0:
        return f"CD drive {number - 0xE0} (DL={number:02X}h)"
    kind, index = ("hard disk", number - 0x80) if number & 0x80 else ("diskette drive", number)
    return f"{kind} {index} (DL={number:02X}h)"


def _chs(cpu: Registers) -> str:
    cylinder = cpu.ch | (cpu.cl & 0xC0) << 2
    return f"cylinder {cylinder}, head {cpu.dh}, sector {cpu.cl & 0x3F}"


_EXTRAS: dict[str, Callable[[Registers], str]] = {
    "al_char": lambda cpu: character(cpu.al),
    "drive": lambda cpu: drive_name(cpu.dl),
    "chs": _chs,
    "buffer": lambda cpu: f"{cpu.es & 0xFFFF:04X}:{cpu.bx:04X}",
    "microseconds": lambda cpu: f"{cpu.cx << 16 | cpu.dx}",
}


def _values(cpu: Registers) -> dict[str, str]:
    values = {}
    for name in _REGISTERS:
        value = getattr(cpu, name)
        digits = 8 if name.startswith("e") else 4 if name.endswith("x") else 2
        values[name], values[f"{name}_d"] = f"{value:0{digits}X}h", str(value)
    return values | {name: make(cpu) for name, make in _EXTRAS.items()}
