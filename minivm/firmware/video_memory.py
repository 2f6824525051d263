"""Video memory as the video services reach it.

Through the window at A0000h the four planes are reached one by one, by the VGA's registers, and in small pieces. A card
on the PCI bus shows the same memory once more, whole and flat, at its base address 0: there plane p of offset o lies at
byte 4 * o + p, and clearing the screen is one write. The services use that place where it is, else the window.
"""

from minivm.core.record import record
from minivm.firmware import dispi, vga
from minivm.firmware.services import Board

WINDOW = 0xA0000
PLANES, PLANE_BYTES = 4, 0x1_0000
BANK_BYTES = 0x1_0000
GLYPH_LINES = 32
"""Room for a glyph in plane 2."""

# PCI Local Bus Specification 2.1, chapter 6
CONFIG_ADDRESS, CONFIG_DATA, CONFIG_ENABLE = 0xCF8, 0xCFC, 0x8000_0000
VENDOR, COMMAND, CLASS, BASE_0 = 0x00, 0x04, 0x08, 0x10
MEMORY_DECODED = 0x02
VGA_CLASS = 0x0300
NOTHING = 0xFFFF_FFFF


@record
class Card:
    """A VGA on the PCI bus: its place in configuration space and its memory's base address."""

    place: int
    base: int


def card(board: Board) -> Card | None:
    """Return the PCI bus's VGA whose memory answers, None when there is none; bus 0, function 0 of each device."""
    ports = board.ports
    before = ports.read(CONFIG_ADDRESS, 4)
    ports.write(CONFIG_ADDRESS, 4, CONFIG_ENABLE)
    if ports.read(CONFIG_ADDRESS, 4) != CONFIG_ENABLE:
        return None  # no PCI
    places = (CONFIG_ENABLE | device << 11 for device in range(32))
    found = next((one for place in places if (one := _card_at(board, place))), None)
    ports.write(CONFIG_ADDRESS, 4, before)
    return found


def _card_at(board: Board, place: int) -> Card | None:
    if _config(board, place | CLASS) >> 16 != VGA_CLASS or not _config(board, place | COMMAND) & MEMORY_DECODED:
        return None
    base = _config(board, place | BASE_0)
    return None if base & 1 or base & ~0xF in (0, 0xFFFF_FFF0) else Card(place, base & ~0xF)


def _config(board: Board, place: int) -> int:
    board.ports.write(CONFIG_ADDRESS, 4, place)
    return board.ports.read(CONFIG_DATA, 4)


class VideoMemory:
    """The card's memory, for the length of one call."""

    def __init__(self, board: Board) -> None:
        self._board = board
        found = card(board)
        # a guest may have put the card's window over RAM, which wins
        self._flat = None if found is None or found.base < board.space.memory.size else found.base
        self._open = False

    @property
    def flat(self) -> bool:
        """True where all of the memory can be reached in one piece."""
        return self._flat is not None

    def load_planes(self, offset: int, length: int) -> bytes:
        """Return `length` bytes of each plane from `offset`, those of the four planes in turn."""
        if self._flat is not None:
            return self._board.space.load_bytes(self._flat + PLANES * offset, PLANES * length)
        data = bytearray(PLANES * length)
        vga.set_indexed(self._board, vga.GRAPHICS, vga.GRAPHICS_MODE, 0)
        for plane in range(PLANES):
            vga.set_indexed(self._board, vga.GRAPHICS, vga.READ_MAP, plane)
            data[plane::PLANES] = self._board.space.load_bytes(WINDOW + offset, length)
        return bytes(data)

    def store_planes(self, offset: int, data: bytes) -> None:
        """Write what `load_planes` gives."""
        if self._flat is not None:
            self._board.space.store_bytes(self._flat + PLANES * offset, data)
            return
        self._pass_everything()
        for plane in range(PLANES):
            vga.set_indexed(self._board, vga.SEQUENCER, vga.MAP_MASK, 1 << plane)
            self._store_window(offset, data[plane::PLANES])
        vga.set_indexed(self._board, vga.SEQUENCER, vga.MAP_MASK, 0x0F)

    def clear_planes(self) -> None:
        """Fill 64 KiB of all planes with zeros; through the window the planes take the zeros together."""
        if self.flat:
            self.store(0, bytes(PLANES * PLANE_BYTES))
            return
        self._pass_everything()
        vga.set_indexed(self._board, vga.SEQUENCER, vga.MAP_MASK, 0x0F)
        self._store_window(0, bytes(PLANE_BYTES))

    def _pass_everything(self) -> None:
        """Let what the CPU writes through as it is; once a call is enough."""
        if self._open:
            return
        self._open = True
        for index, value in ((1, 0), (3, 0), (vga.GRAPHICS_MODE, 0), (vga.BIT_MASK, 0xFF)):
            vga.set_indexed(self._board, vga.GRAPHICS, index, value)

    def _store_window(self, offset: int, data: bytes) -> None:
        """Write to the window, four bytes at a time where it can be, as each of them is a call of the card."""
        space, start = self._board.space, WINDOW + offset
        if space.region_at(start, len(data)) is not None or len(data) < 4 or offset % 4:
            space.store_bytes(start, data)
            return
        whole = len(data) // 4 * 4
        for index in range(0, whole, 4):
            space.store(start + index, 4, int.from_bytes(data[index : index + 4], "little"))
        space.store_bytes(start + whole, data[whole:])

    # -- one piece, as modes of the VBE have it -----------------------------------------------------------------
    def load(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` of the whole memory, by banks of 64 KiB where it must be."""
        if self._flat is not None:
            return self._board.space.load_bytes(self._flat + offset, length)
        data = b""
        for place, size in self._banks(offset, length):
            data += self._board.space.load_bytes(place, size)
        return data

    def store(self, offset: int, data: bytes) -> None:
        """Write bytes to the whole memory."""
        if self._flat is not None:
            self._board.space.store_bytes(self._flat + offset, data)
            return
        done = 0
        for place, size in self._banks(offset, len(data)):
            self._board.space.store_bytes(place, data[done : done + size])
            done += size

    def _banks(self, offset: int, length: int) -> list[tuple[int, int]]:
        """Select the bank of `offset` and return the piece in it; a line that crosses banks is cut off."""
        before = dispi.read(self._board, dispi.BANK)
        if before != offset // BANK_BYTES:
            dispi.write(self._board, dispi.BANK, offset // BANK_BYTES)
        inside = offset % BANK_BYTES
        return [(WINDOW + inside, min(length, BANK_BYTES - inside))]

    # -- fonts --------------------------------------------------------------------------------------------------
    def load_font(self, block: int, first: int, height: int, glyphs: bytes) -> None:
        """Put glyphs of `height` bytes each into plane 2, where text modes take them, and return to text.

        The eight blocks lie 16 KiB apart, the odd ones 8 KiB behind the even ones; a glyph has room for 32 lines.
        """
        cells = b"".join(
            glyphs[start : start + height].ljust(GLYPH_LINES, b"\0") for start in range(0, len(glyphs), height)
        )
        offset = ((block & 3) << 14 | (block & 4) << 11) + first % 256 * GLYPH_LINES
        cells = cells[: (256 - first % 256) * GLYPH_LINES]
        if self._flat is not None:
            planes = bytearray(self.load_planes(offset, len(cells)))
            planes[2::PLANES] = cells
            self.store_planes(offset, bytes(planes))
        else:
            self._load_font_by_window(offset, cells)

    def _load_font_by_window(self, offset: int, cells: bytes) -> None:
        board = self._board
        if board.space.region_at(WINDOW) is None and board.space.mmio.find(WINDOW) is None:
            return  # a VGA without a character generator that could be loaded
        for port, index, value in _FONT_ACCESS:
            vga.set_indexed(board, port, index, value)
        self._store_window(offset, cells)
        for port, index, value in _TEXT_ACCESS:
            vga.set_indexed(board, port, index, value)
        colour = board.bda.crtc_port != 0x3B4
        vga.set_indexed(board, vga.GRAPHICS, vga.MISCELLANEOUS_GRAPHICS, 0x0E if colour else 0x0A)


# Reach plane 2 alone, byte by byte, at A0000h; and back to odd/even text at B8000h.
_FONT_ACCESS = (
    (vga.SEQUENCER, 0, 1), (vga.SEQUENCER, 2, 4), (vga.SEQUENCER, 4, 7), (vga.SEQUENCER, 0, 3),
    (vga.GRAPHICS, 4, 2), (vga.GRAPHICS, 5, 0), (vga.GRAPHICS, 6, 4),
)  # fmt: skip
_TEXT_ACCESS = (
    (vga.SEQUENCER, 0, 1), (vga.SEQUENCER, 2, 3), (vga.SEQUENCER, 4, 2), (vga.SEQUENCER, 0, 3),
    (vga.GRAPHICS, 4, 0), (vga.GRAPHICS, 5, 0x10),
)  # fmt: skip
