"""The pictures in docs/ are what the machine shows now."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_pictures_are_what_the_machine_shows():
    command = [sys.executable, REPOSITORY / "docs" / "make_pictures.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
