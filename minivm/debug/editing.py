"""Changing a machine from outside: registers and memory, as inputs that a replay does again."""

from contextlib import suppress
from typing import Any

from minivm.debug.entries import DebugError
from minivm.debug.expressions import REGISTERS
from minivm.debug.expressions_context import COUNTERS
from minivm.debug.inspect_paging import peek, physical_of
from minivm.debug.raw_registers import RAW_REGISTERS
from minivm.engine.cpustate import CS, SEGMENT_NAMES, SS
from minivm.engine.segments import Descriptor, descriptor_address, fill_cache, load_cache, load_vm86, update_hflags
from minivm.inputs import APPLY, MemoryEdit, RegisterEdit
from minivm.machine import Machine

_PAGE = 0x1000
_PRESENT, _SEGMENT = 0x8000, 0x1000  # in a descriptor's high word
_FLAG_BITS = {"cf": 0, "pf": 2, "af": 4, "zf": 6, "sf": 7, "tf": 8, "if": 9, "df": 10, "of": 11, "nt": 14, "rf": 16,
              "vm": 17, "ac": 18, "vif": 19, "vip": 20, "id": 21}  # fmt: skip
_FLAG_PLACES = {name: (1 << bit, bit) for name, bit in _FLAG_BITS.items()} | {
    "rflags": (-1, 0), "eflags": (0xFFFF_FFFF, 0), "flags": (0xFFFF, 0), "iopl": (0x3000, 12),
}  # fmt: skip


def physical_address(engine: Any, linear: int) -> int:
    """Return where a linear address lies in memory; raises `DebugError` when no page is there."""
    physical = physical_of(engine, linear)
    if physical is None:
        raise DebugError(f"{linear:X}h is not mapped")
    return physical


class Editor:
    """Sets registers and memory of one machine. `writing` is true while it puts bytes into memory."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.engine: Any = machine.engine
        self.writing = False

    def write(self, linear: int, data: bytes) -> None:
        """Put bytes at a linear address, page protection or not; raises `DebugError` where no memory is."""
        pieces: list[tuple[int, bytes]] = []
        at = 0
        while at < len(data):
            piece = data[at : at + _PAGE - (linear + at) % _PAGE]
            physical = physical_address(self.engine, linear + at)
            if self.machine.space.region_at(physical, len(piece)) is None:
                raise DebugError(f"{linear + at:X}h is not in memory")
            pieces.append((physical, piece))
            at += len(piece)
        for physical, piece in pieces:
            self._put(physical, piece)

    def _put(self, physical: int, data: bytes) -> None:
        def write() -> None:
            self.writing = True
            self.machine.space.edit(physical, data)
            self.writing = False

        self.machine.from_outside("memory", MemoryEdit(physical, data), write, settle=False)

    def set_register(self, name: str, value: int) -> None:
        """Set a register by name; control registers, flags, and those of the FPU and SSE included."""
        lower = name.lower()
        if lower not in ("efer", *RAW_REGISTERS) and (lower not in REGISTERS or lower in COUNTERS):
            raise DebugError(f"the CPU has no register {name!r}")
        edit = RegisterEdit(lower, value)
        self.machine.from_outside("register", edit, lambda: self._set_now(lower, value), settle=False)

    def _set_now(self, lower: str, value: int) -> None:
        self.engine.settle()
        self._set(lower, value)
        self.engine.flush()

    def _set(self, name: str, value: int) -> None:
        cpu = self.machine.cpu
        if name in ("cr0", "cr3", "cr4"):
            self.engine.set_control(int(name[2]), value)
        elif name in RAW_REGISTERS:
            number, size = RAW_REGISTERS[name]
            self.engine.set_raw_register(number, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        elif name == "efer":
            self.engine.efer = value
        elif name in SEGMENT_NAMES:
            self._load_segment(SEGMENT_NAMES.index(name), value & 0xFFFF)
        elif name in _FLAG_PLACES:
            mask, shift = _FLAG_PLACES[name]
            cpu.rflags = (cpu.rflags & ~mask) | (value << shift & mask)
        elif name in ("ldtr", "tr"):
            raise DebugError(f"{name} is loaded by LLDT and LTR; give the CPU one of those to execute")
        else:
            setattr(cpu, name, value)

    def _load_segment(self, index: int, selector: int) -> None:
        """Load a segment register with its hidden part as the CPU does in this mode, the rights unchecked."""
        cpu, name = self.machine.cpu, SEGMENT_NAMES[index].upper()
        cache = cpu.head.segs[index]
        if cpu.mode == "real":
            cache.selector, cache.base = selector, selector << 4
        elif cpu.mode == "vm86":
            load_vm86(cpu.head, index, selector)
        elif not selector & 0xFFFC and index != CS and (index != SS or cpu.code_bits == 64):
            fill_cache(cache, selector, 0, 0, cache.flags & ~_PRESENT if index != SS else cache.flags)
        else:
            load_cache(cache, selector, self._descriptor(index, selector, name))
        update_hflags(cpu.head)

    def _descriptor(self, index: int, selector: int, name: str) -> Descriptor:
        address = descriptor_address(self.machine.cpu.head, selector)
        raw = b"" if address is None or not selector & 0xFFFC else peek(self.engine, address, 8)
        found = Descriptor(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
        fits = found.is_code if index == CS else found.high & _SEGMENT and (index != SS or found.is_writable_data)
        if not found.present or not fits:
            raise DebugError(f"{name} cannot be {selector:04X}h: there is no such segment in the descriptor tables")
        return found


def _set_again(machine: Machine, edit: RegisterEdit) -> None:
    """Set a register in a replay as it was set in the run; what was refused then is refused again."""
    with suppress(DebugError):
        Editor(machine).set_register(edit.name, edit.value)


APPLY["register"] = _set_again
