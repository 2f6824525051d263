"""What tells two outcomes of a program apart, beside what is undefined."""

from collections.abc import Iterator

from minivm.core.record import record
from minivm.testing.cpu_check_encode import Unit
from minivm.testing.cpu_check_start import KERNEL_STACK, RAM_BYTES, STUB_CODE, STUBS, VECTORS
from minivm.testing.cpu_check_ways import Outcome
from minivm.testing.cpu_differences import FLAGS, GEARS, undefined_flags
from minivm.testing.cpu_programs import Program

_ERROR_CODES = frozenset((8, 10, 11, 12, 13, 14, 17))
_INVALID_OPCODE, _STACK, _PROTECTION = 6, 12, 13
_SEGMENT_FAULTS = (_STACK, _PROTECTION)
_WRITE = 2
"""In a page fault's error code: the access was a write (SDM vol. 3, section 4.7)."""
_CONDITION_CODES = 0x4500
"""C0, C2 and C3 of the FPU's status word, which most instructions leave undefined."""


@record
class Apart:
    """One thing in which two outcomes differ: its name in the table of differences, and both values."""

    name: str
    one: int | str
    other: int | str
    address: int | None = None


def exactly(program: Program, one: Outcome, other: Outcome) -> tuple[Apart, ...]:
    """Compare two runs on the same engine, where everything must be the same, also the ticks."""
    if one.ended != other.ended:
        return (Apart("ended", one.ended, other.ended),)
    unit = _last_unit(program, one)
    mask = undefined_flags(unit.mnemonic, who=GEARS) if unit is not None else 0
    found = list(_registers(one.registers, other.registers, mask))
    mask |= _differing_flags(one, other)
    if one.position != other.position:
        found.append(Apart("position", one.position or 0, other.position or 0))
    return (*found, *_memory(_masked(program, one, mask), _masked(program, other, mask)))


def defined(program: Program, one: Outcome, other: Outcome) -> tuple[Apart, ...]:
    """Compare two processors in all that the manual defines for `program`."""
    if one.ended != other.ended:
        return (Apart("ended", one.ended, other.ended),)
    if one.ended != "halted":
        return ()  # what a processor that gave up, or was cut, holds is not written anywhere
    if not program.mode.flat and vector_of(other) in _SEGMENT_FAULTS and vector_of(one) != vector_of(other):
        return (Apart("unchecked", one.registers["rip"], other.registers["rip"]),)
    if (vector_of(one), vector_of(other)) == (_PROTECTION, _STACK) and fault_ip(program, one) == fault_ip(
        program, other
    ):
        return (Apart("stack fault", _PROTECTION, _STACK),)
    mask = undefined_in(program, one)
    found = list(_registers(one.registers, other.registers, mask))
    mask |= _differing_flags(one, other)
    codes = [_error_code(program, outcome) for outcome in (one, other)]
    if codes[0] != codes[1] and vector_of(one) == vector_of(other):
        name = "write bit" if codes[0] ^ codes[1] == _WRITE else "error code"
        return (*found, Apart(name, codes[0], codes[1]))
    return (*found, *_memory(_masked(program, one, mask), _masked(program, other, mask)))


def vector_of(outcome: Outcome) -> int | None:
    """Return the vector whose stub ended the program, None where it came to its own end."""
    vector = (outcome.registers["rip"] & 0xFFFF) - 1 - STUBS
    return vector if outcome.registers["cs"] in {0, STUB_CODE} and 0 <= vector < VECTORS else None


def declined_by_invalid_opcode(program: Program, one: Outcome, other: Outcome) -> bool:
    """Tell whether the other processor has #UD for what this one executes: an emulating KVM does not know it.

    KVM's emulator says so with #UD at level 3, and with an internal error at level 0.
    """
    if vector_of(other) != _INVALID_OPCODE:
        return False
    return vector_of(one) != _INVALID_OPCODE or fault_ip(program, one) != fault_ip(program, other)


def fault_ip(program: Program, outcome: Outcome) -> int:
    """Return the instruction pointer that the exception pushed, with which the program ended."""
    place, size = _frame(program, outcome)
    return int.from_bytes(outcome.ram[place : place + size], "little")


def undefined_in(program: Program, outcome: Outcome) -> int:
    """Return which flags are undefined where the program ended."""
    unit = _last_unit(program, outcome)
    return unit.undefined if unit is not None else 0


def _last_unit(program: Program, outcome: Outcome) -> Unit | None:
    """Return the unit that raised the exception with which the program ended, or else the last one."""
    if not program.places or outcome.ended != "halted":
        return None
    if vector_of(outcome) is None:
        return program.places[-1][2]
    ip = fault_ip(program, outcome)
    return program.places[-1][2] if ip == program.end_ip - 1 else program.unit_at(ip)


def _differing_flags(one: Outcome, other: Outcome) -> int:
    """Return the flags that are known to differ, and need not be told of again where an exception pushed them."""
    return (one.registers["rflags"] ^ other.registers["rflags"]) & sum(FLAGS.values())


def _frame(program: Program, outcome: Outcome) -> tuple[int, int]:
    """Return where the exception's frame has the instruction pointer, and the size of its words."""
    mode = program.mode
    if mode.long:
        return KERNEL_STACK - 40, 8
    size = 4 if mode.protected else 2
    pushed = size if mode.protected and vector_of(outcome) in _ERROR_CODES else 0
    pointer = outcome.registers["rsp"] + pushed
    return min(pointer if mode.flat else mode.stack_base + (pointer & 0xFFFF), RAM_BYTES - 4 * size), size


def _error_code(program: Program, outcome: Outcome) -> int:
    """Return the error code that was pushed below the frame, 0 where there is none."""
    if vector_of(outcome) not in _ERROR_CODES or not program.mode.protected:
        return 0
    place, size = _frame(program, outcome)
    return int.from_bytes(outcome.ram[max(0, place - size) : place], "little")


def _masked(program: Program, outcome: Outcome, mask: int) -> bytes:
    """Return memory without the undefined flags in the exception's frame."""
    if not mask or vector_of(outcome) is None:
        return outcome.ram
    place, size = _frame(program, outcome)
    place += 2 * size
    ram = bytearray(outcome.ram)
    flags = int.from_bytes(ram[place : place + size], "little") & ~mask
    ram[place : place + size] = flags.to_bytes(size, "little")
    return bytes(ram)


def _registers(one: dict[str, int], other: dict[str, int], mask: int) -> Iterator[Apart]:
    for name in [name for name in one if name in other]:
        unmasked = ~_CONDITION_CODES if name == "fsw" else ~mask if name == "rflags" else ~0
        ours, theirs = one[name] & unmasked, other[name] & unmasked
        if name == "rflags":
            yield from _flags(ours, theirs)
        elif ours != theirs:
            yield Apart("vector" if name == "rip" else name, ours, theirs)


def _flags(one: int, other: int) -> Iterator[Apart]:
    for name, bit in FLAGS.items():
        if (one ^ other) & bit:
            yield Apart(name, int(bool(one & bit)), int(bool(other & bit)))
    rest = (one ^ other) & ~sum(FLAGS.values())
    if rest:
        yield Apart("rflags", one, other)


def _memory(one: bytes, other: bytes) -> tuple[Apart, ...]:
    if one == other:
        return ()
    at = next(index for index in range(len(one)) if one[index] != other[index])
    return (Apart("memory", one[at], other[at], at),)
