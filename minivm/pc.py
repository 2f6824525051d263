"""The PC: every part, and every port, address and IRQ number, in one table.

`build` turns a configuration into a machine. Nothing else in MiniVM knows where a chip is.
"""

from typing import Any

from minivm import loaders
from minivm.config import DiskSpec, MachineConfig
from minivm.console import Console, SerialLog
from minivm.core.aperture import LINEAR, TEXT, Aperture
from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.core.dma import SystemMemory
from minivm.core.memory import KIB, MIB, PAGE, AddressSpace, Memory, Region
from minivm.core.record import replace
from minivm.core.shadow_ram import ShadowRam
from minivm.core.slot import InterruptLines, Slot
from minivm.device_entries import DeviceEntry, DeviceSpec, place_of
from minivm.devices.ata.atapi import AtapiCdrom
from minivm.devices.ata.bus_master import IdeBusMaster
from minivm.devices.ata.channel import AtaChannel
from minivm.devices.ata.disk import AtaDisk
from minivm.devices.cmos import Cmos
from minivm.devices.debugcon import DebugConsole
from minivm.devices.dma import DmaPair
from minivm.devices.exit import DebugExit
from minivm.devices.floppy.controller import FloppyController
from minivm.devices.floppy.drive import FloppyMedium
from minivm.devices.i440fx import I440Fx
from minivm.devices.i8042 import I8042
from minivm.devices.pci_host import PciHost
from minivm.devices.pic import PicPair
from minivm.devices.piix3 import Piix3, Piix3Ide
from minivm.devices.piix4_pm import Piix4Pm
from minivm.devices.pit import Pit
from minivm.devices.post import PostCode
from minivm.devices.power import PowerSwitch
from minivm.devices.ps2_keyboard import Ps2Keyboard
from minivm.devices.ps2_mouse import Ps2Mouse
from minivm.devices.reset_control import ResetControl
from minivm.devices.speaker import Speaker
from minivm.devices.system_control import A20Gate, Port92, PortB
from minivm.devices.uart import Uart
from minivm.devices.vga.card import Vga
from minivm.devices.vga_pci import FRAMEBUFFER_BAR, VgaPci
from minivm.devices.vga_pci import ROM_BYTES as VIDEO_ROM_BYTES
from minivm.drive_bays import MOST_FLOPPY_DRIVES, CdTrays, DriveBays, kind_of
from minivm.engine.unicorn import UnicornEngine
from minivm.errors import ConfigError, SnapshotError
from minivm.firmware import rom as own_rom
from minivm.firmware.bios import Bios
from minivm.firmware.foreign import below_one_mib, read_rom
from minivm.firmware.services import ROM_SEGMENT
from minivm.loaders.entry import enter
from minivm.loaders.plan import CDROM, FLOPPY, HARD_DISK
from minivm.machine import Machine
from minivm.storage.disk import Disk
from minivm.trace import TracedBus, Tracer

VGA_MEMORY, VGA_MEMORY_END = 0xA0000, 0xC0000
ROM_END = 0x100000
VIDEO_BYTES, SHADOW_BYTES = 16 * MIB, 256 * KIB
"""What the cards have behind RAM, in this order: video memory, the RAM under the ROMs, the graphics card's ROM (the PCI
function says how large), and the flash with the BIOS."""
TWIN_CODE_BYTES = 2 * MIB - 128 * KIB
"""How much room a clone has for translated code, where a machine that is booted has 32 MiB.

A huge page of the host's has 2 MiB: less cannot become one, which would cost each idle clone that much."""
PORTS, ADDRESSES = 1 << 16, 1 << 32
EQUIPMENT = 0x07
"""CMOS byte 14h: a floppy drive, a coprocessor, and a keyboard and a display that are there."""
BOOT_CODES = {FLOPPY: 1, HARD_DISK: 2, CDROM: 3}
USUAL_FLOPPY_TYPE = 4


def build(config: MachineConfig, *, image: bytes | None = None, native: bool | None = None) -> Machine:
    """Wire up a PC for `config` and put it into the state of its first instruction.

    `image` stands in for the bytes of `config.guest`, which then only names them. `native=False` runs the engine's
    block hook in Python. Raises `ConfigError`, `ImageError` or `WiringError`.
    """
    if config.engine == "kvm":
        raise ConfigError("engine: the KVM engine comes with a later version; use unicorn or auto")
    plan = loaders.prepare(config, data=image)
    if config.firmware is not None and plan.entry is not None:
        raise ConfigError(f"firmware: a guest of kind {plan.kind} needs MiniVM's own BIOS; leave --firmware out")
    machine = _Pc(config, plan, native).machine
    machine.config, machine.image = config, image
    return machine


class _Pc:
    """The work bench on which one machine is put together."""

    def __init__(
        self,
        config: MachineConfig,
        plan: loaders.BootPlan,
        native: bool | None,
        *,
        memory: Memory | None = None,
        disks: "dict[str, Disk] | None" = None,
    ) -> None:
        self._config, self._plan, self._native = config, plan, native
        self._video_windows: dict[int, Region] = {}
        self._powered = memory is None  # a twin's memory is not a fresh machine's
        self._foreign = config.firmware is not None
        self._flash = _whole_pages(own_rom.image() if config.firmware is None else read_rom(config.firmware))
        self.bays = DriveBays(config, plan, disks)
        try:
            self._make_core(memory)
            self._make_chips()
            self._make_disk_controllers()
            self._make_chipset()
            self._make_bios()
            self._map_ports()
            self._plug_own_devices()
            self._make_machine()
        except BaseException:
            self.bays.close()
            raise

    # -- core ---------------------------------------------------------------------------------------------------
    def _make_core(self, memory: Memory | None) -> None:
        config = self._config
        self.memory = memory or Memory(config.memory, VIDEO_BYTES + SHADOW_BYTES + VIDEO_ROM_BYTES + len(self._flash))
        self._video = self.memory.size
        self._shadow = self._video + VIDEO_BYTES
        self._video_rom_place = self._shadow + SHADOW_BYTES
        self._flash_place = self._video_rom_place + VIDEO_ROM_BYTES
        self.clock = Clock()
        self.mmio = Bus("memory", ADDRESSES)
        plain = Bus("port", PORTS)
        self.tracer = Tracer(config.trace)
        self.ports = TracedBus(plain, self.tracer) if self.tracer.wants("io") else plain
        self._plain_ports = plain
        flash_base = ADDRESSES - len(self._flash)
        regions = [
            Region(0, VGA_MEMORY, writable=True),
            Region(flash_base, len(self._flash), writable=False, shift=self._flash_place - flash_base),
        ]
        if config.memory > MIB:
            regions.append(Region(MIB, config.memory - MIB, writable=True))
        self.space = AddressSpace(self.memory, self.mmio, regions)
        low = below_one_mib(self._flash)
        self.shadow_ram = ShadowRam(self.space, self._shadow, ((ROM_END - len(low), len(low)),))
        self.bus_memory = SystemMemory(self.space)
        room = {} if self._powered else {"code_bytes": TWIN_CODE_BYTES}
        self.engine = UnicornEngine(self.space, self.ports, self.clock, native=self._native, **room)
        self.engine.trace = self.tracer.engine_hook()

    # -- chips --------------------------------------------------------------------------------------------------
    def _make_chips(self) -> None:
        clock, config = self.clock, self._config
        self.pic = PicPair(Wire(self.engine.set_intr))
        self.irqs = InterruptLines(self.pic.line)
        irq = self.irqs.chip
        self.a20 = A20Gate(self.engine.set_a20)
        self.pit = Pit(clock, (irq(0), None, None))
        self.cmos = Cmos(clock, irq(8), config.rtc, nvram=self._nvram())
        self.log, self.lines = SerialLog(), (SerialLog(), SerialLog())
        self.com1 = Uart(clock, irq(4), self.lines[0].put_byte, lossless=True)
        self.com2 = Uart(clock, irq(3), self.lines[1].put_byte, lossless=True)
        self._connect_lines()
        self.keyboard = Ps2Keyboard(clock, typing_gate=self._bios_buffer_has_room)
        self.mouse = Ps2Mouse(clock)
        self.i8042 = I8042(
            clock, keyboard=self.keyboard, mouse=self.mouse, irq1=irq(1), irq12=irq(12), a20=self.a20,
            reset=self._reset,
        )  # fmt: skip
        view, video = self.memory.view, self._video
        self.vga = Vga(
            clock, memory=view[video : video + VIDEO_BYTES], text=view[VGA_MEMORY:VGA_MEMORY_END],
            show=self._show_video,
        )  # fmt: skip
        self.speaker = Speaker(clock, wave=lambda: self.pit.wave(2), output=lambda: self.pit.output(2))
        self.pit.watch(2, self.speaker.update)
        hears = self.tracer.sound_hook()
        if hears is not None:
            self.speaker.listeners.append(hears)
        self.port_b = PortB(
            gate2=self.pit.gate(2), timer2_output=lambda: self.pit.output(2), clock=clock,
            speaker=self.speaker.set_data,
        )  # fmt: skip
        self.port_92 = Port92(a20=self.a20, reset=self._reset)
        self.reset_control = ResetControl(self._reset)
        self.post_code = PostCode()

    def _connect_lines(self) -> None:
        """Lead what either port sends to the console's log, and what is sent to the console to COM1."""
        for line, uart in zip(self.lines, (self.com1, self.com2), strict=True):
            line.connect(uart)
            line.listeners.append(self.log.put)
        self.log.connect(self.com1)

    def _make_disk_controllers(self) -> None:
        clock, irq, memory = self.clock, self.irqs.chip, self.bus_memory
        self.dma = DmaPair(memory)
        floppies = self.bays.floppies
        self.floppy = FloppyController(clock, irq(6), dma=self.dma.channel(2), drives=(True, len(floppies) > 1))
        for unit, disk in enumerate(floppies[:MOST_FLOPPY_DRIVES]):
            self.floppy.insert(unit, _floppy_medium(disk))
        drives = [_ata_drive(place, number) for number, place in enumerate(self.bays.ata)]
        self.ata0 = AtaChannel(clock, irq=irq(14), drives=(drives[0], drives[1]))
        self.ata1 = AtaChannel(clock, irq=irq(15), drives=(drives[2], drives[3]))
        self.cd_drives: list[Any] = [drives[place] for place in self.bays.cd_places]
        self.bays.put = self._change_medium
        self.bus_master = IdeBusMaster(clock, memory=memory, channels=(self.ata0, self.ata1))

    def _change_medium(self, drive: str, disk: Disk | None) -> None:
        """Put a medium into a drive, or take it out, as a user's hand does."""
        number = int(drive.removeprefix(kind_of(drive)))
        if kind_of(drive) == "cdrom":
            self.cd_drives[number].insert(disk)
        elif number < MOST_FLOPPY_DRIVES:
            self.floppy.insert(number, _floppy_medium(disk))

    def _tray_is_open(self, drive: str) -> bool:
        return kind_of(drive) == "cdrom" and self.cd_drives[int(drive.removeprefix("cdrom"))].tray_open

    def _make_chipset(self) -> None:
        self.i440fx = I440Fx(pam=self.shadow_ram.switch)
        self.piix3 = Piix3(irq=self.irqs.chip)
        self.ide = Piix3Ide(on_move=self._move_bus_master)
        self.pm = Piix4Pm(self.clock, sci=self.irqs.chip(9), power_off=self._power_off, on_move=self._move_pm)
        self.vga_pci = VgaPci(on_move=self._move_video, rom=self._foreign)
        functions = {
            (0, 0): self.i440fx.config,
            (1, 0): self.piix3.config,
            (1, 1): self.ide.config,
            (1, 3): self.pm.config,
            (2, 0): self.vga_pci.config,
        }
        self.pci = PciHost(functions, beside={0xCF9 - 0xCF8: self.reset_control})

    def _make_bios(self) -> None:
        bays = self.bays
        self.bios = Bios(
            cpu=self.engine.cpu, space=self.space, ports=self.ports, clock=self.clock,
            floppies=bays.floppies, disks=bays.disks,
            cdroms=CdTrays(bays.cdroms, lambda number: self.cd_drives[number].tray_open),
            eject=lambda number: self.cd_drives[number].open_tray(), changed=self.floppy.look_for_change,
            boot_order=self._plan.boot_order(self._config.boot_order), trace=self.tracer.bios,
        )  # fmt: skip

    def _map_video_rom(self) -> None:
        """Let a BIOS that is not MiniVM's find the services of INT 10h in the graphics card's own ROM."""
        from minivm.firmware.video_rom import TRAP_PORT, VideoRom  # few machines have another BIOS

        rom = VideoRom(
            cpu=self.engine.cpu, space=self.space, ports=self.ports, clock=self.clock, trace=self.tracer.bios
        )
        self._plain_ports.map(TRAP_PORT, 1, rom.trap, name="video rom trap")

    def _map_ports(self) -> None:
        ports, out = self._plain_ports, self.lines[0].put
        table: tuple[tuple[int, int, int, Any, str], ...] = (  # base, length, width, port, name
            (0x00, 16, 1, self.dma.byte_controller, "dma0"),
            (0x20, 2, 1, self.pic.master, "pic0"),
            (0x40, 4, 1, self.pit, "pit"),
            (0x60, 1, 1, self.i8042.data, "keyboard data"),
            (0x61, 1, 1, self.port_b, "system control B"),
            (0x64, 1, 1, self.i8042.command, "keyboard command"),
            (0x70, 2, 1, self.cmos, "cmos"),
            (0x80, 1, 1, self.post_code, "post code"),
            (0x81, 15, 1, self.dma.pages, "dma pages"),
            (0x92, 1, 1, self.port_92, "system control A"),
            (0xA0, 2, 1, self.pic.slave, "pic1"),
            (0xC0, 32, 1, self.dma.word_controller, "dma1"),
            (0xE9, 1, 1, DebugConsole(out), "debug console"),
            (0xF4, 4, 4, DebugExit(self._debug_exit), "debug exit"),
            (0x170, 8, 4, self.ata1.command_block, "ata1"),
            (0x1CE, 4, 2, self.vga.vbe, "vbe"),
            (0x1F0, 8, 4, self.ata0.command_block, "ata0"),
            (0x2F8, 8, 1, self.com2, "com2"),
            (0x376, 1, 1, self.ata1.control_block, "ata1 control"),
            (0x3B0, 0x30, 1, self.vga, "vga"),
            (0x3F0, 6, 1, self.floppy, "floppy"),
            (0x3F6, 1, 1, self.ata0.control_block, "ata0 control"),
            (0x3F7, 1, 1, self.floppy.rate_port, "floppy rate"),
            (0x3F8, 8, 1, self.com1, "com1"),
            (0x4D0, 2, 1, self.pic.elcr, "elcr"),
            (0xCF8, 4, 4, self.pci.address, "pci address"),
            (0xCFC, 4, 4, self.pci.data, "pci data"),
        )
        for base, length, width, port, name in table:
            ports.map(base, length, port, width=width, name=name)
        for base in (0x604, 0xB004):  # the power management block may come there
            ports.place(PowerSwitch(self._power_off), base, 2, width=2, name="power switch")
        if self._foreign:
            ports.map(0xB2, 2, self.pm.apm, name="apm")
            self._map_video_rom()
        else:
            ports.map(0xB2, 1, self.bios.trap, name="bios trap")
        self.mmio.map(VGA_MEMORY, VGA_MEMORY_END - VGA_MEMORY, self.vga.window, width=4, name="vga window")

    # -- windows that move --------------------------------------------------------------------------------------
    def _show_video(self, aperture: Aperture) -> None:
        """Let the CPU see at A0000h what the graphics card says."""
        base, whole = aperture.base, aperture.base % PAGE == 0 and aperture.length % PAGE == 0
        flat = aperture.kind in (TEXT, LINEAR) and whole
        shift = 0 if aperture.kind == TEXT else self._video + aperture.offset - base
        regions = [Region(base, aperture.length, writable=True, shift=shift)] if flat else []
        self.space.replace(VGA_MEMORY, VGA_MEMORY_END, regions)

    def _move_video(self, index: int, base: int | None) -> None:
        """Show the framebuffer or the card's ROM where its base address register says, behind RAM and ROM."""
        old = self._video_windows.pop(index, None)
        if old is not None:
            self.space.withdraw(old)
        if base is None:
            return
        if index == FRAMEBUFFER_BAR:
            window = Region(base, VIDEO_BYTES, writable=True, shift=self._video - base)
        else:
            window = Region(base, VIDEO_ROM_BYTES, writable=False, shift=self._video_rom_place - base)
        self._video_windows[index] = window
        self.space.show_behind(window)

    def _move_bus_master(self, index: int, base: int | None) -> None:
        del index
        self._plain_ports.place(self.bus_master, base, 16, width=4, name="ide bus master")

    def _move_pm(self, base: int | None) -> None:
        self._plain_ports.place(self.pm.ports, base, 64, width=4, name="acpi")

    def _plug_own_devices(self) -> None:
        """Make and map the devices of the user's own, which get what the PC's chips leave."""
        self.own_devices: dict[str, Any] = {}
        if not self._config.devices:
            return
        from minivm.slots import plug  # few machines have any

        slot = Slot(self.clock, self.irqs.own, self.lines[0].put, self.space)
        buses = {"port": self._plain_ports, "mmio": self.mmio}
        for entry in self._config.devices:
            place = place_of(entry)
            self.own_devices[place] = plug(entry, buses[place.partition(" ")[0]], self.space, slot)

    # -- the machine --------------------------------------------------------------------------------------------
    def _make_machine(self) -> None:
        devices = {
            "shadow_ram": self.shadow_ram, "i440fx": self.i440fx, "piix3": self.piix3, "ide": self.ide, "pm": self.pm,
            "vga_pci": self.vga_pci, "pci": self.pci, "pit": self.pit, "cmos": self.cmos, "uart0": self.com1,
            "uart1": self.com2, "keyboard": self.keyboard, "mouse": self.mouse, "i8042": self.i8042, "vga": self.vga,
            "dma": self.dma, "floppy": self.floppy, "ata0": self.ata0, "ata1": self.ata1,
            "bus_master": self.bus_master, "port_b": self.port_b, "speaker": self.speaker, "port_92": self.port_92,
            "a20": self.a20, "reset_control": self.reset_control,
            "post_code": self.post_code, "pic": self.pic,
        }  # fmt: skip  # what others drive comes after them: the gate, the PIC
        self.machine = Machine(
            engine=self.engine, memory=self.memory, space=self.space, ports=self._plain_ports, clock=self.clock,
            interrupts=self.pic, devices=devices, power_on=self._power_on,
        )  # fmt: skip
        self.machine.console = console = Console(self.vga, self.keyboard, self.log, self.lines, mouse=self.mouse)
        console.enter_by(self.machine.from_outside)
        self.machine.bays, self.machine.disks = self.bays, self.bays.by_name()
        self.machine.tray_is_open = self._tray_is_open
        self.machine.user_devices = self.own_devices
        self.machine.twin = self._twin
        self._powered = True
        self.machine.sending = lambda: self.com1.sending or self.com2.sending
        self.machine.closers.append(self.bays.close)
        self.machine.closers.append(self.tracer.close)
        self.tracer.attach(self.machine)

    def _power_on(self) -> None:
        """Bring the machine to its first instruction: the reset vector, or a kernel's entry after POST."""
        if not self._powered:
            return
        self.engine.set_a20(True)
        low = below_one_mib(self._flash)
        self.memory.write(ROM_END - len(low), low)
        self.memory.view[self._flash_place : self._flash_place + len(self._flash)] = self._flash
        if self._foreign:
            from minivm.firmware import video_rom

            rom = video_rom.image()
            self.memory.view[self._video_rom_place : self._video_rom_place + len(rom)] = rom
        entry = self._plan.entry
        if entry is None:
            self._plan.load(self.memory)
            return
        self.bios.post()
        self._plan.load(self.memory)
        enter(self.engine, entry)
        self.engine.flush()

    def _twin(self, memory: Memory, disks: dict[str, Disk]) -> Machine:
        """Make a machine like this one around `memory` and `disks`, which is not powered on but restored."""
        devices = tuple(map(_own_clone, self._config.devices))
        now = replace(self._config, media=self.bays.changed())
        kept = {  # what a twin writes to a disk stays in its memory, also when it is saved and restored
            name: tuple(map(_in_memory, getattr(now, name))) for name in ("disks", "floppies", "cdroms")
        }
        media = tuple(replace(one, spec=one.spec and _in_memory(one.spec)) for one in now.media)
        config = replace(now, devices=devices, trace=(), guest_snapshot=True, media=media, **kept)
        twin = _Pc(config, self._plan, self._native, memory=memory, disks=disks).machine
        twin.config, twin.image = config, self.machine.image
        return twin

    # What the chips ask of a machine that does not exist yet when they are made
    def _reset(self) -> None:
        self.machine.ask_reset()

    def _power_off(self) -> None:
        self.machine.ask_power_off()

    def _debug_exit(self, code: int) -> None:
        self.machine.debug_exit(code)

    def _bios_buffer_has_room(self) -> bool:
        """Tell whether the BIOS's keyboard buffer takes another key; true when the guest has its own INT 09h."""
        area = self.bios.data_area
        head, tail = area.keyboard_head, area.keyboard_tail
        if self.space.load(4 * 9 + 2, 2) != ROM_SEGMENT or not (0x1E <= head < 0x3E and 0x1E <= tail < 0x3E):
            return True
        return (tail - head) % 32 < 16

    def _nvram(self) -> dict[int, int]:
        """Return what the CMOS battery has kept, as a set-up program left it; MiniVM's own POST writes it anew.

        Bytes 38h and 3Dh, the boot order, are as QEMU and Bochs have them for SeaBIOS.
        """
        extended = min((self._config.memory - MIB) // KIB, 0xFFFF)
        above = max(0, self._config.memory - 16 * MIB) // (64 * KIB)
        sizes = {0x15: 640, 0x17: extended, 0x30: extended, 0x34: above}
        bytes_ = {at + half: word >> 8 * half & 0xFF for at, word in sizes.items() for half in (0, 1)}
        first, second = (_floppy_type(disk) for disk in (*self.bays.floppies, None, None)[:2])
        second = second if len(self.bays.floppies) > 1 else 0
        order = [BOOT_CODES[drive] for drive in self._plan.boot_order(self._config.boot_order)]
        order += [0] * (3 - len(order))
        return bytes_ | {
            0x10: first << 4 | second, 0x14: EQUIPMENT | (0x40 if second else 0),
            0x3D: order[0] | order[1] << 4, 0x38: order[2] << 4 | 1,
        }  # fmt: skip


def _own_clone(entry: DeviceEntry | DeviceSpec) -> DeviceEntry | DeviceSpec:
    """Return a device of the user's own for a machine's twin, which makes one for itself if it can."""
    if isinstance(entry, DeviceSpec):
        return entry
    bus, base, device = entry
    clone = getattr(device, "clone", None)
    if clone is None:
        raise SnapshotError(
            f"devices: {type(device).__name__} at {place_of(entry)} has no clone() that makes another one for the "
            "clone; give its class, and each machine makes its own"
        )
    return bus, base, clone()


def _in_memory(spec: DiskSpec) -> DiskSpec:
    return replace(spec, snapshot=not spec.read_only)


def _whole_pages(rom: bytes) -> bytes:
    """Return a ROM that begins at a page, with nothing (FFh) before a shorter one."""
    return rom.rjust(-(-len(rom) // PAGE) * PAGE, b"\xff")


def _floppy_medium(disk: Disk | None) -> FloppyMedium | None:
    if disk is None:
        return None
    shape = disk.geometry
    return FloppyMedium(disk, shape.cylinders, shape.heads, shape.sectors_per_track)


def _floppy_type(disk: Disk | None) -> int:
    """Return the CMOS's number for the drive that takes a floppy; an empty drive takes 1.44M."""
    return USUAL_FLOPPY_TYPE if disk is None or disk.floppy_type is None else disk.floppy_type.drive_type


def _ata_drive(place: tuple[str, Disk | None] | None, number: int) -> AtaDisk | AtapiCdrom | None:
    if place is None:
        return None
    kind, disk = place
    serial = f"MINIVM-{number}"
    return AtaDisk(disk, serial=serial) if kind == "disk" and disk is not None else AtapiCdrom(disk, serial=serial)
