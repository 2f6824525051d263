"""The examples of docs/testing-guests.md run, and the page names every option, ini value, marker and fixture."""

import re
from pathlib import Path

import pytest

import minivm.testing.kernels
import minivm.testing.reports
import minivm.testing.settings  # noqa: F401 - loaded here once, so that no session in this process loads it again
from minivm.testing import plugin

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing-guests.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(pytester, number):
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    pytester.makepyfile(test_example=EXAMPLES[number])
    if "golden" in EXAMPLES[number]:
        assert pytester.runpytest_inprocess("--minivm-update").ret == 0
    result = pytester.runpytest_inprocess()
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] >= 1


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize(
    "name", [name for name, _, _ in plugin.INI] + [words.partition("(")[0] for words in plugin.MARKERS]
)
def test_the_page_names_every_setting(name):
    assert name in PAGE


def test_the_rows_of_the_page_differ_as_it_shows_them():
    from minivm.testing.screens import difference

    shown = [line.removeprefix("E  ") for line in PAGE.splitlines() if line.startswith("E  ")][1:]
    assert difference("one\n> echo one", "one\n> echo two", context=0).splitlines()[-3:] == shown
