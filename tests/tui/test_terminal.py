"""The real command in a real terminal: tmux presses the keys and reads the screen."""

import os
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from minivm.debug.code import assemble

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
PROGRAM = "org 7C00h\n mov ax, 1\nagain: inc ax\n mov [7E00h], ax\n mov ah, 0Eh\n mov al, 'Z'\n int 10h\n jmp again"

PIXELS = """org 7C00h
 mov ax, 13h
 int 10h
 push 0A000h
 pop es
 xor di, di
 mov cx, 64000
 mov al, 2Ch
 rep stosb
 mov ah, 0
 int 16h
 mov bl, al
 mov ax, 3
 int 10h
 mov si, words
next: lodsb
 cmp al, 0
 je last
 mov ah, 0Eh
 int 10h
 jmp next
last: mov al, bl
 mov ah, 0Eh
 int 10h
rest: hlt
 jmp rest
words: db "back: ", 0
 times 510 - ($ - $$) db 0
 dw 0AA55h"""


class Terminal:
    def __init__(self, folder, *command):
        self.tmux = ["tmux", "-S", str(folder / "socket"), "-f", os.devnull]
        words = [sys.executable, "-m", "minivm", *command]
        environment = ["-e", f"XDG_CONFIG_HOME={folder}", "-e", "TEXTUAL_ANIMATIONS=none"]
        self._environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        # The shell tells how it ended: tmux's own word for that (remain-on-exit) gets lost where a SIGCHLD does.
        line = f"{shlex.join(words)}; echo ended with status $?; exec sleep 60"
        self._do("new-session", "-d", "-s", "one", "-x", "120", "-y", "40", *environment, line)

    def _do(self, *words):
        done = subprocess.run(
            [*self.tmux, *words], check=True, capture_output=True, text=True, timeout=20, env=self._environment
        )
        return done.stdout

    def press(self, *keys):
        self._do("send-keys", "-t", "one", *keys)

    def command(self, text):
        self.press(":")
        self._do("send-keys", "-t", "one", "-l", text)
        self.expect(text)
        self.press("Enter")

    @property
    def text(self):
        return self._do("capture-pane", "-p", "-t", "one")

    def expect(self, *wanted, seconds=15):
        end = time.monotonic() + seconds
        while not all(text in self.text for text in wanted):
            assert time.monotonic() < end, f"{wanted} did not come:\n{self.text}"
            time.sleep(0.1)

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], check=False, capture_output=True, timeout=20)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start(*command):
        opened.append(Terminal(tmp_path, *command))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_guest_is_booted_stopped_stepped_edited_and_continued(terminal, tmp_path):
    image = tmp_path / "guest.img"
    image.write_bytes(assemble(PROGRAM).code.ljust(510, b"\0") + b"\x55\xaa")
    one = terminal("tui", str(image), "--stop-at-start", "--layout", "learn")
    one.expect("PAUSED", "F000:FFF0")
    one.command("break 7C04h if ax == 2")
    one.expect("breakpoint at 7C04h")
    one.press("F5")
    one.expect("PAUSED", "► 0000:7C04", "AX 0002")
    one.press("F11")
    one.expect("► 0000:7C07")
    one.command("set al 'Q'")
    one.expect("al is 51h", "AX 0051")
    one.press("F10", "F10")
    one.expect("► 0000:7C0B")
    one.press("F10")
    one.expect("Z", "► 0000:7C0D")
    one.press("F5")
    one.expect("RUNNING")
    one.press("F12")
    one.expect("keys go to the guest")
    one.press("C-]")
    one.press("C-q")
    one.expect("ended with status 0")


def test_the_tour_opens_by_itself_and_takes_keys(terminal):
    one = terminal()
    one.expect("Welcome to MiniVM")
    one.press("F12")
    one.expect("keys go to the guest")
    one.press("k")
    one.expect("You pressed: k")
    one.press("F12")
    one.command("quit")
    one.expect("ended with status 0")


def test_a_graphics_mode_is_half_blocks_and_keys_still_reach_the_guest(terminal, tmp_path):
    image = tmp_path / "guest.img"
    image.write_bytes(assemble(PIXELS).code)
    one = terminal("tui", str(image), "--layout", "run")
    one.expect("▀" * 90)
    one.press("k")
    one.expect("back: k")
    assert "▀" not in one.text
    one.press("F12")
    one.press("C-q")
    one.expect("ended with status 0")
