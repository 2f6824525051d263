"""An ATA channel: registers, selection, interrupts, reset, bursts (ATA/ATAPI-6, sections 7 and 9)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.devices.ata.atapi import AtapiCdrom
from minivm.devices.ata.disk import AtaDisk
from minivm.devices.ata.unit import COUNT, DEVICE, HIGH, LOW, MID

STATUS = COMMAND = 7
ERROR = 1


def signature(bench):
    return [bench.get(register) for register in (COUNT, LOW, MID, HIGH)]


def test_after_power_on_a_disk_shows_its_signature_and_is_ready(kit):
    bench, _ = kit.with_disk()
    assert signature(bench) == [1, 1, 0, 0]
    assert (bench.get(ERROR), bench.get(STATUS)) == (0x01, 0x50)


def test_after_power_on_a_packet_drive_shows_its_signature_and_is_not_ready(kit):
    bench, *_ = kit.with_cdrom()
    assert signature(bench) == [1, 1, 0x14, 0xEB]
    assert (bench.get(ERROR), bench.get(STATUS)) == (0x01, 0x00)


def test_an_empty_cable_floats_and_never_looks_busy(kit):
    bench = kit.Bench()
    assert [bench.get(register) for register in range(1, 8)] == [0x7F] * 7
    assert bench.alternate == 0x7F
    assert bench.port.read(0, 2) == 0xFFFF
    bench.put(DEVICE, 0xE0)
    bench.put(COMMAND, 0xEC, 0x90)
    bench.wait()
    assert bench.get(STATUS) == 0x7F


def test_drive_0_answers_for_an_absent_drive_1_with_a_status_of_0(kit):
    bench, _ = kit.with_disk()
    bench.put(DEVICE, 0xB0)
    assert (bench.get(STATUS), bench.alternate) == (0, 0)
    bench.put(COUNT, 0x55)
    assert bench.get(COUNT) == 0x55
    bench.put(COMMAND, 0xEC)
    bench.wait()
    assert (bench.get(STATUS), bench.wire.level) == (0, False)
    bench.put(DEVICE, 0xA0)
    assert bench.get(STATUS) == 0x50


def test_a_lonely_drive_1_leaves_drive_0_floating(kit):
    bench = kit.Bench(None, AtaDisk(kit.Medium(kit.pattern(10))))
    assert bench.get(STATUS) == 0x7F
    bench.put(DEVICE, 0xB0)
    assert bench.get(STATUS) == 0x50


def test_both_drives_hear_a_register_but_only_the_selected_one_a_command(kit):
    bench = kit.Bench(AtaDisk(kit.Medium(kit.pattern(10))), AtaDisk(kit.Medium(kit.pattern(20))))
    bench.put(LOW, 0x33)
    bench.put(DEVICE, 0xF0)
    assert bench.get(LOW) == 0x33
    assert bench.command(0xF8) == 0x50  # READ NATIVE MAX of drive 1
    assert bench.get(LOW) == 19
    bench.put(DEVICE, 0xE0)
    assert bench.get(LOW) == 0x33


def test_reading_the_status_takes_the_interrupt_back_and_the_alternate_status_does_not(kit):
    bench, _ = kit.with_disk()
    bench.put(COMMAND, 0x10)
    assert (bench.get(STATUS), bench.wire.level) == (0xD0, False)
    bench.wait()
    assert bench.wire.level
    assert bench.alternate == 0x50
    assert bench.wire.level
    assert bench.get(STATUS) == 0x50
    assert not bench.wire.level


def test_nien_cuts_the_line_and_keeps_the_interrupt(kit):
    bench, _ = kit.with_disk()
    bench.control.write(0, 1, 0x02)
    bench.put(COMMAND, 0x10)
    bench.wait()
    assert not bench.wire.level
    bench.control.write(0, 1, 0x00)
    assert bench.wire.level


def test_the_interrupt_of_the_drive_that_is_not_selected_waits(kit):
    bench = kit.Bench(AtaDisk(kit.Medium(kit.pattern(10))), AtaDisk(kit.Medium(kit.pattern(10))))
    bench.put(COMMAND, 0x10)
    bench.wait()
    bench.put(DEVICE, 0xB0)
    assert not bench.wire.level
    bench.put(DEVICE, 0xA0)
    assert bench.wire.level


def test_a_new_command_takes_an_old_interrupt_back(kit):
    bench, _ = kit.with_disk()
    bench.put(COMMAND, 0x10)
    bench.wait()
    bench.put(COMMAND, 0x10)
    assert not bench.wire.level


def test_the_hob_bit_shows_what_was_written_before_until_the_next_write(kit):
    bench, _ = kit.with_disk()
    bench.put(COUNT, 0x12, 0x34)
    assert bench.get(COUNT) == 0x34
    bench.control.write(0, 1, 0x80)
    assert bench.get(COUNT) == 0x12
    bench.put(LOW, 0)
    assert bench.get(COUNT) == 0x34


def test_soft_reset_keeps_both_drives_busy_and_then_shows_signatures(kit):
    bench = kit.Bench(AtaDisk(kit.Medium(kit.pattern(10))), AtapiCdrom(kit.Medium(kit.pattern(8))))
    bench.put(DEVICE, 0xF5)
    bench.control.write(0, 1, 0x04)
    bench.wait()
    assert bench.alternate == 0x80
    bench.control.write(0, 1, 0x00)
    assert bench.alternate == 0x80
    bench.wait()
    assert (bench.alternate, bench.get(ERROR), bench.get(DEVICE), signature(bench)) == (0x50, 1, 0xA0, [1, 1, 0, 0])
    bench.put(DEVICE, 0xB0)
    assert (bench.alternate, signature(bench)) == (0x00, [1, 1, 0x14, 0xEB])
    assert not bench.wire.level


def test_soft_reset_ends_a_transfer_in_its_middle(kit):
    bench, _ = kit.with_disk()
    bench.address(0, 4)
    bench.command(0x20)
    bench.read_block(100)
    bench.control.write(0, 1, 0x04)
    bench.control.write(0, 1, 0x00)
    bench.wait()
    assert bench.alternate == 0x50
    bench.address(7, 1)
    bench.command(0x20)
    assert bench.read_block() == kit.pattern(8)[7 * 512 :]


def test_the_diagnostic_is_for_both_drives_whichever_is_selected(kit):
    bench = kit.Bench(AtaDisk(kit.Medium(kit.pattern(10))), AtapiCdrom(kit.Medium(kit.pattern(8))))
    bench.put(DEVICE, 0xB0)
    bench.put(COMMAND, 0x90)
    assert bench.alternate == 0x80
    bench.wait()
    assert bench.wire.level
    assert (bench.get(STATUS), bench.get(ERROR), signature(bench)) == (0x50, 0x01, [1, 1, 0, 0])
    bench.put(DEVICE, 0xB0)
    assert signature(bench) == [1, 1, 0x14, 0xEB]


def test_a_busy_drive_hears_no_registers_and_no_commands(kit):
    bench, _ = kit.with_disk()
    bench.address(5, 1)
    bench.put(COMMAND, 0x20)
    bench.put(LOW, 9)
    bench.put(COMMAND, 0xEC)
    bench.wait()
    assert bench.read_block() == kit.pattern(6)[5 * 512 :]


def test_the_data_register_is_16_and_32_bits_wide_and_the_others_split(kit):
    bench, medium = kit.with_disk()
    bench.address(1, 1)
    bench.command(0x20)
    assert bench.port.read(0, 4) == int.from_bytes(medium.data[512:516], "little")
    assert bench.port.read(0, 2) == int.from_bytes(medium.data[516:518], "little")
    assert bench.port.read(0, 1) == medium.data[518]
    assert bench.port.read(0, 2) == int.from_bytes(medium.data[520:522], "little")
    other, _ = kit.with_disk()
    other.port.write(COUNT, 2, 0x1234)
    assert (other.get(COUNT), other.get(LOW), other.port.read(COUNT, 2)) == (0x34, 0x12, 0x1234)


def test_the_data_register_floats_without_a_request(kit):
    bench, _ = kit.with_disk()
    assert bench.port.read(0, 2) == 0xFFFF
    bench.port.write(0, 2, 0x1234)
    assert bench.alternate == 0x50


def test_a_burst_leaves_the_last_item_of_a_block_to_a_single_access(kit):
    bench, medium = kit.with_disk()
    bench.address(0, 2)
    bench.command(0x20)
    assert bench.port.read_burst(0, 2, 1000) == medium.data[:510]
    assert bench.port.read_burst(0, 2, 1000) is None
    assert bench.alternate == 0x58
    assert bench.port.read(0, 2) == int.from_bytes(medium.data[510:512], "little")
    assert bench.port.read_burst(0, 4, 3) == medium.data[512:524]
    assert bench.port.read_burst(COUNT, 2, 3) is None


def test_there_is_no_burst_without_a_block(kit):
    bench, _ = kit.with_disk()
    assert bench.port.read_burst(0, 2, 10) is None
    assert bench.port.write_burst(0, 2, b"abcd") == 0
    assert kit.Bench().port.read_burst(0, 2, 10) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2, 4]), st.integers(1, 200)), max_size=12), st.integers(1, 3))
def test_bursts_give_what_single_reads_give(kit, parts, count):
    streams, ends = [], []
    for bursts in (False, True):
        bench, _ = kit.with_disk(10)
        bench.address(2, count)
        bench.command(0x20)
        stream = b""
        for size, items in parts:
            left = items
            while left:
                burst = bench.port.read_burst(0, size, left) if bursts else None
                taken = burst if burst is not None else bench.port.read(0, size).to_bytes(size, "little")
                stream += taken
                left -= len(taken) // size
                bench.wait(1)
        streams.append(stream)
        ends.append(bench.channel.state())
    assert streams[0] == streams[1]
    assert ends[0] == ends[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2, 4]), st.binary(min_size=4, max_size=600)), max_size=8))
def test_bursts_write_what_single_writes_write(kit, parts):
    media, ends = [], []
    for bursts in (False, True):
        bench, medium = kit.with_disk(10)
        bench.address(2, 3)
        bench.command(0x30)
        for size, data in parts:
            data = data[: len(data) // size * size]
            while data:
                taken = bench.port.write_burst(0, size, data) if bursts else 0
                if not taken:
                    bench.port.write(0, size, int.from_bytes(data[:size], "little"))
                data = data[max(taken, 1) * size :]
                bench.wait(1)
        media.append(medium.data)
        ends.append(bench.channel.state())
    assert media[0] == media[1]
    assert ends[0] == ends[1]


ACCESSES = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 7), st.sampled_from([1, 2, 4]), st.integers(0, 0xFFFFFFFF)),
    st.tuples(st.just("write"), st.just(7), st.just(1), st.sampled_from([0x20, 0x24, 0x25, 0x30, 0x35, 0x90, 0xA0, 0xA1,
              0x08, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0xEC, 0xEF, 0x91, 0x40, 0xE7])),
    st.tuples(st.just("read"), st.integers(0, 7), st.sampled_from([1, 2, 4]), st.just(0)),
    st.tuples(st.just("control"), st.just(0), st.just(1), st.integers(0, 0xFF)),
    st.tuples(st.just("master"), st.integers(0, 15), st.sampled_from([1, 2, 4]), st.integers(0, 0xFFFFFFFF)),
    st.tuples(st.just("burst"), st.just(0), st.sampled_from([2, 4]), st.integers(1, 300)),
    st.tuples(st.just("wait"), st.just(0), st.just(1), st.integers(0, 10_000)),
)  # fmt: skip


def do(bench, access):
    kind, offset, size, value = access
    match kind:
        case "write":
            bench.port.write(offset, size, value & (1 << 8 * size) - 1)
        case "read":
            return bench.port.read(offset, size)
        case "control":
            bench.control.write(0, 1, value)
            return bench.alternate
        case "master":
            bench.master.write(offset & -size, size, value & (1 << 8 * size) - 1)
            return bench.master.read(offset & -size, size)
        case "burst":
            taken = bench.port.write_burst(0, size, bytes(range(256)) * 4)
            return taken, bench.port.read_burst(0, size, value)
        case "wait":
            bench.wait(value)
    return None


@settings(max_examples=150, deadline=None)
@given(st.lists(ACCESSES, max_size=60), st.lists(ACCESSES, max_size=30))
def test_garbage_never_raises_and_a_restored_channel_goes_on_alike(kit, before, after):
    bench, twin = (
        kit.Bench(AtaDisk(kit.Medium(kit.pattern(64))), AtapiCdrom(kit.Medium(kit.pattern(64)))) for _ in range(2)
    )
    for access in before:
        do(bench, access)
        for unit in bench.channel.units:
            assert 0 <= unit.status <= 0xFF
    twin.clock.reset_to(bench.clock.now)
    twin.channel.restore(bench.channel.state())
    twin.master.restore(bench.master.state())
    twin.ram.data[:] = bench.ram.data
    for at in (0, 1):
        twin.channel.units[at].drive.medium.data[:] = bench.channel.units[at].drive.medium.data
    assert twin.channel.state() == bench.channel.state()
    assert twin.wire.level == bench.wire.level
    for access in after:
        assert do(twin, access) == do(bench, access)
        assert twin.wire.level == bench.wire.level
    assert twin.channel.state() == bench.channel.state()
    assert twin.master.state() == bench.master.state()
    assert twin.ram.data == bench.ram.data
