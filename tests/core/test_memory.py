"""RAM, and what answers at each physical address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.bus import Bus
from minivm.core.memory import MIB, AddressSpace, Memory, Region
from minivm.errors import ConfigError, MemoryRangeError


@pytest.fixture
def memory():
    ram = Memory(2 * MIB)
    yield ram
    ram.close()


class Counting:
    """A memory-mapped device that answers with the offset."""

    def __init__(self) -> None:
        self.written: list[tuple[int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(bytes((offset + place) & 0xFF for place in range(size)), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append((offset, size, value))


@pytest.fixture
def space(memory):
    mmio = Bus("memory", 1 << 32)
    regions = [Region(0, 0xC0000, True), Region(0xF0000, 0x10000, False), Region(MIB, MIB, True)]
    return AddressSpace(memory, mmio, regions)


@pytest.mark.parametrize("size", [0, 4096, MIB - 4096, MIB + 1, 4 << 30])
def test_a_size_that_is_no_pc_is_refused(size):
    with pytest.raises(ConfigError, match="between 1M and 3G"):
        Memory(size)


def test_slices_read_and_write_bytes(memory):
    memory[0x500:0x503] = b"abc"
    memory[0x503] = 0x64
    assert memory[0x500:0x504] == b"abcd"
    assert memory[0x501] == b"b"
    assert len(memory) == 2 * MIB


@pytest.mark.parametrize("key", [slice(2 * MIB - 1, 2 * MIB + 1), slice(-4, 4), slice(0, 8, 2), 2 * MIB])
def test_outside_ram_is_an_error_that_says_where_ram_ends(memory, key):
    with pytest.raises(MemoryRangeError):
        memory[key]


def test_a_slice_takes_as_many_bytes_as_it_is_long(memory):
    with pytest.raises(MemoryRangeError, match="3 bytes do not fit"):
        memory[0:2] = b"abc"


def test_listeners_hear_what_the_host_has_written(memory):
    heard = []
    memory.write_listeners.append(lambda start, end: heard.append((start, end)))
    memory.write(0x1000, b"1234")
    assert heard == [(0x1000, 0x1004)]


def test_rom_takes_no_writes_and_empty_addresses_read_as_ones(space, memory):
    memory[0xF0000:0xF0002] = b"\x12\x34"
    space.store(0xF0000, 2, 0)
    space.store_bytes(0xF0000, b"xy")
    assert space.load(0xF0000, 2) == 0x3412
    space.store(0xD0000, 4, 0)
    assert space.load(0xD0000, 4) == 0xFFFF_FFFF
    assert space.load(0xD0000, 8) == 0xFFFF_FFFF_FFFF_FFFF
    assert space.load((1 << 40) + 5, 1) == 0xFF


def test_an_access_across_a_border_takes_each_byte_from_its_own_side(space, memory):
    memory[0xBFFFF] = 0x5A
    assert space.load(0xBFFFF, 2) == 0xFF5A
    space.store(0xBFFFF, 4, 0x11223344)
    assert memory[0xBFFFF] == b"\x44"
    assert space.load_bytes(0xBFFFE, 4) == b"\x00\x44\xff\xff"


def test_a_memory_mapped_device_gets_aligned_accesses_whole(space):
    device = Counting()
    space.mmio.map(0xD0000, 0x100, device, width=4)
    assert space.load(0xD0010, 4) == 0x13121110
    space.store(0xD0020, 4, 0xAABBCCDD)
    space.store(0xD0031, 2, 0x2211)
    assert device.written == [(0x20, 4, 0xAABBCCDD), (0x31, 1, 0x11), (0x32, 1, 0x22)]


def test_a_closed_a20_gate_folds_odd_megabytes_onto_even_ones(space, memory):
    memory[0x1234] = 0x77
    memory[MIB + 0x1234] = 0x88
    space.a20_mask = ~(1 << 20)
    assert space.load(MIB + 0x1234, 1) == 0x77
    assert space.load_bytes(MIB + 0x1234, 1) == b"\x77"
    space.store_bytes(MIB + 0x1234, b"\x99")
    assert memory[0x1234] == b"\x99"
    assert memory[MIB + 0x1234] == b"\x88"


@given(st.integers(0, 3 * MIB), st.sampled_from([1, 2, 4, 8]), st.integers(0, (1 << 64) - 1))
def test_any_access_is_legal_and_what_ram_took_it_gives_back(address, size, value):
    ram = Memory(2 * MIB)
    space = AddressSpace(ram, Bus("memory", 1 << 32), [Region(0, 0xC0000, True), Region(MIB, MIB, True)])
    value &= (1 << 8 * size) - 1
    space.store(address, size, value)
    expected = value.to_bytes(size, "little")
    for place in range(size):
        inside = space.region_at(address + place) is not None
        assert space.load(address + place, 1) == (expected[place] if inside else 0xFF)
    ram.close()
