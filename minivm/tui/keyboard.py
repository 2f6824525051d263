"""From a key as Textual names it to the keys of a PC keyboard."""

from minivm.core.keys import CHARACTERS, KEYS, KeyEvent

_MODIFIERS = {"ctrl": "left_ctrl", "alt": "left_alt", "shift": "left_shift", "super": "left_win", "meta": "left_alt"}
_NAMES = {
    **{"pageup": "page_up", "pagedown": "page_down", "return": "enter", "full_stop": "period"},
    **{"left_square_bracket": "left_bracket", "right_square_bracket": "right_bracket", "apostrophe": "quote"},
    **{"grave_accent": "backquote", "equals_sign": "equals", "underscore": "minus", "at": "2"},
    **{"circumflex_accent": "6", "hyphen": "minus"},
}


def events_for(key: str, character: str | None) -> tuple[KeyEvent, ...]:
    """Return the presses and releases for one key; none for what no PC keyboard has.

    `key` is Textual's name, such as `ctrl+c` or `shift+f3`, `character` what it prints.
    """
    *modifiers, name = key.split("+")
    if character is not None and character in CHARACTERS and character.isprintable():
        return _chord(tuple(_MODIFIERS[word] for word in modifiers if word in ("alt", "meta")) + CHARACTERS[character])
    pc = _NAMES.get(name, name)
    if pc not in KEYS:
        return ()
    held = tuple(dict.fromkeys(_MODIFIERS[word] for word in modifiers if word in _MODIFIERS))
    return _chord((*held, pc))


def _chord(keys: tuple[str, ...]) -> tuple[KeyEvent, ...]:
    down = [KeyEvent(key, True) for key in keys]
    return (*down, *(KeyEvent(key, False) for key in reversed(keys)))
