"""One drive's end of the ATA cable: its registers, the data block that is on its way, its interrupt.

ATA/ATAPI-6 (T13/1410D), sections 7 (registers) and 9 (protocols). A drive (`disk`, `atapi`) executes commands by
telling its unit what comes next, as a step with a name; the unit calls `drive.step(name)` when it is time, so that a
snapshot in the middle of a transfer is nothing but data.
"""

from collections.abc import Callable
from typing import Protocol

from minivm.core.clock import Alarm, Clock
from minivm.devices.ata.states import DriveState, UnitState

BUSY, READY, FAULT, SEEK_DONE, DATA_REQUEST, ERROR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
"""Status: BSY, DRDY, DF, DSC (for a packet drive SERV), DRQ, ERR (for a packet drive CHK)."""
ABORTED, ID_NOT_FOUND, UNCORRECTABLE = 0x04, 0x10, 0x40
"""Error: ABRT, IDNF, UNC."""
DIAGNOSTIC_PASSED = 0x01
FEATURES, COUNT, LOW, MID, HIGH, DEVICE = 1, 2, 3, 4, 5, 6
"""Offsets in the command block; LOW, MID and HIGH were once sector number, cylinder low and cylinder high."""
DEVICE_FIXED = 0xA0
"""Two bits of the device register that were ones before ATA-3 and are obsolete since."""
LBA_MODE, SECOND_DRIVE = 0x40, 0x10
ALL_ONES = 0xFFFFFFFF

INWARD, OUTWARD = "in", "out"
"""Which way a data block goes, as the host sees it."""


class Drive(Protocol):
    """What is behind a unit: it executes commands, and knows nothing about buses and interrupts."""

    signature: tuple[int, int, int, int]
    """COUNT, LOW, MID and HIGH after a reset (ATA/ATAPI-6, section 9.12)."""
    ready_status: int
    """The status of a drive that has nothing to do."""
    power_up_status: int
    """The status after a reset."""

    def attach(self, unit: "Unit") -> None:
        """Let the drive work at `unit`, its only one."""

    def reset(self, *, hard: bool) -> None:
        """Give up what it does; a hard reset (power-on) also returns the settings to their defaults."""

    def command(self, code: int) -> None:
        """Begin a command; the unit is busy until the drive says otherwise."""

    def step(self, name: str) -> None:
        """Go on where `name` says: the time is over, or the data block is through."""

    def dma_read(self, length: int) -> bytes:
        """Return the next `length` bytes for the host's memory; fewer when the drive has had to give up."""

    def dma_write(self, data: bytes) -> None:
        """Take the next bytes out of the host's memory."""

    def state(self) -> DriveState:
        """Return everything the drive remembers."""

    def restore(self, state: DriveState) -> None:
        """Become `state` again."""


class Unit:
    """One drive's registers and transfers. `changed` hears that the interrupt or the wish for DMA has changed."""

    def __init__(self, clock: Clock, drive: Drive, changed: Callable[[], None]) -> None:
        self._clock = clock
        self.drive = drive
        self._changed = changed
        self._alarm: Alarm | None = None
        self.direction = ""
        self.position = self.device = 0
        drive.attach(self)
        self.reset(hard=True)

    def reset(self, *, hard: bool) -> None:
        """Stop everything and show the signature; the status is the drive's after a reset."""
        self._cancel()
        self.registers = bytearray(6)
        self.previous = bytearray(6)
        self.interrupt = False
        self._clear_transfer()
        self.next_step = ""
        self.drive.reset(hard=hard)
        self.show_signature()
        self.status, self.error = self.drive.power_up_status, DIAGNOSTIC_PASSED

    def show_signature(self) -> None:
        """Put the drive's signature into the registers."""
        self.registers[COUNT : HIGH + 1] = bytes(self.drive.signature)
        self.device &= SECOND_DRIVE

    # -- what the host does ---------------------------------------------------------------------------------------
    @property
    def accepts(self) -> bool:
        """True when registers can be written: neither busy nor in the middle of a block."""
        return not self.status & (BUSY | DATA_REQUEST)

    def load(self, offset: int, value: int) -> None:
        """Take a register of the command block, 1 to 6."""
        if offset == DEVICE:
            self.device = value
        else:
            self.previous[offset] = self.registers[offset]
            self.registers[offset] = value

    def look(self, offset: int, *, previous: bool = False) -> int:
        """Return a register of the command block, 1 to 6; `previous` is the HOB bit."""
        if offset == FEATURES:
            return self.error
        if offset == DEVICE:
            return self.device | DEVICE_FIXED
        return self.previous[offset] if previous else self.registers[offset]

    def command(self, code: int) -> None:
        """Take a command: busy from now on, and no interrupt waits."""
        self.status = self.status & ~(ERROR | FAULT | DATA_REQUEST) | BUSY
        self.error = 0
        self._clear_transfer()
        self.answer()
        self.drive.command(code)

    def answer(self) -> None:
        """Take the interrupt back: the host has read the status."""
        if self.interrupt:
            self.interrupt = False
            self._changed()

    def read_data(self, size: int) -> int:
        """Return the next bytes of the block; the last ones let the drive go on."""
        if self.direction != INWARD:
            return ALL_ONES >> 32 - 8 * size
        position = self.position
        self.position = end = position + size
        value = int.from_bytes(self.block[position:end], "little")
        if end >= len(self.block):
            self._through()
        return value

    def write_data(self, size: int, value: int) -> None:
        """Take the next bytes of the block; the last ones let the drive go on."""
        if self.direction != OUTWARD:
            return
        position, room = self.position, len(self._incoming) - self.position
        data = value.to_bytes(size, "little")[:room]
        self._incoming[position : position + len(data)] = data
        self.position = position + size
        if size >= room:
            self._through()

    def read_burst(self, size: int, count: int) -> bytes | None:
        """Return what up to `count` reads of `size` bytes give, all but the last one of the block."""
        if self.direction != INWARD:
            return None
        position = self.position
        count = min(count, (len(self.block) - position - 1) // size)
        if count < 1:
            return None
        self.position = end = position + count * size
        return self.block[position:end]

    def write_burst(self, size: int, data: bytes) -> int:
        """Take items of `size` bytes, all but the last one of the block, and return how many."""
        if self.direction != OUTWARD:
            return 0
        position = self.position
        count = min(len(data) // size, (len(self._incoming) - position - 1) // size)
        if count < 1:
            return 0
        self.position = end = position + count * size
        self._incoming[position:end] = data[: count * size]
        return count

    # -- what the drive says --------------------------------------------------------------------------------------
    def after(self, delay_ns: int, step: str) -> None:
        """Stay busy, and go on with `step` later."""
        self.status = self.status & ~DATA_REQUEST | BUSY
        self._arm(self._clock.now + delay_ns, step)

    def offer(self, data: bytes, step: str) -> None:
        """Let the host read a block, and interrupt; then go on with `step`."""
        self.block, self.position, self.direction, self.next_step = bytes(data), 0, INWARD, step
        self._request(interrupt=True)

    def accept(self, length: int, step: str, *, interrupt: bool) -> None:
        """Let the host write a block of `length` bytes; then go on with `step`, which finds it in `received`."""
        self._incoming, self.position, self.direction, self.next_step = bytearray(length), 0, OUTWARD, step
        self._request(interrupt=interrupt)

    @property
    def received(self) -> bytes:
        """The block that the host has written."""
        return bytes(self._incoming)

    def request_dma(self, length: int, direction: str, step: str) -> None:
        """Ask for the transfer of `length` bytes by the bus master; then go on with `step`."""
        self.status |= BUSY
        self.dma_left, self.direction, self.next_step = length, direction + " dma", step
        self._changed()

    def finish(self, error: int = 0, *, interrupt: bool = True, status: int = 0) -> None:
        """End the command, with `error` in the error register and more bits in the status."""
        self._cancel()
        self._clear_transfer()
        self.error = error
        self.status = self.drive.ready_status | status | (ERROR if error else 0)
        self.interrupt = self.interrupt or interrupt
        self._changed()

    # -- what the bus master does ---------------------------------------------------------------------------------
    @property
    def dma_direction(self) -> str:
        """INWARD or OUTWARD while the drive asks for DMA; otherwise empty."""
        return self.direction.removesuffix(" dma") if self.dma_left else ""

    def pull(self, length: int) -> bytes:
        """Return up to `length` bytes for the host's memory."""
        data = self.drive.dma_read(min(length, self.dma_left))
        self._moved(len(data))
        return data

    def push(self, data: bytes) -> None:
        """Take bytes out of the host's memory, at most `dma_left`."""
        self.drive.dma_write(data)
        self._moved(len(data))

    def _moved(self, length: int) -> None:
        if not self.dma_left:
            return  # the drive has given up
        self.dma_left -= length
        if not self.dma_left:
            self.direction = ""
            self._go()

    # -- steps ----------------------------------------------------------------------------------------------------
    def _request(self, *, interrupt: bool) -> None:
        self.status = self.status & ~BUSY | self.drive.ready_status | DATA_REQUEST
        if interrupt:
            self.interrupt = True
            self._changed()

    def _through(self) -> None:
        """Let the drive go on behind a block."""
        self.direction = ""
        self.status = self.status & ~DATA_REQUEST | BUSY
        self._go()

    def _go(self) -> None:
        step, self.next_step = self.next_step, ""
        self.drive.step(step)

    def _arm(self, due: int, step: str) -> None:
        self._cancel()
        self.next_step = step
        self._alarm = self._clock.at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._go()

    def _cancel(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _clear_transfer(self) -> None:
        self.block = b""
        self._incoming = bytearray()
        self.position = 0
        self.direction = ""
        self.dma_left = 0

    # -- snapshots ------------------------------------------------------------------------------------------------
    def state(self) -> UnitState:
        """Return everything the unit and its drive remember."""
        return UnitState(
            status=self.status, error=self.error, device=self.device,
            registers=bytes(self.registers[1:]), previous=bytes(self.previous[1:]), interrupt=self.interrupt,
            block=self.block or bytes(self._incoming), position=self.position, direction=self.direction,
            next_step=self.next_step, due=None if self._alarm is None else self._alarm.due,
            dma_left=self.dma_left, drive=self.drive.state(),
        )  # fmt: skip

    def restore(self, state: UnitState) -> None:
        """Become `state` again and arm its alarm."""
        self._cancel()
        self.status, self.error, self.device = state.status, state.error, state.device
        self.registers, self.previous = bytearray(b"\0" + state.registers), bytearray(b"\0" + state.previous)
        self.interrupt = state.interrupt
        self._clear_transfer()
        if state.direction == INWARD:
            self.block = state.block
        else:
            self._incoming = bytearray(state.block)
        self.position, self.direction, self.dma_left = state.position, state.direction, state.dma_left
        self.drive.restore(state.drive)
        self.next_step = state.next_step
        if state.due is not None:
            self._arm(state.due, state.next_step)
