"""Disk: sectors over files and bytes."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.errors import DiskError, ImageError
from minivm.storage.disk import Disk, open_disk

SECTOR_A, SECTOR_B = b"A" * 512, b"B" * 512


@pytest.fixture
def image(tmp_path):
    """A hard disk of 10,000 sectors, each filled with its own number's low byte."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(bytes([number & 0xFF]) * 512 for number in range(10000)))
    return path


def test_a_sector_is_512_bytes_at_its_number(image):
    disk = open_disk(image, read_only=True)
    assert disk.sectors == 10000
    assert disk.floppy_type is None
    assert disk.read(3, 2) == b"\3" * 512 + b"\4" * 512
    assert disk.read(0, 0) == b""
    disk.close()


def test_a_write_reaches_the_file(image):
    disk = open_disk(image)
    disk.write(1, SECTOR_A + SECTOR_B)
    assert disk.read(0, 4) == bytes(512) + SECTOR_A + SECTOR_B + b"\3" * 512
    disk.flush()
    disk.close()
    assert image.read_bytes()[512:1536] == SECTOR_A + SECTOR_B
    assert image.stat().st_size == 10000 * 512


def test_a_snapshot_reads_its_own_writes_and_leaves_the_file_alone(image):
    before = image.read_bytes()
    disk = open_disk(image, snapshot=True)
    disk.write(9998, SECTOR_A + SECTOR_B)
    assert disk.read(9997, 3) == b"\x0d" * 512 + SECTOR_A + SECTOR_B
    disk.flush()
    disk.close()
    assert image.read_bytes() == before


def test_changes_move_from_one_disk_to_another(image):
    first, second = open_disk(image, snapshot=True), open_disk(image, snapshot=True)
    first.write(7, bytes(512))
    second.write(8, SECTOR_B)
    second.restore_changes(first.changes())
    assert second.read(7, 2) == bytes(512) + b"\x08" * 512
    assert first.changes() == ((7, bytes(512)),)
    first.close()
    second.close()


def test_a_short_last_sector_is_padded_with_zeros(tmp_path):
    path = tmp_path / "odd.img"
    path.write_bytes(b"x" * 700)
    disk = open_disk(path, medium="disk", read_only=True)
    assert disk.sectors == 2
    assert disk.read(1, 1) == b"x" * 188 + bytes(324)
    disk.close()


@pytest.mark.parametrize(("lba", "count"), [(10000, 1), (9999, 2), (-1, 1), (1 << 62, 1), (0, 10001), (0, -1)])
def test_a_transfer_past_the_end_is_refused(image, lba, count):
    disk = open_disk(image, snapshot=True)
    with pytest.raises(DiskError, match="past the end"):
        disk.read(lba, count)
    if count > 0:
        with pytest.raises(DiskError, match="past the end"):
            disk.write(lba, bytes(512 * count))
    disk.close()


def test_a_read_only_disk_refuses_writes_and_flushes_in_peace(image):
    disk = open_disk(image, read_only=True)
    with pytest.raises(DiskError, match="read-only"):
        disk.write(0, SECTOR_A)
    disk.flush()
    disk.close()


def test_half_a_sector_is_not_written(image):
    disk = open_disk(image, snapshot=True)
    with pytest.raises(DiskError, match="no whole sectors"):
        disk.write(0, b"half")
    disk.close()


def test_a_bare_boot_sector_becomes_a_floppy_in_memory(tmp_path):
    path = tmp_path / "boot.bin"
    path.write_bytes(SECTOR_A)
    disk = open_disk(path)
    assert (disk.floppy_type.name, disk.sectors, disk.geometry.sectors_per_track) == ("1.44M", 2880, 18)
    disk.write(0, SECTOR_B)
    disk.write(2879, SECTOR_B)
    assert disk.read(0, 2) == SECTOR_B + bytes(512)
    disk.close()
    assert path.read_bytes() == SECTOR_A


def test_a_whole_floppy_is_written_in_its_file(tmp_path):
    path = tmp_path / "a.img"
    path.write_bytes(bytes(368640))
    disk = open_disk(path)
    assert disk.floppy_type.name == "360K"
    disk.write(719, SECTOR_A)
    disk.close()
    assert path.read_bytes()[-512:] == SECTOR_A
    assert path.stat().st_size == 368640


def test_bytes_make_a_disk_whose_writes_stay_in_memory():
    disk = Disk.from_bytes(SECTOR_A, "hello")
    disk.write(0, SECTOR_B)
    assert disk.read(0, 1) == SECTOR_B
    assert disk.name == "hello"
    disk.flush()
    disk.close()


def test_a_hard_disk_is_no_floppy():
    with pytest.raises(ImageError, match="attach it as a hard disk"):
        Disk.from_bytes(bytes(4 << 20), "big", medium="floppy")


def test_a_missing_file_an_empty_file_and_a_folder_get_one_line_each(tmp_path):
    empty = tmp_path / "empty.img"
    empty.touch()
    cases = {tmp_path / "none": "no such file", empty: "is empty", tmp_path: "is a directory", empty / "x": "no such"}
    for path, words in cases.items():
        for read_only in (False, True):
            with pytest.raises(ImageError, match=words) as caught:
                open_disk(path, read_only=read_only)
            assert "\n" not in str(caught.value)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="not a regular file"):
        open_disk(tmp_path / "pipe", read_only=True)
    with pytest.raises(ImageError, match="not a regular file"):
        open_disk("/dev/null")


def test_a_name_that_cannot_be_one_is_refused():
    with pytest.raises(ImageError, match="not a file name"):
        open_disk("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_tells_of_ro(image):
    image.chmod(0o400)
    with pytest.raises(ImageError, match=r"may not be written; attach it with ,ro or ,snapshot"):
        open_disk(image)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 6000),
    steps=st.lists(st.tuples(st.integers(0, 11), st.binary(min_size=1, max_size=3)), max_size=12),
)
def test_a_volatile_disk_is_an_array_of_bytes(size, steps):
    disk = Disk.from_bytes(b"z" * size, "array", medium="disk")
    model = bytearray(b"z" * size).ljust(disk.sectors * 512, b"\0")
    for lba, pattern in steps:
        data = b"".join(bytes([value]) * 512 for value in pattern)
        if lba + len(pattern) <= disk.sectors:
            disk.write(lba, data)
            model[lba * 512 : lba * 512 + len(data)] = data
        else:
            with pytest.raises(DiskError):
                disk.write(lba, data)
    assert disk.read(0, disk.sectors) == bytes(model)
