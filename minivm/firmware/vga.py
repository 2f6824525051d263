"""The VGA's registers as the video services use them (IBM PS/2 Hardware Interface Technical Reference, "Video").

Nothing is remembered here: each function is a few port accesses.
"""

from minivm.firmware.services import Board

ATTRIBUTE, ATTRIBUTE_READ, MISCELLANEOUS, SEQUENCER = 0x3C0, 0x3C1, 0x3C2, 0x3C4
PEL_MASK, PEL_READ_INDEX, PEL_WRITE_INDEX, PEL_DATA, GRAPHICS = 0x3C6, 0x3C7, 0x3C8, 0x3C9, 0x3CE
FEATURE_READ, MISCELLANEOUS_READ = 0x3CA, 0x3CC
PALETTE_ON = 0x20  # index bit 5: the screen shows again
MODE_CONTROL, OVERSCAN, PLANE_ENABLE, PANNING, COLOR_SELECT = 0x10, 0x11, 0x12, 0x13, 0x14
BLINK, P54_SELECT = 0x08, 0x80  # bits of the attribute mode control
MAP_MASK, CHARACTER_MAP, MEMORY_MODE = 2, 3, 4  # of the sequencer
READ_MAP, GRAPHICS_MODE, MISCELLANEOUS_GRAPHICS, BIT_MASK = 4, 5, 6, 8  # of the graphics controller


def set_crtc(board: Board, index: int, value: int) -> None:
    """Write a CRT controller register at the port that the data area names."""
    port = board.bda.crtc_port
    board.out(port, index)
    board.out(port + 1, value)


def crtc(board: Board, index: int) -> int:
    """Read a CRT controller register."""
    return indexed(board, board.bda.crtc_port, index)


def set_crtc_word(board: Board, index: int, value: int) -> None:
    """Write a pair of registers, the high byte at `index`: start address 0Ch, cursor 0Eh."""
    set_crtc(board, index, value >> 8)
    set_crtc(board, index + 1, value)


def set_indexed(board: Board, port: int, index: int, value: int) -> None:
    """Write a register of the sequencer or the graphics controller."""
    board.out(port, index)
    board.out(port + 1, value)


def indexed(board: Board, port: int, index: int) -> int:
    """Read a register of the sequencer, the graphics controller or the CRT controller at `port`."""
    board.out(port, index)
    return board.ports.read(port + 1, 1)


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
        board.out(PEL_DATA, byte)


def colors(board: Board, first: int, count: int) -> bytes:
    """Read `count` palette entries from `first`."""
    board.out(PEL_READ_INDEX, first)
    return bytes(board.ports.read(PEL_DATA, 1) for _ in range(3 * count))


def sum_to_grey(board: Board, first: int, count: int) -> None:
    """Replace palette entries by greys of their brightness: 30 % red, 59 % green, 11 % blue."""
    old = colors(board, first, count)
    greys = bytearray()
    for index in range(0, len(old), 3):
        red, green, blue = old[index : index + 3]
        greys += bytes([(red * 30 + green * 59 + blue * 11 + 50) // 100]) * 3
    set_colors(board, first, bytes(greys))
