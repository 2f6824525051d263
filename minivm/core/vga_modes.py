"""The VGA's registers in the standard modes, for the chip's power-on state and for a BIOS that sets modes.

IBM PS/2 and PC BIOS Interface Technical Reference, "Video parameter table", and for the colours IBM VGA Technical
Reference, "Video DAC". Text modes have 400 lines; `text_registers` gives those of 200 and 350 lines, too.
"""

from collections.abc import Iterator

from minivm.core.record import record, replace

TEXT, CGA, PLANAR, PACKED = "text", "cga", "planar", "packed"
"""How a mode lays out its memory: character cells; two banks of packed pixels; four planes; a byte for each pixel."""


@record
class ModeRegisters:
    """All registers of one mode; `dac` holds red, green, blue (0 to 63 each) of colours 0 to 63, or of all 256.

    `page_bytes` and `pages` are what the BIOS reports, `bits` is the size of a pixel.
    """

    columns: int
    rows: int
    miscellaneous: int
    sequencer: bytes
    crtc: bytes
    graphics: bytes
    attribute: bytes
    dac: bytes
    layout: str = TEXT
    character_height: int = 16
    page_bytes: int = 0x1000
    pages: int = 8
    bits: int = 4


def _bytes(digits: str) -> bytes:
    return bytes.fromhex(digits)


def _colour_dac() -> bytes:
    """EGA colours: bits 0-2 of a number are blue, green, red at two thirds, bits 3-5 the same at one third."""
    levels = bytearray()
    for colour in range(64):
        levels += bytes(
            0x2A * (colour >> strong & 1) + 0x15 * (colour >> weak & 1) for strong, weak in ((2, 5), (1, 4), (0, 3))
        )
    return bytes(levels)


def _mono_dac() -> bytes:
    """Bit 3 of a number gives light, bit 4 with it makes it bright."""
    level = {0x00: 0x00, 0x08: 0x2A, 0x10: 0x00, 0x18: 0x3F}
    return bytes(level[colour & 0x18] for colour in range(64) for _ in range(3))


def _cga_dac() -> bytes:
    """The CGA's 16 colours: bits 0-2 are blue, green, red, bit 4 is the intensity; dark yellow is brown."""
    levels = bytearray()
    for colour in range(64):
        light = 0x15 if colour & 0x10 else 0
        red, green, blue = (0x2A * (colour >> bit & 1) + light for bit in (2, 1, 0))
        levels += bytes([red, 0x15 if colour & 0x17 == 6 else green, blue])
    return bytes(levels)


_GREYS = bytes.fromhex("00 05 08 0B 0E 11 14 18 1C 20 24 28 2D 32 38 3F")
_RAMPS = (  # bright, middle and dark; each with full, half and little saturation: a level's way up in four steps
    "00 10 1F 2F 3F", "1F 27 2F 37 3F", "2D 31 36 3A 3F",
    "00 07 0E 15 1C", "0E 11 15 18 1C", "14 16 18 1A 1C",
    "00 04 08 0C 10", "08 0A 0C 0E 10", "0B 0C 0D 0F 10",
)  # fmt: skip


def _mode_13_dac() -> bytes:
    """The 16 CGA colours, 16 greys, and nine wheels of 24 hues that begin at blue; the last eight are black."""
    levels = bytearray(_cga_dac()[:24] + _cga_dac()[48:72])
    for grey in _GREYS:
        levels += bytes([grey] * 3)
    for ramp in map(_bytes, _RAMPS):
        low, high = ramp[0], ramp[4]
        for up in range(6):  # in turn red rises, blue falls, green rises, red falls, blue rises, green falls
            for step in range(4):
                rising = ramp[step] if up % 2 == 0 else ramp[4 - step]
                levels += bytes(((rising, low, high), (high, low, rising), (high, rising, low), (rising, high, low),
                                 (low, high, rising), (low, rising, high))[up])  # fmt: skip
    return bytes(levels.ljust(768, b"\0"))


_CRTC_40 = _bytes("2D 27 28 90 2B A0 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 14 1F 96 B9 A3 FF")
_CRTC_80 = _bytes("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF")
_CRTC_MONO = _bytes("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 0D 96 B9 A3 FF")
_COLOURS = _bytes("00 01 02 03 04 05 14 07 38 39 3A 3B 3C 3D 3E 3F 0C 00 0F 08 00")
_SHADES = _bytes("00 08 08 08 08 08 08 08 10 18 18 18 18 18 18 18 0E 00 0F 08 00")
_AT_B8000 = _bytes("00 00 00 00 00 10 0E 00 FF")
_AT_B0000 = _bytes("00 00 00 00 00 10 0A 00 FF")
_EGA_DAC, _CGA_DAC, _MONO_DAC = _colour_dac(), _cga_dac(), _mono_dac()

_COLOUR_40 = ModeRegisters(
    40, 25, 0x67, _bytes("03 08 03 00 02"), _CRTC_40, _AT_B8000, _COLOURS, _EGA_DAC, page_bytes=0x800
)
_COLOUR_80 = ModeRegisters(80, 25, 0x67, _bytes("03 00 03 00 02"), _CRTC_80, _AT_B8000, _COLOURS, _EGA_DAC)
_MONO_80 = ModeRegisters(80, 25, 0x66, _bytes("03 00 03 00 02"), _CRTC_MONO, _AT_B0000, _SHADES, _MONO_DAC)

# Graphics modes: the CRTC by how many lines there are, and what each mode changes in it
_LINES_200 = "{} BF 1F 00 {} 00 00 00 00 00 00 9C 8E 8F {} {} 96 B9 {} FF"
_LINES_350 = "{} BF 1F 00 {} 00 00 00 00 00 00 83 85 5D {} {} 63 BA {} FF"
_LINES_480 = "{} 0B 3E 00 {} 00 00 00 00 00 00 EA 8C DF {} {} E7 04 {} FF"
_WIDE, _NARROW = "5F 4F 50 82 54 80", "2D 27 28 90 2B 80"


def _crtc(shape: str, across: str, row_lines: str, underline: str, mode: str) -> bytes:
    return _bytes(shape.format(across, row_lines, "28" if across is _WIDE else "14", underline, mode))


_RGBI = "00 01 02 03 04 05 06 07 10 11 12 13 14 15 16 17"
_RGBI_4 = "00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17"
_EGA = "00 01 02 03 04 05 14 07 38 39 3A 3B 3C 3D 3E 3F"
_EGA_MONO = "00 08 00 00 18 18 00 00 00 08 00 00 00 18 00 00"
_PLAIN = "00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F"
_PLANES = "00 00 00 00 00 00 05 0F FF"


def _cga(narrow: bool) -> ModeRegisters:
    across = _NARROW if narrow else _WIDE
    return ModeRegisters(
        40 if narrow else 80, 25, 0x63, _bytes("03 09 03 00 02" if narrow else "03 01 01 00 06"),
        _crtc(_LINES_200, across, "C1", "00", "A2" if narrow else "C2"),
        _bytes("00 00 00 00 00 30 0F 0F FF" if narrow else "00 00 00 00 00 00 0D 0F FF"),
        _bytes(_RGBI_4 + " 01 00 03 00 00" if narrow else "00" + " 17" * 15 + " 01 00 01 00 00"),
        _CGA_DAC, CGA, 8, 0x4000, 1, 2 if narrow else 1,
    )  # fmt: skip


def _planar(
    columns: int, miscellaneous: int, crtc: bytes, palette: str, dac: bytes,
    *, height: int = 8, page_bytes: int, pages: int, graphics: str = _PLANES, bits: int = 4,
) -> ModeRegisters:  # fmt: skip
    lines = {0x8F: 200, 0x5D: 350, 0xDF: 480}[crtc[0x12]]
    return ModeRegisters(
        columns, lines // height, miscellaneous, _bytes("03 09 0F 00 06" if columns == 40 else "03 01 0F 00 06"),
        crtc, _bytes(graphics), _bytes(palette), dac, PLANAR, height, page_bytes, pages, bits,
    )  # fmt: skip


MODE_REGISTERS: dict[int, ModeRegisters] = {
    0: _COLOUR_40, 1: _COLOUR_40, 2: _COLOUR_80, 3: _COLOUR_80, 4: _cga(True), 5: _cga(True), 6: _cga(False),
    7: _MONO_80,
    0x0D: _planar(40, 0x63, _crtc(_LINES_200, _NARROW, "C0", "00", "E3"), _RGBI + " 01 00 0F 00 00", _CGA_DAC,
                  page_bytes=0x2000, pages=8),
    0x0E: _planar(80, 0x63, _crtc(_LINES_200, _WIDE, "C0", "00", "E3"), _RGBI + " 01 00 0F 00 00", _CGA_DAC,
                  page_bytes=0x4000, pages=4),
    0x0F: _planar(80, 0xA2, _crtc(_LINES_350, _WIDE, "40", "0F", "E3"), _EGA_MONO + " 0B 00 05 00 00", _MONO_DAC,
                  height=14, page_bytes=0x8000, pages=2, graphics="00 00 00 00 00 00 05 05 FF", bits=2),
    0x10: _planar(80, 0xA3, _crtc(_LINES_350, _WIDE, "40", "0F", "E3"), _EGA + " 01 00 0F 00 00", _EGA_DAC,
                  height=14, page_bytes=0x8000, pages=2),
    0x11: _planar(80, 0xE3, _crtc(_LINES_480, _WIDE, "40", "00", "C3"), "00" + " 3F 00" * 7 + " 3F 01 00 0F 00 00",
                  _EGA_DAC, height=16, page_bytes=0xA000, pages=1, graphics="00 00 00 00 00 00 05 01 FF", bits=1),
    0x12: _planar(80, 0xE3, _crtc(_LINES_480, _WIDE, "40", "00", "E3"), _EGA + " 01 00 0F 00 00", _EGA_DAC,
                  height=16, page_bytes=0xA000, pages=1),
    0x13: ModeRegisters(40, 25, 0x63, _bytes("03 01 0F 00 0E"), _crtc(_LINES_200, _WIDE, "41", "40", "A3"),
                        _bytes("00 00 00 00 00 40 05 0F FF"), _bytes(_PLAIN + " 41 00 0F 00 00"), _mode_13_dac(),
                        PACKED, 8, 0, 1, 8),
}  # fmt: skip
"""BIOS mode number to registers; on a colour screen modes 0 and 2 (once grey) differ from 1 and 3 in nothing."""


def text_registers(mode: int, lines: int) -> ModeRegisters:
    """Return the registers of text mode 0-3 or 7 with 200, 350 or 400 lines; mode 7 has no 200 lines, but 350."""
    wanted = MODE_REGISTERS[mode]
    if lines == 400:
        return wanted
    old, eight_dots = bytearray(wanted.crtc), bytes([3, wanted.sequencer[1] | 1, 3, 0, 2])
    if lines == 350 or mode == 7:
        old[0x05] = old[0x05] if mode == 7 else old[0x05] & 0x9F
        old[0x09:0x0C], old[0x10:0x13] = _bytes("4D 0B 0C"), _bytes("83 85 5D")
        old[0x14], old[0x15:0x17] = 0x0D if mode == 7 else 0x1F, _bytes("63 BA")
        dots = wanted.sequencer if mode == 7 else eight_dots
        miscellaneous = 0xA6 if mode == 7 else 0xA3
        pan = wanted.attribute if mode == 7 else _bytes(_EGA + " 08 00 0F 00 00")
        return replace(
            wanted, miscellaneous=miscellaneous, sequencer=dots, crtc=bytes(old), attribute=pan, character_height=14
        )
    old[0x09:0x0C] = _bytes("C7 06 07")
    return replace(
        wanted, miscellaneous=0x63, sequencer=eight_dots, crtc=bytes(old),
        attribute=_bytes(_RGBI + " 08 00 0F 00 00"), dac=_CGA_DAC, character_height=8,
    )  # fmt: skip


def port_writes(mode: ModeRegisters, *, load_dac: bool = True) -> Iterator[tuple[int, int]]:
    """Give the byte writes, as (port, value), that set `mode` on a VGA in any condition, in the order a BIOS does.

    Before the attribute controller's part, port 3DAh or 3BAh (by bit 0 of `mode.miscellaneous`) must be read once to
    reset its flip-flop: that place is marked by the value -1.
    """
    crtc = 0x3D4 if mode.miscellaneous & 1 else 0x3B4
    yield 0x3C2, mode.miscellaneous
    yield from _indexed(0x3C4, mode.sequencer)
    yield crtc, 0x11  # bit 7 protects 00h-07h: write it away first
    yield crtc + 1, mode.crtc[0x11] & 0x7F
    yield from _indexed(crtc, mode.crtc)
    yield from _indexed(0x3CE, mode.graphics)
    if load_dac:
        yield 0x3C6, 0xFF
        yield 0x3C8, 0x00
        yield from ((0x3C9, level) for level in mode.dac)
    yield crtc + 6, -1
    for index, value in enumerate(mode.attribute):
        yield 0x3C0, index
        yield 0x3C0, value
    yield 0x3C0, 0x20


def _indexed(port: int, values: bytes) -> Iterator[tuple[int, int]]:
    for index, value in enumerate(values):
        yield port, index
        yield port + 1, value
