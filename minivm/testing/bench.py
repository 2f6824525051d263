"""The device bench: one chip on a table, with probes at every pin and no CPU.

    bench = DeviceBench(Uart, base=0x3F8)
    bench.write("IER", 0x02)
    assert bench.line("irq").level
    bench.step(ms=1)
    assert bench.output("transmit").data == b""

The bench reads the constructor's annotations and gives each parameter what it asks for: the bench's `Clock`, a watched
wire for a `Line`, a captured output for a function without a result, a `Slot` for a device of one's own. What it
cannot guess is given by keyword. Every access, edge and output is kept with its time, and `table()` shows them in the
chip's own words; the pytest plugin does so when a test fails.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import cached_property, lru_cache
from itertools import count
from operator import attrgetter
from typing import Any, get_args, get_origin, get_type_hints
from weakref import WeakSet

from minivm.core.clock import Clock
from minivm.core.describe import Access, Chip
from minivm.core.device import Line
from minivm.core.slot import Slot
from minivm.debug.inspect_devices import PARTS
from minivm.errors import ConfigError, WiringError
from minivm.storage.disk import Disk
from minivm.testing.faults import DiskFaults
from minivm.testing.register_trace import RegisterTrace, duration
from minivm.testing.wires import BenchLine, Output

BENCHES: "WeakSet[DeviceBench]" = WeakSet()
"""All benches that are in use, so that the plugin can show their traces when a test fails."""
_serials = count()

CHIPS = {
    ("Uart", ""): "com1", ("Pit", ""): "pit", ("Cmos", ""): "cmos", ("Vga", ""): "vga",
    ("PicPair", "master"): "pic0", ("PicPair", "slave"): "pic1", ("PicPair", "elcr"): "elcr",
    ("I8042", "data"): "keyboard data", ("I8042", "command"): "keyboard command",
    ("PortB", ""): "system control B", ("Port92", ""): "system control A",
    ("PostCode", ""): "post code", ("DebugExit", ""): "debug exit", ("DebugConsole", ""): "debug console",
}  # fmt: skip
"""The descriptions of MiniVM's own chips, by class and port."""


class DeviceBench:
    """One device, made anew, with everything at its pins watched.

    `factory` is the device's class. `parts` are its other arguments by keyword; they go before what the bench would
    give. `base` is where the trace says that the first port lies. `port` names the attribute that is the `Port` where
    the device itself is none (`DeviceBench(PicPair, port="master")`). `chip` describes the registers; MiniVM's chips
    have theirs, and a device of one's own may have it as the attribute `chip`.

    Raises `ConfigError` naming the parameter that nobody gives.
    """

    def __init__(
        self, factory: Callable[..., Any], /, *, base: int = 0, port: str = "", chip: Chip | None = None, **parts: Any
    ) -> None:
        self.clock = Clock()
        self.lines: dict[str, BenchLine] = {}
        self.outputs: dict[str, Output] = {}
        self.trace = RegisterTrace()
        self.base = base
        self._factory, self._parts, self._port_name = factory, parts, port
        self.device = factory(*self._slots(), **self._arguments())
        self._port = attrgetter(port)(self.device) if port else self.device
        self.chip = chip or getattr(self.device, "chip", None) or self._own_chip(port)
        self.serial = next(_serials)
        BENCHES.add(self)

    # -- what a CPU would do ----------------------------------------------------------------------------------------
    def read(self, register: int | str, size: int = 1) -> int:
        """Return what an IN of `size` bytes gives; `register` is an offset or a name from the datasheet."""
        offset = self._offset(register, "r")
        state = self._state_before
        value = int(self._port.read(offset, size))
        self._note(Access(offset, False, value), size, state)
        return value

    def write(self, register: int | str, *values: int, size: int = 1) -> None:
        """Do an OUT of `size` bytes for each of `values`."""
        offset = self._offset(register, "w")
        for value in values:
            self._note(Access(offset, True, value), size, self._state_before)
            self._port.write(offset, size, value)

    def step(self, *, ns: int = 0, us: float = 0, ms: float = 0, s: float = 0) -> None:
        """Let virtual time pass; alarms ring at their time on the way."""
        delay = ns + round(us * 1_000 + ms * 1_000_000 + s * 1_000_000_000)
        self.clock.advance(delay)
        self.trace.note(self.clock.now, "wait", duration(delay))

    # -- the pins ---------------------------------------------------------------------------------------------------
    def line(self, name: str) -> BenchLine:
        """Return the wire that the constructor's parameter `name` got; raises `WiringError` listing the wires."""
        if name not in self.lines:
            raise _missing("line", name, self.lines)
        return self.lines[name]

    def output(self, name: str) -> Output:
        """Return what the device gave out by the constructor's parameter `name`."""
        if name not in self.outputs:
            raise _missing("output", name, self.outputs)
        return self.outputs[name]

    def feed(self, method: str, *arguments: Any) -> Any:
        """Call the device's `method`, by which something comes in from outside, and note it in the trace."""
        self.trace.note(self.clock.now, "input", method, ", ".join(map(repr, arguments)))
        return attrgetter(method)(self.device)(*arguments)

    def disk(self, data: bytes) -> tuple[Disk, DiskFaults]:
        """Return a disk with `data` on it for a controller under test, and the faults that it may be given.

        Every access stands in the trace; a slow disk lets the bench's time pass.
        """
        disk = Disk.from_bytes(data, "the bench's disk", medium="disk")
        faults = DiskFaults(self.clock.advance, self._note_disk)
        disk.faults = faults
        return disk, faults

    def _note_disk(self, kind: str, lba: int, count: int) -> None:
        words = f"sector {lba}" if count == 1 else f"sectors {lba} to {lba + count - 1}"
        self.trace.note(self.clock.now, "disk", kind, "", words)

    # -- saving -----------------------------------------------------------------------------------------------------
    def twin(self) -> "DeviceBench":
        """Return a new bench with a new device in the same state at the same time; faults are not taken along."""
        state = self.device.state()
        other = DeviceBench(
            self._factory, base=self.base, port=self._port_name, chip=self.chip, **_not_shared(self._parts)
        )
        other.clock.reset_to(self.clock.now)
        other.device.restore(state)
        return other

    def check_round_trip(self) -> "DeviceBench":
        """Check that a twin has the same state, field by field, and drives its lines alike; return the twin.

        Raises `AssertionError` naming what differs: a field that `state` or `restore` forgot.
        """
        before, other = _named_values(self.device.state()), self.twin()
        after = _named_values(other.device.state())
        wrong = [f"{name}: {before[name]!r} became {after[name]!r}" for name in before if before[name] != after[name]]
        wrong += [
            f"line {name}: {'high' if line.level else 'low'} before"
            for name, line in self.lines.items()
            if name in other.lines and other.lines[name].level != line.level
        ]
        if wrong:
            raise AssertionError(f"a restored {type(self.device).__name__} is not the same: {'; '.join(wrong)}")
        return other

    # -- for people -------------------------------------------------------------------------------------------------
    def table(self) -> str:
        """Return everything that happened as a table in the chip's own words."""
        return self.trace.table()

    @property
    def title(self) -> str:
        """The device's class, and where its first port is said to lie."""
        return f"{type(self.device).__name__} at {self.base:X}h" if self.base else type(self.device).__name__

    def __repr__(self) -> str:
        return f"<DeviceBench of {self.title}, {self.clock.now} ns>"

    # -- how it is made ---------------------------------------------------------------------------------------------
    def _slots(self) -> list[Slot]:
        """Return the one positional argument of a device of one's own, which may have any name."""
        wanted = parameters(self._factory)
        first = next(iter(wanted.values()), None)
        is_slot = first is not None and "slot" not in self._parts and first[0] is Slot
        return [self._slot] if is_slot else []

    @cached_property
    def _slot(self) -> Slot:
        return Slot(self.clock, lambda irq: self._wire(f"IRQ{irq}"), self._captured("output"), BenchMemory())

    def _arguments(self) -> dict[str, Any]:
        given = dict(self._parts)
        for name, (kind, default) in parameters(self._factory).items():
            if name in given or kind is Slot:
                continue
            part = self._part(name, kind)
            if part is not None:
                given[name] = part
            elif default is inspect.Parameter.empty:
                raise ConfigError(
                    f"{_name_of(self._factory)} wants {name}, which a bench cannot make; give it: "
                    f"DeviceBench({_name_of(self._factory)}, {name}=...)"
                )
        return given

    def _part(self, name: str, kind: Any) -> Any:
        """Return what a parameter of that kind gets; None when only its maker knows."""
        if kind is Clock:
            return self.clock
        if kind in (Line, Line | None):
            return self._wire(name)
        if get_origin(kind) is tuple and all(one in (Line, Line | None) for one in get_args(kind)):
            return tuple(self._wire(f"{name}[{index}]") for index in range(len(get_args(kind))))
        if _is_output(kind):
            return self._captured(name)
        return None

    def _wire(self, name: str) -> BenchLine:
        if name not in self.lines:
            self.lines[name] = BenchLine(name, self.clock, self.trace)
        return self.lines[name]

    def _captured(self, name: str) -> Output:
        self.outputs[name] = Output(name, self.clock, self.trace)
        return self.outputs[name]

    def _own_chip(self, port: str) -> Chip | None:
        part = CHIPS.get((type(self.device).__name__, port))
        ours = type(self.device).__module__.startswith("minivm.devices.")
        return PARTS[part].chip if part is not None and ours else None

    # -- registers --------------------------------------------------------------------------------------------------
    def _offset(self, register: int | str, letter: str) -> int:
        if isinstance(register, int):
            return register
        known = self.chip.registers if self.chip is not None else ()
        for one in known:
            if one.name == register and letter in one.access:
                return one.offset
        may = ", ".join(one.name for one in known if letter in one.access) or "nobody described them; use an offset"
        verb = "read" if letter == "r" else "written"
        raise WiringError(f"{register} is no register that can be {verb}; there are: {may}")

    @property
    def _state_before(self) -> Any:
        """The chip's state before an access, which some registers need to be named."""
        if self.chip is None:
            return None
        look = getattr(self.device, "inspect", None) or getattr(self.device, "state", None)
        if look is None:
            return None
        state = look()
        return getattr(state, self._port_name, state) if self._port_name else state

    def _note(self, access: Access, size: int, state: Any) -> None:
        where = f"{self.base + access.offset:02X}h"
        self.trace.access(self.clock.now, where, access, size, chip=self.chip, state=state)


class BenchMemory:
    """Memory for a device that masters the bus: what was written can be read again, all else is zero."""

    def __init__(self) -> None:
        self._bytes: dict[int, int] = {}

    def load_bytes(self, address: int, length: int) -> bytes:
        """Return `length` bytes from `address`."""
        return bytes(self._bytes.get(place, 0) for place in range(address, address + length))

    def store_bytes(self, address: int, data: bytes) -> None:
        """Put `data` at `address`."""
        self._bytes.update(enumerate(data, start=address))


@lru_cache(maxsize=256)
def parameters(factory: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return the kind and the default of each parameter that a bench may give, by name, in order.

    The kind is the annotation; a parameter without one is a `Slot` when it is the first, since that is what a machine
    calls a device's factory with.
    """
    hints = _hints(factory)
    found: dict[str, tuple[Any, Any]] = {}
    for place, (name, parameter) in enumerate(inspect.signature(factory).parameters.items()):
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        kind = hints.get(name, Slot if place == 0 and parameter.default is parameter.empty else None)
        found[name] = (kind, parameter.default)
    return found


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    called = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]
    try:
        return get_type_hints(called)
    except NameError:  # a name that only a type checker imports
        return {}


def _is_output(kind: Any) -> bool:
    """True for a function of at most one argument that gives nothing back: the chip tells the world something."""
    if get_origin(kind) is not Callable:
        return False
    taken, given = get_args(kind)
    return given in (None, type(None)) and taken is not ... and len(taken) <= 1


def _named_values(state: Any) -> dict[str, Any]:
    """Return a state's fields by name; a state that is no dataclass is one field."""
    return {one.name: getattr(state, one.name) for one in fields(state)} if is_dataclass(state) else {"state": state}


def _missing(what: str, name: str, found: Iterable[str]) -> WiringError:
    return WiringError(f"there is no {what} {name!r}; there are: {', '.join(found) or 'none'}")


def _not_shared(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for a second device; wires of the first bench are not for it."""
    return {name: part for name, part in parts.items() if not isinstance(part, (BenchLine, Output))}


def _name_of(factory: Callable[..., Any]) -> str:
    return getattr(factory, "__name__", type(factory).__name__)
