"""Where the panels lie."""

from hypothesis import given
from hypothesis import strategies as st

from minivm.tui.app import PANELS
from minivm.tui.desk import LAYOUTS, plan

NAMES = tuple(PANELS)


@given(st.sampled_from(LAYOUTS), st.integers(1, 400), st.integers(1, 200))
def test_places_stay_on_the_desk_and_never_overlap(layout, width, height):
    cells = set()
    for place in plan(layout, width, height, NAMES):
        box = place.box
        assert box.x >= 0 and box.y >= 0 and box.x + box.width <= width and box.y + box.height <= height
        assert box.width > 0 and box.height > 0
        edges = {(x, y) for x in range(box.x, box.x + box.width) for y in (box.y, box.y + box.height - 1)}
        assert not cells & edges
        cells |= {(x, y) for x in range(box.x, box.x + box.width) for y in range(box.y, box.y + box.height)}


@given(st.integers(40, 400), st.integers(11, 200))
def test_every_panel_is_in_the_debug_layout_once(width, height):
    found = [name for place in plan("debug", width, height, NAMES) for name in place.panels]
    assert sorted(found) == sorted(NAMES)


def test_the_run_layout_gives_everything_to_the_screen():
    (place,) = plan("run", 80, 23, NAMES)
    assert (tuple(place.box), place.panels) == ((0, 0, 80, 23), ("screen",))


def test_the_whole_guest_screen_fits_where_there_is_room():
    for layout in ("learn", "debug"):
        (screen,) = [place for place in plan(layout, 200, 58, NAMES) if "screen" in place.panels]
        assert screen.box.width >= 82 and screen.box.height >= 27
