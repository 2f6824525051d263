"""INT 10h, the screen: modes, cursor, characters, pixels, fonts, colours.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h"; Ralf Brown's Interrupt List, INT 10. An unknown
function returns with nothing changed, as on a VGA.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from minivm.core.vga_modes import MODE_REGISTERS, TEXT
from minivm.firmware import palette, vga
from minivm.firmware.fonts import Fonts
from minivm.firmware.modes import Modes
from minivm.firmware.rom import RomMap
from minivm.firmware.screen import Screen
from minivm.firmware.services import ROM_SEGMENT, Board, Call
from minivm.firmware.video_state import VideoState

if TYPE_CHECKING:
    from minivm.firmware.vbe import Vbe


class Video:
    """INT 10h. `call` is the service; `set_mode` is for POST, too. The ROM at `segment` has the tables in `rom`."""

    def __init__(self, board: Board, rom: RomMap, segment: int = ROM_SEGMENT) -> None:
        self._board = board
        self._bda = board.bda
        self.screen = Screen(board)
        self._fonts = Fonts(board, rom, segment, self.screen)
        self._modes = Modes(board, self.screen, self._fonts)
        self._state = state = VideoState(board, rom, segment)
        self._window_function = segment << 16 | rom.window_function
        self._functions: dict[int, Callable[[Call], None]] = {
            0x00: self._set_mode, 0x01: self._cursor_shape, 0x02: self._set_cursor, 0x03: self._get_cursor,
            0x04: self._light_pen, 0x05: self._select_page, 0x06: self._scroll, 0x07: self._scroll,
            0x08: self._read_cell, 0x09: self._write_cells, 0x0A: self._write_cells, 0x0B: palette.cga_palette,
            0x0C: self._write_pixel, 0x0D: self._read_pixel, 0x0E: self._teletype, 0x0F: self._get_mode,
            0x10: palette.call, 0x11: self._fonts.call, 0x12: state.alternate, 0x13: self._write_string,
            0x1A: state.display_combination, 0x1B: state.functionality, 0x1C: state.save_and_restore,
            0x4F: self._extensions,
        }  # fmt: skip

    @cached_property
    def vbe(self) -> "Vbe":
        """The VESA BIOS extensions, for the few programs that ask for them."""
        from minivm.firmware.vbe import Vbe

        return Vbe(self._board, self._modes, self._state, window_function=self._window_function)

    def _extensions(self, call: Call) -> None:
        self.vbe.call(call)

    def far_window(self, call: Call) -> None:
        """Set the VBE window, called by far call and not by INT 10h."""
        self.vbe.far_window(call)

    def call(self, call: Call) -> None:
        """Do the function in AH."""
        function = self._functions.get(call.cpu.ah)
        if function is None:
            call.unknown("INT 10h")
        else:
            function(call)

    def power_on(self) -> None:
        """Describe the card in the data area, as POST does: 256 KiB, a VGA in colour with 400 lines of text."""
        bda = self._bda
        bda.video_control, bda.video_switches, bda.video_flags, bda.display_combination = 0x60, 0xF9, 0x51, 0x08

    # -- modes --------------------------------------------------------------------------------------------------
    def set_mode(self, mode: int, keep_memory: bool = False) -> bool:
        """Set mode 0-7 or 0Dh-13h; False when it is another one, which is not there."""
        return self._modes.set(mode, keep_memory)

    def _set_mode(self, call: Call) -> None:
        mode, keep = call.cpu.al & 0x7F, bool(call.cpu.al & 0x80)
        if self.set_mode(mode, keep):
            call.cpu.al = 0x20 if mode > 7 else 0x3F if mode == 6 else 0x30  # what other BIOSes leave there
        else:
            call.unknown("INT 10h, the mode of")

    def _get_mode(self, call: Call) -> None:
        call.cpu.ah = self._bda.columns & 0xFF
        call.cpu.al = self._bda.video_mode | self._bda.video_control & 0x80
        call.cpu.bh = self._bda.active_page

    # -- cursor and pages ---------------------------------------------------------------------------------------
    def _cursor_shape(self, call: Call) -> None:
        self._fonts.shape_cursor(call.cpu.cx)

    def _set_cursor(self, call: Call) -> None:
        self.screen.move_cursor(call.cpu.bh, call.cpu.dl, call.cpu.dh)

    def _get_cursor(self, call: Call) -> None:
        column, row = self._bda.cursor(call.cpu.bh)
        call.cpu.dx = column | row << 8
        call.cpu.cx = self._bda.cursor_shape

    def _light_pen(self, call: Call) -> None:
        call.cpu.ah = 0  # not triggered: a VGA has none

    def _select_page(self, call: Call) -> None:
        page, registers = call.cpu.al, MODE_REGISTERS.get(self._bda.video_mode)
        if registers is None or page >= registers.pages:
            return
        self._bda.active_page = page
        self._bda.page_start = page * self._bda.page_bytes
        start = self._bda.page_start // (2 if registers.layout == TEXT else 1)
        vga.set_crtc_word(self._board, 0x0C, start)
        self.screen.move_cursor(page, *self._bda.cursor(page))

    # -- characters ---------------------------------------------------------------------------------------------
    def _scroll(self, call: Call) -> None:
        cpu = call.cpu
        lines = cpu.al if cpu.ah == 6 else -cpu.al
        self.screen.scroll(self._bda.active_page, lines, cpu.bh, (cpu.cl, cpu.ch, cpu.dl, cpu.dh))

    def _read_cell(self, call: Call) -> None:
        call.cpu.ax = self.screen.cell(call.cpu.bh)

    def _write_cells(self, call: Call) -> None:
        colour_given = call.cpu.ah == 9 or not self.screen.in_text
        self.screen.fill(call.cpu.bh, call.cpu.al, call.cpu.bl if colour_given else None, call.cpu.cx)

    def _teletype(self, call: Call) -> None:
        # BH is documented as the page, but every BIOS writes to the active one, and programs leave garbage in BH.
        colour = None if self.screen.in_text else call.cpu.bl
        self.screen.teletype(self._bda.active_page, call.cpu.al, colour)

    def _write_string(self, call: Call) -> None:
        cpu, page = call.cpu, call.cpu.bh & 7
        old = self._bda.cursor(page)
        if cpu.dh != 0xFF:
            self.screen.move_cursor(page, cpu.dl, cpu.dh)
        width = 2 if cpu.al & 2 else 1
        for index in range(cpu.cx):
            place = cpu.bp + index * width
            character = self._board.load(cpu.es, place)
            attribute = self._board.load(cpu.es, place + 1) if width == 2 else cpu.bl
            self.screen.teletype(page, character, attribute)
        if not cpu.al & 1:
            self.screen.move_cursor(page, *old)

    # -- pixels -------------------------------------------------------------------------------------------------
    def _write_pixel(self, call: Call) -> None:
        self.screen.graphics.set_pixel(call.cpu.bh, call.cpu.cx, call.cpu.dx, call.cpu.al)

    def _read_pixel(self, call: Call) -> None:
        colour = self.screen.graphics.pixel(call.cpu.bh, call.cpu.cx, call.cpu.dx)
        if colour is not None:
            call.cpu.al = colour
