"""INT 13h: diskettes and hard disks by cylinder, head and sector; the way to the extensions and to a CD's image.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h". The storage is read and written at once, so no call
waits and no DMA page is crossed.
"""

from collections.abc import Callable, Mapping

from minivm.firmware.disk_extensions import VERSION, DiskExtensions
from minivm.firmware.drives import SECTOR, Disk, Drive, Drives, diskette_type, translate
from minivm.firmware.services import ROM_SEGMENT, Board, Call
from minivm.firmware.transfers import (
    BAD_COMMAND,
    BAD_MEDIA_TYPE,
    CHANGED,
    NOT_FOUND,
    OK,
    TIMEOUT,
    WRITE_PROTECTED,
    Transfers,
)

LARGEST_TRANSFER = 0x80
"""Sectors in one call: 64 KiB."""
DISKETTE_PARAMETERS = 0xEFC7
FIRST_EXTENSION = 0x41

Service = Callable[[Call, Drive, Disk], int]


class DiskServices:
    """INT 13h over all drives. `others` are the functions of El Torito, each of which finds its drive itself.

    `changed` tells whether the diskette in drive 0 or 1 was changed since it was last asked; without it none ever is.
    """

    def __init__(
        self, board: Board, drives: Drives, others: Mapping[int, Callable[[Call], int]],
        eject: Callable[[int], bool] | None, changed: Callable[[int], bool] | None = None,
    ) -> None:  # fmt: skip
        self._board = board
        self._bda = board.bda
        self._drives = drives
        self._others = others
        self._was_changed = changed
        self._transfers = Transfers(board)
        self.extensions = DiskExtensions(board, drives, self._transfers, eject)
        self._functions: dict[int, Service] = {
            0x02: self._read, 0x03: self._write, 0x04: self._verify, 0x05: self._format, 0x0C: self._seek,
            0x0D: _nothing, 0x09: _nothing, 0x10: _nothing, 0x11: _nothing, 0x14: _nothing, 0x16: self._changed,
            0x17: self._set_type, 0x18: self._set_media,
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
            case function if function in self._others:
                self._finish(call, self._others[function](call))
            case function:
                self._finish(call, self._on_drive(call, function))
                if function == FIRST_EXTENSION and not call.carry:
                    call.cpu.ah = VERSION

    def _on_drive(self, call: Call, function: int) -> int:
        extension, service = self.extensions.functions.get(function), self._functions.get(function)
        if extension is None and service is None:
            call.unknown("INT 13h")
            return BAD_COMMAND
        drive = self._drives.find(call.cpu.dl)
        if drive is None:
            return BAD_COMMAND if extension is not None or call.cpu.dl & 0x80 else TIMEOUT
        if extension is not None:
            return extension(call, drive)
        if service is None or drive.kind == "cd":
            return BAD_COMMAND
        if drive.medium is None:  # a drive without a diskette never gets ready
            return TIMEOUT
        return service(call, drive, drive.medium)

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
    def _reset(self, number: int) -> int:
        return OK if self._drives.find(number) is not None or not number & 0x80 else BAD_COMMAND

    def _last_status(self, call: Call) -> None:
        status = self._bda.disk_status if call.cpu.dl & 0x80 else self._bda.diskette_status
        call.cpu.ah = status
        call.carry = status != OK

    def _drive_type(self, call: Call) -> None:
        cpu = call.cpu
        call.carry = False
        self._remember(cpu.dl, OK)
        drive = self._drives.find(cpu.dl)
        if drive is None:
            cpu.ah = 0
        elif drive.kind == "disk":
            shown = drive.geometry
            size = shown.cylinders * shown.heads * shown.sectors_per_track
            cpu.cx, cpu.dx, cpu.ah = size >> 16, size & 0xFFFF, 3
        else:
            cpu.ah = 2 if self._tells_changes(drive) else 1

    def _parameters(self, call: Call) -> None:
        cpu = call.cpu
        drive = self._drives.find(cpu.dl)
        if drive is None or drive.kind == "cd":
            self._finish(call, BAD_COMMAND)
            return
        self._finish(call, OK)
        shown = drive.geometry
        last = shown.cylinders - 1
        cpu.al = 0
        cpu.ch, cpu.cl = last & 0xFF, last >> 2 & 0xC0 | shown.sectors_per_track
        cpu.dx = (shown.heads - 1 & 0xFF) << 8 | self._drives.count(cpu.dl)
        if drive.kind == "floppy":
            cpu.bx = diskette_type(drive.medium)
            call.set_es(ROM_SEGMENT)
            cpu.di = DISKETTE_PARAMETERS

    # -- by cylinder, head, sector ------------------------------------------------------------------------------
    def _place(self, call: Call, drive: Drive, disk: Disk) -> tuple[int, int | None]:
        """Return (status, block) of the sectors that CX, DH and AL mean."""
        cpu = call.cpu
        if not 1 <= cpu.al <= LARGEST_TRANSFER or cpu.cl & 0x3F == 0:
            return BAD_COMMAND, None
        cylinder = cpu.ch | (cpu.cl & 0xC0) << 2
        lba = drive.geometry.lba(cylinder, cpu.dh, cpu.cl & 0x3F)
        if lba is None or lba + cpu.al > disk.sectors:
            return NOT_FOUND, None
        return OK, lba

    def _move(self, call: Call, drive: Drive, disk: Disk, move: Callable[[Disk, int, int, int], int]) -> int:
        status, lba = self._place(call, drive, disk)
        if lba is not None:
            status = move(disk, lba, call.cpu.al, (call.cpu.es << 4) + call.cpu.bx)
        if status != OK:
            call.cpu.al = 0  # AL tells how many sectors were done: all, or none after an error
        return status

    def _read(self, call: Call, drive: Drive, disk: Disk) -> int:
        return self._move(call, drive, disk, self._transfers.load)

    def _write(self, call: Call, drive: Drive, disk: Disk) -> int:
        return self._move(call, drive, disk, self._transfers.store)

    def _verify(self, call: Call, drive: Drive, disk: Disk) -> int:
        return self._move(call, drive, disk, self._transfers.verify)

    def _format(self, call: Call, drive: Drive, disk: Disk) -> int:
        cpu, shown = call.cpu, drive.geometry
        lba = shown.lba(cpu.ch | (cpu.cl & 0xC0) << 2, cpu.dh, 1)
        if disk.read_only:
            return WRITE_PROTECTED
        if lba is None:
            return NOT_FOUND
        if cpu.dl & 0x80:  # IDE drives have ignored this since they came with formatted tracks
            return OK
        return self._transfers.attempt(lambda: disk.write(lba, b"\xf6" * (SECTOR * shown.sectors_per_track)))

    def _seek(self, call: Call, drive: Drive, disk: Disk) -> int:
        cpu = call.cpu
        cylinder = cpu.ch | (cpu.cl & 0xC0) << 2
        return OK if drive.geometry.lba(cylinder, cpu.dh, 1) is not None else NOT_FOUND

    def _tells_changes(self, drive: Drive) -> bool:
        return self._was_changed is not None and drive.kind == "floppy" and drive.place in (0, 1)

    def _changed(self, call: Call, drive: Drive, disk: Disk) -> int:
        if drive.kind != "floppy":
            return BAD_COMMAND
        if self._was_changed is None or drive.place not in (0, 1):
            return OK
        return CHANGED if self._was_changed(drive.place) else OK

    def _set_type(self, call: Call, drive: Drive, disk: Disk) -> int:
        return OK if not call.cpu.dl & 0x80 and 1 <= call.cpu.al <= 4 else BAD_COMMAND

    def _set_media(self, call: Call, drive: Drive, disk: Disk) -> int:
        cpu, shown = call.cpu, drive.geometry
        last = shown.cylinders - 1
        if cpu.ch | (cpu.cl & 0xC0) << 2 != last or cpu.cl & 0x3F != shown.sectors_per_track:
            return BAD_MEDIA_TYPE
        call.set_es(ROM_SEGMENT)
        cpu.di = DISKETTE_PARAMETERS
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


def _nothing(call: Call, drive: Drive, disk: Disk) -> int:
    return OK
