"""The extended BIOS data area: 1 KiB at the end of conventional memory, 9FC00h, where 0040:000E points.

IBM PS/2 and PC BIOS Interface Technical Reference, "Extended BIOS data area": its first byte is its size in KiB, the
mouse's part begins at 22h. What follows is this BIOS's own: the CD that was booted, locks of drives, the text that
INT 19h prints, and ACPI's FACS, the one table that the operating system writes to.
"""

from minivm.core.memory import AddressSpace
from minivm.firmware.bda import Field

SEGMENT = 0x9FC0
BASE = SEGMENT << 4
SIZE_KIB = 1
SIZE_BYTES = SIZE_KIB << 10

MOUSE, MOUSE_END = 0x22, 0x60
EMULATION = 0x60
"""The specification packet of the CD that was booted (El Torito 1.0, figure 7), 13h bytes, then our own notes."""
LOCKS = 0x88
"""How often each of the first eight CD drives is locked, a byte each."""
DRIVE_TABLE = 0x90
"""The device parameter table that INT 13h AH=48h last pointed to, 16 bytes."""
MESSAGE, MESSAGE_END = 0xA0, 0x100
FACS = 0x140
"""A multiple of 64, as ACPI wants it."""


class ExtendedDataArea:
    """The extended data area as attributes; every read and write goes to guest memory."""

    size_kib = Field(0x00)
    emulation_state = Field(EMULATION + 0x13)
    emulation_cd = Field(EMULATION + 0x14)
    emulation_heads = Field(EMULATION + 0x16, 2)
    emulation_sectors_per_track = Field(EMULATION + 0x18, 2)
    emulation_cylinders = Field(EMULATION + 0x1A, 2)
    emulation_sectors = Field(EMULATION + 0x1C, 4)

    def __init__(self, space: AddressSpace) -> None:
        self._space = space

    def load(self, offset: int, size: int) -> int:
        """Read `size` bytes at `offset` of the area."""
        return self._space.load(BASE + offset, size)

    def store(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes at `offset` of the area; a value too wide loses its upper bits."""
        self._space.store(BASE + offset, size, value & ((1 << (8 * size)) - 1))

    def load_bytes(self, offset: int, length: int) -> bytes:
        """Read `length` bytes at `offset` of the area."""
        return self._space.load_bytes(BASE + offset, length)

    def store_bytes(self, offset: int, data: bytes) -> None:
        """Write `data` at `offset` of the area."""
        self._space.store_bytes(BASE + offset, data)

    def clear(self) -> None:
        """Fill the area with zeros but for its size: the state after POST."""
        self.store_bytes(0, bytes([SIZE_KIB]).ljust(SIZE_BYTES, b"\0"))

    def say(self, text: str) -> None:
        """Leave a line for the ROM to print while it looks for something to boot; "" prints nothing."""
        room = MESSAGE_END - MESSAGE - 3
        data = text.encode("cp437", "replace")[:room] + b"\r\n" if text else b""
        self.store_bytes(MESSAGE, data + b"\0")
