"""A server for GDB's remote protocol: `target remote :PORT` debugs the machine, whatever mode its CPU is in.

GDB's manual, appendix E. Everything happens on the machine's own thread, between two pieces of a run: `run_to` serves
the client and runs the machine. While it runs, a second thread waits for the client to say something, and then does
the one thing that another thread may do: it asks the machine to come to a safe point.

The machine keeps its past (timeline.py), so that GDB's reverse commands work: packets `bs` and `bc`, appendix E.2.
"""

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from minivm.core.clock import NEVER
from minivm.core.record import record
from minivm.debug.debugger import Catch, DebugError, Debugger, Stop, Watchpoint
from minivm.debug.gdb_monitor import Monitor
from minivm.debug.gdb_packets import PACKET_BYTES, Event, PacketReader, escape, frame, unescape
from minivm.debug.gdb_target import ARCHITECTURES, Target
from minivm.debug.reverse import Reverse
from minivm.errors import ConfigError, MiniVMError, SnapshotError
from minivm.machine import LIMIT, Ended, Machine

KILLED = Ended("killed")
_PATIENCE_S = 0.02
"""How long the machine stands still, or runs, before whoever called `run_to` gets a turn."""
_SHORTEST_PIECE_S = 0.002
"""So long the machine runs even if a client never stops talking."""
_SEND_PATIENCE_S = 2.0
"""A client that takes no answer for so long is gone."""
_SIGINT, _SIGTRAP, _SIGABRT = 2, 5, 6
_NO_ENTRY, _NO_MEMORY, _INVALID = b"E02", b"E0e", b"E16"  # errno, as GDB shows it
_WATCH_WORDS = {2: "watch", 3: "rwatch", 4: "awatch"}
_WATCH_KINDS = {2: "write", 3: "read", 4: "access"}
_LARGEST_WATCH = 0x10000
_ADDRESS_MASK = (1 << 64) - 1
_ABLE = b"qXfer:features:read+;swbreak+;hwbreak+;vContSupported+;QStartNoAckMode+"
_ABLE_BACK = b";ReverseStep+;ReverseContinue+"
_BACKWARDS = {b"s": "step back", b"c": "resume back"}


class GdbServer:
    """Serves one GDB client at a time on 127.0.0.1; port 0 takes any free one, and `port` says which.

    `stopped` keeps the machine from starting until a client lets it. `architecture` is one of `ARCHITECTURES`, or
    "auto": by the CPU's mode when a client connects. With `history` the machine's past is kept from now on, so that
    GDB can go back; `no_history` says why it is not. Raises `ConfigError` when the port cannot be had.
    """

    def __init__(
        self,
        machine: Machine,
        port: int = 0,
        *,
        stopped: bool = False,
        architecture: str = "auto",
        debugger: Debugger | None = None,
        history: bool = True,
    ) -> None:
        if architecture != "auto" and architecture not in ARCHITECTURES:
            raise ConfigError(f"gdb: there is no architecture {architecture!r}; give auto, {', '.join(ARCHITECTURES)}")
        self.machine = machine
        self.debugger = debugger if debugger is not None else Debugger(machine)
        self.stopped = stopped
        self.quit_wanted = False
        self._architecture, self._linear_pc = architecture, False
        self._client: _Client | None = None
        self._monitor = Monitor(self.debugger, self)
        self._next_start = "resume"
        self._shown_end = False
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._bell = _Bell(machine)
        self._keeps_past = self.debugger.timeline is None
        self.reverse: Reverse | None = None
        self.no_history = "" if history else "it was switched off"
        if history:
            self._keep_history()

    # -- for whoever runs the machine -----------------------------------------------------------------------------
    def run_to(self, position: int) -> Ended:
        """Serve the client, and run the machine to virtual time `position` unless the client holds it.

        Returns after `_PATIENCE_S` with "limit" when the machine stands still or had no time to get there; otherwise
        as `Machine.run_to` does. `KILLED` is the end that the client asked for.
        """
        self._serve(_PATIENCE_S if self.stopped else 0)
        if self.quit_wanted:
            return KILLED
        if self.stopped:
            return LIMIT
        return self._run_piece(position)

    def serve(self) -> Ended:
        """Run the machine until it ends or the client ends it: for a program that does nothing else."""
        while True:
            ended = self.run_to(NEVER)
            if ended.final and (ended is KILLED or self.machine.ended is not None):
                self.finish(ended.status)
                return ended
            if ended.final:
                self._serve(_PATIENCE_S)  # asleep until somebody presses a key

    def finish(self, status: int) -> None:
        """Tell the client that the machine has ended with this exit status."""
        if self._client is not None and self._client.awaits_stop:
            self._client.send(b"W%02x" % (status & 0xFF))
            self._client.awaits_stop = False

    def close(self) -> None:
        """Let the client go and free the port; the machine can be used on, from where it stands."""
        self._bell.close()
        self._drop()
        self._listener.close()
        if self.reverse is not None:
            self.reverse.timeline.went_back.remove(self._forget_stop)
            self.reverse.timeline.interrupted = self._interrupted_before
            self.reverse = None
            if self._keeps_past:
                self.debugger.forget_past()

    def __enter__(self) -> "GdbServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the past -------------------------------------------------------------------------------------------------
    def _keep_history(self) -> None:
        if self.machine.journal is not None and self.debugger.timeline is None:
            self.no_history = "the run is recorded into a file, which cannot go back"
            return
        try:
            self.machine.state()
        except SnapshotError as error:
            self.no_history = str(error)
            return
        self.reverse = Reverse(self.debugger)
        timeline = self.reverse.timeline
        timeline.went_back.append(self._forget_stop)
        self._interrupted_before, timeline.interrupted = timeline.interrupted, self._is_interrupted

    def _forget_stop(self) -> None:
        """The machine was put somewhere else: what was told of its last stop holds no more."""
        self._shown_end = False
        if self._client is not None:
            self._client.forget_stop()

    def _is_interrupted(self) -> bool:
        """Tell whether the client wants no more of a way back: Ctrl-C has come, or it is gone."""
        if not self._bell.rung:
            return False
        if self._client is None or self._client.wants_a_stop():
            return True
        self._arm_bell()
        return False

    def _go_back(self, start: str) -> Stop:
        assert self.reverse is not None
        try:
            if start == "resume back":
                return self.reverse.resume()
            before = self.machine.now
            stop = self.reverse.step()
            return (self._what_was_undone(before) if stop.reason == "step" else None) or stop
        except MiniVMError as error:
            return Stop("error", str(error))

    def _what_was_undone(self, end: int) -> Stop | None:
        """Return what the instruction that was stepped back over runs into, as a step forward tells it."""
        assert self.reverse is not None
        wanted = [entry for entry in self.debugger.entries() if isinstance(entry, Watchpoint | Catch)]
        if not wanted:
            return None
        timeline = self.reverse.timeline
        here = timeline.moment()
        with self.debugger.looking_back(wanted):
            self.debugger.look_around()
            stop = self.debugger.one_step(end)
        timeline.return_to(here)
        return stop if stop is not None and stop.number else None

    # -- for the monitor's commands -------------------------------------------------------------------------------
    def choose_architecture(self, name: str) -> None:
        """Describe the registers as those of `name` to the next client, "auto" by the CPU's mode."""
        self._architecture = name

    def choose_pc(self, linear: bool) -> None:
        """Give GDB linear addresses for EIP, or offsets as the register has them."""
        self._linear_pc = linear
        if self._client is not None:
            self._client.target.linear_pc = linear

    def quit(self) -> None:
        """End the machine."""
        self.quit_wanted = True

    # -- the run --------------------------------------------------------------------------------------------------
    def _run_piece(self, position: int) -> Ended:
        bell = self._bell
        self._arm_bell()
        try:
            stop = self._start() or self.debugger.go_on(position, lambda: bell.rung)
        finally:
            bell.disarm()
        if stop.ended is not None:
            return self._at_end(stop.ended)
        if stop.reason != "limit":
            signal = _SIGINT if stop.reason == "stopped" else _SIGTRAP
            self._stop(stop, signal) if self._client is not None else self.go("resume")
        return LIMIT

    def _arm_bell(self) -> None:
        self._bell.arm([one.fileno() for one in (self._listener, self._client) if one is not None])

    def _start(self) -> Stop | None:
        """Do what must happen first after a stop: one instruction, with or without a look at what comes behind it."""
        start, self._next_start = self._next_start, ""
        if start == "step":
            return self.debugger.step()
        if start == "resume":
            stop = self.debugger.resume(ms=0)
            return None if stop.reason == "limit" else stop
        return self._go_back(start) if start in _BACKWARDS.values() else None

    def _at_end(self, ended: Ended) -> Ended:
        """Show a triple fault to the client while everything still stands as it was; other ends just end."""
        if ended.autopsy is None or self._client is None or not self._client.awaits_stop or self._shown_end:
            if self.machine.ended is None and self._client is not None and self._client.stepping:
                self._stop(Stop("halted", "the CPU is halted, and only a key can wake it"))
            return ended if not self.stopped else LIMIT
        self._shown_end = True
        chain = "; ".join(f"{vector:02X}h: {words}" for vector, words in ended.autopsy.chain)
        self._stop(Stop("shutdown", f"triple fault: {chain}"), signal=_SIGABRT)
        return LIMIT

    def _stop(self, stop: Stop, signal: int = _SIGTRAP) -> None:
        """Hold the machine, and tell the client why."""
        self.stopped = True
        self._next_start = "resume"
        if self._client is not None:
            self._client.tell_stop(stop, signal)

    # -- the connection -------------------------------------------------------------------------------------------
    def _serve(self, seconds: float) -> None:
        """Take connections and answer what the client says, for `seconds` or until the machine is to run."""
        end = time.monotonic() + seconds
        while True:
            files = [self._listener, *([self._client.socket] if self._client is not None else [])]
            ready, _, _ = select.select(files, [], [], max(0.0, end - time.monotonic()))
            client = self._client
            if client is not None and client.socket in ready and not client.take_input():
                self._drop()  # before a new one is taken: a GDB that connects again has hung up first
            if self._listener in ready:
                self._accept()
            if time.monotonic() >= end or not self.stopped or self.quit_wanted:
                return

    def _accept(self) -> None:
        """Take a new client; one that is there already and has shown that it is a GDB goes before."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if self._client is not None and self._client.attached:
            connection.close()
            return
        self._drop()
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = _Client(self, connection)

    def _drop(self) -> None:
        """Forget the client and everything it has armed; a machine that it held stands still until another comes."""
        client, self._client = self._client, None
        if self._next_start in _BACKWARDS.values():
            self.hold()
        if client is not None:
            client.disarm_all()
            client.close()

    def describe_target(self) -> Target:
        """Return the registers as the next client is to see them."""
        name = self._architecture
        if name == "auto":
            name = {16: "i8086", 32: "i386", 64: "x86-64"}[self.machine.cpu.code_bits]
        return Target(self.debugger, name, linear_pc=self._linear_pc)

    def hold(self) -> None:
        """Stop the machine where it is, for a client that has just come."""
        if not self.stopped:
            self.stopped, self._next_start = True, "resume"

    def go(self, start: str) -> None:
        """Let the machine run: "step" one instruction, or "resume"; "step back" and "resume back" undo."""
        self.stopped, self._next_start = False, start

    def let_go(self) -> None:
        """Run on without the client."""
        if self._client is not None:
            self._client.disarm_all()
        self.go("resume")

    def command(self, line: str) -> str:
        """Do what `monitor` was given, and return the words for it."""
        self._arm_bell()
        try:
            return self._monitor.answer(line)
        finally:
            self._bell.disarm()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(4)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"gdb: port {port} cannot be had: {reason}; give another, or 0 for any") from None
    return listener


@record
class _Armed:
    """What a Z packet has armed: the debugger's number for it, and the packet's kind and address."""

    number: int
    kind: int
    address: int


class _Client:
    """One connection: what it said so far, and the answers to its packets."""

    def __init__(self, server: GdbServer, connection: socket.socket) -> None:
        self.socket = connection
        self.attached = False
        """True once it has said something that only a GDB says; until then it stops nothing."""
        self.awaits_stop = self.stepping = False
        self._server, self._debugger, self._machine = server, server.debugger, server.machine
        self.target = server.describe_target()
        self._reader = PacketReader()
        self._acknowledges = True
        self._last = b""
        self._last_stop = b""
        self._armed: dict[tuple[int, int, int], _Armed] = {}
        self._answers: dict[str, Callable[[bytes], bytes | None]] = {
            "?": lambda _: self._last_stop or self._stop_reply(_SIGTRAP),
            "g": lambda _: self.target.read_all().hex().encode(),
            "G": self._write_all, "p": self._read_register, "P": self._write_register,
            "m": self._read_memory, "M": self._write_memory, "X": self._write_binary,
            "c": self._continue, "s": self._step, "C": self._continue_signal, "S": self._step_signal,
            "v": self._verbose, "Z": self._arm, "z": self._disarm, "H": lambda _: b"OK", "T": lambda _: b"OK",
            "q": self._query, "Q": self._set, "D": self._detach, "k": self._kill, "b": self._backwards,
        }  # fmt: skip

    def fileno(self) -> int:
        """Return what to wait for."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    # -- bytes in and out -----------------------------------------------------------------------------------------
    def take_input(self) -> bool:
        """Read and answer what has come; False when the client is gone."""
        try:
            data = self.socket.recv(0x10000)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(data) and all(self._take(event) for event in self._reader.feed(data))

    def wants_a_stop(self) -> bool:
        """Tell whether a Ctrl-C waits to be read, or the end; what else waits is left for later."""
        try:
            waiting = self.socket.recv(0x1000, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not waiting or b"\x03" in waiting

    def send(self, payload: bytes) -> bool:
        """Send one packet; False when the client does not take it."""
        self._last = frame(payload)
        return self._send_raw(self._last)

    def _send_raw(self, data: bytes) -> bool:
        end = time.monotonic() + _SEND_PATIENCE_S
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                left = end - time.monotonic()
                if left <= 0 or not select.select([], [self.socket], [], left)[1]:
                    return False
            except OSError:
                return False
        return True

    def _take(self, event: Event) -> bool:
        match event.kind:
            case "packet":
                return self._take_packet(event.payload)
            case "interrupt" if self.awaits_stop:
                self._server.hold()
                self.tell_stop(Stop("stopped", ""), _SIGINT)
            case "nack" if self._last:
                return self._send_raw(self._last)
            case "bad" if self._acknowledges:
                return self._send_raw(b"-")
        return True

    def _take_packet(self, payload: bytes) -> bool:
        if self._acknowledges and not self._send_raw(b"+"):
            return False
        if not self.attached:
            self.attached = True
            self._server.hold()
            self.target = self._server.describe_target()
        answer = self._answer(payload)
        return answer is None or self.send(answer)

    def _answer(self, payload: bytes) -> bytes | None:
        """Return the answer to a packet; None when it comes later, empty for one that is not known."""
        found = self._answers.get(chr(payload[0])) if payload else None
        if found is None:
            return b""
        try:
            return found(payload[1:])
        except DebugError:
            return _NO_MEMORY
        except (MiniVMError, ValueError, IndexError, OverflowError):
            return _INVALID

    # -- stops ----------------------------------------------------------------------------------------------------
    def tell_stop(self, stop: Stop, signal: int) -> None:
        """Send why the machine stands still, with the words for it when GDB has none of its own."""
        if not self.awaits_stop:
            self._last_stop = self._stop_reply(signal)
            return
        self.awaits_stop = self.stepping = False
        reason = self._reason(stop)
        if not reason and stop.reason not in ("step", "stopped"):
            self._print(f"minivm: {stop.text}\n")
        self._last_stop = self._stop_reply(signal, reason)
        self.send(self._last_stop)

    def forget_stop(self) -> None:
        """Ask the machine itself when the client wants to know the last stop again."""
        self._last_stop = b""

    def _reason(self, stop: Stop) -> str:
        """Return why in GDB's words. Of a breakpoint only when EIP is its address: GDB goes on by itself otherwise."""
        armed = next((one for one in self._armed.values() if one.number == stop.number), None)
        if armed is not None and armed.kind in _WATCH_WORDS:
            return f"{_WATCH_WORDS[armed.kind]}:{armed.address:x};"
        if stop.reason == "history":
            return "replaylog:begin;"
        if stop.reason == "breakpoint":
            here = [one for one in self._armed.values() if one.kind < 2 and one.address == self.target.pc]
            return ("hwbreak:;" if here[0].kind else "swbreak:;") if here else ""
        return ""

    def _stop_reply(self, signal: int, reason: str = "") -> bytes:
        target = self.target
        wide = target.bits == 64
        names = ("rip", "rsp", "rbp") if wide else ("eip", "esp", "ebp")
        registers = "".join(f"{number:02x}:{target.read(number).hex()};" for number in map(target.number, names))
        return f"T{signal:02x}{reason}{registers}thread:1;".encode()

    def _print(self, text: str) -> None:
        for at in range(0, len(text), PACKET_BYTES // 8):
            self.send(b"O" + text[at : at + PACKET_BYTES // 8].encode().hex().encode())

    # -- registers and memory -------------------------------------------------------------------------------------
    def _write_all(self, rest: bytes) -> bytes:
        self.target.write_all(_from_hex(rest))
        return b"OK"

    def _read_register(self, rest: bytes) -> bytes:
        return self.target.read(_number(rest)).hex().encode()

    def _write_register(self, rest: bytes) -> bytes:
        number, _, value = rest.partition(b"=")
        self.target.write(_number(number), _from_hex(value))
        return b"OK"

    def _read_memory(self, rest: bytes) -> bytes:
        address, length = map(_number, rest.split(b","))
        length = min(length, PACKET_BYTES // 2)
        data = self._debugger.read(address & _ADDRESS_MASK, length)
        return data.hex().encode() if data or not length else _NO_MEMORY

    def _write_memory(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._write(place, _from_hex(data))

    def _write_binary(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._write(place, unescape(data))

    def _write(self, place: bytes, data: bytes) -> bytes:
        address, length = map(_number, place.split(b","))
        if length != len(data):
            return _INVALID
        self._debugger.write(address & _ADDRESS_MASK, data)
        return b"OK"

    # -- going on -------------------------------------------------------------------------------------------------
    def _run(self, start: str, address: bytes = b"") -> None:
        if address:
            self.target.set_pc(_number(address))
        self.awaits_stop, self.stepping = True, start == "step"
        self._server.go(start)

    def _continue(self, rest: bytes) -> None:
        self._run("resume", rest)

    def _step(self, rest: bytes) -> None:
        self._run("step", rest)

    def _continue_signal(self, rest: bytes) -> None:
        self._run("resume", rest.partition(b";")[2])  # there are no signals on a PC: only the address counts

    def _step_signal(self, rest: bytes) -> None:
        self._run("step", rest.partition(b";")[2])

    def _backwards(self, rest: bytes) -> bytes | None:
        if rest not in _BACKWARDS or self._server.reverse is None:
            return b""
        self._run(_BACKWARDS[rest])
        return None

    def _verbose(self, rest: bytes) -> bytes | None:
        if rest == b"Cont?":
            return b"vCont;c;C;s;S"
        if not rest.startswith(b"Cont;"):
            return b""
        action = rest[5:6]
        if action not in (b"c", b"C", b"s", b"S"):
            return _INVALID
        self._run("step" if action in b"sS" else "resume")
        return None

    def _detach(self, rest: bytes) -> bytes:
        self._server.let_go()
        self.attached = self.awaits_stop = False
        return b"OK"

    def _kill(self, rest: bytes) -> None:
        self._server.quit()

    # -- breakpoints and watchpoints ------------------------------------------------------------------------------
    def _arm(self, rest: bytes) -> bytes:
        key = _breakpoint(rest)
        kind, address, length = key
        if kind > 4:
            return b""
        if key in self._armed:
            return b"OK"
        if kind < 2:
            entry: int = self._debugger.break_at(address).number
        elif 0 < length <= _LARGEST_WATCH:
            place = f"byte [0x{address:x}]"
            entry = self._debugger.watch(place, _WATCH_KINDS[kind], length=length).number
        else:
            return _INVALID
        self._armed[key] = _Armed(entry, kind, address)
        return b"OK"

    def _disarm(self, rest: bytes) -> bytes:
        armed = self._armed.pop(_breakpoint(rest), None)
        if armed is not None:
            self._forget(armed)
        return b"OK"

    def disarm_all(self) -> None:
        """Take back all that this client has armed."""
        while self._armed:
            self._forget(self._armed.popitem()[1])

    def _forget(self, armed: _Armed) -> None:
        with suppress(DebugError):
            self._debugger.remove(armed.number)

    # -- queries --------------------------------------------------------------------------------------------------
    def _query(self, rest: bytes) -> bytes | None:
        name, _, argument = rest.partition(b":")
        match name.partition(b",")[0]:
            case b"Supported":
                return b"PacketSize=%x;%b%b" % (PACKET_BYTES, _ABLE, _ABLE_BACK if self._server.reverse else b"")
            case b"Xfer":
                return self._transfer(argument)
            case b"C":
                return b"QC1"
            case b"fThreadInfo":
                return b"m1"
            case b"sThreadInfo":
                return b"l"
            case b"ThreadExtraInfo":
                return f"CPU, {self._machine.cpu.mode}".encode().hex().encode()
            case b"Attached":
                return b"1"
            case b"Symbol":
                return b"OK"
            case b"Rcmd":
                return self._monitor(rest.partition(b",")[2])
        return b""

    def _transfer(self, what: bytes) -> bytes:
        kind, verb, annex, place = what.split(b":")
        if (kind, verb) != (b"features", b"read"):
            return b""
        if annex != b"target.xml":
            return b"E00"
        offset, length = map(_number, place.split(b","))
        piece = self.target.xml[offset : offset + min(length, PACKET_BYTES // 2)]
        more = offset + len(piece) < len(self.target.xml)
        return (b"m" if more else b"l") + escape(piece)

    def _set(self, rest: bytes) -> bytes:
        if rest != b"StartNoAckMode":
            return b""
        self._acknowledges = False
        return b"OK"

    def _monitor(self, line: bytes) -> bytes:
        self._print(self._server.command(_from_hex(line).decode("utf-8", "replace")))
        return b"OK"


def _number(text: bytes) -> int:
    """Read a number in hexadecimal; raises `ValueError` for all that Python would take beyond plain digits."""
    if not text or not text.isalnum():
        raise ValueError("no number")
    return int(text, 16)


def _from_hex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode("ascii"))


def _breakpoint(rest: bytes) -> tuple[int, int, int]:
    kind, address, length, *_ = map(_number, rest.partition(b";")[0].split(b","))
    return kind, address & _ADDRESS_MASK, length


class _Bell:
    """Rings when one of some files can be read, or after a while: it makes the running machine come to a safe point.

    `rung` says that it did. Only its own thread waits; it touches nothing but `Machine.stop`.
    """

    def __init__(self, machine: Machine) -> None:
        self.rung = False
        self._machine = machine
        self._files: list[int] = []
        self._armed, self._lock, self._closed = threading.Event(), threading.Lock(), False
        self._thread = threading.Thread(target=self._watch, name="gdb bell", daemon=True)
        self._thread.start()

    def arm(self, files: list[int]) -> None:
        """Ring for `files` from now on, once."""
        self.rung, self._files = False, files
        self._armed.set()

    def disarm(self) -> None:
        """Do not ring any more, and take back a ring that nobody has heard yet."""
        with self._lock:
            self._armed.clear()
        self._machine.engine.take_stop()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._closed = True
            self._armed.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._armed.wait()
            if self._closed:
                return
            time.sleep(_SHORTEST_PIECE_S)
            with suppress(OSError, ValueError):  # the file was closed meanwhile
                select.select(self._files, [], [], _PATIENCE_S)
            with self._lock:
                if self._armed.is_set() and not self._closed:
                    self._armed.clear()
                    self.rung = True
                    self._machine.stop()


__all__ = ["KILLED", "GdbServer"]
