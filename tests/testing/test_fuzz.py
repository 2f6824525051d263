"""Every fuzzing target takes 200 inputs of the plain loop; a wrong answer is found, kept and named."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from minivm.errors import AssemblyError, ConfigError, ImageError
from minivm.testing import fuzz, fuzz_inputs, fuzz_targets
from minivm.testing.fuzz import Chance, Finding, damaged, main, plain_inputs, run_plain
from minivm.testing.fuzz_targets import TARGETS, Target


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_target_answers_200_inputs_with_a_result_or_one_line(name, tmp_path):
    assert run_plain(name, [], runs=200, seed=1, keep=tmp_path) == 200
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_seeds_of_a_target_are_valid(name, tmp_path, monkeypatch):
    answers = []
    answer = fuzz_targets._answer
    monkeypatch.setattr(fuzz_targets, "_answer", lambda action: answers.append(answer(action)) or answers[-1])
    for data in TARGETS[name].seeds():
        answers.clear()
        TARGETS[name].run(data, tmp_path)
        assert name in ("gdb", "bzimage") or any(found is not None for found in answers)


def broken(error):
    """Return a target that raises `error` once a zero byte comes."""

    def run(data, folder):
        if b"\0" in data:
            raise error

    return Target(run, lambda: [b"abc", b"a\0c"], ())


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError("deep"), MemoryError(), AssemblyError("one\ntwo")], ids=type
)
def test_a_wrong_answer_is_a_finding_whose_input_is_kept(error, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TARGETS, "config", broken(error))
    assert main(["config", "--without-atheris", "--runs", "5", "--keep", str(tmp_path)]) == 1
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"a\0c"
    said = capsys.readouterr().err
    assert said.startswith(f"minivm fuzz: config: {type(error).__name__}") and said.endswith(f"the input is {kept}\n")
    assert said.count("\n") == 1


def test_an_input_that_never_ends_is_a_finding(tmp_path, monkeypatch):
    def for_ever(data, folder):
        while True:
            pass

    monkeypatch.setattr(fuzz, "MOST_SECONDS", 1)
    monkeypatch.setitem(TARGETS, "config", Target(for_ever, lambda: [b""], ()))
    with pytest.raises(Finding, match="took longer than 1 seconds"):
        run_plain("config", [], runs=1, seed=0, keep=tmp_path)


def test_a_seed_decides_the_inputs():
    seeds = [fuzz_inputs.elf(), b"text 12 here\n"]
    first, again, other = (list(plain_inputs(seeds, 50, seed)) for seed in (3, 3, 4))
    assert first == again and first[:2] == seeds and first != other
    assert len(set(first)) > 40


def test_text_mostly_stays_text():
    chance = Chance(7)
    made = [damaged(b"memory = 64\nbits = 16\n", chance) for _ in range(200)]
    assert sum(text.isascii() and b"\0" not in text for text in made) > 150


def test_a_corpus_gives_more_to_begin_from(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "one").write_bytes(b"\x7fELF")
    assert fuzz._corpus([corpus, corpus / "one"]) == [b"\x7fELF"] * 2
    with pytest.raises(ImageError, match="there is no such file or folder to fuzz from"):
        fuzz._corpus([tmp_path / "missing"])


def test_the_command_says_what_it_did(capsys):
    assert main(["bzimage", "--without-atheris", "--runs", "20", "--seed", "9"]) == 0
    assert capsys.readouterr().out == "bzimage: 20 inputs, nothing found\n"


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["elf", "--without-atheris", "-max_total_time=5"], "-max_total_time=5 is libFuzzer's; leave out"),
        (["elf", "--without-atheris", "--keep", "/missing"], "/missing: is no folder to keep findings in"),
        (["elf", "--without-atheris", "/missing"], "/missing: there is no such file or folder"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, wrong, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert wrong in said and said.count("\n") == 1


def test_without_atheris_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "atheris", None)
    with pytest.raises(ConfigError, match="pip install atheris; or use --without-atheris --runs 1000"):
        fuzz.run_atheris("elf", [], tmp_path)


def test_the_module_is_a_program():
    command = [sys.executable, "-m", "minivm.testing.fuzz", "disk", "--without-atheris", "--runs", "3"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert made.stdout == "disk: 3 inputs, nothing found\n"


def test_the_example_in_the_documentation_runs_and_all_targets_are_listed():
    page = (Path(__file__).parents[2] / "docs" / "fuzzing.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    exec(example, {"__name__": "example"})
    assert all(f"`{name}`" in page for name in TARGETS)
