"""Memory as a chip that masters the bus reaches it: past the CPU, past the A20 gate, and without ever failing.

On a PC's bus, nobody answers at an address without memory: a read finds the wires high, a write is lost.
"""

from typing import Protocol

from minivm.core.memory import AddressSpace, Region


class DmaMemory(Protocol):
    """What a DMA controller or a bus master reads and writes; addresses are physical."""

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes from `address` on; FFh where there is no RAM."""

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at `address` on; what meets no RAM is lost."""


class SystemMemory:
    """The `DmaMemory` of a machine: the writable regions of its address space."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes from `address` on; FFh where there is no RAM."""
        data = bytearray(b"\xff" * length)
        for start, end, region in self._pieces(address, length):
            memory = self._space.memory.view[start + region.shift : end + region.shift]
            data[start - address : end - address] = memory
        return bytes(data)

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at `address` on; what meets no RAM is lost."""
        for start, end, region in self._pieces(address, len(data)):
            self._space.put(region, start, data[start - address : end - address])

    def _pieces(self, address: int, length: int) -> list[tuple[int, int, Region]]:
        """Return the parts [start, end) that lie in RAM, each with its region."""
        return [
            (max(address, region.base), min(address + length, region.end), region)
            for region in self._space.regions
            if region.writable and region.base < address + length and address < region.end
        ]
