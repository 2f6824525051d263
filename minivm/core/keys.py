"""The keys of a US keyboard: their names, their scan codes, and how to type a text with them.

IBM Enhanced Keyboard (101/102 keys, with the three keys Windows added); scan codes as in the IBM PS/2 Hardware
Interface Technical Reference, "Keyboards", sets 1 and 2.
"""

import re
from collections.abc import Iterable

from minivm.core.record import record
from minivm.errors import ConfigError


@record
class KeyEvent:
    """One key went down (`pressed`) or came up; `key` is a name out of `KEYS`."""

    key: str
    pressed: bool


@record
class ScanCodes:
    """What one key sends in one scan-code set: bytes when it goes down, bytes when it comes up."""

    make: bytes
    release: bytes


# name: set 1 code, set 2 code. Set 1 marks a release by bit 7, set 2 by a byte F0h before the code.
_PLAIN = {
    "escape": (0x01, 0x76),
    **{"1": (0x02, 0x16), "2": (0x03, 0x1E), "3": (0x04, 0x26), "4": (0x05, 0x25), "5": (0x06, 0x2E)},
    **{"6": (0x07, 0x36), "7": (0x08, 0x3D), "8": (0x09, 0x3E), "9": (0x0A, 0x46), "0": (0x0B, 0x45)},
    **{"minus": (0x0C, 0x4E), "equals": (0x0D, 0x55), "backspace": (0x0E, 0x66), "tab": (0x0F, 0x0D)},
    **{"q": (0x10, 0x15), "w": (0x11, 0x1D), "e": (0x12, 0x24), "r": (0x13, 0x2D), "t": (0x14, 0x2C)},
    **{"y": (0x15, 0x35), "u": (0x16, 0x3C), "i": (0x17, 0x43), "o": (0x18, 0x44), "p": (0x19, 0x4D)},
    **{"left_bracket": (0x1A, 0x54), "right_bracket": (0x1B, 0x5B), "enter": (0x1C, 0x5A), "left_ctrl": (0x1D, 0x14)},
    **{"a": (0x1E, 0x1C), "s": (0x1F, 0x1B), "d": (0x20, 0x23), "f": (0x21, 0x2B), "g": (0x22, 0x34)},
    **{"h": (0x23, 0x33), "j": (0x24, 0x3B), "k": (0x25, 0x42), "l": (0x26, 0x4B), "semicolon": (0x27, 0x4C)},
    **{"quote": (0x28, 0x52), "backquote": (0x29, 0x0E), "left_shift": (0x2A, 0x12), "backslash": (0x2B, 0x5D)},
    **{"z": (0x2C, 0x1A), "x": (0x2D, 0x22), "c": (0x2E, 0x21), "v": (0x2F, 0x2A), "b": (0x30, 0x32)},
    **{"n": (0x31, 0x31), "m": (0x32, 0x3A), "comma": (0x33, 0x41), "period": (0x34, 0x49), "slash": (0x35, 0x4A)},
    **{"right_shift": (0x36, 0x59), "keypad_multiply": (0x37, 0x7C), "left_alt": (0x38, 0x11), "space": (0x39, 0x29)},
    **{"caps_lock": (0x3A, 0x58), "f1": (0x3B, 0x05), "f2": (0x3C, 0x06), "f3": (0x3D, 0x04), "f4": (0x3E, 0x0C)},
    **{"f5": (0x3F, 0x03), "f6": (0x40, 0x0B), "f7": (0x41, 0x83), "f8": (0x42, 0x0A), "f9": (0x43, 0x01)},
    **{"f10": (0x44, 0x09), "num_lock": (0x45, 0x77), "scroll_lock": (0x46, 0x7E), "keypad_7": (0x47, 0x6C)},
    **{"keypad_8": (0x48, 0x75), "keypad_9": (0x49, 0x7D), "keypad_minus": (0x4A, 0x7B), "keypad_4": (0x4B, 0x6B)},
    **{"keypad_5": (0x4C, 0x73), "keypad_6": (0x4D, 0x74), "keypad_plus": (0x4E, 0x79), "keypad_1": (0x4F, 0x69)},
    **{"keypad_2": (0x50, 0x72), "keypad_3": (0x51, 0x7A), "keypad_0": (0x52, 0x70), "keypad_period": (0x53, 0x71)},
    **{"less": (0x56, 0x61), "f11": (0x57, 0x78), "f12": (0x58, 0x07)},
}

# The keys that the Enhanced Keyboard added to the AT's: the same codes behind a byte E0h.
_EXTENDED = {
    **{"keypad_enter": (0x1C, 0x5A), "right_ctrl": (0x1D, 0x14), "keypad_divide": (0x35, 0x4A)},
    **{"right_alt": (0x38, 0x11), "home": (0x47, 0x6C), "up": (0x48, 0x75), "page_up": (0x49, 0x7D)},
    **{"left": (0x4B, 0x6B), "right": (0x4D, 0x74), "end": (0x4F, 0x69), "down": (0x50, 0x72)},
    **{"page_down": (0x51, 0x7A), "insert": (0x52, 0x70), "delete": (0x53, 0x71)},
    **{"left_win": (0x5B, 0x1F), "right_win": (0x5C, 0x27), "menu": (0x5D, 0x2F)},
}

EDIT_KEYS = frozenset(
    ["insert", "delete", "home", "end", "page_up", "page_down", "up", "down", "left", "right", "keypad_divide"]
)
"""The keys that hide a held Shift from old software by sending a release of it first ("Shift case" in the tables)."""

# Keys that share a switch, and what they send while a modifier is held: Alt-Print Screen is System Request,
# Ctrl-Pause is Break, Ctrl- or Shift-Print Screen needs no shift of its own.
_SPECIAL = {
    1: {
        "print_screen": ScanCodes(bytes.fromhex("E02AE037"), bytes.fromhex("E0B7E0AA")),
        "print_screen with shift": ScanCodes(bytes.fromhex("E037"), bytes.fromhex("E0B7")),
        "print_screen with alt": ScanCodes(bytes.fromhex("54"), bytes.fromhex("D4")),
        "pause": ScanCodes(bytes.fromhex("E11D45E19DC5"), b""),
        "pause with ctrl": ScanCodes(bytes.fromhex("E046E0C6"), b""),
    },
    2: {
        "print_screen": ScanCodes(bytes.fromhex("E012E07C"), bytes.fromhex("E0F07CE0F012")),
        "print_screen with shift": ScanCodes(bytes.fromhex("E07C"), bytes.fromhex("E0F07C")),
        "print_screen with alt": ScanCodes(bytes.fromhex("84"), bytes.fromhex("F084")),
        "pause": ScanCodes(bytes.fromhex("E11477E1F014F077"), b""),
        "pause with ctrl": ScanCodes(bytes.fromhex("E07EE0F07E"), b""),
    },
}


def _set_1(code: int, prefix: bytes) -> ScanCodes:
    return ScanCodes(prefix + bytes([code]), prefix + bytes([code | 0x80]))


def _set_2(code: int, prefix: bytes) -> ScanCodes:
    return ScanCodes(prefix + bytes([code]), prefix + bytes([0xF0, code]))


SCAN_CODES: dict[int, dict[str, ScanCodes]] = {
    1: {
        **{name: _set_1(codes[0], b"") for name, codes in _PLAIN.items()},
        **{name: _set_1(codes[0], b"\xe0") for name, codes in _EXTENDED.items()},
        **_SPECIAL[1],
    },
    2: {
        **{name: _set_2(codes[1], b"") for name, codes in _PLAIN.items()},
        **{name: _set_2(codes[1], b"\xe0") for name, codes in _EXTENDED.items()},
        **_SPECIAL[2],
    },
}
"""Scan-code set (1 or 2) to key name to codes; "print_screen with alt" and its like are a key under a modifier."""

KEYS = frozenset({*_PLAIN, *_EXTENDED, "print_screen", "pause"})
"""The names of all keys."""

_SHIFTED = {
    **dict(zip("!@#$%^&*()", "1234567890", strict=True)),
    **{"_": "minus", "+": "equals", "{": "left_bracket", "}": "right_bracket", "|": "backslash", ":": "semicolon"},
    **{'"': "quote", "~": "backquote", "<": "comma", ">": "period", "?": "slash"},
    **{letter.upper(): letter for letter in "abcdefghijklmnopqrstuvwxyz"},
}
_UNSHIFTED = {
    **{letter: letter for letter in "abcdefghijklmnopqrstuvwxyz1234567890"},
    **{"-": "minus", "=": "equals", "[": "left_bracket", "]": "right_bracket", "\\": "backslash", ";": "semicolon"},
    **{"'": "quote", "`": "backquote", ",": "comma", ".": "period", "/": "slash", " ": "space"},
    **{"\n": "enter", "\r": "enter", "\t": "tab", "\x1b": "escape", "\b": "backspace", "\x7f": "backspace"},
}
# What a terminal sends for Ctrl and a key: 01h-1Ah for the letters, 00h and 1Ch-1Fh for @ \ ] ^ _
_CONTROL = {
    **{chr(code): chr(code + 0x60) for code in range(1, 27) if chr(code) not in _UNSHIFTED},
    **{"\x00": "2", "\x1c": "backslash", "\x1d": "right_bracket", "\x1e": "6", "\x1f": "minus"},
}
CHARACTERS: dict[str, tuple[str, ...]] = {
    **{character: (key,) for character, key in _UNSHIFTED.items()},
    **{character: ("left_shift", key) for character, key in _SHIFTED.items()},
    **{character: ("left_ctrl", key) for character, key in _CONTROL.items()},
}
"""Each character a US keyboard makes to the keys that make it, to be pressed in that order."""

_NAMES = {
    **{key.replace("_", ""): key for key in KEYS},
    **{"esc": "escape", "return": "enter", "bs": "backspace", "del": "delete", "ins": "insert"},
    **{"pgup": "page_up", "pgdn": "page_down", "pagedn": "page_down", "prtsc": "print_screen", "caps": "caps_lock"},
    **{"ctrl": "left_ctrl", "control": "left_ctrl", "shift": "left_shift", "alt": "left_alt", "altgr": "right_alt"},
    **{"win": "left_win", "super": "left_win", "apps": "menu"},
}
_COMBINED = {"lt": ("left_shift", "comma"), "gt": ("left_shift", "period"), "break": ("left_ctrl", "pause")}
_BRACKETS = re.compile(r"<([^<>\s]+)>")
_ESCAPES = {"n": "\n", "t": "\t", "e": "\x1b", "r": "\r", "b": "\b", "\\": "\\"}
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.?)", re.DOTALL)


def parse_keys(text: str) -> list[KeyEvent]:
    """Turn `text` into the presses and releases that type it on a US keyboard.

    Characters stand for themselves (a newline is Enter, ESC is Escape); `<F1>`, `<Up>`, `<Enter>`, `<Ctrl-C>`,
    `<Ctrl-Alt-Del>` and so on name keys, in any case and with or without underscores, and `<lt>` types a `<`. A `<`
    that no `>` follows in the same word is typed as it is. Raises `ConfigError` for an unknown name and for a character
    that no US key makes.
    """
    events: list[KeyEvent] = []
    position = 0
    while position < len(text):
        named = _BRACKETS.match(text, position)
        keys = _named(named[1]) if named else _typed(text[position])
        events.extend(_chord(keys))
        position = named.end() if named else position + 1
    return events


def unescape(text: str) -> str:
    r"""Replace `\n`, `\t`, `\e`, `\r`, `\b`, `\\` and `\xNN`, as a command line writes them, by their characters.

    Raises `ConfigError` for another character behind a backslash.
    """
    return _ESCAPE.sub(_unescape_one, text)


def check_key(key: str) -> str:
    """Return `key` when it names a key; raises `ConfigError` otherwise."""
    if key not in KEYS:
        raise ConfigError(f"no key is called {key!r}; the names are like a, 1, enter, f1, left_shift, up, keypad_5")
    return key


def _unescape_one(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise ConfigError(rf"\{code} is no escape; known are \n \t \e \r \b \\ and \xNN")
    return _ESCAPES[code]


def _typed(character: str) -> tuple[str, ...]:
    keys = CHARACTERS.get(character)
    if keys is None:
        raise ConfigError(f"no key of a US keyboard types {character!r}")
    return keys


def _named(name: str) -> tuple[str, ...]:
    """Return the keys of `Ctrl-Alt-Del` or `F1`; a letter in a chord is the key, so `Ctrl-C` needs no Shift."""
    *before, last = re.split(r"-(?=.)", name)
    keys: list[str] = []
    for part in (*before, last):
        keys.extend(key for key in _part(part, name) if key not in keys)
    return tuple(keys)


def _part(part: str, name: str) -> tuple[str, ...]:
    folded = part.lower().replace("_", "") or part
    if folded in _COMBINED:
        return _COMBINED[folded]
    if folded in _NAMES:
        return (_NAMES[folded],)
    if folded in CHARACTERS:
        return CHARACTERS[folded]
    raise ConfigError(f"<{name}> names no key; write <lt> for a plain <")


def _chord(keys: Iterable[str]) -> list[KeyEvent]:
    down = list(keys)
    return [KeyEvent(key, True) for key in down] + [KeyEvent(key, False) for key in reversed(down)]
