"""Random programs for the CPU check: what a seed means, and how its units become code.

Behind each unit that leaves flags undefined, but the last, PUSHF, AND and POPF clear these; so nothing undefined
reaches what comes after, and what is defined stays to be compared.
"""

from collections.abc import Callable, Sequence
from functools import cache

from minivm.core.record import record
from minivm.testing.cpu_check_encode import Chance, Encoder, Unit
from minivm.testing.cpu_check_integer import KINDS as INTEGER_KINDS
from minivm.testing.cpu_check_start import Mode, Start, random_start
from minivm.testing.cpu_check_system import KINDS as SYSTEM_KINDS
from minivm.testing.cpu_check_system import VECTOR_KINDS

LENGTH = 12
HLT = b"\xf4"


@record
class Program:
    """Code for a mode, and of each unit where it begins, where it ends with its clearing of flags, and itself."""

    mode: Mode
    start: Start
    code: bytes
    places: tuple[tuple[int, int, Unit], ...]

    @property
    def end_ip(self) -> int:
        """The instruction pointer behind the program's own HLT."""
        return self.mode.start_ip + len(self.code)

    def unit_at(self, ip: int) -> Unit | None:
        """Return the unit whose code, or clearing of flags, is at an instruction pointer."""
        offset = ip - self.mode.start_ip
        return next((unit for begin, end, unit in self.places if begin <= offset < end), None)


@cache
def _weighted(vectors: bool) -> tuple[Callable[[Encoder], Unit], ...]:
    kinds = INTEGER_KINDS + SYSTEM_KINDS + (VECTOR_KINDS if vectors else ())
    return tuple(kind for weight, kind in kinds for _ in range(weight))


def random_units(mode: Mode, seed: int, length: int = LENGTH) -> tuple[Unit, ...]:
    """Return `length` units that follow from mode and seed."""
    chance = Chance(seed * 0x1_0001 + sum(mode.name.encode()))
    encoder = Encoder(mode, chance)
    kinds = _weighted(mode.long or chance.one_in(8))
    return tuple(kinds[chance.below(len(kinds))](encoder) for _ in range(length))


def start_of(mode: Mode, seed: int) -> Start:
    """Return registers and data that follow from mode and seed."""
    return random_start(mode, f"{mode.name} {seed}".encode())


def build(mode: Mode, start: Start, units: Sequence[Unit]) -> Program:
    """Put units together to a program that ends with HLT."""
    code, places = bytearray(), []
    for index, unit in enumerate(units):
        begin = len(code)
        code += unit.code
        if unit.undefined and index + 1 < len(units):
            code += clear_flags(mode, unit.undefined)
        places.append((begin, len(code), unit))
    return Program(mode, start, bytes(code) + HLT, tuple(places))


def clear_flags(mode: Mode, flags: int) -> bytes:
    """Return PUSHF; AND [top of stack], ~flags; POPF."""
    if mode.bits == 16:
        return b"\x9c\x67\x81\x24\x24" + (~flags & 0xFFFF).to_bytes(2, "little") + b"\x9d"
    return b"\x9c\x81\x24\x24" + (~flags & 0xFFFF_FFFF).to_bytes(4, "little") + b"\x9d"
