"""What the panels share: a listing, a line to type into, and a line for what went wrong."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Label

from minivm.debug.debugger import Debugger
from minivm.errors import MiniVMError
from minivm.tui.panel import FollowAddress, Panel
from minivm.tui.panels.listing import Listing, Row
from minivm.tui.prompt import PanelPrompt
from minivm.tui.search import next_line
from minivm.tui.session import Session, View

T = TypeVar("T")


class AskingPanel(Panel):
    """A panel with two lines at its lower edge: one to type into, and one for what went wrong."""

    DEFAULT_CSS = """
    AskingPanel > .message { display: none; width: 1fr; height: auto; max-height: 3; dock: bottom; color: $error; }
    AskingPanel > .message.-shown { display: block; }
    """

    question: ClassVar[str] = "Search for"
    """What the search line says while it is empty."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.prompt = PanelPrompt()
        self.message = Label("", classes="message", markup=False)

    def compose(self) -> ComposeResult:
        """Make the two lines."""
        yield self.message
        yield self.prompt

    @property
    def home_widget(self) -> Widget:
        """What has the focus while nothing is asked."""
        return self

    def say(self, text: str) -> None:
        """Show one line for what went wrong; an empty one takes it away."""
        self.message.update(text)
        self.message.set_class(bool(text), "-shown")

    def text(self) -> str:
        """Return all lines, for copying."""
        return "\n".join(line.rstrip() for line in self.text_lines)

    def chosen_text(self) -> str:
        """Return the line where the user is, for copying."""
        lines = self.text_lines
        return lines[self.text_line].strip() if self.text_line < len(lines) else ""

    def action_search(self) -> None:
        """Ask for a text to search for."""
        self.prompt.ask(self.question, lambda text: self.search(text, here=True))

    # -- asking the machine ---------------------------------------------------------------------------------------
    def command(self, work: Callable[[Debugger], T], done: Callable[[T], object] | None = None) -> None:
        """Do `work` on the machine's thread, then `done` with its result here; an error is said in the panel."""
        self.run_worker(self._command(work, done), group="commands", exit_on_error=False)

    async def _command(self, work: Callable[[Debugger], T], done: Callable[[T], object] | None) -> None:
        try:
            result = await asyncio.wrap_future(self.session.call(work))
        except (MiniVMError, ValueError, OverflowError) as error:
            self.say(str(error))
            return
        self.say("")
        if done is not None:
            done(result)
        self.look_again()

    @property
    def session(self) -> Session:
        """The session of the application."""
        return self.app.session  # type: ignore[attr-defined, no-any-return]

    def look_again(self) -> None:
        """Collect anew soon, since the panel wants to show something else."""
        self.session.refresh()


class ListingPanel(AskingPanel):
    """A panel of rows. A subclass has `collect`, which asks the machine, and `rows`, which makes rows of the answer."""

    DEFAULT_CSS = """
    ListingPanel { layout: vertical; }
    """

    keys: ClassVar[str] = ""
    """The panel's own keys in a few words, for its lower edge."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.listing = Listing()
        self.data: Any = None

    def compose(self) -> ComposeResult:
        """Put the listing above the two lines."""
        yield self.listing
        yield from super().compose()

    def on_mount(self) -> None:
        """Write the keys on the lower edge."""
        self.tell_edge()

    def tell_edge(self, text: str = "") -> None:
        """Write something, and the panel's keys, on the lower edge."""
        self.border_subtitle = Text(" · ".join(part for part in (text, self.keys) if part))

    # -- showing --------------------------------------------------------------------------------------------------
    def rows(self, data: Any) -> Iterable[Row]:
        """Return the rows for what `collect` has found."""
        raise NotImplementedError

    def show(self, data: object, view: View) -> None:
        """Show what `collect` has found; the same again is shown already."""
        if data is None or data is not self.data:
            self.data = data
            self.redraw()

    def redraw(self) -> None:
        """Make the rows anew of what was found last, after the user changed how to look at it."""
        if self.data is not None:
            self.listing.show_rows(self.rows(self.data))

    # -- searching ------------------------------------------------------------------------------------------------
    @property
    def home_widget(self) -> Widget:
        """The listing."""
        return self.listing

    @property
    def text_lines(self) -> Sequence[str]:
        """The rows as text."""
        return [one.text for one in self.listing.rows]

    @property
    def text_line(self) -> int:
        """The listing's cursor."""
        return self.listing.cursor

    def go(self, line: int) -> None:
        """Move the cursor."""
        self.listing.put_cursor(line)

    def mark(self, wanted: str) -> None:
        """Mark it in the listing."""
        super().mark(wanted)
        self.listing.mark(wanted)

    def unfold(self) -> bool:
        """Show what is there but not in view, for a search that has found nothing; False when all is shown."""
        return False

    def search(self, wanted: str, direction: int = 1, *, here: bool = False) -> None:
        """Go to the next row with `wanted`; when there is none, among those that it does not show by itself."""
        found = next_line(self.text_lines, wanted, self.text_line, direction, here=here)
        if found is None and self.unfold():
            self.mark(wanted)
            self.command(self.collect, lambda data: self._search_unfolded(data, wanted, direction))
        else:
            super().search(wanted, direction, here=here)

    def _search_unfolded(self, data: object, wanted: str, direction: int) -> None:
        self.data = data
        self.redraw()
        super().search(wanted, direction, here=True)

    def on_listing_followed(self, event: Listing.Followed) -> None:
        """Tell the other panels to show that address."""
        event.stop()
        self.post_message(FollowAddress(event.address, code=event.code))

    def on_resize(self) -> None:
        """Fill the new size."""
        if self.is_mounted:
            self.look_again()
