"""The host's end of keyboard, screen and serial ports: type, expect, text."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from minivm.core.cp437 import decode
from minivm.core.keys import KeyEvent, parse_keys
from minivm.core.mouse import MouseEvent, check_buttons
from minivm.core.picture import Picture
from minivm.core.record import record
from minivm.core.screen import TextScreen
from minivm.inputs import SerialInput

Listener = Callable[[bytes], None]
FromOutside = Callable[[str, Any, Callable[[], None]], None]
"""Does an action that is an input of a kind and data: `Machine.from_outside`."""


class Typist(Protocol):
    """The keyboard, as the host sees it."""

    @property
    def idle(self) -> bool:
        """True when everything typed has reached the guest."""

    def type(self, events: Iterable[KeyEvent]) -> None:
        """Press and release keys at a pace that the guest can follow."""


class Display(Protocol):
    """The video card, as the host sees it."""

    @property
    def graphics_mode(self) -> bool:
        """True while the card shows pixels of the guest's own and no characters."""

    def screen(self) -> TextScreen:
        """Return the characters; all blank in a graphics mode."""

    def picture(self) -> Picture:
        """Return the pixels, in a text mode drawn with the card's font."""


class Pointer(Protocol):
    """The mouse, as the host's hand has it."""

    def move(self, dx: int, dy: int, wheel: int = 0) -> None:
        """Move by counts: `dx` to the right, `dy` away from the user, `wheel` towards him."""

    def press(self, button: str) -> None:
        """Push a button down."""

    def release(self, button: str) -> None:
        """Let a button come up."""


class Receiver(Protocol):
    """A serial port's receiver, as the host sees it."""

    @property
    def unread(self) -> int:
        """How many of the host's characters have not reached the chip."""

    def receive(self, data: bytes) -> None:
        """Queue `data` at the host's end of the line."""


def _at_once(kind: str, data: Any, action: Callable[[], None]) -> None:
    action()


@record
class SerialLogState:
    """What one log keeps: the bytes, and how many before them are gone."""

    data: bytes
    dropped: int


@record
class ConsoleState:
    """What a console remembers: up to where the serial text was used up, and the logs, the common one first."""

    seen: int
    serial: SerialLogState
    ports: tuple[SerialLogState, ...]


_CARRIAGE_RETURN = 0x0D
_HIGH = {code: decode(bytes((code,))) for code in range(0x80, 0x100)}


def _as_text(data: bytes | bytearray) -> str:
    """Return control characters as they are, and bytes above 7Fh by code page 437."""
    return data.decode("latin-1").translate(_HIGH)


class SerialLog:
    """What the guest sent out of one serial port, or out of all of them, in order.

    `listeners` hear each byte as it comes. The log keeps the last mebibyte.
    """

    KEEP = 1 << 20

    def __init__(self) -> None:
        self.data = bytearray()
        self.dropped = 0
        self.listeners: list[Listener] = []
        self._line: Receiver | None = None
        self._number = 0
        self._from_outside: FromOutside = _at_once

    def connect(self, line: "Receiver") -> None:
        """Say where `send` goes: a serial port's receiver."""
        self._line = line

    def put(self, data: bytes) -> None:
        """Take what the guest sent."""
        self.data += data
        if len(self.data) > 2 * self.KEEP:
            self.dropped += len(self.data) - self.KEEP
            del self.data[: -self.KEEP]
        for listener in self.listeners:
            listener(data)

    def put_byte(self, byte: int) -> None:
        """Take one byte that the guest sent."""
        self.put(bytes((byte,)))

    def send(self, data: bytes) -> None:
        """Let `data` arrive at the guest's serial port, one character after the other."""
        line = self._line
        if line is not None and data:
            self._from_outside("serial", SerialInput(self._number, data), lambda: line.receive(data))

    def enter_by(self, from_outside: FromOutside, number: int) -> None:
        """Let what is sent go through `from_outside` as an input of serial port `number`."""
        self._number, self._from_outside = number, from_outside

    def state(self) -> SerialLogState:
        """Return what the log keeps."""
        return SerialLogState(bytes(self.data), self.dropped)

    def restore(self, state: SerialLogState) -> None:
        """Go back to a state; listeners hear nothing."""
        self.data[:] = state.data
        self.dropped = state.dropped

    @property
    def ready(self) -> bool:
        """True when the guest has taken everything that was sent to it."""
        return self._line is None or not self._line.unread

    def text(self) -> str:
        """Return the log as text: carriage returns left out, bytes above 7Fh as code page 437."""
        return _as_text(self.data.replace(b"\r", b""))

    def find(self, text: str, start: int) -> int | None:
        """Return how many bytes were sent up to the end of `text`, looking from byte `start` on; None without it.

        Carriage returns count for nothing, as in `text()`.
        """
        begin = max(0, start - self.dropped)
        tail = self.data[begin:]
        at = _as_text(tail.replace(b"\r", b"")).find(text)
        if at < 0:
            return None
        wanted, length = at + len(text), 0
        for place, byte in enumerate(tail, start=1):
            length += byte != _CARRIAGE_RETURN
            if length >= wanted:
                return self.dropped + begin + place
        return self.dropped + begin


class Console:
    """One machine's screen, keyboard, mouse and serial ports from the host's side.

    `serial` has what all `ports` sent, in order; the debug console's bytes count as the first port's.
    """

    def __init__(
        self,
        display: Display,
        keyboard: Typist,
        serial: SerialLog,
        ports: "tuple[SerialLog, ...]" = (),
        *,
        mouse: Pointer | None = None,
    ) -> None:
        self._display = display
        self._mouse = mouse
        self._keyboard = keyboard
        self.serial = serial
        self.ports = ports
        self._seen = 0
        self._from_outside: FromOutside = _at_once

    def enter_by(self, from_outside: FromOutside) -> None:
        """Let all input go through `from_outside`, which may note it; the common log's is the first port's."""
        self._from_outside = from_outside
        for number, log in enumerate(self.ports):
            log.enter_by(from_outside, number)
        self.serial.enter_by(from_outside, 0)

    def state(self) -> ConsoleState:
        """Return what the console remembers."""
        return ConsoleState(self._seen, self.serial.state(), tuple(port.state() for port in self.ports))

    def restore(self, state: ConsoleState) -> None:
        """Go back to a state of a console with as many ports."""
        self._seen = state.seen
        self.serial.restore(state.serial)
        for port, kept in zip(self.ports, state.ports, strict=True):
            port.restore(kept)

    @property
    def screen(self) -> TextScreen:
        """The characters that the monitor shows now; all blank in a graphics mode."""
        return self._display.screen()

    @property
    def graphics_mode(self) -> bool:
        """True while the card shows pixels of the guest's own and no characters."""
        return self._display.graphics_mode

    def picture(self) -> Picture:
        """Return the pixels that the monitor shows now, in a text mode drawn with the card's font."""
        return self._display.picture()

    def move_mouse(self, dx: int, dy: int, wheel: int = 0) -> None:
        """Move the mouse: `dx` to the right, `dy` away from the user, `wheel` towards him."""
        self.use_mouse(MouseEvent(dx, dy, wheel))

    def press_button(self, button: str = "left") -> None:
        """Push a button of the mouse down; raises `ConfigError` for a name that none has."""
        self.use_mouse(MouseEvent(press=(button,)))

    def release_button(self, button: str = "left") -> None:
        """Let a button of the mouse come up; raises `ConfigError` for a name that none has."""
        self.use_mouse(MouseEvent(release=(button,)))

    def use_mouse(self, event: MouseEvent) -> None:
        """Do what a hand does with the mouse; nothing on a machine without one."""
        check_buttons(event)
        if self._mouse is not None:
            self._from_outside("mouse", event, lambda: self._do_with_mouse(event))

    def _do_with_mouse(self, event: MouseEvent) -> None:
        mouse = self._mouse
        if mouse is None:
            return
        if event.dx or event.dy or event.wheel:
            mouse.move(event.dx, event.dy, event.wheel)
        for button in event.press:
            mouse.press(button)
        for button in event.release:
            mouse.release(button)

    @property
    def idle(self) -> bool:
        """True when everything typed has reached the guest."""
        return self._keyboard.idle

    def type(self, text: str) -> None:
        """Press the keys for `text`, in the notation of `--type`; raises `ConfigError` for a key that is not there."""
        self.play(parse_keys(text))

    def play(self, events: Iterable[KeyEvent]) -> None:
        """Press and release keys, one after the other, at a pace that the guest can follow."""
        pressed = tuple(events)
        if pressed:
            self._from_outside("keys", pressed, lambda: self._keyboard.type(pressed))

    def shows(self, text: str) -> bool:
        """Tell whether `text` stands on the screen or came out of a serial port.

        On the screen, blanks at a row's end count only where `text` ends in one, as a prompt may.

        Serial text is used up: the next call looks behind what this one found, so that a prompt that comes again
        can be waited for again.
        """
        end = self.serial.find(text, self._seen)
        if end is not None:
            self._seen = end
            return True
        screen = self.screen
        return text in screen.text() or (text.endswith(" ") and text in screen.padded_text())

    def report(self) -> str:
        """Return the screen and the end of the serial log, for a failed expectation."""
        lines = self.serial.text().splitlines()[-20:]
        screen = self.screen.text() or "(empty)"
        return "\n".join(["--- screen ---", screen, "--- serial ---", *(lines or ["(nothing)"])])
