"""Where writing to the screen traps: by the accesses that reach the card one by one."""

import re
from pathlib import Path

import minivm

WORKLOAD = Path(__file__).resolve().parents[2] / "guests" / "workload"


def accesses_by(program: str) -> tuple[int, int]:
    """Run a program of the benchmarks and return how many accesses the card saw, and the first number it declares."""
    source = (WORKLOAD / f"{program}.asm").read_text(encoding="utf-8")
    count = int(re.search(r" equ (\d+)", source)[1])
    with minivm.boot(WORKLOAD / f"{program}.img") as vm:
        bus, seen = vm.space.mmio, []
        read, write = bus.read, bus.write
        bus.read = lambda address, size: seen.append(address) or read(address, size)
        bus.write = lambda address, size, value: seen.append(address) or write(address, size, value)
        ended = vm.run(ms=60_000)
        assert ended.reason == "debug-exit"
        return len(seen), count


def test_a_redraw_of_mode_13h_never_traps():
    accesses, frames = accesses_by("screen-linear")
    assert frames * 320 * 200 > 1_000_000
    assert accesses == 0


def test_a_fill_of_mode_12h_goes_through_the_card():
    accesses, screens = accesses_by("screen-planes")
    assert accesses == screens * 640 // 8 * 480
