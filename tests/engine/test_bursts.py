"""REP INS and OUTS move a disk's data in bursts, and nobody can tell them from single accesses."""

from typing import Any

import pytest
from engine_bench import CODE, MODES, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.engine.cpustate import DF, IF, RBX, RCX, RDI, RDX, RSI

DATA_PORT, BLOCK_BYTES = 0x1F0, 64
BUFFER = 0x4FD0  # the first block crosses a page's end
LONG = 10_000_000


class Drive:
    """A data port like a disk's: each 64th byte makes the next block ready, at a time that is noted."""

    def __init__(self, bench: Bench, *, interrupts: bool, delay_ns: int = 3_500) -> None:
        self.bench, self.interrupts, self.delay_ns = bench, interrupts, delay_ns
        self.at = 0
        self.written = bytearray()

    def read(self, offset: int, size: int) -> int:
        data = bytes(byte & 0xFF for byte in range(self.at, self.at + size))
        self._move(size)
        return int.from_bytes(data, "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.written += value.to_bytes(size, "little")
        self._move(size)

    def _move(self, size: int) -> None:
        self.at += size
        if self.at % BLOCK_BYTES == 0:
            self.bench.log.append((self.at, self.bench.clock.now))
            if self.interrupts and self.delay_ns:
                self.bench.clock.after(self.delay_ns, self.bench.source.request)
            elif self.interrupts:
                self.bench.source.request()


class BurstDrive(Drive):
    """The same with bursts."""

    burst_offsets = (0,)

    bursts = 0

    def _room(self, size: int) -> int:
        return (BLOCK_BYTES - self.at % BLOCK_BYTES - 1) // size if self.at % BLOCK_BYTES else 0

    def read_burst(self, offset: int, size: int, count: int) -> bytes | None:
        count = min(count, self._room(size))
        self.bursts += count > 0
        data = bytes(byte & 0xFF for byte in range(self.at, self.at + count * size))
        self.at += count * size
        return data or None

    def write_burst(self, offset: int, size: int, data: bytes) -> int:
        count = min(len(data) // size, self._room(size))
        self.bursts += count > 0
        self.written += data[: count * size]
        self.at += count * size
        return count


def program(mode: str, *, out: bool, size: int, prefix: bytes = b"") -> bytes:
    """REP INS or OUTS of `size` bytes, counting instructions around it, then HLT."""
    wide = mode not in ("real", "16")
    operand = b"\x66" if size == (2 if wide else 4) else b""
    opcode = bytes([(0x6E if out else 0x6C) + (size > 1)])
    return b"\xff\xc3" + prefix + operand + b"\xf3" + opcode + b"\xff\xc3\xfa\xf4"


def started(kind: type[Drive], mode: str, code: bytes, count: int, **how: Any) -> tuple[Bench, Any]:
    bench = Bench(mode, code)
    drive = kind(bench, interrupts=how.get("interrupts", False), delay_ns=how.get("delay_ns", 3_500))
    bench.machine.ports.map(DATA_PORT, 8, drive, width=4)
    regs = bench.cpu.head.regs
    regs[RCX], regs[RDX], regs[RDI], regs[RSI] = count, DATA_PORT, how.get("buffer", BUFFER), how.get("buffer", BUFFER)
    if how.get("interrupts"):
        bench.cpu.head.eflags |= IF
    bench.memory[0x5800:0x5900] = bytes(range(256))
    return bench, drive


def outcome(kind: type[Drive], mode: str, code: bytes, count: int, pieces: list[int], **how: Any) -> tuple[Any, Any]:
    bench, drive = started(kind, mode, code, count, **how)
    with bench:
        for piece in pieces:
            bench.machine.step(piece % 7) if piece % 2 else bench.machine.run(ticks=piece)
        bench.machine.run(ticks=LONG)
        found = bench.outcome()
        return found | {"drive": (drive.at, bytes(drive.written))}, drive


@pytest.mark.parametrize("out", [False, True], ids=["ins", "outs"])
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("mode", MODES)
def test_a_burst_leaves_what_single_accesses_leave(mode: str, size: int, out: bool) -> None:
    code = program(mode, out=out, size=size)
    plain, _ = outcome(Drive, mode, code, 300, [])
    burst, drive = outcome(BurstDrive, mode, code, 300, [])
    assert burst == plain
    assert drive.bursts > 5
    assert plain["registers"]["rcx"] == 0


@pytest.mark.parametrize("delay_ns", [0, 3_500], ids=["at once", "later"])
@pytest.mark.parametrize("out", [False, True], ids=["ins", "outs"])
@pytest.mark.parametrize("mode", MODES)
def test_an_interrupt_comes_between_the_same_two_accesses(mode: str, out: bool, delay_ns: int) -> None:
    code = program(mode, out=out, size=2)
    plain, _ = outcome(Drive, mode, code, 300, [], interrupts=True, delay_ns=delay_ns)
    burst, drive = outcome(BurstDrive, mode, code, 300, [], interrupts=True, delay_ns=delay_ns)
    assert burst == plain
    assert drive.bursts
    assert [entry for entry in plain["log"] if entry[0] == "irq"], "no interrupt came"


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(MODES), size=st.sampled_from([1, 2, 4]), out=st.booleans(), count=st.integers(0, 200),
    pieces=st.lists(st.integers(1, 60_000), max_size=6), interrupts=st.booleans(),
)  # fmt: skip
def test_a_run_with_bursts_may_be_cut_anywhere(
    mode: str, size: int, out: bool, count: int, pieces: list[int], interrupts: bool
) -> None:
    code = program(mode, out=out, size=size)
    plain, _ = outcome(Drive, mode, code, count, [], interrupts=interrupts)
    burst, _ = outcome(BurstDrive, mode, code, count, pieces, interrupts=interrupts)
    assert burst == plain


def test_a_short_address_wraps_at_64_kib_and_leaves_the_upper_half() -> None:
    code = program("32", out=False, size=2, prefix=b"\x67")
    found = [
        outcome(kind, "32", code, 0x1_0000 + 200, [], buffer=0x1_FFF0)[0]
        for kind in (Drive, BurstDrive)
    ]  # fmt: skip
    assert found[0] == found[1]
    assert found[0]["registers"]["rdi"] == 0x1_0000 | (0xFFF0 + 400) & 0xFFFF


def test_downwards_there_are_no_bursts() -> None:
    bench, drive = started(BurstDrive, "32", program("32", out=False, size=2), 50)
    with bench:
        bench.cpu.rflags |= DF
        bench.machine.run(ticks=LONG)
        assert (drive.bursts, drive.at) == (0, 100)


def test_a_watched_or_traced_port_is_accessed_one_by_one() -> None:
    bench, drive = started(BurstDrive, "32", program("32", out=False, size=2), 50)
    heard: list[int] = []
    with bench:
        bench.engine.port_listener = lambda verb, port, size, value: heard.append(port)
        bench.machine.run(ticks=LONG)
        assert (drive.bursts, len(heard)) == (0, 50)


def test_data_that_lands_on_code_is_what_runs_next() -> None:
    # rep insw over the instruction behind it: what was `inc ebx` becomes the drive's bytes
    code = program("32", out=False, size=2) + b"\x90" * 64
    for kind in (Drive, BurstDrive):
        bench, drive = started(kind, "32", code, 20, buffer=CODE + 0x40)
        with bench:
            bench.machine.run(ticks=LONG)
            assert bytes(bench.memory[CODE + 0x40 : CODE + 0x68]) == bytes(range(40))
            assert drive.at == 40


@pytest.mark.parametrize("ticks", [1_500, 20_000, 33_333, 90_001])
def test_a_run_stops_where_it_would_without_bursts(ticks: int) -> None:
    found = []
    for kind in (Drive, BurstDrive):
        bench, drive = started(kind, "32", program("32", out=False, size=2), 300)
        with bench:
            bench.machine.run(ticks=ticks)
            found.append((bench.engine.position, drive.at, bench.cpu.as_dict()))
    assert found[0] == found[1]


def test_an_alarm_that_wakes_nobody_rings_between_the_same_two_accesses() -> None:
    found: dict[type[Drive], list[int]] = {Drive: [], BurstDrive: []}
    for kind, seen in found.items():
        bench, drive = started(kind, "32", program("32", out=False, size=2), 100)
        with bench:
            for time in range(5_500, 90_000, 7_000):
                bench.clock.at(time, lambda drive=drive, seen=seen: seen.append(drive.at), quiet=True)
            bench.machine.run(ticks=LONG)
    assert found[Drive] == found[BurstDrive]
    assert len(found[Drive]) > 10


def test_an_instruction_that_was_rewritten_is_seen_as_it_is_now() -> None:
    """The guest turns its REP INSW into one that counts with CX alone, by a prefix of the same length."""
    # rep insw; mov ecx, 10014h; mov byte [the operand prefix], the address prefix; dec ebx; jnz back to the start
    code = bytes.fromhex("66f36d" + "b914000100" + "c605007c000067" + "4b" + "75ee" + "faf4")
    found = []
    for kind in (Drive, BurstDrive):
        bench, drive = started(kind, "32", code, 20)
        with bench:
            bench.cpu.head.regs[RBX] = 2
            bench.machine.run(ticks=LONG)
            found.append(bench.outcome() | {"drive": drive.at})
    assert found[0] == found[1]
    assert found[0]["drive"] == 20 * 2 + 20 * 4
