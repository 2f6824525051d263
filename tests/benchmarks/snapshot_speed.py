"""Measure saving, restoring and cloning: `python tests/benchmarks/snapshot_speed.py [REPEATS]` prints JSON.

`save` and `restore`: a machine of 64 MB that has used 8 of them, by machine code of a large library. `clone`: one of
32 MB, running and warm. Times are the best, in milliseconds; `bytes` is the file's length.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import minivm
from minivm.engine.library import library_path
from minivm.machine import Machine


def best(repeats: int, action: Callable[[], object]) -> float:
    """Return the shortest of several runs, in milliseconds."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = action()
        found.append(time.perf_counter() - begin)
        if isinstance(result, Machine):
            result.close()
    return min(found) * 1000


def used_machine() -> Machine:
    """Return a machine of 64 MB with 8 MB in use, none of it zeros."""
    vm = minivm.boot("shell", memory="64M")
    vm.run(ms=20)
    code = Path(library_path()).read_bytes()[2 << 20 : 10 << 20]
    vm.memory.write(16 << 20, code.replace(bytes(64), b"\x90" * 64).ljust(8 << 20, b"\x90"))
    return vm


def measure(repeats: int) -> dict[str, float]:
    """Return every figure."""
    with tempfile.TemporaryDirectory() as folder, used_machine() as vm:
        path = Path(folder) / "x.mvm"
        save = best(repeats, lambda: vm.save(path))
        size = path.stat().st_size
        restore = best(repeats, lambda: minivm.restore(path))
    with minivm.boot("shell", memory="32M") as vm:
        vm.run(ms=50)
        clone = best(4 * repeats, vm.clone)
    return {"save": save, "bytes": size, "restore": restore, "clone": clone}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
