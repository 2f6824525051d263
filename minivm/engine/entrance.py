"""The one way into the guest's code, for both gears."""

import ctypes

from minivm.engine.cpustate import CC_OP_EFLAGS, Registers
from minivm.engine.library import Uc
from minivm.engine.thunk import BlockCell


class Entrance:
    """Unicorn's `uc_emu_start`. `inside` is true while the guest's code, or a callback of it, runs."""

    def __init__(self, uc: Uc, cpu: Registers, cell: BlockCell) -> None:
        self.inside = False
        self._uc = uc
        self._cpu = cpu
        self._block_flags = ctypes.c_uint32.from_address(cell.block_flags)

    def enter(self, block_flags: int) -> int:
        """Let Unicorn execute until something stops it, the first block with `block_flags`; return its status.

        It takes the arithmetic flags from `eflags`, where they lie only between two runs, so flags that were edited
        in the meantime are put there.
        """
        head = self._cpu.head
        if head.cc_op == CC_OP_EFLAGS:
            head.eflags = self._cpu.rflags
        self._block_flags.value = block_flags
        self.inside = True
        status = int(self._uc.library.dll.uc_emu_start(self._uc.handle, head.eip, 0, 0, 0))
        self.inside = False
        return status
