"""What the monitor shows, as something a file, a terminal or a browser can show: PNG, SVG, half blocks, Sixel, Kitty.

Pure functions from `Picture` and `TextScreen` to bytes and text. Pillow scales, counts colours and writes PNG; it is
loaded when the first picture is made, so a text screen costs nothing of it.
"""

from minivm.pictures.files import FORMATS, encode, save

__all__ = ["FORMATS", "encode", "save"]
