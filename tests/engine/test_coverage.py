"""Coverage: which bytes ran, and which were read and written; the same in both gears, and with the hook in Python."""

import pytest
from engine_bench import MODES, Bench
from engine_programs import build

from minivm.engine.coverage import EXECUTED, READ, WRITTEN

CODE = 0x7C00
# mov al, [0A100h]; mov [0A202h], ax; jmp over a byte; (skipped) inc bx; out 40h, al after mov ax, 7
PROGRAM = bytes.fromhex("a000a1 a302a2 eb01 43 b80700 e640 f4")


@pytest.mark.parametrize("native", [True, False], ids=["machine code", "Python"])
@pytest.mark.parametrize("steps", [True, False], ids=["stepped", "run"])
def test_what_ran_was_read_and_was_written_is_marked(native: bool, steps: bool) -> None:
    with Bench("real", PROGRAM, native=native) as bench:
        bench.engine.cover(reads=True)
        while bench.machine.ended is None:
            bench.machine.step() if steps else bench.machine.run(ticks=1000)
        coverage = bench.engine.coverage
        assert coverage is not None
        assert coverage.ran(CODE, 14) == bytes([1] * 8 + [0] + [1] * 5)
        assert coverage.touched(0xA0FF, 3) == bytes([0, READ, 0])
        assert coverage.touched(0xA201, 4) == bytes([0, WRITTEN, WRITTEN, 0])
        assert coverage.touched(CODE + 7, 2) == bytes([EXECUTED, 0])


@pytest.mark.parametrize("mode", MODES)
def test_marks_change_nothing_of_the_run(mode: str) -> None:
    code = build(mode, CODE, [("memory", 3, 8), ("loop", 9, 2), ("repeat", 20, 0), ("rewrite", 2, 1), ("call", 0, 0)])
    outcomes = []
    for covered in (False, True):
        with Bench(mode, code) as bench:
            if covered:
                bench.engine.cover(reads=True)
            outcomes.append(bench.outcome(bench.machine.run(ticks=100_000)))
    assert outcomes[0] == outcomes[1]


def test_accesses_are_noted_only_while_somebody_wants_them() -> None:
    with Bench("real", PROGRAM) as bench:
        bench.engine.cover()
        bench.machine.step(2)
        bench.engine.cover(reads=True)
        bench.memory[0xA300] = b"x"
        bench.engine.cover(reads=False)
        bench.memory[0xA301] = b"x"
        assert bench.engine.coverage is not None
        assert bench.engine.coverage.touched(0xA202, 1) == b"\0"
        assert bench.engine.coverage.touched(0xA300, 2) == bytes([WRITTEN, 0])
        assert bench.engine.coverage.ran(CODE, 7) == bytes([1] * 6 + [0])
