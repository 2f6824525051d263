"""Files that are written whole or not at all.

The new content goes to a hidden file beside the old one, onto the disk, and only then takes the old one's name: a
process killed at any moment leaves one of the two, complete. A hidden file that its writer could not remove is removed
by the next writer in that folder, who knows it by its missing lock.
"""

import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path

_PART_PREFIX, _PART_SUFFIX = ".minivm-", ".part"
_PIECE_BYTES = 1 << 20
_serial = count()


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file whole, to the disk, and only then in place of `path`; raises `OSError`, and the old file stays."""
    _remove_leftovers(path.parent)
    descriptor, scratch = _open_scratch(path.parent)
    try:
        with os.fdopen(descriptor, "wb", buffering=0):  # closing it gives up the lock
            for part in parts:
                _write_all(descriptor, part)
            os.fsync(descriptor)
            os.replace(scratch, path)  # noqa: PTH105 (while the lock tells others that the hidden file is in use)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left[:_PIECE_BYTES]) :]


def _open_scratch(folder: Path) -> tuple[int, Path]:
    """Make a new file and lock it: what is not locked is a dead process's, and may be removed."""
    import fcntl

    while True:
        scratch = folder / f"{_PART_PREFIX}{os.getpid()}-{next(_serial)}{_PART_SUFFIX}"
        try:
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, scratch
        os.close(descriptor)  # Another process took it for a leftover before it was locked.


def _remove_leftovers(folder: Path) -> None:
    import fcntl

    for leftover in folder.glob(f"{_PART_PREFIX}*{_PART_SUFFIX}"):
        try:
            descriptor = os.open(leftover, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink(missing_ok=True)
        except OSError:
            continue  # Somebody is writing it, or it is not ours to remove.
        finally:
            os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
