"""The machines of a test, and those that a session keeps booted: what the plugin's fixtures are made of."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from minivm.errors import ConfigError, ExpectationFailed, MiniVMError
from minivm.testing.coverage_plugin import cover
from minivm.testing.failure import (
    LONGEST_RERUN,
    Evidence,
    History,
    RunJournal,
    Section,
    Sight,
    cost_of,
    run_again,
    sections,
    sight_of,
)
from minivm.testing.guest import Guest, GuestSpec, check_options, locate
from minivm.testing.origins import Booted, Forked
from minivm.testing.screens import FOLDER, Goldens
from minivm.testing.watchdog import Limits

if TYPE_CHECKING:
    from minivm.testing.settings import Settings

SUFFIX = ".mvr"
_LONGEST_NAME = 120
MOST_MACHINES = 4
"""So many machines of one test are reported on; each of them runs once more for that."""


def give_up(reason: object) -> NoReturn:
    """Fail the test with one line and no traceback."""
    raise pytest.fail.Exception(str(reason), pytrace=False) from None


@contextmanager
def plainly(where: str = "") -> Iterator[None]:
    """Turn an error on purpose into a failure of one line."""
    try:
        yield
    except MiniVMError as error:
        give_up(f"{where}{': ' if where else ''}{error}")


# -- one machine of a test --------------------------------------------------------------------------------------------
class Watched:
    """A test's machine with what its report needs; `sight` is what was seen last of one that the test has closed."""

    def __init__(self, guest: Guest, name: str, history: History) -> None:
        self.guest, self.name, self.history = guest, name, history
        self.sight: Sight | None = None
        self.closed = False
        guest.before_close.append(self._last_look)

    def _last_look(self) -> None:
        """Look at a machine that is closed on the way out of a `with` block that failed; no other needs it."""
        self.closed = True
        if sys.exc_info()[0] is not None:
            self.sight = sight_of(self.guest)

    def look(self) -> Sight | None:
        """Return how the machine is now, or was; None when the test had closed it in peace."""
        return self.sight if self.closed else sight_of(self.guest)

    def sections(self, path: Path, command: Callable[[Path], str], most: int) -> list[Section]:
        """Return its part of the report, with a replay file at `path` if the run takes `most` ticks or less."""
        sight = self.look()
        if sight is None:
            return []
        evidence = run_again(self.history, sight, path, most=most)
        return sections(self.name, sight, evidence, command(path))


# -- all machines of a test -------------------------------------------------------------------------------------------
class Guests:
    """The machines of one test: boots and forks them, bounds them by its markers, closes them, reports on them."""

    def __init__(self, item: pytest.Item, settings: "Settings") -> None:
        self._item, self._settings = item, settings
        self._watched: list[Watched] = []
        self._limits = limits_of(item)
        self._goldens = settings.goldens(item)
        self.unready: Unready | None = None

    def __repr__(self) -> str:
        return f"<Guests of {self._item.name}>"

    def boot(self, guest: str | Path | bytes, **options: Any) -> Guest:
        """Boot a guest at its first instruction; it is closed with the test."""
        import minivm

        with plainly():
            check_options(options)
            place = guest if isinstance(guest, bytes) else locate(guest, self._settings.folders(self._item))
            chosen = self._settings.machine_options(options)
            machine = minivm.boot(place, **chosen)
        cover(machine)
        name = "image" if isinstance(guest, bytes) else Path(guest).name
        return self._adopt(machine, name, History(Booted(place, chosen), RunJournal()))

    def fork(self, ready: "Ready", name: str) -> Guest:
        """Return a clone of a machine that the session keeps."""
        with plainly():
            machine = ready.machine.clone()
        return self._adopt(machine, name, History(Forked(ready.machine), RunJournal(), cost_of(ready.machine)))

    def _adopt(self, machine: Any, name: str, history: History) -> Guest:
        guest = Guest.of(machine)
        guest.goldens, guest.cloned = self._goldens, self._on_clone
        if guest.journal is None:
            guest.journal = history.journal
        else:  # the test records the run itself
            history = History(history.origin, _of_recorder(guest.journal), history.start_cost)
        self._watched.append(Watched(guest, self._title(name), history))
        seconds, instructions = self._limits
        if seconds is not None or instructions is not None:
            with plainly():
                guest.watchdog = Limits(guest, seconds=seconds, instructions=instructions)
        return guest

    def _on_clone(self, parent: Guest, twin: Guest) -> None:
        of = next(one for one in self._watched if one.guest is parent)
        journal = of.history.journal.copy()
        self._adopt(twin, f"{of.name}'s clone", History(of.history.origin, journal, of.history.start_cost))

    def _title(self, name: str) -> str:
        names = [one.name for one in self._watched]
        return name if name not in names else f"{name} ({len(names) + 1})"

    def report(self) -> list[Section]:
        """Return what the report of the failed test shows."""
        found = list(self.unready.sections) if self.unready is not None else []
        shown = self._watched[-MOST_MACHINES:]
        if len(shown) < len(self._watched):
            found.append(("minivm", f"the last {len(shown)} of the test's {len(self._watched)} machines:"))
        for number, one in enumerate(shown):
            path = self._settings.replay_file(self._item.nodeid, number)
            found += one.sections(path, self._settings.replay_command, LONGEST_RERUN // len(shown))
        return found

    def close(self) -> None:
        """Close every machine, the last one first, also when one cannot be closed in peace."""
        with ExitStack() as stack:
            for one in self._watched:
                stack.callback(one.guest.close)


def _of_recorder(journal: Any) -> RunJournal:
    """Return a journal that follows the one of a recorder."""
    twin = RunJournal(journal)
    journal.listeners.append(twin.append)
    return twin


# -- what markers say -------------------------------------------------------------------------------------------------
def limits_of(item: pytest.Item) -> tuple[float | None, int | None]:
    """Return a test's limits in virtual seconds and in instructions, as its markers give them."""
    seconds = _marker_number(item, "minivm_timeout", "2.5", (int, float))
    instructions = _marker_number(item, "minivm_max_instructions", "1_000_000", (int,))
    return seconds, instructions


def _marker_number(item: pytest.Item, name: str, example: str, kinds: tuple[type, ...]) -> Any:
    marker = item.get_closest_marker(name)
    if marker is None:
        return None
    values: list[Any] = [*marker.args, *marker.kwargs.values()]
    value = values[0] if len(values) == 1 else None
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if fits and value is not None and value > 0:
        return value
    shown = ", ".join(map(repr, values)) or "nothing"
    give_up(f"the marker {name} takes one number above 0, not {shown}; write @pytest.mark.{name}({example})")


def spec_of(request: pytest.FixtureRequest, settings: "Settings") -> GuestSpec:
    """Return which guest a test wants: by its marker, else the fixture `minivm_guest`, else the ini file."""
    marker = request.node.get_closest_marker("minivm_guest")
    arguments: Mapping[str, Any] = marker.kwargs if marker is not None else {}
    with plainly("the marker minivm_guest" if marker is not None else ""):
        if marker is not None and len(marker.args) > 1:
            raise ConfigError("it takes one guest; the rest is named, like ready='login:'")
        if marker is not None and marker.args:
            return settings.spec(marker.args[0]).changed(**arguments)
        return _default_spec(request, settings).changed(**arguments)


def _default_spec(request: pytest.FixtureRequest, settings: "Settings") -> GuestSpec:
    found = request.getfixturevalue("minivm_guest")
    if isinstance(found, GuestSpec):
        return found
    if found is None:
        raise ConfigError(
            "this test does not say which guest it wants: mark it @pytest.mark.minivm_guest('kernel.img'), define the "
            "fixture minivm_guest, or put minivm_guest = kernel.img into the ini file"
        )
    return settings.spec(found)


# -- what a session keeps ---------------------------------------------------------------------------------------------
class Ready:
    """A machine that has come to its ready text; it is only cloned from then on."""

    def __init__(self, machine: Guest) -> None:
        self.machine = machine


class Unready:
    """A guest that never got ready: why, in a line, and what it showed; found out once a session."""

    def __init__(self, reason: str, found: list[Section]) -> None:
        self.reason, self.sections = reason, found


class Nursery:
    """The machines that a session boots once, by what was asked for."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._kept: dict[tuple[str, ...], Ready | Unready] = {}

    def get(self, spec: GuestSpec, item: pytest.Item) -> Ready | Unready:
        """Return a guest that is ready, or why there is none."""
        if spec.ready is None:
            raise ConfigError(
                "booted: nobody says when the guest is ready: give ready='login:' to the marker minivm_guest, or "
                "minivm_ready in the ini file"
            )
        place = locate(spec.path, self._settings.folders(item))
        key = (str(place), *spec.key[1:])
        if key not in self._kept:
            self._kept[key] = self._boot(spec, place)
        return self._kept[key]

    def _boot(self, spec: GuestSpec, place: str | Path) -> Ready | Unready:
        import minivm

        options = self._settings.machine_options(spec.options)
        name, journal = Path(spec.path).name, RunJournal()
        try:
            guest = Guest.of(minivm.boot(place, **options))
        except MiniVMError as error:
            return Unready(f"booted: {error}", [])
        cover(guest)
        guest.journal = journal
        try:
            guest.expect(spec.ready or "", timeout=spec.timeout)
        except ExpectationFailed as error:
            return self._unready(guest, name, History(Booted(place, options), journal), str(error).split("\n")[0])
        guest.settle()
        return Ready(guest)

    def _unready(self, guest: Guest, name: str, history: History, why: str) -> Unready:
        with guest:
            sight = sight_of(guest)
        path = self._settings.replay_file(f"booted {name}", 0)
        evidence: Evidence = run_again(history, sight, path)
        found = sections(name, sight, evidence, self._settings.replay_command(path))
        return Unready(f"booted: {name} never got ready: {why}", found)

    def close(self) -> None:
        """Close every machine that is kept."""
        while self._kept:
            match self._kept.popitem()[1]:
                case Ready(machine=machine):
                    machine.close()


# -- where things are -------------------------------------------------------------------------------------------------
def file_name(node: str, number: int) -> str:
    """Return a replay file's name for a test's id; `number` tells its machines apart."""
    plain = re.sub(r"[^A-Za-z0-9_.\-]+", "_", node)[-_LONGEST_NAME:].lstrip("_.-")
    return f"{plain or 'test'}{f'-{number + 1}' if number else ''}{SUFFIX}"


def goldens_of(item: pytest.Item, *, update: bool, written: Callable[[Path, str], None]) -> Goldens:
    """Return the golden screens of a test's module."""
    folder = item.path.parent / FOLDER / item.path.stem
    return Goldens(folder, f'pytest --minivm-update "{item.nodeid}"', update, written)
