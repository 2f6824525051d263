"""Disks: raw images as arrays of 512-byte sectors.

A `Disk` reads from a file (or from bytes) and keeps writes where they belong: in the file, or, for a snapshot, in a
table of changed sectors that vanishes with the machine. Time travel *holds* a disk: its writes wait in the table, where
they can be taken back, until `commit` or `close`. The drive that shows it to the guest is another part.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

from minivm.errors import DiskError, ImageError
from minivm.storage.geometry import (
    LARGEST_FLOPPY,
    SECTOR,
    FloppyType,
    Geometry,
    floppy_for,
    hard_disk_geometry,
)
from minivm.storage.image_files import open_image_file
from minivm.storage.locks import lock
from minivm.storage.overlay import Overlay, SectorTable
from minivm.storage.stores import BytesStore, FileStore, Store

Medium = Literal["floppy", "disk", "cdrom"]
CD_BLOCK = 4
"""Sectors in a block of a CD, which has 2048 bytes (ECMA-119, section 6.1.2)."""
_DIGEST_PIECE = 1 << 20


class Failing(Protocol):
    """Who makes a disk fail on purpose: `minivm.testing.faults.DiskFaults`."""

    def before(self, kind: str, lba: int, count: int) -> None:
        """Hear of a "read" or "write" before it is done; raises `DiskError` when it shall fail."""

    def shorten(self, lba: int, data: bytes, sector_bytes: int) -> bytes:
        """Return what of the `data` read really comes."""


class _Family:
    """A disk and its forks: all read one store, which the last of them closes.

    `version` counts how often the store was changed under the forks and the overlays.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.members: list[Disk] = []
        self.version = 0


class Disk:
    """An array of 512-byte sectors.

    `sectors` counts them, `geometry` is the shape that INT 13h reports, `floppy_type` is None for what is no floppy. A
    `medium` of "cdrom" has whole blocks of four sectors and is always read-only. With
    `volatile`, writes are kept in memory and never reach `store`. What lies behind the end of `store` reads as zeros.
    While a disk is `held`, its writes are kept in memory, too, but `commit` and `close` bring them to `store`: if the
    host's process is killed before, they are lost, all of them, as if the guest had never written.
    """

    def __init__(self, store: Store, name: str, *, read_only: bool, volatile: bool, medium: Medium) -> None:
        self.name = name
        self.medium = medium
        self.read_only = read_only or medium == "cdrom"
        self.volatile = volatile
        self.held = False
        self.faults: Failing | None = None
        self.floppy_type: FloppyType | None = None
        self._store = store
        self._family = _Family(store)
        self._family.members.append(self)
        self._changed = SectorTable()
        self._shape(store.read(0, SECTOR))

    def _shape(self, boot_sector: bytes) -> None:
        if self.medium != "floppy":
            unit = CD_BLOCK if self.medium == "cdrom" else 1
            self.sectors = -(-self._store.size // (SECTOR * unit)) * unit
            self.geometry: Geometry = hard_disk_geometry(self.sectors, boot_sector)
            return
        self.floppy_type = floppy_for(self._store.size, boot_sector)
        if self.floppy_type is None:
            raise ImageError(
                f"{self.name}: {self._store.size} bytes do not fit a floppy ({LARGEST_FLOPPY.size} at most); "
                "attach it as a hard disk"
            )
        self.geometry = self.floppy_type.geometry
        self.sectors = self.geometry.sectors
        # A file shorter than its floppy must not grow because a guest wrote to the part that it lacks.
        self.volatile = self.volatile or self._store.size < self.floppy_type.size

    @classmethod
    def from_bytes(cls, data: bytes, name: str, *, read_only: bool = False, medium: Medium | None = None) -> "Disk":
        """Make a disk of `data`, padded with zeros; writes stay in memory. The medium follows from the size."""
        if not data:
            raise ImageError(f"{name}: is empty; a disk needs at least one byte")
        return cls(
            BytesStore(data), name, read_only=read_only, volatile=True, medium=medium or medium_of_size(len(data))
        )

    def read(self, lba: int, count: int) -> bytes:
        """Return the `count` sectors from `lba`; raises `DiskError` past the end or when the host fails."""
        self._check(lba, count)
        if self.faults is None:
            return self._read(lba, count)
        self.faults.before("read", lba, count)
        return self.faults.shorten(lba, self._read(lba, count), SECTOR)

    def _read(self, lba: int, count: int) -> bytes:
        kept = self._changed.within(lba, count) if self._changed else []
        if kept and len(kept) == count:
            return b"".join([sector for _, sector in kept])  # whatever has become of the file
        data = self._store.read(lba * SECTOR, count * SECTOR).ljust(count * SECTOR, b"\0")
        return _patched(data, lba, kept) if kept else data

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors from `lba`; raises `DiskError` past the end, read-only, or when the host fails."""
        if len(data) % SECTOR:
            raise DiskError(f"{self.name}: {len(data)} bytes are no whole sectors")
        count = len(data) // SECTOR
        self._check(lba, count)
        if self.read_only:
            raise DiskError(f"{self.name}: is read-only")
        if self.faults is not None:
            self.faults.before("write", lba, count)
        if self._writes_through:
            self._write_store(lba, bytes(data))
            return
        self._changed.put_run(lba, bytes(data))

    def base(self) -> tuple[str, int]:
        """Return BLAKE2b-256 in hex and the size in bytes of the image alone, without what is kept in memory."""
        from hashlib import blake2b

        digest, size = blake2b(digest_size=32), self._store.size
        for offset in range(0, size, _DIGEST_PIECE):
            digest.update(self._store.read(offset, min(_DIGEST_PIECE, size - offset)))
        return digest.hexdigest(), size

    def image(self) -> bytes:
        """Return the bytes of the image alone, without what is kept in memory."""
        return self._store.read(0, self._store.size)

    # -- what is kept in memory -----------------------------------------------------------------------------------
    def changes(self) -> tuple[tuple[int, bytes], ...]:
        """Return the sectors that are kept in memory, in order: what a snapshot must save."""
        return tuple(self._changed.copy())

    def restore_changes(self, changes: Iterable[tuple[int, bytes]]) -> None:
        """Replace the sectors that are kept in memory by `changes`."""
        self._changed.replace(changes)

    def overlay(self) -> Overlay:
        """Return the sectors that are kept in memory, without copying them: what a keyframe remembers.

        Raises `DiskError` for a disk that writes to its file; `hold` it first.
        """
        self._check_kept()
        return self._changed.copy(self._family.version)

    def restore_overlay(self, overlay: Overlay) -> None:
        """Return to what the disk held when `overlay` was taken, of this disk or of one that it was forked from.

        Raises `DiskError` when the file has been written since, by a `commit` or by another disk over it.
        """
        self._check_kept()
        if overlay.version != self._family.version:
            raise DiskError(f"{self.name}: its file was written since then, so the disk cannot go back")
        self._changed.restore(overlay)

    def _check_kept(self) -> None:
        if self._writes_through:
            raise DiskError(f"{self.name}: writes to its file, which cannot go back in time; hold the disk first")

    def hold(self) -> None:
        """Keep writes in memory from now on, so that they can be taken back; holding twice is harmless."""
        self.held = True

    def commit(self) -> None:
        """Bring what is kept to the file and to the host's disk, then go on holding; nothing to do when volatile.

        A crash in the middle leaves some sectors old and some new, each of them whole. Overlays from before can no more
        be restored. Raises `DiskError` when the host fails; what is kept is still kept then.
        """
        if self.volatile or self.read_only or not self._changed:
            return
        for lba, data in self._changed.runs():
            self._write_store(lba, data)
        self._store.flush()
        self._changed.replace(())

    def discard(self) -> None:
        """Forget what is kept in memory: the disk is the file's again."""
        self._changed.replace(())

    def fork(self) -> "Disk":
        """Return a disk with the same sectors, whose own writes stay in memory; neither sees what the other writes."""
        twin = object.__new__(Disk)
        twin.__dict__.update(self.__dict__)
        twin.volatile, twin.held, twin.faults = True, False, None
        twin._changed = SectorTable()
        twin._changed.restore(self._changed.copy())
        self._family.members.append(twin)
        return twin

    def flush(self) -> None:
        """Make sure that what was written to the file is on the host's disk; what is held waits for `commit`."""
        if not self.read_only and self._writes_through:
            self._store.flush()

    def close(self) -> None:
        """Commit what is held and give the file back; closing twice is harmless.

        Call `discard` before to drop it instead. Raises `DiskError` when the host fails, with the file given back.
        """
        if self not in self._family.members:
            return
        try:
            if self.held:
                self.commit()
        finally:
            self._family.members.remove(self)
            if not self._family.members:
                self._store.close()

    @property
    def _writes_through(self) -> bool:
        return not (self.volatile or self.held or self.read_only)

    def _write_store(self, lba: int, data: bytes) -> None:
        """Change the store; the forks first take the old sectors into their own tables."""
        family = self._family
        for fork in family.members:
            if fork is not self:
                fork._keep(lba, len(data) // SECTOR)
        family.version += 1
        self._store.write(lba * SECTOR, data)

    def _keep(self, lba: int, count: int) -> None:
        self._changed.put_run(lba, self._read(lba, count))

    def _check(self, lba: int, count: int) -> None:
        if lba < 0 or count < 0 or lba + count > self.sectors:
            raise DiskError(f"{self.name}: sectors {lba} to {lba + count - 1} lie past the end, {self.sectors}")


def _patched(data: bytes, lba: int, sectors: list[tuple[int, bytes]]) -> bytes:
    """Return `data`, which lies from sector `lba` on, with `sectors` in their places."""
    patched = bytearray(data)
    for number, sector in sectors:
        at = (number - lba) * SECTOR
        patched[at : at + SECTOR] = sector
    return bytes(patched)


def medium_of_size(size: int) -> Medium:
    """Return what an image of `size` bytes is taken for: up to 2.88M a floppy, above it a hard disk."""
    return "floppy" if size <= LARGEST_FLOPPY.size else "disk"


def open_disk(
    path: str | Path,
    *,
    read_only: bool = False,
    snapshot: bool = False,
    unlocked: bool = False,
    medium: Medium | None = None,
) -> Disk:
    """Open the raw image at `path`; without `medium` its size decides (up to 2.88M a floppy).

    With `snapshot`, the guest may write, but the file never changes. A writer locks the file for itself as long as it
    is open, all others share it, so that nobody reads an image that another machine writes; who is no writer may go
    `unlocked`. Raises `ImageError` in one line.
    """
    name = str(path)
    writes = not read_only and not snapshot and medium != "cdrom"
    descriptor = open_image_file(name, writes=writes)
    try:
        if writes or not unlocked:
            lock(descriptor, name, alone=writes)
        size = os.lseek(descriptor, 0, os.SEEK_END)  # unlike fstat, this knows the size of a block device
        if size == 0:
            raise ImageError(f"{name}: is empty; a disk needs at least one sector")
        store = FileStore(descriptor, name, size)
        return Disk(store, name, read_only=read_only, volatile=snapshot, medium=medium or medium_of_size(size))
    except DiskError as error:
        os.close(descriptor)
        raise ImageError(str(error)) from error
    except BaseException:
        os.close(descriptor)
        raise
