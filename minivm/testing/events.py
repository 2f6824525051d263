"""The last events of a run as lines, with what repeats told once: a timer's ticks must not hide all before them."""

from collections.abc import Sequence

from minivm.debug.debugger import Debugger
from minivm.debug.recorder import Event, event_words
from minivm.machine import NS_PER_MS

MOST_LINES = 50
LONGEST_CYCLE = 6
FEWEST_TURNS = 3
"""So many events that come so often one after the other are told once."""
_OWN_BUSINESS = ": bios trap"
"""How the BIOS's ROM calls its services is no event of the guest's; the INT that asked for them is one."""

Told = tuple[str, str]
"""When and where an event was, and its words."""


def event_lines(debugger: Debugger, events: Sequence[Event]) -> list[str]:
    """Return the last events as lines, `MOST_LINES` at most: virtual time, linear address, plain words."""
    told = [(_when(event), event_words(debugger, event)) for event in events]
    return folded([one for one in told if not one[1].endswith(_OWN_BUSINESS)])[-MOST_LINES:]


def _when(event: Event) -> str:
    return f"{event.now / NS_PER_MS:14.6f} ms  {event.where:08X}h"


def folded(told: Sequence[Told]) -> list[str]:
    """Return events as lines; a cycle of a few that comes again and again is told once, with how often and until when.

    The events of a cycle have the same words each time, and their own times and addresses.
    """
    words = [one[1] for one in told]
    lines: list[str] = []
    at = 0
    while at < len(told):
        length, turns = _longest_cycle(words, at)
        lines += [f"{when}  {what}" for when, what in told[at : at + length]]
        at += length * turns
        if turns > 1:
            until = told[at - 1][0].partition(" ms")[0].strip()
            events = "this event" if length == 1 else f"these {length} events"
            lines.append(f"{'...':>17}  {events} {turns - 1} times more, up to {until} ms")
    return lines


def _longest_cycle(words: Sequence[str], at: int) -> tuple[int, int]:
    """Return the cycle that covers the most from `at` on, as its length and how often it comes: (1, 1) for none."""
    cycles = [(length, _turns(words, at, length)) for length in range(1, LONGEST_CYCLE + 1)]
    worth = [cycle for cycle in cycles if cycle[1] >= FEWEST_TURNS]
    return max(worth, key=lambda cycle: (cycle[0] * cycle[1], -cycle[0]), default=(1, 1))


def _turns(words: Sequence[str], at: int, length: int) -> int:
    block = words[at : at + length]
    turns = 1
    while len(block) == length and words[at + turns * length : at + (turns + 1) * length] == block:
        turns += 1
    return turns
