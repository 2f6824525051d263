"""The guests on QEMU: what their headers claim holds for a PC, and not only for MiniVM's idea of one."""

import hashlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minivm import bundled

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86_64 is not installed"),
]

KEY_NAMES = {" ": "spc", "\n": "ret", "\t": "tab", "\x1b": "esc", ".": "dot", "-": "minus", ",": "comma", "/": "slash"}
MULTIBOOT_MAGIC = b"\x02\xb0\xad\x1b"
ACTIVE_PARTITION = 0x80
"""The first byte of the partition table at 1BEh in the image of a hard disk."""


def keys_of(script: str) -> list[str]:
    """Turn the --type notation into the monitor's key names."""
    keys = []
    for special, character in re.findall(r"<([^>]+)>|((?:\\.)|.)", script):
        plain = {"\\n": "\n", "\\t": "\t", "\\e": "\x1b"}.get(character, character)
        if special or not plain.isupper():
            keys.append(special.lower() or KEY_NAMES.get(plain, plain))
        else:
            keys.append(f"shift-{plain.lower()}")
    return keys


class Qemu:
    """A QEMU with its monitor on a socket, its serial port in a file, and the exit device where MiniVM has it."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._serial, self._log, self._dump = folder / "serial", folder / "log", folder / "dump"
        self._screendump = folder / "screendump"
        begins = image.read_bytes()[:8192]
        media: list[str | Path] = ["-drive", f"if=floppy,format=raw,readonly=on,file={image}"]
        if MULTIBOOT_MAGIC in begins:
            media = ["-kernel", image]
        elif begins[0x1BE] == ACTIVE_PARTITION:
            media = ["-drive", f"if=ide,format=raw,snapshot=on,file={image}"]
        command: list[str | Path] = ["qemu-system-x86_64", "-accel", "tcg", "-m", "64", "-display", "none", *media]
        command += ["-no-reboot", "-no-shutdown"]  # pause at a triple fault, so that the screen can still be read
        command += ["-net", "none", "-rtc", "base=2026-01-01T00:00:00", "-serial", f"file:{self._serial}"]
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-d", "cpu_reset", "-D", self._log]
        command += ["-monitor", f"unix:{folder / 'monitor'},server,nowait"]
        self._process = subprocess.Popen(
            command,
            stderr=subprocess.DEVNULL,
        )
        self._monitor = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 10
        while self._monitor.connect_ex(str(folder / "monitor")) != 0:
            assert time.monotonic() < deadline, "QEMU's monitor does not answer"
            time.sleep(0.02)
        self._monitor.settimeout(2)
        self._answer()
        self._last_output = ""

    def ask(self, command: str) -> str:
        """Return the monitor's answer, or nothing when QEMU has ended."""
        try:
            self._monitor.sendall(command.encode() + b"\n")
            return self._answer()
        except OSError:
            return ""

    def _answer(self) -> str:
        text = b""
        while not text.endswith(b"(qemu) "):
            part = self._monitor.recv(65536)
            if not part:
                raise ConnectionError
            text += part
        return text.decode(errors="replace")

    def output(self) -> str:
        """Return all serial output and the text screen, or the last seen screen after QEMU's end."""
        self.ask(f'pmemsave 0xb8000 4000 "{self._dump}"')
        cells = self._dump.read_bytes()[::2] if self._dump.exists() else b""
        rows = [cells[start : start + 80].decode("cp437").replace("\0", " ").rstrip() for start in range(0, 2000, 80)]
        serial = self._serial.read_text(encoding="cp437") if self._serial.exists() else ""
        return serial + "\n".join(rows)

    def picture(self) -> tuple[int, int, str]:
        """Return width, height and hash of what is on the screen now."""
        self.ask(f'screendump "{self._screendump}"')
        _, size, _, pixels = self._screendump.read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        return width, height, hashlib.sha256(pixels).hexdigest()

    def cell(self, row: int, column: int) -> bytes:
        """Return the character and the attribute of a cell of the text screen."""
        self.ask(f'pmemsave 0xb8000 4000 "{self._dump}"')
        start = (row * 80 + column) * 2
        return self._dump.read_bytes()[start : start + 2]

    def status(self) -> int | None:
        """Return what `minivm run` would return, or None while the guest goes on."""
        registers = self.ask("info registers")
        halted = re.search(r"EFL=([0-9a-f]+).*HLT=1|RFL=([0-9a-f]+).*HLT=1", registers)
        if halted and not int(halted[1] or halted[2], 16) & 0x200:
            return 0
        if "shutdown" in self.ask("info status"):
            return 3 if "Triple fault" in self._log.read_text() else 0
        return self._process.poll()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._monitor.close()


@pytest.mark.parametrize("guest", bundled.guests(), ids=lambda guest: guest.name)
def test_a_guest_keeps_its_claim_on_qemu(guest: bundled.Guest, tmp_path: Path) -> None:
    qemu = Qemu(guest.image, tmp_path)
    seen, status, to_type = "", None, keys_of(guest.types or "")
    deadline = time.monotonic() + 40
    try:
        while status is None and time.monotonic() < deadline:
            seen += qemu.output()
            if to_type and guest.prints[0] in seen:
                qemu.ask(f"sendkey {to_type.pop(0)} 40")
                time.sleep(0.08)
            time.sleep(0.05)
            status = qemu.status()
        seen += qemu.output()
        if guest.shows:
            assert qemu.picture() == guest.shows
    finally:
        qemu.close()
    position = 0
    for text in guest.prints:
        found = seen.find(text, position)
        assert found >= 0, f"{text!r} never appeared in order on:\n{seen[-3000:]}"
        position = found
    assert status == guest.exit_status


def test_the_mouse_guest_follows_a_mouse_on_qemu(tmp_path: Path) -> None:
    guest = bundled.find("mouse")
    assert guest is not None
    qemu = Qemu(guest.image, tmp_path)
    try:
        wait_until(lambda: "column 40, row 12" in qemu.output())
        qemu.ask("mouse_move 40 -16")
        wait_until(lambda: "column 45, row 10" in qemu.output())
        qemu.ask("mouse_button 1")
        qemu.ask("mouse_button 0")
        wait_until(lambda: qemu.cell(10, 45) == b"\x20\x68")
        qemu.ask("mouse_move 0 -16")
        wait_until(lambda: qemu.cell(10, 45) == b"\x20\x1f")
    finally:
        qemu.close()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "QEMU does not come to this point"
        time.sleep(0.05)
