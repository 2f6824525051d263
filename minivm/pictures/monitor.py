"""Whoever has a screen, and its content in words where only words can be had."""

from typing import Protocol

from minivm.core.picture import Picture
from minivm.core.screen import TextScreen

HOW_TO_WRITE = "minivm screenshot writes it to a file"


class Monitor(Protocol):
    """Whoever has a screen: a machine or its console."""

    @property
    def graphics_mode(self) -> bool:
        """True while the card shows pixels of the guest's own and no characters."""

    @property
    def screen(self) -> TextScreen:
        """The characters; all blank in a graphics mode."""

    def picture(self) -> Picture:
        """Return the pixels, in a text mode drawn with the card's font."""


def shows_pixels(monitor: object) -> bool:
    """Tell whether a machine or console is in a graphics mode; one whose card knows none never is."""
    return bool(getattr(monitor, "graphics_mode", False))


def words(monitor: Monitor) -> str:
    """Return one line about the mode: "text 80x25", or "graphics 320x200, 4 colours" with the colours in view."""
    if not shows_pixels(monitor):
        return f"text {monitor.screen.columns}x{monitor.screen.rows}"
    return words_of(monitor.picture())


def words_of(picture: Picture) -> str:
    """Return one line about a picture: its size, and how many colours are in view."""
    from minivm.pictures.pixels import image_of

    colours = len(image_of(picture).getcolors(picture.width * picture.height) or ())
    return f"graphics {picture.width}x{picture.height}, {colours} colour{'' if colours == 1 else 's'}"


def text_of(monitor: Monitor) -> str:
    """Return the screen's text; of a graphics mode the line about it."""
    return words(monitor) if shows_pixels(monitor) else monitor.screen.text()
