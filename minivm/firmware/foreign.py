"""A ROM that the user brings in place of MiniVM's own BIOS (`--firmware`)."""

from pathlib import Path

from minivm.errors import ConfigError

LARGEST_BYTES = 0x2_0000
"""The ROM ends at the top of the first MiB and may begin at E0000h (IBM PC AT Technical Reference, "Memory map")."""
RESET_VECTOR_BYTES = 16


def read_rom(path: Path) -> bytes:
    """Return the ROM in a file, at least its reset vector; raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            rom = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or error
        raise ConfigError(f"firmware: {path}: cannot be read: {words}") from error
    if not RESET_VECTOR_BYTES <= len(rom) <= LARGEST_BYTES:
        size = f"more than {LARGEST_BYTES}" if len(rom) > LARGEST_BYTES else str(len(rom))
        raise ConfigError(f"firmware: {path}: has {size} bytes; a ROM has {RESET_VECTOR_BYTES} to {LARGEST_BYTES}")
    return rom
