"""The graphics card's own ROM, so that a BIOS which is not MiniVM's finds the services of INT 10h on the card.

PCI Local Bus Specification 2.1, section 6.3, "PCI expansion ROMs". A BIOS puts the ROM at C0000h and calls its entry,
which takes over INT 10h; from then on the ROM's code asks for each service by a write to port B6h, as MiniVM's BIOS
does by port B2h. Like there, nothing is remembered in Python.
"""

from collections.abc import Callable
from pathlib import Path

from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.memory import AddressSpace
from minivm.engine.cpustate import Registers
from minivm.firmware import services
from minivm.firmware.bda import BiosDataArea
from minivm.firmware.ebda import ExtendedDataArea
from minivm.firmware.rom import RomMap, word
from minivm.firmware.services import Board, Call, Handler
from minivm.firmware.video import Video

TRAP_PORT = 0xB6
SEGMENT, BASE = 0xC000, 0xC0000
SIZE_BYTES = 0x4000
MAP_OFFSET, SERVICES_OFFSET = 0x80, 0x90
"""Where the ROM says the offsets of its tables, eight words, and of its INT 10h."""

VIDEO_INTERRUPT, OLD_VIDEO_INTERRUPT, UPPER_FONT, ANOTHER_VIDEO_INTERRUPT = 0x10, 0x42, 0x1F, 0x6D
TEXT_80 = 3
EQUIPMENT_DISPLAY, COLOUR_80 = 0x30, 0x20


def image() -> bytes:
    """Return the ROM's 16 KiB, for C0000h and for the expansion ROM base address of the PCI card."""
    return Path(__file__).with_name("vga_rom.bin").read_bytes()


class VideoRom:
    """The services behind the ROM's code. Map `trap` at `TRAP_PORT`, one port of 8 bits."""

    def __init__(
        self,
        *,
        cpu: Registers,
        space: AddressSpace,
        ports: Bus,
        clock: Clock,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        rom = image()
        self._rom_map = RomMap(*(word(rom, MAP_OFFSET + 2 * index) for index in range(8)))
        self._services = word(rom, SERVICES_OFFSET)
        self._board = Board(space, ports, clock, BiosDataArea(space), ExtendedDataArea(space), trace or _silent)
        self._video = Video(self._board, self._rom_map, SEGMENT)
        handlers: dict[int, Handler] = {
            VIDEO_INTERRUPT: self._video.call,
            services.VBE_WINDOW: self._video.far_window,
            services.VIDEO_START: self._start,
        }
        self.trap = VideoTrap(cpu, self._board, handlers)

    def _start(self, call: Call) -> None:
        """Do what POST leaves to the card: vectors, the data area's video part, mode 3."""
        del call
        space, bda = self._board.space, self._board.bda
        space.store(4 * OLD_VIDEO_INTERRUPT, 4, space.load(4 * VIDEO_INTERRUPT, 4))
        for number, offset in (
            (VIDEO_INTERRUPT, self._services), (ANOTHER_VIDEO_INTERRUPT, self._services),
            (UPPER_FONT, self._rom_map.font_8x8_upper),
        ):  # fmt: skip
            space.store(4 * number, 4, SEGMENT << 16 | offset)
        bda.equipment = bda.equipment & ~EQUIPMENT_DISPLAY | COLOUR_80
        bda.video_save_pointer = SEGMENT << 16 | self._rom_map.video_save_pointers
        self._video.power_on()
        self._video.set_mode(TEXT_80)


class VideoTrap:
    """Port B6h: the card's ROM's door to its services. A write from anywhere else than the ROM does nothing."""

    def __init__(self, cpu: Registers, board: Board, handlers: dict[int, Handler]) -> None:
        self._cpu = cpu
        self._board = board
        self._handlers = handlers

    def read(self, offset: int, size: int) -> int:
        """Return ones: there is nothing to read."""
        return (1 << (8 * size)) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Call the service whose number lies on the stack."""
        if self._cpu.cs != SEGMENT or self._cpu.cs_base != BASE:
            return
        call = Call(self._cpu, self._board)
        handler = self._handlers.get(call.stack(0))
        if handler is not None:
            handler(call)


def _silent(text: str) -> None:
    """Trace to nowhere."""
