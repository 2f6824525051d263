"""Hard disks on an ATA channel, against ATA/ATAPI-6 (T13/1410D)."""

from minivm.testing.contract import Contract, Probe

SECTORS = 16 * 63 * 4
DISKS = tuple(
    b"".join((number * 2654435761 + seed & 0xFFFFFFFF).to_bytes(4, "little") * 128 for number in range(SECTORS))
    for seed in (1, 2)
)
ATA = Contract("ata", "ATA hard disks", "ATA/ATAPI-6, T13/1410D revision 3b", disks=DISKS)

DATA, ERROR, FEATURES, COUNT, LOW, MID, HIGH, DEVICE, STATUS, COMMAND = (
    0x1F0, 0x1F1, 0x1F1, 0x1F2, 0x1F3, 0x1F4, 0x1F5, 0x1F6, 0x1F7, 0x1F7,
)  # fmt: skip
CONTROL = ALTERNATE = 0x3F6
NIEN, SRST, HOB = 0x02, 0x04, 0x80
BSY, DRDY, DRQ, ERR = 0x80, 0x40, 0x08, 0x01
ABRT, IDNF = 0x04, 0x10
ONLY_ABRT = "an address past the end is ABRT and not IDNF: hw/ide/core.c, ide_rw_error"
NO_PENDING = "an interrupt that nIEN cut off is lost: hw/ide/core.c, ide_bus_set_irq"
NOT_SELECTED = "the line is driven whichever drive is selected: hw/ide/core.c, ide_bus_set_irq"
RESET_INTERRUPTS = "a soft reset ends as the diagnostic does, with an interrupt: hw/ide/core.c, ide_perform_srst"
STAYS_SELECTED = "drive 1 stays selected, though its DEV reads 0: hw/ide/core.c, ide_perform_srst"
MULTIPLE_AT_FIRST = "READ MULTIPLE works from the start, with 16 sectors: hw/ide/core.c, ide_reset"


def select(pc: Probe, drive: int = 0) -> None:
    """Select a drive for LBA addresses."""
    pc.write(DEVICE, 0xE0 | drive << 4)


def address(pc: Probe, lba: int, count: int = 1, *, drive: int = 0) -> None:
    """Put an LBA of 28 bits and a count into the registers."""
    pc.write(DEVICE, 0xE0 | drive << 4 | lba >> 24 & 0x0F)
    pc.write(COUNT, count & 0xFF)
    for port, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
        pc.write(port, lba >> shift & 0xFF)


def address_48(pc: Probe, lba: int, count: int = 1) -> None:
    """Put an LBA of 48 bits and a count into the registers, the high halves first."""
    pc.write(DEVICE, 0x40)
    pc.write(COUNT, count >> 8, count & 0xFF)
    for port, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
        pc.write(port, lba >> shift + 24 & 0xFF, lba >> shift & 0xFF)


def command(pc: Probe, code: int) -> int:
    """Give a command, wait until the drive is not busy, and return the status, which answers the interrupt."""
    pc.write(COMMAND, code)
    pc.waits_for(ALTERNATE, BSY, 0, "not busy")
    return pc.read(STATUS)


def done(pc: Probe, code: int) -> None:
    """Give a command that has no data and must succeed."""
    pc.equal(command(pc, code) & (DRDY | DRQ | ERR), DRDY, f"status after command {code:02X}h")


def refused(pc: Probe, code: int, error: int = ABRT) -> None:
    """Give a command that must fail."""
    pc.equal(command(pc, code) & (DRQ | ERR), ERR, f"status after command {code:02X}h")
    pc.reads(ERROR, error, "error")


def read_block(pc: Probe, length: int = 512) -> bytes:
    """Read a block that must be waiting, 16 bits at a time."""
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ, "a block waits")
    return b"".join(pc.system.read_port(DATA, 2).to_bytes(2, "little") for _ in range(length // 2))


def write_block(pc: Probe, data: bytes) -> None:
    """Write a block that must be wanted."""
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ, "a block is wanted")
    for place in range(0, len(data), 2):
        pc.system.write_port(DATA, 2, int.from_bytes(data[place : place + 2], "little"))


def sector(lba: int, count: int = 1, drive: int = 0) -> bytes:
    """Return what lies on the disk."""
    return DISKS[drive][lba * 512 : (lba + count) * 512]


def identity(pc: Probe) -> list[int]:
    """Return the words of IDENTIFY DEVICE."""
    pc.write(COMMAND, 0xEC)
    block = read_block(pc)
    pc.read(STATUS)
    return [int.from_bytes(block[at : at + 2], "little") for at in range(0, 512, 2)]


def soft_reset(pc: Probe) -> None:
    """Pulse SRST and wait until the drives are back."""
    pc.write(CONTROL, SRST)
    pc.step(us=10)
    pc.write(CONTROL, 0)
    pc.waits_for(ALTERNATE, BSY, 0, "reset is over")


@ATA.case("after a soft reset a disk shows its signature and the diagnostic's code", "9.12 Signature")
def signature(pc: Probe) -> None:
    address(pc, 0x123456, 7)
    soft_reset(pc)
    for port, value in ((COUNT, 1), (LOW, 1), (MID, 0), (HIGH, 0), (ERROR, 1)):
        pc.reads(port, value, f"port {port:X}h")
    pc.reads(DEVICE, 0, "DEV", mask=0x10)


@ATA.case(
    "a soft reset selects drive 0, whose first sector the signature is the address of",
    "9.2 Software reset; 9.12 Signature",
    differs={"QEMU": STAYS_SELECTED},
)
def soft_reset_selects_drive_0(pc: Probe) -> None:
    select(pc, 1)
    soft_reset(pc)
    pc.reads(DEVICE, 0, "DEV", mask=0x10)
    pc.write(COMMAND, 0x20)
    pc.that(read_block(pc) == sector(0), "the first sector is drive 0's")


@ATA.case("a soft reset asks no interrupt", "9.2 Software reset", differs={"QEMU": RESET_INTERRUPTS})
def soft_reset_is_silent(pc: Probe) -> None:
    soft_reset(pc)
    pc.irq_is(14, False)


@ATA.case("registers can be written and read back while the drive is at rest", "7 Register descriptions")
def registers_hold(pc: Probe) -> None:
    select(pc)
    for port in (COUNT, LOW, MID, HIGH):
        for value in (0x55, 0xAA):
            pc.write(port, value)
            pc.reads(port, value, f"port {port:X}h")


@ATA.case("both drives hear every write of a register", "9.16 Device 0/1 protocols")
def both_drives_hear(pc: Probe) -> None:
    select(pc)
    pc.write(LOW, 0x3C)
    select(pc, 1)
    pc.reads(LOW, 0x3C, "drive 1's")


@ATA.case("HOB shows what was written before, until a register is written", "7.9.6 Device Control: HOB")
def high_order_bytes(pc: Probe) -> None:
    select(pc)
    pc.write(COUNT, 0x12, 0x34)
    pc.reads(COUNT, 0x34)
    pc.write(CONTROL, HOB)
    pc.reads(COUNT, 0x12, "with HOB")
    pc.write(LOW, 0)
    pc.reads(COUNT, 0x34, "after a write")


@ATA.case("READ SECTORS gives each sector with an interrupt", "8.34 READ SECTOR(S); 9.5 PIO data-in")
def read_sectors(pc: Probe) -> None:
    address(pc, 70, 2)
    pc.write(COMMAND, 0x20)
    for lba in (70, 71):
        pc.waits_for(ALTERNATE, BSY | DRQ, DRQ, "a block waits")
        pc.irq_is(14, True, f"sector {lba}")
        pc.reads(STATUS, DRDY | DRQ, "status", mask=DRDY | DRQ | ERR)
        pc.irq_is(14, False, "after the status was read")
        pc.that(read_block(pc) == sector(lba), f"sector {lba} is the disk's")
    pc.step(us=100)
    pc.irq_is(14, False, "after the last one")
    pc.reads(STATUS, DRDY, "status", mask=BSY | DRDY | DRQ | ERR)


@ATA.case("the alternate status leaves the interrupt alone", "7.3 Alternate Status")
def alternate_status(pc: Probe) -> None:
    address(pc, 0)
    pc.write(COMMAND, 0x20)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    pc.irq_is(14, True)
    pc.read(ALTERNATE)
    pc.irq_is(14, True, "after the alternate status")
    pc.read(STATUS)
    pc.irq_is(14, False, "after the status")


@ATA.case("the data register can be read 32 bits at a time", "PIIX3: 32-bit accesses of the data port are two of 16")
def wide_data(pc: Probe) -> None:
    address(pc, 5)
    pc.write(COMMAND, 0x20)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    data = b"".join(pc.system.read_port(DATA, 4).to_bytes(4, "little") for _ in range(128))
    pc.that(data == sector(5), "sector 5 is the disk's")


@ATA.case("a sector is found by cylinder, head and sector", "6.2 Addressing, CHS")
def cylinder_head_sector(pc: Probe) -> None:
    for port, value in ((DEVICE, 0xA5), (COUNT, 1), (LOW, 9), (MID, 2), (HIGH, 0), (COMMAND, 0x20)):
        pc.write(port, value)
    pc.that(read_block(pc) == sector((2 * 16 + 5) * 63 + 8), "the sector is the disk's")


@ATA.case("48-bit commands take their high halves from the previous contents", "8.35 READ SECTOR(S) EXT")
def read_extended(pc: Probe) -> None:
    address_48(pc, SECTORS - 1)
    pc.write(COMMAND, 0x24)
    pc.that(read_block(pc) == sector(SECTORS - 1), "the last sector is the disk's")
    address_48(pc, 1 << 24)
    pc.equal(command(pc, 0x24) & (DRQ | ERR), ERR, "status behind the end")


@ATA.case("each drive has its own disk", "9.16 Device 0/1 protocols")
def second_drive(pc: Probe) -> None:
    address(pc, 33, drive=1)
    pc.write(COMMAND, 0x20)
    pc.that(read_block(pc) == sector(33, drive=1), "sector 33 is drive 1's")


@ATA.case("WRITE SECTORS asks for the first block without an interrupt", "8.63 WRITE SECTOR(S); 9.6 PIO data-out")
def write_sectors(pc: Probe) -> None:
    address(pc, 100, 2)
    pc.write(COMMAND, 0x30)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ, "a block is wanted")
    pc.irq_is(14, False, "before the first block")
    write_block(pc, b"\x5a" * 512)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ, "the second block is wanted")
    pc.irq_is(14, True, "before the second block")
    pc.read(STATUS)
    write_block(pc, b"\xa5" * 512)
    pc.waits_for(ALTERNATE, BSY, 0)
    pc.irq_is(14, True, "at the end")
    pc.reads(STATUS, DRDY, mask=BSY | DRDY | DRQ | ERR)
    address(pc, 100, 2)
    pc.write(COMMAND, 0x20)
    pc.that(read_block(pc) + read_block(pc) == b"\x5a" * 512 + b"\xa5" * 512, "both sectors were written")


@ATA.case("READ and WRITE MULTIPLE move blocks of the size that was set", "8.28 READ MULTIPLE; 8.49 SET MULTIPLE MODE")
def multiple(pc: Probe) -> None:
    select(pc)
    pc.write(COUNT, 4)
    done(pc, 0xC6)
    pc.equal(identity(pc)[59], 0x0104, "word 59", digits=4)
    address(pc, 10, 6)
    pc.write(COMMAND, 0xC5)
    write_block(pc, sector(1000, 4))
    write_block(pc, sector(1004, 2))
    pc.waits_for(ALTERNATE, BSY | DRQ, 0, "written")
    address(pc, 10, 6)
    pc.write(COMMAND, 0xC4)
    pc.that(read_block(pc, 2048) + read_block(pc, 1024) == sector(1000, 6), "six sectors were written")


@ATA.case("a block size that is no power of two is aborted", "8.49 SET MULTIPLE MODE")
def odd_multiple(pc: Probe) -> None:
    select(pc)
    pc.write(COUNT, 3)
    refused(pc, 0xC6)


@ATA.case(
    "READ MULTIPLE is aborted before a block size is set",
    "8.28 READ MULTIPLE: while disabled",
    differs={"QEMU": MULTIPLE_AT_FIRST},
)
def multiple_at_first(pc: Probe) -> None:
    address(pc, 0)
    refused(pc, 0xC4)


@ATA.case("IDENTIFY DEVICE tells the size in every way of addressing", "8.15 IDENTIFY DEVICE")
def identify_sizes(pc: Probe) -> None:
    select(pc)
    words = identity(pc)
    pc.equal(words[60] | words[61] << 16, SECTORS, "LBA sectors")
    pc.equal(words[100] | words[101] << 16, SECTORS, "LBA48 sectors")
    pc.equal(words[1] * words[3] * words[6], SECTORS, "CHS sectors")
    pc.equal(words[49] & 0x0300, 0x0300, "DMA and LBA", digits=4)
    pc.equal(words[83] & 0xD400, 0x5400, "48 bits and FLUSH CACHE", digits=4)
    pc.equal(words[0] & 0x8000, 0, "no packets", digits=4)


@ATA.case("INITIALIZE DEVICE PARAMETERS changes the translation", "8.16 INITIALIZE DEVICE PARAMETERS (ATA-5)")
def translation(pc: Probe) -> None:
    for port, value in ((COUNT, 17), (DEVICE, 0xA3)):
        pc.write(port, value)
    done(pc, 0x91)
    pc.equal(identity(pc)[56], 17, "word 56")
    for port, value in ((DEVICE, 0xA1), (COUNT, 1), (LOW, 3), (MID, 1), (HIGH, 0), (COMMAND, 0x20)):
        pc.write(port, value)
    pc.that(read_block(pc) == sector((1 * 4 + 1) * 17 + 2), "the sector is the disk's")


@ATA.case("an address past the end is not found", "8.34 READ SECTOR(S): error outputs", differs={"QEMU": ONLY_ABRT})
def past_the_end(pc: Probe) -> None:
    address(pc, SECTORS)
    refused(pc, 0x20, IDNF)


@ATA.case("a command that the drive does not have is aborted, with an interrupt", "7.5 Error: ABRT")
def unknown(pc: Probe) -> None:
    select(pc)
    pc.write(COMMAND, 0xDD)
    pc.waits_for(ALTERNATE, BSY, 0)
    pc.irq_is(14, True)
    pc.reads(STATUS, ERR, mask=DRQ | ERR)
    pc.reads(ERROR, ABRT, "error")


@ATA.case("a disk aborts packets", "8.25 PACKET; 8.16 IDENTIFY PACKET DEVICE")
def no_packets(pc: Probe) -> None:
    select(pc)
    refused(pc, 0xA0)
    refused(pc, 0xA1)


@ATA.case("EXECUTE DEVICE DIAGNOSTIC answers from drive 0, with an interrupt", "8.11 EXECUTE DEVICE DIAGNOSTIC")
def diagnostic(pc: Probe) -> None:
    select(pc)
    pc.write(COMMAND, 0x90)
    pc.waits_for(ALTERNATE, BSY, 0)
    pc.irq_is(14, True)
    pc.reads(ERROR, 0x01, "the code")
    for port, value in ((COUNT, 1), (LOW, 1), (MID, 0), (HIGH, 0)):
        pc.reads(port, value, f"port {port:X}h")


@ATA.case("SET FEATURES chooses the DMA mode that IDENTIFY DEVICE tells", "8.46 SET FEATURES, subcommand 03h")
def transfer_modes(pc: Probe) -> None:
    select(pc)
    identity(pc)
    for mode, word, bits in ((0x42, 88, 0x04), (0x22, 63, 0x04), (0x45, 88, 0x20)):
        pc.write(FEATURES, 0x03)
        pc.write(COUNT, mode)
        done(pc, 0xEF)
        pc.equal(identity(pc)[word] >> 8, bits, f"word {word} for mode {mode:02X}h")


@ATA.case("SET FEATURES refuses what it does not know", "8.46 SET FEATURES")
def unknown_feature(pc: Probe) -> None:
    select(pc)
    pc.write(FEATURES, 0x3F)
    refused(pc, 0xEF)


@ATA.case("power commands end well, and an awake drive says so", "8.8 CHECK POWER MODE; 8.13 IDLE; 8.53 STANDBY")
def power(pc: Probe) -> None:
    select(pc)
    for code in (0xE1, 0xE3):
        done(pc, code)
    done(pc, 0xE5)
    pc.reads(COUNT, 0xFF, "active or idle")


@ATA.case("FLUSH CACHE, FLUSH CACHE EXT, RECALIBRATE and READ VERIFY end well", "8.12, 8.13, 8.36")
def without_data(pc: Probe) -> None:
    for code in (0xE7, 0xEA, 0x10, 0x40):
        address(pc, 3)
        done(pc, code)


@ATA.case("READ NATIVE MAX ADDRESS gives the last sector", "8.32 READ NATIVE MAX ADDRESS")
def native_max(pc: Probe) -> None:
    select(pc)
    done(pc, 0xF8)
    last = SECTORS - 1
    for port, value in ((LOW, last & 0xFF), (MID, last >> 8), (HIGH, 0)):
        pc.reads(port, value, f"port {port:X}h")


@ATA.case("nIEN keeps the line low", "7.9.6 Device Control: nIEN")
def no_interrupts(pc: Probe) -> None:
    address(pc, 0)
    pc.write(CONTROL, NIEN)
    pc.write(COMMAND, 0x20)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    pc.irq_is(14, False)


@ATA.case("an interrupt waits behind nIEN", "9.3 Interrupts: interrupt pending", differs={"QEMU": NO_PENDING})
def interrupts_wait(pc: Probe) -> None:
    address(pc, 0)
    pc.write(CONTROL, NIEN)
    pc.write(COMMAND, 0x20)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    pc.write(CONTROL, 0)
    pc.irq_is(14, True)


@ATA.case(
    "only the selected drive drives the line", "9.16 Device 0/1 protocols; 5.2.9 INTRQ", differs={"QEMU": NOT_SELECTED}
)
def selected_interrupt(pc: Probe) -> None:
    select(pc)
    pc.write(COMMAND, 0xE1)
    pc.waits_for(ALTERNATE, BSY, 0)
    pc.irq_is(14, True, "drive 0 has an interrupt")
    select(pc, 1)
    pc.irq_is(14, False, "drive 1 is selected")
    select(pc)
    pc.irq_is(14, True, "drive 0 is selected again")


@ATA.case("a soft reset ends a transfer in its middle", "9.2 Software reset")
def reset_in_the_middle(pc: Probe) -> None:
    address(pc, 0, 3)
    pc.write(COMMAND, 0x20)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    pc.read(DATA, 2)
    soft_reset(pc)
    pc.reads(STATUS, DRDY, mask=BSY | DRDY | DRQ | ERR)
    address(pc, 9)
    pc.write(COMMAND, 0x20)
    pc.that(read_block(pc) == sector(9), "the next command works")
