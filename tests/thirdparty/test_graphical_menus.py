"""Boot menus in a VESA mode: what they draw is what they draw on QEMU, pixel for pixel."""

import pytest

import minivm
from minivm.firmware import font

SYSLINUX, ISOLINUX = "/usr/lib/syslinux/modules/bios", "/usr/lib/ISOLINUX/isolinux.bin"
MBR = "/usr/lib/syslinux/mbr/mbr.bin"
MODULES = ("ldlinux", "vesamenu", "libutil", "libcom32", "poweroff")
MENU = """
UI vesamenu.c32
FONT our.psf
MENU TITLE A menu in pixels
LABEL one
  MENU LABEL Switch off
  COM32 poweroff.c32
LABEL two
  MENU LABEL Second
"""
GRUB_MENU = """
set timeout=-1
set gfxmode=640x480x{depth}
insmod all_video
insmod gfxterm
loadfont /boot/grub/fonts/unicode.pf2
terminal_output gfxterm
menuentry "An entry in pixels" {{ halt }}
menuentry "Another" {{ true }}
"""
PSF1 = b"\x36\x04\0\x10"
"""A console font of 256 characters of 16 rows. Without one the menu takes the BIOS's, and no two BIOSes draw alike."""
START = 63


@pytest.fixture
def pixel_menu_files(tmp_path, debian_file):
    """A folder with SYSLINUX's graphical menu, without its boot loader."""
    folder = tmp_path / "menu"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.c32").write_bytes(debian_file(f"{SYSLINUX}/{name}.c32"))
    (folder / "our.psf").write_bytes(PSF1 + font.table(16))
    return folder


def isolinux_cd(menu_files, run_command, debian_file):
    (menu_files / "isolinux.cfg").write_text(MENU)
    (menu_files / "isolinux.bin").write_bytes(debian_file(ISOLINUX))
    image = menu_files.with_name("cd.iso")
    run_command("xorriso", "-as", "mkisofs", "-o", image, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
                "-boot-load-size", "4", "-boot-info-table", menu_files)  # fmt: skip
    return image


def syslinux_floppy(menu_files, run_command, debian_file):
    image = menu_files.with_name("floppy.img")
    run_command("mkfs.fat", "-C", image, 1440)
    install(menu_files, run_command, image, 0)
    return image


def syslinux_disk(menu_files, run_command, debian_file):
    image = menu_files.with_name("disk.img")
    image.write_bytes(bytes(8 << 20))
    run_command("sfdisk", "-q", image, stdin=f"label: dos\nstart={START}, size=16002, type=6, bootable\n")
    run_command("mkfs.fat", "-F", "16", "-s", "1", "--offset", START, "-h", START, image, 8001)
    install(menu_files, run_command, image, START * 512)
    image.write_bytes(debian_file(MBR)[:440] + image.read_bytes()[440:])
    return image


def install(menu_files, run_command, image, offset):
    """Put SYSLINUX and the menu on a FAT file system."""
    (menu_files / "syslinux.cfg").write_text(MENU)
    run_command("syslinux", "--install", *(["--offset", offset] if offset else []), image)
    files = [path for path in sorted(menu_files.iterdir()) if path.name != "ldlinux.c32"]
    run_command("mcopy", "-i", f"{image}@@{offset}" if offset else image, *files, "::")


@pytest.fixture(
    params=[(isolinux_cd, "cdrom"), (syslinux_floppy, "floppy"), (syslinux_disk, "disk")], ids=lambda case: case[1]
)
def menu_medium(request, pixel_menu_files, run_command, debian_file):
    """An image with the graphical menu, and the drive for it."""
    make, drive = request.param
    return make(pixel_menu_files, run_command, debian_file), drive


@pytest.fixture(params=[8, 16, 32])
def pixel_grub_cd(request, tmp_path, run_command):
    """GRUB's rescue CD with a menu in a mode of so many bits a pixel."""
    config = tmp_path / "cd/boot/grub/grub.cfg"
    config.parent.mkdir(parents=True)
    config.write_text(GRUB_MENU.format(depth=request.param))
    run_command("grub-mkrescue", "-o", tmp_path / "cd.iso", tmp_path / "cd")
    return tmp_path / "cd.iso"


def picture_after(vm, ms):
    """Run until the card shows pixels, and so much longer; return the picture."""
    for _ in range(1000):
        if vm.graphics_mode:
            break
        vm.run(ms=10)
    assert vm.graphics_mode
    vm.run(ms=ms)
    picture = vm.picture()
    assert (picture.width, picture.height) == (640, 480)
    return picture


def test_syslinuxs_graphical_menu_is_qemus_pixel_for_pixel(menu_medium, start_qemu):
    image, drive = menu_medium
    with minivm.boot(image, memory="32M", boot={"cdrom": "iso"}.get(drive, drive)) as vm:
        first = picture_after(vm, 300)
        vm.type("<Down>")
        vm.run(ms=200)
        second = vm.picture()
        vm.type("<Up>")
        vm.run(ms=200)
        assert vm.picture() == first != second
        vm.type("\n")
        assert vm.run(ms=5000).reason == "powered-off"
    with start_qemu(image, drive) as qemu:
        qemu.show(first)
        qemu.type("<Down>")
        qemu.show(second)


def test_grubs_graphical_terminal_is_qemus_pixel_for_pixel(pixel_grub_cd, start_qemu):
    with minivm.boot(pixel_grub_cd, memory="32M") as vm:
        first = picture_after(vm, 200)
        vm.type("<Down>")
        vm.run(ms=100)
        second = vm.picture()
        assert first != second
    with start_qemu(pixel_grub_cd, "cdrom") as qemu:
        qemu.show(first)
        qemu.type("<Down>")
        qemu.show(second)
