"""How physical memory is laid out in Unicorn: RAM and ROM as they are, everything else as calls of the bus.

The map follows the address space while the guest runs: a graphics card changes what its window shows, a PCI bridge
moves a card's memory, a chipset puts RAM under its ROM. All of these happen in a port access, where Unicorn lets its
map be changed (tests/engine/test_mapping.py).
"""

import ctypes
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from minivm.core.memory import KIB, MIB, PAGE, AddressSpace, Region
from minivm.engine import library

_HIGHEST_MMIO = 1 << 40  # as many physical address bits as the emulated processor has
_CUTS = (
    *(640 * KIB, 704 * KIB, 736 * KIB, 768 * KIB, 960 * KIB, MIB),
    *(0xE000_0000, 0xE100_0000, 0xFD00_0000, 0xFE00_0000, 1 << 32),
)
"""Nothing is mapped across these: what changes between two of them leaves the code outside alone.

At E0000000h our own BIOS puts 16 MiB of video memory, at FD000000h SeaBIOS does: Unicorn takes 0.2 s to unmap all that
is empty around them.
"""

Callbacks = Callable[[int], tuple[Any, Any]]


class Mapped(NamedTuple):
    """A run of addresses [start, end) that Unicorn has as one, and the region behind it; None is the bus."""

    start: int
    end: int
    region: Region | None


class PhysicalMap:
    """What Unicorn has at each physical address: first RAM and ROM, then, when connected, the bus."""

    def __init__(self, uc: library.Uc, space: AddressSpace) -> None:
        self._uc, self._space = uc, space
        self._make_callbacks: Callbacks | None = None
        self._callbacks: dict[int, tuple[Any, Any]] = {}
        self._host = ctypes.addressof((ctypes.c_char * 0).from_buffer(space.memory.buffer))
        self._mapped: list[Mapped] = []
        self._refused = library.MEMORY_CALLBACK(self._on_refused)
        self._hooks: dict[tuple[int, int], int] = {}
        self._lay(one for one in _pieces(space, 0, _HIGHEST_MMIO) if one.region is not None)

    def connect(self, callbacks: Callbacks) -> None:
        """Let what `callbacks` makes for a base address, (read, write), answer everywhere else."""
        self._make_callbacks = callbacks
        self._lay(one for one in _pieces(self._space, 0, _HIGHEST_MMIO) if one.region is None)

    def follow(self, start: int, end: int) -> list[Mapped]:
        """Map [start, end) as the address space has it now; return what was mapped anew."""
        touched = [one for one in self._mapped if one.start < end and start < one.end]
        start, end = min(one.start for one in touched), max(one.end for one in touched)
        self._uc.unmap(start, end - start)
        self._mapped = [one for one in self._mapped if one not in touched]
        self._lay(new := _pieces(self._space, start, end))
        self.allow_harmless_accesses()
        return new

    def allow_harmless_accesses(self) -> None:
        """Drop a write to ROM, and let code run in empty addresses, where it meets FFh; nothing else is allowed.

        The hooks lie everywhere but in RAM: where such a hook lies, every store takes the slow path.
        """
        wanted = {(one.start, one.end) for one in self._mapped if one.region is None or not one.region.writable}
        for place in self._hooks.keys() - wanted:
            self._uc.unhook(self._hooks.pop(place))
        for start, end in sorted(wanted - self._hooks.keys()):
            handle = self._uc.hook(library.HOOK_MEM_INVALID, self._refused, begin=start, end=end - 1)
            self._hooks[start, end] = handle

    def _lay(self, pieces: Iterable[Mapped]) -> None:
        for one in pieces:
            self._map(one)
            self._mapped.append(one)

    def _map(self, one: Mapped) -> None:
        region, length = one.region, one.end - one.start
        if region is None:
            if self._make_callbacks is not None:
                callbacks = self._callbacks.get(one.start) or self._make_callbacks(one.start)
                self._callbacks[one.start] = callbacks
                self._uc.map_mmio(one.start, length, *callbacks)
            return
        self._uc.map_ram(one.start, length, self._host + one.start + region.shift, library.PROT_ALL)
        if not region.writable:
            self._uc.make_read_only(one.start, length)

    def _on_refused(  # noqa: PLR0917 - Unicorn calls it so
        self, uc: int, access: int, address: int, size: int, value: int, data: int
    ) -> bool:
        if access == library.MEM_WRITE_PROT and self._space.refused is not None:
            self._space.refused(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        return access in (library.MEM_WRITE_PROT, library.MEM_FETCH_PROT)


def _pieces(space: AddressSpace, start: int, end: int) -> list[Mapped]:
    """Return what the address space has in [start, end), cut where nothing may be mapped across."""
    edges = {start, end, *(cut for cut in _CUTS if start < cut < end)}
    for region in space.regions:
        edges |= {place for place in (region.base, region.end) if start < place < end}
    ordered = sorted(edges)
    return [Mapped(*edge, _region_for(space, *edge)) for edge in pairwise(ordered)]


def _region_for(space: AddressSpace, start: int, end: int) -> Region | None:
    """Return the region behind [start, end), when Unicorn can map it: in whole pages."""
    region = space.region_at(start, end - start)
    return None if region is None or start % PAGE or end % PAGE else region
