"""The fuzzing targets: what reads an input, and the valid inputs that its fuzzing begins from.

Each target imports what it tries when it is called, so that Atheris can follow that code.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minivm.errors import MiniVMError
from minivm.testing import fuzz_inputs as inputs
from minivm.testing.fuzz_chips import CHIP_TARGETS

_MEMORY_BYTES = 8 << 20


class Target(NamedTuple):
    """What is fuzzed: a function of the input and a folder to put files into, valid inputs, and its modules."""

    run: Callable[[bytes, Path], None]
    seeds: Callable[[], Sequence[bytes]]
    modules: tuple[str, ...]


# -- targets --------------------------------------------------------------------------------------------------------
def _prepare(kinds: Sequence[str | None]) -> Callable[[bytes, Path], None]:
    """Return what loads an image as each of `kinds`, None for the one that is detected."""

    def load(data: bytes, folder: Path) -> None:
        from minivm.config import MachineConfig
        from minivm.loaders import prepare

        for kind in kinds:
            plan = _answer(
                lambda kind=kind: prepare(  # type: ignore[misc]
                    MachineConfig(guest=Path("input"), memory=_MEMORY_BYTES, boot=kind), data=data
                )
            )
            if plan is not None and plan.drive is not None:
                plan.drive.read(0, 1)

    return load


def _answer(action: Callable[[], Any]) -> Any:
    """Return what `action` gives, or None where it refuses in one line."""
    try:
        return action()
    except MiniVMError as error:
        if "\n" in str(error):
            raise
        return None


def _elf(data: bytes, folder: Path) -> None:
    from minivm.debug.symbols_elf import load_elf

    _prepare(("elf", "multiboot", None))(data, folder)
    table = _answer(lambda: load_elf(data, "input"))
    if table is not None:
        table.describe(0x10_0000), table.source(0x10_0000)


def _snapshot(data: bytes, folder: Path) -> None:
    import minivm
    from minivm.storage import snapshot

    path = folder / "input.mvm"
    for content in (data, inputs.reseal_snapshot(data), inputs.snapshot_of_text(data)):
        path.write_bytes(content)
        _answer(lambda: snapshot.info(path))
        machine = _answer(lambda: minivm.restore(path))
        if machine is not None:
            machine.close()


def _recording(data: bytes, folder: Path) -> None:
    from minivm.recording import Recording

    for content in (data, inputs.reseal_recording(data), inputs.recording_of_text(data)):
        path = _file(folder, "input.mvr", content)
        for salvage in (False, True):
            _answer(lambda: Recording(path, salvage=salvage))  # noqa: B023


def _config(data: bytes, folder: Path) -> None:
    from minivm.config import MachineConfig

    path = _file(folder, "input.toml", data)
    _answer(lambda: MachineConfig.from_toml(path))


def _asm(data: bytes, folder: Path) -> None:
    from minivm.debug.code import assemble

    _answer(lambda: assemble(data, assembler="keystone", name="input", directory=folder))


def _symbols(data: bytes, folder: Path) -> None:
    from minivm.debug.symbols import load_symbols

    path = _file(folder, "input.lst", data)
    table = _answer(lambda: load_symbols(path))
    if table is not None:
        table.describe(0x7C00), table.source(0x7C00), table.names()


def _gdb(data: bytes, folder: Path) -> None:
    import socket

    import minivm
    from minivm.debug.gdb_packets import PacketReader, escape, unescape
    from minivm.debug.gdbserver import GdbServer

    packets = [event.payload for event in PacketReader().feed(data) if event.kind == "packet"]
    for payload in packets:
        if unescape(escape(payload)) != payload:
            raise AssertionError(f"{payload!r} does not come back from its escapes")
    with (
        minivm.boot(inputs.boot_sector(b"\xeb\xfe"), memory="1M") as machine,
        GdbServer(machine) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        server.run_to(machine.now + 1000)  # takes the connection
        client.sendall(data[:4096])
        server.run_to(machine.now + 1000)  # and here what it says


def _played(play: Callable[[bytes], Any]) -> Callable[[bytes, Path], None]:
    """Return what plays an input on chips or on the firmware."""
    return lambda data, folder: _answer(lambda: play(data))


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# -- seeds ----------------------------------------------------------------------------------------------------------
_SOURCE = b"""%define TWICE(x) ((x) * 2)
%macro print 1
        mov al, %1
        out 0xE9, al
%endmacro
        bits 16
        org 0x7C00
size    equ TWICE(8) + 1
start:  print 'A'
.loop:  mov byte [bx + si + size], 12h
        loop .loop
        jmp far 0xF000:0xFFF0
%if size > 4
        times 3 db "x", 0
%endif
%rep 2
        rep movsw
%endrep
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""
_LISTING = (
    b"     1                                          org 0x7C00\n"
    b"     2                                          section .text\n"
    b"     3 00000000 31C0                    start:  xor ax, ax\n"
    b"     4 00000002 <rep 3h> 90                     times 3 nop\n"
    b"     5                                  size    equ 4 * 2\n"
    b"     6 00000005 [FAF4]                  .end:   cli\n"
)
_MAP = b"""- NASM Map file ----------

-- Program origin ----------

00007C00

-- Sections (summary) ------

Vstart            Start             Stop              Length    Class     Name
            7C00              7C00              7E00  00000200  progbits  .text

-- Symbols ------

---- Section .text -----

Real              Virtual           Name
            7C00              7C00  start
"""
_LD_MAP = (
    b"Linker script and memory map\n\n"
    b".text           0x00100000       0x20\n                0x00100000                main\n"
)
_CONFIG = b"""guest = "kernel.elf"
memory = "64M"
boot = "elf"
append = "quiet"
rtc = "2026-01-01T00:00:00"
disks = ["a.img,ro"]
serial = ["stdio"]
speed = "1x"
bits = 32
"""
_PACKETS = (
    b"+$qSupported:swbreak+#a1$?#3f$g#67$m7c00,10#92$Z0,7c00,1#3b$vCont;s:1#23$qRcmd,72656773#36\x03"
    b"$X7c00,2:\x90}\x03#9e"
)


_LOADERS = ("minivm.loaders.plan", "minivm.loaders.detect", "minivm.loaders.elf", "minivm.loaders.multiboot")
TARGETS: dict[str, Target] = {
    "elf": Target(
        _elf,
        lambda: [inputs.elf(bits=bits, symbols=(("start", 0x10_0000), ("end", 0x10_0002))) for bits in (32, 64)],
        (*_LOADERS, "minivm.debug.symbols_elf", "minivm.debug.symbols_dwarf"),
    ),
    "multiboot": Target(
        _prepare(("multiboot", None)), lambda: [inputs.multiboot(), inputs.multiboot(flags=3, before=64)], _LOADERS
    ),
    "bzimage": Target(_prepare((None,)), lambda: [inputs.bzimage()], (*_LOADERS, "minivm.loaders.linux")),
    "disk": Target(
        _prepare((None, "sector", "floppy", "disk")),
        lambda: [inputs.boot_sector(), inputs.floppy_sector(), inputs.boot_sector().ljust(4096, b"\0")],
        (*_LOADERS, "minivm.loaders.sector", "minivm.storage.disk", "minivm.storage.geometry"),
    ),
    "snapshot": Target(
        _snapshot,
        lambda: [inputs.snapshot(), inputs.snapshot_text()],
        ("minivm.storage.snapshot", "minivm.storage.blocks", "minivm.saved"),
    ),
    "recording": Target(
        _recording, lambda: [inputs.recording(), inputs.recording_text()], ("minivm.recording.reading", "minivm.inputs")
    ),
    "config": Target(_config, lambda: [_CONFIG], ("minivm.config",)),
    "asm": Target(_asm, lambda: [_SOURCE, b"start: jmp start\n"], ("minivm.debug.nasm_front.assembler",)),
    "symbols": Target(
        _symbols,
        lambda: [_LISTING, _MAP, _LD_MAP, b"00100000 T main\n00100010 00000004 d value\n"],
        ("minivm.debug.symbols", "minivm.debug.symbols_nasm", "minivm.debug.symbols_text"),
    ),
    "gdb": Target(_gdb, lambda: [_PACKETS], ("minivm.debug.gdb_packets", "minivm.debug.gdbserver")),
} | {name: Target(_played(play), seeds, modules) for name, (play, seeds, modules) in CHIP_TARGETS.items()}
"""Every target by its name on the command line."""
