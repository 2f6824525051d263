"""`minivm run`: boot a guest and be its terminal."""

import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from minivm.cli import report
from minivm.cli.driver import Driver, Face
from minivm.cli.options import Settings, configure, settings
from minivm.cli.pacing import Pacing
from minivm.cli.script import Script
from minivm.core.record import replace
from minivm.machine import Ended, Machine

if TYPE_CHECKING:
    from minivm.debug.gdbserver import GdbServer

__all__ = ["configure", "run"]


def run(arguments: Namespace) -> int:
    """Run the guest to its end and return the exit status."""
    from minivm import pc
    from minivm.api import find_guest

    wanted = settings(arguments)
    began = time.perf_counter()
    path, image = find_guest(wanted.guest)
    with pc.build(replace(wanted.config, guest=path), image=image) as machine:
        if wanted.stop_at_start and wanted.gdb is None:
            return _show_start(machine)
        wanted = replace(wanted, config=replace(wanted.config, guest=path))
        return run_machine(machine, wanted, began)


def run_machine(machine: Machine, wanted: Settings, began: float | None = None) -> int:
    """Run a machine as `wanted` asks, from wherever it stands, and return the exit status."""
    began = time.perf_counter() if began is None else began
    ended = run_with_face(machine, wanted) if wanted.record is None else _run_recorded(machine, wanted, wanted.record)
    return tell(machine, ended, wanted, time.perf_counter() - began)


def _run_recorded(machine: Machine, wanted: Settings, path: Path) -> Ended:
    from minivm.recording import Recorder

    with Recorder(machine, path) as recorder:
        ended = run_with_face(machine, wanted)
        recorder.finish(ended)
    return ended


def run_with_face(machine: Machine, wanted: Settings) -> Ended:
    gdb = _gdb_server(machine, wanted) if wanted.gdb is not None else None
    face, pacing = _face(machine, wanted)
    config = wanted.config
    try:
        driver = Driver(
            machine, face, pacing, script=Script(wanted.script, machine.now), timeout=config.timeout,
            max_ticks=config.max_ticks, gdb=gdb,
        )  # fmt: skip
        ended = driver.run()
        face.finish(ended)
        if gdb is not None:
            gdb.finish(report.status_of(ended))
    finally:
        face.close()
        if gdb is not None:
            gdb.close()
    return ended


def _gdb_server(machine: Machine, wanted: Settings) -> "GdbServer":
    from minivm.debug.debugger import Debugger
    from minivm.debug.gdbserver import GdbServer
    from minivm.debug.symbols import symbols_for_guest

    guest, (port, architecture) = wanted.config.guest, wanted.gdb or (0, "auto")
    if architecture == "auto" and guest is not None and is_elf64(guest):
        architecture = "x86-64"
    debugger = Debugger(machine, symbols_for_guest(guest))
    server = GdbServer(
        machine, port, stopped=wanted.stop_at_start, architecture=architecture, debugger=debugger,
        history=wanted.history,
    )  # fmt: skip
    print(f"minivm: gdb can connect: target remote 127.0.0.1:{server.port}", file=sys.stderr, flush=True)
    return server


def is_elf64(guest: Path) -> bool:
    """Tell whether a guest is a 64-bit ELF file, whose symbols make GDB expect 64-bit registers."""
    with guest.open("rb") as file:
        return file.read(5) == b"\x7fELF\x02"


def _face(machine: Machine, wanted: Settings) -> tuple[Face, Pacing]:
    """Return the face that fits standard input and output, and its pace: that of the host's clock on a terminal."""
    from minivm.cli.plain import PlainFace

    config = wanted.config
    speed, follow = config.speed, config.clock == "host"
    if follow and speed is None:
        speed = 1.0
    if not wanted.json and _is_terminal():
        from minivm.cli.live import LiveFace

        speed = speed if speed is not None or wanted.speed_given else 1.0
        return LiveFace(machine, wanted), Pacing(speed, follow_host=follow)
    return PlainFace(machine, wanted), Pacing(speed, follow_host=follow)


def _is_terminal() -> bool:
    # Asked first without loading the module that knows terminals.
    try:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
    except (AttributeError, ValueError):
        return False
    from minivm.cli.terminal import is_terminal

    return is_terminal()


def tell(machine: Machine, ended: Ended, wanted: Settings, wall_seconds: float) -> int:
    """Print what the user is to know at the end, and return the exit status."""
    status = report.status_of(ended)
    if wanted.json:
        print(report.as_json(ended, machine, wanted.guest, wall_seconds))
    if ended.autopsy is not None and not wanted.quiet:
        print(report.autopsy_text(ended.autopsy), file=sys.stderr)
    return status


def _show_start(machine: Machine) -> int:
    """Print where the machine is before its first instruction."""
    cpu = machine.cpu
    print(f"at the first instruction, {report.mode_words(cpu.mode)}:")
    print("\n".join(report.register_table(cpu.as_dict())))
    return 0
