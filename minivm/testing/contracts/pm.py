"""The PIIX4's power management: its ports, the timer, the system control interrupt and soft off.

Each case lets the ports answer at 600h first, as firmware does.
"""

from itertools import pairwise

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts.pci import PM, QEMU_MASKS, config, config_is, configure, keeps

PIIX4_PM = Contract("piix4_pm", "PIIX4 power management", "Intel 82371AB datasheet 290562; ACPI specification 1.0b")

BASE = 0x600
STATUS, ENABLE, CONTROL, TIMER = BASE, BASE + 2, BASE + 4, BASE + 8
TIMER_EVENT, BUTTON_EVENT = 0x0001, 0x0100
SCI_ENABLE = 0x0001
TIMER_HZ = 3_579_545
HALF_TURN_MS = 2343.5
SCI_IRQ = 9


def place(pc: Probe, base: int = BASE) -> None:
    """Put the ports to `base` and switch them on."""
    configure(pc, PM, 0x40, base | 1)
    configure(pc, PM, 0x80, 0x01, size=1)


def timer(pc: Probe) -> int:
    """Return the timer's value."""
    return pc.read(TIMER, 4)


# -- where the ports are --------------------------------------------------------------------------------------------
@PIIX4_PM.case("the ports' base is 0 after reset and has ten bits", "7.1: PMBA, 40h, default 00000001h")
def base_register(pc: Probe) -> None:
    config_is(pc, PM, 0x40, 0x0000_0001, "PMBA")
    configure(pc, PM, 0x40, 0x0000_B001)
    config_is(pc, PM, 0x40, 0x0000_B001, "PMBA")
    configure(pc, PM, 0x40, 0x0000_0601)
    config_is(pc, PM, 0x40, 0x0000_0601, "PMBA")


@PIIX4_PM.case("bits 31-16 and 5-1 of the base are wired", "7.1: PMBA, 40h", differs={"QEMU": QEMU_MASKS})
def base_register_bits(pc: Probe) -> None:
    keeps(pc, PM, 0x40, 0x0000_FFC0, size=4)


@PIIX4_PM.case("the ports answer once they are enabled, and move", "7.1: PMREGMISC, 80h, bit 0")
def placing(pc: Probe) -> None:
    configure(pc, PM, 0x40, BASE | 1)
    pc.reads(TIMER, 0xFFFF_FFFF, "before they are enabled", size=4)
    place(pc)
    pc.that(timer(pc) < 1 << 24, "the timer answers")
    place(pc, 0xB000)
    pc.that(pc.read(0xB008, 4) < 1 << 24, "the timer answers at its new place")
    pc.reads(TIMER, 0xFFFF_FFFF, "the old place", size=4)


@PIIX4_PM.case("the function's interrupt is INTA", "7.1: INTPIN, 3Dh, default 01h")
def pin(pc: Probe) -> None:
    pc.equal(config(pc, PM, 0x3D, 1), 1, "INTPIN")


# -- the timer ------------------------------------------------------------------------------------------------------
@PIIX4_PM.case("the timer counts 3.579545 MHz", "7.2: PMTMR, 08h")
def timer_rate(pc: Probe) -> None:
    place(pc)
    before = timer(pc)
    pc.step(ms=1000)
    pc.between((timer(pc) - before) % (1 << 24), TIMER_HZ - 20, TIMER_HZ + 20, "counts in a second")
    before = timer(pc)
    pc.step(us=100)
    pc.between((timer(pc) - before) % (1 << 24), 356, 362, "counts in 100 microseconds")


@PIIX4_PM.case("the timer has 24 bits and turns over", "7.2: PMTMR, 08h, bits 31-24 read 0")
def timer_turns_over(pc: Probe) -> None:
    place(pc)
    values = []
    for _ in range(11):
        values.append(timer(pc))
        pc.step(ms=500)
    pc.that(all(value < 1 << 24 for value in values), "24 bits")
    pc.equal(sum(after < before for before, after in pairwise(values)), 1, "turns in 5 s")


@PIIX4_PM.case("the timer cannot be written", "7.2: PMTMR, 08h, read-only")
def timer_read_only(pc: Probe) -> None:
    place(pc)
    pc.step(ms=100)
    before = timer(pc)
    pc.write(TIMER, 0, size=4)
    pc.between((timer(pc) - before) % (1 << 24), 0, 100, "counts since")


@PIIX4_PM.case("bit 23 of the timer, when it changes, sets the status, and a one clears it", "7.2: PMSTS, bit 0")
def timer_status(pc: Probe) -> None:
    place(pc)
    pc.write(STATUS, TIMER_EVENT, size=2)
    for _ in range(2):
        pc.step(ms=HALF_TURN_MS + 5)
        pc.reads(STATUS, TIMER_EVENT, "after half a turn", mask=TIMER_EVENT, size=2)
        pc.write(STATUS, 0, size=2)
        pc.reads(STATUS, TIMER_EVENT, "after a written 0", mask=TIMER_EVENT, size=2)
        pc.write(STATUS, TIMER_EVENT, size=2)
        pc.reads(STATUS, 0, "after a written 1", mask=TIMER_EVENT, size=2)


@PIIX4_PM.case("the timer raises the SCI when it may", "ACPI 4.7.3.1.2: TMR_EN; 82371AB: PMCNTRL, bit 0")
def timer_interrupt(pc: Probe) -> None:
    place(pc)
    pc.write(STATUS, TIMER_EVENT, size=2)
    pc.write(CONTROL, SCI_ENABLE, size=2)
    pc.write(ENABLE, TIMER_EVENT, size=2)
    pc.irq_is(SCI_IRQ, False, "before half a turn")
    pc.step(ms=HALF_TURN_MS + 5)
    pc.irq_is(SCI_IRQ, True, "after half a turn")
    pc.write(STATUS, TIMER_EVENT, size=2)
    pc.irq_is(SCI_IRQ, False, "after the status was cleared")


@PIIX4_PM.case("an event that is not enabled raises nothing", "ACPI 4.7.3.1.2: TMR_EN")
def masked_interrupt(pc: Probe) -> None:
    place(pc)
    pc.write(CONTROL, SCI_ENABLE, size=2)
    pc.write(ENABLE, 0, size=2)
    pc.step(ms=HALF_TURN_MS + 5)
    pc.irq_is(SCI_IRQ, False, "with TMR_EN clear")
    pc.write(ENABLE, TIMER_EVENT, size=2)
    pc.irq_is(SCI_IRQ, True, "with TMR_EN set afterwards")


@PIIX4_PM.case(
    "without SCI_EN there is no SCI",
    "ACPI 4.7.3.2.1: SCI_EN",
    differs={"QEMU": "does not look at SCI_EN: hw/acpi/core.c, acpi_update_sci"},
)
def no_sci(pc: Probe) -> None:
    place(pc)
    pc.write(CONTROL, 0, size=2)
    pc.write(ENABLE, TIMER_EVENT, size=2)
    pc.step(ms=HALF_TURN_MS + 5)
    pc.irq_is(SCI_IRQ, False, "with SCI_EN clear")
    pc.write(ENABLE, TIMER_EVENT, size=2)
    pc.irq_is(SCI_IRQ, False, "with SCI_EN clear, when the event is enabled again")


# -- registers and soft off -----------------------------------------------------------------------------------------
@PIIX4_PM.case("the enable register keeps its four bits", "7.2: PMEN, 02h")
def enable_bits(pc: Probe) -> None:
    place(pc)
    for value in (0x0521, 0x0100, 0x0001, 0x0000):
        pc.write(ENABLE, value, size=2)
        pc.reads(ENABLE, value, "PMEN", size=2)


@PIIX4_PM.case(
    "the enable register has no other bits",
    "7.2: PMEN, 02h",
    differs={"QEMU": "keeps all bits: hw/acpi/core.c, acpi_pm1_evt_write_en"},
)
def enable_reserved(pc: Probe) -> None:
    place(pc)
    pc.write(ENABLE, 0xFADE, size=2)
    pc.reads(ENABLE, 0x0000, "PMEN", size=2)


@PIIX4_PM.case("the sleep type is kept, SLP_EN reads 0", "7.2: PMCNTRL, 04h, bits 13-10")
def sleep_type(pc: Probe) -> None:
    place(pc)
    pc.write(CONTROL, 0x1400, size=2)
    pc.reads(CONTROL, 0x1400, "PMCNTRL", mask=0x3C00, size=2)


@PIIX4_PM.case("sleep type 0 with SLP_EN switches off, whatever the machine's port for it is", "7.2: PMCNTRL")
def soft_off(pc: Probe) -> None:
    place(pc)
    pc.write(CONTROL, 0x2000, size=2)
    pc.equal(-1 if (status := pc.system.exit_status()) is None else status, 0, "exit status")


@PIIX4_PM.case("soft off is where the ports have been moved to", "7.2: PMCNTRL")
def soft_off_moved(pc: Probe) -> None:
    place(pc, 0xB100)
    pc.write(0xB104, 0x2001, size=2)
    pc.equal(-1 if (status := pc.system.exit_status()) is None else status, 0, "exit status")
