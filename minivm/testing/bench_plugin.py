"""The part of the pytest plugin that shows the register traces of a failed test's device benches."""

import sys
from collections.abc import Generator
from typing import Any

import pytest

_BEFORE: "pytest.StashKey[frozenset[int]]" = pytest.StashKey()


def _benches() -> Any:
    """Return the benches that are in use, without importing what nobody has imported."""
    module = sys.modules.get("minivm.testing.bench")
    return () if module is None else module.BENCHES


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember which benches were there before the test: a session's fixtures may have some."""
    item.stash[_BEFORE] = frozenset(len(bench.trace) << 64 | id(bench) for bench in _benches())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Add the trace of each bench that a failed test has used to its report."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        before = item.stash.get(_BEFORE, frozenset())
        used = [bench for bench in _benches() if bench.trace and len(bench.trace) << 64 | id(bench) not in before]
        for bench in sorted(used, key=lambda bench: int(bench.serial)):
            report.sections.append((f"register trace of {bench.title}", bench.table()))
    return report
