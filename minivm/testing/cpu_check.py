"""The differential CPU check: random programs in every mode, run in several ways that must agree.

    python -m minivm.testing.cpu_check --mode long --count 1000

MiniVM's engine runs each program in one go, cut into slices, and stepped: these must agree in everything. Where
`/dev/kvm` opens, the host's processor runs it, too; there only what the manual leaves undefined may differ, and what
the table of known differences has (cpu_differences.py). The first other difference is shrunk and shown.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import NoReturn

from minivm.core.record import record
from minivm.testing.cpu_check_compare import Apart, declined_by_invalid_opcode, defined, exactly, fault_ip
from minivm.testing.cpu_check_encode import Unit
from minivm.testing.cpu_check_report import finding_text, table_text
from minivm.testing.cpu_check_start import MODES, Mode, Start
from minivm.testing.cpu_check_ways import EngineWays, KvmWay, Outcome, Way
from minivm.testing.cpu_differences import Difference, known
from minivm.testing.cpu_programs import LENGTH, Program, build, random_units, start_of
from minivm.testing.cpu_shrink import first_prefix, shrink
from minivm.testing.kvm import KvmError

LONGEST = 200


@record
class Compared:
    """A way that is held against the reference; `exact` where it is the same engine, and all must be the same."""

    name: str
    way: Way
    exact: bool


@record
class Finding:
    """The first difference: the shrunk program, both outcomes of it, and in what they differ."""

    mode: Mode
    seed: int
    length: int
    way: str
    program: Program
    expected: Outcome
    found: Outcome
    apart: tuple[Apart, ...]


class Tally:
    """How many programs of one mode were compared with one way, and what of them was not.

    `compared` counts programs, `whole` those of them from which nothing was left out. `declined` counts instructions
    that the way could not execute, by mnemonic, `known` those with a row in the table. `given_up` counts programs that
    could not be compared, `unsteady` answers of another processor that were different the next time.
    """

    def __init__(self) -> None:
        self.compared = 0
        self.whole = 0
        self.given_up = 0
        self.unsteady = 0
        self.declined: Counter[str] = Counter()
        self.known: Counter[Difference] = Counter()


class CpuCheck:
    """Runs programs in the ways it is given, the first of which is the reference; `tallies` by (mode, way)."""

    def __init__(self, reference: Way, ways: Iterable[Compared]) -> None:
        self._reference = reference
        self._ways = tuple(ways)
        self.tallies: dict[tuple[str, str], Tally] = {}

    def check(self, mode: Mode, seed: int, length: int = LENGTH) -> Finding | None:
        """Run the program of `seed` in every way; return the first difference, or None."""
        start, units = start_of(mode, seed), random_units(mode, seed, length)
        for compared in self._ways:
            tally = self.tallies.setdefault((mode.name, compared.name), Tally())
            shown = self._compare(compared, mode, start, units, tally)
            if shown is not None:
                return self._finding(compared, mode, shown, seed, length)
        return None

    def _compare(
        self, compared: Compared, mode: Mode, start: Start, units: tuple[Unit, ...], tally: Tally
    ) -> tuple[Unit, ...] | None:
        """Return the units that show a difference without a row in the table, None when there is none.

        A unit that the way declines, or with a known difference, is counted and left out, and the rest compared again.
        """
        rest = units
        while rest:
            program = build(mode, start, rest)
            found = compared.way(mode, start, program.code)
            if self._is_declined(compared, program, found):
                unit = program.unit_at(found.registers["rip"] if found.declined else fault_ip(program, found))
                if unit is None:
                    break
                tally.declined[unit.mnemonic] += 1
            elif self._apart(compared, program, found):
                if not compared.exact and not self._differs(compared, mode, start, rest):
                    tally.unsteady += 1
                    continue
                unit, row = self._explain(compared, mode, start, rest)
                if row is None:
                    return rest
                tally.known[row] += 1
            else:
                tally.compared += 1
                tally.whole += rest is units
                return None
            rest = _without(rest, unit)
        tally.given_up += 1
        return None

    def _is_declined(self, compared: Compared, program: Program, found: Outcome) -> bool:
        if found.declined or compared.exact or found.ended != "halted":
            return found.declined
        expected = self._reference(program.mode, program.start, program.code)
        return declined_by_invalid_opcode(program, expected, found)

    def _apart(self, compared: Compared, program: Program, found: Outcome) -> tuple[Apart, ...]:
        expected = self._reference(program.mode, program.start, program.code)
        return exactly(program, expected, found) if compared.exact else defined(program, expected, found)

    def _differs(self, compared: Compared, mode: Mode, start: Start, units: tuple[Unit, ...]) -> tuple[Apart, ...]:
        program = build(mode, start, units)
        found = compared.way(mode, start, program.code)
        return () if self._is_declined(compared, program, found) else self._apart(compared, program, found)

    def _explain(
        self, compared: Compared, mode: Mode, start: Start, units: tuple[Unit, ...]
    ) -> tuple[Unit, Difference | None]:
        """Return the unit where it begins to differ, and the table's row for it, if any."""
        prefix = first_prefix(units, lambda some: bool(self._differs(compared, mode, start, some)))
        names = frozenset(apart.name for apart in self._differs(compared, mode, start, prefix))
        return prefix[-1], known(prefix[-1].mnemonic, mode.name, names, same_engine=compared.exact)

    def _finding(self, compared: Compared, mode: Mode, units: tuple[Unit, ...], seed: int, length: int) -> Finding:
        start = start_of(mode, seed)

        def shows(some: tuple[Unit, ...]) -> bool:
            return bool(self._differs(compared, mode, start, some)) and (
                self._explain(compared, mode, start, some)[1] is None
            )

        program = build(mode, start, shrink(first_prefix(units, shows), shows))
        found = compared.way(mode, start, program.code)
        expected = self._reference(mode, start, program.code)
        return Finding(
            mode, seed, length, compared.name, program, expected, found, self._apart(compared, program, found)
        )


def _without(units: Sequence[Unit], unit: Unit) -> tuple[Unit, ...]:
    return tuple(one for one in units if one is not unit)


# -- from the command line --------------------------------------------------------------------------------------------
class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in one line."""
        self.exit(2, f"cpu_check: {message}\n")


def _number(least: int, most: int) -> object:
    def parse(text: str) -> int:
        value = int(text, 0)
        if not least <= value <= most:
            raise ValueError
        return value

    parse.__name__ = f"number from {least} to {most}"
    return parse


def _parser() -> ArgumentParser:
    parser = _Parser(prog="python -m minivm.testing.cpu_check", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mode", choices=(*MODES, "all"), default="all", help="one mode instead of all")
    parser.add_argument("--count", type=_number(1, 1 << 32), default=200, help="programs for each mode (200)")  # type: ignore[arg-type]
    parser.add_argument("--seed", type=_number(0, 1 << 62), default=0, help="the first program's seed (0)")  # type: ignore[arg-type]
    parser.add_argument("--length", type=_number(1, LONGEST), default=LENGTH, help=f"units in a program ({LENGTH})")  # type: ignore[arg-type]
    parser.add_argument("--without-kvm", action="store_true", help="leave the host's processor out")
    return parser


def usual_ways(engine: EngineWays, kvm: Way | None) -> Iterator[Compared]:
    """Yield the ways that are held against one go."""
    yield Compared("sliced", engine.sliced, True)
    yield Compared("stepped", engine.stepped, True)
    if kvm is not None:
        yield Compared("KVM", kvm, False)


def _open_kvm(stack: ExitStack, wanted: bool) -> Way | None:
    if not wanted:
        return None
    try:
        return stack.enter_context(KvmWay())
    except KvmError as error:
        print(f"without KVM: {error}")
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Check as the command line says; return 1 at a difference, else 0."""
    options = _parser().parse_args(arguments)
    modes = list(MODES) if options.mode == "all" else [options.mode]
    with ExitStack() as stack:
        engine = stack.enter_context(EngineWays())
        kvm = _open_kvm(stack, not options.without_kvm)
        check = CpuCheck(engine.in_one_go, usual_ways(engine, kvm))
        finding = _first_finding(check, modes, options.seed, options.count, options.length)
    print(table_text(check.tallies))
    if finding is not None:
        print(finding_text(finding))
    return int(finding is not None)


def _first_finding(check: CpuCheck, modes: Iterable[str], seed: int, count: int, length: int) -> Finding | None:
    for name in modes:
        for number in range(seed, seed + count):
            finding = check.check(MODES[name], number, length)
            if finding is not None:
                return finding
    return None


if __name__ == "__main__":
    sys.exit(main())
