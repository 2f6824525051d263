"""POST of PCI, and INT 1Ah AH=B1h, on the machine's own chips behind a fake PC (PCI BIOS Specification 2.1)."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.core.pci import Bar, ConfigSpace, header
from minivm.core.register_file import MaskedRegister
from minivm.firmware import pci_bios

PM_BLOCK = 0x600


@pytest.fixture
def chips(pc, plug_pci):
    """Plug PCI into the PC and run POST again; return the host bridge."""
    return plug_pci(pc)


def test_post_places_every_window_and_switches_it_on(pc, chips):
    assert chips.windows == [0xC000, 0xE000_0000, 0x600]


def test_post_may_place_the_windows_again(pc, chips):
    pc.bios.post()
    assert chips.windows == [0xC000, 0xE000_0000, 0x600]


def test_post_places_the_largest_windows_first_and_wide_ones_below_4_gib(pc, chips):
    wide = MaskedRegister(0x20, 4, 0x04, writable=0xFFFE_0000), MaskedRegister(0x24, 4, 0xFF, writable=0xFFFF_FFFF)
    card = ConfigSpace(
        (*header(vendor=0x8086, device=0x100E, class_code=0x020000, interrupt_pin=1),
         MaskedRegister(0x04, 2, writable=7), MaskedRegister(0x3C, 1, writable=0xFF), *wide),
        bars=(Bar(0, 0x1000), Bar(1, 0x40, io=True), Bar(2, 0x1_0000), Bar(3, 0x100, io=True), Bar(6, 0x800)),
    )  # fmt: skip
    chips.functions[3, 0] = card
    pc.bios.post()
    bars = [card.read(0x10 + 4 * number, 4) for number in range(6)]
    assert bars == [0xE104_0000, 0xC101, 0xE103_0000, 0xC001, 0xE100_0004, 0]
    assert card.read(0x30, 4) == 0xE104_1000
    assert (chips.windows[0], card.read(0x04, 2), card.read(0x3C, 1)) == (0xC140, 3, 11)


def test_a_window_that_finds_no_room_stays_off(pc, chips):
    chips.functions[3, 0] = card = ConfigSpace(
        (*header(vendor=0x8086, device=0x100E, class_code=0x020000), MaskedRegister(0x04, 2, writable=7)),
        bars=(Bar(0, 1 << 29),),
    )
    pc.bios.post()
    assert card.window(0) is None
    assert "no room for 20000000h addresses" in pc.trace[-1]


def test_post_leaves_the_host_bridge_on(pc, chips):
    assert chips.functions[0, 0].read(0x04, 2) == 0x0006


def test_post_leaves_a_machine_without_pci_alone(pc):
    pc.interrupt(0x1A, eax=0xB101)
    assert (pc.carry, pc.cpu.ah) == (True, 0x81)


def test_post_sets_the_chipset_up(pc, chips):
    isa, ide, power = (chips.functions[place] for place in ((1, 0), (1, 1), (1, 3)))
    assert isa.read(0x60, 4) == 0x0B0B0A0A
    assert ide.read(0x40, 4) == 0x8000_8000
    assert ide.read(0x04, 2) & 5 == 5
    assert (power.read(0x3C, 1), power.read(0x40, 4)) == (9, 0x601)
    assert pc.ports.read(PM_BLOCK + 4, 2) & 1
    assert pc.pit.values == pc.pit.values | {0: 0x00, 1: 0x0C}


def ask(pc, function, **registers):
    pc.interrupt(0x1A, **({"eax": 0xB100 | function} | registers))
    return pc.cpu.ah if pc.carry else 0


def test_the_pci_bios_is_there(pc, chips):
    assert ask(pc, 0x01, ecx=0xFF, edx=0) == 0
    assert (pc.cpu.edx, pc.cpu.al, pc.cpu.bx, pc.cpu.cl) == (0x20494350, 1, 0x0210, 0)


@pytest.mark.parametrize(
    ("device", "vendor", "index", "found"),
    [(0x1237, 0x8086, 0, 0x0000), (0x7010, 0x8086, 0, 0x0009), (0x1111, 0x1234, 0, 0x0010)],
)
def test_finding_a_device(pc, chips, device, vendor, index, found):
    assert ask(pc, 0x02, ecx=device, edx=vendor, esi=index, ebx=0xFFFF) == 0
    assert pc.cpu.bx == found


def test_finding_what_is_not_there(pc, chips):
    assert ask(pc, 0x02, ecx=0x1237, edx=0x8086, esi=1) == 0x86
    assert ask(pc, 0x02, ecx=0xFFFF, edx=0xFFFF, esi=0) == 0x83
    assert ask(pc, 0x03, ecx=0x123456, esi=0) == 0x86


def test_finding_a_class(pc, chips):
    assert ask(pc, 0x03, ecx=0x030000, esi=0) == 0
    assert pc.cpu.bx == 0x0010


def test_configuration_is_read_and_written_in_three_sizes(pc, chips):
    for function, value in ((0x08, 0x86), (0x09, 0x8086), (0x0A, 0x12378086)):
        assert ask(pc, function, ebx=0, ecx=0, edi=0) == 0
        assert pc.cpu.ecx == value
    assert ask(pc, 0x0B, ebx=0x10, ecx=0xFFFFFF5A, edi=0x3C) == 0
    assert chips.functions[2, 0].read(0x3C, 4) == 0x0000005A
    assert ask(pc, 0x0D, ebx=0x10, ecx=0xD0000000, edi=0x10) == 0
    assert chips.windows[1] == 0xD000_0000


@pytest.mark.parametrize(("function", "register"), [(0x09, 1), (0x0A, 2), (0x08, 0x100), (0x0C, 3), (0x0D, 0x41)])
def test_a_register_that_is_none_is_refused(pc, chips, function, register):
    assert ask(pc, function, ebx=0, edi=register) == 0x87


def test_special_cycles_are_not_supported(pc, chips):
    assert ask(pc, 0x06) == 0x81


def test_the_routes_of_interrupts_can_be_read(pc, chips):
    size = len(pci_bios.routing_entries())
    pc.memory.write(0x600, struct.pack("<HHH", size - 1, 0x1000, 0x2000))
    assert ask(pc, 0x0E, ebx=0, es=0, edi=0x600) == 0x89
    assert pc.space.load(0x600, 2) == size
    assert ask(pc, 0x0E, ebx=0, es=0, edi=0x600) == 0
    assert pc.memory.read(0x21000, 4) == b"\x00\x08\x60\xf8"
    assert pc.memory.read(0x21000 + 16, 3) == b"\x00\x10\x61"


def test_a_route_can_be_changed(pc, chips):
    assert ask(pc, 0x0F, ebx=0x0010, ecx=0x050A) == 0
    assert chips.functions[1, 0].read(0x60, 4) == 0x0B0B050A
    assert ask(pc, 0x0F, ebx=0x0010, ecx=0x0D0A) == 0x88
    assert ask(pc, 0x0F, ebx=0x0010, ecx=0x050E) == 0x88


def test_the_routing_table_has_a_checksum_and_the_router():
    table = pci_bios.routing_table()
    assert (table[:4], int.from_bytes(table[6:8], "little"), table[8:10]) == (b"$PIR", len(table), b"\x00\x08")
    assert sum(table) & 0xFF == 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(al=st.integers(0, 255), registers=st.tuples(*[st.integers(0, 0xFFFF_FFFF)] * 5))
def test_no_call_raises(pc, chips, al, registers):
    names = dict(zip(("ebx", "ecx", "edx", "esi", "edi"), registers, strict=True))
    pc.interrupt(0x1A, eax=0xB100 | al, es=0x3000, **names)
    assert pc.carry == (pc.cpu.ah != 0)
