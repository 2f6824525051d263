"""Runs the application without a terminal: a guest, a size, and a coroutine that presses keys and looks."""

import asyncio
import time

import pytest
from textual import events

from minivm.api import boot, find_guest
from minivm.debug.symbols import symbols_for_guest
from minivm.tui.app import MiniVMApp
from minivm.tui.session import Session


class Stage:
    """One application under test, with its pilot."""

    def __init__(self, app, pilot, machine):
        self.app, self.pilot, self.machine, self.session = app, pilot, machine, app.session

    async def press(self, *keys):
        for key in keys:
            await self.pilot.press(key)
        await self.settle()

    async def command(self, text):
        """Type a command and press Enter."""
        await self.pilot.press("colon")
        self.app.prompt.value = text
        await self.pilot.press("enter")
        await self.settle()

    async def settle(self):
        """Wait until what was asked of the machine is done and shown."""
        for _ in range(2):
            await asyncio.wrap_future(self.session.call(lambda debugger: None))
            await self.until(lambda: not self.session.hold)
            if self.session.running:
                await asyncio.sleep(0.05)
            else:
                await self.pilot.pause()

    def send(self, *keys):
        """Press keys and wait for nothing: the pilot waits for an idle processor, and a running guest keeps it busy."""
        for key in keys:
            self.app.post_message(events.Key(key, None))

    async def until(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never came"
            await asyncio.sleep(0.01)

    @property
    def message(self):
        return str(self.app.message_line.render())

    @property
    def lines(self):
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self):
        return "\n".join(self.lines)

    def panel(self, name):
        return self.app.desk.panels[name]


@pytest.fixture
def play(tmp_path):
    """Boot a guest, run `ms` of it, open the application and play a script `async def script(stage)`."""

    def run(
        script,
        guest="tour",
        *,
        size=(120, 40),
        layout="learn",
        ms=0,
        autostart=False,
        file=None,
        speed=None,
        lesson=None,
    ):
        async def whole():
            app = MiniVMApp(
                session,
                autostart=autostart,
                preferences_file=file or tmp_path / "tui.json",
                layout=layout,
                lesson=lesson,
            )
            async with app.run_test(size=size) as pilot:
                stage = Stage(app, pilot, machine)
                await stage.until(lambda: app.view is not None and app._begun)
                await stage.settle()
                await script(stage)
                return stage

        with boot(guest, memory="4M") as machine:
            machine.run(ms=ms)
            symbols = None if isinstance(guest, bytes) else symbols_for_guest(find_guest(guest)[0])
            session = Session(machine, speed=speed, symbols=symbols)
            try:
                return asyncio.run(whole())
            finally:
                session.close()

    return run
