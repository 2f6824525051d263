"""SMBIOS 2.4: what the machine is, for programs that ask the firmware (DMTF DSP0134, System Management BIOS).

The entry point lies in the F-segment, where programs look for "_SM_" on 16-byte borders; the structures follow it.
"""

from minivm.core.memory import KIB, MIB
from minivm.firmware.acpi import checksummed

VERSION = (2, 4)
ENTRY_BYTES = 31
UNKNOWN_HANDLE, NO_ERROR_HANDLE = 0xFFFF, 0xFFFE
BIOS, SYSTEM, CHASSIS, PROCESSOR, ARRAY, DEVICE, MAPPED, BOOT, END = 0, 1, 3, 4, 16, 17, 19, 32, 127
HANDLES = {BIOS: 0, SYSTEM: 0x100, CHASSIS: 0x300, PROCESSOR: 0x400, ARRAY: 0x1000, DEVICE: 0x1100, MAPPED: 0x1300,
           BOOT: 0x2000, END: 0x7F00}  # fmt: skip

# Bits of the BIOS's characteristics: PCI, Plug and Play, boots from CD, EDD, keyboard, serial, graphics (section 7.1.1)
CHARACTERISTICS = sum(1 << bit for bit in (7, 9, 15, 16, 19, 24, 27, 28, 29, 30))
ACPI, VIRTUAL_MACHINE = 0x01, 0x10
CPU_MHZ = 1000
"""The engine's tick is a nanosecond."""

Field = tuple[int, int]
"""A number and its size in bytes."""


def structure(kind: int, fields: list[Field], *strings: str) -> bytes:
    """Return a structure: header, numbers, and the strings that some of the numbers count, from 1."""
    body = b"".join((value & (1 << 8 * size) - 1).to_bytes(size, "little") for value, size in fields)
    head = bytes([kind, 4 + len(body)]) + HANDLES[kind].to_bytes(2, "little")
    text = b"".join(string.encode("ascii") + b"\0" for string in strings) or b"\0"
    return head + body + text + b"\0"


def structures(memory_bytes: int, rom_date: str) -> list[bytes]:
    """Return all structures of a machine with so much memory."""
    maker = "MiniVM"
    size = memory_bytes // MIB if memory_bytes % MIB == 0 else 0x8000 | memory_bytes // KIB
    date = f"{rom_date[:6]}20{rom_date[6:]}"
    return [
        structure(BIOS, [(1, 1), (2, 1), (0xF000, 2), (3, 1), (0, 1), (CHARACTERISTICS, 8), (ACPI, 1),
                         (VIRTUAL_MACHINE, 1), (1, 1), (0, 1), (0xFF, 1), (0xFF, 1)],
                  maker, "1.0", date),
        structure(SYSTEM, [(1, 1), (2, 1), (3, 1), (0, 1), (0, 16), (6, 1), (0, 1), (0, 1)], maker, "PC", "i440FX"),
        structure(CHASSIS, [(1, 1), (1, 1), (0, 3), (3, 1), (3, 1), (3, 1), (2, 1), (0, 4), (0, 4)], maker),
        structure(PROCESSOR, [(1, 1), (3, 1), (1, 1), (2, 1), (0, 8), (3, 1), (0, 1), (0, 2), (CPU_MHZ, 2),
                              (CPU_MHZ, 2), (0x41, 1), (1, 1), *[(UNKNOWN_HANDLE, 2)] * 3, (0, 3)],
                  "CPU 0", maker, "virtual CPU"),
        structure(ARRAY, [(3, 1), (3, 1), (3, 1), (memory_bytes // KIB, 4), (NO_ERROR_HANDLE, 2), (1, 2)]),
        structure(DEVICE, [(HANDLES[ARRAY], 2), (NO_ERROR_HANDLE, 2), (64, 2), (64, 2), (size, 2), (9, 1), (0, 1),
                           (1, 1), (0, 1), (7, 1), (0x0002, 2), (0, 2), (2, 1), (0, 3)], "DIMM 0", maker),
        structure(MAPPED, [(0, 4), (memory_bytes // KIB - 1, 4), (HANDLES[ARRAY], 2), (1, 1)]),
        structure(BOOT, [(0, 6), (0, 1)]),
        structure(END, []),
    ]  # fmt: skip


def entry_point(table: list[bytes], address: int) -> bytes:
    """Return the entry point for structures that lie at the physical `address`."""
    second = b"_DMI_\0" + sum(map(len, table)).to_bytes(2, "little") + address.to_bytes(4, "little")
    second = checksummed(second + len(table).to_bytes(2, "little") + bytes([VERSION[0] << 4 | VERSION[1]]), 5)
    first = b"_SM_\0" + bytes([ENTRY_BYTES, *VERSION]) + max(map(len, table)).to_bytes(2, "little") + bytes(6)
    return checksummed(first + second, 4)
