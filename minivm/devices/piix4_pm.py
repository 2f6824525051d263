"""Power management of the PIIX4, the 82371AB: function 3 of device 1, and its 64 ports.

Intel 82371AB datasheet (290562), chapter 7; ACPI specification 1.0b, sections 4.7.2-4.7.4. Software puts the ports
where it wants them (PMBA and PMREGMISC). There are the 24-bit timer that counts 3.579545 MHz, the system control
interrupt, and the bits that switch the machine off. Ports B2h and B3h, by which an operating system asks the firmware
for ACPI mode, belong to the chip as well; the firmware's part of it, which would be system management mode, is done
here.
"""

from collections.abc import Callable
from typing import ClassVar

from minivm.core.clock import Alarm, Clock
from minivm.core.device import POLLED_READ_NS, Line, Port
from minivm.core.pci import (
    COMMAND,
    COMMAND_IO,
    INTERRUPT_LINE,
    QEMU_MACHINE,
    QUMRANET,
    STATUS,
    STATUS_FAST_BACK_TO_BACK,
    STATUS_MEDIUM,
    ConfigSpace,
    ConfigState,
    header,
)
from minivm.core.record import record
from minivm.core.register_file import MaskedRegister, RegisterFile

TIMER_HZ = 3_579_545
"""The colour burst, 14.31818 MHz / 4."""
TIMER_MASK = 0xFF_FFFF
HALF_TURN = 1 << 23
"""The timer's status is set whenever bit 23 changes: every 2.3435 s."""
SECOND_NS = 1_000_000_000

PORTS = 64
PM_BASE, PM_MISC = 0x40, 0x80
PM_IO_ENABLE = 0x01
DEVACTB, APMC_ENABLE = 0x58, 0x0200_0000
"""DEVACTB bit 25: a write to B2h causes an SMI. Set from the start: firmware takes it for SMM that is ready already."""

PM1_STATUS, PM1_ENABLE, PM1_CONTROL, TIMER, GP_STATUS, GP_ENABLE = 0x00, 0x02, 0x04, 0x08, 0x0C, 0x0E
TIMER_EVENT, GLOBAL_EVENT, POWER_BUTTON_EVENT, RTC_EVENT = 0x0001, 0x0020, 0x0100, 0x0400
PM1_EVENTS = TIMER_EVENT | GLOBAL_EVENT | POWER_BUTTON_EVENT | RTC_EVENT
SCI_ENABLE = 0x0001
SLEEP_TYPE, SLEEP_ENABLE = 0x1C00, 0x2000
SOFT_OFF = 0x0000
"""The sleep type that means off (SUS_TYP 000b)."""
APM_ACPI_ON, APM_ACPI_OFF = 0xF1, 0xF0
"""What to write to B2h: FADT's ACPI_ENABLE and ACPI_DISABLE. Firmware chooses them; these are SeaBIOS's and ours."""

CONFIG = (
    MaskedRegister(COMMAND, 2, writable=COMMAND_IO),
    MaskedRegister(STATUS, 2, STATUS_MEDIUM | STATUS_FAST_BACK_TO_BACK, clear=0x3800),
    MaskedRegister(INTERRUPT_LINE, 1, writable=0xFF),
    MaskedRegister(PM_BASE, 4, 0x0000_0001, writable=0x0000_FFC0),
    *(MaskedRegister(at, 4, writable=0xFFFF_FFFF) for at in range(0x44, DEVACTB, 4)),  # CNTA, CNTB ... DEVACTA
    MaskedRegister(DEVACTB, 4, APMC_ENABLE, writable=0xFFFF_FFFF),
    *(MaskedRegister(at, 4, writable=0xFFFF_FFFF) for at in range(0x5C, PM_MISC, 4)),  # DEVRESA ... DEVRESJ
    MaskedRegister(PM_MISC, 1, writable=PM_IO_ENABLE),
    MaskedRegister(0x90, 4, 0x0000_0001, writable=0x0000_FFF0),  # SMBBA: the SMBus, which this chip has not
    MaskedRegister(0xD2, 1, writable=0x0F),  # SMBHSTCFG
)
BLOCK = (
    MaskedRegister(PM1_STATUS, 2, clear=0x8D31),
    MaskedRegister(PM1_ENABLE, 2, writable=PM1_EVENTS),
    MaskedRegister(PM1_CONTROL, 2, writable=SLEEP_TYPE | 0x0002 | SCI_ENABLE),
    MaskedRegister(GP_STATUS, 2, clear=0x0F01),
    MaskedRegister(GP_ENABLE, 2, writable=0x0F01),
    MaskedRegister(0x34, 4, 0x7FFF_BFFF, writable=0x7FFF_FFFF),  # GPOREG
)


def ticks_at(time_ns: int) -> int:
    """Return how often the timer has counted at a virtual time."""
    return time_ns * TIMER_HZ // SECOND_NS


def time_of(ticks: int) -> int:
    """Return the first nanosecond at which the timer has counted so often."""
    return -(-ticks * SECOND_NS // TIMER_HZ)


@record
class Piix4PmState:
    """Everything the chip remembers; `half_turns` is how many changes of the timer's bit 23 the status has seen."""

    config: ConfigState
    block: bytes
    half_turns: int
    apm: tuple[int, int]


class Piix4Pm:
    """The power management function, a `Device`; its `config` goes to the PCI host as function 3 of device 1.

    `ports` are 64 ports, to be mapped with width 4 where `on_move(base)` says; None takes them away. `apm` are the two
    ports at B2h. `sci` is the system control interrupt, by custom IRQ9. `power_off` is called when the guest enters the
    sleep type 0. Firmware puts the ports to 600h by writing 0601h to register 40h and 1 to 80h.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        sci: Line,
        power_off: Callable[[], None],
        on_move: Callable[[int | None], None] | None = None,
    ) -> None:
        self._clock = clock
        self._sci = sci
        self._power_off = power_off
        self._on_move = on_move
        self._base: int | None = None
        self._block = RegisterFile(PORTS, BLOCK)
        self._half_turns = 0
        self._alarm: Alarm | None = None
        self._apm = [0, 0]
        identity = header(vendor=0x8086, device=0x7113, class_code=0x068000, revision=0x03, interrupt_pin=1,
                          subsystem_vendor=QUMRANET, subsystem=QEMU_MACHINE)  # fmt: skip
        self.config = ConfigSpace((*identity, *CONFIG), on_write=self._place)
        self.ports: Port = _Block(self)
        self.apm: Port = _Apm(self)

    @property
    def timer(self) -> int:
        """The timer's 24 bits; it counts since the clock began and nothing stops it."""
        return ticks_at(self._clock.now) & TIMER_MASK

    def press_power_button(self) -> None:
        """Press the button: the guest hears of it by the SCI, when it wants to."""
        self._look_at_timer()
        self._block.put(PM1_STATUS, 2, self._block.get(PM1_STATUS, 2) | POWER_BUTTON_EVENT)
        self._drive()

    # --- Ports ---------------------------------------------------------------------------------------------------

    def read_block(self, offset: int, size: int) -> int:
        """Return `size` bytes of the block: the timer, or the registers around it."""
        if TIMER <= offset < TIMER + 4:
            return self.timer >> 8 * (offset - TIMER) & ((1 << 8 * size) - 1)
        self._look_at_timer()
        return self._block.read(offset, size)

    def write_block(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes of the block, and go to sleep if that is asked for."""
        self._look_at_timer()
        self._block.write(offset, size, value)
        self._drive()
        asked = value << 8 * (offset - PM1_CONTROL) if offset >= PM1_CONTROL else value >> 8 * (PM1_CONTROL - offset)
        reached = offset <= PM1_CONTROL + 1 < offset + size
        if reached and asked & SLEEP_ENABLE and self._block.get(PM1_CONTROL, 2) & SLEEP_TYPE == SOFT_OFF:
            self._power_off()

    def read_apm(self, offset: int) -> int:
        """Return the command (0) or status (1) byte as it was written."""
        return self._apm[offset]

    def write_apm(self, offset: int, value: int) -> None:
        """Store a byte; as a command it switches ACPI mode on or off, which is the firmware's job on a real board."""
        self._apm[offset] = value & 0xFF
        if offset == 0 and value & 0xFF in (APM_ACPI_ON, APM_ACPI_OFF):
            control = self._block.get(PM1_CONTROL, 2) & ~SCI_ENABLE
            self._block.put(PM1_CONTROL, 2, control | (SCI_ENABLE if value & 0xFF == APM_ACPI_ON else 0))
            self._look_at_timer()
            self._drive()

    # --- Device --------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Return to power-on: the ports answer nowhere, and the SCI is low; the timer goes on."""
        self._block.reset()
        self._apm = [0, 0]
        self._half_turns = ticks_at(self._clock.now) // HALF_TURN
        self.config.reset()
        self._drive()

    def state(self) -> Piix4PmState:
        """Return everything the chip remembers, as of now."""
        self._look_at_timer()
        command, status = self._apm
        return Piix4PmState(self.config.state(), self._block.data, self._half_turns, (command, status))

    def restore(self, state: Piix4PmState) -> None:
        """Become `state` again: the ports where they were, the SCI as it was, and its alarm."""
        self._block.restore(state.block)
        self._half_turns = state.half_turns
        self._apm = list(state.apm)
        self.config.restore(state.config)
        self._drive()

    # --- Inside --------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        """Tell where the 64 ports are; they need no bit in the command register (82371AB, PMREGMISC)."""
        base = self.config.get(PM_BASE, 4) & 0xFFC0
        now = base if base and self.config.get(PM_MISC) & PM_IO_ENABLE else None
        if now == self._base:
            return
        before, self._base = self._base, now
        if self._on_move is not None:
            if before is not None and now is not None:
                self._on_move(None)
            self._on_move(now)

    def _look_at_timer(self) -> None:
        """Set the timer's status if bit 23 has changed since somebody last looked."""
        half_turns = ticks_at(self._clock.now) // HALF_TURN
        if half_turns != self._half_turns:
            self._half_turns = half_turns
            self._block.put(PM1_STATUS, 2, self._block.get(PM1_STATUS, 2) | TIMER_EVENT)

    def _drive(self) -> None:
        """Drive the SCI, and come back when the timer will raise it."""
        enabled = bool(self._block.get(PM1_CONTROL) & SCI_ENABLE)
        events = self._block.get(PM1_STATUS, 2) & self._block.get(PM1_ENABLE, 2)
        general = self._block.get(GP_STATUS, 2) & self._block.get(GP_ENABLE, 2)
        self._sci.set(enabled and bool(events & PM1_EVENTS or general))
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if enabled and self._block.get(PM1_ENABLE) & TIMER_EVENT and not events & TIMER_EVENT:
            self._alarm = self._clock.at(time_of((self._half_turns + 1) * HALF_TURN), self._turned)

    def _turned(self) -> None:
        self._look_at_timer()
        self._drive()


class _Block:
    """The 64 ports."""

    slow_reads: ClassVar[dict[int, int]] = {TIMER: POLLED_READ_NS}

    def __init__(self, chip: Piix4Pm) -> None:
        self.read = chip.read_block
        self.write = chip.write_block


class _Apm:
    """Ports B2h and B3h."""

    def __init__(self, chip: Piix4Pm) -> None:
        self._chip = chip

    def read(self, offset: int, size: int) -> int:
        """Return the byte written last."""
        return self._chip.read_apm(offset)

    def write(self, offset: int, size: int, value: int) -> None:
        """Take a command (offset 0) or a status byte (1)."""
        self._chip.write_apm(offset, value)
