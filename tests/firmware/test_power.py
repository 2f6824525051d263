"""INT 15h AH=53h: power management as small systems use it."""

import pytest

import minivm
from minivm.debug.code import assemble

SWITCH_OFF = """
    mov ax, 5301h
    xor bx, bx
    int 15h
    jc $
    mov ax, 530Eh
    xor bx, bx
    mov cx, 0102h
    int 15h
    jc $
    mov ax, 5307h
    mov bx, 1
    mov cx, 3
    int 15h
    jmp $
"""


def test_a_program_switches_the_machine_off():
    with minivm.boot(assemble("org 7C00h\nbits 16\n" + SWITCH_OFF).code.ljust(510, b"\0") + b"\x55\xaa") as vm:
        assert vm.run(ms=1000).reason == "powered-off"


def test_the_bios_says_that_it_can_manage_power(pc):
    pc.interrupt(0x15, ax=0x5300, bx=0)
    assert (pc.cpu.ax, pc.cpu.bx, pc.cpu.cx, pc.carry) == (0x0102, 0x504D, 0, False)


@pytest.mark.parametrize(
    ("ax", "bx", "cx", "error"),
    [
        (0x5300, 1, 0, 0x09),
        (0x5302, 0, 0, 0x06),
        (0x5303, 0, 0, 0x08),
        (0x5307, 2, 3, 0x09),
        (0x5307, 1, 9, 0x0A),
        (0x530A, 0, 0, 0x09),
        (0x530B, 0, 0, 0x80),
        (0x5377, 0, 0, 0x86),
    ],
)
def test_an_error_is_carry_and_its_number(pc, ax, bx, cx, error):
    pc.interrupt(0x15, ax=ax, bx=bx, cx=cx)
    assert (pc.cpu.ah, pc.carry) == (error, True)


def test_the_lower_version_is_agreed_on(pc):
    pc.interrupt(0x15, ax=0x530E, bx=0, cx=0x0101)
    assert (pc.cpu.ax, pc.carry) == (0x0101, False)


def test_the_machine_runs_on_the_mains(pc):
    pc.interrupt(0x15, ax=0x530A, bx=1)
    assert (pc.cpu.bh, pc.cpu.ch, pc.carry) == (1, 0x80, False)
