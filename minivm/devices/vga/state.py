"""What a VGA remembers: every register, by the blocks of the chip."""

from minivm.core.record import record
from minivm.devices.vga.vbe import VbeState

PALETTE_ADDRESS_SOURCE = 0x20
SCREEN_OFF, HALF_CLOCK = 0x20, 0x08
BLINK = 0x08
PALETTE_SELECT = 0x80
GRAPHICS_MODE = 0x01


@record
class VgaState:
    """Every register and the latch; video memory and the flat text buffer are saved with the RAM."""

    miscellaneous: int
    feature_control: int
    enable: int
    sequencer_index: int
    sequencer: bytes
    graphics_index: int
    graphics: bytes
    crtc_index: int
    crtc: bytes
    attribute_index: int
    attribute_data_next: bool
    attribute: bytes
    dac: bytes
    dac_mask: int
    dac_index: int
    dac_mode: int
    dac_component: int
    dac_latch: bytes
    latch: int
    vbe: VbeState

    @property
    def blanked(self) -> bool:
        """True while the screen is switched off, by the sequencer or by the attribute controller's palette switch."""
        return bool(self.sequencer[0x01] & SCREEN_OFF) or not self.attribute_index & PALETTE_ADDRESS_SOURCE

    @property
    def graphics_mode(self) -> bool:
        """True while the memory holds pixels, not characters."""
        return bool(self.graphics[0x06] & GRAPHICS_MODE)


def colour_numbers(state: VgaState) -> bytes:
    """Return which of the DAC's colours each of the 16 attributes is: plane enable, palette, colour select, mask."""
    numbers = bytearray()
    select = state.attribute[0x14]
    for attribute in range(16):
        number = state.attribute[attribute & state.attribute[0x12]]
        if state.attribute[0x10] & PALETTE_SELECT:
            number = number & 0x0F | (select & 0x03) << 4
        numbers.append((number | (select & 0x0C) << 4) & state.dac_mask)
    return bytes(numbers)
