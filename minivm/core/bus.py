"""A bus: which device answers at which address.

The PC has two, one for I/O ports (64 Ki addresses) and one for memory-mapped I/O. An address that nobody claims
floats: reading gives all ones and writing is lost, as on the ISA bus.
"""

from collections.abc import Callable

from minivm.core.device import Port
from minivm.errors import WiringError

Unclaimed = Callable[[str, int, int, int], None]
"""Told of an access nobody answers: ("read" | "write", address, size in bytes, value)."""


class Mapping:
    """One device's place on a bus: `length` addresses from `base`."""

    __slots__ = ("base", "end", "name", "port", "width")

    def __init__(self, base: int, length: int, port: Port, width: int, name: str) -> None:
        self.base = base
        self.end = base + length
        self.port = port
        self.width = width
        self.name = name

    def __repr__(self) -> str:
        return f"{self.name} at {self.base:X}h-{self.end - 1:X}h"


class Bus:
    """Ranges of addresses, each answered by one `Port`.

    `size` is the number of addresses. `width` of a mapping is the widest access (1, 2 or 4 bytes) that its device
    understands; a wider one arrives as several, lowest address first, as the ISA bus splits a word for an 8-bit card.
    `bursts` has the addresses whose devices can move data in bursts (`burst_offsets`; engine/bursts.py); `slow` has
    those whose reading takes another time than a port access does, in nanoseconds (`slow_reads`, by offset).
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.unclaimed: Unclaimed | None = None
        self._mappings: list[Mapping] = []
        self._windows: list[Mapping] = []
        self._by_address: dict[int, Mapping] = {}
        self.bursts: dict[int, Mapping] = {}
        self.slow: dict[int, int] = {}

    def map(self, base: int, length: int, port: Port, *, width: int = 1, name: str = "") -> None:
        """Let `port` answer at `length` addresses from `base`.

        Raises `WiringError` when the range leaves the bus or meets one that is taken.
        """
        wanted = Mapping(base, length, port, width, name or type(port).__name__)
        if base < 0 or length < 1 or wanted.end > self.size:
            raise WiringError(f"{wanted} lies outside the {self.name} bus, 0h-{self.size - 1:X}h")
        for other in self._mappings:
            if wanted.base < other.end and other.base < wanted.end:
                raise WiringError(
                    f"{self.name} {other.base:X}h-{other.end - 1:X}h is taken by {other.name}; "
                    f"give {wanted.name} another base than {base:X}h"
                )
        self._mappings.append(wanted)
        self._by_address.clear()
        for offset in getattr(port, "burst_offsets", ()):
            self.bursts[base + offset] = wanted
        self._note_slow(base, port)

    def place(self, port: Port, base: int | None, length: int, *, width: int = 1, name: str = "") -> None:
        """Move a window that a guest can move: `port` answers at `length` addresses from `base`, at None nowhere.

        Where something is mapped, that answers and the window does not; of two windows, the one placed last.
        """
        for window in self._windows:
            if window.port is port:
                self._forget_slow(window)
        self._windows = [window for window in self._windows if window.port is not port]
        if base is not None:
            self._windows.insert(0, Mapping(base, length, port, width, name or type(port).__name__))
            self._note_slow(base, port)
        self._by_address.clear()

    def _note_slow(self, base: int, port: Port) -> None:
        for offset, read_ns in getattr(port, "slow_reads", {}).items():
            self.slow[base + offset] = read_ns

    def _forget_slow(self, window: Mapping) -> None:
        for offset in getattr(window.port, "slow_reads", {}):
            self.slow.pop(window.base + offset, None)

    def mappings(self) -> list[Mapping]:
        """Return who is where, in order of address."""
        return sorted((*self._mappings, *self._windows), key=lambda mapping: mapping.base)

    def find(self, address: int) -> Mapping | None:
        """Return the mapping that claims `address`, or None when it floats."""
        found = self._by_address.get(address)
        if found is None:
            for mapping in (*self._mappings, *self._windows):
                if mapping.base <= address < mapping.end:
                    self._by_address[address] = found = mapping
                    break
        return found

    def read(self, address: int, size: int) -> int:
        """Read `size` bytes (1, 2 or 4) at `address`; what nobody drives reads as ones."""
        mapping = self.find(address)
        if mapping is not None and size <= mapping.width and address + size <= mapping.end:
            return mapping.port.read(address - mapping.base, size)
        if size > 1:
            half = size // 2
            return self.read(address, half) | self.read((address + half) % self.size, half) << (8 * half)
        if self.unclaimed is not None:
            self.unclaimed("read", address, size, 0xFF)
        return 0xFF

    def write(self, address: int, size: int, value: int) -> None:
        """Write `size` bytes (1, 2 or 4) at `address`; what nobody takes is lost."""
        mapping = self.find(address)
        if mapping is not None and size <= mapping.width and address + size <= mapping.end:
            mapping.port.write(address - mapping.base, size, value)
        elif size > 1:
            half = size // 2
            self.write(address, half, value & ((1 << (8 * half)) - 1))
            self.write((address + half) % self.size, half, value >> (8 * half))
        elif self.unclaimed is not None:
            self.unclaimed("write", address, size, value)
