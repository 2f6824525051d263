"""The reset control register, port CF9h: the chipset's own way to restart the machine.

Intel 82371SB (PIIX3) datasheet, "RC: reset control register": bit 2 going from 0 to 1 resets the CPU; bit 1 chooses a
hard reset, which for the software on this machine is the same.
"""

from collections.abc import Callable

from minivm.core.record import record

SYSTEM_RESET = 0x02
RESET_CPU = 0x04
STORED = SYSTEM_RESET | RESET_CPU


@record
class ResetControlState:
    """What port CF9h remembers."""

    control: int


class ResetControl:
    """Port CF9h, a `Port` of one byte and a `Device`; `reset` is called when bit 2 rises."""

    def __init__(self, reset: Callable[[], None]) -> None:
        self._reset_machine = reset
        self._control = 0

    def read(self, offset: int, size: int) -> int:
        """Return the two bits as they were written."""
        return self._control

    def write(self, offset: int, size: int, value: int) -> None:
        """Store the bits and, on a rising bit 2, reset the machine."""
        rising = value & ~self._control
        self._control = value & STORED
        if rising & RESET_CPU:
            self._reset_machine()

    def reset(self) -> None:
        """Return to power-on: both bits 0."""
        self._control = 0

    def state(self) -> ResetControlState:
        """Return the stored bits."""
        return ResetControlState(self._control)

    def restore(self, state: ResetControlState) -> None:
        """Store the bits again; this resets nobody."""
        self._control = state.control
