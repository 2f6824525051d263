"""The chips in their own words, and the way of every interrupt from its line to the CPU.

Which chip answers behind which name on the port bus, and what the AT wires to each interrupt input, stands in the
tables here; what a register means comes from `minivm/devices/registers`.
"""

from collections.abc import Callable
from typing import Any

from minivm.core.bus import Mapping
from minivm.core.describe import Chip, Decoded, Register, decode, sentence
from minivm.core.device import Wire
from minivm.core.record import record
from minivm.devices.pic import CASCADE_IR, NEVER_INITIALIZED, OPERATIONAL, Pic, PicState
from minivm.devices.registers import (
    ata,
    cmos,
    dma,
    floppy,
    i440fx,
    i8042,
    pci,
    pic,
    piix3,
    piix4_pm,
    pit,
    ps2_keyboard,
    ps2_mouse,
    small,
    system_control,
    uart,
    vbe,
    vga,
)
from minivm.engine.cpustate import HF_INHIBIT_IRQ, IF
from minivm.machine import Machine

IRQ_NAMES = (
    "the timer", "the keyboard", "the slave PIC", "COM2", "COM1", "LPT2", "the diskette", "LPT1", "the clock", "ACPI",
    "", "", "the mouse", "the FPU", "the hard disk", "the second hard disk",
)  # fmt: skip
"""What the PC AT wires to IRQ0 to IRQ15 (IBM PC AT Technical Reference, "System interrupts")."""


def irq_name(irq: int) -> str:
    """Return "IRQ0, the timer", or "IRQ9" where nothing is wired by custom."""
    return f"IRQ{irq}, {IRQ_NAMES[irq]}" if IRQ_NAMES[irq] else f"IRQ{irq}"


@record
class Part:
    """A chip of this machine: its description, the device that keeps its state, and where in that state it is."""

    chip: Chip
    device: str = ""
    within: Callable[[Any], Any] | None = None


KEYBOARD = Part(ps2_keyboard.describe("the keyboard"), "keyboard")
MOUSE = Part(ps2_mouse.describe("the mouse"), "mouse")
PCI_FUNCTIONS = {
    (0, 0): ("the host bridge", i440fx.NAMES),
    (1, 0): ("the ISA bridge", piix3.ISA_NAMES),
    (1, 1): ("the IDE function", piix3.IDE_NAMES),
    (1, 3): ("power management", piix4_pm.NAMES),
    (2, 0): ("the graphics card", {}),
}
"""By device and function, as `minivm.pc` has them on bus 0."""
PARTS = {
    "pic0": Part(pic.describe("the master PIC", tuple(irq_name(n) for n in range(8)), master=True),
                 "pic", lambda state: state.master),
    "pic1": Part(pic.describe("the slave PIC", tuple(irq_name(n) for n in range(8, 16)), master=False),
                 "pic", lambda state: state.slave),
    "elcr": Part(pic.describe_elcr("the PICs"), "pic"),
    "pit": Part(pit.describe("the timer"), "pit"),
    "dma0": Part(dma.describe("the byte DMA controller", first=0), "dma", lambda state: state.byte_controller),
    "dma1": Part(dma.describe("the word DMA controller", first=4), "dma", lambda state: state.word_controller),
    "dma pages": Part(dma.describe_pages("the DMA page registers"), "dma"),
    "floppy": Part(floppy.describe("the floppy controller"), "floppy"),
    "floppy rate": Part(floppy.describe_rate("the floppy controller's data rate"), "floppy"),
    "keyboard data": Part(i8042.describe_data("the keyboard controller"), "i8042"),
    "keyboard command": Part(i8042.describe_command("the keyboard controller"), "i8042"),
    "cmos": Part(cmos.describe("the clock chip"), "cmos"),
    "com1": Part(uart.describe("COM1"), "uart0"),
    "com2": Part(uart.describe("COM2"), "uart1"),
    "vga": Part(vga.describe("the VGA"), "vga"),
    "vbe": Part(vbe.describe("the VBE extension"), "vga", lambda state: state.vbe),
    "system control A": Part(system_control.describe_port_a("system control"), "port_92"),
    "system control B": Part(system_control.describe_port_b("system control"), "port_b"),
    "post code": Part(small.describe_post("the POST card"), "post_code"),
    "debug console": Part(small.describe_console("the debug console")),
    "debug exit": Part(small.describe_exit("the debug exit")),
    "power switch": Part(small.describe_power("the power switch")),
    "ata0": Part(ata.describe_command("the first ATA channel"), "ata0"),
    "ata0 control": Part(ata.describe_control("the first ATA channel's control"), "ata0"),
    "ata1": Part(ata.describe_command("the second ATA channel"), "ata1"),
    "ata1 control": Part(ata.describe_control("the second ATA channel's control"), "ata1"),
    "ide bus master": Part(ata.describe_bus_master("the IDE bus master"), "bus_master"),
    "pci address": Part(pci.describe_address("PCI"), "pci"),
    "pci data": Part(pci.describe_data("PCI", PCI_FUNCTIONS), "pci"),
    "acpi": Part(piix4_pm.describe("power management"), "pm"),
    "apm": Part(piix4_pm.describe_apm("power management"), "pm"),
    "host bridge": Part(i440fx.describe("the host bridge"), "i440fx"),
    "isa bridge": Part(piix3.describe_isa("the ISA bridge"), "piix3"),
    "ide": Part(piix3.describe_ide("the IDE function"), "ide"),
    "vga pci": Part(piix3.describe_vga("the graphics card's PCI side"), "vga_pci"),
    "keyboard": KEYBOARD,
    "mouse": MOUSE,
    "speaker": Part(system_control.describe_speaker("the speaker"), "speaker"),
}  # fmt: skip
"""By the name that the port bus knows; the keyboard, the mouse, the speaker and what only PCI reaches are on no bus."""


def own_parts(machine: Machine) -> dict[str, Part]:
    """Return the devices of the user's own that say what they are, in an attribute `chip`, by place ("port 500h")."""
    chips = {place: getattr(device, "chip", None) for place, device in getattr(machine, "user_devices", {}).items()}
    return {place: Part(chip, place) for place, chip in chips.items() if isinstance(chip, Chip)}


def part_at(machine: Machine, mapping: Mapping) -> tuple[str, Part | None]:
    """Return the name under which a mapping of a bus is a part of this machine, and that part if it is described."""
    place = getattr(mapping.port, "place", None)
    if place is not None:
        return place, own_parts(machine).get(place)
    return mapping.name, PARTS.get(mapping.name)


def state_of(machine: Machine, part: Part) -> Any:
    """Return the state of a part's chip as a guest would find it now; None when it has none or is not there."""
    device = (getattr(machine, "user_devices", {}) | machine.devices).get(part.device)
    look = getattr(device, "inspect", None) or getattr(device, "state", None)
    if look is None:
        return None
    state = look()
    return state if part.within is None else part.within(state)


@record
class RegisterReport:
    """What one register holds: the number, each field in words, and a sentence."""

    register: Register
    value: int
    fields: tuple[Decoded, ...]
    words: str


@record
class ChipReport:
    """One chip: its registers as they are now, and what else there is to know, in sentences."""

    name: str
    title: str
    registers: tuple[RegisterReport, ...]
    facts: tuple[str, ...]


def chip_names(machine: Machine) -> list[str]:
    """Return the names that `inspect_chip` takes on this machine."""
    chips = [name for name, part in PARTS.items() if part.device in machine.devices and _shows(part.chip)]
    return chips + [place for place, part in own_parts(machine).items() if _shows(part.chip)]


def chip_title(machine: Machine, name: str) -> str:
    """Return what the chip `name` out of `chip_names` is called in a sentence: "the timer"."""
    return (PARTS | own_parts(machine))[name].chip.name


def _shows(chip: Chip) -> bool:
    return chip.contents is not None or chip.facts is not None


def inspect_chip(machine: Machine, name: str) -> ChipReport | None:
    """Return the chip `name` in its own words, or None when this machine has no such chip."""
    part = (PARTS | own_parts(machine)).get(name)
    state = None if part is None else state_of(machine, part)
    if part is None or state is None:
        return None
    chip, now = part.chip, machine.now
    held = chip.contents(state, now) if chip.contents is not None else []
    registers = tuple(
        RegisterReport(one.register, one.value, tuple(decode(one.register, one.value)),
                       sentence(one.register, one.value, state))
        for one in held
    )  # fmt: skip
    return ChipReport(name, chip.name, registers, tuple(chip.facts(state, now)) if chip.facts is not None else ())


# -- the way of an interrupt ----------------------------------------------------------------------------------------


@record
class Interrupt:
    """One IRQ on its way: the bits at its controller, and one sentence that says why it is or is not delivered."""

    irq: int
    name: str
    line: bool
    requested: bool
    masked: bool
    in_service: bool
    level_triggered: bool
    vector: int
    words: str


@record
class InterruptPath:
    """All sixteen IRQs, and the CPU's end of the path. `shadow` is the one instruction behind STI or MOV SS."""

    interrupts: tuple[Interrupt, ...]
    intr: bool
    interrupt_flag: bool
    shadow: bool
    words: str


def interrupt_path(machine: Machine) -> InterruptPath | None:
    """Return the path of every IRQ right now, or None on a machine without the PC's two controllers."""
    device = machine.devices.get("pic")
    if device is None:
        return None
    state = device.state()
    master, slave = _Chip(state.master, 0), _Chip(state.slave, 8)
    cpu = _CpuEnd(machine)
    interrupts = tuple(_interrupt(irq, master, slave, cpu) for irq in range(16))
    intr = master.best is not None
    return InterruptPath(interrupts, intr, cpu.flag, cpu.shadow, cpu.words if intr else "INTR is low: nothing waits")


class _CpuEnd:
    """What the CPU says to a high INTR."""

    def __init__(self, machine: Machine) -> None:
        head = machine.cpu.head
        self.flag = bool(head.eflags & IF)
        self.shadow = bool(head.hflags & HF_INHIBIT_IRQ)
        if not self.flag:
            self.words = "INTR is high, but IF is 0: the CPU does not listen"
        elif self.shadow:
            self.words = "INTR is high, and taken after the next instruction: STI or MOV SS holds it back for one"
        else:
            self.words = "INTR is high and IF is 1: the CPU takes it at the next block's start"
        self.listens = self.flag and not self.shadow


class _Chip:
    """One controller, looked at through a copy: `best` is the input that it asks service for."""

    def __init__(self, state: PicState, first: int) -> None:
        self.state = state
        self.first = first
        self.name = "slave" if first else "master"
        copy = Pic(Wire(), is_master=not first)
        copy.restore(state)
        self.irr = copy.irr
        self.slaves = [level for level in range(8) if copy.is_cascade(level)]
        self.best = copy.acknowledge() if copy.pending else None

    def why_not(self, level: int) -> str:
        """Return why the chip does not ask service for `level`; empty when it does."""
        state, bit = self.state, 1 << level
        if not self.irr & bit:
            if state.lines & bit:
                return "its line is high, but an edge-triggered input needs a new rise"
            return "no request: its line is low"
        if state.awaited == NEVER_INITIALIZED:
            return f"requested, but the {self.name} PIC was never initialized"
        if state.awaited != OPERATIONAL:
            return f"requested, but the {self.name} PIC waits for ICW{state.awaited}"
        if state.imr & bit:
            return f"requested, but masked in the {self.name}'s IMR ({state.imr:02X}h)"
        if self.best == level:
            return ""
        if self.best is not None:
            return f"requested, but IRQ{self.first + self.best} goes first"
        return f"requested, but IRQ{self.first + self.highest_in_service()} is in service and not ended"

    def highest_in_service(self) -> int:
        """Return the input in service with the highest priority; 0 when there is none."""
        order = [(self.state.lowest + 1 + rank) & 7 for rank in range(8)]
        counted = self.state.isr & ~self.state.imr if self.state.special_mask else self.state.isr
        return next((level for level in order if counted >> level & 1), 0)


def _interrupt(irq: int, master: _Chip, slave: _Chip, cpu: _CpuEnd) -> Interrupt:
    chip = slave if irq >= 8 else master
    state, level = chip.state, irq & 7
    bit = 1 << level
    vector = state.vector_base & 0xF8 | level
    return Interrupt(
        irq=irq, name=irq_name(irq), line=bool(state.lines & bit), requested=bool(chip.irr & bit),
        masked=bool(state.imr & bit), in_service=bool(state.isr & bit),
        level_triggered=bool(state.icw1 & 0x08 or state.elcr & bit), vector=vector,
        words=_why(irq, master, slave, cpu, vector),
    )  # fmt: skip


def _why(irq: int, master: _Chip, slave: _Chip, cpu: _CpuEnd, vector: int) -> str:
    chip = slave if irq >= 8 else master
    problem = chip.why_not(irq & 7)
    if problem:
        in_service = chip.state.isr >> (irq & 7) & 1 and not chip.irr >> (irq & 7) & 1
        return "in service: its handler has not sent the end of interrupt" if in_service else problem
    if irq >= 8:
        problem = _cascade_problem(master, slave)
        if problem:
            return problem
    elif irq in master.slaves:
        return _answered_by_slave(irq, slave)
    if not cpu.flag:
        return "requested, but IF is 0"
    return f"will be delivered as vector {vector:02X}h" + (" after the next instruction" if cpu.shadow else "")


def _answered_by_slave(irq: int, slave: _Chip) -> str:
    """Return what becomes of a master's input at which ICW3 says that a slave is."""
    if slave.state.icw3 & 7 != irq:
        return f"ICW3 has a slave answer for IRQ{irq}, but none does: the CPU would read vector FFh"
    return f"the slave asks here for one of IRQ8 to IRQ15, and answers for IRQ{irq}"


def _cascade_problem(master: _Chip, slave: _Chip) -> str:
    """Return why the slave's request does not pass the master; empty when it does."""
    if CASCADE_IR not in master.slaves or slave.state.icw3 & 7 != CASCADE_IR:
        return "requested, but ICW3 of master and slave do not agree, so that nobody answers for IRQ2"
    problem = master.why_not(CASCADE_IR)
    if not problem:
        return ""
    return f"the slave asks, but at the master IRQ2 is held: {problem}"
