"""The VGA's graphics controller: what happens to a byte between the CPU and the four planes of video memory.

IBM PS/2 Hardware Interface Technical Reference, "Graphics controller"; FreeVGA, "Graphics registers". One offset of
the planes is a doubleword here, plane 0 in its lowest byte, so that a latch is one number and the four planes are
computed at once. Chained addresses lie densely: the two planes of odd/even addressing take two addresses for each
offset and chain-4 takes four, so that chain-4 is flat in memory.
"""

MAP_MASK, MEMORY_MODE = 0x02, 0x04
SET_RESET, ENABLE_SET_RESET, COLOUR_COMPARE, ROTATE, READ_MAP, MODE, MISCELLANEOUS, DONT_CARE, BIT_MASK = range(9)
"""Indexes of the sequencer's and the graphics controller's registers."""
SEQUENTIAL, CHAIN_4 = 0x04, 0x08
READ_MODE_1, HOST_ODD_EVEN = 0x08, 0x10
WINDOWS = ((0x00000, 0x20000), (0x00000, 0x10000), (0x10000, 0x08000), (0x18000, 0x08000))
"""By memory map select (graphics register 06h, bits 3-2): where the window begins behind A0000h, and its bytes."""
PLANE_OFFSETS = 0x10000
ALL_PLANES = 0x0F
SINGLE = (1, 2, 4, 8)
ALL_BITS = 0xFFFF_FFFF
EACH_PLANE = 0x0101_0101
PLANES = tuple(sum(0xFF << 8 * plane for plane in range(4) if mask >> plane & 1) for mask in range(16))
"""By a mask of planes: FFh in the byte of each."""


class Planes:
    """Video memory behind the window at A0000h, a `Port` of 128 KiB. `memory` has four bytes for each offset."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._dwords = memory.cast("I")
        self.latch = 0

    def configure(
        self, map_mask: int, memory_mode: int, graphics: bytes | bytearray, *, bank: int = 0, wide: bool = False
    ) -> None:
        """Take over registers: map mask, memory mode, graphics 00h-08h, and the byte that the 64 KiB window begins at.

        `wide` opens all of video memory, not just the 256 KiB of a VGA.
        """
        select = graphics[MISCELLANEOUS] >> 2 & 3
        self._base, self._length = WINDOWS[select]
        self._bank = bank if select == 1 else 0
        self._last_offset = (len(self._dwords) if wide else PLANE_OFFSETS) - 1
        self._write_shift = 2 if memory_mode & CHAIN_4 else 0 if memory_mode & SEQUENTIAL else 1
        self._read_shift = 2 if memory_mode & CHAIN_4 else 1 if graphics[MODE] & HOST_ODD_EVEN else 0
        self._read_map = graphics[READ_MAP]
        self._compares = bool(graphics[MODE] & READ_MODE_1)
        self._compared, self._cared = PLANES[graphics[COLOUR_COMPARE]], PLANES[graphics[DONT_CARE]]
        self._rotate, self._logic = graphics[ROTATE] & 7, graphics[ROTATE] >> 3 & 3
        enabled = PLANES[graphics[ENABLE_SET_RESET]]
        self._set_reset = PLANES[graphics[SET_RESET]]
        self._from_cpu, self._set = ALL_BITS ^ enabled, self._set_reset & enabled
        self._bits = graphics[BIT_MASK]
        write_mode = graphics[MODE] & 3
        transparent = not (enabled or self._rotate or self._logic) and self._bits == 0xFF
        self._plain = write_mode == 0 and transparent
        self._shape = (self._shape_rotated, self._shape_latch, self._shape_colour, self._shape_masked)[write_mode]
        self.open_planes(map_mask)

    def open_planes(self, map_mask: int) -> None:
        """Take over a new map mask alone."""
        self._mask = PLANES[map_mask]
        single = map_mask in SINGLE and self._write_shift == 0 and self._plain
        self._single = map_mask.bit_length() - 1 if single else -1

    def mask_bits(self, bits: int) -> None:
        """Take over a new bit mask, which is not FFh, alone."""
        self._bits = bits
        self._plain = False
        self._single = -1

    def read(self, offset: int, size: int) -> int:
        """Read `size` bytes, lowest first; each loads the latch. What lies outside the window floats."""
        value = 0
        for byte in range(size):
            at = offset + byte - self._base
            value |= (self._get(at) if 0 <= at < self._length else 0xFF) << 8 * byte
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes, lowest first, as the registers say; what lies outside the window is lost."""
        at = offset - self._base
        if self._single >= 0 and 0 <= at <= self._length - size:
            self._put_single(at, size, value)
            return
        if size == 1 and 0 <= at < self._length:
            self._put(at, value & 0xFF)
            return
        for _ in range(size):
            if 0 <= at < self._length:
                self._put(at, value & 0xFF)
            at += 1
            value >>= 8

    def _get(self, at: int) -> int:
        shift = self._read_shift
        at += self._bank
        self.latch = latch = self._dwords[at >> shift & self._last_offset]
        if self._compares:
            differ = (latch ^ self._compared) & self._cared
            differ |= differ >> 16
            return ~(differ | differ >> 8) & 0xFF
        if shift == 0:
            return latch >> 8 * self._read_map & 0xFF
        plane = at & 3 if shift == 2 else self._read_map & 2 | at & 1
        return latch >> 8 * plane & 0xFF

    def _put(self, at: int, value: int) -> None:
        at += self._bank
        shift, mask = self._write_shift, self._mask
        if shift:
            mask &= (0xFF << 8 * (at & 3)) if shift == 2 else 0x00FF_00FF << 8 * (at & 1)
        data = value * EACH_PLANE if self._plain else self._shape(value)
        offset = at >> shift & self._last_offset
        dwords = self._dwords
        dwords[offset] = dwords[offset] & ~mask | data & mask

    def _put_single(self, at: int, size: int, value: int) -> None:
        """Store bytes as they come into the only plane that is open."""
        offset = at + self._bank & self._last_offset
        start = offset * 4 + self._single
        if size == 1:
            self._memory[start] = value & 0xFF
            return
        for byte in range(size):
            self._memory[(offset + byte & self._last_offset) * 4 + self._single] = value >> 8 * byte & 0xFF

    # Write modes 0 to 3: a byte becomes four

    def _shape_rotated(self, value: int) -> int:
        """Mode 0: rotate the byte, put set/reset in its place where enabled, apply logic and bit mask."""
        return self._mix(self._rotated(value) * EACH_PLANE & self._from_cpu | self._set, self._bits)

    def _shape_latch(self, value: int) -> int:
        """Mode 1: what the latch holds, whatever the CPU writes."""
        return self.latch

    def _shape_colour(self, value: int) -> int:
        """Mode 2: the low four bits are a colour, one bit for each plane."""
        return self._mix(PLANES[value & 0x0F], self._bits)

    def _shape_masked(self, value: int) -> int:
        """Mode 3: set/reset is the colour, and the rotated byte is one more bit mask."""
        return self._mix(self._set_reset, self._bits & self._rotated(value))

    def _rotated(self, value: int) -> int:
        return (value >> self._rotate | value << 8 - self._rotate) & 0xFF

    def _mix(self, data: int, bits: int) -> int:
        """Combine data with the latch by the logical operation, and take the latch where the bit mask is 0."""
        latch = self.latch
        match self._logic:
            case 1:
                data &= latch
            case 2:
                data |= latch
            case 3:
                data ^= latch
        mask = bits * EACH_PLANE
        return data & mask | latch & ~mask
