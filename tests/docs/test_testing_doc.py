"""The page that takes a reader from nothing to a tested device and kernel does what it says, in one empty folder."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[#;] (\S+\.(?:py|asm|ini))\n")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def commands(block: str) -> list[tuple[str, str]]:
    """Return each command of a console block with what it prints."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    assert not parts[0]
    return list(zip(parts[1::2], parts[2::2], strict=True))


def run(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, check=False,
        env=environment | {"PATH": path, "COLUMNS": "80"},
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return re.sub(r" in \d+\.\d+s", " in 0.05s", done.stdout)


def like(expected: str) -> str:
    """Return what a page shows with its times made alike and its dots made doctest's."""
    return re.sub(r" in \d+\.\d+s", " in 0.05s", expected)


@pytest.mark.timeout(300)
def test_a_reader_gets_what_the_page_shows(tmp_path):
    checker = doctest.OutputChecker()
    for kind, block in BLOCKS:
        named = FILE.match(block)
        if kind == "text":
            continue
        if kind != "console" and named:
            (tmp_path / named[1]).write_text(block.split("\n", 1)[1] if named[1].endswith(".ini") else block)
        elif kind == "python":
            done = subprocess.run(
                [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        else:
            for command, expected in commands(block):
                got = run(command, tmp_path)
                assert checker.check_output(like(expected), got, FLAGS), f"{command}\n{got}"


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", PAGE))
def test_a_link_leads_somewhere(target):
    assert (REPOSITORY / "docs" / target).exists()
