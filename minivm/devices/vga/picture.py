"""The VGA's picture: registers and video memory to the pixels that a monitor shows.

IBM PS/2 Hardware Interface Technical Reference, "Video subsystem"; FreeVGA. Sizes and doubling are those of QEMU's
`screendump`: mode 13h is 640 x 400. Pixels are computed a whole picture at once, by tables of 256 bytes and by numbers
as long as a plane, since Python is slow for one pixel and quick for many.
"""

from collections.abc import Callable
from functools import lru_cache

from minivm.core.picture import Picture
from minivm.core.record import record
from minivm.devices.vga.colours import dac_colours, to_rgb
from minivm.devices.vga.state import HALF_CLOCK, VgaState, colour_numbers
from minivm.devices.vga.text import text_picture
from minivm.devices.vga.timing import line_compare, shown_lines, start_address
from minivm.devices.vga.vbe import BPP, XRES, YRES
from minivm.devices.vga.window import PLANE_BYTES

INTERLEAVED, PACKED = 0x20, 0x40
"""Graphics mode register: two bits of a pixel side by side (CGA), and a byte for each pixel."""
ROW_SCAN_0, ROW_SCAN_1, BYTE_MODE = 0x01, 0x02, 0x40
"""CRTC mode control: while clear, bits of the row counter are bits of the address (CGA, Hercules)."""
Lines = list[tuple[int, int]]
"""For each line of the picture: the byte of video memory where it begins, and the pixels to leave out there."""


def picture_of(state: VgaState, memory: memoryview) -> Picture:
    """Return what the monitor shows; black while the screen is off."""
    if not state.graphics_mode:
        picture = text_picture(state, memory)
    elif state.vbe.enabled and state.vbe.registers[BPP] > 8:
        picture = _true_colour(state, memory)
    else:
        picture = _indexed(state, memory)
    return Picture(picture.width, picture.height, bytes(len(picture.rgb))) if state.blanked else picture


@record
class _Raster:
    """One line: its pixels, how many bytes of memory hold them, how often each pixel and the index's maker."""

    pixels: int
    line_bytes: int
    repeat: int
    unpack: Callable[[bytes], bytes]
    colours: list[bytes]
    panning: int


def _indexed(state: VgaState, memory: memoryview) -> Picture:
    raster = _raster(state)
    if state.vbe.enabled:
        line_bytes, start = state.vbe.line_bytes, state.vbe.start_byte
        lines: Lines = [(start + line * line_bytes, 0) for line in range(state.vbe.registers[YRES])]
    else:
        lines = _lines(state, raster.panning)
        memory = memory[:PLANE_BYTES]
    shown = list(dict.fromkeys(lines))
    spare = 4 if any(skipped for _, skipped in shown) else 0
    pixels = raster.unpack(_gather(memory, [start for start, _ in shown], raster.line_bytes + spare))
    if spare:
        pitch = len(pixels) // len(shown)
        starts = (line * pitch + skipped for line, (_, skipped) in enumerate(shown))
        pixels = b"".join(pixels[start : start + raster.pixels] for start in starts)
    rgb = to_rgb(pixels, raster.colours, repeat=raster.repeat)
    width = raster.pixels * raster.repeat
    if len(shown) < len(lines):
        rgb = _spread(rgb, 3 * width, dict(zip(shown, range(len(shown)), strict=True)), lines)
    return Picture(width, len(lines), rgb)


def _raster(state: VgaState) -> _Raster:
    """Return how this mode's lines are made of memory."""
    vbe, shift = state.vbe, state.graphics[0x05]
    width = vbe.registers[XRES] if vbe.enabled else (state.crtc[0x01] + 1) * 8
    if vbe.enabled and vbe.registers[BPP] == 8:
        return _Raster(width, width, 1, bytes, _all_colours(state), 0)
    panning = state.attribute[0x13] & 7
    if shift & PACKED:
        return _Raster(width // 2, width // 2, 2, bytes, _all_colours(state), panning // 2)
    # The plane enable is in the colour numbers: attributes that differ in a plane that is off are one colour.
    colours = dac_colours(state, colour_numbers(state))
    repeat = 2 if state.sequencer[0x01] & HALF_CLOCK and not vbe.enabled else 1
    return _Raster(width, width // 2, repeat, _unpack_pairs if shift & INTERLEAVED else _unpack_bits, colours, panning)


def _all_colours(state: VgaState) -> list[bytes]:
    return dac_colours(state, (number & state.dac_mask for number in range(256)))


def _lines(state: VgaState, panning: int) -> Lines:
    """Follow the CRTC down the frame: repeated lines, addresses that the row counter reaches into, and the split."""
    crtc = state.crtc
    control = crtc[0x17]
    doubled = crtc[0x09] >> 7
    repeat = ((crtc[0x09] & 0x1F) + 1 << doubled) if control & ROW_SCAN_0 else 1 + doubled
    address, pitch, compare = 4 * start_address(crtc), 8 * crtc[0x13], line_compare(crtc)
    rows_an_address = ~control & (ROW_SCAN_0 | ROW_SCAN_1)
    row, left = 0, repeat
    lines: Lines = []
    for line in range(shown_lines(crtc)):
        lines.append((_scrambled(address, control, row) % PLANE_BYTES, panning))
        left -= 1
        if not left:
            left = repeat
            if row & rows_an_address == rows_an_address:
                address += pitch
            row += 1
        if line == compare:
            address = 0
            panning = 0 if state.attribute[0x10] & 0x20 else panning
    return lines


def _scrambled(address: int, control: int, row: int) -> int:
    """Return the byte that is fetched for a counted one: on a CGA odd rows lie 8 KiB behind even ones."""
    if not control & ROW_SCAN_0:
        bit = 15 if control & BYTE_MODE else 14
        address = address & ~(1 << bit) | (row & 1) << bit
    if not control & ROW_SCAN_1:
        address = address & ~0x8000 | (row & 2) << 14
    return address


def _gather(memory: memoryview, starts: list[int], length: int) -> bytes:
    """Return `length` bytes of memory from each start, going round at its end; in one piece where they adjoin."""
    first, last = starts[0], starts[-1] + length
    if last <= len(memory) and starts == list(range(first, last, length)):
        return bytes(memory[first:last])
    return b"".join(_wrapped(memory, start, length) for start in starts)


def _wrapped(memory: memoryview, start: int, length: int) -> bytes:
    start %= len(memory)
    part = bytes(memory[start : start + length])
    while len(part) < length:
        part += bytes(memory[: length - len(part)])
    return part


def _spread(rgb: bytes, line_bytes: int, places: dict[tuple[int, int], int], lines: Lines) -> bytes:
    """Return the picture with the lines that are shown more than once in all their places."""
    parts = [rgb[line_bytes * place : line_bytes * (place + 1)] for place in range(len(places))]
    return b"".join([parts[places[line]] for line in lines])


# Pixels of four bits out of doublewords of four planes


def _unpack_bits(dwords: bytes) -> bytes:
    """Return eight pixels for each doubleword: one bit from each plane."""
    return _combine(dwords, 8, [[(plane, _bit_table(7 - pixel, 1, plane)) for plane in range(4)] for pixel in range(8)])


def _unpack_pairs(dwords: bytes) -> bytes:
    """Return eight pixels for each doubleword: two bits from planes 0 and 2, then from 1 and 3."""
    return _combine(
        dwords,
        8,
        [
            [
                (pixel >> 2, _bit_table(6 - 2 * (pixel & 3), 2, 0)),
                (2 + (pixel >> 2), _bit_table(6 - 2 * (pixel & 3), 2, 2)),
            ]
            for pixel in range(8)
        ],
    )


def _combine(dwords: bytes, pixels: int, sources: list[list[tuple[int, bytes]]]) -> bytes:
    """Return for each doubleword `pixels` bytes; `sources` has for each what to take from which planes, by a table."""
    planes = [dwords[plane::4] for plane in range(4)]
    empty = [not any(plane) for plane in planes]
    unpacked = bytearray(pixels * len(planes[0]))
    for pixel, parts in enumerate(sources):
        number = 0
        for plane, table in parts:
            if not empty[plane]:
                number |= int.from_bytes(planes[plane].translate(table), "little")
        unpacked[pixel::pixels] = number.to_bytes(len(planes[0]), "little")
    return bytes(unpacked)


@lru_cache(maxsize=64)
def _bit_table(low: int, count: int, place: int) -> bytes:
    """Return by a byte its `count` bits from `low` on, moved to `place`."""
    return bytes((byte >> low & (1 << count) - 1) << place for byte in range(256))


# Pixels that are colours themselves


def _true_colour(state: VgaState, memory: memoryview) -> Picture:
    vbe = state.vbe
    width, height, stored = vbe.registers[XRES], vbe.registers[YRES], vbe.bits_stored // 8
    starts = [vbe.start_byte + line * vbe.line_bytes for line in range(height)]
    data = _gather(memory, starts, width * stored)
    rgb = bytearray(3 * width * height)
    if stored == 2:
        red, green, blue = _TWO_BYTES[vbe.registers[BPP]]()
        low, high = data[0::2], data[1::2]
        rgb[0::3], rgb[2::3] = high.translate(red), low.translate(blue)
        both = (int.from_bytes(half.translate(table), "little") for half, table in zip((low, high), green, strict=True))
        rgb[1::3] = (next(both) | next(both)).to_bytes(width * height, "little")
    else:
        for part in range(3):
            rgb[part::3] = data[2 - part :: stored]
    return Picture(width, height, bytes(rgb))


Tables = tuple[bytes, tuple[bytes, bytes], bytes]
"""Red by the high byte, green by the low and the high byte, blue by the low byte."""


@lru_cache(maxsize=1)
def _tables_555() -> Tables:
    """A level of five bits is shown with three zeros behind it, as QEMU does in this depth alone."""
    red = bytes(byte << 1 & 0xF8 for byte in range(256))
    green = bytes(byte >> 2 & 0x38 for byte in range(256)), bytes(byte << 6 & 0xC0 for byte in range(256))
    return red, green, bytes(byte << 3 & 0xF8 for byte in range(256))


@lru_cache(maxsize=1)
def _tables_565() -> Tables:
    red = bytes(_five(byte >> 3) for byte in range(256))
    green = bytes(_six(byte >> 5) for byte in range(256)), bytes(_six((byte & 7) << 3) for byte in range(256))
    return red, green, bytes(_five(byte & 0x1F) for byte in range(256))


def _five(level: int) -> int:
    return level << 3 | level >> 2


def _six(level: int) -> int:
    return level << 2 | level >> 4


_TWO_BYTES: dict[int, Callable[[], Tables]] = {15: _tables_555, 16: _tables_565}
