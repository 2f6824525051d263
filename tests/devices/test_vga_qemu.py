"""The same port and memory writes to our card and to QEMU's: the pictures are equal, pixel for pixel.

No CPU runs: QEMU is driven by its qtest socket, and the card stands alone. All of video memory is noise.
"""

import shutil
from collections.abc import Iterator
from hashlib import shake_128
from pathlib import Path

import pytest

from minivm.core.aperture import LINEAR, TEXT, Aperture
from minivm.core.clock import Clock
from minivm.core.vga_modes import ModeRegisters, port_writes
from minivm.devices.vga.card import Vga
from minivm.testing.qtest import PROGRAM, QemuSystem

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed"),
]
CHUNK = 0x4000
COLOURS = "00 01 02 03 04 05 14 07 38 39 3A 3B 3C 3D 3E 3F"
PLAIN = "00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F"
CGA = "63/03 09 03 00 02/2D 27 28 90 2B 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 14 00 96 B9 A2 FF"
EGA = "63/03 09 0F 00 06/2D 27 28 90 2B 80 BF 1F 00 C0 00 00 00 00 00 00 9C 8E 8F 14 00 96 B9 E3 FF"
VGA = "E3/03 01 0F 00 06/5F 4F 50 82 54 80 0B 3E 00 40 00 00 00 00 00 00 EA 8C DF 28 00 E7 04 E3 FF"
CHAINED = "63/03 01 0F 00 0E/5F 4F 50 82 54 80 BF 1F 00 41 00 00 00 00 00 00 9C 8E 8F 28 40 96 B9 A3 FF"
UNCHAINED = "E3/03 01 0F 00 06/5F 4F 50 82 54 80 0D 3E 00 41 00 00 00 00 00 00 EA AC DF 28 00 E7 06 E3 FF"
TEXT_80 = "67/03 00 03 00 02/5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF"
MODES = {
    "04h": f"{CGA}/00 00 00 00 00 30 0F 00 FF/00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17 01 00 03 00 00",
    "06h": "63/03 01 01 00 06/5F 4F 50 82 54 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 28 00 96 B9 C2 FF"
    "/00 00 00 00 00 00 0D 00 FF/00 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 01 00 01 00 00",
    "0Dh": f"{EGA}/00 00 00 00 00 00 05 0F FF/{COLOURS} 01 00 0F 00 00",
    "12h": f"{VGA}/00 00 00 00 00 00 05 0F FF/{COLOURS} 01 00 0F 00 00",
    "13h": f"{CHAINED}/00 00 00 00 00 40 05 0F FF/{PLAIN} 41 00 0F 00 00",
    "X": f"{UNCHAINED}/00 00 00 00 00 40 05 0F FF/{PLAIN} 41 00 0F 00 00",
    "text": f"{TEXT_80}/00 00 00 00 00 10 0E 00 FF/{COLOURS} 04 00 0F 08 00",
}


def noise(name: str, length: int) -> bytes:
    return shake_128(name.encode()).digest(length)


class Both:
    """QEMU and a card, which get the same."""

    def __init__(self, folder: Path) -> None:
        self.qemu = QemuSystem()
        self.dump = folder / "dump.ppm"
        self.memory, self.text = bytearray(16 << 20), bytearray(0x20000)
        self.shown: list[Aperture] = []
        self.vga = Vga(
            Clock(), memory=memoryview(self.memory), text=memoryview(self.text), show=self.shown.append
        )  # fmt: skip

    def out(self, port: int, value: int, size: int = 1) -> None:
        self.qemu.write_port(port, size, value)
        (self.vga.vbe if port < 0x3B0 else self.vga).write(port - (0x1CE if port < 0x3B0 else 0x3B0), size, value)

    def reset_flip_flop(self, port: int = 0x3DA) -> None:
        self.qemu.read_port(port, 1)
        self.vga.read(port - 0x3B0, 1)

    def set(self, port: int, index: int, value: int) -> None:
        self.out(port, index)
        self.out(port + 1, value)

    def attribute(self, index: int, value: int) -> None:
        self.reset_flip_flop()
        for byte in (index, value, 0x20):
            self.out(0x3C0, byte)

    def vbe(self, index: int, value: int) -> None:
        self.out(0x1CE, index, 2)
        self.out(0x1CF, value, 2)

    def mode(self, name: str) -> None:
        """Set all registers, with the DAC full of noise."""
        self.vbe(4, 0)
        parts = [bytes.fromhex(part) for part in MODES[name].split("/")]
        levels = bytes(level & 0x3F for level in noise("dac", 768))
        for port, value in port_writes(ModeRegisters(80, 25, parts[0][0], *parts[1:], levels)):
            if value < 0:
                self.reset_flip_flop(port)
            else:
                self.out(port, value)

    def poke(self, address: int, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            self.qemu._ask(f"write {address + start:#x} {len(part):#x} 0x{part.hex()}")
        aperture, at = self.shown[-1], address - 0xA0000
        if aperture.kind == TEXT:
            self.text[at : at + len(data)] = data
        elif aperture.kind == LINEAR:
            place = aperture.offset + address - aperture.base
            self.memory[place : place + len(data)] = data
        else:
            for place, byte in enumerate(data):
                self.vga.window.write(at + place, 1, byte)

    def fill_planes(self) -> None:
        """Put noise into all four planes, leaving the registers of mode 12h."""
        self.mode("12h")
        for plane in range(4):
            self.set(0x3C4, 2, 1 << plane)
            self.poke(0xA0000, noise(f"plane {plane}", 0x10000))

    def pictures_are_equal(self, what: str) -> None:
        self.qemu._qmp("screendump", filename=str(self.dump))
        _, size, _, pixels = self.dump.read_bytes().split(b"\n", 3)
        picture = self.vga.picture()
        assert (picture.width, picture.height) == tuple(map(int, size.split())), what
        wrong = next((at // 3 for at in range(len(pixels)) if pixels[at] != picture.rgb[at]), None) if (
            pixels != picture.rgb
        ) else None  # fmt: skip
        assert wrong is None, f"{what}: pixel {wrong % picture.width}, {wrong // picture.width}"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    made = Both(tmp_path_factory.mktemp("vga"))
    with made.qemu:
        made.fill_planes()
        yield made


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "text"])
def test_a_graphics_mode_with_its_registers_turned(both: Both, mode: str) -> None:
    both.mode(mode)
    both.pictures_are_equal("as the BIOS sets it")
    steps = [
        ("start", [(0x3D4, 0x0C, 0x12), (0x3D4, 0x0D, 0x34)]),
        ("another pitch", [(0x3D4, 0x13, 0x20)]),
        ("split", [(0x3D4, 0x18, 0x55), (0x3D4, 0x07, both.vga.state().crtc[7] & 0xEF), (0x3D4, 0x09, 0x01)]),
        ("tall lines", [(0x3D4, 0x09, 0x83)]),
        ("rows in the address", [(0x3D4, 0x17, 0xE0)]),
        ("bit 0 of the row in the address", [(0x3D4, 0x17, 0xA2)]),
        ("bit 1 of the row in the address", [(0x3D4, 0x17, 0xE1)]),
        ("half the clock", [(0x3C4, 0x01, 0x09)]),
        ("pairs of bits", [(0x3CE, 0x05, 0x20)]),
        ("256 colours", [(0x3CE, 0x05, 0x40)]),
        ("planes", [(0x3CE, 0x05, 0x00)]),
        ("fewer lines", [(0x3D4, 0x12, 0x43)]),
    ]
    both.set(0x3D4, 0x11, 0x0C)
    both.attribute(0x12, 0x0F)  # QEMU takes planes away before it pairs bits, a VGA afterwards
    for number, (what, writes) in enumerate(steps):
        for port, index, value in writes:
            both.set(port, index, value)
        both.set(0x3D4, 0x0D, number)  # QEMU draws again what it thinks changed; a new start is such a reason
        both.pictures_are_equal(what)
    for index, value in ((0x12, 0x05), (0x14, 0x05), (0x10, 0x81), (0x03, 0x2A)):
        both.attribute(index, value)
        both.set(0x3D4, 0x0D, 0x80 + index)
        both.pictures_are_equal(f"attribute register {index:02X}h")
    both.reset_flip_flop()
    both.out(0x3C0, 0)
    both.pictures_are_equal("the screen off")


def test_text_with_fonts_cursor_and_widths(both: Both) -> None:
    """Characters B0h to BFh have no eighth pixel here: QEMU repeats it, the hardware does not."""
    both.mode("12h")
    both.set(0x3C4, 2, 0x04)
    font = bytearray(noise("font", 0x10000))
    for block in range(8):
        for at in range(0x2000 * block + 0xB0 * 32, 0x2000 * block + 0xC0 * 32):
            font[at] &= 0xFE
    both.poke(0xA0000, bytes(font))
    both.mode("text")
    both.poke(0xB8000, noise("text", 0x8000))
    both.pictures_are_equal("a font of our own")
    # QEMU draws again only what it thinks changed: a new font is such a reason, a new mode register is none.
    for what, fonts, writes in (
        ("a cursor", 0x00, [(0x3D4, 0x0E, 0x01), (0x3D4, 0x0F, 0x23)]),
        ("a cursor of two lines", 0x01, [(0x3D4, 0x0A, 0x02), (0x3D4, 0x0B, 0x03)]),
        ("a cursor past the end", 0x02, [(0x3D4, 0x0B, 0x1F)]),
        ("no cursor", 0x11, [(0x3D4, 0x0A, 0x22)]),
        ("two fonts", 0x35, []),
        ("other fonts", 0x2B, []),
        ("scrolled", 0x04, [(0x3D4, 0x0C, 0x05)]),
        ("8 pixels wide", 0x05, [(0x3C4, 0x01, 0x01)]),
        ("8 lines high", 0x06, [(0x3D4, 0x09, 0x47)]),
        ("doubled", 0x07, [(0x3C4, 0x01, 0x09)]),
    ):
        both.set(0x3C4, 0x03, fonts)
        for port, index, value in writes:
            both.set(port, index, value)
        both.pictures_are_equal(what)


@pytest.mark.parametrize(
    ("depth", "width", "height"),
    [(4, 640, 480), (8, 640, 480), (15, 320, 200), (16, 640, 480), (24, 320, 240), (32, 400, 300)],
)
def test_a_vbe_mode_with_a_virtual_screen(both: Both, depth: int, width: int, height: int) -> None:
    both.mode("13h")
    for index, value in ((1, width), (2, height), (3, depth), (4, 0x41)):
        both.vbe(index, value)
    if depth == 4:
        both.set(0x3C4, 2, 0x0F)
    for bank in range(0 if depth == 4 else 3):
        both.vbe(5, bank)
        both.poke(0xA0000, noise(f"bank {bank}", 0x10000))
    both.pictures_are_equal(f"{depth} bits")
    both.vbe(6, width + 64)
    both.pictures_are_equal("a wider virtual screen")
    both.vbe(8, 37)
    both.vbe(9, 11)
    both.pictures_are_equal("moved")
    both.vbe(4, 0)


def test_eight_bit_levels(both: Both) -> None:
    both.mode("13h")
    for index, value in ((1, 320), (2, 200), (3, 8), (4, 0x61)):
        both.vbe(index, value)
    both.poke(0xA0000, noise("picture", 320 * 200))
    both.out(0x3C8, 0)
    for level in noise("levels", 768):
        both.out(0x3C9, level)
    both.pictures_are_equal("8 bits")
    both.vbe(4, 0)


def test_vbe_registers_correct_themselves_alike(both: Both) -> None:
    """BANK is left out: QEMU shows the old number while bank 0 is in force."""
    values = (0, 1, 7, 8, 15, 16, 24, 32, 100, 640, 800, 4000, 9000, 16001, 0xFFFF, 0x41, 0xC1, 0x43, 0xB0C3)
    drawn = noise("registers", 600)
    for number, value in zip(drawn[::2], drawn[1::2], strict=True):
        both.vbe(number % 12, values[value % len(values)])
        for index in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11):
            both.out(0x1CE, index, 2)
            assert both.vga.vbe.read(1, 2) == both.qemu.read_port(0x1CF, 2), f"register {index:X}h"
    both.vbe(4, 0)
