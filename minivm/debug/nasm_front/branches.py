"""Jumps, calls, loops and PUSH of a number: the instructions whose length NASM chooses (SDM vol. 2, JMP, CALL, Jcc)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from minivm.debug.nasm_front.encoder import (
    Context,
    NoFormError,
    Parts,
    Prefixes,
    check_address,
    finish,
    is_small,
    number_bytes,
    set_memory,
)
from minivm.debug.nasm_front.expressions import Value
from minivm.debug.nasm_front.forms import CONDITIONS
from minivm.debug.nasm_front.operands import FarPointer, Immediate, Memory, Operand, Register

Complain = Callable[[str], None]
_LOOPS = {"loopne": 0xE0, "loopnz": 0xE0, "loope": 0xE1, "loopz": 0xE1, "loop": 0xE2}
_COUNTER_JUMPS = {"jcxz": 16, "jecxz": 32, "jrcxz": 64}
_CONDITIONAL = {"j" + name: code for name, code in CONDITIONS.items()}
NAMES = frozenset({"jmp", "call", "push", *_LOOPS, *_COUNTER_JUMPS, *_CONDITIONAL})


@dataclass(frozen=True, slots=True)
class Site:
    """Where a jump stands: its surroundings, its prefixes, and whom to tell of a short jump that is too far."""

    context: Context
    prefixes: Prefixes
    complain: Complain


def handles(name: str, operands: tuple[Operand, ...]) -> bool:
    """Return whether this module encodes the instruction, and not the table."""
    return name in NAMES and (name != "push" or (len(operands) == 1 and isinstance(operands[0], Immediate)))


def encode_branch(name: str, operands: tuple[Operand, ...], site: Site) -> bytes:
    """Return the instruction's bytes; `complain` is told of a short jump that is too far in this pass."""
    if not operands or (len(operands) > 1 and name not in _LOOPS):
        raise NoFormError(f"'{name}' takes one operand")
    target = operands[0]
    if name == "push" and isinstance(target, Immediate):
        return _push(target, site)
    if name in _LOOPS or name in _COUNTER_JUMPS:
        return _loop(name, operands, site)
    if name in _CONDITIONAL:
        return _conditional(_CONDITIONAL[name], target, site)
    return _jump_or_call(name, target, site)


def _push(operand: Immediate, site: Site) -> bytes:
    default = site.context.bits
    size = operand.size if operand.size not in (0, 8) else site.prefixes.operand_size or default
    if (size == 32 and site.context.bits == 64 and operand.size == 0) or (size == 64) > (site.context.bits == 64):
        raise NoFormError(f"'push' does not take {size} bits in {site.context.bits}-bit code")
    size = 64 if site.context.bits == 64 and size == 32 else size
    small = operand.size == 8 or is_small(operand, size)
    parts = Parts(operand_size=size, opcode=b"\x6a" if small else b"\x68")
    parts.immediate = number_bytes(operand.value, 1) if small and operand.size == 8 else b""
    if not parts.immediate:
        low = operand.value.number & 0xFF
        parts.immediate = bytes([low]) if small else number_bytes(operand.value, min(size // 8, 4))
    return finish(parts, site.prefixes, site.context)


def _relative(opcode: bytes, target: Value, size: int, parts: Parts, site: Site) -> bytes:
    """Finish a jump whose distance counts from the instruction's end, in `size` bytes."""
    check_address(target)
    parts.opcode = opcode
    parts.immediate = bytes(size)
    code = finish(parts, site.prefixes, site.context)
    distance = target.number - site.context.here - len(code)
    if size == 1 and not -128 <= distance <= 127 and not target.unknown:
        site.complain(f"the target is {abs(distance)} bytes away, too far for a short jump")
    return code[:-size] + (distance & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def _reaches(target: Value, context: Context, length: int) -> bool:
    """Return whether a short jump of `length` bytes reaches; NASM hopes so while the target is unknown.

    A plain number or a label of another section is never near: it stays where it is when this section moves.
    """
    return target.unknown or (target.terms == context.home and -128 <= target.number - context.here - length <= 127)


def _loop(name: str, operands: tuple[Operand, ...], site: Site) -> bytes:
    target = operands[0]
    if not isinstance(target, Immediate) or target.distance == "far" or target.value.registers():
        raise NoFormError(f"'{name}' takes a label")
    parts = Parts(address_size=_COUNTER_JUMPS.get(name, 0))
    if len(operands) == 2:
        counter = operands[1]
        if not isinstance(counter, Register) or counter.number != 1 or counter.size == 8 or counter.kind != "gp":
            raise NoFormError(f"'{name}' counts in cx, ecx or rcx")
        parts.address_size = counter.size
    if (parts.address_size == 64) > (site.context.bits == 64) or (parts.address_size == 16 and site.context.bits == 64):
        raise NoFormError(f"'{name}' does not exist like this in {site.context.bits}-bit code")
    opcode = bytes([_LOOPS.get(name, 0xE3)])
    return _relative(opcode, target.value, 1, parts, site)


def _conditional(code: int, target: Operand, site: Site) -> bytes:
    if not isinstance(target, Immediate) or target.distance == "far" or target.value.registers():
        raise NoFormError("a conditional jump takes a label")
    size = _near_size(target, site)
    short = target.distance == "short" or (
        not target.distance
        and not target.strict
        and not target.size
        and _reaches(target.value, site.context, 2 + len(site.prefixes.codes))
    )
    if short:
        return _relative(bytes([0x70 + code]), target.value, 1, Parts(), site)
    if site.context.old_cpu and not target.distance:
        # Below the 386 there is no long form: jump over a long jump on the opposite condition, as NASM does.
        skip = bytes([0x70 + (code ^ 1), 3])
        behind = replace(site.context, here=site.context.here + 2)
        return skip + _relative(b"\xe9", target.value, 2, Parts(), replace(site, context=behind))
    parts = Parts(operand_size=size)
    return _relative(bytes([0x0F, 0x80 + code]), target.value, min(size // 8, 4), parts, site)


def _near_size(target: Immediate, site: Site) -> int:
    size = target.size or site.prefixes.operand_size or site.context.bits
    if size not in (16, 32, 64) or (size == 64) != (site.context.bits == 64):
        raise NoFormError(f"a jump's target has {site.context.bits} bits here, not {size}")
    return size


def _jump_or_call(name: str, target: Operand, site: Site) -> bytes:
    match target:
        case FarPointer():
            return _far_pointer(name, target, site)
        case Immediate():
            return _near(name, target, site)
        case Memory():
            return _indirect(name, target, site)
        case Register():
            return _by_register(name, target, site)


def _far_pointer(name: str, target: FarPointer, site: Site) -> bytes:
    if site.context.bits == 64:
        raise NoFormError(f"'{name} segment:offset' does not exist in 64-bit code")
    size = target.size or site.prefixes.operand_size or site.context.bits
    if size not in (16, 32):
        raise NoFormError("a far pointer's offset has 16 or 32 bits")
    parts = Parts(operand_size=size, opcode=b"\xea" if name == "jmp" else b"\x9a")
    parts.immediate = number_bytes(target.offset, size // 8, "offset") + number_bytes(target.segment, 2, "segment")
    return finish(parts, site.prefixes, site.context)


def _near(name: str, target: Immediate, site: Site) -> bytes:
    if target.distance == "far":
        raise NoFormError(f"'{name} far' needs segment:offset, as '{name} 0x08:label'")
    size = _near_size(target, site)
    fixed = bool(target.distance or target.strict or target.size)
    short = target.distance == "short" or (
        not fixed and _reaches(target.value, site.context, 2 + len(site.prefixes.codes))
    )
    if name == "jmp" and short:
        return _relative(b"\xeb", target.value, 1, Parts(), site)
    if target.distance == "short":
        raise NoFormError("there is no short call")
    opcode = b"\xe9" if name == "jmp" else b"\xe8"
    return _relative(opcode, target.value, min(size // 8, 4), Parts(operand_size=size), site)


def _indirect(name: str, target: Memory, site: Site) -> bytes:
    far = target.distance == "far"
    size = target.size or site.prefixes.operand_size or site.context.bits
    if (
        size not in (16, 32, 64)
        or (size == 64 and site.context.bits != 64)
        or (size == 32 and site.context.bits == 64 and not far)
    ):
        raise NoFormError(f"'{name}' does not take an address of {size} bits in {site.context.bits}-bit code")
    digit = (5 if far else 4) if name == "jmp" else (3 if far else 2)
    parts = Parts(operand_size=size, opcode=b"\xff", wide=far and size == 64)
    set_memory(parts, digit, target, site.context)
    return finish(parts, site.prefixes, site.context)


def _by_register(name: str, target: Register, site: Site) -> bytes:
    if target.kind != "gp" or target.size == 8 or (target.size == 32 and site.context.bits == 64):
        raise NoFormError(f"'{name}' cannot go to {target.name} in {site.context.bits}-bit code")
    parts = Parts(operand_size=target.size, opcode=b"\xff", needs_rex=target.size == 64)
    parts.modrm = 0xC0 | (4 if name == "jmp" else 2) << 3 | (target.number & 7)
    parts.rex = target.number >> 3
    return finish(parts, site.prefixes, site.context)
