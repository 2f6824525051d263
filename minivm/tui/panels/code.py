"""The program: instructions around the current one, with real addresses, bytes, symbols and breakpoints."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType

from minivm.core.record import record
from minivm.debug.code import Instruction
from minivm.debug.debugger import Debugger
from minivm.errors import MiniVMError
from minivm.tui.panel import FollowAddress, Tell
from minivm.tui.panels.base import AskingPanel
from minivm.tui.panels.coverage import cover, coverage_of
from minivm.tui.search import spans
from minivm.tui.session import Point, View

_BYTES_SHOWN = ((100, 8), (56, 6), (44, 5))
"""How many bytes of an instruction are shown in a panel at least so wide."""
_SHORTEST_REMARK = 8
_MARGIN = 3
_LONGEST = 15
_WIDE, _WIDE_OPERANDS, _OPERANDS = 100, 30, 21
"""So much room is between an instruction's first column and the source's, in a panel so wide and in a narrower one."""
_LAST = 0xFFFF_FFFF_FFFF_FFFF
SEARCHED_PIECES, SEARCHED_AT_ONCE = 64, 256
"""A search looks at so many pieces of so many instructions, and lets others to the machine's thread in between."""


@record
class Line:
    """One instruction as it is shown: its addresses and text, the label that stands on it, and where it leads."""

    linear: int
    shown: str
    instruction: Instruction
    label: str
    leads_to: str
    source: str
    target: int | None
    ran: bool = False


class CodePanel(AskingPanel, can_focus=True):
    """Disassembly that follows the instruction pointer, or stays where the user went."""

    name = "code"
    title = "Code"
    help = (
        "Instructions as the CPU decodes them in its present mode, with their segment:offset (in protected mode, "
        "linear) addresses, bytes and labels. `►` marks the next instruction, `●` a breakpoint, `○` a disabled one, "
        "`▏` what has run already.\n\n"
        "Arrows move the cursor; Enter goes where the instruction under it leads; **G** goes to an address; **Home** "
        "goes back to the next instruction; F9 sets or removes a breakpoint; F4 runs to the cursor. "
        "Click the left margin for a breakpoint.\n\n"
        f"/ searches addresses, bytes, instructions and labels in the {SEARCHED_PIECES * SEARCHED_AT_ONCE:,} "
        "instructions behind the cursor; **N** and Shift+N go to the next and the previous place."
    )
    question = "Search code: an instruction, a label, bytes without blanks"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "home", "To CS:IP", show=False),
        Binding("enter", "enter", "Follow", show=False),
        Binding("g", "goto", "Go to", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.cursor: int | None = None
        self._anchor: int | None = None  # the address of the first row, None: wherever the next instruction is
        self._scroll = 0  # rows to scroll before the next view
        self._keep_cursor = False
        self._lines: list[Line] = []
        self._rows: list[int | None] = []
        self._points: dict[int, Point] = {}
        self._ip = 0
        self._text = Text()

    # -- on the machine's thread --------------------------------------------------------------------------------------
    def collect(self, debugger: Debugger) -> object:
        """Return the lines of the window, as many as there are rows."""
        count = max(1, self.size.height)
        cpu = debugger.machine.cpu
        anchor, scroll, self._scroll = self._anchor, self._scroll, 0
        if anchor is None:
            anchor = self._around(debugger, cpu.linear_ip, count)
        if scroll < 0:
            anchor = earlier(debugger, anchor, -scroll)
        elif scroll > 0:
            ahead = list(debugger.instructions(anchor, scroll + 1))
            anchor = ahead[-1].address if ahead else anchor
        if self._anchor is not None or scroll:
            self._anchor = anchor
        return _lines(debugger, list(debugger.instructions(anchor, count)))

    def _around(self, debugger: Debugger, ip: int, count: int) -> int:
        """Return where the window begins: where it was while the next instruction is well inside, else above it."""
        shown = [line.linear for line in self._lines]
        if ip in shown[1 : len(shown) - 3] and len(shown) >= count:
            return shown[0]
        return earlier(debugger, ip, min(3, count // 4))

    # -- on the user interface's thread -------------------------------------------------------------------------------
    def show(self, data: object, view: View) -> None:
        """Draw the lines."""
        if not isinstance(data, list):
            return
        self._lines, self._ip = data, view.linear_ip
        self._points = {point.address: point for point in view.points if point.address is not None}
        if not self._keep_cursor or self.cursor is None:
            self.cursor = view.linear_ip
        text = self._draw()
        if text != self._text:
            self._text = text
            self.refresh()

    def render(self) -> Text:
        """Return the window."""
        return self._text

    def follow(self, linear: int) -> bool:
        """Show the code at an address, with the cursor on it."""
        self._anchor, self.cursor, self._keep_cursor = linear, linear, True
        self.app.session.refresh()  # type: ignore[attr-defined]
        return True

    @property
    def current(self) -> int:
        """The linear address under the cursor."""
        return self._ip if self.cursor is None else self.cursor

    def home(self) -> None:
        """Follow the instruction pointer again."""
        self._anchor, self._keep_cursor, self.cursor = None, False, None

    # -- keys and mouse -----------------------------------------------------------------------------------------------
    def action_move(self, by: int) -> None:
        """Move the cursor; at the edge, the window."""
        shown = [line.linear for line in self._lines]
        if not shown:
            return
        at = (shown.index(self.cursor) if self.cursor in shown else 0) + by
        self._keep_cursor = True
        if 0 <= at < min(len(shown), self._visible()):
            self.cursor = shown[at]
            self._redraw()
        else:
            self._scroll_by(by)

    def action_page(self, by: int) -> None:
        """Move the window by a page."""
        self._scroll_by(by * max(1, self._visible() - 1))

    def action_home(self) -> None:
        """Go back to the next instruction."""
        self.home()
        self.app.session.refresh()  # type: ignore[attr-defined]

    def action_enter(self) -> None:
        """Go where the instruction under the cursor leads."""
        line = next((line for line in self._lines if line.linear == self.cursor), None)
        if line is not None and line.target is not None:
            self.post_message(FollowAddress(line.target, code=True))
        else:
            self.post_message(Tell("this instruction leads nowhere but to the next one"))

    def action_goto(self) -> None:
        """Ask for an address."""
        self.app.open_command("goto ")  # type: ignore[attr-defined]

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on a line; in the margin, set or remove a breakpoint; on a target, follow it."""
        offset = event.get_content_offset(self)
        if offset is None or not 0 <= offset.y < len(self._rows):
            return
        address = self._rows[offset.y]
        if address is None:
            return
        self.cursor, self._keep_cursor = address, True
        if offset.x < _MARGIN:
            self.app.toggle_breakpoint(address)  # type: ignore[attr-defined]
        else:
            line = next(line for line in self._lines if line.linear == address)
            if line.target is not None and offset.x >= self._text_column():
                self.post_message(FollowAddress(line.target, code=True))
        self._redraw()

    def on_mouse_scroll_up(self) -> None:
        """Scroll up."""
        self._scroll_by(-3)

    def on_mouse_scroll_down(self) -> None:
        """Scroll down."""
        self._scroll_by(3)

    def _scroll_by(self, rows: int) -> None:
        if self._lines:
            self._anchor = self._lines[0].linear
            self._scroll += rows
            self._keep_cursor = True
            self.cursor = None if self.cursor is None else self._lines[0 if rows < 0 else -1].linear
            self.app.session.refresh()  # type: ignore[attr-defined]

    def _visible(self) -> int:
        """Return how many instructions fit: labels take rows as well."""
        return sum(1 for address in self._rows if address is not None) or 1

    # -- searching and copying ----------------------------------------------------------------------------------------
    def search(self, wanted: str, direction: int = 1, *, here: bool = False) -> None:
        """Search the code behind the cursor, or before it; another search ends this one."""
        self.mark(wanted)
        self.run_worker(self._hunt(wanted, direction, here), group="search", exclusive=True, exit_on_error=False)

    async def _hunt(self, wanted: str, direction: int, here: bool) -> None:
        at: int | None = self.current
        for _ in range(SEARCHED_PIECES):
            if at is None:
                break
            look = _search_down if direction > 0 else _search_up
            work = partial(look, at=at, wanted=wanted.lower(), here=here)
            found, at = await asyncio.wrap_future(self.session.call(work))
            here = direction > 0
            if found is not None:
                self.say("")
                self.follow(found)
                return
        self.say(f"{wanted}: not found {'behind' if direction > 0 else 'before'} the cursor")

    def mark(self, wanted: str) -> None:
        """Mark this text in every line."""
        self.wanted = wanted
        if not wanted:
            self.workers.cancel_group(self, "search")
        self._redraw()

    @property
    def text_lines(self) -> Sequence[str]:
        """The lines in view."""
        return self._text.plain.splitlines()

    @property
    def text_line(self) -> int:
        """The cursor's line."""
        return self._rows.index(self.current) if self.current in self._rows else 0

    # -- drawing ------------------------------------------------------------------------------------------------------
    def _redraw(self) -> None:
        self._text = self._draw()
        self.refresh()

    def _text_column(self) -> int:
        address = max((len(line.shown) for line in self._lines), default=9)
        return _MARGIN + address + 2 + (2 * self._bytes_shown() + 2 if self._bytes_shown() else 0)

    def _bytes_shown(self) -> int:
        return next((count for width, count in _BYTES_SHOWN if self.size.width >= width), 0)

    def _draw(self) -> Text:
        colours = self.app.theme_variables
        text, self._rows = Text(no_wrap=True, overflow="crop"), []
        for line in self._lines:
            if len(self._rows) >= max(1, self.size.height):
                break
            if line.label:
                text.append(f"{'':{_MARGIN}}{line.label}:"[: self.size.width], style=f"bold {colours['secondary']}")
                text.append("\n")
                self._rows.append(None)
            text.append_text(self._drawn_line(line, colours)).append("\n")
            self._rows.append(line.linear)
        return text

    def _drawn_line(self, line: Line, colours: dict[str, str]) -> Text:
        text, now = Text(), line.linear == self._ip
        point = self._points.get(line.linear)
        text.append("●" if point and point.enabled else "○" if point else " ", style=colours["error"])
        text.append("►" if now else " ", style=f"bold {colours['accent']}")
        text.append("▏" if line.ran else " ", style=colours["success"])
        text.append(f"{line.shown:<9}  ", style=colours["secondary"])
        if shown := self._bytes_shown():
            code = line.instruction.code.hex().upper()
            text.append(
                f"{code if len(code) <= 2 * shown else code[: 2 * shown - 1] + '…':<{2 * shown}}  ", style="dim"
            )
        mnemonic, _, operands = line.instruction.text.partition(" ")
        text.append(f"{mnemonic:<6}", style=f"bold {colours['accent'] if now else colours['foreground']}")
        text.append(f" {operands}")
        if line.leads_to:
            text.append(f" {line.leads_to}", style=colours["secondary"])
        if line.source:
            column = self._text_column() + (_WIDE_OPERANDS if self.size.width >= _WIDE else _OPERANDS)
            gap = max(2, column - len(text))
            if len(text) + gap + min(len(line.source), _SHORTEST_REMARK) <= self.size.width:
                text.append(f"{'':{gap}}{line.source}", style="dim italic")
        text.truncate(self.size.width, overflow="ellipsis", pad=True)
        if now:
            text.stylize(f"on {colours['panel']}")
        for start, end in spans(text.plain, self.wanted):
            text.stylize(f"bold {colours['background']} on {colours['warning']}", start, end)
        if line.linear == self.cursor and self.has_focus:
            text.stylize("underline", _MARGIN)
        return text


def _search_down(debugger: Debugger, *, at: int, wanted: str, here: bool) -> tuple[int | None, int | None]:
    """Return the first of the next instructions with `wanted` in its line, and where to go on."""
    after = at
    for instruction in debugger.instructions(at, SEARCHED_AT_ONCE):
        if (here or instruction.address != at) and wanted in _searched(debugger, instruction):
            return instruction.address, None
        after = instruction.address + len(instruction.code)
    return None, after if at < after <= _LAST - _LONGEST else None


def _search_up(debugger: Debugger, *, at: int, wanted: str, here: bool) -> tuple[int | None, int | None]:
    """Return the last of the instructions before `at` with `wanted` in its line, and where to go on."""
    low = max(0, at - 4 * SEARCHED_AT_ONCE)
    start = next((one for one in range(low, min(low + _LONGEST, at)) if _starts(debugger, one, at) is not None), low)
    before = [one for one in debugger.instructions(start, at - start) if one.address < at] if start < at else []
    for instruction in reversed(before):
        if wanted in _searched(debugger, instruction):
            return instruction.address, None
    return None, start if start < at else None


def _searched(debugger: Debugger, instruction: Instruction) -> str:
    line = _line(debugger, instruction)
    words = (line.shown, instruction.code.hex(), instruction.text, line.label, line.leads_to, line.source)
    return " ".join(" ".join(word.split()) for word in words).lower()


def _remark(file: str, text: str) -> str:
    """Return what a source line says beyond the instruction itself: of assembly its comment, of C everything."""
    if file.lower().endswith((".asm", ".s", ".nasm")):
        _, mark, comment = text.partition(";")
        return f"; {comment.strip()}" if mark else ""
    return f"; {' '.join(text.split())}"


def _lines(debugger: Debugger, instructions: list[Instruction]) -> list[Line]:
    """Return the instructions as lines, with what has run marked where the engine knows it."""
    coverage = coverage_of(debugger)
    if coverage is None:
        cover(debugger, reads=False)
    if coverage is None or not instructions:
        return [_line(debugger, one) for one in instructions]
    first, last = instructions[0], instructions[-1]
    ran = coverage.ran(first.address, last.address + len(last.code) - first.address)
    return [_line(debugger, one, ran=bool(ran[one.address - first.address])) for one in instructions]


def _line(debugger: Debugger, instruction: Instruction, *, ran: bool = False) -> Line:
    linear, symbols = instruction.address, debugger.symbols
    found = symbols.nearest(linear) if len(symbols) else None
    source = symbols.source(linear) if len(symbols) else None
    text = (symbols.line_text(source.file, source.line) if source is not None else None) or ""
    target = target_of(debugger, instruction)
    return Line(
        linear=linear,
        shown=shown_address(debugger, linear),
        instruction=instruction,
        label=found[0].name if found is not None and found[1] == 0 else "",
        leads_to=symbols.describe(target) if target is not None and len(symbols) else "",
        source=_remark(source.file, text) if source is not None and text else "",
        target=target,
        ran=ran,
    )


def shown_address(debugger: Debugger, linear: int) -> str:
    """Return a linear address as CS has it in 16-bit code, else as a number."""
    cpu = debugger.machine.cpu
    offset = linear - cpu.cs_base
    if cpu.code_bits == 16 and 0 <= offset <= 0xFFFF:
        return f"{cpu.cs:04X}:{offset:04X}"
    return f"{linear:016X}" if cpu.code_bits == 64 else f"{linear:08X}"


def target_of(debugger: Debugger, instruction: Instruction) -> int | None:
    """Return the linear address that a jump or call with a plain number leads to. Capstone counts from linear 0."""
    if not instruction.mnemonic.startswith(("j", "call", "loop")):
        return None
    words = instruction.operands.removeprefix("far ").split(":")
    try:
        numbers = [int(word, 0) for word in words]
    except ValueError:
        return None
    if len(numbers) == 2:
        return (numbers[0] << 4) + numbers[1] if debugger.machine.cpu.mode in ("real", "vm86") else None
    return numbers[0]


def earlier(debugger: Debugger, address: int, count: int) -> int:
    """Return the start of the instruction `count` before `address`, by the decoding that meets `address` exactly.

    x86 code cannot be read backwards; decodings from different starts fall into step after a few instructions.
    """
    if count <= 0:
        return address
    first = max(0, address - count * 6 - _LONGEST)
    for start in range(first, address):
        starts = _starts(debugger, start, address)
        if starts is not None and len(starts) >= count:
            return starts[-count]
    return max(0, address - count)


def _starts(debugger: Debugger, start: int, end: int) -> list[int] | None:
    """Return where the instructions from `start` on begin, or None when none begins at `end`."""
    try:
        found = [one.address for one in debugger.instructions(start, end - start) if one.address <= end]
    except MiniVMError:
        return None
    return found[:-1] if found and found[-1] == end else None
