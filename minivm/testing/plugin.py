"""The pytest plugin that an installed MiniVM brings: fixtures, markers, options, and reports of failed guest tests.

It is loaded in every pytest session, so nothing of the machine is imported until a test asks for one, and a test that
does not is as it was without the plugin. docs/testing-guests.md says what there is.
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from minivm.testing.fixtures import Guests
    from minivm.testing.guest import Guest
    from minivm.testing.reports import Reporting
    from minivm.testing.settings import Settings

pytest_plugins = ("minivm.testing.bench_plugin", "minivm.testing.coverage_plugin")

MARKERS = (
    "minivm_guest(path, ready=None, timeout=10, **config): the guest of the fixtures machine and booted",
    "minivm_timeout(seconds): so many virtual seconds may each of the test's machines run",
    "minivm_max_instructions(count): so many instructions may each of the test's machines execute",
)
INI: tuple[tuple[str, Any, str], ...] = (
    ("minivm_guest", "string", "the guest of the fixtures machine and booted: a path or a bundled guest's name"),
    ("minivm_ready", "string", "the text that says that the guest is ready"),
    ("minivm_memory", "string", "the memory of the guests, like 16M"),
    ("minivm_kernels", "args", "globs, relative to the root, of kernels whose own cases become pytest's"),
    ("minivm_kernel_timeout", "string", "virtual seconds that a kernel of minivm_kernels may run (default 10)"),
    ("minivm_kernel_ticks", "string", "ticks of code that one may execute (default 1_000_000_000)"),
    ("minivm_pass_exit", "args", "values at the debug-exit port that mean success (default 0, status 1 of QEMU)"),
)
WRITTEN = "minivm_written"
GUESTS: "pytest.StashKey[Reporting]" = pytest.StashKey()
SETTINGS: "pytest.StashKey[Settings]" = pytest.StashKey()


# -- options ----------------------------------------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and the ini values."""
    group = parser.getgroup("minivm", "guests under test (MiniVM)")
    engines = ("auto", "unicorn", "kvm")
    group.addoption("--minivm-engine", choices=engines, default="auto", help="the CPU engine of the guests under test")
    group.addoption("--minivm-update", action="store_true", help="write golden screens instead of comparing them")
    group.addoption("--minivm-record", metavar="DIR", help="where failed tests leave their replay files (default: "
                    "in pytest's cache)")  # fmt: skip
    for name, kind, words in INI:
        parser.addini(name, words, type=kind, default=[] if kind == "args" else "")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and refuse a setting that does not fit before any test runs."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    values = [config.getini(name) for name, _, _ in INI]
    if any(values) or config.getoption("minivm_engine") == "kvm" or config.getoption("minivm_record"):
        settings_of(config).check()


def settings_of(config: pytest.Config) -> "Settings":
    """Return what options and ini values say."""
    if SETTINGS not in config.stash:
        from minivm.testing.settings import Settings

        config.stash[SETTINGS] = Settings(config)
    return config.stash[SETTINGS]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the machines that the session has kept."""
    if SETTINGS in config.stash:
        config.stash[SETTINGS].close()


# -- fixtures ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def _minivm_guests(request: pytest.FixtureRequest) -> Generator["Guests", None, None]:
    from minivm.testing.fixtures import Guests

    guests = Guests(request.node, settings_of(request.config))
    request.node.stash[GUESTS] = guests
    yield guests
    del request.node.stash[GUESTS]
    guests.close()


@pytest.fixture(scope="session")
def minivm_guest(pytestconfig: pytest.Config) -> Any:
    """The guest of `machine` and `booted` where no marker says it; override it to return a path or a `GuestSpec`."""
    return settings_of(pytestconfig).default_guest


@pytest.fixture
def boot_guest(_minivm_guests: "Guests") -> "Callable[..., Guest]":
    """Boot guests: `boot_guest(path, **config)` returns one at its first instruction; all are closed by themselves."""
    return _minivm_guests.boot


@pytest.fixture
def machine(request: pytest.FixtureRequest, _minivm_guests: "Guests") -> "Guest":
    """A machine of this test's own with the guest, at its first instruction."""
    from minivm.testing.fixtures import spec_of

    spec = spec_of(request, settings_of(request.config))
    return _minivm_guests.boot(spec.path, **spec.options)


@pytest.fixture
def booted(request: pytest.FixtureRequest, _minivm_guests: "Guests") -> "Guest":
    """The guest as it was when it got ready: booted once a session, and a clone of that for each test."""
    return settings_of(request.config).booted(request, _minivm_guests)


# -- reports ----------------------------------------------------------------------------------------------------------
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Add to a failed test's report what its machines were doing."""
    guests = item.stash.get(GUESTS, None)
    if guests is None:
        return (yield)
    if call.excinfo is not None and not item.config.getoption("fulltrace"):
        from minivm.testing.reports import cut_traceback

        call.excinfo = cut_traceback(call.excinfo)
    report = yield
    if report.failed and call.when in ("setup", "call"):
        from minivm.testing.reports import attach

        attach(report, guests)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of pytest-xdist tell the controller which golden screens it has written."""
    output: Any = getattr(session.config, "workeroutput", None)
    if output is not None and SETTINGS in session.config.stash:
        output[WRITTEN] = [str(path) for path in session.config.stash[SETTINGS].written]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker has written."""
    for path in getattr(node, "workeroutput", {}).get(WRITTEN, ()):
        settings_of(node.config).written.setdefault(Path(path), "")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which golden screens were written."""
    if SETTINGS in config.stash and config.stash[SETTINGS].written:
        terminalreporter.write_line(config.stash[SETTINGS].words_of_written())


# -- kernels as cases -------------------------------------------------------------------------------------------------
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the cases of a kernel that `minivm_kernels` names."""
    if not parent.config.getini("minivm_kernels"):
        return None
    return settings_of(parent.config).collect_kernel(file_path, parent)
