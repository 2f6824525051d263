"""`python -m minivm.testing.contracts`: hold the chips of MiniVM, and of QEMU where it is, to their datasheets."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from minivm.testing.contract import Contract, Outcome, contracts
from minivm.testing.contract_report import Makers, as_markdown, as_text, run_contracts, table
from minivm.testing.qtest import QemuSystem, find_qemu
from minivm.testing.system import MiniVmSystem, SystemGone

MARKS = ("<!-- report -->", "<!-- end of report -->")
"""What a page has around the report that `--into` writes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the contracts of the chips named, or of all; return 1 when a case came out as nobody said."""
    parser = argparse.ArgumentParser(prog="python -m minivm.testing.contracts", description=__doc__)
    parser.add_argument("chip", nargs="*", help="only these chips")
    parser.add_argument("--without-qemu", action="store_true", help="only MiniVM's chips")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown, with all differences")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the Markdown between this file's two marks")
    options = parser.parse_args(arguments)
    found = contracts()
    chosen = [contract for contract in found if not options.chip or contract.name in options.chip]
    unknown = sorted(set(options.chip) - {contract.name for contract in found})
    if unknown:
        parser.error(f"there is no contract for {unknown[0]}; the chips are {', '.join(one.name for one in found)}")
    try:
        systems = _systems(options.without_qemu)
        outcomes = list(run_contracts(chosen, systems))
    except SystemGone as error:
        print(f"contracts: {error}", file=sys.stderr)
        return 2
    markdown = as_markdown(chosen, outcomes, list(systems)) if options.markdown or options.into else ""
    if options.into:
        write_into(options.into, markdown)
    print(markdown if options.markdown else _text(chosen, outcomes, systems))
    return 0 if all(one.good for one in outcomes) else 1


def _systems(without_qemu: bool) -> Makers:
    if without_qemu:
        return {MiniVmSystem.name: MiniVmSystem}
    try:
        find_qemu()
    except SystemGone as error:
        print(f"contracts: {error}; only MiniVM's chips are tried", file=sys.stderr)
        return {MiniVmSystem.name: MiniVmSystem}
    return {MiniVmSystem.name: MiniVmSystem, QemuSystem.name: QemuSystem}


def write_into(page: Path, report: str) -> None:
    """Put a report between the marks of a Markdown page; raises `OSError`, and `ValueError` without the marks."""
    before, mark, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not mark or not end:
        raise ValueError(f"{page} has no {MARKS[0]} and {MARKS[1]}")
    page.write_text(f"{before}{mark}\n\n{report}\n{end}{after}", encoding="utf-8")


def _text(chosen: Sequence[Contract], outcomes: Sequence[Outcome], systems: Makers) -> str:
    bad = [f"\n{one.system}: {one.case.id}: {one.result}\n{one.trace}" for one in outcomes if not one.good]
    return as_text(table(chosen, outcomes, list(systems))) + "".join(bad)


if __name__ == "__main__":
    sys.exit(main())
