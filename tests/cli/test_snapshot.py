"""`minivm snapshot`, called as the command line does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIVM_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "snapshots"


@pytest.fixture
def base(minivm: Run, home: Path) -> Path:
    """A shell at its prompt, saved as `base`."""
    assert minivm("snapshot", "save", "shell", "base", "--expect", "> ", "--quiet").status == 0
    return home / "base.mvm"


def test_save_says_what_it_saved(minivm: Run, home: Path) -> None:
    found = minivm("snapshot", "save", "shell", "base", "--expect", "> ")
    assert found.status == 0
    assert found.err.startswith("minivm: saved base: ")
    assert (home / "base.mvm").exists()


def test_a_restored_guest_goes_on_as_if_it_had_never_stopped(minivm: Run, base: Path) -> None:
    whole = minivm("run", "shell", "--expect", "> ", "--type", "echo hello\\n", "--expect", "\nhello", "--screen")
    rest = minivm("snapshot", "restore", "base", "--type", "echo hello\\n", "--expect", "\nhello", "--screen")
    assert (rest.status, rest.out) == (whole.status, whole.out)
    assert "hello" in rest.out


def test_max_ticks_count_from_the_snapshot(minivm: Run, base: Path) -> None:
    found = minivm("snapshot", "restore", "base", "--max-ticks", "1000", "--display", "none", "--quiet")
    assert found.status == 124


def test_a_run_on_top_of_a_snapshot_makes_a_tree(minivm: Run, base: Path) -> None:
    made = minivm("snapshot", "restore", "base", "--type", "help\\n", "--expect", "reboot", "--save-as", "child")
    assert made.status == 0, made.err
    also = minivm("snapshot", "save", "timer", "other", "--max-ticks", "2000", "--quiet")
    assert also.status == 0, also.err
    lines = minivm("snapshot", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["base", "child", "other"]
    assert lines[1].startswith("  child")
    assert "shell.img, at " in lines[0]
    assert "parent    base (" in minivm("snapshot", "info", "child").out


def test_rm_keeps_what_others_build_on(minivm: Run, base: Path) -> None:
    minivm("snapshot", "restore", "base", "--type", "a", "--max-ticks", "1000", "--save-as", "child", "--quiet")
    minivm("snapshot", "rm", "base").assert_one_line(2, "child builds on it")
    assert minivm("snapshot", "rm", "base", "--keep-children").status == 0
    found = minivm("snapshot", "restore", "child", "--max-ticks", "1000", "--quiet", "--screen")
    assert (found.status, "MiniVM shell" in found.out) == (124, True)


def test_a_path_may_stand_for_a_name(minivm: Run, tmp_path: Path) -> None:
    path = tmp_path / "here.mvm"
    assert minivm("snapshot", "save", "timer", path, "--max-ticks", "3000", "--quiet").status == 0
    assert "timer.img" in minivm("snapshot", "info", path).out
    assert minivm("snapshot", "rm", path).status == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "nothing"], "there is no such snapshot"),
        (["restore", "nothing"], "there is no such snapshot"),
        (["rm", "nothing"], "there is no such snapshot"),
        (["info", "a b"], "cannot name a snapshot"),
        (["save", "shell", "a b"], "cannot name a snapshot"),
        (["save", "shell"], "give GUEST and NAME"),
        (["save", "no-such-guest", "x"], "no-such-guest"),
        (["restore"], "which NAME?"),
        (["restore", "base", "--config", "x.toml"], "leave --config out"),
        ([], "ACTION"),
        (["dance"], "dance"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(minivm: Run, words: list[str], said: str) -> None:
    minivm("snapshot", *words).assert_one_line(2, said)


def test_a_guest_that_has_moved_is_found_again(minivm: Run, tmp_path: Path) -> None:
    from minivm import bundled

    old, new = tmp_path / "old.img", tmp_path / "new.img"
    timer = bundled.find("timer")
    assert timer is not None
    old.write_bytes(timer.image.read_bytes())
    assert minivm("snapshot", "save", old, "x", "--max-ticks", "3000", "--quiet").status == 0
    old.rename(new)
    minivm("snapshot", "restore", "x").assert_one_line(2, "old.img")
    assert minivm("snapshot", "restore", "x", "--guest", new, "--max-ticks", "3000", "--quiet").status == 124


def test_another_machine_is_refused_by_its_field(minivm: Run, base: Path) -> None:
    minivm("snapshot", "restore", "base", "--memory", "8M").assert_one_line(2, "base.mvm: memory: the snapshot has")


@pytest.mark.parametrize(("damage", "said"), [("cut", "is cut short"), ("alter", "is damaged"), ("empty", "is not a")])
def test_a_damaged_file_is_refused(minivm: Run, base: Path, damage: str, said: str) -> None:
    data = bytearray(base.read_bytes())
    match damage:
        case "cut":
            del data[-100:]
        case "alter":
            data[len(data) // 2] ^= 1
        case "empty":
            data.clear()
    base.write_bytes(data)
    for action in ("restore", "info"):
        minivm("snapshot", action, "base").assert_one_line(2, "base.mvm", said)
    assert "base" in minivm("snapshot", "list").out


def test_an_expectation_that_fails_saves_nothing(minivm: Run, home: Path) -> None:
    found = minivm("snapshot", "save", "hello-vga", "x", "--expect", "no such text")
    assert found.status == 1
    assert not (home / "x.mvm").exists()
