"""From colour numbers to light: the DAC's 256 colours and what they make of a string of pixels."""

from collections.abc import Iterable

from minivm.devices.vga.state import VgaState


def dac_colours(state: VgaState, numbers: Iterable[int]) -> list[bytes]:
    """Return three tables (red, green, blue) of 256 bytes: the levels, 0 to 255, of the DAC's colours `numbers`.

    Six bits become eight as in QEMU's picture: the lowest fills the two places behind it.
    """
    if state.vbe.eight_bit_dac:
        levels = state.dac
    else:
        levels = bytes((level & 0x3F) << 2 | (level & 1) * 3 for level in state.dac)
    chosen = list(numbers)
    return [bytes(levels[3 * number + part] for number in chosen).ljust(256, b"\0") for part in range(3)]


def to_rgb(pixels: bytes, colours: list[bytes], *, repeat: int = 1) -> bytes:
    """Return three bytes for each pixel, which is shown `repeat` times; its byte is an index into `colours`."""
    rgb = bytearray(3 * repeat * len(pixels))
    for part, table in enumerate(colours):
        levels = pixels.translate(table)
        for place in range(repeat):
            rgb[3 * place + part :: 3 * repeat] = levels
    return bytes(rgb)
