"""Geometry: shapes of floppies and hard disks."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.storage.geometry import (
    FLOPPY_TYPES,
    LARGEST_FLOPPY,
    Geometry,
    floppy_for,
    hard_disk_geometry,
    partitions,
    standard_floppy,
)

MIB_SECTORS = 2048


def mbr(*entries: bytes) -> bytes:
    """Return a boot sector with these partition entries."""
    return (b"\xfa" + bytes(445) + b"".join(entries)).ljust(510, b"\0") + b"\x55\xaa"


def entry(first: int, count: int, *, last=(1023, 254, 63), status=0x80, kind=6) -> bytes:
    """Return one partition entry whose end is `last` (cylinder, head, sector)."""
    cylinder, head, sector = last
    packed = bytes([head, sector | cylinder >> 8 << 6, cylinder & 0xFF])
    return bytes([status, 1, 1, 0, kind]) + packed + struct.pack("<II", first, count)


@pytest.mark.parametrize(
    ("size", "name", "shape"),
    [(163840, "160K", (40, 1, 8)), (184320, "180K", (40, 1, 9)), (327680, "320K", (40, 2, 8)),
     (368640, "360K", (40, 2, 9)), (737280, "720K", (80, 2, 9)), (1228800, "1.2M", (80, 2, 15)),
     (1474560, "1.44M", (80, 2, 18)), (1720320, "1.68M", (80, 2, 21)), (1763328, "1.72M", (82, 2, 21)),
     (2949120, "2.88M", (80, 2, 36))],
)  # fmt: skip
def test_a_standard_size_gives_a_standard_floppy(size, name, shape):
    floppy = standard_floppy(size)
    assert floppy is not None
    assert (floppy.name, floppy.geometry) == (name, Geometry(*shape))


@pytest.mark.parametrize("off", [-512, -1, 1, 512])
def test_a_size_next_to_a_standard_one_is_not_standard(off):
    assert all(standard_floppy(floppy.size + off) is None for floppy in FLOPPY_TYPES)


def test_a_short_image_goes_on_the_smallest_usual_floppy_that_holds_it():
    assert [floppy_for(size, b"").name for size in (1, 512, 1474559, 1474561, 2949119)] == [
        "1.44M", "1.44M", "1.44M", "2.88M", "2.88M",
    ]  # fmt: skip
    assert floppy_for(2949121, b"") is None


def test_a_short_fat_image_says_which_floppy_it_was():
    block = bytearray(512)
    block[0:3] = b"\xeb\x3c\x90"
    for offset, value in ((11, 512), (19, 1440), (24, 9), (26, 2)):
        struct.pack_into("<H", block, offset, value)
    assert floppy_for(5000, bytes(block)).name == "720K"
    assert floppy_for(1000000, bytes(block)).name == "1.44M"  # it would not fit the 720K that it claims
    block[0] = 0
    assert floppy_for(5000, bytes(block)).name == "1.44M"


@pytest.mark.parametrize(
    ("mebibytes", "heads"),
    [(1, 16), (504, 16), (535, 16), (536, 32), (1039, 32), (1040, 64), (2047, 64), (2048, 128), (4063, 128),
     (4064, 255), (8000, 255), (100000, 255)],
)  # fmt: skip
def test_heads_grow_so_that_the_cylinders_stay_in_ten_bits(mebibytes, heads):
    shape = hard_disk_geometry(mebibytes * MIB_SECTORS)
    assert (shape.heads, shape.sectors_per_track) == (heads, 63)
    assert 2 <= shape.cylinders <= 1024


def test_504_mb_are_1024_cylinders_of_16_heads():
    assert hard_disk_geometry(1024 * 16 * 63) == Geometry(1024, 16, 63)


def test_a_partition_table_made_with_another_shape_decides():
    # 20 MB, 4 heads, 17 sectors: the shape of the PC/XT's disk, 615 cylinders.
    sectors = 615 * 4 * 17
    table = mbr(entry(17, sectors - 17, last=(614, 3, 17)))
    assert hard_disk_geometry(sectors, table) == Geometry(615, 4, 17)


def test_a_saturated_end_still_tells_heads_and_sectors():
    assert hard_disk_geometry(4000 * MIB_SECTORS, mbr(entry(63, 10_000_000, last=(1023, 254, 63)))).heads == 255


def test_an_end_that_contradicts_its_sector_number_is_not_believed():
    assert hard_disk_geometry(40000, mbr(entry(17, 1000, last=(500, 3, 17)))).heads == 16


@pytest.mark.parametrize(
    "table",
    [mbr(), mbr(entry(1, 10, status=0x41)), mbr(entry(1, 0)), mbr(entry(5000, 10)), mbr(entry(0, 1, kind=0)),
     mbr(entry(1, 10), entry(5, 10, status=0)), mbr(entry(1, 10))[:510] + b"\0\0", b"", mbr(entry(1, 10))[:511]],
)  # fmt: skip
def test_an_implausible_table_is_no_table(table):
    assert partitions(table, 2048) == ()


def test_a_plausible_table_is_read():
    first, second = partitions(mbr(entry(1, 10, last=(2, 3, 4)), entry(100, 50, status=0, kind=0x83)), 2048)
    assert (first.active, first.kind, first.first, first.count, first.last_chs) == (True, 6, 1, 10, (2, 3, 4))
    assert (second.active, second.kind, second.first) == (False, 0x83, 100)


@settings(max_examples=100, deadline=None)
@given(lba=st.integers(0, 1023 * 255 * 63), heads=st.integers(1, 255), per_track=st.integers(1, 63))
def test_chs_and_lba_are_two_names_of_one_sector(lba, heads, per_track):
    shape = Geometry(1 << 30, heads, per_track)
    assert shape.to_lba(*shape.to_chs(lba)) == lba


def test_a_place_outside_the_shape_is_nowhere():
    shape = Geometry(80, 2, 18)
    assert shape.to_lba(0, 0, 1) == 0
    assert shape.to_lba(79, 1, 18) == 2879
    assert [shape.to_lba(*place) for place in ((80, 0, 1), (0, 2, 1), (0, 0, 0), (0, 0, 19))] == [None] * 4


@settings(max_examples=100, deadline=None)
@given(sectors=st.integers(1, 1 << 40), sector=st.binary(min_size=66, max_size=66))
def test_any_boot_sector_gives_a_shape_that_int_13h_can_say(sectors, sector):
    shape = hard_disk_geometry(sectors, bytes(444) + sector + b"\x55\xaa")
    assert 2 <= shape.cylinders <= 1024
    assert 1 <= shape.heads <= 255
    assert 1 <= shape.sectors_per_track <= 63


tables = st.one_of(
    st.binary(max_size=600),
    st.binary(min_size=64, max_size=64).map(lambda table: (bytes(446) + table + b"\x55\xaa")),
    st.lists(
        st.tuples(st.sampled_from([0, 0x80, 1]), st.binary(min_size=7, max_size=7), st.integers(0, 2**32 - 1),
                  st.integers(0, 2**32 - 1)), min_size=4, max_size=4,
    ).map(lambda rows: bytes(446) + b"".join(struct.pack("<B7sII", *row) for row in rows) + b"\x55\xaa"),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(sector=tables, sectors=st.integers(0, 1 << 48))
def test_a_table_of_noise_gives_partitions_on_the_disk_or_none(sector, sectors):
    found = sorted(partitions(sector, sectors), key=lambda partition: partition.first)
    for one, next_one in pairwise(found):
        assert one.first + one.count <= next_one.first
    assert all(partition.first < sectors and partition.count for partition in found)
    shape = hard_disk_geometry(sectors, sector)
    assert 2 <= shape.cylinders <= 1024
    assert 1 <= shape.heads <= 255
    assert 1 <= shape.sectors_per_track <= 63
    assert floppy_for(sectors, sector) is None or sectors <= LARGEST_FLOPPY.size
