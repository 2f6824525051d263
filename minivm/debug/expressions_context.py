"""What expressions ask of a machine: registers, flags, counters and memory, by name and address."""

from collections.abc import Callable
from typing import Protocol

from minivm.engine.cpustate import Registers
from minivm.engine.segments import Descriptor
from minivm.errors import ExpressionError

_64_BITS = (1 << 64) - 1
_32_BITS = (1 << 32) - 1


class Context(Protocol):
    """What an expression asks of a machine; the debugger has one for each stop.

    All values are unsigned. `register` knows every name in `REGISTERS`. `load` and `load_physical` read 1, 2, 4 or 8
    bytes, little-endian, change nothing in the machine, and raise a `MiniVMError` where nothing can be read.
    """

    def register(self, name: str, /) -> int:
        """Return a register, flag, hidden part of a segment (`cs_base`), or counter (`ticks`, `hits`)."""

    def load(self, linear: int, size: int, /) -> int:
        """Return the number at a linear address."""

    def load_physical(self, address: int, size: int, /) -> int:
        """Return the number at a physical address."""


SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
_FLAGS = {"cf": 0, "pf": 2, "af": 4, "zf": 6, "sf": 7, "tf": 8, "if": 9, "df": 10, "of": 11, "nt": 14, "rf": 16,
          "vm": 17, "ac": 18, "vif": 19, "vip": 20, "id": 21}  # fmt: skip
"""Each flag's bit in EFLAGS (Intel SDM vol. 1, section 3.4.3)."""


def _widths() -> dict[str, int]:
    wide = {"r" + name: 64 for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip", "flags")}
    wide |= {name.replace("r", "e", 1): 32 for name in wide} | {name[1:]: 16 for name in wide}
    wide |= {letter + half: 8 for letter in "abcd" for half in "lh"} | dict.fromkeys(("sil", "dil", "bpl", "spl"), 8)
    for index in range(8, 16):
        wide |= {f"r{index}": 64, f"r{index}d": 32, f"r{index}w": 16, f"r{index}b": 8}
    wide |= dict.fromkeys(SEGMENTS, 16) | {f"cr{index}": 64 for index in (0, 2, 3, 4, 8)}
    for name in SEGMENTS:
        wide |= {f"{name}_base": 64, f"{name}_limit": 32, f"{name}_flags": 32}
    wide |= {f"{table}_{part}": 64 for table in ("gdt", "idt", "ldt", "tr") for part in ("base", "limit")}
    return wide | {"ldtr": 16, "tr": 16, "iopl": 8} | dict.fromkeys(_FLAGS, 8)


COUNTERS = ("cpl", "mode", "bits", "ticks", "hits")
REGISTERS: dict[str, int] = _widths() | dict.fromkeys(COUNTERS, 64)
"""Every name that `Context.register` must know, in lower case, with its width in bits."""


def mode_number(mode: str) -> int:
    """Return `Registers.mode` as the number that `mode` has in expressions: the name as a character constant."""
    return int.from_bytes(mode.encode(), "little")


REAL, VM86 = mode_number("real"), mode_number("vm86")


class CpuContext:
    """A `Context` over the engine's registers; how memory is read is the caller's business.

    `hits` is set by the debugger before each evaluation; `ticks` is asked when an expression names it.
    """

    def __init__(
        self,
        cpu: Registers,
        *,
        load: Callable[[int, int], int],
        load_physical: Callable[[int, int], int],
        ticks: Callable[[], int] = lambda: 0,
    ) -> None:
        self.cpu = cpu
        self.hits = 0
        self.load = load
        self.load_physical = load_physical
        self._ticks = ticks

    def register(self, name: str, /) -> int:
        """Return the register, flag or counter `name`, one of `REGISTERS`."""
        if name in _FLAGS:
            return self.cpu.rflags >> _FLAGS[name] & 1
        special = _SPECIAL.get(name)
        value = getattr(self.cpu, name) if special is None else special(self)
        return int(value) & (1 << REGISTERS[name]) - 1


_SPECIAL: dict[str, Callable[[CpuContext], int]] = {
    "rflags": lambda context: context.cpu.rflags,
    "eflags": lambda context: context.cpu.rflags,
    "flags": lambda context: context.cpu.rflags,
    "iopl": lambda context: context.cpu.rflags >> 12 & 3,
    "ldtr": lambda context: context.cpu.ldt_selector,
    "tr": lambda context: context.cpu.tr_selector,
    "cpl": lambda context: context.cpu.cpl,
    "bits": lambda context: context.cpu.code_bits,
    "mode": lambda context: mode_number(context.cpu.mode),
    "ticks": lambda context: context._ticks(),
    "hits": lambda context: context.hits,
}


def descriptor_base(context: Context, selector: int) -> int:
    """Return the base in the descriptor of `selector` (Intel SDM vol. 3, section 3.4.5)."""
    index, table = selector & 0xFFF8, "ldt" if selector & 4 else "gdt"
    if not selector & ~3:
        raise ExpressionError(f"selector {selector:04X}h is null and has no segment")
    if index + 7 > context.register(f"{table}_limit"):
        limit = context.register(f"{table}_limit")
        raise ExpressionError(f"selector {selector:04X}h lies outside the {table.upper()}, whose limit is {limit:04X}h")
    raw = context.load(context.register(f"{table}_base") + index & _64_BITS, 8)
    descriptor = Descriptor(raw & _32_BITS, raw >> 32)
    if not descriptor.present:
        raise ExpressionError(f"selector {selector:04X}h has a descriptor that is not present")
    if not descriptor.high & 0x1000 and descriptor.type not in _WITH_BASE:
        raise ExpressionError(f"selector {selector:04X}h is a gate and has no base")
    return 0 if context.register("bits") == 64 else descriptor.base


_WITH_BASE = (1, 2, 3, 9, 11)
"""The system descriptors that have one: TSS of 16 and 32 bits, LDT (SDM vol. 3, table 3-2)."""
