"""Help: what a panel shows and which keys it knows, and the keys that hold everywhere."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Markdown

KEYS = """
| key | does |
|---|---|
| F5 | continue, or pause |
| F11, F10, Shift+F11 | step into, over, out |
| F7 or [, F8 or { | step back, back to the last stop; ] is F11, } goes to the end of the past |
| F9, F4 | breakpoint at the cursor, run to the cursor |
| F6, Tab | next panel, also those behind a tab |
| F2 | next layout: Run, Learn, Debug |
| F3 | search memory for text or bytes |
| / | search in this panel; N and Shift+N go on and back, Escape ends it |
| Y, Shift+Y | copy the line at the cursor, or the whole panel; the mouse selects, too |
| +, - | faster, slower: from one instruction a second to unlimited |
| N | next step of the lesson, where the guest has one |
| : | command line; `help` lists the commands |
| Ctrl+P | palette: everything by name |
| Ctrl+T | next theme |
| F12, Ctrl+] | to the guest's screen, and back from it |
| Ctrl+Q | quit |
"""


class HelpScreen(ModalScreen[None]):
    """A page of Markdown in front of everything; Escape, Enter or F1 puts it away."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 90%; max-width: 84; height: 90%; max-height: 40; border: round $accent; background: $surface;
        padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,f1,q", "dismiss", "Close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._page = title, text

    def compose(self) -> ComposeResult:
        """Show the page."""
        with VerticalScroll() as page:
            page.border_title = self._title
            page.border_subtitle = "Escape closes"
            yield Markdown(self._page, open_links=False)
