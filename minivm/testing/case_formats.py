"""What a kernel prints about its own tests, read into cases.

Understood are TAP 12 to 14 (plan, `ok`/`not ok`, SKIP and TODO, `Bail out!`, diagnostics, YAML blocks, subtests), the
lines that kernels' own test runners print (`name ... ok`, `PASS: name` as kvm-unit-tests has it, `[ok] name`), and a
summary such as `5 passed, 1 failed`, which must agree with what was counted.

TAP: https://testanything.org/tap-version-14-specification.html
"""

import re
from collections.abc import Callable, Iterator

from minivm.core.record import record

PASSED, FAILED, SKIPPED, TODO = "passed", "failed", "skipped", "todo"
MOST_CASES = 10_000
"""A plan for more is thought to be a mistake."""
_LONGEST_NAME = 120
_WORDS = {
    "ok": PASSED, "pass": PASSED, "passed": PASSED, "success": PASSED,
    "fail": FAILED, "failed": FAILED, "failure": FAILED, "error": FAILED,
    "skip": SKIPPED, "skipped": SKIPPED, "ignored": SKIPPED,
    "xfail": TODO,
}  # fmt: skip
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_VERSION = re.compile(r"TAP version (\d+)", re.I)
_PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*(?:skip\S*)?\s*(.*))?$", re.I)
_POINT = re.compile(r"(not )?ok\b(?:\s+(\d+)\b)?\s*(?:-\s*)?(.*)$")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)\S*\s*(.*)$", re.I)
_BAIL = re.compile(r"Bail out!\s*(.*)$", re.I)
_LABELLED = re.compile(rf"({_WORD}):\s+(\S.*)$", re.I)
_BRACKETED = re.compile(rf"\[\s*({_WORD})\s*\]:?\s+(\S.*)$", re.I)
_DOTTED = re.compile(rf"(?:test\s+)?(\S.*?)\s*\.{{2,}}\s*\[?({_WORD})\]?\s*$", re.I)
_COUNTED = re.compile(r"(\d+) (?:tests? )?passed[,;] (\d+) (?:tests? )?failed(?:[,;] (\d+) (?:skipped|ignored))?", re.I)


@record
class Case:
    """One case: its name, its outcome, why (of a failure, a skip or a TODO), and the lines that belong to it."""

    name: str
    outcome: str
    reason: str = ""
    output: tuple[str, ...] = ()


@record
class Results:
    """All that was read. `complete` says that a plan or a summary has been met, so nothing more is to come.

    `problems` are cases of their own: what the output says is at odds with itself. `reason` is why all was skipped.
    """

    cases: tuple[Case, ...]
    problems: tuple[Case, ...]
    complete: bool
    skipped_all: str | None = None
    bailed_out: bool = False

    @property
    def found(self) -> bool:
        """True when there is anything to tell."""
        return bool(self.cases or self.problems) or self.skipped_all is not None


def read_results(text: str) -> Results:
    """Read what a kernel has printed; text that says nothing of tests gives no cases."""
    reader = _Reader(tap=_is_tap(text))
    for line in text.splitlines():
        reader.take(_ANSI.sub("", line.replace("\r", "")).rstrip())
    return reader.results()


def _is_tap(text: str) -> bool:
    return re.search(r"^\s*(TAP version \d+|1\.\.\d+)\s*($|#|\r)", text, re.M | re.I) is not None


class _Reader:
    """Takes line after line."""

    def __init__(self, tap: bool) -> None:
        self._tap = tap
        self._cases: list[_Open] = []
        self._before: list[str] = []  # lines that belong to the case to come
        self._plan: int | None = None
        self._plan_skip: str | None = None
        self._bail: str | None = None
        self._summary: tuple[int, int, int | None] | None = None
        self._in_yaml = False

    def take(self, line: str) -> None:
        if self._in_yaml or (self._tap and line.startswith((" ", "\t"))):
            self._take_indented(line)
        elif line:
            for pattern, action in self._table():
                match = pattern.match(line)
                if match is not None and action(match):
                    return
            self._before.append(line)

    def _table(self) -> Iterator[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]]:
        yield _POINT, self._on_point
        if self._tap:
            yield _PLAN, self._on_plan
            yield re.compile("#"), self._on_diagnostic
        yield _VERSION, lambda _: True
        yield _BAIL, self._on_bail
        yield re.compile(f".*?{_COUNTED.pattern}", re.I), self._on_summary
        yield _LABELLED, lambda match: self._on_word(match[2], match[1])
        yield _BRACKETED, lambda match: self._on_word(match[2], match[1])
        yield _DOTTED, lambda match: self._on_word(match[1], match[2])

    # -- TAP ----------------------------------------------------------------------------------------------------------
    def _take_indented(self, line: str) -> None:
        """A YAML block belongs to the case before, a subtest to the one to come."""
        text = line.strip()
        self._in_yaml = (self._in_yaml or text == "---") and text != "..."
        if (self._in_yaml or text == "...") and self._cases and not self._before:
            self._cases[-1].output.append(line)
        else:
            self._before.append(line)

    def _on_point(self, match: re.Match[str]) -> bool:
        bad, number, rest = match[1] is not None, match[2], match[3]
        if not self._tap and number is None:
            return False
        directive = _DIRECTIVE.search(rest)
        name = (rest[: directive.start()] if directive else rest).strip().replace("\\#", "#").replace("\\\\", "\\")
        kind = directive[1].lower() if directive else ""
        reason = directive[2].strip() if directive else ""
        outcome = FAILED if bad else PASSED
        if kind == "skip":
            outcome = SKIPPED
        elif kind == "todo" and bad:
            outcome = TODO
        self._add(_Open(name, outcome, reason, number=int(number) if number else None))
        return True

    def _on_plan(self, match: re.Match[str]) -> bool:
        if self._plan is not None:
            return False
        self._plan, self._plan_skip = int(match[1]), match[2]
        return True

    def _on_diagnostic(self, match: re.Match[str]) -> bool:
        (self._cases[-1].output if self._cases else self._before).append(match.string)
        return True

    def _on_bail(self, match: re.Match[str]) -> bool:
        self._bail = match[1].strip() or "the kernel gave no reason"
        return True

    # -- the others ---------------------------------------------------------------------------------------------------
    def _on_word(self, name: str, word: str) -> bool:
        self._add(_Open(name.strip(), _WORDS[word.lower()]))
        return True

    def _on_summary(self, match: re.Match[str]) -> bool:
        self._summary = int(match[1]), int(match[2]), int(match[3]) if match[3] else None
        return True

    def _add(self, case: "_Open") -> None:
        case.output, self._before = self._before, []
        self._cases.append(case)

    # -- all together -------------------------------------------------------------------------------------------------
    def results(self) -> Results:
        for place, case in enumerate(self._cases, 1):
            case.number = case.number if case.number is not None else place if self._tap else None
        problems = [*self._wrong_numbers(), *self._missing(), *self._wrong_summary()]
        if self._bail is not None:
            problems.append(Case("bail out", FAILED, f"the kernel bailed out: {self._bail}"))
        cases = [case.closed() for case in self._cases] or list(self._from_summary())
        planned = self._plan is not None and len(self._cases) >= self._plan
        complete = planned or self._bail is not None or self._summary is not None
        skipped = (self._plan_skip or "the plan is empty") if self._plan == 0 and not cases else None
        return Results(tuple(cases), tuple(problems), complete, skipped, self._bail is not None)

    def _wrong_numbers(self) -> Iterator[Case]:
        seen: set[int] = set()
        for case in self._cases:
            number = case.number
            if number is not None and number in seen:
                yield Case("plan", FAILED, f"case {number} was reported twice")
            elif number is not None and self._plan is not None and not 1 <= number <= self._plan:
                yield Case("plan", FAILED, f"case {number} lies outside the plan 1..{self._plan}")
            if number is not None:
                seen.add(number)

    def _missing(self) -> Iterator[Case]:
        if self._plan is None:
            return
        if self._plan > MOST_CASES:
            yield Case("plan", FAILED, f"the plan is for {self._plan} cases; {MOST_CASES} are read at most")
            return
        seen = {case.number for case in self._cases}
        why = "it did not come any more: the kernel bailed out" if self._bail else "it is in the plan and never came"
        for number in range(1, self._plan + 1):
            if number not in seen:
                yield Case(f"case {number}", FAILED, why)

    def _wrong_summary(self) -> Iterator[Case]:
        if self._summary is None or not self._cases:
            return
        outcomes = [case.outcome for case in self._cases]
        counted = outcomes.count(PASSED), outcomes.count(FAILED)
        said = self._summary[:2]
        if counted != said:
            words = "the summary says {} passed, {} failed; the cases say {} passed, {} failed".format(*said, *counted)
            yield Case("summary", FAILED, words)

    def _from_summary(self) -> Iterator[Case]:
        """Number the cases of a summary that stands alone."""
        if self._summary is None:
            return
        counts = zip((PASSED, FAILED, SKIPPED), (*self._summary[:2], self._summary[2] or 0), strict=True)
        for outcome, count in counts:
            if count > MOST_CASES:
                yield Case(f"{count} {outcome}", outcome, "the summary counts it, and names no cases")
                continue
            for number in range(1, count + 1):
                yield Case(f"{outcome} {number}", outcome, "the summary counts it, and no line names it")


class _Open:
    """A case whose lines still come."""

    def __init__(self, name: str, outcome: str, reason: str = "", number: int | None = None) -> None:
        self.name, self.outcome, self.reason, self.number = name, outcome, reason, number
        self.output: list[str] = []

    def closed(self) -> Case:
        name = self.name or f"case {self.number}"
        return Case(name, self.outcome, self.reason, tuple(self.output))


def test_ids(cases: list[Case]) -> list[str]:
    """Return a test id for each case: its name as it can stand in one, with a number where several share it."""
    taken: set[str] = set()
    found = []
    for case in cases:
        plain = "".join(char if char.isprintable() else "?" for char in case.name).replace("::", ":")
        name = base = plain.strip()[:_LONGEST_NAME] or "case"
        count = 1
        while name in taken:
            count += 1
            name = f"{base} ({count})"
        taken.add(name)
        found.append(name)
    return found


test_ids.__test__ = False  # type: ignore[attr-defined]  # pytest takes a function of such a name for a test
