"""The processor's tables as a tree: GDT, LDT, IDT or vector table, TSS and page tables, and the walk of one address."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from minivm.debug.debugger import Debugger
from minivm.debug.explain import vector_title
from minivm.debug.expressions import parse_address
from minivm.debug.inspect_devices import interrupt_path
from minivm.debug.inspect_paging import Node, children, explain_walk, page_tables, walk_text
from minivm.debug.inspect_tables import TableEntry, gdt, interrupt_table, ldt, task_state, words_of
from minivm.engine.cpustate import CR0_PG, HF_PE
from minivm.tui.panels.addresses import target_of
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.listing import Listing, Part, Row, row, sentence

_MOST_ENTRIES = 256
_SECTIONS = frozenset({"gdt", "ldt", "idt", "tss", "pages", "walk"})
_POWER_ON_LIMIT = 0xFFFF


class TablesPanel(ListingPanel):
    """Descriptor tables, the task state and paging, read as the CPU reads them."""

    name = "tables"
    title = "Tables"
    keys = "Enter open, W walk"
    help = (
        "The tables that the processor itself reads: segment descriptors (GDT, LDT), where interrupts lead (IDT, in "
        "real mode the vector table IVT), the task state segment, and the page tables as a tree.\n\n"
        "Enter, a click, or Right and Left open and close. **W** walks the page tables for one address or expression, "
        "level by level, each bit named, and says why an access would fault; without one, CS:IP is walked."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "walk", "Walk", show=False),
        Binding("right", "open(True)", "Open", show=False),
        Binding("left", "open(False)", "Close", show=False),
    ]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.open: frozenset[str] = frozenset({"walk"})
        self.walked: int | None = None

    def collect(self, debugger: Debugger) -> tuple[Row, ...]:
        """Read the tables that are open."""
        reader = _Reader(debugger, self.open)
        return (
            *reader.section("gdt", _register("GDT", debugger.machine.cpu.head.gdt), reader.gdt),
            *reader.section("ldt", _selected("LDT", debugger.machine.cpu.head.ldt), reader.ldt),
            *reader.section("idt", reader.vectors_title, reader.vectors),
            *reader.section("tss", _selected("TSS", debugger.machine.cpu.head.tr), reader.task),
            *reader.section("pages", reader.pages_title, reader.pages),
            *reader.section("walk", *reader.walk(self.walked)),
        )

    def rows(self, data: tuple[Row, ...]) -> Iterable[Row]:
        """Return what was collected: it is rows already."""
        return data

    def unfold(self) -> bool:
        """Open every table, but not the directories inside the page tables."""
        was, self.open = self.open, self.open | _SECTIONS
        return not was >= _SECTIONS

    def action_walk(self) -> None:
        """Ask for an address to walk."""
        self.prompt.ask("Address or expression to walk the page tables for", self._walk)

    def _walk(self, text: str) -> None:
        def find(debugger: Debugger) -> int:
            return parse_address(text, debugger.context, debugger.symbols).value

        self.command(find, self._walk_to)

    def _walk_to(self, linear: int) -> None:
        self.walked = linear
        self.open |= {"walk"}

    def action_open(self, wanted: bool) -> None:
        """Open or close what the cursor is on."""
        current = self.listing.current
        if current is not None and _is_openable(current):
            self.open = self.open | {current.key} if wanted else self.open - {current.key}
            self.look_again()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Open what is closed, and close what is open."""
        event.stop()
        if _is_openable(event.row):
            self.open ^= {event.row.key}
            self.look_again()


def _is_openable(one: Row) -> bool:
    return one.text.lstrip()[:1] in ("▶", "▼")


def _register(name: str, table: Any) -> str:
    return f"{name}  base {table.base:08X}h, limit {table.limit:X}h"


def _selected(name: str, table: Any) -> str:
    return f"{name}  {table.selector:04X}h" + (": none" if not table.selector & 0xFFFC else _register("", table))


class _Reader:
    """The tables of one moment, as rows."""

    def __init__(self, debugger: Debugger, opened: frozenset[str]) -> None:
        self._debugger, self._open = debugger, opened
        self._engine, self._head = debugger.engine, debugger.machine.cpu.head
        self._real = not self._head.hflags & HF_PE

    def section(self, key: str, title: str, inside: Any) -> Iterator[Row]:
        """Yield a head and, when it is open, the rows inside."""
        mark = "▼" if key in self._open else "▶"
        yield row(Part(f"{mark} ", action=key), Part(title, "head", action=key), key=key)
        if key in self._open:
            found = list(islice(inside(), _MOST_ENTRIES + 1))
            yield from found[:_MOST_ENTRIES]
            if len(found) > _MOST_ENTRIES:
                yield sentence("... and more", "note", indent=2, key=f"{key}...")
            elif not found:
                yield sentence("empty", "note", indent=2, key=f"{key}.empty")

    # -- descriptors ----------------------------------------------------------------------------------------------
    def gdt(self) -> Iterator[Row]:
        """Yield the GDT's entries, null ones left out."""
        if self._real and self._head.gdt.limit == _POWER_ON_LIMIT and not self._head.gdt.base:
            yield sentence("LGDT was not executed yet: this is where the reset left it.", "note", indent=2, key="gdt!")
            return
        yield from (_entry(one, "gdt") for one in gdt(self._engine) if one.raw)

    def ldt(self) -> Iterator[Row]:
        """Yield the LDT's entries."""
        yield from (_entry(one, "ldt") for one in ldt(self._engine) if one.raw)

    @property
    def vectors_title(self) -> str:
        """IVT in real mode, else IDT."""
        return _register("IVT" if self._real else "IDT", self._head.idt)

    def vectors(self) -> Iterator[Row]:
        """Yield where each interrupt leads."""
        path = interrupt_path(self._debugger.machine)
        names = {one.vector: one.name for one in path.interrupts} if path is not None else {}
        for one in interrupt_table(self._engine):
            if not one.raw:
                continue
            target = target_of(self._debugger, one)
            parts = [Part(f"  {one.index:02X}h  ", "value")]
            if target is not None:
                parts += [Part(target.text, "code", target.linear), Part("  ")]
            name = names.get(one.index, "")
            if not name and one.index < 32:
                name = vector_title(one.index).partition(", ")[2]
            kind = "" if one.table == "IVT" else f"{words_of(one)}  "
            yield row(*parts, Part(kind), Part(name, "note"), key=f"idt{one.index}", indent=7)

    def task(self) -> Iterator[Row]:
        """Yield the TSS's fields."""
        state = task_state(self._engine)
        if state is None:
            yield sentence("TR is null: LTR was not executed.", "note", indent=2, key="tss!")
            return
        yield sentence(f"a {state.bits}-bit TSS", "note", indent=2, key="tss!")
        for name, value in state.fields:
            yield row(Part(f"  {name:12}"), Part(f"{value:0{max(4, state.bits // 4)}X}h", "value"), key=f"tss{name}")

    # -- paging ---------------------------------------------------------------------------------------------------
    @property
    def pages_title(self) -> str:
        """CR3, or that paging is off."""
        on = self._head.cr[0] & CR0_PG
        return f"Page tables  CR3 {self._head.cr[3]:08X}h" if on else "Page tables  paging is off"

    def pages(self) -> Iterator[Row]:
        """Yield the tree, as far as it is open."""
        yield from self._nodes(page_tables(self._engine), "pages")

    def _nodes(self, nodes: Iterator[Node], above: str) -> Iterator[Row]:
        for node in nodes:
            key = f"{above}/{node.index}"
            opened = key in self._open
            yield _node(node, key, opened)
            if opened and not node.leaf:
                yield from self._nodes(children(self._engine, node), key)

    def walk(self, wanted: int | None) -> tuple[str, Any]:
        """Return the title and the rows of the walk of one address."""
        linear = self._debugger.machine.cpu.linear_ip if wanted is None else wanted
        access = "execute" if wanted is None else "read"
        lines = walk_text(explain_walk(self._engine, linear, access))

        def inside() -> Iterator[Row]:
            for number, line in enumerate(lines):
                bad = number == len(lines) - 1 and "faults" in line
                yield row(Part("  "), Part(line, "bad" if bad else "text"), key=f"walk{number}", indent=4)

        return f"Walk of {linear:08X}h{' (CS:IP)' if wanted is None else ''}", inside


def _entry(one: TableEntry, table: str) -> Row:
    role = "text" if one.present else "dim"
    place = Part(f"  {one.selector or 0:04X}h  ", "address", one.address)
    return row(place, Part(words_of(one), role), key=f"{table}{one.index}", indent=9)


def _node(node: Node, key: str, opened: bool) -> Row:
    mark = " " if node.leaf else "▼" if opened else "▶"
    digits = 16 if node.linear > 0xFFFF_FFFF else 8
    rights = "r" + ("w" if node.writable else "-") + ("x" if node.executable else "-")
    return row(
        Part("  " * (node.depth + 1)),
        Part(f"{mark} {node.name} {node.index:03X}h  ", action=key),
        Part(f"{node.linear:0{digits}X}h", "address", node.linear),
        Part(f" {'page' if node.leaf else 'table'} at {node.target:08X}h {rights} "),
        Part("user" if node.user else "supervisor", "note"),
        key=key,
    )
