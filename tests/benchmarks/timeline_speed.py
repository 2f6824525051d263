"""Measure time travel: `python tests/benchmarks/timeline_speed.py [REPEATS]` prints JSON, all in seconds.

`kept`: programs run to their end by a debugger without and with keyframes, by turns: the best of each. The rest asks
one machine that has executed `TICKS` of the C workload, more than 100 million instructions (3.5 bytes each on average):
`step` is the worst of several places, each at its best; `who` and `back` have the best time of each question.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import minivm
from minivm.debug.debugger import Debugger
from minivm.debug.reverse import Reverse

PROGRAMS = Path(__file__).resolve().parents[2] / "guests" / "workload"
KEPT = ("workload.elf", "io.img", "timer-interrupts.img")
TICKS = 400_000_000
PLACES = tuple(range(TICKS, TICKS + 50_000_000, 7_000_000))
"""How long a step back takes hangs on how far the keyframe before lies: a whole distance between two is sampled."""
QUESTIONS = {
    "early": "byte [0x468064]",  # written once, 134 million ticks ago; its page has rested since
    "never": "byte [0x110f00]",  # nobody wrote it, but its page is the stack's: all of the past is looked through
    "port": "port 0xE9",  # 39 million ticks ago
    "register": "eax",  # a moment ago; one of long ago takes long: 20,000 instructions a second
}


def best(repeats: int, action: Callable[[], object]) -> float:
    """Return the shortest of several runs."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        action()
        found.append(time.perf_counter() - begin)
    return min(found)


def timed(program: str, *, travel: bool) -> float:
    """Run a program to its end, and return the seconds it took."""
    with minivm.boot(PROGRAMS / program) as vm:
        debugger = Debugger(vm)
        if travel:
            debugger.travel()
        begin = time.perf_counter()
        assert debugger.resume().reason == "debug-exit"
        return time.perf_counter() - begin


def kept(repeats: int) -> dict[str, list[float]]:
    """Return for each program the seconds alone and with keyframes."""
    found = {}
    for program in KEPT:
        timed(program, travel=True)
        pairs = [(timed(program, travel=False), timed(program, travel=True)) for _ in range(repeats)]
        found[Path(program).stem] = [min(times) for times in zip(*pairs, strict=True)]
    return found


def backwards(repeats: int) -> dict[str, object]:
    """Return the seconds of steps, questions and reverse continues."""
    with minivm.boot(PROGRAMS / "workload.elf") as vm:
        debugger = Debugger(vm)
        reverse = Reverse(debugger)
        first = vm.cpu.linear_ip
        steps = []
        for place in PLACES:
            reverse.go_to(place)
            steps.append(best(repeats, reverse.step))
        here = reverse.timeline.go_to(TICKS)

        def ask(what: str) -> None:
            reverse.who_wrote(what, jump=False)

        def back(address: int) -> None:
            entry = debugger.break_at(address)
            stop = reverse.resume()
            debugger.remove(entry.number)
            reverse.timeline.return_to(here)
            assert stop.reason == "breakpoint", stop

        return {
            "step": max(steps),
            "who": {name: best(repeats, partial(ask, what)) for name, what in QUESTIONS.items()},
            "back": {"near": best(repeats, partial(back, here.address)), "far": best(repeats, partial(back, first))},
        }


def main() -> None:
    """Print every figure; the first argument says how often each is measured."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(json.dumps({"kept": kept(repeats), **backwards(repeats)}))


if __name__ == "__main__":
    main()
