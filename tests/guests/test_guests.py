"""Each bundled guest on MiniVM: it keeps its header's claim, and does so in the same way however it is run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minivm
from minivm import bundled
from minivm.core.keys import unescape
from minivm.machine import NS_PER_MS

MINIVM = Path(sys.executable).with_name("minivm")
LONGEST_MS = 60_000
"""No guest takes longer in virtual time."""
STEPPED = 3000
"""So many instructions are executed one by one at most, before the rest runs freely."""
TYPED_AT_MS = 500
"""Keys come at a fixed time, when every guest that wants some has long shown its first line."""

every_guest = pytest.mark.parametrize("guest", bundled.guests(), ids=lambda guest: guest.name)


def play(guest: bundled.Guest, prepare: Callable[[minivm.Machine], object] = lambda vm: None) -> dict[str, Any]:
    """Run a guest to its end, typing what its header says; return what tells two runs apart."""
    with minivm.boot(guest.image) as vm:
        prepare(vm)
        if guest.types:
            vm.run_to(TYPED_AT_MS * NS_PER_MS)
            assert guest.prints[0] in f"{vm.serial.text()}\n{vm.screen.text()}"
            vm.type(unescape(guest.types))
        ended = vm.run(ms=LONGEST_MS)
        output = f"{vm.serial.text()}\n{vm.screen.text()}"
        return {
            "reason": ended.reason,
            "status": ended.status,
            "output": output,
            "ticks": vm.ticks,
            "virtual time": vm.now,
            "exits": vm.exits,
            "state": vm.state_hash(),
        }


def assert_in_order(texts: tuple[str, ...], output: str) -> None:
    position = 0
    for text in texts:
        found = output.find(text, position)
        assert found >= 0, f"{text!r} is missing, or comes too early, in:\n{output}"
        position = found + len(text)


@every_guest
def test_a_guest_prints_what_its_header_claims_and_ends(guest: bundled.Guest) -> None:
    outcome = play(guest)
    assert_in_order(guest.prints, outcome["output"])
    assert outcome["reason"] != "limit", f"still running after {LONGEST_MS} virtual milliseconds"
    assert outcome["status"] == guest.exit_status


@every_guest
def test_a_second_run_is_the_same_run(guest: bundled.Guest) -> None:
    assert play(guest) == play(guest)


@every_guest
def test_the_length_of_a_slice_changes_nothing(guest: bundled.Guest) -> None:
    def slice_finely(vm: minivm.Machine) -> None:
        vm.slice_ticks = 9973

    assert play(guest, slice_finely) == play(guest)


@every_guest
def test_stepping_a_part_of_the_way_changes_nothing(guest: bundled.Guest) -> None:
    def step_a_while(vm: minivm.Machine) -> None:
        for _ in range(STEPPED):
            if vm.step().final or vm.now > TYPED_AT_MS * NS_PER_MS / 2:
                break

    assert play(guest, step_a_while) == play(guest)


def command_line(guest: bundled.Guest) -> list[str]:
    """Return the command that its header gives, the keys as a script that waits for the guest's first line."""
    command = [str(MINIVM), "run", guest.name, "--json", "--display", "none", "--timeout", "60"]
    if guest.types:
        command += ["--expect", guest.prints[0], "--type", guest.types, "--expect", guest.prints[-1]]
    return command


@every_guest
def test_the_command_returns_the_status_that_the_header_claims(guest: bundled.Guest) -> None:
    outcome = subprocess.run(command_line(guest), capture_output=True, text=True, check=False, timeout=100)
    assert outcome.returncode == guest.exit_status, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("name", ["hello-bios", "timer", "serial", "disk", "shell"])
def test_the_command_reports_the_same_twice(name: str) -> None:
    guest = bundled.find(name)
    assert guest is not None
    first, second = (json.loads(subprocess.check_output(command_line(guest), text=True)) for _ in range(2))
    for report in (first, second):
        del report["wall_seconds"]
    assert first == second


@pytest.mark.parametrize("name", ["exit", "interrupts", "timer-interrupts"])
def test_the_benchmarks_programs_end_as_they_claim(name: str) -> None:
    program = bundled.find(name)
    assert program is not None
    with minivm.boot(program.image) as vm:
        assert vm.run(ms=LONGEST_MS).status == program.exit_status
        assert_in_order(program.prints, vm.screen.text())


def test_the_workload_computes_the_right_checksums() -> None:
    workload = bundled.find("workload")
    assert workload is not None
    with minivm.boot(workload.image) as vm:
        assert vm.run(ms=LONGEST_MS).status == workload.exit_status
        assert_in_order(workload.prints, vm.serial.text())


def test_an_idle_guest_wakes_18_times_a_second_and_uses_no_time_between() -> None:
    idle = bundled.find("idle")
    assert idle is not None
    with minivm.boot(idle.image) as vm:
        vm.run(ms=1000)
        halts = vm.exits["halts"]
        vm.run(ms=10_000)
        assert vm.exits["halts"] - halts == pytest.approx(182, abs=1)
