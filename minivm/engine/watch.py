"""Watched memory: full speed everywhere but on the pages that hold something watched.

What a hypervisor does with nested page tables is done here with the engine's map of physical memory: a page with a
watched byte loses the right to be written. The engine then refuses a store to it *before* it happens. Reads cannot be
refused so, since the TLB lets them through once a page was fetched from; a read hook tells of them, which makes each
load of the guest slower while reads are watched.

* In the run gear the refused instruction is begun again in the step gear, so that a run can end right behind it. That
  needs Unicorn's stop check behind each load and store, so code is translated with these checks while anything is
  watched. A store that touches neither a watched byte nor code is done here, and the guest runs on.
* In the step gear the access is told to the listener and done here.

Instructions that touch memory from inside one of QEMU's helpers (FXSAVE, far calls ...) cannot be begun again; their
blocks must be executed in the step gear (`UnicornEngine.set_careful`).
"""

import ctypes
from collections.abc import Callable, Iterable

from minivm.core.memory import PAGE, AddressSpace
from minivm.core.record import record
from minivm.engine import library
from minivm.engine.cpustate import CR0_PG, CpuHead
from minivm.engine.thunk import BlockCell

Access = Callable[[str, int, int, int], None]
"""Told of ("read" | "write", physical address, size in bytes, value; for a read, 0)."""
EDGE = 7
"""Unicorn takes an access across a page's end byte by byte; an access of 8 bytes has up to 7 on either side."""


@record
class Range:
    """Physical [start, end), and whether reads and writes of it are refused.

    A range that is not `told` is a guard: an access across a page's end must be refused as a whole, or not at all, so
    whoever watches bytes within `EDGE` of it guards `EDGE` bytes on both sides.
    """

    start: int
    end: int
    reads: bool
    writes: bool
    told: bool = True


def at_edge(address: int, size: int) -> bool:
    """Tell whether a block has bytes within `EDGE` of a page's end: when it rewrites them, no store is begun again."""
    return (address + size + EDGE - 1) // PAGE > (address - EDGE) // PAGE


class MemoryWatch:
    """The pages of one engine that are protected, and what is done with accesses to them."""

    def __init__(
        self,
        uc: library.Uc,
        space: AddressSpace,
        cell: BlockCell,
        stop_checks: ctypes.c_ubyte | None,
        is_careful: Callable[[int, int], bool],
    ) -> None:
        self._is_careful = is_careful
        self.listener: Access | None = None
        self.refused = False
        self.dropped: list[tuple[int, int, int]] = []
        self._uc = uc
        self._space = space
        self._cell = cell
        self._head = CpuHead.from_address(cell.head)
        self._stop_checks = stop_checks
        self._ranges: tuple[Range, ...] = ()
        self._pages: set[int] = set()
        self._hooks: list[int] = []
        self._callback = library.MEMORY_CALLBACK(self._on_refused)
        self._read_callback = library.ACCESS_CALLBACK(self._on_read)
        self._code: dict[int, bytearray] = {}
        self._stored: list[tuple[int, int]] = []

    @property
    def active(self) -> bool:
        """True while anything is watched."""
        return bool(self._ranges)

    @property
    def reads(self) -> bool:
        """True while reads are watched."""
        return any(one.reads for one in self._ranges)

    def set(self, ranges: Iterable[Range], listener: Access | None) -> None:
        """Watch these ranges and no others; the engine must not be running."""
        self._forget()
        self._ranges, self.listener = tuple(ranges), listener
        for one in self._ranges:
            if one.writes:
                self._pages.update(range(one.start // PAGE, (one.end - 1) // PAGE + 1))
            if one.reads:
                self._hook(library.HOOK_MEM_READ, self._read_callback, one.start - EDGE, one.end)
        for page in self._pages:
            if self._space.region_at(page * PAGE) is not None:
                self._protect(page, library.PROT_READ | library.PROT_EXEC)
            self._hook(library.HOOK_MEM_INVALID, self._callback, page * PAGE, page * PAGE + PAGE)
        if self._stop_checks is not None:
            self._stop_checks.value = not self.active
        self._uc.flush_code()
        self._uc.flush_tlb()

    def protect_again(self, start: int, end: int) -> None:
        """Watch the pages of [start, end) as before, after the memory behind them was mapped anew."""
        for page in self._pages:
            if start <= page * PAGE < end and self._space.region_at(page * PAGE) is not None:
                self._protect(page, library.PROT_READ | library.PROT_EXEC)

    def note_code(self, linear: int, size: int, *, paged: bool) -> None:
        """Remember where translated code lies; under paging only where in its page, whichever that is."""
        for address in (linear, linear + size):
            page = -1 if paged else address & ~(PAGE - 1)
            marks = self._code.setdefault(page, bytearray(PAGE))
            begin = max(0, linear - (address & ~(PAGE - 1)))
            end = min(PAGE, linear + size - (address & ~(PAGE - 1)))
            marks[begin:end] = b"\1" * max(0, end - begin)

    def settle(self, forget_code: Callable[[int, int], None]) -> None:
        """After the engine has returned: drop code that a store done here has changed."""
        stored, self._stored = self._stored, []
        for start, end in stored:
            forget_code(start, end)

    def catch_up(self) -> None:
        """Do the stores that were refused of an instruction that was not begun again."""
        dropped, self.dropped = self.dropped, []
        for address, size, value in dropped:
            self._tell("write", address, size, value)
            self._store(address, size, value)

    def _hook(self, kind: int, callback: object, start: int, end: int) -> None:
        self._hooks.append(self._uc.hook(kind, callback, begin=max(start, 0), end=end - 1))

    def _protect(self, page: int, rights: int) -> None:
        """Change a page's rights. Unicorn looks up an address for that; with paging on, it would mark it accessed."""
        head = self._head
        kept, head.cr[0] = head.cr[0], head.cr[0] & ~CR0_PG
        self._uc.protect(page * PAGE, PAGE, rights)
        head.cr[0] = kept

    def _forget(self) -> None:
        for handle in self._hooks:
            self._uc.unhook(handle)
        for page in self._pages:
            region = self._space.region_at(page * PAGE)
            writable = region is not None and region.writable
            rights = library.PROT_ALL if writable else library.PROT_READ | library.PROT_EXEC
            if region is not None:
                self._protect(page, rights)
        self._hooks, self._pages, self._code = [], set(), {}

    # -- inside the engine ------------------------------------------------------------------------------------------
    def _on_refused(  # noqa: PLR0917 - Unicorn calls it so
        self, uc: int, kind: int, address: int, size: int, value: int, data: int
    ) -> bool:
        if kind == library.MEM_WRITE_PROT:
            self._on_write(uc, address, size, value & (1 << 8 * size) - 1)
        return True

    def _on_read(  # noqa: PLR0917 - Unicorn calls it so
        self, uc: int, kind: int, address: int, size: int, value: int, data: int
    ) -> None:
        if self._cell.stepping:
            self._tell("read", address, size, 0)
        elif self._holds("read", address, size, told=True):
            self._refuse(uc)

    def _on_write(self, uc: int, address: int, size: int, value: int) -> None:
        if self._cell.stepping:
            self._tell("write", address, size, value)
            self._store(address, size, value)
            self._stored.append((address, address + size))
        elif self._may_begin_again(address, size):
            self.dropped.append((address, size, value))
            self._refuse(uc)
        else:
            self._store(address, size, value)
            if self._is_code(address, size):
                self._stored.append((address, address + size))
                self._cell.limit = 0

    def _may_begin_again(self, address: int, size: int) -> bool:
        """Tell whether a store is to be refused; never one that is a part of something that has begun to happen."""
        if not self._holds("write", address, size, told=False) and (
            not self._is_code(address, size) or (size == 1 and not EDGE <= address % PAGE < PAGE - EDGE)
        ):
            return False  # an access across a page's end comes in bytes, and the other page's were written
        return not self._is_careful(self._cell.address, self._cell.size)  # its block has rewritten itself

    def _refuse(self, uc: int) -> None:
        self.refused = True
        self._uc.library.dll.uc_emu_stop(uc)

    def _tell(self, verb: str, address: int, size: int, value: int) -> None:
        if self.listener is not None and self._holds(verb, address, size, told=True):
            self.listener(verb, address, size, value)

    def _store(self, address: int, size: int, value: int) -> None:
        region = self._space.region_at(address, size)
        if region is not None and region.writable:
            place = address + region.shift
            self._space.memory.view[place : place + size] = value.to_bytes(size, "little")

    def _holds(self, verb: str, address: int, size: int, *, told: bool) -> bool:
        return any(
            one.start < address + size
            and address < one.end
            and (one.writes if verb == "write" else one.reads)
            and one.told >= told
            for one in self._ranges
        )

    def _is_code(self, address: int, size: int) -> bool:
        place = address % PAGE
        marked = (self._code.get(address - place), self._code.get(-1))
        return any(any(marks[place : place + size]) for marks in marked if marks is not None)
