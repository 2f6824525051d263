"""The serial line: what the guest sent, and a line to type to it."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from minivm.core.cp437 import encode
from minivm.core.keys import unescape
from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.listing import Listing, Row, row, sentence

SHOWN_BYTES, SHOWN_LINES = 16384, 500
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")
_UNSEEN = re.compile(r"[\x00-\x07\x0b-\x1f\x7f]")
_ERASED = re.compile(r"[^\x08\n]\x08")


@record
class Line:
    """The end of what came over one port, as text, and how many bytes were sent in all."""

    port: int
    ports: int
    text: str
    total: int


class SerialPanel(ListingPanel):
    """The log of a serial port; it stays at its end while the cursor is there."""

    name = "serial"
    title = "Serial"
    keys = "I type, P port"
    help = (
        "What the guest sent over a serial port, its last 500 lines or 16 KiB, without terminal escapes. **I** or "
        "Enter opens a line to type into; each Enter sends it with a carriage return, `\\n`, `\\t` and `\\e` are "
        "understood, and Escape closes it. / looks through the whole log, which then stands still "
        "until Escape. **P** goes to the other port. The debug console's bytes "
        "(port E9h) count as COM1's."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "type", "Type", show=False),
        Binding("p", "port", "Port", show=False),
    ]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.listing = Listing(tail=True)
        self.port = 0
        self._whole = False  # show the whole log, and stand still
        self._held: Line | None = None

    def collect(self, debugger: Debugger) -> Line | None:
        """Copy the end of the log."""
        ports = getattr(debugger.machine.console, "ports", ())
        if not ports:
            return None
        if self._held is not None:
            return self._held
        log = ports[self.port % len(ports)]
        data = bytes(log.data if self._whole else log.data[-SHOWN_BYTES:])
        line = Line(self.port % len(ports), len(ports), readable(data), log.dropped + len(log.data))
        self._held = line if self._whole else None
        return line

    def rows(self, data: Line) -> Iterable[Row]:
        """Return the lines of the log."""
        held = "held for the search, Esc goes on, " if self._whole else ""
        self.tell_edge(f"{held}COM{data.port + 1}, {data.total:,} bytes")
        if not data.total:
            yield sentence(f"Nothing has come over COM{data.port + 1} yet.", "note")
            return
        yield from (row(line, indent=0) for line in data.text.split("\n")[0 if self._whole else -SHOWN_LINES :])

    def unfold(self) -> bool:
        """Show the whole log, and hold it while something is searched for."""
        was, self._whole = self._whole, True
        return not was

    def mark(self, wanted: str) -> None:
        """Go on once nothing is searched for."""
        super().mark(wanted)
        if not wanted and self._whole:
            self._whole, self._held = False, None
            self.look_again()

    def action_copy_all(self) -> None:
        """Copy the whole log."""

        def log(debugger: Debugger) -> str:
            ports = getattr(debugger.machine.console, "ports", ())
            return readable(bytes(ports[self.port % len(ports)].data)) if ports else ""

        self.command(log, lambda text: self.copy(text, "copied the whole log"))

    def action_type(self) -> None:
        """Open the line to type into."""
        self.prompt.ask("Text for the guest, sent with Enter; Escape closes", self._send, again=True)

    def action_port(self) -> None:
        """Go to the next port."""
        self.mark("")
        self.port = (self.port + 1) % max(1, self.data.ports if self.data is not None else 1)
        self.look_again()

    def _send(self, text: str) -> None:
        def send(debugger: Debugger) -> None:
            ports: Any = getattr(debugger.machine.console, "ports", ())
            ports[self.port % len(ports)].send(encode_line(text))

        self.command(send)

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Open the line to type into."""
        event.stop()
        self.action_type()


def encode_line(text: str) -> bytes:
    """Return the bytes of a line that was typed; raises `MiniVMError` for what code page 437 lacks."""
    pieces = re.split(r"([\x00-\x1f])", unescape(text) + "\r")
    return b"".join(
        piece.encode("ascii") if len(piece) == 1 and piece < " " else encode(piece) for piece in pieces if piece
    )


def readable(data: bytes) -> str:
    """Return serial bytes as lines of text: escapes and control characters left out, backspaces done."""
    text = _ESCAPES.sub("", data.decode("cp437").replace("\r", ""))
    while "\b" in text:
        done = _ERASED.sub("", text)
        if done == text:
            break
        text = done
    return _UNSEEN.sub("", text.replace("\b", "").expandtabs()).rstrip("\n")
