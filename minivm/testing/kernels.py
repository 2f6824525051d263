"""Kernels as pytest cases: a kernel is run when it is collected, and each case that it reports becomes a test.

The run is bounded in virtual time and in ticks, so a kernel that hangs is a failed case and no hang. What cannot be
told of a case - a crash, no end, nothing printed, an exit that contradicts - is a case of its own.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minivm.core.record import record
from minivm.errors import MiniVMError
from minivm.machine import NS_PER_MS, NS_PER_SECOND, Ended, Machine
from minivm.testing.case_formats import FAILED, PASSED, SKIPPED, Case, Results, read_results, test_ids
from minivm.testing.coverage_plugin import cover
from minivm.testing.failure import (
    History,
    RunJournal,
    Section,
    Sight,
    run_again,
    sections,
    sight_of,
)
from minivm.testing.origins import Booted
from minivm.testing.settings import Settings

GRACE_NS = 100 * NS_PER_MS
"""A kernel that has said all may still want to end itself; so long it is waited for."""
_SLICE_NS = 10 * NS_PER_MS


# -- the run ----------------------------------------------------------------------------------------------------------
@record
class KernelRun:
    """What came of a kernel's run: its cases, and what a report needs when one failed (None: it never began)."""

    cases: tuple[Case, ...]
    history: History | None = None
    sight: Sight | None = None


def run_kernel(path: Path, settings: Settings) -> KernelRun:
    """Run a kernel to its end, or to its limit, and read its cases; never raises for what a kernel does."""
    import minivm

    options = settings.machine_options({})
    try:
        machine = minivm.boot(path, **options)
    except (MiniVMError, OSError) as error:
        return KernelRun((Case("boot", FAILED, str(error)),))
    with machine:
        cover(machine)
        machine.journal = journal = RunJournal()
        problem = _run(machine, settings)
        results = _read(machine)
        cases = tuple(_verdicts(results, machine.ended, problem, settings.pass_exits))
        sight = sight_of(machine) if any(case.outcome == FAILED for case in cases) else None
        return KernelRun(cases, History(Booted(path, options), journal), sight)


def _run(machine: Machine, settings: Settings) -> str:
    """Run until the kernel has ended or has said all; return why it had to be stopped, or ""."""
    end = round(settings.kernel_seconds * NS_PER_SECOND)
    done_at: int | None = None
    while True:
        ended = machine.run_to(min(machine.now + _SLICE_NS, end))
        if ended.final:
            return ""
        if done_at is None and _read(machine).complete:
            done_at = machine.now
        if ended.reason == "halted" or (done_at is not None and machine.now >= done_at + GRACE_NS):
            return ""
        if machine.now >= end:
            return f"it did not end within {settings.kernel_seconds:g} virtual seconds"
        if machine.ticks >= settings.kernel_ticks:
            return f"it did not end within {settings.kernel_ticks:,} ticks of code"


def _read(machine: Machine) -> Results:
    """Read the serial log; where it tells of no tests, the screen."""
    results = read_results(machine.serial.text())
    return results if results.found else read_results(machine.screen.text())


# -- the verdict ------------------------------------------------------------------------------------------------------
def _verdicts(results: Results, ended: Ended | None, problem: str, pass_exits: Iterable[int]) -> Iterator[Case]:
    yield from results.cases
    yield from results.problems
    if results.skipped_all is not None:
        yield Case("all", SKIPPED, results.skipped_all)
    if ended is not None and ended.reason == "shutdown":
        yield Case("end", FAILED, f"the kernel crashed: {_crash(ended)}")
    elif ended is not None and ended.reason == "debug-exit":
        yield from _on_exit(results, ended.code, sorted(pass_exits))
    elif problem and not results.complete:
        yield Case("end", FAILED, problem)
    elif not results.found:
        yield Case("end", FAILED, f"the kernel reported no result; {_words(ended)}")


def _words(ended: Ended | None) -> str:
    return f"the machine ended: {ended.reason}" if ended is not None else "it waits for ever"


def _crash(ended: Ended) -> str:
    words = "triple fault"
    if ended.autopsy is not None and ended.autopsy.chain:
        words += f"; first {ended.autopsy.chain[0][1]}"
    return words


def _on_exit(results: Results, code: int, passing: list[int]) -> Iterator[Case]:
    """An exit is a case where nothing else is; else it must not contradict what was printed."""
    good = code in passing
    means = " or ".join(f"{value:X}h" for value in passing)
    words = f"the kernel ended itself at the debug-exit port with {code:X}h; {means} means success (minivm_pass_exit)"
    if not results.found:
        yield Case("exit", PASSED if good else FAILED, "" if good else words)
    elif not good and not any(case.outcome == FAILED for case in (*results.cases, *results.problems)):
        yield Case("exit", FAILED, f"no case failed, and yet {words}")


# -- what pytest sees -------------------------------------------------------------------------------------------------
class CaseFailed(Exception):
    """A kernel's case failed; its text is what the report shows."""


class KernelFile(pytest.File):
    """A kernel; collecting it runs it."""

    run: KernelRun
    _told = False

    def collect(self) -> Iterator["KernelCase"]:
        """Run the kernel and yield its cases."""
        from minivm.testing.plugin import settings_of

        self.run = run_kernel(self.path, settings_of(self.config))
        for name, case in zip(test_ids(list(self.run.cases)), self.run.cases, strict=True):
            yield KernelCase.from_parent(self, name=name, case=case)

    def report(self) -> list[Section]:
        """Return what the report of a failed case shows of the machine: all of it once, then where to replay it."""
        if self.run.sight is None or self.run.history is None:
            return []
        from minivm.testing.plugin import settings_of

        settings = settings_of(self.config)
        path = settings.replay_file(self.nodeid, 0)
        if self._told:
            return [(f"minivm {self.path.name}: replay", settings.replay_command(path))] if path.is_file() else []
        self._told = True
        evidence = run_again(self.run.history, self.run.sight, path)
        return sections(self.path.name, self.run.sight, evidence, settings.replay_command(path))


class KernelCase(pytest.Item):
    """One case that a kernel has reported."""

    def __init__(self, *, case: Case, **arguments: Any) -> None:
        from minivm.testing.plugin import GUESTS

        super().__init__(**arguments)
        self._case = case
        self.stash[GUESTS] = self

    def runtest(self) -> None:
        """Fail, skip or pass, as the kernel said."""
        match self._case.outcome:
            case "failed":
                raise CaseFailed(self._case.reason or "the kernel says that it failed")
            case "skipped":
                pytest.skip(self._case.reason or "the kernel skipped it")
            case "todo":
                pytest.xfail(self._case.reason or "the kernel expects it to fail")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any, **__: Any) -> Any:
        """Return why the case failed, and the lines that the kernel printed about it."""
        if not isinstance(excinfo.value, CaseFailed):
            return super().repr_failure(excinfo)
        return "\n".join([f"{self.name}: {excinfo.value}", *self._case.output])

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the headline of a report."""
        return self.path, None, f"{self.path.name}: {self.name}"

    def report(self) -> list[Section]:
        """Return what the report shows of the kernel's machine."""
        parent = self.parent
        return parent.report() if isinstance(parent, KernelFile) else []
