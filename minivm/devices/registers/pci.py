"""PCI's configuration registers (PCI Local Bus Specification 2.1, section 3.2.2.3.2 and chapter 6)."""

from collections.abc import Mapping
from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag

Names = Mapping[int, tuple[str, str]]
"""A function's own registers: offset to the datasheet's name and plain words."""
HEADER: Names = {
    0x00: ("VID", "vendor"), 0x02: ("DID", "device"), 0x04: ("PCICMD", "command"), 0x06: ("PCISTS", "status"),
    0x08: ("RID", "revision"), 0x09: ("CLASSC", "class code"), 0x0C: ("CLS", "cache line size"),
    0x0D: ("MLT", "latency timer"), 0x0E: ("HEDT", "header type"), 0x0F: ("BIST", "self test"),
    **{0x10 + 4 * number: (f"BAR{number}", f"base address {number}") for number in range(6)},
    0x2C: ("SVID", "subsystem's vendor"), 0x2E: ("SID", "subsystem"), 0x30: ("ROMBAR", "ROM's base address"),
    0x3C: ("INTLN", "interrupt line"), 0x3D: ("INTPN", "interrupt pin"),
}  # fmt: skip
COMMAND = Register("PCICMD", "command", 0x04, "rw", (
    flag("INTD", 10, "no interrupts"), flag("SERRE", 8, "system errors reported"),
    flag("PERRE", 6, "parity errors reported"), flag("BME", 2, "may master the bus", "may not master the bus"),
    flag("MSE", 1, "memory decoded", "no memory decoded"), flag("IOSE", 0, "I/O decoded", "no I/O decoded"),
))  # fmt: skip
STATUS = Register("PCISTS", "status", 0x06, "rw", (
    flag("DPE", 15, "parity error"), flag("SSE", 14, "system error"), flag("RMA", 13, "master abort"),
    flag("RTA", 12, "target abort received"), flag("STA", 11, "target abort signalled"),
    Field("DEVT", 10, 9, {0: "fast DEVSEL#", 1: "medium DEVSEL#", 2: "slow DEVSEL#"}),
    flag("FBC", 7, "fast back-to-back"),
))  # fmt: skip


def _say_address(value: int, state: Any) -> str:
    if not value >> 31:
        return "no configuration register is chosen"
    bus, device, function = value >> 16 & 0xFF, value >> 11 & 0x1F, value >> 8 & 7
    where = f"function {function} of device {device}" + (f" on bus {bus}, which is not there" if bus else "")
    return f"register {value & 0xFC:02X}h of {where}"


ADDRESS = Register("CONFADD", "configuration address", 0, "rw", (
    Field("CONE", 31, 31), Field("BUSNUM", 23, 16), Field("DEVNUM", 15, 11), Field("FUNCNUM", 10, 8),
    Field("REGNUM", 7, 2),
), say=_say_address)  # fmt: skip
RESET_CONTROL = Register("RC", "reset control", 1, "rw", (
    flag("RCPU", 2, "the machine is reset"), flag("SRST", 1, "a hard reset is chosen", "a soft reset is chosen"),
))  # fmt: skip


def describe_address(name: str) -> Chip:
    """Return the description of CF8h-CFBh, among which the reset control register is at CF9h."""
    return Chip(name, (ADDRESS, RESET_CONTROL), contents=lambda state, now: [Content(ADDRESS, state.address)])


def describe_data(name: str, functions: Mapping[tuple[int, int], tuple[str, Names]]) -> Chip:
    """Return the description of CFCh-CFFh; `functions` by device and function: what it is called, and its registers."""

    def pick(access: Access, state: Any) -> Register | None:
        if state is None or not state.address >> 31:
            return Register("CONFDATA", "configuration data", 0, "rw", say=lambda value, state: "nobody answers")
        return register_of(functions, state.address, access.offset)

    return Chip(name, (), pick=pick)


def register_of(functions: Mapping[tuple[int, int], tuple[str, Names]], address: int, offset: int) -> Register:
    """Return the register behind the configuration `address`, named if it is known."""
    function = (address >> 11 & 0x1F, address >> 8 & 7)
    register = (address & 0xFC) + offset
    if address >> 16 & 0xFF or function not in functions:
        words = f"register {register:02X}h of function {function[1]} of device {function[0]}, who is not there"
        return Register("CONFDATA", words, register, "rw")
    who, own = functions[function]
    name, title = {**HEADER, **own}.get(register, ("", f"register {register:02X}h"))
    known = {0x04: COMMAND, 0x06: STATUS}.get(register)
    return Register(name, f"{title} of {who}", register, "rw", () if known is None else known.fields)


def value_at(registers: bytes, offset: int, size: int = 1) -> int:
    """Return a register out of the bytes of a configuration space."""
    return int.from_bytes(registers[offset : offset + size], "little")


def header_contents(registers: bytes) -> list[Content]:
    """Return the command and the status out of a configuration space."""
    return [Content(COMMAND, value_at(registers, 0x04, 2)), Content(STATUS, value_at(registers, 0x06, 2))]
