"""The protocols between a chip and the machine around it.

A chip is a `Port` when a bus can reach it, a `Device` when a snapshot can save it, and it drives `Line`s that were
handed to its constructor. It knows neither the CPU nor its own address.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

State = TypeVar("State")


POLLED_READ_NS = 4_000
"""What reading a register takes that programs read in loops to see time pass (docs/decisions/time-charges.md)."""


class Port(Protocol):
    """What a bus can reach. Offsets count from where the bus mapped the device."""

    def read(self, offset: int, size: int) -> int:
        """Return the `size` bytes (1, 2 or 4) at `offset` as an unsigned little-endian number."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Take the unsigned `value` of `size` bytes (1, 2 or 4) at `offset`. Never raises because of a guest."""


class Device(Protocol[State]):
    """What a snapshot can save: a chip whose whole condition is one frozen dataclass with named fields."""

    def reset(self) -> None:
        """Return to the power-on state, lines low and alarms cancelled."""

    def state(self) -> State:
        """Return everything the chip remembers."""

    def restore(self, state: State) -> None:
        """Become `state` again: raise the lines that were high, arm the alarms that were armed."""


class Line(Protocol):
    """One wire that carries a level from a chip to somewhere else."""

    def set(self, level: bool) -> None:
        """Drive the wire high or low; setting the same level again changes nothing."""


class Wire:
    """A line that tells a listener about its edges."""

    def __init__(self, listener: Callable[[bool], None] | None = None) -> None:
        self.level = False
        self._listener = listener

    def set(self, level: bool) -> None:
        """Drive the wire; the listener hears only changes."""
        if level == self.level:
            return
        self.level = level
        if self._listener is not None:
            self._listener(level)
