"""`minivm doctor`: what is installed, what the engine's probes found, what is missing and how to get it.

Every look stands alone: one that fails becomes a line that says so.
"""

import os
import platform
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable

from minivm.core.record import record

GOOD, MISSING, BROKEN = "ok", "--", "!!"


@record
class Finding:
    """One line: `mark` is "ok", "--" (something optional is missing) or "!!" (MiniVM does not work without it)."""

    mark: str
    name: str
    words: str


Look = Callable[[], Iterable[Finding]]


def configure(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = "Say what MiniVM finds on this machine. The exit status is 2 when a part it needs is broken."
    parser.add_argument("--json", action="store_true", help="a JSON list instead of lines")


def run(arguments: Namespace) -> int:
    """Print all findings."""
    findings = [finding for look in LOOKS for finding in _safely(look)]
    if arguments.json:
        import json

        fields = [{"mark": one.mark, "name": one.name, "words": one.words} for one in findings]
        print(json.dumps(fields, indent=2, ensure_ascii=False))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            print(f"{finding.mark}  {finding.name:<{width}}  {finding.words}")
        print(f"\n{GOOD} fine   {MISSING} can do without   {BROKEN} does not work")
    return 2 if any(finding.mark == BROKEN for finding in findings) else 0


def _safely(look: Look) -> list[Finding]:
    try:
        return list(look())
    except Exception as error:  # a doctor never faints
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        return [Finding(BROKEN, look.__name__.strip("_").replace("_", " "), words)]


# -- the looks --------------------------------------------------------------------------------------------------------
def _versions() -> Iterable[Finding]:
    from minivm import __version__

    yield Finding(GOOD, "MiniVM", f"{__version__} in {os.path.dirname(os.path.dirname(__file__))}")  # noqa: PTH120
    enough = sys.version_info >= (3, 11)
    yield Finding(GOOD if enough else BROKEN, "Python", f"{platform.python_version()} (3.11 or later is needed)")
    yield Finding(GOOD, "host", f"{platform.system()} {platform.release()} on {platform.machine()}")


def _packages() -> Iterable[Finding]:
    """Look at what pip installed, without loading it."""
    from importlib.metadata import PackageNotFoundError, version

    for package, mark, use in (
        ("unicorn", BROKEN, "executes the guest"),
        ("capstone", MISSING, "disassembles"),
        ("keystone-engine", MISSING, "assembles where there is no NASM"),
        ("textual", MISSING, "draws the full-screen debugger"),
    ):
        try:
            yield Finding(GOOD, package, f"{version(package)}, {use}")
        except PackageNotFoundError:
            yield Finding(mark, package, f"{use}; get it: pip install {package}")


def _engine() -> Iterable[Finding]:
    """Probe the engine, and ask a scratch machine which ways it goes."""
    from pathlib import Path

    from minivm import pc
    from minivm.config import MachineConfig
    from minivm.core.memory import MIB
    from minivm.engine import probes
    from minivm.engine.library import library, library_path

    loaded = library()
    yield Finding(GOOD, "engine", f"Unicorn {loaded.version()} from {library_path()}")
    yield Finding(GOOD, "engine probes", _layout_words(probes.layout(loaded)))
    with pc.build(MachineConfig(guest=Path("boot sector"), memory=MIB), image=bytes(510) + b"\x55\xaa") as machine:
        paths = getattr(machine.engine, "paths", {})
        for name, way in paths.items():
            mark = MISSING if "slow" in way else GOOD
            yield Finding(mark, f"engine: {name}", way)


def _layout_words(layout: object) -> str:
    names = getattr(layout, "__match_args__", ())
    found = [(name.replace("_", " "), getattr(layout, name)) for name in names]
    return ", ".join(f"{name} {'not found' if offset is None else f'{offset:X}h'}" for name, offset in found)


def _guests() -> Iterable[Finding]:
    from minivm.bundled import DEFAULT_GUEST, guests

    found = guests()
    missing = [guest.name for guest in found if not guest.image.is_file()]
    if not found or missing:
        yield Finding(BROKEN, "guests", f"{len(found)} found, without an image: {', '.join(missing) or DEFAULT_GUEST}")
    else:
        yield Finding(GOOD, "guests", f"{len(found)} bundled, in {found[0].image.parent}")


def _devices() -> Iterable[Finding]:
    """List the devices that packages have installed, without importing them."""
    from minivm.own_devices import installed

    for name, point in installed().items():
        package = f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
        yield Finding(GOOD, "device", f"{name}: {point.value}{package}")


def _tools() -> Iterable[Finding]:
    for tool, use, package in (
        ("nasm", "assembles .asm guests; without it MiniVM's own front end does", "nasm"),
        ("qemu-system-i386", "is compared with in tests and benchmarks", "qemu-system-x86"),
    ):
        yield _tool(tool, use, package)


def _tool(tool: str, use: str, package: str) -> Finding:
    import shutil
    import subprocess

    path = shutil.which(tool)
    if path is None:
        return Finding(MISSING, tool, f"not found; {use}; get it: apt install {package}")
    flag = "-v" if tool == "nasm" else "--version"
    try:
        shown = subprocess.run([path, flag], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(MISSING, tool, f"{path} cannot be run: {error}")
    return Finding(GOOD, tool, f"{shown.splitlines()[0] if shown else path}; {use}")


def _kvm() -> Iterable[Finding]:
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        yield Finding(MISSING, "KVM", "no /dev/kvm: this host, or the container, has no hardware virtualization")
    except OSError as error:
        yield Finding(MISSING, "KVM", f"/dev/kvm: {error.strerror}; get it: add yourself to the group kvm")
    else:
        yield Finding(GOOD, "KVM", "/dev/kvm opens; the engine for it comes with a later version")


def _terminal() -> Iterable[Finding]:
    from minivm.cli.painter import paint_for
    from minivm.cli.terminal import is_terminal

    colours = {"_direct": "24-bit colours", "_indexed": "256 colours", "_sixteen": "16 colours"}
    shown = colours.get(paint_for(os.environ).__name__, "no colours, as NO_COLOR asks")
    term = os.environ.get("TERM", "unset")
    encoding = sys.stdout.encoding or "unknown"
    if not is_terminal():
        yield Finding(MISSING, "terminal", f"input or output is none (TERM {term}): runs print plain text, {encoding}")
        return
    columns, rows = os.get_terminal_size()
    yield Finding(GOOD, "terminal", f"TERM {term}, {columns}x{rows}, {shown}, {encoding}")
    if columns < 80 or rows < 26:
        yield Finding(MISSING, "terminal size", "80x26 shows a whole screen and the status line; make it larger")
    if encoding.lower().replace("-", "") != "utf8":
        yield Finding(MISSING, "terminal encoding", f"{encoding} lacks line graphics; set LANG=C.UTF-8")


LOOKS: tuple[Look, ...] = (_versions, _packages, _engine, _guests, _devices, _tools, _kvm, _terminal)
