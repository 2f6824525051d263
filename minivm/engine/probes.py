"""The start-up probes: where this build of Unicorn keeps what its interface does not show.

The engine leans on private places: QEMU's `CPUX86State` in live memory, and three cells of `uc_struct`. Each is found,
not assumed, by provoking a change on a scratch engine. What the emulation cannot do without raises `EngineError`; for
the rest the slower way is taken, and `minivm doctor` says which.
"""

import ctypes
import itertools
import mmap
import os
from collections.abc import Iterator
from ctypes import c_ubyte, c_uint64, c_void_p
from struct import unpack_from

from minivm.core.record import record
from minivm.engine.cpustate import CF, CR0_PE, HF_CS64, IF, CpuHead, Registers
from minivm.engine.library import (
    HOOK_INTR,
    HOOK_MEM_WRITE,
    INTR_CALLBACK,
    MEMORY_CALLBACK,
    PROT_ALL,
    REG_EFLAGS,
    REG_MSR,
    REG_RAX,
    Library,
    Msr,
    Uc,
)
from minivm.errors import EngineError

MSR_EFER = 0xC000_0080
_MARK = 0x1DEA_5EED_0F0F_A5C3
_CPU_BYTES = 1 << 16  # QEMU's X86CPU is smaller than this
_STRUCT_BYTES = 1 << 12
_USUAL_PLACE = (440, 35408)
"""Where 2.1.4 has `uc->cpu`, and the registers behind it: the first place to try."""
_CODE = 0x1000
_LOAD_DS = b"\x66\xb8%b\x8e\xd8"  # mov ax, selector; mov ds, ax: #GP(selector), since there is no GDT
_REWRITE = b"\xc6\x05\0\0\0\0\x90\x90"  # mov byte [rip], 90h; nop: overwrites the nop behind it


@record
class Layout:
    """Where the private places are: `cpu_pointer` and `no_exit_request` in `uc_struct`, the rest in the CPU's state.

    `head` and `block_flags` count from the CPU's start, the rest of the CPU's places from its registers.

    `no_exit_request` is None when the probe did not find it: stores are then slower, nothing else changes.
    """

    cpu_pointer: int
    head: int
    efer: int
    error_code: int
    exception_is_int: int
    exception_next_eip: int
    old_exception: int
    block_flags: int
    no_exit_request: int | None


class _Peek:
    """Reads this process's own memory so that a wild pointer is an empty answer and not a crash."""

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/self/mem", os.O_RDONLY)
        except OSError as error:
            raise EngineError(f"the start-up probes need /proc/self/mem: {error.strerror}") from error

    def __call__(self, address: int, length: int) -> bytes:
        try:
            return os.pread(self._file, length, address)
        except (OSError, OverflowError):
            return b""

    def close(self) -> None:
        os.close(self._file)


def probe(library: Library) -> Layout:
    """Find every private place; raises `EngineError` naming the one that does not hold."""
    uc = library.open()
    peek = _Peek()
    try:
        uc.ignore_until()
        uc.set_buffer_size(1 << 20)
        scratch = _Scratch(library, uc, peek)
        return scratch.layout()
    finally:
        uc.close()
        peek.close()


class _Scratch:
    """A throw-away engine with one page of RAM, made to do what the probes look for."""

    def __init__(self, library: Library, uc: Uc, peek: _Peek) -> None:
        self._library, self._uc, self._peek = library, uc, peek
        self._ram = mmap.mmap(-1, 1 << 16)
        self._host = c_ubyte.from_buffer(self._ram)
        uc.map_ram(0, 1 << 16, ctypes.addressof(self._host), PROT_ALL)
        self._cpu_pointer, self._cpu, self._head = self._find_head()
        self.head = CpuHead.from_address(self._cpu + self._head)
        self._check_head()

    def layout(self) -> Layout:
        """Run every probe."""
        error_code, next_eip = self._find_exception_fields()
        return Layout(
            cpu_pointer=self._cpu_pointer,
            head=self._head,
            efer=self._find_efer(),
            error_code=error_code,
            exception_is_int=error_code + 4,
            exception_next_eip=next_eip,
            old_exception=self._find_old_exception(next_eip),
            block_flags=self._find_block_flags(),
            no_exit_request=_find_no_exit_request(self._library, self._peek),
        )

    def _find_head(self) -> tuple[int, int, int]:
        """Find the registers behind a pointer in `uc_struct`, on this engine and on another one.

        On one engine alone, some other pointer may happen to have the registers a few pages behind it.
        """
        other = self._library.open()
        try:
            other.set_buffer_size(1 << 20)
            self._mark(self._uc, _MARK)
            self._mark(other, ~_MARK)
            for place in itertools.chain([_USUAL_PLACE], self._head_candidates()):
                if self._rax(self._uc, place) == c_uint64(_MARK).value and (
                    self._rax(other, place) == c_uint64(~_MARK).value
                ):
                    pointer_at, offset = place
                    return pointer_at, c_void_p.from_address(self._uc.address + pointer_at).value or 0, offset
        finally:
            other.close()
        raise EngineError(_not_found("the CPU's registers", self._library))

    def _mark(self, uc: Uc, value: int) -> None:
        self._library.dll.uc_reg_write(uc.handle, REG_RAX, ctypes.byref(c_uint64(value)))

    def _rax(self, uc: Uc, place: tuple[int, int]) -> int | None:
        """Return the word at a (place of the pointer in `uc_struct`, distance behind it); None where nothing is."""
        pointer = self._peek(uc.address + place[0], 8)
        word = self._peek(int.from_bytes(pointer, "little") + place[1], 8)
        return int.from_bytes(word, "little") if word else None

    def _head_candidates(self) -> Iterator[tuple[int, int]]:
        """Look for the mark behind every pointer in `uc_struct`."""
        words, mark = self._peek(self._uc.address, _STRUCT_BYTES), bytes(c_uint64(_MARK))
        for offset in range(0, len(words) - 7, 8):
            pointer = unpack_from("<Q", words, offset)[0]
            if 1 << 16 <= pointer < 1 << 47 and pointer % 8 == 0:
                for found in sorted(_places(self._peek(pointer, _CPU_BYTES), mark)):
                    yield offset, found

    def _check_head(self) -> None:
        """See that the fields behind RAX are where `CpuHead` says: flags in both directions, CR0, the mode."""
        flags = c_uint64(CF | IF | 2)
        self._library.dll.uc_reg_write(self._uc.handle, REG_EFLAGS, ctypes.byref(flags))
        head = self.head
        shown = Registers(head).rflags
        Registers(head).rflags = 0x8D5 | 2
        self._library.dll.uc_reg_read(self._uc.handle, REG_EFLAGS, ctypes.byref(flags))
        if shown != CF | IF | 2 or flags.value != 0x8D5 | 2 or not head.cr[0] & CR0_PE or not head.hflags & HF_CS64:
            raise EngineError(_not_found("the fields of the CPU's registers", self._library))
        Registers(head).rflags = 2

    def _find_efer(self) -> int:
        """Write the MSR two ways and look for the word that follows; copies may lie behind it, as of the exceptions."""
        candidates = None
        for value in (0x501, 0xD01):  # long mode stays on, NXE changes
            msr = Msr(MSR_EFER, value)
            self._library.dll.uc_reg_write(self._uc.handle, REG_MSR, ctypes.byref(msr))
            now = self._words_equal_to(value)
            candidates = now if candidates is None else candidates & now
        if not candidates:
            raise EngineError(_not_found("EFER", self._library))
        return min(candidates)

    def _find_exception_fields(self) -> tuple[int, int]:
        """Return the offsets of the error code and of the next instruction pointer, by a fault and two INTs.

        The INTs are at different places, so that a word that happens to be equal does not count. A second fault
        would be a double fault. Where the heap lies so that a copy of the registers which Unicorn keeps comes behind
        them, that has these fields, too; the registers' own are the first.
        """
        codes = self._faulted(0x1238)
        nexts = self._interrupted(0x35) & self._interrupted(0x53)
        pairs = [(code, code + 8) for code in codes if code + 8 in nexts and self._int_at(code + 4) == 1]
        if not pairs:
            seen = f"error code at {sorted(codes)}, next instruction at {sorted(nexts)}"
            raise EngineError(_not_found("the exception's fields", self._library) + f" ({seen})")
        return min(pairs)

    def _faulted(self, selector: int) -> set[int]:
        """Load a selector that is not there; return where its number, the error code, stands then."""
        self._execute(_LOAD_DS % selector.to_bytes(2, "little"))
        return {at for at in self._ints_equal_to(selector) if at > CpuHead.a20_mask.offset}

    def _interrupted(self, nops: int) -> set[int]:
        """Execute some NOPs and INT 13h; return where the address behind the INT stands then."""
        self._execute(b"\x90" * nops + b"\xcd\x13")
        return self._words_equal_to(_CODE + nops + 2)

    def _find_old_exception(self, next_eip: int) -> int:
        """Return the offset of what QEMU remembers to make double faults: behind DR0-7 and four more words."""
        offset = next_eip + 8 + 64 + 32
        self._set_int(offset, -1)
        self._faulted(0x1238)
        if self._int_at(offset) != 13:
            raise EngineError(_not_found("the previous exception", self._library))
        return offset

    def _find_block_flags(self) -> int:
        """Return where QEMU says how the next block is to be translated (its `cflags_next_tb`), from the CPU's start.

        A store into the running block sets it to 1, "one instruction"; when the store's hook has asked for a stop, it
        is still set after the run. Usually it is -1.
        """
        stop = self._library.dll.uc_emu_stop
        self._uc.hook(HOOK_MEM_WRITE, MEMORY_CALLBACK(lambda uc, *access: bool(stop(uc))))
        before = self._peek(self._cpu, self._head)
        self._execute(_REWRITE)
        after = self._peek(self._cpu, self._head)
        places = {
            at
            for at in range(0, min(len(before), len(after)) - 3, 4)
            if before[at : at + 4] == b"\xff\xff\xff\xff" and after[at : at + 4] == b"\x01\0\0\0"
        }
        return self._only("the next block's flags", places)

    # -- small tools --------------------------------------------------------------------------------------------
    def _execute(self, code: bytes) -> None:
        """Run `code` in 64-bit mode until its exception."""
        self._ram[_CODE : _CODE + len(code)] = code
        self._uc.remove_code(_CODE, _CODE + 0x100)
        self._hook_once()
        self.head.eip = _CODE
        self._library.dll.uc_emu_start(self._uc.handle, _CODE, 0, 0, 0)

    def _hook_once(self) -> None:
        if getattr(self, "_hooked", False):
            return
        self._hooked = True
        stop = self._library.dll.uc_emu_stop
        self._uc.hook(HOOK_INTR, INTR_CALLBACK(lambda uc, vector, data: stop(uc)))

    def _state(self) -> bytes:
        return self._peek(self._cpu + self._head, _CPU_BYTES // 4)

    def _words_equal_to(self, value: int) -> set[int]:
        return _places(self._state(), value.to_bytes(8, "little"))

    def _ints_equal_to(self, value: int) -> set[int]:
        return _places(self._state(), value.to_bytes(4, "little"))

    def _int_at(self, offset: int) -> int:
        return ctypes.c_int32.from_address(self._cpu + self._head + offset).value

    def _set_int(self, offset: int, value: int) -> None:
        ctypes.c_int32.from_address(self._cpu + self._head + offset).value = value

    def _only(self, name: str, offsets: set[int]) -> int:
        if len(offsets) != 1:
            raise EngineError(_not_found(name, self._library))
        return offsets.pop()


def _places(memory: bytes, word: bytes) -> set[int]:
    """Return the offsets in `memory`, multiples of the word's length, at which `word` stands."""
    found, places = memory.find(word), set()
    while found >= 0:
        if found % len(word) == 0:
            places.add(found)
        found = memory.find(word, found + 1)
    return places


def _find_no_exit_request(library: Library, peek: _Peek) -> int | None:
    """Read the offset off the exported `check_exit_request`: its `cmp byte ptr [reg + offset], 0`."""
    address = library.address("check_exit_request_x86_64")
    code = peek(address, 64) if address else b""
    for at in range(len(code) - 7):
        opcode, operand = code[at], code[at + 1]
        if opcode == 0x80 and operand & 0xF8 == 0xB8 and operand & 7 != 4 and code[at + 6] == 0:
            offset = int(unpack_from("<I", code, at + 2)[0])
            return offset if offset < _STRUCT_BYTES else None
    return None


def _not_found(what: str, library: Library) -> str:
    return (
        f"{what} cannot be found in Unicorn {library.version()}; MiniVM knows 2.1.4: "
        "pip install 'unicorn>=2.1.4,<2.2', or run `minivm doctor`"
    )


_PROBED: list[Layout] = []


def layout(library: Library) -> Layout:
    """Return the layout, probed once in a process."""
    if not _PROBED:
        _PROBED.append(probe(library))
    return _PROBED[0]


def head_address(uc: Uc, places: Layout) -> int:
    """Return where the live `CpuHead` of the engine `uc` lies."""
    cpu = c_void_p.from_address(uc.address + places.cpu_pointer).value or 0
    return cpu + places.head
