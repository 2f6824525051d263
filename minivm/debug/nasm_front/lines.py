"""Source lines: where each came from, and how files become lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minivm.errors import AssemblyError

LARGEST_SOURCE_BYTES = 4 << 20


class PlacedError(AssemblyError):
    """An `AssemblyError` whose text begins with its file and line already."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place in the source: the file's name as the user wrote it, the line (from 1), and the macro being expanded."""

    file: str
    line: int
    macro: str = ""

    def error(self, message: object) -> PlacedError:
        """Return an error whose one line of text begins with this place."""
        inside = f" (in macro '{self.macro}')" if self.macro else ""
        return PlacedError(f"{self.file}:{self.line}: {message}{inside}")


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line of source, continuation lines joined."""

    text: str
    where: Where


def split_lines(text: str, name: str) -> list[Line]:
    """Cut `text` into lines, joining those that end in a backslash (NASM manual, section 3.1)."""
    lines: list[Line] = []
    pending, start = "", 0
    for count, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if raw.endswith("\\"):
            pending, start = pending + raw[:-1] + " ", start or count
            continue
        lines.append(Line(pending + raw, Where(name, start or count)))
        pending, start = "", 0
    if pending:
        lines.append(Line(pending, Where(name, start)))
    return lines


def decode(data: bytes, name: str) -> str:
    """Return source bytes as text, one character a byte, so that strings keep the bytes that the file has."""
    if len(data) > LARGEST_SOURCE_BYTES:
        raise AssemblyError(f"{name}:1: the source is {len(data)} bytes; at most {LARGEST_SOURCE_BYTES} are read")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise AssemblyError(f"{name}:{line}: this is binary data (a zero byte), not assembly source")
    return data.decode("latin-1").removeprefix("\xef\xbb\xbf")


def shown(text: str) -> str:
    """Return source text as a person wrote it, UTF-8 where it is UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


class Files:
    """Finds and reads the files that a source names: beside the source, then beside the file that names them."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(folders)
        self._cache: dict[Path, bytes] = {}

    def read(self, name: str) -> bytes:
        """Return the bytes of the file `name`; raises `AssemblyError` (without a place) when it cannot be read."""
        reason = "no such file"
        for folder in self.folders:
            path = folder / shown(name)
            if path in self._cache:
                return self._cache[path]
            try:
                self._cache[path] = data = path.read_bytes()
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a file name"
                break
            return data
        raise AssemblyError(f"cannot read '{shown(name)}': {reason}")
