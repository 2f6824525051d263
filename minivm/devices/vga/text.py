"""The VGA's text modes: registers and planes to characters in words, and to pixels.

IBM PS/2 Hardware Interface Technical Reference, "Alphanumeric modes". A character is one offset of the planes: its code
in plane 0, its attribute in plane 1; plane 2 holds up to eight fonts of 256 glyphs, 32 lines of 8 pixels each.
"""

from collections.abc import Iterator
from functools import lru_cache

from minivm.core.picture import Picture
from minivm.core.record import record
from minivm.core.screen import Colour, TextScreen
from minivm.devices.vga.colours import dac_colours, to_rgb
from minivm.devices.vga.state import BLINK, VgaState, colour_numbers
from minivm.devices.vga.timing import line_compare, shown_lines, start_address

CHARACTERS = 0x10000
"""The CRTC counts 16-bit addresses, one for each character."""
GLYPH_LINES, FONT_BYTES = 32, 0x2000
LINE_GRAPHICS = range(0xC0, 0xE0)
"""Characters whose eighth pixel goes on into the ninth, so that lines meet."""
REPEAT_EIGHTH = 0x04
UNDERLINED = 0x01


def text_screen(state: VgaState, memory: memoryview) -> TextScreen:
    """Return the characters that the monitor shows; all blank while the screen is off or in a graphics mode."""
    columns = state.crtc[0x01] + 1
    height = _line_height(state.crtc)
    rows = max(1, shown_lines(state.crtc) // height)
    if state.blanked or state.graphics_mode:
        return _screen_of(state, (columns, rows), bytes(4 * columns * rows), None)
    places = _row_places(state.crtc, rows, height)
    cells = b"".join(_cells(memory, place, columns) for place in places)
    return _screen_of(state, (columns, rows), cells, _cursor_place(state.crtc, places, columns))


def _screen_of(state: VgaState, size: tuple[int, int], cells: bytes, cursor: tuple[int, int] | None) -> TextScreen:
    crtc = state.crtc
    height, underline = _cell_height(crtc), crtc[0x14] & 0x1F
    row, column = (0, 0) if cursor is None else cursor
    return TextScreen(
        columns=size[0],
        rows=size[1],
        characters=cells[0::4],
        attributes=cells[1::4],
        cursor_column=column,
        cursor_row=row,
        cursor_visible=cursor is not None and _cursor_shown(crtc),
        cursor_start=crtc[0x0A] & 0x1F,
        cursor_end=min(crtc[0x0B] & 0x1F, height - 1),
        cell_height=height,
        blink_enabled=bool(state.attribute[0x10] & BLINK),
        palette=_palette(state),
        underline_line=underline if underline < height else None,
    )


def _palette(state: VgaState) -> tuple[Colour, ...]:
    """Return the 16 colours; a level of 0 to 63 becomes one of 0 to 255."""
    wide = state.vbe.eight_bit_dac
    palette = []
    for number in colour_numbers(state):
        red, green, blue = state.dac[3 * number : 3 * number + 3]
        palette.append((red, green, blue) if wide else (_eight_bits(red), _eight_bits(green), _eight_bits(blue)))
    return tuple(palette)


def _eight_bits(level: int) -> int:
    return (level << 2 | level >> 4) & 0xFF


def _cell_height(crtc: bytes) -> int:
    return (crtc[0x09] & 0x1F) + 1


def _line_height(crtc: bytes) -> int:
    """Return how many scan lines of the frame a row takes: twice its height when 09h doubles the lines."""
    return _cell_height(crtc) * (2 if crtc[0x09] & 0x80 else 1)


def _row_places(crtc: bytes, rows: int, height: int) -> list[int]:
    """Return the address at which each row begins: split by line compare, else one after another."""
    start, pitch = start_address(crtc), crtc[0x13] * 2
    split = min(rows, line_compare(crtc) // height + 1)
    above = [(start + row * pitch) % CHARACTERS for row in range(split)]
    return above + [row * pitch % CHARACTERS for row in range(rows - split)]


def _cells(memory: memoryview, place: int, columns: int) -> bytes:
    """Return four bytes for each of `columns` characters from address `place`, going round after the last address."""
    first = bytes(memory[4 * place : 4 * min(place + columns, CHARACTERS)])
    return first + bytes(memory[: 4 * columns - len(first)])


def _cursor_place(crtc: bytes, places: list[int], columns: int) -> tuple[int, int] | None:
    """Return row and column of the cursor, moved right by its skew, or None where it is not on the screen."""
    for row, place in enumerate(places):
        column = _cursor_column(crtc, place)
        if column < columns:
            return row, column
    return None


def _cursor_column(crtc: bytes, place: int) -> int:
    location, skew = crtc[0x0E] << 8 | crtc[0x0F], crtc[0x0B] >> 5 & 3
    return (location - place) % CHARACTERS + skew


def _cursor_shown(crtc: bytes) -> bool:
    start, end = crtc[0x0A], crtc[0x0B] & 0x1F
    return not start & 0x20 and start & 0x1F <= end and start & 0x1F < _cell_height(crtc)


# Pixels


@record
class _Cells:
    """What all characters of one picture share; `width` and `height` in pixels, and `underline` a line or -1."""

    columns: int
    width: int
    height: int
    fonts: tuple[bytes, bytes]
    attribute_mode: int
    underline: int
    cursor_lines: range


def text_picture(state: VgaState, memory: memoryview) -> Picture:
    """Return the pixels of a text mode: blinking characters and the cursor in their visible phase."""
    crtc = state.crtc
    cells = _cells_of(state, memory)
    line_height = _line_height(crtc)
    lines = max(line_height, shown_lines(crtc) // line_height * line_height)
    width, pan = cells.columns * cells.width, _panning(state, cells.width)
    rows: dict[int, list[bytes]] = {}
    glyphs: dict[tuple[int, int], list[bytes]] = {}
    shown = []
    for place, scan, panned in _scan_lines(state, lines):
        row = rows.get(place)
        if row is None:
            row = rows[place] = _row(crtc, cells, glyphs, _cells(memory, place, cells.columns + 1), place)
        skipped = pan if panned else 0
        shown.append(row[scan][skipped : skipped + width])
    return Picture(width, lines, to_rgb(b"".join(shown), dac_colours(state, colour_numbers(state))))


def _cells_of(state: VgaState, memory: memoryview) -> _Cells:
    crtc, clocking = state.crtc, state.sequencer[0x01]
    height, underline = _cell_height(crtc), crtc[0x14] & 0x1F
    start, end = crtc[0x0A] & 0x1F, min(crtc[0x0B] & 0x1F, height - 1)
    return _Cells(
        columns=crtc[0x01] + 1,
        width=16 if clocking & 0x08 else 8 if clocking & 0x01 else 9,
        height=height,
        fonts=_fonts(state.sequencer[0x03], memory),
        attribute_mode=state.attribute[0x10],
        underline=underline if underline < height else -1,
        cursor_lines=range(start, end + 1) if _cursor_shown(crtc) else range(0),
    )


def _fonts(select: int, memory: memoryview) -> tuple[bytes, bytes]:
    """Return the glyphs for attributes with bit 3 clear and set, by the character map select register."""
    maps = (select & 3) << 1 | select >> 4 & 1, (select >> 2 & 3) << 1 | select >> 5 & 1
    clear, high = (bytes(memory[4 * FONT_BYTES * one + 2 : 4 * FONT_BYTES * (one + 1) : 4]) for one in maps)
    return clear, high


def _panning(state: VgaState, width: int) -> int:
    """Return how many pixels all lines begin further right: a character of nine pixels counts 8, 0, 1, ... 7."""
    panning = state.attribute[0x13]
    if width == 9:
        return panning + 1 if panning < 8 else 0
    return (panning & 7) * (width // 8) if panning < 8 else 0


def _scan_lines(state: VgaState, lines: int) -> Iterator[tuple[int, int, bool]]:
    """Give each line of the picture: the address of its row, its line in the characters, and whether it is panned."""
    crtc = state.crtc
    height, pitch, repeat = _cell_height(crtc), crtc[0x13] * 2, 2 if crtc[0x09] & 0x80 else 1
    compare = line_compare(crtc)
    place, scan, panned = start_address(crtc) % CHARACTERS, min(crtc[0x08] & 0x1F, height - 1), True
    for line in range(lines):
        yield place, scan, panned
        if line == compare:
            place, scan = 0, 0
            panned = panned and not state.attribute[0x10] & 0x20
        elif line % repeat == repeat - 1:
            scan += 1
            if scan == height:
                place, scan = (place + pitch) % CHARACTERS, 0


def _row(
    crtc: bytes, cells: _Cells, glyphs: dict[tuple[int, int], list[bytes]], words: bytes, place: int
) -> list[bytes]:
    """Return the lines of one row of characters, a byte 0 to 15 for each pixel."""
    row = []
    for cell in zip(words[0::4], words[1::4], strict=True):
        glyph = glyphs.get(cell)
        if glyph is None:
            glyph = glyphs[cell] = _glyph(cells, *cell)
        row.append(glyph)
    column = _cursor_column(crtc, place)
    if column < cells.columns and cells.cursor_lines:
        row[column] = _with_cursor(cells, row[column], words[4 * column + 1] & 0x0F)
    return [b"".join(line) for line in zip(*row, strict=True)]


def _glyph(cells: _Cells, character: int, attribute: int) -> list[bytes]:
    """Return the lines of one character in its colours."""
    repeats = character in LINE_GRAPHICS and bool(cells.attribute_mode & REPEAT_EIGHTH)
    pixels = _pixel_table(cells.width, repeats)
    font = cells.fonts[attribute >> 3 & 1]
    lines = [pixels[line] for line in font[GLYPH_LINES * character : GLYPH_LINES * character + cells.height]]
    if cells.underline >= 0 and attribute & 0x07 == UNDERLINED:
        lines[cells.underline] = b"\1" * cells.width
    background = attribute >> 4 & (0x07 if cells.attribute_mode & BLINK else 0x0F)
    colours = bytes([background, attribute & 0x0F]).ljust(256, b"\0")
    return [line.translate(colours) for line in lines]


def _with_cursor(cells: _Cells, glyph: list[bytes], foreground: int) -> list[bytes]:
    full = bytes([foreground]) * cells.width
    return [full if line in cells.cursor_lines else pixels for line, pixels in enumerate(glyph)]


@lru_cache(maxsize=8)
def _pixel_table(width: int, repeats: bool) -> list[bytes]:
    """Return by a glyph's byte its pixels, 0 or 1: eight, nine, or eight of double width."""
    table = []
    for byte in range(256):
        pixels = bytes(byte >> bit & 1 for bit in range(7, -1, -1))
        if width == 16:
            pixels = bytes(pixel for pixel in pixels for _ in range(2))
        elif width == 9:
            pixels += bytes([byte & 1 if repeats else 0])
        table.append(pixels)
    return table
