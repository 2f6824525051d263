"""The 82077AA at 3F0h-3F7h with one 1.44M drive, IRQ 6 and DMA channel 2.

Every sector of its floppy says which it is. QEMU turns no disk and steps no head: there everything is done at once.
"""

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts import dma
from minivm.testing.contracts.dma import BUFFER, IMAGE, READ, SECTOR, SINGLE, WRITE, holds, program, send, take

FLOPPY = Contract("floppy", "82077AA floppy controller", "Intel 82077AA datasheet 290166", floppy=IMAGE)

SRA, SRB, DOR, TDR, MSR, FIFO, CCR = (*range(0x3F0, 0x3F6), 0x3F7)
DSR, DIR = MSR, CCR
MOTOR, GATE, NOT_RESET = 0x10, 0x08, 0x04
ON = MOTOR | GATE | NOT_RESET
RQM, DIO, NON_DMA, BUSY = 0x80, 0x40, 0x20, 0x10
READ_DATA, WRITE_DATA, FORMAT_TRACK, READ_ID = 0xE6, 0xC5, 0x4D, 0x4A

NO_GATE = "DOR's gate holds nothing back (hw/block/fdc.c, fdctrl_raise_irq)"
NO_TIME = "commands and resets take no time (hw/block/fdc.c, fdctrl_start_transfer)"
READY_IN_RESET = "RQM is set in reset (hw/block/fdc.c, fdctrl_read_main_status)"
MOTORS_OFF = "a reset by DSR switches the motors off (hw/block/fdc.c, fdctrl_reset)"
TIMES_CHANGED = "SRT comes back without HUT, and HLT with another bit 0 (hw/block/fdc.c, fdctrl_handle_dumpreg)"
NEXT_CYLINDER = "the head goes on to the next cylinder by itself (hw/block/fdc.c, fdctrl_seek_to_next_sect)"
NO_IDS = "sectors are found by number, whatever the track's IDs are (hw/block/fdc.c, fd_seek)"


def start(pc: Probe) -> None:
    """Bring the chip out of reset, its motor on, its head at track 0, at 500 kbit/s."""
    reset(pc)
    for _ in range(4):
        sense(pc)
    send(pc, 0x03, 0xDF, 0x02)
    recalibrate(pc)


def reset(pc: Probe) -> None:
    """Reset by DOR."""
    pc.write(DOR, 0x00)
    pc.write(DOR, ON)
    pc.write(CCR, 0x00)
    pc.step(ms=1)


def sense(pc: Probe) -> list[int]:
    """Give SENSE INTERRUPT STATUS and return ST0 and PCN, or the one byte that says that there is nothing."""
    send(pc, 0x08)
    first = take(pc, 1)
    return first if first == [0x80] else first + take(pc, 1)


def recalibrate(pc: Probe) -> list[int]:
    """Bring the head to track 0 and return what the sense says."""
    send(pc, 0x07, 0)
    pc.step(ms=300)
    return sense(pc)


def seek(pc: Probe, cylinder: int) -> list[int]:
    """Move the head and return what the sense says."""
    send(pc, 0x0F, 0, cylinder)
    pc.step(ms=500)
    return sense(pc)


def access(pc: Probe, opcode: int, cylinder: int, head: int, first: int, *, last: int = 18, size: int = 2) -> list[int]:
    """Give a command with data and return its result."""
    send(pc, opcode, head << 2, cylinder, head, first, size, last, 0x1B, 0xFF)
    return take(pc, 7)


def equals(pc: Probe, got: list[int], expected: list[int], what: str) -> None:
    """Check a result byte by byte."""
    pc.that(len(got) == len(expected), f"{what}: {len(expected)} bytes")
    for place, (one, other) in enumerate(zip(got, expected, strict=True)):
        pc.equal(one, other, f"{what}, byte {place}")


def sector(cylinder: int, head: int, number: int) -> bytes:
    """Return what a sector of the image holds."""
    return dma.sector((cylinder * 2 + head) * 18 + number)


# -- registers and resets -------------------------------------------------------------------------------------------
@FLOPPY.case("a reset by DOR interrupts, and four senses tell of four drives", "4.4 Polling; 5.2.4 Sense Interrupt")
def after_reset(pc: Probe) -> None:
    reset(pc)
    pc.irq_is(6, True, "after the reset")
    pc.reads(MSR, RQM, "main status")
    for unit in range(4):
        equals(pc, sense(pc), [0xC0 | unit, 0], f"sense {unit}")
        pc.irq_is(6, False, "sensed")
    equals(pc, sense(pc), [0x80], "sense with nothing left")


@FLOPPY.case(
    "while DOR holds the chip in reset it takes no bytes",
    "2.1.3 DOR, bit 2; 4.1 Reset",
    differs={"QEMU": READY_IN_RESET},
)
def held_in_reset(pc: Probe) -> None:
    pc.write(DOR, 0x00)
    pc.reads(MSR, 0x00, "main status", mask=RQM)
    pc.irq_is(6, False)


@FLOPPY.case("DOR reads back", "2.1.3 Digital Output Register")
def dor_reads_back(pc: Probe) -> None:
    start(pc)
    for value in (0x1C, 0x0C, 0x3C, 0x0D):
        pc.write(DOR, value)
        pc.reads(DOR, value, "DOR")


@FLOPPY.case("DSR's bit 7 resets by itself", "2.1.5 Datarate Select Register")
def reset_by_dsr(pc: Probe) -> None:
    start(pc)
    pc.write(DSR, 0x80)
    pc.step(ms=1)
    pc.irq_is(6, True, "after the reset")
    equals(pc, sense(pc), [0xC0, 0], "sense")


@FLOPPY.case("a reset by DSR leaves DOR", "2.1.5 Datarate Select Register", differs={"QEMU": MOTORS_OFF})
def dsr_leaves_dor(pc: Probe) -> None:
    start(pc)
    pc.write(DSR, 0x80)
    pc.step(ms=1)
    pc.reads(DOR, ON, "DOR")


@FLOPPY.case("with DOR's gate closed no interrupt leaves the chip", "2.1.3 DOR, bit 3", differs={"QEMU": NO_GATE})
def gate(pc: Probe) -> None:
    pc.write(DOR, 0x00)
    pc.write(DOR, NOT_RESET)
    pc.step(ms=1)
    pc.irq_is(6, False, "gate closed")
    pc.write(DOR, NOT_RESET | GATE)
    pc.irq_is(6, True, "gate open")


@FLOPPY.case("the main status tells command, result and idle apart", "2.1.6 Main Status Register")
def main_status(pc: Probe) -> None:
    start(pc)
    pc.reads(MSR, RQM, "idle")
    pc.write(FIFO, 0x04)
    pc.reads(MSR, RQM | BUSY, "in the command")
    pc.write(FIFO, 0x00)
    pc.reads(MSR, RQM | DIO | BUSY, "in the result")
    pc.read(FIFO)
    pc.reads(MSR, RQM, "idle again")


# -- control commands -----------------------------------------------------------------------------------------------
@FLOPPY.case("an invalid command answers 80h and does not interrupt", "5.3 Invalid Command")
def invalid(pc: Probe) -> None:
    start(pc)
    for opcode in (0x00, 0x0B, 0x1F):
        send(pc, opcode)
        equals(pc, take(pc, 1), [0x80], f"command {opcode:02X}h")
        pc.irq_is(6, False)
        pc.reads(MSR, RQM, "main status")


@FLOPPY.case("VERSION answers 90h", "5.2.8 Version")
def version(pc: Probe) -> None:
    start(pc)
    send(pc, 0x10)
    equals(pc, take(pc, 1), [0x90], "version")


@FLOPPY.case(
    "PART ID is not a command of this chip",
    "5.3 Invalid Command",
    differs={"QEMU": "it answers 41h as a later 82078 might (hw/block/fdc.c, fdctrl_handle_partid)"},
)
def part_id(pc: Probe) -> None:
    start(pc)
    send(pc, 0x18)
    equals(pc, take(pc, 1), [0x80], "part ID")


@FLOPPY.case("LOCK answers its bit, and keeps the FIFO's settings over a software reset", "5.2.9 Lock")
def lock(pc: Probe) -> None:
    start(pc)
    send(pc, 0x13, 0x00, 0x17, 0x05)
    send(pc, 0x94)
    equals(pc, take(pc, 1), [0x10], "lock")
    pc.write(DSR, 0x80)
    pc.step(ms=1)
    send(pc, 0x0E)
    dump = take(pc, 10)
    pc.equal(dump[7] & 0x80, 0x80, "lock bit")
    pc.equal(dump[8] & 0x2F, 0x07, "FIFO on, threshold 7")
    pc.equal(dump[9], 0x05, "precompensation")
    send(pc, 0x14)
    equals(pc, take(pc, 1), [0x00], "unlock")


@FLOPPY.case("DUMPREG shows the cylinders and SPECIFY's times", "5.2.7 DUMPREG", differs={"QEMU": TIMES_CHANGED})
def dump_times(pc: Probe) -> None:
    start(pc)
    seek(pc, 9)
    send(pc, 0x0E)
    dump = take(pc, 10)
    equals(pc, dump[:2] + dump[4:6], [9, 0, 0xDF, 0x02], "cylinders and times")


@FLOPPY.case("DUMPREG shows the settings of CONFIGURE", "5.2.7 DUMPREG")
def dump_registers(pc: Probe) -> None:
    start(pc)
    seek(pc, 9)
    send(pc, 0x13, 0x00, 0x57, 0x12)
    send(pc, 0x0E)
    dump = take(pc, 10)
    equals(pc, dump[:2] + dump[7:], [9, 0, 0x00, 0x57, 0x12], "cylinders and settings")


@FLOPPY.case("a seek interrupts, and the sense tells the cylinder", "5.2.3 Seek; 5.2.4 Sense Interrupt Status")
def seeks(pc: Probe) -> None:
    start(pc)
    send(pc, 0x0F, 0, 5)
    pc.step(ms=100)
    pc.irq_is(6, True, "at the cylinder")
    equals(pc, sense(pc), [0x20, 5], "sense")
    pc.irq_is(6, False, "sensed")
    equals(pc, sense(pc), [0x80], "sense with nothing left")


@FLOPPY.case("a seek takes its steps", "5.2.6 Specify; 5.2.3 Seek", differs={"QEMU": NO_TIME})
def seeks_take_time(pc: Probe) -> None:
    start(pc)
    send(pc, 0x0F, 0, 20)
    pc.reads(MSR, RQM | 0x01, "main status: drive 0 seeks")
    pc.step(ms=55)
    pc.irq_is(6, False, "early")
    pc.step(ms=10)
    pc.irq_is(6, True, "in time")


@FLOPPY.case("a recalibrate ends at track 0", "5.2.2 Recalibrate")
def recalibrates(pc: Probe) -> None:
    start(pc)
    seek(pc, 33)
    equals(pc, recalibrate(pc), [0x20, 0], "sense")
    send(pc, 0x04, 0)
    pc.equal(take(pc, 1)[0], 0x38, "ST3: track 0")


@FLOPPY.case("relative seeks count from where the head is", "5.2.10 Relative Seek")
def relative_seeks(pc: Probe) -> None:
    start(pc)
    seek(pc, 10)
    send(pc, 0xCF, 0, 4)
    pc.step(ms=100)
    equals(pc, sense(pc), [0x20, 14], "sense after four steps in")
    send(pc, 0x8F, 0, 6)
    pc.step(ms=100)
    equals(pc, sense(pc), [0x20, 8], "sense after six steps out")


@FLOPPY.case(
    "a drive that is not there never comes to track 0",
    "5.2.2 Recalibrate: equipment check",
    differs={"QEMU": "heads step without a drive, too (hw/block/fdc.c, fdctrl_handle_recalibrate)"},
)
def no_drive(pc: Probe) -> None:
    start(pc)
    send(pc, 0x07, 1)
    pc.step(ms=300)
    equals(pc, sense(pc), [0x71, 0], "sense")


@FLOPPY.case("the change line falls when the head steps", "2.1.8 DIR, bit 7")
def change_line(pc: Probe) -> None:
    start(pc)
    seek(pc, 1)
    pc.reads(DIR, 0x00, "change line after a step", mask=0x80)


# -- data -----------------------------------------------------------------------------------------------------------
@FLOPPY.case("a sector is read by DMA, and its result interrupts", "5.1.1 Read Data; table 5-6")
def reads_a_sector(pc: Probe) -> None:
    start(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    send(pc, READ_DATA, 0, 0, 0, 5, 2, 18, 0x1B, 0xFF)
    pc.step(ms=20)
    pc.irq_is(6, True, "the result is there")
    pc.reads(MSR, RQM | DIO | BUSY, "main status")
    equals(pc, take(pc, 7), [0, 0, 0, 0, 0, 6, 2], "result")
    pc.irq_is(6, False, "the result is read")
    holds(pc, BUFFER, sector(0, 0, 5), "the sector is in memory")


@FLOPPY.case("a read takes the time of its sectors", "5.1.1 Read Data", differs={"QEMU": NO_TIME})
def reads_take_time(pc: Probe) -> None:
    start(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    send(pc, READ_DATA, 0, 0, 0, 5, 2, 18, 0x1B, 0xFF)
    pc.reads(MSR, BUSY, "main status at work")
    pc.irq_is(6, False)


@FLOPPY.case("with the multi-track bit a read goes on at the other head", "5.1.1 Read Data: MT")
def multitrack(pc: Probe) -> None:
    start(pc)
    seek(pc, 2)
    program(pc, 3 * SECTOR, SINGLE | WRITE)
    equals(pc, access(pc, READ_DATA, 2, 0, 17)[:6], [4, 0, 0, 2, 1, 2], "result")
    holds(pc, BUFFER + 2 * SECTOR, sector(2, 1, 1), "the other head's first sector is in memory")


@FLOPPY.case(
    "a read that ends with the cylinder names the next", "table 5-6: result phase", differs={"QEMU": NEXT_CYLINDER}
)
def end_of_the_cylinder(pc: Probe) -> None:
    start(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    equals(pc, access(pc, READ_DATA, 0, 1, 18), [4, 0, 0, 1, 0, 1, 2], "result")


@FLOPPY.case(
    "a read past the last sector ends abnormally: end of cylinder",
    "5.1.1 Read Data: ST1, EN",
    differs={"QEMU": NEXT_CYLINDER},
)
def past_the_end(pc: Probe) -> None:
    start(pc)
    program(pc, 2 * SECTOR, SINGLE | WRITE)
    result = access(pc, READ_DATA, 0, 1, 18)
    pc.equal(result[0] & 0xC0, 0x40, "ST0: abnormal")
    pc.equal(result[1], 0x80, "ST1: end of cylinder")


@FLOPPY.case("a sector that the track does not have is not found", "5.1.1 Read Data: ST1, ND", differs={"QEMU": NO_IDS})
def no_such_sector(pc: Probe) -> None:
    start(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    equals(pc, access(pc, READ_DATA, 0, 0, 19, last=30), [0x40, 0x04, 0, 0, 0, 19, 2], "result")


@FLOPPY.case("a cylinder where the head is not is the wrong one", "ST2, WC", differs={"QEMU": NO_IDS})
def wrong_cylinder(pc: Probe) -> None:
    start(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    equals(pc, access(pc, READ_DATA, 3, 0, 1), [0x40, 0x04, 0x10, 3, 0, 1, 2], "result")


@FLOPPY.case("at another data rate there are no address marks", "2.1.9 CCR; ST1, MA")
def wrong_rate(pc: Probe) -> None:
    start(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    pc.write(CCR, 0x02)
    result = access(pc, READ_DATA, 0, 0, 1)
    pc.equal(result[0] & 0xC0, 0x40, "ST0: abnormal")
    pc.equal(result[1], 0x01, "ST1: missing address mark")


@FLOPPY.case("what is written is read again", "5.1.2 Write Data")
def writes(pc: Probe) -> None:
    start(pc)
    pc.poke(BUFFER, b"written by the contract ")
    program(pc, SECTOR, SINGLE | READ)
    equals(pc, access(pc, WRITE_DATA, 0, 0, 7), [0, 0, 0, 0, 0, 8, 2], "result of the write")
    pc.poke(BUFFER, bytes(24))
    program(pc, SECTOR, SINGLE | WRITE)
    access(pc, READ_DATA, 0, 0, 7)
    pc.that(pc.peek(BUFFER, 24) == b"written by the contract ", "it is there")


@FLOPPY.case("READ ID tells a sector of the track under the head", "5.1.7 Read ID")
def read_id(pc: Probe) -> None:
    start(pc)
    seek(pc, 3)
    send(pc, READ_ID, 4)
    result = take(pc, 7)
    equals(pc, result[:5], [4, 0, 0, 3, 1], "result")
    pc.between(result[5], 1, 18, "R")
    pc.equal(result[6], 2, "N")


@FLOPPY.case(
    "a format fills the sectors that it is told of",
    "5.1.6 Format Track",
    differs={"QEMU": "it ends without waiting for the IDs (hw/block/fdc.c, fdctrl_handle_format_track)"},
)
def formats(pc: Probe) -> None:
    start(pc)
    seek(pc, 1)
    pc.poke(BUFFER, b"".join(bytes((1, 0, number, 2)) for number in range(1, 19)))
    program(pc, 18 * 4, SINGLE | READ)
    send(pc, FORMAT_TRACK, 0, 2, 18, 0x54, 0xF6)
    equals(pc, take(pc, 7)[:3], [0, 0, 0], "result")
    program(pc, SECTOR, SINGLE | WRITE)
    access(pc, READ_DATA, 1, 0, 18)
    holds(pc, BUFFER, b"\xf6" * SECTOR, "the last sector is filled")


@FLOPPY.case("without DMA the processor takes the bytes, and each sector interrupts", "6.1.1 Non-DMA Mode")
def non_dma(pc: Probe) -> None:
    start(pc)
    send(pc, 0x03, 0xDF, 0x03)
    send(pc, 0x46, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF)
    pc.step(ms=20)
    pc.irq_is(6, True, "bytes are there")
    for place in range(SECTOR):
        if place in (0, SECTOR - 1):
            pc.reads(MSR, RQM | DIO | NON_DMA | BUSY, "main status with bytes")
        pc.reads(FIFO, sector(0, 0, 18)[place], f"byte {place}")


@FLOPPY.case(
    "without DMA there is no terminal count, so that a read ends with the cylinder",
    "6.1.1 Non-DMA Mode; ST1, EN",
    differs={"QEMU": "it ends well (hw/block/fdc.c, fdctrl_read_data)"},
)
def non_dma_ends(pc: Probe) -> None:
    start(pc)
    send(pc, 0x03, 0xDF, 0x03)
    send(pc, 0x46, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF)
    pc.step(ms=20)
    for _ in range(SECTOR):
        pc.read(FIFO)
    equals(pc, take(pc, 7)[:3], [0x40, 0x80, 0], "result")


@FLOPPY.case("an implied seek moves the head first", "5.2.11 Configure: EIS")
def implied_seek(pc: Probe) -> None:
    start(pc)
    send(pc, 0x13, 0x00, 0x40, 0x00)
    program(pc, SECTOR, SINGLE | WRITE)
    result = access(pc, READ_DATA, 6, 1, 2)
    pc.equal(result[0], 0x24, "ST0: seek end")
    equals(pc, result[1:], [0, 0, 6, 1, 3, 2], "result")
    holds(pc, BUFFER, sector(6, 1, 2), "the sector is in memory")


@FLOPPY.case("a verify moves nothing", "5.1.5 Verify")
def verify(pc: Probe) -> None:
    start(pc)
    pc.poke(BUFFER, b"untouched")
    result = access(pc, 0x76, 0, 0, 1)
    equals(pc, [result[0] & 0xC0, *result[1:3]], [0, 0, 0], "result")
    pc.that(pc.peek(BUFFER, 9) == b"untouched", "memory is as it was")
