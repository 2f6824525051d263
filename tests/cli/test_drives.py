"""Images on the command line: whose they are, what is told when the host fails, and which drive boots."""

import errno
import os
import subprocess
import sys

import pytest

import minivm

WRITE = """
 mov ax, 0x0301
 mov bx, 0x7C00
 mov cx, 0x0003
 mov dx, 0x0080
 int 0x13
 mov al, ah
 out 0xF4, al
 hlt
"""
"""Write the boot sector to the third sector of drive 80h, and end with AH as INT 13h returns it."""
HOLD = "import sys; from minivm.storage.disk import open_disk; disk = open_disk({!r}{}); print(flush=True); input()"
DONE = 1  # the debug exit's 2 * AH + 1
END_WITH = " mov al, {}\n out 0xF4, al\n hlt\n"


@pytest.fixture
def disk(tmp_path):
    """A hard disk's image of 4 MiB."""
    path = tmp_path / "data.img"
    path.write_bytes(bytes(4 << 20))
    return path


@pytest.fixture
def holder():
    """Return `hold(path, how)`, which opens an image in a process of its own and returns that's number."""
    running = []

    def hold(path, how=""):
        code = HOLD.format(str(path), how)
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        process.stdout.readline()
        return process.pid

    yield hold
    for process in running:
        process.communicate(b"\n")


def test_what_a_guest_writes_is_in_the_file(minivm, sector, disk):
    guest = sector(WRITE)
    assert minivm("run", guest, "--disk", disk).status == DONE
    assert disk.read_bytes()[1024:1536] == guest.read_bytes()


def test_an_image_that_another_process_writes_is_refused_in_every_way(minivm, sector, disk, holder):
    guest, number = sector(WRITE), holder(disk)
    for words in (["--disk", disk], ["--disk", f"{disk},ro"], ["--disk", f"{disk},snapshot"], ["--cdrom", disk]):
        minivm("run", guest, *words).assert_one_line(2, str(disk), f"process {number} is writing to it")
    minivm("run", disk, "--boot", "disk").assert_one_line(2, f"process {number} is writing to it")
    assert minivm("run", guest, "--disk", f"{disk},snapshot,unlocked").status == DONE


def test_an_image_that_another_process_reads_is_shared_with_readers(minivm, sector, disk, holder):
    guest, number = sector(WRITE), holder(disk, ", read_only=True")
    minivm("run", guest, "--disk", disk).assert_one_line(2, f"process {number} is reading it", ",ro or ,snapshot")
    assert minivm("run", guest, "--disk", f"{disk},snapshot").status == DONE
    assert disk.read_bytes() == bytes(4 << 20)


def test_one_image_cannot_be_two_disks_of_one_machine(minivm, sector, disk):
    guest = sector(WRITE)
    minivm("run", guest, "--disk", disk, "--disk", disk).assert_one_line(2, "another machine of this process")


def test_a_host_that_cannot_keep_what_was_written_is_one_line_at_the_end(minivm, sector, disk, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    minivm("run", sector(WRITE), "--disk", disk).assert_one_line(2, f"{disk}: cannot be flushed: Input/output error")


def test_a_write_that_the_host_refuses_is_an_error_of_the_drive(minivm, sector, disk, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    status = minivm("run", sector(WRITE), "--disk", disk, "--timeout", 20).status
    assert status & 1
    assert status not in (DONE, 125)


def test_five_drives_are_refused(minivm, sector, disk):
    disks = [word for _ in range(5) for word in ("--disk", f"{disk},ro")]
    minivm("run", sector(WRITE), *disks).assert_one_line(2, "5 hard disks", "take 4; leave 1 out")


def test_the_boot_order_goes_before_the_guest(minivm, sector, tmp_path):
    floppy, disk = sector(END_WITH.format(5)), tmp_path / "other.img"
    disk.write_bytes(sector(END_WITH.format(9), "nine").read_bytes().ljust(4 << 20, b"\0"))
    assert minivm("run", floppy, "--disk", disk).status == 11
    assert minivm("run", floppy, "--disk", disk, "--boot-order", "ca").status == 19
    assert minivm("run", disk, "--floppy", floppy).status == 19
    assert minivm("run", disk, "--floppy", floppy, "--boot-order", "a").status == 11


def test_a_kernel_that_is_cut_or_too_large_is_one_line(minivm, tmp_path):
    kernel = tmp_path / "vmlinuz"
    image = bytearray(2560 + 32)
    image[0x1F1], image[0x1FE:0x200], image[0x202:0x208] = 4, b"\x55\xaa", b"HdrS\x0f\x02"
    image[0x1F4] = 3
    kernel.write_bytes(image)
    minivm("run", kernel).assert_one_line(2, str(kernel), "is truncated")
    image[0x1F4], image[0x211], image[0x260:0x264] = 2, 1, (1 << 30).to_bytes(4, "little")
    kernel.write_bytes(image)
    minivm("run", kernel).assert_one_line(2, str(kernel), "more --memory")


# -- a host that fails while the guest runs -----------------------------------------------------------------------
READ = """
 mov ax, 0x0201
 mov bx, 0x8000
 mov cx, 0x0001
 mov dx, 0x0180
 int 0x13
 mov al, ah
 out 0xF4, al
 hlt
"""
"""Read sector 63 of drive 80h, the first of head 1."""


@pytest.mark.parametrize("how", ["", ",ro", ",snapshot"])
def test_a_disk_that_was_made_shorter_is_a_bad_medium_to_its_guest(sector, disk, how):
    guest = sector(READ).read_bytes()
    for size, good in ((4 << 20, True), (63 * 512, False), (0, False)):
        with minivm.boot(guest, disks=f"{disk}{how}") as vm:
            os.truncate(disk, size)
            ended = vm.run(ms=500)
        os.truncate(disk, 4 << 20)
        assert ended.reason == "debug-exit"
        assert (ended.code == 0) is good


def test_a_cd_that_was_emptied_and_a_disk_that_was_removed_stop_nobody(sector, disk, tmp_path):
    disc = tmp_path / "disc.iso"
    disc.write_bytes(bytes(0x8001) + b"CD001" + bytes(30000))
    with minivm.boot(disc, floppies=str(sector(READ)), disks=str(disk)) as vm:
        os.truncate(disc, 0)
        disk.unlink()
        ended = vm.run(ms=3000)
    assert (ended.reason, ended.code) == ("debug-exit", 0)
