"""Two machines that should be in one state: whether they are, and what differs, by name."""

from collections.abc import Iterator
from typing import Any

from minivm.core.memory import PAGE
from minivm.core.plain import field_names, join
from minivm.core.record import record
from minivm.debug.code import disassemble
from minivm.debug.inspect_paging import peek
from minivm.engine.cpustate import GENERAL_64, SEGMENT_NAMES
from minivm.engine.state import without_history
from minivm.machine import Machine

MOST_BYTES = 16
"""So many differing bytes of RAM are named; all are counted."""
_LONGEST_INSTRUCTION = 15
_SHOWN_IN_TABLE = frozenset((*GENERAL_64, "rip", "rflags", "cr0", "cr2", "cr3", "cr4", "retired"))  # or beneath it
_ABSENT = "(absent)"


@record
class Moment:
    """One machine between two instructions: where it is, what comes next, and its registers by name.

    `ended` says why it ended, "" while it goes on; `ticks` is its position.
    """

    ticks: int
    where: str
    linear: int
    code: bytes
    text: str
    mode: str
    halted: bool
    ended: str
    registers: dict[str, int]


@record
class Field:
    """Something that is not RAM, a register or the time, and has two values: `devices.pit.channels[0].count`."""

    name: str
    first: Any
    second: Any


@record
class Differences:
    """What differs between two machines: RAM as (physical address, byte here, byte there), the first ones of `count`.

    `registers` are names that have a column in both moments, `fields` all the rest.
    """

    registers: tuple[str, ...]
    memory: tuple[tuple[int, int, int], ...]
    count: int
    fields: tuple[Field, ...]

    def __bool__(self) -> bool:
        return bool(self.registers or self.memory or self.fields)


def moment(machine: Machine) -> Moment:
    """Look at a machine; it is not changed."""
    cpu: Any = machine.cpu
    engine: Any = machine.engine
    linear, bits = cpu.linear_ip, cpu.code_bits
    code = peek(engine, linear, _LONGEST_INSTRUCTION)
    first = disassemble(code, origin=cpu.rip, bits=bits, count=1)[0] if code else None
    return Moment(
        ticks=machine.now,
        where=f"{cpu.rip:016X}" if bits == 64 else f"{cpu.cs:04X}:{cpu.rip:04X}",
        linear=linear,
        code=first.code if first is not None else b"",
        text=first.text if first is not None else "(no memory there)",
        mode=cpu.mode,
        halted=machine.halted,
        ended=machine.ended.reason if machine.ended is not None else "",
        registers=cpu.as_dict(),
    )


def same(first: Machine, second: Machine) -> bool:
    """Tell whether two machines are in one state and have sent the same."""
    return first.state_hash() == second.state_hash() and _sent(first) == _sent(second)


def differences(first: Machine, second: Machine) -> Differences:
    """Return everything in which two machines differ."""
    here, there = first.cpu.as_dict(), second.cpu.as_dict()
    memory, count = _memory(first, second)
    return Differences(
        registers=tuple(name for name in here if here[name] != there[name]),
        memory=memory,
        count=count,
        fields=(*_fields(first, second), *_disks(first, second), *_outputs(first, second)),
    )


# -- RAM, disks and what was sent -----------------------------------------------------------------------------------
def _memory(first: Machine, second: Machine) -> tuple[tuple[tuple[int, int, int], ...], int]:
    found: list[tuple[int, int, int]] = []
    count = 0
    for page in sorted({*first.memory.used(), *second.memory.used()}):
        here, there = (bytes(vm.memory.view[page * PAGE : (page + 1) * PAGE]) for vm in (first, second))
        if here == there:
            continue
        places = [at for at in range(PAGE) if here[at] != there[at]]
        count += len(places)
        found += [(page * PAGE + at, here[at], there[at]) for at in places[: MOST_BYTES - len(found)]]
    return tuple(found), count


def _disks(first: Machine, second: Machine) -> Iterator[Field]:
    for name, disk in sorted(first.disks.items()):
        here, there = dict(disk.changes()), dict(second.disks[name].changes())
        for sector in sorted(here.keys() | there.keys()):
            if here.get(sector) != there.get(sector):
                yield from _pairs(f"disks.{name}[{sector}]", here.get(sector, _ABSENT), there.get(sector, _ABSENT))


def _sent(machine: Machine) -> tuple[int, bytes]:
    serial: Any = machine.console.serial if machine.console is not None else None
    return (serial.dropped, serial.data) if hasattr(serial, "dropped") else (0, b"")


def _outputs(first: Machine, second: Machine) -> Iterator[Field]:
    here, there = _sent(first), _sent(second)
    if here != there:
        at = next((at for at, pair in enumerate(zip(here[1], there[1], strict=False)) if pair[0] != pair[1]), None)
        at = min(len(here[1]), len(there[1])) if at is None else at
        yield Field(f"serial output[{here[0] + at}]", bytes(here[1][at : at + 16]), bytes(there[1][at : at + 16]))


# -- named fields ---------------------------------------------------------------------------------------------------
def _fields(first: Machine, second: Machine) -> Iterator[Field]:
    for name, here, there in _named_states(first, second):
        for field in _pairs(name, here, there):
            if field.name.removeprefix("cpu.") not in _SHOWN_IN_TABLE and not _is_selector(field.name):
                yield field


def _is_selector(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "cpu" and parts[-1] == "selector" and parts[1] in SEGMENT_NAMES


def _named_states(first: Machine, second: Machine) -> Iterator[tuple[str, Any, Any]]:
    here, there = first.state(), second.state()
    for name in ("halted", "ended", "request", "reset_wanted"):
        yield name, getattr(here, name), getattr(there, name)
    yield "cpu", without_history(here.cpu), without_history(there.cpu)
    for name in sorted(here.devices):
        yield f"devices.{name}", here.devices[name], there.devices[name]


def _pairs(name: str, here: Any, there: Any) -> Iterator[Field]:
    """Yield the smallest parts in which two values of one shape differ, by their paths."""
    if here == there:
        return
    kind: Any = type(here)
    inner = field_names(kind)
    if kind is not type(there):
        yield Field(name, here, there)
    elif inner is not None:
        for part in inner:
            yield from _pairs(join(name, part), getattr(here, part), getattr(there, part))
    elif isinstance(here, dict) and here.keys() == there.keys():
        for key in here:
            yield from _pairs(join(name, str(key)), here[key], there[key])
    elif isinstance(here, (tuple, list, bytes)) and len(here) == len(there):
        for at, (one, other) in enumerate(zip(here, there, strict=True)):
            yield from _pairs(f"{name}[{at}]", one, other)
    else:
        yield Field(name, here, there)
