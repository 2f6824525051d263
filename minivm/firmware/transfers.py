"""Between a disk and guest memory: one read of the host's and one copy, however long the transfer is.

Below 1 MiB the bytes go where the CPU's own would, into video memory through its card, too. Above, only memory takes
them, so that a transfer to nowhere costs nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from minivm.core.dma import SystemMemory
from minivm.core.memory import MIB
from minivm.errors import MiniVMError
from minivm.firmware.drives import SECTOR, Disk
from minivm.firmware.services import Board

OK, BAD_COMMAND, WRITE_PROTECTED, NOT_FOUND = 0x00, 0x01, 0x03, 0x04
CHANGED, BAD_MEDIA_TYPE, CONTROLLER_FAILED, NO_MEDIUM, TIMEOUT = 0x06, 0x0C, 0x20, 0x31, 0x80


class Transfers:
    """Moves whole sectors; each method returns INT 13h's status."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._space = board.space
        self._above = SystemMemory(board.space)

    def load(self, disk: Disk, lba: int, count: int, address: int) -> int:
        """Read sectors of the disk into memory at the physical `address`."""
        return self.attempt(lambda: self._put(address, disk.read(lba, count)))

    def store(self, disk: Disk, lba: int, count: int, address: int) -> int:
        """Write memory at the physical `address` to sectors of the disk."""
        if disk.read_only:
            return WRITE_PROTECTED
        return self.attempt(lambda: disk.write(lba, self._get(address, count * SECTOR)))

    def verify(self, disk: Disk, lba: int, count: int, address: int) -> int:
        """Find out whether the sectors can be read; memory is not touched."""
        return self.attempt(lambda: disk.read(lba, count))

    def attempt(self, transfer: Callable[[], object]) -> int:
        """Do a transfer; what fails on the host is a broken controller to the guest."""
        try:
            transfer()
        except (MiniVMError, OSError) as error:
            self._board.trace(f"bios: INT 13h: {error}")
            return CONTROLLER_FAILED
        return OK

    def _put(self, address: int, data: bytes) -> None:
        for place, offset, length in self._pieces(address, len(data)):
            part = data[offset : offset + length] if length != len(data) else data
            if place >= MIB:
                self._above.write(place, part)
            else:
                with self._past_the_gate():
                    self._space.store_bytes(place, part)

    def _get(self, address: int, length: int) -> bytes:
        data = bytearray()
        for place, _, size in self._pieces(address, length):
            if place >= MIB:
                data += self._above.read(place, size)
            else:
                with self._past_the_gate():
                    data += self._space.load_bytes(place, size)
        return bytes(data)

    @contextmanager
    def _past_the_gate(self) -> Iterator[None]:
        """Take the A20 mask away for addresses that have been through it: with one, the space goes byte by byte."""
        mask, self._space.a20_mask = self._space.a20_mask, ~0
        try:
            yield
        finally:
            self._space.a20_mask = mask

    def _pieces(self, address: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Return (physical address, offset, length) of the pieces between which the way to memory may change."""
        mask, offset = self._space.a20_mask, 0
        while offset < length:
            place = (address + offset) & mask
            free_of_gate = mask == ~0 and place >= MIB
            size = length - offset if free_of_gate else min(length - offset, MIB - place % MIB)
            yield place, offset, size
            offset += size
