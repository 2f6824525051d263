"""A CD-ROM drive with packet commands, against SFF-8020i, MMC-3 and ATA/ATAPI-6."""

from minivm.testing.contract import Contract, Probe

BLOCKS = 60
DISC = b"".join((number * 2654435761 & 0xFFFFFFFF).to_bytes(4, "little") * 512 for number in range(BLOCKS))
OTHER_DISC = DISC[2048 * 40 :] + DISC[: 2048 * 10]
ATAPI = Contract("atapi", "ATAPI CD-ROM drive", "SFF-8020i revision 2.6; MMC-3, T10/1363D; ATA/ATAPI-6", cdrom=DISC)

DATA, ERROR, FEATURES, COUNT, LOW, MID, HIGH, DEVICE, STATUS, COMMAND = (
    0x170, 0x171, 0x171, 0x172, 0x173, 0x174, 0x175, 0x176, 0x177, 0x177,
)  # fmt: skip
CONTROL = ALTERNATE = 0x376
BSY, DRDY, DRQ, CHK = 0x80, 0x40, 0x08, 0x01
PACKET, IDENTIFY_PACKET, IDENTIFY = 0xA0, 0xA1, 0xEC
FOR_PACKET, FOR_DATA, FOR_STATUS = 0x01, 0x02, 0x03
TEST_UNIT_READY, REQUEST_SENSE, INQUIRY, START_STOP, PREVENT = 0x00, 0x03, 0x12, 0x1B, 0x1E
READ_CAPACITY, READ_10, READ_TOC, MODE_SENSE, READ_12 = 0x25, 0x28, 0x43, 0x5A, 0xA8
EJECT, LOAD = 2, 3
NO_ABRT = "the error register has the sense key only: hw/ide/atapi.c, ide_atapi_cmd_error"
OTHER_KEY = "a locked tray is NOT READY: hw/ide/atapi.c, cmd_start_stop_unit"
SENSE_STAYS = "REQUEST SENSE takes only a unit attention back: hw/ide/atapi.c, cmd_request_sense"
NO_ATTENTION = "closing the tray by command tells no unit attention: hw/ide/atapi.c, cmd_start_stop_unit"


def send(pc: Probe, *packet: int, limit: int = 0xFFFE) -> None:
    """Send a packet of 12 bytes."""
    pc.write(DEVICE, 0xA0)
    pc.write(FEATURES, 0)
    pc.write(MID, limit & 0xFF)
    pc.write(HIGH, limit >> 8)
    pc.write(COMMAND, PACKET)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ, "the packet is wanted")
    data = bytes(packet).ljust(12, b"\0")
    for place in range(0, 12, 2):
        pc.system.write_port(DATA, 2, int.from_bytes(data[place : place + 2], "little"))
    pc.waits_for(ALTERNATE, BSY, 0, "the drive has looked at it")


def answer(pc: Probe) -> bytes:
    """Read all blocks of data of the packet that was sent."""
    data = b""
    while pc.waits_for(ALTERNATE, BSY, 0) & DRQ:
        pc.reads(COUNT, FOR_DATA, "interrupt reason of data", mask=3)
        length = pc.read(MID) | pc.read(HIGH) << 8
        data += b"".join(pc.system.read_port(DATA, 2).to_bytes(2, "little") for _ in range((length + 1) // 2))[:length]
    return data


def succeeds(pc: Probe, *packet: int, limit: int = 0xFFFE) -> bytes:
    """Send a packet that must succeed; return its data."""
    send(pc, *packet, limit=limit)
    data = answer(pc)
    pc.reads(COUNT, FOR_STATUS, "interrupt reason at the end", mask=3)
    pc.reads(STATUS, DRDY, "status", mask=DRDY | DRQ | CHK)
    return data


def sense(pc: Probe) -> tuple[int, int]:
    """Return the sense key and the additional code of REQUEST SENSE."""
    data = succeeds(pc, REQUEST_SENSE, 0, 0, 0, 18)
    return data[2] & 0x0F, data[12]


def fails(pc: Probe, *packet: int) -> tuple[int, int]:
    """Send a packet that must fail; return its sense."""
    send(pc, *packet)
    pc.reads(COUNT, FOR_STATUS, "interrupt reason", mask=3)
    pc.reads(STATUS, CHK, "status", mask=DRQ | CHK)
    key = pc.read(ERROR) >> 4
    found = sense(pc)
    pc.equal(key, found[0], "the sense key in the error register")
    return found


def check(pc: Probe, found: tuple[int, int], key: int, code: int, what: str) -> None:
    """Check a sense."""
    pc.equal(found[0], key, f"sense key, {what}")
    pc.equal(found[1], code, f"additional code, {what}")


def read_10(block: int, count: int) -> tuple[int, ...]:
    """Return a packet."""
    return READ_10, 0, *block.to_bytes(4, "big"), 0, *count.to_bytes(2, "big")


@ATAPI.case("after a soft reset the drive shows the packet signature", "ATA/ATAPI-6, 9.12 Signature")
def signature(pc: Probe) -> None:
    pc.write(CONTROL, 0x04)
    pc.step(us=10)
    pc.write(CONTROL, 0)
    pc.waits_for(ALTERNATE, BSY, 0)
    for port, value in ((COUNT, 1), (LOW, 1), (MID, 0x14), (HIGH, 0xEB), (ERROR, 1)):
        pc.reads(port, value, f"port {port:X}h")


@ATAPI.case("IDENTIFY DEVICE is aborted, with the signature", "ATA/ATAPI-6, 8.15.5.2")
def no_identify(pc: Probe) -> None:
    pc.write(DEVICE, 0xA0)
    pc.write(MID, 0)
    pc.write(COMMAND, IDENTIFY)
    pc.waits_for(ALTERNATE, BSY, 0)
    pc.reads(STATUS, CHK, mask=DRQ | CHK)
    for port, value in ((MID, 0x14), (HIGH, 0xEB), (ERROR, 0x04)):
        pc.reads(port, value, f"port {port:X}h")


@ATAPI.case("DEVICE RESET shows the signature, without an interrupt", "ATA/ATAPI-6, 8.10 DEVICE RESET")
def device_reset(pc: Probe) -> None:
    pc.write(DEVICE, 0xA0)
    pc.write(COMMAND, PACKET)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    pc.write(COMMAND, 0x08)
    pc.waits_for(ALTERNATE, BSY | DRQ, 0)
    pc.irq_is(15, False)
    for port, value in ((COUNT, 1), (LOW, 1), (MID, 0x14), (HIGH, 0xEB)):
        pc.reads(port, value, f"port {port:X}h")


@ATAPI.case("IDENTIFY PACKET DEVICE says a removable CD-ROM with packets of 12 bytes", "ATA/ATAPI-6, 8.16")
def identify(pc: Probe) -> None:
    pc.write(DEVICE, 0xA0)
    pc.write(COMMAND, IDENTIFY_PACKET)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    pc.reads(DATA, 0x8580, "word 0", mask=0xFF83, size=2)


@ATAPI.case("a packet goes through its phases, with an interrupt for data and one for the status", "SFF-8020i, 5.8")
def phases(pc: Probe) -> None:
    pc.write(DEVICE, 0xA0)
    pc.write(FEATURES, 0)
    pc.write(MID, 0x00)
    pc.write(HIGH, 0x08)
    pc.write(COMMAND, PACKET)
    pc.waits_for(ALTERNATE, BSY | DRQ, DRQ)
    pc.reads(COUNT, FOR_PACKET, "interrupt reason of the packet", mask=3)
    data = bytes(read_10(7, 2)).ljust(12, b"\0")
    for place in range(0, 12, 2):
        pc.write(DATA, int.from_bytes(data[place : place + 2], "little"), size=2)
    for block in (7, 8):
        pc.waits_for(ALTERNATE, BSY | DRQ, DRQ, f"block {block}")
        pc.irq_is(15, True, "with data")
        pc.reads(COUNT, FOR_DATA, "interrupt reason of data", mask=3)
        pc.equal(pc.read(MID) | pc.read(HIGH) << 8, 2048, "byte count", digits=4)
        pc.read(STATUS)
        got = b"".join(pc.system.read_port(DATA, 2).to_bytes(2, "little") for _ in range(1024))
        pc.that(got == DISC[2048 * block : 2048 * (block + 1)], f"block {block} is the disc's")
    pc.waits_for(ALTERNATE, BSY | DRQ, 0)
    pc.irq_is(15, True, "with the status")
    pc.reads(COUNT, FOR_STATUS, "interrupt reason at the end", mask=3)
    pc.reads(STATUS, DRDY, mask=DRDY | CHK)
    pc.irq_is(15, False)


@ATAPI.case("any byte count limit gives the same data", "SFF-8020i, 5.6: byte count")
def limits(pc: Probe) -> None:
    for limit in (0xFFFE, 2048, 1000, 512):
        data = succeeds(pc, *read_10(3, 2), limit=limit)
        pc.that(data == DISC[3 * 2048 : 5 * 2048], f"the blocks are the disc's with a limit of {limit}")


@ATAPI.case("READ(12) reads as READ(10) does, and no blocks are no data", "MMC-3, 6.15 READ(12)")
def read_12(pc: Probe) -> None:
    data = succeeds(pc, READ_12, 0, 0, 0, 0, BLOCKS - 1, 0, 0, 0, 1)
    pc.that(data == DISC[-2048:], "the last block is the disc's")
    pc.equal(len(succeeds(pc, *read_10(0, 0))), 0, "bytes of no blocks")


@ATAPI.case("READ CAPACITY gives the last block and its length", "MMC-3, 6.17 READ CAPACITY")
def capacity(pc: Probe) -> None:
    data = succeeds(pc, READ_CAPACITY)
    pc.equal(int.from_bytes(data[:4], "big"), BLOCKS - 1, "the last block")
    pc.equal(int.from_bytes(data[4:], "big"), 2048, "bytes a block", digits=4)


@ATAPI.case("a block behind the end is out of range", "MMC-3, 6.14 READ(10)")
def out_of_range(pc: Probe) -> None:
    check(pc, fails(pc, *read_10(BLOCKS - 1, 2)), 5, 0x21, "two blocks from the last one on")


@ATAPI.case("an unknown command is an illegal request", "SFF-8020i, 10.8.20 REQUEST SENSE")
def unknown(pc: Probe) -> None:
    check(pc, fails(pc, 0xFF), 5, 0x20, "command FFh")


@ATAPI.case("sense is told once", "SFF-8020i, 10.8.20 REQUEST SENSE", differs={"QEMU": SENSE_STAYS})
def sense_once(pc: Probe) -> None:
    check(pc, fails(pc, 0xFF), 5, 0x20, "command FFh")
    check(pc, sense(pc), 0, 0, "afterwards")


@ATAPI.case("an illegal request also sets ABRT", "ATA/ATAPI-6, 8.25.5: error outputs", differs={"QEMU": NO_ABRT})
def illegal_is_aborted(pc: Probe) -> None:
    send(pc, 0xFF)
    pc.reads(ERROR, 0x54, "error")


@ATAPI.case("INQUIRY says a removable CD-ROM, as much as is asked for", "SFF-8020i, 10.8.1 INQUIRY")
def inquiry(pc: Probe) -> None:
    data = succeeds(pc, INQUIRY, 0, 0, 0, 36)
    pc.equal(len(data), 36, "bytes")
    pc.equal(data[0], 0x05, "device type")
    pc.equal(data[1], 0x80, "removable")
    pc.equal(len(succeeds(pc, INQUIRY, 0, 0, 0, 8)), 8, "bytes when 8 are asked for")


@ATAPI.case("READ TOC has a data track and the lead-out", "MMC-3, 6.25 READ TOC/PMA/ATIP, format 0")
def contents(pc: Probe) -> None:
    data = succeeds(pc, READ_TOC, 0, 0, 0, 0, 0, 0, 0, 100)
    whole = bytes((0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 0, BLOCKS))
    pc.that(data[:13] == whole[:13] and data[14:] == whole[14:], f"the table is right: {data.hex(' ')}")
    minutes = succeeds(pc, READ_TOC, 2, 0, 0, 0, 0, 0xAA, 0, 100)
    pc.equal(int.from_bytes(minutes[8:12], "big"), 0x0002 << 8 | BLOCKS, "the lead-out's time", digits=8)


@ATAPI.case("MODE SENSE gives a header and the capabilities", "MMC-3, 5.5.10 capabilities page")
def mode_sense(pc: Probe) -> None:
    data = succeeds(pc, MODE_SENSE, 0, 0x2A, 0, 0, 0, 0, 0, 200)
    pc.equal(int.from_bytes(data[:2], "big"), len(data) - 2, "the length in the header", digits=4)
    pc.equal(data[8], 0x2A, "the page")
    pc.equal(data[14] & 0x09, 0x09, "it can lock and eject")


@ATAPI.case("a page that can be saved is not had", "MMC-3, 6.11 MODE SENSE(10): PC")
def saved_pages(pc: Probe) -> None:
    check(pc, fails(pc, MODE_SENSE, 0, 0xEA, 0, 0, 0, 0, 0, 200), 5, 0x39, "saved values")


@ATAPI.case("a new disc is told once", "SFF-8020i, 10.8.20: UNIT ATTENTION")
def new_disc(pc: Probe) -> None:
    succeeds(pc, TEST_UNIT_READY)
    pc.insert("cdrom", OTHER_DISC)
    found = fails(pc, TEST_UNIT_READY)
    if found[0] == 2:  # QEMU shows the moment in which the tray is open first
        found = fails(pc, TEST_UNIT_READY)
    check(pc, found, 6, 0x28, "the new disc")
    succeeds(pc, TEST_UNIT_READY)
    pc.that(succeeds(pc, *read_10(0, 1)) == OTHER_DISC[:2048], "the first block is the new disc's")


@ATAPI.case("without a disc the drive is not ready, and INQUIRY works", "SFF-8020i, 10.8.20: NOT READY")
def no_disc(pc: Probe) -> None:
    pc.insert("cdrom", None)
    for packet in ((TEST_UNIT_READY,), (READ_CAPACITY,), read_10(0, 1)):
        check(pc, fails(pc, *packet), 2, 0x3A, f"command {packet[0]:02X}h")
    pc.equal(len(succeeds(pc, INQUIRY, 0, 0, 0, 36)), 36, "bytes of INQUIRY")


@ATAPI.case("the tray opens and closes by command", "MMC-3, 6.40 START STOP UNIT")
def tray(pc: Probe) -> None:
    succeeds(pc, START_STOP, 0, 0, 0, EJECT)
    check(pc, fails(pc, TEST_UNIT_READY), 2, 0x3A, "with the tray open")
    succeeds(pc, START_STOP, 0, 0, 0, LOAD)
    send(pc, TEST_UNIT_READY)  # some drives tell the disc anew here
    succeeds(pc, TEST_UNIT_READY)
    pc.that(succeeds(pc, *read_10(1, 1)) == DISC[2048:4096], "the disc is there again")


@ATAPI.case(
    "closing the tray over a disc is a unit attention", "MMC-3, 6.40 START STOP UNIT", differs={"QEMU": NO_ATTENTION}
)
def tray_attention(pc: Probe) -> None:
    succeeds(pc, START_STOP, 0, 0, 0, EJECT)
    succeeds(pc, START_STOP, 0, 0, 0, LOAD)
    check(pc, fails(pc, TEST_UNIT_READY), 6, 0x28, "after closing")


@ATAPI.case("a locked tray does not open", "MMC-3, 6.13 PREVENT ALLOW MEDIUM REMOVAL")
def locked(pc: Probe) -> None:
    succeeds(pc, PREVENT, 0, 0, 0, 1)
    pc.equal(fails(pc, START_STOP, 0, 0, 0, EJECT)[1], 0x53, "additional code")
    succeeds(pc, TEST_UNIT_READY)
    succeeds(pc, PREVENT, 0, 0, 0, 0)
    succeeds(pc, START_STOP, 0, 0, 0, EJECT)
    pc.equal(fails(pc, TEST_UNIT_READY)[0], 2, "sense key with the tray open")


@ATAPI.case("a locked tray is an illegal request", "MMC-3, annex A: 5/53/02", differs={"QEMU": OTHER_KEY})
def locked_sense(pc: Probe) -> None:
    succeeds(pc, PREVENT, 0, 0, 0, 1)
    check(pc, fails(pc, START_STOP, 0, 0, 0, EJECT), 5, 0x53, "opening")
