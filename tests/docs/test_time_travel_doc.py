"""docs/time-travel.md finds the planted bug: its code runs in one interpreter, and prints what the page shows."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "time-travel.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n```text\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
MARK = "-- end of block --"


def test_every_block_of_code_shows_what_it_prints():
    assert len(BLOCKS) == PAGE.count("```python") >= 8


def test_the_bug_is_found_as_the_page_shows(tmp_path):
    program = "".join(f"{code}print({MARK!r})\n" for code, _ in BLOCKS)
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split(f"{MARK}\n") == [shown for _, shown in BLOCKS] + [""]


def test_every_page_that_is_named_is_there():
    folder = Path(__file__).parents[2] / "docs"
    assert [name for name in re.findall(r"\]\(([\w/-]+\.md)\)", PAGE) if not (folder / name).is_file()] == []
