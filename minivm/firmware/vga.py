"""The VGA's registers as the video services use them (IBM PS/2 Hardware Interface Technical Reference, "Video").

Nothing is remembered here: each function is a few port accesses.
"""

from minivm.firmware.services import Board

ATTRIBUTE, ATTRIBUTE_READ, MISCELLANEOUS, SEQUENCER = 0x3C0, 0x3C1, 0x3C2, 0x3C4
PEL_MASK, PEL_READ_INDEX, PEL_WRITE_INDEX, PEL_DATA, GRAPHICS = 0x3C6, 0x3C7, 0x3C8, 0x3C9, 0x3CE
PALETTE_ON = 0x20  # index bit 5: the screen shows again
MODE_CONTROL, OVERSCAN, PLANE_ENABLE, PANNING, COLOR_SELECT = 0x10, 0x11, 0x12, 0x13, 0x14
BLINK, P54_SELECT = 0x08, 0x80  # bits of the attribute mode control


def set_crtc(board: Board, index: int, value: int) -> None:
    """Write a CRT controller register at the port that the data area names."""
    port = board.bda.crtc_port
    board.out(port, index)
    board.out(port + 1, value)


def crtc(board: Board, index: int) -> int:
    """Read a CRT controller register."""
    port = board.bda.crtc_port
    board.out(port, index)
    return board.ports.read(port + 1, 1)


def set_crtc_word(board: Board, index: int, value: int) -> None:
    """Write a pair of registers, the high byte at `index`: start address 0Ch, cursor 0Eh."""
    set_crtc(board, index, value >> 8)
    set_crtc(board, index + 1, value)


def set_indexed(board: Board, port: int, index: int, value: int) -> None:
    """Write a register of the sequencer or the graphics controller."""
    board.out(port, index)
    board.out(port + 1, value)


def set_attribute(board: Board, index: int, value: int) -> None:
    """Write an attribute register; reading input status 1 first makes the next write an index."""
    board.ports.read(board.bda.crtc_port + 6, 1)
    board.out(ATTRIBUTE, index)
    board.out(ATTRIBUTE, value)
    board.out(ATTRIBUTE, PALETTE_ON)


def attribute(board: Board, index: int) -> int:
    """Read an attribute register."""
    board.ports.read(board.bda.crtc_port + 6, 1)
    board.out(ATTRIBUTE, index)
    value = board.ports.read(ATTRIBUTE_READ, 1)
    board.ports.read(board.bda.crtc_port + 6, 1)
    board.out(ATTRIBUTE, PALETTE_ON)
    return value


def set_colors(board: Board, first: int, data: bytes) -> None:
    """Write palette entries from `first`; three bytes each, 0-63: red, green, blue."""
    board.out(PEL_WRITE_INDEX, first)
    for byte in data:
        board.out(PEL_DATA, byte & 0x3F)


def colors(board: Board, first: int, count: int) -> bytes:
    """Read `count` palette entries from `first`."""
    board.out(PEL_READ_INDEX, first)
    return bytes(board.ports.read(PEL_DATA, 1) for _ in range(3 * count))


def load_font(board: Board, block: int, first: int, height: int, glyphs: bytes) -> None:
    """Put glyphs of `height` bytes each into plane 2, where text modes take them, and return to text."""
    space = board.space
    if space.region_at(0xA0000) is None and space.mmio.find(0xA0000) is None:
        return  # a VGA without a character generator that could be loaded
    # The eight font blocks lie 16 KiB apart, the odd ones 8 KiB behind the even ones; a glyph has room for 32 lines.
    base = 0xA0000 + ((block & 3) << 14 | (block & 4) << 11)
    cells = b"".join(glyphs[start : start + height].ljust(32, b"\0") for start in range(0, len(glyphs), height))
    for port, index, value in _FONT_ACCESS:
        set_indexed(board, port, index, value)
    space.store_bytes(base + first % 256 * 32, cells[: (256 - first % 256) * 32])
    color = board.bda.crtc_port != 0x3B4
    for port, index, value in _TEXT_ACCESS:
        set_indexed(board, port, index, value)
    set_indexed(board, GRAPHICS, 6, 0x0E if color else 0x0A)


# Reach plane 2 alone, byte by byte, at A0000h; and back to odd/even text at B8000h.
_FONT_ACCESS = (
    (SEQUENCER, 0, 1), (SEQUENCER, 2, 4), (SEQUENCER, 4, 7), (SEQUENCER, 0, 3),
    (GRAPHICS, 4, 2), (GRAPHICS, 5, 0), (GRAPHICS, 6, 4),
)  # fmt: skip
_TEXT_ACCESS = (
    (SEQUENCER, 0, 1), (SEQUENCER, 2, 3), (SEQUENCER, 4, 2), (SEQUENCER, 0, 3), (GRAPHICS, 4, 0), (GRAPHICS, 5, 0x10),
)  # fmt: skip
