"""The execution phase of the 82077AA's commands that meet sectors: read, write, format, verify, scan, read ID.

Intel 82077AA datasheet (290166), section 5.1 "Data Transfer Commands" and tables 5-3 to 5-6. A sector is found, moved
to or from the host as a whole, and the next one follows when it has come under the head. One alarm a sector.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from minivm.core.block import SECTOR_BYTES
from minivm.core.clock import Alarm, Clock
from minivm.core.record import replace
from minivm.devices.floppy.drive import FloppyDrive, FloppyMedium
from minivm.devices.floppy.request import (
    FORMAT,
    HOST,
    LOST,
    READ_DELETED,
    READ_ID,
    READ_TRACK,
    SCAN_EQUAL,
    SCAN_HIGH,
    SCAN_LOW,
    SCANS,
    SEARCH,
    SIZE_CODE,
    TO_HOST,
    VERIFY,
    WAIT,
    WRITE_DELETED,
    WRITES,
    Transfer,
)
from minivm.errors import DiskError

ST0_NORMAL, ST0_ABNORMAL, ST0_SEEK_END = 0x00, 0x40, 0x20
ST1_END_OF_CYLINDER, ST1_DATA_ERROR, ST1_OVERRUN, ST1_NO_DATA = 0x80, 0x20, 0x10, 0x04
ST1_NOT_WRITABLE, ST1_MISSING_MARK = 0x02, 0x01
ST2_CONTROL_MARK, ST2_DATA_ERROR, ST2_WRONG_CYLINDER = 0x40, 0x20, 0x10
ST2_SCAN_HIT, ST2_SCAN_NOT_SATISFIED = 0x08, 0x04

ROTATION_NS = 6_480_000
"""One turn, 31 times faster than a real one of 200 ms, so that nobody waits: 18 sectors of 360 us."""
TURNS_WITHOUT_ID = 2
OVERRUN_NS = 8_192_000
"""So long DMA may keep the chip waiting: what 512 bytes really take at 500 kbit/s."""


class DmaRequest(Protocol):
    """What the chip needs of its DMA channel."""

    @property
    def ready(self) -> bool:
        """True when a request is served."""

    def set(self, level: bool) -> None:
        """Drive DRQ."""

    def connect(self, ready: Callable[[], None]) -> None:
        """Let the channel call when it has become ready while DRQ is high."""

    def to_memory(self, data: bytes) -> tuple[int, bool]:
        """Move bytes to memory; return how many went, and TC."""

    def from_memory(self, length: int) -> tuple[bytes, bool]:
        """Move bytes from memory; return them, and TC."""


class FloppyTransfer:
    """Carries one command through its execution phase.

    `ended` gets the seven bytes of the result; `asks` is called when the host must read or write the FIFO. `spins`
    tells whether a drive's motor is on, `gate` whether DOR lets DRQ through.
    """

    def __init__(
        self,
        clock: Clock,
        drives: Sequence[FloppyDrive],
        *,
        dma: DmaRequest,
        spins: Callable[[int], bool],
        gate: Callable[[], bool],
        ended: Callable[[bytes], None],
        asks: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._drives = drives
        self._dma = dma
        self._spins = spins
        self._gate = gate
        self._ended = ended
        self._asks = asks
        self._alarm: Alarm | None = None
        self.current: Transfer | None = None
        self._buffer = bytearray()
        dma.connect(self.go_on)

    # -- what the controller does with it ---------------------------------------------------------------------------
    def begin(self, transfer: Transfer, delay_ns: int) -> None:
        """Start a command whose first sector is searched for after `delay_ns`."""
        self._rest(transfer, SEARCH, delay_ns + self._sector_ns(transfer))

    def cancel(self) -> None:
        """Forget the command: a reset."""
        self._drop_alarm()
        self.current = None
        self._dma.set(False)

    def go_on(self) -> None:
        """Try DMA again, when a transfer waits for it."""
        current = self.current
        if current is not None and current.stage == WAIT:
            self._by_dma(current)

    @property
    def asks_host(self) -> bool:
        """True while the FIFO carries the data."""
        return self.current is not None and self.current.stage == HOST

    @property
    def gives(self) -> bool:
        """True when the data goes to the host."""
        return self.current is not None and self.current.command in TO_HOST

    def take(self) -> int:
        """Return the next byte for the host; call it only while `asks_host` and `gives`."""
        value = self._buffer.pop(0)
        if not self._buffer and self.current is not None:
            self._exchanged(self.current, b"", ended=False)
        return value

    def give(self, value: int) -> None:
        """Take a byte from the host; call it only while `asks_host` and not `gives`."""
        self._buffer.append(value)
        if self.current is not None and len(self._buffer) >= self.current.wanted:
            self._exchanged(self.current, bytes(self._buffer), ended=False)

    def state(self) -> Transfer | None:
        """Return the command with what is in the FIFO, or None when there is none."""
        current = self.current
        if current is None or current.stage != HOST:
            return current
        return replace(current, data=bytes(self._buffer))

    def restore(self, current: Transfer | None) -> None:
        """Take up a command where it was."""
        self._drop_alarm()
        self.current = current
        self._buffer = bytearray() if current is None else bytearray(current.data)
        self._dma.set(current is not None and current.stage == WAIT and self._gate())
        if current is not None and current.due is not None:
            self._alarm = self._clock.at(current.due, self._ring)

    # -- stages -----------------------------------------------------------------------------------------------------
    def _rest(self, transfer: Transfer, stage: str, delay_ns: int | None) -> None:
        """Enter a stage; None waits for the guest alone."""
        self._drop_alarm()
        due = None if delay_ns is None else self._clock.now + delay_ns
        self.current = replace(transfer, stage=stage, due=due)
        if due is not None:
            self._alarm = self._clock.at(due, self._ring)

    def _drop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        current = self.current
        assert current is not None
        if current.stage == SEARCH:
            self._found(current)
        elif current.stage == WAIT:
            self._end(current, ST0_ABNORMAL, ST1_OVERRUN)
        else:
            self._end(current, ST0_ABNORMAL)

    def _found(self, transfer: Transfer) -> None:
        """Look for the sector, and do with it what the command does."""
        drive = self._drives[transfer.drive]
        st1, st2 = self._lost(transfer, drive)
        if (st1 and transfer.command != READ_TRACK) or st1 & ST1_MISSING_MARK:
            self._rest(
                replace(transfer, st1=transfer.st1 | st1, st2=transfer.st2 | st2), LOST, TURNS_WITHOUT_ID * ROTATION_NS
            )
            return
        transfer = replace(transfer, st1=transfer.st1 | st1, st2=transfer.st2 | st2)
        if transfer.command == READ_ID:
            self._end(transfer, ST0_NORMAL, ids=self._id_under_head(transfer, drive))
        elif transfer.command in WRITES:
            if drive.write_protected:
                self._end(transfer, ST0_ABNORMAL, ST1_NOT_WRITABLE)
            else:
                size = 4 * transfer.length if transfer.command == FORMAT else SECTOR_BYTES
                self._exchange(replace(transfer, wanted=size, data=b""))
        else:
            self._read(transfer, drive)

    def _lost(self, transfer: Transfer, drive: FloppyDrive) -> tuple[int, int]:
        """Return ST1 and ST2 of a sector that does not come; both 0 when it is there."""
        medium = drive.formatted(transfer.side) if self._spins(transfer.drive) else None
        if medium is None or transfer.rate not in medium.rates or not transfer.mfm:
            return ST1_MISSING_MARK, 0
        if transfer.command in (FORMAT, READ_ID):
            return 0, 0
        if transfer.cylinder != drive.cylinder:
            return ST1_NO_DATA, ST2_WRONG_CYLINDER
        there = transfer.head == transfer.side and transfer.size == SIZE_CODE
        return 0 if there and 1 <= transfer.sector <= medium.sectors_per_track else ST1_NO_DATA, 0

    def _id_under_head(self, transfer: Transfer, drive: FloppyDrive) -> bytes:
        """Return the ID that passes just now; the disk turns with the clock."""
        medium = drive.medium
        assert medium is not None
        angle = self._clock.now % ROTATION_NS * medium.sectors_per_track // ROTATION_NS
        return bytes((drive.cylinder, transfer.side, angle + 1, SIZE_CODE))

    def _read(self, transfer: Transfer, drive: FloppyDrive) -> None:
        """Read the sector for the host, for a verify or for a scan, minding its mark."""
        medium = drive.medium
        assert medium is not None
        number = transfer.sector
        if transfer.command == READ_TRACK:  # whatever comes, one after the other
            number = (number - 1) % medium.sectors_per_track + 1
        place = medium.place(drive.cylinder, transfer.side, number)
        if (place in drive.deleted) != (transfer.command == READ_DELETED) and transfer.command != READ_TRACK:
            transfer = replace(transfer, st2=transfer.st2 | ST2_CONTROL_MARK)
            if transfer.skip:
                self._next(transfer, ended=False)
                return
        try:
            data = drive.read(place)
        except DiskError:
            self._end(transfer, ST0_ABNORMAL, ST1_DATA_ERROR, ST2_DATA_ERROR)
            return
        if transfer.command == VERIFY:
            self._exchanged(transfer, b"", ended=False)
        elif transfer.command in SCANS:
            self._exchange(replace(transfer, wanted=SECTOR_BYTES, data=b""))
        else:
            self._exchange(replace(transfer, data=data))

    # -- data -------------------------------------------------------------------------------------------------------
    def _exchange(self, transfer: Transfer) -> None:
        if not transfer.wanted and not transfer.data:
            self._exchanged(transfer, b"", ended=False)
        elif transfer.host:
            self._buffer = bytearray(transfer.data)
            self._rest(transfer, HOST, None)
            self._asks()
        else:
            self._by_dma(transfer)

    def _by_dma(self, transfer: Transfer) -> None:
        """Move a sector by DMA, or wait with DRQ high until the channel is free."""
        if not self._gate() or not self._dma.ready:
            if transfer.stage != WAIT:
                self._rest(transfer, WAIT, OVERRUN_NS)
            self._dma.set(self._gate())
            return
        self._drop_alarm()
        self._dma.set(False)
        if transfer.command in TO_HOST:
            _, ended = self._dma.to_memory(transfer.data)
            self._exchanged(transfer, b"", ended=ended)
        else:
            data, ended = self._dma.from_memory(transfer.wanted)
            self._exchanged(transfer, data, ended=ended)

    def _exchanged(self, transfer: Transfer, data: bytes, *, ended: bool) -> None:
        """Do what is to be done with a sector whose bytes have moved; `ended` is the TC pin."""
        transfer = replace(transfer, data=b"", wanted=0)
        drive = self._drives[transfer.drive]
        if transfer.command in WRITES or transfer.command in SCANS:
            medium = drive.formatted(transfer.side)
            if medium is None:  # it was taken out meanwhile
                self._end(transfer, ST0_ABNORMAL, ST1_MISSING_MARK)
                return
            try:
                if self._use(transfer, drive, medium, data):
                    return
            except DiskError:
                self._end(transfer, ST0_ABNORMAL, ST1_DATA_ERROR, ST2_DATA_ERROR)
                return
        self._next(transfer, ended=ended)

    def _use(self, transfer: Transfer, drive: FloppyDrive, medium: FloppyMedium, data: bytes) -> bool:
        """Write, format or compare; return whether that was the end of the command."""
        place = medium.place(drive.cylinder, transfer.side, transfer.sector)
        if transfer.command == FORMAT:
            self._format(transfer, drive, medium, data)
            self._end(transfer, ST0_NORMAL)
            return True
        if transfer.command in SCANS:
            hit = compare(transfer.command, drive.read(place), data)
            if hit is not None:
                self._end(transfer, ST0_NORMAL, 0, hit)
            return hit is not None
        drive.write(place, data, deleted=transfer.command == WRITE_DELETED)
        return False

    def _format(self, transfer: Transfer, drive: FloppyDrive, medium: FloppyMedium, ids: bytes) -> None:
        """Fill the sectors that the host named; an image cannot hold those with strange IDs."""
        here = (drive.cylinder, transfer.side, SIZE_CODE)
        for cylinder, head, sector, size in zip(*(ids[place::4] for place in range(4)), strict=False):
            if (cylinder, head, size) == here and 1 <= sector <= medium.sectors_per_track:
                drive.write(medium.place(cylinder, head, sector), bytes((transfer.filler,)) * SECTOR_BYTES)

    def _next(self, transfer: Transfer, *, ended: bool) -> None:
        """Go on behind a sector that is done."""
        if transfer.st2 & ST2_CONTROL_MARK and not transfer.skip:
            self._end(transfer, ST0_NORMAL)
        elif ended or (transfer.counted and transfer.length == 1):
            self._end(transfer, ST0_NORMAL, ids=transfer.next_ids())
        else:
            self._search_next(transfer)

    def _search_next(self, transfer: Transfer) -> None:
        following = transfer.next()
        if following is not None:
            length = transfer.length - transfer.counted
            self._rest(replace(following, length=length), SEARCH, self._sector_ns(transfer))
        elif transfer.command == VERIFY:
            lost = transfer.counted
            self._end(
                transfer, ST0_ABNORMAL if lost else ST0_NORMAL, ST1_NO_DATA if lost else 0, ids=transfer.next_ids()
            )
        elif transfer.command in SCANS:
            self._end(transfer, ST0_NORMAL, 0, ST2_SCAN_NOT_SATISFIED, ids=transfer.next_ids())
        else:
            self._end(transfer, ST0_ABNORMAL, ST1_END_OF_CYLINDER, ids=transfer.next_ids())

    def _end(self, transfer: Transfer, code: int, st1: int = 0, st2: int = 0, *, ids: bytes | None = None) -> None:
        """Enter the result phase."""
        self.cancel()
        st0 = code | transfer.st0 | transfer.side << 2 | transfer.drive
        self._ended(bytes((st0, transfer.st1 | st1, transfer.st2 | st2)) + (transfer.ids if ids is None else ids))

    def _sector_ns(self, transfer: Transfer) -> int:
        medium = self._drives[transfer.drive].medium
        return ROTATION_NS // (18 if medium is None else medium.sectors_per_track)


def compare(command: int, disk: bytes, host: bytes) -> int | None:
    """Return ST2's scan bits when a sector satisfies a scan, else None; FFh on either side matches anything."""
    pairs = [(one, two) for one, two in zip(disk, host, strict=False) if 0xFF not in (one, two) and one != two]
    if not pairs:
        return ST2_SCAN_HIT
    satisfied = {
        SCAN_EQUAL: False,
        SCAN_LOW: all(one < two for one, two in pairs),
        SCAN_HIGH: all(one > two for one, two in pairs),
    }
    return 0 if satisfied[command] else None
