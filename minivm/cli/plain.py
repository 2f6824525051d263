"""The face of a run whose output is a pipe or a file: serial text as it comes, the screen at the end."""

import sys
from typing import cast

from minivm.cli.options import Settings
from minivm.console import Console
from minivm.core import cp437
from minivm.machine import Ended, Machine


class PlainFace:
    """Writes plain text to standard output."""

    patience = None
    may_wake = False

    def __init__(self, machine: Machine, wanted: Settings) -> None:
        self._console = cast(Console, machine.console)
        self._wanted = wanted
        self._waiting = bytearray()
        self._column = 0
        if not wanted.json:
            self._console.serial.listeners.append(self._waiting.extend)

    def show(self) -> None:
        """Write the serial text that has come: without carriage returns, bytes above 7Fh as code page 437."""
        if not self._waiting:
            return
        text = "".join(chr(byte) if byte < 0x80 else cp437.GLYPHS[byte] for byte in self._waiting if byte != 0x0D)
        self._waiting.clear()
        sys.stdout.write(text)
        sys.stdout.flush()
        self._column = len(text) - 1 - text.rfind("\n")

    def take_input(self) -> Ended | None:
        """Nothing comes in."""
        return None

    def wait(self, seconds: float | None) -> None:
        """Sleep."""
        import time

        time.sleep(seconds or 0)

    def close(self) -> None:
        """Print the screen."""
        self.show()
        display = self._wanted.config.display
        if self._wanted.json or (display == "none" and not self._wanted.show_screen):
            return
        text = self._console.screen.text()
        if text or display == "text" or self._wanted.show_screen:
            print("\n" * bool(self._column) + text)
