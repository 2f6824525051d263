"""What README shows is what happens: its commands and its Python run here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with README's own boot sector and tests in it, where a new user would be."""
    (tmp_path / "hello.asm").write_text(blocks("nasm")[0], encoding="utf-8")
    (tests,) = (block for block in blocks("python") if block.startswith("# test_shell.py"))
    (tmp_path / "test_shell.py").write_text(tests, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("block", blocks("console"))
def test_a_command_prints_what_readme_says(block, folder):
    command, _, expected = block.partition("\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command.removeprefix("$ "), shell=True, cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path},
    )  # fmt: skip
    assert result.stdout == expected
    assert "bug in MiniVM" not in result.stderr


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_example_runs(block, folder):
    result = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_link_leads_somewhere(target):
    assert (REPOSITORY / target).exists()
