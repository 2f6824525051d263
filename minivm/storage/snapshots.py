"""The tree of snapshots: a folder of files with names, each of which may build on another one.

A snapshot's name here is its file's, without `.mvm`; its parent is found by identity, so that a rename disturbs nobody.
"""

import os
import re
from pathlib import Path

from minivm.core.record import record, replace
from minivm.errors import SnapshotError
from minivm.storage import snapshot
from minivm.storage.snapshot import SUFFIX, Contents, Info

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
HOME_VARIABLE = "MINIVM_HOME"


@record
class Listed:
    """One line of the tree: `depth` parents stand above it, `parent` is the name of the nearest.

    `problem` says in one line why it cannot be used, and is empty for a good one; `info` is None when even its own file
    cannot be read.
    """

    name: str
    depth: int
    parent: str | None
    info: Info | None
    problem: str = ""


def default_folder() -> Path:
    """Return where this user's snapshots are: in the folder that MINIVM_HOME names, or the user's data folder."""
    home = os.environ.get(HOME_VARIABLE)
    if home:
        return Path(home) / "snapshots"
    from platformdirs import user_data_path

    return user_data_path("minivm") / "snapshots"


class Snapshots:
    """The snapshots in `folder`. Every name may also be a path, when it has a "/" or ends in ".mvm".

    All methods raise `SnapshotError` in one line.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def path(self, name: str) -> Path:
        """Return the file of the snapshot `name`, which need not exist."""
        if "/" in name or name.endswith(SUFFIX):
            return Path(name)
        if not _NAME.fullmatch(name):
            raise SnapshotError(
                f"{name!r} cannot name a snapshot; use letters, digits, '.', '_' and '-', a letter or digit first"
            )
        return self.folder / f"{name}{SUFFIX}"

    def save(self, contents: Contents, name: str, parent: str | None = None) -> Info:
        """Save under `name`, in place of an older one that nobody builds on; with `parent`, only what differs."""
        path = self.path(name)
        self._refuse_needed(path, "saved over")
        if path.parent == self.folder:
            self._make_folder()
        return snapshot.save(path, contents, name=path.stem, parent=self.path(parent) if parent else None)

    def load(self, name: str) -> Contents:
        """Return what was saved under `name`."""
        return snapshot.load(self.path(name))

    def info(self, name: str) -> Info:
        """Return what the file of `name` says of itself; its `name` is the one it has now."""
        return _info(self.path(name))

    def children(self, name: str) -> tuple[str, ...]:
        """Return the names of the snapshots that build on `name` directly."""
        return tuple(path.stem for path in _children(self.path(name)))

    def rename(self, name: str, new_name: str) -> None:
        """Give a snapshot another name, which must be free; those that build on it still find it."""
        old, new = self.path(name), self.path(new_name)
        if old.parent.resolve() != new.parent.resolve():
            raise SnapshotError(f"{new}: is in another folder, where {old.name} would lose its parents and children")
        if new.suffix != SUFFIX:
            raise SnapshotError(f"{new}: a snapshot's file must end in {SUFFIX}")
        if os.path.lexists(new):
            raise SnapshotError(f"{new}: is there already; remove it first")
        _info(old)
        try:
            old.rename(new)
        except OSError as error:
            raise SnapshotError(f"{old}: cannot be renamed: {error.strerror}") from error

    def remove(self, name: str, *, keep_children: bool = False) -> None:
        """Remove a snapshot that nobody builds on; with `keep_children`, those that do are made whole first.

        A damaged snapshot can be removed, too.
        """
        path = self.path(name)
        if keep_children:
            for child in _children(path):
                snapshot.make_whole(child)
        self._refuse_needed(path, "removed")
        try:
            path.unlink()
        except FileNotFoundError:
            raise SnapshotError(f"{path}: there is no such snapshot") from None
        except OSError as error:
            raise SnapshotError(f"{path}: cannot be removed: {error.strerror}") from error

    def list(self) -> tuple[Listed, ...]:
        """Return the tree, parents before their children, siblings by name; what is damaged is listed with why."""
        listed = {entry.name: entry for entry in map(_listed, sorted(self.folder.glob(f"*{SUFFIX}")))}
        names = {entry.info.digest: name for name, entry in reversed(listed.items()) if entry.info is not None}
        below: dict[str | None, tuple[str, ...]] = {}
        for name, entry in listed.items():
            wanted = entry.info.parent if entry.info is not None else None
            parent = names.get(wanted.digest) if wanted is not None else None
            if wanted is not None and parent in (None, name):
                parent, problem = None, f"its parent {wanted.name!r} is missing or was altered"
                listed[name] = replace(entry, problem=problem)
            below[parent] = (*below.get(parent, ()), name)
        return _in_order(listed, below)

    def _refuse_needed(self, path: Path, what: str) -> None:
        needing = [child.stem for child in _children(path)]
        if needing and not _has_twin(path):
            raise SnapshotError(f"{path}: cannot be {what}: {', '.join(needing)} {_build(needing)} on it")

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SnapshotError(f"{self.folder}: cannot be made: {error.strerror}") from error


def _build(needing: list[str]) -> str:
    return "builds" if len(needing) == 1 else "build"


def _info(path: Path) -> Info:
    return replace(snapshot.info(path), name=path.stem)


def _listed(path: Path) -> Listed:
    try:
        return Listed(path.stem, 0, None, _info(path))
    except SnapshotError as error:
        return Listed(path.stem, 0, None, None, str(error))


def _children(path: Path) -> list[Path]:
    """Return the files beside `path` that build on it; a damaged one counts as nobody's child."""
    digest = snapshot.identity(path)
    others = [other for other in sorted(path.parent.glob(f"*{SUFFIX}")) if digest and other.name != path.name]
    return [other for other in others if (info := _listed(other).info) and info.parent and info.parent.digest == digest]


def _has_twin(path: Path) -> bool:
    """Tell whether another file beside `path` is as good a parent: a copy of it, or the same made whole."""
    digest = snapshot.identity(path)
    others = [other for other in path.parent.glob(f"*{SUFFIX}") if other.name != path.name]
    return any(snapshot.identity(other) == digest and _listed(other).info is not None for other in others)


def _in_order(listed: dict[str, Listed], below: dict[str | None, tuple[str, ...]]) -> tuple[Listed, ...]:
    """Walk the tree from its roots; what no root leads to is forged, and comes last."""
    found: dict[str, Listed] = {}
    waiting: list[tuple[str, str | None]] = [(name, None) for name in reversed(below.get(None, ()))]
    while waiting:
        name, parent = waiting.pop()
        above = found.get(parent) if parent is not None else None
        problem = listed[name].problem
        if not problem and above is not None and above.problem:
            problem = f"its parent {parent!r} cannot be used"
        found[name] = replace(listed[name], depth=above.depth + 1 if above else 0, parent=parent, problem=problem)
        waiting += [(child, name) for child in reversed(below.get(name, ()))]
    circle = [
        replace(entry, problem="its parents go in a circle") for name, entry in listed.items() if name not in found
    ]
    return (*found.values(), *circle)
