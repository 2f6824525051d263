"""The CPU's state at entry, and that Unicorn really starts from it."""

import ctypes

import pytest

from minivm.config import MachineConfig
from minivm.core.memory import Memory
from minivm.engine.cpustate import HF_INHIBIT_IRQ, CpuHead, Registers
from minivm.loaders import Entry, prepare
from minivm.loaders.entry import enter

HEAD_OFFSET = 40
"""Where QEMU's state begins in Unicorn's context (engine-facts.md)."""


class Processor:
    """The registers alone."""

    def __init__(self, head: CpuHead | None = None) -> None:
        self.cpu = Registers(head or CpuHead())
        self.efer = 0
        self.a20 = False

    def set_a20(self, enabled: bool) -> None:
        self.a20 = enabled


@pytest.fixture
def dirty():
    """A processor with every bit of its registers set, as another program may leave it."""
    head = CpuHead()
    ctypes.memset(ctypes.byref(head), 0xFF, ctypes.sizeof(head))
    return Processor(head)


def test_real_mode_is_a_segment_and_an_offset(dirty):
    enter(dirty, Entry("real", 5, (("esp", 0x1000), ("edx", 0x80)), cs=0x1234, ds=0x1000, ss=0x8000, interrupts=True))
    cpu = dirty.cpu
    assert cpu.mode == "real"
    assert (cpu.cs, cpu.cs_base, cpu.ip, cpu.linear_ip) == (0x1234, 0x12340, 5, 0x12345)
    assert (cpu.ds, cpu.es, cpu.ss, cpu.fs) == (0x1000, 0x1000, 0x8000, 0)
    assert (cpu.ss_base, cpu.ss_limit, cpu.sp, cpu.dl, cpu.rax) == (0x80000, 0xFFFF, 0x1000, 0x80, 0)
    assert (cpu.rflags, cpu.cr0, cpu.idt_base, cpu.idt_limit, dirty.efer) == (0x202, 0x10, 0, 0x3FF, 0)


def test_protected_mode_is_flat_with_paging_and_interrupts_off(dirty):
    enter(dirty, Entry("protected", 0x100000, (("eax", 0x2BADB002),), gdt_base=0x9E000, gdt_limit=23))
    cpu = dirty.cpu
    assert (cpu.mode, cpu.cpl, cpu.rflags, cpu.cr0, cpu.cr4) == ("32", 0, 2, 0x11, 0)
    assert (cpu.rip, cpu.rax, cpu.rbx) == (0x100000, 0x2BADB002, 0)
    assert (cpu.gdt_base, cpu.gdt_limit, cpu.idt_limit) == (0x9E000, 23, 0)
    for name in ("cs", "ds", "es", "fs", "gs", "ss"):
        assert (getattr(cpu, f"{name}_base"), getattr(cpu, f"{name}_limit")) == (0, 0xFFFFFFFF)
        assert getattr(cpu, name) == (8 if name == "cs" else 16)
    assert dirty.a20
    assert not cpu.head.hflags & HF_INHIBIT_IRQ


def test_long_mode_has_paging_on(dirty):
    enter(dirty, Entry("long", 0x100000, (("rsp", 0x98000),), gdt_base=0x9E000, gdt_limit=23, cr3=0x98000))
    cpu = dirty.cpu
    assert (cpu.mode, cpu.cr0, cpu.cr3, cpu.cr4, dirty.efer) == ("64", 0x80000011, 0x98000, 0x20, 0x500)
    assert (cpu.rip, cpu.rsp, cpu.cpl) == (0x100000, 0x98000, 0)


def test_a_name_that_is_no_register_is_an_error():
    with pytest.raises(AttributeError):
        _ = Processor().cpu.nothing


@pytest.fixture
def run():
    """Run a plan on a bare Unicorn until HLT; return its RAM and its registers."""
    unicorn = pytest.importorskip("unicorn")
    from unicorn import x86_const

    memories = []

    def execute(plan):
        memory = Memory(4 << 20)
        memories.append(memory)
        plan.load(memory)
        engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        engine.mem_map(0, memory.size)
        engine.mem_write(0, bytes(memory.view))
        context = engine.context_save()
        head = CpuHead.from_address(context.context.value + HEAD_OFFSET)
        processor = Processor(head)
        enter(processor, plan.entry)
        # Writing the MSR sets LME; the engine takes the active mode from hflags, which the context holds.
        engine.msr_write(0xC0000080, processor.efer)
        engine.context_restore(context)
        engine.emu_start(processor.cpu.rip, 0xFFFFF, count=20)
        return engine, lambda name: engine.reg_read(getattr(x86_const, f"UC_X86_REG_{name.upper()}"))

    yield execute
    for memory in memories:
        memory.close()


def test_a_flat_binary_runs_in_real_mode(run):
    # mov ax, cs; push ax; mov [0x500], sp; hlt
    code = bytes.fromhex("8cc8 50 89260005 f4".replace(" ", ""))
    plan = prepare(MachineConfig(boot="flat", origin="0x12340", memory="4M"), data=code)
    engine, register = run(plan)
    assert register("rax") & 0xFFFF == 0x1234
    assert engine.mem_read(0x12340 + 0x500, 2) == (0x7BFE).to_bytes(2, "little")


def test_an_elf32_kernel_runs_in_flat_mode_and_may_reload_its_segments(run, elf):
    # mov ax, 10h; mov ds, ax; push 12345678h; pop dword [300000h]; jmp 08h:next; next: hlt
    code = bytes.fromhex("66b81000 8ed8 6878563412 8f0500003000 ea180010000800 f4".replace(" ", ""))
    plan = prepare(MachineConfig(memory="4M"), data=elf(((0x100000, 0x100000, code, 64),)))
    engine, register = run(plan)
    assert engine.mem_read(0x300000, 4) == (0x12345678).to_bytes(4, "little")
    assert register("rip") == 0x100019


def test_an_elf64_kernel_runs_in_long_mode(run, elf):
    # mov rax, 1122334455667788h; push rax; pop [200000h]; hlt
    code = bytes.fromhex("48b88877665544332211 50 8f042500002000 f4".replace(" ", ""))
    plan = prepare(MachineConfig(memory="4M"), data=elf(((0x100000, 0x100000, code, 64),), bits=64))
    engine, register = run(plan)
    assert engine.mem_read(0x200000, 8) == (0x1122334455667788).to_bytes(8, "little")
    assert register("rsp") == 0x98000
