"""What the monitor shows as SVG: a text screen as real text, which can be searched and copied, a picture as PNG in it.

Text stands in cells of 8 x 16 in the viewer's own monospaced font. Each run of one colour is stretched to its cells, so
that columns stay columns in every font.
"""

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
    parts.append(f'<g font-family="{FONTS}" font-size="{CELL_HEIGHT * 5 // 6}px" xml:space="preserve">')
    parts += [_text(run, palette) for run in runs if run.text.strip()]
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
        for look, group in groupby(cells, lambda one: (one[0].foreground, one[0].background, one[0].underlined)):
            run = list(group)
            text = "".join(cell.glyph for cell, _ in run)
            yield from _without_wide_gaps(_Run(row, run[0][1], text, run[0][0]), bool(look[1]))


def _without_wide_gaps(run: _Run, has_background: bool) -> Iterator[_Run]:
    """Leave blanks at both ends out where nothing stands behind them, so that text begins in its own column."""
    if has_background or not run.text.strip(" "):
        yield run
        return
    kept = run.text.lstrip(" ")
    yield _Run(run.row, run.column + len(run.text) - len(kept), kept.rstrip(" "), run.cell)


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
