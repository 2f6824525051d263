"""Breakpoints, watchpoints and catches: the list with its counts, and a line to add one."""

import re
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType

from minivm.core.record import record
from minivm.debug.debugger import WATCH_KINDS, Breakpoint, Debugger, Entry, Watchpoint
from minivm.tui.panels.addresses import Place, place
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.listing import Listing, Part, Row, sentence

_TAIL = re.compile(r"\s+(?:if\s+(?P<condition>.+?))?\s*(?:\bignore\s+(?P<ignore>\d+))?\s*$", re.IGNORECASE)
_VECTORS = {"int": "interrupt", "irq": "interrupt", "interrupt": "interrupt", "exception": "exception", "bios": "bios"}


@record
class Item:
    """One entry as it is now; `place` is where it leads, for what has an address."""

    number: int
    text: str
    enabled: bool
    hits: int
    ignore: int
    place: Place | None


class BreakpointsPanel(ListingPanel):
    """Everything that can stop the machine."""

    name = "breakpoints"
    title = "Breakpoints"
    help = (
        "Everything that stops the machine, and how often it did. A adds one:\n\n"
        "- `7C00h`, `07C0:0012`, `main`, `kernel.c:42`: before that instruction\n"
        "- `write [ds:si]`, `read`, `access` or `change` of memory; `change eax`\n"
        "- `port 60h`, `int 10h`, `exception 13`, `bios`, `mode`, `privilege`\n\n"
        "Each may go on with `if eax == 3`, and with `ignore 5`. Space arms or disarms, Delete or D removes, Enter "
        "or a click on the address shows it."
    )
    keys = "A add, Space arm, D delete"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add", show=False),
        Binding("space", "arm", "Arm/disarm", show=False),
        Binding("delete,d", "remove", "Remove", show=False),
    ]

    def collect(self, debugger: Debugger) -> tuple[Item, ...]:
        """List the entries; temporary ones are the debugger's own."""
        return tuple(_item(debugger, entry) for entry in debugger.entries() if not entry.temporary)

    def rows(self, data: tuple[Item, ...]) -> Iterable[Row]:
        """Return a row for each entry."""
        if not data:
            yield sentence("Nothing stops this machine. Press A to add a breakpoint, F1 for what can be one.", "note")
        for one in data:
            parts = [
                Part("● " if one.enabled else "○ ", "bad" if one.enabled else "dim", action=f"toggle {one.number}"),
                Part(f"{one.number:2}  ", "head"),
                Part(one.text, "text" if one.enabled else "dim"),
            ]
            if one.place is not None:
                parts += [Part("  "), Part(one.place.text, "code", one.place.linear)]
            if one.hits:
                parts.append(Part(f"  {one.hits} hit{'s' * (one.hits != 1)}", "changed"))
            if one.ignore:
                parts.append(Part(f"  ignores the first {one.ignore}", "note"))
            yield Row(tuple(parts), key=str(one.number), indent=6)

    # -- keys and mouse -------------------------------------------------------------------------------------------
    def action_add(self) -> None:
        """Ask for a breakpoint."""
        self.prompt.ask("7C00h, write [ds:si], port 60h, int 10h, ... if eax == 3", self._add)

    def _add(self, text: str) -> None:
        self.command(lambda debugger: add_entry(debugger, text))

    def action_arm(self) -> None:
        """Arm or disarm the entry under the cursor."""
        if (number := self._number) is not None:
            self._toggle(number)

    def _toggle(self, number: int) -> None:
        wanted = any(one.number == number and not one.enabled for one in self.data or ())
        self.command(lambda debugger: debugger.enable(number, wanted))

    def action_remove(self) -> None:
        """Remove the entry under the cursor."""
        if (number := self._number) is not None:
            self.command(lambda debugger: debugger.remove(number))

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Arm or disarm by a click on the point."""
        event.stop()
        verb, _, number = event.action.partition(" ")
        if verb == "toggle" and event.clicked:
            self._toggle(int(number))

    @property
    def _number(self) -> int | None:
        current = self.listing.current
        return int(current.key) if current is not None and current.key else None


def _item(debugger: Debugger, entry: Entry) -> Item:
    found = None
    if isinstance(entry, Breakpoint):
        found = place(debugger, entry.address)
    elif isinstance(entry, Watchpoint) and entry.end:
        found = place(debugger, entry.start)
    condition = f" if {entry.condition.text}" if entry.condition is not None else ""
    return Item(entry.number, entry.text + condition, entry.enabled, entry.hits, entry.ignore, found)


def add_entry(debugger: Debugger, text: str) -> Entry:
    """Arm what `text` says, in the language of the panel's help; raises `MiniVMError` of one line."""
    tail = _TAIL.search(f"{text} ")
    what = text[: tail.start()].strip() if tail else text.strip()
    condition = (tail["condition"] or "").strip() if tail else ""
    ignore = int(tail["ignore"] or 0) if tail else 0
    word, _, rest = what.partition(" ")
    word, rest = word.lower(), rest.strip()
    if word in WATCH_KINDS and rest:
        return debugger.watch(rest, word, condition=condition, ignore=ignore)
    if word == "port" and rest:
        return debugger.catch("port", debugger.evaluate(rest), condition=condition, ignore=ignore)
    if word in _VECTORS and (rest or word == "bios"):
        vector = debugger.evaluate(rest) if rest else None
        return debugger.catch(_VECTORS[word], vector, condition=condition, ignore=ignore)
    if word in ("mode", "privilege"):
        level = int(rest) if word == "privilege" and rest.isdigit() else rest or None
        return debugger.catch(word, level, condition=condition, ignore=ignore)
    return debugger.break_at(what, condition=condition, ignore=ignore)
