"""The configuration space of a PCI function (PCI Local Bus Specification 2.1, chapter 6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.pci import ROM_INDEX, Bar, ConfigSpace, ConfigState, header
from minivm.core.register_file import MaskedRegister

IDENTITY = header(vendor=0x8086, device=0x7010, class_code=0x010180, revision=0x42, subsystem_vendor=0x1AF4,
                  subsystem=0x1100, interrupt_pin=1)  # fmt: skip
COMMAND = MaskedRegister(0x04, 2, writable=0x0007)
STATUS = MaskedRegister(0x06, 2, 0x0280, clear=0xF900)
IO, MEMORY, ROM = Bar(4, 16, io=True), Bar(0, 1 << 20, prefetchable=True), Bar(ROM_INDEX, 64 << 10)


class Moves(list):
    """What `on_move` was told."""

    def __call__(self, index, base):
        self.append((index, base))

    def told(self):
        seen = list(self)
        self.clear()
        return seen


@pytest.fixture
def moves():
    return Moves()


@pytest.fixture
def space(moves):
    return ConfigSpace((*IDENTITY, COMMAND, STATUS), bars=(IO, MEMORY, ROM), on_move=moves)


def test_the_identity_reads_as_the_header_lays_it_out(space):
    assert space.read(0x00, 4) == 0x7010_8086
    assert space.read(0x08, 4) == 0x0101_8042
    assert space.read(0x2C, 4) == 0x1100_1AF4
    assert space.read(0x3D, 1) == 1
    assert space.read(0x0B, 1) == 0x01


def test_what_is_read_only_or_not_there_keeps_its_value(space):
    before = bytes(space.read(at, 1) for at in range(256))
    for at in (0x00, 0x02, 0x08, 0x0E, 0x28, 0x2C, 0x34, 0x3D, 0x40, 0xFC):
        space.write(at, 2, 0x5A5A)
    assert bytes(space.read(at, 1) for at in range(256)) == before


def test_a_written_one_clears_a_status_bit_and_a_zero_leaves_it(space):
    space.put(0x06, 2, 0xFA80)
    space.write(0x06, 2, 0x2000)
    assert space.read(0x06, 2) == 0xDA80
    space.write(0x04, 4, 0xFFFF_0005)
    assert space.read(0x04, 4) == 0x0280_0005


@pytest.mark.parametrize(("bar", "seen"), [(IO, 0xFFFF_FFF1), (MEMORY, 0xFFF0_0008), (ROM, 0xFFFF_0001)])
def test_all_ones_written_show_the_size_of_a_window(space, moves, bar, seen):
    space.write(0x04, 2, 0x0003)
    space.write(bar.offset, 4, 0xFFFF_FFFF)
    assert space.read(bar.offset, 4) == seen
    assert moves.told() == []


def test_a_window_answers_only_while_its_kind_of_decoding_is_on(space, moves):
    space.write(0x20, 4, 0xC000)
    assert moves.told() == []
    space.write(0x04, 2, 0x0002)
    assert moves.told() == []
    space.write(0x04, 2, 0x0001)
    assert moves.told() == [(4, 0xC000)]
    assert space.window(4) == 0xC000
    space.write(0x04, 2, 0x0000)
    assert moves.told() == [(4, None)]


def test_a_window_that_moves_goes_before_it_comes_again(space, moves):
    space.write(0x04, 1, 0x02)
    space.write(0x10, 4, 0xE000_0000)
    moves.told()
    space.write(0x12, 2, 0xD000)
    assert moves.told() == [(0, None), (0, 0xD000_0000)]
    space.write(0x12, 2, 0xD000)
    assert moves.told() == []


@pytest.mark.parametrize("value", [0, 0xFFFF_FFFF, 0xFFF0_0000])
def test_memory_at_zero_or_at_the_very_end_is_nowhere(space, moves, value):
    space.write(0x04, 1, 0x02)
    space.write(0x10, 4, value)
    assert moves.told() == []


@pytest.mark.parametrize("value", [0, 0xFFF1, 0x1_0000, 0xFFFF_FFFF])
def test_ports_at_zero_at_the_end_or_beyond_it_are_nowhere(space, moves, value):
    space.write(0x04, 1, 0x01)
    space.write(0x20, 4, value)
    assert moves.told() == []


def test_the_rom_needs_its_own_enable_bit_as_well(space, moves):
    space.write(0x04, 1, 0x02)
    space.write(0x30, 4, 0xFEB0_0000)
    assert moves.told() == []
    space.write(0x30, 4, 0xFEB0_0001)
    assert moves.told() == [(ROM_INDEX, 0xFEB0_0000)]


def test_reset_takes_every_window_away(space, moves):
    space.write(0x04, 1, 0x03)
    space.write(0x20, 4, 0xC000)
    moves.told()
    space.reset()
    assert moves.told() == [(4, None)]
    assert space.read(0x20, 4) == 1


def test_a_restored_space_tells_where_its_windows_are(space, moves):
    space.write(0x04, 1, 0x03)
    space.write(0x20, 4, 0xC000)
    space.write(0x10, 4, 0xE000_0000)
    state = space.state()
    moves.told()
    twin_moves = Moves()
    twin = ConfigSpace((*IDENTITY, COMMAND, STATUS), bars=(IO, MEMORY, ROM), on_move=twin_moves)
    twin.restore(state)
    assert twin_moves.told() == [(4, 0xC000), (0, 0xE000_0000)]
    assert twin.state() == state
    space.restore(state)
    assert moves.told() == []


def test_a_state_of_the_wrong_length_makes_no_space_of_another_size(space):
    space.restore(ConfigState(b"\x86\x80"))
    assert space.read(0x00, 4) == 0x0000_8086
    assert space.read(0xFF, 1) == 0


def test_the_chip_hears_of_each_write():
    heard = []
    space = ConfigSpace((MaskedRegister(0x40, 1, writable=0xFF),), on_write=lambda: heard.append(space.get(0x40)))
    space.write(0x40, 1, 0x12)
    space.reset()
    assert heard == [0x12, 0]


ACCESSES = st.lists(
    st.tuples(st.integers(0, 255), st.sampled_from((1, 2, 4)), st.integers(0, 0xFFFF_FFFF)), max_size=30
)
REGISTERS = st.lists(
    st.tuples(st.integers(0x40, 0x7F), *[st.integers(0, 255)] * 3),
    max_size=8, unique_by=lambda register: register[0],
)  # fmt: skip


@given(REGISTERS, ACCESSES)
def test_any_writes_agree_with_a_model_of_the_masks(registers, accesses):
    space = ConfigSpace([MaskedRegister(at, 1, *rest) for at, *rest in registers])
    model = {at: rest for at, *rest in registers}
    values = {at: rest[0] for at, rest in model.items()}
    for at, size, value in accesses:
        space.write(at, size, value)
        for place in range(size):
            byte = value >> 8 * place & 0xFF
            if at + place in model:
                _, writable, clear = model[at + place]
                old = values[at + place]
                values[at + place] = sum(
                    (byte if writable & bit else old & ~(byte & clear)) & bit for bit in (1 << n for n in range(8))
                )
    assert {at: space.read(at, 1) for at in range(256)} == {at: values.get(at, 0) for at in range(256)}


@given(ACCESSES)
def test_a_window_is_always_aligned_inside_its_space_and_told_once(accesses):
    where = {}

    def on_move(index, base):
        assert where.get(index) != base
        where[index] = base

    bars = (IO, MEMORY, ROM)
    space = ConfigSpace((*IDENTITY, COMMAND, STATUS), bars=bars, on_move=on_move)
    for at, size, value in [*accesses, (0x04, 1, 0x03), *accesses]:
        space.write(at, size, value)
        assert space.read(at, size) < 1 << 8 * size
        for bar in bars:
            base = space.window(bar.index)
            assert where.get(bar.index) == base
            assert base is None or (base % bar.size == 0 and 0 < base < (1 << 16 if bar.io else 1 << 32) - bar.size)
