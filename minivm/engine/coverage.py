"""Which code ran, and which memory was read and written: marks for the disassembly and the picture of memory.

What ran is noted by the block thunk for a nanosecond a block. Reads and writes are noted by a hook of a few bytes of
the host's machine code behind every load and store; such a hook sends all of them through Unicorn's slow path, so it
is there only while somebody wants to see it.
"""

import ctypes
import mmap
from ctypes import c_uint64
from typing import Any

from minivm.core.memory import Memory
from minivm.engine import library
from minivm.engine.thunk import Thunk

READ, WRITTEN, EXECUTED = 1, 2, 4
"""The bits of `Coverage.touched`."""


class MarkCell(ctypes.Structure):
    """The words that the hook and Python share."""

    _fields_ = (
        ("marks", c_uint64),  # 00h: a byte for each byte of RAM
        ("size", c_uint64),  # 08h: how many
    )
    marks: int
    size: int


# System V: rdi = engine, esi = kind of access, rdx = physical address, ecx = size, r8 = value, r9 = the cell.
ASSEMBLY = f"""
    cmp rdx, qword ptr [r9 + 8]
    jae out
    add rdx, qword ptr [r9]
    mov rax, {READ * 0x0101_0101_0101_0101:#x}
    cmp esi, {library.MEM_WRITE}
    jne sized
    add rax, rax
sized:
    cmp ecx, 4
    je four
    ja eight
    cmp ecx, 2
    je two
    or byte ptr [rdx], al
    ret
two:
    or word ptr [rdx], ax
    ret
four:
    or dword ptr [rdx], eax
    ret
eight:
    or qword ptr [rdx], rax
out:
    ret
"""
MACHINE_CODE = bytes.fromhex(
    "493b5108732e49031148b8010101010101010183fe1175034801c083f904740e770f83f90274030802c3660902c30902c3480902c3"
)


class Coverage:
    """The marks of one engine."""

    def __init__(self, uc: library.Uc, memory: Memory, thunk: Thunk) -> None:
        self._uc = uc
        self._memory = memory
        self._thunk = thunk
        self._hooks: list[int] = []
        self._marks = mmap.mmap(-1, memory.size + mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._cell = MarkCell(ctypes.addressof(ctypes.c_char.from_buffer(self._marks)), memory.size)
        self._callback = self._make_callback()
        thunk.note_what_runs(True)

    def ran(self, linear: int, length: int) -> bytes:
        """Return a byte for each linear address: 1 where a byte of an executed instruction is, else 0."""
        return self._thunk.ran.covered(linear, length) if self._thunk.ran is not None else bytes(length)

    def touched(self, physical: int, length: int) -> bytes:
        """Return a byte for each physical address: `READ`, `WRITTEN`, `EXECUTED` added up.

        What ran is known by its linear address only; it is shown at the same physical one.
        """
        marks = self._marks[physical : physical + length].ljust(length, b"\0")
        ran = int.from_bytes(self.ran(physical, length), "little") * EXECUTED
        return (int.from_bytes(marks, "little") | ran).to_bytes(length, "little")

    @property
    def notes_accesses(self) -> bool:
        """True while reads and writes are noted."""
        return bool(self._hooks)

    def note_accesses(self, wanted: bool) -> None:
        """Note reads and writes from now on, or no longer; marks stay. The engine must not be running."""
        if wanted == bool(self._hooks):
            return
        if wanted:
            kinds = library.HOOK_MEM_READ | library.HOOK_MEM_WRITE
            self._hooks.append(self._uc.hook(kinds, self._callback, data=self._cell))
            self._memory.write_listeners.append(self._note_host_write)
        else:
            self._uc.unhook(self._hooks.pop())
            self._memory.write_listeners.remove(self._note_host_write)
        self._uc.flush_code()

    def _note_host_write(self, start: int, end: int) -> None:
        for address in range(start, min(end, self._cell.size)):  # the cards' memory has no marks
            self._marks[address] |= WRITTEN

    def _make_callback(self) -> Any:
        if not self._thunk.native:
            return library.ACCESS_CALLBACK(self._in_python)
        self._code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._code[: len(MACHINE_CODE)] = MACHINE_CODE
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._code)))

    def _in_python(  # noqa: PLR0917 - Unicorn calls it so
        self, uc: int, kind: int, address: int, size: int, value: int, data: int
    ) -> None:
        if address < self._cell.size:
            for place in range(address, address + size):
                self._marks[place] |= WRITTEN if kind == library.MEM_WRITE else READ
