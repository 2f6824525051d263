"""Random programs for a bench's processor, ways to run them, and what tells two runs apart."""

import threading
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from engine_bench import EXIT_PORT, LOG_PORT, MMIO, RAM_BYTES, ROM, TIME_PORT, TIMER_PORT, Bench
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from minivm.machine import Ended, Machine

LONGEST_TICKS = 150_000
"""A program that rewrote itself may run for ever; it is cut here, and then nothing is compared."""
PAGE = 4096
Snippet = tuple[str, int, int]


class Program:
    """Machine code put together from snippets; stores into the program itself are aimed when all is in place."""

    def __init__(self, mode: str, at: int) -> None:
        self.mode, self.at, self.code = mode, at, bytearray()
        self.targets: list[int] = []
        self.aims: list[tuple[int, int]] = []

    @property
    def word(self) -> int:
        return 2 if self.mode in ("real", "16") else 4

    def put(self, *pieces: bytes | str) -> None:
        for piece in pieces:
            self.code += bytes.fromhex(piece) if isinstance(piece, str) else piece

    def number(self, value: int) -> bytes:
        return (value & ((1 << 8 * self.word) - 1)).to_bytes(self.word, "little")

    def absolute(self, opcode: str, digit: int, address: int | None, tail: bytes = b"", which: int = 0) -> None:
        """Put an instruction with a direct memory operand; an address of None is one of the program's own bytes."""
        if self.mode == "long":
            self.put(opcode, bytes([4 | digit << 3]), b"\x25")
        else:
            self.put(opcode, bytes([(6 if self.word == 2 else 5) | digit << 3]))
        if address is None:
            self.aims.append((len(self.code), which))
        self.put(self.number(address or 0), tail)

    def target(self) -> None:
        """Put `mov bl, imm8; add ebp, ebx`; its immediate is a byte that others may rewrite."""
        self.put("b3")
        self.targets.append(len(self.code))
        self.put("11 01dd")

    def finish(self) -> bytes:
        self.put("b8", self.number(7), "e6", bytes([EXIT_PORT]), "fa f4")
        for place, which in self.aims:
            aim = self.at + (self.targets[which % len(self.targets)] if self.targets else len(self.code) + 64)
            self.code[place : place + self.word] = self.number(aim)
        return bytes(self.code)


def arithmetic(p: Program, a: int, b: int) -> None:
    p.put("ffc3 01d8 11dd" if a & 1 else "31e8 ffcb d1c5")


def port_in(p: Program, a: int, b: int) -> None:
    p.put("e4" if a & 1 else "e5", bytes([TIME_PORT]), "01c5")


def port_out(p: Program, a: int, b: int) -> None:
    p.put("89d8 e6", bytes([LOG_PORT]))


def timer(p: Program, a: int, b: int) -> None:
    p.put("b0", bytes([a & 0x7F]), "e6", bytes([TIMER_PORT]))


def counter(p: Program, a: int, b: int) -> None:
    p.put("0f31 01c5")


def software_interrupt(p: Program, a: int, b: int) -> None:
    p.put(("cd31", "cc", "cd20", "f1")[a & 3])


def fault(p: Program, a: int, b: int) -> None:
    p.put("0f0b" if a & 1 else "30c9 f6f1")


def flags(p: Program, a: int, b: int) -> None:
    wait = f"b003 e6{TIMER_PORT:02x} fbf4"
    p.put(("fb", "fa", "9cfb9d", "fb90fa", wait if b & 1 else "fb", "8cd08ed0", "fb8cd08ed0ffc3")[a % 7])


def traced(p: Program, a: int, b: int) -> None:
    p.put("9c 58 80cc01 50 9d ffc3 cd31 9c 58 80e4fe 50 9d")


def loop(p: Program, a: int, b: int) -> None:
    body = ("ffc3", "ffc3 01dd e430", "60 61" if p.mode != "long" else "50 58", "cd31", "eb00 ffc5")[b % 5]
    p.put("b9", p.number(1 + a % 40))
    start = len(p.code)
    p.put(body)
    p.put("e2", bytes([(start - len(p.code) - 2) & 0xFF]))


def repeat(p: Program, a: int, b: int) -> None:
    p.put("fc" if b & 1 else "fd", "be", p.number(0xA100), "bf", p.number(0xA800 + b), "b9", p.number(a % 30))
    p.put("f3", ("aa", "a4", "ab", "ac")[b & 3], "fc")


def jump_over(p: Program, a: int, b: int) -> None:
    p.put("f6c301 7402 ffc5" if a & 1 else "ebff c3 eb00")


def call(p: Program, a: int, b: int) -> None:
    p.put("e8", p.number(2), "eb03", "ffc5 c3")


def long_line(p: Program, a: int, b: int) -> None:
    p.put(*(("90", "ffc3 01dd", "a8 55", "50 58")[b & 3],) * (a * 3))


def rewrite(p: Program, a: int, b: int) -> None:
    """Rewrite some byte of the program: ahead, in the same block, or behind."""
    if b & 1:
        p.target()
    match a % 5:
        case 0:
            p.absolute("c6", 0, None, bytes([b]), which=b)  # mov byte [..], imm8
        case 1:
            p.absolute("fe", 0, None, which=b)  # inc byte [..]
        case 2:
            p.absolute("80", 6, None, bytes([b]), which=b)  # xor byte [..], imm8
        case 3:
            p.absolute("88", 3, None, which=b)  # mov [..], bl
        case 4:
            p.put("bf")
            p.aims.append((len(p.code), b))
            p.put(p.number(0), "fc aa")  # mov di, ..; stosb
    if b & 2:
        p.target()


def rewritten_loop(p: Program, a: int, b: int) -> None:
    p.put("b9", p.number(2 + a % 9))
    start = len(p.code)
    if b & 1:
        p.target()
    p.absolute("fe" if b & 2 else "c6", 0, None, b"" if b & 2 else b"\x22", which=len(p.targets))
    p.target()
    p.put("e2", bytes([(start - len(p.code) - 2) & 0xFF]))


def memory(p: Program, a: int, b: int) -> None:
    p.absolute("01", 3, 0xA000 + b)
    p.absolute("03", 5, 0xAFFE if a & 1 else 0xA000)


def outside(p: Program, a: int, b: int) -> None:
    """Touch ROM, or memory-mapped I/O."""
    if p.mode == "16":
        return
    if p.mode == "real":
        p.put("06 b800f0 8ec0 26 fe060001 26 a00001 07")  # es = F000h; inc byte es:[100h]; mov al, es:[100h]
        return
    address = MMIO + (b & 3) * 4 if a & 1 else ROM + 0x100 + b
    p.absolute("01", 3, address)
    p.absolute("03", 5, address)


def resume_flag(p: Program, a: int, b: int) -> None:
    """IRET with RF set, and then interrupts that push the flags."""
    if p.mode not in ("32", "paged"):
        return
    p.put("9c 810c2400000100 0e 68", p.number(p.at + len(p.code) + 15), "cf")
    p.put("90" * (a & 1), "cd31")


KINDS: dict[str, Callable[[Program, int, int], None]] = {
    function.__name__: function
    for function in (
        arithmetic, port_in, port_out, timer, counter, software_interrupt, fault, flags, traced, loop, repeat,
        jump_over, call, long_line, rewrite, rewritten_loop, memory, outside, resume_flag,
    )
}  # fmt: skip


def build(mode: str, at: int, snippets: list[Snippet]) -> bytes:
    program = Program(mode, at)
    for name, a, b in snippets:
        KINDS[name](program, a, b)
    return program.finish()


# -- ways to run ------------------------------------------------------------------------------------------------------


def at_once(machine: Machine) -> Ended:
    return machine.run(ticks=LONGEST_TICKS)


def sliced(*lengths: int) -> Callable[[Machine], Ended]:
    def run(machine: Machine) -> Ended:
        for length in cycle(lengths):
            ended = machine.run(ticks=length)
            if ended.final or machine.now > 2 * LONGEST_TICKS:
                return ended
        raise AssertionError

    return run


def stepped(machine: Machine) -> Ended:
    while True:
        ended = machine.step(50)
        if ended.final or machine.now > 2 * LONGEST_TICKS:
            return ended


def mixed(steps: list[int], lengths: list[int]) -> Callable[[Machine], Ended]:
    def run(machine: Machine) -> Ended:
        for count, length in zip(cycle(steps), cycle(lengths), strict=False):
            ended = machine.step(count)
            if not ended.final:
                ended = machine.run(ticks=length)
            if ended.final or machine.now > 2 * LONGEST_TICKS:
                return ended
        raise AssertionError

    return run


def interrupted(machine: Machine) -> Ended:
    """Run while another thread calls `stop` all the time."""
    done = threading.Event()

    def nag() -> None:
        while not done.wait(0.0002):
            machine.stop()

    nagging = threading.Thread(target=nag)
    nagging.start()
    try:
        while True:
            ended = machine.run(ticks=LONGEST_TICKS)
            if ended.reason != "stopped":
                return ended
    finally:
        done.set()
        nagging.join()


def outcome(
    mode: str, at: int, code: bytes, run: Callable[[Machine], Ended], native: bool | None = None
) -> dict[str, Any]:
    with Bench(mode, code, at=at, native=native) as bench:
        return bench.outcome(run(bench.machine))


def assert_same(expected: dict[str, Any], found: dict[str, Any], how: str) -> None:
    assert found["log"] == expected["log"], how
    for key, value in expected.items():
        if key == "ram" and value != found[key]:
            first = next(at for at in range(RAM_BYTES) if value[at] != found[key][at])
            raise AssertionError(f"{how}: RAM differs from {first:X}h on")
        assert found[key] == value, f"{how}: {key}"


def compare(
    mode: str, at: int, snippets: list[Snippet], ways: Iterator[tuple[str, Any]] | list[tuple[str, Any]]
) -> None:
    code = build(mode, at, snippets)
    expected = outcome(mode, at, code, at_once)
    if expected["ended"].reason != "debug-exit":
        return  # it rewrote itself into nonsense (docs/engine.md says what nonsense Unicorn does not do exactly)
    for how, run in ways:
        native = False if how == "python" else None
        assert_same(expected, outcome(mode, at, code, run, native), f"{how}: {mode} {at:X}h {code.hex()}")


snippet = st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 255), st.integers(0, 255))
places = st.one_of(st.just(0x7C00), st.integers(0x7F80, 0x8010))
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
