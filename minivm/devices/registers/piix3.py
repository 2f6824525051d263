"""The registers of the ISA bridge and the IDE function (Intel 82371SB datasheet 290550), and of the graphics card."""

from typing import Any

from minivm.core.describe import Chip, Content, Field, Register, flag
from minivm.devices.registers.pci import Names, header_contents, value_at

ISA_NAMES: Names = {
    0x4C: ("IORT", "I/O recovery"), 0x4E: ("XBCS", "X-bus chip selects"),
    **{0x60 + n: (f"PIRQRC[{'ABCD'[n]}]", f"route of PIRQ{'ABCD'[n]}#") for n in range(4)},
    0x69: ("TOM", "top of memory"), 0x6A: ("MSTAT", "status of the bridge"), 0x70: ("MBIRQ0", "board's interrupt"),
    0x76: ("MBDMA0", "board's DMA 0"), 0x77: ("MBDMA1", "board's DMA 1"), 0x78: ("PCSC", "programmable chip select"),
    0x80: ("APICBASE", "APIC's base"), 0x82: ("DLC", "deterministic latency"), 0xA0: ("SMICNTL", "SMI control"),
    0xA2: ("SMIEN", "SMI enable"), 0xA4: ("SEE", "system events"), 0xA8: ("FTMR", "fast-off timer"),
    0xAA: ("SMIREQ", "SMI request"), 0xAC: ("CTLTMR", "clock throttle low"), 0xAE: ("CTHTMR", "clock throttle high"),
}  # fmt: skip
IDE_NAMES: Names = {
    0x20: ("BMIBA", "bus master's base"), 0x40: ("IDETIM0", "timing of the first channel"),
    0x42: ("IDETIM1", "timing of the second channel"), 0x44: ("SIDETIM", "slaves' timing"),
}  # fmt: skip


def _say_route(value: int, state: Any) -> str:
    return "routed nowhere" if value & 0x80 else f"routed to IRQ{value & 0xF}"


ROUTES = tuple(
    Register(f"PIRQRC[{letter}]", f"route of PIRQ{letter}#", 0x60 + number, "rw", (
        flag("OFF", 7, "off"), Field("IRQ", 3, 0),
    ), say=_say_route)
    for number, letter in enumerate("ABCD")
)  # fmt: skip


def _window(name: str, title: str, offset: int, kind: str) -> Register:
    mask = 0xFFFF_FFFC if kind == "ports" else 0xFFFF_FFF0

    def say(value: int, state: Any) -> str:
        return f"{kind} from {value & mask:X}h" if value & mask else "nowhere"

    return Register(name, title, offset, "rw", (Field("BASE", 31, 4),), say=say)


BUS_MASTER = _window("BMIBA", "bus master's base", 0x20, "ports")
FRAMEBUFFER = _window("BAR0", "framebuffer's base", 0x10, "memory")
TIMINGS = tuple(
    Register(f"IDETIM{number}", f"timing of the {which} channel", 0x40 + 2 * number, "rw", (
        flag("IDE", 15, "its ports decoded", "its ports not decoded"), Field("ISP", 13, 12), Field("RTC", 9, 8),
    ))
    for number, which in enumerate(("first", "second"))
)  # fmt: skip


def describe_isa(name: str) -> Chip:
    """Return the description of the ISA bridge."""
    return Chip(name, ROUTES, contents=lambda state, now: _contents(state, ROUTES, 1), facts=_facts)


def describe_ide(name: str) -> Chip:
    """Return the description of the IDE function."""
    registers = (BUS_MASTER, *TIMINGS)
    return Chip(name, registers, contents=lambda state, now: [
        *_contents(state, (BUS_MASTER,), 4), *_contents(state, TIMINGS, 2)[2:],
    ])  # fmt: skip


def describe_vga(name: str) -> Chip:
    """Return the description of the graphics card's PCI side."""
    return Chip(name, (FRAMEBUFFER,), contents=lambda state, now: _contents(state, (FRAMEBUFFER,), 4))


def _contents(state: Any, registers: tuple[Register, ...], size: int) -> list[Content]:
    data = state.config.registers
    return header_contents(data) + [Content(each, value_at(data, each.offset, size)) for each in registers]


def _facts(state: Any, now: int) -> list[str]:
    asserted = [f"PIRQ{letter}#" for letter, level in zip("ABCD", state.asserted, strict=True) if level]
    return [f"Asserted: {', '.join(asserted)}."] if asserted else []
