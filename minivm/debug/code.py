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
NASM_SECONDS = 20
"""NASM gets this long for one source; a macro that never ends takes longer."""
NASM_BYTES = 512 << 20
"""NASM gets this much memory, and this much room for its output."""


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
    data = _encoded(source) if isinstance(source, str) else source
    return _assemble(data, name, Path(directory).absolute(), assembler=assembler, bits=bits, origin=origin)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeError:
        return text.encode("utf-8", "replace")


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
        status, said = _limited(command, folder)
    except subprocess.TimeoutExpired:
        raise AssemblyError(f"{name}:1: nasm did not finish in {NASM_SECONDS} seconds") from None
    except OSError as error:
        raise AssemblyError(f"nasm cannot be started: {error.strerror}") from None
    if status == 0:
        return
    if status < 0:
        raise AssemblyError(f"{name}:1: the code is too large: nasm used more than {NASM_BYTES >> 20} MiB")
    match = _ERROR.search(said)
    if match is None:
        last = said.strip().splitlines()[-1:] or [f"status {status}"]
        raise AssemblyError(f"{name}:1: nasm failed: {last[0].replace(scratch_name, name)}")
    file = name if match["file"] == scratch_name else match["file"]
    raise AssemblyError(f"{file}:{match['line']}: {match['message']}")


def _limited(command: list[str], folder: Path) -> tuple[int, str]:
    """Run NASM and return its status and what it said; a TIMES of billions must not fill memory or disk."""
    import resource

    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as nasm:
        try:
            for limit in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
                resource.prlimit(nasm.pid, limit, (NASM_BYTES, NASM_BYTES))
        except (OSError, AttributeError):
            pass  # It is done already, or this system has no such limits.
        try:
            said = nasm.communicate(timeout=NASM_SECONDS)[1]
        except subprocess.TimeoutExpired:
            nasm.kill()
            raise
    return nasm.returncode, said.decode("utf-8", "replace")


def _from_nasm(code: bytes, listing: str, map_text: str, bits: int) -> Assembled:
    origin, sections, symbols = _parse_map(map_text)
    reader = _ListingReader(code, origin, sections, bits)
    for line in listing.splitlines():
        reader.read(line)
    return Assembled(code, origin, reader.first_bits or reader.bits, tuple(reader.lines), symbols, "nasm")


_SUMMARY = re.compile(r"^\s*([0-9A-F]+)\s+([0-9A-F]+)\s+[0-9A-F]+\s+[0-9A-F]+\s+\w+\s+(\S+)$", re.MULTILINE)
_SYMBOL = re.compile(r"^\s*([0-9A-F]+)(?:\s+([0-9A-F]+))?  (\S+)$", re.MULTILINE)


def _parse_map(text: str) -> tuple[int, dict[str, tuple[int, int]], dict[str, int]]:
    """Read NASM's map: origin, sections (position in the file, address), symbols."""
    origin = re.search(r"-- Program origin -+\s+([0-9A-F]+)", text)
    base = int(origin[1], 16) if origin else 0
    summary = text.partition("-- Sections (summary)")[2].partition("-- Sections (detailed)")[0]
    sections = {m[3]: (int(m[2], 16) - base, int(m[1], 16)) for m in _SUMMARY.finditer(summary)}
    symbols: dict[str, int] = {}
    for match in _SYMBOL.finditer(text.partition("-- Symbols --")[2]):
        value = int(match[2] or match[1], 16)
        if not match[3].startswith("..@"):
            symbols[shown(match[3])] = value - (1 << 64) if value >> 63 else value
    return base, sections, symbols


_LISTED = re.compile(r"^\s*(?P<line>\d+) (?:(?P<at>[0-9A-F]{8}) (?P<code>(?:[^\s<]|<[^>]*>)+)\s?)?")
_TEXT_COLUMN = 40
_NOWHERE = "*absolute*"
_ABSOLUTE = re.compile(r"^\s*\[?\s*(?:absolute|struc)\b", re.IGNORECASE)
_END_OF_STRUCTURE = re.compile(r"^\s*endstruc\b", re.IGNORECASE)


class _ListingReader:
    """Reads NASM's listing, whose addresses count from each section's start."""

    def __init__(self, code: bytes, origin: int, sections: dict[str, tuple[int, int]], bits: int) -> None:
        self.code = code
        self.sections = {".text": (0, origin), **sections, _NOWHERE: (len(code), 0)}
        self.section = self.outer = ".text"
        self.bits = bits
        self.first_bits = 0
        self.address = origin
        self.lines: list[ListingLine] = []

    def read(self, raw: str) -> None:
        """Take one line of the listing."""
        match = _LISTED.match(raw)
        text = raw[_TEXT_COLUMN:]
        if match is None or raw[7:].lstrip().startswith("*****"):
            return
        self._follow(re.sub(r"^\s*<\d+>", "", text))
        size = 0
        position = 0
        if match["at"]:
            start, virtual = self.sections.get(self.section, (len(self.code), 0))
            position, self.address = start + int(match["at"], 16), virtual + int(match["at"], 16)
            size = _listed_size(match["code"])
            self.first_bits = self.first_bits or self.bits
        self._add(int(match["line"]), self.code[position : position + size], text, continued=not text)
        self.address += size

    def _follow(self, text: str) -> None:
        """Notice the directives that say where the following lines go."""
        if found := _BITS.match(text):
            self.bits = int(found[1])
        if found := _SECTION.match(text):
            self.section = found[1]
        elif _ABSOLUTE.match(text):
            self.outer, self.section = self.section, _NOWHERE
        elif _END_OF_STRUCTURE.match(text):
            self.section = self.outer

    def _add(self, number: int, data: bytes, text: str, *, continued: bool) -> None:
        if continued and data and self.lines and self.lines[-1].number == number:
            last = self.lines.pop()
            self.lines.append(ListingLine(number, last.address, last.code + data, last.source))
        else:
            self.lines.append(ListingLine(number, self.address, data, shown(text)))


def _listed_size(text: str) -> int:
    """Return how many bytes of the file a listing's hexadecimal column stands for."""
    if block := re.match(r"<(?:res|bin) ([0-9A-F]+)h>", text):
        return int(block[1], 16)
    repeat = re.search(r"<rep ([0-9A-F]+)h>", text)
    digits = len(re.sub(r"[^0-9A-F?]", "", text.partition("<")[0]))
    return digits // 2 * (int(repeat[1], 16) if repeat else 1)


# Disassembling ---------------------------------------------------------------------------------------------------

_POINTER = re.compile(r"\b(byte|word|dword|qword|tbyte|xword|xmmword|ymmword) ptr ")
_STRING_INSTRUCTION = re.compile(r"\b(?:movs|cmps|stos|lods|scas|ins|outs)[bwdq]$")
_SOURCE_SEGMENT = re.compile(r"\b([cefgs]s):\[[er]?si")
_SEGMENT = re.compile(r"\b([c-gs]s):\[")


OPERAND_SIZE_PREFIX = 0x66
MISNAMED_IN_16_BITS = {"cwde": "cbw", "cdq": "cwd"}
"""Capstone 5 gives the bytes 98h and 99h of 16-bit code the names that they have in 32-bit code."""


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
            if bits == 16 and OPERAND_SIZE_PREFIX not in code[position : position + size - 1]:
                mnemonic = MISNAMED_IN_16_BITS.get(mnemonic, mnemonic)
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
