"""The PS/2 mouse's answers at the controller's cable.

IBM PS/2 Hardware Interface Technical Reference, "Mouse". A byte for the mouse follows the controller's command D4h, and
its answers come with the status register's bit 5.
"""

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts.i8042 import AUXILIARY, DATA, OUTPUT_FULL, STATUS, command, is_quiet, program

MOUSE = Contract("ps2_mouse", "PS/2 mouse", "IBM PS/2 Hardware Interface Technical Reference, Mouse")

BOTH_ENABLED = 0x44
ACKNOWLEDGE, RESEND, ERROR = 0xFA, 0xFE, 0xFC
TO_MOUSE = 0xD4


def answers(pc: Probe, *expected: int, what: str = "the answer") -> None:
    """Check the bytes that come from the mouse."""
    for number, value in enumerate(expected, 1):
        words = what if len(expected) == 1 else f"byte {number} of {what}"
        got = pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, words, within_ms=1000)
        pc.equal(got & AUXILIARY, AUXILIARY, f"the mouse's bit with {words}")
        pc.reads(DATA, value, words)


def tell(pc: Probe, *values: int) -> None:
    """Send bytes to the mouse, each of which it acknowledges."""
    for value in values:
        command(pc, TO_MOUSE, value)
        answers(pc, ACKNOWLEDGE, what=f"the acknowledgement of {value:02X}h")


def ready(pc: Probe) -> None:
    """Have a mouse after a reset."""
    program(pc, BOTH_ENABLED)
    tell(pc, 0xFF)
    answers(pc, 0xAA, 0x00, what="the self test")


def status_is(pc: Probe, *expected: int) -> None:
    """Check the three bytes of the status."""
    tell(pc, 0xE9)
    answers(pc, *expected, what="the status")


@MOUSE.case("reset is acknowledged, then come AAh and the ID 00h", "Commands: Reset (FFh)")
def reset(pc: Probe) -> None:
    ready(pc)
    is_quiet(pc, "a byte after the ID")


@MOUSE.case("the ID of a plain mouse is 00h", "Commands: Read Device Type (F2h)")
def identity(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF2)
    answers(pc, 0x00, what="the ID")
    is_quiet(pc, "a byte after the ID")


@MOUSE.case("after reset: stream mode, not reporting, scaling 1:1, 4 counts, 100 a second", "Commands: FFh and E9h")
def defaults(pc: Probe) -> None:
    ready(pc)
    status_is(pc, 0x00, 0x02, 100)


@MOUSE.case("enable and disable show in the status", "Commands: F4h, F5h, E9h bit 5")
def reporting(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF4)
    status_is(pc, 0x20, 0x02, 100)
    tell(pc, 0xF5)
    status_is(pc, 0x00, 0x02, 100)


@MOUSE.case("scaling shows in the status", "Commands: E7h, E6h, E9h bit 4")
def scaling(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xE7)
    status_is(pc, 0x10, 0x02, 100)
    tell(pc, 0xE6)
    status_is(pc, 0x00, 0x02, 100)


@MOUSE.case("remote mode shows in the status", "Commands: F0h, EAh, E9h bit 6")
def remote(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF0)
    status_is(pc, 0x40, 0x02, 100)
    tell(pc, 0xEA)
    status_is(pc, 0x00, 0x02, 100)


@MOUSE.case("the resolution is kept", "Commands: Set Resolution (E8h)")
def resolution(pc: Probe) -> None:
    ready(pc)
    for value in (0, 1, 2, 3):
        tell(pc, 0xE8, value)
        status_is(pc, 0x00, value, 100)


@MOUSE.case("each of the seven sampling rates is kept", "Commands: Set Sampling Rate (F3h)")
def rates(pc: Probe) -> None:
    ready(pc)
    for value in (10, 20, 40, 60, 80, 100, 200):
        tell(pc, 0xF3, value)
        status_is(pc, 0x00, 0x02, value)


@MOUSE.case("set default goes back to what reset leaves", "Commands: Set Default (F6h)")
def set_default(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xE7, 0xE8, 0, 0xF3, 20, 0xF4, 0xF6)
    status_is(pc, 0x00, 0x02, 100)


@MOUSE.case("a packet can be asked for: nothing has moved", "Commands: Read Data (EBh)")
def read_data(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF0, 0xEB)
    answers(pc, 0x08, 0x00, 0x00, what="the packet")
    is_quiet(pc, "a fourth byte")


@MOUSE.case(
    "in wrap mode everything comes back but ECh and FFh", "Commands: Set Wrap Mode (EEh), Reset Wrap Mode (ECh)"
)
def wrap(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xEE)
    for value in (0x00, 0x55, 0xF4, 0xE9, 0xFE):
        command(pc, TO_MOUSE, value)
        answers(pc, value, what=f"the echo of {value:02X}h")
    tell(pc, 0xEC)
    status_is(pc, 0x00, 0x02, 100)


@MOUSE.case(
    "reset ends wrap mode",
    "Commands: Set Wrap Mode (EEh), Reset (FFh)",
    differs={"QEMU": "stays in wrap mode: hw/input/ps2.c, ps2_write_mouse"},
)
def wrap_reset(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xEE, 0xFF)
    answers(pc, 0xAA, 0x00, what="the self test")
    status_is(pc, 0x00, 0x02, 100)


@MOUSE.case(
    "what is no command is asked for again, and the second time it is an error",
    "Error Handling: FEh, then FCh",
    differs={"QEMU": "answers nothing to an unknown command: hw/input/ps2.c, ps2_write_mouse"},
)
def invalid(pc: Probe) -> None:
    ready(pc)
    for answer in (RESEND, ERROR, RESEND):
        command(pc, TO_MOUSE, 0xE1)
        answers(pc, answer)


@MOUSE.case(
    "a rate that there is not is asked for again",
    "Commands: Set Sampling Rate (F3h); Error Handling",
    differs={"QEMU": "takes any rate: hw/input/ps2.c, ps2_write_mouse"},
)
def invalid_rate(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF3)
    command(pc, TO_MOUSE, 99)
    answers(pc, RESEND)
    tell(pc, 40)
    status_is(pc, 0x00, 0x02, 40)


@MOUSE.case(
    "resend brings the last answer again",
    "Commands: Resend (FEh)",
    differs={"QEMU": "does not know FEh: hw/input/ps2.c, ps2_write_mouse"},
)
def resend(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xE9)
    answers(pc, 0x00, 0x02, 100, what="the status")
    command(pc, TO_MOUSE, 0xFE)
    answers(pc, 0x00, 0x02, 100, what="the status again")


@MOUSE.case(
    "the rates 200, 100, 80 make a wheel mouse of it, ID 3", "Microsoft: Wheel Support in Windows, ZNMS sequence"
)
def wheel(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF3, 200, 0xF3, 100, 0xF3, 80, 0xF2)
    answers(pc, 0x03, what="the ID")
    tell(pc, 0xEB)
    answers(pc, 0x08, 0x00, 0x00, 0x00, what="the packet")
    tell(pc, 0xFF)
    answers(pc, 0xAA, 0x00, what="the self test: a plain mouse again")


@MOUSE.case("the rates 200, 200, 80 make a mouse with five buttons of it, ID 4", "Microsoft: Five-Button Mouse")
def five_buttons(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF3, 200, 0xF3, 200, 0xF3, 80, 0xF2)
    answers(pc, 0x04, what="the ID")


@MOUSE.case("other rates leave it as it is", "Microsoft: Wheel Support in Windows, ZNMS sequence")
def no_knock(pc: Probe) -> None:
    ready(pc)
    tell(pc, 0xF3, 200, 0xF3, 80, 0xF3, 100, 0xF2)
    answers(pc, 0x00, what="the ID")


@MOUSE.case("the mouse's bytes raise IRQ12 where the command byte allows it", "8042: Controller Command Byte, bit 1")
def interrupt(pc: Probe) -> None:
    ready(pc)
    program(pc, 0x46)
    pc.irq_is(12, False, "before the command")
    command(pc, TO_MOUSE, 0xF5)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.irq_is(12, True, "with the acknowledgement")
    pc.reads(DATA, ACKNOWLEDGE)
    pc.irq_is(12, False, "after it was read")
