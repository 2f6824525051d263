"""Flat binaries."""

import pytest

from minivm.config import MachineConfig
from minivm.errors import ImageError
from minivm.loaders import prepare


def plan(data=b"\xf4" * 16, **config):
    return prepare(MachineConfig(guest="code.bin", boot="flat", **{"memory": 16 << 20, **config}), data=data)


def test_it_lies_at_7c00h_and_starts_like_a_boot_sector():
    made = plan()
    entry = made.entry
    assert made.segments == ((0x7C00, b"\xf4" * 16),)
    assert (entry.mode, entry.cs, entry.ip, entry.ds, entry.ss) == ("real", 0, 0x7C00, 0, 0)
    assert dict(entry.registers) == {"esp": 0x7C00, "edx": 0}
    assert entry.interrupts


def test_dl_is_the_first_hard_disk_when_there_is_one():
    assert dict(plan(disks="d.img").entry.registers)["edx"] == 0x80


def test_above_64_kib_it_gets_a_segment_of_its_own():
    entry = plan(origin=0x12345).entry
    assert (entry.cs, entry.ip, entry.ds) == (0x1234, 5, 0x1234)


def test_its_stack_is_never_in_its_code():
    entry = plan(bytes(0x8000), origin=0x500).entry
    stack = (entry.ss << 4) + dict(entry.registers)["esp"]
    assert stack - 4096 >= 0x8500
    assert dict(entry.registers)["esp"] <= 0xFFFF


@pytest.mark.parametrize("origin", [0, 0x4FF, 0xA0000, 0x9FFF1, 0x100000])
def test_real_mode_has_no_room_elsewhere(origin):
    with pytest.raises(ImageError, match="give another --origin"):
        plan(origin=origin)


@pytest.mark.parametrize(("bits", "mode"), [(32, "protected"), (64, "long")])
def test_a_wider_binary_may_lie_anywhere_in_ram(bits, mode):
    entry = plan(origin=0x200000, bits=bits).entry
    assert (entry.mode, entry.ip) == (mode, 0x200000)


@pytest.mark.parametrize("origin", [0x9FFF1, 0xA0000, 0xFFFFF, (16 << 20) - 15, 0xFFFFFFFF])
def test_outside_ram_is_refused_with_the_ram_there_is(origin):
    with pytest.raises(ImageError, match=r"is not in RAM, which is 0h-9FFFFh and 100000h-FFFFFFh"):
        plan(origin=origin, bits=32)


def test_more_bytes_than_memory_are_too_large():
    with pytest.raises(ImageError, match="too large"):
        plan(bytes((1 << 20) + 1), memory=1 << 20)
