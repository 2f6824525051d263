"""VGA in text modes: ports 3B0h-3DFh, and what they make of the characters in video memory.

IBM PS/2 Hardware Interface Technical Reference, "Video subsystem"; FreeVGA project, "VGA hardware registers". The chip
keeps registers only. Video memory is plain RAM that it looks at when somebody asks for the `screen`: nothing is drawn,
nothing ticks, and the retrace bits are computed from the time at which they are read.
"""

from collections.abc import Callable
from functools import cached_property

from minivm.core.clock import Clock
from minivm.core.record import record
from minivm.core.screen import Colour, TextScreen
from minivm.core.vga_modes import MODE_REGISTERS

WINDOWS = ((0x00000, 0x20000), (0x00000, 0x10000), (0x10000, 0x08000), (0x18000, 0x08000))
"""By memory map select (graphics register 06h, bits 3-2): where video memory begins behind A0000h, and its bytes."""
PIXEL_CLOCKS_HZ = (25_175_000, 28_322_000, 25_175_000, 25_175_000)
"""By clock select (miscellaneous output, bits 3-2); nothing is connected to the external inputs, 2 and 3."""

SEQUENCER_MASKS = bytes.fromhex("03 3D 0F 3F 0E")
GRAPHICS_MASKS = bytes.fromhex("0F 0F 0F 1F 03 7B 0F 0F FF")
CRTC_MASKS = bytes.fromhex("FF FF FF FF FF FF FF FF 7F FF 3F 7F FF FF FF FF FF FF FF FF 7F FF FF EF FF")
ATTRIBUTE_MASKS = bytes([0x3F] * 16) + bytes.fromhex("EF FF 3F 0F 0F")
"""The bits each register has, in order of index; the others read as 0."""

FLOATING = 0xFF
STATUS_0_SWITCH_SENSE = 0x10
STATUS_1_BLANKING = 0x01
STATUS_1_RETRACE = 0x08
PALETTE_ADDRESS_SOURCE = 0x20
DAC_READING, DAC_WRITING = 0x03, 0x00


@record
class VgaState:
    """Every register; video memory is saved with the RAM."""

    miscellaneous: int
    feature_control: int
    enable: int
    sequencer_index: int
    sequencer: bytes
    graphics_index: int
    graphics: bytes
    crtc_index: int
    crtc: bytes
    attribute_index: int
    attribute_data_next: bool
    attribute: bytes
    dac: bytes
    dac_mask: int
    dac_index: int
    dac_mode: int
    dac_component: int
    dac_latch: bytes


@record
class Timing:
    """The shape of a frame in pixels and scan lines, as the CRTC counts them."""

    clock_hz: int
    line_pixels: int
    shown_pixels: int
    frame_lines: int
    shown_lines: int
    retrace_from: int
    retrace_to: int

    @cached_property
    def frame_pixels(self) -> int:
        """How many pixel clocks one frame takes."""
        return self.line_pixels * self.frame_lines

    def position(self, now_ns: int) -> tuple[int, int]:
        """Return where the beam is at `now_ns`: scan line and pixel; frames follow each other from time 0."""
        line, pixel = divmod(now_ns * self.clock_hz // 1_000_000_000 % self.frame_pixels, self.line_pixels)
        return line, pixel

    def status(self, now_ns: int) -> int:
        """Return the two bits of input status 1 that follow the beam."""
        line, pixel = self.position(now_ns)
        shown = line < self.shown_lines and pixel < self.shown_pixels
        status = 0 if shown else STATUS_1_BLANKING
        return status | (STATUS_1_RETRACE if self.retrace_from <= line < self.retrace_to else 0)


class VgaText:
    """A VGA whose `memory` is the 128 KiB at A0000h. It powers on in mode 3, 80 x 25 in 16 colours.

    As a `Port` it lies at 3B0h, 48 bytes long. `screen` shows what a monitor would.
    """

    def __init__(self, clock: Clock, memory: memoryview) -> None:
        self._clock = clock
        self._memory = memory
        self._readers: dict[int, Callable[[], int]] = {
            0x10: self._read_attribute_index,
            0x11: lambda: _at(self._attribute, self._attribute_index & 0x1F),
            0x12: lambda: STATUS_0_SWITCH_SENSE,
            0x13: lambda: self._enable,
            0x14: lambda: self._sequencer_index,
            0x15: lambda: _at(self._sequencer, self._sequencer_index),
            0x16: lambda: self._dac_mask,
            0x17: lambda: self._dac_mode,
            0x18: lambda: self._dac_index,
            0x19: self._read_dac,
            0x1A: lambda: self._feature_control,
            0x1C: lambda: self._miscellaneous,
            0x1E: lambda: self._graphics_index,
            0x1F: lambda: _at(self._graphics, self._graphics_index),
            0x24: lambda: self._crtc_index,
            0x25: lambda: _at(self._crtc, self._crtc_index),
            0x2A: self._read_status_1,
        }
        self._writers: dict[int, Callable[[int], None]] = {
            0x10: self._write_attribute,
            0x12: self._write_miscellaneous,
            0x13: self._write_enable,
            0x14: self._write_sequencer_index,
            0x15: self._write_sequencer,
            0x16: self._write_dac_mask,
            0x17: lambda value: self._start_dac(value, DAC_READING),
            0x18: lambda value: self._start_dac(value, DAC_WRITING),
            0x19: self._write_dac,
            0x1E: self._write_graphics_index,
            0x1F: self._write_graphics,
            0x24: self._write_crtc_index,
            0x25: self._write_crtc,
            0x2A: self._write_feature_control,
        }
        self.reset()

    def reset(self) -> None:
        """Return to the power-on state: the registers of mode 3, as the BIOS of the card sets them up."""
        mode = MODE_REGISTERS[3]
        self._miscellaneous = mode.miscellaneous
        self._feature_control = 0
        self._enable = 1
        self._sequencer_index, self._sequencer = 0, bytearray(mode.sequencer)
        self._graphics_index, self._graphics = 0, bytearray(mode.graphics)
        self._crtc_index, self._crtc = 0, bytearray(mode.crtc)
        self._attribute_index, self._attribute = PALETTE_ADDRESS_SOURCE, bytearray(mode.attribute)
        self._attribute_data_next = False
        self._dac = bytearray(mode.dac.ljust(768, b"\x00"))
        self._dac_mask = 0xFF
        self._dac_index = self._dac_component = 0
        self._dac_mode = DAC_WRITING
        self._dac_latch = b""
        self._timing: Timing | None = None

    def state(self) -> VgaState:
        """Return every register."""
        return VgaState(
            miscellaneous=self._miscellaneous,
            feature_control=self._feature_control,
            enable=self._enable,
            sequencer_index=self._sequencer_index,
            sequencer=bytes(self._sequencer),
            graphics_index=self._graphics_index,
            graphics=bytes(self._graphics),
            crtc_index=self._crtc_index,
            crtc=bytes(self._crtc),
            attribute_index=self._attribute_index,
            attribute_data_next=self._attribute_data_next,
            attribute=bytes(self._attribute),
            dac=bytes(self._dac),
            dac_mask=self._dac_mask,
            dac_index=self._dac_index,
            dac_mode=self._dac_mode,
            dac_component=self._dac_component,
            dac_latch=self._dac_latch,
        )

    def restore(self, state: VgaState) -> None:
        """Become `state` again."""
        self._miscellaneous, self._feature_control, self._enable = (
            state.miscellaneous,
            state.feature_control,
            state.enable,
        )
        self._sequencer_index, self._sequencer = state.sequencer_index, bytearray(state.sequencer)
        self._graphics_index, self._graphics = state.graphics_index, bytearray(state.graphics)
        self._crtc_index, self._crtc = state.crtc_index, bytearray(state.crtc)
        self._attribute_index, self._attribute = state.attribute_index, bytearray(state.attribute)
        self._attribute_data_next = state.attribute_data_next
        self._dac, self._dac_mask, self._dac_index = bytearray(state.dac), state.dac_mask, state.dac_index
        self._dac_mode, self._dac_component, self._dac_latch = state.dac_mode, state.dac_component, state.dac_latch
        self._timing = None

    # Ports

    def read(self, offset: int, size: int) -> int:
        """Read the registers at 3B0h + `offset`, one for each of the `size` bytes."""
        if size > 1:
            return sum(self.read(offset + byte, 1) << (8 * byte) for byte in range(size))
        reader = self._readers.get(self._register(offset))
        return FLOATING if reader is None else reader()

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the registers at 3B0h + `offset`, lowest byte first, as a word written to an index port means it."""
        for byte in range(size):
            writer = self._writers.get(self._register(offset + byte))
            if writer is not None:
                writer(value >> (8 * byte) & 0xFF)

    def _register(self, offset: int) -> int:
        """Return the place of a register as on a colour display: the CRTC moves to 3Bxh on a monochrome one."""
        if offset < 0x10:
            return -1 if self._colour else offset + 0x20
        return offset if self._colour or offset < 0x20 else -1

    @property
    def _colour(self) -> bool:
        return bool(self._miscellaneous & 0x01)

    def _read_status_1(self) -> int:
        self._attribute_data_next = False
        return self._frame().status(self._clock.now)

    def _write_miscellaneous(self, value: int) -> None:
        self._miscellaneous = value & 0xEF
        self._timing = None

    def _write_feature_control(self, value: int) -> None:
        self._feature_control = value & 0x08

    def _write_enable(self, value: int) -> None:
        self._enable = value & 0x01

    # Sequencer, graphics controller, CRTC: an index and the registers behind it

    def _write_sequencer_index(self, value: int) -> None:
        self._sequencer_index = value & 0x07

    def _write_sequencer(self, value: int) -> None:
        _set(self._sequencer, SEQUENCER_MASKS, self._sequencer_index, value)
        self._timing = None

    def _write_graphics_index(self, value: int) -> None:
        self._graphics_index = value & 0x0F

    def _write_graphics(self, value: int) -> None:
        _set(self._graphics, GRAPHICS_MASKS, self._graphics_index, value)

    def _write_crtc_index(self, value: int) -> None:
        self._crtc_index = value & 0x1F

    def _write_crtc(self, value: int) -> None:
        """Write a CRTC register; bit 7 of 11h protects 00h-07h, all but the line compare bit in 07h."""
        index = self._crtc_index
        if index <= 0x07 and self._crtc[0x11] & 0x80:
            if index == 0x07:
                self._crtc[index] = self._crtc[index] & ~0x10 & 0xFF | value & 0x10
            return
        _set(self._crtc, CRTC_MASKS, index, value)
        self._timing = None

    # Attribute controller: one port for index and data, in turn

    def _read_attribute_index(self) -> int:
        return self._attribute_index

    def _write_attribute(self, value: int) -> None:
        """Take an index and then its data; the palette is open to writing only while the screen does not use it."""
        data_now, self._attribute_data_next = self._attribute_data_next, not self._attribute_data_next
        if not data_now:
            self._attribute_index = value & 0x3F
        elif self._attribute_index & 0x1F >= 0x10 or not self._attribute_index & PALETTE_ADDRESS_SOURCE:
            _set(self._attribute, ATTRIBUTE_MASKS, self._attribute_index & 0x1F, value)

    # DAC: 256 colours of three 6-bit levels, read and written one level at a time

    def _write_dac_mask(self, value: int) -> None:
        self._dac_mask = value

    def _start_dac(self, index: int, mode: int) -> None:
        self._dac_index, self._dac_mode, self._dac_component = index, mode, 0
        self._dac_latch = b""

    def _read_dac(self) -> int:
        level = self._dac[self._dac_index * 3 + self._dac_component]
        self._next_component()
        return level

    def _write_dac(self, value: int) -> None:
        """Collect red, green and blue: a colour changes as a whole, on its third level."""
        self._dac_latch += bytes([value & 0x3F])
        if len(self._dac_latch) == 3:
            self._dac[self._dac_index * 3 : self._dac_index * 3 + 3] = self._dac_latch
            self._dac_latch = b""
        self._next_component()

    def _next_component(self) -> None:
        self._dac_component += 1
        if self._dac_component == 3:
            self._dac_component = 0
            self._dac_index = self._dac_index + 1 & 0xFF

    # What the registers mean

    def _frame(self) -> Timing:
        if self._timing is None:
            self._timing = self._compute_timing()
        return self._timing

    def _compute_timing(self) -> Timing:
        crtc, clocking = self._crtc, self._sequencer[0x01]
        cell_pixels = 8 if clocking & 0x01 else 9
        doubled = 2 if crtc[0x17] & 0x04 else 1
        retrace_from = crtc[0x10] | self._overflow(2, 8) | self._overflow(7, 9)
        return Timing(
            clock_hz=PIXEL_CLOCKS_HZ[self._miscellaneous >> 2 & 3] >> (clocking >> 3 & 1),
            line_pixels=(crtc[0x00] + 5) * cell_pixels,
            shown_pixels=(crtc[0x01] + 1) * cell_pixels,
            frame_lines=((crtc[0x06] | self._overflow(0, 8) | self._overflow(5, 9)) + 2) * doubled,
            shown_lines=self._shown_lines(),
            retrace_from=retrace_from * doubled,
            # The end is given by its low four bits: the retrace lasts 1 to 16 lines.
            retrace_to=(retrace_from + ((crtc[0x11] - retrace_from - 1) & 0x0F) + 1) * doubled,
        )

    def _overflow(self, bit: int, place: int) -> int:
        """Return the bit that the overflow register 07h holds for another register, at its `place` there."""
        return (self._crtc[0x07] >> bit & 1) << place

    def _shown_lines(self) -> int:
        last = self._crtc[0x12] | self._overflow(1, 8) | self._overflow(6, 9)
        return (last + 1) * (2 if self._crtc[0x17] & 0x04 else 1)

    @property
    def text_mode(self) -> bool:
        """False while the registers choose a graphics mode, whose screen this chip does not know."""
        return not (self._attribute[0x10] & 0x01 or self._graphics[0x06] & 0x01)

    @property
    def blanked(self) -> bool:
        """True while the screen is switched off, by the sequencer or by the attribute controller's palette switch."""
        return bool(self._sequencer[0x01] & 0x20) or not self._attribute_index & PALETTE_ADDRESS_SOURCE

    def screen(self) -> TextScreen:
        """Return what the monitor shows now; all blank while the screen is off or in a graphics mode."""
        columns = self._crtc[0x01] + 1
        line_height = self._line_height()
        rows = max(1, self._shown_lines() // line_height)
        if self.blanked or not self.text_mode:
            cells = bytes(columns * rows * 2)
            cursor = None
        else:
            places = self._row_places(rows, line_height)
            cells = b"".join(self._cells(place, columns) for place in places)
            cursor = self._cursor_place(places, columns)
        return self._screen_of(columns, rows, cells, cursor)

    def _screen_of(self, columns: int, rows: int, cells: bytes, cursor: tuple[int, int] | None) -> TextScreen:
        height = self._cell_height()
        underline = self._crtc[0x14] & 0x1F
        row, column = (0, 0) if cursor is None else cursor
        return TextScreen(
            columns=columns,
            rows=rows,
            characters=cells[0::2],
            attributes=cells[1::2],
            cursor_column=column,
            cursor_row=row,
            cursor_visible=cursor is not None and self._cursor_shown(),
            cursor_start=self._crtc[0x0A] & 0x1F,
            cursor_end=min(self._crtc[0x0B] & 0x1F, height - 1),
            cell_height=height,
            blink_enabled=bool(self._attribute[0x10] & 0x08),
            palette=self._palette(),
            underline_line=underline if underline < height else None,
        )

    def _cell_height(self) -> int:
        return (self._crtc[0x09] & 0x1F) + 1

    def _line_height(self) -> int:
        """Return how many scan lines of the frame a row takes: twice its height when 09h doubles the lines."""
        return self._cell_height() * (2 if self._crtc[0x09] & 0x80 else 1)

    def _row_places(self, rows: int, line_height: int) -> list[int]:
        """Return the address, in characters, at which each row begins: split by line compare, else one after another.

        The CRTC counts 16-bit addresses; from the first row below the line compare it counts from 0 again.
        """
        start = (self._crtc[0x0C] << 8 | self._crtc[0x0D]) + (self._crtc[0x08] >> 5 & 3)
        pitch = self._crtc[0x13] * 2
        compare = self._crtc[0x18] | self._overflow(4, 8) | (self._crtc[0x09] >> 6 & 1) << 9
        split = min(rows, compare // line_height + 1)
        above = [(start + row * pitch) & 0xFFFF for row in range(split)]
        return above + [row * pitch & 0xFFFF for row in range(rows - split)]

    def _cells(self, place: int, columns: int) -> bytes:
        """Return `columns` characters with attributes from address `place`, going round at the window's end."""
        base, length = WINDOWS[self._graphics[0x06] >> 2 & 3]
        start, wanted = place * 2 % length, columns * 2
        cells = bytes(self._memory[base + start : base + min(start + wanted, length)])
        return cells + bytes(self._memory[base : base + wanted - len(cells)])

    def _cursor_place(self, places: list[int], columns: int) -> tuple[int, int] | None:
        """Return row and column of the cursor, moved right by its skew, or None where it is not on the screen."""
        location = self._crtc[0x0E] << 8 | self._crtc[0x0F]
        skew = self._crtc[0x0B] >> 5 & 3
        for row, place in enumerate(places):
            column = (location - place & 0xFFFF) + skew
            if column < columns:
                return row, column
        return None

    def _cursor_shown(self) -> bool:
        start, end = self._crtc[0x0A], self._crtc[0x0B] & 0x1F
        return not start & 0x20 and start & 0x1F <= end and start & 0x1F < self._cell_height()

    def _palette(self) -> tuple[Colour, ...]:
        return tuple(self._colour_of(attribute) for attribute in range(16))

    def _colour_of(self, attribute: int) -> Colour:
        """Follow a colour through plane enable, palette, colour select and the DAC; a level 0-63 becomes 0-255."""
        number = self._attribute[attribute & self._attribute[0x12]]
        select = self._attribute[0x14]
        if self._attribute[0x10] & 0x80:
            number = number & 0x0F | (select & 0x03) << 4
        number = (number | (select & 0x0C) << 4) & self._dac_mask
        red, green, blue = ((level << 2 | level >> 4) for level in self._dac[number * 3 : number * 3 + 3])
        return red, green, blue


def _at(registers: bytearray, index: int) -> int:
    """Return a register, or 0 for an index that none has."""
    return registers[index] if index < len(registers) else 0


def _set(registers: bytearray, masks: bytes, index: int, value: int) -> None:
    if index < len(registers):
        registers[index] = value & masks[index]
