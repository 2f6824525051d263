"""The screen as escape sequences."""

import re
from dataclasses import replace

import pytest

from minivm.cli.painter import Painter, Window, fit, nearest, paint_for
from minivm.core.screen import TextScreen
from minivm.core.vga_modes import MODE_REGISTERS

PALETTE = tuple(
    tuple(level * 255 // 63 for level in MODE_REGISTERS[3].dac[number * 3 : number * 3 + 3])
    for number in (*range(6), 0x14, 7, *range(0x38, 0x40))
)


def screen_of(text, attribute=0x07, **changes):
    rows = text.split("\n")
    characters = b"".join(row.encode("cp437").ljust(10) for row in rows)
    screen = TextScreen(
        columns=10, rows=len(rows), characters=characters, attributes=bytes([attribute]) * len(characters),
        cursor_column=0, cursor_row=0, cursor_visible=True, cursor_start=13, cursor_end=14, cell_height=16,
        blink_enabled=True, palette=PALETTE,
    )  # fmt: skip
    return replace(screen, **changes)


def painter(**environment):
    return Painter(paint_for({"TERM": "xterm-256color"} | environment))


WHOLE = Window(2, 10)


def test_a_screen_that_did_not_change_costs_nothing():
    paint, screen = painter(), screen_of("one\ntwo")
    assert "two" in paint.draw(screen, WHOLE)
    assert paint.draw(screen, WHOLE) == ""


def test_only_the_changed_cells_are_drawn():
    paint = painter()
    paint.draw(screen_of("one\ntwo"), WHOLE)
    drawn = paint.draw(screen_of("one\ntOo"), WHOLE)
    assert "\x1b[2;2H" in drawn
    assert re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", drawn) == "O"


def test_a_changed_palette_draws_everything():
    paint, screen = painter(), screen_of("one\ntwo")
    paint.draw(screen, WHOLE)
    assert "one" in paint.draw(replace(screen, palette=PALETTE[::-1]), WHOLE)


def test_a_cursor_that_moves_or_hides_is_followed():
    paint = painter()
    paint.draw(screen_of("one\ntwo"), WHOLE)
    assert paint.draw(screen_of("one\ntwo", cursor_row=1, cursor_column=3), WHOLE) == "\x1b[2;4H\x1b[3 q\x1b[?25h"
    assert paint.draw(screen_of("one\ntwo", cursor_start=0), WHOLE) == "\x1b[1;1H\x1b[1 q\x1b[?25h"
    assert paint.draw(screen_of("one\ntwo", cursor_visible=False), WHOLE) == "\x1b[?25l"


@pytest.mark.parametrize(
    ("environment", "attribute", "style"),
    [
        ({"COLORTERM": "truecolor"}, 0x1E, "38;2;255;255;85;48;2;0;0;170"),
        ({}, 0x1E, "38;5;227;48;5;19"),
        ({"TERM": "xterm"}, 0x1E, "93;44"),
        ({"TERM": "xterm"}, 0x4A, "92;41"),
        ({"TERM": "xterm"}, 0x0F, "97;40"),
        ({"TERM": "xterm"}, 0x09, "94;40"),
        ({"NO_COLOR": "1"}, 0x70, "22;7"),
        ({"NO_COLOR": "1"}, 0x0F, "1"),
        ({"TERM": "xterm"}, 0x87, "37;40;5"),
    ],
)
def test_colours_are_shown_as_the_terminal_can(environment, attribute, style):
    assert f"\x1b[0;{style}mx" in painter(**environment).draw(screen_of("x", attribute), Window(1, 1))


def test_bright_backgrounds_replace_blinking_when_it_is_off():
    drawn = painter(TERM="xterm").draw(screen_of("x", 0x87, blink_enabled=False), Window(1, 1))
    assert "\x1b[0;37;100mx" in drawn


def test_line_graphics_come_out_as_unicode():
    assert "╔═☺" in painter().draw(screen_of("x", characters=b"\xc9\xcd\x01" + bytes(7)), Window(1, 10))


@pytest.mark.parametrize(("colour", "number"), [((0, 0, 0), 16), ((255, 255, 255), 231), ((120, 120, 120), 243)])
def test_the_nearest_of_256_colours_is_found(colour, number):
    assert nearest(colour) == number


def test_a_small_terminal_shows_the_part_around_the_cursor():
    screen = screen_of("\n".join("abcdefghij"), cursor_row=9, cursor_column=9)
    window = fit(screen, 4, 3, Window(0, 0))
    assert window == Window(4, 3, top=6, left=7)
    assert fit(replace(screen, cursor_row=7, cursor_column=8), 4, 3, window) == window
    assert fit(replace(screen, cursor_row=0, cursor_column=0), 4, 3, window) == Window(4, 3)
    assert "j" not in painter().draw(screen, fit(screen, 1, 1, Window(0, 0)))


def test_a_printed_line_ends_where_its_text_ends():
    printed = painter().line(screen_of("one\ntwo"), 1)
    assert re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", printed) == "two"
    assert painter().line(screen_of("one\n"), 1) == ""
