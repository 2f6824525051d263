"""Colours as a terminal can show them: 24 bits, xterm's 256, the sixteen of ECMA-48, or none.

XTerm Control Sequences, "Character Attributes (SGR)"; no-color.org; COLORTERM as S-Lang and most terminals know it.
"""

from collections.abc import Mapping
from functools import lru_cache

from minivm.core.screen import Colour

_CUBE = (0, 95, 135, 175, 215, 255)
DIRECT, INDEXED, SIXTEEN, NONE = "direct", "indexed", "sixteen", "none"
SIXTEEN_COLOURS: tuple[Colour, ...] = tuple(
    (level * (number & 1) or low, level * (number >> 1 & 1) or low, level * (number >> 2 & 1) or low)
    for level, low in ((0xAA, 0x00), (0xFF, 0x55))
    for number in range(8)
)
"""What terminals show for the sixteen, more or less; bit 0 is red, as ECMA-48 counts."""
SHADES = " ░▒▓█"
"""What stands for dark to bright where there is no colour."""


def depth_of(environment: Mapping[str, str]) -> str:
    """Return how many colours COLORTERM, TERM and NO_COLOR promise: "direct", "indexed", "sixteen" or "none"."""
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR"):
        return NONE
    if environment.get("COLORTERM", "") in ("truecolor", "24bit") or term.endswith("-direct"):
        return DIRECT
    return INDEXED if "256color" in term else SIXTEEN


@lru_cache(maxsize=1 << 14)
def nearest(colour: Colour) -> int:
    """Return the number of the nearest of xterm's 256 colours, out of the cube and the greys."""
    steps = [min(range(6), key=lambda step: abs(_CUBE[step] - level)) for level in colour]
    grey = max(0, min(23, round((sum(colour) / 3 - 8) / 10)))
    cube = tuple(_CUBE[step] for step in steps)
    if distance(colour, (8 + 10 * grey,) * 3) < distance(colour, cube):
        return 232 + grey
    return 16 + 36 * steps[0] + 6 * steps[1] + steps[2]


@lru_cache(maxsize=1 << 14)
def nearest_of_sixteen(colour: Colour) -> int:
    """Return the number of the nearest of the sixteen colours."""
    return min(range(16), key=lambda number: distance(colour, SIXTEEN_COLOURS[number]))


def distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return how far two colours lie apart, squared."""
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def light(colour: Colour) -> int:
    """Return how bright a colour looks, 0 to 255 (ITU-R BT.601 weights)."""
    red, green, blue = colour
    return (299 * red + 587 * green + 114 * blue) // 1000
