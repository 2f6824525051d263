"""Memory as bytes: hexadecimal and code page 437, following an address or an expression such as `ss:sp`."""

import asyncio
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType

from minivm.core.cp437 import decode, encode
from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.expressions import parse_address
from minivm.debug.inspect_paging import peek
from minivm.errors import MiniVMError
from minivm.tui.panel import FollowAddress
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.changes import Changes
from minivm.tui.panels.listing import Listing, Part, Row, merged
from minivm.tui.search import find_bytes, pattern, pieces

_WIDTHS = (16, 8, 4)
_PAGE = 0x1000
_WHEEL_ROWS = 3
_LAST = 0xFFFF_FFFF_FFFF_FFFF
_FOLLOWED = ("ss:sp", "ds:si", "es:di", "cs:ip")
"""What the key F goes through, besides the address that stands still."""


@record
class Bytes:
    """What is at the linear addresses from `start` on; None for a byte that no memory holds. `now` is the time."""

    start: int
    data: tuple[int | None, ...]
    now: int
    problem: str = ""


class MemoryPanel(ListingPanel):
    """Bytes at an address; the ones that changed since the machine last stood still are marked."""

    name = "memory"
    title = "Memory"
    help = (
        "The bytes of memory at linear addresses, and beside them their characters in code page 437. "
        "Bytes that changed since the last look are marked. ?? is no memory, or a device.\n\n"
        "G goes to an address or expression (7C00h, ss:sp, main+4) and stays there; F follows the stack, DS:SI, ES:DI "
        "or CS:IP as they move. Arrows move byte by byte, Page Up and Page Down turn the page. E changes bytes at the "
        "cursor: hexadecimal ones (90 90) or a text in quotes. Enter follows the address that is stored there. "
        "**W** goes back in time to the instruction that wrote the byte at the cursor last.\n\n"
        "/ searches all memory for bytes (`de ad be ef`) or a text, in quotes if it looks like bytes; N and Shift+N "
        "go to the next and the previous place."
    )
    keys = "G goto, F follow, E edit, W who, / find"
    question = 'Search memory: "text" or bytes, as de ad be ef'
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "goto", "Go to", show=False),
        Binding("f", "follow_next", "Follow", show=False),
        Binding("e", "edit", "Edit", show=False),
        Binding("w", "who", "Who wrote this?", show=False),
        Binding("left", "step(-1)", "Left", show=False),
        Binding("right", "step(1)", "Right", show=False),
    ]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.listing.endless = True
        self.start = self.at = 0x7C00
        self.following = ""
        self._changes = Changes()
        self._changed: frozenset[object] = frozenset()
        self._pattern = b""
        self._marked: frozenset[int] = frozenset()

    # -- what is seen ---------------------------------------------------------------------------------------------
    @property
    def per_row(self) -> int:
        """How many bytes fit in a row."""
        width = self.listing.size.width or 80
        return next((count for count in _WIDTHS if 10 + 4 * count <= width), 2)

    @property
    def room(self) -> int:
        """How many bytes fit in the panel."""
        return self.per_row * max(1, self.listing.size.height)

    def collect(self, debugger: Debugger) -> Bytes:
        """Read what the panel has room for."""
        problem = ""
        if self.following:
            try:
                self.look_at(followed(debugger, self.following))
            except MiniVMError as error:
                problem = str(error)
        start, length = self.start, self.room
        return Bytes(start, read_holes(debugger, start, length), debugger.machine.now, problem)

    def look_at(self, address: int) -> None:
        """Put the cursor on a linear address, and turn the page when it is not in view."""
        per_row, visible = self.per_row, self.room
        self.at = max(0, min(address, _LAST))
        if not self.start <= self.at < self.start + visible:
            self.start = self.at - self.at % per_row
            self.start = max(0, min(self.start, _LAST + 1 - visible))

    def follow(self, linear: int) -> bool:
        """Stand still at a linear address."""
        self.following = ""
        self.look_at(linear)
        return True

    def rows(self, data: Bytes) -> Iterable[Row]:
        """Return one row for each few bytes."""
        seen = {data.start + offset: byte for offset, byte in enumerate(data.data)}
        self._changed = self._changes.look(data.now, seen)
        count = self.per_row
        self._marked = self._hits(data)
        where = f" follows {self.following}" if self.following else ""
        self.tell_edge(data.problem or f"{self.at:X}h{where}")
        for at in range(0, len(data.data), count):
            yield self._row(data.start + at, data.data[at : at + count])
        self.listing.cursor = max(0, (self.at - data.start) // count)

    def _row(self, start: int, data: tuple[int | None, ...]) -> Row:
        here = range(start, start + len(data))
        changed = tuple(at for at in here if at in self._changed) if self._changed else ()
        hits = tuple(at for at in here if at in self._marked) if self._marked else ()
        return _drawn(start, data, self.at if self.at in here else None, changed, hits)

    # -- searching ------------------------------------------------------------------------------------------------
    def search(self, wanted: str, direction: int = 1, *, here: bool = False) -> None:
        """Search guest memory from the cursor on; another search ends this one."""
        try:
            data = pattern(wanted)
        except MiniVMError as error:
            self.say(str(error))
            return
        self.mark(wanted)
        self._pattern = data
        self.tell_edge("searching")
        at = self.at - 1 if here and direction > 0 else self.at
        self.run_worker(self._hunt(data, at, direction), group="search", exclusive=True, exit_on_error=False)

    async def _hunt(self, data: bytes, at: int, direction: int) -> None:
        size = self.session.machine.memory.size
        for piece in pieces(at, size, direction):
            work = partial(find_bytes, wanted=data, where=piece, direction=direction)
            found = await asyncio.wrap_future(self.session.call(work))
            if found is not None:
                self.say("")
                self.follow(found)
                break
        else:
            self.not_found(self.wanted)
        self.redraw()
        self.look_again()

    def mark(self, wanted: str) -> None:
        """Mark nothing any more, or what a search will find."""
        self.wanted = wanted
        self._pattern = b""
        if not wanted:
            self.workers.cancel_group(self, "search")
        self.redraw()

    def _hits(self, data: Bytes) -> frozenset[int]:
        """Return the addresses in view that belong to a hit."""
        wanted = self._pattern
        if not wanted:
            return frozenset()
        known = bytes(byte or 0 for byte in data.data)
        found: set[int] = set()
        at = known.find(wanted)
        while at >= 0:
            found.update(range(data.start + at, data.start + at + len(wanted)))
            at = known.find(wanted, at + 1)
        return frozenset(found)

    def chosen_text(self) -> str:
        """Return the row with the cursor."""
        at = (self.at - self.start) // self.per_row
        lines = self.text_lines
        return lines[at].strip() if 0 <= at < len(lines) else ""

    # -- keys and mouse -------------------------------------------------------------------------------------------
    def action_goto(self) -> None:
        """Ask for an address or an expression."""
        self.prompt.ask("Address or expression, as 7C00h, ss:sp, main+4", self._go)

    def _go(self, text: str) -> None:
        def find(debugger: Debugger) -> int:
            return parse_address(text, debugger.context, debugger.symbols).value

        self.command(find, self.follow)

    def action_follow_next(self) -> None:
        """Follow the next of the pointers, and after the last one none."""
        names = ("", *_FOLLOWED)
        self.following = names[(names.index(self.following) + 1) % len(names)]
        self.look_again()

    def action_step(self, by: int) -> None:
        """Move the cursor by bytes."""
        self.follow(max(0, self.at + by))
        self.look_again()

    def action_who(self) -> None:
        """Go to where the byte at the cursor was written last."""
        self.who_wrote(f"byte [{self.at:#x}]")

    def action_edit(self) -> None:
        """Ask for the bytes to put at the cursor."""
        self.prompt.ask(f'Bytes for {self.at:X}h, as 90 90 or "text"', self._put)

    def _put(self, text: str) -> None:
        try:
            data, at = typed_bytes(text), self.at
        except ValueError:
            self.say(f"{text}: give bytes in hexadecimal, as 90 0F, or a text in quotes")
            return
        self.command(lambda debugger: debugger.write(at, data), lambda _: self.follow(at))

    def on_listing_beyond(self, event: Listing.Beyond) -> None:
        """Move the cursor by a row or a page, or to the row's end."""
        event.stop()
        count = self.per_row
        ends = count - 1 - self.at % count if event.direction > 0 else self.at % count
        step = {"row": count, "page": self.room, "end": ends}[event.step]
        self.following = ""
        if event.step == "page":
            self.start = max(0, min(self.start + event.direction * step, _LAST + 1 - self.room))
        self.look_at(max(0, self.at + event.direction * step))
        self.look_again()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Look further up; the cursor stays where it is."""
        event.stop()
        self._scroll(-_WHEEL_ROWS)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Look further down."""
        event.stop()
        self._scroll(_WHEEL_ROWS)

    def _scroll(self, rows: int) -> None:
        self.following = ""
        self.start = max(0, min(self.start + rows * self.per_row, _LAST + 1 - self.room))
        self.look_again()

    def on_listing_pointed(self, event: Listing.Pointed) -> None:
        """Put the cursor on the byte under the mouse."""
        event.stop()
        offset = byte_under(event.column, len(event.row.text), self.per_row)
        if offset is not None:
            self.follow(int(event.row.key, 16) + offset)
            self.redraw()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Follow the pointer that is stored at the cursor, as wide as the code is."""
        event.stop()
        at = self.at

        def pointer(debugger: Debugger) -> int:
            size = debugger.machine.cpu.code_bits // 8
            raw = debugger.read(at, max(size, 4) if size > 2 else 4)
            value = int.from_bytes(raw, "little")
            return (value >> 16) * 16 + (value & 0xFFFF) if size == 2 else value

        self.command(pointer, lambda address: self.post_message(FollowAddress(address)))


@lru_cache(maxsize=512)
def _drawn(
    start: int, data: tuple[int | None, ...], cursor: int | None, changed: tuple[int, ...], hits: tuple[int, ...]
) -> Row:
    wide = 8 if start <= 0xFFFF_FFFF else 16
    parts = [Part(f"{start:0{wide}X}  ", "address")]
    roles = [_role(start + offset, byte, cursor, changed, hits) for offset, byte in enumerate(data)]
    for role, byte in zip(roles, data, strict=True):
        parts += [Part("??" if byte is None else f"{byte:02X}", role), Part(" ")]
    parts.append(Part(" "))
    for role, byte in zip(roles, data, strict=True):
        parts.append(Part(" " if byte is None else decode(bytes((byte,))), role))
    return Row(merged(parts), key=f"{start:X}")


def _role(address: int, byte: int | None, cursor: int | None, changed: tuple[int, ...], hits: tuple[int, ...]) -> str:
    if address == cursor:
        return "cursor"
    if address in hits:
        return "hit"
    if address in changed:
        return "changed"
    return "dim" if not byte else "value"


def followed(debugger: Debugger, name: str) -> int:
    """Return the linear address of one of the followed pointers, as wide as the code is."""
    segment, register = name.split(":")
    bits = debugger.machine.cpu.code_bits
    if bits == 64:
        return debugger.evaluate("r" + register)
    wide = "e" + register if bits == 32 else register
    return parse_address(f"{segment}:{wide}", debugger.context, debugger.symbols).value


def read_holes(debugger: Debugger, start: int, length: int) -> tuple[int | None, ...]:
    """Return bytes at linear addresses, None where no page or no memory is."""
    found: list[int | None] = []
    while len(found) < length:
        at = start + len(found)
        part = min(length - len(found), _PAGE - at % _PAGE)
        data = peek(debugger.engine, at, part)
        found += list(data) + [None] * (part - len(data))
    return tuple(found)


def typed_bytes(text: str) -> bytes:
    """Return the bytes that somebody typed; raises `ValueError` for what are none."""
    if text[:1] in "\"'" and text[-1:] == text[:1] and len(text) > 1:
        return encode(text[1:-1])
    return b"".join(_number(word) for word in text.replace(",", " ").split())


def _number(word: str) -> bytes:
    digits = word.removesuffix("h").removesuffix("H").removeprefix("0x")
    return bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)


def byte_under(column: int, width: int, count: int) -> int | None:
    """Return which of the `count` bytes of a row of `width` characters stands at `column`, in either half."""
    text_from = width - count
    digits_from = text_from - 1 - 3 * count
    if text_from <= column < width:
        return column - text_from
    return (column - digits_from) // 3 if digits_from <= column < text_from - 1 else None
