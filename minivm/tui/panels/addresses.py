"""Addresses of code: where a gate or vector leads, whether a number is a return address, and how both are written."""

from functools import lru_cache

from minivm.core.record import record
from minivm.debug.code import disassemble
from minivm.debug.debugger import Debugger
from minivm.debug.inspect_paging import peek
from minivm.debug.inspect_tables import TableEntry, selector_entry
from minivm.engine.cpustate import HF_PE, VM

_CALL_LENGTHS = {16: (3, 2, 4, 5), 32: (5, 2, 3, 6, 7), 64: (5, 2, 3, 6, 7)}
"""How long calls are, the most frequent first (SDM vol. 2, CALL)."""
_LONGEST_CALL = 7
_CALLS = ("call", "int", "syscall")
_PREFIXES = (0x26, 0x2E, 0x36, 0x3E, *range(0x40, 0x50), 0x64, 0x65, 0x66, 0x67)
_BEGINS_CALL = [byte in (0x0F, 0x9A, 0xCD, 0xE8, 0xFF, *_PREFIXES) for byte in range(256)]
"""The first bytes of SYSCALL, CALL and INT, prefixes included."""


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
    if linear < _LONGEST_CALL:
        return ""
    code = peek(debugger.engine, linear - _LONGEST_CALL, _LONGEST_CALL)
    return _call_at_end(code, linear, debugger.machine.cpu.code_bits) if len(code) == _LONGEST_CALL else ""


@lru_cache(maxsize=512)
def _call_at_end(code: bytes, linear: int, bits: int) -> str:
    for length in _CALL_LENGTHS[bits]:
        tail = code[-length:]
        if not _BEGINS_CALL[tail[0]] or (tail[0] == 0xFF and tail[1] >> 3 & 7 not in (2, 3)):
            continue
        found = disassemble(tail, origin=linear - length, bits=bits, count=1)[0]
        if len(found.code) == length and found.mnemonic.startswith(_CALLS):
            return found.text
    return ""
