"""One instruction at one moment: its operands with their addresses and values, and the words for them.

The explainer's rules (`explain_data`, `explain_control`, `explain_system`) read the machine only through a `Moment`.
Nothing here changes the machine: memory is peeked at, and devices are not asked.
"""

from functools import cached_property, lru_cache
from typing import Any

from minivm.core.record import record
from minivm.debug.code import MISNAMED_IN_16_BITS
from minivm.debug.inspect_paging import explain_walk, peek, peek_number, physical_of
from minivm.engine.cpustate import AC, AF, CF, CS, DF, HF_PE, HF_SS32, IF, IOPL_MASK, OF, PF, SEGMENT_NAMES, SF, VM, ZF
from minivm.engine.paging import Processor
from minivm.machine import Machine

LONGEST = 15
"""An instruction has at most 15 bytes (SDM vol. 2, section 2.3.11)."""
SIZES = {1: "byte", 2: "word", 4: "dword", 6: "6 bytes", 8: "qword", 10: "10 bytes", 16: "16 bytes"}
FLAG_BITS = {"CF": CF, "PF": PF, "AF": AF, "ZF": ZF, "SF": SF, "IF": IF, "DF": DF, "OF": OF, "AC": AC}
_REGISTER, _IMMEDIATE, _MEMORY = 1, 2, 3  # Capstone's operand types
_STACK_BASES = frozenset({"bp", "sp", "ebp", "esp", "rbp", "rsp"})


def hexadecimal(value: int, size: int) -> str:
    """Return an unsigned number of `size` bytes with all its digits: 00FFh."""
    return f"{value & (1 << 8 * size) - 1:0{2 * size}X}h"


def times(count: int) -> str:
    """Return "once", or "64 times"."""
    return "once" if count == 1 else f"{count} times"


def signed(value: int, size: int) -> int:
    """Return the two's complement meaning of a number of `size` bytes."""
    top = 1 << 8 * size - 1
    return (value & (top << 1) - 1 ^ top) - top


@record
class Memory:
    """Where a memory operand lies: its segment's name, the offset, the linear address, and the offset's bytes."""

    segment: str
    offset: int
    linear: int
    offset_bytes: int

    @property
    def words(self) -> str:
        """The address as a programmer writes it, and the linear one where that is another."""
        if not self.segment:
            return f"{self.offset:X}h"
        place = f"{self.segment}:{hexadecimal(self.offset, self.offset_bytes)}"
        return place if self.linear == self.offset else f"{place} (linear {self.linear:X}h)"


@record
class Operand:
    """One operand: its words ("AX", "5", "the word at DS:0104h"), its bytes, its value, and its place in memory.

    `value` is None when it cannot be known: memory that is not there or is a device, or a register not modelled.
    """

    words: str
    size: int
    value: int | None
    register: str = ""
    memory: Memory | None = None

    @property
    def shown(self) -> str:
        """The words and the value: "AX, which is 1234h"; of an immediate the number alone."""
        if not self.register and self.memory is None:
            return self.words
        return f"{self.words}, which is {self.number}" if self.value is not None else self.words

    @property
    def number(self) -> str:
        """The value in all its digits, or "an unknown value"."""
        return hexadecimal(self.value, self.size) if self.value is not None else "an unknown value"


class Moment:
    """The machine in front of one instruction, which Capstone has decoded.

    `ip` is the instruction's offset in CS, `next_ip` that of the one behind it.
    """

    def __init__(self, machine: Machine, linear: int) -> None:
        self.machine = machine
        self.processor: Processor = machine.engine  # type: ignore[assignment]
        self.cpu = machine.cpu
        self.bits = self.cpu.code_bits
        self.linear = linear
        self.code_selector, base = self._code_segment()
        self.ip = (linear - base) & (1 << max(self.bits, 32)) - 1
        self.code = peek(self.processor, linear, LONGEST)
        self.instruction: Any = next(_decoder(self.bits).disasm(self.code, self.ip, 1), None)

    def _code_segment(self) -> tuple[int, int]:
        """Return selector and base of the code segment; for code outside CS in real mode, of one that holds it."""
        code = self.cpu.head.segs[CS]
        if self.bits == 64:
            return code.selector, 0
        if not self.protected and not code.base <= self.linear <= code.base + 0xFFFF:
            selector = self.linear >> 4 & 0xF000
            return selector, selector << 4
        return code.selector, code.base

    # -- the instruction ----------------------------------------------------------------------------------------
    @property
    def bytes(self) -> bytes:
        """The instruction's own bytes."""
        return bytes(self.instruction.bytes) if self.instruction is not None else self.code[:1]

    @cached_property
    def words(self) -> list[str]:
        """The mnemonic, its prefixes before it: ["rep", "movsb"]."""
        if self.instruction is None:
            return ["db"]
        words = str(self.instruction.mnemonic).split()
        if self.bits == 16 and self.operand_bytes == 2:
            words[-1] = MISNAMED_IN_16_BITS.get(words[-1], words[-1])
        return words

    @property
    def mnemonic(self) -> str:
        """The mnemonic without prefixes."""
        return self.words[-1]

    @property
    def prefixes(self) -> list[str]:
        """The prefixes that Capstone names: rep, repe, repne, lock."""
        return self.words[:-1]

    @property
    def address_bytes(self) -> int:
        """The address size in bytes: 2, 4 or 8."""
        return int(self.instruction.addr_size)

    @property
    def operand_bytes(self) -> int:
        """The operand size in bytes that mode and prefixes choose: 2, 4, or 8 with REX.W."""
        small = 0x66 in self.instruction.prefix
        if self.bits == 64 and self.instruction.rex & 8:
            return 8
        return (4 if small else 2) if self.bits == 16 else (2 if small else 4)

    @property
    def next_ip(self) -> int:
        """The offset of the next instruction."""
        return self.cut(self.ip + len(self.bytes), 8 if self.bits == 64 else 4 if self.bits == 32 else 2)

    @property
    def stack_bytes(self) -> int:
        """How many bytes of the stack pointer count."""
        return 8 if self.bits == 64 else 4 if self.cpu.head.hflags & HF_SS32 else 2

    # -- registers ----------------------------------------------------------------------------------------------
    def register(self, name: str) -> int | None:
        """Return the value of a register by its name, or None for one that is not modelled."""
        if name in ("rip", "eip", "ip"):
            return self.ip
        try:
            return int(getattr(self.cpu, name))
        except (AttributeError, TypeError, ValueError):
            return None

    def known(self, name: str) -> int:
        """Return the value of a register that is there."""
        return int(getattr(self.cpu, name))

    def sized(self, letter_pair: str, size: int) -> str:
        """Return the register "ax" as wide as `size` bytes: AL, AX, EAX or RAX."""
        if size == 1:
            return letter_pair[0] + "l"
        return {2: "", 4: "e", 8: "r"}[size] + letter_pair

    def flag(self, name: str) -> int:
        """Return a flag as 0 or 1."""
        return int(bool(self.flags & FLAG_BITS[name]))

    @cached_property
    def flags(self) -> int:
        """EFLAGS."""
        return self.cpu.rflags

    @property
    def protected(self) -> bool:
        """Whether segments come from descriptors: protected and long mode, but not virtual-8086 mode."""
        head = self.cpu.head
        return bool(head.hflags & HF_PE) and not head.eflags & VM

    @property
    def privilege(self) -> int:
        """The CPL: 0 in real mode, 3 in virtual-8086 mode."""
        head = self.cpu.head
        if not head.hflags & HF_PE:
            return 0
        return 3 if head.eflags & VM else self.cpu.cpl

    @property
    def io_privilege(self) -> int:
        """The IOPL."""
        return int(self.flags & IOPL_MASK) >> 12

    # -- memory -------------------------------------------------------------------------------------------------
    def place(self, segment: str, offset: int, offset_bytes: int) -> Memory:
        """Return the place at `offset` of the segment register `segment`; in 64-bit code only FS and GS count."""
        offset = self.cut(offset, offset_bytes)
        base = int(self.cpu.head.segs[SEGMENT_NAMES.index(segment)].base)
        if self.bits == 64:
            named = segment in ("fs", "gs")
            linear = self.cut(base + offset, 8) if named else offset
            return Memory(segment.upper() if named else "", offset, linear, offset_bytes)
        return Memory(segment.upper(), offset, self.cut(base + offset, 4), offset_bytes)

    def memory(self, place: Memory, size: int) -> Operand:
        """Return the operand of `size` bytes at `place`."""
        value = peek_number(self.processor, place.linear, size)
        return Operand(f"the {SIZES.get(size, f'{size} bytes')} at {place.words}", size, value, memory=place)

    def stack(self, offset: int, size: int) -> Operand:
        """Return what lies `offset` bytes above the stack pointer."""
        pointer = self.stack_pointer + offset
        return self.memory(self.place("ss", pointer, self.stack_bytes), size)

    @property
    def stack_pointer(self) -> int:
        """As many bits of RSP as count."""
        return self.cut(self.known("rsp"), self.stack_bytes)

    @property
    def stack_name(self) -> str:
        """SP, ESP or RSP."""
        return {2: "SP", 4: "ESP", 8: "RSP"}[self.stack_bytes]

    def moved_stack(self, by: int) -> str:
        """Return "SP becomes 6EFEh"."""
        return f"{self.stack_name} becomes {hexadecimal(self.stack_pointer + by, self.stack_bytes)}"

    def trouble(self, place: Memory, access: str) -> str:
        """Return the sentence on the page fault that `access` would raise, or "" when it would raise none."""
        report = explain_walk(self.processor, place.linear, access, user=self.privilege == 3)
        if not report.problem:
            return ""
        if report.error_code is None:
            return f"The {access} raises #GP: {report.problem}."
        return f"The {access} raises #PF with error code {report.error_code:X}h: {report.problem}."

    def is_device(self, place: Memory) -> bool:
        """Whether neither RAM nor ROM is at `place`, so that a read may ask a device."""
        physical = physical_of(self.processor, place.linear)
        return physical is not None and self.processor.space.region_at(physical) is None

    # -- code addresses -----------------------------------------------------------------------------------------
    def code_place(self, offset: int, selector: int | None = None) -> str:
        """Return a code address as the debugger writes it: 0000:7C00, 0008:00101000, or linear in 64-bit code."""
        if self.bits == 64 and selector is None:
            return f"{offset:X}h"
        selector = self.code_selector if selector is None else selector
        return f"{selector:04X}:{offset:0{4 if offset < 0x1_0000 and self.bits == 16 else 8}X}"

    # -- operands -----------------------------------------------------------------------------------------------
    @cached_property
    def operands(self) -> list[Operand]:
        """The operands in the order of the text."""
        return [self._operand(one) for one in self.instruction.operands]

    def _operand(self, one: Any) -> Operand:
        size = int(one.size)
        if one.type == _REGISTER:
            name = str(self.instruction.reg_name(one.reg) or "?")
            value = self.register(name)
            return Operand(name.upper(), size, None if value is None else self.cut(value, size), register=name)
        if one.type == _IMMEDIATE:
            value = self.cut(int(one.imm), size)
            return Operand(hexadecimal(value, size), size, value)
        if one.type == _MEMORY:
            return self.memory(self._effective(one.mem), size)
        return Operand("an operand", size, None)

    def _effective(self, mem: Any) -> Memory:
        base, index = (str(self.instruction.reg_name(number) or "") for number in (mem.base, mem.index))
        offset = int(mem.disp)
        if base in ("rip", "eip"):
            offset += self.next_ip
        elif base:
            offset += self.register(base) or 0
        if index:
            offset += (self.register(index) or 0) * int(mem.scale)
        chosen = str(self.instruction.reg_name(mem.segment) or "")
        segment = chosen or ("ss" if base in _STACK_BASES else "ds")
        return self.place(segment if segment in SEGMENT_NAMES else "ds", offset, self.address_bytes)

    @staticmethod
    def cut(value: int, size: int) -> int:
        """Return the low `size` bytes of a number."""
        return value & (1 << 8 * size) - 1


@lru_cache(maxsize=3)
def _decoder(bits: int) -> Any:
    import capstone

    modes = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}
    decoder = capstone.Cs(capstone.CS_ARCH_X86, modes[bits])
    decoder.detail = True
    return decoder
