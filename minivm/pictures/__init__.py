"""What the monitor shows, as something a file, a terminal or a browser can show: PNG, SVG, half blocks, Sixel, Kitty.

Pure functions from `Picture` and `TextScreen` to bytes and text. Pillow scales, counts colours and writes PNG; it is
loaded when the first picture is made, so a text screen costs nothing of it.
"""

from minivm.pictures.files import FORMATS, encode, save
from minivm.pictures.monitor import Monitor, shows_pixels, text_of, words

__all__ = ["FORMATS", "Monitor", "encode", "save", "shows_pixels", "text_of", "words"]
