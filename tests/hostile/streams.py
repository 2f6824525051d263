"""Streams of port and memory accesses for a whole PC: half of them at random, half as its chips' drivers begin.

An action is a tuple; `play` does a stream from the host's side, `guest_of` makes a 16-bit program of it that does the
same by its own instructions.

    ("out", port, size, value)   ("in", port, size)          ("ins" | "outs", port, size, count, address)
    ("store", address, size, value)   ("load", address, size)   ("wait", loops)   ("sleep",) until an interrupt
"""

from struct import pack
from typing import Any

from hypothesis import strategies as st

from minivm.core.vga_modes import MODE_REGISTERS
from minivm.testing.strategies import register_values

Action = tuple[Any, ...]

TRAP = 0xB2
"""The way into the BIOS's services: what a program does there is tested by the interrupts."""
DEBUG_EXIT = range(0xF4, 0xF8)
CODE, PRD, BUFFER = 0x1000, 0x6_0000, 0x7_0000
BUS_MASTER, POWER = 0xC000, 0x600
PORTS = (
    *range(0x10), 0x20, 0x21, *range(0x40, 0x44), 0x60, 0x61, 0x64, 0x70, 0x71, *range(0x80, 0x90), 0x92, 0xA0, 0xA1,
    *range(0xC0, 0xE0), 0xE9, *range(0x170, 0x178), *range(0x1CE, 0x1D2), *range(0x1F0, 0x1F8), *range(0x2F8, 0x300),
    0x376, *range(0x3B0, 0x3E0), *range(0x3F0, 0x400), 0x4D0, 0x4D1, *range(0xCF8, 0xD00),
    *range(POWER, POWER + 0x40), *range(BUS_MASTER, BUS_MASTER + 16),
)  # fmt: skip
"""Every port at which a chip answers."""
FUNCTIONS = ((0, 0), (1, 0), (1, 1), (1, 3), (2, 0))
ATA_COMMANDS = bytes.fromhex("20 24 30 34 C4 C5 C6 C8 CA 25 35 40 A0 A0 A1 EC EF E7 08 90 91")
PACKET_COMMANDS = bytes.fromhex("00 03 12 1B 1E 25 28 A8 43 5A BE 4A")
FLOPPY_COMMANDS = (
    b"\x03\xdf\x02", b"\x07\0", b"\x0f\0\x05", b"\x08", b"\xe6\0\0\0\1\2\x12\x1b\xff", b"\xc5\0\0\0\1\2\x12\x1b\xff",
    b"\x4a\0", b"\x4d\0\2\x12\x1b\xf6", b"\x0e", b"\x10", b"\x94", b"\x13\0\x57\0",
)  # fmt: skip
"""Specify, recalibrate, seek, sense, read, write, read id, format, dump the registers, version, lock, configure."""
CONFIG_REGISTERS = (0x04, 0x06, 0x10, 0x20, 0x30, 0x3C, 0x40, 0x41, *range(0x58, 0x64), 0x72, 0x80, 0x90, 0xD2)

# -- addresses ------------------------------------------------------------------------------------------------------
addresses = st.one_of(
    st.integers(BUFFER, BUFFER + 0xFFFF),
    st.integers(0xA_0000, 0xF_FFFF),
    st.integers(0, 0xFFFF_FFFF),
    st.sampled_from((
        0x9_FFFF, 0xA_0000, 0xB_7FFF, 0xB_8000, 0xB_FFFE, 0xC_0000, 0xF_FFFF, 0x10_0000, 0x1F_FFFF, 0x20_0000,
        0xE000_0000, 0xE0FF_FFFF, 0xFEC0_0000, 0xFFFE_FFFF, 0xFFFF_FFFC, 0xFFFF_FFFF,
    )),
)  # fmt: skip
sizes = st.sampled_from((1, 2, 4))


def _sized(make: Any) -> st.SearchStrategy[Any]:
    return sizes.flatmap(make)


# -- single accesses ------------------------------------------------------------------------------------------------
def _harmless(port: int, size: int) -> bool:
    touched = range(port, port + size)
    return TRAP not in touched and not set(touched) & set(DEBUG_EXIT)


_ports = st.one_of(st.sampled_from(PORTS), st.sampled_from(PORTS), st.sampled_from(PORTS), st.integers(0, 0xFFFF))
_reaches = st.tuples(_ports, sizes).filter(lambda reach: _harmless(*reach))
outs = _reaches.flatmap(lambda reach: st.tuples(st.just("out"), st.just(reach[0]), st.just(reach[1]),
                                                register_values(reach[1])))  # fmt: skip
ins = _reaches.map(lambda reach: ("in", *reach))
stores = _sized(lambda size: st.tuples(st.just("store"), addresses, st.just(size), register_values(size)))
loads = st.tuples(st.just("load"), addresses, sizes)
waits = st.tuples(st.just("wait"), st.sampled_from((1, 50, 4_000, 60_000)))


# -- as drivers begin -----------------------------------------------------------------------------------------------
@st.composite
def ata_commands(draw: st.DrawFn) -> list[Action]:
    """A command with its registers, then words in or out, more or fewer than it wants."""
    base = draw(st.sampled_from((0x1F0, 0x1F0, 0x170)))
    command = draw(st.one_of(st.sampled_from(ATA_COMMANDS), register_values()))
    registers = [draw(register_values()) for _ in range(5)]
    if draw(st.booleans()):
        registers[1:5] = draw(st.integers(0, 3)), draw(st.integers(0, 255)), 0, 0
    device = draw(st.sampled_from((0x40, 0xE0, 0xE0, 0xF0, 0x00, 0x5F)))
    found: list[Action] = [("out", base + 6, 1, device)]
    found += [("out", base + 1 + place, 1, value) for place, value in enumerate(registers)]
    found += [("out", base + 7, 1, command), ("wait", draw(st.sampled_from((1, 4_000))))]
    if command == 0xA0:
        found += _packet(draw, base)
    for _ in range(draw(st.integers(0, 2))):
        found.append((draw(st.sampled_from(("ins", "outs"))), base, draw(st.sampled_from((2, 2, 4))),
                      draw(st.sampled_from((1, 200, 256, 300, 1100))), draw(addresses)))  # fmt: skip
    return found


def _packet(draw: st.DrawFn, base: int) -> list[Action]:
    code = draw(st.one_of(st.sampled_from(PACKET_COMMANDS), register_values()))
    packet = bytes([code, *(draw(st.sampled_from((0, 0, 0, 1, 2, 0x10, 0xFF))) for _ in range(11))])
    found: list[Action] = [("out", base, 2, int.from_bytes(packet[at : at + 2], "little")) for at in range(0, 12, 2)]
    return [*found, ("wait", 4_000)]


@st.composite
def bus_mastering(draw: st.DrawFn) -> list[Action]:
    """A table of regions somewhere, a DMA command that may never come, and the bus master, which may not start."""
    table = draw(st.one_of(st.just(PRD), st.just(PRD), addresses)) & ~3
    found: list[Action] = []
    for number in range(draw(st.integers(0, 3))):
        second = draw(st.sampled_from((0, 2, 512, 0xFFFE, 0x8000_0200, 0x8000_0000, 0xFFFF_FFFF)))
        found += [("store", table + 8 * number & 0xFFFF_FFFF, 4, draw(addresses)),
                  ("store", table + 8 * number + 4 & 0xFFFF_FFFF, 4, second)]  # fmt: skip
    base = BUS_MASTER + draw(st.sampled_from((0, 0, 8)))
    channel = 0x1F0 if base == BUS_MASTER else 0x170
    start = [("out", base, 1, draw(st.sampled_from((0x09, 0x09, 0x01, 0x08, 0x00))))]
    command = [("out", channel + 6, 1, 0xE0), ("out", channel + 2, 1, draw(st.integers(0, 9))),
               *(("out", channel + place, 1, draw(st.sampled_from((0, 0, 1, 7)))) for place in (3, 4, 5)),
               ("out", channel + 7, 1, draw(st.sampled_from((0xC8, 0xCA, 0x25, 0x35))))]  # fmt: skip
    found += [("out", base + 4, 4, table), ("out", base + 2, 1, 0x66)]
    found += draw(st.sampled_from((start + command, command + start, start, command)))
    return [*found, ("wait", draw(st.sampled_from((1, 4_000, 60_000))))]


@st.composite
def floppy_commands(draw: st.DrawFn) -> list[Action]:
    """Channel 2 of the DMA controller for some place in memory, then a command's bytes, and reads of its results."""
    address = draw(st.one_of(st.just(BUFFER), addresses))
    count = draw(st.sampled_from((0, 511, 1023, 0xFFFF)))
    mode = draw(st.sampled_from((0x46, 0x4A, 0x42, 0x56, 0x66, 0x86, 0xC6)))
    found: list[Action] = [("out", 0x0A, 1, 6), ("out", 0x0C, 1, 0), ("out", 0x0B, 1, mode)]
    found += [("out", 4, 1, address & 0xFF), ("out", 4, 1, address >> 8 & 0xFF), ("out", 0x81, 1, address >> 16 & 0xFF)]
    found += [("out", 5, 1, count & 0xFF), ("out", 5, 1, count >> 8), ("out", 0x0A, 1, 2)]
    found += [
        ("out", 0x3F2, 1, draw(st.sampled_from((0x1C, 0x1C, 0x14, 0x2D)))),
        ("out", 0x3F7, 1, 0),
        ("wait", 60_000),
    ]
    command = draw(st.sampled_from(FLOPPY_COMMANDS))
    for byte in command:
        found.append(("out", 0x3F5, 1, draw(st.sampled_from((byte, byte, byte, byte, byte ^ 0x40, 0xFF)))))
    found += [("wait", 60_000)] * draw(st.integers(0, 4))
    return found + [("in", 0x3F5, 1)] * draw(st.integers(0, 8))


@st.composite
def pci_writes(draw: st.DrawFn) -> list[Action]:
    """A register of a function's configuration space: windows that move, memory under the ROMs, interrupt routing."""
    device, function = draw(st.sampled_from(FUNCTIONS))
    register = draw(st.one_of(st.sampled_from(CONFIG_REGISTERS), st.integers(0, 255)))
    value = draw(st.one_of(
        st.sampled_from((0, 7, 0xFFFF_FFFF, 0x3333_3333, 0x1111_1111, 0x2222_2222, 0x10_0000, 0xA_0000, 0xF_0000,
                         0xFFFF_F000, 0xE000_0000, 0xD000_0008, 0x01F1, 0xC001, 0x0021, 1)),
        register_values(4),
    ))  # fmt: skip
    address = 1 << 31 | device << 11 | function << 8 | register & 0xFC
    size = draw(sizes)
    place = 0xCFC + (register & 4 - size)
    return [("out", 0xCF8, 4, address), ("out", place, size, value & (1 << 8 * size) - 1), ("in", 0xCFC, 4)]


@st.composite
def screens(draw: st.DrawFn) -> list[Action]:
    """A mode of the BIOS's table or of VBE, with some registers bent, then accesses to its window."""
    found: list[Action] = []
    if draw(st.booleans()):
        mode = MODE_REGISTERS[draw(st.sampled_from(sorted(MODE_REGISTERS)))]
        found = [("out", 0x3C2, 1, mode.miscellaneous), ("out", 0x3D4, 2, 0x0011)]
        for port, values in ((0x3C4, mode.sequencer), (0x3CE, mode.graphics), (0x3D4, mode.crtc)):
            for index, value in enumerate(values):
                bent = draw(register_values()) if draw(st.integers(0, 15)) == 15 else value
                found.append(("out", port, 2, bent << 8 | index))
    else:
        for index in (4, 1, 2, 3, 6, 7, 8, 9, 5, 4):
            values = {1: (640, 1024, 1, 0xFFFF), 2: (480, 768, 1, 0xFFFF), 3: (8, 4, 15, 16, 24, 32, 7),
                      4: (0, 0x41, 0xE1, 1)}.get(index, (0, 1, 100, 0xFFFF))  # fmt: skip
            found += [("out", 0x1CE, 2, index), ("out", 0x1D0, 2, draw(st.sampled_from(values)))]
    for _ in range(draw(st.integers(0, 4))):
        found.append(draw(st.one_of(stores, loads, st.tuples(
            st.just("store"), st.integers(0xA_0000, 0xB_FFFF), sizes, st.just(0xA5)))))  # fmt: skip
    return found


def streams(*, most: int = 25) -> st.SearchStrategy[list[Action]]:
    """Return lists of actions: single ones, and beginnings of what a driver does."""
    singles = st.one_of(outs, outs, ins, stores, loads, waits).map(lambda action: [action])
    drivers = st.one_of(ata_commands(), bus_mastering(), floppy_commands(), pci_writes(), screens())
    return st.lists(st.one_of(singles, drivers), max_size=most).map(
        lambda lists: [one for some in lists for one in some]
    )


# -- doing them -----------------------------------------------------------------------------------------------------
def play(stream: list[Action], vm: Any) -> None:
    """Do a stream from the host's side; a wait lets the machine run."""
    for action in stream:
        match action:
            case ("out", port, size, value):
                vm.ports.write(port, size, value)
            case ("in", port, size):
                assert 0 <= vm.ports.read(port, size) < 1 << 8 * size
            case ("ins", port, size, count, address):
                for place in range(address, address + size * count, size):
                    vm.space.store(place, size, vm.ports.read(port, size))
            case ("outs", port, size, count, address):
                for place in range(address, address + size * count, size):
                    vm.ports.write(port, size, vm.space.load(place, size))
            case ("store", address, size, value):
                vm.space.store(address, size, value)
            case ("load", address, size):
                assert 0 <= vm.space.load(address, size) < 1 << 8 * size
            case ("sleep",):
                vm.run(ms=50)
            case ("wait", loops):
                vm.run(ticks=2 * loops)


_WIDE = {1: (b"", 0), 2: (b"", 1), 4: (b"\x66", 1)}


def guest_of(stream: list[Action]) -> bytes:
    """Return a flat 16-bit program that does a stream, writes "K" to the debug console and halts."""
    code = bytearray(b"\xfb\xfc")  # STI, CLD
    for action in stream:
        code += _instructions(action)
    return bytes(code + b"\xb0K\xe6\xe9\xfa\xf4")


def _instructions(action: Action) -> bytes:
    match action:
        case ("out", port, size, value):
            prefix, wide = _WIDE[size]
            return b"\xba" + pack("<H", port) + b"\x66\xb8" + pack("<I", value) + prefix + bytes([0xEE + wide])
        case ("in", port, size):
            prefix, wide = _WIDE[size]
            return b"\xba" + pack("<H", port) + prefix + bytes([0xEC + wide])
        case (("ins" | "outs") as kind, port, size, count, address):
            prefix, wide = _WIDE[size]
            opcode = (0x6C if kind == "ins" else 0x6E) + wide
            index = b"\x66\xbf" if kind == "ins" else b"\x66\xbe"
            counted = b"\x66\xb9" + pack("<I", count) + index + pack("<I", address)
            return b"\xba" + pack("<H", port) + counted + b"\x67" + prefix + b"\xf3" + bytes([opcode])
        case ("store", address, size, value):
            prefix, wide = _WIDE[size]
            return b"\x66\xb8" + pack("<I", value) + b"\x67" + prefix + bytes([0xA2 + wide]) + pack("<I", address)
        case ("load", address, size):
            prefix, wide = _WIDE[size]
            return b"\x67" + prefix + bytes([0xA0 + wide]) + pack("<I", address)
        case ("wait", loops):
            return b"\xb9" + pack("<H", loops) + b"\xe2\xfe"
        case ("sleep",):
            return b"\xf4"
    raise AssertionError(action)
