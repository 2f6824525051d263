"""82077AA's registers (Intel datasheet 290166, section 2), and what the bytes of its FIFO mean."""

from typing import Any

from minivm.core.describe import Chip, Content, Field, Register, by_offset, flag, listed

_RATES = {0: "500 kbit/s", 1: "300 kbit/s", 2: "250 kbit/s", 3: "1 Mbit/s"}
COMMANDS = {
    0x02: "READ TRACK", 0x03: "SPECIFY", 0x04: "SENSE DRIVE STATUS", 0x05: "WRITE DATA", 0x06: "READ DATA",
    0x07: "RECALIBRATE", 0x08: "SENSE INTERRUPT STATUS", 0x09: "WRITE DELETED DATA", 0x0A: "READ ID",
    0x0C: "READ DELETED DATA", 0x0D: "FORMAT TRACK", 0x0E: "DUMPREG", 0x0F: "SEEK", 0x10: "VERSION",
    0x11: "SCAN EQUAL", 0x12: "PERPENDICULAR MODE", 0x13: "CONFIGURE", 0x14: "LOCK", 0x16: "VERIFY",
    0x19: "SCAN LOW OR EQUAL", 0x1D: "SCAN HIGH OR EQUAL",
}  # fmt: skip
"""By the opcode's low five bits; RELATIVE SEEK is a SEEK with bit 7."""
_ENDS = {0: "ended well", 1: "ended abnormally", 2: "invalid command", 3: "ready line changed"}

SRA = Register("SRA", "status A", 0, "r", (
    flag("INT PENDING", 7, "interrupt pending"), flag("DRV2#", 6, "no second drive", "a second drive"),
    flag("STEP", 5, "step"), flag("TRK0#", 4, "not at track 0", "at track 0"), flag("HDSEL", 3, "head 1", "head 0"),
    flag("INDX#", 2, "", "at the index hole"), flag("WP#", 1, "", "write protected"), flag("DIR", 0, "inward"),
))  # fmt: skip
SRB = Register("SRB", "status B", 1, "r", (
    flag("DRIVE SEL 0", 5, "drive 0 bit of DOR"), flag("WRDATA", 4, ""), flag("RDDATA", 3, ""),
    flag("WE", 2, "writing"),
    flag("MOT EN 1", 1, "motor 1 on"), flag("MOT EN 0", 0, "motor 0 on"),
))  # fmt: skip
DOR = Register("DOR", "digital output", 2, "rw", (
    flag("MOT EN 3", 7, "motor 3 on"), flag("MOT EN 2", 6, "motor 2 on"), flag("MOT EN 1", 5, "motor 1 on"),
    flag("MOT EN 0", 4, "motor 0 on", "motor 0 off"),
    flag("DMAGATE#", 3, "interrupts and DMA reach the bus", "no interrupts, no DMA"),
    flag("RESET#", 2, "running", "held in reset"), Field("DRIVE SEL", 1, 0, "drive"),
))  # fmt: skip
TDR = Register("TDR", "tape drive", 3, "rw", (Field("TAPE SEL", 1, 0, "tape drive"),))
MSR = Register("MSR", "main status", 4, "r", (
    flag("RQM", 7, "ready for a byte", "not ready for a byte"), flag("DIO", 6, "to be read", "to be written"),
    flag("NON DMA", 5, "the processor moves the data"), flag("CMD BSY", 4, "a command is on", "no command"),
    *(flag(f"DRV{unit} BUSY", unit, f"drive {unit} seeks") for unit in (3, 2, 1, 0)),
))  # fmt: skip
DSR = Register("DSR", "data rate select", 4, "w", (
    flag("S/W RESET", 7, "reset"), flag("POWER DOWN", 6, "power down"), Field("PRECOMP", 4, 2, ""),
    Field("DRATE SEL", 1, 0, _RATES),
))  # fmt: skip
DIR = Register(
    "DIR", "digital input", 0, "r", (flag("DSK CHG", 7, "the disk was changed", "the disk was not changed"),)
)
CCR = Register("CCR", "configuration control", 0, "w", (Field("DRATE SEL", 1, 0, _RATES),))
ST0 = Register("ST0", "status 0", 0, "r", (
    Field("IC", 7, 6, _ENDS), flag("SE", 5, "seek end"), flag("EC", 4, "no track 0"), flag("H", 2, "head 1", "head 0"),
    Field("DS", 1, 0, "drive"),
))  # fmt: skip
ST1 = Register("ST1", "status 1", 0, "r", (
    flag("EN", 7, "end of cylinder"), flag("DE", 5, "CRC error"), flag("OR", 4, "overrun"),
    flag("ND", 2, "no such sector"),
    flag("NW", 1, "write protected"), flag("MA", 0, "no address mark"),
))  # fmt: skip
ST2 = Register("ST2", "status 2", 0, "r", (
    flag("CM", 6, "control mark"), flag("DD", 5, "CRC error in the data"), flag("WC", 4, "wrong cylinder"),
    flag("SH", 3, "scan hit"), flag("SN", 2, "scan not satisfied"), flag("BC", 1, "bad cylinder"),
    flag("MD", 0, "no data address mark"),
))  # fmt: skip
_STATUS = (ST0, ST1, ST2)
_WITH_STATUS = (0x02, 0x05, 0x06, 0x09, 0x0A, 0x0C, 0x0D, 0x11, 0x16, 0x19, 0x1D)
"""Commands whose result is ST0 to ST2 and C, H, R, N."""
_IDS = ("the cylinder", "the head", "the sector", "the size code")


def command_name(opcode: int) -> str:
    """Return what a command's first byte asks for."""
    name = COMMANDS.get(opcode & 0x1F, "an invalid command")
    if opcode & 0x1F == 0x0F and opcode & 0x80:
        return "RELATIVE SEEK"
    return "UNLOCK" if opcode == 0x14 else name


def _say_written(value: int, state: Any) -> str:
    if state is None:
        return f"{value:02X}h"
    if state.phase == "execution":
        return f"a byte of data, {value:02X}h"
    if not state.received:
        return f"begins {command_name(value)}"
    return f"byte {len(state.received) + 1} of {command_name(state.received[0])}, {value:02X}h"


def _say_read(value: int, state: Any) -> str:
    if state is None or state.phase != "result":
        return f"a byte of data, {value:02X}h"
    command, left = state.received[0] & 0x1F, len(state.results)
    if command == 0x08:
        return _status(ST0, value) if left == 2 or value == 0x80 else f"PCN: cylinder {value}"
    if command not in _WITH_STATUS:
        return f"{value:02X}h in answer to {command_name(state.received[0])}"
    return _status(_STATUS[7 - left], value) if left > 4 else f"{_IDS[4 - left]}, {value:02X}h"


def _status(register: Register, value: int) -> str:
    words = listed(field.words(field.of(value)) for field in register.fields)
    return f"{register.name}: {words}" if words else f"{register.name}: nothing to report"


FIFO_WRITE = Register("FIFO", "command or data", 5, "w", (), say=_say_written)
FIFO_READ = Register("FIFO", "result or data", 5, "r", (), say=_say_read)


def describe(name: str) -> Chip:
    """Return the description of ports 3F0h to 3F5h."""
    registers = (SRA, SRB, DOR, TDR, MSR, DSR, FIFO_WRITE, FIFO_READ)
    return Chip(
        name, registers, pick=lambda access, state: by_offset(registers, access), contents=_contents, facts=_facts
    )


def describe_rate(name: str) -> Chip:
    """Return the description of port 3F7h."""
    return Chip(name, (DIR, CCR), contents=lambda state, now: [Content(CCR, state.settings.rate_select & 3)])


def _contents(state: Any, now: int) -> list[Content]:
    busy = sum(1 << unit for unit, seek in enumerate(state.seeks.moving) if seek is not None)
    running = state.digital_output & 4 and state.reset_due is None
    ready = {"command": 0x80 | 0x10 * bool(state.received), "result": 0xD0, "execution": 0x10}[state.phase]
    return [
        Content(DOR, state.digital_output),
        Content(TDR, state.tape_drive),
        Content(MSR, busy | ready if running else 0),
        Content(DSR, state.settings.rate_select),
    ]


def _facts(state: Any, now: int) -> list[str]:
    said = [
        f"Drive {unit}: the head is at cylinder {drive.cylinder}{', its change line is on' if drive.changed else ''}."
        for unit, drive in enumerate(state.drives)
    ]
    if state.transfer is not None:
        where = state.transfer
        said.append(
            f"{command_name(where.command)} is at cylinder {where.cylinder}, head {where.head}, sector {where.sector}."
        )
    if state.resets_to_sense:
        said.append(f"{state.resets_to_sense} of the reset's interrupts are still to be sensed.")
    return said
