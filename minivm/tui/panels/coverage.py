"""What the engine remembers of addresses that were read, written and executed, where it does."""

from typing import Any, Protocol

from minivm.debug.debugger import Debugger

READ, WRITTEN, EXECUTED = 1, 2, 4
"""The bits of `Coverage.touched`."""


class Coverage(Protocol):
    """The engine's memory of what was touched."""

    def ran(self, linear: int, length: int) -> bytes:
        """Return a byte for each linear address, not zero where a byte of an executed instruction is."""

    def touched(self, physical: int, length: int) -> bytes:
        """Return a byte for each physical address: `READ`, `WRITTEN`, `EXECUTED` added up."""


def coverage_of(debugger: Debugger) -> Coverage | None:
    """Return the engine's coverage; None for an engine that has none, or does not collect it now."""
    found: Any = getattr(debugger.engine, "coverage", None)
    return found  # type: ignore[no-any-return]


def cover(debugger: Debugger, *, reads: bool) -> None:
    """Let the engine collect from now on; reads cost speed, and are left out unless they are wanted."""
    switch: Any = getattr(debugger.engine, "cover", None)
    if switch is not None:
        switch(reads)
