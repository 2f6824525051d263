"""Measure the test kit: `python tests/benchmarks/testkit_speed.py [REPEATS]` prints JSON.

`bench_s`: 1,000 tests of a chip on a `DeviceBench`, a fresh bench each, from pytest's own start to its end.

`fork`: what a test of the fixture `booted` costs beside its own body, set-up and teardown by pytest included, in
milliseconds; `empty`: the same of a test without fixtures. `fork_inside`: of `fork`, what MiniVM itself takes.
`alone_s` and `two_workers_s`: 200 tests that each type a command and wait for its answer, in one process and by two
workers of pytest-xdist, from the first test's start to the last one's end as pytest reports it; `speedup` compares
them, with the workers' own start left out. Best of the repeats.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import minivm

BENCH_TESTS = 1000
TESTS = 200
"""So many guest tests are spread over the workers."""
FORKS = 300

COST = """
import time
import pytest
pytestmark = pytest.mark.minivm_guest("shell", ready="> ")

@pytest.mark.parametrize("number", range({count}))
def test_it({fixture}number):
    pass
"""
WORK = """
import pytest
pytestmark = pytest.mark.minivm_guest("shell", ready="> ")

@pytest.mark.parametrize("number", range({count}))
def test_it(booted, number):
    for turn in range({turns}):
        booted.type(f"echo {{number}}-{{turn}}\\n")
        booted.expect(f"{{number}}-{{turn}}\\n>")
"""
BENCH = """
import pytest
from minivm.devices.uart import Uart
from minivm.testing import DeviceBench

@pytest.mark.parametrize("number", range({count}))
def test_a_character_is_sent(number):
    bench = DeviceBench(Uart, base=0x3F8)
    bench.write("LCR", 0x83)
    bench.write("DLL", 1)
    bench.write("DLM", 0)
    bench.write("LCR", 0x03)
    bench.write("THR", number & 0xFF)
    bench.step(us=87)
    assert bench.output("transmit").values == [number & 0xFF]
    assert bench.read("LSR") == 0x60
"""
CONFTEST = """
import json, time
from pathlib import Path
import pytest

begun = []

def pytest_runtest_logstart():
    begun.append(time.perf_counter())

def pytest_sessionfinish(session):
    # In one process, and in the controller of xdist: from the first test handed out to the end of the last.
    if not hasattr(session.config, "workerinput") and begun:
        Path("seconds.json").write_text(json.dumps(time.perf_counter() - begun[0]))
"""


def seconds_of(tests: str, *options: str) -> float:
    """Return how long a session's tests take, from the first one's start, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "conftest.py").write_text(CONFTEST)
        (place / "test_it.py").write_text(textwrap.dedent(tests))
        (place / "pytest.ini").write_text("[pytest]\naddopts = -q -p no:cacheprovider\n")
        command = [sys.executable, "-m", "pytest", *options]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode or not re.search(r"\d+ passed", done.stdout):
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return float(json.loads((place / "seconds.json").read_text()))


def cost_ms(fixture: str, repeats: int, count: int = FORKS) -> float:
    """Return what one test costs that only asks for `fixture` ("booted, ", or "" for none), in milliseconds."""
    few, many = (
        min(seconds_of(COST.format(count=number, fixture=fixture)) for _ in range(repeats))
        for number in (10, count + 10)
    )
    return (many - few) / count * 1000  # the guest's boot and the start are in both


def fork_inside_ms(repeats: int) -> float:
    """Return how long a clone's making and closing take, the median of many."""
    found = []
    with minivm.boot("shell") as vm:
        vm.expect("> ")
        for _ in range(50 * repeats):
            begin = time.perf_counter()
            vm.clone().close()
            found.append(time.perf_counter() - begin)
    return statistics.median(found) * 1000


def workers_s(repeats: int, *options: str, count: int = TESTS, turns: int = 4) -> float:
    """Return how long so many guest tests take, each with `turns` commands typed and answered."""
    return min(seconds_of(WORK.format(count=count, turns=turns), *options) for _ in range(repeats))


def bench_s(repeats: int) -> float:
    """Return how long 1,000 bench tests take, pytest's whole process included."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        seconds_of(BENCH.format(count=BENCH_TESTS))
        found.append(time.perf_counter() - begin)
    return min(found)


def measure(repeats: int) -> dict[str, float]:
    """Return every figure."""
    # By turns, so that a busy moment of the host hits both.
    alone, two = (
        min(times) for times in zip(*((workers_s(1), workers_s(1, "-n", "2")) for _ in range(repeats)), strict=True)
    )
    return {
        "bench_s": bench_s(repeats),
        "fork": cost_ms("booted, ", repeats),
        "empty": cost_ms("", repeats),
        "fork_inside": fork_inside_ms(repeats),
        "alone_s": alone,
        "two_workers_s": two,
        "speedup": alone / two,
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
