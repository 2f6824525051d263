"""Which medium a drive number means: diskettes from 00h, hard disks from 80h, CDs from E0h, and a CD's image as one.

El Torito 1.0, section 2: while a CD emulates a diskette or a hard disk, its image is the first drive of that kind and
the machine's own drives of that kind move up by one.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from minivm.core.record import record
from minivm.firmware.ebda import EMULATION
from minivm.firmware.services import Board

SECTOR = 512
CD_BLOCK = 2048
SECTORS_PER_BLOCK = CD_BLOCK // SECTOR
FIRST_HARD_DISK = 0x80
FIRST_CD = 0xE0
EMULATING = 1
"""`emulation_state` while an image stands in for a drive."""

Kind = Literal["floppy", "disk", "cd"]


class DiskGeometry(Protocol):
    """Cylinders, heads and sectors a track, as the drive itself has them."""

    @property
    def cylinders(self) -> int:
        """Cylinders, counted from 0."""

    @property
    def heads(self) -> int:
        """Heads, counted from 0."""

    @property
    def sectors_per_track(self) -> int:
        """Sectors a track, counted from 1."""


class Disk(Protocol):
    """A disk as INT 13h needs it: sectors of 512 bytes; four of a CD's make one of its blocks."""

    @property
    def sectors(self) -> int:
        """How many sectors there are."""

    @property
    def geometry(self) -> DiskGeometry:
        """The drive's own geometry."""

    @property
    def read_only(self) -> bool:
        """True when writing is refused."""

    def read(self, lba: int, count: int) -> bytes:
        """Return `count` sectors from `lba`."""

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors from `lba`."""


@record
class Geometry:
    """What INT 13h shows: at most 1024 cylinders, 255 heads and 63 sectors."""

    cylinders: int
    heads: int
    sectors_per_track: int

    def lba(self, cylinder: int, head: int, sector: int) -> int | None:
        """Return the block number, None when there is no such sector."""
        if cylinder >= self.cylinders or head >= self.heads or not 1 <= sector <= self.sectors_per_track:
            return None
        return (cylinder * self.heads + head) * self.sectors_per_track + sector - 1


def translate(disk: Disk) -> Geometry:
    """Return the geometry that INT 13h shows for a hard disk.

    A drive of up to 1024 cylinders is shown as it is. One of up to 131,072 tracks has its cylinders halved and its
    heads doubled until it fits; a larger one gets 63 sectors and as many heads as it needs ("LBA assisted"). Guests
    find partitions by this, so it is the rule that most BIOSes of today follow.
    """
    own = disk.geometry
    cylinders, heads, sectors = own.cylinders, own.heads, own.sectors_per_track
    if not (cylinders and heads and sectors) or (cylinders > 1024 and cylinders * heads > 131_072):
        return _lba_assisted(disk.sectors)
    while cylinders > 1024 and heads <= 127:
        cylinders, heads = cylinders >> 1, heads << 1
    return Geometry(min(cylinders, 1024), heads, sectors)


def _lba_assisted(total: int) -> Geometry:
    heads = next((count for count in (16, 32, 64, 128) if total <= 1024 * count * 63), 255)
    return Geometry(max(1, min(1024, total // (heads * 63))), heads, 63)


# Sectors on a diskette -> drive type, as the CMOS byte 10h and AH=08h have it
_DISKETTE_TYPES = {320: 1, 360: 1, 640: 1, 720: 1, 1440: 3, 2400: 2, 2880: 4, 3360: 4, 3444: 4, 5760: 5}


def diskette_type(disk: Disk | None) -> int:
    """Return the drive's type by the diskette in it: 1 360 KB, 2 1.2 MB, 3 720 KB, 4 1.44 MB, 5 2.88 MB."""
    if disk is None:
        return 4
    shown = disk.geometry
    return _DISKETTE_TYPES.get(shown.cylinders * shown.heads * shown.sectors_per_track, 4)


class CdImage:
    """A diskette or a hard disk that lies in one piece on a CD, as a write-protected `Disk`."""

    read_only = True

    def __init__(self, cd: Disk | None, first: int, sectors: int, geometry: Geometry) -> None:
        self._cd = cd
        self._first = first
        self.sectors = max(0, min(sectors, cd.sectors - first)) if cd is not None else 0
        self.geometry = geometry

    def read(self, lba: int, count: int) -> bytes:
        """Return `count` sectors from `lba` of the image."""
        return self._cd.read(self._first + lba, count) if self._cd is not None else b""

    def write(self, lba: int, data: bytes) -> None:
        """Lose the data: callers look at `read_only` first."""


@record
class Drive:
    """One drive: its number, kind, place among the real ones of its kind (None for a CD's image) and its medium."""

    number: int
    kind: Kind
    place: int | None
    medium: Disk | None

    @property
    def sectors_per_block(self) -> int:
        """How many sectors of 512 bytes make a block of the extensions."""
        return SECTORS_PER_BLOCK if self.kind == "cd" else 1

    @property
    def geometry(self) -> Geometry:
        """The geometry that callers use; an empty diskette drive is a 1.44 MB one."""
        if self.medium is None:
            return Geometry(80, 2, 18)
        if self.kind == "disk":
            return translate(self.medium)
        own = self.medium.geometry
        return Geometry(own.cylinders, own.heads, own.sectors_per_track)


class Drives:
    """The machine's drives: `floppies` and `cdroms` (None where no medium is in the drive) and `disks`."""

    def __init__(
        self, board: Board, floppies: Sequence[Disk | None], disks: Sequence[Disk], cdroms: Sequence[Disk | None]
    ) -> None:
        self._ebda = board.ebda
        self.floppies = floppies
        self.disks = disks
        self.cdroms = cdroms

    def find(self, number: int) -> Drive | None:
        """Return the drive of that number, None when there is none."""
        if number >= FIRST_CD:
            return _real(number, "cd", number - FIRST_CD, self.cdroms)
        place = number & 0x7F
        if self._emulated(number):
            if place == 0:
                return Drive(number, "disk" if number & 0x80 else "floppy", None, self._image())
            place -= 1
        if number & 0x80:
            return _real(number, "disk", place, self.disks)
        return _real(number, "floppy", place, self.floppies)

    def count(self, number: int) -> int:
        """Return how many drives there are of the kind of drive `number`."""
        own = self.disks if number & 0x80 else self.floppies
        return len(own) + self._emulated(number)

    def ata_place(self, drive: Drive) -> int | None:
        """Return which of the four ATA drives it is: 0 primary master to 3 secondary slave.

        Disks fill the places from 0; CDs take what is left of 2, 3, 1, 0 in this order.
        """
        if drive.place is None or drive.kind == "floppy":
            return None
        if drive.kind == "disk":
            return drive.place if drive.place < 4 else None
        free = [place for place in (2, 3, 1, 0) if place >= len(self.disks)]
        return free[drive.place] if drive.place < len(free) else None

    def _emulated(self, number: int) -> bool:
        """Tell whether the first drive of the kind of `number` is a CD's image."""
        ebda = self._ebda
        return ebda.emulation_state == EMULATING and not (self._emulated_number() ^ number) & 0x80

    def _emulated_number(self) -> int:
        return self._ebda.load(EMULATION + 2, 1)

    def _image(self) -> CdImage:
        ebda = self._ebda
        shape = Geometry(ebda.emulation_cylinders, ebda.emulation_heads, ebda.emulation_sectors_per_track)
        index = ebda.emulation_cd
        cd = self.cdroms[index] if index < len(self.cdroms) else None
        return CdImage(cd, ebda.load(EMULATION + 4, 4) * SECTORS_PER_BLOCK, ebda.emulation_sectors, shape)


def _real(number: int, kind: Kind, place: int, media: Sequence[Disk | None]) -> Drive | None:
    return Drive(number, kind, place, media[place]) if place < len(media) else None
