"""The door to PCI's configuration spaces: ports CF8h and CFCh, configuration mechanism 1.

PCI Local Bus Specification 2.1, section 3.2.2.3.2. A doubleword at CF8h (CONFIG_ADDRESS) chooses bus, device, function
and register; four ports at CFCh (CONFIG_DATA) reach it. Only doublewords are CONFIG_ADDRESS: a narrower access to those
four ports goes past the bridge, and so the reset control register can be at CF9h.
"""

from collections.abc import Mapping

from minivm.core.device import Port
from minivm.core.pci import PciFunction
from minivm.core.record import record

ENABLE = 1 << 31
STORED = 0x80FF_FFFC
"""Bits 30-24 and 1-0 are reserved and read 0."""


@record
class PciHostState:
    """What CONFIG_ADDRESS holds."""

    address: int


class PciHost:
    """Bus 0 of a machine, whose `functions` stand by (device, function); a `Device` with two `Port`s.

    `address` is four ports at CF8h and `data` four at CFCh, both to be mapped with width 4. `beside` are the 8-bit
    ports between those of CONFIG_ADDRESS, by their distance from CF8h. There is no other bus behind this one.
    """

    def __init__(
        self, functions: Mapping[tuple[int, int], PciFunction], *, beside: Mapping[int, Port] | None = None
    ) -> None:
        self.functions = dict(functions)
        self.address: Port = _Address(self, beside or {})
        self.data: Port = _Data(self)
        self.config_address = 0

    @property
    def selected(self) -> tuple[PciFunction | None, int]:
        """The function that CONFIG_DATA reaches, None when nobody answers, and the register's offset."""
        address = self.config_address
        if not address & ENABLE or address >> 16 & 0xFF:
            return None, 0
        return self.functions.get((address >> 11 & 0x1F, address >> 8 & 0x7)), address & 0xFC

    def reset(self) -> None:
        """Return to power-on: nothing is chosen."""
        self.config_address = 0

    def state(self) -> PciHostState:
        """Return the address."""
        return PciHostState(self.config_address)

    def restore(self, state: PciHostState) -> None:
        """Take the address back."""
        self.config_address = state.address


class _Address:
    """CONFIG_ADDRESS, and who is reached by what is no doubleword."""

    def __init__(self, host: PciHost, beside: Mapping[int, Port]) -> None:
        self._host = host
        self._beside = beside

    def read(self, offset: int, size: int) -> int:
        """Return the address, or the ports beside it; who is not there floats."""
        if size == 4:
            return self._host.config_address
        return sum(self._read_beside(offset + place) << 8 * place for place in range(size))

    def write(self, offset: int, size: int, value: int) -> None:
        """Take the address, or pass the bytes on to the ports beside it."""
        if size == 4:
            self._host.config_address = value & STORED
            return
        for place in range(size):
            port = self._beside.get(offset + place)
            if port is not None:
                port.write(0, 1, value >> 8 * place & 0xFF)

    def _read_beside(self, offset: int) -> int:
        port = self._beside.get(offset)
        return 0xFF if port is None else port.read(0, 1)


class _Data:
    """CONFIG_DATA: the register that CONFIG_ADDRESS has chosen."""

    def __init__(self, host: PciHost) -> None:
        self._host = host

    def read(self, offset: int, size: int) -> int:
        """Return the register; where no function is, the cycle ends by master abort and all bits are ones."""
        function, register = self._host.selected
        return (1 << 8 * size) - 1 if function is None else function.read(register + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the register; a write to nobody is lost."""
        function, register = self._host.selected
        if function is not None:
            function.write(register + offset, size, value)
