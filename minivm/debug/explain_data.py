"""The rules for instructions that move data: what each does, in words, with the values it does it to.

A rule takes a `Moment` and returns sentences; the first follows the instruction's text and has no full stop yet. Intel
SDM vol. 2 is the reference for all of them.
"""

from collections.abc import Callable

from minivm.core.describe import spoken
from minivm.debug import explain_arithmetic as arithmetic
from minivm.debug.explain_arithmetic import Flags
from minivm.debug.explain_computing import NO_FLAGS, Rule, flags_line
from minivm.debug.explain_moment import Moment, Operand, hexadecimal, signed, times

# -- moving ---------------------------------------------------------------------------------------------------------


def _mov(moment: Moment) -> list[str]:
    target, source = moment.operands
    before = f", in place of {target.number}" if target.memory is not None and target.value is not None else ""
    return [f"{target.words} takes {source.shown}{before}", NO_FLAGS]


def _extend(words: str, extend: Callable[[int, int], int]) -> Rule:
    def rule(moment: Moment) -> list[str]:
        target, source = moment.operands
        if source.value is None:
            return [f"{target.words} takes {source.words}, extended {words}", NO_FLAGS]
        value = hexadecimal(extend(source.value, source.size), target.size)
        return [f"{target.words} takes {source.shown}, extended {words} to {value}", NO_FLAGS]

    return rule


def _lea(moment: Moment) -> list[str]:
    target, source = moment.operands
    if source.memory is None:
        return [f"{target.words} takes an address", NO_FLAGS]
    address = hexadecimal(source.memory.offset, target.size)
    return [f"{target.words} takes the address {address} itself; no memory is read", NO_FLAGS]


def _xchg(moment: Moment) -> list[str]:
    first, second = moment.operands
    if first.register and first.register == second.register:
        cleared = moment.bits == 64 and first.size == 4
        return ["the upper half of the register is cleared" if cleared else "nothing changes", NO_FLAGS]
    return [f"{first.words} ({first.number}) and {second.words} ({second.number}) change places", NO_FLAGS]


def _bswap(moment: Moment) -> list[str]:
    one = moment.operands[0]
    if one.value is None or one.size < 4:
        return [f"the bytes of {one.words} are put in reverse order; of a word the result is undefined", NO_FLAGS]
    swapped = int.from_bytes(one.value.to_bytes(one.size, "little"), "big")
    return [f"{one.words} becomes {hexadecimal(swapped, one.size)}: its bytes in reverse order", NO_FLAGS]


def _push(moment: Moment) -> list[str]:
    one = moment.operands[0]
    size = _stack_size(moment)
    return [f"pushes {one.shown}; {moment.moved_stack(-size)}", NO_FLAGS]


def _stack_size(moment: Moment) -> int:
    """Return how many bytes go over the stack: the operand size, but in 64-bit code 8 where it is not 2."""
    if moment.bits == 64:
        return 2 if moment.operand_bytes == 2 else 8
    return moment.operand_bytes


def _pop(moment: Moment) -> list[str]:
    one = moment.operands[0]
    size = _stack_size(moment)
    top = moment.stack(0, size)
    after = "" if one.register in ("sp", "esp", "rsp") else f"; {moment.moved_stack(size)}"
    return [f"{one.words} takes {top.shown}, from the top of the stack{after}", NO_FLAGS]


_ALL = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")


def _pusha(moment: Moment) -> list[str]:
    size = moment.operand_bytes
    letter = "E" if size == 4 else ""
    names = spoken(f"{letter}{name.upper()}" for name in _ALL)
    return [f"pushes {names}; {moment.moved_stack(-8 * size)}", NO_FLAGS]


def _popa(moment: Moment) -> list[str]:
    size = moment.operand_bytes
    letter = "E" if size == 4 else ""
    names = spoken(f"{letter}{name.upper()}" for name in reversed(_ALL) if name != "sp")
    return [f"pops {names}, and skips {letter}SP's place; {moment.moved_stack(8 * size)}", NO_FLAGS]


def _xlat(moment: Moment) -> list[str]:
    base = {2: "bx", 4: "ebx", 8: "rbx"}[moment.address_bytes]
    table = moment.known(base)
    segment = next((one.memory.segment.lower() for one in moment.operands if one.memory and one.memory.segment), "ds")
    cell = moment.memory(moment.place(segment, table + moment.known("al"), moment.address_bytes), 1)
    return [f"AL takes {cell.shown}: entry {moment.known('al')} of the table at {base.upper()}", NO_FLAGS]


_WIDEN = {
    "cbw": ("al", 1, "AX", 2), "cwde": ("ax", 2, "EAX", 4), "cdqe": ("eax", 4, "RAX", 8),
    "cwd": ("ax", 2, "DX", 2), "cdq": ("eax", 4, "EDX", 4), "cqo": ("rax", 8, "RDX", 8),
}  # fmt: skip


def _widen(moment: Moment) -> list[str]:
    source, size, target, target_size = _WIDEN[moment.mnemonic]
    value = signed(moment.known(source), size)
    if moment.mnemonic in ("cbw", "cwde", "cdqe"):
        shown = hexadecimal(value, target_size)
        return [f"{target} takes {source.upper()} with its sign: {shown}", NO_FLAGS]
    return [
        f"{target} becomes {hexadecimal(-1 if value < 0 else 0, target_size)}, the sign of {source.upper()}",
        NO_FLAGS,
    ]


def _lahf(moment: Moment) -> list[str]:
    return [f"AH takes the low byte of the flags, {moment.flags & 0xD7 | 2:02X}h", NO_FLAGS]


def _sahf(moment: Moment) -> list[str]:
    value = moment.known("ah")
    after: Flags = {name: value >> bit & 1 for name, bit in (("CF", 0), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7))}
    return [f"SF, ZF, AF, PF and CF take the bits of AH, which is {value:02X}h", flags_line(moment, after)]


# -- strings --------------------------------------------------------------------------------------------------------


def _string(moment: Moment) -> list[str]:
    """MOVS, CMPS, STOS, LODS and SCAS, once or repeated."""
    kind, size = moment.mnemonic[:4], {"b": 1, "w": 2, "d": 4, "q": 8}[moment.mnemonic[4]]
    width = moment.address_bytes
    wide = {2: "", 4: "e", 8: "r"}[width]
    step = -size if moment.flag("DF") else size
    counter = f"{wide}cx"
    count = moment.known(counter) if moment.prefixes and moment.prefixes[-1].startswith("rep") else None
    if count == 0:
        return [f"does nothing, because {counter.upper()} is 0", NO_FLAGS]
    source = moment.memory(moment.place(_source_segment(moment), moment.known(f"{wide}si"), width), size)
    target = moment.memory(moment.place("es", moment.known(f"{wide}di"), width), size)
    accumulator = moment.sized("ax", size).upper()
    said = [_STRING_WORDS[kind](source, target, accumulator, moment)]
    used = [f"{wide}{name}".upper() for name in _STRING_POINTERS[kind]]
    direction = f"by {size}, because DF is {moment.flag('DF')}"
    way = "down" if step < 0 else "up"
    if count is None:
        said.append(f"Then {spoken(used)} {'goes' if len(used) == 1 else 'go'} {way} {direction}.")
    else:
        said += _repeated(
            moment, counter, count, f"{spoken(used)} {'goes' if len(used) == 1 else 'go'} {way} {direction}"
        )
    said.append(_string_flags(moment, kind, source, target, count))
    return said


def _repeated(moment: Moment, counter: str, count: int, pointers: str) -> list[str]:
    condition = {"repe": " while they are equal", "repne": " while they differ"}.get(moment.prefixes[-1], "")
    compares = moment.mnemonic[:4] in ("cmps", "scas")
    if compares and not condition:
        condition = " while they are equal"
    limit = "at most " if compares else ""
    return [f"Repeated {limit}{times(count)} ({counter.upper()}){condition if compares else ''}; each time {pointers}."]


_STRING_POINTERS = {"movs": ("si", "di"), "cmps": ("si", "di"), "stos": ("di",), "lods": ("si",), "scas": ("di",)}
_STRING_WORDS: dict[str, Callable[[Operand, Operand, str, Moment], str]] = {
    "movs": lambda source, target, name, moment: f"copies {source.shown}, to {_bare(target)}",
    "cmps": lambda source, target, name, moment: f"compares {source.shown}, with {target.shown}",
    "stos": lambda source, target, name, moment: f"stores {name} ({_value_of(name, moment)}) in {target.words}",
    "lods": lambda source, target, name, moment: f"{name} takes {source.shown}",
    "scas": lambda source, target, name, moment: f"compares {name} ({_value_of(name, moment)}) with {target.shown}",
}


def _bare(operand: Operand) -> str:
    return operand.memory.words if operand.memory is not None else operand.words


def _value_of(name: str, moment: Moment) -> str:
    size = {"AL": 1, "AX": 2, "EAX": 4}.get(name, 8)
    return hexadecimal(moment.known(name.lower()), size)


def _source_segment(moment: Moment) -> str:
    for one in moment.operands:
        if one.memory is not None and one.memory.segment in ("CS", "DS", "SS", "FS", "GS"):
            return one.memory.segment.lower()
    return "ds"


def _string_flags(moment: Moment, kind: str, source: Operand, target: Operand, count: int | None) -> str:
    if kind not in ("cmps", "scas"):
        return NO_FLAGS
    first = source.value if kind == "cmps" else moment.known(moment.sized("ax", target.size))
    if count is not None or first is None or target.value is None:
        return "Flags: as CMP would set them at the last pair."
    return flags_line(moment, arithmetic.subtract(first, target.value, target.size).flags)


RULES: dict[str, Rule] = {
    "mov": _mov, "movabs": _mov, "movzx": _extend("with zeros", lambda value, size: value),
    "movsx": _extend("with its sign", signed), "movsxd": _extend("with its sign", signed), "lea": _lea, "xchg": _xchg,
    "bswap": _bswap, "push": _push, "pop": _pop, "xlatb": _xlat, "lahf": _lahf, "sahf": _sahf,
    **dict.fromkeys(("pusha", "pushaw", "pushal"), _pusha), **dict.fromkeys(("popa", "popaw", "popal"), _popa),
    **dict.fromkeys(_WIDEN, _widen),
    **{f"{kind}{letter}": _string for kind in _STRING_POINTERS for letter in "bwdq"},
}  # fmt: skip
