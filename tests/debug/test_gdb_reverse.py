"""Going back with GDB: packets `bs` and `bc`, then the real gdb in every mode of the CPU."""

import importlib.util
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import minivm
from minivm.core.record import record
from minivm.debug.code import assemble_file
from minivm.debug.debugger import Debugger
from minivm.debug.gdb_packets import frame
from minivm.debug.gdbserver import GdbServer
from minivm.debug.reverse import Reverse
from minivm.inputs import Journal


def _neighbour(name: str) -> ModuleType:
    """Return the test module beside this one, whose client and gdb are used here."""
    spec = importlib.util.spec_from_file_location(f"gdb_reverse_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


forward = _neighbour("test_gdbserver")
Client, gdb, monitor, sector = forward.Client, forward.gdb, forward.monitor, forward.sector
connect, kernel, real_gdb = forward.connect, forward.kernel, forward.real_gdb
BODY, COUNT, GUESTS, LOOP, WIDE = forward.BODY, forward.COUNT, forward.GUESTS, forward.LOOP, forward.WIDE
Connect = Callable[..., Client]
AGAIN = BODY + 3
"""Where COUNT's loop begins: `mov [0x600], cx`, four bytes."""
SAYS = sector(" mov cx, 3\n again: mov al, 'a'\n mov dx, 0xE9\n out dx, al\n loop again\n stop: jmp stop")
HALTS = sector(" mov al, 1\n mov [0x600], al\n cli\n hlt")


def at_stop(client: Client, packet: str, pumps: int = 60) -> str:
    """Send a packet that makes the machine move, and return the stop reply."""
    reply = client.ask(packet, pumps=pumps)
    assert reply.startswith("T"), reply
    return reply


def state(client: Client) -> tuple[str, int, str]:
    """Return everything there is to know of the machine where it stands."""
    machine = client.server.machine
    machine.settle()
    return client.ask("g"), machine.now, machine.state_hash()


# -- packet by packet -----------------------------------------------------------------------------------------------


def test_going_back_is_announced_when_the_past_is_kept(connect: Connect) -> None:
    assert {"ReverseStep+", "ReverseContinue+"} <= set(connect().ask("qSupported").split(";"))


def test_without_a_past_nothing_goes_back(connect: Connect) -> None:
    client = connect(history=False)
    assert "Reverse" not in client.ask("qSupported")
    assert (client.ask("bs"), client.ask("bc")) == ("", "")
    for line in ("back", "rcontinue", "goto 0", "who-wrote eax", "timeline", "branches", "branch 1"):
        assert monitor(client, line) == "no past is kept: it was switched off\n"
    assert client.server.debugger.timeline is None


def test_a_step_back_undoes_one_instruction(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN:x},1")
    at_stop(client, "c")
    before = state(client)
    at_stop(client, "s")
    assert client.server.machine.memory[0x600:0x602] == b"\x05\0"
    assert at_stop(client, "bs").startswith("T05")
    assert state(client) == before
    assert client.server.machine.memory[0x600:0x602] == bytes(2)


def test_the_beginning_of_the_past_is_told(connect: Connect) -> None:
    client = connect()
    assert at_stop(client, "bs").startswith("T05replaylog:begin;")
    at_stop(client, "s")
    assert "replaylog" not in at_stop(client, "bs")
    assert at_stop(client, "bc").startswith("T05replaylog:begin;")
    assert client.server.machine.now == 0


def test_a_breakpoint_stops_on_the_way_back_at_its_last_hit(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN:x},1")
    counts = []
    for packet in ("c", "c", "c", "bc", "bc", "c"):
        assert "swbreak:;" in at_stop(client, packet)
        counts.append(client.server.machine.cpu.cx)
    assert counts == [5, 4, 3, 4, 5, 4]


@pytest.mark.parametrize(("kind", "word", "place"), [(2, "watch", 0), (3, "rwatch", 4), (4, "awatch", 4)])
def test_a_watchpoint_met_backwards_stops_before_the_access(connect: Connect, kind: int, word: str, place: int) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN + 8:x},1")
    at_stop(client, "c")
    at_stop(client, "c")
    client.ask(f"z0,{AGAIN + 8:x},1")
    client.ask(f"Z{kind},600,2")
    assert f"T05{word}:600;" in at_stop(client, "bc")
    cpu, memory = client.server.machine.cpu, client.server.machine.memory
    assert (cpu.ip, cpu.cx) == (AGAIN + place, 4)
    assert memory[0x600:0x601] == (b"\5" if kind == 2 else b"\4")
    assert f"T05{word}:600;" in at_stop(client, "bc")
    assert memory[0x600:0x601] == {2: b"\0", 3: b"\5", 4: b"\5"}[kind]


def test_a_step_back_over_a_watched_write_says_so(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN + 8:x},1")
    at_stop(client, "c")
    client.ask("Z2,600,2")
    assert "watch" not in at_stop(client, "bs")
    assert "T05watch:600;" in at_stop(client, "bs")
    assert client.server.machine.cpu.ip == AGAIN
    assert client.server.machine.memory[0x600:0x602] == bytes(2)


def test_the_way_back_is_the_same_in_the_middle_of_a_block_and_of_a_sleep(connect: Connect) -> None:
    client = connect(sector(" sti\n again: inc word [0x600]\n hlt\n dec bx\n jmp again"))
    client.ask(f"Z0,{BODY + 1:x},1")
    for _ in range(3):
        at_stop(client, "c", pumps=200)
    seen = []
    for _ in range(12):
        seen.append(state(client))
        at_stop(client, "s")
    for expected in reversed(seen):
        at_stop(client, "bs")
        assert state(client) == expected


def test_a_triple_fault_can_be_gone_back_from_and_met_again(connect: Connect) -> None:
    client = connect("triplefault")
    client.send("c")
    client.pump(50)
    assert b"$T06" in client.take()
    where = client.ask("g")
    at_stop(client, "bs")
    assert client.server.machine.ended is None
    client.send("c")
    client.pump(50)
    assert b"$T06" in client.take()
    assert client.ask("g") == where
    client.send("c")
    assert client.pump().reason == "shutdown"


def test_a_cpu_halted_for_ever_can_be_gone_back_from(connect: Connect) -> None:
    client = connect(HALTS)
    client.ask(f"Z0,{BODY + 5:x},1")
    at_stop(client, "c")
    client.send("s")
    client.pump(5)
    client.send("s")
    client.pump(5)
    client.take()
    at_stop(client, "bc")
    assert client.server.machine.cpu.ip == BODY + 5


def test_what_is_run_again_tells_the_host_nothing_twice(connect: Connect) -> None:
    client = connect(SAYS)
    sent = bytearray()
    client.server.machine.console.serial.listeners.append(sent.extend)
    client.ask(f"Z0,{BODY + 11:x},1")
    at_stop(client, "c", pumps=200)
    client.pump()
    for packet in ("bc", "s", "s", "s", "s", "s", "bs", "bs", "c"):
        at_stop(client, packet, pumps=200)
    assert bytes(sent) == b"aaa"


def test_a_register_or_memory_set_in_the_past_begins_a_branch(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN:x},1")
    for _ in range(3):
        at_stop(client, "c")
    at_stop(client, "bc")
    timeline = client.server.reverse.timeline
    assert client.ask("P1=02000000") == "OK"  # ecx
    assert [branch.number for branch in timeline.branches] == [1]
    at_stop(client, "c")
    assert client.server.machine.cpu.cx == 1
    at_stop(client, "bc")
    assert client.server.machine.cpu.cx == 2
    at_stop(client, "bc")
    assert client.ask("M600,2:3412") == "OK"
    assert len(timeline.branches) == 2
    at_stop(client, "c")
    assert client.server.machine.cpu.cx == 4
    assert "left at tick" in monitor(client, "branches")
    assert "end of branch 1" in monitor(client, "branch 1")
    assert (client.server.machine.cpu.cx, client.server.machine.cpu.ip) == (3, AGAIN)


def test_edits_are_made_again_where_they_were_made(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN:x},1")
    at_stop(client, "c")
    names = [one.attrib["name"] for one in client.description().iter("reg")]
    edits = {"ecx": "34120000", "xmm5": bytes(range(16)).hex(), "st3": bytes(range(10)).hex(), "ebx": "78563412"}
    for name, value in edits.items():
        assert client.ask(f"P{names.index(name):x}={value}") == "OK"
    assert client.ask("M700,4:01020304") == "OK"
    at_stop(client, "c")
    after = state(client)
    at_stop(client, "bc")
    at_stop(client, "bc")
    assert client.server.machine.cpu.ip != AGAIN
    assert client.server.machine.memory[0x700:0x704] == bytes(4)
    for name in ("xmm5", "st3"):
        assert int(client.ask(f"p{names.index(name):x}"), 16) == 0, name
    at_stop(client, "c")
    assert client.ask(f"p{names.index('xmm5'):x}") == edits["xmm5"]
    at_stop(client, "c")
    assert state(client) == after


def test_ctrl_c_ends_a_long_way_back_where_it_began(connect: Connect) -> None:
    client = connect(LOOP)
    client.ask("Z2,5000,1")
    client.send("c")
    for _ in range(100):
        client.server.run_to(client.server.machine.now + 1_000_000)
    client.socket.sendall(b"\x03")
    client.pump()
    client.take()
    before = state(client)
    began = time.monotonic()
    client.socket.sendall(frame(b"bc") + b"\x03")
    client.pump(3)
    assert b"$T02" in client.take()
    assert time.monotonic() - began < 5
    assert state(client) == before


def test_a_client_that_hangs_up_on_its_way_back_leaves_the_machine_standing(connect: Connect) -> None:
    client = connect(LOOP)
    at_stop(client, "s")
    before = client.server.machine.now
    client.socket.sendall(frame(b"bc"))
    client.socket.close()
    client.pump(3)
    assert client.server.stopped
    again = Client(client.server)
    again.pump(1)
    assert again.ask("?").startswith("T05")
    assert client.server.machine.now in (0, before)
    again.socket.close()


def test_a_machine_let_go_in_the_past_runs_on_into_the_present(connect: Connect) -> None:
    client = connect(LOOP)
    client.send("c")
    client.pump(20)
    client.socket.sendall(b"\x03")
    client.pump()
    end = client.server.machine.now
    client.take()
    at_stop(client, "bc")
    assert client.ask("D") == "OK"
    client.pump(40)
    assert client.server.machine.now > end


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("back", "back at 0000:7C0E"), ("back 2", "back at 0000:7C16"), ("back x", "number of instructions"),
        ("back 0", "number of instructions"), ("back 999999999", "up to 1,000,000"),
        ("rcontinue", "breakpoint at 7C12h reached"), ("goto 0", "tick 0, at F000:FFF0"), ("goto (", "column"),
        ("goto", "column"), ("who-wrote word [0x600]", "5h, now 4h"), ("who-wrote ecx", "changed from 5h to 4h"),
        ("who-wrote dword [0x5000]", "nobody, back to tick 0"), ("who-wrote (", "column"),
        ("who-wrote port 0xE9", "nobody"), ("timeline", "1 keyframes take"), ("branches", "(none)"),
        ("branch 7", "there is no branch 7"), ("branch x", "number"), ("help", "monitor who-wrote WHAT"),
    ],
)  # fmt: skip
def test_the_monitors_words_for_time(connect: Connect, line: str, words: str) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN + 4:x},1")
    at_stop(client, "c")
    at_stop(client, "c")
    assert words in monitor(client, line)


def test_the_last_stop_is_forgotten_when_the_monitor_goes_elsewhere(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN:x},1")
    assert "swbreak" in at_stop(client, "c")
    monitor(client, "goto 0")
    assert at_stop(client, "?").startswith("T0508:f0ff0000;")


def test_who_wrote_leaves_the_machine_where_it_is_and_says_where_to_go(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN + 8:x},1")
    at_stop(client, "c")
    before = state(client)
    said = monitor(client, "who-wrote word [0x600]")
    assert "by mov word [0x600], cx   (7C0Eh)" in said
    assert state(client) == before
    found = re.search(r"`monitor (goto \d+)`", said)
    assert found is not None
    assert "at 0000:7C0E" in monitor(client, found[1])


def test_a_recorded_run_keeps_no_past() -> None:
    with minivm.boot(LOOP) as vm:
        vm.journal = Journal()
        with GdbServer(vm) as server:
            assert server.reverse is None
            assert "recorded" in server.no_history


def test_a_device_that_cannot_tell_its_state_leaves_no_past() -> None:
    class Silent:
        def read(self, offset: int, size: int) -> int:
            return 0

        def write(self, offset: int, size: int, value: int) -> None:
            return None

    with minivm.boot(LOOP) as vm:
        vm.devices["silent"] = Silent()
        vm.user_devices["silent"] = vm.devices["silent"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(vm), "state", _refuse)
            with GdbServer(vm) as server:
                assert server.reverse is None
                assert "silent" in server.no_history


def _refuse(machine: object) -> None:
    raise minivm.errors.SnapshotError("device silent has no state()")


def test_a_server_that_is_closed_leaves_the_machine_where_it_stands() -> None:
    with minivm.boot(LOOP) as vm:
        debugger = Debugger(vm)
        with GdbServer(vm, debugger=debugger) as server:
            vm_end = debugger.step(5)
            assert vm_end.reason == "step"
            assert server.reverse is not None
            server.reverse.step(2)
            here = vm.now
        assert (vm.now, vm.journal, debugger.timeline) == (here, None, None)
        vm.run(ms=1)
        assert vm.now > here


def test_a_past_that_was_kept_before_is_kept_on() -> None:
    with minivm.boot(LOOP) as vm:
        debugger = Debugger(vm)
        reverse = Reverse(debugger)
        with GdbServer(vm, debugger=debugger) as server:
            assert server.reverse is not None and server.reverse.timeline is reverse.timeline
        assert debugger.timeline is reverse.timeline
        debugger.step(3)
        assert reverse.step().reason == "step"


@pytest.mark.parametrize("kind", ["write", "read"])
def test_watching_that_begins_inside_a_block_does_not_end_it(kind: str) -> None:
    """All translations go then, which looked as if the block had rewritten itself: interrupts came too early."""
    places = []
    for watches in (False, True):
        with minivm.boot(COUNT) as vm:
            debugger = Debugger(vm)
            debugger.run_to(AGAIN)
            assert debugger.engine.in_block
            if watches:
                debugger.watch("word [0x600]", kind)
            debugger.step()
            places.append((vm.now, vm.cpu.linear_ip, debugger.engine.in_block))
    assert places[0] == places[1]


# -- the real gdb ---------------------------------------------------------------------------------------------------


@record
class Case:
    """Code of one mode: a place in a loop, the register that it changes, and what it stores into."""

    guest: str
    label: str
    store: str
    counter: str
    architecture: str
    before: tuple[str, ...] = ()


CASES = [
    Case("protected", "digit", "store", "edx", "i386"),
    Case("longmode", "digit", "store", "r15", "x86-64", WIDE),
]


@real_gdb
def test_gdb_goes_back_in_real_mode() -> None:
    said, _ = gdb(
        COUNT, f"break *{AGAIN:#x}", "continue", "continue", "p/x $ecx", "info registers eip ecx ebx", "reverse-stepi",
        "x/i $pc", "reverse-continue", "p $cx", "reverse-continue", "continue", "continue", "p $cx",
        "info registers eip ecx ebx", "delete", "watch *(short *)0x600", "continue", "reverse-continue", "p $cx",
        "x/i $pc", "x/1hx 0x600", "reverse-continue", "kill",
    )  # fmt: skip
    assert "=> 0x7c16:\tloop" in said
    assert "$2 = 5" in said
    assert "No more reverse-execution history." in said
    assert "$3 = 4" in said
    registers = re.findall(r"^eip.*\necx.*\nebx.*$", said, re.MULTILINE)
    assert len(registers) == 2 and registers[0] == registers[1]
    assert re.search(r"Old value = 5\s+New value = 4", said)
    assert re.search(r"Old value = 4\s+New value = 5", said)
    assert "$4 = 4" in said
    assert re.search(r"0x600:\s+0x0005", said)
    assert re.search(r"Old value = 5\s+New value = 0", said)


@real_gdb
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.architecture)
def test_gdb_goes_back_in_protected_and_long_mode(case: Case) -> None:
    places = assemble_file(GUESTS / f"{case.guest}.asm").symbols
    said, ended = gdb(
        case.guest, f"break *{places[case.label]:#x}", "continue", "continue", "continue", f"p/x ${case.counter}",
        "reverse-stepi", "reverse-continue", "reverse-continue", f"p/x ${case.counter}", "stepi", "reverse-stepi",
        f"p/x ${case.counter}", "continue", "continue", f"p/x ${case.counter}", "reverse-continue",
        f"set var ${case.counter} = 0", "continue", f"p/x ${case.counter}", "monitor branches", "delete", "continue",
        before=case.before, architecture=case.architecture,
    )  # fmt: skip
    values = re.findall(r"^\$\d = (0x[0-9a-f]+|0)$", said, re.MULTILINE)
    assert len(values) == 5
    assert values[0] == values[3] != values[1] == values[2]
    assert values[4] in ("0x0", "0")
    assert "1: left at tick" in said
    assert "exited normally" in said
    assert ended.reason == "halted"


@real_gdb
def test_gdb_goes_back_by_lines_of_c(kernel: Path) -> None:
    said, ended = gdb(
        kernel, "break square", "continue", "continue", "p number", "next", "next", "p counter", "reverse-next",
        "p counter", "delete", "reverse-finish", "p sum", "p i", "step", "p number", "reverse-step", "watch counter",
        "reverse-continue", "backtrace 1", "p counter", "delete", "continue", before=(f"file {kernel}",),
    )  # fmt: skip
    values = re.findall(r"^\$\d = (-?\d+)$", said, re.MULTILINE)
    assert values == ["2", "4", "1", "1", "2", "2", "0"], said
    assert "run () at" in said
    assert re.search(r"Old value = 1\s+New value = 0", said)
    assert "exited with code 035" in said
    assert ended.status == 29


@real_gdb
def test_gdb_sees_where_the_monitor_went() -> None:
    said, _ = gdb(
        COUNT, f"break *{AGAIN + 4:#x}", "continue", "monitor back 1", "maintenance flush register-cache", "x/i $pc",
        "monitor timeline", "kill",
    )  # fmt: skip
    assert "=> 0x7c0e:\tmov    %cx,0x600" in said
    assert "in the past: what comes next has happened before" in said


@real_gdb
def test_gdb_is_told_when_no_past_is_kept() -> None:
    said, _ = gdb(COUNT, "stepi", "reverse-stepi", "kill", history=False)
    assert "does not support" in said


def test_a_guest_in_the_past_makes_no_host_error_of_garbage(connect: Connect) -> None:
    client = connect(COUNT)
    client.ask(f"Z0,{AGAIN:x},1")
    at_stop(client, "c")
    at_stop(client, "bc")
    for packet in ("bx", "b", "bcc", "bs;", "bc:1", "b\0", "bs1"):
        assert client.ask(packet) == "", packet
    assert client.ask("?").startswith("T05")


def test_a_sleep_that_the_host_let_pass_is_gone_through_again(connect: Connect) -> None:
    """A paced machine whose CPU waits for a key is given its time from outside: those are inputs of the past, too."""
    client = connect(sector(" mov al, 0xFD\n out 0x21, al\n sti\n again: inc word [0x600]\n hlt\n jmp again"))
    vm = client.server.machine
    client.send("c")
    client.pump(4)
    for _ in range(3):
        vm.pass_time(vm.now + 10_000_000)
        client.pump(1)
    vm.pass_time(vm.now + 10_000_000)
    client.socket.sendall(b"\x03")
    client.pump(2)
    assert vm.halted and b"$T02" in client.take()
    end = state(client)
    for _ in range(2):
        at_stop(client, "bs")
    assert vm.cpu.ip == BODY + 9
    assert "in the past" in monitor(client, "timeline")
    assert monitor(client, f"goto {end[1]}").startswith("tick")
    assert state(client) == end
    at_stop(client, "bc")
    client.send("c")
    for _ in range(60):
        client.server.run_to(end[1] + 1000)
    assert vm.now >= end[1]
    assert client.server.reverse.timeline.branches == []
