"""The AT's two 8237A DMA controllers in cascade, and the page registers that widen their addresses to 24 bits.

Intel 8237A datasheet (231466); IBM PC AT Technical Reference, "System board: DMA"; Intel 82371SB (PIIX3, 290550), DMA.
Channels 0-3 move bytes, channels 5-7 words. Channel 4 is where the byte controller asks the word controller for the
bus, so that nothing moves on channels 0-3 until channel 4 is in cascade mode and unmasked.

A device holds a `DmaChannel`: it raises its request and moves as many bytes as it has at once. Nothing here takes time.
"""

from collections.abc import Callable

from minivm.core.dma import DmaMemory
from minivm.core.record import names, record

CHANNELS = 4
COMMAND, REQUEST, SINGLE_MASK, MODE, CLEAR_FLIP_FLOP, MASTER_CLEAR, CLEAR_MASK, ALL_MASK = range(8, 16)
STATUS, TEMPORARY = COMMAND, MASTER_CLEAR
COMMAND_DISABLE = 0x04
MODE_TRANSFER, MODE_AUTOINITIALIZE, MODE_DECREMENT, MODE_SELECT = 0x0C, 0x10, 0x20, 0xC0
TRANSFER_WRITE, TRANSFER_READ = 0x04, 0x08
SELECT_CASCADE = 0xC0
ALL_MASKED = 0x0F
FLOATING = 0xFF

PAGES = 15
BYTE_PAGES = (0x87 - 0x81, 0x83 - 0x81, 0x81 - 0x81, 0x82 - 0x81)
WORD_PAGES = (0x8F - 0x81, 0x8B - 0x81, 0x89 - 0x81, 0x8A - 0x81)
"""Each channel's page register, counted from port 81h; channel 4's is the one that refresh uses."""


@record
class DmaChannelState:
    """One channel: what was programmed, and how far it has come. `mode` is the mode register without the number."""

    base_address: int = 0
    base_count: int = 0
    address: int = 0
    count: int = 0
    mode: int = 0


@record
class DmaControllerState:
    """One 8237A; bits 0-3 of `mask`, `requests` (by software), `dreq` (the pins) and `terminal_counts` are channels."""

    channels: tuple[DmaChannelState, ...] = (DmaChannelState(),) * CHANNELS
    command: int = 0
    mask: int = ALL_MASKED
    requests: int = 0
    dreq: int = 0
    terminal_counts: int = 0
    high_byte: bool = False
    """The first/last flip-flop: the next access of an address or a count is its high byte."""


@record
class DmaPairState:
    """Both controllers and the fifteen page registers, ports 81h to 8Fh."""

    byte_controller: DmaControllerState
    word_controller: DmaControllerState
    pages: bytes


class _Channel:
    """The registers of one channel."""

    base_address: int
    base_count: int
    address: int
    count: int
    mode: int

    def __init__(self) -> None:
        self.restore(DmaChannelState())

    def state(self) -> DmaChannelState:
        return DmaChannelState(**{name: getattr(self, name) for name in names(DmaChannelState)})

    def restore(self, state: DmaChannelState) -> None:
        for name in names(DmaChannelState):
            setattr(self, name, getattr(state, name))

    @property
    def cascades(self) -> bool:
        return self.mode & MODE_SELECT == SELECT_CASCADE

    def advance(self, units: int) -> bool:
        """Count `units` transfers, at most those that are left; return whether that was the terminal count."""
        step = -units if self.mode & MODE_DECREMENT else units
        self.address = (self.address + step) & 0xFFFF
        ended = units > self.count
        self.count = (self.count - units) & 0xFFFF
        if ended and self.mode & MODE_AUTOINITIALIZE:
            self.address, self.count = self.base_address, self.base_count
        return ended


class DmaController:
    """One 8237A as a `Port` of sixteen registers, `unit` ports apart; `unit` is 1 for bytes, 2 for words."""

    def __init__(self, memory: DmaMemory, page_of: Callable[[int], int], *, unit: int) -> None:
        self._memory = memory
        self._page_of = page_of
        self._unit = unit
        self._channels = tuple(_Channel() for _ in range(CHANNELS))
        self._restore_pins(DmaControllerState())
        self.has_bus: Callable[[], bool] = lambda: True
        self.holds: Callable[[], int] = lambda: 0
        self.changed: Callable[[], None] = lambda: None
        self._commands: dict[int, Callable[[int], None]] = {
            COMMAND: self._write_command,
            REQUEST: self._write_request,
            SINGLE_MASK: self._write_single_mask,
            MODE: self._write_mode,
            CLEAR_FLIP_FLOP: self._write_clear_flip_flop,
            MASTER_CLEAR: self._write_master_clear,
            CLEAR_MASK: self._write_clear_mask,
            ALL_MASK: self._write_all_mask,
        }

    # -- the ports --------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Return a register; those that can only be written read as 00h, except the masks (PIIX3)."""
        register = offset // self._unit
        if register < COMMAND:
            return self._read_word(register)
        if register == STATUS:
            requests = (self.dreq | self.requests | self.holds()) << 4
            ended, self.terminal_counts = self.terminal_counts, 0
            return requests | ended
        return self.mask if register == ALL_MASK else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register or give a command; a channel that may go on because of it does so at once."""
        register, value = offset // self._unit, value & 0xFF
        if register < COMMAND:
            self._write_word(register, value)
            return
        self._commands[register](value)
        self.changed()

    def _read_word(self, register: int) -> int:
        channel = self._channels[register >> 1]
        word = channel.count if register & 1 else channel.address
        return word >> 8 & 0xFF if self._flip() else word & 0xFF

    def _write_word(self, register: int, value: int) -> None:
        """Put a byte into both the base and the current register (datasheet, "Base Address and Base Word Count")."""
        channel = self._channels[register >> 1]
        shift = 8 if self._flip() else 0
        keep = 0xFF00 >> shift
        if register & 1:
            channel.base_count = channel.base_count & keep | value << shift
            channel.count = channel.count & keep | value << shift
        else:
            channel.base_address = channel.base_address & keep | value << shift
            channel.address = channel.address & keep | value << shift

    def _flip(self) -> bool:
        """Return whether this access is of the high byte; the next one is of the other."""
        self.high_byte = not self.high_byte
        return not self.high_byte

    def _write_command(self, value: int) -> None:
        self.command = value

    def _write_request(self, value: int) -> None:
        bit = 1 << (value & 3)
        self.requests = self.requests | bit if value & 4 else self.requests & ~bit

    def _write_single_mask(self, value: int) -> None:
        bit = 1 << (value & 3)
        self.mask = self.mask | bit if value & 4 else self.mask & ~bit

    def _write_mode(self, value: int) -> None:
        self._channels[value & 3].mode = value & 0xFC

    def _write_clear_flip_flop(self, value: int) -> None:
        self.high_byte = False

    def _write_master_clear(self, value: int) -> None:
        """Do what the RESET pin does; addresses, counts and modes stay (datasheet, "Master Clear")."""
        self.command = self.requests = self.terminal_counts = 0
        self.high_byte = False
        self.mask = ALL_MASKED

    def _write_clear_mask(self, value: int) -> None:
        self.mask = 0

    def _write_all_mask(self, value: int) -> None:
        self.mask = value & ALL_MASKED

    # -- transfers --------------------------------------------------------------------------------------------------
    @property
    def hold_request(self) -> bool:
        """The HRQ pin: some channel wants the bus and may have it."""
        return not self.command & COMMAND_DISABLE and bool(self.dreq & ~self.mask | self.requests)

    def grants_cascade(self, channel: int) -> bool:
        """Tell whether the controller behind `channel` gets the bus when it asks."""
        return not self.command & COMMAND_DISABLE and not self.mask >> channel & 1 and self._channels[channel].cascades

    def ready(self, number: int) -> bool:
        """Tell whether a request by pin on channel `number` would be served now."""
        free = not self.command & COMMAND_DISABLE and not self.mask >> number & 1
        return free and not self._channels[number].cascades and self.has_bus()

    def to_memory(self, number: int, data: bytes) -> tuple[int, bool]:
        """Take bytes from a device; return how many were taken, and whether that was the terminal count."""
        if not self.ready(number):
            return 0, False
        channel = self._channels[number]
        units = min(len(data) // self._unit, channel.count + 1)
        length = units * self._unit
        if channel.mode & MODE_TRANSFER == TRANSFER_WRITE:
            self._store(number, data[:length])
        return length, self._advance(number, units)

    def from_memory(self, number: int, length: int) -> tuple[bytes, bool]:
        """Return up to `length` bytes for a device, and whether that was the terminal count."""
        if not self.ready(number):
            return b"", False
        channel = self._channels[number]
        units = min(length // self._unit, channel.count + 1)
        if channel.mode & MODE_TRANSFER == TRANSFER_READ:
            data = self._load(number, units)
        else:
            data = bytes((FLOATING,)) * (units * self._unit)
        return data, self._advance(number, units)

    def serve_requests(self) -> None:
        """Carry out what software asked for; no device answers it, so memory is given the floating bus."""
        if self.command & COMMAND_DISABLE or not self.has_bus():
            return
        for number, channel in enumerate(self._channels):
            if self.requests >> number & 1 and not channel.cascades:
                units = channel.count + 1
                if channel.mode & MODE_TRANSFER == TRANSFER_WRITE:
                    self._store(number, bytes((FLOATING,)) * (units * self._unit))
                self._advance(number, units)

    def _advance(self, number: int, units: int) -> bool:
        if not units or not self._channels[number].advance(units):
            return False
        bit = 1 << number
        self.terminal_counts |= bit
        self.requests &= ~bit
        if not self._channels[number].mode & MODE_AUTOINITIALIZE:
            self.mask |= bit
        return True

    def _store(self, number: int, data: bytes) -> None:
        for address, first, last in self._pieces(number, len(data) // self._unit):
            self._memory.write(address, self._turned(number, data[first:last]))

    def _load(self, number: int, units: int) -> bytes:
        pieces = self._pieces(number, units)
        return b"".join(
            self._turned(number, self._memory.read(address, last - first)) for address, first, last in pieces
        )

    def _turned(self, number: int, data: bytes) -> bytes:
        """Return bytes as they lie in memory, or back: a channel that counts down meets them from behind."""
        if not self._channels[number].mode & MODE_DECREMENT:
            return data
        if self._unit == 1:
            return data[::-1]
        return b"".join(data[place : place + 2] for place in range(len(data) - 2, -2, -2))

    def _pieces(self, number: int, units: int) -> list[tuple[int, int, int]]:
        """Return where each part of a transfer lies: its lowest physical address, and from and to within the data.

        The page stays while the 16 bits of the address go round, so there are at most two.
        """
        channel, unit = self._channels[number], self._unit
        page = self._page_of(number)
        base = page << 16 if unit == 1 else (page & 0xFE) << 16
        down = channel.mode & MODE_DECREMENT
        fit = min(units, channel.address + 1 if down else 0x10000 - channel.address)
        first = channel.address - fit + 1 if down else channel.address
        pieces = [(base + first * unit, 0, fit * unit)]
        if units > fit:
            first = 0x10000 - (units - fit) if down else 0
            pieces.append((base + first * unit, fit * unit, units * unit))
        return pieces

    # -- snapshots --------------------------------------------------------------------------------------------------
    command: int
    mask: int
    requests: int
    dreq: int
    terminal_counts: int
    high_byte: bool

    def state(self) -> DmaControllerState:
        """Return everything the chip remembers."""
        pins = {name: getattr(self, name) for name in names(DmaControllerState) if name != "channels"}
        return DmaControllerState(channels=tuple(channel.state() for channel in self._channels), **pins)

    def restore(self, state: DmaControllerState) -> None:
        """Become `state` again; no transfer begins by it."""
        for channel, saved in zip(self._channels, state.channels, strict=True):
            channel.restore(saved)
        self._restore_pins(state)

    def _restore_pins(self, state: DmaControllerState) -> None:
        for name in names(DmaControllerState):
            if name != "channels":
                setattr(self, name, getattr(state, name))


class DmaPages:
    """The page registers as a `Port` of fifteen bytes, ports 81h to 8Fh; those of no channel only store."""

    def __init__(self) -> None:
        self.values = bytearray(PAGES)

    def read(self, offset: int, size: int) -> int:
        """Return what was written."""
        return self.values[offset]

    def write(self, offset: int, size: int, value: int) -> None:
        """Store a byte."""
        self.values[offset] = value & 0xFF


class DmaChannel:
    """A device's end of one channel, 0-3 or 5-7: its DREQ and DACK pins, and TC.

    `set` drives DREQ, as for any `Line`. A device moves data while `ready` is true; when it is not, the device keeps
    its request high and hears by `connect` when the guest has let the channel go on.
    """

    def __init__(self, controller: DmaController, number: int) -> None:
        self._controller = controller
        self._number = number
        self.wake: Callable[[], None] | None = None

    def connect(self, ready: Callable[[], None]) -> None:
        """Let the channel call `ready` whenever it has become ready while its request is high."""
        self.wake = ready

    def set(self, level: bool) -> None:
        """Drive DREQ; this moves nothing."""
        bit = 1 << self._number
        self._controller.dreq = self._controller.dreq | bit if level else self._controller.dreq & ~bit

    @property
    def requested(self) -> bool:
        """Whether DREQ is high."""
        return bool(self._controller.dreq >> self._number & 1)

    @property
    def ready(self) -> bool:
        """True when a request is served: controllers on, channel unmasked, not in cascade mode."""
        return self._controller.ready(self._number)

    def to_memory(self, data: bytes) -> tuple[int, bool]:
        """Move bytes from the device to memory; return how many went, and whether the terminal count was reached.

        Fewer than all go only at the terminal count, or none while the channel is not ready. On a word channel the
        length is even.
        """
        return self._controller.to_memory(self._number, data)

    def from_memory(self, length: int) -> tuple[bytes, bool]:
        """Move up to `length` bytes from memory to the device; return them, and whether the terminal count came."""
        return self._controller.from_memory(self._number, length)


class DmaPair:
    """Both controllers as one `Device`, with its three ports and the channels for devices.

    `byte_controller` (00h-0Fh), `word_controller` (C0h-DFh, every register at two ports) and `pages` (81h-8Fh).
    """

    def __init__(self, memory: DmaMemory) -> None:
        self.pages = DmaPages()
        values = self.pages.values
        self.byte_controller = DmaController(memory, lambda number: values[BYTE_PAGES[number]], unit=1)
        self.word_controller = DmaController(memory, lambda number: values[WORD_PAGES[number]], unit=2)
        self.byte_controller.has_bus = lambda: self.word_controller.grants_cascade(0)
        self.word_controller.holds = lambda: int(self.byte_controller.hold_request)
        self._channels = {
            number: DmaChannel(self.word_controller if number > 3 else self.byte_controller, number & 3)
            for number in range(8)
            if number != CHANNELS
        }
        for controller in (self.byte_controller, self.word_controller):
            controller.changed = self._go_on

    def channel(self, number: int) -> DmaChannel:
        """Return a device's end of channel 0-3 (bytes) or 5-7 (words)."""
        return self._channels[number]

    def reset(self) -> None:
        """Return to power-on: everything masked, all registers 0; requests by pin stay with their devices."""
        for controller in (self.byte_controller, self.word_controller):
            controller.restore(DmaControllerState(dreq=controller.dreq))
        self.pages.values[:] = bytes(PAGES)

    def state(self) -> DmaPairState:
        """Return everything both chips and the page registers remember."""
        return DmaPairState(self.byte_controller.state(), self.word_controller.state(), bytes(self.pages.values))

    def restore(self, state: DmaPairState) -> None:
        """Become `state` again; no transfer begins by it."""
        self.byte_controller.restore(state.byte_controller)
        self.word_controller.restore(state.word_controller)
        self.pages.values[:] = state.pages

    def _go_on(self) -> None:
        """After a command: do what software requested, and wake the devices that wait and may go on."""
        self.byte_controller.serve_requests()
        self.word_controller.serve_requests()
        for channel in self._channels.values():
            if channel.wake is not None and channel.requested and channel.ready:
                channel.wake()
