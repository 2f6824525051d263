import pytest

from minivm.debug.debugger import Debugger
from minivm.tui.panels.breakpoints import BreakpointsPanel, add_entry


async def added(stage, text):
    await stage.press("a")
    await stage.answer(text)


def test_an_empty_list_says_what_to_do(play_panel):
    async def scenario(stage):
        assert "Press A" in stage.text

    play_panel(BreakpointsPanel(), scenario)


def test_breakpoints_are_added_hit_disarmed_and_removed(play_panel):
    async def scenario(stage):
        await added(stage, "7C02h if ax == 0")
        number = stage.panel.listing.current.key
        assert "breakpoint at 7C02h if ax == 0  00007C02" in stage.line("●")
        stage.session.resume()
        assert stage.session.wait(5)
        await stage.settle()
        assert "1 hit" in stage.text
        await stage.press("space")
        assert stage.line("○")
        await stage.press("enter")
        assert stage.followed == [0x7C02]
        assert stage.line("○")
        await stage.click_on("○")
        assert stage.line("●")
        await stage.press("d")
        assert "Nothing stops" in stage.text
        assert number

    play_panel(BreakpointsPanel(), scenario)


def test_what_is_not_understood_is_said_and_nothing_is_added(play_panel):
    async def scenario(stage):
        await added(stage, "wherever")
        assert "wherever" in stage.said
        await added(stage, "7C02h if")
        assert stage.said
        await added(stage, "7C02h if (")
        assert stage.said
        assert "Nothing stops" in stage.text

    play_panel(BreakpointsPanel(), scenario)


def test_escape_takes_the_prompt_away(play_panel):
    async def scenario(stage):
        await stage.press("a")
        assert stage.panel.prompt.has_focus
        await stage.press("escape")
        assert stage.panel.listing.has_focus
        assert "Nothing stops" in stage.text

    play_panel(BreakpointsPanel(), scenario)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0x7C00", "breakpoint at 0x7C00"),
        ("07C0:0002 ignore 3", "breakpoint at 07C0:0002"),
        ("write byte [0x500]", "watch write of byte [0x500]"),
        ("change ax if cx == 0", "watch change of ax, if cx == 0"),
        ("port 60h", "catch port 60h"),
        ("int 10h", "catch interrupt 10h"),
        ("exception 13", "catch exception Dh"),
        ("bios", "catch bios"),
        ("mode 32", "catch mode 32"),
        ("privilege 3", "catch privilege 3h"),
    ],
)
def test_each_kind_can_be_typed(text, words):
    import minivm

    with minivm.boot("hello-vga") as vm:
        entry = add_entry(Debugger(vm), text)
        assert str(entry) == words
        assert entry.ignore == (3 if "ignore" in text else 0)
