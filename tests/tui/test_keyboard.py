"""From Textual's keys to a PC's."""

import pytest

from minivm.core.keys import parse_keys
from minivm.tui.keyboard import events_for


@pytest.mark.parametrize(
    ("key", "character", "typed"),
    [("a", "a", "a"), ("upper_a", "A", "A"), ("full_stop", ".", "."), ("colon", ":", ":"), ("space", " ", " "),
     ("enter", "\r", "<Enter>"), ("escape", "\x1b", "<Esc>"), ("tab", "\t", "<Tab>"), ("backspace", "\x7f", "<BS>"),
     ("up", None, "<Up>"), ("pageup", None, "<PgUp>"), ("f5", None, "<F5>"), ("ctrl+c", "\x03", "<Ctrl-C>"),
     ("shift+tab", None, "<Shift-Tab>"), ("ctrl+alt+delete", None, "<Ctrl-Alt-Del>"), ("alt+x", None, "<Alt-X>")],
)  # fmt: skip
def test_a_key_is_pressed_and_released_as_on_a_pc(key, character, typed):
    assert list(events_for(key, character)) == parse_keys(typed)


@pytest.mark.parametrize(("key", "character"), [("f30", None), ("", "語"), ("", None), ("hyper+x", "☃")])
def test_what_no_pc_keyboard_has_types_nothing(key, character):
    assert events_for(key, character) in ((), tuple(parse_keys("x")))
