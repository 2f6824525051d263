"""What an ATA hard disk says about itself: the 256 words of IDENTIFY DEVICE.

ATA/ATAPI-6 (T13/1410D), section 8.15 and its table 26.
"""

from minivm.core.record import record

MODEL = "MINIVM HARDDISK"
FIRMWARE = "1.0"
HEADS, TRACK_SECTORS, LARGEST_CYLINDERS = 16, 63, 16383
MULTIPLE_LIMIT = 16
"""The largest block of READ MULTIPLE, in sectors."""
MULTIWORD_MODES, ULTRA_MODES, PIO_MODES = 0x07, 0x3F, 0x03
"""Bit n for mode n; the PIO bits are for modes 3 and 4."""
LBA28_SECTORS, LBA48_SECTORS = (1 << 28) - 1, (1 << 48) - 1
CYCLE_NS = 120
"""The shortest cycle of PIO mode 4 and of multiword DMA mode 2."""
ATA_MAJOR_VERSIONS = 0x7E
"""ATA-1 to ATA/ATAPI-6, one bit each."""
ATA6_MINOR = 0x0018
WRITE_CACHE = 0x0020
COMMAND_SETS = 0x4048 | WRITE_CACHE, 0x7400, 0x4000
"""Words 82 to 84: NOP, look-ahead, write cache, power management; FLUSH CACHE and EXT, 48-bit addresses."""
INTEGRITY = 0xA5


@record
class Modes:
    """What the host can change and IDENTIFY DEVICE tells."""

    heads: int
    track_sectors: int
    multiple: int
    transfer_mode: int
    write_cache: bool


def text(words: str, length: int) -> bytes:
    """Return `words` as ATA has strings: padded with blanks, and the two bytes of each word exchanged."""
    data = words.encode("ascii", "replace").ljust(length)[:length]
    swapped = bytearray(length)
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)


def cylinders(sectors: int, heads: int, track_sectors: int) -> int:
    """Return how many whole cylinders `sectors` make, as the standard caps them."""
    return min(sectors // (heads * track_sectors), LARGEST_CYLINDERS) if heads and track_sectors else 0


def modes_in_force(transfer_mode: int) -> tuple[int, int]:
    """Return words 63 and 88: the DMA modes that there are, and in the high byte the one in force."""
    kind, bit = transfer_mode & 0xF8, 1 << (transfer_mode & 7)
    multiword = MULTIWORD_MODES | (bit << 8 if kind == 0x20 else 0)
    ultra = ULTRA_MODES | (bit << 8 if kind == 0x40 else 0)
    return multiword, ultra


def identify(sectors: int, *, serial: str, second: bool, modes: Modes) -> bytes:
    """Return the 512 bytes for a disk of `sectors`; `second` is whether it is the channel's drive 1."""
    words = bytearray(512)

    def put(word: int, *values: int) -> None:
        for place, value in enumerate(values, start=word):
            words[2 * place : 2 * place + 2] = value.to_bytes(2, "little")

    def put_long(word: int, value: int, length: int = 4) -> None:
        words[2 * word : 2 * word + length] = value.to_bytes(length, "little")

    put(0, 0x0040)  # not removable
    put(1, cylinders(sectors, HEADS, TRACK_SECTORS), 0, HEADS)
    put(6, TRACK_SECTORS)
    words[20:40], words[46:54], words[54:94] = text(serial, 20), text(FIRMWARE, 8), text(MODEL, 40)
    put(47, 0x8000 | MULTIPLE_LIMIT)
    put(49, 0x0F00, 0x4000, 0x0200)  # DMA, LBA, IORDY and that it can be switched off
    put(53, 0x0007)  # words 54-58, 64-70 and 88 count
    current = cylinders(sectors, modes.heads, modes.track_sectors)
    put(54, current, modes.heads, modes.track_sectors)
    put_long(57, current * modes.heads * modes.track_sectors)
    put(59, 0x0100 | modes.multiple if modes.multiple else 0)
    put_long(60, min(sectors, LBA28_SECTORS))
    multiword, ultra = modes_in_force(modes.transfer_mode)
    put(63, multiword, PIO_MODES, CYCLE_NS, CYCLE_NS, CYCLE_NS, CYCLE_NS)
    put(80, ATA_MAJOR_VERSIONS, ATA6_MINOR, *COMMAND_SETS)
    put(85, COMMAND_SETS[0] & ~(0 if modes.write_cache else WRITE_CACHE), COMMAND_SETS[1] & ~0x4000, COMMAND_SETS[2])
    put(88, ultra)
    put(93, 0x6000 | (0x0B00 if second else 0x000B))  # an 80-conductor cable, numbered by jumper, passed
    put_long(100, min(sectors, LBA48_SECTORS), 8)
    words[510] = INTEGRITY
    words[511] = -sum(words[:511]) & 0xFF
    return bytes(words)
