"""The host bridge (Intel 82441FX datasheet, 290549)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.devices.i440fx import I440Fx


@pytest.fixture
def told():
    return []


@pytest.fixture
def bridge(told):
    return I440Fx(pam=lambda *piece: told.append(piece))


def test_it_is_the_82441fx(bridge):
    assert bridge.config.read(0x00, 4) == 0x1237_8086
    assert bridge.config.read(0x08, 4) == 0x0600_0002
    assert bridge.config.read(0x2C, 4) == 0x1100_1AF4
    assert bridge.config.read(0x04, 4) == 0x0280_0006


PLACES = [(0x5A + n // 2, n % 2 * 4, 0xC0000 + n * 0x4000, 0x4000) for n in range(12)] + [(0x59, 4, 0xF0000, 0x10000)]


@pytest.mark.parametrize(("register", "shift", "base", "length"), PLACES, ids=[f"{place[2]:X}h" for place in PLACES])
def test_each_piece_of_memory_has_its_own_read_and_write_bits(bridge, told, register, shift, base, length):
    for bits, read, write in ((1, True, False), (3, True, True), (2, False, True), (0, False, False)):
        bridge.config.write(register, 1, bits << shift)
        assert told == [(base, length, read, write)]
        told.clear()


def test_pam_has_no_other_bits(bridge):
    bridge.config.write(0x58, 4, 0xFFFF_FFFF)
    bridge.config.write(0x5C, 4, 0xFFFF_FFFF)
    assert bridge.config.read(0x58, 4) == 0x3333_30FF
    assert bridge.config.read(0x5C, 4) == 0x3333_3333


def test_the_same_again_is_told_to_nobody_and_reset_makes_it_rom(bridge, told):
    bridge.config.write(0x5A, 1, 0x33)
    told.clear()
    bridge.config.write(0x5A, 1, 0x33)
    assert told == []
    bridge.reset()
    assert told == [(0xC0000, 0x4000, False, False), (0xC4000, 0x4000, False, False)]


def test_smram_opens_until_it_is_locked(bridge):
    bridge.config.write(0x72, 1, 0xFF & ~0x10)
    assert bridge.config.read(0x72, 1) == 0x6A
    bridge.config.write(0x72, 1, 0x58)
    assert bridge.config.read(0x72, 1) == 0x1A
    bridge.config.write(0x72, 1, 0x60)
    assert bridge.config.read(0x72, 1) == 0x3A
    bridge.reset()
    assert bridge.config.read(0x72, 1) == 0x02
    bridge.config.write(0x72, 1, 0x40)
    assert bridge.config.read(0x72, 1) == 0x42


def test_a_restored_bridge_tells_what_is_ram_and_keeps_its_lock(bridge):
    bridge.config.write(0x59, 1, 0x30)
    bridge.config.write(0x72, 1, 0x1A)
    told = []
    twin = I440Fx(pam=lambda *piece: told.append(piece))
    twin.restore(bridge.state())
    assert told == [(0xF0000, 0x10000, True, True)]
    assert twin.state() == bridge.state()
    twin.config.write(0x72, 1, 0x42)
    assert twin.config.read(0x72, 1) == 0x1A


@given(st.lists(st.tuples(st.integers(0, 255), st.sampled_from((1, 2, 4)), st.integers(0, 0xFFFF_FFFF))))
def test_whatever_is_written_the_pieces_told_are_those_that_pam_shows(writes):
    now: dict[int, tuple[bool, bool]] = {}
    bridge = I440Fx(pam=lambda base, length, read, write: now.__setitem__(base, (read, write)))
    for at, size, value in writes:
        bridge.config.write(at, size, value)
    for register, shift, base, _ in PLACES:
        bits = bridge.config.read(register, 1) >> shift
        assert now.get(base, (False, False)) == (bool(bits & 1), bool(bits & 2))
    assert bridge.config.read(0x72, 1) & 0x07 == 0x02
