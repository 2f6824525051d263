"""The slot that a device of a user's own sits in, as a card sits in an ISA bus: all of the machine that it sees.

A device's class is called with a slot and its own options, once for every machine that it is to be in. A slot is made
of plain parts, so a test makes one without a machine: `Slot(Clock(), lambda irq: Wire())`.
"""

from collections.abc import Callable
from typing import Protocol

from minivm.core.clock import Clock
from minivm.core.device import Line, Port
from minivm.core.record import record
from minivm.errors import WiringError

IRQS = 16


class DirectMemory(Protocol):
    """What a device that masters the bus (DMA) can do with physical memory; `AddressSpace` is the real one."""

    def load_bytes(self, address: int, length: int) -> bytes:
        """Return `length` bytes from the physical `address`; where nothing is, all bits are ones. Never raises."""

    def store_bytes(self, address: int, data: bytes) -> None:
        """Write `data` at the physical `address`; ROM and empty addresses take nothing. Never raises."""


class NoMemory:
    """Stands in for memory where a slot has none behind it: it reads as ones and keeps nothing."""

    def load_bytes(self, address: int, length: int) -> bytes:
        """Return ones."""
        return b"\xff" * length

    def store_bytes(self, address: int, data: bytes) -> None:
        """Lose `data`."""


def lose(data: bytes) -> None:
    """Take output that nobody looks at."""


@record
class Slot:
    """What a machine gives to a device of the user's own.

    `clock` is the machine's time in virtual nanoseconds, and rings alarms. `irq(5)` returns the line of IRQ5, low at
    first; it raises `WiringError` for one that is not free. `output` takes bytes that the host is to see, among what
    the first serial port has sent. `memory` is the machine's physical memory, for DMA.
    """

    clock: Clock
    irq: Callable[[int], Line]
    output: Callable[[bytes], None] = lose
    memory: DirectMemory = NoMemory()


class Factory(Protocol):
    """What makes a device: its class, or a function.

    Beside the slot it takes its options by keyword. The device that it returns is a `Port`; its attribute `length` is
    how many addresses it answers at (1 without it), `width` the widest access in bytes that it understands (4).
    """

    def __call__(self, slot: Slot, /) -> Port:
        """Return a new device in `slot`."""


class SharedLine:
    """One wire with several drivers: it is high as long as any of them drives it high, a wired OR.

    An edge-triggered input of the PIC sees the first of them rise, and no other until all were low: who shares a line
    keeps it high until the guest has served it, and the guest looks at all of them, or makes the input level-triggered.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._drivers: list[Driver] = []

    def driver(self) -> "Driver":
        """Return one more driver of the wire."""
        self._drivers.append(Driver(self))
        return self._drivers[-1]

    def settle(self) -> None:
        """Drive the wire as its drivers say."""
        self._line.set(any(driver.level for driver in self._drivers))


class Driver:
    """One driver of a shared line; to the device that has it, a line like any other."""

    __slots__ = ("_shared", "level")

    def __init__(self, shared: SharedLine) -> None:
        self.level = False
        self._shared = shared

    def set(self, level: bool) -> None:
        """Drive high, or let go."""
        self.level = bool(level)
        self._shared.settle()


class InterruptLines:
    """The interrupt lines of a machine: each belongs to one of its chips, or to the devices of the user's own.

    `wire` returns the controller's input of an IRQ, and raises `WiringError` where there is none.
    """

    def __init__(self, wire: Callable[[int], Line]) -> None:
        self._wire = wire
        self._of_chips: set[int] = set()
        self._shared: dict[int, SharedLine] = {}

    def chip(self, irq: int) -> Line:
        """Return the line of a chip of the machine; no device of the user's own gets it."""
        self._of_chips.add(irq)
        return self._wire(irq)

    def own(self, irq: int) -> Line:
        """Return a line for a device of the user's own; several may have the same one. Raises `WiringError`."""
        if not isinstance(irq, int) or isinstance(irq, bool):
            raise WiringError(f"irq: {irq!r} is no number; free are {self._free()}")
        if irq in self._of_chips:
            raise WiringError(f"IRQ{irq} belongs to one of the PC's own chips; free are {self._free()}")
        if irq not in self._shared:
            try:
                self._shared[irq] = SharedLine(self._wire(irq))
            except WiringError:
                raise WiringError(f"IRQ{irq} cannot be wired; free are {self._free()}") from None
        return self._shared[irq].driver()

    def _free(self) -> str:
        free = [irq for irq in range(IRQS) if irq not in self._of_chips and irq != 2]
        return ", ".join(map(str, free))
