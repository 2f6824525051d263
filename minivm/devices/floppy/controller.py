"""82077AA floppy disk controller in its AT wiring: registers, command and result phases, resets, interrupts.

Intel 82077AA datasheet (290166); IBM PC AT Technical Reference, "Fixed disk and diskette adapter". `FloppyController`
is the `Port` at 3F0h-3F5h, its `rate_port` the one at 3F7h; 3F6h is the hard disk's. Heads move in `seek`, data in
`transfer`; here bytes go in and out of the FIFO, and IRQ 6 rises and falls.
"""

from collections.abc import Callable
from typing import NamedTuple

from minivm.core.clock import Alarm, Clock
from minivm.core.device import Line
from minivm.core.record import record, replace
from minivm.devices.floppy.drive import FloppyDrive, FloppyDriveState, FloppyMedium
from minivm.devices.floppy.request import Transfer, access, on_track
from minivm.devices.floppy.seek import UNITS, FloppySeeks, FloppySeeksState
from minivm.devices.floppy.settings import RATE_SELECT, FloppySettings, FloppySettingsState
from minivm.devices.floppy.transfer import ST0_SEEK_END, DmaRequest, FloppyTransfer

DIGITAL_OUTPUT, TAPE_DRIVE, DATA_RATE_SELECT, FIFO = range(2, 6)
# SRA and SRB
INTERRUPT_PENDING, NO_SECOND_DRIVE, NOT_TRACK_0, HEAD_SELECTED, NO_INDEX, NOT_PROTECTED = 0x80, 0x40, 0x10, 8, 4, 2
STATUS_B_ONES, DRIVE_0_SELECTED = 0xC0, 0x20
# DOR
DRIVE_SELECT, NOT_RESET, DMA_GATE, MOTOR_0 = 0x03, 0x04, 0x08, 0x10
# DSR
SOFTWARE_RESET = 0x80
# MSR
REQUEST_FOR_MASTER, DATA_TO_HOST, NON_DMA, COMMAND_BUSY = 0x80, 0x40, 0x20, 0x10
# DIR, TDR
DISK_CHANGED, UNDRIVEN_7, UNDRIVEN_6 = 0x80, 0x7F, 0xFC
FLOATING = 0xFF

INVALID = bytes((0x80,))
VERSION_82077 = bytes((0x90,))
READY_CHANGED = 0xC0
RESET_NS = 50_000
"""How long the chip takes to come out of reset and poll its drives."""

COMMAND, EXECUTION, RESULT = "command", "execution", "result"


@record
class FloppyState:
    """The controller, its heads and the command on its way; what the drives hold is the storage's.

    `phase` is "command" (also when idle), "execution" or "result"; `received` are the command's bytes, also while it
    runs; `results` those that the host has still to read. `head_until` is when the head is lifted; `resets_to_sense`
    counts the four interrupts of a reset down.
    """

    digital_output: int
    tape_drive: int
    phase: str
    received: bytes
    results: bytes
    interrupt: bool
    resets_to_sense: int
    reset_due: int | None
    head_until: int
    settings: FloppySettingsState
    seeks: FloppySeeksState
    transfer: Transfer | None
    drives: tuple[FloppyDriveState, ...]


class _Command(NamedTuple):
    """A command: its opcode under `mask`, how many bytes follow, and what then happens."""

    opcode: int
    mask: int
    parameters: int
    act: Callable[["FloppyController", bytes], None]


class FloppyController:
    """The chip and its two drives.

    `drives` tells which of the two plugs have a drive. `irq` is IRQ 6, `dma` channel 2. Nothing that a guest or a
    failing disk does raises.
    """

    def __init__(self, clock: Clock, irq: Line, *, dma: DmaRequest, drives: tuple[bool, bool] = (True, False)) -> None:
        self._clock = clock
        self._irq = irq
        present = (*drives, False, False)
        self._drives = tuple(FloppyDrive(present=present[unit]) for unit in range(UNITS))
        self._seeks = FloppySeeks(clock, self._drives, self._interrupt_host)
        self._transfer = FloppyTransfer(
            clock,
            self._drives,
            dma=dma,
            spins=self._spins,
            gate=lambda: bool(self._digital_output & DMA_GATE),
            ended=self._finish,
            asks=self._interrupt_host,
        )
        self._readers: tuple[Callable[[], int], ...] = (
            self._status_a,
            self._status_b,
            lambda: self._digital_output,
            lambda: self._tape_drive | UNDRIVEN_6,
            self._main_status,
            self._read_fifo,
        )
        self._writers: dict[int, Callable[[int], None]] = {
            DIGITAL_OUTPUT: self._write_digital_output,
            TAPE_DRIVE: self._write_tape_drive,
            DATA_RATE_SELECT: self._write_data_rate_select,
            FIFO: self._write_fifo,
        }
        self._reset_alarm: Alarm | None = None
        self._digital_output = self._tape_drive = 0
        self._settings = FloppySettings()
        self.rate_port = FloppyRatePort(self)
        self._clear()

    def insert(self, unit: int, medium: FloppyMedium | None) -> None:
        """Change the medium of drive 0 or 1, as a person does; None takes it out."""
        self._drives[unit].insert(medium)

    def medium(self, unit: int) -> FloppyMedium | None:
        """Return what lies in a drive."""
        return self._drives[unit].medium

    def look_for_change(self, unit: int) -> bool:
        """Return the change line of a drive, and reset it as a BIOS does, by a step over the medium."""
        drive = self._drives[unit]
        changed = drive.changed
        drive.move(drive.cylinder, 1)
        return changed

    # -- ports ------------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Return SRA, SRB, DOR, TDR, MSR or a byte of the FIFO."""
        return self._readers[offset]() if offset < len(self._readers) else FLOATING

    def write(self, offset: int, size: int, value: int) -> None:
        """Write DOR, TDR, DSR or the FIFO; SRA and SRB only read."""
        if offset in self._writers:
            self._writers[offset](value & 0xFF)

    def _write_tape_drive(self, value: int) -> None:
        self._tape_drive = value & DRIVE_SELECT

    def _write_data_rate_select(self, value: int) -> None:
        self._settings.rate_select = value & ~SOFTWARE_RESET
        if value & SOFTWARE_RESET and self._digital_output & NOT_RESET:
            self._stop()
            self._leave_reset()

    def read_change_line(self) -> int:
        """Return DIR: bit 7 is the change line of the drive that DOR selects; the hard disk drives the others."""
        return UNDRIVEN_7 | (DISK_CHANGED if self._selected.changed else 0)

    def write_rate(self, value: int) -> None:
        """Write CCR: only the data rate."""
        self._settings.rate_select = self._settings.rate_select & ~RATE_SELECT | value & RATE_SELECT

    @property
    def _selected(self) -> FloppyDrive:
        return self._drives[self._digital_output & DRIVE_SELECT]

    def _spins(self, unit: int) -> bool:
        return bool(self._digital_output & MOTOR_0 << unit)

    def _status_a(self) -> int:
        """Return SRA as in PS/2 mode; the AT leaves it undriven (datasheet, section 2.1.1)."""
        drive, transfer = self._selected, self._transfer.current
        return (
            INTERRUPT_PENDING * self._interrupt
            | NO_SECOND_DRIVE * (not self._drives[1].present)
            | NOT_TRACK_0 * (not drive.present or drive.cylinder != 0)
            | HEAD_SELECTED * (transfer is not None and transfer.side == 1)
            | NO_INDEX
            | NOT_PROTECTED * (not drive.write_protected)
        )

    def _status_b(self) -> int:
        """Return SRB as in PS/2 mode: the motors and whether drive 0 is selected."""
        output = self._digital_output
        return STATUS_B_ONES | (DRIVE_0_SELECTED if output & 1 else 0) | output >> 4 & 3

    def _main_status(self) -> int:
        if not self._digital_output & NOT_RESET or self._reset_alarm is not None:
            return 0
        busy = self._seeks.busy
        if self._phase == RESULT:
            return busy | REQUEST_FOR_MASTER | DATA_TO_HOST | COMMAND_BUSY
        if self._phase == COMMAND:
            return busy | REQUEST_FOR_MASTER | (COMMAND_BUSY if self._received else 0)
        status = busy | COMMAND_BUSY | (NON_DMA if self._settings.non_dma else 0)
        if self._transfer.asks_host:
            status |= REQUEST_FOR_MASTER | (DATA_TO_HOST if self._transfer.gives else 0)
        return status

    # -- resets -----------------------------------------------------------------------------------------------------
    def _write_digital_output(self, value: int) -> None:
        was, self._digital_output = self._digital_output, value
        if not value & NOT_RESET:
            self._stop()
        elif not was & NOT_RESET:
            self._leave_reset()
        self._drive_irq()
        self._transfer.go_on()

    def _stop(self) -> None:
        """Drop what the chip is doing; FIFO settings go unless LOCK holds them (datasheet, sections 4.1 and 5.2.9)."""
        self._transfer.cancel()
        self._seeks.reset()
        if self._reset_alarm is not None:
            self._reset_alarm.cancel()
        self._reset_alarm = None
        self._phase, self._received, self._results = COMMAND, bytearray(), bytearray()
        self._resets_to_sense = 0
        self._settings.reset_by_software()
        self._interrupt = False
        self._drive_irq()

    def _leave_reset(self) -> None:
        self._reset_alarm = self._clock.after(RESET_NS, self._polled)

    def _polled(self) -> None:
        """The first poll after a reset finds every drive's ready line changed (datasheet, section 4.4)."""
        self._reset_alarm = None
        self._interrupt_host()
        self._resets_to_sense = UNITS

    # -- interrupts -------------------------------------------------------------------------------------------------
    def _interrupt_host(self) -> None:
        """Raise IRQ 6; what is left of a reset's interrupts is forgotten for it."""
        self._resets_to_sense = 0
        self._interrupt = True
        self._drive_irq()

    def _answer_interrupt(self) -> None:
        self._interrupt = False
        self._drive_irq()

    def _drive_irq(self) -> None:
        self._irq.set(self._interrupt and bool(self._digital_output & DMA_GATE))

    # -- the FIFO ---------------------------------------------------------------------------------------------------
    def _read_fifo(self) -> int:
        if self._phase == RESULT:
            return self._read_result()
        if self._phase == EXECUTION and self._transfer.asks_host and self._transfer.gives:
            value = self._transfer.take()
            self._host_served()
            return value
        return 0

    def _read_result(self) -> int:
        """Return the next byte of the result; the first one answers the interrupt, the last ends the command."""
        if self._interrupt:
            self._answer_interrupt()
        value = self._results.pop(0)
        if not self._results:
            self._phase = COMMAND
            self._received.clear()
            if self._seeks.waiting:
                self._interrupt_host()
        return value

    def _write_fifo(self, value: int) -> None:
        if not self._main_status() & REQUEST_FOR_MASTER:
            return
        if self._phase == EXECUTION and not self._transfer.gives:
            self._transfer.give(value)
            self._host_served()
        elif self._phase == COMMAND:
            self._received.append(value)
            command = _COMMANDS[self._received[0]]
            if len(self._received) > command.parameters:
                command.act(self, bytes(self._received))
                if self._phase == COMMAND:
                    self._received.clear()

    def _host_served(self) -> None:
        """Let the interrupt fall when the FIFO asks for no more."""
        if self._phase == EXECUTION and not self._transfer.asks_host:
            self._answer_interrupt()

    def _reply(self, results: bytes) -> None:
        self._results = bytearray(results)
        self._phase = RESULT

    def _finish(self, results: bytes) -> None:
        """The execution phase is over."""
        self._head_until = self._clock.now + self._settings.head_unload_ns
        self._reply(results)
        self._answer_interrupt()  # the FIFO's own one, so that this one has an edge
        self._interrupt_host()

    # -- commands that only answer ----------------------------------------------------------------------------------
    def _invalid(self, received: bytes) -> None:
        self._reply(INVALID)

    def _version(self, received: bytes) -> None:
        self._reply(VERSION_82077)

    def _specify(self, received: bytes) -> None:
        self._settings.specify(received)

    def _configure(self, received: bytes) -> None:
        self._settings.configure(received)

    def _perpendicular_mode(self, received: bytes) -> None:
        self._settings.perpendicular_mode(received)

    def _lock(self, received: bytes) -> None:
        self._settings.locked = bool(received[0] & 0x80)
        self._reply(bytes((self._settings.locked << 4,)))

    def _dump_registers(self, received: bytes) -> None:
        self._reply(bytes(self._seeks.present_cylinders) + self._settings.dump())

    def _sense_drive(self, received: bytes) -> None:
        """Return ST3: write protected, track 0, and two bits that are always set."""
        unit = received[1] & DRIVE_SELECT
        drive = self._drives[unit]
        track_0 = drive.present and drive.cylinder == 0
        self._reply(bytes((0x28 | drive.write_protected << 6 | track_0 << 4 | received[1] & 0x07,)))

    def _sense_interrupt(self, received: bytes) -> None:
        """Return ST0 and PCN of a reset's poll or of a seek; without any it is an invalid command (section 5.2.4)."""
        if self._resets_to_sense:
            unit = UNITS - self._resets_to_sense
            self._resets_to_sense -= 1
            results: bytes | None = bytes((READY_CHANGED | unit, self._seeks.present_cylinders[unit]))
        else:
            results = self._seeks.sense()
        self._answer_interrupt()
        self._reply(INVALID if results is None else results)

    # -- commands that move the head --------------------------------------------------------------------------------
    def _seek(self, received: bytes) -> None:
        self._seeks.seek(received[1] & DRIVE_SELECT, received[2], self._settings.step_ns)

    def _recalibrate(self, received: bytes) -> None:
        self._seeks.recalibrate(received[1] & DRIVE_SELECT, self._settings.step_ns)

    def _relative_seek(self, received: bytes) -> None:
        steps = received[2] if received[0] & 0x40 else -received[2]
        self._seeks.relative(received[1] & DRIVE_SELECT, steps, self._settings.step_ns)

    # -- commands with data -----------------------------------------------------------------------------------------
    def _access(self, received: bytes) -> None:
        """Begin a command with C, H, R, N, EOT, GPL and DTL, after the seek that CONFIGURE may imply."""
        transfer = access(received, self._settings.rate)
        if self._settings.implied_seek:
            pulses = self._seeks.at_once(transfer.drive, transfer.cylinder)
            transfer = replace(transfer, st0=ST0_SEEK_END)
            self._begin(transfer, pulses * self._settings.step_ns)
        else:
            self._begin(transfer)

    def _format(self, received: bytes) -> None:
        self._begin(self._on_track(received))

    def _read_id(self, received: bytes) -> None:
        self._begin(self._on_track(received), keep_last_sector=True)

    def _on_track(self, received: bytes) -> Transfer:
        return on_track(received, self._settings.rate, self._drives[received[1] & DRIVE_SELECT].cylinder)

    def _begin(self, transfer: Transfer, delay_ns: int = 0, *, keep_last_sector: bool = False) -> None:
        """Enter the execution phase: load the head, unless it still is, and look for the sector."""
        if not keep_last_sector:
            self._settings.last_sector = transfer.last_sector
        if self._clock.now >= self._head_until:
            delay_ns += self._settings.head_load_ns
        self._phase = EXECUTION
        self._transfer.begin(replace(transfer, host=self._settings.non_dma), delay_ns)

    # -- snapshots --------------------------------------------------------------------------------------------------
    def _clear(self) -> None:
        """Take the state that the RESET pin leaves; the heads stay where they are."""
        self._digital_output = self._tape_drive = self._head_until = 0
        self._settings.restore(FloppySettingsState())
        self._stop()

    def reset(self) -> None:
        """Do what the RESET pin does: DOR is 0, which holds the chip in reset until software releases it."""
        self._clear()

    def state(self) -> FloppyState:
        """Return everything the chip and its drives remember."""
        return FloppyState(
            digital_output=self._digital_output,
            tape_drive=self._tape_drive,
            phase=self._phase,
            received=bytes(self._received),
            results=bytes(self._results),
            interrupt=self._interrupt,
            resets_to_sense=self._resets_to_sense,
            reset_due=None if self._reset_alarm is None else self._reset_alarm.due,
            head_until=self._head_until,
            settings=self._settings.state(),
            seeks=self._seeks.state(),
            transfer=self._transfer.state(),
            drives=tuple(drive.state() for drive in self._drives[:2]),
        )

    def restore(self, state: FloppyState) -> None:
        """Become `state` again, around the media that are in the drives."""
        self._stop()
        self._digital_output, self._tape_drive = state.digital_output, state.tape_drive
        self._phase = state.phase
        self._received, self._results = bytearray(state.received), bytearray(state.results)
        self._interrupt, self._resets_to_sense = state.interrupt, state.resets_to_sense
        self._reset_alarm = None if state.reset_due is None else self._clock.at(state.reset_due, self._polled)
        self._head_until = state.head_until
        self._settings.restore(state.settings)
        for drive, saved in zip(self._drives, state.drives, strict=False):
            drive.restore(saved)
        self._seeks.restore(state.seeks)
        self._transfer.restore(state.transfer)
        self._drive_irq()


class FloppyRatePort:
    """Port 3F7h: DIR when it is read, CCR when it is written."""

    def __init__(self, controller: FloppyController) -> None:
        self._controller = controller

    def read(self, offset: int, size: int) -> int:
        """Return DIR."""
        return self._controller.read_change_line()

    def write(self, offset: int, size: int, value: int) -> None:
        """Write CCR."""
        self._controller.write_rate(value)


_Controller = FloppyController
_TABLE = (
    _Command(0x02, 0xBF, 8, _Controller._access),  # READ TRACK
    _Command(0x03, 0xFF, 2, _Controller._specify),
    _Command(0x04, 0xFF, 1, _Controller._sense_drive),
    _Command(0x05, 0x3F, 8, _Controller._access),  # WRITE DATA
    _Command(0x06, 0x1F, 8, _Controller._access),  # READ DATA
    _Command(0x07, 0xFF, 1, _Controller._recalibrate),
    _Command(0x08, 0xFF, 0, _Controller._sense_interrupt),
    _Command(0x09, 0x3F, 8, _Controller._access),  # WRITE DELETED DATA
    _Command(0x0A, 0xBF, 1, _Controller._read_id),
    _Command(0x0C, 0x1F, 8, _Controller._access),  # READ DELETED DATA
    _Command(0x0D, 0xBF, 5, _Controller._format),
    _Command(0x0E, 0xFF, 0, _Controller._dump_registers),
    _Command(0x0F, 0xFF, 2, _Controller._seek),
    _Command(0x10, 0xFF, 0, _Controller._version),
    _Command(0x11, 0x1F, 8, _Controller._access),  # SCAN EQUAL
    _Command(0x12, 0xFF, 1, _Controller._perpendicular_mode),
    _Command(0x13, 0xFF, 3, _Controller._configure),
    _Command(0x14, 0x7F, 0, _Controller._lock),
    _Command(0x16, 0x1F, 8, _Controller._access),  # VERIFY
    _Command(0x19, 0x1F, 8, _Controller._access),  # SCAN LOW OR EQUAL
    _Command(0x1D, 0x1F, 8, _Controller._access),  # SCAN HIGH OR EQUAL
    _Command(0x8F, 0xBF, 2, _Controller._relative_seek),
)
_INVALID = _Command(0, 0, 0, _Controller._invalid)
_COMMANDS = tuple(
    next((command for command in _TABLE if byte & command.mask == command.opcode), _INVALID) for byte in range(256)
)
"""By the first byte; the first match counts."""
