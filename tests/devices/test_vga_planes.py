"""The graphics controller against a model that handles one bit at a time, and the flat windows against the planes.

IBM PS/2 Hardware Interface Technical Reference, "Graphics controller"; FreeVGA, "Manipulating display memory".
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.aperture import LINEAR, TEXT, TRAPPED, Aperture
from minivm.core.clock import Clock
from minivm.devices.vga.card import Vga
from minivm.devices.vga.window import fill_text

MEMORY_BYTES = 0x100000
PLANAR = (
    ("sequencer", 2, 0x0F), ("sequencer", 4, 0x06), ("graphics", 1, 0), ("graphics", 3, 0), ("graphics", 4, 0),
    ("graphics", 5, 0x00), ("graphics", 6, 0x05), ("graphics", 8, 0xFF),
)  # fmt: skip
CHAINED = (*PLANAR, ("graphics", 5, 0x40), ("sequencer", 4, 0x0E))
ODD_EVEN = (*PLANAR, ("graphics", 5, 0x10), ("sequencer", 4, 0x02), ("sequencer", 2, 0x03))
WINDOWS = {0: (0x00000, 0x20000), 1: (0x00000, 0x10000), 2: (0x10000, 0x8000), 3: (0x18000, 0x8000)}


class Machine:
    """A card with its two memories, and a CPU that reaches A0000h-BFFFFh as the aperture says, or always by traps."""

    def __init__(self, *, flat: bool = True) -> None:
        self.memory, self.text = bytearray(MEMORY_BYTES), bytearray(0x20000)
        self.flat = flat
        self.shown: list[Aperture] = []
        self.vga = Vga(
            Clock(), memory=memoryview(self.memory), text=memoryview(self.text), show=self.shown.append
        )  # fmt: skip

    def register(self, port: int, index: int, value: int) -> None:
        self.vga.write(port - 0x3B0, 2, value << 8 | index)

    def sequencer(self, index: int, value: int) -> None:
        self.register(0x3C4, index, value)

    def graphics(self, index: int, value: int) -> None:
        self.register(0x3CE, index, value)

    def _behind(self, at: int) -> tuple[bytearray, int] | None:
        aperture = self.shown[-1]
        inside = aperture.base <= 0xA0000 + at < aperture.base + aperture.length
        if not self.flat or aperture.kind == TRAPPED or not inside:
            return None
        if aperture.kind == TEXT:
            return self.text, at
        return self.memory, aperture.offset + 0xA0000 + at - aperture.base

    def poke(self, at: int, value: int) -> None:
        """Write a byte at A0000h + `at`."""
        flat = self._behind(at)
        if flat is not None:
            flat[0][flat[1]] = value
            return
        self.vga.window.write(at, 1, value)
        if self.shown[-1].kind == TEXT:  # a CPU that never uses it must not find it out of date
            fill_text(self.shown[-1], memoryview(self.text), memoryview(self.memory))

    def peek(self, at: int) -> int:
        flat = self._behind(at)
        return self.vga.window.read(at, 1) if flat is None else flat[0][flat[1]]

    def planar(self) -> None:
        """Open all planes at A0000h as modes 0Dh to 12h do."""
        for what, index, value in PLANAR:
            getattr(self, what)(index, value)

    def planes(self) -> bytes:
        """Return the four planes, wherever two of them are now."""
        self.vga.write(0x14, 2, 0x0604)  # no flat text any more
        return bytes(self.memory[:0x40000])


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.planar()
    return made


def offset_of(machine: Machine, offset: int) -> list[int]:
    return list(machine.memory[4 * offset : 4 * offset + 4])


# -- by hand -----------------------------------------------------------------------------------------------------------
def test_the_map_mask_chooses_planes(machine: Machine) -> None:
    machine.sequencer(2, 0x0A)
    machine.poke(5, 0x3C)
    assert offset_of(machine, 5) == [0, 0x3C, 0, 0x3C]


def test_the_read_map_chooses_one_plane(machine: Machine) -> None:
    machine.memory[20:24] = b"\x81\x42\x24\xff"
    seen = []
    for plane in range(4):
        machine.graphics(4, plane)
        seen.append(machine.peek(5))
    assert seen == [0x81, 0x42, 0x24, 0xFF]


def test_write_mode_1_copies_all_planes_at_once(machine: Machine) -> None:
    machine.memory[20:24] = b"abcd"
    machine.graphics(5, 0x01)
    machine.peek(5)
    machine.poke(9, 0xFF)
    assert bytes(offset_of(machine, 9)) == b"abcd"


def test_the_bit_mask_keeps_the_latch(machine: Machine) -> None:
    machine.memory[20:24] = b"\xf0\x0f\xff\x00"
    machine.graphics(8, 0x3C)
    machine.peek(5)
    machine.poke(5, 0x00)
    assert offset_of(machine, 5) == [0xC0, 0x03, 0xC3, 0x00]


def test_set_reset_writes_a_colour_whatever_the_cpu_says(machine: Machine) -> None:
    machine.graphics(0, 0x05)
    machine.graphics(1, 0x07)
    machine.poke(0, 0x81)
    assert offset_of(machine, 0) == [0xFF, 0x00, 0xFF, 0x81]


def test_write_mode_2_spreads_a_colour_and_mode_3_masks_one(machine: Machine) -> None:
    machine.graphics(5, 0x02)
    machine.graphics(8, 0x0F)
    machine.poke(0, 0x09)
    assert offset_of(machine, 0) == [0x0F, 0x00, 0x00, 0x0F]
    machine.graphics(5, 0x03)
    machine.graphics(8, 0xFF)
    machine.graphics(0, 0x02)
    machine.graphics(3, 0x04)
    machine.peek(1)
    machine.poke(1, 0x1E)
    assert offset_of(machine, 1) == [0x00, 0xE1, 0x00, 0x00], "rotated by four"


def test_read_mode_1_finds_the_pixels_of_a_colour(machine: Machine) -> None:
    machine.memory[0:4] = b"\xff\x0f\x33\x00"
    machine.graphics(5, 0x08)
    machine.graphics(2, 0x03)
    machine.graphics(7, 0x0F)
    assert machine.peek(0) == 0x0C
    machine.graphics(7, 0x03)
    assert machine.peek(0) == 0x0F, "plane 2 does not matter"
    machine.graphics(7, 0x00)
    assert machine.peek(0) == 0xFF, "nothing matters"


def test_wide_accesses_are_bytes_from_the_lowest(machine: Machine) -> None:
    machine.sequencer(2, 0x01)
    machine.vga.window.write(0, 4, 0x44332211)
    assert bytes(machine.memory[0:16:4]) == b"\x11\x22\x33\x44"
    assert machine.vga.window.read(0, 4) == 0x44332211
    machine.graphics(8, 0x0F)
    machine.vga.window.read(0, 8)
    machine.vga.window.write(0, 2, 0x0000)
    assert bytes(machine.memory[0:8:4]) == b"\x00\x00", "masked by the latch of the last byte read"


def test_an_offset_goes_round_after_64_ki(machine: Machine) -> None:
    machine.graphics(6, 0x01)
    machine.poke(0x1_0003, 0x77)
    assert offset_of(machine, 3) == [0x77] * 4


@pytest.mark.parametrize("select", WINDOWS)
def test_nothing_is_outside_the_window(machine: Machine, select: int) -> None:
    machine.graphics(6, select << 2 | 1)
    base, length = WINDOWS[select]
    for at in (base, base + length - 1):
        machine.poke(at, 0x5A)
        assert machine.peek(at) == 0x5A
    for at in {0, 0x10000, 0x18000, base - 1, base + length, 0x1FFFF} - {*range(base, base + length)}:
        if 0 <= at < 0x20000:
            before = bytes(machine.memory)
            machine.poke(at, 0xA5)
            assert machine.peek(at) == 0xFF
            assert machine.memory == before


def test_an_access_across_the_windows_end_is_half_inside(machine: Machine) -> None:
    machine.graphics(6, 0x09)
    machine.vga.window.write(0x17FFF, 2, 0x1234)
    assert machine.vga.window.read(0x17FFF, 2) == 0xFF34
    assert machine.vga.window.read(0x0FFFF, 2) == 0xFF | machine.peek(0x10000) << 8


def test_chain_4_puts_four_pixels_into_one_offset(machine: Machine) -> None:
    machine.sequencer(4, 0x0E)
    machine.sequencer(2, 0x05)
    for at in range(8):
        machine.poke(at, 0x10 + at)
    assert bytes(machine.memory[:8]) == b"\x10\x00\x12\x00\x14\x00\x16\x00"
    assert [machine.peek(at) for at in range(8)] == [0x10, 0, 0x12, 0, 0x14, 0, 0x16, 0]


def test_odd_even_addresses_are_pairs_of_planes(machine: Machine) -> None:
    machine.sequencer(4, 0x02)
    machine.graphics(5, 0x10)
    for at in range(4):
        machine.poke(at, 0x20 + at)
    assert bytes(machine.memory[:8]) == b"\x20\x21\x20\x21\x22\x23\x22\x23"
    machine.memory[2:4] = b"fo"
    machine.graphics(4, 2)
    assert (machine.peek(0), machine.peek(1)) == (ord("f"), ord("o"))


# -- what the machine must map -----------------------------------------------------------------------------------------
def test_power_on_shows_text_at_b8000h() -> None:
    assert Machine().shown == [Aperture(TEXT, 0xB8000, 0x8000)]


@pytest.mark.parametrize(
    ("select", "base", "length"),
    [(0, 0xA0000, 0x20000), (1, 0xA0000, 0x10000), (2, 0xB0000, 0x8000), (3, 0xB8000, 0x8000)],
)
def test_text_and_chain_4_are_flat_in_all_four_windows(select: int, base: int, length: int) -> None:
    machine = Machine()
    machine.graphics(6, select << 2 | 2)
    assert machine.shown[-1] == Aperture(TEXT, base, length)
    machine.graphics(5, 0x40)
    machine.sequencer(4, 0x0E)
    machine.sequencer(2, 0x0F)
    assert machine.shown[-1] == Aperture(LINEAR, base, length, 0)
    assert machine.vga.aperture == machine.shown[-1]


@pytest.mark.parametrize(
    ("index", "value"), [(1, 0x01), (3, 0x01), (3, 0x18), (5, 0x41), (5, 0x48), (8, 0xFE)], ids=str
)
def test_what_the_graphics_controller_changes_is_trapped(index: int, value: int) -> None:
    for chained in (False, True):
        machine = Machine()
        if chained:
            machine.sequencer(2, 0x0F)
            machine.sequencer(4, 0x0E)
            machine.graphics(5, 0x40)
        before = machine.shown[-1]
        machine.graphics(index, value | (0x10 if index == 5 and not chained else 0))
        assert machine.shown[-1].kind == TRAPPED
        machine.graphics(index, {5: 0x40 if chained else 0x10, 8: 0xFF}.get(index, 0))
        assert machine.shown[-1] == before


def test_the_aperture_is_shown_only_when_it_changed() -> None:
    machine = Machine()
    for index, value in ((0, 0x0F), (2, 0x0F), (7, 0x0F), (4, 1), (4, 0), (6, 0x0F), (6, 0x0E)):
        machine.graphics(index, value)
    assert len(machine.shown) == 1


def test_text_moves_into_the_planes_and_back() -> None:
    machine = Machine()
    machine.text[0x18000:0x18006] = b"A\x07B\x1e\0\0"
    machine.graphics(5, 0x00)
    assert bytes(machine.memory[:8]) == b"A\x07\0\0B\x1e\0\0"
    machine.memory[4:6] = b"C\x2f"
    machine.graphics(5, 0x10)
    assert machine.text[0x18000:0x18004] == b"A\x07C\x2f"


def test_looking_at_the_screen_leaves_both_memories_alone() -> None:
    machine = Machine()
    machine.text[0x18000:0x18006] = b"A\x07B\x1eC\x2f"
    before = bytes(machine.memory), bytes(machine.text)
    assert machine.vga.screen().text() == "ABC"
    machine.vga.picture()
    assert (bytes(machine.memory), bytes(machine.text)) == before


def test_restoring_shows_the_aperture_and_copies_nothing() -> None:
    saved, other = Machine(), Machine()
    saved.text[0x18000:0x18004] = b"A\x07B\x07"
    saved.planar()
    other.text[:] = b"\x55" * len(other.text)
    before = bytes(other.memory), bytes(other.text)
    other.vga.restore(saved.vga.state())
    assert other.shown[-1] == Aperture(TRAPPED)
    assert (bytes(other.memory), bytes(other.text)) == before
    other.vga.restore(Machine().vga.state())
    assert other.shown[-1].kind == TEXT
    assert (bytes(other.memory), bytes(other.text)) == before


# -- anything ----------------------------------------------------------------------------------------------------------
FIRST = bytes((37 * place + 0x8B) & 0xFF for place in range(4 * 64))
"""What the first offsets hold to begin with."""


class Model:
    """Planes of one bit at a time: `planes[plane][offset]`."""

    def __init__(self, sequencer: dict[int, int], graphics: dict[int, int]) -> None:
        self.sequencer, self.graphics = sequencer, graphics
        self.planes = [list(FIRST[plane::4]) for plane in range(4)]
        self.latch = [0, 0, 0, 0]

    def read(self, at: int) -> int:
        graphics = self.graphics
        plane, offset = graphics[4], at
        if self.sequencer[4] & 8:
            plane, offset = at % 4, at // 4
        elif graphics[5] & 0x10:
            plane, offset = graphics[4] & 2 | at % 2, at // 2
        self.latch = [one[offset % 64] for one in self.planes]
        if not graphics[5] & 8:
            return self.latch[plane]
        value = 0
        for bit in range(8):
            cared = [plane for plane in range(4) if graphics[7] >> plane & 1]
            value |= all(self.latch[p] >> bit & 1 == graphics[2] >> p & 1 for p in cared) << bit
        return value

    def write(self, at: int, value: int) -> None:
        planes, offset = [0, 1, 2, 3], at
        if self.sequencer[4] & 8:
            planes, offset = [at % 4], at // 4
        elif not self.sequencer[4] & 4:
            planes, offset = [at % 2, at % 2 + 2], at // 2
        for plane in planes:
            if self.sequencer[2] >> plane & 1:
                bits = (self._bit(plane, bit, value) << bit for bit in range(8))
                self.planes[plane][offset % 64] = sum(bits)

    def _bit(self, plane: int, bit: int, value: int) -> int:
        graphics = self.graphics
        latched, mode = self.latch[plane] >> bit & 1, graphics[5] & 3
        rotated = value >> (bit + graphics[3] % 8) % 8 & 1
        colour, masked = graphics[0] >> plane & 1, graphics[8] >> bit & 1
        match mode:
            case 1:
                return latched
            case 0:
                data = colour if graphics[1] >> plane & 1 else rotated
            case 2:
                data = value >> plane & 1
            case _:
                data, masked = colour, masked & rotated
        data = (data, data & latched, data | latched, data ^ latched)[graphics[3] >> 3]
        return data if masked else latched


BYTES = st.integers(0, 255)
GRAPHICS = st.tuples(st.just("graphics"), st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8]), BYTES)
SEQUENCER = st.tuples(st.just("sequencer"), st.sampled_from([2, 4]), BYTES)
ACCESS = st.tuples(st.sampled_from(["read", "write"]), st.integers(0, 9), BYTES)
MASKS = {("sequencer", 2): 0x0F, ("sequencer", 4): 0x0E, ("graphics", 3): 0x1F, ("graphics", 4): 3,
         ("graphics", 5): 0x7B, ("graphics", 8): 0xFF}  # fmt: skip
KNOWN = st.sampled_from([PLANAR, CHAINED, ODD_EVEN])
"""Registers as 16-colour modes, mode 13h and text modes have them: flat windows come up among the others."""
CHANGES = st.one_of(KNOWN, st.tuples(GRAPHICS), st.tuples(SEQUENCER))
STEPS = st.lists(st.one_of(st.tuples(ACCESS), st.tuples(ACCESS), CHANGES), max_size=60)
Steps = list[tuple[tuple[str, int, int], ...]]


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_every_data_path_is_that_of_single_bits(steps: Steps) -> None:
    machine = Machine(flat=False)
    machine.planar()
    machine.memory[: len(FIRST)] = FIRST
    registers = {2: 0x0F, 4: 0x06}, dict.fromkeys(range(9), 0)
    registers[1][8] = 0xFF
    model = Model(*registers)
    for what, where, value in (one for step in steps for one in step):
        if what == "read":
            assert machine.peek(where) == model.read(where)
        elif what == "write":
            machine.poke(where, value)
            model.write(where, value)
        else:
            getattr(machine, what)(where, value)
            registers[what == "graphics"][where] = value & MASKS.get((what, where), 0x0F)
    assert [list(machine.memory[plane : 4 * 64 : 4]) for plane in range(4)] == model.planes


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_flat_window_does_what_a_trapped_one_does(steps: Steps) -> None:
    flat, trapped = Machine(), Machine(flat=False)
    for machine in (flat, trapped):
        machine.planar()
        machine.memory[: len(FIRST)] = FIRST
    for what, where, value in (one for step in steps for one in step):
        if what == "read":
            assert flat.peek(where) == trapped.peek(where)
            trapped.vga.window.latch = flat.vga.window.latch  # a flat read does not load it: docs/chips/vga.md
        elif what == "write":
            flat.poke(where, value)
            trapped.poke(where, value)
        else:
            getattr(flat, what)(where, value)
            getattr(trapped, what)(where, value)
    assert flat.shown == trapped.shown
    assert flat.planes() == trapped.planes()


SIZES = st.sampled_from([1, 2, 4, 8])
EVENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 0x1FFFF), SIZES, st.integers(0, 2**64 - 1)), max_size=50)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_nothing_a_guest_does_raises_or_leaves_the_memories(events: list[tuple[int, int, int, int]]) -> None:
    machine = Machine()
    vga = machine.vga
    for kind, at, size, value in events:
        value &= (1 << 8 * size) - 1
        if kind == 0:
            vga.window.write(at, size, value)
        elif kind == 1:
            assert 0 <= vga.window.read(at, size) < 1 << 8 * size
        elif kind == 2:
            machine.register((0x3C4, 0x3CE, 0x3D4)[at % 3], at >> 2 & 0x1F, value & 0xFF)
        elif kind == 3:
            vga.write(at % 0x30, min(size, 4), value & 0xFFFF_FFFF)
        elif kind == 4:
            vga.vbe.write(0, 2, at % 12)
            vga.vbe.write(1, 2, (value & 0x3FF) if at % 12 in (1, 2, 6, 8, 9) else value & 0xFF)
        else:
            assert 0 <= vga.vbe.read(at % 4, 2) < 0x10000
        aperture = machine.shown[-1]
        assert aperture.offset + aperture.length <= MEMORY_BYTES
        assert 0xA0000 <= aperture.base <= aperture.base + aperture.length <= 0xC0000
    vga.screen()
    picture = vga.picture()
    assert len(picture.rgb) == 3 * picture.width * picture.height
    twin = Machine()
    twin.vga.restore(vga.state())
    assert twin.vga.state() == vga.state()
    assert len(machine.memory) == MEMORY_BYTES
