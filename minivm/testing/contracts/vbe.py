"""The Bochs VBE extension's registers at 1CEh and 1CFh."""

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts.vga import GRAPHICS, text_mode

VBE = Contract("vbe", "Bochs VBE extension", "Bochs, VBE display interface, as QEMU's standard VGA has it")
VBE_INDEX, VBE_DATA = 0x1CE, 0x1CF
WINDOW = 0xA0000
ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY_64K = range(11)
OFF, ON, CAPABILITIES, EIGHT_BIT_DAC, FRAMEBUFFER, KEEP = 0x00, 0x01, 0x02, 0x20, 0x40, 0x80


def vbe(pc: Probe, index: int, value: int) -> None:
    """Write a register of the extension."""
    pc.write(VBE_INDEX, index, size=2)
    pc.write(VBE_DATA, value, size=2)


def vbe_is(pc: Probe, index: int, expected: int, what: str = "") -> None:
    """Check a register of the extension."""
    pc.write(VBE_INDEX, index, size=2)
    pc.reads(VBE_DATA, expected, what or f"register {index:X}h", size=2)


def vbe_mode(pc: Probe, width: int, height: int, depth: int, flags: int = FRAMEBUFFER) -> None:
    """Switch the extension off and on again with a size and a depth."""
    vbe(pc, ENABLE, OFF)
    for index, value in ((XRES, width), (YRES, height), (BPP, depth), (ENABLE, ON | flags)):
        vbe(pc, index, value)


@VBE.case("the ID is B0C5h, and takes the older ones", "ID register")
def identification(pc: Probe) -> None:
    for number in (0xB0C0, 0xB0C4, 0xB0C5):
        vbe(pc, ID, number)
        vbe_is(pc, ID, number)
    vbe(pc, ID, 0xB0C6)
    vbe_is(pc, ID, 0xB0C5, "after a number that is none")


@VBE.case("video memory is 16 MiB", "VIDEO_MEMORY_64K register")
def memory_size(pc: Probe) -> None:
    vbe_is(pc, MEMORY_64K, 256)


@VBE.case("the index reads back", "index port")
def vbe_index(pc: Probe) -> None:
    pc.write(VBE_INDEX, 7, size=2)
    pc.reads(VBE_INDEX, 7, size=2)


@VBE.case("GETCAPS shows the largest size and depth", "ENABLE register, bit 1")
def capabilities(pc: Probe) -> None:
    vbe_mode(pc, 640, 480, 8)
    vbe(pc, ENABLE, ON | CAPABILITIES)
    for index, expected in ((XRES, 16000), (YRES, 12000), (BPP, 32)):
        vbe_is(pc, index, expected)
    vbe(pc, ENABLE, ON)
    for index, expected in ((XRES, 640), (YRES, 480), (BPP, 8)):
        vbe_is(pc, index, expected)


@VBE.case("switching on makes a virtual screen as wide as the picture", "VIRT_WIDTH and VIRT_HEIGHT registers")
def virtual_screen(pc: Probe) -> None:
    vbe_mode(pc, 640, 480, 8)
    vbe(pc, VIRT_WIDTH, 1024)
    vbe(pc, X_OFFSET, 8)
    vbe_mode(pc, 800, 600, 16)
    for index, expected in ((VIRT_WIDTH, 800), (VIRT_HEIGHT, 10485), (X_OFFSET, 0), (Y_OFFSET, 0)):
        vbe_is(pc, index, expected)


@VBE.case("a width is a multiple of 8, a depth one that there is", "XRES and BPP registers")
def corrected(pc: Probe) -> None:
    vbe_mode(pc, 333, 0, 7)
    for index, expected in ((XRES, 328), (YRES, 1), (BPP, 8), (VIRT_WIDTH, 328)):
        vbe_is(pc, index, expected)
    vbe(pc, VIRT_WIDTH, 100)
    vbe_is(pc, VIRT_WIDTH, 328, "a virtual screen narrower than the picture")


@VBE.case("while the extension is off its registers keep anything", "ENABLE register, bit 0")
def kept_while_off(pc: Probe) -> None:
    vbe(pc, ENABLE, OFF)
    vbe(pc, XRES, 333)
    vbe_is(pc, XRES, 333)


@VBE.case("a picture that would leave video memory begins at 0", "X_OFFSET and Y_OFFSET registers")
def offsets(pc: Probe) -> None:
    vbe_mode(pc, 1024, 768, 32)
    vbe(pc, Y_OFFSET, 4096 - 768)
    vbe_is(pc, Y_OFFSET, 4096 - 768, "the last line that fits")
    vbe(pc, Y_OFFSET, 4096 - 767)
    vbe_is(pc, Y_OFFSET, 0, "one line too far")


@VBE.case("the bank register moves the window at A0000h", "BANK register")
def bank(pc: Probe) -> None:
    vbe_mode(pc, 640, 480, 8)
    for number in (0, 1, 4):
        vbe(pc, BANK, number)
        pc.poke(WINDOW, bytes([0x60 + number]))
    for number in (4, 0, 1):
        vbe(pc, BANK, number)
        pc.equal(pc.peek(WINDOW)[0], 0x60 + number, f"the first byte of bank {number}")


@VBE.case("switching on clears the picture, unless NOCLEAR says no", "ENABLE register, bit 7")
def clearing(pc: Probe) -> None:
    vbe_mode(pc, 640, 480, 8)
    pc.poke(WINDOW, b"\x77")
    vbe_mode(pc, 640, 480, 8, FRAMEBUFFER | KEEP)
    pc.equal(pc.peek(WINDOW)[0], 0x77, "with NOCLEAR")
    vbe_mode(pc, 640, 480, 8)
    pc.equal(pc.peek(WINDOW)[0], 0x00, "without")


@VBE.case("the VGA's registers follow the picture", "ENABLE register; CRTC and graphics controller")
def vga_registers(pc: Probe) -> None:
    text_mode(pc)
    vbe_mode(pc, 640, 480, 8)
    for port, index, mask, expected, what in (
        (0x3D4, 0x01, 0xFF, 79, "horizontal display end"), (0x3D4, 0x12, 0xFF, 0xDF, "vertical display end"),
        (0x3D4, 0x09, 0x9F, 0x00, "no doubled lines"), (0x3D4, 0x13, 0xFF, 80, "offset"),
        (GRAPHICS, 0x06, 0x0F, 0x07, "graphics at A0000h, 64 KiB"), (GRAPHICS, 0x05, 0x60, 0x40, "256 colours"),
    ):  # fmt: skip
        pc.equal(pc.indexed(port, index) & mask, expected, what)


@VBE.case("a level of the DAC has eight bits when ENABLE says so", "ENABLE register, bit 5")
def eight_bit_dac(pc: Probe) -> None:
    vbe_mode(pc, 640, 480, 8, FRAMEBUFFER | EIGHT_BIT_DAC)
    pc.write(0x3C8, 0x10)
    pc.write(0x3C9, 0xFF, 0x80, 0x41)
    pc.write(0x3C7, 0x10)
    for expected in (0xFF, 0x80, 0x41):
        pc.reads(0x3C9, expected)
