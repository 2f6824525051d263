"""INT 10h in graphics modes, on the real card: what a monitor shows of it."""

import pytest

from minivm.core.vga_modes import MODE_REGISTERS

GRAPHICS = [mode for mode, registers in MODE_REGISTERS.items() if registers.layout != "text"]
SIXTEEN = [0x0D, 0x0E, 0x10, 0x12]
SIZES = {
    4: (320, 200), 5: (320, 200), 6: (640, 200), 0x0D: (320, 200), 0x0E: (640, 200), 0x0F: (640, 350),
    0x10: (640, 350), 0x11: (640, 480), 0x12: (640, 480), 0x13: (320, 200),
}  # fmt: skip
WHITE, BLACK, RED, BLUE = (0x3F, 0x3F, 0x3F), (0, 0, 0), (0x2A, 0, 0), (0, 0, 0x2A)


def put(pc, x, y, colour, page=0):
    pc.video(0x0C00 | colour, bx=page << 8, cx=x, dx=y)


def get(pc, x, y, page=0):
    return pc.video(0x0D00, bx=page << 8, cx=x, dx=y).al


def lit(pc):
    """Return every place that is not black, as the CPU's mode counts pixels."""
    picture = pc.card.picture()
    width, height = SIZES[pc.memory[0x449][0]]
    wide, high = picture.width // width, picture.height // height
    places = set()
    for y in range(height):
        row = picture.rgb[3 * y * high * picture.width :][: 3 * picture.width]
        if any(row):
            places |= {(x, y) for x in range(width) if any(row[3 * x * wide :][:3])}
    return places


@pytest.mark.parametrize("mode", GRAPHICS)
def test_a_mode_programs_the_card_as_its_table_says(flat_pc, mode):
    flat_pc.video(mode)
    wanted, state = MODE_REGISTERS[mode], flat_pc.card.state()
    assert (state.miscellaneous, state.crtc, state.sequencer) == (wanted.miscellaneous, wanted.crtc, wanted.sequencer)
    assert (state.graphics, state.attribute) == (wanted.graphics, wanted.attribute)
    assert state.dac[: len(wanted.dac)] == wanted.dac
    assert not state.blanked


@pytest.mark.parametrize("mode", GRAPHICS)
def test_the_data_area_describes_the_mode(pc, mode):
    pc.video(mode)
    wanted = MODE_REGISTERS[mode]
    assert pc.cpu.al == (0x3F if mode == 6 else 0x20 if mode > 7 else 0x30)
    assert pc.video(0x0F00).ax == wanted.columns << 8 | mode
    assert pc.memory.read(0x44C, 2) == (wanted.page_bytes & 0xFFFF).to_bytes(2, "little")
    assert pc.memory.read(0x484, 2) == bytes([wanted.rows - 1, wanted.character_height])


@pytest.mark.parametrize("mode", GRAPHICS)
def test_a_mode_clears_the_screen_unless_bit_7_is_set(pc, mode):
    pc.video(mode)
    put(pc, 100, 50, 1)
    assert lit(pc) == {(100, 50)}
    pc.video(mode | 0x80)
    assert lit(pc) == {(100, 50)}
    pc.video(mode)
    assert lit(pc) == set()


@pytest.mark.parametrize("mode", GRAPHICS)
def test_a_pixel_written_is_read_back_and_shows_in_its_place(pc, mode):
    pc.video(mode)
    width, height = SIZES[mode]
    most = min((1 << MODE_REGISTERS[mode].bits) - 1, 15)
    places = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (131, 77)]
    for x, y in places:
        put(pc, x, y, most)
        assert get(pc, x, y) == most
    assert get(pc, 132, 77) == 0
    assert get(pc, 130, 77) == 0
    assert lit(pc) == set(places)


@pytest.mark.parametrize("mode", GRAPHICS)
def test_bit_7_of_a_pixel_is_an_exclusive_or_except_in_256_colours(pc, mode):
    pc.video(mode)
    put(pc, 9, 9, 1)
    put(pc, 9, 9, 0x81)
    assert get(pc, 9, 9) == (0x81 if mode == 0x13 else 0)


def test_a_pixel_replaces_the_old_colour_and_leaves_its_neighbours(pc):
    for mode in GRAPHICS:
        pc.video(mode)
        most = min((1 << MODE_REGISTERS[mode].bits) - 1, 15)
        for x in (7, 8, 9):
            put(pc, x, 3, most)
        put(pc, 8, 3, 0)
        assert [get(pc, x, 3) for x in (7, 8, 9)] == [most, 0, most]


def test_a_place_off_the_screen_changes_nothing(flat_pc):
    for mode in GRAPHICS:
        flat_pc.video(mode)
        put(flat_pc, 640, 0, 1)
        put(flat_pc, 0, 480, 1)
        put(flat_pc, 0xFFFF, 0xFFFF, 1)
        assert lit(flat_pc) == set()


@pytest.mark.parametrize("mode", SIXTEEN)
def test_sixteen_colours_are_those_of_the_cga(flat_pc, mode):
    flat_pc.video(mode)
    for colour, seen in ((4, RED), (1, BLUE), (15, WHITE), (6, (0x2A, 0x15, 0))):
        put(flat_pc, 0, 0, colour)
        assert flat_pc.pixel(0, 0) == seen


def test_pages_keep_their_pixels(pc):
    pc.video(0x0D)
    put(pc, 5, 5, 2, page=3)
    assert (get(pc, 5, 5, page=3), get(pc, 5, 5)) == (2, 0)
    pc.video(0x0503)
    assert lit(pc) == {(5, 5)}
    assert pc.video(0x0F00).bh == 3


@pytest.mark.parametrize("mode", GRAPHICS)
def test_a_character_is_drawn_from_the_font_and_read_back(pc, mode):
    pc.video(mode)
    pc.video(0x0200, bx=0, dx=0x0203)
    pc.video(0x0941, bx=1, cx=2)
    height = MODE_REGISTERS[mode].character_height
    far = pc.space.load(4 * 0x43, 4)
    glyph = pc.space.load_bytes((far >> 16 << 4) + (far & 0xFFFF) + height * 0x41, height)
    assert any(glyph)
    wanted = {
        (8 * cell + x, 2 * height + y)
        for cell in (3, 4) for y in range(height) for x in range(8) if glyph[y] & 0x80 >> x
    }  # fmt: skip
    assert lit(pc) == wanted
    assert pc.video(0x0800, bx=0).al == 0x41


@pytest.mark.parametrize("mode", GRAPHICS)
def test_the_whole_code_page_can_be_drawn(flat_pc, mode):
    flat_pc.video(mode)
    flat_pc.video(0x09DB, bx=1, cx=1)  # a full block
    assert lit(flat_pc) == {(x, y) for x in range(8) for y in range(MODE_REGISTERS[mode].character_height)}
    assert flat_pc.video(0x0800, bx=0).al == 0xDB


@pytest.mark.parametrize("mode", [4, 6, 0x12, 0x13])
def test_teletype_writes_the_colour_in_bl_and_scrolls(pc, mode):
    pc.video(mode)
    rows = MODE_REGISTERS[mode].rows
    for text in ("A\r\n", *["B\r\n"] * (rows - 1), "C"):
        for character in text:
            pc.video(0x0E00 | ord(character), bx=1)
    pc.video(0x0200, bx=0, dx=0)
    assert pc.video(0x0800, bx=0).al == ord("B")
    pc.video(0x0200, bx=0, dx=rows - 1 << 8)
    assert pc.video(0x0800, bx=0).al == ord("C")
    pc.video(0x0200, bx=0, dx=rows - 2 << 8)
    assert pc.video(0x0800, bx=0).al == ord("B")


def test_a_character_with_bit_7_is_mixed_in(pc):
    pc.video(0x12)
    pc.video(0x0941, bx=0x0F, cx=1)
    pc.video(0x0941, bx=0x8F, cx=1)
    assert lit(pc) == set()


@pytest.mark.parametrize("mode", [5, 6, 0x10, 0x13])
@pytest.mark.parametrize("up", [True, False])
def test_scrolling_moves_a_window_of_the_picture(pc, mode, up):
    pc.video(mode)
    height = MODE_REGISTERS[mode].character_height
    inside, outside = (17, 4 * height + 1), (7, 4 * height + 1)
    for place in (inside, outside):
        put(pc, *place, 1)
    pc.video(0x0602 if up else 0x0702, bx=0, cx=0x0202, dx=0x0808)
    moved = (17, (2 if up else 6) * height + 1)
    assert lit(pc) == {moved, outside}
    pc.video(0x0600, bx=0x0100, cx=0x0202, dx=0x0202)
    assert {(x, y) for x, y in lit(pc) if y // height == 2 and 16 <= x < 24} == {
        (x, y) for x in range(16, 24) for y in range(2 * height, 3 * height)
    }


def test_the_upper_half_of_a_cga_font_comes_from_int_1fh(pc):
    pc.video(0x04)
    pc.memory.write(0x5000, bytes([0x81] * 8))
    pc.video(0x1120, es=0, bp=0x5000)
    pc.video(0x0980, bx=3, cx=1)
    assert lit(pc) == {(x, y) for x in (0, 7) for y in range(8)}


def test_a_font_of_the_callers_serves_a_graphics_mode(pc):
    pc.video(0x12)
    pc.memory.write(0x5000 + 8 * 0x41, bytes([0x80] * 8))
    pc.video(0x1121, es=0, bp=0x5000, bx=0, cx=8, dx=60)
    assert pc.memory.read(0x484, 2) == bytes([59, 8])
    pc.video(0x0941, bx=7, cx=1)
    assert lit(pc) == {(0, y) for y in range(8)}


@pytest.mark.parametrize(("function", "height"), [(0x22, 14), (0x23, 8), (0x24, 16)])
def test_a_rom_font_serves_a_graphics_mode(flat_pc, function, height):
    flat_pc.video(0x12)
    flat_pc.video(0x1100 | function, bx=2)
    assert flat_pc.memory.read(0x484, 2) == bytes([24, height])
    flat_pc.video(0x1130, bx=0x0100)
    assert flat_pc.cpu.cx == height


@pytest.mark.parametrize("colours", [0, 1])
def test_the_cga_has_two_palettes_and_a_background(flat_pc, colours):
    flat_pc.video(0x04)
    flat_pc.video(0x0B00, bx=0x0100 | colours)
    flat_pc.video(0x0B00, bx=0x0001)
    for number in (1, 2, 3):
        put(flat_pc, number, 0, number)
    seen = [flat_pc.pixel(x * flat_pc.card.picture().width // 320, 0) for x in range(4)]
    green_red_brown = [(0, 0x2A, 0), (0x2A, 0, 0), (0x2A, 0x15, 0)]
    cyan_magenta_grey = [(0, 0x2A, 0x2A), (0x2A, 0, 0x2A), (0x2A, 0x2A, 0x2A)]
    assert seen == [BLUE, *(cyan_magenta_grey if colours else green_red_brown)]


def test_the_background_may_be_bright(flat_pc):
    flat_pc.video(0x04)
    flat_pc.video(0x0B00, bx=0x0009)
    assert flat_pc.pixel(0, 0) == (0x15, 0x15, 0x3F)


def test_a_framebuffer_over_ram_leaves_the_ram_alone(flat_pc):
    flat_pc.pci.registers[0x10] = 0x0010_0008
    flat_pc.memory.write(0x100000, b"\xa5" * 0x10000)
    flat_pc.video(0x12)
    put(flat_pc, 1, 1, 15)
    assert lit(flat_pc) == {(1, 1)}
    assert flat_pc.memory.read(0x100000, 0x10000) == b"\xa5" * 0x10000


def test_the_bridge_keeps_the_address_that_the_guest_has_written(flat_pc):
    flat_pc.ports.write(0xCF8, 4, 0x8000_1234)
    flat_pc.video(0x12)
    assert flat_pc.ports.read(0xCF8, 4) == 0x8000_1234


def test_text_mode_comes_back_with_its_font(pc):
    font = pc.card.state()
    assert font.sequencer[4] == 2
    shape = bytes(pc.memory.view[pc.memory.size + 4 * 32 * 0x41 + 2 :][: 4 * 16 : 4])
    assert any(shape)
    pc.video(0x12)
    pc.video(0x03)
    assert bytes(pc.memory.view[pc.memory.size + 4 * 32 * 0x41 + 2 :][: 4 * 16 : 4]) == shape
    pc.video(0x0E41, bx=7)
    assert pc.memory.read(0xB8000, 4) == b"A\x07 \x07"
    assert pc.card.screen().rows == 25


@pytest.mark.parametrize(("lines", "height", "rows"), [(0, 8, 25), (1, 14, 25), (2, 16, 25)])
def test_text_has_the_lines_that_were_selected(flat_pc, lines, height, rows):
    assert flat_pc.video(0x1200 | lines, bx=0x30).al == 0x12
    flat_pc.video(0x03)
    screen = flat_pc.card.screen()
    assert (screen.rows, screen.cell_height) == (rows, height)
    assert flat_pc.memory.read(0x484, 2) == bytes([rows - 1, height])


@pytest.mark.parametrize(("font", "rows"), [(0x11, 28), (0x12, 50), (0x14, 25)])
def test_a_smaller_font_makes_more_rows(flat_pc, font, rows):
    flat_pc.video(0x1100 | font, bx=0)
    assert flat_pc.card.screen().rows == rows
    assert flat_pc.memory.read(0x484, 1)[0] == rows - 1


def test_43_rows_fit_on_350_lines(flat_pc):
    flat_pc.video(0x1201, bx=0x30)
    flat_pc.video(0x03)
    flat_pc.video(0x1112, bx=0)
    assert flat_pc.card.screen().rows == 43


def test_greys_can_replace_the_colours_as_they_are_loaded(flat_pc):
    flat_pc.video(0x1200, bx=0x33)
    flat_pc.video(0x13)
    put(flat_pc, 0, 0, 4)
    red, green, blue = flat_pc.pixel(0, 0)
    assert red == green == blue > 0
    flat_pc.video(0x1010, bx=4, cx=0, dx=0x3F00)
    red, green, blue = flat_pc.pixel(0, 0)
    assert red == green == blue > 0


def test_the_screen_can_be_switched_off_and_on(flat_pc):
    flat_pc.video(0x1201, bx=0x36)
    assert flat_pc.card.blanked
    flat_pc.video(0x1200, bx=0x36)
    assert not flat_pc.card.blanked


def test_the_state_is_told_in_full(flat_pc):
    flat_pc.video(0x10)
    flat_pc.video(0x1B00, bx=0, es=0, di=0x5000)
    data = flat_pc.memory.read(0x5000, 64)
    assert data[0x04:0x09] == bytes([0x10, 80, 0, 0, 0x80])
    assert data[0x22:0x25] == bytes([25, 14, 0])
    assert data[0x27:0x2B] == bytes([16, 0, 2, 1])
    assert data[0x31] == 3
    table = flat_pc.space.load(0x5000, 4)
    static = flat_pc.space.load_bytes((table >> 16 << 4) + (table & 0xFFFF), 16)
    assert static[:4] == bytes([0xFF, 0xE0, 0x0F, 0])
    assert static[7] == 7


@pytest.mark.parametrize("parts", [1, 2, 4, 7])
def test_what_was_saved_comes_back(flat_pc, parts):
    flat_pc.video(0x13)
    blocks = flat_pc.video(0x1C00, cx=parts).bx
    assert flat_pc.cpu.al == 0x1C
    flat_pc.memory.write(0x5000, b"\xee" * 0x800)
    flat_pc.video(0x1C01, cx=parts, es=0, bx=0x5000)
    assert flat_pc.memory.read(0x5000 + 64 * blocks, 16) == b"\xee" * 16
    before, area = flat_pc.card.state(), flat_pc.memory.read(0x449, 0x1E)
    flat_pc.video(0x03)
    assert flat_pc.card.state() != before
    flat_pc.video(0x1C02, cx=parts, es=0, bx=0x5000)
    after = flat_pc.card.state()
    if parts & 1:
        assert (after.crtc, after.sequencer, after.graphics) == (before.crtc, before.sequencer, before.graphics)
        assert (after.attribute, after.miscellaneous) == (before.attribute, before.miscellaneous)
    if parts & 2:
        assert flat_pc.memory.read(0x449, 0x1E) == area
    if parts & 4:
        assert after.dac == before.dac
