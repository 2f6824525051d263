"""POST code port 80h: the last byte written shows on a diagnostic card's two digits.

IBM PC AT Technical Reference, "Manufacturing diagnostic port"; in the AT it is a spare page register of the DMA
controller, so it reads back. Linux writes to it for a short delay.
"""

from collections.abc import Callable

from minivm.core.record import record


@record
class PostCodeState:
    """The byte that the digits show."""

    code: int


class PostCode:
    """One port; every byte written to it goes to `report`, too."""

    def __init__(self, report: Callable[[int], None] | None = None) -> None:
        self._report = report
        self.code = 0

    def read(self, offset: int, size: int) -> int:
        """Return the last code."""
        return self.code

    def write(self, offset: int, size: int, value: int) -> None:
        """Show the low byte."""
        self.code = value & 0xFF
        if self._report is not None:
            self._report(self.code)

    def reset(self) -> None:
        """Show 00h again."""
        self.code = 0

    def state(self) -> PostCodeState:
        """Return the code shown."""
        return PostCodeState(self.code)

    def restore(self, state: PostCodeState) -> None:
        """Show the saved code without reporting it again."""
        self.code = state.code
