"""isa-debug-exit: a write to port F4h ends the machine, with a status that the guest chooses.

QEMU's convention, `-device isa-debug-exit,iobase=0xf4,iosize=0x04`: the process ends with `(value << 1) | 1`, so that
no guest can imitate the 0 of a clean end.
"""

from collections.abc import Callable


def exit_status(value: int) -> int:
    """Return the process status (0-255, always odd) for the `value` that a guest wrote."""
    return (value << 1 | 1) & 0xFF


class DebugExit:
    """Four ports, written by byte, word or doubleword; `exit` gets the value as written. It remembers nothing."""

    def __init__(self, exit: Callable[[int], None]) -> None:
        self._exit = exit

    def read(self, offset: int, size: int) -> int:
        """Return 0, as QEMU does; this is not FFh, so a guest can tell the device from an empty port."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """End the machine; any of the four ports does."""
        self._exit(value & ((1 << 8 * size) - 1))
