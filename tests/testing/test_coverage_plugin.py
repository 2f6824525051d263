"""`pytest --minivm-cov`: machines of tests are covered, in workers too, and the reports are written at the end."""

import re

import pytest

pytest_plugins = ["pytester"]

SECTOR = """
        org 0x7C00
start:  xor ax, ax
        mov ds, ax
        cmp al, [choice]
        jne other
        hlt
other:  hlt
choice: db 0
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""

TESTS = """
import minivm
from minivm.testing.coverage_plugin import cover

def run(choice):
    with minivm.boot("sector.asm") as machine:
        cover(machine)
        machine.run_until(lambda vm: vm.cpu.linear_ip == 0x7C00)
        machine.memory.write(0x7C0C, bytes([choice]))
        machine.run(ms=1)

def test_first():
    run(0)

def test_second():
    run(1)
"""

PLUGIN = ("-p", "minivm.testing.coverage_plugin", "-p", "no:cacheprovider")


@pytest.fixture
def project(pytester):
    """Make a folder with a guest and two tests, each of which runs one half of it."""
    pytester.makefile(".asm", sector=SECTOR.lstrip("\n"))
    pytester.makepyfile(test_guest=TESTS)
    return pytester


def run(project, *options):
    return project.runpytest_subprocess(*PLUGIN, *options)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_the_machines_of_all_tests_are_reported_together(project, workers):
    result = run(project, "--minivm-cov=out.info", "--minivm-cov-html=out.html", *workers)
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines([r".*MiniVM guest coverage.*", r"sector\.asm +3/3 +100% +6/6 +100% .*"])
    trace = (project.path / "out.info").read_text()
    assert re.findall(r"^DA:(\d+),(\d)", trace, re.MULTILINE) == [(str(n), "1") for n in range(2, 8)]
    assert "<!DOCTYPE html>" in (project.path / "out.html").read_text()


def test_lines_that_no_test_ran_are_listed(project):
    result = run(project, "--minivm-cov", "-k", "first")
    result.stdout.re_match_lines([r"sector\.asm +2/3 +67% +5/6 +83% +1/2 +7"])


def test_without_an_option_nothing_is_covered_or_said(project):
    result = run(project)
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*guest coverage*")


def test_tests_behind_the_option_are_not_taken_for_its_file(project):
    result = run(project, "--minivm-cov", "test_guest.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_guest.py are tests; put --minivm-cov behind them*"])


def test_a_file_that_cannot_be_written_is_said_in_one_line(project):
    result = run(project, "--minivm-cov=missing/out.info", "-k", "first")
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["missing/out.info: cannot be written: No such file or directory"])


def test_a_session_without_guests_says_so(project):
    result = run(project, "--minivm-cov", "-k", "nothing")
    result.stdout.fnmatch_lines(["no machine of a guest was made"])


def test_a_guest_given_as_bytes_is_noted(project):
    project.makepyfile(test_bytes=TESTS.replace('"sector.asm"', "b'\\xf4' * 510 + b'\\x55\\xaa'"))
    result = run(project, "test_bytes.py", "--minivm-cov")
    result.stdout.fnmatch_lines(["a guest that was given as bytes has no source lines; boot it from its file*"])
