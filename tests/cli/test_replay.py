"""`minivm run --record` and `minivm replay`: scripts, the live terminal, Ctrl-C, bad files, branches."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MINIVM = Path(sys.executable).with_name("minivm")


@pytest.fixture
def recorded(minivm, tmp_path) -> Path:
    """A script that was recorded: the shell says its version."""
    path = tmp_path / "run.mvr"
    result = minivm(
        "run", "shell", "--record", path, "--expect", ">", "--type", "echo shell 1\\n", "--expect", "\nshell 1"
    )
    assert result.status == 0, result.err
    return path


class Live:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        self.master, slave = pty.openpty()
        environment = os.environ | {"TERM": "xterm", "LINES": "30", "COLUMNS": "90"}
        words = [str(MINIVM), *map(str, arguments)]
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self.seen = b""

    def until(self, text: bytes, seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end and self.process.poll() is None, self.seen
            self.read(0.1)

    def read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                return

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ends(self) -> int:
        end = time.monotonic() + 40
        while self.process.poll() is None:
            assert time.monotonic() < end
            self.read(0.05)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def live():
    running = []

    def start(*arguments: object) -> Live:
        running.append(Live(*arguments))
        return running[-1]

    yield start
    for one in running:
        one.close()


def test_a_script_is_replayed_identically(minivm, recorded):
    result = minivm("replay", recorded, "--screen")
    assert result.status == 0
    assert "shell 1" in result.out
    assert result.out.splitlines()[-1].startswith("replayed ")
    assert result.out.splitlines()[-1].endswith("identical")
    assert " 1 inputs, " in result.out


@pytest.mark.parametrize("slice_ticks", [777, 20_000_000])
def test_the_report_is_the_same_at_every_slice_length(minivm, recorded, slice_ticks):
    report = json.loads(minivm("replay", recorded, "--json", "--slice", slice_ticks).out)
    assert report == json.loads(minivm("replay", recorded, "--json").out)
    assert report["identical"]
    assert report["inputs"] == 1
    assert report["reason"] == "script-met"


def test_recording_changes_nothing_in_the_report(minivm, tmp_path):
    reports = []
    for more in ((), ("--record", tmp_path / "run.mvr")):
        report = json.loads(minivm("run", "timer", "--json", *more).out)
        del report["wall_seconds"]
        reports.append(report)
    assert reports[0] == reports[1]
    replayed = json.loads(minivm("replay", tmp_path / "run.mvr", "--json").out)
    assert replayed["state_hash"] == reports[0]["state_hash"]


def test_a_run_whose_text_does_not_come_is_recorded_too(minivm, tmp_path):
    path = tmp_path / "run.mvr"
    assert minivm("run", "hello-bios", "--record", path, "--expect", "never").status == 1
    assert minivm("replay", path).status == 0


def test_max_ticks_replays_a_part(minivm, recorded):
    result = minivm("replay", recorded, "--max-ticks", 5_000_000)
    assert result.status == 0
    assert result.out.startswith("replayed 5000000 ticks, 0 inputs")


def test_from_the_middle_of_a_recording_another_branch_begins(minivm, recorded):
    at = json.loads(minivm("replay", recorded, "--json").out)["ticks"]
    result = minivm("replay", recorded, "--stop-at", at, "--type", "echo branch\\n", "--expect", "\nbranch")
    assert result.status == 0, result.err
    assert "shell 1" in result.out


def test_replay_traces(minivm, recorded, tmp_path):
    trace = tmp_path / "trace.txt"
    assert minivm("replay", recorded, "--trace", f"int:{trace}").status == 0
    assert "int 16h" in trace.read_text().lower() or "16" in trace.read_text()


def test_a_session_on_the_terminal_is_replayed(live, minivm, tmp_path):
    path = tmp_path / "live.mvr"
    one = live("run", "shell", "--record", path)
    one.until(b">")
    for key in b"mem\r":
        one.type(bytes([key]))
        time.sleep(0.03)
    one.until(b"KiB below")
    time.sleep(0.2)
    one.type(b"\x01x")
    assert one.ends() == 0
    result = minivm("replay", path, "--slice", 777, "--screen")
    assert result.status == 0, result.out
    assert "KiB below" in result.out
    assert "identical" in result.out


@pytest.mark.parametrize("guest", ["shell", "fractal"])
def test_ctrl_c_in_the_middle_leaves_a_whole_file(minivm, tmp_path, guest):
    path = tmp_path / "run.mvr"
    words = [str(MINIVM), "run", guest, "--record", str(path), "--speed", "1x"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not path.exists():
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    report = json.loads(minivm("replay", path, "--json").out)
    assert report["identical"]
    assert report["complete"]


def test_a_file_that_was_cut_is_refused_and_can_be_salvaged(minivm, recorded):
    data = recorded.read_bytes()
    recorded.write_bytes(data[:-20])
    minivm("replay", recorded).assert_one_line(2, str(recorded), "is cut short", "--salvage")
    assert minivm("replay", recorded, "--salvage").status == 0


def test_bad_files_and_options_are_one_line(minivm, recorded, tmp_path):
    minivm("replay", tmp_path / "none.mvr").assert_one_line(2, "none.mvr: is not there")
    minivm("replay", Path(__file__)).assert_one_line(2, "is not a recording")
    minivm("replay", recorded, "--slice", 0).assert_one_line(2, "--slice 0")
    minivm("replay", recorded, "--type", "x").assert_one_line(2, "--stop-at")
    minivm("run", "shell", "--record", tmp_path / "no" / "x.mvr").assert_one_line(2, "x.mvr: cannot be written")
    minivm("run", "shell", "--record", "/dev/null/x").assert_one_line(2, "cannot be written")
