"""LOOPE, LOOPNE, CMPXCHG8B and CMPXCHG16B leave the flags that the manual says, wherever they stand."""

from typing import Any

import pytest
from engine_bench import CODE, MODES, Bench

from minivm.engine import unsound
from minivm.engine.cpustate import AF, CF, OF, PF, SF, ZF

ARITHMETIC = CF | PF | AF | ZF | SF | OF
DATA = 0x600
WAYS = ("run", "sliced", "stepped")
every_way = pytest.mark.parametrize("way", WAYS)
every_mode = pytest.mark.parametrize("mode", MODES)
# The first block that an engine translates is told of to nobody; one behind a jump is.
either_block = pytest.mark.parametrize("before", ["", "eb00"], ids=["in the first block", "in a later block"])


def go(bench: Bench, way: str = "run") -> None:
    """Run to HLT."""
    for _ in range(20_000):
        if way == "stepped":
            bench.machine.step(1)
        else:
            bench.machine.run(ticks=5 if way == "sliced" else 100_000)
        if bench.machine.halts:
            return
    raise AssertionError("no HLT")


def flags_behind(mode: str, code: str, way: str = "run", *, native: bool | None = None, data: bytes = b"") -> int:
    """Return all flags at the HLT behind `code`, and see that PUSHF stores the same."""
    with Bench(mode, bytes.fromhex(code) + b"\x9c\x5b\xf4", native=native) as bench:
        bench.memory[DATA : DATA + len(data)] = data
        go(bench, way)
        assert bench.cpu.head.regs[3] == bench.cpu.rflags
        return bench.cpu.rflags


def move(mode: str, register: int, value: int) -> str:
    """MOV of a number to AX (0), CX (1), DX (2) or BX (3), and in wide modes to the 32-bit register."""
    width = 2 if mode in ("real", "16") else 4
    return (bytes([0xB8 | register]) + value.to_bytes(width, "little")).hex()


def increment(mode: str) -> str:
    return "ffc0" if mode == "long" else "40"


def loop_behind_arithmetic(mode: str, loop: str, prefix: str = "", value: int = 0xD57E) -> str:
    """ROL BH, 1 of 07h, which clears CF; then CX = 1, INC of `value`, and the loop, which CX ends."""
    setup = move(mode, 0, value) + move(mode, 3, 0x7A0) + "b101d2c7" + move(mode, 1, 1)
    back = -(len(increment(mode) + prefix) // 2 + 2) & 0xFF
    return f"{setup}{increment(mode)}{prefix}{loop}{back:02x}"


def flags_of_increment(mode: str, value: int) -> int:
    """What INC leaves, SDM vol. 2, with CF clear."""
    sign = 0x8000 if mode in ("real", "16") else 0x8000_0000
    result = value + 1 & 2 * sign - 1
    found = 0 if (result & 0xFF).bit_count() & 1 else PF
    found |= ZF if result == 0 else 0
    found |= SF if result & sign else 0
    found |= OF if result == sign else 0
    return found | (AF if not result & 0xF else 0)


# -- LOOPE and LOOPNE -------------------------------------------------------------------------------------------------
@every_way
@either_block
def test_loopne_that_ends_by_cx_keeps_the_flags_of_the_arithmetic_before_it(before: str, way: str) -> None:
    """By hand: INC of D57Eh gives D57Fh, so SF alone; ROL of 07h has cleared CF; IF is off."""
    code = f"fa {before} b87ed5 b90100 bba007 b101 d2c7 b90100 40 e0fd"
    assert flags_behind("real", code, way) == 0x82


@every_mode
@pytest.mark.parametrize("value", [0xD57E, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF])
@pytest.mark.parametrize("loop", ["e0", "e1"])
def test_the_end_by_cx_leaves_the_flags_alone(mode: str, loop: str, value: int) -> None:
    value &= 0xFFFF if mode in ("real", "16") else 0xFFFF_FFFF
    expected = flags_of_increment(mode, value)
    for before in ("", "eb00"):
        found = [flags_behind(mode, before + loop_behind_arithmetic(mode, loop, "", value), way) for way in WAYS]
        assert found == [2 | expected] * 3


@pytest.mark.parametrize("prefix", ["66", "67", "f2", "2e", "3e64", "66672ef3"])
def test_prefixes_change_nothing(prefix: str) -> None:
    for mode in ("real", "32"):
        code = "eb00" + loop_behind_arithmetic(mode, "e1", prefix)
        expected = 2 | flags_of_increment(mode, 0xD57E)
        assert [flags_behind(mode, code, way) for way in WAYS] == [expected] * 3


@either_block
def test_the_hook_in_python_does_the_same(before: str) -> None:
    assert flags_behind("real", before + loop_behind_arithmetic("real", "e0"), native=False) == 0x82


def test_new_code_at_the_same_address_is_mended_too() -> None:
    """First code without such an instruction, then with one, then with one of another kind."""
    with Bench("real") as bench:
        for code, expected in (
            ("eb00 b80100 40 90 90 90", 0),
            ("eb00" + loop_behind_arithmetic("real", "e0"), SF),
            ("eb00" + loop_behind_arithmetic("real", "e1", "66", 0xFFFF), ZF | PF | AF),
        ):
            bench.memory.write(CODE, bytes.fromhex(code) + b"\xeb\xfe")
            bench.cpu.head.eip = CODE
            bench.machine.run(ticks=100)
            assert bench.cpu.rflags & ARITHMETIC == expected


def test_an_engine_that_takes_over_before_the_loop_begins_with_it() -> None:
    """A clone's first block is told of to nobody."""
    code = bytes.fromhex("eb00" + loop_behind_arithmetic("real", "e0")) + b"\x9c\x5b\xf4"
    with Bench("real", code) as first, Bench("real", code) as second:
        first.machine.step(1)
        second.engine.restore(first.engine.state())
        go(second)
        assert second.cpu.rflags == 0x82


@pytest.mark.parametrize("way", ["run", "stepped"])
def test_more_places_than_there_are_hooks(way: str) -> None:
    """Each place adds to DX the flags that its INC has left."""
    places = unsound.MOST_HOOKS + 20  # in one block each
    code, expected = "", 0
    for number in range(places):
        value = number * 0xE35 & 0xFFFF
        code += f"{move('real', 0, value)} b90100 85c0 40 e0fd 9c 5b 01da"
        expected += 2 | flags_of_increment("real", value)
    with Bench("real", bytes.fromhex(f"fa 31d2 {code}") + b"\xf4") as bench:
        go(bench, way)
        assert bench.cpu.head.regs[2] == expected & 0xFFFF


# -- CMPXCHG8B and CMPXCHG16B -----------------------------------------------------------------------------------------
PLACES = {"real": "0e0006", "16": "0e0006", "32": "0d00060000", "paged": "0d00060000", "long": "0c2500060000"}


@every_mode
@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("equal", [True, False])
def test_a_wide_exchange_changes_zf_alone(mode: str, size: int, equal: bool) -> None:
    """By hand: ADD of 7Fh and 1 sets SF, OF and AF."""
    rex = "48" if size == 16 and mode == "long" else ""
    if size == 16 and not rex:
        pytest.skip("CMPXCHG16B is for 64-bit code")
    clear_edx = "6631d2" if mode in ("real", "16") else "31d2"
    arithmetic = clear_edx + "f9" + move(mode, 0, 0x7F) + "0401"
    data = (0x80 if equal else 0x81).to_bytes(size, "little")
    expected = 2 | SF | OF | AF | (ZF if equal else 0)
    for lock in ("", "f0"):
        code = f"{arithmetic} {lock} {rex} 0fc7 {PLACES[mode]}"
        for before in ("", "eb00"):
            found: list[Any] = [flags_behind(mode, before + code, way, data=data) for way in WAYS]
            assert found == [expected] * 3


def test_two_such_instructions_in_a_block() -> None:
    """Behind SUB and ADD; of the second of two behind ADD the translator still loses the flags (the table's row)."""
    add, sub = "b87f000401", "b880002c01"
    code = f"{sub} 0fc70e0006 {add} 0fc70e0006"
    assert [flags_behind("real", code, way) for way in WAYS] == [2 | SF | OF | AF] * 3
    code = f"{add} 0fc70e0006 {add} 0fc70e0006"
    assert flags_behind("real", code, "stepped") == 2 | SF | OF | AF != flags_behind("real", code)


def test_a_hook_goes_with_its_instruction() -> None:
    """Where a hooked instruction faults, Unicorn pushes wrong flags: ADD sets OF, SF, AF, and DIV by 0 follows."""
    loop = bytes.fromhex("eb00 90909090 e1fe eb fe")
    divide = bytes.fromhex("eb00 b07f 0401 f6f1 ebfe")
    with Bench("real", loop) as bench:
        bench.machine.run(ticks=100)
        bench.memory.write(CODE, divide)
        bench.memory[0:4] = (CODE + 8).to_bytes(4, "little")  # DIV's handler: stand still
        bench.cpu.head.eip, bench.cpu.head.regs[1] = CODE, 0
        bench.machine.run(ticks=100)
        pushed = int.from_bytes(bench.memory[bench.cpu.head.regs[4] + 4 : bench.cpu.head.regs[4] + 6], "little")
        assert pushed & ARITHMETIC == SF | OF | AF


def test_the_machine_code_is_what_the_assembly_says() -> None:
    keystone = pytest.importorskip("keystone")
    assembled, _ = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(unsound.ASSEMBLY)
    assert bytes(assembled) == unsound.MACHINE_CODE
