import pytest
from textual import events

from minivm.tui.panels.picture import DATA, ROM, TEXT, ZERO, PicturePanel, kind_of


async def whole(stage):
    """Wait until all memory was looked at."""
    for _ in range(200):
        if stage.panel.data is not None and stage.panel.data.complete:
            return
        await stage.pilot.pause(0.05)
        await stage.settle()
    raise AssertionError("the picture never became complete")


def test_all_memory_is_drawn_with_code_stack_and_rom(play_panel):
    async def scenario(stage):
        assert "00000000-001" in stage.text
        await stage.press("home")
        await whole(stage)
        lines = stage.text.splitlines()
        assert "00000000-045FFFFF" in lines[0]
        assert "►" in lines[1]
        assert "?" not in "".join(lines[1:-1])
        assert set(lines[20][10:]) == {"·"}

    play_panel(PicturePanel(), scenario, size=(100, 40))


def test_zooming_in_shows_the_boot_sector_and_what_ran(play_panel):
    async def scenario(stage):
        stage.panel.at = 0x7C00
        for _ in range(20):
            await stage.press("z")
        assert "1 byte a character" in stage.text
        await whole(stage)
        assert stage.panel.start <= 0x7C00 < stage.panel.start + 64 * 40
        assert "►" in stage.line("00007C00  ")
        await stage.step()
        assert "►" in stage.line("00007C00  ")[12:]
        assert "█" in stage.line("00007C00  ")
        await stage.press("x")
        assert "4 bytes a character" in stage.text
        await stage.press("home")
        assert "00000000-045FFFFF" in stage.text
        await stage.press("end")
        assert "00000000-001" in stage.text

    play_panel(PicturePanel(), scenario, size=(100, 40))


def test_a_cell_that_changes_is_marked(play_panel, guest_of):
    async def scenario(stage):
        stage.panel.cell = 16
        stage.panel.start = 0x2000
        stage.panel.look_again()
        await stage.settle()
        await whole(stage)
        assert stage.line("00002000  ")[10:12] == "··"
        await stage.step()
        assert stage.line("00002000  ")[10:12] == "▓·"
        await stage.step()
        assert stage.line("00002000  ")[10:12] == "▒·"

    source = guest_of("xor ax, ax\nmov ds, ax\nhere: mov byte [0x2005], 0x80\nnop\nhlt")
    play_panel(PicturePanel(), scenario, source, at="here")


def test_the_cursor_moves_and_enter_and_click_follow_it(play_panel):
    async def scenario(stage):
        stage.panel.cell = 256
        stage.panel.look_again()
        await stage.settle()
        await stage.press("right", "right", "down", "left", "enter")
        assert stage.followed == [256 * (stage.panel.columns + 1)]
        await stage.click(10 + 3, 1)
        assert stage.followed[-1] == 3 * 256
        await stage.press("pagedown")
        assert stage.panel.start > 0

    play_panel(PicturePanel(), scenario)


def test_the_wheel_zooms(play_panel):
    async def scenario(stage):
        before = stage.panel.data.cell
        await stage.wheel(events.MouseScrollUp, 12, 3)
        assert stage.panel.data.cell == before // 4
        await stage.wheel(events.MouseScrollDown, 12, 3)
        assert stage.panel.data.cell == before

    play_panel(PicturePanel(), scenario)


def test_what_is_not_mapped_is_not_followed_but_said(play_panel):
    async def scenario(stage):
        stage.panel.at = 0x1000000
        await stage.press("enter")
        assert stage.followed == []
        assert "not mapped" in stage.said

    play_panel(PicturePanel(), scenario, "paging", ms=100)


@pytest.mark.parametrize(
    ("data", "writable", "kind"),
    [
        (bytes(4096), True, ZERO),
        (bytes(4095) + b"x", True, DATA),
        (b"Hello, this is text." + bytes(200), True, TEXT),
        (bytes(range(256)), True, DATA),
        (b"\xea", False, ROM),
    ],
)
def test_what_bytes_look_like(data, writable, kind):
    assert kind_of(memoryview(data), writable) == kind
