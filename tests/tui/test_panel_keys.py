"""Searching and copying with the keys, in every panel of the application."""

import pytest

from minivm.tui.app import PANELS

TYPED = sorted(set(PANELS) - {"screen"})


async def focus(stage, name):
    stage.app.action_panel(name)
    await stage.settle()
    await stage.until(lambda: stage.panel(name).display)
    await stage.settle()
    return stage.panel(name)


@pytest.mark.parametrize("name", TYPED)
def test_every_panel_searches_and_copies(play, name):
    async def script(stage):
        panel = await focus(stage, name)
        await stage.press("slash")
        assert panel.prompt.has_focus
        for character in "zzzz":
            await stage.pilot.press(character)
        await stage.press("enter")
        await stage.until(lambda: panel.message.has_class("-shown"))
        assert "zzzz: not found" in str(panel.message.render())
        await stage.press("n", "N")
        await stage.press("escape")
        assert not panel.wanted
        await stage.press("Y")
        await stage.until(lambda: "copied" in stage.message or "nothing to copy" in stage.message)
        copied = stage.app.clipboard
        if copied:
            assert copied.splitlines()[0].strip()[:20] in panel.text() + copied
        stage.app.tell("")
        await stage.press("y")
        await stage.until(lambda: stage.message)
        assert "copied" in stage.message or "nothing to copy" in stage.message

    play(script, ms=50, layout="debug", size=(200, 60))


def test_the_screen_is_searched_and_copied_by_command(play):
    async def script(stage):
        await stage.command("copy screen")
        assert "Welcome to MiniVM" in stage.app.clipboard
        assert "copied all of Screen" in stage.message
        stage.app.set_layout("run")
        await stage.settle()
        await stage.press("f12")
        await stage.command("search welcome")
        await stage.until(lambda: "welcome: in line 4 of Screen" in stage.message)
        strips = [stage.panel("screen").render_line(y) for y in range(stage.panel("screen").size.height)]
        marked = [one.text for strip in strips for one in strip if one.style and one.style.reverse]
        assert "".join(marked) == "Welcome"
        await stage.press("f12")
        await stage.command("search no such thing")
        await stage.until(lambda: "no such thing: not found" in stage.message)
        stage.app.copy_to_clipboard("")
        await stage.press("f12", "y")
        assert "Welcome to MiniVM" in stage.app.clipboard

    play(script, ms=50)


def test_bad_words_for_copy_are_refused(play):
    async def script(stage):
        await stage.command("copy nowhere")
        assert "nowhere is no panel" in stage.message

    play(script)
