"""The registers of the FPU and SSE, read and named (SDM vol. 1, sections 8.1 and 10.2)."""

import math
import struct
from typing import Any

from minivm.core.record import record
from minivm.engine import library

_EXCEPTIONS = ("I", "D", "Z", "O", "U", "P")
_CONTROL = {f"{name}M": bit for bit, name in enumerate(_EXCEPTIONS)}
_STATUS = {f"{name}E": bit for bit, name in enumerate(_EXCEPTIONS)} | {
    "SF": 6, "ES": 7, "C0": 8, "C1": 9, "C2": 10, "C3": 14, "B": 15,
}  # fmt: skip
_MXCSR = (
    {f"{name}E": bit for bit, name in enumerate(_EXCEPTIONS)}
    | {"DAZ": 6}
    | {f"{name}M": bit + 7 for bit, name in enumerate(_EXCEPTIONS)}
    | {"FZ": 15}
)
_PRECISIONS = ("single", "precision 1", "double", "extended")
_ROUNDINGS = ("to nearest", "down", "up", "to zero")
TAGS = ("valid", "zero", "special", "empty")
_BIAS, _FRACTION_BITS, _LARGEST_EXPONENT = 16383, 63, 0x7FFF


@record
class FpuState:
    """The FPU and SSE as they are: `stack` holds ST(0) to ST(7), 10 bytes each, `xmm` 16 bytes each."""

    control: int
    status: int
    tags: int
    mxcsr: int
    stack: tuple[bytes, ...]
    xmm: tuple[bytes, ...]

    @property
    def top(self) -> int:
        """Which of the eight registers ST(0) is."""
        return self.status >> 11 & 7

    def tag(self, index: int) -> str:
        """Return the tag of ST(index) as a word, one of `TAGS`."""
        return TAGS[self.tags >> 2 * ((self.top + index) % 8) & 3]


def fpu_state(engine: Any, code_bits: int) -> FpuState | None:
    """Return the registers, of XMM those that code of that width can name; None for an engine that has none."""
    read = getattr(engine, "raw_register", None)
    if read is None:
        return None

    def number(register: int, size: int) -> int:
        return int.from_bytes(read(register, size), "little")

    return FpuState(
        number(library.REG_FPCW, 2),
        number(library.REG_FPSW, 2),
        number(library.REG_FPTAG, 2),
        number(library.REG_MXCSR, 4),
        tuple(read(library.REG_ST0 + index, 10) for index in range(8)),
        tuple(read(library.REG_XMM0 + index, 16) for index in range(16 if code_bits == 64 else 8)),
    )


def _names(value: int, bits: dict[str, int]) -> str:
    return " ".join(name for name, bit in bits.items() if value >> bit & 1)


def control_words(value: int) -> str:
    """Return the control word in words: the masked exceptions, the precision and the rounding."""
    rounding, precision = _ROUNDINGS[value >> 10 & 3], _PRECISIONS[value >> 8 & 3]
    return f"{_names(value, _CONTROL) or 'nothing masked'}, {precision}, {rounding}"


def status_words(value: int) -> str:
    """Return the status word in words: TOP, and the bits that are set."""
    return f"TOP={value >> 11 & 7} {_names(value, _STATUS)}".rstrip()


def mxcsr_words(value: int) -> str:
    """Return MXCSR in words: the bits that are set, and the rounding."""
    return f"{_names(value, _MXCSR)}, {_ROUNDINGS[value >> 13 & 3]}".lstrip(", ")


def extended_words(data: bytes) -> str:
    """Return a number in double extended precision (SDM vol. 1, table 4-2) in as many digits as it needs."""
    fraction = int.from_bytes(data[:8], "little")
    high = int.from_bytes(data[8:10], "little")
    sign, exponent = "-" if high >> 15 else "", high & 0x7FFF
    if exponent == _LARGEST_EXPONENT:
        return f"{sign}infinity" if not fraction << 1 & 0xFFFF_FFFF_FFFF_FFFF else f"{sign}not a number"
    try:
        value = math.ldexp(fraction, max(exponent, 1) - _BIAS - _FRACTION_BITS)
    except OverflowError:
        return f"{sign}about 10^{int((exponent - _BIAS) * math.log10(2))}"
    if fraction and not value:
        return f"{sign}about 10^{int((exponent - _BIAS) * math.log10(2))}"
    return f"{sign}{value:.17g}"


def floats_words(data: bytes) -> str:
    """Return the four single-precision numbers of an XMM register, the lowest first."""
    return " ".join(f"{value:.6g}" for value in struct.unpack("<4f", data))


def doubles_words(data: bytes) -> str:
    """Return the two double-precision numbers of an XMM register, the lowest first."""
    return " ".join(f"{value:.12g}" for value in struct.unpack("<2d", data))
