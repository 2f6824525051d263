from minivm.tui.life import Sample
from minivm.tui.panels.timeline import Moment, TimelinePanel, Told, bar, column_of, seconds, signs, tick_of, under
from minivm.tui.past import Fork, History

PORTS = "again: inc word [0x7F00]\nout 0x80, al\njmp again"


def sample(now, count, mode="real"):
    return Sample(now, now, mode, mode, (count, 0, 0, 0, 0))


def told(*samples, history=None):
    return Told(samples, (), history, samples[-1])


def heights(*samples, history=None):
    return "".join(part.text for part in bar(told(*samples, history=history), 10, lambda one: one.events))


def test_the_bar_is_high_where_much_happened():
    text = heights(sample(0, 0), sample(500, 0), sample(1000, 80))
    assert len(text) == 10
    assert text[:4] == "····"
    assert set(text[4:]) <= set("▇█▆")


def test_the_bar_has_the_modes_colours():
    parts = bar(told(sample(0, 0), sample(500, 1), sample(1000, 2, "32")), 10, lambda one: one.events)
    assert parts[0].role == "value"
    assert parts[-1].role == "good"


def test_the_bar_reaches_to_the_end_of_the_past_that_is_kept():
    text = heights(sample(500, 0), sample(600, 80), history=History(500, 550, 1400, True, (500,), ()))
    assert text == "▁█········" or (text[:2].strip("·") and text[2:] == "········")


def test_marks_stand_at_their_times():
    moments = (Moment(0, "!", ""), Moment(500, "┃", ""), Moment(500, "!", ""), Moment(1000, "■", ""))
    assert signs(moments, 0, 1000, 11) == "!    ┃    ■"


def test_keyframes_forks_and_the_present_place_stand_under_the_bar():
    history = History(0, 700, 1000, True, (0, 400), (Fork(1, 300, 900),))
    assert under(told(sample(700, 1), history=history), 700, 11) == "╷  Y╷  ▲   "


def test_every_column_has_a_moment_that_lies_in_it():
    for begin, end in ((0, 1000), (24351, 2_000_000_007), (5, 5), (7, 12)):
        for column in (0, 1, 5, 9):
            tick = tick_of(column, begin, end, 10)
            assert begin <= tick <= end
            if end - begin >= 10:
                assert column_of(tick, begin, end, 10) == column


def test_times_are_told_in_their_unit():
    assert [seconds(now) for now in (12, 1_500_000, 2_500_000_000)] == ["0.012 us", "1.500 ms", "2.500 s"]


def test_time_ticks_and_what_happened_are_told(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.resume(300))
        lines = stage.text.splitlines()
        assert "ticks, halted" in stage.text
        assert "interrupts" in stage.text
        assert "█" in lines[1]
        assert "█" in lines[2]

    play_panel(TimelinePanel(), scenario, "timer")


def test_mode_changes_and_the_end_are_marked(play_panel):
    async def scenario(stage):
        await stage.step(8)
        await stage.do(lambda debugger: debugger.resume(1000))
        assert "real mode -> 32-bit protected mode, CPL 0" in stage.text
        assert "the machine ended: " in stage.text
        assert "■" in stage.text.splitlines()[3]

    play_panel(TimelinePanel(), scenario, "protected")
