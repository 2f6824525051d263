"""The keyboard controller at 60h and 64h (IBM PS/2 Hardware Interface Technical Reference).

What the keyboard at its cable does is in `ps2_keyboard.py`. An answer is waited for as a driver waits, by the two bits
of the status register; so nothing here depends on how fast a controller is.
"""

from minivm.testing.contract import Contract, Probe

I8042 = Contract(
    "i8042",
    "8042 keyboard controller",
    "IBM PS/2 Hardware Interface Technical Reference, Keyboard and Auxiliary Device Controller",
)

DATA, STATUS, COMMAND = 0x60, 0x64, 0x64
OUTPUT_FULL, INPUT_FULL, AUXILIARY = 0x01, 0x02, 0x20
PUT_KEYBOARD, PUT_MOUSE = 0xD2, 0xD3
ECHO = 0xEE


def command(pc: Probe, value: int, *parameters: int) -> None:
    """Give the controller a command with its parameters, each as soon as the input buffer is free."""
    for port, byte in ((COMMAND, value), *((DATA, parameter) for parameter in parameters)):
        free(pc)
        pc.write(port, byte)
    free(pc)


def free(pc: Probe) -> None:
    """Wait until the input buffer is empty."""
    pc.waits_for(STATUS, INPUT_FULL, 0, "the controller takes its input", within_ms=10)


def send(pc: Probe, *values: int) -> None:
    """Send bytes to the keyboard."""
    for value in values:
        free(pc)
        pc.write(DATA, value)
    free(pc)


def answers(pc: Probe, *expected: int, what: str = "the answer") -> None:
    """Check the bytes that come to port 60h, one after the other."""
    for number, value in enumerate(expected, 1):
        words = what if len(expected) == 1 else f"byte {number} of {what}"
        pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, words)
        pc.reads(DATA, value, words)


def is_quiet(pc: Probe, what: str) -> None:
    """Check that nothing comes to port 60h for 20 ms."""
    pc.step(ms=20)
    pc.reads(STATUS, 0, what, mask=OUTPUT_FULL)


def program(pc: Probe, command_byte: int) -> None:
    """Write the command byte; nothing must wait in the output buffer."""
    command(pc, 0x60, command_byte)


def command_byte_is(pc: Probe, expected: int, what: str) -> None:
    """Check the command byte, but for its bits that are reserved."""
    command(pc, 0x20)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, what)
    pc.reads(DATA, expected, what, mask=0x77)


# -- status ---------------------------------------------------------------------------------------------------------
@I8042.case("reading port 60h empties the output buffer", "Status Register, bit 0")
def reading_empties(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, PUT_KEYBOARD, 0x5A)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.reads(DATA, 0x5A)
    pc.reads(STATUS, 0, "output full after the read", mask=OUTPUT_FULL)


@I8042.case("a byte in the output buffer stays until it is read", "Status Register, bit 0")
def output_is_held(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, PUT_KEYBOARD, 0xA5)
    pc.step(ms=50)
    pc.reads(STATUS, OUTPUT_FULL, "output full after 50 ms", mask=OUTPUT_FULL)
    pc.reads(DATA, 0xA5)


@I8042.case("the keyboard's next byte waits until the last one was read", "Status Register, bit 0")
def next_byte_waits(pc: Probe) -> None:
    program(pc, 0x24)
    send(pc, 0xF2)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.step(ms=50)
    answers(pc, 0xFA, 0xAB, 0x83, what="the keyboard's identity")


@I8042.case(
    "the input buffer is full right after a write, and empty when the controller has taken the byte",
    "Status Register, bit 1",
    differs={"QEMU": "acts within the OUT, bit 1 is never set: hw/input/pckbd.c, kbd_write_command"},
)
def input_full(pc: Probe) -> None:
    program(pc, 0x24)
    pc.write(COMMAND, 0xAE)
    pc.reads(STATUS, INPUT_FULL, "input full after the write", mask=INPUT_FULL)
    free(pc)


@I8042.case(
    "the system flag follows bit 2 of the command byte",
    "Status Register, bit 2; Controller Command Byte, bit 2",
    differs={"QEMU": "only the self test moves bit 2 of the status: hw/input/pckbd.c, kbd_write_data"},
)
def system_flag(pc: Probe) -> None:
    for flag in (0x04, 0x00, 0x04):
        program(pc, 0x20 | flag)
        pc.reads(STATUS, flag, "system flag", mask=0x04)


@I8042.case("the self test sets the system flag", "Status Register, bit 2; Controller Commands, AAh")
def self_test_sets_system_flag(pc: Probe) -> None:
    program(pc, 0x20)
    command(pc, 0xAA)
    answers(pc, 0x55)
    pc.reads(STATUS, 0x04, "system flag", mask=0x04)


@I8042.case(
    "bit 3 says whether the last write was a command or data",
    "Status Register, bit 3",
    differs={"QEMU": "bit 3 always reads 1: hw/input/pckbd.c, kbd_reset"},
)
def command_or_data(pc: Probe) -> None:
    program(pc, 0x24)
    pc.reads(STATUS, 0, "after port 60h", mask=0x08)
    command(pc, 0xAE)
    pc.reads(STATUS, 0x08, "after port 64h", mask=0x08)


@I8042.case("a keyboard that is not locked shows bit 4", "Status Register, bit 4")
def not_locked(pc: Probe) -> None:
    pc.reads(STATUS, 0x10, mask=0x10)


@I8042.case("bit 5 tells the mouse's bytes from the keyboard's", "Status Register, bit 5; Commands D2h and D3h")
def auxiliary_output(pc: Probe) -> None:
    program(pc, 0x04)
    for put, bit in ((PUT_KEYBOARD, 0), (PUT_MOUSE, AUXILIARY), (PUT_KEYBOARD, 0)):
        command(pc, put, 0x12)
        pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
        pc.reads(STATUS, OUTPUT_FULL | bit, f"after {put:X}h", mask=OUTPUT_FULL | AUXILIARY | 0xC0)
        pc.reads(DATA, 0x12)


# -- command byte ---------------------------------------------------------------------------------------------------
@I8042.case("the command byte reads back as it was written", "Controller Commands, 20h and 60h")
def command_byte_reads_back(pc: Probe) -> None:
    for value in (0x77, 0x00, 0x01, 0x02, 0x04, 0x10, 0x20, 0x40, 0x65):
        program(pc, value)
        command_byte_is(pc, value, "command byte")


@I8042.case("the controller's RAM keeps a byte for each address", "Controller Commands, 20h-3Fh and 60h-7Fh",
            differs={"QEMU": "has the command byte only, no RAM: hw/input/pckbd.c, kbd_write_command"})  # fmt: skip
def ram(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, 0x61, 0x11)
    command(pc, 0x7F, 0xEE)
    for read, value in ((0x21, 0x11), (0x3F, 0xEE)):
        command(pc, read)
        answers(pc, value, what=f"RAM by {read:X}h")
    command_byte_is(pc, 0x24, "command byte")


@I8042.case("ADh and AEh set and clear bit 4 of the command byte and no other", "Controller Commands, ADh and AEh")
def keyboard_switch(pc: Probe) -> None:
    program(pc, 0x47)
    command(pc, 0xAD)
    command_byte_is(pc, 0x57, "after ADh")
    command(pc, 0xAE)
    command_byte_is(pc, 0x47, "after AEh")


@I8042.case("A7h and A8h set and clear bit 5 of the command byte and no other", "Controller Commands, A7h and A8h")
def mouse_switch(pc: Probe) -> None:
    program(pc, 0x47)
    command(pc, 0xA7)
    command_byte_is(pc, 0x67, "after A7h")
    command(pc, 0xA8)
    command_byte_is(pc, 0x47, "after A8h")


@I8042.case("a disabled keyboard's bytes wait in the keyboard until AEh", "Controller Commands, ADh and AEh")
def disabled_keyboard_waits(pc: Probe) -> None:
    program(pc, 0x24)
    send(pc, 0xF2)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    command(pc, 0xAD)
    answers(pc, 0xFA)
    is_quiet(pc, "a byte from a disabled keyboard")
    command(pc, 0xAE)
    answers(pc, 0xAB, 0x83, what="the keyboard's identity")


@I8042.case("bit 4 of the command byte disables the keyboard as ADh does", "Controller Command Byte, bit 4")
def disabled_by_command_byte(pc: Probe) -> None:
    program(pc, 0x34)
    pc.press("a")
    is_quiet(pc, "a byte from a disabled keyboard")
    program(pc, 0x24)
    answers(pc, 0x1C, what="the key")


@I8042.case("a byte cut short by disabling the keyboard is sent again", "Controller Commands, ADh; Auxiliary Protocol")
def byte_cut_short(pc: Probe) -> None:
    for disable in ((0xAD,), (0x60, 0x34)):
        program(pc, 0x24)
        send(pc, 0xF2)
        answers(pc, 0xFA)
        pc.step(us=100)
        command(pc, *disable)
        came = pc.read(DATA) if pc.read(STATUS) & OUTPUT_FULL else None
        is_quiet(pc, "a byte from a disabled keyboard")
        command(pc, 0xAE)
        answers(pc, *((0xAB, 0x83) if came is None else (0x83,)), what="the identity")


@I8042.case("a byte written to port 60h enables a disabled keyboard", "Controller Commands, ADh")
def data_enables_keyboard(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, 0xAD)
    send(pc, ECHO)
    answers(pc, ECHO)
    command_byte_is(pc, 0x24, "command byte")


@I8042.case("a controller's answer can be had while the keyboard is disabled", "Controller Commands, ADh and 20h")
def answer_of_controller_comes_alone(pc: Probe) -> None:
    program(pc, 0x24)
    send(pc, 0xF2)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    command(pc, 0xAD)
    answers(pc, 0xFA)
    command_byte_is(pc, 0x34, "command byte")
    command(pc, 0xAE)
    answers(pc, 0xAB, 0x83, what="the keyboard's identity")


# -- tests ----------------------------------------------------------------------------------------------------------
@I8042.case("the self test answers 55h", "Controller Commands, AAh")
def self_test(pc: Probe) -> None:
    command(pc, 0xAA)
    answers(pc, 0x55)
    is_quiet(pc, "a byte after the answer")


@I8042.case("the keyboard's wires test good, 00h", "Controller Commands, ABh")
def keyboard_interface_test(pc: Probe) -> None:
    command(pc, 0xAB)
    answers(pc, 0x00)


@I8042.case("the mouse's wires test good, 00h", "Controller Commands, A9h")
def mouse_interface_test(pc: Probe) -> None:
    command(pc, 0xA9)
    answers(pc, 0x00)


@I8042.case("the input port says that the keyboard is not locked", "Controller Commands, C0h; Input Port, bit 7")
def input_port(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, 0xC0)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.reads(DATA, 0x80, "not locked", mask=0x80)


@I8042.case(
    "C1h and C2h show the input port's halves in status bits 7-4",
    "Controller Commands, C1h and C2h",
    differs={"QEMU": "does not know these commands: hw/input/pckbd.c, kbd_write_command"},
)
def poll_input_port(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, 0xC0)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    value = pc.read(DATA)
    for poll, half in ((0xC1, value << 4 & 0xF0), (0xC2, value & 0xF0)):
        command(pc, poll)
        pc.reads(STATUS, half, f"after {poll:X}h", mask=0xF0)
    command(pc, 0xAE)
    pc.reads(STATUS, 0x10, "the status's own bits after the next command", mask=0xF0)


@I8042.case(
    "the test inputs are the clock wires, low for a side that is disabled",
    "Controller Commands, E0h",
    differs={"QEMU": "does not know this command: hw/input/pckbd.c, kbd_write_command"},
)
def test_inputs(pc: Probe) -> None:
    for command_byte, wires in ((0x04, 0x03), (0x14, 0x02), (0x24, 0x01)):
        program(pc, command_byte)
        command(pc, 0xE0)
        answers(pc, wires, what=f"clock wires under command byte {command_byte:02X}h")


# -- what a byte is put into the output buffer for --------------------------------------------------------------------
@I8042.case("D2h puts a byte into port 60h as it is, even while scan codes are translated", "Controller Commands, D2h")
def put_is_not_translated(pc: Probe) -> None:
    program(pc, 0x64)
    command(pc, PUT_KEYBOARD, 0x1C)
    answers(pc, 0x1C)


@I8042.case("bytes are translated only while bit 6 of the command byte is set", "Controller Command Byte, bit 6")
def translation_switch(pc: Probe) -> None:
    for command_byte, identity in ((0x24, 0x83), (0x64, 0x41), (0x24, 0x83)):
        program(pc, command_byte)
        send(pc, 0xF2)
        answers(pc, 0xFA, 0xAB, identity, what=f"the identity under command byte {command_byte:02X}h")


@I8042.case("what is sent to the mouse is answered from the mouse's side", "Controller Commands, D4h")
def send_to_mouse(pc: Probe) -> None:
    program(pc, 0x04)
    command(pc, 0xD4, 0xF4)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL, "the mouse's answer")
    pc.reads(STATUS, AUXILIARY, "mouse's byte", mask=AUXILIARY)


@I8042.case("D4h enables a disabled mouse", "Controller Commands, D4h and A7h")
def data_enables_mouse(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, 0xD4, 0xF4)
    pc.waits_for(STATUS, OUTPUT_FULL | AUXILIARY, OUTPUT_FULL | AUXILIARY, "the mouse's answer")
    pc.read(DATA)
    command_byte_is(pc, 0x04, "command byte")


@I8042.case("a parameter goes to the command that wants it, and the next byte to the keyboard", "Controller Commands")
def parameter_is_used_once(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, PUT_KEYBOARD, 0x33)
    answers(pc, 0x33)
    send(pc, ECHO)
    answers(pc, ECHO, what="the keyboard's echo")


# -- interrupts -----------------------------------------------------------------------------------------------------
@I8042.case("IRQ 1 is high while a keyboard's byte waits, and low after the read", "Controller Command Byte, bit 0")
def irq_1(pc: Probe) -> None:
    program(pc, 0x25)
    pc.irq_is(1, False, "with an empty output buffer")
    command(pc, PUT_KEYBOARD, 0x01)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.irq_is(1, True, "while the byte waits")
    pc.irq_is(12, False, "the mouse's line")
    pc.read(DATA)
    pc.irq_is(1, False, "after the read")


@I8042.case("IRQ 1 falls between two bytes, so that each makes an edge", "Controller Command Byte, bit 0")
def irq_1_edges(pc: Probe) -> None:
    program(pc, 0x25)
    send(pc, 0xF2)
    for value in (0xFA, 0xAB, 0x83):
        pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
        pc.irq_is(1, True, f"before {value:X}h is read")
        pc.reads(DATA, value)
    pc.irq_is(1, False, "after the last")


@I8042.case("no byte raises IRQ 1 while bit 0 of the command byte is clear", "Controller Command Byte, bit 0")
def irq_1_masked(pc: Probe) -> None:
    program(pc, 0x26)
    send(pc, ECHO)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.irq_is(1, False)
    pc.irq_is(12, False)


@I8042.case("IRQ 12 is high while a mouse's byte waits, and low after the read", "Controller Command Byte, bit 1")
def irq_12(pc: Probe) -> None:
    program(pc, 0x07)
    command(pc, PUT_MOUSE, 0x08)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.irq_is(12, True, "while the byte waits")
    pc.irq_is(1, False, "the keyboard's line")
    pc.read(DATA)
    pc.irq_is(12, False, "after the read")


@I8042.case("no byte raises IRQ 12 while bit 1 of the command byte is clear", "Controller Command Byte, bit 1")
def irq_12_masked(pc: Probe) -> None:
    program(pc, 0x05)
    command(pc, PUT_MOUSE, 0x08)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.irq_is(12, False)
    pc.irq_is(1, False)


@I8042.case(
    "a byte that waits raises IRQ 1 when its interrupt is allowed, and lowers it when it is not",
    "Controller Command Byte, bit 0; Intel UPI-41/42, EN FLAGS: P24 is OBF while its latch is 1",
)
def irq_1_allowed_late(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, PUT_KEYBOARD, 0x66)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    for command_byte, level in ((0x25, True), (0x24, False), (0x25, True)):
        program(pc, command_byte)
        pc.irq_is(1, level, f"under command byte {command_byte:02X}h")
    pc.reads(DATA, 0x66)


NO_IRQ_WHILE_DISABLED = "no interrupt while the keyboard is disabled, so that A20 routines may poll"


@I8042.case(
    "an answer raises IRQ 1 even while the keyboard is disabled",
    "Controller Command Byte, bits 0 and 4",
    differs={
        "MiniVM": f"{NO_IRQ_WHILE_DISABLED}: docs/chips/keyboard.md",
        "QEMU": f"{NO_IRQ_WHILE_DISABLED}: hw/input/pckbd.c, kbd_update_irq_lines",
    },
)
def irq_1_while_disabled(pc: Probe) -> None:
    program(pc, 0x35)
    command(pc, 0xAB)
    pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
    pc.irq_is(1, True)


# -- output port ----------------------------------------------------------------------------------------------------
@I8042.case("the output port holds reset high and, when D1h says so, A20", "Controller Commands, D0h and D1h")
def output_port(pc: Probe) -> None:
    program(pc, 0x24)
    for value in (0xDD, 0xDF, 0xDD):
        command(pc, 0xD1, value)
        command(pc, 0xD0)
        pc.waits_for(STATUS, OUTPUT_FULL, OUTPUT_FULL)
        pc.reads(DATA, value & 0x03, "output port", mask=0x03)


def a20_is(pc: Probe, passes: bool, what: str) -> None:
    """Check address line 20 by two bytes of memory a mebibyte apart."""
    pc.poke(0x00600, b"\x11")
    pc.poke(0x100600, b"\x22")
    pc.equal(pc.peek(0x00600)[0], 0x11 if passes else 0x22, what)


@I8042.case("bit 1 of the output port opens and closes address line 20", "Output Port, bit 1")
def a20_by_output_port(pc: Probe) -> None:
    for value, passes in ((0xDF, True), (0xDD, False), (0xDF, True)):
        command(pc, 0xD1, value)
        a20_is(pc, passes, f"A20 after D1h {value:X}h")


@I8042.case("DDh and DFh close and open address line 20", "Controller Commands, DDh and DFh (HP Vectra, ISA clones)")
def a20_by_command(pc: Probe) -> None:
    for value, passes in ((0xDF, True), (0xDD, False), (0xDF, True)):
        command(pc, value)
        a20_is(pc, passes, f"A20 after {value:X}h")


@I8042.case("keys and other commands leave address line 20 alone", "Output Port, bit 1")
def only_the_output_port_moves_a20(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, 0xD1, 0xDD)
    send(pc, ECHO)
    answers(pc, ECHO)
    command(pc, 0xAA)
    answers(pc, 0x55)
    a20_is(pc, False, "A20")


@I8042.case("a pulse with bit 0 clear resets the machine, once", "Controller Commands, F0h-FFh")
def pulse_resets(pc: Probe) -> None:
    for number, value in enumerate((0xFE, 0xF0, 0xFA), 1):
        command(pc, value)
        pc.step(us=10)
        pc.equal(pc.system.resets(), number, f"resets after {value:X}h")


@I8042.case("a pulse with bit 0 set resets nothing", "Controller Commands, F0h-FFh")
def pulse_without_reset(pc: Probe) -> None:
    for value in (0xFF, 0xFD, 0xF1):
        command(pc, value)
        pc.step(us=10)
    pc.equal(pc.system.resets(), 0, "resets")


@I8042.case("the output port's bit 0, written as 0, resets the machine", "Output Port, bit 0")
def output_port_resets(pc: Probe) -> None:
    command(pc, 0xD1, 0xDE)
    pc.step(us=10)
    pc.equal(pc.system.resets(), 1, "resets")


@I8042.case("a command that nobody knows is not answered", "Controller Commands")
def unknown_command(pc: Probe) -> None:
    program(pc, 0x24)
    command(pc, 0x9A)
    is_quiet(pc, "a byte after 9Ah")
    command_byte_is(pc, 0x24, "command byte")
