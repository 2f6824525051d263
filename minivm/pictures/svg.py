"""What the monitor shows as SVG: a text screen as real text, which can be searched and copied, a picture as PNG in it.

Text stands in cells of 8 x 16 in the viewer's own monospaced font. Each run of words in one colour begins in its own
column and is stretched to its cells, so that columns stay columns in every font.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from itertools import groupby

from minivm.core.picture import Picture
from minivm.core.record import record
from minivm.core.screen import Cell, Colour, TextScreen
from minivm.pictures.pixels import aspect
from minivm.pictures.png import png

CELL_WIDTH, CELL_HEIGHT = 8, 16
BASELINE = 12
FONT_SIZE = 13.29
"""Most monospaced fonts are 0.602 of their size wide: a cell, for viewers that do not stretch."""
_WORDS = re.compile(r"[^ ]+(?: [^ ]+)*")
FONTS = "'IBM Plex Mono','DejaVu Sans Mono',Menlo,Consolas,monospace"


@record
class _Run:
    """Cells of one look: where they begin, what stands in them."""

    row: int
    column: int
    text: str
    cell: Cell


def svg(shown: Picture | TextScreen, scale: int = 1) -> str:
    """Return the document; `scale` multiplies the size at which it is shown."""
    return _picture(shown, scale) if isinstance(shown, Picture) else _screen(shown, scale)


def _picture(picture: Picture, scale: int) -> str:
    """A picture keeps its own pixels and gets the monitor's shape."""
    width, height = picture.width, picture.width / aspect(picture)
    if height < picture.height:
        width, height = round(picture.height * aspect(picture)), picture.height
    data = b64encode(png(picture)).decode()
    image = (
        f'<image width="{width}" height="{height:g}" preserveAspectRatio="none" image-rendering="pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )
    return _document(width, height, scale, [image])


def _screen(screen: TextScreen, scale: int) -> str:
    palette, runs = screen.palette, list(_runs(screen))
    width, height = screen.columns * CELL_WIDTH, screen.rows * CELL_HEIGHT
    parts = [f'<rect width="{width}" height="{height}" fill="{_colour(palette[0])}"/>']
    parts += [_background(run, palette) for run in runs if run.cell.background]
    parts.append(f'<g font-family="{FONTS}" font-size="{FONT_SIZE}px" xml:space="preserve">')
    parts += [_text(words, palette) for run in runs for words in _words(run)]
    parts.append("</g>")
    parts += _cursor(screen)
    return _document(width, height, scale, parts)


def _document(width: float, height: float, scale: int, parts: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * scale:g}" height="{height * scale:g}" '
        f'viewBox="0 0 {width:g} {height:g}">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def _runs(screen: TextScreen) -> Iterator[_Run]:
    for row in range(screen.rows):
        cells = ((screen.cell(row, column), column) for column in range(screen.columns))
        for _, group in groupby(cells, lambda one: (one[0].foreground, one[0].background, one[0].underlined)):
            run = list(group)
            yield _Run(row, run[0][1], "".join(cell.glyph for cell, _ in run), run[0][0])


def _words(run: _Run) -> Iterator[_Run]:
    """Give what stands between gaps of two blanks and more; underlined blanks are seen, and part of the text."""
    if run.cell.underlined:
        yield run
        return
    for match in _WORDS.finditer(run.text):
        yield _Run(run.row, run.column + match.start(), match[0], run.cell)


def _background(run: _Run, palette: tuple[Colour, ...]) -> str:
    return (
        f'<rect x="{run.column * CELL_WIDTH}" y="{run.row * CELL_HEIGHT}" width="{len(run.text) * CELL_WIDTH}" '
        f'height="{CELL_HEIGHT}" fill="{_colour(palette[run.cell.background])}"/>'
    )


def _text(run: _Run, palette: tuple[Colour, ...]) -> str:
    line = ' text-decoration="underline"' if run.cell.underlined else ""
    return (
        f'<text x="{run.column * CELL_WIDTH}" y="{run.row * CELL_HEIGHT + BASELINE}" '
        f'textLength="{len(run.text) * CELL_WIDTH}" lengthAdjust="spacingAndGlyphs" '
        f'fill="{_colour(palette[run.cell.foreground])}"{line}>{escape(run.text)}</text>'
    )


def _cursor(screen: TextScreen) -> list[str]:
    if not screen.cursor_visible:
        return []
    line = CELL_HEIGHT / screen.cell_height
    top = screen.cursor_row * CELL_HEIGHT + screen.cursor_start * line
    height = (screen.cursor_end - screen.cursor_start + 1) * line
    colour = screen.palette[screen.cell(screen.cursor_row, screen.cursor_column).foreground]
    return [
        f'<rect x="{screen.cursor_column * CELL_WIDTH}" y="{top:g}" width="{CELL_WIDTH}" height="{height:g}" '
        f'fill="{_colour(colour)}"/>'
    ]


def _colour(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
