"""Moving heads: SEEK, RECALIBRATE and RELATIVE SEEK of the 82077AA, which go on while other commands run.

Intel 82077AA datasheet (290166), section 5.2 "Control Commands". The chip steps blindly: it counts in a register of its
own (PCN) where each head must be, and only track 0 has a switch.
"""

from collections.abc import Callable, Sequence
from functools import partial

from minivm.core.clock import Alarm, Clock
from minivm.core.record import record
from minivm.devices.floppy.drive import FloppyDrive

UNITS = 4
RECALIBRATE_PULSES = 79
SETTLE_NS = 10_000
"""What a seek takes that steps nowhere."""
SEEK_END, EQUIPMENT_CHECK, ABNORMAL = 0x20, 0x10, 0x40  # ST0


@record
class Seek:
    """A head on its way: when it arrives, after how many pulses, at which cylinder, and what ST0 and PCN are then."""

    due: int
    pulses: int
    cylinder: int
    present_cylinder: int
    status: int


@record
class FloppySeeksState:
    """For each of four units: PCN, the head's movement, and ST0 of one that is over and not sensed yet."""

    present_cylinders: tuple[int, ...] = (0,) * UNITS
    moving: tuple[Seek | None, ...] = (None,) * UNITS
    arrived: tuple[int | None, ...] = (None,) * UNITS


class FloppySeeks:
    """The stepping of up to four units; `arrived` is called when one has come where it should."""

    def __init__(self, clock: Clock, drives: Sequence[FloppyDrive], arrived: Callable[[], None]) -> None:
        self._clock = clock
        self._drives = drives
        self._arrived = arrived
        self._alarms: list[Alarm | None] = [None] * UNITS
        self._moving: list[Seek | None] = [None] * UNITS
        self.present_cylinders = [0] * UNITS
        self.results: list[int | None] = [None] * UNITS

    def seek(self, unit: int, target: int, step_ns: int) -> None:
        """Move a head until PCN would be `target`, 0-255."""
        steps = target - self.present_cylinders[unit]
        cylinder = self._drives[unit].cylinder + steps
        self._go(Seek(0, abs(steps), cylinder, target, SEEK_END | unit), unit, step_ns)

    def relative(self, unit: int, steps: int, step_ns: int) -> None:
        """Move a head by `steps`, inward when positive; PCN goes round at 256."""
        drive, target = self._drives[unit], (self.present_cylinders[unit] + steps) & 0xFF
        self._go(Seek(0, abs(steps), drive.cylinder + steps, target, SEEK_END | unit), unit, step_ns)

    def recalibrate(self, unit: int, step_ns: int) -> None:
        """Step outward until the track 0 switch closes, at most 79 times."""
        drive = self._drives[unit]
        found = drive.present and drive.cylinder <= RECALIBRATE_PULSES
        pulses = drive.cylinder if found else RECALIBRATE_PULSES
        status = SEEK_END | unit if found else SEEK_END | EQUIPMENT_CHECK | ABNORMAL | unit
        self._go(Seek(0, pulses, drive.cylinder - pulses, 0, status), unit, step_ns)

    def at_once(self, unit: int, target: int) -> int:
        """Do the seek that a data command implies; return its pulses, whose time the command takes."""
        steps = target - self.present_cylinders[unit]
        self._drives[unit].move(self._drives[unit].cylinder + steps, abs(steps))
        self.present_cylinders[unit] = target
        return abs(steps)

    def _go(self, seek: Seek, unit: int, step_ns: int) -> None:
        due = self._clock.now + seek.pulses * step_ns + SETTLE_NS
        self._arm(unit, Seek(due, seek.pulses, seek.cylinder, seek.present_cylinder, seek.status))

    def _arm(self, unit: int, seek: Seek | None) -> None:
        alarm = self._alarms[unit]
        if alarm is not None:
            alarm.cancel()
        self._moving[unit] = seek
        self._alarms[unit] = None if seek is None else self._clock.at(seek.due, partial(self._arrive, unit))

    def _arrive(self, unit: int) -> None:
        seek = self._moving[unit]
        assert seek is not None
        self._moving[unit] = self._alarms[unit] = None
        self._drives[unit].move(seek.cylinder, seek.pulses)
        self.present_cylinders[unit] = seek.present_cylinder
        self.results[unit] = seek.status
        self._arrived()

    @property
    def busy(self) -> int:
        """The units whose heads are moving: MSR bits 3-0."""
        return sum(1 << unit for unit, seek in enumerate(self._moving) if seek is not None)

    @property
    def waiting(self) -> bool:
        """True while a seek is over and nobody has sensed its interrupt."""
        return any(status is not None for status in self.results)

    def sense(self) -> bytes | None:
        """Return ST0 and PCN of the lowest unit that has arrived, and forget it; None when there is none."""
        for unit, status in enumerate(self.results):
            if status is not None:
                self.results[unit] = None
                return bytes((status, self.present_cylinders[unit]))
        return None

    def reset(self) -> None:
        """Stop all heads where they are and clear PCN: every reset of the chip."""
        self.restore(FloppySeeksState())

    def state(self) -> FloppySeeksState:
        """Return everything that is remembered."""
        return FloppySeeksState(tuple(self.present_cylinders), tuple(self._moving), tuple(self.results))

    def restore(self, state: FloppySeeksState) -> None:
        """Become `state` again."""
        self.present_cylinders = list(state.present_cylinders)
        self.results = list(state.arrived)
        for unit, seek in enumerate(state.moving):
            self._arm(unit, seek)
