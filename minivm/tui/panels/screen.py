"""The guest's screen: code page 437 in its sixteen colours, with cursor and blinking; keys go to the guest.

A graphics mode is shown as half blocks (`minivm/tui/panels/pixels.py`).
"""

from collections.abc import Sequence
from typing import cast

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip

from minivm.core.picture import Picture
from minivm.core.record import record
from minivm.core.screen import TextScreen
from minivm.debug.debugger import Debugger
from minivm.pictures.monitor import Monitor, shows_pixels, words_of
from minivm.tui.hand import Hand
from minivm.tui.keyboard import events_for
from minivm.tui.panel import Panel
from minivm.tui.panels.characters import blinking_rows, changed_rows, first_shown, segments, shape
from minivm.tui.panels.listing import painted
from minivm.tui.panels.pixels import Pixels, changed_lines, line_of, pixels_of
from minivm.tui.search import spans
from minivm.tui.session import View

BLINK_S = 0.4
TEXT_CELL = 8, 16
"""A character's width and height in what a mouse counts."""


@record
class Seen:
    """What the panel collects: the picture of a graphics mode, None in a text mode; whether the mouse is heard."""

    picture: Picture | None = None
    mouse: bool = False


class ScreenPanel(Panel, can_focus=True):
    """What the monitor shows. While it has the focus, every key but the release chord is the guest's, and the mouse."""

    name = "screen"
    title = "Screen"
    live = True
    help = (
        "The guest's monitor. While this panel has the focus, **all keys go to the guest**, function keys as well; "
        "F12 or Ctrl+] takes the keyboard back. A panel smaller than the screen shows the part with the cursor.\n\n"
        "A graphics mode is drawn with half blocks, two pixels a character, as large as the panel allows. A guest that "
        "listens to its mouse also gets movements, buttons and wheel over this panel while it has the focus; F12 or "
        "Ctrl+] takes the mouse back with the keyboard. The click that gives the focus is not the guest's."
    )
    DEFAULT_CSS = """
    ScreenPanel { background: $surface; }
    ScreenPanel.-bare, ScreenPanel.-bare:focus { border: none; background: #000000; }
    """
    blink_on: reactive[bool] = reactive(True)

    def __init__(self) -> None:
        super().__init__()
        self.screen_shown: TextScreen | None = None
        self.pixels: Pixels | None = None  # what a graphics mode shows; None in a text mode
        self.guest_hears_mouse = False
        self._hand: Hand | None = None  # while the mouse is the guest's: from the first movement with the focus on
        self._pointer: tuple[float, float] = (0, 0)
        self._origin = (0, 0)
        self._blink_rows: frozenset[int] = frozenset()
        self._base = Style.null()

    def on_mount(self) -> None:
        """Start blinking."""
        super().on_mount()
        self.set_interval(BLINK_S, self._blink)

    def collect(self, debugger: Debugger) -> Seen:
        """Return the picture of a graphics mode, and whether the mouse is heard; on the machine's thread."""
        machine = debugger.machine
        picture = cast(Monitor, machine.console).picture() if shows_pixels(machine.console) else None
        return Seen(picture, bool(getattr(machine.devices.get("mouse"), "reporting", False)))

    def show(self, data: object, view: View) -> None:
        """Draw the rows that have changed."""
        seen = data if isinstance(data, Seen) else Seen()
        # In the past a movement would begin a new branch, and hands are seldom still.
        self.guest_hears_mouse = seen.mouse and not (view.history is not None and view.history.in_past)
        if seen.picture is not None:
            self._show_pixels(seen.picture)
            return
        if self.pixels is not None:
            self.pixels = self.screen_shown = None
            self._name_mode("")
        old, new = self.screen_shown, view.screen
        if old == new:
            return
        self.screen_shown = new
        origin = self._wanted_origin(new)
        self._blink_rows = blinking_rows(new)
        if old is None or origin != self._origin or shape(old) != shape(new):
            self._origin = origin
            self.refresh()
        else:
            self._refresh_rows(changed_rows(old, new))

    def _show_pixels(self, picture: Picture) -> None:
        """Draw the rows of half blocks that have changed."""
        old = self.pixels
        new = self.pixels = pixels_of(picture, self.size.width, self.size.height, old)
        if old is None:
            self._blink_rows = frozenset()
        if old is None or old.area != new.area:
            self._name_mode(f"{picture.width} x {picture.height}")
            self.refresh()
        else:
            changed = changed_lines(old, new)
            if changed:
                self.refresh(*(Region(0, line, self.size.width, 1) for line in changed))

    def _name_mode(self, words: str) -> None:
        self.border_subtitle = words

    def on_resize(self) -> None:
        """Look at the right part again."""
        if self.pixels is not None:
            self._show_pixels(self.pixels.picture)
        elif self.screen_shown is not None:
            self._origin = self._wanted_origin(self.screen_shown)
            self.refresh()  # the rows may have been drawn at the old origin already

    def on_key(self, event: events.Key) -> None:
        """Give the key to the guest; nothing else gets to see it."""
        event.stop()
        event.prevent_default()
        pressed = events_for(event.key, event.character)
        if pressed:
            self.app.session.type(pressed)  # type: ignore[attr-defined]

    def on_paste(self, event: events.Paste) -> None:
        """Type what is pasted, as far as a PC keyboard can."""
        event.stop()
        for character in event.text.replace("\r\n", "\n"):
            self.app.session.type(events_for("enter" if character == "\n" else "", character))  # type: ignore[attr-defined]

    # -- the mouse ----------------------------------------------------------------------------------------------------
    @property
    def allow_select(self) -> bool:
        """False while the mouse is the guest's: a drag selects no text then."""
        return self.ALLOW_SELECT and not (self.has_focus and self.guest_hears_mouse)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the guest's mouse by so many pixels as the pointer has moved over."""
        if not (self.has_focus and self.guest_hears_mouse):
            self._hand = None
            return
        event.stop()
        (old_x, old_y), self._pointer = self._pointer, (event.x, event.y)
        if self._hand is None:
            self._hand = Hand(self.app.session)  # type: ignore[attr-defined]
            return  # it has come from elsewhere
        width, height = self._cell_pixels()
        self._hand.move((event.x - old_x) * width, (event.y - old_y) * height)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Push a button of the guest's mouse down."""
        if self._hand is not None and self.guest_hears_mouse:
            event.stop()
            self._hand.press(event.button)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let a button of the guest's mouse come up."""
        if self._hand is not None:
            event.stop()
            self._hand.release(event.button)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Turn the wheel towards the user."""
        self._turn(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Turn the wheel away from the user."""
        self._turn(event, -1)

    def on_blur(self) -> None:
        """Take the mouse back."""
        self._hand = None

    def _turn(self, event: events.MouseEvent, steps: int) -> None:
        if self._hand is not None and self.guest_hears_mouse:
            event.stop()
            self._hand.turn(steps)

    def _cell_pixels(self) -> tuple[float, float]:
        """Return how many of the guest's pixels lie under a cell."""
        if self.pixels is None:
            return TEXT_CELL
        picture, area = self.pixels.picture, self.pixels.area
        return picture.width / area.columns, picture.height / area.rows

    def text(self) -> str:
        """Return the screen's text, for copying; of a graphics mode a line about it."""
        if self.pixels is not None:
            return words_of(self.pixels.picture)
        return self.screen_shown.text() if self.screen_shown is not None else ""

    # -- drawing ------------------------------------------------------------------------------------------------------
    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines that are to be drawn; their common style is dear, and looked up once."""
        self._base = self.rich_style
        return super().render_lines(crop)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Leave out the filter that looks for colours of the terminal's own: pixels have none, and it is dear."""
        filters = super().get_line_filters()
        if self.pixels is None:
            return filters
        return [one for one in filters if not isinstance(one, ANSIToTruecolor)]

    def render_line(self, y: int) -> Strip:
        """Return one line of the panel."""
        width, screen = self.size.width, self.screen_shown
        base = self._base
        if self.pixels is not None:
            return line_of(self.pixels, y, base).adjust_cell_length(width, base)
        if screen is None:
            return Strip.blank(width, base)
        top, left = self._origin
        row = y + top
        if not 0 <= row < screen.rows:
            return Strip.blank(width, base)
        parts = segments(
            screen,
            row,
            range(max(left, 0), min(left + width, screen.columns)),
            cursor=self._cursor_shown(screen, row),
            blink_on=self.blink_on,
        )
        if left < 0:
            parts.insert(0, Segment(" " * -left, base))
        strip = Strip(parts)
        if self.wanted:
            strip = painted(strip, spans(strip.text, self.wanted), Style(reverse=True, underline=True))
        return strip.adjust_cell_length(width, base)

    def _cursor_shown(self, screen: TextScreen, row: int) -> bool:
        return screen.cursor_visible and row == screen.cursor_row and self.blink_on

    def _wanted_origin(self, screen: TextScreen) -> tuple[int, int]:
        """Return the first row and column to show: centred, or where the cursor is when not all fits."""
        return (
            first_shown(screen.rows, self.size.height, screen.cursor_row if screen.cursor_visible else 0),
            first_shown(screen.columns, self.size.width, screen.cursor_column if screen.cursor_visible else 0),
        )

    def _blink(self) -> None:
        if self.display and self._blink_rows:
            self.blink_on = not self.blink_on

    def watch_blink_on(self) -> None:
        """Draw what blinks."""
        self._refresh_rows(self._blink_rows)

    def _refresh_rows(self, rows: "frozenset[int] | set[int]") -> None:
        top = self._origin[0]
        regions = [Region(0, row - top, self.size.width, 1) for row in rows if 0 <= row - top < self.size.height]
        if regions:
            self.refresh(*regions)
