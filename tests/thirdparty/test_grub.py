"""GRUB 2 from a CD and a diskette: its menu, its shell, a disk with partitions, and Multiboot kernels."""

import shutil

import pytest

import minivm

LINKER = "-Ttext-segment=0x200000,--build-id=none,-z,noexecstack"
MULTIBOOT_ELF = """
.set MAGIC, 0x1BADB002
.set FLAGS, 3
.text
.align 4
.long MAGIC, FLAGS, -(MAGIC + FLAGS)
.global _start
_start:
    mov $text, %esi
    mov $0xB8000, %edi
    mov $0x1F, %ah
next:
    lodsb
    test %al, %al
    jz done
    stosw
    jmp next
done:
    hlt
    jmp done
.data
text: .asciz "An ELF kernel, loaded by a Multiboot loader"
"""


@pytest.fixture(params=["grub_cd", "grub_floppy"])
def medium(request):
    """A CD, then a diskette, with GRUB on it."""
    return request.getfixturevalue(request.param)


def test_the_shell_reads_a_disk_with_partitions(medium, partitioned_disk):
    with minivm.boot(medium, memory="32M", disks=(f"{partitioned_disk},ro",)) as vm:
        vm.expect("*A kernel of ours", timeout=20)
        vm.type("c")
        vm.expect("grub>")
        vm.type("ls (hd0)\n")
        vm.expect("Device hd0: No known filesystem detected - Sector size 512B - Total size\n8192KiB")
        vm.type("ls (hd0,msdos1)/\n")
        vm.expect("\nwords.txt")
        vm.type("ls (hd0,msdos1)\n")
        vm.expect("Partition hd0,msdos1: Filesystem type fat")


def test_its_menu_loads_a_multiboot_kernel(medium):
    with minivm.boot(medium, memory="32M") as vm:
        vm.expect("*A kernel of ours", timeout=20)
        vm.type("<Down>")
        vm.expect("*Switch off")
        vm.type("<Up>\n")
        vm.expect("EAX = 2BADB002: a Multiboot loader")
        vm.expect("KiB above 1 MiB: 00007C00")
        vm.expect("Loaded by: GRUB 2.")
        assert vm.run(ms=1000).reason == "halted"


def test_its_menu_switches_off(grub_cd):
    with minivm.boot(grub_cd, memory="32M") as vm:
        vm.expect("Switch off", timeout=20)
        vm.type("<Down>\n")
        assert vm.run(ms=10_000).reason == "powered-off"


def test_its_shell_loads_an_elf_kernel(tmp_path, grub_files, run_command):
    shutil.copytree(grub_files, tmp_path / "cd")
    source, cd = tmp_path / "kernel.s", tmp_path / "cd.iso"
    source.write_text(MULTIBOOT_ELF)
    run_command("gcc", "-m32", "-nostdlib", "-static", "-no-pie", f"-Wl,{LINKER}", "-o", tmp_path / "cd/elf", source)
    run_command("grub-mkrescue", "-o", cd, tmp_path / "cd")
    with minivm.boot(cd, memory="32M") as vm:
        vm.expect("Switch off", timeout=20)
        vm.type("c")
        vm.expect("grub>")
        vm.type("multiboot /elf;boot\n")
        vm.expect("An ELF kernel, loaded by a Multiboot loader")
