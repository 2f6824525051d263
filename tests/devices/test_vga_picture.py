"""The picture: against a model that computes one pixel at a time from the registers, and some by hand."""

import time
from hashlib import shake_128
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.picture import Picture
from minivm.core.record import replace
from minivm.core.vga_modes import ModeRegisters, port_writes
from minivm.devices.vga.card import Vga
from minivm.devices.vga.picture import picture_of
from minivm.devices.vga.state import VgaState

MEMORY_BYTES = 0x100000
DAC = shake_128(b"colours").digest(768).translate(bytes(number & 0x3F for number in range(256)))


def registers(text: str) -> ModeRegisters:
    """Return a mode from its registers in hex: miscellaneous / sequencer / CRTC / graphics / attribute."""
    miscellaneous, sequencer, crtc, graphics, attribute = (bytes.fromhex(part) for part in text.split("/"))
    return ModeRegisters(80, 25, miscellaneous[0], sequencer, crtc, graphics, attribute, DAC)


COLOURS = "00 01 02 03 04 05 14 07 38 39 3A 3B 3C 3D 3E 3F"
PLAIN = "00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F"
MODES = {
    name: registers(text)
    for name, text in {
        "04h": "63/03 09 03 00 02/2D 27 28 90 2B 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 14 00 96 B9 A2 FF"
        "/00 00 00 00 00 30 0F 00 FF/00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17 01 00 03 00 00",
        "06h": "63/03 01 01 00 06/5F 4F 50 82 54 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 28 00 96 B9 C2 FF"
        "/00 00 00 00 00 00 0D 00 FF/00 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 01 00 01 00 00",
        "0Dh": "63/03 09 0F 00 06/2D 27 28 90 2B 80 BF 1F 00 C0 00 00 00 00 00 00 9C 8E 8F 14 00 96 B9 E3 FF"
        f"/00 00 00 00 00 00 05 0F FF/{COLOURS} 01 00 0F 00 00",
        "0Eh": "63/03 01 0F 00 06/5F 4F 50 82 54 80 BF 1F 00 C0 00 00 00 00 00 00 9C 8E 8F 28 00 96 B9 E3 FF"
        f"/00 00 00 00 00 00 05 0F FF/{COLOURS} 01 00 0F 00 00",
        "10h": "A3/03 01 0F 00 06/5F 4F 50 82 54 80 BF 1F 00 40 00 00 00 00 00 00 83 85 5D 28 0F 63 BA E3 FF"
        f"/00 00 00 00 00 00 05 0F FF/{COLOURS} 01 00 0F 00 00",
        "11h": "E3/03 01 0F 00 06/5F 4F 50 82 54 80 0B 3E 00 40 00 00 00 00 00 00 EA 8C DF 28 00 E7 04 C3 FF"
        "/00 00 00 00 00 00 05 01 FF/00 3F 00 3F 00 3F 00 3F 00 3F 00 3F 00 3F 00 3F 01 00 0F 00 00",
        "12h": "E3/03 01 0F 00 06/5F 4F 50 82 54 80 0B 3E 00 40 00 00 00 00 00 00 EA 8C DF 28 00 E7 04 E3 FF"
        f"/00 00 00 00 00 00 05 0F FF/{COLOURS} 01 00 0F 00 00",
        "13h": "63/03 01 0F 00 0E/5F 4F 50 82 54 80 BF 1F 00 41 00 00 00 00 00 00 9C 8E 8F 28 40 96 B9 A3 FF"
        f"/00 00 00 00 00 40 05 0F FF/{PLAIN} 41 00 0F 00 00",
        "X": "E3/03 01 0F 00 06/5F 4F 50 82 54 80 0D 3E 00 41 00 00 00 00 00 00 EA AC DF 28 00 E7 06 E3 FF"
        f"/00 00 00 00 00 40 05 0F FF/{PLAIN} 41 00 0F 00 00",
        "text": "67/03 00 03 00 02/5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF"
        f"/00 00 00 00 00 10 0E 00 FF/{COLOURS} 0C 00 0F 08 00",
    }.items()
}
GRAPHICS = [name for name in MODES if name != "text"]
SIZES = {"0Dh": (640, 400), "0Eh": (640, 400), "10h": (640, 350), "11h": (640, 480), "12h": (640, 480), "X": (640, 480)}


class Screen:
    """A card whose registers are those of a mode, and its memory."""

    def __init__(self, mode: str) -> None:
        self.memory = bytearray(MEMORY_BYTES)
        self.text = bytearray(0x20000)
        self.vga = Vga(
            Clock(), memory=memoryview(self.memory), text=memoryview(self.text), show=lambda aperture: None
        )  # fmt: skip
        for port, value in port_writes(MODES[mode]):
            if value < 0:
                self.vga.read(port - 0x3B0, 1)
            else:
                self.vga.write(port - 0x3B0, 1, value)

    def set(self, port: int, index: int, value: int) -> None:
        self.vga.write(port - 0x3B0, 2, value << 8 | index)

    def attribute(self, index: int, value: int) -> None:
        self.vga.read(0x2A, 1)
        for byte in (index, value, 0x20):
            self.vga.write(0x10, 1, byte)

    def vbe(self, **numbers: int) -> None:
        indexes = {"width": 1, "height": 2, "depth": 3, "enable": 4, "bank": 5, "virtual": 6, "x": 8, "y": 9}
        for name, value in numbers.items():
            self.vga.vbe.write(0, 2, indexes[name])
            self.vga.vbe.write(1, 2, value)

    def state_with(self, changes: dict[str, dict[int, int]]) -> VgaState:
        """Return the card's state with some registers changed: {"crtc": {0x13: 40}}."""
        state = self.vga.state()
        for name, values in changes.items():
            block = bytearray(getattr(state, name))
            for index, value in values.items():
                block[index] = value
            state = replace(state, **{name: bytes(block)})
        return state


def colour(state: VgaState, number: int) -> tuple[int, ...]:
    """Return a DAC colour in eight bits, as QEMU widens it."""
    levels = state.dac[3 * (number & state.dac_mask) :][:3]
    return tuple(level << 2 | (level & 1) << 1 | level & 1 for level in levels)


class Model:
    """One pixel after the other out of a graphics mode."""

    def __init__(self, state: VgaState, memory: bytes) -> None:
        self.state, self.memory = state, memory
        crtc = state.crtc
        self.packed = bool(state.graphics[5] & 0x40)
        self.doubled = self.packed or bool(state.sequencer[1] & 8)
        self.columns = (crtc[1] + 1) * 8 // (2 if self.packed else 1)
        self.width = self.columns * (2 if self.doubled else 1)
        self.height = (crtc[0x12] | (crtc[7] & 2) << 7 | (crtc[7] & 0x40) << 3) + 1
        self.compare = crtc[0x18] | (crtc[7] & 0x10) << 4 | (crtc[9] & 0x40) << 3

    def lines(self) -> list[tuple[int, int]]:
        """Return for each line its first byte, and how far it is panned."""
        crtc, attribute = self.state.crtc, self.state.attribute
        start = ((crtc[0x0C] << 8 | crtc[0x0D]) + (crtc[8] >> 5 & 3)) * 4
        pan = (attribute[0x13] & 7) >> self.packed
        repeat = 1 + (crtc[9] >> 7)
        if crtc[0x17] & 1:
            repeat *= (crtc[9] & 0x1F) + 1
        found, row, shown = [], 0, 0
        for line in range(self.height):
            byte = start
            if not crtc[0x17] & 1:
                bit = 15 if crtc[0x17] & 0x40 else 14
                byte = byte & ~(1 << bit) | (row & 1) << bit
            if not crtc[0x17] & 2:
                byte = byte & ~(1 << 15) | (row >> 1 & 1) << 15
            found.append((byte, pan))
            shown += 1
            if shown == repeat:
                shown = 0
                moves = (crtc[0x17] & 1 or row & 1) and (crtc[0x17] & 2 or row & 2)
                start += crtc[0x13] * 8 if moves else 0
                row += 1
            if line == self.compare:
                start = 0
                pan = 0 if attribute[0x10] & 0x20 else pan
        return found

    def number(self, first: int, column: int) -> int:
        """Return the number of the colour that a column shows of a line."""
        if self.packed:
            return self.byte(first + column)
        dword = [self.byte(first + column // 8 * 4 + plane) for plane in range(4)]
        at = column % 8
        if self.state.graphics[5] & 0x20:
            shift = 6 - 2 * (at % 4)
            pixel = (dword[at // 4] >> shift & 3) | (dword[2 + at // 4] >> shift & 3) << 2
        else:
            pixel = sum((dword[plane] >> (7 - at) & 1) << plane for plane in range(4))
        attribute = self.state.attribute
        number = attribute[pixel & attribute[0x12]]
        if attribute[0x10] & 0x80:
            number = number & 0x0F | (attribute[0x14] & 3) << 4
        return number | (attribute[0x14] & 0x0C) << 4

    def byte(self, place: int) -> int:
        return self.memory[place % 0x40000]


MEMORY = shake_128(b"planes").digest(0x40000)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "crtc": st.dictionaries(
            st.sampled_from([0x01, 0x07, 0x08, 0x09, 0x0C, 0x0D, 0x12, 0x13, 0x17, 0x18]),
            st.integers(0, 255),
            max_size=5,
        ),
        "attribute": st.dictionaries(
            st.sampled_from([0x00, 0x07, 0x10, 0x12, 0x13, 0x14]), st.integers(0, 255), max_size=3
        ),
        "sequencer": st.dictionaries(st.just(1), st.sampled_from([0x01, 0x09]), max_size=1),
    },
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(GRAPHICS), CHANGES, st.randoms(use_true_random=False))
def test_every_pixel_is_the_models(mode: str, changes: dict[str, dict[int, int]], chance: Any) -> None:
    if 0x17 in changes.get("crtc", {}):
        changes["crtc"][0x17] &= 0xEB  # no vertical doubling, which has a test of its own
    state = Screen(mode).state_with(changes)
    model = Model(state, MEMORY)
    picture = picture_of(state, memoryview(MEMORY.ljust(MEMORY_BYTES, b"\x5a")))
    assert (picture.width, picture.height) == (model.width, model.height)
    lines = model.lines()
    for _ in range(150):
        x, y = chance.randrange(model.width), chance.randrange(model.height)
        first, pan = lines[y]
        expected = colour(state, model.number(first, x // (2 if model.doubled else 1) + pan))
        assert picture.pixel(x, y) == expected, f"pixel {x}, {y}"


# -- by hand -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", GRAPHICS)
def test_a_mode_has_the_size_that_qemu_dumps(mode: str) -> None:
    picture = Screen(mode).vga.picture()
    assert (picture.width, picture.height) == SIZES.get(mode, (640, 400))


def test_panning_moves_the_picture_left_by_pixels() -> None:
    screen = Screen("12h")
    screen.memory[4:8] = b"\x01\0\0\0"
    assert screen.vga.picture().pixel(15, 0) == colour(screen.vga.state(), 1)
    screen.attribute(0x13, 3)
    picture = screen.vga.picture()
    assert picture.pixel(12, 0) == colour(screen.vga.state(), 1)
    assert picture.pixel(15, 0) == colour(screen.vga.state(), 0)


def test_the_split_keeps_the_panning_unless_the_mode_register_says_so() -> None:
    screen = texts(b"\xff" + b"\x00" * 79 + b"\xff")
    screen.set(0x3D4, 0x07, 0x0F)
    screen.set(0x3D4, 0x09, 0x0F)
    screen.set(0x3D4, 0x18, 15)
    screen.attribute(0x13, 3)
    state = screen.vga.state()
    assert bits(screen.vga.picture(), state, 0, 16) == "####....."
    screen.attribute(0x10, 0x2C)
    assert bits(screen.vga.picture(), state, 0, 16) == "########."
    assert bits(screen.vga.picture(), state, 0, 0) == "####....."


def test_below_the_split_nothing_is_panned_when_the_mode_register_says_so() -> None:
    screen = Screen("X")
    screen.memory[:8] = bytes(range(1, 9))
    screen.set(0x3D4, 0x07, 0x2E)
    screen.set(0x3D4, 0x09, 0x01)
    screen.set(0x3D4, 0x18, 99)
    screen.attribute(0x13, 2)
    state = screen.vga.state()
    picture = screen.vga.picture()
    assert [picture.pixel(0, y) for y in (0, 100)] == [colour(state, 2)] * 2
    screen.attribute(0x10, 0x61)
    picture = screen.vga.picture()
    assert [picture.pixel(0, y) for y in (0, 99, 100)] == [colour(state, 2), colour(state, 0), colour(state, 1)]


def test_the_picture_goes_round_after_256_kib() -> None:
    screen = Screen("X")
    screen.memory[0x3FFFC:0x40004] = b"\1\1\1\1\7\7\7\7"
    screen.memory[0:4] = b"\2\2\2\2"
    screen.set(0x3D4, 0x0C, 0xFF)
    screen.set(0x3D4, 0x0D, 0xFF)
    picture, state = screen.vga.picture(), screen.vga.state()
    assert (picture.pixel(0, 0), picture.pixel(8, 0)) == (colour(state, 1), colour(state, 2))


def test_the_pel_mask_chooses_among_the_dacs_colours() -> None:
    screen = Screen("13h")
    screen.memory[0] = 0x5A
    screen.vga.write(0x16, 1, 0x0F)
    assert screen.vga.picture().pixel(0, 0) == colour(screen.vga.state(), 0x0A)


@pytest.mark.parametrize("mode", MODES)
def test_a_screen_that_is_off_is_black_and_keeps_its_size(mode: str) -> None:
    screen = Screen(mode)
    screen.memory[:] = b"\xff" * MEMORY_BYTES
    size = screen.vga.picture().width, screen.vga.picture().height
    screen.set(0x3C4, 0x01, MODES[mode].sequencer[1] | 0x20)
    off = screen.vga.picture()
    assert (off.width, off.height) == size
    assert not any(off.rgb)
    assert screen.vga.blanked


def test_the_clock_of_a_line_counter_by_two_doubles_the_lines() -> None:
    screen = Screen("13h")
    screen.set(0x3D4, 0x17, 0xA7)
    assert screen.vga.picture().height == 800


# -- text --------------------------------------------------------------------------------------------------------------
def texts(characters: bytes = b"", attribute: int = 0x1F) -> Screen:
    """Return a screen in mode 3 whose font has in line n of character c the byte c + n, and no cursor."""
    screen = Screen("text")
    for character in range(256):
        for line in range(32):
            screen.memory[4 * (32 * character + line) + 2] = character + line & 0xFF
    screen.set(0x3D4, 0x0A, 0x20)
    for place, character in enumerate(characters):
        screen.text[0x18000 + 2 * place : 0x18002 + 2 * place] = bytes([character, attribute])
    return screen


def bits(picture: Picture, state: VgaState, column: int, row: int, width: int = 9, ink: int = 0x3F) -> str:
    pixels = (picture.pixel(width * column + at, row) for at in range(width))
    return "".join("#" if pixel == colour(state, ink) else "." for pixel in pixels)


def test_a_character_is_eight_pixels_and_a_gap() -> None:
    screen = texts(b"\x81\xc3")
    picture, state = screen.vga.picture(), screen.vga.state()
    assert (picture.width, picture.height) == (720, 400)
    assert bits(picture, state, 0, 0) == "#......#."
    assert bits(picture, state, 1, 0) == "##....###", "C3h is a line character: its eighth pixel goes on"
    assert bits(picture, state, 0, 2) == "#.....##."
    assert picture.pixel(8, 0) == colour(state, 1)
    screen.attribute(0x10, 0x08)
    assert bits(screen.vga.picture(), state, 1, 0) == "##....##."


def test_characters_can_be_eight_or_sixteen_pixels_wide() -> None:
    screen = texts(b"\x81\xc3")
    screen.set(0x3C4, 0x01, 0x01)
    assert bits(screen.vga.picture(), screen.vga.state(), 1, 0, 8) == "##....##"
    screen.set(0x3C4, 0x01, 0x08)
    assert bits(screen.vga.picture(), screen.vga.state(), 0, 0, 16) == "##............##"


def test_bit_3_of_an_attribute_chooses_the_other_font() -> None:
    screen = texts(b"\x01", 0x0F)
    screen.memory[4 * (0x2000 + 32) + 2] = 0xFF  # block 4 of the eight, 8 KiB on
    screen.set(0x3C4, 0x03, 0x20)
    assert bits(screen.vga.picture(), screen.vga.state(), 0, 0) == "########."
    screen.text[0x18001] = 0x07
    assert bits(screen.vga.picture(), screen.vga.state(), 0, 0, ink=0x07) == ".......#."


def test_the_cursor_fills_lines_of_its_character_in_its_colour() -> None:
    screen = texts(b"\x80\x80")
    screen.set(0x3D4, 0x0A, 4)
    screen.set(0x3D4, 0x0B, 6)
    screen.set(0x3D4, 0x0F, 1)
    picture, state = screen.vga.picture(), screen.vga.state()
    assert [bits(picture, state, 1, line) == "#" * 9 for line in range(2, 9)] == [0, 0, 1, 1, 1, 0, 0]
    assert bits(picture, state, 0, 5) == "#....#.#."


def test_bit_7_blinks_or_brightens_the_background() -> None:
    screen = texts(b"\x00", 0x9F)
    assert screen.vga.picture().pixel(0, 0) == colour(screen.vga.state(), 0x01)
    screen.attribute(0x10, 0x04)
    assert screen.vga.picture().pixel(0, 0) == colour(screen.vga.state(), 0x39)


def test_underlined_characters_have_a_full_line() -> None:
    screen = texts(b"\x00\x00", 0x07)
    screen.text[0x18003] = 0x01
    screen.set(0x3D4, 0x14, 12)
    picture, state = screen.vga.picture(), screen.vga.state()
    assert bits(picture, state, 1, 12, ink=0x01) == "#" * 9
    assert bits(picture, state, 0, 12, ink=0x07) == "....##..."


@pytest.mark.parametrize(("panning", "moved"), [(8, 0), (0, 1), (3, 4), (7, 8)])
def test_nine_pixel_characters_are_panned_from_8_on(panning: int, moved: int) -> None:
    screen = texts(b"\xff" + b"\x00" * 79 + b"\xff")
    screen.attribute(0x13, panning)
    shown = bits(screen.vga.picture(), screen.vga.state(), 0, 0)
    assert shown == ("########." + "." * 9)[moved : moved + 9]


def test_a_smooth_scroll_begins_in_the_middle_of_a_row_and_the_split_at_its_line() -> None:
    screen = texts(b"\x40")
    screen.text[0x18000 + 160] = 0x20
    screen.set(0x3D4, 0x08, 3)
    picture, state = screen.vga.picture(), screen.vga.state()
    assert bits(picture, state, 0, 0) == ".#....##."
    assert bits(picture, state, 0, 13, ink=0x3F) in {"..#......", "........."}
    screen.set(0x3D4, 0x07, 0x0F)
    screen.set(0x3D4, 0x09, 0x0F)
    screen.set(0x3D4, 0x18, 20)
    assert bits(screen.vga.picture(), state, 0, 21) == ".#.......", "line 0 of the first row again"


# -- VBE ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("depth", "data", "expected"),
    [
        (15, b"\x1f\x7c", (0xF8, 0, 0xF8)),
        (15, b"\xe0\x03", (0, 0xF8, 0)),
        (16, b"\x1f\xf8", (0xFF, 0, 0xFF)),
        (16, b"\xe0\x07", (0, 0xFF, 0)),
        (16, b"\x20\x04", (0, 0x86, 0)),
        (24, b"\x11\x22\x33", (0x33, 0x22, 0x11)),
        (32, b"\x11\x22\x33\x44", (0x33, 0x22, 0x11)),
    ],
)
def test_true_colours(depth: int, data: bytes, expected: tuple[int, int, int]) -> None:
    screen = Screen("13h")
    screen.vbe(width=320, height=200, depth=depth, enable=0x41, virtual=640, x=4, y=2)
    place = (2 * 640 + 4 + 5) * len(data)
    screen.memory[place : place + len(data)] = data
    picture = screen.vga.picture()
    assert (picture.width, picture.height) == (320, 200)
    assert picture.pixel(5, 0) == expected
    assert sum(picture.rgb) == sum(expected)


def test_eight_bits_a_pixel_with_six_and_eight_bit_colours() -> None:
    screen = Screen("13h")
    screen.vbe(width=640, height=480, depth=8, enable=0x41)
    screen.memory[640 * 480 - 1] = 9
    assert screen.vga.picture().pixel(639, 479) == colour(screen.vga.state(), 9)
    screen.vbe(enable=0x61)
    screen.vga.write(0x18, 1, 9)
    for level in (0x80, 0x41, 0xFE):
        screen.vga.write(0x19, 1, level)
    assert screen.vga.picture().pixel(639, 479) == (0x80, 0x41, 0xFE)


def test_four_bits_a_pixel_are_planes() -> None:
    screen = Screen("12h")
    screen.vbe(width=800, height=600, depth=4, enable=0x41)
    screen.memory[400:404] = b"\x80\x00\x80\x00"
    picture = screen.vga.picture()
    assert (picture.width, picture.height) == (800, 600)
    assert picture.pixel(0, 1) == colour(screen.vga.state(), 5)


# -- speed -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("mode", "limit_ms"), [("12h", 40), ("13h", 15), ("04h", 20), ("text", 60)])
def test_a_picture_is_quick(mode: str, limit_ms: float) -> None:
    screen = Screen(mode)
    screen.memory[:0x40000] = MEMORY
    screen.vga.picture()
    best = min(_seconds(screen) for _ in range(3))
    assert best < limit_ms / 1000


def _seconds(screen: Screen) -> float:
    begin = time.perf_counter()
    screen.vga.picture()
    return time.perf_counter() - begin
