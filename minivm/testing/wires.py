"""Wires and outputs at a bench: what a chip drives, every edge with its time, and the faults of real wires."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from minivm.core.clock import Clock
from minivm.core.device import Line
from minivm.testing.register_trace import RegisterTrace


class Edge(NamedTuple):
    """A change of a wire's level, at virtual nanoseconds."""

    time_ns: int
    level: bool


class BenchLine:
    """A watched wire: to the chip a `Line`, to the test its level and every edge.

    A fault lies between the chip and the far end: `driven` is what the chip wants, `level` what arrives. `connect`
    leads the wire on to another chip's input.
    """

    def __init__(self, name: str, clock: Clock, trace: RegisterTrace) -> None:
        self.name = name
        self.level = self.driven = False
        self.edges: list[Edge] = []
        self._clock, self._trace = clock, trace
        self._targets: list[Line] = []
        self._stuck: bool | None = None
        self._losing = 0
        self._lost = False  # the level is high at the chip, and its edge was lost

    def set(self, level: bool) -> None:
        """Drive the wire, as the chip does."""
        level = bool(level)
        if level == self.driven:
            return
        self.driven = level
        if level and self._losing and self._stuck is None:
            self._losing -= 1
            self._lost = True
            self._trace.note(self._clock.now, "fault", self.name, "lost", "this edge does not arrive")
        self._lost = self._lost and level
        self._arrive()

    @property
    def rises(self) -> list[int]:
        """The times of the rising edges that arrived, in nanoseconds."""
        return [edge.time_ns for edge in self.edges if edge.level]

    @property
    def falls(self) -> list[int]:
        """The times of the falling edges that arrived."""
        return [edge.time_ns for edge in self.edges if not edge.level]

    def connect(self, target: Line) -> None:
        """Lead the wire on to another chip's input, which gets its level at once."""
        self._targets.append(target)
        target.set(self.level)

    # -- faults -----------------------------------------------------------------------------------------------------
    def stick(self, level: bool) -> None:
        """Let the wire be stuck at a level, whatever the chip does, until `free`."""
        self._stuck = level
        self._trace.note(self._clock.now, "fault", self.name, "stuck", "high" if level else "low")
        self._arrive()

    def lose(self, edges: int = 1) -> None:
        """Let the next rising edges, and the level after them, not arrive: a lost interrupt."""
        self._losing = edges

    def free(self) -> None:
        """End all faults; the wire has the level that the chip drives."""
        self._stuck, self._losing, self._lost = None, 0, False
        self._arrive()

    def _arrive(self) -> None:
        level = self.driven and not self._lost if self._stuck is None else self._stuck
        if level == self.level:
            return
        self.level = level
        self.edges.append(Edge(self._clock.now, level))
        self._trace.note(self._clock.now, "line", self.name, "rises" if level else "falls")
        for target in self._targets:
            target.set(level)

    def __repr__(self) -> str:
        return f"<line {self.name} {'high' if self.level else 'low'}, {len(self.edges)} edges>"


class Output:
    """What a chip gave out by one of its functions, each value with its time."""

    def __init__(self, name: str, clock: Clock, trace: RegisterTrace) -> None:
        self.name = name
        self.items: list[tuple[int, Any]] = []
        self._clock, self._trace = clock, trace

    def __call__(self, value: Any = None) -> None:
        """Take a value from the chip; None stands for a mere pulse."""
        self.items.append((self._clock.now, value))
        self._trace.note(self._clock.now, "output", self.name, "" if value is None else repr(value))

    @property
    def values(self) -> list[Any]:
        """The values in order, without their times."""
        return [value for _, value in self.items]

    @property
    def data(self) -> bytes:
        """Everything as bytes, where the chip gives out bytes or their numbers."""
        return b"".join(value if isinstance(value, bytes) else bytes((value,)) for value in self.values)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)
