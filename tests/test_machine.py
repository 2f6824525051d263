"""The machine's loop, on the scripted engine: alarms, interrupts, sleep, resets, ends, and where a run stops."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from minivm.core.bus import Bus
from minivm.core.clock import NEVER, Clock
from minivm.core.memory import MIB, AddressSpace, Memory, Region
from minivm.engine.base import Attention, Autopsy, Breakpoint, Engine, Halted, Ran, Shutdown, Stopped
from minivm.engine.cpustate import IF
from minivm.engine.scripted import Act, ScriptedEngine
from minivm.errors import ExpectationFailed
from minivm.machine import DEFAULT_SLICE, LONGEST_STEP, Ended, Machine

AUTOPSY = Autopsy(((8, "why"),), {}, "real", b"")


class Lines:
    """An interrupt controller with a queue of vectors."""

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.deaf = False

    @property
    def pending(self) -> bool:
        return bool(self.waiting)

    def acknowledge(self) -> int:
        return self.waiting.pop(0)


class Rig:
    """A machine on a script."""

    def __init__(self, script: Iterable[Act] = (), *, interrupts_on: bool = True) -> None:
        self.engine = ScriptedEngine(script, interrupts_on=interrupts_on)
        self.clock = Clock()
        self.lines = Lines()
        self.resets: list[str] = []
        memory = Memory(MIB)
        space = AddressSpace(memory, Bus("memory", 1 << 32), [Region(0, MIB, True)])
        self.machine = Machine(
            engine=self.engine, memory=memory, space=space, ports=Bus("port", 1 << 16), clock=self.clock,
            interrupts=self.lines, devices={"chip": self}, power_on=lambda: self.resets.append("power on"),
        )  # fmt: skip

    def reset(self) -> None:
        self.resets.append("chip")

    def state(self) -> tuple[int, ...]:
        return (len(self.resets),)

    def request(self, vector: int = 8) -> Callable[[], None]:
        return lambda: self.lines.waiting.append(vector)


def test_the_scripted_engine_is_an_engine() -> None:
    engine: Engine = ScriptedEngine()
    assert engine.name == "scripted"


# -- how far a run goes


def test_a_run_ends_at_its_limit_and_never_runs_past_the_next_alarm() -> None:
    rig = Rig()
    rung: list[int] = []
    rig.clock.at(300, lambda: rung.append(rig.clock.now))
    assert rig.machine.run(ticks=1000) == Ended("limit")
    assert rig.engine.untils == [300, 1000]
    assert (rung, rig.machine.now) == ([300], 1000)


def test_milliseconds_are_a_million_ticks() -> None:
    rig = Rig()
    rig.machine.run(ms=1.5)
    assert rig.machine.now == 1_500_000


def test_a_long_run_goes_in_slices() -> None:
    rig = Rig()
    rig.machine.run(ticks=3 * DEFAULT_SLICE)
    assert rig.engine.untils == [DEFAULT_SLICE, 2 * DEFAULT_SLICE, 3 * DEFAULT_SLICE]


def test_an_alarm_that_was_overrun_rings_before_the_next_go() -> None:
    rig = Rig([Ran(500)])
    rung: list[int] = []
    rig.clock.at(300, lambda: rung.append(rig.engine.position))
    rig.machine.run(ticks=1000)
    assert rung == [500]


def test_a_limit_that_lies_behind_is_reached_at_once() -> None:
    rig = Rig()
    rig.machine.run(ticks=100)
    assert rig.machine.run_to(50).reason == "limit"
    assert rig.machine.now == 100


def test_a_block_half_done_is_finished_although_the_limit_is_reached() -> None:
    rig = Rig()

    def finish() -> Ran:
        rig.engine.in_block = False
        return Ran(3)

    rig.engine._script = iter([finish])
    rig.engine.in_block = True
    rig.machine.run_to(0)
    assert rig.machine.now == 3


@pytest.mark.parametrize(
    ("ended_by", "ended"),
    [
        (Stopped(5), Ended("stopped")), (Breakpoint(5, 0x7C00), Ended("breakpoint", 0x7C00)),
        (Shutdown(5, AUTOPSY), Ended("shutdown", autopsy=AUTOPSY)),
    ],
)  # fmt: skip
def test_each_exit_of_the_engine_has_its_end(ended_by: Any, ended: Ended) -> None:
    rig = Rig([ended_by])
    assert rig.machine.run(ticks=100) == ended
    assert rig.machine.run(ticks=100) == (ended if ended.final else Ended("limit"))


def test_attention_only_makes_the_machine_look_around() -> None:
    rig = Rig([Attention(10), Attention(10)])
    assert rig.machine.run(ticks=100).reason == "limit"
    assert len(rig.engine.untils) == 3


@pytest.mark.parametrize(
    ("ended", "status", "final"),
    [
        (Ended("debug-exit", 0x10), 0x21, True), (Ended("debug-exit", 0xFF), 0xFF, True), (Ended("shutdown"), 3, True),
        (Ended("halted"), 0, True), (Ended("powered-off"), 0, True), (Ended("limit"), 0, False),
        (Ended("stopped"), 0, False), (Ended("breakpoint", 1), 0, False),
    ],
)  # fmt: skip
def test_an_end_has_a_status_and_is_final_or_not(ended: Ended, status: int, final: bool) -> None:
    assert (ended.status, ended.final) == (status, final)


# -- interrupts


def test_an_interrupt_is_delivered_before_the_next_go() -> None:
    rig = Rig()
    rig.clock.at(300, rig.request(0x21))
    rig.machine.run(ticks=1000)
    assert rig.engine.delivered == [0x21]
    assert rig.engine.calls == [("interrupt", 300)]


def test_no_interrupt_is_delivered_while_the_cpu_takes_none() -> None:
    rig = Rig(interrupts_on=False)
    rig.lines.waiting.append(8)
    rig.machine.run(ticks=10)
    assert rig.engine.delivered == []
    rig.engine.cpu.rflags |= IF
    rig.machine.run(ticks=10)
    assert rig.engine.delivered == [8]


def test_no_interrupt_is_delivered_in_a_block_half_done() -> None:
    rig = Rig()
    rig.engine.in_block = True
    rig.lines.waiting.append(8)
    rig.machine.step()
    assert rig.engine.delivered == []


def test_a_delivery_is_a_step_of_its_own() -> None:
    rig = Rig()
    rig.lines.waiting.append(8)
    rig.machine.step()
    assert (rig.engine.delivered, rig.machine.now) == ([8], 1)


# -- sleep


def test_a_halted_cpu_sleeps_from_alarm_to_alarm_until_one_wakes_it() -> None:
    rig = Rig([Halted(10)])
    rig.clock.at(100, lambda: None)
    rig.clock.at(5000, rig.request())
    rig.machine.run(ticks=6000)
    assert rig.engine.calls == [("skip", 10), ("skip", 100), ("interrupt", 5000)]
    assert (rig.machine.halts, rig.machine.idle_ns, rig.machine.ticks) == (1, 4990, 1010)


def test_a_sleep_is_cut_at_the_limit_and_goes_on_behind_it() -> None:
    rig = Rig([Halted(10)])
    rig.clock.at(5000, rig.request())
    assert rig.machine.run(ticks=1000).reason == "limit"
    assert (rig.machine.now, rig.machine.halted) == (1000, True)
    rig.machine.run(ticks=4500)
    assert rig.engine.calls[-1] == ("interrupt", 5000)


def test_a_cpu_that_halts_with_interrupts_off_is_halted_for_good() -> None:
    rig = Rig([Halted(10)], interrupts_on=False)
    assert rig.machine.run(ticks=100).reason == "halted"
    assert rig.machine.run(ticks=100).reason == "halted"
    assert len(rig.engine.untils) == 1


def test_a_cpu_whose_interrupt_lines_are_all_masked_is_halted_for_good() -> None:
    rig = Rig([Halted(10)])
    rig.lines.deaf = True
    rig.clock.at(1 << 50, rig.request())
    assert rig.machine.run().reason == "halted"


def test_a_reset_on_its_way_still_comes_to_a_cpu_that_halted_for_good() -> None:
    rig = Rig([Halted(10)], interrupts_on=False)
    rig.clock.at(500, rig.machine.reset)
    assert rig.machine.run(ticks=1000).reason == "limit"
    assert (rig.machine.resets, rig.machine.halted) == (1, False)


def test_a_cpu_that_nothing_will_wake_is_halted_until_the_host_does_something() -> None:
    rig = Rig([Halted(10)])
    assert rig.machine.run(ticks=1000).reason == "halted"
    assert rig.machine.ended is None
    rig.lines.waiting.append(9)
    assert rig.machine.run(ticks=1000).reason == "limit"
    assert rig.engine.delivered == [9]


def test_an_nmi_wakes_a_cpu_that_has_interrupts_off() -> None:
    rig = Rig([Halted(10)], interrupts_on=False)
    rig.clock.at(20, rig.engine.nmi)
    rig.engine.nmi()
    rig.machine.run_to(10)
    rig.engine.nmi()
    assert rig.machine.run(ticks=50).reason == "limit"
    assert not rig.machine.halted


def test_a_sleeping_machine_can_be_stopped_from_another_thread() -> None:
    rig = Rig([Halted(10)])

    def tick() -> None:
        rig.clock.after(1000, tick)

    tick()
    timer = threading.Timer(0.02, rig.machine.stop)
    timer.start()
    assert rig.machine.run().reason == "stopped"
    timer.join()


def test_stepping_a_halted_cpu_sleeps_to_what_wakes_it() -> None:
    rig = Rig([Halted(1)])
    rig.clock.at(700, rig.request())
    rig.machine.step(3)
    assert rig.engine.calls[-1] == ("interrupt", 700)


def test_a_step_of_a_cpu_that_nothing_wakes_sleeps_a_second_at_most() -> None:
    rig = Rig([Halted(1)])

    def tick() -> None:
        rig.clock.after(1_000_000, tick)

    tick()
    assert rig.machine.step(5).reason == "limit"
    assert (rig.machine.now, rig.machine.halted) == (1 + LONGEST_STEP, True)
    with pytest.raises(ExpectationFailed, match="did not hold within 3"):
        rig.machine.run_until(lambda vm: False, timeout=3)


# -- what chips ask for


def test_a_reset_restarts_cpu_and_chips_at_the_next_safe_point_in_this_order() -> None:
    rig = Rig()
    rig.engine._script = iter([lambda: (rig.machine.reset(), Ran(20))[1]])
    rig.machine.run(ticks=100)
    assert rig.engine.calls == [("attention", 0), ("reset", 20)]
    assert rig.resets == ["power on", "chip", "power on"]
    assert rig.machine.resets == 1


def test_a_reset_waits_for_the_end_of_a_block_half_done() -> None:
    rig = Rig()
    rig.engine.in_block = True
    rig.machine.reset()
    rig.machine.step()
    assert rig.machine.resets == 0
    rig.engine.in_block = False
    rig.machine.step()
    assert rig.machine.resets == 1


def test_a_reset_wakes_a_halted_cpu() -> None:
    rig = Rig([Halted(10)])
    rig.clock.at(50, rig.machine.reset)
    rig.machine.run(ticks=100)
    assert (rig.machine.resets, rig.machine.halted) == (1, False)


def test_the_first_end_that_a_chip_asks_for_counts_and_it_is_for_good() -> None:
    rig = Rig()

    def exits() -> Ran:
        rig.machine.debug_exit(5)
        rig.machine.power_off()
        return Ran(20)

    rig.engine._script = iter([exits])
    assert rig.machine.run(ticks=100) == Ended("debug-exit", 5)
    assert rig.machine.run(ticks=100) == Ended("debug-exit", 5)
    assert rig.machine.step() == Ended("debug-exit", 5)
    assert rig.machine.now == 20


def test_a_machine_that_ends_first_lets_the_serial_ports_finish() -> None:
    rig = Rig([Ran(10)])
    left = [3]

    def send() -> None:
        left[0] -= 1
        if left[0]:
            rig.clock.after(100, send)

    rig.clock.after(100, send)
    rig.machine.sending = lambda: left[0] > 0
    rig.machine.power_off()
    assert rig.machine.run(ticks=1000) == Ended("powered-off")
    assert left == [0]


# -- waiting for something


def test_run_until_steps_to_the_condition() -> None:
    rig = Rig()
    rig.machine.run_until(lambda vm: vm.now == 7)
    assert rig.machine.now == 7


def test_run_until_says_that_the_machine_ended_or_that_time_is_over() -> None:
    with pytest.raises(ExpectationFailed, match="the machine ended: shutdown"):
        Rig([Shutdown(1, AUTOPSY)]).machine.run_until(lambda vm: False)
    with pytest.raises(ExpectationFailed, match="did not hold within 1e-08"):
        Rig().machine.run_until(lambda vm: False, timeout=1e-8)


def test_without_a_console_nothing_can_be_expected() -> None:
    with pytest.raises(ExpectationFailed, match="no console"):
        Rig().machine.expect("login:")


def test_a_mode_listener_hears_of_each_change() -> None:
    rig = Rig()
    heard: list[tuple[str, str]] = []

    def protect() -> Ran:
        rig.engine.cpu.head.hflags |= 0x80
        return Ran(1)

    rig.engine._script = iter([Ran(1), protect, Ran(1)])
    rig.machine.watch_mode(lambda old, new: heard.append((old, new)))
    rig.machine.run(ticks=5)
    assert heard == [("real", "16")]


# -- the rest


def test_two_machines_in_the_same_state_have_one_hash_and_others_have_not() -> None:
    one, other = Rig(), Rig()
    assert one.machine.state_hash() == other.machine.state_hash()
    other.machine.memory[0x500] = 1
    assert one.machine.state_hash() != other.machine.state_hash()
    other.machine.memory[0x500] = 0
    other.machine.run(ticks=1)
    assert one.machine.state_hash() != other.machine.state_hash()


def test_closing_frees_the_engine_before_the_memory_and_only_once() -> None:
    rig = Rig()
    order: list[str] = []
    rig.engine.close = lambda: order.append("engine")  # type: ignore[method-assign]
    rig.machine.memory.close = lambda: order.append("memory")  # type: ignore[method-assign]
    rig.machine.closers.append(lambda: order.append("files"))
    with rig.machine:
        pass
    rig.machine.close()
    assert order == ["engine", "memory", "files"]


def test_a_run_without_a_limit_is_a_run_to_never() -> None:
    rig = Rig([Shutdown(1, AUTOPSY)])
    rig.machine.slice_ticks = NEVER
    rig.machine.run()
    assert rig.engine.untils == [NEVER]
