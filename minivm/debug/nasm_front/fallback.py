"""Everything that the table in `forms` does not have (FPU, MMX, SSE, …): by Keystone, and never trusted.

Keystone reads bare numbers as hexadecimal and accepts much that it then ignores. So it is given text made here from the
parsed operands, all numbers in 0x form, and its bytes are read back by Capstone: mnemonic, sizes, registers and values
must be the ones that were asked for.
"""

from functools import cache
from typing import Any

from minivm.debug.nasm_front.encoder import NoFormError, Prefixes
from minivm.debug.nasm_front.expressions import signed
from minivm.debug.nasm_front.operands import FarPointer, Immediate, Memory, Operand, Register
from minivm.errors import AssemblyError

_POINTERS = {8: "byte", 16: "word", 32: "dword", 64: "qword", 80: "tbyte", 128: "xmmword", 256: "ymmword"}
_ALIASES = {
    "fstsw": "fnstsw",
    "fstcw": "fnstcw",
    "finit": "fninit",
    "fsave": "fnsave",
    "fstenv": "fnstenv",
    "fclex": "fnclex",
}


@cache
def known() -> frozenset[str]:
    """Return every mnemonic that Capstone has a name for."""
    import capstone

    reader = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    names = (reader.insn_name(number) for number in range(1, capstone.x86.X86_INS_ENDING))
    return frozenset({name for name in names if name} | set(_ALIASES) | {"faddp", "fcomip", "fucomip"})


def encode_checked(name: str, operands: tuple[Operand, ...], prefixes: Prefixes, bits: int, here: int) -> bytes:
    """Return Keystone's bytes for an instruction after Capstone agreed with them; raises `AssemblyError` otherwise."""
    if prefixes != Prefixes():
        raise NoFormError(f"no prefix is supported before '{name}'")
    text = f"{name} {', '.join(_spell(operand) for operand in operands)}".strip()
    code = _keystone(text, bits, here if bits == 64 else 0)
    _check(text, operands, code, bits, here if bits == 64 else 0)
    return code


def _spell(operand: Operand) -> str:
    match operand:
        case Register():
            return f"st({operand.number})" if operand.kind == "st" else operand.name
        case Immediate():
            return f"{operand.value.number:#x}"
        case Memory():
            return _spell_memory(operand)
        case FarPointer():
            raise NoFormError("a far pointer does not belong here")


def _spell_memory(memory: Memory) -> str:
    size = f"{_POINTERS[memory.size]} ptr " if memory.size in _POINTERS else ""
    segment = f"{memory.segment}:" if memory.segment else ""
    pieces = [memory.base.name] if memory.base else []
    if memory.index:
        pieces.append(f"{memory.index.name}*{memory.scale}" if memory.scale > 1 else memory.index.name)
    if memory.displacement.number or not pieces:
        pieces.append(f"{memory.displacement.number:#x}")
    return f"{size}{segment}[{' + '.join(pieces).replace('+ -', '- ')}]"


@cache
def _engine(bits: int) -> Any:
    import keystone

    modes = {16: keystone.KS_MODE_16, 32: keystone.KS_MODE_32, 64: keystone.KS_MODE_64}
    return keystone.Ks(keystone.KS_ARCH_X86, modes[bits])


@cache
def _keystone(text: str, bits: int, here: int) -> bytes:
    import keystone

    try:
        encoding, _ = _engine(bits).asm(text, here & ((1 << 64) - 1))
    except keystone.KsError as error:
        raise NoFormError(f"'{text}' is not understood: {str(error).split(' (')[0].lower()}") from None
    if not encoding:
        raise NoFormError(f"'{text}' is not understood")
    return bytes(encoding)


@cache
def _reader(bits: int) -> Any:
    import capstone

    modes = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}
    reader = capstone.Cs(capstone.CS_ARCH_X86, modes[bits])
    reader.detail = True
    return reader


def _check(text: str, operands: tuple[Operand, ...], code: bytes, bits: int, here: int) -> None:
    name = text.split(maxsplit=1)[0]
    read = list(_reader(bits).disasm(code, here))
    shown = "; ".join(f"{one.mnemonic} {one.op_str}".strip() for one in read)
    surprise = AssemblyError(f"'{text}' was wanted, and Keystone made '{shown}' ({code.hex(' ')}): not used")
    if len(read) == 2 and read[0].mnemonic == "wait" and name in _ALIASES:
        read = read[1:]
    if len(read) != 1 or read[0].size + (code[:1] == b"\x9b" and name in _ALIASES) != len(code):
        raise surprise
    if not _same_name(name, read[0].mnemonic) or not _same_operands(operands, read[0], bits):
        raise surprise


def _same_name(wanted: str, found: str) -> bool:
    return found in (wanted, _ALIASES.get(wanted))


def _same_operands(operands: tuple[Operand, ...], found: Any, bits: int) -> bool:
    import capstone

    registers = [found.reg_name(op.reg) for op in found.operands if op.type == capstone.x86.X86_OP_REG]
    numbers = [op.imm for op in found.operands if op.type == capstone.x86.X86_OP_IMM]
    memories = [op for op in found.operands if op.type == capstone.x86.X86_OP_MEM]
    for operand in operands:
        match operand:
            case Register() if operand.kind == "st":
                continue
            case Register():
                if operand.name not in registers:
                    return False
                registers.remove(operand.name)
            case Immediate():
                if not numbers or (numbers.pop(0) - operand.value.number) & 0xFF:
                    return False
            case Memory():
                if not memories or not _same_memory(operand, memories.pop(0), found, bits):
                    return False
    return not numbers and not memories and not [name for name in registers if not name.startswith("st")]


def _same_memory(wanted: Memory, found: Any, instruction: Any, bits: int) -> bool:
    base = instruction.reg_name(found.mem.base) if found.mem.base else ""
    index = instruction.reg_name(found.mem.index) if found.mem.index else ""
    segment = instruction.reg_name(found.mem.segment) if found.mem.segment else ""
    displacement = found.mem.disp
    if base == "rip":
        base, displacement = "", displacement + instruction.address + instruction.size
    names = {(wanted.base.name if wanted.base else "", wanted.index.name if wanted.index else "")}
    if wanted.scale == 1:
        names |= {(second, first) for first, second in names}
    size = (wanted.base or wanted.index).size if wanted.base or wanted.index else bits  # type: ignore[union-attr]
    return (
        (base, index) in names
        and (not index or found.mem.scale == wanted.scale)
        and segment == wanted.segment
        and signed(displacement, size) == signed(wanted.displacement.number, size)
        and (not wanted.size or found.size * 8 == wanted.size)
    )
