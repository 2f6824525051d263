"""16550A serial port: eight ports, a transmitter and a receiver with FIFOs of 16 bytes, and six modem lines.

National Semiconductor PC16550D datasheet; IBM PC AT Technical Reference, "Serial/parallel adapter" (OUT2 gates the
interrupt). A character takes its bit times on the line in both directions: a byte reaches the host when its last stop
bit has left, and one from the host reaches the guest a character after the line came free. An idle port arms no alarm.
"""

from collections import deque
from collections.abc import Callable

from minivm.core.clock import Alarm, Clock
from minivm.core.device import Line
from minivm.core.record import record

BAUD_BASE = 115_200  # 1.8432 MHz / 16
FIFO_SIZE = 16
TRIGGER_LEVELS = (1, 4, 8, 14)
TIMEOUT_CHARACTERS = 4
DIVISOR_OF_9600 = 12
"""The latch is undefined at power-on and survives a reset; this is what PC firmware usually leaves."""

# IER
RECEIVED_DATA, TRANSMITTER_EMPTY, LINE_STATUS, MODEM_STATUS = 0x01, 0x02, 0x04, 0x08
# IIR, bits 3-0
FROM_MODEM, NOTHING, FROM_TRANSMITTER, FROM_RECEIVER, FROM_LINE, FROM_TIMEOUT = 0x00, 0x01, 0x02, 0x04, 0x06, 0x0C
FIFOS_ENABLED = 0xC0
# FCR
FIFO_ENABLE, RECEIVER_RESET, TRANSMITTER_RESET, FIFO_KEPT = 0x01, 0x02, 0x04, 0xC9
# LCR
TWO_STOP_BITS, PARITY, EVEN_PARITY, SET_BREAK, DIVISOR_ACCESS = 0x04, 0x08, 0x10, 0x40, 0x80
# MCR
DTR, RTS, OUT1, OUT2, LOOPBACK = 0x01, 0x02, 0x04, 0x08, 0x10
# LSR
DATA_READY, OVERRUN, PARITY_ERROR, FRAMING_ERROR, BREAK = 0x01, 0x02, 0x04, 0x08, 0x10
HOLDING_EMPTY, TRANSMITTER_IDLE, ERROR_IN_FIFO = 0x20, 0x40, 0x80
# MSR
CTS, DSR, RI, DCD = 0x10, 0x20, 0x40, 0x80

Character = int
"""A received byte, with the LSR's error bits for it in bits 15-8."""


@record
class UartState:
    """What the chip and the line hold; times are virtual nanoseconds, None when nothing is under way."""

    interrupt_enable: int
    fifo_control: int
    line_control: int
    modem_control: int
    scratch: int
    divisor: int
    transmit_fifo: bytes
    transmit_shift: int | None
    transmit_due: int | None
    transmitter_pending: bool
    receive_buffer: int
    receive_fifo: tuple[Character, ...]
    line_errors: int
    error_in_fifo: bool
    timeout_due: int
    external_lines: int
    modem_inputs: int
    modem_deltas: int
    host_queue: tuple[Character, ...]
    receive_shift: Character | None
    receive_due: int | None
    lost: int


class Uart:
    """One serial port; `transmit` gets each byte when it has left the line.

    With `flow_control`, the default, the host holds its bytes back while the chip is full; without, the line waits for
    nobody and the guest sees overruns. With `lossless`, a guest that writes without looking at THRE loses nothing
    either: what exceeds the transmitter waits in it. A divisor of 0 counts as 65536, as a 16-bit counter does.
    """

    def __init__(
        self,
        clock: Clock,
        irq: Line,
        transmit: Callable[[int], None],
        *,
        flow_control: bool = True,
        lossless: bool = False,
    ) -> None:
        self._clock = clock
        self._irq = irq
        self._transmit = transmit
        self._flow_control = flow_control
        self._lossless = lossless
        self._readers: tuple[Callable[[], int], ...] = (
            self._read_data,
            self._read_interrupt_enable,
            self._read_interrupt_identification,
            lambda: self._line_control,
            lambda: self._modem_control,
            self._read_line_status,
            self._read_modem_status,
            lambda: self._scratch,
        )
        self._writers: tuple[Callable[[int], None], ...] = (
            self._write_data,
            self._write_interrupt_enable,
            self._write_fifo_control,
            self._write_line_control,
            self._write_modem_control,
            lambda value: None,  # LSR and MSR: for the factory's tests
            lambda value: None,
            self._write_scratch,
        )
        self._transmit_alarm: Alarm | None = None
        self._receive_alarm: Alarm | None = None
        self._timeout_alarm: Alarm | None = None
        self._host_queue: deque[Character] = deque()
        self._external_lines = CTS | DSR | DCD
        self._scratch = 0
        self._divisor = DIVISOR_OF_9600
        self._power_on()

    def _power_on(self) -> None:
        """Set what the master reset sets (datasheet, table III); scratch and divisor latch keep their values."""
        self._interrupt_enable = 0
        self._fifo_control = 0
        self._line_control = 0
        self._modem_control = 0
        self._transmit_fifo: deque[int] = deque()
        self._transmit_shift: int | None = None
        self._transmitter_pending = False
        self._receive_buffer = 0
        self._receive_fifo: deque[Character] = deque()
        self._receive_shift: Character | None = None
        self._line_errors = 0
        self._error_in_fifo = False
        self._timeout_due = 0
        self._modem_inputs = self._external_lines
        self._modem_deltas = 0
        self.lost = 0
        """Bytes that the guest wrote over others not yet sent."""
        self._set_format()

    def read(self, offset: int, size: int) -> int:
        """Read a register (0-7); the chip is eight bits wide."""
        return self._readers[offset & 7]()

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register (0-7) with the low byte of `value`."""
        self._writers[offset & 7](value & 0xFF)

    # What the host does.

    def receive(self, data: bytes, *, errors: int = 0) -> None:
        """Queue `data` at the host's end of the line.

        `errors` damages each byte on its way: the LSR's bits for a parity error (04h) or a framing error (08h).
        """
        damage = (errors & (PARITY_ERROR | FRAMING_ERROR)) << 8
        self._host_queue.extend([byte | damage for byte in data] if damage else data)
        self._start_receiving()

    def receive_break(self) -> None:
        """Queue a break: the line held low for longer than a character."""
        self._host_queue.append(BREAK << 8)
        self._start_receiving()

    def set_modem(
        self, *, cts: bool | None = None, dsr: bool | None = None, ri: bool | None = None, dcd: bool | None = None
    ) -> None:
        """Drive the modem's lines to the chip; None leaves one as it is."""
        for bit, level in ((CTS, cts), (DSR, dsr), (RI, ri), (DCD, dcd)):
            if level is not None:
                self._external_lines = self._external_lines | bit if level else self._external_lines & ~bit
        self._sample_modem_lines()

    @property
    def dtr(self) -> bool:
        """True while the guest says that its terminal is ready; loopback forces the pin off."""
        return self._modem_control & (DTR | LOOPBACK) == DTR

    @property
    def rts(self) -> bool:
        """True while the guest requests to send; loopback forces the pin off."""
        return self._modem_control & (RTS | LOOPBACK) == RTS

    @property
    def sending_break(self) -> bool:
        """True while the guest holds the line low."""
        return bool(self._line_control & SET_BREAK)

    @property
    def sending(self) -> bool:
        """Whether a character is on the line, or waits for it."""
        return self._transmit_shift is not None

    @property
    def unread(self) -> int:
        """How many characters of the host have not yet reached the chip."""
        return len(self._host_queue) + (self._receive_shift is not None)

    # Transmitter.

    def _write_data(self, value: int) -> None:
        if self._line_control & DIVISOR_ACCESS:
            self._divisor = self._divisor & 0xFF00 | value
            self._set_format()
            return
        fifo = self._transmit_fifo
        if len(fifo) >= self._capacity and not self._lossless:
            self.lost += 1
            if not self._fifo_control & FIFO_ENABLE:
                fifo[0] = value  # the holding register is overwritten; a full FIFO instead takes nothing more
            return
        fifo.append(value)
        if self._transmitter_pending:
            self._transmitter_pending = False
            if self._interrupt_enable & TRANSMITTER_EMPTY:
                self._update_interrupt()
        if self._transmit_shift is None:
            self._shift_out()

    def _shift_out(self) -> None:
        """Move the next byte into the shift register."""
        self._transmit_shift = self._transmit_fifo.popleft()
        self._transmit_alarm = self._clock.after(self._character_ns, self._transmitted)
        if not self._transmit_fifo:
            self._transmitter_pending = True
            if self._interrupt_enable & TRANSMITTER_EMPTY:
                self._update_interrupt()

    def _transmitted(self) -> None:
        """The last stop bit has left the shift register."""
        assert self._transmit_shift is not None
        character, self._transmit_shift = self._transmit_shift & self._word_mask, None
        if self._transmit_fifo:
            self._shift_out()
        if self._modem_control & LOOPBACK:
            self._arrive(character)
        elif not self._line_control & SET_BREAK:
            self._transmit(character)

    # Receiver.

    def _start_receiving(self) -> None:
        """Let the host begin its next character, if it has one, the line is free and it need not wait."""
        if self._receive_shift is not None or not self._host_queue:
            return
        full = len(self._receive_fifo) >= self._capacity or self._modem_control & LOOPBACK
        if full and self._flow_control:
            return
        self._receive_shift = self._host_queue.popleft()
        self._receive_alarm = self._clock.after(self._character_ns, self._received)

    def _received(self) -> None:
        """A character from the host is complete; in loopback its pin leads nowhere."""
        assert self._receive_shift is not None
        character, self._receive_shift = self._receive_shift, None
        if not self._modem_control & LOOPBACK:
            self._arrive(character)
        elif self._flow_control:
            self._host_queue.appendleft(character)
        self._start_receiving()

    def _arrive(self, character: Character) -> None:
        """Put a complete character into the receiver."""
        if character >= BREAK << 8:
            character = self._break_character()
        elif character > 0xFF:
            character &= self._word_mask | 0xFF00
        else:
            character &= self._word_mask
        fifo = self._receive_fifo
        if len(fifo) >= self._capacity:
            self._line_errors |= OVERRUN
            if self._fifo_control & FIFO_ENABLE:
                self._update_interrupt()
                return  # a full FIFO stays as it is; the character is lost in the shift register
            fifo.clear()
        if self._fifo_control & FIFO_ENABLE:
            self._error_in_fifo |= character > 0xFF
            if not fifo or self._clock.now < self._timeout_due:
                self._restart_timeout()
        fifo.append(character)
        if character > 0xFF and len(fifo) == 1:
            self._reveal_errors()
        self._update_interrupt()

    def _break_character(self) -> Character:
        """A break reads as 00h without a stop bit; odd parity would want a one where it has a zero."""
        wrong_parity = self._line_control & (PARITY | EVEN_PARITY) == PARITY
        return (BREAK | FRAMING_ERROR | (PARITY_ERROR if wrong_parity else 0)) << 8

    def _reveal_errors(self) -> None:
        """Show in the LSR the errors of the character that is now next to be read."""
        self._line_errors |= self._receive_fifo[0] >> 8
        self._receive_fifo[0] &= 0xFF

    def _read_data(self) -> int:
        if self._line_control & DIVISOR_ACCESS:
            return self._divisor & 0xFF
        fifo = self._receive_fifo
        if fifo:
            self._receive_buffer = fifo.popleft() & 0xFF
            if fifo and fifo[0] > 0xFF:
                self._reveal_errors()
            if self._fifo_control & FIFO_ENABLE:
                self._restart_timeout()
            self._update_interrupt()
            if self._host_queue:
                self._start_receiving()
        return self._receive_buffer

    def _restart_timeout(self) -> None:
        self._timeout_due = self._clock.now + TIMEOUT_CHARACTERS * self._character_ns
        alarm = self._timeout_alarm
        if alarm is not None and alarm.due > self._timeout_due:  # the line became faster meanwhile
            alarm.cancel()
            self._timeout_alarm = None

    # Interrupts.

    def _source(self) -> int:
        """Return the most urgent enabled source as the IIR's bits 3-0 (datasheet, table V)."""
        enabled = self._interrupt_enable
        if enabled & LINE_STATUS and self._line_errors:
            return FROM_LINE
        if enabled & RECEIVED_DATA and self._receive_fifo:
            if len(self._receive_fifo) >= self._trigger:
                return FROM_RECEIVER
            if self._clock.now >= self._timeout_due:
                return FROM_TIMEOUT
        if enabled & TRANSMITTER_EMPTY and self._transmitter_pending:
            return FROM_TRANSMITTER
        if enabled & MODEM_STATUS and self._modem_deltas:
            return FROM_MODEM
        return NOTHING

    def _update_interrupt(self) -> None:
        """Drive the line: the PC lets INTR through only while the pin OUT2 is on, and loopback forces that off."""
        gate = self._modem_control & (OUT2 | LOOPBACK) == OUT2
        self._irq.set(gate and self._source() != NOTHING)
        waiting = 0 < len(self._receive_fifo) < self._trigger
        if waiting and self._timeout_alarm is None and self._interrupt_enable & RECEIVED_DATA:
            self._watch_timeout()

    def _watch_timeout(self) -> None:
        # The appointment is not moved at every character: it rings, sees that the time moved on, and is made again.
        if self._clock.now < self._timeout_due:
            self._timeout_alarm = self._clock.at(self._timeout_due, self._timeout_rings)

    def _timeout_rings(self) -> None:
        self._timeout_alarm = None
        self._update_interrupt()

    def _read_interrupt_enable(self) -> int:
        return self._divisor >> 8 if self._line_control & DIVISOR_ACCESS else self._interrupt_enable

    def _write_interrupt_enable(self, value: int) -> None:
        if self._line_control & DIVISOR_ACCESS:
            self._divisor = self._divisor & 0x00FF | value << 8
            self._set_format()
            return
        value &= 0x0F
        turned_on = value & ~self._interrupt_enable
        self._interrupt_enable = value
        # Turning the transmitter's interrupt on asks anew, even if reading the IIR had answered it before.
        if turned_on & TRANSMITTER_EMPTY and not self._transmit_fifo:
            self._transmitter_pending = True
        self._update_interrupt()

    def _read_interrupt_identification(self) -> int:
        source = self._source()
        if source == FROM_TRANSMITTER:
            self._transmitter_pending = False
            self._update_interrupt()
        return source | (FIFOS_ENABLED if self._fifo_control & FIFO_ENABLE else 0)

    def _write_fifo_control(self, value: int) -> None:
        """Program the FIFOs; unless bit 0 is set the other bits are not taken (datasheet, section 8.5)."""
        switched = (value ^ self._fifo_control) & FIFO_ENABLE
        control = value if value & FIFO_ENABLE else 0
        self._fifo_control = control & FIFO_KEPT
        self._set_format()
        if switched or control & RECEIVER_RESET:
            self._receive_fifo.clear()
            self._line_errors &= OVERRUN
            self._error_in_fifo = False
        if switched or control & TRANSMITTER_RESET:
            self._transmit_fifo.clear()
            self._transmitter_pending = True
        self._update_interrupt()
        self._start_receiving()

    # Line and modem registers.

    def _write_line_control(self, value: int) -> None:
        self._line_control = value
        self._set_format()

    def _set_format(self) -> None:
        """Work out what the LCR, the divisor and the FCR mean together."""
        control = self._line_control
        data_bits = 5 + (control & 3)
        self._word_mask = (1 << data_bits) - 1
        stop_half_bits = 2 if not control & TWO_STOP_BITS else 3 if data_bits == 5 else 4
        half_bits = 2 * (1 + data_bits + bool(control & PARITY)) + stop_half_bits
        divisor = self._divisor or 0x10000
        self._character_ns = -(-half_bits * divisor * 1_000_000_000 // (2 * BAUD_BASE))
        fifos = self._fifo_control & FIFO_ENABLE
        self._capacity = FIFO_SIZE if fifos else 1
        self._trigger = TRIGGER_LEVELS[self._fifo_control >> 6] if fifos else 1

    def _read_line_status(self) -> int:
        """Return the LSR; reading it clears the errors it shows."""
        status = self._line_errors
        if self._receive_fifo:
            status |= DATA_READY
        if not self._transmit_fifo:
            status |= HOLDING_EMPTY if self._transmit_shift is not None else HOLDING_EMPTY | TRANSMITTER_IDLE
        if self._error_in_fifo:
            status |= ERROR_IN_FIFO
            self._error_in_fifo = any(character > 0xFF for character in self._receive_fifo)
        if self._line_errors:
            self._line_errors = 0
            self._update_interrupt()
        return status

    def _write_modem_control(self, value: int) -> None:
        self._modem_control = value & 0x1F
        self._sample_modem_lines()
        self._start_receiving()

    def _sample_modem_lines(self) -> None:
        """Note which inputs changed; RI counts only when it goes off (TERI)."""
        lines = self._loopback_lines() if self._modem_control & LOOPBACK else self._external_lines
        changed = lines ^ self._modem_inputs
        if lines & RI:
            changed &= ~RI
        self._modem_inputs = lines
        self._modem_deltas |= changed >> 4
        self._update_interrupt()

    def _loopback_lines(self) -> int:
        """Return RTS, DTR, OUT1 and OUT2 in the places of CTS, DSR, RI and DCD (datasheet, section 8.7)."""
        control = self._modem_control
        return (
            (CTS if control & RTS else 0)
            | (DSR if control & DTR else 0)
            | (RI if control & OUT1 else 0)
            | (DCD if control & OUT2 else 0)
        )

    def _read_modem_status(self) -> int:
        """Return the MSR; reading it clears the changes it shows."""
        status = self._modem_inputs | self._modem_deltas
        if self._modem_deltas:
            self._modem_deltas = 0
            self._update_interrupt()
        return status

    def _write_scratch(self, value: int) -> None:
        self._scratch = value

    # Snapshots.

    def reset(self) -> None:
        """Pull the master reset; what the host has queued stays at the host's end."""
        self._cancel_alarms()
        interrupted = self._receive_shift
        self._power_on()
        if interrupted is not None:
            self._host_queue.appendleft(interrupted)
        self._update_interrupt()
        self._start_receiving()

    def _cancel_alarms(self) -> None:
        for alarm in (self._transmit_alarm, self._receive_alarm, self._timeout_alarm):
            if alarm is not None:
                alarm.cancel()
        self._transmit_alarm = self._receive_alarm = self._timeout_alarm = None

    def state(self) -> UartState:
        """Return everything the chip, and the host's end of the line, remember."""
        return UartState(
            interrupt_enable=self._interrupt_enable,
            fifo_control=self._fifo_control,
            line_control=self._line_control,
            modem_control=self._modem_control,
            scratch=self._scratch,
            divisor=self._divisor,
            transmit_fifo=bytes(self._transmit_fifo),
            transmit_shift=self._transmit_shift,
            transmit_due=_due(self._transmit_alarm),
            transmitter_pending=self._transmitter_pending,
            receive_buffer=self._receive_buffer,
            receive_fifo=tuple(self._receive_fifo),
            line_errors=self._line_errors,
            error_in_fifo=self._error_in_fifo,
            timeout_due=self._timeout_due,
            external_lines=self._external_lines,
            modem_inputs=self._modem_inputs,
            modem_deltas=self._modem_deltas,
            host_queue=tuple(self._host_queue),
            receive_shift=self._receive_shift,
            receive_due=_due(self._receive_alarm),
            lost=self.lost,
        )

    def restore(self, state: UartState) -> None:
        """Become `state` again; the clock stands already at the time when it was taken."""
        self._cancel_alarms()
        self._interrupt_enable = state.interrupt_enable
        self._fifo_control = state.fifo_control
        self._line_control = state.line_control
        self._modem_control = state.modem_control
        self._scratch = state.scratch
        self._divisor = state.divisor
        self._transmit_fifo = deque(state.transmit_fifo)
        self._transmit_shift = state.transmit_shift
        self._transmitter_pending = state.transmitter_pending
        self._receive_buffer = state.receive_buffer
        self._receive_fifo = deque(state.receive_fifo)
        self._line_errors = state.line_errors
        self._error_in_fifo = state.error_in_fifo
        self._timeout_due = state.timeout_due
        self._external_lines = state.external_lines
        self._modem_inputs = state.modem_inputs
        self._modem_deltas = state.modem_deltas
        self._host_queue = deque(state.host_queue)
        self._receive_shift = state.receive_shift
        self.lost = state.lost
        self._set_format()
        if state.transmit_due is not None:
            self._transmit_alarm = self._clock.at(state.transmit_due, self._transmitted)
        if state.receive_due is not None:
            self._receive_alarm = self._clock.at(state.receive_due, self._received)
        self._update_interrupt()


def _due(alarm: Alarm | None) -> int | None:
    return alarm.due if alarm is not None and alarm.active else None
