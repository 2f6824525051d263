"""A host that fails under a disk: files that shrink, vanish, grow, fill up, and media that return errors."""

import errno
import os
import subprocess
import sys

import pytest

from minivm.errors import DiskError, ImageError
from minivm.storage.disk import Disk, open_disk

SECTOR, COUNT = 512, 100
A, B = b"A" * SECTOR, b"B" * SECTOR


@pytest.fixture
def image(tmp_path):
    """A disk's image of 100 sectors, each filled with its own number."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(bytes([number]) * SECTOR for number in range(COUNT)))
    return path


class FaultStore:
    """A store in memory that writes down what is asked of it, and fails at the bytes and deeds in `broken`."""

    def __init__(self, sectors=COUNT):
        self.data, self.size = bytearray(sectors * SECTOR), sectors * SECTOR
        self.broken, self.calls, self.closed = set(), [], False

    def _do(self, deed, *words):
        self.calls.append((deed, *words))
        if deed in self.broken or (deed, *words[:1]) in self.broken:
            raise DiskError(f"store: {deed} failed: {os.strerror(errno.EIO)}")

    def read(self, offset, length):
        self._do("read", offset // SECTOR)
        return bytes(self.data[offset : offset + length])

    def write(self, offset, data):
        self._do("write", offset // SECTOR, len(data) // SECTOR)
        self.data[offset : offset + len(data)] = data

    def flush(self):
        self._do("flush")

    def close(self):
        self.closed = True


@pytest.fixture
def store():
    """A store that can be broken."""
    return FaultStore()


@pytest.fixture
def disk(store):
    """A disk over it that writes through."""
    return Disk(store, "broken", read_only=False, volatile=False, medium="disk")


# -- the file changes under us ------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", [{}, {"read_only": True}, {"snapshot": True}])
def test_what_a_file_has_lost_is_an_error_and_not_zeros(image, how):
    disk = open_disk(image, medium="disk", **how)
    os.truncate(image, 50 * SECTOR)
    assert disk.read(49, 1) == b"\x31" * SECTOR
    for lba, count in ((49, 2), (50, 1), (99, 1), (0, 100)):
        with pytest.raises(DiskError, match=r"disk.img: byte \d+ is gone: the file had 51200 bytes and was made short"):
            disk.read(lba, count)
    disk.close()


def test_half_a_sector_that_is_lost_is_an_error_too(image):
    disk = open_disk(image, medium="disk")
    os.truncate(image, 50 * SECTOR + 100)
    with pytest.raises(DiskError, match="byte 25700 is gone"):
        disk.read(50, 1)
    disk.close()


def test_a_write_does_not_make_a_shortened_file_longer_again(image):
    disk = open_disk(image, medium="disk")
    os.truncate(image, 50 * SECTOR)
    disk.write(49, A)
    for lba in (50, 99):
        with pytest.raises(DiskError, match="is gone"):
            disk.write(lba, A)
    disk.close()
    assert image.stat().st_size == 50 * SECTOR


def test_a_snapshot_keeps_its_own_writes_whatever_becomes_of_the_file(image):
    disk = open_disk(image, medium="disk", snapshot=True)
    disk.write(60, A + B)
    os.truncate(image, 0)
    assert disk.read(60, 2) == A + B
    with pytest.raises(DiskError, match="is gone"):
        disk.read(60, 3)
    disk.close()


def test_what_a_file_gains_is_no_part_of_the_disk(image):
    disk = open_disk(image, medium="disk")
    with image.open("ab") as file:
        file.write(A * 10)
    assert disk.sectors == COUNT
    for action in (lambda: disk.read(COUNT, 1), lambda: disk.write(COUNT, B)):
        with pytest.raises(DiskError, match="past the end"):
            action()
    disk.close()
    assert image.read_bytes()[COUNT * SECTOR :] == A * 10


def test_a_last_sector_that_the_file_has_in_part_stays_padded_when_the_file_grows(tmp_path):
    path = tmp_path / "odd.img"
    path.write_bytes(b"x" * 700)
    disk = open_disk(path, medium="disk", read_only=True)
    with path.open("ab") as file:
        file.write(b"y" * 700)
    assert disk.read(1, 1) == b"x" * 188 + bytes(324)
    disk.close()


def test_a_last_sector_that_the_file_has_in_part_is_made_whole_by_a_write(tmp_path):
    path = tmp_path / "odd.img"
    path.write_bytes(b"x" * 700)
    disk = open_disk(path, medium="disk")
    disk.write(1, A)
    assert disk.read(0, 2) == b"x" * SECTOR + A
    disk.close()
    assert path.read_bytes() == b"x" * SECTOR + A


def test_a_file_that_was_removed_is_there_as_long_as_it_is_open(image):
    disk = open_disk(image, medium="disk")
    image.unlink()
    disk.write(5, A)
    disk.flush()
    assert disk.read(5, 2) == A + b"\x06" * SECTOR
    disk.close()


def test_rights_that_are_taken_away_change_nothing_for_a_disk_that_is_open(image):
    disk = open_disk(image, medium="disk")
    image.chmod(0)
    disk.write(5, A)
    assert disk.read(5, 1) == A
    disk.close()


# -- the host has no room -----------------------------------------------------------------------------------------
FULL = """
import resource, sys
from minivm.errors import DiskError
from minivm.storage.disk import open_disk

disk = open_disk(sys.argv[1], medium="disk")
if sys.argv[2] == "held":
    disk.hold()
disk.write(10, b"A" * 512)
resource.setrlimit(resource.RLIMIT_FSIZE, (50 * 512, 50 * 512))
try:
    disk.write(40, b"B" * 20 * 512)
    disk.commit()
    print("nothing happened")
except DiskError as error:
    print(error)
print(disk.read(10, 1) == b"A" * 512, disk.read(59, 1) == (b"B" if sys.argv[2] == "held" else bytes([59])) * 512)
try:
    disk.close()
    print("closed")
except DiskError as error:
    print(error)
"""


@pytest.mark.parametrize("way", ["direct", "held"])
def test_a_host_without_room_is_an_error_and_memory_keeps_what_was_held(image, way):
    result = subprocess.run([sys.executable, "-c", FULL, image, way], capture_output=True, text=True, check=False)
    error, kept, closed = result.stdout.splitlines()
    assert error == f"{image}: cannot be written at byte {50 * SECTOR}: File too large"
    assert kept == "True True"
    assert closed == ("closed" if way == "direct" else error)
    assert result.stderr == ""


def test_a_full_file_system_is_an_error(image, monkeypatch):
    disk = open_disk(image, medium="disk")

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail)
        with pytest.raises(DiskError, match="cannot be written at byte 2560: No space left on device"):
            disk.write(5, A)
    assert disk.read(5, 1) == b"\x05" * SECTOR
    disk.close()


@pytest.mark.parametrize(
    ("name", "words"), [("pread", "cannot be read at byte 2560"), ("pwrite", "cannot be written at byte 2560"),
                        ("fdatasync", "cannot be flushed")]
)  # fmt: skip
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_an_error_of_the_host_is_a_disk_error_in_one_line(image, monkeypatch, name, words, number):
    disk = open_disk(image, medium="disk")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(DiskError) as caught:
            {"pread": lambda: disk.read(5, 1), "pwrite": lambda: disk.write(5, A), "fdatasync": disk.flush}[name]()
    assert str(caught.value) == f"{image}: {words}: {os.strerror(number)}"
    disk.read(5, 1)
    disk.close()


def test_an_image_whose_first_sector_cannot_be_read_is_refused_and_given_back(image, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(ImageError, match="cannot be read at byte 0: Input/output error"):
            open_disk(image)
    open_disk(image).close()


def test_transfers_that_the_host_does_in_pieces_are_whole(image, monkeypatch):
    disk = open_disk(image, medium="disk")
    pread, pwrite = os.pread, os.pwrite
    monkeypatch.setattr(os, "pread", lambda file, length, at: pread(file, min(length, 700), at))
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, data[:300], at))
    disk.write(7, A + B)
    assert disk.read(6, 4) == b"\x06" * SECTOR + A + B + b"\x09" * SECTOR
    disk.close()


# -- flushes ------------------------------------------------------------------------------------------------------
@pytest.fixture
def flushed(monkeypatch):
    """What was in each file when the host was asked to bring it to its disk."""
    contents = []

    def look(descriptor):
        contents.append(os.pread(descriptor, COUNT * SECTOR, 0))

    monkeypatch.setattr(os, "fdatasync", look)
    return contents


def test_a_flush_reaches_the_hosts_disk_behind_every_write_before_it(image, flushed):
    disk = open_disk(image, medium="disk")
    disk.write(5, A)
    disk.flush()
    assert flushed[0][5 * SECTOR : 6 * SECTOR] == A
    disk.close()
    assert len(flushed) == 1  # nothing was written since


def test_closing_flushes_what_was_not_flushed(image, flushed):
    disk = open_disk(image, medium="disk")
    disk.write(5, A)
    disk.close()
    assert [content[5 * SECTOR : 6 * SECTOR] for content in flushed] == [A]
    disk.close()
    assert len(flushed) == 1


@pytest.mark.parametrize("how", [{"read_only": True}, {"snapshot": True}])
def test_who_writes_no_file_flushes_none(image, flushed, how):
    disk = open_disk(image, medium="disk", **how)
    disk.flush()
    disk.close()
    assert flushed == []


def test_an_error_that_shows_only_at_close_is_told_and_the_image_given_back(image, monkeypatch):
    for name in ("fdatasync", "close"):
        disk = open_disk(image, medium="disk")
        disk.write(5, A)
        with monkeypatch.context() as patch:
            real = os.close

            def fail(descriptor, real=real, name=name):
                if name == "close":
                    real(descriptor)
                raise OSError(errno.EIO, "Input/output error")

            patch.setattr(os, name, fail)
            with pytest.raises(DiskError, match=r"disk.img: cannot be (flushed|closed): Input/output error"):
                disk.close()
        disk.close()
        open_disk(image).close()


# -- what is held ---------------------------------------------------------------------------------------------------
def test_a_commit_writes_everything_in_order_and_then_flushes(store, disk):
    disk.hold()
    disk.write(30, A + A)
    disk.write(5, B)
    assert [call for call in store.calls if call[0] != "read"] == []
    disk.commit()
    assert [call for call in store.calls if call[0] != "read"] == [("write", 5, 1), ("write", 30, 2), ("flush",)]
    assert disk.changes() == ()


@pytest.mark.parametrize("broken", [("write", 5), ("write", 30), "flush"])
def test_a_commit_that_fails_keeps_everything_and_can_be_done_again(store, disk, broken):
    disk.hold()
    disk.write(30, A + A)
    disk.write(5, B)
    store.broken.add(broken)
    with pytest.raises(DiskError, match="Input/output error"):
        disk.commit()
    assert (disk.read(30, 2), disk.read(5, 1)) == (A + A, B)
    assert [number for number, _ in disk.changes()] == [5, 30, 31]
    store.broken.clear()
    disk.commit()
    assert bytes(store.data[5 * SECTOR : 6 * SECTOR]) == B
    assert store.calls[-1] == ("flush",)


def test_a_close_that_cannot_commit_tells_so_and_gives_the_file_back(store, disk):
    disk.hold()
    disk.write(5, B)
    store.broken.add(("write", 5))
    with pytest.raises(DiskError, match="Input/output error"):
        disk.close()
    assert store.closed


def test_a_medium_that_fails_at_one_sector_serves_the_others(store, disk):
    store.broken |= {("read", 7), ("write", 8)}
    assert disk.read(6, 1) == bytes(SECTOR)
    disk.write(7, A)
    for action in (lambda: disk.read(7, 1), lambda: disk.write(8, A)):
        with pytest.raises(DiskError, match="Input/output error"):
            action()


def test_a_fork_that_cannot_be_given_the_old_sectors_stops_the_write(store, disk):
    fork = disk.fork()
    store.broken.add(("read", 7))
    with pytest.raises(DiskError):
        disk.write(7, A)
    assert bytes(store.data[7 * SECTOR : 8 * SECTOR]) == bytes(SECTOR)
    store.broken.clear()
    disk.write(7, A)
    assert fork.read(7, 1) == bytes(SECTOR)
