"""Disks that go back in time: held writes, overlays, commits and forks."""

import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.errors import DiskError
from minivm.storage.disk import Disk, open_disk
from minivm.storage.overlay import GROUP, SectorTable

SECTORS = 3 * GROUP


def sector(value):
    return bytes([value]) * 512


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(SECTORS * 512))
    return path


@pytest.fixture
def disk(image):
    disk = open_disk(image, medium="disk")
    yield disk
    disk.close()


def test_a_held_disk_reads_its_writes_and_the_file_does_not_have_them(disk, image):
    disk.hold()
    disk.hold()
    disk.write(5, sector(1) + sector(2))
    disk.flush()
    assert disk.read(4, 4) == bytes(512) + sector(1) + sector(2) + bytes(512)
    assert image.read_bytes() == bytes(SECTORS * 512)
    disk.discard()


def test_commit_brings_what_is_held_to_the_file_and_goes_on_holding(disk, image):
    disk.hold()
    disk.write(5, sector(1) + sector(2))
    disk.write(2 * GROUP - 1, sector(3) + sector(4))
    disk.commit()
    assert image.read_bytes()[5 * 512 : 7 * 512] == sector(1) + sector(2)
    assert image.read_bytes()[(2 * GROUP - 1) * 512 :][:1024] == sector(3) + sector(4)
    assert disk.changes() == ()
    disk.write(5, sector(9))
    assert image.read_bytes()[5 * 512] == 1
    assert disk.read(5, 1) == sector(9)


def test_close_commits_what_is_held_and_discard_before_it_does_not(image):
    for drops, expected in ((True, 0), (False, 7)):
        disk = open_disk(image, medium="disk")
        disk.hold()
        disk.write(0, sector(7))
        if drops:
            disk.discard()
            assert disk.read(0, 1) == bytes(512)
        disk.close()
        disk.close()
        assert image.read_bytes()[0] == expected


def test_a_host_that_fails_at_a_commit_leaves_what_is_held(disk, monkeypatch):
    disk.hold()
    disk.write(5, sector(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DiskError, match="No space left"):
            disk.commit()
    assert disk.changes() == ((5, sector(1)),)
    disk.commit()


def test_a_file_that_fails_at_close_is_given_back_all_the_same(image, monkeypatch):
    disk = open_disk(image, medium="disk")
    disk.hold()
    disk.write(5, sector(1))
    monkeypatch.setattr(os, "fdatasync", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(DiskError, match="Input/output error"):
        disk.close()
    open_disk(image, medium="disk").close()  # the lock is free


def test_a_disk_goes_back_to_any_of_its_overlays(disk):
    disk.hold()
    overlays = [disk.overlay()]
    for value in range(1, 6):
        disk.write(value * 100, sector(value) + sector(value))
        disk.write(0, sector(value))
        overlays.append(disk.overlay())
    for value in (2, 5, 0, 3):
        disk.restore_overlay(overlays[value])
        assert disk.read(0, 1) == sector(value)
        assert disk.read(value * 100 + 1, 1) == sector(value)
        assert disk.read(500, 1) == sector(5 if value == 5 else 0)
        disk.write(value * 100 + 1, sector(99))  # a branch, which no overlay may see
    disk.discard()


def test_an_overlay_tells_what_is_new_since_an_older_one(disk):
    disk.hold()
    disk.write(1, sector(1))
    disk.write(GROUP, sector(1))
    older = disk.overlay()
    disk.write(2, sector(2))
    disk.write(1, sector(1))
    newer = disk.overlay()
    assert list(newer.since(older)) == [(2, sector(2))]
    assert list(newer) == [(1, sector(1)), (2, sector(2)), (GROUP, sector(1))]
    assert (len(newer), len(older)) == (3, 2)
    disk.discard()


def test_a_disk_that_writes_to_its_file_has_no_overlay(disk):
    with pytest.raises(DiskError, match="hold the disk first"):
        disk.overlay()
    with pytest.raises(DiskError, match="hold the disk first"):
        disk.restore_overlay(SectorTable().copy())


def test_an_overlay_from_before_a_commit_is_refused(disk):
    disk.hold()
    before = disk.overlay()
    disk.write(0, sector(1))
    disk.commit()
    with pytest.raises(DiskError, match="cannot go back"):
        disk.restore_overlay(before)
    disk.restore_overlay(disk.overlay())


def test_a_fork_does_not_see_what_its_parent_writes_to_the_file(disk, image):
    disk.write(1, sector(1))
    fork = disk.fork()
    twin = fork.fork()
    fork.write(2, sector(20))
    disk.write(1, sector(2) + sector(3) + sector(4))
    assert fork.read(1, 3) == sector(1) + sector(20) + bytes(512)
    assert twin.read(1, 3) == sector(1) + bytes(1024)
    assert disk.read(1, 3) == sector(2) + sector(3) + sector(4) == image.read_bytes()[512:2048]
    assert (fork.sectors, fork.geometry, fork.floppy_type) == (disk.sectors, disk.geometry, None)
    fork.close()
    twin.close()


def test_a_fork_of_a_held_disk_has_what_is_held_and_keeps_it(disk):
    disk.hold()
    disk.write(1, sector(1))
    fork = disk.fork()
    disk.write(1, sector(2))
    disk.commit()
    assert fork.read(1, 1) == sector(1)
    fork.commit()
    fork.close()
    assert disk.read(1, 1) == sector(2)


def test_the_last_of_a_family_closes_the_file(image):
    disk = open_disk(image, medium="disk")
    fork = disk.fork()
    disk.close()
    fork.write(0, sector(1))
    assert fork.read(0, 2) == sector(1) + bytes(512)
    fork.close()
    open_disk(image, medium="disk").close()  # the lock is free
    assert image.read_bytes() == bytes(SECTORS * 512)


def test_a_fork_of_a_read_only_disk_is_read_only(image):
    disk = open_disk(image, read_only=True, medium="disk")
    fork = disk.fork()
    with pytest.raises(DiskError, match="read-only"):
        fork.write(0, sector(1))
    assert list(disk.overlay()) == []
    disk.hold()
    disk.close()
    fork.close()


def test_an_overlay_of_a_big_table_copies_no_sectors():
    table = SectorTable()
    for lba in range(100 * GROUP):
        table.put(lba, sector(1))
    first = table.copy()
    table.put(3, sector(2))
    second = table.copy()
    assert sys.getsizeof(first.groups) < 10_000
    assert sum(second.groups[number] is not first.groups[number] for number in first.groups) == 1
    assert [data[0] for _, data in first][:5] == [1] * 5


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "overlay", "restore", "fork", "commit", "discard", "close"]),
            st.integers(0, 5),
            st.integers(0, SECTORS - 3),
            st.integers(1, 255),
        ),
        max_size=30,
    ),
    held=st.booleans(),
)
def test_a_family_of_disks_is_so_many_arrays_of_bytes(tmp_path_factory, steps, held):
    path = tmp_path_factory.mktemp("family") / "disk.img"
    path.write_bytes(bytes(SECTORS * 512))
    first = open_disk(path, medium="disk")
    if held:
        first.hold()
    on_file = bytearray(SECTORS * 512)
    family = [(first, bytearray(on_file), [])]
    for action, who, lba, value in steps:
        disk, model, overlays = family[who % len(family)]
        if action == "write":
            data = sector(value) + sector(255 - value)
            disk.write(lba, data)
            model[lba * 512 : lba * 512 + 1024] = data
        elif action == "overlay" and (held or disk is not first):
            overlays.append((disk.overlay(), bytes(model)))
        elif action == "restore" and overlays:
            overlay, then = overlays[value % len(overlays)]
            try:
                disk.restore_overlay(overlay)
                model[:] = then
            except DiskError:
                overlays.clear()
        elif action == "fork" and len(family) < 5:
            family.append((disk.fork(), bytearray(model), list(overlays)))
        elif action == "commit":
            disk.commit()
        elif action == "discard" and held and disk is first:
            disk.discard()
            model[:] = path.read_bytes()
        elif action == "close" and disk is not first:
            disk.close()
            family.pop(who % len(family))
        for member, expected, _ in family:
            assert member.read(0, SECTORS) == expected
    for member, _, _ in reversed(family):
        member.close()
    assert path.read_bytes() == family[0][1]
    path.unlink()


def test_a_disk_of_bytes_forks_too():
    disk = Disk.from_bytes(sector(1), "floppy")
    disk.hold()
    disk.write(1, sector(2))
    fork = disk.fork()
    fork.write(0, sector(3))
    assert disk.read(0, 2) == sector(1) + sector(2)
    assert fork.read(0, 2) == sector(3) + sector(2)
    disk.close()
    fork.close()


@settings(max_examples=100, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 2 * GROUP + 40), st.integers(1, GROUP + 30)), max_size=6),
    lba=st.integers(0, 3 * GROUP),
    count=st.integers(0, 2 * GROUP),
)
def test_a_table_tells_which_of_a_range_it_has_in_order(runs, lba, count):
    table, model = SectorTable(), {}
    for place, (first, length) in enumerate(runs):
        data = [bytes([place, number & 0xFF]) * 256 for number in range(first, first + length)]
        table.put_run(first, b"".join(data))
        model |= dict(zip(range(first, first + length), data, strict=True))
    assert table.within(lba, count) == sorted((at, model[at]) for at in model if lba <= at < lba + count)
    assert list(table.copy()) == sorted(model.items())
