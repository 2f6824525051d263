"""The ISA bridge and the IDE function (Intel 82371SB datasheet, 290550), and the graphics chip's PCI side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.device import Wire
from minivm.core.pci import ROM_INDEX
from minivm.devices.piix3 import Piix3, Piix3Ide
from minivm.devices.vga_pci import VgaPci


@pytest.fixture
def irqs():
    return [Wire() for _ in range(16)]


@pytest.fixture
def bridge(irqs):
    return Piix3(irq=irqs.__getitem__)


def high(irqs):
    return [number for number, wire in enumerate(irqs) if wire.level]


def test_the_bridge_says_that_it_is_one_of_several_functions(bridge):
    assert bridge.config.read(0x00, 4) == 0x7000_8086
    assert bridge.config.read(0x08, 4) == 0x0601_0000
    assert bridge.config.read(0x0E, 1) == 0x80


def test_the_bridge_has_the_datasheets_defaults(bridge):
    defaults = {0x04: 0x07, 0x07: 0x02, 0x4C: 0x4D, 0x4E: 0x03, 0x69: 0x02, 0x70: 0x80, 0x76: 0x0C, 0x77: 0x0C,
                0x78: 0x02, 0xA0: 0x08, 0xA8: 0x0F} | dict.fromkeys(range(0x60, 0x64), 0x80)  # fmt: skip
    seen = {at: bridge.config.read(at, 1) for at in (0x04, 0x07, *range(0x40, 0x100))}
    assert {at: value for at, value in seen.items() if value} == defaults


def test_a_route_keeps_its_enable_bit_and_four_bits_of_irq(bridge):
    bridge.config.write(0x60, 4, 0xFFFF_FFFF)
    assert bridge.config.read(0x60, 4) == 0x8F8F_8F8F


def test_an_interrupt_goes_where_its_route_says(bridge, irqs):
    bridge.pirq(2).set(True)
    assert high(irqs) == []
    bridge.config.write(0x62, 1, 0x0B)
    assert high(irqs) == [11]
    bridge.config.write(0x62, 1, 0x0A)
    assert high(irqs) == [10]
    bridge.config.write(0x62, 1, 0x8A)
    assert high(irqs) == []
    bridge.config.write(0x62, 1, 0x0A)
    bridge.pirq(2).set(False)
    assert high(irqs) == []


def test_two_interrupts_on_one_irq_hold_it_until_both_are_gone(bridge, irqs):
    bridge.config.write(0x60, 2, 0x0A0A)
    bridge.pirq(0).set(True)
    bridge.pirq(1).set(True)
    bridge.pirq(0).set(False)
    assert high(irqs) == [10]
    bridge.pirq(1).set(False)
    assert high(irqs) == []


@pytest.mark.parametrize("number", [0, 1, 2, 8, 13])
def test_the_boards_own_irqs_cannot_be_chosen(bridge, irqs, number):
    bridge.config.write(0x60, 1, number)
    bridge.pirq(0).set(True)
    assert high(irqs) == []


def test_a_bridge_without_irqs_routes_nothing():
    bridge = Piix3()
    bridge.config.write(0x60, 1, 0x0B)
    bridge.pirq(0).set(True)


def test_reset_unroutes_and_the_inputs_stay(bridge, irqs):
    bridge.config.write(0x61, 1, 0x05)
    bridge.pirq(1).set(True)
    bridge.reset()
    assert high(irqs) == []
    bridge.config.write(0x61, 1, 0x05)
    assert high(irqs) == [5]


def test_a_restored_bridge_drives_its_lines(bridge):
    bridge.config.write(0x61, 1, 0x05)
    bridge.pirq(1).set(True)
    irqs = [Wire() for _ in range(16)]
    twin = Piix3(irq=irqs.__getitem__)
    twin.restore(bridge.state())
    assert high(irqs) == [5]
    assert twin.state() == bridge.state()


ROUTES = st.tuples(st.just("route"), st.integers(0, 3), st.integers(0, 255))
LEVELS = st.tuples(st.just("level"), st.integers(0, 3), st.booleans())


@given(st.lists(st.one_of(ROUTES, LEVELS), max_size=40))
def test_the_lines_are_the_or_of_what_is_routed_there(steps):
    irqs = [Wire() for _ in range(16)]
    bridge = Piix3(irq=irqs.__getitem__)
    routes, levels = [0x80] * 4, [False] * 4
    for kind, number, value in steps:
        if kind == "route":
            routes[number] = value
            bridge.config.write(0x60 + number, 1, value)
        else:
            levels[number] = value
            bridge.pirq(number).set(value)
        wanted = {route & 0xF for route, level in zip(routes, levels, strict=True) if level and not route & 0x80}
        assert high(irqs) == sorted(wanted - {0, 1, 2, 8, 13})


def test_the_ide_function_has_one_window_of_sixteen_ports():
    moves = []
    ide = Piix3Ide(on_move=lambda *move: moves.append(move))
    assert ide.config.read(0x00, 4) == 0x7010_8086
    assert ide.config.read(0x08, 4) == 0x0101_8000
    assert ide.config.read(0x06, 2) == 0x0280
    ide.config.write(0x20, 4, 0xFFFF_FFFF)
    assert ide.config.read(0x20, 4) == 0xFFFF_FFF1
    ide.config.write(0x20, 4, 0xC040)
    ide.config.write(0x04, 2, 0xFFFF)
    assert ide.config.read(0x04, 2) == 0x0005
    assert moves == [(4, 0xC040)]
    assert ide.config.is_master
    ide.config.write(0x40, 4, 0xA307_8000)
    assert ide.config.read(0x40, 4) == 0xA307_8000
    state = ide.state()
    ide.reset()
    assert moves[-1] == (4, None)
    assert not ide.config.is_master
    ide.restore(state)
    assert (moves[-1], ide.state()) == ((4, 0xC040), state)


def test_the_graphics_chip_has_a_framebuffer_and_a_rom():
    moves = []
    vga = VgaPci(on_move=lambda *move: moves.append(move))
    assert vga.config.read(0x00, 4) == 0x1111_1234
    assert vga.config.read(0x08, 4) == 0x0300_0002
    for at, seen in ((0x10, 0xFF00_0008), (0x14, 0), (0x18, 0), (0x30, 0xFFFF_0001)):
        vga.config.write(at, 4, 0xFFFF_FFFF)
        assert vga.config.read(at, 4) == seen
    vga.config.write(0x10, 4, 0xFD00_0000)
    vga.config.write(0x30, 4, 0xFEBE_0001)
    vga.config.write(0x04, 2, 0x0003)
    assert moves == [(0, 0xFD00_0000), (ROM_INDEX, 0xFEBE_0000)]
    state = vga.state()
    vga.reset()
    assert moves[2:] == [(0, None), (ROM_INDEX, None)]
    vga.restore(state)
    assert vga.state() == state
    assert VgaPci(rom=False).config.read(0x30, 4) == 0


def test_a_graphics_chip_without_a_rom_has_no_register_for_it():
    vga = VgaPci(rom=False)
    vga.config.write(0x30, 4, 0xFFFF_FFFF)
    assert vga.config.read(0x30, 4) == 0
