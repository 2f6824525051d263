"""The file that is to be booted, before anybody knows what it is."""

import os
from pathlib import Path

from minivm.core.record import record
from minivm.errors import ImageError
from minivm.storage.image_files import open_image_file

HEAD_BYTES = 0x9000
"""Enough to see every header that tells a kind; the last is an ISO's volume descriptor at 8000h."""


@record
class Image:
    """A guest's `name`, its `size` in bytes, its first bytes, and where the rest is: a file or `data`."""

    name: str
    size: int
    head: bytes
    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def of_bytes(cls, data: bytes, name: str) -> "Image":
        """Make an image of bytes that are in memory already."""
        return cls(name, len(data), data[:HEAD_BYTES], data=bytes(data))

    @classmethod
    def open(cls, path: Path) -> "Image":
        """Look at the file's beginning; raises `ImageError` when it is missing, a directory, or unreadable."""
        descriptor = open_image_file(str(path))
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            head = os.pread(descriptor, HEAD_BYTES, 0)
        except OSError as error:
            raise ImageError(f"{path}: cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return cls(str(path), size, head, path=path)

    @property
    def short_name(self) -> str:
        """The name without its folders, which a guest may see: the same on every host."""
        return os.path.basename(self.name)  # noqa: PTH119 - the name need not be a path

    def read(self, most: int) -> bytes:
        """Return the whole content; raises `ImageError` when it is larger than `most` bytes."""
        if self.size > most:
            raise ImageError(f"{self.name}: is too large: {self.size} bytes where at most {most} fit")
        if self.path is None:
            return self.data or b""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ImageError(f"{self.name}: cannot be read: {error.strerror}") from error
