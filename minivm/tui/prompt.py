"""The line of a panel to type into: an address, a text to search for, a value."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input


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
        self.display = True  # at once, not with the next style update: the next key is meant for it
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
        self.display = False
        self.value = ""
        home = getattr(self.parent, "home_widget", None)
        if isinstance(home, Widget):
            home.focus()
