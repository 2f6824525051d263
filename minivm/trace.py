"""The trace: what the guest made the machine do, a line an event, in the machine's own words.

A kind that is not asked for costs nothing: its hook is not installed. Each line begins with the virtual time in
microseconds.
"""

from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any

from minivm.config import TraceSpec
from minivm.core.bus import Bus
from minivm.devices.speaker import Click, Tone
from minivm.errors import ConfigError

if TYPE_CHECKING:
    from minivm.engine.unicorn import Trace
    from minivm.machine import Machine

EXCEPTIONS = (
    "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode", "no FPU",
    "double fault", "FPU segment", "invalid TSS", "segment not present", "stack fault", "general protection",
    "page fault", "reserved", "FPU error", "alignment check", "machine check", "SIMD error",
)  # fmt: skip
_ENGINE_KINDS = ("irq", "int", "exc")


def vector_name(vector: int) -> str:
    """Return the exception's name for vectors 0 to 19, else an empty text (SDM vol. 3, table 6-1)."""
    return EXCEPTIONS[vector] if vector < len(EXCEPTIONS) else ""


class Tracer:
    """Writes the kinds of `specs` to their files, or to standard error."""

    def __init__(self, specs: Sequence[TraceSpec]) -> None:
        self._files: dict[str, IO[str]] = {}
        self._opened: list[IO[str]] = []
        self._machine: Machine | None = None
        for spec in specs:
            file = self._open(spec)
            for kind in spec.kinds:
                self._files[kind] = file

    def wants(self, kind: str) -> bool:
        """Tell whether events of `kind` are to be written."""
        return kind in self._files

    def attach(self, machine: "Machine") -> None:
        """Take the time from `machine`, and watch its mode when that is asked for."""
        self._machine = machine
        if self.wants("mode"):
            machine.watch_mode(lambda old, new: self.write("mode", f"{old} -> {new}"))

    def sound_hook(self) -> Callable[[Tone | Click], None] | None:
        """Return what the speaker shall tell of what is heard, None when nobody wants it."""
        if not self.wants("sound"):
            return None
        return lambda event: self.write("sound", _sound_words(event))

    def engine_hook(self) -> "Trace | None":
        """Return what the engine shall call for interrupts and exceptions, None when nobody wants them."""
        if not any(self.wants(kind) for kind in _ENGINE_KINDS):
            return None

        def hook(kind: str, vector: int, words: str) -> None:
            if self.wants(kind):
                name = vector_name(vector) if kind == "exc" else ""
                self.write(kind, f"{vector:02X}h {name + ' ' if name else ''}{words}")

        return hook

    def bios(self, text: str) -> None:
        """Write what the BIOS reports, such as a function that it does not have, with the software interrupts."""
        if self.wants("int"):
            self.write("int", text)

    def write(self, kind: str, text: str) -> None:
        """Write one line of `kind`."""
        now = self._machine.now if self._machine is not None else 0
        try:
            self._files[kind].write(f"{now / 1000:14.3f} us {kind:4} {text}\n")
        except OSError as error:
            raise ConfigError(f"the trace cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the files that the tracer has opened."""
        for file in self._opened:
            file.close()

    def _open(self, spec: TraceSpec) -> IO[str]:
        if spec.path is None:
            import sys

            return sys.stderr
        try:
            file = spec.path.open("w", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{spec.path}: the trace cannot be written there: {error.strerror}") from error
        self._opened.append(file)
        return file


def _sound_words(event: Tone | Click) -> str:
    """Return what is heard: a tone that begins, one that has ended, or a click."""
    if isinstance(event, Click):
        return f"click, the cone moves {'out' if event.out else 'back'}"
    pitch = f"tone of {event.frequency_hz:.1f} Hz"
    return (
        f"{pitch} begins" if event.to_ns is None else f"{pitch} ends after {(event.to_ns - event.from_ns) / 1e6:.1f} ms"
    )


class TracedBus(Bus):
    """A bus that tells of every access before it passes it on."""

    def __init__(self, bus: Bus, tracer: Tracer) -> None:
        super().__init__(bus.name, bus.size)
        self.slow = bus.slow
        self._bus = bus
        self._tracer = tracer

    def read(self, address: int, size: int) -> int:
        """Read, then tell what came."""
        value = self._bus.read(address, size)
        self._tell("in ", address, size, value)
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """Tell, then write."""
        self._tell("out", address, size, value)
        self._bus.write(address, size, value)

    def map(self, base: int, length: int, port: Any, *, width: int = 1, name: str = "") -> None:
        """Map on the bus underneath."""
        self._bus.map(base, length, port, width=width, name=name)

    def _tell(self, verb: str, address: int, size: int, value: int) -> None:
        mapping = self._bus.find(address)
        who = mapping.name if mapping is not None else "nobody"
        self._tracer.write("io", f"{verb} {address:03X}h {value:0{2 * size}X}h {who}")
