from minivm.tui.panels.timeline import Moment, Sample, TimelinePanel, bar, seconds, signs


def sample(now, count, mode="real"):
    return Sample(now, now, mode, mode, (count, 0, 0))


def test_the_bar_is_high_where_much_happened():
    parts = bar((sample(0, 0), sample(500, 0), sample(1000, 80)), 10)
    text = "".join(part.text for part in parts)
    assert len(text) == 10
    assert text[:5] == "·····"
    assert set(text[5:]) <= set("▇█▆")


def test_the_bar_has_the_modes_colours():
    parts = bar((sample(0, 0), sample(500, 1), sample(1000, 2, "32")), 10)
    assert parts[0].role == "value"
    assert parts[-1].role == "good"


def test_marks_stand_at_their_times():
    moments = (Moment(0, "!", ""), Moment(500, "┃", ""), Moment(500, "!", ""), Moment(1000, "■", ""))
    assert signs(moments, 1000, 10) == "!    ┃   ■"


def test_times_are_told_in_their_unit():
    assert [seconds(now) for now in (12, 1_500_000, 2_500_000_000)] == ["0.012 us", "1.500 ms", "2.500 s"]


def test_time_ticks_and_what_happened_are_told(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.resume(300))
        lines = stage.text.splitlines()
        assert "ticks, halted" in lines[0]
        assert "interrupts" in stage.text
        assert "█" in lines[1]

    play_panel(TimelinePanel(), scenario, "timer")


def test_mode_changes_and_the_end_are_marked(play_panel):
    async def scenario(stage):
        await stage.step(8)
        await stage.do(lambda debugger: debugger.resume(1000))
        assert "real mode -> 32-bit protected mode, CPL 0" in stage.text
        assert "the machine ended: " in stage.text
        assert "■" in stage.text.splitlines()[2]

    play_panel(TimelinePanel(), scenario, "protected")
