"""The tree of snapshots: names, parents, and nobody loses what he builds on."""

import json
import struct
import tempfile
from hashlib import blake2b
from pathlib import Path

import pytest
import zstandard
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minivm.errors import SnapshotError
from minivm.storage.snapshot import SECTIONS, Contents
from minivm.storage.snapshots import Snapshots, default_folder


def contents(*numbers: int) -> Contents:
    pages = {number: bytes([number + 1]) * 4096 for number in numbers}
    return Contents({name: {} for name in SECTIONS}, 1 << 20, pages)


@pytest.fixture
def tree(tmp_path):
    """Two roots; a has b and c, b has d."""
    snapshots = Snapshots(tmp_path / "snapshots")
    snapshots.save(contents(0), "a")
    snapshots.save(contents(0, 1), "b", "a")
    snapshots.save(contents(0, 2), "c", "a")
    snapshots.save(contents(1, 3), "d", "b")
    snapshots.save(contents(9), "z")
    return snapshots


def shown(snapshots: Snapshots) -> list[tuple[str, int, str | None]]:
    return [(entry.name, entry.depth, entry.parent) for entry in snapshots.list()]


def test_the_list_is_in_tree_order(tree):
    wanted = [("a", 0, None), ("b", 1, "a"), ("d", 2, "b"), ("c", 1, "a"), ("z", 0, None)]
    assert shown(tree) == wanted
    assert [entry.problem for entry in tree.list()] == [""] * 5


def test_a_folder_that_is_not_there_is_an_empty_tree(tmp_path):
    assert Snapshots(tmp_path / "none").list() == ()


def test_each_name_gives_back_its_own(tree):
    assert tree.load("d") == contents(1, 3)
    assert (tree.info("d").name, tree.info("d").pages.cleared) == ("d", 1)
    assert tree.children("a") == ("b", "c")


def test_a_renamed_snapshot_keeps_its_place(tree):
    tree.rename("a", "start")
    assert tree.load("d") == contents(1, 3)
    assert tree.info("start").name == "start"
    assert shown(tree)[:2] == [("start", 0, None), ("b", 1, "start")]


def test_a_rename_takes_no_name_that_is_in_use(tree):
    with pytest.raises(SnapshotError, match=r"c\.mvm: is there already"):
        tree.rename("b", "c")
    with pytest.raises(SnapshotError, match="there is no such snapshot"):
        tree.rename("none", "new")
    with pytest.raises(SnapshotError, match="in another folder"):
        tree.rename("b", "/elsewhere/b.mvm")
    with pytest.raises(SnapshotError, match=r"must end in \.mvm"):
        tree.rename("b", f"{tree.folder}/b.txt")
    assert len(tree.list()) == 5


def test_what_others_build_on_is_neither_removed_nor_saved_over(tree):
    with pytest.raises(SnapshotError, match=r"a\.mvm: cannot be removed: b, c build on it"):
        tree.remove("a")
    with pytest.raises(SnapshotError, match=r"b\.mvm: cannot be saved over: d builds on it"):
        tree.save(contents(), "b")
    assert tree.load("d") == contents(1, 3)


def test_what_nobody_builds_on_is_removed_and_saved_over(tree):
    tree.save(contents(7), "d", "c")
    assert tree.load("d") == contents(7)
    tree.remove("d")
    tree.remove("b")
    assert shown(tree) == [("a", 0, None), ("c", 1, "a"), ("z", 0, None)]
    with pytest.raises(SnapshotError, match="there is no such snapshot"):
        tree.remove("d")


def test_children_can_be_made_whole_and_kept(tree):
    tree.remove("a", keep_children=True)
    assert shown(tree) == [("b", 0, None), ("d", 1, "b"), ("c", 0, None), ("z", 0, None)]
    assert (tree.load("b"), tree.load("c"), tree.load("d")) == (contents(0, 1), contents(0, 2), contents(1, 3))


def test_a_copy_frees_the_original(tree):
    tree.path("copy").write_bytes(tree.path("a").read_bytes())
    tree.remove("a")
    assert tree.load("d") == contents(1, 3)
    with pytest.raises(SnapshotError, match="cannot be removed"):
        tree.remove("copy")


def test_what_is_damaged_is_listed_with_why_and_can_be_removed(tree):
    data = bytearray(tree.path("b").read_bytes())
    data[-1] ^= 1
    tree.path("b").write_bytes(data)
    problems = {entry.name: entry.problem for entry in tree.list()}
    assert "is damaged" in problems.pop("b")
    assert problems.pop("d") == "its parent 'b' is missing or was altered"
    assert set(problems.values()) == {""}
    tree.remove("d")
    tree.remove("b")
    assert [entry.name for entry in tree.list()] == ["a", "c", "z"]


def test_grandchildren_of_what_is_missing_are_listed_with_why(tree):
    tree.path("a").unlink()
    problems = {entry.name: (entry.depth, entry.problem) for entry in tree.list()}
    assert problems["b"] == (0, "its parent 'a' is missing or was altered")
    assert problems["d"] == (1, "its parent 'b' cannot be used")


def test_forged_parents_that_go_in_a_circle_are_listed_with_why(tree):
    for name, own, parent in (("p", b"P", b"Q"), ("q", b"Q", b"P")):
        data = tree.path("z").read_bytes()
        length = struct.unpack_from("<I", data, 20)[0]
        header = json.loads(zstandard.decompress(data[64 : 64 + length]))
        header["parent"] = {"digest": (parent * 32).hex(), "name": "other"}
        packed = zstandard.compress(json.dumps(header).encode())
        body = packed + data[64 + length : -32]
        whole = data[:20] + struct.pack("<IQ32s", len(packed), 64 + len(body) + 32, own * 32) + body
        tree.path(name).write_bytes(whole + blake2b(whole, digest_size=32).digest())
    problems = {entry.name: entry.problem for entry in tree.list()}
    assert (problems["p"], problems["q"]) == ("its parents go in a circle",) * 2
    with pytest.raises(SnapshotError, match=r"its parent 'other' .* is not in"):
        tree.load("p")


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "-a", "a b", "a\n", "é", "a\\b", "x" * 101])
def test_a_bad_name_is_refused(tree, name):
    with pytest.raises(SnapshotError, match="cannot name a snapshot"):
        tree.save(contents(), name)


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "7"])
def test_a_name_is_a_file_in_the_folder(tree, name):
    assert tree.path(name) == tree.folder / f"{name}.mvm"


def test_a_text_with_a_slash_or_the_suffix_is_a_path(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (tree.path("./x"), tree.path("x.mvm")) == (Path("x"), Path("x.mvm"))
    tree.save(contents(1), "x.mvm")
    tree.save(contents(2), "./y.mvm", "x.mvm")
    assert tree.load(f"{tmp_path}/y.mvm") == contents(2)
    assert len(tree.list()) == 5
    with pytest.raises(SnapshotError, match="y builds on it"):
        tree.remove("x.mvm")


def test_the_folder_is_the_users_or_minivms_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIVM_HOME", str(tmp_path))
    assert Snapshots().folder == tmp_path / "snapshots"
    monkeypatch.delenv("MINIVM_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_folder() == tmp_path / "data" / "minivm" / "snapshots"


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SnapshotError, match="cannot be made"):
        Snapshots(tmp_path / "file" / "snapshots").save(contents(), "a")


class AnyWork(RuleBasedStateMachine):
    """Save, rename, remove in any order: what is listed loads as it was saved."""

    names = st.sampled_from("abcdef")
    which = st.integers(0, 5)

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.tree = Snapshots(Path(self.home.name))
        self.saved: dict[str, Contents] = {}

    def teardown(self) -> None:
        self.home.cleanup()

    def one(self, which: int) -> str:
        """Return one of the names there are."""
        return sorted(self.saved)[which % len(self.saved)]

    @initialize(parents=st.lists(which, min_size=4, max_size=4))
    def begin(self, parents: list[int]) -> None:
        for name, parent in zip("abcd", parents, strict=True):
            self.save(name, parent, {parent})

    @rule(name=names, parent=which, numbers=st.sets(st.integers(0, 5)))
    def save(self, name: str, parent: int, numbers: set[int]) -> None:
        new = contents(*sorted(numbers))
        needed = name in self.saved and self.tree.children(name)
        above = self.one(parent) if parent and self.saved else None
        if needed or above == name:
            with pytest.raises(SnapshotError, match=r"on it|what it builds on"):
                self.tree.save(new, name, above)
        else:
            self.tree.save(new, name, above)
            self.saved[name] = new

    @precondition(lambda self: self.saved)
    @rule(old=which, new=names)
    def rename(self, old: int, new: str) -> None:
        name = self.one(old)
        if new in self.saved:
            with pytest.raises(SnapshotError, match="is there already"):
                self.tree.rename(name, new)
        else:
            self.tree.rename(name, new)
            self.saved[new] = self.saved.pop(name)

    @precondition(lambda self: self.saved)
    @rule(which=which, keep=st.booleans())
    def remove(self, which: int, keep: bool) -> None:
        name = self.one(which)
        if not keep and self.tree.children(name):
            with pytest.raises(SnapshotError, match="on it"):
                self.tree.remove(name)
        else:
            self.tree.remove(name, keep_children=keep)
            del self.saved[name]

    @invariant()
    def everything_is_there(self) -> None:
        listed = self.tree.list()
        assert sorted(entry.name for entry in listed) == sorted(self.saved)
        assert not any(entry.problem for entry in listed)
        for name, wanted in self.saved.items():
            assert self.tree.load(name) == wanted


TestAnyWork = AnyWork.TestCase
TestAnyWork.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
