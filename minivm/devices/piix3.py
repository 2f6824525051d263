"""Intel PIIX3, the 82371SB: the ISA bridge (function 0 of device 1) and the IDE interface's PCI side (function 1).

Intel 82371FB/82371SB datasheet (290550). The bridge's PIRQRC registers (60h-63h) lead the four PCI interrupts to ISA
ones. The IDE function tells software of two channels at their old ports and has one window of its own, the 16 ports of
the bus master; the drives and the bus master are other chips.
"""

from collections.abc import Callable

from minivm.core.device import Line, Wire
from minivm.core.pci import (
    COMMAND,
    MULTIFUNCTION,
    QEMU_MACHINE,
    QUMRANET,
    STATUS,
    STATUS_FAST_BACK_TO_BACK,
    STATUS_MEDIUM,
    Bar,
    ConfigSpace,
    ConfigState,
    OnMove,
    header,
)
from minivm.core.record import record
from minivm.core.register_file import MaskedRegister

PIRQ_ROUTES = 0x60
ROUTE_OFF, ROUTE_IRQ = 0x80, 0x0F
RESERVED_IRQS = frozenset([0, 1, 2, 8, 13])
IDE_TIMING = 0x40
BUS_MASTER_BAR, BUS_MASTER_PORTS = 4, 16

ISA_REGISTERS = (
    MaskedRegister(COMMAND, 2, 0x0007, writable=0x0108),
    MaskedRegister(STATUS, 2, STATUS_MEDIUM, clear=0x7800),
    MaskedRegister(0x4C, 1, 0x4D, writable=0xFF),  # IORT: I/O recovery
    MaskedRegister(0x4E, 2, 0x0003, writable=0x01FF),  # XBCS: chip selects of the X-bus
    MaskedRegister(PIRQ_ROUTES, 4, 0x80808080, writable=0x8F8F8F8F),
    MaskedRegister(0x69, 1, 0x02, writable=0xFE),  # TOM: top of memory
    MaskedRegister(0x6A, 2, writable=0x8050, clear=0x0002),  # MSTAT
    MaskedRegister(0x70, 1, 0x80, writable=0xEF),  # MBIRQ0: motherboard interrupt
    MaskedRegister(0x76, 2, 0x0C0C, writable=0x8F8F),  # MBDMA0-1
    MaskedRegister(0x78, 2, 0x0002, writable=0xFFFF),  # PCSC: programmable chip select
    MaskedRegister(0x80, 1, writable=0x7F),  # APICBASE
    MaskedRegister(0x82, 1, writable=0x0F),  # DLC: deterministic latency
    MaskedRegister(0xA0, 1, 0x08, writable=0x1F),  # SMICNTL
    MaskedRegister(0xA2, 2, writable=0x01FF),  # SMIEN
    MaskedRegister(0xA4, 4, writable=0xFFFFFFFF),  # SEE
    MaskedRegister(0xA8, 1, 0x0F, writable=0xFF),  # FTMR
    MaskedRegister(0xAA, 2, writable=0x01FF),  # SMIREQ
    MaskedRegister(0xAC, 1, writable=0xFF),  # CTLTMR
    MaskedRegister(0xAE, 1, writable=0xFF),  # CTHTMR
)
IDE_REGISTERS = (
    MaskedRegister(COMMAND, 2, writable=0x0005),
    MaskedRegister(STATUS, 2, STATUS_MEDIUM | STATUS_FAST_BACK_TO_BACK, clear=0x3800),
    MaskedRegister(0x0D, 1, writable=0xF0),  # MLT
    MaskedRegister(IDE_TIMING, 4, writable=0xFFFFFFFF),  # IDETIM of both channels; bit 15 of each: decode its ports
    MaskedRegister(0x44, 1, writable=0xFF),  # SIDETIM
)


@record
class Piix3State:
    """The configuration space, and which PCI interrupts are asserted."""

    config: ConfigState
    asserted: tuple[bool, bool, bool, bool]


class Piix3:
    """The ISA bridge, a `Device`; its `config` goes to the PCI host as function 0 of device 1.

    `pirq(n)` is the input PIRQA# to PIRQD# (0-3), True for asserted; `irq(n)` gives the ISA line that one is routed to,
    which is high while any input routed there is asserted. Without `irq` nothing is routed.
    """

    def __init__(self, *, irq: Callable[[int], Line] | None = None) -> None:
        self._irq = irq
        self._inputs = [Wire(self._drive_one) for _ in range(4)]
        self._driven: frozenset[int] = frozenset()
        identity = header(vendor=0x8086, device=0x7000, class_code=0x060100, header_type=MULTIFUNCTION,
                          subsystem_vendor=QUMRANET, subsystem=QEMU_MACHINE)  # fmt: skip
        self.config = ConfigSpace((*identity, *ISA_REGISTERS), on_write=self._drive)

    def pirq(self, number: int) -> Line:
        """Return the input of a PCI interrupt, 0-3 for PIRQA# to PIRQD#."""
        return self._inputs[number]

    def reset(self) -> None:
        """Return to power-on: no PCI interrupt is routed; their inputs keep the level that others drive."""
        self.config.reset()

    def state(self) -> Piix3State:
        """Return the configuration space and the inputs."""
        first, second, third, fourth = (wire.level for wire in self._inputs)
        return Piix3State(self.config.state(), (first, second, third, fourth))

    def restore(self, state: Piix3State) -> None:
        """Take both back and drive the lines."""
        for wire, level in zip(self._inputs, state.asserted, strict=True):
            wire.level = level
        self.config.restore(state.config)

    def _drive_one(self, level: bool) -> None:
        self._drive()

    def _drive(self) -> None:
        if self._irq is None:
            return
        wanted = frozenset(
            self.config.get(PIRQ_ROUTES + number) & ROUTE_IRQ
            for number, wire in enumerate(self._inputs)
            if wire.level and not self.config.get(PIRQ_ROUTES + number) & ROUTE_OFF
        )
        wanted -= RESERVED_IRQS
        before, self._driven = self._driven, wanted
        for number in sorted(before - wanted):
            self._irq(number).set(False)
        for number in sorted(wanted):
            self._irq(number).set(True)


@record
class Piix3IdeState:
    """The configuration space."""

    config: ConfigState


class Piix3Ide:
    """The PCI side of the IDE interface, a `Device`; its `config` goes to the PCI host as function 1 of device 1.

    `on_move(4, base)` says where the bus master's 16 ports are, None while they are off. `config.is_master` tells
    whether it may transfer.
    """

    def __init__(self, *, on_move: OnMove | None = None) -> None:
        identity = header(vendor=0x8086, device=0x7010, class_code=0x010180,
                          subsystem_vendor=QUMRANET, subsystem=QEMU_MACHINE)  # fmt: skip
        bars = (Bar(BUS_MASTER_BAR, BUS_MASTER_PORTS, io=True),)
        self.config = ConfigSpace((*identity, *IDE_REGISTERS), bars=bars, on_move=on_move)

    def reset(self) -> None:
        """Return to power-on: the bus master answers nowhere."""
        self.config.reset()

    def state(self) -> Piix3IdeState:
        """Return the configuration space."""
        return Piix3IdeState(self.config.state())

    def restore(self, state: Piix3IdeState) -> None:
        """Take the configuration space back and tell where the bus master is."""
        self.config.restore(state.config)
