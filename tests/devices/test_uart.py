"""16550A: each claim is the PC16550D datasheet's, or says whose it is."""

import dataclasses
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import NEVER, Clock
from minivm.core.device import Wire
from minivm.devices.uart import Uart

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH = range(8)
FCR = IIR
CHARACTER = 86_806  # 8N1 at 115200: ten bits, in ns, rounded up
SOME_YEARS = 1 << 58


class Board:
    """The chip set up by hand as drivers do: 115200 8N1, OUT2 on."""

    def __init__(self, *, fifo: int = 0, ier: int = 0, **options: bool) -> None:
        self.clock = Clock()
        self.sent = bytearray()
        self.edges = 0
        self.irq = Wire(self._edge)
        self.uart = Uart(self.clock, self.irq, self.sent.append, **options)
        self.set_line(1, 0x03)
        self.put(MCR, 0x0B)
        self.put(FCR, fifo)
        self.get(IIR)
        self.put(IER, ier)

    def _edge(self, level: bool) -> None:
        self.edges += level

    def get(self, offset: int) -> int:
        return self.uart.read(offset, 1)

    def put(self, offset: int, value: int) -> None:
        self.uart.write(offset, 1, value)

    def set_line(self, divisor: int, control: int) -> None:
        self.put(LCR, 0x80)
        self.put(0, divisor & 0xFF)
        self.put(1, divisor >> 8)
        self.put(LCR, control)

    def characters(self, count: float = 1) -> None:
        """Let that many character times pass."""
        self.clock.advance(round(count * CHARACTER))

    def receive_all(self, data: bytes) -> None:
        self.uart.receive(data)
        self.characters(len(data))


# Registers.


def test_after_reset_the_registers_are_as_table_iii_says():
    uart = Uart(Clock(), Wire(), lambda byte: None)
    assert [uart.read(offset, 1) for offset in range(8)] == [0, 0, 0x01, 0, 0, 0x60, 0xB0, 0]


def test_registers_keep_only_the_bits_that_they_have():
    board = Board()
    for offset in (IER, LCR, MCR, SCRATCH):
        board.put(offset, 0xFF & ~0x80 if offset == LCR else 0xFF)
    assert [board.get(offset) for offset in (IER, LCR, MCR, SCRATCH)] == [0x0F, 0x7F, 0x1F, 0xFF]


def test_line_and_modem_status_are_read_only():
    board = Board()
    board.put(LSR, 0xFF)
    board.put(MSR, 0xFF)
    assert (board.get(LSR), board.get(MSR)) == (0x60, 0xB0)


def test_dlab_shows_the_divisor_in_place_of_data_and_ier():
    board = Board()
    board.put(IER, 0x05)
    board.set_line(0x1234, 0x83)
    assert (board.get(0), board.get(1)) == (0x34, 0x12)
    board.put(LCR, 0x03)
    assert board.get(IER) == 0x05
    assert board.sent == b""


def test_reset_keeps_scratch_and_divisor():
    board = Board()
    board.put(SCRATCH, 0x5A)
    board.uart.reset()
    board.put(LCR, 0x80)
    assert (board.get(SCRATCH), board.get(0), board.get(1)) == (0x5A, 1, 0)


def test_a_wide_access_touches_only_the_register_at_its_offset():
    board = Board()
    board.uart.write(SCRATCH, 4, 0x123456AB)
    assert board.uart.read(SCRATCH, 2) == 0xAB


# Sending.


def test_a_byte_reaches_the_host_when_its_last_bit_has_left():
    board = Board()
    board.put(DATA, ord("A"))
    board.clock.advance(CHARACTER - 1)
    assert board.sent == b""
    board.clock.advance(1)
    assert board.sent == b"A"
    assert board.clock.next_due == NEVER


@pytest.mark.parametrize(
    ("divisor", "control", "bits"),
    [
        (1, 0x03, 10),
        (12, 0x03, 10),
        (1, 0x00, 7),
        (1, 0x04, 7.5),
        (1, 0x07, 11),
        (1, 0x1F, 12),
        (384, 0x1A, 10),
        (0, 3, 10),
    ],
)
def test_a_character_takes_the_bits_that_divisor_and_format_say(divisor, control, bits):
    board = Board()
    board.set_line(divisor, control)
    board.put(DATA, 0)
    due = board.clock.next_due
    assert 0 <= due - bits * (divisor or 65536) * 1e9 / 115200 < 1


def test_the_word_length_masks_what_is_sent_and_received():
    board = Board()
    for control, expected in ((0x00, 0x1F), (0x01, 0x3F), (0x02, 0x7F), (0x03, 0xFF)):
        board.put(LCR, control)
        board.sent.clear()
        board.put(DATA, 0xFF)
        board.receive_all(b"\xff")
        assert (board.sent[0], board.get(DATA)) == (expected, expected)


def test_thre_comes_back_when_the_byte_moves_to_the_shift_register_and_temt_when_it_is_out():
    board = Board()
    board.put(DATA, 1)
    assert board.get(LSR) == 0x20
    board.put(DATA, 2)
    assert board.get(LSR) == 0x00
    board.characters()
    assert board.get(LSR) == 0x20
    board.characters()
    assert board.get(LSR) == 0x60
    assert board.sent == b"\x01\x02"


def test_without_fifo_a_byte_written_too_early_replaces_the_one_that_waits():
    board = Board()
    for byte in b"abc":
        board.put(DATA, byte)
    board.characters(3)
    assert board.sent == b"ac"
    assert board.uart.lost == 1


def test_the_transmit_fifo_takes_sixteen_beside_the_one_in_flight_and_drops_more():
    board = Board(fifo=0x01)
    for byte in range(20):
        board.put(DATA, byte)
    assert board.get(LSR) == 0x00
    board.characters(20)
    assert board.sent == bytes(range(17))
    assert board.uart.lost == 3


def test_a_lossless_port_sends_what_was_written_too_early():
    for fifo in (0, 1):
        board = Board(fifo=fifo, lossless=True)
        for byte in b"hello, impatient world":
            board.put(DATA, byte)
        assert board.get(LSR) == 0
        board.characters(22)
        assert board.sent == b"hello, impatient world"
        assert board.get(LSR) == 0x60


def test_resetting_the_transmit_fifo_leaves_the_shift_register_alone():
    board = Board(fifo=0x01)
    for byte in b"abc":
        board.put(DATA, byte)
    board.put(FCR, 0x05)
    assert board.get(LSR) == 0x20
    board.characters(3)
    assert board.sent == b"a"


def test_nothing_reaches_the_host_while_the_guest_sends_a_break():
    board = Board()
    board.put(LCR, 0x43)
    assert board.uart.sending_break
    board.put(DATA, ord("x"))
    board.characters()
    assert board.sent == b""
    assert board.get(LSR) == 0x60


# Receiving.


def test_a_byte_from_the_host_takes_its_time_on_the_line():
    board = Board()
    board.uart.receive(b"hi")
    board.clock.advance(CHARACTER - 1)
    assert board.get(LSR) == 0x60
    board.clock.advance(1)
    assert board.get(LSR) == 0x61
    assert board.get(DATA) == ord("h")
    assert board.get(LSR) == 0x60


def test_the_buffer_keeps_the_last_byte_read():
    board = Board()
    board.receive_all(b"h")
    assert [board.get(DATA), board.get(DATA)] == [ord("h"), ord("h")]


@pytest.mark.parametrize(("fifo", "room"), [(0, 1), (1, 16)])
def test_the_host_holds_back_while_the_chip_is_full_and_nothing_is_armed(fifo, room):
    board = Board(fifo=fifo)
    text = bytes(range(40))
    board.receive_all(text)
    assert board.uart.unread == 40 - room
    assert board.clock.next_due == NEVER
    seen = bytearray()
    while board.get(LSR) & 1:
        seen.append(board.get(DATA))
        board.characters()
    assert seen == text
    assert not board.get(LSR) & 0x02


def test_without_flow_control_an_unread_buffer_is_overwritten():
    board = Board(flow_control=False)
    board.receive_all(b"abc")
    assert board.get(LSR) == 0x63
    assert board.get(LSR) == 0x61
    assert board.get(DATA) == ord("c")


def test_without_flow_control_a_full_fifo_loses_what_comes_after():
    board = Board(fifo=0x01, flow_control=False)
    board.receive_all(bytes(range(18)))
    assert board.get(LSR) == 0x63
    assert [board.get(DATA) for _ in range(16)] == list(range(16))
    assert board.get(LSR) == 0x60


def test_an_error_is_shown_when_its_character_is_next_and_cleared_by_reading_the_status():
    board = Board(fifo=0x01)
    board.receive_all(b"a")
    board.uart.receive(b"b", errors=0x04)
    board.uart.receive(b"c", errors=0x08)
    board.characters(2)
    assert board.get(LSR) == 0xE1  # b and c in the FIFO have errors, a on its top has none
    board.get(DATA)
    assert board.get(LSR) == 0xE5
    assert board.get(LSR) == 0xE1
    board.get(DATA)
    assert board.get(LSR) == 0xE9
    assert board.get(LSR) == 0x61


def test_without_fifo_bit_7_of_the_status_stays_zero():
    board = Board()
    board.uart.receive(b"b", errors=0x0C)
    board.characters()
    assert board.get(LSR) == 0x6D


@pytest.mark.parametrize(("control", "status"), [(0x03, 0x79), (0x0B, 0x7D), (0x1B, 0x79)])
def test_a_break_is_one_zero_byte_without_a_stop_bit(control, status):
    board = Board()
    board.put(LCR, control)
    board.uart.receive_break()
    board.characters(2)
    assert board.get(LSR) == status
    assert board.get(DATA) == 0
    assert board.get(LSR) == 0x60


def test_resetting_the_receive_fifo_empties_it_and_forgets_its_errors():
    board = Board(fifo=0x01, ier=0x05)
    board.uart.receive(b"ab", errors=0x04)
    board.characters(2)
    board.put(FCR, 0x03)
    assert board.get(LSR) == 0x60
    assert board.get(IIR) == 0xC1
    assert not board.irq.level


def test_switching_the_fifos_on_or_off_empties_both():
    for before, after in ((0x01, 0x00), (0x00, 0x01)):
        board = Board(fifo=before)
        board.receive_all(b"a")
        board.put(DATA, 1)
        board.put(DATA, 2)
        board.put(FCR, after)
        assert board.get(LSR) == 0x20
        board.characters(3)
        assert board.sent == b"\x01"


def test_fifo_bits_without_the_enable_bit_are_not_taken():
    board = Board(fifo=0xC1)
    board.receive_all(b"a")
    board.put(FCR, 0xC1)
    assert board.get(LSR) & 1
    board = Board()
    board.receive_all(b"a")
    board.put(FCR, 0x06)
    assert board.get(LSR) & 1
    assert board.get(IIR) == 0x01


# Interrupts.


def test_received_data_interrupts_until_it_is_read():
    board = Board(ier=0x01)
    board.receive_all(b"a")
    assert board.irq.level
    assert [board.get(IIR), board.get(IIR)] == [0x04, 0x04]
    board.get(DATA)
    assert not board.irq.level
    assert board.get(IIR) == 0x01


@pytest.mark.parametrize(("trigger", "level"), [(0x00, 1), (0x40, 4), (0x80, 8), (0xC0, 14)])
def test_the_fifo_interrupts_at_its_trigger_level(trigger, level):
    board = Board(fifo=0x01 | trigger, ier=0x01)
    board.receive_all(bytes(level - 1))
    assert not board.irq.level
    board.receive_all(b"x")
    assert board.get(IIR) == 0xC4
    board.get(DATA)
    assert board.get(IIR) == 0xC1
    assert not board.irq.level


def test_four_character_times_after_the_last_byte_the_fifo_times_out():
    board = Board(fifo=0x81, ier=0x01)
    board.receive_all(b"ab")
    board.clock.advance(4 * CHARACTER - 1)
    assert not board.irq.level
    board.clock.advance(1)
    assert board.irq.level
    assert board.get(IIR) == 0xCC
    board.get(DATA)
    assert not board.irq.level
    board.characters(4)
    assert board.get(IIR) == 0xCC  # one byte is left, and the time began anew with the read
    board.get(DATA)
    assert board.get(IIR) == 0xC1
    assert board.clock.next_due == NEVER


def test_each_byte_received_puts_the_time_out_off():
    board = Board(fifo=0x81, ier=0x01)
    for _ in range(5):
        board.receive_all(b"a")
        board.characters(2)
        assert not board.irq.level
    board.characters(2)
    assert board.irq.level


def test_a_time_out_that_has_come_outlasts_the_next_byte():
    board = Board(fifo=0x81, ier=0x01)
    board.receive_all(b"a")
    board.characters(4)
    board.receive_all(b"b")
    assert board.get(IIR) == 0xCC


def test_a_time_out_nobody_asked_for_arms_nothing_but_shows_when_enabled_later():
    board = Board(fifo=0x81)
    board.receive_all(b"a")
    assert board.clock.next_due == NEVER
    board.characters(10)
    board.put(IER, 0x01)
    assert board.get(IIR) == 0xCC


def test_a_faster_line_brings_the_time_out_forward():
    board = Board(fifo=0x81, ier=0x01)
    board.set_line(100, 0x03)
    board.uart.receive(b"a")
    board.characters(100)
    board.set_line(1, 0x03)
    board.receive_all(b"b")
    board.characters(4)
    assert board.irq.level


def test_without_fifo_there_is_no_time_out():
    board = Board(ier=0x01)
    board.receive_all(b"a")
    board.characters(10)
    assert board.get(IIR) == 0x04


def test_enabling_the_transmitter_interrupt_while_empty_interrupts_at_once():
    board = Board(ier=0x02)
    assert board.irq.level
    assert board.get(IIR) == 0x02
    assert not board.irq.level
    assert board.get(IIR) == 0x01


def test_reading_the_iir_answers_the_transmitter_only_when_it_is_the_source():
    board = Board(ier=0x03)
    board.receive_all(b"a")
    assert board.get(IIR) == 0x04
    board.get(DATA)
    assert board.get(IIR) == 0x02
    assert board.get(IIR) == 0x01


def test_writing_data_answers_the_transmitter_and_its_emptying_asks_again():
    board = Board(ier=0x02)
    board.get(IIR)
    before = board.edges
    board.put(DATA, 1)  # straight into the shift register
    assert board.edges == before + 1
    board.put(DATA, 2)
    assert not board.irq.level
    board.characters()
    assert board.irq.level
    assert board.edges == before + 2


def test_the_transmit_fifo_interrupts_when_it_has_run_empty():
    board = Board(fifo=0x01, ier=0x02)
    board.get(IIR)
    for byte in range(5):
        board.put(DATA, byte)
    assert not board.irq.level
    board.clock.advance(4 * CHARACTER - 1)
    assert not board.irq.level
    board.clock.advance(1)
    assert board.get(IIR) == 0xC2


def test_turning_the_transmitter_interrupt_off_and_on_asks_again():
    board = Board(ier=0x02)
    board.get(IIR)
    board.put(IER, 0x02)
    assert not board.irq.level
    board.put(IER, 0x00)
    board.put(IER, 0x02)
    assert board.irq.level


def test_sources_are_reported_by_priority():
    board = Board(ier=0x0F)
    board.uart.set_modem(cts=False)
    board.uart.receive(b"a", errors=0x08)
    board.characters()
    assert board.get(IIR) == 0x06
    assert board.get(LSR) == 0x69
    assert board.get(IIR) == 0x04
    board.get(DATA)
    assert board.get(IIR) == 0x02
    assert board.get(IIR) == 0x00
    assert board.get(MSR) == 0xA1
    assert board.get(IIR) == 0x01
    assert not board.irq.level


def test_out2_gates_the_line_but_not_the_iir():
    board = Board(ier=0x01)
    board.put(MCR, 0x03)
    board.receive_all(b"a")
    assert (board.irq.level, board.get(IIR)) == (False, 0x04)
    board.put(MCR, 0x0B)
    assert board.irq.level


# Modem lines and loopback.


def test_a_connected_host_holds_cts_dsr_and_dcd_on():
    assert Board().get(MSR) == 0xB0


@pytest.mark.parametrize(("line", "bit"), [("cts", 0), ("dsr", 1), ("dcd", 3)])
def test_a_modem_line_reports_each_change_once(line, bit):
    board = Board(ier=0x08)
    for level in (False, True):
        board.uart.set_modem(**{line: level})
        assert board.irq.level
        status = board.get(MSR)
        assert status & 0x0F == 1 << bit
        assert bool(status & 0x10 << bit) == level
        assert board.get(MSR) & 0x0F == 0
        assert not board.irq.level


def test_the_ring_indicator_reports_only_its_end():
    board = Board(ier=0x08)
    board.uart.set_modem(ri=True)
    assert (board.irq.level, board.get(MSR)) == (False, 0xF0)
    board.uart.set_modem(ri=False)
    assert (board.irq.level, board.get(MSR)) == (True, 0xB4)


def test_the_host_sees_dtr_and_rts():
    board = Board()
    board.put(MCR, 0x01)
    assert (board.uart.dtr, board.uart.rts) == (True, False)
    board.put(MCR, 0x12)
    assert (board.uart.dtr, board.uart.rts) == (False, False)


@pytest.mark.parametrize(("control", "status"), [(0x10, 0x00), (0x11, 0x20), (0x12, 0x10), (0x14, 0x40), (0x18, 0x80)])
def test_loopback_leads_the_modem_outputs_to_the_inputs(control, status):
    board = Board()
    board.put(MCR, control)
    assert board.get(MSR) & 0xF0 == status


def test_loopback_reports_changes_of_the_modem_outputs():
    board = Board()
    board.put(MCR, 0x1F)
    board.get(MSR)
    board.put(MCR, 0x10)
    assert board.get(MSR) == 0x0F
    board.uart.set_modem(cts=False)
    assert board.get(MSR) == 0x00
    board.put(MCR, 0x00)
    assert board.get(MSR) == 0xAA  # CTS was off inside and outside


def test_loopback_leads_sent_bytes_back_and_nothing_to_the_host():
    board = Board()
    board.put(MCR, 0x1E)
    board.put(DATA, 0xAE)
    assert not board.get(LSR) & 1
    board.characters()
    assert board.get(DATA) == 0xAE
    assert board.sent == b""


def test_loopback_overruns_although_the_host_would_hold_back():
    board = Board()
    board.put(MCR, 0x10)
    for byte in b"ab":
        board.put(DATA, byte)
    board.characters(2)
    assert board.get(LSR) == 0x63
    assert board.get(DATA) == ord("b")


def test_loopback_hides_out2_so_that_the_line_is_cut_until_it_ends():
    board = Board(ier=0x01)
    board.put(MCR, 0x1B)
    board.put(DATA, 1)
    board.characters()
    assert (board.irq.level, board.get(IIR)) == (False, 0x04)
    board.put(MCR, 0x0B)
    assert board.irq.level


def test_the_host_waits_while_the_chip_talks_to_itself():
    board = Board()
    board.uart.receive(b"host")
    board.characters(0.5)
    board.put(MCR, 0x10)
    board.characters(5)
    assert (board.get(LSR), board.uart.unread) == (0x60, 4)
    board.put(MCR, 0x00)
    board.characters()
    assert board.get(DATA) == ord("h")


def test_without_flow_control_what_comes_during_loopback_is_lost():
    board = Board(flow_control=False)
    board.put(MCR, 0x10)
    board.receive_all(b"host")
    assert (board.get(LSR), board.uart.unread) == (0x60, 0)


# Reset, snapshots, load.


def test_reset_silences_the_chip_and_keeps_what_the_host_has_not_sent():
    board = Board(fifo=0x01, ier=0x0F)
    board.uart.receive(b"abcd")
    board.characters(1.5)
    board.put(DATA, 1)
    board.put(DATA, 2)
    board.uart.reset()
    assert not board.irq.level
    assert board.uart.unread == 3
    assert [board.get(offset) for offset in range(1, 7)] == [0, 0x01, 0, 0, 0x60, 0xB0]
    board.characters(2)
    assert board.sent == b""
    assert board.get(DATA) == ord("b") & 0x1F


def busy_board() -> Board:
    board = Board(fifo=0x81, ier=0x0F)
    board.uart.receive(bytes(range(30)))
    board.uart.receive_break()
    board.uart.receive(b"bad", errors=0x0C)
    board.uart.set_modem(ri=True, dcd=False)
    for byte in b"outgoing":
        board.put(DATA, byte)
    board.put(SCRATCH, 0x77)
    board.characters(5.25)
    return board


def copy_of(board: Board) -> Board:
    copy = Board()
    copy.clock.advance(123_456)
    copy.clock.reset_to(board.clock.now)
    copy.uart.restore(board.uart.state())
    return copy


def test_a_port_saved_in_the_middle_goes_on_the_same():
    board = busy_board()
    copy = copy_of(board)
    copy.sent[:] = board.sent
    assert copy.uart.state() == board.uart.state()
    assert (copy.irq.level, copy.clock.next_due) == (board.irq.level, board.clock.next_due)
    for step in range(120):
        offset = (IIR, DATA, LSR, MSR, DATA)[step % 5]
        assert copy.get(offset) == board.get(offset)
        board.characters(0.4)
        copy.characters(0.4)
        assert copy.uart.state() == board.uart.state()
        assert copy.irq.level == board.irq.level
    assert copy.sent == board.sent == b"outgoing"


def test_a_restored_time_out_comes_when_it_was_due():
    board = Board(fifo=0x81, ier=0x01)
    board.receive_all(b"a")
    board.characters(3)
    copy = copy_of(board)
    copy.clock.advance(CHARACTER - 1)
    assert not copy.irq.level
    copy.clock.advance(1)
    assert copy.irq.level


def test_restoring_into_a_busy_port_leaves_nothing_of_its_own():
    idle, busy = Board(), busy_board()
    idle.clock.advance_to(busy.clock.now)
    busy.uart.restore(idle.uart.state())
    assert busy.uart.state() == idle.uart.state()
    assert not busy.irq.level
    assert busy.clock.next_due == NEVER


def test_the_state_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Board().uart.state().scratch = 1  # type: ignore[misc]


def test_a_long_silence_costs_nothing():
    board = busy_board()
    board.clock.advance(SOME_YEARS)
    assert board.clock.next_due == NEVER


def test_a_guest_that_writes_100_kb_is_served_in_well_under_two_seconds():
    board = Board(fifo=0x01, ier=0x00)
    write, read, advance = board.uart.write, board.uart.read, board.clock.advance
    begin = time.process_time()
    for _ in range(100_000):
        while not read(LSR, 1) & 0x20:
            advance(CHARACTER)
        write(DATA, 1, 0x55)
    assert time.process_time() - begin < 2
    assert len(board.sent) > 99_000


STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 7), st.integers(0, 0xFF)),
    st.tuples(st.just("write"), st.integers(0, 5), st.integers(0, 0xFF)),
    st.tuples(st.just("read"), st.integers(0, 7), st.just(0)),
    st.tuples(st.just("wide"), st.integers(0, 9), st.integers(0, 0xFFFFFFFF)),
    st.tuples(st.just("advance"), st.integers(0, 1_000_000), st.just(0)),
    st.tuples(st.just("receive"), st.integers(0, 40), st.integers(0, 0xFF)),
    st.tuples(st.just("break"), st.just(0), st.just(0)),
    st.tuples(st.just("modem"), st.integers(0, 15), st.just(0)),
)


@given(st.lists(STEP, max_size=60), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_whatever_a_guest_does_it_reads_bytes_and_a_restored_copy_agrees(steps, flow_control, lossless):
    board = Board(fifo=0x01, flow_control=flow_control, lossless=lossless)
    board.set_line(1, 0x03)
    for number, (kind, first, second) in enumerate(steps):
        match kind:
            case "write":
                board.put(first, second)
            case "read":
                assert 0 <= board.get(first) <= 0xFF
            case "wide":
                board.uart.write(first, 4, second)
                assert 0 <= board.uart.read(first, 2) <= 0xFFFF
            case "advance":
                board.clock.advance(first)
            case "receive":
                board.uart.receive(bytes(first), errors=second)
            case "break":
                board.uart.receive_break()
            case "modem":
                cts, dsr, ri, dcd = (bool(first >> bit & 1) for bit in range(4))
                board.uart.set_modem(cts=cts, dsr=dsr, ri=ri, dcd=dcd)
        state = board.uart.state()
        assert lossless or len(state.transmit_fifo) <= 16
        assert len(state.receive_fifo) <= 16
        if number % 10 == 9:
            level = board.irq.level
            board.clock.reset_to(board.clock.now)
            board.uart.restore(state)
            assert (board.uart.state(), board.irq.level) == (state, level)
            pending = not board.get(IIR) & 1
            assert level == (pending and board.get(MCR) & 0x18 == 0x08)
