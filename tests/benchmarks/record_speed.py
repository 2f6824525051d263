"""Print as JSON the seconds that two programs take alone and recorded, from `boot` to `close`, by turns."""

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import minivm

PROGRAMS = Path(__file__).resolve().parents[2] / "guests" / "workload"


def timed(image: Path, record: Path | None) -> float:
    """Run a program to its end and return the seconds it took."""
    begin = time.perf_counter()
    with minivm.boot(image, record=record) as vm:
        assert vm.run(ms=60_000).reason == "debug-exit"
    return time.perf_counter() - begin


def main() -> None:
    """Measure each program `repeats` times (the first argument) both ways; the best counts."""
    repeats, found = int(sys.argv[1]), {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.mvr"
        for name in ("io.img", "workload.elf"):
            timed(PROGRAMS / name, path)
            pairs = [(timed(PROGRAMS / name, None), timed(PROGRAMS / name, path)) for _ in range(repeats)]
            found[Path(name).stem] = [min(times) for times in zip(*pairs, strict=True)]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
