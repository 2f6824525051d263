"""From a terminal's bytes to keys."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.cli.keypresses import Decoder
from minivm.core.keys import KEYS, parse_keys


def events_of(data, *, flush=True):
    decoder = Decoder()
    return [event for press in decoder.feed(data, flush=flush) for event in press.events]


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"aB1!", "aB1!"), (b"\r", "<Enter>"), (b"\x7f", "<Backspace>"), (b"\t", "<Tab>"), (b"\x03", "<Ctrl-C>"),
        (b"\x1b", "<Esc>"), (b"\x1b\x1b", "<Esc><Esc>"), (b"\x1bx", "<Alt-x>"), (b"\x1b[A\x1b[B", "<Up><Down>"),
        (b"\x1bOC\x1bOD", "<Right><Left>"), (b"\x1b[H\x1b[F", "<Home><End>"), (b"\x1b[1~\x1b[4~", "<Home><End>"),
        (b"\x1b[2~\x1b[3~\x1b[5~\x1b[6~", "<Ins><Del><PgUp><PgDn>"), (b"\x1bOP\x1b[12~\x1b[[C", "<F1><F2><F3>"),
        (b"\x1b[15~\x1b[21~\x1b[23~\x1b[24~", "<F5><F10><F11><F12>"), (b"\x1b[1;5C", "<Ctrl-Right>"),
        (b"\x1b[1;2P", "<Shift-F1>"), (b"\x1b[3;3~", "<Alt-Del>"), (b"\x1b[Z", "<Shift-Tab>"),
        (b"\x1b[1;6A", "<Shift-Ctrl-Up>"), (b"\x1bOM", "<Keypad_Enter>"), (b"\x1b[99~", ""), (b"\xff", ""),
    ],
)  # fmt: skip
def test_a_sequence_is_the_key_it_stands_for(data, keys):
    assert events_of(data) == parse_keys(keys)


def test_a_character_without_a_key_is_typed_by_its_code_on_the_keypad():
    keys = [event.key for event in events_of("é".encode()) if event.pressed]
    assert keys == ["left_alt", "keypad_1", "keypad_3", "keypad_0"]


def test_a_character_that_a_pc_lacks_is_left_out():
    assert events_of("日a".encode()) == parse_keys("a")


@pytest.mark.parametrize("data", [b"\x1b[1;5C", b"\x1bOP", "é".encode(), b"\x1b[24~", b"\x1b[[A"])
def test_a_sequence_may_come_byte_by_byte(data):
    decoder, presses = Decoder(), []
    for place in range(len(data)):
        assert not presses
        presses += decoder.feed(data[place : place + 1])
    assert [press.raw for press in presses] == [data]
    assert decoder.waiting == b""


def test_a_lone_escape_waits_for_more_until_it_is_flushed():
    decoder = Decoder()
    assert list(decoder.feed(b"\x1b")) == []
    assert [press.raw for press in decoder.feed(b"", flush=True)] == [b"\x1b"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"\x1b[", b"\x1bO", b"\xc3"])))
def test_no_bytes_are_lost_doubled_or_harmful(pieces):
    decoder, raw = Decoder(), b""
    for piece in [*pieces, b""]:
        for press in decoder.feed(piece, flush=piece == b""):
            raw += press.raw
            assert all(event.key in KEYS for event in press.events)
    assert raw + decoder.waiting == b"".join(pieces)
    assert decoder.waiting == b"" or pieces[-1:] != [b""]


def test_an_answer_of_the_terminal_is_no_key_and_waits_for_its_end():
    decoder = Decoder()
    assert [press.raw for press in decoder.feed(b"a\x1b_Gi=31;O")] == [b"a"]
    assert decoder.in_answer
    answer, key = decoder.feed(b"K\x1b\\b")
    assert (answer.raw, answer.events, key.raw) == (b"\x1b_Gi=31;OK\x1b\\", (), b"b")
    assert not decoder.in_answer
    assert [press.raw for press in decoder.feed(b"\x1b_", flush=True)] == [b"\x1b_"]  # Alt and an underscore
