"""Debug console: bytes written to port E9h go to the host.

Bochs convention: reading returns E9h, so guests can detect it.
"""

from collections.abc import Callable


class DebugConsole:
    """One port that hands every byte written to it to `output`. It remembers nothing."""

    def __init__(self, output: Callable[[bytes], None]) -> None:
        self._output = output

    def read(self, offset: int, size: int) -> int:
        """Return E9h, by which a guest finds the port."""
        return 0xE9

    def write(self, offset: int, size: int, value: int) -> None:
        """Send the low byte to the host; the port is eight bits wide."""
        self._output(bytes([value & 0xFF]))
