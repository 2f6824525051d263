"""Ports 61h and 92h: the AT's system control ports."""

from minivm.testing.contract import Contract, Probe

PORT_B = Contract("port61", "system control port B, 61h", "Intel 82371SB (PIIX3) datasheet 290550")
PORT_A = Contract(
    "port92",
    "system control port A, 92h",
    "IBM PS/2 Hardware Interface Technical Reference, System Control Port A",
)

GATE, SPEAKER, REFRESH, OUT_2 = 0x01, 0x02, 0x10, 0x20
ONE_MS = 1193
"""Pulses of the timer's clock in a millisecond."""
FAST_RESET, A20 = 0x01, 0x02


def start_timer_2(pc: Probe, control: int, count: int) -> None:
    """Program channel 2 of the timer: its control word, and a count of two bytes."""
    pc.write(0x43, control)
    pc.write(0x42, count & 0xFF, count >> 8)


def output_is(pc: Probe, high: bool, what: str) -> None:
    """Check bit 5."""
    pc.reads(0x61, OUT_2 if high else 0, what, mask=OUT_2)


# -- port 61h -------------------------------------------------------------------------------------------------------
@PORT_B.case("the gate and the speaker bit are read back", "NMI Status and Control Register, bits 1-0")
def low_bits_are_read_back(pc: Probe) -> None:
    for value in (0, 1, 2, 3):
        pc.write(0x61, value)
        pc.reads(0x61, value, mask=0x03)


@PORT_B.case("at power-on gate and speaker are off", "NMI Status and Control Register, default 00h")
def power_on(pc: Probe) -> None:
    pc.reads(0x61, 0, mask=0x0F)


@PORT_B.case(
    "the bits that switch the checks off are read back",
    "NMI Status and Control Register, bits 3-2",
    differs={"QEMU": "does not keep bits 2 and 3: hw/audio/pcspk.c, pcspk_io_read"},
)
def check_switches_are_read_back(pc: Probe) -> None:
    for value in (0x0C, 0x04, 0x08, 0x00):
        pc.write(0x61, value)
        pc.reads(0x61, value, mask=0x0C)


@PORT_B.case("without an error bits 7 and 6 read 0, whatever is written", "NMI Status and Control Register, bits 7-6")
def no_errors(pc: Probe) -> None:
    for value in (0xFF, 0x0C, 0x00):
        pc.write(0x61, value)
        pc.reads(0x61, 0, f"after {value:02X}h", mask=0xC0)


@PORT_B.case("the refresh bit takes both values", "NMI Status and Control Register, bit 4")
def refresh_flips(pc: Probe) -> None:
    seen = set()
    for _ in range(40):
        seen.add(pc.read(0x61) & REFRESH)
        pc.step(us=5)
    pc.that(seen == {0, REFRESH}, "bit 4 is 0 and 1 in 200 us")


@PORT_B.case(
    "the refresh bit flips with time, each 15 us, and not with each read",
    "NMI Status and Control Register, bit 4; AT Technical Reference, timer channel 1",
    differs={"QEMU": "flips at every read: hw/audio/pcspk.c, dummy_refresh_clock"},
)
def refresh_follows_time(pc: Probe) -> None:
    flips, last = 0, pc.read(0x61) & REFRESH
    for _ in range(300):
        pc.step(us=2.56)
        now = pc.read(0x61) & REFRESH
        flips += now != last
        last = now
    pc.between(flips, 49, 53, "flips in 768 us")


@PORT_B.case("bit 5 shows the end of timer 2's count", "NMI Status and Control Register, bit 5")
def output_of_timer_2(pc: Probe) -> None:
    pc.write(0x61, GATE)
    start_timer_2(pc, 0xB0, ONE_MS)
    output_is(pc, False, "while it counts")
    pc.step(us=950)
    output_is(pc, False, "shortly before the end")
    pc.step(us=100)
    output_is(pc, True, "after the end")


@PORT_B.case("bit 5 is read-only", "NMI Status and Control Register, bit 5")
def output_bit_is_read_only(pc: Probe) -> None:
    start_timer_2(pc, 0xB0, ONE_MS)
    pc.write(0x61, OUT_2 | GATE)
    output_is(pc, False, "OUT of a timer that counts")
    pc.step(ms=1.1)
    pc.write(0x61, GATE)
    output_is(pc, True, "OUT after the count")


@PORT_B.case(
    "bit 0 is the gate of timer 2: while it is low nothing is counted",
    "NMI Status and Control, bit 0",
    differs={"QEMU": "a low gate does not stop mode 0: hw/timer/i8254.c, pit_set_channel_gate"},
)
def gate_stops_timer_2(pc: Probe) -> None:
    pc.write(0x61, 0x00)
    start_timer_2(pc, 0xB0, ONE_MS)
    pc.step(ms=3)
    output_is(pc, False, "with a low gate")
    pc.write(0x61, GATE)
    pc.step(us=900)
    output_is(pc, False, "900 us after the gate went high")
    pc.step(us=200)
    output_is(pc, True, "1.1 ms after the gate went high")


@PORT_B.case(
    "a rising gate starts timer 2's one-shot",
    "NMI Status and Control Register, bit 0; 8254, mode 1",
    differs={"QEMU": "OUT of mode 1 is inverted: hw/timer/i8254_common.c, pit_get_out"},
)
def gate_triggers_one_shot(pc: Probe) -> None:
    pc.write(0x61, 0x00)
    start_timer_2(pc, 0xB2, ONE_MS)
    pc.step(us=20)
    output_is(pc, True, "before the trigger")
    pc.write(0x61, GATE)
    pc.step(us=500)
    output_is(pc, False, "in the pulse")
    pc.step(us=600)
    output_is(pc, True, "after the pulse")


@PORT_B.case("the speaker bit does not hold back bit 5", "NMI Status and Control Register, bits 1 and 5")
def speaker_leaves_the_output(pc: Probe) -> None:
    pc.write(0x61, GATE)
    start_timer_2(pc, 0xB6, 2 * ONE_MS)
    for speaker in (0, SPEAKER):
        pc.write(0x61, GATE | speaker)
        seen = []
        for _ in range(20):
            pc.step(us=100)
            seen.append(bool(pc.read(0x61) & OUT_2))
        pc.between(sum(seen), 9, 11, f"high reads of 20 with speaker bit {speaker >> 1}")


# -- port 92h -------------------------------------------------------------------------------------------------------
def wraps(pc: Probe, expected: bool, what: str) -> None:
    """Check whether the second mebibyte is the first one again."""
    for offset in (0x00600, 0x80000):
        pc.poke(offset, b"\x11")
        pc.poke(0x100000 + offset, b"\x22")
        pc.equal(pc.peek(offset)[0], 0x22 if expected else 0x11, f"{what}: {offset:05X}h")
        pc.equal(pc.peek(0x100000 + offset)[0], 0x22, f"{what}: {0x100000 + offset:X}h")


@PORT_A.case("bit 1 opens and closes address line 20", "bit 1, Alternate Gate A20")
def a20_gate(pc: Probe) -> None:
    for value in (A20, 0, A20):
        pc.write(0x92, value)
        wraps(pc, not value, f"bit 1 is {value >> 1}")


@PORT_A.case("what lies above 1 MiB is still there when address line 20 opens again", "bit 1, Alternate Gate A20")
def a20_hides_memory(pc: Probe) -> None:
    pc.write(0x92, A20)
    pc.poke(0x100700, b"\x77")
    pc.write(0x92, 0)
    pc.poke(0x100700, b"\x33")
    pc.write(0x92, A20)
    pc.equal(pc.peek(0x100700)[0], 0x77, "100700h")
    pc.equal(pc.peek(0x00700)[0], 0x33, "00700h")


@PORT_A.case("bit 1 opens address line 20 when the keyboard controller does not", "bit 1, Alternate Gate A20")
def a20_beside_the_keyboard_controller(pc: Probe) -> None:
    pc.write(0x92, 0)
    for port, value in ((0x64, 0xD1), (0x60, 0xDD)):
        pc.waits_for(0x64, 0x02, 0)
        pc.write(port, value)
    pc.waits_for(0x64, 0x02, 0)
    wraps(pc, True, "both closed")
    pc.write(0x92, A20)
    wraps(pc, False, "port 92h opened it")


@PORT_A.case("the A20 bit and the activity lights are read back", "bits 1, 6 and 7")
def bits_are_read_back(pc: Probe) -> None:
    for value in (0xC2, 0x40, 0x80, 0x02, 0x00):
        pc.write(0x92, value)
        pc.reads(0x92, value, mask=0xC3)


@PORT_A.case("bit 0 resets the machine, once, when it goes from 0 to 1", "bit 0, Alternate Hot Reset")
def fast_reset(pc: Probe) -> None:
    pc.write(0x92, A20)
    pc.equal(pc.system.resets(), 0, "resets before")
    pc.write(0x92, A20 | FAST_RESET)
    pc.step(us=10)
    pc.equal(pc.system.resets(), 1, "resets after the edge")


@PORT_A.case("after the reset bit 0 is 0, so that the next write can reset again", "bit 0, Alternate Hot Reset")
def fast_reset_again(pc: Probe) -> None:
    for number in (1, 2):
        pc.write(0x92, FAST_RESET)
        pc.step(us=10)
        pc.reads(0x92, 0, "bit 0 after the reset", mask=FAST_RESET)
        pc.equal(pc.system.resets(), number, "resets")


@PORT_A.case("no other bit resets the machine", "bit 0, Alternate Hot Reset")
def other_bits_do_not_reset(pc: Probe) -> None:
    for value in (0x02, 0x40, 0x80, 0xC2):
        pc.write(0x92, value)
    pc.step(us=10)
    pc.equal(pc.system.resets(), 0, "resets")
