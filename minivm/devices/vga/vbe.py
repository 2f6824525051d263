"""The Bochs VBE extension: 16-bit registers at 1CEh (index) and 1CFh (data) for resolutions beyond the VGA's own.

Bochs's interface (IDs B0C0h to B0C5h) as QEMU's standard VGA answers it: a guest writes a size and a depth and sets
bit 0 of ENABLE; the registers then correct themselves to what fits into video memory.
"""

from collections.abc import Callable

from minivm.core.record import record

ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, VIDEO_MEMORY_64K = range(11)
FIRST_ID, LAST_ID = 0xB0C0, 0xB0C5
ENABLED, GETCAPS, EIGHT_BIT_DAC, LINEAR, NO_CLEAR = 0x01, 0x02, 0x20, 0x40, 0x80
LARGEST = {XRES: 16000, YRES: 12000, BPP: 32}
"""What XRES, YRES and BPP read while GETCAPS is set, and what they are cut to."""
DEPTHS = (4, 8, 15, 16, 24, 32)
BANK_BYTES = 0x10000


@record
class VbeState:
    """The index and registers 0 to 9 (XRES and YRES in pixels, VIRT_WIDTH in pixels)."""

    index: int
    registers: tuple[int, ...]

    @property
    def enabled(self) -> bool:
        """True while these registers, not the VGA's, shape the picture."""
        return bool(self.registers[ENABLE] & ENABLED)

    @property
    def eight_bit_dac(self) -> bool:
        """True while a level of the DAC has eight bits."""
        return bool(self.registers[ENABLE] & EIGHT_BIT_DAC)

    @property
    def bits_stored(self) -> int:
        """How many bits a pixel takes in video memory: 15 bits take 16."""
        return 16 if self.registers[BPP] == 15 else self.registers[BPP]

    @property
    def line_bytes(self) -> int:
        """How many bytes of video memory one line of the virtual screen takes."""
        return self.registers[VIRT_WIDTH] * self.bits_stored // 8

    @property
    def start_byte(self) -> int:
        """Where in video memory the picture begins; the CRTC counts whole doublewords."""
        across = self.registers[X_OFFSET] * self.bits_stored // 8
        return (across + self.registers[Y_OFFSET] * self.line_bytes) & ~3

    @property
    def bank_start(self) -> int:
        """Which byte of video memory lies at A0000h: 0 while the extension is off."""
        return self.registers[BANK] * BANK_BYTES if self.enabled else 0


POWER_ON = VbeState(index=0, registers=(LAST_ID, 0, 0, 0, 0, 0, 0, 0, 0, 0))


class Vbe:
    """The registers as a `Port` at 1CEh, three ports of 16 bits: index, data, and data again at an even address.

    `changed` hears of every write to a register; `clear(length)` empties the first bytes of video memory.
    """

    def __init__(self, *, memory_bytes: int, changed: Callable[[], None], clear: Callable[[int], None]) -> None:
        self._memory_bytes = memory_bytes
        self._changed = changed
        self._clear = clear
        self.restore(POWER_ON)

    def reset(self) -> None:
        """Switch the extension off and forget all sizes."""
        self.restore(POWER_ON)

    def state(self) -> VbeState:
        """Return index and registers."""
        return self._state

    def restore(self, state: VbeState) -> None:
        """Become `state` again."""
        self._index = state.index
        self._registers = list(state.registers)
        self._state = state

    def read(self, offset: int, size: int) -> int:
        """Read the index at offset 0, the register behind it at 1 and 2; a single byte floats."""
        if size != 2 or offset > 2:
            return (1 << 8 * size) - 1
        return self._index if offset == 0 else self._register()

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the index at offset 0, the register behind it at 1 and 2; a single byte is lost."""
        if size != 2 or offset > 2:
            return
        if offset == 0:
            self._index = value & 0xFFFF
        elif self._index in (XRES, YRES, BPP, VIRT_WIDTH, X_OFFSET, Y_OFFSET):
            self._registers[self._index] = value & 0xFFFF
            self._correct()
        elif self._index == ENABLE:
            self._write_enable(value & 0xFFFF)
        elif self._index == BANK:
            self._registers[BANK] = value & (self._memory_bytes // BANK_BYTES - 1)
        elif self._index == ID and FIRST_ID <= value <= LAST_ID:
            self._registers[ID] = value
        self._settle()

    def _settle(self) -> None:
        self._state = VbeState(self._index, tuple(self._registers))
        self._changed()

    def _register(self) -> int:
        if self._registers[ENABLE] & GETCAPS and self._index in LARGEST:
            return LARGEST[self._index]
        if self._index == VIDEO_MEMORY_64K:
            return self._memory_bytes // BANK_BYTES
        return self._registers[self._index] if self._index < len(self._registers) else 0

    def _write_enable(self, value: int) -> None:
        """Switch on with a fresh virtual screen, which is emptied unless NO_CLEAR is set; or off, and to bank 0."""
        switched_on = value & ENABLED and not self._registers[ENABLE] & ENABLED
        self._registers[ENABLE] = value
        if switched_on:
            self._registers[VIRT_WIDTH] = self._registers[X_OFFSET] = self._registers[Y_OFFSET] = 0
            self._correct()
            self._settle()
            if not value & NO_CLEAR:
                self._clear(min(self._registers[YRES] * self._state.line_bytes, self._memory_bytes))
        else:
            self._registers[BANK] = 0

    def _correct(self) -> None:
        """Make sizes and offsets fit into video memory, as long as the extension is on."""
        registers = self._registers
        if not registers[ENABLE] & ENABLED:
            return
        if registers[BPP] not in DEPTHS:
            registers[BPP] = 8
        registers[XRES] = min(max(registers[XRES] & ~7, 8), LARGEST[XRES])
        registers[VIRT_WIDTH] = max(min(registers[VIRT_WIDTH] & ~7, LARGEST[XRES]), registers[XRES])
        bits = 16 if registers[BPP] == 15 else registers[BPP]
        line_bytes = registers[VIRT_WIDTH] * bits // 8
        lines = self._memory_bytes // line_bytes
        registers[VIRT_HEIGHT] = lines & 0xFFFF
        registers[YRES] = min(max(registers[YRES], 1), LARGEST[YRES], lines)
        self._correct_offsets(bits, line_bytes)

    def _correct_offsets(self, bits: int, line_bytes: int) -> None:
        """Begin at line 0, and then at pixel 0, where the picture would leave video memory otherwise."""
        registers = self._registers
        registers[X_OFFSET] = min(registers[X_OFFSET], LARGEST[XRES])
        registers[Y_OFFSET] = min(registers[Y_OFFSET], LARGEST[YRES])
        room = self._memory_bytes - registers[YRES] * line_bytes
        across = registers[X_OFFSET] * bits // 8
        if across + registers[Y_OFFSET] * line_bytes > room:
            registers[Y_OFFSET] = 0
            if across > room:
                registers[X_OFFSET] = 0
