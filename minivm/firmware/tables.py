"""What operating systems look for in the F-segment: RSDP, _SM_, $PnP, _32_ and $PIR, on 16-byte borders.

BIOS32 Service Directory (PCI BIOS Specification 2.1, appendix A); Plug and Play BIOS Specification 1.0A, section 4.4.
POST writes them into the ROM's room for them, as a real one does into its shadow; the FACS lies in the EBDA.
"""

from minivm.firmware import acpi, ebda, smbios
from minivm.firmware.acpi import checksummed
from minivm.firmware.pci_bios import routing_table
from minivm.firmware.pci_config import PciConfig
from minivm.firmware.pci_setup import POWER
from minivm.firmware.rom import BASE, SYSTEM_TABLES_BYTES, rom_entries
from minivm.firmware.services import Board

ROM_DATE = slice(0xFFF5, 0xFFFD)


def bios32(entry: int) -> bytes:
    """Return the directory's header for its entry at a physical address."""
    return checksummed(b"_32_" + entry.to_bytes(4, "little") + bytes([0, 1, 0]) + bytes(5), 10)


def plug_and_play(entry: int) -> bytes:
    """Return the Plug and Play header for an entry at that offset of the ROM, for both modes."""
    offset, base = entry.to_bytes(2, "little"), BASE.to_bytes(4, "little")
    segment = (BASE >> 4).to_bytes(2, "little")
    fields = b"$PnP\x10\x21" + bytes(2) + b"\0" + bytes(4) + offset + segment + offset + base
    return checksummed(fields + bytes(4) + segment + base, 8)


class SystemTables:
    """Writes the tables. Without PCI there is no $PIR, without the PIIX4 no ACPI."""

    def __init__(self, board: Board, rom: bytes) -> None:
        self._board = board
        self._entries = rom_entries(rom)
        self._date = rom[ROM_DATE].decode("ascii")
        self._config = PciConfig(board.ports)

    def write(self) -> None:
        """Fill the room for tables; what another machine left there goes."""
        start = BASE + self._entries.system_tables
        data = self.image(start)
        self._board.space.memory.write(start, data.ljust(SYSTEM_TABLES_BYTES, b"\0"))

    def image(self, start: int) -> bytes:
        """Return the tables as they lie from the physical address `start` on."""
        entries, data = self._entries, bytearray()
        identities = self._identities()
        pieces = [bios32(BASE + entries.bios32_directory), plug_and_play(entries.plug_and_play)]
        if identities:
            pieces.append(routing_table())
        for piece in pieces:
            _append(data, piece)
        structures = smbios.structures(self._board.space.memory.size, self._date)
        entry = _append(data, bytes(smbios.ENTRY_BYTES))
        where = start + _append(data, b"".join(structures))
        data[entry : entry + smbios.ENTRY_BYTES] = smbios.entry_point(structures, where)
        if POWER in identities:
            self._add_acpi(data, start)
        return bytes(data)

    def _identities(self) -> set[int]:
        config = self._config
        return {config.read(function, 0, 4) for function in config.functions()} if config.is_there else set()

    def _add_acpi(self, data: bytearray, start: int) -> None:
        self._board.ebda.store_bytes(ebda.FACS, acpi.facs())
        pointer = _append(data, bytes(acpi.RSDP_BYTES))
        dsdt = start + _append(data, acpi.dsdt())
        tables = [start + _append(data, acpi.fadt(ebda.BASE + ebda.FACS, dsdt)), start + _append(data, acpi.madt())]
        rsdt = start + _append(data, acpi.rsdt(tables))
        data[pointer : pointer + acpi.RSDP_BYTES] = acpi.rsdp(rsdt)


def _append(data: bytearray, piece: bytes) -> int:
    """Add a piece on a border of 16 bytes, and return where it begins."""
    data += bytes(-len(data) % 16)
    place = len(data)
    data += piece
    return place
