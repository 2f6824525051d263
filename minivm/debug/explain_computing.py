"""The rules for instructions that compute: arithmetic, logic, shifts, bits, decimal adjustments.

Their results and flags come from `explain_arithmetic`; where an operand is unknown, the words say what would be done.
"""

from collections.abc import Callable

from minivm.core.describe import spoken
from minivm.debug import explain_arithmetic as arithmetic
from minivm.debug.explain_arithmetic import Flags, Outcome, flag_words
from minivm.debug.explain_moment import Moment, Operand, hexadecimal, signed

Rule = Callable[[Moment], list[str]]

NO_FLAGS = "Flags: none change."


def flags_line(moment: Moment, after: Flags) -> str:
    """Return the sentence on flags whose values afterwards are known."""
    return flag_words({name: moment.flag(name) for name in after}, after)


def unknown_flags(*names: str) -> str:
    """Return the sentence on flags that change in a way that cannot be told beforehand."""
    return f"Flags: {spoken(names)} will follow the result."


_SIGNS = {"add": "+", "adc": "+", "sub": "-", "sbb": "-", "and": "AND", "or": "OR", "xor": "XOR"}
_ALU: dict[str, Callable[[int, int, int, int], Outcome]] = {
    "add": lambda a, b, size, carry: arithmetic.add(a, b, size),
    "adc": arithmetic.add,
    "sub": lambda a, b, size, carry: arithmetic.subtract(a, b, size),
    "sbb": arithmetic.subtract,
    "and": lambda a, b, size, carry: arithmetic.logic(a & b, size),
    "or": lambda a, b, size, carry: arithmetic.logic(a | b, size),
    "xor": lambda a, b, size, carry: arithmetic.logic(a ^ b, size),
}


def _alu(moment: Moment) -> list[str]:
    target, source = moment.operands
    name, size = moment.mnemonic, target.size
    with_carry = name in ("adc", "sbb")
    carry = f" {_SIGNS[name]} CF" if with_carry else ""
    if target.value is None or source.value is None:
        words = f"{target.words} becomes {target.words} {_SIGNS[name]} {source.words}{carry}"
        return [words, unknown_flags(*arithmetic.ORDER)]
    result, after = _ALU[name](target.value, _fitted(source, size), size, moment.flag("CF") if with_carry else 0)
    if name in ("xor", "sub") and target.register and target.register == source.register:
        return [f"{target.words} becomes 0: the usual way to clear a register", flags_line(moment, after)]
    carry = f" {_SIGNS[name]} CF, {moment.flag('CF')}," if with_carry else ""
    words = f"{target.number} {_SIGNS[name]} {hexadecimal(_fitted(source, size), size)}{carry}"
    return [f"{target.words} becomes {words} = {hexadecimal(result, size)}", flags_line(moment, after)]


def _fitted(source: Operand, size: int) -> int:
    """Return a source's value in `size` bytes; a short immediate is extended with its sign."""
    value = source.value or 0
    return signed(value, source.size) & (1 << 8 * size) - 1 if source.size < size else value & (1 << 8 * size) - 1


def _compare(moment: Moment) -> list[str]:
    first, second = moment.operands
    if first.value is None or second.value is None:
        return [f"compares {first.words} with {second.words}", unknown_flags(*arithmetic.ORDER)]
    size = first.size
    other = _fitted(second, size)
    _, after = arithmetic.subtract(first.value, other, size)
    relation = "equal" if first.value == other else "below" if first.value < other else "above"
    a, b = signed(first.value, size), signed(other, size)
    if first.value != other and (a < b) != (first.value < other):
        relation += f" (with signs, {'less' if a < b else 'greater'}: {a} and {b})"
    how = f"compares {first.words} ({first.number}) with {second.words}"
    how += f" ({second.number})" if second.register or second.memory else ""
    return [f"{how}: {relation}; only the flags change", flags_line(moment, after)]


def _test(moment: Moment) -> list[str]:
    first, second = moment.operands
    if first.value is None or second.value is None:
        return [f"ANDs {first.words} and {second.words} for the flags alone", unknown_flags(*arithmetic.ORDER)]
    both = first.value & _fitted(second, first.size)
    _, after = arithmetic.logic(both, first.size)
    flags = flags_line(moment, after)
    if first.register and first.register == second.register:
        meaning = "zero" if not both else "negative" if after["SF"] else "positive"
        return [f"looks whether {first.words} is zero or negative: {first.number} is {meaning}", flags]
    found = "no bit in common" if not both else f"bits in common: {hexadecimal(both, first.size)}"
    return [f"ANDs {first.number} with {second.number} for the flags alone: {found}", flags]


def _step(by: int) -> Rule:
    def rule(moment: Moment) -> list[str]:
        one = moment.operands[0]
        if one.value is None:
            way = "up" if by > 0 else "down"
            return [f"{one.words} goes {way} by 1", unknown_flags("PF", "AF", "ZF", "SF", "OF")]
        result, after = arithmetic.increment(one.value, one.size, by)
        sign = "+" if by > 0 else "-"
        words = f"{one.words} becomes {one.number} {sign} 1 = {hexadecimal(result, one.size)}"
        return [words, flags_line(moment, after)]

    return rule


def _neg(moment: Moment) -> list[str]:
    one = moment.operands[0]
    if one.value is None:
        return [f"{one.words} becomes its negative", unknown_flags(*arithmetic.ORDER)]
    result, after = arithmetic.subtract(0, one.value, one.size)
    return [f"{one.words} becomes -{one.number} = {hexadecimal(result, one.size)}", flags_line(moment, after)]


def _not(moment: Moment) -> list[str]:
    one = moment.operands[0]
    if one.value is None:
        return [f"every bit of {one.words} is turned over", NO_FLAGS]
    return [f"{one.words} becomes {hexadecimal(~one.value, one.size)}: every bit turned over", NO_FLAGS]


def _shift(moment: Moment) -> list[str]:
    one = moment.operands[0]
    count = moment.operands[1].value if len(moment.operands) > 1 else 1
    by = (count or 0) & (0x3F if one.size == 8 else 0x1F)
    verb = "rotated" if moment.mnemonic.startswith("r") else "shifted"
    way = "left" if moment.mnemonic[-1] == "l" else "right"
    if not by:
        return [f"nothing changes, because the count is {count or 0}, which counts as 0", NO_FLAGS]
    sign = " with its sign" if moment.mnemonic == "sar" else ""
    if one.value is None:
        return [f"{one.words} is {verb} {way} by {by}{sign}", unknown_flags("CF", "OF")]
    result, after = arithmetic.SHIFTS[moment.mnemonic](one.value, by, one.size)
    words = f"{one.words} ({one.number}) is {verb} {way} by {by}{sign}, and becomes {hexadecimal(result, one.size)}"
    return [words, flags_line(moment, after)]


def _rotate_carry(moment: Moment) -> list[str]:
    one = moment.operands[0]
    count = (moment.operands[1].value if len(moment.operands) > 1 else 1) or 0
    way = "left" if moment.mnemonic == "rcl" else "right"
    by = count & (0x3F if one.size == 8 else 0x1F)
    if not by:
        return [f"nothing changes, because the count is {count}, which counts as 0", NO_FLAGS]
    words = f"{one.words} and CF together are rotated {way} by {by}"
    return [words, "Flags: CF takes the last bit that went out; OF is defined for a count of 1 only."]


def _double_shift(moment: Moment) -> list[str]:
    target, source, count = moment.operands
    by = (count.value or 0) & (0x3F if target.size == 8 else 0x1F)
    way = "left" if moment.mnemonic == "shld" else "right"
    words = f"{target.words} is shifted {way} by {by}, and the bits of {source.words} come in"
    return [words, unknown_flags("CF", "PF", "ZF", "SF") if by else NO_FLAGS]


# The halves of a product and of a dividend, by operand size
_PAIRS = {1: ("AH", "AL", "AX"), 2: ("DX", "AX", "DX:AX"), 4: ("EDX", "EAX", "EDX:EAX"), 8: ("RDX", "RAX", "RDX:RAX")}


def _multiply(moment: Moment) -> list[str]:
    one = moment.operands[0]
    if len(moment.operands) > 1:
        return _multiply_short(moment)
    size = one.size
    _, low_name, pair = _PAIRS[size]
    if one.value is None:
        return [f"{pair} becomes {low_name} x {one.words}", "Flags: CF and OF are 1 when the upper half counts."]
    with_signs = moment.mnemonic == "imul"
    first, second = moment.known(low_name.lower()), one.value
    product = signed(first, size) * signed(second, size) if with_signs else first * second
    fits = -(1 << 8 * size - 1) <= product < 1 << 8 * size - 1 if with_signs else product < 1 << 8 * size
    words = f"{pair} becomes {hexadecimal(first, size)} x {one.number} = {hexadecimal(product, 2 * size)}"
    return [words, _product_flags(moment, fits)]


def _multiply_short(moment: Moment) -> list[str]:
    target, *sources = moment.operands
    first, second = (target, sources[0]) if len(sources) == 1 else sources
    if first.value is None or second.value is None:
        words = f"{target.words} becomes {first.words} x {second.words}, cut to its size"
        return [words, "Flags: CF and OF are 1 when something was cut off."]
    size = target.size
    product = signed(first.value, first.size) * signed(second.value, second.size)
    fits = signed(product, size) == product
    words = f"{target.words} becomes {first.number} x {second.number} = {hexadecimal(product, size)}"
    return [words + ("" if fits else ", cut to its size"), _product_flags(moment, fits)]


def _product_flags(moment: Moment, fits: bool) -> str:
    over = int(not fits)
    return flags_line(moment, {"CF": over, "OF": over, "PF": None, "AF": None, "ZF": None, "SF": None})


def _divide(moment: Moment) -> list[str]:
    one = moment.operands[0]
    size, with_signs = one.size, moment.mnemonic == "idiv"
    high_name, low_name, pair = _PAIRS[size]
    high, low = moment.known(high_name.lower()), moment.known(low_name.lower())
    undefined = "Flags: all six are undefined."
    if one.value is None:
        return [f"{low_name} becomes {pair} / {one.words}, {high_name} the remainder", undefined]
    dividend = high << 8 * size | low
    if one.value == 0:
        return [f"divides {pair} by {one.words}, which is 0: this raises #DE", NO_FLAGS]
    quotient, remainder = _quotient(dividend, one.value, size, with_signs)
    largest = 1 << 8 * size - with_signs
    if not (-largest if with_signs else 0) <= quotient < largest:
        return [f"divides {hexadecimal(dividend, 2 * size)} by {one.number}: the quotient does not fit {low_name}, "
                "so this raises #DE", NO_FLAGS]  # fmt: skip
    words = f"{hexadecimal(dividend, 2 * size)} / {one.number}: {low_name} becomes {hexadecimal(quotient, size)}"
    return [f"{words}, {high_name} the remainder {hexadecimal(remainder, size)}", undefined]


def _quotient(dividend: int, divisor: int, size: int, with_signs: bool) -> tuple[int, int]:
    """Divide as the CPU does: towards zero, and the remainder has the dividend's sign."""
    if not with_signs:
        return divmod(dividend, divisor)
    number, by = signed(dividend, 2 * size), signed(divisor, size)
    quotient = abs(number) // abs(by) * (1 if (number < 0) == (by < 0) else -1)
    return quotient, number - quotient * by


_BIT_EFFECTS = {"bt": "stays", "bts": "is set", "btr": "is cleared", "btc": "is turned over"}


def _bit_test(moment: Moment) -> list[str]:
    one, number = moment.operands
    effect = _BIT_EFFECTS[moment.mnemonic]
    if number.value is None or (one.memory is not None and number.register) or one.value is None:
        place = number.number if number.value is not None else number.words
        return [f"CF takes bit {place}, counted from {one.words}; the bit {effect}", "Flags: CF takes the bit."]
    bit = number.value % (8 * one.size)
    value = one.value >> bit & 1
    return [f"CF takes bit {bit} of {one.words}, which is {value}; the bit {effect}", flags_line(moment, {"CF": value})]


def _bit_scan(moment: Moment) -> list[str]:
    target, source = moment.operands
    which = "lowest" if moment.mnemonic == "bsf" else "highest"
    if source.value is None:
        return [f"{target.words} takes the number of the {which} 1 in {source.words}", unknown_flags("ZF")]
    rest: Flags = dict.fromkeys(("CF", "PF", "AF", "SF", "OF"))
    if not source.value:
        return [f"{source.words} is 0, so there is no bit to find", flags_line(moment, rest | {"ZF": 1})]
    value = source.value
    bit = (value & -value).bit_length() - 1 if moment.mnemonic == "bsf" else value.bit_length() - 1
    return [
        f"{target.words} takes {bit}, the number of the {which} 1 in {source.number}",
        flags_line(moment, rest | {"ZF": 0}),
    ]


def _xadd(moment: Moment) -> list[str]:
    target, source = moment.operands
    if target.value is None or source.value is None:
        return [f"{target.words} becomes the sum, and {source.words} its old value", unknown_flags(*arithmetic.ORDER)]
    result, after = arithmetic.add(target.value, source.value, target.size)
    words = f"{target.words} becomes {target.number} + {source.number} = {hexadecimal(result, target.size)}"
    return [f"{words}, and {source.words} the old value", flags_line(moment, after)]


def _cmpxchg(moment: Moment) -> list[str]:
    target, source = moment.operands
    name = moment.sized("ax", target.size).upper()
    if target.value is None:
        return [f"{target.words} takes {source.words} if it equals {name}; else {name} takes it", unknown_flags("ZF")]
    accumulator = moment.known(name.lower())
    _, after = arithmetic.subtract(accumulator, target.value, target.size)
    if accumulator == target.value:
        return [
            f"{target.words} equals {name} ({target.number}), so it takes {source.shown}",
            flags_line(moment, after),
        ]
    return [f"{target.words} ({target.number}) differs from {name}, so {name} takes it", flags_line(moment, after)]


def _cmpxchg8b(moment: Moment) -> list[str]:
    one = moment.operands[0]
    compared, taken = ("RDX:RAX", "RCX:RBX") if one.size == 16 else ("EDX:EAX", "ECX:EBX")
    return [f"{one.words} takes {taken} if it equals {compared}; else {compared} takes it", unknown_flags("ZF")]


_ADJUSTMENTS = {
    "aaa": "makes AL one decimal digit after an addition; AH counts a carry",
    "aas": "makes AL one decimal digit after a subtraction; AH counts a borrow",
    "daa": "makes AL two decimal digits after an addition",
    "das": "makes AL two decimal digits after a subtraction",
}


def _adjust(moment: Moment) -> list[str]:
    names = ("CF", "AF") if moment.mnemonic in ("aaa", "aas") else ("CF", "PF", "AF", "ZF", "SF")
    return [f"{_ADJUSTMENTS[moment.mnemonic]}; AL is {moment.known('al'):02X}h", unknown_flags(*names)]


def _aam(moment: Moment) -> list[str]:
    base = _adjust_base(moment)
    if not base:
        return ["divides AL by 0: this raises #DE", NO_FLAGS]
    high, low = divmod(moment.known("al"), base)
    return [f"AL / {base}: AH becomes {high:02X}h, AL the remainder {low:02X}h", unknown_flags("PF", "ZF", "SF")]


def _aad(moment: Moment) -> list[str]:
    base = _adjust_base(moment)
    result = (moment.known("ah") * base + moment.known("al")) & 0xFF
    return [f"AL becomes AH x {base} + AL = {result:02X}h, and AH 0", unknown_flags("PF", "ZF", "SF")]


def _adjust_base(moment: Moment) -> int:
    return moment.bytes[-1]  # Capstone hides the usual 10


RULES: dict[str, Rule] = {
    **dict.fromkeys(_ALU, _alu), "cmp": _compare, "test": _test, "inc": _step(1), "dec": _step(-1), "neg": _neg,
    "not": _not, **dict.fromkeys(arithmetic.SHIFTS, _shift), "rcl": _rotate_carry, "rcr": _rotate_carry,
    "shld": _double_shift, "shrd": _double_shift, "mul": _multiply, "imul": _multiply, "div": _divide, "idiv": _divide,
    **dict.fromkeys(_BIT_EFFECTS, _bit_test), "bsf": _bit_scan, "bsr": _bit_scan, "xadd": _xadd, "cmpxchg": _cmpxchg,
    "cmpxchg8b": _cmpxchg8b, "cmpxchg16b": _cmpxchg8b, **dict.fromkeys(_ADJUSTMENTS, _adjust), "aam": _aam, "aad": _aad,
}  # fmt: skip
