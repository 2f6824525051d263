"""What the command line's tests share."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minivm.cli.main import main

MINIVM = Path(sys.executable).with_name("minivm")
LONGEST_S = 40
SECTOR_END = "\n times 510 - ($ - $$) db 0\n dw 0xAA55\n"


class Result:
    """The outcome of one command: status, standard output, standard error."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def assert_one_line(self, status: int, *words: str) -> None:
        """The command failed with `status` and one line on standard error that has all `words`."""
        assert self.status == status, self.out + self.err
        assert self.err.startswith("minivm: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        for word in words:
            assert word in self.err


@pytest.fixture
def minivm(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command line inside this process."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(status, out, err)

    return run


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run a command line as a process of its own, with bytes for standard input."""

    def run(*arguments: object, stdin: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
        words = [str(MINIVM), *map(str, arguments)]
        options = {"capture_output": True, "timeout": 60, "check": False} | options
        return subprocess.run(words, input=stdin, **options)

    return run


@pytest.fixture
def sector(tmp_path: Path) -> Callable[[str], Path]:
    """Assemble a boot sector from the lines of its body; it starts in real mode at 7C00h with DS = 0 and a stack."""
    from minivm.debug.code import assemble

    def make(body: str, name: str = "sector.img") -> Path:
        head = " bits 16\n org 0x7C00\n xor ax, ax\n mov ds, ax\n mov es, ax\n mov ss, ax\n mov sp, 0x7C00\n"
        path = tmp_path / name
        path.write_bytes(assemble(head + body + SECTOR_END).code)
        return path

    return make


class Screen:
    """Just enough of a terminal to know what stands where."""

    TOKEN = re.compile(r"\x1b\[([?\d;]*) ?([A-Za-z])|([\r\n])|([^\x1b\r\n])")

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells, self.row, self.column = {}, 0, 0
        self.alternate = self.cursor = False
        self.unfinished = ""

    def feed(self, text):
        text = self.unfinished + text
        self.unfinished = re.search(r"(\x1b(\[[?\d; ]*)?)?$", text)[0]
        text = text.removesuffix(self.unfinished)
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

    def __init__(self, *arguments, rows=30, columns=90, program=(MINIVM,), **environment):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.process = subprocess.Popen(
            [*program, "run", *map(str, arguments)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
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
                text = self.decode(os.read(self.master, 65536))
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
            self.screen.feed(self.decode(os.read(self.master, 65536)))
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
