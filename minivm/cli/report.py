"""What `minivm run` says at the end: a sentence, an autopsy, or one JSON object."""

import re
from typing import Any, cast

from minivm.engine.base import Autopsy
from minivm.engine.cpustate import SEGMENT_NAMES
from minivm.machine import Ended, Machine
from minivm.pictures.monitor import Monitor, text_of
from minivm.trace import vector_name

_WORDS = {
    "halted": "the guest halted for good",
    "powered-off": "the guest powered off",
    "shutdown": "triple fault: the processor shut down",
    "script-met": "the script was met",
    "time-over": "the time asked for is over",
    "quit": "ended by Ctrl-A X",
    "killed": "ended by gdb",
    "timeout": "timed out",
    "max-ticks": "the ticks allowed are used up",
    "interrupted": "interrupted",
    "terminated": "ended by a signal",
}
TIMED_OUT = 124
STATUSES = {
    "script-met": 0,
    "time-over": 0,
    "quit": 0,
    "killed": 0,
    "timeout": TIMED_OUT,
    "max-ticks": TIMED_OUT,
    "interrupted": 130,
    "terminated": 143,
}
"""Exit statuses of the ends that the host brings about; the others are `Ended.status`."""


def status_of(ended: Ended) -> int:
    """Return the exit status of a run that ended like this."""
    return STATUSES.get(ended.reason, ended.status)


def sentence(ended: Ended, machine: Machine) -> str:
    """Return why the run ended, in one line."""
    words = _WORDS.get(ended.reason, ended.reason)
    if ended.reason == "debug-exit":
        words = f"the guest ended itself at port F4h with {ended.code:X}h, so the status is {ended.status}"
    return f"{words} after {duration(machine.now)}"


def duration(nanoseconds: int) -> str:
    """Return virtual time with its fitting unit, like 46.9 µs."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.4g} {unit}"
    return f"{nanoseconds} ns"


def as_json(ended: Ended, machine: Machine, guest: str | None, wall_seconds: float) -> str:
    """Return the report of `--json`; all but `wall_seconds` is the same on every run of the same guest."""
    import json

    report: dict[str, Any] = {
        "guest": guest,
        "reason": ended.reason,
        "status": status_of(ended),
        "ticks": machine.ticks,
        "virtual_ns": machine.now,
        "wall_seconds": round(wall_seconds, 6),
        "state_hash": machine.state_hash(),
        "exits": machine.exits,
        "resets": machine.resets,
        "screen": text_of(cast(Monitor, machine.console)),
        "serial": machine.serial.text(),
    }
    if ended.autopsy is not None:
        report["autopsy"] = _autopsy_fields(ended.autopsy)
    return json.dumps(report, indent=2, ensure_ascii=False)


def _autopsy_fields(autopsy: Autopsy) -> dict[str, Any]:
    return {
        "mode": autopsy.mode,
        "chain": [{"vector": vector, "name": vector_name(vector), "words": words} for vector, words in autopsy.chain],
        "registers": autopsy.registers,
        "code": autopsy.code.hex(),
        "details": list(autopsy.details),
    }


def autopsy_text(autopsy: Autopsy) -> str:
    """Return what led to a triple fault, for people to read."""
    lines = ["triple fault: the processor shut down (SDM vol. 3, 6.15: a fault while a double fault was delivered)"]
    for number, (vector, words) in enumerate(autopsy.chain, 1):
        name = vector_name(vector)
        lines.append(f"  {number}. {vector:02X}h{' ' + name if name else ''}: {words}")
    lines += [f"     {line}" for line in autopsy.details]
    lines += ["", f"registers at the first of them, {mode_words(autopsy.mode)}:", *register_table(autopsy.registers)]
    lines += ["", "code there:", *_code_lines(autopsy)]
    return "\n".join(lines)


def mode_words(mode: str) -> str:
    """Return the name of a mode of the CPU, as `Registers.mode` has it."""
    named = {"real": "real mode", "vm86": "virtual-8086 mode", "64": "64-bit mode"}
    if mode.startswith("compat"):
        return f"{mode.removeprefix('compat')}-bit compatibility mode"
    return named.get(mode, f"{mode}-bit protected mode")


def register_table(registers: dict[str, int], columns: int = 4) -> list[str]:
    """Return the registers, a few in a row, as wide as their values ask for; R8-R15 only where they are used."""
    wide = any(value >> 32 or (value and re.fullmatch(r"r\d+", name)) for name, value in registers.items())
    cells = [_register(name, value, wide) for name, value in registers.items() if wide or not name[1:].isdigit()
             or name.startswith("cr")]  # fmt: skip
    return ["  " + "  ".join(cells[at : at + columns]).rstrip() for at in range(0, len(cells), columns)]


def _register(name: str, value: int, wide: bool) -> str:
    if name in SEGMENT_NAMES:
        return f"{name:>6} {value:04X}" + " " * (12 if wide else 4)
    shown = name if wide or not name.startswith("r") else "e" + name[1:]
    return f"{shown:>6} {value:0{16 if wide else 8}X}"


def _code_lines(autopsy: Autopsy) -> list[str]:
    if not autopsy.code:
        return ["  (cannot be read)"]
    plain = [f"  {autopsy.code.hex(' ').upper()}"]
    bits = next((bits for bits in (64, 32) if str(bits) in autopsy.mode), 16)
    try:
        from minivm.debug.code import disassemble
    except ImportError:
        return plain
    found = disassemble(autopsy.code, origin=autopsy.registers.get("rip", 0), bits=bits, count=4)
    return [f"  {one.address:08X}  {one.code.hex().upper():<20}  {one.text}" for one in found] or plain
