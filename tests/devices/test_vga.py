"""The VGA's registers, text and timing, by the IBM PS/2 Hardware Interface Technical Reference and FreeVGA."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.vga_modes import MODE_REGISTERS, port_writes
from minivm.devices.vga.card import Vga

TEXT = 0x18000
MONO = 0x10000
FRAME_NS = 900 * 449 * 1_000_000_000 // 28_322_000


class Bench:
    """A VGA, its memory, and ports by their PC addresses."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.memory = bytearray(0x20000)
        self.apertures = []
        self.video = bytearray(0x100000)
        self.vga = Vga(
            self.clock, memory=memoryview(self.video), text=memoryview(self.memory), show=self.apertures.append
        )

    def read(self, port: int) -> int:
        return self.vga.read(port - 0x3B0, 1)

    def write(self, port: int, value: int) -> None:
        self.vga.write(port - 0x3B0, 1, value)

    def get(self, port: int, index: int) -> int:
        self.write(port, index)
        return self.read(port + 1)

    def set(self, port: int, index: int, value: int) -> None:
        self.write(port, index)
        self.write(port + 1, value)

    def crtc(self, index: int, value: int) -> None:
        self.set(0x3D4, index, value)

    def attribute(self, index: int, value: int) -> None:
        self.read(0x3DA)
        self.write(0x3C0, index)
        self.write(0x3C0, value)
        self.write(0x3C0, 0x20)

    def mode(self, number: int) -> None:
        for port, value in port_writes(MODE_REGISTERS[number]):
            if value < 0:
                self.read(port)
            else:
                self.write(port, value)

    def put(self, text: str, at: int = TEXT, attribute: int = 0x07) -> None:
        for place, character in enumerate(text.encode("ascii")):
            self.memory[at + 2 * place : at + 2 * place + 2] = bytes([character, attribute])


@pytest.fixture
def bench() -> Bench:
    return Bench()


# The screen


def test_power_on_is_mode_3(bench: Bench) -> None:
    screen = bench.vga.screen()
    assert (screen.columns, screen.rows, screen.cell_height, screen.blink_enabled) == (80, 25, 16, True)
    assert (screen.cursor_row, screen.cursor_column, screen.cursor_visible) == (0, 0, True)
    assert (screen.cursor_start, screen.cursor_end) == (13, 14)


def test_characters_and_attributes_come_from_b8000h(bench: Bench) -> None:
    bench.put("Hello", TEXT + 160, 0x4E)
    bench.put("not here", MONO)
    screen = bench.vga.screen()
    assert screen.text() == "\nHello"
    assert screen.attributes[80:85] == b"\x4e" * 5


@pytest.mark.parametrize(
    ("mode", "columns", "window"), [(0, 40, TEXT), (1, 40, TEXT), (2, 80, TEXT), (3, 80, TEXT), (7, 80, MONO)]
)
def test_the_standard_modes_are_set_by_their_ports(bench: Bench, mode: int, columns: int, window: int) -> None:
    bench.mode(mode)
    bench.put("mode", window)
    screen = bench.vga.screen()
    assert (screen.columns, screen.rows, screen.text()) == (columns, 25, "mode")
    bench.mode(3)
    assert bench.vga.screen().columns == 80


@pytest.mark.parametrize("mode", sorted(MODE_REGISTERS))
def test_a_mode_set_by_ports_reads_back_as_its_table(bench: Bench, mode: int) -> None:
    bench.mode(mode)
    registers = MODE_REGISTERS[mode]
    state = bench.vga.state()
    assert state.miscellaneous == registers.miscellaneous
    assert state.crtc == registers.crtc
    assert state.sequencer == registers.sequencer
    assert state.graphics == registers.graphics
    assert state.attribute == registers.attribute
    assert state.dac[: len(registers.dac)] == registers.dac


@pytest.mark.parametrize(
    ("max_scan_line", "display_end", "rows"), [(0x4F, 0x8F, 25), (0x4D, 0x87, 28), (0x47, 0x57, 43), (0x47, 0x8F, 50)]
)
def test_rows_follow_from_the_character_height(bench: Bench, max_scan_line: int, display_end: int, rows: int) -> None:
    bench.crtc(0x09, max_scan_line)
    bench.crtc(0x12, display_end)
    assert bench.vga.screen().rows == rows


def test_90_columns(bench: Bench) -> None:
    bench.crtc(0x11, 0x0E)
    bench.crtc(0x01, 89)
    bench.crtc(0x13, 45)
    bench.put("second row", TEXT + 180)
    screen = bench.vga.screen()
    assert screen.columns == 90
    assert screen.row(1) == "second row"


def test_doubled_scan_lines_halve_the_rows(bench: Bench) -> None:
    bench.crtc(0x09, 0xC7)
    screen = bench.vga.screen()
    assert (screen.rows, screen.cell_height) == (25, 8)


def test_the_start_address_scrolls(bench: Bench) -> None:
    bench.put("page 1", TEXT + 4096)
    bench.crtc(0x0C, 0x08)
    bench.crtc(0x0D, 0x00)
    assert bench.vga.screen().text() == "page 1"
    bench.crtc(0x0D, 0x05)
    assert bench.vga.screen().text() == "1"


def test_byte_panning_moves_the_start_on(bench: Bench) -> None:
    bench.put("abcdef")
    bench.crtc(0x08, 0x40)
    assert bench.vga.screen().text() == "cdef"


def test_the_offset_register_is_the_pitch(bench: Bench) -> None:
    bench.put("wide", TEXT + 256)
    bench.crtc(0x13, 64)
    assert bench.vga.screen().row(1) == "wide"


def test_the_screen_goes_on_behind_the_window_and_round_after_64_ki_characters(bench: Bench) -> None:
    bench.put("top")
    bench.put("end.", TEXT + 0x8000 - 8)
    bench.video[4 * 0x4000 : 4 * 0x4006 : 4] = b"behind"
    bench.video[4 * 0xFFFE : 4 * 0x10000 : 4] = b"at"
    bench.crtc(0x0C, 0x3F)
    bench.crtc(0x0D, 0xFC)
    assert bench.vga.screen().row(0).replace("\0", "") == "end.behind"
    bench.crtc(0x0C, 0xFF)
    bench.crtc(0x0D, 0xFE)
    assert bench.vga.screen().row(0) == "attop"


def test_line_compare_splits_the_screen(bench: Bench) -> None:
    bench.put("status")
    bench.put("scrolled", TEXT + 4096)
    bench.crtc(0x0C, 0x08)
    bench.crtc(0x09, 0x0F)
    bench.crtc(0x07, 0x0F)
    bench.crtc(0x18, 16 * 10 - 1)
    screen = bench.vga.screen()
    assert screen.row(0) == "scrolled"
    assert screen.row(10) == "status"


@pytest.mark.parametrize(("select", "base"), [(0x00, 0x00000), (0x04, 0x00000), (0x08, 0x10000), (0x0C, 0x18000)])
def test_the_memory_map_select_moves_the_window(bench: Bench, select: int, base: int) -> None:
    bench.put("there")
    bench.set(0x3CE, 0x06, 0x02 | select)
    assert bench.vga.screen().text() == "there", "the memory is the same, wherever the window is"
    bench.put("here!", base)
    assert bench.vga.screen().text() == "here!"


def test_a_switched_off_screen_is_blank(bench: Bench) -> None:
    bench.put("secret")
    bench.set(0x3C4, 0x01, 0x20)
    assert bench.vga.screen().text() == ""
    assert not bench.vga.screen().cursor_visible
    bench.set(0x3C4, 0x01, 0x00)
    assert bench.vga.screen().text() == "secret"
    bench.read(0x3DA)
    bench.write(0x3C0, 0x00)
    assert bench.vga.screen().text() == ""


def test_a_graphics_mode_shows_no_text(bench: Bench) -> None:
    bench.put("pixels")
    bench.set(0x3CE, 0x06, 0x0F)
    assert bench.vga.screen().text() == ""
    assert not bench.vga.text_mode


# The cursor


def test_the_cursor_location_is_a_place_in_memory(bench: Bench) -> None:
    bench.crtc(0x0E, 0x03)
    bench.crtc(0x0F, 0xE9)
    screen = bench.vga.screen()
    assert (screen.cursor_row, screen.cursor_column, screen.cursor_visible) == (12, 41, True)
    bench.crtc(0x0D, 80)
    assert bench.vga.screen().cursor_row == 11


def test_a_cursor_off_the_screen_is_not_visible(bench: Bench) -> None:
    bench.crtc(0x0E, 0x07)
    bench.crtc(0x0F, 0xD0)
    assert not bench.vga.screen().cursor_visible


def test_skew_moves_the_cursor_right(bench: Bench) -> None:
    bench.crtc(0x0B, 0x4E)
    assert bench.vga.screen().cursor_column == 2


@pytest.mark.parametrize(("start", "end"), [(0x2D, 0x0E), (0x0E, 0x0D), (0x10, 0x1F)])
def test_the_cursor_is_hidden_by_its_bit_and_by_an_empty_shape(bench: Bench, start: int, end: int) -> None:
    bench.crtc(0x0A, start)
    bench.crtc(0x0B, end)
    assert not bench.vga.screen().cursor_visible


# Colours


def test_the_palette_is_the_sixteen_cga_colours(bench: Bench) -> None:
    palette = bench.vga.screen().palette
    assert palette[0] == (0, 0, 0)
    assert palette[1] == (0, 0, 170)
    assert palette[6] == (170, 85, 0), "brown, not dark yellow"
    assert palette[7] == (170, 170, 170)
    assert palette[8] == (85, 85, 85)
    assert palette[15] == (255, 255, 255)


def test_mode_7_has_three_shades(bench: Bench) -> None:
    bench.mode(7)
    screen = bench.vga.screen()
    assert set(screen.palette) == {(0, 0, 0), (170, 170, 170), (255, 255, 255)}
    assert screen.underline_line == 13


def test_palette_registers_and_the_dac_change_colours(bench: Bench) -> None:
    bench.attribute(0x01, 0x3F)
    assert bench.vga.screen().palette[1] == (255, 255, 255)
    bench.write(0x3C8, 0x3F)
    for level in (0x00, 0x20, 0x3F):
        bench.write(0x3C9, level)
    assert bench.vga.screen().palette[1] == (0, 130, 255)


def test_colour_select_and_the_pel_mask_choose_dac_colours(bench: Bench) -> None:
    bench.write(0x3C8, 0xB1)
    for level in (0x3F, 0x00, 0x00):
        bench.write(0x3C9, level)
    bench.attribute(0x10, 0x8C)
    bench.attribute(0x14, 0x0B)
    assert bench.vga.screen().palette[1] == (255, 0, 0)
    bench.write(0x3C6, 0x00)
    assert set(bench.vga.screen().palette) == {(0, 0, 0)}


def test_the_plane_enable_masks_the_attribute(bench: Bench) -> None:
    bench.attribute(0x12, 0x07)
    palette = bench.vga.screen().palette
    assert palette[8:] == palette[:8]


def test_the_blink_bit_is_bit_3_of_mode_control(bench: Bench) -> None:
    bench.attribute(0x10, 0x04)
    assert not bench.vga.screen().blink_enabled


# Registers


@pytest.mark.parametrize(
    ("port", "index", "mask"),
    [(0x3D4, index, 0xFF) for index in (0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x12, 0x13, 0x15, 0x16, 0x18)]
    + [(0x3D4, 0x08, 0x7F), (0x3D4, 0x0A, 0x3F), (0x3D4, 0x0B, 0x7F), (0x3D4, 0x14, 0x7F), (0x3D4, 0x17, 0xEF)]
    + [(0x3C4, 0, 0x03), (0x3C4, 1, 0x3D), (0x3C4, 2, 0x0F), (0x3C4, 3, 0x3F), (0x3C4, 4, 0x0E)]
    + [(0x3CE, 0, 0x0F), (0x3CE, 1, 0x0F), (0x3CE, 2, 0x0F), (0x3CE, 3, 0x1F), (0x3CE, 4, 0x03)]
    + [(0x3CE, 5, 0x7B), (0x3CE, 6, 0x0F), (0x3CE, 7, 0x0F), (0x3CE, 8, 0xFF)],
)
def test_registers_read_back_without_their_reserved_bits(bench: Bench, port: int, index: int, mask: int) -> None:
    for value in (0xFF, 0x00, 0xA5):
        bench.set(port, index, value)
        assert bench.get(port, index) == value & mask


@pytest.mark.parametrize(("port", "index"), [(0x3D4, 0x19), (0x3D4, 0x1F), (0x3C4, 0x07), (0x3CE, 0x0F)])
def test_an_index_without_a_register_reads_0(bench: Bench, port: int, index: int) -> None:
    bench.set(port, index, 0xFF)
    assert bench.get(port, index) == 0


def test_the_protect_bit_guards_the_first_eight_crtc_registers_but_line_compare(bench: Bench) -> None:
    bench.crtc(0x11, 0x8E)
    for index in range(8):
        bench.crtc(index, 0x00)
    assert bench.get(0x3D4, 0x00) == 0x5F
    assert bench.get(0x3D4, 0x07) == 0x0F, "bit 4, line compare, is not protected"
    bench.crtc(0x11, 0x0E)
    bench.crtc(0x00, 0x60)
    assert bench.get(0x3D4, 0x00) == 0x60


def test_a_word_written_to_an_index_port_is_index_and_data(bench: Bench) -> None:
    bench.vga.write(0x24, 2, 0x0A0F)
    assert bench.get(0x3D4, 0x0F) == 0x0A
    assert bench.vga.read(0x24, 2) == 0x0A0F


def test_the_crtc_moves_to_3b4h_on_a_monochrome_display(bench: Bench) -> None:
    bench.write(0x3C2, 0x66)
    bench.set(0x3B4, 0x0F, 0x12)
    assert bench.get(0x3B4, 0x0F) == 0x12
    assert bench.get(0x3D4, 0x0F) == 0xFF
    assert bench.read(0x3DA) == 0xFF
    bench.write(0x3C2, 0x67)
    assert bench.get(0x3D4, 0x0F) == 0x12
    assert bench.read(0x3B5) == 0xFF


def test_the_miscellaneous_output_is_read_at_3cch(bench: Bench) -> None:
    bench.write(0x3C2, 0xFF)
    assert bench.read(0x3CC) == 0xEF
    assert bench.read(0x3C2) & 0x10


def test_feature_control_is_written_at_3dah_and_read_at_3cah(bench: Bench) -> None:
    bench.write(0x3DA, 0xFF)
    assert bench.read(0x3CA) == 0x08


def test_the_attribute_flip_flop_is_reset_by_input_status_1(bench: Bench) -> None:
    bench.read(0x3DA)
    bench.write(0x3C0, 0x11)
    bench.read(0x3DA)
    bench.write(0x3C0, 0x12)
    bench.write(0x3C0, 0x05)
    assert bench.read(0x3C1) == 0x05
    assert bench.read(0x3C0) == 0x12


def test_reading_the_attribute_controller_leaves_the_flip_flop(bench: Bench) -> None:
    bench.read(0x3DA)
    bench.write(0x3C0, 0x31)
    bench.read(0x3C1)
    bench.read(0x3C0)
    bench.write(0x3C0, 0x2A)
    assert bench.read(0x3C1) == 0x2A


@pytest.mark.parametrize(
    ("index", "mask"), [(0x00, 0x3F), (0x10, 0xEF), (0x11, 0xFF), (0x12, 0x3F), (0x13, 0x0F), (0x14, 0x0F), (0x15, 0)]
)
def test_attribute_registers_drop_their_reserved_bits(bench: Bench, index: int, mask: int) -> None:
    bench.read(0x3DA)
    bench.write(0x3C0, index)
    bench.write(0x3C0, 0xFF)
    assert bench.read(0x3C1) == mask


def test_the_palette_is_locked_while_the_screen_uses_it(bench: Bench) -> None:
    bench.read(0x3DA)
    bench.write(0x3C0, 0x21)
    bench.write(0x3C0, 0x3F)
    assert bench.read(0x3C1) == 0x01


# DAC


def test_the_dac_counts_on_by_itself_both_ways(bench: Bench) -> None:
    bench.write(0x3C8, 0xFF)
    for level in (1, 2, 3, 4, 5, 0xFF):
        bench.write(0x3C9, level)
    assert bench.read(0x3C8) == 0x01
    bench.write(0x3C7, 0xFF)
    assert [bench.read(0x3C9) for _ in range(6)] == [1, 2, 3, 4, 5, 0x3F]


def test_a_dac_colour_changes_on_its_third_level(bench: Bench) -> None:
    bench.write(0x3C8, 7)
    bench.write(0x3C9, 0)
    bench.write(0x3C9, 0)
    assert bench.vga.screen().palette[7] == (170, 170, 170)
    bench.write(0x3C9, 0)
    assert bench.vga.screen().palette[7] == (0, 0, 0)


def test_the_dac_tells_whether_it_is_read_or_written(bench: Bench) -> None:
    bench.write(0x3C7, 0)
    assert bench.read(0x3C7) == 3
    bench.write(0x3C8, 0)
    assert bench.read(0x3C7) == 0


# Timing


def test_mode_3_runs_at_70_hz(bench: Bench) -> None:
    edges, last = 0, 0
    for step in range(10_000):
        bench.clock.advance_to(step * 100_000)
        retrace = bench.read(0x3DA) & 0x08
        edges += bool(retrace and not last)
        last = retrace
    assert 1_000_000_000 // FRAME_NS == 70
    # The pulse, 64 µs, is shorter than this loop's steps: only some are seen, spread evenly.
    assert 30 < edges < 60


def test_the_retrace_bit_is_on_from_line_412_for_two_lines(bench: Bench) -> None:
    line_ns = FRAME_NS / 449
    for line, expected in ((0, 0), (411, 0), (412, 8), (413, 8), (414, 0)):
        bench.clock.reset_to(int((line + 0.5) * line_ns))
        assert bench.read(0x3DA) & 0x08 == expected


def test_the_display_bit_is_on_outside_the_720_by_400_pixels(bench: Bench) -> None:
    line_ns = FRAME_NS / 449
    for line, part, blank in ((0, 0.1, 0), (0, 0.79, 0), (0, 0.81, 1), (399, 0.1, 0), (400, 0.1, 1), (448, 0.1, 1)):
        bench.clock.reset_to(int((line + part) * line_ns) + 1)
        assert bench.read(0x3DA) & 0x01 == blank


def test_frames_do_not_drift(bench: Bench) -> None:
    frames = 28_322_000
    bench.clock.reset_to(frames * 900 * 449 * 1_000_000_000 // 28_322_000)
    status = bench.read(0x3DA)
    assert status & 0x09 == 0


def test_other_registers_make_another_frame(bench: Bench) -> None:
    bench.crtc(0x11, 0x0E)
    bench.crtc(0x10, 0x00)
    bench.crtc(0x07, 0x1F & ~0x84)
    bench.crtc(0x11, 0x05)
    bench.clock.reset_to(100_000)
    assert bench.read(0x3DA) & 0x08


# Snapshots and anything at all


def test_a_restored_vga_goes_on_in_the_middle_of_a_colour_and_an_attribute(bench: Bench) -> None:
    bench.write(0x3C8, 7)
    bench.write(0x3C9, 0x11)
    bench.read(0x3DA)
    bench.write(0x3C0, 0x11)
    copy = Bench()
    copy.vga.restore(bench.vga.state())
    assert copy.vga.state() == bench.vga.state()
    for side in (bench, copy):
        side.write(0x3C0, 0x2A)
        side.write(0x3C9, 0x22)
        side.write(0x3C9, 0x33)
    assert copy.vga.state() == bench.vga.state()
    assert copy.vga.state().dac[21:24] == b"\x11\x22\x33"


def test_reset_is_power_on(bench: Bench) -> None:
    fresh = bench.vga.state()
    bench.mode(7)
    bench.vga.reset()
    assert bench.vga.state() == fresh


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "write", "advance"]),
            st.integers(0, 0x2F),
            st.sampled_from([1, 2, 4]),
            st.integers(0, 0xFFFF_FFFF),
        ),
        max_size=60,
    )
)
def test_nothing_a_guest_does_raises_and_there_is_always_a_screen(steps: list[tuple[str, int, int, int]]) -> None:
    bench = Bench()
    for action, offset, size, value in steps:
        if action == "read":
            assert 0 <= bench.vga.read(offset, size) < 1 << 8 * size
        elif action == "write":
            bench.vga.write(offset, size, value)
        else:
            bench.clock.advance(value)
    screen = bench.vga.screen()
    assert len(screen.characters) == len(screen.attributes) == screen.rows * screen.columns
    assert len(screen.palette) == 16
    screen.text()
    copy = Bench()
    copy.vga.restore(bench.vga.state())
    assert copy.vga.state() == bench.vga.state()
