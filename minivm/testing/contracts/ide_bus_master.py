"""The IDE function's bus master, against SFF-8038i and the PIIX3 datasheet."""

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts.ata import (
    ALTERNATE,
    BSY,
    COMMAND,
    DEVICE,
    DISKS,
    DRDY,
    DRQ,
    ERR,
    STATUS,
    address,
    read_block,
    sector,
    soft_reset,
)

MASTER = Contract("ide_bus_master", "IDE bus master", "SFF-8038i; Intel 82371SB (PIIX3) datasheet 290550", disks=DISKS)
BASE = 0xC800
BM_COMMAND, BM_STATUS, BM_TABLE = BASE, BASE + 2, BASE + 4
START, INTO_MEMORY, STOP = 0x01, 0x08, 0x00
ACTIVE, FAILED, INTERRUPT = 0x01, 0x02, 0x04
READ_DMA, WRITE_DMA = 0xC8, 0xCA
TABLE, BUFFER, SECOND = 0x2000, 0x4000, 0x8000
LAST = 0x80000000
IDE_FUNCTION = 0x80000900
"""Bus 0, device 1, function 1, with the enable bit of configuration mechanism 1."""
SHORT_TABLE = "a table that is too short ends the command with a zero-length transfer: hw/ide/pci.c, bmdma_rw_buf"


def start_up(pc: Probe) -> None:
    """Give the function its ports, and let it master the bus."""
    for register, value in ((0x20, BASE | 1), (0x04, 0x0005)):
        pc.write(0xCF8, IDE_FUNCTION | register, size=4)
        pc.write(0xCFC, value, size=4)


def put_table(pc: Probe, *regions: tuple[int, int]) -> None:
    """Write a table and its address; the last region ends it."""
    table = b"".join(place.to_bytes(4, "little") + length.to_bytes(4, "little") for place, length in regions)
    last = int.from_bytes(table[-4:], "little") | LAST
    pc.poke(TABLE, table[:-4] + last.to_bytes(4, "little"))
    pc.write(BM_TABLE, TABLE, size=4)
    pc.write(BM_STATUS, FAILED | INTERRUPT)


def transfer(pc: Probe, code: int, lba: int, count: int) -> None:
    """Start a command by DMA, the bus master first."""
    address(pc, lba, count)
    pc.write(BM_COMMAND, INTO_MEMORY | START if code == READ_DMA else START)
    pc.write(COMMAND, code)


@MASTER.case("the table's address keeps all but its lowest two bits", "SFF-8038i, 2.3 descriptor table pointer")
def table_address(pc: Probe) -> None:
    start_up(pc)
    pc.write(BM_TABLE, 0x12345678, size=4)
    pc.reads(BM_TABLE, 0x12345678, "the address", size=4)
    pc.write(BM_TABLE + 8, 0x0000FFFC, size=4)
    pc.reads(BM_TABLE + 8, 0x0000FFFC, "the second channel's", size=4)
    pc.reads(BM_TABLE, 0x12345678, "the first channel's again", size=4)


@MASTER.case("the status keeps the two drives' capable bits", "SFF-8038i, 2.2 bus master IDE status register")
def capable(pc: Probe) -> None:
    start_up(pc)
    for value in (0x60, 0x20, 0x00):
        pc.write(BM_STATUS, value)
        pc.reads(BM_STATUS, value, "status")


@MASTER.case("a read lands in memory and interrupts", "SFF-8038i, 3.1 standard programming sequence")
def read(pc: Probe) -> None:
    start_up(pc)
    put_table(pc, (BUFFER, 1024))
    transfer(pc, READ_DMA, 40, 2)
    pc.waits_for(BM_STATUS, INTERRUPT, INTERRUPT, "the interrupt bit")
    pc.irq_is(14, True)
    pc.reads(STATUS, DRDY, "the drive's status", mask=BSY | DRDY | DRQ | ERR)
    pc.reads(BM_STATUS, INTERRUPT, "status", mask=ACTIVE | FAILED | INTERRUPT)
    pc.that(pc.peek(BUFFER, 1024) == sector(40, 2), "both sectors are in memory")
    pc.write(BM_COMMAND, STOP)
    pc.write(BM_STATUS, INTERRUPT)
    pc.reads(BM_STATUS, 0, "status when cleared", mask=ACTIVE | FAILED | INTERRUPT)


@MASTER.case("regions are filled one after the other", "SFF-8038i, 1.2 physical region descriptor")
def regions(pc: Probe) -> None:
    start_up(pc)
    put_table(pc, (BUFFER, 512), (SECOND, 256), (BUFFER + 1024, 768))
    transfer(pc, READ_DMA, 7, 3)
    pc.waits_for(BM_STATUS, INTERRUPT, INTERRUPT, "the interrupt bit")
    found = pc.peek(BUFFER, 512) + pc.peek(SECOND, 256) + pc.peek(BUFFER + 1024, 768)
    pc.that(found == sector(7, 3), "three sectors are in memory")


@MASTER.case("a write takes from memory", "SFF-8038i, 3.1 standard programming sequence")
def write(pc: Probe) -> None:
    start_up(pc)
    pc.poke(BUFFER, bytes(range(256)) * 4)
    put_table(pc, (BUFFER, 1024))
    transfer(pc, WRITE_DMA, 50, 2)
    pc.waits_for(BM_STATUS, INTERRUPT, INTERRUPT, "the interrupt bit")
    pc.read(STATUS)
    pc.write(BM_COMMAND, STOP)
    address(pc, 50, 2)
    pc.write(COMMAND, 0x20)
    pc.that(read_block(pc) + read_block(pc) == bytes(range(256)) * 4, "both sectors were written")


@MASTER.case("the command may come before the start", "SFF-8038i, 3.1: steps 3 and 4")
def command_first(pc: Probe) -> None:
    start_up(pc)
    put_table(pc, (BUFFER, 512))
    address(pc, 9)
    pc.write(COMMAND, READ_DMA)
    pc.step(us=100)
    pc.write(BM_COMMAND, INTO_MEMORY | START)
    pc.waits_for(BM_STATUS, INTERRUPT, INTERRUPT, "the interrupt bit")
    pc.that(pc.peek(BUFFER, 512) == sector(9), "the sector is in memory")


@MASTER.case(
    "with room left the master stays active until it is stopped",
    "SFF-8038i, 2.2: interrupt 1, active 1",
)
def room_left(pc: Probe) -> None:
    start_up(pc)
    put_table(pc, (BUFFER, 2048))
    transfer(pc, READ_DMA, 3, 1)
    pc.waits_for(BM_STATUS, INTERRUPT, INTERRUPT, "the interrupt bit")
    pc.reads(BM_STATUS, ACTIVE | INTERRUPT, "status", mask=ACTIVE | FAILED | INTERRUPT)
    pc.write(BM_COMMAND, STOP)
    pc.reads(BM_STATUS, INTERRUPT, "status when stopped", mask=ACTIVE | FAILED | INTERRUPT)


@MASTER.case(
    "a table that is too short ends the master, and the drive goes on waiting",
    "SFF-8038i, 2.2: interrupt 0, active 0",
    differs={"QEMU": SHORT_TABLE},
)
def table_too_short(pc: Probe) -> None:
    start_up(pc)
    put_table(pc, (BUFFER, 512))
    transfer(pc, READ_DMA, 3, 3)
    pc.waits_for(BM_STATUS, ACTIVE, 0, "the active bit falls")
    pc.step(us=100)
    pc.reads(BM_STATUS, 0, "status", mask=ACTIVE | FAILED | INTERRUPT)
    pc.that(pc.read(ALTERNATE) & (BSY | DRQ) != 0, "the drive waits")
    soft_reset(pc)


@MASTER.case("the interrupt of a command without DMA shows in the status as well", "PIIX3, 2.7.2 BMISX: IDEINTS")
def interrupt_without_dma(pc: Probe) -> None:
    start_up(pc)
    pc.write(BM_STATUS, INTERRUPT)
    pc.write(DEVICE, 0xE0)
    pc.write(COMMAND, 0xE1)
    pc.waits_for(ALTERNATE, BSY, 0)
    pc.reads(BM_STATUS, INTERRUPT, "status", mask=INTERRUPT)


@MASTER.case("addresses without memory are harmless", "SFF-8038i, 1.2; PCI 2.1: master abort")
def no_memory(pc: Probe) -> None:
    start_up(pc)
    put_table(pc, (0xE0000000, 512), (BUFFER, 512))
    transfer(pc, READ_DMA, 20, 2)
    pc.waits_for(BM_STATUS, INTERRUPT, INTERRUPT, "the interrupt bit")
    pc.that(pc.peek(BUFFER, 512) == sector(21), "the second sector is in memory")
