"""The part of the pytest plugin that covers guests: `--minivm-cov`, `--minivm-cov-html`, and a table at the end.

`cover(machine)` is called for each machine that a fixture hands out; without an option it does nothing. With
pytest-xdist each worker sends what ran in its machines to the controller, which writes the reports.
"""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from minivm.errors import MiniVMError

if TYPE_CHECKING:
    from minivm.machine import Machine
    from minivm.testing.coverage import GuestCoverage
    from minivm.testing.coverage_report import CoverageReport

_NAME = "minivm-coverage"
_SENT = "minivm_coverage"
_current: "Session | None" = None


def cover(machine: "Machine") -> None:
    """Note what runs in `machine` and its clones, if this session has `--minivm-cov`; else do nothing."""
    if _current is not None:
        _current.cover(machine)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("minivm", "MiniVM guests")
    group.addoption(
        "--minivm-cov", nargs="?", const="", default=None, type=_tracefile_name, metavar="FILE.info",
        help="show which code of the guests ran; with =FILE.info write an lcov tracefile, too",
    )  # fmt: skip
    group.addoption("--minivm-cov-html", default=None, metavar="FILE", help="write the guests' coverage as one page")


def _tracefile_name(text: str) -> str:
    # `--minivm-cov tests` takes the folder for its file; a tracefile in place of the tests would be a nasty surprise.
    if text and (Path(text).is_dir() or text.partition("::")[0].endswith(".py")):
        raise ArgumentTypeError(f"{text} are tests; put --minivm-cov behind them, or write --minivm-cov=FILE.info")
    return text


def pytest_configure(config: pytest.Config) -> None:
    """Begin to cover where an option asks for it."""
    if config.getoption("--minivm-cov") is not None or config.getoption("--minivm-cov-html") is not None:
        config.pluginmanager.register(Session(config), _NAME)


class Session:
    """The coverage of one test session: a `GuestCoverage` for each guest, with the hooks that send and report it."""

    def __init__(self, config: pytest.Config) -> None:
        global _current
        self._config = config
        self._found: dict[tuple[str, str, int], GuestCoverage] = {}
        self._of_guest: dict[tuple[str, bytes | None], GuestCoverage] = {}
        self._notes: list[str] = []
        self._reports: list[CoverageReport] = []
        self._outer, _current = _current, self

    def cover(self, machine: "Machine") -> None:
        """Attach the coverage of the machine's guest; a machine without one is left alone."""
        config = machine.config
        if config is None or config.guest is None:
            return
        if not config.guest.is_file():
            self._note("a guest that was given as bytes has no source lines; boot it from its file to cover it")
            return
        key = str(config.guest), machine.image
        if key not in self._of_guest:
            from minivm.testing.coverage import GuestCoverage

            coverage = GuestCoverage.of_image(config.guest.absolute(), machine.image)
            self._of_guest[key] = self._found.setdefault((coverage.guest, coverage.digest, 0), coverage)
        try:
            self._of_guest[key].attach(machine)
        except MiniVMError as error:
            self._note(str(error))

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def pytest_sessionfinish(self) -> None:
        """In a worker of pytest-xdist, send what ran to the controller; alone, write the reports."""
        output: Any = getattr(self._config, "workeroutput", None)
        if output is None:
            self._write()
            return
        from minivm.core.plain import to_plain

        output[_SENT] = [to_plain(coverage.data()) for coverage in self._of_guest.values()], self._notes

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker has sent; one that crashed has sent nothing."""
        from minivm.core.plain import from_plain
        from minivm.testing.coverage import CoverageData, join

        sent, notes = getattr(node, "workeroutput", {}).get(_SENT, ((), ()))
        for note in notes:
            self._note(note)
        for plain in sent:
            try:
                join(self._found, from_plain(CoverageData, plain))
            except MiniVMError as error:
                self._note(str(error))

    def _write(self) -> None:
        from minivm.testing.coverage_lcov import tracefile, write_text

        self._reports = [coverage.report() for _, coverage in sorted(self._found.items())]
        places = self._config.getoption("--minivm-cov"), self._config.getoption("--minivm-cov-html")
        try:
            if places[0]:
                write_text(places[0], tracefile(self._reports))
            if places[1]:
                from minivm.testing.coverage_listing import html

                write_text(places[1], html(self._reports))
        except MiniVMError as error:
            self._note(str(error))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table."""
        from minivm.testing.coverage_report import table_of

        terminalreporter.section("MiniVM guest coverage")
        terminalreporter.write_line(table_of(self._reports) if self._reports else "no machine of a guest was made")
        for note in self._notes:
            terminalreporter.write_line(note)

    def pytest_unconfigure(self) -> None:
        """Stop covering."""
        global _current  # noqa: PLW0603 - see above
        _current = self._outer


__all__ = ["cover"]
