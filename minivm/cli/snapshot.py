"""`minivm snapshot`: save a whole machine, go on from it, and keep a tree of them."""

import sys
import time
from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from minivm.cli import options, report
from minivm.cli.main import Parser
from minivm.core.record import replace
from minivm.errors import ConfigError
from minivm.machine import Ended, Machine

if TYPE_CHECKING:
    from minivm.storage.snapshot import Info
    from minivm.storage.snapshots import Snapshots

_NAME = "a name in the user's folder of snapshots, or a path that ends in .mvm"
_STOPPED = ("interrupted", "terminated")


class _ActionParser(Parser):
    """The arguments of one action."""

    def __init__(self, prog: str, **options_: Any) -> None:
        super().__init__(prog.removeprefix("minivm "))
        self.description = options_.get("description")


def configure(parser: ArgumentParser) -> None:
    """Add the actions, each with its arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_ActionParser)
    save = actions.add_parser("save", help="boot a guest, run it as `minivm run` does, and save it where that ends")
    options.configure(save)
    save.add_argument("name", metavar="NAME", help=_NAME)
    save.add_argument("--parent", metavar="NAME", help="a snapshot beside it; only what differs is stored")
    restore = actions.add_parser("restore", help="go on from a snapshot, as `minivm run` does")
    options.configure(restore, ("NAME", _NAME))
    restore.add_argument("--save-as", metavar="NEW", help="save the machine at the end, on top of NAME")
    restore.add_argument("--guest", dest="moved", metavar="FILE", help="where the guest's image lies now")
    actions.add_parser("list", help="show the tree of snapshots")
    info = actions.add_parser("info", help="tell what a snapshot holds")
    info.add_argument("name", metavar="NAME", help=_NAME)
    remove = actions.add_parser("rm", help="remove a snapshot")
    remove.add_argument("name", metavar="NAME", help=_NAME)
    remove.add_argument("--keep-children", action="store_true", help="make those that build on it whole first")
    for action in actions.choices.values():
        action.add_argument("--debug", action="store_true", default=SUPPRESS, help="show a traceback")


def run(arguments: Namespace) -> int:
    """Do the action and return the exit status."""
    return _ACTIONS[arguments.action](arguments)


# -- machines ---------------------------------------------------------------------------------------------------
def _save(arguments: Namespace) -> int:
    from minivm import pc
    from minivm.api import find_guest

    if arguments.guest is None and arguments.config is None:
        raise ConfigError("snapshot save: give GUEST and NAME; `minivm snapshot save --help` tells more")
    wanted, store = options.settings(arguments), _store()
    store.path(arguments.name)  # a bad name is refused before the guest runs
    path, image = find_guest(wanted.guest)
    wanted = replace(wanted, config=replace(wanted.config, guest=path))
    with pc.build(wanted.config, image=image) as machine:
        ended = _run(machine, wanted)
        if ended.reason in _STOPPED:
            return report.status_of(ended)
        _keep(store, machine, arguments.name, arguments.parent, quiet=wanted.quiet)
    return 0


def _restore(arguments: Namespace) -> int:
    from minivm.api import restore

    if arguments.guest is None:
        raise ConfigError("snapshot restore: which NAME? `minivm snapshot list` lists them")
    if arguments.config is not None:
        raise ConfigError("snapshot restore: the configuration is in the snapshot; leave --config out")
    name, store, began = arguments.guest, _store(), time.perf_counter()
    if arguments.save_as is not None:
        store.path(arguments.save_as)
    wanted = options.settings(arguments)
    moved = {} if arguments.moved is None else {"guest": arguments.moved}
    with restore(store.path(name), **options.given_fields(arguments), **moved) as machine:
        assert machine.config is not None
        more = wanted.config.max_ticks
        config = replace(machine.config, max_ticks=None if more is None else more + machine.ticks)
        wanted = replace(wanted, config=config, guest=str(config.guest))
        ended = _run(machine, wanted)
        if arguments.save_as is not None and ended.reason not in _STOPPED:
            _keep(store, machine, arguments.save_as, name, quiet=wanted.quiet)
        return _tell(machine, ended, wanted, began)


def _run(machine: Machine, wanted: options.Settings) -> Ended:
    from minivm.cli.run import run_with_face

    return run_with_face(machine, wanted)


def _tell(machine: Machine, ended: Ended, wanted: options.Settings, began: float) -> int:
    from minivm.cli.run import tell

    return tell(machine, ended, wanted, time.perf_counter() - began)


def _keep(store: "Snapshots", machine: Machine, name: str, parent: str | None, *, quiet: bool) -> None:
    from minivm.saved import contents

    info = store.save(contents(machine), name, parent)
    if not quiet:
        print(f"minivm: saved {name}: {_size(info.size)}, at {report.duration(machine.now)}", file=sys.stderr)


# -- files ------------------------------------------------------------------------------------------------------
def _list(arguments: Namespace) -> int:
    for entry in _store().list():
        name = "  " * entry.depth + entry.name
        print(f"{name:<24}  {_line(entry.info)}{f'  damaged: {entry.problem}' if entry.problem else ''}".rstrip())
    return 0


def _line(info: "Info | None") -> str:
    if info is None:
        return ""
    return f"{_size(info.size):>9}  {_guest(info)}, {_when(info)}"


def _info(arguments: Namespace) -> int:
    info = _store().info(arguments.name)
    pages = info.pages
    rows = {
        "name": info.name,
        "identity": info.digest,
        "parent": "none" if info.parent is None else f"{info.parent.name} ({info.parent.digest[:12]})",
        "guest": _guest(info),
        "at": _when(info),
        "memory": f"{_size(info.memory_size)}; {pages.stored} pages stored, {pages.unique} different",
        "file": f"{_size(info.size)}, format {info.format}, written by MiniVM {info.version}",
    }
    rows |= {name: f"{sectors.stored} changed sectors" for name, sectors in info.disks.items()}
    width = max(map(len, rows))
    for name, words in rows.items():
        print(f"{name:<{width}}  {words}")
    return 0


def _guest(info: "Info") -> str:
    guest = info.config.get("guest")
    return guest.rpartition("/")[2] if isinstance(guest, str) else "no guest"


def _when(info: "Info") -> str:
    now = info.machine.get("now") if isinstance(info.machine, dict) else None
    return f"at {report.duration(now)}" if isinstance(now, int) else "at an unknown time"


def _size(size: int) -> str:
    for unit, factor in (("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"


def _remove(arguments: Namespace) -> int:
    _store().remove(arguments.name, keep_children=arguments.keep_children)
    return 0


def _store() -> "Snapshots":
    from minivm.storage.snapshots import Snapshots

    return Snapshots()


_ACTIONS = {"save": _save, "restore": _restore, "list": _list, "info": _info, "rm": _remove}
