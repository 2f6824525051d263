"""The VGA's DAC: 256 colours of three levels, read and written one level at a time (Inmos IMSG176).

IBM PS/2 Hardware Interface Technical Reference, "Digital-to-analog converter". A level has 6 bits, or 8 while the VBE
extension says so.
"""

READING, WRITING = 0x03, 0x00
COLOURS = 256
SIX_BITS = 0x3F


class Dac:
    """The colours, an index that counts on by itself, and the levels of a colour that is not complete yet."""

    def __init__(self) -> None:
        self.reset(b"")

    def reset(self, colours: bytes) -> None:
        """Hold `colours`, three bytes each, and black behind them."""
        self.colours = bytearray(colours.ljust(3 * COLOURS, b"\x00"))
        self.mask = 0xFF
        self.start(0, WRITING)

    def start(self, index: int, mode: int) -> None:
        """Begin with the red level of colour `index`, to be read or written."""
        self.index, self.mode, self.component = index, mode, 0
        self.latch = b""

    def read(self) -> int:
        """Return the next level."""
        level = self.colours[self.index * 3 + self.component]
        self._next_component()
        return level

    def write(self, value: int, bits: int = SIX_BITS) -> None:
        """Collect red, green and blue, of which `bits` count: a colour changes as a whole, on its third level."""
        self.latch += bytes([value & bits])
        if len(self.latch) == 3:
            self.colours[self.index * 3 : self.index * 3 + 3] = self.latch
            self.latch = b""
        self._next_component()

    def _next_component(self) -> None:
        self.component += 1
        if self.component == 3:
            self.component = 0
            self.index = self.index + 1 & 0xFF
