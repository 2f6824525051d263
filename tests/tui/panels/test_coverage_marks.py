"""What has run is marked in the code, and what was touched in the memory map."""

from minivm.tui.panels.code import CodePanel
from minivm.tui.panels.picture import PicturePanel


class FakeCoverage:
    """The first two instructions at 7C00h have run; the page at 8000h was written, 9000h read and executed."""

    def ran(self, linear, length):
        return bytes(0x7C00 <= linear + offset < 0x7C04 for offset in range(length))

    def touched(self, physical, length):
        return bytes({0x8: 2, 0x9: 5}.get(physical + offset >> 12, 0) for offset in range(length))


class Covered:
    """An engine's two names for coverage, laid over a real engine."""

    def __init__(self, monkeypatch):
        self.asked = []
        self.monkeypatch = monkeypatch

    async def lay_over(self, stage):
        def over(debugger):
            kind = type(debugger.engine)
            self.monkeypatch.setattr(kind, "coverage", FakeCoverage(), raising=False)
            self.monkeypatch.setattr(kind, "cover", lambda engine, reads: self.asked.append(reads), raising=False)

        await stage.do(over)


def test_what_has_run_is_marked_in_the_code(play_panel, guest_of, monkeypatch):
    async def scenario(stage):
        await Covered(monkeypatch).lay_over(stage)
        lines = [line for line in stage.panel.render().plain.splitlines() if "0000:7C0" in line]
        assert [line[2] for line in lines[:3]] == ["▏", "▏", " "]

    play_panel(CodePanel(), scenario, guest_of("mov al, 1\nmov al, 2\nmov al, 3\nhlt"))


def test_what_was_touched_has_its_colour_in_the_map(play_panel, monkeypatch):
    async def scenario(stage):
        await Covered(monkeypatch).lay_over(stage)
        for _ in range(6):
            await stage.do(lambda debugger: None)
        roles = {part.role for row in stage.panel.listing.rows[1:-2] for part in row.parts}
        assert {"written", "read-executed"} <= roles
        assert "reads slow the guest" in stage.text

    play_panel(PicturePanel(), scenario)


def test_reads_are_noticed_only_while_the_map_is_seen(play_panel, monkeypatch):
    async def scenario(stage):
        covered = Covered(monkeypatch)
        await covered.lay_over(stage)
        stage.panel.display = False
        await stage.pilot.pause(0.1)
        await stage.do(lambda debugger: None)
        assert covered.asked[-1] is False
        stage.panel.display = True
        await stage.pilot.pause(0.1)
        await stage.do(lambda debugger: None)
        assert covered.asked[-1] is True

    play_panel(PicturePanel(), scenario)
