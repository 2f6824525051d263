"""The registers of an ATA channel and of the IDE bus master.

ATA/ATAPI-6 (T13/1410D), section 7; SFF-8038i and Intel 82371SB datasheet 290550, section 2.7.
"""

from typing import Any

from minivm.core.describe import Chip, Content, Field, Register, flag, listed
from minivm.core.record import replace

COMMANDS = {
    0x00: "NOP", 0x08: "DEVICE RESET", 0x20: "READ SECTORS", 0x24: "READ SECTORS EXT", 0x25: "READ DMA EXT",
    0x27: "READ NATIVE MAX EXT", 0x29: "READ MULTIPLE EXT", 0x30: "WRITE SECTORS", 0x34: "WRITE SECTORS EXT",
    0x35: "WRITE DMA EXT", 0x39: "WRITE MULTIPLE EXT", 0x40: "READ VERIFY", 0x42: "READ VERIFY EXT",
    0x90: "EXECUTE DEVICE DIAGNOSTIC", 0x91: "INITIALIZE DEVICE PARAMETERS", 0xA0: "PACKET",
    0xA1: "IDENTIFY PACKET DEVICE", 0xC4: "READ MULTIPLE", 0xC5: "WRITE MULTIPLE", 0xC6: "SET MULTIPLE MODE",
    0xC8: "READ DMA", 0xCA: "WRITE DMA", 0xE0: "STANDBY IMMEDIATE", 0xE1: "IDLE IMMEDIATE", 0xE2: "STANDBY",
    0xE3: "IDLE", 0xE5: "CHECK POWER MODE", 0xE7: "FLUSH CACHE", 0xEA: "FLUSH CACHE EXT", 0xEC: "IDENTIFY DEVICE",
    0xEF: "SET FEATURES", 0xF8: "READ NATIVE MAX",
}  # fmt: skip
_GROUPS = {0x10: "RECALIBRATE", 0x70: "SEEK"}


def command_name(code: int) -> str:
    """Return the standard's name of a command, or its number."""
    return COMMANDS.get(code) or _GROUPS.get(code & 0xF0) or f"command {code:02X}h, which no drive has"


SENSE_KEYS = {
    0: "no error", 2: "not ready", 3: "medium error", 4: "hardware error", 5: "illegal request", 6: "unit attention",
    7: "data protected", 11: "aborted command",
}  # fmt: skip
_ERRORS = {
    7: "interface error", 6: "the sector cannot be read", 5: "medium changed", 4: "there is no such sector",
    3: "medium change requested", 2: "the command was aborted", 1: "no medium",
}  # fmt: skip
DIAGNOSTIC_PASSED = 0x01


def _say_error(value: int, state: Any) -> str:
    """Return what the error register says: after a reset a code, of a packet drive a sense key, otherwise bits."""
    if value in (0, DIAGNOSTIC_PASSED):
        return "the diagnostic passed" if value else "no error"
    unit = None if state is None else state.units[state.selected]
    if unit is not None and hasattr(unit.drive, "packet") and value & 0xF0:
        return SENSE_KEYS.get(value >> 4, f"sense key {value >> 4:X}h")
    return listed(_ERRORS[bit] for bit in _ERRORS if value >> bit & 1)


DATA = Register("DATA", "data", 0, "rw", (Field("data", 15, 0, lambda value: f"{value:04X}h of the block"),))
ERROR = Register("ERROR", "error", 1, "r", (
    Field("ICRC", 7, 7), Field("UNC", 6, 6), Field("MC", 5, 5), Field("IDNF", 4, 4), Field("MCR", 3, 3),
    Field("ABRT", 2, 2), Field("NM", 1, 1), Field("AMNF", 0, 0),
), note="A packet drive has the sense key in bits 7-4.", say=_say_error)  # fmt: skip
FEATURES = Register("FEATURES", "features", 1, "w", (Field("features", 7, 0, "features"),))
COUNT = Register("SECTOR COUNT", "sector count", 2, "rw", (Field("count", 7, 0, "count"),),
                 note="The interrupt reason of a packet drive: bit 0 C/D, bit 1 I/O.")  # fmt: skip
LOW = Register("LBA LOW", "LBA, low byte", 3, "rw", (Field("LBA 7-0", 7, 0, "value"),))
MID = Register("LBA MID", "LBA, middle byte", 4, "rw", (Field("LBA 15-8", 7, 0, "value"),))
HIGH = Register("LBA HIGH", "LBA, high byte", 5, "rw", (Field("LBA 23-16", 7, 0, "value"),))
DEVICE = Register("DEVICE", "device", 6, "rw", (
    flag("LBA", 6, "LBA addresses", "CHS addresses"), flag("DEV", 4, "drive 1", "drive 0"),
    Field("head or LBA", 3, 0, "head or LBA 27-24"),
))  # fmt: skip
_STATUS_FIELDS = (
    flag("BSY", 7, "busy"), flag("DRDY", 6, "ready", "not ready"), flag("DF", 5, "device fault"),
    flag("DSC", 4, "seek complete"),
    flag("DRQ", 3, "a data block waits"), flag("ERR", 0, "error"),
)  # fmt: skip
STATUS = Register("STATUS", "status", 7, "r", _STATUS_FIELDS, note="Reading takes the interrupt back.")
COMMAND = Register("COMMAND", "command", 7, "w", (Field("code", 7, 0, command_name),))
ALTERNATE_STATUS = Register("ALTERNATE STATUS", "alternate status", 0, "r", _STATUS_FIELDS)
DEVICE_CONTROL = Register("DEVICE CONTROL", "device control", 0, "w", (
    flag("HOB", 7, "reading gives what was written before"), flag("SRST", 2, "both drives are in reset"),
    flag("nIEN", 1, "no interrupts", "interrupts"),
))  # fmt: skip
_COMMAND_BLOCK = (DATA, ERROR, FEATURES, COUNT, LOW, MID, HIGH, DEVICE, STATUS, COMMAND)


def describe_command(name: str) -> Chip:
    """Return the description of a channel's command block."""
    return Chip(name, _COMMAND_BLOCK, contents=_contents, facts=_facts)


def describe_control(name: str) -> Chip:
    """Return the description of a channel's control block."""
    return Chip(name, (ALTERNATE_STATUS, DEVICE_CONTROL),
                contents=lambda state, now: [Content(DEVICE_CONTROL, state.control)])  # fmt: skip


def _contents(state: Any, now: int) -> list[Content]:
    unit = state.units[state.selected]
    if unit is None:
        return []
    count, low, mid, high = unit.registers[1:]
    return [
        Content(ERROR, unit.error), Content(COUNT, count), Content(LOW, low), Content(MID, mid), Content(HIGH, high),
        Content(DEVICE, unit.device), Content(STATUS, unit.status),
    ]  # fmt: skip


def _facts(state: Any, now: int) -> list[str]:
    said = [] if not state.doing else ["Both drives are in reset."]
    for number, unit in enumerate(state.units):
        selected = ", selected," if number == state.selected else ""
        said.append(f"Drive {number}{selected} is {'absent' if unit is None else _doing(unit)}.")
    return said


def _doing(unit: Any) -> str:
    kind = "a CD-ROM drive" if hasattr(unit.drive, "packet") else "a disk"
    if unit.direction in ("in", "out"):
        where = "to the host" if unit.direction == "in" else "from the host"
        return f"{kind}, {command_name(unit.drive.code)}: {unit.position} of {len(unit.block)} bytes went {where}"
    if unit.dma_left:
        return f"{kind}, {command_name(unit.drive.code)}: {unit.dma_left} bytes are left for DMA"
    return f"{kind}, {command_name(unit.drive.code)} goes on" if unit.due is not None else f"{kind} at rest"


# -- the bus master -------------------------------------------------------------------------------------------------
BM_COMMAND = Register("BMICX", "bus master command", 0, "rw", (
    flag("RWCON", 3, "into memory", "out of memory"), flag("SSBM", 0, "start", "stop"),
))  # fmt: skip
BM_STATUS = Register("BMISX", "bus master status", 2, "rw", (
    flag("DMA1CAP", 6, "drive 1 can do DMA"), flag("DMA0CAP", 5, "drive 0 can do DMA"),
    flag("IDEINTS", 2, "the channel has interrupted"), flag("ERROR", 1, "error"),
    flag("BMIDEA", 0, "active", "at rest"),
), note="Writing ones clears the error and interrupt bits.")  # fmt: skip
_TABLE = tuple(
    Register(f"BMIDTPX{byte}", f"table address, byte {byte}", 4 + byte, "rw", (Field("address", 7, 0, "value"),))
    for byte in range(4)
)
_CHANNEL = (BM_COMMAND, BM_STATUS, *_TABLE)


def _of_second(register: Register) -> Register:
    return replace(register, name=f"{register.name}, second channel", offset=register.offset + 8)


_SECOND = tuple(_of_second(register) for register in _CHANNEL)


def describe_bus_master(name: str) -> Chip:
    """Return the description of the IDE bus master's sixteen ports."""
    return Chip(name, (*_CHANNEL, *_SECOND), contents=_master_contents, facts=_master_facts)


def _master_contents(state: Any, now: int) -> list[Content]:
    held = []
    for registers, channel in zip((_CHANNEL, _SECOND), state.channels, strict=True):
        held += [Content(registers[0], channel.command), Content(registers[1], channel.status)]
        held += [Content(register, channel.table >> 8 * byte & 0xFF) for byte, register in enumerate(registers[2:])]
    return held


def _master_facts(state: Any, now: int) -> list[str]:
    return [
        f"Channel {number} is in the region up to {channel.address + channel.left:X}h, {channel.left} bytes are left."
        for number, channel in enumerate(state.channels)
        if channel.status & 1
    ]
