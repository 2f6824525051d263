"""The report of device contracts: which chip, how many cases, on which systems they agree, and every difference.

`python -m minivm.testing.contracts` prints it as text; docs/device-contracts.md has it as Markdown.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from minivm.testing.contract import Case, Contract, Outcome, run_case
from minivm.testing.system import System

RESULTS = ("agrees", "differs", "not tried")
Makers = Mapping[str, Callable[..., System]]


def run_contracts(contracts: Iterable[Contract], systems: Makers) -> Iterator[Outcome]:
    """Run every case on every system, each on a fresh one; raises `SystemGone` when one cannot be had."""
    for contract in contracts:
        for case in contract.cases:
            for name, make in systems.items():
                yield run_case(case, make, name)


def declared(contracts: Iterable[Contract], systems: Iterable[str]) -> list[Outcome]:
    """Return the outcomes that the cases themselves announce, without running any: what the documentation shows."""
    names = list(systems)
    return [_announced(case, name) for contract in contracts for case in contract.cases for name in names]


def _announced(case: Case, name: str) -> Outcome:
    for result, reasons in (("not tried", case.cannot), ("differs", case.differs)):
        if name in reasons:
            return Outcome(case, name, result, reasons[name])
    return Outcome(case, name, "agrees")


def table(contracts: Sequence[Contract], outcomes: Sequence[Outcome], systems: Sequence[str]) -> list[list[str]]:
    """Return the table's rows, the heading first: for each chip and system how many agree, differ and were not tried.

    A case that breaks, or agrees though it says that it differs, makes a column of its own say so.
    """
    heading = ["chip", "cases"]
    for name in systems:
        heading += [f"{name} agrees", f"{name} differs", f"{name} not tried"]
    rows = [heading]
    for contract in contracts:
        rows.append([contract.title, str(len(contract.cases))])
        for name in systems:
            found = [one for one in outcomes if one.system == name and one.case.contract is contract]
            rows[-1] += [_count(found, result) for result in RESULTS]
    return rows if len(rows) == 2 else [*rows, _sums(outcomes, systems)]


def _sums(outcomes: Sequence[Outcome], systems: Sequence[str]) -> list[str]:
    row = ["in all", str(len({id(one.case) for one in outcomes}))]
    for name in systems:
        row += [_count([one for one in outcomes if one.system == name], result) for result in RESULTS]
    return row


def _count(outcomes: Sequence[Outcome], result: str) -> str:
    bad = sum(not one.good for one in outcomes)
    count = str(sum(one.result == result for one in outcomes))
    return f"{count} ({bad} wrong)" if bad and result == "agrees" else count


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Lay the table out for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_markdown(contracts: Sequence[Contract], outcomes: Sequence[Outcome], systems: Sequence[str]) -> str:
    """Return the table, every difference with its reason, and every case with its section, as Markdown."""
    heading, *rows = table(contracts, outcomes, systems)
    lines = [_row(heading), _row(["---"] * len(heading)), *map(_row, rows)]
    lines += ["", "## Differences", "", _row(["chip", "case", "system", "reason"]), _row(["---"] * 4)]
    lines += [
        _row([one.case.contract.name, one.case.title, one.system, one.words])
        for one in outcomes
        if one.result == "differs"
    ]
    lines += ["", "## Not tried", "", _row(["chip", "case", "system", "reason"]), _row(["---"] * 4)]
    lines += [
        _row([one.case.contract.name, one.case.title, one.system, one.words])
        for one in outcomes
        if one.result == "not tried"
    ]
    for contract in contracts:
        lines += ["", f"## {contract.title}", "", f"{contract.datasheet}.", ""]
        lines += [f"- {case.title} ({case.section})" for case in contract.cases]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
