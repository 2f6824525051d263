"""An ATA channel: the command and control blocks of up to two drives that share a cable.

ATA/ATAPI-6 (T13/1410D): registers in section 7, the two-drive rules in section 9.16, reset in 9.2. Both drives hear
every write of a register; the one that the device register selects answers. What a drive does stands in its own file.
"""

from typing import Protocol

from minivm.core.clock import Alarm, Clock
from minivm.core.device import Line
from minivm.core.record import record
from minivm.devices.ata.states import UnitState
from minivm.devices.ata.unit import (
    ALL_ONES,
    BUSY,
    DEVICE,
    DIAGNOSTIC_PASSED,
    SECOND_DRIVE,
    Drive,
    Unit,
)

DATA, STATUS = 0, 7
COMMAND_BYTES = 8
EXECUTE_DEVICE_DIAGNOSTIC, DEVICE_RESET = 0x90, 0x08
NO_INTERRUPT, SOFT_RESET, HIGH_ORDER = 0x02, 0x04, 0x80
"""Device control: nIEN, SRST, HOB."""
FLOATING = 0x7F
"""An empty cable: a resistor pulls bit 7 down, so that nobody waits for BSY to clear (section 4.2)."""
RESET_NS = 100_000
"""The drives need so long for a reset or a diagnostic; the standard allows 31 s."""
RESETTING, DIAGNOSING = "reset", "diagnostic"


class BusMaster(Protocol):
    """What moves a drive's data into memory and out of it, past the CPU."""

    def request(self, unit: Unit | None) -> None:
        """Hear which unit asks for DMA; None when none does."""

    def interrupted(self) -> None:
        """Hear that the channel's interrupt has risen."""


@record
class AtaChannelState:
    """Everything a channel remembers, with its drives; times are virtual nanoseconds."""

    control: int
    selected: int
    doing: str
    due: int | None
    units: tuple[UnitState | None, UnitState | None]


class AtaChannel:
    """One ATA channel, a `Device`. Its two ports are `command_block` (8 bytes, data of 16 and 32 bits) and
    `control_block` (1 byte).

    `irq` is the channel's interrupt line, `drives` its two places. `dma` is where the bus master sits, if there is one.
    """

    def __init__(self, clock: Clock, *, irq: Line, drives: tuple[Drive | None, Drive | None] = (None, None)) -> None:
        self.dma: BusMaster | None = None
        self._clock = clock
        self._irq = irq
        self._level = False
        self._control = self._selected = 0
        self._alarm: Alarm | None = None
        self._doing = ""
        first, second = (None if drive is None else Unit(clock, drive, self._settle) for drive in drives)
        self.units = (first, second)
        self.command_block = CommandBlock(self)
        self.control_block = ControlBlock(self)
        self.reset()

    def reset(self) -> None:
        """Return to the power-on state: the drives' self tests are over, drive 0 is selected."""
        self._control = self._selected = 0
        self._cancel()
        self._reset_units(hard=True)

    # -- the command block ----------------------------------------------------------------------------------------
    @property
    def unit(self) -> Unit | None:
        """The unit that is selected; None where no drive is."""
        return self.units[self._selected]

    def read_register(self, offset: int) -> int:
        """Return register 1 to 7; reading the status takes the interrupt back."""
        unit = self.units[self._selected]
        if unit is None:
            return self._read_for_absent(offset)
        if offset == STATUS:
            status = unit.status
            unit.answer()
            return status
        return unit.look(offset, previous=bool(self._control & HIGH_ORDER))

    def write_register(self, offset: int, value: int) -> None:
        """Take register 1 to 7; both drives hear it, but a drive at work keeps its own."""
        self._control &= ~HIGH_ORDER
        if offset == STATUS:
            self._command(value)
            return
        if self._doing or (self.unit is not None and not self.unit.accepts):
            return
        for unit in self.units:
            if unit is not None and unit.accepts:
                unit.load(offset, value)
        if offset == DEVICE:
            self._selected = 1 if value & SECOND_DRIVE else 0
            self._settle()

    def read_status(self) -> int:
        """Return the alternate status, which takes no interrupt back."""
        return self._read_for_absent(STATUS) if self.unit is None else self.unit.status

    def read_data(self, size: int) -> int:
        """Read the data register, 16 or 32 bits; a byte is half of a word."""
        unit = self.units[self._selected]
        if unit is None:
            return ALL_ONES >> 32 - 8 * size
        return unit.read_data(size) if size > 1 else unit.read_data(2) & 0xFF

    def write_data(self, size: int, value: int) -> None:
        """Write the data register, 16 or 32 bits; a byte comes with nothing in the word's other half."""
        if self.unit is not None:
            self.unit.write_data(max(size, 2), value)

    def _read_for_absent(self, offset: int) -> int:
        """Drive 0 answers for an absent drive 1, with a status of 0; nobody answers for an absent drive 0."""
        other = self.units[0]
        if other is None:
            return FLOATING
        return 0 if offset == STATUS else other.look(offset, previous=bool(self._control & HIGH_ORDER))

    def _command(self, code: int) -> None:
        unit = self.unit
        if self._doing:
            return
        if code == EXECUTE_DEVICE_DIAGNOSTIC:
            if unit is None or unit.accepts:
                self._diagnose()
        elif unit is not None and (unit.accepts or code == DEVICE_RESET):
            unit.command(code)

    # -- the control block ----------------------------------------------------------------------------------------
    def write_control(self, value: int) -> None:
        """Take the device control register; the drives are in reset as long as SRST is set."""
        before, self._control = self._control, value
        if value & SOFT_RESET:
            if not before & SOFT_RESET:
                self._hold_in_reset()
        elif before & SOFT_RESET:
            self._arm(self._clock.now + RESET_NS, RESETTING)
        self._settle()

    def _hold_in_reset(self) -> None:
        self._cancel()
        self._doing = RESETTING
        self._selected = 0
        self._reset_units(hard=False)
        self._occupy()

    def _diagnose(self) -> None:
        self._selected = 0
        self._reset_units(hard=False)
        self._occupy()
        self._arm(self._clock.now + RESET_NS, DIAGNOSING)

    def _occupy(self) -> None:
        for unit in self.units:
            if unit is not None:
                unit.status = BUSY

    def _finish_reset(self) -> None:
        interrupts, self._doing, self._alarm = self._doing == DIAGNOSING, "", None
        for unit in self.units:
            if unit is not None:
                unit.status, unit.error = unit.drive.power_up_status, DIAGNOSTIC_PASSED
        first = self.units[0]
        if interrupts and first is not None:
            first.interrupt = True
        self._settle()

    def _reset_units(self, *, hard: bool) -> None:
        for unit in self.units:
            if unit is not None:
                unit.reset(hard=hard)
                unit.device = 0
        self._settle()

    def _arm(self, due: int, doing: str) -> None:
        self._cancel()
        self._doing = doing
        self._alarm = self._clock.at(due, self._finish_reset)

    def _cancel(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._doing = None, ""

    # -- the wires ------------------------------------------------------------------------------------------------
    @property
    def requesting(self) -> Unit | None:
        """The unit that asks for DMA, if one does."""
        first, second = self.units
        if first is not None and first.dma_left:
            return first
        return second if second is not None and second.dma_left else None

    def _settle(self) -> None:
        """Drive INTRQ as the selected drive and nIEN say, and tell the bus master who asks for DMA."""
        if self.dma is not None:
            self.dma.request(self.requesting)
        unit = self.units[self._selected]
        level = unit is not None and unit.interrupt and not self._control & NO_INTERRUPT
        if level == self._level:
            return
        self._level = level
        if level and self.dma is not None:
            self.dma.interrupted()
        self._irq.set(level)

    # -- snapshots ------------------------------------------------------------------------------------------------
    def state(self) -> AtaChannelState:
        """Return everything the channel and its drives remember; what is on the media is not part of it."""
        first, second = self.units
        return AtaChannelState(
            control=self._control, selected=self._selected, doing=self._doing,
            due=None if self._alarm is None else self._alarm.due,
            units=(None if first is None else first.state(), None if second is None else second.state()),
        )  # fmt: skip

    def restore(self, state: AtaChannelState) -> None:
        """Become `state` again: the line and the alarms as they were. The bus master is restored after this."""
        self._cancel()
        self._control, self._selected = state.control, state.selected
        for unit, saved in zip(self.units, state.units, strict=True):
            if unit is not None and saved is not None:
                unit.restore(saved)
        if state.due is not None:
            self._arm(state.due, state.doing)
        self._doing = state.doing
        unit = self.unit
        self._level = unit is not None and unit.interrupt and not self._control & NO_INTERRUPT
        self._irq.set(self._level)


class CommandBlock:
    """The eight registers of the command block, a `Port`; the data register is 16 or 32 bits wide and has bursts."""

    burst_offsets = (DATA,)

    def __init__(self, channel: AtaChannel) -> None:
        self._channel = channel

    def read(self, offset: int, size: int) -> int:
        """Read the data register, or as many of the others as the access is wide."""
        channel = self._channel
        if offset == DATA:
            unit = channel.unit
            return unit.read_data(size) if unit is not None and size > 1 else channel.read_data(size)
        if size == 1:
            return channel.read_register(offset)
        places = range(offset, min(offset + size, COMMAND_BYTES))
        return int.from_bytes(bytes(channel.read_register(place) for place in places).ljust(size, b"\xff"), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the data register, or as many of the others as the access is wide."""
        if offset == DATA:
            self._channel.write_data(size, value)
            return
        for place in range(offset, min(offset + size, COMMAND_BYTES)):
            self._channel.write_register(place, value & 0xFF)
            value >>= 8

    def read_burst(self, offset: int, size: int, count: int) -> bytes | None:
        """Return what up to `count` reads of the data register give; the last one of a block is never among them."""
        unit = self._channel.unit
        return unit.read_burst(size, count) if offset == DATA and size > 1 and unit is not None else None

    def write_burst(self, offset: int, size: int, data: bytes) -> int:
        """Write items to the data register, but never the last one of a block; return how many."""
        unit = self._channel.unit
        return unit.write_burst(size, data) if offset == DATA and size > 1 and unit is not None else 0


class ControlBlock:
    """The one register of the control block, a `Port`: alternate status and device control."""

    def __init__(self, channel: AtaChannel) -> None:
        self._channel = channel

    def read(self, offset: int, size: int) -> int:
        """Return the alternate status."""
        return self._channel.read_status()

    def write(self, offset: int, size: int, value: int) -> None:
        """Take the device control register."""
        self._channel.write_control(value & 0xFF)
