"""What kernels print about their tests is read into cases."""

import pytest

from minivm.testing.case_formats import Case, read_results, test_ids


def outcomes(text):
    return [(case.name, case.outcome) for case in read_results(text).cases]


def problems(text):
    return [(case.name, case.reason) for case in read_results(text).problems]


def test_tap_points_are_cases():
    text = "TAP version 13\n1..3\nok 1 - loads the IDT\nnot ok 2 maps the page\nok 3\n"
    assert outcomes(text) == [("loads the IDT", "passed"), ("maps the page", "failed"), ("case 3", "passed")]
    assert problems(text) == []
    assert read_results(text).complete


def test_tap_points_need_no_numbers_and_the_plan_may_come_last():
    text = "ok - a\nnot ok - b\n1..2\n"
    assert outcomes(text) == [("a", "passed"), ("b", "failed")]
    assert problems(text) == []


@pytest.mark.parametrize(
    ("line", "outcome", "reason"),
    [
        ("ok 1 - fpu # SKIP there is none", "skipped", "there is none"),
        ("ok 1 - fpu # skipped: none", "skipped", "none"),
        ("not ok 1 - fpu # TODO write it", "todo", "write it"),
        ("ok 1 - fpu # todo write it", "passed", "write it"),
        ("not ok 1 - fpu # SKIP", "skipped", ""),
    ],
)
def test_tap_directives(line, outcome, reason):
    case = read_results(f"1..1\n{line}\n").cases[0]
    assert (case.name, case.outcome, case.reason.lstrip(": ")) == ("fpu", outcome, reason)


def test_an_escaped_hash_is_no_directive():
    assert outcomes("1..1\nok 1 - issue \\# skip it\n") == [("issue # skip it", "passed")]


def test_cases_in_the_plan_that_never_came_are_failures():
    assert problems("1..4\nok 1\nok 3\n") == [
        ("case 2", "it is in the plan and never came"),
        ("case 4", "it is in the plan and never came"),
    ]


def test_a_number_outside_the_plan_or_twice_is_a_failure():
    assert problems("1..1\nok 1\nok 1\nok 7\n") == [
        ("plan", "case 1 was reported twice"),
        ("plan", "case 7 lies outside the plan 1..1"),
    ]


def test_a_huge_plan_is_one_failure():
    assert problems("1..1000000000\nok 1\n") == [("plan", "the plan is for 1000000000 cases; 10000 are read at most")]


def test_a_plan_of_none_skips_all():
    results = read_results("1..0 # SKIP no disk\n")
    assert results.skipped_all == "no disk"
    assert results.cases == ()


def test_after_a_bail_out_the_cases_before_stay():
    text = "1..3\nok 1 - a\nBail out! no memory\n"
    assert outcomes(text) == [("a", "passed")]
    assert problems(text) == [
        ("case 2", "it did not come any more: the kernel bailed out"),
        ("case 3", "it did not come any more: the kernel bailed out"),
        ("bail out", "the kernel bailed out: no memory"),
    ]


def test_diagnostics_and_yaml_belong_to_the_case_before():
    text = "1..2\nnot ok 1 - a\n# got 3\n  ---\n  at: a.c\n\n  ...\nok 2 - b\n"
    first, second = read_results(text).cases
    assert first.output == ("# got 3", "  ---", "  at: a.c", "", "  ...")
    assert second.output == ()


def test_a_subtest_and_other_lines_belong_to_the_case_to_come():
    text = "1..1\n    ok 1 - inner\n    1..1\nhello\nnot ok 1 - outer\n"
    (case,) = read_results(text).cases
    assert case == Case("outer", "failed", "", ("    ok 1 - inner", "    1..1", "hello"))


@pytest.mark.parametrize(
    ("line", "case"),
    [
        ("PASS: apic: self ipi", ("apic: self ipi", "passed")),
        ("FAIL: nmi-after-sti", ("nmi-after-sti", "failed")),
        ("SKIP: x2apic", ("x2apic", "skipped")),
        ("[ok] paging", ("paging", "passed")),
        ("[ FAILED ] paging", ("paging", "failed")),
        ("\x1b[32m[PASS]\x1b[0m paging", ("paging", "passed")),
        ("test heap::grows ... ok", ("heap::grows", "passed")),
        ("heap_shrinks...\t[failed]", ("heap_shrinks", "failed")),
        ("breakpoint ... ignored", ("breakpoint", "skipped")),
    ],
)
def test_lines_of_other_runners(line, case):
    assert outcomes(f"booting...\n{line}\r\n") == [case]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello!",
        "ok, now loading the kernel",
        "memory: ok",
        "login: ",
        "everything passed away",
        "waiting for the disk...",
        "1.5 passed",
    ],
)
def test_what_tells_of_no_tests_gives_none(text):
    assert not read_results(text).found


def test_a_summary_that_agrees_is_no_case():
    results = read_results("PASS: a\nFAIL: b\nSKIP: c\n1 passed, 1 failed, 1 skipped\n")
    assert [case.name for case in results.cases] == ["a", "b", "c"]
    assert results.problems == ()
    assert results.complete


def test_a_summary_that_does_not_agree_is_a_failure():
    assert problems("PASS: a\nFAIL: b\n2 passed, 0 failed\n") == [
        ("summary", "the summary says 2 passed, 0 failed; the cases say 1 passed, 1 failed")
    ]


def test_a_summary_of_rusts_own_runner_is_read():
    text = "test a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n"
    assert outcomes(text) == [("a", "passed")]
    assert problems(text) == []


def test_a_summary_alone_is_numbered():
    assert outcomes("2 passed, 1 failed\n") == [
        ("passed 1", "passed"),
        ("passed 2", "passed"),
        ("failed 1", "failed"),
    ]


def test_a_summary_of_nothing_is_no_success():
    assert not read_results("0 passed, 0 failed\n").cases


def test_ids_are_unique_and_printable():
    names = ["a", "a", "b::c", "x\x07y", "  ", "n" * 500, "a (2)"]
    assert test_ids([Case(name, "passed") for name in names]) == [
        "a", "a (2)", "b:c", "x?y", "case", "n" * 120, "a (2) (2)",
    ]  # fmt: skip


def test_any_text_can_be_read():
    for text in ("1..", "ok", "not ok", "---\n...", "  ---\n", "# x", "Bail out!", "1..2\n1..3\n", "\x00\xff"):
        read_results(text)
