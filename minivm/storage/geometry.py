"""The shape of a disk: cylinders, heads and sectors, as INT 13h and the floppy controller count them.

A floppy's shape follows from its size. A hard disk has none of its own any more; the BIOS invents one (the "LBA
assisted" translation of the Phoenix Enhanced Disk Drive specification 1.1, section 5) unless a partition table was
already written with another.
"""

import struct

from minivm.core.record import record

SECTOR = 512
"""Bytes in a sector."""
MOST_CYLINDERS = 1024
"""INT 13h has ten bits for the cylinder."""
MBR_TABLE = 0x1BE
"""Where a master boot record keeps its four partition entries of 16 bytes."""


@record
class Geometry:
    """Cylinders, heads, and sectors per track; sectors count from 1, the others from 0."""

    cylinders: int
    heads: int
    sectors_per_track: int

    @property
    def sectors(self) -> int:
        """How many sectors the shape holds, which may be less than the disk has."""
        return self.cylinders * self.heads * self.sectors_per_track

    def to_lba(self, cylinder: int, head: int, sector: int) -> int | None:
        """Return the sector's number counted from 0, or None when the shape has no such place."""
        if cylinder >= self.cylinders or head >= self.heads or not 1 <= sector <= self.sectors_per_track:
            return None
        return (cylinder * self.heads + head) * self.sectors_per_track + sector - 1

    def to_chs(self, lba: int) -> tuple[int, int, int]:
        """Return the cylinder, head and sector of the sector number `lba`."""
        track, sector = divmod(lba, self.sectors_per_track)
        cylinder, head = divmod(track, self.heads)
        return cylinder, head, sector + 1


@record
class FloppyType:
    """One standard floppy: its shape, the drive that takes it, and its FAT media descriptor byte.

    `drive_type` is the number in CMOS register 10h and in BL after INT 13h, AH=08h: 1 = 360K, 2 = 1.2M, 3 = 720K,
    4 = 1.44M, 5 = 2.88M.
    """

    name: str
    geometry: Geometry
    drive_type: int
    media: int

    @property
    def size(self) -> int:
        """The size of the image in bytes."""
        return self.geometry.sectors * SECTOR


FLOPPY_TYPES = (
    FloppyType("160K", Geometry(40, 1, 8), 1, 0xFE),
    FloppyType("180K", Geometry(40, 1, 9), 1, 0xFC),
    FloppyType("320K", Geometry(40, 2, 8), 1, 0xFF),
    FloppyType("360K", Geometry(40, 2, 9), 1, 0xFD),
    FloppyType("720K", Geometry(80, 2, 9), 3, 0xF9),
    FloppyType("1.2M", Geometry(80, 2, 15), 2, 0xF9),
    FloppyType("1.44M", Geometry(80, 2, 18), 4, 0xF0),
    FloppyType("1.68M", Geometry(80, 2, 21), 4, 0xF0),
    FloppyType("1.72M", Geometry(82, 2, 21), 4, 0xF0),
    FloppyType("2.88M", Geometry(80, 2, 36), 5, 0xF0),
)
_BY_SIZE = {floppy.size: floppy for floppy in FLOPPY_TYPES}
_BY_NAME = {floppy.name: floppy for floppy in FLOPPY_TYPES}
USUAL_FLOPPY = _BY_NAME["1.44M"]
LARGEST_FLOPPY = _BY_NAME["2.88M"]


def standard_floppy(size: int) -> FloppyType | None:
    """Return the floppy whose image is exactly `size` bytes, or None."""
    return _BY_SIZE.get(size)


def floppy_for(size: int, boot_sector: bytes) -> FloppyType | None:
    """Return the floppy that an image of `size` bytes belongs on, or None when no floppy holds so much.

    A shorter image names its floppy in its FAT parameter block, or else goes on the first of 1.44M and 2.88M that
    has room.
    """
    exact = standard_floppy(size) or _floppy_of_parameter_block(size, boot_sector)
    if exact is not None:
        return exact
    return next((floppy for floppy in (USUAL_FLOPPY, LARGEST_FLOPPY) if size <= floppy.size), None)


def _floppy_of_parameter_block(size: int, boot_sector: bytes) -> FloppyType | None:
    """Read the FAT parameter block at offset 11 (ECMA-107, section 10): a truncated image still says what it was."""
    if len(boot_sector) < 28 or boot_sector[0] not in (0xEB, 0xE9):
        return None
    sector_bytes, total, per_track, heads = (
        struct.unpack_from("<H", boot_sector, offset)[0] for offset in (11, 19, 24, 26)
    )
    for floppy in FLOPPY_TYPES:
        shape = floppy.geometry
        if (sector_bytes, total, per_track, heads) == (SECTOR, shape.sectors, shape.sectors_per_track, shape.heads):
            return floppy if size <= floppy.size else None
    return None


@record
class Partition:
    """One entry of a master boot record; `first` and `count` are in sectors, `last_chs` is as the entry says."""

    active: bool
    kind: int
    first: int
    count: int
    last_chs: tuple[int, int, int]


def partitions(boot_sector: bytes, sectors: int) -> tuple[Partition, ...]:
    """Return the partitions of an MBR on a disk of `sectors`, or nothing when the table is not a plausible one.

    Plausible: the signature 55AAh, status bytes of 00h or 80h, at least one partition, none of them empty, overlapping
    or beginning past the disk's end. A boot sector without a table has code or text there, which fails this.
    """
    if len(boot_sector) < SECTOR or boot_sector[510:512] != b"\x55\xaa":
        return ()
    found = []
    for place in range(MBR_TABLE, MBR_TABLE + 64, 16):
        entry = boot_sector[place : place + 16]
        if entry[0] not in (0x00, 0x80):
            return ()
        if entry[4]:
            found.append(_partition(entry))
        elif any(entry):
            return ()
    return tuple(found) if _are_plausible(found, sectors) else ()


def _partition(entry: bytes) -> Partition:
    first, count = struct.unpack_from("<II", entry, 8)
    head, low, high = entry[5:8]
    return Partition(entry[0] == 0x80, entry[4], first, count, (high | (low & 0xC0) << 2, head, low & 0x3F))


def _are_plausible(found: list[Partition], sectors: int) -> bool:
    """Tell whether the partitions could be real: somewhere on the disk, and one behind the other."""
    free_from = 0
    for partition in sorted(found, key=lambda partition: partition.first):
        if partition.count == 0 or partition.first < free_from or partition.first >= sectors:
            return False
        free_from = partition.first + partition.count
    return bool(found)


def hard_disk_geometry(sectors: int, boot_sector: bytes = b"") -> Geometry:
    """Return the shape that INT 13h reports for a hard disk of `sectors`.

    The partition table decides when it was made with a shape of its own, since the boot code on the disk counts in
    it. Otherwise 63 sectors a track and as few heads of 16, 32, 64, 128, 255 as keep the cylinders near 1024; the
    thresholds are SeaBIOS's, which round down and so leave up to one head's worth of sectors without a place by CHS.
    """
    for partition in partitions(boot_sector, sectors):
        shape = _shape_of(partition, sectors)
        if shape is not None:
            return shape
    heads = next((heads for heads in (16, 32, 64, 128) if sectors // 63 // 1024 <= heads), 255)
    return _with_cylinders(sectors, heads, 63)


def _shape_of(partition: Partition, sectors: int) -> Geometry | None:
    """Return the shape in which the partition's end by cylinder and head is also its end by sector number."""
    cylinder, head, sector = partition.last_chs
    if not 1 <= head <= 254 or sector == 0:  # DOS cannot count 256 heads
        return None
    shape = _with_cylinders(sectors, head + 1, sector)
    by_chs = (cylinder * shape.heads + head) * shape.sectors_per_track + sector - 1
    saturated = cylinder >= MOST_CYLINDERS - 1  # an end beyond the ten bits is written as the last place there is
    return shape if saturated or by_chs == partition.first + partition.count - 1 else None


def _with_cylinders(sectors: int, heads: int, sectors_per_track: int) -> Geometry:
    # At least two cylinders: programs read the count as "highest number", and 0 looks like "no disk".
    cylinders = min(max(sectors // (heads * sectors_per_track), 2), MOST_CYLINDERS)
    return Geometry(cylinders, heads, sectors_per_track)
