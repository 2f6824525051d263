"""Pictures as half blocks."""

import re
import time

import pytest

from minivm.core.picture import Picture
from minivm.pictures.colours import DIRECT, INDEXED, NONE, SIXTEEN, depth_of, nearest, nearest_of_sixteen
from minivm.pictures.half_blocks import half_blocks, text_of
from minivm.pictures.pixels import fit

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def test_a_cell_is_the_upper_pixel_in_front_of_the_lower_one(draw):
    blocks = half_blocks(draw(["rrb", "wwb"]), 3, 1)
    assert list(blocks.runs(0)) == [(2, RED + WHITE), (1, BLUE + BLUE)]
    assert text_of(blocks, 0, DIRECT) == ("\x1b[38;2;255;0;0;48;2;255;255;255m▀▀\x1b[38;2;0;0;255;48;2;0;0;255m▀")


def test_fewer_colours_are_the_nearest_ones(draw):
    blocks = half_blocks(draw(["r", "w"]), 1, 1)
    assert text_of(blocks, 0, INDEXED) == "\x1b[38;5;196;48;5;231m▀"
    assert text_of(blocks, 0, SIXTEEN) == "\x1b[31;107m▀"
    assert nearest((130, 130, 130)) == 244
    assert nearest_of_sixteen((90, 80, 90)) == 8


def test_without_colour_brightness_is_told(draw):
    assert text_of(half_blocks(draw([".wb", ".w."]), 3, 1), 0, NONE) == " █ "


def test_a_part_of_a_row_can_be_had(draw):
    blocks = half_blocks(draw(["rwb.", "rwb."]), 4, 1)
    assert re.findall("2;([0-9;]+);48", text_of(blocks, 0, DIRECT, 1, 3)) == ["255;255;255", "0;0;255"]


@pytest.mark.parametrize(
    ("environment", "depth"),
    [({"TERM": "xterm-256color"}, INDEXED), ({"TERM": "xterm"}, SIXTEEN), ({}, SIXTEEN),
     ({"TERM": "xterm", "COLORTERM": "truecolor"}, DIRECT), ({"TERM": "xterm-direct"}, DIRECT),
     ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, NONE)],
)  # fmt: skip
def test_the_environment_tells_how_many_colours_there_are(environment, depth):
    assert depth_of(environment) == depth


@pytest.mark.timing
def test_a_picture_of_640_by_480_is_in_a_panel_of_160_by_50_within_10_ms():
    pattern = bytes((x * y >> 4) & 0xC0 for y in range(480) for x in range(640) for _ in range(3))
    picture, times = Picture(640, 480, pattern), []
    for _ in range(7):
        began = time.perf_counter()
        area = fit(picture, 160, 50)
        blocks = half_blocks(picture, area.columns, area.rows)
        assert sum(length for row in range(area.rows) for length, _ in blocks.runs(row)) == area.columns * area.rows
        times.append(time.perf_counter() - began)
    assert min(times) < 0.010  # others use this processor, too
