"""INT 10h, from IBM's BIOS interface reference and Ralf Brown's list."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.core.vga_modes import MODE_REGISTERS

TEXT = 0xB8000


def write(pc, text, page=0):
    for character in text.encode("cp437"):
        pc.interrupt(0x10, ax=0x0E00 | character, bx=page << 8 | 7)


def cursor(pc, page=0):
    place = pc.interrupt(0x10, ax=0x0300, bx=page << 8).dx
    return place & 0xFF, place >> 8


def set_cursor(pc, column, row, page=0):
    pc.interrupt(0x10, ax=0x0200, bx=page << 8, dx=row << 8 | column)


def cell(pc, column, row, page=0):
    return pc.space.load(TEXT + page * 0x1000 + 2 * (row * 80 + column), 2)


def test_post_leaves_mode_3_with_a_blank_screen(pc):
    assert (pc.interrupt(0x10, ax=0x0F00).ax, pc.cpu.bh) == (0x5003, 0)
    assert pc.memory.read(TEXT, 4000) == b"\x20\x07" * 2000
    assert cursor(pc) == (0, 0)
    assert pc.cpu.cx == 0x0607


def test_teletype_writes_and_moves_on_and_keeps_the_attribute(pc):
    pc.space.store(TEXT + 2, 2, 0x1F20)
    write(pc, "Hi")
    assert (cell(pc, 0, 0), cell(pc, 1, 0)) == (0x0748, 0x1F69)
    assert cursor(pc) == (2, 0)


def test_teletype_moves_the_hardware_cursor(pc):
    write(pc, "Hello\n")
    assert pc.vga.crtc[0x0E] << 8 | pc.vga.crtc[0x0F] == 80 + 5


def test_teletype_knows_the_four_control_characters(pc):
    write(pc, "ab\bc\a\r\nd")
    assert pc.row(0).rstrip() == "ac"
    assert pc.row(1).rstrip() == "d"
    write(pc, "\r\b")
    assert cursor(pc) == (0, 1)


def test_teletype_in_the_last_column_goes_to_the_next_row(pc):
    set_cursor(pc, 79, 3)
    write(pc, "x")
    assert cell(pc, 79, 3) & 0xFF == ord("x")
    assert cursor(pc) == (0, 4)


def test_teletype_in_the_last_cell_scrolls_at_once(pc):
    write(pc, "top")
    set_cursor(pc, 79, 24)
    write(pc, "x")
    assert pc.row(0).strip() == ""
    assert cell(pc, 79, 23) & 0xFF == ord("x")
    assert cursor(pc) == (0, 24)


def test_line_feed_in_the_last_row_scrolls_and_keeps_the_column(pc):
    set_cursor(pc, 5, 24)
    write(pc, "ab\n")
    assert pc.row(23).strip() == "ab"
    assert cursor(pc) == (7, 24)


def test_the_row_that_scrolls_in_takes_the_attribute_under_the_cursor(pc):
    pc.space.store(TEXT + 2 * 24 * 80, 2, 0x4E20)
    set_cursor(pc, 0, 24)
    write(pc, "\n")
    assert cell(pc, 40, 24) == 0x4E20


def test_teletype_writes_to_the_active_page_whatever_bh_is(pc):
    pc.interrupt(0x10, ax=0x0E41, bx=0x9907)
    assert pc.row(0)[0] == "A"
    pc.interrupt(0x10, ax=0x0502)
    write(pc, "B")
    assert pc.row(0, page=2)[0] == "B"
    assert cursor(pc, 2) == (1, 0)
    assert cursor(pc, 0) == (1, 0)


def test_selecting_a_page_moves_the_display_and_shows_its_cursor(pc):
    set_cursor(pc, 3, 2, page=1)
    assert pc.vga.crtc[0x0E] << 8 | pc.vga.crtc[0x0F] == 0
    pc.interrupt(0x10, ax=0x0501)
    assert pc.vga.crtc[0x0C] << 8 | pc.vga.crtc[0x0D] == 0x800
    assert pc.vga.crtc[0x0E] << 8 | pc.vga.crtc[0x0F] == 0x800 + 163
    assert pc.interrupt(0x10, ax=0x0F00).bh == 1


def test_writing_cells_repeats_through_the_end_of_the_row_and_leaves_the_cursor(pc):
    set_cursor(pc, 78, 0)
    pc.interrupt(0x10, ax=0x092A, bx=0x004F, cx=5)
    assert [cell(pc, column, 0) for column in (77, 78, 79)] == [0x0720, 0x4F2A, 0x4F2A]
    assert [cell(pc, column, 1) for column in (0, 1, 2, 3)] == [0x4F2A, 0x4F2A, 0x4F2A, 0x0720]
    assert cursor(pc) == (78, 0)


def test_writing_cells_shows_control_characters_as_glyphs(pc):
    pc.interrupt(0x10, ax=0x090D, bx=0x07, cx=1)
    assert cell(pc, 0, 0) == 0x070D


def test_writing_characters_keeps_the_attributes(pc):
    pc.space.store(TEXT, 2, 0x1E20)
    pc.interrupt(0x10, ax=0x0A2B, bx=0x004F, cx=1)
    assert cell(pc, 0, 0) == 0x1E2B


def test_reading_a_cell_gives_attribute_and_character(pc):
    pc.space.store(TEXT + 0x1000 + 160, 2, 0x1E41)
    set_cursor(pc, 0, 1, page=1)
    assert pc.interrupt(0x10, ax=0x0800, bx=0x0100).ax == 0x1E41


def test_scrolling_zero_lines_clears_the_window_and_nothing_else(pc):
    for row in range(25):
        set_cursor(pc, 0, row)
        pc.interrupt(0x10, ax=0x0958, bx=7, cx=80)
    pc.interrupt(0x10, ax=0x0600, bx=0x1700, cx=0x0102, dx=0x0304)
    assert cell(pc, 2, 1) == 0x1720
    assert cell(pc, 4, 3) == 0x1720
    assert [cell(pc, *place) for place in ((1, 1), (5, 1), (2, 0), (2, 4))] == [0x0758] * 4


@pytest.mark.parametrize(("function", "kept"), [(6, ["1", "2", "3", " "]), (7, [" ", "0", "1", "2"])])
def test_scrolling_by_one_moves_the_window(pc, function, kept):
    for row in range(4):
        set_cursor(pc, 0, row)
        write(pc, str(row))
    pc.interrupt(0x10, ax=function << 8 | 1, bx=0x0700, cx=0, dx=0x034F)
    assert [pc.row(row)[0] for row in range(4)] == kept


def test_scrolling_by_more_than_the_window_clears_it(pc):
    write(pc, "abc")
    pc.interrupt(0x10, ax=0x0663, bx=0x0700, cx=0, dx=0x184F)
    assert pc.row(0).strip() == ""


def test_a_window_that_reaches_beyond_the_screen_is_cut_off(pc):
    pc.space.store(TEXT + 4000, 2, 0x1234)
    pc.interrupt(0x10, ax=0x0600, bx=0x1700, cx=0, dx=0xFFFF)
    assert cell(pc, 79, 24) == 0x1720
    assert pc.space.load(TEXT + 4000, 2) == 0x1234


def test_setting_a_mode_clears_the_screen_and_bit_7_keeps_it(pc):
    write(pc, "kept")
    pc.interrupt(0x10, ax=0x0083)
    assert pc.row(0).startswith("kept")
    assert pc.interrupt(0x10, ax=0x0F00).al == 0x83
    pc.interrupt(0x10, ax=0x0003)
    assert pc.row(0).strip() == ""
    assert pc.interrupt(0x10, ax=0x0F00).al == 0x03


def test_mode_1_has_forty_columns(pc):
    pc.interrupt(0x10, ax=0x0001)
    assert pc.interrupt(0x10, ax=0x0F00).ax == 0x2801
    write(pc, "x" * 41)
    assert cursor(pc) == (1, 1)


def test_mode_7_writes_to_b0000(pc):
    pc.interrupt(0x10, ax=0x0007)
    pc.interrupt(0x10, ax=0x0E41, bx=7)
    assert pc.memory.read(0xB0000, 2) == b"\x41\x07"


def test_setting_a_mode_programs_the_registers(pc):
    pc.interrupt(0x10, ax=0x0003)
    wanted = MODE_REGISTERS[3]
    assert bytes(pc.vga.crtc[:10]) == wanted.crtc[:10]
    assert bytes(pc.vga.attribute[: len(wanted.attribute)]) == wanted.attribute
    assert bytes(pc.vga.sequencer[:5]) == wanted.sequencer
    assert pc.vga.screen_on


def test_a_mode_that_is_not_there_changes_nothing_and_is_reported(pc):
    write(pc, "text")
    pc.interrupt(0x10, ax=0x0014)
    assert pc.interrupt(0x10, ax=0x0F00).al == 3
    assert pc.row(0).startswith("text")
    assert "INT 10h" in pc.trace[-1]


def test_an_unknown_function_changes_no_register(pc):
    before = pc.cpu.as_dict()
    after = pc.interrupt(0x10, ax=0x4F00, bx=1, cx=2, dx=3).as_dict()
    assert {name: after[name] for name in ("rax", "rbx", "rcx", "rdx")} == {
        "rax": 0x4F00, "rbx": 1, "rcx": 2, "rdx": 3,
    }  # fmt: skip
    assert before["rdi"] == after["rdi"]
    assert "4F00h" in pc.trace[-1]


def test_the_cursor_is_stretched_to_the_font(pc):
    assert (pc.vga.crtc[0x0A], pc.vga.crtc[0x0B]) == (13, 14)
    pc.interrupt(0x10, ax=0x0100, cx=0x0007)
    assert (pc.vga.crtc[0x0A], pc.vga.crtc[0x0B]) == (0, 15)
    pc.interrupt(0x10, ax=0x0100, cx=0x2607)
    assert pc.vga.crtc[0x0A] & 0x20
    assert pc.interrupt(0x10, ax=0x0300, bx=0).cx == 0x2607


def test_a_string_with_one_attribute_moves_the_cursor_on_request(pc):
    pc.memory.write(0x5000, b"one\r\ntwo")
    pc.interrupt(0x10, ax=0x1300, bx=0x001E, cx=8, dx=0x0203, bp=0x5000, es=0)
    assert cell(pc, 3, 2) == 0x1E6F
    assert pc.row(3)[:3] == "two"
    assert cursor(pc) == (0, 0)
    pc.interrupt(0x10, ax=0x1301, bx=0x001E, cx=8, dx=0x0203, bp=0x5000, es=0)
    assert cursor(pc) == (3, 3)


def test_a_string_may_bring_its_attributes(pc):
    pc.memory.write(0x5000, b"A\x11B\x22")
    pc.interrupt(0x10, ax=0x1303, bx=0x0007, cx=2, dx=0, bp=0x5000, es=0)
    assert (cell(pc, 0, 0), cell(pc, 1, 0)) == (0x1141, 0x2242)
    assert cursor(pc) == (2, 0)


def test_the_8x8_font_makes_fifty_rows(pc):
    pc.interrupt(0x10, ax=0x1112, bx=0)
    assert pc.memory.read(0x484, 3) == bytes([49, 8, 0])
    assert pc.vga.crtc[9] & 0x1F == 7
    set_cursor(pc, 0, 49)
    write(pc, "x\r\n")
    assert pc.row(48)[0] == "x"


def test_font_information_points_into_the_rom(pc):
    pc.interrupt(0x10, ax=0x1130, bx=0x0600)
    assert (pc.cpu.es, pc.cpu.es_base, pc.cpu.cx, pc.cpu.dl) == (0xF000, 0xF0000, 16, 24)
    letter = pc.memory.read(0xF0000 + pc.cpu.bp + 16 * ord("A"), 16)
    assert any(letter)
    pc.interrupt(0x10, ax=0x1130, bx=0x0300)
    whole = pc.memory.read(0xF0000 + pc.cpu.bp, 2048)
    assert whole[:1024] == pc.memory.read(0xFFA6E, 1024)
    pc.interrupt(0x10, ax=0x1130, bx=0x0400)
    assert whole[1024:] == pc.memory.read(0xF0000 + pc.cpu.bp, 1024)


def test_a_font_of_the_caller_reaches_plane_2(pc):
    pc.memory.write(0x5000, bytes(range(32)))
    pc.interrupt(0x10, ax=0x1100, bx=0x1000, cx=2, dx=65, bp=0x5000, es=0)
    assert pc.memory.read(0xA0000 + 65 * 32, 16) == bytes(range(16))
    assert pc.memory.read(0xA0000 + 66 * 32, 16) == bytes(range(16, 32))
    assert pc.vga.sequencer[2] == 3


def test_palette_registers_and_colours_can_be_set_and_read(pc):
    pc.interrupt(0x10, ax=0x1000, bx=0x2A05)
    assert pc.interrupt(0x10, ax=0x1007, bx=0x0005).bh == 0x2A
    pc.interrupt(0x10, ax=0x1010, bx=7, cx=0x1122, dx=0x3300)
    pc.interrupt(0x10, ax=0x1015, bx=7)
    assert (pc.cpu.dh, pc.cpu.ch, pc.cpu.cl) == (0x33, 0x11, 0x22)
    pc.memory.write(0x5000, bytes(range(6)))
    pc.interrupt(0x10, ax=0x1012, bx=10, cx=2, dx=0x5000, es=0)
    pc.interrupt(0x10, ax=0x1017, bx=10, cx=2, dx=0x6000, es=0)
    assert pc.memory.read(0x6000, 6) == bytes(range(6))


def test_seventeen_palette_registers_go_round_trip(pc):
    pc.memory.write(0x5000, bytes(range(17)))
    pc.interrupt(0x10, ax=0x1002, dx=0x5000, es=0)
    pc.interrupt(0x10, ax=0x1009, dx=0x6000, es=0)
    assert pc.memory.read(0x6000, 17) == bytes(range(17))
    assert pc.vga.screen_on


@pytest.mark.parametrize("blink", [0, 1])
def test_blinking_can_be_given_up_for_bright_backgrounds(pc, blink):
    pc.interrupt(0x10, ax=0x1003, bx=blink)
    assert pc.vga.attribute[0x10] >> 3 & 1 == blink
    assert pc.bda[0x65] >> 5 & 1 == blink


def test_a_vga_with_a_colour_screen_is_reported(pc):
    assert pc.interrupt(0x10, ax=0x1A00).bx == 0x0008
    assert pc.cpu.al == 0x1A
    pc.interrupt(0x10, ax=0x1200, bx=0xFF10, cx=0xFFFF)
    assert (pc.cpu.bx, pc.cpu.cx) == (0x0003, 0x0009)


def test_the_functionality_table_shows_the_current_mode(pc):
    pc.interrupt(0x10, ax=0x1B00, bx=0, di=0x5000, es=0)
    data = pc.memory.read(0x5000, 64)
    assert pc.cpu.al == 0x1B
    assert (data[4], data[5:7], data[0x22], data[0x23]) == (3, b"\x50\x00", 25, 16)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(st.tuples(*(st.integers(0, 0xFFFF) for _ in range(4)), st.integers(0, 0x2F)), min_size=1, max_size=8)
)
def test_no_call_raises_or_writes_outside_what_it_may(pc, calls):
    pc.memory.write(0x10000, b"\xa5" * 0x10000)
    for ax, bx, cx, dx, function in calls:
        cx = cx & 0x1FF if function == 0x13 else cx  # so many characters a string takes a while
        pc.interrupt(0x10, ax=function << 8 | ax & 0xFF, bx=bx, cx=cx, dx=dx, bp=dx, di=cx, es=0x7000)
    assert pc.memory.read(0x10000, 0x10000) == b"\xa5" * 0x10000
