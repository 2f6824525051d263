"""A ROM that the user brings in place of MiniVM's own BIOS (`--firmware`).

It ends at 4 GiB, where the CPU begins; what of its end was there since the first PC is seen below 1 MiB as well.
"""

from pathlib import Path

from minivm.errors import ConfigError

LARGEST_ROM_BYTES = 16 << 20
"""From FF000000h on, all that a chipset hands to its flash."""
LOW_BYTES = 0x2_0000
"""So much of the end is also seen from E0000h to 1 MiB (IBM PC AT Technical Reference, "Memory map")."""
RESET_VECTOR_BYTES = 16


def read_rom(path: Path) -> bytes:
    """Return the ROM in a file, at least its reset vector; raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            rom = file.read(LARGEST_ROM_BYTES + 1)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or error
        raise ConfigError(f"firmware: {path}: cannot be read: {words}") from error
    if not RESET_VECTOR_BYTES <= len(rom) <= LARGEST_ROM_BYTES:
        size = f"more than {LARGEST_ROM_BYTES}" if len(rom) > LARGEST_ROM_BYTES else str(len(rom))
        raise ConfigError(f"firmware: {path}: has {size} bytes; a ROM has {RESET_VECTOR_BYTES} to {LARGEST_ROM_BYTES}")
    return rom


def below_one_mib(rom: bytes) -> bytes:
    """Return the end of the ROM that is also seen below 1 MiB, where its last byte is at FFFFFh."""
    return rom[-LOW_BYTES:]
