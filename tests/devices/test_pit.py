"""The 8254 against the Intel 8254 datasheet (231164)."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import NEVER, Clock
from minivm.core.device import Wire
from minivm.devices.pic import PicPair
from minivm.devices.pit import INPUT_HZ, Counter, CounterState, Pit, from_bcd, pulses_at, time_of, to_bcd

LSB, MSB, BOTH = 0x10, 0x20, 0x30


def programmed(mode: int, count: int, *, gate: bool = True, bcd: bool = False, access: int = LSB) -> Counter:
    """A counter whose control word and count were just written, at CLK pulse 0."""
    counter = Counter(CounterState(gate=gate))
    counter.write_control(access | mode << 1 | bcd)
    if access != MSB:
        counter.write(count & 0xFF)
    if access != LSB:
        counter.write(count >> 8)
    return counter


def clk(counter: Counter, pulses: int = 1) -> str:
    """Let pulses come one by one; return OUT and the count after each, as the datasheet's figures do."""
    trace = []
    for _ in range(pulses):
        counter.advance(counter.pulse + 1)
        trace.append(("H" if counter.out else "L") + format(counter.count, "X"))
    return " ".join(trace)


# --- Mode 0: interrupt on terminal count (figure 15) -----------------------------------------------------------


def test_mode_0_goes_high_n_plus_1_pulses_after_the_count_is_written() -> None:
    counter = programmed(0, 4)
    assert not counter.out
    assert clk(counter, 7) == "L4 L3 L2 L1 H0 HFFFF HFFFE"


def test_mode_0_counts_only_while_the_gate_is_high_and_loads_even_when_it_is_low() -> None:
    counter = programmed(0, 3, gate=False)
    assert clk(counter, 2) == "L3 L3"
    counter.set_gate(True)
    assert clk(counter, 2) == "L2 L1"
    counter.set_gate(False)
    assert clk(counter, 2) == "L1 L1"
    counter.set_gate(True)
    assert clk(counter, 1) == "H0"


def test_mode_0_takes_a_new_count_at_the_next_pulse() -> None:
    counter = programmed(0, 3)
    clk(counter, 2)
    counter.write(2)
    assert clk(counter, 3) == "L2 L1 H0"
    counter.write(1)
    assert not counter.out
    assert clk(counter, 2) == "L1 H0"


def test_mode_0_stops_and_goes_low_between_the_two_bytes_of_a_count() -> None:
    counter = programmed(0, 0x0001, access=BOTH)
    assert clk(counter, 3) == "L1 H0 HFFFF"
    counter.write(0x02)
    assert not counter.out
    assert clk(counter, 3) == "LFFFF LFFFF LFFFF"
    counter.write(0x00)
    assert clk(counter, 3) == "L2 L1 H0"


# --- Mode 1: hardware retriggerable one-shot (figure 16) -------------------------------------------------------


def trigger(counter: Counter) -> None:
    counter.set_gate(False)
    counter.set_gate(True)


def test_mode_1_is_low_for_n_pulses_after_a_trigger() -> None:
    counter = programmed(1, 3)
    assert counter.out
    clk(counter, 5)
    assert counter.out
    trigger(counter)
    assert counter.out, "OUT falls at the CLK pulse after the trigger"
    assert clk(counter, 5) == "L3 L2 L1 H0 HFFFF"
    trigger(counter)
    assert clk(counter, 1) == "L3", "the count need not be written again"


def test_mode_1_is_retriggered_in_the_middle_of_its_pulse() -> None:
    counter = programmed(1, 3)
    trigger(counter)
    clk(counter, 2)
    trigger(counter)
    assert clk(counter, 4) == "L3 L2 L1 H0"


def test_mode_1_takes_a_new_count_at_the_next_trigger_and_ignores_a_low_gate() -> None:
    counter = programmed(1, 2)
    trigger(counter)
    clk(counter, 1)
    counter.write(4)
    counter.set_gate(False)
    assert clk(counter, 2) == "L1 H0"
    counter.set_gate(True)
    assert clk(counter, 5) == "L4 L3 L2 L1 H0"


def test_mode_1_without_a_count_ignores_a_trigger() -> None:
    counter = Counter(CounterState())
    counter.write_control(LSB | 1 << 1)
    trigger(counter)
    clk(counter, 3)
    assert counter.out
    assert counter.null_count


# --- Mode 2: rate generator (figure 17) ------------------------------------------------------------------------


@pytest.mark.parametrize("mode_bits", [2, 6])
def test_mode_2_is_low_for_the_last_pulse_of_each_period(mode_bits: int) -> None:
    counter = programmed(mode_bits, 3)
    assert counter.out
    assert clk(counter, 7) == "H3 H2 L1 H3 H2 L1 H3"


def test_mode_2_reloads_at_a_trigger_and_a_low_gate_forces_out_high() -> None:
    counter = programmed(2, 3)
    assert clk(counter, 3) == "H3 H2 L1"
    counter.set_gate(False)
    assert counter.out, "no CLK pulse is needed"
    assert clk(counter, 2) == "H1 H1"
    counter.set_gate(True)
    assert clk(counter, 4) == "H3 H2 L1 H3"


def test_mode_2_takes_a_new_count_at_the_end_of_the_period() -> None:
    counter = programmed(2, 4)
    clk(counter, 2)
    counter.write(5)
    assert counter.null_count
    assert clk(counter, 2) == "H2 L1"
    assert counter.null_count
    assert clk(counter, 5) == "H5 H4 H3 H2 L1"
    assert not counter.null_count


def test_mode_2_takes_a_new_count_at_a_trigger() -> None:
    counter = programmed(2, 4)
    clk(counter, 2)
    counter.write(5)
    trigger(counter)
    assert clk(counter, 2) == "H5 H4"


# --- Mode 3: square wave (figure 18) ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode_bits", [3, 7])
def test_mode_3_with_an_even_count_is_high_and_low_for_half_of_it(mode_bits: int) -> None:
    counter = programmed(mode_bits, 4)
    assert counter.out
    assert clk(counter, 8) == "H4 H2 L4 L2 H4 H2 L4 L2"


def test_mode_3_with_an_odd_count_is_high_one_pulse_longer() -> None:
    assert clk(programmed(3, 5), 10) == "H4 H2 H0 L4 L2 H4 H2 H0 L4 L2"


def test_mode_3_reloads_at_a_trigger_and_a_low_gate_forces_out_high() -> None:
    counter = programmed(3, 5)
    assert clk(counter, 4) == "H4 H2 H0 L4"
    counter.set_gate(False)
    assert counter.out
    assert clk(counter, 2) == "H4 H4"
    counter.set_gate(True)
    assert clk(counter, 4) == "H4 H2 H0 L4"


def test_mode_3_takes_a_new_count_at_the_end_of_the_half_cycle() -> None:
    counter = programmed(3, 4)
    clk(counter, 1)
    counter.write(6)
    assert clk(counter, 7) == "H2 L6 L4 L2 H6 H4 H2"
    counter.write(4)
    trigger(counter)
    assert clk(counter, 3) == "H4 H2 L4"


# --- Modes 4 and 5: strobes (figures 19 and 20) ----------------------------------------------------------------


def test_mode_4_strobes_low_once_n_plus_1_pulses_after_the_count_is_written() -> None:
    counter = programmed(4, 3)
    assert counter.out
    assert clk(counter, 6) == "H3 H2 H1 L0 HFFFF HFFFE"
    counter.advance(counter.pulse + 0xFFFE)
    assert counter.count == 0
    assert counter.out, "the next time round does not strobe"


def test_mode_4_counts_only_while_the_gate_is_high() -> None:
    counter = programmed(4, 2, gate=False)
    assert clk(counter, 2) == "H2 H2"
    counter.set_gate(True)
    assert clk(counter, 2) == "H1 L0"
    counter.set_gate(False)
    assert not counter.out, "the gate has no effect on OUT"
    assert clk(counter, 1) == "H0"


def test_mode_4_takes_a_new_count_at_the_next_pulse_and_a_first_byte_does_not_disturb() -> None:
    counter = programmed(4, 3, access=BOTH)
    clk(counter, 1)
    counter.write(2)
    assert clk(counter, 1) == "H2"
    counter.write(0)
    assert clk(counter, 4) == "H2 H1 L0 HFFFF"


def test_mode_5_strobes_low_n_plus_1_pulses_after_a_trigger_whatever_the_gate_does_then() -> None:
    counter = programmed(5, 3)
    clk(counter, 5)
    assert counter.out
    trigger(counter)
    assert clk(counter, 2) == "H3 H2"
    counter.set_gate(False)
    assert clk(counter, 3) == "H1 L0 HFFFF"


def test_mode_5_is_retriggered_in_the_middle_and_takes_a_new_count_then() -> None:
    counter = programmed(5, 3)
    trigger(counter)
    clk(counter, 2)
    counter.write(2)
    assert clk(counter, 1) == "H1"
    trigger(counter)
    assert clk(counter, 4) == "H2 H1 L0 HFFFF"


# --- Counts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bcd", "largest"), [(False, 0x10000), (True, 10_000)])
def test_a_count_of_zero_is_the_largest(bcd: bool, largest: int) -> None:
    counter = programmed(0, 0, bcd=bcd, access=BOTH)
    counter.advance(largest)
    assert not counter.out
    counter.advance(largest + 1)
    assert counter.out


def test_bcd_counts_in_decimal_and_wraps_to_9999() -> None:
    counter = programmed(0, 0x0102, bcd=True, access=BOTH)
    assert clk(counter, 4) == "L102 L101 L100 L99"
    counter.advance(104)
    assert (counter.out, counter.count) == (True, 0x9999)


def test_a_digit_above_nine_counts_for_what_it_is() -> None:
    assert from_bcd(0xFFFF) == 15 * 1111
    counter = programmed(0, 0xFFFF, bcd=True, access=BOTH)
    for _ in range(3):
        counter.advance(counter.pulse + 5555)
    assert not counter.out
    counter.advance(16666)
    assert counter.out


@given(st.integers(0, 9999))
def test_bcd_conversion_is_its_own_inverse(value: int) -> None:
    assert from_bcd(to_bcd(value)) == value


def test_access_to_one_byte_leaves_the_other_zero() -> None:
    low, high = programmed(2, 0x1234, access=LSB), programmed(2, 0x1234, access=MSB)
    for counter in (low, high):
        counter.advance(1)
    assert (low.count, high.count) == (0x34, 0x1200)
    assert (low.read(), low.read()) == (0x34, 0x34)
    assert (high.read(), high.read()) == (0x12, 0x12)


def test_a_control_word_stops_the_counter_and_forgets_a_half_written_count() -> None:
    counter = programmed(2, 0x1234, access=BOTH)
    counter.advance(5)
    counter.write(0x99)
    counter.write_control(BOTH | 0 << 1)
    assert not counter.out
    before = counter.count
    counter.advance(500)
    assert counter.count == before
    counter.write(0x02)
    counter.write(0x00)
    assert clk(counter, 3) == "L2 L1 H0"


# --- Against a model that counts one pulse at a time -----------------------------------------------------------


class PulseByPulse:
    """The datasheet's counter, slowly: one CLK pulse, one decrement of a 16-bit element."""

    def __init__(self, mode: int, bcd: bool) -> None:
        self.mode, self.modulus = mode, 10_000 if bcd else 0x10000
        self.out = mode != 0
        self.gate = True
        self.element = self.register = 0
        self.half_written = self.written = self.load_next = self.armed = self.running = self.expired = False

    def write(self, count: int) -> None:
        first = not self.written
        self.register, self.written, self.half_written = count, True, False
        if self.mode == 0:
            self.out = False
        if self.mode in (0, 4) or (self.mode in (2, 3) and first):
            self.load_next = True

    def write_first_byte(self) -> None:
        self.half_written = True
        if self.mode == 0:
            self.out = False

    def set_gate(self, level: bool) -> None:
        if level and not self.gate and self.written and self.mode in (1, 2, 3, 5):
            self.load_next = True
        if not level and self.mode in (2, 3):
            self.out = True
        self.gate = level

    def load(self) -> None:
        self.element = self.register & ~1 if self.mode == 3 else self.register
        self.odd, self.expired = bool(self.register & 1), False
        self.armed = self.running = True

    def pulse(self) -> None:
        if self.load_next:
            self.load_next = False
            self.load()
            self.out = self.mode not in (0, 1)
        elif self.running:
            (self.terminal, self.terminal, self.rate, self.square, self.strobe, self.strobe)[self.mode]()

    def count_down(self) -> bool:
        self.element = (self.element - 1) % self.modulus
        reached = self.armed and self.element == 0
        self.armed = self.armed and not reached
        return reached

    def terminal(self) -> None:
        enabled = self.mode == 1 or (self.gate and not self.half_written)
        if enabled and self.count_down():
            self.out = True

    def strobe(self) -> None:
        self.out = True
        if (self.mode == 5 or self.gate) and self.count_down():
            self.out = False

    def rate(self) -> None:
        if self.gate and not self.out:
            self.load()
            self.out = True
        elif self.gate:
            self.element = (self.element - 1) % self.modulus
            self.out = self.element != 1

    def square(self) -> None:
        if not self.gate:
            return
        if not self.expired:
            self.element = (self.element - 2) % self.modulus
            self.expired = self.element == 0
            if not self.expired or (self.odd and self.out):
                return
        self.load()
        self.out = not self.out


script = st.lists(
    st.one_of(
        st.tuples(st.just("pulses"), st.integers(1, 40)),
        st.tuples(st.just("write"), st.integers(1, 20)),
        st.tuples(st.just("half"), st.integers(0, 0xFF)),
        st.tuples(st.just("gate"), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 5), st.booleans(), script)
def test_closed_forms_agree_with_counting_pulse_by_pulse(mode: int, bcd: bool, steps: list[tuple[str, int]]) -> None:
    slow, fast = PulseByPulse(mode, bcd), Counter(CounterState())
    fast.write_control(BOTH | mode << 1 | bcd)
    for name, value in [("write", 3), *steps]:
        match name:
            case "pulses":
                edge = next_edge(fast)
                for passed in range(1, value + 1):
                    before = slow.out
                    slow.pulse()
                    if slow.out != before:
                        assert edge is not None and edge <= passed, "an edge that pulses_to_edge did not announce"
                        break
                fast.advance(fast.pulse + passed)
            case "write":
                slow.write(value)
                if fast.low_byte is None:
                    fast.write(int(str(value), 16) if bcd else value)
                else:  # the half-written byte stands: write the count that it makes
                    slow.write(from_bcd(fast.low_byte) if bcd else fast.low_byte)
                fast.write(0)
            case "half" if fast.low_byte is None:
                byte = to_bcd(value % 20 + 1) if bcd else value % 20 + 1
                slow.write_first_byte()
                fast.write(byte)
            case "gate":
                slow.set_gate(bool(value))
                fast.set_gate(bool(value))
        assert fast.out == slow.out
        if fast.loaded:
            assert fast.count == (to_bcd(slow.element) if bcd else slow.element)


def next_edge(counter: Counter) -> int | None:
    """The first edge that following the announcements leads to."""
    trial = Counter(counter.state())
    while (pulses := trial.pulses_to_edge()) is not None:
        trial.advance(trial.pulse + pulses)
        if trial.out != counter.out:
            return trial.pulse - counter.pulse
        if trial.pulse - counter.pulse > 100:
            return None
    return None


@pytest.mark.parametrize("mode", range(6))
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_extreme_counts_agree_with_counting_pulse_by_pulse(mode: int, count: int) -> None:
    slow, fast = PulseByPulse(mode, False), programmed(mode, count, access=BOTH)
    slow.write(count)
    for either in (slow, fast):
        either.set_gate(False)
        either.set_gate(True)
    for pulse in range(1, 140_000):
        slow.pulse()
        if pulse % 1009 < 3 or 65530 < pulse < 65545 or 131_060 < pulse < 131_080 or 32_760 < pulse < 32_780:
            fast.advance(pulse)
            assert (fast.out, fast.count) == (slow.out, slow.element), pulse


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 5), st.integers(0, 0xFFFF), st.booleans(), st.lists(st.integers(0, 200_000), min_size=1, max_size=8)
)
def test_looking_on_the_way_changes_nothing(mode: int, count: int, bcd: bool, looks: list[int]) -> None:
    often, once = (programmed(mode, count, bcd=bcd, access=BOTH, gate=False) for _ in range(2))
    for counter in (often, once):
        counter.set_gate(True)
    for pulse in sorted(looks):
        often.advance(pulse)
    once.advance(max(looks))
    assert often.state() == once.state()


# --- The chip: ports, latches, read-back -----------------------------------------------------------------------


class Bench:
    """A timer with wires on all outputs that note every edge with its time."""

    def __init__(self, *, connected: bool = True) -> None:
        self.clock = Clock()
        self.edges: list[tuple[int, int, bool]] = []
        self.wires = [Wire(lambda level, c=channel: self.note(c, level)) for channel in range(3)]
        outputs = (self.wires[0], self.wires[1], self.wires[2]) if connected else (None, None, None)
        self.pit = Pit(self.clock, outputs)

    def note(self, channel: int, level: bool) -> None:
        self.edges.append((self.clock.now, channel, level))

    def program(self, channel: int, mode: int, count: int, *, access: int = BOTH, bcd: bool = False) -> None:
        self.pit.write(3, 1, channel << 6 | access | mode << 1 | bcd)
        if access != MSB:
            self.pit.write(channel, 1, count & 0xFF)
        if access != LSB:
            self.pit.write(channel, 1, count >> 8)

    def pulses(self, count: int) -> None:
        """Move on to the moment at which `count` more CLK pulses have passed."""
        self.clock.advance_to(time_of(pulses_at(self.clock.now) + count))

    def word(self, channel: int) -> int:
        return self.pit.read(channel, 1) | self.pit.read(channel, 1) << 8


def test_pulses_and_times_are_exact_inverses_and_do_not_drift() -> None:
    assert pulses_at(1_000_000_000) == INPUT_HZ
    assert time_of(INPUT_HZ * 86_400) == 86_400 * 1_000_000_000
    for pulse in (1, 2, 3, 1_000_003, INPUT_HZ * 1000 + 1):
        assert pulses_at(time_of(pulse)) == pulse
        assert pulses_at(time_of(pulse) - 1) == pulse - 1


def test_a_latched_count_stands_until_read_and_a_second_latch_is_ignored() -> None:
    bench = Bench()
    bench.program(0, 2, 1000)
    bench.pulses(11)
    bench.pit.write(3, 1, 0x00)
    bench.pulses(50)
    bench.pit.write(3, 1, 0x00)
    assert bench.word(0) == 990
    assert bench.word(0) == 940, "afterwards the count is read as it runs"


def test_the_bytes_of_two_counters_may_be_read_in_turn() -> None:
    bench = Bench()
    bench.program(0, 2, 0x1234)
    bench.program(2, 2, 0x5678)
    bench.pulses(1)
    for command in (0x00, 0x80):
        bench.pit.write(3, 1, command)
    assert [bench.pit.read(channel, 1) for channel in (0, 2, 0, 2)] == [0x34, 0x78, 0x12, 0x56]


def test_a_count_may_be_written_between_the_bytes_of_a_read() -> None:
    """The datasheet's example: read LSB, write new LSB, read MSB, write new MSB."""
    bench = Bench()
    bench.program(0, 0, 0x1234)
    bench.pulses(1)
    bench.pit.write(3, 1, 0x00)
    assert bench.pit.read(0, 1) == 0x34
    bench.pit.write(0, 1, 0x02)
    assert bench.pit.read(0, 1) == 0x12
    bench.pit.write(0, 1, 0x00)
    bench.pulses(1)
    assert bench.word(0) == 2


def test_a_control_word_drops_a_latched_count() -> None:
    bench = Bench()
    bench.program(0, 2, 1000)
    bench.pulses(1)
    bench.pit.write(3, 1, 0x00)
    bench.program(0, 2, 500)
    bench.pulses(1)
    assert bench.word(0) == 500


def test_read_back_latches_counts_of_several_counters_at_one_moment() -> None:
    bench = Bench()
    for channel in range(3):
        bench.program(channel, 2, 1000 + channel)
    bench.pulses(5)
    bench.pit.write(3, 1, 0xC0 | 0x10 | 0x0A)  # counts of 0 and 2
    bench.pulses(5)
    assert [bench.word(channel) for channel in range(3)] == [996, 1001 - 9, 998]


def test_read_back_shows_status_then_count() -> None:
    bench = Bench()
    bench.program(1, 3, 100, access=LSB, bcd=True)
    bench.pulses(1)
    bench.pit.write(3, 1, 0xC0 | 0x04)
    bench.pulses(3)
    assert bench.pit.read(1, 1) == 0x80 | LSB | 3 << 1 | 1
    assert bench.pit.read(1, 1) == 0x64


def test_a_second_status_latch_is_ignored_until_the_first_is_read() -> None:
    bench = Bench()
    bench.program(0, 0, 2)
    bench.pulses(1)
    bench.pit.write(3, 1, 0xE2)
    bench.pulses(10)
    bench.pit.write(3, 1, 0xE2)
    assert bench.pit.read(0, 1) == BOTH, "OUT was low then"
    bench.pit.write(3, 1, 0xE2)
    assert bench.pit.read(0, 1) == 0x80 | BOTH


def test_null_count_says_whether_the_count_can_be_read_yet() -> None:
    bench = Bench()

    def null_count() -> bool:
        bench.pit.write(3, 1, 0xE2)
        return bool(bench.pit.read(0, 1) & 0x40)

    bench.program(0, 2, 10)
    assert null_count()
    bench.pulses(1)
    assert not null_count()
    bench.pit.write(0, 1, 20)
    assert not null_count(), "the first of two bytes changes nothing"
    bench.pit.write(0, 1, 0)
    assert null_count()
    bench.pulses(9)
    assert null_count()
    bench.pulses(1)
    assert not null_count()


def test_the_status_shows_the_mode_as_it_was_written() -> None:
    bench = Bench()
    bench.program(2, 7, 4)
    bench.pit.write(3, 1, 0xE8)
    assert bench.pit.read(2, 1) & 0x3F == BOTH | 7 << 1


def test_the_control_word_cannot_be_read() -> None:
    assert Bench().pit.read(3, 1) == 0xFF


# --- The chip: outputs and time --------------------------------------------------------------------------------


def test_mode_2_on_a_line_falls_and_rises_at_the_exact_pulses() -> None:
    bench = Bench()
    bench.program(0, 2, 1193)
    bench.edges.clear()
    bench.clock.advance_to(time_of(1 + 2 * 1193))
    expected = []
    for period in (1, 2):
        end = 1 + period * 1193
        expected += [(time_of(end - 1), 0, False), (time_of(end), 0, True)]
    assert bench.edges == expected


@pytest.mark.parametrize("mode", [2, 3])
def test_an_edge_triggered_interrupt_controller_sees_every_period(mode: int) -> None:
    clock, taken = Clock(), []
    pic = PicPair(Wire(lambda level: taken.append(clock.now) if level else None))
    for offset, word in ((0, 0x13), (1, 0x08), (1, 0x03)):
        pic.master.write(offset, 1, word)
    pit = Pit(clock, (pic.line(0), None, None))
    for offset, byte in ((3, BOTH | mode << 1), (0, 0xE8), (0, 0x03)):
        pit.write(offset, 1, byte)
    pic.acknowledge()  # OUT rose with the control word
    taken.clear()
    for period in range(1, 6):
        clock.advance_to(time_of(1 + period * 1000))
        assert pic.acknowledge() == 0x08
    assert taken == [time_of(1 + period * 1000) for period in range(1, 6)]


def test_an_hour_of_ticks_does_not_drift() -> None:
    bench = Bench()
    bench.program(0, 3, 0)
    bench.edges.clear()
    bench.clock.advance(3600 * 1_000_000_000)
    rises = [time for time, _, level in bench.edges if level]
    assert len(rises) == (3600 * INPUT_HZ - 1) // 65536
    assert rises[-1] == time_of(1 + len(rises) * 65536)


def test_an_output_without_a_line_sets_no_alarm_and_is_right_after_any_jump() -> None:
    bench = Bench(connected=False)
    bench.program(2, 3, 1000)
    assert bench.clock.next_due == NEVER
    bench.clock.advance(365 * 86_400 * 1_000_000_000)
    phase = (pulses_at(bench.clock.now) - 1) % 1000
    assert bench.pit.output(2) == (phase < 500)
    bench.pulses(500)
    assert bench.pit.output(2) == (phase >= 500)


def test_a_one_shot_that_has_ended_sets_no_more_alarms() -> None:
    bench = Bench()
    bench.program(0, 0, 100)
    bench.pulses(101)
    assert bench.wires[0].level
    assert bench.clock.next_due == NEVER


def test_a_gate_line_drives_its_channel() -> None:
    bench = Bench()
    gate = bench.pit.gate(2)
    gate.set(False)
    bench.program(2, 1, 10)
    bench.pulses(20)
    bench.edges.clear()
    start = pulses_at(bench.clock.now)
    gate.set(True)
    bench.pulses(30)
    assert bench.edges == [(time_of(start + 1), 2, False), (time_of(start + 11), 2, True)]


def test_to_look_moves_no_line() -> None:
    bench = Bench()
    bench.program(0, 2, 100)
    bench.pulses(100)
    count = len(bench.edges)
    assert not bench.pit.output(0)
    assert bench.pit.count(0) == 1
    bench.pit.state()
    assert len(bench.edges) == count


# --- Device ----------------------------------------------------------------------------------------------------


def test_reset_lowers_the_outputs_and_keeps_the_gates() -> None:
    bench = Bench()
    bench.pit.gate(2).set(False)
    bench.program(0, 3, 100)
    bench.pulses(7)
    bench.pit.reset()
    assert not bench.wires[0].level
    assert bench.clock.next_due == NEVER
    fresh = CounterState(pulse=pulses_at(bench.clock.now))
    assert bench.pit.state().counters == (fresh, fresh, dataclasses.replace(fresh, gate=False))


@pytest.mark.parametrize("mode", range(6))
def test_a_restored_timer_gives_the_same_edges_at_the_same_times(mode: int) -> None:
    bench = Bench()
    bench.program(0, mode, 100)
    bench.pit.gate(0).set(False)
    bench.pit.gate(0).set(True)
    bench.program(2, 3, 77)
    bench.pit.write(2, 1, 0x12)
    bench.clock.advance(61_000)
    saved, now = bench.pit.state(), bench.clock.now

    other = Bench()
    other.program(0, 2, 3)
    other.clock.reset_to(now)
    other.pit.restore(saved)
    assert other.pit.state() == saved
    assert [wire.level for wire in other.wires] == [wire.level for wire in bench.wires]
    for each in (bench, other):
        each.edges.clear()
        each.clock.advance(400_000)
    assert other.edges == bench.edges != []


port_steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3), st.integers(0, 0xFFFFFFFF)),
        st.tuples(st.just("read"), st.integers(0, 3), st.sampled_from([1, 2, 4])),
        st.tuples(st.just("gate"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("advance"), st.integers(0, 100_000), st.just(0)),
    ),
    max_size=50,
)


def perform(bench: Bench, step: tuple[str, int, int]) -> int | None:
    name, first, second = step
    match name:
        case "write":
            bench.pit.write(first, 1, second)
        case "read":
            return bench.pit.read(first, second)
        case "gate":
            bench.pit.gate(first).set(bool(second))
        case _:
            bench.clock.advance(first)
    return None


@settings(max_examples=80, deadline=None)
@given(port_steps, port_steps)
def test_any_stream_keeps_lines_and_outputs_together_and_survives_a_snapshot(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    bench = Bench()
    for step in before:
        result = perform(bench, step)
        assert result is None or 0 <= result <= 0xFF
        assert [wire.level for wire in bench.wires] == [bench.pit.output(channel) for channel in range(3)]
    other = Bench()
    other.clock.reset_to(bench.clock.now)
    other.pit.restore(bench.pit.state())
    for step in after:
        assert perform(other, step) == perform(bench, step)
        assert other.pit.state() == bench.pit.state()
        assert [wire.level for wire in other.wires] == [wire.level for wire in bench.wires]


# --- Who watches a channel ---------------------------------------------------------------------------------------


def test_a_watcher_hears_of_writes_and_gate_changes_of_its_channel_alone() -> None:
    bench = Bench()
    heard: list[int | None] = []
    bench.pit.watch(2, lambda: heard.append(bench.pit.wave(2)))
    bench.pit.write(3, 1, 0xB6)
    bench.pit.write(2, 1, 0xE8)
    bench.pit.write(2, 1, 0x03)
    bench.pit.gate(2).set(False)
    bench.pit.gate(2).set(False)
    bench.pit.gate(2).set(True)
    assert heard == [None, None, 1000, None, 1000]
    bench.pit.write(3, 1, 0x36)
    bench.pit.write(0, 1, 0x12)
    bench.pit.write(3, 1, 0x80)
    bench.clock.advance(10_000_000)
    bench.pit.restore(bench.pit.state())
    bench.pit.reset()
    assert len(heard) == 5


@pytest.mark.parametrize(("mode", "count", "wave"), [(2, 5, 5), (3, 0, 65536), (7, 9, 9), (0, 5, None), (4, 5, None)])
def test_only_modes_2_and_3_make_a_wave(mode: int, count: int, wave: int | None) -> None:
    assert programmed(mode, count).wave == wave
    assert programmed(mode, count, gate=False).wave is None
