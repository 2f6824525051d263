"""Assembling and disassembling: source in NASM's language to bytes with a listing, and bytes back to instructions.

NASM does the work where it is installed; elsewhere the front end in `minivm.debug.nasm_front` does it. Both give
the same bytes for what both accept.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minivm.debug.nasm_front.lines import decode, shown
from minivm.errors import AssemblyError

ASSEMBLERS = ("auto", "nasm", "keystone")
NASM_SECONDS = 60
"""NASM gets this long for one source; a macro that never ends takes longer."""


@dataclass(frozen=True, slots=True)
class ListingLine:
    """One line of a listing: its number in the source, the address of its first byte, its bytes, and its text."""

    number: int
    address: int
    code: bytes
    source: str


@dataclass(frozen=True, slots=True)
class Assembled:
    """A flat binary: its bytes, load address, the bits that it starts in, listing, symbols, and who made it."""

    code: bytes
    origin: int
    bits: int
    listing: tuple[ListingLine, ...]
    symbols: dict[str, int]
    assembler: str


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction read back: address, bytes, and NASM-like text."""

    address: int
    code: bytes
    mnemonic: str
    operands: str

    @property
    def text(self) -> str:
        """Mnemonic and operands as one line."""
        return f"{self.mnemonic} {self.operands}".strip()


def assemble_file(path: str | Path, *, assembler: str = "auto", bits: int = 16, origin: int = 0) -> Assembled:
    """Assemble the file at `path`; files that it includes are looked for beside it.

    `assembler` is `auto` (NASM where installed), `nasm` or `keystone`. `bits` and `origin` hold where the source says
    nothing. Raises `AssemblyError` of one line, which begins with file and line where there is one.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise AssemblyError(f"{path}: is a directory; give an assembly source") from None
    except (OSError, ValueError) as error:
        raise AssemblyError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return _assemble(data, str(path), path.absolute().parent, assembler=assembler, bits=bits, origin=origin)


def assemble(
    source: str | bytes,
    *,
    assembler: str = "auto",
    bits: int = 16,
    origin: int = 0,
    name: str = "<source>",
    directory: str | Path = ".",
) -> Assembled:
    """Assemble source text, called `name` in messages; included files are looked for in `directory`.

    The other arguments and the errors are those of `assemble_file`.
    """
    data = (
        source.encode("utf-8", "surrogateescape" if _escaped(source) else "replace")
        if isinstance(source, str)
        else source
    )
    return _assemble(data, name, Path(directory).absolute(), assembler=assembler, bits=bits, origin=origin)


def _escaped(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeError:
        return False
    return True


def _assemble(data: bytes, name: str, folder: Path, *, assembler: str, bits: int, origin: int) -> Assembled:
    text = decode(data, name)
    if assembler not in ASSEMBLERS:
        raise AssemblyError(f"there is no assembler '{assembler}'; choose from {', '.join(ASSEMBLERS)}")
    if bits not in (16, 32, 64):
        raise AssemblyError(f"bits {bits}: only 16, 32 and 64 exist")
    nasm = shutil.which("nasm") if assembler != "keystone" else None
    if assembler == "nasm" and nasm is None:
        raise AssemblyError("nasm is not installed; install it or use --assembler keystone")
    if nasm is not None:
        return _by_nasm(nasm, data, name, folder, bits=bits, origin=origin)
    return _by_front_end(text, name, folder, bits, origin)


def _by_front_end(text: str, name: str, folder: Path, bits: int, origin: int) -> Assembled:
    from minivm.debug.nasm_front.assembler import assemble_text

    result = assemble_text(text, name, [folder], bits=bits, origin=origin)
    listing = tuple(ListingLine(entry.where.line, entry.address, entry.code, entry.text) for entry in result.entries)
    return Assembled(result.code, result.origin, result.bits, listing, result.symbols, "keystone")


# NASM ------------------------------------------------------------------------------------------------------------

_BITS = re.compile(r"^\s*\[?\s*(?:bits\s+|use)(16|32|64)\b", re.IGNORECASE)
_ORG = re.compile(rb"^\s*\[?\s*org\b", re.IGNORECASE | re.MULTILINE)
_SECTION = re.compile(r"^\s*\[?\s*(?:section|segment)\s+([\w.$]+)", re.IGNORECASE)
_ERROR = re.compile(r"^(?P<file>.+?):(?P<line>\d+): (?:error|fatal|panic): (?P<message>.*)$", re.MULTILINE)


def _by_nasm(nasm: str, data: bytes, name: str, folder: Path, *, bits: int, origin: int) -> Assembled:
    with tempfile.TemporaryDirectory(prefix="minivm-asm-") as scratch:
        work = Path(scratch)
        (work / "source.asm").write_bytes(data)
        before = [f"[map all {work / 'map'}]", f"bits {bits}"]
        if origin and not _ORG.search(data):
            before.append(f"org {origin:#x}")
        command = [nasm, "-f", "bin", str(work / "source.asm"), "-o", str(work / "code"), "-l", str(work / "listing")]
        for line in before:
            command += ["--before", line]
        _run_nasm([*command, "-I", f"{folder}/"], folder, str(work / "source.asm"), name)
        code = (work / "code").read_bytes() if (work / "code").exists() else b""
        return _from_nasm(code, _read(work / "listing"), _read(work / "map"), bits)


def _read(path: Path) -> str:
    return path.read_bytes().decode("latin-1") if path.exists() else ""


def _run_nasm(command: list[str], folder: Path, scratch_name: str, name: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=NASM_SECONDS)
    except subprocess.TimeoutExpired:
        raise AssemblyError(f"{name}:1: nasm did not finish in {NASM_SECONDS} seconds") from None
    except OSError as error:
        raise AssemblyError(f"nasm cannot be started: {error.strerror}") from None
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace")
    match = _ERROR.search(said)
    if match is None:
        raise AssemblyError(
            f"{name}:1: nasm failed: {said.strip().splitlines()[-1] if said.strip() else done.returncode}"
        )
    file = name if match["file"] == scratch_name else match["file"]
    raise AssemblyError(f"{file}:{match['line']}: {match['message']}")


def _from_nasm(code: bytes, listing: str, map_text: str, bits: int) -> Assembled:
    origin, sections, symbols = _parse_map(map_text)
    lines, first_bits = _parse_listing(listing, code, origin, sections, bits)
    return Assembled(code, origin, first_bits, tuple(lines), symbols, "nasm")


def _parse_map(text: str) -> tuple[int, dict[str, tuple[int, int]], dict[str, int]]:
    """Read NASM's map: origin, sections (file position, address), symbols."""
    origin = re.search(r"-- Program origin -+\s+([0-9A-F]+)", text)
    base = int(origin[1], 16) if origin else 0
    sections: dict[str, tuple[int, int]] = {}
    summary = text.partition("-- Sections (summary)")[2].partition("-- Sections (detailed)")[0]
    for match in re.finditer(
        r"^\s*([0-9A-F]+)\s+([0-9A-F]+)\s+[0-9A-F]+\s+[0-9A-F]+\s+\w+\s+(\S+)$", summary, re.MULTILINE
    ):
        sections[match[3]] = (int(match[2], 16) - base, int(match[1], 16))
    symbols: dict[str, int] = {}
    table = text.partition("-- Symbols --")[2]
    for match in re.finditer(r"^\s*([0-9A-F]{4,})(?:\s+([0-9A-F]{4,}))?  (\S+)$", table, re.MULTILINE):
        if not match[3].startswith("..@"):
            symbols[shown(match[3])] = int(match[2] or match[1], 16)
    return base, sections, symbols


_LISTED = re.compile(r"^\s*(?P<line>\d+) (?:(?P<at>[0-9A-F]{8}) (?P<code>(?:[^\s<]|<[^>]*>)+)\s?)?(?P<text>.*)$")


def _parse_listing(
    listing: str, code: bytes, origin: int, sections: dict[str, tuple[int, int]], bits: int
) -> tuple[list[ListingLine], int]:
    lines: list[ListingLine] = []
    first_bits = 0
    section, address, position = ".text", origin, 0
    for raw in listing.splitlines():
        match = _LISTED.match(raw)
        if match is None:
            continue
        text = raw[40:] if len(raw) > 40 else ""
        if found := _SECTION.match(text):
            section = found[1]
        if found := _BITS.match(text):
            bits = int(found[1])
        size = 0
        if match["at"]:
            start, virtual = sections.get(section, (0, origin))
            position, address = start + int(match["at"], 16), virtual + int(match["at"], 16)
            size = _listed_size(match["code"])
            first_bits = first_bits or bits
        data = code[position : position + size]
        number = int(match["line"])
        if lines and match["at"] and lines[-1].number == number and raw[:40].strip() and not text.strip():
            last = lines.pop()
            lines.append(ListingLine(number, last.address, last.code + data, last.source))
        else:
            lines.append(ListingLine(number, address, data, shown(text)))
        address += size
    return lines, first_bits or bits


def _listed_size(text: str) -> int:
    """Return how many bytes of the file a listing's hexadecimal column stands for."""
    repeat = re.search(r"<rep ([0-9A-F]+)h>", text)
    digits = len(re.sub(r"[^0-9A-F]", "", re.sub(r"<.*", "", text)))
    return digits // 2 * (int(repeat[1], 16) if repeat else 1)


# Disassembling ---------------------------------------------------------------------------------------------------

_POINTER = re.compile(r"\b(byte|word|dword|qword|tbyte|xword|xmmword|ymmword) ptr ")
_STRING_INSTRUCTION = re.compile(r"\b(?:movs|cmps|stos|lods|scas|ins|outs)[bwdq]$")
_SOURCE_SEGMENT = re.compile(r"\b([cefgs]s):\[[er]?si")
_SEGMENT = re.compile(r"\b([c-gs]s):\[")


def disassemble(code: bytes, *, origin: int = 0, bits: int = 16, count: int | None = None) -> list[Instruction]:
    """Return the instructions in `code`, at most `count`; bytes that are none become `db`. Never raises for any bytes.

    `origin` is the address of the first byte. The text is close to NASM's: `mov al, byte [es:di]`.
    """
    return list(_instructions(bytes(code), origin, bits, count))


def _instructions(code: bytes, origin: int, bits: int, count: int | None) -> Iterator[Instruction]:
    reader = _reader(bits)
    position = made = 0
    while position < len(code) and (count is None or made < count):
        one = next(reader.disasm_lite(code[position : position + 15], (origin + position) & ((1 << 64) - 1), 1), None)
        address = origin + position
        if one is None:
            found = Instruction(address, code[position : position + 1], "db", f"{code[position]:#04x}")
        else:
            _, size, mnemonic, operands = one
            found = Instruction(address, code[position : position + size], *_nasm_like(mnemonic, operands))
        yield found
        position += len(found.code)
        made += 1


def _nasm_like(mnemonic: str, operands: str) -> tuple[str, str]:
    """Return Capstone's text as NASM would have it: no `ptr`, `far` for far jumps, string instructions bare."""
    if _STRING_INSTRUCTION.search(mnemonic) and "[" in operands:
        override = _SOURCE_SEGMENT.search(operands)
        return (f"{override[1]} {mnemonic}" if override else mnemonic), ""
    operands = _SEGMENT.sub(r"[\1:", _POINTER.sub(r"\1 ", operands))
    if mnemonic in ("ljmp", "lcall") or operands.startswith("ptr ["):
        mnemonic = mnemonic.removeprefix("l")
        operands = "far " + operands.removeprefix("ptr ") if "[" in operands else operands
    if mnemonic in ("jmp", "call"):
        operands = operands.replace(", ", ":")
    return mnemonic, operands.replace("xmmword ", "oword ").replace("ymmword ", "yword ")


def _reader(bits: int) -> Any:
    import capstone

    modes = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}
    return capstone.Cs(capstone.CS_ARCH_X86, modes[bits])
