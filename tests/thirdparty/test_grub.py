"""GRUB 2 from a CD and a diskette: its menu, its shell, a disk with partitions, and Multiboot kernels."""

import shutil
from pathlib import Path

import pytest

import minivm
from minivm.bundled import find

GRUB, FLOPPY, SECTOR = "/usr/lib/grub/i386-pc", 1474560, 512
MODULES = ("biosdisk", "fat", "part_msdos", "normal", "multiboot", "ls", "echo", "halt")
PARAMETERS = slice(3, 0x5A)
"""Where a FAT boot sector has its parameters; GRUB's boot.img leaves room for them."""
MENU = """
set timeout=-1
menuentry "A kernel of ours" { multiboot /boot/kernel some words; }
menuentry "Switch off" { halt }
"""
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


def fill(folder: Path) -> None:
    """Put a menu and a kernel where GRUB looks for them."""
    kernel = find("multiboot")
    assert kernel is not None
    (folder / "boot/grub").mkdir(parents=True)
    (folder / "boot/grub/grub.cfg").write_text(MENU)
    shutil.copy(kernel.image, folder / "boot/kernel")


@pytest.fixture
def cd(tmp_path, run_command):
    """A rescue CD."""
    fill(tmp_path / "cd")
    run_command("grub-mkrescue", "-o", tmp_path / "cd.iso", tmp_path / "cd")
    return tmp_path / "cd.iso"


@pytest.fixture
def floppy(tmp_path, run_command, debian_file):
    """A diskette with a FAT file system, and GRUB in its boot sector and the reserved sectors behind it."""
    fill(tmp_path / "floppy")
    core, image = tmp_path / "core.img", tmp_path / "floppy.img"
    run_command("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(fd0)/boot/grub", *MODULES)
    loader = debian_file(f"{GRUB}/boot.img") + core.read_bytes()
    run_command("mkfs.fat", "-F", "12", "-R", -(-len(loader) // SECTOR), "-C", image, FLOPPY // 1024)
    run_command("mcopy", "-s", "-i", image, tmp_path / "floppy/boot", "::")
    data = bytearray(image.read_bytes())
    loader = bytearray(loader)
    loader[PARAMETERS] = data[PARAMETERS]
    data[: len(loader)] = loader
    image.write_bytes(data)
    return image


@pytest.fixture(params=["cd", "floppy"])
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


def test_its_menu_switches_off(cd):
    with minivm.boot(cd, memory="32M") as vm:
        vm.expect("Switch off", timeout=20)
        vm.type("<Down>\n")
        assert vm.run(ms=10_000).reason == "powered-off"


def test_its_shell_loads_an_elf_kernel(tmp_path, cd, run_command):
    source, kernel = tmp_path / "kernel.s", tmp_path / "cd/elf"
    source.write_text(MULTIBOOT_ELF)
    run_command(
        "gcc",
        "-m32",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,-Ttext-segment=0x200000,--build-id=none,-z,noexecstack",
        "-o",
        kernel,
        source,
    )
    run_command("grub-mkrescue", "-o", cd, tmp_path / "cd")
    with minivm.boot(cd, memory="32M") as vm:
        vm.expect("Switch off", timeout=20)
        vm.type("c")
        vm.expect("grub>")
        vm.type("multiboot /elf;boot\n")
        vm.expect("An ELF kernel, loaded by a Multiboot loader")
