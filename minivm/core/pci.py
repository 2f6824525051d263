"""A PCI function's configuration space: 256 bytes in which software finds the function and says where it shall answer.

PCI Local Bus Specification 2.1, chapter 6. A chip lists its registers as its datasheet does, with the bits that can be
written and those that a 1 clears. The space itself sizes and moves the base address registers (BARs), and calls
`on_move` when a window of the function appears, moves or goes.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from minivm.core.record import record
from minivm.core.register_file import MaskedRegister, RegisterFile

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
    def register(self) -> MaskedRegister:
        """The register of the window: reading back all ones written shows its size (section 6.2.5.1)."""
        kind = 1 if self.io else 8 if self.prefetchable else 0
        enable = 1 if self.index == ROM_INDEX else 0
        return MaskedRegister(self.offset, 4, kind, -self.size & 0xFFFF_FFFF | enable)


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
) -> tuple[MaskedRegister, ...]:
    """Return the read-only registers that every function has; `class_code` is 24 bits: class, subclass, interface."""
    return (
        MaskedRegister(VENDOR, 2, vendor),
        MaskedRegister(DEVICE, 2, device),
        MaskedRegister(REVISION, 1, revision),
        MaskedRegister(CLASS, 3, class_code),
        MaskedRegister(HEADER_TYPE, 1, header_type),
        MaskedRegister(SUBSYSTEM_VENDOR, 2, subsystem_vendor),
        MaskedRegister(SUBSYSTEM, 2, subsystem),
        MaskedRegister(INTERRUPT_PIN, 1, interrupt_pin),
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
        registers: Iterable[MaskedRegister],
        *,
        bars: Iterable[Bar] = (),
        on_move: OnMove | None = None,
        on_write: Callable[[], None] | None = None,
    ) -> None:
        self._bars = tuple(bars)
        self._on_move = on_move
        self._on_write = on_write
        self._registers = RegisterFile(SIZE_BYTES, (*registers, *(bar.register for bar in self._bars)))
        # The registers as they are: `get` and `put` are the chip's own hand, `read` is the bus's.
        self.get = self._registers.get
        self.put = self._registers.put
        self.read = self._registers.read
        self._windows: dict[int, int | None] = dict.fromkeys((bar.index for bar in self._bars), None)

    def window(self, index: int) -> int | None:
        """Return where window `index` begins, or None while it answers nowhere."""
        return self._windows[index]

    @property
    def is_master(self) -> bool:
        """Whether the function may master the bus (command register, bit 2)."""
        return bool(self.get(COMMAND) & COMMAND_MASTER)

    # --- Port ----------------------------------------------------------------------------------------------------

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the bits that can be written, clear those that a 1 clears, and tell of windows that changed."""
        self._registers.write(offset, size, value)
        self._tell()

    # --- Device --------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Return to the values after RST#: no window answers."""
        self._registers.reset()
        self._tell()

    def state(self) -> ConfigState:
        """Return the bytes."""
        return ConfigState(self._registers.data)

    def restore(self, state: ConfigState) -> None:
        """Take the bytes back and tell of the windows that are elsewhere now."""
        self._registers.restore(state.registers)
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
        on = self.get(COMMAND) & (COMMAND_IO if bar.io else COMMAND_MEMORY)
        if not on or (bar.index == ROM_INDEX and not register & 1):
            return None
        return base if base and base + bar.size < (IO_END if bar.io else MEMORY_END) else None
