"""Who may use a port: IOPL and the I/O permission bit map (Intel SDM vol. 1, sections 19.5.1 and 19.5.2).

Unicorn executes IN, OUT, INS and OUTS at every level and asks nobody. So when it has translated code for a level that
needs the bit map, the port instructions in it get two hooks, and the translation is dropped (unsound.py). The first
hook, here, looks the port up in the bit map. Where it is refused, the second one, a few bytes of machine code, calls
QEMU's own function that raises an exception: that leaves the block by a long jump, which Python's frames would not
survive. From there on it is an exception like any other (traps.py).

Code that may use all ports is never looked at. On hosts without machine code nothing is refused.
"""

import ctypes
import mmap
import re
from collections.abc import Callable
from typing import Any

from minivm.engine import library
from minivm.engine.cpustate import CS, HF_CPL, HF_CS64, HF_PE, IOPL_MASK, RDX, VM, CpuHead
from minivm.engine.paging import Fault, PageFault, Processor, read_linear

_PORT_OPCODE = re.compile(rb"[\x6c-\x6f\xe4-\xe7\xec-\xef]")
_IMMEDIATE = range(0xE4, 0xE8)
_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
_MNEMONICS = ("in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd")
_IOPL_SHIFT = 12
_MAP_BASE = 0x66
"""Where a TSS has the offset of its bit map."""
_TSS_32 = (9, 11)
"""Types of descriptors, available and busy; in long mode that of the 64-bit TSS."""
_GENERAL_PROTECTION = 13
LONGEST_INSTRUCTION, NO_OPERATION = 15, b"\x90"
MOST_HOOKS = 128
FIRST_LOOK_BYTES = 256


class RaiseCell(ctypes.Structure):
    """What the second hook is told: the exception, 0 for none, and whom to call with it."""

    _fields_ = (
        ("vector", ctypes.c_uint64),  # 00h
        ("error_code", ctypes.c_uint64),  # 08h
        ("head", ctypes.c_uint64),  # 10h: the CpuHead, which is QEMU's CPUX86State
        ("function", ctypes.c_uint64),  # 18h: raise_exception_err
    )
    vector: int
    error_code: int
    head: int
    function: int


# System V: rdi = engine, rsi = address, edx = size, rcx = the cell.
ASSEMBLY = """
    mov rsi, qword ptr [rcx]
    test rsi, rsi
    je out
    mov qword ptr [rcx], 0
    mov rdx, qword ptr [rcx + 8]
    mov rdi, qword ptr [rcx + 0x10]
    jmp qword ptr [rcx + 0x18]
out:
    ret
"""
MACHINE_CODE = bytes.fromhex("488b314885f6741248c70100000000488b5108488b7910ff6118c3")


class PortRights:
    """The port instructions of one engine that are looked up; `read` returns code, or less than asked for."""

    def __init__(
        self,
        processor: Processor,
        uc: library.Uc,
        read: Callable[[int, int], bytes],
        fail: Callable[[BaseException], None],
        *,
        native: bool,
    ) -> None:
        self._processor, self._uc, self._read, self._fail = processor, uc, read, fail
        self._head: CpuHead = processor.cpu.head
        self._hooks: dict[int, tuple[int, int]] = {}  # of each place its two
        function = uc.library.address("raise_exception_err_x86_64")
        self._cell = RaiseCell(0, 0, ctypes.addressof(self._head), function)
        self._active = native and bool(function)
        self._callbacks: tuple[Any, ...] = ()
        self._decoders: dict[int, Any] = {}

    @property
    def needs_map(self) -> bool:
        """True where the processor stands at a level that may use only the ports of the bit map."""
        head = self._head
        level_too_low = (head.hflags & HF_CPL) > (head.eflags & IOPL_MASK) >> _IOPL_SHIFT
        return bool(head.hflags & HF_PE) and bool(level_too_low or head.eflags & VM)

    # -- when code is translated ------------------------------------------------------------------------------------
    def guard(self, address: int, size: int) -> bool:
        """Hook the port instructions of a block, and tell whether any was new: then it must be translated again."""
        if not self._active or not self.needs_map:
            return False
        code = self._read(address, size)
        places = self._port_instructions(address, code) if _PORT_OPCODE.search(code) else set()
        old = {one for one in self._hooks if address <= one < address + size} - places
        new = places.difference(self._hooks)
        for place in old:
            self._unhook(place)
        for place in new:
            self._hook(place)
        return bool(new or old)

    def guard_unseen(self, address: int) -> None:
        """Hook what may be a port instruction behind `address`: of an engine's first block Unicorn tells nobody."""
        self.guard(address, FIRST_LOOK_BYTES)

    def _port_instructions(self, address: int, code: bytes) -> set[int]:
        decoder = self._decoder(self._processor.cpu.code_bits)
        return {at for at, _, mnemonic, _ in decoder.disasm_lite(code, address) if mnemonic.split()[-1] in _MNEMONICS}

    def _decoder(self, bits: int) -> Any:
        if bits not in self._decoders:
            import capstone  # slow to import, and only guests with unprivileged code need it

            mode = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}[bits]
            self._decoders[bits] = capstone.Cs(capstone.CS_ARCH_X86, mode)
            self._decoders[bits].skipdata = True
        return self._decoders[bits]

    def _hook(self, place: int) -> None:
        if not self._callbacks:
            self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            self._page[: len(MACHINE_CODE)] = MACHINE_CODE
            raises = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._page)))
            self._callbacks = library.BLOCK_CALLBACK(self._on_port_instruction), raises
        if len(self._hooks) >= MOST_HOOKS:
            self._unhook(next(iter(self._hooks)))  # its block is looked at again when it is translated again
        first, second = (
            self._uc.hook(library.HOOK_CODE, callback, begin=place, end=place, data=self._cell)
            for callback in self._callbacks
        )
        self._hooks[place] = first, second

    def _unhook(self, place: int) -> None:
        for handle in self._hooks.pop(place):
            self._uc.unhook(handle)

    # -- when it is executed ----------------------------------------------------------------------------------------
    def _on_port_instruction(self, uc: int, address: int, size: int, data: int) -> None:
        """Let the second hook raise an exception when the port is refused. Unicorn has set RIP to `address`."""
        try:
            head = self._head
            if not head.hflags & HF_CS64:
                head.eip = address - head.segs[CS].base & 0xFFFF_FFFF
            if self.needs_map:
                self._look_up(self._read(address, min(size, LONGEST_INSTRUCTION)) + NO_OPERATION)
        except BaseException as error:
            self._fail(error)

    def _look_up(self, code: bytes) -> None:
        cell = self._cell
        try:
            if not self._may_use(*self._port_and_size(code)):
                cell.vector, cell.error_code = _GENERAL_PROTECTION, 0
        except Fault as fault:
            if isinstance(fault, PageFault):
                self._head.cr[2] = fault.linear
            cell.vector, cell.error_code = fault.vector, fault.error_code or 0

    def _port_and_size(self, code: bytes) -> tuple[int, int]:
        """Return which port an instruction names, and how many bytes it moves.

        Code whose page the guest has taken away since, and still executes out of its TLB, reads as no operation.
        """
        bits = self._processor.cpu.code_bits
        at = 0
        while code[at] in _PREFIXES or (bits == 64 and code[at] & 0xF0 == 0x40):
            at += 1
        opcode = code[at]
        wide = 4 if (bits == 16) == (0x66 in code[:at]) else 2
        port = code[at + 1] if opcode in _IMMEDIATE and at + 1 < len(code) else int(self._head.regs[RDX]) & 0xFFFF
        return port, wide if opcode & 1 else 1

    def _may_use(self, port: int, size: int) -> bool:
        """Look the port up in the bit map. The processor reads two bytes of it, which must both be in the TSS."""
        task = self._head.tr
        if task.flags >> 8 & 0xF not in _TSS_32 or task.limit < _MAP_BASE + 1:
            return False
        offset = read_linear(self._processor, task.base + _MAP_BASE, 2) + (port >> 3)
        if offset + 1 > task.limit:
            return False
        bits = read_linear(self._processor, task.base + offset, 2) >> (port & 7)
        return not bits & (1 << size) - 1
