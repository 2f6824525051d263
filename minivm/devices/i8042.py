"""i8042 keyboard controller: ports 60h and 64h, two PS/2 cables, the A20 gate and the CPU's reset line.

Intel 8042 with IBM's program in it: IBM PC AT Technical Reference, "Keyboard controller", and IBM PS/2 Hardware
Interface Technical Reference, "Keyboard and auxiliary device controller". `data` is port 60h, `command` port 64h.

At power-on the controller is as a BIOS leaves it: keyboard enabled, scan codes translated to set 1, interrupt 1 on.
"""

from collections.abc import Callable

from minivm.core.clock import Alarm, Clock
from minivm.core.device import Line
from minivm.core.ps2 import Ps2Port
from minivm.core.record import record

BYTE_NS = 1_000_000
"""One byte on the cable, either way: 11 bits at 11 kHz (the standard allows 10.0 to 16.7 kHz)."""
COMMAND_NS = 4_000
"""What the 8042's program takes to notice a byte in its input buffer and to act on it."""

# Status register, port 64h
STATUS_OUTPUT_FULL = 0x01
STATUS_INPUT_FULL = 0x02
STATUS_SYSTEM = 0x04
STATUS_COMMAND = 0x08
STATUS_UNLOCKED = 0x10
STATUS_AUXILIARY = 0x20
STATUS_TIMEOUT = 0x40
STATUS_PARITY = 0x80

# Command byte, address 0 of the controller's RAM
INTERRUPT_KEYBOARD = 0x01
INTERRUPT_MOUSE = 0x02
SYSTEM_FLAG = 0x04
DISABLE_KEYBOARD = 0x10
DISABLE_MOUSE = 0x20
TRANSLATE = 0x40
POWER_ON_COMMAND_BYTE = INTERRUPT_KEYBOARD | SYSTEM_FLAG | DISABLE_MOUSE | TRANSLATE

# Output port: what the 8042 drives
OUTPUT_NOT_RESET = 0x01
OUTPUT_A20 = 0x02
OUTPUT_IRQ_1 = 0x10
OUTPUT_IRQ_12 = 0x20
OUTPUT_IDLE = 0xCC
"""Bits 2, 3, 6 and 7, the wires of the two cables, at rest."""

INPUT_PORT = 0xB3
"""Not locked (bit 7), colour display (6 low), no manufacturing jumper (5), all RAM (4), data wires at rest (1, 0)."""

KEYBOARD, MOUSE = 0, 1
DISABLE = (DISABLE_KEYBOARD, DISABLE_MOUSE)
RESEND = 0xFE

TRANSLATION = bytes.fromhex(
    "FF 43 41 3F 3D 3B 3C 58 64 44 42 40 3E 0F 29 59 65 38 2A 70 1D 10 02 5A 66 71 2C 1F 1E 11 03 5B"
    "67 2E 2D 20 12 05 04 5C 68 39 2F 21 14 13 06 5D 69 31 30 23 22 15 07 5E 6A 72 32 24 16 08 09 5F"
    "6B 33 25 17 18 0B 0A 60 6C 34 35 26 27 19 0C 61 6D 73 28 74 1A 0D 62 6E 3A 36 1C 1B 75 2B 63 76"
    "55 56 77 78 79 7A 0E 7B 7C 4F 7D 4B 47 7E 7F 6F 52 53 50 4C 4D 48 01 45 57 4E 51 4A 37 49 46 54"
) + bytes({0x83: 0x41, 0x84: 0x54}.get(code, code) for code in range(0x80, 0x100))
"""Scan-code set 2 to set 1. Codes from 80h on pass as they are, but for F7 (83h) and System Request (84h)."""
BREAK_PREFIX = 0xF0
FIRST_ANSWER = 0x85
"""From here on a keyboard's byte is no scan code."""
SELF_TEST_PASSED = 0xAA


@record
class Byte:
    """A byte on its way to port 60h: whether it comes from the mouse's side, and the error bits to show with it."""

    value: int
    auxiliary: bool = False
    errors: int = 0


@record
class I8042State:
    """Everything the controller remembers; times are virtual nanoseconds. A cable is 0 (keyboard) or 1 (mouse)."""

    ram: bytes
    output: Byte
    output_full: bool
    output_port: int
    reply: Byte | None
    wrote_command: bool
    input: int | None
    input_due: int | None
    parameter_of: int | None
    receiving: int | None
    sending: int | None
    sending_value: int
    transfer_due: int | None
    break_seen: bool
    polled_nibble: int | None


class _Register:
    """One of the controller's two ports, as the bus sees it."""

    def __init__(self, read: Callable[[], int], write: Callable[[int], None]) -> None:
        self._read = read
        self._write = write

    def read(self, offset: int, size: int) -> int:
        """Return the register in the lowest byte; a wider read finds nobody on the other wires."""
        del offset
        return self._read() | (1 << 8 * size) - 0x100

    def write(self, offset: int, size: int, value: int) -> None:
        """Take the lowest byte."""
        del offset, size
        self._write(value & 0xFF)


class I8042:
    """The controller between two `Ps2Port`s and the CPU.

    `irq1` and `irq12` are high while a byte for that side waits in port 60h. `a20` opens address line 20, high at
    power-on when `a20_at_reset` is set, as all the 8042's outputs are. `reset_cpu` is called when a guest pulls the
    reset line. Without a `mouse`, what is sent to it comes back as FEh with the time-out bit.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        keyboard: Ps2Port,
        mouse: Ps2Port | None = None,
        irq1: Line,
        irq12: Line,
        a20: Line,
        reset: Callable[[], None],
        a20_at_reset: bool = True,
    ) -> None:
        self._clock = clock
        self._devices = (keyboard, mouse)
        self._irqs = (irq1, irq12)
        self._a20 = a20
        self._reset_cpu = reset
        self._a20_at_reset = a20_at_reset
        self._input_alarm: Alarm | None = None
        self._transfer_alarm: Alarm | None = None
        self.data = _Register(self._read_data, lambda value: self._write(False, value))
        self.command = _Register(self._read_status, lambda value: self._write(True, value))
        self._commands = self._command_table()
        self._parameters = self._parameter_table()
        for device in self._devices:
            if device is not None:
                device.connect(self._schedule)
        self.reset()

    def reset(self) -> None:
        """Return to the power-on state: nothing under way, both interrupts low, A20 as the constructor was told."""
        self._cancel(self._input_alarm)
        self._cancel(self._transfer_alarm)
        self._input_alarm = self._transfer_alarm = None
        self._ram = bytearray(32)
        self._ram[0] = POWER_ON_COMMAND_BYTE
        self._output = Byte(0)
        self._output_full = False
        self._output_port = OUTPUT_IDLE | OUTPUT_NOT_RESET | (OUTPUT_A20 if self._a20_at_reset else 0)
        self._reply: Byte | None = None
        self._wrote_command = False
        self._input: int | None = None
        self._parameter_of: int | None = None
        self._receiving: int | None = None
        self._sending: int | None = None
        self._sending_value = 0
        self._break_seen = False
        self._polled_nibble: int | None = None
        self._drive_lines()
        self._drive_a20()

    def state(self) -> I8042State:
        """Return everything the controller remembers."""
        return I8042State(
            ram=bytes(self._ram),
            output=self._output,
            output_full=self._output_full,
            output_port=self._output_port,
            reply=self._reply,
            wrote_command=self._wrote_command,
            input=self._input,
            input_due=_due(self._input_alarm),
            parameter_of=self._parameter_of,
            receiving=self._receiving,
            sending=self._sending,
            sending_value=self._sending_value,
            transfer_due=_due(self._transfer_alarm),
            break_seen=self._break_seen,
            polled_nibble=self._polled_nibble,
        )

    def restore(self, state: I8042State) -> None:
        """Become `state` again: drive the lines as they were, and go on with what was on the cables."""
        self._ram = bytearray(state.ram)
        self._output, self._output_full = state.output, state.output_full
        self._output_port, self._reply = state.output_port, state.reply
        self._wrote_command, self._input = state.wrote_command, state.input
        self._parameter_of, self._break_seen = state.parameter_of, state.break_seen
        self._receiving, self._sending = state.receiving, state.sending
        self._sending_value, self._polled_nibble = state.sending_value, state.polled_nibble
        self._cancel(self._input_alarm)
        self._cancel(self._transfer_alarm)
        self._input_alarm = self._transfer_alarm = None
        if state.input_due is not None:
            self._input_alarm = self._clock.at(state.input_due, self._take_input)
        if state.transfer_due is not None:
            ends = self._received if state.sending is None else self._sent
            self._transfer_alarm = self._clock.at(state.transfer_due, ends)
        self._drive_lines()
        self._drive_a20()

    # Ports 60h and 64h

    def _read_data(self) -> int:
        """Empty the output buffer. A guest that asks for an answer without waiting gets it at once (see the docs)."""
        if not self._output_full and self._input_alarm is not None:
            self._hurry()
        value = self._output.value
        if self._output_full:
            self._output_full = False
            self._drive_lines()
            self._schedule()
        return value

    def _read_status(self) -> int:
        status = STATUS_UNLOCKED | (self._ram[0] & SYSTEM_FLAG)
        status |= STATUS_OUTPUT_FULL if self._output_full else 0
        status |= STATUS_AUXILIARY if self._output_full and self._output.auxiliary else 0
        status |= self._output.errors if self._output_full else 0
        status |= STATUS_INPUT_FULL if self._input is not None else 0
        status |= STATUS_COMMAND if self._wrote_command else 0
        if self._polled_nibble is not None:
            status = status & 0x0F | self._polled_nibble
        return status

    def _write(self, is_command: bool, value: int) -> None:
        """Fill the input buffer. What a guest that did not wait had put there before is done at once, not lost."""
        self._hurry()
        self._wrote_command = is_command
        self._input = value
        self._input_alarm = self._clock.after(COMMAND_NS, self._take_input)

    def _hurry(self) -> None:
        """Finish now what the controller has been told to do."""
        if self._sending is not None:
            self._cancel(self._transfer_alarm)
            self._sent()
        if self._input is not None:
            self._cancel(self._input_alarm)
            self._take_input()

    def _take_input(self) -> None:
        """Act on the byte in the input buffer; while a byte is being sent it has to wait there."""
        self._input_alarm = None
        if self._input is None or self._sending is not None:
            return
        value, self._input = self._input, None
        if self._wrote_command:
            self._parameter_of = value if value in self._parameters else None
            self._polled_nibble = None
            self._commands.get(value, _nothing)()
        elif self._parameter_of is not None:
            command, self._parameter_of = self._parameter_of, None
            self._parameters[command](value)
        else:
            self._send(KEYBOARD, value)
        self._schedule()

    # The output buffer

    def _answer(self, byte: Byte) -> None:
        """Have `byte` follow what the guest has not read yet; it goes before what the devices want to send."""
        self._reply = byte
        self._stop_receiving()
        self._schedule()

    def _put(self, byte: Byte) -> None:
        self._output = byte
        self._output_full = True
        self._drive_lines()

    def _drive_lines(self) -> None:
        """Drive both interrupts. A disabled keyboard interrupts no one, not even with the controller's answers.

        IBM's text has every byte interrupt; but the A20 routines of the time disable the keyboard and then read an
        answer by polling, and must not lose it to interrupt 1's handler.
        """
        keyboard = self._output_full and not self._output.auxiliary
        command_byte = self._ram[0]
        self._irqs[0].set(bool(keyboard and command_byte & INTERRUPT_KEYBOARD and not command_byte & DISABLE_KEYBOARD))
        self._irqs[1].set(bool(self._output_full and self._output.auxiliary and command_byte & INTERRUPT_MOUSE))

    def _drive_a20(self) -> None:
        """Drive A20, only when the output port is written: port 92h may have a hand on the gate, too."""
        self._a20.set(bool(self._output_port & OUTPUT_A20))

    # The cables

    def _schedule(self) -> None:
        """Let the next byte come, after any change: an answer first, then the keyboard, then the mouse."""
        if self._output_full or self._sending is not None or self._receiving is not None:
            return
        if self._reply is not None:
            byte, self._reply = self._reply, None
            self._put(byte)
            return
        for cable, device in enumerate(self._devices):
            if device is not None and device.waiting and not self._ram[0] & DISABLE[cable]:
                self._receiving = cable
                self._transfer_alarm = self._clock.after(BYTE_NS, self._received)
                return

    def _stop_receiving(self) -> None:
        """Hold the clock low in the middle of a byte: the device keeps it and sends it from its start later."""
        if self._receiving is not None:
            self._receiving = None
            self._cancel(self._transfer_alarm)
            self._transfer_alarm = None

    def _received(self) -> None:
        self._transfer_alarm = None
        cable, self._receiving = self._receiving, None
        device = None if cable is None else self._devices[cable]
        value = None if device is None else device.take()
        if value is not None:
            self._keep(value, auxiliary=cable == MOUSE)
        self._schedule()

    def _keep(self, value: int, *, auxiliary: bool) -> None:
        """Put a device's byte into the output buffer, a key's translated to set 1 where the command byte says so."""
        if auxiliary or not self._ram[0] & TRANSLATE:
            self._put(Byte(value, auxiliary))
        elif value == BREAK_PREFIX:
            self._break_seen = True
        else:
            self._put(Byte(TRANSLATION[value] | (0x80 if self._break_seen else 0)))
            # An acknowledgement may come between the prefix and the code that it belongs to.
            self._break_seen &= value >= FIRST_ANSWER and value != SELF_TEST_PASSED

    def _send(self, cable: int, value: int) -> None:
        """Start sending `value`, which enables the cable and cuts short what a device was sending itself."""
        self._stop_receiving()
        self._ram[0] &= ~DISABLE[cable] & 0xFF
        self._sending, self._sending_value = cable, value
        self._transfer_alarm = self._clock.after(BYTE_NS, self._sent)
        self._drive_lines()

    def _sent(self) -> None:
        self._transfer_alarm = None
        cable, self._sending = self._sending, None
        device = None if cable is None else self._devices[cable]
        if device is not None:
            device.receive(self._sending_value)
        else:
            self._answer(Byte(RESEND, cable == MOUSE, STATUS_TIMEOUT))
        if self._input_alarm is None:
            self._take_input()
        self._schedule()

    # Commands

    def _command_table(self) -> dict[int, Callable[[], None]]:
        return {
            **{code: _bind(self._read_ram, code & 0x1F) for code in range(0x20, 0x40)},
            0xA4: lambda: self._answer(Byte(0xF1)),  # no password is installed
            0xA7: lambda: self._set_command_byte(self._ram[0] | DISABLE_MOUSE),
            0xA8: lambda: self._set_command_byte(self._ram[0] & ~DISABLE_MOUSE),
            0xA9: lambda: self._answer(Byte(0x00)),
            0xAA: self._self_test,
            0xAB: lambda: self._answer(Byte(0x00)),
            0xAD: lambda: self._set_command_byte(self._ram[0] | DISABLE_KEYBOARD),
            0xAE: lambda: self._set_command_byte(self._ram[0] & ~DISABLE_KEYBOARD),
            0xC0: lambda: self._answer(Byte(INPUT_PORT)),
            0xC1: lambda: self._poll(INPUT_PORT << 4 & 0xF0),
            0xC2: lambda: self._poll(INPUT_PORT & 0xF0),
            0xD0: lambda: self._answer(Byte(self._read_output_port())),
            0xDD: lambda: self._write_output_port(self._output_port & ~OUTPUT_A20),
            0xDF: lambda: self._write_output_port(self._output_port | OUTPUT_A20),
            0xE0: lambda: self._answer(Byte(self._test_inputs())),
            **{code: _bind(self._pulse, code & 0x0F) for code in range(0xF0, 0x100)},
        }

    def _parameter_table(self) -> dict[int, Callable[[int], None]]:
        return {
            **{code: _bind_value(self._write_ram, code & 0x1F) for code in range(0x60, 0x80)},
            0xD1: self._write_output_port,
            0xD2: lambda value: self._answer(Byte(value)),
            0xD3: lambda value: self._answer(Byte(value, auxiliary=True)),
            0xD4: lambda value: self._send(MOUSE, value),
        }

    def _read_ram(self, address: int) -> None:
        self._answer(Byte(self._ram[address]))

    def _write_ram(self, address: int, value: int) -> None:
        if address == 0:
            self._set_command_byte(value)
        else:
            self._ram[address] = value

    def _set_command_byte(self, value: int) -> None:
        self._ram[0] = value & 0xFF
        if self._receiving is not None and value & DISABLE[self._receiving]:
            self._stop_receiving()
        self._drive_lines()

    def _self_test(self) -> None:
        self._set_command_byte(self._ram[0] | SYSTEM_FLAG)
        self._answer(Byte(0x55))

    def _poll(self, nibble: int) -> None:
        """Show four bits of the input port in bits 7-4 of the status until the next command."""
        self._polled_nibble = nibble

    def _test_inputs(self) -> int:
        """Return the clock wires: bit 0 the keyboard's, bit 1 the mouse's; a disabled one is held low."""
        return sum(1 << cable for cable in (KEYBOARD, MOUSE) if not self._ram[0] & DISABLE[cable])

    def _read_output_port(self) -> int:
        full = OUTPUT_IRQ_12 if self._output.auxiliary else OUTPUT_IRQ_1
        return self._output_port | (full if self._output_full else 0)

    def _write_output_port(self, value: int) -> None:
        """Drive A20 and the reset line. Who holds reset low waits for ever on the AT; here it is a reset like FEh."""
        self._output_port = value & ~(OUTPUT_IRQ_1 | OUTPUT_IRQ_12) & 0xFF | OUTPUT_NOT_RESET
        self._drive_a20()
        if not value & OUTPUT_NOT_RESET:
            self._reset_cpu()

    def _pulse(self, mask: int) -> None:
        """Pull low, for 6 µs, the outputs whose bit in `mask` is clear; only the reset line's is long enough to see."""
        if not mask & OUTPUT_NOT_RESET:
            self._reset_cpu()

    @staticmethod
    def _cancel(alarm: Alarm | None) -> None:
        if alarm is not None:
            alarm.cancel()


def _bind(action: Callable[[int], None], argument: int) -> Callable[[], None]:
    return lambda: action(argument)


def _bind_value(action: Callable[[int, int], None], argument: int) -> Callable[[int], None]:
    return lambda value: action(argument, value)


def _due(alarm: Alarm | None) -> int | None:
    return None if alarm is None else alarm.due


def _nothing() -> None:
    """Be what the controller does on a command it does not know."""
