"""`minivm doctor`: it finds what is there, says what is missing, and never faints."""

import importlib.metadata
import json

import pytest

from minivm.cli import doctor


def test_everything_it_looks_at_is_named(minivm):
    ran = minivm("doctor")
    for name in ("MiniVM", "Python", "unicorn", "capstone", "keystone-engine", "textual", "engine probes", "nasm",
                 "engine: block hook", "qemu-system-i386", "KVM", "terminal", "guests"):  # fmt: skip
        assert name in ran.out
    assert ran.status == 0


def test_json_has_the_same_lines(minivm):
    findings = json.loads(minivm("doctor", "--json").out)
    assert {"ok"} <= {finding["mark"] for finding in findings} <= {"ok", "--"}


def test_missing_packages_and_tools_are_told_with_the_way_to_get_them(minivm, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setenv("PATH", "/nowhere")
    ran = minivm("doctor")
    for words in ("pip install capstone", "pip install unicorn", "apt install nasm", "apt install qemu-system-x86"):
        assert words in ran.out
    assert ran.status == 2


@pytest.mark.parametrize("error", [RuntimeError("two\nlines"), OSError(5, "no"), ImportError("gone")])
def test_a_look_that_fails_is_a_line_and_status_2(minivm, monkeypatch, error):
    def _broken_part():
        raise error

    monkeypatch.setattr(doctor, "LOOKS", (*doctor.LOOKS, _broken_part))
    ran = minivm("doctor")
    assert ran.status == 2
    line = next(line for line in ran.out.splitlines() if "broken part" in line)
    assert line.startswith("!!")
    assert type(error).__name__ in line


def test_a_terminal_is_described(minivm, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert "TERM xterm" in minivm("doctor").out
