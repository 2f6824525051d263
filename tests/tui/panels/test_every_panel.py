"""What holds for every panel of rows: any machine and any size will do, keys never break it, and it explains itself."""

from importlib import import_module

import pytest

from minivm.tui.app import PANELS
from minivm.tui.panels.base import ListingPanel

NAMES = [
    "breakpoints", "devices", "explain", "interrupts", "memory", "picture", "serial", "stack", "tables", "timeline",
    "trace",
]  # fmt: skip
MOVES = ("down", "pagedown", "end", "up", "pageup", "home", "right", "left", "enter", "escape")


def panel(name):
    module, _, kind = PANELS[name].partition(":")
    return getattr(import_module(f"minivm.tui.panels.{module}"), kind)()


def letters(one):
    keys = [key for binding in type(one).BINDINGS for key in binding.key.split(",")]
    return [key for key in keys if len(key) == 1 and key not in "giawe"]


@pytest.mark.parametrize("guest", ["longmode", "triplefault"])
@pytest.mark.parametrize("name", NAMES)
def test_any_machine_and_any_size_will_do(play_panel, name, guest):
    async def scenario(stage):
        assert stage.text
        for columns, lines in ((20, 5), (200, 60), (1, 1), (80, 24)):
            await stage.resize(columns, lines)
        await stage.press(*letters(stage.panel), *MOVES)
        await stage.step(3)
        assert stage.text
        assert all(len(line) == stage.panel.listing.size.width for line in stage.visible.splitlines())

    play_panel(panel(name), scenario, guest, ms=100)


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_has_a_name_a_title_and_help(name):
    one = panel(name)
    assert isinstance(one, ListingPanel)
    assert one.name == name
    assert one.title
    assert len(one.help) > 100
    for binding in vars(type(one)).get("BINDINGS", ()):
        letter = binding.key.split(",")[0]
        assert len(letter) > 1 or letter.upper() in one.help
