"""RETF in real mode leads where it should, also while reads of memory are noted or watched."""

from collections.abc import Callable

import pytest
from engine_bench import CODE, Bench

from minivm.engine.watch import Range
from minivm.machine import Machine

LONG = 1_000_000
gears = pytest.mark.parametrize(
    "go", [lambda machine: machine.run(ticks=LONG), lambda machine: machine.step(10_000)], ids=["run", "step"]
)
watching = pytest.mark.parametrize("how", ["nothing", "noted", "watched"])
FAR = 0x8000
PROGRAMS = {
    # push 0; push FAR; retf ... FAR: inc bx; hlt
    "retf": "6a00 680080 cb",
    "retf 4": "6a11 6a22 6a00 680080 ca0400",
    "o32 retf": "666a00 666800800000 66cb",
    "in a loop": "b90500 51 6a00 680080 cb",
}
AT_FAR = {"in a loop": "43 59 e2 02 fa f4 68 00 00 68 03 7c cb", "retf": "43 fa f4", "retf 4": "43 fa f4", "o32 retf": "43 fa f4"}  # fmt: skip  # noqa: E501


@gears
@watching
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_far_return_leads_where_its_stack_says(name: str, how: str, go: Callable[[Machine], object]) -> None:
    with Bench("real", bytes.fromhex(PROGRAMS[name])) as bench:
        code = bytes.fromhex(AT_FAR[name])
        bench.memory[FAR : FAR + len(code)] = code
        if how == "noted":
            bench.engine.cover(reads=True)
        elif how == "watched":
            bench.engine.set_careful(lambda code, bits: False)
            bench.engine.watch_memory([Range(0x5_0000, 0x5_0001, True, False)], lambda *_: None)
        go(bench.machine)
        assert bench.machine.halted
        assert bench.cpu.bx == (5 if name == "in a loop" else 1)
        assert bench.cpu.linear_ip // 0x100 == FAR // 0x100
        assert bench.cpu.sp == 0x9000


def test_code_begins_where_the_programs_expect_it() -> None:
    assert CODE == 0x7C00
