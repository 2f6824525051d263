"""An ATAPI CD-ROM drive: packets of SCSI-like commands over an ATA cable.

ATA/ATAPI-6 (T13/1410D), sections 8.25 (PACKET) and 9.8; SFF-8020i revision 2.6; MMC-3 (T10/1363D). A block has 2048
bytes, four sectors of the `BlockDevice` that lies in the tray.
"""

from collections.abc import Callable

from minivm.core.block import BlockDevice
from minivm.devices.ata import cdrom_answers as answers
from minivm.devices.ata.cdrom_answers import BLOCK_BYTES
from minivm.devices.ata.disk import COMMAND_NS, DEFAULT_TRANSFER_MODE, TRANSFER_MODES
from minivm.devices.ata.states import AtapiCdromState, DriveState
from minivm.devices.ata.unit import ABORTED, COUNT, FEATURES, HIGH, INWARD, MID, READY, SEEK_DONE, Unit
from minivm.errors import DiskError, SnapshotError

SECTORS_A_BLOCK = 4
PACKET_BYTES = 12
EXECUTE_NS = 5_000
STATUS_NS = 500
"""From the last byte of the data to the status."""
COMMAND_PHASE, DATA_PHASE, STATUS_PHASE = 0x01, 0x02, 0x03
"""The interrupt reason in COUNT: C/D for a packet, I/O for data to the host, both for the status."""
LARGEST_CHUNK = 0xFFFE
BY_DMA = 0x01
"""In FEATURES of PACKET."""

Sense = tuple[int, int, int]
"""Sense key, additional sense code and its qualifier (MMC-3, annex A)."""
NO_SENSE: Sense = (0, 0, 0)
NO_MEDIUM: Sense = (0x02, 0x3A, 0x01)
NO_MEDIUM_TRAY_OPEN: Sense = (0x02, 0x3A, 0x02)
UNREADABLE: Sense = (0x03, 0x11, 0x00)
INVALID_COMMAND: Sense = (0x05, 0x20, 0x00)
OUT_OF_RANGE: Sense = (0x05, 0x21, 0x00)
INVALID_FIELD: Sense = (0x05, 0x24, 0x00)
NOTHING_SAVED: Sense = (0x05, 0x39, 0x00)
REMOVAL_PREVENTED: Sense = (0x05, 0x53, 0x02)
MEDIUM_CHANGED: Sense = (0x06, 0x28, 0x00)
ILLEGAL_REQUEST = 0x05

NO_EVENT, NEW_MEDIUM, MEDIUM_REMOVED = 0, 2, 3
REQUEST_SENSE, INQUIRY, GET_CONFIGURATION, GET_EVENT_STATUS = 0x03, 0x12, 0x46, 0x4A
NEVER_HELD_UP = frozenset((REQUEST_SENSE, INQUIRY, GET_CONFIGURATION, GET_EVENT_STATUS))
"""Commands that do their work also when a unit attention waits."""
NEEDS_MEDIUM = frozenset((0x00, 0x25, 0x28, 0x2B, 0x42, 0x43, 0x51, 0xA8, 0xBE))


class _Refused(Exception):
    """A packet command that ends with this sense instead of data."""

    def __init__(self, sense: Sense) -> None:
        self.sense = sense


class AtapiCdrom:
    """A CD-ROM drive with a tray, a `Drive`; `insert` is the user's hand."""

    signature = (1, 1, 0x14, 0xEB)
    ready_status = READY | SEEK_DONE
    power_up_status = 0

    def __init__(self, medium: BlockDevice | None = None, *, serial: str = "MINIVM-2") -> None:
        self.medium = medium
        self._serial = serial
        self._unit: Unit
        self._sense: Sense
        self._set_defaults()
        self._commands: dict[int, Callable[[], None]] = {
            0x08: self._device_reset, 0xA0: self._packet_later, 0xA1: self._identify_later,
            0xEC: self._refuse_with_signature, 0x20: self._refuse_with_signature, 0xEF: self._set_features,
            **dict.fromkeys((0xE0, 0xE1, 0xE2, 0xE3, 0xE6), self._done_later), 0xE5: self._check_power,
        }  # fmt: skip
        self._steps: dict[str, Callable[[], None]] = {
            "done": lambda: self._unit.finish(),  # noqa: PLW0108 - the unit comes later
            "abort": lambda: self._unit.finish(ABORTED),
            "identify": self._identify,
            "nothing more": lambda: self._unit.finish(interrupt=False),
            "want packet": self._want_packet, "packet received": self._packet_received, "execute": self._execute,
            "sent": self._sent, "end": self._end,
        }  # fmt: skip
        self._packets: dict[int, Callable[[bytes], bytes | None]] = {
            0x00: lambda packet: None, REQUEST_SENSE: self._request_sense, INQUIRY: self._inquiry,
            0x1B: self._start_stop, 0x1E: self._prevent_removal,
            0x25: lambda packet: answers.capacity(self.blocks),
            0x28: lambda packet: self._read(packet, int.from_bytes(packet[7:9], "big")),
            0xA8: lambda packet: self._read(packet, int.from_bytes(packet[6:10], "big")),
            0x2B: self._seek, 0x42: self._sub_channel, 0x43: self._contents,
            GET_CONFIGURATION: self._configuration, GET_EVENT_STATUS: self._event_status,
            0x51: lambda packet: _cut(answers.disc_information(), packet[7:9]), 0x5A: self._mode_sense,
            0xBB: lambda packet: None,  # SET CD SPEED
            0xBD: lambda packet: _cut(answers.mechanism(tray_open=self._tray_open), packet[8:10]),
            0xBE: self._read_cd,
        }  # fmt: skip

    def attach(self, unit: Unit) -> None:
        """Let the drive work at `unit`."""
        self._unit = unit

    def reset(self, *, hard: bool) -> None:
        """Stop; after power-on the tray is closed over its disc and unlocked."""
        if hard:
            self._set_defaults()
        else:
            self._sense = NO_SENSE
            self._forget_command()

    def _set_defaults(self) -> None:
        self._sense = NO_SENSE
        self._attention = self._tray_open = self._locked = False
        self._event = NO_EVENT
        self._transfer_mode = DEFAULT_TRANSFER_MODE
        self._forget_command()

    def _forget_command(self) -> None:
        self._code = 0
        self._packet = self._data = b""
        self._block = self._blocks_left = self._bytes_left = self._limit = 0

    # -- the tray -------------------------------------------------------------------------------------------------
    def insert(self, medium: BlockDevice | None) -> None:
        """Open the tray, exchange the disc and close it; None leaves it empty. A lock does not stop the user."""
        self.medium = medium
        self._tray_open = False
        self._attention = medium is not None
        self._event = MEDIUM_REMOVED if medium is None else NEW_MEDIUM

    def open_tray(self) -> bool:
        """Open the tray as the drive's button does; a lock keeps it closed. Return whether it is open now."""
        if not self._locked and not self._tray_open:
            self._tray_open, self._attention = True, False
            self._event = MEDIUM_REMOVED
        return self._tray_open

    @property
    def blocks(self) -> int:
        """How many blocks the disc has; 0 without one."""
        return 0 if self.medium is None else self.medium.sectors // SECTORS_A_BLOCK

    @property
    def tray_open(self) -> bool:
        """True when the guest has opened the tray."""
        return self._tray_open

    @property
    def has_disc(self) -> bool:
        """True when a disc can be read."""
        return self.medium is not None and not self._tray_open

    # -- ATA commands -----------------------------------------------------------------------------------------------
    def command(self, code: int) -> None:
        """Begin an ATA command; one that the drive does not have is aborted."""
        self._code = code
        self._commands.get(code, self._abort)()

    def step(self, name: str) -> None:
        """Go on where `name` says."""
        self._steps[name]()

    def _abort(self) -> None:
        self._unit.after(COMMAND_NS, "abort")

    def _done_later(self) -> None:
        self._unit.after(COMMAND_NS, "done")

    def _device_reset(self) -> None:
        """DEVICE RESET works also while the drive is busy, and does not interrupt (section 8.10)."""
        self._unit.reset(hard=False)

    def _refuse_with_signature(self) -> None:
        self._unit.show_signature()
        self._abort()

    def _identify_later(self) -> None:
        self._unit.after(COMMAND_NS, "identify")

    def _identify(self) -> None:
        self._unit.offer(answers.identify_packet_device(self._serial, self._transfer_mode), "nothing more")

    def _set_features(self) -> None:
        mode = self._unit.registers[COUNT]
        if self._unit.registers[FEATURES] != 0x03 or mode not in TRANSFER_MODES:
            self._abort()
            return
        self._transfer_mode = mode if mode >= 0x20 else self._transfer_mode
        self._done_later()

    def _check_power(self) -> None:
        self._unit.registers[COUNT] = 0xFF
        self._done_later()

    # -- the phases of a packet -------------------------------------------------------------------------------------
    def _packet_later(self) -> None:
        registers = self._unit.registers
        self._limit = registers[MID] | registers[HIGH] << 8
        self._unit.after(COMMAND_NS, "want packet")

    def _want_packet(self) -> None:
        self._unit.registers[COUNT] = COMMAND_PHASE
        self._unit.accept(PACKET_BYTES, "packet received", interrupt=False)

    def _packet_received(self) -> None:
        self._packet = self._unit.received
        self._unit.after(EXECUTE_NS, "execute")

    def _execute(self) -> None:
        packet = self._packet
        self._data, self._blocks_left = b"", 0
        try:
            self._check_condition(packet[0])
            command = self._packets.get(packet[0])
            if command is None:
                raise _Refused(INVALID_COMMAND)
            self._data = command(packet) or b""
        except _Refused as refused:
            self._refuse(refused.sense)
            return
        if packet[0] != REQUEST_SENSE:
            self._sense = NO_SENSE
        self._bytes_left = len(self._data) + self._blocks_left * BLOCK_BYTES
        self._start_data()

    def _check_condition(self, code: int) -> None:
        """Report a new disc once, to whatever comes first, and refuse what needs a disc when there is none."""
        if code in NEVER_HELD_UP:
            return
        if self._attention:
            self._attention = False
            raise _Refused(MEDIUM_CHANGED)
        if code in NEEDS_MEDIUM and not self.has_disc:
            raise _Refused(NO_MEDIUM_TRAY_OPEN if self._tray_open else NO_MEDIUM)

    def _start_data(self) -> None:
        by_dma = self._unit.registers[FEATURES] & BY_DMA
        if not self._bytes_left:
            self._end()
        elif by_dma:
            self._unit.request_dma(self._bytes_left, INWARD, "end")
        elif not self._limit:
            self._unit.registers[COUNT] = STATUS_PHASE
            self._unit.finish(ABORTED)
        else:
            self._send()

    def _send(self) -> None:
        """Offer the next chunk, as long as the host's byte count limit lets it be; only the last may be odd."""
        limit = min(self._limit, LARGEST_CHUNK)
        length = self._bytes_left if self._bytes_left <= limit else max(limit & ~1, 1)
        chunk = self._take(length)
        if chunk is None:
            return
        registers = self._unit.registers
        registers[COUNT] = DATA_PHASE
        registers[MID], registers[HIGH] = length & 0xFF, length >> 8
        self._unit.offer(chunk, "sent")

    def _sent(self) -> None:
        if self._bytes_left:
            self._send()
        else:
            self._unit.after(STATUS_NS, "end")

    def _end(self) -> None:
        self._unit.registers[COUNT] = STATUS_PHASE
        self._unit.finish()

    def _refuse(self, sense: Sense) -> None:
        self._sense = sense
        self._data, self._blocks_left, self._bytes_left = b"", 0, 0
        self._unit.registers[COUNT] = STATUS_PHASE
        self._unit.finish(sense[0] << 4 | (ABORTED if sense[0] == ILLEGAL_REQUEST else 0))

    def _take(self, length: int) -> bytes | None:
        """Return the next bytes of the answer; when a block cannot be read, end the command and return None."""
        data = self._data
        if length > len(data):
            count = -(-(length - len(data)) // BLOCK_BYTES)
            try:
                fresh = self._read_blocks(count)
            except _Refused as refused:
                self._refuse(refused.sense)
                return None
            data = data + fresh if data else fresh
        self._bytes_left -= length
        self._data = data[length:]
        return data[:length] if self._data else data

    def _read_blocks(self, count: int) -> bytes:
        if self.medium is None or self._tray_open:
            raise _Refused(NO_MEDIUM)  # the user has taken the disc in the middle of it
        try:
            data = self.medium.read(self._block * SECTORS_A_BLOCK, count * SECTORS_A_BLOCK)
        except DiskError:
            raise _Refused(UNREADABLE) from None
        self._block += count
        self._blocks_left -= count
        return data

    def dma_read(self, length: int) -> bytes:
        """Return the next bytes; none when a block cannot be read, which ends the command."""
        return self._take(length) or b""

    def dma_write(self, data: bytes) -> None:
        """Lose the bytes: no command takes any."""

    # -- packet commands --------------------------------------------------------------------------------------------
    def _request_sense(self, packet: bytes) -> bytes:
        if self._sense == NO_SENSE and self._attention:
            self._attention, self._sense = False, MEDIUM_CHANGED
        answer = answers.sense(*self._sense)
        self._sense = NO_SENSE
        return answer[: packet[4]]

    def _inquiry(self, packet: bytes) -> bytes:
        if packet[1] & 0x03 or packet[2]:  # vital product data, which the drive does not have
            raise _Refused(INVALID_FIELD)
        return answers.inquiry()[: packet[4]]

    def _start_stop(self, packet: bytes) -> None:
        if not packet[4] & 0x02:
            return
        if packet[4] & 0x01:
            self._load_tray()
        elif self._locked:
            raise _Refused(REMOVAL_PREVENTED)
        else:
            self.open_tray()

    def _load_tray(self) -> None:
        if self._tray_open:
            self.insert(self.medium)

    def _prevent_removal(self, packet: bytes) -> None:
        self._locked = bool(packet[4] & 0x01)

    def _read(self, packet: bytes, count: int) -> None:
        block = int.from_bytes(packet[2:6], "big")
        if block + count > self.blocks:
            raise _Refused(OUT_OF_RANGE)
        self._block, self._blocks_left = block, count

    def _read_cd(self, packet: bytes) -> None:
        """READ CD, for the user data of a data track, or for none of a sector's parts."""
        parts = packet[9] & 0xF8
        if parts not in (0x00, 0x10) or packet[1] & 0x1C not in (0x00, 0x08):
            raise _Refused(INVALID_FIELD)
        self._read(packet, int.from_bytes(packet[6:9], "big"))
        if not parts:
            self._blocks_left = 0

    def _seek(self, packet: bytes) -> None:
        if int.from_bytes(packet[2:6], "big") >= self.blocks:
            raise _Refused(OUT_OF_RANGE)

    def _contents(self, packet: bytes) -> bytes:
        kind = packet[2] & 0x0F or packet[9] >> 6  # SFF-8020i had it in the last byte
        answer = answers.contents(self.blocks, kind=kind, first_track=packet[6], minutes=bool(packet[1] & 0x02))
        return _cut(answer, packet[7:9])

    def _sub_channel(self, packet: bytes) -> bytes:
        wanted = bool(packet[2] & 0x40)
        if wanted and packet[3] != 1:
            raise _Refused(INVALID_FIELD)
        return _cut(answers.sub_channel(with_position=wanted, minutes=bool(packet[1] & 0x02)), packet[7:9])

    def _mode_sense(self, packet: bytes) -> bytes:
        control, page = packet[2] >> 6, packet[2] & 0x3F
        if control == 3:
            raise _Refused(NOTHING_SAVED)
        kind = answers.TRAY_OPEN if self._tray_open else answers.DATA_DISC if self.has_disc else answers.NO_DISC
        answer = answers.mode_pages(page, medium_type=kind, locked=self._locked, changeable=control == 1)
        return _cut(answer, packet[7:9])

    def _configuration(self, packet: bytes) -> bytes:
        request, first = packet[1] & 0x03, int.from_bytes(packet[2:4], "big")
        if request == 3:
            raise _Refused(INVALID_FIELD)
        return _cut(answers.configuration(request, first, has_disc=self.has_disc), packet[7:9])

    def _event_status(self, packet: bytes) -> bytes:
        if not packet[1] & 0x01:  # only polling is supported
            raise _Refused(INVALID_FIELD)
        answer = answers.media_event(
            packet[4], event=self._event, has_disc=self.has_disc, tray_open=self._tray_open
        )  # fmt: skip
        if packet[4] & 0x10:
            self._event = NO_EVENT
        return _cut(answer, packet[7:9])

    # -- snapshots --------------------------------------------------------------------------------------------------
    def state(self) -> AtapiCdromState:
        """Return everything the drive remembers, except its disc."""
        return AtapiCdromState(
            code=self._code, packet=self._packet, sense=self._sense, attention=self._attention, event=self._event,
            tray_open=self._tray_open, locked=self._locked, transfer_mode=self._transfer_mode, data=self._data,
            block=self._block, blocks_left=self._blocks_left, bytes_left=self._bytes_left, limit=self._limit,
        )  # fmt: skip

    def restore(self, state: DriveState) -> None:
        """Become `state` again, over the disc that lies in the drive now."""
        if not isinstance(state, AtapiCdromState):
            raise SnapshotError("ata: another kind of drive was saved; restore into a machine with the same drives")
        self._code, self._packet, self._data = state.code, state.packet, state.data
        key, code, qualifier = state.sense
        self._sense = (key, code, qualifier)
        self._attention, self._event = state.attention, state.event
        self._tray_open, self._locked, self._transfer_mode = state.tray_open, state.locked, state.transfer_mode
        self._block, self._blocks_left = state.block, state.blocks_left
        self._bytes_left, self._limit = state.bytes_left, state.limit


def _cut(answer: bytes | None, length: bytes) -> bytes:
    """Return as much of an answer as the packet's allocation length wants; None is a wrong field."""
    if answer is None:
        raise _Refused(INVALID_FIELD)
    return answer[: int.from_bytes(length, "big")]
