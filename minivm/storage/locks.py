"""Locks on image files: a writer has an image for itself, readers share it.

Readers are also those who keep their guest's writes in memory: what a writer did under them would reach them in pieces.
Two locks say the same to two circles. `flock` tells every MiniVM, in this process too, and the tools of util-linux; the
kernel lists it with the holder's process. QEMU does not look at that: it locks single bytes of the file for what it
does and for what nobody else may do meanwhile (its "image locking"), so MiniVM does the same.
"""

import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from minivm.errors import ImageError

_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_LOCKS = Path("/proc/locks")

_USED, _UNSHARED = 100, 200
"""The bytes from which on QEMU locks what it does, and what others must not do."""
_READ, _WRITE, _RESIZE = 0, 1, 3
_FLOCK = struct.Struct("hh4xqqi4x")
"""struct flock of 64-bit Linux: type, from where, start, length, process."""


def lock(descriptor: int, name: str, *, alone: bool) -> None:
    """Lock an open image until its descriptor is closed: `alone` for a writer, else beside other readers.

    Raises `ImageError` in one line that names the holder, where the kernel tells it. A file system without locks (some
    network ones) cannot protect anybody; that is no reason not to run.
    """
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise ImageError(f"{name}: {_held_words(descriptor, alone)}") from error
    if not _lock_for_qemu(descriptor, alone):
        what = "in use by another program, QEMU perhaps" if alone else "written by another program, QEMU perhaps"
        raise ImageError(f"{name}: is {what}; {_advice(alone)}")


def _held_words(descriptor: int, alone: bool) -> str:
    who = _holder(descriptor)
    readers = alone and _may_share(descriptor)
    return f"{who} is {'reading' if readers else 'writing to'} it; {_advice(readers)}"


def _advice(readers: bool) -> str:
    return "stop that one, or attach it here with ,ro or ,snapshot" if readers else "stop that one first"


def _may_share(descriptor: int) -> bool:
    """Tell whether a reader could have the file now; who asks closes it, and so gives the lock back."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """Say who holds a lock on the file, as far as /proc/locks lists it (proc(5))."""
    status = os.fstat(descriptor)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        lines = []
    for words in map(str.split, lines):
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == place and words[4].isdigit() and int(words[4]):
            return "another machine of this process" if int(words[4]) == os.getpid() else f"process {words[4]}"
    return "another machine"


def _lock_for_qemu(descriptor: int, alone: bool) -> bool:
    """Lock the bytes that stand for what we do and do not share; return False when somebody else's contradict."""
    import fcntl

    used = (_READ, _WRITE) if alone else (_READ,)
    unshared = (_WRITE, _RESIZE)

    def ask(command: int, kind: int, place: int) -> int:
        answer = fcntl.fcntl(descriptor, command, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
        found: int = _FLOCK.unpack(answer)[0]
        return found

    def places(first: int, bits: Iterable[int]) -> list[int]:
        return [first + bit for bit in bits]

    try:
        for place in places(_USED, used) + places(_UNSHARED, unshared):
            ask(fcntl.F_OFD_SETLK, fcntl.F_RDLCK, place)
        against = places(_UNSHARED, used) + places(_USED, unshared)
        return all(ask(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, place) == fcntl.F_UNLCK for place in against)
    except (OSError, AttributeError):
        return True  # a host or a file system that has no such locks
