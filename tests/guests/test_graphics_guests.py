"""The guests that draw show what their headers say, and the one that takes the mouse follows it."""

import hashlib

import pytest

import minivm
from minivm import bundled
from minivm.core.keys import unescape

LONGEST_MS = 10_000
STARTED_MS = 500
NOTICED_MS = 100
"""Packets come a hundred times a second, and the guest looks at the next interrupt."""
PAINTED = 0x1F
POINTER = 0x77

DRAWING = [guest for guest in bundled.guests() if guest.shows]


def test_the_guests_that_draw_are_among_them() -> None:
    assert {"plasma", "planes", "scroller"} <= {guest.name for guest in DRAWING}


@pytest.mark.parametrize("guest", DRAWING, ids=lambda guest: guest.name)
def test_the_last_picture_is_the_one_its_header_names(guest: bundled.Guest) -> None:
    with minivm.boot(guest.image) as vm:
        vm.run(ms=STARTED_MS)
        vm.type(unescape(guest.types or ""))
        vm.run(ms=LONGEST_MS)
        picture = vm.picture()
    assert (picture.width, picture.height, hashlib.sha256(picture.rgb).hexdigest()) == guest.shows


def test_plasma_moves_its_colours_and_no_pixel() -> None:
    with minivm.boot("plasma") as vm:
        vm.run(ms=STARTED_MS)
        pixels, picture = vm.memory.read(0xA0000, 320 * 200), vm.picture()
        vm.run(ms=NOTICED_MS)
        assert vm.memory.read(0xA0000, 320 * 200) == pixels
        assert vm.picture() != picture


def test_the_scroller_moves_its_window_by_a_pixel_a_frame() -> None:
    with minivm.boot("scroller") as vm:
        vm.expect("are drawn.")
        vm.run(ms=40)
        pictures = set()
        for _ in range(20):
            vm.run(ms=5)
            pictures.add(vm.picture().rgb)
        # Seven frames; every fourth may also be seen with its new start address and the panning of the one before.
        assert 6 <= len(pictures) <= 10


def attribute(vm: minivm.Machine, row: int, column: int) -> int:
    return vm.memory.read(0xB8000 + (row * 80 + column) * 2 + 1, 1)[0]


def test_the_pointer_follows_the_mouse_and_paints() -> None:
    with minivm.boot("mouse") as vm:
        vm.run(ms=STARTED_MS)
        assert attribute(vm, 12, 40) == 0x07 ^ POINTER
        vm.console.move_mouse(40, 16)
        vm.run(ms=NOTICED_MS)
        assert "column 45, row 10" in vm.screen.text()
        assert attribute(vm, 12, 40) == 0x07
        vm.console.press_button("left")
        vm.run(ms=NOTICED_MS)
        vm.console.release_button("left")
        vm.console.move_mouse(8, 0)
        vm.run(ms=NOTICED_MS)
        assert attribute(vm, 10, 45) == PAINTED
        assert attribute(vm, 10, 46) == 0x07 ^ POINTER


def test_the_right_button_wipes_what_the_left_one_painted() -> None:
    with minivm.boot("mouse") as vm:
        vm.run(ms=STARTED_MS)
        for button, expected in (("left", PAINTED), ("right", 0x07)):
            vm.console.press_button(button)
            vm.run(ms=NOTICED_MS)
            vm.console.release_button(button)
            vm.run(ms=NOTICED_MS)
            assert attribute(vm, 12, 40) == expected ^ POINTER


def test_the_pointer_stays_on_the_screen() -> None:
    with minivm.boot("mouse") as vm:
        vm.run(ms=STARTED_MS)
        for dx, dy, place in ((200, 200, "column 79, row 00"), (-200, -200, "column 00, row 24")):
            for _ in range(8):
                vm.console.move_mouse(dx, dy)
                vm.run(ms=NOTICED_MS)
            assert place in vm.screen.text()
