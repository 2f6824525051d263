"""Watched memory: a watched run ends in the same state, and both gears tell of the same accesses at the same ticks."""

from collections.abc import Callable
from typing import Any

import pytest
from engine_bench import EXIT_PORT, MODES, Bench
from engine_programs import LONGEST_TICKS, assert_same, at_once, build, outcome, places, relaxed, snippet
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.memory import PAGE
from minivm.debug.careful import careful_of
from minivm.engine.watch import EDGE, Range
from minivm.machine import Ended, Machine

Hit = tuple[int, str, int, int, int]


class Watched:
    """A way to run: with `ranges` watched, ending behind each access and going on; `hits` has what was told."""

    def __init__(self, ranges: list[Range], *, stepped: bool) -> None:
        self.ranges, self.stepped = ranges, stepped
        self.hits: list[Hit] = []
        self.ends: list[int] = []

    def __call__(self, machine: Machine) -> Ended:
        engine: Any = machine.engine
        fresh: list[Hit] = []

        def listen(verb: str, address: int, size: int, value: int) -> None:
            fresh.append((0, verb, address, size, value))
            engine.notice()

        engine.set_careful(careful_of(ports=False, memory=True))
        engine.watch_memory(self.ranges, listen)
        while True:
            ended = machine.step() if self.stepped else machine.run(ticks=LONGEST_TICKS)
            self.hits += [(machine.now, *hit[1:]) for hit in fresh]
            fresh.clear()
            if ended.final or machine.now > 2 * LONGEST_TICKS or (not self.stepped and ended.reason == "limit"):
                return ended


def guarded(start: int, length: int, reads: bool, writes: bool) -> list[Range]:
    """Return a range with the guards that the debugger would give it."""
    ranges = [Range(start, start + length, reads, writes)]
    for edge in range(0, 0x20000, PAGE):
        if edge and start - EDGE < edge < start + length + EDGE:
            ranges += [Range(edge - EDGE, edge + EDGE, reads, writes, told=False)]
    return ranges


def check(mode: str, at: int, code: bytes, ranges: list[Range]) -> list[Hit]:
    expected = outcome(mode, at, code, at_once)
    if expected["ended"].reason != "debug-exit":
        return []
    stepped, run = Watched(ranges, stepped=True), Watched(ranges, stepped=False)
    what = f"{mode} {at:X}h {code.hex()} {ranges}"
    for name, way in (("watched and stepped", stepped), ("watched", run)):
        assert_same(expected, outcome(mode, at, code, way), f"{name}: {what}")
    assert run.hits == stepped.hits, what
    return run.hits


starts = st.one_of(
    st.integers(0x7BC0, 0x7C80),  # the program and its stack
    st.integers(0xA000 - 4, 0xA110),  # its data, from the page's end before it on
    st.integers(0xA7F0, 0xAFFF + 4),
    st.integers(0x7FF0, 0x8010),
)


@relaxed
@given(
    st.sampled_from(MODES),
    places,
    st.lists(snippet, min_size=1, max_size=12),
    starts,
    st.integers(1, 24),
    st.sampled_from([(False, True), (True, False), (True, True)]),
)
def test_a_watched_run_is_the_same_run(mode, at, snippets, start: int, length: int, kinds) -> None:
    check(mode, at, build(mode, at, snippets), guarded(start, length, *kinds))


@pytest.mark.parametrize("mode", MODES)
def test_a_program_touches_what_is_watched(mode: str) -> None:
    """Otherwise the property above would compare nothing."""
    code = build(mode, 0x7C00, [("memory", 0, 8), ("memory", 1, 8), ("call", 0, 0), ("repeat", 9, 1)])
    for start in (0xA008, 0xAFFE, 0xA800):
        assert check(mode, 0x7C00, code, guarded(start, 8, True, True)), hex(start)


FORMS: dict[str, str] = {
    "fnstenv": "d935", "fldenv": "d925", "fnsave": "dd35", "frstor": "dd25", "fstp m80": "db3d", "fld m80": "db2d",
    "fbstp": "df35", "fbld": "df25", "fst m32": "d915", "fstp m64": "dd1d", "fistp m64": "df3d", "fild": "df2d",
    "fnstcw": "d93d", "fldcw": "d92d", "fnstsw": "dd3d", "fadd": "dc05", "fxsave": "0fae05", "fxrstor": "0fae0d",
    "ldmxcsr": "0fae15", "stmxcsr": "0fae1d", "cmpxchg8b": "0fc70d", "cmpxchg": "0fb11d", "lock cmpxchg": "f00fb11d",
    "xadd": "0fc11d", "lock xadd": "f00fc11d", "xchg": "871d", "inc": "ff05", "lock inc": "f0ff05", "not": "f715",
    "neg": "f71d", "mul": "f725", "push m": "ff35", "pop m": "8f05", "sgdt": "0f0105", "sidt": "0f010d",
    "smsw": "0f0125", "movaps store": "0f2905", "movaps load": "0f2805", "movups store": "0f1105",
    "movq store": "0f7f05", "movntq": "0fe705", "movd": "0f7e05", "movdqa store": "660f7f05", "shl": "d125",
    "bts": "0fab1d", "btc": "0fbb1d", "setz": "0f9405", "shld": "0fa51d", "adc": "111d", "bound": "621d",
    "movnti": "0fc31d", "cmp": "3b1d", "les": "c41d", "lss": "0fb21d", "str": "0f000d", "sldt": "0f0005",
    "verr": "0f0025", "lar": "0f021d",
}  # fmt: skip
WITHOUT_OPERAND: dict[str, str] = {
    "pusha": "60", "popa": "61", "push": "53", "pushf": "9c", "enter": "c8100001", "enter 3": "c8100003c9",
    "maskmovq": "0f74c9 0ff7c1", "maskmovdqu": "660f74c9 660ff7c1", "xlat": "87df d7", "movs": "a5", "stos": "ab",
    "lods": "ad", "cmps": "a7", "scas": "af", "call": "e800000000",
}  # fmt: skip
PATTERN = bytes.fromhex("00000000 1000ff7f 0102030405060708")
"""As a far pointer it names the data segment, as bounds it holds EBX, and as a number it is one."""


@pytest.mark.parametrize("mode", ["32", "paged"])
@pytest.mark.parametrize("at", [0xA100, 0xAFFD], ids=["inside a page", "across a page's end"])
@pytest.mark.parametrize("name", [*FORMS, *WITHOUT_OPERAND])
def test_every_kind_of_access_is_done_once_and_told_of(mode: str, at: int, name: str) -> None:
    before = "dbe3 d9e8 bb44000000 b901000000 31c0 bd00a10000 bc80a10000"  # finit; fld1; registers
    if at % 16 and name in ("movaps store", "movaps load", "movdqa store", "fxsave", "fxrstor"):
        pytest.skip("its operand must be aligned")
    if name in FORMS:
        body = FORMS[name] + at.to_bytes(4, "little").hex()
    else:
        where = at.to_bytes(4, "little").hex()
        body = f"bf{where} be{where} bc{(at + 4).to_bytes(4, 'little').hex()} {WITHOUT_OPERAND[name]}"
    code = bytes.fromhex(f"{before} {body} ffc3 ff0500a40000 b807000000 e6{EXIT_PORT:02x} fa f4")
    for reads, writes in ((False, True), (True, True)):
        check_form(mode, code, at, guarded(at - 40, 160, reads, writes))


def check_form(mode: str, code: bytes, at: int, ranges: list[Range]) -> None:
    def limited(run: Callable[[Machine], Ended]) -> dict[str, Any]:
        with Bench(mode, code) as bench:
            bench.engine.set_control(4, bench.cpu.cr4 | 0x200)  # OSFXSR
            bench.memory[at - 64 : at + 64] = PATTERN * 8
            return bench.outcome(run(bench.machine))

    expected = limited(at_once)
    assert expected["ended"].reason == "debug-exit"
    stepped, run = Watched(ranges, stepped=True), Watched(ranges, stepped=False)
    found = limited(run)
    assert_same(expected, found, "watched")
    assert_same(expected, limited(stepped), "stepped")
    assert run.hits == stepped.hits
    assert run.hits or not ranges[0].reads
