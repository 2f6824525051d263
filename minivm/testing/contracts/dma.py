"""The 8237A pair as an AT wires it: bytes at 00h-0Fh, words at C0h-DFh, page registers at 81h-8Fh.

What moves does so on channel 2, for a floppy drive whose sectors say which they are.
"""

from minivm.testing.contract import Contract, Probe

SECTOR = 512
_SECTORS = [number.to_bytes(2, "little") * (SECTOR // 2) for number in range(2880)]
IMAGE = _SECTORS[0][:510] + b"\x55\xaa" + b"".join(_SECTORS[1:])
"""A floppy of 1.44M that could boot, and whose sectors hold their numbers."""

DMA = Contract("dma", "8237A DMA controllers", "Intel 8237A datasheet 231466; PIIX3 datasheet 290550", floppy=IMAGE)

COMMAND, REQUEST, SINGLE_MASK, MODE, CLEAR_FLIP_FLOP, MASTER_CLEAR, CLEAR_MASK, ALL_MASK = range(0x08, 0x10)
STATUS = COMMAND
WORD = {port: 0xC0 + 2 * port for port in range(0x10)}
WORD_STATUS, WORD_SINGLE_MASK, WORD_MODE, WORD_CLEAR_FLIP_FLOP = WORD[8], WORD[10], WORD[11], WORD[12]
PAGES = (0x81, 0x82, 0x83, 0x87, 0x89, 0x8A, 0x8B)
SPARE_PAGES = (0x84, 0x85, 0x86, 0x88, 0x8C, 0x8D, 0x8E)
ADDRESS_2, COUNT_2, PAGE_2 = 0x04, 0x05, 0x81
CASCADE, SINGLE, BLOCK = 0xC0, 0x40, 0x80
WRITE, READ, VERIFY, AUTOINITIALIZE, DECREMENT = 0x04, 0x08, 0x00, 0x10, 0x20
MASKED = 0x04
BUFFER = 0x12000
DOR, FIFO, MSR, CCR = 0x3F2, 0x3F5, 0x3F4, 0x3F7

NO_SOFTWARE_TRANSFER = "a software request sets a status bit and moves nothing (hw/dma/i8257.c, i8257_write_cont)"
NO_CASCADE = "the byte controller needs no leave of the word controller (hw/dma/i8257.c, i8257_dma_run)"
NO_OFF = "a controller that is off serves its channels (hw/dma/i8257.c, i8257_dma_run)"
NO_MASK_READ = "the masks read as zero (hw/dma/i8257.c, i8257_read_cont)"
NO_SPARE_PAGES = "there are no spare page registers (hw/dma/i8257.c, page_portio_list)"
NO_RELOAD = "the current registers are not reloaded (hw/dma/i8257.c, i8257_channel_run)"
NO_PAGE_WRAP = "a transfer goes on into the next page (hw/dma/i8257.c, i8257_dma_write_memory)"
ONE_BELOW = "a decrementing channel puts each byte one below its address (hw/dma/i8257.c, i8257_dma_write_memory)"
NO_TERMINAL_MASK = "the terminal count masks no channel (hw/dma/i8257.c, i8257_channel_run)"


def word(pc: Probe, port: int) -> int:
    """Read a register's two bytes."""
    return pc.read(port) | pc.read(port) << 8


def program(pc: Probe, length: int, mode: int, *, address: int = BUFFER) -> None:
    """Program and unmask channel 2, with channel 4 in cascade mode."""
    pc.write(WORD_MODE, CASCADE)
    pc.write(WORD_SINGLE_MASK, 0)
    pc.write(SINGLE_MASK, MASKED | 2)
    pc.write(CLEAR_FLIP_FLOP, 0)
    pc.write(MODE, mode | 2)
    pc.write(ADDRESS_2, address & 0xFF, address >> 8 & 0xFF)
    pc.write(COUNT_2, length - 1 & 0xFF, length - 1 >> 8)
    pc.write(PAGE_2, address >> 16)
    pc.write(SINGLE_MASK, 2)


def start_floppy(pc: Probe) -> None:
    """Bring the drive to where a command reads a sector."""
    pc.write(DOR, 0x00)
    pc.write(DOR, 0x1C)
    pc.write(CCR, 0x00)
    pc.step(ms=1)
    for _ in range(4):
        send(pc, 0x08)
        take(pc, 2)
    send(pc, 0x03, 0xDF, 0x02)
    send(pc, 0x07, 0x00)
    pc.step(ms=300)
    send(pc, 0x08)
    take(pc, 2)


def send(pc: Probe, *values: int) -> None:
    """Give the floppy controller bytes."""
    for value in values:
        pc.waits_for(MSR, 0xC0, 0x80, "ready for a byte")
        pc.write(FIFO, value)


def take(pc: Probe, count: int) -> list[int]:
    """Take bytes of a result."""
    return [pc.read(FIFO) for _ in range(count) if pc.waits_for(MSR, 0xC0, 0xC0, "a byte of the result", within_ms=500)]


def read_sectors(pc: Probe, first: int, *, wait: bool = True) -> list[int]:
    """Let the floppy controller read from a sector of track 0 on; return ST0 to ST2."""
    send(pc, 0xE6, 0, 0, 0, first, 2, 18, 0x1B, 0xFF)
    return take(pc, 7)[:3] if wait else []


def sector(number: int) -> bytes:
    """Return what a sector of the image holds; they count from 1."""
    return IMAGE[(number - 1) * SECTOR : number * SECTOR]


def holds(pc: Probe, address: int, data: bytes, what: str) -> None:
    """Check both ends of what memory holds."""
    first, last = pc.peek(address, 8), pc.peek(address + len(data) - 8, 8)
    pc.that(first == data[:8] and last == data[-8:], what)


# -- registers ------------------------------------------------------------------------------------------------------
@DMA.case("the flip-flop leads a word to a register byte by byte, low byte first", "First/Last Flip-Flop")
def words_through_the_flip_flop(pc: Probe) -> None:
    for channel in range(4):
        for port in (2 * channel, 2 * channel + 1):
            pc.write(CLEAR_FLIP_FLOP, 0)
            pc.write(port, 0x34 + port, 0x12)
            pc.equal(word(pc, port), 0x1234 + port, f"port {port:02X}h", digits=4)


@DMA.case("clearing the flip-flop makes the next byte a low one", "Clear First/Last Flip-Flop")
def clear_flip_flop(pc: Probe) -> None:
    pc.write(CLEAR_FLIP_FLOP, 0)
    pc.write(ADDRESS_2, 0x11)
    pc.write(CLEAR_FLIP_FLOP, 0xFF)
    pc.write(ADDRESS_2, 0x22, 0x33)
    pc.equal(word(pc, ADDRESS_2), 0x3322, "address", digits=4)


@DMA.case("the flip-flop is one for all channels, and reads turn it as writes do", "First/Last Flip-Flop")
def one_flip_flop(pc: Probe) -> None:
    pc.write(CLEAR_FLIP_FLOP, 0)
    pc.write(0x02, 0x78, 0x56)
    pc.write(0x04, 0xBC, 0x9A)
    pc.reads(0x02, 0x78, "low byte of channel 1")
    pc.reads(0x04, 0x9A, "high byte of channel 2")


@DMA.case("master clear clears status and flip-flop, and keeps addresses and counts", "Master Clear")
def master_clear(pc: Probe) -> None:
    pc.write(CLEAR_FLIP_FLOP, 0)
    pc.write(ADDRESS_2, 0x11, 0x22)
    pc.write(CLEAR_MASK, 0)
    pc.read(ADDRESS_2)
    pc.write(MASTER_CLEAR, 0)
    pc.reads(STATUS, 0x00, "status")
    pc.equal(word(pc, ADDRESS_2), 0x2211, "address", digits=4)


@DMA.case(
    "masks are set and cleared one by one, all at once, or written",
    "Mask Register; PIIX3: WAMB",
    differs={"QEMU": NO_MASK_READ},
)
def masks(pc: Probe) -> None:
    pc.write(MASTER_CLEAR, 0)
    pc.write(SINGLE_MASK, 0x01)
    pc.reads(ALL_MASK, 0x0D, "channel 1 unmasked", mask=0x0F)
    pc.write(SINGLE_MASK, 0x05)
    pc.reads(ALL_MASK, 0x0F, "channel 1 masked", mask=0x0F)
    pc.write(ALL_MASK, 0x0A)
    pc.reads(ALL_MASK, 0x0A, "written", mask=0x0F)
    pc.write(CLEAR_MASK, 0)
    pc.reads(ALL_MASK, 0x00, "cleared", mask=0x0F)


@DMA.case("page registers read back", "PC AT: DMA page registers")
def pages(pc: Probe) -> None:
    for port in PAGES:
        pc.write(port, port ^ 0x5A)
    for port in PAGES:
        pc.reads(port, port ^ 0x5A, f"page register {port:02X}h")


@DMA.case(
    "the page registers of no channel store a byte", "PC AT: DMA page registers", differs={"QEMU": NO_SPARE_PAGES}
)
def spare_pages(pc: Probe) -> None:
    for port in SPARE_PAGES:
        pc.write(port, port ^ 0x5A)
    for port in SPARE_PAGES:
        pc.reads(port, port ^ 0x5A, f"page register {port:02X}h")


@DMA.case("the word controller has its registers at every second port", "PC AT: DMA controller 2")
def word_controller(pc: Probe) -> None:
    pc.write(WORD_CLEAR_FLIP_FLOP, 0)
    for channel in range(1, 4):
        pc.write(WORD[2 * channel], channel, 0x55)
        pc.write(WORD[2 * channel + 1], 0x66, channel)
    for channel in range(1, 4):
        pc.equal(word(pc, WORD[2 * channel]), 0x5500 | channel, "address", digits=4)
        pc.equal(word(pc, WORD[2 * channel + 1]), channel << 8 | 0x66, "count", digits=4)


# -- transfers ------------------------------------------------------------------------------------------------------
@DMA.case("a write transfer puts the device's bytes into memory", "Mode Register: Write Transfer")
def write_transfer(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, 2 * SECTOR, SINGLE | WRITE)
    pc.equal(read_sectors(pc, 3)[0], 0x00, "ST0")
    holds(pc, BUFFER, sector(3) + sector(4), "both sectors are in memory")


@DMA.case("the terminal count shows in the status, until it is read", "Status Register")
def terminal_count(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    pc.read(STATUS)
    read_sectors(pc, 1)
    pc.reads(STATUS, 0x04, "status", mask=0x0F)
    pc.reads(STATUS, 0x00, "status read again", mask=0x0F)


@DMA.case(
    "the terminal count masks a channel that is not autoinitialized",
    "Mask Register",
    differs={"QEMU": NO_TERMINAL_MASK},
)
def terminal_count_masks(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    read_sectors(pc, 1)
    pc.reads(ALL_MASK, 0x04, "mask of channel 2", mask=0x04)


@DMA.case("after the terminal count the count is FFFFh and the address behind the last byte", "Current Registers")
def counters_at_the_end(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    read_sectors(pc, 1)
    pc.write(CLEAR_FLIP_FLOP, 0)
    pc.equal(word(pc, ADDRESS_2), (BUFFER + SECTOR) & 0xFFFF, "address", digits=4)
    pc.equal(word(pc, COUNT_2), 0xFFFF, "count", digits=4)


@DMA.case("an autoinitialized channel has its base values again", "Autoinitialize", differs={"QEMU": NO_RELOAD})
def autoinitialize(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE | AUTOINITIALIZE)
    read_sectors(pc, 1)
    pc.write(CLEAR_FLIP_FLOP, 0)
    pc.equal(word(pc, ADDRESS_2), BUFFER & 0xFFFF, "address", digits=4)
    pc.equal(word(pc, COUNT_2), SECTOR - 1, "count", digits=4)
    pc.reads(ALL_MASK, 0x00, "mask of channel 2", mask=0x04)


@DMA.case("an address goes round within its page", "PC AT: DMA page registers", differs={"QEMU": NO_PAGE_WRAP})
def within_the_page(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE, address=0x1FF00)
    pc.poke(0x20000, bytes(16))
    read_sectors(pc, 5)
    holds(pc, 0x1FF00, sector(5)[:256], "the first half lies at the end of the page")
    holds(pc, 0x10000, sector(5)[256:], "the second half lies at its beginning")
    pc.that(pc.peek(0x20000, 16) == bytes(16), "nothing lies in the next one")


@DMA.case("a verify transfer moves nothing and counts", "Mode Register: Verify Transfer")
def verify_transfer(pc: Probe) -> None:
    start_floppy(pc)
    pc.poke(BUFFER, b"untouched")
    program(pc, SECTOR, SINGLE | VERIFY)
    read_sectors(pc, 1)
    pc.that(pc.peek(BUFFER, 9) == b"untouched", "memory is as it was")
    pc.reads(STATUS, 0x04, "status", mask=0x0F)


@DMA.case(
    "a decrementing channel fills memory from above", "Mode Register: Address Decrement", differs={"QEMU": ONE_BELOW}
)
def decrement(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE | DECREMENT, address=BUFFER + SECTOR - 1)
    read_sectors(pc, 7)
    holds(pc, BUFFER, sector(7)[::-1], "the sector lies backwards")


@DMA.case("a masked channel lets its device wait, and shows the request", "Mask Register; Status Register")
def masked_request(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    pc.write(SINGLE_MASK, MASKED | 2)
    read_sectors(pc, 1, wait=False)
    pc.step(ms=6)
    pc.reads(STATUS, 0x40, "the request", mask=0x44)
    pc.write(SINGLE_MASK, 2)
    pc.equal(take(pc, 7)[0], 0x00, "ST0")
    holds(pc, BUFFER, sector(1), "the sector is in memory")


@DMA.case(
    "a byte channel waits for channel 4 to be in cascade mode and unmasked",
    "Cascade Mode; PC AT: channel 4",
    differs={"QEMU": NO_CASCADE},
)
def cascade(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    pc.write(WORD_SINGLE_MASK, MASKED)
    read_sectors(pc, 1, wait=False)
    pc.step(ms=6)
    pc.reads(MSR, 0x10, "main status: still busy", mask=0xD0)
    pc.write(WORD_SINGLE_MASK, 0)
    pc.equal(take(pc, 7)[0], 0x00, "ST0")


@DMA.case("a controller that is switched off serves nobody", "Command Register, bit 2", differs={"QEMU": NO_OFF})
def controller_off(pc: Probe) -> None:
    start_floppy(pc)
    program(pc, SECTOR, SINGLE | WRITE)
    pc.write(COMMAND, 0x04)
    read_sectors(pc, 1, wait=False)
    pc.step(ms=6)
    pc.reads(MSR, 0x10, "main status: still busy", mask=0xD0)
    pc.write(COMMAND, 0x00)
    pc.equal(take(pc, 7)[0], 0x00, "ST0")


@DMA.case(
    "a software request runs to the terminal count by itself",
    "Request Register",
    differs={"QEMU": NO_SOFTWARE_TRANSFER},
)
def software_request(pc: Probe) -> None:
    program(pc, 16, BLOCK | VERIFY)
    pc.write(REQUEST, 0x06)
    pc.reads(STATUS, 0x04, "status", mask=0x44)
    pc.write(CLEAR_FLIP_FLOP, 0)
    pc.equal(word(pc, COUNT_2), 0xFFFF, "count", digits=4)
