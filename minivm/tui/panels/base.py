"""What the panels share: a listing, a line to type into, and a line for what went wrong."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Label

from minivm.debug.debugger import Debugger
from minivm.errors import MiniVMError
from minivm.tui.panel import FollowAddress, Panel
from minivm.tui.panels.listing import Listing, Row
from minivm.tui.session import Session, View

T = TypeVar("T")


class PanelPrompt(Input):
    """The line to type into; it is there only while a panel asks for something."""

    DEFAULT_CSS = """
    PanelPrompt { display: none; height: 1; border: none; padding: 0; background: $boost; dock: bottom; }
    PanelPrompt:focus { border: none; }
    PanelPrompt.-asking { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False)]

    def ask(self, question: str, answer: Callable[[str], None], value: str = "", *, again: bool = False) -> None:
        """Ask `question`; `answer` gets what was typed when Enter is pressed.

        With `again` it asks until Escape is pressed, and takes empty lines, too.
        """
        self._answer, self._again = answer, again
        self.placeholder = question
        self.value = value
        self.cursor_position = len(value)
        self.add_class("-asking")
        self.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the text to whoever asked."""
        event.stop()
        text = self.value
        if self._again:
            self.value = ""
            self._answer(text)
            return
        self.action_cancel()
        if text.strip():
            self._answer(text.strip())

    def action_cancel(self) -> None:
        """Go away."""
        self.remove_class("-asking")
        self.value = ""
        panel = self.parent
        if isinstance(panel, ListingPanel):
            panel.listing.focus()


class ListingPanel(Panel):
    """A panel of rows. A subclass has `collect`, which asks the machine, and `rows`, which makes rows of the answer."""

    DEFAULT_CSS = """
    ListingPanel { layout: vertical; }
    ListingPanel > .message { display: none; width: 1fr; height: auto; max-height: 3; dock: bottom; color: $error; }
    ListingPanel > .message.-shown { display: block; }
    """

    keys: ClassVar[str] = ""
    """The panel's own keys in a few words, for its lower edge."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.listing = Listing()
        self.prompt = PanelPrompt()
        self.message = Label("", classes="message", markup=False)
        self.data: Any = None

    def compose(self) -> ComposeResult:
        """Put the listing above the two lines."""
        yield self.listing
        yield self.message
        yield self.prompt

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
        """Show what `collect` has found."""
        self.data = data
        self.redraw()

    def redraw(self) -> None:
        """Make the rows anew of what was found last, after the user changed how to look at it."""
        if self.data is not None:
            self.listing.show_rows(self.rows(self.data))

    def say(self, text: str) -> None:
        """Show one line for what went wrong; an empty one takes it away."""
        self.message.update(text)
        self.message.set_class(bool(text), "-shown")

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

    def on_listing_followed(self, event: Listing.Followed) -> None:
        """Tell the other panels to show that address."""
        event.stop()
        self.post_message(FollowAddress(event.address, code=event.code))

    def on_resize(self) -> None:
        """Fill the new size."""
        if self.is_mounted:
            self.look_again()
