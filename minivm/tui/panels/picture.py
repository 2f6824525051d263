"""The memory as a picture: one character for so many bytes, by what they are and whether they change."""

from collections.abc import Iterator
from functools import lru_cache, reduce
from itertools import groupby
from operator import or_
from typing import Any, ClassVar
from zlib import crc32

from textual import events
from textual.binding import Binding, BindingType

from minivm.core.memory import MIB, AddressSpace
from minivm.core.record import record
from minivm.debug.debugger import DebugError, Debugger
from minivm.debug.inspect_paging import physical_of
from minivm.errors import MiniVMError
from minivm.tui.panel import FollowAddress
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.coverage import EXECUTED, READ, WRITTEN, Coverage, cover, coverage_of
from minivm.tui.panels.listing import Listing, Part, Row, row
from minivm.tui.search import find_in, pattern
from minivm.tui.session import View

BYTES_A_LOOK, CELLS_A_LOOK = 256 << 10, 256
"""So much is read of a running machine for one view; the picture is made of several."""
STANDING_FACTOR = 16
"""A machine that stands still has more time."""
_SMALLEST_CELL, _LARGEST_CELL = 1, 1 << 24
_CODE_GRAIN = 16
_SAMPLE = 512
_TEXT_SHARE = 0.85
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\r\n\t"

ZERO, DATA, TEXT, ROM, RAN, CHANGED, NEXT, STACK, NOTHING, UNSEEN = range(10)
CURSOR = 0x10
"""Added to a cell's kind where the cursor is."""
_KIND, _TOUCH_SHIFT = 0x1F, 5
_TOUCHED = {
    READ: "read",
    WRITTEN: "written",
    READ | WRITTEN: "read-written",
    EXECUTED: "executed",
    READ | EXECUTED: "read-executed",
    WRITTEN | EXECUTED: "written-executed",
    READ | WRITTEN | EXECUTED: "all-touched",
}
"""The role of what was touched; its bits stand above the kind."""
_LEGEND = (
    ("·", "dim", "zero"), ("▒", "value", "data"), ("≡", "good", "text"), ("░", "note", "ROM"), ("█", "code", "ran"),
    ("▓", "changed", "changed"), ("►", "bad", "next"), ("▲", "address", "stack"),
)  # fmt: skip
_COLOURS = (
    Part("read", "read"), Part(" · "), Part("written", "written"), Part(" · "), Part("both", "read-written"),
    Part(" · "), Part("executed", "executed"), Part(" · "), Part("and read", "read-executed"), Part(" · "),
    Part("and written", "written-executed"), Part("  reads slow the guest", "note"),
)  # fmt: skip
_CELLS = {kind: (glyph, role) for kind, (glyph, role, _) in enumerate(_LEGEND)}
_CELLS |= {NOTHING: (" ", "dim"), UNSEEN: ("?", "dim")}
_CELLS |= {kind | CURSOR: (glyph, "cursor") for kind, (glyph, _) in tuple(_CELLS.items())}


@record
class Picture:
    """Cells of `cell` bytes from the physical address `start` on: kinds, and which changed, ran or are marked.

    `touched` has the bits of what was read, written and executed in each cell, and is empty where the engine does not
    tell. `complete` is False while parts of it were not read yet.
    """

    start: int
    cell: int
    kinds: bytes
    changed: frozenset[int]
    ran: frozenset[int]
    marks: tuple[tuple[int, str], ...]
    complete: bool
    touched: bytes = b""


class PicturePanel(ListingPanel):
    """Physical memory, drawn; zoomed and moved with keys and the mouse."""

    name = "picture"
    title = "Memory map"
    keys = "Z in, X out, Enter follow"
    question = 'Search RAM: "text" or bytes, as de ad be ef'
    help = (
        "Physical memory as a picture, one character for the number of bytes that the first line tells. A cell is "
        "marked as changed when its bytes differ from the last look. Its colour tells whether it was read, written or "
        "executed since the machine was switched on, or several of these; **reads are noticed only while this panel is "
        "in view, and the guest is slower meanwhile**. On an engine that does not remember, a cell counts as having "
        "run when the CPU was seen there at a look or a stop.\n\n"
        "Arrows move the cursor, Page Up and Page Down the picture; **Z** or the wheel zooms in on the cursor, **X** "
        "zooms out, **Home** shows all memory and **End** its first mebibyte. A click or Enter shows the bytes in the "
        "memory panel."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("z", "zoom(1)", "Zoom in", show=False),
        Binding("x", "zoom(-1)", "Zoom out", show=False),
        Binding("left", "step(-1)", "Left", show=False),
        Binding("right", "step(1)", "Right", show=False),
    ]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.listing = Listing(endless=True)
        self.start = 0
        self.cell = 0  # 0: as large as shows the first mebibyte, or with `whole` all memory
        self.whole = False
        self.at = 0
        self._seen: dict[tuple[int, int], tuple[int, int]] = {}  # of each cell: checksum and kind
        self._fresh: dict[tuple[int, int], int] = {}  # when a cell was seen changing
        self._ran: set[int] = set()
        self._touched: dict[tuple[int, int], int] = {}
        self._covered = False
        self._seen_now = False
        self._turn = 0
        self._running = False

    @property
    def columns(self) -> int:
        """How many cells stand in a row: a power of two, so that rows begin at round addresses."""
        room = max(1, self.listing.size.width - 10)
        return 1 << max(0, room.bit_length() - 1)

    @property
    def lines(self) -> int:
        """How many rows of cells there are."""
        return max(1, self.listing.size.height - (3 if self._covered else 2))

    def scale(self, size: int) -> int:
        """Return how many bytes a cell has, for a memory of `size` bytes."""
        if self.cell:
            return self.cell
        size = size if self.whole else min(size, MIB)
        cells = self.columns * self.lines
        return 1 << max(0, (-(-size // cells) - 1).bit_length())

    # -- noticing reads -------------------------------------------------------------------------------------------
    def on_show(self) -> None:
        """Notice reads from now on."""
        self._seen_now = True
        self.session.call(lambda debugger: cover(debugger, reads=self._seen_now))
        self.look_again()

    def on_hide(self) -> None:
        """Notice reads no more: they cost the guest's speed."""
        self._seen_now = False
        self.session.call(lambda debugger: cover(debugger, reads=self._seen_now))

    def on_unmount(self) -> None:
        """Notice reads no more."""
        self.on_hide()

    # -- on the machine's thread ----------------------------------------------------------------------------------
    def collect(self, debugger: Debugger) -> Picture:
        """Look at as many cells as one look may take, beginning where the last one ended."""
        machine, coverage = debugger.machine, coverage_of(debugger)
        self._covered = coverage is not None
        cell = self.scale(machine.memory.size)
        start, count = self.start // cell * cell, self.columns * self.lines
        here = physical_of(debugger.engine, machine.cpu.linear_ip)
        if here is not None:
            self._ran.add(here // _CODE_GRAIN)
        complete = self._look(machine.space, coverage, range(start, start + cell * count, cell), machine.now)
        seen = [self._seen.get((start + index * cell, cell)) for index in range(count)]
        kinds = bytes(UNSEEN if one is None else one[1] for one in seen)
        changed = frozenset(i for i in range(count) if (start + i * cell, cell) in self._fresh)
        ran = frozenset((block * _CODE_GRAIN - start) // cell for block in self._ran)
        touched = b""
        if coverage is not None:
            touched = bytes(self._touched.get((start + index * cell, cell), 0) for index in range(count))
            ran = frozenset(index for index, bits in enumerate(touched) if bits & EXECUTED)
        stack = physical_of(debugger.engine, debugger.evaluate("ss_base + rsp") & 0xFFFF_FFFF_FFFF_FFFF)
        marks = [((stack - start) // cell, "▲")] if stack is not None else []
        marks += [((here - start) // cell, "►")] if here is not None else []
        return Picture(start, cell, kinds, changed, ran, tuple(marks), complete, touched)

    def _look(self, space: AddressSpace, coverage: Coverage | None, cells: range, now: int) -> bool:
        count, cell = len(cells), cells.step
        if len(self._seen) > 8 * count + 100_000:
            self._seen.clear()
            self._fresh.clear()
            self._touched.clear()
        factor = 1 if self._running else STANDING_FACTOR
        for _ in range(min(count, CELLS_A_LOOK * factor, max(1, BYTES_A_LOOK * factor // cell))):
            self._turn = (self._turn + 1) % count
            address = cells[self._turn]
            self._look_at(space, address, cell, now)
            if coverage is not None:
                touched = coverage.touched(address, cell).strip(b"\0")  # most of it is nothing but zeros
                self._touched[address, cell] = reduce(or_, set(touched), 0) & 7
        return all((address, cell) in self._seen for address in cells)

    def _look_at(self, space: AddressSpace, address: int, cell: int, now: int) -> None:
        key = address, cell
        region = space.region_at(address)
        if region is None:
            self._seen[key] = 0, NOTHING
            return
        data = space.memory.view[address + region.shift : min(address + cell, region.end) + region.shift]
        checksum, old = crc32(data), self._seen.get(key)
        if old is None or old[0] != checksum:
            self._seen[key] = checksum, kind_of(data, region.writable)
            if old is not None:
                self._fresh[key] = now
        elif self._fresh.get(key, now) != now:
            del self._fresh[key]

    # -- on the user interface's thread ---------------------------------------------------------------------------
    def show(self, data: object, view: View) -> None:
        """Show the picture; how fast it is made hangs on whether the machine runs."""
        self._running = view.running
        super().show(data, view)

    def rows(self, data: Picture) -> Iterator[Row]:
        """Return the scale, the picture and the legend."""
        columns = self.columns
        end = data.start + len(data.kinds) * data.cell - 1
        yield row(Part(f"{data.start:08X}-{end:08X}, {size_words(data.cell)} a character", "head"))
        kinds = self._overlaid(data)
        for first in range(0, len(data.kinds), columns):
            yield _drawn(data.start + first * data.cell, f"{first}", kinds[first : first + columns])
        yield Row(tuple(part for glyph, role, words in _LEGEND for part in (Part(glyph, role), Part(f" {words}  "))))
        if data.touched:
            yield row(*_COLOURS)
        self.listing.cursor = 0
        self.tell_edge(f"{self.at:X}h")
        if not data.complete:
            self.set_timer(0.05, self.look_again)

    def _overlaid(self, data: Picture) -> bytes:
        """Return what each cell shows: its kind, or what is more than that."""
        kinds = bytearray(data.kinds)
        cursor = (self.at - data.start) // data.cell
        marked = [(index, NEXT if sign == "►" else STACK) for index, sign in data.marks]
        for kind, indices in ((RAN, data.ran), (CHANGED, data.changed)):
            for index in indices:
                if 0 <= index < len(kinds):
                    kinds[index] = kind
        for index, kind in marked:
            if 0 <= index < len(kinds):
                kinds[index] = kind
        for index, bits in enumerate(data.touched):
            if bits and kinds[index] not in (CHANGED, NEXT, STACK):
                kinds[index] |= bits << _TOUCH_SHIFT
        if 0 <= cursor < len(kinds):
            kinds[cursor] |= CURSOR
        return bytes(kinds)

    def search(self, wanted: str, direction: int = 1, *, here: bool = False) -> None:
        """Put the cursor on the next place in RAM that has these bytes or this text."""
        try:
            data = pattern(wanted)
        except MiniVMError as error:
            self.say(str(error))
            return
        self.mark(wanted)
        at = self.at - 1 if here else self.at

        def find(debugger: Debugger) -> int | None:
            memory = debugger.machine.memory.view
            return find_in(memory, data, at, direction)

        self.command(find, self._go_to_hit)

    def _go_to_hit(self, physical: int | None) -> None:
        if physical is None:
            self.not_found(self.wanted)
        else:
            self._move(physical - self.at)

    def action_zoom(self, direction: int) -> None:
        """Zoom in on the cursor, or out."""
        cell = self.data.cell if self.data is not None else 0x100
        self._zoom_to(cell // 4 if direction > 0 else cell * 4)

    def _zoom_to(self, cell: int) -> None:
        self.cell = max(_SMALLEST_CELL, min(cell, _LARGEST_CELL))
        room = self.cell * self.columns * self.lines
        line = self.cell * self.columns
        self.start = max(0, (self.at - room // 2) // line * line)
        self._turn = 0
        self.look_again()

    def show_much(self, whole: bool) -> None:
        """Show all memory, or its first mebibyte."""
        self.cell = self.start = self._turn = 0
        self.whole = whole
        self.look_again()

    def action_step(self, by: int) -> None:
        """Move the cursor by cells."""
        self._move(by * (self.data.cell if self.data is not None else 1))

    def _move(self, by: int) -> None:
        if self.data is None:
            return
        line = self.data.cell * self.columns
        self.at = max(0, self.at + by)
        while self.at < self.start:
            self.start = max(0, self.start - line)
        while self.at >= self.start + line * self.lines:
            self.start += line
        self.redraw()
        self.look_again()

    def on_listing_beyond(self, event: Listing.Beyond) -> None:
        """Move the cursor by a row or a page, or show all memory or the first mebibyte."""
        event.stop()
        if event.step == "end":
            self.show_much(event.direction < 0)
        elif self.data is not None:
            line = self.data.cell * self.columns
            self._move(event.direction * line * (self.lines if event.step == "page" else 1))

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Show the bytes under the cursor."""
        event.stop()
        self._follow()

    def on_listing_pointed(self, event: Listing.Pointed) -> None:
        """Put the cursor under the mouse, and show the bytes there."""
        event.stop()
        if self.data is not None and event.row.key and 10 <= event.column < 10 + self.columns:
            self.at = self.data.start + (int(event.row.key) + event.column - 10) * self.data.cell
            self.redraw()
            self._follow()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        event.stop()
        self.action_zoom(1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        event.stop()
        self.action_zoom(-1)

    def _follow(self) -> None:
        physical = self.at

        def linear(debugger: Debugger) -> int:
            if physical_of(debugger.engine, physical) != physical:
                raise DebugError(f"physical {physical:X}h is not mapped at the linear address of the same number")
            return physical

        self.command(linear, lambda address: self.post_message(FollowAddress(address)))


@lru_cache(maxsize=256)
def _drawn(start: int, key: str, kinds: bytes) -> Row:
    parts = [Part(f"{start:08X}  ", "dim")]
    for kind, same in groupby(kinds):
        glyph, role = _CELLS[kind & _KIND]
        if kind >> _TOUCH_SHIFT and not kind & CURSOR:
            role = _TOUCHED[kind >> _TOUCH_SHIFT]
        parts.append(Part(glyph * len(list(same)), role))
    return Row(tuple(parts), key=key)


def kind_of(data: memoryview, writable: bool) -> int:
    """Return what some bytes look like: nothing but zeros, mostly text, or other data."""
    if not any(data[:_SAMPLE]) and bytes(data).count(0) == len(data):
        return ZERO
    if not writable:
        return ROM
    sample = bytes(data[:_SAMPLE]).replace(b"\0", b"") or bytes(data).replace(b"\0", b"")[:_SAMPLE]
    printable = len(sample) - len(sample.translate(None, _PRINTABLE))
    return TEXT if len(sample) >= 4 and printable >= _TEXT_SHARE * len(sample) else DATA


def size_words(size: int) -> str:
    """Return a power of two of bytes in words."""
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size >> shift:
            return f"{size >> shift} {unit}"
    return f"{size} byte{'s' * (size != 1)}"
