"""Instructions that Unicorn's translator gets wrong in the company of others, and how they are made right.

Unicorn keeps the flags of the last arithmetic instruction as its operands until somebody asks (QEMU's "lazy flags").
Where its translation of an instruction goes two ways, and only one of them works the flags out, the other one goes on
with rubbish; and a helper that is called without them takes those from before the block:

* LOOPE and LOOPNE whose loop ends by CX: all of EFLAGS may come out wrong, TF and IOPL, too;
* CMPXCHG8B and CMPXCHG16B: all flags but ZF.

In front of a hooked instruction the translator stores which operation the flags come from, and works all of them out
behind the hook, but tells nobody that they are now the flags themselves. So each such instruction gets a hook that
works them out and says so (`CpuHead.cc_op`). A block is looked at when it has been translated (Unicorn tells of it
before it is executed); if it has one that is new, the run stops before the block and the translation is dropped.

Two cases stay wrong: CMPXCHG8B pushes wrong flags where it faults, and of two hooked instructions in one block, each
behind the same kind of arithmetic, the translator works the flags out for the first one alone.
"""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from typing import Any

from minivm.engine import library
from minivm.engine.cpustate import ARITHMETIC, CC_OP_EFLAGS, CpuHead, Registers
from minivm.engine.far_returns import FarReturns

LOOPE, LOOPNE, LONGEST_PREFIXES = 0xE1, 0xE0, 14
_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3, *range(0x40, 0x50)))
"""Also INC and DEC of a register, in 16-bit and 32-bit code; these never fault."""
MOST_HOOKS = 256
"""Of a guest with more such places, the oldest hook goes, and comes again when its block is translated again."""
FIRST_LOOK_BYTES = 256
_COMPARE_AND_EXCHANGE = b"\x0f\xc7"
CC_OP_LOGIC, CC_OP_CLR = 22, 49
"""QEMU's names for flags that come from a result alone: of logic in four sizes, and from the second one on. There the
translator takes nothing for the source, and what the instruction's helper works out is right anyway."""
# System V: rdi = engine, rsi = address, edx = size, rcx = the CpuHead, which is QEMU's CPUX86State.
ASSEMBLY = f"""
    mov esi, dword ptr [rcx + {CpuHead.cc_op.offset:#x}]
    cmp esi, {CC_OP_CLR}
    jae out
    lea eax, [rsi - {CC_OP_LOGIC}]
    cmp eax, 3
    jbe out
    push rbx
    mov rbx, rcx
    mov rdi, rcx
    movabs rax, 0x1122334455667788
    call rax
    mov eax, eax
    mov qword ptr [rbx + {CpuHead.cc_src.offset:#x}], rax
    mov dword ptr [rbx + {CpuHead.cc_op.offset:#x}], {CC_OP_EFLAGS}
    pop rbx
out:
    ret
"""
MACHINE_CODE = bytes.fromhex(
    "8bb1a800000083fe31732f8d46ea83f8037627534889cb4889cf48b88877665544332211ffd089c048898398000000c7"
    "83a8000000010000005bc3"
)
FUNCTION_AT = MACHINE_CODE.index(bytes.fromhex("8877665544332211"))
"""Where the address of QEMU's function that works flags out is put in."""


class TranslatedBlock(ctypes.Structure):
    """What Unicorn tells of a block (`uc_tb`)."""

    _fields_ = (("pc", ctypes.c_uint64), ("icount", ctypes.c_uint16), ("size", ctypes.c_uint16))
    pc: int
    icount: int
    size: int


def unsound_places(code: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first and the last offset in a block at which an instruction may begin that has to be mended.

    These are its opcode and the prefixes before it, and no other instruction begins there: a hook would spoil the
    flags of one that faults.
    """
    if code[-2:-1] in (bytes((LOOPE,)), bytes((LOOPNE,))):
        yield _behind_others(code, len(code) - 2), len(code) - 2
    at = code.find(_COMPARE_AND_EXCHANGE)
    while at >= 0:
        yield _behind_others(code, at), at
        at = code.find(_COMPARE_AND_EXCHANGE, at + 1)


def _behind_others(code: bytes, at: int) -> int:
    """Return where the prefixes of the instruction with its opcode `at` begin."""
    first = at
    while first > 0 and at - first < LONGEST_PREFIXES and code[first - 1] in _PREFIXES:
        first -= 1
    return first


class UnsoundCode:
    """The mended places of one engine; `read` returns code at a linear address, or less than asked for.

    `far_returns` mends what only a hook on memory makes unsound.
    """

    def __init__(
        self,
        uc: library.Uc,
        cpu: Registers,
        read: Callable[[int, int], bytes],
        *,
        far_returns: FarReturns | None = None,
        native: bool,
    ) -> None:
        self._far_returns = far_returns
        self._uc = uc
        self._cpu = cpu
        self._read = read
        self._native = native
        self._mended: dict[tuple[int, int], int] = {}  # each place's hook
        self._callback: Any = None

    def mend(self, address: int, size: int) -> bool:
        """Hook what has to be mended in a block, and tell whether that was new: then it must be translated again.

        A hook at what is something else by now goes: where a hooked instruction faults, it pushes wrong flags.
        """
        code = self._read(address, size)
        places = {(address + first, address + last) for first, last in unsound_places(code)}
        new = places.difference(self._mended)
        old = {one for one in self._mended if address <= one[0] and one[1] < address + size} - places
        for place in old:
            self._uc.unhook(self._mended.pop(place))
        for place in new:
            self._hook(place)
        returns = self._far_returns is not None and self._far_returns.mend(address, code)
        return bool(new or old or returns)

    def mend_unseen(self, address: int) -> None:
        """Hook whatever may have to be mended behind `address`: of a new engine's first block Unicorn tells nobody."""
        code = self._read(address, FIRST_LOOK_BYTES)
        if self._far_returns is not None:
            self._far_returns.mend_unseen(address, code)
        for at in range(len(code)):
            if code[at] in (LOOPE, LOOPNE) or code[at : at + 2] == _COMPARE_AND_EXCHANGE:
                self._hook((address + _behind_others(code, at), address + at))

    def _hook(self, place: tuple[int, int]) -> None:
        if self._callback is None:
            self._callback = self._works_flags_out()
        if len(self._mended) >= MOST_HOOKS:
            self._uc.unhook(self._mended.pop(next(iter(self._mended))))  # it is found again when it is translated again
        begin, end = place
        self._mended[place] = self._uc.hook(
            library.HOOK_CODE, self._callback, begin=begin, end=end, data=self._cpu.head
        )

    def _works_flags_out(self) -> Any:
        function = self._uc.library.address("cpu_cc_compute_all_x86_64")
        if not self._native or not function:
            return library.BLOCK_CALLBACK(self._in_python)
        code = MACHINE_CODE[:FUNCTION_AT] + function.to_bytes(8, "little") + MACHINE_CODE[FUNCTION_AT + 8 :]
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page[: len(code)] = code
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._page)))

    def _in_python(self, uc: int, address: int, size: int, data: int) -> None:
        head = self._cpu.head
        if head.cc_op >= CC_OP_CLR or CC_OP_LOGIC <= head.cc_op < CC_OP_LOGIC + 4:
            return
        head.cc_src = self._cpu.rflags & ARITHMETIC
        head.cc_op = CC_OP_EFLAGS
