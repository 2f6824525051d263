"""What has run is marked in the code, and what was touched in the memory map; by the real engine."""

import asyncio

from minivm.tui.panels.code import CodePanel
from minivm.tui.panels.picture import PicturePanel

TOUCHES = "mov al, [0x9000]\nmov [0x8000], al\nhlt"


def marks(stage):
    lines = [line for line in stage.panel.render().plain.splitlines() if "0000:7C0" in line]
    return [line[2] for line in lines]


def test_what_has_run_is_marked_in_the_code(play_panel, guest_of):
    async def scenario(stage):
        assert marks(stage)[:3] == [" ", " ", " "]
        await stage.step(2)
        assert marks(stage)[:4] == ["▏", "▏", " ", " "]
        await stage.do(lambda debugger: debugger.run_to(0x7C0A))
        assert marks(stage)[:6] == ["▏", "▏", "▏", " ", "▏", " "]

    play_panel(CodePanel(), scenario, guest_of("mov al, 1\nmov al, 2\njmp on\nmov al, 3\non: mov al, 4\nhlt"))


def test_what_was_touched_has_its_colour_in_the_map(play_panel, guest_of):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.resume(1))
        for _ in range(6):
            await stage.do(lambda debugger: None)
        roles = {part.role for row in stage.panel.listing.rows[1:-2] for part in row.parts}
        assert {"read", "written"} <= roles
        assert any(bits & 4 for bits in stage.panel._touched.values())
        assert "reads slow the guest" in stage.text

    play_panel(PicturePanel(), scenario, guest_of(TOUCHES))


def test_reads_are_noticed_only_while_the_map_is_seen(play_panel, guest_of):
    async def scenario(stage):
        def read_mark(debugger):
            return debugger.engine.coverage.touched(0x9000, 1)[0]

        stage.panel.display = False
        await stage.pilot.pause(0.1)
        await stage.do(lambda debugger: debugger.step())
        assert await asyncio.wrap_future(stage.session.call(read_mark)) == 0
        stage.panel.display = True
        await stage.pilot.pause(0.1)
        await stage.do(lambda debugger: debugger.set_register("ip", 0x7C00))
        await stage.do(lambda debugger: debugger.step())
        assert await asyncio.wrap_future(stage.session.call(read_mark)) == 1

    play_panel(PicturePanel(), scenario, guest_of(TOUCHES))
