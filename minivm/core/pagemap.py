"""Which pages of RAM were written, and RAM that several machines share until one of them writes.

Linux keeps both for us. RAM becomes a *private* mapping of a file in memory (`memfd_create`): reads come from the file,
and the first write to a page makes the kernel copy it. `/proc/self/pagemap` tells which pages have such a copy (Linux
kernel, Documentation/admin-guide/mm/pagemap.rst: bit 63 present, bit 62 swapped, bit 61 belongs to a file), so nobody
has to be told of a write, whoever made it. Where there is no such kernel, `CopyTracker` keeps and compares copies.

Nothing here is imported before somebody marks or forks a memory: a plain run pays nothing.
"""

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Protocol

PAGE = 4096
CHUNK = 16 * PAGE
"""What is skipped as a whole when it holds zeros, or holds what it held before."""
ENTRY_BYTES = 8
MOST_COPIES = 512
"""How many pages a fork copies before a new file is cheaper: 2 MiB."""

_ZEROS = bytes(CHUNK)
_TO_PRIVATE = bytes(value & 0xE0 in (0x80, 0x40, 0xC0) for value in range(256))
"""From a page map entry's top byte to 1 for a page of our own, and 0 for one that is the file's or not there."""


class Tracker(Protocol):
    """What a `Memory` asks about its pages; pages are numbered from 0, lists of them ascend."""

    def used(self) -> list[int]:
        """Return every page that may hold something else than zeros."""

    def changed(self) -> list[int]:
        """Return every page that was written since `mark`, and perhaps some more."""

    def mark(self) -> None:
        """Begin a new period."""

    def fork(self, child: mmap.mmap) -> "Tracker":
        """Make the fresh mapping `child` hold the same bytes and return its tracker, whose period begins now."""

    def close(self) -> None:
        """Let go of what is shared; closing twice is harmless."""


def tracker_for(buffer: mmap.mmap) -> Tracker:
    """Return the tracker that this host offers for the anonymous private mapping `buffer`, which has no other yet."""
    return FileTracker(buffer) if supported() else CopyTracker(buffer)


@cache
def supported() -> bool:
    """Tell whether this kernel tells a private copy from a page of the file: one of each is made and looked at."""
    if mmap.PAGESIZE != PAGE or not hasattr(os, "memfd_create"):
        return False
    try:
        base = _Base(2 * PAGE)
    except OSError:
        return False
    with mmap.mmap(-1, 2 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as probe:
        try:
            base.write(0, b"\1" * (2 * PAGE))
            base.map_over(probe)
            probe[0] = probe[PAGE]
            return _private_pages(probe) == b"\1\0"
        except OSError:
            return False
        finally:
            base.release()


class _Base:
    """A file in memory that holds the bytes of RAM at some moment, with the number of memories that lie over it.

    `filled` has a 1 for each page that was ever put there, `copies` counts what forks had to copy beside it.
    """

    def __init__(self, size: int) -> None:
        self._descriptor = os.memfd_create("minivm-ram", os.MFD_CLOEXEC)
        self.size = size
        self.filled = bytes(size // PAGE)
        self.sharers = 1
        self.copies = 0
        try:
            os.ftruncate(self._descriptor, size)
        except OSError:
            self.release()
            raise

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put `data` at `offset`; raises `OSError` when the host has no memory left."""
        while data:
            done = os.pwrite(self._descriptor, data, offset)
            offset, data = offset + done, data[done:]

    def map_over(self, buffer: mmap.mmap) -> None:
        """Replace the pages of `buffer` by this file's, privately and at the same address."""
        call = _mmap_call()
        flags = mmap.MAP_PRIVATE | _MAP_FIXED
        where = call(_address(buffer), self.size, mmap.PROT_READ | mmap.PROT_WRITE, flags, self._descriptor, 0)
        if where == _MAP_FAILED:
            number = ctypes.get_errno()
            raise OSError(number, f"RAM cannot be mapped: {os.strerror(number)}")

    def release(self) -> None:
        """Count one memory less; the last one closes the file."""
        self.sharers -= 1
        if self.sharers == 0:
            os.close(self._descriptor)


_MAP_FIXED = 0x10  # Linux, every architecture that we run on; Python's mmap module does not name it
_MAP_FAILED = ctypes.c_void_p(-1).value


@cache
def _mmap_call() -> "ctypes._NamedFuncPointer":
    call = ctypes.CDLL(None, use_errno=True).mmap
    call.restype = ctypes.c_void_p
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    return call


class FileTracker:
    """Pages over a file in memory. Until the first `mark` or `fork`, RAM is anonymous and there is no file."""

    def __init__(self, buffer: mmap.mmap, base: _Base | None = None) -> None:
        self._buffer = buffer
        self._base = base
        self._written = bytes(len(buffer) // PAGE)  # of this period, but put into the file by a fork since

    def used(self) -> list[int]:
        """Return the pages of our own and those that the file has."""
        return _indices(self._used(_private_pages(self._buffer)))

    def changed(self) -> list[int]:
        """Return the pages of our own: one read of the page map, whoever wrote."""
        return _indices(_either(_private_pages(self._buffer), self._written))

    def mark(self) -> None:
        """Move the pages of our own into the file, so that each page's next write makes a copy again."""
        self._settle(_private_pages(self._buffer))
        self._written = bytes(len(self._written))

    def fork(self, child: mmap.mmap) -> "FileTracker":
        """Map the file under `child`, too, and copy what the file lacks and may not be given."""
        private = _private_pages(self._buffer)
        count = private.count(1)
        base = self._base
        if base is None or base.sharers == 1 or base.copies + count > min(MOST_COPIES, base.filled.count(1) // 2):
            self._settle(private)
            self._written = _either(self._written, private)
            private, count = b"", 0
        base = self._base
        assert base is not None
        base.map_over(child)
        base.sharers += 1
        base.copies += count
        for start, end in _runs(private):
            child[start * PAGE : end * PAGE] = self._buffer[start * PAGE : end * PAGE]
        return FileTracker(child, base)

    def close(self) -> None:
        """Give the file back."""
        if self._base is not None:
            self._base.release()
            self._base = None

    def _used(self, private: bytes) -> bytes:
        return private if self._base is None else _either(private, self._base.filled)

    def _settle(self, private: bytes) -> None:
        """Make every page the file's, with the bytes it has; a file that others read, too, stays as it is."""
        base = self._base
        if base is None or base.sharers > 1:
            self._start_afresh(private)
            return
        with memoryview(self._buffer) as view:
            for start, end in _runs(private):
                base.write(start * PAGE, view[start * PAGE : end * PAGE])
        base.filled = _either(base.filled, private)
        for start, end in _bridged(private):
            with suppress(OSError):  # a page that stays private is only reported once too often
                self._buffer.madvise(mmap.MADV_DONTNEED, start * PAGE, (end - start) * PAGE)

    def _start_afresh(self, private: bytes) -> None:
        """Lie over a new file with all that is not zero: the old one is not ours alone, or there is none."""
        base = _Base(len(self._buffer))
        try:
            filled = bytearray(len(private))
            for start, end in _chunks(self._used(private)):
                data = self._buffer[start * PAGE : end * PAGE]
                if data != _ZEROS[: len(data)]:
                    base.write(start * PAGE, data)
                    filled[start:end] = b"\1" * (end - start)
            base.filled = bytes(filled)
            base.map_over(self._buffer)
        except OSError:
            base.release()
            raise
        self.close()
        self._base = base


class CopyTracker:
    """The same for a host without page maps: it keeps a copy of what is not zero and compares."""

    def __init__(self, buffer: mmap.mmap, kept: dict[int, bytes] | None = None) -> None:
        self._buffer = buffer
        self._kept: dict[int, bytes] = kept if kept is not None else {}

    def used(self) -> list[int]:
        """Return the pages that hold something else than zeros: looks at all of RAM."""
        return self._different({})

    def changed(self) -> list[int]:
        """Return the pages that differ from the copy: looks at all of RAM."""
        return self._different(self._kept)

    def mark(self) -> None:
        """Copy all of RAM that is not zero."""
        self._kept = self._copy()

    def fork(self, child: mmap.mmap) -> "CopyTracker":
        """Copy all of RAM that is not zero; nothing is shared."""
        copy = self._copy()
        for start, data in copy.items():
            child[start : start + len(data)] = data
        return CopyTracker(child, copy)

    def close(self) -> None:
        """Drop the copy."""
        self._kept = {}

    def _copy(self) -> dict[int, bytes]:
        kept = {start: self._buffer[start : start + CHUNK] for start in range(0, len(self._buffer), CHUNK)}
        return {start: data for start, data in kept.items() if data != _ZEROS[: len(data)]}

    def _different(self, before: dict[int, bytes]) -> list[int]:
        pages: list[int] = []
        for start in range(0, len(self._buffer), CHUNK):
            data = self._buffer[start : start + CHUNK]
            old = before.get(start, _ZEROS[: len(data)])
            if data != old:
                pages += (
                    (start + at) // PAGE
                    for at in range(0, len(data), PAGE)
                    if data[at : at + PAGE] != old[at : at + PAGE]
                )
        return pages


def _private_pages(buffer: mmap.mmap) -> bytes:
    """Return a byte for each page of `buffer`: 1 when it is a private copy. Each entry's top byte has all we need."""
    wanted = len(buffer) // PAGE * ENTRY_BYTES
    offset = _address(buffer) // PAGE * ENTRY_BYTES
    descriptor = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        entries = os.pread(descriptor, wanted, offset)
        while len(entries) < wanted:
            more = os.pread(descriptor, wanted - len(entries), offset + len(entries))
            if not more:
                raise OSError("the page map ends before RAM does")
            entries += more
    finally:
        os.close(descriptor)
    return entries[ENTRY_BYTES - 1 :: ENTRY_BYTES].translate(_TO_PRIVATE)


def _address(buffer: mmap.mmap) -> int:
    return ctypes.addressof((ctypes.c_char * 0).from_buffer(buffer))


def _either(left: bytes, right: bytes) -> bytes:
    """Return the flags that are set in either, all at once: as long numbers."""
    return (int.from_bytes(left, "little") | int.from_bytes(right, "little")).to_bytes(len(left), "little")


def _runs(flags: bytes) -> Iterator[tuple[int, int]]:
    """Return the runs [start, end) of ones."""
    end = 0
    while (start := flags.find(1, end)) >= 0:
        end = flags.find(0, start)
        if end < 0:
            end = len(flags)
        yield start, end


def _bridged(flags: bytes) -> list[tuple[int, int]]:
    """Return runs that hold all ones, and gaps of up to a chunk: dropping the file's own pages harms nobody.

    One call of the kernel costs more than the page faults that bring those few back.
    """
    bridged: list[tuple[int, int]] = []
    for start, end in _runs(flags):
        near = bridged and start - bridged[-1][1] <= CHUNK // PAGE
        bridged.append((bridged.pop()[0] if near else start, end))
    return bridged


def _chunks(flags: bytes) -> Iterator[tuple[int, int]]:
    """Return the runs of ones, cut into pieces of at most a chunk."""
    for first, last in _runs(flags):
        for start in range(first, last, CHUNK // PAGE):
            yield start, min(start + CHUNK // PAGE, last)


def _indices(flags: bytes) -> list[int]:
    return [page for start, end in _runs(flags) for page in range(start, end)]
