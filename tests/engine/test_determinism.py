"""A run that is cut anywhere ends in the same state: sliced, stepped, stopped by another thread, in Python.

The definition: an interrupt is taken at the first block start after it is due at which IF is set and no shadow holds.
A block entered in its middle, after a step, is not a block start.
"""

from typing import Any

import pytest
from engine_bench import MODES
from engine_programs import (
    KINDS,
    Snippet,
    at_once,
    build,
    compare,
    interrupted,
    mixed,
    outcome,
    places,
    relaxed,
    sliced,
    snippet,
    stepped,
)
from hypothesis import given
from hypothesis import strategies as st


@relaxed
@given(st.sampled_from(MODES), places, st.lists(snippet, min_size=1, max_size=14), st.data())
def test_a_run_cut_anywhere_ends_in_the_same_state(mode: str, at: int, snippets: list[Snippet], data: Any) -> None:
    lengths = data.draw(st.lists(st.integers(1, 400), min_size=1, max_size=4))
    steps = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    ways = [("sliced", sliced(*lengths)), ("stepped", stepped), ("mixed", mixed(steps, lengths)), ("python", at_once)]
    compare(mode, at, snippets, ways)


@relaxed
@given(st.sampled_from(MODES), st.lists(snippet, min_size=1, max_size=10))
def test_stops_from_another_thread_change_nothing(mode: str, snippets: list[Snippet]) -> None:
    compare(mode, 0x7C00, snippets, [("interrupted", interrupted)])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("rewrit")])
def test_a_program_of_one_kind_comes_to_its_end(mode: str, kind: str) -> None:
    """Otherwise the tests above would compare nothing."""
    ended = outcome(mode, 0x7C00, build(mode, 0x7C00, [(kind, a, a + 1) for a in range(7)]), at_once)["ended"]
    assert (ended.reason, ended.code) == ("debug-exit", 7)
