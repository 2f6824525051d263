"""POST's part of PCI: where each function answers, which interrupts they share, and the chipset's own ports.

PCI Local Bus Specification 2.1, section 6.2.5; 82371SB (PIIX3) and 82371AB (PIIX4) datasheets.
"""

from collections.abc import Callable

from minivm.core.record import record
from minivm.firmware.pci_config import (
    CLASS_REVISION,
    COMMAND,
    HEADER_TYPE,
    INTERRUPT_LINE,
    INTERRUPT_PIN,
    PciConfig,
)
from minivm.firmware.services import Board

MEMORY_START, MEMORY_END = 0xE000_0000, 0xFEC0_0000
PORTS_START, PORTS_END = 0xC000, 0x1_0000
BAR_0, ROM_BAR, BARS = 0x10, 0x30, 6
IO_BAR, WIDE_BAR = 0x01, 0x04
DECODE, MASTER = 0x0003, 0x0004
STORAGE, DISPLAY, BRIDGE = 0x01, 0x03, 0x06

ISA_BRIDGE, IDE, POWER = 0x7000_8086, 0x7010_8086, 0x7113_8086
ROUTER = 0x08
"""Device 1, function 0."""
PIRQ_ROUTES = 0x60
IRQS = (10, 10, 11, 11)
"""Where the four PCI interrupts go: INTA# and INTB# of the router to IRQ10, the others to IRQ11."""
ELCR = 0x4D0
IDE_TIMING, IDE_DECODE = 0x40, 0x8000_8000
POWER_BASE_REGISTER, POWER_MISC = 0x40, 0x80
POWER_BASE = 0x600
POWER_CONTROL, SCI_ENABLE = POWER_BASE + 4, 0x0001
SCI_IRQ = 9


@record
class Window:
    """What one base address register asks for."""

    function: int
    register: int
    size: int
    io: bool


def route(function: int, pin: int) -> int:
    """Return which of the router's inputs, 0 to 3, interrupt pin 1 to 4 of a function drives on this board."""
    return ((function >> 3) - 1 + pin - 1) & 3


class PciSetup:
    """Called by POST; does nothing where no host bridge answers."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._config = PciConfig(board.ports)
        self._chips: dict[int, Callable[[int], None]] = {
            ISA_BRIDGE: self._route_interrupts, IDE: self._start_ide, POWER: self._start_power_management,
        }  # fmt: skip

    def run(self) -> None:
        """Place all windows, largest first, then set up the chipset and let the functions answer."""
        if not self._config.is_there:
            return
        functions = list(self._config.functions())
        self._place([window for function in functions for window in self._windows(function)])
        for function in functions:
            self._set_up(function)
            self._enable(function)

    # -- windows ------------------------------------------------------------------------------------------------
    def _windows(self, function: int) -> list[Window]:
        config, found, register = self._config, [], BAR_0
        command = config.read(function, COMMAND, 2)
        if config.read(function, HEADER_TYPE, 1) & 0x7F:
            return []  # a bridge to another bus
        config.write(function, COMMAND, 2, command & ~DECODE)
        while register < BAR_0 + 4 * BARS:
            kind = config.read(function, register, 4)
            wide = kind & 7 == WIDE_BAR
            size = self._size(function, register, io=bool(kind & IO_BAR))
            if size:
                found.append(Window(function, register, size, bool(kind & IO_BAR)))
            if wide and size:
                config.write(function, register + 4, 4, 0)
            register += 8 if wide else 4
        rom = self._size(function, ROM_BAR, io=False)
        config.write(function, COMMAND, 2, command)
        return [*found, Window(function, ROM_BAR, rom, False)] if rom else found

    def _size(self, function: int, register: int, *, io: bool) -> int:
        """Return how many addresses the register decodes, 0 for none."""
        config = self._config
        config.write(function, register, 4, 0xFFFF_FFFE if register == ROM_BAR else 0xFFFF_FFFF)
        mask = config.read(function, register, 4)
        config.write(function, register, 4, 0)
        mask &= ~0x3 if io else ~0x7FF if register == ROM_BAR else ~0xF
        return mask & -mask & (0xFFFF if io else 0xFFFF_FFFF)

    def _place(self, windows: list[Window]) -> None:
        free = {False: MEMORY_START, True: PORTS_START}
        for window in sorted(windows, key=lambda one: -one.size):
            base = -(-free[window.io] // window.size) * window.size
            if base + window.size > (PORTS_END if window.io else MEMORY_END):
                self._board.trace(f"bios: PCI function {window.function:X}h: no room for {window.size:X}h addresses")
                continue
            self._config.write(window.function, window.register, 4, base)
            free[window.io] = base + window.size

    # -- functions ----------------------------------------------------------------------------------------------
    def _enable(self, function: int) -> None:
        config = self._config
        kind = config.read(function, CLASS_REVISION, 4) >> 24
        if kind == BRIDGE:
            return
        command = config.read(function, COMMAND, 2) | DECODE | (MASTER if kind == STORAGE else 0)
        config.write(function, COMMAND, 2, command)

    def _set_up(self, function: int) -> None:
        config = self._config
        pin = config.read(function, INTERRUPT_PIN, 1)
        if 1 <= pin <= 4:
            config.write(function, INTERRUPT_LINE, 1, IRQS[route(function, pin)])
        set_up = self._chips.get(config.read(function, 0, 4))
        if set_up is not None:
            set_up(function)

    def _start_ide(self, function: int) -> None:
        self._config.write(function, IDE_TIMING, 4, IDE_DECODE)

    def _route_interrupts(self, function: int) -> None:
        levels = 0
        for number, irq in enumerate(IRQS):
            self._config.write(function, PIRQ_ROUTES + number, 1, irq)
            levels |= 1 << irq
        self._board.out(ELCR, levels)
        self._board.out(ELCR + 1, levels >> 8)

    def _start_power_management(self, function: int) -> None:
        config = self._config
        config.write(function, INTERRUPT_LINE, 1, SCI_IRQ)
        config.write(function, POWER_BASE_REGISTER, 4, POWER_BASE | 1)
        config.write(function, POWER_MISC, 1, 1)
        self._board.ports.write(POWER_CONTROL, 2, SCI_ENABLE)  # this machine is always in ACPI mode
