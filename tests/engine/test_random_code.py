"""Random machine code never raises in the host, never hangs it and never crashes it.

Each batch of seeds runs in a process of its own, which says the seed before it begins with it:
`python tests/engine/test_random_code.py FIRST COUNT` repeats one.
"""

import random  # noqa: TID251 - chance is what this test is about
import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from struct import pack

import pytest

TICKS = 150_000
SLOWEST_SECONDS = 20
"""Of the host's time, for one seed: far more than any needs, and far less than for ever."""
GUIDED = [
    *(bytes([opcode]) for opcode in bytes.fromhex("cde6e4eeeceff38ecfcbea9af4fb9d17dbd9c5c462f067e8fff1")),
    *(bytes([0x0F, opcode]) for opcode in bytes.fromhex("000105070b2022233031323435383aa2aec7")),
    b"\x66\x0f", b"\xe6\xb2",
]  # fmt: skip
"""Openings of instructions that reach far into the engine."""


def random_code(chance: random.Random, length: int) -> bytes:
    """Bytes at random; half of the time with opcodes in it that do much."""
    if chance.random() < 0.4:
        return chance.randbytes(length)
    code = bytearray()
    while len(code) < length:
        code += chance.choice(GUIDED) if chance.random() < 0.5 else b""
        code += chance.randbytes(chance.randrange(1, 5))
    return bytes(code[:length])


def port_storm(chance: random.Random) -> bytes:
    """16-bit code: random values to random ports, then whatever."""
    code = bytearray()
    known = (0x20, 0x21, 0x40, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92, 0xA0, 0xA1, 0xB2, 0xCF9, 0x3C0,
             0x3D4, 0x3D5, 0x3F8, 0x3F9, 0x3FC, 0x4D0, 0xCF8, 0x1F7, 0x604)  # fmt: skip
    for _ in range(40):
        port = chance.choice(known) if chance.random() < 0.8 else chance.randrange(1 << 16)
        instruction = chance.choice((b"\xee", b"\xef", b"\x66\xef", b"\xec", b"\xed", b"\x66\xed"))
        code += b"\xba" + pack("<H", port) + b"\x66\xb8" + chance.randbytes(4) + instruction
    return bytes(code) + random_code(chance, 64)


def run_pc(chance: random.Random, seed: int) -> None:
    """A boot sector on a whole PC."""
    import minivm

    code = port_storm(chance) if seed % 3 == 0 else random_code(chance, 510)
    sector = (b"\xfb" if seed & 1 else b"") + code
    with minivm.boot(sector[:510].ljust(510, b"\x90") + b"\x55\xaa", memory="2M") as vm:
        if seed % 5 == 0:
            vm.memory[0x500:0x7C00] = random_code(chance, 0x7700)
        vm.run(ticks=TICKS)
        vm.step(100)
        vm.run(ticks=TICKS)


def run_bench(chance: random.Random, seed: int) -> None:
    """Code in any mode, with garbage in one of the tables."""
    from engine_bench import GDT, IDT, MODES, TABLES, Bench

    with Bench(chance.choice(MODES), random_code(chance, 2000)) as bench:
        head = bench.cpu.head
        for index in range(16):
            head.regs[index] = chance.choice((0x8000, chance.randrange(1 << 16), chance.randrange(1 << 64)))
        spoiled = chance.choice((None, None, GDT, IDT, TABLES, TABLES + 0x3000, 0x3000, 0))
        if spoiled is not None:
            length = chance.choice((8, 64, 1024))
            bench.memory[spoiled : spoiled + length] = chance.randbytes(length)
        if chance.random() < 0.3:
            head.tr.base, head.tr.limit, head.tr.flags = 0x6000, 0x67, 0x8B00
            bench.memory[0x6000:0x6068] = chance.randbytes(0x68)
        bench.engine.flush()
        bench.clock.after(chance.randrange(5000), bench.source.request)
        bench.clock.after(chance.randrange(9000), bench.engine.nmi)
        for _ in range(4):
            bench.machine.run(ticks=chance.randrange(1, TICKS // 2))
            bench.machine.step(chance.randrange(60))


def run_seed(seed: int) -> None:
    chance = random.Random(seed)
    (run_pc if seed % 2 else run_bench)(chance, seed // 2)


def run_batch(first: int, count: int) -> None:
    """Run the seeds one after the other, saying each before it begins."""
    for seed in range(first, first + count):
        print(seed, flush=True)
        began = time.perf_counter()
        run_seed(seed)
        seconds = time.perf_counter() - began
        if seconds > SLOWEST_SECONDS:
            raise AssertionError(f"seed {seed} took {seconds:.0f} s")


def assert_survives(first: int, count: int) -> None:
    command = [sys.executable, "-X", "faulthandler", __file__, str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=count * 2 + 60)
    said = done.stdout.split()
    assert done.returncode == 0, f"seed {said[-1] if said else '?'}: status {done.returncode}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("first", range(0, 80, 40))
def test_random_code_does_not_hurt_the_host(first: int) -> None:
    assert_survives(first, 40)


@pytest.mark.slow
@pytest.mark.timeout(2000)
@pytest.mark.parametrize("first", range(1000, 5000, 400))
def test_much_random_code_does_not_hurt_the_host(first: int) -> None:
    assert_survives(first, 400)


if __name__ == "__main__":
    spec = spec_from_file_location("engine_bench", Path(__file__).with_name("bench.py"))
    assert spec is not None and spec.loader is not None
    sys.modules["engine_bench"] = bench_module = module_from_spec(spec)
    spec.loader.exec_module(bench_module)
    run_batch(int(sys.argv[1]), int(sys.argv[2]))
