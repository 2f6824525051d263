"""PS/2 keyboard, by the IBM PS/2 Hardware Interface Technical Reference, "Keyboards"."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.keys import KEYS, KeyEvent, parse_keys
from minivm.devices.ps2_keyboard import (
    SELF_TEST_NS,
    TYPING_NS,
    Ps2Keyboard,
    Ps2KeyboardState,
    typematic_delay_ns,
    typematic_period_ns,
)
from minivm.errors import ConfigError

MS = 1_000_000
RATES = (
    *(30.0, 26.7, 24.0, 21.8, 20.0, 18.5, 17.1, 16.0, 15.0, 13.3, 12.0, 10.9, 10.0, 9.2, 8.6, 8.0),
    *(7.5, 6.7, 6.0, 5.5, 5.0, 4.6, 4.3, 4.0, 3.7, 3.3, 3.0, 2.7, 2.5, 2.3, 2.1, 2.0),
)


class Bench:
    """A keyboard whose cable ends in this test: `sent` takes everything there is, as hex."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.keyboard = Ps2Keyboard(self.clock)
        self.calls = 0
        self.keyboard.connect(self._count)

    def _count(self) -> None:
        self.calls += 1

    def sent(self) -> str:
        values = []
        while self.keyboard.waiting:
            values.append(self.keyboard.take())
        assert self.keyboard.take() is None
        return bytes(value for value in values if value is not None).hex(" ")

    def command(self, *values: int) -> str:
        for value in values:
            self.keyboard.receive(value)
        return self.sent()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_key_sends_its_set_2_codes(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.keyboard.release("a")
    assert bench.sent() == "1c f0 1c"


def test_the_controller_is_told_when_there_is_something_to_send(bench: Bench) -> None:
    bench.keyboard.press("a")
    assert bench.calls == 1


def test_a_key_that_is_down_goes_not_down_again_and_one_that_is_up_not_up(bench: Bench) -> None:
    bench.keyboard.release("a")
    bench.keyboard.press("a")
    bench.keyboard.press("a")
    assert bench.sent() == "1c"


def test_an_unknown_key_is_an_error(bench: Bench) -> None:
    for action in (bench.keyboard.press, bench.keyboard.release):
        with pytest.raises(ConfigError, match="anykey"):
            action("anykey")
    with pytest.raises(ConfigError, match="anykey"):
        bench.keyboard.type([KeyEvent("anykey", True)])


def test_pause_sends_its_whole_sequence_at_once_and_neither_repeats_nor_breaks(bench: Bench) -> None:
    bench.keyboard.press("pause")
    assert bench.sent() == "e1 14 77 e1 f0 14 f0 77"
    bench.clock.advance(5000 * MS)
    bench.keyboard.release("pause")
    assert bench.sent() == ""


@pytest.mark.parametrize(
    ("held", "key", "make", "release"),
    [
        ("left_ctrl", "pause", "e0 7e e0 f0 7e", ""),
        ("right_alt", "print_screen", "84", "f0 84"),
        ("right_ctrl", "print_screen", "e0 7c", "e0 f0 7c"),
        ("left_shift", "print_screen", "e0 7c", "e0 f0 7c"),
        ("left_shift", "up", "e0 f0 12 e0 75", "e0 f0 75 e0 12"),
        ("right_shift", "keypad_divide", "e0 f0 59 e0 4a", "e0 f0 4a e0 59"),
        ("left_shift", "keypad_8", "75", "f0 75"),
    ],
)
def test_modifiers_change_what_some_keys_send(bench: Bench, held: str, key: str, make: str, release: str) -> None:
    bench.keyboard.press(held)
    bench.sent()
    bench.keyboard.press(key)
    assert bench.sent() == make
    bench.keyboard.release(key)
    assert bench.sent() == release


def test_num_lock_wraps_the_cursor_keys_in_a_pretended_shift(bench: Bench) -> None:
    bench.command(0xED, 0x02)
    bench.keyboard.press("insert")
    assert bench.sent() == "e0 12 e0 70"
    bench.command(0xED, 0x00)
    bench.keyboard.release("insert")
    assert bench.sent() == "e0 f0 70 e0 f0 12", "the release undoes what the press did"


def test_num_lock_and_shift_cancel_out(bench: Bench) -> None:
    bench.command(0xED, 0x02)
    bench.keyboard.press("left_shift")
    bench.keyboard.press("left")
    assert bench.sent() == "12 e0 6b"


def test_a_shift_released_meanwhile_is_not_pressed_again(bench: Bench) -> None:
    bench.keyboard.press("left_shift")
    bench.keyboard.press("down")
    bench.keyboard.release("left_shift")
    bench.sent()
    bench.keyboard.release("down")
    assert bench.sent() == "e0 f0 72"


# Typematic


@pytest.mark.parametrize(
    ("setting", "rate"),
    list(enumerate(RATES)),
)
def test_the_typematic_rates_are_ibms_table(setting: int, rate: float) -> None:
    assert 1e9 / typematic_period_ns(setting) == pytest.approx(rate, abs=0.06)


def test_the_typematic_delays_are_quarters_of_a_second() -> None:
    assert [typematic_delay_ns(setting << 5) // MS for setting in range(4)] == [250, 500, 750, 1000]


def test_a_held_key_repeats_after_500_ms_at_10_9_a_second(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.sent()
    bench.clock.advance(500 * MS - 1)
    assert bench.sent() == ""
    bench.clock.advance(1)
    assert bench.sent() == "1c"
    repeats = 0
    for _ in range(1000):
        bench.clock.advance(MS)
        repeats += bench.sent() == "1c"
    assert repeats == 10


def test_repeats_do_not_drift(bench: Bench) -> None:
    bench.command(0xF3, 0x00)
    bench.keyboard.press("a")
    bench.sent()
    times = []
    while len(times) < 31:
        bench.clock.advance_to(bench.clock.next_due)
        assert bench.sent() == "1c"
        times.append(bench.clock.now)
    assert times[30] - times[0] == 1000 * MS


def test_only_the_last_key_repeats_and_only_its_own_release_ends_it(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.keyboard.press("b")
    bench.keyboard.release("a")
    bench.sent()
    bench.clock.advance(500 * MS)
    assert bench.sent() == "32"
    bench.keyboard.release("b")
    bench.sent()
    bench.clock.advance(5000 * MS)
    assert bench.sent() == ""


def test_repeats_wait_while_the_guest_reads_nothing(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.clock.advance(60_000 * MS)
    assert bench.sent() == "1c"
    bench.clock.advance(100 * MS)
    assert bench.sent() == "1c"


def test_an_extended_key_repeats_with_its_prefix_but_without_pretended_shifts(bench: Bench) -> None:
    bench.keyboard.press("left_shift")
    bench.keyboard.press("up")
    bench.sent()
    bench.clock.advance(500 * MS)
    assert bench.sent() == "e0 75"


def test_a_new_rate_holds_at_once(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.sent()
    bench.clock.advance(3000 * MS)
    bench.command(0xF3, 0x00)
    bench.clock.advance(250 * MS - 1)
    assert bench.sent() == ""
    bench.clock.advance(1)
    assert bench.sent() == "1c"


# The buffer


def test_the_buffer_holds_16_bytes_and_then_an_overrun_code(bench: Bench) -> None:
    for key in "abcdefghijklmnopqrstuvwxyz":
        bench.keyboard.press(key)
    sent = bytes.fromhex(bench.sent())
    assert len(sent) == 17
    assert sent[16] == 0x00


def test_a_sequence_that_does_not_fit_is_dropped_as_a_whole(bench: Bench) -> None:
    for key in "abcdefghijklmno":
        bench.keyboard.press(key)
    bench.keyboard.press("up")
    sent = bytes.fromhex(bench.sent())
    assert len(sent) == 16
    assert sent[15] == 0x00


def test_the_overrun_code_of_set_1_is_ffh(bench: Bench) -> None:
    bench.command(0xF0, 1)
    for key in "abcdefghijklmnopqrstuvwxyz":
        bench.keyboard.press(key)
    assert bench.sent().endswith(" ff")


# Commands


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ([0xEE], "ee"),
        ([0xED, 0x05], "fa fa"),
        ([0xF0, 0x00], "fa fa 02"),
        ([0xF0, 0x01], "fa fa"),
        ([0xF0, 0x03], "fa fe"),
        ([0xF2], "fa ab 83"),
        ([0xF3, 0x7F], "fa fa"),
        ([0xF4], "fa"),
        ([0xF5], "fa"),
        ([0xF6], "fa"),
        ([0xF7], "fa"),
        ([0xFA], "fa"),
        ([0xFB, 0x1C, 0x32, 0xF4], "fa fa fa fa"),
        ([0xEF], "fe"),
        ([0xF1], "fe"),
        ([0x00], "fe"),
    ],
)
def test_commands_are_answered(bench: Bench, command: list[int], answer: str) -> None:
    assert bench.command(*command) == answer


def test_leds_follow_the_command(bench: Bench) -> None:
    bench.command(0xED, 0x07)
    assert bench.keyboard.leds == 7
    bench.command(0xED, 0x02)
    assert bench.keyboard.leds == 2


def test_a_command_in_place_of_an_option_is_a_command(bench: Bench) -> None:
    assert bench.command(0xED, 0xEE) == "fa ee"
    assert bench.command(0x02) == "fe"
    assert bench.keyboard.leds == 0


def test_set_1_is_spoken_when_chosen(bench: Bench) -> None:
    bench.command(0xF0, 1)
    bench.keyboard.press("right_ctrl")
    bench.keyboard.release("right_ctrl")
    assert bench.sent() == "e0 1d e0 9d"
    assert bench.command(0xF0, 0) == "fa fa 01"


def test_resend_sends_the_last_byte_again(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.sent()
    assert bench.command(0xFE) == "1c"
    assert bench.command(0xFE) == "1c"


def test_disable_stops_scanning_and_enable_clears_the_buffer(bench: Bench) -> None:
    bench.command(0xF5)
    bench.keyboard.press("a")
    assert bench.sent() == ""
    bench.command(0xF4)
    bench.keyboard.press("b")
    assert bench.command(0xF4) == "fa"
    bench.keyboard.release("b")
    assert bench.sent() == "f0 32"


def test_answers_go_before_keys(bench: Bench) -> None:
    bench.keyboard.press("a")
    assert bench.command(0xEE) == "ee 1c"


def test_defaults_bring_back_set_2_and_the_rate(bench: Bench) -> None:
    bench.command(0xF0, 1, 0xF3, 0x00)
    bench.command(0xF6)
    state = bench.keyboard.state()
    assert (state.scan_set, state.typematic, state.scanning) == (2, 0x2B, True)


def test_reset_is_acknowledged_and_the_self_test_passes_later(bench: Bench) -> None:
    bench.command(0xED, 0x07)
    assert bench.command(0xFF) == "fa"
    assert bench.keyboard.leds == 0
    bench.keyboard.press("a")
    bench.clock.advance(SELF_TEST_NS - 1)
    assert bench.sent() == ""
    bench.clock.advance(1)
    assert bench.sent() == "aa"


def test_a_command_during_the_self_test_ends_it(bench: Bench) -> None:
    bench.command(0xFF)
    assert bench.command(0xF2) == "aa fa ab 83"
    bench.clock.advance(2 * SELF_TEST_NS)
    assert bench.sent() == ""


# The typist


def test_typing_is_paced(bench: Bench) -> None:
    bench.keyboard.type(parse_keys("a"))
    assert not bench.keyboard.idle
    bench.clock.advance(TYPING_NS)
    assert bench.sent() == "1c"
    bench.clock.advance(TYPING_NS)
    assert bench.sent() == "f0 1c"
    assert bench.keyboard.idle


def test_a_guest_that_is_slow_loses_nothing_and_sees_no_repeats(bench: Bench) -> None:
    bench.keyboard.type(parse_keys("The quick brown fox."))
    values = bytearray()
    while not bench.keyboard.idle:
        bench.clock.advance(3000 * MS)
        value = bench.keyboard.take()
        if value is not None:
            values.append(value)
    quick = Bench()
    for event in parse_keys("The quick brown fox."):
        (quick.keyboard.press if event.pressed else quick.keyboard.release)(event.key)
        values_now = bytes.fromhex(quick.sent())
        assert values.startswith(values_now)
        del values[: len(values_now)]
    assert not values


def test_the_typist_waits_for_scanning_without_keeping_an_alarm(bench: Bench) -> None:
    bench.command(0xF5)
    bench.keyboard.type(parse_keys("a"))
    before = bench.clock.next_due
    bench.clock.advance(1000 * MS)
    assert before == bench.clock.next_due
    assert bench.sent() == ""
    bench.command(0xF4)
    bench.clock.advance(TYPING_NS)
    assert bench.sent() == "1c"


def test_the_gate_holds_the_typist_back(bench: Bench) -> None:
    open_ = False
    bench.keyboard.typing_gate = lambda: open_
    bench.keyboard.type(parse_keys("a"))
    bench.clock.advance(1000 * MS)
    assert bench.sent() == ""
    open_ = True
    bench.clock.advance(TYPING_NS)
    assert bench.sent() == "1c"


def test_reset_keeps_what_is_still_to_be_typed(bench: Bench) -> None:
    bench.keyboard.type(parse_keys("ab"))
    bench.clock.advance(TYPING_NS)
    bench.keyboard.reset()
    assert bench.sent() == ""
    bench.clock.advance(2 * TYPING_NS)
    assert bench.sent() == "32", "a was lost with its release, b is typed"


# Snapshots and anything at all


def restored(state: Ps2KeyboardState, now: int) -> Bench:
    copy = Bench()
    copy.clock.reset_to(now)
    copy.keyboard.restore(state)
    return copy


def test_a_restored_keyboard_goes_on_where_the_saved_one_was(bench: Bench) -> None:
    bench.keyboard.press("left_shift")
    bench.keyboard.press("up")
    bench.sent()
    bench.keyboard.type(parse_keys("hi"))
    bench.clock.advance(300 * MS)
    bench.keyboard.receive(0xED)
    copy = restored(bench.keyboard.state(), bench.clock.now)
    assert copy.keyboard.state() == bench.keyboard.state()
    for side in (bench, copy):
        side.keyboard.receive(0x02)
    for _ in range(300):
        for side in (bench, copy):
            side.clock.advance(MS)
        assert copy.sent() == bench.sent()
    assert copy.keyboard.leds == 2


def test_a_restored_self_test_still_ends(bench: Bench) -> None:
    bench.command(0xFF)
    copy = restored(bench.keyboard.state(), bench.clock.now)
    copy.clock.advance(SELF_TEST_NS)
    assert copy.sent() == "aa"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("receive"), st.integers(0, 255)),
            st.tuples(st.just("press"), st.sampled_from(sorted(KEYS))),
            st.tuples(st.just("release"), st.sampled_from(sorted(KEYS))),
            st.tuples(st.just("take"), st.none()),
            st.tuples(st.just("advance"), st.integers(0, 2000 * MS)),
            st.tuples(st.just("type"), st.sampled_from(["a", "<Up>", "<Pause>"])),
        ),
        max_size=60,
    )
)
def test_nothing_a_guest_or_a_hand_does_raises_or_overflows(steps: list[tuple[str, object]]) -> None:
    bench = Bench()
    keyboard = bench.keyboard
    for action, value in steps:
        match action, value:
            case "receive", int(byte):
                keyboard.receive(byte)
            case "press", str(key):
                keyboard.press(key)
            case "release", str(key):
                keyboard.release(key)
            case "take", _:
                taken = keyboard.take()
                assert taken is None or 0 <= taken <= 0xFF
            case "advance", int(time):
                bench.clock.advance(time)
            case "type", str(text):
                keyboard.type(parse_keys(text))
        assert len(keyboard.state().buffer) <= 17
        assert restored(keyboard.state(), bench.clock.now).keyboard.state() == keyboard.state()
