"""CDs that Debian's tools make, booted by El Torito: GRUB, ISOLINUX, and SYSLINUX on images that the CD emulates."""

from pathlib import Path

import pytest

import minivm

MEMTEST_CDS = ("/usr/lib/memtest86+/memtest86+ia32.iso", "/usr/lib/memtest86+/memtest86+x64.iso")
IPXE_CD = "/usr/lib/ipxe/ipxe.iso"
ISOLINUX, MODULES = Path("/usr/lib/ISOLINUX/isolinux.bin"), Path("/usr/lib/syslinux/modules/bios")
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
MENU_FILES = ("ldlinux.c32", "menu.c32", "libutil.c32", "libcom32.c32")
MENU = "UI menu.c32\nMENU TITLE A menu on a CD\nLABEL one\n MENU LABEL Switch off\n COM32 poweroff.c32\n"
HEADS, SECTORS, CYLINDERS = 16, 63, 16


def copy_menu(folder):
    """Put SYSLINUX's menu into a folder, without its boot loader."""
    for name in (*MENU_FILES, "poweroff.c32"):
        if not (MODULES / name).is_file():
            pytest.skip(f"{MODULES / name} is not installed")
        (folder / name).write_bytes((MODULES / name).read_bytes())


def choose(vm):
    """Wait for the menu, and take its entry."""
    vm.expect("A menu on a CD")
    vm.expect("Switch off")
    vm.type("\n")
    assert vm.run(ms=5000).reason == "powered-off"


def test_grub_rescue_cd_shows_its_menu_and_its_shell_lists_the_cd(run_command, tmp_path):
    config = tmp_path / "cd/boot/grub/grub.cfg"
    config.parent.mkdir(parents=True)
    config.write_text('set timeout=-1\nmenuentry "An entry of ours" { true }\n')
    run_command("grub-mkrescue", "-o", tmp_path / "cd.iso", tmp_path / "cd")
    with minivm.boot(tmp_path / "cd.iso") as vm:
        vm.expect("*An entry of ours", timeout=20)
        vm.type("c")
        vm.expect("grub>")
        vm.type("ls (cd)/boot/grub\n")
        vm.expect("grub.cfg")


def test_grubs_shell_lists_the_cd_that_was_put_in_meanwhile(run_command, tmp_path):
    config = tmp_path / "cd/boot/grub/grub.cfg"
    config.parent.mkdir(parents=True)
    config.write_text("set timeout=-1\n")
    run_command("grub-mkrescue", "-o", tmp_path / "cd.iso", tmp_path / "cd")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/second_disc.txt").write_text("here\n")
    run_command("xorriso", "-as", "mkisofs", "-r", "-o", tmp_path / "other.iso", tmp_path / "other")
    with minivm.boot(tmp_path / "cd.iso") as vm:
        vm.expect("grub>", timeout=20)
        vm.type("ls (cd)/\n")
        vm.expect("boot/")
        vm.insert("cdrom0", tmp_path / "other.iso")
        vm.run(ms=5000)  # so long GRUB trusts what it has read
        vm.type("ls (cd)/\n")
        vm.expect("second_disc.txt")


def test_isolinux_boots_without_emulation(run_command, tmp_path):
    folder = tmp_path / "cd"
    folder.mkdir()
    copy_menu(folder)
    (folder / "isolinux.cfg").write_text(MENU)
    if not ISOLINUX.is_file():
        pytest.skip(f"{ISOLINUX} is not installed")
    (folder / "isolinux.bin").write_bytes(ISOLINUX.read_bytes())
    run_command("xorriso", "-as", "mkisofs", "-o", tmp_path / "cd.iso", "-b", "isolinux.bin", "-c", "boot.cat",
                "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", folder)  # fmt: skip
    with minivm.boot(tmp_path / "cd.iso") as vm:
        choose(vm)


def make_fat(run_command, tmp_path, *options):
    """Return an image with SYSLINUX and the menu, made by mformat with these options."""
    files, image = tmp_path / "files", tmp_path / "fat.img"
    files.mkdir()
    copy_menu(files)
    (files / "syslinux.cfg").write_text(MENU)
    run_command("mformat", "-i", image, "-C", *options, "::")
    run_command("syslinux", image)
    run_command("mcopy", "-i", image, *(path for path in sorted(files.iterdir()) if path.name != "ldlinux.c32"), "::")
    return image


def test_a_diskette_on_a_cd_boots_as_drive_a(run_command, tmp_path):
    image = make_fat(run_command, tmp_path, "-f", "1440")
    folder = tmp_path / "cd"
    folder.mkdir()
    image.rename(folder / "floppy.img")
    run_command("xorriso", "-as", "mkisofs", "-o", tmp_path / "cd.iso", "-b", "floppy.img", "-c", "boot.cat", folder)
    with minivm.boot(tmp_path / "cd.iso") as vm:
        choose(vm)


def test_a_hard_disk_on_a_cd_boots_as_drive_80h(run_command, tmp_path):
    if not MBR.is_file():
        pytest.skip(f"{MBR} is not installed")
    total = CYLINDERS * HEADS * SECTORS
    image = make_fat(run_command, tmp_path, "-T", str(total - SECTORS), "-h", str(HEADS), "-s", str(SECTORS), "-H",
                     str(SECTORS))  # fmt: skip
    partition = bytes([0x80, 1, 1, 0, 6, HEADS - 1, SECTORS, CYLINDERS - 1])
    partition += SECTORS.to_bytes(4, "little") + (total - SECTORS).to_bytes(4, "little")
    sector = MBR.read_bytes()[:440].ljust(446, b"\0") + partition.ljust(64, b"\0") + b"\x55\xaa"
    folder = tmp_path / "cd"
    folder.mkdir()
    (folder / "disk.img").write_bytes(sector.ljust(SECTORS * 512, b"\0") + image.read_bytes())
    run_command("xorriso", "-as", "mkisofs", "-o", tmp_path / "cd.iso", "-b", "disk.img", "-hard-disk-boot",
                "-c", "boot.cat", folder)  # fmt: skip
    with minivm.boot(tmp_path / "cd.iso") as vm:
        choose(vm)


@pytest.mark.parametrize("cd", MEMTEST_CDS)
def test_memtest86_cd_shows_the_cpu_and_the_memory_and_its_pass_goes_on(cd, debian_file):
    with minivm.boot(debian_file(cd), memory="16M") as vm:
        vm.expect("Press <F1> to configure", timeout=20)
        assert "Memtest86+ v6.10      │ MiniVM virtual CPU" in vm.screen.text()
        assert "Memory  :   16MB" in vm.screen.text()
        vm.type("\n")
        vm.expect("Status: Testing")
        assert "│ Pass  0%" in vm.screen.text()
        vm.expect("│ Pass  2% ")
        assert "Errors: 0" in vm.screen.text()


def test_ipxe_cd_reaches_its_prompt(debian_file):
    with minivm.boot(debian_file(IPXE_CD)) as vm:
        vm.expect("ISOLINUX")
        vm.expect("Press Ctrl-B", timeout=20)
        vm.type("<Ctrl-B>")
        vm.expect("iPXE>")


def test_a_cd_that_does_not_boot_says_why_and_lets_the_disk_boot(tmp_path):
    cd = bytearray(100 * 2048)
    cd[16 * 2048 : 16 * 2048 + 6] = b"\1CD001"
    cd[17 * 2048 : 17 * 2048 + 75] = b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + (20).to_bytes(4, "little")
    (tmp_path / "broken.iso").write_bytes(cd)
    (tmp_path / "hlt.img").write_bytes(b"\xfa\xf4".ljust(510, b"\0") + b"\x55\xaa" + bytes(4 << 20))
    with minivm.boot(tmp_path / "broken.iso", disks=(str(tmp_path / "hlt.img"),)) as vm:
        assert vm.run(ms=1000).reason == "halted"
        assert vm.screen.text() == "CD 0 does not boot: its boot catalogue has no validation entry"
        assert vm.cpu.rip == 0x7C02
