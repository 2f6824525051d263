"""PS/2 mouse: IBM's two-button mouse, Microsoft's wheel and two more buttons, and the hand that moves it.

IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft, "Wheel support in Windows" and "Five-button mouse"
for the fourth byte, which a driver asks for by three sample rates in a row. The mouse counts movement until it is time
for the next sample and the controller at the other end of the cable has taken the last packet.
"""

from collections import deque
from collections.abc import Callable

from minivm.core.clock import Alarm, Clock
from minivm.core.mouse import BUTTONS
from minivm.core.record import record
from minivm.errors import ConfigError

SELF_TEST_NS = 10_000_000
"""The self test takes 10 ms here; IBM allows 300 to 500 ms, which a polling guest would only burn."""
SECOND_NS = 1_000_000_000
MOST_STEPS = 16
"""So much of what the hand did waits until the guest looks; more is lost, and the packet says so."""
LARGEST_COUNT, LARGEST_WHEEL = 255, 7
"""A packet has nine bits for each direction and, with five buttons, four for the wheel."""

BITS = {name: 1 << bit for bit, name in enumerate(BUTTONS)}
"""The first three as byte 1 of a packet has them."""
ACKNOWLEDGE, RESEND, ERROR = 0xFA, 0xFE, 0xFC
SELF_TEST_PASSED = 0xAA
PLAIN, WHEEL, FIVE_BUTTONS = 0x00, 0x03, 0x04
"""Device IDs."""
KNOCKS: dict[tuple[int, ...], int] = {(200, 100, 80): WHEEL, (200, 200, 80): FIVE_BUTTONS}
RATES = (10, 20, 40, 60, 80, 100, 200)
DEFAULT_RATE, DEFAULT_RESOLUTION = 100, 2
SET_RESOLUTION, SET_RATE, RESET_WRAP, RESET = 0xE8, 0xF3, 0xEC, 0xFF
ALWAYS, X_SIGN, Y_SIGN, X_OVERFLOW, Y_OVERFLOW = 0x08, 0x10, 0x20, 0x40, 0x80
STATUS_REMOTE, STATUS_REPORTING, STATUS_SCALING = 0x40, 0x20, 0x10


@record
class Step:
    """What the hand did between two samples, in counts; `lost` has the overflow bits of the packet's first byte."""

    dx: int
    dy: int
    wheel: int
    buttons: int
    lost: int = 0


@record
class Ps2MouseState:
    """Everything the mouse remembers; times are virtual nanoseconds."""

    remote: bool
    wrapping: bool
    reporting: bool
    scaling: bool
    resolution: int
    rate: int
    identity: int
    knock: tuple[int, ...]
    command: int | None
    refused: bool
    output: bytes
    last_answer: bytes
    buttons: int
    steps: tuple[Step, ...]
    next_sample: int
    sample_due: int | None
    self_test_due: int | None


class Ps2Mouse:
    """A mouse: `move`, `press` and `release` are the hand on it, the rest is the cable (`core.ps2.Ps2Port`).

    At power-on the self test is over and its answer has been read, as a BIOS leaves it. The mouse reports nothing until
    a guest enables it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: Callable[[], None] = _nobody
        self._sample_alarm: Alarm | None = None
        self._self_test_alarm: Alarm | None = None
        self._output: deque[int] = deque()
        self._steps: deque[Step] = deque()
        self._command: int | None = None
        self._knock: tuple[int, ...] = ()
        self._commands: dict[int, Callable[[], None]] = {
            0xE6: lambda: self._set_scaling(False),
            0xE7: lambda: self._set_scaling(True),
            0xE9: self._say_status,
            0xEA: lambda: self._set_mode(remote=False),
            0xEB: self._read_data,
            RESET_WRAP: lambda: self._set_wrapping(False),
            0xEE: lambda: self._set_wrapping(True),
            0xF0: lambda: self._set_mode(remote=True),
            0xF2: lambda: self._answer(self._identity),
            0xF4: lambda: self._set_reporting(True),
            0xF5: lambda: self._set_reporting(False),
            0xF6: self._set_defaults,
            0xFE: self._send_again,
            RESET: self._start_self_test,
        }
        self._options: dict[int, Callable[[int], bool]] = {
            SET_RESOLUTION: self._set_resolution,
            SET_RATE: self._set_rate,
        }
        self.reset()

    def reset(self) -> None:
        """Return to the power-on state: nothing pressed, nothing to send, not reporting."""
        self._buttons = 0
        self._cancel_self_test()
        self._power_on()

    # The hand

    def move(self, dx: int, dy: int, wheel: int = 0) -> None:
        """Move by counts: `dx` to the right, `dy` away from the user (a screen's y the other way), `wheel` towards him.

        A long way becomes several packets. A mouse that does not report feels nothing.
        """
        if not self._feels:
            return
        most = LARGEST_COUNT // 2 if self._scaling else LARGEST_COUNT
        while dx or dy or wheel:
            part = (_clamp(dx, most), _clamp(dy, most), _clamp(wheel, LARGEST_WHEEL))
            if not self._add(*part, most):
                self._overflow(dx, dy, most)
                break
            dx, dy, wheel = dx - part[0], dy - part[1], wheel - part[2]
        self._arm()

    def press(self, button: str) -> None:
        """Push a button down: "left", "right", "middle", "side" or "extra". Raises `ConfigError` for another name."""
        self._set_buttons(self._buttons | _bit_of(button))

    def release(self, button: str) -> None:
        """Let a button come up; one that is up stays up. Raises `ConfigError` for a name that no button has."""
        self._set_buttons(self._buttons & ~_bit_of(button))

    @property
    def reporting(self) -> bool:
        """True while a guest has enabled reporting: before that, moving the mouse has no effect."""
        return self._feels

    # The cable

    @property
    def waiting(self) -> bool:
        """True while there is a byte to send."""
        return bool(self._output)

    def connect(self, ready: Callable[[], None]) -> None:
        """Let the mouse call `ready` whenever it has got something to send."""
        self._ready = ready

    def take(self) -> int | None:
        """Return the next byte, or None when there is none."""
        if not self._output:
            return None
        value = self._output.popleft()
        self._arm()
        return value

    def receive(self, value: int) -> None:
        """Take a command or its option: what was still to be sent is not sent any more."""
        value &= 0xFF
        self._cancel_self_test()
        self._output.clear()
        if self._wrapping and value not in (RESET_WRAP, RESET):
            self._send(value)
        elif self._command is not None and value != RESET:
            self._take_option(self._command, value)
        elif value in self._options:
            self._refused = False
            self._command = value
            self._forget_movement()
            self._answer()
        elif value in self._commands:
            self._refused = False
            self._commands[value]()
        else:
            self._refuse()
        self._arm()

    # Snapshots

    def state(self) -> Ps2MouseState:
        """Return everything the mouse remembers."""
        return Ps2MouseState(
            remote=self._remote,
            wrapping=self._wrapping,
            reporting=self._reporting,
            scaling=self._scaling,
            resolution=self._resolution,
            rate=self._rate,
            identity=self._identity,
            knock=self._knock,
            command=self._command,
            refused=self._refused,
            output=bytes(self._output),
            last_answer=self._last_answer,
            buttons=self._buttons,
            steps=tuple(self._steps),
            next_sample=self._next_sample,
            sample_due=_due(self._sample_alarm),
            self_test_due=_due(self._self_test_alarm),
        )

    def restore(self, state: Ps2MouseState) -> None:
        """Become `state` again; the controller's own state knows what was on the cable."""
        self._remote, self._wrapping, self._reporting = state.remote, state.wrapping, state.reporting
        self._scaling, self._resolution, self._rate = state.scaling, state.resolution, state.rate
        self._identity, self._knock = state.identity, state.knock
        self._command, self._refused = state.command, state.refused
        self._output, self._last_answer = deque(state.output), state.last_answer
        self._buttons, self._steps, self._next_sample = state.buttons, deque(state.steps), state.next_sample
        self._cancel_sample()
        self._cancel_self_test()
        if state.sample_due is not None:
            self._sample_alarm = self._clock.at(state.sample_due, self._sample)
        if state.self_test_due is not None:
            self._self_test_alarm = self._clock.at(state.self_test_due, self._finish_self_test)

    # Steps and packets

    @property
    def _feels(self) -> bool:
        return (self._reporting or self._remote) and self._self_test_alarm is None

    def _add(self, dx: int, dy: int, wheel: int, most: int) -> bool:
        """Add a movement to the last step, or else begin another; return whether there was room."""
        if self._steps and self._steps[-1].buttons == self._buttons:
            last = self._steps[-1]
            x, y, z = last.dx + dx, last.dy + dy, last.wheel + wheel
            if abs(x) <= most and abs(y) <= most and abs(z) <= LARGEST_WHEEL:
                self._steps[-1] = Step(x, y, z, last.buttons, last.lost)
                return True
        if len(self._steps) == MOST_STEPS:
            return False
        self._steps.append(Step(dx, dy, wheel, self._buttons))
        return True

    def _overflow(self, dx: int, dy: int, most: int) -> None:
        """The counters stand at their end, as the hardware's do, and say that they do."""
        last = self._steps[-1]
        x, y = last.dx + dx, last.dy + dy
        lost = last.lost | X_OVERFLOW * (abs(x) > most) | Y_OVERFLOW * (abs(y) > most)
        self._steps[-1] = Step(_clamp(x, most), _clamp(y, most), last.wheel, last.buttons, lost)

    def _set_buttons(self, buttons: int) -> None:
        if buttons == self._buttons:
            return
        self._buttons = buttons
        if not self._feels:
            return
        if len(self._steps) < MOST_STEPS:
            self._steps.append(Step(0, 0, 0, buttons))
        else:
            last = self._steps[-1]
            self._steps[-1] = Step(last.dx, last.dy, last.wheel, buttons, last.lost)
        self._arm()

    def _arm(self) -> None:
        """Sample again as soon as the rate allows, if something has changed and the last packet is gone."""
        streams = self._reporting and not self._remote and not self._wrapping and self._command is None
        if self._sample_alarm is None and self._steps and streams and not self._output and self._feels:
            self._sample_alarm = self._clock.at(self._next_sample, self._sample)

    def _sample(self) -> None:
        self._sample_alarm = None
        if not self._steps or self._output or not self._reporting or self._remote or self._wrapping:
            return
        self._next_sample = self._clock.now + SECOND_NS // self._rate
        self._last_answer = self._packet(scaled=self._scaling)
        self._send(*self._last_answer)

    def _packet(self, *, scaled: bool) -> bytes:
        """Return the oldest step as three or four bytes; without one, that nothing has moved."""
        step = self._steps.popleft() if self._steps else Step(0, 0, 0, self._buttons)
        dx, dy = (_scaled(step.dx), _scaled(step.dy)) if scaled else (step.dx, step.dy)
        lost = step.lost | X_OVERFLOW * (abs(dx) > LARGEST_COUNT) | Y_OVERFLOW * (abs(dy) > LARGEST_COUNT)
        dx, dy = _clamp(dx, LARGEST_COUNT), _clamp(dy, LARGEST_COUNT)
        first = ALWAYS | step.buttons & 0x07 | X_SIGN * (dx < 0) | Y_SIGN * (dy < 0) | lost
        return bytes((first, dx & 0xFF, dy & 0xFF)) + self._fourth_byte(step)

    def _fourth_byte(self, step: Step) -> bytes:
        match self._identity:
            case 3:
                return bytes([step.wheel & 0xFF])
            case 4:
                return bytes([step.wheel & 0x0F | (step.buttons & 0x18) << 1])
        return b""

    def _forget_movement(self) -> None:
        self._steps.clear()
        self._cancel_sample()

    # Commands

    def _send(self, *values: int) -> None:
        self._output.extend(values)
        self._ready()

    def _answer(self, *values: int) -> None:
        self._last_answer = bytes(values) or bytes([ACKNOWLEDGE])
        self._send(ACKNOWLEDGE, *values)

    def _refuse(self) -> None:
        """Ask for the byte again, and the second time give up (IBM, "Mouse error handling")."""
        if self._refused:
            self._command = None
        self._send(ERROR if self._refused else RESEND)
        self._refused = not self._refused

    def _take_option(self, command: int, value: int) -> None:
        if not self._options[command](value):
            self._refuse()
            return
        self._command, self._refused = None, False
        self._forget_movement()
        self._answer()

    def _set_resolution(self, value: int) -> bool:
        if value > 3:
            return False
        self._resolution = value
        return True

    def _set_rate(self, value: int) -> bool:
        """Set samples a second; three certain rates in a row make another mouse of it."""
        if value not in RATES:
            return False
        self._rate = value
        self._knock = (*self._knock, value)[-3:]
        self._identity = KNOCKS.get(self._knock, self._identity)
        return True

    def _set_scaling(self, on: bool) -> None:
        self._scaling = on
        self._forget_movement()
        self._answer()

    def _set_mode(self, *, remote: bool) -> None:
        self._remote = remote
        self._forget_movement()
        self._answer()

    def _set_wrapping(self, on: bool) -> None:
        self._wrapping = on
        self._forget_movement()
        self._answer()

    def _set_reporting(self, on: bool) -> None:
        self._reporting = on
        self._forget_movement()
        self._answer()

    def _set_defaults(self) -> None:
        self._defaults()
        self._answer()

    def _say_status(self) -> None:
        """Three bytes: modes and buttons, resolution, rate."""
        modes = STATUS_REMOTE * self._remote | STATUS_REPORTING * self._reporting | STATUS_SCALING * self._scaling
        left, right, middle = (bool(self._buttons & BITS[name]) for name in ("left", "right", "middle"))
        self._answer(modes | left << 2 | middle << 1 | right, self._resolution, self._rate)

    def _read_data(self) -> None:
        """Send a packet now, whatever the rate, and not scaled: the answer of remote mode."""
        self._answer(*self._packet(scaled=False))

    def _send_again(self) -> None:
        self._send(*self._last_answer)

    def _start_self_test(self) -> None:
        self._power_on()
        self._self_test_alarm = self._clock.after(SELF_TEST_NS, self._finish_self_test)
        self._answer()

    def _finish_self_test(self) -> None:
        self._self_test_alarm = None
        self._last_answer = bytes((SELF_TEST_PASSED, self._identity))
        self._send(*self._last_answer)

    def _power_on(self) -> None:
        self._output.clear()
        self._last_answer = bytes([ACKNOWLEDGE])
        self._wrapping = self._refused = False
        self._command = None
        self._identity = PLAIN
        self._knock = ()
        self._next_sample = 0
        self._defaults()

    def _defaults(self) -> None:
        """Be what F6h makes of the mouse: stream mode at 100 a second, 4 counts a millimetre, not reporting."""
        self._remote = self._reporting = self._scaling = False
        self._resolution, self._rate = DEFAULT_RESOLUTION, DEFAULT_RATE
        self._forget_movement()

    def _cancel_sample(self) -> None:
        if self._sample_alarm is not None:
            self._sample_alarm.cancel()
        self._sample_alarm = None

    def _cancel_self_test(self) -> None:
        if self._self_test_alarm is not None:
            self._self_test_alarm.cancel()
        self._self_test_alarm = None


def _clamp(value: int, most: int) -> int:
    return max(-most, min(value, most))


def _scaled(count: int) -> int:
    """Return a count at 2:1 scaling: small ones shrink, from six on they double (IBM, "Set scaling 2:1")."""
    size = abs(count)
    scaled = {0: 0, 1: 1, 2: 1, 3: 3, 4: 6, 5: 9}.get(size, 2 * size)
    return scaled if count >= 0 else -scaled


def _bit_of(button: str) -> int:
    if button not in BUTTONS:
        raise ConfigError(f"mouse: there is no button {button!r}; there are {', '.join(BUTTONS)}")
    return BITS[button]


def _due(alarm: Alarm | None) -> int | None:
    return None if alarm is None else alarm.due


def _nobody() -> None:
    """Stand for the controller while none is connected."""
