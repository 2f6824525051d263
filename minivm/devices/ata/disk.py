"""An ATA hard disk: the commands of a drive without packets.

ATA/ATAPI-6 (T13/1410D), section 8 (commands) and 9 (protocols). Sectors have 512 bytes. The drive keeps no data of its
own: a write is in the `BlockDevice` before the command ends, so FLUSH CACHE only passes the flush on.
"""

from collections.abc import Callable
from typing import NamedTuple

from minivm.core.block import SECTOR_BYTES, BlockDevice
from minivm.devices.ata.identity import HEADS, MULTIPLE_LIMIT, TRACK_SECTORS, Modes, identify
from minivm.devices.ata.states import AtaDiskState, DriveState
from minivm.devices.ata.unit import (
    ABORTED,
    COUNT,
    FAULT,
    FEATURES,
    HIGH,
    ID_NOT_FOUND,
    INWARD,
    LBA_MODE,
    LOW,
    MID,
    OUTWARD,
    READY,
    SECOND_DRIVE,
    SEEK_DONE,
    UNCORRECTABLE,
    Unit,
)
from minivm.errors import DiskError, SnapshotError

COMMAND_NS = 5_000
"""From a command to its first block, or to its end."""
DEFAULT_TRANSFER_MODE = 0x08
"""PIO, the default mode with flow control; 20h+n is multiword DMA mode n, 40h+n Ultra DMA mode n."""
TRANSFER_MODES = (0x00, 0x01, *range(0x08, 0x0D), *range(0x20, 0x23), *range(0x40, 0x46))
ACTIVE_OR_IDLE, IN_STANDBY = 0xFF, 0x00
"""What CHECK POWER MODE answers."""


class Transfer(NamedTuple):
    """How a command moves data: "read", "write" or "verify", with 48-bit addresses, in multiple blocks, by DMA."""

    kind: str
    extended: bool = False
    multiple: bool = False
    dma: bool = False


TRANSFERS = {
    0x20: Transfer("read"), 0x21: Transfer("read"), 0x24: Transfer("read", extended=True),
    0xC4: Transfer("read", multiple=True), 0x29: Transfer("read", extended=True, multiple=True),
    0xC8: Transfer("read", dma=True), 0xC9: Transfer("read", dma=True),
    0x25: Transfer("read", extended=True, dma=True),
    0x30: Transfer("write"), 0x31: Transfer("write"), 0x34: Transfer("write", extended=True),
    0xC5: Transfer("write", multiple=True), 0x39: Transfer("write", extended=True, multiple=True),
    0xCA: Transfer("write", dma=True), 0xCB: Transfer("write", dma=True),
    0x35: Transfer("write", extended=True, dma=True),
    0x40: Transfer("verify"), 0x41: Transfer("verify"), 0x42: Transfer("verify", extended=True),
}  # fmt: skip

EXTENDED_TRANSFERS = frozenset(code for code, transfer in TRANSFERS.items() if transfer.extended)


class AtaDisk:
    """A hard disk over `medium`, a `Drive`; `serial` is what IDENTIFY DEVICE says, 20 characters at most."""

    signature = (1, 1, 0, 0)
    ready_status = READY | SEEK_DONE
    power_up_status = READY | SEEK_DONE

    def __init__(self, medium: BlockDevice, *, serial: str = "MINIVM-1") -> None:
        self.medium = medium
        self._serial = serial
        self._unit: Unit
        self._set_defaults()
        self._commands: dict[int, Callable[[], None]] = {
            **dict.fromkeys(range(0x10, 0x20), self._done_later),  # RECALIBRATE
            **dict.fromkeys(range(0x70, 0x80), self._seek),
            **dict.fromkeys(TRANSFERS, self._start_transfer),
            0x27: self._native_max, 0xF8: self._native_max, 0x91: self._set_translation, 0xC6: self._set_multiple,
            **dict.fromkeys((0x94, 0x96, 0xE0, 0xE2, 0x99, 0xE6), self._stand_by),
            **dict.fromkeys((0x95, 0x97, 0xE1, 0xE3), self._idle),
            **dict.fromkeys((0x98, 0xE5), self._check_power), **dict.fromkeys((0xE7, 0xEA), self._flush_later),
            0xEC: self._identify_later, 0xEF: self._set_features,
        }  # fmt: skip
        self._steps: dict[str, Callable[[], None]] = {
            "done": lambda: self._unit.finish(),  # noqa: PLW0108 - the unit comes later
            "abort": lambda: self._unit.finish(ABORTED),
            "not found": lambda: self._unit.finish(ID_NOT_FOUND),
            "read": self._offer_block, "sent": self._block_sent,
            "want": self._want_block, "received": self._store_block,
            "ask": self._ask_dma, "moved": self._dma_moved, "verify": self._verify,
            "identify": self._identify, "nothing more": lambda: self._unit.finish(interrupt=False),
            "flush": self._flush,
        }  # fmt: skip

    def attach(self, unit: Unit) -> None:
        """Let the drive work at `unit`."""
        self._unit = unit

    def reset(self, *, hard: bool) -> None:
        """Stop; the settings return to their defaults unless SET FEATURES 66h asked to keep them."""
        if hard or self._reverts:
            self._set_defaults()
        else:
            self._forget_command()

    def _set_defaults(self) -> None:
        self._heads, self._track_sectors = HEADS, TRACK_SECTORS
        self._multiple, self._transfer_mode = 0, DEFAULT_TRANSFER_MODE
        self._write_cache = self._reverts = True
        self._forget_command()

    def _forget_command(self) -> None:
        self._code = self._lba = self._left = 0
        self._standby = False
        self._ahead = b""

    def command(self, code: int) -> None:
        """Begin a command; one that the drive does not have is aborted."""
        self._code = code
        self._commands.get(code, self._abort)()

    def step(self, name: str) -> None:
        """Go on where `name` says."""
        self._steps[name]()

    def _abort(self) -> None:
        self._unit.after(COMMAND_NS, "abort")

    def _done_later(self) -> None:
        self._unit.after(COMMAND_NS, "done")

    # -- addresses ------------------------------------------------------------------------------------------------
    def _take_address(self, *, extended: bool) -> None:
        """Compute the first sector and the count out of the registers; a count of 0 means all that fit into it."""
        now, before = self._unit.registers, self._unit.previous
        self._left = now[COUNT] | (before[COUNT] << 8 if extended else 0) or (0x10000 if extended else 0x100)
        low = now[LOW] | now[MID] << 8 | now[HIGH] << 16
        if extended:
            self._lba = low | before[LOW] << 24 | before[MID] << 32 | before[HIGH] << 40
        elif self._unit.device & LBA_MODE:
            self._lba = low | (self._unit.device & 0x0F) << 24
        else:
            self._lba = self._sector_of(now[MID] | now[HIGH] << 8, self._unit.device & 0x0F, now[LOW])

    def _sector_of(self, cylinder: int, head: int, sector: int) -> int:
        """Return the LBA of a place in the translation in force; past the end when there is no such place."""
        if head >= self._heads or not 1 <= sector <= self._track_sectors:
            return self.medium.sectors
        return (cylinder * self._heads + head) * self._track_sectors + sector - 1

    def _show_address(self, lba: int) -> None:
        """Put the number of a sector into the registers, in the way the command gave it."""
        unit = self._unit
        if self._code in EXTENDED_TRANSFERS:
            unit.registers[LOW : HIGH + 1] = (lba & 0xFFFFFF).to_bytes(3, "little")
            unit.previous[LOW : HIGH + 1] = (lba >> 24 & 0xFFFFFF).to_bytes(3, "little")
        elif unit.device & LBA_MODE:
            self._put_address(lba & 0xFFFFFF, lba >> 24 & 0x0F)
        elif lba < self.medium.sectors:
            track, sector = divmod(lba, self._track_sectors)
            cylinder, head = divmod(track, self._heads)
            self._put_address(sector + 1 | (cylinder & 0xFFFF) << 8, head)

    def _put_address(self, low: int, top: int) -> None:
        self._unit.registers[LOW : HIGH + 1] = low.to_bytes(3, "little")
        self._unit.device = self._unit.device & 0xF0 | top

    # -- reading, writing and verifying sectors ---------------------------------------------------------------------
    def _start_transfer(self) -> None:
        transfer = TRANSFERS[self._code]
        self._standby = False
        if transfer.multiple and not self._multiple:
            self._abort()
            return
        self._take_address(extended=transfer.extended)
        first = {"read": "read", "write": "want", "verify": "verify"}[transfer.kind]
        self._unit.after(COMMAND_NS, "ask" if transfer.dma else first)

    @property
    def _block_sectors(self) -> int:
        return min(self._left, self._multiple if TRANSFERS[self._code].multiple else 1)

    def _offer_block(self) -> None:
        data = self._read(self._block_sectors)
        if data is not None:
            self._unit.offer(data, "sent")

    def _block_sent(self) -> None:
        self._advance(len(self._unit.block) // SECTOR_BYTES)
        if self._left:
            self._offer_block()  # read ahead: the few hundred nanoseconds until DRQ are less than one access takes
        else:
            self._unit.finish(interrupt=False)

    def _want_block(self) -> None:
        if self._in_range(1):
            self._unit.accept(self._block_sectors * SECTOR_BYTES, "received", interrupt=False)

    def _store_block(self) -> None:
        count = self._block_sectors
        if not self._write(self._unit.received):
            return
        self._advance(count)
        if not self._left:
            self._unit.finish()
        elif self._in_range(1):
            self._unit.accept(self._block_sectors * SECTOR_BYTES, "received", interrupt=True)

    def _verify(self) -> None:
        if self._read(self._left) is not None:
            self._advance(self._left)
            self._unit.finish()

    def _advance(self, count: int) -> None:
        self._lba += count
        self._left -= count
        self._unit.registers[COUNT] = self._left & 0xFF
        self._unit.previous[COUNT] = self._left >> 8 & 0xFF
        self._show_address(self._lba if self._left else self._lba - 1)

    # -- by DMA -----------------------------------------------------------------------------------------------------
    def _ask_dma(self) -> None:
        if self._in_range(1):
            direction = INWARD if TRANSFERS[self._code].kind == "read" else OUTWARD
            self._ahead = b""
            self._unit.request_dma(self._left * SECTOR_BYTES, direction, "moved")

    def _dma_moved(self) -> None:
        self._unit.finish()

    def dma_read(self, length: int) -> bytes:
        """Return the next bytes; fewer when a sector cannot be read, which ends the command."""
        data = self._ahead
        if length > len(data):
            count = -(-(length - len(data)) // SECTOR_BYTES)
            fresh = self._read(count)
            if fresh is None:
                return b""
            self._advance(count)
            data = data + fresh if data else fresh
        self._ahead = data[length:]
        return data[:length] if self._ahead else data

    def dma_write(self, data: bytes) -> None:
        """Take the next bytes; whole sectors are written at once."""
        if self._ahead:
            data = self._ahead + data
        whole = len(data) // SECTOR_BYTES * SECTOR_BYTES
        self._ahead = data[whole:]
        if whole and self._write(data[:whole]):
            self._advance(whole // SECTOR_BYTES)

    # -- the medium -------------------------------------------------------------------------------------------------
    def _in_range(self, count: int) -> bool:
        """Tell whether the next `count` sectors are there; when not, the command ends with IDNF."""
        beyond = self._lba + count > self.medium.sectors
        if beyond:
            self._fail(max(self._lba, min(self.medium.sectors, self._lba + count - 1)), ID_NOT_FOUND)
        return not beyond

    def _read(self, count: int) -> bytes | None:
        """Return the next sectors; when one of them cannot be read, end the command at it and return None."""
        if not self._in_range(count):
            return None
        try:
            return self.medium.read(self._lba, count)
        except DiskError:
            self._fail(self._first_bad(count), UNCORRECTABLE)
            return None

    def _first_bad(self, count: int) -> int:
        for lba in range(self._lba, self._lba + count):
            try:
                self.medium.read(lba, 1)
            except DiskError:
                return lba
        return self._lba

    def _write(self, data: bytes) -> bool:
        """Write the next sectors; when that fails, end the command and return False."""
        if not self._in_range(len(data) // SECTOR_BYTES):
            return False
        try:
            self.medium.write(self._lba, data)
        except DiskError:
            self._fail(self._lba, ABORTED, status=0 if self.medium.read_only else FAULT)
            return False
        return True

    def _fail(self, lba: int, error: int, *, status: int = 0) -> None:
        self._left -= lba - self._lba
        self._unit.registers[COUNT] = self._left & 0xFF
        self._show_address(lba)
        self._unit.finish(error, status=status)

    # -- commands without sectors -----------------------------------------------------------------------------------
    def _identify_later(self) -> None:
        self._unit.after(COMMAND_NS, "identify")

    def _identify(self) -> None:
        second = bool(self._unit.device & SECOND_DRIVE)
        modes = Modes(
            heads=self._heads, track_sectors=self._track_sectors, multiple=self._multiple,
            transfer_mode=self._transfer_mode, write_cache=self._write_cache,
        )  # fmt: skip
        self._unit.offer(identify(self.medium.sectors, serial=self._serial, second=second, modes=modes), "nothing more")

    def _seek(self) -> None:
        self._take_address(extended=False)
        self._unit.after(COMMAND_NS, "done" if self._lba < self.medium.sectors else "not found")

    def _native_max(self) -> None:
        extended = self._code == 0x27
        if not extended and not self._unit.device & LBA_MODE:
            self._abort()
            return
        last = self.medium.sectors - 1
        if extended:
            self._unit.previous[LOW : HIGH + 1] = (last >> 24 & 0xFFFFFF).to_bytes(3, "little")
            self._unit.registers[LOW : HIGH + 1] = (last & 0xFFFFFF).to_bytes(3, "little")
        else:
            last = min(last, (1 << 28) - 2)
            self._put_address(last & 0xFFFFFF, last >> 24)
        self._done_later()

    def _set_translation(self) -> None:
        """INITIALIZE DEVICE PARAMETERS: sectors a track in COUNT, the highest head in the device register."""
        track_sectors = self._unit.registers[COUNT]
        if not track_sectors:
            self._abort()
            return
        self._heads, self._track_sectors = (self._unit.device & 0x0F) + 1, track_sectors
        self._done_later()

    def _set_multiple(self) -> None:
        count = self._unit.registers[COUNT]
        if count > MULTIPLE_LIMIT or count & count - 1:
            self._multiple = 0
            self._abort()
            return
        self._multiple = count
        self._done_later()

    def _set_features(self) -> None:
        match self._unit.registers[FEATURES]:
            case 0x02:
                self._write_cache = True
            case 0x82:
                self._write_cache = False
            case 0x03 if self._unit.registers[COUNT] in TRANSFER_MODES:
                self._set_transfer_mode(self._unit.registers[COUNT])
            case 0x66:
                self._reverts = False
            case 0xCC:
                self._reverts = True
            case 0xAA | 0x55:  # read look-ahead on and off
                pass
            case _:
                self._abort()
                return
        self._done_later()

    def _set_transfer_mode(self, mode: int) -> None:
        """Choose a mode; one for PIO leaves the DMA mode as it is."""
        if mode >= 0x20:
            self._transfer_mode = mode

    def _stand_by(self) -> None:
        self._standby = True
        self._done_later()

    def _idle(self) -> None:
        self._standby = False
        self._done_later()

    def _check_power(self) -> None:
        self._unit.registers[COUNT] = IN_STANDBY if self._standby else ACTIVE_OR_IDLE
        self._done_later()

    def _flush_later(self) -> None:
        self._unit.after(COMMAND_NS, "flush")

    def _flush(self) -> None:
        try:
            self.medium.flush()
        except DiskError:
            self._unit.finish(ABORTED, status=FAULT)
        else:
            self._unit.finish()

    # -- snapshots --------------------------------------------------------------------------------------------------
    def state(self) -> AtaDiskState:
        """Return everything the drive remembers."""
        return AtaDiskState(
            code=self._code, lba=self._lba, left=self._left, heads=self._heads, track_sectors=self._track_sectors,
            multiple=self._multiple, transfer_mode=self._transfer_mode, write_cache=self._write_cache,
            reverts=self._reverts, standby=self._standby, ahead=bytes(self._ahead),
        )  # fmt: skip

    def restore(self, state: DriveState) -> None:
        """Become `state` again."""
        if not isinstance(state, AtaDiskState):
            raise SnapshotError("ata: another kind of drive was saved; restore into a machine with the same drives")
        self._code, self._lba, self._left = state.code, state.lba, state.left
        self._heads, self._track_sectors, self._multiple = state.heads, state.track_sectors, state.multiple
        self._transfer_mode, self._write_cache, self._reverts = state.transfer_mode, state.write_cache, state.reverts
        self._standby, self._ahead = state.standby, state.ahead
