"""The block thunk: a few bytes of the host's machine code that run at every block start of the guest.

It is what makes time exact and stopping safe. Unicorn calls a block hook with (engine, address, size, user data); a
Python callback there would cost 500 ns a block, this costs about one. It keeps `BlockCell`:

* before the limit it books the block: where and when it starts, and its bytes as ticks;
* at the limit, or where a wanted interrupt can be taken, it asks the engine to stop, and nothing has happened yet;
* in the middle of a block that the step gear walks through it does nothing (`frozen`).
"""

import ctypes
import mmap
import os
from ctypes import c_int64, c_uint64

from minivm.engine.cpustate import HF_INHIBIT_IRQ, IF, CpuHead
from minivm.engine.library import BLOCK_CALLBACK, Library


class BlockCell(ctypes.Structure):
    """The words that the thunk and Python share. Every write is one aligned store, so any thread may set `limit`."""

    _fields_ = (
        ("retired", c_int64),  # 00h: ticks booked so far; where the current block will end
        ("limit", c_int64),  # 08h: stop at the first block start at or after this tick
        ("address", c_uint64),  # 10h: linear address of the current block
        ("size", c_uint64),  # 18h: its bytes
        ("start", c_int64),  # 20h: the tick at which it began
        ("window", c_uint64),  # 28h: IF while an interrupt waits, else 0
        ("head", c_uint64),  # 30h: the CpuHead
        ("stop", c_uint64),  # 38h: uc_emu_stop
        ("stopped", c_uint64),  # 40h: set when the thunk asked for the stop
        ("frozen", c_uint64),  # 48h: set while the step gear is inside a block
        ("entries", c_uint64),  # 50h: blocks entered while frozen; two in one step mean rewritten code
    )
    retired: int
    limit: int
    address: int
    size: int
    start: int
    window: int
    head: int
    stop: int
    stopped: int
    frozen: int
    entries: int


# System V: rdi = engine, rsi = address, edx = size, rcx = the cell. tests/engine/test_thunk.py assembles it again.
ASSEMBLY = f"""
    cmp dword ptr [rcx + 0x48], 0
    jne frozen
    mov rax, qword ptr [rcx]
    cmp rax, qword ptr [rcx + 8]
    jge stop
    mov r8, qword ptr [rcx + 0x30]
    mov r9d, dword ptr [rcx + 0x28]
    test dword ptr [r8 + {CpuHead.eflags.offset:#x}], r9d
    jz book
    test dword ptr [r8 + {CpuHead.hflags.offset:#x}], {HF_INHIBIT_IRQ}
    jz stop
book:
    mov edx, edx
    mov qword ptr [rcx + 0x10], rsi
    mov qword ptr [rcx + 0x18], rdx
    mov qword ptr [rcx + 0x20], rax
    add rax, rdx
    mov qword ptr [rcx], rax
    ret
stop:
    mov dword ptr [rcx + 0x40], 1
    jmp qword ptr [rcx + 0x38]
frozen:
    inc qword ptr [rcx + 0x50]
    ret
"""
MACHINE_CODE = bytes.fromhex(
    "837948007546488b01483b41087d334c8b4130448b492845858888000000740d41f780b000000008000000741589d248"
    "89711048895118488941204801d0488901c3c7414001000000ff613848ff4150c3"
)
NATIVE_HOSTS = ("x86_64", "AMD64")


class Thunk:
    """The block hook for one engine, in machine code where the host has it and in Python elsewhere."""

    def __init__(self, library: Library, cell: BlockCell, *, native: bool | None = None) -> None:
        self.native = os.uname().machine in NATIVE_HOSTS if native is None else native
        self._cell = cell
        self._library = library
        cell.stop = library.address("uc_emu_stop")
        if self.native:
            self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            self._page[: len(MACHINE_CODE)] = MACHINE_CODE
            self.callback = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._page)))
        else:
            self.callback = BLOCK_CALLBACK(self._slow)

    def _slow(self, uc: int, address: int, size: int, data: int) -> None:
        """Do what the machine code does, 500 times slower."""
        cell = self._cell
        if cell.frozen:
            cell.entries += 1
            return
        head = CpuHead.from_address(cell.head)
        takes = cell.window and head.eflags & IF and not head.hflags & HF_INHIBIT_IRQ
        if cell.retired >= cell.limit or takes:
            cell.stopped = 1
            self._library.dll.uc_emu_stop(uc)
            return
        cell.address, cell.size, cell.start = address, size, cell.retired
        cell.retired += size
