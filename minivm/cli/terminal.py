"""The host's terminal: raw mode and back, size, signals.

Whatever happens, the terminal is given back as it was: at the end, after an error, when the process is stopped from
outside and when it is told to go.
"""

import os
import signal
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

SCREEN_ON = "\x1b[?1049h\x1b[?7l\x1b[2J"
SCREEN_OFF = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
DEFAULT_SHAPE = "\x1b[0 q"
DEFAULT_SIZE = 24, 80
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6


def is_terminal() -> bool:
    """Tell whether standard input and output are a terminal on which a screen can be drawn."""
    try:
        both = os.isatty(sys.stdin.fileno()) and os.isatty(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):
        return False
    return both and os.environ.get("TERM", "dumb") != "dumb"


class Terminal:
    """Use as a context manager. `on_change` is called when the size changed or after a stop: draw everything again."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.input, self._output = sys.stdin.fileno(), sys.stdout.fileno()
        self.encoding = sys.stdout.encoding or "utf-8"
        self.shapes = os.environ.get("TERM") != "linux"
        self._on_change = on_change
        self._saved: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self.screen = False

    def __enter__(self) -> "Terminal":
        self._enter()
        with suppress(ValueError):  # raised outside of the main thread
            self._handlers = {
                signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._resized),
                signal.SIGTSTP: signal.signal(signal.SIGTSTP, self._stopped),
            }
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the terminal back; a second time does nothing."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        self._leave()
        self.screen = False

    def show_screen(self, on: bool) -> None:
        """Change to the alternate screen, or back to the normal one."""
        if on != self.screen:
            self.screen = on
            self.write(SCREEN_ON if on else self._screen_off())

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        try:
            size = os.get_terminal_size(self._output)
        except OSError:
            return DEFAULT_SIZE
        return (size.lines, size.columns) if size.lines and size.columns else DEFAULT_SIZE

    @property
    def cell(self) -> tuple[int, int] | None:
        """Width and height of a character in pixels, where the terminal's driver knows them (tty_ioctl(4))."""
        import fcntl

        try:
            data = fcntl.ioctl(self._output, termios.TIOCGWINSZ, bytes(8))
        except OSError:
            return None
        rows, columns, width, height = struct.unpack("4H", data)
        return (width // columns, height // rows) if columns and rows and width >= columns and height >= rows else None

    def read(self) -> bytes:
        """Return what was typed; nothing at all when the terminal is gone."""
        try:
            return os.read(self.input, 4096)
        except OSError:
            return b""

    def write(self, text: str) -> None:
        """Write `text`; what the terminal's encoding lacks becomes a question mark."""
        self.write_bytes(text.encode(self.encoding, "replace"))

    def write_bytes(self, data: bytes) -> None:
        """Write all of `data`, in pieces where the terminal is slow."""
        waiting = memoryview(data)
        while waiting:
            try:
                waiting = waiting[os.write(self._output, waiting) :]
            except BlockingIOError:
                import select

                select.select((), [self._output], ())

    def _enter(self) -> None:
        sys.stdout.flush()
        self._saved = termios.tcgetattr(self.input)
        termios.tcsetattr(self.input, termios.TCSADRAIN, _raw(self._saved))
        if self.screen:
            self.write(SCREEN_ON)

    def _leave(self) -> None:
        saved, self._saved = self._saved, None
        if saved is None:
            return
        # A terminal that is gone has nothing to restore.
        with suppress(OSError):
            if self.screen:
                self.write(self._screen_off())
        with suppress(termios.error):
            termios.tcsetattr(self.input, termios.TCSADRAIN, saved)

    def _screen_off(self) -> str:
        return (DEFAULT_SHAPE if self.shapes else "") + SCREEN_OFF

    def _resized(self, number: int, frame: FrameType | None) -> None:
        self._on_change()

    def _stopped(self, number: int, frame: FrameType | None) -> None:
        """Give the terminal back, stop, and take it again when the process goes on."""
        self._leave()
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, ours)
        self._enter()
        self._on_change()


def _raw(attributes: list[Any]) -> list[Any]:
    """Return terminal attributes for reading every key as it is (POSIX.1, section 11.2); output stays cooked."""
    raw = [*attributes[:_CC], list(attributes[_CC])]
    raw[_IFLAG] &= ~(
        termios.BRKINT | termios.ICRNL | termios.IGNBRK | termios.IGNCR | termios.INLCR | termios.INPCK
        | termios.ISTRIP | termios.IXON
    )  # fmt: skip
    raw[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
    raw[_CC][termios.VMIN], raw[_CC][termios.VTIME] = 1, 0
    return raw
