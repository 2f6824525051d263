"""The key bar at the bottom: Textual's footer, which is only made anew when it would look different."""

from textual.screen import Screen
from textual.widgets import Footer


class KeyBar(Footer):
    """The keys that can be pressed now.

    Textual makes each key's widget anew at every change of the focus, four times when the command line opens: more work
    than all that the key itself asks for.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self.compact = True
        self._keys: tuple[tuple[str, str, bool], ...] = ()

    def bindings_changed(self, screen: Screen[object]) -> None:
        """Show other keys when there are other ones, and when somebody can see it."""
        if not self.display or not self.is_attached or screen is not self.screen:
            return
        shown = (one for one in screen.active_bindings.values() if one.binding.show)
        keys = tuple((one.binding.key, one.binding.description, one.enabled) for one in shown)
        if keys != self._keys or not self.children:  # what was told before the bar could show it is told again
            self._keys = keys
            # Textual's footer waits for the focus of a terminal that has lost it, and would stay empty until then.
            self._bindings_ready = True
            self.call_after_refresh(self.recompose)
