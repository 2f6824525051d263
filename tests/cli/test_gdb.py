"""`minivm run --gdb`: where gdb connects, and what becomes of the run."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minivm.debug.gdb_packets import frame

MINIVM = Path(sys.executable).with_name("minivm")
LOOP = " again: jmp again\n"


class Run:
    """A run in a process of its own, and gdb's end of its connection."""

    def __init__(self, *arguments: object) -> None:
        words = [str(MINIVM), "run", "--gdb", "0", *map(str, arguments)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        said = self.process.stderr.readline().decode()
        found = re.fullmatch(r"minivm: gdb can connect: target remote 127\.0\.0\.1:(\d+)\n", said)
        assert found is not None, said
        self.socket = socket.create_connection(("127.0.0.1", int(found[1])), timeout=20)

    def ask(self, payload: bytes) -> bytes:
        """Send a packet and return the answer's payload."""
        self.socket.sendall(frame(payload))
        said = b""
        while (found := re.search(rb"\$([^#]*)#..", said)) is None:
            data = self.socket.recv(4096)
            assert data, f"hung up after {said!r}"
            said += data
        return found[1]

    def end(self) -> tuple[int, bytes]:
        """Return the exit status and what was printed."""
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, out


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    made: list[Run] = []

    def make(*arguments: object) -> Run:
        made.append(Run(*arguments))
        return made[-1]

    yield make
    for one in made:
        one.socket.close()
        one.process.kill()
        one.process.communicate()


def test_a_run_that_stops_at_the_start_waits_for_gdb(run: Callable[..., Run]) -> None:
    one = run("hello-bios", "--stop-at-start")
    assert one.ask(b"?").startswith(b"T05")
    assert one.ask(b"mffff0,1") == b"ea"
    assert one.ask(b"c") == b"W00"
    assert one.end() == (0, b"Hello from the BIOS!\n")


def test_gdb_stops_a_run_and_ends_it(run: Callable[..., Run], sector: Callable[[str], Path]) -> None:
    one = run(sector(LOOP))
    assert one.ask(b"?").startswith(b"T05")
    one.socket.sendall(frame(b"k"))
    assert one.end()[0] == 0


def test_a_sleeping_machine_still_answers(run: Callable[..., Run], sector: Callable[[str], Path]) -> None:
    """The guest sleeps with interrupts on: nothing but gdb has anything to say."""
    one = run(sector(" sti\n again: hlt\n jmp again\n"), "--speed", "1x")
    assert one.ask(b"?").startswith(b"T05")
    one.socket.sendall(frame(b"c"))
    one.socket.sendall(b"\x03")
    assert one.ask(b"").startswith(b"T02")
    one.socket.sendall(frame(b"k"))
    assert one.end()[0] == 0


def test_a_run_that_gdb_holds_can_still_time_out(run: Callable[..., Run]) -> None:
    one = run("hello-bios", "--stop-at-start", "--timeout", "1")
    assert one.ask(b"?").startswith(b"T05")
    assert one.end()[0] == 124


def test_a_run_keeps_its_past_unless_it_is_told_not_to(run: Callable[..., Run]) -> None:
    for words, expected in (((), b"replaylog:begin;"), (("--no-history",), b"")):
        one = run("hello-bios", "--stop-at-start", *words)
        assert (b"ReverseStep+" in one.ask(b"qSupported")) is bool(expected)
        assert expected in one.ask(b"bs")


def test_a_recorded_run_keeps_no_past(run: Callable[..., Run], tmp_path: Path) -> None:
    one = run("hello-bios", "--stop-at-start", "--record", tmp_path / "run.mvr")
    assert b"ReverseStep+" not in one.ask(b"qSupported")
    assert one.ask(b"bs") == b""


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1234,", "1234,vax", ""])
def test_a_wrong_port_is_an_error_of_one_line(minivm: Callable[..., Any], port: str) -> None:
    minivm("run", "hello-bios", "--gdb", port).assert_one_line(2, "gdb")
