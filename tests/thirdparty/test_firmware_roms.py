"""Firmware that nobody here wrote, in place of MiniVM's own BIOS: it programs all the chips without our help."""

import re

import pytest

import minivm
from minivm.debug.code import assemble

SEABIOS = ("/usr/share/seabios/bios.bin", "/usr/share/seabios/bios-256k.bin")
MEMTEST_CD = "/usr/lib/memtest86+/memtest86+x64.iso"
U_BOOT, U_BOOT_64 = "/usr/lib/u-boot/qemu-x86/u-boot.rom", "/usr/lib/u-boot/qemu-x86_64/u-boot.rom"
FLOPPY, DISK = 1474560, 4 << 20
FUNCTIONS = {
    "00.00.00": "0x8086 0x1237", "00.01.00": "0x8086 0x7000", "00.01.01": "0x8086 0x7010",
    "00.01.03": "0x8086 0x7113", "00.02.00": "0x1234 0x1111",
}  # fmt: skip
"""Bus, device and function of everything on the PCI bus, as U-Boot prints it, with its vendor and its device."""

SAY = """
 bits 16
 org 0x7C00
 xor ax, ax
 mov ds, ax
 mov si, text
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
text: db "{}", 0
 times 510 - ($ - $$) db 0
 dw 0xAA55
"""
COPY = """
 bits 16
 org 0x7C00
 xor ax, ax
 mov ds, ax
 mov es, ax
 mov ax, 0x0201                 ; the floppy's second sector
 mov bx, 0x8000
 mov cx, 2
 mov dx, 0
 int 0x13
 jc failed
 mov ax, 0x0301                 ; to the disk's cylinder 1, head 2, sector 3
 mov cx, 0x0103
 mov dx, 0x0280
 int 0x13
 jc failed
 mov ah, 0x43                   ; and to its sector 7000
 mov al, 0
 mov dl, 0x80
 mov si, packet
 int 0x13
 jc failed
 mov ax, 0x0E00 + "!"
 int 0x10
failed:
 cli
 hlt
packet: db 16, 0
 dw 1, 0x8000, 0
 dq 7000
 times 510 - ($ - $$) db 0
 dw 0xAA55
"""
"""Copy a sector from the floppy to the disk, by both kinds of INT 13h."""


@pytest.fixture
def drives(tmp_path, debian_file):
    """A floppy and a disk that say where they come from, and a CD with memtest86+."""
    debian_file(MEMTEST_CD)
    for name, size in (("floppy", FLOPPY), ("disk", DISK)):
        (tmp_path / name).write_bytes(assemble(SAY.format(f"from the {name}")).code.ljust(size, b"\0"))
    return {
        "floppies": (f"{tmp_path}/floppy,ro",), "disks": (f"{tmp_path}/disk,snapshot",), "cdroms": (MEMTEST_CD,),
    }  # fmt: skip


@pytest.mark.parametrize("rom", SEABIOS)
def test_seabios_lists_the_drives_in_its_menu(rom, debian_file, drives):
    debian_file(rom)
    with minivm.boot(firmware=rom, memory="32M", **drives) as vm:
        vm.expect("SeaBIOS (version 1.")
        vm.expect("Press ESC for boot menu.")
        vm.type("<Esc>")
        vm.expect("(MT86PLUS_64)")
        menu = [row for row in vm.screen.text().splitlines() if row[1:2] == "."]
        assert menu == [
            "1. Floppy [drive A]",
            "2. ata0-0: MINIVM HARDDISK ATA-6 Hard-Disk (4 MiBytes)",
            "3. DVD/CD [ata1-0: MINIVM CD-ROM ATAPI-6 DVD/CD] (MT86PLUS_64)",
        ]


@pytest.mark.parametrize(
    ("key", "words", "text"),
    [
        ("1", "Booting from Floppy...", "from the floppy"),
        ("2", "Booting from Hard Disk...", "from the disk"),
        ("3", "", "Press <F1> to configure"),
    ],
)
def test_seabios_boots_what_is_chosen(key, words, text, debian_file, drives):
    debian_file(SEABIOS[1])
    with minivm.boot(firmware=SEABIOS[1], memory="32M", **drives) as vm:
        vm.expect("Press ESC for boot menu.")
        vm.type("<Esc>")
        vm.expect("(MT86PLUS_64)")
        vm.type(key)
        vm.expect(text)
        assert words in vm.screen.text()


@pytest.mark.parametrize(("order", "text"), [("acd", "from the floppy"), ("cad", "from the disk"), ("d", "Memtest86+")])
def test_seabios_follows_the_boot_order_in_the_cmos(order, text, debian_file, drives):
    debian_file(SEABIOS[1])
    with minivm.boot(firmware=SEABIOS[1], memory="32M", boot_order=order, **drives) as vm:
        vm.expect(text)


def test_what_seabios_writes_is_in_the_image(debian_file, tmp_path):
    debian_file(SEABIOS[1])
    words = b"written by SeaBIOS".ljust(512, b".")
    (tmp_path / "floppy").write_bytes((assemble(COPY).code + words).ljust(FLOPPY, b"\0"))
    (tmp_path / "disk").write_bytes(bytes(DISK))
    drives = {"floppies": (f"{tmp_path}/floppy,ro",), "disks": (f"{tmp_path}/disk",)}
    with minivm.boot(firmware=SEABIOS[1], memory="16M", boot_order="a", **drives) as vm:
        assert vm.run(ms=10_000).reason == "halted"
        assert vm.screen.text().endswith("!")
        heads, sectors = vm.disks["disk0"].geometry.heads, vm.disks["disk0"].geometry.sectors_per_track
    disk = (tmp_path / "disk").read_bytes()
    by_cylinder = ((1 * heads + 2) * sectors + 3 - 1) * 512
    expected = bytearray(DISK)
    for place in (by_cylinder, 7000 * 512):
        expected[place : place + 512] = words
    assert disk == bytes(expected)


def boot_u_boot(rom, **drives):
    """Return a machine at U-Boot's prompt."""
    vm = minivm.boot(firmware=rom, memory="256M", **drives)
    vm.expect("Hit any key to stop autoboot")
    vm.type(" ")
    vm.expect("=> ")
    return vm


@pytest.mark.parametrize("rom", [U_BOOT, U_BOOT_64])
def test_u_boot_finds_every_pci_function(rom, debian_file):
    debian_file(rom)
    with boot_u_boot(rom) as vm:
        assert "DRAM:  256 MiB" in vm.serial.text()
        vm.type("pci\n")
        vm.expect("Display controller      0x00\n=> ")
        rows = re.findall(r"^(\d\d\.\d\d\.\d\d)   (0x\w+)     (0x\w+)", vm.serial.text(), re.MULTILINE)
        assert {place: f"{vendor} {device}" for place, vendor, device in rows} == FUNCTIONS


def test_u_boot_finds_four_drives_and_reads_a_file(debian_file, partitioned_disk):
    for path in (U_BOOT, MEMTEST_CD):
        debian_file(path)
    disks = (f"{partitioned_disk},ro",) * 2
    with boot_u_boot(U_BOOT, disks=disks, cdroms=(MEMTEST_CD,) * 2) as vm:
        vm.type("ide reset\n")  # it waits a second for each drive that is not there: so there are four
        for number, words in enumerate(2 * ["MINIVM HARDDISK"] + 2 * ["MINIVM Firm: 1.0 Ser#: CD-ROM"]):
            vm.expect(f"Device {number}: Model: {words}")
        vm.expect("\n=> ")
        vm.type("fatls ide 1:1\n")
        vm.expect("words.txt")


def test_u_boot_draws_its_console_in_the_linear_framebuffer(debian_file):
    debian_file(U_BOOT)
    with boot_u_boot(U_BOOT) as vm:
        assert "Video: 1024x768x32" in vm.serial.text()
        assert vm.graphics_mode
        before = vm.picture()
        assert (before.width, before.height) == (1024, 768)
        vm.type("echo drawn\n")
        vm.expect("\ndrawn\n=> ")
        vm.run(ms=50)
        assert sum(vm.picture().rgb) > sum(before.rgb) > 0


@pytest.mark.slow
def test_u_boot_left_alone_tries_every_way_to_boot(debian_file):
    debian_file(U_BOOT)
    with minivm.boot(firmware=U_BOOT, memory="256M") as vm:
        vm.expect("Hit any key to stop autoboot:  2")
        vm.expect("Model: MINIVM Firm: 1.0 Ser#: CD-ROM")
        vm.expect("No ethernet found.\n=> ")
