"""The 8237A pair against its datasheet (Intel 231466) and the AT's wiring of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.describe import Access, sentence
from minivm.core.plain import from_plain, to_plain
from minivm.devices.dma import DmaPair, DmaPairState
from minivm.devices.registers import dma as dma_words

CASCADE, UNMASK, MASK = 0xC0, 0x00, 0x04
WRITE, READ, VERIFY, DEMAND, SINGLE, BLOCK = 0x04, 0x08, 0x00, 0x00, 0x40, 0x80
AUTOINITIALIZE, DECREMENT = 0x10, 0x20
PAGE_PORTS = {0: 0x87, 1: 0x83, 2: 0x81, 3: 0x82, 5: 0x8B, 6: 0x89, 7: 0x8A}


class Ram:
    """16 MiB of DMA memory that is made where it is touched; what nobody wrote reads as 00h."""

    def __init__(self):
        self.bytes = {}

    def read(self, address, length):
        return bytes(self.bytes.get(address + place, 0) for place in range(length))

    def write(self, address, data):
        self.bytes.update(enumerate(data, address))


class Board:
    """The pair and its memory, with the ports where an AT has them."""

    def __init__(self):
        self.ram = Ram()
        self.pair = DmaPair(self.ram)

    def _place(self, port):
        if port < 0x10:
            return self.pair.byte_controller, port
        return (self.pair.word_controller, port - 0xC0) if port >= 0xC0 else (self.pair.pages, port - 0x81)

    def out(self, port, *values):
        chip, offset = self._place(port)
        for value in values:
            chip.write(offset, 1, value)

    def read(self, port):
        chip, offset = self._place(port)
        return chip.read(offset, 1)

    def word(self, port):
        return self.read(port) | self.read(port) << 8

    def cascade(self):
        self.out(0xD6, CASCADE)
        self.out(0xD4, UNMASK)

    def register(self, channel, which):
        return channel * 2 + which if channel < 4 else 0xC0 + 4 * (channel - 4) + 2 * which

    def program(self, channel, address, count, mode):
        """Program a channel for `count` transfers; `address` is what the register gets, with the page above it."""
        self.cascade()
        high = channel > 3
        self.out(0xD8 if high else 0x0C, 0)
        self.out(0xD6 if high else 0x0B, mode | channel & 3)
        for which, value in ((0, address), (1, count - 1)):
            self.out(self.register(channel, which), value & 0xFF, value >> 8 & 0xFF)
        self.out(PAGE_PORTS[channel], address >> 16)
        self.out(0xD4 if high else 0x0A, channel & 3)
        return self.pair.channel(channel)


def test_a_write_transfer_puts_bytes_at_the_page_and_address():
    board = Board()
    channel = board.program(2, 0x123456, 8, SINGLE | WRITE)
    assert channel.ready
    assert channel.to_memory(b"abcde") == (5, False)
    assert channel.to_memory(b"fghij") == (3, True)
    assert board.ram.read(0x123456, 9) == b"abcdefgh\0"


def test_a_read_transfer_takes_bytes_from_memory():
    board = Board()
    board.ram.write(0x020000, b"0123456789")
    channel = board.program(1, 0x020000, 10, SINGLE | READ)
    assert channel.from_memory(4) == (b"0123", False)
    assert channel.from_memory(100) == (b"456789", True)
    assert channel.from_memory(1) == (b"", False)


def test_after_the_terminal_count_the_channel_is_masked_and_its_status_bit_set_until_read():
    board = Board()
    channel = board.program(3, 0, 1, SINGLE | WRITE)
    channel.set(True)
    assert channel.to_memory(b"x") == (1, True)
    assert not channel.ready
    assert board.read(0x0F) == 0x0F
    assert board.read(0x08) == 0x88
    assert board.read(0x08) == 0x80
    channel.set(False)
    assert board.read(0x08) == 0x00


def test_an_autoinitialized_channel_starts_again_and_stays_unmasked():
    board = Board()
    channel = board.program(1, 0x3000, 2, SINGLE | WRITE | AUTOINITIALIZE)
    assert channel.to_memory(b"abc") == (2, True)
    assert channel.to_memory(b"c") == (1, False)
    assert board.ram.read(0x3000, 2) == b"cb"
    board.out(0x0C, 0)
    assert (board.word(2), board.word(3)) == (0x3001, 0)


def test_the_counters_show_how_far_it_went_through_the_flip_flop():
    board = Board()
    channel = board.program(2, 0x12FF, 0x200, SINGLE | WRITE)
    channel.to_memory(b"xyz")
    board.out(0x0C, 0)
    assert (board.word(4), board.word(5)) == (0x1302, 0x1FC)
    board.read(4)
    board.out(0x0C, 0)
    assert board.read(4) == 0x02


def test_the_count_is_ffff_after_the_terminal_count():
    board = Board()
    board.program(2, 0x1000, 4, SINGLE | WRITE).to_memory(b"wxyz")
    board.out(0x0C, 0)
    assert (board.word(4), board.word(5)) == (0x1004, 0xFFFF)


def test_an_address_goes_round_within_its_page():
    board = Board()
    board.program(0, 0x05FFFE, 4, SINGLE | WRITE).to_memory(b"abcd")
    assert board.ram.read(0x5FFFE, 2) == b"ab"
    assert board.ram.read(0x50000, 2) == b"cd"


def test_a_decrementing_channel_goes_down_and_round():
    board = Board()
    board.program(0, 0x050001, 4, SINGLE | WRITE | DECREMENT).to_memory(b"abcd")
    assert board.ram.read(0x50000, 2) == b"ba"
    assert board.ram.read(0x5FFFE, 2) == b"dc"
    assert board.program(0, 0x050001, 4, SINGLE | READ | DECREMENT).from_memory(4) == (b"abcd", True)


def test_a_word_channel_counts_words_and_ignores_bit_0_of_its_page():
    board = Board()
    channel = board.program(5, 0x038001, 3, SINGLE | WRITE)
    assert channel.to_memory(b"aAbBcCdD") == (6, True)
    assert board.ram.read(0x030002, 6) == b"aAbBcC"
    assert not board.ram.read(0x020002, 2).strip(b"\0")


def test_a_decrementing_word_channel_keeps_the_bytes_of_a_word_in_order():
    board = Board()
    board.program(6, 0x000001, 3, SINGLE | WRITE | DECREMENT).to_memory(b"aAbBcC")
    assert board.ram.read(0, 4) == b"bBaA"
    assert board.ram.read(0x1FFFE, 2) == b"cC"


def test_verify_counts_and_moves_nothing():
    board = Board()
    assert board.program(2, 0x1000, 2, SINGLE | VERIFY).to_memory(b"ab") == (2, True)
    assert board.ram.bytes == {}


def test_a_device_that_reads_through_a_channel_of_the_other_direction_finds_the_floating_bus():
    board = Board()
    assert board.program(2, 0x1000, 2, SINGLE | WRITE).from_memory(3) == (b"\xff\xff", True)
    assert board.program(2, 0x1000, 2, SINGLE | READ).to_memory(b"ab") == (2, True)
    assert board.ram.bytes == {}


def test_a_byte_channel_needs_channel_4_in_cascade_mode_and_unmasked():
    board = Board()
    channel = board.program(2, 0x1000, 2, SINGLE | WRITE)
    board.out(0xD4, MASK)
    assert not channel.ready
    assert channel.to_memory(b"ab") == (0, False)
    board.out(0xD4, UNMASK)
    assert channel.ready
    board.out(0xD6, SINGLE | READ)
    assert not channel.ready


def test_a_disabled_controller_serves_nobody_and_the_word_controller_holds_back_both():
    board = Board()
    low, high = board.program(2, 0, 2, SINGLE | WRITE), board.program(6, 0, 2, SINGLE | WRITE)
    board.out(0x08, 0x04)
    assert (low.ready, high.ready) == (False, True)
    board.out(0x08, 0x00)
    board.out(0xD0, 0x04)
    assert (low.ready, high.ready) == (False, False)


def test_a_waiting_device_is_woken_by_the_mask_the_command_and_the_cascade():
    for close, unlock in (
        ((0x0A, MASK | 2), (0x0A, UNMASK | 2)),
        ((0x0F, 0x0F), (0x0E, 0)),
        ((0x08, 0x04), (0x08, 0)),
        ((0xD4, MASK), (0xD4, UNMASK)),
    ):
        board, woken = Board(), []
        channel = board.program(2, 0, 2, SINGLE | WRITE)
        channel.connect(lambda woken=woken: woken.append(1))
        board.out(*close)
        channel.set(True)
        assert woken == []
        board.out(*unlock)
        assert woken == [1]


def test_a_device_without_a_request_is_not_woken():
    board, woken = Board(), []
    board.program(2, 0, 2, SINGLE | WRITE).connect(lambda: woken.append(1))
    board.out(0x0E, 0)
    assert woken == []


def test_the_cascade_channel_shows_the_request_of_the_byte_controller():
    board = Board()
    channel = board.program(2, 0, 2, SINGLE | WRITE)
    channel.set(True)
    assert board.read(0xD0) == 0x10
    board.out(0x0A, MASK | 2)
    assert board.read(0xD0) == 0x00
    assert board.read(0x08) == 0x40


def test_master_clear_masks_everything_and_keeps_addresses_counts_and_modes():
    board = Board()
    channel = board.program(2, 0x1234, 6, SINGLE | WRITE)
    board.out(0x04, 0x99)
    board.out(0x0D, 0)
    assert board.read(0x0F) == 0x0F
    assert board.word(5) == 5
    assert board.word(4) == 0x1299
    board.out(0x0A, 2)
    assert channel.to_memory(b"x") == (1, False)


def test_a_software_request_runs_to_the_terminal_count_over_the_floating_bus():
    board = Board()
    board.program(1, 0x4000, 4, BLOCK | WRITE)
    board.out(0x09, 0x05)
    assert board.ram.read(0x4000, 5) == b"\xff\xff\xff\xff\0"
    assert board.read(0x08) == 0x02


def test_a_software_request_ignores_the_mask_and_waits_for_the_controller():
    board = Board()
    board.program(1, 0x4000, 4, BLOCK | WRITE)
    board.out(0x0F, 0x0F)
    board.out(0x08, 0x04)
    board.out(0x09, 0x05)
    assert board.read(0x08) == 0x20
    board.out(0x08, 0x00)
    assert board.read(0x08) == 0x02


def test_the_word_controller_answers_at_two_ports_each_and_pages_only_store():
    board = Board()
    board.out(0xD9, 0)
    board.out(0xC4, 0x34)
    board.out(0xC5, 0x12)
    assert board.word(0xC4) == 0x1234
    for number in range(15):
        board.out(0x81 + number, number * 3)
    assert [board.read(0x81 + number) for number in range(15)] == [number * 3 for number in range(15)]


def test_reset_masks_all_and_clears_every_register():
    board = Board()
    board.program(2, 0x1234, 6, SINGLE | WRITE)
    board.pair.reset()
    assert board.pair.state() == Board().pair.state()


def test_a_restored_pair_goes_on_where_the_other_was():
    board, other = Board(), Board()
    channel = board.program(2, 0x1FFFF, 600, SINGLE | WRITE | DECREMENT)
    channel.set(True)
    channel.to_memory(b"half of it")
    board.out(0x0C, 0)
    board.read(4)
    other.pair.restore(from_plain(DmaPairState, to_plain(board.pair.state())))
    assert other.pair.state() == board.pair.state()
    assert other.read(4) == board.read(4)
    assert other.pair.channel(2).to_memory(b"rest") == (4, False)


class ByteWise:
    """A channel that moves one unit at a time, as the datasheet tells it."""

    def __init__(self, page, address, count, mode, unit):
        self.page, self.unit, self.mode = page & (0xFF if unit == 1 else 0xFE), unit, mode
        self.base = self.now = (address, count)
        self.masked = False

    def write(self, ram, data):
        moved = 0
        while moved + self.unit <= len(data) and not self.masked:
            address, count = self.now
            if self.mode & 0x0C == WRITE:
                ram.write((self.page << 16) + address * self.unit, data[moved : moved + self.unit])
            moved += self.unit
            self.now = (address + (-1 if self.mode & DECREMENT else 1)) & 0xFFFF, (count - 1) & 0xFFFF
            if count == 0:
                if self.mode & AUTOINITIALIZE:
                    self.now = self.base
                self.masked = not self.mode & AUTOINITIALIZE
                return moved, True
        return moved, False


@settings(max_examples=60, deadline=None)
@given(
    channel=st.sampled_from((0, 1, 2, 3, 5, 6, 7)),
    page=st.integers(0, 255),
    address=st.sampled_from((0, 1, 7, 0x8000, 0xFFF0, 0xFFFE, 0xFFFF)),
    count=st.integers(1, 40),
    mode=st.tuples(
        st.sampled_from((WRITE, READ, VERIFY)), st.sampled_from((0, AUTOINITIALIZE)), st.sampled_from((0, DECREMENT))
    ),
    blocks=st.lists(st.binary(max_size=30), max_size=6),
)
def test_blocks_move_as_units_one_by_one_would(channel, page, address, count, mode, blocks):
    board, ram = Board(), Ram()
    unit = 1 if channel < 4 else 2
    model = ByteWise(page, address, count - 1, sum(mode), unit)
    end = board.program(channel, page << 16 | address, count, SINGLE | sum(mode))
    for block in blocks:
        assert end.to_memory(block) == model.write(ram, block)
    assert board.ram.bytes == ram.bytes
    board.out(0xD8 if channel > 3 else 0x0C, 0)
    assert (board.word(board.register(channel, 0)), board.word(board.register(channel, 1))) == model.now


def test_registers_are_explained_for_bytes_and_words():
    board = Board()
    board.program(6, 0x012345, 256, BLOCK | READ | DECREMENT)
    words = dma_words.describe("the word controller", first=4)
    state = board.pair.state().word_controller
    mode = words.find(Access(0x16, True, 0xAA), state)
    assert sentence(mode, 0xAA, state) == (
        "block mode, address decrements, masked at the terminal count, read: from memory to the device, channel 6"
    )
    assert sentence(words.find(Access(0x1E, True, 5), state), 5, state) == "masked: 4 and 6"
    assert words.facts(state, 0)[2] == (
        "Channel 6: block mode, read: from memory to the device, address 2345h, 256 transfers to go, unmasked."
    )
    page = dma_words.describe_pages("pages").find(Access(0, True, 0x12))
    assert (page.title, sentence(page, 0x12)) == ("page of channel 2", "page of channel 2: 120000h")


PORTS = (*range(0x10), *range(0xC0, 0xE0), *range(0x81, 0x90))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PORTS), st.one_of(st.none(), st.integers(0, 255))), max_size=60))
def test_any_accesses_leave_a_state_that_restores_and_values_of_one_byte(accesses):
    board = Board()
    board.ram.write = lambda address, data: None  # software requests may move 128 KiB each
    for port, value in accesses:
        if value is None:
            assert 0 <= board.read(port) <= 0xFF
        else:
            board.out(port, value)
        board.pair.channel(2).set(bool((value or 0) & 1))
        board.pair.channel(2).to_memory(b"ab")
    other = Board()
    other.pair.restore(board.pair.state())
    assert other.pair.state() == board.pair.state()
