"""A save that is killed at any moment leaves the old snapshot or the new one, whole."""

import errno
import os
import random  # noqa: TID251 (which moments; seeded)
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minivm.errors import SnapshotError
from minivm.storage import whole_file
from minivm.storage.snapshot import SECTIONS, Contents, load, save
from minivm.storage.whole_file import replace_file

SAVER = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_snapshot_killed import contents, save
print("ready", flush=True)
for turn in range(1_000_000):
    save(Path(sys.argv[1]), contents(turn))
    print(turn, flush=True)
"""


def contents(turn: int) -> Contents:
    """Return a machine of 2 MB that does not compress, another one at every turn."""
    noise = random.Random(turn).randbytes(2 << 20)
    pages = {number: noise[number * 4096 : (number + 1) * 4096] for number in range(512)}
    return Contents({name: {"turn": turn} for name in SECTIONS}, 4 << 20, pages)


def kill_a_saver(path: Path, delay_s: float) -> int:
    """Let a process save again and again, kill it `delay_s` after it began, and return its last finished turn."""
    program = SAVER.format(folder=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as saver:
        assert saver.stdout is not None
        assert saver.stdout.readline() == "ready\n"
        time.sleep(delay_s)
        saver.send_signal(signal.SIGKILL)
        told = saver.stdout.read().split("\n")
        assert saver.wait() == -signal.SIGKILL
    return int(told[-2]) if len(told) > 1 else -1


def check_kills(folder: Path, kills: int, seed: int) -> None:
    path, chance = folder / "a.mvm", random.Random(seed)
    old = 1_000_000
    save(path, contents(old))
    for _ in range(kills):
        finished = kill_a_saver(path, chance.uniform(0, 0.08))
        turn = load(path).fields["machine"]["turn"]
        assert turn in ((old, 0) if finished < 0 else (finished, finished + 1))
        assert load(path) == contents(turn)
        old = turn
    save(path, contents(0))
    assert sorted(file.name for file in folder.iterdir()) == ["a.mvm"]


def test_25_kills_at_random_moments_leave_a_whole_snapshot(tmp_path):
    check_kills(tmp_path, 25, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_200_kills_at_random_moments_leave_a_whole_snapshot(tmp_path):
    check_kills(tmp_path, 200, seed=2)


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_host_that_fails_leaves_the_old_snapshot_and_nothing_else(tmp_path, monkeypatch, call, error):
    save(tmp_path / "a.mvm", contents(1))

    def fails(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(whole_file.os, call, fails)
        with pytest.raises(SnapshotError, match=rf"a\.mvm: cannot be written: {os.strerror(error)}"):
            save(tmp_path / "a.mvm", contents(2))
    assert load(tmp_path / "a.mvm") == contents(1)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mvm"]


def test_a_host_that_writes_little_at_a_time_is_no_problem(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(whole_file.os, "write", lambda descriptor, data: write(descriptor, bytes(data[:1000])))
    replace_file(tmp_path / "a", [b"x" * 12345, b"", b"y"])
    assert (tmp_path / "a").read_bytes() == b"x" * 12345 + b"y"


def test_the_file_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    order: list[str] = []

    def noted(name: str) -> object:
        original = getattr(os, name)

        def call(*arguments: object) -> object:
            order.append(name)
            return original(*arguments)

        return call

    for name in ("write", "fsync", "replace"):
        monkeypatch.setattr(whole_file.os, name, noted(name))
    replace_file(tmp_path / "a", [b"1", b"2"])
    assert order == ["write", "write", "fsync", "replace", "fsync"]


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path):
    (tmp_path / ".minivm-1-0.part").write_bytes(b"dead")
    descriptor, living = whole_file._open_scratch(tmp_path)
    replace_file(tmp_path / "a", [b"new"])
    assert {file.name for file in tmp_path.iterdir()} == {"a", living.name}
    os.close(descriptor)
    replace_file(tmp_path / "a", [b"newer"])
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SnapshotError, match=r"none/a\.mvm: cannot be written: No such file"):
        save(tmp_path / "none" / "a.mvm", contents(1))
