"""The block thunk: a few bytes of the host's machine code that run at every block start of the guest.

It is what makes time exact and stopping safe. Unicorn calls a block hook with (engine, address, size, user data); a
Python callback there would cost 500 ns a block, this costs about one. It keeps `BlockCell`:

* before the limit it books the block: where and when it starts, and its bytes as ticks;
* at the limit, or where a wanted interrupt can be taken, it asks the engine to stop, and nothing has happened yet;
* a block that begins inside the one before and ends before it is the rest of a block that rewrote itself: what was
  booked for that rest is given back, and nothing stops there;
* in the step gear (`stepping`) it books nothing: it lets `allowed` blocks of one instruction pass, and notes the last
  two.
"""

import ctypes
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator
from ctypes import c_int64, c_uint64
from typing import Any

from minivm.engine.cpustate import HF_INHIBIT_IRQ, RF, CpuHead
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
        ("stepping", c_uint64),  # 48h: set in the step gear
        ("allowed", c_int64),  # 50h: in the step gear, how many more blocks may be entered
        ("this_address", c_uint64),  # 58h: in the step gear, the last block entered but one: the instruction
        ("this_size", c_uint64),  # 60h
        ("next_address", c_uint64),  # 68h: and the last one: the block behind it, before which the engine stopped
        ("next_size", c_uint64),  # 70h
        ("pages", c_uint64),  # 78h: a byte for each page, set where a breakpoint is; 0 while there are none
        ("slow", c_uint64),  # 80h: the hook in Python, for blocks on such pages
        ("block_flags", c_uint64),  # 88h: where QEMU is told how to translate the next block
        ("points", c_uint64),  # 90h: the addresses looked for on such pages
        ("point_count", c_uint64),  # 98h: how many, or more than `MOST_POINTS`: then Python looks
        ("ran", c_uint64),  # A0h: the sizes of the blocks that ran (`Sizes`); 0 while nobody asks
        ("known", c_uint64),  # A8h: the sizes of the blocks that Python has looked at; 0 when it need not
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
    stepping: int
    allowed: int
    this_address: int
    this_size: int
    next_address: int
    next_size: int
    pages: int
    slow: int
    block_flags: int
    points: int
    point_count: int
    ran: int
    known: int

    def end_of_cut(self, address: int, size: int) -> int | None:
        """Return the tick at which [address, address + size) begins, if it is a cut-off rest of the current block."""
        offset = (address - self.address) & _WORD
        return self.start + offset if offset < self.size and offset + size < self.size else None

    def book(self, address: int, size: int) -> None:
        """Enter a block, as the machine code does it."""
        cut = self.end_of_cut(address, size)
        self.start = self.retired if cut is None else cut
        self.address, self.size, self.retired = address, size, self.start + size


_WORD = (1 << 64) - 1
PAGE_FLAGS = 1 << 20
"""How many pages are told apart when breakpoints are looked for: those of 4 GiB, taken again above it."""
MOST_POINTS = 64
"""So many addresses are compared by the machine code; with more, Python looks at each block of their pages."""
NOTED_ADDRESSES = 1 << 26
"""How many addresses are told apart in notes about blocks: 64 MiB, taken again above it."""
AT_BREAKPOINT = 2
"""What `stopped` says when the block that was about to begin holds a breakpoint."""

WHOLE_BLOCK, ONE_INSTRUCTION = 0xFFFF_FFFF, 0x8001
"""QEMU's cflags for the next block: as usual, or one instruction. The bit 8000h means nothing without instruction
counting; it keeps these blocks apart from those of one instruction that QEMU makes of rewritten code."""

# System V: rdi = engine, rsi = address, edx = size, rcx = the cell. tests/engine/test_thunk.py assembles it again.
# RF is cleared at a block's start: it has done its work when the block was looked up, and Unicorn would keep it until
# some later block's end.
ASSEMBLY = f"""
    mov edx, edx
    cmp dword ptr [rcx + 0x48], 0
    jne stepping
    mov rax, qword ptr [rcx]
    mov r10, qword ptr [rcx + 0x30]
    mov r8, rsi
    sub r8, qword ptr [rcx + 0x10]
    cmp r8, qword ptr [rcx + 0x18]
    jb inside
check:
    cmp rax, qword ptr [rcx + 0x8]
    jge stop
    mov r9d, dword ptr [rcx + 0x28]
    test dword ptr [r10 + {CpuHead.eflags.offset:#x}], r9d
    jz book
    test dword ptr [r10 + {CpuHead.hflags.offset:#x}], {HF_INHIBIT_IRQ:#x}
    jz stop
book:
    mov r8, qword ptr [rcx + 0xa8]
    test r8, r8
    jnz known
harmless:
    mov r8, qword ptr [rcx + 0x78]
    test r8, r8
    jnz look
plain:
    mov r8, qword ptr [rcx + 0xa0]
    test r8, r8
    jnz note
go:
    and dword ptr [r10 + {CpuHead.eflags.offset:#x}], {~RF & 0xFFFF_FFFF:#x}
    mov qword ptr [rcx + 0x10], rsi
    mov qword ptr [rcx + 0x18], rdx
    mov qword ptr [rcx + 0x20], rax
    add rax, rdx
    mov qword ptr [rcx], rax
    ret
inside:
    lea r9, [r8 + rdx]
    cmp r9, qword ptr [rcx + 0x18]
    jae check
    mov rax, qword ptr [rcx + 0x20]
    add rax, r8
    jmp plain
look:
    mov r9, rsi
    shr r9, 12
    and r9d, {PAGE_FLAGS - 1:#x}
    cmp byte ptr [r8 + r9], 0
    jne slow
    lea r9, [rsi + rdx - 1]
    shr r9, 12
    and r9d, {PAGE_FLAGS - 1:#x}
    cmp byte ptr [r8 + r9], 0
    je plain
slow:
    mov r9, qword ptr [rcx + 0x98]
    cmp r9, {MOST_POINTS}
    ja python
    mov r8, qword ptr [rcx + 0x90]
compare:
    dec r9
    js plain
    mov r11, qword ptr [r8 + r9 * 8]
    sub r11, rsi
    cmp r11, rdx
    jae compare
python:
    jmp qword ptr [rcx + 0x80]
known:
    mov r9, rsi
    and r9d, {NOTED_ADDRESSES - 1:#x}
    cmp word ptr [r8 + r9 * 2], dx
    je harmless
    jmp python
note:
    mov r9, rsi
    and r9d, {NOTED_ADDRESSES - 1:#x}
    cmp word ptr [r8 + r9 * 2], dx
    jae go
    mov word ptr [r8 + r9 * 2], dx
    jmp go
stepping:
    mov rax, qword ptr [rcx + 0x68]
    mov qword ptr [rcx + 0x58], rax
    mov rax, qword ptr [rcx + 0x70]
    mov qword ptr [rcx + 0x60], rax
    mov qword ptr [rcx + 0x68], rsi
    mov qword ptr [rcx + 0x70], rdx
    dec qword ptr [rcx + 0x50]
    js stop
    mov rax, qword ptr [rcx + 0x88]
    mov dword ptr [rax], {ONE_INSTRUCTION:#x}
    mov r10, qword ptr [rcx + 0x30]
    and dword ptr [r10 + {CpuHead.eflags.offset:#x}], {~RF & 0xFFFF_FFFF:#x}
    ret
stop:
    mov dword ptr [rcx + 0x40], 1
    jmp qword ptr [rcx + 0x38]
"""
MACHINE_CODE = bytes.fromhex(
    "89d2837948000f8527010000488b014c8b51304989f04c2b41104c3b4118726f483b41080f8d44010000448b49284585"
    "8a88000000741141f782b0000000080000000f84260100004c8b81a80000004d85c00f85a50000004c8b41784d85c075"
    "414c8b81a00000004d85c00f85a30000004181a288000000fffffeff4889711048895118488941204801d0488901c34d"
    "8d0c104c3b49187387488b41204c01c0ebbf4989f149c1e90c4181e1ffff0f0043803c080075174c8d4c16ff49c1e90c"
    "4181e1ffff0f0043803c080074934c8b89980000004983f940771c4c8b819000000049ffc90f8876ffffff4f8b1cc849"
    "29f34939d373ebffa1800000004989f14181e1ffffff0366433914480f8446ffffffebe34989f14181e1ffffff036643"
    "3914480f8348ffffff6643891448e93effffff488b416848894158488b417048894160488971684889517048ff495078"
    "1d488b8188000000c700018000004c8b51304181a288000000fffffeffc3c7414001000000ff6138"
)
_LONGEST_BLOCK = 4096
_NOT_ZERO = re.compile(rb"[^\0]", re.DOTALL)
NATIVE_HOSTS = ("x86_64", "AMD64")


class Sizes:
    """A number below 65,536 for each of many addresses, in memory that is taken as it is used: sizes of blocks."""

    def __init__(self) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._map = mmap.mmap(-1, 2 * NOTED_ADDRESSES, flags=flags)
        self._words = memoryview(self._map).cast("H")
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def __getitem__(self, address: int) -> int:
        return self._words[address & NOTED_ADDRESSES - 1]

    def __setitem__(self, address: int, size: int) -> None:
        self._words[address & NOTED_ADDRESSES - 1] = size

    def add(self, address: int, size: int) -> None:
        """Keep the largest size."""
        self[address] = max(self[address], size)

    def covered(self, linear: int, length: int) -> bytes:
        """Return a byte for each of `length` addresses: 1 where some block that was noted lies, else 0."""
        marks = bytearray(length)
        first = max(0, linear - _LONGEST_BLOCK)
        for address, size in self._noted(first, linear + length - first):
            begin, end = max(address - linear, 0), min(address + size - linear, length)
            if begin < end:
                marks[begin:end] = b"\1" * (end - begin)
        return bytes(marks)

    def _noted(self, linear: int, length: int) -> Iterator[tuple[int, int]]:
        """Yield (address, size) of the blocks noted in a range."""
        while length > 0:
            place = linear & NOTED_ADDRESSES - 1
            piece = min(length, NOTED_ADDRESSES - place)
            words = self._map[2 * place : 2 * (place + piece)]
            for index in dict.fromkeys(found.start() // 2 for found in _NOT_ZERO.finditer(words)):
                yield linear + index, int.from_bytes(words[2 * index : 2 * index + 2], "little")
            linear, length = linear + piece, length - piece


class Thunk:
    """The block hook for one engine, in machine code where the host has it and in Python elsewhere."""

    def __init__(self, library: Library, cell: BlockCell, *, native: bool | None = None) -> None:
        self.native = os.uname().machine in NATIVE_HOSTS if native is None else native
        self._cell = cell
        self._library = library
        self._head = CpuHead.from_address(cell.head)
        cell.stop = library.address("uc_emu_stop")
        self._points: set[int] = set()
        self._pages = bytearray()
        self._listed = (c_uint64 * MOST_POINTS)()
        self.ran: Sizes | None = None
        self._known: Sizes | None = None
        self._looks: Callable[[int, int], bool] | None = None
        cell.points = ctypes.addressof(self._listed)
        self._in_python = BLOCK_CALLBACK(self._slow)
        cell.slow = ctypes.cast(self._in_python, ctypes.c_void_p).value or 0
        if self.native:
            self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            self._page[: len(MACHINE_CODE)] = MACHINE_CODE
            self.callback: Any = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._page)))
        else:
            self.callback = self._in_python

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """Stop before every block that holds one of the linear `addresses`; elsewhere it costs a nanosecond a block."""
        self._points = set()
        self._cell.pages = self._cell.point_count = 0
        if self._pages:
            self._pages[:] = bytes(PAGE_FLAGS)
        for address in addresses:
            self.add_breakpoint(address)

    def add_breakpoint(self, address: int) -> None:
        """Stop before every block that holds the linear `address`, too; also from inside the engine."""
        cell = self._cell
        if address in self._points:
            return
        if not self._pages:
            self._pages = bytearray(PAGE_FLAGS)
        if len(self._points) < MOST_POINTS:
            self._listed[len(self._points)] = address
        self._points.add(address)
        self._pages[address >> 12 & PAGE_FLAGS - 1] = 1
        cell.point_count = len(self._points)
        cell.pages = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))

    def note_what_runs(self, wanted: bool) -> None:
        """Note from now on the blocks that run, in `ran`; what was noted before stays."""
        self.ran = self.ran or Sizes()
        self._cell.ran = self.ran.address if wanted else 0

    def look_over(self, looks: Callable[[int, int], bool] | None) -> None:
        """Ask `looks` of each block that is new whether the engine must stop before it, as at a breakpoint."""
        self._looks = looks
        self._known = Sizes() if looks is not None else None
        self._cell.known = self._known.address if self._known is not None else 0

    def _slow(self, uc: int, address: int, size: int, data: int) -> None:
        """Do what the machine code does, 500 times slower."""
        cell, reason = self._cell, 1
        if cell.stepping:
            cell.this_address, cell.this_size = cell.next_address, cell.next_size
            cell.next_address, cell.next_size = address, size
            cell.allowed -= 1
            stops = cell.allowed < 0
            ctypes.c_uint32.from_address(cell.block_flags).value = WHOLE_BLOCK if stops else ONE_INSTRUCTION
        else:
            stops = cell.end_of_cut(address, size) is None and self._is_due()
            if not stops and (self._must_stop(address, size) or self._holds_point(address, size)):
                stops, reason = True, AT_BREAKPOINT
        if stops:
            cell.stopped = reason
            self._library.dll.uc_emu_stop(uc)
            return
        self._head.eflags &= ~RF
        if not cell.stepping:
            if self.ran is not None and cell.ran:
                self.ran.add(address, size)
            cell.book(address, size)

    def _must_stop(self, address: int, size: int) -> bool:
        if self._looks is None or self._known is None or self._known[address] == size:
            return False
        if self._looks(address, size):
            return True
        self._known[address] = size
        return False

    def _holds_point(self, address: int, size: int) -> bool:
        if len(self._points) < size:
            return any(address <= point < address + size for point in self._points)
        return not self._points.isdisjoint(range(address, address + size))

    def _is_due(self) -> bool:
        cell, head = self._cell, self._head
        window = cell.window & head.eflags and not head.hflags & HF_INHIBIT_IRQ
        return cell.retired >= cell.limit or bool(window)
