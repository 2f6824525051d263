"""VGA: a graphics card with 256 KiB in four planes, text and graphics modes, and the Bochs VBE extension.

IBM PS/2 Hardware Interface Technical Reference, "Video subsystem"; FreeVGA project, "VGA hardware registers". This file
is the card: its ports 3B0h-3DFh, and what a changed register means for the other blocks, which are the graphics
controller (`planes`), the CPU's window (`window`), the CRTC as a counter (`timing`), the DAC (`dac`), the picture
(`picture`, `text`) and the VBE registers (`vbe`). Nothing is drawn and nothing ticks until somebody looks.
"""

from collections.abc import Callable

from minivm.core.aperture import TEXT, Aperture
from minivm.core.clock import Clock
from minivm.core.picture import Picture
from minivm.core.screen import TextScreen
from minivm.core.vga_modes import MODE_REGISTERS
from minivm.devices.vga.dac import READING, SIX_BITS, WRITING, Dac
from minivm.devices.vga.planes import ALL_PLANES, BIT_MASK, CHAIN_4, MAP_MASK, MEMORY_MODE, SEQUENTIAL, Planes
from minivm.devices.vga.state import GRAPHICS_MODE, HALF_CLOCK, PALETTE_ADDRESS_SOURCE, VgaState
from minivm.devices.vga.text import text_screen
from minivm.devices.vga.timing import Timing, timing_of
from minivm.devices.vga.vbe import BPP, XRES, YRES, Vbe
from minivm.devices.vga.window import NOTHING_FLAT, aperture_of, fill_planes, fill_text, planes_with_text

SEQUENCER_MASKS = bytes.fromhex("03 3D 0F 3F 0E")
GRAPHICS_MASKS = bytes.fromhex("0F 0F 0F 1F 03 7B 0F 0F FF")
CRTC_MASKS = bytes.fromhex("FF FF FF FF FF FF FF FF 7F FF 3F 7F FF FF FF FF FF FF FF FF 7F FF FF EF FF")
ATTRIBUTE_MASKS = bytes([0x3F] * 16) + bytes.fromhex("EF FF 3F 0F 0F")
"""The bits each register has, in order of index; the others read as 0."""

FLOATING = ALL_BITS = 0xFF
STATUS_0_SWITCH_SENSE = 0x10


class Vga:
    """A VGA of 16 MiB that powers on in mode 3, 80 x 25 characters in 16 colours.

    `memory` is video memory: plane p of offset o at byte 4 * o + p. `text` is the plain RAM at A0000h, 128 KiB, which
    the CPU reaches as characters and attributes. `show` is told what the CPU must see at A0000h-BFFFFh, for the first
    time in the constructor and then whenever it changes.

    As a `Port` the card lies at 3B0h, 48 bytes long; `window` is a port for A0000h-BFFFFh, reached where an access
    traps; `vbe` lies at 1CEh, four ports long and 16 bits wide. `screen` and `picture` show what a monitor would.
    """

    def __init__(self, clock: Clock, *, memory: memoryview, text: memoryview, show: Callable[[Aperture], None]) -> None:
        self._clock = clock
        self._memory, self._text, self._show = memory, text, show
        self.window = Planes(memory)
        self.vbe = Vbe(memory_bytes=len(memory), changed=self._vbe_changed, clear=self._clear)
        self._dac = Dac()
        self._aperture: Aperture | None = None
        self._readers: dict[int, Callable[[], int]] = {
            0x10: self._read_attribute_index,
            0x11: lambda: _at(self._attribute, self._attribute_index & 0x1F),
            0x12: lambda: STATUS_0_SWITCH_SENSE,
            0x13: lambda: self._enable,
            0x14: lambda: self._sequencer_index,
            0x15: lambda: _at(self._sequencer, self._sequencer_index),
            0x16: lambda: self._dac.mask,
            0x17: lambda: self._dac.mode,
            0x18: lambda: self._dac.index,
            0x19: self._dac.read,
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
            0x17: lambda value: self._dac.start(value, READING),
            0x18: lambda value: self._dac.start(value, WRITING),
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
        self._dac.reset(mode.dac)
        self._timing: Timing | None = None
        self.window.latch = 0
        self.vbe.reset()
        self._window_changed()

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
            dac=bytes(self._dac.colours),
            dac_mask=self._dac.mask,
            dac_index=self._dac.index,
            dac_mode=self._dac.mode,
            dac_component=self._dac.component,
            dac_latch=self._dac.latch,
            latch=self.window.latch,
            vbe=self.vbe.state(),
        )

    def restore(self, state: VgaState) -> None:
        """Become `state` again; video memory and the text buffer hold already what belongs to it."""
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
        dac = self._dac
        dac.colours, dac.mask, dac.index = bytearray(state.dac), state.dac_mask, state.dac_index
        dac.mode, dac.component, dac.latch = state.dac_mode, state.dac_component, state.dac_latch
        self._timing = None
        self.window.latch = state.latch
        self.vbe.restore(state.vbe)
        self._configure()
        self._see(self._aperture_now())

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
        if self._sequencer_index == MAP_MASK and self._planar and not self.vbe.state().enabled:
            self.window.open_planes(self._sequencer[MAP_MASK])  # mode X guests write it for every pixel
        elif self._sequencer_index in (MAP_MASK, MEMORY_MODE):
            self._window_changed()
        self._timing = None

    def _write_graphics_index(self, value: int) -> None:
        self._graphics_index = value & 0x0F

    def _write_graphics(self, value: int) -> None:
        index = self._graphics_index
        _set(self._graphics, GRAPHICS_MASKS, index, value)
        if index == BIT_MASK and value != ALL_BITS and self._aperture is NOTHING_FLAT:
            self.window.mask_bits(value)  # the commonest write of all while a guest draws pixels of 16 colours
        else:
            self._impose_vbe()
            self._window_changed()

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
        self._impose_vbe()
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

    def _write_dac_mask(self, value: int) -> None:
        self._dac.mask = value

    def _write_dac(self, value: int) -> None:
        self._dac.write(value, 0xFF if self.vbe.state().eight_bit_dac else SIX_BITS)

    # The window at A0000h

    @property
    def _planar(self) -> bool:
        """True while an address is the same offset of all planes; no mask of planes makes such a window flat."""
        return self._sequencer[MEMORY_MODE] & (CHAIN_4 | SEQUENTIAL) == SEQUENTIAL

    @property
    def aperture(self) -> Aperture:
        """What the CPU sees at A0000h-BFFFFh now."""
        return self._aperture_now()

    def _access_registers(self) -> tuple[int, int]:
        """Return map mask and memory mode in force: VBE modes with a byte or more a pixel are chain-4."""
        vbe = self.vbe.state()
        if vbe.enabled and vbe.registers[BPP] != 4:
            return ALL_PLANES, self._sequencer[MEMORY_MODE] | CHAIN_4
        return self._sequencer[MAP_MASK], self._sequencer[MEMORY_MODE]

    def _aperture_now(self) -> Aperture:
        map_mask, memory_mode = self._access_registers()
        return aperture_of(map_mask, memory_mode, self._graphics, bank=self.vbe.state().bank_start)

    def _configure(self) -> None:
        map_mask, memory_mode = self._access_registers()
        vbe = self.vbe.state()
        self.window.configure(map_mask, memory_mode, self._graphics, bank=vbe.bank_start, wide=vbe.enabled)

    def _window_changed(self) -> None:
        """Follow a register that says how the CPU reaches video memory; move the text between its two places."""
        self._configure()
        wanted = self._aperture_now()
        if wanted == self._aperture:
            return
        if self._aperture is not None:
            if self._aperture.kind == TEXT:
                fill_planes(self._aperture, self._text, self._memory)
            if wanted.kind == TEXT:
                fill_text(wanted, self._text, self._memory)
        self._see(wanted)

    def _see(self, wanted: Aperture) -> None:
        self._aperture = wanted
        self._show(wanted)

    # The VBE extension overrides the VGA's own registers

    def _vbe_changed(self) -> None:
        self._impose_vbe()
        self._timing = None
        self._window_changed()

    def _clear(self, length: int) -> None:
        self._memory[:length] = bytes(length)

    def _impose_vbe(self) -> None:
        """Keep the registers of the graphics mode that the extension shows: no doubling, no split, no scrambling."""
        vbe = self.vbe.state()
        if not vbe.enabled:
            return
        crtc, last_line = self._crtc, vbe.registers[YRES] - 1
        self._graphics[0x05] = self._graphics[0x05] & ~0x60 | (0x00 if vbe.registers[BPP] == 4 else 0x40)
        self._graphics[0x06] = self._graphics[0x06] & ~0x0C | 0x05
        crtc[0x17] |= 0x03
        crtc[0x13] = vbe.line_bytes >> 3 & 0xFF
        crtc[0x01] = (vbe.registers[XRES] >> 3) - 1 & 0xFF
        crtc[0x12] = last_line & 0xFF
        crtc[0x07] = crtc[0x07] & ~0x42 & 0xFF | last_line >> 7 & 0x02 | last_line >> 3 & 0x40 | 0x10
        crtc[0x18] = 0xFF
        crtc[0x09] = crtc[0x09] & 0x60 | 0x40
        if vbe.registers[BPP] == 4:
            self._sequencer[0x01] &= ~HALF_CLOCK

    # What a monitor shows

    def _frame(self) -> Timing:
        if self._timing is None:
            self._timing = timing_of(self._miscellaneous, self._sequencer[0x01], bytes(self._crtc))
        return self._timing

    @property
    def graphics_mode(self) -> bool:
        """True while the registers choose a graphics mode: `picture` shows it, `screen` is blank."""
        return bool(self._graphics[0x06] & GRAPHICS_MODE)

    @property
    def text_mode(self) -> bool:
        """True while the registers choose a text mode."""
        return not self.graphics_mode

    @property
    def blanked(self) -> bool:
        """True while the screen is switched off."""
        return self.state().blanked

    def screen(self) -> TextScreen:
        """Return the characters on the monitor now; all blank while the screen is off or in a graphics mode."""
        return text_screen(self.state(), self._seen_memory())

    def picture(self) -> Picture:
        """Return the pixels on the monitor now, in any mode; black while the screen is off."""
        from minivm.devices.vga.picture import picture_of  # only somebody who looks needs it

        return picture_of(self.state(), self._seen_memory())

    def _seen_memory(self) -> memoryview:
        """Return video memory with the flat text in its place; looking changes neither."""
        if self._aperture is not None and self._aperture.kind == TEXT:
            return planes_with_text(self._aperture, self._text, self._memory)
        return self._memory


def _at(registers: bytearray, index: int) -> int:
    """Return a register, or 0 for an index that none has."""
    return registers[index] if index < len(registers) else 0


def _set(registers: bytearray, masks: bytes, index: int, value: int) -> None:
    if index < len(registers):
        registers[index] = value & masks[index]
