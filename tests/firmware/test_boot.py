"""POST, the boot order, the trap port, and the ROM image itself."""

import re
from pathlib import Path

import pytest

from minivm.firmware import build, rom, services
from minivm.firmware.bios import FLOPPY, HARD_DISK, TRAP_PORT, Bios

ROM_SOURCE = Path(build.__file__).with_name("rom.asm")

# IBM's compatible entry points: physical address -> the interrupt that begins there
ENTRY_POINTS = {
    0x05: 0xFF54, 0x08: 0xFEA5, 0x09: 0xE987, 0x0E: 0xEF57, 0x10: 0xF065, 0x11: 0xF84D, 0x12: 0xF841, 0x13: 0xE3FE,
    0x14: 0xE739, 0x15: 0xF859, 0x16: 0xE82E, 0x17: 0xEFD2, 0x19: 0xE6F2, 0x1A: 0xFE6E, 0x1D: 0xF0A4, 0x1E: 0xEFC7,
}  # fmt: skip


def vector(pc, number):
    return pc.space.load(4 * number, 4)


@pytest.mark.parametrize(("number", "offset"), ENTRY_POINTS.items())
def test_vectors_point_to_the_compatible_entry_points(pc, number, offset):
    assert vector(pc, number) == 0xF000_0000 | offset


def test_every_vector_leads_into_the_rom_but_the_users(pc):
    for number in range(256):
        wanted = 0 if 0x60 <= number <= 0x66 else 0xF000
        assert vector(pc, number) >> 16 == wanted, hex(number)
    assert pc.memory.read(0xFFF53, 1) == b"\xcf"


def test_the_data_area_after_post(pc):
    bda = pc.bios.data_area
    assert (bda.com_port(0), bda.com_port(1)) == (0x3F8, 0)
    assert (bda.equipment, bda.memory_kib, bda.disk_count) == (0x0227, 639, 1)
    assert (bda.keyboard_head, bda.keyboard_tail, bda.keyboard_start, bda.keyboard_end) == (0x1E, 0x1E, 0x1E, 0x3E)
    assert (bda.video_mode, bda.columns, bda.crtc_port, bda.last_row) == (3, 80, 0x3D4, 24)
    assert bda.load(0x0E, 2) == 0x9FC0  # the extended data area


def test_the_interrupt_controllers_get_ibms_vectors(pc):
    assert pc.pic1.writes[:5] == [(0, 0x11), (1, 0x08), (1, 0x04), (1, 0x01), (1, 0xB8)]
    assert pc.pic2.writes[:5] == [(0, 0x11), (1, 0x70), (1, 0x02), (1, 0x01), (1, 0x8F)]


def test_the_timer_runs_at_its_slowest(pc):
    assert pc.pit.writes[:3] == [(3, 0x36), (0, 0), (0, 0)]


def test_a20_is_open_after_post(pc):
    assert pc.system_control.values[0] & 0x03 == 0x02


def test_the_cmos_tells_the_configuration(pc):
    cmos = pc.cmos.memory
    assert (cmos[0x10], cmos[0x12], cmos[0x14]) == (0x40, 0xF0, 0x27)
    assert cmos[0x15] | cmos[0x16] << 8 == 640
    assert cmos[0x17] | cmos[0x18] << 8 == cmos[0x30] | cmos[0x31] << 8 == 31 * 1024
    assert cmos[0x34] | cmos[0x35] << 8 == 256
    assert cmos[0x2E] << 8 | cmos[0x2F] == sum(cmos[0x10:0x2E])
    assert (cmos[0x0A], cmos[0x0B]) == (0x26, 0x02)


def test_hard_disk_tables_are_where_int_41_says(pc):
    place = vector(pc, 0x41)
    row = pc.memory.read((place >> 16 << 4) + (place & 0xFFFF), 16)
    assert (row[0:2], row[2], row[14]) == (b"\x02\x00", 16, 63)


def test_post_may_run_again(pc):
    before = pc.memory.read(0, 0x500)
    pc.bios.post()
    assert pc.memory.read(0, 0x500) == before


def candidates(pc):
    found = []
    while True:
        pc.interrupt(services.BOOT_CANDIDATE, ax=len(found))
        if pc.answer:
            return found
        found.append(pc.cpu.dl)


@pytest.mark.parametrize(
    ("order", "wanted"), [((FLOPPY, HARD_DISK), [0, 0x80]), ((0x80, 0), [0x80, 0]), ((0x81, 0x80, 1), [0x80]), ((), [])]
)
def test_the_boot_order_names_drives_and_skips_missing_ones(pc, order, wanted):
    bios = Bios(cpu=pc.cpu, space=pc.space, ports=pc.ports, clock=pc.clock, floppies=[pc.floppy], disks=[pc.disk],
                boot_order=order)  # fmt: skip
    pc.ports.find(TRAP_PORT).port = bios.trap
    assert candidates(pc) == wanted


def test_a_kernel_is_entered_after_post_instead_of_booting(pc):
    entered = []
    bios = Bios(cpu=pc.cpu, space=pc.space, ports=pc.ports, clock=pc.clock, kernel_entry=lambda: entered.append(1))
    pc.ports.find(TRAP_PORT).port = bios.trap
    pc.memory.write(0, bytes(0x500))
    pc.interrupt(services.POST)
    assert pc.answer
    assert vector(pc, 0x10) == 0xF000F065
    pc.interrupt(services.KERNEL)
    assert entered == [1]


# -- the trap port -----------------------------------------------------------------------------------------------
def test_a_write_from_outside_the_rom_does_nothing(pc):
    pc.interrupt(0x12)
    pc.cpu.ax = 0x1111
    segment = pc.cpu.head.segs[1]
    for selector, base in ((0x7C0, 0x7C00), (0xF000, 0xFFFF_0000), (0xF000, 0x1000)):
        segment.selector, segment.base = selector, base
        pc.space.store(0x91000, 2, 0x12)
        pc.ports.write(TRAP_PORT, 1, 0)
        assert (pc.cpu.ax, pc.space.load(0x91000, 2)) == (0x1111, 0x12)


def test_an_unknown_service_is_reported(pc):
    pc.interrupt(0x7777, ax=0x1234)
    assert pc.cpu.ax == 0x1234
    assert "7777h" in pc.trace[-1]


def test_an_unhandled_exception_is_reported_with_its_place(pc):
    pc.time_slot = 6  # the vector that the ROM pushed first
    pc.interrupt(services.UNHANDLED)
    assert "INT 06h at 5678h:1234h" in pc.trace[-1]


def test_the_stack_may_wrap_around_its_segment(pc):
    pc.set_segment(2, 0x9000)
    pc.set_segment(1, 0xF000)
    pc.cpu.sp = 0xFFFE
    pc.space.store(0x9FFFE, 2, 0x13)
    for offset, word in ((0, 0x1234), (2, 0x5678), (4, 0x0202)):
        pc.space.store(0x90000 + offset, 2, word)
    pc.cpu.ax = 0xEE00
    pc.ports.write(TRAP_PORT, 1, 0)
    assert pc.space.load(0x90004, 2) & 1


# -- the image ---------------------------------------------------------------------------------------------------
def test_the_rom_ends_as_an_at_rom_does():
    image = rom.image()
    assert len(image) == rom.SIZE_BYTES
    assert image[0xFFF0:0xFFF5] == bytes([0xEA, 0x5B, 0xE0, 0x00, 0xF0])
    assert re.fullmatch(rb"\d\d/\d\d/\d\d", image[0xFFF5:0xFFFD])
    assert image[0xFFFE] == 0xFC


def test_source_and_services_use_the_same_numbers():
    numbers = dict(re.findall(r"^SERVICE_(\w+)\s+equ (\w+)h", ROM_SOURCE.read_text(), re.MULTILINE))
    assert len(numbers) >= 8
    assert {name: int(number, 16) for name, number in numbers.items()} == {
        name: getattr(services, name) for name in numbers
    }


def test_every_service_that_the_rom_calls_is_there(pc):
    calls = re.findall(r"^\s+(?:TRAP|ASK) (\w+)", ROM_SOURCE.read_text(), re.MULTILINE)
    assert len(calls) > 15
    for call in calls:
        number = getattr(services, call[8:]) if call.startswith("SERVICE_") else int(call.rstrip("h"), 16)
        pc.interrupt(number, ax=0xFFFF)
    assert not any("which is not there" in line for line in pc.trace)


@pytest.mark.nasm
def test_the_shipped_image_is_the_source_assembled():
    assert build.build() == rom.image()
