"""The registers of power management (Intel 82371AB datasheet 290562, chapter 7; ACPI specification 1.0b, 4.7)."""

from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, bits_set, spoken
from minivm.devices.registers.pci import Names, header_contents, value_at

NAMES: Names = {
    0x40: ("PMBA", "base of its ports"), 0x44: ("CNTA", "count A"), 0x48: ("CNTB", "count B"),
    0x4C: ("GPICTL", "general inputs"), 0x50: ("DEVRESD", "device resource D"), 0x54: ("DEVACTA", "device activity A"),
    0x58: ("DEVACTB", "device activity B"), 0x5C: ("DEVRESA", "device resource A"),
    0x80: ("PMREGMISC", "port enable"), 0x90: ("SMBBA", "SMBus base"), 0xD2: ("SMBHSTCFG", "SMBus configuration"),
}  # fmt: skip
SLEEP = {0: "soft off", 1: "suspend to RAM", 2: "power-on suspend", 3: "power-on suspend", 4: "power-on suspend",
         5: "working", 6: "reserved", 7: "reserved"}  # fmt: skip
EVENTS = {10: "the clock", 8: "the power button", 5: "the firmware", 0: "the timer"}
_NAMES = {10: "RTC", 8: "PWRBTN", 5: "GBL", 0: "TMROF"}


def _events(suffix: str) -> tuple[Field, ...]:
    return tuple(Field(f"{name}_{suffix}", bit, bit) for bit, name in _NAMES.items())


def _say_events(value: int, state: Any) -> str:
    return f"an event of {spoken(bits_set(EVENTS, value))}" if value & 0x0521 else "no event"


def _say_enabled(value: int, state: Any) -> str:
    return f"{spoken(bits_set(EVENTS, value))} may interrupt" if value & 0x0521 else "nothing may interrupt"


PM_STATUS = Register("PMSTS", "events", 0x00, "rw", _events("STS"), say=_say_events)
PM_ENABLE = Register("PMEN", "enabled events", 0x02, "rw", _events("EN"), say=_say_enabled)


def _say_control(value: int, state: Any) -> str:
    mode, kind = "ACPI mode" if value & 1 else "no ACPI mode", value >> 10 & 7
    if not value & 0x2000:
        return f"{mode}, sleep type {kind} ({SLEEP[kind]}) for later"
    what = "the machine goes off" if kind == 0 else f"{SLEEP[kind]}, which is not here"
    return f"{mode}, sleep type {kind}: {what}"


PM_CONTROL = Register("PMCNTRL", "control", 0x04, "rw", (
    Field("SUS_EN", 13, 13), Field("SUS_TYP", 12, 10), Field("BRLD_EN_BM", 1, 1), Field("SCI_EN", 0, 0),
), say=_say_control)  # fmt: skip
PM_TIMER = Register("PMTMR", "timer", 0x08, "r", (Field("TMR_VAL", 23, 0),),
                    say=lambda value, state: f"{(value & 0xFFFFFF) / 3579.545:.3f} ms in its turn")  # fmt: skip
GP_STATUS = Register("GPSTS", "general events", 0x0C, "rw")
GP_ENABLE = Register("GPEN", "enabled general events", 0x0E, "rw")
BLOCK = (PM_STATUS, PM_ENABLE, PM_CONTROL, PM_TIMER, GP_STATUS, GP_ENABLE)

APM_SAYS = {0xF1: "ACPI mode on", 0xF0: "ACPI mode off"}
APM_CONTROL = Register("APMC", "APM control", 0, "rw", (Field("command", 7, 0),),
                       say=lambda value, state: APM_SAYS.get(value, ""))  # fmt: skip
APM_STATUS = Register("APMS", "APM status", 1, "rw", (Field("status", 7, 0),))


def describe(name: str) -> Chip:
    """Return the description of the 64 ports."""
    return Chip(name, BLOCK, pick=_pick, contents=_contents, facts=_facts)


def describe_apm(name: str) -> Chip:
    """Return the description of ports B2h and B3h."""
    return Chip(name, (APM_CONTROL, APM_STATUS))


def _pick(access: Access, state: Any) -> Register | None:
    """Return the register at an offset; a byte in its middle shows no fields."""
    for register in BLOCK:
        size = 4 if register is PM_TIMER else 2
        if register.offset == access.offset:
            return register
        if register.offset < access.offset < register.offset + size:
            return Register(
                register.name, f"{register.title}, byte {access.offset - register.offset}", access.offset, "rw"
            )
    return None


def _contents(state: Any, now: int) -> list[Content]:
    two = (PM_STATUS, PM_ENABLE, PM_CONTROL, GP_STATUS, GP_ENABLE)
    timer = now * 3_579_545 // 1_000_000_000 & 0xFF_FFFF
    own = [Content(each, value_at(state.block, each.offset, 2)) for each in two]
    return header_contents(state.config.registers) + own[:3] + [Content(PM_TIMER, timer)] + own[3:]


def _facts(state: Any, now: int) -> list[str]:
    data = state.config.registers
    base = value_at(data, 0x40, 4) & 0xFFC0
    on = base and data[0x80] & 1
    return [f"Its ports are at {base:X}h-{base + 63:X}h." if on else "Its ports answer nowhere."]
