"""The speaker behind timer channel 2 and port 61h (IBM PC AT Technical Reference, "Speaker interface")."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.devices.pit import Pit
from minivm.devices.speaker import Click, Speaker, Tone
from minivm.devices.system_control import PortB

GATE, DATA = 0x01, 0x02


class Board:
    """The timer, port 61h and the speaker, wired as in a PC."""

    def __init__(self):
        self.clock = Clock()
        self.pit = Pit(self.clock, (None, None, None))
        self.speaker = Speaker(self.clock, wave=lambda: self.pit.wave(2), output=lambda: self.pit.output(2))
        self.pit.watch(2, self.speaker.update)
        self.port_b = PortB(
            gate2=self.pit.gate(2), timer2_output=lambda: self.pit.output(2), clock=self.clock,
            speaker=self.speaker.set_data,
        )  # fmt: skip
        self.heard = []
        self.speaker.listeners.append(self.heard.append)

    def program(self, mode, count):
        self.pit.write(3, 1, 0x80 | 0x30 | mode << 1)
        self.pit.write(2, 1, count & 0xFF)
        self.pit.write(2, 1, count >> 8)

    def control(self, value):
        self.port_b.write(0, 1, value)

    def devices(self):
        return (self.pit, self.port_b, self.speaker)


@pytest.fixture
def board():
    return Board()


def test_a_beep_has_its_frequency_its_begin_and_its_end(board):
    board.program(3, 1193)
    board.clock.advance_to(1_000)
    board.control(GATE | DATA)
    board.clock.advance_to(200_001_000)
    board.control(0)
    assert board.heard == [Tone(1193, 1_000), Tone(1193, 1_000, 200_001_000)]
    assert board.heard[0].frequency_hz == pytest.approx(1000.15, abs=0.01)
    assert board.speaker.tone is None


@pytest.mark.parametrize("control", [0, GATE, DATA])
def test_a_tone_needs_both_the_gate_and_the_data_bit(board, control):
    board.program(3, 1193)
    board.control(control)
    assert [event for event in board.heard if isinstance(event, Tone)] == []


@pytest.mark.parametrize("mode", [0, 1, 4, 5])
def test_a_mode_without_a_wave_is_no_tone(board, mode):
    board.control(GATE | DATA)
    board.program(mode, 1193)
    assert board.heard == []


def test_a_new_count_is_another_tone_only_when_it_is_whole_and_other(board):
    board.program(3, 1000)
    board.control(GATE | DATA)
    board.heard.clear()
    board.clock.advance_to(5_000)
    board.pit.write(2, 1, 0xE8)
    board.pit.write(2, 1, 0x03)
    assert board.heard == []
    board.pit.write(2, 1, 0xD0)
    assert board.heard == []
    board.pit.write(2, 1, 0x07)
    assert board.heard == [Tone(1000, 0, 5_000), Tone(2000, 5_000)]


def test_a_control_word_ends_the_tone_until_there_is_a_count(board):
    board.program(3, 1000)
    board.control(GATE | DATA)
    board.heard.clear()
    board.pit.write(3, 1, 0xB6)
    assert board.heard == [Tone(1000, 0, 0)]


@pytest.mark.parametrize(("count", "audible"), [(59, False), (60, True), (0, True)])
def test_nobody_hears_what_is_above_20_khz(board, count, audible):
    board.program(3, count)
    board.control(GATE | DATA)
    assert bool(board.heard) == audible
    if count == 0:
        assert board.heard[0].count == 65536


def test_the_data_bit_alone_makes_clicks_while_the_output_stands_high(board):
    board.program(3, 1193)
    for time, value in ((10, DATA), (20, DATA), (30, 0), (40, DATA)):
        board.clock.advance_to(time)
        board.control(value)
    assert board.heard == [Click(10, True), Click(30, False), Click(40, True)]


def test_the_data_bit_does_nothing_while_the_output_stands_low(board):
    board.pit.write(3, 1, 0xB0)
    board.control(DATA)
    board.control(0)
    assert board.heard == []


def test_other_channels_and_bits_are_not_heard(board):
    board.control(GATE | DATA)
    board.pit.write(3, 1, 0x36)
    board.pit.write(0, 1, 0x34)
    board.pit.write(0, 1, 0x12)
    board.control(GATE | DATA | 0x0C)
    assert [event for event in board.heard if isinstance(event, Tone)] == []


def test_reset_is_silence(board):
    board.program(3, 1000)
    board.control(GATE | DATA)
    board.clock.advance_to(7)
    for device in board.devices():
        device.reset()
    assert board.heard[-1] == Tone(1000, 0, 7)
    assert (board.speaker.tone, len(board.heard)) == (None, 2)


def test_a_restored_speaker_goes_on_and_says_nothing(board):
    board.program(3, 1000)
    board.control(GATE | DATA)
    board.clock.advance_to(50)
    states = [device.state() for device in board.devices()]
    twin = Board()
    twin.clock.reset_to(50)
    for device, state in zip(twin.devices(), states, strict=True):
        device.restore(state)
    assert (twin.heard, twin.speaker.tone) == ([], Tone(1000, 0))
    twin.clock.advance_to(90)
    twin.control(GATE)
    assert twin.heard == [Tone(1000, 0, 90)]


ACTIONS = st.one_of(
    st.tuples(st.just("control"), st.integers(0, 255), st.just(0)),
    st.tuples(st.just("pit"), st.integers(0, 3), st.integers(0, 255)),
    st.tuples(st.just("program"), st.integers(0, 5), st.integers(0, 0xFFFF)),
    st.tuples(st.just("pass"), st.integers(0, 2_000_000), st.just(0)),
)


@given(st.lists(ACTIONS, max_size=40))
def test_tones_begin_and_end_in_turn_and_what_sounds_is_what_the_chips_say(actions):
    board = Board()
    for kind, first, second in actions:
        match kind:
            case "control":
                board.control(first)
            case "pit":
                board.pit.write(first, 1, second)
            case "program":
                board.program(first, second)
            case _:
                board.clock.advance(first)
        wave = board.pit.wave(2) if board.port_b.speaker_enabled else None
        sounds = wave is not None and wave >= 60
        assert (None if board.speaker.tone is None else board.speaker.tone.count) == (wave if sounds else None)
    tones = [event for event in board.heard if isinstance(event, Tone)]
    for begin, end in zip(tones[::2], tones[1::2], strict=False):
        assert begin.to_ns is None
        assert end == Tone(begin.count, begin.from_ns, end.to_ns)
        assert end.to_ns is not None
    assert len(tones) % 2 == (board.speaker.tone is not None)
