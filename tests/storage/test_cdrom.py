"""CDs: disks of blocks of 2048 bytes that nobody writes."""

import pytest

from minivm.errors import DiskError
from minivm.storage.disk import Disk, open_disk


@pytest.mark.parametrize(("size", "sectors"), [(1, 4), (2048, 4), (2049, 8), (8192, 16)])
def test_a_cd_has_whole_blocks_of_four_sectors(size, sectors):
    disc = Disk.from_bytes(b"x" * size, "disc", medium="cdrom")
    assert (disc.sectors, disc.medium, disc.floppy_type) == (sectors, "cdrom", None)
    assert disc.read(0, sectors) == (b"x" * size).ljust(sectors * 512, b"\0")


def test_nobody_writes_a_cd_however_it_was_opened(tmp_path):
    path = tmp_path / "disc.iso"
    path.write_bytes(bytes(4096))
    for options in ({}, {"snapshot": True}, {"read_only": True}):
        disc = open_disk(path, medium="cdrom", **options)
        with pytest.raises(DiskError, match="is read-only"):
            disc.write(0, bytes(512))
        disc.flush()
        disc.close()


def test_a_disc_that_may_not_be_written_is_opened_all_the_same(tmp_path):
    path = tmp_path / "disc.iso"
    path.write_bytes(bytes(4096))
    path.chmod(0o444)
    one, two = open_disk(path, medium="cdrom"), open_disk(path, medium="cdrom")
    assert one.read(0, 8) == two.read(0, 8) == bytes(4096)
    one.close()
    two.close()
