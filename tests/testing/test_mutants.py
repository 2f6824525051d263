"""Chips that were broken on purpose: the contracts must catch every one of them.

A mutant is one chip's source with one small mistake in it. It is wired into a PC in place of the real chip, and the
chip's contract runs on that until a case breaks.
"""

import sys
import tomllib
import types
from pathlib import Path

import pytest

import minivm.devices
from minivm import pc
from minivm.testing.contract import contracts, run_case
from minivm.testing.system import MiniVmSystem

DEVICES = Path(minivm.devices.__file__).parent

MUTANTS = [
    pytest.param((one["chip"], one["right"], one["wrong"], one["contract"]), id=f"{one['chip']}: {one['what']}")
    for one in tomllib.loads(Path(__file__).with_name("mutants.toml").read_text(encoding="utf-8"))["mutant"]
]
VALUES = [mutant.values[0] for mutant in MUTANTS]
every_mutant = pytest.mark.parametrize("mutant", MUTANTS)


def mutated(chip, right, wrong):
    """Return the module of a chip, or of one of its blocks ("vga.planes"), with one mistake in it."""
    path = DEVICES / f"{chip.replace('.', '/')}.py"
    source = path.read_text()
    assert source.count(right) == 1, f"{path.name} has {source.count(right)} times {right!r}"
    module = types.ModuleType(f"minivm.devices.{chip}")
    exec(compile(source.replace(right, wrong), str(path), "exec"), vars(module))
    return module


def wire_in(monkeypatch, chip, module):
    """Let the PC be made of the module's classes."""
    real = sys.modules[f"minivm.devices.{chip}"]
    wired = 0
    if "." in chip:
        wired = wire_in_packages_chips(monkeypatch, module)
    for name, part in vars(pc).items():
        if getattr(real, name, None) is part and isinstance(part, type) and part.__module__ == real.__name__:
            monkeypatch.setattr(pc, name, getattr(module, name))
            wired += 1
    assert wired


def wire_in_packages_chips(monkeypatch, module):
    """Let the PC be made of the chips that stand in the same package as the module and are made of it."""
    package = module.__name__.rpartition(".")[0]
    tops = {part.__module__ for part in vars(pc).values() if isinstance(part, type)} - {module.__name__}
    wired = 0
    for top in (name for name in tops if name.startswith(f"{package}.")):
        monkeypatch.setitem(sys.modules, module.__name__, module)
        path = Path(sys.modules[top].__file__)
        again = types.ModuleType(top)
        exec(compile(path.read_text(), str(path), "exec"), vars(again))
        for name, part in list(vars(pc).items()):
            if isinstance(part, type) and part.__module__ == top:
                monkeypatch.setattr(pc, name, getattr(again, name))
                wired += 1
    return wired


def broken_cases(contract_name):
    """Yield the cases of a contract that break."""
    for contract in contracts():
        if contract.name == contract_name:
            for case in contract.cases:
                outcome = run_case(case, MiniVmSystem, "MiniVM")
                if outcome.result in ("broken", "agrees after all"):
                    yield case.title


@every_mutant
def test_a_broken_chip_is_caught(monkeypatch, mutant):
    chip, right, wrong, contract = mutant
    wire_in(monkeypatch, chip, mutated(chip, right, wrong))
    assert next(broken_cases(contract), None) is not None


@pytest.mark.parametrize("contract", sorted({mutant[3] for mutant in VALUES}))
def test_the_right_chip_is_not_caught(contract):
    assert list(broken_cases(contract)) == []


def test_there_are_at_least_twenty_mutants_of_every_chip_family():
    assert len(MUTANTS) >= 20
    chips = {"pic", "pit", "cmos", "uart", "i8042", "vga", "system_control", "exit"}
    assert {mutant[0].partition(".")[0] for mutant in VALUES} >= chips
