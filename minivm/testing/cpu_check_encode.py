"""Encoding random operands: prefixes, ModRM, SIB, displacements and immediates (SDM vol. 2, chapter 2)."""

from minivm.core.record import record
from minivm.testing.cpu_check_start import Mode
from minivm.testing.cpu_differences import undefined_flags

_WORD = (1 << 64) - 1
_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
STACK_REGISTER = 4


class Chance:
    """Numbers that follow from a seed alone: the generator "splitmix64" (Steele, Lea and Flood, OOPSLA 2014)."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _WORD

    def bits(self) -> int:
        """Return 64 bits."""
        self._state = (self._state + 0x9E37_79B9_7F4A_7C15) & _WORD
        mixed = (self._state ^ self._state >> 30) * 0xBF58_476D_1CE4_E5B9 & _WORD
        mixed = (mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB & _WORD
        return mixed ^ mixed >> 31

    def below(self, limit: int) -> int:
        """Return a number in [0, limit)."""
        return self.bits() % limit

    def one_in(self, count: int) -> bool:
        """Return true once in `count` times."""
        return self.below(count) == 0

    def number(self) -> int:
        """Return 64 bits that are often an edge: 0, 1, a sign bit, all ones."""
        return _INTERESTING[self.below(len(_INTERESTING))] if self.one_in(3) else self.bits()


@record
class Unit:
    """What is generated, and dropped in shrinking, as a whole: one instruction, mostly, or a few that need each other.

    `mnemonic` is that of the one that the unit is about, `undefined` the mask of flags that it leaves undefined.
    """

    mnemonic: str
    code: bytes
    undefined: int = 0


class Encoder:
    """Makes instructions for one mode."""

    def __init__(self, mode: Mode, chance: Chance) -> None:
        self.mode = mode
        self.chance = chance
        self.bits = mode.bits

    # -- sizes and prefixes -------------------------------------------------------------------------------------------
    def size(self, *, bytes_too: bool = True) -> int:
        """Return an operand size in bits."""
        sizes = [16, 32, self.bits] + ([8, 8] if bytes_too else [])
        return sizes[self.chance.below(len(sizes))]

    def prefix(self, size: int) -> bytes:
        """Return the operand-size prefix that `size` needs; REX.W is `instruction`'s."""
        usual = 16 if self.bits == 16 else 32
        return b"\x66" if size in (16, 32) and size != usual else b""

    def immediate(self, size: int) -> bytes:
        """Return an immediate operand of at most 32 bits."""
        width = min(size, 32) // 8
        return (self.chance.number() & (1 << 8 * width) - 1).to_bytes(width, "little")

    def register(self, size: int = 32) -> int:
        """Return the number of a register that is not the stack pointer."""
        while True:
            number = self.chance.below(16 if self.bits == 64 else 8)
            if number != STACK_REGISTER or size == 8:
                return number

    # -- instructions -------------------------------------------------------------------------------------------------
    def instruction(
        self, opcode: bytes, reg: int, size: int, *, tail: bytes = b"", memory: bool | None = None,
        mandatory: bytes = b"", rm: int | None = None,
    ) -> bytes:  # fmt: skip
        """Return an instruction with a ModRM byte: `reg` is its register or opcode digit, the other operand is random.

        `memory` forces memory or a register, `rm` names the register; `mandatory` is a prefix that is part of the
        opcode.
        """
        if memory is None:
            memory = rm is None and self.chance.one_in(2)
        rex = (8 if size == 64 else 0) | (4 if reg >= 8 else 0)
        if memory:
            before, base_bits, modrm = self._memory(reg & 7)
        else:
            number = self.register(size) if rm is None else rm
            before, base_bits, modrm = b"", number >> 3, bytes([0xC0 | (reg & 7) << 3 | number & 7])
        rex |= base_bits
        wanted = rex or (self.bits == 64 and size == 8 and self.chance.one_in(2))
        return before + self.prefix(size) + mandatory + (bytes([0x40 | rex]) if wanted else b"") + opcode + modrm + tail

    def wide(self, opcode: int, size: int) -> bytes:
        """Return the opcode for bytes, or the one after it for words."""
        return bytes([opcode | (size != 8)])

    def _memory(self, reg: int) -> tuple[bytes, int, bytes]:
        """Return (prefix, REX bits, ModRM and what follows) of a random memory operand."""
        chance = self.chance
        if self.bits == 16:
            if chance.one_in(8) and not self.mode.flat:
                before, rex, code = self._memory_32(reg)
                return b"\x67" + before, rex, code
            return b"", 0, self._memory_16(reg)
        return self._memory_32(reg)

    def _memory_16(self, reg: int) -> bytes:
        chance = self.chance
        if chance.one_in(3):
            return bytes([reg << 3 | 6]) + chance.below(0x10000).to_bytes(2, "little")
        mod, rm = chance.below(3), chance.below(8)
        if mod == 0 and rm == 6:
            mod = 1
        return bytes([mod << 6 | reg << 3 | rm]) + chance.bits().to_bytes(8, "little")[:mod]

    def _memory_32(self, reg: int) -> tuple[bytes, int, bytes]:
        chance = self.chance
        if not chance.one_in(3):
            offset = self.mode.data_offset + chance.below(0xFFF0)
            absolute = b"\x25" if self.bits == 64 else b""
            return b"", 0, bytes([reg << 3 | (4 if absolute else 5)]) + absolute + offset.to_bytes(4, "little")
        base = (3, 5, 6, 7)[chance.below(4)]  # those that point into the data at first
        displacement = bytes([chance.below(256)])
        if chance.one_in(4):
            index = chance.below(8) if chance.one_in(3) else STACK_REGISTER  # which means none
            return b"", 0, bytes([0x44 | reg << 3, chance.below(4) << 6 | index << 3 | base]) + displacement
        return b"", 0, bytes([0x40 | reg << 3 | base]) + displacement

    def move_immediate(self, register: int, value: int, size: int) -> bytes:
        """Return MOV of a number into a register of 8, 16 or 32 bits below R8."""
        if size == 8:
            return bytes([0xB0 | register, value & 0xFF])
        return self.prefix(size) + bytes([0xB8 | register]) + (value & (1 << size) - 1).to_bytes(size // 8, "little")

    def unit(self, mnemonic: str, code: bytes, *, count: int = 0, size: int = 0) -> Unit:
        """Return a unit with the flags masked that the table says."""
        return Unit(mnemonic, code, undefined_flags(mnemonic, count, size))
