"""A text screen as a value."""

import dataclasses

import pytest

from minivm.core.screen import TextScreen


def screen(rows: list[bytes], columns: int = 8) -> TextScreen:
    characters = b"".join(row.ljust(columns, b"\x00") for row in rows)
    return TextScreen(
        columns=columns,
        rows=len(rows),
        characters=characters,
        attributes=bytes([0x07]) * len(characters),
        cursor_column=0,
        cursor_row=0,
        cursor_visible=True,
        cursor_start=13,
        cursor_end=14,
        cell_height=16,
        blink_enabled=True,
        palette=((0, 0, 0),) * 16,
    )


def test_text_strips_each_row_and_drops_empty_rows_at_the_bottom() -> None:
    assert screen([b" hi  ", b"", b"there", b"", b""]).text() == " hi\n\nthere"


def test_lines_keep_the_empty_rows() -> None:
    assert screen([b"a", b"", b""]).lines() == ["a", "", ""]


def test_a_screen_contains_what_its_text_contains() -> None:
    shown = screen([b"one", b"two"])
    assert "one\ntwo" in shown
    assert "three" not in shown


def test_a_row_outside_the_screen_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        screen([b"a"]).row(1)
    with pytest.raises(IndexError):
        screen([b"a"]).row(-1)
    with pytest.raises(IndexError):
        screen([b"a"]).cell(0, 8)


def test_bit_7_blinks_or_brightens_the_background() -> None:
    blinking = dataclasses.replace(screen([b"x"]), attributes=b"\x9f" * 8)
    assert (blinking.cell(0, 0).background, blinking.cell(0, 0).blinks, blinking.cell(0, 0).foreground) == (1, True, 15)
    steady = dataclasses.replace(blinking, blink_enabled=False)
    assert (steady.cell(0, 0).background, steady.cell(0, 0).blinks) == (9, False)


def test_only_foreground_one_is_underlined_and_only_where_a_line_is_set() -> None:
    plain = dataclasses.replace(screen([b"xy"]), attributes=b"\x01\x07" * 4)
    assert not plain.cell(0, 0).underlined
    mono = dataclasses.replace(plain, underline_line=13)
    assert mono.cell(0, 0).underlined
    assert not mono.cell(0, 1).underlined
