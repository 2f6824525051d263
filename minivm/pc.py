"""The PC: every part, and every port, address and IRQ number, in one table.

`build` turns a configuration into a machine. Nothing else in MiniVM knows where a chip is.
"""

from typing import Any

from minivm import loaders
from minivm.config import DiskSpec, MachineConfig
from minivm.console import Console, SerialLog
from minivm.core.bus import Bus
from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.core.memory import KIB, MIB, AddressSpace, Memory, Region
from minivm.core.record import replace
from minivm.core.slot import InterruptLines, Slot
from minivm.device_entries import DeviceEntry, DeviceSpec, place_of
from minivm.devices.cmos import Cmos
from minivm.devices.debugcon import DebugConsole
from minivm.devices.exit import DebugExit
from minivm.devices.i8042 import I8042
from minivm.devices.pic import PicPair
from minivm.devices.pit import Pit
from minivm.devices.post import PostCode
from minivm.devices.power import PowerSwitch
from minivm.devices.ps2_keyboard import Ps2Keyboard
from minivm.devices.reset_control import ResetControl
from minivm.devices.system_control import A20Gate, Port92, PortB
from minivm.devices.uart import Uart
from minivm.devices.vga import VgaText
from minivm.engine.unicorn import UnicornEngine
from minivm.errors import ConfigError, SnapshotError
from minivm.firmware.bios import FLOPPY, HARD_DISK, Bios
from minivm.firmware.foreign import LARGEST_BYTES, read_rom
from minivm.firmware.services import ROM_SEGMENT
from minivm.loaders.entry import enter
from minivm.machine import Machine
from minivm.storage.disk import Disk, open_disk
from minivm.trace import TracedBus, Tracer

VGA_MEMORY, VGA_MEMORY_END = 0xA0000, 0xC0000
ROM, ROM_END = 0xF0000, 0x100000
TWIN_CODE_BYTES = 2 * MIB - 128 * KIB
"""How much room a clone has for translated code, where a machine that is booted has 32 MiB.

A huge page of the host's has 2 MiB: less cannot become one, which would cost each idle clone that much."""
PORTS, ADDRESSES = 1 << 16, 1 << 32


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
        self._memory, self._twin_disks = memory, disks
        self._powered = memory is None  # a twin's memory is not a fresh machine's
        self._disks: list[Disk] = []
        self._a20_enabled = False
        self._rom = read_rom(config.firmware) if config.firmware is not None else None
        try:
            if disks is None:
                self._open_disks()
            else:
                self._take_disks(disks)
            self._make_core()
            self._make_chips()
            self._map_ports()
            self._plug_own_devices()
            self._make_machine()
        except BaseException:
            self._close_disks()
            raise

    # -- core ---------------------------------------------------------------------------------------------------
    def _make_core(self) -> None:
        config = self._config
        self.memory = self._memory or Memory(config.memory)
        self.clock = Clock()
        self.mmio = Bus("memory", ADDRESSES)
        plain = Bus("port", PORTS)
        self.tracer = Tracer(config.trace)
        self.ports = TracedBus(plain, self.tracer) if self.tracer.wants("io") else plain
        self._plain_ports = plain
        rom = ROM if len(self._rom or b"") <= ROM_END - ROM else ROM_END - LARGEST_BYTES
        regions = [Region(0, VGA_MEMORY_END, writable=True), Region(rom, ROM_END - rom, writable=False)]
        if config.memory > MIB:
            regions.append(Region(MIB, config.memory - MIB, writable=True))
        self.space = AddressSpace(self.memory, self.mmio, regions)
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
        self.i8042 = I8042(clock, keyboard=self.keyboard, irq1=irq(1), irq12=irq(12), a20=self.a20, reset=self._reset)
        self.vga = VgaText(clock, self.memory.view[VGA_MEMORY:VGA_MEMORY_END])
        self.port_b = PortB(
            gate2=self.pit.gate(2), timer2_output=lambda: self.pit.output(2), clock=clock, speaker=_silent
        )
        self.port_92 = Port92(a20=self.a20, reset=self._reset)
        self.reset_control = ResetControl(self._reset)
        self.post_code = PostCode()
        self.bios = Bios(
            cpu=self.engine.cpu, space=self.space, ports=self.ports, clock=clock,
            floppies=self._floppies(), disks=self._hard_disks(), boot_order=self._boot_order(),
            trace=self.tracer.bios,
        )  # fmt: skip

    def _connect_lines(self) -> None:
        """Lead what either port sends to the console's log, and what is sent to the console to COM1."""
        for line, uart in zip(self.lines, (self.com1, self.com2), strict=True):
            line.connect(uart)
            line.listeners.append(self.log.put)
        self.log.connect(self.com1)

    def _map_ports(self) -> None:
        ports, out = self._plain_ports, self.lines[0].put
        table: tuple[tuple[int, int, Any, str], ...] = (
            (0x20, 2, self.pic.master, "pic0"),
            (0x40, 4, self.pit, "pit"),
            (0x60, 1, self.i8042.data, "keyboard data"),
            (0x61, 1, self.port_b, "system control B"),
            (0x64, 1, self.i8042.command, "keyboard command"),
            (0x70, 2, self.cmos, "cmos"),
            (0x80, 1, self.post_code, "post code"),
            (0x92, 1, self.port_92, "system control A"),
            (0xA0, 2, self.pic.slave, "pic1"),
            (0xE9, 1, DebugConsole(out), "debug console"),
            (0x2F8, 8, self.com2, "com2"),
            (0x3B0, 0x30, self.vga, "vga"),
            (0x3F8, 8, self.com1, "com1"),
            (0x4D0, 2, self.pic.elcr, "elcr"),
            (0xCF9, 1, self.reset_control, "reset control"),
        )
        for base, length, port, name in table:
            ports.map(base, length, port, name=name)
        if self._rom is None:
            ports.map(0xB2, 1, self.bios.trap, name="bios trap")
        ports.map(0xF4, 4, DebugExit(self._debug_exit), width=4, name="debug exit")
        for base in (0x604, 0xB004):
            ports.map(base, 2, PowerSwitch(self._power_off), width=2, name="power switch")

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
            "pit": self.pit, "cmos": self.cmos, "uart0": self.com1, "uart1": self.com2, "keyboard": self.keyboard,
            "i8042": self.i8042, "vga": self.vga, "port_b": self.port_b, "port_92": self.port_92,
            "a20": self.a20, "reset_control": self.reset_control,
            "post_code": self.post_code, "pic": self.pic,
        }  # fmt: skip  # what others drive comes after them: the gate, the PIC
        self.machine = Machine(
            engine=self.engine, memory=self.memory, space=self.space, ports=self._plain_ports, clock=self.clock,
            interrupts=self.pic, devices=devices, power_on=self._power_on,
        )  # fmt: skip
        self.machine.console = console = Console(self.vga, self.keyboard, self.log, self.lines)
        console.enter_by(self.machine.from_outside)
        self.machine.disks = self._disks_by_name()
        self.machine.user_devices = self.own_devices
        self.machine.twin = self._twin
        self._powered = True
        self.machine.sending = lambda: self.com1.sending or self.com2.sending
        self.machine.closers.append(self._close_disks)
        self.machine.closers.append(self.tracer.close)
        self.tracer.attach(self.machine)

    def _power_on(self) -> None:
        """Bring the machine to its first instruction: the reset vector, or a kernel's entry after POST."""
        if not self._powered:
            return
        self.engine.set_a20(True)
        if self._rom is not None:
            self.memory.write(ROM_END - len(self._rom), self._rom)
        else:
            self.bios.load_rom()
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
        kept = {  # what a twin writes to a disk stays in its memory, also when it is saved and restored
            name: tuple(replace(spec, snapshot=not spec.read_only) for spec in getattr(self._config, name))
            for name in ("disks", "floppies")
        }
        config = replace(self._config, devices=devices, trace=(), guest_snapshot=True, **kept)
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

    # -- drives -------------------------------------------------------------------------------------------------
    def _open_disks(self) -> None:
        config, drive = self._config, self._plan.drive
        self._floppy_images: list[Disk | None] = []
        self._disk_images: list[Disk] = []
        if drive is not None:
            self._disks.append(drive)
            (self._floppy_images if drive.floppy_type is not None else self._disk_images).append(drive)
        for spec in config.floppies:
            self._floppy_images.append(self._open(spec, "floppy"))
        for spec in config.disks:
            self._disk_images.append(self._open(spec, "disk"))

    def _take_disks(self, disks: dict[str, Disk]) -> None:
        """Attach the disks of another machine's twin."""
        self._floppy_images = [disk for name, disk in disks.items() if name.startswith("floppy")]
        self._disk_images = [disk for name, disk in disks.items() if name.startswith("disk")]
        self._disks += disks.values()

    def _disks_by_name(self) -> dict[str, Disk]:
        """Return every drive's disk: floppy0 is A:, disk0 is the BIOS's drive 80h."""
        drives = {f"floppy{number}": disk for number, disk in enumerate(self._floppy_images) if disk is not None}
        return drives | {f"disk{number}": disk for number, disk in enumerate(self._disk_images)}

    def _open(self, spec: DiskSpec, medium: Any) -> Disk:
        disk = open_disk(spec.path, read_only=spec.read_only, snapshot=spec.snapshot, medium=medium)
        self._disks.append(disk)
        return disk

    def _floppies(self) -> list[Disk | None]:
        return self._floppy_images

    def _hard_disks(self) -> list[Disk]:
        return self._disk_images

    def _boot_order(self) -> tuple[int, ...]:
        first = self._plan.boot_drive if self._plan.drive is not None else FLOPPY
        return (HARD_DISK, FLOPPY) if first == HARD_DISK else (FLOPPY, HARD_DISK)

    def _nvram(self) -> dict[int, int]:
        """What the CMOS battery has kept: the sizes of memory (the BIOS's POST fills in the rest)."""
        extended = min((self._config.memory - MIB) // KIB, 0xFFFF)
        above = max(0, self._config.memory - 16 * MIB) // (64 * KIB)
        sizes = {0x15: 640, 0x17: extended, 0x30: extended, 0x34: above}
        return {at + half: word >> 8 * half & 0xFF for at, word in sizes.items() for half in (0, 1)}

    def _close_disks(self) -> None:
        while self._disks:
            self._disks.pop().close()


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


def _silent(on: bool) -> None:
    """Drive a speaker that nobody hears."""
