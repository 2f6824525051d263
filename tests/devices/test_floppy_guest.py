"""A boot sector that programs floppy controller and DMA by itself, on MiniVM and on QEMU."""

import shutil
import subprocess
from pathlib import Path

import pytest

import minivm
from minivm.debug.code import assemble_file

SOURCE = Path(__file__).with_name("floppy_boot.asm")
TEXT = b"Sector 3 of head 1, cylinder 1.\n"
READ, WRITTEN = ((1 * 2 + 1) * 18 + 2) * 512, ((1 * 2 + 1) * 18 + 3) * 512
ENDED_WELL = 0x10 << 1 | 1


@pytest.fixture
def floppy(tmp_path):
    """A 1.44M floppy with the boot sector and the text."""
    image = bytearray(1_474_560)
    image[:512] = assemble_file(SOURCE, assembler="keystone").code
    image[READ : READ + len(TEXT)] = TEXT
    path = tmp_path / "floppy.img"
    path.write_bytes(image)
    return path


def test_a_guest_reads_and_writes_sectors_by_dma_and_irq_6(floppy):
    with minivm.boot(floppy) as vm:
        vm.run(ms=2000)
        assert bytes(vm.serial.data) == TEXT
        assert vm.ended is not None
        assert vm.ended.status == ENDED_WELL
        disk = vm.disks["floppy0"]
        assert disk.read(WRITTEN // 512, 1)[: len(TEXT)] == TEXT.upper()
        assert vm.now < 1_200_000_000


@pytest.mark.qemu
@pytest.mark.skipif(shutil.which("qemu-system-i386") is None, reason="qemu-system-i386 is not installed")
def test_the_same_guest_does_the_same_on_qemu(floppy, tmp_path):
    ended = subprocess.run(
        ["qemu-system-i386", "-accel", "tcg", "-m", "16", "-display", "none", "-net", "none", "-no-reboot",
         "-drive", f"if=floppy,format=raw,file={floppy}", "-boot", "a", "-serial", f"file:{tmp_path / 'serial'}",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
        check=False, timeout=20, capture_output=True,
    )  # fmt: skip
    assert ended.returncode == ENDED_WELL, ended.stderr
    assert (tmp_path / "serial").read_bytes() == TEXT
    assert floppy.read_bytes()[WRITTEN : WRITTEN + len(TEXT)] == TEXT.upper()
