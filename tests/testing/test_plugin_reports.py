"""What the report of a failed test shows of its machines, in sessions of their own."""

import pytest

import minivm.testing.kernels
import minivm.testing.reports
import minivm.testing.settings  # noqa: F401 - loaded here once, so that no session in this process loads it again
from minivm.recording import replay

pytest_plugins = ["pytester"]

HEAD = """
import pytest
pytestmark = pytest.mark.minivm_guest("shell", ready="> ")
"""


@pytest.fixture
def run(pytester):
    """Run a test that fails; return its report and its replay files."""
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")

    def run(source, *options, outcomes=None):
        pytester.makepyfile(test_it=HEAD + source)
        result = pytester.runpytest_inprocess("--minivm-record=out", *options)
        result.assert_outcomes(**(outcomes or {"failed": 1}))
        text = "\n".join(result.outlines)
        return text, sorted((pytester.path / "out").glob("*.mvr"))

    return run


def test_all_parts_are_there_and_the_replay_file_replays(run):
    text, (file,) = run(
        """
def test_it(booted):
    booted.type("echo seen\\n")
    booted.expect("seen\\n>")
    assert booted.now < 0
"""
    )
    for part in ("screen (", "serial log -", "registers -", "last events -", "replay -"):
        assert f"minivm shell: {part}" in text
    assert "|> echo seen  " in text
    assert "minivm replay out/test_it.py_test_it.mvr" in text
    with replay(file) as found:
        assert found.run().identical
        assert "echo seen" in found.machine.screen.text()


def test_a_machine_that_the_test_closed_while_it_failed_is_shown_as_it_was(run):
    text, files = run(
        """
def test_it(boot_guest):
    with boot_guest("shell") as vm:
        vm.expect("> ")
        vm.type("x")
        vm.run(ms=200)
        assert vm.ended is not None
"""
    )
    assert "|> x   " in text
    assert len(files) == 1


def test_a_machine_that_the_test_closed_in_peace_is_not_shown(run):
    text, files = run(
        """
def test_it(boot_guest):
    with boot_guest("shell") as vm:
        vm.expect("> ")
    assert False
"""
    )
    assert "minivm shell" not in text
    assert files == []


def test_a_clone_made_by_the_test_is_done_again_with_its_parents_inputs(run):
    text, files = run(
        """
def test_it(booted):
    booted.type("echo before\\n")
    booted.expect("before\\n>")
    clone = booted.clone()
    clone.type("echo after\\n")
    clone.expect("after\\n>")
    assert False
"""
    )
    assert "minivm shell's clone: screen" in text
    assert "the second run" not in text
    assert len(files) == 2
    screens = []
    for file in files:
        with replay(file) as found:
            assert found.run().identical
            screens.append(found.machine.screen.text())
    assert ["echo after" in screen for screen in screens].count(True) == 1
    assert all("echo before" in screen for screen in screens)


def test_a_run_that_the_test_records_itself_is_done_again_too(run):
    text, files = run(
        """
def test_it(boot_guest):
    vm = boot_guest("shell", record="own.mvr")
    vm.expect("> ")
    vm.type("echo own\\n")
    vm.expect("own\\n>")
    assert False
"""
    )
    assert "the second run" not in text
    with replay(files[0]) as found:
        assert found.run().identical
        assert "echo own" in found.machine.screen.text()


def test_a_test_that_changed_memory_by_hand_is_told_so(run):
    text, _ = run(
        """
def test_it(booted):
    booted.memory.write(0x9000, b"by hand")
    assert False
"""
    )
    assert "the second run came to another state: the test must have changed memory" in text


def test_only_the_last_machines_of_many_are_shown(run):
    text, files = run(
        """
def test_it(boot_guest):
    for _ in range(6):
        boot_guest("hello-bios").run(ms=1)
    assert False
"""
    )
    assert "the last 4 of the test's 6 machines:" in text
    assert "minivm hello-bios (6): screen" in text
    assert len(files) == 4


def test_tests_that_pass_skip_or_fail_as_expected_leave_nothing(run):
    text, files = run(
        """
def test_passes(booted):
    pass

def test_skips(booted):
    pytest.skip("not now")

@pytest.mark.xfail
def test_fails_as_expected(booted):
    assert False
""",
        outcomes={"passed": 1, "skipped": 1, "xfailed": 1},
    )
    assert "minivm shell" not in text
    assert files == []


def test_a_report_that_cannot_be_made_does_not_hide_the_failure(run):
    text, _ = run(
        """
def test_it(booted):
    booted.console = None
    assert 1 == 2
"""
    )
    assert "assert 1 == 2" in text
    assert "minivm: the report could not be made" in text


def test_without_pytests_cache_the_files_lie_among_its_temporary_ones(pytester):
    pytester.makepyfile(test_it="def test_it(boot_guest):\n    boot_guest('hello-bios').run(ms=1)\n    assert False\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"minivm replay .*/minivm-failures/test_it\.py_test_it\.mvr"])
    assert not (pytester.path / ".pytest_cache").exists()


def test_the_whole_traceback_is_there_for_who_asks(run):
    source = """
def test_it(booted):
    booted.expect("never", timeout=0.01)
"""
    assert "machine.py" not in run(source)[0]
    assert "machine.py" in run(source, "--full-trace")[0]
