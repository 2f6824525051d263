"""The key bar shows its keys whatever the terminal does."""

import asyncio

from textual.app import App
from textual.widgets._footer import FooterKey

from minivm.tui.keybar import KeyBar


class Small(App):
    BINDINGS = [("f1", "help", "Help"), ("f5", "run", "Run")]  # noqa: RUF012 - Textual has it so

    def __init__(self, focused):
        super().__init__()
        self.set_reactive(App.app_focus, focused)

    def compose(self):
        yield KeyBar()

    def action_help(self):
        pass

    def action_run(self):
        pass


def keys(focused):
    async def shown():
        app = Small(focused)
        async with app.run_test(size=(80, 5)) as pilot:
            await pilot.pause()
            return [key.description for key in app.query(FooterKey)]

    return asyncio.run(shown())


def test_a_terminal_with_the_focus_shows_the_keys():
    assert keys(focused=True) == ["Help", "Run"]


def test_a_terminal_that_lost_the_focus_before_anything_was_drawn_shows_them_too():
    assert keys(focused=False) == ["Help", "Run"]
