"""INT 10h AH=0Bh and 10h: the CGA's two palettes, the palette of 16, and the 256 colours behind it.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h"; Ralf Brown's Interrupt List, INT 10/AH=0Bh, 10h.
"""

from collections.abc import Callable

from minivm.core.vga_modes import CGA, MODE_REGISTERS
from minivm.firmware import vga
from minivm.firmware.services import Board, Call

GREYS = 0x02
"""40:89 bit 1: colours become greys as they are loaded."""
BRIGHT = 0x10
"""In the CGA's modes, the intensity in a palette register, and in 40:66."""


def call(call: Call) -> None:
    """AH=10h: do the function in AL."""
    function = _FUNCTIONS.get(call.cpu.al)
    if function is None:
        call.unknown("INT 10h")
    else:
        function(call, call.board)


def cga_palette(call: Call) -> None:
    """AH=0Bh: BH = 0 sets border, background and intensity from BL, BH = 1 one of the palettes of mode 4."""
    cpu, board = call.cpu, call.board
    bda = board.bda
    registers = MODE_REGISTERS.get(bda.video_mode)
    graphics = registers is not None and registers.layout == CGA
    if cpu.bh == 0:
        bda.palette = bda.palette & 0xE0 | cpu.bl & 0x1F
        colour = cpu.bl & 7 | (cpu.bl & 8) << 1
        vga.set_attribute(board, vga.OVERSCAN, colour)
        if graphics:
            vga.set_attribute(board, 0, colour)
            _set_foregrounds(board, keep=~BRIGHT, add=cpu.bl & BRIGHT)
    else:
        bda.palette = bda.palette & 0xDF | (cpu.bl & 1) << 5
        if graphics:
            _set_foregrounds(board, keep=~1, add=cpu.bl & 1)


def _set_foregrounds(board: Board, keep: int, add: int) -> None:
    """Change the three colours that are not the background: 2, 4, 6 and with bit 0 set 3, 5, 7."""
    for index in (1, 2, 3):
        vga.set_attribute(board, index, vga.attribute(board, index) & keep | add)


def _load(board: Board, first: int, data: bytes) -> None:
    vga.set_colors(board, first, data)
    if board.bda.video_flags & GREYS:
        vga.sum_to_grey(board, first, len(data) // 3)


def _set_register(call: Call, board: Board) -> None:
    if call.cpu.bl <= vga.COLOR_SELECT:
        vga.set_attribute(board, call.cpu.bl, call.cpu.bh)


def _set_overscan(call: Call, board: Board) -> None:
    vga.set_attribute(board, vga.OVERSCAN, call.cpu.bh)


def _set_all_registers(call: Call, board: Board) -> None:
    for index, value in enumerate(board.load_bytes(call.cpu.es, call.cpu.dx, 17)):
        vga.set_attribute(board, index if index < 16 else vga.OVERSCAN, value)


def _set_blink(call: Call, board: Board) -> None:
    blink = call.cpu.bl & 1
    mode = vga.attribute(board, vga.MODE_CONTROL) & ~vga.BLINK
    vga.set_attribute(board, vga.MODE_CONTROL, mode | blink << 3)
    board.bda.mode_control = board.bda.mode_control & ~0x20 | blink << 5


def _get_register(call: Call, board: Board) -> None:
    if call.cpu.bl <= vga.COLOR_SELECT:
        call.cpu.bh = vga.attribute(board, call.cpu.bl)


def _get_overscan(call: Call, board: Board) -> None:
    call.cpu.bh = vga.attribute(board, vga.OVERSCAN)


def _get_all_registers(call: Call, board: Board) -> None:
    values = bytes(vga.attribute(board, index) for index in (*range(16), vga.OVERSCAN))
    board.store_bytes(call.cpu.es, call.cpu.dx, values)


def _set_color(call: Call, board: Board) -> None:
    _load(board, call.cpu.bl, bytes([call.cpu.dh, call.cpu.ch, call.cpu.cl]))


def _set_color_block(call: Call, board: Board) -> None:
    _load(board, call.cpu.bl, board.load_bytes(call.cpu.es, call.cpu.dx, 3 * min(call.cpu.cx, 256)))


def _set_color_page(call: Call, board: Board) -> None:
    mode = vga.attribute(board, vga.MODE_CONTROL)
    if call.cpu.bl == 0:
        vga.set_attribute(board, vga.MODE_CONTROL, mode & ~vga.P54_SELECT | (call.cpu.bh & 1) << 7)
    else:
        vga.set_attribute(board, vga.COLOR_SELECT, call.cpu.bh if mode & vga.P54_SELECT else call.cpu.bh << 2)


def _get_color(call: Call, board: Board) -> None:
    call.cpu.dh, call.cpu.ch, call.cpu.cl = vga.colors(board, call.cpu.bl, 1)


def _get_color_block(call: Call, board: Board) -> None:
    board.store_bytes(call.cpu.es, call.cpu.dx, vga.colors(board, call.cpu.bl, min(call.cpu.cx, 256)))


def _set_mask(call: Call, board: Board) -> None:
    board.out(vga.PEL_MASK, call.cpu.bl)


def _get_mask(call: Call, board: Board) -> None:
    call.cpu.bl = board.ports.read(vga.PEL_MASK, 1)


def _get_color_page(call: Call, board: Board) -> None:
    mode, select = vga.attribute(board, vga.MODE_CONTROL), vga.attribute(board, vga.COLOR_SELECT)
    call.cpu.bl = mode >> 7 & 1
    call.cpu.bh = select & 0x0F if call.cpu.bl else select >> 2 & 3


def _sum_to_grey(call: Call, board: Board) -> None:
    vga.sum_to_grey(board, call.cpu.bl, min(call.cpu.cx, 256))


_FUNCTIONS: dict[int, Callable[[Call, Board], None]] = {
    0x00: _set_register, 0x01: _set_overscan, 0x02: _set_all_registers, 0x03: _set_blink, 0x07: _get_register,
    0x08: _get_overscan, 0x09: _get_all_registers, 0x10: _set_color, 0x12: _set_color_block, 0x13: _set_color_page,
    0x15: _get_color, 0x17: _get_color_block, 0x18: _set_mask, 0x19: _get_mask, 0x1A: _get_color_page,
    0x1B: _sum_to_grey,
}  # fmt: skip
