"""Addresses of code: where a gate or vector leads, whether a number is a return address, and how both are written."""

from minivm.core.record import record
from minivm.debug.code import disassemble
from minivm.debug.debugger import Debugger
from minivm.debug.inspect_paging import peek
from minivm.debug.inspect_tables import TableEntry, selector_entry
from minivm.engine.cpustate import HF_PE, VM

_CALL_LENGTHS = {16: (3, 2, 4, 5), 32: (5, 2, 3, 6, 7), 64: (5, 2, 3, 6, 7)}
"""How long calls are, the most frequent first (SDM vol. 2, CALL)."""
_CALLS = ("call", "int", "syscall")


@record
class Place:
    """A linear address and how it is written, with its symbol when there is one."""

    linear: int
    text: str


def place(debugger: Debugger, linear: int, text: str = "") -> Place:
    """Return a linear address with its symbol."""
    symbol = debugger.symbols.describe(linear) if len(debugger.symbols) else ""
    return Place(linear, f"{text or f'{linear:08X}'} {symbol}".rstrip())


def target_of(debugger: Debugger, entry: TableEntry | None) -> Place | None:
    """Return where a gate or real-mode vector leads, or None when it leads nowhere."""
    if entry is None or entry.target is None or not entry.present:
        return None
    selector, offset = entry.target
    text = f"{selector:04X}:{offset:0{4 if offset < 0x1_0000 else 8}X}"
    if entry.table == "IVT":
        return place(debugger, selector * 16 + offset, text)
    segment = selector_entry(debugger.engine, selector)
    if segment is None or segment.base is None:
        return None
    flat = segment.kind.startswith("64")
    return place(debugger, offset if flat else segment.base + offset & 0xFFFF_FFFF, text)


def protected(debugger: Debugger) -> bool:
    """Tell whether selectors name descriptors now."""
    head = debugger.machine.cpu.head
    return bool(head.hflags & HF_PE) and not head.eflags & VM


def call_before(debugger: Debugger, linear: int) -> str:
    """Return the call or INT that ends just before a linear address, or "" when none does."""
    bits = debugger.machine.cpu.code_bits
    for length in _CALL_LENGTHS[bits]:
        if linear < length:
            continue
        code = peek(debugger.engine, linear - length, length)
        if len(code) < length:
            continue
        found = disassemble(code, origin=linear - length, bits=bits, count=1)[0]
        if len(found.code) == length and found.mnemonic.startswith(_CALLS):
            return found.text
    return ""
