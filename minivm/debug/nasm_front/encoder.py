"""From an instruction of the table in `forms` to its bytes (SDM vol. 2, chapter 2)."""

from dataclasses import dataclass, replace

from minivm.debug.nasm_front.expressions import Terms, Value, signed
from minivm.debug.nasm_front.forms import Form, forms
from minivm.debug.nasm_front.operands import SEGMENT_NAMES, Immediate, Memory, Operand, Register
from minivm.errors import AssemblyError

PREFIXES = {
    "lock": 0xF0, "rep": 0xF3, "repe": 0xF3, "repz": 0xF3, "repne": 0xF2, "repnz": 0xF2, "wait": 0x9B,
    "es": 0x26, "cs": 0x2E, "ss": 0x36, "ds": 0x3E, "fs": 0x64, "gs": 0x65,
    "o16": 16, "o32": 32, "o64": 64, "a16": 16, "a32": 32, "a64": 64,
}  # fmt: skip
AMBIGUOUS = -1


class NoFormError(AssemblyError):
    """The table has the instruction, but not with these operands."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where and how an instruction is assembled: bits 16, 32 or 64, and the address of its first byte."""

    bits: int
    here: int
    default_relative: bool = False
    home: Terms = ()
    """What an address in the section being assembled moves with."""
    old_cpu: bool = False
    """True below the 386, where conditional jumps reach 127 bytes only."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The prefixes written before an instruction; sizes in bits, 0 where none is written."""

    codes: tuple[int, ...] = ()
    segment: str = ""
    operand_size: int = 0
    address_size: int = 0


@dataclass(slots=True)
class Parts:
    """The pieces of an instruction on their way to becoming bytes."""

    operand_size: int = 0
    address_size: int = 0
    wide: bool = False
    """REX.W, for an operand size of 64 bits that is not the default."""
    opcode: bytes = b""
    modrm: int = -1
    sib: int = -1
    displacement: bytes = b""
    immediate: bytes = b""
    segment: str = ""
    rex: int = 0
    needs_rex: bool = False
    """True when a register or size is used that only 64-bit code has."""
    bare_rex: bool = False
    """True for SPL, BPL, SIL and DIL, which need a REX prefix even when it says nothing else."""
    no_rex: bool = False
    """True for AH, BH, CH and DH, which cannot be reached with a REX prefix."""
    relative_to_end: int | None = None


def parse_prefixes(names: list[str]) -> Prefixes:
    """Sort the written prefixes; two of a kind raise `AssemblyError`."""
    found = Prefixes()
    for name in names:
        if name in SEGMENT_NAMES:
            found = _once(found, "segment", name, name)
        elif name[0] == "o":
            found = _once(found, "operand_size", PREFIXES[name], name)
        elif name[0] == "a":
            found = _once(found, "address_size", PREFIXES[name], name)
        else:
            found = replace(found, codes=(*found.codes, PREFIXES[name]))
    if len(found.codes) != len(set(found.codes)) or {0xF2, 0xF3} <= set(found.codes):
        raise AssemblyError("two prefixes of one kind before one instruction")
    return found


def _once(prefixes: Prefixes, field: str, value: int | str, name: str) -> Prefixes:
    if getattr(prefixes, field):
        raise AssemblyError(f"prefix '{name}' contradicts another prefix")
    return replace(prefixes, **{field: value})  # type: ignore[arg-type]


def encode(name: str, operands: tuple[Operand, ...], prefixes: Prefixes, context: Context) -> bytes:
    """Return the bytes of an instruction of the table; raises `NoFormError` when no form takes these operands."""
    if name == "mov" and len(operands) == 2 and context.bits == 64:
        operands = _shorter_move(operands)
    elif name == "imul" and len(operands) == 2 and isinstance(operands[1], Immediate):
        operands = (operands[0], operands[0], operands[1])
    elif name == "lea" and len(operands) == 2 and isinstance(operands[1], Immediate):
        operands = (operands[0], Memory(None, None, 1, operands[1].value))
    form, size = choose(name, operands, context.bits)
    parts = Parts(operand_size=size)
    _fill(parts, form, operands, context)
    return finish(parts, prefixes, context)


def _shorter_move(operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """Turn `mov rax, small` into `mov eax, small`, which clears the upper half just the same."""
    target, source = operands
    if isinstance(target, Register) and target.kind == "gp" and target.size == 64 and isinstance(source, Immediate):
        value = source.value
        if value.plain and not source.strict and source.size in (0, 64) and 0 <= value.number < 1 << 32:
            return replace(target, size=32), replace(source, size=0)
    return operands


# Choosing a form -------------------------------------------------------------------------------------------------


def choose(name: str, operands: tuple[Operand, ...], bits: int) -> tuple[Form, int]:
    """Return the first form that takes the operands, and the operand size in bits (0: has none)."""
    ambiguous = wrong_mode = False
    for form in forms()[name]:
        if len(form.operands) != len(operands) or ("mo" in form.encoding and bits == 64 and not _is_far(operands)):
            continue
        size = _match(form, operands)
        if size == AMBIGUOUS:
            ambiguous = True
        elif size is not None:
            if ("x86" in form.encoding and bits == 64) or ("x64" in form.encoding and bits != 64):
                wrong_mode = True
            else:
                return form, size
    if ambiguous:
        raise NoFormError("the operand's size is not given: write byte, word or dword")
    if wrong_mode:
        raise NoFormError(f"'{name}' does not exist like this in {bits}-bit code")
    raise NoFormError(f"'{name}' does not take these operands")


def _is_far(operands: tuple[Operand, ...]) -> bool:
    """Return whether an address is written with all its 64 bits, as `[qword x]`."""
    return any(isinstance(operand, Memory) and operand.displacement_size == 64 for operand in operands)


def _match(form: Form, operands: tuple[Operand, ...]) -> int | None:
    sizes: set[int] = set()
    unsized = False
    for pattern, operand in zip(form.operands, operands, strict=True):
        found = _match_one(pattern, operand)
        if found is None:
            return None
        if found > 0:
            sizes.add(found)
        unsized = unsized or found == AMBIGUOUS
        if found == AMBIGUOUS and pattern[0] == "e":
            return AMBIGUOUS
    if len(sizes) > 1:
        return None
    if not sizes and unsized:
        return AMBIGUOUS
    size = sizes.pop() if sizes else 0
    return size if all(_fits_form(p, o, size) for p, o in zip(form.operands, operands, strict=True)) else None


def _match_one(pattern: str, operand: Operand) -> int | None:
    """Return the size that this operand says the instruction has, 0 for none, AMBIGUOUS, or None for no match."""
    match operand:
        case Register():
            return _match_register(pattern, operand)
        case Memory():
            return _match_memory(pattern, operand.size, operand.base is None and operand.index is None)
        case Immediate():
            return _match_immediate(pattern, operand)
    return None


_REGISTER_PATTERNS = {
    "r8": (8,), "rm8": (8,), "r16": (16,), "r32": (32,), "r64": (64,),
    "rv": (16, 32, 64), "rmv": (16, 32, 64), "rv16": (16, 32),
}  # fmt: skip
_SIZELESS_REGISTERS = {
    "rm16": (16,),
    "rm32": (32,),
    "rmw": (16, 32, 64),
    "rm8only": (8,),
    "e8": (8,),
    "e16": (16,),
    "e32": (32,),
    "e64": (64,),
}


def _match_register(pattern: str, register: Register) -> int | None:
    if register.kind in ("gp", "high"):
        if pattern in _REGISTER_PATTERNS:
            return register.size if register.size in _REGISTER_PATTERNS[pattern] else None
        if pattern in _SIZELESS_REGISTERS:
            return 0 if register.size in _SIZELESS_REGISTERS[pattern] else None
        if pattern in ("a8", "av") and register.number == 0 and register.kind == "gp":
            return register.size if (register.size == 8) == (pattern == "a8") else None
        return 0 if pattern == register.name else None
    if pattern == register.name or pattern == {"seg": "sr"}.get(register.kind, register.kind):
        return 0
    return None


_MEMORY_PATTERNS = {"m16": 16, "rm16": 16, "rmw": 16, "rm32": 32, "rm8only": 8}


def _match_memory(pattern: str, size: int, absolute: bool) -> int | None:
    if pattern == "m":
        return 0
    if pattern in _MEMORY_PATTERNS:
        return 0 if size in (0, _MEMORY_PATTERNS[pattern]) else None
    if pattern in ("mo8", "mov") and not absolute:
        return None
    if pattern in ("rm8", "mo8"):
        return {0: AMBIGUOUS, 8: 8}.get(size)
    if pattern in ("rmv", "mov"):
        return {0: AMBIGUOUS, 16: 16, 32: 32, 64: 64}.get(size)
    if pattern[0] == "e" and pattern[1:].isdigit():
        wanted = int(pattern[1:])
        return {0: AMBIGUOUS, wanted: 0}.get(size)
    return None


def _match_immediate(pattern: str, immediate: Immediate) -> int | None:
    size = immediate.size
    if pattern in ("i8", "i16", "i32"):
        return size if size in (0, int(pattern[1:])) else None
    if pattern == "iv":
        return size if size != 8 else None
    if pattern == "i64":
        fits = immediate.value.plain and not immediate.strict and -(1 << 31) <= immediate.value.number < 1 << 31
        return None if fits else 64
    if pattern in ("u8", "u16"):
        return 0 if size in (0, int(pattern[1:])) else None
    if pattern == "ib":
        return size if size != 8 else 0
    if pattern == "1":
        value = immediate.value
        return 0 if value.plain and value.number == 1 and not immediate.strict and size in (0, 8) else None
    return None


def _fits_form(pattern: str, operand: Operand, size: int) -> bool:
    """Check what depends on the operand size: sign-extended bytes, and the four bytes that 64 bits take."""
    if pattern == "ib" and isinstance(operand, Immediate):
        return operand.size == 8 or (operand.size in (0, size) and is_small(operand, size))
    if pattern == "iv" and isinstance(operand, Immediate) and size == 64:
        return not operand.value.plain or -(1 << 31) <= operand.value.number < 1 << 31
    return not (pattern == "mov" and size == 0)


def is_small(operand: Immediate, size: int) -> bool:
    """Return whether a number may be kept as one sign-extended byte."""
    return operand.value.plain and not operand.strict and -128 <= signed(operand.value.number, size or 64) <= 127


# Filling in ------------------------------------------------------------------------------------------------------


def number_bytes(value: Value, size: int, what: str = "number") -> bytes:
    """Return the `size` low bytes of a value; raises `AssemblyError` when more would be lost than a sign."""
    bits = size * 8
    check_address(value)
    if not -(1 << bits) < value.number < 1 << bits and not value.unknown and bits < 64:
        raise AssemblyError(f"{what} {value.number:#x} does not fit {bits} bits")
    return (value.number & ((1 << bits) - 1)).to_bytes(size, "little")


def check_address(value: Value) -> None:
    """Raise `AssemblyError` for what is neither a number nor an address: a register, a sum of labels, minus a label."""
    if value.registers():
        raise AssemblyError("a register cannot stand in a number")
    if value.terms and not value.unknown and (len(value.terms) > 1 or value.terms[0][1] != 1):
        raise AssemblyError("labels can be subtracted from each other in one section, not added or negated")


def _fill(parts: Parts, form: Form, operands: tuple[Operand, ...], context: Context) -> None:
    immediates = [_shortened(p, o) for p, o in zip(form.operands, operands, strict=True) if isinstance(o, Immediate)]
    if form.operands and form.operands[-1] == "1":
        immediates = []
    default64 = "d64" in form.encoding
    for piece in form.encoding:
        if piece in ("o16", "o32", "o64"):
            parts.operand_size = int(piece[1:])
        elif piece[0] == "/":
            digit = int(piece[1]) if piece[1] != "r" else _register_operand(parts, form, operands)
            _set_modrm(parts, digit, _rm_operand(form, operands), context)
        elif piece == "+r":
            _opcode_register(parts, form, operands)
        elif piece == "mo":
            _absolute(parts, next(o for o in operands if isinstance(o, Memory)), context)
        elif piece[0] == "i":
            parts.immediate += number_bytes(immediates.pop(0), _immediate_size(piece, parts.operand_size))
        elif piece not in ("x86", "x64", "d64"):
            parts.opcode += bytes([int(piece, 16)])
    parts.wide = parts.operand_size == 64 and not default64
    if {"cr", "dr"} & set(form.operands):
        parts.operand_size = 0


def _shortened(pattern: str, immediate: Immediate) -> Value:
    """Return a number's value; of one kept as a sign-extended byte (0FFFFh in 16 bits is -1) only that byte."""
    if pattern == "ib" and immediate.size != 8:
        return Value(signed(immediate.value.number, 8))
    return immediate.value


def _immediate_size(piece: str, operand_size: int) -> int:
    sizes = {"ib": 1, "iw": 2, "id": 4, "iv": operand_size // 8, "iz": min(operand_size // 8, 4)}
    return sizes[piece]


_RM = ("rm", "m", "e")


def _rm_index(form: Form, operands: tuple[Operand, ...]) -> int:
    for index, pattern in enumerate(form.operands):
        if pattern.startswith("rm") or (pattern[0] in "me" and not isinstance(operands[index], Immediate)):
            return index
    # No operand can be memory: with `mov rv,sr` and `bswap`-like forms it is the general register.
    for index, pattern in enumerate(form.operands):
        if pattern[0] == "r":
            return index
    return 0


def _rm_operand(form: Form, operands: tuple[Operand, ...]) -> Operand:
    return operands[_rm_index(form, operands)]


def _register_operand(parts: Parts, form: Form, operands: tuple[Operand, ...]) -> int:
    rm = _rm_index(form, operands)
    for index, operand in enumerate(operands):
        if index != rm and isinstance(operand, Register):
            _note(parts, operand)
            parts.rex |= (operand.number >> 3) << 2
            return operand.number & 7
    raise NoFormError("a register is missing")


def _opcode_register(parts: Parts, form: Form, operands: tuple[Operand, ...]) -> None:
    """Put the register that no other pattern fixes into the opcode's low three bits."""
    for pattern, operand in zip(form.operands, operands, strict=True):
        if pattern[0] == "r" and isinstance(operand, Register):
            _note(parts, operand)
            parts.rex |= operand.number >> 3
            parts.opcode = parts.opcode[:-1] + bytes([parts.opcode[-1] + (operand.number & 7)])
            return


def _note(parts: Parts, register: Register) -> None:
    """Remember what a register says about REX: AH to BH cannot have one, SPL to DIL and R8 to R15 must."""
    parts.no_rex = parts.no_rex or register.kind == "high"
    low_byte = register.kind == "gp" and register.size == 8 and register.number >= 4
    parts.bare_rex = parts.bare_rex or low_byte
    parts.needs_rex = parts.needs_rex or register.number >= 8 or low_byte or register.size == 64


def _set_modrm(parts: Parts, digit: int, operand: Operand, context: Context) -> None:
    if isinstance(operand, Register):
        _note(parts, operand)
        parts.rex |= operand.number >> 3
        parts.modrm = 0xC0 | digit << 3 | (operand.number & 7)
    elif isinstance(operand, Memory):
        set_memory(parts, digit, operand, context)


def set_memory(parts: Parts, digit: int, memory: Memory, context: Context) -> None:
    """Fill in ModRM, SIB and displacement for `memory`, with `digit` in the register field."""
    parts.segment = memory.segment
    parts.address_size = address_size(memory, context.bits)
    if parts.address_size == 16:
        mode, rm = _memory16(parts, memory)
    elif memory.base is None and memory.index is None:
        mode, rm = _memory_plain(parts, memory, context)
    else:
        mode, rm = _memory32(parts, memory)
    parts.modrm = mode << 6 | digit << 3 | rm


def address_size(memory: Memory, bits: int) -> int:
    """Return the address size in bits that the registers of `memory` ask for, or the size written, or the default."""
    found = {register.size for register in (memory.base, memory.index) if register is not None}
    if len(found) > 1:
        raise AssemblyError("the registers of an address must have one size")
    written = memory.displacement_size if bits != 64 and memory.displacement_size in (16, 32) and not found else 0
    size = found.pop() if found else written or bits
    if (size == 64) != (bits == 64) and size in (16, 64):
        raise AssemblyError(f"{size}-bit addresses do not exist in {bits}-bit code")
    return size


_FLAT = ("fs", "gs")
"""Segments with a base of their own in long mode: an address in them is never relative by default."""
_PAIRS16 = {("bx", "si"): 0, ("bx", "di"): 1, ("bp", "si"): 2, ("bp", "di"): 3}
_SINGLES16 = {"si": 4, "di": 5, "bp": 6, "bx": 7}


def _memory16(parts: Parts, memory: Memory) -> tuple[int, int]:
    names = tuple(sorted(register.name for register in (memory.base, memory.index) if register is not None))
    if not names:
        parts.displacement = number_bytes(memory.displacement, 2, "address")
        return 0, 6
    rm = _PAIRS16.get((names[0], names[-1])) if len(names) == 2 else _SINGLES16.get(names[0])
    if rm is None or (memory.index is not None and memory.scale != 1):
        raise AssemblyError("a 16-bit address is made of bx or bp, and si or di")
    return _displacement_mode(parts, memory, 16, rm != 6), rm


def _displacement_mode(parts: Parts, memory: Memory, bits: int, may_be_none: bool) -> int:
    """Set the displacement in as few bytes as NASM would, and return ModRM's mode field."""
    value, forced = memory.displacement, memory.displacement_size
    near = signed(value.number, bits)
    if value.plain and near == 0 and may_be_none and not forced:
        return 0
    if forced == 8 or (value.plain and -128 <= near <= 127 and not forced):
        if not -128 <= near <= 127 and not value.unknown:
            raise AssemblyError(f"{near} does not fit a displacement of one byte")
        parts.displacement = (near & 0xFF).to_bytes(1, "little")
        return 1
    parts.displacement = number_bytes(value, bits // 8, "displacement")
    return 2


def _memory_plain(parts: Parts, memory: Memory, context: Context) -> tuple[int, int]:
    if context.bits == 64:
        if memory.relative or (memory.relative is None and context.default_relative and memory.segment not in _FLAT):
            parts.relative_to_end = memory.displacement.number
            parts.displacement = bytes(4)
            return 0, 5
        if not -(1 << 31) <= memory.displacement.number < 1 << 31:
            raise AssemblyError("an address beyond 31 bits needs a register in 64-bit code")
        parts.displacement = number_bytes(memory.displacement, 4, "address")
        parts.sib = 0x25
        return 0, 4
    parts.displacement = number_bytes(memory.displacement, 4, "address")
    return 0, 5


def _memory32(parts: Parts, memory: Memory) -> tuple[int, int]:
    base, index = memory.base, memory.index
    if index is not None and index.number == 4:
        raise AssemblyError(f"{index.name} cannot be multiplied or be the second register of an address")
    for register in (base, index):
        parts.needs_rex = parts.needs_rex or (register is not None and register.number >= 8)
    if index is not None:
        parts.rex |= (index.number >> 3) << 1
    if base is None:
        return _memory_index_only(parts, memory)
    parts.rex |= base.number >> 3
    mode = _displacement_mode(parts, memory, 32, base.number & 7 != 5)
    if index is None and base.number & 7 != 4:
        return mode, base.number & 7
    middle = 4 if index is None else index.number & 7
    parts.sib = _scale(memory.scale if index is not None else 1) << 6 | middle << 3 | (base.number & 7)
    return mode, 4


def _memory_index_only(parts: Parts, memory: Memory) -> tuple[int, int]:
    index = memory.index
    assert index is not None
    parts.displacement = number_bytes(memory.displacement, 4, "displacement")
    parts.sib = _scale(memory.scale) << 6 | (index.number & 7) << 3 | 5
    return 0, 4


def _scale(scale: int) -> int:
    if scale not in (1, 2, 4, 8):
        raise AssemblyError(f"a register in an address can be multiplied by 1, 2, 4 or 8, not by {scale}")
    return (1, 2, 4, 8).index(scale)


def _absolute(parts: Parts, memory: Memory, context: Context) -> None:
    """Put a plain address behind the opcode, as the accumulator's own MOV has it."""
    parts.segment = memory.segment
    parts.address_size = address_size(memory, context.bits)
    parts.displacement = number_bytes(memory.displacement, parts.address_size // 8, "address")


# Putting together ------------------------------------------------------------------------------------------------


def finish(parts: Parts, prefixes: Prefixes, context: Context) -> bytes:
    """Return prefixes, REX, opcode, ModRM, SIB, displacement and immediate in the order in which NASM puts them."""
    head = bytes(prefixes.codes)
    if parts.segment and prefixes.segment:
        raise AssemblyError(f"two segments for one address: {prefixes.segment} and {parts.segment}")
    segment = parts.segment or prefixes.segment
    if segment:
        head += bytes([PREFIXES[segment]])
    if _operand_prefix(parts, prefixes, context.bits):
        head += b"\x66"
    if _address_prefix(parts, prefixes, context.bits):
        head += b"\x67"
    body = parts.opcode
    if parts.modrm >= 0:
        body += bytes([parts.modrm]) + (bytes([parts.sib]) if parts.sib >= 0 else b"")
    code = head + _rex(parts, prefixes, context.bits) + body
    if parts.relative_to_end is not None:
        end = context.here + len(code) + 4 + len(parts.immediate)
        parts.displacement = number_bytes(Value(parts.relative_to_end - end), 4, "distance")
    return code + parts.displacement + parts.immediate


def _operand_prefix(parts: Parts, prefixes: Prefixes, bits: int) -> bool:
    written, size = prefixes.operand_size, parts.operand_size
    if written and size and size not in (8, written):
        raise AssemblyError(f"prefix o{written} contradicts an operand of {size} bits")
    size = size if size not in (0, 8) else written
    return size == 32 if bits == 16 else size == 16


def _address_prefix(parts: Parts, prefixes: Prefixes, bits: int) -> bool:
    written, size = prefixes.address_size, parts.address_size
    if written and size and written != size:
        raise AssemblyError(f"prefix a{written} contradicts an address of {size} bits")
    if (written == 16 and bits == 64) or (written == 64 and bits != 64):
        raise AssemblyError(f"prefix a{written} does not exist in {bits}-bit code")
    size = size or written
    return bool(size) and size != bits


def _rex(parts: Parts, prefixes: Prefixes, bits: int) -> bytes:
    wide = parts.wide or prefixes.operand_size == 64
    if bits != 64:
        if parts.needs_rex or wide or parts.rex:
            raise AssemblyError(f"that register or size exists only in 64-bit code, and this is {bits}-bit code")
        return b""
    rex = parts.rex | (8 if wide else 0)
    if parts.no_rex and (rex or parts.bare_rex):
        raise AssemblyError("ah, bh, ch and dh cannot be used together with 64-bit registers")
    return bytes([0x40 | rex]) if rex or parts.bare_rex else b""
