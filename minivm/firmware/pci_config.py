"""Configuration space from the BIOS's side: one register at a time by ports CF8h and CFCh.

PCI Local Bus Specification 2.1, section 3.2.2.3.2 (configuration mechanism 1) and chapter 6.
"""

from collections.abc import Iterator

from minivm.core.bus import Bus

ADDRESS, DATA = 0xCF8, 0xCFC
ENABLE = 1 << 31
NOBODY = 0xFFFF_FFFF
COMMAND, CLASS_REVISION, HEADER_TYPE = 0x04, 0x08, 0x0E
INTERRUPT_LINE, INTERRUPT_PIN = 0x3C, 0x3D
MULTIFUNCTION = 0x80
BRIDGE = 0x01


class PciConfig:
    """Reads and writes registers of functions; a function is bus << 8 | device << 3 | function, as in BX."""

    def __init__(self, ports: Bus) -> None:
        self._ports = ports

    @property
    def is_there(self) -> bool:
        """True when a host bridge answers: bus 0, device 0, function 0."""
        self._ports.write(ADDRESS, 4, ENABLE)
        return self._ports.read(ADDRESS, 4) == ENABLE and self._ports.read(DATA, 4) != NOBODY

    def read(self, function: int, register: int, size: int) -> int:
        """Return `size` bytes (1, 2 or 4), all ones where nobody answers."""
        self._select(function, register)
        return self._ports.read(DATA + (register & 3), size)

    def write(self, function: int, register: int, size: int, value: int) -> None:
        """Write `size` bytes (1, 2 or 4)."""
        self._select(function, register)
        self._ports.write(DATA + (register & 3), size, value & ((1 << 8 * size) - 1))

    def functions(self) -> Iterator[int]:
        """Return every function on bus 0, in order; there is no other bus."""
        for device in range(0, 256, 8):
            if self.read(device, 0, 4) == NOBODY:
                continue
            count = 8 if self.read(device, HEADER_TYPE, 1) & MULTIFUNCTION else 1
            yield from (one for one in range(device, device + count) if self.read(one, 0, 4) != NOBODY)

    def _select(self, function: int, register: int) -> None:
        self._ports.write(ADDRESS, 4, ENABLE | (function & 0xFFFF) << 8 | register & 0xFC)
