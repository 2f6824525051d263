"""An ATA channel on the bench: a clock, a wire, memory in a bytearray, and hands on the registers."""

from types import SimpleNamespace

import pytest

from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.devices.ata.atapi import AtapiCdrom
from minivm.devices.ata.bus_master import IdeBusMaster
from minivm.devices.ata.channel import AtaChannel
from minivm.devices.ata.disk import AtaDisk
from minivm.errors import DiskError

DATA, ERROR, FEATURES, COUNT, LOW, MID, HIGH, DEVICE, STATUS, COMMAND = 0, 1, 1, 2, 3, 4, 5, 6, 7, 7


def pattern(sectors, seed=1):
    """Return sectors that all differ."""
    return b"".join((number * 7919 + seed).to_bytes(4, "little") * 128 for number in range(sectors))


class Medium:
    """A disk in memory; `bad` are sectors that the host cannot read or write."""

    def __init__(self, data, *, read_only=False):
        self.data = bytearray(data)
        self.read_only = read_only
        self.bad = set()
        self.reads = []
        self.flushes = 0
        self.flush_fails = False

    @property
    def sectors(self):
        return len(self.data) // 512

    def read(self, lba, count):
        self.reads.append((lba, count))
        self._check(lba, count)
        return bytes(self.data[lba * 512 : (lba + count) * 512])

    def write(self, lba, data):
        assert len(data) % 512 == 0
        self._check(lba, len(data) // 512)
        if self.read_only:
            raise DiskError("read-only")
        self.data[lba * 512 : lba * 512 + len(data)] = data

    def flush(self):
        self.flushes += 1
        if self.flush_fails:
            raise DiskError("full")

    def _check(self, lba, count):
        if lba + count > self.sectors or self.bad & set(range(lba, lba + count)):
            raise DiskError("cannot")


class Ram:
    """Memory for DMA, 1 MiB; outside there is none."""

    def __init__(self, length=1 << 20):
        self.data = bytearray(length)
        self.writes = []

    def read(self, address, length):
        inside = bytes(self.data[address : address + length]) if address < len(self.data) else b""
        return inside.ljust(length, b"\xff")

    def write(self, address, data):
        self.writes.append((address, len(data)))
        if address < len(self.data):
            kept = data[: len(self.data) - address]
            self.data[address : address + len(kept)] = kept


class Bench:
    """A channel with two places for drives, the registers by their names, and a second, empty channel."""

    def __init__(self, first=None, second=None):
        self.clock, self.wire, self.ram = Clock(), Wire(), Ram()
        self.channel = AtaChannel(self.clock, irq=self.wire, drives=(first, second))
        self.other = AtaChannel(self.clock, irq=Wire())
        self.master = IdeBusMaster(self.clock, memory=self.ram, channels=(self.channel, self.other))
        self.port, self.control = self.channel.command_block, self.channel.control_block

    def get(self, register):
        return self.port.read(register, 1)

    def put(self, register, *values):
        for value in values:
            self.port.write(register, 1, value)

    @property
    def alternate(self):
        return self.control.read(0, 1)

    def wait(self, microseconds=1000):
        self.clock.advance(microseconds * 1000)

    def address(self, lba, count, *, extended=False, drive=0):
        """Put an LBA and a count into the registers."""
        if extended:
            self.put(DEVICE, 0x40 | drive << 4)
            self.put(COUNT, count >> 8 & 0xFF, count & 0xFF)
            for register, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
                self.put(register, lba >> shift + 24 & 0xFF, lba >> shift & 0xFF)
        else:
            self.put(DEVICE, 0xE0 | drive << 4 | lba >> 24 & 0x0F)
            self.put(COUNT, count & 0xFF)
            for register, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
                self.put(register, lba >> shift & 0xFF)

    def command(self, code):
        """Give a command and let its first part be over; return the status, which answers the interrupt."""
        self.put(COMMAND, code)
        self.wait()
        return self.get(STATUS)

    def read_block(self, length=512):
        return b"".join(self.port.read(DATA, 2).to_bytes(2, "little") for _ in range(0, length, 2))

    def write_block(self, data):
        for place in range(0, len(data), 2):
            self.port.write(DATA, 2, int.from_bytes(data[place : place + 2], "little"))

    def packet(self, *values, limit=0xFFFE, by_dma=False):
        """Send a packet and return all data of the answer; the interrupt is answered."""
        self.put(FEATURES, 1 if by_dma else 0)
        self.put(MID, limit & 0xFF)
        self.put(HIGH, limit >> 8)
        self.command(0xA0)
        self.write_block(bytes(values).ljust(12, b"\0"))
        data = b""
        self.wait(10_000)
        while self.get(STATUS) & 0x08:
            length = self.get(MID) | self.get(HIGH) << 8
            data += self.read_block(length)[:length]
            self.wait()
        return data

    def table(self, *regions, at=0x100, end=True):
        """Write a table of (address, length) and set up the bus master's pointer to it."""
        for number, (address, length) in enumerate(regions):
            last = 0x80000000 if end and number == len(regions) - 1 else 0
            self.ram.data[at + 8 * number : at + 8 * number + 8] = address.to_bytes(4, "little") + (
                length & 0xFFFF | last
            ).to_bytes(4, "little")
        self.master.write(4, 4, at)

    def start(self, *, into_memory=True):
        self.master.write(2, 1, 0x06)
        self.master.write(0, 1, 0x09 if into_memory else 0x01)

    @property
    def dma_status(self):
        return self.master.read(2, 1)


def with_disk(sectors=100, **options):
    """Return a bench with one disk, and its medium."""
    medium = Medium(pattern(sectors), **options)
    return Bench(AtaDisk(medium)), medium


def with_cdrom(blocks=50):
    """Return a bench with one CD-ROM drive, its drive and its medium."""
    medium = Medium(pattern(4 * blocks), read_only=True)
    drive = AtapiCdrom(medium)
    return Bench(drive), drive, medium


@pytest.fixture(scope="session")
def kit():
    """What the tests of this folder share; pytest imports each of their files alone."""
    return SimpleNamespace(Bench=Bench, Medium=Medium, pattern=pattern, with_disk=with_disk, with_cdrom=with_cdrom)
