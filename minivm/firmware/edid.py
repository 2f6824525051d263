"""What the monitor says of itself: 128 bytes for one of 1024 x 768 (VESA Enhanced EDID Standard, EDID 1.3)."""

HEADER = bytes.fromhex("00 FF FF FF FF FF FF 00")
DIGITAL_NO, GAMMA_2_2 = 0x0E, 120
"""Analogue, 0.7 V, separate and composite syncs; gamma 2.2 as (2.2 - 1) * 100."""
CHROMATICITY = bytes.fromhex("EE 91 A3 54 4C 99 26 0F 50 54")
"""The sRGB primaries and its white."""
ESTABLISHED = bytes([0x20 | 0x01, 0x08, 0x00])
"""640 x 480, 800 x 600 and 1024 x 768, all at 60 Hz."""
UNUSED_TIMING = b"\x01\x01"


def edid() -> bytes:
    """Return the monitor's 128 bytes, the last of which makes their sum 0."""
    block = HEADER + _maker("MVM") + (1).to_bytes(2, "little") + bytes(4) + bytes([1, 2026 - 1990, 1, 3])
    block += bytes([DIGITAL_NO, 32, 24, GAMMA_2_2, 0x0A]) + CHROMATICITY + ESTABLISHED
    block += UNUSED_TIMING * 8
    block += _timing(65_000, (1024, 24, 136, 160), (768, 3, 6, 29), (320, 240))
    block += _text(0xFC, "MiniVM") + _limits() + _text(0xFE, "1024 x 768")
    block += bytes([0])
    return block + bytes([-sum(block) & 0xFF])


def _maker(letters: str) -> bytes:
    """Three letters of five bits each, A is 1."""
    number = 0
    for letter in letters:
        number = number << 5 | ord(letter) - ord("A") + 1
    return number.to_bytes(2, "big")


def _timing(
    clock_khz: int,
    across: tuple[int, int, int, int],
    down: tuple[int, int, int, int],
    size_mm: tuple[int, int],
) -> bytes:
    """A detailed timing: shown, front porch, sync and back porch, across in pixels and down in lines."""
    shown_x, porch_x, sync_x, back_x = across
    shown_y, porch_y, sync_y, back_y = down
    blank_x, blank_y = porch_x + sync_x + back_x, porch_y + sync_y + back_y
    width, height = size_mm
    return (clock_khz // 10).to_bytes(2, "little") + bytes([
        shown_x & 0xFF, blank_x & 0xFF, shown_x >> 8 << 4 | blank_x >> 8,
        shown_y & 0xFF, blank_y & 0xFF, shown_y >> 8 << 4 | blank_y >> 8,
        porch_x & 0xFF, sync_x & 0xFF, (porch_y & 0xF) << 4 | sync_y & 0xF,
        porch_x >> 8 << 6 | sync_x >> 8 << 4 | porch_y >> 4 << 2 | sync_y >> 4,
        width & 0xFF, height & 0xFF, width >> 8 << 4 | height >> 8, 0, 0, 0x18,  # separate syncs, both negative
    ])  # fmt: skip


def _text(kind: int, words: str) -> bytes:
    """A descriptor of 13 characters: FCh is the monitor's name, FEh anything."""
    return bytes([0, 0, 0, kind, 0]) + (words + "\n").ljust(13).encode("ascii")


def _limits() -> bytes:
    """What the monitor can follow: 50-75 Hz down, 30-60 kHz across, pixels up to 80 MHz."""
    return bytes([0, 0, 0, 0xFD, 0, 50, 75, 30, 60, 8, 0, 0x0A]) + b" " * 6
