"""Any instruction in plain words, with the values that it meets.

The rules are tables by mnemonic: `explain_data` moves, `explain_computing` computes, `explain_control` jumps,
`explain_system` works on the machine. What has no rule is told by what it reads and writes.
"""

from minivm.core.describe import spoken
from minivm.debug import explain_computing, explain_control, explain_data, explain_system
from minivm.debug.code import disassemble
from minivm.debug.explain_computing import NO_FLAGS, Rule
from minivm.debug.explain_moment import Memory, Moment
from minivm.debug.inspect_paging import explain_walk
from minivm.machine import Machine

RULES: dict[str, Rule] = {
    **explain_data.RULES, **explain_computing.RULES, **explain_control.RULES, **explain_system.RULES,
}  # fmt: skip

_READ, _WRITE = 1, 2
_ONLY_ADDRESS = frozenset({"lea", "invlpg", "nop"})


def explain_instruction(machine: Machine, address: int | None = None) -> list[str]:
    """Return what the instruction at the linear `address` does, as sentences.

    Without `address` it is the next one. The first sentence begins with the instruction itself; then come more effects,
    the flags, and faults that it would raise. Registers and memory are those of now.
    """
    linear = machine.cpu.linear_ip if address is None else address & 0xFFFF_FFFF_FFFF_FFFF
    moment = Moment(machine, linear)
    if not moment.code:
        return [_unreadable(moment)]
    text = disassemble(moment.code, origin=moment.ip, bits=moment.bits, count=1)[0].text
    if moment.instruction is None:
        return [f"{text}: no instruction begins with these bytes: this raises #UD."]
    first, *more = _rule(moment)(moment)
    problems = _problems(moment)
    return [f"{text}: {first}.", *more, *problems]


def _unreadable(moment: Moment) -> str:
    report = explain_walk(moment.processor, moment.linear, "execute", user=moment.privilege == 3)
    why = f": {report.problem}" if report.problem else ": there is neither RAM nor ROM"
    return f"The code at {moment.linear:X}h cannot be read{why}."


def _rule(moment: Moment) -> Rule:
    name, operands = moment.mnemonic, moment.operands
    if name == "mov" and any(explain_system.is_special(one) for one in operands):
        return explain_system.RULES["mov special"]
    if name in ("mov", "pop") and explain_system.is_segment(operands[0]):
        return explain_system.move_to_segment
    if _is_vector(moment):
        return _other
    return RULES.get(name, _other)


def _is_vector(moment: Moment) -> bool:
    """Whether this is an SSE instruction that shares its name with a string instruction, such as MOVSD."""
    return any(one.register.startswith(("xmm", "ymm", "mm")) for one in moment.operands)


def _problems(moment: Moment) -> list[str]:
    """Return the faults that the instruction would raise, and notes on memory that is a device's."""
    forbidden = explain_system.forbidden(moment)
    if forbidden:
        return [forbidden]
    said: list[str] = []
    if "lock" in moment.prefixes:
        said.append("LOCK: no other processor comes between its read and its write.")
    if moment.mnemonic in _ONLY_ADDRESS:
        return said
    for one, detail in zip(moment.operands, moment.instruction.operands, strict=False):
        if one.memory is not None:
            said += _memory_notes(moment, one.memory, int(detail.access))
    return list(dict.fromkeys(said))


def _memory_notes(moment: Moment, place: Memory, access: int) -> list[str]:
    trouble = moment.trouble(place, "write" if access & _WRITE else "read")
    if trouble:
        return [trouble]
    if moment.is_device(place):
        return [f"Neither RAM nor ROM is at {place.linear:X}h: a device answers, or nobody, which reads as ones."]
    return []


# -- what has no rule of its own --------------------------------------------------------------------------------------


def _other(moment: Moment) -> list[str]:
    """Tell an instruction by what Capstone knows of it."""
    _, writes = moment.instruction.regs_access()
    names = [moment.instruction.reg_name(number) for number in writes]
    said = [_kind(moment)]
    used = [one.shown for one in moment.operands]
    if used:
        said.append(f"Operands: {'; '.join(used)}.")
    changed = [str(name).upper() for name in names if name and "flags" not in str(name)]
    if changed:
        said.append(f"It changes {spoken(sorted(set(changed)))}.")
    flags = any("flags" in str(name) for name in names)
    return [*said, "Flags: some change." if flags else NO_FLAGS]


def _kind(moment: Moment) -> str:
    name = moment.mnemonic
    groups = {str(moment.instruction.group_name(number)) for number in moment.instruction.groups}
    if name.startswith("f"):
        return "an instruction of the floating-point unit (x87)"
    if any(group.startswith(("sse", "avx", "ssse")) for group in groups):
        return "a vector instruction (SSE)"
    if "mmx" in groups:
        return "a vector instruction (MMX)"
    return "an instruction without words of its own here"
