"""REP INS and REP OUTS in bursts: a disk's data port is read 256 times for each sector, with one trap.

A chip may say how many of the next accesses of its port have no effect but to move data (`BurstPort`). After an access
from such an instruction, these are done here, then the one behind them, which has an effect, at its own time. The
processor is left as if it had done them one by one: the same registers, the same ticks, the same count of accesses. So
a burst ends before anything could come between two of them: an alarm, the end of the run, the end of a page.
"""

from collections.abc import Callable
from typing import Protocol

from minivm.core.bus import Bus, Mapping
from minivm.core.clock import Clock
from minivm.core.memory import PAGE, Region
from minivm.engine.booking import IO_TICKS
from minivm.engine.cpustate import CR0_PG, DS, ES, HF_CS64, HF_TF, RCX, RDI, RSI
from minivm.engine.paging import Fault, Processor, peek_bytes, walk
from minivm.engine.thunk import BlockCell

INS, OUTS = (0x6C, 0x6D), (0x6E, 0x6F)
_REPEATS = (0xF2, 0xF3)
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_LONGEST_INSTRUCTION = 15


class BurstPort(Protocol):
    """A port whose data, at `burst_offsets`, can be moved in bursts, each equal to so many single accesses."""

    burst_offsets: tuple[int, ...]

    def read_burst(self, offset: int, size: int, count: int) -> bytes | None:
        """Return up to `count` items of `size` bytes, without the one whose reading has an effect; None for none."""

    def write_burst(self, offset: int, size: int, data: bytes) -> int:
        """Take items of `size` bytes from `data`, without the one whose writing has an effect; return how many."""


class StringInstruction:
    """INS or OUTS with REP as it stands in memory, and the mask of the addresses it counts with."""

    def __init__(self, code: bytes, code_bits: int) -> None:
        self.length = self.opcode = 0
        self.repeats = False
        address_bits = code_bits
        for place, byte in enumerate(code):
            if byte in _REPEATS:
                self.repeats = True
            elif byte == _ADDRESS_SIZE:
                address_bits = {16: 32, 32: 16, 64: 32}[code_bits]
            elif byte != _OPERAND_SIZE and not (code_bits == 64 and byte & 0xF0 == 0x40):
                self.opcode, self.length = byte, place + 1
                break
        self.mask = (1 << address_bits) - 1
        self.ticks = self.length + IO_TICKS


class Bursts:
    """The bursts of one engine.

    `idle` tells whether nobody looks at single instructions now, `translations` how often code was translated.
    """

    def __init__(
        self,
        *,
        ports: Bus,
        clock: Clock,
        cell: BlockCell,
        processor: Processor,
        idle: Callable[[], bool],
        translations: Callable[[], int],
    ) -> None:
        self.ports = ports.bursts
        self._clock, self._cell = clock, cell
        self._processor, self._space, self._idle = processor, processor.space, idle
        self._head = head = processor.cpu.head
        self._regs = head.regs  # views of it, since to look them up takes longer than to read them
        self._indexed = {RDI: head.segs[ES], RSI: head.segs[DS]}
        self._translations = translations
        self._seen: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._found: StringInstruction | None = None

    def after_in(self, port: int, size: int) -> int:
        """After an IN from a burst port: do the reads that follow, if INS does them; return how many."""
        instruction = self._instruction(INS)
        if instruction is None:
            return 0
        region, physical, most = self._room(instruction, RDI, size)
        if most <= 0 or region is None or not region.writable:
            return 0
        mapping = self.ports[port]
        source: BurstPort = mapping.port  # type: ignore[assignment]
        data = source.read_burst(port - mapping.base, size, most) if size <= mapping.width else None
        if not data:
            return 0
        count = len(data) // size
        if count < most:
            self._leave(instruction, RDI, size, count + 1)
            data += self._behind_burst(mapping, port, size)
        else:
            self._leave(instruction, RDI, size, count)
        self._space.put(region, physical, data)
        return len(data) // size

    def _behind_burst(self, mapping: Mapping, port: int, size: int) -> bytes:
        """Do the read behind a burst, after `_leave` has counted it; no alarm rings before it, by `_room`."""
        self._clock.advance_to(self._cell.start)
        return mapping.port.read(port - mapping.base, size).to_bytes(size, "little")

    def after_out(self, port: int, size: int) -> int:
        """After an OUT to a burst port: do the writes that follow, if OUTS does them; return how many."""
        instruction = self._instruction(OUTS)
        if instruction is None:
            return 0
        region, physical, most = self._room(instruction, RSI, size)
        mapping = self.ports[port]
        if most <= 0 or region is None or size > mapping.width:
            return 0
        target: BurstPort = mapping.port  # type: ignore[assignment]
        data = self._space.load_bytes(physical, most * size)
        count = target.write_burst(port - mapping.base, size, data)
        if not count or count == most:
            return self._leave(instruction, RSI, size, count) if count else 0
        self._leave(instruction, RSI, size, count + 1)
        self._clock.advance_to(self._cell.start)
        behind = data[count * size : (count + 1) * size]
        mapping.port.write(port - mapping.base, size, int.from_bytes(behind, "little"))
        return count + 1

    def _instruction(self, opcodes: tuple[int, int]) -> StringInstruction | None:
        """Return the REP instruction that executes now, when it ends its block and nobody looks closer."""
        cell, cpu, head = self._cell, self._processor.cpu, self._head
        if self._regs[RCX] == 1 or cell.stepping or head.df < 0:
            return None
        place = cpu.linear_ip
        length = cell.address + cell.size - place
        if not 2 <= length <= _LONGEST_INSTRUCTION:
            return None
        hflags = head.hflags
        if hflags & HF_TF or cell.window & head.eflags or self._space.a20_mask != ~0 or not self._idle():
            return None
        # Code that changes is translated again before it is executed. With paging, other code may come to this place.
        seen = place, length, hflags, self._translations()
        if seen != self._seen or head.cr[0] & CR0_PG:
            self._seen, self._found = seen, self._decode(place, length)
        found = self._found
        return found if found is not None and found.opcode in opcodes else None

    def _decode(self, place: int, length: int) -> StringInstruction | None:
        """Return the REP instruction of `length` bytes at a linear address, None for another one."""
        try:
            code = peek_bytes(self._processor, place, length)
        except Fault:
            return None
        found = StringInstruction(code, self._processor.cpu.code_bits)
        return found if found.repeats and found.length == length else None

    def _room(self, instruction: StringInstruction, index: int, size: int) -> tuple[Region | None, int, int]:
        """Return where the next items lie, the region and their physical address, and for how many there is room.

        Each begins before the run ends and before an alarm rings, and lies in the page of the current one, which is
        there, or the current one would have faulted.
        """
        cell, clock, regs, mask = self._cell, self._clock, self._regs, instruction.mask
        offset = regs[index] & mask
        head = self._head
        linear = offset if head.hflags & HF_CS64 else (int(self._indexed[index].base) + offset) & 0xFFFF_FFFF
        physical = walk(self._processor, linear).physical if head.cr[0] & CR0_PG else linear
        region = None if physical is None else self._space.region_at(physical & -PAGE, PAGE)
        if region is None or physical is None:
            return None, 0, 0
        most = min(
            -(-(cell.limit - cell.retired) // instruction.ticks),
            (clock.first_due - 1 - clock.now) // instruction.ticks,
            (PAGE - linear % PAGE) // size - 1,
            (mask - offset) // size,
            (regs[RCX] & mask) - 1,
        )
        return region, physical + size, most

    def _leave(self, instruction: StringInstruction, index: int, size: int, count: int) -> int:
        """Leave the processor as `count` more iterations would: in a block of the instruction alone."""
        cell, regs, mask = self._cell, self._regs, instruction.mask
        kept = ~mask if mask == 0xFFFF else 0
        regs[index] = regs[index] & kept | regs[index] + count * size & mask
        regs[RCX] = regs[RCX] & kept | regs[RCX] - count & mask
        length = instruction.length
        cell.address += cell.size - length
        cell.size = length
        cell.retired = retired = cell.retired + count * instruction.ticks
        cell.start = retired - length
        return count
