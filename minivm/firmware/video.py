"""INT 10h, the screen: modes, cursor, text, scrolling, fonts, colours.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h"; Ralf Brown's Interrupt List, INT 10. An unknown
function returns with nothing changed, as on a VGA.
"""

from collections.abc import Callable

from minivm.core.vga_modes import MODE_REGISTERS, port_writes
from minivm.firmware import vga
from minivm.firmware.rom import RomMap
from minivm.firmware.services import ROM_SEGMENT, Board, Call

BELL, BACKSPACE, LINE_FEED, RETURN = 7, 8, 10, 13
WINDOW_BYTES = 0x8000
"""Text memory is 32 KiB; a write past its end comes out at its beginning."""


class Screen:
    """Text on the screen: cells, cursor and pages, all of it in video memory and the data area."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.bda = board.bda

    @property
    def base(self) -> int:
        """Where text memory begins."""
        return 0xB0000 if self.bda.video_mode == 7 else 0xB8000

    @property
    def rows(self) -> int:
        """Lines on the screen."""
        return self.bda.last_row + 1

    def address(self, page: int, column: int, row: int) -> int:
        """Return the address of a cell: a character byte and an attribute byte."""
        offset = (page & 7) * self.bda.page_bytes + 2 * (row * self.bda.columns + column)
        return self.base + offset % WINDOW_BYTES

    def cell(self, page: int) -> int:
        """Return the cell under `page`'s cursor: attribute << 8 | character."""
        return self.board.space.load(self.address(page, *self.bda.cursor(page)), 2)

    def put(self, address: int, character: int, attribute: int | None) -> None:
        """Write a cell, or only its character when `attribute` is None."""
        if attribute is None:
            self.board.space.store(address, 1, character)
        else:
            self.board.space.store(address, 2, attribute << 8 | character)

    def fill(self, page: int, character: int, attribute: int | None, count: int) -> None:
        """Write a character `count` times from the cursor on, through row ends, and leave the cursor."""
        start = self.address(page, *self.bda.cursor(page)) - self.base
        for index in range(min(count, WINDOW_BYTES // 2)):
            self.put(self.base + (start + 2 * index) % WINDOW_BYTES, character, attribute)

    def move_cursor(self, page: int, column: int, row: int) -> None:
        """Remember a page's cursor; on the active page show it there, too."""
        self.bda.set_cursor(page, column, row)
        if page & 7 == self.bda.active_page:
            start = self.bda.page_start // 2
            vga.set_crtc_word(self.board, 0x0E, start + row * self.bda.columns + column & 0xFFFF)

    def scroll(self, page: int, lines: int, attribute: int, window: tuple[int, int, int, int]) -> None:
        """Move a window's text up by `lines` (down when negative); 0, or more than it has, clears it.

        `window` is left, top, right, bottom, all inside; what lies outside the screen is cut off.
        """
        left, top, right, bottom = window
        right, bottom = min(right, self.bda.columns - 1), min(bottom, self.rows - 1)
        if left > right or top > bottom:
            return
        if lines == 0 or abs(lines) > bottom - top + 1:
            lines = bottom - top + 1
        width = 2 * (right - left + 1)
        blank = bytes([0x20, attribute]) * (width // 2)
        if width == 2 * self.bda.columns:  # whole rows lie in one piece
            self._move(self.address(page, 0, top), width * (bottom - top + 1), lines * width, blank * abs(lines))
            return
        old = [self._line(page, left, row, width) for row in range(top, bottom + 1)]
        gap = [blank] * abs(lines)
        new = old[lines:] + gap if lines > 0 else gap + old[:lines]
        for row, line in enumerate(new, start=top):
            self.board.space.store_bytes(self.address(page, left, row), line)

    def _move(self, address: int, length: int, distance: int, gap: bytes) -> None:
        """Move bytes to lower addresses by `distance` (to higher ones when negative) and fill the gap."""
        space = self.board.space
        if distance > 0:
            space.store_bytes(address, space.load_bytes(address + distance, length - distance) + gap)
        else:
            space.store_bytes(address, gap + space.load_bytes(address, length + distance))

    def teletype(self, page: int, character: int, attribute: int | None) -> None:
        """Write a character at the cursor and move on; BEL, BS, LF and CR do what they say, the last line scrolls."""
        column, row = self.bda.cursor(page)
        if character == BACKSPACE:
            column = max(column - 1, 0)
        elif character == RETURN:
            column = 0
        elif character == LINE_FEED:
            row += 1
        elif character != BELL:
            self.put(self.address(page, column, row), character, attribute)
            column = column + 1 & 0xFF
            if column == self.bda.columns:  # a cursor set beyond the edge goes on there, as on the PC
                column, row = 0, row + 1
        if row >= self.rows:
            row = self.rows - 1
            self._scroll_whole(page, self.board.space.load(self.address(page, column, row) + 1, 1))
        self.move_cursor(page, column, row)

    def _scroll_whole(self, page: int, attribute: int) -> None:
        self.scroll(page, 1, attribute, (0, 0, self.bda.columns - 1, self.rows - 1))

    def _line(self, page: int, left: int, row: int, length: int) -> bytes:
        return self.board.space.load_bytes(self.address(page, left, row), length)


class Video:
    """INT 10h. `call` is the service; `set_mode` is for POST, too."""

    def __init__(self, board: Board, rom: RomMap) -> None:
        self._board = board
        self._bda = board.bda
        self._rom = rom
        self.screen = Screen(board)
        self._functions: dict[int, Callable[[Call], None]] = {
            0x00: self._set_mode, 0x01: self._cursor_shape, 0x02: self._set_cursor, 0x03: self._get_cursor,
            0x04: self._light_pen, 0x05: self._select_page, 0x06: self._scroll, 0x07: self._scroll,
            0x08: self._read_cell, 0x09: self._write_cells, 0x0A: self._write_cells, 0x0B: self._border,
            0x0E: self._teletype, 0x0F: self._get_mode, 0x10: self._colors, 0x11: self._fonts, 0x12: self._alternate,
            0x13: self._write_string, 0x1A: self._display_combination, 0x1B: self._functionality,
        }  # fmt: skip

    def call(self, call: Call) -> None:
        """Do the function in AH."""
        function = self._functions.get(call.cpu.ah)
        if function is None:
            call.unknown("INT 10h")
        else:
            function(call)

    # -- modes --------------------------------------------------------------------------------------------------
    def set_mode(self, mode: int, keep_memory: bool = False) -> bool:
        """Set text mode 0-3 or 7; False when it is another one, which is not there."""
        if mode not in MODE_REGISTERS:
            return False
        columns = MODE_REGISTERS[mode].columns
        bda = self._bda
        bda.video_mode, bda.columns, bda.page_start = mode, columns, 0
        bda.page_bytes = 0x1000 if columns == 80 else 0x800
        bda.crtc_port = 0x3B4 if mode == 7 else 0x3D4
        bda.mode_control = _MODE_CONTROL[mode]
        bda.palette = 0x30
        bda.last_row, bda.character_height = 24, 16
        bda.video_control = bda.video_control & 0x7F | (0x80 if keep_memory else 0)
        bda.active_page = 0
        self._program(mode)
        self._load_rom_font(0, 16)
        if not keep_memory:
            self._board.space.store_bytes(self.screen.base, b"\x20\x07" * (WINDOW_BYTES // 2))
        for page in range(8):
            bda.set_cursor(page, 0, 0)
        self._apply_page(0)
        self._apply_cursor_shape(0x0607)
        return True

    def _program(self, mode: int) -> None:
        """Program the VGA for a text mode; 40:89 bit 3 keeps the colours as they are."""
        load_dac = not self._bda.video_flags & 0x08
        for port, value in port_writes(MODE_REGISTERS[mode], load_dac=load_dac):
            if value < 0:
                self._board.ports.read(port, 1)
            else:
                self._board.out(port, value)

    def _set_mode(self, call: Call) -> None:
        mode, keep = call.cpu.al & 0x7F, bool(call.cpu.al & 0x80)
        if self.set_mode(mode, keep):
            call.cpu.al = 0x30  # what IBM's BIOS leaves there for these modes
        else:
            call.unknown("INT 10h, the mode of")

    def _get_mode(self, call: Call) -> None:
        call.cpu.ah = self._bda.columns & 0xFF
        call.cpu.al = self._bda.video_mode | self._bda.video_control & 0x80
        call.cpu.bh = self._bda.active_page

    # -- cursor and pages ---------------------------------------------------------------------------------------
    def _cursor_shape(self, call: Call) -> None:
        self._apply_cursor_shape(call.cpu.cx)

    def _apply_cursor_shape(self, shape: int) -> None:
        self._bda.cursor_shape = shape
        start, end = self._scaled_cursor(shape)
        vga.set_crtc(self._board, 0x0A, start)
        vga.set_crtc(self._board, 0x0B, end)

    def _scaled_cursor(self, shape: int) -> tuple[int, int]:
        """Stretch a cursor meant for eight lines to the font's height, unless 40:87 bit 0 forbids it."""
        start, end, height = shape >> 8 & 0x3F, shape & 0x1F, self._bda.character_height
        if self._bda.video_control & 1 or start >= 0x20 or end > 7 or start > end or height <= 8:
            return start, end
        bottom = (end + 1) * height // 8 - 1
        if start + 1 == end:  # an underline stays two lines thick, one line above the bottom
            return bottom - 2, bottom - 1
        return start * height // 8, bottom

    def _set_cursor(self, call: Call) -> None:
        self.screen.move_cursor(call.cpu.bh, call.cpu.dl, call.cpu.dh)

    def _get_cursor(self, call: Call) -> None:
        column, row = self._bda.cursor(call.cpu.bh)
        call.cpu.dx = column | row << 8
        call.cpu.cx = self._bda.cursor_shape

    def _light_pen(self, call: Call) -> None:
        call.cpu.ah = 0  # not triggered: a VGA has none

    def _select_page(self, call: Call) -> None:
        if call.cpu.al < 8:
            self._apply_page(call.cpu.al)

    def _apply_page(self, page: int) -> None:
        self._bda.active_page = page
        self._bda.page_start = page * self._bda.page_bytes
        vga.set_crtc_word(self._board, 0x0C, self._bda.page_start // 2)
        self.screen.move_cursor(page, *self._bda.cursor(page))

    # -- text ---------------------------------------------------------------------------------------------------
    def _scroll(self, call: Call) -> None:
        cpu = call.cpu
        lines = cpu.al if cpu.ah == 6 else -cpu.al
        self.screen.scroll(self._bda.active_page, lines, cpu.bh, (cpu.cl, cpu.ch, cpu.dl, cpu.dh))

    def _read_cell(self, call: Call) -> None:
        call.cpu.ax = self.screen.cell(call.cpu.bh)

    def _write_cells(self, call: Call) -> None:
        attribute = call.cpu.bl if call.cpu.ah == 9 else None
        self.screen.fill(call.cpu.bh, call.cpu.al, attribute, call.cpu.cx)

    def _teletype(self, call: Call) -> None:
        # BH is documented as the page, but every BIOS writes to the active one, and programs leave garbage in BH.
        self.screen.teletype(self._bda.active_page, call.cpu.al, None)

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

    # -- colours ------------------------------------------------------------------------------------------------
    def _border(self, call: Call) -> None:
        cpu, bda = call.cpu, self._bda
        if cpu.bh == 0:
            bda.palette = bda.palette & 0xE0 | cpu.bl & 0x1F
            vga.set_attribute(self._board, vga.OVERSCAN, cpu.bl & 0x0F | (cpu.bl & 8) << 1)
        else:
            bda.palette = bda.palette & 0xDF | (cpu.bl & 1) << 5

    def _colors(self, call: Call) -> None:
        function = _COLOR_FUNCTIONS.get(call.cpu.al)
        if function is None:
            call.unknown("INT 10h")
        else:
            function(call, self._board)

    # -- fonts --------------------------------------------------------------------------------------------------
    def _fonts(self, call: Call) -> None:
        cpu = call.cpu
        match cpu.al:
            case 0x00 | 0x10:
                glyphs = self._board.load_bytes(cpu.es, cpu.bp, min(cpu.cx, 256) * cpu.bh)
                self._load_font(cpu.bl, cpu.dx, cpu.bh, glyphs)
            case 0x01 | 0x11:
                self._load_rom_font(cpu.bl, 14)
            case 0x02 | 0x12:
                self._load_rom_font(cpu.bl, 8)
            case 0x04 | 0x14:
                self._load_rom_font(cpu.bl, 16)
            case 0x03:
                vga.set_indexed(self._board, vga.SEQUENCER, 3, cpu.bl)
            case 0x20 | 0x21 | 0x22 | 0x23 | 0x24:
                self._graphics_font(call)
            case 0x30:
                self._font_information(call)
            case _:
                call.unknown("INT 10h")
        if 0x10 <= cpu.al <= 0x14 and cpu.al != 0x13:
            self._fit_rows({0x11: 14, 0x12: 8, 0x14: 16}.get(cpu.al, cpu.bh))

    def _load_font(self, block: int, first: int, height: int, glyphs: bytes) -> None:
        if 1 <= height <= 32:
            vga.load_font(self._board, block & 7, first, height, glyphs)

    def _load_rom_font(self, block: int, height: int) -> None:
        if height == 8:  # the PC's ROM had only the lower half at its famous address, so it is in two pieces
            lower = self._board.load_bytes(ROM_SEGMENT, self._rom.font_8x8, 1024)
            glyphs = lower + self._board.load_bytes(ROM_SEGMENT, self._rom.font_8x8_upper, 1024)
        else:
            offset = self._rom.font_8x14 if height == 14 else self._rom.font_8x16
            glyphs = self._board.load_bytes(ROM_SEGMENT, offset, 256 * height)
        self._load_font(block, 0, height, glyphs)

    def _fit_rows(self, height: int) -> None:
        """Set the character height, and as many rows as 400 lines hold (11x0h-11x4h, x = 1)."""
        if not 1 <= height <= 32:
            return
        bda = self._bda
        bda.character_height, bda.last_row = height, 400 // height - 1
        bda.page_bytes = (bda.columns * self.screen.rows * 2 + 0xFF) & ~0xFF
        vga.set_crtc(self._board, 9, vga.crtc(self._board, 9) & 0xE0 | height - 1)
        vga.set_crtc(self._board, 0x12, self.screen.rows * height - 1 & 0xFF)
        self._apply_cursor_shape(bda.cursor_shape)

    def _graphics_font(self, call: Call) -> None:
        cpu = call.cpu
        if cpu.al == 0x20:
            self._set_vector(0x1F, cpu.es, cpu.bp)
            return
        places = {0x22: self._rom.font_8x14, 0x23: self._rom.font_8x8, 0x24: self._rom.font_8x16}
        if cpu.al == 0x21:
            self._set_vector(0x43, cpu.es, cpu.bp)
        else:
            self._set_vector(0x43, ROM_SEGMENT, places[cpu.al])
        self._bda.character_height = {0x22: 14, 0x23: 8, 0x24: 16}.get(cpu.al, cpu.cl)
        self._bda.last_row = {1: 13, 2: 24, 3: 42}.get(cpu.bl, cpu.dl - 1)

    def _font_information(self, call: Call) -> None:
        cpu, rom = call.cpu, self._rom
        places = {
            2: rom.font_8x14, 3: rom.font_8x8, 4: rom.font_8x8_upper, 5: rom.font_8x14, 6: rom.font_8x16,
            7: rom.font_8x16,
        }  # fmt: skip
        if cpu.bh in (0, 1):
            vector = self._board.space.load(4 * (0x1F if cpu.bh == 0 else 0x43), 4)
            call.set_es(vector >> 16)
            cpu.bp = vector & 0xFFFF
        elif cpu.bh in places:
            call.set_es(ROM_SEGMENT)
            cpu.bp = places[cpu.bh]
        else:
            call.unknown("INT 10h")
            return
        cpu.cx, cpu.dl = self._bda.character_height, self._bda.last_row

    def _set_vector(self, number: int, segment: int, offset: int) -> None:
        self._board.space.store(4 * number, 4, segment << 16 | offset)

    # -- what there is ------------------------------------------------------------------------------------------
    def _alternate(self, call: Call) -> None:
        cpu, bda = call.cpu, self._bda
        match cpu.bl:
            case 0x10:
                cpu.bx = (0x100 if bda.crtc_port == 0x3B4 else 0) | 3  # colour; 256 KiB
                cpu.cx = bda.video_switches & 0x0F
                return
            case 0x30 if cpu.al < 3:
                bda.video_flags = bda.video_flags & 0x6F | (0x80, 0x00, 0x10)[cpu.al]
            case 0x31 if cpu.al < 2:
                bda.video_flags = bda.video_flags & ~0x08 | cpu.al << 3
            case 0x32 | 0x33 | 0x36:
                pass  # video and refresh on or off, grey shades: taken, without effect
            case 0x34 if cpu.al < 2:
                bda.video_control = bda.video_control & ~1 | cpu.al
            case 0x20:
                return  # print screen: there is one for all modes
            case _:
                call.unknown("INT 10h")
                return
        cpu.al = 0x12

    def _display_combination(self, call: Call) -> None:
        cpu = call.cpu
        if cpu.al == 0:
            cpu.bx = self._bda.display_combination
        elif cpu.al == 1:
            self._bda.display_combination = cpu.bl
        cpu.al = 0x1A

    def _functionality(self, call: Call) -> None:
        cpu, bda = call.cpu, self._bda
        if cpu.bx != 0:
            call.unknown("INT 10h")
            return
        table = ROM_SEGMENT << 16 | self._rom.video_functionality
        state = table.to_bytes(4, "little") + bytes(bda.load(0x49 + index, 1) for index in range(0x1E))
        state += bytes([self.screen.rows]) + bda.character_height.to_bytes(2, "little")
        state += bytes([bda.display_combination, 0]) + (16).to_bytes(2, "little") + bytes([8, 2, 0, 0])
        state += bytes([bda.video_flags & 0x0F | 0x20, 0, 0, 0, 3])
        self._board.store_bytes(cpu.es, cpu.di, state.ljust(64, b"\0"))
        cpu.al = 0x1B


# -- INT 10h AH=10h: the palette of 16 and the 256 colours behind it ------------------------------------------------
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
    vga.set_colors(board, call.cpu.bl, bytes([call.cpu.dh, call.cpu.ch, call.cpu.cl]))


def _set_color_block(call: Call, board: Board) -> None:
    data = board.load_bytes(call.cpu.es, call.cpu.dx, 3 * min(call.cpu.cx, 256))
    vga.set_colors(board, call.cpu.bl, data)


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
    first, count = call.cpu.bl, min(call.cpu.cx, 256)
    old = vga.colors(board, first, count)
    grey = bytearray()
    for index in range(0, len(old), 3):
        red, green, blue = old[index : index + 3]
        grey += bytes([(red * 30 + green * 59 + blue * 11) // 100]) * 3
    vga.set_colors(board, first, bytes(grey))


_COLOR_FUNCTIONS: dict[int, Callable[[Call, Board], None]] = {
    0x00: _set_register, 0x01: _set_overscan, 0x02: _set_all_registers, 0x03: _set_blink, 0x07: _get_register,
    0x08: _get_overscan, 0x09: _get_all_registers, 0x10: _set_color, 0x12: _set_color_block, 0x13: _set_color_page,
    0x15: _get_color, 0x17: _get_color_block, 0x18: _set_mask, 0x19: _get_mask, 0x1A: _get_color_page,
    0x1B: _sum_to_grey,
}  # fmt: skip

# What 40:65 shows: the CGA's or MDA's mode register for that mode
_MODE_CONTROL = {0: 0x2C, 1: 0x28, 2: 0x2D, 3: 0x29, 7: 0x29}
