"""Screens as a test wants them: compared row by row, and kept as golden files.

A golden file is the screen's text, each row without its blanks at the right and without the empty rows at the bottom.
With attributes a second block follows, which says for each row the attribute bytes and how often each one comes:

    MiniVM shell. Try: help
    >
    --- attributes ---
    07x80
    0Ax2 07x78
"""

import os
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from minivm.core.record import record
from minivm.core.screen import TextScreen
from minivm.errors import ConfigError, ExpectationFailed

FOLDER = "__screens__"
MARK = "--- attributes ---"
CONTEXT_ROWS = 2
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


# -- a screen as text -----------------------------------------------------------------------------------------------
def screen_text(screen: TextScreen, *, attributes: bool = False) -> str:
    """Return a screen as a golden file has it."""
    lines = screen.text().splitlines()
    return "\n".join([*lines, MARK, *attribute_rows(screen)] if attributes else lines)


def attribute_rows(screen: TextScreen) -> list[str]:
    """Return the runs of attributes of each row, without the rows at the bottom that are like the last one."""
    columns = screen.columns
    rows = [
        " ".join(f"{value:02X}x{len(list(run))}" for value, run in groupby(screen.attributes[at : at + columns]))
        for at in range(0, screen.rows * columns, columns)
    ]
    while len(rows) > 1 and rows[-1] == rows[-2]:
        rows.pop()
    return rows


def framed(lines: list[str], columns: int = 0) -> str:
    """Return lines in a frame as wide as a screen of `columns`, or as the longest of them."""
    width = max([columns, *map(len, lines)])
    edge = f"+{'-' * width}+"
    return "\n".join([edge, *(f"|{line:<{width}}|" for line in lines), edge])


# -- the difference -------------------------------------------------------------------------------------------------
def difference(expected: str, found: str, *, context: int = CONTEXT_ROWS) -> str:
    """Return the rows in which two screens differ, with `context` rows around each; "" when they are the same.

    Rows are numbered from 0. Under a pair that differs a `^` stands at each column that does.
    """
    wanted, seen = _rows(expected), _rows(found)
    height = max(len(wanted), len(seen))
    wanted += [""] * (height - len(wanted))
    seen += [""] * (height - len(seen))
    differing = [row for row in range(height) if wanted[row] != seen[row]]
    near = {row + by for row in differing for by in range(-context, context + 1)}
    lines: list[str] = []
    before = -1
    for row in (row for row in range(height) if row in near):
        if row > before + 1:
            lines.append("  ...")
        lines += _row_lines(row, wanted[row], seen[row])
        before = row
    return "\n".join(lines)


def _rows(text: str) -> list[str]:
    rows = [line.rstrip() for line in text.split("\n")]
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _row_lines(row: int, wanted: str, seen: str) -> list[str]:
    if wanted == seen:
        return [f"  row {row:>2}            |{seen}|"]
    width = max(len(wanted), len(seen))
    pairs = zip(wanted.ljust(width), seen.ljust(width), strict=True)
    marks = "".join(" " if one == other else "^" for one, other in pairs)
    return [
        f"- row {row:>2} expected   |{wanted.ljust(width)}|",
        f"+ row {row:>2} on screen  |{seen.ljust(width)}|",
        f"                     {marks.rstrip()}",
    ]


def check_screen(expected: str, screen: TextScreen, *, title: str = "the screen") -> None:
    """Raise `ExpectationFailed` with the rows that differ, when the text of `screen` is not `expected`."""
    _complain(title, difference(expected, screen.text()))


def check_attributes(expected: str, screen: TextScreen, *, title: str = "the screen") -> None:
    """Raise `ExpectationFailed` with the rows that differ, when the attributes are not those of a golden's block."""
    _complain(f"{title} in its attributes", difference(expected, "\n".join(attribute_rows(screen))))


def _complain(title: str, changed: str) -> None:
    if changed:
        raise ExpectationFailed(f"{title} is not as expected\n{changed}")


def unindented(text: str) -> str:
    """Return a text between triple quotes without its first empty line and its common indentation."""
    from textwrap import dedent

    return dedent(text.removeprefix("\n")) if text.startswith("\n") else text


# -- golden files ---------------------------------------------------------------------------------------------------
@record
class Goldens:
    """The golden screens of one test module; `folder` is theirs, `command` makes a missing one.

    With `update` they are written instead of compared. `written` is told of each file.
    """

    folder: Path
    command: str
    update: bool
    written: Callable[[Path, str], None]

    def path(self, name: str) -> Path:
        """Return the file of a golden screen; raises `ConfigError` for a name that cannot be a file's."""
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a golden screen; use letters, digits, _, - and .")
        return self.folder / f"{name}.txt"

    def check(self, name: str, screen: TextScreen, *, attributes: bool = False) -> None:
        """Compare a screen with its golden file, or write it; raises `ExpectationFailed`."""
        path = self.path(name)
        if self.update:
            text = screen_text(screen, attributes=attributes)
            self.written(path, text)
            _write(path, text + "\n")
            return
        expected, mark, expected_attributes = self._read(name, path).partition(f"{MARK}\n")
        title = f"the screen, against its golden {path.name},"
        check_screen(expected, screen, title=title)
        if attributes and not mark:
            raise ExpectationFailed(f"the golden screen {name!r} has no attributes; write it anew: {self.command}")
        if attributes:
            check_attributes(expected_attributes, screen, title=title)

    def _read(self, name: str, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ExpectationFailed(
                f"there is no golden screen {name!r} yet; look, then write it: {self.command}"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ExpectationFailed(f"{path}: cannot be read: {error}") from None


def _write(path: Path, text: str) -> None:
    """Write a file whole, or leave it as it is: another worker may be reading it."""
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ExpectationFailed(f"{path}: cannot be written: {error}") from None
