"""The PIIX3: ISA bridge and IDE function (Intel 82371SB datasheet 290550)."""

from minivm.testing.contract import Contract, Probe
from minivm.testing.contracts.pci import IDE, ISA, QEMU_COMMAND, QEMU_MASKS, config, config_is, configure, keeps

PIIX3 = Contract("piix3", "PIIX3 ISA bridge and IDE function", "Intel 82371FB/82371SB datasheet 290550")

ROUTE_A, ROUTE_D = 0x60, 0x63


@PIIX3.case("the four interrupt routes are off after reset", "PIRQRC[A:D], default 80h")
def routes_default(pc: Probe) -> None:
    config_is(pc, ISA, ROUTE_A, 0x8080_8080, "PIRQRC[A:D]")


@PIIX3.case("a route takes each IRQ and can be switched off", "PIRQRC[A:D], bits 7 and 3-0")
def routes_keep(pc: Probe) -> None:
    for register in range(ROUTE_A, ROUTE_D + 1):
        for value in (0x03, 0x0B, 0x8A, 0x0F, 0x80):
            configure(pc, ISA, register, value, size=1)
            config_is(pc, ISA, register, value, f"PIRQRC[{'ABCD'[register - ROUTE_A]}]", size=1)


@PIIX3.case("bits 6-4 of a route are reserved", "PIRQRC[A:D], bits 6-4", differs={"QEMU": QEMU_MASKS})
def routes_reserved(pc: Probe) -> None:
    for register in range(ROUTE_A, ROUTE_D + 1):
        keeps(pc, ISA, register, 0x8F)


@PIIX3.case("the bridge's registers have the datasheet's defaults", "IORT, XBCS, TOM, MBIRQ0, MBDMA, PCSC, SMICNTL")
def bridge_defaults(pc: Probe) -> None:
    for register, size, value in (
        (0x4C, 1, 0x4D), (0x4E, 2, 0x0003), (0x69, 1, 0x02), (0x6A, 2, 0x0000), (0x70, 1, 0x80), (0x76, 2, 0x0C0C),
        (0x78, 2, 0x0002), (0x80, 1, 0x00), (0xA0, 1, 0x08), (0xA2, 2, 0x0000), (0xA4, 4, 0x0000_0000), (0xA8, 1, 0x0F),
    ):  # fmt: skip
        config_is(pc, ISA, register, value, f"register {register:X}h", size=size)


@PIIX3.case("the bridge's status is medium DEVSEL", "PCISTS, default 0200h")
def bridge_status(pc: Probe) -> None:
    config_is(pc, ISA, 0x06, 0x0200, "PCISTS", size=2)


@PIIX3.case(
    "I/O, memory and bus mastering cannot be switched off at the bridge",
    "PCICMD, default 0007h",
    differs={"QEMU": "the bits are clear after reset and can be written: hw/isa/piix3.c, piix3_reset"},
)
def bridge_command(pc: Probe) -> None:
    config_is(pc, ISA, 0x04, 0x0007, "PCICMD", size=2)
    configure(pc, ISA, 0x04, 0x0000, size=2)
    config_is(pc, ISA, 0x04, 0x0007, "PCICMD after 0000h", size=2)


@PIIX3.case("XBCS keeps what is written", "XBCS")
def chip_selects(pc: Probe) -> None:
    for value in (0x0073, 0x01FF, 0x0003):
        configure(pc, ISA, 0x4E, value, size=2)
        config_is(pc, ISA, 0x4E, value, "XBCS", size=2)


@PIIX3.case("the IDE function's status is medium DEVSEL with fast back-to-back", "PCISTS, default 0280h")
def ide_status(pc: Probe) -> None:
    config_is(pc, IDE, 0x06, 0x0280, "PCISTS", size=2)


@PIIX3.case("the IDE function has I/O and bus master enable", "PCICMD, bits 2 and 0")
def ide_command(pc: Probe) -> None:
    config_is(pc, IDE, 0x04, 0x0000, "PCICMD after reset", size=2)
    for value in (0x0001, 0x0004, 0x0005, 0x0000):
        configure(pc, IDE, 0x04, value, size=2)
        config_is(pc, IDE, 0x04, value, "PCICMD", size=2)


@PIIX3.case("the IDE function's command register has no other bits", "PCICMD", differs={"QEMU": QEMU_COMMAND})
def ide_command_bits(pc: Probe) -> None:
    keeps(pc, IDE, 0x04, 0x0005, size=2)


@PIIX3.case("the bus master's window is I/O and at 0 after reset", "BMIBA, default 00000001h")
def bus_master_default(pc: Probe) -> None:
    config_is(pc, IDE, 0x20, 0x0000_0001, "BMIBA")


@PIIX3.case("the timing of both channels is 0 after reset, and keeps what is written", "IDETIM")
def timing(pc: Probe) -> None:
    config_is(pc, IDE, 0x40, 0x0000_0000, "IDETIM")
    for value in (0x8000_8000, 0xA307_E377, 0xFFFF_FFFF):
        configure(pc, IDE, 0x40, value)
        config_is(pc, IDE, 0x40, value, "IDETIM")


@PIIX3.case(
    "the IDE function has no interrupt pin: its channels have IRQ14 and IRQ15", "function 1 has no INTPIN register"
)
def ide_pin(pc: Probe) -> None:
    pc.equal(config(pc, IDE, 0x3D, 1), 0, "interrupt pin")
