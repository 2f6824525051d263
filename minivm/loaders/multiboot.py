"""Multiboot 1 kernels, as GRUB starts them (Multiboot Specification, version 0.6.96).

The kernel is an ELF file, or any file whose header carries its own load addresses (the "a.out kludge"). It begins in
flat 32-bit mode with EAX = 2BADB002h and EBX pointing to the information structure of section 3.3.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path

from minivm.config import MachineConfig
from minivm.core.record import record
from minivm.errors import ImageError
from minivm.loaders import elf
from minivm.loaders.image import Image
from minivm.loaders.layout import Layout
from minivm.loaders.plan import HIGH_START, RAM, BootPlan, MemoryMap

HEADER_MAGIC, BOOT_MAGIC, MULTIBOOT_2_MAGIC = 0x1BAD_B002, 0x2BAD_B002, 0xE852_50D6
SEARCHED_BYTES = 8192
LOADER_NAME = "MiniVM"

# Header flags (section 3.1.2): the low 16 are demands, and an unknown one means "do not boot me"
_ALIGN_MODULES, _MEMORY_INFO, _VIDEO_MODE, _ADDRESSES = 0x1, 0x2, 0x4, 0x1_0000
_KNOWN_DEMANDS = _ALIGN_MODULES | _MEMORY_INFO | _VIDEO_MODE
_DEMANDS = 0xFFFF

# Information flags (section 3.3): which fields are valid
_HAS_MEMORY, _HAS_BOOT_DEVICE, _HAS_COMMAND_LINE, _HAS_MODULES = 0x1, 0x2, 0x4, 0x8
_HAS_SECTIONS, _HAS_MAP, _HAS_LOADER_NAME, _HAS_FRAMEBUFFER = 0x20, 0x40, 0x200, 0x1000
_INFO_BYTES = 116
_TEXT_FRAMEBUFFER = struct.pack("<QIIIBB6x", 0xB_8000, 160, 80, 25, 16, 2)  # type 2 is EGA text

_SYMBOL_TABLE, _STRING_TABLE = 2, 3  # section types (System V ABI, "Sections")


@record
class Addresses:
    """The load addresses of a kernel that is not ELF (header fields 12 to 28), all physical."""

    header: int
    load: int
    load_end: int
    bss_end: int
    entry: int


@record
class Header:
    """A Multiboot header with a right checksum at byte `offset` of the file."""

    offset: int
    flags: int
    addresses: Addresses | None


@record
class Module:
    """A file for the kernel, at the physical `start`, with the words that came with it."""

    start: int
    size: int
    words: str


def find_header(data: bytes) -> Header | None:
    """Return the header in the first 8192 bytes on a multiple of 4 whose checksum holds, or None."""
    for offset in _magics(data):
        flags, checksum = struct.unpack_from("<II", data, offset + 4)
        if HEADER_MAGIC + flags + checksum & 0xFFFF_FFFF == 0:
            fields = data[offset + 12 : min(offset + 32, SEARCHED_BYTES)]
            has_addresses = flags & _ADDRESSES and len(fields) == 20
            return Header(offset, flags, Addresses(*struct.unpack("<5I", fields)) if has_addresses else None)
    return None


def magic_without_checksum(data: bytes) -> int | None:
    """Return where the magic number stands although no header is right, or None when it stands nowhere."""
    return next(iter(_magics(data)), None) if find_header(data) is None else None


def _magics(data: bytes) -> list[int]:
    searched, magic = data[:SEARCHED_BYTES], struct.pack("<I", HEADER_MAGIC)
    found, offset = [], searched.find(magic)
    while offset >= 0:
        if offset % 4 == 0 and offset + 12 <= len(searched):
            found.append(offset)
        offset = searched.find(magic, offset + 1)
    return found


def load(image: Image, config: MachineConfig, memory_map: MemoryMap) -> BootPlan:
    """Put the kernel, its modules and the information structure into RAM; raises `ImageError` in one line."""
    data = image.read(elf.LARGEST_FILE_BYTES)
    header = _checked_header(data, image.name)
    layout = Layout(config.memory, image.name)
    parsed: elf.Elf | None = None
    if header.flags & _ADDRESSES:
        entry = _place_by_addresses(header, data, layout)
    else:
        parsed = elf.parse(data, image.name)
        entry = elf.place_segments(parsed, data, layout)
    info = _Info(memory_map, _boot_device(config))
    if parsed is not None:
        info.sections = _place_symbols(parsed, data, layout)
        info.section_bytes, info.names_index = parsed.section_bytes, parsed.names_index
    info.modules = [_place_module(text, layout) for text in config.initrd]
    info.command_line = f"{image.short_name} {config.append}".rstrip()
    address = layout.reserve(len(info.build(0)), "the Multiboot information")
    layout.fill(address, info.build(address))
    registers = (("eax", BOOT_MAGIC), ("ebx", address))
    return layout.plan("multiboot", layout.flat_entry(entry, 32, registers))


def _checked_header(data: bytes, name: str) -> Header:
    header = find_header(data)
    if header is None:
        wrong = magic_without_checksum(data)
        why = "there is none" if wrong is None else f"the checksum of the one at byte {wrong:X}h is wrong"
        raise ImageError(f"{name}: needs a Multiboot header in its first {SEARCHED_BYTES} bytes, but {why}")
    unknown = header.flags & _DEMANDS & ~_KNOWN_DEMANDS
    if unknown:
        raise ImageError(f"{name}: its Multiboot header demands what nobody knows: flags {unknown:X}h")
    if header.flags & _ADDRESSES and header.addresses is None:
        raise ImageError(f"{name}: is truncated: its Multiboot header ends before its addresses")
    return header


def _place_by_addresses(header: Header, data: bytes, layout: Layout) -> int:
    """Load a kernel by its header's own addresses (section 3.1.3); return its entry."""
    where = header.addresses
    assert where is not None
    start = header.offset - (where.header - where.load)
    if where.load > where.header or start < 0:
        raise ImageError(f"{layout.name}: its Multiboot load address {where.load:X}h does not fit its header's place")
    end = start + where.load_end - where.load if where.load_end else len(data)
    if not start < end <= len(data):
        raise ImageError(
            f"{layout.name}: is truncated: its Multiboot header loads bytes {start} to {end} of {len(data)}"
        )
    layout.place(where.load, data[start:end], "the kernel", max(where.bss_end - where.load, 0))
    if not layout.holds(where.entry):
        raise ImageError(f"{layout.name}: the entry {where.entry:X}h lies outside what is loaded")
    return where.entry


def _place_symbols(parsed: elf.Elf, data: bytes, layout: Layout) -> bytes:
    """Put symbol and string tables behind the kernel; return the section headers with their new addresses.

    A file whose section headers are damaged, or symbols for which there is no room, do without: nobody needs them to
    run. No more than 16 tables are taken (a linker makes three), so that a damaged file costs no time.
    """
    size, count = parsed.section_bytes, parsed.section_count
    wide = parsed.bits == 64
    table = bytearray(data[parsed.sections_offset : parsed.sections_offset + size * count])
    if size != (64 if wide else 40) or not count or len(table) != size * count:
        return b""
    address_at, address_format, extent = (16, "<Q", "<QQ") if wide else (12, "<I", "<II")
    extent_at = address_at + struct.calcsize(address_format)
    for place in _symbol_places(table, size):
        (current,) = struct.unpack_from(address_format, table, place + address_at)
        start, length = struct.unpack_from(extent, table, place + extent_at)
        if current or not length or start + length > len(data):
            continue
        try:
            address = layout.behind(length, "the symbols")
        except ImageError:
            break
        layout.fill(address, data[start : start + length])
        struct.pack_into(address_format, table, place + address_at, address)
    return bytes(table)


def _symbol_places(table: bytearray, size: int) -> list[int]:
    """Return where in the section table the headers of symbol and string tables begin."""
    kinds = (_SYMBOL_TABLE, _STRING_TABLE)
    return [
        place
        for place in range(0, len(table), size)
        if table[place + 4] in kinds and not any(table[place + 5 : place + 8])
    ][:16]


def _place_module(text: str, layout: Layout) -> Module:
    """Load the module "FILE words for it" on a page's start behind the kernel."""
    name, _, words = (text, "", "") if os.path.exists(text) else text.partition(" ")  # noqa: PTH110 - not yet a path
    image = Image.open(Path(name))
    content = image.read(elf.LARGEST_FILE_BYTES * 4)
    start = layout.behind(len(content), f"module {image.name}")
    layout.fill(start, content)
    return Module(start, len(content), f"{image.short_name} {words}".rstrip())


def _boot_device(config: MachineConfig) -> int | None:
    """Return the BIOS drive in the high byte and FFh for each partition level that is not used."""
    return 0x80FF_FFFF if config.disks else 0x00FF_FFFF if config.floppies else None


class _Info:
    """The information structure with everything that it points to, as one run of bytes."""

    def __init__(self, memory_map: MemoryMap, boot_device: int | None) -> None:
        self.command_line = ""
        self.modules: list[Module] = []
        self.sections = b""
        self.section_bytes = 0
        self.names_index = 0
        self._map = memory_map
        self._boot_device = boot_device

    def build(self, base: int) -> bytes:
        """Return the bytes for the physical address `base`; their number does not depend on it."""
        tail = bytearray()

        def put(data: bytes) -> int:
            tail.extend(bytes(-len(tail) % 8))
            tail.extend(data)
            return base + _INFO_BYTES + 4 + len(tail) - len(data)

        head = bytearray(_INFO_BYTES + 4)  # rounded up to a multiple of 8
        self._fill(head, put)
        return bytes(head + tail)

    def _fill(self, head: bytearray, put: Callable[[bytes], int]) -> None:
        flags = _HAS_MEMORY | _HAS_COMMAND_LINE | _HAS_MODULES | _HAS_MAP | _HAS_LOADER_NAME | _HAS_FRAMEBUFFER
        struct.pack_into("<II", head, 4, *_lower_and_upper(self._map))
        if self._boot_device is not None:
            flags |= _HAS_BOOT_DEVICE
            struct.pack_into("<I", head, 12, self._boot_device)
        struct.pack_into("<I", head, 16, put(_string(self.command_line)))
        listed = b"".join(
            struct.pack("<IIII", module.start, module.start + module.size, put(_string(module.words)), 0)
            for module in self.modules
        )
        struct.pack_into("<II", head, 20, len(self.modules), put(listed))
        if self.sections:
            flags |= _HAS_SECTIONS
            count = len(self.sections) // self.section_bytes
            struct.pack_into("<IIII", head, 28, count, self.section_bytes, put(self.sections), self.names_index)
        entries = b"".join(struct.pack("<IQQI", 20, *entry) for entry in self._map)
        struct.pack_into("<II", head, 44, len(entries), put(entries))
        struct.pack_into("<I", head, 64, put(_string(LOADER_NAME)))
        head[88 : 88 + len(_TEXT_FRAMEBUFFER)] = _TEXT_FRAMEBUFFER
        struct.pack_into("<I", head, 0, flags)


def _lower_and_upper(memory_map: MemoryMap) -> tuple[int, int]:
    """Return the KiB of RAM from 0, at most 640, and from 1 MiB to the first hole."""
    ends = {base: base + length for base, length, kind in memory_map if kind == RAM}
    return min(ends.get(0, 0) >> 10, 640), max(ends.get(HIGH_START, HIGH_START) - HIGH_START, 0) >> 10


def _string(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"
