"""The loop around a machine: it hands out virtual time in small pieces and looks at the host between them.

A piece ends at the next thing to look at: a script's step, a limit, the host's clock when the run is paced. Where
the pieces end changes nothing for the guest; a script looks at fixed points of virtual time.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from minivm.cli.pacing import Pacing
from minivm.cli.script import Script
from minivm.core.clock import NEVER
from minivm.machine import Ended, HostConsole, Machine

if TYPE_CHECKING:
    from minivm.debug.gdbserver import GdbServer

LONGEST_PIECE_S = 0.03
"""After so long by the host's clock a piece is cut short at the next safe point, so that keys never wait longer."""
GDB_PATIENCE_S = 0.02
"""A sleeping machine looks so often whether GDB has something to say."""
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminated"}


class Face(Protocol):
    """What shows the machine to its user and takes what the user does."""

    @property
    def may_wake(self) -> bool:
        """True while input may come that could wake a halted guest."""

    @property
    def patience(self) -> float | None:
        """In how many seconds the face wants to show something, None for as soon as something happens."""

    def show(self) -> None:
        """Write what is new."""

    def wait(self, seconds: float | None) -> None:
        """Sleep so long, None for ever, or until there is input."""

    def take_input(self) -> Ended | None:
        """Hand the input that is there to the machine; an end when the user asks for it."""

    def finish(self, ended: Ended) -> None:
        """Show how it ended."""

    def close(self) -> None:
        """Give everything back to the host, also when the run failed."""


class Driver:
    """Runs `machine` until it ends, the script is met, a limit is reached, or the user or a signal ends it.

    `until` is a virtual time in nanoseconds since power-on.
    """

    def __init__(
        self,
        machine: Machine,
        face: Face,
        pacing: Pacing,
        *,
        script: Script,
        timeout: float | None = None,
        max_ticks: int | None = None,
        until: int | None = None,
        gdb: "GdbServer | None" = None,
    ) -> None:
        assert machine.console is not None
        self._machine, self._face, self._pacing, self._script = machine, face, pacing, script
        self._console: HostConsole = machine.console
        self._timeout, self._max_ticks, self._until = timeout, max_ticks, until
        self._gdb = gdb
        self._signalled: Ended | None = None
        self._in_piece = self._armed = False

    def run(self) -> Ended:
        """Run; raises `ExpectationFailed` when the script's text does not come."""
        old = self._catch_signals()
        self._began = time.monotonic()
        self._pacing.start(self._machine.now)
        try:
            while True:
                ended = self._one_round()
                if ended is not None:
                    return ended
        finally:
            if old:
                signal.setitimer(signal.ITIMER_REAL, 0)
                for number, handler in old.items():
                    signal.signal(number, handler)

    def _one_round(self) -> Ended | None:
        """Bring the machine to where the host's clock is, show it, and only then let input in."""
        outcome = self._catch_up()
        self._face.show()
        if self._gdb is not None and self._gdb.quit_wanted:
            return Ended("killed")
        ended = self._after_end(outcome) if outcome.final else None
        ended = ended or self._signalled or self._face.take_input() or self._look_at_script() or self._over_limit()
        if ended is None:
            self._pause()
        return ended

    # -- one piece ----------------------------------------------------------------------------------------------
    def _limit(self) -> int:
        """Return the virtual time of the next thing to look at."""
        machine, limits = self._machine, [NEVER]
        if self._script.next_look is not None:
            limits.append(max(self._script.next_look, machine.now + 1))
        if self._max_ticks is not None:
            limits.append(machine.now + self._max_ticks - machine.ticks)
        if self._until is not None:
            limits.append(self._until)
        return min(limits)

    def _catch_up(self) -> Ended:
        machine, pacing = self._machine, self._pacing
        target = min(pacing.target(machine.now, machine.halted), self._limit())
        outcome = self._run_piece(target)
        asleep = outcome.final and machine.ended is None
        if pacing.speed is not None and machine.now < target and (asleep or pacing.skips(machine.now)):
            machine.pass_time(target)
        return outcome

    def _run_piece(self, target: int) -> Ended:
        # The timer interrupts even a guest that does nothing but fault, for whom 20 ms may take minutes.
        if self._armed:
            self._in_piece = True
            signal.setitimer(signal.ITIMER_REAL, LONGEST_PIECE_S)
        outcome = self._machine.run_to(target) if self._gdb is None else self._run_for_gdb(target)
        self._in_piece = False
        return outcome

    def _run_for_gdb(self, target: int) -> Ended:
        """Let GDB hold the machine as long as it likes: that time does not pass for a paced guest."""
        assert self._gdb is not None
        outcome = self._gdb.run_to(target)
        if self._gdb.stopped:
            self._pacing.start(self._machine.now)
        return outcome

    def _pause(self) -> None:
        """Sleep while a paced machine is ahead of the host's clock, or for as long as only input can wake it."""
        machine = self._machine
        if self._gdb is not None and self._gdb.stopped:
            return  # `run_to` has slept already
        next_thing = machine.clock.next_due if machine.halted else machine.now + self._pacing.quantum_ns
        if self._script.next_look is not None:
            next_thing = min(next_thing, self._script.next_look)
        seconds = self._pacing.seconds_until(next_thing, machine.now)
        if seconds is None or seconds > 0:
            limits = (seconds, self._face.patience, self._seconds_left(), None if self._gdb is None else GDB_PATIENCE_S)
            self._face.wait(min((limit for limit in limits if limit is not None), default=None))

    # -- ends ---------------------------------------------------------------------------------------------------
    def _after_end(self, ended: Ended) -> Ended | None:
        """The machine stands still. That is the end, unless the script or the user may still do something."""
        now = self._machine.now
        self._script.look(self._console, now)
        if self._script.met:
            return Ended("script-met")
        asleep = self._machine.ended is None
        if asleep and self._machine.clock.next_due != NEVER:
            return None  # a step of the script has typed something
        if asleep and self._face.may_wake:
            return None
        self._script.fail(self._console, f"the machine ended: {ended.reason}")
        return ended

    def _look_at_script(self) -> Ended | None:
        script, now = self._script, self._machine.now
        if script.next_look is not None and now >= script.next_look:
            script.look(self._console, now)
        return Ended("script-met") if script.met else None

    def _over_limit(self) -> Ended | None:
        left = self._seconds_left()
        if left is not None and left <= 0:
            return Ended("timeout")
        if self._max_ticks is not None and self._machine.ticks >= self._max_ticks:
            return Ended("max-ticks")
        if self._until is not None and self._machine.now >= self._until:
            return Ended("time-over")
        return None

    def _seconds_left(self) -> float | None:
        return None if self._timeout is None else self._began + self._timeout - time.monotonic()

    # -- signals ------------------------------------------------------------------------------------------------
    def _catch_signals(self) -> dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None]:
        """Turn the signals that end a program into an end at a safe point; only the main thread may."""
        try:
            old = {number: signal.signal(number, self._end_by) for number in SIGNALS}
        except ValueError:
            return {}
        self._armed = True
        return old | {signal.SIGALRM: signal.signal(signal.SIGALRM, self._piece_is_over)}

    def _end_by(self, number: int, frame: FrameType | None) -> None:
        if self._signalled is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signalled = Ended(SIGNALS[signal.Signals(number)])
        self._machine.stop()

    def _piece_is_over(self, number: int, frame: FrameType | None) -> None:
        if self._in_piece:
            self._machine.stop()
