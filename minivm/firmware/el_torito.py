"""Booting from CD: the catalogue, what of it is loaded, and INT 13h AH=4Ah to 4Dh.

"El Torito" Bootable CD-ROM Format Specification 1.0 (Phoenix and IBM, 1995); its sections 2 to 4 and figures 1 to 7.
"""

from collections.abc import Iterator

from minivm.core.record import record
from minivm.errors import MiniVMError
from minivm.firmware import ebda
from minivm.firmware.drives import (
    EMULATING,
    FIRST_CD,
    FIRST_HARD_DISK,
    SECTOR,
    SECTORS_PER_BLOCK,
    Disk,
    Drive,
    Drives,
    Geometry,
)
from minivm.firmware.services import Board, Call
from minivm.firmware.transfers import BAD_COMMAND, NO_MEDIUM, OK, Transfers

BOOT_RECORD_BLOCK = 17
BOOT_RECORD = b"\0CD001\1EL TORITO SPECIFICATION"
CATALOGUE_POINTER = 0x47
ENTRY = 32
LONGEST_CATALOGUE_BLOCKS = 16
VALIDATION, BOOTABLE, HEADER, LAST_HEADER, EXTENSION = 0x01, 0x88, 0x90, 0x91, 0x44
X86 = 0
NO_EMULATION, HARD_DISK = 0, 4
DISKETTES = {1: Geometry(80, 2, 15), 2: Geometry(80, 2, 18), 3: Geometry(80, 2, 36)}
USUAL_SEGMENT = 0x7C0
LOWEST_ADDRESS = 0x500
PARTITION = 0x1BE
NOT_EMULATING = 2
"""`emulation_state` after a boot without emulation: there is a status, but no drive is covered."""
SPECIFICATION_BYTES = 0x13
COMMAND_BYTES = 8


class Unbootable(Exception):
    """Why a CD cannot be booted, in words for the guest's screen; none when it was never meant to be."""


@record
class BootEntry:
    """What a catalogue entry says: emulation `media` 0 to 4, load `segment`, `sectors` of 512 bytes, first `block`."""

    media: int
    segment: int
    sectors: int
    block: int


def find_entry(cd: Disk) -> BootEntry:
    """Return the first bootable x86 entry of the CD's catalogue; raises `Unbootable`."""
    rows = _catalogue(cd, _catalogue_block(cd))
    validation = next(rows, b"")
    if len(validation) < ENTRY or validation[0] != VALIDATION or validation[30:32] != b"\x55\xaa":
        raise Unbootable("its boot catalogue has no validation entry")
    if sum(validation[::2]) + 256 * sum(validation[1::2]) & 0xFFFF:
        raise Unbootable("the checksum of its boot catalogue is wrong")
    for platform, row in _entries(rows, validation[1]):
        if platform == X86 and row[0] == BOOTABLE:
            return _entry(row, cd)
    raise Unbootable("its boot catalogue has no entry for a PC")


def _catalogue_block(cd: Disk) -> int:
    """Return the block at which the catalogue begins."""
    if cd.sectors < (BOOT_RECORD_BLOCK + 1) * SECTORS_PER_BLOCK:
        raise Unbootable
    record_block = _read(cd, BOOT_RECORD_BLOCK, 1)
    if not record_block.startswith(BOOT_RECORD):
        raise Unbootable
    return int.from_bytes(record_block[CATALOGUE_POINTER : CATALOGUE_POINTER + 4], "little")


def _read(cd: Disk, block: int, count: int) -> bytes:
    try:
        return cd.read(block * SECTORS_PER_BLOCK, count * SECTORS_PER_BLOCK)
    except (MiniVMError, OSError) as error:
        raise Unbootable("it cannot be read") from error


def _catalogue(cd: Disk, block: int) -> Iterator[bytes]:
    """Return the catalogue's entries of 32 bytes, as far as a catalogue may sensibly go."""
    blocks = min(LONGEST_CATALOGUE_BLOCKS, cd.sectors // SECTORS_PER_BLOCK - block)
    if blocks <= 0:
        raise Unbootable("its boot catalogue lies past its end")
    for number in range(blocks):
        data = _read(cd, block + number, 1)
        yield from (data[start : start + ENTRY] for start in range(0, len(data), ENTRY))


def _entries(rows: Iterator[bytes], platform: int) -> Iterator[tuple[int, bytes]]:
    """Return (platform, entry): the initial one, then those of the sections."""
    initial = next(rows, None)
    if initial is not None:
        yield platform, initial
    for header in rows:
        if header[0] not in (HEADER, LAST_HEADER):
            return
        for _ in range(int.from_bytes(header[2:4], "little")):
            row = next((row for row in rows if row[0] != EXTENSION), None)
            if row is None:
                return
            yield header[1], row
        if header[0] == LAST_HEADER:
            return


def _entry(row: bytes, cd: Disk) -> BootEntry:
    entry = BootEntry(row[1] & 0x0F, int.from_bytes(row[2:4], "little") or USUAL_SEGMENT,
                      max(1, int.from_bytes(row[6:8], "little")), int.from_bytes(row[8:12], "little"))  # fmt: skip
    if entry.media > HARD_DISK:
        raise Unbootable(f"it wants an unknown kind of emulation, {entry.media}")
    if entry.block * SECTORS_PER_BLOCK + entry.sectors > cd.sectors:
        raise Unbootable("its boot image lies past its end")
    if not LOWEST_ADDRESS <= entry.segment << 4 <= ebda.BASE - entry.sectors * SECTOR:
        raise Unbootable(f"its boot image does not fit into memory at {entry.segment:04X}h:0000h")
    return entry


def image_shape(entry: BootEntry, cd: Disk) -> tuple[Geometry, int]:
    """Return (geometry, sectors) of the drive that an entry's image stands for; raises `Unbootable`.

    A hard disk's shape is that of its first partition's end (section 2.2.4).
    """
    if entry.media == NO_EMULATION:
        return Geometry(0, 0, 0), 0
    shape = DISKETTES.get(entry.media)
    if shape is None:
        partition = _read(cd, entry.block, 1)[PARTITION : PARTITION + 16]
        if partition[4] == 0 or partition[6] & 0x3F == 0:
            raise Unbootable("its hard disk image has no partition")
        cylinders = (partition[7] | (partition[6] & 0xC0) << 2) + 1
        shape = Geometry(cylinders, partition[5] + 1, partition[6] & 0x3F)
    return shape, shape.cylinders * shape.heads * shape.sectors_per_track


class ElTorito:
    """The boot of a CD, and the calls with which a booted program asks for its emulation."""

    def __init__(self, board: Board, drives: Drives, transfers: Transfers) -> None:
        self._board = board
        self._ebda = board.ebda
        self._drives = drives
        self._transfers = transfers
        self.functions = {0x4A: self._initiate, 0x4B: self._terminate, 0x4C: _refuse, 0x4D: self._return_catalogue}

    # -- INT 19h ------------------------------------------------------------------------------------------------
    def boot(self, call: Call) -> None:
        """Load what drive DL boots: on "yes", AX:BX is its first instruction and DL its drive.

        On "no", a line for the screen says why, or an empty one when the CD was not meant to boot.
        """
        drive = self._drives.find(call.cpu.dl)
        try:
            if drive is None or drive.medium is None:
                raise Unbootable
            entry = self._load(drive, drive.medium)
        except Unbootable as error:
            self.end()
            self._ebda.say(f"CD {call.cpu.dl - FIRST_CD} does not boot: {error}" if error.args else "")
            return
        cpu, address = call.cpu, entry.segment << 4
        cpu.ax, cpu.bx = address >> 4 & 0xF000, address & 0xFFFF
        cpu.dl = self._ebda.load(ebda.EMULATION + 2, 1)
        call.answer = True

    def _load(self, drive: Drive, cd: Disk) -> BootEntry:
        entry = find_entry(cd)
        shape, sectors = image_shape(entry, cd)
        self._emulate(drive, entry, shape, sectors)
        first = entry.block * SECTORS_PER_BLOCK
        if self._transfers.load(cd, first, entry.sectors, entry.segment << 4) != OK:
            raise Unbootable("it cannot be read")
        return entry

    def _emulate(self, drive: Drive, entry: BootEntry, shape: Geometry, sectors: int) -> None:
        number = {NO_EMULATION: drive.number, HARD_DISK: FIRST_HARD_DISK}.get(entry.media, 0)
        place = self._drives.ata_place(drive) or 0
        packet = bytes([SPECIFICATION_BYTES, entry.media, number, place // 2]) + b"".join(
            value.to_bytes(size, "little")
            for value, size in ((entry.block, 4), (place & 1, 2), (0, 2), (entry.segment, 2), (entry.sectors, 2))
        )
        last = max(0, shape.cylinders - 1)
        packet += bytes([last & 0xFF, last >> 2 & 0xC0 | shape.sectors_per_track, max(0, shape.heads - 1) & 0xFF])
        area = self._ebda
        area.store_bytes(ebda.EMULATION, packet)
        area.emulation_state = EMULATING if entry.media else NOT_EMULATING
        area.emulation_cd = drive.place or 0
        area.emulation_cylinders, area.emulation_heads = shape.cylinders, shape.heads
        area.emulation_sectors_per_track, area.emulation_sectors = shape.sectors_per_track, sectors
        self._tell_equipment()

    def end(self) -> None:
        """Give the drives their own numbers back."""
        self._ebda.emulation_state = 0
        self._tell_equipment()

    def _tell_equipment(self) -> None:
        """Let the data area count the drives as INT 13h does."""
        bda, floppies = self._board.bda, self._drives.count(0)
        bda.disk_count = self._drives.count(FIRST_HARD_DISK)
        bda.equipment = bda.equipment & ~0xC1 | (1 | (min(floppies, 4) - 1) << 6 if floppies else 0)

    # -- INT 13h ------------------------------------------------------------------------------------------------
    def _is_booted(self, number: int) -> bool:
        return self._ebda.emulation_state != 0 and self._ebda.load(ebda.EMULATION + 2, 1) == number

    def _terminate(self, call: Call) -> int:
        """AH=4Bh: put the specification packet at DS:SI, and unless AL is 1, end the emulation; DL=7Fh means any."""
        cpu = call.cpu
        any_drive = cpu.dl == 0x7F and self._ebda.emulation_state != 0
        if cpu.al > 1 or not (any_drive or self._is_booted(cpu.dl)):
            return BAD_COMMAND
        self._board.store_bytes(cpu.ds, cpu.si, self._ebda.load_bytes(ebda.EMULATION, SPECIFICATION_BYTES))
        if cpu.al == 0:
            self.end()
        return OK

    def _initiate(self, call: Call) -> int:
        """AH=4Ah: emulate what the specification packet at DS:SI names, on the first CD."""
        cpu, drive = call.cpu, self._drives.find(FIRST_CD)
        if cpu.al != 0 or drive is None or self._board.load(cpu.ds, cpu.si) < SPECIFICATION_BYTES:
            return BAD_COMMAND
        if drive.medium is None:
            return NO_MEDIUM
        packet = self._board.load_bytes(cpu.ds, cpu.si, SPECIFICATION_BYTES)
        row = bytes([BOOTABLE, packet[1]]) + packet[0x0C:0x0E] + bytes(2) + packet[0x0E:0x10] + packet[4:8]
        try:
            entry = _entry(row, drive.medium)
            self._emulate(drive, entry, *image_shape(entry, drive.medium))
        except Unbootable as error:
            self._board.trace(f"bios: INT 13h AH=4Ah: {error}")
            return BAD_COMMAND
        return OK

    def _return_catalogue(self, call: Call) -> int:
        """AH=4Dh: read blocks of the boot catalogue, as the command packet at DS:SI says."""
        cpu, board = call.cpu, self._board
        drive = self._drives.find(FIRST_CD + self._ebda.emulation_cd)
        if cpu.al != 0 or drive is None or board.load(cpu.ds, cpu.si) < COMMAND_BYTES:
            return BAD_COMMAND
        if drive.medium is None:
            return NO_MEDIUM
        count, first = board.load(cpu.ds, cpu.si + 1), board.load(cpu.ds, cpu.si + 6, 2)
        pointer = board.load(cpu.ds, cpu.si + 2, 4)
        try:
            block = _catalogue_block(drive.medium) + first
        except Unbootable:
            return BAD_COMMAND
        if (block + count) * SECTORS_PER_BLOCK > drive.medium.sectors:
            return BAD_COMMAND
        address = (pointer >> 16 << 4) + (pointer & 0xFFFF)
        return self._transfers.load(drive.medium, block * SECTORS_PER_BLOCK, count * SECTORS_PER_BLOCK, address)


def _refuse(call: Call) -> int:
    """AH=4Ch, which would boot at once: this BIOS boots by INT 19h only."""
    return BAD_COMMAND
