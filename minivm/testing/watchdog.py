"""The limits of a test: so much virtual time, so many instructions, and then the guest's run is over.

A machine asks its watchdog how far it may go before it goes there, so a guest that loops for ever ends a test at the
same tick on every host. Nothing here looks at the host's clock.
"""

from typing import Any

from minivm.errors import ConfigError, ExpectationFailed
from minivm.machine import NS_PER_SECOND, Machine


class Limits:
    """Bounds what a machine runs from now on; attach it as `machine.watchdog`.

    `seconds` are virtual ones. `instructions` are counted exactly by the engine, which slows it down some two to four
    times; the run ends at the first safe point (a block's start) at or after the limit. Raises `ExpectationFailed`
    from within `run`, `step`, `expect` and the like.
    """

    def __init__(self, machine: Machine, *, seconds: float | None = None, instructions: int | None = None) -> None:
        self._seconds, self._instructions = seconds, instructions
        self._end = None if seconds is None else machine.now + round(seconds * NS_PER_SECOND)
        self._engine: Any = machine.engine
        if instructions is not None:
            if not hasattr(self._engine, "count_instructions"):
                raise ConfigError(f"the engine {self._engine.name} counts no instructions; limit the test in time")
            self._engine.count_instructions()
            self._first = self._engine.instructions

    @property
    def used(self) -> int:
        """How many instructions were executed since; 0 when nobody counts them."""
        return 0 if self._instructions is None else int(self._engine.instructions - self._first)

    def clip(self, machine: Machine, position: int) -> int:
        """Return how far towards `position` the machine may run before it asks again."""
        if position <= machine.now:
            return position
        return self._clip_instructions(machine, self._clip_time(machine, position))

    def _clip_time(self, machine: Machine, position: int) -> int:
        if self._end is None:
            return position
        if machine.now >= self._end:
            raise _over(machine, f"{self._seconds:g} virtual seconds")
        return min(position, self._end)

    def _clip_instructions(self, machine: Machine, position: int) -> int:
        """Clip by the fact that an instruction takes a tick at least, and that a CPU that sleeps executes none."""
        if self._instructions is None:
            return position
        left = self._instructions - self.used
        if left <= 0:
            raise _over(machine, f"{self._instructions:,} instructions")
        begin = max(machine.now, machine.clock.next_due) if machine.halted else machine.now
        return min(position, begin + left)


def _over(machine: Machine, what: str) -> ExpectationFailed:
    console = machine.console
    shown = f"\n{console.report()}" if console is not None else ""
    return ExpectationFailed(f"the guest's {what} are over, at {place_of(machine)}{shown}")


def place_of(machine: Machine) -> str:
    """Return where a machine is about to execute, as code segment and instruction pointer."""
    registers = machine.cpu.as_dict()
    width = 16 if machine.cpu.mode == "64" else 4 if machine.cpu.mode in ("real", "vm86") else 8
    return f"{registers['cs']:04X}:{registers['rip']:0{width}X}"
