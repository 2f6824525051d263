"""`minivm run`: boot a guest and be its terminal."""

import sys
import time
from argparse import Namespace

from minivm.cli import report
from minivm.cli.driver import Driver
from minivm.cli.options import Settings, configure, settings
from minivm.cli.pacing import Pacing
from minivm.cli.plain import PlainFace
from minivm.cli.script import Script
from minivm.core.record import replace
from minivm.machine import Ended, Machine

__all__ = ["configure", "run"]


def run(arguments: Namespace) -> int:
    """Run the guest to its end and return the exit status."""
    from minivm import pc
    from minivm.api import find_guest

    wanted = settings(arguments)
    began = time.perf_counter()
    path, image = find_guest(wanted.guest)
    with pc.build(replace(wanted.config, guest=path), image=image) as machine:
        if wanted.stop_at_start:
            return _show_start(machine)
        face = PlainFace(machine, wanted)
        try:
            ended = _drive(machine, face, wanted)
        finally:
            face.close()
        return _tell(machine, ended, wanted, time.perf_counter() - began)


def _drive(machine: Machine, face: PlainFace, wanted: Settings) -> Ended:
    config = wanted.config
    pacing = Pacing(config.speed, follow_host=config.clock == "host")
    script = Script(wanted.script)
    return Driver(machine, face, pacing, script=script, timeout=config.timeout, max_ticks=config.max_ticks).run()


def _tell(machine: Machine, ended: Ended, wanted: Settings, wall_seconds: float) -> int:
    """Print what the user is to know at the end, and return the exit status."""
    status = report.status_of(ended)
    if wanted.json:
        print(report.as_json(ended, machine, wanted.guest, wall_seconds))
    elif not wanted.quiet:
        _complain(machine, ended)
    return status


def _complain(machine: Machine, ended: Ended) -> None:
    if ended.autopsy is not None:
        print(report.autopsy_text(ended.autopsy), file=sys.stderr)
    elif report.status_of(ended) == 124:
        print(f"minivm: {report.sentence(ended, machine)}; the screen:\n{machine.screen.text()}", file=sys.stderr)


def _show_start(machine: Machine) -> int:
    print(f"at the first instruction, mode {machine.cpu.mode}:")
    print("\n".join(report.register_table(machine.cpu.as_dict())))
    return 0
