"""RETF in real mode while reads of memory are hooked: Unicorn returns to the RETF itself.

Where a read hook exists, Unicorn's translator notes the instruction pointer before each load, so that the hook sees it.
RETF in real and virtual-8086 mode loads the new instruction pointer, stores it, and then loads CS: the note for the
second load overwrites it. So a hook on the RETF works out where it leads, and one on its second load puts that back.
"""

from collections.abc import Callable

from minivm.engine import library
from minivm.engine.cpustate import CR0_PG, HF_SS32, RSP, Registers

RETF, RETF_AND_POP = 0xCB, 0xCA
_OPERAND_SIZE = 0x66

Walk = Callable[[int], int | None]
"""From a linear to a physical address; None where no page is."""
Read = Callable[[int, int], bytes]


class FarReturns:
    """The mended far returns of one engine, while `wanted`; `read` and `walk` look at linear addresses."""

    def __init__(self, uc: library.Uc, cpu: Registers, read: Read, walk: Walk) -> None:
        self.wanted = False
        self._uc, self._cpu, self._head = uc, cpu, cpu.head
        self._read, self._walk = read, walk
        self._hooked: set[int] = set()
        self._on_return = library.BLOCK_CALLBACK(self._at_return)
        self._on_load = library.ACCESS_CALLBACK(self._at_load)
        self._load_hook: int | None = None
        self._target = 0

    def mend(self, address: int, code: bytes) -> bool:
        """Hook the far return that ends a block, and tell whether that was new: then it must be translated again."""
        length = 1 if code[-1:] == bytes((RETF,)) else 3 if code[-3:-2] == bytes((RETF_AND_POP,)) else 0
        if not (length and self.wanted and self._cpu.mode in ("real", "vm86")):
            return False
        return self._hook(address + len(code) - length)

    def mend_unseen(self, address: int, code: bytes) -> None:
        """Hook whatever may be a far return in `code`: of a new engine's first block Unicorn tells nobody."""
        for at, byte in enumerate(code):
            if byte in (RETF, RETF_AND_POP) and self.wanted:
                self._hook(address + at)

    def _hook(self, place: int) -> bool:
        if place in self._hooked:
            return False
        self._hooked.add(place)
        self._uc.hook(library.HOOK_CODE, self._on_return, begin=max(place - 1, 0), end=place)
        return True

    def _at_return(self, uc: int, address: int, size: int, data: int) -> None:
        """Before an instruction: when it is the far return, note where it leads, and hook its load of CS."""
        if not self.wanted or self._cpu.mode not in ("real", "vm86"):
            return  # a far return in protected mode is done by a helper, which goes right
        code = self._read(address, 2)
        wide = code[:1] == bytes((_OPERAND_SIZE,))
        if code[wide : wide + 1] not in (bytes((RETF,)), bytes((RETF_AND_POP,))):
            return
        width = 4 if wide else 2
        mask = 0xFFFF_FFFF if self._head.hflags & HF_SS32 else 0xFFFF
        stack = self._head.regs[RSP] & mask
        base = self._cpu.ss_base
        self._target = int.from_bytes(self._read(base + stack, width), "little")
        self._hook_load(base + (stack + width & mask))

    def _hook_load(self, linear: int) -> None:
        physical = self._walk(linear) if self._head.cr[0] & CR0_PG else linear
        self._drop_load_hook()
        if physical is not None:
            self._load_hook = self._uc.hook(library.HOOK_MEM_READ, self._on_load, begin=physical, end=physical)

    def _at_load(self, uc: int, kind: int, address: int, size: int, value: int, data: int) -> None:  # noqa: PLR0917
        self._head.eip = self._target
        self._drop_load_hook()

    def _drop_load_hook(self) -> None:
        if self._load_hook is not None:
            self._uc.unhook(self._load_hook)
            self._load_hook = None
