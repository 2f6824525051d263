"""A guided lesson: its file, the steps in the Explain panel, and the machine that runs to each."""

import pytest

from minivm.api import find_guest
from minivm.debug.symbols import symbols_for_guest
from minivm.errors import ConfigError
from minivm.tui.lesson import Lesson, Step, lesson_for_guest, parse_lesson

TOUR = find_guest("tour")[0]


def test_a_lesson_is_read_step_by_step():
    lesson = parse_lesson("= First\nLook\nhere.\n\n= Second one @ 07C0:0010\nAnd there.\n")
    assert lesson == Lesson((Step("First", "Look here."), Step("Second one", "And there.", "07C0:0010")))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a.lesson: there is no step"),
        ("Words first", "a.lesson:1: a lesson begins"),
        ("= One\n=\n", "a.lesson:2: a step needs"),
    ],
)
def test_a_lesson_that_makes_no_sense_is_refused_with_its_line(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_lesson(text, "a.lesson")


def test_a_guest_without_a_lesson_has_none(tmp_path):
    assert lesson_for_guest(tmp_path / "kernel.img") is None
    assert lesson_for_guest(None) is None


def test_a_lesson_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "kernel.lesson").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"kernel\.lesson cannot be read"):
        lesson_for_guest(tmp_path / "kernel.img")


def test_every_place_of_the_tours_lesson_exists():
    symbols = symbols_for_guest(TOUR)
    steps = lesson_for_guest(TOUR).steps
    assert len(steps) > 3
    assert all(symbols.lookup(step.where) for step in steps if step.where)
    assert all(len(step.text) < 260 for step in steps), "too long for the Explain panel"


def test_the_tours_lesson_is_taught_to_its_end(play):
    async def script(stage):
        lesson = stage.app.explain.lesson
        assert "Lesson 1/" in stage.text
        for step in lesson.steps[1:]:
            stage.send("n")
            await stage.until(lambda step=step: step.title in stage.text)
            if step.where == "show_key":
                await stage.until(lambda: stage.session.running)
                stage.app.obey("type k")
            if step.where:
                await stage.until(lambda step=step: stopped_at(stage, step.where))
        await stage.until(lambda: stage.session.running)
        stage.send("n")
        await stage.until(lambda: "Lesson 1/" in stage.text)

    def stopped_at(stage, where):
        view = stage.app.view
        return not view.running and where in view.where

    play(script, "tour", ms=500, autostart=True, speed=1.0, lesson=lesson_for_guest(TOUR))


def test_n_without_a_lesson_says_so_and_leaves_the_machine_alone(play):
    async def script(stage):
        before = stage.app.view.ticks
        await stage.press("n")
        assert "no lesson" in stage.message
        assert stage.app.view.ticks == before

    play(script, "timer")


def test_n_is_the_guests_while_it_has_the_keyboard(play):
    async def script(stage):
        await stage.press("f12", "n")
        assert "Lesson 1/" in stage.text

    play(script, "tour", ms=500, lesson=lesson_for_guest(TOUR))


def test_a_place_that_does_not_exist_is_told_and_harms_nothing(play):
    async def script(stage):
        await stage.press("n")
        assert "nowhere" in stage.message
        await stage.press("f11")
        assert stage.app.view.stop.reason == "step"

    play(script, "timer", lesson=parse_lesson("= One\n= Two @ nowhere\nText"))


def test_the_debugger_is_left_with_nothing_armed(play):
    async def script(stage):
        await stage.press("n")
        await stage.until(lambda: not stage.session.running)
        assert not stage.app.view.points

    play(script, "tour", ms=500, lesson=lesson_for_guest(TOUR))
