"""What answers at an address may change while the guest runs: cards' memory, RAM under ROM, windows that move."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.bus import Bus
from minivm.core.dma import SystemMemory
from minivm.core.memory import KIB, MIB, AddressSpace, Memory, Region
from minivm.core.shadow_ram import ShadowRam

CARD_BYTES = MIB
ROM = 0xF0000


@pytest.fixture
def space() -> Iterator[AddressSpace]:
    memory = Memory(2 * MIB, CARD_BYTES)
    regions = [Region(0, 0xA0000, True), Region(ROM, 64 * KIB, False), Region(MIB, MIB, True)]
    memory.write(ROM, b"ROM!" * (16 * KIB))
    yield AddressSpace(memory, Bus("memory", 1 << 32), regions)
    memory.close()


def test_a_card_s_memory_answers_where_it_is_shown_and_keeps_its_bytes_when_it_moves(space: AddressSpace) -> None:
    place = space.memory.size
    for base in (0xE000_0000, 0x9000_0000):
        window = Region(base, 64 * KIB, True, place - base)
        space.show_behind(window)
        if base == 0x9000_0000:
            assert space.load(base + 4, 4) == 0x11223344
        space.store(base + 4, 4, 0x11223344)
        assert bytes(space.memory.view[place + 4 : place + 8]) == b"\x44\x33\x22\x11"
        space.withdraw(window)
        assert space.load(base + 4, 4) == 0xFFFF_FFFF


def test_a_window_over_ram_and_rom_is_seen_only_beside_them(space: AddressSpace) -> None:
    window = Region(0, 2 * MIB + 64 * KIB, True, space.memory.size)
    before = space.load_bytes(0x1000, 16), space.load_bytes(ROM, 16)
    space.show_behind(window)
    space.store(0xB8000, 1, 0x5A)
    assert (space.load_bytes(0x1000, 16), space.load_bytes(ROM, 16)) == before
    assert space.memory.view[space.memory.size + 0xB8000] == 0x5A
    space.withdraw(window)
    assert space.load(0xB8000, 1) == 0xFF
    assert space.load_bytes(0x1000, 16) == before[0]


def test_who_follows_the_map_hears_of_changes_alone(space: AddressSpace) -> None:
    heard: list[tuple[int, int]] = []
    space.map_listeners.append(lambda start, end: heard.append((start, end)))
    space.show(Region(0xB8000, 32 * KIB, True))
    space.show(Region(0xB8000, 32 * KIB, True))
    space.hide(0xB8000, 32 * KIB)
    space.hide(0xB8000, 32 * KIB)
    assert heard == [(0xB8000, 0xC0000), (0xB8000, 0xC0000)]


def test_a_copy_of_memory_has_the_cards_bytes(space: AddressSpace) -> None:
    memory = space.memory
    memory.view[memory.size + 12345] = 77
    child = memory.fork()
    assert (child.size, child.total, child.view[memory.size + 12345]) == (memory.size, memory.total, 77)
    assert (memory.size + 12345) // 4096 in memory.used()
    child.close()


def test_the_bus_master_sees_ram_and_nothing_else(space: AddressSpace) -> None:
    dma = SystemMemory(space)
    space.a20_mask = ~(1 << 20)  # the gate is the CPU's
    dma.write(2 * MIB - 4, b"abcdefgh")
    assert dma.read(2 * MIB - 4, 8) == b"abcd" + b"\xff" * 4
    dma.write(ROM - 2, b"1234")
    assert bytes(space.memory.view[ROM : ROM + 4]) == b"ROM!"
    assert dma.read(1 << 40, 3) == b"\xff\xff\xff"


def shadow_of(space: AddressSpace) -> ShadowRam:
    return ShadowRam(space, space.memory.size, ((ROM, 64 * KIB),))


def test_rom_is_copied_onto_itself_and_then_lies_in_ram(space: AddressSpace) -> None:
    shadow = shadow_of(space)
    shadow.switch(ROM, 64 * KIB, False, True)
    space.store_bytes(ROM + 16, b"RAM?")
    assert space.load_bytes(ROM + 16, 4) == b"ROM!"
    shadow.switch(ROM, 64 * KIB, True, True)
    assert space.load_bytes(ROM, 4) == bytes(4)
    assert space.load_bytes(ROM + 16, 4) == b"RAM?"
    space.store_bytes(ROM, b"mine")
    shadow.switch(ROM, 64 * KIB, True, False)
    space.store_bytes(ROM, b"lost")
    assert space.load_bytes(ROM, 4) == b"mine"
    shadow.reset()
    assert space.load_bytes(ROM, 4) == b"ROM!"


def test_where_no_rom_is_ram_comes_and_goes(space: AddressSpace) -> None:
    shadow = shadow_of(space)
    assert space.load(0xD0000, 1) == 0xFF
    shadow.switch(0xD0000, 16 * KIB, True, True)
    space.store(0xD0000, 1, 0x12)
    assert space.load(0xD0000, 1) == 0x12
    assert space.load(0xD4000, 1) == 0xFF
    shadow.reset()
    assert space.load(0xD0000, 1) == 0xFF


def test_a_restored_switch_moves_no_bytes(space: AddressSpace) -> None:
    shadow = shadow_of(space)
    shadow.switch(ROM, 64 * KIB, True, True)
    space.store_bytes(ROM, b"mine")
    state = shadow.state()
    other = AddressSpace(space.memory, Bus("memory", 1 << 32), [])
    again = shadow_of(other)
    again.restore(state)
    assert again.state() == state
    assert other.load_bytes(ROM, 4) == b"mine"
    other.store_bytes(ROM, b"ours")
    assert space.load_bytes(ROM, 4) == b"ours"


@given(st.data())
def test_pieces_of_many_regions_read_as_their_bytes_do(data: st.DataObject) -> None:
    memory = Memory(MIB, MIB)
    memory.view[:] = bytes(range(256)) * (2 * MIB // 256)
    space = AddressSpace(memory, Bus("memory", 1 << 32), [Region(0, MIB, True)])
    pages = st.integers(0, 255)
    model = dict.fromkeys(range(256), 0)
    for _ in range(data.draw(st.integers(0, 6))):
        first, count, shift = data.draw(pages), data.draw(st.integers(1, 9)), data.draw(st.sampled_from([0, MIB, None]))
        last = min(first + count, 256)
        model |= dict.fromkeys(range(first, last), shift)
        if shift is None:
            space.hide(first * 4096, (last - first) * 4096)
        else:
            space.show(Region(first * 4096, (last - first) * 4096, True, shift))
    at, length = data.draw(st.integers(0, MIB - 1)), data.draw(st.integers(1, 40))
    shifts = [model.get(place // 4096) for place in range(at, at + length)]
    wanted = [0xFF if shift is None else memory.view[at + n + shift] for n, shift in enumerate(shifts)]
    assert list(space.load_bytes(at, length)) == wanted
    memory.close()
