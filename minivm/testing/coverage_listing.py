"""Coverage as a listing of the sources: plain, coloured for a terminal, or as one HTML file that needs no other.

Each line has a mark: `+` ran, `~` ran in part, `-` did not run, none for a line without code.
"""

from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

from minivm.testing.coverage_code import Code
from minivm.testing.coverage_report import NOT_RUN, PARTLY, RAN, CoverageReport, Line, SourceCoverage, table_of

MARKS = {RAN: "+", PARTLY: "~", NOT_RUN: "-", "": " "}
_STYLES = {RAN: "green", PARTLY: "yellow", NOT_RUN: "red", "": "dim"}
_CLASSES = {RAN: "ran", PARTLY: "part", NOT_RUN: "not", "": ""}
_MOST_BYTES = 8


class Row(NamedTuple):
    """One line to show: how it stands ("" without code), its address and bytes in hexadecimal, its text."""

    standing: str
    number: int
    address: str
    code: str
    text: str


def rows(source: SourceCoverage, code: Code) -> Iterator[Row]:
    """Yield every line of a source, and those with code whose text is not at hand."""
    by_number = {line.number: line for line in source.lines}
    for number, text in source.texts:
        line = by_number.get(number)
        shown = _clean(text) if text is not None else ""
        if line is not None:
            yield Row(line.standing, number, f"{line.ranges[0][0]:08X}", _bytes(line, code), shown)
        elif text is not None:
            yield Row("", number, "", "", shown)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text.expandtabs(8)).rstrip()


def _bytes(line: Line, code: Code) -> str:
    start, end = line.ranges[0]
    found = code.read(start, min(end, start + _MOST_BYTES))
    more = ".." if line.size_bytes > _MOST_BYTES else "+" if len(line.ranges) > 1 else ""
    return found.hex().upper() + more


def plain(reports: Iterable[CoverageReport]) -> str:
    """Return the listing without colours."""
    return "\n".join(line for report in reports for source in report.sources for line in _plain(source, report.code))


def _plain(source: SourceCoverage, code: Code) -> Iterator[str]:
    yield _title(source)
    for row in rows(source, code):
        yield _columns(row)
    yield ""


def _title(source: SourceCoverage) -> str:
    return f"{source.path}: {source.block_share} blocks, {source.line_share} lines, {source.function_share} functions"


def _columns(row: Row) -> str:
    return f"{MARKS[row.standing]} {row.number:5} {row.address:8} {row.code:<18} {row.text}".rstrip()


def coloured(reports: Iterable[CoverageReport], *, width: int = 0) -> str:
    """Return the listing with a terminal's colours; lines are cut to `width` columns, 0 for whole ones."""
    from io import StringIO

    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=StringIO(), force_terminal=True, color_system="standard", width=width or 1000, no_color=False
    )
    with console.capture() as captured:
        for report in reports:
            for source in report.sources:
                console.print(Text(_title(source), style="bold"), soft_wrap=not width, overflow="ellipsis")
                for row in rows(source, report.code):
                    line = Text(_columns(row), style=_STYLES[row.standing])
                    console.print(line, no_wrap=True, overflow="ellipsis", soft_wrap=not width)
                console.print()
    return captured.get()


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px sans-serif; margin: 2em; color: #222; background: #fff }}
table {{ border-collapse: collapse }} td, th {{ padding: 0 .7em; text-align: left }}
.code td {{ font: 13px monospace; white-space: pre }} .code td:nth-child(-n+3) {{ color: #667 }}
.ran {{ background: #dcf5dc }} .part {{ background: #fdf3c4 }} .not {{ background: #fbdcdc }}
pre {{ background: #f4f4f6; padding: 1em; overflow-x: auto }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #1b1c1f }} pre {{ background: #26272b }}
.ran {{ background: #173d1c }} .part {{ background: #4a4010 }} .not {{ background: #4d1b1b }} }}
</style></head><body><h1>{title}</h1>
<pre>{summary}</pre>
<p><span class="ran">&nbsp;+ ran&nbsp;</span> <span class="part">&nbsp;~ ran in part&nbsp;</span>
<span class="not">&nbsp;- did not run&nbsp;</span></p>
{sources}</body></html>
"""


def html(reports: Iterable[CoverageReport], *, title: str = "Guest coverage") -> str:
    """Return one HTML page with the table and all sources, which loads nothing else."""
    reports = list(reports)
    parts = [_html(source, report.code) for report in reports for source in report.sources]
    return _PAGE.format(title=escape(title), summary=escape(table_of(reports)), sources="".join(parts))


def _html(source: SourceCoverage, code: Code) -> str:
    lines = [
        f'<tr class="{_CLASSES[row.standing]}"><td>{MARKS[row.standing]} {row.number}</td><td>{row.address}</td>'
        f"<td>{row.code}</td><td>{escape(row.text)}</td></tr>\n"
        for row in rows(source, code)
    ]
    return f'<h2>{escape(_title(source))}</h2>\n<table class="code">\n{"".join(lines)}</table>\n'


__all__ = ["coloured", "html", "plain"]
