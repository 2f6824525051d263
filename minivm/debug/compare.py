"""One guest, run twice in two ways: are they the same, and if not, which instruction went another way?

Both machines are brought to the same position again and again and their states compared. When they differ, the run is
done once more, in finer and finer pieces, down to two neighbouring safe points: the same at the first, different at the
second. From there both execute one instruction at a time, and the one is found that had two outcomes. If they stay the
same when they are stepped, then the way of running is at fault, and the block is the nearest place there is; the last
instruction in it that touches what differs is pointed at.

Every round begins with two new machines and goes through the same positions, so a fault that depends on the past of an
engine (code that it has translated, say) comes again.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from minivm.core.record import record, replace
from minivm.debug.compare_states import Differences, Moment, differences, moment, same
from minivm.debug.compare_ways import WAYS, Make, Side, Way, asleep_for_good, parse_way
from minivm.errors import ConfigError
from minivm.inputs import Input, Journal, apply
from minivm.machine import NS_PER_MS, NS_PER_SECOND, HostConsole, Machine

CHUNK = 10 * NS_PER_MS
"""The machines are compared so often, in ticks."""
MAX_TICKS = 2_000_000
"""So many ticks are executed where nothing else is said; sleep does not count."""
SECONDS = 10.0
"""So much virtual time passes where nothing else is said."""
_PIECES = 64
_MOST_STEPS = 5000
_LAST = 8
"""So many instructions before the found one are remembered."""


class Script(Protocol):
    """What is typed, and what is waited for: `minivm.cli.script.Script`."""

    next_look: int | None

    @property
    def met(self) -> bool:
        """True when the last text has come, and the run is over."""

    def look(self, console: HostConsole, now: int) -> None:
        """Do what can be done now."""

    def fail(self, console: HostConsole, why: str) -> None:
        """Raise when a text is still waited for."""


@record
class Difference:
    """The first difference of two runs.

    `kind` says what had two outcomes: "instruction"; "between" (what the machine does between two instructions:
    alarms, interrupts, the end); "block" (only the way of running is different: stepped, both are the same); "start"
    (the machines were never the same). `before` is the common state, `first` and `second` are the two that came of it,
    `found` is in what they differ. `instructions` were executed by the side that was stepped, None when neither was.
    `trace` are the instructions up to the found one; of a block all, of which `suspect` is the one pointed at.
    """

    kind: str
    ways: tuple[str, str]
    before: Moment
    first: Moment
    second: Moment
    found: Differences
    instructions: int | None = None
    trace: tuple[Moment, ...] = ()
    suspect: int | None = None


@record
class _Span:
    """The machines are the same at `good`, and not after going to `bad`: then they are as `first` and `second`."""

    good: int
    bad: int
    first: Moment
    second: Moment
    found: Differences
    before: Moment


class Comparison:
    """Two runs of one guest, each in its way; `run` does them. Afterwards `ticks`, `executed`, `instructions`, `ended`.

    `make` returns a new machine at power-on; give two of them to compare two machines that should be the same.
    `max_ticks` counts what is executed, `seconds` virtual time. `script` is asked once; what it types is noted in
    `journal` and comes at the same position in both runs. Raises `ConfigError` for a way that is none.
    """

    def __init__(
        self,
        make: Make | tuple[Make, Make],
        ways: tuple[str, str] = ("run", "step"),
        *,
        script: Script | None = None,
        max_ticks: int = MAX_TICKS,
        seconds: float = SECONDS,
        chunk: int = CHUNK,
    ) -> None:
        if len(ways) != 2:
            raise ConfigError(f"{len(ways)} ways to run; two are compared, such as run,step")
        if min(max_ticks, chunk) < 1 or not 0 < seconds < float("inf"):
            raise ConfigError("max_ticks, chunk and seconds must be more than nothing, and an end must come")
        self._makes = make if isinstance(make, tuple) else (make, make)
        self._ways: tuple[Way, Way] = (parse_way(ways[0]), parse_way(ways[1]))
        self._script, self._max_ticks, self._chunk = script, max_ticks, chunk
        self._end = round(seconds * NS_PER_SECOND)
        self._cuts: list[tuple[int, tuple[Input, ...]]] = []  # where the machines were the same, and what was typed
        self.journal = Journal()
        self.ticks = self.executed = 0
        self.instructions: int | None = None
        self.ended = ""

    def run(self) -> Difference | None:
        """Run both to the end or the limit; None when they were the same all the way."""
        with _Pair(self._makes, self._ways) as pair:
            if not pair.same():
                return pair.difference("start", pair.moment())
            span = self._first_span(pair)
            self.ticks, self.executed = pair.first.machine.now, pair.first.machine.ticks
            stepped = pair.stepping()
            self.instructions = stepped.steps if stepped is not None else None
            self.ended = _why_ended(pair.first.machine)
        return None if span is None else self._pin(span)

    # -- the whole run ----------------------------------------------------------------------------------------------
    def _first_span(self, pair: "_Pair") -> _Span | None:
        while not self._over(pair):
            target, before = self._target(pair.first.machine), pair.moment()
            if not pair.go(target):
                return _Span(before.ticks, target, *pair.moments(), pair.found(), before)
            self._cuts.append((target, self._typed(pair)))
        return None

    def _target(self, machine: Machine) -> int:
        chunk = (machine.now // self._chunk + 1) * self._chunk
        wakes = max(machine.now, machine.clock.next_due) if machine.halted else machine.now
        limits = [chunk, self._end, wakes + self._max_ticks - machine.ticks]
        if self._script is not None and self._script.next_look is not None:
            limits.append(max(self._script.next_look, machine.now + 1))
        return min(limits)

    def _over(self, pair: "_Pair") -> bool:
        machine, script = pair.first.machine, self._script
        if script is not None and script.met:
            return True
        if not (asleep_for_good(machine) or machine.now >= self._end or machine.ticks >= self._max_ticks):
            return False
        if script is not None and machine.console is not None:
            script.fail(machine.console, f"the comparison ended after {machine.now} ticks")
        return True

    def _typed(self, pair: "_Pair") -> tuple[Input, ...]:
        """Let the script look at the first machine, and do to the second what it does to that."""
        machine, script, known = pair.first.machine, self._script, len(self.journal)
        if script is None or script.next_look is None or machine.console is None:
            return ()
        if machine.now < script.next_look and not asleep_for_good(machine):
            return ()
        machine.journal = self.journal
        try:
            script.look(machine.console, machine.now)
        finally:
            machine.journal = None
        given = tuple(self.journal)[known:]
        for one in given:
            apply(pair.second.machine, one)
        return given

    # -- down to an instruction -------------------------------------------------------------------------------------
    def _pin(self, span: _Span) -> Difference:
        """Narrow a span to two neighbouring safe points, and step from the first of them."""
        while span.bad - span.good > 1:
            finer = self._narrowed(span)
            if finer is None:
                return self._by_steps(span)  # pieces so small hide it
            span = finer
        return self._by_steps(span)

    def _narrowed(self, span: _Span) -> _Span | None:
        size = -(-(span.bad - span.good) // _PIECES)
        with self._at(span.good) as pair:
            before = pair.moment()
            while before.ticks < span.bad and not before.ended:
                target = min(before.ticks + size, span.bad)
                if not pair.go(target):
                    return _Span(before.ticks, target, *pair.moments(), pair.found(), before)
                if pair.first.machine.now == before.ticks:
                    return None
                before = pair.moment()
        return None

    def _at(self, good: int) -> "_Pair":
        """Return two new machines that stand at `good`, having gone through the same positions as before."""
        pair = _Pair(self._makes, self._ways)
        try:
            for target, given in self._cuts:
                pair.go_on(target)
                for one in given:
                    apply(pair.first.machine, one)
                    apply(pair.second.machine, one)
            if pair.first.machine.now < good:
                pair.go_on(good)
        except BaseException:
            pair.close()
            raise
        return pair

    def _by_steps(self, span: _Span) -> Difference:
        with self._at(span.good) as pair:
            stepped = pair.stepping()
            executed = stepped.steps if stepped is not None else None
            trace = _Trace(pair, span)
            found = trace.follow()
            if found is None:
                return trace.block(executed)
            return replace(found, instructions=stepped.steps if stepped is not None else None)


class _Pair:
    """The two machines; a context manager."""

    def __init__(self, makes: tuple[Make, Make], ways: tuple[Way, Way]) -> None:
        self.ways = str(ways[0]), str(ways[1])
        self.first = Side(makes[0], ways[0])
        try:
            self.second = Side(makes[1], ways[1])
        except BaseException:
            self.first.close()
            raise

    def __enter__(self) -> "_Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.first.close()
        self.second.close()

    def sides(self) -> Iterator[Side]:
        yield self.first
        yield self.second

    def same(self) -> bool:
        return same(self.first.machine, self.second.machine)

    def found(self) -> Differences:
        return differences(self.first.machine, self.second.machine)

    def moment(self) -> Moment:
        return moment(self.first.machine)

    def moments(self) -> tuple[Moment, Moment]:
        return moment(self.first.machine), moment(self.second.machine)

    def stepping(self) -> Side | None:
        """Return a side that steps all the way, which can count instructions."""
        return next((side for side in self.sides() if side.way.kind == "step"), None)

    def go(self, position: int) -> bool:
        self.go_on(position)
        return self.same()

    def go_on(self, position: int) -> None:
        for side in self.sides():
            side.go(position)

    def difference(self, kind: str, before: Moment) -> Difference:
        return Difference(kind, self.ways, before, *self.moments(), self.found())


class _Trace:
    """Both machines on their way from a span's first safe point, one instruction at a time."""

    def __init__(self, pair: _Pair, span: _Span) -> None:
        self._pair, self._span = pair, span
        self._end = max(span.first.ticks, span.second.ticks)
        self._watched = tuple(name for name in span.found.registers if name != "rip")
        self._trace: list[Moment] = []
        self._suspect: int | None = None

    def follow(self) -> Difference | None:
        """Step until the machines differ, and say where; None when they never do."""
        for _ in range(_MOST_STEPS):
            before = self._pair.moment()
            if not self._settle():
                return self._found("between", before)
            before = self._pair.moment()
            machine = self._pair.first.machine
            if before.ended or (before.ticks >= self._end and not machine.engine.in_block):
                return None
            if machine.halted:
                if not self._pair.go(max(min(self._end, machine.clock.next_due), before.ticks + 1)):
                    return self._found("between", before)
                if machine.now == before.ticks:
                    return None
            elif not self._step(before):
                return self._found("instruction", before)
        return None

    def block(self, instructions: int | None) -> Difference:
        """Return the difference of the span itself, whose instructions are not at fault when they are stepped."""
        span = self._span
        return Difference(
            "block", self._pair.ways, span.before, span.first, span.second, span.found,
            instructions, tuple(self._trace), self._suspect,
        )  # fmt: skip

    def _settle(self) -> bool:
        """Do what is due here before the next instruction: alarms, interrupts, an end."""
        waiting = [side.machine for side in self._pair.sides() if not side.machine.engine.in_block]
        for machine in waiting:
            machine.settle()
        return not waiting or self._pair.same()

    def _step(self, before: Moment) -> bool:
        bytes_before = self._bytes()
        for side in self._pair.sides():
            side.step()
        after = self._pair.moment()
        self._trace.append(before)
        if bytes_before != self._bytes() or any(
            before.registers[name] != after.registers[name] for name in self._watched
        ):
            self._suspect = len(self._trace) - 1
        return self._pair.same()

    def _bytes(self) -> list[int]:
        view = self._pair.first.machine.memory.view
        return [view[address] for address, _, _ in self._span.found.memory]

    def _found(self, kind: str, before: Moment) -> Difference:
        found = self._pair.difference(kind, before)
        return replace(found, trace=tuple(self._trace[-_LAST:]))


def _why_ended(machine: Machine) -> str:
    if machine.ended is not None:
        return machine.ended.reason
    return "asleep" if asleep_for_good(machine) else "limit"


def compare(
    make: Make | tuple[Make, Make], ways: tuple[str, str] = ("run", "step"), **options: Any
) -> Difference | None:
    """Run a guest twice, in two ways out of `WAYS`, and return the first difference; None when there is none.

    `options` are those of `Comparison`: `max_ticks`, `seconds`, `chunk`, `script`.
    """
    return Comparison(make, ways, **options).run()


__all__ = ["CHUNK", "MAX_TICKS", "SECONDS", "WAYS", "Comparison", "Difference", "Make", "compare"]
