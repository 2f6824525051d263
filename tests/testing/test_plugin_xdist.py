"""The pytest plugin in the workers of pytest-xdist: forks, golden screens, kernels' cases and reports."""

import pytest

pytest_plugins = ["pytester"]
pytest.importorskip("xdist")

TESTS = """
import pytest
pytestmark = pytest.mark.minivm_guest("shell", ready="> ")

@pytest.mark.parametrize("number", range(6))
def test_fork(booted, number):
    booted.type(f"echo {number}\\n")
    booted.expect(f"{number}\\n>")
    booted.assert_screen(golden=f"screen{number % 2}")
"""

KERNEL = """
        bits 16
        org 0x7C00
        xor ax, ax
        mov ds, ax
        cld
        mov si, text
next:   lodsb
        out 0xE9, al
        test al, al
        jnz next
        cli
        hlt
text:   db "1..4", 10, "ok 1 - a", 10, "ok 2 - a", 10, "not ok 3 - c", 10, 0
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""


def test_workers_do_as_one_process_does(pytester):
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\nminivm_kernels = *.test.asm\n")
    pytester.makepyfile(test_guest=TESTS.replace("number % 2", "number"))
    (pytester.path / "k.test.asm").write_text(KERNEL)
    written = pytester.runpytest_subprocess("-n2", "--minivm-update", "-k", "fork")
    written.assert_outcomes(passed=6)
    written.stdout.fnmatch_lines(["minivm: wrote 6 golden screens: __screens__/test_guest/screen0.txt, *screen5.txt"])
    screens = pytester.path / "__screens__" / "test_guest"
    assert sorted(file.name for file in screens.iterdir()) == [f"screen{number}.txt" for number in range(6)]
    (screens / "screen3.txt").write_text("something else\n")
    result = pytester.runpytest_subprocess("-n2", "-v")
    result.assert_outcomes(passed=7, failed=3)
    lines = "\n".join(result.outlines)
    for case in (
        "PASSED k.test.asm::a",
        "PASSED k.test.asm::a (2)",
        "FAILED k.test.asm::c",
        "FAILED k.test.asm::case 4",
    ):
        assert case in lines
    result.stdout.fnmatch_lines_random(
        [
            "E  *+ row  1 on screen  |> echo 3*",
            "*minivm shell: last events*",
            "*minivm k.test.asm: registers*",
            "minivm replay .pytest_cache/d/minivm-failures/k.test.asm.mvr",
        ]
    )
    kept = pytester.path / ".pytest_cache" / "d" / "minivm-failures"
    assert sorted(file.name for file in kept.iterdir()) == ["k.test.asm.mvr", "test_guest.py_test_fork_3_.mvr"]
