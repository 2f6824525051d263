"""Instructions that Unicorn's translator gets wrong in the company of others, and how they are made right.

Unicorn keeps the flags of the last arithmetic instruction as its operands until somebody asks (QEMU's "lazy flags").
Where its translation of an instruction goes two ways, and only one of them works the flags out, the other one goes on
with rubbish; and a helper that is called without them takes those from before the block:

* LOOPE and LOOPNE whose loop ends by CX: all of EFLAGS may come out wrong, TF and IOPL, too;
* CMPXCHG8B and CMPXCHG16B: all flags but ZF.

In front of a hooked instruction the translator works all flags out. So each such instruction gets a hook that does
nothing. A block is looked at when it has been translated (Unicorn tells of it before it is executed); if it has one
that is new, the run stops before the block and the translation is dropped.
"""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from typing import Any

from minivm.engine import library

LOOPE, LOOPNE, LONGEST_PREFIXES = 0xE1, 0xE0, 4
MOST_HOOKS = 256
"""A guest with more such places, or with ever new ones, has every instruction hooked."""
FIRST_LOOK_BYTES = 256
_COMPARE_AND_EXCHANGE = b"\x0f\xc7"
_RETURN = b"\xc3"


class TranslatedBlock(ctypes.Structure):
    """What Unicorn tells of a block (`uc_tb`)."""

    _fields_ = (("pc", ctypes.c_uint64), ("icount", ctypes.c_uint16), ("size", ctypes.c_uint16))
    pc: int
    icount: int
    size: int


def unsound_places(code: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first and the last offset in a block at which an instruction may begin that has to be mended."""
    if code[-2:-1] in (bytes((LOOPE,)), bytes((LOOPNE,))):
        yield max(len(code) - 2 - LONGEST_PREFIXES, 0), len(code) - 2
    at = code.find(_COMPARE_AND_EXCHANGE)
    while at >= 0:
        yield max(at - LONGEST_PREFIXES, 0), at
        at = code.find(_COMPARE_AND_EXCHANGE, at + 1)


class UnsoundCode:
    """The mended places of one engine; `read` returns code at a linear address, or less than asked for."""

    def __init__(self, uc: library.Uc, read: Callable[[int, int], bytes], *, native: bool) -> None:
        self._uc = uc
        self._read = read
        self._native = native
        self._mended: set[tuple[int, int]] = set()
        self._callback: Any = None

    def mend(self, address: int, size: int) -> bool:
        """Hook what has to be mended in a block, and tell whether that was new: then it must be translated again."""
        code = self._read(address, size)
        places = {(address + first, address + last) for first, last in unsound_places(code)} - self._mended
        if not places or len(self._mended) > MOST_HOOKS:
            return False
        for place in places:
            self._hook(place)
        return True

    def mend_unseen(self, address: int) -> None:
        """Hook whatever may have to be mended behind `address`: of a new engine's first block Unicorn tells nobody."""
        code = self._read(address, FIRST_LOOK_BYTES)
        if any(byte in code for byte in (LOOPE, LOOPNE)) or _COMPARE_AND_EXCHANGE in code:
            self._hook((address, address + FIRST_LOOK_BYTES))

    def _hook(self, place: tuple[int, int]) -> None:
        if self._callback is None:
            self._callback = self._nothing()
        self._mended.add(place)
        begin, end = place if len(self._mended) <= MOST_HOOKS else (1, 0)  # begin > end: everywhere
        self._uc.hook(library.HOOK_CODE, self._callback, begin=begin, end=end)

    def _nothing(self) -> Any:
        if not self._native:
            return library.BLOCK_CALLBACK(lambda uc, address, size, data: None)
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page[: len(_RETURN)] = _RETURN
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._page)))
