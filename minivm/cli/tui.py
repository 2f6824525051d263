"""`minivm tui`: boot a guest in the full-screen debugger."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from minivm.cli import options
from minivm.core.record import replace
from minivm.errors import ConfigError, MiniVMError
from minivm.machine import Ended, Machine

if TYPE_CHECKING:
    from minivm.recording import Recorder

HISTORY_MB = 128
LARGEST_HISTORY_MB = 1 << 20
_NOT_HERE = ("show_screen", "json", "quiet", "script", "gdb")


def configure(parser: ArgumentParser) -> None:
    """Add the options of `minivm run` that mean something here, and the layout."""
    options.configure(parser)
    parser.add_argument("--layout", metavar="run|learn|debug", help="how the panels lie; the last one if not given")
    parser.add_argument("--history", metavar="MB|off", help="memory for going back in time: 128 if not given")
    parser.add_argument("--web", action="store_true", help="show it in a browser on this computer; Ctrl-C ends it")
    parser.add_argument("--web-port", metavar="N", help="with --web, the page's port: 8000 if not given, 0 for any")


def run(arguments: Namespace) -> int:
    """Open the debugger; its end is the command's end, status 0."""
    from minivm import pc
    from minivm.api import find_guest

    wanted = options.settings(arguments)
    if any(getattr(wanted, name, None) for name in _NOT_HERE):
        raise ConfigError("tui: --expect, --type, --screen, --json, --quiet and --gdb are for `minivm run`")
    if arguments.web and wanted.record is not None:
        raise ConfigError("tui: --record is for one run, and --web begins one for every page")
    if arguments.web or arguments.web_port is not None:
        return _serve(arguments, wanted)
    _need_terminal()
    path, image = find_guest(wanted.guest)
    config, layout, history = wanted.config, _layout(arguments.layout), _history(arguments.history)
    with pc.build(replace(config, guest=path), image=image) as machine:
        from minivm.debug.symbols import symbols_for_guest
        from minivm.tui.app import MiniVMApp
        from minivm.tui.lesson import lesson_for_guest
        from minivm.tui.session import Session

        lesson = lesson_for_guest(path)
        layout = layout or ("learn" if lesson is not None else None)  # the one that has it
        speed = config.speed if wanted.speed_given else 1.0
        recorder = _recorder(machine, wanted.record) if wanted.record is not None else None
        session = Session(machine, speed=speed, symbols=symbols_for_guest(path), history=history)
        try:
            app = MiniVMApp(session, autostart=not wanted.stop_at_start, layout=layout, lesson=lesson)
            app.run()
        finally:
            session.close()
            if recorder is not None:
                recorder.finish(Ended("quit"))
        return app.return_code or 0


def _recorder(machine: Machine, path: Path) -> "Recorder":
    from minivm.recording import Recorder

    return Recorder(machine, path)


def _serve(arguments: Namespace, wanted: options.Settings) -> int:
    """Run this command again for every page that is opened; what is wrong with it is said now, not there."""
    from minivm.api import find_guest
    from minivm.tui import web

    if not arguments.web:
        raise ConfigError("tui: --web-port is for --web")
    port, layout = web.port_number(arguments.web_port), _layout(arguments.layout)
    find_guest(wanted.guest)
    words = [f"--layout={layout}"] if layout is not None else []
    words += [f"--history={arguments.history}"] if _history(arguments.history) != HISTORY_MB << 20 else []
    again = [sys.executable, "-m", "minivm", "tui", *words, *options.words_again(arguments)]
    web.serve(again, port, lambda address: print(f"MiniVM is at {address} (Ctrl-C ends it)", flush=True))
    return 0


def _layout(name: str | None) -> str | None:
    from minivm.tui.desk import LAYOUTS

    if name is not None and name not in LAYOUTS:
        raise ConfigError(f"tui: {name} is no layout; there are {', '.join(LAYOUTS)}")
    return name


def _history(text: str | None) -> int:
    """Return how many bytes the past may take."""
    if text is None:
        return HISTORY_MB << 20
    if text.lower() == "off":
        return 0
    if not text.isdecimal() or int(text) > LARGEST_HISTORY_MB:
        raise ConfigError(
            f"tui: --history {text} is no number of megabytes up to {LARGEST_HISTORY_MB:,}; off keeps none"
        )
    return int(text) << 20


def _need_terminal() -> None:
    from minivm.tui.web import end_with_server, is_served_page

    if is_served_page():
        end_with_server()
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise MiniVMError("tui: standard input and output must be a terminal; `minivm run` works without one")


__all__ = ["configure", "run"]
