"""A failed test's report: the traceback without MiniVM's own lines, and what its machines were doing."""

from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import pytest

from minivm.errors import ExpectationFailed
from minivm.testing.failure import Section

_PACKAGE = Path(__file__).parents[1]


class Reporting(Protocol):
    """What a test knows of its machines: `Guests`, or a kernel's case."""

    def report(self) -> list[Section]:
        """Return the sections of the report."""


def cut_traceback(failed: "pytest.ExceptionInfo[Any]") -> "pytest.ExceptionInfo[Any]":
    """Return an exception of an expectation with its traceback up to the test's own last line.

    Where a machine noticed that a text did not come is no news to a test's author.
    """
    if not isinstance(failed.value, ExpectationFailed):
        return failed
    last: TracebackType | None = None
    at = failed.value.__traceback__
    while at is not None:
        if _PACKAGE not in Path(at.tb_frame.f_code.co_filename).parents:
            last = at
        at = at.tb_next
    if last is not None:
        last.tb_next = None
    return pytest.ExceptionInfo.from_exception(failed.value)


def attach(report: pytest.TestReport, guests: Reporting) -> None:
    """Add the sections of a test's machines to its report.

    Whatever goes wrong here must not hide why the test failed, so it becomes a section, too.
    """
    try:
        report.sections += guests.report()
    except Exception as error:  # a device of the user's own may raise anything
        report.sections.append(("minivm: the report could not be made", f"{type(error).__name__}: {error}"))
