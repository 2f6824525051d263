"""Whole programs that draw, one for each kind of mode: the picture is QEMU's `screendump`, pixel for pixel.

A demo sets every register by its ports, so no BIOS takes part. Its first lines say the size of its picture and the
picture's SHA-256: MiniVM is held to them also where there is no QEMU.
"""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

import minivm

FOLDER = Path(__file__).with_name("vga_demos")
DEMOS = sorted(path.stem for path in FOLDER.glob("*.asm"))
QEMU = "qemu-system-i386"
PATIENCE_S = 20.0
CURSOR_PHASES = 12
pytestmark = pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed")


def assemble(name: str, folder: Path) -> Path:
    image = folder / f"{name}.img"
    command = ["nasm", "-f", "bin", "-I", f"{FOLDER}/", "-o", str(image), str(FOLDER / f"{name}.asm")]
    subprocess.run(command, check=True)
    return image


def claim(name: str) -> tuple[int, int, str]:
    """Return what a demo's source says of its picture: width, height and hash."""
    text = (FOLDER / f"{name}.asm").read_text()
    found = re.search(r"; Shows (\d+) x (\d+) pixels, SHA-256 (\w+)", text)
    assert found is not None, f"{name}.asm says nothing of its picture"
    return int(found[1]), int(found[2]), found[3]


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_shows_what_its_source_says(name: str, tmp_path: Path) -> None:
    with minivm.boot(assemble(name, tmp_path).read_bytes(), memory="8M") as vm:
        ended = vm.run(ms=5000)
        picture = vm.devices["vga"].picture()
    assert ended.reason == "halted"
    assert (picture.width, picture.height, hashlib.sha256(picture.rgb).hexdigest()) == claim(name)


@pytest.mark.parametrize(("name", "flat"), [("mode_13h", True), ("mode_04h", True), ("mode_12h", False)])
def test_a_flat_window_needs_no_trap_a_pixel(name: str, flat: bool, tmp_path: Path) -> None:
    with minivm.boot(assemble(name, tmp_path).read_bytes(), memory="8M") as vm:
        window, trapped = vm.devices["vga"].window, []
        write = window.write
        window.write = lambda offset, size, value: (trapped.append(offset), write(offset, size, value))
        vm.run(ms=5000)
    assert bool(trapped) != flat


@pytest.mark.parametrize("name", ["mode_x", "mode_04h", "text", "vbe_32"])
def test_a_clone_shows_the_same_and_draws_on(name: str, tmp_path: Path) -> None:
    with minivm.boot(assemble(name, tmp_path).read_bytes(), memory="8M") as vm:
        vm.run(ms=25)
        with vm.clone() as other:
            assert other.devices["vga"].picture() == vm.devices["vga"].picture()
            assert other.run(ms=5000).reason == vm.run(ms=5000).reason == "halted"
            assert other.devices["vga"].picture() == vm.devices["vga"].picture()


class Qemu:
    """A QEMU that has drawn a demo; it can be asked for its picture."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.dump, console, monitor = folder / "dump.ppm", folder / "console", folder / "qmp"
        console.touch()
        self._process = subprocess.Popen(
            [QEMU, "-nodefaults", "-display", "none", "-vga", "std", "-m", "8",
             "-drive", f"file={image},format=raw,if=floppy,readonly=on",
             "-debugcon", f"file:{console}", "-qmp", f"unix:{monitor},server=on,wait=off"],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        ends = time.monotonic() + PATIENCE_S
        while b"!" not in console.read_bytes():
            assert time.monotonic() < ends, "QEMU did not come to the demo's end"
            time.sleep(0.02)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(monitor))
        self._stream = self._socket.makefile("rw")
        self._stream.readline()
        self._ask("qmp_capabilities")

    def _ask(self, command: str, **arguments: str) -> None:
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        while "return" not in json.loads(self._stream.readline()):
            pass

    def picture(self) -> tuple[int, int, str]:
        """Return width, height and hash of what is on the screen now."""
        self._ask("screendump", filename=str(self.dump))
        _, size, _, pixels = self.dump.read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        return width, height, hashlib.sha256(pixels).hexdigest()

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()


@pytest.mark.qemu
@pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")
@pytest.mark.parametrize("name", DEMOS)
def test_qemu_shows_the_same(name: str, tmp_path: Path) -> None:
    qemu = Qemu(assemble(name, tmp_path), tmp_path)
    try:
        for _ in range(CURSOR_PHASES):
            shown = qemu.picture()
            if shown == claim(name):
                break
            time.sleep(0.1)  # the cursor blinks by the host's time
    finally:
        qemu.close()
    assert shown == claim(name)
