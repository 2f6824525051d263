"""The fill thunk: answers most TLB misses in a few bytes of the host's machine code.

While the guest has paging off, Unicorn asks a hook for each page that is new to its TLB. A guest that walks through
megabytes misses half a million times, and a Python callback takes 3 µs. So a byte for each of the 2^20 pages keeps what
Python once decided, and the thunk repeats it; what it does not know, a first fetch from a page, and everything
after CR0.PG was set, it passes on to Python. Where the host's processor has no thunk, Python answers all.
"""

import ctypes
import mmap
from ctypes import c_uint64

from minivm.engine.cpustate import CR0_PG, CpuHead
from minivm.engine.library import MEM_FETCH, MEM_WRITE, PROT_EXEC

PAGES = 1 << 20


class FillCell(ctypes.Structure):
    """The words that the thunk and Python share."""

    _fields_ = (
        ("kinds", c_uint64),  # 00h: a byte for each page, its permissions; 0 is unknown
        ("slow", c_uint64),  # 08h: the Python callback
        ("head", c_uint64),  # 10h: the CpuHead
        ("fills", c_uint64),  # 18h: misses since the TLB was flushed
        ("closed", c_uint64),  # 20h: set while A20 is closed, when pages are not where they seem
    )
    kinds: int
    slow: int
    head: int
    fills: int
    closed: int


# System V: rdi = engine, rsi = linear address, edx = kind of access, rcx = the answer, r8 = the cell.
ASSEMBLY = f"""
    inc qword ptr [r8 + 0x18]
    cmp dword ptr [r8 + 0x20], 0
    jne slow
    mov r9, qword ptr [r8 + 0x10]
    test dword ptr [r9 + {CpuHead.cr.offset:#x}], {CR0_PG:#x}
    jnz slow
    mov r10d, esi
    shr r10, 12
    mov r9, qword ptr [r8]
    movzx eax, byte ptr [r9 + r10]
    test al, al
    jz slow
    cmp edx, {MEM_FETCH}
    jne write
    test al, {PROT_EXEC}
    jz slow
write:
    cmp edx, {MEM_WRITE}
    jne answer
    test al, 2
    jz slow
answer:
    shl r10, 12
    mov qword ptr [rcx], r10
    mov dword ptr [rcx + 8], eax
    mov eax, 1
    ret
slow:
    jmp qword ptr [r8 + 8]
"""
MACHINE_CODE = bytes.fromhex(
    "49ff4018418378200075464d8b481041f781a80100000000008075354189f249c1ea0c4d8b08430fb6041184c0742283"
    "fa127504a804741983fa117504a802741049c1e20c4c8911894108b801000000c341ff6008"
)


class FillTable:
    """What is known of each page, and the hook that answers from it. `slow` is Python's answer to the rest."""

    def __init__(self, slow: object, head: int, *, native: bool) -> None:
        self.native = native
        self.kinds = mmap.mmap(-1, PAGES)
        self._slow = slow
        self.cell = FillCell(head=head)
        self.cell.kinds = ctypes.addressof(ctypes.c_char.from_buffer(self.kinds))
        self.cell.slow = ctypes.cast(slow, ctypes.c_void_p).value or 0  # type: ignore[arg-type]
        if native:
            self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            self._page[: len(MACHINE_CODE)] = MACHINE_CODE
            self.callback: object = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._page)))
        else:
            self.callback = slow

    def remember(self, page: int, permissions: int) -> None:
        """Keep Python's answer for the page at the linear address `page`."""
        self.kinds[page >> 12] = permissions

    def forget(self) -> None:
        """Forget all answers."""
        self.kinds[:] = bytes(PAGES)
