"""What a comparison found, as text for people and as JSON for programs."""

import json
from collections.abc import Iterator
from typing import Any

from minivm.core.plain import to_plain
from minivm.debug.compare import Comparison, Difference
from minivm.debug.compare_states import Moment
from minivm.engine.cpustate import SEGMENT_NAMES

MOST_FIELDS = 24
_MOST_TRACE = 40
_ENDS = {"limit": "both go on", "asleep": "both sleep until a key is pressed"}
_KINDS = {
    "instruction": "this instruction had two outcomes:",
    "between": "between two instructions, with this one to come (an alarm, an interrupt, or the host):",
    "block": "one block, run in two ways; stepped, both machines stay the same. The one that touches what differs:",
    "start": "the machines were different from the start:",
}


def identical(comparison: Comparison) -> str:
    """Return the line for two runs that were the same."""
    steps = comparison.instructions
    ended = _ENDS.get(comparison.ended, f"both ended: {comparison.ended}")
    executed = f"{comparison.executed:,} executed" + ("" if steps is None else f", {steps:,} instructions")
    return f"identical for {comparison.ticks:,} ticks ({executed}); {ended}"


def as_text(found: Difference) -> str:
    """Return the whole report, some twenty lines."""
    one, other = _columns(found)
    at = found.trace[found.suspect] if found.kind == "block" and found.suspect is not None else found.before
    after = "" if found.instructions is None else f", after {found.instructions:,} instructions"
    lines = [f"{found.ways[0]} and {found.ways[1]} differ at tick {found.before.ticks:,}{after}", _KINDS[found.kind]]
    lines += [f"  {_line(at)}", ""]
    lines += [f"  {'':8}{'before':>18}{one:>18}{other:>18}", *_registers(found)]
    lines += _rest(found, one, other)
    lines += _trace(found, at)
    return "\n".join(lines)


def as_json(guest: str, comparison: Comparison, found: Difference | None) -> str:
    """Return the report of `--json`, the same on every run."""
    report: dict[str, Any] = {
        "guest": guest,
        "identical": found is None,
        "ticks": comparison.ticks,
        "executed": comparison.executed,
        "instructions": comparison.instructions,
        "ended": comparison.ended,
        "difference": None if found is None else to_plain(_readable(found), blob=bytes.hex),
    }
    return json.dumps(report, indent=2, ensure_ascii=False)


def _readable(found: Difference) -> dict[str, Any]:
    """Return a difference with values of any kind as they can be written."""
    plain = {name: getattr(found, name) for name in ("kind", "ways", "before", "first", "second", "instructions")}
    fields = [(one.name, _shown(one.first), _shown(one.second)) for one in found.found.fields]
    return plain | {
        "registers": found.found.registers,
        "memory": found.found.memory,
        "memory_bytes": found.found.count,
        "fields": fields,
        "trace": found.trace,
        "suspect": found.suspect,
    }


def _trace(found: Difference, at: Moment) -> Iterator[str]:
    """Yield the instructions of a block, or those before the one that was found."""
    past = found.trace[:-1] if found.kind == "instruction" else found.trace
    if past:
        yield ""
        yield "the block:" if found.kind == "block" else "the instructions before:"
    for moment in past[-_MOST_TRACE:]:
        yield f"{'>' if found.kind == 'block' and moment is at else ' '} {_line(moment)}"


def _columns(found: Difference) -> tuple[str, str]:
    one, other = found.ways
    return (one, other) if one != other else (f"{one} (1)", f"{other} (2)")


def _line(at: Moment) -> str:
    state = " (halted)" if at.halted else f" (ended: {at.ended})" if at.ended else ""
    return f"{at.where}  {at.code.hex(' ').upper():<20}  {at.text}{state}"


def _registers(found: Difference) -> Iterator[str]:
    """Yield a line for each register: in the common state and the two outcomes, `*` where these differ."""
    three = [moment.registers for moment in (found.before, found.first, found.second)]
    wide = any(value >> 32 for registers in three for value in registers.values())
    for name in three[0]:
        if not wide and name[1:].isdigit() and name.startswith("r"):
            continue
        digits = 4 if name in SEGMENT_NAMES else 16 if wide else 8
        shown = name if wide or not name.startswith("r") else f"e{name[1:]}"
        values = "".join(f"{registers[name]:0{digits}X}".rjust(18) for registers in three)
        yield f"  {shown.upper():<8}{values}{'  *' if name in found.found.registers else ''}"


def _rest(found: Difference, one: str, other: str) -> Iterator[str]:
    rest = found.found
    if found.first.ticks != found.second.ticks:
        yield f"  {'ticks':<8}{found.before.ticks:>18,}{found.first.ticks:>18,}{found.second.ticks:>18,}  *"
    if not rest:
        yield "  only the time differs"
    if rest.memory or rest.fields:
        yield ""
    for address, here, there in _runs(rest.memory):
        yield f"  memory {address:08X}h: {one} {here.hex(' ').upper()}, {other} {there.hex(' ').upper()}"
    if rest.count > len(rest.memory):
        yield f"  and {rest.count - len(rest.memory):,} more bytes of memory"
    for field in rest.fields[:MOST_FIELDS]:
        yield f"  {field.name}: {one} {_shown(field.first)}, {other} {_shown(field.second)}"
    if len(rest.fields) > MOST_FIELDS:
        yield f"  and {len(rest.fields) - MOST_FIELDS} more fields"


def _runs(memory: tuple[tuple[int, int, int], ...]) -> list[tuple[int, bytes, bytes]]:
    """Put bytes that are neighbours together: (address, bytes here, bytes there)."""
    runs: list[tuple[int, bytes, bytes]] = []
    for address, here, there in memory:
        if runs and runs[-1][0] + len(runs[-1][1]) == address:
            start, before, beside = runs.pop()
            runs.append((start, before + bytes([here]), beside + bytes([there])))
        else:
            runs.append((address, bytes([here]), bytes([there])))
    return runs


def _shown(value: Any) -> str:
    text = f"{value:X}h" if isinstance(value, int) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


__all__ = ["as_json", "as_text", "identical"]
