"""INT 13h, diskettes and hard disks: by cylinder, head and sector, and by block (the EDD extensions).

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h"; Phoenix Enhanced Disk Drive Specification 3.0.
The storage is read and written at once, so no call waits and no DMA page is crossed.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from minivm.core.record import record
from minivm.errors import MiniVMError
from minivm.firmware.services import ROM_SEGMENT, Board, Call

SECTOR = 512
FIRST_HARD_DISK = 0x80
LARGEST_TRANSFER = 0x80
"""Sectors in one call: 64 KiB."""

OK, BAD_COMMAND, WRITE_PROTECTED, NOT_FOUND = 0x00, 0x01, 0x03, 0x04
BAD_MEDIA_TYPE, CONTROLLER_FAILED, TIMEOUT = 0x0C, 0x20, 0x80

EDD_VERSION = 0x30
EDD_ABILITIES = 0x0003  # AH=42h-44h, 47h, 48h; the locking of AH=45h, 46h, 49h
REAL_PACKET, WIDE_PACKET = 0x10, 0x18
PARAMETERS_V1, PARAMETERS_V2 = 0x1A, 0x1E
DISKETTE_PARAMETERS = 0xEFC7


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
    """A disk as INT 13h needs it: sectors of 512 bytes."""

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
    return 4 if disk is None else _DISKETTE_TYPES.get(disk.sectors, 4)


class Disks:
    """INT 13h over drives 00h.. (`floppies`, None where no diskette is in the drive) and 80h.. (`disks`)."""

    def __init__(self, board: Board, floppies: Sequence[Disk | None], disks: Sequence[Disk]) -> None:
        self._board = board
        self._bda = board.bda
        self.floppies = floppies
        self.disks = disks
        self._functions: dict[int, Callable[[Call, Disk], int]] = {
            0x02: self._read, 0x03: self._write, 0x04: self._verify, 0x05: self._format, 0x0C: self._seek,
            0x0D: _nothing, 0x09: _nothing, 0x10: _nothing, 0x11: _nothing, 0x14: _nothing, 0x16: self._changed,
            0x17: self._set_type, 0x18: self._set_media, 0x41: self._edd_present, 0x42: self._edd_read,
            0x43: self._edd_write, 0x44: self._edd_verify, 0x45: self._edd_lock, 0x46: self._edd_nothing,
            0x47: self._edd_seek, 0x48: self._edd_parameters, 0x49: self._edd_nothing, 0x4E: self._edd_nothing,
        }  # fmt: skip

    def call(self, call: Call) -> None:
        """Do the function in AH on drive DL: the status goes to AH, the data area and the carry flag."""
        match call.cpu.ah:
            case 0x00:
                self._finish(call, self._reset(call.cpu.dl))
            case 0x01:
                self._last_status(call)
            case 0x08:
                self._parameters(call)
            case 0x15:
                self._drive_type(call)
            case function:
                self._finish(call, self._on_drive(call, function))
                if function == 0x41 and not call.carry:
                    call.cpu.ah = EDD_VERSION

    def _on_drive(self, call: Call, function: int) -> int:
        handler = self._functions.get(function)
        if handler is None:
            call.unknown("INT 13h")
            return BAD_COMMAND
        drive = call.cpu.dl
        if not self.exists(drive):
            return TIMEOUT if drive < FIRST_HARD_DISK and function < 0x41 else BAD_COMMAND
        disk = self.disk(drive)
        if disk is None:  # a drive without a diskette never gets ready
            return TIMEOUT if function < 0x41 else BAD_COMMAND
        return handler(call, disk)

    def exists(self, drive: int) -> bool:
        """True when there is such a drive, with or without a diskette."""
        drives: Sequence[Disk | None] = self.disks if drive & 0x80 else self.floppies
        return drive & 0x7F < len(drives)

    def disk(self, drive: int) -> Disk | None:
        """Return what is in a drive that exists."""
        return self.disks[drive & 0x7F] if drive & 0x80 else self.floppies[drive]

    def geometry(self, drive: int, disk: Disk) -> Geometry:
        """Return the geometry that callers use for a drive."""
        if drive & 0x80:
            return translate(disk)
        own = disk.geometry
        return Geometry(own.cylinders, own.heads, own.sectors_per_track)

    def _finish(self, call: Call, status: int) -> None:
        self._remember(call.cpu.dl, status)
        call.cpu.ah = status
        call.carry = status != OK

    def _remember(self, drive: int, status: int) -> None:
        if drive & 0x80:
            self._bda.disk_status = status
        else:
            self._bda.diskette_status = status

    # -- without a medium ---------------------------------------------------------------------------------------
    def _reset(self, drive: int) -> int:
        return OK if self.exists(drive) or not drive & 0x80 else BAD_COMMAND

    def _last_status(self, call: Call) -> None:
        status = self._bda.disk_status if call.cpu.dl & 0x80 else self._bda.diskette_status
        call.cpu.ah = status
        call.carry = status != OK

    def _drive_type(self, call: Call) -> None:
        cpu = call.cpu
        call.carry = False
        self._remember(cpu.dl, OK)
        if not self.exists(cpu.dl):
            cpu.ah = 0
        elif cpu.dl & 0x80:
            cpu.cx, cpu.dx, cpu.ah = self._shown_size(cpu.dl) >> 16, self._shown_size(cpu.dl) & 0xFFFF, 3
        else:
            cpu.ah = 1  # a diskette drive that cannot tell when the diskette was changed

    def _shown_size(self, drive: int) -> int:
        shown = translate(self.disks[drive & 0x7F])
        return shown.cylinders * shown.heads * shown.sectors_per_track

    def _parameters(self, call: Call) -> None:
        cpu = call.cpu
        if not self.exists(cpu.dl):
            self._finish(call, BAD_COMMAND)
            return
        disk = self.disk(cpu.dl)
        shown = self.geometry(cpu.dl, disk) if disk is not None else Geometry(80, 2, 18)
        self._finish(call, OK)
        last = shown.cylinders - 1
        cpu.al = 0
        cpu.ch, cpu.cl = last & 0xFF, last >> 2 & 0xC0 | shown.sectors_per_track
        if cpu.dl & 0x80:
            cpu.dx = (shown.heads - 1) << 8 | len(self.disks)
        else:
            cpu.bx = diskette_type(disk)
            cpu.dx = (shown.heads - 1) << 8 | len(self.floppies)
            call.set_es(ROM_SEGMENT)
            cpu.di = DISKETTE_PARAMETERS

    # -- by cylinder, head, sector ------------------------------------------------------------------------------
    def _place(self, call: Call, disk: Disk) -> tuple[int, int | None]:
        """Return (status, block) of the sectors that CX, DH and AL mean."""
        cpu = call.cpu
        if not 1 <= cpu.al <= LARGEST_TRANSFER or cpu.cl & 0x3F == 0:
            return BAD_COMMAND, None
        cylinder = cpu.ch | (cpu.cl & 0xC0) << 2
        lba = self.geometry(cpu.dl, disk).lba(cylinder, cpu.dh, cpu.cl & 0x3F)
        if lba is None or lba + cpu.al > disk.sectors:
            return NOT_FOUND, None
        return OK, lba

    def _read(self, call: Call, disk: Disk) -> int:
        status, lba = self._place(call, disk)
        if lba is not None:
            status = self._load(disk, lba, call.cpu.al, (call.cpu.es << 4) + call.cpu.bx)
        return _counted(call, status)

    def _write(self, call: Call, disk: Disk) -> int:
        status, lba = self._place(call, disk)
        if lba is not None:
            status = self._store(disk, lba, call.cpu.al, (call.cpu.es << 4) + call.cpu.bx)
        return _counted(call, status)

    def _verify(self, call: Call, disk: Disk) -> int:
        return _counted(call, self._place(call, disk)[0])

    def _format(self, call: Call, disk: Disk) -> int:
        cpu = call.cpu
        shown = self.geometry(cpu.dl, disk)
        lba = shown.lba(cpu.ch | (cpu.cl & 0xC0) << 2, cpu.dh, 1)
        if disk.read_only:
            return WRITE_PROTECTED
        if lba is None:
            return NOT_FOUND
        if cpu.dl & 0x80:  # IDE drives have ignored this since they came with formatted tracks
            return OK
        return self._attempt(lambda: disk.write(lba, b"\xf6" * (SECTOR * shown.sectors_per_track)))

    def _seek(self, call: Call, disk: Disk) -> int:
        cpu = call.cpu
        cylinder = cpu.ch | (cpu.cl & 0xC0) << 2
        return OK if self.geometry(cpu.dl, disk).lba(cylinder, cpu.dh, 1) is not None else NOT_FOUND

    def _changed(self, call: Call, disk: Disk) -> int:
        return BAD_COMMAND if call.cpu.dl & 0x80 else OK

    def _set_type(self, call: Call, disk: Disk) -> int:
        return OK if not call.cpu.dl & 0x80 and 1 <= call.cpu.al <= 4 else BAD_COMMAND

    def _set_media(self, call: Call, disk: Disk) -> int:
        cpu, shown = call.cpu, self.geometry(call.cpu.dl, disk)
        last = shown.cylinders - 1
        if cpu.ch | (cpu.cl & 0xC0) << 2 != last or cpu.cl & 0x3F != shown.sectors_per_track:
            return BAD_MEDIA_TYPE
        call.set_es(ROM_SEGMENT)
        cpu.di = DISKETTE_PARAMETERS
        return OK

    # -- by block: EDD ------------------------------------------------------------------------------------------
    def _edd_present(self, call: Call, disk: Disk) -> int:
        cpu = call.cpu
        if cpu.bx != 0x55AA or not cpu.dl & 0x80:
            return BAD_COMMAND
        cpu.bx, cpu.cx = 0xAA55, EDD_ABILITIES
        return OK

    def _edd_transfer(self, call: Call, disk: Disk, move: "Callable[[Disk, int, int, int], int]") -> int:
        """Take the packet at DS:SI apart and move its blocks; on an error the packet's count becomes 0."""
        cpu, board = call.cpu, self._board
        size = board.load(cpu.ds, cpu.si)
        if not cpu.dl & 0x80 or size < REAL_PACKET:
            return BAD_COMMAND
        count, pointer = board.load(cpu.ds, cpu.si + 2, 2), board.load(cpu.ds, cpu.si + 4, 4)
        lba = board.load(cpu.ds, cpu.si + 8, 8)
        address = (pointer >> 16 << 4) + (pointer & 0xFFFF)
        if pointer == 0xFFFF_FFFF and size >= WIDE_PACKET:
            address = board.load(cpu.ds, cpu.si + 0x10, 8)
        status = OK
        if lba + count > disk.sectors:
            status = BAD_COMMAND
        elif count:
            status = move(disk, lba, count, address)
        if status != OK:
            board.store(cpu.ds, cpu.si + 2, 2, 0)
        return status

    def _edd_read(self, call: Call, disk: Disk) -> int:
        return self._edd_transfer(call, disk, self._load)

    def _edd_write(self, call: Call, disk: Disk) -> int:
        return self._edd_transfer(call, disk, self._store)

    def _edd_verify(self, call: Call, disk: Disk) -> int:
        return self._edd_transfer(call, disk, lambda disk, lba, count, address: OK)

    def _edd_seek(self, call: Call, disk: Disk) -> int:
        return self._edd_transfer(call, disk, lambda disk, lba, count, address: OK)

    def _edd_lock(self, call: Call, disk: Disk) -> int:
        call.cpu.al = 0  # a fixed disk is never locked in
        return self._edd_nothing(call, disk)

    def _edd_nothing(self, call: Call, disk: Disk) -> int:
        return OK if call.cpu.dl & 0x80 else BAD_COMMAND

    def _edd_parameters(self, call: Call, disk: Disk) -> int:
        cpu, board = call.cpu, self._board
        room = board.load(cpu.ds, cpu.si, 2)
        if not cpu.dl & 0x80 or room < PARAMETERS_V1:
            return BAD_COMMAND
        own = disk.geometry
        numbers = ((0x0002, 2), (own.cylinders, 4), (own.heads, 4), (own.sectors_per_track, 4),
                   (disk.sectors, 8), (SECTOR, 2))  # fmt: skip
        result = b"".join((value & ((1 << 8 * size) - 1)).to_bytes(size, "little") for value, size in numbers)
        length = PARAMETERS_V1
        if room >= PARAMETERS_V2:
            length, result = PARAMETERS_V2, result + b"\xff" * 4  # no further table
        board.store_bytes(cpu.ds, cpu.si, length.to_bytes(2, "little") + result)
        return OK

    # -- the medium ---------------------------------------------------------------------------------------------
    def _load(self, disk: Disk, lba: int, count: int, address: int) -> int:
        return self._attempt(lambda: self._board.space.store_bytes(address, disk.read(lba, count)))

    def _store(self, disk: Disk, lba: int, count: int, address: int) -> int:
        if disk.read_only:
            return WRITE_PROTECTED
        return self._attempt(lambda: disk.write(lba, self._board.space.load_bytes(address, count * SECTOR)))

    def _attempt(self, transfer: Callable[[], None]) -> int:
        """Do a transfer; what fails on the host is a broken controller to the guest."""
        try:
            transfer()
        except (MiniVMError, OSError) as error:
            self._board.trace(f"bios: INT 13h: {error}")
            return CONTROLLER_FAILED
        return OK


def fixed_disk_table(disk: Disk) -> bytes:
    """Return the 16 bytes that INT 41h or 46h points to.

    IBM AT Technical Reference, "Fixed disk parameter table"; where the geometry is translated, EDD 3.0's form of it,
    which has the drive's own geometry and a checksum, too.
    """
    own, shown = disk.geometry, translate(disk)
    own_cylinders = min(own.cylinders, 0xFFFF).to_bytes(2, "little")
    row = bytearray(16)
    row[0:2], row[2], row[14] = shown.cylinders.to_bytes(2, "little"), shown.heads, shown.sectors_per_track
    row[5:7] = b"\xff\xff"  # no write precompensation
    row[8] = 0x08 if shown.heads > 8 else 0
    row[12:14] = own_cylinders  # the landing zone
    if (shown.cylinders, shown.heads) != (own.cylinders, own.heads):
        row[3], row[4], row[9:11], row[11] = 0xA0, own.sectors_per_track & 0xFF, own_cylinders, own.heads & 0xFF
        row[15] = -sum(row[:15]) & 0xFF
    return bytes(row)


def _nothing(call: Call, disk: Disk) -> int:
    return OK


def _counted(call: Call, status: int) -> int:
    """Leave in AL how many sectors were done: all, or none after an error."""
    if status != OK:
        call.cpu.al = 0
    return status
