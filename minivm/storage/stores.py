"""Where a disk's bytes lie: in a file, or in memory."""

import os
from typing import Protocol

from minivm.errors import DiskError


class Store(Protocol):
    """Where a disk's bytes lie; addresses are bytes from the image's start."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`; fewer only when the image ends there."""

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`."""

    def flush(self) -> None:
        """Make sure that what was written outlives the host's power."""

    def close(self) -> None:
        """Let the file go; closing twice is harmless."""


class BytesStore:
    """An image in memory that nobody writes: the changes go to the disk's own table."""

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Return at most `length` bytes at `offset`."""
        return self._data[offset : offset + length]

    def write(self, offset: int, data: bytes) -> None:
        """Refuse; a disk over bytes keeps its changes itself."""
        raise DiskError("an image in memory is read-only")

    def flush(self) -> None:
        """Do nothing: there is no file."""

    def close(self) -> None:
        """Do nothing: there is no file."""


class FileStore:
    """An image in a file, read and written in place.

    The file may change under us: what it loses is a `DiskError` and not zeros, what it gains is no part of the disk.
    """

    def __init__(self, descriptor: int, name: str, size: int) -> None:
        self._descriptor = descriptor
        self._name = name
        self._unflushed = False
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`, fewer only at the image's end; raises `DiskError` when the host fails."""
        end = min(offset + length, self.size)
        data = b""
        try:
            while offset < end:
                part = os.pread(self._descriptor, end - offset, offset)
                if not part:
                    raise self._shortened(offset)
                data = data + part if data else part
                offset += len(part)
        except OSError as error:
            raise DiskError(f"{self._name}: cannot be read at byte {offset}: {error.strerror}") from error
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`; raises `DiskError` when the host fails, for example because it is full.

        Only the last sector of a file that ends inside it makes the file longer, to that sector's end.
        """
        left, end = memoryview(data), offset + len(data)
        try:
            if os.lseek(self._descriptor, 0, os.SEEK_END) < min(end, self.size):
                raise self._shortened(offset)  # a write would make it longer again, with zeros in between
            self._unflushed = True
            while left:
                done = os.pwrite(self._descriptor, left, offset)
                offset, left = offset + done, left[done:]
        except OSError as error:
            raise DiskError(f"{self._name}: cannot be written at byte {offset}: {error.strerror}") from error
        self.size = max(self.size, end)

    def _shortened(self, offset: int) -> DiskError:
        return DiskError(
            f"{self._name}: byte {offset} is gone: the file had {self.size} bytes and was made shorter since"
        )

    def flush(self) -> None:
        """Have the host write everything to its own disk."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise DiskError(f"{self._name}: cannot be flushed: {error.strerror}") from error
        self._unflushed = False

    def close(self) -> None:
        """Flush what was written, and close the file, which also gives up its lock.

        Raises `DiskError` when the host reports only now that it could not keep what was written.
        """
        descriptor, unflushed = self._descriptor, self._unflushed
        if descriptor < 0:
            return
        try:
            if unflushed:
                self.flush()
        finally:
            self._descriptor = -1
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        try:
            os.close(descriptor)
        except OSError as error:
            raise DiskError(f"{self._name}: cannot be closed: {error.strerror}") from error
