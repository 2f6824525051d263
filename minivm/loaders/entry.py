"""The CPU's state at a guest's first instruction when no BIOS leads there.

The processor's mode is spread over CR0, CR4, EFER, the hidden parts of the segment registers and QEMU's hflags; here
they are set together, so that they agree.
"""

from typing import Protocol

from minivm.engine.cpustate import (
    CR0_ET,
    CR0_PE,
    CR0_PG,
    CR4_PAE,
    CS,
    DS,
    EFER_LMA,
    EFER_LME,
    ES,
    FS,
    GS,
    HF_INHIBIT_IRQ,
    HF_LMA,
    HF_PE,
    IF,
    SS,
    CpuHead,
    Registers,
    SegmentCache,
)
from minivm.engine.segments import update_hflags
from minivm.loaders.layout import CODE_SELECTOR, DATA_SELECTOR
from minivm.loaders.plan import Entry

_FOUR_GIB = 0xFFFF_FFFF
_REAL_CODE, _REAL_DATA = 0x9B00, 0x9300  # as after RESET (SDM vol. 3, table 9-1)
_CODE_32, _CODE_64, _DATA_32 = 0x00CF_9B00, 0x00AF_9B00, 0x00CF_9300
_HF_FPU = 0xE00  # QEMU's copies of CR0.MP, EM and TS, which all start clear
_MODE_FLAGS = {"real": 0, "protected": HF_PE, "long": HF_PE | HF_LMA}
_CR0 = {"real": CR0_ET, "protected": CR0_ET | CR0_PE, "long": CR0_ET | CR0_PE | CR0_PG}


class Processor(Protocol):
    """What `enter` needs of an engine."""

    cpu: Registers
    efer: int

    def set_a20(self, enabled: bool) -> None:
        """Open or close address line 20."""


def enter(processor: Processor, entry: Entry) -> None:
    """Put the processor where `entry` says: mode, segments, tables, registers; all not named become 0.

    Address line 20 is opened for protected and long mode, as Multiboot demands (section 3.2).
    """
    head = processor.cpu.head
    _set_mode(processor, entry)
    for index in range(16):
        head.regs[index] = 0
    for name, value in entry.registers:
        setattr(processor.cpu, name, value)
    head.eip = entry.ip
    processor.cpu.rflags = 0x2 | (IF if entry.interrupts else 0)
    if entry.mode == "real":
        _set_real_segments(head, entry)
    else:
        _set_flat_segments(head, entry)
        processor.set_a20(True)
    update_hflags(head)


def _set_mode(processor: Processor, entry: Entry) -> None:
    head = processor.cpu.head
    head.cr[0], head.cr[2], head.cr[3] = _CR0[entry.mode], 0, entry.cr3
    head.cr[4] = CR4_PAE if entry.mode == "long" else 0
    processor.efer = EFER_LME | EFER_LMA if entry.mode == "long" else 0
    head.hflags = head.hflags & ~(HF_PE | HF_LMA | HF_INHIBIT_IRQ | _HF_FPU) | _MODE_FLAGS[entry.mode]


def _set_real_segments(head: CpuHead, entry: Entry) -> None:
    for index in (ES, DS, FS, GS, SS):
        selector = {SS: entry.ss, DS: entry.ds, ES: entry.ds}.get(index, entry.fs)
        _set(head.segs[index], selector, selector << 4, 0xFFFF, _REAL_DATA)
    _set(head.segs[CS], entry.cs, entry.cs << 4, 0xFFFF, _REAL_CODE)
    _set(head.idt, 0, 0, 0x3FF, 0)


def _set_flat_segments(head: CpuHead, entry: Entry) -> None:
    for index in (ES, DS, FS, GS, SS):
        _set(head.segs[index], DATA_SELECTOR, 0, _FOUR_GIB, _DATA_32)
    _set(head.segs[CS], CODE_SELECTOR, 0, _FOUR_GIB, _CODE_64 if entry.mode == "long" else _CODE_32)
    _set(head.gdt, 0, entry.gdt_base, entry.gdt_limit, 0)
    _set(head.idt, 0, 0, 0, 0)  # an interrupt before the guest loads its own table ends in a triple fault


def _set(cache: SegmentCache, selector: int, base: int, limit: int, flags: int) -> None:
    cache.selector, cache.base, cache.limit, cache.flags = selector, base, limit, flags
