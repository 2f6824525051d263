"""A line that the live terminal asks for."""

from minivm.cli.question import Question


def test_a_question_takes_text_and_erases():
    asked = Question("which?")
    for raw in (b"a", b"b", b"\x7f", b"\x1b[A", "ä".encode(), b"\x01", b" ", b"c"):
        assert asked.take(raw) == "asks"
    assert asked.answer == "aä c"
    assert asked.line(80) == "which? aä c_"
    assert asked.line(4) == "ä c_"
    asked.take(b"\x15")
    assert asked.answer == ""
    asked.take(b"\x7f")
    assert asked.take(b"\r") == "answered"


def test_a_question_may_be_left_open():
    assert {Question("").take(raw) for raw in (b"\x1b", b"\x03", b"\x07")} == {"given up"}
