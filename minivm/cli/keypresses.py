"""From what a terminal sends to the keys of a PC keyboard.

ECMA-48 control sequences with xterm's modifiers (XTerm Control Sequences, "PC-Style Function Keys"), the VT220's and
the Linux console's function keys, and UTF-8 text. ESC before a key is Alt. An answer of the terminal's own is cut out
whole and is no key: `ESC _ G ... ESC \\` of Kitty's graphics protocol here, the others are control sequences anyhow.
"""

import re
from collections.abc import Iterator

from minivm.core import cp437
from minivm.core.keys import CHARACTERS, KeyEvent
from minivm.core.record import record
from minivm.errors import ConfigError

_BY_LETTER = {
    **{"A": "up", "B": "down", "C": "right", "D": "left", "E": "keypad_5", "F": "end", "H": "home"},
    **{"P": "f1", "Q": "f2", "R": "f3", "S": "f4"},
}
_BY_NUMBER = {
    **{1: "home", 2: "insert", 3: "delete", 4: "end", 5: "page_up", 6: "page_down", 7: "home", 8: "end"},
    **{11: "f1", 12: "f2", 13: "f3", 14: "f4", 15: "f5", 17: "f6", 18: "f7", 19: "f8", 20: "f9", 21: "f10"},
    **{23: "f11", 24: "f12", 29: "menu"},
}
_KEYPAD = {
    **{"M": "keypad_enter", "j": "keypad_multiply", "k": "keypad_plus", "m": "keypad_minus", "n": "keypad_period"},
    **{"o": "keypad_divide"},
    **{chr(ord("p") + digit): f"keypad_{digit}" for digit in range(10)},
}
_LINUX = dict(zip("ABCDE", ("f1", "f2", "f3", "f4", "f5"), strict=True))
_MODIFIERS = ((1, "left_shift"), (2, "left_alt"), (4, "left_ctrl"))

_COMPLETE = re.compile(
    rb"(?P<answer>\x1b_G[^\x1b]*\x1b\\)"
    rb"|\x1b\[\[(?P<linux>[A-E])"
    rb"|\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    rb"|\x1bO(?P<modifier>[2-8]?)(?P<keypad>[!-1A-Za-z])"
)
_MAY_BECOME = re.compile(rb"\x1b(\[(\[|[0-?]*[ -/]*)|O[2-8]?|_(G[^\x1b]*\x1b?)?)?")
_LIKE_AN_ANSWER = re.compile(rb"\x1b(_G|\[[?6])")


@record
class Keypress:
    """One key as the terminal sent it: its bytes, and the presses and releases on the guest's keyboard."""

    raw: bytes
    events: tuple[KeyEvent, ...]


class Decoder:
    """Cuts the bytes from a terminal into keypresses. `waiting` is an escape sequence that is not whole yet."""

    def __init__(self) -> None:
        self.waiting = b""

    @property
    def in_answer(self) -> bool:
        """True when what waits looks like the terminal's own words, which nobody types so."""
        return _LIKE_AN_ANSWER.match(self.waiting) is not None

    def feed(self, data: bytes, *, flush: bool = False) -> Iterator[Keypress]:
        """Give the keypresses in `data`; with `flush`, an unfinished sequence is what it looks like: Escape first."""
        data, self.waiting = self.waiting + data, b""
        while data:
            if not flush and _unfinished(data):
                self.waiting = data
                return
            size, events = _first(data)
            yield Keypress(data[:size], events)
            data = data[size:]


def _unfinished(data: bytes) -> bool:
    if data[0] == 0x1B:
        match = _MAY_BECOME.fullmatch(data)
        return match is not None or (len(data) > 1 and data[1] >= 0x80 and _unfinished(data[1:]))
    return data[0] >= 0xC2 and len(data) < _utf8_length(data[0]) and all(0x80 <= byte < 0xC0 for byte in data[1:])


def _utf8_length(first: int) -> int:
    return 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _first(data: bytes) -> tuple[int, tuple[KeyEvent, ...]]:
    """Return how many bytes the first key takes, and its events; none for a sequence that is no key."""
    if data[0] != 0x1B:
        return _character(data)
    match = _COMPLETE.match(data)
    if match is not None:
        return match.end(), chord(_keys_of(match))
    if len(data) == 1 or data[1] == 0x1B:
        return 1, chord(["escape"])
    size, events = _character(data[1:])
    return 1 + size, (KeyEvent("left_alt", True), *events, KeyEvent("left_alt", False)) if events else ()


def _character(data: bytes) -> tuple[int, tuple[KeyEvent, ...]]:
    size = 1 if data[0] < 0xC2 else _utf8_length(data[0])
    try:
        character = data[:size].decode()
    except UnicodeDecodeError:
        return 1, ()
    keys = CHARACTERS.get(character)
    return size, chord(keys) if keys is not None else _by_code(character)


def _by_code(character: str) -> tuple[KeyEvent, ...]:
    """Type a character that no key has as on a PC: its code on the keypad while Alt is held."""
    try:
        code = cp437.encode(character)[0]
    except ConfigError:
        return ()
    digits = [event for digit in str(code) for event in chord([f"keypad_{digit}"])]
    return KeyEvent("left_alt", True), *digits, KeyEvent("left_alt", False)


def _keys_of(match: "re.Match[bytes]") -> list[str]:
    if match["answer"]:
        return []
    if match["linux"]:
        return [_LINUX[match["linux"].decode()]]
    if match["keypad"]:
        letter = match["keypad"].decode()
        return _with_modifiers(_BY_LETTER.get(letter) or _KEYPAD.get(letter), int(match["modifier"] or 1))
    final = match["final"].decode()
    numbers = [int(number) if number else 1 for number in re.findall(rb"\d+|(?<=;)(?=;)", match["parameters"])]
    modifier = numbers[1] if len(numbers) > 1 else 1
    if final == "Z":
        return ["left_shift", "tab"]
    key = _BY_NUMBER.get(numbers[0] if numbers else 1) if final == "~" else _BY_LETTER.get(final)
    return _with_modifiers(key, modifier)


def _with_modifiers(key: str | None, modifier: int) -> list[str]:
    if key is None:
        return []
    return [name for bit, name in _MODIFIERS if modifier - 1 & bit] + [key]


def chord(keys: "list[str] | tuple[str, ...]") -> tuple[KeyEvent, ...]:
    """Return the events of keys pressed together: down in order, up in the other order."""
    return (*(KeyEvent(key, True) for key in keys), *(KeyEvent(key, False) for key in reversed(keys)))
