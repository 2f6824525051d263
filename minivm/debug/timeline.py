"""The timeline: where a machine has been, and how it gets back there.

A machine is deterministic, so its past needs no recording of what happened: keyframes (keyframes.py), the inputs from
outside (minivm/inputs.py), and running again from one to the other. Everything here is built on three motions: put a
keyframe back, run to a position, step. The timeline drives the machine for its debugger, in the past and at the end.

A *moment* is a place between two instructions where everything that is due has happened (`Machine.settle`). The *end*
is the last moment that was reached; between it and the past the machine does again what it did, inputs included. Who
gives it another input there, or edits it, begins a new branch: what came after is kept as a `Branch` by its inputs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from minivm.core.record import record
from minivm.debug.keyframes import Keyframe, Keyframes
from minivm.errors import MiniVMError
from minivm.inputs import Departed, Input, Journal, Overshot, Player
from minivm.machine import Ended, Machine

BUDGET_BYTES = 128 << 20
KEYFRAME_COST = 48_000_000
"""A keyframe comes after so many ticks of executed code: 10 to 100 ms of the host's time to run them again."""
_COST_OF_HALT = 50_000
"""Waking up takes the host as long as so many ticks of code."""
LONGEST_BLOCK = 1 << 20
"""No block takes more ticks: it has 512 instructions at most, and one that reads a port is charged a thousand."""
_NEAR = (64, 1 << 10, 1 << 14, 1 << 17, LONGEST_BLOCK)
"""From so far before a moment it is looked for by single steps: most blocks are short."""
_NEXT_INPUT = 1 << 17
"""An input so soon behind a goal may lie inside the goal's block."""
_PER_STEP = (6, *_NEAR)
"""So many ticks are thought to lie behind one another's step: an instruction's bytes, or what a trap is charged."""
_LONG_BLOCK = 1 << 14
_SPANS = (1 << 12, 1 << 15, 1 << 18, 1 << 21, 1 << 24)
"""Whoever looks backwards looks at so many ticks first, then at more: what is looked for is mostly near."""


class TimelineError(MiniVMError):
    """A place in time that cannot be reached, in one line."""


class Interrupted(TimelineError):
    """Somebody did not want to wait for the end of a way through the past; the machine is where it was before."""


@record
class Moment:
    """A place between two instructions: ticks, linear address of the next one, and whether it lies inside a block."""

    position: int
    address: int
    in_block: bool


@record
class Branch:
    """A past that was left at `fork` and had gone on to `end`; `inputs` are all of its own from the beginning.

    `over` says that the machine has ended there for good.
    """

    number: int
    fork: int
    end: int
    over: bool
    inputs: tuple[Input, ...]


class Timeline:
    """The past and the present of one machine. It must be made before the debugger edits the machine.

    `budget_bytes` bounds what keyframes take; one is taken every so many ticks of executed code, where waking up counts
    as 50,000. While a timeline is there, disks keep in memory what the guest writes, and `close` writes it out.
    Raises `TimelineError` for a machine whose run is recorded.
    """

    def __init__(self, machine: Machine, *, budget_bytes: int = BUDGET_BYTES, every: int = KEYFRAME_COST) -> None:
        self.machine = machine
        if machine.journal is not None:
            raise TimelineError("a run that is recorded into a file has no other past; leave out the recording")
        self.journal = Journal()
        self.frames = Keyframes(machine, budget_bytes)
        self.branches: list[Branch] = []
        self.every = every
        self.went_back: list[Callable[[], None]] = []
        """Called whenever the machine was put somewhere else than one step further."""
        self.undisturbed: Callable[[], AbstractContextManager[None]] = nullcontext
        """Keeps breakpoints and the like from ending every bit of a motion; the debugger's."""
        self.interrupted: Callable[[], bool] = bool
        """Asked on every way that `undone_if_interrupted` holds: may it end? Also right after `Machine.stop`."""
        self._may_be_interrupted = False
        self._next_cost = 0
        self._moving = False
        self._numbered = 0
        self._over = machine.ended is not None  # at the end the machine has ended for good
        for disk in machine.disks.values():
            disk.hold()
        machine.keep_media(True)
        machine.settle()
        machine.journal = self.journal
        self.journal.guard = self._before_input
        self.journal.listeners.append(self._on_input)
        self.end = machine.now
        self._player = self._make_player(len(self.journal))
        self._keep()

    def close(self) -> None:
        """Let the machine go on without a past; disks write to their files again."""
        self.journal.guard = None
        self.journal.listeners.remove(self._on_input)
        self.machine.journal = None
        for disk in self.machine.disks.values():
            disk.commit()
        self.machine.keep_media(False)

    # -- where the machine is -----------------------------------------------------------------------------------------
    @property
    def begin(self) -> int:
        """The first position that can be reached."""
        return self.frames[0].position

    @property
    def in_past(self) -> bool:
        """True while what comes next has happened before."""
        return self.machine.now < self.end or self._player.done < len(self.journal)

    @property
    def moving(self) -> bool:
        """True while the past is run again only to get to a place in it."""
        return self._moving

    def moment(self) -> Moment:
        """Return where the machine stands, once it is settled."""
        self.machine.settle()
        if not self._moving:
            self._arrived()  # somebody may have let it sleep
        engine: Any = self.machine.engine
        return Moment(self.machine.now, self.machine.cpu.linear_ip, engine.in_block)

    # -- what the debugger drives instead of the machine --------------------------------------------------------------
    def run_to(self, position: int) -> Ended:
        """Run like `Machine.run_to`, with the inputs of the past and keyframes on the way."""
        machine = self.machine
        while True:
            self._keep_if_due()
            goal = min(position, machine.now + max(1, self._next_cost - self._cost()))
            ended = self._part(goal) or self._do_inputs()
            self._arrived()
            if ended is not None:
                return ended
            if machine.now >= position:
                return Ended("limit")

    def step(self) -> Ended:
        """Execute one instruction like `Machine.step`, and what is due behind it."""
        machine = self.machine
        self._keep_if_due()
        if machine.halted and self.in_past:
            ended = self._part(min(machine.clock.next_due, max(self.end, machine.now + 1))) or Ended("limit")
        else:
            with self._quiet():
                ended = machine.step()
            if ended.reason == "limit":
                ended = self._do_inputs() or ended
        self._arrived()
        return ended

    def _part(self, goal: int) -> Ended | None:
        """Run to a safe point at or after `goal`, doing the inputs that are known; None when nothing ended it."""
        given = self._next_input()
        with self._quiet():
            if given is not None and given.position <= goal + (_NEXT_INPUT if given.in_block else 0):
                sleeps_to = min(goal, given.data) if given.kind == "time" else 0
                return self._player.reach(max(given.position, sleeps_to), safe_point=True)
            ended = self.machine.run_to(goal)
        if ended.reason == "halted" and self.machine.ended is None and self.machine.now < min(goal, self.end):
            self.machine.settle()
            self._pass_time(min(goal, self.end))
            return None
        return None if ended.reason == "limit" else ended

    def _pass_time(self, position: int) -> None:
        journal, self.machine.journal = self.machine.journal, None
        self.machine.pass_time(position)
        self.machine.journal = journal

    def _do_inputs(self) -> Ended | None:
        """Do the inputs that belong to where the machine stands."""
        self.machine.settle()
        given = self._next_input()
        if given is not None and given.position <= self.machine.now:
            return self._player.reach(self.machine.now)
        return None

    def _next_input(self) -> Input | None:
        return self.journal[self._player.done] if self._player.done < len(self.journal) else None

    def _cost(self) -> int:
        return self.machine.ticks + _COST_OF_HALT * self.machine.halts

    def _arrived(self) -> None:
        self.end = max(self.end, self.machine.now)
        self._over = self._over or self.machine.ended is not None

    # -- going anywhere -----------------------------------------------------------------------------------------------
    def go_to(self, position: int) -> Moment:
        """Go to the first moment at or after `position`, back or forward, and do nothing new.

        Raises `TimelineError` when that lies before the beginning. Behind the end the machine runs on.
        """
        self._arrived()
        if position < self.begin:
            raise TimelineError(f"tick {position:,} is gone; the past that is kept begins at {self.begin:,}")
        if position > self.end:
            self._reach(self.end)
            self.run_to(position)
        else:
            self._reach(position)
        self._tell()
        return self.moment()

    def steps_back(self, count: int = 1) -> Moment | None:
        """Go back `count` instructions; None, and nowhere, when the past does not reach so far."""
        here = self.moment()
        with self._in_motion():
            target = self._before(here, count)
            if target is None:
                self._return_to(here)
                return None
            ticks, steps = target
            self._start_at_ticks(ticks)
            for _ in range(steps):
                self._single(here.position)
        self._tell()
        return self.moment()

    def return_to(self, moment: Moment) -> None:
        """Go to a moment that was there before."""
        with self._in_motion():
            self._return_to(moment)
        self._tell()

    def spans(self, moment: Moment, wanted: Callable[[Keyframe], bool] | None = None) -> Iterator[tuple[int, int]]:
        """Yield [begin, end) pieces of the past in ticks, the latest first, growing with age.

        Every `end` but the first is a safe point. `wanted` may leave out what lies before a keyframe.
        """
        end = moment.position
        for length in _SPANS:
            if end - length <= self.begin:
                break
            begin = self._safe_point(end - length)
            if begin >= end:
                continue
            yield begin, end
            end = begin
        while end > self.begin:
            frame = self.frames.before(end - 1)
            after = next((one for one in self.frames if one.position > frame.position), None)
            if wanted is None or after is None or wanted(after):
                yield frame.position, end
            end = frame.position

    def start_at(self, position: int) -> None:
        """Stand at a safe point of the past, to look at what comes after it."""
        self._start_at(position)

    def _safe_point(self, position: int) -> int:
        self._start_at(position)
        return self.machine.now

    @contextmanager
    def undone_if_interrupted(self) -> Iterator[None]:
        """Let `interrupted` end what is done inside: the machine goes back to where it was, and `Interrupted` comes."""
        here = self.moment()
        self._may_be_interrupted = True
        try:
            yield
        except Interrupted:
            self._may_be_interrupted = False
            self.return_to(here)
            raise
        finally:
            self._may_be_interrupted = False

    def look_up(self) -> None:
        """Raise `Interrupted` when the way that is gone is to end."""
        if self._may_be_interrupted and self.interrupted():
            raise Interrupted("interrupted; the machine is where it was")

    # -- motions ------------------------------------------------------------------------------------------------------
    def _reach(self, position: int) -> None:
        """Go to exactly `position`, or to the first moment after it when it lies inside an instruction."""
        self._come_to(position)
        self._player = self._make_player(self._player.done)
        if position == self.end and self._over and self.machine.ended is None:
            with self._in_motion():
                self.machine.run_to(position + 1)  # ends at once, as it did

    def _come_to(self, position: int) -> None:
        with self._in_motion():
            for near in _NEAR:
                self._come_before(position)
                self._player = self._make_player(self._player.done, near)
                try:
                    if self._run_player(position):
                        return
                except Overshot as passed:
                    if not passed.by_run or near == LONGEST_BLOCK:  # the position lies inside an instruction
                        self._do_inputs()
                        return
                except Departed as error:
                    raise TimelineError(f"the machine did not do the same again: {error}") from error
                self._restore(self.frames.before(position))

    def _run_player(self, position: int) -> bool:
        while True:
            self.look_up()
            ended = self._player.reach(position)
            if ended is None or self.machine.ended is not None:
                return True
            if ended.reason not in ("stopped", "breakpoint"):
                return True

    def _make_player(self, done: int, near: int = 2 * _LONG_BLOCK) -> Player:
        return Player(self.machine, self.journal, done=done, near=near)

    def _come_before(self, position: int) -> None:
        """Stand at the last keyframe before `position`, or stay where that is nearer."""
        frame = self.frames.before(position)
        if not frame.position <= self.machine.now <= position or not self._player_fits():
            self._restore(frame)

    def _player_fits(self) -> bool:
        """Tell whether the inputs at the machine's position are done, so that it may go on from here."""
        done = self._player.done
        return done == len(self.journal) or self.journal[done].position >= self.machine.now

    def _restore(self, frame: Keyframe) -> None:
        self.frames.restore(frame)
        self._player = self._make_player(frame.inputs)

    def _start_at(self, position: int) -> None:
        """Stand at the first safe point at or after `position`."""
        with self._in_motion():
            self._restore(self.frames.before(position))
            while self.machine.now < position:
                self.look_up()
                ended = self._part(position)
                if ended is not None and ended.reason not in ("stopped", "breakpoint"):
                    break
            self._do_inputs()

    def _start_at_ticks(self, ticks: int) -> None:
        """Stand at the first safe point behind which so many ticks of code were executed, sleeps not counted."""
        frames = [frame for frame in self.frames if frame.ticks <= ticks] or [self.frames[0]]
        machine = self.machine
        with self._in_motion():
            self._restore(frames[-1])
            while machine.ticks < ticks:
                self.look_up()
                goal = machine.now + ticks - machine.ticks
                ended = self._part(max(goal, min(machine.clock.next_due, self.end)) if machine.halted else goal)
                if ended is not None and ended.reason not in ("stopped", "breakpoint"):
                    break
            self._do_inputs()

    def _single(self, until: int) -> None:
        """Take one step of a motion: an instruction, or a sleep to whatever comes first, at most to `until`."""
        self.look_up()
        with self._in_motion():
            machine = self.machine
            if machine.halted:
                self._part(max(machine.now + 1, min(machine.clock.next_due, until)))
                machine.settle()
            else:
                machine.step()
            self._do_inputs()

    def _before(self, here: Moment, count: int) -> tuple[int, int] | None:
        """Find where `count` instructions before `here` lie: ticks of code to run, and how many steps come behind."""
        now, first = self.machine.ticks, self.frames[0].ticks
        for near in _PER_STEP:
            ticks = max(first, now - _NEAR[0] - near * count)
            self._start_at_ticks(ticks)
            counts = self._walk_to(here)
            if len(counts) >= count:
                return ticks, counts[-count]
            if ticks == first:
                break
        return None

    def _walk_to(self, here: Moment) -> list[int]:
        """Step to `here`; return for each moment on the way how many steps led to it. A sleep is one moment."""
        counts: list[int] = []
        steps, asleep = 0, False
        while (moment := self.moment()) != here and moment.position <= here.position and self.machine.ended is None:
            if not (asleep and self.machine.halted):
                counts.append(steps)
            asleep = self.machine.halted
            self._single(here.position)
            steps += 1
            if self.moment() == moment:
                break
        return counts

    def _return_to(self, moment: Moment) -> None:
        self._reach(moment.position)
        for _ in range(64):
            if self.moment() == moment:
                return
            self._single(moment.position)

    @contextmanager
    def _in_motion(self) -> Iterator[None]:
        """While the past is gone through again: no notes of inputs, no output to the host, no keyframes."""
        was, self._moving = self._moving, True
        journal, self.machine.journal = self.machine.journal, None
        try:
            with self.undisturbed(), self._silent():
                yield
        finally:
            self._moving, self.machine.journal = was, journal

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Say nothing to the host a second time."""
        if self.machine.now < self.end:
            with self._silent():
                yield
        else:
            yield

    @contextmanager
    def _silent(self) -> Iterator[None]:
        console: Any = self.machine.console
        logs = [] if console is None else [console.serial, *console.ports]
        kept = [list(log.listeners) for log in logs]
        for log in logs:  # the ports go on writing into the console's own log, which went back, too
            log.listeners[:] = [listener for listener in log.listeners if getattr(listener, "__self__", None) in logs]
        try:
            yield
        finally:
            for log, listeners in zip(logs, kept, strict=True):
                log.listeners[:] = listeners

    def _tell(self) -> None:
        for listener in self.went_back:
            listener()

    # -- keyframes and branches ---------------------------------------------------------------------------------------
    def _keep_if_due(self) -> None:
        machine, engine = self.machine, self.machine.engine
        if self._cost() < self._next_cost or machine.now < self.end or engine.in_block or self._moving:
            if machine.now < self.end:
                self._next_cost = self._cost() + self.every
            return
        self._keep()

    def _keep(self) -> None:
        self.machine.settle()
        if not len(self.frames) or self.machine.now > self.frames[-1].position:
            self.frames.take(self._player.done if self.in_past else len(self.journal))
        self._next_cost = self._cost() + self.every

    def _before_input(self) -> None:
        """Whoever gives an input in the past begins a branch: keep what came after by its inputs."""
        if self._moving or not self.in_past:
            return
        self.machine.settle()
        fork = self.machine.now
        self._numbered += 1
        self.branches.append(Branch(self._numbered, fork, self.end, self._over, tuple(self.journal)))
        self.journal.cut(fork)
        self._forget_after(fork)

    def _forget_after(self, position: int) -> None:
        self.frames.forget_after(position)
        self.end, self._over = position, False
        self._player = self._make_player(len(self.journal))

    def _on_input(self, given: Input) -> None:
        if not self._moving:
            self._player.done = len(self.journal)

    def switch(self, number: int) -> Moment:
        """Go to the end of the branch `number`; what is left becomes a branch. Raises `TimelineError`."""
        branch = next((one for one in self.branches if one.number == number), None)
        if branch is None:
            raise TimelineError(f"there is no branch {number}; there are {len(self.branches)}")
        common, fork = self._parting(branch)
        self.branches[self.branches.index(branch)] = Branch(number, fork, self.end, self._over, tuple(self.journal))
        with self._in_motion():
            frame = self.frames.before(fork - 1)
            self._restore(frame)
            self.journal.keep(common)
            self.frames.forget_after(max(fork - 1, frame.position))
            for given in branch.inputs[common:]:
                self.journal.append(given)
        self.end, self._over = branch.end, branch.over
        return self.go_to(branch.end)

    def _parting(self, branch: Branch) -> tuple[int, int]:
        """Return how many inputs a branch has in common with the present, and where the two part."""
        here = tuple(self.journal)
        common = 0
        while common < min(len(here), len(branch.inputs)) and here[common] == branch.inputs[common]:
            common += 1
        firsts = [inputs[common].position for inputs in (here, branch.inputs) if len(inputs) > common]
        return common, min(firsts, default=min(self.end, branch.end))
