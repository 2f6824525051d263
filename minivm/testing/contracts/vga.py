"""The VGA's registers as text modes use them: 3B0h-3DFh, and the memory at B8000h.

No BIOS has run: a case programs what it needs, the registers of mode 3 (80 x 25 characters) by `text_mode`.
"""

from minivm.testing.contract import Contract, Probe

VGA = Contract(
    "vga", "VGA, registers and text", "IBM PS/2 Hardware Interface Technical Reference, Video Subsystem; FreeVGA"
)

MISCELLANEOUS_WRITE, MISCELLANEOUS_READ = 0x3C2, 0x3CC
SEQUENCER, GRAPHICS, CRTC, CRTC_MONO = 0x3C4, 0x3CE, 0x3D4, 0x3B4
ATTRIBUTE, ATTRIBUTE_READ, STATUS_1, STATUS_1_MONO = 0x3C0, 0x3C1, 0x3DA, 0x3BA
DAC_MASK, DAC_READ_INDEX, DAC_WRITE_INDEX, DAC_DATA = 0x3C6, 0x3C7, 0x3C8, 0x3C9
COLOUR, MONOCHROME = 0x67, 0x66
PALETTE_ADDRESS_SOURCE = 0x20
BLANKING, RETRACE = 0x01, 0x08

MODE_3_CRTC = bytes.fromhex("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF")
MODE_3_GRAPHICS = bytes.fromhex("00 00 00 00 00 10 0E 00 FF")
SEQUENCER_BITS = bytes.fromhex("03 3D 0F 3F 0E")
GRAPHICS_BITS = bytes.fromhex("0F 0F 0F 1F 03 7B 0F 0F FF")
CRTC_BITS = bytes.fromhex("FF FF FF 7F FF FF FF FF 7F FF 3F 7F FF FF FF FF FF 7F FF FF 7F FF FF EF FF")
ATTRIBUTE_BITS = bytes([0x3F] * 16) + bytes.fromhex("EF FF 3F 0F 0F")
"""The bits that are not reserved, but for bit 7 of the CRTC's 03h and 11h, which changes what other registers do."""

DUMB_RETRACE = "bits 0 and 3 flip at every read: hw/display/vga.c, vga_dumb_retrace"


def text_mode(pc: Probe) -> None:
    """Program all registers for 80 x 25 characters of 9 x 16 pixels at 70 Hz."""
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    fill(pc, SEQUENCER, bytes.fromhex("03 00 03 00 02"))
    pc.indexed(CRTC, 0x11, 0x0E)
    fill(pc, CRTC, MODE_3_CRTC)
    fill(pc, GRAPHICS, MODE_3_GRAPHICS)
    for index, value in ((0x10, 0x0C), (0x11, 0x00), (0x12, 0x0F), (0x13, 0x08), (0x14, 0x00)):
        attribute(pc, index, value)
    pc.write(ATTRIBUTE, PALETTE_ADDRESS_SOURCE)


def fill(pc: Probe, port: int, values: bytes) -> None:
    """Write the registers behind an index from 00h on."""
    for index, value in enumerate(values):
        pc.indexed(port, index, value)


def attribute(pc: Probe, index: int, value: int) -> None:
    """Write an attribute register."""
    pc.read(STATUS_1)
    pc.write(ATTRIBUTE, index, value)


def attribute_is(pc: Probe, index: int, expected: int, what: str = "", *, mask: int = 0xFF) -> None:
    """Check an attribute register."""
    pc.read(STATUS_1)
    pc.write(ATTRIBUTE, index)
    pc.reads(ATTRIBUTE_READ, expected & mask, what or f"attribute register {index:02X}h", mask=mask)


def keeps_all(pc: Probe, port: int, bits: bytes) -> None:
    """Check that every register behind an index keeps a value of its own, each bit once as 1 and once as 0."""
    for flip in (0x00, 0xFF):
        values = [(0x5A + index ^ flip) & mask for index, mask in enumerate(bits)]
        for index, value in enumerate(values):
            fixed = 0x80 if port == CRTC and index == 0x03 else 0
            pc.indexed(port, index, value | fixed)
        for index, value in enumerate(values):
            pc.write(port, index)
            pc.reads(port + 1, value, f"register {index:02X}h", mask=bits[index])


# -- miscellaneous output -------------------------------------------------------------------------------------------
@VGA.case("the miscellaneous output is written at 3C2h and read at 3CCh", "Miscellaneous Output Register")
def miscellaneous_reads_back(pc: Probe) -> None:
    for value in (0x67, 0xA6, 0x4B, 0x8C):
        pc.write(MISCELLANEOUS_WRITE, value)
        pc.reads(MISCELLANEOUS_READ, value)


@VGA.case("in colour the CRTC is at 3D4h, and 3B4h is nobody's", "Miscellaneous Output Register, bit 0")
def crtc_in_colour(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    pc.indexed(CRTC, 0x0F, 0x12)
    pc.indexed(CRTC_MONO, 0x0F, 0x34)
    pc.equal(pc.indexed(CRTC, 0x0F), 0x12, "cursor at 3D5h")
    pc.reads(CRTC_MONO + 1, 0xFF, "3B5h")


@VGA.case("in monochrome the CRTC is at 3B4h, and 3D4h is nobody's", "Miscellaneous Output Register, bit 0")
def crtc_in_monochrome(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, MONOCHROME)
    pc.indexed(CRTC_MONO, 0x0F, 0x56)
    pc.indexed(CRTC, 0x0F, 0x78)
    pc.equal(pc.indexed(CRTC_MONO, 0x0F), 0x56, "cursor at 3B5h")
    pc.reads(CRTC + 1, 0xFF, "3D5h")
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    pc.equal(pc.indexed(CRTC, 0x0F), 0x56, "the same register in colour")


@VGA.case("in monochrome input status 1 is at 3BAh and resets the flip-flop", "Input Status Register 1")
def status_1_in_monochrome(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, MONOCHROME)
    pc.read(STATUS_1_MONO)
    pc.write(ATTRIBUTE, 0x12)
    pc.read(STATUS_1_MONO)
    pc.write(ATTRIBUTE, 0x13, 0x07)
    pc.read(STATUS_1_MONO)
    pc.write(ATTRIBUTE, 0x13)
    pc.reads(ATTRIBUTE_READ, 0x07, "pixel panning")


# -- CRTC -----------------------------------------------------------------------------------------------------------
@VGA.case("each CRTC register keeps its value", "CRT Controller Registers 00h-18h")
def crtc_keeps(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    pc.indexed(CRTC, 0x11, 0x00)
    keeps_all(pc, CRTC, CRTC_BITS)


@VGA.case("the CRTC's index reads back", "CRT Controller Address Register")
def crtc_index(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    for index in (0x0E, 0x11, 0x18, 0x00):
        pc.write(CRTC, index)
        pc.reads(CRTC, index)


@VGA.case("bit 7 of 11h protects registers 00h to 06h", "Vertical Retrace End Register, bit 7")
def protection(pc: Probe) -> None:
    text_mode(pc)
    for index in range(7):
        pc.indexed(CRTC, index, MODE_3_CRTC[index] ^ 0xFF)
        pc.equal(pc.indexed(CRTC, index), MODE_3_CRTC[index], f"register {index:02X}h")


@VGA.case("of register 07h only the line compare bit is open while bit 7 of 11h is set", "Vertical Retrace End, bit 7")
def protection_of_overflow(pc: Probe) -> None:
    text_mode(pc)
    for written, seen in ((0xEF, 0x0F), (0x10, 0x1F), (0x00, 0x0F)):
        pc.indexed(CRTC, 0x07, written)
        pc.equal(pc.indexed(CRTC, 0x07), seen, f"overflow after {written:02X}h")


@VGA.case("registers from 08h on are never protected", "Vertical Retrace End Register, bit 7")
def unprotected_registers(pc: Probe) -> None:
    text_mode(pc)
    for index in (0x08, 0x09, 0x0A, 0x0D, 0x0F, 0x13, 0x18):
        pc.indexed(CRTC, index, 0x15)
        pc.equal(pc.indexed(CRTC, index), 0x15, f"register {index:02X}h")


@VGA.case("clearing bit 7 of 11h takes the protection away", "Vertical Retrace End Register, bit 7")
def protection_ends(pc: Probe) -> None:
    text_mode(pc)
    pc.indexed(CRTC, 0x11, 0x0E)
    for index in range(8):
        pc.indexed(CRTC, index, MODE_3_CRTC[index] ^ 0x41)
        pc.equal(pc.indexed(CRTC, index), MODE_3_CRTC[index] ^ 0x41, f"register {index:02X}h")


@VGA.case("a word written to 3D4h is an index and its value, and a word read too", "CRT Controller Address Register")
def crtc_word(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    pc.write(CRTC, 0xA50E, 0x3C0F, size=2)
    pc.equal(pc.indexed(CRTC, 0x0E), 0xA5, "cursor, high byte")
    pc.equal(pc.indexed(CRTC, 0x0F), 0x3C, "cursor, low byte")
    pc.reads(CRTC, 0x3C0F, "index and value", size=2)


# -- sequencer and graphics controller ------------------------------------------------------------------------------
@VGA.case("each sequencer register keeps its value", "Sequencer Registers 00h-04h")
def sequencer_keeps(pc: Probe) -> None:
    keeps_all(pc, SEQUENCER, SEQUENCER_BITS)


@VGA.case("each graphics register keeps its value", "Graphics Controller Registers 00h-08h")
def graphics_keeps(pc: Probe) -> None:
    keeps_all(pc, GRAPHICS, GRAPHICS_BITS)


@VGA.case("reserved bits of sequencer and graphics controller read 0", "Sequencer and Graphics Controller Registers")
def reserved_bits(pc: Probe) -> None:
    for port, bits in ((SEQUENCER, SEQUENCER_BITS), (GRAPHICS, GRAPHICS_BITS)):
        for index, mask in enumerate(bits):
            pc.indexed(port, index, 0xFF)
            pc.equal(pc.indexed(port, index), mask, f"register {index:02X}h behind {port:X}h")


@VGA.case("sequencer, graphics controller and CRTC each have an index of their own", "Address Registers")
def indices_are_apart(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    for port, index in ((SEQUENCER, 0x02), (GRAPHICS, 0x08), (CRTC, 0x0F)):
        pc.write(port, index)
    for port, index in ((SEQUENCER, 0x02), (GRAPHICS, 0x08), (CRTC, 0x0F)):
        pc.reads(port, index, f"index at {port:X}h")


@VGA.case("a word written to 3C4h or 3CEh is an index and its value", "Address Registers")
def index_and_value_in_a_word(pc: Probe) -> None:
    pc.write(SEQUENCER, 0x0702, size=2)
    pc.write(GRAPHICS, 0xA508, size=2)
    pc.equal(pc.indexed(SEQUENCER, 0x02), 0x07, "map mask")
    pc.equal(pc.indexed(GRAPHICS, 0x08), 0xA5, "bit mask")


# -- attribute controller -------------------------------------------------------------------------------------------
@VGA.case("each attribute register keeps its value", "Attribute Controller Registers 00h-14h")
def attribute_keeps(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    for flip in (0x00, 0xFF):
        for index, mask in enumerate(ATTRIBUTE_BITS):
            attribute(pc, index, (0x5A + index ^ flip) & mask)
        for index, mask in enumerate(ATTRIBUTE_BITS):
            attribute_is(pc, index, 0x5A + index ^ flip, mask=mask)


@VGA.case("writes to 3C0h are index and value in turn", "Attribute Address Register")
def attribute_in_turn(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    pc.read(STATUS_1)
    pc.write(ATTRIBUTE, 0x12, 0x05, 0x13, 0x03, 0x14, 0x09)
    for index, value in ((0x12, 0x05), (0x13, 0x03), (0x14, 0x09)):
        attribute_is(pc, index, value)


@VGA.case("reading input status 1 makes the next write an index", "Attribute Address Register; Input Status 1")
def flip_flop_reset(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    attribute(pc, 0x12, 0x0F)
    pc.read(STATUS_1)
    pc.write(ATTRIBUTE, 0x12)
    pc.read(STATUS_1)
    pc.write(ATTRIBUTE, 0x13)
    pc.write(ATTRIBUTE, 0x06)
    attribute_is(pc, 0x12, 0x0F)
    attribute_is(pc, 0x13, 0x06)


@VGA.case("reading 3C1h does not change whose turn it is", "Attribute Address Register")
def reading_keeps_the_turn(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    pc.read(STATUS_1)
    pc.write(ATTRIBUTE, 0x14)
    pc.read(ATTRIBUTE_READ)
    pc.write(ATTRIBUTE, 0x0B)
    attribute_is(pc, 0x14, 0x0B)


@VGA.case("3C0h reads as the index with the palette's switch", "Attribute Address Register")
def attribute_index_reads_back(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    for index in (0x30, 0x14, 0x2A):
        pc.read(STATUS_1)
        pc.write(ATTRIBUTE, index)
        pc.read(STATUS_1)
        pc.reads(ATTRIBUTE, index, mask=0x3F)


@VGA.case(
    "while the screen uses the palette it cannot be written",
    "Attribute Address Register, bit 5, Palette Address Source",
    differs={"QEMU": "writes the palette whatever bit 5 says: hw/display/vga.c, vga_ioport_write"},
)
def palette_is_locked(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    attribute(pc, 0x05, 0x15)
    attribute(pc, PALETTE_ADDRESS_SOURCE | 0x05, 0x2A)
    attribute_is(pc, 0x05, 0x15)


@VGA.case("registers from 10h on can be written while the screen uses the palette", "Attribute Address Register, bit 5")
def other_registers_are_open(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    for index, value in ((0x10, 0x2E), (0x12, 0x07), (0x13, 0x08), (0x14, 0x0A), (0x10, 0x0C)):
        attribute(pc, PALETTE_ADDRESS_SOURCE | index, value)
        attribute_is(pc, index, value)


# -- DAC ------------------------------------------------------------------------------------------------------------
def colours_are(pc: Probe, first: int, *levels: int) -> None:
    """Check levels of the DAC from a colour on."""
    pc.write(DAC_READ_INDEX, first)
    for number, level in enumerate(levels):
        pc.reads(DAC_DATA, level, f"colour {first + number // 3 & 0xFF:02X}h, {('red', 'green', 'blue')[number % 3]}")


@VGA.case("the DAC's colours read back, and its index goes on by itself", "PEL Data Register; PEL Address Registers")
def dac_reads_back(pc: Probe) -> None:
    pc.write(DAC_WRITE_INDEX, 0x10)
    pc.write(DAC_DATA, *range(1, 10))
    colours_are(pc, 0x10, *range(1, 10))
    colours_are(pc, 0x11, 4, 5, 6)


@VGA.case("after colour FFh the DAC's index goes on with 00h", "PEL Address Registers")
def dac_wraps(pc: Probe) -> None:
    pc.write(DAC_WRITE_INDEX, 0xFF)
    pc.write(DAC_DATA, 1, 2, 3, 4, 5, 6)
    colours_are(pc, 0x00, 4, 5, 6)
    colours_are(pc, 0xFF, 1, 2, 3, 4, 5, 6)


@VGA.case(
    "a level has six bits",
    "PEL Data Register, bits 5-0",
    differs={"QEMU": "keeps all eight bits: hw/display/vga.c, vga_ioport_write"},
)
def dac_levels_have_six_bits(pc: Probe) -> None:
    pc.write(DAC_WRITE_INDEX, 0x20)
    pc.write(DAC_DATA, 0xFF, 0x7F, 0x80)
    colours_are(pc, 0x20, 0x3F, 0x3F, 0x00)


@VGA.case("a colour changes only with its third level", "PEL Data Register")
def dac_colour_is_whole(pc: Probe) -> None:
    pc.write(DAC_WRITE_INDEX, 0x30)
    pc.write(DAC_DATA, 1, 2, 3)
    pc.write(DAC_WRITE_INDEX, 0x30)
    pc.write(DAC_DATA, 0x11, 0x12)
    colours_are(pc, 0x30, 1, 2, 3)


@VGA.case("writing the index begins with red again, for reading and for writing", "PEL Address Registers")
def dac_index_restarts(pc: Probe) -> None:
    pc.write(DAC_WRITE_INDEX, 0x40)
    pc.write(DAC_DATA, 9)
    pc.write(DAC_WRITE_INDEX, 0x40)
    pc.write(DAC_DATA, 1, 2, 3)
    colours_are(pc, 0x40, 1, 2)
    colours_are(pc, 0x40, 1, 2, 3)


@VGA.case("3C7h tells whether the DAC is being read (3) or written (0)", "DAC State Register")
def dac_state(pc: Probe) -> None:
    for index, state in ((DAC_WRITE_INDEX, 0), (DAC_READ_INDEX, 3), (DAC_WRITE_INDEX, 0)):
        pc.write(index, 0x05)
        pc.reads(DAC_READ_INDEX, state, f"state after a write to {index:X}h", mask=0x03)


@VGA.case("3C8h reads as the index of the next colour to be written", "PEL Address Write Mode Register")
def dac_write_index(pc: Probe) -> None:
    pc.write(DAC_WRITE_INDEX, 0x50)
    pc.reads(DAC_WRITE_INDEX, 0x50, "index as written")
    pc.write(DAC_DATA, 1, 2, 3)
    pc.reads(DAC_WRITE_INDEX, 0x51, "index after a colour")


@VGA.case(
    "the DAC's mask reads back",
    "PEL Mask Register",
    differs={"QEMU": "has no mask, 3C6h reads 0: hw/display/vga.c, vga_ioport_read"},
)
def dac_mask(pc: Probe) -> None:
    for mask in (0x0F, 0xA5, 0xFF):
        pc.write(DAC_MASK, mask)
        pc.reads(DAC_MASK, mask)


@VGA.case("the DAC's mask does not touch the colours that the CPU reads", "PEL Mask Register")
def dac_mask_and_colours(pc: Probe) -> None:
    pc.write(DAC_MASK, 0x00)
    pc.write(DAC_WRITE_INDEX, 0x61)
    pc.write(DAC_DATA, 7, 8, 9)
    colours_are(pc, 0x61, 7, 8, 9)
    pc.write(DAC_MASK, 0xFF)


# -- feature control and status -------------------------------------------------------------------------------------
QEMU_FEATURE = "keeps bit 4, which is reserved, and not bit 3: hw/display/vga.c, vga_ioport_write"


@VGA.case(
    "feature control is written at 3DAh and read at 3CAh", "Feature Control Register", differs={"QEMU": QEMU_FEATURE}
)
def feature_control(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, COLOUR)
    for value in (0x08, 0x00):
        pc.write(STATUS_1, value)
        pc.reads(0x3CA, value, mask=0x08)


@VGA.case(
    "in monochrome feature control is written at 3BAh",
    "Feature Control Register; Miscellaneous Output, bit 0",
    differs={"QEMU": QEMU_FEATURE},
)
def feature_control_in_monochrome(pc: Probe) -> None:
    pc.write(MISCELLANEOUS_WRITE, MONOCHROME)
    pc.write(STATUS_1_MONO, 0x08)
    pc.write(STATUS_1, 0x00)
    pc.reads(0x3CA, 0x08, mask=0x08)


def retrace_begins(pc: Probe, *, step_us: float = 20) -> int:
    """Wait for a rising edge of the retrace bit and return when it was seen."""
    last = pc.read(STATUS_1) & RETRACE
    for _ in range(round(40_000 / step_us)):
        pc.step(us=step_us)
        now = pc.read(STATUS_1) & RETRACE
        if now and not last:
            return pc.system.now
        last = now
    pc.that(False, "the retrace begins within 40 ms")
    return 0


def frame_us(pc: Probe) -> int:
    """Return how long a frame is: the time from one retrace to the next, give or take 10 us."""
    began = retrace_begins(pc, step_us=8)
    return (retrace_begins(pc, step_us=8) - began) // 1000


@VGA.case("the retrace and the blanking bit take both values", "Input Status Register 1, bits 3 and 0")
def status_bits_move(pc: Probe) -> None:
    text_mode(pc)
    seen = set()
    for _ in range(300):
        seen.add(pc.read(STATUS_1) & (RETRACE | BLANKING))
        pc.step(us=54.4)
    pc.that(seen >= {0, RETRACE | BLANKING}, "there are picture and retrace in 16 ms")
    pc.that(RETRACE not in seen, "the screen is blank in the retrace")


@VGA.case("mode 3 has 70 frames a second", "Input Status Register 1, bit 3", differs={"QEMU": DUMB_RETRACE})
def frames(pc: Probe) -> None:
    text_mode(pc)
    pc.between(frame_us(pc), 14_254, 14_282, "microseconds from retrace to retrace")


@VGA.case(
    "bits 5 and 0 of the overflow register belong to the vertical total",
    "Overflow Register, bits 5 and 0; Vertical Total Register",
    differs={"QEMU": DUMB_RETRACE},
)
def vertical_total(pc: Probe) -> None:
    text_mode(pc)
    pc.indexed(CRTC, 0x11, 0x0E)
    pc.indexed(CRTC, 0x07, 0x3F)  # 3BFh + 2 lines of 31.777 us
    pc.between(frame_us(pc), 30_524, 30_552, "microseconds from retrace to retrace")
    pc.indexed(CRTC, 0x07, 0x3E)  # 2BFh + 2 lines
    pc.between(frame_us(pc), 22_389, 22_417, "microseconds from retrace to retrace")


@VGA.case(
    "with half the dot clock a frame takes twice as long",
    "Clocking Mode Register, bit 3",
    differs={"QEMU": DUMB_RETRACE},
)
def half_clock(pc: Probe) -> None:
    text_mode(pc)
    pc.indexed(SEQUENCER, 0x01, 0x08)
    pc.between(frame_us(pc), 28_522, 28_550, "microseconds from retrace to retrace")


@VGA.case(
    "with characters of 8 pixels a frame is a ninth shorter",
    "Clocking Mode Register, bit 0",
    differs={"QEMU": DUMB_RETRACE},
)
def eight_pixels(pc: Probe) -> None:
    text_mode(pc)
    pc.indexed(SEQUENCER, 0x01, 0x01)
    pc.between(frame_us(pc), 12_669, 12_697, "microseconds from retrace to retrace")


@VGA.case(
    "the clock select chooses 25.175 or 28.322 MHz",
    "Miscellaneous Output Register, bits 3-2",
    differs={"QEMU": DUMB_RETRACE},
)
def clock_select(pc: Probe) -> None:
    text_mode(pc)
    pc.write(MISCELLANEOUS_WRITE, 0x63)
    pc.between(frame_us(pc), 16_037, 16_066, "microseconds from retrace to retrace")


@VGA.case(
    "the retrace lasts as many lines as its two registers say",
    "Vertical Retrace Start and End Registers",
    differs={"QEMU": DUMB_RETRACE},
)
def retrace_length(pc: Probe) -> None:
    text_mode(pc)
    pc.indexed(CRTC, 0x11, 0x06)  # from line 19Ch to one that ends in 6: ten lines of 31.78 us
    began = retrace_begins(pc, step_us=5)
    for _ in range(200):
        if not pc.read(STATUS_1) & RETRACE:
            break
        pc.step(us=5)
    pc.between((pc.system.now - began) // 1000, 305, 330, "microseconds of retrace")


@VGA.case(
    "bit 2 of the overflow register belongs to the start of the retrace",
    "Overflow Register, bit 2; Vertical Retrace Start Register",
    differs={"QEMU": DUMB_RETRACE},
)
def retrace_start(pc: Probe) -> None:
    text_mode(pc)
    pc.indexed(CRTC, 0x11, 0x06)
    pc.indexed(CRTC, 0x07, 0x1B)  # line 9Ch, in the middle of the picture
    retrace_begins(pc)
    shown = 0
    for _ in range(25):
        pc.step(us=10)
        shown += not pc.read(STATUS_1) & BLANKING
    pc.between(shown, 15, 25, "reads of 25 in the retrace that find the picture on")


@VGA.case(
    "the blanking bit is set for the part of a frame that shows nothing",
    "Input Status Register 1, bit 0",
    differs={"QEMU": DUMB_RETRACE},
)
def blanked_part(pc: Probe) -> None:
    text_mode(pc)
    blank = 0
    for _ in range(250):
        blank += pc.read(STATUS_1) & BLANKING
        pc.step(us=56.96)
    pc.between(blank, 62, 82, "blank reads of 250 in a frame, by the registers 72")


# -- memory ---------------------------------------------------------------------------------------------------------
@VGA.case("text written at B8000h reads back, up to the end of the window", "Memory Map; Odd/Even Mode")
def text_memory(pc: Probe) -> None:
    text_mode(pc)
    for address, cells in ((0xB8000, b"M\x07i\x17n\x27i\x4f"), (0xB8F9E, b"V\x1f"), (0xBFFFE, b"M\x70")):
        pc.poke(address, cells)
    pc.that(pc.peek(0xB8000, 8) == b"M\x07i\x17n\x27i\x4f", "the first cells read back")
    pc.that(pc.peek(0xB8F9E, 2) == b"V\x1f", "the last cell of the screen reads back")
    pc.that(pc.peek(0xBFFFE, 2) == b"M\x70", "the last cell of the window reads back")


@VGA.case(
    "characters are in plane 0 and attributes in plane 1",
    "Graphics Mode Register, bit 4; Memory Mode Register, bit 2",
)
def planes(pc: Probe) -> None:
    text_mode(pc)
    pc.poke(0xB8000, b"A\x1e")
    pc.indexed(SEQUENCER, 0x04, 0x06)
    pc.indexed(GRAPHICS, 0x05, 0x00)
    pc.indexed(GRAPHICS, 0x06, 0x04)
    for plane, byte in ((0, ord("A")), (1, 0x1E)):
        pc.indexed(GRAPHICS, 0x04, plane)
        pc.equal(pc.peek(0xA0000)[0], byte, f"the first byte of plane {plane}")


@VGA.case("with the window at B8000h nothing is at B0000h", "Miscellaneous Graphics Register (06h), bits 3-2")
def window(pc: Probe) -> None:
    text_mode(pc)
    pc.poke(0xB0000, b"\x12")
    pc.that(pc.peek(0xB0000) != b"\x12", "what is written at B0000h is lost")


@VGA.case("with the window at B0000h text reads back there", "Miscellaneous Graphics Register (06h), bits 3-2")
def monochrome_window(pc: Probe) -> None:
    text_mode(pc)
    pc.indexed(GRAPHICS, 0x06, 0x0A)
    pc.poke(0xB0000, b"M\x07")
    pc.that(pc.peek(0xB0000, 2) == b"M\x07", "text at B0000h reads back")
