"""The options of `minivm run`, and the `MachineConfig` that they make.

An option that was not given leaves what the `--config` file says, or else the field's default.
"""

from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minivm.cli.script import Step
from minivm.config import BOOT_KINDS, CLOCKS, CODE_BITS, DISPLAYS, ENGINES, MachineConfig
from minivm.core.record import record, replace
from minivm.errors import ConfigError

# Option, the configuration's field, and what argparse is to know about it
_FIELDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("--memory", "memory", {"metavar": "SIZE", "help": "RAM, like 64M (the default), 512K more than 1M, or 2G"}),
    ("--disk", "disks", {"metavar": "FILE[,ro][,snapshot]", "action": "append", "help": "a hard disk's image"}),
    ("--floppy", "floppies", {"metavar": "FILE[,ro][,snapshot]", "action": "append", "help": "a floppy's image"}),
    ("--cdrom", "cdroms", {"metavar": "FILE", "action": "append", "help": "a CD's image (ISO), always read-only"}),
    ("--boot-order", "boot_order", {"metavar": "LETTERS",
                                    "help": "which drives to boot from: a floppy, c hard disk, d CD, like dca"}),
    ("--initrd", "initrd", {"metavar": "FILE", "action": "append",
                            "help": "a Multiboot kernel's module, or Linux's initial RAM disk"}),
    ("--append", "append", {"metavar": "TEXT", "help": "the kernel's command line"}),
    ("--serial", "serial", {"metavar": "WHERE", "action": "append",
                            "help": "where COM1 leads, given again COM2: stdio, none, file:PATH, unix:PATH"}),
    ("--display", "display", {"metavar": "|".join(DISPLAYS),
                              "help": "the screen: if used, text always, never; or how graphics are drawn"}),
    ("--engine", "engine", {"metavar": "|".join(ENGINES), "help": "what executes the guest"}),
    ("--rtc", "rtc", {"metavar": "DATE", "help": "the clock at power-on; 2026-01-01T00:00:00 if not given"}),
    ("--speed", "speed", {"metavar": "SPEED", "help": "1x (on a terminal), 0.1x, max (elsewhere)"}),
    ("--clock", "clock", {"metavar": "|".join(CLOCKS),
                          "help": "ticks: the same on every run (default); host: keep up with the host's clock"}),
    ("--firmware", "firmware", {"metavar": "FILE", "help": "a ROM in place of MiniVM's own BIOS"}),
    ("--timeout", "timeout", {"metavar": "SECONDS", "type": float, "help": "end after so long, with status 124"}),
    ("--max-ticks", "max_ticks", {"metavar": "N", "type": int,
                                  "help": "end after N bytes of code executed, with status 124"}),
    ("--trace", "trace", {"metavar": "KINDS[:FILE]", "action": "append",
                          "help": "write down io, irq, int, exc, mode, sound, or all (to standard error)"}),
    ("--device", "devices", {"metavar": "NAME,port=ADDRESS[,OPTION=VALUE]", "action": "append",
                             "help": "a device of your own, or mmio=ADDRESS; NAME also as FILE.py:Class"}),
    ("--boot", "boot", {"metavar": "KIND", "help": f"what the guest is: {', '.join(BOOT_KINDS)}"}),
    ("--origin", "origin", {"metavar": "ADDRESS", "help": "where a flat binary goes (0x7C00)"}),
    ("--bits", "bits", {"metavar": "|".join(map(str, CODE_BITS)), "type": int, "help": "a flat binary's mode"}),
)  # fmt: skip


@record
class Settings:
    """Everything the user asked of one run: the machine, and what to do with it.

    `config.speed` is what was asked for; `speed_given` tells "max" from nothing said.
    """

    config: MachineConfig
    guest: str | None
    script: tuple[Step, ...] = ()
    speed_given: bool = False
    show_screen: bool = False
    json: bool = False
    quiet: bool = False
    stop_at_start: bool = False
    record: Path | None = None
    gdb: tuple[int, str] | None = None
    """The port for GDB and the architecture to describe, "auto" where none was given."""
    history: bool = True
    """Whether GDB can go back in time."""


class _AddStep(Action):
    """Collect `--expect` and `--type` in the order in which they stand on the command line."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> None:
        namespace.script = [*namespace.script, ((option_string or "").lstrip("-"), values)]


def configure(parser: ArgumentParser, what: tuple[str, str] = ("GUEST", "a bundled guest's name, or a file")) -> None:
    """Add the options of `minivm run`; `what` is its argument's name and meaning."""
    parser.add_argument("guest", metavar=what[0], nargs="?", help=what[1])
    for option, field, words in _FIELDS:
        parser.add_argument(option, dest=field, default=SUPPRESS, **words)
    add_script(parser)
    parser.add_argument("--record", metavar="FILE", type=Path, help="write down the run, for `minivm replay FILE`")
    parser.add_argument("--config", metavar="FILE.toml", help="options from a file; those given here go before")
    parser.add_argument("--screen", action="store_true", help="print the final text screen, whatever --display says")
    parser.add_argument("--gdb", metavar="PORT[,ARCH]",
                        help="let gdb connect (target remote :PORT); ARCH is i8086, i386, x86-64 or auto")  # fmt: skip
    parser.add_argument("--stop-at-start", action="store_true",
                        help="with --gdb, wait for it; else show the registers at the start and end")  # fmt: skip
    parser.add_argument("--no-history", action="store_true", help="with --gdb, keep no past to go back to")
    parser.add_argument("--json", action="store_true", help="print one report, as JSON, and nothing else")
    parser.add_argument("--quiet", action="store_true", help="say nothing about the run's end")


def add_script(parser: ArgumentParser) -> None:
    """Add `--expect` and `--type`, whose steps become `script` in the order given."""
    for option, meaning in (("--expect", "run until TEXT shows"), ("--type", "type TEXT; \\n and <F1> work")):
        parser.add_argument(option, metavar="TEXT", action=_AddStep, dest="script", default=[], help=meaning)


def given_fields(arguments: Namespace) -> dict[str, Any]:
    """Return the configuration's fields that stand on the command line."""
    return {field: getattr(arguments, field) for _, field, _ in _FIELDS if hasattr(arguments, field)}


def settings(arguments: Namespace) -> Settings:
    """Return what `arguments` ask for; raises `ConfigError`."""
    given = given_fields(arguments)
    config, named = _from_file(arguments.config)
    config = replace(config, **given)
    guest = arguments.guest if arguments.guest is not None else config.guest
    if guest is None and not (config.disks or config.floppies or config.cdroms or config.firmware):
        raise ConfigError("run: which GUEST? give a file or a bundled guest's name; `minivm guests` lists them")
    _check(config)
    return Settings(
        config=config,
        guest=None if guest is None else str(guest),
        script=tuple(Step.parse(kind, text) for kind, text in arguments.script),
        speed_given="speed" in given or "speed" in named,
        show_screen=arguments.screen,
        json=arguments.json,
        quiet=arguments.quiet,
        stop_at_start=arguments.stop_at_start,
        record=arguments.record,
        gdb=_gdb_place(arguments.gdb),
        history=not arguments.no_history,
    )


def words_again(arguments: Namespace) -> list[str]:
    """Return words that give the machine of `arguments` (guest, configuration, stop at the start) once more."""
    words = []
    for option, field, _ in _FIELDS:
        given = getattr(arguments, field, [])
        words += [f"{option}={value}" for value in (given if isinstance(given, list) else [given])]
    if arguments.config is not None:
        words.append(f"--config={arguments.config}")
    if arguments.stop_at_start:
        words.append("--stop-at-start")
    return words + (["--", arguments.guest] if arguments.guest is not None else [])


def _gdb_place(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    port, comma, architecture = text.partition(",")
    if not (port.isascii() and port.isdigit()) or int(port) > 0xFFFF or bool(comma) != bool(architecture):
        raise ConfigError(f"gdb: {text!r} is no port; write --gdb 1234, or 0 for any, or 1234,x86-64")
    return int(port), architecture or "auto"


def _from_file(path: str | None) -> tuple[MachineConfig, Sequence[str]]:
    """Return a file's configuration and the keys that it names."""
    if path is None:
        return MachineConfig(), ()
    import tomllib

    config = MachineConfig.from_toml(path)
    return config, tuple(tomllib.loads(Path(path).read_text(encoding="utf-8")))


def _check(config: MachineConfig) -> None:
    if len(config.serial) > 2:
        raise ConfigError(f"serial: {len(config.serial)} places for two ports; COM1 and COM2 are all there are")
    if [spec.kind for spec in config.serial].count("stdio") > 1:
        raise ConfigError("serial: standard input and output serve one port; give the other file:, unix: or none")
