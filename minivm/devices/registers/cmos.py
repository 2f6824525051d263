"""MC146818A's registers (Motorola datasheet), and what the PC AT keeps in the RAM behind them.

IBM PC AT Technical Reference, "Real-time clock/CMOS RAM". Port 70h chooses, port 71h carries.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag, listed

REGISTER_A, REGISTER_B, REGISTER_C, REGISTER_D = range(0x0A, 0x0E)
CRYSTAL_HZ = 32768
_TIME = {
    0x00: "seconds", 0x01: "seconds alarm", 0x02: "minutes", 0x03: "minutes alarm", 0x04: "hours",
    0x05: "hours alarm", 0x06: "day of the week", 0x07: "day of the month", 0x08: "month", 0x09: "year",
    0x32: "century",
}  # fmt: skip
_RAM = {
    0x0E: "diagnostic status", 0x0F: "shutdown status", 0x10: "types of the diskette drives",
    0x12: "types of the hard disks", 0x14: "equipment", 0x15: "base memory in KiB, low byte",
    0x16: "base memory in KiB, high byte", 0x17: "extended memory in KiB, low byte",
    0x18: "extended memory in KiB, high byte", 0x2E: "checksum, high byte", 0x2F: "checksum, low byte",
    0x30: "extended memory found by POST, low byte", 0x31: "extended memory found by POST, high byte",
    0x34: "memory above 16 MiB in 64 KiB, low byte", 0x35: "memory above 16 MiB in 64 KiB, high byte",
}  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_DIVIDERS = {
    0: "4.194304 MHz crystal", 1: "1.048576 MHz crystal", 2: "32.768 kHz crystal", 3: "test", 4: "test", 5: "test",
    6: "divider held in reset", 7: "divider held in reset",
}  # fmt: skip


def periodic_rate(number: int) -> str:
    """Return the periodic rate that RS3-RS0 choose with the PC's crystal (datasheet, table 5)."""
    if number == 0:
        return "no periodic rate"
    ticks = 1 << (number + 6 if number < 3 else number - 1)
    return f"periodic rate {CRYSTAL_HZ / ticks:g} Hz"


def describe(name: str) -> Chip:
    """Return the description of an MC146818 with the PC's RAM."""
    registers = (_INDEX, *_NAMED.values())
    return Chip(name, registers, pick=_pick, contents=_contents, facts=_facts)


_A = Register("REGISTER A", "register A", 1, "rw", (
    flag("UIP", 7, "an update is in progress", "no update in progress"),
    Field("DV", 6, 4, _DIVIDERS), Field("RS", 3, 0, periodic_rate),
))  # fmt: skip
_B = Register("REGISTER B", "register B", 1, "rw", (
    flag("SET", 7, "the clock stands still, to be set"), flag("PIE", 6, "periodic interrupt on"),
    flag("AIE", 5, "alarm interrupt on"), flag("UIE", 4, "update-ended interrupt on"),
    flag("SQWE", 3, "square wave on"), flag("DM", 2, "binary", "BCD"), flag("24/12", 1, "24 hours", "12 hours"),
    flag("DSE", 0, "daylight saving"),
))  # fmt: skip
_C = Register("REGISTER C", "register C", 1, "r", (
    flag("IRQF", 7, "interrupts", "no interrupt"), flag("PF", 6, "the periodic event happened"),
    flag("AF", 5, "the alarm matched"), flag("UF", 4, "an update ended"),
), note="Reading clears it.")  # fmt: skip
_D = Register("REGISTER D", "register D", 1, "r", (
    flag("VRT", 7, "time and RAM are valid", "the battery failed"),
))  # fmt: skip
_INDEX = Register(
    "INDEX",
    "index",
    0,
    "w",
    (
        flag("NMI", 7, "NMI masked", "NMI allowed"),
        Field("index", 6, 0),
    ),
    say=lambda value, state: listed(
        (f"chooses {_at(value & 0x7F).title}", "and masks the NMI" if value & 0x80 else "")
    ),
)


def _time_register(index: int, title: str) -> Register:
    return Register(f"{index:02X}h", title, 1, "rw", (Field(title, 7, 0),), say=partial(_say_time, index))


def _ram_register(index: int) -> Register:
    title = _RAM.get(index, f"RAM byte {index:02X}h")
    return Register(f"{index:02X}h", title, 1, "rw", (Field(title, 7, 0),), say=_SAY_RAM.get(index, _say_byte))


def _say_byte(value: int, state: Any) -> str:
    return f"{value:02X}h"


def _say_time(index: int, value: int, state: Any) -> str:
    if index in (1, 3, 5) and value >= 0xC0:
        return "matches every value"
    mode = 0x02 if state is None else state.memory[REGISTER_B]
    afternoon = index in (4, 5) and not mode & 0x02 and value & 0x80
    byte = value & 0x7F if afternoon else value
    number = byte if mode & 0x04 else (byte >> 4) * 10 + (byte & 0xF)
    if index == 6 and 1 <= number <= 7:
        return f"{number}, {_DAYS[number - 1]}"
    return f"{number}{' p.m.' if afternoon else ''}"


_DISKETTES = {0: "none", 1: "360 KB", 2: "1.2 MB", 3: "720 KB", 4: "1.44 MB", 5: "2.88 MB"}


def _say_diskettes(value: int, state: Any) -> str:
    first, second = (_DISKETTES.get(number, f"type {number}") for number in (value >> 4, value & 0xF))
    return f"first drive {first}, second drive {second}"


_SAY_RAM: dict[int, Callable[[int, Any], str]] = {0x10: _say_diskettes}
_NAMED: dict[int, Register] = {
    **{index: _time_register(index, title) for index, title in _TIME.items()},
    REGISTER_A: _A, REGISTER_B: _B, REGISTER_C: _C, REGISTER_D: _D,
    **{index: _ram_register(index) for index in _RAM},
}  # fmt: skip


def _at(index: int) -> Register:
    return _NAMED.get(index) or _ram_register(index)


def _pick(access: Access, state: Any) -> Register | None:
    if access.offset & 1:
        return _DATA if state is None else _at(state.index)
    return _INDEX if access.write else None


_DATA = Register("DATA", "data", 1, "rw", (Field("data", 7, 0, "the byte that the index chose:"),))


def _contents(state: Any, now: int) -> list[Content]:
    held = [Content(_at(index), state.memory[index]) for index in (*range(REGISTER_C), 0x32, *sorted(_RAM))]
    flags = state.flags | (0x80 if state.flags & state.memory[REGISTER_B] & 0x70 else 0)
    return [*held[:REGISTER_C], Content(_C, flags), Content(_D, 0x80), *held[REGISTER_C:]]


def _facts(state: Any, now: int) -> list[str]:
    shown = {index: _say_time(index, state.memory[index], state) for index in _TIME}
    date = f"{shown[0x32]:0>2}{shown[9]:0>2}-{shown[8]:0>2}-{shown[7]:0>2}"
    nmi = "masked" if state.nmi_masked else "allowed"
    return [
        f"The clock shows {date}, {shown[4]:0>2}:{shown[2]:0>2}:{shown[0]:0>2}.",
        f"The index is {state.index:02X}h ({_at(state.index).title}), and the NMI is {nmi}.",
    ]
