"""`minivm disasm`: show the instructions in a file."""

import argparse
import re
import sys
from pathlib import Path

from minivm.cli.asm import number, print_lines
from minivm.errors import ConfigError

HELP = "show the instructions in a file, or in bytes given as hex"
LARGEST_BYTES = 64 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Disassemble FILE, standard input (-), or the bytes of --hex. What is no instruction is shown as db."
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="a binary file, or - for standard input")
    parser.add_argument("--hex", metavar="TEXT", help='bytes as text instead of a file, as "b8 01 00"')
    parser.add_argument("--bits", type=int, choices=(16, 32, 64), default=16, help="16 (default), 32 or 64-bit code")
    parser.add_argument(
        "--origin", metavar="ADDR", type=number, default=0x7C00, help="address of the first byte (default 0x7C00)"
    )
    parser.add_argument(
        "--skip", metavar="N", type=number, default=0, help="leave out the first N bytes; addresses count on"
    )
    parser.add_argument("--count", metavar="N", type=number, help="show at most N instructions")


def run(arguments: argparse.Namespace) -> int:
    """Disassemble; return 0, or raise an error of one line."""
    from minivm.debug.code import disassemble

    code = _code(arguments)[arguments.skip :]
    found = disassemble(code, origin=arguments.origin + arguments.skip, bits=arguments.bits, count=arguments.count)
    return print_lines([f"{one.address:08X}  {one.code.hex().upper():<22}  {one.text}" for one in found])


def _code(arguments: argparse.Namespace) -> bytes:
    if (arguments.hex is None) == (arguments.file is None):
        raise ConfigError("disasm needs either a FILE or --hex, as: minivm disasm --hex 'b8 01 00'")
    if arguments.hex is not None:
        return parse_hex(arguments.hex)
    if arguments.file == "-":
        return sys.stdin.buffer.read(LARGEST_BYTES)
    path = Path(arguments.file)
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_BYTES)
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; give a file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def parse_hex(text: str) -> bytes:
    """Return the bytes in text such as `b80100`, `b8 01 00`, `0xb8, 0x01` or `B8h`; else raises `ConfigError`."""
    data = b""
    for word in re.split(r"[\s,]+", text.strip()):
        digits = re.sub(r"^0[xX](?=.)|[hH]$", "", word)
        if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})*|[0-9A-Fa-f]", digits, re.ASCII):
            raise ConfigError(f"'{word}' is not hexadecimal; write bytes as two digits each, as 'b8 01 00'")
        data += bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
    return data
