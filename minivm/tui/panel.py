"""What every panel is: it collects on the machine's thread, shows on the user interface's, and explains itself."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from minivm.debug.debugger import Debugger
from minivm.tui.search import next_line
from minivm.tui.session import View

_TOLD = 60
"""So much of what was copied is told to the user."""


class FollowAddress(Message):
    """The user chose an address: panels with code and memory go there."""

    def __init__(self, linear: int, *, code: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.code = code
        """True for an address of code: the code panel alone goes there."""


class Tell(Message):
    """A line for the user, where the user looks; `bad` marks an error."""

    def __init__(self, text: str, *, bad: bool = False) -> None:
        super().__init__()
        self.text = text
        self.bad = bad


class Obey(Message):
    """A command, as on the command line, that a key or a click in a panel stands for."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self.command = command


class Panel(Widget):
    """One panel. `name` is its key in `View.panels` and in the stored layout, `title` what the user reads.

    `collect` runs on the machine's thread while the panel is visible, must be quick and must not touch the widget
    beyond plain attributes. `show` runs on the user interface's thread. `help` is what F1 tells, in Markdown.

    A `live` panel is shown anew with every view of a running machine, the others a few times a second.

    A panel that takes the focus itself says `can_focus=True`; one that holds focusable widgets leaves it to them.

    Searching and copying need only `text_lines`, `text_line` and `go`: what the panel says, line by line, which of
    the lines the user is at, and the way to another one.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    help: ClassVar[str] = ""
    live: ClassVar[bool] = False

    DEFAULT_CSS = """
    Panel {
        border: round $panel-lighten-2; padding: 0; min-width: 10; min-height: 3;
        border-title-color: $foreground; border-subtitle-color: $foreground 60%;
    }
    Panel:focus, Panel:focus-within { border: round $accent; border-title-color: $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", show=False),
        Binding("n", "search_next(1)", "Next hit", show=False),
        Binding("N,shift+n", "search_next(-1)", "Previous hit", show=False),
        Binding("escape", "search_end", "End the search", show=False),
        Binding("y", "copy", "Copy the line", show=False),
        Binding("Y,shift+y", "copy_all", "Copy all", show=False),
    ]
    wanted: str = ""
    """What the user searches for in this panel; "" for nothing."""
    _found_line = 0

    def on_mount(self) -> None:
        """Write the title on the border."""
        self.border_title = self.title

    def collect(self, debugger: Debugger) -> object:
        """Return what `show` needs beyond the view itself; on the machine's thread."""
        return None

    def show(self, data: object, view: View) -> None:
        """Show a view; `data` is what `collect` returned."""

    def show_error(self, error: BaseException) -> None:
        """Say in the panel's own place that it could not collect."""
        self.border_subtitle = f"{type(error).__name__}: {error}"[:100]

    def follow(self, linear: int) -> bool:
        """Go to an address; False when this panel shows none."""
        return False

    def who_wrote(self, what: str) -> None:
        """Go back in time to where something was written last."""
        self.post_message(Obey(f"who {what}"))

    # -- searching ----------------------------------------------------------------------------------------------------
    @property
    def text_lines(self) -> Sequence[str]:
        """What the panel says, line by line."""
        return self.text().splitlines()

    @property
    def text_line(self) -> int:
        """The number of the line where the user is."""
        return self._found_line

    def go(self, line: int) -> None:
        """Take the user to a line; a panel without a cursor tells of it."""
        self._found_line = line
        self.post_message(Tell(f"{self.wanted}: in line {line + 1} of {self.title}"))

    def search(self, wanted: str, direction: int = 1, *, here: bool = False) -> None:
        """Go to the next line that has `wanted`, and mark it; with `here` the user's own line counts as well."""
        self.mark(wanted)
        found = next_line(self.text_lines, wanted, self.text_line, direction, here=here)
        if found is None:
            self.not_found(wanted)
        else:
            self.say("")
            self.go(found)

    def not_found(self, wanted: str) -> None:
        """Say so where the user looks."""
        self.say(f"{wanted}: not found")

    def mark(self, wanted: str) -> None:
        """Mark every place with this text from now on; "" marks none."""
        self.wanted = wanted
        self.refresh()

    def say(self, text: str) -> None:
        """Say one line; an empty one takes it away."""
        self.post_message(Tell(text, bad=bool(text)))

    def action_search(self) -> None:
        """Ask for a text to search for."""
        self.app.open_command("search ")  # type: ignore[attr-defined]

    def action_search_next(self, direction: int) -> None:
        """Go to the next or previous hit."""
        self.search(self.wanted, direction)

    def action_search_end(self) -> None:
        """Mark nothing any more."""
        self.say("")
        self.mark("")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave N and Escape to the application while nothing is searched for."""
        return bool(self.wanted) if action in ("search_next", "search_end") else True

    # -- copying ------------------------------------------------------------------------------------------------------
    def text(self) -> str:
        """Return all that the panel says, for copying and searching."""
        return ""

    def chosen_text(self) -> str:
        """Return the line where the user is, for copying; of a panel without a cursor all."""
        return self.text()

    def action_copy(self) -> None:
        """Copy what the mouse has selected, or the line where the user is."""
        selected = self.screen.get_selected_text()
        self.copy(selected or self.chosen_text(), "copied")

    def action_copy_all(self) -> None:
        """Copy the whole panel as plain text."""
        self.copy(self.text(), f"copied all of {self.title}")

    def copy(self, text: str, what: str) -> None:
        """Put a text into the clipboard, and tell `what` was done and how the text begins."""
        if not text.strip():
            self.post_message(Tell("there is nothing to copy", bad=True))
            return
        self.app.copy_to_clipboard(text)
        first, _, rest = text.strip().partition("\n")
        more = f" and {rest.count(chr(10)) + 1} lines more" if rest else ""
        self.post_message(Tell(f"{what}: {first if len(first) <= _TOLD else first[:_TOLD] + '…'}{more}"))


__all__ = ["FollowAddress", "Obey", "Panel", "Tell"]
