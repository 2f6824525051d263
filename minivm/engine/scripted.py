"""An engine without a CPU, for tests of whoever runs engines: it plays a script of exits and notes what it is told.

Each entry of the script is an exit, whose `ticks` then pass, or a function that may do what a guest does in its ports
(set alarms, ask for attention) and returns the exit. When the script is over, time runs to wherever it may.
"""

from collections.abc import Callable, Iterable, Iterator

from minivm.core.record import record
from minivm.engine.base import Exit, Ran, Stopped
from minivm.engine.cpustate import IF, CpuHead, Registers

Act = Exit | Callable[[], Exit]


@record
class ScriptedState:
    """What a scripted engine remembers, but for its place in the script."""

    position: int
    registers: tuple[tuple[str, int], ...]
    intr: bool
    in_block: bool
    nmi_pending: bool


class ScriptedEngine:
    """Plays `script`; `calls` is what the engine was told, in order, with the position at which it was."""

    name = "scripted"

    def __init__(self, script: Iterable[Act] = (), *, interrupts_on: bool = True) -> None:
        self.cpu = Registers(CpuHead())
        self.cpu.rflags = IF | 2 if interrupts_on else 2
        self.calls: list[tuple[str, int]] = []
        self.untils: list[int] = []
        self.instructions = 0
        self.delivered: list[int] = []
        self.intr = False
        self.in_block = False
        self.breakpoints: frozenset[int] = frozenset()
        self._script: Iterator[Act] = iter(script)
        self._position = 0
        self._nmi = False
        self._stop = False
        self._counts = False

    @property
    def position(self) -> int:
        """Ticks so far."""
        return self._position

    @property
    def interruptible(self) -> bool:
        """True when IF is set and no block is half done."""
        return bool(self.cpu.head.eflags & IF) and not self.in_block

    @property
    def exits(self) -> dict[str, int]:
        """How many interrupts were delivered."""
        return {"interrupts": len(self.delivered)}

    @property
    def nmi_pending(self) -> bool:
        """True from `nmi` to the next `run` or `step`."""
        return self._nmi

    def run(self, until: int) -> Exit:
        """Play the script's next entry; without one, run to `until`."""
        self.untils.append(until)
        if self._stop:
            self._stop = False
            return Stopped(0)
        self._nmi = False
        return self._play(Ran(max(0, until - self._position)))

    def step(self) -> Exit:
        """Play the script's next entry; without one, let a tick pass."""
        self._nmi = False
        return self._play(Ran(1))

    def _play(self, otherwise: Exit) -> Exit:
        act = next(self._script, otherwise)
        ended = act() if callable(act) else act
        self._position += ended.ticks
        self.instructions += ended.ticks * self._counts
        return ended

    def stop(self) -> None:
        """Make the next `run` end with `Stopped`."""
        self._stop = True

    def take_stop(self) -> bool:
        """Tell whether `stop` was called, and forget it."""
        wanted, self._stop = self._stop, False
        return wanted

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """Keep the addresses."""
        self.breakpoints = frozenset(addresses)

    def count_instructions(self, wanted: bool = True) -> None:
        """Count each tick as an instruction, or stop counting."""
        self._counts = wanted
        if wanted:
            self.instructions = 0

    def attention(self) -> None:
        """Note it."""
        self._note("attention")

    def interrupt(self, vector: int) -> Exit | None:
        """Note the delivery, and clear IF as a handler's gate would."""
        self.delivered.append(vector)
        self.cpu.rflags &= ~IF
        self._note("interrupt")
        return None

    def set_intr(self, level: bool) -> None:
        """Keep the level."""
        self.intr = level

    def charge(self, ticks: int) -> int:
        """Let time pass inside an instruction."""
        self._note("charge")
        self._position += ticks
        return self._position

    def skip_to(self, position: int) -> None:
        """Let time pass."""
        self._note("skip")
        self._position = max(self._position, position)

    def nmi(self) -> None:
        """Let an NMI wait."""
        self._nmi = True

    def set_a20(self, enabled: bool) -> None:
        """Note it."""
        self._note("a20 open" if enabled else "a20 closed")

    def reset(self) -> None:
        """Note it."""
        self._note("reset")

    def state(self) -> ScriptedState:
        """Return what the engine remembers; the script goes on from wherever it is."""
        registers = tuple(sorted(self.cpu.as_dict().items()))
        return ScriptedState(self._position, registers, self.intr, self.in_block, self._nmi)

    def restore(self, saved: ScriptedState) -> None:
        """Become `saved` again."""
        self._position, self.intr, self.in_block = saved.position, saved.intr, saved.in_block
        self._nmi = saved.nmi_pending
        for name, value in saved.registers:
            setattr(self.cpu, name, value)

    def close(self) -> None:
        """Note it."""
        self._note("close")

    def _note(self, call: str) -> None:
        self.calls.append((call, self._position))
