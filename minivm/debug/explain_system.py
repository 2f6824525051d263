"""The rules for instructions that work on the machine itself: ports, flags, tables, control registers, fast calls.

Intel SDM vol. 2, and vol. 3 chapter 2; SYSCALL as AMD APM vol. 3 has it.
"""

from minivm.core.describe import Field, spoken
from minivm.debug.explain_arithmetic import ORDER, Flags
from minivm.debug.explain_computing import NO_FLAGS, Rule, flags_line
from minivm.debug.explain_moment import FLAG_BITS, Moment, Operand, hexadecimal, times
from minivm.debug.explain_ports import explain_port, port_owner
from minivm.debug.inspect import CR0, CR4, EFER
from minivm.debug.inspect_paging import peek
from minivm.debug.inspect_tables import selector_entry, words_of
from minivm.engine.cpustate import EFER_SCE, HF_LMA, HF_PE, SEGMENT_NAMES, VM

MSR_NAMES = {
    0x10: "TSC", 0x1B: "APIC_BASE", 0x174: "SYSENTER_CS", 0x175: "SYSENTER_ESP", 0x176: "SYSENTER_EIP", 0x277: "PAT",
    0xC000_0080: "EFER", 0xC000_0081: "STAR", 0xC000_0082: "LSTAR", 0xC000_0083: "CSTAR", 0xC000_0084: "FMASK",
    0xC000_0100: "FS_BASE", 0xC000_0101: "GS_BASE", 0xC000_0102: "KERNEL_GS_BASE", 0xC000_0103: "TSC_AUX",
}  # fmt: skip
_LEAVES = {
    0: "the vendor and the highest leaf", 1: "signature and features", 0x8000_0000: "the highest extended leaf",
    0x8000_0001: "extended features, such as long mode", 0x8000_0002: "the name, part 1",
    0x8000_0003: "the name, part 2", 0x8000_0004: "the name, part 3", 0x8000_0008: "address sizes",
}  # fmt: skip

PRIVILEGED = frozenset({
    "hlt", "lgdt", "lidt", "lldt", "ltr", "lmsw", "clts", "invd", "wbinvd", "invlpg", "rdmsr", "wrmsr", "rdpmc",
    "swapgs", "sysret", "sysretq", "sysexit", "sysexitq",
})  # fmt: skip
_NEEDS_IOPL = frozenset({"cli", "sti"})
_NEEDS_IOPL_IN_VM86 = frozenset({"pushf", "pushfd", "popf", "popfd", "iret", "iretd"})
_PORTS = frozenset({"in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd"})


def forbidden(moment: Moment) -> str:
    """Return the sentence on why the CPU's privilege does not allow the instruction; "" when it does."""
    head = moment.cpu.head
    if not head.hflags & HF_PE:
        return ""
    level, name = moment.privilege, moment.mnemonic
    special = name == "mov" and any(one.register[:2] in ("cr", "dr") for one in moment.operands)
    if level and (name in PRIVILEGED or special):
        return f"Not allowed at level {level}: this raises #GP(0)."
    iopl = moment.io_privilege
    if name in _NEEDS_IOPL and level > iopl:
        return f"Not allowed, because the level {level} is above IOPL {iopl}: this raises #GP(0)."
    if head.eflags & VM and name in _NEEDS_IOPL_IN_VM86 and iopl < 3:
        return f"Not allowed in virtual-8086 mode with IOPL {iopl}: this raises #GP(0)."
    if name in _PORTS and (head.eflags & VM or level > iopl) and not _port_permitted(moment):
        return "Not allowed, by IOPL and the I/O permission bitmap in the TSS: this raises #GP(0)."
    return ""


def _port_permitted(moment: Moment) -> bool:
    """Look into the TSS's I/O permission bitmap (SDM vol. 1, section 18.5.2)."""
    task = moment.cpu.head.tr
    port, size = _port_of(moment)
    if not task.flags & 0x800 or task.limit < 103:
        return False
    bitmap = int.from_bytes(peek(moment.processor, task.base + 102, 2), "little")
    at = bitmap + port // 8
    if at + 1 > task.limit:
        return False
    bits = int.from_bytes(peek(moment.processor, task.base + at, 2), "little")
    return not bits >> port % 8 & (1 << size) - 1


def _port_of(moment: Moment) -> tuple[int, int]:
    """Return the port and the size of IN, OUT, INS or OUTS."""
    name = moment.mnemonic
    if name.startswith(("ins", "outs")) and name[-1] in "bwd":
        return moment.known("dx"), {"b": 1, "w": 2, "d": 4}[name[-1]]
    first, second = moment.operands
    port, data = (second, first) if name == "in" else (first, second)
    value = port.value or 0
    return value & (0xFFFF if port.register else 0xFF), data.size


# -- ports ----------------------------------------------------------------------------------------------------------


def _in(moment: Moment) -> list[str]:
    port, size = _port_of(moment)
    words = f"{moment.operands[0].words} takes what port {port:02X}h answers"
    return [words, _port_words(moment, port, size), NO_FLAGS]


def _port_words(moment: Moment, port: int, size: int, value: int | None = None) -> str:
    return explain_port(moment.machine, port, size, value, value is not None) + "."


def _out(moment: Moment) -> list[str]:
    port, size = _port_of(moment)
    data = moment.operands[1]
    words = f"{data.words} ({data.number}) goes to port {port:02X}h"
    return [words, _port_words(moment, port, size, data.value), NO_FLAGS]


def _port_string(moment: Moment) -> list[str]:
    port, size = _port_of(moment)
    width = moment.address_bytes
    wide = {2: "", 4: "e", 8: "r"}[width]
    count = moment.known(f"{wide}cx") if moment.prefixes else None
    if count == 0:
        return [f"does nothing, because {wide.upper()}CX is 0", NO_FLAGS]
    reading = moment.mnemonic.startswith("ins")
    pointer = f"{wide}{'di' if reading else 'si'}"
    segment = "es" if reading else "ds"
    cell = moment.memory(moment.place(segment, moment.known(pointer), width), size)
    owner = port_owner(moment.machine, port)[0]
    words = f"{cell.words} takes what port {port:02X}h ({owner}) answers" if reading else (
        f"{cell.shown}, goes to port {port:02X}h ({owner})")  # fmt: skip
    way = "down" if moment.flag("DF") else "up"
    more = f"Then {pointer.upper()} goes {way} by {size}."
    return [words, more if count is None else f"{more} All of it {times(count)} ({wide.upper()}CX).", NO_FLAGS]


# -- flags and the CPU's own state ----------------------------------------------------------------------------------


def _set_flag(name: str, value: int, words: str) -> Rule:
    return lambda moment: [words, flags_line(moment, {name: value})]


def _sti(moment: Moment) -> list[str]:
    words = "lets interrupts in"
    words += ", after the next instruction" if not moment.flag("IF") else "; they were let in already"
    return [words, flags_line(moment, {"IF": 1})]


def _complement_carry(moment: Moment) -> list[str]:
    return ["turns the carry flag over", flags_line(moment, {"CF": 1 - moment.flag("CF")})]


def _pushf(moment: Moment) -> list[str]:
    size = 8 if moment.bits == 64 and moment.operand_bytes != 2 else moment.operand_bytes
    image = moment.flags & 0x00FC_FFFF  # PUSHF shows VM and RF as 0
    return [f"pushes the flags, {hexadecimal(image, size)}; {moment.moved_stack(-size)}", NO_FLAGS]


def _popf(moment: Moment) -> list[str]:
    size = 8 if moment.bits == 64 and moment.operand_bytes != 2 else moment.operand_bytes
    top = moment.stack(0, size)
    kept = [] if not moment.privilege else ["IOPL stays, since the CPU is not at level 0"]
    if moment.privilege > moment.io_privilege:
        kept.append("IF stays, since the level is above IOPL")
    extra = [f"{spoken(kept)}."] if kept else []
    words = f"the flags take {top.number}, from the top of the stack; {moment.moved_stack(size)}"
    if top.value is None:
        return [words, *extra, "Flags: from the stack."]
    names = [*ORDER, "DF", *(["IF"] if moment.privilege <= moment.io_privilege else [])]
    after: Flags = {name: int(bool(top.value & FLAG_BITS[name])) for name in names}
    return [words, *extra, flags_line(moment, after)]


def _hlt(moment: Moment) -> list[str]:
    if moment.flag("IF"):
        return ["waits for the next interrupt", NO_FLAGS]
    return ["waits for ever, because IF is 0: only an NMI or a reset ends that", NO_FLAGS]


def _plain(words: str) -> Rule:
    return lambda moment: [words, NO_FLAGS]


def _cpuid(moment: Moment) -> list[str]:
    leaf = moment.known("eax")
    what = _LEAVES.get(leaf, "a leaf without a name here")
    return [f"asks for leaf {leaf:X}h: {what}; EAX, EBX, ECX and EDX will tell", NO_FLAGS]


def _msr_name(index: int) -> str:
    return f"{MSR_NAMES[index]} ({index:X}h)" if index in MSR_NAMES else f"{index:X}h, which has no name here"


def _rdmsr(moment: Moment) -> list[str]:
    index = moment.known("ecx")
    words = f"EDX:EAX takes the model-specific register {_msr_name(index)}"
    return [f"{words}, which is {moment.processor.efer:X}h" if index == 0xC000_0080 else words, NO_FLAGS]


def _wrmsr(moment: Moment) -> list[str]:
    index = moment.known("ecx")
    value = moment.known("edx") << 32 | moment.known("eax")
    said = [f"the model-specific register {_msr_name(index)} takes EDX:EAX, {value:X}h"]
    if index == 0xC000_0080:
        said += _changed_bits(EFER.fields, moment.processor.efer, value)
    return [*said, NO_FLAGS]


# -- tables and control registers -----------------------------------------------------------------------------------


def _load_table(moment: Moment) -> list[str]:
    name = moment.mnemonic[1:].upper() + "R"
    one = moment.operands[0]
    if one.memory is None:
        return [f"loads {name}", NO_FLAGS]
    size = 10 if moment.bits == 64 else 6
    raw = peek(moment.processor, one.memory.linear, size)
    if len(raw) < size:
        return [f"{name} takes the {size} bytes at {one.memory.words}, which cannot be read", NO_FLAGS]
    limit, base = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    if moment.operand_bytes == 2 and moment.bits != 64:
        base &= 0xFF_FFFF  # with a 16-bit operand size 24 bits of the base count
    words = f"{name} takes base {base:X}h and limit {limit:X}h from {one.memory.words}"
    return [f"{words}: {_entries(moment, limit)}", NO_FLAGS]


def _entries(moment: Moment, limit: int) -> str:
    size = 16 if moment.mnemonic == "lidt" and moment.cpu.head.hflags & HF_LMA else 8
    count = (limit + 1) // size
    return f"room for {count} {'entry' if count == 1 else 'entries'}"


def _store_table(moment: Moment) -> list[str]:
    name = moment.mnemonic[1:].upper() + "R"
    table = moment.cpu.head.gdt if name == "GDTR" else moment.cpu.head.idt
    words = f"stores {name}, base {table.base:X}h and limit {table.limit:X}h"
    return [f"{words}, at {_place_words(moment)}", NO_FLAGS]


def _load_selector(moment: Moment) -> list[str]:
    name = "LDTR" if moment.mnemonic == "lldt" else "TR"
    one = moment.operands[0]
    said = [f"{name} takes the selector {one.shown}" if one.register or one.memory else f"{name} takes {one.words}"]
    entry = None if one.value is None else selector_entry(moment.processor, one.value)
    if entry is not None:
        said.append(f"It is {words_of(entry)}.")
    return [*said, NO_FLAGS]


def _move_special(moment: Moment) -> list[str]:
    """MOV to or from a control or debug register."""
    target, source = moment.operands
    if target.register[:2] not in ("cr", "dr"):
        return [f"{target.words} takes {source.shown}", NO_FLAGS]
    said = [f"{target.words} takes {source.shown}"]
    fields = {"cr0": CR0.fields, "cr4": CR4.fields}.get(target.register)
    if fields is not None and source.value is not None and target.value is not None:
        said += _changed_bits(fields, target.value, source.value)
    if target.register == "cr3":
        said.append("The page tables change, and cached translations are forgotten (but for global pages).")
    return [*said, "Flags: all six are undefined."]


def _changed_bits(fields: tuple[Field, ...], before: int, after: int) -> list[str]:
    """Return a sentence on each field that changes, with what that means."""
    said = []
    for field in fields:
        old, new = field.of(before), field.of(after)
        if old != new:
            words = field.words(new)
            said.append(f"{field.name} becomes {new}: {words}." if words else f"{field.name} becomes {new}.")
    return said or ["Nothing in it changes."]


def _lmsw(moment: Moment) -> list[str]:
    one = moment.operands[0]
    if one.value is None:
        return ["CR0's lowest four bits take new values", NO_FLAGS]
    old = moment.known("cr0")
    new = old & ~0xE | one.value & 0xF  # LMSW can set PE and not clear it
    words = f"CR0's lowest four bits take those of {one.shown}; PE cannot be cleared so"
    return [words, *_changed_bits(CR0.fields, old, new), NO_FLAGS]


def _smsw(moment: Moment) -> list[str]:
    return [f"{moment.operands[0].words} takes the low bits of CR0, which is {moment.known('cr0'):X}h", NO_FLAGS]


def move_to_segment(moment: Moment) -> list[str]:
    """MOV or POP to a segment register: what its selector means in this mode."""
    target = moment.operands[0]
    source = moment.operands[1] if len(moment.operands) > 1 else moment.stack(0, 2)
    said = [f"{target.words} takes {source.shown}"]
    if len(moment.operands) == 1:
        said[0] += f", from the top of the stack; {moment.moved_stack(_selector_bytes(moment))}"
    if source.value is not None:
        said.append(loaded_segment(moment, target.words, source.value & 0xFFFF))
    if target.register == "ss":
        said.append("No interrupt comes before the next instruction is done.")
    return [*said, NO_FLAGS]


def _selector_bytes(moment: Moment) -> int:
    return 8 if moment.bits == 64 and moment.operand_bytes != 2 else moment.operand_bytes


def loaded_segment(moment: Moment, name: str, selector: int) -> str:
    """Return what a data segment register means once `selector` is in it."""
    if not moment.protected:
        return f"Its base becomes {selector << 4:X}h."
    if not selector & 0xFFFC:
        if name == "SS" and not (moment.bits == 64 and moment.privilege < 3):
            return "A null selector in SS raises #GP(0)."
        return "The selector is null, so that any access through it raises #GP(0)." if moment.bits != 64 else (
            "The selector is null, which is fine in 64-bit code.")  # fmt: skip
    entry = selector_entry(moment.processor, selector)
    if entry is None:
        return f"The selector has no descriptor: this raises #GP({selector & 0xFFFC:X}h)."
    return f"The selector is {words_of(entry)}."


def _load_pointer(moment: Moment) -> list[str]:
    """LDS, LES, LFS, LGS and LSS."""
    target, source = moment.operands
    segment = moment.mnemonic[1:].upper()
    size = target.size
    if source.memory is None:
        return [f"{segment} and {target.words} take a far pointer", NO_FLAGS]
    offset = moment.memory(source.memory, size)
    place = moment.place(
        (source.memory.segment or "ds").lower(), source.memory.offset + size, source.memory.offset_bytes
    )
    selector = moment.memory(place, 2)
    words = f"{segment}:{target.words} takes the far pointer at {source.memory.words}"
    if offset.value is None or selector.value is None:
        return [words, NO_FLAGS]
    shown = f"{selector.value:04X}:{offset.value:0{2 * size}X}"
    return [f"{words}, which is {shown}", loaded_segment(moment, segment, selector.value), NO_FLAGS]


def _selector_question(words: str) -> Rule:
    def rule(moment: Moment) -> list[str]:
        one = moment.operands[-1]
        said = [words.format(moment.operands[0].words, one.shown)]
        if one.value is not None:
            entry = selector_entry(moment.processor, one.value & 0xFFFF)
            found = "There is no such descriptor, so ZF becomes 0."
            said.append(found if entry is None else f"It is {words_of(entry)}.")
        return [*said, "Flags: ZF is 1 when that is so."]

    return rule


# -- fast calls, frames ---------------------------------------------------------------------------------------------


def _syscall(moment: Moment) -> list[str]:
    if not moment.processor.efer & EFER_SCE:
        return ["raises #UD, because EFER.SCE is 0", NO_FLAGS]
    if not moment.cpu.head.hflags & HF_LMA:
        return ["goes to the kernel's entry in STAR, at level 0; ECX keeps the return address", NO_FLAGS]
    entry = moment.processor.msr(0xC000_0082 if moment.bits == 64 else 0xC000_0083)
    words = f"goes to the kernel at {entry:X}h, level 0; RCX keeps the return address {moment.next_ip:X}h"
    return [f"{words}, R11 the flags", "Flags: those that FMASK names are cleared. RSP stays the user's."]


def _sysret(moment: Moment) -> list[str]:
    wide = moment.bits == 64 and moment.operand_bytes == 8
    back = moment.known("rcx" if wide else "ecx")
    kind = "64-bit" if wide else "32-bit"
    return [f"returns to {kind} user code at {back:X}h, level 3", "Flags: from R11, in long mode."]


def _sysenter(moment: Moment) -> list[str]:
    entry = moment.processor.msr(0x176)
    words = f"goes to the kernel at {entry:X}h, level 0, with the stack of SYSENTER_ESP"
    return [f"{words}; nothing keeps the return address", "Flags: IF and VM are cleared."]


def _sysexit(moment: Moment) -> list[str]:
    return [f"returns to user code at {moment.known('edx'):X}h (EDX), level 3, with the stack {moment.known('ecx'):X}h "
            "(ECX)", NO_FLAGS]  # fmt: skip


def _leave(moment: Moment) -> list[str]:
    name = {2: "bp", 4: "ebp", 8: "rbp"}[moment.stack_bytes]
    size = 8 if moment.bits == 64 else moment.operand_bytes
    frame = moment.known(name)
    saved = moment.memory(moment.place("ss", frame, moment.stack_bytes), size)
    after = hexadecimal(frame + size, moment.stack_bytes)
    return [f"drops the frame: {name.upper()} takes the caller's {saved.number} from {saved.words}, and "
            f"{moment.stack_name} becomes {after}", NO_FLAGS]  # fmt: skip


def _enter(moment: Moment) -> list[str]:
    room, level = (one.value or 0 for one in moment.operands)
    name = {2: "BP", 4: "EBP", 8: "RBP"}[moment.stack_bytes]
    return [f"makes a frame: pushes {name}, {name} takes {moment.stack_name}, and {room} bytes are left for locals"
            + (f"; {level & 31} outer frames are linked" if level & 31 else ""), NO_FLAGS]  # fmt: skip


def is_special(one: Operand) -> bool:
    """Whether an operand is a control or debug register."""
    return one.register[:2] in ("cr", "dr") and one.register[2:].isdigit()


def is_segment(one: Operand) -> bool:
    """Whether an operand is a segment register."""
    return one.register in SEGMENT_NAMES


RULES: dict[str, Rule] = {
    "mov special": _move_special, "in": _in, "out": _out,
    **dict.fromkeys(("insb", "insw", "insd", "outsb", "outsw", "outsd"), _port_string),
    "clc": _set_flag("CF", 0, "clears the carry flag"), "stc": _set_flag("CF", 1, "sets the carry flag"),
    "cmc": _complement_carry, "cld": _set_flag("DF", 0, "makes string instructions go up"),
    "std": _set_flag("DF", 1, "makes string instructions go down"),
    "cli": _set_flag("IF", 0, "keeps interrupts out"), "sti": _sti, "hlt": _hlt, "nop": _plain("does nothing"),
    **dict.fromkeys(("pushf", "pushfd", "pushfq"), _pushf), **dict.fromkeys(("popf", "popfd", "popfq"), _popf),
    "pause": _plain("does nothing; it marks a loop that waits"), "wait": _plain("waits for the FPU"),
    "ud2": _plain("raises #UD, on purpose: an instruction that will never exist"),
    "ud0": _plain("raises #UD, on purpose"), "ud1": _plain("raises #UD, on purpose"),
    "cpuid": _cpuid, "rdtsc": _plain("EDX:EAX takes the time-stamp counter"),
    "rdtscp": _plain("EDX:EAX takes the time-stamp counter, ECX the processor's number"), "rdmsr": _rdmsr,
    "wrmsr": _wrmsr, "rdpmc": _plain("EDX:EAX takes a performance counter"),
    **dict.fromkeys(("lgdt", "lidt"), _load_table), **dict.fromkeys(("sgdt", "sidt"), _store_table),
    **dict.fromkeys(("lldt", "ltr"), _load_selector), "lmsw": _lmsw, "smsw": _smsw,
    "sldt": lambda moment: [f"{moment.operands[0].words} takes LDTR, {moment.cpu.head.ldt.selector:04X}h", NO_FLAGS],
    "str": lambda moment: [f"{moment.operands[0].words} takes TR, {moment.cpu.head.tr.selector:04X}h", NO_FLAGS],
    "clts": lambda moment: ["TS in CR0 becomes 0: FPU instructions no longer raise #NM for a task switch", NO_FLAGS],
    "invlpg": lambda moment: [f"forgets the cached translation of {_place_words(moment)}", NO_FLAGS],
    "invd": _plain("empties the caches without writing them back"),
    "wbinvd": _plain("writes the caches back and empties them"),
    "swapgs": _plain("GS's base and KERNEL_GS_BASE change places"), "syscall": _syscall,
    **dict.fromkeys(("sysret", "sysretq"), _sysret), "sysenter": _sysenter,
    **dict.fromkeys(("sysexit", "sysexitq"), _sysexit), "leave": _leave, "enter": _enter,
    **dict.fromkeys(("lds", "les", "lfs", "lgs", "lss"), _load_pointer),
    "lar": _selector_question("{0} takes the access rights of the descriptor that {1} names"),
    "lsl": _selector_question("{0} takes the limit of the segment that {1} names"),
    "verr": _selector_question("may {0} be read?"), "verw": _selector_question("may {0} be written?"),
    "arpl": _plain("raises the RPL of its first selector to that of the second, where it is lower; ZF tells"),
    **dict.fromkeys(("mfence", "lfence", "sfence"), _plain("keeps loads and stores in order")),
}  # fmt: skip


def _place_words(moment: Moment) -> str:
    place = moment.operands[0].memory
    return place.words if place is not None else moment.operands[0].words
