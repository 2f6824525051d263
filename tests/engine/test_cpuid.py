"""What CPUID promises is there."""

import pytest

import minivm
from minivm.debug.code import assemble

PHYSICAL_BASE = 0x200
"""IA32_MTRR_PHYSBASE0 (SDM vol. 4)."""
MTRR_REGISTERS = f"""
 bits 16
 org 0x7C00
 mov eax, 1
 cpuid
 mov edi, edx
 mov ecx, 0xFE
 rdmsr
 mov esi, eax
 mov ecx, {PHYSICAL_BASE}
 mov eax, 0xE0000000
 mov edx, 1
 wrmsr
 xor eax, eax
 xor edx, edx
 rdmsr
 cli
 hlt
 times 510 - ($ - $$) db 0
 dw 0xAA55
"""


@pytest.fixture
def vm():
    """A machine that has asked for the memory type range registers and set one."""
    with minivm.boot(assemble(MTRR_REGISTERS).code, memory="16M") as machine:
        assert machine.run(ms=500).reason == "halted"
        yield machine


def test_there_are_eight_memory_type_ranges_and_fixed_ones(vm):
    assert vm.cpu.rdi >> 12 & 1
    assert vm.cpu.rsi == 0x508


def test_a_memory_type_range_is_kept_also_in_a_clone(vm):
    assert (vm.cpu.rdx, vm.cpu.rax) == (1, 0xE0000000)
    with vm.clone() as other:
        assert dict(other.state().cpu.msrs)[PHYSICAL_BASE] == 0x1_E000_0000
