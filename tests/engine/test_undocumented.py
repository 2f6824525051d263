"""TEST by its second opcode does what TEST by its first one does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm

CODE, DATA = 0x7E00, 0x8000
FLAGS = 0x8D5 & ~0x10  # AF is undefined after TEST


def run(body: bytes, registers: dict[str, int]) -> tuple[int, int]:
    """Execute one instruction in real mode; return where IP is then, and the flags that it sets."""
    with minivm.boot((b"\xf4" * 510) + b"\x55\xaa") as vm:
        vm.run_until(lambda vm: vm.cpu.rip == 0x7C00)
        vm.memory.write(CODE, body + b"\xf4")
        vm.memory.write(DATA, bytes(range(0x71, 0xF1)))
        vm.cpu.rip = CODE
        vm.cpu.ds = vm.cpu.ds_base = vm.cpu.ss = vm.cpu.ss_base = 0
        for name, value in registers.items():
            setattr(vm.cpu, name, value)
        vm.cpu.rflags = 0x8D7
        vm.step()
        return vm.cpu.rip - CODE, vm.cpu.rflags & FLAGS


def second_form(body: bytes) -> bytes:
    """Turn the F6h/F7h /0 in `body` into /1."""
    at = next(place for place, byte in enumerate(body) if byte in (0xF6, 0xF7))
    return body[: at + 1] + bytes([body[at + 1] | 0x08]) + body[at + 2 :]


REGISTERS = {"eax": 0x8001, "ebx": DATA, "ecx": 0xFF80, "edx": 0x55AA, "esi": 4, "edi": 8, "ebp": DATA + 16}


@pytest.mark.parametrize(
    "body",
    [
        "f6 c0 01", "f6 c4 80", "f7 c0 0080", "66 f7 c1 80ff0000", "f6 07 71", "f6 00 ff", "f6 4203 01",
        "f7 86 1000 ff00", "f6 06 0580 f0", "36 f6 05 01", "67 f6 03 0f", "67 f6 4433 02 f0",
        "67 f6 045d 00000000 80", "66 67 f7 45 04 01020304", "67 f6 05 00800000 ff", "f7 c3 0000",
    ],
)  # fmt: skip
def test_the_second_form_sets_the_flags_of_the_first(body):
    first = bytes.fromhex(body)
    assert run(second_form(first), REGISTERS) == run(first, REGISTERS)


@settings(max_examples=60)
@given(st.integers(0, 255), st.binary(min_size=10, max_size=10), st.sampled_from([b"", b"\x66", b"\x67", b"\x66\x67"]))
def test_any_operand_is_decoded_alike(modrm, tail, prefixes):
    first = prefixes + bytes([0xF7, modrm & 0xC7]) + tail
    registers = REGISTERS | {"esp": 0x6000}
    assert run(second_form(first), registers) == run(first, registers)


def test_in_64_bit_code_rex_and_rip_relative_operands_are_understood():
    first = bytes.fromhex("48 f7 c0 00000080  f6 05 f2ffffff 01  41 f6 c1 80")
    from minivm.engine.undocumented import _address_length, _prefixes

    shape = _prefixes(first, 64)
    assert (shape.at, shape.operand, shape.rex) == (1, 8, 0x48)
    assert _address_length(first[7:], _prefixes(first[7:], 64)) == 4


def test_other_invalid_opcodes_stay_invalid():
    source = bytes.fromhex("31c0 8ed8 c7061800 207c c7061a00 0000 0f0b").ljust(0x20, b"\x90") + b"\xfa\xf4"
    with minivm.boot(source.ljust(510, b"\0") + b"\x55\xaa") as vm:
        assert vm.run(ms=10).reason == "halted"
        assert vm.exits["exceptions"] == 1
