"""8254: the three counters. Channel 0's output is IRQ0; channel 2's gate and output are bits 0 and 5 of port 61h.

Virtual time does not say at which nanosecond a CLK pulse falls. So what must be exact is seen by the read-back command,
which latches a counter's output and its count at one moment: `shape` follows both from pulse to pulse.
"""

from minivm.testing.contract import Contract, Probe

PIT = Contract(
    "pit", "8254 interval timer", "Intel 8254 datasheet 231164; 82371SB (PIIX3) datasheet 290550 for port 61h"
)
COUNTERS, CONTROL, PORT_B = 0x40, 0x43, 0x61
LOW_BYTE, HIGH_BYTE, BOTH = 1, 2, 3
GATE, OUT_2 = 0x01, 0x20
OUT, NULL_COUNT = 0x80, 0x40
PULSE_US = 1e6 / 1_193_182
SAMPLE_NS = 320
"""A CLK pulse is 838 ns long: each count is seen twice or more."""

NO_GATE = "a low gate stops nothing (pit_set_channel_gate in hw/timer/i8254_common.c: XXX)"
NO_TRIGGER = "modes 1 and 5 begin with the count, not with the trigger (pit_load_count in hw/timer/i8254.c)"
AT_ONCE = "each count written begins at once (pit_load_count in hw/timer/i8254.c)"
UPSIDE_DOWN = "OUT is upside down in modes 1, 2, 4 and 5 (pit_get_out in hw/timer/i8254_common.c)"
NO_NULL_COUNT = "bit 6 of the status is always 0 (pit_ioport_write in hw/timer/i8254.c: XXX)"
NO_BCD = "counts in binary, whatever bit 0 says (pit_get_count in hw/timer/i8254.c)"
STILL_RUNS = "a control word stores the mode, and the old count goes on (pit_ioport_write in hw/timer/i8254.c)"


def control(pc: Probe, channel: int, mode: int, *, access: int = BOTH, bcd: bool = False) -> None:
    """Write a control word."""
    pc.write(CONTROL, channel << 6 | access << 4 | mode << 1 | bcd)


def count(pc: Probe, channel: int, value: int) -> None:
    """Write both bytes of a count."""
    pc.write(COUNTERS + channel, value & 0xFF, value >> 8)


def program(pc: Probe, channel: int, mode: int, value: int, *, bcd: bool = False) -> None:
    """Write a control word and both bytes of a count."""
    control(pc, channel, mode, bcd=bcd)
    count(pc, channel, value)


def pulses(pc: Probe, number: int) -> None:
    """Wait for so many CLK pulses, or one more."""
    pc.step(us=number * PULSE_US)


def gate(pc: Probe, level: bool) -> None:
    """Drive the gate of channel 2."""
    pc.write(PORT_B, GATE if level else 0)


def trigger(pc: Probe) -> None:
    """Let the gate of channel 2 rise, and stay high."""
    gate(pc, False)
    gate(pc, True)


def next_count(pc: Probe, channel: int) -> int:
    """Read two bytes."""
    low = pc.read(COUNTERS + channel)
    return pc.read(COUNTERS + channel) << 8 | low


def latched(pc: Probe, channel: int) -> int:
    """Latch the count and read it."""
    pc.write(CONTROL, channel << 6)
    return next_count(pc, channel)


def status(pc: Probe, channel: int) -> int:
    """Latch the status by the read-back command and read it."""
    pc.write(CONTROL, 0xE0 | 2 << channel)
    return pc.read(COUNTERS + channel)


def out_is(pc: Probe, channel: int, level: bool, what: str) -> None:
    """Check an output: at IRQ0, at port 61h, or in channel 1's status."""
    if channel == 0:
        pc.irq_is(0, level, what)
        return
    bits, mask = (pc.read(PORT_B), OUT_2) if channel == 2 else (status(pc, 1), OUT)
    pc.equal(bits & mask, mask if level else 0, f"OUT{channel} {what}")


def only_irq_0(pc: Probe) -> None:
    """Let the master PIC stand alone, with automatic EOI and only the timer's line open."""
    pc.write(0x20, 0x13)
    pc.write(0x21, 0x08, 0x03, 0xFE)


def ticked(pc: Probe) -> int:
    """Poll the PIC, which acknowledges: bit 7 is 1 after a rise of OUT0."""
    pc.write(0x20, 0x0C)
    return pc.read(0x20) & 0x80


def shape(pc: Probe, channel: int, steps: int, *, outputs: bool = True) -> str:
    """Follow a counter with access to the low byte for `steps` counts, from the first one that is loaded.

    Returns each as the level of OUT, `:` and the count in hexadecimal; without `outputs`, only the counts.
    """
    seen: list[str] = []
    for _ in range(steps * 3 + 6):
        pc.write(CONTROL, 0xC0 | 2 << channel)
        state, low = pc.read(COUNTERS + channel), pc.read(COUNTERS + channel)
        now = f"{state >> 7}:{low:02X}" if outputs else f"{low:02X}"
        if seen[-1:] != [now] and not (state & NULL_COUNT and not seen):
            seen.append(now)
        pc.step(ns=SAMPLE_NS)
    return " ".join(seen[:steps])


def follows(pc: Probe, channel: int, expected: str) -> None:
    """Check the `shape` of a counter whose count was just written, or that was just triggered."""
    wanted = expected.split()
    got = shape(pc, channel, len(wanted), outputs=":" in expected)
    pc.that(got == expected, f"the counts shall be {expected}; they are {got}")


def low_byte(pc: Probe, channel: int, mode: int, value: int, *, bcd: bool = False) -> None:
    """Write a control word for the low byte alone, and that byte."""
    control(pc, channel, mode, access=LOW_BYTE, bcd=bcd)
    pc.write(COUNTERS + channel, value)


# -- mode 0 ---------------------------------------------------------------------------------------------------------
@PIT.case(
    "mode 0: OUT is low while the counter counts down, and high from the count 0 on",
    "Mode 0: Interrupt on Terminal Count",
)
def mode_0_counts_down(pc: Probe) -> None:
    low_byte(pc, 0, 0, 4)
    follows(pc, 0, "0:04 0:03 0:02 0:01 1:00 1:FF 1:FE")


@PIT.case("mode 0: OUT rises after the count's time on each channel", "Mode 0: Interrupt on Terminal Count")
def mode_0_takes_its_time(pc: Probe) -> None:
    gate(pc, True)
    for channel in range(3):
        program(pc, channel, 0, 1000)
        pulses(pc, 990)
        out_is(pc, channel, False, "before the terminal count")
        pulses(pc, 20)
        out_is(pc, channel, True, "after the terminal count")


@PIT.case(
    "mode 0: the control word takes OUT low at once",
    "Mode 0: Interrupt on Terminal Count",
    differs={"QEMU": STILL_RUNS},
)
def mode_0_goes_low(pc: Probe) -> None:
    program(pc, 0, 0, 100)
    pulses(pc, 200)
    out_is(pc, 0, True, "after the terminal count")
    control(pc, 0, 0)
    out_is(pc, 0, False, "after the control word")


@PIT.case(
    "mode 0: OUT stays high when the counter comes to 0 a second time",
    "Mode 0: OUT remains high until a new count or control word",
)
def mode_0_stays_high(pc: Probe) -> None:
    program(pc, 0, 0, 1000)
    pc.step(ms=1)
    for _ in range(4):
        out_is(pc, 0, True, "after the terminal count")
        pc.step(ms=14.5)
    pc.between(latched(pc, 0), 60_000, 65_535, "the count, after 59 ms")


@PIT.case("mode 0: a new count takes OUT low and counts anew", "Mode 0: if a new count is written to the Counter")
def mode_0_takes_a_new_count(pc: Probe) -> None:
    low_byte(pc, 0, 0, 50)
    pulses(pc, 100)
    out_is(pc, 0, True, "after the terminal count")
    pc.write(COUNTERS, 240)
    out_is(pc, 0, False, "after the new count")
    pulses(pc, 230)
    out_is(pc, 0, False, "before its end")
    pulses(pc, 20)
    out_is(pc, 0, True, "after its end")


@PIT.case(
    "mode 0: a new count in the middle counts from the next pulse on",
    "Mode 0: if a new count is written to the Counter",
)
def mode_0_takes_a_new_count_early(pc: Probe) -> None:
    program(pc, 0, 0, 2000)
    pulses(pc, 500)
    count(pc, 0, 1000)
    pulses(pc, 100)
    pc.between(latched(pc, 0), 895, 905, "100 pulses after the new count")


@PIT.case(
    "mode 0: the first of two bytes stops the counter and takes OUT low",
    "Mode 0: writing the first byte disables counting",
    differs={"QEMU": "keeps the first byte and goes on counting (pit_ioport_write in hw/timer/i8254.c)"},
)
def mode_0_stops_between_two_bytes(pc: Probe) -> None:
    program(pc, 0, 0, 100)
    pulses(pc, 200)
    pc.write(COUNTERS, 0x00)
    out_is(pc, 0, False, "after the first byte")
    before = latched(pc, 0)
    pulses(pc, 100)
    pc.equal(latched(pc, 0), before, "the count stands", digits=4)


@PIT.case(
    "mode 0: a low gate holds the count, which goes on from there",
    "Mode 0: GATE = 0 disables counting",
    differs={"QEMU": NO_GATE},
)
def mode_0_waits_for_the_gate(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 0, 1000)
    pulses(pc, 100)
    gate(pc, False)
    before = latched(pc, 2)
    pulses(pc, 2000)
    pc.equal(latched(pc, 2), before, "the count stands", digits=4)
    gate(pc, True)
    pulses(pc, 100)
    pc.between(before - latched(pc, 2), 97, 103, "the count goes on")


@PIT.case("mode 0: the gate has no effect on OUT", "Mode 0: GATE has no effect on OUT")
def mode_0_keeps_out_without_gate(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 0, 100)
    pulses(pc, 200)
    gate(pc, False)
    out_is(pc, 2, True, "with a low gate")
    gate(pc, True)
    pulses(pc, 50)
    out_is(pc, 2, True, "after the gate's rise")


@PIT.case(
    "mode 0: the count is loaded with a low gate, too, and that pulse does not count",
    "Mode 0: if an initial count is written while GATE = 0",
    differs={"QEMU": NO_GATE},
)
def mode_0_loads_without_gate(pc: Probe) -> None:
    gate(pc, False)
    program(pc, 2, 0, 0x1234)
    pulses(pc, 50)
    pc.equal(latched(pc, 2), 0x1234, "the count", digits=4)


# -- mode 1 ---------------------------------------------------------------------------------------------------------
@PIT.case(
    "mode 1: OUT is high and stays so without a trigger",
    "Mode 1: Hardware Retriggerable One-Shot",
    differs={"QEMU": NO_TRIGGER},
)
def mode_1_waits_for_a_trigger(pc: Probe) -> None:
    gate(pc, False)
    control(pc, 2, 1)
    out_is(pc, 2, True, "after the control word")
    count(pc, 2, 100)
    pulses(pc, 50)
    out_is(pc, 2, True, "after half the count")
    pulses(pc, 100)
    out_is(pc, 2, True, "after the count")
    pc.equal(status(pc, 2) & NULL_COUNT, NULL_COUNT, "null count: nothing was loaded")


@PIT.case(
    "mode 1: a trigger loads the count, and OUT is low until it is 0",
    "Mode 1: Hardware Retriggerable One-Shot",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_1_is_low_for_the_count(pc: Probe) -> None:
    gate(pc, False)
    low_byte(pc, 2, 1, 4)
    gate(pc, True)
    follows(pc, 2, "0:04 0:03 0:02 0:01 1:00 1:FF 1:FE")


@PIT.case(
    "mode 1: a trigger during the one-shot begins it anew",
    "Mode 1: the one-shot is retriggerable",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_1_is_retriggered(pc: Probe) -> None:
    gate(pc, False)
    program(pc, 2, 1, 1000)
    gate(pc, True)
    pulses(pc, 800)
    trigger(pc)
    pulses(pc, 900)
    out_is(pc, 2, False, "900 pulses after the second trigger")
    pulses(pc, 120)
    out_is(pc, 2, True, "after the one-shot")


@PIT.case(
    "mode 1: a low gate does not disturb the one-shot",
    "Mode 1: GATE has no effect on OUT",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_1_needs_no_gate(pc: Probe) -> None:
    gate(pc, False)
    program(pc, 2, 1, 1000)
    trigger(pc)
    pulses(pc, 100)
    gate(pc, False)
    pulses(pc, 880)
    out_is(pc, 2, False, "980 pulses after the trigger")
    pulses(pc, 40)
    out_is(pc, 2, True, "1020 pulses after the trigger")


@PIT.case(
    "mode 1: a new count waits for the next trigger",
    "Mode 1: if a new count is written during a one-shot pulse",
    differs={"QEMU": AT_ONCE},
)
def mode_1_keeps_its_count(pc: Probe) -> None:
    gate(pc, False)
    program(pc, 2, 1, 1000)
    gate(pc, True)
    pulses(pc, 100)
    count(pc, 2, 3000)
    pulses(pc, 100)
    pc.between(latched(pc, 2), 795, 805, "200 pulses after the first trigger")
    trigger(pc)
    pulses(pc, 100)
    pc.between(latched(pc, 2), 2895, 2905, "100 pulses after the second trigger")


# -- mode 2 ---------------------------------------------------------------------------------------------------------
@PIT.case("mode 2: the counter goes from the count down to 1 and begins again", "Mode 2: Rate Generator")
def mode_2_counts_to_1(pc: Probe) -> None:
    low_byte(pc, 1, 2, 4)
    follows(pc, 1, "04 03 02 01 04 03 02 01 04")


@PIT.case("mode 2: OUT is low during the count 1 only", "Mode 2: Rate Generator", differs={"QEMU": UPSIDE_DOWN})
def mode_2_is_low_for_one_pulse(pc: Probe) -> None:
    low_byte(pc, 0, 2, 3)
    follows(pc, 0, "1:03 1:02 0:01 1:03 1:02 0:01 1:03")


@PIT.case(
    "mode 2: the shortest count, 2, is high for one pulse and low for one",
    "Mode 2: a count of 1 is illegal",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_2_with_the_shortest_count(pc: Probe) -> None:
    low_byte(pc, 0, 2, 2)
    follows(pc, 0, "1:02 0:01 1:02 0:01 1:02")


@PIT.case("mode 2: the period is the count, also after many of them", "Mode 2: Rate Generator")
def mode_2_has_its_period(pc: Probe) -> None:
    program(pc, 1, 2, 1000)
    pulses(pc, 500)
    before = latched(pc, 1)
    pulses(pc, 200 * 1000)
    pc.between(latched(pc, 1) - before, -3, 3, "the count after 200 periods")


@PIT.case("mode 2: the timer interrupts once a period", "Mode 2: Rate Generator; OUT0 is IRQ0")
def mode_2_interrupts(pc: Probe) -> None:
    only_irq_0(pc)
    program(pc, 0, 2, 1000)
    pulses(pc, 500)
    ticked(pc)  # OUT may have risen by the control word
    for _ in range(5):
        pulses(pc, 1000)
        pc.equal(ticked(pc), 0x80, "a tick in each period")
        pc.equal(ticked(pc), 0x00, "one tick in each period")


@PIT.case(
    "mode 2: OUT is high as soon as the control word is written",
    "Mode 2: OUT will initially be high",
    differs={"QEMU": STILL_RUNS},
)
def mode_2_begins_high(pc: Probe) -> None:
    program(pc, 0, 0, 0)
    pulses(pc, 10)
    out_is(pc, 0, False, "in mode 0")
    control(pc, 0, 2)
    out_is(pc, 0, True, "in mode 2")
    pulses(pc, 50)
    out_is(pc, 0, True, "without a count")


@PIT.case(
    "mode 2: a new count waits for the end of the period",
    "Mode 2: writing a new count while counting",
    differs={"QEMU": AT_ONCE},
)
def mode_2_finishes_its_period(pc: Probe) -> None:
    program(pc, 0, 2, 2000)
    pulses(pc, 500)
    count(pc, 0, 5000)
    pulses(pc, 1000)
    pc.between(latched(pc, 0), 495, 505, "in the old period")
    pulses(pc, 1000)
    pc.between(latched(pc, 0), 4495, 4505, "in the new one")


@PIT.case(
    "mode 2: a low gate takes OUT high and stops the counter", "Mode 2: GATE; figure 21", differs={"QEMU": NO_GATE}
)
def mode_2_stops_without_gate(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 2, 1000)
    pulses(pc, 300)
    gate(pc, False)
    before = latched(pc, 2)
    for _ in range(4):
        pulses(pc, 300)
        out_is(pc, 2, True, "with a low gate")
        pc.equal(latched(pc, 2), before, "the count stands", digits=4)


@PIT.case(
    "mode 2: a low gate takes OUT high at once, also during its low pulse",
    "Mode 2: if GATE goes low during an output pulse",
    differs={"QEMU": NO_GATE},
)
def mode_2_goes_high_without_gate(pc: Probe) -> None:
    low_byte(pc, 2, 2, 2)
    for wait in range(6, 26):
        gate(pc, True)
        pc.step(ns=wait * SAMPLE_NS)
        gate(pc, False)
        out_is(pc, 2, True, "with a low gate")


@PIT.case("mode 2: the gate's rise begins a period", "Mode 2: GATE can be used to synchronize the Counter")
def mode_2_is_triggered(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 2, 1000)
    pulses(pc, 700)
    trigger(pc)
    pulses(pc, 100)
    pc.between(latched(pc, 2), 895, 905, "100 pulses after the trigger")


@PIT.case(
    "mode 2: a trigger brings a new count in before the period's end",
    "Mode 2: if a trigger is received after writing a new count",
)
def mode_2_takes_a_new_count_by_trigger(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 2, 2000)
    pulses(pc, 500)
    count(pc, 2, 5000)
    trigger(pc)
    pulses(pc, 100)
    pc.between(latched(pc, 2), 4895, 4905, "100 pulses after the trigger")


# -- mode 3 ---------------------------------------------------------------------------------------------------------
@PIT.case(
    "mode 3: an even count goes down by twos, once with OUT high and once low", "Mode 3: Square Wave Mode, even counts"
)
def mode_3_even(pc: Probe) -> None:
    low_byte(pc, 0, 3, 6)
    got = shape(pc, 0, 9)
    levels = [step.partition(":") for step in got.split()]
    pc.that([level for level, _, _ in levels] == list("111000111"), f"three high, three low: {got}")
    pc.that([low for _, _, low in levels] == ["06", "04", "02"] * 3, f"6, 4, 2 in each half: {got}")


@PIT.case(
    "mode 3: an odd count goes down by twos from one less, to 0 with OUT high and to 2 with OUT low",
    "Mode 3: Square Wave Mode, odd counts",
    differs={
        "QEMU": "counts by twos from the whole odd count (pit_get_count in hw/timer/i8254.c: XXX: may be incorrect)"
    },
)
def mode_3_odd(pc: Probe) -> None:
    low_byte(pc, 0, 3, 5)
    follows(pc, 0, "1:04 1:02 1:00 0:04 0:02 1:04 1:02 1:00 0:04")


@PIT.case(
    "mode 3: at any moment an even count N is one of N, N - 2, ... 2, with OUT high or low",
    "Mode 3: Square Wave Mode, even counts",
)
def mode_3_at_any_moment(pc: Probe) -> None:
    low_byte(pc, 1, 3, 6)
    pulses(pc, 2)
    seen = set()
    for _ in range(60):
        pc.write(CONTROL, 0xC4)
        out = pc.read(COUNTERS + 1) >> 7
        seen.add((out, pc.read(COUNTERS + 1)))
        pc.step(ns=11 * SAMPLE_NS)
    pc.that(seen == {(out, low) for out in (0, 1) for low in (6, 4, 2)}, f"6, 4 and 2, high and low: {sorted(seen)}")


@PIT.case(
    "mode 3: an odd count N is high for (N+1)/2 pulses and low for (N-1)/2", "Mode 3: Square Wave Mode, odd counts"
)
def mode_3_odd_times(pc: Probe) -> None:
    control(pc, 0, 3, access=LOW_BYTE)
    pc.write(COUNTERS, 3)
    levels = []
    for _ in range(120):
        pc.step(us=3 * 320 / 1000)
        levels.append(status(pc, 0) >> 7)
    pc.between(sum(levels), 72, 88, "of 120 looks, two thirds find OUT high")


@PIT.case(
    "mode 3: OUT is high for one half of the count and low for the other, on each channel", "Mode 3: Square Wave Mode"
)
def mode_3_halves(pc: Probe) -> None:
    gate(pc, True)
    for channel in range(3):
        program(pc, channel, 3, 2000)
        pulses(pc, 990)
        for level in (True, False, True, False):
            out_is(pc, channel, level, "before the end of the half")
            pulses(pc, 20)
            out_is(pc, channel, not level, "after the end of the half")
            pulses(pc, 980)


@PIT.case("mode 3: the period is the count, odd ones as well, also after many of them", "Mode 3: Square Wave Mode")
def mode_3_has_its_period(pc: Probe) -> None:
    program(pc, 0, 3, 1001)
    pulses(pc, 480)
    out_is(pc, 0, True, "in the first half")
    pulses(pc, 100 * 1001)
    out_is(pc, 0, True, "100 periods later")
    pulses(pc, 40)
    out_is(pc, 0, False, "in the second half")


@PIT.case("mode 3: OUT is high as soon as the control word is written", "Mode 3: OUT will initially be high")
def mode_3_begins_high(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 0, 0)
    pulses(pc, 10)
    out_is(pc, 2, False, "in mode 0")
    control(pc, 2, 3)
    out_is(pc, 2, True, "in mode 3")


@PIT.case(
    "mode 3: a new count waits for the end of the half-cycle",
    "Mode 3: writing a new count while counting",
    differs={"QEMU": AT_ONCE},
)
def mode_3_finishes_its_half(pc: Probe) -> None:
    program(pc, 0, 3, 4000)
    pulses(pc, 500)
    count(pc, 0, 2000)
    pulses(pc, 1480)
    out_is(pc, 0, True, "in the old first half")
    pulses(pc, 40)
    out_is(pc, 0, False, "in the new second half")
    pulses(pc, 960)
    out_is(pc, 0, False, "in the new second half")
    pulses(pc, 40)
    out_is(pc, 0, True, "in the next period")


@PIT.case(
    "mode 3: a low gate takes OUT high at once and stops the counter",
    "Mode 3: GATE; figure 21",
    differs={"QEMU": NO_GATE},
)
def mode_3_stops_without_gate(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 3, 1001)
    pulses(pc, 750)
    out_is(pc, 2, False, "in the second half")
    before = latched(pc, 2)
    gate(pc, False)
    for _ in range(4):
        out_is(pc, 2, True, "with a low gate")
        pc.equal(latched(pc, 2), before, "the count stands", digits=4)
        pulses(pc, 300)


@PIT.case("mode 3: the gate's rise begins a period", "Mode 3: GATE can be used to synchronize the Counter")
def mode_3_is_triggered(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 3, 1000)
    pulses(pc, 300)
    trigger(pc)
    pulses(pc, 480)
    out_is(pc, 2, True, "480 pulses after the trigger")
    pulses(pc, 40)
    out_is(pc, 2, False, "520 pulses after the trigger")


# -- modes 4 and 5 --------------------------------------------------------------------------------------------------
@PIT.case(
    "mode 4: OUT is low for one pulse, at the count 0",
    "Mode 4: Software Triggered Strobe",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_4_strobes(pc: Probe) -> None:
    low_byte(pc, 0, 4, 4)
    follows(pc, 0, "1:04 1:03 1:02 1:01 0:00 1:FF 1:FE")


@PIT.case(
    "mode 4: OUT is high from the control word on, but for the strobe",
    "Mode 4: OUT will be initially high",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_4_is_high(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 0, 0)
    pulses(pc, 10)
    control(pc, 2, 4)
    out_is(pc, 2, True, "after the control word")
    count(pc, 2, 100)
    pulses(pc, 50)
    out_is(pc, 2, True, "before the strobe")
    pulses(pc, 100)
    out_is(pc, 2, True, "after the strobe")


@PIT.case(
    "mode 4: the strobe makes one interrupt, even when the first byte of another count came before it",
    "Mode 4: writing the first byte has no effect on counting; OUT0 is IRQ0",
)
def mode_4_interrupts(pc: Probe) -> None:
    only_irq_0(pc)
    program(pc, 0, 4, 1000)
    pulses(pc, 500)
    ticked(pc)  # OUT may have risen by the control word
    pc.write(COUNTERS, 0x00)
    pulses(pc, 450)
    pc.equal(ticked(pc), 0x00, "before the strobe")
    pulses(pc, 100)
    pc.equal(ticked(pc), 0x80, "after the strobe")
    pulses(pc, 1100)
    pc.equal(ticked(pc), 0x00, "no second one")


@PIT.case(
    "mode 4: the strobe comes once, not again when the counter comes round",
    "Mode 4: Software Triggered Strobe",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_4_strobes_once(pc: Probe) -> None:
    low_byte(pc, 0, 4, 40)
    pulses(pc, 60)
    pulses(pc, 0x10000 - 24)
    got = shape(pc, 0, 10)
    pc.that(" 1:00 1:FF" in got, f"OUT stays high at the next count 0: {got}")


@PIT.case(
    "mode 4: a low gate holds the count, which goes on from there, and OUT stays high",
    "Mode 4: GATE = 0 disables counting",
    differs={"QEMU": NO_GATE},
)
def mode_4_waits_for_the_gate(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 4, 1000)
    pulses(pc, 300)
    gate(pc, False)
    before = latched(pc, 2)
    pulses(pc, 1000)
    pc.equal(latched(pc, 2), before, "the count stands", digits=4)
    out_is(pc, 2, True, "with a low gate")
    gate(pc, True)
    pulses(pc, 100)
    pc.between(before - latched(pc, 2), 97, 103, "the count goes on")


@PIT.case("mode 4: a new count counts from the next pulse on", "Mode 4: if a new count is written during counting")
def mode_4_takes_a_new_count(pc: Probe) -> None:
    program(pc, 0, 4, 1000)
    pulses(pc, 300)
    count(pc, 0, 5000)
    pulses(pc, 100)
    pc.between(latched(pc, 0), 4895, 4905, "100 pulses after the new count")


@PIT.case(
    "mode 4: the first of two bytes does not disturb the counter",
    "Mode 4: writing the first byte has no effect on counting",
)
def mode_4_counts_between_two_bytes(pc: Probe) -> None:
    program(pc, 0, 4, 1000)
    pulses(pc, 300)
    pc.write(COUNTERS, 0x00)
    pulses(pc, 100)
    pc.between(latched(pc, 0), 595, 605, "400 pulses after the count")


@PIT.case(
    "mode 5: without a trigger nothing is loaded and OUT stays high",
    "Mode 5: Hardware Triggered Strobe",
    differs={"QEMU": NO_TRIGGER},
)
def mode_5_waits_for_a_trigger(pc: Probe) -> None:
    gate(pc, True)
    low_byte(pc, 2, 5, 4)
    pulses(pc, 3)
    for _ in range(20):
        pc.equal(status(pc, 2) & (OUT | NULL_COUNT), OUT | NULL_COUNT, "OUT and null count")
        pc.step(ns=SAMPLE_NS)


@PIT.case(
    "mode 5: after a trigger OUT is low for one pulse, at the count 0",
    "Mode 5: Hardware Triggered Strobe",
    differs={"QEMU": UPSIDE_DOWN},
)
def mode_5_strobes(pc: Probe) -> None:
    gate(pc, False)
    low_byte(pc, 2, 5, 4)
    gate(pc, True)
    follows(pc, 2, "1:04 1:03 1:02 1:01 0:00 1:FF 1:FE")


@PIT.case(
    "mode 5: a second trigger begins anew, and a low gate does not stop the counter",
    "Mode 5: the strobe is retriggerable; GATE has no effect",
)
def mode_5_is_retriggered(pc: Probe) -> None:
    gate(pc, False)
    program(pc, 2, 5, 1000)
    gate(pc, True)
    pulses(pc, 300)
    trigger(pc)
    gate(pc, False)
    pulses(pc, 100)
    pc.between(latched(pc, 2), 895, 905, "100 pulses after the second trigger")


@PIT.case(
    "mode 5: a new count waits for the next trigger",
    "Mode 5: if a new count is written during counting",
    differs={"QEMU": AT_ONCE},
)
def mode_5_keeps_its_count(pc: Probe) -> None:
    gate(pc, False)
    program(pc, 2, 5, 1000)
    gate(pc, True)
    pulses(pc, 100)
    count(pc, 2, 3000)
    pulses(pc, 100)
    pc.between(latched(pc, 2), 795, 805, "200 pulses after the trigger")
    trigger(pc)
    pulses(pc, 100)
    pc.between(latched(pc, 2), 2895, 2905, "100 pulses after the second trigger")


# -- the control word and the count register ------------------------------------------------------------------------
@PIT.case(
    "mode bits 110 and 111 are modes 2 and 3",
    "Control Word Format: X10 and X11",
    differs={"QEMU": "takes 6 and 7 for mode 0 (pit_get_out in hw/timer/i8254_common.c)"},
)
def modes_6_and_7(pc: Probe) -> None:
    low_byte(pc, 0, 6, 3)
    follows(pc, 0, "1:03 1:02 0:01 1:03")
    low_byte(pc, 1, 7, 4)
    follows(pc, 1, "1:04 1:02 0:04 0:02 1:04")


@PIT.case(
    "after a control word OUT keeps its first level until a count has been written",
    "Mode Definitions: a Control Word resets all Control Logic, and OUT goes to its initial state",
    differs={"QEMU": STILL_RUNS},
)
def a_control_word_stops(pc: Probe) -> None:
    gate(pc, True)
    program(pc, 2, 3, 1000)
    pulses(pc, 300)
    control(pc, 2, 3)
    for _ in range(4):
        pulses(pc, 400)
        out_is(pc, 2, True, "without a count")


@PIT.case("a control word for one counter leaves the others alone", "Control Word Format: SC1 and SC0")
def a_control_word_is_for_one(pc: Probe) -> None:
    gate(pc, True)
    for channel, value in enumerate((1000, 2000, 4000)):
        program(pc, channel, 2, value)
    pulses(pc, 300)
    program(pc, 1, 2, 9000)
    pulses(pc, 300)
    for channel, least in enumerate((395, 8695, 3395)):
        pc.between(latched(pc, channel), least, least + 10, f"counter {channel}")


@PIT.case(
    "access to the low byte alone takes one byte; the high one is 0",
    "Control Word Format: RW1 and RW0; Write Operations",
)
def access_to_the_low_byte(pc: Probe) -> None:
    program(pc, 0, 2, 0xFFFF)
    control(pc, 0, 0, access=LOW_BYTE)
    pc.write(COUNTERS, 0xF0)
    pulses(pc, 220)
    out_is(pc, 0, False, "220 pulses of 240")
    pulses(pc, 40)
    out_is(pc, 0, True, "260 pulses of 240")


@PIT.case(
    "access to the high byte alone takes and gives one byte; the low one is 0", "Control Word Format: RW1 and RW0"
)
def access_to_the_high_byte(pc: Probe) -> None:
    control(pc, 0, 0, access=HIGH_BYTE)
    pc.write(COUNTERS, 0x04)
    pulses(pc, 500)
    for _ in range(3):
        pc.reads(COUNTERS, 0x02, "1024 - 500 is 20Ch")
    pulses(pc, 514)
    out_is(pc, 0, False, "1014 pulses of 1024")
    pulses(pc, 20)
    out_is(pc, 0, True, "1034 pulses of 1024")


@PIT.case("access to both bytes takes and gives the low one first", "Control Word Format: RW1 and RW0; Read Operations")
def access_to_both_bytes(pc: Probe) -> None:
    control(pc, 0, 2)
    pc.write(COUNTERS, 0x80, 0x12)
    pulses(pc, 20)
    for _ in range(2):
        pc.between(pc.read(COUNTERS), 0x60, 0x70, "the low byte")
        pc.reads(COUNTERS, 0x12, "the high byte")


@PIT.case("a control word begins the order of bytes anew", "Write Operations")
def a_control_word_resets_the_order(pc: Probe) -> None:
    control(pc, 0, 2)
    pc.write(COUNTERS, 0x55)
    pulses(pc, 5)
    pc.read(COUNTERS)
    program(pc, 0, 2, 0x1280)
    pulses(pc, 20)
    pc.between(latched(pc, 0), 0x1260, 0x1270, "the count")


@PIT.case(
    "a byte of a count may be written between the two bytes of a read",
    "Read Operations: reads and writes of the same Counter may be interleaved",
)
def reads_and_writes_interleave(pc: Probe) -> None:
    program(pc, 0, 4, 0x1280)
    pulses(pc, 20)
    pc.between(pc.read(COUNTERS), 0x60, 0x70, "the low byte")
    pc.write(COUNTERS, 0xC0)
    pc.reads(COUNTERS, 0x12, "the high byte")
    pc.write(COUNTERS, 0x34)
    pulses(pc, 20)
    pc.between(latched(pc, 0), 0x34A0, 0x34B0, "the new count")


@PIT.case("a count of 0 is 65536", "Write Operations: the largest possible initial count is 0")
def a_count_of_zero(pc: Probe) -> None:
    low_byte(pc, 1, 2, 0)
    follows(pc, 1, "00 FF FE")
    program(pc, 0, 0, 0)
    pulses(pc, 65_500)
    out_is(pc, 0, False, "65500 pulses")
    pulses(pc, 60)
    out_is(pc, 0, True, "65560 pulses")


@PIT.case(
    "in BCD a counter counts in decimal and goes round to 9999", "Control Word Format: BCD", differs={"QEMU": NO_BCD}
)
def bcd_counts_in_decimal(pc: Probe) -> None:
    low_byte(pc, 0, 0, 0x11, bcd=True)
    follows(pc, 0, "0:11 0:10 0:09 0:08 0:07 0:06 0:05 0:04 0:03 0:02 0:01 1:00 1:99 1:98")


@PIT.case("the four digits of a BCD count are thousands to ones", "Control Word Format: BCD", differs={"QEMU": NO_BCD})
def bcd_has_four_digits(pc: Probe) -> None:
    program(pc, 0, 2, 0x4321, bcd=True)
    pulses(pc, 1000)
    got = latched(pc, 0)
    pc.between(int(f"{got:x}") if f"{got:x}".isdecimal() else -1, 3315, 3325, "4321 - 1000, in decimal digits")


@PIT.case(
    "in BCD a count of 0 is 10000",
    "Write Operations: the largest possible initial count is 0",
    differs={"QEMU": NO_BCD},
)
def a_bcd_count_of_zero(pc: Probe) -> None:
    low_byte(pc, 1, 2, 0, bcd=True)
    follows(pc, 1, "00 99 98")
    program(pc, 0, 0, 0, bcd=True)
    pulses(pc, 9_980)
    out_is(pc, 0, False, "9980 pulses")
    pulses(pc, 40)
    out_is(pc, 0, True, "10020 pulses")


# -- the counter latch command --------------------------------------------------------------------------------------
@PIT.case("a latched count stands until it is read; then reads follow the counter again", "Counter Latch Command")
def a_latched_count_stands(pc: Probe) -> None:
    program(pc, 0, 2, 10_000)
    pulses(pc, 100)
    pc.write(CONTROL, 0x00)
    pulses(pc, 3000)
    pc.between(next_count(pc, 0), 9_895, 9_905, "the count at the latch")
    pc.between(next_count(pc, 0), 6_895, 6_905, "the count as it runs")


@PIT.case("a latched count does not stop the counter", "Counter Latch Command")
def a_latch_stops_nothing(pc: Probe) -> None:
    program(pc, 0, 0, 1000)
    pc.write(CONTROL, 0x00)
    pulses(pc, 1020)
    out_is(pc, 0, True, "after the terminal count")


@PIT.case("a second latch command before the read is ignored", "Counter Latch Command")
def a_second_latch_is_ignored(pc: Probe) -> None:
    program(pc, 0, 2, 10_000)
    pulses(pc, 100)
    pc.write(CONTROL, 0x00)
    pulses(pc, 1000)
    pc.write(CONTROL, 0x00)
    pc.between(next_count(pc, 0), 9_895, 9_905, "the count at the first latch")


@PIT.case("between the two bytes of a latched count a latch command is ignored, too", "Counter Latch Command")
def a_latch_between_two_bytes(pc: Probe) -> None:
    program(pc, 0, 2, 0x2080)
    pulses(pc, 20)
    pc.write(CONTROL, 0x00)
    pc.between(pc.read(COUNTERS), 0x60, 0x70, "the low byte")
    pulses(pc, 0x1000)
    pc.write(CONTROL, 0x00)
    pc.reads(COUNTERS, 0x20, "the high byte of the first latch")


@PIT.case("each counter has its own latch", "Counter Latch Command")
def each_counter_has_its_latch(pc: Probe) -> None:
    gate(pc, True)
    for channel in range(3):
        program(pc, channel, 2, 10_000)
    for channel in range(3):
        pulses(pc, 1000)
        pc.write(CONTROL, channel << 6)
    pulses(pc, 1000)
    for channel in (2, 0, 1):
        pc.between(next_count(pc, channel), 8_990 - 1000 * channel, 9_010 - 1000 * channel, f"counter {channel}")


@PIT.case("one byte takes the latch away where access is to one byte", "Counter Latch Command; Control Word Format")
def a_single_byte_unlatches(pc: Probe) -> None:
    for access, value in ((LOW_BYTE, 0xF0), (HIGH_BYTE, 0x20)):
        control(pc, 0, 2, access=access)
        pc.write(COUNTERS, value)
        pulses(pc, 4)
        pc.write(CONTROL, 0x00)
        first = pc.read(COUNTERS)
        pulses(pc, 100 if access == LOW_BYTE else 0x800)
        second = pc.read(COUNTERS)
        pc.that(first - second >= 7, f"the second read, {second}, is of the running count, after {first}")


@PIT.case(
    "a control word takes the latch away",
    "Counter Latch Command: until it is read or the Counter is reprogrammed",
    differs={"QEMU": "keeps count_latched (pit_ioport_write in hw/timer/i8254.c)"},
)
def a_control_word_unlatches(pc: Probe) -> None:
    program(pc, 0, 2, 0x1280)
    pulses(pc, 20)
    pc.write(CONTROL, 0x00)
    program(pc, 0, 2, 0x4080)
    pulses(pc, 20)
    pc.between(next_count(pc, 0), 0x4060, 0x4070, "the new count")


# -- the read-back command ------------------------------------------------------------------------------------------
@PIT.case("the status shows the control word as it was written", "Read-Back Command: Status Byte")
def the_status_shows_the_control_word(pc: Probe) -> None:
    for channel in range(3):
        for word in (0x10, 0x22, 0x34, 0x36, 0x18, 0x3A, 0x3C, 0x3E, 0x31):
            pc.write(CONTROL, channel << 6 | word)
            pc.equal(status(pc, channel) & 0x3F, word, f"counter {channel}")


@PIT.case("the status shows OUT", "Read-Back Command: Status Byte, bit 7")
def the_status_shows_out(pc: Probe) -> None:
    program(pc, 0, 0, 1000)
    pulses(pc, 980)
    pc.equal(status(pc, 0) & OUT, 0, "before the terminal count")
    pulses(pc, 40)
    pc.equal(status(pc, 0) & OUT, OUT, "after it")


@PIT.case(
    "null count is set by the control word and by the count, and cleared when that is loaded",
    "Read-Back Command: Null Count, figure 13",
    differs={"QEMU": NO_NULL_COUNT},
)
def null_count_waits_for_the_load(pc: Probe) -> None:
    program(pc, 0, 2, 1000)
    pulses(pc, 5)
    pc.equal(status(pc, 0) & NULL_COUNT, 0, "loaded")
    control(pc, 0, 2)
    pc.equal(status(pc, 0) & NULL_COUNT, NULL_COUNT, "a control word")
    count(pc, 0, 2000)
    pulses(pc, 5)
    pc.equal(status(pc, 0) & NULL_COUNT, 0, "loaded again")


@PIT.case(
    "a control word takes back a count that is not loaded yet",
    "Mode Definitions: a Control Word resets all Control Logic; Null Count, figure 13",
    differs={"QEMU": NO_NULL_COUNT},
)
def a_control_word_takes_back_a_count(pc: Probe) -> None:
    program(pc, 0, 2, 1000)
    control(pc, 0, 2)
    pulses(pc, 5)
    pc.equal(status(pc, 0) & NULL_COUNT, NULL_COUNT, "nothing was loaded")


@PIT.case(
    "null count is set by the second of two bytes and stays to the end of the period",
    "Read-Back Command: Null Count, figure 13",
    differs={"QEMU": NO_NULL_COUNT},
)
def null_count_of_a_new_count(pc: Probe) -> None:
    program(pc, 0, 2, 2000)
    pulses(pc, 500)
    pc.write(COUNTERS, 0x00)
    pc.equal(status(pc, 0) & NULL_COUNT, 0, "after the first byte")
    pc.write(COUNTERS, 0x10)
    pulses(pc, 1400)
    pc.equal(status(pc, 0) & NULL_COUNT, NULL_COUNT, "before the end of the period")
    pulses(pc, 150)
    pc.equal(status(pc, 0) & NULL_COUNT, 0, "in the next period")


@PIT.case(
    "null count waits for the end of mode 3's half-cycle",
    "Read-Back Command: Null Count, figure 13",
    differs={"QEMU": NO_NULL_COUNT},
)
def null_count_in_mode_3(pc: Probe) -> None:
    program(pc, 0, 3, 2000)
    pulses(pc, 500)
    count(pc, 0, 3000)
    pulses(pc, 400)
    pc.equal(status(pc, 0) & NULL_COUNT, NULL_COUNT, "before the end of the half-cycle")
    pulses(pc, 200)
    pc.equal(status(pc, 0) & NULL_COUNT, 0, "in the next half-cycle")


@PIT.case("one command latches the counts of all three at one moment", "Read-Back Command: several Counters")
def read_back_latches_all(pc: Probe) -> None:
    gate(pc, True)
    for channel in range(3):
        program(pc, channel, 2, 10_000)
    pulses(pc, 1000)
    pc.write(CONTROL, 0xDE)
    for channel in range(3):
        pulses(pc, 1000)
        pc.between(next_count(pc, channel), 8_995, 9_005, f"counter {channel} at the command")


@PIT.case("a counter that the command does not name is not latched", "Read-Back Command: bits CNT2 to CNT0")
def read_back_leaves_others(pc: Probe) -> None:
    gate(pc, True)
    for channel in range(3):
        program(pc, channel, 2, 10_000)
    pulses(pc, 100)
    pc.write(CONTROL, 0xD4)  # the count of counter 1
    pulses(pc, 1000)
    pc.between(next_count(pc, 0), 8_890, 8_910, "counter 0 runs")
    pc.between(next_count(pc, 1), 9_890, 9_910, "counter 1 is latched")
    pc.between(next_count(pc, 2), 8_890, 8_910, "counter 2 runs")


@PIT.case(
    "status and count latched together are read as status first", "Read-Back Command: both count and status are latched"
)
def status_comes_before_count(pc: Probe) -> None:
    program(pc, 0, 2, 10_000)
    pulses(pc, 100)
    pc.write(CONTROL, 0xC2)
    pulses(pc, 1000)
    pc.reads(COUNTERS, 0x34, "the control word in the status", mask=0x3F)
    pc.between(next_count(pc, 0), 9_895, 9_905, "the latched count")
    pc.between(next_count(pc, 0), 8_895, 8_905, "the running count")


@PIT.case(
    "the status comes first even when the count was latched before it",
    "Read-Back Command: regardless of which was latched first",
)
def a_later_status_comes_first(pc: Probe) -> None:
    program(pc, 0, 2, 10_000)
    pulses(pc, 100)
    pc.write(CONTROL, 0x00)
    pulses(pc, 1000)
    pc.write(CONTROL, 0xE2)
    pc.reads(COUNTERS, 0x34, "the control word in the status", mask=0x3F)
    pc.between(next_count(pc, 0), 9_895, 9_905, "the latched count")


@PIT.case("a status latch alone does not latch the count", "Read-Back Command: bit 5, COUNT")
def a_status_latch_latches_no_count(pc: Probe) -> None:
    program(pc, 0, 2, 10_000)
    pulses(pc, 100)
    pc.write(CONTROL, 0xE2)
    pulses(pc, 1000)
    pc.reads(COUNTERS, 0x34, "the status", mask=0x3F)
    pc.between(next_count(pc, 0), 8_895, 8_905, "the running count")


@PIT.case("a read-back of the count alone latches no status", "Read-Back Command: bit 4, STATUS")
def a_count_latch_latches_no_status(pc: Probe) -> None:
    program(pc, 0, 2, 0x1280)
    pulses(pc, 20)
    pc.write(CONTROL, 0xD2)
    pulses(pc, 1000)
    pc.between(next_count(pc, 0), 0x1260, 0x1270, "the count at once")


@PIT.case("a read-back that latches neither does nothing", "Read-Back Command: bits 5 and 4")
def a_read_back_of_nothing(pc: Probe) -> None:
    program(pc, 0, 2, 10_000)
    pc.write(CONTROL, 0xF2)
    pulses(pc, 1000)
    pc.between(next_count(pc, 0), 8_990, 9_010, "the running count")


@PIT.case(
    "a second latch of the status before the read is ignored", "Read-Back Command: multiple status latch operations"
)
def a_second_status_latch_is_ignored(pc: Probe) -> None:
    program(pc, 0, 0, 1000)
    pulses(pc, 500)
    pc.write(CONTROL, 0xE2)
    pulses(pc, 1000)
    pc.write(CONTROL, 0xE2)
    pc.reads(COUNTERS, 0, "OUT at the first latch", mask=OUT)
    pc.equal(status(pc, 0) & OUT, OUT, "OUT now")


# -- port 61h -------------------------------------------------------------------------------------------------------
@PIT.case(
    "bit 5 of port 61h is OUT2, whether the speaker is on or off",
    "PIIX3: NMI Status and Control Register, bits 5 and 1",
)
def port_b_shows_out_2(pc: Probe) -> None:
    for speaker in (0, 2):
        pc.write(PORT_B, GATE | speaker)
        program(pc, 2, 3, 2000)
        pulses(pc, 500)
        pc.reads(PORT_B, OUT_2, "in the first half", mask=OUT_2)
        pulses(pc, 1000)
        pc.reads(PORT_B, 0, "in the second half", mask=OUT_2)
