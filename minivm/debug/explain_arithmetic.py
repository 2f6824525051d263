"""What arithmetic does to its operands and to the flags (Intel SDM vol. 2; flags: vol. 1, appendix A).

Each function returns the result, cut to `size` bytes, and the flags that it sets: 0 or 1, or None where the manual
leaves a flag undefined. A flag that is not named is not touched.
"""

from collections.abc import Callable
from typing import NamedTuple

ORDER = ("CF", "PF", "AF", "ZF", "SF", "OF")

Flags = dict[str, int | None]


class Outcome(NamedTuple):
    """A result, and the flags that go with it."""

    result: int
    flags: Flags


def _of_result(result: int, size: int) -> Flags:
    """Return the three flags that tell about the result alone; PF counts the ones of the lowest byte."""
    return {
        "PF": int(not (result & 0xFF).bit_count() & 1),
        "ZF": int(result == 0),
        "SF": result >> 8 * size - 1 & 1,
    }


def add(first: int, second: int, size: int, carry: int = 0) -> Outcome:
    """ADD, and ADC with a carry."""
    bits = 8 * size
    total = first + second + carry
    result = total & (1 << bits) - 1
    overflow = ((first ^ result) & (second ^ result)) >> bits - 1 & 1
    half = (first ^ second ^ result) >> 4 & 1
    flags: Flags = {"CF": total >> bits & 1, "AF": half, "OF": overflow}
    return Outcome(result, flags | _of_result(result, size))


def subtract(first: int, second: int, size: int, borrow: int = 0) -> Outcome:
    """SUB, CMP, and SBB with a borrow."""
    bits = 8 * size
    result = (first - second - borrow) & (1 << bits) - 1
    overflow = ((first ^ second) & (first ^ result)) >> bits - 1 & 1
    half = (first ^ second ^ result) >> 4 & 1
    flags: Flags = {"CF": int(first < second + borrow), "AF": half, "OF": overflow}
    return Outcome(result, flags | _of_result(result, size))


def logic(result: int, size: int) -> Outcome:
    """AND, OR, XOR and TEST: carry and overflow go, AF is undefined."""
    return Outcome(result, {"CF": 0, "OF": 0, "AF": None} | _of_result(result, size))


def increment(value: int, size: int, by: int) -> Outcome:
    """INC (`by` 1) and DEC (`by` -1), which leave CF alone."""
    result, flags = add(value, 1, size) if by > 0 else subtract(value, 1, size)
    return Outcome(result, {name: flag for name, flag in flags.items() if name != "CF"})


def shift_left(value: int, count: int, size: int) -> Outcome:
    """SHL by 1 or more."""
    bits = 8 * size
    result = value << count & (1 << bits) - 1
    carry = value >> bits - count & 1 if count < bits else None
    overflow = (result >> bits - 1 & 1) ^ carry if count == 1 and carry is not None else None
    return Outcome(result, {"CF": carry, "OF": overflow, "AF": None} | _of_result(result, size))


def shift_right(value: int, count: int, size: int) -> Outcome:
    """SHR by 1 or more."""
    bits = 8 * size
    carry = value >> count - 1 & 1 if count < bits else None
    overflow = value >> bits - 1 & 1 if count == 1 else None
    return Outcome(value >> count, {"CF": carry, "OF": overflow, "AF": None} | _of_result(value >> count, size))


def shift_arithmetic(value: int, count: int, size: int) -> Outcome:
    """SAR by 1 or more: the sign comes in from the left."""
    bits = 8 * size
    number = value - (1 << bits) if value >> bits - 1 else value
    result = number >> count & (1 << bits) - 1
    flags: Flags = {"CF": number >> count - 1 & 1, "OF": 0 if count == 1 else None, "AF": None}
    return Outcome(result, flags | _of_result(result, size))


def rotate_left(value: int, count: int, size: int) -> Outcome:
    """ROL by 1 or more; only CF and OF change."""
    bits = 8 * size
    by = count % bits
    result = (value << by | value >> bits - by) & (1 << bits) - 1
    top = result >> bits - 1
    return Outcome(result, {"CF": result & 1, "OF": top ^ result & 1 if count == 1 else None})


def rotate_right(value: int, count: int, size: int) -> Outcome:
    """ROR by 1 or more; only CF and OF change."""
    bits = 8 * size
    by = count % bits
    result = (value >> by | value << bits - by) & (1 << bits) - 1
    top = result >> bits - 1
    return Outcome(result, {"CF": top, "OF": top ^ result >> bits - 2 & 1 if count == 1 else None})


SHIFTS: dict[str, Callable[[int, int, int], Outcome]] = {
    "shl": shift_left, "sal": shift_left, "shr": shift_right, "sar": shift_arithmetic, "rol": rotate_left,
    "ror": rotate_right,
}  # fmt: skip


def flag_words(before: dict[str, int], after: Flags) -> str:
    """Return one sentence on what happens to flags: which change, which stay, which are undefined."""
    named = [name for name in ORDER if name in after] + [name for name in after if name not in ORDER]
    changed = [f"{name} {before[name]} -> {after[name]}" for name in named if after[name] not in (None, before[name])]
    same = [f"{name}={before[name]}" for name in named if after[name] == before[name]]
    undefined = [name for name in named if after[name] is None]
    parts = [", ".join(changed)] if changed else []
    if same:
        parts.append("unchanged " + " ".join(same))
    if undefined:
        parts.append(f"undefined {' '.join(undefined)}")
    return f"Flags: {'; '.join(parts)}." if parts else "Flags: none change."
