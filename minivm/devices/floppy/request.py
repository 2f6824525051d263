"""A command of the 82077AA that meets sectors: what was asked, how far it has come, and where it goes on.

Intel 82077AA datasheet (290166), section 5.1 "Data Transfer Commands", tables 5-1 (the bytes of each) and 5-6 (where a
command ends).
"""

from minivm.core.record import record, replace

READ_TRACK, WRITE, READ, WRITE_DELETED, READ_ID, READ_DELETED, FORMAT = 0x02, 0x05, 0x06, 0x09, 0x0A, 0x0C, 0x0D
SCAN_EQUAL, VERIFY, SCAN_LOW, SCAN_HIGH = 0x11, 0x16, 0x19, 0x1D
SCANS = (SCAN_EQUAL, SCAN_LOW, SCAN_HIGH)
WRITES = (WRITE, WRITE_DELETED, FORMAT)
TO_HOST = (READ, READ_DELETED, READ_TRACK)

SIZE_CODE = 2
"""N of a sector of 512 bytes."""

SEARCH, LOST, WAIT, HOST = "search", "lost", "wait", "host"


@record
class Transfer:
    """A command on its way. `cylinder`, `head`, `sector`, `size` are C, H, R, N; `side` is the head that is loaded.

    `stage` is "search" (the next sector comes at `due`), "lost" (two turns without an ID end then), "wait" (for DMA,
    an overrun at `due`) or "host" (bytes go through the FIFO). `data` is what is still to go, or what has come.
    """

    command: int
    drive: int
    side: int
    rate: int
    cylinder: int = 0
    head: int = 0
    sector: int = 1
    size: int = SIZE_CODE
    last_sector: int = 0
    length: int = 0
    """DTL, STP of a scan, SC of a format, or how many sectors a verify or a read track still has to go."""
    filler: int = 0
    multitrack: bool = False
    mfm: bool = True
    skip: bool = False
    counted: bool = False
    """VERIFY with its EC bit: `length` sectors, not up to EOT."""
    host: bool = False
    """Non-DMA mode."""
    stage: str = SEARCH
    due: int | None = None
    data: bytes = b""
    wanted: int = 0
    st0: int = 0
    st1: int = 0
    st2: int = 0

    @property
    def ids(self) -> bytes:
        """C, H, R and N as the result phase gives them."""
        return bytes((self.cylinder, self.head, self.sector, self.size))

    def next_ids(self) -> bytes:
        """Return where a command would go on that ended behind this sector (table 5-6)."""
        if self.sector != self.last_sector:
            return replace(self, sector=self.sector + 1 & 0xFF).ids
        if self.multitrack and not self.side:
            return replace(self, head=self.head ^ 1, sector=1).ids
        head = self.head ^ 1 if self.multitrack else self.head
        return replace(self, cylinder=self.cylinder + 1 & 0xFF, head=head, sector=1).ids

    def next(self) -> "Transfer | None":
        """Return the same command at the next sector, or None at the end of the cylinder."""
        step = self.length if self.command in SCANS and self.length == 2 else 1
        if self.sector != self.last_sector:
            return replace(self, sector=self.sector + step & 0xFF)
        if self.multitrack and not self.side:
            return replace(self, side=1, head=self.head ^ 1, sector=1)
        return None


def access(received: bytes, rate: int) -> Transfer:
    """Return a command with C, H, R, N, EOT, GPL and DTL from its nine bytes."""
    opcode, unit, cylinder, head, sector, size, last_sector, _, length = received
    command = opcode & 0x1F
    return Transfer(
        command=command,
        drive=unit & 3,
        side=unit >> 2 & 1,
        rate=rate,
        cylinder=cylinder,
        head=head,
        sector=1 if command == READ_TRACK else sector,
        size=size,
        last_sector=last_sector,
        length=length,
        multitrack=bool(opcode & 0x80),
        mfm=bool(opcode & 0x40),
        skip=bool(opcode & 0x20),
        counted=command == VERIFY and bool(unit & 0x80) and length > 0,
    )


def on_track(received: bytes, rate: int, cylinder: int) -> Transfer:
    """Return READ ID or FORMAT TRACK from its bytes; `cylinder` is where the head is."""
    opcode, unit, *more = received
    side = unit >> 2 & 1
    transfer = Transfer(opcode & 0x1F, unit & 3, side, rate, cylinder, side, mfm=bool(opcode & 0x40))
    if transfer.command == READ_ID:
        return transfer
    size, sectors, _, filler = more
    return replace(transfer, size=size, length=sectors, last_sector=sectors, filler=filler)
