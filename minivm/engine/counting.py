"""How many instructions were executed, exactly: a hook of a few bytes of the host's machine code before each of them.

Counting makes a run 1.2 to 10 times slower (8 to 12 ns an instruction), so it is on only while somebody wants it. It
changes nothing of the run, but for two things. The hooks fill QEMU's room for a block, so that a straight line of more
than some 130 instructions is cut into more blocks (without them, of more than some 230), and an interrupt may be taken
at the cut. And an instruction that faults behind arithmetic in its block pushes wrong flags in the run gear, as each
hooked one does (unsound.py). Both gears count the same:

* an instruction counts when it begins, so one that faults counts, and counts again when its handler returns to it; an
  exception in fetching the instruction counts nothing, and neither does an interrupt that is delivered;
* a repeated string instruction counts once for each iteration and once for finding its counter at zero, as it takes
  that many steps (but for TF set or an STI's shadow, where the last two are one);
* an instruction that is begun again within the engine counts once: one that rewrote the block it is in, was refused a
  watched page (watch.py), or had to wait for the shadow TLB (shadow_tlb.py). The exception is the last instruction of
  a block of several, where it rewrote that same block in the run gear: it counts twice.
"""

import ctypes
import mmap
from ctypes import c_uint64
from typing import Any

from minivm.engine import library

_NOWHERE = (1 << 64) - 1


class CountCell(ctypes.Structure):
    """The words that the hooks and Python share."""

    _fields_ = (
        ("count", c_uint64),  # 00h: instructions begun
        ("last", c_uint64),  # 08h: where the last one that may begin again is; `_NOWHERE` at its block's end
        ("end", c_uint64),  # 10h: where the current block ends
    )
    count: int
    last: int
    end: int


# System V: rdi = engine, rsi = address, edx = size, rcx = the cell.
INSTRUCTION_ASSEMBLY = """
    inc qword ptr [rcx]
    mov edx, edx
    add rdx, rsi
    or rax, -1
    cmp rdx, qword ptr [rcx + 0x10]
    cmovne rax, rsi
    mov qword ptr [rcx + 8], rax
    ret
"""
BLOCK_ASSEMBLY = """
    mov edx, edx
    add rdx, rsi
    mov qword ptr [rcx + 0x10], rdx
    cmp rsi, qword ptr [rcx + 8]
    jne out
    dec qword ptr [rcx]
    or qword ptr [rcx + 8], -1
out:
    ret
"""
# System V: rdi = engine, esi = vector, rdx = the cell. What faulted will not begin again by itself.
EXCEPTION_ASSEMBLY = """
    or qword ptr [rdx + 8], -1
    ret
"""
INSTRUCTION_CODE = bytes.fromhex("48ff0189d24801f24883c8ff483b5110480f45c648894108c3")
BLOCK_CODE = bytes.fromhex("89d24801f248895110483b71087508 48ff09 48834908ff c3")
EXCEPTION_CODE = bytes.fromhex("48834a08ffc3")
_SPACING = 64


class InstructionCounter:
    """The count of one engine; `wanted` changes only between runs, and the translations are dropped with it."""

    def __init__(self, uc: library.Uc, *, native: bool) -> None:
        self._uc = uc
        self._cell = CountCell(0, _NOWHERE, 0)
        self._hooks: list[int] = []
        self._callbacks = self._machine_code() if native else self._in_python()

    @property
    def active(self) -> bool:
        """True while instructions are counted."""
        return bool(self._hooks)

    @property
    def count(self) -> int:
        """Instructions executed while counting was on."""
        return self._cell.count

    def want(self, wanted: bool) -> None:
        """Begin counting at 0, or stop and keep the count; the engine must not be running."""
        if wanted:
            self._cell.count = 0
        if wanted == bool(self._hooks):
            return
        self._cell.last = _NOWHERE
        if wanted:
            kinds = (library.HOOK_BLOCK, library.HOOK_CODE, library.HOOK_INTR)
            pairs = zip(kinds, self._callbacks, strict=True)
            self._hooks = [self._uc.hook(kind, callback, data=self._cell) for kind, callback in pairs]
        else:
            for handle in self._hooks:
                self._uc.unhook(handle)
            self._hooks = []
        self._uc.flush_code()

    def _machine_code(self) -> tuple[Any, ...]:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        codes = (BLOCK_CODE, INSTRUCTION_CODE, EXCEPTION_CODE)
        for index, code in enumerate(codes):
            self._page[_SPACING * index : _SPACING * index + len(code)] = code
        return tuple(ctypes.c_void_p(start + _SPACING * index) for index in range(len(codes)))

    def _in_python(self) -> tuple[Any, ...]:
        return (
            library.BLOCK_CALLBACK(self._on_block),
            library.BLOCK_CALLBACK(self._on_instruction),
            library.INTR_CALLBACK(self._on_exception),
        )

    # -- the same in Python, for other hosts ------------------------------------------------------------------------
    def _on_block(self, uc: int, address: int, size: int, data: int) -> None:
        cell = self._cell
        cell.end = address + size
        if address == cell.last:
            cell.count -= 1
            cell.last = _NOWHERE

    def _on_instruction(self, uc: int, address: int, size: int, data: int) -> None:
        cell = self._cell
        cell.count += 1
        cell.last = _NOWHERE if address + size == cell.end else address

    def _on_exception(self, uc: int, vector: int, data: int) -> None:
        self._cell.last = _NOWHERE
