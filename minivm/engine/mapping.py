"""How physical memory is laid out in Unicorn: RAM and ROM as they are, everything else as calls of the bus."""

import ctypes
from collections.abc import Callable
from typing import Any

from minivm.core.memory import AddressSpace
from minivm.engine import library

_HIGHEST_MMIO = 1 << 40  # as many physical address bits as the emulated processor has


def map_memory(uc: library.Uc, space: AddressSpace) -> None:
    """Show the guest the host's memory behind `space`, which must outlive the engine."""
    pin = (ctypes.c_char * 0).from_buffer(space.memory.buffer)
    host = ctypes.addressof(pin)
    for region in space.regions:
        uc.map_ram(region.base, region.length, host + region.base, library.PROT_ALL)
        if not region.writable:
            uc.make_read_only(region.base, region.length)


def map_holes(uc: library.Uc, space: AddressSpace, callbacks: Callable[[int], tuple[Any, Any]]) -> None:
    """Send accesses between the regions to what `callbacks` makes for the base of each hole: (read, write)."""
    ends = [0, *(region.end for region in space.regions), 1 << 32]
    begins = [*(region.base for region in space.regions), 1 << 32, _HIGHEST_MMIO]
    for base, end in zip(ends, begins, strict=True):
        if base < end:
            uc.map_mmio(base, end - base, *callbacks(base))


def allow_harmless_accesses(uc: library.Uc, space: AddressSpace) -> None:
    """Drop a write to ROM, and let code run in empty addresses, where it meets FFh; nothing else is allowed.

    The hook lies everywhere but in RAM: where such a hook lies, every store takes the slow path.
    """
    callback, end = library.MEMORY_CALLBACK(_on_refused), 0
    for region in space.regions:
        if region.base > end:
            uc.hook(library.HOOK_MEM_INVALID, callback, begin=end, end=region.base - 1)
        if not region.writable:
            uc.hook(library.HOOK_MEM_INVALID, callback, begin=region.base, end=region.end - 1)
        end = region.end
    uc.hook(library.HOOK_MEM_INVALID, callback, begin=end, end=_HIGHEST_MMIO - 1)


def _on_refused(  # noqa: PLR0917 - Unicorn calls it so
    uc: int, access: int, address: int, size: int, value: int, data: int
) -> bool:
    return access in (library.MEM_WRITE_PROT, library.MEM_FETCH_PROT)
