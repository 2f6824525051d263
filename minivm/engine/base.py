"""What a CPU engine is: the protocol, and the exits that say why a run ended.

An engine executes guest code and delivers interrupts. It knows no device: ports and memory-mapped I/O are buses, time
is the clock, and a hardware interrupt is a vector that the machine hands over.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from minivm.core.record import record
from minivm.engine.cpustate import Registers


@record
class Ran:
    """The granted ticks are used up."""

    ticks: int


@record
class Halted:
    """The CPU executed HLT and waits for an interrupt."""

    ticks: int


@record
class Stopped:
    """Somebody called `stop`."""

    ticks: int


@record
class Attention:
    """Something outside wants a word at a safe point: an interrupt is due, or an alarm was set earlier."""

    ticks: int


@record
class Breakpoint:
    """The next instruction lies on a breakpoint."""

    ticks: int
    address: int


@record
class Autopsy:
    """What led to a triple fault: the chain of vectors, the words for each, and the registers at its start."""

    chain: tuple[tuple[int, str], ...]
    """Each vector that was to be delivered, first to last, with why its delivery failed."""
    registers: dict[str, int]
    mode: str
    code: bytes
    """The bytes at the instruction pointer, as far as they could be read."""
    details: tuple[str, ...] = ()
    """The bad descriptor or page-table entry, in words, one line each."""


@record
class Shutdown:
    """A fault while delivering a double fault: the processor gave up (SDM vol. 3, section 6.15, interrupt 8)."""

    ticks: int
    autopsy: Autopsy


Exit = Ran | Halted | Stopped | Attention | Breakpoint | Shutdown


class Engine(Protocol):
    """A processor that can be run, stepped, interrupted, stopped and looked at.

    One tick is one byte of code retired (plus what port accesses and RDTSC are charged), and one nanosecond of
    virtual time. The run gear and the step gear count the same ticks.
    """

    name: str
    cpu: Registers

    @property
    def position(self) -> int:
        """Ticks since power-on, exact also inside a port access."""

    @property
    def interruptible(self) -> bool:
        """True where a hardware interrupt may be taken now: a block's start, IF set, no shadow."""

    @property
    def exits(self) -> dict[str, int]:
        """How often the guest left native code, by kind."""

    def run(self, until: int) -> Exit:
        """Run to the first block start at or after position `until`; while INTR is high, to where it can be taken."""

    def step(self) -> Exit:
        """Execute one instruction, or one delivery of an exception."""

    def stop(self) -> None:
        """Make the current or next `run` end with `Stopped` at the next safe point; callable from any thread."""

    def take_stop(self) -> bool:
        """Tell whether `stop` was called, and forget it: for a machine that sleeps instead of running."""

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """End each run before the instruction at any of the linear `addresses`; step once to get past one."""

    def count_instructions(self, wanted: bool = True) -> None:
        """Begin to count executed instructions, from 0, or stop counting; only between runs."""

    @property
    def instructions(self) -> int:
        """How many instructions were executed since `count_instructions`; 0 before."""

    def attention(self) -> None:
        """Make the current `run` end at the next safe point, from inside a port access."""

    def interrupt(self, vector: int) -> Exit | None:
        """Deliver the hardware interrupt `vector` now; a `Shutdown` when that was the third fault in a row."""

    def set_intr(self, level: bool) -> None:
        """Drive the INTR pin."""

    def skip_to(self, position: int) -> None:
        """Let time pass to `position` without executing anything: the CPU is halted."""

    def charge(self, ticks: int) -> int:
        """Let the instruction whose port access is being served take `ticks` more; return the position behind it."""

    def nmi(self) -> None:
        """Deliver the non-maskable interrupt at the next block start."""

    @property
    def nmi_pending(self) -> bool:
        """True while an NMI waits to be delivered."""

    @property
    def in_block(self) -> bool:
        """True after a step that ended inside a block, where no interrupt is taken."""

    def set_a20(self, enabled: bool) -> None:
        """Open or close address line 20."""

    def reset(self) -> None:
        """Return to the power-on state (SDM vol. 3, table 9-1), memory untouched."""

    def state(self) -> Any:
        """Return everything that the processor remembers, as a record: `CpuState` of the real one."""

    def restore(self, saved: Any) -> None:
        """Remember `saved`; memory must hold what it held then, or be restored first."""

    def close(self) -> None:
        """Free the engine; the RAM that it used may be closed after this, not before."""
