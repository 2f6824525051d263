"""Executed instructions are counted exactly, the same in both gears, and counting changes nothing of the run."""

from collections.abc import Callable, Iterable

import pytest
from engine_bench import CODE, MODES, Bench
from engine_programs import KINDS, Snippet, at_once, build, sliced, snippet, stepped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minivm
from minivm.core.keys import unescape
from minivm.engine import counting
from minivm.engine.scripted import ScriptedEngine
from minivm.engine.watch import Range
from minivm.machine import Ended, Machine

LONG = 20_000_000
GUESTS = ("hello-vga", "timer", "paging", "longmode", "tour", "syscall64", "tasks", "triplefault")
SHORT_LINES = sorted(set(KINDS) - {"long_line"})


def counted(
    mode: str, code: bytes, run: Callable[[Machine], Ended] = at_once, *, native: bool | None = None,
    watch: Iterable[Range] = (),
) -> tuple[int, Ended]:  # fmt: skip
    with Bench(mode, code, native=native) as bench:
        bench.engine.watch_memory(watch, None)
        bench.engine.count_instructions()
        ended = run(bench.machine)
        return bench.engine.instructions, ended


@pytest.mark.parametrize("name", ["INSTRUCTION", "BLOCK", "EXCEPTION"])
def test_the_machine_code_is_its_assembly(name: str) -> None:
    keystone = pytest.importorskip("keystone")
    assembled, _ = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(getattr(counting, f"{name}_ASSEMBLY"))
    assert bytes(assembled) == getattr(counting, f"{name}_CODE")


@pytest.mark.parametrize("native", [True, False], ids=["machine code", "Python"])
@pytest.mark.parametrize("run", [at_once, stepped, sliced(3)], ids=["run", "stepped", "sliced"])
def test_a_known_program_has_a_known_count(native: bool, run: Callable[[Machine], Ended]) -> None:
    """mov cx, 5; (dec cx; jnz) * 5; mov cx, 3; rep stosb (3, and the end); int 31h; inc; iret; mov; out; hlt."""
    code = bytes.fromhex("b90500 49 75fd b90300 bf00a0 f3aa cd31 b80700 e640 f4")
    assert counted("real", code, run, native=native) == (1 + 10 + 2 + 4 + 3 + 3, Ended("debug-exit", 7))


def test_an_instruction_that_faults_counts_and_again_when_it_is_tried_again() -> None:
    """xor cl, cl; div cl (its handler counts up and skips it: push mov add pop inc iret); mov; out; hlt."""
    assert counted("real", bytes.fromhex("30c9 f6f1 b80700 e640 f4"))[0] == 2 + 6 + 3


@pytest.mark.parametrize("run", [at_once, stepped], ids=["run", "stepped"])
def test_an_instruction_that_rewrites_its_block_counts_once(run: Callable[[Machine], Ended]) -> None:
    """Inc bx; mov byte [next], 43h; nop -> inc bx; mov; out; hlt."""
    code = bytes.fromhex("43 c606067c43 90 b80700 e640 f4")
    assert counted("real", code, run)[0] == 6


@pytest.mark.parametrize("run", [at_once, stepped], ids=["run", "stepped"])
def test_an_access_refused_by_a_watch_counts_once(run: Callable[[Machine], Ended]) -> None:
    """Inc bx; add [0A000h], bx; add bx, [0A010h]; inc bx; mov; out; hlt."""
    code = bytes.fromhex("43 011e00a0 031e10a0 43 b80700 e640 f4")
    watch = [Range(0xA000, 0xA002, False, True), Range(0xA010, 0xA012, True, False)]
    assert counted("real", code, run, watch=watch)[0] == 7


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(snippets=st.lists(snippet, min_size=1, max_size=8))
def test_all_ways_to_run_count_the_same(mode: str, snippets: list[Snippet]) -> None:
    code = build(mode, CODE, snippets)
    expected, ended = counted(mode, code)
    if ended.reason == "debug-exit":
        for run in (stepped, sliced(7, 90, 400)):
            assert counted(mode, code, run)[0] == expected
        assert counted(mode, code, native=False)[0] == expected


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.lists(st.tuples(st.sampled_from(SHORT_LINES), st.integers(0, 255), st.integers(0, 255)), max_size=8))
def test_counting_changes_nothing_of_the_run(mode: str, data: list[Snippet]) -> None:
    code = build(mode, CODE, data)
    outcomes = []
    for wanted in (False, True):
        with Bench(mode, code) as bench:
            bench.engine.count_instructions(wanted)
            outcomes.append(bench.outcome(at_once(bench.machine)))
    assert outcomes[0] == outcomes[1]


def boot(name: str) -> Machine:
    vm = minivm.boot(name)
    typed = next(guest.types for guest in minivm.bundled.guests() if guest.name == name)
    if typed:
        vm.type(unescape(typed))
    return vm


@pytest.mark.parametrize("name", GUESTS)
def test_a_guest_takes_as_many_steps_as_it_counts(name: str) -> None:
    """Each step that took ticks was an instruction; in the others a halted CPU slept."""
    with boot(name) as plain, boot(name) as run, boot(name) as walked:
        run.engine.count_instructions()
        plain.run_to(LONG)
        run.run_to(LONG)
        assert run.state_hash() == plain.state_hash()
        walked.engine.count_instructions()
        steps = 0
        while walked.now < run.now and walked.ended is None and steps < 12_000:
            before = walked.ticks
            walked.step()
            steps += walked.ticks > before
        assert walked.engine.instructions == steps > 100
        if walked.now == run.now:
            assert run.engine.instructions == steps


def test_counting_begins_at_zero_and_stops_where_it_is_told_to() -> None:
    with Bench("real", bytes.fromhex("43") * 20) as bench:
        engine = bench.engine
        bench.machine.step(3)
        assert engine.instructions == 0
        engine.count_instructions()
        bench.machine.step(4)
        assert engine.instructions == 4
        engine.count_instructions()
        bench.machine.step(2)
        assert engine.instructions == 2
        engine.count_instructions(False)
        bench.machine.step(5)
        assert engine.instructions == 2


def test_a_clone_begins_with_counting_off() -> None:
    with minivm.boot("tour") as vm:
        vm.engine.count_instructions()
        vm.run(ms=1)
        with vm.clone() as clone:
            clone.run(ms=1)
            assert clone.engine.instructions == 0
        assert vm.engine.instructions > 0


def test_the_scripted_engine_counts_ticks() -> None:
    engine = ScriptedEngine()
    engine.run(5)
    engine.count_instructions()
    engine.run(12)
    assert engine.instructions == 7
