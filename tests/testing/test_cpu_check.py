"""The differential CPU check: its programs, its comparisons, its table, and what it finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from minivm.core.record import replace
from minivm.debug.code import disassemble
from minivm.engine.cpustate import AF, CF, OF, PF, SF, ZF
from minivm.testing import cpu_check, cpu_differences, kvm
from minivm.testing.cpu_check import Compared, CpuCheck, usual_ways
from minivm.testing.cpu_check_compare import defined, exactly, vector_of
from minivm.testing.cpu_check_encode import Chance, Unit
from minivm.testing.cpu_check_report import finding_text
from minivm.testing.cpu_check_start import MODES, Mode, Start
from minivm.testing.cpu_check_ways import EngineWays, KvmWay, Outcome, Way
from minivm.testing.cpu_differences import ENGINE, KVM, TABLE, UNDEFINED, known, undefined_flags
from minivm.testing.cpu_programs import build, random_units, start_of
from minivm.testing.cpu_shrink import first_prefix, shrink

DOCUMENT = Path(__file__).parents[2] / "docs" / "cpu-check.md"
NO_KVM = kvm.unavailable()
COUNT = 100
MANY = 2000


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineWays]:
    with EngineWays() as ways:
        yield ways


@pytest.fixture(scope="module")
def opinion() -> Iterator[Way]:
    if NO_KVM is not None:
        pytest.skip(NO_KVM)
    with KvmWay() as way:
        yield way


def units_of(*codes: str) -> tuple[Unit, ...]:
    return tuple(Unit(f"unit{index}", bytes.fromhex(code)) for index, code in enumerate(codes))


def corrupted(engine: EngineWays, mnemonic: str, **changes: int) -> Way:
    """A processor that leaves the flags of one instruction wrong, and says so at the program's end."""

    def run(mode: Mode, start: Start, code: bytes) -> Outcome:
        outcome = engine.in_one_go(mode, start, code)
        texts = [one.mnemonic for one in disassemble(code, origin=mode.start_ip, bits=mode.bits)]
        if mnemonic not in texts or vector_of(outcome) not in {None, 13}:
            return outcome
        wrong = outcome.registers["rflags"] ^ changes.get("flags", PF)
        return replace(outcome, registers=outcome.registers | {"rflags": wrong})

    return run


def first_finding(check: CpuCheck, mode: str, count: int) -> cpu_check.Finding | None:
    return next(filter(None, (check.check(MODES[mode], seed) for seed in range(count))), None)


# -- the engine's ways, and the host's processor ----------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
def test_one_go_slices_and_steps_agree(engine: EngineWays, mode: str) -> None:
    check = CpuCheck(engine.in_one_go, usual_ways(engine, None))
    finding = first_finding(check, mode, COUNT)
    assert finding is None, finding_text(finding)
    assert {name: tally.compared for (_, name), tally in check.tallies.items()} == {"sliced": COUNT, "stepped": COUNT}


@pytest.mark.parametrize("mode", MODES)
def test_the_engine_and_the_host_agree(engine: EngineWays, opinion: Way, mode: str) -> None:
    check = CpuCheck(engine.in_one_go, [Compared("KVM", opinion, False)])
    finding = first_finding(check, mode, COUNT)
    assert finding is None, finding_text(finding)
    tally = check.tallies[mode, "KVM"]
    assert tally.compared + tally.given_up == COUNT
    assert tally.compared >= COUNT * 0.9
    assert tally.whole >= COUNT / 10


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
def test_many_programs_agree(engine: EngineWays, opinion: Way, mode: str) -> None:
    finding = first_finding(CpuCheck(engine.in_one_go, usual_ways(engine, opinion)), mode, MANY)
    assert finding is None, finding_text(finding)


def test_programs_end_in_their_own_hlt_and_in_exceptions(engine: EngineWays) -> None:
    """Both must be common, or nothing is learned of one of them."""
    mode = MODES["real"]
    ended = [
        vector_of(engine.in_one_go(mode, start, build(mode, start, random_units(mode, seed)).code))
        for seed in range(100)
        for start in [start_of(mode, seed)]
    ]
    assert ended.count(None) > 20
    assert len(set(ended)) >= 3


# -- an injected difference -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("exact", [True, False], ids=["on the same engine", "between processors"])
def test_an_injected_difference_is_found_and_shrunk(engine: EngineWays, mode: str, exact: bool) -> None:
    check = CpuCheck(engine.in_one_go, [Compared("broken", corrupted(engine, "xadd"), exact)])
    finding = first_finding(check, mode, 200)
    assert finding is not None
    instructions = disassemble(finding.program.code, origin=finding.mode.start_ip, bits=finding.mode.bits)
    assert [one.mnemonic for one in instructions][-2:] == ["xadd", "hlt"]
    assert len(instructions) <= 3
    assert [apart.name for apart in finding.apart] == ["PF"]


def test_a_finding_is_shown_with_its_code_both_sides_and_its_seed(engine: EngineWays) -> None:
    check = CpuCheck(engine.in_one_go, [Compared("broken", corrupted(engine, "bswap", flags=CF), False)])
    finding = first_finding(check, "protected32", 200)
    assert finding is not None
    text = finding_text(finding)
    assert f"--mode protected32 --seed {finding.seed} --count 1 --length 12" in text
    assert "bswap" in text
    assert "> CF: " in text
    assert [line[:8] for line in text.splitlines() if line.startswith("> r")] == ["> rflags"]


def test_a_difference_with_a_row_is_counted_and_the_rest_compared(engine: EngineWays) -> None:
    check = CpuCheck(engine.in_one_go, [Compared("KVM", corrupted(engine, "aam", flags=SF), False)])
    assert first_finding(check, "real", COUNT) is None
    tally = check.tallies["real", "KVM"]
    assert [row.mnemonics for row in tally.known] == [("aam", "aad")]
    assert tally.compared == COUNT > tally.whole


def test_an_undefined_flag_is_not_compared_between_processors_and_is_on_one_engine(engine: EngineWays) -> None:
    mode = MODES["real"]
    start = start_of(mode, 0)
    program = build(mode, start, (Unit("aam", b"\xd4\x0a", undefined_flags("aam")),))
    outcome = engine.in_one_go(mode, start, program.code)
    for flag, same in ((OF, True), (SF, False)):
        other = corrupted(engine, "aam", flags=flag)(mode, start, program.code)
        assert (defined(program, outcome, other) == ()) is same
        assert exactly(program, outcome, other)


def test_what_a_way_declines_is_left_out_and_counted(engine: EngineWays) -> None:
    def declining(mode: Mode, start: Start, code: bytes) -> Outcome:
        for one in disassemble(code, origin=mode.start_ip, bits=mode.bits):
            if one.mnemonic == "xadd":
                return Outcome("internal-error", {"rip": one.address}, b"")
        return engine.in_one_go(mode, start, code)

    check = CpuCheck(engine.in_one_go, [Compared("KVM", declining, False)])
    assert first_finding(check, "protected32", COUNT) is None
    tally = check.tallies["protected32", "KVM"]
    assert set(tally.declined) == {"xadd"}
    assert tally.whole < tally.compared == COUNT


# -- what Unicorn does otherwise: a release that changes it is noticed ------------------------------------------------
def test_a_loop_that_cx_ends_keeps_its_flags(engine: EngineWays) -> None:
    """CMP sets ZF; in the next block ADD clears it and LOOPE ends by CX: ZF must be clear."""
    mode = MODES["real"]
    start = start_of(mode, 0)
    program = build(mode, start, units_of("b90100 39c0 eb00 b8ff7f 83c001 e1fe"))
    for way in (engine.stepped, engine.sliced, engine.in_one_go):
        assert way(mode, start, program.code).registers["rflags"] & (OF | ZF) == OF


def test_unicorn_still_clears_half_a_register_that_cmpxchg_does_not_write(engine: EngineWays) -> None:
    mode = MODES["long"]
    start = replace(start_of(mode, 0), general=tuple((index + 1) * 0x1111_1111_1111 for index in range(16)))
    outcome = engine.in_one_go(mode, start, build(mode, start, units_of("450fb1fb")).code)
    assert outcome.registers["r11"] == start.general[11] & 0xFFFF_FFFF


def test_unicorn_still_reads_16_bytes_anywhere(engine: EngineWays) -> None:
    mode = MODES["long"]
    start = start_of(mode, 0)
    outcome = engine.in_one_go(mode, start, build(mode, start, units_of("660f6f0c2501000200")).code)
    pushed = int.from_bytes(outcome.ram[0x34FD8:0x34FE0], "little")
    assert pushed == mode.start_ip + 9  # the #GP came from HLT


@pytest.mark.parametrize("code", ["ec", "ed", "ee", "6c", "6e"])
@pytest.mark.parametrize("mode", ["compatibility32", "long"])
def test_level_3_may_not_use_ports(engine: EngineWays, mode: str, code: str) -> None:
    start = start_of(MODES[mode], 0)
    outcome = engine.in_one_go(MODES[mode], start, build(MODES[mode], start, units_of("90", code)).code)
    pushed = int.from_bytes(outcome.ram[0x34FD8:0x34FE0], "little")
    assert (vector_of(outcome), pushed) == (13, MODES[mode].start_ip + 1)


# -- programs ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
def test_a_seed_means_the_same_program_each_time(mode: str) -> None:
    assert random_units(MODES[mode], 7) == random_units(MODES[mode], 7) != random_units(MODES[mode], 8)
    assert start_of(MODES[mode], 7) == start_of(MODES[mode], 7) != start_of(MODES[mode], 8)


def test_programs_have_hundreds_of_instructions() -> None:
    for mode in MODES.values():
        mnemonics = {unit.mnemonic for seed in range(400) for unit in random_units(mode, seed)}
        assert len(mnemonics) > 110, mode.name


@pytest.mark.parametrize("mode", ["protected32", "long"])
def test_units_are_read_back_as_whole_instructions(mode: str) -> None:
    for seed in range(60):
        for unit in random_units(MODES[mode], seed):
            read = disassemble(unit.code, bits=MODES[mode].bits)
            assert sum(len(one.code) for one in read) == len(unit.code)
            assert not any(one.mnemonic == "db" for one in read), (unit, read)


@pytest.mark.parametrize("mode", MODES)
def test_undefined_flags_are_cleared_before_they_reach_anything(engine: EngineWays, mode: str) -> None:
    """XOR leaves AF undefined; behind it stands what clears AF and keeps the rest, then STC."""
    units = (Unit("sub", b"\xb0\x00\x2c\x01"), Unit("xor", b"\xeb\x00", undefined=AF | SF), Unit("stc", b"\xf9"))
    start = start_of(MODES[mode], 0)
    flags = engine.in_one_go(MODES[mode], start, build(MODES[mode], start, units).code).registers["rflags"]
    assert flags & (AF | SF | CF | PF) == CF | PF


def test_the_generator_is_splitmix64() -> None:
    """The first numbers of seed 1234567 in its authors' implementation."""
    chance = Chance(1234567)
    assert [chance.bits() for _ in range(2)] == [6457827717110365317, 3203168211198807973]


# -- comparing --------------------------------------------------------------------------------------------------------
def test_a_frame_holds_no_undefined_flags_and_everything_else(engine: EngineWays) -> None:
    mode = MODES["protected32"]
    start = start_of(mode, 0)
    program = build(mode, start, (Unit("div", bytes.fromhex("31c9 f7f1"), undefined=undefined_flags("div")),))
    outcome = engine.in_one_go(mode, start, program.code)
    assert vector_of(outcome) == 0
    at = outcome.registers["rsp"] + 8  # EIP, CS, EFLAGS
    for bit, same in ((ZF, True), (0x200, False)):
        ram = bytearray(outcome.ram)
        ram[at : at + 4] = (int.from_bytes(ram[at : at + 4], "little") ^ bit).to_bytes(4, "little")
        assert (defined(program, outcome, replace(outcome, ram=bytes(ram))) == ()) is same
        assert exactly(program, outcome, replace(outcome, ram=bytes(ram)))


def test_ticks_are_compared_on_one_engine(engine: EngineWays) -> None:
    mode = MODES["real"]
    start = start_of(mode, 0)
    program = build(mode, start, units_of("90"))
    outcome = engine.in_one_go(mode, start, program.code)
    later = replace(outcome, position=(outcome.position or 0) + 1)
    assert [apart.name for apart in exactly(program, outcome, later)] == ["position"]
    assert defined(program, outcome, later) == ()


# -- the table --------------------------------------------------------------------------------------------------------
def test_undefined_flags_follow_the_count() -> None:
    assert undefined_flags("shl", 0, 16) == 0
    assert undefined_flags("shl", 1, 16) == AF
    assert undefined_flags("shl", 2, 16) == AF | OF
    assert undefined_flags("shl", 16, 16) == AF | OF | CF
    assert undefined_flags("sar", 31, 16) == AF | OF
    assert undefined_flags("rol", 1, 8) == 0
    assert undefined_flags("add", 0, 8) == 0


def test_a_row_explains_only_its_own_processor_mode_and_things() -> None:
    assert known("aam", "real", frozenset({"SF"}), same_engine=False) is not None
    assert known("aam", "real", frozenset({"SF"}), same_engine=True) is None
    assert known("aam", "real", frozenset({"SF", "rax"}), same_engine=False) is None
    assert known("cmpxchg", "long", frozenset({"rax"}), same_engine=False) is not None
    assert known("cmpxchg", "real", frozenset({"rax"}), same_engine=False) is None


def test_each_row_has_a_reason_and_a_reference() -> None:
    assert {row.who for row in TABLE} >= {UNDEFINED, ENGINE, KVM}
    for row in cpu_differences.TABLE + cpu_differences.SILENCE:
        assert row.reason
        assert "SDM vol." in row.reference or "Linux" in row.reference or "QEMU" in row.reference
        assert set(row.modes) <= set(MODES)
        assert row.condition in cpu_differences.CONDITIONS


def test_the_document_shows_the_table() -> None:
    assert cpu_differences.as_markdown() in DOCUMENT.read_text()


# -- shrinking --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("needed", [{3}, {0, 19}, {5, 6, 7}, set(range(20)), {11}])
def test_only_what_is_needed_is_left(needed: set[int]) -> None:
    assert set(shrink(range(20), lambda some: needed <= set(some))) == needed


def test_the_shortest_beginning_is_found() -> None:
    assert first_prefix("abcdef", lambda some: "c" in some) == ("a", "b", "c")
    assert first_prefix("ab", lambda some: False) == ("a", "b")


# -- the command line -------------------------------------------------------------------------------------------------
def test_the_summary_counts_what_was_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert cpu_check.main(["--mode", "real", "--count", "5", "--without-kvm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [["real", "sliced", "5", "5"], ["real", "stepped", "5", "5"]]


def test_a_missing_kvm_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "DEVICE", "/dev/there-is-no-kvm")
    assert cpu_check.main(["--mode", "long", "--count", "2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "without KVM: /dev/there-is-no-kvm: No such file or directory"
    assert "KVM" not in "".join(said[1:])


@pytest.mark.parametrize(
    "arguments", [["--mode", "vm86"], ["--count", "0"], ["--seed", "-1"], ["--length", "x"], ["more"]]
)
def test_a_bad_argument_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cpu_check.main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("cpu_check: ")
    assert said.count("\n") == 1


def test_a_difference_is_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, engine: EngineWays
) -> None:
    monkeypatch.setattr(EngineWays, "stepped", property(lambda self: corrupted(self, "xadd")))
    assert cpu_check.main(["--mode", "real", "--count", "200", "--without-kvm"]) == 1
    said = capsys.readouterr().out
    assert "DIFFERENCE between one go and stepped, real mode, seed " in said
