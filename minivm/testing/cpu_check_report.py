"""What the CPU check says: a table of what was compared, and the first difference with disassembly and registers."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from minivm.debug.code import disassemble
from minivm.testing.cpu_check_compare import Apart, undefined_in, vector_of
from minivm.testing.cpu_differences import FLAGS, few

if TYPE_CHECKING:
    from minivm.testing.cpu_check import Finding, Tally

_SHOWN = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
_HEADS = ("mode", "way", "compared", "whole", "given up", "unsteady", "declined", "known differences")


def table_text(tallies: "Mapping[tuple[str, str], Tally]") -> str:
    """Return the summary: a line for each mode and way, then what was declined and what is known."""
    rows = [_HEADS]
    for (mode, way), tally in tallies.items():
        numbers = (
            tally.compared,
            tally.whole,
            tally.given_up,
            tally.unsteady,
            tally.declined.total(),
            tally.known.total(),
        )
        rows.append((mode, way, *map(str, numbers)))  # type: ignore[arg-type]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join((*lines, *_details(tallies)))


def _details(tallies: "Mapping[tuple[str, str], Tally]") -> Iterator[str]:
    for (mode, way), tally in tallies.items():
        if tally.declined:
            words = ", ".join(f"{name} {count}" for name, count in tally.declined.most_common(12))
            yield f"{way} declined in {mode}: {words}{', ...' if len(tally.declined) > 12 else ''}"
        for row, count in tally.known.most_common():
            about = few(row.mnemonics) or "any instruction"
            yield f"{way} in {mode}: {count} times {about}, {few(row.what)}: {row.reason} ({row.reference})"


def finding_text(finding: "Finding") -> str:
    """Return the shrunk program, both outcomes side by side, and how to see it again."""
    mode = finding.mode
    lines = [f"DIFFERENCE between one go and {finding.way}, {mode.name} mode, seed {finding.seed}", ""]
    for instruction in disassemble(finding.program.code, origin=mode.start_ip, bits=mode.bits):
        lines.append(f"  {instruction.address:08X}  {instruction.code.hex():<20}  {instruction.text}")
    lines += ["", f"  {'':10}{'one go':>34}  {finding.way:>34}"]
    lines += _side_by_side(finding)
    undefined = undefined_in(finding.program, finding.expected)
    if undefined:
        lines.append(f"  undefined here: {' '.join(name for name, bit in FLAGS.items() if undefined & bit)}")
    again = f"--mode {mode.name} --seed {finding.seed} --count 1 --length {finding.length}"
    return "\n".join((*lines, "", f"again: python -m minivm.testing.cpu_check {again}"))


def _side_by_side(finding: "Finding") -> Iterator[str]:
    one, other = finding.expected.registers, finding.found.registers
    differs = {apart.name for apart in finding.apart}
    width = 16 if finding.mode.bits == 64 else 8
    before = dict(zip(_SHOWN, finding.program.start.general, strict=False))
    names = [*_SHOWN, "rip", "rflags", "cr2"]
    names += [name for name in one if name not in names and one[name] != other.get(name, one[name])]
    for name in names:
        marked = one[name] != other[name] and (name in differs or name in ("rip", "rflags"))
        was = f"  was {before[name]:0{width}X}" if name in before else ""
        yield f"{'>' if marked else ' '} {name:10}{one[name]:>34X}  {other[name]:>34X}{was}"
    yield f"  {'ended':10}{_ended(finding, True):>34}  {_ended(finding, False):>34}"
    yield from (f"> {_words(apart)}" for apart in finding.apart)


def _ended(finding: "Finding", ours: bool) -> str:
    outcome = finding.expected if ours else finding.found
    vector = vector_of(outcome)
    return outcome.ended if vector is None else f"vector {vector}"


def _words(apart: Apart) -> str:
    where = f" at {apart.address:X}h" if apart.address is not None else ""
    one, other = (f"{value:X}h" if isinstance(value, int) else value for value in (apart.one, apart.other))
    return f"{apart.name}{where}: {one}, not {other}"
