"""Booting from CD, from the "El Torito" specification 1.0: catalogues good and broken, the three emulations."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.firmware import services

CD = 0xE0
PACKET = 0x600
BUFFER = 0x8000
IMAGE_BLOCK = 24
MESSAGE = 0x9FC00 + 0xA0
EXTENSION = b"\x44".ljust(32, b"\0")


def validation(platform=0):
    row = bytearray(struct.pack("<BBH24sHBB", 1, platform, 0, b"MiniVM", 0, 0x55, 0xAA))
    words = struct.unpack("<16H", row)
    row[28:30] = struct.pack("<H", -sum(words) & 0xFFFF)
    return bytes(row)


def entry(media=0, *, segment=0, sectors=4, block=IMAGE_BLOCK, indicator=0x88):
    return struct.pack("<BBHBBHI20x", indicator, media, segment, 0, 0, sectors, block)


def section(count, platform, last=False):
    return struct.pack("<BBH28x", 0x91 if last else 0x90, platform, count)


def image_of(*rows, record=True):
    """Return a CD of 100 blocks filled with their numbers, with a boot record and these rows for a catalogue."""
    data = bytearray(b"".join(bytes([number]) * 2048 for number in range(100)))
    if record:
        data[17 * 2048 : 18 * 2048] = (b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + b"\x14").ljust(
            2048, b"\0"
        )
    data[20 * 2048 : 21 * 2048] = b"".join(rows).ljust(2048, b"\0")
    return bytes(data)


@pytest.fixture
def insert(pc, make_disk):
    """Return a function that puts a CD of these rows into the first CD drive and gives the disk."""

    def put(*rows, data=None, **options):
        image = data if data is not None else image_of(*rows, **options)
        disk = make_disk(len(image) // 512, read_only=True, data=image)
        pc.bios.drives.cdroms = [disk]
        return disk

    return put


def boot(pc):
    """Boot the CD as INT 19h does; return the line for the screen, or (CS:IP, DL) when it was loaded."""
    pc.interrupt(services.BOOT_CD, edx=CD)
    if pc.answer:
        return (pc.cpu.ax, pc.cpu.bx), pc.cpu.dl
    return pc.memory.read(MESSAGE, 96).split(b"\0")[0].decode("cp437")


def status(pc, drive, al=1):
    pc.interrupt(0x13, ax=0x4B00 | al, dx=drive, ds=0, si=PACKET)
    return None if pc.carry else pc.memory.read(PACKET, 19)


def test_without_emulation_the_image_is_loaded_and_the_drive_keeps_its_number(pc, insert):
    insert(validation(), entry(sectors=6))
    assert boot(pc) == ((0, 0x7C00), CD)
    assert pc.memory.read(0x7C00, 6 * 512 + 1) == b"\x18" * 2048 + b"\x19" * 1024 + b"\0"


def test_the_load_segment_may_be_chosen(pc, insert):
    insert(validation(), entry(segment=0x1234, sectors=1))
    assert boot(pc) == ((0x1000, 0x2340), CD)
    assert pc.memory.read(0x12340, 512) == b"\x18" * 512


def test_a_booted_program_finds_its_image_by_the_specification_packet(pc, insert):
    insert(validation(), entry(segment=0x800, sectors=6))
    assert status(pc, CD) is None
    boot(pc)
    packet = status(pc, CD)
    assert struct.unpack("<BBBBIHHHH", packet[:16]) == (19, 0, CD, 1, IMAGE_BLOCK, 0, 0, 0x800, 6)
    assert status(pc, 0x80) is None
    assert status(pc, 0x7F, al=0) == packet
    assert status(pc, CD) is None


@pytest.mark.parametrize(("media", "last", "kind"), [(1, 0x4F0F, 2), (2, 0x4F12, 4), (3, 0x4F24, 5)])
def test_a_diskette_image_becomes_drive_a(pc, insert, media, last, kind):
    insert(validation(), entry(media, sectors=1))
    assert boot(pc) == ((0, 0x7C00), 0)
    assert pc.bios.data_area.equipment & 0xC1 == 0x41
    pc.interrupt(0x13, ax=0x0800, dx=0)
    assert (pc.carry, pc.cpu.cx, pc.cpu.dl, pc.cpu.bl) == (False, last, 2, kind)
    pc.interrupt(0x13, ax=0x0202, bx=BUFFER, cx=0x0004, dx=0, es=0)
    assert pc.memory.read(BUFFER, 1024) == b"\x18" * 512 + b"\x19" * 512
    pc.interrupt(0x13, ax=0x0301, bx=BUFFER, cx=0x0001, dx=0, es=0)
    assert (pc.carry, pc.cpu.ah) == (True, 0x03)


def test_the_machines_own_diskette_moves_to_drive_b_until_the_end_of_emulation(pc, insert):
    insert(validation(), entry(2, sectors=1))
    boot(pc)
    pc.interrupt(0x13, ax=0x0201, bx=BUFFER, cx=0x0003, dx=1, es=0)
    assert (pc.carry, pc.memory.read(BUFFER, 512)) == (False, b"\x02" * 512)
    assert status(pc, 0, al=0)[1:3] == b"\x02\x00"
    pc.interrupt(0x13, ax=0x0201, bx=BUFFER, cx=0x0004, dx=0, es=0)
    assert (pc.carry, pc.memory.read(BUFFER, 512)) == (False, b"\x03" * 512)
    pc.interrupt(0x13, ax=0x0201, bx=BUFFER, cx=0x0001, dx=1, es=0)
    assert pc.carry
    assert pc.bios.data_area.equipment & 0xC1 == 0x01


def test_an_image_that_the_cd_cuts_off_ends_there(pc, insert):
    insert(validation(), entry(2, sectors=1))
    boot(pc)
    pc.interrupt(0x13, ax=0x0201, bx=BUFFER, cx=79 << 8 | 1, dx=0x0100, es=0)
    assert (pc.carry, pc.cpu.ah) == (True, 0x04)


def hard_disk_image(partition=bytes([0x80, 0, 1, 0, 6, 3, 16, 1])):
    data = bytearray(image_of(validation(), entry(4, sectors=1)))
    start = IMAGE_BLOCK * 2048
    data[start + 0x1BE : start + 0x1CE] = partition.ljust(16, b"\0")
    return bytes(data)


def test_a_hard_disk_image_becomes_drive_80h_in_its_partitions_shape(pc, insert):
    insert(data=hard_disk_image())
    assert boot(pc) == ((0, 0x7C00), 0x80)
    pc.interrupt(0x13, ax=0x0800, dx=0x80)
    assert (pc.cpu.cx, pc.cpu.dx) == (0x0110, 0x0302)
    assert pc.bios.data_area.disk_count == 2
    pc.memory.write(PACKET, struct.pack("<BBHIQ", 16, 0, 1, BUFFER, 2))
    pc.interrupt(0x13, ax=0x4200, dx=0x81, ds=0, si=PACKET)
    assert (pc.carry, pc.memory.read(BUFFER, 512)) == (False, b"\x02" * 512)


def test_sections_are_searched_for_a_pc(pc, insert):
    rows = (validation(0xEF), entry(block=30), section(2, 0xEF), entry(block=31), entry(block=32),
            section(2, 0, last=True), entry(block=33, indicator=0), EXTENSION, entry(block=34))  # fmt: skip
    insert(*rows)
    assert boot(pc) == ((0, 0x7C00), CD)
    assert pc.memory.read(0x7C00, 1) == bytes([34])


def spoiled(row, at, value):
    return row[:at] + bytes([value]) + row[at + 1 :]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([bytes(32)], "no validation entry"),
        ([spoiled(validation(), 31, 0)], "no validation entry"),
        ([spoiled(validation(), 5, 0)], "checksum"),
        ([validation(), entry(indicator=0)], "no entry for a PC"),
        ([validation(1), entry()], "no entry for a PC"),
        ([validation(1), entry(), section(0xFFFF, 0)], "no entry for a PC"),
        ([validation(), entry(7)], "unknown kind of emulation, 7"),
        ([validation(), entry(block=100)], "image lies past its end"),
        ([validation(), entry(block=0xFFFF_FFFF)], "image lies past its end"),
        ([validation(), entry(sectors=0x131, block=24)], "image lies past its end"),
        ([validation(), entry(segment=0x9F00, sectors=40)], "does not fit into memory at 9F00h"),
        ([validation(), entry(segment=0x9FA1, sectors=1)], "does not fit into memory at 9FA1h"),
        ([validation(), entry(segment=0x10)], "does not fit into memory at 0010h"),
        ([validation(), entry(4)], "no partition"),
    ],
)  # fmt: skip
def test_a_broken_catalogue_is_told_on_the_screen(pc, insert, rows, words):
    data = bytearray(image_of(*rows))
    data[IMAGE_BLOCK * 2048 : (IMAGE_BLOCK + 1) * 2048] = bytes(2048)
    insert(data=bytes(data))
    line = boot(pc)
    assert line.startswith("CD 0 does not boot: ")
    assert words in line
    assert line.endswith("\r\n")
    assert status(pc, CD) is None


def test_a_catalogue_past_the_end_is_told_on_the_screen(pc, insert):
    data = bytearray(image_of())
    data[17 * 2048 + 71 : 17 * 2048 + 75] = b"\xff\xff\xff\xff"
    insert(data=bytes(data))
    assert "catalogue lies past its end" in boot(pc)


def test_a_cd_without_a_boot_record_says_nothing(pc, insert):
    insert(record=False)
    assert boot(pc) == ""
    insert(data=bytes(2048))
    assert boot(pc) == ""
    pc.bios.drives.cdroms = [None]
    assert boot(pc) == ""
    pc.bios.drives.cdroms = []
    assert boot(pc) == ""


def test_a_cd_that_the_host_cannot_read_is_told_on_the_screen(pc, insert):
    insert(validation(), entry()).broken = True
    assert "cannot be read" in boot(pc)


def test_emulation_ends_before_the_next_boot_device_is_tried(pc, insert):
    insert(validation(), entry(2, sectors=1))
    boot(pc)
    pc.interrupt(services.BOOT_CANDIDATE, ax=0)
    assert (pc.cpu.dl, status(pc, 0)) == (0, None)
    pc.interrupt(services.BOOT_CANDIDATE, ax=2)
    assert (pc.answer, pc.cpu.dl) == (False, CD)


def test_a_program_may_begin_an_emulation_itself(pc, insert):
    insert(validation(), entry())
    pc.memory.write(PACKET, struct.pack("<BBBBIHHHH3x", 19, 2, 0, 0, 30, 0, 0, 0, 1))
    pc.interrupt(0x13, ax=0x4A00, dx=0, ds=0, si=PACKET)
    assert (pc.carry, pc.cpu.ah) == (False, 0)
    pc.interrupt(0x13, ax=0x0201, bx=BUFFER, cx=1, dx=0, es=0)
    assert pc.memory.read(BUFFER, 512) == bytes([30]) * 512


def test_the_catalogue_can_be_read(pc, insert):
    insert(validation(), entry())
    pc.memory.write(PACKET, struct.pack("<BBIH", 8, 1, BUFFER, 0))
    pc.interrupt(0x13, ax=0x4D00, dx=CD, ds=0, si=PACKET)
    assert (pc.carry, pc.memory.read(BUFFER, 32)) == (False, validation())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.one_of(
    st.binary(min_size=32, max_size=32), st.just(validation()),
    st.builds(entry, st.integers(0, 255), segment=st.integers(0, 0xFFFF), sectors=st.integers(0, 0xFFFF),
              block=st.integers(0, 0xFFFF_FFFF)),
    st.builds(section, st.integers(0, 0xFFFF), st.integers(0, 2))), max_size=8),
    good=st.booleans(), ax=st.integers(0x4A00, 0x4DFF), packet=st.binary(min_size=20, max_size=20))  # fmt: skip
def test_no_cd_raises(pc, insert, rows, good, ax, packet):
    insert(*([validation()] if good else []), *rows)
    boot(pc)
    pc.memory.write(PACKET, packet)
    pc.interrupt(0x13, ax=ax, dx=CD, ds=0, si=PACKET)
    pc.interrupt(0x13, ax=0x0201, bx=BUFFER, cx=1, dx=0, es=0)
    pc.interrupt(0x13, ax=0x0201, bx=BUFFER, cx=1, dx=0x80, es=0)
