"""`minivm run` without a GUEST: the drives and a ROM are enough of a machine."""

from pathlib import Path

import pytest

import minivm
from minivm.cli.main import main

HELLO = Path(__file__).parents[2] / "guests" / "hello-bios.img"


def test_a_floppy_is_guest_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floppy = tmp_path / "a.img"
    floppy.write_bytes(HELLO.read_bytes().ljust(1440 * 1024, b"\0"))
    assert main(["run", "--floppy", f"{floppy},ro", "--screen", "--quiet"]) == 0
    assert "Hello from the BIOS!" in capsys.readouterr().out


def test_the_boot_order_says_which_drive_is_tried_first(tmp_path: Path) -> None:
    floppy, disk = tmp_path / "a.img", tmp_path / "c.img"
    floppy.write_bytes(HELLO.read_bytes().ljust(1440 * 1024, b"\0"))
    disk.write_bytes(HELLO.read_bytes().replace(b"Hello", b"DISK!").ljust(4 << 20, b"\0"))
    for order, words in (("ac", "Hello from"), ("ca", "DISK! from"), ("c", "DISK! from")):
        with minivm.boot(floppies=[f"{floppy},ro"], disks=[f"{disk},ro"], boot_order=order) as vm:
            vm.expect(words)


def test_nothing_at_all_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "which GUEST?" in capsys.readouterr().err
    assert main(["cover", "--floppy", "a.img"]) == 2
    assert "cover: which GUEST?" in capsys.readouterr().err
