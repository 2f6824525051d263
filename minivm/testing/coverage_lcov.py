"""Coverage as an lcov tracefile, which genhtml, CI services and editors read.

The format is in lcov's manual page geninfo(1), section FILES. Counts are 1 and 0, since the engine notes that a block
ran and not how often. There are no BRDA records: that a block ran does not tell by which of its ways it was reached.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from minivm.errors import SnapshotError
from minivm.testing.coverage_report import CoverageReport, SourceCoverage


def tracefile(reports: Iterable[CoverageReport]) -> str:
    """Return the tracefile of several guests: a test name and a record of each source."""
    lines: list[str] = []
    for report in reports:
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in Path(report.guest).stem)
        for source in report.sources:
            lines += [f"TN:{name}", *_record(source)]
    return "".join(f"{line}\n" for line in lines)


def _record(source: SourceCoverage) -> Iterator[str]:
    yield f"SF:{source.path}"
    for function in source.functions:
        yield f"FN:{function.line},{function.name}"
    for function in source.functions:
        yield f"FNDA:{int(function.ran)},{function.name}"
    yield f"FNF:{source.function_share.total}"
    yield f"FNH:{source.function_share.ran}"
    for line in source.lines:
        yield f"DA:{line.number},{int(line.ran_bytes > 0)}"
    yield f"LF:{source.line_share.total}"
    yield f"LH:{source.line_share.ran}"
    yield "end_of_record"


def write_text(path: Path | str, text: str) -> None:
    """Write a report to `path`, whole or not at all; raises `SnapshotError`."""
    from minivm.storage.whole_file import replace_file

    try:
        replace_file(Path(path), [text.encode("utf-8", "replace")])
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be written: {error.strerror or error}") from error


__all__ = ["tracefile", "write_text"]
