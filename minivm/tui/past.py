"""What the user interface knows of the past: where the machine is in it, and how to name a moment.

The past itself is `minivm.debug.timeline`; the ways back are `minivm.debug.reverse`.
"""

import re

from minivm.core.record import record
from minivm.debug.timeline import Timeline
from minivm.errors import ConfigError
from minivm.machine import NS_PER_MS, NS_PER_SECOND

_UNITS = {"": 1, "ns": 1, "us": 1000, "ms": NS_PER_MS, "s": NS_PER_SECOND}
_TIME = re.compile(r"([+-]?)(\d[\d,_]*(?:\.\d+)?)\s*(|ns|us|ms|s)")


@record
class Fork:
    """A branch that was left: its number, where it parts from the present, and how far it had come."""

    number: int
    fork: int
    end: int


@record
class History:
    """The past that is kept: from tick `begin` to `end`; `in_past` is True while what comes next has happened before.

    `keyframes` are positions in ticks, too.
    """

    begin: int
    now: int
    end: int
    in_past: bool
    keyframes: tuple[int, ...]
    forks: tuple[Fork, ...]


def history_of(timeline: Timeline) -> History:
    """Return what there is to tell of a timeline; on the machine's thread."""
    forks = tuple(Fork(one.number, one.fork, one.end) for one in timeline.branches)
    frames = tuple(frame.position for frame in timeline.frames)
    return History(timeline.begin, timeline.machine.now, timeline.end, timeline.in_past, frames, forks)


def parse_moment(text: str, now: int, begin: int, end: int) -> int:
    """Return the tick that a text means: `1,234,567`, `12.5ms`, `-3ms` (before now), `+2us`, `begin`, `end`.

    Raises `ConfigError`. One tick is one virtual nanosecond.
    """
    word = text.strip().lower()
    if word in ("begin", "start", "end"):
        return end if word == "end" else begin
    match = _TIME.fullmatch(word)
    if match is None:
        raise ConfigError(f"{text!r} is no moment; write a tick such as 1,234,567, or 12.5ms, -3ms, begin, end")
    whole, _, part = match[2].replace(",", "").replace("_", "").partition(".")
    unit = _UNITS[match[3]]
    value = int(whole) * unit + (int(part) * unit // 10 ** len(part) if part else 0)
    return value if not match[1] else max(0, now - value if match[1] == "-" else now + value)


def span_words(ticks: int) -> str:
    """Return a length of virtual time in words that fit: `850 ns`, `12.3 ms`."""
    for unit, name in ((NS_PER_SECOND, "s"), (NS_PER_MS, "ms"), (1000, "us")):
        if ticks >= unit:
            return f"{ticks / unit:.{1 if ticks >= 10 * unit else 2}f} {name}"
    return f"{ticks} ns"


__all__ = ["Fork", "History", "history_of", "parse_moment", "span_words"]
