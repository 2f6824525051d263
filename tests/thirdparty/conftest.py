"""Run a disk image on MiniVM and on QEMU side by side, with the same keys, and compare what the two screens say."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import minivm
from minivm import bundled
from minivm.core.picture import Picture

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
TEXT_MEMORY, SCREEN_BYTES = 0xB8000, 4000
KEY_NAMES = {
    " ": "spc", "\n": "ret", "-": "minus", "=": "equal", ".": "dot", ",": "comma", "/": "slash", "\b": "backspace",
    "(": "shift-9", ")": "shift-0", ":": "shift-semicolon",
}  # fmt: skip
SYSLINUX, ISOLINUX = "/usr/lib/syslinux/modules/bios", "/usr/lib/ISOLINUX/isolinux.bin"
GRUB, GRUB_MODULES = "/usr/lib/grub/i386-pc", "biosdisk fat part_msdos normal multiboot ls echo halt"
FLOPPY, SECTOR = 1474560, 512
FAT_PARAMETERS = slice(3, 0x5A)
"""Where a FAT boot sector has its parameters; GRUB's boot.img leaves room for them."""
GRUB_MENU = """
set timeout=-1
menuentry "A kernel of ours" { multiboot /boot/kernel some words; }
menuentry "Switch off" { halt }
"""
SYSLINUX_MENU = """
UI menu.c32
MENU TITLE A menu
LABEL one
  MENU LABEL Switch off
  COM32 poweroff.c32
LABEL two
  MENU LABEL Second
  KERNEL missing
"""
BOOT_LETTERS = {"floppy": "a", "disk": "c", "cdrom": "d"}


def tool(name: str) -> str:
    """Return a program's path; without it the test skips."""
    found = shutil.which(name, path=SEARCH_PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def part(path: str) -> bytes:
    """Return a file of a Debian package; without it the test skips."""
    if not Path(path).is_file():
        pytest.skip(f"{path} is not installed")
    return Path(path).read_bytes()


def run_tool(name: str, *arguments: object, stdin: str | None = None) -> None:
    """Run a program to its end."""
    command = [tool(name), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, text=True, input=stdin, timeout=60)


class QemuPc:
    """A QEMU with its QMP monitor on standard input and output."""

    def __init__(self, image: Path, drive: str) -> None:
        medium = {"floppy": "if=floppy", "disk": "if=ide", "cdrom": "if=ide,media=cdrom"}[drive]
        command = [tool("qemu-system-i386"), "-accel", "tcg", "-m", "32", "-nodefaults", "-vga", "std"]
        command += ["-display", "none", "-qmp", "stdio", "-boot", BOOT_LETTERS[drive]]
        command += ["-drive", f"file={image},format=raw,{medium},snapshot=on"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self._dump = image.with_suffix(".dump")
        self._from_qemu().readline()
        self.ask("qmp_capabilities")

    def _from_qemu(self) -> Any:
        return self._process.stdout

    def ask(self, command: str, **arguments: object) -> Any:
        """Execute a QMP command and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        while True:
            answer = json.loads(self._from_qemu().readline())
            if "event" not in answer:
                assert "error" not in answer, answer
                return answer["return"]

    def rows(self) -> list[str]:
        """Return the screen's 25 rows, without what SeaBIOS said before the guest."""
        self.ask("pmemsave", val=TEXT_MEMORY, size=SCREEN_BYTES, filename=str(self._dump))
        rows = rows_of(self._dump.read_bytes())
        booting = [number for number, row in enumerate(rows) if row.startswith("Booting from")]
        return rows[booting[-1] + 1 :] if booting else rows

    def expect(self, text: str) -> None:
        """Wait until the screen shows `text`."""
        deadline = time.monotonic() + 30
        while not any(text in row for row in self.rows()):
            assert time.monotonic() < deadline, "\n".join([f"QEMU never showed {text!r}:", *self.rows()])
            time.sleep(0.05)

    def type(self, keys: str) -> None:
        """Press keys in the notation of --type."""
        for special, plain in re.findall(r"<([^>]+)>|(.)", keys, re.DOTALL):
            name = special.lower() or KEY_NAMES.get(plain, f"shift-{plain.lower()}" if plain.isupper() else plain)
            self.ask("human-monitor-command", **{"command-line": f"sendkey {name} 20"})
            time.sleep(0.06)

    def picture(self) -> Picture:
        """Return the pixels that the monitor shows now."""
        self.ask("screendump", filename=str(self._dump))
        _, size, _, pixels = self._dump.read_bytes().split(b"\n", 3)
        return Picture(*map(int, size.split()), pixels)

    def show(self, picture: Picture) -> None:
        """Wait until the monitor shows `picture`, pixel for pixel."""
        deadline = time.monotonic() + 30
        while (shown := self.picture()) != picture:
            wrong = f"QEMU never showed the picture, but one of {shown.width} x {shown.height}"
            assert time.monotonic() < deadline, wrong
            time.sleep(0.1)

    def close(self) -> None:
        """Stop QEMU."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def qemu(image: Path, drive: str) -> Iterator[QemuPc]:
    """Give a QEMU with an image in a drive, "floppy", "disk" or "cdrom"; it ends with the block."""
    machine = QemuPc(image, drive)
    try:
        yield machine
    finally:
        machine.close()


def rows_of(memory: bytes) -> list[str]:
    """Turn text memory of 80 columns into rows."""
    return [
        memory[start : start + 160 : 2].decode("cp437").replace("\0", " ").rstrip() for start in range(0, 4000, 160)
    ]


def run_on_minivm(image: Path, hard_disk: bool, steps: tuple[str, ...]) -> list[str]:
    with minivm.boot(image, memory="32M", boot="disk" if hard_disk else "floppy") as vm:
        for number, step in enumerate(steps):
            if number % 2:
                vm.type(step)
            else:
                vm.expect(step, timeout=60)
        vm.run(ms=300)
        return rows_of(bytes(vm.memory.view[TEXT_MEMORY : TEXT_MEMORY + SCREEN_BYTES]))


def run_on_qemu(image: Path, hard_disk: bool, steps: tuple[str, ...]) -> list[str]:
    with qemu(image, "disk" if hard_disk else "floppy") as machine:
        for number, step in enumerate(steps):
            if number % 2:
                machine.type(step)
            else:
                machine.expect(step)
        time.sleep(0.3)
        return machine.rows()


@pytest.fixture
def side_by_side() -> Callable[..., list[str]]:
    """Return `run(image, *steps, hard_disk=False)`: MiniVM's rows, after a comparison with QEMU's where there is one.

    `steps` are in turn a text to wait for and keys to press; the first and the last are texts. `known` is a difference:
    (MiniVM's words, QEMU's words).
    """

    def run(image: Path, *steps: str, hard_disk: bool = False, known: tuple[str, str] = ("", "")) -> list[str]:
        ours = run_on_minivm(image, hard_disk, steps)
        if shutil.which("qemu-system-i386", path=SEARCH_PATH):
            theirs = run_on_qemu(image, hard_disk, steps)
            assert [row.replace(*known) for row in ours if row] == [row for row in theirs if row]
        return ours

    return run


@pytest.fixture
def start_qemu() -> Callable[..., AbstractContextManager[QemuPc]]:
    """Return `qemu(image, drive)`, which gives a QEMU for a block, and skips the test where it is not installed."""
    return qemu


@pytest.fixture(scope="session")
def run_command() -> Callable[..., None]:
    """Return `run(name, *arguments, stdin=None)`, which skips the test where the program is not installed."""
    return run_tool


@pytest.fixture(scope="session")
def debian_file() -> Callable[[str], bytes]:
    """Return `read(path)`, which skips the test where the file is not installed."""
    return part


@pytest.fixture(scope="session")
def partitioned_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a hard disk of two partitions, to be read; the first has a FAT file system with words.txt."""
    folder = tmp_path_factory.mktemp("partitioned")
    image, words = folder / "partitioned.img", folder / "words.txt"
    image.write_bytes(bytes(8 << 20))
    words.write_text("from a partition\n")
    layout = "label: dos\nstart=63, size=8064, type=6\nstart=8127, size=8064, type=83\n"
    run_tool("sfdisk", "-q", image, stdin=layout)
    run_tool("mkfs.fat", "-F", "16", "-s", "1", "--offset", 63, "-h", 63, image, 4032)
    run_tool("mcopy", "-i", f"{image}@@{63 * 512}", words, "::")
    return image


@pytest.fixture(scope="session")
def grub_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a menu for GRUB and a Multiboot kernel."""
    folder, kernel = tmp_path_factory.mktemp("grub"), bundled.find("multiboot")
    assert kernel is not None
    (folder / "boot/grub").mkdir(parents=True)
    (folder / "boot/grub/grub.cfg").write_text(GRUB_MENU)
    shutil.copy(kernel.image, folder / "boot/kernel")
    return folder


@pytest.fixture(scope="session")
def grub_cd(grub_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a rescue CD of GRUB's."""
    image = tmp_path_factory.mktemp("grub-cd") / "grub.iso"
    run_tool("grub-mkrescue", "-o", image, grub_files)
    return image


@pytest.fixture(scope="session")
def grub_floppy(grub_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a diskette with a FAT file system, and GRUB in its boot sector and the reserved sectors behind it."""
    folder = tmp_path_factory.mktemp("grub-floppy")
    core, image = folder / "core.img", folder / "grub.img"
    run_tool("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(fd0)/boot/grub", *GRUB_MODULES.split())
    loader = bytearray(part(f"{GRUB}/boot.img") + core.read_bytes())
    run_tool("mkfs.fat", "-F", "12", "-R", -(-len(loader) // SECTOR), "-C", image, FLOPPY // 1024)
    run_tool("mcopy", "-s", "-i", image, grub_files / "boot", "::")
    data = bytearray(image.read_bytes())
    loader[FAT_PARAMETERS] = data[FAT_PARAMETERS]
    data[: len(loader)] = loader
    image.write_bytes(data)
    return image


@pytest.fixture(scope="session")
def menu_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with SYSLINUX's text menu, without its boot loader."""
    folder = tmp_path_factory.mktemp("menu")
    for name in ("menu", "libutil", "libcom32", "poweroff"):
        (folder / f"{name}.c32").write_bytes(part(f"{SYSLINUX}/{name}.c32"))
    (folder / "syslinux.cfg").write_text(SYSLINUX_MENU)
    return folder


@pytest.fixture(scope="session")
def menu_floppy(menu_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a diskette with SYSLINUX and its text menu."""
    image = tmp_path_factory.mktemp("menu-floppy") / "menu.img"
    run_tool("mkfs.fat", "-C", image, FLOPPY // 1024)
    run_tool("syslinux", "--install", image)
    run_tool("mcopy", "-i", image, *sorted(menu_files.iterdir()), "::")
    return image


@pytest.fixture(scope="session")
def menu_cd(menu_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a CD with ISOLINUX and its text menu."""
    folder = tmp_path_factory.mktemp("menu-cd")
    shutil.copytree(menu_files, folder / "cd")
    (folder / "cd/isolinux.bin").write_bytes(part(ISOLINUX))
    (folder / "cd/ldlinux.c32").write_bytes(part(f"{SYSLINUX}/ldlinux.c32"))
    run_tool("xorriso", "-as", "mkisofs", "-o", folder / "menu.iso", "-b", "isolinux.bin", "-c", "boot.cat",
             "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", folder / "cd")  # fmt: skip
    return folder / "menu.iso"


@pytest.fixture(autouse=True, params=["plain", pytest.param("replayed", marks=pytest.mark.slow)])
def replay_of_every_run(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """As "replayed", record every machine that a test boots, and hold its replay in other slices to be the same run."""
    if request.param == "plain":
        yield
        return
    paths: list[Path] = []
    boot = minivm.boot

    def recorded(guest: Any = None, **options: Any) -> minivm.Machine:
        paths.append(tmp_path / f"run-{len(paths)}.mvr")
        return boot(guest, record=paths[-1], **options)

    monkeypatch.setattr(minivm, "boot", recorded)
    yield
    for path in paths:
        with minivm.replay(path, slice_ticks=77_777) as replay:
            replay.verify()
