"""The rules for instructions that go somewhere: jumps, calls, returns, loops, interrupts; and those that ask the flags.

Intel SDM vol. 2, and vol. 3 chapters 5 (far transfers) and 6 (interrupts).
"""

from collections.abc import Callable

from minivm.core.describe import spoken
from minivm.debug.explain_bios import explain_bios_call
from minivm.debug.explain_computing import NO_FLAGS, Rule
from minivm.debug.explain_moment import Moment, Operand, hexadecimal
from minivm.debug.inspect_tables import TableEntry, selector_entry, vector_entry, words_of
from minivm.engine.cpustate import NT, VM

Test = Callable[[dict[str, int]], bool]

CONDITIONS: dict[str, tuple[tuple[str, ...], Test, str]] = {
    "o": (("OF",), lambda f: f["OF"] == 1, "overflow"),
    "no": (("OF",), lambda f: f["OF"] == 0, "no overflow"),
    "b": (("CF",), lambda f: f["CF"] == 1, "below"),
    "ae": (("CF",), lambda f: f["CF"] == 0, "above or equal"),
    "e": (("ZF",), lambda f: f["ZF"] == 1, "equal or zero"),
    "ne": (("ZF",), lambda f: f["ZF"] == 0, "not equal or not zero"),
    "be": (("CF", "ZF"), lambda f: f["CF"] | f["ZF"] == 1, "below or equal"),
    "a": (("CF", "ZF"), lambda f: f["CF"] | f["ZF"] == 0, "above"),
    "s": (("SF",), lambda f: f["SF"] == 1, "negative"),
    "ns": (("SF",), lambda f: f["SF"] == 0, "not negative"),
    "p": (("PF",), lambda f: f["PF"] == 1, "even parity"),
    "np": (("PF",), lambda f: f["PF"] == 0, "odd parity"),
    "l": (("SF", "OF"), lambda f: f["SF"] != f["OF"], "less"),
    "ge": (("SF", "OF"), lambda f: f["SF"] == f["OF"], "greater or equal"),
    "le": (("ZF", "SF", "OF"), lambda f: f["ZF"] == 1 or f["SF"] != f["OF"], "less or equal"),
    "g": (("ZF", "SF", "OF"), lambda f: f["ZF"] == 0 and f["SF"] == f["OF"], "greater"),
}
"""By the letters in a mnemonic: the flags that count, when they hold, and what that means after a CMP."""


def condition(moment: Moment, letters: str) -> tuple[bool, str]:
    """Return whether a condition holds now, and because of which flags."""
    names, holds, _ = CONDITIONS[letters]
    values = {name: moment.flag(name) for name in names}
    return holds(values), spoken(f"{name} is {value}" for name, value in values.items())


def _target(moment: Moment) -> int:
    """Return the offset that a near jump or call goes to; a 16-bit one loses the upper half."""
    offset = moment.operands[0].value or 0
    size = 8 if moment.bits == 64 else moment.operand_bytes
    return moment.cut(offset, size)


def _jump_if(letters: str) -> Rule:
    def rule(moment: Moment) -> list[str]:
        holds, why = condition(moment, letters)
        meaning = CONDITIONS[letters][2]
        if holds:
            return [f"jumps to {moment.code_place(_target(moment))} if {meaning}: yes, because {why}", NO_FLAGS]
        return [f"jumps to {moment.code_place(_target(moment))} if {meaning}: no, because {why}", NO_FLAGS]

    return rule


def _set_if(letters: str) -> Rule:
    def rule(moment: Moment) -> list[str]:
        holds, why = condition(moment, letters)
        one = moment.operands[0]
        return [f"{one.words} becomes {int(holds)} ({CONDITIONS[letters][2]}), because {why}", NO_FLAGS]

    return rule


def _move_if(letters: str) -> Rule:
    def rule(moment: Moment) -> list[str]:
        holds, why = condition(moment, letters)
        target, source = moment.operands
        if holds:
            return [f"{target.words} takes {source.shown}, because {why}", NO_FLAGS]
        cleared = moment.bits == 64 and target.size == 4
        after = "its upper half is cleared all the same" if cleared else "it stays as it is"
        return [f"{target.words} does not take {source.words}, because {why}; {after}", NO_FLAGS]

    return rule


def _counter(moment: Moment) -> tuple[str, int]:
    name = {2: "cx", 4: "ecx", 8: "rcx"}[moment.address_bytes]
    return name.upper(), moment.known(name)


def _jump_if_counter_is_zero(moment: Moment) -> list[str]:
    name, value = _counter(moment)
    yes = "yes" if not value else f"no, it is {hexadecimal(value, moment.address_bytes)}"
    return [f"jumps to {moment.code_place(_target(moment))} if {name} is 0: {yes}", NO_FLAGS]


def _loop(moment: Moment) -> list[str]:
    name, value = _counter(moment)
    left = moment.cut(value - 1, moment.address_bytes)
    wanted = {"loop": None, "loope": 1, "loopne": 0}[moment.mnemonic]
    zero = moment.flag("ZF")
    place = moment.code_place(_target(moment))
    shown = f"{name} becomes {hexadecimal(left, moment.address_bytes)}"
    if not left:
        return [f"{shown}, so the loop ends", NO_FLAGS]
    if wanted is not None and zero != wanted:
        return [f"{shown}, but ZF is {zero}, so the loop ends", NO_FLAGS]
    return [f"{shown}, so it jumps to {place} again", NO_FLAGS]


def _jmp(moment: Moment) -> list[str]:
    one = moment.operands[0]
    if not one.register and one.memory is None:
        return [f"jumps to {moment.code_place(_target(moment))}", NO_FLAGS]
    return [f"jumps to {_indirect(moment, one)}", NO_FLAGS]


def _indirect(moment: Moment, one: Operand) -> str:
    if one.value is None:
        return f"the address in {one.words}"
    return f"{moment.code_place(one.value)}, the address in {one.words}"


def _call(moment: Moment) -> list[str]:
    one = moment.operands[0]
    direct = not one.register and one.memory is None
    where = moment.code_place(_target(moment)) if direct else _indirect(moment, one)
    size = 8 if moment.bits == 64 else moment.operand_bytes
    back = hexadecimal(moment.cut(moment.ip + len(moment.bytes), size), size)
    return [f"calls {where}; pushes the return address {back}, and {moment.moved_stack(-size)}", NO_FLAGS]


def _ret(moment: Moment) -> list[str]:
    size = 8 if moment.bits == 64 else moment.operand_bytes
    top = moment.stack(0, size)
    dropped = moment.operands[0].value or 0 if moment.operands else 0
    where = moment.code_place(top.value) if top.value is not None else "an address that cannot be read"
    extra = f", with {dropped} bytes of arguments" if dropped else ""
    return [f"returns to {where}, which is on top of the stack; {moment.moved_stack(size + dropped)}{extra}", NO_FLAGS]


# -- far transfers --------------------------------------------------------------------------------------------------


def _far_pointer(moment: Moment) -> tuple[int | None, int | None]:
    """Return selector and offset of a far jump or call."""
    operands = moment.operands
    if len(operands) == 2:
        return operands[0].value, operands[1].value
    value, size = operands[0].value, operands[0].size
    if value is None or size <= 2:
        return None, None
    return value >> 8 * (size - 2) & 0xFFFF, value & (1 << 8 * (size - 2)) - 1


def _far(verb: str) -> Rule:
    def rule(moment: Moment) -> list[str]:
        selector, offset = _far_pointer(moment)
        if selector is None or offset is None:
            return [f"{verb} far, to the pointer in {moment.operands[0].words}", NO_FLAGS]
        said = [f"{verb} far, to {selector:04X}:{offset:0{8 if moment.operand_bytes > 2 else 4}X}"]
        if verb == "calls":
            said[0] += f"; pushes CS and the return address, and {moment.moved_stack(-2 * moment.operand_bytes)}"
        return [*said, *new_code_segment(moment, selector), NO_FLAGS]

    return rule


def new_code_segment(moment: Moment, selector: int) -> list[str]:
    """Return what loading CS with `selector` means."""
    if not moment.protected:
        return [f"CS's base becomes {selector << 4:X}h."]
    entry = selector_entry(moment.processor, selector)
    if entry is None and not selector & 0xFFFC:
        return ["The selector is null: this raises #GP(0)."]
    if entry is None:
        return [f"The selector {selector:04X}h has no descriptor: this raises #GP({selector & 0xFFFC:X}h)."]
    return [f"The selector {selector:04X}h is {words_of(entry)}."]


def _retf(moment: Moment) -> list[str]:
    size = moment.operand_bytes
    offset, selector = moment.stack(0, size), moment.stack(size, 2)
    dropped = moment.operands[0].value or 0 if moment.operands else 0
    if offset.value is None or selector.value is None:
        return ["returns far, to an address on the stack that cannot be read", NO_FLAGS]
    where = moment.code_place(offset.value, selector.value)
    said = [f"returns far, to {where} from the stack; {moment.moved_stack(2 * size + dropped)}"]
    return [*said, *_outer_level(moment, selector.value), *new_code_segment(moment, selector.value), NO_FLAGS]


def _outer_level(moment: Moment, selector: int) -> list[str]:
    if moment.protected and selector & 3 > moment.privilege:
        return [f"It goes out from level {moment.privilege} to {selector & 3}, so SS and the stack pointer come "
                "from the stack, too."]  # fmt: skip
    return []


def _iret(moment: Moment) -> list[str]:
    size = moment.operand_bytes
    if moment.protected and moment.flags & NT and moment.bits != 64:
        return ["returns to the task that this one is nested in, because NT is 1", "Flags: those of that task."]
    offset, selector, flags = moment.stack(0, size), moment.stack(size, 2), moment.stack(2 * size, size)
    if offset.value is None or selector.value is None or flags.value is None:
        return ["returns from an interrupt, to an address on the stack that cannot be read", "Flags: from the stack."]
    said = [f"returns from an interrupt, to {moment.code_place(offset.value, selector.value)}"]
    said.append(f"Flags: they become {hexadecimal(flags.value, size)}, from the stack.")
    if moment.protected and flags.value & VM and moment.privilege == 0 and size == 4:
        said.append("VM is set in them: it goes to virtual-8086 mode, and all segments come from the stack.")
        return said
    if moment.bits == 64:
        said.append("In 64-bit code SS and RSP always come from the stack, too.")
    else:
        said += _outer_level(moment, selector.value)
    return said + new_code_segment(moment, selector.value)


# -- interrupts -----------------------------------------------------------------------------------------------------


def _int(moment: Moment) -> list[str]:
    return software_interrupt(moment, (moment.operands[0].value or 0) & 0xFF)


def software_interrupt(moment: Moment, vector: int) -> list[str]:
    """Return where an INT `vector` goes, and in real mode what it asks of the BIOS."""
    entry = vector_entry(moment.processor, vector)
    if entry is None or entry.target is None:
        return [f"interrupt {vector:02X}h has no handler that can be reached: this raises #GP", NO_FLAGS]
    selector, offset = entry.target
    where = f"{selector:04X}:{offset:0{4 if entry.table == 'IVT' else 8}X}"
    said = [f"calls the handler of interrupt {vector:02X}h at {where}"]
    if not moment.protected:
        call = explain_bios_call(moment.machine, vector)
        if call:
            said.append(f"{call}.")
    if entry.table == "IVT":
        return [*said, "Flags: IF and TF are cleared; FLAGS, CS and IP are pushed."]
    return [*said, _gate_words(moment, entry)]


def _gate_words(moment: Moment, entry: TableEntry) -> str:
    """Return what the gate of a software interrupt says to it (SDM vol. 3, sections 6.12.1.2 and 20.3)."""
    if moment.cpu.head.eflags & VM and moment.io_privilege < 3 and moment.mnemonic == "int":
        return f"Not allowed in virtual-8086 mode with IOPL {moment.io_privilege}: this raises #GP(0)."
    code = entry.index * 8 + 2
    if entry.dpl < moment.privilege:
        level = f"its gate has DPL {entry.dpl}, and the CPU is at level {moment.privilege}"
        return f"Not allowed: {level}, so this raises #GP({code:X}h)."
    if not entry.present:
        return f"Its gate is not present, so this raises #NP({code:X}h)."
    return f"It goes through {entry}."


def _into(moment: Moment) -> list[str]:
    if moment.flag("OF"):
        return software_interrupt(moment, 4)
    return ["interrupt 04h on overflow: no, because OF is 0", NO_FLAGS]


def _bound(moment: Moment) -> list[str]:
    index, bounds = moment.operands
    return [f"checks that {index.words} ({index.number}) lies between the two bounds at "
            f"{bounds.memory.words if bounds.memory else bounds.words}; else #BR", NO_FLAGS]  # fmt: skip


RULES: dict[str, Rule] = {
    **{f"j{letters}": _jump_if(letters) for letters in CONDITIONS},
    **{f"set{letters}": _set_if(letters) for letters in CONDITIONS},
    **{f"cmov{letters}": _move_if(letters) for letters in CONDITIONS},
    **dict.fromkeys(("jcxz", "jecxz", "jrcxz"), _jump_if_counter_is_zero),
    **dict.fromkeys(("loop", "loope", "loopne"), _loop),
    "jmp": _jmp, "call": _call, "ret": _ret, "ljmp": _far("jumps"), "lcall": _far("calls"), "retf": _retf,
    "retfq": _retf, "iret": _iret, "iretd": _iret, "iretq": _iret, "int": _int,
    "int3": lambda moment: software_interrupt(moment, 3), "int1": lambda moment: software_interrupt(moment, 1),
    "into": _into, "bound": _bound,
}  # fmt: skip
