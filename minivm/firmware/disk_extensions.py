"""INT 13h AH=41h to 4Eh: drives by block number, with 64-bit addresses, locks and the drive's own description.

Phoenix Enhanced Disk Drive Specification 1.1 and 3.0. All drives have them, diskettes, too; a CD's block is
2048 bytes.
"""

from collections.abc import Callable

from minivm.firmware import ebda
from minivm.firmware.drives import SECTOR, Disk, Drive, Drives
from minivm.firmware.services import Board, Call
from minivm.firmware.transfers import BAD_COMMAND, NO_MEDIUM, OK, Transfers

VERSION = 0x30
ABILITIES = 0x0007  # AH=42h-44h, 47h, 48h; locks and ejecting; AH=48h with the device parameter table
NOT_LOCKED, LOCKED, NOT_REMOVABLE, LOCKED_TOO_OFTEN, EJECT_FAILED = 0xB0, 0xB1, 0xB2, 0xB4, 0xB5
REAL_PACKET, WIDE_PACKET = 0x10, 0x18
ADDRESS_FOLLOWS = 0xFFFF_FFFF
PARAMETERS_1, PARAMETERS_2, PARAMETERS_3 = 0x1A, 0x1E, 0x42
PATH_KEY, PATH_BYTES = 0xBEDD, 0x24
CHS_VALID, REMOVABLE, TELLS_CHANGES, LOCKABLE, LARGEST_VALUES = 0x02, 0x04, 0x10, 0x20, 0x40
UNKNOWN = 0xFFFF_FFFF
IDE_FUNCTION = (0, 1, 1)
"""Bus, device and function of the PIIX3's IDE controller (82371SB datasheet, section 2)."""

Move = Callable[[Disk, int, int, int], int]
Service = Callable[[Call, Drive], int]


class DiskExtensions:
    """The functions; each returns its status. `eject` opens the tray of CD drive 0.. and tells whether it could."""

    def __init__(self, board: Board, drives: Drives, transfers: Transfers, eject: Callable[[int], bool] | None) -> None:
        self._board = board
        self._drives = drives
        self._transfers = transfers
        self.eject_tray = eject
        self.functions: dict[int, Service] = {
            0x41: self._present, 0x42: self._read, 0x43: self._write, 0x44: self._verify, 0x45: self._lock,
            0x46: self._eject, 0x47: self._seek, 0x48: self._parameters, 0x49: _change, 0x4E: self._hardware,
        }  # fmt: skip

    def _present(self, call: Call, drive: Drive) -> int:
        cpu = call.cpu
        if cpu.bx != 0x55AA:
            return BAD_COMMAND
        cpu.bx, cpu.cx = 0xAA55, ABILITIES
        return OK

    # -- blocks -------------------------------------------------------------------------------------------------
    def _read(self, call: Call, drive: Drive) -> int:
        return self._transfer(call, drive, self._transfers.load)

    def _write(self, call: Call, drive: Drive) -> int:
        if call.cpu.al > 2:  # 0 and 1 write, 2 verifies what it wrote
            return BAD_COMMAND
        return self._transfer(call, drive, self._transfers.store)

    def _verify(self, call: Call, drive: Drive) -> int:
        return self._transfer(call, drive, self._transfers.verify)

    def _seek(self, call: Call, drive: Drive) -> int:
        return self._transfer(call, drive, lambda disk, lba, count, address: OK)

    def _transfer(self, call: Call, drive: Drive, move: Move) -> int:
        """Take the packet at DS:SI apart and move its blocks; on an error the packet's count becomes 0."""
        cpu, board, disk = call.cpu, self._board, drive.medium
        size = board.load(cpu.ds, cpu.si)
        if size < REAL_PACKET:
            return BAD_COMMAND
        count, pointer = board.load(cpu.ds, cpu.si + 2, 2), board.load(cpu.ds, cpu.si + 4, 4)
        lba = board.load(cpu.ds, cpu.si + 8, 8)
        address = (pointer >> 16 << 4) + (pointer & 0xFFFF)
        if pointer == ADDRESS_FOLLOWS and size >= WIDE_PACKET:
            address = board.load(cpu.ds, cpu.si + 0x10, 8)
        each = drive.sectors_per_block
        if disk is None:
            status = NO_MEDIUM
        elif (lba + count) * each > disk.sectors:
            status = BAD_COMMAND
        else:
            status = move(disk, lba * each, count * each, address) if count else OK
        if status != OK:
            board.store(cpu.ds, cpu.si + 2, 2, 0)
        return status

    # -- the tray -----------------------------------------------------------------------------------------------
    def _lock(self, call: Call, drive: Drive) -> int:
        """AL = 0 locks, 1 unlocks, 2 asks; a CD counts its locks, and nothing else is ever locked."""
        cpu = call.cpu
        if cpu.al > 2:
            return BAD_COMMAND
        place = _tray(drive)
        if place is None:
            cpu.al = 0
            return OK
        locks, ask = self._locks(place), cpu.al
        if ask == 0 and locks == 0xFF:
            return LOCKED_TOO_OFTEN
        if ask == 1 and locks == 0:
            return NOT_LOCKED
        locks += (1, -1, 0)[ask]
        self._board.ebda.store(ebda.LOCKS + place, 1, locks)
        cpu.al = int(locks > 0)
        return OK

    def _locks(self, place: int) -> int:
        return self._board.ebda.load(ebda.LOCKS + place, 1)

    def _eject(self, call: Call, drive: Drive) -> int:
        place = _tray(drive)
        if place is None:
            return NOT_REMOVABLE
        if self._locks(place):
            return LOCKED
        return OK if self.eject_tray is not None and self.eject_tray(place) else EJECT_FAILED

    def _hardware(self, call: Call, drive: Drive) -> int:
        """AH=4Eh: prefetching, transfer modes and DMA are taken without effect; no other drive is touched."""
        if call.cpu.al > 6:
            return BAD_COMMAND
        call.cpu.al = 0
        return OK

    # -- the drive's description --------------------------------------------------------------------------------
    def _parameters(self, call: Call, drive: Drive) -> int:
        cpu, board = call.cpu, self._board
        room = board.load(cpu.ds, cpu.si, 2)
        if room < PARAMETERS_1:
            return BAD_COMMAND
        if drive.medium is None and drive.kind == "floppy":
            return NO_MEDIUM
        length = max(size for size in (PARAMETERS_1, PARAMETERS_2, PARAMETERS_3) if size <= room)
        result = _numbers((length, 2)) + self._shape(drive)
        if length >= PARAMETERS_2:
            result += _numbers((self._drive_table(drive), 4))
        if length >= PARAMETERS_3:
            result += self._path(drive)
        board.store_bytes(cpu.ds, cpu.si, result)
        return OK

    def _shape(self, drive: Drive) -> bytes:
        disk, each = drive.medium, drive.sectors_per_block
        if drive.kind == "cd":
            flags = REMOVABLE | TELLS_CHANGES | LOCKABLE | (LARGEST_VALUES if disk is None else 0)
            total = (1 << 64) - 1 if disk is None else disk.sectors // each
            return _numbers((flags, 2), *((UNKNOWN, 4),) * 3, (total, 8), (each * SECTOR, 2))
        assert disk is not None  # a diskette drive without one has been sent away
        own = disk.geometry
        flags = CHS_VALID | (REMOVABLE if drive.kind == "floppy" else 0)
        return _numbers((flags, 2), (own.cylinders, 4), (own.heads, 4), (own.sectors_per_track, 4),
                        (disk.sectors, 8), (SECTOR, 2))  # fmt: skip

    def _drive_table(self, drive: Drive) -> int:
        """Fill the device parameter table (EDD 3.0, table 3) and return the far pointer to it, FFFFFFFFh for none."""
        place = self._drives.ata_place(drive)
        if place is None:
            return UNKNOWN
        ports = (0x1F0, 0x3F6) if place < 2 else (0x170, 0x376)
        flags = 0x0010 if drive.kind == "disk" else 0x0070  # by block number; removable; by packet
        table = _numbers((ports[0], 2), (ports[1], 2), (0xE0 | (place & 1) << 4, 1), (0xCB, 1),
                         (14 + place // 2, 1), (0, 1), (0, 1), (0, 1), (flags, 2), (0, 2), (0x11, 1))  # fmt: skip
        self._board.ebda.store_bytes(ebda.DRIVE_TABLE, table + bytes([-sum(table) & 0xFF]))
        return ebda.SEGMENT << 16 | ebda.DRIVE_TABLE

    def _path(self, drive: Drive) -> bytes:
        """Return the device path (EDD 3.0, table 5); zeros for a drive that has none."""
        place = self._drives.ata_place(drive)
        if place is None:
            return bytes(PATH_BYTES)
        name = b"ATA     " if drive.kind == "disk" else b"ATAPI   "
        path = _numbers((PATH_KEY, 2), (PATH_BYTES, 1), (0, 3)) + b"PCI " + name
        path += bytes([*IDE_FUNCTION, place // 2]) + bytes(4) + bytes([place & 1]) + bytes(8)
        return path + bytes([-sum(path) & 0xFF])


def _change(call: Call, drive: Drive) -> int:
    """AH=49h: no drive tells that its medium was changed since the last call."""
    return NO_MEDIUM if drive.medium is None else OK


def _tray(drive: Drive) -> int | None:
    """Return the number of the tray that locks and opens, None for every other drive."""
    return drive.place if drive.kind == "cd" and drive.place is not None and drive.place < 8 else None


def _numbers(*values: tuple[int, int]) -> bytes:
    """Return numbers, each with its size in bytes, in memory's order."""
    return b"".join((value & ((1 << 8 * size) - 1)).to_bytes(size, "little") for value, size in values)
