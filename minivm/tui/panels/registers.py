"""The CPU's registers: what changed since the last stop is marked, flags have their names, Enter edits in place.

A second page has the FPU's and SSE's.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.inspect_fpu import (
    FpuState,
    control_words,
    doubles_words,
    extended_words,
    floats_words,
    fpu_state,
    mxcsr_words,
    status_words,
)
from minivm.tui.panels.base import AskingPanel
from minivm.tui.panels.changes import Changes
from minivm.tui.prompt import PanelPrompt
from minivm.tui.search import spans
from minivm.tui.session import View
from minivm.tui.setting import FLAGS, RARE_FLAGS, set_value

_CR0 = {"PE": 0, "MP": 1, "EM": 2, "TS": 3, "NE": 5, "WP": 16, "AM": 18, "PG": 31}
_CR4 = {"VME": 0, "PSE": 4, "PAE": 5, "PGE": 7, "OSFXSR": 9, "SMEP": 20, "SMAP": 21}
_GENERAL = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
_FLAG_NAMES = frozenset(name.lower() for name in FLAGS)
_FIELD = 24
"""How wide the line over a register may become."""
_SEGMENTS = ("cs", "ds", "es", "ss", "fs", "gs")


@record
class Item:
    """One value that can be chosen and edited: the register's name, what is shown, and whether it changed."""

    register: str
    label: str
    value: str
    changed: bool
    note: str = ""


class RegisterField(PanelPrompt):
    """The line that lies over a register's value while it is edited."""

    DEFAULT_CSS = """
    RegisterField { dock: none; position: absolute; background: $primary 40%; }
    """


class RegistersPanel(AskingPanel, can_focus=True):
    """General registers, segments with their bases, flags and control registers."""

    name = "registers"
    title = "Registers"
    help = (
        "The CPU's registers in the width of its mode. **Bold and underlined** values changed since the machine last "
        "stood still. Of the flags, capital letters are set. Segments show selector and base.\n\n"
        "Arrows choose a register, Enter or a second click edits it in its place: a number or an expression (`1234h`, "
        "`bx + 2`, for a flag `0` or `1`); Enter stores it, Escape leaves it as it was. "
        "**W** goes back in time to the instruction that changed it last.\n\n"
        "**F** turns to the FPU and SSE and back: control, status and MXCSR with the names of their bits, ST0 to ST7 "
        "with their tags, XMM registers as one number, as four floats and as two doubles."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,left", "move(-1)", "Previous", show=False),
        Binding("down,right", "move(1)", "Next", show=False),
        Binding("enter", "edit", "Edit", show=False),
        Binding("f", "page", "FPU", show=False),
        Binding("w", "who", "Who wrote this?", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.chosen = 0
        self._items: list[Item] = []
        self._places: list[tuple[int, int, int]] = []
        self._view: View | None = None
        self._bases: dict[str, int] = {}
        self._text = Text()
        self.field = RegisterField()
        self.fpu_page = False
        self._fpu: FpuState | None = None
        self._fpu_changes = Changes()
        self._top = 0

    def compose(self) -> ComposeResult:
        """Put the field beside the other two lines."""
        yield self.field
        yield from super().compose()

    def on_mount(self) -> None:
        """Write the keys on the lower edge."""
        self.border_subtitle = "W: who, F: FPU and SSE"

    def collect(self, debugger: Debugger) -> object:
        """Return what a view does not have: the hidden bases, and the tables."""
        cpu = debugger.machine.cpu
        names = [f"{name}_base" for name in (*_SEGMENTS, "gdt", "idt")] + ["gdt_limit", "idt_limit"]
        fpu = fpu_state(debugger.engine, cpu.code_bits) if self.fpu_page else None
        return {name: getattr(cpu, name) for name in names} | {"fpu": fpu}

    def show(self, data: object, view: View) -> None:
        """Draw the values."""
        self._view = view
        if isinstance(data, dict):
            self._fpu = data.pop("fpu", None)
            self._bases = data
        self._redraw()

    def render(self) -> Text:
        """Return the registers, from the first row in view on."""
        if not self._top:
            return self._text
        return Text("\n").join(self._text.split("\n")[self._top :])

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
            self._look_at(self._places[self.chosen][0])
            self._redraw()
        else:
            self._scroll_by(by)

    def _look_at(self, row: int) -> None:
        """Bring a row into view."""
        room = max(1, self.size.height)
        self._top = max(0, min(max(self._top, row - room + 1), row))

    def _scroll_by(self, rows: int) -> None:
        last = max(0, len(self.text_lines) - self.size.height)
        self._top = max(0, min(last, self._top + rows))
        self.refresh()

    def on_mouse_scroll_up(self) -> None:
        """Look further up."""
        self._scroll_by(-3)

    def on_mouse_scroll_down(self) -> None:
        """Look further down."""
        self._scroll_by(3)

    def action_page(self) -> None:
        """Turn to the FPU and SSE, or back."""
        self.fpu_page, self._top = not self.fpu_page, 0
        self.border_subtitle = "F: the CPU" if self.fpu_page else "W: who, F: FPU and SSE"
        self.look_again()

    def action_who(self) -> None:
        """Go to where the chosen register was changed last."""
        if self._items:
            self.who_wrote(self._items[self.chosen % len(self._items)].register)
        else:
            self.say("F goes back to the registers that can be asked for")

    def action_edit(self) -> None:
        """Lay a line to type into over the chosen register's value."""
        if not self._items:
            self.say("F goes back to the registers that can be edited")
            return
        self.chosen %= len(self._items)
        item, (row, column, _) = self._items[self.chosen], self._places[self.chosen]
        self._look_at(row)
        begin = column + len(item.label) + bool(item.label)
        self.field.styles.offset = (begin, row - self._top)
        self.field.styles.width = max(6, min(_FIELD, self.size.width - begin))
        self.field.ask("", lambda text: self._put(item, text), self._typed(item), again=True)
        self.say("")

    def _typed(self, item: Item) -> str:
        """Return a value as one would type it."""
        if item.register in _FLAG_NAMES:
            return "1" if item.value.isupper() else "0"
        digits = item.value if "=" not in item.value or self._view is None else f"{self._view.registers['rflags']:X}"
        return f"{'' if digits[0].isdigit() else '0'}{digits}h"

    def _put(self, item: Item, text: str) -> None:
        if not text.strip():
            self.field.action_cancel()
            return
        self.field.value = text  # it stays until the value is taken
        self.field.cursor_position = len(text)
        self.command(lambda debugger: set_value(debugger, item.register, text), lambda _: self.field.action_cancel())

    def on_click(self, event: events.Click) -> None:
        """Choose the register under the mouse; edit it when it was chosen."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.prevent_default()  # Textual selects all at a second click
        for index, (row, start, end) in enumerate(self._places):
            if row == offset.y + self._top and start <= offset.x < end:
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
        if self.fpu_page:
            self._draw_fpu(text)
            return self._marked(text)
        blocks = [list(general(view)), list(segments(view, self._bases)), list(flags(view)), list(control(view))]
        for block in blocks:
            self._flow(text, block)
        if self._bases:
            for table in ("gdt", "idt"):
                base, limit = self._bases[f"{table}_base"], self._bases[f"{table}_limit"]
                text.append(f"{table.upper()} {base:08X} limit {limit:04X}\n", style="dim")
        return self._marked(text)

    def _marked(self, text: Text) -> Text:
        colours = self.app.theme_variables
        for start, end in spans(text.plain, self.wanted):
            text.stylize(f"bold {colours['background']} on {colours['warning']}", start, end)
        return text

    def _draw_fpu(self, text: Text) -> None:
        state, view, colours = self._fpu, self._view, self.app.theme_variables
        if state is None or view is None:
            text.append("This engine does not tell the FPU's registers." if view is not None else "")
            return
        told = list(fpu_lines(state))
        changed = self._fpu_changes.look(view.now_ns, {name: value for name, value, _ in told})
        for name, value, notes in told:
            text.append(f"{name:<5} ", style=colours["secondary"])
            text.append(
                value, style=f"bold underline {colours['warning']}" if name in changed else colours["foreground"]
            )
            column = 6 + len(value)
            for note in notes:
                column += 2 + len(note)
                fits = column <= self.size.width
                text.append(f"  {note}" if fits else f"\n  {note}", style="dim")
                column = column if fits else 2 + len(note)
            text.append("\n")

    # -- searching and copying ----------------------------------------------------------------------------------------
    @property
    def text_lines(self) -> Sequence[str]:
        """All rows of the page."""
        return self._text.plain.rstrip("\n").split("\n")

    @property
    def text_line(self) -> int:
        """The row of the chosen register; on the FPU's page the first one in view."""
        return self._places[self.chosen % len(self._places)][0] if self._places else self._top

    def go(self, line: int) -> None:
        """Choose the register of a row that has what is searched for."""
        at = next((start for start, _ in spans(self.text_lines[line], self.wanted)), 0)
        here = [index for index, (row, start, end) in enumerate(self._places) if row == line and start <= at < end]
        if here:
            self.chosen = here[0]
            self._look_at(line)
        else:
            self._top = line
        self._redraw()
        self.refresh()

    def mark(self, wanted: str) -> None:
        """Mark this text in every row."""
        super().mark(wanted)
        self._redraw()

    def chosen_text(self) -> str:
        """Return the chosen register and its value."""
        if not self._items:
            return super().chosen_text()
        item = self._items[self.chosen % len(self._items)]
        return f"{item.label.strip() or item.register} {item.value}"

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


def fpu_lines(state: FpuState) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Yield the FPU's and SSE's registers: name, value in hexadecimal, and what that means; zeros are kept short."""
    yield "FCW", f"{state.control:04X}", (control_words(state.control),)
    yield "FSW", f"{state.status:04X}", (status_words(state.status),)
    yield "FTW", f"{state.tags:04X}", ()
    for index, data in enumerate(state.stack):
        tag = state.tag(index)
        words = f"{extended_words(data)} ({tag})" if tag != "empty" else "empty"
        yield f"ST{index}", data[::-1].hex().upper(), (words,)
    yield "MXCSR", f"{state.mxcsr:08X}", (mxcsr_words(state.mxcsr),)
    for index, data in enumerate(state.xmm):
        notes = (f"f {floats_words(data)}", f"d {doubles_words(data)}") if any(data) else ()
        yield f"XMM{index}", data[::-1].hex().upper() if any(data) else "0", notes


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
        yield Item(
            shown.lower(), f"{shown:<{3 if wide or digits > 4 else 2}}", f"{values[name] & mask:0{digits}X}", changed
        )


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
    for name, bit in (FLAGS | RARE_FLAGS).items():
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
