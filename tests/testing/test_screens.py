"""Screens compared row by row, and golden files."""

import pytest

from minivm.core.screen import TextScreen
from minivm.errors import ConfigError, ExpectationFailed
from minivm.testing.screens import Goldens, check_screen, difference, framed, screen_text, unindented

PALETTE = ((0, 0, 0),) * 16


def screen(*rows, attributes=None, columns=20, height=5):
    text = "".join(row.ljust(columns) for row in (*rows, *[""] * (height - len(rows))))
    return TextScreen(
        columns=columns, rows=height, characters=text.encode("ascii"), attributes=attributes or bytes([7]) * len(text),
        cursor_column=0, cursor_row=0, cursor_visible=False, cursor_start=0, cursor_end=0, cell_height=16,
        blink_enabled=True, palette=PALETTE,
    )  # fmt: skip


@pytest.fixture
def goldens(tmp_path):
    def make(update=False):
        written = []
        made = Goldens(
            tmp_path / "__screens__" / "test_it", "pytest --minivm-update", update, lambda *w: written.append(w)
        )
        return made, written

    return make


def test_equal_screens_have_no_difference():
    assert difference("a\nb", "a  \nb\n\n\n") == ""


def test_only_rows_that_differ_are_shown_with_marks_under_their_columns():
    before = "\n".join(f"row {number}" for number in range(12))
    after = before.replace("row 5", "rOw 5!")
    assert difference(before, after, context=1).splitlines() == [
        "  ...",
        "  row  4            |row 4|",
        "- row  5 expected   |row 5 |",
        "+ row  5 on screen  |rOw 5!|",
        "                      ^   ^",
        "  row  6            |row 6|",
    ]


def test_a_gap_of_one_row_is_shown_as_one():
    assert difference("a\nb\nc", "A\nb\nC", context=0).splitlines()[3] == "  ..."
    assert difference("a\nb\nc", "A\nb\nC", context=1).count("...") == 0


def test_a_missing_row_differs():
    assert "- row  1 expected   |b|" in difference("a\nb", "a")
    assert "+ row  1 on screen  |b|" in difference("a", "a\nb")


def test_an_unexpected_screen_fails_with_its_rows():
    check_screen("one\ntwo", screen("one", "two"))
    with pytest.raises(ExpectationFailed, match=r"(?s)not as expected.*row  1 expected   \|tWo\|"):
        check_screen("one\ntWo", screen("one", "two"))


def test_a_text_between_triple_quotes_may_be_indented():
    text = """
        Menu
          1. Go
        """
    assert difference(unindented(text), "Menu\n  1. Go") == ""
    assert unindented("  as it is") == "  as it is"


def test_a_frame_is_as_wide_as_the_screen():
    assert framed(["ab"], 4) == "+----+\n|ab  |\n+----+"


def test_a_golden_screen_is_written_and_then_met(goldens):
    writing, written = goldens(update=True)
    writing.check("menu", screen("one", "two"))
    assert [path.name for path, _ in written] == ["menu.txt"]
    assert writing.path("menu").read_text() == "one\ntwo\n"
    reading, _ = goldens()
    reading.check("menu", screen("one", "two"))
    with pytest.raises(ExpectationFailed, match=r"golden menu\.txt"):
        reading.check("menu", screen("one", "twO"))


def test_a_missing_golden_screen_says_how_to_write_it(goldens):
    with pytest.raises(ExpectationFailed, match=r"no golden screen 'menu' yet.*pytest --minivm-update"):
        goldens()[0].check("menu", screen("one"))


def test_attributes_are_compared_when_asked_for(goldens):
    plain, red = screen("ab"), screen("ab", attributes=bytes([7, 4]) + bytes([7]) * 98)
    goldens(update=True)[0].check("colours", red, attributes=True)
    reading, _ = goldens()
    assert "07x1 04x1 07x18" in reading.path("colours").read_text()
    reading.check("colours", red, attributes=True)
    reading.check("colours", plain)
    with pytest.raises(ExpectationFailed, match="attributes"):
        reading.check("colours", plain, attributes=True)


def test_a_golden_without_attributes_cannot_tell_of_them(goldens):
    goldens(update=True)[0].check("menu", screen("a"))
    with pytest.raises(ExpectationFailed, match="has no attributes; write it anew"):
        goldens()[0].check("menu", screen("a"), attributes=True)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(goldens, name):
    with pytest.raises(ConfigError, match="cannot name a golden screen"):
        goldens()[0].check(name, screen("a"))


def test_a_golden_file_that_is_no_text_is_a_failure_in_one_line(goldens):
    reading, _ = goldens()
    path = reading.path("menu")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ExpectationFailed, match="cannot be read"):
        reading.check("menu", screen("a"))


def test_a_screen_with_attributes_drops_equal_rows_at_the_bottom():
    assert screen_text(screen("a"), attributes=True) == "a\n--- attributes ---\n07x20"
