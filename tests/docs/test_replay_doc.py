"""The examples in docs/replay.md run: the Python from an empty interpreter, the commands one after the other."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from minivm.inputs import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ minivm (.*)$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example, tmp_path):
    command = [sys.executable, "-W", "error", "-c", example]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_commands_work_one_after_the_other(tmp_path):
    assert len(COMMANDS) == 3
    for command in COMMANDS:
        words = [sys.executable, "-m", "minivm", *shlex.split(command)]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 0, (command, result.stdout, result.stderr)
        if command == "replay bug.mvr":
            assert re.fullmatch(r"replayed \d+ ticks, 1 inputs, \d+ checks: identical", result.stdout.splitlines()[-1])


def test_every_kind_of_input_is_explained():
    table = PAGE.partition("## What is an input")[2].partition("## ")[0]
    assert {kind for kind in KINDS if f"`{kind}`" not in table} == set()
