"""Registers as rows of bytes: which bits keep what is written, which a written 1 clears, and which nobody can change.

Chips of the PCI time have hundreds of such registers, and their datasheets list them the same way.
"""

from collections.abc import Iterable

from minivm.core.record import record


@record
class MaskedRegister:
    """One register: `size` bytes at `offset`, little-endian numbers for all the rest.

    `reset` is its value after reset, `writable` are the bits that keep what is written, `clear` those that a written 1
    clears. A bit in neither is read-only.
    """

    offset: int
    size: int
    reset: int = 0
    writable: int = 0
    clear: int = 0


class RegisterFile:
    """`length` bytes of registers, a `Port`; bytes that no register covers read 0 and keep nothing."""

    def __init__(self, length: int, registers: Iterable[MaskedRegister]) -> None:
        self._length = length
        self._after_reset, self._writable, self._clear = bytearray(length), bytearray(length), bytearray(length)
        for register in registers:
            place = slice(register.offset, register.offset + register.size)
            self._after_reset[place] = register.reset.to_bytes(register.size, "little")
            self._writable[place] = register.writable.to_bytes(register.size, "little")
            self._clear[place] = register.clear.to_bytes(register.size, "little")
        self._bytes = bytearray(self._after_reset)

    def get(self, offset: int, size: int = 1) -> int:
        """Return a register's value, for the chip that it belongs to."""
        return int.from_bytes(self._bytes[offset : offset + size], "little")

    def put(self, offset: int, size: int, value: int) -> None:
        """Set a register from inside the chip, read-only bits as well."""
        self._bytes[offset : offset + size] = value.to_bytes(size, "little")

    def read(self, offset: int, size: int) -> int:
        """Return `size` bytes from `offset`; behind the end all bits are ones."""
        return int.from_bytes(self._bytes[offset : offset + size].ljust(size, b"\xff"), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the bits that can be written, and clear those that a 1 clears."""
        for place, byte in enumerate((value & ((1 << 8 * size) - 1)).to_bytes(size, "little"), offset):
            if place < self._length:
                kept = self._bytes[place] & ~self._writable[place] & ~(byte & self._clear[place])
                self._bytes[place] = kept | byte & self._writable[place]

    def reset(self) -> None:
        """Return to the values after reset."""
        self._bytes[:] = self._after_reset

    @property
    def data(self) -> bytes:
        """All the bytes, for a snapshot."""
        return bytes(self._bytes)

    def restore(self, data: bytes) -> None:
        """Take the bytes back; what is missing becomes 0."""
        self._bytes[:] = data[: self._length].ljust(self._length, b"\0")
