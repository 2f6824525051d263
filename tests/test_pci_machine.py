"""A guest that puts PCI's windows where it likes, on the whole machine."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minivm

SPIN = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
FUNCTIONS = ((0, 0), (1, 0), (1, 1), (1, 3), (2, 0), (3, 0))
GRAPHICS, IDE, PM = (2, 0), (1, 1), (1, 3)
RAM = 0x20_0000
MARK = bytes(range(256)) * 16


@pytest.fixture(scope="module")
def machine():
    with minivm.boot(SPIN, memory="4M") as vm:
        vm.run(ms=1)
        yield vm


@pytest.fixture
def vm(machine):
    machine.memory.write(RAM, MARK)
    return machine


def configure(vm, function, register, value, size=4):
    vm.ports.write(0xCF8, 4, 1 << 31 | function[0] << 11 | function[1] << 8 | register & 0xFC)
    vm.ports.write(0xCFC + (register & 4 - size), size, value & (1 << 8 * size) - 1)


def test_a_framebuffer_over_ram_hides_none_of_it_and_comes_back_elsewhere(vm):
    configure(vm, GRAPHICS, 0x04, 2, 2)
    configure(vm, GRAPHICS, 0x10, RAM)
    vm.space.store(RAM, 4, 0x1234_5678)
    assert vm.memory.read(RAM, 8) == b"\x78\x56\x34\x12" + MARK[4:8]
    configure(vm, GRAPHICS, 0x10, 0xE000_0000)
    vm.space.store(0xE000_0100, 4, 0xCAFE_F00D)
    assert vm.space.load(0xE000_0100, 4) == 0xCAFE_F00D
    assert vm.memory.read(RAM + 0x100, 4) == MARK[0x100:0x104]
    configure(vm, GRAPHICS, 0x10, 0xD000_0000)
    assert vm.space.load(0xD000_0100, 4) == 0xCAFE_F00D
    assert vm.space.load(0xE000_0100, 4) == 0xFFFF_FFFF


def test_ports_over_another_chips_ports_leave_that_chip_alone(vm):
    for base in (0x3F0, 0xCF0, 0x40, 0x60, 0x1F0):
        configure(vm, IDE, 0x20, base)
        configure(vm, IDE, 0x04, 1, 2)
        configure(vm, PM, 0x40, base)
        configure(vm, PM, 0x80, 1, 1)
    vm.ports.write(0xCF8, 4, 0x8000_0000)
    assert vm.ports.read(0xCFC, 4) == 0x1237_8086
    vm.ports.write(0x3FF, 1, 0x5A)
    assert vm.ports.read(0x3FF, 1) == 0x5A


VALUES = st.one_of(
    st.integers(0, 0xFFFF_FFFF),
    st.sampled_from((0, 0xFFFF_FFFF, RAM, 0xA_0000, 0xC_0000, 0xF_0000, 0xC001, 0x3F1, 0xCF9, 0x601, 7, 0x3333_3333)),
)
REGISTERS = st.one_of(
    st.integers(0, 255), st.sampled_from((0x04, 0x10, 0x20, 0x30, 0x40, 0x58, 0x5C, 0x60, 0x72, 0x80))
)
WRITES = st.lists(st.tuples(st.sampled_from(FUNCTIONS), REGISTERS, VALUES, st.sampled_from((1, 2, 4))), max_size=30)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(WRITES)
def test_whatever_is_configured_nothing_fails_and_ram_is_as_it_was(vm, writes):
    for function, register, value, size in writes:
        configure(vm, function, register, value, size)
        assert vm.ports.read(0xCFC, size) < 1 << 8 * size
    for address in (0xA_0000, 0xC_0000, 0xF_FF00, 0xE000_0000, 0xFFFF_FF00):
        vm.space.store(address, 4, 0x5A5A_5A5A)
        vm.space.load(address, 4)
    for port in (0x600, 0x604, 0xC000, 0xC004, 0x3F4, 0x1F7):
        vm.ports.read(port, 2)
    vm.clock.advance(1_000_000)
    assert vm.memory.read(RAM, len(MARK)) == MARK
