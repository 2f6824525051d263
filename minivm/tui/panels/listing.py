"""A listing: rows of coloured words with a cursor, in which every address can be clicked.

Nearly all panels are one. A row is made of `Part`s, each with a role that the theme colours; long rows are broken at
blanks where the row asks for it. Only rows that changed are drawn again.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from minivm.core.record import record
from minivm.tui.search import spans

ROLES = ("text", "dim", "head", "address", "value", "changed", "good", "bad", "note", "code", "cursor", "hit",
         "read", "written", "read-written", "executed", "read-executed", "written-executed", "all-touched")  # fmt: skip


@record
class Part:
    """Some text in one role, one of `ROLES`; a click on it follows `address` or does `action` where there is one.

    An address in the role "code" is one of code.
    """

    text: str
    role: str = "text"
    address: int | None = None
    action: str = ""


@record
class Row:
    """One row: its parts, and a key by which a panel knows it.

    `indent` is where a broken row goes on; without it the row is cut at the panel's edge.
    """

    parts: tuple[Part, ...]
    key: str = ""
    indent: int | None = None

    @property
    def text(self) -> str:
        """The row's characters."""
        return "".join(part.text for part in self.parts)

    @property
    def link(self) -> Part | None:
        """The first part that has an address."""
        return next((part for part in self.parts if part.address is not None), None)


def row(*parts: Part | str, key: str = "", indent: int | None = None) -> Row:
    """Return a row of parts; a bare text has the role "text"."""
    return Row(tuple(Part(part) if isinstance(part, str) else part for part in parts), key, indent)


def merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return parts with neighbours of one role, and nothing to click, made one."""
    found: list[Part] = []
    for part in parts:
        last = found[-1] if found else None
        plain = part.address is None and not part.action
        if last is not None and plain and last.role == part.role and last.address is None and not last.action:
            found[-1] = Part(last.text + part.text, part.role)
        else:
            found.append(part)
    return tuple(found)


def sentence(text: str, role: str = "text", *, indent: int = 0, key: str = "") -> Row:
    """Return a row of one text that is broken at blanks."""
    return Row((Part(" " * indent + text, role),), key, indent)


class Listing(ScrollView, can_focus=True):
    """Rows with a cursor; `Followed` and `Chosen` tell its panel what the user wants."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"listing--{role}" for role in ROLES} | {"listing--line"}
    DEFAULT_CSS = """
    Listing {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        & .listing--dim { text-style: dim; }
        & .listing--head { color: $primary; text-style: bold; }
        & .listing--address { color: $secondary; }
        & .listing--value { color: $foreground; }
        & .listing--changed { color: $warning; text-style: bold underline; }
        & .listing--good { color: $success; }
        & .listing--bad { color: $error; text-style: bold; }
        & .listing--note { text-style: dim italic; }
        & .listing--code { color: $accent; }
        & .listing--line { background: $surface; }
        & .listing--cursor { text-style: reverse; }
        & .listing--read { color: $success; }
        & .listing--written { color: $warning; }
        & .listing--read-written { color: $secondary; }
        & .listing--executed { color: $primary; text-style: bold; }
        & .listing--read-executed { color: $accent; }
        & .listing--written-executed { color: $error; }
        & .listing--all-touched { color: $error; text-style: bold; }
        & .listing--hit { background: $warning; color: $background; text-style: bold; }
        &:focus .listing--line { background: $primary 30%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "edge(-1)", "First row", show=False),
        Binding("end", "edge(1)", "Last row", show=False),
        Binding("enter", "choose", "Follow", show=False),
    ]

    class Followed(Message):
        """The user clicked an address, or pressed Enter on a row that has one."""

        def __init__(self, address: int, code: bool = False) -> None:
            super().__init__()
            self.address = address
            self.code = code

    class Chosen(Message):
        """The user pressed Enter on a row, or `clicked` a part with an action; `action` is the part's or ""."""

        def __init__(self, row: Row, action: str, clicked: bool = False) -> None:
            super().__init__()
            self.row = row
            self.action = action
            self.clicked = clicked

    class Beyond(Message):
        """In an endless listing: the user wants to go up (-1) or down (1), by a "row", a "page" or to the "end"."""

        def __init__(self, direction: int, step: str) -> None:
            super().__init__()
            self.direction = direction
            self.step = step

    class Pointed(Message):
        """The user clicked where no address and no action is: `column` counts from 0 in the row's text."""

        def __init__(self, row: Row, column: int) -> None:
            super().__init__()
            self.row = row
            self.column = column

    def __init__(self, *, endless: bool = False, tail: bool = False, id: str | None = None) -> None:
        """`endless` rows are a window on something longer: the keys then only tell the panel where to go.

        In a `tail` the last row stays in view while the cursor is on it.
        """
        super().__init__(id=id)
        self.endless = endless
        self.tail = tail
        self.rows: tuple[Row, ...] = ()
        self.cursor = 0
        self.follow_end = tail
        self.wanted = ""
        self._lines: list[tuple[int, tuple[Part, ...]]] = []
        self._wrapped_at = 0

    # -- rows -----------------------------------------------------------------------------------------------------
    def show_rows(self, rows: Iterable[Row]) -> None:
        """Show these rows from now on; the cursor stays on the row with the same key, or on the same number."""
        new = tuple(rows)
        if new == self.rows:
            return
        key = self.rows[self.cursor].key if self.cursor < len(self.rows) else ""
        found = next((at for at, one in enumerate(new) if one.key == key), None) if key else None
        self.rows = new
        self.cursor = max(0, min(self.cursor if found is None else found, len(new) - 1))
        self._wrap()
        if self.follow_end:
            self.cursor = max(0, len(new) - 1)
            self.call_after_refresh(self.scroll_end, animate=False, immediate=True)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    @property
    def text(self) -> str:
        """All rows as plain text, for tests, search and copying."""
        return "\n".join(one.text.rstrip() for one in self.rows)

    def mark(self, wanted: str) -> None:
        """Mark every place with this text; "" marks none."""
        if wanted != self.wanted:
            self.wanted = wanted
            self.refresh()

    def _wrap(self) -> None:
        width = max(1, self.scrollable_content_region.width)
        self._wrapped_at = width
        self._lines = [(at, line) for at, one in enumerate(self.rows) for line in broken(one, width)]
        self.virtual_size = Size(width, len(self._lines))
        self.refresh()

    def on_resize(self) -> None:
        """Break the rows anew."""
        self._wrap()

    # -- drawing --------------------------------------------------------------------------------------------------
    def render_line(self, y: int) -> Strip:
        """Return one visual line."""
        width = self.size.width
        line = y + self.scroll_offset.y
        base = self.rich_style
        if line >= len(self._lines):
            return Strip.blank(width, base)
        at, parts = self._lines[line]
        if at == self.cursor:
            line_colour = self.background_colors[1] + self.get_component_styles("listing--line").background
            base += Style(bgcolor=line_colour.rich_color)
        segments = [Segment(part.text, self._style(base, part)) for part in parts]
        strip = Strip(segments)
        if self.wanted:
            strip = painted(strip, spans(strip.text, self.wanted), self.get_component_rich_style("listing--hit"))
        return self._selectable(strip.adjust_cell_length(width, base), line)

    def _selectable(self, strip: Strip, line: int) -> Strip:
        """Return the strip so that the mouse can select in it, and with what it has selected."""
        selection = self.text_selection
        span = selection.get_span(line) if selection is not None else None
        if span is not None:
            start, end = span
            end = strip.cell_length if end < 0 else end
            strip = painted(strip, [(start, end)], self.screen.get_component_rich_style("screen--selection"))
        return strip.apply_offsets(0, line)

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """Return what the mouse has selected, and what stands behind it."""
        lines = ["".join(part.text for part in parts).rstrip() for _, parts in self._lines]
        return selection.extract("\n".join(lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what is selected."""
        self.refresh()

    def _style(self, base: Style, part: Part) -> Style:
        style = base + self.get_component_rich_style(f"listing--{part.role}", partial=True)
        if part.address is not None or part.action:
            style += Style(meta={"address": part.address, "action": part.action, "code": part.role == "code"})
        return style

    # -- keys and mouse -------------------------------------------------------------------------------------------
    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        if self.endless:
            self.post_message(self.Beyond(by, "row"))
        else:
            self.put_cursor(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by pages."""
        if self.endless:
            self.post_message(self.Beyond(by, "page"))
        else:
            self.put_cursor(self.cursor + by * max(1, self.size.height - 1))

    def action_edge(self, direction: int) -> None:
        """Put the cursor on the first or last row."""
        if self.endless:
            self.post_message(self.Beyond(direction, "end"))
        else:
            self.put_cursor(0 if direction < 0 else len(self.rows) - 1)

    def action_choose(self) -> None:
        """Do what Enter does on this row: follow its address, and tell the panel."""
        current = self.current
        if current is not None:
            self.post_message(self.Chosen(current, next((part.action for part in current.parts if part.action), "")))
            link = current.link
            if link is not None and link.address is not None:
                self.post_message(self.Followed(link.address, link.role == "code"))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is, and follow the address under it; selecting text does neither."""
        if event.chain > 1:
            event.prevent_default()  # Textual would select all of it
        if self.text_selection is not None:
            return
        line = event.y + self.scroll_offset.y
        if not 0 <= line < len(self._lines):
            return
        self.put_cursor(self._lines[line][0])
        column = event.x
        meta = event.style.meta
        current = self.current
        if meta.get("action") and current is not None:
            self.post_message(self.Chosen(current, meta["action"], clicked=True))
        elif meta.get("address") is not None:
            self.post_message(self.Followed(meta["address"], meta["code"]))
        elif current is not None:
            self.post_message(self.Pointed(current, column))

    def put_cursor(self, wanted: int) -> None:
        """Put the cursor on a row, and bring it into view."""
        self.cursor = max(0, min(wanted, len(self.rows) - 1))
        lines = [number for number, (at, _) in enumerate(self._lines) if at == self.cursor]
        if lines:
            region = Region(0, lines[0], 1, len(lines))
            self.scroll_to_region(region, animate=False, immediate=True, force=True)
        self.follow_end = self.tail and self.cursor == len(self.rows) - 1
        self.refresh()


def painted(strip: Strip, places: Iterable[tuple[int, int]], style: Style) -> Strip:
    """Return a strip with a style over some of its columns."""
    for start, end in places:
        cuts = [cut for cut in (start, end, strip.cell_length) if cut]
        pieces = list(strip.divide(cuts))
        first = 1 if start else 0
        if first < len(pieces):
            inner = [Segment(text, (old or Style()) + style) for text, old, _ in pieces[first]]
            pieces[first] = Strip(inner)
        strip = Strip.join(pieces)
    return strip


def broken(one: Row, width: int) -> list[tuple[Part, ...]]:
    """Return a row as visual lines of at most `width` characters, broken at blanks where the row allows it."""
    if one.indent is None or len(one.text) <= width:
        return [one.parts]
    indent = one.indent if one.indent < width - 8 else 0
    return [_cut(one.parts, start, end, indent if number else 0) for number, (start, end) in
            enumerate(_breaks(one.text, width, indent))]  # fmt: skip


def _breaks(text: str, width: int, indent: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(text):
        room = max(1, width - (indent if spans else 0))
        end = start + room
        if end < len(text):
            blank = text.rfind(" ", start + 1, end + 1)
            leading = len(text[start:]) - len(text[start:].lstrip(" "))
            end = blank if blank > start + leading else end
        spans.append((start, min(end, len(text))))
        start = end
        while start < len(text) and text[start] == " ":
            start += 1
    return spans or [(0, 0)]


def _cut(parts: Sequence[Part], start: int, end: int, indent: int) -> tuple[Part, ...]:
    found = [Part(" " * indent)] if indent else []
    at = 0
    for part in parts:
        first, last = max(start - at, 0), min(end - at, len(part.text))
        if first < last:
            found.append(Part(part.text[first:last], part.role, part.address, part.action))
        at += len(part.text)
    return tuple(found)
