"""Builders of small bootable files, field by field, so that a test can damage each field."""

import struct

import pytest


def build_elf(
    segments=((0x100000, 0x100000, b"\xf4", 1),),
    *,
    bits=32,
    entry=None,
    kind=2,
    machine=None,
    sections=b"",
    count=0,
    names_index=0,
):
    """Return an ELF executable; `segments` are (virtual, physical, content, bytes in memory)."""
    wide = bits == 64
    header_size, program_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
    place = header_size + program_size * len(segments)
    programs, body = b"", b""
    for virtual, physical, content, in_memory in segments:
        offset = place + len(body)
        fields = (offset, virtual, physical, len(content), in_memory)
        programs += struct.pack("<IIQQQQQQ", 1, 7, *fields, 4) if wide else struct.pack("<IIIIIIII", 1, *fields, 7, 4)
        body += content
    header = struct.pack(
        "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH",
        kind, machine or (62 if wide else 3), 1, segments[0][0] if entry is None and segments else entry or 0,
        header_size, place + len(body) if sections else 0, 0,
        header_size, program_size, len(segments), section_size, count, names_index,
    )  # fmt: skip
    return b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9) + header + programs + body + sections


def build_header(flags=0, *more, checksum=None):
    """Return a Multiboot header with the words `more` behind its checksum."""
    wanted = -(0x1BADB002 + flags) & 0xFFFFFFFF
    return struct.pack(f"<III{len(more)}I", 0x1BADB002, flags, wanted if checksum is None else checksum, *more)


def build_sector(code=b"\xeb\xfe", table=b""):
    """Return a boot sector with its signature."""
    return (code.ljust(446, b"\0") + table).ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture
def elf():
    """Build ELF files."""
    return build_elf


@pytest.fixture
def header():
    """Build Multiboot headers."""
    return build_header


@pytest.fixture
def sector():
    """Build boot sectors."""
    return build_sector


@pytest.fixture
def one_line():
    """Check that an error is one clear line that begins with the file's name."""

    def check(caught, name):
        text = str(caught.value)
        assert "\n" not in text
        assert text.startswith(f"{name}: ")
        return text

    return check
