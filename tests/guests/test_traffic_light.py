"""The traffic light in `guests/`: its own tests pass where a reader would run them, and its configuration boots."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "guests" / "traffic_light"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example, with nothing of MiniVM's own around it."""
    return shutil.copytree(EXAMPLE, tmp_path / "light", ignore=shutil.ignore_patterns("__pycache__"))


def run(words: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)


def test_the_examples_own_tests_pass(folder: Path) -> None:
    result = run(["pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "13 passed" in result.stdout


def test_its_configuration_boots_and_a_key_lets_the_walkers_go(folder: Path) -> None:
    script = ["--expect", "cars green", "--type", " ", "--expect", "walkers green", "--expect", "cars green"]
    result = run(["minivm", "run", "--config", "crossing.toml", *script], folder)
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if "walkers green" in line] == ["cars red, walkers green"]


def test_the_image_is_the_same_from_either_assembler(folder: Path) -> None:
    from minivm.debug.code import assemble_file

    if shutil.which("nasm") is None:
        pytest.skip("nasm is not installed")
    by_nasm, by_keystone = (assemble_file(folder / "crossing.asm", assembler=one).code for one in ("nasm", "keystone"))
    assert by_nasm == by_keystone
