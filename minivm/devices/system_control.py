"""The system board's two control ports: 61h (port B) and 92h (port A).

IBM PC AT Technical Reference, "System board I/O: port B"; IBM PS/2 Hardware Interface Technical Reference, "System
control port A". Port B gates the speaker's timer and shows its output and the refresh clock; port 92h has a fast A20
gate and a fast CPU reset, so that a switch to protected mode need not wait for the keyboard controller.
"""

from collections.abc import Callable
from typing import ClassVar

from minivm.core.clock import Clock
from minivm.core.device import POLLED_READ_NS, Line
from minivm.core.record import record

PORT_B_GATE2 = 0x01
PORT_B_SPEAKER = 0x02
PORT_B_WRITABLE = 0x0F
PORT_B_REFRESH = 0x10
PORT_B_TIMER2_OUT = 0x20

TIMER_HZ = 1_193_182
SECOND_NS = 1_000_000_000
REFRESH_PULSES = 18
"""Timer channel 1 divides its input by 18: one row of DRAM every 15.085 µs."""

PORT_92_RESET = 0x01
PORT_92_A20 = 0x02
PORT_92_WRITABLE = 0xC3
"""Reset, A20, and the two bits of the disk's light."""


@record
class PortBState:
    """What port 61h remembers: the four bits that can be written."""

    control: int


class PortB:
    """Port 61h, a `Port` of one byte and a `Device`.

    Bit 0 is `gate2`, the GATE of timer channel 2; bit 1 lets the timer reach the speaker, and `speaker` hears when it
    changes; bits 2-3 (parity and channel check off) are stored; bit 4 flips with each refresh; bit 5 is what
    `timer2_output` says; bits 6-7, the errors, read 0.
    """

    slow_reads: ClassVar[dict[int, int]] = {0: POLLED_READ_NS}

    def __init__(
        self, *, gate2: Line, timer2_output: Callable[[], bool], clock: Clock, speaker: Callable[[bool], None]
    ) -> None:
        self._gate2 = gate2
        self._timer2_output = timer2_output
        self._clock = clock
        self._speaker = speaker
        self._control = 0
        self._gate2.set(False)

    @property
    def speaker_enabled(self) -> bool:
        """Whether the output of timer channel 2 reaches the speaker (bit 1)."""
        return bool(self._control & PORT_B_SPEAKER)

    def read(self, offset: int, size: int) -> int:
        """Return the stored bits, the refresh toggle and the timer's output."""
        refreshes = self._clock.now * TIMER_HZ // (SECOND_NS * REFRESH_PULSES)
        refresh = PORT_B_REFRESH if refreshes & 1 else 0
        return self._control | refresh | (PORT_B_TIMER2_OUT if self._timer2_output() else 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Store bits 3-0 and drive the gate and the speaker; the others are read-only.

        The speaker is the first to be switched off and the last to be switched on, so that it hears no gate move.
        """
        was_enabled = self.speaker_enabled
        self._control = value & PORT_B_WRITABLE
        if was_enabled and not self.speaker_enabled:
            self._speaker(False)
        self._gate2.set(bool(value & PORT_B_GATE2))
        if self.speaker_enabled and not was_enabled:
            self._speaker(True)

    def reset(self) -> None:
        """Return to power-on: gate low, speaker off."""
        self.write(0, 1, 0)

    def state(self) -> PortBState:
        """Return the stored bits."""
        return PortBState(self._control)

    def restore(self, state: PortBState) -> None:
        """Store the bits again and drive the gate; the speaker is restored by itself and hears nothing."""
        self._control = state.control
        self._gate2.set(bool(state.control & PORT_B_GATE2))


@record
class Port92State:
    """What port 92h remembers."""

    control: int


class Port92:
    """Port 92h, a `Port` of one byte and a `Device`.

    Bit 1 drives `a20`; bit 0 going from 0 to 1 calls `reset`, after everything else is done, since that may well
    reset this port, too.
    """

    def __init__(self, *, a20: Line, reset: Callable[[], None]) -> None:
        self._a20 = a20
        self._reset_cpu = reset
        self._control = 0

    def read(self, offset: int, size: int) -> int:
        """Return what was written, of the bits that exist."""
        return self._control

    def write(self, offset: int, size: int, value: int) -> None:
        """Drive A20 and, on a rising bit 0, reset the CPU."""
        rising = value & ~self._control
        self._drive(value & PORT_92_WRITABLE)
        if rising & PORT_92_RESET:
            self._reset_cpu()

    def reset(self) -> None:
        """Return to power-on: A20 off at this port."""
        self._drive(0)

    def state(self) -> Port92State:
        """Return the stored bits."""
        return Port92State(self._control)

    def restore(self, state: Port92State) -> None:
        """Store the bits again and drive A20; this resets nobody."""
        self._drive(state.control)

    def _drive(self, control: int) -> None:
        self._control = control
        self._a20.set(bool(control & PORT_92_A20))


@record
class A20GateState:
    """Whether address line 20 gets through."""

    open: bool


class A20Gate:
    """The gate on address line 20, a `Line` that port 92h and the keyboard controller drive, and a `Device`.

    Each of them says what it wants and the last one has it. Neither knows of the other, so the gate itself remembers: a
    restored machine could not tell from its drivers who spoke last. It powers on open.
    """

    def __init__(self, switch: Callable[[bool], None]) -> None:
        self.open = True
        self._switch = switch

    def set(self, level: bool) -> None:
        """Open or close the gate; setting the same level again changes nothing."""
        if level != self.open:
            self.open = level
            self._switch(level)

    def reset(self) -> None:
        """Open the gate, as a BIOS expects it."""
        self.restore(A20GateState(True))

    def state(self) -> A20GateState:
        """Return how the gate stands."""
        return A20GateState(self.open)

    def restore(self, state: A20GateState) -> None:
        """Put the gate as it stood, whatever its drivers have said meanwhile: restore it after them."""
        self.open = state.open
        self._switch(state.open)
