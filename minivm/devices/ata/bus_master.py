"""The IDE bus master: moves a drive's data between its channel and memory by a table of regions.

SFF-8038i, "Programming interface for bus master IDE controllers"; Intel 82371SB (PIIX3) datasheet 290550, section 2.7.
Two channels of eight ports: command, status and the address of a table of physical region descriptors (PRD).
"""

from minivm.core.clock import Alarm, Clock
from minivm.core.dma import DmaMemory
from minivm.core.record import record
from minivm.devices.ata.channel import AtaChannel
from minivm.devices.ata.unit import INWARD, OUTWARD, Unit

COMMAND, STATUS, TABLE = 0, 2, 4
CHANNEL_BYTES = 8
START, INTO_MEMORY = 0x01, 0x08
"""Command: SSBM starts the bus master, RWCON set lets it write memory."""
ACTIVE, FAILED, INTERRUPT, CAPABLE = 0x01, 0x02, 0x04, 0x60
"""Status: BMIDEA, the error and interrupt bits that are cleared by writing ones, and the drives' DMA-capable bits."""
LAST = 0x80000000
"""In the second word of a descriptor: EOT, the table ends here."""
LARGEST_REGION = 0x10000
BYTES_PER_MICROSECOND = 100
"""Ultra DMA mode 5."""
DESCRIPTOR_NS = 300
"""Fetching a descriptor and arbitrating for the PCI bus."""
ALL_ADDRESSES = 0xFFFFFFFF


@record
class BusMasterChannelState:
    """Everything one channel remembers; `due` is when the next region is through, in virtual nanoseconds."""

    command: int
    status: int
    table: int
    next_descriptor: int
    address: int
    left: int
    last: bool
    moving: int
    due: int | None


class BusMasterChannel:
    """One channel's half of the bus master, which serves the drives of `channel`."""

    def __init__(self, clock: Clock, memory: DmaMemory, channel: AtaChannel) -> None:
        self._clock = clock
        self._memory = memory
        self._channel = channel
        self._unit: Unit | None = None
        self._alarm: Alarm | None = None
        self.reset()
        channel.dma = self

    def reset(self) -> None:
        """Return to the power-on state: stopped."""
        self._cancel()
        self._command = self._status = self._table = 0
        self._forget_region()

    # -- registers ------------------------------------------------------------------------------------------------
    def read(self, offset: int) -> int:
        """Return one of the eight bytes."""
        if offset == COMMAND:
            return self._command
        if offset == STATUS:
            return self._status
        return self._table >> 8 * (offset - TABLE) & 0xFF if offset >= TABLE else 0

    def write(self, offset: int, value: int) -> None:
        """Take one of the eight bytes."""
        if offset == COMMAND:
            self._write_command(value)
        elif offset == STATUS:
            kept = self._status & ~(value & (FAILED | INTERRUPT))
            self._status = kept & ~CAPABLE | value & CAPABLE
        elif offset >= TABLE:
            shift = 8 * (offset - TABLE)
            self._table = (self._table & ~(0xFF << shift) | value << shift) & ~3

    def _write_command(self, value: int) -> None:
        started, self._command = self._command & START, value & (START | INTO_MEMORY)
        if not value & START:
            self._cancel()
            self._status &= ~ACTIVE
            self._forget_region()
        elif not started:
            self._status |= ACTIVE
            self._forget_region()
            self._next_descriptor = self._table
            self._go_on()

    # -- what the channel says ------------------------------------------------------------------------------------
    def request(self, unit: Unit | None) -> None:
        """Serve `unit` from now on; None stops the transfer where it is."""
        if unit is self._unit and (unit is None or self._alarm is not None):
            return
        self._unit = unit
        if unit is None:
            self._cancel()
        else:
            self._go_on()

    def interrupted(self) -> None:
        """Remember that the channel's interrupt has risen."""
        self._status |= INTERRUPT

    # -- the transfer ---------------------------------------------------------------------------------------------
    def _go_on(self) -> None:
        """Begin the next piece, if drive and bus master both want one and agree on its direction."""
        unit = self._unit
        if unit is None or not self._status & ACTIVE or self._alarm is not None:
            return
        if unit.dma_direction != (INWARD if self._command & INTO_MEMORY else OUTWARD):
            return
        if not self._left:
            self._fetch_descriptor()
        self._moving = min(self._left, unit.dma_left)
        self._arm(self._clock.now + DESCRIPTOR_NS + self._moving * 1000 // BYTES_PER_MICROSECOND)

    def _fetch_descriptor(self) -> None:
        descriptor = self._memory.read(self._next_descriptor, 8)
        self._next_descriptor = (self._next_descriptor + 8) & ALL_ADDRESSES
        self._address = int.from_bytes(descriptor[:4], "little") & ~1
        second = int.from_bytes(descriptor[4:], "little")
        self._left = second & 0xFFFE or LARGEST_REGION
        self._last = bool(second & LAST)

    def _move(self) -> None:
        """Move the piece whose time is over; the last of the last region ends the bus master's activity."""
        self._alarm = None
        unit, length, address = self._unit, self._moving, self._address
        if unit is None:
            return
        self._left -= length
        self._address = (address + length) & ALL_ADDRESSES
        if not self._left and self._last:
            self._status &= ~ACTIVE
        if self._command & INTO_MEMORY:
            self._memory.write(address, unit.pull(length))
        else:
            unit.push(self._memory.read(address, length))
        self._unit = unit if unit.dma_direction else None
        self._go_on()

    def _forget_region(self) -> None:
        self._next_descriptor = self._address = self._left = self._moving = 0
        self._last = False

    def _arm(self, due: int) -> None:
        self._alarm = self._clock.at(due, self._move)

    def _cancel(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None

    # -- snapshots ------------------------------------------------------------------------------------------------
    def state(self) -> BusMasterChannelState:
        """Return everything this channel remembers."""
        return BusMasterChannelState(
            command=self._command, status=self._status, table=self._table, next_descriptor=self._next_descriptor,
            address=self._address, left=self._left, last=self._last, moving=self._moving,
            due=None if self._alarm is None else self._alarm.due,
        )  # fmt: skip

    def restore(self, state: BusMasterChannelState) -> None:
        """Become `state` again, with the ATA channel as it is now."""
        self._cancel()
        self._command, self._status, self._table = state.command, state.status, state.table
        self._next_descriptor, self._address, self._left = state.next_descriptor, state.address, state.left
        self._last, self._moving = state.last, state.moving
        self._unit = self._channel.requesting
        if state.due is not None:
            self._arm(state.due)


@record
class IdeBusMasterState:
    """Everything the bus master remembers."""

    channels: tuple[BusMasterChannelState, BusMasterChannelState]


class IdeBusMaster:
    """The bus master of two ATA channels, a `Port` of 16 bytes and a `Device`; restore it after the channels."""

    def __init__(self, clock: Clock, *, memory: DmaMemory, channels: tuple[AtaChannel, AtaChannel]) -> None:
        first, second = channels
        self.channels = (BusMasterChannel(clock, memory, first), BusMasterChannel(clock, memory, second))

    def reset(self) -> None:
        """Stop both channels and clear their registers."""
        for channel in self.channels:
            channel.reset()

    def read(self, offset: int, size: int) -> int:
        """Return `size` bytes."""
        places = range(offset, offset + size)
        return int.from_bytes(bytes(self.channels[at >> 3 & 1].read(at % CHANNEL_BYTES) for at in places), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Take `size` bytes, the lowest first."""
        for place in range(offset, offset + size):
            self.channels[place >> 3 & 1].write(place % CHANNEL_BYTES, value & 0xFF)
            value >>= 8

    def state(self) -> IdeBusMasterState:
        """Return everything the bus master remembers."""
        first, second = self.channels
        return IdeBusMasterState((first.state(), second.state()))

    def restore(self, state: IdeBusMasterState) -> None:
        """Become `state` again."""
        for channel, saved in zip(self.channels, state.channels, strict=True):
            channel.restore(saved)
