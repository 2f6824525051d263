"""Every case of every chip's contract, on MiniVM's chips and on QEMU's."""

import shutil

import pytest

from minivm.testing.contract import contracts, run_case
from minivm.testing.qtest import PROGRAM, QemuSystem
from minivm.testing.system import MiniVmSystem

CASES = [case for contract in contracts() for case in contract.cases]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def hold(case, make):
    outcome = run_case(case, make, make.name)
    if outcome.result == "not tried":
        pytest.skip(outcome.words)
    if not outcome.good:
        pytest.fail(
            f"{case.title} ({case.contract.datasheet}, {case.section}): {outcome.result}\n{outcome.trace}", False
        )


@every_case
def test_on_minivm(case):
    hold(case, MiniVmSystem)


@pytest.mark.qemu
@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")
@every_case
def test_on_qemu(case):
    hold(case, QemuSystem)


def test_there_are_at_least_two_hundred_cases():
    assert len(CASES) >= 200
