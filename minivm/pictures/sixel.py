"""A picture as Sixel graphics: six rows of pixels at a time, one colour after the other.

DEC STD 070, chapter 9, and the VT330/340 Programmer Reference Manual, volume 2, chapter 14. Own code, since a terminal
that is painted twenty times a second wants strips of a picture and no library's widget.
"""

import re
from functools import cache, lru_cache
from itertools import groupby

from minivm.core.picture import Picture
from minivm.pictures.pixels import image_of

MOST_COLOURS = 256
BAND = 6
"""A band is so many rows of pixels high."""
MANY = 24
"""A band with more colours is made column by column."""
SHORT = 3
"""So many of the same sixel are not worth a count."""
_AS_SIXELS = bytes(range(0x3F, 0x7F)) + bytes(256 - 64)
"""The six bits of a column, the top one lowest, become the characters ? to ~."""
_REPEATED = re.compile(rb"([?-~])\1{3,}")
_NOTHING = b"?"


def sixel(picture: Picture) -> str:
    """Return the control string that draws the picture at the cursor; pixels below it in the last band stay.

    Colours are rounded to a hundredth, as Sixel counts; more than 256 become the 256 that fit best.
    """
    numbers, palette = _indexed(picture)
    width = picture.width
    rows = [numbers[start : start + width] for start in range(0, len(numbers), width)]
    used = sorted(set(numbers))
    colours = "".join("#{};2;{};{};{}".format(number, *_hundredths(palette, number)) for number in used)
    bands = (_band(rows[top : top + BAND], width) for top in range(0, picture.height, BAND))
    drawn = b"-".join(bands).decode("ascii")
    return f'\x1bP0;1q"1;1;{width};{picture.height}{colours}{drawn}\x1b\\'


def _indexed(picture: Picture) -> tuple[bytes, bytes]:
    """Return a byte a pixel, and the palette that it counts in, three bytes a colour."""
    from PIL import Image

    image = image_of(picture)
    found = image.getcolors(MOST_COLOURS)
    if found is None:
        image = image.quantize(MOST_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        return image.tobytes(), bytes(image.getpalette() or ())
    # Pillow finds colours of its palette by their upper six bits: all that a VGA's DAC has.
    colours = Image.new("P", (1, 1))
    palette = b"".join(bytes(colour) for _, colour in sorted(found) if isinstance(colour, tuple))
    colours.putpalette(palette)
    return image.quantize(palette=colours, dither=Image.Dither.NONE).tobytes(), palette.ljust(768, b"\0")


def _hundredths(palette: bytes, number: int) -> tuple[int, ...]:
    return tuple((level * 100 + 127) // 255 for level in palette[number * 3 : number * 3 + 3])


def _band(rows: list[bytes], width: int) -> bytes:
    """Return up to six rows as sixels: for each colour in them its columns, then back to the left for the next."""
    numbers = set(b"".join(rows))
    if len(numbers) > MANY:
        return _band_by_columns(rows)
    lines = []
    for number in numbers:
        bits = 0
        for place, row in enumerate(rows):
            if number in row:
                bits |= int.from_bytes(row.translate(_marker(number, place)), "big")
        line = bits.to_bytes(width, "big").translate(_AS_SIXELS).rstrip(_NOTHING)
        lines.append(b"#%d%s" % (number, _REPEATED.sub(_repeat, line)))
    return b"$".join(lines)


def _band_by_columns(rows: list[bytes]) -> bytes:
    """Return the same, made from left to right: quicker where each colour has few of the columns."""
    lines: dict[int, list[bytes]] = {}
    ends: dict[int, int] = {}
    x = 0
    for column, same in groupby(zip(*rows, strict=True)):
        length = len(list(same))
        for number, character in _sixels(column):
            parts = lines.setdefault(number, [b"#%d" % number])
            gap = x - ends.get(number, 0)
            if gap:
                parts.append(_times(_NOTHING, gap))
            parts.append(_times(character, length))
            ends[number] = x + length
        x += length
    return b"$".join(b"".join(parts) for parts in lines.values())


@lru_cache(maxsize=1 << 13)
def _sixels(column: tuple[int, ...]) -> tuple[tuple[int, bytes], ...]:
    """Return the colours of six pixels, each with the character that says which of them have it."""
    bits: dict[int, int] = {}
    for place, number in enumerate(column):
        bits[number] = bits.get(number, 0) | 1 << place
    return tuple((number, bytes((0x3F + some,))) for number, some in bits.items())


@lru_cache(maxsize=1 << 12)
def _times(character: bytes, length: int) -> bytes:
    return character * length if length <= SHORT else b"!%d%s" % (length, character)


@cache
def _marker(number: int, place: int) -> bytes:
    """Return the table that makes the colour `number` the bit of its place in the band, and all others nothing."""
    table = bytearray(256)
    table[number] = 1 << place
    return bytes(table)


def _repeat(match: "re.Match[bytes]") -> bytes:
    return _times(match[1], match.end() - match.start())
