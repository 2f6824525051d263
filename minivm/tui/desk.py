"""Where the panels lie: a plan for each layout and size, and the widget that carries it out.

`plan` is a function of numbers alone. A layout is made of groups; a group is a place, with one panel or several behind
one another as tabs.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from textual.containers import Container
from textual.message import Message

from minivm.tui.panel import Panel

SMALLEST = (40, 12)
"""Below this many columns and rows nothing of use can be shown."""
LAYOUTS = ("run", "learn", "debug")
_REGISTERS = 14
"""Rows for the registers of 16- and 32-bit code in their border; those of 64-bit code scroll."""
SCREEN_WIDTH, SCREEN_HEIGHT = 82, 27
"""A text screen of 80 x 25 in its border."""

_WATCHING = ("explain", "breakpoints", "devices", "interrupts", "trace", "serial", "timeline")


class Box(NamedTuple):
    """A rectangle in cells."""

    x: int
    y: int
    width: int
    height: int


class Place(NamedTuple):
    """A group: where it is, and the names of its panels in the order of their tabs."""

    box: Box
    panels: tuple[str, ...]


def plan(layout: str, width: int, height: int, panels: Sequence[str]) -> list[Place]:
    """Return the places of a layout on a desk of that size, for those of its panels that exist; they never overlap."""
    return _LAYOUTS[layout](width, height, _Names(panels))


class _Names:
    """Picks from the panels that exist; each is given away once."""

    def __init__(self, names: Sequence[str]) -> None:
        self._left = list(names)

    def take(self, *wanted: str) -> tuple[str, ...]:
        """Return those of `wanted` that are still there."""
        found = tuple(name for name in wanted if name in self._left)
        self._left = [name for name in self._left if name not in found]
        return found

    def rest(self) -> tuple[str, ...]:
        """Return all that is left."""
        return self.take(*self._left)


def _run(width: int, height: int, names: _Names) -> list[Place]:
    return _column(Box(0, 0, width, height), [(names.take("screen"), height)])


def _learn(width: int, height: int, names: _Names) -> list[Place]:
    left = SCREEN_WIDTH if width >= SCREEN_WIDTH + 28 else width * 64 // 100
    screen = min(SCREEN_HEIGHT, height // 2 if height < 45 else height)
    if height >= SCREEN_HEIGHT + 10:
        screen = SCREEN_HEIGHT
    registers = min(_REGISTERS, height // 2)
    return [
        *_column(Box(0, 0, left, height), [(names.take("screen"), screen), (names.take("code"), 0)]),
        *_column(
            Box(left, 0, width - left, height), [(names.take("registers"), registers), (names.take("explain"), 0)]
        ),
    ]


def _debug(width: int, height: int, names: _Names) -> list[Place]:
    if width >= 160 and height >= 45:
        return _debug_wide(width, height, names)
    if width >= 110 and height >= 30:
        return _debug_middle(width, height, names)
    left = width * 60 // 100
    half = height // 2
    return [
        *_column(Box(0, 0, left, height), [(names.take("code"), half), (names.take("memory", "stack", "screen"), 0)]),
        *_column(
            Box(left, 0, width - left, height),
            [(names.take("registers"), half), (names.take(*_WATCHING) + names.rest(), 0)],
        ),
    ]


def _debug_middle(width: int, height: int, names: _Names) -> list[Place]:
    left = min(SCREEN_WIDTH, width * 60 // 100)
    third = height // 3
    return [
        *_column(
            Box(0, 0, left, height),
            [
                (names.take("code"), height - 2 * third),
                (names.take("memory", "picture"), third),
                (names.take("screen"), 0),
            ],
        ),
        *_column(
            Box(left, 0, width - left, height),
            [
                (names.take("registers"), third + 2),
                (names.take("stack"), third - 4),
                (names.take(*_WATCHING) + names.rest(), 0),
            ],
        ),
    ]


def _debug_wide(width: int, height: int, names: _Names) -> list[Place]:
    middle = (width - SCREEN_WIDTH) // 2
    right = width - SCREEN_WIDTH - middle
    rest = height - SCREEN_HEIGHT
    left = [
        (names.take("screen"), SCREEN_HEIGHT),
        (names.take("code"), rest // 2),
        (names.take("memory", "picture"), 0),
    ]
    watched = [(names.take("explain"), height // 3), (names.take("devices", "interrupts", "tables"), 0)]
    between = [(names.take("registers"), 13), (names.take("stack"), height // 3), (names.rest(), 0)]
    return [
        *_column(Box(0, 0, SCREEN_WIDTH, height), left),
        *_column(Box(SCREEN_WIDTH, 0, middle, height), between),
        *_column(Box(SCREEN_WIDTH + middle, 0, right, height), watched),
    ]


_LAYOUTS: dict[str, Callable[[int, int, _Names], list[Place]]] = {"run": _run, "learn": _learn, "debug": _debug}


def _column(box: Box, parts: Sequence[tuple[tuple[str, ...], int]]) -> list[Place]:
    """Stack groups in a column: each as high as it says, the last takes the rest, and empty ones take nothing."""
    filled = [(panels, rows) for panels, rows in parts if panels and box.width > 0]
    if not filled:
        return []
    tops = [box.y]
    for _, rows in filled[:-1]:
        tops.append(min(tops[-1] + max(rows, 1), box.y + box.height))
    edges = list(pairwise([*tops, box.y + box.height]))
    return [
        Place(Box(box.x, top, box.width, end - top), panels)
        for (top, end), (panels, _) in zip(edges, filled, strict=False)
        if end > top
    ]


class Desk(Container):
    """Holds all panels and shows those of the layout; `chosen` tells which tab of a group is in front."""

    DEFAULT_CSS = """
    Desk { width: 1fr; height: 1fr; overflow: hidden; }
    Desk > Panel { position: absolute; display: none; }
    """

    class Resized(Message):
        """The desk has another size, and its panels are to be laid out anew."""

    def __init__(self, panels: Sequence[Panel]) -> None:
        super().__init__(*panels)
        self.panels: Mapping[str, Panel] = {panel.name: panel for panel in panels}
        self.arrangement = "learn"
        self.chosen: set[str] = set()
        self.groups: dict[str, tuple[str, ...]] = {}

    def on_resize(self) -> None:
        """Tell the application, which knows what else depends on it."""
        self.post_message(self.Resized())

    @property
    def order(self) -> list[str]:
        """The names of all panels of the layout, tabs in the background as well, in reading order."""
        return [name for group in dict.fromkeys(self.groups.values()) for name in group]

    @property
    def shown(self) -> list[Panel]:
        """The panels that can be seen."""
        return [panel for panel in self.panels.values() if panel.display]

    def bring(self, name: str) -> Panel | None:
        """Bring a panel of this layout to the front of its group; None when the layout does not have it."""
        group = self.groups.get(name)
        if group is None:
            return None
        self.chosen = (self.chosen - set(group)) | {name}
        self.lay_out()
        return self.panels[name]

    def lay_out(self) -> None:
        """Put every panel where the plan for this size has it."""
        self.groups = {}
        fronts: dict[str, Place] = {}
        for place in plan(self.arrangement, *self.size, list(self.panels)):
            front = next((name for name in place.panels if name in self.chosen), place.panels[0])
            fronts[front] = place
            self.groups |= dict.fromkeys(place.panels, place.panels)
        for name, panel in self.panels.items():
            found = fronts.get(name)
            if found is None:
                panel.display = False
            else:
                self._put(panel, found)

    def _put(self, panel: Panel, place: Place) -> None:
        box = place.box
        panel.styles.offset = (box.x, box.y)
        panel.styles.width, panel.styles.height = box.width, box.height
        panel.set_class(self.arrangement == "run", "-bare")
        panel.border_title = self._title(panel, place.panels)
        panel.display = True

    def _title(self, panel: Panel, group: tuple[str, ...]) -> str:
        """Write the tabs of a group on the border; the other ones can be clicked."""
        if len(group) == 1:
            return panel.title
        tabs = [
            f"[b]{panel.title}[/b]"
            if name == panel.name
            else f"[@click=app.panel('{name}')]{self.panels[name].title}[/]"
            for name in group
        ]
        at = group.index(panel.name)
        return " · ".join(tabs[at:] + tabs[:at])
