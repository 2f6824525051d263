"""The status line: what the machine does, where it is, how fast it goes, and why it stopped."""

from rich.text import Text
from textual.widget import Widget

from minivm.machine import NS_PER_SECOND
from minivm.tui.past import span_words
from minivm.tui.session import View

MODES = {
    "real": "real mode",
    "vm86": "virtual-8086",
    "16": "16-bit protected",
    "32": "32-bit protected",
    "compat16": "16-bit compatibility",
    "compat32": "32-bit compatibility",
    "64": "64-bit long mode",
}


class Status(Widget):
    """One line that is always there."""

    DEFAULT_CSS = """
    Status { height: 1; background: $panel; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = Text("starting")

    def show(self, view: View, *, guest_has_keys: bool) -> None:
        """Show a view; `guest_has_keys` says where keys go, and how to get them back."""
        text = self.words(view, guest_has_keys)
        if text != self._text:
            self._text = text
            self.refresh()

    def words(self, view: View, guest_has_keys: bool) -> Text:
        """Return the line: first what matters most, since a narrow terminal cuts its end."""
        state, role = _state(view)
        colours = self.app.theme_variables
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(
            f" {state} ", style=f"bold {colours.get('background', '#000000')} on {colours.get(role, '#888888')}"
        )
        if guest_has_keys:
            text.append(" keys go to the guest, F12 or Ctrl+] takes them back ", style=f"bold {colours['warning']}")
        text.append(f" {view.where}", style="bold")
        if view.stop is not None and view.stop.reason not in ("step", "stopped", "limit"):
            text.append(f"  {view.stop.text}", style=colours["warning"])
        if view.history is not None and view.history.in_past:
            before = span_words(view.history.end - view.history.now)
            text.append(f"  {before} before the end", style=f"bold {colours['secondary']}")
        text.append(f"  {MODES.get(view.mode, view.mode)}  {view.now_ns / NS_PER_SECOND:.6f} s")
        text.append(f"  {view.ticks:,} ticks  speed {view.speed}{_rate(view)}", style="dim")
        return text

    def render(self) -> Text:
        """Return the line."""
        return self._text


def _state(view: View) -> tuple[str, str]:
    past = view.history is not None and view.history.in_past
    if view.running:
        if past:
            return "REPLAY", "secondary"
        return ("ASLEEP", "primary") if view.halted else ("RUNNING", "success")
    if view.stop is not None and (view.stop.ended is not None or view.stop.reason == "error"):
        return "ENDED" if view.stop.ended is not None else "ERROR", "error"
    return ("PAST", "secondary") if past else ("PAUSED", "warning")


def _rate(view: View) -> str:
    if not view.running:
        return ""
    if view.instructions_per_second:
        return f", {view.instructions_per_second:.0f} instructions/s"
    return f", {view.ticks_per_second / 1e6:.1f} M ticks/s" if view.ticks_per_second else ""
