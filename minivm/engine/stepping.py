"""The step gear: one instruction at a time, by Unicorn's own counting, with the same ticks as the run gear.

QEMU is asked for a block of one instruction, and the thunk stops before the next (thunk.py). Before the first
instruction of a block the gear looks up which block the run gear would execute here, and books it whole; so blocks
stay where they are, and both gears agree on where an interrupt may be taken.
"""

from collections.abc import Callable

from minivm.engine import library
from minivm.engine.booking import Booking
from minivm.engine.cpustate import AC, CR0_PG, CS, IOPL_MASK, RF, TF, VM, Registers
from minivm.engine.entrance import Entrance
from minivm.engine.port_rights import PortRights
from minivm.engine.shadow_tlb import ShadowTlb
from minivm.engine.thunk import ONE_INSTRUCTION, WHOLE_BLOCK, BlockCell, Thunk
from minivm.engine.traps import Traps
from minivm.engine.unsound import TranslatedBlock, UnsoundCode
from minivm.engine.watch import MemoryWatch

_BLOCK_MODE = TF | IOPL_MASK | VM | AC  # what translated code depends on, beside QEMU's hflags


class StepGear:
    """The step gear of one engine.

    `noticed` ends a walk, and a run, behind the current instruction. `looked_up` is how the entered block was found:
    its offset, RF, and the mode of the processor. `translations` counts Unicorn's; `most_translated` says after how
    many its buffer is emptied, before it overflows in mid-step.
    """

    def __init__(
        self,
        *,
        uc: library.Uc,
        cpu: Registers,
        cell: BlockCell,
        thunk: Thunk,
        entrance: Entrance,
        booking: Booking,
        tlb: ShadowTlb,
        traps: Traps,
        watch: MemoryWatch,
        unsound: UnsoundCode,
        port_rights: PortRights,
        most_translated: int,
    ) -> None:
        self.noticed = False
        self.ends: Callable[[], bool] | None = None
        self.breakpoints: frozenset[int] = frozenset()
        self.stale_code = False
        self.looked_up: tuple[int, int, tuple[int, int, int]] = (0, 0, (0, 0, 0))
        self._uc, self._cpu, self._head = uc, cpu, cpu.head
        self._cell, self._thunk, self._entrance = cell, thunk, entrance
        self._booking, self._tlb, self._traps, self._watch = booking, tlb, traps, watch
        self._unsound, self._port_rights = unsound, port_rights
        self._new = True  # nothing was translated yet
        self._translated = 0
        self.translations = 0
        self._most_translated = most_translated

    def add_hook(self) -> None:
        """Count from now on what Unicorn translates, and look at it."""
        self._uc.hook(library.HOOK_EDGE_GENERATED, library.EDGE_CALLBACK(self._on_translated))

    def _on_translated(self, uc: int, block: int, before: int, data: int) -> None:
        self._translated += 1
        self.translations += 1
        translated = TranslatedBlock.from_address(block)
        mended = self._unsound.mend(translated.pc, translated.size)
        if self._port_rights.guard(translated.pc, translated.size) or mended:
            self.stale_code = True
            self._cell.limit = 0

    # -- walking ----------------------------------------------------------------------------------------------------
    def walk_to_block_end(self) -> str | None:
        """Step to the end of the block that an earlier step has entered, so that blocks stay where they are."""
        while self._booking.mid_block:
            ended = self.step()
            if ended != "ran":
                return ended
            if self._is_at_breakpoint():
                return "breakpoint"
        return None

    def walk_to_breakpoint(self) -> str | None:
        """Step into the block before which the thunk stopped, to its breakpoint or, past a jump, to its end."""
        if self._cpu.linear_ip in self.breakpoints:
            return "breakpoint"
        ended = self.step()
        if ended == "ran" and self._is_at_breakpoint():
            return "breakpoint"
        return self.walk_to_block_end() if ended == "ran" else ended

    def walk_rest_of_block(self) -> str:
        """Execute what remains of the run gear's block, so that blocks stay where they are."""
        head = self._head
        offset = (head.eip - self._cpu.linear_ip + self._cell.address) & 0xFFFF_FFFF_FFFF_FFFF
        self._booking.mid_block = True
        self.looked_up = offset, 0, self._mode()
        return self.walk_to_block_end() or "attention"

    def _is_at_breakpoint(self) -> bool:
        if self.noticed or (self.ends is not None and self.ends()):
            return True
        return self._cpu.linear_ip in self.breakpoints

    # -- one step ---------------------------------------------------------------------------------------------------
    def step(self) -> str:
        """Execute one instruction, and book its whole block when it is the first of it; tell how it ended."""
        if self._traps.shutdown is not None:
            return "shutdown"
        self.follow_outside_changes()
        if not self._booking.mid_block and not self._find_block():
            return "ran" if self._traps.shutdown is None else "shutdown"
        status = self._enter(1)
        if self._traps.shutdown is not None:
            return "shutdown"
        if self._traps.delivered:
            return "ran"
        if not self._cell.stopped:
            return self.give_up(status)
        self._see_where_it_went()
        return "ran"

    def give_up(self, status: int) -> str:
        """The engine has returned by itself: after HLT, or with an error."""
        self._booking.mid_block = False
        if status == library.ERR_OK:
            return "halted"
        self._traps.report(status)
        return "attention" if self._traps.shutdown is None else "shutdown"

    def _find_block(self) -> bool:
        """Ask for the block that the run gear would execute here, and book it; False when an exception came instead."""
        head, cell = self._head, self._cell
        if self._translated > self._most_translated:
            self._translated = 0
            self._uc.flush_code()
        offset, resume = head.eip, head.eflags & RF
        status = self._enter(0)
        if self._traps.delivered:
            return False
        if not cell.stopped:
            self.give_up(status)
            return False
        cell.book(cell.next_address, cell.next_size)
        self.looked_up = offset, resume, self._mode()
        return True

    def _mode(self) -> tuple[int, int, int]:
        head = self._head
        return head.hflags, head.eflags & _BLOCK_MODE, head.segs[CS].base

    def _enter(self, allowed: int) -> int:
        """Execute `allowed` instructions, 0 or 1, each as a block of its own, and stop before the next block."""
        cell = self._cell
        self._traps.delivered = False
        cell.stepping = 1
        status = self._try_until_answered(allowed)
        cell.stepping = 0
        if self._thunk.ran is not None and 0 < allowed > cell.allowed:
            self._note_step()
        if self._watch.active:
            self._after_watched_step()
        self._traps.raise_failure()
        return status

    def _try_until_answered(self, allowed: int) -> int:
        cell, tlb = self._cell, self._tlb
        while True:
            cell.allowed, cell.stopped = allowed, 0
            status = self._entrance.enter(ONE_INSTRUCTION if allowed else WHOLE_BLOCK)
            if tlb.flush_wanted:
                tlb.flush()
            if not tlb.retry:
                return status
            tlb.retry = False
            if tlb.retry_of_fetch and cell.allowed < allowed:
                allowed = 0  # it was executed, and what has to be tried again is finding the next block

    def _note_step(self) -> None:
        """Tell the coverage what ran; as in the run gear, also an instruction that ended in an exception or was one."""
        cell, ran = self._cell, self._thunk.ran
        if ran is not None:
            stopped = bool(cell.stopped)
            ran.add(cell.this_address if stopped else cell.next_address, cell.this_size if stopped else cell.next_size)

    def _after_watched_step(self) -> None:
        cell, paged = self._cell, not self._tlb.active
        self._watch.note_code(cell.this_address, cell.this_size, paged=paged)
        self._watch.note_code(cell.next_address, cell.next_size, paged=paged)
        self._watch.settle(self._tlb.forget_code)

    # -- where the block is -----------------------------------------------------------------------------------------
    def _see_where_it_went(self) -> None:
        """After an instruction, note whether its block goes on, as the run gear would."""
        cell, booking = self._cell, self._booking
        end = cell.this_address + cell.this_size
        booking.mid_block = cell.next_address == end and end - cell.address < cell.size
        if self._block_was_rewritten():
            # The run gear was stopped before the instruction, and executed it as a block of its own.
            cell.book(cell.this_address, cell.this_size)
            booking.mid_block = False
        if not booking.mid_block and cell.address <= cell.next_address < cell.address + cell.size:
            self._enter_rest_of_block()

    def _block_was_rewritten(self) -> bool:
        """Tell whether the instruction stored into the block it is in: its translation is gone then.

        So look the block up once more, and see whether Unicorn has to translate it. Only a block of the same mode can
        be looked up; the last instruction of a block may have left it, but then it has stored nothing there.
        """
        head = self._head
        offset, resume, mode = self.looked_up
        if self._mode() != mode:
            return False
        kept = head.eip, head.eflags
        head.eip, head.eflags = offset, head.eflags & ~RF | resume
        before = self._translated
        self._look_at_block()
        head.eip, head.eflags = kept
        return self._translated != before

    def _enter_rest_of_block(self) -> None:
        """After a jump into the block that it ended: the run gear may take that for a cut-off rest, and not stop."""
        cell = self._cell
        address, size = self._look_at_block()
        if cell.end_of_cut(address, size) is not None:
            self.looked_up = self._head.eip, 0, self._mode()
            cell.book(address, size)
            self._booking.mid_block = True

    def _look_at_block(self) -> tuple[int, int]:
        """Return address and size of the block that the run gear would execute here, and change nothing."""
        cell, head = self._cell, self._head
        kept = cell.this_address, cell.this_size, cell.next_address, cell.next_size, head.cr[2]
        self._traps.looking = True
        self._enter(0)
        self._traps.looking = False
        found = (cell.next_address, cell.next_size) if cell.stopped else (0, 0)
        cell.this_address, cell.this_size, cell.next_address, cell.next_size, head.cr[2] = kept
        return found

    # -- translations that are gone ---------------------------------------------------------------------------------
    def follow_outside_changes(self) -> None:
        """Follow a change of CR0.PG, and one of memory by the host, before anything is executed."""
        if bool(self._head.cr[0] & CR0_PG) == self._tlb.active:
            self._tlb.choose()
        if self._new:
            self._new = False
            self._unsound.mend_unseen(self._cpu.linear_ip)
            self._port_rights.guard_unseen(self._cpu.linear_ip)
        if self.stale_code:
            self.drop_stale_code()

    def drop_stale_code(self) -> None:
        """Forget all code after the host has changed memory; of a block that was entered, translate it anew."""
        self.stale_code = False
        self._uc.flush_code()
        self.translate_entered_block()

    def translate_entered_block(self) -> None:
        """Have the block that a step has entered, if any, translated as it was when it was entered.

        Whether a block rewrites itself is seen by its translation being gone; here it went for another reason.
        """
        if not self._booking.mid_block:
            return
        cpu, head = self._cpu, self._head
        offset, resume, (hflags, flags, base) = self.looked_up
        rflags, kept = cpu.rflags, (head.eip, head.hflags, head.segs[CS].base)
        cpu.rflags = rflags & ~(_BLOCK_MODE | RF) | flags | resume
        head.eip, head.hflags, head.segs[CS].base = offset, hflags, base
        self._look_at_block()
        cpu.rflags = rflags
        head.eip, head.hflags, head.segs[CS].base = kept
