"""Power management (Intel 82371AB datasheet, 290562; ACPI specification 1.0b, section 4.7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.devices.piix4_pm import HALF_TURN, TIMER_HZ, Piix4Pm, time_of

SCI_EN, SLP_EN = 0x0001, 0x2000
STATUS, ENABLE, CONTROL, TIMER, GP_STATUS, GP_ENABLE = 0x00, 0x02, 0x04, 0x08, 0x0C, 0x0E


class Board:
    """The chip, its clock and what it does to the outside."""

    def __init__(self):
        self.clock, self.sci, self.offs, self.moves = Clock(), Wire(), [], []
        self.pm = Piix4Pm(self.clock, sci=self.sci, power_off=lambda: self.offs.append(1), on_move=self.moves.append)

    def read(self, offset, size=2):
        return self.pm.ports.read(offset, size)

    def write(self, offset, value, size=2):
        self.pm.ports.write(offset, size, value)


@pytest.fixture
def board():
    return Board()


def test_it_is_function_3_of_the_82371ab(board):
    assert board.pm.config.read(0x00, 4) == 0x7113_8086
    assert board.pm.config.read(0x08, 4) == 0x0680_0003
    assert board.pm.config.read(0x3C, 2) == 0x0100
    assert board.pm.config.read(0x40, 4) == 0x0000_0001
    assert board.pm.config.read(0x58, 4) & 0x0200_0000


def test_the_ports_are_where_firmware_puts_them_once_they_are_enabled(board):
    board.pm.config.write(0x40, 4, 0x0000_0601)
    assert board.moves == []
    board.pm.config.write(0x80, 1, 0x01)
    assert board.moves == [0x600]
    board.pm.config.write(0x40, 4, 0xFFFF_B03F)
    assert board.pm.config.read(0x40, 4) == 0xB001
    assert board.moves == [0x600, None, 0xB000]
    board.pm.config.write(0x80, 1, 0x00)
    assert board.moves[3:] == [None]


def test_ports_at_zero_are_nowhere(board):
    board.pm.config.write(0x80, 1, 0x01)
    assert board.moves == []


@pytest.mark.parametrize("seconds", [0, 1, 2, 7, 3600])
def test_the_timer_counts_3579545_times_a_second(board, seconds):
    board.clock.advance_to(seconds * 1_000_000_000)
    assert board.read(TIMER, 4) == seconds * TIMER_HZ % (1 << 24)


def test_the_timer_reads_in_bytes_and_words_and_cannot_be_written(board):
    board.clock.advance_to(time_of(0x123456))
    board.write(TIMER, 0, 4)
    assert [board.read(TIMER + place, 1) for place in range(4)] == [0x56, 0x34, 0x12, 0x00]
    assert (board.read(TIMER, 2), board.read(TIMER + 2, 2)) == (0x3456, 0x0012)


def test_the_timers_status_is_set_at_each_change_of_bit_23_and_a_one_clears_it(board):
    board.clock.advance_to(time_of(HALF_TURN) - 1)
    assert board.read(STATUS) == 0
    for turn in (1, 2, 3):
        board.clock.advance_to(time_of(turn * HALF_TURN))
        assert board.read(STATUS) == 0x0001
        board.write(STATUS, 0xFFFE)
        assert board.read(STATUS) == 0x0001
        board.write(STATUS, 0x0001)
        assert board.read(STATUS) == 0


def test_the_timer_interrupts_when_it_may(board):
    board.write(ENABLE, 0x0001)
    board.write(CONTROL, SCI_EN)
    assert board.clock.next_due == time_of(HALF_TURN)
    board.clock.advance_to(time_of(HALF_TURN))
    assert board.sci.level
    board.write(STATUS, 0x0001)
    assert not board.sci.level
    assert board.clock.next_due == time_of(2 * HALF_TURN)


@pytest.mark.parametrize(("enable", "control"), [(0x0001, 0), (0, SCI_EN), (0x0020, SCI_EN)])
def test_an_event_that_is_not_wanted_arms_no_alarm_and_moves_no_line(board, enable, control):
    board.write(ENABLE, enable)
    board.write(CONTROL, control)
    assert board.clock.pending() == []
    board.clock.advance_to(3_000_000_000)
    assert not board.sci.level
    assert board.read(STATUS) == 0x0001


def test_enabling_what_has_happened_interrupts_at_once(board):
    board.clock.advance_to(3_000_000_000)
    board.write(CONTROL, SCI_EN)
    board.write(ENABLE, 0x0001)
    assert board.sci.level
    board.write(CONTROL, 0)
    assert not board.sci.level


def test_the_power_button_is_an_event_like_any_other(board):
    board.write(CONTROL, SCI_EN)
    board.pm.press_power_button()
    assert board.read(STATUS) == 0x0100
    assert not board.sci.level
    board.write(ENABLE, 0x0100)
    assert board.sci.level
    board.write(STATUS, 0x0100)
    assert not board.sci.level


@pytest.mark.parametrize(("offset", "size", "value"), [(4, 2, 0x2000), (4, 4, 0x2000), (5, 1, 0x20), (4, 2, 0x2001)])
def test_sleep_type_0_is_off(board, offset, size, value):
    board.write(offset, value, size)
    assert board.offs == [1]
    assert not board.read(CONTROL) & SLP_EN


@pytest.mark.parametrize(("offset", "size", "value"), [(4, 2, 0x2400), (4, 2, 0), (4, 1, 0x20), (6, 2, 0x2000)])
def test_nothing_else_is_off(board, offset, size, value):
    board.write(offset, value, size)
    assert board.offs == []


def test_the_sleep_type_may_come_before_the_bit_that_starts_it(board):
    board.write(CONTROL, 0x1400)
    assert board.read(CONTROL) == 0x1400
    board.write(5, 0x34, 1)
    assert board.offs == []


def test_reserved_bits_of_the_block_read_0(board):
    for at in range(0, 0x30, 2):
        board.write(at, 0xDFFF)
    assert {at: board.read(at) for at in range(0, 0x30, 2) if board.read(at)} == {
        ENABLE: 0x0521, CONTROL: 0x1C03, GP_ENABLE: 0x0F01,
    }  # fmt: skip


def test_the_apm_port_switches_acpi_mode_and_reads_back(board):
    for value, mode in ((0xF1, SCI_EN), (0x12, SCI_EN), (0xF0, 0)):
        board.pm.apm.write(0, 1, value)
        assert board.read(CONTROL) & SCI_EN == mode
        assert board.pm.apm.read(0, 1) == value
    board.pm.apm.write(1, 1, 0xF1)
    assert (board.pm.apm.read(1, 1), board.read(CONTROL)) == (0xF1, 0)


def test_reset_lets_the_interrupt_go_and_the_timer_on(board):
    board.pm.config.write(0x40, 4, 0x601)
    board.pm.config.write(0x80, 1, 0x01)
    board.clock.advance_to(3_000_000_000)
    board.write(ENABLE, 0x0001)
    board.write(CONTROL, SCI_EN)
    before = board.read(TIMER, 4)
    board.pm.reset()
    assert not board.sci.level
    assert board.moves[-1] is None
    assert (board.read(STATUS), board.read(TIMER, 4)) == (0, before)
    assert board.clock.pending() == []


def test_a_restored_chip_goes_on_where_it_was(board):
    board.pm.config.write(0x40, 4, 0x601)
    board.pm.config.write(0x80, 1, 0x01)
    board.write(ENABLE, 0x0101)
    board.write(CONTROL, SCI_EN)
    board.clock.advance_to(1_000_000_000)
    twin = Board()
    twin.clock.reset_to(board.clock.now)
    twin.pm.restore(board.pm.state())
    assert (twin.moves, twin.pm.state()) == ([0x600], board.pm.state())
    for each in (board, twin):
        each.clock.advance_to(time_of(HALF_TURN))
        assert each.sci.level
    assert twin.pm.state() == board.pm.state()


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 63), st.sampled_from((1, 2, 4)), st.integers(0, 0xFFFF_FFFF)),
    st.tuples(st.just("pass"), st.integers(0, 4_000_000_000), st.just(0), st.just(0)),
    st.tuples(st.just("button"), st.just(0), st.just(0), st.just(0)),
    st.tuples(st.just("apm"), st.integers(0, 1), st.just(1), st.sampled_from((0xF0, 0xF1, 0))),
)


@given(st.lists(STEPS, max_size=30))
def test_the_interrupt_is_always_what_the_registers_say(steps):
    board = Board()
    for kind, first, size, value in steps:
        match kind:
            case "write":
                board.write(first, value, min(size, 64 - first) if 64 - first != 3 else 2)
            case "pass":
                board.clock.advance(first)
            case "button":
                board.pm.press_power_button()
            case "apm":
                board.pm.apm.write(first, size, value)
        events = board.read(STATUS) & board.read(ENABLE) & 0x0521 | board.read(GP_STATUS) & board.read(GP_ENABLE)
        assert board.sci.level == bool(events and board.read(CONTROL) & SCI_EN)
        assert len(board.clock.pending()) <= 1
