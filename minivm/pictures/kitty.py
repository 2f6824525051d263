"""A picture in Kitty's graphics protocol: the pixels, packed, and how many cells they are to fill.

"Terminal graphics protocol", in the documentation of the terminal Kitty. The terminal scales the picture itself.
"""

import zlib
from base64 import b64encode

from minivm.core.picture import Picture

CHUNK = 4096
IMAGE = 1
"""The number of the one image that is shown: the same again takes the old one's place."""
ERASE = f"\x1b_Ga=d,d=I,i={IMAGE},q=2\x1b\\"
"""Takes the image away, and its memory in the terminal."""
QUERY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
"""Asks whether the protocol is known; the answer begins with `ESC _ G i=31`."""


def kitty(picture: Picture, columns: int, rows: int) -> str:
    """Return what draws the picture over `columns` x `rows` cells from the cursor on, which stays where it is."""
    data = b64encode(zlib.compress(picture.rgb, 1)).decode("ascii")
    pieces = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    keys = f"a=T,i={IMAGE},p=1,q=2,C=1,f=24,o=z,s={picture.width},v={picture.height},c={columns},r={rows},"
    last = len(pieces) - 1
    return "".join(
        f"\x1b_G{keys if number == 0 else ''}m={int(number < last)};{piece}\x1b\\"
        for number, piece in enumerate(pieces)
    )
