"""TEST by its second opcode: F6h /1 and F7h /1, which processors execute and Unicorn takes for invalid.

Intel's manual leaves the slot empty, AMD's has it (APM vol. 3, table A-6, group 3), every processor since the 8086 does
the same there as in /0, and hand-made boot sectors use it.
"""

from typing import NamedTuple

from minivm.engine.cpustate import AF, CF, DS, HF_CS64, OF, PF, SF, SS, ZF
from minivm.engine.paging import Fault, Processor, read_bytes, read_linear

_BYTE_FORM, _WIDE_FORM = 0xF6, 0xF7
_TEST_AGAIN = 1
_SEGMENT_PREFIXES = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5}
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_REPEATS = (0xF2, 0xF3)
_LONGEST = 15
_BASES_16 = ((3, 6), (3, 7), (5, 6), (5, 7), (6,), (7,), (5,), (3,))  # SDM vol. 2, table 2-1: BX+SI, BX+DI, ...
_CLEARED = CF | PF | AF | ZF | SF | OF


class _Shape(NamedTuple):
    """An instruction's prefixes: where the opcode is, sizes in bytes, the segment override, REX."""

    at: int
    operand: int
    address: int
    segment: int | None
    rex: int


def execute(processor: Processor) -> int:
    """Execute the instruction at CS:IP if it is such a TEST; return its length, or 0 when it is something else.

    Flags change, the instruction pointer does not. Raises `Fault` when the operand cannot be read.
    """
    code = _code(processor)
    shape = _prefixes(code, processor.cpu.code_bits)
    rest = code[shape.at :]
    if len(rest) < 3 or rest[0] not in (_BYTE_FORM, _WIDE_FORM) or rest[1] >> 3 & 7 != _TEST_AGAIN:
        return 0
    size = 1 if rest[0] == _BYTE_FORM else shape.operand
    immediate_size = min(size, 4)
    length = shape.at + 2 + _address_length(rest, shape)
    immediate = code[length : length + immediate_size]
    if len(immediate) < immediate_size:
        return 0
    value = _operand(processor, rest, shape, size, length + immediate_size)
    _set_flags(processor, value & int.from_bytes(immediate, "little", signed=size == 8), size)
    return length + immediate_size


def _code(processor: Processor) -> bytes:
    for length in (_LONGEST, 8, 4, 3):
        try:
            return read_bytes(processor, processor.cpu.linear_ip, length)
        except Fault:
            continue
    return b""


def _prefixes(code: bytes, bits: int) -> _Shape:
    wide_operand, wide_address, segment, rex, at = bits != 16, bits != 16, None, 0, 0
    for at, byte in enumerate(code):  # noqa: B007 - where the loop ends is the result
        if byte in _SEGMENT_PREFIXES:
            segment = _SEGMENT_PREFIXES[byte]
        elif byte == _OPERAND_SIZE:
            wide_operand = bits == 16
        elif byte == _ADDRESS_SIZE:
            wide_address = bits == 16
        elif bits == 64 and byte & 0xF0 == 0x40:
            rex = byte
            continue
        elif byte not in _REPEATS:
            break
        rex = 0  # REX counts only right before the opcode
    operand = 8 if rex & 8 else 4 if wide_operand else 2
    address = (8 if wide_address else 4) if bits == 64 else 4 if wide_address else 2
    return _Shape(at, operand, address, segment, rex)


def _address_length(rest: bytes, shape: _Shape) -> int:
    """Return how many bytes of SIB and displacement follow ModRM."""
    mode, rm = rest[1] >> 6, rest[1] & 7
    if mode == 3:
        return 0
    if shape.address == 2:
        return 2 if mode == 2 or (mode == 0 and rm == 6) else mode
    sib = int(rm == 4)
    base = rest[2] & 7 if sib else rm
    displacement = 4 if mode == 2 or (mode == 0 and base == 5) else mode
    return sib + displacement


def _operand(processor: Processor, rest: bytes, shape: _Shape, size: int, length: int) -> int:
    cpu = processor.cpu
    mode, rm = rest[1] >> 6, rest[1] & 7
    if mode == 3:
        index = rm | (shape.rex & 1) << 3
        if size == 1 and not shape.rex and rm >= 4:  # AH, CH, DH, BH
            return int(cpu.head.regs[rm - 4] >> 8 & 0xFF)
        return int(cpu.head.regs[index] & (1 << 8 * size) - 1)
    offset, segment = _offset_16(processor, rest) if shape.address == 2 else _offset_32(processor, rest, shape, length)
    segment = segment if shape.segment is None else shape.segment
    base = 0 if cpu.head.hflags & HF_CS64 and segment < 4 else cpu.head.segs[segment].base
    return read_linear(processor, base + (offset & (1 << 8 * shape.address) - 1), size, user=cpu.cpl == 3)


def _offset_16(processor: Processor, rest: bytes) -> tuple[int, int]:
    regs = processor.cpu.head.regs
    mode, rm = rest[1] >> 6, rest[1] & 7
    if mode == 0 and rm == 6:
        return int.from_bytes(rest[2:4], "little"), DS
    offset = sum(regs[register] for register in _BASES_16[rm])
    offset += int.from_bytes(rest[2 : 2 + mode], "little", signed=True)
    return offset, SS if rm in (2, 3, 6) else DS


def _offset_32(processor: Processor, rest: bytes, shape: _Shape, length: int) -> tuple[int, int]:
    cpu = processor.cpu
    regs, rex = cpu.head.regs, shape.rex
    mode, rm, at, offset = rest[1] >> 6, rest[1] & 7, 2, 0
    base = rm
    if rm == 4:
        sib, at = rest[2], 3
        base, index = sib & 7, (sib >> 3 & 7) | (rex & 2) << 2
        offset = 0 if index == 4 else regs[index] << (sib >> 6)
    if mode == 0 and base == 5:
        offset += int.from_bytes(rest[at : at + 4], "little", signed=True)
        relative = rm == 5 and cpu.code_bits == 64
        return offset + (cpu.rip + length if relative else 0), DS
    offset += regs[base | (rex & 1) << 3]
    offset += int.from_bytes(rest[at : at + (0, 1, 4)[mode]], "little", signed=True)
    return offset, SS if base in (4, 5) and not rex & 1 else DS


def _set_flags(processor: Processor, result: int, size: int) -> None:
    """CF and OF are 0, SF, ZF and PF follow the result, AF is undefined (SDM vol. 2, TEST): here 0, as in QEMU."""
    cpu = processor.cpu
    sign = SF if result >> (8 * size - 1) & 1 else 0
    zero = 0 if result & (1 << 8 * size) - 1 else ZF
    parity = 0 if (result & 0xFF).bit_count() & 1 else PF
    cpu.rflags = (cpu.rflags & ~_CLEARED) | sign | zero | parity
