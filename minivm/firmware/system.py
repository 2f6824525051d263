"""INT 11h, 12h and 15h: what the machine has, moving memory, the A20 gate, waiting; and the printer that is not there.

IBM PS/2 and PC BIOS Interface Technical Reference; ACPI 6.4 section 15.1 (INT 15h E820h); Ralf Brown's Interrupt List.
"""

from collections.abc import Callable

from minivm.core.memory import KIB, MIB
from minivm.firmware import ebda
from minivm.firmware.power import PowerManagement
from minivm.firmware.services import ROM_SEGMENT, Board, Call
from minivm.firmware.time import Time

CONFIGURATION_TABLE = 0xE6F5
NOT_THERE = 0x86
SMAP = 0x534D4150
SYSTEM_CONTROL_PORT, A20_BIT = 0x92, 0x02
RAM, RESERVED = 1, 2
CONVENTIONAL_KIB = 640
MAP_ENTRY = 20
LARGEST_MOVE_WORDS = 0x8000
PRINTER_TIMEOUT = 0x01
PRINT_SCREEN_FAILED = 0xFF


class System:
    """INT 05h, 11h, 12h, 15h and 17h."""

    def __init__(self, board: Board, time: Time) -> None:
        self._board = board
        self._time = time
        self._functions: dict[int, Callable[[Call], bool]] = {
            0x24: self._a20, 0x4F: self._keyboard_intercept, 0x53: PowerManagement(board).call,
            0x83: self._event_wait, 0x85: _done, 0x86: self._wait, 0x87: self._move, 0x88: self._extended_memory,
            0x90: _done, 0x91: _done, 0xC0: self._configuration, 0xC1: _extended_area,
            0xE8: self._big_memory,
        }  # fmt: skip

    def equipment(self, call: Call) -> None:
        """INT 11h: the equipment word."""
        call.cpu.ax = self._board.bda.equipment

    def memory_size(self, call: Call) -> None:
        """INT 12h: KiB of conventional memory."""
        call.cpu.ax = self._board.bda.memory_kib

    def print_screen(self, call: Call) -> None:
        """INT 05h: there is no printer."""
        self._board.bda.print_screen_status = PRINT_SCREEN_FAILED

    def printer(self, call: Call) -> None:
        """INT 17h: whatever is asked of a printer times out."""
        call.cpu.ah = PRINTER_TIMEOUT

    def call(self, call: Call) -> None:
        """INT 15h: do the function in AH; unknown ones return with carry set and AH=86h."""
        function = self._functions.get(call.cpu.ah)
        if function is None or not function(call):
            if function is None:
                call.unknown("INT 15h")
            call.cpu.ah = NOT_THERE
            call.carry = True

    # -- A20 ----------------------------------------------------------------------------------------------------
    def _a20(self, call: Call) -> bool:
        cpu, ports = call.cpu, self._board.ports
        control = ports.read(SYSTEM_CONTROL_PORT, 1)
        match cpu.al:
            case 0 | 1:
                # bit 0 would reset the CPU
                self._board.out(SYSTEM_CONTROL_PORT, control & ~(A20_BIT | 1) | (A20_BIT if cpu.al else 0))
            case 2:
                cpu.al = 1 if control & A20_BIT else 0
            case 3:
                cpu.bx = 0x0003  # by the keyboard controller and by port 92h
            case _:
                return False
        return _done(call)

    # -- keyboard and waiting -----------------------------------------------------------------------------------
    def _keyboard_intercept(self, call: Call) -> bool:
        call.carry = True  # nobody swallowed the scan code in AL
        return True

    def _event_wait(self, call: Call) -> bool:
        cpu = call.cpu
        if cpu.al == 1:
            self._time.stop_wait()
            return _done(call)
        if cpu.al == 0 and self._time.start_wait(cpu.cx << 16 | cpu.dx, cpu.es, cpu.bx):
            return _done(call)
        return self._busy(call)

    def _wait(self, call: Call) -> bool:
        """AH=86h: the answer "yes" sends the ROM into its waiting loop."""
        call.answer = self._time.start_wait(call.cpu.cx << 16 | call.cpu.dx, 0x40, 0xA0)
        if not call.answer:
            return self._busy(call)
        call.carry = False
        return True

    def _busy(self, call: Call) -> bool:
        call.cpu.ah = 0x83
        call.carry = True
        return True

    # -- memory -------------------------------------------------------------------------------------------------
    def _move(self, call: Call) -> bool:
        """AH=87h: copy CX words between two places anywhere, given by descriptors at ES:SI+10h and +18h."""
        cpu, board = call.cpu, self._board
        if cpu.cx > LARGEST_MOVE_WORDS:
            cpu.ah, call.carry, call.zero = 2, True, False
            return True
        source, target = (self._descriptor_base(cpu.es, cpu.si + offset) for offset in (0x10, 0x18))
        space, a20_mask = board.space, board.space.a20_mask
        space.a20_mask = ~0  # a real BIOS opens the gate for the copy and closes it again
        space.store_bytes(target, space.load_bytes(source, 2 * cpu.cx))
        space.a20_mask = a20_mask
        cpu.ah, call.carry, call.zero = 0, False, True
        return True

    def _descriptor_base(self, segment: int, offset: int) -> int:
        return self._board.load(segment, offset + 2, 3) | self._board.load(segment, offset + 7) << 24

    def _extended_memory(self, call: Call) -> bool:
        call.cpu.ax = min(self._extended_kib(), 0xFC00)
        call.carry = False
        return True

    def _extended_kib(self) -> int:
        return (self._board.space.memory.size - MIB) // KIB

    def _big_memory(self, call: Call) -> bool:
        match call.cpu.al:
            case 0x01 | 0x81:
                return self._two_sizes(call)
            case 0x20:
                return self._memory_map(call)
            case _:
                call.unknown("INT 15h")
                return False

    def _two_sizes(self, call: Call) -> bool:
        """E801h and E881h: KiB from 1 MiB to 16 MiB, and blocks of 64 KiB above."""
        cpu, total = call.cpu, self._extended_kib()
        low, high = min(total, 15 * 1024), max(total - 15 * 1024, 0) // 64
        if cpu.al == 0x81:
            cpu.eax, cpu.ecx, cpu.ebx, cpu.edx = low, low, high, high
        else:
            cpu.ax, cpu.cx, cpu.bx, cpu.dx = low, low, high, high
        call.carry = False
        return True

    def memory_map(self) -> list[tuple[int, int, int]]:
        """Return (base, length, type) of what is there: 1 is RAM, 2 the ROM and other reserved places."""
        entries = [
            (0, ebda.BASE, RAM), (ebda.BASE, ebda.SIZE_BYTES, RESERVED), (0xF0000, 0x10000, RESERVED),
        ]  # fmt: skip
        if self._extended_kib():
            entries.append((MIB, self._extended_kib() * KIB, RAM))
        return entries

    def _memory_map(self, call: Call) -> bool:
        cpu, entries = call.cpu, self.memory_map()
        if cpu.edx != SMAP or cpu.ecx < MAP_ENTRY or cpu.ebx >= len(entries):
            return False
        base, length, kind = entries[cpu.ebx]
        data = base.to_bytes(8, "little") + length.to_bytes(8, "little") + kind.to_bytes(4, "little")
        self._board.store_bytes(cpu.es, cpu.di, data)
        cpu.eax, cpu.ecx, cpu.ebx = SMAP, MAP_ENTRY, (cpu.ebx + 1) % len(entries)
        call.carry = False
        return True

    # -- what kind of machine -----------------------------------------------------------------------------------
    def _configuration(self, call: Call) -> bool:
        call.set_es(ROM_SEGMENT)
        call.cpu.bx = CONFIGURATION_TABLE
        return _done(call)


def _extended_area(call: Call) -> bool:
    call.set_es(ebda.SEGMENT)
    call.carry = False
    return True


def _done(call: Call) -> bool:
    call.cpu.ah = 0
    call.carry = False
    return True
