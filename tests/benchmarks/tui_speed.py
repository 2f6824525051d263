"""Run the C workload headless and with the full-screen debugger open, by turns; print the best seconds of each.

`python tests/benchmarks/tui_speed.py [REPEATS]` prints two numbers. The debugger is in its Learn layout on a
terminal of 120 x 40 that is none (Textual's pilot), and gets its views.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import minivm
from minivm.tui.app import MiniVMApp
from minivm.tui.session import Session

IMAGE = Path(__file__).resolve().parents[2] / "guests" / "workload" / "workload.elf"
LONGEST_S = 300


def headless() -> float:
    """Return the seconds of the workload alone."""
    with minivm.boot(IMAGE, memory="64M") as machine:
        begin = time.perf_counter()
        machine.run()
        return time.perf_counter() - begin


def watched() -> float:
    """Return the seconds of the workload with the debugger looking on."""
    with minivm.boot(IMAGE, memory="64M") as machine:
        session = Session(machine, speed=None)
        try:
            return asyncio.run(_open(session))
        finally:
            session.close()


def _end(session: Session) -> float:
    """Wait on a thread of its own, which the drawing does not hold up, and return when the workload ended."""
    if not session.wait(LONGEST_S):
        sys.exit("the workload does not end")
    return time.perf_counter()


async def _open(session: Session) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tui.json"
        app = MiniVMApp(session, autostart=False, preferences_file=file, layout="learn")
        async with app.run_test(size=(120, 40)) as pilot:
            while app.view is None or "explain" not in app.view.panels:  # opening it is no part of this
                await asyncio.sleep(0.05)
            await pilot.pause()
            begin = time.perf_counter()
            await asyncio.wrap_future(session.resume())
            return await asyncio.to_thread(_end, session) - begin


def main() -> None:
    """Measure by turns."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    pairs = [(headless(), watched()) for _ in range(repeats)]
    print(*(min(times) for times in zip(*pairs, strict=True)))


if __name__ == "__main__":
    main()
