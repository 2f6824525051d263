"""Ports 61h and 92h against the IBM AT and PS/2 technical references."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.devices.system_control import A20Gate, A20GateState, Port92, Port92State, PortB, PortBState


class PortBBench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.gate2 = Wire()
        self.timer2 = False
        self.speaker: list[bool] = []
        self.port = PortB(
            gate2=self.gate2, timer2_output=lambda: self.timer2, clock=self.clock, speaker=self.speaker.append
        )


def test_bit_0_drives_the_gate_of_timer_2() -> None:
    bench = PortBBench()
    bench.port.write(0, 1, 0x01)
    assert bench.gate2.level
    bench.port.write(0, 1, 0x0E)
    assert not bench.gate2.level


def test_the_gate_is_low_from_the_beginning_even_if_it_was_high() -> None:
    gate2 = Wire()
    gate2.set(True)
    PortB(gate2=gate2, timer2_output=lambda: False, clock=Clock(), speaker=lambda enabled: None)
    assert not gate2.level


def test_the_speaker_hears_only_changes_of_bit_1() -> None:
    bench = PortBBench()
    for value in (0x00, 0x02, 0x03, 0x0F, 0x01, 0x00):
        bench.port.write(0, 1, value)
    assert bench.speaker == [True, False]


def test_bits_0_to_3_read_back_and_the_error_bits_read_zero() -> None:
    bench = PortBBench()
    bench.port.write(0, 1, 0xFF)
    assert bench.port.read(0, 1) == 0x0F


def test_bit_5_is_the_output_of_timer_2() -> None:
    bench = PortBBench()
    assert not bench.port.read(0, 1) & 0x20
    bench.timer2 = True
    assert bench.port.read(0, 1) & 0x20


def test_bit_4_flips_every_eighteen_timer_pulses() -> None:
    bench = PortBBench()
    flips, last = [], 0
    for microsecond in range(1000):
        bench.clock.advance_to(microsecond * 1000)
        if (now := bench.port.read(0, 1) & 0x10) != last:
            flips.append(microsecond)
            last = now
    assert len(flips) == 66  # 1193 pulses / 18
    assert {after - before for before, after in pairwise(flips)} == {15, 16}


def test_the_refresh_bit_is_exact_after_a_long_time() -> None:
    bench = PortBBench()
    bench.clock.advance(10**15)
    first = bench.port.read(0, 1) & 0x10
    bench.clock.advance(15_086)
    assert bench.port.read(0, 1) & 0x10 != first


def test_port_b_saves_restores_and_resets() -> None:
    bench = PortBBench()
    bench.port.write(0, 1, 0x07)
    saved = bench.port.state()
    assert saved == PortBState(control=0x07)
    other = PortBBench()
    other.port.restore(saved)
    assert (other.port.state(), other.gate2.level, other.speaker) == (saved, True, [])
    assert other.port.speaker_enabled
    other.port.reset()
    assert (other.port.state(), other.gate2.level, other.speaker) == (PortBState(control=0), False, [False])


def test_the_speaker_hears_no_gate_move() -> None:
    heard: list[tuple[str, bool]] = []
    gate2 = Wire(lambda level: heard.append(("gate", level)))
    port = PortB(
        gate2=gate2, timer2_output=lambda: False, clock=Clock(), speaker=lambda on: heard.append(("speaker", on))
    )
    port.write(0, 1, 0x03)
    port.write(0, 1, 0x00)
    assert heard == [("gate", True), ("speaker", True), ("speaker", False), ("gate", False)]


class Port92Bench:
    def __init__(self) -> None:
        self.a20 = Wire()
        self.resets = 0
        self.port = Port92(a20=self.a20, reset=self.count)

    def count(self) -> None:
        self.resets += 1


def test_bit_1_of_port_92_drives_a20_and_reads_back() -> None:
    bench = Port92Bench()
    bench.port.write(0, 1, bench.port.read(0, 1) | 2)
    assert bench.a20.level
    assert bench.port.read(0, 1) == 2
    bench.port.write(0, 1, 0)
    assert not bench.a20.level


def test_bit_0_of_port_92_resets_once_when_it_rises() -> None:
    bench = Port92Bench()
    for value in (0x00, 0x01, 0x01, 0x03):
        bench.port.write(0, 1, value)
    assert bench.resets == 1
    bench.port.write(0, 1, 0x02)
    bench.port.write(0, 1, 0x03)
    assert bench.resets == 2


def test_a_reset_that_resets_the_port_itself_leaves_it_reset() -> None:
    a20 = Wire()
    port = Port92(a20=a20, reset=lambda: port.reset())
    port.write(0, 1, 0x03)
    assert port.read(0, 1) == 0
    assert not a20.level


def test_port_92_saves_and_restores_without_resetting_anybody() -> None:
    bench = Port92Bench()
    bench.port.write(0, 1, 0x03)
    saved = bench.port.state()
    assert saved == Port92State(control=0x03)
    other = Port92Bench()
    other.port.restore(saved)
    assert (other.port.state(), other.a20.level, other.resets) == (saved, True, 0)


def test_the_gate_obeys_who_spoke_last_and_tells_the_cpu_only_of_changes() -> None:
    heard: list[bool] = []
    gate = A20Gate(heard.append)
    for level in (True, False, False, True, False):
        gate.set(level)
    assert heard == [False, True, False]
    gate.reset()
    assert (gate.state(), heard[-1]) == (A20GateState(open=True), True)


def test_the_gate_stands_after_a_restore_as_it_stood_whatever_its_drivers_say() -> None:
    heard: list[bool] = []
    gate = A20Gate(heard.append)
    gate.set(False)
    saved = gate.state()
    gate.set(True)
    gate.restore(saved)
    assert (gate.state(), heard[-1]) == (saved, False)
    gate.set(True)
    assert heard[-1] is True


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.sampled_from([1, 2, 4]), st.integers(0, 10**12)), max_size=30))
def test_any_stream_of_writes_keeps_reads_in_a_byte(steps: list[tuple[int, int, int]]) -> None:
    port_b, port_92 = PortBBench(), Port92Bench()
    for value, size, delay_ns in steps:
        port_b.clock.advance(delay_ns)
        for port in (port_b.port, port_92.port):
            port.write(0, size, value)
            assert 0 <= port.read(0, size) <= 0xFF
        assert port_b.gate2.level == bool(value & 1)
        assert port_92.a20.level == bool(value & 2)
