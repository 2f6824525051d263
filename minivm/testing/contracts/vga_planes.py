"""The VGA's graphics controller: what becomes of a byte between the CPU and the four planes.

Every case opens the planes at A0000h by itself, offset by offset, as 16-colour modes do.
"""

from collections.abc import Iterable

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts.vga import COLOUR, GRAPHICS, MISCELLANEOUS_WRITE, SEQUENCER, fill, text_mode

VGA_PLANES = Contract(
    "vga_planes",
    "VGA, planes and windows",
    "IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, Graphics Controller; FreeVGA",
)

WINDOW = 0xA0000
MAP_MASK, MEMORY_MODE = 0x02, 0x04
SET_RESET, ENABLE_SET_RESET, COLOUR_COMPARE, DATA_ROTATE, READ_MAP, MODE, MISCELLANEOUS, DONT_CARE, BIT_MASK = range(9)
UNALTERED = (
    "in chain-4 and odd/even addressing bytes pass by write modes and bit mask: hw/display/vga.c, vga_mem_writeb"
)


def planar(pc: Probe) -> None:
    """Open all four planes at A0000h, 64 KiB, with nothing in between."""
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    fill(pc, SEQUENCER, bytes.fromhex("03 01 0F 00 06"))
    fill(pc, GRAPHICS, bytes.fromhex("00 00 00 00 00 00 05 0F FF"))


def graphics(pc: Probe, index: int, value: int) -> None:
    """Write a register of the graphics controller."""
    pc.indexed(GRAPHICS, index, value)


def put(pc: Probe, offset: int, levels: Iterable[int]) -> None:
    """Give each plane its own byte at an offset, with the registers of `planar` before and after."""
    for plane, byte in enumerate(levels):
        pc.indexed(SEQUENCER, MAP_MASK, 1 << plane)
        pc.poke(WINDOW + offset, bytes([byte]))
    pc.indexed(SEQUENCER, MAP_MASK, 0x0F)


def holds(pc: Probe, offset: int, *expected: int) -> None:
    """Check what each plane holds at an offset, read by read mode 0."""
    graphics(pc, MODE, 0x00)
    for plane, byte in enumerate(expected):
        graphics(pc, READ_MAP, plane)
        pc.equal(pc.peek(WINDOW + offset)[0], byte, f"offset {offset} of plane {plane}")
    graphics(pc, READ_MAP, 0)


@VGA_PLANES.case("the map mask says which planes take a byte", "Map Mask Register")
def map_mask(pc: Probe) -> None:
    planar(pc)
    put(pc, 0, (0, 0, 0, 0))
    for mask in range(1, 16):
        pc.indexed(SEQUENCER, MAP_MASK, mask)
        pc.poke(WINDOW + mask, bytes([0x50 + mask]))
    for mask in range(1, 16):
        holds(pc, mask, *(0x50 + mask if mask >> plane & 1 else pc_byte(pc, mask, plane) for plane in range(4)))


def pc_byte(pc: Probe, offset: int, plane: int) -> int:
    """Return what is in a plane, whatever it is; it must not be what `map_mask` wrote."""
    graphics(pc, READ_MAP, plane)
    byte = pc.peek(WINDOW + offset)[0]
    pc.that(byte != 0x50 + offset, f"plane {plane} was closed when offset {offset} was written")
    return byte


@VGA_PLANES.case("the read map says which plane is read", "Read Map Select Register")
def read_map(pc: Probe) -> None:
    planar(pc)
    put(pc, 7, (0x11, 0x22, 0x44, 0x88))
    holds(pc, 7, 0x11, 0x22, 0x44, 0x88)


@VGA_PLANES.case("write mode 1 copies what the last read left in the latches", "Graphics Mode Register, bits 1-0")
def write_mode_1(pc: Probe) -> None:
    planar(pc)
    put(pc, 1, (0x12, 0x34, 0x56, 0x78))
    put(pc, 2, (0, 0, 0, 0))
    pc.peek(WINDOW + 1)
    graphics(pc, MODE, 0x01)
    pc.poke(WINDOW + 2, b"\xff")
    holds(pc, 2, 0x12, 0x34, 0x56, 0x78)


@VGA_PLANES.case("the bit mask takes single bits from the latches", "Bit Mask Register")
def bit_mask(pc: Probe) -> None:
    planar(pc)
    put(pc, 0, (0xF0, 0x0F, 0xFF, 0x00))
    graphics(pc, BIT_MASK, 0x3C)
    pc.peek(WINDOW)
    pc.poke(WINDOW, b"\x18")
    graphics(pc, BIT_MASK, 0xFF)
    holds(pc, 0, 0xD8, 0x1B, 0xDB, 0x18)


@VGA_PLANES.case("set/reset gives planes a colour, where it is enabled", "Set/Reset and Enable Set/Reset Registers")
def set_reset(pc: Probe) -> None:
    planar(pc)
    graphics(pc, SET_RESET, 0x05)
    graphics(pc, ENABLE_SET_RESET, 0x07)
    pc.poke(WINDOW, b"\x81")
    graphics(pc, ENABLE_SET_RESET, 0x00)
    pc.poke(WINDOW + 1, b"\x42")
    holds(pc, 0, 0xFF, 0x00, 0xFF, 0x81)
    holds(pc, 1, 0x42, 0x42, 0x42, 0x42)


@VGA_PLANES.case("a byte is rotated to the right before it is written", "Data Rotate Register, bits 2-0")
def rotation(pc: Probe) -> None:
    planar(pc)
    for count in range(8):
        graphics(pc, DATA_ROTATE, count)
        pc.poke(WINDOW + count, b"\x13")
    graphics(pc, DATA_ROTATE, 0)
    for count, expected in enumerate((0x13, 0x89, 0xC4, 0x62, 0x31, 0x98, 0x4C, 0x26)):
        holds(pc, count, expected, expected)


@VGA_PLANES.case("data is combined with the latches by AND, OR or XOR", "Data Rotate Register, bits 4-3")
def logic(pc: Probe) -> None:
    planar(pc)
    for function, expected in ((0, 0x5A), (1, 0x18), (2, 0x7E), (3, 0x66)):
        put(pc, function, (0x3C, 0x3C, 0x3C, 0x3C))
        graphics(pc, DATA_ROTATE, function << 3)
        pc.peek(WINDOW + function)
        pc.poke(WINDOW + function, b"\x5a")
        graphics(pc, DATA_ROTATE, 0)
        holds(pc, function, expected, expected, expected, expected)


@VGA_PLANES.case("write mode 2 gives each plane one bit of the byte", "Graphics Mode Register, bits 1-0")
def write_mode_2(pc: Probe) -> None:
    planar(pc)
    put(pc, 0, (0xAA, 0xAA, 0xAA, 0xAA))
    graphics(pc, MODE, 0x02)
    graphics(pc, BIT_MASK, 0x0F)
    pc.peek(WINDOW)
    pc.poke(WINDOW, b"\xf6")
    graphics(pc, BIT_MASK, 0xFF)
    holds(pc, 0, 0xA0, 0xAF, 0xAF, 0xA0)


@VGA_PLANES.case("write mode 3 paints set/reset where both masks let it", "Graphics Mode Register, bits 1-0")
def write_mode_3(pc: Probe) -> None:
    planar(pc)
    put(pc, 0, (0x00, 0xFF, 0x00, 0xFF))
    graphics(pc, MODE, 0x03)
    graphics(pc, SET_RESET, 0x03)
    graphics(pc, BIT_MASK, 0x7E)
    graphics(pc, DATA_ROTATE, 0x01)
    pc.peek(WINDOW)
    pc.poke(WINDOW, b"\x79")  # rotated: BCh; with the bit mask: 3Ch
    graphics(pc, BIT_MASK, 0xFF)
    graphics(pc, DATA_ROTATE, 0x00)
    holds(pc, 0, 0x3C, 0xFF, 0x00, 0xC3)


@VGA_PLANES.case("read mode 1 finds the pixels of a colour", "Colour Compare and Colour Don't Care Registers")
def read_mode_1(pc: Probe) -> None:
    planar(pc)
    put(pc, 0, (0xFF, 0x0F, 0x33, 0x00))
    graphics(pc, MODE, 0x08)
    graphics(pc, COLOUR_COMPARE, 0x03)
    for care, expected in ((0x0F, 0x0C), (0x03, 0x0F), (0x07, 0x0C), (0x00, 0xFF)):
        graphics(pc, DONT_CARE, care)
        pc.equal(pc.peek(WINDOW)[0], expected, f"with {care:X}h in the don't care register")


@VGA_PLANES.case("a read by compare fills the latches, too", "Colour Compare Register; latches")
def read_mode_1_latches(pc: Probe) -> None:
    planar(pc)
    put(pc, 0, (1, 2, 3, 4))
    put(pc, 1, (0, 0, 0, 0))
    graphics(pc, MODE, 0x09)
    pc.peek(WINDOW)
    pc.poke(WINDOW + 1, b"\0")
    holds(pc, 1, 1, 2, 3, 4)


# -- addresses ------------------------------------------------------------------------------------------------------
@VGA_PLANES.case("in chain-4 the low two bits of an address are the plane", "Memory Mode Register, bit 3")
def chain_4(pc: Probe) -> None:
    planar(pc)
    pc.indexed(SEQUENCER, MEMORY_MODE, 0x0E)
    graphics(pc, MODE, 0x40)
    pc.poke(WINDOW, b"\x10\x21\x32\x43")
    pc.that(pc.peek(WINDOW, 4) == b"\x10\x21\x32\x43", "four pixels read back")
    pc.indexed(SEQUENCER, MEMORY_MODE, 0x06)
    holds(pc, 0, 0x10, 0x21, 0x32, 0x43)


@VGA_PLANES.case("the map mask closes planes in chain-4", "Map Mask Register; Memory Mode Register, bit 3")
def chain_4_masked(pc: Probe) -> None:
    planar(pc)
    pc.indexed(SEQUENCER, MEMORY_MODE, 0x0E)
    pc.poke(WINDOW, b"\0\0\0\0")
    pc.indexed(SEQUENCER, MAP_MASK, 0x05)
    pc.poke(WINDOW, b"\x10\x21\x32\x43")
    pc.that(pc.peek(WINDOW, 4) == b"\x10\0\x32\0", "planes 1 and 3 keep their zeros")


@VGA_PLANES.case(
    "the bit mask works in chain-4 as well", "Bit Mask Register; Memory Mode Register, bit 3",
    differs={"QEMU": UNALTERED},
)  # fmt: skip
def chain_4_bit_mask(pc: Probe) -> None:
    planar(pc)
    pc.indexed(SEQUENCER, MEMORY_MODE, 0x0E)
    pc.poke(WINDOW, b"\xff")
    graphics(pc, BIT_MASK, 0x0F)
    pc.peek(WINDOW)
    pc.poke(WINDOW, b"\0")
    pc.equal(pc.peek(WINDOW)[0], 0xF0, "the upper half comes from the latch")


@VGA_PLANES.case("odd and even addresses are two planes", "Graphics Mode Register, bit 4; Memory Mode Register, bit 2")
def odd_even(pc: Probe) -> None:
    planar(pc)
    put(pc, 0, (0, 0, 0x66, 0x77))
    pc.indexed(SEQUENCER, MEMORY_MODE, 0x02)
    pc.indexed(SEQUENCER, MAP_MASK, 0x03)
    graphics(pc, MODE, 0x10)
    pc.poke(WINDOW, b"\x41\x1e")
    pc.that(pc.peek(WINDOW, 2) == b"\x41\x1e", "a character and its attribute read back")
    graphics(pc, READ_MAP, 0x02)
    pc.that(pc.peek(WINDOW, 2) == b"\x66\x77", "read map 2 gives planes 2 and 3")
    pc.indexed(SEQUENCER, MEMORY_MODE, 0x06)
    pc.indexed(SEQUENCER, MAP_MASK, 0x0F)
    holds(pc, 0, 0x41, 0x1E, 0x66, 0x77)


@VGA_PLANES.case("text is in the planes when they open, and what changed there is text again", "Memory Mode Register")
def text_and_planes(pc: Probe) -> None:
    text_mode(pc)
    pc.poke(0xB8000, b"M\x17V\x28")
    planar(pc)
    holds(pc, 0, ord("M"), 0x17)
    put(pc, 0, (ord("W"), 0x4F, 0, 0))
    text_mode(pc)
    pc.that(pc.peek(0xB8000, 2) == b"W\x4f", "the character that was changed in its plane")


@VGA_PLANES.case("the window has four places and sizes", "Miscellaneous Graphics Register, bits 3-2")
def windows(pc: Probe) -> None:
    planar(pc)
    for select, base, last in (
        (0, 0xA0000, 0xAFFFF),
        (1, 0xA0000, 0xAFFFF),
        (2, 0xB0000, 0xB7FFF),
        (3, 0xB8000, 0xBFFFF),
    ):
        graphics(pc, MISCELLANEOUS, select << 2 | 1)
        pc.poke(base, bytes([0x30 + select]))
        pc.poke(last, bytes([0x40 + select]))
        pc.equal(pc.peek(base)[0], 0x30 + select, f"the first byte of window {select}")
        pc.equal(pc.peek(last)[0], 0x40 + select, f"the last byte of window {select}")


@VGA_PLANES.case("beside the window nothing answers", "Miscellaneous Graphics Register, bits 3-2")
def beside_the_window(pc: Probe) -> None:
    planar(pc)
    for select, beside in ((1, (0xB0000, 0xBFFFF)), (2, (0xA0000, 0xAFFFF, 0xB8000)), (3, (0xA0000, 0xB7FFF))):
        graphics(pc, MISCELLANEOUS, select << 2 | 1)
        for address in beside:
            pc.poke(address, b"\x5a")
            pc.equal(pc.peek(address)[0], 0xFF, f"{address:X}h with window {select}")
