"""An ATAPI CD-ROM drive: packets, phases, the tray (SFF-8020i; MMC-3; ATA/ATAPI-6, section 9.8)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.devices.ata import cdrom_answers as answers
from minivm.devices.ata.unit import COUNT, DEVICE, FEATURES, HIGH, LOW, MID

STATUS = COMMAND = 7
ERROR = 1
TEST_UNIT_READY, SENSE, INQUIRY, START_STOP, PREVENT = 0x00, 0x03, 0x12, 0x1B, 0x1E
CAPACITY, READ_10, SEEK, SUB_CHANNEL, CONTENTS = 0x25, 0x28, 0x2B, 0x42, 0x43
CONFIGURATION, EVENTS, DISC_INFORMATION, MODE_SENSE, READ_12, MECHANISM, READ_CD = (
    0x46,
    0x4A,
    0x51,
    0x5A,
    0xA8,
    0xBD,
    0xBE,
)
WORDS = [0, 0, 0, 0, 0, 0, 0]


def read_10(block, count):
    return (READ_10, 0, *block.to_bytes(4, "big"), 0, *count.to_bytes(2, "big"))


def read_12(block, count):
    return (READ_12, 0, *block.to_bytes(4, "big"), *count.to_bytes(4, "big"))


def sense(bench):
    data = bench.packet(SENSE, 0, 0, 0, 18)
    return data[2], data[12], data[13]


def fails_with(bench, *packet):
    """Return the sense of a packet that must fail; the error register has the sense key."""
    assert bench.packet(*packet) == b""
    assert bench.get(STATUS) == 0x51
    assert bench.get(COUNT) & 3 == 3
    key = bench.get(ERROR) >> 4
    found = sense(bench)
    assert key == found[0]
    return found


def succeeds(bench, *packet):
    data = bench.packet(*packet)
    assert (bench.get(STATUS), bench.get(COUNT)) == (0x50, 3)
    return data


def test_a_packet_goes_through_its_phases(kit):
    bench, _, medium = kit.with_cdrom()
    bench.put(FEATURES, 0)
    bench.put(MID, 0x00)
    bench.put(HIGH, 0x08)
    bench.put(COMMAND, 0xA0)
    assert bench.alternate & 0x80
    bench.wait()
    assert (bench.alternate & 0x88, bench.get(COUNT), bench.wire.level) == (0x08, 0x01, False)
    bench.write_block(bytes(read_10(7, 2)) + bytes(3))
    assert bench.alternate & 0x88 == 0x80
    bench.wait()
    for block in (7, 8):
        assert (bench.wire.level, bench.get(COUNT), bench.get(MID), bench.get(HIGH)) == (True, 0x02, 0, 8)
        assert bench.get(STATUS) == 0x58
        assert bench.read_block(2048) == medium.data[block * 2048 : (block + 1) * 2048]
        bench.wait()
    assert (bench.wire.level, bench.get(COUNT), bench.get(STATUS)) == (True, 0x03, 0x50)


@pytest.mark.parametrize("limit", [2, 7, 510, 2047, 2048, 5000, 0xFFFF])
def test_any_byte_count_limit_gives_the_same_data(kit, limit):
    bench, _, medium = kit.with_cdrom()
    assert bench.packet(*read_10(3, 3), limit=limit) == medium.data[3 * 2048 : 6 * 2048]


def test_a_limit_of_0_is_aborted_when_there_are_data(kit):
    bench, *_ = kit.with_cdrom()
    assert bench.packet(*read_10(0, 1), limit=0) == b""
    assert (bench.get(STATUS), bench.get(ERROR)) == (0x51, 0x04)
    assert bench.packet(TEST_UNIT_READY, limit=0) == b""
    assert bench.get(STATUS) == 0x50


def test_read_12_reads_too_and_0_blocks_are_no_data(kit):
    bench, _, medium = kit.with_cdrom()
    assert succeeds(bench, *read_12(49, 1)) == medium.data[49 * 2048 :]
    assert succeeds(bench, *read_12(49, 0)) == b""


def test_data_by_dma(kit):
    bench, _, medium = kit.with_cdrom()
    bench.table((0x1000, 3000), (0x8000, 6144 - 3000))
    bench.start()
    assert bench.packet(*read_10(10, 3), by_dma=True) == b""
    assert bench.ram.data[0x1000 : 0x1000 + 3000] + bench.ram.data[0x8000 : 0x8000 + 3144] == medium.data[20480:26624]
    assert (bench.get(STATUS), bench.get(COUNT), bench.dma_status) == (0x50, 3, 4)


def test_capacity_is_the_last_block(kit):
    bench, *_ = kit.with_cdrom(50)
    assert succeeds(bench, CAPACITY) == bytes((0, 0, 0, 49, 0, 0, 8, 0))


def test_reading_past_the_end_is_out_of_range(kit):
    bench, *_ = kit.with_cdrom(50)
    assert fails_with(bench, *read_10(49, 2)) == (5, 0x21, 0)
    assert fails_with(bench, *read_10(0xFFFFFFFF, 1)) == (5, 0x21, 0)
    assert fails_with(bench, SEEK, 0, 0, 0, 0, 50) == (5, 0x21, 0)
    succeeds(bench, SEEK, 0, 0, 0, 0, 49)


def test_a_block_that_the_host_cannot_read_is_a_medium_error(kit):
    bench, _, medium = kit.with_cdrom()
    medium.bad = {4 * 6}
    assert bench.packet(*read_10(5, 2), limit=2048) == medium.data[5 * 2048 : 6 * 2048]
    assert (bench.get(STATUS), bench.get(ERROR)) == (0x51, 0x30)
    assert sense(bench) == (3, 0x11, 0)


def test_an_unknown_command_and_a_wrong_field_are_illegal_requests(kit):
    bench, *_ = kit.with_cdrom()
    assert fails_with(bench, 0xFF) == (5, 0x20, 0)
    assert fails_with(bench, INQUIRY, 1, 0, 0, 36) == (5, 0x24, 0)
    assert bench.get(ERROR) == 0


def test_sense_is_told_once(kit):
    bench, *_ = kit.with_cdrom()
    bench.packet(0xFF)
    assert bench.get(ERROR) == 0x54
    assert sense(bench) == (5, 0x20, 0)
    assert sense(bench) == (0, 0, 0)


def test_without_a_disc_the_drive_says_so(kit):
    bench, drive, _ = kit.with_cdrom()
    drive.insert(None)
    for packet in ((TEST_UNIT_READY,), (CAPACITY,), read_10(0, 1), (CONTENTS,), (DISC_INFORMATION,)):
        assert fails_with(bench, *packet) == (2, 0x3A, 1)
    assert succeeds(bench, INQUIRY, 0, 0, 0, 36)[8:14] == b"MINIVM"


def test_a_new_disc_is_told_once(kit):
    bench, drive, _ = kit.with_cdrom()
    disc = kit.Medium(kit.pattern(8, seed=77), read_only=True)
    drive.insert(disc)
    succeeds(bench, INQUIRY, 0, 0, 0, 36)
    assert fails_with(bench, TEST_UNIT_READY) == (6, 0x28, 0)
    succeeds(bench, TEST_UNIT_READY)
    assert succeeds(bench, *read_10(0, 2)) == disc.data[:4096]


def test_request_sense_asks_for_a_new_disc_too(kit):
    bench, drive, medium = kit.with_cdrom()
    drive.insert(medium)
    assert sense(bench) == (6, 0x28, 0)
    succeeds(bench, TEST_UNIT_READY)


def test_the_guest_opens_and_closes_the_tray(kit):
    bench, drive, _ = kit.with_cdrom()
    succeeds(bench, START_STOP, 0, 0, 0, 2)
    assert drive.tray_open
    assert fails_with(bench, TEST_UNIT_READY) == (2, 0x3A, 2)
    assert succeeds(bench, MECHANISM, *WORDS, 0, 8)[1] == 0x10
    succeeds(bench, START_STOP, 0, 0, 0, 3)
    assert not drive.tray_open
    assert fails_with(bench, TEST_UNIT_READY) == (6, 0x28, 0)
    succeeds(bench, TEST_UNIT_READY)


def test_a_locked_tray_stays_shut(kit):
    bench, drive, _ = kit.with_cdrom()
    succeeds(bench, PREVENT, 0, 0, 0, 1)
    assert fails_with(bench, START_STOP, 0, 0, 0, 2) == (5, 0x53, 2)
    assert not drive.tray_open
    succeeds(bench, PREVENT, 0, 0, 0, 0)
    succeeds(bench, START_STOP, 0, 0, 0, 2)
    assert drive.tray_open


def test_events_of_the_medium_are_told_once(kit):
    bench, drive, medium = kit.with_cdrom()
    poll = (EVENTS, 1, 0, 0, 0x10, 0, 0, 0, 8)
    assert succeeds(bench, *poll) == bytes((0, 6, 4, 0x10, 0, 2, 0, 0))
    drive.insert(None)
    assert succeeds(bench, *poll)[4:6] == bytes((3, 0))
    drive.insert(medium)
    assert succeeds(bench, *poll)[4:6] == bytes((2, 2))
    assert succeeds(bench, *poll)[4:6] == bytes((0, 2))
    assert fails_with(bench, EVENTS, 0, 0, 0, 0x10, 0, 0, 0, 8) == (5, 0x24, 0)


def test_the_table_of_contents_has_one_track_and_the_lead_out(kit):
    bench, *_ = kit.with_cdrom(50)
    whole = bytes((0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 0, 50))
    assert succeeds(bench, CONTENTS, 0, 0, 0, 0, 0, 0, 0, 100) == whole
    assert succeeds(bench, CONTENTS, 0, 0, 0, 0, 0, 0xAA, 0, 100) == bytes((0, 10, 1, 1)) + whole[12:]
    assert succeeds(bench, CONTENTS, 2, 0, 0, 0, 0, 0, 0, 100)[8:12] == bytes((0, 0, 2, 0))
    assert succeeds(bench, CONTENTS, 2, 0, 0, 0, 0, 0, 0, 100)[16:20] == bytes((0, 0, 2, 50))
    assert succeeds(bench, CONTENTS, 0, 0, 0, 0, 0, 0, 0, 4) == whole[:4]
    assert fails_with(bench, CONTENTS, 0, 0, 0, 0, 0, 2, 0, 100) == (5, 0x24, 0)
    assert fails_with(bench, CONTENTS, 0, 5, 0, 0, 0, 0, 0, 100) == (5, 0x24, 0)


def test_sessions_and_the_lead_in(kit):
    bench, *_ = kit.with_cdrom(50)
    sessions = bytes((0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0))
    assert succeeds(bench, CONTENTS, 0, 1, 0, 0, 0, 0, 0, 100) == sessions
    assert succeeds(bench, CONTENTS, 0, 0, 0, 0, 0, 0, 0, 12, 0x40)[:12] == sessions
    full = succeeds(bench, CONTENTS, 2, 2, 0, 0, 0, 0, 0, 100)
    assert full[:2] == bytes((0, 46))
    assert [full[4 + 11 * number + 3] for number in range(4)] == [0xA0, 0xA1, 0xA2, 1]


def test_mode_sense_has_two_pages(kit):
    bench, drive, _ = kit.with_cdrom()
    page = succeeds(bench, MODE_SENSE, 0, 0x2A, 0, 0, 0, 0, 0, 100)
    assert (page[:3], page[8:10], page[14]) == (bytes((0, 26, 1)), b"\x2a\x12", 0x29)
    assert len(succeeds(bench, MODE_SENSE, 0, 0x01, 0, 0, 0, 0, 0, 100)) == 16
    assert len(succeeds(bench, MODE_SENSE, 0, 0x3F, 0, 0, 0, 0, 0, 100)) == 36
    assert not any(succeeds(bench, MODE_SENSE, 0, 0x6A, 0, 0, 0, 0, 0, 100)[10:])
    assert fails_with(bench, MODE_SENSE, 0, 0xEA, 0, 0, 0, 0, 0, 100) == (5, 0x39, 0)
    assert fails_with(bench, MODE_SENSE, 0, 0x07, 0, 0, 0, 0, 0, 100) == (5, 0x24, 0)
    drive.insert(None)
    assert succeeds(bench, MODE_SENSE, 0, 0x2A, 0, 0, 0, 0, 0, 100)[2] == 0x70
    succeeds(bench, START_STOP, 0, 0, 0, 2)
    assert succeeds(bench, MODE_SENSE, 0, 0x2A, 0, 0, 0, 0, 0, 100)[2] == 0x71


def test_configuration_has_the_features_asked_for(kit):
    bench, drive, _ = kit.with_cdrom()
    whole = succeeds(bench, CONFIGURATION, 0, 0, 0, 0, 0, 0, 1, 0)
    assert int.from_bytes(whole[:4], "big") == len(whole) - 4
    assert whole[6:8] == bytes((0, 8))
    only = succeeds(bench, CONFIGURATION, 2, 0, 3, 0, 0, 0, 1, 0)
    assert (len(only), only[8:10]) == (16, bytes((0, 3)))
    drive.insert(None)
    assert fails_with(bench, CONFIGURATION, 3, 0, 0, 0, 0, 0, 1, 0) == (5, 0x24, 0)
    now = succeeds(bench, CONFIGURATION, 1, 0, 0, 0, 0, 0, 1, 0)
    assert now[6:8] == bytes((0, 0))
    assert len(now) < len(whole)


def test_small_answers(kit):
    bench, *_ = kit.with_cdrom()
    assert succeeds(bench, DISC_INFORMATION, *WORDS[:6], 0, 100)[:4] == bytes((0, 32, 0x0E, 1))
    assert succeeds(bench, SUB_CHANNEL, 2, 0, 0, 0, 0, 0, 0, 100) == bytes((0, 0x15, 0, 0))
    assert len(succeeds(bench, SUB_CHANNEL, 2, 0x40, 1, 0, 0, 0, 0, 100)) == 16
    assert fails_with(bench, SUB_CHANNEL, 2, 0x40, 2, 0, 0, 0, 0, 100) == (5, 0x24, 0)
    assert succeeds(bench, 0xBB, 0, 0xFF, 0xFF) == b""


def test_read_cd_gives_user_data_only(kit):
    bench, _, medium = kit.with_cdrom()
    assert succeeds(bench, READ_CD, 0, 0, 0, 0, 4, 0, 0, 1, 0x10) == medium.data[8192:10240]
    assert succeeds(bench, READ_CD, 0, 0, 0, 0, 4, 0, 0, 1, 0x00) == b""
    assert fails_with(bench, READ_CD, 0, 0, 0, 0, 4, 0, 0, 1, 0xF8) == (5, 0x24, 0)


def test_minutes_count_from_the_pregap():
    assert answers.position(75 * 60 + 3, minutes=True) == bytes((0, 1, 2, 3))


def test_identify_packet_device(kit):
    bench, *_ = kit.with_cdrom()
    assert bench.command(0xA1) == 0x58
    block = bench.read_block()
    assert block[:2] == b"\xc0\x85"
    assert block[54:94] == answers.text("MINIVM CD-ROM", 40)
    assert bench.alternate == 0x50


@pytest.mark.parametrize("code", [0xEC, 0x20])
def test_identify_device_is_aborted_with_the_signature(kit, code):
    bench, *_ = kit.with_cdrom()
    bench.put(LOW, 5, 5)
    bench.put(MID, 5, 5)
    assert bench.command(code) == 0x51
    assert bench.get(ERROR) == 0x04
    assert [bench.get(register) for register in (COUNT, LOW, MID, HIGH)] == [1, 1, 0x14, 0xEB]


def test_device_reset_works_in_the_middle_and_does_not_interrupt(kit):
    bench, *_ = kit.with_cdrom()
    bench.command(0xA0)
    assert bench.alternate & 0x08
    bench.put(COMMAND, 0x08)
    assert (bench.alternate, bench.wire.level) == (0x00, False)
    assert [bench.get(register) for register in (COUNT, LOW, MID, HIGH)] == [1, 1, 0x14, 0xEB]
    assert succeeds(bench, TEST_UNIT_READY) == b""


def test_device_reset_leaves_the_selection(kit):
    bench = kit.Bench(None, kit.with_cdrom()[1].__class__(kit.Medium(kit.pattern(8))))
    bench.put(DEVICE, 0xB0)
    bench.put(COMMAND, 0x08)
    assert bench.get(DEVICE) == 0xB0


@pytest.mark.parametrize(("code", "status"), [(0xE1, 0x50), (0xE5, 0x50), (0x30, 0x51), (0x00, 0x51), (0x91, 0x51)])
def test_other_ata_commands(kit, code, status):
    bench, *_ = kit.with_cdrom()
    assert bench.command(code) == status


def test_the_disc_that_vanishes_in_the_middle_is_told(kit):
    bench, drive, medium = kit.with_cdrom()
    bench.put(MID, 0x00)
    bench.put(HIGH, 0x08)
    bench.command(0xA0)
    bench.write_block(bytes(read_10(0, 3)) + bytes(3))
    bench.wait()
    drive.insert(None)
    assert bench.read_block(2048) == medium.data[:2048]
    assert bench.get(STATUS) == 0x51
    assert sense(bench)[:2] == (2, 0x3A)


PACKETS = st.one_of(
    st.binary(min_size=12, max_size=12),
    st.builds(lambda code, rest: bytes((code,)) + rest, st.sampled_from(
        [0, 3, 0x12, 0x1B, 0x1E, 0x25, 0x28, 0x2B, 0x42, 0x43, 0x46, 0x4A, 0x51, 0x5A, 0xA8, 0xBD, 0xBE]
    ), st.binary(min_size=11, max_size=11)),
    st.builds(lambda block, count: bytes(read_10(block, count)) + bytes(3), st.integers(0, 12), st.integers(0, 4)),
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(PACKETS, st.booleans()), max_size=12), st.sampled_from([2, 36, 2048, 0xFFFE]))
def test_random_packets_agree_with_a_model(kit, packets, limit):
    """The model: which disc lies where, and what a READ(10) has to give; everything else must end somehow."""
    bench, drive, medium = kit.with_cdrom(12)
    for packet in packets:
        if isinstance(packet, bool):
            drive.insert(medium if packet else None)
            continue
        attention, ready = drive.state().attention, drive.has_disc
        data = bench.packet(*packet, limit=limit)
        status = bench.get(STATUS)
        assert status in (0x50, 0x51)
        assert (status == 0x51) == bool(bench.get(ERROR))
        if packet[0] == READ_10:
            block, count = int.from_bytes(packet[2:6], "big"), int.from_bytes(packet[7:9], "big")
            good = ready and not attention and block + count <= 12
            assert (status == 0x50) == good
            assert data == (medium.data[block * 2048 : (block + count) * 2048] if good else b"")
        elif status == 0x51:
            assert data == b""
