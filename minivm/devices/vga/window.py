"""Which of video memory the CPU may reach without the card: the flat windows at A0000h to BFFFFh.

Where chain-4 is on and the graphics controller changes nothing, the window is video memory itself. Where odd and even
addresses are planes 1 and 0 and nothing else is going on, the window is a flat buffer of characters and attributes,
which is copied from and to the two planes when the registers begin and cease to be so.
"""

from minivm.core.aperture import LINEAR, TEXT, TRAPPED, Aperture
from minivm.devices.vga.planes import (
    BIT_MASK,
    CHAIN_4,
    ENABLE_SET_RESET,
    HOST_ODD_EVEN,
    MISCELLANEOUS,
    MODE,
    READ_MAP,
    READ_MODE_1,
    ROTATE,
    SEQUENTIAL,
    WINDOWS,
)

FIRST_ADDRESS = 0xA0000
PLANE_BYTES = 0x40000
"""The four planes of a VGA, 64 KiB each."""
NOTHING_FLAT = Aperture(TRAPPED)


def aperture_of(map_mask: int, memory_mode: int, graphics: bytes | bytearray, *, bank: int = 0) -> Aperture:
    """Return how the CPU may see the window under these registers; `bank` is a byte of video memory."""
    mode = graphics[MODE]
    if mode & (READ_MODE_1 | 3) or graphics[ENABLE_SET_RESET] or graphics[ROTATE] or graphics[BIT_MASK] != 0xFF:
        return NOTHING_FLAT
    select = graphics[MISCELLANEOUS] >> 2 & 3
    base, length = WINDOWS[select]
    if memory_mode & CHAIN_4:
        offset = bank if select == 1 else 0
        return Aperture(LINEAR, FIRST_ADDRESS + base, length, offset) if map_mask == 0x0F else NOTHING_FLAT
    odd_even = mode & HOST_ODD_EVEN and not memory_mode & SEQUENTIAL
    if odd_even and map_mask == 0x03 and not graphics[READ_MAP] & 2:
        return Aperture(TEXT, FIRST_ADDRESS + base, length)
    return NOTHING_FLAT


def fill_text(aperture: Aperture, text: memoryview, memory: memoryview) -> None:
    """Copy planes 0 and 1 into the flat buffer's window."""
    _cells(aperture, text)[:] = _pairs(aperture, memory)


def fill_planes(aperture: Aperture, text: memoryview, memory: memoryview) -> None:
    """Copy the flat buffer's window into planes 0 and 1."""
    _pairs(aperture, memory)[:] = _cells(aperture, text)


def planes_with_text(aperture: Aperture, text: memoryview, memory: memoryview) -> memoryview:
    """Return the four planes as they are while the flat buffer holds two of them; `memory` stays as it is."""
    planes = memoryview(bytearray(memory[:PLANE_BYTES]))
    fill_planes(aperture, text, planes)
    return planes


def _cells(aperture: Aperture, text: memoryview) -> memoryview:
    start = aperture.base - FIRST_ADDRESS
    return text[start : start + aperture.length].cast("H")


def _pairs(aperture: Aperture, memory: memoryview) -> memoryview:
    return memory[: 2 * aperture.length].cast("H")[::2]
