"""The command line's words: what each does on the machine, and what it answers in one line.

A command is done on the machine's thread and returns its answer; errors are `MiniVMError`s of one line. Those that
change the user interface itself are in `app`.
"""

from collections.abc import Callable

from minivm.core.record import record
from minivm.debug.debugger import CATCH_KINDS, WATCH_KINDS, Debugger
from minivm.debug.expressions import compile_expression, parse_address
from minivm.errors import ConfigError
from minivm.tui.search import find_in
from minivm.tui.setting import set_value

Work = Callable[[Debugger, str], str]


@record
class Command:
    """One word of the command line: how it is written, what it does, and the work."""

    usage: str
    words: str
    work: Work


def find(name: str) -> str:
    """Return the full name of a command, which may be shortened as far as it is clear; raises `ConfigError`."""
    if name in SHORT:
        return SHORT[name]
    found = [word for word in ALL_NAMES if word.startswith(name)]
    if name in ALL_NAMES or len(found) == 1:
        return name if name in ALL_NAMES else found[0]
    if found:
        raise ConfigError(f"{name} may be {', '.join(found)}")
    raise ConfigError(f"there is no command {name}; `help` lists them")


def _break(debugger: Debugger, rest: str) -> str:
    where, condition = _conditional(rest)
    return _numbered(debugger.break_at(where or debugger.machine.cpu.linear_ip, condition=condition))


def _watch(debugger: Debugger, rest: str) -> str:
    what, condition = _conditional(rest)
    kind, _, behind = what.partition(" ")
    if kind in WATCH_KINDS and behind:
        return _numbered(debugger.watch(behind.strip(), kind, condition=condition))
    place = compile_expression(what, debugger.symbols).place(debugger.context)
    in_memory = place is not None and place.kind in ("linear", "physical")
    return _numbered(debugger.watch(what, "write" if in_memory else "change", condition=condition))


def _catch(debugger: Debugger, rest: str) -> str:
    what, condition = _conditional(rest)
    kind, _, behind = what.partition(" ")
    if kind not in CATCH_KINDS:
        raise ConfigError(f"catch what? One of {', '.join(CATCH_KINDS)}, and if need be a number or a mode")
    value: int | str | None = behind.strip() or None
    if isinstance(value, str) and kind != "mode":
        value = debugger.evaluate(value)
    return _numbered(debugger.catch(kind, value, condition=condition))


def _delete(debugger: Debugger, rest: str) -> str:
    number = _number(rest)
    debugger.remove(number)
    return f"{number} is gone"


def _enable(debugger: Debugger, rest: str) -> str:
    debugger.enable(_number(rest))
    return f"{rest} is armed"


def _disable(debugger: Debugger, rest: str) -> str:
    debugger.enable(_number(rest), False)
    return f"{rest} is off; `enable {rest}` arms it again"


def _info(debugger: Debugger, rest: str) -> str:
    return "; ".join(f"{entry.number}: {entry}" for entry in debugger.entries()) or "nothing is armed"


def _print(debugger: Debugger, rest: str) -> str:
    value = debugger.evaluate(_needed(rest, "print what? An expression such as ax + 1 or [ds:si]"))
    character = f" = {chr(value)!r}" if 0x20 <= value < 0x7F else ""
    return f"{rest} = {value:X}h = {value}{character}"


def _set(debugger: Debugger, rest: str) -> str:
    target, _, text = rest.partition("=") if "=" in rest else rest.strip().rpartition(" ")
    target = target.strip()
    if not target or not text.strip():
        raise ConfigError("write set NAME VALUE or set [ADDRESS] = VALUE, as in set ax 1234h")
    return set_value(debugger, target, text.strip())


def _insert(debugger: Debugger, rest: str) -> str:
    drive, _, file = rest.partition(" ")
    if not file.strip():
        raise ConfigError(f"write insert DRIVE FILE[,ro][,snapshot]; {_media(debugger)}")
    debugger.machine.insert(drive, file.strip())
    return _media(debugger)


def _eject(debugger: Debugger, rest: str) -> str:
    debugger.machine.eject(_needed(rest, f"eject what? {_media(debugger)}"))
    return _media(debugger)


def _media(debugger: Debugger) -> str:
    return ", ".join(f"{drive}: {name or 'empty'}" for drive, name in debugger.machine.media.items())


def assemble(debugger: Debugger, linear: int, text: str) -> str:
    """Put an instruction at an address."""
    code = debugger.assemble_at(linear, _needed(text, "asm what? An instruction such as mov ax, 1"))
    return f"{len(code)} bytes at {linear:X}h: {code.hex(' ').upper()}"


def address(debugger: Debugger, text: str) -> int:
    """Return the linear address that a text means."""
    return parse_address(_needed(text, "where? An address such as 07C0:0012, 7C00h or a label"), debugger.context,
                         debugger.symbols).value  # fmt: skip


def search(debugger: Debugger, wanted: bytes, start: int) -> int | None:
    """Return the first physical address from `start` on, then from 0, where the bytes are in RAM; None for nowhere."""
    return find_in(debugger.machine.memory.view, wanted, start - 1, 1)


def _conditional(text: str) -> tuple[str, str]:
    what, _, condition = f" {text} ".partition(" if ")
    return what.strip(), condition.strip()


def _numbered(entry: object) -> str:
    return f"{getattr(entry, 'number', 0)}: {entry}"


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError("which one? Give its number; `info` lists them")
    return int(text)


def _needed(text: str, question: str) -> str:
    if not text.strip():
        raise ConfigError(question)
    return text.strip()


COMMANDS: dict[str, Command] = {
    "break": Command("break [WHERE] [if CONDITION]", "stop before the instruction at an address", _break),
    "watch": Command("watch [read|write|access|change] WHAT", "stop when memory or a register changes", _watch),
    "catch": Command("catch port|interrupt|exception|bios|mode|privilege [N]", "stop at an event", _catch),
    "delete": Command("delete N", "forget a breakpoint, watchpoint or catch", _delete),
    "enable": Command("enable N", "arm it again", _enable),
    "disable": Command("disable N", "keep it, but do not stop", _disable),
    "info": Command("info", "list what is armed", _info),
    "print": Command("print EXPRESSION", "compute a value: registers, symbols, [memory]", _print),
    "set": Command("set NAME VALUE", "change a register, a flag or [memory]", _set),
    "insert": Command("insert DRIVE FILE", "put an image into floppy0, cdrom0, ...; ,ro and ,snapshot work", _insert),
    "eject": Command("eject DRIVE", "take out what is in a drive", _eject),
}
APP_COMMANDS: dict[str, str] = {
    "asm": "asm INSTRUCTION: put an instruction at the code panel's cursor",
    "goto": "goto WHERE: show the code at an address; goto tick WHEN is tick WHEN",
    "memory": "memory WHERE: show memory at an address",
    "find": "find TEXT|BYTES: search RAM, again for the next place",
    "continue": "continue: run on",
    "pause": "pause: stand still",
    "step": "step [N]: execute instructions",
    "next": "next: step over",
    "finish": "finish: run until the routine returns",
    "until": "until WHERE: run to an address",
    "back": "back [N]: undo instructions",
    "rcontinue": "rcontinue: go back to where something armed would have stopped last",
    "tick": "tick N|12.5ms|-3ms|begin|end: go to a moment of the past",
    "who": "who WHAT: go to where byte [7E00h], port 43h or a register was written last",
    "branches": "branches: list what was left by an input or an edit in the past",
    "branch": "branch N: go to the end of a branch",
    "speed": "speed max|1x|5/s: as fast as it goes, paced, or so many instructions a second",
    "type": "type TEXT: press keys; \\n and <F1> work",
    "layout": "layout run|learn|debug",
    "theme": "theme NAME",
    "panel": "panel NAME: bring a panel to the front",
    "trace": "trace: show what was traced",
    "search": "search TEXT: in the panel with the focus, as its key / does; N goes on",
    "copy": "copy [PANEL]: a panel's text to the clipboard; without a name the line at the cursor",
    "help": "help: this list",
    "quit": "quit: end the session",
}
ALL_NAMES = (*COMMANDS, *APP_COMMANDS)
SHORT = {"b": "break", "c": "continue", "s": "step", "n": "next", "p": "print", "q": "quit", "h": "help", "x": "memory",
         "d": "delete", "i": "info", "w": "watch", "g": "goto", "r": "continue", "f": "find",
         "rc": "rcontinue"}  # fmt: skip


def help_text() -> str:
    """Return all commands as Markdown."""
    lines = [f"- `{command.usage}`: {command.words}" for command in COMMANDS.values()]
    for text in APP_COMMANDS.values():
        usage, _, words = text.partition(": ")
        lines.append(f"- `{usage}`" + (f": {words}" if words else ""))
    return "Commands may be shortened. Addresses: `07C0:0012`, `7C00h`, a label, `main+4`.\n\n" + "\n".join(lines)
