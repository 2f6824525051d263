"""The run gear: whole blocks at native speed, to the first block start at which something is wanted.

Whatever ends a run lowers the thunk's limit, and is looked at when Unicorn has returned.
"""

from minivm.core.clock import Clock
from minivm.engine.booking import Booking
from minivm.engine.cpustate import HF_INHIBIT_IRQ, Registers
from minivm.engine.entrance import Entrance
from minivm.engine.shadow_tlb import ShadowTlb
from minivm.engine.stepping import StepGear
from minivm.engine.thunk import AT_BREAKPOINT, WHOLE_BLOCK, BlockCell
from minivm.engine.traps import Traps
from minivm.engine.watch import MemoryWatch

HF2_NMI_MASK = 1 << 2
"""QEMU's hflags2: an NMI is being served until the next IRET."""
_NMI = 2


class RunGear:
    """The run gear of one engine, with what was asked of it: `attention`, `stop_requested`, `nmi_pending`."""

    def __init__(
        self,
        *,
        cpu: Registers,
        cell: BlockCell,
        clock: Clock,
        entrance: Entrance,
        booking: Booking,
        steps: StepGear,
        tlb: ShadowTlb,
        traps: Traps,
        watch: MemoryWatch,
    ) -> None:
        self.attention = False
        self.stop_requested = False
        self.nmi_pending = False
        self._until = 0
        self._cpu, self._head, self._cell, self._clock = cpu, cpu.head, cell, clock
        self._entrance, self._booking, self._steps = entrance, booking, steps
        self._tlb, self._traps, self._watch = tlb, traps, watch

    def run(self, until: int) -> str:
        """Run to the first block start at or after `until`, or to the end of an entered block; tell what ended it."""
        self._until = until
        ended = (self._steps.walk_to_block_end() or "attention") if self._booking.mid_block else self._run_blocks()
        self.attention = self._steps.noticed = False
        return ended

    def aim(self) -> None:
        """Set the tick at which the thunk stops; whatever is wanted before that is taken at the next block start."""
        cell = self._cell
        cell.limit = min(self._until, self._clock.next_due)
        if self.nmi_pending:
            cell.limit = cell.retired + 1  # it is held back now, and any block may end that
        if self.attention or self.stop_requested or self._steps.noticed:
            cell.limit = 0

    def take_stop(self) -> bool:
        """Tell whether a stop was requested, and forget it."""
        wanted, self.stop_requested = self.stop_requested, False
        return wanted

    def take_nmi(self) -> bool:
        """Deliver a pending NMI unless one is being served or an instruction's shadow holds."""
        head = self._head
        if not self.nmi_pending:
            return False
        if head.hflags2 & HF2_NMI_MASK or head.hflags & HF_INHIBIT_IRQ or self._booking.mid_block:
            return False
        self.nmi_pending = False
        head.hflags2 |= HF2_NMI_MASK
        self._traps.interrupt(_NMI)
        return True

    def _run_blocks(self) -> str:
        self.take_nmi()
        self._steps.follow_outside_changes()
        if self._tlb.crowded:
            self._tlb.flush()
        traps, cell, watch = self._traps, self._cell, self._watch
        while traps.shutdown is None:
            if self._steps.stale_code:
                self._steps.drop_stale_code()
            cell.stopped = 0
            self.aim()
            status = self._entrance.enter(WHOLE_BLOCK)
            if watch.active:
                watch.settle(self._tlb.forget_code)
            traps.raise_failure()
            if traps.shutdown is not None:
                break
            ended = self._what_now(status)
            if ended is not None:
                return ended
        return "shutdown"

    def _what_now(self, status: int) -> str | None:
        """After the engine returned: why the run ends, or None when it goes on."""
        tlb, flush = self._tlb, self._tlb.flush_wanted
        if flush:
            tlb.flush()
        if self._cell.stopped == AT_BREAKPOINT:
            return self._steps.walk_to_breakpoint()
        if self._cell.stopped:
            return None if flush else self._why_stopped()
        if self._watch.refused:
            return self._begin_again()
        if not tlb.retry:
            return self._steps.give_up(status)
        tlb.retry = False
        return None if tlb.retry_of_fetch else self._steps.walk_rest_of_block()

    def _begin_again(self) -> str:
        """After an access was refused: the instruction has not happened; step through it, where that is seen."""
        cell, watch = self._cell, self._watch
        watch.refused = False
        if cell.address <= self._cpu.linear_ip < cell.address + cell.size:
            watch.dropped.clear()
            return self._steps.walk_rest_of_block()
        watch.catch_up()  # the block's last instruction, a helper's, has happened but for its stores
        return "breakpoint" if self._steps.noticed else "attention"

    def _why_stopped(self) -> str:
        if self._steps.noticed:
            return "breakpoint"
        if self.take_stop():
            return "stopped"
        return "ran" if self._cell.retired >= self._until else "attention"
