"""The PC BIOS: the object behind the trap port, and POST.

The ROM's code runs on the CPU; each service in it is a few instructions that write to port B2h, where `BiosTrap`
finds the right method here. Nothing is remembered in Python: what the BIOS knows lies in its data area in guest
memory, so a snapshot of memory is a snapshot of the BIOS.
"""

from collections.abc import Callable, Sequence

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import AddressSpace
from minivm.engine.cpustate import Registers
from minivm.firmware import rom, services
from minivm.firmware.bda import BiosDataArea
from minivm.firmware.boot import Boot, KernelEntry
from minivm.firmware.disk import DiskServices
from minivm.firmware.drives import FIRST_CD, Disk, Drives
from minivm.firmware.ebda import ExtendedDataArea
from minivm.firmware.el_torito import ElTorito
from minivm.firmware.keyboard import Keyboard
from minivm.firmware.pci_bios import PciBios
from minivm.firmware.pci_setup import PciSetup
from minivm.firmware.pointing import Pointing
from minivm.firmware.serial import Serial
from minivm.firmware.services import ROM_BASE, ROM_SEGMENT, TRAP_PORT, Board, Call, Handler
from minivm.firmware.system import System
from minivm.firmware.time import Time
from minivm.firmware.transfers import Transfers
from minivm.firmware.video import Video

FLOPPY, HARD_DISK, CDROM = 0x00, 0x80, FIRST_CD
"""Drive numbers for `boot_order`."""
PCI_FUNCTIONS = 0xB1
"""AH of INT 1Ah."""

# Services whose ROM code has pushed one more word before the service number
_DEEPER = frozenset({0x14, services.UNHANDLED})


class BiosTrap:
    """Port B2h: the ROM's door to the services. A write from anywhere else than the ROM does nothing."""

    def __init__(self, cpu: Registers, board: Board, handlers: dict[int, Handler]) -> None:
        self._cpu = cpu
        self._board = board
        self._handlers = handlers

    def read(self, offset: int, size: int) -> int:
        """Return ones: there is nothing to read."""
        return (1 << (8 * size)) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Call the service whose number lies on the stack, and put its answer, 1 or 0, in the number's place."""
        cpu = self._cpu
        if cpu.cs != ROM_SEGMENT or cpu.cs_base != ROM_BASE:
            return
        probe = Call(cpu, self._board)
        number = probe.stack(0)
        handler = self._handlers.get(number)
        if handler is None:
            self._board.trace(f"bios: the ROM asks for service {number:X}h, which is not there")
            return
        call = Call(cpu, self._board, 4) if number in _DEEPER else probe
        handler(call)
        call.set_stack(0, int(call.answer))


class Bios:
    """The BIOS of one machine.

    `floppies` are drives 00h.., `disks` drives 80h.., `cdroms` drives E0h.., with None where a drive is empty. All may
    be changed while the machine runs. `boot_order` lists drive numbers. `eject` opens the tray of the CD drive of that
    index and tells whether it could, `changed` whether the floppy in drive 0 or 1 was changed since it was last asked.
    With `kernel_entry`, the ROM calls it after POST
    instead of INT 19h and halts with interrupts off; the caller sets the CPU's state at the next safe point.
    Map `trap` at `TRAP_PORT`, call `load_rom()`, and start the CPU at its reset vector; or call `post()` and start
    wherever you like.
    """

    def __init__(
        self,
        *,
        cpu: Registers,
        space: AddressSpace,
        ports: Bus,
        clock: Clock,
        floppies: Sequence[Disk | None] = (),
        disks: Sequence[Disk] = (),
        cdroms: Sequence[Disk | None] = (),
        boot_order: Sequence[int] = (FLOPPY, HARD_DISK, CDROM),
        trace: Callable[[str], None] | None = None,
        eject: Callable[[int], bool] | None = None,
        changed: Callable[[int], bool] | None = None,
        kernel_entry: KernelEntry | None = None,
    ) -> None:
        self._rom = rom.image()
        tables = rom.rom_map(self._rom)
        self.board = Board(space, ports, clock, BiosDataArea(space), ExtendedDataArea(space), trace or _silent)
        self.video = Video(self.board, tables)
        self.keyboard = Keyboard(self.board)
        self.time = Time(self.board)
        self.drives = Drives(self.board, floppies, disks, cdroms)
        self.el_torito = ElTorito(self.board, self.drives, Transfers(self.board))
        self.disk_services = DiskServices(self.board, self.drives, self.el_torito.functions, eject, changed)
        self.system = System(self.board, self.time)
        self.serial = Serial(self.board)
        self.pointing = Pointing(self.board)
        self.pci = PciBios(self.board, rom.BASE + rom.rom_entries(self._rom).pci_bios_32)
        self.boot = Boot(
            self.board, self._rom, video=self.video, time=self.time, drives=self.drives, el_torito=self.el_torito,
            pci=PciSetup(self.board), order=boot_order,
        )  # fmt: skip
        self._kernel_entry = kernel_entry
        self.trap = BiosTrap(cpu, self.board, self._handlers())

    @property
    def data_area(self) -> BiosDataArea:
        """The BIOS data area at 0040:0000."""
        return self.board.bda

    def load_rom(self) -> None:
        """Put the ROM's 64 KiB at F0000h."""
        self.board.space.memory.write(rom.BASE, self._rom)

    def post(self) -> None:
        """Set interrupt vectors, data area and chips, without executing anything on the CPU."""
        self.boot.post()

    def _handlers(self) -> dict[int, Handler]:
        system, time = self.system, self.time
        return {
            0x05: system.print_screen, 0x08: time.tick, 0x09: self.keyboard.interrupt, 0x10: self.video.call,
            0x11: system.equipment, 0x12: system.memory_size, 0x13: self.disk_services.call, 0x14: self.serial.call,
            0x15: system.call, 0x16: self.keyboard.call, 0x17: system.printer, 0x1A: self._time_or_pci,
            services.POST: self._post_from_rom, services.KERNEL: self._enter_kernel,
            services.BOOT_CANDIDATE: self.boot.candidate, services.BOOT_CD: self.el_torito.boot,
            services.WAIT_OVER: time.wait_over,
            services.PAUSED: self.keyboard.paused, services.RTC_INTERRUPT: time.rtc_interrupt,
            services.UNHANDLED: self._unhandled, services.VBE_WINDOW: self.video.far_window,
            services.POINTING: self.pointing.begin, services.POINTING_DONE: self.pointing.end,
        }  # fmt: skip

    def _post_from_rom(self, call: Call) -> None:
        self.post()
        call.answer = self._kernel_entry is not None

    def _time_or_pci(self, call: Call) -> None:
        if call.cpu.ah == PCI_FUNCTIONS:
            self.pci.call(call)
        else:
            self.time.call(call)

    def _enter_kernel(self, call: Call) -> None:
        if self._kernel_entry is not None:
            self._kernel_entry()

    def _unhandled(self, call: Call) -> None:
        place = f"{call.stack(6):04X}h:{call.stack(4):04X}h"
        self.board.trace(f"bios: INT {call.stack(2):02X}h at {place} has no handler; the BIOS returns")


def _silent(text: str) -> None:
    """Trace to nowhere."""


__all__ = ["CDROM", "FLOPPY", "HARD_DISK", "TRAP_PORT", "Bios", "BiosTrap"]
