"""A small application around one panel, with a real machine behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.message import Message

import minivm
from minivm.debug.debugger import Debugger
from minivm.debug.symbols import SymbolTable, symbols_for_guest
from minivm.tui.panel import FollowAddress, Panel
from minivm.tui.session import Session, View

Scenario = Callable[["Stage"], Awaitable[None]]


class Seen(Message):
    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view


class Stage(App[None]):
    """One panel, filling the terminal; `followed` are the addresses that it asked the others to show."""

    def __init__(self, panel: Panel, session: Session) -> None:
        super().__init__()
        self.panel: Any = panel
        self.session = session
        self.followed: list[int] = []
        self.failures: list[BaseException] = []
        self.pilot: Any = None
        session.on_view = lambda view: self.post_message(Seen(view))

    def compose(self) -> ComposeResult:
        yield self.panel

    def on_seen(self, event: Seen) -> None:
        data = event.view.panels.get(self.panel.name)
        if isinstance(data, BaseException):
            self.failures.append(data)
        else:
            self.panel.show(data, event.view)

    def on_follow_address(self, event: FollowAddress) -> None:
        self.followed.append(event.linear)

    # -- what tests do --------------------------------------------------------------------------------------------
    async def settle(self) -> None:
        """Wait until what was asked of the machine is on the screen."""
        for _ in range(2):
            await self.workers.wait_for_complete()
            await asyncio.wrap_future(self.session.call(lambda debugger: None))
            await self.pilot.pause()
        if self.failures:
            raise self.failures[0]

    async def until(self, condition: Callable[[], object], tries: int = 200) -> None:
        """Wait for something that a running machine shows in its own time."""
        for _ in range(tries):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it never came")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def answer(self, text: str) -> None:
        """Type into the panel's prompt."""
        self.panel.prompt.value = text
        await self.press("enter")

    async def click(self, column: int, line: int) -> None:
        """Click in the listing, by columns and lines from 0."""
        await self.pilot.click(self.panel.listing, offset=(column, line))
        await self.settle()

    async def wheel(self, event: type[events.MouseEvent], column: int, line: int) -> None:
        """Turn the wheel over the listing."""
        await self.pilot._post_mouse_events([event], self.panel.listing, offset=(column, line), button=0)
        await self.settle()

    async def click_on(self, text: str) -> None:
        """Click the middle of some text that is visible."""
        for line, words in enumerate(self.visible.splitlines()):
            if text in words:
                await self.click(words.index(text) + len(text) // 2, line)
                return
        raise AssertionError(f"{text!r} is not visible:\n{self.visible}")

    async def do(self, work: Callable[[Debugger], Any]) -> Any:
        """Do something on the machine's thread."""
        result = await asyncio.wrap_future(self.session.call(work))
        await self.settle()
        return result

    async def step(self, count: int = 1) -> None:
        """Step as the user does, so that the view knows what was before."""
        await asyncio.wrap_future(self.session.step(count))
        await self.settle()

    async def resize(self, columns: int, lines: int) -> None:
        await self.pilot.resize_terminal(columns, lines)
        await self.settle()

    @property
    def text(self) -> str:
        """All rows of the panel's listing."""
        return str(self.panel.listing.text)

    @property
    def visible(self) -> str:
        """The lines of the listing as they stand on the terminal."""
        listing = getattr(self.panel, "listing", self.panel)
        return "\n".join(listing.render_line(line).text for line in range(listing.size.height))

    @property
    def said(self) -> str:
        """The line for what went wrong."""
        message = self.panel.message
        return str(message.content) if message.has_class("-shown") else ""

    def line(self, text: str) -> str:
        """Return the first row with `text` in it."""
        found = [words for words in self.text.splitlines() if text in words]
        assert found, f"no row has {text!r}:\n{self.text}"
        return found[0]


def play(
    panel: Panel,
    scenario: Scenario,
    guest: str | Path = "hello-vga",
    *,
    at: int | str | None = 0x7C00,
    ms: float = 0,
    size: tuple[int, int] = (100, 30),
) -> None:
    """Boot `guest`, run it to `at` and then for `ms`, and play `scenario` with `panel`."""

    async def main() -> None:
        with minivm.boot(guest) as vm:
            symbols = symbols_for_guest(guest) if isinstance(guest, Path) else SymbolTable()
            session = Session(vm, speed=None, symbols=symbols)
            stage = Stage(panel, session)
            session.set_collectors({panel.name: panel.collect})
            session.start()
            try:
                await asyncio.wrap_future(session.call(lambda debugger: arrive(debugger, at, ms)))
                async with stage.run_test(size=size) as pilot:
                    stage.pilot = pilot
                    getattr(panel, "listing", panel).focus()
                    await stage.settle()
                    await scenario(stage)
            finally:
                session.close()

    asyncio.run(main())


def arrive(debugger: Debugger, at: int | str | None, ms: float) -> None:
    if at is not None:
        debugger.run_to(at)
    if ms:
        debugger.resume(ms)


@pytest.fixture
def play_panel() -> Callable[..., None]:
    """Return `play`."""
    return play


@pytest.fixture
def guest_of(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a boot sector of some lines of assembly."""

    def make(body: str) -> Path:
        path = tmp_path / "guest.asm"
        path.write_text(f"bits 16\norg 0x7C00\n{body}\ntimes 510 - ($ - $$) db 0\ndw 0xAA55\n")
        return path

    return make
