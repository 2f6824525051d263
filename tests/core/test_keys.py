"""Names of keys, scan codes, and text to keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.keys import CHARACTERS, KEYS, SCAN_CODES, KeyEvent, check_key, parse_keys, unescape
from minivm.errors import ConfigError


def typed(text: str) -> str:
    return " ".join(("+" if event.pressed else "-") + event.key for event in parse_keys(text))


def test_all_101_keys_the_102nd_and_the_windows_keys_are_there() -> None:
    assert len(KEYS) == 101 + 1 + 3


@pytest.mark.parametrize(
    ("key", "set_1", "set_2"),
    [  # IBM PS/2 Hardware Interface TR, scan-code tables
        ("a", ("1e", "9e"), ("1c", "f01c")),
        ("f7", ("41", "c1"), ("83", "f083")),
        ("right_ctrl", ("e01d", "e09d"), ("e014", "e0f014")),
        ("up", ("e048", "e0c8"), ("e075", "e0f075")),
        ("keypad_8", ("48", "c8"), ("75", "f075")),
        ("print_screen", ("e02ae037", "e0b7e0aa"), ("e012e07c", "e0f07ce0f012")),
        ("pause", ("e11d45e19dc5", ""), ("e11477e1f014f077", "")),
    ],
)
def test_scan_codes_are_those_of_the_manual(key: str, set_1: tuple[str, str], set_2: tuple[str, str]) -> None:
    for number, (make, release) in ((1, set_1), (2, set_2)):
        codes = SCAN_CODES[number][key]
        assert (codes.make.hex(), codes.release.hex()) == (make, release)


@pytest.mark.parametrize("scan_set", [1, 2])
def test_no_two_keys_send_the_same(scan_set: int) -> None:
    makes = [codes.make for codes in SCAN_CODES[scan_set].values()]
    assert len(set(makes)) == len(makes)


def test_plain_characters_are_pressed_and_released() -> None:
    assert typed("a1 ") == "+a -a +1 -1 +space -space"


def test_capitals_and_signs_hold_shift() -> None:
    assert typed("A?") == "+left_shift +a -a -left_shift +left_shift +slash -slash -left_shift"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        *[("\n", "enter"), ("\r", "enter"), ("\t", "tab"), ("\x1b", "escape"), ("\b", "backspace"), ("<F1>", "f1")],
        *[
            ("<Up>", "up"),
            ("<ESC>", "escape"),
            ("<PgDn>", "page_down"),
            ("<page_down>", "page_down"),
            ("<del>", "delete"),
        ],
        *[("<Keypad5>", "keypad_5"), ("<PrtSc>", "print_screen"), ("<Shift>", "left_shift"), ("<5>", "5")],
    ],
)
def test_named_keys(text: str, key: str) -> None:
    assert parse_keys(text) == [KeyEvent(key, True), KeyEvent(key, False)]


def test_chords_are_released_in_reverse() -> None:
    assert typed("<Ctrl-Alt-Del>") == "+left_ctrl +left_alt +delete -delete -left_alt -left_ctrl"


def test_a_letter_in_a_chord_is_its_key() -> None:
    assert typed("<Ctrl-C>") == "+left_ctrl +c -c -left_ctrl"


def test_a_minus_and_a_sign_can_end_a_chord() -> None:
    assert typed("<Alt-->") == "+left_alt +minus -minus -left_alt"
    assert typed("<Ctrl-_>") == "+left_ctrl +left_shift +minus -minus -left_shift -left_ctrl"


def test_less_than_is_typed_by_name_or_where_nothing_closes_it() -> None:
    comma = "+left_shift +comma -comma -left_shift"
    assert typed("<lt>") == comma
    assert typed("<") == comma
    assert typed("< a").startswith(comma)


def test_control_characters_are_control_keys() -> None:
    assert typed("\x03") == "+left_ctrl +c -c -left_ctrl"


@pytest.mark.parametrize(
    ("text", "named"), [("<Bogus>", "Bogus"), ("<Ctrl-Bogus>", "Bogus"), ("é", "é"), ("\x80", "x80")]
)
def test_what_no_key_makes_is_an_error_that_names_it(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        parse_keys("ok" + text)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="anykey"):
        check_key("anykey")


def test_characters_name_real_keys() -> None:
    assert {key for keys in CHARACTERS.values() for key in keys} <= KEYS
    assert set(map(chr, range(0x80))) == set(CHARACTERS)


def test_unescape_knows_what_its_docstring_lists() -> None:
    assert unescape(r"a\n\t\e\r\b\\n\x41") == "a\n\t\x1b\r\b\\nA"


@pytest.mark.parametrize("text", [r"\q", r"\x4", "\\"])
def test_unescape_refuses_other_escapes(text: str) -> None:
    with pytest.raises(ConfigError):
        unescape(text)


@given(st.text(alphabet=st.sampled_from("".join(map(chr, range(128))))))
def test_every_key_pressed_is_released_or_the_text_is_refused(text: str) -> None:
    try:
        events = parse_keys(text)
    except ConfigError:
        return
    down: set[str] = set()
    for event in events:
        assert (event.key in down) != event.pressed
        (down.add if event.pressed else down.remove)(event.key)
    assert not down
