"""Code that the host changes is never executed in its old translation, wherever the guest's tables show it."""

import pytest
from engine_bench import TABLES, Bench

LINEAR, PHYSICAL = 0x21_0000, 0x8000
INC_EAX, INC_EBX, HLT = b"\x40", b"\x43", b"\xf4"
FIRST_TABLE = TABLES + 0x3000


@pytest.fixture
def bench():
    """A paged guest whose code lies at one linear address only, and not at its physical one."""
    with Bench("paged", HLT) as made:
        for page, entry in ((LINEAR >> 12, PHYSICAL | 3), (PHYSICAL >> 12, 0)):
            made.memory[FIRST_TABLE + 4 * page : FIRST_TABLE + 4 * page + 4] = entry.to_bytes(4, "little")
        made.memory[PHYSICAL : PHYSICAL + 16] = INC_EAX * 8 + HLT * 8
        made.engine.flush()
        yield made


def run(bench: Bench, step: bool = False) -> tuple[int, int]:
    head = bench.cpu.head
    head.eip, bench.cpu.rax, bench.cpu.rbx = LINEAR, 0, 0
    bench.machine.ended, bench.machine.halted = None, False
    if step:
        bench.machine.step(8)
    else:
        bench.machine.run(ticks=6)
    return bench.cpu.rax, bench.cpu.rbx


@pytest.mark.parametrize("step", [False, True], ids=["run", "stepped"])
@pytest.mark.parametrize("length", [8, 4096], ids=["some bytes", "a whole page"])
def test_what_the_host_writes_is_executed(bench: Bench, step: bool, length: int) -> None:
    assert run(bench, step) == (8, 0)
    bench.memory.write(PHYSICAL, (INC_EBX * 8).ljust(length, HLT))
    assert run(bench, step) == (0, 8)


def test_forgetting_code_leaves_no_accessed_bits_behind(bench: Bench) -> None:
    run(bench)
    before = bench.memory[TABLES : TABLES + 0x5000]
    bench.memory.write(PHYSICAL, INC_EBX * 8)
    bench.memory.write(0x9000, INC_EBX * 8)
    assert bench.memory[TABLES : TABLES + 0x5000] == before
