"""A floppy drive: a head on a rail, a motor that somebody else switches, and a medium that can be changed.

The IDs of a medium's sectors follow from its shape, since an image holds nothing but data: cylinder and head are where
they are, sectors count from 1, all have 512 bytes and MFM's marks. A mark of deleted data is remembered until the
medium is changed.
"""

from minivm.core.block import SECTOR_BYTES, BlockDevice
from minivm.core.record import record

LAST_CYLINDER = 83
"""Where the head meets its stop."""
RATE_500K, RATE_300K, RATE_250K, RATE_1M = range(4)
"""The rate select bits of CCR and DSR (82077AA datasheet, table 2-6)."""


@record
class FloppyMedium:
    """A disk and its shape; `device` has cylinders * heads * sectors_per_track sectors of 512 bytes."""

    device: BlockDevice
    cylinders: int
    heads: int
    sectors_per_track: int

    @property
    def rates(self) -> tuple[int, ...]:
        """The rates that read it: 9 sectors fit a track at 250 kbit/s, or at 300 in a drive that turns faster."""
        if self.sectors_per_track > 21:
            return (RATE_1M,)
        if self.sectors_per_track > 10:
            return (RATE_500K,)
        return (RATE_250K, RATE_300K) if self.cylinders <= 42 else (RATE_250K,)

    def place(self, cylinder: int, head: int, sector: int) -> int:
        """Return the number of a sector; `sector` counts from 1."""
        return (cylinder * self.heads + head) * self.sectors_per_track + sector - 1


@record
class FloppyDriveState:
    """Where the head is, whether the medium was changed since it last moved, and the sectors marked as deleted."""

    cylinder: int = 0
    changed: bool = True
    deleted: tuple[int, ...] = ()


class FloppyDrive:
    """One drive of two; `present` is false for a plug without a drive, whose wires nobody drives."""

    def __init__(self, *, present: bool) -> None:
        self.present = present
        self.medium: FloppyMedium | None = None
        self.cylinder = 0
        self.changed = present
        self.deleted: set[int] = set()

    def insert(self, medium: FloppyMedium | None) -> None:
        """Change the medium; None takes it out."""
        self.medium = medium
        self.changed = self.present
        self.deleted.clear()

    def move(self, cylinder: int, pulses: int) -> None:
        """End a movement of the head; a step pulse resets the change line when there is a medium."""
        if not self.present:
            return
        self.cylinder = min(max(cylinder, 0), LAST_CYLINDER)
        if pulses and self.medium is not None:
            self.changed = False

    def formatted(self, side: int) -> FloppyMedium | None:
        """Return the medium when there is a track under this head."""
        medium = self.medium if self.present else None
        if medium is None or side >= medium.heads or self.cylinder >= medium.cylinders:
            return None
        return medium

    @property
    def write_protected(self) -> bool:
        """The WP pin; an empty drive's is not active."""
        return self.medium is not None and self.medium.device.read_only

    def read(self, place: int) -> bytes:
        """Return a sector's data; raises `DiskError`."""
        assert self.medium is not None
        return self.medium.device.read(place, 1)

    def write(self, place: int, data: bytes, *, deleted: bool = False) -> None:
        """Write a sector and its mark; raises `DiskError`."""
        assert self.medium is not None
        self.medium.device.write(place, data.ljust(SECTOR_BYTES, b"\0"))
        (self.deleted.add if deleted else self.deleted.discard)(place)

    def state(self) -> FloppyDriveState:
        """Return what the drive remembers; its medium is the storage's."""
        return FloppyDriveState(self.cylinder, self.changed, tuple(sorted(self.deleted)))

    def restore(self, state: FloppyDriveState) -> None:
        """Become `state` again, with whatever medium is in."""
        self.cylinder, self.changed, self.deleted = state.cylinder, state.changed, set(state.deleted)
