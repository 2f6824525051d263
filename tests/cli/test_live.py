"""`minivm run` on a terminal: a pty with a small emulator of our own, and tmux where it is installed."""

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

MINIVM = Path(sys.executable).with_name("minivm")
LONGEST_S = 40


class Screen:
    """Just enough of a terminal to know what stands where."""

    TOKEN = re.compile(r"\x1b\[([?\d;]*) ?([A-Za-z])|([\r\n])|([^\x1b\r\n])")

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells, self.row, self.column = {}, 0, 0
        self.alternate = self.cursor = False

    def feed(self, text):
        for parameters, final, control, character in self.TOKEN.findall(text):
            if character:
                self.cells[self.row, min(self.column, self.columns - 1)] = character
                self.column += 1
            elif control:
                self.row, self.column = (self.row + 1, self.column) if control == "\n" else (self.row, 0)
            elif final == "H":
                self.row, self.column = (int(number) - 1 for number in parameters.split(";"))
            elif final == "J":
                self.cells.clear()
            elif parameters in ("?1049", "?25"):
                setattr(self, "alternate" if parameters == "?1049" else "cursor", final == "h")
                if parameters == "?1049":
                    self.cells, self.row, self.column = {}, 0, 0

    def line(self, row):
        return "".join(self.cells.get((row, column), " ") for column in range(self.columns)).rstrip()

    def text(self):
        return "\n".join(self.line(row) for row in range(self.rows))


class OnTerminal:
    """One `minivm run` on a pty."""

    def __init__(self, *arguments, rows=30, columns=90, **environment):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""
        self.process = subprocess.Popen(
            [MINIVM, "run", *map(str, arguments)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env=os.environ | {"TERM": "xterm-256color", "COLORTERM": ""} | environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def resize(self, rows, columns):
        self.screen = Screen(rows, columns)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def until(self, condition):
        """Read what comes until the condition holds for `self`; return in how many seconds."""
        os.set_blocking(self.master, False)
        began = time.monotonic()
        while not condition(self):
            assert time.monotonic() - began < LONGEST_S, self.screen.text()
            with contextlib.suppress(BlockingIOError, OSError):
                text = os.read(self.master, 65536).decode("utf-8", "replace")
                self.seen += text
                self.screen.feed(text)
                continue
            time.sleep(0.002)
        return time.monotonic() - began

    def shows(self, text):
        return self.until(lambda one: text in one.screen.text())

    def ends(self):
        """Wait for the end and return the status; the terminal must be as it was."""
        self.until(lambda one: one.process.poll() is not None)
        with contextlib.suppress(BlockingIOError, OSError):
            self.screen.feed(os.read(self.master, 65536).decode())
        assert termios.tcgetattr(self.slave) == self.before
        assert not self.screen.alternate
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    opened = []

    def start(*arguments, **options):
        opened.append(OnTerminal(*arguments, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_keys_reach_the_guest_and_ctrl_a_x_quits(terminal):
    one = terminal("echo")
    one.shows("Type; Esc ends.")
    assert one.screen.alternate
    one.type("hi there\r\x1b[A")
    one.shows("hi there")
    one.shows("[scan code 48]")
    assert "Ctrl-A X quits" in one.screen.text()
    one.type("\x01x")
    assert one.ends() == 0
    assert "hi there" in one.screen.text()
    assert "minivm: ended by Ctrl-A X after" in one.screen.text()


def test_a_lone_escape_is_the_escape_key(terminal):
    one = terminal("echo")
    one.shows("Esc ends.")
    one.type("\x1b")
    assert one.ends() == 0
    assert "Bye." in one.screen.text()
    assert "halted for good" in one.screen.text()


@pytest.mark.timing
def test_a_key_acts_within_50_ms(terminal):
    one = terminal("echo")
    one.shows("Esc ends.")
    times = []
    for letter in "qwrtzu":
        time.sleep(0.06)
        one.type(letter)
        times.append(one.shows("q" + "qwrtzu"[1 : "qwrtzu".index(letter) + 1]))
    assert sorted(times)[2] < 0.05  # others use this CPU, too: the better half must hold


def test_help_is_shown_over_the_screen_and_goes_away(terminal):
    one = terminal("echo")
    one.shows("Esc ends.")
    one.type("\x01h")
    one.shows("press the reset button")
    one.type(" ")
    one.until(lambda one: "reset button" not in one.screen.text() and "Esc ends." in one.screen.text())


def test_reset_starts_the_guest_again(terminal):
    one = terminal("shell")
    one.shows("Try: help")
    one.type("echo abc\r")
    one.shows("\nabc")
    one.type("\x01r")
    one.until(lambda one: "abc" not in one.screen.text() and "Try: help" in one.screen.text())


def test_ctrl_a_a_types_ctrl_a(terminal):
    one = terminal("scancodes")
    one.shows("scan")
    one.type("\x01a")
    one.until(lambda one: "1D" in one.screen.text() and "1E" in one.screen.text())


def test_a_new_size_draws_the_screen_again_and_a_tiny_one_shows_the_cursor(terminal):
    one = terminal("shell")
    one.shows("Try: help")
    for rows, columns in ((26, 80), (25, 80), (3, 10), (1, 1), (40, 132)):
        one.resize(rows, columns)
        one.until(lambda one, text=">" if columns > 1 else "": text in one.screen.text() and one.screen.cells)
    one.shows("Try: help")
    one.type("\x01x")
    assert one.ends() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_ends_the_run_and_gives_the_terminal_back(terminal, number, status):
    one = terminal("shell")
    one.shows("Try: help")
    one.process.send_signal(number)
    assert one.ends() == status


def test_an_error_in_the_run_gives_the_terminal_back(terminal):
    one = terminal("shell", "--expect", "Try:", "--type", "x", "--expect", "never", "--speed", "max")
    assert one.ends() == 1
    assert "'never' did not come" in one.screen.text()


def test_stopping_the_process_gives_the_terminal_back_until_it_goes_on(terminal):
    one = terminal("shell")
    one.shows("Try: help")
    one.process.send_signal(signal.SIGTSTP)  # nobody could wake the pty's only process, so the kernel lets it run on
    one.until(lambda one: "\x1b[?1049l" in one.seen)
    one.process.send_signal(signal.SIGCONT)
    one.until(lambda one: one.screen.alternate and "Try: help" in one.screen.text())
    one.type("echo on\r")
    one.shows("\non")


def test_serial_output_is_seen_while_the_screen_is_empty(terminal):
    one = terminal("serial")
    one.shows("All sent.")
    assert one.ends() == 0
    assert "1049h" not in one.seen


def test_serial_stdio_makes_the_terminal_the_line_and_ctrl_a_c_shows_the_screen(terminal):
    one = terminal("shell", "--serial", "stdio")
    time.sleep(0.5)
    assert not one.screen.alternate
    one.type("\x01c")
    one.shows("Try: help")
    one.type("help\r")
    one.shows("help echo mem")


def test_display_none_never_draws_the_screen(terminal):
    one = terminal("hello-bios", "--display", "none")
    assert one.ends() == 0
    assert "1049h" not in one.seen
    assert "Hello" not in one.seen


def test_quiet_says_nothing_at_the_end(terminal):
    one = terminal("hello-bios", "--quiet")
    assert one.ends() == 0
    assert one.screen.text().strip() == "Hello from the BIOS!"


def test_a_triple_fault_leaves_screen_and_autopsy(terminal):
    one = terminal("triplefault", rows=50, columns=120)
    assert one.ends() == 3
    assert "No vector table" in one.screen.text()
    assert "double fault" in one.screen.text()


def test_a_dumb_terminal_gets_plain_text(terminal):
    one = terminal("hello-bios", TERM="dumb")
    assert one.ends() == 0
    assert "\x1b" not in one.seen
    assert "Hello from the BIOS!" in one.screen.text()


def test_no_color_is_obeyed(terminal):
    one = terminal("tour", NO_COLOR="1")
    one.shows("Welcome to MiniVM")
    assert "38;" not in one.seen
    assert "48;" not in one.seen


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_tmux_a_shell_session_works_and_quits():
    socket = f"minivm-test-{os.getpid()}"

    def tmux(*words):
        command = ["tmux", "-L", socket, "-f", os.devnull, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def shows(text):
        deadline = time.monotonic() + LONGEST_S
        while text not in (pane := tmux("capture-pane", "-p", "-t", "vm")):
            assert time.monotonic() < deadline, pane
            time.sleep(0.05)

    try:
        tmux("new-session", "-d", "-s", "vm", "-x", "90", "-y", "30", f"{MINIVM} run shell; echo status $?; sleep 30")
        shows("Try: help")
        tmux("send-keys", "-t", "vm", "echo It works", "Enter")
        shows("\nIt works")
        tmux("resize-window", "-t", "vm", "-x", "40", "-y", "10")
        shows("> ")
        tmux("send-keys", "-t", "vm", "C-a", "x")
        shows("status 0")
    finally:
        tmux("kill-server")
