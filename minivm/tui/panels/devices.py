"""Every chip's registers in its own words, as a tree: chips, their registers, and the registers' fields."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.inspect_devices import ChipReport, RegisterReport, chip_names, chip_title, inspect_chip, part_at
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.changes import Changes
from minivm.tui.panels.listing import Listing, Part, Row, row, sentence


@record
class Chips:
    """The names of all chips, what the open ones hold, and the first port of each."""

    names: tuple[str, ...]
    titles: dict[str, str]
    reports: dict[str, ChipReport]
    now: int
    bases: dict[str, int]


class DevicesPanel(ListingPanel):
    """The chips in their own words."""

    name = "devices"
    title = "Devices"
    help = (
        "The machine's chips, each with its registers as they are now, by the datasheet's names and in words. "
        "Looking changes nothing, not even where a real read would.\n\n"
        "Enter, a click, or Right and Left open and close a chip or a register; A opens all chips or closes them. "
        "**W** goes back in time to the last access of the port of the register at the cursor."
    )
    keys = "Enter open, A all, W who"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "all", "All", show=False),
        Binding("w", "who", "Who wrote this?", show=False),
        Binding("right", "open(True)", "Open", show=False),
        Binding("left", "open(False)", "Close", show=False),
    ]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.open: frozenset[str] = frozenset({"pic0"})
        self._changes = Changes()

    def collect(self, debugger: Debugger) -> Chips:
        """Ask the chips that are open."""
        names, machine = tuple(chip_names(debugger.machine)), debugger.machine
        reports = {name: report for name in names if name in self.open and (report := inspect_chip(machine, name))}
        bases = {part_at(machine, mapping)[0]: mapping.base for mapping in machine.ports.mappings()}
        titles = {name: chip_title(machine, name).removeprefix("the ") for name in names}
        return Chips(names, titles, reports, machine.now, bases)

    def rows(self, data: Chips) -> Iterable[Row]:
        """Return the tree."""
        values = {
            (name, one.register.name): one.value for name, report in data.reports.items() for one in report.registers
        }
        changed = self._changes.look(data.now, values)
        titles = data.titles
        for name in data.names:
            report = data.reports.get(name)
            mark = "▼ " if name in self.open else "▶ "
            title = titles[name] if list(titles.values()).count(titles[name]) == 1 else name
            yield row(Part(mark, action=name), Part(title, "head", action=name), key=name)
            if report is not None:
                yield from self._chip(report, changed)

    def _chip(self, report: ChipReport, changed: frozenset[object]) -> Iterable[Row]:
        for number, fact in enumerate(report.facts):
            yield sentence(fact, "note", indent=4, key=f"{report.name}!{number}")
        for one in report.registers:
            key = f"{report.name}/{one.register.name}"
            role = "changed" if (report.name, one.register.name) in changed else "value"
            digits = 2 if one.value <= 0xFF else 4
            mark = "" if not one.fields else "▼ " if key in self.open else "▶ "
            yield row(
                Part(f"  {mark:2}", action=key),
                Part(f"{one.register.name} ", "text", action=key),
                Part(f"{one.value:0{digits}X}h", role, action=key),
                Part(f"  {one.register.title}: ", "dim"),
                Part(one.words or "nothing to say", "text" if one.words else "dim"),
                key=key, indent=8,
            )  # fmt: skip
            if key in self.open:
                yield from _fields(one, key)

    def action_all(self) -> None:
        """Open all chips; when they are, close all."""
        if self.data is not None:
            names = frozenset(self.data.names)
            self.open = frozenset() if names <= self.open else self.open | names
            self.redraw()
            self.look_again()

    def action_who(self) -> None:
        """Go to the last access of the port of the register at the cursor."""
        port = self._port_at(self.listing.current.key if self.listing.current is not None else "")
        if port is None:
            self.say("put the cursor on a register that has a port; Enter opens a chip")
        else:
            self.who_wrote(f"port {port:#x}")

    def _port_at(self, key: str) -> int | None:
        chip, _, rest = key.partition("/")
        report, base = (
            (self.data.reports.get(chip), self.data.bases.get(chip)) if self.data is not None else (None, None)
        )
        if report is None or base is None or not rest:
            return None
        name = rest.rpartition(":")[0] or rest
        return next((base + one.register.offset for one in report.registers if one.register.name in (rest, name)), None)

    def unfold(self) -> bool:
        """Open all chips."""
        if self.data is None or set(self.data.names) <= self.open:
            return False
        self.open |= set(self.data.names)
        return True

    def action_open(self, wanted: bool) -> None:
        """Open or close what the cursor is on."""
        current = self.listing.current
        if current is not None:
            self._set(current.key, wanted)

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Open what is closed, and close what is open."""
        event.stop()
        self._set(event.row.key, event.row.key not in self.open)

    def _set(self, key: str, wanted: bool) -> None:
        if not wanted and key not in self.open:
            key = re.split("[/!]", key, maxsplit=1)[0]
        if "/" in key or (self.data is not None and key in self.data.names):
            self.open = self.open | {key} if wanted else self.open - {key}
            self.redraw()
            self.look_again()


def _fields(one: RegisterReport, key: str) -> Iterable[Row]:
    for decoded in one.fields:
        field = decoded.field
        bits = f"{field.high_bit}" if field.high_bit == field.low_bit else f"{field.high_bit}-{field.low_bit}"
        yield row(
            Part(f"      {bits:>5}  ", "dim"), Part(f"{field.name} "), Part(f"{decoded.number:X}", "value"),
            Part(f"  {decoded.words}" if decoded.words else "", "text"), key=f"{key}:{bits}", indent=13,
        )  # fmt: skip
