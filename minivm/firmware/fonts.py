"""INT 10h AH=11h: the fonts of text modes in plane 2, and those of graphics modes behind INT 43h and INT 1Fh.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h, AH=11h"; Ralf Brown's Interrupt List, INT 10/AH=11h.
"""

from minivm.firmware import vga
from minivm.firmware.graphics import FONT_VECTOR, UPPER_FONT_VECTOR
from minivm.firmware.rom import RomMap
from minivm.firmware.screen import Screen
from minivm.firmware.services import Board, Call
from minivm.firmware.video_memory import VideoMemory

LARGEST_HEIGHT = 32
CURSOR_EMULATION_OFF = 0x01
"""Bit of 40:87."""
_ROWS_BY_CODE = {1: 14, 2: 25, 3: 43}


class Fonts:
    """The card's fonts. `rom` says where they lie in ROM segment `segment`."""

    def __init__(self, board: Board, rom: RomMap, segment: int, screen: Screen) -> None:
        self._board = board
        self._bda = board.bda
        self._segment = segment
        self._screen = screen
        self._rom = rom
        self._places = {8: rom.font_8x8, 14: rom.font_8x14, 16: rom.font_8x16}

    def call(self, call: Call) -> None:
        """Do the function in AL."""
        cpu = call.cpu
        match cpu.al:
            case 0x00 | 0x10:
                glyphs = self._board.load_bytes(cpu.es, cpu.bp, min(cpu.cx, 256) * cpu.bh)
                self._load(cpu.bl, cpu.dx, cpu.bh, glyphs)
            case 0x01 | 0x11:
                self.load_rom(cpu.bl, 14)
            case 0x02 | 0x12:
                self.load_rom(cpu.bl, 8)
            case 0x04 | 0x14:
                self.load_rom(cpu.bl, 16)
            case 0x03:
                vga.set_indexed(self._board, vga.SEQUENCER, vga.CHARACTER_MAP, cpu.bl)
            case 0x20 | 0x21 | 0x22 | 0x23 | 0x24:
                self._graphics_font(call)
            case 0x30:
                self._information(call)
            case _:
                call.unknown("INT 10h")
        if 0x10 <= cpu.al <= 0x14 and cpu.al != 0x13:
            self._fit_rows({0x11: 14, 0x12: 8, 0x14: 16}.get(cpu.al, cpu.bh))

    def load_rom(self, block: int, height: int) -> None:
        """Load the ROM's font of 8, 14 or 16 lines."""
        glyphs = self._board.load_bytes(self._segment, self._places[height], 256 * height)
        self._load(block, 0, height, glyphs)

    def point_at(self, height: int) -> None:
        """Let INT 43h point at the ROM's font of 8, 14 or 16 lines."""
        self._set_vector(FONT_VECTOR, self._segment, self._places[height])

    def _load(self, block: int, first: int, height: int, glyphs: bytes) -> None:
        if 1 <= height <= LARGEST_HEIGHT and self._screen.in_text:
            VideoMemory(self._board).load_font(block & 7, first, height, glyphs)

    def _fit_rows(self, height: int) -> None:
        """Set the character height, and as many rows as the screen's lines hold (11x0h-11x4h, x = 1)."""
        if not 1 <= height <= LARGEST_HEIGHT or not self._screen.in_text:
            return
        bda, board = self._bda, self._board
        doubled = vga.crtc(board, 9) & 0x80
        lines = self._lines() // (2 if doubled else 1)
        bda.character_height, bda.last_row = height, lines // height - 1
        bda.page_bytes = (bda.columns * self._screen.rows * 2 + 0xFF) & ~0xFF
        vga.set_crtc(board, 9, vga.crtc(board, 9) & 0xE0 | height - 1)
        vga.set_crtc(board, 0x12, self._screen.rows * height * (2 if doubled else 1) - 1 & 0xFF)
        if bda.video_mode == 7:
            vga.set_crtc(board, 0x14, height - 1)
        self.shape_cursor(bda.cursor_shape)

    def _lines(self) -> int:
        """Return how many scan lines text has, from 40:89: 200 are shown as 400."""
        if self._bda.video_flags & 0x90 == 0 or (self._bda.video_flags & 0x80 and self._bda.video_mode == 7):
            return 350
        return 400

    def shape_cursor(self, shape: int) -> None:
        """Show the cursor of the font's height that `shape` means: first line << 8 | last line."""
        self._bda.cursor_shape = shape
        start, end = self._scaled_cursor(shape)
        vga.set_crtc(self._board, 0x0A, start)
        vga.set_crtc(self._board, 0x0B, end)

    def _scaled_cursor(self, shape: int) -> tuple[int, int]:
        """Stretch a cursor meant for eight lines to the font's height, unless 40:87 bit 0 forbids it."""
        start, end, height = shape >> 8 & 0x3F, shape & 0x1F, self._bda.character_height
        emulated = not self._bda.video_control & CURSOR_EMULATION_OFF
        if not emulated or start >= 0x20 or end > 7 or start > end or height <= 8:
            return start, end
        bottom = (end + 1) * height // 8 - 1
        if start + 1 == end:  # an underline stays two lines thick, one line above the bottom
            return bottom - 2, bottom - 1
        return start * height // 8, bottom

    # -- graphics modes -----------------------------------------------------------------------------------------
    def _graphics_font(self, call: Call) -> None:
        cpu = call.cpu
        if cpu.al == 0x20:
            self._set_vector(UPPER_FONT_VECTOR, cpu.es, cpu.bp)
            return
        height = {0x22: 14, 0x23: 8, 0x24: 16}.get(cpu.al)
        if height is None:
            self._set_vector(FONT_VECTOR, cpu.es, cpu.bp)
        else:
            self.point_at(height)
        self._bda.character_height = cpu.cx & 0xFF if height is None else height
        self._bda.last_row = _ROWS_BY_CODE.get(cpu.bl, cpu.dl) - 1

    def _information(self, call: Call) -> None:
        cpu, rom = call.cpu, self._rom
        places = {
            2: rom.font_8x14, 3: rom.font_8x8, 4: rom.font_8x8_upper, 5: rom.font_8x14, 6: rom.font_8x16,
            7: rom.font_8x16,
        }  # fmt: skip
        if cpu.bh in (0, 1):
            vector = self._board.space.load(4 * (UPPER_FONT_VECTOR if cpu.bh == 0 else FONT_VECTOR), 4)
            call.set_es(vector >> 16)
            cpu.bp = vector & 0xFFFF
        elif cpu.bh in places:
            call.set_es(self._segment)
            cpu.bp = places[cpu.bh]
        else:
            call.unknown("INT 10h")
            return
        cpu.cx, cpu.dl = self._bda.character_height, self._bda.last_row

    def _set_vector(self, number: int, segment: int, offset: int) -> None:
        self._board.space.store(4 * number, 4, segment << 16 | offset)
