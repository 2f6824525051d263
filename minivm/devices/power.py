"""The power switch that a guest can reach: write 2000h to a word port.

It is bit 13 (SLP_EN) with sleep type 0 of an ACPI PM1a control register, where QEMU (604h) and Bochs (B004h) have it:
the whole of ACPI that a small kernel needs to switch off (ACPI specification 6.4, section 4.8.3.2).
"""

from collections.abc import Callable

SLEEP_ENABLE = 1 << 13


class PowerSwitch:
    """A 16-bit port, mapped with `width=2`; `power_off` is called when SLP_EN is written."""

    def __init__(self, power_off: Callable[[], None]) -> None:
        self._power_off = power_off

    def read(self, offset: int, size: int) -> int:
        """Return 0: the register reads as awake."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Switch off when SLP_EN is among the bits written."""
        if value << (8 * offset) & SLEEP_ENABLE:
            self._power_off()
