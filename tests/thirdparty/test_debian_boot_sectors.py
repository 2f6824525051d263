"""Boot code that Debian ships, on MiniVM and on QEMU side by side: the same keys must give the same screen."""

import struct

import pytest

import minivm

FLOPPY = 1474560
MBR_CODE = 440
SYSLINUX, GRUB = "/usr/lib/syslinux", "/usr/lib/grub/i386-pc"
NOT_BOOTABLE = "press any key to try again ..."
START, SECTORS = 63, 16002


@pytest.fixture
def fat_floppy(tmp_path, run_command):
    """A floppy that mkfs.fat made, with its boot sector that only prints."""
    image = tmp_path / "fat.img"
    run_command("mkfs.fat", "-C", image, FLOPPY // 1024)
    return image


@pytest.fixture
def fat_disk(tmp_path, run_command):
    """Return `make(mbr, active=True, number=b"")`: a hard disk with one FAT partition and that boot code."""

    def make(mbr, active=True, number=b""):
        image = tmp_path / "disk.img"
        entry = struct.pack("<B3sB3sII", 0x80 * active, b"\1\1\0", 6, b"\xfe\x3f\0", START, SECTORS)
        table = (mbr + number).ljust(446, b"\0") + entry + bytes(48) + b"\x55\xaa"
        image.write_bytes(table + bytes((START + SECTORS) * 512 - 512))
        run_command("mkfs.fat", "-F", "16", "-s", "1", "--offset", START, "-h", START, image, SECTORS // 2)
        return image

    return make


@pytest.fixture
def syslinux(tmp_path, run_command, debian_file):
    """Return `install(image, configuration, files, offset)`: put SYSLINUX and its files on a FAT file system."""

    def install(image, configuration, files=(), offset=0):
        run_command("syslinux", "--install", *(["--offset", offset] if offset else []), image)
        place = f"{image}@@{offset}" if offset else image
        (tmp_path / "syslinux.cfg").write_text(configuration)
        run_command("mcopy", "-i", place, tmp_path / "syslinux.cfg", "::")
        for name in files:
            (tmp_path / name.rsplit("/", 1)[-1]).write_bytes(debian_file(name))
            run_command("mcopy", "-i", place, tmp_path / name.rsplit("/", 1)[-1], "::")

    return install


@pytest.fixture
def grub(tmp_path, run_command, debian_file):
    """Return `make(drive, size)`: an image with GRUB's boot sector and behind it its core with a small shell."""

    def make(drive, size):
        core = tmp_path / "core.img"
        modules = ("biosdisk", "part_msdos", "echo", "ls", "minicmd")
        run_command("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", f"({drive})/grub", *modules)
        image = tmp_path / "grub.img"
        image.write_bytes((debian_file(f"{GRUB}/boot.img") + core.read_bytes()).ljust(size, b"\0"))
        return image

    return make


def test_the_boot_sector_of_mkfs_fat_asks_for_another_disk(side_by_side, fat_floppy):
    side_by_side(fat_floppy, NOT_BOOTABLE)


def test_the_boot_sector_of_mkfs_fat_boots_again_at_a_key(fat_floppy):
    with minivm.boot(fat_floppy) as vm:
        vm.expect(NOT_BOOTABLE)
        vm.type("x")
        vm.run(ms=500)
        assert vm.screen.text().count(NOT_BOOTABLE) == 2


def test_syslinux_answers_at_its_prompt(side_by_side, fat_floppy, syslinux):
    syslinux(fat_floppy, "DEFAULT one\nPROMPT 1\nSAY Hello from a floppy\nLABEL one\n  KERNEL missing.bin\n")
    edd = "SYSLINUX 6.04 EDD", "SYSLINUX 6.04 CHS"  # SeaBIOS has the extensions on hard disks alone
    rows = side_by_side(fat_floppy, "boot:", "abc\b\b\n", "Loading a... failed", "", "boot:", known=edd)
    assert "Hello from a floppy" in rows


def test_syslinuxs_menu_is_drawn_and_follows_the_arrow_keys(side_by_side, fat_floppy, syslinux):
    menu = "UI menu.c32\nMENU TITLE A menu\nLABEL one\n  MENU LABEL First\n  KERNEL a\nLABEL two\n  MENU LABEL Second\n"
    modules = [f"{SYSLINUX}/modules/bios/{name}.c32" for name in ("menu", "libutil", "libcom32", "poweroff")]
    syslinux(fat_floppy, menu + "  COM32 poweroff.c32\n", modules)
    side_by_side(fat_floppy, "Press [Tab] to edit", "<Down>", "Second")
    with minivm.boot(fat_floppy) as vm:
        vm.expect("Press [Tab] to edit", timeout=20)
        vm.type("<Down>\n")
        assert vm.run(ms=20_000).reason == "powered-off"


def test_memdisk_boots_a_floppy_from_memory(fat_floppy, syslinux, tmp_path, run_command):
    inner = tmp_path / "inner.img"
    run_command("mkfs.fat", "-C", inner, 160)
    configuration = "DEFAULT one\nLABEL one\n  KERNEL memdisk\n  INITRD inner.img\n  APPEND floppy\n"
    syslinux(fat_floppy, configuration, [f"{SYSLINUX}/memdisk", str(inner)])
    with minivm.boot(fat_floppy, memory="32M") as vm:
        vm.expect("Loading boot sector... booting...", timeout=20)
        vm.expect(NOT_BOOTABLE)


@pytest.mark.parametrize(("code", "number"), [("mbr.bin", b""), ("altmbr.bin", b"\1")])
def test_an_mbr_loads_the_active_partitions_boot_sector(side_by_side, fat_disk, debian_file, code, number):
    mbr = debian_file(f"{SYSLINUX}/mbr/{code}")
    side_by_side(fat_disk(mbr[: MBR_CODE - len(number)], number=number), NOT_BOOTABLE, hard_disk=True)


def test_an_mbr_without_an_active_partition_complains_and_ends(fat_disk, debian_file):
    image = fat_disk(debian_file(f"{SYSLINUX}/mbr/mbr.bin")[:MBR_CODE], active=False)
    with minivm.boot(image) as vm:
        vm.expect("Missing operating system.")
        assert vm.run(ms=1000).reason == "halted"


def test_gptmbr_without_a_gpt_complains(fat_disk, debian_file):
    with minivm.boot(fat_disk(debian_file(f"{SYSLINUX}/mbr/gptmbr.bin")[:MBR_CODE])) as vm:
        vm.expect("Missing OS")


def test_gptmbr_loads_the_partition_with_the_boot_attribute(side_by_side, tmp_path, run_command, debian_file):
    code, image = debian_file(f"{SYSLINUX}/mbr/gptmbr.bin"), tmp_path / "gpt.img"
    image.write_bytes(bytes(16 << 20))
    layout = "label: gpt\nstart=2048, size=16000, type=L, attrs=LegacyBIOSBootable\n"
    run_command("sfdisk", "-q", image, stdin=layout)
    run_command("mkfs.fat", "-F", "16", "-s", "1", "--offset", "2048", "-h", "2048", image, "8000")
    image.write_bytes(code[:MBR_CODE] + image.read_bytes()[MBR_CODE:])
    side_by_side(image, NOT_BOOTABLE, hard_disk=True)


def test_a_chain_of_mbr_partition_and_syslinux_answers(side_by_side, fat_disk, syslinux, debian_file):
    image = fat_disk(debian_file(f"{SYSLINUX}/mbr/mbr.bin")[:MBR_CODE])
    syslinux(image, "DEFAULT one\nPROMPT 1\nSAY Hello from a disk\n", offset=START * 512)
    rows = side_by_side(image, "boot:", "xyz\n", "Loading xyz... failed", "", "boot:", hard_disk=True)
    assert "Hello from a disk" in rows


def test_debians_own_mbr_shows_its_menu(side_by_side, fat_disk, run_command):
    image = fat_disk(b"")
    run_command("install-mbr", "--force", "-p", "D", "-i", "a", image)
    side_by_side(image, "MBR", "1", NOT_BOOTABLE, hard_disk=True)


def test_grubs_shell_on_a_floppy_answers(side_by_side, grub):
    rows = side_by_side(grub("fd0", FLOPPY), "grub", "echo works\n", "works", "ls\n", "(fd0)")
    assert "works" in rows


def test_grubs_shell_on_a_hard_disk_answers(side_by_side, grub):
    side_by_side(grub("hd0", 4 << 20), "grub", "echo works\n", "works", "ls\n", "(hd0)", hard_disk=True)
