"""The dispatcher: commands, errors in one line, exit statuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minivm as package
from minivm.cli import main as dispatcher
from minivm.cli import run as run_command

ROOT = Path(package.__file__).parent.parent


def test_the_version_is_the_packages(minivm):
    assert minivm("--version").out == f"minivm {package.__version__}\n"


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_lists_every_command(minivm, word):
    shown = minivm(word)
    assert shown.status == 0
    assert all(f"\n  {name} " in shown.out for name in dispatcher.COMMANDS)


@pytest.mark.parametrize("name", dispatcher.COMMANDS)
def test_every_command_has_help_and_refuses_unknown_options(minivm, name):
    assert minivm(name, "--help").out.startswith(f"usage: minivm {name}")
    minivm(name, "--no-such-option").assert_one_line(2, name)


def test_a_misspelt_command_gets_a_suggestion(minivm):
    minivm("rnu").assert_one_line(2, "rnu is no command", "did you mean run?")


def test_a_command_of_later_versions_is_not_there_yet(minivm):
    minivm("fleet", "hello-bios").assert_one_line(2, "fleet is no command")


def test_an_option_before_the_command_is_refused(minivm):
    minivm("--memory", "1M").assert_one_line(2, "--memory")


def test_a_bug_is_one_line_with_status_125(minivm, monkeypatch):
    def broken(arguments):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(run_command, "run", broken)
    minivm("run", "hello-bios").assert_one_line(125, "bug in MiniVM", "ZeroDivisionError: oops", "--debug")


def test_debug_lets_the_traceback_through(minivm, monkeypatch):
    def broken(arguments):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(run_command, "run", broken)
    with pytest.raises(ZeroDivisionError):
        minivm("run", "hello-bios", "--debug")


def test_ctrl_c_gives_130_without_a_traceback(minivm, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "run", interrupted)
    assert minivm("run", "hello-bios").status == 130


def test_a_reader_that_went_away_is_no_error(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "minivm", "guests"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_behind_standard_output_is_one_line():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "minivm", "run", "hello-bios"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"No space left on device" in done.stderr


def test_the_guests_are_listed_with_their_titles(minivm):
    shown = minivm("guests")
    assert shown.status == 0
    assert "hello-bios" in shown.out
    assert all(len(line.split(maxsplit=1)) == 2 for line in shown.out.splitlines())


def test_the_guests_as_json_have_what_their_headers_say(minivm):
    guests = {guest["name"]: guest for guest in json.loads(minivm("guests", "--json").out)}
    assert guests["triplefault"]["exit_status"] == 3
    assert guests["hello-bios"]["prints"] == ["Hello from the BIOS!"]


NOT_WANTED = ("textual", "capstone", "keystone", "unicorn", "hypothesis", "tomllib", "json", "select", "termios")


def test_a_run_loads_nothing_that_it_does_not_use():
    code = "import sys; from minivm.cli.main import main; main(['run', 'hello-bios']); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    loaded = set(shown.splitlines()[-1].split())
    assert not loaded & {*NOT_WANTED, "inspect", "dataclasses"}


def test_bare_minivm_boots_the_tour(minivm):
    ran = minivm()
    assert ran.status == 0
    assert "Welcome to MiniVM" in ran.out
