"""What every panel is: it collects on the machine's thread, shows on the user interface's, and explains itself."""

from typing import ClassVar

from textual.message import Message
from textual.widget import Widget

from minivm.debug.debugger import Debugger
from minivm.tui.session import View


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


class Panel(Widget):
    """One panel. `name` is its key in `View.panels` and in the stored layout, `title` what the user reads.

    `collect` runs on the machine's thread while the panel is visible, must be quick and must not touch the widget
    beyond plain attributes. `show` runs on the user interface's thread. `help` is what F1 tells, in Markdown.

    A panel that takes the focus itself says `can_focus=True`; one that holds focusable widgets leaves it to them.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    help: ClassVar[str] = ""

    DEFAULT_CSS = """
    Panel { border: round $panel-lighten-2; padding: 0; min-width: 10; min-height: 3; }
    Panel:focus, Panel:focus-within { border: round $accent; }
    """

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


__all__ = ["FollowAddress", "Panel", "Tell"]
