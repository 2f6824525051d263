"""INT 13h AH=41h to 4Eh, from the EDD specifications 1.1 and 3.0."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BUFFER = 0x8000
PACKET = 0x600
CD = 0xE0


@pytest.fixture
def cd(pc, make_disk):
    disk = make_disk(400, read_only=True)
    pc.bios.drives.cdroms = [disk, None]
    return disk


def packet(pc, lba, count, *, size=0x10, pointer=BUFFER, flat=0):
    data = bytes([size, 0]) + count.to_bytes(2, "little") + pointer.to_bytes(4, "little") + lba.to_bytes(8, "little")
    pc.memory.write(PACKET, data + flat.to_bytes(8, "little"))


def ask(pc, function, drive=0x80, **registers):
    pc.interrupt(0x13, **({"ax": function << 8, "dx": drive, "ds": 0, "si": PACKET} | registers))
    return pc.carry, pc.cpu.ah


@pytest.mark.parametrize("drive", [0x00, 0x80, CD, CD + 1])
def test_extensions_announce_themselves_for_every_drive(pc, cd, drive):
    assert ask(pc, 0x41, drive, bx=0x55AA) == (False, 0x30)
    assert (pc.cpu.bx, pc.cpu.cx) == (0xAA55, 7)


@pytest.mark.parametrize(("drive", "bx"), [(0x81, 0x55AA), (CD + 2, 0x55AA), (0x80, 0x1234)])
def test_no_drive_or_a_wrong_question_has_no_extensions(pc, cd, drive, bx):
    assert ask(pc, 0x41, drive, bx=bx) == (True, 0x01)


def test_reading_blocks_by_packet(pc):
    packet(pc, 100, 3)
    assert ask(pc, 0x42) == (False, 0)
    assert [pc.memory.read(BUFFER + 512 * index, 1)[0] for index in range(3)] == [100, 101, 102]


def test_a_block_of_a_cd_has_2048_bytes(pc, cd):
    packet(pc, 5, 2)
    assert ask(pc, 0x42, CD) == (False, 0)
    assert [pc.memory.read(BUFFER + 512 * index, 1)[0] for index in range(9)] == [*range(20, 28), 0]
    packet(pc, 99, 2)
    assert ask(pc, 0x42, CD) == (True, 0x01)


def test_a_packet_may_have_a_flat_address(pc):
    packet(pc, 7, 1, size=0x18, pointer=0xFFFF_FFFF, flat=0x123456)
    ask(pc, 0x42)
    assert pc.memory.read(0x123456, 512) == b"\x07" * 512


@pytest.mark.parametrize("flat", [0xFFFF_FF00, 1 << 40, (1 << 64) - 256, 0x01FF_FF00, 0xC_0000])
def test_a_transfer_to_addresses_without_memory_is_lost_and_harmless(pc, flat):
    packet(pc, 0, 2000, size=0x18, pointer=0xFFFF_FFFF, flat=flat)
    assert ask(pc, 0x42) == (False, 0)
    packet(pc, 0, 1, size=0x18, pointer=0xFFFF_FFFF, flat=flat)
    assert ask(pc, 0x43) == (False, 0)


def test_a_closed_a20_gate_folds_a_transfer(pc):
    pc.space.a20_mask = ~(1 << 20)
    packet(pc, 1, 2, pointer=0xFFFF_FE10 - 0x10)  # 10FDF0h: the second MiB is the first again
    assert ask(pc, 0x42) == (False, 0)
    assert pc.memory.read(0xFDF0, 1024) == b"\x01" * 512 + b"\x02" * 512
    assert pc.space.a20_mask == ~(1 << 20)
    pc.memory.write(0xFDF0, b"\xaa" * 512)
    packet(pc, 3, 1, pointer=0xFFFF_FE00)
    ask(pc, 0x43)
    assert pc.disk.data[3 * 512 : 4 * 512] == b"\xaa" * 512


def test_writing_blocks_by_packet(pc):
    pc.memory.write(BUFFER, b"\xee" * 512)
    packet(pc, 9, 1)
    assert ask(pc, 0x43) == (False, 0)
    assert pc.disk.data[9 * 512 : 10 * 512] == b"\xee" * 512
    assert ask(pc, 0x43, ax=0x4303) == (True, 0x01)


def test_a_cd_is_write_protected(pc, cd):
    packet(pc, 9, 1)
    assert ask(pc, 0x43, CD) == (True, 0x03)
    assert pc.memory.read(PACKET + 2, 2) == b"\0\0"


def test_a_packet_past_the_end_moves_nothing_and_says_so(pc):
    packet(pc, 2047, 2)
    assert ask(pc, 0x42) == (True, 0x01)
    assert pc.memory.read(PACKET + 2, 2) == b"\0\0"


def test_verifying_notices_a_host_that_cannot_read(pc):
    packet(pc, 1, 1)
    assert ask(pc, 0x44) == (False, 0)
    pc.disk.broken = True
    assert ask(pc, 0x44) == (True, 0x20)


@pytest.mark.parametrize("function", [0x42, 0x44, 0x47, 0x49])
def test_an_empty_cd_drive_says_so(pc, cd, function):
    packet(pc, 0, 1)
    assert ask(pc, function, CD + 1) == (True, 0x31)


def test_locks_of_a_cd_are_counted_and_forbid_ejecting(pc, cd):
    ejected = []
    pc.bios.disk_services.extensions.eject_tray = lambda index: ejected.append(index) or True
    for _ in range(2):
        assert ask(pc, 0x45, CD, ax=0x4500) == (False, 0)
    assert ask(pc, 0x46, CD) == (True, 0xB1)
    assert (ask(pc, 0x45, CD, ax=0x4501), pc.cpu.al) == ((False, 0), 1)
    assert (ask(pc, 0x45, CD, ax=0x4501), pc.cpu.al) == ((False, 0), 0)
    assert ask(pc, 0x45, CD, ax=0x4501) == (True, 0xB0)
    assert ask(pc, 0x46, CD) == (False, 0)
    assert ejected == [0]
    assert ask(pc, 0x46, 0x80) == (True, 0xB2)


def parameters(pc, room, drive=0x80):
    pc.memory.write(PACKET, room.to_bytes(2, "little") + bytes(80))
    assert ask(pc, 0x48, drive) == (False, 0)
    return pc.memory.read(PACKET, 80)


@pytest.mark.parametrize(("room", "length"), [(26, 26), (29, 26), (30, 30), (65, 30), (66, 66), (80, 66)])
def test_parameters_come_in_three_lengths(pc, room, length):
    data = parameters(pc, room)
    assert int.from_bytes(data[:2], "little") == length
    assert data[length:] == bytes(80 - length)
    assert (int.from_bytes(data[16:24], "little"), data[24:26]) == (2048, b"\x00\x02")


def test_parameters_without_room_are_refused(pc):
    pc.memory.write(PACKET, b"\x19\x00")
    assert ask(pc, 0x48) == (True, 0x01)


def test_parameters_of_a_cd(pc, cd):
    data = parameters(pc, 66, CD)
    assert data[2:4] == b"\x34\x00"
    assert (int.from_bytes(data[16:24], "little"), data[24:26]) == (100, b"\x00\x08")
    assert data[40:48] == b"ATAPI   "
    empty = parameters(pc, 26, CD + 1)
    assert (empty[2], empty[16:24]) == (0x74, b"\xff" * 8)


@pytest.mark.parametrize(("drive", "ports", "slave", "irq"), [(0x80, 0x1F0, 0, 14), (CD, 0x170, 0, 15)])
def test_the_device_parameter_table_and_path_name_the_drive(pc, cd, drive, ports, slave, irq):
    data = parameters(pc, 66, drive)
    offset, segment = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
    table = pc.memory.read((segment << 4) + offset, 16)
    assert (int.from_bytes(table[:2], "little"), table[4], table[6]) == (ports, 0xE0 | slave << 4, irq)
    assert sum(table) & 0xFF == 0
    assert (data[30:32], data[32]) == (b"\xdd\xbe", 36)
    assert (data[36:40], data[48:52]) == (b"PCI ", bytes([0, 1, 1, ports == 0x170]))
    assert sum(data[30:66]) & 0xFF == 0


def test_a_big_transfer_is_one_read_and_one_copy(pc, make_disk):
    disk = make_disk(0x1_0000)
    pc.bios.drives.disks = [disk]
    packet(pc, 0, 0xFFFF, size=0x18, pointer=0xFFFF_FFFF, flat=0x10_0000)
    assert ask(pc, 0x42) == (False, 0)
    assert disk.reads == [(0, 0xFFFF)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    function=st.integers(0x40, 0x4F), al=st.integers(0, 255), bx=st.sampled_from([0x55AA, 0]),
    drive=st.sampled_from([0, 1, 0x80, 0x81, CD, CD + 1, 0x7F, 0xFF]), table=st.binary(min_size=32, max_size=32),
)  # fmt: skip
def test_no_call_raises(pc, cd, function, al, bx, drive, table):
    pc.memory.write(PACKET, table)
    ask(pc, function, drive, ax=function << 8 | al, bx=bx, es=0x2000)
    assert pc.carry == (pc.cpu.ah != 0) or function == 0x41
