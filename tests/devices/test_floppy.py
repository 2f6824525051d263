"""The 82077AA against its datasheet (Intel 290166), with a real 8237A pair and images in memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.describe import Access, sentence
from minivm.core.device import Wire
from minivm.core.plain import from_plain, to_plain
from minivm.devices.dma import DmaPair
from minivm.devices.floppy.controller import FloppyController, FloppyState
from minivm.devices.floppy.drive import FloppyMedium
from minivm.devices.floppy.transfer import OVERRUN_NS, ROTATION_NS
from minivm.devices.registers import floppy as floppy_words
from minivm.errors import DiskError

SRA, SRB, DOR, TDR, MSR, FIFO, DIR = 0, 1, 2, 3, 4, 5, 7
DSR, CCR = MSR, DIR
MOTORS, GATE, NOT_RESET = 0x30, 0x08, 0x04
ON = MOTORS | GATE | NOT_RESET
RQM, DIO, NON_DMA, BUSY = 0x80, 0x40, 0x20, 0x10
MS = 1_000_000
BUFFER = 0x10000
DMA_WRITE, DMA_READ, DMA_VERIFY = 0x46, 0x4A, 0x42
"""Single mode, channel 2: to memory, from memory, neither."""
READ, WRITE, FORMAT, READ_ID = 0xE6, 0xC5, 0x4D, 0x4A
RATES = {"1.44M": 0, "720K": 2, "2.88M": 3, "360K": 1}
SHAPES = {"1.44M": (80, 2, 18), "720K": (80, 2, 9), "2.88M": (80, 2, 36), "360K": (40, 2, 9), "160K": (40, 1, 8)}


class Image:
    """A floppy's sectors, each filled with its number until somebody writes; `bad` ones cannot be reached."""

    def __init__(self, sectors, *, read_only=False):
        self.sectors, self.read_only = sectors, read_only
        self.data = {}
        self.bad = set()

    def read(self, lba, count):
        assert 0 <= lba <= self.sectors - count
        if self.bad & set(range(lba, lba + count)):
            raise DiskError("bad")
        return b"".join(self.data.get(place, bytes((place & 0xFF,)) * 512) for place in range(lba, lba + count))

    def write(self, lba, data):
        assert 0 <= lba <= self.sectors - len(data) // 512 and len(data) % 512 == 0
        if self.read_only or lba in self.bad:
            raise DiskError("no")
        self.data[lba] = data

    def flush(self):
        pass


class Ram:
    def __init__(self):
        self.bytes = bytearray(0x40000)

    def read(self, address, length):
        return bytes(self.bytes[address : address + length])

    def write(self, address, data):
        self.bytes[address : address + len(data)] = data


def medium(kind="1.44M", **options):
    cylinders, heads, sectors = SHAPES[kind]
    return FloppyMedium(Image(cylinders * heads * sectors, **options), cylinders, heads, sectors)


class Desk:
    """A controller with its interrupt, its DMA and a floppy in drive 0; out of reset, motors on."""

    def __init__(self, inserted=None, *, drives=(True, False), start=True):
        self.clock = Clock()
        self.edges = 0
        self.irq = Wire(self._edge)
        self.ram = Ram()
        self.dma = DmaPair(self.ram)
        self.chip = FloppyController(self.clock, self.irq, dma=self.dma.channel(2), drives=drives)
        self.medium = inserted or medium()
        self.image = self.medium.device
        self.chip.insert(0, self.medium)
        if start:
            self.start()

    def _edge(self, level):
        self.edges += level

    def start(self):
        self.out(DOR, ON)
        self.out(CCR, 0)
        self.pass_ms(1)
        for _ in range(4):
            self.command(0x08)
        self.command(0x03, 0xDF, 0x02)
        self.dma.word_controller.write(0x16, 1, 0xC0)
        self.dma.word_controller.write(0x14, 1, 0x00)
        self.command(0x07, 0)
        self.pass_ms(1)
        self.command(0x08)

    def out(self, offset, value):
        if offset == CCR:
            self.chip.rate_port.write(0, 1, value)
        else:
            self.chip.write(offset, 1, value)

    def read(self, offset):
        return self.chip.rate_port.read(0, 1) if offset == DIR else self.chip.read(offset, 1)

    def pass_ms(self, ms):
        self.clock.advance(round(ms * MS))

    def send(self, *values):
        for value in values:
            assert self.read(MSR) & (RQM | DIO) == RQM
            self.out(FIFO, value)

    def result(self):
        results = []
        while self.read(MSR) & (RQM | DIO | BUSY | NON_DMA) == RQM | DIO | BUSY:
            results.append(self.read(FIFO))
        return results

    def command(self, *values, wait_ms=0):
        """Give a command, let it be done, and return its result."""
        self.send(*values)
        self.pass_ms(wait_ms)
        return self.result()

    def channel(self, length, mode):
        low = self.dma.byte_controller
        for offset, value in (
            (0x0A, 6), (0x0C, 0), (0x0B, mode), (4, BUFFER & 0xFF), (4, BUFFER >> 8 & 0xFF), (5, length - 1 & 0xFF),
            (5, length - 1 >> 8), (0x0A, 2),
        ):  # fmt: skip
            low.write(offset, 1, value)
        self.dma.pages.write(0, 1, BUFFER >> 16)

    def access(self, opcode, cylinder, head, sector, *, last=18, size=2, length=0xFF, unit=0, side=None):
        side = head if side is None else side
        return opcode, side << 2 | unit, cylinder, head, sector, size, last, 0x1B, length

    def read_sectors(self, cylinder, head, sector, count=1, *, opcode=READ, **options):
        self.channel(count * 512, DMA_WRITE)
        results = self.command(*self.access(opcode, cylinder, head, sector, **options), wait_ms=900)
        return results, self.ram.read(BUFFER, count * 512)

    def write_sectors(self, cylinder, head, sector, data, *, opcode=WRITE, **options):
        self.ram.write(BUFFER, data)
        self.channel(len(data), DMA_READ)
        return self.command(*self.access(opcode, cylinder, head, sector, **options), wait_ms=900)

    def seek(self, cylinder, *, unit=0):
        self.send(0x0F, unit, cylinder)
        self.pass_ms(600)
        return self.command(0x08)


def sector(*numbers):
    """Return sectors filled with their numbers, as an untouched image has them."""
    return b"".join(bytes((number & 0xFF,)) * 512 for number in numbers)


# -- reset and registers ----------------------------------------------------------------------------------------------
def test_at_power_on_the_chip_is_held_in_reset():
    desk = Desk(start=False)
    assert (desk.read(DOR), desk.read(MSR)) == (0, 0)
    desk.out(FIFO, 0x10)
    assert not desk.irq.level
    desk.out(DOR, ON)
    desk.out(FIFO, 0x10)
    desk.pass_ms(1)
    assert desk.read(MSR) == RQM


def test_leaving_reset_interrupts_and_each_drive_is_sensed():
    desk = Desk(start=False)
    desk.out(DOR, GATE | NOT_RESET)
    assert not desk.irq.level
    desk.pass_ms(1)
    assert desk.irq.level
    assert desk.read(MSR) == RQM
    for unit in range(4):
        assert desk.command(0x08) == [0xC0 | unit, 0]
        assert not desk.irq.level
    assert desk.command(0x08) == [0x80]
    assert desk.edges == 1


def test_a_reset_that_was_sensed_but_once_does_not_stand_before_later_interrupts():
    desk = Desk(start=False)
    desk.out(DOR, ON)
    desk.pass_ms(1)
    assert desk.command(0x08) == [0xC0, 0]
    desk.command(0x07, 0, wait_ms=1)
    assert desk.command(0x08) == [0x20, 0]
    assert desk.command(0x08) == [0x80]


def test_the_data_rate_select_register_resets_by_itself():
    desk = Desk()
    desk.out(DSR, 0x80 | 0x02)
    assert desk.read(MSR) == 0
    desk.pass_ms(1)
    assert desk.irq.level
    assert desk.command(0x08) == [0xC0, 0]


def test_without_the_gate_the_interrupt_does_not_reach_the_bus():
    desk = Desk(start=False)
    desk.out(DOR, NOT_RESET)
    desk.pass_ms(1)
    assert not desk.irq.level
    assert desk.read(SRA) & 0x80
    desk.out(DOR, NOT_RESET | GATE)
    assert desk.irq.level


def test_registers_that_only_store():
    desk = Desk()
    desk.out(TDR, 0xFE)
    assert desk.read(TDR) & 3 == 2
    assert desk.read(DOR) == ON
    assert desk.read(SRB) == 0xC3
    assert desk.chip.read(6, 1) == 0xFF
    assert desk.chip.read(7, 1) == 0xFF


def test_version_dump_lock_configure_and_perpendicular():
    desk = Desk()
    assert desk.command(0x10) == [0x90]
    assert desk.command(0x0E) == [0, 0, 0, 0, 0xDF, 0x02, 0, 0x00, 0x20, 0]
    assert desk.command(0x13, 0, 0x57, 0x12) == []
    assert desk.command(0x12, 0x84 | 0x03) == []
    assert desk.command(0x94) == [0x10]
    assert desk.command(0x0E)[7:] == [0x87, 0x57, 0x12]
    assert desk.command(0x12, 0x01) == []
    assert desk.command(0x0E)[7] == 0x85
    desk.out(DSR, 0x80)
    desk.pass_ms(1)
    assert desk.command(0x0E)[7:] == [0x84, 0x07, 0x12]
    assert desk.command(0x14) == [0x00]
    desk.out(DSR, 0x80)
    desk.pass_ms(1)
    assert desk.command(0x0E)[7:] == [0x04, 0x20, 0]


@pytest.mark.parametrize("opcode", [0x00, 0x01, 0x0B, 0x18, 0x1F, 0xFF, 0x17, 0x28])
def test_an_invalid_command_says_so_without_an_interrupt(opcode):
    desk = Desk()
    assert desk.command(opcode) == [0x80]
    assert not desk.irq.level
    assert desk.read(MSR) == RQM


def test_the_main_status_shows_the_phases():
    desk = Desk()
    assert desk.read(MSR) == RQM
    desk.out(FIFO, 0x04)
    assert desk.read(MSR) == RQM | BUSY
    desk.out(FIFO, 0x00)
    assert desk.read(MSR) == RQM | DIO | BUSY
    assert desk.read(FIFO) == 0x38
    assert desk.read(MSR) == RQM


# -- heads ------------------------------------------------------------------------------------------------------------
def test_a_seek_takes_its_steps_and_is_sensed():
    desk = Desk()
    desk.send(0x0F, 0, 10)
    assert desk.read(MSR) == RQM | 0x01
    desk.pass_ms(29)
    assert not desk.irq.level
    desk.pass_ms(2)
    assert desk.irq.level
    assert desk.read(MSR) == RQM
    assert desk.command(0x08) == [0x20, 10]
    assert not desk.irq.level
    assert desk.command(0x04, 0) == [0x28]
    assert desk.command(0x08) == [0x80]


def test_recalibrate_finds_track_0_or_gives_up_after_79_steps():
    desk = Desk()
    desk.seek(83)
    assert desk.command(0x07, 0, wait_ms=300) == []
    assert desk.command(0x08) == [0x70, 0]
    desk.command(0x07, 0, wait_ms=300)
    assert desk.command(0x08) == [0x20, 0]
    assert desk.command(0x04, 4) == [0x3C]


def test_a_drive_that_is_not_there_never_finds_track_0():
    desk = Desk()
    desk.command(0x07, 1, wait_ms=300)
    assert desk.command(0x08) == [0x71, 0]
    assert desk.command(0x04, 1) == [0x29]
    desk.chip.insert(1, medium())
    assert desk.command(READ_ID, 1, wait_ms=50) == [0x41, 0x01, 0, 0, 0, 1, 2]


def test_two_heads_move_at_once_and_each_interrupts():
    desk = Desk(drives=(True, True))
    desk.send(0x0F, 0, 5)
    desk.send(0x0F, 1, 9)
    assert desk.read(MSR) == RQM | 0x03
    edges = desk.edges
    desk.pass_ms(40)
    assert desk.command(0x08) == [0x20, 5]
    assert desk.irq.level
    assert desk.edges == edges + 2
    assert desk.command(0x08) == [0x21, 9]
    assert not desk.irq.level


def test_relative_seeks_go_in_and_out():
    desk = Desk()
    desk.command(0xCF, 0, 7, wait_ms=50)
    assert desk.command(0x08) == [0x20, 7]
    desk.command(0x8F, 0, 3, wait_ms=50)
    assert desk.command(0x08) == [0x20, 4]
    assert desk.read_sectors(4, 0, 1)[0][:3] == [0, 0, 0]
    desk.command(0x8F, 0, 20, wait_ms=100)
    assert desk.command(0x08) == [0x20, 0xF0]
    assert desk.read_sectors(0, 0, 1)[0][:3] == [0, 0, 0]


def test_the_change_line_falls_at_the_first_step_with_a_medium():
    desk = Desk()
    assert desk.read(DIR) & 0x80
    desk.seek(0)
    assert desk.read(DIR) & 0x80
    desk.seek(1)
    assert not desk.read(DIR) & 0x80
    desk.chip.insert(0, None)
    assert desk.read(DIR) & 0x80
    desk.seek(3)
    assert desk.read(DIR) & 0x80
    desk.chip.insert(0, medium())
    desk.seek(4)
    assert not desk.read(DIR) & 0x80


# -- reading ----------------------------------------------------------------------------------------------------------
def test_a_sector_is_read_by_dma():
    desk = Desk()
    results, data = desk.read_sectors(0, 0, 5)
    assert results == [0, 0, 0, 0, 0, 6, 2]
    assert data == sector(4)


def test_the_result_interrupts_and_its_first_byte_answers():
    desk = Desk()
    desk.channel(512, DMA_WRITE)
    desk.send(*desk.access(READ, 0, 0, 1))
    assert desk.read(MSR) == BUSY
    assert not desk.irq.level
    desk.pass_ms(10)
    assert desk.irq.level
    assert desk.read(FIFO) == 0
    assert not desk.irq.level
    assert len(desk.result()) == 6


def test_a_sector_takes_its_part_of_a_turn():
    desk = Desk()
    desk.channel(512 * 3, DMA_WRITE)
    desk.command(*desk.access(READ, 0, 0, 1), wait_ms=900)
    desk.channel(512 * 3, DMA_WRITE)
    desk.send(*desk.access(READ, 0, 0, 1))
    desk.clock.advance(ROTATION_NS // 18 * 3 - 1)
    loaded = desk.irq.level
    desk.pass_ms(3)
    assert not loaded
    assert desk.irq.level


def test_multitrack_goes_on_at_the_other_head():
    desk = Desk()
    desk.seek(3)
    results, data = desk.read_sectors(3, 0, 17, 4)
    assert results == [4, 0, 0, 3, 1, 3, 2]
    assert data == sector(*range(3 * 36 + 16, 3 * 36 + 20))


def test_the_last_sector_of_a_cylinder_ends_at_the_next_one():
    desk = Desk()
    assert desk.read_sectors(0, 1, 18)[0] == [4, 0, 0, 1, 0, 1, 2]
    assert desk.read_sectors(0, 0, 18)[0] == [0, 0, 0, 0, 1, 1, 2]
    assert desk.read_sectors(0, 0, 18, opcode=0x46)[0] == [0, 0, 0, 1, 0, 1, 2]


def test_reading_past_the_end_of_the_cylinder_ends_abnormally():
    desk = Desk()
    results, data = desk.read_sectors(0, 0, 17, 3, opcode=0x66)
    assert results == [0x40, 0x80, 0, 1, 0, 1, 2]
    assert data[:1024] == sector(16, 17)


@pytest.mark.parametrize(
    ("ids", "status"),
    [
        ((0, 0, 19, 2), [0x40, 0x04, 0]),
        ((0, 0, 0, 2), [0x40, 0x04, 0]),
        ((1, 0, 1, 2), [0x40, 0x04, 0x10]),
        ((0, 1, 1, 2), [0x40, 0x04, 0]),
        ((0, 0, 1, 3), [0x40, 0x04, 0]),
        ((0, 0, 1, 0), [0x40, 0x04, 0]),
    ],
)
def test_a_sector_that_is_not_there_is_missed_after_two_turns(ids, status):
    desk = Desk()
    cylinder, head, number, size = ids
    desk.channel(512, DMA_WRITE)
    desk.send(*desk.access(READ, cylinder, head, number, size=size, side=0, last=30))
    desk.clock.advance(2 * ROTATION_NS)
    assert not desk.irq.level
    desk.pass_ms(10)
    assert desk.result() == status + list(ids)


@pytest.mark.parametrize("kind", ["1.44M", "720K", "2.88M", "360K"])
def test_the_data_rate_must_fit_the_medium(kind):
    desk = Desk(medium(kind))
    for rate in range(4):
        desk.out(CCR, rate)
        fits = rate == RATES[kind] or (kind == "360K" and rate == 2)
        assert desk.read_sectors(0, 0, 1)[0][:3] == ([0, 0, 0] if fits else [0x40, 0x01, 0])


def test_without_a_medium_a_motor_or_a_second_side_there_are_no_address_marks():
    desk = Desk(medium("160K"))
    desk.out(CCR, 2)
    assert desk.read_sectors(0, 1, 1)[0][:3] == [0x44, 0x01, 0]
    assert desk.read_sectors(0, 0, 1)[0][:3] == [0x00, 0x00, 0]
    assert desk.read_sectors(0, 0, 1, opcode=0x06)[0][:3] == [0x40, 0x01, 0]  # FM
    desk.out(DOR, GATE | NOT_RESET)
    assert desk.read_sectors(0, 0, 1)[0][:3] == [0x40, 0x01, 0]
    desk.out(DOR, ON)
    desk.chip.insert(0, None)
    assert desk.read_sectors(0, 0, 1)[0][:3] == [0x40, 0x01, 0]
    assert desk.command(READ_ID, 0, wait_ms=50)[:3] == [0x40, 0x01, 0]


def test_a_bad_sector_has_a_crc_error_in_its_data():
    desk = Desk()
    desk.image.bad.add(2)
    results, data = desk.read_sectors(0, 0, 1, 4)
    assert results == [0x40, 0x20, 0x20, 0, 0, 3, 2]
    assert data[:1024] == sector(0, 1)


def test_an_implied_seek_moves_the_head_first():
    desk = Desk()
    desk.command(0x13, 0, 0x40, 0)
    results, data = desk.read_sectors(7, 1, 2)
    assert results == [0x24, 0, 0, 7, 1, 3, 2]
    assert data == sector(7 * 36 + 19)
    assert desk.command(0x0E)[0] == 7


def test_read_id_tells_what_passes_under_the_head():
    desk = Desk()
    desk.seek(5)
    seen = set()
    for _ in range(200):
        results = desk.command(READ_ID, 4, wait_ms=4.777)
        assert results[:5] == [4, 0, 0, 5, 1]
        assert results[6] == 2
        seen.add(results[5])
    assert seen <= set(range(1, 19))
    assert len(seen) > 9


def test_read_track_reads_from_the_index_hole_on():
    desk = Desk()
    results, data = desk.read_sectors(0, 0, 9, 4, opcode=0x42)
    assert results[:3] == [0, 0, 0]
    assert data == sector(0, 1, 2, 3)
    assert desk.read_sectors(3, 0, 1, 2, opcode=0x42)[0][:3] == [0, 0x04, 0x10]
    assert desk.read_sectors(0, 0, 1, 9, opcode=0x42, last=3)[0][:3] == [0x40, 0x80, 0]


def test_verify_moves_nothing_and_ends_at_the_end_of_the_track_or_the_count():
    desk = Desk()
    assert desk.command(*desk.access(0x76, 0, 0, 1), wait_ms=50)[:3] == [0, 0, 0]
    assert desk.command(*desk.access(0x76, 0, 0, 1, last=19), wait_ms=50)[:3] == [0x40, 0x04, 0]
    assert desk.command(*desk.access(0x76, 0, 0, 3, length=4, unit=0x80), wait_ms=50) == [0, 0, 0, 0, 0, 7, 2]
    assert desk.command(*desk.access(0x76, 0, 0, 17, length=4, unit=0x80), wait_ms=50)[:3] == [0x40, 0x04, 0]
    desk.image.bad.add(9)
    assert desk.command(*desk.access(0x76, 0, 0, 1), wait_ms=50)[:3] == [0x40, 0x20, 0x20]
    assert desk.ram.bytes == bytearray(0x40000)


# -- writing ----------------------------------------------------------------------------------------------------------
def test_sectors_are_written_by_dma():
    desk = Desk()
    data = bytes(range(256)) * 4
    assert desk.write_sectors(0, 1, 3, data) == [4, 0, 0, 0, 1, 5, 2]
    assert desk.image.data == {20: data[:512], 21: data[512:]}


def test_a_write_that_tc_cuts_short_is_filled_with_zeros():
    desk = Desk()
    assert desk.write_sectors(0, 0, 1, b"\xaa" * 700) == [0, 0, 0, 0, 0, 3, 2]
    assert desk.image.data == {0: b"\xaa" * 512, 1: b"\xaa" * 188 + bytes(324)}


def test_a_protected_medium_is_not_written():
    desk = Desk(medium(read_only=True))
    assert desk.write_sectors(0, 0, 1, sector(9))[:3] == [0x40, 0x02, 0]
    assert desk.command(FORMAT, 0, 2, 18, 0x54, 0xF6, wait_ms=50)[:3] == [0x40, 0x02, 0]
    assert desk.image.data == {}
    assert desk.command(0x04, 0) == [0x78]
    assert not desk.read(SRA) & 0x02


def test_a_write_that_the_host_cannot_do_is_an_error_of_the_data():
    desk = Desk()
    desk.image.bad.add(1)
    assert desk.write_sectors(0, 0, 1, sector(7, 8, 9)) == [0x40, 0x20, 0x20, 0, 0, 2, 2]
    assert desk.image.data == {0: sector(7)}


def test_format_fills_the_sectors_named():
    desk = Desk()
    desk.seek(2)
    ids = b"".join(bytes((2, 1, number, 2)) for number in range(1, 19))
    desk.ram.write(BUFFER, ids)
    desk.channel(len(ids), DMA_READ)
    assert desk.command(FORMAT, 4, 2, 18, 0x54, 0xF6, wait_ms=50)[:3] == [4, 0, 0]
    assert desk.image.data == dict.fromkeys(range(2 * 36 + 18, 2 * 36 + 36), b"\xf6" * 512)


def test_deleted_sectors_are_marked_until_they_are_written_again():
    desk = Desk()
    desk.write_sectors(0, 0, 2, sector(0x77), opcode=0xC9)
    results, data = desk.read_sectors(0, 0, 1, 3, opcode=0xC6)
    assert results == [0, 0, 0x40, 0, 0, 2, 2]
    assert data[:1024] == sector(0, 0x77)
    results, data = desk.read_sectors(0, 0, 1, 3)
    assert results[:3] == [0, 0, 0x40]
    assert data == sector(0, 2, 3)
    assert desk.read_sectors(0, 0, 2, opcode=0xCC)[0][:3] == [0, 0, 0]
    assert desk.read_sectors(0, 0, 3, opcode=0xCC)[0][:3] == [0, 0, 0x40]
    desk.write_sectors(0, 0, 2, sector(0x78))
    assert desk.read_sectors(0, 0, 2)[0][:3] == [0, 0, 0]
    desk.write_sectors(0, 0, 2, sector(0x77), opcode=0xC9)
    desk.chip.insert(0, medium())
    assert desk.read_sectors(0, 0, 2)[0][:3] == [0, 0, 0]


def test_a_scan_may_step_over_every_second_sector():
    desk = Desk()
    desk.ram.write(BUFFER, sector(*[4] * 3))
    desk.channel(512 * 3, DMA_READ)
    result = desk.command(*desk.access(0xF1, 0, 0, 1, length=2), wait_ms=50)
    assert result[:3] == [0, 0, 0x08]
    assert result[5] == 5


@pytest.mark.parametrize(
    ("opcode", "host", "status"),
    [
        (0xF1, 3, 0x08), (0xF1, 4, 0x04), (0xF9, 4, 0x00), (0xF9, 2, 0x04), (0xFD, 2, 0x00), (0xFD, 4, 0x04),
        (0xF1, 0xFF, 0x08),
    ],
)  # fmt: skip
def test_a_scan_compares_each_sector_with_memory(opcode, host, status):
    desk = Desk()
    results = desk.write_sectors(0, 0, 4, sector(host), opcode=opcode, last=4, length=1)
    if status == 0x04:  # the terminal count of one sector ends a scan that found nothing yet
        assert results[:2] == [0, 0]
        assert not results[2] & 0x08
    else:
        assert results[:3] == [0, 0, status]


# -- DMA and the processor --------------------------------------------------------------------------------------------
def test_a_masked_channel_makes_the_chip_wait_and_unmasking_it_goes_on():
    desk = Desk()
    desk.channel(1024, DMA_WRITE)
    desk.dma.byte_controller.write(0x0A, 1, 6)
    desk.send(*desk.access(READ, 0, 0, 5))
    desk.pass_ms(6)
    assert desk.dma.byte_controller.read(8, 1) == 0x40
    assert not desk.irq.level
    desk.dma.byte_controller.write(0x0A, 1, 2)
    assert desk.dma.byte_controller.read(8, 1) == 0x00
    assert desk.ram.read(BUFFER, 1024) == sector(4) + bytes(512)
    desk.pass_ms(1)
    assert desk.result()[:3] == [0, 0, 0]
    assert desk.dma.byte_controller.read(8, 1) == 0x04
    assert desk.ram.read(BUFFER, 1024) == sector(4, 5)


def test_a_channel_that_stays_masked_is_an_overrun():
    desk = Desk()
    desk.send(*desk.access(READ, 0, 0, 1))
    desk.clock.advance(OVERRUN_NS)
    assert not desk.irq.level
    desk.pass_ms(6)
    assert desk.result()[:3] == [0x40, 0x10, 0]
    assert desk.dma.byte_controller.read(8, 1) == 0


def test_without_the_gate_no_byte_moves():
    desk = Desk()
    desk.channel(512, DMA_WRITE)
    desk.out(DOR, ON & ~GATE)
    desk.send(*desk.access(READ, 0, 0, 8))
    desk.pass_ms(6)
    assert desk.ram.read(BUFFER, 512) == bytes(512)
    desk.out(DOR, ON)
    assert desk.ram.read(BUFFER, 512) == sector(7)


def test_bytes_for_the_fifo_that_nobody_asked_for_are_lost():
    desk = Desk()
    desk.ram.write(BUFFER, sector(0x55))
    desk.channel(512, DMA_READ)
    desk.send(*desk.access(WRITE, 0, 0, 1))
    desk.out(FIFO, 0x08)
    desk.pass_ms(6)
    desk.out(FIFO, 0x08)
    assert desk.result() == [0, 0, 0, 0, 0, 2, 2]
    assert desk.image.data == {0: sector(0x55)}
    assert desk.read(MSR) == RQM


@pytest.mark.parametrize("opcode", [WRITE, 0xF1, FORMAT])
def test_a_medium_that_is_taken_out_before_its_data_comes_is_missed(opcode):
    desk = Desk()
    desk.command(0x03, 0xDF, 0x03)
    bytes_wanted = 8 if opcode == FORMAT else 512
    desk.send(*(FORMAT, 0, 2, 2, 0x54, 0xF6) if opcode == FORMAT else desk.access(opcode, 0, 0, 1))
    desk.pass_ms(6)
    desk.chip.insert(0, None)
    desk.send(*bytes(bytes_wanted))
    assert desk.result()[:3] == [0x40, 0x01, 0]
    assert desk.image.data == {}


def test_the_head_stays_loaded_for_a_while_after_a_command():
    for specified, pause_ms, late_ms in ((0xDF, 200, 0), (0xDF, 250, 2), (0xD1, 10, 0), (0xD1, 20, 2), (0xD0, 250, 0)):
        desk = Desk()
        desk.command(0x03, specified, 0x02)
        desk.command(READ_ID, 0, wait_ms=3)
        desk.pass_ms(pause_ms - 0.7)
        desk.send(READ_ID, 0)
        desk.pass_ms(0.4)
        assert desk.irq.level == (late_ms == 0), (specified, pause_ms)
        desk.pass_ms(2)
        assert desk.irq.level


def test_without_dma_the_processor_reads_the_fifo():
    desk = Desk()
    desk.command(0x03, 0xDF, 0x03)
    desk.send(*desk.access(0x46, 0, 0, 17))
    assert desk.read(MSR) == NON_DMA | BUSY
    for number in (16, 17):
        desk.pass_ms(6)
        assert desk.irq.level
        for _ in range(512):
            assert desk.read(MSR) == RQM | DIO | NON_DMA | BUSY
            assert desk.read(FIFO) == number
    assert desk.irq.level
    assert desk.result() == [0x40, 0x80, 0, 1, 0, 1, 2]


def test_without_dma_the_processor_writes_the_fifo_and_each_sector_interrupts():
    desk = Desk()
    desk.command(0x03, 0xDF, 0x03)
    edges = desk.edges
    desk.send(*desk.access(0x45, 0, 0, 17))
    for number in (0x11, 0x22):
        desk.pass_ms(6)
        for _ in range(512):
            assert desk.read(MSR) == RQM | NON_DMA | BUSY
            desk.out(FIFO, number)
    assert desk.result()[:3] == [0x40, 0x80, 0]
    assert desk.edges == edges + 3
    assert desk.image.data == {16: sector(0x11), 17: sector(0x22)}


def test_a_reset_in_the_middle_of_a_read_ends_it():
    desk = Desk()
    desk.channel(5120, DMA_WRITE)
    desk.send(*desk.access(READ, 0, 0, 1))
    desk.pass_ms(5)
    desk.out(DOR, MOTORS)
    desk.out(DOR, ON)
    desk.pass_ms(1)
    assert desk.command(0x08) == [0xC0, 0]
    moved = desk.ram.read(BUFFER, 5120)
    desk.pass_ms(100)
    assert desk.ram.read(BUFFER, 5120) == moved
    assert desk.clock.pending() == []


def test_a_medium_that_is_taken_out_in_the_middle_is_missed():
    desk = Desk()
    desk.channel(5120, DMA_WRITE)
    desk.send(*desk.access(READ, 0, 0, 1))
    desk.pass_ms(5)
    desk.chip.insert(0, None)
    desk.pass_ms(50)
    assert desk.result()[:2] == [0x40, 0x01]


# -- in words ---------------------------------------------------------------------------------------------------------
def said(desk, offset, value, *, write):
    chip = floppy_words.describe("the floppy controller")
    access = Access(offset, write, value)
    state = desk.chip.state()
    return sentence(chip.find(access, state), value, state)


def test_every_byte_of_a_command_and_its_result_is_explained():
    desk = Desk()
    assert said(desk, FIFO, 0xE6, write=True) == "begins READ DATA"
    desk.send(*desk.access(READ, 1, 0, 1)[:3])
    assert said(desk, FIFO, 0x00, write=True) == "byte 4 of READ DATA, 00h"
    desk.send(*desk.access(READ, 1, 0, 1)[3:])
    desk.pass_ms(50)
    words = []
    while desk.read(MSR) & DIO:
        before = desk.chip.state()
        value = desk.read(FIFO)
        words.append(sentence(floppy_words.FIFO_READ, value, before))
    assert words == [
        "ST0: ended abnormally, head 0, drive 0", "ST1: no such sector", "ST2: wrong cylinder",
        "the cylinder, 01h", "the head, 00h", "the sector, 01h", "the size code, 02h",
    ]  # fmt: skip
    desk.send(0x08)
    assert said(desk, FIFO, 0x80, write=False) == "ST0: invalid command, head 0, drive 0"


def test_the_facts_tell_where_heads_and_commands_are():
    desk = Desk()
    desk.seek(7)
    desk.send(*desk.access(READ, 7, 1, 3))
    facts = floppy_words.describe("it").facts(desk.chip.state(), desk.clock.now)
    assert facts == [
        "Drive 0: the head is at cylinder 7.",
        "Drive 1: the head is at cylinder 0.",
        "READ DATA is at cylinder 7, head 1, sector 3.",
    ]


# -- any order --------------------------------------------------------------------------------------------------------
def small():
    return FloppyMedium(Image(4 * 2 * 9), 4, 2, 9)


places = st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(1, 9))
steps = st.one_of(
    st.tuples(st.just("read"), places, st.integers(1, 3)),
    st.tuples(st.just("write"), places, st.integers(1, 3), st.integers(0, 255)),
    st.tuples(st.just("format"), places, st.integers(0, 255)),
    st.tuples(st.just("reset")),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(steps, max_size=12))
def test_any_order_of_reads_writes_formats_and_resets_agrees_with_a_model(commands):
    desk = Desk(small())
    desk.out(CCR, 2)
    model = {place: bytes((place,)) * 512 for place in range(72)}
    for kind, *what in commands:
        if kind == "reset":
            desk.start()
            desk.out(CCR, 2)
            continue
        cylinder, head, number = what[0]
        first = (cylinder * 2 + head) * 9 + number - 1
        assert desk.seek(cylinder) == [0x20, cylinder]
        if kind == "format":
            ids = b"".join(bytes((cylinder, head, one, 2)) for one in range(1, 10))
            desk.ram.write(BUFFER, ids)
            desk.channel(len(ids), DMA_READ)
            assert desk.command(FORMAT, head << 2, 2, 9, 0x54, what[1], wait_ms=900)[0] == head << 2
            track = (cylinder * 2 + head) * 9
            model.update(dict.fromkeys(range(track, track + 9), bytes((what[1],)) * 512))
            continue
        last = (cylinder + 1) * 18  # the multi-track command ends with the cylinder
        count = min(what[1], last - first)
        status = [0 if count == what[1] else 0x40, 0 if count == what[1] else 0x80]
        data = bytes((what[-1],)) * 512 * what[1]
        if kind == "write":
            results = desk.write_sectors(cylinder, head, number, data, last=9)
            model.update(dict.fromkeys(range(first, first + count), data[:512]))
        else:
            results, data = desk.read_sectors(cylinder, head, number, what[1], last=9)
            assert data[: count * 512] == b"".join(model[place] for place in range(first, first + count))
        assert [results[0] & 0xC0, results[1]] == status
    assert all(desk.image.read(place, 1) == model[place] for place in range(72))


accesses = st.one_of(
    st.tuples(st.just("in"), st.integers(0, 7)),
    st.tuples(st.just("out"), st.integers(0, 7), st.integers(0, 255)),
    st.tuples(
        st.just("fifo"), st.sampled_from((0x03, 0x06, 0x07, 0x08, 0x0A, 0x0C, 0x0F, 0x42, 0x45, 0x46, 0x4D, 0x56))
    ),
    st.tuples(st.just("wait"), st.integers(0, 40_000_000)),
    st.tuples(st.just("fill"), st.binary(max_size=9)),
    st.tuples(st.just("insert"), st.booleans()),
    st.tuples(st.just("bad"), st.integers(0, 71)),
)


def do(desk, kind, *what):
    """Do one thing to a controller and return what it shows."""
    if kind == "out":
        desk.out(*what)
    elif kind == "fifo":
        desk.out(DOR, ON | desk.read(DOR) & NOT_RESET)
        desk.out(FIFO, what[0])
    elif kind == "fill":
        for value in what[0]:
            desk.out(FIFO, value)
    elif kind == "wait":
        desk.clock.advance(what[0])
    elif kind == "insert":
        desk.chip.insert(0, desk.medium if what[0] else None)
    elif kind == "bad":
        desk.image.bad.add(what[0])
    return desk.read(what[0]) if kind == "in" else (desk.irq.level, desk.read(MSR))


@settings(max_examples=150, deadline=None)
@given(before=st.lists(accesses, max_size=40), after=st.lists(accesses, max_size=20))
def test_garbage_never_raises_and_a_restored_controller_goes_on_like_the_first(before, after):
    desk, twin = Desk(small()), Desk(small(), start=False)
    desk.out(CCR, 2)
    desk.channel(2000, DMA_WRITE)
    for step in before:
        do(desk, *step)
    twin.clock.reset_to(desk.clock.now)
    twin.dma.restore(desk.dma.state())
    twin.chip.insert(0, twin.medium if desk.chip.medium(0) else None)
    twin.chip.restore(from_plain(FloppyState, to_plain(desk.chip.state(), where="floppy")))
    twin.ram.bytes[:] = desk.ram.bytes
    twin.image.data, twin.image.bad = dict(desk.image.data), set(desk.image.bad)
    assert twin.chip.state() == desk.chip.state()
    assert twin.irq.level == desk.irq.level
    for step in after:
        assert do(twin, *step) == do(desk, *step)
    assert twin.chip.state() == desk.chip.state()
    assert twin.image.data == desk.image.data
    assert twin.ram.bytes == desk.ram.bytes
