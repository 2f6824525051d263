"""A pedestrian crossing as a device of one's own: lamps for cars and walkers, a timer, and the walkers' button.

Three ports from its base. LAMPS (0) is read and written. STATUS (1) says what has happened; writing a 1 to its bits 0
and 1 clears them, and the interrupt line is high as long as one of them is set. TIMER (2) sets the time to wait, in
tenths of a second, and 0 stops it. Green for both is a conflict: all goes to red, and stays so until a reset.
"""

from dataclasses import dataclass

from minivm import Slot
from minivm.core.clock import Alarm
from minivm.core.describe import Chip, Content, Field, Register, flag

CARS = {0x01: "red", 0x02: "amber", 0x03: "red and amber", 0x04: "green"}
WALKERS = {0x08: "red", 0x10: "green"}
ALL_RED, BOTH_GREEN = 0x09, 0x14
BUTTON, TIME_UP, CONFLICT = 0x01, 0x02, 0x80
TENTH_NS = 100_000_000


@dataclass(frozen=True)
class CrossingState:
    """Everything that the crossing remembers; `due` is when the timer ends, in virtual nanoseconds."""

    lamps: int = ALL_RED
    status: int = 0
    due: int | None = None


LAMPS = Register("LAMPS", "lamps", 0, "rw", (
    Field("CARS", 2, 0, {bits: f"cars {colour}" for bits, colour in CARS.items()}),
    Field("WALKERS", 4, 3, {bits >> 3: f"walkers {colour}" for bits, colour in WALKERS.items()}),
))  # fmt: skip
STATUS = Register("STATUS", "status", 1, "rw", (
    flag("CONFLICT", 7, "both were green"), flag("TIME_UP", 1, "time is up"), flag("BUTTON", 0, "somebody waits"),
))  # fmt: skip
TIMER = Register("TIMER", "timer", 2, "rw", (Field("TENTHS", 7, 0, "tenths of a second to wait:"),))


class TrafficLight:
    """The crossing; `irq` is where its interrupt line goes."""

    length = 3
    width = 1
    chip = Chip("the traffic light", (LAMPS, STATUS, TIMER), contents=lambda state, now: [
        Content(LAMPS, state.lamps), Content(STATUS, state.status), Content(TIMER, _tenths_left(state.due, now)),
    ])  # fmt: skip

    def __init__(self, slot: Slot, *, irq: int = 5) -> None:
        self._clock, self._line, self._show = slot.clock, slot.irq(irq), slot.output
        self._alarm: Alarm | None = None
        self._lamps = ALL_RED
        self._become(CrossingState())

    def read(self, offset: int, size: int) -> int:
        """Return a register; reading changes nothing."""
        return (self._lamps, self._status, _tenths_left(self._due, self._clock.now))[offset]

    def write(self, offset: int, size: int, value: int) -> None:
        """Light lamps, clear status bits, or set the timer."""
        match offset:
            case 0:
                self._light(value & 0x1F)
            case 1:
                self._raise(self._status & ~(value & (BUTTON | TIME_UP)))
            case 2:
                self._set_timer(self._clock.now + value * TENTH_NS if value else None)

    def feed(self, data: bytes) -> None:
        """Press the button: what the host does by `vm.feed("TrafficLight", b"press")`."""
        self._raise(self._status | BUTTON)

    def _light(self, lamps: int) -> None:
        if lamps & BOTH_GREEN == BOTH_GREEN:
            self._status |= CONFLICT
        lamps = ALL_RED if self._status & CONFLICT else lamps
        if lamps != self._lamps:
            self._lamps = lamps
            cars, walkers = CARS.get(lamps & 0x07, "dark"), WALKERS.get(lamps & 0x18, "dark")
            self._show(f"cars {cars}, walkers {walkers}\r\n".encode())

    def _raise(self, status: int) -> None:
        self._status = status
        self._line.set(bool(status & (BUTTON | TIME_UP)))

    def _set_timer(self, due: int | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._due = due
        self._alarm = self._clock.at(due, self._ring) if due is not None else None

    def _ring(self) -> None:
        self._due = None
        self._raise(self._status | TIME_UP)

    # -- what resets, snapshots and clones need ---------------------------------------------------------------------
    def reset(self) -> None:
        """Go to red for all, as at power-on."""
        self._become(CrossingState())

    def state(self) -> CrossingState:
        """Return everything that the crossing remembers."""
        return CrossingState(self._lamps, self._status, self._due)

    def restore(self, state: CrossingState) -> None:
        """Become `state` again: with the line as it was, and the timer set again."""
        self._become(state)

    def _become(self, state: CrossingState) -> None:
        self._lamps = state.lamps
        self._raise(state.status)
        self._set_timer(state.due)


def _tenths_left(due: int | None, now: int) -> int:
    return 0 if due is None else -((now - due) // TENTH_NS)
