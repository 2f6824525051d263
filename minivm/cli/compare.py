"""`minivm compare`: run a guest twice, in two ways, and show the first instruction with two outcomes."""

from argparse import ArgumentParser, Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from minivm.cli import options
from minivm.cli.script import Script, Step
from minivm.core.record import replace
from minivm.errors import ConfigError

if TYPE_CHECKING:
    from minivm.config import MachineConfig

DIFFERENT = 1


def configure(parser: ArgumentParser) -> None:
    """Add the options."""
    from minivm.debug.compare_ways import WAYS

    ways = "; ".join(f"{name}: {words}" for name, words in WAYS.items())
    parser.description = (
        "Run GUEST twice, compare the two machines again and again, and show the first instruction, or the first block "
        f"of code, with two outcomes. The ways to run: {ways}. N may follow a way, as in sliced:777."
    )
    parser.add_argument("guest", metavar="GUEST", help="a bundled guest's name, or a file")
    parser.add_argument("--ways", metavar="WAY,WAY", default="run,step", help="the two ways (run,step)")
    parser.add_argument("--with", metavar="GUEST2", dest="other", help="the second machine runs this guest instead")
    parser.add_argument("--max-ticks", metavar="N", type=int, help="compare N ticks of executed code (2000000)")
    parser.add_argument("--seconds", metavar="S", type=float, help="compare S virtual seconds (10)")
    parser.add_argument("--chunk", metavar="N", type=int, help="compare every N ticks of virtual time (10000000)")
    parser.add_argument("--memory", metavar="SIZE", help="RAM, like 64M (the default)")
    parser.add_argument("--config", metavar="FILE.toml", help="the machine, from a file")
    parser.add_argument("--json", action="store_true", help="print one report, as JSON")
    options.add_script(parser)


def run(arguments: Namespace) -> int:
    """Compare; status 0 when both runs were the same, 1 when they were not."""
    from minivm.debug.compare import Comparison
    from minivm.debug.compare_report import as_json, as_text, identical

    given = {name: getattr(arguments, name) for name in ("max_ticks", "seconds", "chunk")}
    steps = tuple(Step.parse(kind, text) for kind, text in arguments.script)
    comparison = Comparison(
        (_maker(arguments, arguments.guest), _maker(arguments, arguments.other or arguments.guest)),
        _ways(arguments.ways),
        script=Script(steps) if steps else None,
        **{name: value for name, value in given.items() if value is not None},
    )
    found = comparison.run()
    if arguments.json:
        print(as_json(arguments.guest, comparison, found))
    else:
        print(identical(comparison) if found is None else as_text(found))
    return 0 if found is None else DIFFERENT


def _ways(text: str) -> tuple[str, str]:
    ways = text.split(",")
    if len(ways) != 2:
        raise ConfigError(f"compare: --ways {text} names {len(ways)}; two are compared, such as run,step")
    return ways[0], ways[1]


def _maker(arguments: Namespace, guest: str) -> Any:
    """Return what makes the machine; its disks keep what is written to themselves, since several runs begin alike."""
    from minivm import pc
    from minivm.api import find_guest

    path, image = find_guest(guest)
    return partial(pc.build, _alone(replace(_config(arguments), guest=path)), image=image)


def _config(arguments: Namespace) -> "MachineConfig":
    from minivm.config import MachineConfig

    config = MachineConfig.from_toml(arguments.config) if arguments.config is not None else MachineConfig()
    return replace(config, memory=arguments.memory) if arguments.memory is not None else config


def _alone(config: "MachineConfig") -> "MachineConfig":
    return replace(
        config, guest_snapshot=True, trace=(),
        disks=tuple(replace(spec, snapshot=True) for spec in config.disks),
        floppies=tuple(replace(spec, snapshot=True) for spec in config.floppies),
    )  # fmt: skip


__all__ = ["configure", "run"]
