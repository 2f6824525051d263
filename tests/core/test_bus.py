"""Buses: who answers at which address."""

from typing import ClassVar

import pytest

from minivm.core.bus import Bus
from minivm.errors import WiringError


class Recorder:
    """A device that remembers what it was asked."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.seen: list[tuple] = []

    def read(self, offset: int, size: int) -> int:
        self.seen.append(("read", offset, size))
        return (self.value >> 8 * offset) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        self.seen.append(("write", offset, size, value))


def test_a_device_sees_offsets_from_where_it_is_mapped():
    bus, device = Bus("port", 0x10000), Recorder(0x44332211)
    bus.map(0x3F8, 8, device)
    assert bus.read(0x3F9, 1) == 0x22
    bus.write(0x3FA, 1, 0x55)
    assert device.seen == [("read", 1, 1), ("write", 2, 1, 0x55)]


def test_what_nobody_claims_reads_as_ones_and_is_reported():
    bus, seen = Bus("port", 0x10000), []
    bus.unclaimed = lambda *access: seen.append(access)
    assert bus.read(0x300, 1) == 0xFF
    assert bus.read(0x300, 2) == 0xFFFF
    assert bus.read(0x300, 4) == 0xFFFF_FFFF
    bus.write(0x300, 1, 7)
    assert seen[0] == ("read", 0x300, 1, 0xFF)
    assert seen[-1] == ("write", 0x300, 1, 7)


def test_a_word_for_an_8_bit_device_arrives_as_two_bytes_lowest_first():
    bus, device = Bus("port", 0x10000), Recorder(0xBBAA)
    bus.map(0x3D4, 2, device)
    assert bus.read(0x3D4, 2) == 0xBBAA
    bus.write(0x3D4, 2, 0x120E)
    assert device.seen == [("read", 0, 1), ("read", 1, 1), ("write", 0, 1, 0x0E), ("write", 1, 1, 0x12)]


def test_a_wide_device_gets_the_access_whole():
    bus, device = Bus("port", 0x10000), Recorder(0x44332211)
    bus.map(0xF4, 4, device, width=4)
    assert bus.read(0xF4, 4) == 0x44332211
    bus.write(0xF4, 4, 0x12345678)
    assert device.seen == [("read", 0, 4), ("write", 0, 4, 0x12345678)]


def test_an_access_across_two_devices_reaches_both():
    bus, low, high = Bus("port", 0x10000), Recorder(0x11), Recorder(0x22)
    bus.map(0x60, 1, low)
    bus.map(0x61, 1, high)
    assert bus.read(0x60, 2) == 0x2211
    assert bus.read(0x5F, 2) == 0x11FF


def test_an_access_at_the_last_port_wraps():
    bus, first = Bus("port", 0x10000), Recorder(0x5A)
    bus.map(0, 1, first)
    assert bus.read(0xFFFF, 2) == 0x5AFF


def test_two_devices_at_one_address_are_refused_with_both_names():
    bus = Bus("port", 0x10000)
    bus.map(0x3F8, 8, Recorder(), name="uart0")
    with pytest.raises(WiringError, match=r"3F8h-3FFh is taken by uart0; give modem another base than 3FFh"):
        bus.map(0x3FF, 2, Recorder(), name="modem")
    bus.map(0x400, 1, Recorder())


@pytest.mark.parametrize(("base", "length"), [(-1, 1), (0xFFFF, 2), (0, 0)])
def test_a_range_outside_the_bus_is_refused(base, length):
    with pytest.raises(WiringError, match="outside the port bus"):
        Bus("port", 0x10000).map(base, length, Recorder())


def test_a_device_mapped_after_its_address_was_asked_for_is_found():
    bus = Bus("port", 0x10000)
    assert bus.read(0x80, 1) == 0xFF
    bus.map(0x80, 1, Recorder(7))
    assert bus.read(0x80, 1) == 7


def test_mappings_are_listed_by_address():
    bus = Bus("port", 0x10000)
    bus.map(0x60, 1, Recorder(), name="b")
    bus.map(0x20, 2, Recorder(), name="a")
    assert [repr(mapping) for mapping in bus.mappings()] == ["a at 20h-21h", "b at 60h-60h"]


class Polled(Recorder):
    slow_reads: ClassVar = {2: 4_000}


def test_a_slow_read_moves_with_its_window():
    bus, port = Bus("port", 0x10000), Polled()
    bus.map(0x60, 4, Polled())
    bus.place(port, 0xB000, 4)
    assert bus.slow == {0x62: 4_000, 0xB002: 4_000}
    bus.place(port, 0xC000, 4)
    assert bus.slow == {0x62: 4_000, 0xC002: 4_000}
    bus.place(port, None, 4)
    assert bus.slow == {0x62: 4_000}
