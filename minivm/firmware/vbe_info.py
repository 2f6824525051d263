"""The VBE's modes, and the two blocks that describe card and mode.

VESA BIOS Extension (VBE) Core Functions 2.0, functions 00h and 01h. Mode numbers up to 11Bh are VESA's; the others
are what QEMU's and Bochs's cards have (VESA left them to the makers, and programs are to look in the list).
"""

from minivm.firmware.dispi import Shape

VERSION = 0x0200
OEM = b"MiniVM VGABIOS\0"
NAMES = (b"MiniVM\0", b"Virtual VGA\0", b"1.0\0")
"""Maker, product, revision."""
DAC_SWITCHABLE = 0x01
END_OF_LIST = 0xFFFF
LIST_OFFSET, OEM_DATA_OFFSET, BLOCK_1_BYTES, BLOCK_2_BYTES = 34, 256, 256, 512

# Mode attributes: supported, described in full, text output, colour, graphics, not a VGA's; with LINEAR at an address
ATTRIBUTES, LINEAR = 0x3F, 0x80
WINDOW_ATTRIBUTES, WINDOW_SEGMENT, WINDOW_KIB = 0x07, 0xA000, 64
PACKED_PIXELS, DIRECT_COLOUR = 4, 6
RESERVED_USABLE = 0x02

_SIZES = {
    8: {0x100: (640, 400), 0x101: (640, 480), 0x103: (800, 600), 0x105: (1024, 768), 0x146: (320, 200)},
    15: {0x10D: (320, 200), 0x110: (640, 480), 0x113: (800, 600), 0x116: (1024, 768)},
    16: {0x10E: (320, 200), 0x111: (640, 480), 0x114: (800, 600), 0x117: (1024, 768)},
    24: {0x10F: (320, 200), 0x112: (640, 480), 0x115: (800, 600), 0x118: (1024, 768)},
    32: {0x140: (320, 200), 0x141: (640, 400), 0x142: (640, 480), 0x143: (800, 600), 0x144: (1024, 768)},
}
MODES: dict[int, Shape] = dict(
    sorted(
        (number, Shape(width, height, bits, width, 0))
        for bits, sizes in _SIZES.items()
        for number, (width, height) in sizes.items()
    )
)
"""Mode number to what it shows."""

# Size and place in a pixel of red, green, blue and what is left, by a pixel's bits
_FIELDS = {
    8: (0, 0, 0, 0, 0, 0, 0, 0), 15: (5, 10, 5, 5, 5, 0, 1, 15), 16: (5, 11, 6, 5, 5, 0, 0, 0),
    24: (8, 16, 8, 8, 8, 0, 0, 0), 32: (8, 16, 8, 8, 8, 0, 8, 24),
}  # fmt: skip


def controller_info(segment: int, offset: int, *, memory_blocks: int, modes: list[int], version_2: bool) -> bytes:
    """Return the card's description for segment:offset: 256 bytes, or 512 for who has asked for VBE 2.0.

    The list of modes and the strings lie in the block itself. `memory_blocks` are of 64 KiB.
    """

    def far(place: int) -> bytes:
        return (offset + place & 0xFFFF).to_bytes(2, "little") + segment.to_bytes(2, "little")

    mode_list = b"".join(number.to_bytes(2, "little") for number in [*modes, END_OF_LIST])
    strings_at = LIST_OFFSET + len(mode_list)
    block = b"VESA" + VERSION.to_bytes(2, "little") + far(strings_at)
    block += DAC_SWITCHABLE.to_bytes(4, "little") + far(LIST_OFFSET) + memory_blocks.to_bytes(2, "little")
    if version_2:
        places = (sum(map(len, NAMES[:index])) + OEM_DATA_OFFSET for index in range(len(NAMES)))
        block += (0x0100).to_bytes(2, "little") + b"".join(map(far, places))
    block = block.ljust(LIST_OFFSET, b"\0") + mode_list + OEM
    block = block.ljust(BLOCK_1_BYTES, b"\0")
    return (block + b"".join(NAMES)).ljust(BLOCK_2_BYTES, b"\0") if version_2 else block


def mode_info(shape: Shape, *, linear_base: int, total_bytes: int, window_function: int) -> bytes:
    """Return a mode's description of 256 bytes; `linear_base` is 0 where the memory is nowhere in one piece."""
    used = shape.line_bytes * shape.height
    pages = min(total_bytes // used - 1, 0xFF) if used <= total_bytes else 0
    direct = shape.bits > 8
    usable = RESERVED_USABLE if shape.bits == 32 else 0

    def word(value: int) -> bytes:
        return value.to_bytes(2, "little")

    supported = ATTRIBUTES if used <= total_bytes else ATTRIBUTES & ~1
    return (
        word(supported | (LINEAR if linear_base else 0))
        + bytes([WINDOW_ATTRIBUTES, 0])
        + word(WINDOW_KIB)
        + word(WINDOW_KIB)
        + word(WINDOW_SEGMENT)
        + word(0)
        + window_function.to_bytes(4, "little")
        + word(shape.line_bytes)
        + word(shape.width)
        + word(shape.height)
        + bytes([8, 16, 1, shape.bits, 1, DIRECT_COLOUR if direct else PACKED_PIXELS, 0, pages, 1])
        + bytes([*_FIELDS[shape.bits], usable])
        + linear_base.to_bytes(4, "little")
        + used.to_bytes(4, "little")
        + word(min((total_bytes - used) // 1024, 0xFFFF) if used <= total_bytes else 0)
    ).ljust(256, b"\0")
