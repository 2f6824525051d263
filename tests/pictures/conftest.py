"""Pictures and screens to draw."""

import pytest

from minivm.core.picture import Picture
from minivm.core.screen import TextScreen
from minivm.pictures.colours import SIXTEEN_COLOURS


def picture_of(rows):
    """Return a picture of letters: one a pixel, one text a row."""
    colours = {".": (0, 0, 0), "r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}
    return Picture(len(rows[0]), len(rows), b"".join(bytes(colours[letter]) for row in rows for letter in row))


def screen_of(lines, attribute=0x07, columns=20, **changed):
    """Return a text screen with these lines; `changed` are fields of `TextScreen`."""
    from minivm.core import cp437

    text = b"".join(cp437.encode(line.ljust(columns)) for line in lines)
    fields = {
        "columns": columns, "rows": len(lines), "characters": text, "attributes": bytes([attribute]) * len(text),
        "cursor_column": 0, "cursor_row": 0, "cursor_visible": False, "cursor_start": 13, "cursor_end": 14,
        "cell_height": 16, "blink_enabled": True, "palette": SIXTEEN_COLOURS,
    }  # fmt: skip
    return TextScreen(**fields | changed)


class Monitor:
    """A machine as far as its screen goes."""

    def __init__(self, picture, screen, graphics_mode=True):
        self._picture, self.screen, self.graphics_mode = picture, screen, graphics_mode

    def picture(self):
        return self._picture


@pytest.fixture
def draw():
    return picture_of


@pytest.fixture
def write():
    return screen_of


@pytest.fixture
def monitor():
    return Monitor
