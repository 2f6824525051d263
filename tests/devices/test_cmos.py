"""MC146818: each claim is the Motorola datasheet's, or says whose it is."""

import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import NEVER, Clock
from minivm.core.device import Wire
from minivm.devices.cmos import Cmos

SECOND = 1_000_000_000
MS = 1_000_000
US = 1_000
START = datetime.datetime(2026, 1, 31, 23, 59, 58)
PF, AF, UF, IRQF = 0x40, 0x20, 0x10, 0x80
BCD_24, BINARY_24, BCD_12, BINARY_12 = 0x02, 0x06, 0x00, 0x04
FOR_TIME = (0, 2, 4, 6, 7, 8, 9, 0x32)


class Board:
    """The chip, its clock and its interrupt line, whose rising edges are counted."""

    def __init__(self, start: datetime.datetime = START, **options: object) -> None:
        self.clock = Clock()
        self.edges: list[int] = []
        self.irq = Wire(lambda level: self.edges.append(self.clock.now) if level else None)
        self.cmos = Cmos(self.clock, self.irq, start, **options)  # type: ignore[arg-type]

    def get(self, index: int) -> int:
        self.cmos.write(0, 1, index)
        return self.cmos.read(1, 1)

    def put(self, index: int, value: int) -> None:
        self.cmos.write(0, 1, index)
        self.cmos.write(1, 1, value)

    def time(self) -> list[int]:
        """Seconds, minutes, hours, weekday, day, month, year, century as the bytes stand."""
        return [self.get(index) for index in FOR_TIME]

    def set_time(self, *values: int) -> None:
        self.put(0x0B, self.get(0x0B) | 0x80)
        for index, value in zip(FOR_TIME, values, strict=False):
            self.put(index, value)
        self.put(0x0B, self.get(0x0B) & 0x7F)


# The clock.


def test_the_clock_shows_the_start_date_in_bcd_and_24_hours():
    assert Board().time() == [0x58, 0x59, 0x23, 7, 0x31, 0x01, 0x26, 0x20]


def test_the_second_changes_exactly_a_second_after_the_start():
    board = Board()
    board.clock.advance(SECOND - 1)
    assert board.get(0) == 0x58
    board.clock.advance(1)
    assert board.get(0) == 0x59


def test_a_start_within_a_second_changes_it_when_that_second_ends():
    board = Board(START.replace(microsecond=750_000))
    board.clock.advance(250 * MS - 1)
    assert board.get(0) == 0x58
    board.clock.advance(1)
    assert board.get(0) == 0x59


def test_seconds_carry_into_minutes_hours_weekday_day_and_month():
    board = Board()
    board.clock.advance(2 * SECOND)
    assert board.time() == [0, 0, 0, 1, 0x01, 0x02, 0x26, 0x20]


def test_the_year_carries_into_the_century():
    board = Board(datetime.datetime(1999, 12, 31, 23, 59, 59))
    board.clock.advance(SECOND)
    assert board.time() == [0, 0, 0, 7, 1, 1, 0x00, 0x20]


@pytest.mark.parametrize(
    ("year", "after"),
    [(2024, (0x29, 0x02)), (2025, (0x01, 0x03)), (2000, (0x29, 0x02)), (2100, (0x01, 0x03))],
)
def test_february_ends_as_the_calendar_says(year, after):
    board = Board(datetime.datetime(year, 2, 28, 23, 59, 59))
    board.clock.advance(SECOND)
    assert (board.get(7), board.get(8)) == after


def test_a_century_passes_in_one_look():
    board = Board(datetime.datetime(1980, 1, 1))
    board.clock.advance(
        (datetime.datetime(2080, 6, 15, 12, 34, 56) - datetime.datetime(1980, 1, 1)).days * 86400 * SECOND
    )
    assert board.time() == [0, 0, 0, 7, 0x15, 0x06, 0x80, 0x20]


@given(
    start=st.datetimes(datetime.datetime(1980, 1, 1), datetime.datetime(2199, 1, 1)),
    steps=st.lists(st.integers(0, 40_000_000), max_size=4),
    mode=st.sampled_from((BCD_24, BINARY_24, BCD_12, BINARY_12)),
)
@settings(max_examples=60, deadline=None)
def test_the_clock_agrees_with_the_calendar_in_every_format(start, steps, mode):
    start = start.replace(microsecond=0)
    board = Board(start)
    board.put(0x0B, mode)
    board.set_time(*encode(start, mode))
    for step in steps:
        board.clock.advance(step * SECOND)
        assert board.time() == encode(start + datetime.timedelta(seconds=board.clock.now // SECOND), mode)


def encode(moment: datetime.datetime, mode: int) -> list[int]:
    """Say what the eight bytes show, independently of the chip's own arithmetic."""

    def number(value: int) -> int:
        return value if mode & 4 else int(str(value), 16)

    hour = number(moment.hour) if mode & 2 else number((moment.hour + 11) % 12 + 1) | (0x80 if moment.hour > 11 else 0)
    weekday = int(moment.strftime("%w")) + 1
    rest = (weekday, moment.day, moment.month, moment.year % 100, moment.year // 100)
    return [number(moment.second), number(moment.minute), hour, *map(number, rest)]


@pytest.mark.parametrize(
    ("hour", "bcd", "binary"), [(0, 0x12, 12), (1, 0x01, 1), (11, 0x11, 11), (12, 0x92, 0x8C), (23, 0x91, 0x8B)]
)
def test_in_12_hours_bit_7_says_afternoon_and_midnight_is_12(hour, bcd, binary):
    for mode, expected in ((BCD_12, bcd), (BINARY_12, binary)):
        board = Board()
        board.put(0x0B, mode)
        before = (hour - 1) % 24
        board.set_time(*encode(datetime.datetime(2026, 1, 1, before, 59, 59), mode))
        board.clock.advance(SECOND)
        assert board.get(4) == expected


def test_changing_the_format_leaves_the_bytes_as_they_are():
    board = Board()
    board.put(0x0B, BINARY_24)
    assert board.get(0) == 0x58
    board.set_time(30)
    board.clock.advance(SECOND)
    assert board.get(0) == 31


def test_the_guest_sets_the_time_and_it_goes_on_from_there():
    board = Board()
    board.clock.advance(300 * MS)
    board.set_time(0x59, 0x59, 0x23, 5, 0x31, 0x12, 0x87, 0x19)
    assert board.time() == [0x59, 0x59, 0x23, 5, 0x31, 0x12, 0x87, 0x19]
    board.clock.advance(700 * MS)  # the fraction of the second is the divider's, and was not touched
    assert board.time() == [0, 0, 0, 6, 1, 1, 0x88, 0x19]


def test_a_byte_of_the_time_may_be_written_without_set():
    board = Board()
    board.put(2, 0x15)
    board.clock.advance(2 * SECOND)
    assert board.time()[:3] == [0, 0x16, 0x23]


def test_set_freezes_the_time_but_not_the_periodic_flag():
    board = Board()
    board.put(0x0B, 0x82)
    board.clock.advance(5 * SECOND)
    assert board.get(0) == 0x58
    assert board.get(0x0C) == PF


def test_the_time_frozen_by_set_is_not_made_up_for():
    board = Board()
    board.put(0x0B, 0x82)
    board.clock.advance(5 * SECOND + SECOND // 2)
    board.put(0x0B, 0x02)
    board.clock.advance(SECOND // 2)
    assert board.get(0) == 0x59


def test_a_nonsense_time_wraps_at_its_next_step_and_else_stays():
    board = Board()
    board.set_time(0x7F, 0xAA, 0x23, 0, 0x00, 0x13)
    assert board.time()[:3] == [0x7F, 0xAA, 0x23]
    board.clock.advance(SECOND)
    assert board.time()[:6] == [0, 0, 0, 1, 0x01, 0x12]


# Update in progress.


def test_uip_is_up_for_244_us_before_and_1984_us_of_the_update():
    board = Board()
    begins = SECOND - (244 + 1984) * US
    seen = {}
    for moment in (0, begins - 1, begins, SECOND - 1, SECOND, SECOND + begins - 1, SECOND + begins):
        board.clock.advance_to(moment)
        seen[moment] = board.get(0x0A) >> 7
    assert list(seen.values()) == [0, 0, 1, 1, 0, 0, 1]


def test_a_time_read_after_uip_was_down_is_whole_for_244_us():
    board = Board()
    board.clock.advance_to(SECOND - (244 + 1984) * US - 1)
    assert not board.get(0x0A) & 0x80
    board.clock.advance(244 * US)
    assert board.time()[:3] == [0x58, 0x59, 0x23]


def test_set_clears_uip():
    board = Board()
    board.clock.advance_to(SECOND - 1)
    board.put(0x0B, 0x82)
    assert not board.get(0x0A) & 0x80


def test_uip_cannot_be_written():
    board = Board()
    board.put(0x0A, 0xA6)
    assert board.get(0x0A) == 0x26


# The divider.


@pytest.mark.parametrize("held", [0x60, 0x70])
def test_the_first_update_begins_half_a_second_after_the_divider_is_released(held):
    board = Board()
    board.clock.advance(123_456_789)
    board.put(0x0A, held | 6)
    board.clock.advance(10 * SECOND)
    assert (board.get(0), board.get(0x0A)) == (0x58, held | 6)
    board.put(0x0A, 0x26)
    board.clock.advance(SECOND // 2 + 1984 * US - 1)
    assert (board.get(0), board.get(0x0A)) == (0x58, 0xA6)
    board.clock.advance(1)
    assert (board.get(0), board.get(0x0A)) == (0x59, 0x26)


def test_a_held_divider_gives_no_flags_and_no_interrupts():
    board = Board()
    board.put(0x0B, 0x72)
    board.put(0x0A, 0x66)
    board.clock.advance(5 * SECOND)
    assert board.get(0x0C) == 0
    assert board.edges == []


@pytest.mark.parametrize("divider", [0x00, 0x10, 0x20])
def test_every_divider_setting_for_a_crystal_runs(divider):
    board = Board()
    board.put(0x0A, divider | 6)
    board.clock.advance(SECOND)
    assert board.get(0) == 0x59


# Register C: flags and interrupts.


RATES = [(1, 256), (2, 128)] + [(code, 65536 >> code) for code in range(3, 16)]


@pytest.mark.parametrize(("code", "hertz"), RATES)
def test_the_periodic_interrupt_comes_exactly_as_often_as_the_table_says(code, hertz):
    board = Board()
    board.put(0x0A, 0x20 | code)
    board.put(0x0B, 0x42)
    count = 0
    while board.clock.next_due <= SECOND:
        board.clock.advance_to(board.clock.next_due)
        count += board.get(0x0C) == IRQF | PF
    assert count == len(board.edges) == hertz
    gaps = {after - before for before, after in zip(board.edges, board.edges[1:], strict=False)}
    assert gaps <= {SECOND // hertz, -(-SECOND // hertz)}


def test_the_periodic_interrupt_does_not_drift():
    board = Board()
    board.put(0x0A, 0x23)
    board.put(0x0B, 0x42)
    board.clock.advance(1)
    first = board.clock.next_due
    for _ in range(8192):
        board.clock.advance_to(board.clock.next_due)
        board.get(0x0C)
    assert board.edges[0] == first
    assert board.clock.next_due == first + SECOND


def test_rate_zero_gives_no_periodic_flag():
    board = Board()
    board.put(0x0A, 0x20)
    board.put(0x0B, 0x42)
    board.clock.advance(SECOND)
    assert board.get(0x0C) == UF
    assert board.clock.next_due == NEVER


def test_flags_are_set_without_their_interrupts_and_cleared_by_reading_c():
    board = Board()
    for index in (1, 3, 5):
        board.put(index, 0xFF)
    board.clock.advance(SECOND)
    assert board.get(0x0C) == PF | AF | UF
    assert board.get(0x0C) == 0
    assert board.edges == []


def test_nothing_is_armed_for_what_nobody_asked():
    assert Board().clock.next_due == NEVER


def test_an_interrupt_holds_the_line_until_c_is_read_and_only_then_comes_the_next():
    board = Board()
    board.put(0x0B, 0x12)
    board.clock.advance(3 * SECOND)
    assert board.edges == [SECOND]
    assert board.irq.level
    assert board.clock.next_due == NEVER
    assert board.get(0x0C) & (IRQF | UF) == IRQF | UF
    assert not board.irq.level
    board.clock.advance(SECOND)
    assert board.edges == [SECOND, 4 * SECOND]


def test_enabling_an_interrupt_whose_flag_is_already_up_raises_the_line_at_once():
    board = Board()
    board.clock.advance(SECOND)
    board.put(0x0B, 0x12)
    assert board.irq.level


def test_disabling_the_interrupt_lets_the_line_fall_and_keeps_the_flag():
    board = Board()
    board.put(0x0B, 0x12)
    board.clock.advance(SECOND)
    board.put(0x0B, 0x02)
    assert not board.irq.level
    assert board.get(0x0C) & UF


def test_set_takes_the_update_interrupt_back():
    board = Board()
    board.put(0x0B, 0xF2)
    assert board.get(0x0B) == 0xE2


def test_the_alarm_comes_once_a_day_at_its_time():
    board = Board()
    for index, value in ((1, 0x30), (3, 0x15), (5, 0x06)):
        board.put(index, value)
    board.put(0x0B, 0x22)
    for _ in range(2):
        board.clock.advance(86400 * SECOND)
        assert board.get(0x0C) & (IRQF | AF) == IRQF | AF
    assert board.edges == [(2 + 6 * 3600 + 15 * 60 + 30 + day * 86400) * SECOND for day in range(2)]


@pytest.mark.parametrize(
    ("alarm", "first", "period"),
    [
        ((0xC0, 0xFF, 0xD5), 1, 1),
        ((0x00, 0xFF, 0xC0), 2, 60),
        ((0x10, 0x05, 0xFF), 2 + 310, 3600),
        ((0xFF, 0x00, 0x00), 2, 1),
    ],
)
def test_an_alarm_byte_of_c0h_or_more_matches_everything(alarm, first, period):
    board = Board()
    for index, value in zip((1, 3, 5), alarm, strict=True):
        board.put(index, value)
    board.put(0x0B, 0x22)
    for number in range(3):
        board.clock.advance_to((first + number * period) * SECOND)
        assert board.get(0x0C) & IRQF
    assert board.edges == [(first + number * period) * SECOND for number in range(3)]


def test_an_alarm_at_a_time_that_never_comes_arms_nothing():
    board = Board()
    for index, value in ((1, 0x75), (3, 0), (5, 0)):
        board.put(index, value)
    board.put(0x0B, 0x22)
    assert board.clock.next_due == NEVER
    board.clock.advance(3 * 86400 * SECOND)
    assert not board.get(0x0C) & AF


def test_the_alarm_follows_a_time_that_the_guest_sets():
    board = Board()
    for index, value in ((1, 0), (3, 0x30), (5, 0x92)):
        board.put(index, value)
    board.put(0x0B, 0x20)
    board.set_time(0x58, 0x29, 0x92)
    board.clock.advance(3 * SECOND)
    assert board.edges == [2 * SECOND]


@given(
    alarm=st.tuples(*(st.one_of(st.integers(0, limit - 1), st.just(0xFF)) for limit in (60, 60, 24))),
    start=st.integers(0, 86399),
    steps=st.lists(st.integers(1, 100_000), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_a_late_look_sees_the_same_alarm_as_counting_every_second(alarm, start, steps):
    begin = datetime.datetime(2026, 5, 1) + datetime.timedelta(seconds=start)
    board = Board(begin)
    board.put(0x0B, BINARY_24)
    board.set_time(*encode(begin, BINARY_24))
    for index, value in zip((1, 3, 5), alarm, strict=True):
        board.put(index, value)
    second = start
    for step in steps:
        board.clock.advance(step * SECOND)
        shown = ((at % 60, at // 60 % 60, at // 3600 % 24) for at in range(second + 1, second + step + 1))
        expected = any(all(want in (0xFF, is_) for want, is_ in zip(alarm, now, strict=True)) for now in shown)
        assert bool(board.get(0x0C) & AF) == expected
        second += step


# The rest.


def test_register_d_says_that_the_battery_is_good_and_c_and_d_are_read_only():
    board = Board()
    board.put(0x0D, 0x00)
    board.put(0x0C, 0xFF)
    assert board.get(0x0D) == 0x80
    assert board.get(0x0C) == 0


def test_register_b_keeps_daylight_saving_and_square_wave_without_effect_on_the_time():
    board = Board(datetime.datetime(2026, 4, 26, 1, 59, 59))
    board.put(0x0B, 0x0B)
    board.clock.advance(SECOND)
    assert (board.get(0x0B), board.get(4)) == (0x0B, 0x02)


def test_the_other_bytes_are_plain_memory_filled_at_power_on():
    board = Board(nvram={0x14: 0x2D, 0x7F: 0x1AA, 0x00: 0x99, 0x32: 0x77, 0x80: 1})
    assert (board.get(0x14), board.get(0x7F), board.get(0x15)) == (0x2D, 0xAA, 0)
    assert (board.get(0), board.get(0x32)) == (0x58, 0x20)
    board.put(0x0F, 0x0A)
    board.put(0x33, 0xFF)
    board.clock.advance(SECOND)
    assert (board.get(0x0F), board.get(0x33)) == (0x0A, 0xFF)


def test_the_index_port_masks_the_nmi_with_bit_7_and_reads_as_open_bus():
    board = Board()
    board.cmos.write(0, 1, 0x8F)
    assert board.cmos.nmi_masked
    board.cmos.write(1, 1, 0x5A)
    assert board.cmos.read(0, 1) == 0xFF
    assert board.get(0x0F) == 0x5A
    assert not board.cmos.nmi_masked


def test_reset_clears_flags_and_enables_and_the_battery_keeps_the_rest():
    board = Board()
    board.put(0x0B, 0x7A)
    board.put(0x0F, 0x05)
    board.clock.advance(SECOND)
    board.cmos.write(0, 1, 0x80)
    board.cmos.reset()
    assert not board.irq.level
    assert board.clock.next_due == NEVER
    assert not board.cmos.nmi_masked
    assert (board.get(0x0B), board.get(0x0C), board.get(0x0F), board.get(0)) == (0x02, 0, 0x05, 0x59)


def test_a_clock_saved_in_the_middle_goes_on_the_same():
    board = Board(nvram={0x10: 0x40})
    board.put(0x0B, 0x72)
    board.put(0x0A, 0x29)
    for index in (1, 3, 5):
        board.put(index, 0xFF)
    board.clock.advance(SECOND + 1234)
    state = board.cmos.state()
    copy = Board(datetime.datetime(1990, 1, 1))
    copy.clock.advance(77 * SECOND)
    copy.clock.reset_to(board.clock.now)
    copy.cmos.restore(state)
    assert copy.cmos.state() == state
    assert copy.irq.level
    for _ in range(20):
        assert copy.get(0x0C) == board.get(0x0C)
        assert copy.clock.next_due == board.clock.next_due
        board.clock.advance(41 * MS)
        copy.clock.advance(41 * MS)
        assert copy.irq.level == board.irq.level
        assert copy.cmos.state() == board.cmos.state()


def test_the_state_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Board().cmos.state().index = 1  # type: ignore[misc]


STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 0x0E), st.integers(0, 0xFF)),
    st.tuples(st.just("write"), st.integers(0, 0xFF), st.integers(0, 0xFF)),
    st.tuples(st.just("read"), st.integers(0, 0xFF), st.just(0)),
    st.tuples(st.just("advance"), st.integers(0, 3 * SECOND), st.just(1)),
    st.tuples(st.just("advance"), st.integers(0, 4_000), st.just(86400 * SECOND)),
    st.tuples(st.just("wide"), st.integers(0, 9), st.integers(0, 0xFFFFFFFF)),
)


@given(st.lists(STEP, max_size=40))
@settings(max_examples=100, deadline=None)
def test_whatever_a_guest_does_it_reads_bytes_and_a_restored_copy_agrees(steps):
    board = Board()
    for number, (kind, first, second) in enumerate(steps):
        match kind:
            case "write":
                board.put(first, second)
            case "read":
                assert 0 <= board.get(first) <= 0xFF
            case "advance" if not board.cmos.state().memory[0x0B] & 0x70:
                board.clock.advance(first * second)
            case "advance":
                board.clock.advance(first)
            case _:
                board.cmos.write(first, 4, second)
                assert 0 <= board.cmos.read(first, 4) <= 0xFFFFFFFF
        assert board.clock.next_due > board.clock.now
        if number % 8 == 7:
            state = board.cmos.state()
            level, due = board.irq.level, board.clock.next_due
            board.clock.reset_to(board.clock.now)
            board.cmos.restore(state)
            assert (board.cmos.state(), board.irq.level, board.clock.next_due) == (state, level, due)
