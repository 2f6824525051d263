"""ACPI's tables: RSDP, RSDT, FADT, FACS, MADT, and a DSDT with which the machine can be switched off.

ACPI 1.0b, chapter 5, whose layouts every later system still takes. The machine is always in ACPI mode (there is no SMI
command), its events are the PIIX4's, and interrupts go through the two 8259s: there is no I/O APIC to list.
"""

from minivm.firmware import aml
from minivm.firmware.pci_bios import SLOTS
from minivm.firmware.pci_setup import IRQS, MEMORY_END, MEMORY_START, POWER_BASE, SCI_IRQ, route

OEM, OEM_TABLE, CREATOR = b"MINIVM", b"MINIVMPC", b"MVM "
HEADER_BYTES = 36
FADT_BYTES, FACS_BYTES, RSDP_BYTES = 116, 64, 20
EVENT, CONTROL, TIMER, GENERAL_EVENT = POWER_BASE, POWER_BASE + 4, POWER_BASE + 8, POWER_BASE + 0x0C
NO_C2, NO_C3 = 0x0FFF, 0x0FFF
"""Latencies above the largest ones: there is no such state."""
WBINVD, C1, NO_SLEEP_BUTTON = 0x01, 0x04, 0x20
LOCAL_APIC, PC_AT_COMPATIBLE = 0xFEE0_0000, 1
SOFT_OFF_TYPE = 0
"""PIIX4: sleep type 0 is off."""


def checksummed(data: bytes, at: int) -> bytes:
    """Return `data` with the byte `at` chosen so that all of them add up to 0."""
    return data[:at] + bytes([-sum(data[:at] + data[at + 1 :]) & 0xFF]) + data[at + 1 :]


def table(signature: bytes, revision: int, body: bytes) -> bytes:
    """Return a table: the header that all of them have, and `body`."""
    length = (HEADER_BYTES + len(body)).to_bytes(4, "little")
    start = signature + length + bytes([revision, 0]) + OEM + OEM_TABLE
    return checksummed(start + (1).to_bytes(4, "little") + CREATOR + (1).to_bytes(4, "little") + body, 9)


def rsdp(rsdt_address: int) -> bytes:
    """Return the pointer that systems look for on 16-byte borders."""
    return checksummed(b"RSD PTR \0" + OEM + b"\0" + rsdt_address.to_bytes(4, "little"), 8)


def rsdt(addresses: list[int]) -> bytes:
    """Return the table of tables."""
    return table(b"RSDT", 1, b"".join(address.to_bytes(4, "little") for address in addresses))


def facs() -> bytes:
    """Return the FACS, which the system writes to: nothing sleeps, nobody waits for the lock."""
    return (b"FACS" + FACS_BYTES.to_bytes(4, "little")).ljust(FACS_BYTES, b"\0")


def fadt(facs_address: int, dsdt_address: int) -> bytes:
    """Return the fixed description: where the PIIX4's events, timer and switch are."""
    fields = (
        (facs_address, 4), (dsdt_address, 4), (0, 2), (SCI_IRQ, 2), (0, 4), (0, 4),  # no SMI command
        (EVENT, 4), (0, 4), (CONTROL, 4), (0, 4), (0, 4), (TIMER, 4), (GENERAL_EVENT, 4), (0, 4),
        (4, 1), (2, 1), (0, 1), (4, 1), (4, 1), (0, 1), (0, 1), (0, 1),  # their lengths
        (NO_C2, 2), (NO_C3, 2), (0, 2), (0, 2), (0, 1), (0, 1), (0, 1), (0, 1), (0x32, 1), (0, 3),
        (WBINVD | C1 | NO_SLEEP_BUTTON, 4),
    )  # fmt: skip
    return table(b"FACP", 1, b"".join(value.to_bytes(size, "little") for value, size in fields))


def madt() -> bytes:
    """Return the interrupt controllers: one enabled processor, and the 8259s."""
    processor = bytes([0, 8, 0, 0]) + (1).to_bytes(4, "little")
    return table(
        b"APIC", 1, LOCAL_APIC.to_bytes(4, "little") + PC_AT_COMPATIBLE.to_bytes(4, "little") + processor
    )  # fmt: skip


def dsdt() -> bytes:
    """Return the DSDT: the soft-off state, the PCI bus with its interrupts, and what is soldered to the ISA bus."""
    soft_off = aml.name("_S5", aml.package([aml.integer(SOFT_OFF_TYPE)] * 2 + [aml.integer(0)] * 2))
    windows = aml.resources(
        aml.bus_range(0, 0), aml.ports(0xCF8, 8), aml.port_range(0, 0xCF7), aml.port_range(0xD00, 0xFFFF),
        aml.memory_range(0xA_0000, 0xB_FFFF), aml.memory_range(MEMORY_START, MEMORY_END - 1),
    )  # fmt: skip
    bus = aml.device(
        "PCI0",
        aml.name("_HID", aml.eisa_id("PNP0A03")), aml.name("_ADR", aml.integer(0)), aml.name("_CRS", windows),
        aml.name("_PRT", _routes()),
        aml.device("ISA", aml.name("_ADR", aml.integer(0x0001_0000)), *_isa_devices()),
    )  # fmt: skip
    return table(b"DSDT", 1, soft_off + aml.scope("_SB", bus))


def _routes() -> bytes:
    """Return which interrupt each pin of each slot drives, as POST has routed them."""
    rows = [
        aml.package([aml.integer(device << 16 | 0xFFFF), aml.integer(pin), aml.integer(0),
                     aml.integer(IRQS[route(device << 3, pin + 1)])])
        for device in SLOTS for pin in range(4)
    ]  # fmt: skip
    return aml.package(rows)


def _isa_devices() -> list[bytes]:
    parts = (
        ("KBD", "PNP0303", (aml.ports(0x60, 1), aml.ports(0x64, 1), aml.irq(1))),
        ("MOU", "PNP0F13", (aml.irq(12),)),
        ("RTC", "PNP0B00", (aml.ports(0x70, 2), aml.irq(8))),
        ("COM1", "PNP0501", (aml.ports(0x3F8, 8), aml.irq(4))),
        ("COM2", "PNP0501", (aml.ports(0x2F8, 8), aml.irq(3))),
        ("FDC0", "PNP0700", (aml.ports(0x3F2, 4), aml.ports(0x3F7, 1), aml.irq(6), aml.dma(2))),
    )
    return [
        aml.device(place, aml.name("_HID", aml.eisa_id(kind)), *([aml.name("_UID", aml.integer(int(place[3])))]
                   if place.startswith("COM") else []), aml.name("_CRS", aml.resources(*used)))
        for place, kind, used in parts
    ]  # fmt: skip
