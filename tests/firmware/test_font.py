"""The fonts of 8, 14 and 16 lines that the ROMs carry."""

import pytest

from minivm.core.cp437 import GLYPHS, encode
from minivm.firmware import build, font, rom, video_rom

HEIGHTS = [8, 14, 16]
EQUAL_BY_NATURE = [{0x00, 0x20, 0xFF}]
ARMS = {
    # The directions in which a frame's character goes on, as Unicode's names of U+2500-U+257F tell them
    "right": set("└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┌"),
    "left": set("┤╡╢╖╕╣╗╝╜╛┐┴┬─┼╩╦═╬╧╨╤╥╫╪┘"),
    "down": set("│┤╡╢╖╕╣║╗┐┬├┼╞╟╔╦╠╬╤╥╒╓╫╪┌⌠"),
    "up": set("│┤╡╢╣║╝╜╛└┴├┼╞╟╚╩╠╬╧╨╙╘╫╪┘⌡"),
}
DOUBLE_LEVEL_RIGHT, DOUBLE_LEVEL_LEFT = set("╞╚╔╩╦╠═╬╧╤╘╒╪"), set("╡╕╣╗╝╛╩╦═╬╧╤╪")
DOUBLE_UPRIGHT_DOWN, DOUBLE_UPRIGHT_UP = set("╢╖╣║╗╟╔╦╠╬╥╓╫"), set("╢╣║╝╜╟╚╩╠╬╨╙╫")
FRAMES = "".join(GLYPHS[0xB3:0xDB])


def dots(character: str, height: int) -> list[str]:
    """Return a character's lines as # and dots."""
    lines = font.glyph(encode(character)[0], height)
    return [f"{line:08b}".replace("0", ".").replace("1", "#") for line in lines]


def column(character: str, height: int, number: int) -> str:
    return "".join(line[number] for line in dots(character, height))


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_table_has_256_characters_of_its_height(height):
    assert len(font.table(height)) == 256 * height
    assert all(len(font.glyph(code, height)) == height for code in range(256))


@pytest.mark.parametrize("height", HEIGHTS)
def test_every_character_has_a_shape_of_its_own(height):
    codes: dict[bytes, set[int]] = {}
    for code in range(256):
        codes.setdefault(font.glyph(code, height), set()).add(code)
    assert [same for same in codes.values() if len(same) > 1] == EQUAL_BY_NATURE
    assert codes[bytes(height)] == {0x00, 0x20, 0xFF}


@pytest.mark.parametrize("height", [8, 16])
def test_the_drawings_are_characters_of_the_code_page_and_each_is_used(height):
    drawn = set(font._drawings(height))
    made_by_rule = set(GLYPHS[0xB0:0xE0]) | {" "}
    assert drawn <= set(GLYPHS) - made_by_rule


def test_the_shapes_stand_in_the_order_of_the_code_page():
    for code in range(256):
        drawing = font._drawings(16).get(GLYPHS[code])
        if drawing is not None:
            assert font.table(16)[16 * code :][:16] == bytes(drawing), GLYPHS[code]
    assert dots("L", 8)[0] == ".##....." and dots("L", 8)[6] == ".######."


@pytest.mark.parametrize("height", [8, 16])
def test_an_accent_leaves_its_letter_as_it_is_below(height):
    for character, letter in zip("äëöüàéñç", "aeouaenc", strict=True):
        body = slice(height * 5 // 16, height * 3 // 4)
        assert dots(character, height)[body] == dots(letter, height)[body], character
    assert not any(set(line) - {"."} for line in [dots("ä", height)[font._SIZES[height].small_top - 1]])


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_frame_reaches_exactly_the_edges_of_its_arms(height):
    for character in FRAMES:
        edges = {
            "right": column(character, height, 7),
            "left": column(character, height, 0),
            "up": dots(character, height)[0],
            "down": dots(character, height)[-1],
        }
        for direction, edge in edges.items():
            assert ("#" in edge) == (character in ARMS[direction]), (character, direction)


@pytest.mark.parametrize("height", HEIGHTS)
def test_frames_join_across_cells_with_single_and_double_lines(height):
    for character in FRAMES:
        if character in ARMS["right"]:
            like = "═" if character in DOUBLE_LEVEL_RIGHT else "─"
            assert column(character, height, 7) == column(like, height, 0), character
        if character in ARMS["left"]:
            like = "═" if character in DOUBLE_LEVEL_LEFT else "─"
            assert column(character, height, 0) == column(like, height, 7), character
        if character in ARMS["down"]:
            like = "║" if character in DOUBLE_UPRIGHT_DOWN else "│"
            assert dots(character, height)[-1] == dots(like, height)[0], character
        if character in ARMS["up"]:
            like = "║" if character in DOUBLE_UPRIGHT_UP else "│"
            assert dots(character, height)[0] == dots(like, height)[-1], character


def test_the_hardware_carries_every_arm_to_the_right_into_the_ninth_column():
    assert all(0xC0 <= code <= 0xDF for code in encode("".join(ARMS["right"])))


def test_the_gap_of_double_lines_stays_open_in_corners_and_crossings():
    assert dots("╬", 16) == [
        ".##..##.", ".##..##.", ".##..##.", ".##..##.", ".##..##.", "###..###", "###..###", "........",
        "........", "###..###", "###..###", ".##..##.", ".##..##.", ".##..##.", ".##..##.", ".##..##.",
    ]  # fmt: skip
    assert dots("╔", 8) == [
        "........",
        "........",
        ".#######",
        ".##.....",
        ".##..###",
        ".##..##.",
        ".##..##.",
        ".##..##.",
    ]
    assert dots("╤", 8) == [
        "........",
        "........",
        "########",
        "........",
        "########",
        "...##...",
        "...##...",
        "...##...",
    ]
    assert dots("╪", 8)[2:5] == ["########", "...##...", "########"]


@pytest.mark.parametrize("height", HEIGHTS)
def test_the_integrals_halves_join(height):
    assert dots("⌠", height)[-1] == dots("⌡", height)[0] == dots("│", height)[0]


@pytest.mark.parametrize("height", HEIGHTS)
def test_blocks_cover_whole_cells_and_exact_halves(height):
    full, none = "#" * 8, "." * 8
    assert dots("█", height) == [full] * height
    assert dots("▀", height) == [full] * (height // 2) + [none] * (height // 2)
    assert dots("▄", height) == [none] * (height // 2) + [full] * (height // 2)
    assert dots("▌", height) == ["####...."] * height
    assert dots("▐", height) == ["....####"] * height


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize(("shade", "of_eight"), [("░", 2), ("▒", 4), ("▓", 6)])
def test_shades_cover_a_quarter_half_and_three_quarters_and_go_on_below(height, shade, of_eight):
    lines = dots(shade, height)
    assert all(line.count("#") == of_eight for line in lines)
    assert all(above != below for above, below in zip(lines, lines[1:] + lines[:1], strict=True))


def test_the_font_of_14_loses_no_dot_of_a_letter_or_sign():
    for code in {*range(256)} - {*range(0xB0, 0xE0), *encode("◘◙⌠⌡")}:
        lines = font.glyph(code, 16)
        assert (lines[0], lines[-1]) == (0, 0), GLYPHS[code]


@pytest.mark.parametrize(("height", "base"), [(8, 6), (16, 11)])
def test_letters_and_digits_stand_on_the_base_line(height, base):
    for character in "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789abcdefhiklmnorstuvwxz":
        lines = dots(character, height)
        assert "#" in lines[base] and "#" not in "".join(lines[base + 1 :]), character


@pytest.mark.parametrize("bad", [".##.", "........#", ".##..xx."])
def test_a_misdrawn_line_is_refused(bad):
    with pytest.raises(ValueError, match=r"8 of # and \."):
        font._line(bad)


def test_the_roms_carry_these_fonts():
    image, card = rom.image(), video_rom.image()
    for height in HEIGHTS:
        table = font.table(height)
        place = getattr(rom.rom_map(image), f"font_8x{height}")
        assert image[place:][: len(table)] == table
        assert table in card
    assert image[0xFA6E:][:1024] == font.table(8)[:1024]


@pytest.mark.nasm
def test_the_shipped_video_rom_is_the_source_assembled():
    assert build.build_video_rom() == video_rom.image()
