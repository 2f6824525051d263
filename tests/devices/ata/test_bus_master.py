"""The IDE bus master (SFF-8038i): tables of regions, its status, and what DMA does at the edges of memory."""

from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.devices.ata.bus_master import BYTES_PER_MICROSECOND

STATUS = COMMAND = 7
ERROR = 1
READ_DMA, WRITE_DMA, READ_DMA_EXT = 0xC8, 0xCA, 0x25
ACTIVE, INTERRUPT, CAPABLE = 0x01, 0x04, 0x60


def test_registers_keep_what_can_be_written(kit):
    bench, _ = kit.with_disk()
    bench.master.write(0, 1, 0xF8)
    assert bench.master.read(0, 1) == 0x08
    bench.master.write(2, 1, 0xFF)
    assert bench.dma_status == CAPABLE
    bench.master.write(4, 4, 0x12345677)
    assert bench.master.read(4, 4) == 0x12345674
    bench.master.write(12, 2, 0xABCD)
    assert bench.master.read(12, 4) == 0x0000ABCC
    assert bench.master.read(8, 4) == 0
    assert bench.master.read(1, 1) == 0


def read(bench, lba, count, *regions, **options):
    bench.table(*regions, **options)
    bench.address(lba, count)
    bench.start()
    bench.put(COMMAND, READ_DMA)
    bench.wait(20_000)


def test_a_read_lands_in_the_regions_in_order(kit):
    bench, medium = kit.with_disk()
    read(bench, 10, 3, (0x3000, 512), (0x1000, 1000), (0x5002, 24))
    ram = bench.ram.data
    assert ram[0x3000:0x3200] + ram[0x1000:0x13E8] + ram[0x5002:0x501A] == medium.data[5120 : 13 * 512]
    assert bench.wire.level
    assert bench.dma_status == INTERRUPT
    assert bench.get(STATUS) == 0x50
    bench.master.write(2, 1, INTERRUPT)
    assert bench.dma_status == 0


def test_a_write_takes_from_the_regions(kit):
    bench, medium = kit.with_disk()
    bench.ram.data[0x2000:0x2800] = kit.pattern(4, seed=99)
    bench.table((0x2000, 700), (0x2000 + 700, 2048 - 700))
    bench.address(20, 4)
    bench.start(into_memory=False)
    bench.put(COMMAND, WRITE_DMA)
    bench.wait(20_000)
    assert medium.data[20 * 512 : 24 * 512] == kit.pattern(4, seed=99)
    assert (bench.get(STATUS), bench.dma_status) == (0x50, INTERRUPT)


def test_a_length_of_0_is_64_kib_and_one_read_of_the_disk(kit):
    bench, medium = kit.with_disk(256)
    read(bench, 0, 0, (0x10000, 0), (0x40000, 0))
    assert bench.ram.data[0x10000:0x20000] == medium.data[:0x10000]
    assert bench.ram.data[0x40000:0x50000] == medium.data[0x10000:]
    assert medium.reads == [(0, 128), (128, 128)]
    assert len(bench.ram.writes) == 2


def test_a_transfer_takes_its_time(kit):
    bench, _ = kit.with_disk(256)
    bench.table((0x10000, 0))
    bench.address(0, 128)
    bench.start()
    bench.put(COMMAND, READ_DMA)
    bench.wait(65536 // BYTES_PER_MICROSECOND)
    assert bench.dma_status == ACTIVE
    assert bench.alternate & 0x80
    bench.wait(20)
    assert bench.dma_status == INTERRUPT


def test_the_command_may_come_before_the_start(kit):
    bench, medium = kit.with_disk()
    bench.table((0x1000, 512))
    bench.address(4, 1)
    bench.put(COMMAND, READ_DMA)
    bench.wait(1000)
    assert bench.alternate & 0x88
    bench.start()
    bench.wait(1000)
    assert bench.ram.data[0x1000:0x1200] == medium.data[4 * 512 : 5 * 512]


def test_more_room_than_data_leaves_the_master_active(kit):
    bench, medium = kit.with_disk()
    read(bench, 1, 1, (0x1000, 2048))
    assert bench.dma_status == ACTIVE | INTERRUPT
    assert bench.ram.data[0x1000:0x1400] == medium.data[512:1024] + bytes(512)
    bench.master.write(0, 1, 0)
    assert bench.dma_status == INTERRUPT


def test_less_room_than_data_ends_the_master_and_leaves_the_drive_waiting(kit):
    bench, _medium = kit.with_disk()
    read(bench, 1, 4, (0x1000, 1024))
    assert (bench.dma_status, bench.wire.level) == (0, False)
    assert bench.alternate & 0x80
    bench.control.write(0, 1, 4)
    bench.control.write(0, 1, 0)
    bench.wait()
    assert bench.get(STATUS) == 0x50


def test_stopping_in_the_middle_moves_nothing_more(kit):
    bench, medium = kit.with_disk(256)
    bench.table((0x10000, 0), (0x20000, 0))
    bench.address(0, 0)
    bench.start()
    bench.put(COMMAND, READ_DMA)
    bench.wait(800)
    bench.master.write(0, 1, 0)
    bench.wait(10_000)
    assert bench.ram.data[0x10000:0x20000] == medium.data[:0x10000]
    assert not any(bench.ram.data[0x20000:0x30000])
    assert (bench.dma_status, bench.wire.level) == (0, False)


def test_the_wrong_direction_moves_nothing(kit):
    bench, medium = kit.with_disk()
    before = bytes(medium.data)
    bench.table((0x1000, 512))
    bench.address(0, 1)
    bench.start(into_memory=True)
    bench.put(COMMAND, WRITE_DMA)
    bench.wait()
    assert medium.data == before
    assert bench.dma_status == ACTIVE


def test_a_read_past_the_end_of_the_disk_ends_with_idnf_and_an_interrupt(kit):
    bench, _ = kit.with_disk(10)
    read(bench, 8, 4, (0x1000, 2048))
    assert bench.dma_status & INTERRUPT
    assert (bench.get(STATUS), bench.get(ERROR)) == (0x51, 0x10)


def test_a_sector_that_cannot_be_read_ends_with_unc(kit):
    bench, medium = kit.with_disk(10)
    medium.bad = {5}
    read(bench, 4, 4, (0x1000, 512), (0x1200, 1536))
    assert (bench.get(STATUS), bench.get(ERROR), bench.get(3)) == (0x51, 0x40, 5)
    assert bench.ram.data[0x1000:0x1200] == medium.data[4 * 512 : 5 * 512]


def test_memory_that_is_not_there_takes_nothing_and_gives_ones(kit):
    bench, medium = kit.with_disk()
    read(bench, 0, 2, (0x0FFF00, 512), (0xF0000000, 512))
    assert bench.ram.data[0xFFF00:] == medium.data[:256]
    assert (bench.get(STATUS), bench.dma_status) == (0x50, INTERRUPT)
    bench.table((0xFFFFFF00, 512))
    bench.address(3, 1)
    bench.master.write(0, 1, 0)
    bench.start(into_memory=False)
    bench.put(COMMAND, WRITE_DMA)
    bench.wait()
    assert medium.data[3 * 512 : 4 * 512] == b"\xff" * 512


def test_a_table_outside_memory_harms_nobody(kit):
    bench, _medium = kit.with_disk()
    bench.master.write(4, 4, 0xFFFFFFF8)
    bench.address(0, 8)
    bench.start()
    bench.put(COMMAND, READ_DMA)
    bench.wait(10_000)
    assert bench.get(STATUS) == 0x50


def test_a_pio_interrupt_shows_in_the_status_too(kit):
    bench, _ = kit.with_disk()
    bench.put(COMMAND, 0xEC)
    bench.wait()
    assert bench.dma_status == INTERRUPT


def test_the_channels_do_not_disturb_each_other(kit):
    bench, _ = kit.with_disk()
    bench.put(COMMAND, 0xEC)
    bench.wait()
    assert bench.master.read(10, 1) == 0


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 0x3000), st.integers(1, 1500)), min_size=1, max_size=6),
    st.integers(0, 30), st.integers(1, 12), st.booleans(),
)  # fmt: skip
def test_random_tables_agree_with_a_model(kit, regions, lba, count, writes):
    bench, medium = kit.with_disk(48)
    bench.ram.data[:] = kit.pattern(2048, seed=5)
    regions = [(0x4000 + address & ~1, length & ~1 or 2) for address, length in regions]
    memory, disk = bytearray(bench.ram.data), bytearray(medium.data)
    stream, wanted = bytearray(), count * 512
    for address, length in regions:
        moved = min(length, wanted - len(stream))
        if not writes:
            memory[address : address + moved] = disk[lba * 512 + len(stream) : lba * 512 + len(stream) + moved]
        stream += memory[address : address + moved]
    whole = len(stream) // 512 * 512
    if writes:
        disk[lba * 512 : lba * 512 + whole] = stream[:whole]
    bench.table(*regions)
    memory[0x100 : 0x100 + 48] = bench.ram.data[0x100 : 0x100 + 48]
    bench.address(lba, count)
    bench.start(into_memory=not writes)
    bench.put(COMMAND, WRITE_DMA if writes else READ_DMA)
    bench.wait(5000)
    room = sum(length for _, length in regions)
    assert bench.ram.data == memory
    assert medium.data == disk
    assert bench.dma_status == (INTERRUPT if room == wanted else ACTIVE | INTERRUPT if room > wanted else 0)
    assert bench.alternate & 0x80 == (0 if room >= wanted else 0x80)
