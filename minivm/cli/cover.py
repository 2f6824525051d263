"""`minivm cover`: run a guest as `minivm run` does, and show which of its lines, blocks and functions ran."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from minivm.cli import options
from minivm.core.record import replace

if TYPE_CHECKING:
    from minivm.testing.coverage import GuestCoverage
    from minivm.testing.coverage_report import CoverageReport


def configure(parser: ArgumentParser) -> None:
    """Add the options of `minivm run`, and those of the report."""
    parser.description = (
        "Run GUEST and show which of its code ran, by its source lines: from an ELF file with -g, a NASM listing or "
        "map beside the image, or its source. All options of `minivm run` are understood, such as --expect and --type."
    )
    options.configure(parser)
    parser.add_argument("--lcov", metavar="FILE", type=Path, help="write an lcov tracefile, for genhtml and CI")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the sources with their marks as one page")
    parser.add_argument("--listing", action="store_true", help="print the sources: + ran, ~ in part, - did not run")
    parser.add_argument("--symbols", metavar="FILE", type=Path, help="names and lines from this file")
    parser.add_argument("--at", metavar="ADDRESS", default="0", help="how far above its symbols the guest runs (0)")
    parser.add_argument("--data", metavar="FILE", type=Path, help="write what ran, for a later --with")
    parser.add_argument("--with", metavar="FILE", dest="others", action="append", default=[],
                        help="add what ran in another run, from its --data; may be repeated")  # fmt: skip


def run(arguments: Namespace) -> int:
    """Run, write the reports, print the table; the exit status is the guest's, as that of `minivm run`."""
    from minivm.config import parse_address
    from minivm.errors import ConfigError
    from minivm.testing.coverage import GuestCoverage, load, save

    at = parse_address(arguments.at)
    wanted = options.settings(arguments)
    if wanted.guest is None:
        raise ConfigError("cover: which GUEST? what a drive boots has no code that is known beforehand")
    coverage = GuestCoverage.of(wanted.guest, symbols=arguments.symbols, at=at)
    for other in arguments.others:
        for data in load(other):
            coverage.add(data)
    try:
        status = _run_covered(wanted, coverage)
    finally:
        if arguments.data is not None:
            save(arguments.data, [coverage])
    _write(arguments, coverage.report())
    return status


def _run_covered(wanted: options.Settings, coverage: "GuestCoverage") -> int:
    from minivm import pc
    from minivm.api import find_guest
    from minivm.cli.run import run_machine

    path, image = find_guest(wanted.guest)
    wanted = replace(wanted, config=replace(wanted.config, guest=path))
    with pc.build(wanted.config, image=image) as machine:
        coverage.attach(machine)
        return run_machine(machine, wanted)


def _write(arguments: Namespace, report: "CoverageReport") -> None:
    from minivm.testing import coverage_listing
    from minivm.testing.coverage_lcov import tracefile, write_text

    if arguments.lcov is not None:
        write_text(arguments.lcov, tracefile([report]))
    if arguments.html is not None:
        write_text(arguments.html, coverage_listing.html([report], title=f"Coverage of {arguments.guest}"))
    if arguments.listing:
        print(coverage_listing.coloured([report]) if wants_colours() else coverage_listing.plain([report]))
    if not arguments.json:  # which promises that nothing else is printed
        print(report.as_table())


def wants_colours() -> bool:
    """Tell whether standard output is a terminal whose user wants colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


__all__ = ["configure", "run"]
