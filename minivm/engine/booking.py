"""What virtual time is made of: the bytes of each block, booked when it begins, and charges on top.

The block thunk books whole blocks by itself (thunk.py). Here is what Python adds: where inside a block the processor
stands, what is given back of a block that was cut short, and what slow instructions cost.
"""

from minivm.engine.cpustate import CS, HF_CS64, CpuHead
from minivm.engine.thunk import BlockCell

IO_TICKS = 1000
"""A port access takes about a microsecond: eight clocks of the 8 MHz ISA bus (IBM AT Technical Reference)."""
RDTSC_TICKS = 500
"""Charged for each RDTSC, so that loops that wait for the counter are short (docs/decisions/time-charges.md)."""
SPIN_TICKS = 20
"""What an exception costs beside its instruction's bytes: without it a fault that repeats would take no time."""


class Booking:
    """The ticks of one engine. `mid_block` is true after a step that ended inside a block."""

    def __init__(self, cell: BlockCell, head: CpuHead) -> None:
        self.mid_block = False
        self._cell = cell
        self._head = head
        self._code_segment = head.segs[CS]  # a view: looking it up takes longer than reading it

    def inside_block(self) -> int:
        """Return the tick of the current instruction: the block's start plus how far the instruction pointer came."""
        cell, head = self._cell, self._head
        if head.hflags & HF_CS64:
            return int(cell.start + head.eip - cell.address)
        return cell.start + int(self._code_segment.base + head.eip - cell.address & 0xFFFF_FFFF)

    def refund(self) -> None:
        """Take back the charge for the rest of a block that an exception cut short."""
        cell = self._cell
        position = self.inside_block()
        if cell.start <= position <= cell.retired:
            cell.retired = position
        self.leave_block()

    def leave_block(self) -> None:
        """Be in no block: the next instruction begins one."""
        cell = self._cell
        self.mid_block = False
        cell.start, cell.size = cell.retired, 0

    def cut_at(self, position: int) -> None:
        """Leave a block at the tick `position`: its rest is not executed."""
        self._cell.retired = position
        self.leave_block()

    def charge(self, ticks: int) -> int:
        """Let the current instruction take `ticks` more; return the position behind it."""
        cell, head = self._cell, self._head
        cell.retired += ticks
        cell.start = start = cell.start + ticks
        if head.hflags & HF_CS64:
            return int(start + head.eip - cell.address)
        return start + int(self._code_segment.base + head.eip - cell.address & 0xFFFF_FFFF)

    def spend(self, ticks: int) -> None:
        """Let `ticks` pass between two blocks."""
        cell = self._cell
        cell.retired += ticks
        cell.start = cell.retired

    def skip_to(self, position: int) -> None:
        """Let time pass to `position`, never back, without executing anything."""
        self._cell.retired = max(self._cell.retired, position)
        self.leave_block()
