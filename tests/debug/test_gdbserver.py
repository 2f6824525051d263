"""GDB's remote protocol: packet by packet, then with the real gdb in every mode of the CPU."""

import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
from minivm.debug.code import assemble, assemble_file
from minivm.debug.gdb_packets import PacketReader, escape, frame, unescape
from minivm.debug.gdbserver import KILLED, GdbServer
from minivm.errors import ConfigError
from minivm.machine import Ended

GUESTS = Path(__file__).parents[2] / "guests"
HEAD = " bits 16\n org 0x7C00\n xor ax, ax\n mov ds, ax\n mov es, ax\n mov ss, ax\n mov sp, 0x7C00\n"
TAIL = "\n times 510 - ($ - $$) db 0\n dw 0xAA55\n"
BODY = 0x7C0B
"""Where the body of `sector` begins."""


def sector(body: str) -> bytes:
    return assemble(HEAD + body + TAIL).code


LOOP = sector(" again: inc dword [0x600]\n jmp again")
COUNT = sector(" mov cx, 5\n again: mov [0x600], cx\n mov bx, [0x600]\n loop again\n mov al, 7\n out 0xF4, al")


class Client:
    """The other end of the protocol, one packet at a time; nothing runs but what `pump` lets run."""

    def __init__(self, server: GdbServer) -> None:
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.settimeout(5)
        self.received = b""

    def pump(self, times: int = 3) -> Ended:
        """Serve and run the machine for a virtual millisecond at a time, until it has ended or stands still."""
        ended = Ended("limit")
        for done in range(times):
            ended = self.server.run_to(self.server.machine.now + 1_000_000)
            if ended.final or (self.server.stopped and done > 1):
                break
        return ended

    def take(self) -> bytes:
        """Return everything that has come without waiting."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError, ConnectionResetError):
            while data := self.socket.recv(0x10000):
                self.received += data
        got, self.received = self.received, b""
        return got

    def send(self, payload: str | bytes) -> None:
        self.socket.sendall(frame(payload.encode() if isinstance(payload, str) else payload))

    def ask(self, payload: str | bytes, pumps: int = 3) -> str:
        """Send a packet and return the last answer's payload."""
        self.send(payload)
        said = b""
        for _ in range(pumps):
            self.pump(1)
            said += self.take()
            found = [one for one in re.findall(rb"\$([^#]*)#..", said, re.DOTALL) if one[:1] != b"O" or one == b"OK"]
            if found:
                return found[-1].decode("latin-1")
        return "(nothing)"

    def registers(self) -> dict[str, int]:
        """Return what `g` says, by the names of the target description."""
        data = bytes.fromhex(self.ask("g"))
        values, at = {}, 0
        for one in self.description().iter("reg"):
            size = int(one.attrib["bitsize"]) // 8
            values[one.attrib["name"]] = int.from_bytes(data[at : at + size], "little")
            at += size
        assert at == len(data)
        return values

    def description(self) -> ElementTree.Element:
        text = ""
        while True:
            answer = self.ask(f"qXfer:features:read:target.xml:{len(text):x},1000")
            text += answer[1:]
            if answer[0] == "l":
                return ElementTree.fromstring(text)


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Boot a guest that waits for GDB, and be its client."""
    opened: list[object] = []

    def make(guest: str | bytes = LOOP, *, stopped: bool = True, **options: object) -> Client:
        vm = minivm.boot(guest)
        server = GdbServer(vm, stopped=stopped, **options)
        client = Client(server)
        opened.extend([vm, server, client.socket])
        client.pump(1)
        return client

    yield make
    for one in reversed(opened):
        one.close()


# -- framing --------------------------------------------------------------------------------------------------------


def test_a_packet_in_pieces_is_one_packet() -> None:
    reader = PacketReader()
    events = [event for byte in frame(b"m7c00,4") for event in reader.feed(bytes((byte,)))]
    assert [(event.kind, event.payload) for event in events] == [("packet", b"m7c00,4")]


def test_a_ctrl_c_inside_a_packet_is_data_and_outside_an_interrupt() -> None:
    kinds = [event.kind for event in PacketReader().feed(b"\x03" + frame(b"X0,1:\x03") + b"\x03")]
    assert kinds == ["interrupt", "packet", "interrupt"]


def test_a_wrong_checksum_is_seen() -> None:
    assert [event.kind for event in PacketReader().feed(b"$g#00$g#67")] == ["bad", "packet"]


def test_a_packet_that_never_ends_is_given_up() -> None:
    reader = PacketReader()
    kinds = [event.kind for _ in range(40) for event in reader.feed(b"$" + b"x" * 0x1000)]
    assert "bad" in kinds
    assert [event.kind for event in reader.feed(b"#00" + frame(b"?"))][-1] == "packet"


@given(st.binary())
def test_escaped_bytes_come_back_and_never_end_a_packet(data: bytes) -> None:
    assert unescape(escape(data)) == data
    assert not set(b"#$*") & set(escape(data))


@given(st.lists(st.binary(max_size=40)))
def test_the_reader_takes_any_bytes(pieces: list[bytes]) -> None:
    reader = PacketReader()
    for piece in pieces:
        assert all(event.kind in ("packet", "interrupt", "ack", "nack", "bad") for event in reader.feed(piece))


# -- the connection -------------------------------------------------------------------------------------------------


def test_packets_are_acknowledged_until_the_client_wants_no_more_of_it(connect: Callable[..., Client]) -> None:
    client = connect()
    client.send("?")
    client.pump()
    assert client.take().startswith(b"+$T05")
    assert client.ask("QStartNoAckMode") == "OK"
    client.send("qC")
    client.pump()
    assert client.take() == frame(b"QC1")


def test_a_damaged_packet_is_asked_for_again_and_so_is_a_damaged_answer(connect: Callable[..., Client]) -> None:
    client = connect()
    client.socket.sendall(b"$?#00")
    client.pump()
    assert client.take() == b"-"
    assert client.ask("qC") == "QC1"
    client.socket.sendall(b"-")
    client.pump()
    assert client.take() == frame(b"QC1")


def test_unknown_packets_get_the_empty_answer(connect: Callable[..., Client]) -> None:
    client = connect()
    for packet in ("", "b", "bx", "vMustReplyEmpty", "!", "qNonsense", "vRun;", "Z9,0,1", "QNonsense:1"):
        assert client.ask(packet) == "", packet


def test_what_the_server_can_do_is_announced(connect: Callable[..., Client]) -> None:
    words = connect().ask("qSupported:multiprocess+;swbreak+;xmlRegisters=i386").split(";")
    assert {"PacketSize=4000", "qXfer:features:read+", "swbreak+", "hwbreak+", "vContSupported+"} <= set(words)


def test_there_is_one_thread(connect: Callable[..., Client]) -> None:
    client = connect()
    assert [client.ask(packet) for packet in ("qfThreadInfo", "qsThreadInfo", "qC", "T1", "Hg0", "qAttached")] == [
        "m1", "l", "QC1", "OK", "OK", "1",
    ]  # fmt: skip


def test_a_second_client_is_turned_away_while_the_first_one_works(connect: Callable[..., Client]) -> None:
    client = connect()
    client.ask("?")
    with socket.create_connection(("127.0.0.1", client.server.port)) as second:
        client.pump()
        assert second.recv(1) == b""
    assert client.ask("qC") == "QC1"


def test_a_client_that_never_speaks_stops_nothing_and_keeps_nobody_out(connect: Callable[..., Client]) -> None:
    client = connect(stopped=False)
    before = client.server.machine.now
    client.pump()
    assert client.server.machine.now > before
    real = Client(client.server)
    real.pump(1)
    assert real.ask("?").startswith("T05")
    real.socket.close()


def test_a_client_that_goes_while_it_holds_the_machine_can_come_back(connect: Callable[..., Client]) -> None:
    client = connect()
    client.ask("?")
    client.ask("Z0,7c0b,1")
    client.socket.close()
    client.pump()
    assert client.server.stopped
    assert client.server.debugger.entries() == []
    again = Client(client.server)
    again.pump(1)
    assert again.ask("?").startswith("T05")
    again.socket.close()


def test_a_client_that_goes_while_the_machine_runs_leaves_it_running(connect: Callable[..., Client]) -> None:
    client = connect()
    client.send("c")
    client.pump(50)
    client.socket.close()
    client.pump(2)
    before = client.server.machine.now
    client.pump()
    assert client.server.machine.now > before


def test_a_detached_machine_runs_without_the_breakpoints(connect: Callable[..., Client]) -> None:
    client = connect()
    client.ask("Z0,7c0b,1")
    assert client.ask("D") == "OK"
    client.pump(20)
    assert not client.server.stopped
    assert client.server.machine.memory[0x600:0x604] != bytes(4)


def test_half_a_packet_and_a_hang_up_leave_the_machine_alone(connect: Callable[..., Client]) -> None:
    client = connect(stopped=False)
    client.socket.sendall(frame(b"m1000,4")[:6])
    client.pump()
    client.socket.close()
    client.pump()
    assert not client.server.stopped
    before = client.server.machine.now
    client.pump()
    assert client.server.machine.now > before


def test_a_client_that_takes_no_answers_is_given_up(
    connect: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minivm.debug.gdbserver._SEND_PATIENCE_S", 0.05)
    client = connect()
    client.socket.setblocking(False)
    with suppress(ConnectionError):
        for _ in range(400):
            with suppress(BlockingIOError):
                client.socket.send(frame(b"mf0000,1fff") * 20)
            client.server.run_to(0)
    again = Client(client.server)
    again.pump(1)
    assert again.ask("qC") == "QC1"
    again.socket.close()


def test_kill_ends_the_machine(connect: Callable[..., Client]) -> None:
    client = connect()
    client.send("k")
    assert client.pump() is KILLED


def test_a_port_that_is_taken_is_an_error_of_one_line() -> None:
    with minivm.boot(LOOP) as vm, GdbServer(vm) as server, pytest.raises(ConfigError, match="give another"):
        GdbServer(vm, server.port)
    with minivm.boot(LOOP) as vm, pytest.raises(ConfigError, match="i386"):
        GdbServer(vm, architecture="arm")


ALMOST = st.tuples(
    st.sampled_from(["bs", "bc", *"?gGpPmMXcsCSvZzHTqQDkbR!"]), st.text("0123456789abcdef,:;=#+-", max_size=20)
)
PIECES = st.one_of(
    st.binary(max_size=60), st.binary(max_size=30).map(frame), ALMOST.map(lambda pair: frame("".join(pair).encode()))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=6))
def test_garbage_does_no_harm(pieces: list[bytes]) -> None:
    with minivm.boot(LOOP) as vm, GdbServer(vm, stopped=True) as server:
        client = Client(server)
        for piece in pieces:
            client.socket.sendall(piece)
            server.run_to(vm.now + 10_000)
        client.socket.close()
        server.run_to(vm.now + 10_000)
        server.quit_wanted = server.stopped = False
        again = Client(server)
        again.pump(1)
        assert again.ask("?").startswith("T")
        again.socket.close()


# -- registers ------------------------------------------------------------------------------------------------------


def at_label(connect: Callable[..., Client], guest: str, label: str) -> Client:
    """Run a bundled guest to one of its labels."""
    client = connect(guest)
    address = assemble_file(GUESTS / f"{guest}.asm").symbols[label]
    client.server.debugger.run_to(address)
    return client


@pytest.mark.parametrize(
    ("guest", "label", "architecture"),
    [("hello-bios", "next", "i8086"), ("protected", "number", "i386"), ("longmode", "number", "i386:x86-64")],
)
def test_registers_are_those_of_the_cpu_in_every_mode(
    connect: Callable[..., Client], guest: str, label: str, architecture: str
) -> None:
    client = at_label(connect, guest, label)
    assert client.description().findtext("architecture") == architecture
    found, cpu = client.registers(), client.server.machine.cpu
    prefix = "r" if "64" in architecture else "e"
    for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip"):
        assert found[prefix + name] == getattr(cpu, "r" + name), name
    assert found["eflags"] == cpu.rflags
    for name in ("cs", "ss", "ds", "es", "fs", "gs", "cr0", "cr3", "cr4", "cs_base", "gdt_base", "idt_limit"):
        assert found[name] == getattr(cpu, name), name
    assert found["efer"] == client.server.debugger.engine.efer


def test_a_register_is_read_and_written_alone(connect: Callable[..., Client]) -> None:
    client = connect()
    assert client.ask("P0=78563412") == "OK"
    assert client.ask("p0") == "78563412"
    assert client.server.machine.cpu.eax == 0x12345678
    assert client.ask("p999").startswith("E")
    assert client.ask("P0=1234").startswith("E")


def test_all_registers_written_back_change_nothing(connect: Callable[..., Client]) -> None:
    client = at_label(connect, "protected", "number")
    before = client.ask("g")
    assert client.ask("G" + before) == "OK"
    assert client.ask("g") == before


def test_a_64_bit_register_keeps_its_upper_half(connect: Callable[..., Client]) -> None:
    client = at_label(connect, "longmode", "number")
    assert client.ask("Pf=8877665544332211") == "OK"
    assert client.server.machine.cpu.r15 == 0x1122334455667788


def test_a_segment_register_takes_its_base_along(connect: Callable[..., Client]) -> None:
    client = connect()
    number = 12  # ss ds: cs is 10, ss 11, ds 12
    assert client.ask(f"P{number:x}=34120000") == "OK"
    assert client.server.machine.cpu.ds_base == 0x12340


def test_a_selector_without_a_segment_is_refused(connect: Callable[..., Client]) -> None:
    client = at_label(connect, "protected", "number")
    assert client.ask("Pc=f8ff0000").startswith("E")
    assert client.server.machine.cpu.ds == 0x10


def test_a_jump_by_eip_executes_there(connect: Callable[..., Client]) -> None:
    client = connect(sector(" nop\n nop\n mov al, 3\n out 0xF4, al"))
    client.server.debugger.run_to(BODY)
    client.ask("s", pumps=8)
    assert client.ask(f"P8={(BODY + 2).to_bytes(4, 'little').hex()}") == "OK"
    assert "T05" in client.ask("s", pumps=8)
    assert (client.server.machine.cpu.al, client.server.machine.cpu.ip) == (3, BODY + 4)


def test_the_fpu_and_sse_registers_can_be_set(connect: Callable[..., Client]) -> None:
    client = connect()
    names = [one.attrib["name"] for one in client.description().iter("reg")]
    for name, size in (("st3", 10), ("xmm5", 16)):
        value = bytes(range(1, size + 1)).hex()
        assert client.ask(f"P{names.index(name):x}={value}") == "OK"
        assert client.ask(f"p{names.index(name):x}") == value


def test_a_linear_pc_counts_the_segments_base(connect: Callable[..., Client]) -> None:
    client = connect()
    assert client.ask("p8") == "f0ff0000"
    client.ask("qRcmd," + b"pc linear".hex())
    assert client.ask("p8") == "f0ff0f00"
    assert client.ask("P8=f4ff0f00") == "OK"
    assert client.server.machine.cpu.ip == 0xFFF4


# -- memory ---------------------------------------------------------------------------------------------------------


def test_memory_is_read_and_written_in_both_ways(connect: Callable[..., Client]) -> None:
    client = connect()
    memory = client.server.machine.memory
    assert client.ask("M1000,3:616263") == "OK"
    assert client.ask(b"X1003,4:" + escape(b"#$}*")) == "OK"
    assert memory[0x1000:0x1007] == b"abc#$}*"
    assert client.ask("m1000,7") == b"abc#$}*".hex()


def test_memory_that_is_not_there_is_an_error(connect: Callable[..., Client]) -> None:
    client = connect()
    assert client.ask("mdeadbeef,4") == "E0e"
    assert client.ask("Mdeadbeef,1:00") == "E0e"
    assert client.ask("M1000,4:00") == "E16"
    assert client.ask("m1000") == "E16"


def test_a_write_across_the_end_of_memory_writes_nothing(connect: Callable[..., Client]) -> None:
    client = connect()
    end = client.server.machine.memory.size
    assert client.ask(f"M{end - 2:x},4:01020304") == "E0e"
    assert client.server.machine.memory[end - 2 : end] == bytes(2)


def test_reading_goes_through_the_page_tables(connect: Callable[..., Client]) -> None:
    client = at_label(connect, "longmode", "number")
    assert client.ask("m1ffffe,4") == client.server.machine.memory[0x1FFFFE:0x200000].hex()
    assert client.ask("m200000,4") == "E0e"


# -- going on -------------------------------------------------------------------------------------------------------


def test_a_step_executes_one_instruction(connect: Callable[..., Client]) -> None:
    client = connect()
    client.server.debugger.run_to(0x7C00)
    assert client.ask("vCont;s:1", pumps=8).startswith("T05")
    assert client.server.machine.cpu.ip == 0x7C02
    client.ask("s", pumps=8)
    assert client.server.machine.cpu.ip == 0x7C04


def test_a_breakpoint_stops_each_time_and_not_after_it_was_taken_back(connect: Callable[..., Client]) -> None:
    client = connect(COUNT)
    place = f"{BODY + 3:x}"
    assert client.ask(f"Z0,{place},1") == "OK"
    assert client.ask(f"Z0,{place},1") == "OK"
    counts = []
    for _ in range(3):
        assert "swbreak:;" in client.ask("vCont;c", pumps=40)
        counts.append(client.server.machine.cpu.cx)
    assert counts == [5, 4, 3]
    assert client.ask(f"z0,{place},1") == "OK"
    client.send("c")
    assert client.pump(50).status == 15


def test_a_breakpoint_where_eip_is_another_number_is_a_plain_trap(connect: Callable[..., Client]) -> None:
    """GDB takes a breakpoint at an address that is not $pc for an old one, and runs on without a word."""
    client = connect(sector(" jmp 0x7C0:next - 0x7C00\n next: nop\n mov al, 3\n out 0xF4, al"))
    assert client.ask(f"Z0,{BODY + 5:x},1") == "OK"
    reply = client.ask("c", pumps=40)
    assert reply.startswith("T05")
    assert "break" not in reply
    assert (client.server.machine.cpu.ip, client.server.machine.cpu.linear_ip) == (BODY + 5 - 0x7C00, BODY + 5)


@pytest.mark.parametrize(("kind", "word"), [(2, "watch"), (3, "rwatch"), (4, "awatch")])
def test_a_watchpoint_says_what_was_touched(connect: Callable[..., Client], kind: int, word: str) -> None:
    client = connect(COUNT)
    assert client.ask(f"Z{kind},600,2") == "OK"
    reply = client.ask("c", pumps=60)
    assert f"T05{word}:600;" in reply
    expected = BODY + (11 if word == "rwatch" else 7)
    assert client.server.machine.cpu.ip == expected
    assert client.ask(f"z{kind},600,2") == "OK"
    client.send("c")
    assert client.pump(50).status == 15


def test_a_watchpoint_of_nothing_is_refused(connect: Callable[..., Client]) -> None:
    client = connect()
    assert client.ask("Z2,600,0") == "E16"
    assert client.ask("Z2,600,ffffffff") == "E16"


def test_ctrl_c_stops_a_loop_within_a_moment(connect: Callable[..., Client]) -> None:
    client = connect()
    client.send("c")
    client.pump(5)
    began = time.monotonic()
    client.socket.sendall(b"\x03")
    while not client.server.stopped:
        client.server.run_to(1 << 62)
    assert time.monotonic() - began < 2
    assert b"$T02" in client.take()


def test_ctrl_c_stops_the_slow_gear_too(connect: Callable[..., Client]) -> None:
    client = connect()
    client.ask("Z2,5000,4")
    client.send("c")
    client.pump(2)
    client.socket.sendall(b"\x03")
    for _ in range(20):
        client.server.run_to(1 << 62)
    assert client.server.stopped


def test_a_run_that_was_debugged_ends_in_the_same_state(connect: Callable[..., Client]) -> None:
    with minivm.boot("protected") as vm:
        vm.run()
        expected = vm.state_hash()
    client = connect("protected")
    address = assemble_file(GUESTS / "protected.asm").symbols["store"]
    client.ask(f"Z0,{address:x},1")
    client.ask("c", pumps=40)
    for _ in range(3):
        client.ask("s", pumps=4)
    client.ask(f"z0,{address:x},1")
    client.send("c")
    client.pump(50)
    assert client.server.machine.state_hash() == expected


def test_the_exit_status_is_told(connect: Callable[..., Client]) -> None:
    client = connect(COUNT)
    client.send("c")
    ended = client.pump(50)
    client.server.finish(ended.status)
    assert frame(b"W0f") in client.take()


def test_a_triple_fault_is_shown_before_it_ends(connect: Callable[..., Client]) -> None:
    client = connect("triplefault")
    client.send("c")
    client.pump(50)
    said = client.take()
    assert b"$T06" in said
    words = b"".join(bytes.fromhex(text.decode()) for text in re.findall(rb"\$O([0-9a-f]+)#", said))
    assert b"triple fault" in words
    client.send("c")
    assert client.pump().reason == "shutdown"


# -- monitor --------------------------------------------------------------------------------------------------------


def monitor(client: Client, line: str) -> str:
    """Give a monitor command and return what it prints."""
    client.send("qRcmd," + line.encode().hex())
    client.pump()
    said = client.take()
    assert frame(b"OK") in said
    return b"".join(bytes.fromhex(text.decode()) for text in re.findall(rb"\$O([0-9a-f]*)#", said)).decode()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("help", "monitor info WHAT"), ("", "this list"), ("nonsense", "monitor help"),
        ("regs", "32-bit protected mode"), ("where", "rol edx"), ("screen", "32 bits: EDX holds"),
        ("print cx * 2 + 1", "= "), ("print (", "column"), ("info gdt", "32-bit code"), ("info idt", ""),
        ("info tss", "no TSS"), ("info pages", "rwx"), ("info pages 0x7c00", "paging is off"),
        ("info devices", "pit"), ("info devices pic0", "master"), ("info devices nothing", "no device"),
        ("info irq", "IRQ0, the timer"), ("info breaks", "(none)"), ("info nothing", "info knows"),
        ("symbol 0x7c00", "no symbol"), ("break 0x7c00 if cx == 3", "breakpoint at"), ("break (", "column"),
        ("watch ecx", "watch change"), ("catch port 0x60", "catch port 60h"), ("catch nothing", "cannot be caught"),
        ("delete 7", "no breakpoint 7"), ("delete x", "number"), ("arch vax", "arch takes"), ("pc x", "linear"),
        ("type dir\\n", "keys"), ("type <Nonsense>", "Nonsense"), ("reset", "resets"), ("quit", "ends"),
    ],
)  # fmt: skip
def test_monitor_answers_in_words(connect: Callable[..., Client], line: str, words: str) -> None:
    client = at_label(connect, "protected", "digit")
    assert words in monitor(client, line)


def test_a_catch_of_the_monitor_stops_with_its_words(connect: Callable[..., Client]) -> None:
    client = connect("protected")
    monitor(client, "catch mode")
    client.send("c")
    client.pump(90)
    said = client.take()
    assert b"minivm: the mode changed from real to 16\n".hex().encode() in said
    assert b"$T05" in said


def test_the_architecture_is_chosen_for_the_next_connection(connect: Callable[..., Client]) -> None:
    client = connect()
    assert client.description().findtext("architecture") == "i8086"
    monitor(client, "arch x86-64")
    assert client.description().findtext("architecture") == "i8086"
    client.socket.close()
    client.pump()
    again = Client(client.server)
    again.pump(1)
    assert again.description().findtext("architecture") == "i386:x86-64"
    assert again.registers()["rip"] == 0xFFF0
    again.socket.close()


# -- the real gdb ---------------------------------------------------------------------------------------------------

real_gdb = pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed: apt install gdb")
WIDE = ("set architecture i386:x86-64",)


def gdb(
    guest: str | bytes | Path, *commands: str, before: tuple[str, ...] = (), interrupt_after: float | None = None,
    **options: object,
) -> tuple[str, Ended]:  # fmt: skip
    """Let gdb do `commands` with a guest that waits for it; return what it said, and how the machine ended."""
    with minivm.boot(guest) as vm, GdbServer(vm, stopped=True, **options) as server:
        words = ["gdb", "-nx", "-nh", "-batch"]
        for command in ("set pagination off", *before, f"target remote 127.0.0.1:{server.port}", *commands):
            words += ["-ex", command.replace("PORT", str(server.port))]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        timers = [threading.Timer(60, process.kill), threading.Timer(61, server.quit)]
        if interrupt_after is not None:
            timers.append(threading.Timer(interrupt_after, process.send_signal, (signal.SIGINT,)))
        for timer in timers:
            timer.start()
        ended = server.serve()
        said = process.communicate()[0]
        for timer in timers:
            timer.cancel()
        return said, ended


@real_gdb
def test_gdb_debugs_real_mode() -> None:
    said, ended = gdb(
        "hello-bios", "hbreak *0x7c00", "continue", "x/2i $pc", "stepi", "stepi", "info registers eip ds cs_base",
        "set var $eax = 0x12345678", "p/x $ax", "set var *(char *)0x600 = 0x41", "x/1xb 0x600", "monitor where",
        "continue",
    )  # fmt: skip
    assert "Breakpoint 1, 0x00007c00" in said
    assert "=> 0x7c00:\txor    %ax,%ax" in said
    assert re.search(r"eip +0x7c04", said)
    assert "$1 = 0x5678" in said
    assert re.search(r"0x600:\s+0x41", said)
    assert "0000:7C04" in said
    assert "exited normally" in said
    assert ended.reason == "halted"


@real_gdb
def test_gdb_debugs_protected_mode() -> None:
    symbols = assemble_file(GUESTS / "protected.asm").symbols
    said, _ = gdb(
        "protected", f"break *{symbols['digit']:#x}", "continue", "x/i $pc", "p/x $edx", "p $cr0", "stepi", "p/x $edx",
        "delete", "set var $ecx = 1", "continue", architecture="i386",
    )  # fmt: skip
    assert "rol    $0x4,%edx" in said
    assert "$1 = 0x12345678" in said
    assert "$2 = [ PE ET" in said
    assert "$3 = 0x23456781" in said
    assert "exited normally" in said


@real_gdb
def test_gdb_debugs_long_mode() -> None:
    symbols = assemble_file(GUESTS / "longmode.asm").symbols
    said, _ = gdb(
        "longmode", f"break *{symbols['number']:#x}", "continue", "x/i $pc", "stepi", "p/x $r15", "p $efer",
        "set var $r14 = 0x1122334455667788", "p/x $r14", "p/x $xmm0.uint128", "p $fctrl", "continue",
        before=WIDE, architecture="x86-64",
    )  # fmt: skip
    assert "movabs $0x123456789abcdef,%r15" in said
    assert "$1 = 0x123456789abcdef" in said
    assert "$2 = [ LME LMA ]" in said
    assert "$3 = 0x1122334455667788" in said
    assert "exited normally" in said


@real_gdb
def test_gdb_follows_system_calls_between_rings() -> None:
    symbols = assemble_file(GUESTS / "syscall64.asm").symbols
    said, _ = gdb(
        "syscall64", f"break *{symbols['user']:#x}", f"break *{symbols['system_call']:#x}", "continue", "p $cs & 3",
        "continue", "p $cs & 3", "delete", "continue", before=WIDE, architecture="x86-64",
    )  # fmt: skip
    assert "$1 = 3" in said
    assert "$2 = 0" in said
    assert "exited normally" in said


@real_gdb
def test_gdb_connects_again_with_another_architecture() -> None:
    said, ended = gdb(
        "longmode", "monitor arch x86-64", "disconnect", "set architecture i386:x86-64", "target remote 127.0.0.1:PORT",
        "p/x $rip", "kill",
    )  # fmt: skip
    assert "$1 = 0xfff0" in said
    assert ended is KILLED


PROGRAM = """
__attribute__((section(".multiboot"), used)) static const unsigned header[3] = {0x1BADB002, 0, -0x1BADB002u};
char stack[4096];
volatile int counter;

int square(int number)
{
    int result = number * number;
    counter = result;
    return result;
}

void run(void)
{
    int sum = 0;
    for (int i = 1; i < 4; i++)
        sum += square(i);
    __asm__ volatile("outb %0, $0xF4" : : "a"((unsigned char)sum));
    for (;;)
        ;
}

__attribute__((naked)) void start(void)
{
    __asm__("mov $stack + 4096, %esp\\n call run");
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Multiboot kernel in C, with symbols and lines."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "kernel.c").write_text(PROGRAM)
    words = ["-m32", "-march=i686", "-O0", "-g", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie",
             "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-Wl,--build-id=none",
             f"-Wl,-T,{GUESTS / 'workload' / 'workload.ld'}"]  # fmt: skip
    made = subprocess.run(["gcc", *words, "-o", folder / "kernel.elf", folder / "kernel.c"], capture_output=True)
    if made.returncode:
        pytest.skip("gcc cannot compile for 32 bits here")
    return folder / "kernel.elf"


@real_gdb
def test_gdb_debugs_a_kernel_in_c_by_its_lines(kernel: Path) -> None:
    said, ended = gdb(
        kernel, "break square", "continue", "backtrace", "next", "p number", "p result", "finish", "p sum",
        "tbreak square", "delete 1", "continue", "p number", "continue", before=(f"file {kernel}",),
    )  # fmt: skip
    assert "Breakpoint 1, square (number=1)" in said
    assert "#1  " in said and "in run () at" in said
    assert "$1 = 1" in said
    assert "Value returned is" in said
    assert "square (number=2)" in said
    assert "exited with code 035" in said
    assert ended.status == 29


@real_gdb
def test_gdb_watches_a_variable(kernel: Path) -> None:
    said, _ = gdb(
        kernel, "watch counter", "continue", "continue", "p counter", "delete", "rwatch counter", "awatch counter",
        "delete", "continue", before=(f"file {kernel}",),
    )  # fmt: skip
    assert "Hardware watchpoint 1: counter" in said
    assert re.search(r"Old value = 0\s+New value = 1", said)
    assert re.search(r"Old value = 1\s+New value = 4", said)


@real_gdb
def test_gdb_interrupts_a_guest_that_loops_for_ever() -> None:
    said, ended = gdb(LOOP, "continue", "p $eip >= 0x7c00", "kill", interrupt_after=1.5)
    assert "SIGINT" in said
    assert "$1 = 1" in said
    assert ended is KILLED


@real_gdb
def test_gdb_shows_a_triple_fault_where_it_happened() -> None:
    said, _ = gdb("triplefault", "continue", "p/x $eip", "continue")
    assert "triple fault" in said
    assert "SIGABRT" in said
    assert "exited with code 03" in said
