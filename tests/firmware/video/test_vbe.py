"""INT 10h AH=4Fh: the VESA BIOS extensions, on the real card."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.firmware.edid import edid
from minivm.firmware.vbe_info import MODES

FRAMEBUFFER = 0xE000_0000
BUFFER = 0x5000
DONE, FAILED, TOO_MUCH, NOT_NOW = 0x004F, 0x014F, 0x024F, 0x034F


def number(data, offset, size):
    return int.from_bytes(data[offset : offset + size], "little")


def text(pc, far):
    data = pc.memory.read((far >> 16 << 4) + (far & 0xFFFF), 40)
    return data.split(b"\0")[0].decode()


def info(pc, mode):
    assert pc.video(0x4F01, cx=mode, di=BUFFER).ax == DONE
    return pc.memory.read(BUFFER, 256)


def set_mode(pc, mode):
    assert pc.video(0x4F02, bx=mode).ax == DONE


def test_the_card_describes_itself(flat_pc):
    flat_pc.memory.write(BUFFER, b"VBE2" + b"\xee" * 600)
    assert flat_pc.video(0x4F00, di=BUFFER).ax == DONE
    data = flat_pc.memory.read(BUFFER, 520)
    assert data[:4] == b"VESA"
    assert (number(data, 4, 2), number(data, 18, 2)) == (0x0200, 256)
    assert text(flat_pc, number(data, 6, 4)) == "MiniVM VGABIOS"
    assert [text(flat_pc, number(data, at, 4)) for at in (22, 26, 30)] == ["MiniVM", "Virtual VGA", "1.0"]
    assert data[512:] == b"\xee" * 8
    far = number(data, 14, 4)
    modes = [flat_pc.space.load((far >> 16 << 4) + (far & 0xFFFF) + 2 * index, 2) for index in range(len(MODES) + 1)]
    assert modes == [*MODES, 0xFFFF]


def test_who_does_not_ask_for_2_gets_256_bytes(flat_pc):
    flat_pc.memory.write(BUFFER, b"VESA" + b"\xee" * 600)
    flat_pc.video(0x4F00, di=BUFFER)
    assert flat_pc.memory.read(BUFFER + 256, 16) == b"\xee" * 16


@pytest.mark.parametrize(
    ("mode", "width", "height", "bits", "model"),
    [
        (0x100, 640, 400, 8, 4), (0x101, 640, 480, 8, 4), (0x103, 800, 600, 8, 4), (0x105, 1024, 768, 8, 4),
        (0x110, 640, 480, 15, 6), (0x111, 640, 480, 16, 6), (0x112, 640, 480, 24, 6), (0x118, 1024, 768, 24, 6),
        (0x142, 640, 480, 32, 6), (0x144, 1024, 768, 32, 6),
    ],
)  # fmt: skip
def test_a_mode_is_described(pc, mode, width, height, bits, model):
    data = info(pc, mode)
    pixel = (bits + 7) // 8
    assert number(data, 0, 2) == 0x3F | (0x80 if pc.flat else 0)
    assert data[2:10] == bytes([7, 0, 64, 0, 64, 0, 0x00, 0xA0])
    assert [number(data, at, 2) for at in (0x10, 0x12, 0x14)] == [width * pixel, width, height]
    assert (data[0x19], data[0x1B]) == (bits, model)
    assert number(data, 0x28, 4) == (FRAMEBUFFER if pc.flat else 0)


def test_the_masks_of_direct_colours_are_where_the_card_has_them(flat_pc):
    fields = {
        0x110: bytes([5, 10, 5, 5, 5, 0, 1, 15]), 0x111: bytes([5, 11, 6, 5, 5, 0, 0, 0]),
        0x112: bytes([8, 16, 8, 8, 8, 0, 0, 0]), 0x142: bytes([8, 16, 8, 8, 8, 0, 8, 24]),
    }  # fmt: skip
    for mode, wanted in fields.items():
        assert info(flat_pc, mode)[0x1F:0x27] == wanted


def test_a_mode_that_is_not_there_fails(flat_pc):
    assert flat_pc.video(0x4F01, cx=0x1FF, di=BUFFER).ax == FAILED
    assert flat_pc.video(0x4F02, bx=0x1FF).ax == FAILED
    assert flat_pc.card.text_mode


@pytest.mark.parametrize("mode", list(MODES))
def test_each_mode_can_be_set_and_shows_what_is_written_to_its_memory(flat_pc, mode):
    shape = MODES[mode]
    set_mode(flat_pc, mode | 0x4000)
    picture = flat_pc.card.picture()
    assert (picture.width, picture.height) == (shape.width, shape.height)
    assert not any(picture.rgb)
    assert flat_pc.video(0x4F03).bx == mode | 0x4000
    white = b"\x0f" if shape.bits == 8 else b"\xff" * shape.pixel_bytes
    flat_pc.space.store_bytes(FRAMEBUFFER + shape.line_bytes * 100 + 50 * shape.pixel_bytes, white)
    assert min(flat_pc.pixel(50, 100)) >= 0x3D
    assert flat_pc.pixel(51, 100) == (0, 0, 0)


def test_bit_15_keeps_the_memory(flat_pc):
    set_mode(flat_pc, 0x4101)
    flat_pc.space.store(FRAMEBUFFER, 1, 15)
    set_mode(flat_pc, 0xC101)
    assert flat_pc.pixel(0, 0) == (0x3F, 0x3F, 0x3F)
    assert flat_pc.video(0x4F03).bx == 0xC101
    set_mode(flat_pc, 0x4101)
    assert flat_pc.pixel(0, 0) == (0, 0, 0)


def test_a_card_without_a_linear_framebuffer_refuses_one(pc):
    assert pc.video(0x4F02, bx=0x4101).ax == (DONE if pc.flat else FAILED)


def test_text_mode_comes_back(pc):
    set_mode(pc, 0x105)
    assert not pc.card.text_mode
    set_mode(pc, 0x0003)
    assert pc.card.text_mode
    assert pc.video(0x4F03).bx == 3
    assert pc.card.screen().rows == 25
    set_mode(pc, 0x105)
    pc.video(0x0012)
    assert (pc.card.picture().width, pc.card.picture().height) == (640, 480)


@pytest.mark.parametrize("by_call", [True, False])
def test_the_window_moves_over_the_memory(pc, by_call):
    set_mode(pc, 0x101)
    pc.cpu.bx, pc.cpu.dx = 0, 2
    if by_call:
        assert pc.video(0x4F05).ax == DONE
    else:
        pc.interrupt(0x110)
    pc.space.store(0xA0000, 1, 15)
    assert pc.pixel(0x20000 % 640, 0x20000 // 640) == (0x3F, 0x3F, 0x3F)
    assert pc.video(0x4F05, bx=0x0100, dx=0).dx == 2
    assert pc.video(0x4F05, bx=0, dx=0x7FFF).ax == FAILED
    assert pc.video(0x4F05, bx=1, dx=0).ax == FAILED


def test_lines_can_be_longer_than_the_screen(flat_pc):
    set_mode(flat_pc, 0x101)
    cpu = flat_pc.video(0x4F06, bx=1)
    assert (cpu.ax, cpu.bx, cpu.cx) == (DONE, 640, 640)
    cpu = flat_pc.video(0x4F06, bx=0, cx=1000)
    assert (cpu.ax, cpu.bx, cpu.cx, cpu.dx) == (DONE, 1000, 1000, (16 << 20) // 1000)
    flat_pc.space.store(FRAMEBUFFER + 1000, 1, 15)
    assert flat_pc.pixel(0, 1) == (0x3F, 0x3F, 0x3F)
    set_mode(flat_pc, 0x142)
    cpu = flat_pc.video(0x4F06, bx=2, cx=4096)
    assert (cpu.ax, cpu.bx, cpu.cx) == (DONE, 4096, 1024)
    cpu = flat_pc.video(0x4F06, bx=3)
    longest = cpu.cx
    assert flat_pc.video(0x4F06, bx=0, cx=longest).ax == DONE
    assert flat_pc.video(0x4F06, bx=0, cx=longest + 8).ax == TOO_MUCH


def test_the_display_can_begin_anywhere(flat_pc):
    set_mode(flat_pc, 0x101)
    flat_pc.video(0x4F06, bx=0, cx=1024)
    flat_pc.space.store(FRAMEBUFFER + 1024 * 100 + 8, 1, 15)
    assert flat_pc.video(0x4F07, bx=0, cx=8, dx=100).ax == DONE
    assert flat_pc.pixel(0, 0) == (0x3F, 0x3F, 0x3F)
    cpu = flat_pc.video(0x4F07, bx=1, cx=0, dx=0)
    assert (cpu.cx, cpu.dx) == (8, 100)
    assert flat_pc.video(0x4F07, bx=0, cx=0, dx=0xFFFF).ax == FAILED


def test_the_dac_can_have_eight_bits(flat_pc):
    set_mode(flat_pc, 0x4101)
    assert flat_pc.video(0x4F08, bx=1).bh == 6
    assert flat_pc.video(0x4F08, bx=0x0800).bh == 8
    flat_pc.memory.write(BUFFER, bytes([1, 2, 0xFD, 0]))
    assert flat_pc.video(0x4F09, bx=0, cx=1, dx=0, di=BUFFER).ax == DONE
    red, green, blue = flat_pc.card.picture().rgb[:3]
    assert (red, green, blue) == (0xFD, 2, 1)
    assert flat_pc.video(0x4F08, bx=0x0600).bh == 6
    set_mode(flat_pc, 0x4111)
    assert flat_pc.video(0x4F08, bx=1).ax == NOT_NOW


def test_colours_go_round_trip(flat_pc):
    set_mode(flat_pc, 0x4101)
    entries = bytes(value for index in range(16) for value in (index, 2 * index, 3 * index, 0))
    flat_pc.memory.write(BUFFER, entries)
    assert flat_pc.video(0x4F09, bx=0, cx=16, dx=240, di=BUFFER).ax == DONE
    assert flat_pc.video(0x4F09, bx=1, cx=16, dx=240, di=0x6000).ax == DONE
    assert flat_pc.memory.read(0x6000, 64) == entries
    assert flat_pc.video(0x4F09, bx=0, cx=16, dx=250, di=BUFFER).ax == FAILED
    assert flat_pc.video(0x4F09, bx=2, cx=1, dx=0, di=BUFFER).ax == TOO_MUCH


def test_the_whole_state_comes_back(flat_pc):
    set_mode(flat_pc, 0x4103)
    flat_pc.video(0x4F06, bx=0, cx=1024)
    flat_pc.video(0x4F07, bx=0, cx=0, dx=10)
    blocks = flat_pc.video(0x4F04, dx=0, cx=15).bx
    flat_pc.memory.write(BUFFER, b"\xee" * 0x1000)
    assert flat_pc.video(0x4F04, dx=1, cx=15, bx=BUFFER).ax == DONE
    assert flat_pc.memory.read(BUFFER + 64 * blocks, 16) == b"\xee" * 16
    before = flat_pc.card.state()
    flat_pc.space.store(FRAMEBUFFER + 10 * 1024, 1, 15)
    set_mode(flat_pc, 0x8003)
    assert flat_pc.video(0x4F04, dx=2, cx=15, bx=BUFFER).ax == DONE
    after = flat_pc.card.state()
    assert (after.vbe.registers[:4], after.vbe.registers[5:]) == (before.vbe.registers[:4], before.vbe.registers[5:])
    assert (after.crtc, after.sequencer, after.graphics) == (before.crtc, before.sequencer, before.graphics)
    assert flat_pc.pixel(0, 0) == (0x3F, 0x3F, 0x3F)
    assert flat_pc.video(0x4F03).bx & 0x7FFF == 0x4103


@pytest.mark.parametrize("mode", [0x101, 0x111, 0x144])
def test_characters_and_pixels_go_to_vbe_modes_too(pc, mode):
    set_mode(pc, mode)
    pc.video(0x0E41, bx=0x0F)
    assert any(pc.pixel(x, y) == (0x3F, 0x3F, 0x3F) or min(pc.pixel(x, y)) > 0x3C for x in range(8) for y in range(16))
    assert pc.video(0x0300, bx=0).dx == 1
    pc.video(0x0C0F, bx=0, cx=300, dx=200)
    assert min(pc.pixel(300, 200)) > 0x3C
    assert pc.video(0x0D00, bx=0, cx=300, dx=200).al != 0


def test_the_monitor_says_what_it_is(flat_pc):
    assert flat_pc.video(0x4F15, bx=0).ax == DONE
    assert flat_pc.cpu.bl & 3
    assert flat_pc.video(0x4F15, bx=1, cx=0, dx=0, di=BUFFER).ax == DONE
    data = flat_pc.memory.read(BUFFER, 128)
    assert data == edid()
    assert flat_pc.video(0x4F15, bx=1, cx=0, dx=1, di=BUFFER).ax == FAILED


def test_the_monitors_block_is_one_of_1024_by_768():
    data = edid()
    assert len(data) == 128
    assert sum(data) % 256 == 0
    assert data[:8] == bytes.fromhex("00FFFFFFFFFFFF00")
    timing = data[54:72]
    assert number(timing, 0, 2) == 6500
    assert (timing[2] | timing[4] >> 4 << 8, timing[5] | timing[7] >> 4 << 8) == (1024, 768)
    assert (timing[3] | (timing[4] & 15) << 8, timing[6] | (timing[7] & 15) << 8) == (320, 38)
    assert b"MiniVM\n" in data


def test_what_vbe_does_not_have_says_so(flat_pc):
    assert flat_pc.video(0x4F0A, bx=0).ax == 0x0100
    assert flat_pc.video(0x4F33).ax == 0x0100
    assert "INT 10h" in flat_pc.trace[-1]


def test_in_a_vga_mode_only_a_vbe_modes_functions_refuse(flat_pc):
    for function in (0x05, 0x06, 0x07, 0x08):
        assert flat_pc.video(0x4F00 | function, bx=1).ax == NOT_NOW


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from([*range(0x0B), 0x15]), st.sampled_from([*MODES, 0x4144, 0, 1, 2, 3, 0x100, 0x80, 0xFFFF]),
            st.integers(0, 0xFFFF), st.integers(0, 0xFFFF),
        ), min_size=1, max_size=8,
    )
)  # fmt: skip
def test_no_call_raises_or_writes_outside_what_it_may(flat_pc, calls):
    flat_pc.memory.write(0x10000, b"\xa5" * 0x10000)
    for function, bx, cx, dx in calls:
        flat_pc.video(0x4F00 | function, es=0x7000, bx=bx, cx=cx, dx=dx, di=cx)
    assert flat_pc.memory.read(0x10000, 0x10000) == b"\xa5" * 0x10000
