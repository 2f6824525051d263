"""The Python in docs/debugger.md runs, each example from an empty interpreter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "debugger.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
HEADS = re.findall(r"^## (.*?)\n(?:(?!^## ).*\n)*?```python", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=HEADS if len(HEADS) == len(EXAMPLES) else None)
def test_an_example_runs(example, tmp_path):
    command = [sys.executable, "-W", "error", "-c", example]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_page_has_its_examples():
    assert len(EXAMPLES) >= 5
    assert all("assert" in example for example in EXAMPLES)
