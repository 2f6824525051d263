"""The stack: its words with what they may be, and the frames that the chain of base pointers makes."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from minivm.core.record import record
from minivm.debug.debugger import Debugger
from minivm.debug.inspect_paging import peek_number
from minivm.engine.cpustate import HF_CS64, HF_SS32
from minivm.tui.panels.addresses import Place, call_before, place, protected
from minivm.tui.panels.base import ListingPanel
from minivm.tui.panels.changes import Changes
from minivm.tui.panels.listing import Part, Row, row, sentence

_MOST_FRAMES = 64
_SEARCHED_WORDS = 512
_FARTHEST_NAMED = 0x200
"""A number this far behind a symbol hardly means it."""
_SMALLEST_NAMED = 0x400
"""Numbers below this are hardly addresses: the real-mode vector table lies there."""


@record
class Word:
    """One word of the stack: its offset in SS, linear address and value, what it may be, and where that leads."""

    offset: int
    linear: int
    value: int
    note: str = ""
    place: Place | None = None


@record
class Frame:
    """One routine that is not finished: where it goes on, its base pointer, and the call that made it.

    `sure` says that a call stands before the return address.
    """

    place: Place
    base: int
    call: str
    sure: bool


@record
class Stack:
    """What lies on the stack now; `size` is a word's bytes."""

    pointer: str
    size: int
    words: tuple[Word, ...]
    frames: tuple[Frame, ...]
    now: int


class StackPanel(ListingPanel):
    """The words from the stack pointer up, or the frames of the routines that have not returned."""

    name = "stack"
    title = "Stack"
    help = (
        "The words on the stack, the top first. A number that stands behind a call is taken for a return address: a "
        "good guess, but a guess. Changed words are marked.\n\n"
        "V shows frames instead: the chain of base pointers (BP, EBP, RBP), as far as routines begin with PUSH BP and "
        "MOV BP, SP. Enter or a click follows an address."
    )
    keys = "V words/frames"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "frames", "Words/frames", show=False)]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.framed = False
        self._deep = False
        self._changes = Changes()

    def collect(self, debugger: Debugger) -> Stack:
        """Read as many words as there is room for."""
        reader = _Reader(debugger)
        room = max(4, self.listing.size.height - 1)
        words = tuple(reader.words(max(room, _SEARCHED_WORDS) if self._deep else room))
        frames = tuple(reader.frames()) if self.framed else ()
        return Stack(reader.described, reader.size, words, frames, debugger.machine.now)

    def rows(self, data: Stack) -> Iterable[Row]:
        """Return the words or the frames."""
        if self.framed:
            yield row(Part("FRAME  GOES ON AT", "head"))
            for number, frame in enumerate(data.frames):
                yield _frame_row(number, frame, data.size)
            return
        yield row(Part(f"{data.pointer}  words of {data.size} bytes", "head"))
        if not data.words:
            yield sentence("The stack pointer points at no memory.", "bad")
        changed = self._changes.look(data.now, {one.linear: one.value for one in data.words})
        first = data.words[0].offset if data.words else 0
        for one in data.words:
            role = "changed" if one.linear in changed else "value"
            digits = 2 * data.size
            parts = [
                Part(f"+{one.offset - first:03X}  ", "dim"),
                Part(f"{one.offset:0{digits}X} ", "address", one.linear),
            ]
            parts += [Part(" "), Part(f"{one.value:0{digits}X}  ", role)]
            if one.place is not None:
                parts.append(Part(f"{one.note} " if one.note else "", "text"))
                parts.append(Part(one.place.text, "code" if one.note.startswith("return") else "address",
                                  one.place.linear))  # fmt: skip
            else:
                parts.append(Part(one.note, "note"))
            yield Row(tuple(parts), key=f"{one.linear:X}")

    def unfold(self) -> bool:
        """Read further up."""
        was, self._deep = self._deep, True
        return not was

    def mark(self, wanted: str) -> None:
        """Read no more than there is room for, once nothing is searched for."""
        super().mark(wanted)
        if not wanted and self._deep:
            self._deep = False
            self.look_again()

    def action_frames(self) -> None:
        """Show frames instead of words, or words again."""
        self.framed = not self.framed
        self.look_again()


def _frame_row(number: int, frame: Frame, size: int) -> Row:
    how = "now" if number == 0 else frame.call if frame.sure else "no call stands before it"
    return row(
        Part(f"#{number:<4}  ", "head"),
        Part(frame.place.text, "code", frame.place.linear),
        Part(f"  base {frame.base:0{2 * size}X}", "dim"),
        Part(f"  {how}", "text" if frame.sure or number == 0 else "note"),
        key=f"frame{number}",
    )


class _Reader:
    """The stack of one moment."""

    def __init__(self, debugger: Debugger) -> None:
        self._debugger = debugger
        cpu = debugger.machine.cpu
        hflags = cpu.head.hflags
        stack_bits = 64 if hflags & HF_CS64 else 32 if hflags & HF_SS32 else 16
        self.size = cpu.code_bits // 8
        self._mask = (1 << stack_bits) - 1
        self._segment = 0 if stack_bits == 64 else int(cpu.ss_base)
        self._code = 0 if cpu.code_bits == 64 else int(cpu.cs_base)
        self._pointer, self._base = int(cpu.rsp) & self._mask, int(cpu.rbp) & self._mask
        self._real = not protected(debugger)
        name = {16: "SP", 32: "ESP", 64: "RSP"}[stack_bits]
        shown = f"{self._pointer:0{stack_bits // 4}X}"
        self.described = f"{name} {shown}" if stack_bits == 64 else f"SS:{name} {cpu.ss:04X}:{shown}"

    def words(self, count: int) -> Iterator[Word]:
        """Yield words upwards, as far as memory and segment reach."""
        values: list[int] = []
        for index in range(count + 2):
            value = self._word(self._pointer + index * self.size)
            if value is None:
                break
            values.append(value)
        names: list[str] = []
        for index, value in enumerate(values[:count]):
            offset = self._pointer + index * self.size
            linear = self._segment + offset
            after = values[index + 1] if index + 1 < len(values) else None
            note, found = self._meaning(offset, value, after)
            if names and found is None:
                note = names.pop(0)
            elif found is not None and note.startswith("return from int"):
                names = self._pushed_above(after)
            yield Word(offset, linear, value, note, found)

    def _word(self, offset: int) -> int | None:
        if offset + self.size - 1 > self._mask:
            return None
        return peek_number(self._debugger.engine, self._segment + offset, self.size)

    def _meaning(self, offset: int, value: int, after: int | None) -> tuple[str, Place | None]:
        debugger = self._debugger
        if offset == self._base:
            return "caller's base pointer (BP points here)", None
        near = self._code + value
        if value >= 2 and (call := call_before(debugger, near)):
            return f"return from {call} to", self._place(near, value)
        if self._real and after is not None and (call := call_before(debugger, after * 16 + value)):
            return f"return from {call} to", place(debugger, after * 16 + value, f"{after:04X}:{value:04X}")
        if len(debugger.symbols) and value >= _SMALLEST_NAMED:
            named = debugger.symbols.nearest(near)
            if named is not None and named[1] <= _FARTHEST_NAMED:
                return "", Place(near, debugger.symbols.describe(near))
        return "", None

    def _pushed_above(self, selector: int | None) -> list[str]:
        """Return what an interrupt has pushed above the return address (SDM vol. 3, section 6.12.1)."""
        names = ["CS before the interrupt", "flags before the interrupt"]
        outer = selector is not None and not self._real and selector & 3 > self._debugger.machine.cpu.cpl
        return [*names, *(("stack pointer before the interrupt", "SS before the interrupt") if outer else ())]

    def _place(self, linear: int, offset: int) -> Place:
        digits = 2 * self.size
        return place(self._debugger, linear, f"{offset:0{digits}X}")

    def frames(self) -> Iterator[Frame]:
        """Yield the routines along the chain of base pointers; it ends where it does not go up."""
        debugger = self._debugger
        linear = debugger.machine.cpu.linear_ip
        yield Frame(self._place(linear, linear - self._code), self._base, "", True)
        base = self._base
        for _ in range(_MOST_FRAMES):
            above, returns = self._word(base), self._word(base + self.size)
            if above is None or returns is None or base < self._pointer or not returns:
                return
            call = call_before(debugger, self._code + returns)
            yield Frame(self._place(self._code + returns, returns), above, call, bool(call))
            if above <= base:
                return
            base = above
