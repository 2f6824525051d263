"""A processor that is restored goes on as the one that was saved: into a fresh engine, or into the same one later."""

from typing import Any

import pytest
from engine_bench import CODE, COUNTERS, MODES, RAM_BYTES, TABLES, Bench
from engine_programs import LONGEST_TICKS, Snippet, assert_same, at_once, build, outcome, places, relaxed, snippet
from hypothesis import given
from hypothesis import strategies as st
from unicorn import x86_const

from minivm.core.plain import from_plain, to_plain
from minivm.engine import state as engine_state
from minivm.engine.state import MSRS, CpuState


class Moment:
    """A bench at one moment: the CPU, RAM, time, alarms, the interrupt line and the log."""

    def __init__(self, bench: Bench) -> None:
        machine = bench.machine
        self.cpu = bench.engine.state()
        self.ram = bench.memory.read(0, RAM_BYTES)
        self.log, self.pending = list(bench.log), bench.source.pending
        self.now = bench.clock.now
        self.alarms = [entry[0] for entry in sorted(bench.clock._queue) if entry[2].active]
        self.machine = {name: getattr(machine, name) for name in ("halted", "halts", "idle_ns", "ended", "_request")}

    def put(self, bench: Bench) -> None:
        pages = {page: self.ram[page * 4096 : page * 4096 + 4096] for page in range(RAM_BYTES // 4096)}
        bench.memory.put_pages(pages)
        bench.clock.reset_to(self.now)
        bench.engine.restore(self.cpu)
        bench.source.pending = self.pending
        bench.log[:] = self.log
        for due in self.alarms:
            bench.clock.at(due, bench.source.request)
        for name, value in self.machine.items():
            setattr(bench.machine, name, value)


def finish(bench: Bench) -> dict[str, Any]:
    return bench.outcome(bench.machine.run(ticks=LONGEST_TICKS))


@relaxed
@given(st.sampled_from(MODES), places, st.lists(snippet, min_size=1, max_size=12), st.data())
def test_a_restored_processor_ends_as_one_that_was_never_saved(
    mode: str, at: int, snippets: list[Snippet], data: Any
) -> None:
    code = build(mode, at, snippets)
    expected = outcome(mode, at, code, at_once)
    if expected["ended"].reason != "debug-exit":
        return
    ticks, steps = data.draw(st.integers(0, expected["position"])), data.draw(st.integers(0, 6))
    more, native = data.draw(st.integers(0, 300)), data.draw(st.sampled_from((None, False)))
    with Bench(mode, code, at=at) as bench, Bench(mode, at=at, native=native) as fresh:
        bench.machine.run(ticks=ticks)
        bench.machine.step(steps)
        moment = Moment(bench)
        how = f"{mode} {at:X}h {ticks}+{steps} {code.hex()}"
        moment.put(fresh)
        assert fresh.engine.state() == moment.cpu, how
        assert_same(expected, finish(fresh), f"fresh: {how}")
        bench.machine.run(ticks=more)
        bench.machine.step(more % 4)
        moment.put(bench)
        assert bench.engine.state() == moment.cpu, how
        assert_same(expected, finish(bench), f"same: {how}")


@pytest.mark.parametrize("mode", MODES)
def test_a_state_survives_plain_values(mode: str) -> None:
    with Bench(mode, bytes.fromhex("dbe3 d9eb d9e8 90 fb 90 f4")) as bench:
        bench.machine.step(5)
        saved = bench.engine.state()
        assert from_plain(CpuState, to_plain(saved)) == saved
        assert saved.block.entered is False
        assert saved.hflags & 8, "the shadow of STI"


def test_fpu_sse_debug_and_model_specific_registers_come_back() -> None:
    with Bench("long") as bench, Bench("real") as other:
        engine = bench.engine
        for index in range(8):
            engine.set_raw_register(engine_state.REG_FP0 + index, bytes(range(index, index + 10)))
        for index in range(16):
            engine.set_raw_register(x86_const.UC_X86_REG_XMM0 + index, bytes(range(index, index + 16)))
        for register, value in (("FPCW", 0x0C7F), ("FPSW", 0x2800), ("FPTAG", 0x3FFF), ("MXCSR", 0x7F80)):
            engine.set_raw_register(getattr(x86_const, f"UC_X86_REG_{register}"), value.to_bytes(4, "little"))
        for index in (0, 1, 2, 3, 6):
            engine.set_raw_register(engine_state.REG_DR0 + index, (0x1000 + index).to_bytes(8, "little"))
        saved = engine.state()
        other.engine.restore(saved)
        assert other.engine.state() == saved
        assert saved.fpu.registers[3] == bytes(range(3, 13))
        assert saved.fpu.xmm[15] == bytes(range(15, 31))
        assert (saved.fpu.control, saved.fpu.status, saved.fpu.mxcsr, saved.dr2) == (0x0C7F, 0x2800, 0x7F80, 0x1002)


@pytest.mark.parametrize("mode", ["32", "paged"])
def test_hardware_breakpoints_come_back(mode: str) -> None:
    """DR0 = 7C10h, enabled in DR7; #DB has vector 1, whose handler counts."""
    code = bytes.fromhex("b8107c0000 0f23c0 b802070000 0f23f8 43 43 43 43 f4")
    with Bench(mode, code) as bench, Bench(mode) as fresh:
        before = Moment(bench)
        bench.machine.step(4)
        armed = Moment(bench)
        assert armed.cpu.dr7 & 2
        armed.put(fresh)
        for each in (fresh, bench):
            each.machine.run(ticks=25)
            assert each.memory[COUNTERS + 4] != b"\0", "it was hit"
        before.put(bench)
        assert bench.engine.state() == before.cpu
        bench.memory[0x7C00:0x7C0D] = b"\x90" * 13
        bench.machine.run(ticks=25)
        assert bench.memory[COUNTERS + 4] == b"\0", "it is gone"


def test_msrs_are_saved_where_they_are_not_as_at_power_on() -> None:
    with Bench() as bench:
        assert bench.engine.state().msrs == ()
        assert {index: bench.engine.msr(index) for index in MSRS} == MSRS


@pytest.mark.parametrize("name", ["DR0", "DR6", "DR7", "FP0", "FIP", "FCS", "FDP", "FDS", "FOP"])
def test_register_numbers_are_unicorns(name: str) -> None:
    assert getattr(engine_state, f"REG_{name}") == getattr(x86_const, f"UC_X86_REG_{name}")


def test_pages_put_back_leave_a_paged_guests_tables_alone_and_its_new_code_runs() -> None:
    with Bench("paged", bytes.fromhex("43 f4")) as bench:
        bench.machine.run(ticks=10)
        tables = bench.memory.read(TABLES, 0x4000)
        page = bytearray(bench.memory.read(CODE & ~0xFFF, 4096))
        page[CODE & 0xFFF] = 0x4B  # dec ebx
        bench.memory.put_pages({CODE >> 12: bytes(page), 0x1F0: b"\x90" * 4096})
        assert bench.memory.read(TABLES, 0x4000) == tables
        bench.machine.halted, bench.machine.ended = False, None
        bench.cpu.rip = CODE
        bench.machine.run(ticks=10)
        assert bench.cpu.ebx == 0
