"""A real QEMU as a `System`: its chips by the qtest socket, its time by a CPU that counts.

The qtest protocol (QEMU, system/qtest.c) reads and writes ports and memory and tells of interrupt lines. Its own
`clock_step` needs the qtest accelerator, which Debian leaves out of its packages. So time passes here as it does for a
guest: QEMU counts instructions (`-icount`, 64 ns each), and a loop in a ROM of ours, started by the GDB protocol with
a count and stopped by a breakpoint behind it, executes as many as are wanted. In between the CPU stands still.

One trap lies there. QEMU takes the stopped CPU for an idle one, for a moment, and may warp its clock to the next
timer's deadline, whosever that is. So before each run a comparator of the HPET, which no contract uses, is set to
where the run shall end: a warp then ends there. The HPET's counter also says what time it really is, to 10 ns.
"""

import contextlib
import json
import select
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from minivm.core.keys import SCAN_CODES
from minivm.core.memory import MIB
from minivm.testing.system import NO_MEDIA, RESOLUTION_NS, Media, SystemGone

PROGRAM = "qemu-system-i386"
ICOUNT_SHIFT = 6
INSTRUCTION_NS = 1 << ICOUNT_SHIFT
LAST_INSTRUCTIONS = 3
"""A run ends so many instructions before its end, and the comparator brings it there."""
HPET, HPET_TICK_NS = 0xFED00000, 10
HPET_ENABLE, HPET_COUNTER = 0x10, 0xF0
TIMER_CONFIGURATION, TIMER_COMPARATOR = 0x100, 0x108
TIMER_ON_LINE_20 = 20 << 9 | 0x100 | 0x4
"""32 bits, enabled, at an input of the I/O APIC that the PICs do not have (IA-PC HPET 1.0a, section 2.3.8)."""
PATIENCE_S = 20.0
"""So long QEMU may take to answer, by the host's clock."""
ROM_BYTES = 2 << 20
"""Two copies of 1 MiB, since the loop must be there as well when the guest has closed address line 20."""
ROM_BASE = 0xFFFF0000
SINGLE, LOOP = 0, 1
"""Offsets in the ROM: a NOP, and `dec ecx; jnz` behind it; the breakpoint lies behind both."""
PROGRAM_CODE = b"\x90" + b"\x66\x49" + b"\x75\xfc" + b"\xf4"
END = len(PROGRAM_CODE) - 1
ECX, EIP = 1, 8
"""Numbers of registers in the GDB protocol's i386 target."""
KEY_RUN_NS, KEY_TRIES = 20_000_000, 50
"""A key comes somewhere in a run of this length; a run that was over too soon is tried again."""
GONE = "went away"


def find_qemu() -> str:
    """Return the program's path; raises `SystemGone` with the way to get it."""
    path = shutil.which(PROGRAM)
    if path is None:
        raise SystemGone(f"{PROGRAM} is not installed; on Debian: apt install qemu-system-x86")
    return path


Questions = Sequence[tuple[str, Mapping[str, object]]]
"""QMP commands with their arguments."""


class _Wire:
    """A stream of lines or packets from QEMU, which connects to a socket of ours."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self.name = name
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        self._listener.settimeout(0.05)
        self.socket = self._listener
        self.family: list[_Wire] = [self]
        self.ended = False
        self._waiting = b""

    def accept(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until QEMU has connected; raises `SystemGone` when it ends before."""
        for _ in range(round(PATIENCE_S / 0.05)):
            with contextlib.suppress(TimeoutError):
                self.socket, _ = self._listener.accept()
                self.socket.settimeout(PATIENCE_S)
                return
            if process.poll() is not None:
                raise SystemGone(f"QEMU did not start: {_last_line(process)}")
        raise SystemGone(f"QEMU did not connect its {self.name} socket in {PATIENCE_S:g} s")

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise SystemGone(f"QEMU {GONE} ({self.name}: {error.strerror or error})") from error

    def until(self, mark: bytes) -> bytes:
        """Return what comes up to and including `mark`."""
        while mark not in self._waiting:
            self._wait()
        return self.take(self._waiting.index(mark) + len(mark))

    def take(self, length: int) -> bytes:
        """Return the next `length` bytes."""
        while len(self._waiting) < length:
            self._wait()
        found, self._waiting = self._waiting[:length], self._waiting[length:]
        return found

    def _wait(self) -> None:
        """Wait for more, and meanwhile take in what comes at the other sockets: QEMU stops when one of them is full."""
        wires = {wire.socket: wire for wire in self.family if not wire.ended}
        ready = select.select(list(wires), (), (), self.socket.gettimeout())[0]
        if not ready:
            raise SystemGone(f"QEMU gave no answer at its {self.name} socket in {self.socket.gettimeout():g} s")
        for one in ready:
            wires[one]._take_in()
        if self.ended:
            raise SystemGone(f"QEMU {GONE} ({self.name}: the socket was closed)")

    def _take_in(self) -> None:
        try:
            part = self.socket.recv(1 << 16)
        except OSError:
            part = b""
        self.ended = not part
        self._waiting += part

    def available(self) -> bytes:
        """Return what has come, without waiting."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, OSError):
            while part := self.socket.recv(1 << 16):
                self._waiting += part
        self.socket.settimeout(PATIENCE_S)
        found, self._waiting = self._waiting, b""
        return found

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self._listener.close()


class QemuSystem:
    """QEMU's PC (i440FX) with a CPU that only counts; a context manager.

    Raises `SystemGone` in one line when QEMU is missing, does not start, dies or gives no answer.
    """

    name = "QEMU"

    def __init__(self, media: Media = NO_MEDIA, *, memory_mib: int = 8) -> None:
        program = find_qemu()
        self._folder = TemporaryDirectory(prefix="minivm-qtest-")
        folder = Path(self._folder.name)
        self._wires = {name: _Wire(folder, name) for name in ("qtest", "gdb", "qmp", "com1")}
        self._process: subprocess.Popen[bytes] | None = None
        self._levels: dict[int, bool] = {}
        self._now = self._wanted = self._epoch = self._resets = 0
        self._sent = b""
        self._pics: list[str] = []
        self._status: int | None = None
        try:
            self._start(program, folder, memory_mib, _drives(media, folder))
        except BaseException:
            self.close()
            raise

    # -- System -----------------------------------------------------------------------------------------------------
    @property
    def now(self) -> int:
        """Virtual nanoseconds since QEMU began."""
        return self._now

    def read_port(self, port: int, size: int) -> int:
        """Do an IN."""
        return int(self._ask(f"in{_LETTERS[size]} {port:#x}") or "0xff", 16)

    def write_port(self, port: int, size: int, value: int) -> None:
        """Do an OUT; QEMU may end by it."""
        self._ask(f"out{_LETTERS[size]} {port:#x} {value:#x}")

    def read_memory(self, address: int, length: int) -> bytes:
        """Read byte by byte, as chips with registers behind memory want it, and RAM above them through the CPU.

        Only the CPU has address line 20's gate. The debugger reads through the CPU, but it would not reach chips.
        """
        if address >= MIB:
            return bytes.fromhex(self._gdb(f"m{address:x},{length:x}").decode())
        return bytes(int(self._ask(f"readb {address + place:#x}") or "0", 16) for place in range(length))

    def write_memory(self, address: int, data: bytes) -> None:
        """Write byte by byte, above 1 MiB through the CPU as well."""
        if address >= MIB:
            self._gdb(f"M{address:x},{len(data):x}:{data.hex()}")
            return
        for place, byte in enumerate(data):
            self._ask(f"writeb {address + place:#x} {byte:#x}")

    def pass_time(self, delay_ns: int) -> None:
        """Let the CPU count up to `delay_ns` from where the last such run was to end."""
        self._wanted += delay_ns
        while self._wanted - self._now >= RESOLUTION_NS // 2:
            self._go_on()

    def _go_on(self, asked: Questions = ()) -> list[Any]:
        """Run up to the wanted time, or to shortly before it; return the answers to what is asked by QMP meanwhile."""
        if int(self._ask(f"readl {HPET + HPET_ENABLE:#x}"), 16) == 0:
            self._start_clock()
        end = (self._wanted - self._epoch) // HPET_TICK_NS
        self._ask(f"writel {HPET + TIMER_COMPARATOR:#x} {end & 0xFFFF_FFFF:#x}")
        answers = self._count(max((self._wanted - self._now) // INSTRUCTION_NS - LAST_INSTRUCTIONS, 1), asked)
        self._now = self._epoch + int(self._ask(f"readl {HPET + HPET_COUNTER:#x}"), 16) * HPET_TICK_NS
        return answers

    def _start_clock(self) -> None:
        """Start the HPET, which counts from 0; a reset of the machine has stopped it."""
        self._epoch = self._now
        self._ask(f"writel {HPET + HPET_ENABLE:#x} 1")
        self._ask(f"writel {HPET + TIMER_CONFIGURATION:#x} {TIMER_ON_LINE_20:#x}")

    def _count(self, instructions: int, asked: Questions) -> list[Any]:
        """Let the CPU execute so many instructions, at least one."""
        turns = instructions >> 1
        start = SINGLE if instructions & 1 else LOOP
        end = ROM_BASE + (END if turns else LOOP)
        self._gdb(f"Z0,{end:x},1")
        self._gdb(f"P{ECX:x}={turns.to_bytes(4, 'little').hex()}")
        self._gdb(f"P{EIP:x}={start.to_bytes(4, 'little').hex()}")
        self._gdb_send("c")
        for command, arguments in asked:
            self._qmp_send(command, arguments)
        answers = [self._qmp_answer() for _ in asked]
        self._gdb_answer("c")
        self._gdb(f"z0,{end:x},1")
        return answers

    def irq(self, number: int) -> bool:
        """Return what QEMU last told of the line."""
        self._ask("readb 0")  # what it has to tell comes before the answer
        return self._levels.get(number, False)

    def drive_irq(self, number: int, level: bool) -> None:
        """Drive an input of one of the two PICs."""
        self._ask(f"set_irq_in {self._pic(number >> 3)} unnamed-gpio-in {number & 7} {int(level)}")

    def send_serial(self, data: bytes) -> None:
        """Send at the other end of COM1's line, and let QEMU's main loop come round."""
        self._wires["com1"].send(data)
        for _ in range(50):
            self._ask("readb 0")

    def sent_serial(self) -> bytes:
        """Return what has arrived at the other end of COM1's line."""
        self._ask("readb 0")
        self._sent += self._wires["com1"].available()
        return self._sent

    def move_key(self, key: str, pressed: bool) -> None:
        """Send the key by QMP while the CPU counts, since QEMU at rest refuses it."""
        event = {"type": "key", "data": {"down": pressed, "key": {"type": "number", "data": _qemu_number(key)}}}
        for _ in range(KEY_TRIES):
            self._wanted += KEY_RUN_NS
            [answer] = self._go_on([("input-send-event", {"events": [event]})])
            if "return" in answer:
                return
        raise SystemGone(f"QEMU did not take the key {key} in {KEY_TRIES} runs")

    def change_medium(self, drive: str, image: bytes | None) -> None:
        """Change it by QMP; QEMU opens the tray for it, and closes it over a new medium."""
        if image is None:
            self._qmp("eject", device=drive, force=True)
            return
        path = _image(Path(self._folder.name), f"{drive}-changed", image)
        self._qmp("blockdev-change-medium", device=drive, filename=str(path), format="raw")

    def resets(self) -> int:
        """Count the RESET events of QMP."""
        self._qmp("query-status")
        return self._resets

    def exit_status(self) -> int | None:
        """Return QEMU's exit status once it has ended."""
        if self._process is not None and self._status is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._status = self._process.wait(0.2)
        return self._status

    def close(self) -> None:
        """End QEMU and remove its sockets."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()
        for wire in self._wires.values():
            wire.close()
        self._folder.cleanup()

    def __enter__(self) -> "QemuSystem":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- beginning --------------------------------------------------------------------------------------------------
    def _start(self, program: str, folder: Path, memory_mib: int, drives: list[str]) -> None:
        rom = folder / "rom"
        rom.write_bytes(_rom())
        self._process = subprocess.Popen(
            [program, *_arguments(self._wires, rom, memory_mib), *drives], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        for wire in self._wires.values():
            wire.accept(self._process)
        for wire in self._wires.values():
            wire.family = list(self._wires.values())
        self._wires["qmp"].until(b"\n")  # its greeting
        self._qmp("qmp_capabilities")
        # Registers can be set one by one only by who has read the target's description.
        self._gdb("qSupported:xmlRegisters=i386")
        self._gdb("qXfer:features:read:target.xml:0,ffb")
        self._ask("irq_intercept_in ioapic")
        self._start_clock()

    def _pic(self, which: int) -> str:
        """Return the object path of the master (0) or the slave (1)."""
        if not self._pics:
            listed: Any = self._qmp("qom-list", path="/machine/unattached")
            found = [entry["name"] for entry in listed if entry["type"] == "child<isa-i8259>"]
            self._pics = [f"/machine/unattached/{name}" for name in sorted(found)]
        return self._pics[which]

    # -- the three protocols ----------------------------------------------------------------------------------------
    def _ask(self, command: str) -> str:
        """Send a qtest command and return the value of its answer; empty when it has none, or QEMU has ended."""
        wire = self._wires["qtest"]
        try:
            wire.send(command.encode() + b"\n")
            while True:
                words = wire.until(b"\n").decode().split()
                if words[:1] != ["IRQ"]:
                    break
                self._levels[int(words[2])] = words[1] == "raise"
        except SystemGone:
            if self.exit_status() is None or self._status is None or self._status < 0:
                raise
            return ""  # it was asked to end
        if words[:1] != ["OK"]:
            raise SystemGone(f"QEMU refuses {command!r}: {' '.join(words[1:])}")
        return words[1] if len(words) > 1 else ""

    def _gdb(self, packet: str) -> bytes:
        """Send a packet of the GDB protocol and return the answer's payload."""
        self._gdb_send(packet)
        return self._gdb_answer(packet)

    def _gdb_send(self, packet: str) -> None:
        data = packet.encode()
        self._wires["gdb"].send(b"$" + data + b"#%02x" % (sum(data) & 0xFF))

    def _gdb_answer(self, packet: str) -> bytes:
        wire = self._wires["gdb"]
        answer = wire.until(b"#").partition(b"$")[2][:-1]
        wire.take(2)
        wire.send(b"+")
        if answer.startswith(b"E") or (not answer and packet[0] in "PZz"):
            raise SystemGone(f"QEMU refuses the GDB packet {packet!r}: {answer.decode() or 'unknown'}")
        return answer

    def _qmp(self, command: str, **arguments: object) -> Any:
        """Do a QMP command and return what it returns; events are counted on the way."""
        self._qmp_send(command, arguments)
        answer = self._qmp_answer()
        if "error" in answer:
            raise SystemGone(f"QEMU refuses {command}: {answer['error']['desc']}")
        return answer["return"]

    def _qmp_send(self, command: str, arguments: Mapping[str, object]) -> None:
        self._wires["qmp"].send(json.dumps({"execute": command, "arguments": arguments}).encode())

    def _qmp_answer(self) -> Any:
        """Return the next answer, with its "return" or its "error"."""
        wire = self._wires["qmp"]
        while True:
            answer = json.loads(wire.until(b"\n"))
            if answer.get("event") == "RESET":
                self._resets += 1
            if "error" in answer or "return" in answer:
                return answer


def _qemu_number(key: str) -> int:
    """Return QEMU's number of a key: its code of set 1, with bit 7 where that stands behind E0h."""
    if key == "pause":
        return 0xC6
    make = SCAN_CODES[1][key].make
    return make[-1] | (0x80 if len(make) > 1 else 0)


_LETTERS = {1: "b", 2: "w", 4: "l"}


def _arguments(wires: dict[str, _Wire], rom: Path, memory_mib: int) -> list[str]:
    return [
        "-machine", "pc,accel=tcg", "-icount", f"shift={ICOUNT_SHIFT},sleep=off", "-S", "-nodefaults",
        "-display", "none", "-vga", "std", "-m", str(memory_mib), "-bios", str(rom),
        "-rtc", "base=2026-01-01T00:00:00,clock=vm", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        "-qtest", f"unix:{wires['qtest'].path}", "-qtest-log", "none", "-gdb", f"unix:{wires['gdb'].path}",
        "-qmp", f"unix:{wires['qmp'].path}", "-chardev", f"socket,id=com1,path={wires['com1'].path}",
        "-serial", "chardev:com1", "-serial", "null",
    ]  # fmt: skip


DISK_PLACES = (0, 1, 3)
CDROM_PLACE = 2
"""Where the drives hang: channel times two plus drive."""


def _drives(media: Media, folder: Path) -> list[str]:
    """Return the arguments for the drives, whose images are written into `folder`."""
    drives = [
        (f"id=disk{number},if=ide,index={place}", image)
        for number, (place, image) in enumerate(zip(DISK_PLACES, media.disks, strict=False))
    ]
    if media.cdrom is not None:
        drives.append((f"id=cdrom,if=ide,index={CDROM_PLACE},media=cdrom", media.cdrom))
    if media.floppy is not None:
        drives.append(("id=floppy,if=floppy,index=0", media.floppy))
    arguments = []
    for number, (place, image) in enumerate(drives):
        medium = f",format=raw,file={_image(folder, f'drive{number}', image)}" if image else ""
        arguments += ["-drive", place + medium]
    return arguments


def _image(folder: Path, name: str, image: bytes) -> Path:
    path = folder / name
    path.write_bytes(image)
    return path


def _rom() -> bytes:
    """Return the ROM: the loop at the start of each MiB's last 64 KiB, and a jump to itself at the reset vector."""
    rom = bytearray(b"\xf4" * ROM_BYTES)
    for end in (ROM_BYTES >> 1, ROM_BYTES):
        rom[end - 0x10000 : end - 0x10000 + len(PROGRAM_CODE)] = PROGRAM_CODE
        rom[end - 16 : end - 14] = b"\xeb\xfe"
    return bytes(rom)


def _last_line(process: "subprocess.Popen[bytes]") -> str:
    text = process.stderr.read().decode(errors="replace").strip() if process.stderr is not None else ""
    return text.splitlines()[-1] if text else f"exit status {process.returncode}"
