"""The start-up probes find the private places, and say clearly when they do not."""

import pytest

from minivm.engine import probes
from minivm.engine.library import library
from minivm.errors import EngineError


def test_the_places_are_those_that_were_measured_for_this_release() -> None:
    places = probes.layout(library())
    assert (places.efer, places.error_code, places.exception_is_int) == (592, 5384, 5388)
    assert (places.exception_next_eip, places.old_exception) == (5392, 5496)
    assert places.no_exit_request == 2034
    assert places.block_flags == 24


def test_probing_again_finds_the_same_places() -> None:
    assert probes.probe(library()) == probes.layout(library())


def test_the_layout_is_probed_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    known = probes.layout(library())
    monkeypatch.setattr(probes, "probe", lambda loaded: pytest.fail("probed again"))
    assert probes.layout(library()) is known


@pytest.mark.parametrize(
    ("constant", "value", "what"),
    [("_LOAD_DS", b"\x90%b\x90\x90", "the exception's fields"), ("_REWRITE", b"\xcd\x13", "the next block's flags")],
)
def test_a_place_that_is_not_found_is_named_with_the_release(monkeypatch, constant, value, what) -> None:
    monkeypatch.setattr(probes, constant, value)
    with pytest.raises(EngineError, match=f"{what} cannot be found in Unicorn 2"):
        probes.probe(library())


def test_without_the_stop_checks_cell_the_engine_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_find_no_exit_request", lambda loaded, peek: None)
    assert probes.probe(library()).no_exit_request is None


def test_peeking_at_a_wild_pointer_is_an_empty_answer() -> None:
    peek = probes._Peek()
    assert peek(8, 16) == b""
    assert peek(-1, 16) == b""
    peek.close()
