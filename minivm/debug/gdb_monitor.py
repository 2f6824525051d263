"""What `monitor COMMAND` does in GDB: the debugger's own words, for what GDB has no command for."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from minivm.debug.debugger import CATCH_KINDS, DebugError, Debugger
from minivm.debug.gdb_target import ARCHITECTURES
from minivm.debug.inspect import (
    chip_names,
    explain_walk,
    flags_set,
    gdt,
    inspect_chip,
    interrupt_path,
    interrupt_table,
    ldt,
    mappings,
    mode_words,
    segments,
    task_state,
    walk_text,
)
from minivm.debug.inspect_tables import TableEntry
from minivm.debug.reverse import Reverse
from minivm.debug.timeline import Branch
from minivm.errors import MiniVMError

_MOST_LINES = 200
_MOST_BACK = 1_000_000
_STALE = "gdb shows it after `maintenance flush register-cache`"


class Session(Protocol):
    """What a command may do to the connection and the run."""

    def choose_architecture(self, name: str) -> None:
        """Describe the registers as those of `name` to the next client, "auto" by the CPU's mode."""

    def choose_pc(self, linear: bool) -> None:
        """Give GDB linear addresses for EIP, or offsets as the register has them."""

    def quit(self) -> None:
        """End the machine."""

    @property
    def reverse(self) -> Reverse | None:
        """What goes back in time, if the past is kept."""

    @property
    def no_history(self) -> str:
        """Why it is not."""


class Monitor:
    """The commands, on one debugger; `answer` never raises for what a user types."""

    def __init__(self, debugger: Debugger, session: Session) -> None:
        self._debugger, self._machine, self._session = debugger, debugger.machine, session
        self._commands: dict[str, tuple[str, str, Callable[[str], Iterator[str]]]] = {
            "help": ("", "this list", self._help),
            "regs": ("", "registers, flags by name, segments with base and limit", self._regs),
            "where": ("", "CS:IP, the symbol there, and the next instruction", self._where),
            "screen": ("", "the guest's text screen", self._screen),
            "type": ("TEXT", "press keys: dir\\n, <F1>, <Ctrl-C>", self._type),
            "print": ("EXPR", "the value of an expression: word [ds:si]", self._print),
            "info": ("WHAT", "gdt, ldt, idt, ivt, tss, pages [ADDR], devices [NAME], irq, breaks", self._info),
            "symbol": ("NAME|ADDR", "a symbol's address, or what is at an address", self._symbol),
            "break": ("PLACE [if COND]", "stop at 07C0:0012, phys:0x1000, main; if cx == 3", self._break),
            "watch": ("EXPR", "stop when a value changes: eax, word [46Ch]", self._watch),
            "catch": ("KIND [VALUE]", f"stop at an event: {', '.join(CATCH_KINDS)}", self._catch),
            "delete": ("N", "forget a stop that was made here", self._delete),
            "back": ("[N]", "undo N instructions, 1 without a number", self._back),
            "rcontinue": ("", "go back to the last stop of any kind", self._rcontinue),
            "goto": ("TICK", "go to a moment of the past, or run on to one to come", self._goto),
            "who-wrote": ("WHAT", "who wrote byte [0x600], port 43h or eax last, and when", self._who_wrote),
            "timeline": ("", "how far the past reaches, its keyframes, what they take", self._timeline),
            "branches": ("", "what was left by changing the past", self._branches),
            "branch": ("N", "go to the end of a branch", self._branch),
            "arch": ("NAME", f"registers for the next connection: auto, {', '.join(ARCHITECTURES)}", self._arch),
            "pc": ("linear|offset", "what $pc is in 16-bit code: with the segment's base, or without", self._pc),
            "reset": ("", "press the reset button", self._reset),
            "quit": ("", "end the machine", self._quit),
        }

    def answer(self, line: str) -> str:
        """Do what a line says and return what to print, ending in a newline."""
        word, _, rest = line.strip().partition(" ")
        found = self._commands.get(word.lower() or "help")
        if found is None:
            return f"there is no command {word!r}; `monitor help` lists them\n"
        try:
            lines = list(found[2](rest.strip()))
        except MiniVMError as error:
            lines = [str(error)]
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f"... and {len(lines) - _MOST_LINES} more lines"]
        return "".join(f"{one}\n" for one in lines)

    # -- looking ------------------------------------------------------------------------------------------------
    def _help(self, rest: str) -> Iterator[str]:
        for name, (arguments, words, _) in self._commands.items():
            yield f"{f'monitor {name} {arguments}':<32}  {words}"

    def _regs(self, rest: str) -> Iterator[str]:
        cpu, engine = self._machine.cpu, self._debugger.engine
        yield f"{mode_words(cpu)}; {self._machine.ticks} ticks, {self._machine.now} ns"
        values = cpu.as_dict()
        wide = cpu.code_bits == 64
        names = [name for name in values if name not in ("es", "cs", "ss", "ds", "fs", "gs", "rflags")]
        names = names if wide else [name for name in names if not name[1:].isdigit() or name.startswith("cr")]
        cells = [f"{name if wide else name.replace('r', 'e', name[0] == 'r'):>4} {values[name]:0{16 if wide else 8}X}"
                 for name in names]  # fmt: skip
        yield from ("  ".join(cells[at : at + 4]) for at in range(0, len(cells), 4))
        yield f"flags {cpu.rflags:08X} {' '.join(flags_set(cpu.rflags))}"
        yield from (f"{one.name} {one.selector:04X}: {one.words}" for one in segments(engine))

    def _where(self, rest: str) -> Iterator[str]:
        instruction = self._debugger.instruction()
        yield f"{self._debugger.where()}  {instruction.text}   (linear {self._machine.cpu.linear_ip:X}h)"

    def _screen(self, rest: str) -> Iterator[str]:
        yield from self._machine.screen.text().splitlines() or ["(empty)"]

    def _print(self, rest: str) -> Iterator[str]:
        value = self._debugger.evaluate(rest)
        yield f"{value & (1 << 64) - 1:X}h = {value}"

    def _symbol(self, rest: str) -> Iterator[str]:
        table = self._debugger.symbols
        found = table.lookup(rest)
        if found is not None:
            yield f"{found.name} = {found.address:X}h"
            return
        address = self._debugger.evaluate(rest)
        yield f"{address:X}h: {table.describe(address) or 'no symbol here'}"

    def _info(self, rest: str) -> Iterator[str]:
        what, _, argument = rest.partition(" ")
        tables: dict[str, Callable[[str], Iterator[str]]] = {
            "gdt": lambda _: self._table(gdt(self._debugger.engine)),
            "ldt": lambda _: self._table(ldt(self._debugger.engine)),
            "idt": lambda _: self._table(interrupt_table(self._debugger.engine)),
            "ivt": lambda _: self._table(interrupt_table(self._debugger.engine)),
            "tss": self._tss, "pages": self._pages, "devices": self._devices, "irq": self._irq, "breaks": self._breaks,
        }  # fmt: skip
        if what not in tables:
            raise DebugError(f"info knows {', '.join(tables)}")
        yield from tables[what](argument.strip())

    def _table(self, entries: Iterator[TableEntry]) -> Iterator[str]:
        found = [str(entry) for entry in islice(entries, 1024) if entry.raw]
        yield from found or ["(empty)"]

    def _tss(self, rest: str) -> Iterator[str]:
        found = task_state(self._debugger.engine)
        if found is None:
            raise DebugError("TR is null: there is no TSS")
        yield f"{found.bits}-bit TSS at {found.base:X}h, limit {found.limit:X}h"
        yield from (f"{name:>12} {value:X}h" for name, value in found.fields)

    def _pages(self, rest: str) -> Iterator[str]:
        engine = self._debugger.engine
        if rest:
            yield from walk_text(explain_walk(engine, self._debugger.evaluate(rest)))
        else:
            yield from (str(one) for one in islice(mappings(engine), _MOST_LINES + 1))

    def _devices(self, rest: str) -> Iterator[str]:
        names = chip_names(self._machine)
        if not rest:
            yield from names
            return
        chip = inspect_chip(self._machine, rest)
        if chip is None:
            raise DebugError(f"there is no device {rest!r}; there are {', '.join(names)}")
        yield chip.title
        yield from (f"  {one.words}" for one in chip.registers)
        yield from (f"  {fact}" for fact in chip.facts)

    def _irq(self, rest: str) -> Iterator[str]:
        path = interrupt_path(self._machine)
        if path is None:
            raise DebugError("this machine has no interrupt controllers")
        yield path.words
        yield from (f"{one.name}: {one.words}" for one in path.interrupts)

    def _breaks(self, rest: str) -> Iterator[str]:
        entries = self._debugger.entries()
        yield from (f"{entry.number}: {entry}" for entry in entries) if entries else ["(none)"]

    # -- doing --------------------------------------------------------------------------------------------------
    def _type(self, rest: str) -> Iterator[str]:
        self._machine.type(rest.replace("\\n", "\n").replace("\\t", "\t"))
        yield "the keys come while the guest runs"

    def _break(self, rest: str) -> Iterator[str]:
        place, _, condition = rest.partition(" if ")
        entry = self._debugger.break_at(place.strip(), condition=condition.strip())
        yield f"{entry.number}: {entry}"

    def _watch(self, rest: str) -> Iterator[str]:
        entry = self._debugger.watch(rest, "change")
        yield f"{entry.number}: {entry}"

    def _catch(self, rest: str) -> Iterator[str]:
        kind, _, text = rest.partition(" ")
        by_name = kind == "mode" or not text.strip()
        value = (text.strip() or None) if by_name else self._debugger.evaluate(text)
        entry = self._debugger.catch(kind, value)
        yield f"{entry.number}: {entry}"

    def _delete(self, rest: str) -> Iterator[str]:
        if not rest.isdecimal():
            raise DebugError("delete needs a number; `monitor info breaks` lists them")
        self._debugger.remove(int(rest))
        yield f"{rest} is gone"

    # -- back in time -------------------------------------------------------------------------------------------
    @property
    def _past(self) -> Reverse:
        if self._session.reverse is None:
            raise DebugError(f"no past is kept: {self._session.no_history}")
        return self._session.reverse

    def _back(self, rest: str) -> Iterator[str]:
        if rest and not (rest.isdecimal() and rest.isascii() and 0 < int(rest) <= _MOST_BACK):
            raise DebugError(f"back takes a number of instructions up to {_MOST_BACK:,}")
        yield self._past.step(int(rest or "1")).text
        yield _STALE

    def _rcontinue(self, rest: str) -> Iterator[str]:
        yield self._past.resume().text
        yield f"tick {self._machine.now:,}, at {self._debugger.where()}"
        yield _STALE

    def _goto(self, rest: str) -> Iterator[str]:
        past = self._past
        yield past.go_to(self._debugger.evaluate(rest.replace(",", ""))).text
        yield _STALE

    def _who_wrote(self, rest: str) -> Iterator[str]:
        writer = self._past.who_wrote(rest, jump=False)
        if writer is None:
            yield f"nobody, back to tick {self._past.timeline.begin:,}"
            return
        yield writer.text
        place = self._debugger.symbols.describe(writer.moment.address) or ""
        yield f"by {writer.instruction}   ({f'{writer.moment.address:X}h {place}'.strip()})"
        yield f"`monitor goto {writer.moment.position}` goes there"

    def _timeline(self, rest: str) -> Iterator[str]:
        timeline = self._past.timeline
        yield f"begin {timeline.begin:,}, now {self._machine.now:,}, end {timeline.end:,} ticks"
        words = "in the past: what comes next has happened before" if timeline.in_past else "at the end"
        yield words
        frames = timeline.frames
        yield f"{len(frames)} keyframes take {frames.size_bytes:,} of {frames.budget_bytes:,} bytes"
        yield f"{frames.dropped} were dropped for others; {len(timeline.branches)} branches were left"

    def _branches(self, rest: str) -> Iterator[str]:
        yield from map(_branch_words, self._past.timeline.branches) if self._past.timeline.branches else ["(none)"]

    def _branch(self, rest: str) -> Iterator[str]:
        if not rest.isdecimal():
            raise DebugError("branch needs a number; `monitor branches` lists them")
        self._past.timeline.switch(int(rest))
        yield f"at the end of branch {rest}: tick {self._machine.now:,}, at {self._debugger.where()}"
        yield _STALE

    def _arch(self, rest: str) -> Iterator[str]:
        if rest != "auto" and rest not in ARCHITECTURES:
            raise DebugError(f"arch takes auto, {', '.join(ARCHITECTURES)}")
        self._session.choose_architecture(rest)
        yield "for the next connection: now `disconnect`, and `target remote` again"

    def _pc(self, rest: str) -> Iterator[str]:
        if rest not in ("linear", "offset"):
            raise DebugError("pc takes linear or offset")
        self._session.choose_pc(rest == "linear")
        yield "from the next stop on, or after `maintenance flush register-cache`"

    def _reset(self, rest: str) -> Iterator[str]:
        self._machine.reset()
        yield "the machine resets when it goes on"

    def _quit(self, rest: str) -> Iterator[str]:
        self._session.quit()
        yield "the machine ends"


def _branch_words(branch: Branch) -> str:
    ended = ", where the machine has ended" if branch.over else ""
    return f"{branch.number}: left at tick {branch.fork:,}, went on to {branch.end:,}{ended}"
