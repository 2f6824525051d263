"""The ROM image that ships with the package, and where its tables lie."""

from pathlib import Path

from minivm.core.record import record

SIZE_BYTES = 0x1_0000
BASE = 0xF0000
VECTOR_TABLE = 0xFEF3
MAP_OFFSET = 0xFFE0
"""Where the ROM says the offsets of its own tables, eight words."""


@record
class RomMap:
    """Offsets inside the ROM of what the services point callers to."""

    font_8x14: int
    font_8x16: int
    font_8x8: int
    font_8x8_upper: int
    fixed_disk_tables: int
    video_functionality: int
    video_save_pointers: int
    window_function: int


ENTRIES_OFFSET = 0xFFD0
"""Where the ROM says the offsets of what it has for operating systems, four words."""
SYSTEM_TABLES_BYTES = 0x3000


@record
class RomEntries:
    """Offsets of the room for tables, and of the entries that tables point to."""

    system_tables: int
    bios32_directory: int
    pci_bios_32: int
    plug_and_play: int


def rom_entries(rom: bytes) -> RomEntries:
    """Return what `rom` has for operating systems."""
    return RomEntries(*(word(rom, ENTRIES_OFFSET + 2 * index) for index in range(4)))


def image() -> bytes:
    """Return the 65,536 bytes to put at physical F0000h (and, on a real PC, below 4 GiB)."""
    return Path(__file__).with_name("rom.bin").read_bytes()


def rom_map(rom: bytes) -> RomMap:
    """Return where the tables of `rom` lie."""
    return RomMap(*(word(rom, MAP_OFFSET + 2 * index) for index in range(8)))


def vectors(rom: bytes) -> dict[int, int]:
    """Return the offset in segment F000h for each interrupt that the ROM handles, by its number."""
    numbers = [*range(0x20), *range(0x70, 0x78)]
    return {number: word(rom, VECTOR_TABLE + 2 * index) for index, number in enumerate(numbers)}


def word(rom: bytes, offset: int) -> int:
    """Return the 16-bit number at `offset`."""
    return int.from_bytes(rom[offset : offset + 2], "little")
