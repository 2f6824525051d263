"""The face of a run whose output is a pipe or a file: serial text as it comes, the screen at the end."""

import os
import sys
from typing import TYPE_CHECKING, cast

from minivm.cli import report
from minivm.cli.lines import READ_BYTES, Lines
from minivm.cli.options import Settings
from minivm.console import Console
from minivm.core import cp437
from minivm.machine import Ended, Machine
from minivm.pictures.monitor import HOW_TO_WRITE, Monitor, shows_pixels, text_of

if TYPE_CHECKING:
    from minivm.cli.waiting import Waiter


class PlainFace:
    """Writes to standard output; with `--serial stdio` exact bytes, and standard input goes to the guest.

    Otherwise the serial ports' bytes become text: without carriage returns, those above 7Fh as code page 437.
    """

    patience = None

    def __init__(self, machine: Machine, wanted: Settings) -> None:
        self._machine, self._wanted = machine, wanted
        self._console = cast(Console, machine.console)
        self._monitor = cast(Monitor, machine.console)
        self._raw = any(spec.kind == "stdio" for spec in wanted.config.serial)
        self._waiting = bytearray()
        self._at_line_start = True
        self._input: int | None = _standard_input() if self._raw else None
        self._ready: list[int] = []
        self._waiter: Waiter | None = None
        self.lines = Lines(self._console.ports, wanted.config, self._waiting.extend)

    @property
    def may_wake(self) -> bool:
        """True while input may come that could wake a halted guest."""
        return self._input is not None or self.lines.may_wake

    def show(self) -> None:
        """Write the serial text that has come."""
        self.lines.flush()
        if not self._waiting:
            return
        data = bytes(self._waiting)
        self._waiting.clear()
        if self._wanted.json:
            return
        if not self._raw:
            data = as_text(data)
        write_all(data)
        self._at_line_start = data.endswith(b"\n") if data else self._at_line_start

    def take_input(self) -> Ended | None:
        """Hand on what has come on standard input and on the lines."""
        if self.may_wake:
            self._wait(0)
        if self._input is not None and self._input in self._ready:
            data = os.read(self._input, READ_BYTES)
            if not data:
                self._input = None
            elif self.lines.standard_port is not None:
                self.lines.standard_port.send(data)
        self.lines.take_input(self._ready)
        return None

    def wait(self, seconds: float | None) -> None:
        """Sleep until time is over or input comes."""
        self._wait(seconds)

    def finish(self, ended: Ended) -> None:
        """Write the rest, and the text screen as `--display` and `--screen` say.

        The screen of a run that timed out goes to standard error.
        """
        self.show()
        display, always = self._wanted.config.display, self._wanted.show_screen
        text = text_of(self._monitor)
        if shows_pixels(self._monitor):
            text = f"{text}; {HOW_TO_WRITE}"
        late = report.status_of(ended) == report.TIMED_OUT
        if late and not self._wanted.quiet:
            print(f"minivm: {report.sentence(ended, self._machine)}; the screen:\n{text or '(empty)'}", file=sys.stderr)
        wanted = always or display == "text" or (display != "none" and text and not late)
        if wanted and not self._wanted.json:
            before = "" if self._at_line_start else "\n"
            write_all(f"{before}{text}\n".encode(sys.stdout.encoding or "utf-8", "replace"))

    def close(self) -> None:
        """Free the host's things."""
        if self._waiter is not None:
            self._waiter.close()
            self._waiter = None
        self.lines.close()

    def _wait(self, seconds: float | None) -> None:
        if self._waiter is None:
            from minivm.cli.waiting import Waiter

            self._waiter = Waiter()
        files = self.lines.input_files()
        port = self.lines.standard_port
        if self._input is not None and port is not None and port.ready:
            files.append(self._input)
        self._ready = self._waiter.wait(files, seconds)


def as_text(data: bytes) -> bytes:
    """Return what a serial port sent as plain text in the encoding of standard output."""
    data = data.replace(b"\r", b"")
    if data.isascii():
        return data
    text = "".join(chr(byte) if byte < 0x80 else cp437.GLYPHS[byte] for byte in data)
    return text.encode(sys.stdout.encoding or "utf-8", "replace")


def write_all(data: bytes) -> None:
    """Write to standard output at once, behind what was printed before."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # a test's substitute
        sys.stdout.write(data.decode("utf-8", "replace"))
        return
    buffer.write(data)
    buffer.flush()


def _standard_input() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
