"""Tests of the traffic light: first the device without any CPU, then the guest that drives it.

Run:    pytest      (in this folder)
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from traffic_light import ALL_RED, BUTTON, CONFLICT, TIME_UP, CrossingState, TrafficLight

import minivm
from minivm import Machine
from minivm.testing import DeviceBench

CARS_GO, WALKERS_GO, CARS_STOP = 0x0C, 0x11, 0x0A
HERE = Path(__file__).parent


# -- the device -----------------------------------------------------------------------------------------------------
@pytest.fixture
def bench() -> DeviceBench:
    return DeviceBench(TrafficLight, base=0x500)


def line_is_high(bench: DeviceBench) -> bool:
    return bench.line("IRQ5").level


def test_all_is_red_at_power_on(bench: DeviceBench) -> None:
    assert [bench.read(register) for register in ("LAMPS", "STATUS", "TIMER")] == [ALL_RED, 0, 0]
    assert not line_is_high(bench)


def test_lamps_light_as_written_and_the_host_sees_each_change_once(bench: DeviceBench) -> None:
    for lamps in (CARS_GO, CARS_GO, CARS_STOP):
        bench.write("LAMPS", lamps)
        assert bench.read("LAMPS") == lamps
    assert bench.output("output").data == b"cars green, walkers red\r\ncars amber, walkers red\r\n"


def test_the_timer_raises_the_line_when_its_time_is_up_and_not_before(bench: DeviceBench) -> None:
    bench.write("TIMER", 15)
    bench.step(ns=1_499_999_999)
    assert not line_is_high(bench)
    assert bench.read("TIMER") == 1
    bench.step(ns=1)
    assert line_is_high(bench)
    assert bench.read("STATUS") == TIME_UP


def test_a_timer_that_is_stopped_or_set_anew_does_not_ring_for_the_old_time(bench: DeviceBench) -> None:
    bench.write("TIMER", 10)
    bench.write("TIMER", 30)
    bench.step(s=2)
    bench.write("TIMER", 0)
    bench.step(s=9)
    assert not line_is_high(bench)


def test_the_line_falls_when_all_that_happened_is_cleared(bench: DeviceBench) -> None:
    bench.write("TIMER", 1)
    bench.step(s=1)
    bench.feed("feed", b"press")
    bench.write("STATUS", BUTTON)
    assert line_is_high(bench)
    bench.write("STATUS", TIME_UP)
    assert not line_is_high(bench)


def test_green_for_both_makes_all_red_until_a_reset(bench: DeviceBench) -> None:
    bench.write("LAMPS", 0x14)
    bench.write("STATUS", 0xFF)
    bench.write("LAMPS", CARS_GO)
    assert (bench.read("LAMPS"), bench.read("STATUS")) == (ALL_RED, CONFLICT)
    bench.device.reset()
    bench.write("LAMPS", CARS_GO)
    assert bench.read("LAMPS") == CARS_GO


def test_a_light_that_is_restored_goes_on_as_the_first_one_would(bench: DeviceBench) -> None:
    bench.write("LAMPS", WALKERS_GO)
    bench.write("TIMER", 20)
    bench.feed("feed", b"press")
    assert bench.device.state() == CrossingState(WALKERS_GO, BUTTON, 2_000_000_000)
    other = bench.check_round_trip()
    other.step(s=2)
    assert other.read("STATUS") == BUTTON | TIME_UP


# -- the guest ------------------------------------------------------------------------------------------------------
@pytest.fixture
def crossing() -> Iterator[Machine]:
    with minivm.boot(HERE / "crossing.asm", devices=[("port", 0x500, TrafficLight, {"irq": 5})]) as vm:
        vm.expect("cars green")
        yield vm


def lamps_every_100_ms(vm: Machine, seconds: int) -> list[int]:
    """Return the lamps that are seen, each as often as it is seen in a row."""
    seen = []
    for _ in range(10 * seconds):
        vm.run(ms=100)
        seen.append(vm.ports.read(0x500, 1))
    return seen


def test_cars_have_green_as_long_as_nobody_comes(crossing: Machine) -> None:
    assert set(lamps_every_100_ms(crossing, 20)) == {CARS_GO}


def test_who_presses_the_button_gets_five_seconds_of_green(crossing: Machine) -> None:
    crossing.feed("TrafficLight", b"press")
    seen = lamps_every_100_ms(crossing, 20)
    assert list(dict.fromkeys(seen)) == [CARS_STOP, ALL_RED, WALKERS_GO, 0x0B, CARS_GO]
    assert seen.count(WALKERS_GO) == 50


def test_a_key_works_as_the_button_does(crossing: Machine) -> None:
    crossing.type(" ")
    crossing.expect("walkers green", timeout=4)


def test_a_button_pressed_at_any_instruction_of_the_handler_is_not_lost(crossing: Machine) -> None:
    crossing.feed("TrafficLight", b"press")
    crossing.run_until(lambda vm: vm.ports.read(0x501, 1) & TIME_UP != 0)
    for _ in range(25):
        crossing.step()
        with crossing.clone() as vm:
            vm.feed("TrafficLight", b"press")
            vm.run(ms=15_000)
            assert vm.ports.read(0x500, 1) == CARS_GO
            assert vm.ports.read(0x501, 1) == 0


def test_a_clone_crosses_in_step_with_its_original(crossing: Machine) -> None:
    crossing.feed("TrafficLight", b"press")
    crossing.run(ms=2500)
    with crossing.clone() as clone:
        assert lamps_every_100_ms(clone, 12) == lamps_every_100_ms(crossing, 12)
        assert clone.state_hash() == crossing.state_hash()


def test_a_recorded_press_comes_again_at_its_tick(tmp_path: Path) -> None:
    light = [("port", 0x500, TrafficLight)]
    with minivm.boot(HERE / "crossing.asm", devices=light, record=tmp_path / "run.mvr") as vm:
        vm.run(ms=1234)
        vm.feed("TrafficLight", b"press")
        vm.run(ms=4000)
    with minivm.replay(tmp_path / "run.mvr", devices=light) as replay:
        assert replay.run().identical
        assert replay.machine.ports.read(0x500, 1) == WALKERS_GO
