"""A guest under test: a machine with a test's questions, and how a test says which guest it wants."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from minivm.core.record import names, record, replace
from minivm.core.screen import TextScreen
from minivm.errors import ConfigError, ExpectationFailed, ImageError
from minivm.machine import NS_PER_MS, NS_PER_SECOND, Machine
from minivm.testing.screens import Goldens, check_screen, unindented

READY_TIMEOUT = 10.0
"""So many virtual seconds may a guest take until it is ready."""
_SLICE_NS = 10 * NS_PER_MS


class Guest(Machine):
    """A machine under test: all that a machine is, and what it shows can be waited for and asserted.

    `Guest.of` makes one; nothing stands between it and the machine. Everything that fails raises `ExpectationFailed`,
    which is an `AssertionError`.
    """

    goldens: Goldens | None = None
    """Where the golden screens of its test are."""
    cloned: "Callable[[Guest, Guest], None] | None" = None
    """Told of each clone: (this one, the clone)."""

    @classmethod
    def of(cls, machine: Machine) -> "Guest":
        """Return `machine` itself as a guest under test.

        `minivm.pc` wires machines up and need not know of tests; a guest adds methods and no parts, so its class is
        all that changes.
        """
        machine.__class__ = cls
        return cast(Guest, machine)

    def __repr__(self) -> str:
        guest = self.config.guest if self.config is not None else None
        return f"<Guest {guest.name if guest is not None else 'without a name'}>"

    def expect_screen(self, text: str, row: int | None = None, timeout: float = 5.0) -> None:
        """Run until `text` stands on the screen, in `row` (0 at the top) if it is given.

        Blanks at a row's end count only where `text` ends in one. `timeout` counts virtual seconds. Raises
        `ExpectationFailed` with the screen and the serial log, `ConfigError` for a row that the screen does not have.
        """
        __tracebackhide__ = True
        end = self.now + round(timeout * NS_PER_SECOND)
        while not stands(text, self.screen, row):
            ended = self.run_to(self._allowed(min(self.now + _SLICE_NS, end)))
            if stands(text, self.screen, row):
                return
            if ended.final or self.now >= end:
                why = f"the machine ended: {ended.reason}" if ended.final else f"{timeout:g} virtual seconds are over"
                where = "on the screen" if row is None else f"in row {row} of the screen"
                raise ExpectationFailed(f"{text!r} did not come {where}; {why}\n{self._needed_console().report()}")

    def assert_screen(
        self, expected: str | None = None, *, golden: str | None = None, attributes: bool = False
    ) -> None:
        """Assert that the screen shows exactly `expected`, or the golden screen of that name.

        Blanks at the right of rows and empty rows at the bottom do not count; a text between triple quotes may be
        indented. `attributes` compares a golden's colours too. Raises `ExpectationFailed` with the rows that differ.
        """
        __tracebackhide__ = True
        if (expected is None) == (golden is None):
            raise ConfigError("assert_screen: give either the text that is expected or golden=NAME")
        if expected is not None:
            if attributes:
                raise ConfigError("assert_screen: attributes are compared with a golden screen; give golden=NAME")
            check_screen(unindented(expected), self.screen)
            return
        if self.goldens is None:
            raise ConfigError("assert_screen: golden screens belong to a pytest test; boot the guest by its fixtures")
        self.goldens.check(golden or "", self.screen, attributes=attributes)

    def clone(self) -> "Guest":
        """Return a guest in the same state, as `Machine.clone` does; the test closes it in the end."""
        twin = Guest.of(super().clone())
        if self.cloned is not None:
            self.cloned(self, twin)
        return twin


def stands(text: str, screen: TextScreen, row: int | None = None) -> bool:
    """Tell whether `text` stands on a screen, or in one row of it."""
    if row is not None:
        if not 0 <= row < screen.rows:
            raise ConfigError(f"row {row}: the screen has rows 0 to {screen.rows - 1}")
        line = screen.row(row)
        return text in (line.ljust(screen.columns) if text.endswith(" ") else line)
    return text in screen.text() or (text.endswith(" ") and text in screen.padded_text())


# -- which guest a test wants -----------------------------------------------------------------------------------------
@record
class GuestSpec:
    """The guest that a test wants: what to boot, the text that says it is ready, and fields of `MachineConfig`.

    `timeout` is how many virtual seconds it may take until it is ready.
    """

    path: str | Path
    options: dict[str, Any]
    ready: str | None = None
    timeout: float = READY_TIMEOUT

    @classmethod
    def of(cls, path: str | Path, **arguments: Any) -> "GuestSpec":
        """Return what a marker's or a fixture's arguments say: `GuestSpec.of("k.img", ready="> ", memory="8M")`.

        Raises `ConfigError` for one that does not fit.
        """
        if not isinstance(path, str | Path) or not str(path):
            raise ConfigError(f"{path!r} names no guest; give a path or a bundled guest's name")
        return cls(path, {}).changed(**arguments)

    def changed(self, **arguments: Any) -> "GuestSpec":
        """Return the same with other `ready`, `timeout` or configuration."""
        ready, timeout = arguments.pop("ready", self.ready), arguments.pop("timeout", self.timeout)
        if ready is not None and (not isinstance(ready, str) or not ready):
            raise ConfigError(f"ready={ready!r} is not a text that a guest could show")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise ConfigError(f"timeout={timeout!r} is not a number of virtual seconds above 0")
        check_options(arguments)
        return replace(self, ready=ready, timeout=float(timeout), options=self.options | arguments)

    @property
    def key(self) -> tuple[str, ...]:
        """Return what tells it from others."""
        return str(self.path), repr(sorted(self.options.items())), str(self.ready), str(self.timeout)


def check_options(options: Iterable[str]) -> None:
    """Raise `ConfigError` for a name that is no field of `MachineConfig`."""
    from minivm.config import MachineConfig

    known = (*names(MachineConfig), "record")
    for name in options:
        if name not in known or name == "guest":
            raise ConfigError(f"{name}: a machine has no such option; they are {', '.join(known[1:])}")


def locate(path: str | Path, folders: Iterable[Path]) -> str | Path:
    """Return a guest's file: relative to the first of `folders` that has it, else a bundled guest's name.

    Raises `ImageError` when there is neither.
    """
    from minivm import bundled

    places = list(folders)
    for folder in places:
        if (folder / path).is_file():
            return folder / path
    if bundled.find(str(path)) is not None:
        return str(path)
    where = " or ".join(dict.fromkeys(map(str, places)))
    raise ImageError(f"{path}: there is no such guest in {where}, and no bundled one; `minivm guests` lists those")
