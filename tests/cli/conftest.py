"""What the command line's tests share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minivm.cli.main import main

MINIVM = Path(sys.executable).with_name("minivm")
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
