"""REP INS and REP OUTS in bursts: a disk's data port is read 256 times for each sector, with one trap.

A chip may say how many of the next accesses of its port have no effect but to move data (`read_burst`, `write_burst`:
`BurstPort`). After an access from such an instruction, these are done here, and the processor is left as if it had done
them one by one: the same registers, the same ticks, the same count of accesses. So a burst ends before anything could
come between two of them: an alarm, the end of the run, the end of a page.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import PAGE, Region
from minivm.engine.booking import IO_TICKS
from minivm.engine.cpustate import CR0_PG, DS, ES, HF_TF, RCX, RDI, RSI
from minivm.engine.paging import Fault, Processor, peek_bytes, walk
from minivm.engine.thunk import BlockCell

if TYPE_CHECKING:
    from minivm.core.bus import Mapping

INS, OUTS = (0x6C, 0x6D), (0x6E, 0x6F)
_REPEATS = (0xF2, 0xF3)
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_LONGEST_INSTRUCTION = 15


class BurstPort(Protocol):
    """A port whose data can be moved in bursts, each equal to so many single accesses."""

    def read_burst(self, offset: int, size: int, count: int) -> bytes | None:
        """Return up to `count` items of `size` bytes, without the one whose reading has an effect; None for none."""

    def write_burst(self, offset: int, size: int, data: bytes) -> int:
        """Take items of `size` bytes from `data`, without the one whose writing has an effect; return how many."""


class StringInstruction:
    """INS or OUTS with REP as it stands in memory, `code` and the width of addresses it counts with."""

    def __init__(self, code: bytes, code_bits: int) -> None:
        self.length = 0
        self.opcode = 0
        self.repeats = False
        self.address_bits = code_bits
        for place, byte in enumerate(code[:_LONGEST_INSTRUCTION]):
            if byte in _REPEATS:
                self.repeats = True
            elif byte == _ADDRESS_SIZE:
                self.address_bits = {16: 32, 32: 16, 64: 32}[code_bits]
            elif byte != _OPERAND_SIZE and not (code_bits == 64 and byte & 0xF0 == 0x40):
                self.opcode, self.length = byte, place + 1
                break

    def is_one_of(self, opcodes: tuple[int, int]) -> bool:
        """Tell whether it is INS or OUTS, with REP and without a segment prefix."""
        return self.repeats and self.opcode in opcodes


class Burst:
    """What a burst may do: `most` items from the place in memory of the next one on, by one register's counting."""

    def __init__(self, mapping: "Mapping", instruction: StringInstruction, index: int, region: Region, at: int) -> None:
        port: Any = mapping.port
        self.port: BurstPort = port
        self.ticks = instruction.length + IO_TICKS
        self.mask = (1 << instruction.address_bits) - 1
        self.index = index
        self.region = region
        self.physical = at
        self.most = 0


class Bursts:
    """The bursts of one engine. `idle` tells whether nobody looks at single instructions now."""

    def __init__(
        self, *, ports: Bus, clock: Clock, cell: BlockCell, processor: Processor, idle: Callable[[], bool]
    ) -> None:
        self.ports = ports.bursts
        self._clock, self._cell = clock, cell
        self._processor, self._space, self._idle = processor, processor.space, idle
        self._head = processor.cpu.head

    def after_in(self, port: int, size: int) -> int:
        """After an IN from a burst port: do the reads that follow, if INS does them; return how many."""
        burst = self._burst(INS, RDI, port, size)
        if burst is None or not burst.region.writable:
            return 0
        data = burst.port.read_burst(port - self.ports[port].base, size, burst.most)
        if not data:
            return 0
        self._space.put(burst.region, burst.physical, data)
        return self._leave(burst, size, len(data) // size)

    def after_out(self, port: int, size: int) -> int:
        """After an OUT to a burst port: do the writes that follow, if OUTS does them; return how many."""
        burst = self._burst(OUTS, RSI, port, size)
        if burst is None:
            return 0
        data = self._space.load_bytes(burst.physical, burst.most * size)
        return self._leave(burst, size, burst.port.write_burst(port - self.ports[port].base, size, data))

    def _burst(self, opcodes: tuple[int, int], index: int, port: int, size: int) -> Burst | None:
        """Return what may be done behind the current access; None when it must go on one by one."""
        mapping, instruction = self.ports[port], self._instruction(opcodes)
        if instruction is None or size > mapping.width:
            return None
        mask = (1 << instruction.address_bits) - 1
        linear = self._linear(index, self._head.regs[index] & mask)
        in_page = (PAGE - linear % PAGE) // size - 1  # the current item is there, so the page is
        physical = self._physical(linear)
        region = None if physical is None else self._space.region_at(physical & -PAGE, PAGE)
        if in_page <= 0 or region is None or physical is None:
            return None
        burst = Burst(mapping, instruction, index, region, physical + size)
        in_segment = (mask - (self._head.regs[index] & mask)) // size
        left = (self._head.regs[RCX] & mask) - 1
        burst.most = min(self._in_time(burst.ticks), in_page, in_segment, left)
        return burst if burst.most > 0 else None

    def _instruction(self, opcodes: tuple[int, int]) -> StringInstruction | None:
        """Return the REP instruction that executes now, when it is a block of its own and nobody looks closer."""
        cell, cpu, head = self._cell, self._processor.cpu, self._head
        if cell.stepping or cell.address != cpu.linear_ip or cell.size > _LONGEST_INSTRUCTION or head.df < 0:
            return None
        if head.hflags & HF_TF or cell.window & head.eflags or self._space.a20_mask != ~0 or not self._idle():
            return None
        try:
            code = peek_bytes(self._processor, cell.address, cell.size)
        except Fault:
            return None
        found = StringInstruction(code, cpu.code_bits)
        return found if found.is_one_of(opcodes) and found.length == cell.size else None

    def _in_time(self, ticks: int) -> int:
        """Return how many items there is time for: each begins before the run ends, and before an alarm rings."""
        cell, clock = self._cell, self._clock
        return min(-(-(cell.limit - cell.retired) // ticks), (clock.first_due - 1 - clock.now) // ticks)

    def _linear(self, index: int, offset: int) -> int:
        if self._processor.cpu.code_bits == 64:
            return offset
        return (int(self._head.segs[ES if index == RDI else DS].base) + offset) & 0xFFFF_FFFF

    def _physical(self, linear: int) -> int | None:
        if not self._head.cr[0] & CR0_PG:
            return linear
        return walk(self._processor, linear).physical

    def _leave(self, burst: Burst, size: int, count: int) -> int:
        """Leave the processor as `count` more iterations would."""
        cell, regs, mask = self._cell, self._head.regs, burst.mask
        for register, change in ((burst.index, count * size), (RCX, -count)):
            value = ((regs[register] & mask) + change) & mask
            regs[register] = value if mask > 0xFFFF else regs[register] & ~mask | value
        cell.start += count * burst.ticks
        cell.retired += count * burst.ticks
        return count
