"""The painter of pictures: what it asks a terminal, and what it sends for a picture that changed."""

import re

import pytest

from minivm.cli.graphics import QUERY, PicturePainter, hint
from minivm.core.picture import Picture
from minivm.pictures import kitty

RED, BLUE = b"\xff\0\0", b"\0\0\xff"
XTERM = {"TERM": "xterm-256color"}
PLACE = re.compile(r"\x1b\[(\d+);(\d+)H")


def picture(*spots, width=64, height=48):
    """Return a blue picture with red pixels at `spots`."""
    rgb = bytearray(BLUE * (width * height))
    for x, y in spots:
        rgb[3 * (y * width + x) : 3 * (y * width + x) + 3] = RED
    return Picture(width, height, bytes(rgb))


def painter(wanted="auto", *answers, cell=None, **environment):
    made = PicturePainter(wanted, XTERM | environment, cell)
    made.question()
    for answer in answers:
        assert made.take(answer)
    return made


def test_the_terminal_is_asked_once_and_only_when_it_matters():
    asked = PicturePainter("auto", XTERM)
    assert not asked.take(b"\x1b[?62;4c")  # nobody asked: these are the guest's
    assert (asked.question(), asked.question()) == (QUERY, "")
    assert PicturePainter("sixel", XTERM).question() == QUERY  # the size of a cell matters
    assert PicturePainter("blocks", XTERM).question() == ""


@pytest.mark.parametrize(
    ("answers", "way"),
    [((b"\x1b_Gi=31;OK\x1b\\", b"\x1b[6;20;10t", b"\x1b[?62;4c"), "kitty"), ((b"\x1b[?62;4;22c",), "sixel"),
     ((b"\x1b[?1;2c",), "blocks"), ((b"\x1b[?4c",), "blocks"), ((b"\x1b_Gi=31;EINVAL\x1b\\", b"\x1b[?65;4c"), "sixel"),
     ((b"\x1b_Gi=31;OK\x1b\\",), "blocks"), ((), "blocks")],
)  # fmt: skip
def test_the_best_that_was_answered_is_taken(answers, way):
    assert painter("auto", *answers).way == way


@pytest.mark.parametrize("way", ["blocks", "sixel", "kitty"])
def test_a_way_that_was_asked_for_is_taken_whatever_the_answer(way):
    made = PicturePainter(way, XTERM)
    made.question()
    made.take(b"\x1b[?62;4c")
    assert made.way == way


@pytest.mark.parametrize("raw", [b"a", b"\x1b[A", b"\x1b", b"\x1b[5;1;1t", b"\x1b_Gi=32;OK\x1b\\", b"\x1b[?1;2"])
def test_keys_are_no_answers(raw):
    assert not painter().take(raw)


def test_the_environment_hints_but_not_inside_tmux():
    assert hint({"TERM": "xterm-kitty"}) == hint({"TERM_PROGRAM": "WezTerm"}) == "kitty"
    assert hint({"TERM": "foot"}) == "sixel"
    assert hint(XTERM) is hint({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}) is None
    assert PicturePainter("auto", {"TERM": "foot"}).waits == 0


def test_the_first_picture_waits_a_moment_for_the_answers():
    made = painter()
    assert 0 < made.waits <= 0.2
    made.take(b"\x1b[?1;2c")
    assert made.waits == 0


def test_what_did_not_change_costs_nothing_and_a_pixel_costs_its_cell():
    made = painter("blocks")
    first = made.draw(picture(), 24, 80)
    assert first.count("▀") == 64 * 24
    assert made.draw(picture(), 24, 80) == ""
    text = made.draw(picture((10, 4), (12, 5)), 24, 80)
    assert (PLACE.findall(text), text.count("▀")) == ([("3", "19")], 3)
    made.forget()
    assert made.draw(picture((10, 4), (12, 5)), 24, 80).count("▀") == 64 * 24


def test_a_new_size_begins_with_an_empty_terminal():
    made = painter("blocks")
    assert "\x1b[2J" in made.draw(picture(), 24, 80)
    assert "\x1b[2J" not in made.draw(picture((0, 0)), 24, 80)
    assert "\x1b[2J" in made.draw(picture((0, 0)), 12, 40)
    assert made.draw(picture((0, 0)), 1, 1).count("▀") == 1


def test_sixel_strips_are_rows_of_cells():
    made = painter("sixel", b"\x1b[6;16;8t", b"\x1b[?62;4c")
    assert re.findall(r'"1;1;(\d+);(\d+)', made.draw(picture(), 24, 80)) == [("512", "384")]
    text = made.draw(picture((0, 5), (0, 30), (0, 31)), 24, 80)
    assert PLACE.findall(text) == [("3", "9"), ("16", "9")]
    assert re.findall(r'"1;1;(\d+);(\d+)', text) == [("512", "16"), ("512", "16")]


def test_kitty_gets_the_picture_whole_and_is_told_to_take_it_away():
    made = painter("kitty")
    assert ",s=64,v=48,c=64,r=24," in made.draw(picture(), 24, 80)
    assert "\x1b_Ga=T" in made.draw(picture((0, 0)), 24, 80)
    assert made.erase() == kitty.ERASE
    assert kitty.ERASE in made.draw(picture((0, 0)), 12, 40)
    assert painter("blocks").erase() == ""


def test_a_late_answer_changes_the_way():
    made = painter()
    assert "▀" in made.draw(picture(), 24, 80)
    made.take(b"\x1b[?62;4c")
    text = made.draw(picture(), 24, 80)
    assert "▀" not in text
    assert "\x1b[2J" in text


def test_what_is_left_after_the_run_fits_the_terminal():
    lines = painter(COLORTERM="truecolor").printed(picture(), 10, 80)
    assert len(lines) == 10
    assert {line.count("▀") for line in lines} == {27}
    assert all(line.endswith("\x1b[0m") for line in lines)
