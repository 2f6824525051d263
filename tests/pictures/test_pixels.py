"""Sizes and shapes."""

import pytest

from minivm.core.picture import Picture
from minivm.pictures.pixels import Area, aspect, enlarged, fit, scaled


def blank(width, height):
    return Picture(width, height, bytes(width * height * 3))


@pytest.mark.parametrize(
    ("size", "shape"),
    [((320, 200), 4 / 3), ((640, 350), 4 / 3), ((720, 400), 4 / 3), ((320, 240), 4 / 3), ((640, 480), 4 / 3),
     ((800, 600), 4 / 3), ((1024, 768), 4 / 3), ((1280, 1024), 1.25), ((1920, 1080), 16 / 9)],
)  # fmt: skip
def test_old_modes_fill_a_4_to_3_monitor_and_large_ones_have_square_pixels(size, shape):
    assert aspect(blank(*size)) == shape


def test_a_mode_is_as_large_as_the_terminal_allows_and_in_its_middle():
    assert fit(blank(320, 200), 80, 24) == Area(64, 24, 8, 0)  # 64 x 48 half cells are 4:3
    assert fit(blank(320, 200), 80, 60) == Area(80, 30, 0, 15)
    assert fit(blank(320, 200), 1, 1) == Area(1, 1)


def test_the_shape_of_a_cell_counts():
    assert fit(blank(640, 480), 100, 30, cell=(10, 20)) == Area(80, 30, 10, 0)
    assert fit(blank(640, 480), 100, 30, cell=(8, 20)) == Area(100, 30)


def test_larger_repeats_pixels_and_smaller_takes_their_mean(draw):
    picture = draw(["rb", "w."])
    assert enlarged(picture, 2) == draw(["rrbb", "rrbb", "ww..", "ww.."])
    assert scaled(enlarged(picture, 3), 2, 2) == picture
    assert scaled(draw(["w."]), 1, 1).pixel(0, 0) == (128, 128, 128)
