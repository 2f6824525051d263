"""The ROM's 32-bit code on the real engine: BIOS32 directory and PCI BIOS, called as an operating system does."""

import struct
import subprocess

import pytest

from minivm.config import MachineConfig
from minivm.pc import build

pytestmark = pytest.mark.nasm

# Finds "_32_", asks the directory for $PCI, then runs {body} with the PCI BIOS's far pointer at [pci]. Results go to
# 600h by `save`: EAX, EBX, ECX, EDX, ESI and the flags.
GUEST = """
org 7C00h
bits 16
        cli
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:start
bits 32
start:  mov ax, 10h
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, 7000h
        mov edi, 600h
        mov esi, 0E0000h
find:   add esi, 16
        cmp dword [esi], "_32_"
        jne find
        mov eax, [esi + 4]
        mov [pci], eax
        mov eax, "none"
        mov ebx, 0
        call far [pci]
        call save
        mov eax, "$PCI"
        mov ebx, 1
        call far [pci]
        call save
        mov eax, "$PCI"
        mov ebx, 0
        call far [pci]
        call save
        add ebx, edx
        mov [pci], ebx
        {body}
        cli
        hlt
save:   pushfd
        mov [edi], eax
        mov [edi + 4], ebx
        mov [edi + 8], ecx
        mov [edi + 12], edx
        mov [edi + 16], esi
        pop dword [edi + 20]
        add edi, 24
        ret
pci:    dd 0, 8
gdt:    dq 0, 00CF9A000000FFFFh, 00CF92000000FFFFh
gdt_pointer: dw 23
        dd gdt
        times 510 - ($ - $$) db 0
        dw 0AA55h
"""


class Result:
    """The registers after one call."""

    def __init__(self, data):
        self.eax, self.ebx, self.ecx, self.edx, self.esi, flags = struct.unpack("<6I", data)
        self.carry = bool(flags & 1)
        self.ah, self.al = self.eax >> 8 & 0xFF, self.eax & 0xFF


@pytest.fixture
def run(tmp_path):
    """Return a function that makes calls in 32-bit mode and gives what each left, after three of the directory."""

    def start(*calls):
        body = ""
        for registers in calls:
            keep = "push edi\n"
            sets = "".join(f"mov {name}, {value}\n" for name, value in registers.items())
            body += f"{keep}{sets}call far [pci]\npop edi\ncall save\n"
        (tmp_path / "guest.asm").write_text(GUEST.replace("{body}", body))
        subprocess.run(["nasm", "-f", "bin", "-o", tmp_path / "guest.img", tmp_path / "guest.asm"], check=True)
        vm = build(MachineConfig(guest="guest.img"), image=(tmp_path / "guest.img").read_bytes())
        try:
            assert vm.run(ms=1000).reason == "halted"
            return [Result(vm.memory[0x600 + 24 * n : 0x618 + 24 * n]) for n in range(3 + len(calls))]
        finally:
            vm.close()

    return start


def test_the_directory_knows_the_pci_bios_and_nothing_else(run):
    none, wrong, pci = run()
    assert none.al == 0x80
    assert wrong.al == 0x81
    assert (pci.al, pci.ebx, pci.ecx) == (0, 0xF0000, 0x10000)


def test_the_pci_bios_tells_its_version(run):
    there, unknown, wrong = run({"eax": 0xB101, "ecx": 0xFFFF}, {"eax": 0xB106}, {"eax": 0x1234})[3:]
    assert (there.carry, there.ah, there.al, there.ebx & 0xFFFF) == (False, 0, 1, 0x0210)
    assert (there.ecx, there.edx) == (0xFF00, 0x20494350)
    assert (unknown.carry, unknown.ah) == (True, 0x81)
    assert (wrong.carry, wrong.ah) == (True, 0x81)


def test_devices_and_classes_are_found(run):
    device, second, nobody, kind, no_kind = run(
        {"eax": 0xB102, "ecx": 0x7010, "edx": 0x8086, "esi": 0, "ebx": 0xAAAA0000},
        {"eax": 0xB102, "ecx": 0x7010, "edx": 0x8086, "esi": 1},
        {"eax": 0xB102, "ecx": 0x7010, "edx": 0xFFFF, "esi": 0},
        {"eax": 0xB103, "ecx": 0x030000, "esi": 0},
        {"eax": 0xB103, "ecx": 0x0C0300, "esi": 0},
    )[3:]
    assert (device.carry, device.ah, device.ebx, device.ecx, device.edx) == (False, 0, 0xAAAA0009, 0x7010, 0x8086)
    assert (second.carry, second.ah) == (True, 0x86)
    assert (nobody.carry, nobody.ah) == (True, 0x83)
    assert (kind.carry, kind.ebx & 0xFFFF, kind.ecx) == (False, 0x0010, 0x030000)
    assert (no_kind.carry, no_kind.ah) == (True, 0x86)


def test_registers_are_read_and_written_in_three_sizes(run):
    video = {"ebx": 0x10}
    results = run(
        video | {"eax": 0xB108, "edi": 1, "ecx": 0xFFFFFFFF},
        video | {"eax": 0xB109, "edi": 2, "ecx": 0xFFFFFFFF},
        video | {"eax": 0xB10A, "edi": 0, "edx": 0x12345678},
        video | {"eax": 0xB10B, "edi": 0x3C, "ecx": 0x5A},
        video | {"eax": 0xB10A, "edi": 0x3C},
        video | {"eax": 0xB10D, "edi": 0x10, "ecx": 0xD000_0000},
        video | {"eax": 0xB10A, "edi": 0x10},
        video | {"eax": 0xB10C, "edi": 0x04, "ecx": 0x0001},
        video | {"eax": 0xB109, "edi": 0x04},
    )[3:]
    assert not any(one.carry or one.ah for one in results)
    assert [results[index].ecx for index in (0, 1, 2)] == [0xFFFFFF12, 0xFFFF1111, 0x11111234]
    assert results[2].edx == 0x12345678
    assert results[4].ecx & 0xFF == 0x5A
    assert results[6].ecx == 0xD000_0008
    assert results[8].ecx & 0xFFFF == 0x0001


@pytest.mark.parametrize(("function", "register"), [(0x09, 1), (0x0A, 2), (0x08, 0x100), (0x0C, 3), (0x0D, 0x41)])
def test_a_register_that_is_none_is_refused(run, function, register):
    (result,) = run({"eax": 0xB100 | function, "ebx": 0x10, "edi": register})[3:]
    assert (result.carry, result.ah) == (True, 0x87)
