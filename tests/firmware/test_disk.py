"""INT 13h, from IBM's BIOS interface reference and the EDD specification."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.firmware.disk import fixed_disk_table
from minivm.firmware.drives import translate

BUFFER = 0x8000


def transfer(pc, function, count, *, cylinder=0, head=0, sector=1, drive=0, es=0, bx=BUFFER):
    cx = (cylinder & 0xFF) << 8 | cylinder >> 2 & 0xC0 | sector
    return pc.interrupt(0x13, ax=function << 8 | count, bx=bx, cx=cx, dx=head << 8 | drive, es=es)


def test_reading_a_sector_of_a_diskette(pc):
    transfer(pc, 2, 1, sector=2)
    assert (pc.carry, pc.cpu.ax) == (False, 0x0001)
    assert pc.memory.read(BUFFER, 513) == b"\x01" * 512 + b"\0"


def test_reading_goes_on_to_the_next_head_and_cylinder(pc):
    transfer(pc, 2, 40, head=0, sector=18)
    assert not pc.carry
    assert [pc.memory.read(BUFFER + 512 * index, 1)[0] for index in (0, 1, 19, 39)] == [17, 18, 36, 56]


def test_reading_a_cylinder_above_255_of_a_hard_disk(pc):
    pc.attach(1024, 2, 2)
    transfer(pc, 2, 1, cylinder=0x3A5, head=1, sector=2, drive=0x80)
    assert not pc.carry
    assert pc.memory.read(BUFFER, 1)[0] == ((0x3A5 * 2 + 1) * 2 + 1) & 0xFF


def test_the_buffer_may_cross_64_kib(pc):
    transfer(pc, 2, 2, sector=2, es=0x1000, bx=0xFF00)
    assert pc.memory.read(0x1FF00, 1024) == b"\x01" * 512 + b"\x02" * 512


def test_writing_and_reading_back(pc):
    pc.memory.write(BUFFER, bytes(range(256)) * 4)
    transfer(pc, 3, 2, cylinder=1, head=1, sector=9)
    assert (pc.carry, pc.cpu.ax) == (False, 0x0002)
    lba = (1 * 2 + 1) * 18 + 8
    assert pc.floppy.data[lba * 512 : lba * 512 + 1024] == bytes(range(256)) * 4


def test_a_write_protected_diskette_stays_as_it_is(pc):
    pc.floppy.read_only = True
    transfer(pc, 3, 1)
    assert (pc.carry, pc.cpu.ax) == (True, 0x0300)
    assert pc.floppy.data[0] == 0


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ({"count": 0}, 0x01), ({"count": 129}, 0x01), ({"count": 1, "sector": 0}, 0x01),
        ({"count": 1, "sector": 19}, 0x04), ({"count": 1, "head": 2}, 0x04), ({"count": 1, "cylinder": 80}, 0x04),
        ({"count": 2, "cylinder": 79, "head": 1, "sector": 18}, 0x04),
    ],
)  # fmt: skip
def test_a_place_that_is_not_there_is_refused(pc, place, status):
    transfer(pc, 2, **place)
    assert (pc.carry, pc.cpu.ah, pc.cpu.al) == (True, status, 0)


def test_the_status_of_the_last_call_can_be_asked_for(pc):
    transfer(pc, 2, 1, cylinder=80)
    assert pc.bda[0x41] == 0x04
    pc.interrupt(0x13, ax=0x0100, dx=0)
    assert (pc.carry, pc.cpu.ah) == (True, 0x04)
    transfer(pc, 2, 1)
    pc.interrupt(0x13, ax=0x0100, dx=0)
    assert (pc.carry, pc.cpu.ah) == (False, 0)
    pc.interrupt(0x13, ax=0xEE00, dx=0x80)
    assert (pc.bda[0x74], pc.bda[0x41]) == (0x01, 0)


def test_a_drive_without_a_diskette_times_out(pc):
    pc.bios.drives.floppies = [None]
    transfer(pc, 2, 1)
    assert (pc.carry, pc.cpu.ah) == (True, 0x80)


def test_drives_that_do_not_exist(pc):
    transfer(pc, 2, 1, drive=0x81)
    assert (pc.carry, pc.cpu.ah) == (True, 0x01)
    transfer(pc, 2, 1, drive=1)
    assert (pc.carry, pc.cpu.ah) == (True, 0x80)
    pc.interrupt(0x13, ax=0x0800, dx=0x81)
    assert pc.carry
    pc.interrupt(0x13, ax=0x1500, dx=0x81)
    assert (pc.carry, pc.cpu.ah) == (False, 0)


def test_a_host_that_fails_is_a_broken_controller_and_is_reported(pc):
    pc.disk.broken = True
    transfer(pc, 2, 1, drive=0x80)
    assert (pc.carry, pc.cpu.ah) == (True, 0x20)
    assert "broken" in pc.trace[-1]


def test_parameters_of_a_diskette_drive(pc):
    pc.interrupt(0x13, ax=0x0800, dx=0)
    assert (pc.carry, pc.cpu.ax, pc.cpu.bl) == (False, 0, 4)
    assert (pc.cpu.cx, pc.cpu.dx) == (0x4F12, 0x0101)
    assert (pc.cpu.es, pc.cpu.di) == (0xF000, 0xEFC7)
    assert pc.memory.read(0xFEFC7 + 3, 2) == bytes([2, 18])


def test_parameters_of_a_hard_disk(pc):
    pc.attach(1000, 16, 63)
    pc.interrupt(0x13, ax=0x0800, dx=0x80)
    assert (pc.carry, pc.cpu.ah) == (False, 0)
    assert (pc.cpu.cx, pc.cpu.dx) == (0xE7 << 8 | 0xC0 | 63, 0x0F01)


def test_types_of_drives(pc):
    pc.interrupt(0x13, ax=0x1500, dx=0)
    assert (pc.carry, pc.cpu.ah) == (False, 1)
    pc.interrupt(0x13, ax=0x1500, dx=0x80)
    assert (pc.carry, pc.cpu.ah, pc.cpu.cx, pc.cpu.dx) == (False, 3, 0, 2 * 16 * 63)


def test_an_unknown_function_is_a_bad_command(pc):
    pc.interrupt(0x13, ax=0xEE00, dx=0x80)
    assert (pc.carry, pc.cpu.ah) == (True, 0x01)
    assert "INT 13h" in pc.trace[-1]


def test_formatting_fills_one_track(pc):
    transfer(pc, 5, 18, cylinder=2, head=1)
    start = (2 * 2 + 1) * 18 * 512
    assert set(pc.floppy.data[start : start + 18 * 512]) == {0xF6}
    assert pc.floppy.data[start + 18 * 512] != 0xF6


def test_reset_seek_verify_and_friends_succeed(pc):
    for function in (0x00, 0x04, 0x0C, 0x0D, 0x10, 0x11, 0x14):
        transfer(pc, function, 1, drive=0x80)
        assert (pc.carry, pc.cpu.ah) == (False, 0), hex(function)


# -- geometry ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("own", "shown"),
    [
        ((615, 4, 17), (615, 4, 17)), ((1024, 16, 63), (1024, 16, 63)), ((2048, 16, 63), (1024, 32, 63)),
        ((4095, 16, 63), (1023, 64, 63)), ((8192, 16, 63), (1024, 128, 63)), ((16383, 16, 63), (1024, 255, 63)),
    ],
)  # fmt: skip
def test_large_disks_are_shown_with_more_heads(pc, own, shown):
    result = translate(pc.attach(*own))
    assert (result.cylinders, result.heads, result.sectors_per_track) == shown


def test_a_translated_table_has_a_checksum_and_both_geometries(pc):
    row = fixed_disk_table(pc.attach(2048, 16, 63))
    assert (row[0:2], row[2], row[3], row[14]) == ((1024).to_bytes(2, "little"), 32, 0xA0, 63)
    assert (row[9:11], row[11]) == ((2048).to_bytes(2, "little"), 16)
    assert sum(row) & 0xFF == 0


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ax=st.integers(0, 0xFFFF), bx=st.integers(0, 0xFFFF), cx=st.integers(0, 0xFFFF), dx=st.integers(0, 0xFFFF),
    table=st.binary(min_size=32, max_size=32),
)  # fmt: skip
def test_no_call_raises(pc, ax, bx, cx, dx, table):
    pc.memory.write(0x600, table)
    pc.interrupt(0x13, ax=ax, bx=bx, cx=cx, dx=dx & 0xFF81, es=0x2000, ds=0, si=0x600)
    status = pc.bda[0x74] if dx & 0x80 else pc.bda[0x41]
    assert pc.carry == (pc.cpu.ah != 0) or (ax >> 8) in (0x15, 0x41)
    assert pc.cpu.ah == status or (ax >> 8) in (0x15, 0x41)
