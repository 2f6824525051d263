"""The VGA's registers in the standard text modes, for the chip's power-on state and for a BIOS that sets modes.

IBM PS/2 and PC BIOS Interface Technical Reference, "Video parameter table", 400-line modes of a VGA.
"""

from collections.abc import Iterator

from minivm.core.record import record


@record
class ModeRegisters:
    """All registers of one mode; `dac` holds red, green, blue (0 to 63 each) of colours 0 to 63."""

    columns: int
    rows: int
    miscellaneous: int
    sequencer: bytes
    crtc: bytes
    graphics: bytes
    attribute: bytes
    dac: bytes


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


_CRTC_40 = _bytes("2D 27 28 90 2B A0 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 14 1F 96 B9 A3 FF")
_CRTC_80 = _bytes("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF")
_CRTC_MONO = _bytes("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 0D 96 B9 A3 FF")
_COLOURS = _bytes("00 01 02 03 04 05 14 07 38 39 3A 3B 3C 3D 3E 3F 0C 00 0F 08 00")
_SHADES = _bytes("00 08 08 08 08 08 08 08 10 18 18 18 18 18 18 18 0E 00 0F 08 00")
_AT_B8000 = _bytes("00 00 00 00 00 10 0E 00 FF")
_AT_B0000 = _bytes("00 00 00 00 00 10 0A 00 FF")

_COLOUR_40 = ModeRegisters(40, 25, 0x67, _bytes("03 08 03 00 02"), _CRTC_40, _AT_B8000, _COLOURS, _colour_dac())
_COLOUR_80 = ModeRegisters(80, 25, 0x67, _bytes("03 00 03 00 02"), _CRTC_80, _AT_B8000, _COLOURS, _colour_dac())
_MONO_80 = ModeRegisters(80, 25, 0x66, _bytes("03 00 03 00 02"), _CRTC_MONO, _AT_B0000, _SHADES, _mono_dac())

MODE_REGISTERS: dict[int, ModeRegisters] = {0: _COLOUR_40, 1: _COLOUR_40, 2: _COLOUR_80, 3: _COLOUR_80, 7: _MONO_80}
"""BIOS mode number to registers; on a colour screen modes 0 and 2 (once grey) differ from 1 and 3 in nothing."""


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
