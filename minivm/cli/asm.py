"""`minivm asm`: assemble a source in NASM's language."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from minivm.errors import AssemblyError, ConfigError

HELP = "assemble a source in NASM's language"


def number(text: str) -> int:
    """Read a count or an address from the command line: 512, 0x7C00 or 7C00h."""
    cleaned = text.strip().lower().replace("_", "")
    try:
        value = int(cleaned[:-1], 16) if cleaned.endswith("h") else int(cleaned, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number; write 31744, 0x7C00 or 7C00h") from None
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"'{text}' is no address or count")
    return value


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Assemble FILE to a flat binary. NASM does it where it is installed, otherwise MiniVM's own front end with the "
        "same language and the same bytes. Without -o the result is shown as text."
    )
    parser.add_argument("file", metavar="FILE", help="the source, or - for standard input")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="write the binary to OUT (only if all went well)"
    )
    parser.add_argument(
        "-l", "--listing", action="store_true", help="show every source line with its address and bytes"
    )
    parser.add_argument(
        "--bits", type=int, choices=(16, 32, 64), default=16, help="what the source starts in (default 16)"
    )
    parser.add_argument(
        "--origin", metavar="ADDR", type=number, default=0, help="load address where the source has no org"
    )
    parser.add_argument("--assembler", choices=("auto", "nasm", "keystone"), default="auto", help="who assembles")


def run(arguments: argparse.Namespace) -> int:
    """Assemble; return 0, or raise an error of one line."""
    from minivm.debug.code import Assembled, assemble, assemble_file

    options = {"assembler": arguments.assembler, "bits": arguments.bits, "origin": arguments.origin}
    result: Assembled
    if arguments.file == "-":
        result = assemble(sys.stdin.buffer.read(), name="<stdin>", **options)
    else:
        result = assemble_file(arguments.file, **options)
    lines: list[str] = []
    if arguments.listing:
        lines = [_listed(line.number, line.address, line.code, line.source) for line in result.listing]
    elif arguments.output is None:
        lines = hex_lines(result.code, result.origin)
    if arguments.output is not None:
        write_atomically(arguments.output, result.code)
        lines.append(
            f"{arguments.output}: {len(result.code)} bytes, origin {result.origin:X}h, made by {result.assembler}"
        )
    return print_lines(lines)


def print_lines(lines: list[str]) -> int:
    """Print the lines; a reader that has gone away (`| head`) is no error."""
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again when it closes standard output at exit.
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, sys.stdout.fileno())
        os.close(quiet)
    except UnicodeEncodeError:
        sys.stdout.buffer.write("\n".join(lines).encode("ascii", "backslashreplace") + b"\n")
    return 0


def _listed(number: int, address: int, code: bytes, source: str) -> str:
    shown = code.hex().upper() if len(code) <= 8 else f"{code[:7].hex().upper()}.. ({len(code)})"
    place = f"{address:08X}" if code else " " * 8
    return f"{number:5d}  {place}  {shown:<22} {source}".rstrip()


def hex_lines(code: bytes, origin: int) -> list[str]:
    """Return a hex dump, sixteen bytes a line; lines that repeat the one before become one `*`."""
    lines: list[str] = []
    previous = b""
    for offset in range(0, len(code), 16):
        chunk = code[offset : offset + 16]
        if chunk == previous and offset + 16 < len(code):
            if lines[-1] != "*":
                lines.append("*")
            continue
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in chunk)
        lines.append(f"{origin + offset:08X}  {chunk.hex(' '):<47}  {text}")
        previous = chunk
    return lines


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file beside the place where it goes and rename it there, so that a failure leaves the old one whole."""
    if path.is_dir():
        raise ConfigError(f"{path}: is a directory; give a file name")
    scratch = ""
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(scratch).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(scratch).replace(path)
    except (OSError, ValueError) as error:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


__all__ = ["HELP", "AssemblyError", "configure", "hex_lines", "number", "print_lines", "run", "write_atomically"]
