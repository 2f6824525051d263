"""What the debugger says of the VGA and of the VBE extension."""

import pytest

from minivm.core.clock import Clock
from minivm.core.describe import Access, sentence
from minivm.devices.registers import vbe, vga
from minivm.devices.vga.card import Vga


def card() -> Vga:
    return Vga(
        Clock(), memory=memoryview(bytearray(0x100000)), text=memoryview(bytearray(0x20000)), show=lambda _: None
    )  # fmt: skip


@pytest.mark.parametrize(
    ("port", "index", "value", "words"),
    [
        (0x3C4, 2, 0x06, "planes 1 and 2 open to writing"),
        (0x3C4, 3, 0x24, "font 0, and 3 where bit 3 of an attribute is set"),
        (0x3C4, 4, 0x0E, "four pixels an offset (chain-4), every address is an offset of all planes, 256 KiB"),
        (0x3CE, 3, 0x13, "OR with the latches, rotated right by 3"),
        (0x3CE, 5, 0x4A, "256 colours, read mode 1, write mode 2"),
        (0x3CE, 8, 0x0F, "bits 0Fh from the data, the others from the latches"),
        (0x3D4, 0x17, 0xA2, "retraces on, bit 0 of the row is in the address (CGA)"),
    ],
)
def test_a_graphics_register_is_told_in_words(port: int, index: int, value: int, words: str) -> None:
    chip = card()
    chip.write(port - 0x3B0, 1, index)
    description, access = vga.describe("the VGA"), Access(port + 1 - 0x3B0, True, value)
    register = description.find(access, chip.state())
    assert register is not None
    assert sentence(register, value, chip.state()) == words


@pytest.mark.parametrize(
    ("index", "value", "words"),
    [
        (0, 0xB0C5, "value 45253"),
        (3, 24, "24 bits a pixel"),
        (4, 0xE1, "VBE on, levels of eight bits, linear framebuffer, video memory kept"),
        (5, 3, "A0000h shows byte 30000h of video memory"),
        (10, 256, "16384 KiB of video memory"),
    ],
)
def test_a_vbe_register_is_told_in_words(index: int, value: int, words: str) -> None:
    chip = card()
    chip.vbe.write(0, 2, index)
    register = vbe.describe("VBE").find(Access(1, True, value), chip.vbe.state())
    assert register is not None
    assert sentence(register, value, chip.vbe.state()) == words


def test_the_vbe_index_says_what_it_chooses() -> None:
    description = vbe.describe("VBE")
    register = description.find(Access(0, True, 4))
    assert register is not None
    assert sentence(register, 4) == "chooses VBE enable"
    assert sentence(register, 11) == "nothing there"
    assert description.find(Access(1, True, 4)) is None, "without the state nobody knows which"


def test_facts_name_the_kind_of_mode() -> None:
    chip = card()
    words = vga.describe("the VGA").facts
    assert words is not None
    assert words(chip.state(), 0)[0].startswith("A text mode of 80 columns and 25 rows")
    chip.write(0x1E, 2, 0x0506)
    chip.write(0x1E, 2, 0x4005)
    chip.write(0x24, 2, 0x4109)
    chip.write(0x24, 2, 0x1234 & 0xFF00 | 0x0C)
    assert words(chip.state(), 0) == [
        "A graphics mode of 320 x 200 pixels in 256 colours.",
        "The picture begins at byte 18432 of video memory.",
    ]
    for index, value in ((1, 640), (2, 480), (3, 16), (4, 0x41), (9, 2)):
        chip.vbe.write(0, 2, index)
        chip.vbe.write(1, 2, value)
    assert words(chip.state(), 0)[0] == "A VBE mode of 640 x 480 pixels with 16 bits each."
    facts = vbe.describe("VBE").facts
    assert facts is not None
    assert facts(chip.vbe.state(), 0) == [
        "640 x 480 pixels of 16 bits, in lines of 1280 bytes.",
        "The picture begins at byte 2560 of video memory.",
    ]
