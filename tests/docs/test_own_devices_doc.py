"""All that docs/own-devices.md shows runs: files are written, commands print what stands there, Python is executed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from minivm.own_devices import GROUP

PAGE = (Path(__file__).parents[2] / "docs" / "own-devices.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"[#;] (\S+\.\w+)\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every file of the page, under the name in its first line."""
    for _, text in BLOCKS:
        named = FILE_NAME.match(text)
        if named is not None:
            (tmp_path / named[1]).write_text(text, encoding="utf-8")
    return tmp_path


def run(words: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "console"])
def test_a_command_prints_what_the_page_says(text: str, folder: Path) -> None:
    command, _, expected = text.removeprefix("$ minivm ").partition("\n")
    result = run([sys.executable, "-m", "minivm", *shlex.split(command)], folder)
    assert (result.stdout + result.stderr).strip() == expected.strip()


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "python" and not FILE_NAME.match(text)])
def test_an_example_runs(text: str, folder: Path) -> None:
    result = run([sys.executable, "-W", "error", "-c", text], folder)
    assert result.returncode == 0, result.stderr


def test_every_kind_of_block_is_run() -> None:
    files = [named[1] for _, text in BLOCKS if (named := FILE_NAME.match(text))]
    assert len(files) == 7
    assert {kind for kind, text in BLOCKS if not FILE_NAME.match(text)} == {"console", "python"}


def test_the_entry_points_group_is_the_right_one(folder: Path) -> None:
    import tomllib

    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert list(project["entry-points"]) == [GROUP]


def test_the_free_interrupts_are_the_ones_listed() -> None:
    import minivm

    listed = PAGE.partition("Free are IRQ ")[2].partition(";")[0].replace(" and ", ", ")
    devices = [("port", 0x500, lambda slot: slot.irq(4))]
    with pytest.raises(minivm.WiringError, match=f"free are {listed}$"):
        minivm.boot("shell", devices=devices)


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", PAGE))
def test_a_link_leads_somewhere(target: str) -> None:
    assert (Path(__file__).parents[2] / "docs" / target).exists()
