"""The shadow TLB: who answers Unicorn's TLB misses, the fill hook or the engine's own MMU.

While the guest has paging off, a hook answers, and decides by it which pages have fast stores. With CR0.PG set, the
engine's MMU walks the guest's page tables. fill.py repeats the hook's answers in machine code.
"""

from typing import Any

from minivm.core.memory import PAGE, AddressSpace
from minivm.engine import library
from minivm.engine.cpustate import CR0_PG, CpuHead
from minivm.engine.fill import FillTable
from minivm.engine.thunk import BlockCell

_MANY_FILLS = 200  # a TLB of 256 pages that missed so often is too small
_DATA = library.PROT_READ | library.PROT_WRITE


class ShadowTlb:
    """What stands between the guest's addresses and memory in one engine.

    `active` while paging is off. `retry` is set when the guest has turned paging on in mid-block: the access, or the
    fetch (`retry_of_fetch`), has to be tried again with the other kind. `flush_wanted` asks for `flush` at the next
    stop.
    """

    def __init__(self, uc: library.Uc, space: AddressSpace, cell: BlockCell, *, native: bool) -> None:
        self.active = True
        self.flush_wanted = False
        self.retry = self.retry_of_fetch = False
        self._uc = uc
        self._space = space
        self._cell = cell
        self._head = CpuHead.from_address(cell.head)
        self._fills = FillTable(library.FILL_CALLBACK(self._on_fill), cell.head, native=native)

    def add_hook(self) -> None:
        """Answer misses from now on."""
        self._uc.hook(library.HOOK_TLB_FILL, self._fills.callback, data=self._fills.cell)
        self._uc.set_tlb_mode(library.TLB_VIRTUAL)

    @property
    def crowded(self) -> bool:
        """True when the TLB is too small for what the guest does."""
        return self._fills.cell.fills > _MANY_FILLS

    def flush(self) -> None:
        """Flush the TLB, which also lets it grow: Unicorn sizes it only then, and it begins with 256 pages."""
        self.flush_wanted = False
        self._fills.cell.fills = 0
        self._uc.flush_tlb()

    def set_a20(self, enabled: bool) -> None:
        """Open or close address line 20."""
        self._head.a20_mask = -1 if enabled else ~(1 << 20)
        self._space.a20_mask = ~0 if enabled else ~(1 << 20)
        self._fills.cell.closed = not enabled
        self._uc.flush_tlb()

    def choose(self) -> None:
        """Use the shadow TLB exactly while paging is off."""
        shadow = not self._head.cr[0] & CR0_PG
        if shadow == self.active:
            return
        if shadow:
            self._fills.forget()
            self._uc.flush_code()
        self.active = shadow
        self._uc.set_tlb_mode(library.TLB_VIRTUAL if shadow else library.TLB_CPU)
        self._uc.flush_tlb()

    def forget_code(self, start: int, end: int) -> None:
        """Drop what was translated from memory that the host has changed."""
        if self.active and library.PROT_ALL not in self._fills.kinds[start // PAGE : (end - 1) // PAGE + 1]:
            return
        self._uc.remove_code(start, end)

    def forget_pages(self, start: int, end: int) -> None:
        """Forget what may be done with the pages of [start, end), where something else answers now."""
        self._fills.kinds[start // PAGE : -(-end // PAGE)] = bytes(-(-end // PAGE) - start // PAGE)
        self._uc.flush_tlb()

    def _on_fill(self, uc: int, linear: int, access: int, answer: Any, data: int) -> bool:
        """Answer a TLB miss while the guest has paging off."""
        if self._head.cr[0] & CR0_PG:
            self._uc.set_tlb_mode(library.TLB_CPU)
            self.active = False
            self.retry, self.retry_of_fetch = True, access == library.MEM_FETCH
            return False
        page = linear & 0xFFFF_F000 & self._space.a20_mask
        permissions = self._permissions(page, access)
        if self.flush_wanted:
            self._cell.limit = 0
        self._fills.remember(page, permissions)
        entry = answer[0]
        entry.physical, entry.permissions = page, permissions
        return True

    def _permissions(self, page: int, access: int) -> int:
        """Decide what may be done with a page without asking again.

        A page that was ever fetched from gets read, write and execute: its stores are slow and notice rewritten code.
        Any other page gets read and write, which is fast, and moves to the first kind at its first fetch. The TLB is
        flushed then, since the other privilege level may still hold the fast kind.
        """
        kinds, region = self._fills.kinds, self._space.region_at(page)
        if region is not None and not region.writable:
            return library.PROT_ALL  # a write is dropped on its way, since the region is read-only
        if access == library.MEM_FETCH or self._space.a20_mask != ~0 or region is None:
            self.flush_wanted |= kinds[page >> 12] == _DATA
            return library.PROT_ALL
        return kinds[page >> 12] or _DATA
