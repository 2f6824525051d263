"""MiniVM's own character shapes, drawn on 5 x 8 dots, from which the ROM's fonts of 8, 14 and 16 lines are made.

A text screen shows characters by their numbers, so these shapes only matter to a guest that reads the font itself.
What has no drawing (the Greek letters, most of 01h-1Fh) is an empty frame.
"""

import unicodedata

from minivm.core.cp437 import GLYPHS

ROWS = 8
WIDTH = 5
LEFT = 1
"""Empty dots at the left of a drawing inside the cell of eight."""

# Each character: rows from the top, two hex digits each, bit 4 is the leftmost dot. Seven rows stand on the base
# line; an eighth hangs below it.
_DRAWINGS = {
    " ": "", "!": "04040404040004", '"': "0A0A0A", "#": "0A0A1F0A1F0A0A", "$": "040F140E051E04", "%": "18190204081303",
    "&": "0C1214081512 0D", "'": "040408", "(": "02040808080402", ")": "08040202020408", "*": "0004150E150400",
    "+": "0004041F040400", ",": "0000000000040408", "-": "0000001F000000", ".": "00000000000606", "/": "01010204081010",
    "0": "0E11131519110E", "1": "040C040404040E", "2": "0E11010204081F", "3": "1F02040201110E", "4": "02060A121F0202",
    "5": "1F101E0101110E", "6": "0608101E11110E", "7": "1F010204040404", "8": "0E11110E11110E", "9": "0E11110F01020C",
    ":": "00060600060600", ";": "0006060006060408", "<": "02040810080402", "=": "00001F001F0000", ">": "08040201020408",
    "?": "0E110102040004", "@": "0E11171517100E", "A": "0E11111F111111", "B": "1E11111E11111E", "C": "0E11101010110E",
    "D": "1C12111111121C", "E": "1F10101E10101F", "F": "1F10101E101010", "G": "0E11101711110F", "H": "1111111F111111",
    "I": "0E04040404040E", "J": "0702020202120C", "K": "11121418141211", "L": "1010101010101F", "M": "111B1515111111",
    "N": "11111915131111", "O": "0E11111111110E", "P": "1E11111E101010", "Q": "0E11111115120D", "R": "1E11111E141211",
    "S": "0F10100E01011E", "T": "1F040404040404", "U": "1111111111110E", "V": "1111111111 0A04", "W": "1111111515150A",
    "X": "11110A040A1111", "Y": "11110A04040404", "Z": "1F01020408101F", "[": "0E08080808080E", "\\": "10100804020101",
    "]": "0E02020202020E", "^": "040A11", "_": "000000000000001F", "`": "080402", "a": "00000E010F110F",
    "b": "1010161911111E", "c": "00000E1010110E", "d": "01010D1311110F", "e": "00000E111F100E", "f": "0609081C080808",
    "g": "00000F11110F011E", "h": "10101619111111", "i": "04000C0404040E", "j": "020006020202120C",
    "k": "10101214181412", "l": "0C04040404040E", "m": "00001A15151111", "n": "00001619111111", "o": "00000E1111110E",
    "p": "00001E11111E1010", "q": "00000F11110F0101", "r": "00001619101010", "s": "00000F100E011E",
    "t": "08081C08080906",
    "u": "0000111111130D", "v": "00001111110A04", "w": "0000111115150A", "x": "0000110A040A11", "y": "00001111110F010E",
    "z": "00001F0204081F", "{": "02040408040402", "|": "04040404040404", "}": "08040402040408", "~": "00000815020000",
    "•": "00000E1F1F0E00", "►": "10181C1E1C1810", "◄": "0103070F070301", "▲": "0004040E0E1F1F", "▼": "1F1F0E0E040400",
    "↑": "040E1504040404", "↓": "0404040415 0E04", "→": "0004021F020400", "←": "0004081F080400", "·": "00000006060000",
    "■": "00001F1F1F1F00", "°": "0609090600", "±": "0004041F04001F", "÷": "0004001F000400", "²": "0C02040E",
    "«": "00000509120905", "»": "0000141209 1214", "¿": "0400040810110E", "¡": "04000404040404", "¬": "0000001F010100",
    "ß": "0C12121C121116", "≡": "001F001F001F00", "≥": "0804020408001E", "≤": "0204080402000F", "√": "07040404140C04",
}  # fmt: skip
_FRAME = "1F11111111111F"
_MARKS = {"\u0300": 0x08, "\u0301": 0x02, "\u0302": 0x04, "\u0303": 0x0D, "\u0308": 0x0A, "\u030a": 0x04}
_CEDILLA = "\u0327"

# The frames, B3h to DAh: up, right, down, left; 0 no arm, 1 a single line, 2 a double one
_ARMS = (
    "1010", "1011", "1012", "2021", "0021", "0012", "2022", "2020", "0022", "2002",
    "2001", "1002", "0011", "1100", "1101", "0111", "1110", "0101", "1111", "1210",
    "2120", "2200", "0220", "2202", "0222", "2220", "0202", "2222", "1202", "2101",
    "0212", "0121", "2100", "1200", "0210", "0120", "2121", "1212", "1001", "0110",
)  # fmt: skip
_FIRST_ARMS = 0xB3
_LINES = {"0": (), "1": (3,), "2": (2, 4)}
"""Which dots of the eight across a single or a double line covers."""
_BLOCKS = {
    0xB0: (0x88, 0x22) * 4, 0xB1: (0xAA, 0x55) * 4, 0xB2: (0x77, 0xDD) * 4, 0xDB: (0xFF,) * 8,
    0xDC: (0,) * 4 + (0xFF,) * 4, 0xDD: (0xF0,) * 8, 0xDE: (0x0F,) * 8, 0xDF: (0xFF,) * 4 + (0,) * 4,
}  # fmt: skip


def table(height: int) -> bytes:
    """Return the font of 256 characters with 8, 14 or 16 lines each, one byte a line, bit 7 at the left."""
    return b"".join(_stretch(glyph(code), height) for code in range(256))


def glyph(code: int) -> bytes:
    """Return the eight lines of a character of code page 437."""
    if code in _BLOCKS:
        return bytes(_BLOCKS[code])
    if 0 <= code - _FIRST_ARMS < len(_ARMS):
        return _frame_part(_ARMS[code - _FIRST_ARMS])
    return bytes(row << 8 - WIDTH - LEFT for row in _drawing(GLYPHS[code]))


def _drawing(character: str) -> list[int]:
    base, *marks = list(unicodedata.normalize("NFD", character))
    if not marks or base not in _DRAWINGS:
        return _rows(_DRAWINGS.get(character, _FRAME))
    rows = _rows(_DRAWINGS[base])
    if marks[0] == _CEDILLA:
        return [*rows[:7], 0x04]
    # A small letter has room above it; a capital gives up its second row.
    body = rows[1:] if not rows[0] or base == "i" else [rows[0], *rows[2:]]
    return [_MARKS[marks[0]], *body][:ROWS]


def _rows(digits: str) -> list[int]:
    rows = list(bytes.fromhex(digits.replace(" ", "")))
    return rows + [0] * (ROWS - len(rows))


def _frame_part(arms: str) -> bytes:
    """Draw the lines of a frame: each arm runs from its edge to the far side of the lines that it meets."""
    up, right, down, left = (_LINES[arm] for arm in arms)
    rows = [0] * ROWS
    across, along = sorted({*left, *right}) or [3], sorted({*up, *down}) or [3]
    for columns, span in ((up, range(across[-1] + 1)), (down, range(across[0], ROWS))):
        for column in columns:
            for row in span:
                rows[row] |= 0x80 >> column
    for lines, span in ((left, range(along[-1] + 1)), (right, range(along[0], 8))):
        for row in lines:
            for column in span:
                rows[row] |= 0x80 >> column
    return bytes(rows)


def _stretch(lines: bytes, height: int) -> bytes:
    """Repeat lines until there are `height`: all of them for 16, all but the outer two for 14."""
    if height == ROWS:
        return lines
    doubled = bytes(line for line in lines for _ in range(2))
    return doubled if height == 2 * ROWS else doubled[1:-1]
