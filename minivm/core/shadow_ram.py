"""RAM that lies under the ROMs between C0000h and FFFFFh, and the switch between the two.

A chipset can let reads and writes of each piece reach its ROM or the RAM under it (Intel 82441FX datasheet, PAM
registers): a BIOS copies itself into the faster RAM and locks it. Memory always holds what the CPU reads there; what
it does not see is kept among the cards' bytes, and the two change places when the chipset says so.
"""

from minivm.core.memory import AddressSpace, Region
from minivm.core.record import record

BASE, END = 0xC0000, 0x100000
PIECE_BYTES = 0x4000
PIECES = (END - BASE) // PIECE_BYTES


@record
class ShadowRamState:
    """For each piece of 16 KiB from C0000h: whether reads, and whether writes, reach RAM."""

    reads: tuple[bool, ...]
    writes: tuple[bool, ...]


class ShadowRam:
    """The switch. `hidden` is where memory keeps what the CPU does not see, `roms` the (base, length) of every ROM.

    Where there is no ROM nothing answers until RAM is switched on, for either direction. Restore it before the chipset:
    the bytes have been restored already, so that nothing changes places then.
    """

    def __init__(self, space: AddressSpace, hidden: int, roms: tuple[tuple[int, int], ...]) -> None:
        self._space = space
        self._hidden = hidden
        self._reads, self._writes = [False] * PIECES, [False] * PIECES
        places = [BASE + PIECE_BYTES * number for number in range(PIECES)]
        self._has_rom = [any(base < at + PIECE_BYTES and at < base + length for base, length in roms) for at in places]
        space.refused = self._write_behind_rom
        for number in range(PIECES):
            self._show(number)

    def switch(self, base: int, length: int, read_ram: bool, write_ram: bool) -> None:
        """Let reads and writes of [base, base + length) reach RAM or not."""
        for number in range((base - BASE) // PIECE_BYTES, (base + length - BASE) // PIECE_BYTES):
            if (self._reads[number], self._writes[number]) == (read_ram, write_ram):
                continue
            if self._has_rom[number] and read_ram != self._reads[number]:
                self._change_places(number)
            self._reads[number], self._writes[number] = read_ram, write_ram
            self._show(number)

    def reset(self) -> None:
        """Return to power-on: the ROMs answer."""
        self.switch(BASE, END - BASE, False, False)

    def state(self) -> ShadowRamState:
        """Return how the switches stand."""
        return ShadowRamState(tuple(self._reads), tuple(self._writes))

    def restore(self, state: ShadowRamState) -> None:
        """Set the switches without touching the bytes."""
        before = self.state()
        self._reads, self._writes = list(state.reads), list(state.writes)
        for number in range(PIECES):
            if (before.reads[number], before.writes[number]) != (state.reads[number], state.writes[number]):
                self._show(number)

    def _show(self, number: int) -> None:
        base, reads, writes = BASE + PIECE_BYTES * number, self._reads[number], self._writes[number]
        if self._has_rom[number] or reads or writes:
            writable = writes and (reads or not self._has_rom[number])
            self._space.show(Region(base, PIECE_BYTES, writable))
        else:
            self._space.hide(base, PIECE_BYTES)

    def _change_places(self, number: int) -> None:
        view, base = self._space.memory.view, BASE + PIECE_BYTES * number
        hidden = self._hidden + PIECE_BYTES * number
        shown = bytes(view[base : base + PIECE_BYTES])
        self._space.memory.write(base, bytes(view[hidden : hidden + PIECE_BYTES]))
        view[hidden : hidden + PIECE_BYTES] = shown

    def _write_behind_rom(self, address: int, data: bytes) -> None:
        """Take what was written to an address that reads from ROM and writes to RAM."""
        for place, byte in enumerate(data, start=address - BASE):
            number = place // PIECE_BYTES
            if 0 <= number < PIECES and self._writes[number] and not self._reads[number]:
                self._space.memory.view[self._hidden + place] = byte
