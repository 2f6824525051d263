"""The BIOS data area: what the BIOS remembers, by name, at 0040:0000 (IBM AT Technical Reference, "BIOS data areas").

Programs read it as much as the BIOS does, so everything that the BIOS must remember lies here and nothing beside it.
"""

from typing import Protocol, overload

from minivm.core.memory import AddressSpace

BASE = 0x400
SEGMENT = 0x40
KEYBOARD_BUFFER, KEYBOARD_BUFFER_END = 0x1E, 0x3E
"""Offsets of the key buffer: 16 words, one of which stays empty."""


class Area(Protocol):
    """Memory in which fields have their places: this data area or the extended one."""

    def load(self, offset: int, size: int) -> int:
        """Read `size` bytes at `offset`."""

    def store(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes at `offset`."""


class Field:
    """One number of `size` bytes at `offset` of the data area."""

    def __init__(self, offset: int, size: int = 1) -> None:
        self.offset = offset
        self.size = size

    @overload
    def __get__(self, area: None, owner: type) -> "Field": ...
    @overload
    def __get__(self, area: Area, owner: type) -> int: ...

    def __get__(self, area: Area | None, owner: type) -> "Field | int":
        return self if area is None else area.load(self.offset, self.size)

    def __set__(self, area: Area, value: int) -> None:
        area.store(self.offset, self.size, value)


class BiosDataArea:
    """The data area as attributes; every read and write goes to guest memory."""

    extended_segment = Field(0x0E, 2)
    equipment = Field(0x10, 2)
    memory_kib = Field(0x13, 2)
    shift_flags = Field(0x17)
    shift_flags_2 = Field(0x18)
    keypad_number = Field(0x19)
    keyboard_head = Field(0x1A, 2)
    keyboard_tail = Field(0x1C, 2)
    diskette_recalibrated = Field(0x3E)
    diskette_motors = Field(0x3F)
    diskette_motor_count = Field(0x40)
    diskette_status = Field(0x41)
    video_mode = Field(0x49)
    columns = Field(0x4A, 2)
    page_bytes = Field(0x4C, 2)
    page_start = Field(0x4E, 2)
    cursor_shape = Field(0x60, 2)
    active_page = Field(0x62)
    crtc_port = Field(0x63, 2)
    mode_control = Field(0x65)
    palette = Field(0x66)
    last_irq = Field(0x6B)
    ticks = Field(0x6C, 4)
    midnight = Field(0x70)
    break_flag = Field(0x71)
    reset_flag = Field(0x72, 2)
    disk_status = Field(0x74)
    disk_count = Field(0x75)
    keyboard_start = Field(0x80, 2)
    keyboard_end = Field(0x82, 2)
    last_row = Field(0x84)
    character_height = Field(0x85, 2)
    video_control = Field(0x87)
    video_switches = Field(0x88)
    video_flags = Field(0x89)
    display_combination = Field(0x8A)
    diskette_info = Field(0x8F)
    diskette_media = Field(0x90, 2)
    keyboard_flags_3 = Field(0x96)
    keyboard_leds = Field(0x97)
    wait_flag_pointer = Field(0x98, 4)
    wait_microseconds = Field(0x9C, 4)
    wait_active = Field(0xA0)
    video_save_pointer = Field(0xA8, 4)
    print_screen_status = Field(0x100)

    def __init__(self, space: AddressSpace) -> None:
        self._space = space

    def load(self, offset: int, size: int) -> int:
        """Read `size` bytes at `offset` from 0040:0000."""
        return self._space.load(BASE + offset, size)

    def store(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes at `offset` from 0040:0000; a value too wide loses its upper bits."""
        self._space.store(BASE + offset, size, value & ((1 << (8 * size)) - 1))

    def com_port(self, index: int) -> int:
        """Return the base port of COM1 (0) to COM4 (3), 0 when there is none."""
        return self.load(2 * index, 2)

    def serial_timeout(self, index: int) -> int:
        """Return how many seconds INT 14h waits for COM1 (0) to COM4 (3)."""
        return self.load(0x7C + index, 1)

    def cursor(self, page: int) -> tuple[int, int]:
        """Return the cursor's (column, row) on `page`, 0 to 7."""
        word = self.load(0x50 + 2 * (page & 7), 2)
        return word & 0xFF, word >> 8

    def set_cursor(self, page: int, column: int, row: int) -> None:
        """Remember the cursor's place on `page`, 0 to 7."""
        self.store(0x50 + 2 * (page & 7), 2, column | row << 8)
