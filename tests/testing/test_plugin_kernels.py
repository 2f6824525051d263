"""Kernels become cases of a pytest session: what they print, how they end, and what a report shows of them."""

import pytest

import minivm.testing.kernels
import minivm.testing.reports
import minivm.testing.settings  # noqa: F401 - loaded here once, so that no session in this process loads it again

pytest_plugins = ["pytester"]

INI = "[pytest]\nfilterwarnings = error\naddopts = --strict-markers -p no:cacheprovider\nminivm_kernels = *.test.asm\n"
KERNEL = """
        bits 16
        org 0x7C00
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7C00
        cld
        mov si, text
next:   lodsb
        test al, al
        jz end
        {put}
        jmp next
end:    {end}
text:   db {text}0
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""
SERIAL = "mov dx, 0x3F8\n        out dx, al"
DEBUG = "out 0xE9, al"
SCREEN = "mov ah, 0x0E\n        mov bx, 7\n        int 0x10"
HALT = "cli\n        hlt"
IDLE = "sti\nidle:   hlt\n        jmp idle"
SPIN = "jmp $"
CRASH = "lidt [none]\n        int3\nnone:   dw 0, 0, 0"


def leave(value):
    return f"mov al, {value}\n        out 0xF4, al\n        hlt"


def kernel(text, end=HALT, put=DEBUG):
    """Return a kernel's source that prints `text` and ends so."""
    lines = "".join(f"{line!r}, 13, 10, " for line in text.splitlines())
    return KERNEL.format(text=lines.replace("'", '"'), end=end, put=put)


@pytest.fixture
def project(pytester):
    pytester.makeini(INI)
    return pytester


def run(project, source, *options, ini="", name="k"):
    project.makeini(INI + ini)
    (project.path / f"{name}.test.asm").write_text(source)
    return project.runpytest_inprocess("-rA", *options)


def told(result):
    """Return the last words of each case: "PASSED k.test.asm::one"."""
    words = ("PASSED", "FAILED", "SKIPPED", "XFAIL", "ERROR")
    summary = "\n".join(result.outlines).rpartition("short test summary info")[2]
    return [line.partition(" - ")[0] for line in summary.splitlines() if line.startswith(words)]


def text(result):
    return "\n".join(result.outlines + result.errlines)


TAP = "1..4\nok 1 - one\nnot ok 2 - two\n# got 5\nok 3 - three # SKIP no fpu\nnot ok 4 - four # TODO later\n"


@pytest.mark.parametrize("put", [SERIAL, DEBUG, SCREEN], ids=["serial", "debug console", "screen"])
def test_each_case_of_tap_is_a_test(project, put):
    result = run(project, kernel(TAP, put=put))
    result.assert_outcomes(passed=1, failed=1, skipped=1, xfailed=1)
    assert "PASSED k.test.asm::one" in told(result)
    result.stdout.fnmatch_lines(["two: the kernel says that it failed", "# got 5", "*minivm k.test.asm: screen*"])
    assert "no fpu" in text(result)
    assert "later" in text(result)


def test_one_case_can_be_chosen_by_its_id(project):
    (project.path / "k.test.asm").write_text(kernel("PASS: a: b c\nFAIL: d\n"))
    project.runpytest_inprocess("k.test.asm::a: b c").assert_outcomes(passed=1)
    listed = project.runpytest_inprocess("--collect-only", "-q")
    assert listed.outlines[:2] == ["k.test.asm::a: b c", "k.test.asm::d"]


@pytest.mark.parametrize("end", [HALT, IDLE, SPIN, leave(0)], ids=["halts", "idles", "spins", "exits"])
def test_a_kernel_that_has_said_all_may_end_as_it_likes(project, end):
    run(project, kernel("ok 1 - a\nok 2 - b\n1..2\n", end)).assert_outcomes(passed=2)


def test_a_failed_cases_report_shows_the_machine_once(project):
    result = run(project, kernel("FAIL: a\nFAIL: b\n"), "--minivm-record=out")
    result.assert_outcomes(failed=2)
    assert text(result).count("minivm k.test.asm: registers") == 1
    assert text(result).count("minivm replay out/k.test.asm.mvr") == 2
    assert (project.path / "out" / "k.test.asm.mvr").is_file()
    assert "OUT E9h, 46h: the debug console" in text(result)


def test_a_crash_fails_and_the_cases_before_stay(project):
    result = run(project, kernel("PASS: a\n", CRASH))
    assert told(result) == ["PASSED k.test.asm::a", "FAILED k.test.asm::end"]
    assert "end: the kernel crashed: triple fault; first " in text(result)


def test_planned_cases_that_a_crash_prevents_fail(project):
    result = run(project, kernel("1..3\nok 1 - a\n", CRASH))
    assert told(result) == [
        "PASSED k.test.asm::a",
        "FAILED k.test.asm::case 2",
        "FAILED k.test.asm::case 3",
        "FAILED k.test.asm::end",
    ]


@pytest.mark.parametrize(
    ("ini", "reason"),
    [
        ("minivm_kernel_timeout = 0.05\n", "end: it did not end within 0.05 virtual seconds"),
        ("minivm_kernel_ticks = 20_000_000\n", "end: it did not end within 20,000,000 ticks of code"),
    ],
)
def test_a_kernel_that_never_ends_fails_and_the_cases_before_stay(project, ini, reason):
    result = run(project, kernel("PASS: a\n", SPIN), ini=ini)
    assert told(result) == ["PASSED k.test.asm::a", "FAILED k.test.asm::end"]
    assert reason in text(result)


def test_a_kernel_that_says_nothing_fails(project):
    result = run(project, kernel("hello\n"))
    assert told(result) == ["FAILED k.test.asm::end"]
    assert "end: the kernel reported no result; the machine ended: halted" in text(result)


@pytest.mark.parametrize(
    ("value", "ini", "outcome"),
    [
        (0, "", "PASSED"),
        (1, "", "FAILED"),
        (0x10, "minivm_pass_exit = 0x10\n", "PASSED"),
        (0, "minivm_pass_exit = 0x10\n", "FAILED"),
    ],
)
def test_an_exit_is_a_case_where_nothing_else_is(project, value, ini, outcome):
    result = run(project, kernel("", leave(value)), ini=ini)
    assert told(result) == [f"{outcome} k.test.asm::exit"]
    if outcome == "FAILED":
        assert f"the kernel ended itself at the debug-exit port with {value:X}h; " in text(result)


def test_an_exit_that_contradicts_the_cases_fails(project):
    result = run(project, kernel("PASS: a\n", leave(3)))
    assert told(result) == ["PASSED k.test.asm::a", "FAILED k.test.asm::exit"]
    assert "exit: no case failed, and yet the kernel ended itself at the debug-exit port with 3h" in text(result)
    agreeing = run(project, kernel("FAIL: a\n", leave(3)))
    assert told(agreeing) == ["FAILED k.test.asm::a"]


def test_a_summary_that_does_not_agree_fails(project):
    result = run(project, kernel("PASS: a\n2 passed, 0 failed\n"))
    assert told(result) == ["PASSED k.test.asm::a", "FAILED k.test.asm::summary"]


def test_a_bail_out_fails_what_it_prevents(project):
    result = run(project, kernel("1..2\nok 1 - a\nBail out! no memory\n"))
    assert told(result)[0] == "PASSED k.test.asm::a"
    assert "bail out: the kernel bailed out: no memory" in text(result)


def test_a_plan_of_nothing_is_skipped(project):
    run(project, kernel("1..0 # SKIP no disk\n")).assert_outcomes(skipped=1)


def test_a_kernel_that_cannot_be_booted_fails_in_one_line(project):
    result = run(project, "mov ax\n")
    assert told(result) == ["FAILED k.test.asm::boot"]
    assert "k.test.asm:1" in text(result)
    assert "Traceback" not in text(result)
    (project.path / "k.test.asm").unlink()
    project.makeini(INI.replace("*.test.asm", "*.img"))
    (project.path / "empty.img").write_bytes(b"")
    assert told(project.runpytest_inprocess("-rA")) == ["FAILED empty.img::boot"]


def test_patterns_with_a_folder_count_from_the_root(project):
    project.makeini(INI.replace("*.test.asm", "kernels/*.asm deep/**/*.asm"))
    for place in ("kernels/a.asm", "kernels/sub/no.asm", "other/kernels/no.asm", "deep/one/two/b.asm", "no.asm"):
        (project.path / place).parent.mkdir(parents=True, exist_ok=True)
        (project.path / place).write_text(kernel("PASS: it\n"))
    result = project.runpytest_inprocess("-rA")
    assert sorted(told(result)) == ["PASSED deep/one/two/b.asm::it", "PASSED kernels/a.asm::it"]


def test_without_patterns_nothing_is_collected(project):
    project.makeini("[pytest]\n")
    (project.path / "k.test.asm").write_text(kernel("PASS: it\n"))
    assert project.runpytest_inprocess().ret == pytest.ExitCode.NO_TESTS_COLLECTED
