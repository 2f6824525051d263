"""INT 1Ah AH=B1h: the PCI BIOS in real mode, and the table of interrupt routes.

PCI BIOS Specification 2.1; PCI IRQ Routing Table Specification 1.0 (Microsoft). The 32-bit entry is code in rom.asm.
"""

from collections.abc import Callable

from minivm.firmware.pci_config import CLASS_REVISION, INTERRUPT_LINE, INTERRUPT_PIN, PciConfig
from minivm.firmware.pci_setup import ELCR, ISA_BRIDGE, PIRQ_ROUTES, ROUTER, route
from minivm.firmware.services import Board, Call

SUCCESSFUL, NOT_SUPPORTED, BAD_VENDOR, NOT_FOUND = 0x00, 0x81, 0x83, 0x86
BAD_REGISTER, SET_FAILED, BUFFER_TOO_SMALL = 0x87, 0x88, 0x89
SIGNATURE = int.from_bytes(b"PCI ", "little")
MECHANISM_1, VERSION_2_1 = 0x01, 0x0210
ROUTABLE_IRQS = 0xDEF8
"""3-7, 9-12, 14 and 15: what a PIIX3 can route to (82371SB datasheet, PIRQRC)."""
SLOTS = range(1, 8)
"""Devices in the routing table: the chipset (1), then what may be plugged in."""


def routing_entries() -> bytes:
    """Return the slots' entries of 16 bytes: bus, device, four pairs of link and possible IRQs, slot number."""
    rows = bytearray()
    for device in SLOTS:
        rows += bytes([0, device << 3])
        for pin in range(1, 5):
            rows += bytes([PIRQ_ROUTES + route(device << 3, pin)]) + ROUTABLE_IRQS.to_bytes(2, "little")
        rows += bytes([device - 1, 0])  # slot 0 is soldered to the board
    return bytes(rows)


def routing_table() -> bytes:
    """Return the table that begins with "$PIR", for the F-segment; its 32nd byte is the checksum."""
    entries = routing_entries()
    size = (32 + len(entries)).to_bytes(2, "little")
    router = bytes([0, ROUTER]) + bytes(2) + ISA_BRIDGE.to_bytes(4, "little") + bytes(15)
    table = b"$PIR\x00\x01" + size + router
    return table + bytes([-sum(table + entries) & 0xFF]) + entries


class PciBios:
    """The functions of AH=B1h. `entry_32` is the physical address of the 32-bit entry."""

    def __init__(self, board: Board, entry_32: int) -> None:
        self._board = board
        self._config = PciConfig(board.ports)
        self._entry_32 = entry_32
        self._functions: dict[int, Callable[[Call], int]] = {
            0x01: self._present, 0x02: self._find_device, 0x03: self._find_class, 0x08: self._read, 0x09: self._read,
            0x0A: self._read, 0x0B: self._write, 0x0C: self._write, 0x0D: self._write, 0x0E: self._routes,
            0x0F: self._set_route,
        }  # fmt: skip

    def call(self, call: Call) -> None:
        """Do the function in AL: the status goes to AH, and carry tells an error; without PCI all of them fail."""
        function = self._functions.get(call.cpu.al & 0x7F)
        status = NOT_SUPPORTED
        if function is None:
            call.unknown("INT 1Ah")
        elif self._config.is_there:
            status = function(call)
        call.cpu.ah = status
        call.carry = status != SUCCESSFUL

    def _present(self, call: Call) -> int:
        cpu = call.cpu
        cpu.al, cpu.bx, cpu.cl = MECHANISM_1, VERSION_2_1, 0  # CL: the last bus
        cpu.edx, cpu.edi = SIGNATURE, self._entry_32
        return SUCCESSFUL

    def _find_device(self, call: Call) -> int:
        cpu = call.cpu
        if cpu.dx == 0xFFFF:
            return BAD_VENDOR
        return self._find(call, 0, cpu.cx << 16 | cpu.dx, 0)

    def _find_class(self, call: Call) -> int:
        return self._find(call, CLASS_REVISION, call.cpu.ecx & 0xFF_FFFF, 8)

    def _find(self, call: Call, register: int, wanted: int, shift: int) -> int:
        """Put the function number SI among those whose register holds `wanted` into BX."""
        config = self._config
        found = [one for one in config.functions() if config.read(one, register, 4) >> shift == wanted]
        if call.cpu.si >= len(found):
            return NOT_FOUND
        call.cpu.bx = found[call.cpu.si]
        return SUCCESSFUL

    def _read(self, call: Call) -> int:
        cpu, size = call.cpu, 1 << (call.cpu.al & 0x7F) - 0x08
        if cpu.di > 0xFF or cpu.di % size:
            return BAD_REGISTER
        value = self._config.read(cpu.bx, cpu.di, size)
        if size == 1:
            cpu.cl = value
        elif size == 2:
            cpu.cx = value
        else:
            cpu.ecx = value
        return SUCCESSFUL

    def _write(self, call: Call) -> int:
        cpu, size = call.cpu, 1 << (call.cpu.al & 0x7F) - 0x0B
        if cpu.di > 0xFF or cpu.di % size:
            return BAD_REGISTER
        self._config.write(cpu.bx, cpu.di, size, cpu.ecx)
        return SUCCESSFUL

    # -- interrupts ---------------------------------------------------------------------------------------------
    def _routes(self, call: Call) -> int:
        """AL=0Eh: copy the routing table's entries to the buffer that the structure at ES:DI describes."""
        cpu, board, entries = call.cpu, self._board, routing_entries()
        room, pointer = board.load(cpu.es, cpu.di, 2), board.load(cpu.es, cpu.di + 2, 4)
        board.store(cpu.es, cpu.di, 2, len(entries))
        if room < len(entries):
            return BUFFER_TOO_SMALL
        board.store_bytes(pointer >> 16, pointer & 0xFFFF, entries)
        cpu.bx = 0  # no IRQ is there for PCI alone
        return SUCCESSFUL

    def _set_route(self, call: Call) -> int:
        """AL=0Fh: lead interrupt pin CL, 0Ah to 0Dh, of function BX to IRQ CH."""
        cpu, config = call.cpu, self._config
        pin, irq = cpu.cl - 0x09, cpu.ch
        if not 1 <= pin <= 4 or irq > 15 or not ROUTABLE_IRQS >> irq & 1 or cpu.bh:
            return SET_FAILED
        link = route(cpu.bx, pin)
        config.write(ROUTER, PIRQ_ROUTES + link, 1, irq)
        levels = self._board.ports.read(ELCR + irq // 8, 1)
        self._board.out(ELCR + irq // 8, levels | 1 << irq % 8)
        for function in config.functions():
            own = config.read(function, INTERRUPT_PIN, 1)
            if 1 <= own <= 4 and route(function, own) == link and config.read(function, INTERRUPT_LINE, 1) != 9:
                config.write(function, INTERRUPT_LINE, 1, irq)
        return SUCCESSFUL
