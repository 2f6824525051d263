"""Physical memory: RAM on one mmap, and the map of what answers at each physical address.

`Memory` is the bytes. `AddressSpace` is what the CPU's address pins reach: RAM, ROM (writes are lost), and for all the
rest the memory-mapped I/O bus, where an address that nobody claims reads as ones.
"""

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from minivm.core.bus import Bus
from minivm.core.record import record
from minivm.errors import ConfigError, MemoryRangeError

if TYPE_CHECKING:
    from minivm.core.pagemap import Tracker

KIB = 1 << 10
MIB = 1 << 20
PAGE = 4096
SMALLEST_BYTES = 1 * MIB
LARGEST_BYTES = 3 << 30
"""The PCI hole, 3 GiB to 4 GiB, is never RAM."""
MOST_CARDS_BYTES = 64 * MIB
"""What a machine's cards may have behind its RAM."""

WriteListener = Callable[[int, int], None]
"""Told of [start, end) after the host changed guest memory, so that an engine drops stale translations."""


class Memory:
    """The machine's RAM, `size_bytes` of zeros in one anonymous mapping, and `cards_bytes` of its cards' own behind it.

    Indexing reads and writes bytes by physical address: `memory[0xB8000:0xB8010]`. Pages are 4 KiB, numbered from 0.
    RAM's host address never changes, whatever `fork` and `mark` do under it (docs/memory.md). What the cards have
    (video memory, ROM) has no address here but a place in `view`, from `size` on; a `Region` shows it to the CPU. It is
    part of every copy, and its pages are numbered on.
    """

    def __init__(self, size_bytes: int, cards_bytes: int = 0) -> None:
        if size_bytes % PAGE or not SMALLEST_BYTES <= size_bytes <= LARGEST_BYTES:
            raise ConfigError(f"memory is {size_bytes} bytes; give whole pages between 1M and 3G")
        self.size = size_bytes
        self.total = size_bytes + cards_bytes
        self.buffer = mmap.mmap(-1, self.total, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self.buffer)
        self.write_listeners: list[WriteListener] = []
        self._tracker: Tracker | None = None

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes at the physical `address`; raises `MemoryRangeError` outside RAM."""
        self._check(address, length)
        return bytes(self.view[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at the physical `address` as DMA would; raises `MemoryRangeError` outside RAM."""
        end = address + len(data)
        if address < 0 or end > self.size:
            self._check(address, len(data))
        self.view[address:end] = data
        for listener in self.write_listeners:
            listener(address, end)

    def __getitem__(self, key: int | slice) -> bytes:
        start, stop = self._range(key)
        return self.read(start, stop - start)

    def __setitem__(self, key: int | slice, data: bytes | int) -> None:
        start, stop = self._range(key)
        data = bytes([data]) if isinstance(data, int) else bytes(data)
        if len(data) != stop - start:
            raise MemoryRangeError(f"{len(data)} bytes do not fit the {stop - start} bytes at {start:X}h")
        self.write(start, data)

    def __len__(self) -> int:
        return self.size

    # -- copies and changes; only while no engine is running ----------------------------------------------------
    def fork(self) -> "Memory":
        """Return a memory with the same bytes; the two share each page until one of them writes to it.

        The copy has no write listeners, and its first period (see `mark`) begins here. Raises `OSError` when the host
        has no memory left.
        """
        child = Memory(self.size, self.total - self.size)
        try:
            child._tracker = self._pages().fork(child.buffer)
        except BaseException:
            child.close()
            raise
        return child

    def mark(self) -> None:
        """Begin a new period for `changed`."""
        self._pages().mark()

    def changed(self) -> list[int]:
        """Return every page written since `mark` (without one: since the memory was made), in ascending order.

        It does not matter who wrote: the guest, `write`, or somebody through `view`. A page may be listed that was
        only read, or that holds the same bytes again; none is missing whose bytes differ.
        """
        return self._pages().changed()

    def used(self) -> list[int]:
        """Return every page that may hold something else than zeros, in ascending order."""
        return self._pages().used()

    def put_pages(self, pages: Mapping[int, bytes]) -> None:
        """Make each page hold the 4096 bytes given; a page that does already is not touched.

        Write listeners hear of each run of neighbours once. Raises `MemoryRangeError` for a page outside RAM or bytes
        that are no page, before anything is written.
        """
        for page, data in pages.items():
            if not 0 <= page < self.total // PAGE:
                self._check(page * PAGE, PAGE)
            if len(data) != PAGE:
                raise MemoryRangeError(f"{len(data)} bytes are no page of {PAGE}")
        wanted = [page for page in sorted(pages) if self.buffer[page * PAGE : (page + 1) * PAGE] != pages[page]]
        for first, last in _neighbours(wanted):
            self.view[first * PAGE : last * PAGE] = b"".join(pages[page] for page in range(first, last))
            for listener in self.write_listeners:
                listener(first * PAGE, last * PAGE)

    def zero_pages(self, pages: Iterable[int]) -> None:
        """Make each of the `pages` hold zeros, as `put_pages` does."""
        self.put_pages(dict.fromkeys(pages, _ZERO_PAGE))

    def close(self) -> None:
        """Give the mapping back; the engine that used it must be closed before.

        A device may still hold its window on the memory: the mapping then goes when the device does. Forks live on.
        """
        if self._tracker is not None:
            self._tracker.close()
        self.view.release()
        with suppress(BufferError):
            self.buffer.close()

    def _pages(self) -> "Tracker":
        if self._tracker is None:
            from minivm.core.pagemap import tracker_for  # most machines never fork

            self._tracker = tracker_for(self.buffer)
        return self._tracker

    def _range(self, key: int | slice) -> tuple[int, int]:
        if isinstance(key, int):
            return key, key + 1
        if key.step not in (None, 1):
            raise MemoryRangeError("guest memory is sliced by ones")
        return key.start or 0, self.size if key.stop is None else key.stop

    def _check(self, address: int, length: int) -> None:
        if address < 0 or length < 0 or address + length > self.size:
            raise MemoryRangeError(f"{address:X}h, {length} bytes: outside RAM, which ends at {self.size:X}h")


_ZERO_PAGE = bytes(PAGE)


def _neighbours(pages: list[int]) -> list[tuple[int, int]]:
    """Return the runs [first, last) of ascending page numbers."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and runs[-1][1] == page:
            runs[-1] = (runs[-1][0], page + 1)
        else:
            runs.append((page, page + 1))
    return runs


@record
class Region:
    """A run of physical addresses backed by bytes of `memory`; ROM when not `writable`.

    The bytes lie at the same place in memory, or `shift` bytes on.
    """

    base: int
    length: int
    writable: bool
    shift: int = 0

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.base + self.length


class AddressSpace:
    """What answers at each physical address, for everyone who is not the CPU engine's own fast path.

    `load` and `store` never raise: they do what the wires do. `a20_mask` is ANDed onto every address first
    (IBM PC AT Technical Reference, "Address bit 20"). The `regions` may change while the guest runs (`show`, `hide`);
    `map_listeners` hear of the addresses [start, end) where they did. `refused` is told of writes to ROM.
    """

    def __init__(self, memory: Memory, mmio: Bus, regions: list[Region]) -> None:
        self.memory = memory
        self.mmio = mmio
        self.regions = sorted(regions, key=lambda region: region.base)
        self.a20_mask = ~0
        self.map_listeners: list[WriteListener] = []
        self.refused: Callable[[int, bytes], None] | None = None

    def show(self, region: Region) -> None:
        """Let `region` answer, in place of whatever answered at its addresses."""
        self.replace(region.base, region.end, [region])

    def hide(self, base: int, length: int) -> None:
        """Let the memory-mapped I/O bus answer at [base, base + length)."""
        self.replace(base, base + length, [])

    def replace(self, start: int, end: int, new: Iterable[Region]) -> None:
        """Let the `new` regions and, around them, the memory-mapped I/O bus answer at [start, end)."""
        kept = [part for region in self.regions for part in _without(region, start, end)]
        regions = _joined(sorted([*kept, *new], key=lambda region: region.base))
        if regions == self.regions:
            return
        self.regions = regions
        for listener in self.map_listeners:
            listener(start, end)

    def show_behind(self, region: Region) -> None:
        """Let `region` answer where neither RAM nor ROM does."""
        free = [region]
        for other in self.regions:
            free = [part for one in free for part in _without(one, other.base, other.end)]
        for part in free:
            self.show(part)

    def withdraw(self, region: Region) -> None:
        """Let `region` answer nowhere any more, wherever it still does."""
        for other in self.regions:
            if other.shift == region.shift and region.base <= other.base and other.end <= region.end:
                self.hide(other.base, other.length)

    def region_at(self, address: int, length: int = 1) -> Region | None:
        """Return the region that holds all of [address, address + length), or None."""
        for region in self.regions:
            base = region.base
            if base <= address and address + length <= base + region.length:
                return region
        return None

    def load(self, address: int, size: int) -> int:
        """Read `size` bytes (1, 2, 4 or 8) as a little-endian number, as the CPU would on the bus."""
        address &= self.a20_mask
        region = self.region_at(address, size)
        if region is not None:
            place = address + region.shift
            return int.from_bytes(self.memory.view[place : place + size], "little")
        if size == 1:
            return self.mmio.read(address, 1) if address < self.mmio.size else 0xFF
        return self._load_pieces(address, size)

    def store(self, address: int, size: int, value: int) -> None:
        """Write `size` bytes (1, 2, 4 or 8); ROM and empty addresses take nothing."""
        address &= self.a20_mask
        region = self.region_at(address, size)
        if region is not None:
            self._store(region, address, value.to_bytes(size, "little"))
        elif size == 1:
            if address < self.mmio.size:
                self.mmio.write(address, 1, value)
        else:
            self._store_pieces(address, size, value)

    def load_bytes(self, address: int, length: int) -> bytes:
        """Read `length` bytes, one by one where neither RAM nor ROM holds them."""
        if self.a20_mask != ~0:
            return bytes(self.load(address + offset, 1) for offset in range(length))
        whole = self.region_at(address, length)
        if whole is not None:
            return bytes(self.memory.view[address + whole.shift : address + whole.shift + length])
        data = bytearray()
        for start, end, region in self._pieces(address, length):
            if region is not None:
                data += self.memory.view[start + region.shift : end + region.shift]
            else:
                data += bytes(self.load(place, 1) for place in range(start, end))
        return bytes(data)

    def store_bytes(self, address: int, data: bytes) -> None:
        """Write `data` as the CPU would, byte by byte where neither RAM nor ROM holds it."""
        if self.a20_mask != ~0:
            for offset, byte in enumerate(data):
                self.store(address + offset, 1, byte)
            return
        for start, end, region in self._pieces(address, len(data)):
            if region is None:
                for place in range(start, end):
                    self.store(place, 1, data[place - address])
            else:
                self._store(region, start, data[start - address : end - address])

    def _store(self, region: Region, address: int, data: bytes) -> None:
        if region.writable:
            self.put(region, address, data)
        elif self.refused is not None:
            self.refused(address, data)

    def edit(self, address: int, data: bytes) -> None:
        """Put `data` where the CPU will read it, into ROM as well, as a debugger does; nothing where no memory is."""
        for start, end, region in self._pieces(address, len(data)):
            if region is not None:
                self.put(region, start, data[start - address : end - address])

    def put(self, region: Region, address: int, data: bytes) -> None:
        """Put `data` at `address`, all of which lies in `region`, and let the engine know."""
        place = address + region.shift
        self.memory.view[place : place + len(data)] = data
        for listener in self.memory.write_listeners:
            listener(address, address + len(data))

    def _pieces(self, address: int, length: int) -> Iterator[tuple[int, int, Region | None]]:
        """Return the parts [start, end) of a range, each with the region that holds it, in order."""
        end = address + length
        for region in self.regions:
            if address < end and region.end > address and region.base < end:
                if region.base > address:
                    yield address, region.base, None
                    address = region.base
                yield address, min(end, region.end), region
                address = min(end, region.end)
        if address < end:
            yield address, end, None

    def _load_pieces(self, address: int, size: int) -> int:
        inside = self.region_at(address) or self.region_at(address + size - 1)
        if inside is None and size <= 4 and address + size <= self.mmio.size and address % size == 0:
            return self.mmio.read(address, size)
        half = size // 2
        return self.load(address, half) | self.load(address + half, half) << (8 * half)

    def _store_pieces(self, address: int, size: int, value: int) -> None:
        inside = self.region_at(address) or self.region_at(address + size - 1)
        if inside is None and size <= 4 and address + size <= self.mmio.size and address % size == 0:
            self.mmio.write(address, size, value)
            return
        half = size // 2
        self.store(address, half, value & ((1 << (8 * half)) - 1))
        self.store(address + half, half, value >> (8 * half))


def _joined(regions: list[Region]) -> list[Region]:
    """Return the ascending `regions` with neighbours that are alike made one."""
    joined: list[Region] = []
    for region in regions:
        last = joined[-1] if joined else None
        if last is not None and last.end == region.base and _alike(last, region):
            joined[-1] = Region(last.base, last.length + region.length, last.writable, last.shift)
        else:
            joined.append(region)
    return joined


def _alike(one: Region, other: Region) -> bool:
    return (one.writable, one.shift) == (other.writable, other.shift)


def _without(region: Region, start: int, end: int) -> list[Region]:
    """Return what is left of `region` outside [start, end)."""
    if region.end <= start or end <= region.base:
        return [region]
    parts = ((region.base, start), (end, region.end))
    return [Region(first, last - first, region.writable, region.shift) for first, last in parts if first < last]
