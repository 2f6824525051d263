"""Limits in virtual time and in instructions, on real machines."""

import pytest

import minivm
from minivm.errors import ConfigError, ExpectationFailed
from minivm.testing.watchdog import Limits, place_of

SPIN = b"\xeb\xfe"
NOPS = b"\x90" * 7 + b"\xeb\xf7"  # eight instructions a turn
HALT = b"\xfb\xf4\xeb\xfd"  # sti, hlt, and again


def sector(code):
    return code.ljust(510, b"\x00") + b"\x55\xaa"


@pytest.fixture
def boot():
    machines = []

    def make(code):
        machines.append(minivm.boot(sector(code)))
        return machines[-1]

    yield make
    for machine in machines:
        machine.close()


def test_a_run_without_end_ends_at_the_time_limit(boot):
    vm = boot(SPIN)
    vm.watchdog = Limits(vm, seconds=0.01)
    with pytest.raises(ExpectationFailed, match=r"0\.01 virtual seconds are over, at 0000:7C00"):
        vm.run()
    assert 10_000_000 <= vm.now < 10_000_100


def test_a_run_up_to_the_limit_is_allowed_and_one_beyond_is_not(boot):
    vm = boot(SPIN)
    vm.watchdog = Limits(vm, seconds=0.01)
    assert vm.run(ms=10).reason == "limit"
    with pytest.raises(ExpectationFailed, match="are over"):
        vm.run(ms=1)
    with pytest.raises(ExpectationFailed, match="are over"):
        vm.step()


def test_limits_count_from_where_they_are_attached(boot):
    vm = boot(SPIN)
    vm.run(ms=50)
    vm.watchdog = Limits(vm, seconds=0.01)
    assert vm.run(ms=9).reason == "limit"


def test_a_text_that_comes_just_before_the_limit_is_met(boot):
    vm = boot(b"\xb0\x41\xe6\xe9" + SPIN)  # mov al, "A"; out E9h, al
    vm.watchdog = Limits(vm, seconds=0.005)
    vm.expect("A", timeout=1)


def test_an_expectation_ends_at_the_limit(boot):
    vm = boot(SPIN)
    vm.watchdog = Limits(vm, seconds=0.05)
    with pytest.raises(ExpectationFailed, match=r"0\.05 virtual seconds are over"):
        vm.expect("never", timeout=1000)


@pytest.mark.parametrize("most", [1, 10, 1000, 100_000])
def test_a_run_ends_soon_after_so_many_instructions(boot, most):
    vm = boot(NOPS)
    vm.watchdog = limits = Limits(vm, instructions=most)
    with pytest.raises(ExpectationFailed, match="instructions are over"):
        vm.run()
    assert most <= limits.used < most + 8


def test_instructions_are_limited_in_the_step_gear_too(boot):
    vm = boot(NOPS)
    vm.watchdog = limits = Limits(vm, instructions=5)
    vm.step(5)
    assert limits.used == 5
    with pytest.raises(ExpectationFailed, match="5 instructions are over"):
        vm.step()


def test_a_cpu_that_sleeps_uses_up_no_instructions(boot):
    vm = boot(HALT)
    vm.watchdog = limits = Limits(vm, instructions=2000)
    vm.run(ms=500)
    assert vm.now >= 500_000_000
    assert limits.used < 2000


def test_a_limit_changes_nothing_in_the_run_before_it(boot):
    free, bound = boot(NOPS), boot(NOPS)
    bound.watchdog = Limits(bound, seconds=10, instructions=100_000_000)
    for vm in (free, bound):
        vm.run(ms=3)
    assert free.state_hash() == bound.state_hash()


def test_an_engine_that_cannot_count_is_refused(boot):
    vm = boot(SPIN)

    class Blind:
        name = "blind"

    vm.engine, engine = Blind(), vm.engine
    try:
        with pytest.raises(ConfigError, match="blind counts no instructions"):
            Limits(vm, instructions=5)
    finally:
        vm.engine = engine


def test_a_place_is_as_wide_as_its_mode(boot):
    vm = boot(SPIN)
    assert place_of(vm) == "F000:FFF0"
    vm.run(ms=1)
    assert place_of(vm) == "0000:7C00"
    with minivm.boot("longmode") as long:
        long.run_until(lambda vm: vm.cpu.mode == "64")
        assert len(place_of(long).partition(":")[2]) == 16
