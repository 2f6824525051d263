"""A guest that does anything at all, at every port and every address of the whole PC.

Nothing raises; what can be saved goes on as the original does; the same stream leads to the same state, however the
run was cut.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_guests import SPIN, images, started
from hostile_streams import Action, guest_of, play, streams
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minivm
from minivm.machine import Machine

LONGEST_NS = 3_000_000
relaxed = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the images lie, which no guest may change."""
    place = tmp_path_factory.mktemp("hostile")
    images(place)
    return place


@pytest.fixture(scope="module")
def fresh(folder: Path) -> Any:
    """Return a machine that is cloned for each stream."""
    with started(SPIN, folder) as vm:
        vm.run(ms=1)
        yield vm


def looked_at(vm: Machine) -> str:
    """Look at a machine in every way that a person has, and return its hash."""
    vm.picture()
    vm.screen.text()
    vm.serial.text()
    return vm.state_hash()


def check_stream(fresh: Machine, folder: Path, stream: list[Action]) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir() if path.suffix != ".mvm"}
    file = folder / "state.mvm"
    with fresh.clone() as vm:
        play(stream, vm)
        here = looked_at(vm)
        with vm.clone() as twin:
            assert looked_at(twin) == here
            twin.run(ticks=LONGEST_NS)
            end = looked_at(twin)
        vm.run(ticks=LONGEST_NS)
        assert looked_at(vm) == end
    assert {path: path.read_bytes() for path in before} == before
    with fresh.clone() as vm:  # the same once more
        play(stream, vm)
        assert looked_at(vm) == here
        vm.save(file)
    with minivm.restore(file) as back:
        assert looked_at(back) == here
        back.run(ticks=LONGEST_NS)
        assert looked_at(back) == end


@settings(max_examples=25, **relaxed)
@given(streams())
def test_whatever_is_accessed_the_machine_lives_on_as_its_clone_and_its_snapshot_do(
    fresh: Machine, folder: Path, stream: list[Action]
) -> None:
    check_stream(fresh, folder, stream)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=600, **relaxed)
@given(streams(most=60))
def test_long_streams_of_accesses(fresh: Machine, folder: Path, stream: list[Action]) -> None:
    check_stream(fresh, folder, stream)


# -- the same by a guest's own instructions, cut anywhere -------------------------------------------------------------
def at_once(vm: Machine) -> None:
    vm.run_to(LONGEST_NS)


def sliced(*lengths: int) -> Callable[[Machine], None]:
    def run(vm: Machine) -> None:
        turn = 0
        while vm.now < LONGEST_NS and vm.ended is None:
            vm.run_to(min(LONGEST_NS, vm.now + lengths[turn % len(lengths)]))
            turn += 1

    return run


def mixed(lengths: list[int], steps: list[int]) -> Callable[[Machine], None]:
    """Run pieces with some single steps between them, the first of them in the thick of it."""

    def run(vm: Machine) -> None:
        for length, count in zip(lengths, steps, strict=True):
            if vm.now + 10 * count < LONGEST_NS:
                vm.run_to(min(vm.now + length, LONGEST_NS - 10 * count))
                vm.step(count)
        if vm.now < LONGEST_NS:
            vm.run_to(LONGEST_NS)

    return run


def outcome(code: bytes, folder: Path, run: Callable[[Machine], None]) -> tuple[Any, ...]:
    with started(code, folder) as vm:
        run(vm)
        return vm.ended, vm.now, looked_at(vm)


def check_cuts(stream: list[Action], folder: Path, lengths: list[int], steps: list[int]) -> None:
    code = guest_of(stream)
    whole = outcome(code, folder, at_once)
    assert outcome(code, folder, sliced(*lengths)) == whole
    assert outcome(code, folder, mixed(lengths, steps)) == whole


cuts = st.integers(1, 4).flatmap(
    lambda number: st.tuples(
        st.lists(st.integers(200, 60_000), min_size=number, max_size=number),
        st.lists(st.integers(1, 40), min_size=number, max_size=number),
    )
)


@settings(max_examples=10, **relaxed)
@given(streams(most=15), cuts)
def test_a_guest_of_random_accesses_may_be_cut_anywhere(
    folder: Path, stream: list[Action], cut: tuple[list[int], list[int]]
) -> None:
    check_cuts(stream, folder, *cut)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=250, **relaxed)
@given(streams(most=40), cuts)
def test_long_guests_of_random_accesses_may_be_cut_anywhere(
    folder: Path, stream: list[Action], cut: tuple[list[int], list[int]]
) -> None:
    check_cuts(stream, folder, *cut)
