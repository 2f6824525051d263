"""IBM code page 437: what each byte in the text screen's memory looks like.

Unlike Python's codec of that name it gives the pictures in the character generator for 00h-1Fh and 7Fh, not control
characters (IBM Character Data Representation Architecture, GCGID table of code page 437).
"""

from minivm.errors import ConfigError

GLYPHS = (
    " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
    " !\"#$%&'()*+,-./0123456789:;<=>?"
    "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_"
    "`abcdefghijklmnopqrstuvwxyz{|}~⌂"
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ"
    "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
    "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ "
)
"""The 256 glyphs in order; 00h and FFh are blank and shown as a space."""

_TO_UNICODE = dict(enumerate(GLYPHS))
_TO_BYTE = {glyph: code for code, glyph in enumerate(GLYPHS)} | {" ": 0x20, "\u00a0": 0xFF}


def decode(data: bytes) -> str:
    """Return the glyphs of `data`, one character a byte."""
    return data.decode("latin-1").translate(_TO_UNICODE)


def encode(text: str) -> bytes:
    """Return the bytes that show `text`, one a character; a space is 20h, a no-break space FFh.

    Raises `ConfigError` for a character that the code page lacks.
    """
    try:
        return bytes(_TO_BYTE[character] for character in text)
    except KeyError as missing:
        raise ConfigError(f"code page 437 has no {missing.args[0]!r}") from None
