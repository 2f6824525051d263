"""A PCI function's configuration space: 256 bytes in which software finds the function and says where it shall answer.

PCI Local Bus Specification 2.1, chapter 6. A chip lists its registers as its datasheet does, with the bits that can be
written and those that a 1 clears. The space itself sizes and moves the base address registers (BARs), and calls
`on_move` when a window of the function appears, moves or goes.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from minivm.core.record import record

SIZE_BYTES = 256
VENDOR, DEVICE, COMMAND, STATUS, REVISION, CLASS = 0x00, 0x02, 0x04, 0x06, 0x08, 0x09
HEADER_TYPE, BAR_0, SUBSYSTEM_VENDOR, SUBSYSTEM, ROM_BAR = 0x0E, 0x10, 0x2C, 0x2E, 0x30
INTERRUPT_LINE, INTERRUPT_PIN = 0x3C, 0x3D
COMMAND_IO, COMMAND_MEMORY, COMMAND_MASTER = 0x0001, 0x0002, 0x0004
STATUS_FAST_BACK_TO_BACK, STATUS_MEDIUM = 0x0080, 0x0200
STATUS_ERRORS = 0xF900
"""The five status bits that a 1 clears: parity, system error, master abort, target abort in and out."""
MULTIFUNCTION = 0x80
QUMRANET, QEMU_MACHINE = 0x1AF4, 0x1100
"""QEMU's subsystem numbers, by which firmware knows the virtual machine; the chips themselves have none."""
ROM_INDEX = 6
"""The number under which `on_move` hears of the expansion ROM."""
IO_END, MEMORY_END = 1 << 16, 1 << 32

OnMove = Callable[[int, int | None], None]
"""Told that window `index` now begins at `base`, or, with None, that nothing answers for it."""


class PciFunction(Protocol):
    """What a host bridge can address: one function of a device; `ConfigSpace` is one."""

    def read(self, offset: int, size: int) -> int:
        """Return `size` bytes (1, 2 or 4) of the configuration space; must not raise."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes (1, 2 or 4) of the configuration space; must not raise."""


@record
class ConfigRegister:
    """One register: `size` bytes at `offset`, little-endian numbers for all the rest.

    `reset` is its value after RST#, `writable` are the bits that keep what is written, `clear` those that a written 1
    clears. A bit in neither is read-only.
    """

    offset: int
    size: int
    reset: int = 0
    writable: int = 0
    clear: int = 0


@record
class Bar:
    """One window: `size` bytes, a power of two (I/O from 4, memory from 16, ROM from 2 KiB).

    `index` is 0-5, or `ROM_INDEX` for the expansion ROM; `io` tells I/O ports from memory.
    """

    index: int
    size: int
    io: bool = False
    prefetchable: bool = False

    @property
    def offset(self) -> int:
        """Where its register is in the configuration space."""
        return ROM_BAR if self.index == ROM_INDEX else BAR_0 + 4 * self.index

    @property
    def register(self) -> ConfigRegister:
        """The register of the window: reading back all ones written shows its size (section 6.2.5.1)."""
        kind = 1 if self.io else 8 if self.prefetchable else 0
        enable = 1 if self.index == ROM_INDEX else 0
        return ConfigRegister(self.offset, 4, kind, -self.size & 0xFFFF_FFFF | enable)


def header(
    *,
    vendor: int,
    device: int,
    class_code: int,
    revision: int = 0,
    header_type: int = 0,
    subsystem_vendor: int = 0,
    subsystem: int = 0,
    interrupt_pin: int = 0,
) -> tuple[ConfigRegister, ...]:
    """Return the read-only registers that every function has; `class_code` is 24 bits: class, subclass, interface."""
    return (
        ConfigRegister(VENDOR, 2, vendor),
        ConfigRegister(DEVICE, 2, device),
        ConfigRegister(REVISION, 1, revision),
        ConfigRegister(CLASS, 3, class_code),
        ConfigRegister(HEADER_TYPE, 1, header_type),
        ConfigRegister(SUBSYSTEM_VENDOR, 2, subsystem_vendor),
        ConfigRegister(SUBSYSTEM, 2, subsystem),
        ConfigRegister(INTERRUPT_PIN, 1, interrupt_pin),
    )


@record
class ConfigState:
    """The 256 bytes."""

    registers: bytes


class ConfigSpace:
    """The configuration space of one function: a `Port` at offsets 0-255, and a `Device`.

    `on_move(index, base)` hears about the windows of `bars`; `on_write()` is called after every write, reset and
    restore, for a chip that makes something out of its registers. Bytes that no register covers read 0.
    """

    def __init__(
        self,
        registers: Iterable[ConfigRegister],
        *,
        bars: Iterable[Bar] = (),
        on_move: OnMove | None = None,
        on_write: Callable[[], None] | None = None,
    ) -> None:
        self._bars = tuple(bars)
        self._on_move = on_move
        self._on_write = on_write
        self._reset = bytearray(SIZE_BYTES)
        self._writable, self._clear = bytearray(SIZE_BYTES), bytearray(SIZE_BYTES)
        for register in (*registers, *(bar.register for bar in self._bars)):
            place = slice(register.offset, register.offset + register.size)
            self._reset[place] = register.reset.to_bytes(register.size, "little")
            self._writable[place] = register.writable.to_bytes(register.size, "little")
            self._clear[place] = register.clear.to_bytes(register.size, "little")
        self._bytes = bytearray(self._reset)
        self._windows: dict[int, int | None] = dict.fromkeys((bar.index for bar in self._bars), None)

    def get(self, offset: int, size: int = 1) -> int:
        """Return a register's value, for the chip that it belongs to."""
        return int.from_bytes(self._bytes[offset : offset + size], "little")

    def put(self, offset: int, size: int, value: int) -> None:
        """Set a register from inside the chip, read-only bits as well; nobody is told."""
        self._bytes[offset : offset + size] = value.to_bytes(size, "little")

    def window(self, index: int) -> int | None:
        """Return where window `index` begins, or None while it answers nowhere."""
        return self._windows[index]

    @property
    def is_master(self) -> bool:
        """Whether the function may master the bus (command register, bit 2)."""
        return bool(self._bytes[COMMAND] & COMMAND_MASTER)

    # --- Port ----------------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Return `size` bytes from `offset`; behind the end all bits are ones."""
        return int.from_bytes(self._bytes[offset : offset + size].ljust(size, b"\xff"), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the bits that can be written, clear those that a 1 clears, and tell of windows that changed."""
        for place, byte in enumerate((value & ((1 << 8 * size) - 1)).to_bytes(size, "little"), offset):
            if place < SIZE_BYTES:
                kept = self._bytes[place] & ~self._writable[place] & ~(byte & self._clear[place])
                self._bytes[place] = kept | byte & self._writable[place]
        self._tell()

    # --- Device --------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Return to the values after RST#: no window answers."""
        self._bytes[:] = self._reset
        self._tell()

    def state(self) -> ConfigState:
        """Return the bytes."""
        return ConfigState(bytes(self._bytes))

    def restore(self, state: ConfigState) -> None:
        """Take the bytes back and tell of the windows that are elsewhere now."""
        self._bytes[:] = state.registers[:SIZE_BYTES].ljust(SIZE_BYTES, b"\0")
        self._tell()

    def _tell(self) -> None:
        """Report every window that changed, those that went before those that came, so that two may swap places."""
        now = {bar.index: self._decoded(bar) for bar in self._bars}
        before, self._windows = self._windows, now
        moved = [index for index, base in now.items() if base != before[index]]
        if self._on_move is not None:
            for index in moved:
                if before[index] is not None:
                    self._on_move(index, None)
            for index in moved:
                if now[index] is not None:
                    self._on_move(index, now[index])
        if self._on_write is not None:
            self._on_write()

    def _decoded(self, bar: Bar) -> int | None:
        """Return where a window answers; nowhere while it is off, at 0, beyond the end, or at the end of the space.

        The last is what all ones make of it: a driver that sizes a window with decoding on must not move it there.
        """
        register = self.get(bar.offset, 4)
        base = register & -bar.size
        on = self._bytes[COMMAND] & (COMMAND_IO if bar.io else COMMAND_MEMORY)
        if not on or (bar.index == ROM_INDEX and not register & 1):
            return None
        return base if base and base + bar.size < (IO_END if bar.io else MEMORY_END) else None
