"""Programs that Debian ships as Linux kernels: booted by Linux's protocol, they show what they show on a PC."""

import re

import pytest

import minivm
from minivm.debug.code import assemble

MEMTEST, IPXE = ("/boot/memtest86+ia32.bin", "/boot/memtest86+x64.bin"), "/boot/ipxe.lkrn"
MEMDISK = "/usr/lib/syslinux/memdisk"


@pytest.mark.parametrize("path", MEMTEST)
def test_memtest86_shows_the_cpu_and_the_memory_and_tests_it(path, debian_file):
    with minivm.boot(debian_file(path), memory="16M") as vm:
        vm.expect("Press <F1> to configure")
        vm.type("\n")
        vm.expect("Pattern: 0x")
        text = vm.screen.text()
        assert "Memtest86+ v6.10      │ MiniVM virtual CPU" in text
        assert "Memory  :   16MB" in text
        assert "MB of 15.6MB]" in text
        vm.expect("Time:  0:00:01  Status: Testing")
        passed = re.search(r"Pass +(\d+)%", vm.screen.text())
        assert passed is not None
        assert int(passed[1]) > 0
        assert "Errors: 0" in vm.screen.text()


def test_ipxe_reaches_its_prompt_and_answers(debian_file):
    with minivm.boot(debian_file(IPXE)) as vm:
        vm.expect("iPXE initialising devices...ok")
        vm.expect("Press Ctrl-B", timeout=20)
        vm.type("<Ctrl-B>")
        vm.expect("iPXE>")
        vm.type("echo 6 x 7\n")
        vm.expect("\n6 x 7")


READ = """
 bits 16
 org 0x7C00
 xor ax, ax
 mov ds, ax
 mov es, ax
 mov ax, 0x0201
 mov bx, 0x8000
 mov cx, 0x0305
 mov dx, 0x0100
 int 0x13
 mov si, 0x8000
next:
 lodsb
 test al, al
 jz done
 mov ah, 0x0E
 mov bx, 7
 int 0x10
 jmp next
done:
 hlt
 jmp done
 times 510 - ($ - $$) db 0
 dw 0xAA55
"""
"""Print sector 5 of head 1 of cylinder 3."""


def test_memdisk_boots_a_floppy_that_is_its_initial_ram_disk(debian_file, tmp_path):
    floppy = bytearray(assemble(READ).code.ljust(1474560, b"\0"))
    place = ((3 * 2 + 1) * 18 + 4) * 512
    floppy[place : place + 22] = b"from cylinder 3 in RAM"
    (tmp_path / "floppy.img").write_bytes(floppy)
    with minivm.boot(debian_file(MEMDISK), initrd=str(tmp_path / "floppy.img")) as vm:
        vm.expect("Ramdisk at 0x03e98000, length 0x00168000")
        vm.expect("Disk is fd0, 1440 K, C/H/S = 80/2/18")
        vm.expect("from cylinder 3 in RAM")
