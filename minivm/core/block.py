"""What a drive sees of its disk: numbered sectors of 512 bytes that can be read, written and flushed."""

from typing import Protocol

SECTOR_BYTES = 512


class BlockDevice(Protocol):
    """A medium in a drive. Every method raises `DiskError` where the host cannot do it; the drive tells the guest."""

    @property
    def sectors(self) -> int:
        """How many sectors there are."""

    @property
    def read_only(self) -> bool:
        """True when every write is refused."""

    def read(self, lba: int, count: int) -> bytes:
        """Return `count` sectors from number `lba` on."""

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors from number `lba` on."""

    def flush(self) -> None:
        """Make sure that what was written outlives the host's power."""
