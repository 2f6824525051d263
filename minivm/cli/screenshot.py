"""`minivm screenshot`: run a guest for a while and write what its monitor shows."""

import math
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import cast

from minivm.cli import options, report
from minivm.cli.driver import Driver
from minivm.cli.pacing import Pacing
from minivm.cli.plain import PlainFace, write_all
from minivm.cli.script import Script
from minivm.config import MachineConfig
from minivm.core.clock import NEVER
from minivm.core.record import replace
from minivm.errors import ConfigError
from minivm.machine import NS_PER_MS, NS_PER_SECOND, Ended, Machine
from minivm.pictures.files import FORMATS, check_scale, encode, format_of
from minivm.pictures.monitor import Monitor, text_of, words

DEFAULT_AFTER_NS = 2 * NS_PER_SECOND
_NOT_HERE = ("record", "gdb", "stop_at_start", "json", "show_screen")


def configure(parser: ArgumentParser) -> None:
    """Add the options of `minivm run`, and where the picture goes."""
    parser.description = (
        "Boot a guest and write what its monitor shows, when --expect and --type are done, the guest has ended, or "
        "the time is over. The status is that of `minivm run`."
    )
    options.configure(parser)
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="NAME.png or NAME.svg, or - for standard output; GUEST.png if not given")  # fmt: skip
    parser.add_argument("--format", metavar="|".join(FORMATS), help="what to write, whatever the file's name says")
    parser.add_argument("--after", metavar="SECONDS", type=seconds,
                        help="virtual time behind the script; 2s if not given, or 0 after --expect")  # fmt: skip
    parser.add_argument("--scale", metavar="N", type=int, default=1, help="show each pixel N x N times")
    parser.add_argument("--text", action="store_true", help="print the screen's text, and write only what -o names")


def run(arguments: Namespace) -> int:
    """Run the guest, write the picture, and return the exit status of the run."""
    from minivm import pc
    from minivm.api import find_guest

    wanted = options.settings(arguments)
    output, kind = _place(arguments, wanted)
    path, image = find_guest(wanted.guest)
    with pc.build(replace(wanted.config, guest=path), image=image) as machine:
        ended = _run(machine, wanted, arguments.after)
        monitor = cast(Monitor, machine)
        if arguments.text:
            write_all(f"{text_of(monitor)}\n".encode(sys.stdout.encoding or "utf-8", "replace"))
        if output is not None:
            _write(monitor, output, kind, arguments.scale)
        if not wanted.quiet:
            place = "" if output in (None, "-") else f"{output}: "
            print(f"minivm: {place}{words(monitor)}, {report.sentence(ended, machine)}", file=sys.stderr)
    return report.status_of(ended)


def seconds(text: str) -> int:
    """Return the virtual nanoseconds that "2s", "1.5" or "300ms" stands for."""
    number, factor = text.strip().lower(), NS_PER_SECOND
    if number.endswith("ms"):
        number, factor = number.removesuffix("ms"), NS_PER_MS
    try:
        time_ns = float(number.removesuffix("s")) * factor
    except ValueError:
        time_ns = math.nan
    if not 0 <= time_ns < NEVER:
        raise ConfigError(f"screenshot: --after {text} is no time; write it like 2s or 300ms")
    return round(time_ns)


def _place(arguments: Namespace, wanted: options.Settings) -> tuple[str | None, str]:
    """Return where the picture goes, None for nowhere, and its format: all that may be wrong is said before the run."""
    for name in _NOT_HERE:
        if getattr(wanted, name):
            raise ConfigError("screenshot: --record, --gdb, --stop-at-start, --json and --screen are for `minivm run`")
    check_scale(arguments.scale)
    if arguments.format not in (None, *FORMATS):
        raise ConfigError(f"screenshot: --format {arguments.format} is none; there are {', '.join(FORMATS)}")
    output: str | None = arguments.output
    if output is None and not arguments.text:
        output = f"{Path(wanted.guest or 'screen').stem}.{arguments.format or FORMATS[0]}"
    if arguments.format is not None or output in (None, "-"):
        return output, arguments.format or FORMATS[0]
    return output, format_of(str(output))


def _run(machine: Machine, wanted: options.Settings, after_ns: int | None) -> Ended:
    """Run the script to its end, and then for `after_ns` of virtual time."""
    if after_ns is None:
        after_ns = 0 if wanted.script and wanted.script[-1].kind == "expect" else DEFAULT_AFTER_NS
    # Nothing that the guest sends may come between the bytes of the picture.
    face = PlainFace(machine, replace(wanted, json=True, quiet=True))
    try:
        ended = Ended("script-met")
        if wanted.script:
            script = Script(wanted.script, machine.now, ends_the_run=True)
            ended = _drive(machine, wanted.config, face, script)
        if ended.reason == "script-met" and after_ns:
            return _drive(machine, wanted.config, face, Script(()), until=machine.now + after_ns)
        return ended
    finally:
        face.close()


def _drive(machine: Machine, config: MachineConfig, face: PlainFace, script: Script, until: int | None = None) -> Ended:
    follow = config.clock == "host"
    pacing = Pacing(1.0 if follow and config.speed is None else config.speed, follow_host=follow)
    driver = Driver(
        machine, face, pacing, script=script, timeout=config.timeout, max_ticks=config.max_ticks, until=until
    )
    return driver.run()


def _write(monitor: Monitor, output: str, kind: str, scale: int) -> None:
    data = encode(monitor, kind, scale=scale)
    if output == "-":
        write_all(data)
    else:
        Path(output).write_bytes(data)
