"""INT 10h AH=12h, 1Ah, 1Bh, 1Ch: what the card can do, what it is doing, and saving and restoring all of it.

IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h"; Ralf Brown's Interrupt List, INT 10.
"""

from minivm.core.vga_modes import MODE_REGISTERS
from minivm.firmware import vga
from minivm.firmware.rom import RomMap
from minivm.firmware.services import Board, Call

SCREEN_OFF = 0x20
"""Bit of the sequencer's clocking mode register."""
MEMORY_ENABLED = 0x02
"""Bit of the miscellaneous output register."""
HARDWARE, DATA_AREA, COLOURS = 1, 2, 4
"""Bits of CX in AH=1Ch."""
BLOCK_BYTES = 64
_BDA_PARTS = ((0x49, 0x1E), (0x84, 7), (0xA8, 4))
_VECTORS = (0x1F, 0x43)
_FILES = ((vga.SEQUENCER, 5), (vga.GRAPHICS, 9))
CRTC_REGISTERS, ATTRIBUTE_REGISTERS, PALETTE_BYTES = 25, 21, 768


class VideoState:
    """The card's abilities and its state. `rom` says where the tables lie in ROM segment `segment`."""

    def __init__(self, board: Board, rom: RomMap, segment: int) -> None:
        self._board = board
        self._bda = board.bda
        self._rom = rom
        self._segment = segment

    # -- AH=12h -------------------------------------------------------------------------------------------------
    def alternate(self, call: Call) -> None:
        """AH=12h: do the function in BL; AL = 12h says that it is there."""
        cpu, bda = call.cpu, self._bda
        match cpu.bl:
            case 0x10:
                cpu.bx = (0x100 if bda.crtc_port == 0x3B4 else 0) | 3  # colour; 256 KiB
                cpu.cx = bda.video_switches & 0x0F
                return
            case 0x20:
                return  # print screen: there is one for all modes
            case 0x30 if cpu.al < 3:
                bda.video_flags = bda.video_flags & 0x6F | (0x80, 0x00, 0x10)[cpu.al]
            case 0x31 if cpu.al < 2:
                bda.video_flags = bda.video_flags & ~0x08 | cpu.al << 3
            case 0x32 if cpu.al < 2:
                self._enable_memory(not cpu.al)
            case 0x33 if cpu.al < 2:
                bda.video_flags = bda.video_flags & ~0x02 | (not cpu.al) << 1
            case 0x34 if cpu.al < 2:
                bda.video_control = bda.video_control & ~1 | cpu.al
            case 0x36 if cpu.al < 2:
                clocking = vga.indexed(self._board, vga.SEQUENCER, 1) & ~SCREEN_OFF
                vga.set_indexed(self._board, vga.SEQUENCER, 1, clocking | (SCREEN_OFF if cpu.al else 0))
            case _:
                call.unknown("INT 10h")
                return
        cpu.al = 0x12

    def _enable_memory(self, enabled: bool) -> None:
        value = self._board.ports.read(vga.MISCELLANEOUS_READ, 1) & ~MEMORY_ENABLED
        self._board.out(vga.MISCELLANEOUS, value | (MEMORY_ENABLED if enabled else 0))

    # -- AH=1Ah, 1Bh --------------------------------------------------------------------------------------------
    def display_combination(self, call: Call) -> None:
        """AH=1Ah: read or write the code of the display and its card."""
        cpu = call.cpu
        if cpu.al == 0:
            cpu.bx = self._bda.display_combination
        elif cpu.al == 1:
            self._bda.display_combination = cpu.bl
        else:
            call.unknown("INT 10h")
            return
        cpu.al = 0x1A

    def functionality(self, call: Call) -> None:
        """AH=1Bh: write 64 bytes to ES:DI, which begin with a pointer to the table of what the card can do."""
        cpu = call.cpu
        if cpu.bx != 0:
            call.unknown("INT 10h")
            return
        self._board.store_bytes(cpu.es, cpu.di, self._functionality())
        cpu.al = 0x1B

    def _functionality(self) -> bytes:
        bda = self._bda
        registers = MODE_REGISTERS.get(bda.video_mode)
        mono = bda.crtc_port == 0x3B4
        colours = 0 if mono or registers is None else 1 << registers.bits
        pages = 1 if registers is None else registers.pages
        fonts = vga.indexed(self._board, vga.SEQUENCER, vga.CHARACTER_MAP)
        table = self._segment << 16 | self._rom.video_functionality
        state = table.to_bytes(4, "little") + bytes(bda.load(0x49 + index, 1) for index in range(0x1E))
        state += bytes([bda.last_row + 1 & 0xFF]) + bda.character_height.to_bytes(2, "little")
        state += bytes([bda.display_combination, 0]) + colours.to_bytes(2, "little")
        state += bytes([pages, self._lines_code(), _font_block(fonts, 0), _font_block(fonts, 1), self._flags()])
        return (state + bytes([0, 0, 0, 3])).ljust(64, b"\0")  # 256 KiB

    def _lines_code(self) -> int:
        """Return 0 to 3 for 200, 350, 400 and 480 lines."""
        if self._bda.video_mode in (0x11, 0x12):
            return 3
        if self._bda.video_mode in (0x0F, 0x10):
            return 1
        text = self._bda.video_mode in (0, 1, 2, 3, 7)
        return {0x00: 1, 0x10: 2, 0x80: 0}.get(self._bda.video_flags & 0x90, 2) if text else 0

    def _flags(self) -> int:
        cursor_emulated = 0 if self._bda.video_control & 1 else 0x10
        blinking = 0x20 if vga.attribute(self._board, vga.MODE_CONTROL) & vga.BLINK else 0
        return self._bda.video_flags & 0x0E | 0x01 | cursor_emulated | blinking

    # -- AH=1Ch -------------------------------------------------------------------------------------------------
    def save_and_restore(self, call: Call) -> None:
        """AH=1Ch: AL = 0 tells the size in blocks of 64 bytes, 1 saves to ES:BX, 2 restores; CX says what."""
        cpu = call.cpu
        if cpu.al > 2 or not cpu.cx & 7:
            call.unknown("INT 10h")
            return
        if cpu.al == 0:
            cpu.bx = -(-self.size_bytes(cpu.cx) // BLOCK_BYTES)
        elif cpu.al == 1:
            self._board.store_bytes(cpu.es, cpu.bx, self.save(cpu.cx))
        else:
            self.restore(cpu.cx, self._board.load_bytes(cpu.es, cpu.bx, self.size_bytes(cpu.cx)))
        cpu.al = 0x1C

    def size_bytes(self, parts: int) -> int:
        """Return how many bytes `save` gives: bit 0 the registers, 1 the data area, 2 the colours."""
        registers = 8 + sum(count for _, count in _FILES) + CRTC_REGISTERS + ATTRIBUTE_REGISTERS
        data = sum(length for _, length in _BDA_PARTS) + 4 * len(_VECTORS)
        sizes = (registers, data, 3 + PALETTE_BYTES)
        return sum(size for bit, size in enumerate(sizes) if parts >> bit & 1)

    def save(self, parts: int) -> bytes:
        """Return the parts of the state that `parts` names."""
        data = b""
        if parts & HARDWARE:
            data += self._save_registers()
        if parts & DATA_AREA:
            data += b"".join(self._board.space.load_bytes(0x400 + start, length) for start, length in _BDA_PARTS)
            data += b"".join(self._board.space.load_bytes(4 * number, 4) for number in _VECTORS)
        if parts & COLOURS:
            ports = self._board.ports
            position = bytes([ports.read(vga.PEL_READ_INDEX, 1), ports.read(vga.PEL_WRITE_INDEX, 1)])
            data += position + bytes([ports.read(vga.PEL_MASK, 1)]) + vga.colors(self._board, 0, 256)
        return data

    def restore(self, parts: int, data: bytes) -> None:
        """Put back what `save` gave for the same `parts`."""
        board, stream = self._board, _Stream(data)
        if parts & HARDWARE:
            self._restore_registers(stream)
        if parts & DATA_AREA:
            for start, length in _BDA_PARTS:
                board.space.store_bytes(0x400 + start, stream.take(length))
            for number in _VECTORS:
                board.space.store_bytes(4 * number, stream.take(4))
        if parts & COLOURS:
            reading, index, mask = stream.take(3)
            vga.set_colors(board, 0, stream.take(PALETTE_BYTES))
            board.out(vga.PEL_MASK, mask)
            board.out(vga.PEL_READ_INDEX if reading == 3 else vga.PEL_WRITE_INDEX, index)

    def _save_registers(self) -> bytes:
        """Eight bytes that stand alone (CRTC port, miscellaneous, feature, four indices), then the register files."""
        board, crtc = self._board, self._bda.crtc_port
        ports = board.ports
        data = crtc.to_bytes(2, "little")
        data += bytes(ports.read(port, 1) for port in (vga.MISCELLANEOUS_READ, vga.FEATURE_READ))
        data += bytes(ports.read(port, 1) for port in (vga.SEQUENCER, vga.GRAPHICS, crtc))
        ports.read(crtc + 6, 1)
        data += bytes([ports.read(vga.ATTRIBUTE, 1)])
        for port, count in (*_FILES, (crtc, CRTC_REGISTERS)):
            data += bytes(vga.indexed(board, port, index) for index in range(count))
        data += bytes(vga.attribute(board, index) for index in range(ATTRIBUTE_REGISTERS))
        for port, index in zip((vga.SEQUENCER, vga.GRAPHICS, crtc), data[4:7], strict=True):
            board.out(port, index)
        return data

    def _restore_registers(self, stream: "_Stream") -> None:
        board = self._board
        port, (miscellaneous, feature) = int.from_bytes(stream.take(2), "little"), stream.take(2)
        crtc = 0x3D4 if miscellaneous & 1 else 0x3B4
        del port
        indices, attribute_index = stream.take(3), stream.take(1)[0]
        board.out(vga.MISCELLANEOUS, miscellaneous)
        board.out(crtc + 6, feature)
        for file, count in _FILES:
            for index, value in enumerate(stream.take(count)):
                vga.set_indexed(board, file, index, value)
        values = stream.take(CRTC_REGISTERS)
        vga.set_indexed(board, crtc, 0x11, values[0x11] & 0x7F)  # bit 7 protects 00h-07h
        for index, value in enumerate(values):
            vga.set_indexed(board, crtc, index, value)
        board.ports.read(crtc + 6, 1)
        for index, value in enumerate(stream.take(ATTRIBUTE_REGISTERS)):
            board.out(vga.ATTRIBUTE, index)
            board.out(vga.ATTRIBUTE, value)
        board.out(vga.ATTRIBUTE, attribute_index)
        board.ports.read(crtc + 6, 1)
        for file, index in zip((vga.SEQUENCER, vga.GRAPHICS, crtc), indices, strict=True):
            board.out(file, index)


class _Stream:
    """Bytes taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        self._at += count
        return self._data[self._at - count : self._at]


def _font_block(selected: int, which: int) -> int:
    """Return the block of the primary (0) or secondary (1) font from the sequencer's character map register.

    Bits 1-0 and 4 choose the font of attribute bit 3 clear, bits 3-2 and 5 the other one.
    """
    low, high = (selected & 3, selected >> 4 & 1) if which == 0 else (selected >> 2 & 3, selected >> 5 & 1)
    return low | high << 2
