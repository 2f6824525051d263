"""The speed that MiniVM promises; `make bench` runs this, `make test` does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")


@pytest.mark.benchmark
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        "start",
        "io",
        "interrupts",
        "timer",
        "workload",
        "idle",
        "tui",
        "disks",
        "screens",
        "boots",
        "snapshots",
        "testkit",
    ],
)
def test_a_target_is_met(name: str) -> None:
    outcome = subprocess.run([sys.executable, str(RUN), "--json", name], capture_output=True, text=True, check=False)
    assert outcome.stdout, outcome.stderr
    for result in json.loads(outcome.stdout):
        if result["target"] == "–":
            continue
        if result["met"] is None:
            pytest.skip("QEMU is not installed, so there is nothing to compare with")
        assert result["met"], f"{result['name']}: {result['value']}, wanted {result['target']} (QEMU: {result['qemu']})"
