"""PS/2 keyboard: the IBM Enhanced Keyboard at the end of its cable, and the hands that type on it.

IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)". It speaks scan-code sets 2 (at
power-on) and 1. Everything it sends passes through `take`, one byte a transmission; the controller at the other end of
the cable holds it back by not taking.
"""

from collections import deque
from collections.abc import Callable, Iterable

from minivm.core.clock import Alarm, Clock
from minivm.core.keys import EDIT_KEYS, SCAN_CODES, KeyEvent, ScanCodes, check_key
from minivm.core.record import record

BUFFER_BYTES = 16
SELF_TEST_NS = 10_000_000
"""The basic assurance test takes 10 ms here; IBM allows 300 to 500 ms, which a polling guest would only burn."""
TYPING_NS = 5_000_000
"""`type` leaves 5 ms of virtual time between events: 100 lower-case characters a second."""

ACKNOWLEDGE = 0xFA
RESEND = 0xFE
SELF_TEST_PASSED = 0xAA
IDENTITY = (0xAB, 0x83)
FIRST_COMMAND = 0xED
"""No option byte is as high: one from here on ends the command that waited for an option, and is one itself."""
DEFAULT_TYPEMATIC = 0x2B
"""500 ms, then 10.9 repeats a second."""
OVERRUN = {1: 0xFF, 2: 0x00}
SHIFTS = ("left_shift", "right_shift")
NO_REPEAT = frozenset(["pause"])


def typematic_delay_ns(setting: int) -> int:
    """Return how long a key is held before it repeats: bits 6-5 of `setting`, in quarters of a second from 250 ms."""
    return ((setting >> 5 & 0x03) + 1) * 250_000_000


def typematic_period_ns(setting: int, repeats: int = 1) -> int:
    """Return how long `repeats` repeats take: (8 + bits 2-0) * 2^(bits 4-3) / 240 s each, so 30.0 to 2.0 a second."""
    return repeats * (8 + (setting & 0x07)) * (1 << (setting >> 3 & 0x03)) * 1_000_000_000 // 240


@record
class HeldKey:
    """A key that is down, the bytes its release will send, and whether its press hid a held Shift (see `EDIT_KEYS`)."""

    key: str
    release: bytes
    hid_shift: bool


@record
class Ps2KeyboardState:
    """Everything the keyboard remembers; times are virtual nanoseconds."""

    scan_set: int
    scanning: bool
    leds: int
    typematic: int
    command: int | None
    replies: bytes
    buffer: bytes
    last_sent: int
    held: tuple[HeldKey, ...]
    self_test_due: int | None
    repeat_codes: bytes
    repeat_key: str | None
    repeat_from: int
    repeat_count: int
    repeat_due: int | None
    typing: tuple[KeyEvent, ...]
    typing_due: int | None


class Ps2Keyboard:
    """A keyboard: `press` and `release` are its switches, `type` a patient typist, and the rest is the cable.

    At power-on the self test is over and its AAh has been read, as a BIOS leaves it. `typing_gate`, when given, may
    answer False to make the typist wait (a console looks there whether the guest's own key buffer is full).
    """

    def __init__(self, clock: Clock, *, typing_gate: Callable[[], bool] | None = None) -> None:
        self.typing_gate = typing_gate
        self._clock = clock
        self._ready: Callable[[], None] = _nobody
        self._command: int | None = None
        self._buffer: deque[int] = deque()
        self._typing: deque[KeyEvent] = deque()
        self._typing_alarm: Alarm | None = None
        self._self_test_alarm: Alarm | None = None
        self._repeat_alarm: Alarm | None = None
        self._commands: dict[int, Callable[[], None]] = {
            0xEE: lambda: self._reply(0xEE),
            0xF2: lambda: self._reply(ACKNOWLEDGE, *IDENTITY),
            0xF4: lambda: self._enable(True),
            0xF5: self._disable,
            0xF6: self._set_defaults,
            0xFE: lambda: self._reply(self._last_sent),
            0xFF: self._start_self_test,
            **dict.fromkeys(range(0xF7, 0xFB), lambda: self._reply(ACKNOWLEDGE)),
        }
        self._options: dict[int, Callable[[int], None]] = {
            0xED: self._set_leds,
            0xF0: self._set_scan_set,
            0xF3: self._set_typematic,
            **dict.fromkeys(range(0xFB, 0xFE), self._skip_key_type),
        }
        self.reset()

    def reset(self) -> None:
        """Return to the power-on state: set 2, scanning, nothing held; what is still to be typed stays to be typed."""
        self._held: dict[str, HeldKey] = {}
        self._replies: deque[int] = deque()
        self._last_sent = 0
        self._clear_self_test()
        self._power_on_defaults()
        if self._typing_alarm is not None:
            self._typing_alarm.cancel()
        self._typing_alarm = None
        self._wake_typist()

    # The switches

    def press(self, key: str) -> None:
        """Push `key` down; a key that is down stays down. Raises `ConfigError` for a name that no key has."""
        self._press(check_key(key), repeats=key not in NO_REPEAT)

    def release(self, key: str) -> None:
        """Let `key` come up; a key that is up stays up. Raises `ConfigError` for a name that no key has."""
        held = self._held.pop(check_key(key), None)
        if held is None:
            return
        if self._repeat_key == key:
            self._stop_repeat()
        codes = held.release
        if codes and held.hid_shift:
            codes += b"".join(self._shift_codes(shift).make for shift in self._shifts_held())
        self._scan(codes)

    def type(self, events: Iterable[KeyEvent]) -> None:
        """Queue `events` and play them one by one, `TYPING_NS` apart.

        The next one is played only while scanning is enabled and the guest has taken everything before, so that nothing
        is lost however slow it is; keys typed like this do not repeat. Raises `ConfigError` for an unknown name.
        """
        events = list(events)
        for event in events:
            check_key(event.key)
        self._typing.extend(events)
        self._wake_typist()

    @property
    def idle(self) -> bool:
        """True when everything typed has been sent to the controller."""
        return not self._typing and not self.waiting

    @property
    def leds(self) -> int:
        """The lights: bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock."""
        return self._leds

    # The cable

    @property
    def waiting(self) -> bool:
        """True while there is a byte to send."""
        return bool(self._replies or self._buffer)

    def connect(self, ready: Callable[[], None]) -> None:
        """Let the keyboard call `ready` whenever it has got something to send."""
        self._ready = ready

    def take(self) -> int | None:
        """Return the next byte, answers before keys, or None when there is none."""
        if not self.waiting:
            return None
        value = self._replies.popleft() if self._replies else self._buffer.popleft()
        self._last_sent = value
        if not self.waiting:
            self._resume_repeat()
            self._wake_typist()
        return value

    def receive(self, value: int) -> None:
        """Take a command or its option; one that comes during the self test ends the test."""
        value &= 0xFF
        if self._self_test_alarm is not None:
            self._finish_self_test()
        command, self._command = self._command, None
        if command is not None and value < FIRST_COMMAND:
            self._options[command](value)
        elif value in self._options:
            self._command = value
            self._reply(ACKNOWLEDGE)
        else:
            self._commands.get(value, self._reject)()

    # Snapshots

    def state(self) -> Ps2KeyboardState:
        """Return everything the keyboard remembers."""
        return Ps2KeyboardState(
            scan_set=self._scan_set,
            scanning=self._scanning,
            leds=self._leds,
            typematic=self._typematic,
            command=self._command,
            replies=bytes(self._replies),
            buffer=bytes(self._buffer),
            last_sent=self._last_sent,
            held=tuple(self._held.values()),
            self_test_due=_due(self._self_test_alarm),
            repeat_codes=self._repeat_codes,
            repeat_key=self._repeat_key,
            repeat_from=self._repeat_from,
            repeat_count=self._repeat_count,
            repeat_due=_due(self._repeat_alarm),
            typing=tuple(self._typing),
            typing_due=_due(self._typing_alarm),
        )

    def restore(self, state: Ps2KeyboardState) -> None:
        """Become `state` again; the controller's own state knows what was on the cable."""
        self._scan_set, self._scanning, self._leds = state.scan_set, state.scanning, state.leds
        self._typematic, self._command, self._last_sent = state.typematic, state.command, state.last_sent
        self._replies, self._buffer = deque(state.replies), deque(state.buffer)
        self._held = {held.key: held for held in state.held}
        self._repeat_codes, self._repeat_key = state.repeat_codes, state.repeat_key
        self._repeat_from, self._repeat_count = state.repeat_from, state.repeat_count
        self._typing = deque(state.typing)
        self._self_test_alarm = self._rearm(self._self_test_alarm, state.self_test_due, self._finish_self_test)
        self._repeat_alarm = self._rearm(self._repeat_alarm, state.repeat_due, self._repeat)
        self._typing_alarm = self._rearm(self._typing_alarm, state.typing_due, self._type_next)

    def _rearm(self, old: Alarm | None, due: int | None, action: Callable[[], None]) -> Alarm | None:
        if old is not None:
            old.cancel()
        return None if due is None else self._clock.at(due, action)

    # Keys to codes

    def _press(self, key: str, *, repeats: bool) -> None:
        if key in self._held:
            return
        codes = SCAN_CODES[self._scan_set][self._variant(key)]
        before, after, hid_shift = self._around(key)
        self._held[key] = HeldKey(key, codes.release + after, hid_shift)
        self._stop_repeat()
        self._scan(before + codes.make)
        if repeats and self._scanning:
            self._start_repeat(key, codes.make)

    def _variant(self, key: str) -> str:
        """Return which of a key's meanings the held modifiers choose; only Print Screen and Pause have several."""
        ctrl, alt = (any(f"{side}_{name}" in self._held for side in ("left", "right")) for name in ("ctrl", "alt"))
        if key == "pause":
            return "pause with ctrl" if ctrl else key
        if key == "print_screen":
            if alt:
                return "print_screen with alt"
            return "print_screen with shift" if ctrl or self._shifts_held() else key
        return key

    def _around(self, key: str) -> tuple[bytes, bytes, bool]:
        """Return what goes before a key's make, what goes after its break, and whether a held Shift was hidden.

        So that software written for the AT's keypad sees an arrow and no digit, the keys that share its codes pretend
        that Shift is up while it is down, or down while Num Lock is on.
        """
        if key not in EDIT_KEYS:
            return b"", b"", False
        num_lock = bool(self._leds & 0x02) and key != "keypad_divide"
        shifts = self._shifts_held()
        if shifts and not num_lock:
            return b"".join(self._shift_codes(shift).release for shift in shifts), b"", True
        if num_lock and not shifts:
            pretended = self._shift_codes("left_shift")
            return pretended.make, pretended.release, False
        return b"", b"", False

    def _shifts_held(self) -> list[str]:
        return [shift for shift in SHIFTS if shift in self._held]

    def _shift_codes(self, shift: str) -> ScanCodes:
        codes = SCAN_CODES[self._scan_set][shift]
        return ScanCodes(b"\xe0" + codes.make, b"\xe0" + codes.release)

    def _scan(self, codes: bytes) -> None:
        """Put a key's bytes into the buffer, all or none; where they do not fit, the overrun code takes byte 17."""
        if not self._scanning or not codes:
            return
        if len(self._buffer) + len(codes) <= BUFFER_BYTES:
            self._buffer.extend(codes)
        elif len(self._buffer) <= BUFFER_BYTES and self._buffer[-1] != OVERRUN[self._scan_set]:
            self._buffer.append(OVERRUN[self._scan_set])
        self._ready()

    # Typematic repeat of the key pressed last

    def _start_repeat(self, key: str, codes: bytes) -> None:
        # Where a key sends a pretended Shift with its code, only the code itself repeats.
        self._restart_repeat(key, codes[-2:] if len(codes) > 2 else codes)

    def _restart_repeat(self, key: str, codes: bytes) -> None:
        self._stop_repeat()
        self._repeat_key, self._repeat_codes = key, codes
        self._repeat_from = self._clock.now + typematic_delay_ns(self._typematic)
        self._repeat_count = 0
        self._repeat_alarm = self._clock.at(self._repeat_from, self._repeat)

    def _repeat(self) -> None:
        """Send the make code again, unless the last one still waits: then go on once the guest has taken it."""
        self._repeat_alarm = None
        if self.waiting:
            return
        self._repeat_count += 1
        self._arm_repeat()
        self._scan(self._repeat_codes)

    def _resume_repeat(self) -> None:
        if self._repeat_key is None or self._repeat_alarm is not None:
            return
        period = typematic_period_ns(self._typematic)
        late = self._clock.now - self._repeat_from
        self._repeat_count = max(self._repeat_count, late // period + 1)
        self._arm_repeat()

    def _arm_repeat(self) -> None:
        due = self._repeat_from + typematic_period_ns(self._typematic, self._repeat_count)
        self._repeat_alarm = self._clock.at(due, self._repeat)

    def _stop_repeat(self) -> None:
        if self._repeat_alarm is not None:
            self._repeat_alarm.cancel()
        self._repeat_alarm = None
        self._repeat_key = None
        self._repeat_codes = b""
        self._repeat_from = self._repeat_count = 0

    # The typist

    def _wake_typist(self) -> None:
        if self._typing and self._typing_alarm is None and self._may_type():
            self._typing_alarm = self._clock.after(TYPING_NS, self._type_next)

    def _may_type(self) -> bool:
        return self._scanning and not self.waiting and self._self_test_alarm is None

    def _type_next(self) -> None:
        """Play one event. `take` and the command that enables scanning wake the typist again when he had to stop."""
        self._typing_alarm = None
        if not self._may_type():
            return
        if self.typing_gate is None or self.typing_gate():
            event = self._typing.popleft()
            if event.pressed:
                self._press(event.key, repeats=False)
            else:
                self.release(event.key)
        self._wake_typist()

    # Commands

    def _reply(self, *values: int) -> None:
        self._replies.extend(values)
        self._ready()

    def _reject(self) -> None:
        self._reply(RESEND)

    def _power_on_defaults(self) -> None:
        self._command = None
        self._leds = 0
        self._defaults(scanning=True)

    def _defaults(self, *, scanning: bool) -> None:
        self._scan_set = 2
        self._typematic = DEFAULT_TYPEMATIC
        self._clear_output(scanning=scanning)

    def _clear_output(self, *, scanning: bool) -> None:
        self._buffer.clear()
        self._scanning = scanning
        self._stop_repeat()

    def _enable(self, scanning: bool) -> None:
        self._clear_output(scanning=scanning)
        self._reply(ACKNOWLEDGE)

    def _disable(self) -> None:
        self._defaults(scanning=False)
        self._reply(ACKNOWLEDGE)

    def _set_defaults(self) -> None:
        self._defaults(scanning=True)
        self._reply(ACKNOWLEDGE)

    def _set_leds(self, value: int) -> None:
        self._leds = value & 0x07
        self._reply(ACKNOWLEDGE)

    def _set_typematic(self, value: int) -> None:
        self._typematic = value & 0x7F
        if self._repeat_key is not None:
            self._restart_repeat(self._repeat_key, self._repeat_codes)
        self._reply(ACKNOWLEDGE)

    def _set_scan_set(self, value: int) -> None:
        """Choose set 1 or 2, or tell which is chosen (0); set 3 does not exist here and is asked for again (FEh)."""
        if value == 0:
            self._reply(ACKNOWLEDGE, self._scan_set)
        elif value in SCAN_CODES:
            self._scan_set = value
            self._clear_output(scanning=self._scanning)
            self._reply(ACKNOWLEDGE)
        else:
            self._reject()

    def _skip_key_type(self, value: int) -> None:
        """Acknowledge one of the keys named after FBh-FDh; key types matter only in set 3, and more keys may follow."""
        del value
        self._command = 0xFB
        self._reply(ACKNOWLEDGE)

    def _start_self_test(self) -> None:
        self._replies.clear()
        self._power_on_defaults()
        self._scanning = False
        self._self_test_alarm = self._clock.after(SELF_TEST_NS, self._finish_self_test)
        self._reply(ACKNOWLEDGE)

    def _finish_self_test(self) -> None:
        self._clear_self_test()
        self._scanning = True
        self._reply(SELF_TEST_PASSED)

    def _clear_self_test(self) -> None:
        if self._self_test_alarm is not None:
            self._self_test_alarm.cancel()
        self._self_test_alarm = None


def _due(alarm: Alarm | None) -> int | None:
    return None if alarm is None else alarm.due


def _nobody() -> None:
    """Stand for the controller while none is connected."""
