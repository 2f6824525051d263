"""`minivm replay`: do a recorded run again and see whether it is the same, or go on from its middle."""

import sys
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from minivm.cli import options
from minivm.cli.script import Step
from minivm.config import TraceSpec
from minivm.errors import ConfigError

if TYPE_CHECKING:
    from minivm.recording import Replay, Verdict

DIFFERENT = 1


def configure(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", metavar="FILE", help="what `minivm run --record FILE` has written")
    parser.add_argument("--max-ticks", metavar="N", type=int, help="replay and compare up to tick N only")
    parser.add_argument("--stop-at", metavar="TICK", type=int, help="replay to this tick, then go on live as a new run")
    parser.add_argument("--slice", metavar="N", type=int, help="run in pieces of N ticks; the outcome must be the same")
    parser.add_argument("--salvage", action="store_true", help="take a file that was cut short, as far as it goes")
    parser.add_argument("--trace", metavar="KINDS[:FILE]", action="append", default=[],
                        help="write down io, irq, int, exc, mode, sound, or all (to standard error)")  # fmt: skip
    parser.add_argument("--device", metavar="NAME,port=ADDRESS", action="append", default=[],
                        help="a device of the recording that is not installed, as `minivm run` got it")  # fmt: skip
    parser.add_argument("--screen", action="store_true", help="print the text screen at the end")
    parser.add_argument("--json", action="store_true", help="print one report, as JSON, and nothing else")
    options.add_script(parser)


def run(arguments: Namespace) -> int:
    """Replay; status 0 when the run was the recorded one, 1 when it departed."""
    from minivm.recording import Replay

    _check(arguments)
    trace = tuple(TraceSpec.parse(text) for text in arguments.trace)
    options_ = {"salvage": arguments.salvage, "slice_ticks": arguments.slice, "trace": trace}
    with Replay(Path(arguments.file), **options_, devices=arguments.device) as replay:
        try:
            verdict = replay.run(arguments.max_ticks if arguments.stop_at is None else arguments.stop_at)
        except KeyboardInterrupt:
            print(f"minivm: interrupted at tick {replay.machine.now}", file=sys.stderr)
            raise
        if arguments.stop_at is not None and verdict.identical:
            return _go_on(replay, arguments)
        _tell(replay, verdict, arguments)
        return 0 if verdict.identical else DIFFERENT


def _check(arguments: Namespace) -> None:
    for name in ("max_ticks", "stop_at", "slice"):
        value = getattr(arguments, name)
        if value is not None and value < (0 if name == "stop_at" else 1):
            raise ConfigError(f"replay: --{name.replace('_', '-')} {value} is too few")
    if arguments.stop_at is None and arguments.script:
        raise ConfigError("replay: --expect and --type are for the new run behind --stop-at")
    if arguments.stop_at is not None and (arguments.max_ticks is not None or arguments.json):
        raise ConfigError("replay: --stop-at goes on as `minivm run` does, without --max-ticks and --json")


def _tell(replay: "Replay", verdict: "Verdict", arguments: Namespace) -> None:
    machine, recording = replay.machine, replay.recording
    if arguments.json:
        import json

        report = {
            "file": arguments.file,
            "identical": verdict.identical,
            "words": verdict.words,
            "ticks": verdict.position,
            "inputs": verdict.inputs,
            "checks": verdict.checks,
            "good": verdict.good,
            "bad": None if verdict.identical else verdict.bad,
            "recorded_by": recording.head.version,
            "complete": recording.end is not None,
            "reason": recording.end.reason if recording.end is not None else None,
            "state_hash": machine.state_hash(),
            "screen": machine.screen.text(),
            "serial": machine.serial.text(),
        }
        print(json.dumps(report, indent=2, ensure_ascii=False))
        return
    if arguments.screen:
        print(machine.screen.text())
    print(verdict.words)


def _go_on(replay: "Replay", arguments: Namespace) -> int:
    """Let the user have the machine: a branch of the recorded run, with the input that comes from now on."""
    from minivm.cli.run import run_machine
    from minivm.core.record import replace

    machine = replay.machine
    guest = machine.config.guest if machine.config is not None else None
    assert machine.config is not None
    name = guest.name if guest is not None else arguments.file
    wanted = options.Settings(
        config=replace(machine.config, timeout=None),
        guest=name,
        script=tuple(Step.parse(kind, text) for kind, text in arguments.script),
        show_screen=arguments.screen,
    )
    with suppress(AttributeError):
        sys.stdout.flush()
    return run_machine(machine, wanted)


__all__ = ["configure", "run"]
