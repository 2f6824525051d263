"""Configuration mechanism 1 (PCI Local Bus Specification 2.1, section 3.2.2.3.2)."""

import pytest

from minivm.core.bus import Bus
from minivm.core.pci import ConfigSpace
from minivm.core.register_file import MaskedRegister
from minivm.devices.pci_host import PciHost, PciHostState
from minivm.devices.reset_control import ResetControl


def function(device):
    return ConfigSpace((MaskedRegister(0, 4, device << 16 | 0x8086), MaskedRegister(0x40, 4, writable=0xFFFF_FFFF)))


@pytest.fixture
def resets():
    return []


@pytest.fixture
def host(resets):
    functions = {(0, 0): function(0x1237), (1, 0): function(0x7000), (1, 3): function(0x7113)}
    return PciHost(functions, beside={1: ResetControl(lambda: resets.append(True))})


@pytest.fixture
def ports(host):
    bus = Bus("port", 1 << 16)
    bus.map(0xCF8, 4, host.address, width=4)
    bus.map(0xCFC, 4, host.data, width=4)
    return bus


def choose(ports, device, number, register, bus=0, enable=1):
    ports.write(0xCF8, 4, enable << 31 | bus << 16 | device << 11 | number << 8 | register)


def test_device_function_and_register_choose_what_answers(ports):
    for device, number, seen in ((0, 0, 0x1237_8086), (1, 0, 0x7000_8086), (1, 3, 0x7113_8086)):
        choose(ports, device, number, 0)
        assert ports.read(0xCFC, 4) == seen


def test_who_is_absent_reads_as_ones_in_every_size(ports):
    for device, number, bus in ((2, 0, 0), (0, 1, 0), (31, 7, 0), (0, 0, 1), (0, 0, 255)):
        choose(ports, device, number, 0, bus)
        assert [ports.read(0xCFC, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFF_FFFF]
        ports.write(0xCFC, 4, 0)


def test_nobody_answers_while_the_enable_bit_is_clear(ports):
    choose(ports, 0, 0, 0, enable=0)
    assert ports.read(0xCFC, 4) == 0xFFFF_FFFF
    choose(ports, 0, 0, 0x40, enable=0)
    ports.write(0xCFC, 4, 0x1234)
    choose(ports, 0, 0, 0x40)
    assert ports.read(0xCFC, 4) == 0


def test_bytes_and_words_reach_their_place_in_the_doubleword(ports):
    choose(ports, 1, 0, 0x40)
    ports.write(0xCFE, 1, 0x12)
    ports.write(0xCFC, 2, 0x3456)
    assert ports.read(0xCFC, 4) == 0x0012_3456
    assert (ports.read(0xCFE, 2), ports.read(0xCFD, 1), ports.read(0xCFD, 2)) == (0x0012, 0x34, 0x1234)


def test_the_address_reads_back_without_its_reserved_bits(ports):
    ports.write(0xCF8, 4, 0xFFFF_FFFF)
    assert ports.read(0xCF8, 4) == 0x80FF_FFFC


def test_a_narrow_access_to_the_address_goes_past_it(ports, resets):
    choose(ports, 1, 0, 0x40)
    for port in range(0xCF8, 0xCFC):
        ports.write(port, 1, 0)
    ports.write(0xCFA, 2, 0)
    assert ports.read(0xCF8, 4) == 0x8000_0840
    assert (ports.read(0xCF8, 1), ports.read(0xCFA, 2)) == (0xFF, 0xFFFF)
    ports.write(0xCF9, 1, 0x02)
    assert ports.read(0xCF9, 1) == 0x02
    assert ports.read(0xCF8, 2) == 0x02FF
    ports.write(0xCF8, 2, 0x0600)
    assert resets == [True]


def test_a_doubleword_does_not_reach_the_reset_control_register(ports, resets):
    ports.write(0xCF8, 4, 0x8000_0600)
    assert resets == []
    assert ports.read(0xCF9, 1) == 0


def test_reset_and_state(host, ports):
    choose(ports, 1, 3, 0x40)
    state = host.state()
    assert state == PciHostState(0x8000_0B40)
    host.reset()
    assert ports.read(0xCF8, 4) == 0
    host.restore(state)
    assert host.state() == state
