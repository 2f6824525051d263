"""The 8259A pair against the Intel 8259A datasheet (231468)."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.device import Wire
from minivm.devices.pic import PicPair
from minivm.errors import WiringError

NON_SPECIFIC_EOI = 0x20
SPECIFIC_EOI = 0x60
ROTATE_NON_SPECIFIC_EOI = 0xA0
ROTATE_SPECIFIC_EOI = 0xE0
SET_PRIORITY = 0xC0
ROTATE_IN_AUTO_EOI_SET = 0x80
ROTATE_IN_AUTO_EOI_CLEAR = 0x00
READ_IRR, READ_ISR, POLL = 0x0A, 0x0B, 0x0C
SPECIAL_MASK_SET, SPECIAL_MASK_RESET = 0x68, 0x48


class Board:
    """A pair with its INTR wire, initialized as an AT's BIOS does unless told otherwise."""

    def __init__(self, *, icw1: int = 0x11, master_icw4: int = 0x01, slave_icw4: int = 0x01) -> None:
        self.intr = Wire()
        self.pair = PicPair(self.intr)
        self.initialize(icw1=icw1, master_icw4=master_icw4, slave_icw4=slave_icw4)

    def initialize(self, *, icw1: int = 0x11, master_icw4: int = 0x01, slave_icw4: int = 0x01) -> None:
        for chip, base, icw3, icw4 in (
            (self.pair.master, 0x08, 0x04, master_icw4),
            (self.pair.slave, 0x70, 0x02, slave_icw4),
        ):
            chip.write(0, 1, icw1)
            for word in (base, icw3, icw4):
                chip.write(1, 1, word)

    def raise_irq(self, *irqs: int) -> None:
        for irq in irqs:
            self.pair.line(irq).set(True)

    def lower_irq(self, *irqs: int) -> None:
        for irq in irqs:
            self.pair.line(irq).set(False)

    def pulse_irq(self, *irqs: int) -> None:
        self.lower_irq(*irqs)
        self.raise_irq(*irqs)

    def command(self, value: int) -> None:
        self.pair.master.write(0, 1, value)

    def command_slave(self, value: int) -> None:
        self.pair.slave.write(0, 1, value)

    def take_all(self) -> list[int]:
        """Acknowledge until INTR falls, ending each interrupt at once."""
        vectors = []
        while self.intr.level:
            vectors.append(self.pair.acknowledge())
            if vectors[-1] >= 0x70:
                self.command_slave(NON_SPECIFIC_EOI)
            self.command(NON_SPECIFIC_EOI)
        return vectors


# --- Before and during initialization --------------------------------------------------------------------------


def test_a_chip_that_was_never_initialized_raises_nothing() -> None:
    intr = Wire()
    pair = PicPair(intr)
    for irq in (0, 1, 8, 15):
        pair.line(irq).set(True)
    assert not intr.level
    assert not pair.pending


def test_a_request_before_initialization_needs_a_new_edge_after_it() -> None:
    board = Board()
    board.raise_irq(3)
    board.initialize()
    assert not board.intr.level
    board.pulse_irq(3)
    assert board.pair.acknowledge() == 0x0B


def test_a_request_during_initialization_waits_for_the_last_command_word() -> None:
    board = Board()
    master = board.pair.master
    master.write(0, 1, 0x11)
    board.raise_irq(4)
    for word in (0x20, 0x04):
        master.write(1, 1, word)
        assert not board.intr.level
    master.write(1, 1, 0x01)
    assert board.intr.level
    assert board.pair.acknowledge() == 0x24


def test_initialization_clears_masks_service_and_modes() -> None:
    board = Board()
    board.raise_irq(1)
    board.pair.acknowledge()
    board.pair.master.write(1, 1, 0xFF)
    for command in (SPECIAL_MASK_SET, READ_ISR, SET_PRIORITY | 3, ROTATE_IN_AUTO_EOI_SET):
        board.command(command)
    board.initialize()
    state = board.pair.master.state()
    assert (state.imr, state.isr, state.lowest) == (0, 0, 7)
    assert not (state.special_mask or state.read_isr or state.rotate_on_auto_eoi)


@pytest.mark.parametrize(
    ("icw1", "words"),
    [(0x10, [0x20, 0x04]), (0x11, [0x20, 0x04, 0x01]), (0x12, [0x20]), (0x13, [0x20, 0x01])],
    ids=["cascade", "cascade+ICW4", "single", "single+ICW4"],
)
def test_icw1_decides_which_words_follow_and_the_next_is_the_mask(icw1: int, words: list[int]) -> None:
    pair = PicPair(Wire())
    pair.master.write(0, 1, icw1)
    for word in words:
        pair.master.write(1, 1, word)
    assert pair.master.read(1, 1) == 0
    pair.master.write(1, 1, 0xA5)
    assert pair.master.read(1, 1) == 0xA5
    assert pair.master.vector_base == 0x20


def test_only_the_upper_five_bits_of_the_vector_are_programmable() -> None:
    board = Board()
    board.pair.master.write(0, 1, 0x11)
    for word in (0x57, 0x04, 0x01):
        board.pair.master.write(1, 1, word)
    board.raise_irq(6)
    assert board.pair.acknowledge() == 0x56


def test_without_icw4_a_former_auto_eoi_is_forgotten() -> None:
    board = Board(master_icw4=0x03)
    board.pair.master.write(0, 1, 0x10)
    for word in (0x08, 0x04):
        board.pair.master.write(1, 1, word)
    board.raise_irq(0)
    board.pair.acknowledge()
    assert board.pair.master.isr == 0x01


# --- Vectors, masks, lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize("irq", [irq for irq in range(16) if irq != 2])
def test_each_irq_has_its_vector(irq: int) -> None:
    board = Board()
    board.raise_irq(irq)
    assert board.intr.level
    assert board.pair.pending
    assert board.pair.acknowledge() == (0x08 + irq if irq < 8 else 0x70 + irq - 8)
    assert not board.intr.level


@pytest.mark.parametrize("irq", [-1, 2, 16])
def test_the_cascade_and_what_does_not_exist_cannot_be_wired(irq: int) -> None:
    with pytest.raises(WiringError, match=f"IRQ{irq} "):
        PicPair(Wire()).line(irq)


def test_a_masked_line_is_not_delivered_until_it_is_unmasked() -> None:
    board = Board()
    board.pair.master.write(1, 1, 0x10)
    board.raise_irq(4)
    assert not board.intr.level
    assert board.pair.master.irr == 0x10
    board.pair.master.write(1, 1, 0x00)
    assert board.pair.acknowledge() == 0x0C


def test_masking_irq2_masks_the_whole_slave() -> None:
    board = Board()
    board.pair.master.write(1, 1, 0x04)
    board.raise_irq(8, 15)
    assert not board.intr.level
    board.pair.master.write(1, 1, 0x00)
    assert board.take_all() == [0x70, 0x77]


# --- Edges and levels ------------------------------------------------------------------------------------------


def test_an_edge_makes_one_request_however_long_the_line_stays_high() -> None:
    board = Board()
    board.raise_irq(5)
    assert board.take_all() == [0x0D]
    board.raise_irq(5)
    assert board.take_all() == []
    board.pulse_irq(5)
    assert board.take_all() == [0x0D]


def test_an_edge_withdrawn_before_the_acknowledge_is_lost() -> None:
    board = Board()
    board.raise_irq(5)
    board.lower_irq(5)
    assert not board.intr.level
    assert board.pair.master.irr == 0


def test_an_acknowledge_without_a_request_is_a_spurious_ir7_that_is_not_in_service() -> None:
    board = Board()
    board.raise_irq(5)
    board.lower_irq(5)
    assert board.pair.acknowledge() == 0x0F
    assert board.pair.master.isr == 0


def test_a_spurious_interrupt_of_the_slave_leaves_irq2_in_service_at_the_master() -> None:
    board = Board()
    board.pair.master.line(2).set(True)  # the slave's INT, seen by the master before the request went away
    assert board.pair.acknowledge() == 0x77
    assert board.pair.slave.isr == 0
    assert board.pair.master.isr == 0x04


def test_ltim_makes_every_line_ask_again_as_long_as_it_is_high() -> None:
    board = Board(icw1=0x19)
    board.raise_irq(5)
    assert board.pair.acknowledge() == 0x0D
    board.command(NON_SPECIFIC_EOI)
    assert board.pair.acknowledge() == 0x0D
    board.lower_irq(5)
    board.command(NON_SPECIFIC_EOI)
    assert not board.intr.level


def test_ltim_sees_a_line_that_was_high_before_initialization() -> None:
    board = Board()
    board.raise_irq(5)
    board.initialize(icw1=0x19)
    assert board.pair.acknowledge() == 0x0D


def test_the_elcr_makes_single_lines_level_triggered() -> None:
    board = Board()
    board.pair.elcr.write(0, 1, 0x20)
    board.pair.elcr.write(1, 1, 0x08)
    board.raise_irq(5, 11, 6)
    for _ in range(2):
        assert board.pair.acknowledge() == 0x73
        board.command_slave(NON_SPECIFIC_EOI)
        board.command(NON_SPECIFIC_EOI)
    board.lower_irq(11)
    assert board.pair.acknowledge() == 0x0D
    board.lower_irq(5)
    board.command(NON_SPECIFIC_EOI)
    assert board.take_all() == [0x0E]


def test_the_elcr_keeps_its_fixed_lines_edge_triggered_and_survives_icw1() -> None:
    board = Board()
    board.pair.elcr.write(0, 1, 0xFF)
    board.pair.elcr.write(1, 1, 0xFF)
    board.initialize()
    assert board.pair.elcr.read(0, 1) == 0xF8
    assert board.pair.elcr.read(1, 1) == 0xDE


# --- Fully nested mode and EOI ---------------------------------------------------------------------------------


def test_requests_are_served_in_order_of_priority_with_the_slave_at_irq2() -> None:
    board = Board()
    board.raise_irq(7, 3, 15, 8, 1, 0)
    assert board.take_all() == [0x08, 0x09, 0x70, 0x77, 0x0B, 0x0F]


def test_an_interrupt_in_service_holds_back_its_own_and_lower_levels_only() -> None:
    board = Board()
    board.raise_irq(4)
    board.pair.acknowledge()
    board.pulse_irq(4)
    board.raise_irq(5)
    assert not board.intr.level
    board.raise_irq(3)
    assert board.pair.acknowledge() == 0x0B
    assert board.pair.master.isr == 0x18


def test_a_non_specific_eoi_ends_the_highest_in_service() -> None:
    board = Board()
    for irq in (6, 4, 1):
        board.raise_irq(irq)
        board.pair.acknowledge()
    remaining = []
    for _ in range(4):
        board.command(NON_SPECIFIC_EOI)
        remaining.append(board.pair.master.isr)
    assert remaining == [0x50, 0x40, 0x00, 0x00]


def test_a_specific_eoi_ends_the_level_it_names() -> None:
    board = Board()
    for irq in (6, 4, 1):
        board.raise_irq(irq)
        board.pair.acknowledge()
    board.command(SPECIFIC_EOI | 4)
    assert board.pair.master.isr == 0x42


def test_auto_eoi_leaves_nothing_in_service() -> None:
    board = Board(master_icw4=0x03)
    board.raise_irq(3, 1)
    assert [board.pair.acknowledge(), board.pair.acknowledge()] == [0x09, 0x0B]
    assert board.pair.master.isr == 0
    assert not board.intr.level


def test_auto_eoi_at_both_chips_delivers_every_waiting_slave_request() -> None:
    board = Board(master_icw4=0x03, slave_icw4=0x03)
    board.raise_irq(14, 9, 12)
    vectors = []
    while board.intr.level:
        vectors.append(board.pair.acknowledge())
    assert vectors == [0x71, 0x74, 0x76]


def test_a_slave_request_waits_for_the_eoi_of_both_chips() -> None:
    board = Board()
    board.raise_irq(12)
    assert board.pair.acknowledge() == 0x74
    board.raise_irq(13)
    board.command(NON_SPECIFIC_EOI)
    assert not board.intr.level
    board.command_slave(NON_SPECIFIC_EOI)
    assert board.pair.acknowledge() == 0x75


# --- Rotation --------------------------------------------------------------------------------------------------


def test_set_priority_makes_the_named_level_the_lowest() -> None:
    board = Board()
    board.command(SET_PRIORITY | 4)
    board.raise_irq(0, 1, 3, 4, 5, 6, 7)
    assert [vector - 8 for vector in board.take_all()] == [5, 6, 7, 0, 1, 3, 4]


def test_rotate_on_non_specific_eoi_makes_the_level_ended_the_lowest() -> None:
    """The datasheet's example: IR4 has the highest request, and after it is served IR5 has the highest priority."""
    board = Board()
    board.raise_irq(4, 6)
    assert board.pair.acknowledge() == 0x0C
    board.command(ROTATE_NON_SPECIFIC_EOI)
    assert board.pair.master.state().lowest == 4
    assert board.pair.master.isr == 0
    board.pulse_irq(4)
    assert [vector - 8 for vector in board.take_all()] == [6, 4]


def test_rotate_on_non_specific_eoi_with_nothing_in_service_changes_nothing() -> None:
    board = Board()
    board.command(ROTATE_NON_SPECIFIC_EOI)
    assert board.pair.master.state().lowest == 7


def test_rotate_on_specific_eoi_ends_and_demotes_the_named_level() -> None:
    board = Board()
    for irq in (5, 3):
        board.raise_irq(irq)
        board.pair.acknowledge()
    board.command(ROTATE_SPECIFIC_EOI | 5)
    assert board.pair.master.isr == 0x08
    assert board.pair.master.state().lowest == 5


def test_a_non_specific_eoi_follows_the_rotated_order() -> None:
    board = Board()
    for irq in (6, 1):
        board.raise_irq(irq)
        board.pair.acknowledge()
    board.command(SET_PRIORITY | 3)
    board.command(NON_SPECIFIC_EOI)
    assert board.pair.master.isr == 0x02


def test_rotate_in_auto_eoi_mode_gives_each_in_turn_until_it_is_cleared() -> None:
    board = Board(master_icw4=0x03)
    board.command(ROTATE_IN_AUTO_EOI_SET)
    order = []
    for _ in range(4):
        board.pulse_irq(0, 1)
        order.append(board.pair.acknowledge() - 8)
    board.command(ROTATE_IN_AUTO_EOI_CLEAR)
    board.command(SET_PRIORITY | 7)
    for _ in range(2):
        board.pulse_irq(0, 1)
        order.append(board.pair.acknowledge() - 8)
    assert order == [0, 1, 0, 1, 0, 0]


# --- Special modes ---------------------------------------------------------------------------------------------


def test_special_mask_mode_lets_lower_levels_through_while_a_masked_one_is_in_service() -> None:
    board = Board()
    board.raise_irq(3)
    board.pair.acknowledge()
    board.raise_irq(6)
    board.pair.master.write(1, 1, 0x08)
    assert not board.intr.level
    board.command(SPECIAL_MASK_SET)
    assert board.pair.acknowledge() == 0x0E
    board.command(NON_SPECIFIC_EOI)
    assert board.pair.master.isr == 0x08, "a masked level is not ended by a non-specific EOI in this mode"
    board.pulse_irq(6)
    assert board.intr.level
    board.command(SPECIAL_MASK_RESET)
    assert not board.intr.level


def test_ocw3_without_esmm_leaves_the_special_mask_mode_alone() -> None:
    board = Board()
    board.command(SPECIAL_MASK_SET)
    board.command(READ_ISR)
    assert board.pair.master.state().special_mask


def test_special_fully_nested_mode_lets_a_slave_interrupt_itself() -> None:
    plain, special = Board(), Board(master_icw4=0x11)
    for board in (plain, special):
        board.raise_irq(12)
        assert board.pair.acknowledge() == 0x74
        board.raise_irq(14)
        assert not board.intr.level
        board.raise_irq(9)
    assert not plain.intr.level
    assert special.intr.level
    assert special.pair.acknowledge() == 0x71


def test_special_fully_nested_mode_does_not_let_lower_master_levels_through() -> None:
    board = Board(master_icw4=0x11)
    board.raise_irq(12)
    board.pair.acknowledge()
    board.raise_irq(3)
    assert not board.intr.level


def test_special_fully_nested_mode_does_not_let_the_slave_through_a_higher_master_level() -> None:
    board = Board(master_icw4=0x11)
    board.raise_irq(1)
    board.pair.acknowledge()
    board.raise_irq(12)
    assert not board.intr.level


def test_a_poll_serves_the_best_request_and_names_it() -> None:
    board = Board()
    board.raise_irq(6, 3)
    board.command(POLL)
    assert board.pair.master.read(0, 1) == 0x83
    assert board.pair.master.isr == 0x08
    assert board.pair.master.read(0, 1) == 0x40, "one read a poll; the next shows the IRR again"


def test_a_poll_without_a_request_says_so_and_serves_nothing() -> None:
    board = Board()
    board.command(POLL)
    assert board.pair.master.read(0, 1) & 0x80 == 0
    assert board.pair.master.isr == 0


def test_polling_the_slave_takes_its_request_from_the_master() -> None:
    board = Board()
    board.raise_irq(10)
    board.command_slave(POLL)
    assert board.pair.slave.read(0, 1) == 0x82
    assert not board.intr.level
    assert board.pair.master.irr == 0


# --- Reading back ----------------------------------------------------------------------------------------------


def test_ocw3_chooses_what_a_read_shows() -> None:
    board = Board()
    board.raise_irq(1)
    board.pair.acknowledge()
    board.raise_irq(4)
    assert board.pair.master.read(0, 1) == 0x10
    board.command(READ_ISR)
    assert board.pair.master.read(0, 1) == 0x02
    board.command(NON_SPECIFIC_EOI)
    assert board.pair.master.read(0, 1) == 0x00
    board.command(READ_IRR)
    assert board.pair.master.read(0, 1) == 0x10


def test_a_slave_request_shows_as_irq2_at_the_master() -> None:
    board = Board()
    board.raise_irq(8)
    assert board.pair.master.irr == 0x04
    board.lower_irq(8)
    assert board.pair.master.irr == 0x00


# --- A cascade that was programmed wrongly ---------------------------------------------------------------------


def test_a_master_told_that_it_is_alone_answers_irq2_itself() -> None:
    board = Board()
    board.pair.master.write(0, 1, 0x13)
    for word in (0x08, 0x01):
        board.pair.master.write(1, 1, word)
    board.raise_irq(8)
    assert board.pair.acknowledge() == 0x0A


def test_a_slave_with_the_wrong_number_does_not_answer_and_the_bus_floats() -> None:
    board = Board()
    board.pair.slave.write(0, 1, 0x11)
    for word in (0x70, 0x04, 0x01):
        board.pair.slave.write(1, 1, word)
    board.raise_irq(8)
    assert board.pair.acknowledge() == 0xFF


# --- Device ----------------------------------------------------------------------------------------------------


def test_a_restored_pair_goes_on_where_the_saved_one_was() -> None:
    board = Board(master_icw4=0x11)
    board.pair.elcr.write(1, 1, 0x08)
    board.raise_irq(11)
    board.pair.acknowledge()
    board.raise_irq(9, 3)
    board.command(SET_PRIORITY | 5)
    board.command_slave(POLL)
    saved = board.pair.state()

    other = Board()
    other.pair.restore(saved)
    assert other.pair.state() == saved
    assert other.intr.level == board.intr.level
    assert other.pair.slave.read(0, 1) == board.pair.slave.read(0, 1) == 0x81
    for each in (board, other):
        each.command_slave(NON_SPECIFIC_EOI)
        each.command(NON_SPECIFIC_EOI)
    assert other.take_all() == board.take_all() != []


def test_restore_replaces_every_field() -> None:
    fresh = PicPair(Wire()).state()
    board = Board(icw1=0x19, master_icw4=0x17)
    board.raise_irq(9, 3)
    for command in (SPECIAL_MASK_SET, READ_ISR, POLL, ROTATE_IN_AUTO_EOI_SET, SET_PRIORITY | 2):
        board.command(command)
    board.pair.restore(fresh)
    assert board.pair.state() == fresh
    assert not board.intr.level


def test_reset_drops_intr_but_keeps_what_others_drive_onto_the_inputs() -> None:
    board = Board()
    board.raise_irq(3, 9)
    board.pair.reset()
    assert not board.intr.level
    fresh = PicPair(Wire()).state()
    state = board.pair.state()
    assert state.master == dataclasses.replace(fresh.master, lines=0x08)
    assert state.slave == dataclasses.replace(fresh.slave, lines=0x02)


operations = st.one_of(
    st.tuples(st.sampled_from(["master", "slave", "elcr"]), st.integers(0, 1), st.integers(0, 0xFFFFFFFF)),
    st.tuples(st.just("read"), st.integers(0, 1), st.sampled_from([1, 2, 4])),
    st.tuples(st.just("line"), st.sampled_from([i for i in range(16) if i != 2]), st.booleans()),
    st.tuples(st.just("acknowledge"), st.just(0), st.just(0)),
)


def perform(board: Board, operation: tuple[str, int, int]) -> object:
    name, first, second = operation
    match name:
        case "read":
            return [chip.read(first, second) for chip in (board.pair.master, board.pair.slave, board.pair.elcr)]
        case "line":
            return board.pair.line(first).set(bool(second))
        case "acknowledge":
            return board.pair.acknowledge()
    return getattr(board.pair, name).write(first, 1, second)


@settings(max_examples=100, deadline=None)
@given(st.lists(operations, max_size=60), st.lists(operations, max_size=30))
def test_any_stream_keeps_registers_in_bytes_and_survives_a_snapshot(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    board = Board()
    for operation in before:
        perform(board, operation)
        for chip in (board.pair.master, board.pair.slave):
            for register in (chip.irr, chip.imr, chip.isr, chip.vector_base, chip.elcr):
                assert 0 <= register <= 0xFF
        assert board.intr.level == board.pair.pending
        assert bool(board.pair.master.lines & 4) == board.pair.slave.pending
    other = Board()
    other.pair.restore(board.pair.state())
    for operation in after:
        assert perform(other, operation) == perform(board, operation)
        assert other.pair.state() == board.pair.state()
        assert other.intr.level == board.intr.level
