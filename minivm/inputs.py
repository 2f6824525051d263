"""Inputs: everything from outside that can change a run, each with the tick at which it came, and how to do it again.

A machine is deterministic in ticks, so its start and its inputs are all there is to know of a run. `Journal` keeps
them; `Player` brings a machine to any position of the run. An input comes between two instructions, *behind* whatever
is due at its position: alarms have rung and interrupts are delivered (`Machine.settle`), so that it does not matter
how the run was cut into pieces.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, Protocol, cast

from minivm.core.keys import KeyEvent
from minivm.core.medium import MediumChange
from minivm.core.mouse import MouseEvent
from minivm.core.plain import check_names, from_plain, to_plain
from minivm.core.record import names, record, replace
from minivm.errors import MiniVMError, SnapshotError
from minivm.machine import Ended, Machine

NEAR_TICKS = 1 << 14
"""A position inside a block is looked for by single steps from so far before; few blocks are as long."""
_SAME_PLACE_STEPS = 64
"""Deliveries of exceptions take no ticks: so many states at one position are told apart at most."""


class Departed(MiniVMError):
    """A run that was to be the same went another way; `position` is the tick where that was noticed."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class Overshot(Departed):
    """The position was passed over.

    It lies inside an instruction, or (`by_run`) inside a block longer than the steps that looked for it: begin earlier
    with more `near`.
    """

    def __init__(self, position: int, message: str, *, by_run: bool) -> None:
        super().__init__(position, message)
        self.by_run = by_run


@record
class SerialInput:
    """Bytes that arrive at a serial port: 0 is COM1."""

    port: int
    data: bytes


@record
class MemoryEdit:
    """Bytes that the host puts at a physical address."""

    address: int
    data: bytes


@record
class RegisterEdit:
    """A CPU register that the host sets, by its name in the debugger."""

    name: str
    value: int


@record
class Input:
    """One input: `position` in ticks, `kind` out of `KINDS`, what came as `data`.

    `address` is the linear address of the next instruction, `in_block` that the run stood inside a block, `settled`
    that nothing was due there (see `Machine.settle`): only a debugger's edits come sooner.
    """

    position: int
    kind: str
    data: Any
    address: int
    in_block: bool = False
    settled: bool = True


KINDS: dict[str, Any] = {
    "keys": tuple[KeyEvent, ...],
    "serial": SerialInput,
    "mouse": MouseEvent,
    "reset": None,
    "power-off": None,
    "time": int,
    "memory": MemoryEdit,
    "register": RegisterEdit,
    "device": tuple[str, bytes],
    "medium": MediumChange,
}
"""Every kind of input and the type of its data; `time` is the position up to which a machine was let sleep."""

EDITS = ("memory", "register")
"""What a debugger does where it stands, ahead of what is due there."""

Apply = Callable[[Machine, Any], None]


class _Port(Protocol):
    def send(self, data: bytes) -> None: ...


class _Console(Protocol):
    @property
    def ports(self) -> tuple[_Port, ...]: ...

    def play(self, events: Iterable[KeyEvent]) -> None: ...

    def use_mouse(self, event: MouseEvent) -> None: ...


def _console(machine: Machine) -> _Console:
    return cast(_Console, machine.console)


def _send(machine: Machine, sent: SerialInput) -> None:
    _console(machine).ports[sent.port].send(sent.data)


APPLY: dict[str, Apply] = {
    "keys": lambda machine, events: _console(machine).play(events),
    "serial": _send,
    "mouse": lambda machine, event: _console(machine).use_mouse(event),
    "reset": lambda machine, _: machine.reset(),
    "power-off": lambda machine, _: machine.power_off(),
    "time": lambda machine, position: machine.pass_time(position),
    "memory": lambda machine, edit: machine.space.edit(edit.address, edit.data),
    "device": lambda machine, given: machine.feed(*given),
    "medium": lambda machine, change: machine.change_medium(change),
}
"""How each kind is done again; the debugger adds its own."""


def apply(machine: Machine, given: Input) -> None:
    """Do an input again on a machine that stands at its position; no journal notes it."""
    journal, machine.journal = machine.journal, None
    try:
        if given.kind not in EDITS:
            machine.settle()
        APPLY[given.kind](machine, given.data)
    finally:
        machine.journal = journal


def to_plain_input(given: Input) -> Any:
    """Return an input as plain values with all fields named."""
    return to_plain(given)


def from_plain_input(data: object, where: str = "input") -> Input:
    """Return the input that `to_plain_input` made `data` of; raises `SnapshotError` naming the field."""
    if not isinstance(data, dict):
        raise SnapshotError(f"{where} is not a dict")
    check_names(data, names(Input), where)
    kind = data["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise SnapshotError(f"{where}.kind: {kind!r} is no kind of input that this program knows")
    found = Input(
        position=from_plain(int, data["position"], f"{where}.position"),
        kind=kind,
        data=from_plain(KINDS[kind], data["data"], f"{where}.data"),
        address=from_plain(int, data["address"], f"{where}.address"),
        in_block=from_plain(bool, data["in_block"], f"{where}.in_block"),
        settled=from_plain(bool, data["settled"], f"{where}.settled"),
    )
    if found.position < 0:
        raise SnapshotError(f"{where}.position: {found.position} lies before power-on")
    return found


_position = attrgetter("position")


class Journal:
    """The inputs of one run in the order in which they came; several at one position keep their order.

    Attach it as `machine.journal` and it hears of every input. `listeners` are told of each one as it comes. Only the
    first `sealed` inputs are sure to stay as they are: two sleeps in a row become one.
    """

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self._inputs: list[Input] = []
        self._halts = -1  # how often the machine had halted at the last `time` input
        self.sealed = 0
        self.listeners: list[Callable[[Input], None]] = []
        self.guard: Callable[[], None] | None = None  # called before an input is noted: it may begin a branch
        for given in inputs:
            self.append(given)

    def __len__(self) -> int:
        return len(self._inputs)

    def __iter__(self) -> Iterator[Input]:
        return iter(self._inputs)

    def __getitem__(self, index: int) -> Input:
        return self._inputs[index]

    @property
    def end(self) -> int:
        """The position of the last input, 0 without one."""
        return self._inputs[-1].position if self._inputs else 0

    def append(self, given: Input) -> None:
        """Add an input; raises `ValueError` when it lies before the last one (`cut` first: that is a branch)."""
        if given.position < self.end:
            raise ValueError(f"an input at {given.position} cannot follow one at {self.end}; cut the journal first")
        self._inputs.append(given)
        for listener in self.listeners:
            listener(given)

    def note(self, machine: Machine, kind: str, data: Any) -> None:
        """Add what is about to happen to `machine`, which stands at a settled point."""
        if self.guard is not None:
            self.guard()
        if kind == "time" and self._joins(machine, data):
            return
        self._halts = machine.halts if kind == "time" and machine.halted else -1
        engine: Any = machine.engine
        self.append(Input(engine.position, kind, data, machine.cpu.linear_ip, engine.in_block, machine.settled))

    def _joins(self, machine: Machine, until: int) -> bool:
        """Let the last sleep go on, when the CPU has executed nothing since: else a sleeper fills the journal."""
        last = self._inputs[-1] if len(self._inputs) > self.sealed else None
        if last is None or last.kind != "time" or last.data != machine.now:
            return False
        if not machine.halted or machine.halts != self._halts:
            return False
        self._inputs[-1] = replace(last, data=until)
        return True

    def index(self, position: int) -> int:
        """Return the index of the first input after `position`: those at it are before."""
        return bisect_right(self._inputs, position, key=_position)

    def since(self, position: int) -> Iterator[Input]:
        """Yield the inputs at `position` and later."""
        yield from self._inputs[self.index(position - 1) :]

    def cut(self, position: int) -> list[Input]:
        """Drop everything after `position` and return it: what comes now is another branch.

        A sleep that began before goes up to `position` only.
        """
        at = self.index(position)
        dropped, self._inputs[at:] = self._inputs[at:], []
        self._halts = -1
        last = self._inputs[-1] if self._inputs else None
        if last is not None and last.kind == "time" and last.data > position:
            self._inputs[-1] = replace(last, data=position)
        return dropped

    def keep(self, count: int) -> None:
        """Drop all but the first `count` inputs."""
        del self._inputs[count:]
        self._halts = -1

    def copy(self) -> "Journal":
        """Return a journal of the same inputs, without listeners."""
        return Journal(self._inputs)

    def to_plain(self) -> list[Any]:
        """Return all inputs as plain values."""
        return [to_plain_input(given) for given in self._inputs]

    @classmethod
    def from_plain(cls, data: object, where: str = "inputs") -> "Journal":
        """Return the journal that `to_plain` made `data` of; raises `SnapshotError` naming the field."""
        if not isinstance(data, list):
            raise SnapshotError(f"{where} is not a list")
        journal = cls()
        for number, item in enumerate(data):
            try:
                journal.append(from_plain_input(item, f"{where}[{number}]"))
            except ValueError as error:
                raise SnapshotError(f"{where}[{number}].position: {error}") from None
        return journal


class Player:
    """Brings `machine` along the run that `journal` tells of, each input at exactly its place.

    The machine stands at the journal's start, or anywhere later in the same run with `done` inputs behind it (by
    default those before the machine's position, but none of those at it). Nothing that a player
    does is noted in `machine.journal`.
    `run_to` may stand in for the machine's own, so that breakpoints are found on the way.
    """

    def __init__(
        self,
        machine: Machine,
        journal: Journal,
        *,
        done: int | None = None,
        near: int = NEAR_TICKS,
        run_to: Callable[[int], Ended] | None = None,
    ) -> None:
        self.machine, self.journal = machine, journal
        self.done = journal.index(machine.now - 1) if done is None else done
        before = journal[self.done - 1] if self.done else None
        if before is not None and before.kind == "time" and before.data > machine.now:
            self.done -= 1  # it still sleeps
        self._near = near
        self._run_to = run_to or machine.run_to

    def reach(
        self, position: int, *, before_inputs: bool = False, safe_point: bool = False, settle: bool = True
    ) -> Ended | None:
        """Go forward to exactly `position` and do the inputs there too, unless `before_inputs`.

        A position inside a block is found by stepping; `safe_point` says that it is none, which is faster. What is
        due there is done, too, unless `settle` is off, so that more inputs of that place may follow. Returns
        None when it is reached, or why the run ended before (a breakpoint, `stop`, the machine's end): call again to
        go on. Raises `Departed` when the run is not the one that was recorded, `Overshot` when `near` is too little,
        `ValueError` for a position that is past.
        """
        if position < self.machine.now:
            raise ValueError(f"the machine is at {self.machine.now} and cannot go back to {position}")
        last = position - 1 if before_inputs else position
        journal, self.machine.journal = self.machine.journal, None
        try:
            while self.done < len(self.journal) and self.journal[self.done].position <= last:
                given = self.journal[self.done]
                if given.kind == "time" and self.machine.now >= given.position:
                    ended, asleep = None, True
                else:
                    ended, asleep = self._go_to(given), False
                if ended is not None:
                    return ended
                self._do(given, position, asleep=asleep)
                if given.kind == "time" and given.data > position:
                    return None
            return self._go(position, safe_point=safe_point, settle=settle)
        finally:
            self.machine.journal = journal

    def _do(self, given: Input, position: int, *, asleep: bool) -> None:
        """Do an input; of a sleep only the part up to `position`, and the rest later."""
        machine = self.machine
        if not (asleep and machine.now > given.position):
            self._find_place(given)
        if given.kind == "time" and given.data > position:
            given = replace(given, data=position)
        else:
            self.done += 1
        apply(machine, given)

    def _find_place(self, given: Input) -> None:
        """Of several states at one position, which deliveries of exceptions make, go to the input's."""
        machine = self.machine
        if given.settled and given.kind not in EDITS:
            machine.settle()
        engine: Any = machine.engine
        for _ in range(_SAME_PLACE_STEPS):
            if machine.cpu.linear_ip == given.address and engine.in_block == given.in_block:
                return
            if machine.halted or machine.step().reason != "limit" or machine.now != given.position:
                break
        raise Departed(
            given.position,
            f"at tick {given.position} the input {given.kind} came before {given.address:X}h; "
            f"now the machine is at {machine.cpu.linear_ip:X}h, tick {machine.now}",
        )

    def _go_to(self, given: Input) -> Ended | None:
        """Go to where an input comes."""
        return self._go(given.position, safe_point=given.settled and not given.in_block, settle=given.settled)

    def _go(self, position: int, *, safe_point: bool, settle: bool = True) -> Ended | None:
        """Run, step or sleep to `position`; what is due there is not done unless `settle`."""
        machine = self.machine
        coarse = position if safe_point else position - self._near
        while machine.now < coarse:
            ended = self._part(coarse)
            if ended is not None:
                return ended
        by_run = machine.now > position
        while machine.now < position:
            ended = (
                self._part(min(position, machine.clock.next_due)) if machine.halted else _unless_limit(machine.step())
            )
            if ended is not None:
                return ended
        if machine.now > position:
            message = f"tick {position} was passed over: the machine is at {machine.now}"
            raise Overshot(position, message, by_run=by_run)
        if settle:
            machine.settle()
        return machine.ended

    def _part(self, position: int) -> Ended | None:
        ended = self._run_to(position)
        machine = self.machine
        if ended.reason == "halted" and machine.ended is None and machine.now < position:
            machine.pass_time(position)  # Only somebody outside can wake it, and nobody did before `position`.
            return None
        return _unless_limit(ended)


def _unless_limit(ended: Ended) -> Ended | None:
    return None if ended.reason == "limit" else ended
