"""A PC's text screen as escape sequences of a terminal, only what changed since the last time.

ECMA-48 SGR; colours beyond its eight as in xterm's 256-colour and direct-colour modes (XTerm Control Sequences).
"""

from collections.abc import Callable, Mapping

from minivm.core.cp437 import decode
from minivm.core.record import record, replace
from minivm.core.screen import Cell, Colour, TextScreen

Paint = Callable[[TextScreen, Cell], str]
"""Returns the SGR parameters for a cell's two colours."""

_CUBE = (0, 95, 135, 175, 215, 255)


@record
class Window:
    """What part of the screen the terminal shows: `rows` x `columns` cells from (`top`, `left`)."""

    rows: int
    columns: int
    top: int = 0
    left: int = 0


def fit(screen: TextScreen, terminal_rows: int, terminal_columns: int, old: Window) -> Window:
    """Return the window for a terminal of that size: all, or a part that keeps the cursor and moves only if it must."""
    rows, columns = min(screen.rows, terminal_rows), min(screen.columns, terminal_columns)
    row, column = (screen.cursor_row, screen.cursor_column) if screen.cursor_visible else (old.top, old.left)
    return Window(
        rows, columns, _follow(row, old.top, rows, screen.rows), _follow(column, old.left, columns, screen.columns)
    )


def _follow(place: int, start: int, length: int, whole: int) -> int:
    start = min(max(start, place - length + 1), place)
    return max(0, min(start, whole - length))


class Painter:
    """Remembers what the terminal shows. `shapes` is false where the cursor's shape cannot be set."""

    def __init__(self, paint: Paint, *, shapes: bool = True) -> None:
        self._paint, self._shapes = paint, shapes
        self._styles: dict[int, str] = {}
        self._look: object = None
        self.forget()

    def forget(self) -> None:
        """Draw everything the next time."""
        self._shown: dict[int, tuple[bytes, bytes]] = {}
        self._window: Window | None = None
        self._cursor: object = None

    def forget_cursor(self) -> None:
        """Put the cursor in its place the next time, after something else has moved it."""
        self._cursor = None

    def draw(self, screen: TextScreen, window: Window) -> str:
        """Return what makes the terminal show `window` of `screen`; empty when it does already."""
        look = (screen.palette, screen.blink_enabled, screen.underline_line is not None)
        if look != self._look or window != self._window:
            self._look, self._window = look, window
            self._styles.clear()
            self._shown.clear()
        changes = "".join(self._row(screen, window, number) for number in range(window.rows))
        cursor = self._cursor_at(screen, window)
        if not changes and cursor == self._cursor:
            return ""
        self._cursor = cursor
        # The cursor is hidden on its way over the screen.
        return f"\x1b[?25l{changes}\x1b[0m{cursor}" if changes else cursor

    def line(self, screen: TextScreen, row: int) -> str:
        """Return one row with its colours for printing, without the blank end."""
        start = row * screen.columns
        end = start + screen.columns
        characters, attributes = screen.characters[start:end], screen.attributes[start:end]
        used = len(characters.rstrip(b"\0 \xff"))
        return self._cells(screen, characters[:used], attributes[:used]) + "\x1b[0m" if used else ""

    def _row(self, screen: TextScreen, window: Window, number: int) -> str:
        start = (window.top + number) * screen.columns + window.left
        end = start + window.columns
        new = screen.characters[start:end], screen.attributes[start:end]
        old = self._shown.get(number)
        if new == old:
            return ""
        self._shown[number] = new
        first, last = _difference(old, new) if old is not None else (0, window.columns)
        cells = self._cells(screen, new[0][first:last], new[1][first:last])
        return f"\x1b[{number + 1};{first + 1}H{cells}"

    def _cells(self, screen: TextScreen, characters: bytes, attributes: bytes) -> str:
        text, parts, at = decode(characters), [], 0
        while at < len(text):
            attribute, begin = attributes[at], at
            while at < len(text) and attributes[at] == attribute:
                at += 1
            parts.append(self._style(screen, attribute) + text[begin:at])
        return "".join(parts)

    def _style(self, screen: TextScreen, attribute: int) -> str:
        style = self._styles.get(attribute)
        if style is None:
            cell = cell_of(screen, attribute)
            marks = ";5" * cell.blinks + ";4" * cell.underlined
            style = self._styles[attribute] = f"\x1b[0;{self._paint(screen, cell)}{marks}m"
        return style

    def _cursor_at(self, screen: TextScreen, window: Window) -> str:
        row, column = screen.cursor_row - window.top, screen.cursor_column - window.left
        if not (screen.cursor_visible and 0 <= row < window.rows and 0 <= column < window.columns):
            return "\x1b[?25l"
        block = screen.cursor_start * 2 < screen.cell_height
        shape = f"\x1b[{1 if block else 3} q" if self._shapes else ""
        return f"\x1b[{row + 1};{column + 1}H{shape}\x1b[?25h"


def cell_of(screen: TextScreen, attribute: int) -> Cell:
    """Return how a blank with this attribute looks on `screen`."""
    return replace(screen, columns=1, rows=1, characters=b" ", attributes=bytes([attribute])).cell(0, 0)


def _difference(old: tuple[bytes, bytes], new: tuple[bytes, bytes]) -> tuple[int, int]:
    """Return the first and one behind the last column in which two rows of one length differ."""
    differs = [
        number
        for number, cells in enumerate(zip(*old, *new, strict=True))
        if cells[0] != cells[2] or cells[1] != cells[3]
    ]
    return differs[0], differs[-1] + 1


# -- colours ----------------------------------------------------------------------------------------------------------
def paint_for(environment: Mapping[str, str]) -> Paint:
    """Return how colours are shown: as COLORTERM, TERM and NO_COLOR say (no-color.org)."""
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR"):
        return _without_colour
    if environment.get("COLORTERM", "") in ("truecolor", "24bit") or term.endswith("-direct"):
        return _direct
    return _indexed if "256color" in term else _sixteen


def _direct(screen: TextScreen, cell: Cell) -> str:
    return ";".join(
        f"{ground};2;{red};{green};{blue}"
        for ground, number in ((38, cell.foreground), (48, cell.background))
        for red, green, blue in (screen.palette[number],)
    )


def _indexed(screen: TextScreen, cell: Cell) -> str:
    foreground, background = screen.palette[cell.foreground], screen.palette[cell.background]
    return f"38;5;{nearest(foreground)};48;5;{nearest(background)}"


def nearest(colour: Colour) -> int:
    """Return the number of the nearest of xterm's 256 colours, out of the cube and the greys."""
    steps = [min(range(6), key=lambda step: abs(_CUBE[step] - level)) for level in colour]
    grey = max(0, min(23, round((sum(colour) / 3 - 8) / 10)))
    cube = tuple(_CUBE[step] for step in steps)
    if _distance(colour, (8 + 10 * grey,) * 3) < _distance(colour, cube):
        return 232 + grey
    return 16 + 36 * steps[0] + 6 * steps[1] + steps[2]


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _sixteen(screen: TextScreen, cell: Cell) -> str:
    """The terminal's own colours: the PC counts blue, green, red where ECMA-48 counts red, green, blue."""
    return f"{_ansi(cell.foreground) + 30};{_ansi(cell.background) + 40}"


def _ansi(number: int) -> int:
    return ((number & 1) << 2 | number & 2 | (number & 4) >> 2) + (60 if number & 8 else 0)


def _without_colour(screen: TextScreen, cell: Cell) -> str:
    marks = ["1"] if cell.foreground & 8 else ["22"]
    if sum(screen.palette[cell.background]) > sum(screen.palette[cell.foreground]):
        marks.append("7")
    return ";".join(marks)
