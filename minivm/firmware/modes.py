"""INT 10h AH=00h: setting the VGA's modes.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h, AH=00h" and "Video parameter table".
"""

from minivm.core.vga_modes import CGA, MODE_REGISTERS, PACKED, TEXT, ModeRegisters, port_writes, text_registers
from minivm.firmware import dispi, vga
from minivm.firmware.fonts import Fonts
from minivm.firmware.pixels import CGA_BASE, CGA_BYTES
from minivm.firmware.screen import Screen
from minivm.firmware.services import Board
from minivm.firmware.video_memory import BANK_BYTES, WINDOW, VideoMemory

NO_CLEAR, NO_PALETTE, GREYS = 0x80, 0x08, 0x02
"""40:87 bit 7: the last mode kept the memory. 40:89 bits 3 and 1: modes keep the palette; modes make it grey."""
TEXT_CURSOR = 0x0607
LINES_200, LINES_400 = 0x80, 0x10  # of 40:89; neither means 350

# What 40:65 shows: the CGA's or MDA's mode register for that mode
_MODE_CONTROL = {0: 0x2C, 1: 0x28, 2: 0x2D, 3: 0x29, 4: 0x2A, 5: 0x2E, 6: 0x1E}
_MODE_CONTROL_OTHERS = 0x29


class Modes:
    """Sets modes, with registers, colours, fonts, memory and data area."""

    def __init__(self, board: Board, screen: Screen, fonts: Fonts) -> None:
        self._board = board
        self._bda = board.bda
        self._screen = screen
        self._fonts = fonts

    def set(self, mode: int, keep_memory: bool = False) -> bool:
        """Set a mode; False when it is not one of a VGA's."""
        if mode not in MODE_REGISTERS:
            return False
        registers = self._registers(mode)
        dispi.switch_off(self._board)
        self._describe(mode, registers, keep_memory)
        self._program(registers)
        if registers.layout == TEXT:
            self._begin_text(registers, keep_memory)
        elif not keep_memory:
            self._clear(registers)
        self._fonts.point_at(registers.character_height)
        return True

    def point_at_font(self, height: int) -> None:
        """Let graphics modes write with the ROM's font of 8, 14 or 16 lines."""
        self._fonts.point_at(height)

    def _registers(self, mode: int) -> ModeRegisters:
        """Return the registers; text has as many lines as 40:89 says."""
        if MODE_REGISTERS[mode].layout != TEXT or self._bda.video_flags & LINES_400:
            return MODE_REGISTERS[mode]
        return text_registers(mode, 200 if self._bda.video_flags & LINES_200 else 350)

    def _describe(self, mode: int, registers: ModeRegisters, keep_memory: bool) -> None:
        bda = self._bda
        bda.video_mode, bda.columns, bda.page_bytes, bda.page_start = mode, registers.columns, registers.page_bytes, 0
        bda.crtc_port = 0x3D4 if registers.miscellaneous & 1 else 0x3B4
        bda.mode_control = _MODE_CONTROL.get(mode, _MODE_CONTROL_OTHERS)
        bda.palette = 0x3F if mode == 6 else 0x30
        bda.last_row, bda.character_height = registers.rows - 1, registers.character_height
        bda.video_control = bda.video_control & ~NO_CLEAR | (NO_CLEAR if keep_memory else 0)
        bda.active_page = bda.cursor_shape = 0
        for page in range(8):
            bda.set_cursor(page, 0, 0)

    def _program(self, registers: ModeRegisters) -> None:
        """Program the VGA; 40:89 bit 3 keeps the colours as they are, bit 1 makes them grey."""
        load_dac = not self._bda.video_flags & NO_PALETTE
        for port, value in port_writes(registers, load_dac=load_dac):
            if value < 0:
                self._board.ports.read(port, 1)
            else:
                self._board.out(port, value)
        if load_dac and self._bda.video_flags & GREYS:
            vga.sum_to_grey(self._board, 0, len(registers.dac) // 3)

    def _begin_text(self, registers: ModeRegisters, keep_memory: bool) -> None:
        self._fonts.load_rom(0, registers.character_height)
        if not keep_memory:
            self._screen.text.clear()
        self._screen.move_cursor(0, 0, 0)
        self._fonts.shape_cursor(TEXT_CURSOR)

    def _clear(self, registers: ModeRegisters) -> None:
        """Clear the planes, or the window of a CGA's mode where that is quicker or all there is."""
        space, memory = self._board.space, VideoMemory(self._board)
        if registers.layout == CGA and (not memory.flat or space.region_at(CGA_BASE, CGA_BYTES) is not None):
            space.store_bytes(CGA_BASE, bytes(CGA_BYTES))
        elif registers.layout == PACKED and space.region_at(WINDOW, BANK_BYTES) is not None:
            space.store_bytes(WINDOW, bytes(BANK_BYTES))
        else:
            memory.clear_planes()
