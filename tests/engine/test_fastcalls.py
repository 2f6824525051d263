"""SYSCALL and SYSENTER, checked against SDM vol. 2 and AMD APM vol. 3."""

import pytest

from minivm.engine.cpustate import CF, CS, DF, EFER_SCE, IF, IOPL_MASK, RCX, RF, RSP, SS, TF, ZF
from minivm.engine.delivery import Fault
from minivm.engine.fastcalls import (
    CSTAR,
    FMASK,
    LSTAR,
    STAR,
    SYSENTER_CS,
    SYSENTER_EIP,
    SYSENTER_ESP,
    syscall,
    sysenter,
)

KERNEL = 0xFFFF_8000_0000_1000


@pytest.fixture
def kernel(world):
    """A world whose MSRs name a kernel."""
    world.msrs = {
        STAR: 0x0013_0008_0000_5678, LSTAR: KERNEL, CSTAR: KERNEL + 0x100, FMASK: IF | TF | DF,
        SYSENTER_CS: 0x0B, SYSENTER_ESP: 0xFFFF_8000_0000_2000, SYSENTER_EIP: 0xFFFF_8000_0000_3000,
    }  # fmt: skip
    return world


def segment(world, index):
    cache = world.cpu.head.segs[index]
    return cache.selector, cache.base, cache.limit, cache.flags


@pytest.mark.parametrize(("mode", "entry"), [("64", KERNEL), ("compat", KERNEL + 0x100)])
def test_syscall_in_long_mode_saves_ip_and_flags_and_enters_64_bit_code(kernel, mode, entry):
    kernel.enter(mode, 3)
    kernel.cpu.rflags = IF | TF | DF | CF | ZF | RF | IOPL_MASK | 2
    stack = kernel.cpu.head.regs[RSP]
    syscall(kernel, 0x40_0002)
    head = kernel.cpu.head
    assert (head.eip, head.regs[RCX], head.regs[RSP]) == (entry, 0x40_0002, stack)
    assert head.regs[11] == IF | TF | DF | CF | ZF | IOPL_MASK | 2
    assert kernel.cpu.rflags == CF | ZF | IOPL_MASK | 2
    assert (kernel.cpu.mode, kernel.cpu.cpl) == ("64", 0)
    assert segment(kernel, CS) == (0x08, 0, 0xFFFF_FFFF, 0xA0_9B00)
    assert segment(kernel, SS) == (0x10, 0, 0xFFFF_FFFF, 0xC0_9300)


def test_syscall_in_legacy_mode_enters_at_star_and_clears_if(kernel):
    kernel.enter("32", 3)
    kernel.efer = EFER_SCE
    kernel.cpu.rflags |= IF | CF
    syscall(kernel, 0x40_0002)
    head = kernel.cpu.head
    assert (head.eip, head.regs[RCX], head.regs[11]) == (0x5678, 0x40_0002, 0x0101_0101 * 11)
    assert kernel.cpu.rflags == CF | 2
    assert (kernel.cpu.mode, kernel.cpu.cpl) == ("32", 0)
    assert segment(kernel, CS)[3] == 0xC0_9B00


def test_syscall_without_sce_is_an_invalid_opcode_and_changes_nothing(kernel):
    kernel.enter("64", 3)
    kernel.efer &= ~EFER_SCE
    before = bytes(kernel.cpu.head)
    with pytest.raises(Fault) as caught:
        syscall(kernel, 0x40_0002)
    assert (caught.value.vector, caught.value.error_code) == (6, None)
    assert bytes(kernel.cpu.head) == before


@pytest.mark.parametrize(
    ("mode", "high"), [("64", 0xFFFF_8000_0000_0000), ("compat", 0xFFFF_8000_0000_0000), ("32", 0)]
)
def test_sysenter_takes_everything_from_its_msrs(kernel, mode, high):
    kernel.enter(mode, 3)
    kernel.cpu.rflags |= IF | CF
    sysenter(kernel)
    head = kernel.cpu.head
    assert (head.regs[RSP], head.eip) == (high | 0x2000, high | 0x3000)
    assert kernel.cpu.rflags == CF | 2 and kernel.cpu.cpl == 0
    assert kernel.cpu.mode == ("64" if high else "32")
    assert (segment(kernel, CS)[0], segment(kernel, SS)[0]) == (0x08, 0x10)
    assert segment(kernel, CS)[3] == (0xA0_9B00 if high else 0xC0_9B00)


@pytest.mark.parametrize(("mode", "selector"), [("32", 0), ("32", 3), ("64", 0), ("real", 0x08)])
def test_sysenter_needs_protected_mode_and_a_code_segment(kernel, mode, selector):
    kernel.enter(mode, 0)
    kernel.msrs[SYSENTER_CS] = selector
    before = bytes(kernel.cpu.head)
    with pytest.raises(Fault) as caught:
        sysenter(kernel)
    assert (caught.value.vector, caught.value.error_code) == (13, 0)
    assert bytes(kernel.cpu.head) == before
