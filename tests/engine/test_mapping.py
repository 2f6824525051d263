"""The map of memory changes under the running guest: at once, in both gears, with paging and without."""

from collections.abc import Callable
from struct import pack
from typing import Any

import pytest
from engine_bench import MODES, ROM, TABLES, Bench

from minivm.core.memory import PAGE, Region
from minivm.engine.watch import Range
from minivm.machine import Machine

LONG = 1_000_000
SWITCH_PORT = 0x50
WINDOW = 0xA0000
CARD = 0x18_0000
"""Where in memory the card's bytes lie that the window shows; the guest's code does not know of them."""
gears = pytest.mark.parametrize(
    "go", [lambda machine: machine.run(ticks=LONG), lambda machine: machine.step(10_000)], ids=["run", "step"]
)
every_mode = pytest.mark.parametrize("mode", MODES)
Go = Callable[[Machine], object]


class Switch:
    """A port that shows the card's memory (1), or RAM of the same address as ROM (2), or nothing (0) in the window."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen: list[tuple[int, int]] = []

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        space = self.bench.space
        match value & 3:
            case 1:
                space.show(Region(WINDOW, PAGE, True, CARD - WINDOW))
            case 2:
                space.show(Region(WINDOW, PAGE, False))
            case _:
                space.hide(WINDOW, PAGE)


class Window:
    """What answers where no memory is."""

    def __init__(self) -> None:
        self.written: list[tuple[int, int]] = []

    def read(self, offset: int, size: int) -> int:
        return 0x5A

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append((offset, value))


def started(mode: str, code: str) -> tuple[Bench, Window]:
    bench = Bench(mode, bytes.fromhex(code))
    window = Window()
    bench.space.mmio.map(WINDOW, PAGE, window)
    bench.machine.ports.map(SWITCH_PORT, 1, Switch(bench))
    if mode in ("real", "16"):
        bench.cpu.head.segs[3].base = WINDOW  # DS
    return bench, window


def store(mode: str, at: int, value: int) -> str:
    """mov byte [WINDOW + at], value"""
    if mode in ("real", "16"):
        return "c606" + pack("<H", at).hex() + f"{value:02x}"
    sib = "0425" if mode == "long" else "05"
    return "c6" + sib + pack("<I", WINDOW + at).hex() + f"{value:02x}"


def load(mode: str, at: int) -> str:
    """mov al, [WINDOW + at]; then shift it into EBX"""
    if mode in ("real", "16"):
        return "a0" + pack("<H", at).hex() + "66c1e308" + "88c3"
    if mode == "long":
        return "8a0425" + pack("<I", WINDOW + at).hex() + "c1e308" + "88c3"
    return "a0" + pack("<I", WINDOW + at).hex() + "c1e308" + "88c3"


def switch(to: int) -> str:
    return f"b0{to:02x}e6{SWITCH_PORT:02x}"


@gears
@every_mode
def test_the_next_access_meets_what_answers_now(mode: str, go: Go) -> None:
    code = (
        switch(0) + store(mode, 1, 0x11) + load(mode, 1) + switch(1) + store(mode, 2, 0x22) + load(mode, 2)
        + switch(0) + load(mode, 2) + switch(1) + load(mode, 2) + "faf4"
    )  # fmt: skip
    bench, window = started(mode, code)
    with bench:
        go(bench.machine)
        assert window.written == [(1, 0x11)]
        assert bench.cpu.ebx == 0x5A225A22
        assert bench.memory[CARD : CARD + 4] == b"\0\0\x22\0"


@gears
@every_mode
def test_memory_that_became_rom_takes_no_more_writes_and_tells_of_them(mode: str, go: Go) -> None:
    heard: list[tuple[int, bytes]] = []
    code = switch(2) + store(mode, 3, 0x33) + load(mode, 3) + "faf4"
    bench, _ = started(mode, code)
    with bench:
        bench.memory[WINDOW + 3] = 0x77
        bench.space.refused = lambda address, data: heard.append((address, data))
        go(bench.machine)
        assert (bench.cpu.ebx & 0xFF, heard) == (0x77, [(WINDOW + 3, b"\x33")])
        assert bench.memory[WINDOW + 3] == b"\x77"


@gears
@pytest.mark.parametrize("mode", ["real"])
def test_code_in_a_window_is_what_the_window_shows_now(mode: str, go: Go) -> None:
    """A routine in the window, called before and after the switch: inc bl / inc bh, ret."""
    far = "9a0000" + pack("<H", WINDOW >> 4).hex()
    code = switch(1) + far + switch(2) + far + switch(1) + far + "faf4"
    bench, _ = started(mode, code)
    with bench:
        bench.memory[CARD : CARD + 3] = bytes.fromhex("fec3cb")
        bench.memory[WINDOW : WINDOW + 3] = bytes.fromhex("fec7cb")
        go(bench.machine)
        assert bench.cpu.ebx & 0xFFFF == 0x0102


def test_the_map_changes_without_a_trace_in_the_processor() -> None:
    """Unicorn looks addresses up while it maps, which under paging left a fault's address in CR2."""
    for mode in ("paged", "long"):
        bench, _ = started(mode, "faf4")
        with bench:
            entry = TABLES + 0x3000 + (8 if mode == "long" else 4) * 5
            bench.memory[entry : entry + 4] = bytes(4)  # a page that is not there
            before = bench.engine.state()
            bench.space.show(Region(WINDOW, PAGE, True, CARD - WINDOW))
            bench.space.hide(0x5000, PAGE)
            assert bench.engine.state() == before


def test_a_watched_page_stays_watched_when_it_is_mapped_anew() -> None:
    bench, _ = started("32", switch(1) + store("32", 8, 0x44) + "90909090faf4")
    heard: list[Any] = []
    with bench:
        bench.space.show(Region(WINDOW, PAGE, True))
        bench.engine.set_careful(lambda code, bits: False)
        bench.engine.watch_memory([Range(WINDOW + 8, WINDOW + 9, False, True)], lambda *what: heard.append(what))
        bench.machine.run(ticks=LONG)
        assert heard == [("write", WINDOW + 8, 1, 0x44)]
        assert bench.memory[CARD + 8] == b"\x44"


def test_the_map_is_followed_under_a_rom_that_is_executed() -> None:
    """The page next to the code that runs changes, and the code goes on."""
    bench, _ = started("32", "faf4")
    with bench:
        code = bytes.fromhex(switch(1) + store("32", 0, 0x99) + "faf4")
        bench.memory.write(ROM, code)
        bench.cpu.head.eip = ROM
        bench.machine.run(ticks=LONG)
        assert bench.memory[CARD] == b"\x99"
