"""The host bridge's registers (Intel 82441FX datasheet 290549, configuration registers)."""

from itertools import groupby
from typing import Any

from minivm.core.describe import Chip, Content, Field, Register, flag
from minivm.devices.registers.pci import Names, header_contents, value_at

NAMES: Names = {
    0x50: ("PMCCFG", "configuration"), 0x52: ("DETURBO", "turbo counter"), 0x53: ("DBC", "data buffers"),
    0x54: ("AXC", "auxiliary control"), 0x55: ("DRT", "DRAM row types"), 0x57: ("DRAMC", "DRAM control"),
    0x58: ("DRAMT", "DRAM timing"), **{0x59 + n: (f"PAM{n}", f"memory attributes {n}") for n in range(7)},
    **{0x60 + n: (f"DRB{n}", f"DRAM row boundary {n}") for n in range(8)}, 0x68: ("FDHC", "fixed DRAM hole"),
    0x70: ("MTT", "multi-transaction timer"), 0x71: ("CLT", "CPU latency"), 0x72: ("SMRAM", "SMM memory"),
    0x90: ("ERRCMD", "error command"), 0x91: ("ERRSTS", "error status"), 0x93: ("TRC", "turbo reset control"),
}  # fmt: skip
ATTRIBUTES = {0: "ROM", 1: "RAM, read only", 2: "ROM for reads, RAM for writes", 3: "RAM"}


def _attributes(value: int) -> str:
    return ATTRIBUTES[value & 3]


PAM = tuple(
    Register(f"PAM{number}", f"memory attributes {number}", 0x59 + number, "rw", (
        Field("HI", 7, 4, _attributes), *(() if number == 0 else (Field("LO", 3, 0, _attributes),)),
    ))
    for number in range(7)
)  # fmt: skip
SMRAM = Register("SMRAM", "SMM memory", 0x72, "rw", (
    flag("DOPEN", 6, "open"), flag("DCLS", 5, "closed"), flag("DLCK", 4, "locked"),
    flag("G_SMRAME", 3, "enabled", "disabled"), Field("C_BASE_SEG", 2, 0),
))  # fmt: skip


def describe(name: str) -> Chip:
    """Return the description of the host bridge."""
    return Chip(name, (*PAM, SMRAM), contents=_contents, facts=_facts)


def _contents(state: Any, now: int) -> list[Content]:
    registers = state.config.registers
    own = [Content(register, value_at(registers, register.offset)) for register in (*PAM, SMRAM)]
    return header_contents(registers) + own


def _facts(state: Any, now: int) -> list[str]:
    """Tell what C0000h-FFFFFh is, neighbours of one kind together."""
    registers = state.config.registers
    pieces = [(0xC0000 + 0x4000 * n, 0x4000, registers[0x5A + n // 2] >> n % 2 * 4 & 3) for n in range(12)]
    pieces.append((0xF0000, 0x10000, registers[0x59] >> 4 & 3))
    said = []
    for attributes, group in groupby(pieces, key=lambda piece: piece[2]):
        run = list(group)
        said.append(f"{run[0][0]:X}h-{run[-1][0] + run[-1][1] - 1:X}h is {ATTRIBUTES[attributes]}.")
    return said
