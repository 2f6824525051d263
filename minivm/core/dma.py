"""Memory as a chip that masters the bus reaches it: past the CPU, past the A20 gate, and without ever failing.

On a PC's bus, nobody answers at an address without memory: a read finds the wires high, a write is lost.
"""

from typing import Protocol

from minivm.core.memory import AddressSpace


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
        for first, last, place in self._pieces(address, length):
            data[first:last] = self._space.memory.view[place : place + last - first]
        return bytes(data)

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at `address` on; what meets no RAM is lost."""
        for first, last, place in self._pieces(address, len(data)):
            self._space.memory.write(place, data[first:last])

    def _pieces(self, address: int, length: int) -> list[tuple[int, int, int]]:
        """Return each part that lies in RAM: from and to within the transfer, and its place in memory."""
        pieces = []
        for region in self._space.regions:
            begin, end = max(address, region.base), min(address + length, region.end)
            if begin < end and region.writable:
                pieces.append((begin - address, end - address, begin))
        return pieces
