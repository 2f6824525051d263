"""The application: panels on a desk, keys, a command line, and the way from a view to the panels."""

import gc
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

from textual import events, on
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Label

from minivm.core.keys import parse_keys, unescape
from minivm.debug.debugger import Debugger
from minivm.debug.reverse import Writer
from minivm.errors import ConfigError, MiniVMError
from minivm.tui import commands, preferences
from minivm.tui.desk import LAYOUTS, SMALLEST, Desk
from minivm.tui.help import KEYS, HelpScreen
from minivm.tui.keybar import KeyBar
from minivm.tui.lesson import Lesson
from minivm.tui.pace import LADDER, Speed
from minivm.tui.panel import FollowAddress, Obey, Panel, Tell
from minivm.tui.panels.code import CodePanel
from minivm.tui.panels.explain import ExplainPanel
from minivm.tui.panels.screen import ScreenPanel
from minivm.tui.past import parse_moment
from minivm.tui.search import pattern
from minivm.tui.session import Session, View
from minivm.tui.status import Status
from minivm.tui.themes import THEMES

PANELS = {
    "screen": "screen:ScreenPanel",
    "code": "code:CodePanel",
    "registers": "registers:RegistersPanel",
    "explain": "explain:ExplainPanel",
    "stack": "stack:StackPanel",
    "memory": "memory:MemoryPanel",
    "breakpoints": "breakpoints:BreakpointsPanel",
    "devices": "devices:DevicesPanel",
    "interrupts": "interrupts:InterruptsPanel",
    "tables": "tables:TablesPanel",
    "trace": "trace:TracePanel",
    "serial": "serial:SerialPanel",
    "picture": "picture:PicturePanel",
    "timeline": "timeline:TimelinePanel",
}
"""Every panel by name: its module in `minivm.tui.panels` and its class."""

SWITCH_S = 0.0005
"""How long a thread may keep Python while another wants it: the machine's callbacks must not wait for the drawing."""

FREEZE_AGAIN_S = 2.0
"""What is there at the start, and so much later, is left out by the garbage collector: looking through it takes 100 to
200 ms, during which neither thread does anything. Modules that panels import at their first look come in between."""

_GUESTS_KEYBOARD = frozenset({"guest", "panel", "quit_now"})
"""What can be done while the guest has the keyboard."""
_LONG_S = 0.3
_SEARCHING = "looking back through the past; Escape gives it up"
_MOST_BACK = 10_000
_TURNS = frozenset({"command", "find", "guest"})
"""What turns the keyboard over to something else. The next key may be on its way already, so these have priority:
they act before it is sent to whatever has the focus."""


class Prompt(Input):
    """The command line; up and down go through what was typed before."""

    DEFAULT_CSS = """
    Prompt { height: 1; border: none; padding: 0 1; display: none; background: $boost; }
    Prompt:focus { border: none; }
    Prompt.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.close_command", "Close", show=False),
        Binding("up", "history(-1)", "Earlier", show=False),
        Binding("down", "history(1)", "Later", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="a command, such as break 7C00h or help", id="command")
        self.history: list[str] = []
        self._at = 0

    def remember(self, text: str) -> None:
        """Keep a line for the arrow keys."""
        if not self.history or self.history[-1] != text:
            self.history.append(text)
        self._at = len(self.history)

    def action_history(self, by: int) -> None:
        """Show an earlier or later line."""
        self._at = max(0, min(len(self.history), self._at + by))
        self.value = self.history[self._at] if self._at < len(self.history) else ""
        self.cursor_position = len(self.value)


class MiniVMApp(App[None], inherit_bindings=False):
    """The full-screen debugger of one session. It starts the session; whoever made it closes it."""

    TITLE = "MiniVM"
    AUTO_FOCUS = None  # Textual's choice would be the guest's screen, which then gets the first keys
    CSS = """
    Screen { background: $background; }
    #bottom { dock: bottom; height: auto; }
    #bottom > Footer { dock: none; }
    #message { height: auto; max-height: 4; padding: 0 1; display: none; background: $surface; }
    #message.-shown { display: block; }
    #message.-bad { color: $error; text-style: bold; }
    #small { display: none; width: 100%; height: 100%; content-align: center middle; text-align: center; }
    Screen.-small Desk, Screen.-small Footer, Screen.-small Status { display: none; }
    Screen.-small #small { display: block; }
    Toast { max-width: 60; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help"),
        Binding("f2", "next_layout", "Layout"),
        Binding("f3", "find", "Find", priority=True),
        Binding("f4", "to_cursor", "Run to cursor", show=False),
        Binding("f5", "go", "Run"),
        Binding("f6,tab", "next_panel(1)", "Panel", key_display="f6"),
        Binding("shift+f6,shift+tab", "next_panel(-1)", "Previous panel", show=False),
        Binding("f8,left_curly_bracket,shift+f5,f17", "back_on", "Back to the last stop", show=False),
        Binding("right_curly_bracket", "present", "To the end of the past", show=False),
        Binding("f9", "breakpoint", "Break"),
        Binding("f10", "over", "Over"),
        Binding("f11,right_square_bracket", "into", "Into", key_display="f11"),
        Binding("shift+f11,f23", "out", "Out", show=False),
        Binding("f12,ctrl+right_square_bracket", "guest", "Keys", key_display="f12", priority=True),
        Binding("colon", "command", "Command", key_display=":", priority=True),
        Binding("f7,left_square_bracket", "undo", "Back", key_display="f7"),
        Binding("plus", "speed(1)", "Faster", show=False),
        Binding("minus", "speed(-1)", "Slower", show=False),
        Binding("n", "lesson", "Next step of the lesson", show=False),
        Binding("slash", "search", "Search this panel", show=False),
        Binding("y", "copy(False)", "Copy", show=False),
        Binding("Y,shift+y", "copy(True)", "Copy the panel", show=False),
        Binding("escape", "give_up", "Give up a search", show=False),
        Binding("ctrl+t", "next_theme", "Theme", show=False),
        Binding("ctrl+p", "command_palette", "Palette", show=False),
        Binding("ctrl+q", "quit_now", "Quit"),
    ]

    class ViewReady(Message):
        """A view waits to be shown."""

    class Done(Message):
        """The machine's thread has done some work."""

        def __init__(self, future: "Future[Any]", then: Callable[[Any], None] | None) -> None:
            super().__init__()
            self.future = future
            self.then = then

    def __init__(
        self,
        session: Session,
        *,
        autostart: bool = True,
        preferences_file: Path | None = None,
        layout: str | None = None,
        lesson: Lesson | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.view: View | None = None
        self._autostart = autostart
        self._file = preferences_file
        stored = preferences.load(preferences_file)
        self._wanted_theme = stored.theme
        self._latest: View | None = None
        self._last_search = ""
        self._found_at = -1
        self._begun = False
        self._early_keys: list[events.Key] = []
        self._told = ("", False)
        self._busy_s = 0.0
        self._switch_interval = sys.getswitchinterval()
        self.desk = Desk([_make(place) for place in PANELS.values()])
        self.explain = cast(ExplainPanel, self.desk.panels["explain"])
        self.explain.lesson = lesson
        self.desk.arrangement = next((name for name in (layout, stored.layout) if name in LAYOUTS), "learn")
        self.status = Status()
        self.prompt = Prompt()
        self.footer = KeyBar()
        self.message_line = Label("", id="message", markup=False)

    # -- building -----------------------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        """Put the desk above the lines at the bottom."""
        yield self.desk
        yield Label("", id="small", markup=False)
        yield Vertical(self.status, self.message_line, self.prompt, self.footer, id="bottom")

    def on_mount(self) -> None:
        """Start the machine."""
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = self._wanted_theme if self._wanted_theme in self.available_themes else "minivm-dark"
        sys.setswitchinterval(SWITCH_S)
        self.session.on_view = self._on_view
        self.session.start()
        self.call_after_refresh(self._begin)

    def on_unmount(self) -> None:
        """Leave the interpreter as it was."""
        gc.unfreeze()
        sys.setswitchinterval(self._switch_interval)

    async def _begin(self) -> None:
        self._begun = True
        self._arrange()
        self.call_after_refresh(self.refresh_bindings)
        gc.freeze()
        self.set_timer(FREEZE_AGAIN_S, gc.freeze)
        if self._autostart:
            self.session.resume()
        while self._early_keys:
            await self.on_event(self._early_keys.pop(0))

    async def on_event(self, event: events.Event) -> None:
        """Keep keys that come before the panels lie where they belong: nothing has the focus yet."""
        if isinstance(event, events.Key) and not self._begun:
            self._early_keys.append(event)
        else:
            await super().on_event(event)

    def on_resize(self, event: events.Resize) -> None:
        """Lay the panels out anew, or say that there is no room."""
        width, height = event.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.screen_stack[0].set_class(small, "-small")
        self._make_room()
        needed = f"{SMALLEST[0]} x {SMALLEST[1]}"
        self.screen_stack[0].query_one("#small", Label).update(f"too small\n{width} x {height}\nneed {needed}")

    @on(Desk.Resized)
    def _desk_resized(self) -> None:
        if self._begun:
            self._arrange()

    def _arrange(self) -> None:
        """Put the panels where they belong, and collect for those that can be seen."""
        self.desk.lay_out()
        if self.focused is None or not self._is_seen(self.focused):
            self._focus_first()
        shown = self.desk.shown
        live = (panel.name for panel in shown if panel.live)
        self.session.set_collectors({panel.name: panel.collect for panel in shown}, live)

    # -- views --------------------------------------------------------------------------------------------------------
    def _on_view(self, view: View) -> None:
        """Take a view on the machine's thread; one that was not shown yet is dropped."""
        self._latest = view
        if not self.session.hold:
            self.session.hold = True
            self._post(self.ViewReady())

    def _post(self, message: Message) -> None:
        with suppress(RuntimeError):  # the event loop may have ended meanwhile
            self.post_message(message)

    @on(ViewReady)
    def _show_view(self) -> None:
        before, self._busy_s = self._busy_s, time.thread_time()
        was_running = self.view is not None and self.view.running
        self.session.shown(self._busy_s - before if was_running else 0.0)  # all that this thread did in between
        view, self._latest = self._latest, None
        if view is None or not self.screen_stack:  # it is being closed, and has no screens any more
            return
        self._tell_of_branch(view)
        self.view = view
        self.status.show(view, guest_has_keys=self.guest_has_keys)
        for panel in self.desk.shown:
            data = view.panels.get(panel.name)
            if isinstance(data, BaseException):
                panel.show_error(data)
            elif panel.name in view.panels:
                panel.show(data, view)

    # -- work on the machine's thread ---------------------------------------------------------------------------------
    def do(self, work: Callable[[Debugger], Any], then: Callable[[Any], None] | None = None) -> None:
        """Do `work` on the machine's thread, then `then` with its result here; an error is shown to the user."""
        self.follow_up(self.session.call(work), then)

    def follow_up(self, future: "Future[Any]", then: Callable[[Any], None] | None = None) -> None:
        """Do `then` with a future's result; an error is shown to the user."""
        future.add_done_callback(lambda done: self._post(self.Done(done, then)))

    @on(Done)
    def _work_done(self, event: Done) -> None:
        if event.future.cancelled() or not self.screen_stack:
            return
        error = event.future.exception()
        if error is not None:
            known = isinstance(error, MiniVMError)
            self.tell(str(error) if known else f"{type(error).__name__}: {error}", bad=True)
        elif event.then is not None:
            event.then(event.future.result())

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Show a line above the status line; an empty one takes it away."""
        line = " ".join(text.split())
        if (line, bad) == self._told:
            return
        self._told = line, bad
        self.message_line.update(line)
        self.message_line.set_class(bool(text), "-shown")
        self.message_line.set_class(bad, "-bad")
        self._make_room()

    @property
    def _low(self) -> bool:
        """True where the guest's screen needs the key bar's row."""
        return self.size.height < 28 and self.desk.arrangement == "run"

    def _make_room(self) -> None:
        """Let the message or the command line take the key bar's row, so that no panel has to move."""
        open_now = self.prompt.has_class("-open") or self.message_line.has_class("-shown")
        was_hidden, self.footer.display = not self.footer.display, not (open_now or self._low)
        if was_hidden:
            self.refresh_bindings()

    @on(Tell)
    def _tell(self, event: Tell) -> None:
        self.tell(event.text, bad=event.bad)

    @on(Obey)
    def _asked(self, event: Obey) -> None:
        try:
            self.obey(event.command)
        except MiniVMError as error:
            self.tell(str(error), bad=True)

    @on(FollowAddress)
    def _follow(self, event: FollowAddress) -> None:
        for name in ("code",) if event.code else ("memory", "code"):
            if name in self.desk.groups and self.desk.panels[name].follow(event.linear):
                self.action_panel(name, focus=False)
                return

    # -- going on -----------------------------------------------------------------------------------------------------
    def action_go(self) -> None:
        """Continue, or pause."""
        self.tell("")
        if self.session.running:
            self.follow_up(self.session.pause())
        else:
            self._home()
            self.follow_up(self.session.resume())

    def action_into(self) -> None:
        """Execute one instruction."""
        self._home()
        self.follow_up(self.session.step())

    def action_over(self) -> None:
        """Execute one instruction, a call as a whole."""
        self._home()
        self.follow_up(self.session.step_over())

    def action_out(self) -> None:
        """Run until the routine has returned."""
        self._home()
        self.follow_up(self.session.step_out())

    def action_to_cursor(self) -> None:
        """Run to the code panel's cursor."""
        target = self.code.current
        self._home()
        self.follow_up(self.session.run_to(target))

    def action_lesson(self) -> None:
        """Go to the lesson's next step, and let the machine run to where it is about."""
        step = self.explain.go_on()
        if step is None:
            self.tell("this guest has no lesson; `minivm tui tour` has one")
            return
        self.action_panel("explain", focus=False)
        self._home()
        self.follow_up(self.session.run_to(step.where) if step.where else self.session.resume())

    def _home(self) -> None:
        self.tell("")
        self.code.home()

    # -- going back ---------------------------------------------------------------------------------------------------
    def travel(self, future: "Future[Any]", then: Callable[[Any], None] | None = None) -> None:
        """Follow a way through the past; when it takes long, say how to give it up."""
        self._home()

        def arrived(result: object) -> None:
            if self._told[0] == _SEARCHING:
                self.tell("")
            if then is not None:
                then(result)

        self.follow_up(future, arrived)
        self.set_timer(_LONG_S, lambda: None if future.done() else self.tell(_SEARCHING))

    def action_undo(self) -> None:
        """Undo one instruction."""
        self.travel(self.session.step_back())

    def action_back_on(self) -> None:
        """Go back to where something would have stopped the machine last."""
        self.travel(self.session.resume_back())

    def action_present(self) -> None:
        """Go to the end of what has happened."""
        self.travel(self.session.go_to(sys.maxsize))

    def action_give_up(self) -> None:
        """End a search through the past."""
        self.session.give_up()

    def who_wrote(self, what: str) -> None:
        """Go to where something was written last, and explain the instruction there."""

        def found(writer: Writer | None) -> None:
            if writer is None:
                self.tell(f"nobody has written {what} in the past that is kept")
                return
            self.tell(f"{writer.text}, by the next instruction: {writer.instruction}")
            if "explain" in self.desk.groups:
                self.action_panel("explain", focus=False)

        self.travel(self.session.who_wrote(what), found)

    def go_to_moment(self, text: str) -> None:
        """Go to a moment that was typed; raises `ConfigError` when it is none."""
        history = self.view.history if self.view is not None else None
        if history is None:
            self.travel(self.session.go_to(0))  # which tells why there is no past
            return
        tick = parse_moment(text, history.now, history.begin, history.end)
        self.travel(self.session.go_to(tick))

    def _tell_of_branch(self, view: View) -> None:
        """Say so when an input, or an edit, in the past has begun a new branch."""
        old, new = self.view.history if self.view is not None else None, view.history
        if old is not None and new is not None and len(new.forks) > len(old.forks):
            left = new.forks[-1]
            self.tell(f"a new branch begins here; what had come after is branch {left.number}: `branch {left.number}`")

    def action_breakpoint(self) -> None:
        """Set or remove a breakpoint at the code panel's cursor."""
        self.toggle_breakpoint(self.code.current)

    def toggle_breakpoint(self, linear: int) -> None:
        """Set a breakpoint at an address, or remove the one that is there."""

        def toggle(debugger: Debugger) -> str:
            for entry in debugger.entries():
                if getattr(entry, "address", None) == linear:
                    debugger.remove(entry.number)
                    return f"{entry} is gone"
            return str(debugger.break_at(linear))

        self.do(toggle, self.tell)

    def action_speed(self, by: int) -> None:
        """Go up or down the ladder of speeds."""
        now = self.view.speed if self.view is not None else LADDER[-1]
        at = LADDER.index(now) if now in LADDER else len(LADDER) - 2
        self._set_speed(LADDER[max(0, min(len(LADDER) - 1, at + by))])

    def _set_speed(self, speed: Speed) -> None:
        self.follow_up(self.session.set_speed(speed), lambda _: self.tell(f"speed: {speed}"))

    # -- panels and layouts -------------------------------------------------------------------------------------------
    @property
    def code(self) -> CodePanel:
        """The code panel."""
        return cast(CodePanel, self.desk.panels["code"])

    def _watch_app_focus(self, focus: bool) -> None:
        """Leave the focus where it is while another window has the keyboard.

        Textual takes it away and gives it back at the next key, which then meets the wrong widget. A terminal in the
        background, as tmux has it, tells of that at any moment.
        """

    @property
    def guest_has_keys(self) -> bool:
        """True while keys go to the guest."""
        return bool(self.screen_stack) and isinstance(self.focused, ScreenPanel)

    def action_next_layout(self) -> None:
        """Go to the next layout."""
        self.set_layout(LAYOUTS[(LAYOUTS.index(self.desk.arrangement) + 1) % len(LAYOUTS)])

    def set_layout(self, name: str) -> None:
        """Choose a layout and remember it."""
        if name not in LAYOUTS:
            raise ConfigError(f"{name} is no layout; there are {', '.join(LAYOUTS)}")
        self.desk.arrangement = name
        self._make_room()
        self._store()
        self.call_after_refresh(self._arrange)

    def action_next_theme(self) -> None:
        """Go to the next of our themes."""
        names = list(THEMES)
        at = names.index(self.theme) if self.theme in names else -1
        self.set_theme(names[(at + 1) % len(names)])

    def set_theme(self, name: str) -> None:
        """Choose a theme and remember it."""
        full = name if name in self.available_themes else f"minivm-{name}"
        if full not in self.available_themes:
            raise ConfigError(f"{name} is no theme; try {', '.join(word.removeprefix('minivm-') for word in THEMES)}")
        self.theme = full
        self.tell(f"theme: {full}")
        self.session.refresh()

    def watch_theme(self, name: str) -> None:
        """Remember the theme, also one from the palette."""
        if self._begun:
            self._store()

    def _store(self) -> None:
        preferences.store(preferences.Preferences(self.desk.arrangement, self.theme), self._file)

    def action_next_panel(self, by: int) -> None:
        """Go to the next panel, also one behind a tab."""
        order = self.desk.order
        if order:
            here = self._panel_of(self.focused)
            at = order.index(here.name) if here is not None and here.name in order else -1 if by > 0 else 0
            self.action_panel(order[(at + by) % len(order)])

    def action_panel(self, name: str, focus: bool = True) -> None:
        """Bring a panel to the front, changing to the layout that has it."""
        if name not in self.desk.panels:
            raise ConfigError(f"{name} is no panel; there are {', '.join(self.desk.panels)}")
        if name not in self.desk.groups:
            self.set_layout("debug")
            self.desk.lay_out()
        panel = self.desk.bring(name)
        self._arrange()
        if focus and panel is not None:
            self._focus(panel)

    def _focus(self, panel: Panel) -> None:
        widget = next((one for one in panel.walk_children(Widget, with_self=True) if one.focusable), None)
        self.set_focus(widget)
        self._show_keys()

    def _focus_first(self) -> None:
        names = ["screen"] if self.desk.arrangement == "run" else ["code", "screen"]
        found = next((self.desk.panels[name] for name in names if self.desk.panels[name].display), None)
        if found is not None:
            self._focus(found)

    def _panel_of(self, widget: Widget | None) -> Panel | None:
        if widget is None:
            return None
        return next((one for one in widget.ancestors_with_self if isinstance(one, Panel)), None)

    def _is_seen(self, widget: Widget) -> bool:
        panel = self._panel_of(widget)
        return panel is None or bool(panel.display)

    def action_guest(self) -> None:
        """Give the keyboard to the guest, or take it back."""
        if not self.guest_has_keys:
            self.action_panel("screen")
            return
        self.set_focus(None)
        if self.desk.arrangement != "run":
            self._focus(self.code)
        self._show_keys()

    def on_descendant_focus(self) -> None:
        """Say where the keys go."""
        self._show_keys()

    def on_descendant_blur(self) -> None:
        """Say where the keys go."""
        self._show_keys()

    def _show_keys(self) -> None:
        if not self.screen_stack:
            return
        self.refresh_bindings()
        if self.view is not None:
            self.status.show(self.view, guest_has_keys=self.guest_has_keys)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let no key of ours be in the way of the guest's, of a dialogue, or of a colon in a text."""
        if len(self.screen_stack) != 1:
            return action not in _TURNS
        if action == "give_up":
            return self.session.searching
        if self.guest_has_keys:
            return action in _GUESTS_KEYBOARD
        return action != "command" or not isinstance(self.focused, Input)

    def action_help(self) -> None:
        """Explain the panel with the focus, and the keys."""
        panel = self._panel_of(self.focused)
        title, text = (panel.title, panel.help) if panel is not None else ("MiniVM", "")
        self.push_screen(HelpScreen(title, f"{text}\n\n{KEYS}"))

    def action_quit_now(self) -> None:
        """End."""
        self.exit()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Return what the palette offers."""
        yield from (command for command in super().get_system_commands(screen) if command.title != "Keys")
        for name in LAYOUTS:
            yield SystemCommand(f"Layout: {name}", "arrange the panels so", lambda name=name: self.set_layout(name))
        for name, panel in self.desk.panels.items():
            yield SystemCommand(f"Panel: {panel.title}", "go there", lambda name=name: self.action_panel(name))
        for speed in LADDER:
            yield SystemCommand(f"Speed: {speed}", "run so fast", lambda speed=speed: self._set_speed(speed))
        for command in commands.COMMANDS.values():
            word = command.usage.split()[0]
            yield SystemCommand(command.usage, command.words, lambda word=word: self.open_command(f"{word} "))
        for word, text in commands.APP_COMMANDS.items():
            usage, _, words = text.partition(": ")
            begin = self.obey if usage == word else self._open_with
            yield SystemCommand(usage, words, lambda word=word, begin=begin: begin(word))

    # -- the command line ---------------------------------------------------------------------------------------------
    def action_command(self) -> None:
        """Open the command line."""
        self.open_command("")

    def action_find(self) -> None:
        """Ask what to search for; Enter goes to the next place."""
        self.open_command(f"find {self._last_search}")

    def _open_with(self, word: str) -> None:
        self.open_command(f"{word} ")

    def open_command(self, text: str) -> None:
        """Open the command line with some text in it."""
        self._focused_before = self.focused
        self.tell("")
        self.prompt.value = text
        self.prompt.add_class("-open")
        self.prompt.display = True  # at once, not with the next style update: the next key is meant for it
        self._make_room()
        self.set_focus(self.prompt)
        self.prompt.cursor_position = len(text)

    def action_close_command(self) -> None:
        """Close the command line."""
        self.prompt.remove_class("-open")
        self.prompt.display = False
        self._make_room()
        before = getattr(self, "_focused_before", None)
        if before is not None and before is not self.prompt and self._is_seen(before):
            self.set_focus(before)
        else:
            self._focus_first()

    @on(Input.Submitted, "#command")
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        event.stop()
        if not text:
            self.action_close_command()
            return
        self.prompt.remember(text)
        try:
            self.obey(text)
        except MiniVMError as error:
            self.tell(str(error), bad=True)

    def obey(self, text: str) -> None:
        """Do one line of the command line; raises `MiniVMError` when it cannot even be begun."""
        word, _, rest = text.partition(" ")
        name, rest = commands.find(word.lower()), rest.strip()
        if name in commands.COMMANDS:
            work = commands.COMMANDS[name].work
            self.do(lambda debugger: work(debugger, rest), self._answer)
        else:
            getattr(self, f"_obey_{name}")(rest)

    def _answer(self, text: str) -> None:
        self.action_close_command()
        self.tell(text)
        self.session.refresh()

    def _obey_asm(self, rest: str) -> None:
        at = self.code.current
        self.do(lambda debugger: commands.assemble(debugger, at, rest), self._answer)

    def _obey_goto(self, rest: str) -> None:
        word, _, moment = rest.partition(" ")
        if word.lower() == "tick":
            self._obey_tick(moment)
            return
        self.do(lambda debugger: commands.address(debugger, rest), lambda found: self._go_to(found, "code"))

    def _obey_memory(self, rest: str) -> None:
        self.do(lambda debugger: commands.address(debugger, rest), lambda found: self._go_to(found, "memory"))

    def _go_to(self, linear: int, name: str) -> None:
        self.action_close_command()
        if name not in self.desk.panels:
            raise ConfigError(f"there is no {name} panel")
        self.action_panel(name)
        self.desk.panels[name].follow(linear)

    def _obey_find(self, rest: str) -> None:
        wanted = pattern(rest)
        start = self._found_at + 1 if rest == self._last_search else 0
        self._last_search = rest
        self.do(lambda debugger: commands.search(debugger, wanted, start), self._found)

    def _found(self, at: int | None) -> None:
        if at is None:
            self.tell(f"{self._last_search} is nowhere in RAM", bad=True)
            return
        self._found_at = at
        self.tell(f"{self._last_search} is at physical {at:X}h; Enter finds the next one")
        self.post_message(FollowAddress(at))

    def _obey_continue(self, rest: str) -> None:
        self.action_close_command()
        if not self.session.running:
            self.action_go()

    def _obey_pause(self, rest: str) -> None:
        self.action_close_command()
        self.follow_up(self.session.pause())

    def _obey_step(self, rest: str) -> None:
        if rest and not (rest.isdecimal() and 0 < int(rest) <= 1_000_000):
            raise ConfigError(f"{rest} is no number of instructions")
        self.action_close_command()
        self._home()
        self.follow_up(self.session.step(int(rest or "1")))

    def _obey_next(self, rest: str) -> None:
        self.action_close_command()
        self.action_over()

    def _obey_finish(self, rest: str) -> None:
        self.action_close_command()
        self.action_out()

    def _obey_tick(self, rest: str) -> None:
        if not rest.strip():
            raise ConfigError("which moment? A tick such as 1,234,567, or 12.5ms, -3ms, begin, end")
        self.go_to_moment(rest)
        self.action_close_command()

    def _obey_back(self, rest: str) -> None:
        if rest and not (rest.isdecimal() and 0 < int(rest) <= _MOST_BACK):
            raise ConfigError(f"{rest} is no number of instructions; {_MOST_BACK:,} can be undone at once")
        self.action_close_command()
        self.travel(self.session.step_back(int(rest or "1")))

    def _obey_rcontinue(self, rest: str) -> None:
        self.action_close_command()
        self.action_back_on()

    def _obey_who(self, rest: str) -> None:
        if not rest:
            raise ConfigError("who wrote what? byte [7E00h], port 43h, or a register such as ax")
        self.action_close_command()
        self.who_wrote(rest)

    def _obey_branches(self, rest: str) -> None:
        history = self.view.history if self.view is not None else None
        if history is None:
            self.go_to_moment(rest)
            return
        words = (f"{one.number}: left at {one.fork:,}, went on to {one.end:,}" for one in history.forks)
        self._answer("; ".join(words) or "no branch: an input or an edit in the past begins one")

    def _obey_branch(self, rest: str) -> None:
        if not rest.isdecimal():
            raise ConfigError("which one? Give its number; `branches` lists them")
        self.action_close_command()
        self.travel(self.session.switch(int(rest)))

    def _obey_until(self, rest: str) -> None:
        self.follow_up(self.session.run_to(rest), lambda _: self.action_close_command())

    def _obey_speed(self, rest: str) -> None:
        speed = Speed.parse(rest)
        self.action_close_command()
        self._set_speed(speed)

    def _obey_type(self, rest: str) -> None:
        pressed = parse_keys(unescape(rest))
        self.follow_up(self.session.type(pressed), lambda _: self._answer("typed"))

    def _obey_layout(self, rest: str) -> None:
        self.set_layout(rest)
        self.action_close_command()

    def _obey_theme(self, rest: str) -> None:
        self.set_theme(rest)
        self.action_close_command()

    def _obey_panel(self, rest: str) -> None:
        if rest not in self.desk.panels:
            raise ConfigError(f"{rest} is no panel; there are {', '.join(self.desk.panels)}")
        self.action_close_command()
        self.action_panel(rest)

    def _obey_trace(self, rest: str) -> None:
        self._obey_panel("trace")

    @property
    def meant(self) -> Panel:
        """The panel with the focus; while the command line has it, the one before; else the first that can be seen."""
        before = getattr(self, "_focused_before", None) if self.focused in (None, self.prompt) else self.focused
        panel = self._panel_of(before)
        return panel if panel is not None and panel.display else (self.desk.shown or [self.code])[0]

    def action_search(self) -> None:
        """Search in the panel that is meant."""
        self.meant.action_search()

    def action_copy(self, whole: bool) -> None:
        """Copy from the panel that is meant."""
        self.meant.action_copy_all() if whole else self.meant.action_copy()

    def _obey_search(self, rest: str) -> None:
        panel = self.meant
        self.action_close_command()
        if rest:
            panel.search(rest, here=True)
        else:
            panel.action_search_end()

    def _obey_copy(self, rest: str) -> None:
        if rest and rest not in self.desk.panels:
            raise ConfigError(f"{rest} is no panel; there are {', '.join(self.desk.panels)}")
        panel = self.desk.panels[rest] if rest else self.meant
        self.action_close_command()
        panel.action_copy_all() if rest else panel.action_copy()

    def _obey_help(self, rest: str) -> None:
        self.action_close_command()
        self.push_screen(HelpScreen("Commands", commands.help_text()))

    def _obey_quit(self, rest: str) -> None:
        self.exit()


def _make(place: str) -> Panel:
    module, _, name = place.partition(":")
    return cast(Panel, getattr(import_module(f"minivm.tui.panels.{module}"), name)())
