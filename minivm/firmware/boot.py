"""POST, which puts the machine into the state that programs expect, and INT 19h's choice of what to boot.

POST is a call of Python without the CPU, so that a kernel can be started directly on the same machine.
"""

from collections.abc import Callable, Iterable, Sequence

from minivm.core.memory import KIB, MIB
from minivm.firmware import ebda
from minivm.firmware.disk import fixed_disk_table
from minivm.firmware.drives import Drives, diskette_type
from minivm.firmware.el_torito import ElTorito
from minivm.firmware.pci_setup import PciSetup
from minivm.firmware.rom import BASE, rom_map, vectors
from minivm.firmware.services import ROM_SEGMENT, Board, Call
from minivm.firmware.system import A20_BIT, CONVENTIONAL_KIB, SYSTEM_CONTROL_PORT
from minivm.firmware.tables import SystemTables
from minivm.firmware.time import STATUS_A, STATUS_B, STATUS_C, Time
from minivm.firmware.video import Video

DUMMY = 0xFF53
"""The ROM's bare IRET."""
USER_VECTORS = range(0x60, 0x67)
"""Left zero: programs take the first zero among them as free."""
COM_BASES = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
INTERRUPT_ID = 2
TEXT_80 = 3
DISK_DRIVE_DEFINED = 0xF

# The 8259s: ICW1-ICW4, then what stays masked. IRQ0, 1, the cascade and 6; 12 to 14; the RTC's when it is used.
_PIC_WRITES = (
    (0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0xA0, 0x11), (0xA1, 0x70), (0xA1, 0x02), (0xA1, 0x01),
    (0x21, 0xB8), (0xA1, 0x8F),
)  # fmt: skip
# The 8254: channel 0 at 18.2 Hz in mode 3, channel 1 for memory refresh, channel 2 for the speaker at about 900 Hz
_PIT_WRITES = ((0x43, 0x36), (0x40, 0), (0x40, 0), (0x43, 0x54), (0x41, 0x12), (0x43, 0xB6), (0x42, 0x33), (0x42, 5))
# The 8237s: cleared; the byte controller's requests pass through channel 4 of the other
_DMA_WRITES = ((0x0D, 0), (0xDA, 0), (0xD6, 0xC0), (0xD4, 0))
# The floppy controller: 500 kbit/s, as a diskette of 1.44 MB wants it
_FLOPPY_WRITES = ((0x3F7, 0),)

# A 16550: 8 data bits, one stop bit, no parity, 115,200 baud. Out of reset it would send 5 bits of each byte, and small
# programs that never set it up rely on what their emulator's port happens to do.
_UART_WRITES = ((3, 0x83), (0, 1), (1, 0), (3, 0x03))


class Boot:
    """POST and the order of the drives at boot."""

    def __init__(
        self, board: Board, rom: bytes, *, video: Video, time: Time, drives: Drives, el_torito: ElTorito,
        pci: PciSetup, order: Sequence[int],
    ) -> None:  # fmt: skip
        self._board = board
        self._bda = board.bda
        self._rom = rom
        self._tables = rom_map(rom)
        self._video = video
        self._time = time
        self._drives = drives
        self._el_torito = el_torito
        self._pci = pci
        self._system_tables = SystemTables(board, rom)
        self._order = order

    def candidate(self, call: Call) -> None:
        """INT 19h asks for the drive of try number AX; the answer "yes" means that there is none left."""
        self._el_torito.end()
        order = [drive for drive in self._order if self._drives.find(drive) is not None]
        if call.cpu.ax >= len(order):
            call.answer = True
        else:
            call.cpu.dl = order[call.cpu.ax]

    def post(self) -> None:
        """Fill vectors and data area, program the chips; the keyboard controller, which needs time, the ROM does."""
        self._fill_vectors()
        self._fill_data_area()
        self._board.ebda.clear()
        self._write(_PIC_WRITES)
        self._write(_PIT_WRITES)
        self._write((*_DMA_WRITES, *_FLOPPY_WRITES))
        self._board.out(SYSTEM_CONTROL_PORT, self._board.ports.read(SYSTEM_CONTROL_PORT, 1) & ~1 | A20_BIT)
        for base in self._find_serial_ports():
            self._write((base + register, value) for register, value in _UART_WRITES)
        self._pci.run()
        self._system_tables.write()
        self._set_up_cmos()
        self._bda.ticks = self._time.ticks_of_day()
        self._video.set_mode(TEXT_80)

    def _write(self, writes: Iterable[tuple[int, int]]) -> None:
        for port, value in writes:
            self._board.out(port, value)

    def _fill_vectors(self) -> None:
        ours = vectors(self._rom)
        tables = self._tables
        extra = {0x40: 0xEC59, 0x41: tables.fixed_disk_tables, 0x42: 0xF065, 0x43: tables.font_8x16,
                 0x46: tables.fixed_disk_tables + 16}  # fmt: skip
        for number in range(256):
            offset = ours.get(number, extra.get(number, DUMMY))
            value = 0 if number in USER_VECTORS else ROM_SEGMENT << 16 | offset
            self._board.space.store(4 * number, 4, value)
        rows = b"".join(fixed_disk_table(disk) for disk in self._drives.disks[:2])
        # The table lies in the ROM, as on the XT; POST is the one who may write there.
        self._board.space.memory.write(BASE + tables.fixed_disk_tables, rows.ljust(32, b"\0"))

    def _fill_data_area(self) -> None:
        bda = self._bda
        reset_flag = bda.reset_flag
        self._board.space.store_bytes(0x400, bytes(0x101))
        bda.reset_flag = reset_flag
        ports = self._find_serial_ports()
        for index, base in enumerate(ports):
            bda.store(2 * index, 2, base)
        bda.store(0x78, 4, 0x14141414)  # printer timeouts, seconds
        bda.store(0x7C, 4, 0x01010101)  # serial timeouts, seconds
        bda.equipment = self._equipment(len(ports))
        bda.extended_segment = ebda.SEGMENT
        bda.memory_kib = CONVENTIONAL_KIB - ebda.SIZE_KIB
        bda.keyboard_head = bda.keyboard_tail = bda.keyboard_start = 0x1E
        bda.keyboard_end = 0x3E
        bda.keyboard_flags_3 = 0x10  # the 101-key keyboard
        bda.disk_count = len(self._drives.disks)
        bda.diskette_recalibrated = 1
        self._fill_diskette_data()
        self._video.power_on()
        bda.video_save_pointer = ROM_SEGMENT << 16 | self._tables.video_save_pointers

    def _fill_diskette_data(self) -> None:
        count = len(self._drives.floppies)
        self._bda.diskette_info = (0x07 if count else 0) | (0x70 if count > 1 else 0)
        # 17h: a 1.44 MB medium established in its drive, at 500 kbit/s
        self._bda.diskette_media = (0x17 if count else 0) | (0x1700 if count > 1 else 0)

    def _find_serial_ports(self) -> list[int]:
        """Return the bases where a UART answers: bits 4 and 5 of its interrupt identification are always 0."""
        return [base for base in COM_BASES if not self._board.ports.read(base + INTERRUPT_ID, 1) & 0x30]

    def _equipment(self, serial_ports: int) -> int:
        floppies = len(self._drives.floppies)
        word = 0x26  # coprocessor; a mouse; 80 x 25 in colour
        if floppies:
            word |= 1 | (min(floppies, 4) - 1) << 6
        return word | serial_ports << 9

    def _set_up_cmos(self) -> None:
        """Write what a set-up program would have left, and set the clock chip running."""
        board = self._board
        for index, value in self._configuration().items():
            board.set_cmos(index, value)
        total = sum(board.cmos(index) for index in range(0x10, 0x2E))
        board.set_cmos(0x2E, total >> 8)
        board.set_cmos(0x2F, total)
        board.set_cmos(STATUS_A, 0x26)
        board.set_cmos(STATUS_B, board.cmos(STATUS_B) & 0x07 | 0x02)
        board.cmos(STATUS_C)  # reading drops an interrupt that was left over

    def _configuration(self) -> dict[int, int]:
        drives = self._drives
        types = [diskette_type(disk) for disk in (*drives.floppies, None, None)[:2]]
        types = [kind if index < len(drives.floppies) else 0 for index, kind in enumerate(types)]
        fixed = [DISK_DRIVE_DEFINED if index < len(drives.disks) else 0 for index in range(2)]
        memory = self._board.space.memory.size
        extended = min((memory - MIB) // KIB, 0xFFFF)
        above = max(memory - 16 * MIB, 0) // (64 * KIB)
        values = {0x10: types[0] << 4 | types[1], 0x12: fixed[0] << 4 | fixed[1], 0x14: self._bda.equipment & 0xFF}
        for index, word in ((0x15, CONVENTIONAL_KIB), (0x17, extended), (0x30, extended), (0x34, above)):
            values |= {index: word & 0xFF, index + 1: word >> 8}
        return values | {0x19: 47 if fixed[0] else 0, 0x1A: 47 if fixed[1] else 0}


KernelEntry = Callable[[], None]
"""Told that POST is done and that the CPU waits for a kernel; the CPU's state is set at the next safe point."""
