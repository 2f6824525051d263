"""An ATA hard disk's commands (ATA/ATAPI-6, section 8)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.devices.ata.identity import Modes, cylinders, identify, text
from minivm.devices.ata.unit import COUNT, DEVICE, FEATURES, HIGH, LOW, MID

STATUS = COMMAND = 7
ERROR = 1
ABRT, IDNF, UNC = 0x04, 0x10, 0x40
GOOD, WAITING, WORKING, FAILED = 0x50, 0x58, 0xD0, 0x51


def words(block):
    return [int.from_bytes(block[place : place + 2], "little") for place in range(0, len(block), 2)]


def identity(bench):
    assert bench.command(0xEC) == WAITING
    block = bench.read_block()
    assert bench.alternate == GOOD
    return words(block)


def result(bench):
    return bench.get(STATUS), bench.get(ERROR)


def test_identify_says_what_the_disk_is(kit):
    bench, _ = kit.with_disk(16 * 63 * 5 + 10)
    told = identity(bench)
    name = b"".join(word.to_bytes(2, "big") for word in told[27:47]).decode()
    assert name.rstrip() == "MINIVM HARDDISK"
    assert (told[1], told[3], told[6]) == (5, 16, 63)
    assert told[54:57] == [5, 16, 63]
    assert told[57] | told[58] << 16 == 5 * 16 * 63
    assert told[60] | told[61] << 16 == 16 * 63 * 5 + 10
    assert told[100:104] == [16 * 63 * 5 + 10, 0, 0, 0]
    assert told[49] & 0x0300 == 0x0300
    assert told[83] & 0x7400 == 0x7400
    assert told[88] & 0x3F == 0x3F


def test_identify_ends_with_a_check_sum():
    block = identify(1000, serial="x", second=False, modes=Modes(16, 63, 0, 8, True))
    assert block[510] == 0xA5
    assert sum(block) & 0xFF == 0


def test_a_large_disk_is_capped_where_the_standard_says():
    block = words(identify(1 << 40, serial="x", second=True, modes=Modes(16, 63, 0, 8, True)))
    assert block[1] == 16383
    assert block[60] | block[61] << 16 == (1 << 28) - 1
    assert block[100:104] == [0, 0, 1 << 8, 0]
    assert cylinders(100, 0, 63) == 0


def test_strings_have_their_bytes_exchanged():
    assert text("ABC", 4) == b"BA C"


def test_read_sectors_gives_a_block_and_an_interrupt_a_sector(kit):
    bench, medium = kit.with_disk()
    bench.address(5, 2)
    bench.put(COMMAND, 0x20)
    assert (bench.alternate, bench.wire.level) == (WORKING, False)
    bench.wait()
    for sector in (5, 6):
        assert (bench.wire.level, bench.get(STATUS), bench.wire.level) == (True, WAITING, False)
        assert bench.read_block() == medium.data[sector * 512 : sector * 512 + 512]
        bench.wait()
    assert (bench.alternate, bench.wire.level) == (GOOD, False)
    assert (bench.get(COUNT), bench.get(LOW)) == (0, 6)


def test_a_count_of_0_is_256_sectors(kit):
    bench, medium = kit.with_disk(300)
    bench.address(10, 0)
    bench.command(0x20)
    data = b""
    while bench.get(STATUS) & 0x08:
        data += bench.read_block()
        bench.wait()
    assert data == medium.data[10 * 512 : 266 * 512]


def test_a_count_of_0_in_48_bits_is_65536_sectors(kit):
    bench, _medium = kit.with_disk(10)
    bench.address(0, 0, extended=True)
    bench.command(0x42)  # READ VERIFY EXT goes on to the end, and past it
    assert result(bench) == (FAILED, IDNF)


def test_write_sectors_asks_without_an_interrupt_and_tells_each_sector_with_one(kit):
    bench, medium = kit.with_disk()
    bench.address(3, 2)
    bench.put(COMMAND, 0x30)
    bench.wait()
    assert (bench.alternate, bench.wire.level) == (WAITING, False)
    bench.write_block(b"a" * 512)
    assert (bench.wire.level, bench.get(STATUS)) == (True, WAITING)
    bench.write_block(b"b" * 512)
    bench.wait()
    assert (bench.wire.level, bench.get(STATUS)) == (True, GOOD)
    assert medium.data[3 * 512 : 5 * 512] == b"a" * 512 + b"b" * 512


def test_chs_addresses_go_through_the_translation(kit):
    bench, medium = kit.with_disk(16 * 63 * 3)
    bench.put(COUNT, 1)
    bench.put(LOW, 7)
    bench.put(MID, 1)
    bench.put(HIGH, 0)
    bench.put(DEVICE, 0xA2)
    bench.command(0x20)
    lba = (1 * 16 + 2) * 63 + 6
    assert bench.read_block() == medium.data[lba * 512 : lba * 512 + 512]
    assert (bench.get(LOW), bench.get(MID), bench.get(DEVICE)) == (7, 1, 0xA2)


@pytest.mark.parametrize(("head", "sector"), [(2, 0), (2, 64), (15, 63)])
def test_a_place_that_is_not_on_the_disk_is_not_found(kit, head, sector):
    bench, _ = kit.with_disk(16 * 63)
    bench.put(COUNT, 1)
    bench.put(LOW, sector)
    bench.put(MID, 1 if head == 15 else 0)
    bench.put(HIGH, 0)
    bench.put(DEVICE, 0xA0 | head)
    assert bench.command(0x20) == FAILED
    assert bench.get(ERROR) == IDNF


def test_initialize_device_parameters_changes_the_translation(kit):
    bench, medium = kit.with_disk(4 * 17 * 9)
    bench.put(COUNT, 17)
    bench.put(DEVICE, 0xA3)
    assert bench.command(0x91) == GOOD
    assert identity(bench)[54:57] == [9, 4, 17]
    bench.put(COUNT, 1)
    bench.put(LOW, 1)
    bench.put(MID, 1)
    bench.put(DEVICE, 0xA0)
    bench.command(0x20)
    assert bench.read_block() == medium.data[4 * 17 * 512 : (4 * 17 + 1) * 512]


def test_48_bit_commands_take_the_high_halves_from_what_was_written_before(kit):
    bench, medium = kit.with_disk(70)
    bench.address(69, 1, extended=True)
    assert bench.command(0x24) == WAITING
    assert bench.read_block() == medium.data[69 * 512 :]
    bench.address(1 << 24 | 5, 1, extended=True)
    assert bench.command(0x24) == FAILED
    assert bench.get(ERROR) == IDNF
    assert bench.get(LOW) == 5
    bench.control.write(0, 1, 0x80)
    assert bench.get(LOW) == 1


def test_read_multiple_is_refused_until_a_block_size_is_set(kit):
    bench, medium = kit.with_disk()
    bench.address(0, 1)
    assert bench.command(0xC4) == FAILED
    assert bench.get(ERROR) == ABRT
    bench.put(COUNT, 4)
    assert bench.command(0xC6) == GOOD
    assert identity(bench)[59] == 0x0104
    bench.address(1, 6)
    assert bench.command(0xC4) == WAITING
    assert bench.read_block(4 * 512) == medium.data[512 : 5 * 512]
    bench.wait()
    assert bench.get(STATUS) == WAITING
    assert bench.read_block(2 * 512) == medium.data[5 * 512 : 7 * 512]
    bench.wait()
    assert bench.get(STATUS) == GOOD


def test_write_multiple_writes_blocks_and_a_rest(kit):
    bench, medium = kit.with_disk()
    bench.put(COUNT, 2)
    bench.command(0xC6)
    bench.address(10, 3)
    bench.command(0xC5)
    bench.write_block(b"x" * 1024)
    bench.wait()
    assert bench.get(STATUS) == WAITING
    bench.write_block(b"y" * 512)
    bench.wait()
    assert bench.get(STATUS) == GOOD
    assert medium.data[10 * 512 : 13 * 512] == b"x" * 1024 + b"y" * 512


@pytest.mark.parametrize("count", [3, 32, 255])
def test_a_block_size_that_is_no_power_of_two_or_too_large_is_refused(kit, count):
    bench, _ = kit.with_disk()
    bench.put(COUNT, count)
    assert bench.command(0xC6) == FAILED


def test_reading_past_the_end_gives_what_there_is_and_then_idnf(kit):
    bench, medium = kit.with_disk(100)
    bench.address(99, 2)
    assert bench.command(0x20) == WAITING
    assert bench.read_block() == medium.data[99 * 512 :]
    bench.wait()
    assert (bench.wire.level, *result(bench)) == (True, FAILED, IDNF)
    assert bench.get(LOW) == 100


def test_a_sector_that_the_host_cannot_read_is_uncorrectable_and_named(kit):
    bench, medium = kit.with_disk()
    medium.bad = {7}
    bench.address(6, 3)
    assert bench.command(0x20) == WAITING
    bench.read_block()
    bench.wait()
    assert result(bench) == (FAILED, UNC)
    assert (bench.get(LOW), bench.get(COUNT)) == (7, 2)


def test_a_bad_sector_in_a_multiple_block_is_named(kit):
    bench, medium = kit.with_disk()
    medium.bad = {7}
    bench.put(COUNT, 8)
    bench.command(0xC6)
    bench.address(4, 8)
    assert bench.command(0xC4) == FAILED
    assert (bench.get(ERROR), bench.get(LOW)) == (UNC, 7)


def test_verify_reads_without_data_and_names_what_it_cannot(kit):
    bench, medium = kit.with_disk()
    bench.address(0, 20)
    assert bench.command(0x40) == GOOD
    medium.bad = {13}
    bench.address(0, 20)
    assert bench.command(0x40) == FAILED
    assert (bench.get(ERROR), bench.get(LOW)) == (UNC, 13)


def test_a_write_that_the_host_refuses_is_aborted(kit):
    bench, _medium = kit.with_disk(read_only=True)
    bench.address(0, 2)
    bench.command(0x30)
    bench.write_block(bytes(512))
    bench.wait()
    assert result(bench) == (FAILED, ABRT)


def test_a_write_that_the_host_cannot_do_is_a_device_fault(kit):
    bench, medium = kit.with_disk()
    medium.bad = {1}
    bench.address(1, 1)
    bench.command(0x30)
    bench.write_block(bytes(512))
    bench.wait()
    assert result(bench) == (FAILED | 0x20, ABRT)


def test_flush_reaches_the_medium_and_its_failure_the_guest(kit):
    bench, medium = kit.with_disk()
    assert bench.command(0xE7) == GOOD
    assert bench.command(0xEA) == GOOD
    assert medium.flushes == 2
    medium.flush_fails = True
    assert bench.command(0xE7) == FAILED | 0x20
    assert bench.get(ERROR) == ABRT


@pytest.mark.parametrize("code", [0x00, 0x08, 0xA0, 0xA1, 0xB0, 0xDE, 0xF9, 0x92])
def test_what_the_disk_does_not_do_is_aborted(kit, code):
    bench, _ = kit.with_disk()
    bench.put(COMMAND, code)
    bench.wait()
    assert bench.wire.level
    assert result(bench) == (FAILED, ABRT)


@pytest.mark.parametrize("code", [0x10, 0x1F, 0x95, 0x97, 0xE1, 0xE3, 0xE0, 0xE2])
def test_recalibrate_and_power_commands_end_well(kit, code):
    bench, _ = kit.with_disk()
    assert bench.command(code) == GOOD


def test_seek_finds_or_not(kit):
    bench, _ = kit.with_disk(100)
    bench.address(99, 1)
    assert bench.command(0x70) == GOOD
    bench.address(100, 1)
    assert bench.command(0x70) == FAILED
    assert bench.get(ERROR) == IDNF


def test_check_power_mode_knows_standby(kit):
    bench, _ = kit.with_disk()
    bench.command(0xE5)
    assert bench.get(COUNT) == 0xFF
    bench.command(0xE0)
    bench.command(0xE5)
    assert bench.get(COUNT) == 0x00
    bench.address(0, 1)
    bench.command(0x40)
    bench.command(0xE5)
    assert bench.get(COUNT) == 0xFF


def test_native_max_is_the_last_sector(kit):
    bench, _ = kit.with_disk(0x1234)
    bench.put(DEVICE, 0xE0)
    assert bench.command(0xF8) == GOOD
    assert [bench.get(at) for at in (LOW, MID, HIGH, DEVICE)] == [0x33, 0x12, 0, 0xE0]
    assert bench.command(0x27) == GOOD
    assert [bench.get(at) for at in (LOW, MID, HIGH)] == [0x33, 0x12, 0]


def set_feature(bench, feature, value=0):
    bench.put(FEATURES, feature)
    bench.put(COUNT, value)
    return bench.command(0xEF)


def test_set_features_chooses_the_dma_mode(kit):
    bench, _ = kit.with_disk()
    assert set_feature(bench, 0x03, 0x45) == GOOD
    told = identity(bench)
    assert (told[63] >> 8, told[88] >> 8) == (0, 0x20)
    assert set_feature(bench, 0x03, 0x22) == GOOD
    told = identity(bench)
    assert (told[63] >> 8, told[88] >> 8) == (4, 0)
    assert set_feature(bench, 0x03, 0x0C) == GOOD
    assert identity(bench)[63] >> 8 == 4
    assert set_feature(bench, 0x03, 0x46) == FAILED
    assert set_feature(bench, 0x77) == FAILED


def test_set_features_switches_the_write_cache(kit):
    bench, _ = kit.with_disk()
    assert identity(bench)[85] & 0x20
    assert set_feature(bench, 0x82) == GOOD
    assert not identity(bench)[85] & 0x20
    assert set_feature(bench, 0x02) == GOOD
    assert identity(bench)[85] & 0x20


def soft_reset(bench):
    bench.control.write(0, 1, 0x04)
    bench.control.write(0, 1, 0x00)
    bench.wait()


def test_a_soft_reset_reverts_the_settings_unless_told_not_to(kit):
    bench, _ = kit.with_disk()
    bench.put(COUNT, 4)
    bench.command(0xC6)
    soft_reset(bench)
    assert identity(bench)[59] == 0
    bench.put(COUNT, 4)
    bench.command(0xC6)
    set_feature(bench, 0x66)
    soft_reset(bench)
    assert identity(bench)[59] == 0x0104


SECTORS = 40
COMMANDS = st.tuples(
    st.sampled_from([0x20, 0x30, 0xC4, 0xC5, 0x24, 0x34, 0x40]), st.integers(0, SECTORS + 3), st.integers(1, 9),
    st.integers(0, 255),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(COMMANDS, max_size=8), st.sets(st.integers(0, SECTORS - 1), max_size=3))
def test_random_transfers_agree_with_a_model(kit, commands, bad):
    """The model: an array of sectors. A block is moved whole, or the command ends at its first bad sector."""
    bench, medium = kit.with_disk(SECTORS)
    medium.bad = set(bad)
    model = bytearray(medium.data)
    bench.put(COUNT, 4)
    bench.command(0xC6)
    for code, lba, count, fill in commands:
        extended, writes, multiple = code in (0x24, 0x34), code in (0x30, 0xC5, 0x34), code in (0xC4, 0xC5)
        bench.address(lba, count, extended=extended)
        status = bench.command(code)
        left = count
        while left:
            block = min(left, 4 if multiple else 1) if code != 0x40 else left
            here = range(lba, lba + block)
            fails_early = here[0] >= SECTORS if writes else (here[-1] >= SECTORS or bad & set(here))
            if not fails_early and code != 0x40:
                assert status == WAITING
                if writes:
                    data = bytes([fill]) * (512 * block)
                    bench.write_block(data)
                    bench.wait()
                    status = bench.get(STATUS)
                else:
                    assert bench.read_block(512 * block) == model[lba * 512 : (lba + block) * 512]
                    bench.wait()
                    status = bench.get(STATUS)
            if here[-1] >= SECTORS:
                assert (status, bench.get(ERROR)) == (FAILED, IDNF)
                break
            if bad & set(here):
                assert (status & ~0x20, bench.get(ERROR)) == (FAILED, ABRT if writes else UNC)
                if not writes:
                    assert bench.get(LOW) == min(bad & set(here))
                break
            if writes:
                model[lba * 512 : (lba + block) * 512] = data
            lba, left = lba + block, left - block
        else:
            assert status == GOOD
    assert medium.data == model
