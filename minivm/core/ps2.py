"""The cable between a PS/2 device and its controller (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
auxiliary device controller"): two wires, one byte at a time, and the controller may hold the clock low so that the
device has to wait.
"""

from collections.abc import Callable
from typing import Protocol


class Ps2Port(Protocol):
    """A device at the end of a PS/2 cable: a keyboard or a mouse."""

    @property
    def waiting(self) -> bool:
        """True while the device has a byte to send."""

    def connect(self, ready: Callable[[], None]) -> None:
        """Let the device call `ready` whenever it has got something to send."""

    def take(self) -> int | None:
        """Return the byte whose transmission has ended, or None when the device has nothing left to send."""

    def receive(self, value: int) -> None:
        """Take a byte from the controller, at the end of its transmission."""
