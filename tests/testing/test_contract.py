"""How a contract's case is judged, and what its report says."""

import pytest

from minivm.testing.contract import Contract, Probe, contracts, run_case
from minivm.testing.contract_report import as_markdown, as_text, run_contracts, table
from minivm.testing.contracts import __main__ as command
from minivm.testing.system import RESOLUTION_NS, MiniVmSystem, SystemGone


class Fake:
    """A system with one register at every port, which reads as what was written plus `off`."""

    name = "fake"

    def __init__(self, off=0):
        self.off, self.now, self.held, self.closed = off, 0, {}, 0

    def read_port(self, port, size):
        return self.held.get(port, 0) + self.off

    def write_port(self, port, size, value):
        self.held[port] = value

    def pass_time(self, delay_ns):
        self.now += delay_ns

    def irq(self, number):
        return number == 4

    def close(self):
        self.closed += 1


def one_case(**says):
    contract = Contract("reg", "a register", "Datasheet 1")

    @contract.case("it reads back", "section 2", **says)
    def reads_back(pc):
        pc.write(0x10, 5)
        pc.step(us=1)
        pc.reads(0x10, 5, "the register")

    return contract


def judged(off=0, **says):
    return run_case(one_case(**says).cases[0], lambda: Fake(off), "fake")


def test_a_case_that_holds_agrees():
    assert (judged().result, judged().good) == ("agrees", True)


def test_a_case_that_does_not_hold_is_broken_and_shows_what_was_done():
    outcome = judged(off=1)
    assert (outcome.result, outcome.good) == ("broken", False)
    assert outcome.words == "the register: 06h came, 05h was expected"
    assert [line.split()[1] for line in outcome.trace.splitlines()[2:]] == ["write", "wait", "read"]


def test_a_known_difference_is_good_with_its_reason():
    outcome = judged(off=1, differs={"fake": "it counts one up (its manual, page 3)"})
    assert (outcome.result, outcome.good, outcome.words) == ("differs", True, "it counts one up (its manual, page 3)")


def test_a_difference_of_another_system_excuses_nobody():
    assert judged(off=1, differs={"QEMU": "no"}).result == "broken"


def test_a_difference_that_is_gone_is_no_longer_good():
    outcome = judged(differs={"fake": "no more"})
    assert (outcome.result, outcome.good) == ("agrees after all", False)


def test_what_cannot_be_tried_is_not_run():
    outcome = judged(off=1, cannot={"fake": "it has no such pin"})
    assert (outcome.result, outcome.words) == ("not tried", "it has no such pin")


def test_the_system_is_closed_however_a_case_ends():
    fake = Fake(1)
    run_case(one_case().cases[0], lambda: fake, "fake")
    assert fake.closed == 1


def test_an_error_in_a_case_is_no_difference():
    contract = Contract("bad", "bad", "none")
    contract.case("it is wrong", "1", differs={"fake": "so"})(lambda pc: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run_case(contract.cases[0], Fake, "fake")


def test_two_cases_of_one_name_are_refused():
    contract = one_case()
    with pytest.raises(ValueError, match="two cases called reads_back"):
        contract.case("again", "2")(contract.cases[0].body)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda pc: pc.irq_is(4, False, "quiet"), "quiet: IRQ4 is high, not low"),
        (lambda pc: pc.between(7, 1, 5, "count"), "count: 7 came, 1 to 5 was expected"),
        (lambda pc: pc.that(False, "it rings"), "it rings: it is not so"),
        (lambda pc: pc.waits_for(1, 2, 2, "ready", within_ms=1), "ready: port 1h never had 02h under mask 02h in 1 ms"),
    ],
)
def test_each_check_says_what_came_and_what_was_expected(check, words):
    with pytest.raises(AssertionError, match=f"^{words}$"):
        check(Probe(Fake()))


def test_a_wait_is_rounded_up_to_the_common_resolution():
    probe = Probe(Fake())
    probe.step(ns=1)
    assert probe.system.now == RESOLUTION_NS
    probe.step(us=3.2)
    assert probe.system.now == 11 * RESOLUTION_NS


# -- the report -------------------------------------------------------------------------------------------------------
def test_the_table_counts_what_agrees_differs_and_was_not_tried():
    one = one_case(differs={"odd": "so it is"}, cannot={"blind": "it sees nothing"})
    makers = {"fake": Fake, "odd": lambda: Fake(1), "blind": Fake, "wrong": lambda: Fake(2)}
    outcomes = list(run_contracts([one], makers))
    rows = table([one], outcomes, list(makers))
    assert rows[1] == ["a register", "1", "1", "0", "0", "0", "1", "0", "0", "0", "1", "0 (1 wrong)", "0", "0"]
    assert as_text(rows).splitlines()[1].startswith("a register  1")
    text = as_markdown([one], outcomes, list(makers))
    assert "| reg | it reads back | odd | so it is |" in text
    assert "| reg | it reads back | blind | it sees nothing |" in text
    assert "- it reads back (section 2)" in text


def test_every_difference_has_a_reason_that_says_something():
    for contract in contracts():
        for case in contract.cases:
            assert case.title
            assert case.section
            for reason in (*case.differs.values(), *case.cannot.values()):
                assert len(reason.split()) >= 4, f"{case.id}: {reason!r}"
            assert set(case.differs) | set(case.cannot) <= {"MiniVM", "QEMU"}


def test_the_command_prints_the_table(capsys):
    assert command.main(["port61", "--without-qemu"]) == 0
    assert "MiniVM agrees" in capsys.readouterr().out


def test_the_command_refuses_a_chip_that_is_not_there(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["nope"])
    assert ended.value.code == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("python -m minivm.testing.contracts: error: there is no contract")
    )


def test_without_qemu_the_command_says_so_and_goes_on(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert command.main(["port61"]) == 0
    assert capsys.readouterr().err.startswith("contracts: qemu-system-i386 is not installed; on Debian: apt install")


def test_minivms_system_has_chips_memory_time_and_an_end():
    system = MiniVmSystem()
    try:
        system.write_memory(0x500, b"abc")
        assert system.read_memory(0x500, 3) == b"abc"
        system.drive_irq(5, True)
        assert system.irq(5)
        assert not system.irq(6)
        system.write_port(0x92, 1, 1)
        assert system.resets() == 1
        system.pass_time(640)
        assert system.now == 640
        assert system.exit_status() is None
        system.write_port(0xF4, 1, 0x10)
        assert system.exit_status() == 0x21
    finally:
        system.close()


def test_a_system_that_is_gone_ends_the_run():
    def gone():
        raise SystemGone("nobody is there")

    with pytest.raises(SystemGone):
        list(run_contracts([one_case()], {"fake": gone}))
