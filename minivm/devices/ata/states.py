"""What the parts of an ATA channel remember, as a snapshot keeps it; times are virtual nanoseconds."""

from minivm.core.record import record


@record
class AtaDiskState:
    """Everything the drive remembers; the sectors themselves are saved with the medium."""

    code: int
    lba: int
    left: int
    heads: int
    track_sectors: int
    multiple: int
    transfer_mode: int
    write_cache: bool
    reverts: bool
    standby: bool
    ahead: bytes
    """What DMA has read of a sector, or written of one, and not moved on yet."""


@record
class AtapiCdromState:
    """Everything the drive remembers, except what disc lies in it."""

    code: int
    packet: bytes
    sense: tuple[int, int, int]
    attention: bool
    event: int
    tray_open: bool
    locked: bool
    transfer_mode: int
    data: bytes
    """What has been read of the answer and not sent yet."""
    block: int
    blocks_left: int
    bytes_left: int
    limit: int


DriveState = AtaDiskState | AtapiCdromState


@record
class UnitState:
    """Everything a unit remembers, with what its drive remembers; `due` is virtual nanoseconds."""

    status: int
    error: int
    device: int
    registers: bytes
    """FEATURES, COUNT, LOW, MID and HIGH as they were last written."""
    previous: bytes
    """The same as they were written before that: the high half of a 48-bit command."""
    interrupt: bool
    block: bytes
    position: int
    direction: str
    next_step: str
    due: int | None
    dma_left: int
    drive: DriveState
