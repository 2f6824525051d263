"""The command `minivm`: it finds the command asked for, loads that one alone, and turns errors into one line.

Exit status: what the command returns; 1 an expectation failed; 2 wrong usage or input; 125 a bug in MiniVM; 130 after
Ctrl-C; 141 when the reader of standard output went away.
"""

import gc
import os
import sys
from argparse import ArgumentParser, HelpFormatter, Namespace
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from minivm.errors import ConfigError, ExpectationFailed, MiniVMError

FAILED, WRONG_USAGE, BUG, INTERRUPTED, BROKEN_PIPE = 1, 2, 125, 130, 141
OBJECTS_A_COLLECTION = 50_000
"""Python's 700 make it look for garbage some fifty times while the modules are loaded, which is a tenth of a start."""

COMMANDS = {
    "run": "boot a guest; its screen or serial line is the terminal's",
    "tui": "boot a guest in the full-screen debugger",
    "screenshot": "run a guest for a while and write what its monitor shows, as PNG or SVG",
    "replay": "do a recorded run again and see whether it is the same",
    "snapshot": "save a whole machine, go on from it, and keep a tree of them",
    "compare": "run a guest twice in two ways and show where they part",
    "cover": "run a guest and show which lines, blocks and functions of it ran",
    "guests": "list the bundled guests",
    "asm": "assemble a source in NASM's language",
    "disasm": "show the instructions in a file, or in bytes given as hex",
    "doctor": "what is installed, what the engine's probes found, what is missing",
}
"""Every command, each a module of that name in this package with `configure(parser)` and `run(arguments)`."""


class Command(Protocol):
    """What each module of a command has."""

    @staticmethod
    def configure(parser: ArgumentParser) -> None:
        """Add the command's arguments."""

    @staticmethod
    def run(arguments: Namespace) -> int:
        """Do it and return the exit status."""


class Parser(ArgumentParser):
    """Arguments of one command, with errors in one line. The help's width is asked for only when it is printed."""

    def __init__(self, name: str) -> None:
        super().__init__(prog=f"minivm {name}", allow_abbrev=False, formatter_class=_formatter)

    def error(self, message: str) -> NoReturn:
        """Raise the message as the one line that the user sees."""
        raise ConfigError(f"{self.prog.partition(' ')[2]}: {message}; `{self.prog} --help` lists the options")

    def format_help(self) -> str:
        """Return the help, as wide as the terminal allows."""
        import shutil

        width = max(40, min(shutil.get_terminal_size().columns - 2, 118))
        self.formatter_class = lambda prog: HelpFormatter(prog, width=width, max_help_position=30)
        return super().format_help()


def _formatter(prog: str) -> HelpFormatter:
    # argparse makes one for every option; with a width it need not load shutil to ask the terminal.
    return HelpFormatter(prog, width=100)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (by default the program's own) and return the exit status."""
    if arguments is None:
        gc.set_threshold(OBJECTS_A_COLLECTION)
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        status = _dispatch(words)
        sys.stdout.flush()
    except SystemExit as request:  # argparse has printed its help
        return request.code if isinstance(request.code, int) else 0
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        return _complain(error)
    return status


def _complain(error: Exception) -> int:
    """Print the one line for an error, and return its status."""
    from minivm.own_devices import blamed

    if isinstance(error, OSError) and sys.stdout is not None:
        _silence_stdout()
    match error:
        case _ if (note := blamed(error)) is not None:
            text, status = f"{type(error).__name__}: {error}, {note}; --debug shows the traceback", WRONG_USAGE
        case ExpectationFailed():
            text, status = str(error), FAILED
        case MiniVMError():
            text, status = " ".join(str(error).splitlines()), WRONG_USAGE
        case OSError(filename=name, strerror=str(words)):
            text, status = f"{name or 'the output'}: {words}", WRONG_USAGE
        case _:
            text = f"this is a bug in MiniVM: {type(error).__name__}: {error}; --debug shows the traceback"
            status = BUG
    print(f"minivm: {text}", file=sys.stderr)
    return status


def _silence_stdout() -> None:
    """Lead standard output to nowhere, so that Python's own flush at its end cannot fail again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass


def _dispatch(words: list[str]) -> int:
    from minivm import __version__

    from_user = words or ["run"]
    name, *rest = from_user
    if name in ("-h", "--help", "help"):
        return _help()
    if name in ("-V", "--version", "version"):
        print(f"minivm {__version__}")
        return 0
    if name == "--debug":
        return _dispatch(rest)
    if name not in COMMANDS:
        raise ConfigError(_no_such_command(name))
    if not words:
        name, *rest = _tour()
    command = cast(Command, import_module(f"minivm.cli.{name}"))
    parser = Parser(name)
    command.configure(parser)
    parser.add_argument("--debug", action="store_true", help="show a traceback when something fails")
    return command.run(parser.parse_args(rest))


def _tour() -> list[str]:
    """Return the words that open the tour: the full-screen debugger, or away from a terminal a run that types its keys.

    On a dumb terminal it is a plain run.
    """
    from minivm.bundled import DEFAULT_GUEST, find

    guest = find(DEFAULT_GUEST)
    if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        return ["run" if os.environ.get("TERM", "dumb") == "dumb" else "tui", DEFAULT_GUEST]
    return ["run", DEFAULT_GUEST, "--type", (guest.types if guest is not None else None) or ""]


def _help() -> int:
    print("MiniVM, an educational x86 hypervisor and emulator\n\nusage: minivm COMMAND [arguments]\n")
    width = max(map(len, COMMANDS))
    for name, words in COMMANDS.items():
        print(f"  {name:<{width}}  {words}")
    print("\n`minivm` alone opens the tour. `minivm COMMAND --help` tells more; `minivm --version` the version.")
    return 0


def _no_such_command(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, 1)
    if name.startswith("-"):
        return f"{name} comes before any command; write `minivm COMMAND {name}`, or `minivm --help`"
    hint = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(COMMANDS)}"
    return f"{name} is no command; {hint}"
