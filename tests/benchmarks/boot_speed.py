"""Measure CDs to their first text: `python tests/benchmarks/boot_speed.py [REPEATS]` prints JSON.

Each is a whole process, from the command to the text on the screen, MiniVM and QEMU's TCG by turns with the same memory
and the same CD; the best time counts. QEMU's screen is read by its monitor every few milliseconds, as text memory. A
CD whose Debian package is missing is left out.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

QEMU = "qemu-system-i386"
MEMTEST_CD = Path("/usr/lib/memtest86+/memtest86+ia32.iso")
MEMTEST_TEXT, MENU_TEXT = "Press <F1> to configure", "An entry of ours"
MENU = f'set timeout=-1\nmenuentry "{MENU_TEXT}" {{ true }}\n'
MEMORY_MB = 64
TEXT_MEMORY, TEXT_BYTES = 0xB8000, 0x8000
POLL_SECONDS, LONGEST_SECONDS = 0.005, 60


def grub_cd(folder: Path) -> Path | None:
    """Make GRUB's CD with a menu of one entry; None where its tools are missing."""
    if not shutil.which("grub-mkrescue") or not shutil.which("xorriso"):
        return None
    config = folder / "cd/boot/grub/grub.cfg"
    config.parent.mkdir(parents=True)
    config.write_text(MENU, encoding="utf-8")
    image = folder / "grub.iso"
    subprocess.run(["grub-mkrescue", "-o", image, folder / "cd"], check=True, capture_output=True)
    return image


def minivm_seconds(image: Path, text: str) -> tuple[float, float]:
    """Return the wall and the CPU time of MiniVM's whole process."""
    script = Path(sys.executable).with_name("minivm")
    command = [script, "run", image, "--memory", f"{MEMORY_MB}M", "--display", "none", "--quiet", "--expect", text]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"MiniVM ended with status {process.returncode} and never showed {text!r}")
    return wall, usage.ru_utime + usage.ru_stime


class Qemu:
    """A QEMU with a CD, and its monitor on standard input and output."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._dump = folder / "screen.bin"
        command = [QEMU, "-accel", "tcg", "-m", str(MEMORY_MB), "-nodefaults", "-vga", "std", "-display", "none"]
        command += ["-qmp", "stdio", "-boot", "d", "-drive", f"file={image},format=raw,if=ide,media=cdrom,readonly=on"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self._ask("qmp_capabilities")

    def _ask(self, command: str, **arguments: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        while "return" not in json.loads(self.process.stdout.readline()):
            pass

    def wait_for(self, text: bytes) -> None:
        """Wait until text memory holds `text`."""
        deadline = time.perf_counter() + LONGEST_SECONDS
        while True:
            self._ask("pmemsave", val=TEXT_MEMORY, size=TEXT_BYTES, filename=str(self._dump))
            if text in self._dump.read_bytes()[::2]:
                return
            if time.perf_counter() > deadline:
                sys.exit(f"QEMU never showed {text!r}")
            time.sleep(POLL_SECONDS)


def qemu_seconds(image: Path, text: str, folder: Path) -> tuple[float, float]:
    """Return the wall and the CPU time of QEMU's whole process."""
    begin = time.perf_counter()
    machine = Qemu(image, folder)
    try:
        machine.wait_for(text.encode("cp437"))
        wall = time.perf_counter() - begin
    finally:
        machine.process.kill()
    _, _, usage = os.wait4(machine.process.pid, 0)
    machine.process.returncode = 0
    with suppress(OSError):
        for stream in (machine.process.stdin, machine.process.stdout):
            if stream is not None:
                stream.close()
    return wall, usage.ru_utime + usage.ru_stime


def measure(repeats: int) -> dict[str, dict[str, list[float] | None]]:
    """Return for each CD the best (wall, CPU) seconds of MiniVM and of QEMU, None without QEMU."""
    found: dict[str, dict[str, list[float] | None]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cds = {"grub": (grub_cd(folder), MENU_TEXT), "memtest86+": (MEMTEST_CD, MEMTEST_TEXT)}
        for cd, (image, text) in cds.items():
            if image is None or not image.is_file():
                continue
            ours, theirs = [], []
            for _ in range(repeats):
                ours.append(minivm_seconds(image, text))
                if shutil.which(QEMU):
                    theirs.append(qemu_seconds(image, text, folder))
            found[cd] = {"minivm": best(ours), "qemu": best(theirs)}
    return found


def best(times: list[tuple[float, float]]) -> list[float] | None:
    """Return the best wall and the best CPU time."""
    return [min(wall for wall, _ in times), min(cpu for _, cpu in times)] if times else None


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
