"""A processor without an engine: registers and memory, with the tables of a small protected-mode kernel."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from minivm.core.bus import Bus
from minivm.core.memory import AddressSpace, Memory, Region
from minivm.engine.cpustate import (
    CR0_PE,
    CR0_PG,
    CR4_PAE,
    CR4_PSE,
    CS,
    DS,
    EFER_LMA,
    EFER_LME,
    EFER_NXE,
    EFER_SCE,
    ES,
    FS,
    GS,
    HF_LMA,
    HF_PE,
    RSP,
    SS,
    VM,
    CpuHead,
    Registers,
)
from minivm.engine.segments import fill_cache, load_vm86, read_descriptor, update_hflags


def _import(name: str) -> None:
    """Let the tests of this folder say `from engine_bench import Bench`."""
    spec = spec_from_file_location(f"engine_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    sys.modules[f"engine_{name}"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


_import("bench")
_import("programs")

RAM_BYTES = 1 << 20
GDT, LDT, IDT = 0x1000, 0x1800, 0x2000
TSS_32, TSS_16, TSS_64, NEW_TSS_32, NEW_TSS_16 = 0x4000, 0x4400, 0x4800, 0x5000, 0x5400
TABLES, CODE, USER_STACK, KERNEL_STACK, INTERRUPT_STACK, TASK_STACK = (
    0x10000, 0x1_8000, 0x20000, 0x28000, 0x30000, 0x38000,
)  # fmt: skip

# selector -> base, limit, the descriptor's high word without base and limit; the names say what each is for
CODE_0, DATA_0, CODE16_0, DATA16_0, CODE_3, DATA_3, CODE16_3, DATA16_3 = 0x08, 0x10, 0x18, 0x20, 0x2B, 0x33, 0x3B, 0x43
CONFORMING, CODE_1, DATA_1, CODE64_0, CODE64_3, CONFORMING64 = 0x48, 0x50, 0x58, 0x60, 0x6B, 0x70
ABSENT_CODE, ABSENT_DATA, TASK_32, TASK_16, NEW_32, NEW_16, LOCAL, TASK_64 = (
    0x78, 0x80, 0x88, 0x90, 0x98, 0xA0, 0xA8, 0xB0,
)  # fmt: skip
SHORT_CODE, SHORT_STACK, FRESH_CODE, FRESH_DATA, DOWN_STACK = 0xC0, 0xC8, 0xD0, 0xD8, 0xE0
_4G, _64K = 0xFFFF_FFFF, 0xFFFF
DESCRIPTORS = {
    CODE_0: (0, _4G, 0xC0_9B00), DATA_0: (0, _4G, 0xC0_9300),
    CODE16_0: (0x1_0000, _64K, 0x00_9B00), DATA16_0: (0, _64K, 0x00_9300),
    CODE_3: (0, _4G, 0xC0_FB00), DATA_3: (0, _4G, 0xC0_F300),
    CODE16_3: (0x1_0000, _64K, 0x00_FB00), DATA16_3: (0x1_0000, _64K, 0x00_F300),
    CONFORMING: (0, _4G, 0xC0_9F00), CODE_1: (0, _4G, 0xC0_BB00), DATA_1: (0, _4G, 0xC0_B300),
    CODE64_0: (0, _4G, 0xA0_9B00), CODE64_3: (0, _4G, 0xA0_FB00), CONFORMING64: (0, _4G, 0xA0_9F00),
    ABSENT_CODE: (0, _4G, 0xC0_1B00), ABSENT_DATA: (0, _4G, 0xC0_1300),
    TASK_32: (TSS_32, 0x67, 0x8B00), TASK_16: (TSS_16, 0x2B, 0x8300),
    NEW_32: (NEW_TSS_32, 0x67, 0x8900), NEW_16: (NEW_TSS_16, 0x2B, 0x8100),
    LOCAL: (LDT, 0xFF, 0x8200), TASK_64: (TSS_64, 0x67, 0x8B00),
    SHORT_CODE: (0, 0xFFF, 0x40_9B00), SHORT_STACK: (0, 0xFFF, 0x40_9300),
    FRESH_CODE: (0, _4G, 0xC0_9A00), FRESH_DATA: (0, _4G, 0xC0_9200),
    DOWN_STACK: (0, 0x2_7FFF, 0x40_9700),
}  # fmt: skip


class World:
    """A `Processor` on 1 MiB of RAM, with every table filled; `enter` puts the CPU into a mode."""

    def __init__(self) -> None:
        self.memory = Memory(RAM_BYTES)
        self.space = AddressSpace(self.memory, Bus("memory", 1 << 32), [Region(0, RAM_BYTES, True)])
        self.cpu = Registers(CpuHead())
        self.efer = 0
        self.msrs: dict[int, int] = {}
        self.wide_gates = False
        self.cpu.rflags = 0x2
        for selector, (base, limit, high) in DESCRIPTORS.items():
            self.descriptor(selector, base, limit, high)
        self._fill_task_segments()

    def __getitem__(self, name: str) -> int:
        """Return a selector or an address of this file by its name: `world["CODE_0"]`."""
        return globals()[name]

    def msr(self, index: int) -> int:
        return self.msrs.get(index, 0)

    def load_cr3(self, value: int) -> None:
        self.cpu.head.cr[3] = value

    # -- tables
    def put(self, address: int, size: int, value: int) -> None:
        self.memory[address : address + size] = value.to_bytes(size, "little")

    def get(self, address: int, size: int) -> int:
        return int.from_bytes(self.memory[address : address + size], "little")

    def descriptor(self, selector: int, base: int, limit: int, high: int) -> None:
        """Write a GDT entry; `limit` in bytes, cut into pages where it needs it."""
        if limit > 0xF_FFFF:
            limit, high = limit >> 12, high | 0x80_0000
        high |= (limit & 0xF_0000) | (base >> 16 & 0xFF) | (base & 0xFF00_0000)
        self.put(GDT + (selector & ~7), 8, (limit & 0xFFFF) | (base & 0xFFFF) << 16 | high << 32)

    def gate(self, vector: int, kind: int, selector: int, offset: int, dpl: int = 0, absent: int = 0, ist: int = 0):
        """Write an IDT entry, 8 bytes or in long mode 16."""
        high = (offset & 0xFFFF_0000) | (0 if absent else 0x8000) | dpl << 13 | kind << 8 | ist
        entry = (offset & 0xFFFF) | (selector & 0xFFFF) << 16 | high << 32 | (offset >> 32) << 64
        size = 16 if self.wide_gates else 8
        self.put(IDT + vector * size, size, entry & ((1 << 8 * size) - 1))

    def _fill_task_segments(self) -> None:
        for level in range(3):
            self.put(TSS_32 + 4 + 8 * level, 4, KERNEL_STACK + 0x1000 * level)
            self.put(TSS_16 + 2 + 4 * level, 2, 0x8000 + 0x1000 * level)
            self.put(TSS_64 + 4 + 8 * level, 8, KERNEL_STACK + 0x1008 * level)
        self.inner_stack(0, DATA_0, DATA16_0)
        self.inner_stack(1, DATA_1 | 1, DATA_1 | 1)
        for index in range(1, 8):
            self.put(TSS_64 + 0x1C + 8 * index, 8, INTERRUPT_STACK + 0x100 * index + 4)
        self._fill_new_tasks()

    def inner_stack(self, level: int, selector_32: int, selector_16: int) -> None:
        self.put(TSS_32 + 8 + 8 * level, 2, selector_32)
        self.put(TSS_16 + 4 + 4 * level, 2, selector_16)

    def _fill_new_tasks(self) -> None:
        registers = [0x1111_0000 * index + 0x10 + index for index in range(1, 9)]
        registers[RSP] = TASK_STACK
        for index, word in enumerate([CODE + 0x100, 0x202, *registers]):
            self.put(NEW_TSS_32 + 0x20 + 4 * index, 4, word)
        for index, word in enumerate([0x7000, 0x202, *registers]):
            self.put(NEW_TSS_16 + 0x0E + 2 * index, 2, word & 0xFFFF)
        for index, word in enumerate([DATA_0, CODE_0, DATA_0, DATA_3, 0, 0]):
            self.put(NEW_TSS_32 + 0x48 + 4 * index, 2, word)
        for index, word in enumerate([DATA_0, CODE16_0, DATA16_0, DATA_3]):
            self.put(NEW_TSS_16 + 0x22 + 2 * index, 2, word)
        self.put(NEW_TSS_32 + 0x60, 2, LOCAL)
        self.put(NEW_TSS_32 + 0x1C, 4, TABLES)

    # -- modes
    def enter(self, mode: str, level: int = 0, *, tss: str = "32", paging: str = "") -> "World":
        """Put the CPU into `mode` ("real", "16", "32", "vm86", "compat", "64"), at `level`."""
        head = self.cpu.head
        head.a20_mask = -1
        head.eip = CODE & 0xFFFF if mode in ("real", "vm86", "16") else CODE
        for index in range(16):
            head.regs[index] = 0x0101_0101 * index
        fill_cache(head.gdt, 0, GDT, 0x3FF, 0)
        fill_cache(head.idt, 0, IDT, 0xFFF if mode in ("64", "compat") else 0x7FF, 0)
        if mode == "real":
            return self._enter_real()
        head.cr[0] |= CR0_PE
        head.hflags |= HF_PE
        if mode in ("64", "compat"):
            self._enter_long()
            tss = "64"
        elif paging:
            self._page(paging)
        self._load(head.tr, {"32": TASK_32, "16": TASK_16, "64": TASK_64}[tss])
        head.tr.flags &= ~0x200  # the engine keeps the busy bit in memory alone
        self._load_segments(mode, level)
        return self

    def _enter_real(self) -> "World":
        head = self.cpu.head
        fill_cache(head.idt, 0, 0, 0x3FF, 0)
        for index, base in ((CS, 0x10000), (SS, 0x20000), (DS, 0), (ES, 0), (FS, 0), (GS, 0)):
            fill_cache(head.segs[index], base >> 4, base, 0xFFFF, 0x9B00 if index == CS else 0x9300)
        head.regs[RSP] = 0xABCD_8000
        update_hflags(head)
        return self

    def _enter_long(self) -> None:
        self.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE
        self.cpu.head.hflags |= HF_LMA
        self.wide_gates = True
        self._page("long")

    def _page(self, kind: str) -> None:
        """Map the first 2 MiB one to one, for everyone, accessed and dirty: "32", "pae" or "long"."""
        head = self.cpu.head
        head.cr[0] |= CR0_PG
        head.cr[3] = TABLES
        head.cr[4] |= CR4_PSE if kind == "32" else CR4_PAE
        levels = {"32": 2, "pae": 3, "long": 4}[kind]
        size = 4 if kind == "32" else 8
        for depth in range(levels - 1):
            rights = 0x1 if kind == "pae" and depth == 0 else 0x27
            self.put(TABLES + 0x1000 * depth, size, TABLES + 0x1000 * (depth + 1) | rights)
        last = TABLES + 0x1000 * (levels - 1)
        for page in range(256):
            self.put(last + size * page, size, page << 12 | 0x67)

    def page_entry(self, linear: int) -> int:
        """Return where the last-level entry of `linear` lies."""
        head = self.cpu.head
        if not head.cr[4] & CR4_PAE:
            return TABLES + 0x1000 + 4 * (linear >> 12)
        return TABLES + (0x3000 if head.hflags & HF_LMA else 0x2000) + 8 * (linear >> 12)

    def _load(self, cache, selector: int) -> None:
        found = read_descriptor(self, selector)
        assert found is not None
        fill_cache(cache, selector, found.base, found.limit, found.high)

    def _load_segments(self, mode: str, level: int) -> None:
        head = self.cpu.head
        if mode == "vm86":
            self.cpu.rflags |= VM
            for index, selector in enumerate((0x1111, 0x1000, 0x2000, 0x3333, 0x4444, 0x5555)):
                load_vm86(head, index, selector)
            head.regs[RSP] = 0x8000
        else:
            code = {("16", 0): CODE16_0, ("16", 3): CODE16_3, ("64", 0): CODE64_0, ("64", 3): CODE64_3}
            wide = {0: (CODE_0, DATA_0), 1: (CODE_1 | 1, DATA_1 | 1), 3: (CODE_3, DATA_3)}[level]
            data = {("16", 0): DATA16_0, ("16", 3): DATA16_3}.get((mode, level), wide[1])
            self._load(head.segs[CS], code.get((mode, level), wide[0]))
            for index in (ES, SS, DS, FS, GS):
                self._load(head.segs[index], data)
            head.regs[RSP] = 0x8000 if mode == "16" else USER_STACK + 0x800
        update_hflags(head)


@pytest.fixture
def world() -> World:
    return World()
