"""PCI configuration mechanism 1, what every configuration space has in common, and the 440FX host bridge.

The functions of the chipset are where the 440FX's boards have them: the bridge is device 0, the PIIX device 1.
"""

from collections.abc import Callable

from minivm.testing.contract import Contract, Probe

PCI = Contract("pci", "PCI configuration, CF8h-CFFh", "PCI Local Bus Specification, revision 2.1")
I440FX = Contract("i440fx", "440FX host bridge", "Intel 82441FX datasheet 290549")

ADDRESS, DATA = 0xCF8, 0xCFC
ENABLE = 0x8000_0000
HOST, ISA, IDE, PM = (0, 0), (1, 0), (1, 1), (1, 3)
COMMAND, BAR_4, ROM_BAR = 0x04, 0x20, 0x30
QEMU_MASKS = "makes 40h-FFh writable as a whole: hw/pci/pci.c, pci_init_wmask"
QEMU_COMMAND = "has the same command register in all functions: hw/pci/pci.c, pci_init_wmask"


def choose(pc: Probe, function: tuple[int, int], register: int) -> int:
    """Choose a register, and return the port where it is."""
    device, number = function
    pc.write(ADDRESS, ENABLE | device << 11 | number << 8 | register & 0xFC, size=4)
    return DATA + (register & 3)


def config(pc: Probe, function: tuple[int, int], register: int, size: int = 4) -> int:
    """Return a register of a function."""
    return pc.read(choose(pc, function, register), size)


def configure(pc: Probe, function: tuple[int, int], register: int, value: int, size: int = 4) -> None:
    """Write a register of a function."""
    pc.write(choose(pc, function, register), value, size=size)


def config_is(pc: Probe, function: tuple[int, int], register: int, expected: int, what: str, *, size: int = 4) -> None:
    """Check a register of a function."""
    pc.reads(choose(pc, function, register), expected, what, size=size)


def keeps(pc: Probe, function: tuple[int, int], register: int, mask: int, size: int = 1) -> None:
    """Check that exactly the bits of `mask` keep what is written."""
    what = f"register {register:02X}h"
    configure(pc, function, register, (1 << 8 * size) - 1, size)
    high = config(pc, function, register, size)
    configure(pc, function, register, 0, size)
    low = config(pc, function, register, size)
    pc.equal(high ^ low, mask, f"the bits of {what} that can be written", digits=2 * size)


# -- configuration mechanism 1 --------------------------------------------------------------------------------------
@PCI.case("the address reads back", "3.2.2.3.2 CONFIG_ADDRESS")
def address_reads_back(pc: Probe) -> None:
    for value in (0x8000_0000, 0x80AB_CDEC, 0x0012_3454):
        pc.write(ADDRESS, value, size=4)
        pc.reads(ADDRESS, value, size=4)


@PCI.case(
    "bits 30-24 and 1-0 of the address read 0",
    "3.2.2.3.2 CONFIG_ADDRESS, reserved bits",
    differs={"QEMU": "keeps all 32 bits: hw/pci/pci_host.c, pci_host_config_write"},
)
def address_reserved_bits(pc: Probe) -> None:
    pc.write(ADDRESS, 0xFFFF_FFFF, size=4)
    pc.reads(ADDRESS, 0x80FF_FFFC, size=4)


@PCI.case("only a doubleword is the address; less goes past it", "3.2.2.3.2 CONFIG_ADDRESS")
def narrow_addresses(pc: Probe) -> None:
    pc.write(ADDRESS, 0x8000_0840, size=4)
    for port in (ADDRESS, ADDRESS + 2, ADDRESS + 3):
        pc.write(port, 0)
    pc.write(ADDRESS + 2, 0, size=2)
    pc.reads(ADDRESS, 0x8000_0840, "after narrow writes", size=4)


@PCI.case("the reset control register is among the ports of the address", "82371SB datasheet: RC, CF9h")
def reset_control_beside(pc: Probe) -> None:
    pc.write(ADDRESS, 0x8000_0600, size=4)
    pc.equal(pc.system.resets(), 0, "resets after a doubleword with bit 10 set")
    pc.write(0xCF9, 0x02)
    pc.reads(0xCF9, 0x02)
    pc.reads(ADDRESS, 0x8000_0600, "the address", size=4)


@PCI.case("a function's identity is at its place", "6.2.1 Device Identification")
def identities(pc: Probe) -> None:
    for function, identity, kind in (
        (HOST, 0x1237_8086, 0x0600_00),
        (ISA, 0x7000_8086, 0x0601_00),
        (IDE, 0x7010_8086, 0x0101_80),
        (PM, 0x7113_8086, 0x0680_00),
    ):
        config_is(pc, function, 0x00, identity, "vendor and device")
        pc.equal(config(pc, function, 0x08) >> 8, kind, "class code", digits=6)


@PCI.case("the ISA bridge says that its device has several functions, the host bridge that it has one", "6.2.1")
def header_types(pc: Probe) -> None:
    config_is(pc, ISA, 0x0E, 0x80, "header type", size=1)
    config_is(pc, HOST, 0x0E, 0x00, "header type", size=1)


@PCI.case("who is not there reads as ones", "6.1 Configuration Space Organization: vendor ID FFFFh")
def absent(pc: Probe) -> None:
    for function in ((31, 0), (20, 3), (0, 1), (1, 7)):
        config_is(pc, function, 0, 0xFFFF_FFFF, f"function {function[1]} of device {function[0]}")
        config_is(pc, function, 0x0A, 0xFFFF, "a word of it", size=2)


@PCI.case("there is no second bus", "3.2.2.3.2 CONFIG_ADDRESS, bus number")
def other_buses(pc: Probe) -> None:
    for bus in (1, 0x80, 0xFF):
        pc.write(ADDRESS, ENABLE | bus << 16, size=4)
        pc.reads(DATA, 0xFFFF_FFFF, f"bus {bus:02X}h", size=4)


@PCI.case("without the enable bit nobody answers and nothing is written", "3.2.2.3.2 CONFIG_ADDRESS, bit 31")
def disabled(pc: Probe) -> None:
    pc.write(ADDRESS, 0x0000_0800, size=4)
    pc.reads(DATA, 0xFFFF_FFFF, size=4)
    pc.write(ADDRESS, 0x0000_0860, size=4)
    pc.write(DATA, 0x0B, size=1)
    config_is(pc, ISA, 0x60, 0x80, "PIRQRC[A]", size=1)


@PCI.case("bytes and words of a register are at their ports", "3.2.2.3.2 CONFIG_DATA")
def parts(pc: Probe) -> None:
    configure(pc, IDE, 0x40, 0x8765_4321)
    for register, size, value in ((0x40, 1, 0x21), (0x41, 1, 0x43), (0x42, 2, 0x8765), (0x43, 1, 0x87)):
        config_is(pc, IDE, register, value, f"{size} bytes at {register:X}h", size=size)
    configure(pc, IDE, 0x41, 0xAB, size=1)
    configure(pc, IDE, 0x42, 0xEFCD, size=2)
    config_is(pc, IDE, 0x40, 0xEFCD_AB21, "after a byte and a word")


@PCI.case("the identity cannot be written", "6.2.1: read-only")
def read_only(pc: Probe) -> None:
    for function in (HOST, ISA, IDE, PM):
        for register in (0x00, 0x08, 0x2C):
            before = config(pc, function, register)
            configure(pc, function, register, ~before & 0xFFFF_FFFF)
            config_is(pc, function, register, before, f"register {register:X}h")


# -- base address registers -----------------------------------------------------------------------------------------
def bus_master_reads(pc: Probe, base: int, expected: int, what: str) -> None:
    """Check the bus master's status register of the first channel; where nobody is, the port reads FFh."""
    pc.reads(base + 2, expected, what)


@PCI.case("all ones written to a base address show the window's size", "6.2.5.1 Address Maps")
def sizing(pc: Probe) -> None:
    configure(pc, IDE, BAR_4, 0xFFFF_FFFF)
    config_is(pc, IDE, BAR_4, 0xFFFF_FFF1, "16 I/O ports")
    for register in (0x10, 0x14, 0x18, 0x1C, 0x24):
        configure(pc, IDE, register, 0xFFFF_FFFF)
        config_is(pc, IDE, register, 0, f"no window at {register:X}h")


@PCI.case("a base address has 28 bits above a window of 16 ports", "6.2.5.1 Address Maps")
def base_bits(pc: Probe) -> None:
    for value, seen in ((0xC000, 0xC001), (0xC01F, 0xC011), (0x0, 0x1), (0x1234_567F, 0x1234_5671)):
        configure(pc, IDE, BAR_4, value)
        config_is(pc, IDE, BAR_4, seen, f"after {value:X}h")


@PCI.case("a window answers while its kind of decoding is on", "6.2.2 command register, bit 0")
def decoding(pc: Probe) -> None:
    configure(pc, IDE, BAR_4, 0xC000)
    bus_master_reads(pc, 0xC000, 0xFF, "before it is on")
    configure(pc, IDE, COMMAND, 0x0001, size=2)
    bus_master_reads(pc, 0xC000, 0x00, "with I/O decoding")
    configure(pc, IDE, COMMAND, 0x0002, size=2)
    bus_master_reads(pc, 0xC000, 0xFF, "with memory decoding alone")


@PCI.case("a window moves with its base address", "6.2.5.1 Address Maps")
def moving(pc: Probe) -> None:
    configure(pc, IDE, COMMAND, 0x0001, size=2)
    for base, other in ((0xC000, 0xD000), (0xD000, 0xC000), (0xC010, 0xD000)):
        configure(pc, IDE, BAR_4, base)
        bus_master_reads(pc, base, 0x00, f"at {base:X}h")
        bus_master_reads(pc, other, 0xFF, f"at {other:X}h")


@PCI.case("what a window remembers moves with it", "6.2.5.1 Address Maps")
def moving_contents(pc: Probe) -> None:
    configure(pc, IDE, COMMAND, 0x0001, size=2)
    configure(pc, IDE, BAR_4, 0xC000)
    pc.write(0xC004, 0x1234_5678, size=4)
    configure(pc, IDE, BAR_4, 0xD000)
    pc.reads(0xD004, 0x1234_5678, "the descriptor table's address", size=4)


@PCI.case("a window that is sized with decoding on goes nowhere meanwhile", "6.2.5.1 Address Maps")
def sizing_while_on(pc: Probe) -> None:
    configure(pc, IDE, COMMAND, 0x0001, size=2)
    configure(pc, IDE, BAR_4, 0xC000)
    configure(pc, IDE, BAR_4, 0xFFFF_FFFF)
    bus_master_reads(pc, 0xC000, 0xFF, "its old place")
    bus_master_reads(pc, 0xFFF0, 0xFF, "the end of the ports")
    configure(pc, IDE, BAR_4, 0xC000)
    bus_master_reads(pc, 0xC000, 0x00, "its place again")


# -- 440FX ----------------------------------------------------------------------------------------------------------
PIECES: tuple[tuple[int, int, int], ...] = (
    *((0x5A + number // 2, number % 2 * 4, 0xC0000 + 0x4000 * number) for number in range(12)),
    (0x59, 4, 0xF0000),
)
"""Register, shift of its two bits, and first address of each piece of memory."""


def each_piece(check: Callable[[int, int, int], None]) -> None:
    """Do something for every piece."""
    for register, shift, base in PIECES:
        check(register, shift, base)


@I440FX.case(
    "command and status have the datasheet's defaults",
    "PCICMD 0006h, PCISTS 0280h",
    differs={"QEMU": "has 0000h in both: hw/pci-host/i440fx.c, i440fx_class_init"},
)
def host_defaults(pc: Probe) -> None:
    config_is(pc, HOST, 0x04, 0x0280_0006, "status and command")


@I440FX.case("PAM, DRAMC and SMRAM have the datasheet's defaults", "PAM 00h, DRAMC 01h, SMRAM 02h")
def memory_defaults(pc: Probe) -> None:
    for register in range(0x59, 0x60):
        config_is(pc, HOST, register, 0, f"PAM{register - 0x59}", size=1)
    config_is(pc, HOST, 0x57, 0x01, "DRAMC", size=1)
    config_is(pc, HOST, 0x72, 0x02, "SMRAM", size=1)


@I440FX.case("a PAM register has two bits for each piece", "PAM[6:0], reserved bits", differs={"QEMU": QEMU_MASKS})
def pam_bits(pc: Probe) -> None:
    keeps(pc, HOST, 0x59, 0x30)
    for register in range(0x5A, 0x60):
        keeps(pc, HOST, register, 0x33)


@I440FX.case("with both bits a piece is RAM", "PAM, RE and WE")
def pam_ram(pc: Probe) -> None:
    def check(register: int, shift: int, base: int) -> None:
        configure(pc, HOST, register, 3 << shift, size=1)
        pc.poke(base + 0x1230, b"\x5a")
        pc.equal(pc.peek(base + 0x1230)[0], 0x5A, f"RAM at {base:X}h")
        pc.poke(base + 0x1230, b"\xa5")
        pc.equal(pc.peek(base + 0x1230)[0], 0xA5, f"RAM at {base:X}h")
        configure(pc, HOST, register, 0, size=1)

    each_piece(check)


@I440FX.case("without the read bit the RAM is hidden, and keeps what it has", "PAM, RE")
def pam_hidden(pc: Probe) -> None:
    def check(register: int, shift: int, base: int) -> None:
        configure(pc, HOST, register, 3 << shift, size=1)
        pc.poke(base + 0x1230, b"\x5a")
        configure(pc, HOST, register, 0, size=1)
        pc.that(pc.peek(base + 0x1230) != b"\x5a", f"the RAM at {base:X}h is hidden")
        configure(pc, HOST, register, 3 << shift, size=1)
        pc.equal(pc.peek(base + 0x1230)[0], 0x5A, f"RAM at {base:X}h")
        configure(pc, HOST, register, 0, size=1)

    each_piece(check)


@I440FX.case(
    "with the read bit alone a piece is RAM that cannot be written",
    "PAM, RE without WE",
    differs={"QEMU": "only its CPU minds, not the test protocol: softmmu/physmem.c, memory_access_is_direct"},
)
def pam_protected(pc: Probe) -> None:
    def check(register: int, shift: int, base: int) -> None:
        configure(pc, HOST, register, 3 << shift, size=1)
        pc.poke(base + 0x1230, b"\x5a")
        configure(pc, HOST, register, 1 << shift, size=1)
        pc.poke(base + 0x1230, b"\xa5")
        pc.equal(pc.peek(base + 0x1230)[0], 0x5A, f"RAM at {base:X}h after a write")
        configure(pc, HOST, register, 0, size=1)

    each_piece(check)


@I440FX.case(
    "with the write bit alone a BIOS copies itself into the RAM below it",
    "PAM, WE without RE",
    differs={"QEMU": "takes write alone for neither: hw/pci-host/pam.c, init_pam"},
)
def pam_shadowing(pc: Probe) -> None:
    before = pc.peek(0xFFF00, 256)
    configure(pc, HOST, 0x59, 0x20, size=1)
    pc.poke(0xFFF00, before)
    pc.poke(0xFFF10, b"\x5a")
    pc.that(pc.peek(0xFFF00, 256) == before, "the ROM is still to be read")
    configure(pc, HOST, 0x59, 0x30, size=1)
    pc.that(pc.peek(0xFFF00, 256) == before[:16] + b"\x5a" + before[17:], "the RAM has what was written")


@I440FX.case("SMRAM opens, and the segment's bits are wired", "SMRAM, bits 6 and 2-0")
def smram_open(pc: Probe) -> None:
    configure(pc, HOST, 0x72, 0x4A, size=1)
    config_is(pc, HOST, 0x72, 0x4A, "SMRAM", size=1)
    configure(pc, HOST, 0x72, 0x0A, size=1)
    config_is(pc, HOST, 0x72, 0x0A, "SMRAM", size=1)


@I440FX.case(
    "a locked SMRAM is closed and stays as it is",
    "SMRAM, DLCK",
    differs={"QEMU": "keeps all of the register writable: hw/pci-host/i440fx.c"},
)
def smram_lock(pc: Probe) -> None:
    configure(pc, HOST, 0x72, 0x5A, size=1)
    config_is(pc, HOST, 0x72, 0x1A, "SMRAM, locked", size=1)
    configure(pc, HOST, 0x72, 0x42, size=1)
    config_is(pc, HOST, 0x72, 0x1A, "SMRAM after that", size=1)
