"""The CPU's registers: what changed since the last stop is marked, flags have their names, Enter edits."""

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.tui.panel import Panel
from minivm.tui.session import View

FLAGS = {"OF": 11, "DF": 10, "IF": 9, "TF": 8, "SF": 7, "ZF": 6, "AF": 4, "PF": 2, "CF": 0}
_RARE_FLAGS = {"NT": 14, "RF": 16, "VM": 17, "AC": 18, "ID": 21}
_CR0 = {"PE": 0, "MP": 1, "EM": 2, "TS": 3, "NE": 5, "WP": 16, "AM": 18, "PG": 31}
_CR4 = {"VME": 0, "PSE": 4, "PAE": 5, "PGE": 7, "OSFXSR": 9, "SMEP": 20, "SMAP": 21}
_GENERAL = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
_SEGMENTS = ("cs", "ds", "es", "ss", "fs", "gs")


@record
class Item:
    """One value that can be chosen and edited: the register's name, what is shown, and whether it changed."""

    register: str
    label: str
    value: str
    changed: bool
    note: str = ""


class RegistersPanel(Panel, can_focus=True):
    """General registers, segments with their bases, flags and control registers."""

    name = "registers"
    title = "Registers"
    help = (
        "The CPU's registers in the width of its mode. **Bold and underlined** values changed since the machine last "
        "stood still. Of the flags, capital letters are set. Segments show selector and base.\n\n"
        "Arrows choose a register, Enter or a click edits it (`set ax 1234h`); a flag is set as `set zf 1`."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,left", "move(-1)", "Previous", show=False),
        Binding("down,right", "move(1)", "Next", show=False),
        Binding("enter", "edit", "Edit", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.chosen = 0
        self._items: list[Item] = []
        self._places: list[tuple[int, int, int]] = []
        self._view: View | None = None
        self._bases: dict[str, int] = {}
        self._text = Text()

    def collect(self, debugger: Debugger) -> object:
        """Return what a view does not have: the hidden bases, and the tables."""
        cpu = debugger.machine.cpu
        names = [f"{name}_base" for name in (*_SEGMENTS, "gdt", "idt")] + ["gdt_limit", "idt_limit"]
        return {name: getattr(cpu, name) for name in names}

    def show(self, data: object, view: View) -> None:
        """Draw the values."""
        self._view = view
        if isinstance(data, dict):
            self._bases = data
        self._redraw()

    def render(self) -> Text:
        """Return the registers."""
        return self._text

    def on_resize(self) -> None:
        """Make other columns."""
        self._redraw()

    def on_focus(self) -> None:
        """Show which one is chosen."""
        self._redraw()

    def on_blur(self) -> None:
        """Hide which one is chosen."""
        self._redraw()

    def action_move(self, by: int) -> None:
        """Choose the next or previous register."""
        if self._items:
            self.chosen = (self.chosen + by) % len(self._items)
            self._redraw()

    def action_edit(self) -> None:
        """Open the command line with the register's name."""
        if self._items:
            item = self._items[self.chosen % len(self._items)]
            self.app.open_command(f"set {item.register} ")  # type: ignore[attr-defined]

    def on_click(self, event: events.Click) -> None:
        """Choose the register under the mouse; edit it when it was chosen."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for index, (row, start, end) in enumerate(self._places):
            if row == offset.y and start <= offset.x < end:
                again, self.chosen = self.chosen == index, index
                self._redraw()
                if again:
                    self.action_edit()

    # -- drawing ------------------------------------------------------------------------------------------------------
    def _redraw(self) -> None:
        if self._view is None:
            return
        text = self._draw(self._view)
        if text != self._text:
            self._text = text
            self.refresh()

    def _draw(self, view: View) -> Text:
        text = Text(no_wrap=True, overflow="crop")
        self._items, self._places = [], []
        blocks = [list(general(view)), list(segments(view, self._bases)), list(flags(view)), list(control(view))]
        for block in blocks:
            self._flow(text, block)
        if self._bases:
            for table in ("gdt", "idt"):
                base, limit = self._bases[f"{table}_base"], self._bases[f"{table}_limit"]
                text.append(f"{table.upper()} {base:08X} limit {limit:04X}\n", style="dim")
        return text

    def _flow(self, text: Text, block: list[Item]) -> None:
        """Put a block's items side by side as far as they fit."""
        if not block:
            return
        colours = self.app.theme_variables
        cell = 1 + max(map(_width, block))
        columns = max(1, (self.size.width + 1) // cell)
        row = text.plain.count("\n")
        for index, item in enumerate(block):
            if index and index % columns == 0:
                text.append("\n")
                row += 1
            column = index % columns * cell
            self._places.append((row, column, column + cell))
            begin = len(text)
            text.append(item.label, style=colours["secondary"])
            text.append(f"{' ' if item.label else ''}{item.value}", style=_style(item, colours))
            text.append(f" {item.note}" if item.note else "", style="dim")
            if self.has_focus and len(self._items) == self.chosen:
                text.stylize("reverse", begin)
            self._items.append(item)
            text.append(" " * max(0, cell - (len(text) - begin)))
        text.append("\n")


def _width(item: Item) -> int:
    return len(item.label) + bool(item.label) + len(item.value) + (1 + len(item.note) if item.note else 0)


def _style(item: Item, colours: dict[str, str]) -> str:
    if item.changed:
        return f"bold underline {colours['warning']}"
    return "dim" if item.value.islower() else colours["foreground"]


def general(view: View) -> Iterable[Item]:
    """Return the general registers and the instruction pointer, as wide as they are used."""
    values, before = view.registers, view.before
    names = [f"r{name}" for name in _GENERAL]
    if view.code_bits == 64:
        names += [f"r{number}" for number in range(8, 16)]
    wide = any(values[name] > 0xFFFF for name in names)
    for name in (*names, "rip"):
        shown, digits = name.upper(), 16
        if view.code_bits != 64:
            narrow = view.code_bits == 16 and (not wide or name == "rip")
            shown, digits = (shown[1:], 4) if narrow else ("E" + shown[1:], 8)
        mask = (1 << (4 * digits)) - 1
        changed = values[name] & mask != before.get(name, 0) & mask
        yield Item(shown.lower(), f"{shown:<3}", f"{values[name] & mask:0{digits}X}", changed)


def segments(view: View, bases: dict[str, int]) -> Iterable[Item]:
    """Return the segment registers with the bases that the CPU uses."""
    for name in _SEGMENTS:
        base = bases.get(f"{name}_base")
        note = f"{base:05X}" if base is not None and base <= 0xFFFFF else f"{base:X}" if base is not None else ""
        value = view.registers[name]
        yield Item(name, name.upper(), f"{value:04X}", value != view.before.get(name), f"→{note}" if note else "")


def flags(view: View) -> Iterable[Item]:
    """Return the flags by name: capitals are set. The rare ones only when they are."""
    now, then = view.registers["rflags"], view.before.get("rflags", 0)
    for name, bit in (FLAGS | _RARE_FLAGS).items():
        is_set = now >> bit & 1
        changed = is_set != then >> bit & 1
        if name in FLAGS or is_set or changed:
            yield Item(name.lower(), "", name if is_set else name.lower(), bool(changed))
    level = now >> 12 & 3
    if level or level != then >> 12 & 3:
        yield Item("rflags", "", f"IOPL={level}", level != then >> 12 & 3)


def control(view: View) -> Iterable[Item]:
    """Return the control registers, with the names of the bits that are set."""
    for name, bits in (("cr0", _CR0), ("cr2", {}), ("cr3", {}), ("cr4", _CR4)):
        value = view.registers[name]
        words = " ".join(word for word, bit in bits.items() if value >> bit & 1)
        yield Item(name, name.upper(), f"{value:08X}", value != view.before.get(name), words)
