"""Small valid files of every kind that MiniVM reads, field by field, and what makes a damaged one whole again.

The strategies break one field at a time, and the fuzzing targets begin from these. A damaged snapshot or recording is
refused by its checksum; `reseal_snapshot` and `reseal_recording` put the right one in, so that what lies behind is
reached.
"""

import json
import struct
from binascii import b2a_base64
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from minivm.errors import SnapshotError

# No parser is imported up here: Atheris follows the code of modules that are imported while it watches.
SECTOR, _MBR_TABLE = 512, 0x1BE
HALT = b"\xfa\xf4"
"""CLI, HLT."""
SIGNATURE = b"\x55\xaa"
MULTIBOOT_MAGIC = 0x1BAD_B002
_CHECKSUM_OF_SNAPSHOT = 32


class Field(NamedTuple):
    """One field of a header: its name, where it begins in the file, and its format as `struct` has it."""

    name: str
    offset: int
    format: str


def put(image: bytearray, field: Field, value: int) -> None:
    """Write a field, cut to its size; a field behind the end of the image is left out."""
    size = struct.calcsize(field.format)
    if field.offset + size <= len(image):
        image[field.offset : field.offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def _fields(text: str, base: int = 0) -> tuple[Field, ...]:
    """Read `name format` pairs of fields that follow each other."""
    found = []
    words = text.split()
    for name, form in zip(words[::2], words[1::2], strict=True):
        found.append(Field(name, base, f"<{form}"))
        base += struct.calcsize(f"<{form}")
    return tuple(found)


# -- ELF: System V ABI, "ELF Header", "Program Header" --------------------------------------------------------------
ELF_HEADER = {
    32: _fields(
        "magic I class B data B version B abi B padding Q type H machine H file_version I entry I phoff I shoff I "
        "flags I ehsize H phentsize H phnum H shentsize H shnum H shstrndx H"
    ),
    64: _fields(
        "magic I class B data B version B abi B padding Q type H machine H file_version I entry Q phoff Q shoff Q "
        "flags I ehsize H phentsize H phnum H shentsize H shnum H shstrndx H"
    ),
}
_SEGMENT = {32: "type I offset I vaddr I paddr I filesz I memsz I flags I align I",
            64: "type I flags I offset Q vaddr Q paddr Q filesz Q memsz Q align Q"}  # fmt: skip
_HEADER_BYTES, _SEGMENT_BYTES, _SECTION_BYTES = {32: 52, 64: 64}, {32: 32, 64: 56}, {32: 40, 64: 64}
_NAMES = b"\0.symtab\0.strtab\0.shstrtab\0"


def elf_fields(bits: int, segments: int) -> tuple[Field, ...]:
    """Return every field of the ELF header and of the program headers."""
    found = [*ELF_HEADER[bits]]
    for number in range(segments):
        base = _HEADER_BYTES[bits] + number * _SEGMENT_BYTES[bits]
        found += [Field(f"segment {number} {f.name}", f.offset, f.format) for f in _fields(_SEGMENT[bits], base)]
    return tuple(found)


def elf(
    segments: Sequence[tuple[int, bytes, int]] = ((0x10_0000, HALT, 16),),
    *,
    bits: int = 32,
    entry: int | None = None,
    symbols: Sequence[tuple[str, int]] = (),
) -> bytes:
    """Return an executable; `segments` are (address, content, bytes in memory), `symbols` (name, address)."""
    wide = bits == 64
    place = _HEADER_BYTES[bits] + _SEGMENT_BYTES[bits] * len(segments)
    programs, body = b"", b""
    for address, content, in_memory in segments:
        offset, length = place + len(body), len(content)
        if wide:
            programs += struct.pack("<IIQQQQQQ", 1, 7, offset, address, address, length, max(in_memory, length), 4)
        else:
            programs += struct.pack("<IIIIIIII", 1, offset, address, address, length, max(in_memory, length), 7, 4)
        body += content
    tables, table_at = _symbol_sections(symbols, bits, place + len(body)) if symbols else (b"", 0)
    header = struct.pack(
        "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH",
        2, 62 if wide else 3, 1, segments[0][0] if entry is None else entry, _HEADER_BYTES[bits], table_at, 0,
        _HEADER_BYTES[bits], _SEGMENT_BYTES[bits], len(segments), _SECTION_BYTES[bits], 4 if symbols else 0,
        3 if symbols else 0,
    )  # fmt: skip
    return b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + header + programs + body + tables


def _symbol_sections(symbols: Sequence[tuple[str, int]], bits: int, at: int) -> tuple[bytes, int]:
    """Return symbol table, strings and section headers, and where in the file the headers begin."""
    wide = bits == 64
    strings = b"\0"
    entries = bytes(24 if wide else 16)
    for name, address in symbols:
        pack = ("<IBBHQQ", len(strings), 0x12, 0, 1, address, 1) if wide else (
            "<IIIBBH", len(strings), address, 1, 0x12, 0, 1
        )  # fmt: skip
        entries += struct.pack(pack[0], *pack[1:])
        strings += name.encode() + b"\0"
    data = entries + strings + _NAMES
    form = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
    first, second = at + len(entries), at + len(entries) + len(strings)
    headers = struct.pack(form, *[0] * 10)
    headers += struct.pack(form, 1, 2, 0, 0, at, len(entries), 2, 1, 4, 24 if wide else 16)
    headers += struct.pack(form, 9, 3, 0, 0, first, len(strings), 0, 0, 1, 0)
    headers += struct.pack(form, 17, 3, 0, 0, second, len(_NAMES), 0, 0, 1, 0)
    return data + headers, at + len(data)


# -- Multiboot 1, section 3.1 ---------------------------------------------------------------------------------------
MULTIBOOT_FIELDS = _fields(
    "magic I flags I checksum I header_addr I load_addr I load_end_addr I bss_end_addr I entry_addr I mode_type I "
    "width I height I depth I"
)


def multiboot(code: bytes = HALT, *, flags: int = 0, load: int = 0x10_0000, before: int = 0) -> bytes:
    """Return a kernel whose header says itself where it goes, `before` bytes (a multiple of 4) behind the start."""
    flags |= 0x1_0000
    entry = load + before + 48
    checksum = -(MULTIBOOT_MAGIC + flags) & 0xFFFF_FFFF
    words = (MULTIBOOT_MAGIC, flags, checksum, load + before, load, 0, 0, entry, 1, 80, 25, 0)
    return bytes(before) + struct.pack("<12I", *words) + code


# -- Linux: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" ------------------------------------------
BZIMAGE_FIELDS = _fields(
    "setup_sects B root_flags H syssize I ram_size H vid_mode H root_dev H boot_flag H jump H header I version H "
    "realmode_swtch I start_sys_seg H kernel_version H type_of_loader B loadflags B setup_move_size H code32_start I "
    "ramdisk_image I ramdisk_size I bootsect_kludge I heap_end_ptr H ext_loader_ver B ext_loader_type B cmd_line_ptr I "
    "initrd_addr_max I kernel_alignment I relocatable_kernel B min_alignment B xloadflags H cmdline_size I "
    "hardware_subarch I hardware_subarch_data Q payload_offset I payload_length I setup_data Q pref_address Q "
    "init_size I handover_offset I kernel_info_offset I",
    0x1F1,
)
BZIMAGE_VALUES = {
    "setup_sects": 4, "boot_flag": 0xAA55, "jump": 0x66EB, "header": 0x5372_6448, "version": 0x20F,
    "start_sys_seg": 0x1000, "kernel_version": 0x200, "loadflags": 0x01, "setup_move_size": 0x8000,
    "code32_start": 0x10_0000, "heap_end_ptr": 0x5000, "initrd_addr_max": 0x7FFF_FFFF, "kernel_alignment": 0x20_0000,
    "relocatable_kernel": 1, "min_alignment": 21, "cmdline_size": 2047, "pref_address": 0x100_0000,
    "init_size": 0x10_0000, "vid_mode": 0xFFFF,
}  # fmt: skip


def bzimage(changes: dict[str, int] | None = None, *, kernel_bytes: int = 512) -> bytes:
    """Return a bzImage: a setup of `setup_sects` sectors, then `kernel_bytes` of a kernel that halts."""
    values = BZIMAGE_VALUES | (changes or {})
    image = bytearray(SECTOR * (values["setup_sects"] % 64 + 1) + kernel_bytes)
    image[SECTOR * (values["setup_sects"] % 64 + 1) :] = HALT.ljust(kernel_bytes, b"\0")[:kernel_bytes]
    values.setdefault("syssize", -(-kernel_bytes // 16))
    for field in BZIMAGE_FIELDS:
        put(image, field, values.get(field.name, 0))
    return bytes(image)


# -- disks ----------------------------------------------------------------------------------------------------------
BPB_FIELDS = _fields(
    "bytes_per_sector H sectors_per_cluster B reserved_sectors H fats B root_entries H sectors H media B "
    "sectors_per_fat H sectors_per_track H heads H hidden_sectors I large_sectors I drive B flags B boot_signature B "
    "serial I",
    0x0B,
)
"""FAT's BIOS parameter block (Microsoft, "FAT: General Overview of On-Disk Format", section "Boot Sector and BPB")."""
BPB_144M = (512, 1, 1, 2, 224, 2880, 0xF0, 9, 18, 2, 0, 0, 0, 0, 0x29, 0x1234_5678)
MBR_FIELDS = tuple(
    Field(f"partition {number} {field.name}", field.offset, field.format)
    for number in range(4)
    for field in _fields(
        "status B first_chs H first_cylinder B type B last_chs H last_cylinder B first_lba I sectors I",
        _MBR_TABLE + 16 * number,
    )
)


def boot_sector(code: bytes = HALT, fields: Sequence[tuple[Field, int]] = ()) -> bytes:
    """Return a boot sector with its signature, and `fields` written over the code."""
    sector = bytearray(code[: SECTOR - 2].ljust(SECTOR - 2, b"\0") + SIGNATURE)
    for field, value in fields:
        put(sector, field, value)
    return bytes(sector)


def floppy_sector(sectors: int = 2880) -> bytes:
    """Return the boot sector of a floppy with FAT12's parameters, of 1.44M unless `sectors` says otherwise."""
    values = (*BPB_144M[:5], sectors, *BPB_144M[6:])
    return boot_sector(b"\xeb\x3c\x90MINIVM  ".ljust(62, b"\0") + HALT, tuple(zip(BPB_FIELDS, values, strict=True)))


# -- whole machines -------------------------------------------------------------------------------------------------
_GUEST = boot_sector(b"\xb0\x41\xe6\xe9\xfb\xf4\xeb\xfc")  # MOV AL, 'A'; OUT E9h, AL; again: STI; HLT; JMP again


@cache
def snapshot() -> bytes:
    """Return the snapshot of a machine of 1 MB whose CPU waits for an interrupt."""
    import minivm

    with TemporaryDirectory() as folder, minivm.boot(_GUEST, memory="1M") as machine:
        machine.run(ms=1)
        machine.save(Path(folder) / "small.mvm")
        return (Path(folder) / "small.mvm").read_bytes()


@cache
def recording() -> bytes:
    """Return the recording of a machine of 1 MB in which a key is pressed."""
    import minivm
    from minivm.recording import Recorder

    with TemporaryDirectory() as folder, minivm.boot(_GUEST, memory="1M") as machine:
        with Recorder(machine, Path(folder) / "small.mvr", rest=0.0):
            machine.run(ms=1)
            machine.type("a")
            machine.run(ms=2)
        return (Path(folder) / "small.mvr").read_bytes()


def reseal_snapshot(data: bytes) -> bytes:
    """Return a snapshot with the length and the checksum that its bytes need."""
    if len(data) < 24 + 8 + 32 + _CHECKSUM_OF_SNAPSHOT:
        return data
    body = bytearray(data[:-_CHECKSUM_OF_SNAPSHOT])
    body[24:32] = len(data).to_bytes(8, "little")
    return bytes(body) + blake2b(body, digest_size=_CHECKSUM_OF_SNAPSHOT).digest()


def reseal_recording(data: bytes) -> bytes:
    """Return a recording in which each section has the checksum that its bytes need, as far as sections can be told."""
    from minivm.recording.format import CHECKSUM_BYTES, PROLOGUE, SECTION, Checksum, section

    if len(data) < PROLOGUE.size:
        return data
    made, checksum, at = [data[: PROLOGUE.size]], Checksum(data[: PROLOGUE.size]), PROLOGUE.size
    while at + SECTION.size <= len(data):
        kind, length = SECTION.unpack_from(data, at)
        content = data[at + SECTION.size : at + SECTION.size + length]
        made.append(section(kind, content, checksum))
        at += SECTION.size + length + CHECKSUM_BYTES
    return b"".join(made)


def recording_sections(data: bytes) -> list[tuple[bytes, Any]]:
    """Return kind and content of each section of a whole recording, those of text unpacked from JSON."""
    from minivm.recording.format import parse, sections

    texts = (b"HEAD", b"RUN ", b"END ")
    return [
        (kind, parse(content, "section") if kind in texts else bytes(content))
        for kind, content in sections(data, salvage=False)
    ]


def recording_of(sections: Sequence[tuple[bytes, Any]]) -> bytes:
    """Return the recording that has these sections."""
    from minivm.recording.format import FORMAT, MAGIC, PROLOGUE, Checksum, dump, section
    from minivm.storage.blocks import pack

    prologue = PROLOGUE.pack(MAGIC, FORMAT)
    checksum = Checksum(prologue)
    made = [section(kind, c if isinstance(c, bytes) else pack(dump(c)), checksum) for kind, c in sections]
    return prologue + b"".join(made)


# -- whole machines as text, which a fuzzer can damage where it matters ----------------------------------------------
def snapshot_text() -> bytes:
    """Return the fields of the small snapshot as JSON, for `snapshot_of_text`."""
    return json.dumps(_readable(snapshot_contents().fields)).encode()


def snapshot_of_text(text: bytes) -> bytes:
    """Return a whole snapshot with fields like `snapshot_text`'s; the text itself where it is no such thing."""
    from minivm.core.record import replace
    from minivm.storage import snapshot as format_of_snapshots

    try:
        fields = json.loads(text)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "made.mvm"
            format_of_snapshots.save(path, replace(snapshot_contents(), fields=fields))
            return path.read_bytes()
    except (ValueError, TypeError, RecursionError, SnapshotError):
        return text


@cache
def snapshot_contents() -> Any:
    """Return what the small snapshot holds."""
    from minivm.storage import snapshot as format_of_snapshots

    with TemporaryDirectory() as folder:
        path = Path(folder) / "small.mvm"
        path.write_bytes(snapshot())
        return format_of_snapshots.load(path)


def _readable(value: Any) -> Any:
    """Return plain values with bytes in the form that a snapshot's reader takes from text."""
    match value:
        case bytes():
            return {"base64": b2a_base64(value, newline=False).decode()}
        case dict():
            return {name: _readable(one) for name, one in value.items()}
        case list() | tuple():
            return [_readable(one) for one in value]
    return value


def recording_text() -> bytes:
    """Return the small recording's sections of text, a line of JSON for each, for `recording_of_text`."""
    sections = recording_sections(recording())
    return b"\n".join(kind + json.dumps(content).encode() for kind, content in sections if kind != b"IMAG")


def recording_of_text(text: bytes) -> bytes:
    """Return a whole recording with sections like `recording_text`'s; the text itself where it is no such thing."""
    images = [one for one in recording_sections(recording()) if one[0] == b"IMAG"]
    try:
        sections = [(line[:4], json.loads(line[4:])) for line in text.split(b"\n")]
        return recording_of([*sections[:1], *images, *sections[1:]])
    except (ValueError, TypeError, RecursionError, struct.error):
        return text
