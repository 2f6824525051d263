"""The serial port at 3F8h (National Semiconductor PC16550D) as an AT's card wires it: IRQ 4, gated by OUT2.

Cases go at 115200 baud, 8N1, unless they say otherwise: a character is 86.8 us. What the chip receives comes by its
own loopback or from the other end of the line.
"""

from minivm.testing.contract import Contract, Probe

UART = Contract("uart", "16550A serial port", "National Semiconductor PC16550D datasheet")

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH = range(0x3F8, 0x400)
FCR = IIR
DLAB, BREAK = 0x80, 0x40  # LCR
FORMAT_8N1 = 0x03
DTR, RTS, OUT1, OUT2, LOOPBACK = 0x01, 0x02, 0x04, 0x08, 0x10  # MCR
READY, OVERRUN, THRE, TEMT = 0x01, 0x02, 0x20, 0x40  # LSR
IDLE = THRE | TEMT
DCTS, DDSR, TERI, DDCD, CTS, DSR, RI, DCD = (1 << bit for bit in range(8))  # MSR
ON_DATA, ON_EMPTY, ON_LINE, ON_MODEM = 0x01, 0x02, 0x04, 0x08  # IER
FROM_MODEM, NONE, FROM_EMPTY, FROM_DATA, FROM_LINE, FROM_TIMEOUT = 0x00, 0x01, 0x02, 0x04, 0x06, 0x0C  # IIR
FIFOS = 0xC0  # IIR
CHARACTER_US = 86.8

SENT_AT_ONCE = "a byte is sent when it is written and takes no time (hw/char/serial.c, serial_xmit)"
CAME_AT_ONCE = "a byte from the other end takes no time on the line (hw/char/serial.c, serial_receive1)"
OUT2_ON_AT_RESET = "OUT2 is on after a reset (hw/char/serial.c, serial_reset)"
NO_GATE = "OUT2 does not gate the interrupt (hw/char/serial.c, serial_update_irq)"
NO_DELTAS = "in loopback the MSR is made from the MCR and has no changes (hw/char/serial.c, serial_ioport_read)"
ALL_EIGHT_BITS = "all eight bits go over the line whatever the LCR says (hw/char/serial.c, serial_xmit)"
BREAK_SENDS = "bytes reach the other end during a break too (hw/char/serial.c, serial_xmit)"
FCR_TAKEN = "the FCR's reset bits work without its bit 0 (hw/char/serial.c, serial_ioport_write)"
NOT_CUT_OFF = "bytes from the other end arrive in loopback too (hw/char/serial.c, serial_can_receive)"
NOT_DELAYED = "THRE is not delayed for a single byte: docs/chips/uart.md, known differences"
TWO_STOP_BITS = "five bits have two stop bits (hw/char/serial.c, serial_update_parameters)"


def start(
    pc: Probe,
    *,
    fifo: int = 0,
    enable: int = 0,
    modem: int = DTR | RTS | OUT2,
    divisor: int = 1,
    form: int = FORMAT_8N1,
) -> None:
    """Program every register, and answer what is pending."""
    pc.write(IER, 0)
    set_line(pc, divisor, form)
    pc.write(FCR, 0x00, fifo)
    pc.write(MCR, modem)
    for port in (DATA, LSR, MSR, IIR):
        pc.read(port)
    pc.write(IER, enable)


def set_line(pc: Probe, divisor: int, form: int) -> None:
    """Program the divisor latch and the LCR."""
    pc.write(LCR, DLAB | form)
    pc.write(DATA, divisor & 0xFF)
    pc.write(DATA + 1, divisor >> 8)
    pc.write(LCR, form)


def characters(pc: Probe, count: float) -> None:
    """Let so many character times pass."""
    pc.step(us=count * CHARACTER_US)


def loop(pc: Probe, *values: int) -> None:
    """Send bytes to itself, each when the one before has arrived."""
    for value in values:
        pc.write(DATA, value)
        characters(pc, 1.1)


def source_is(pc: Probe, expected: int, what: str = "") -> None:
    """Check what the IIR says without the bits of the FIFOs."""
    pc.reads(IIR, expected, what or "IIR", mask=0x0F)


# -- registers ------------------------------------------------------------------------------------------------------


@UART.case("a reset leaves IER, LCR zero, IIR 01h, LSR 60h and no change in MSR", "UART Reset Configuration")
def after_reset(pc: Probe) -> None:
    pc.reads(IER, 0x00, "IER")
    pc.reads(IIR, 0x01, "IIR")
    pc.reads(LCR, 0x00, "LCR")
    pc.reads(LSR, IDLE, "LSR")
    pc.reads(MSR, 0x00, "MSR", mask=0x0F)
    pc.irq_is(4, False)


@UART.case("a reset leaves the MCR zero", "UART Reset Configuration", differs={"QEMU": OUT2_ON_AT_RESET})
def mcr_after_reset(pc: Probe) -> None:
    pc.reads(MCR, 0x00)


@UART.case("the scratch register holds what is written", "Scratchpad Register")
def scratch(pc: Probe) -> None:
    for value in (0x00, 0xFF, 0x55, 0xAA):
        pc.write(SCRATCH, value)
        pc.reads(SCRATCH, value)


@UART.case("the LCR is read back, all eight bits", "Line Control Register")
def lcr_is_read_back(pc: Probe) -> None:
    for value in (0xFF, 0x00, 0x55, 0xAA, 0x1B):
        pc.write(LCR, value)
        pc.reads(LCR, value)


@UART.case("the IER has four bits; the upper four read as zero", "Interrupt Enable Register")
def ier_is_read_back(pc: Probe) -> None:
    start(pc)
    for value in (0xFF, 0x05, 0x0A, 0xF0):
        pc.write(IER, value)
        pc.reads(IER, value & 0x0F)


@UART.case("the MCR has five bits; the upper three read as zero", "Modem Control Register")
def mcr_is_read_back(pc: Probe) -> None:
    start(pc)
    for value in (0xFF, 0x0A, 0x15, 0xE0):
        pc.write(MCR, value)
        pc.reads(MCR, value & 0x1F)


@UART.case("with DLAB the divisor's halves stand in the place of data and IER", "Programmable Baud Generator")
def dlab_shows_the_divisor(pc: Probe) -> None:
    start(pc, enable=ON_LINE)
    set_line(pc, 0x1234, DLAB | FORMAT_8N1)
    pc.reads(DATA, 0x34, "DLL")
    pc.reads(DATA + 1, 0x12, "DLM")
    pc.write(DATA, 0x56)
    pc.reads(DATA + 1, 0x12, "DLM after a write of DLL")
    pc.write(DATA + 1, 0x78)
    pc.reads(DATA, 0x56, "DLL after a write of DLM")
    pc.write(LCR, FORMAT_8N1)
    pc.reads(IER, ON_LINE, "IER")


@UART.case("writing the divisor sends nothing and leaves THRE", "Programmable Baud Generator; Summary of Registers")
def the_divisor_is_not_sent(pc: Probe) -> None:
    start(pc)
    set_line(pc, 0x0001, FORMAT_8N1)
    pc.reads(LSR, IDLE)
    characters(pc, 2)
    pc.that(pc.system.sent_serial() == b"", "nothing was sent")


@UART.case("reading the divisor does not take the byte that was received", "Summary of Registers, DLAB")
def reading_the_divisor_takes_nothing(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0xA7)
    pc.write(LCR, DLAB | FORMAT_8N1)
    pc.reads(DATA, 0x01, "DLL")
    pc.write(LCR, FORMAT_8N1)
    pc.reads(LSR, IDLE | READY, "LSR")
    pc.reads(DATA, 0xA7, "RBR")


@UART.case("DLAB changes nothing but the first two registers", "Summary of Registers, DLAB")
def dlab_leaves_the_others(pc: Probe) -> None:
    start(pc)
    pc.write(SCRATCH, 0x96)
    pc.write(LCR, DLAB | FORMAT_8N1)
    pc.reads(IIR, 0x01, "IIR")
    pc.reads(MCR, DTR | RTS | OUT2, "MCR")
    pc.reads(LSR, IDLE, "LSR")
    pc.reads(SCRATCH, 0x96, "scratch")


# -- sending --------------------------------------------------------------------------------------------------------


@UART.case("bytes reach the other end in the order in which they were written", "Line Status Register, bits 5-6")
def bytes_are_sent(pc: Probe) -> None:
    start(pc)
    pc.write(DATA, 0x41, 0xBE)
    characters(pc, 2.1)
    pc.reads(LSR, IDLE)
    pc.that(pc.system.sent_serial() == b"\x41\xbe", "41h and BEh were sent")


@UART.case(
    "the holding register empties before the shift register",
    "Line Status Register, bits 5-6",
    differs={"QEMU": SENT_AT_ONCE},
)
def thre_comes_before_temt(pc: Probe) -> None:
    start(pc)
    pc.write(DATA, 0x41)
    characters(pc, 0.3)
    pc.reads(LSR, THRE, "LSR with a byte in the shift register")
    pc.write(DATA, 0x42)
    pc.reads(LSR, 0x00, "LSR with a byte in both")
    characters(pc, 1)
    pc.reads(LSR, THRE, "LSR a character later")


def time_to_send(pc: Probe, step_us: float) -> float:
    """Send a byte and return after how many microseconds TEMT came, not more than one step late."""
    pc.write(DATA, 0x55)
    waited = 0.0
    while not pc.read(LSR) & TEMT and waited < 1e6:
        pc.step(us=step_us)
        waited += step_us
    return waited


@UART.case("the divisor sets the time of a character", "Programmable Baud Generator", differs={"QEMU": SENT_AT_ONCE})
def the_divisor_sets_the_speed(pc: Probe) -> None:
    for divisor in (1, 2, 12, 0x100):
        character_us = 10 * divisor * 1e6 / 115200
        start(pc, divisor=divisor)
        waited = time_to_send(pc, character_us / 20)
        pc.between(round(waited), round(character_us * 0.94), round(character_us * 1.06), f"us with divisor {divisor}")


@UART.case(
    "stop bits, parity and length make a character longer",
    "Line Control Register, bits 0-3",
    differs={"QEMU": SENT_AT_ONCE},
)
def the_format_sets_the_length(pc: Probe) -> None:
    for form, bits in ((0x00, 7), (0x01, 8), (0x02, 9), (0x03, 10), (0x07, 11), (0x0B, 11), (0x1F, 12), (0x04, 7.5)):
        start(pc, divisor=96, form=form)
        waited = time_to_send(pc, 0.1 * 96e6 / 115200)
        pc.between(
            round(waited * 0.0012 * 10), round(bits * 10 - 2), round(bits * 10 + 2), f"tenth bits, LCR {form:02X}h"
        )


@UART.case(
    "the transmitter's FIFO takes sixteen bytes and sends them in order",
    "FIFO Control Register, bit 0; Line Status Register, bit 5",
)
def the_transmit_fifo(pc: Probe) -> None:
    start(pc, fifo=0x01)
    pc.write(DATA, *range(0x30, 0x40))
    characters(pc, 16.5)
    pc.reads(LSR, IDLE)
    pc.that(pc.system.sent_serial() == bytes(range(0x30, 0x40)), "sixteen bytes were sent")


@UART.case(
    "with FIFOs THRE says that the last byte has left the FIFO",
    "Line Status Register, bit 5",
    differs={"QEMU": SENT_AT_ONCE},
)
def thre_with_fifo(pc: Probe) -> None:
    start(pc, fifo=0x01)
    pc.write(DATA, 1, 2, 3, 4)
    characters(pc, 2.5)
    pc.reads(LSR, 0x00, "LSR with one byte left in the FIFO")
    characters(pc, 1.3)
    pc.reads(LSR, THRE, "LSR with the last in the shift register")


@UART.case(
    "resetting the transmitter's FIFO leaves the shift register alone",
    "FIFO Control Register, bit 2",
    differs={"QEMU": SENT_AT_ONCE},
)
def resetting_the_transmit_fifo(pc: Probe) -> None:
    start(pc, fifo=0x01)
    pc.write(DATA, *b"abc")
    characters(pc, 0.3)
    pc.write(FCR, 0x05)
    pc.reads(LSR, THRE)
    characters(pc, 4)
    pc.that(pc.system.sent_serial() == b"a", "only what was in the shift register was sent")


@UART.case("the word length cuts what is sent", "Line Control Register, bits 0-1", differs={"QEMU": ALL_EIGHT_BITS})
def word_lengths_sent(pc: Probe) -> None:
    start(pc)
    for form in (0x00, 0x01, 0x02, 0x03):
        pc.write(LCR, form)
        pc.write(DATA, 0xFF)
        characters(pc, 1.2)
    pc.that(pc.system.sent_serial() == b"\x1f\x3f\x7f\xff", "5, 6, 7 and 8 ones were sent")


@UART.case(
    "nothing reaches the other end during a break", "Line Control Register, bit 6", differs={"QEMU": BREAK_SENDS}
)
def break_sends_nothing(pc: Probe) -> None:
    start(pc, form=BREAK | FORMAT_8N1)
    pc.write(DATA, 0x41)
    characters(pc, 2)
    pc.that(pc.system.sent_serial() == b"", "no byte was sent")


@UART.case("a break acts on the pin only: the transmitter runs on", "Line Control Register, bit 6")
def break_leaves_the_transmitter(pc: Probe) -> None:
    start(pc, form=BREAK | FORMAT_8N1)
    pc.write(DATA, 0x41)
    characters(pc, 1.2)
    pc.reads(LSR, IDLE)
    pc.write(LCR, FORMAT_8N1)
    pc.write(DATA, 0x42)
    characters(pc, 1.2)
    pc.that(pc.system.sent_serial()[-1:] == b"\x42", "after the break 42h was sent")


# -- receiving ------------------------------------------------------------------------------------------------------


@UART.case("a byte from the line is ready until it is read", "Line Status Register, bit 0")
def a_byte_is_received(pc: Probe) -> None:
    start(pc)
    pc.system.send_serial(b"\xc5")
    characters(pc, 1.2)
    pc.reads(LSR, IDLE | READY, "LSR before")
    pc.reads(DATA, 0xC5, "RBR")
    pc.reads(LSR, IDLE, "LSR after")


@UART.case(
    "a byte from the line takes its character time", "Programmable Baud Generator", differs={"QEMU": CAME_AT_ONCE}
)
def receiving_takes_time(pc: Probe) -> None:
    start(pc, divisor=96)
    pc.system.send_serial(b"x")
    pc.step(ms=8)
    pc.reads(LSR, IDLE, "LSR before the stop bit")
    pc.step(ms=0.6)
    pc.reads(LSR, IDLE | READY, "LSR after the stop bit")


@UART.case("writing THR does not change RBR", "Summary of Registers")
def two_data_registers(pc: Probe) -> None:
    start(pc)
    pc.system.send_serial(b"\x3c")
    characters(pc, 1.2)
    pc.write(DATA, 0xC3)
    pc.reads(DATA, 0x3C, "RBR")


@UART.case("the receiver's FIFO holds sixteen bytes in order", "FIFO Control Register, bit 0")
def the_receive_fifo(pc: Probe) -> None:
    start(pc, fifo=0x01, modem=LOOPBACK)
    loop(pc, *range(0xE0, 0xF0))
    for value in range(0xE0, 0xF0):
        pc.reads(LSR, IDLE | READY, "LSR")
        pc.reads(DATA, value, "RBR")
    pc.reads(LSR, IDLE, "LSR when empty")


@UART.case("without FIFOs a second byte replaces the first, and that is an overrun", "Line Status Register, bit 1")
def overrun(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11)
    pc.reads(LSR, IDLE | READY, "LSR with one byte")
    loop(pc, 0x22)
    pc.reads(LSR, IDLE | READY | OVERRUN, "LSR with two")
    pc.reads(DATA, 0x22, "RBR")


@UART.case("reading the LSR clears the overrun, and reading data does not", "Line Status Register, bit 1")
def overrun_is_cleared(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11, 0x22)
    pc.read(DATA)
    pc.reads(LSR, IDLE | OVERRUN, "the first LSR")
    pc.reads(LSR, IDLE, "the second LSR")


@UART.case(
    "a full FIFO keeps its sixteen bytes; the next one is an overrun and lost", "Line Status Register, bit 1, FIFO mode"
)
def overrun_of_the_fifo(pc: Probe) -> None:
    start(pc, fifo=0x01, modem=LOOPBACK)
    loop(pc, *range(16))
    pc.reads(LSR, IDLE | READY, "LSR with sixteen")
    loop(pc, 0x99)
    pc.reads(LSR, IDLE | READY | OVERRUN, "LSR with seventeen")
    for value in range(16):
        pc.reads(DATA, value, "RBR")
    pc.reads(LSR, IDLE, "LSR when empty")


@UART.case("resetting the receiver's FIFO empties it, once", "FIFO Control Register, bit 1: self-clearing")
def resetting_the_receive_fifo(pc: Probe) -> None:
    start(pc, fifo=0x01, enable=ON_DATA, modem=LOOPBACK)
    loop(pc, 0x11, 0x22)
    pc.write(FCR, 0x03)
    pc.reads(LSR, IDLE, "LSR")
    source_is(pc, NONE)
    loop(pc, 0x33)
    pc.reads(LSR, IDLE | READY, "LSR with the next byte")
    pc.reads(DATA, 0x33, "RBR")


@UART.case("resetting the transmitter's FIFO leaves the receiver's alone", "FIFO Control Register, bits 1 and 2")
def one_fifo_of_two(pc: Probe) -> None:
    start(pc, fifo=0x01, modem=LOOPBACK)
    loop(pc, 0x11)
    pc.write(FCR, 0x05)
    pc.reads(LSR, IDLE | READY, "LSR")
    pc.reads(DATA, 0x11, "RBR")


@UART.case("resetting the receiver's FIFO leaves the transmitter's alone", "FIFO Control Register, bits 1 and 2")
def the_other_fifo_of_two(pc: Probe) -> None:
    start(pc, fifo=0x01)
    pc.write(DATA, *b"abc")
    pc.write(FCR, 0x03)
    characters(pc, 3.3)
    pc.that(pc.system.sent_serial() == b"abc", "all three bytes were sent")


@UART.case("changing the trigger level leaves the bytes in the FIFO", "FIFO Control Register, bits 6-7")
def a_new_trigger_level(pc: Probe) -> None:
    start(pc, fifo=0x81, enable=ON_DATA, modem=LOOPBACK)
    loop(pc, 0x11)
    source_is(pc, NONE)
    pc.write(FCR, 0x01)
    source_is(pc, FROM_DATA, "IIR with a trigger level of 1")
    pc.reads(DATA, 0x11, "RBR")


@UART.case("switching the FIFOs on empties the receiver", "FIFO Control Register, bit 0")
def switching_the_fifos_on(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11)
    pc.write(FCR, 0x01)
    pc.reads(LSR, IDLE)


@UART.case("switching the FIFOs off empties the receiver", "FIFO Control Register, bit 0")
def switching_the_fifos_off(pc: Probe) -> None:
    start(pc, fifo=0x01, modem=LOOPBACK)
    loop(pc, 0x11, 0x22)
    pc.write(FCR, 0x00)
    pc.reads(LSR, IDLE)


@UART.case("FCR bits written without bit 0 are not taken", "FIFO Control Register, bit 0", differs={"QEMU": FCR_TAKEN})
def fcr_without_bit_0(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11)
    pc.write(FCR, 0x06)
    pc.reads(LSR, IDLE | READY, "LSR")


@UART.case(
    "bits 7-6 of the IIR say whether the FIFOs are on, and bits 5-4 are zero",
    "Interrupt Identification Register, bits 4-7",
)
def iir_tells_of_fifos(pc: Probe) -> None:
    start(pc, fifo=0x01)
    pc.reads(IIR, FIFOS | NONE, "IIR with FIFOs")
    pc.write(FCR, 0x00)
    pc.reads(IIR, NONE, "IIR without")


# -- interrupts -----------------------------------------------------------------------------------------------------


@UART.case("received data raises IRQ 4 until it is read", "Interrupt Control Functions, second priority")
def received_data(pc: Probe) -> None:
    start(pc, enable=ON_DATA)
    pc.system.send_serial(b"a")
    characters(pc, 1.2)
    pc.irq_is(4, True, "with a byte")
    source_is(pc, FROM_DATA)
    source_is(pc, FROM_DATA, "IIR read again")
    pc.read(DATA)
    pc.irq_is(4, False, "without")
    source_is(pc, NONE)


@UART.case("what is not enabled does not interrupt, and does when enabled later", "Interrupt Enable Register")
def enabling_late(pc: Probe) -> None:
    start(pc, enable=ON_EMPTY | ON_LINE | ON_MODEM)
    pc.read(IIR)
    pc.system.send_serial(b"a")
    characters(pc, 1.2)
    pc.irq_is(4, False, "with the three others")
    source_is(pc, NONE)
    pc.write(IER, ON_DATA)
    pc.irq_is(4, True, "with received data")
    pc.write(IER, 0)
    pc.irq_is(4, False, "with nothing")


@UART.case(
    "OUT2 gates IRQ 4 and leaves the IIR alone", "AT Technical Reference, serial adapter", differs={"QEMU": NO_GATE}
)
def out2_gates(pc: Probe) -> None:
    start(pc, enable=ON_DATA, modem=DTR | RTS)
    pc.system.send_serial(b"a")
    characters(pc, 1.2)
    source_is(pc, FROM_DATA)
    pc.irq_is(4, False, "without OUT2")
    pc.write(MCR, DTR | RTS | OUT2)
    pc.irq_is(4, True, "with OUT2")


@UART.case("at its trigger level, not below, the FIFO interrupts", "FIFO Control Register, bits 6-7: 1, 4, 8, 14 bytes")
def trigger_levels(pc: Probe) -> None:
    for trigger, level in ((0x00, 1), (0x40, 4), (0x80, 8), (0xC0, 14)):
        start(pc, fifo=0x01 | trigger, enable=ON_DATA)
        for _ in range(level):
            source_is(pc, NONE, f"IIR below level {level}")
            pc.irq_is(4, False, f"below level {level}")
            pc.system.send_serial(b"x")
            characters(pc, 1.2)
        source_is(pc, FROM_DATA, f"IIR at level {level}")
        pc.irq_is(4, True, f"at level {level}")


@UART.case(
    "the interrupt goes when the FIFO falls below its trigger level",
    "Interrupt Control Functions; FIFO Interrupt Mode Operation",
)
def below_the_trigger_again(pc: Probe) -> None:
    start(pc, fifo=0x41, enable=ON_DATA, modem=LOOPBACK)
    loop(pc, 1, 2, 3, 4, 5)
    source_is(pc, FROM_DATA, "IIR with five bytes")
    pc.read(DATA)
    source_is(pc, FROM_DATA, "IIR with four")
    pc.read(DATA)
    source_is(pc, NONE, "IIR with three")


@UART.case(
    "four character times after the last byte the FIFO times out",
    "Interrupt Identification Register, bit 3; FIFO Interrupt Mode Operation",
)
def the_time_out(pc: Probe) -> None:
    start(pc, fifo=0x81, enable=ON_DATA)
    pc.system.send_serial(b"a")
    pc.waits_for(LSR, READY, READY, within_ms=0.2)
    characters(pc, 2.8)
    source_is(pc, NONE, "IIR early")
    pc.irq_is(4, False, "early")
    characters(pc, 1.4)
    source_is(pc, FROM_TIMEOUT, "IIR")
    pc.irq_is(4, True)


@UART.case("reading the byte answers the time-out", "FIFO Interrupt Mode Operation")
def the_time_out_is_answered(pc: Probe) -> None:
    start(pc, fifo=0x81, enable=ON_DATA)
    pc.system.send_serial(b"a")
    characters(pc, 6)
    pc.irq_is(4, True)
    pc.reads(DATA, ord("a"), "RBR")
    pc.irq_is(4, False)
    characters(pc, 6)
    source_is(pc, NONE, "IIR six characters later, with nothing in the FIFO")


@UART.case("each byte that arrives begins the four characters anew", "FIFO Interrupt Mode Operation")
def bytes_put_the_time_out_off(pc: Probe) -> None:
    start(pc, fifo=0x81, enable=ON_DATA, modem=LOOPBACK)
    for value in range(4):
        loop(pc, value)
        characters(pc, 1.8)
        source_is(pc, NONE, f"IIR after {value + 1} bytes")
    characters(pc, 3)
    source_is(pc, FROM_TIMEOUT, "IIR after a pause")


@UART.case("each byte that is read begins the four characters anew", "FIFO Interrupt Mode Operation")
def reads_put_the_time_out_off(pc: Probe) -> None:
    start(pc, fifo=0x81, enable=ON_DATA, modem=LOOPBACK)
    loop(pc, 1, 2, 3)
    characters(pc, 5)
    pc.read(DATA)
    source_is(pc, NONE, "IIR after the read")
    characters(pc, 3.7)
    source_is(pc, NONE, "IIR not yet four characters later")
    characters(pc, 0.6)
    source_is(pc, FROM_TIMEOUT, "IIR four characters later")


@UART.case("the time-out needs received data to be enabled", "FIFO Interrupt Mode Operation: IER bit 0")
def the_time_out_is_enabled(pc: Probe) -> None:
    start(pc, fifo=0x81, enable=ON_LINE, modem=LOOPBACK)
    loop(pc, 1)
    characters(pc, 6)
    source_is(pc, NONE, "IIR")
    pc.write(IER, ON_DATA)
    source_is(pc, FROM_TIMEOUT, "IIR when enabled")


@UART.case(
    "the time-out counts characters of the format and speed in use",
    "FIFO Interrupt Mode Operation; Programmable Baud Generator",
)
def the_time_out_counts_characters(pc: Probe) -> None:
    for divisor, form, bits in ((6, 0x02, 9), (2, 0x1F, 12), (12, 0x0A, 10)):
        character_us = bits * divisor * 1e6 / 115200
        start(pc, fifo=0x81, enable=ON_DATA, modem=LOOPBACK, divisor=divisor, form=form)
        pc.write(DATA, 0x15)
        pc.waits_for(LSR, READY, READY, within_ms=character_us / 500)
        pc.step(us=3.9 * character_us)
        source_is(pc, NONE, f"IIR early, LCR {form:02X}h")
        pc.step(us=0.2 * character_us)
        source_is(pc, FROM_TIMEOUT, f"IIR, LCR {form:02X}h")


@UART.case(
    "five bits with bit 2 set have one and a half stop bits",
    "Line Control Register, bit 2",
    differs={"QEMU": TWO_STOP_BITS},
)
def one_and_a_half_stop_bits(pc: Probe) -> None:
    start(pc, fifo=0x81, enable=ON_DATA, modem=LOOPBACK, divisor=12, form=0x04)
    pc.write(DATA, 0x15)
    pc.waits_for(LSR, READY, READY, within_ms=1.6)
    pc.step(us=4 * 7.5 * 12e6 / 115200 + 60)
    source_is(pc, FROM_TIMEOUT)


@UART.case(
    "enabling the transmitter's interrupt while THR is empty interrupts at once",
    "Interrupt Control Functions, third priority",
)
def thre_at_once(pc: Probe) -> None:
    start(pc)
    pc.irq_is(4, False, "before")
    pc.write(IER, ON_EMPTY)
    pc.irq_is(4, True, "enabled")
    source_is(pc, FROM_EMPTY)


@UART.case(
    "reading the IIR answers the transmitter, for good", "Interrupt Control Functions, third priority: reset control"
)
def reading_iir_answers(pc: Probe) -> None:
    start(pc, enable=ON_EMPTY)
    source_is(pc, FROM_EMPTY)
    pc.irq_is(4, False)
    characters(pc, 3)
    source_is(pc, NONE, "IIR later")
    pc.irq_is(4, False, "later")


@UART.case("each byte that leaves THR asks for the next", "Interrupt Control Functions, third priority")
def thre_asks_again(pc: Probe) -> None:
    start(pc, enable=ON_EMPTY)
    pc.read(IIR)
    pc.write(DATA, 0x41)
    characters(pc, 1.2)
    pc.irq_is(4, True, "after the first byte")
    source_is(pc, FROM_EMPTY, "after the first byte")
    pc.write(DATA, 0x42)
    characters(pc, 1.2)
    source_is(pc, FROM_EMPTY, "after the second")


@UART.case(
    "writing THR answers the transmitter",
    "Interrupt Control Functions, third priority: reset control",
    differs={"QEMU": SENT_AT_ONCE},
)
def writing_thr_answers(pc: Probe) -> None:
    start(pc, enable=ON_EMPTY)
    pc.write(DATA, 0x41, 0x42)
    pc.irq_is(4, False, "with bytes in both registers")
    source_is(pc, NONE)
    characters(pc, 1.2)
    source_is(pc, FROM_EMPTY, "IIR when THR is empty again")


@UART.case(
    "with FIFOs the transmitter asks when its FIFO has run empty",
    "FIFO Interrupt Mode Operation, XMIT FIFO",
    differs={"QEMU": SENT_AT_ONCE},
)
def thre_interrupt_with_fifo(pc: Probe) -> None:
    start(pc, fifo=0x01, enable=ON_EMPTY)
    pc.read(IIR)
    pc.write(DATA, 1, 2, 3, 4)
    characters(pc, 2.7)
    source_is(pc, NONE, "IIR with a byte in the FIFO")
    characters(pc, 1.3)
    source_is(pc, FROM_EMPTY, "IIR when it is empty")


@UART.case(
    "with FIFOs a single byte delays the transmitter's interrupt by a character",
    "FIFO Interrupt Mode Operation, XMIT FIFO",
    differs={"MiniVM": NOT_DELAYED, "QEMU": SENT_AT_ONCE},
)
def a_single_byte_delays_thre(pc: Probe) -> None:
    start(pc, fifo=0x01, enable=ON_EMPTY)
    pc.read(IIR)
    pc.write(DATA, 0x41)
    characters(pc, 0.5)
    source_is(pc, NONE, "IIR with the byte in the shift register")
    characters(pc, 0.7)
    source_is(pc, FROM_EMPTY, "IIR a character later")


@UART.case(
    "resetting the transmitter's FIFO empties it, and so the transmitter asks",
    "FIFO Control Register, bit 2; Interrupt Control Functions",
)
def the_transmit_fifo_is_reset(pc: Probe) -> None:
    start(pc, fifo=0x01, enable=ON_EMPTY)
    pc.write(DATA, 1, 2, 3)
    pc.write(FCR, 0x05)
    source_is(pc, FROM_EMPTY)


@UART.case("reading the IIR answers the transmitter only when it says so", "Interrupt Control Functions")
def iir_of_another(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11)
    pc.write(IER, ON_DATA | ON_EMPTY)
    source_is(pc, FROM_DATA)
    source_is(pc, FROM_DATA)
    pc.read(DATA)
    source_is(pc, FROM_EMPTY)
    source_is(pc, NONE)


@UART.case("an overrun interrupts before data, data before the transmitter", "Interrupt Control Functions, priorities")
def priorities(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11, 0x22)
    pc.write(IER, ON_DATA | ON_EMPTY | ON_LINE)
    source_is(pc, FROM_LINE)
    pc.reads(LSR, IDLE | READY | OVERRUN)
    source_is(pc, FROM_DATA)
    pc.read(DATA)
    source_is(pc, FROM_EMPTY)
    source_is(pc, NONE)


@UART.case("the time-out comes before the transmitter", "Interrupt Control Functions, priorities")
def the_time_out_comes_first(pc: Probe) -> None:
    start(pc, fifo=0x81, modem=LOOPBACK)
    loop(pc, 0x11)
    characters(pc, 5)
    pc.write(IER, ON_DATA | ON_EMPTY)
    source_is(pc, FROM_TIMEOUT)
    pc.read(DATA)
    source_is(pc, FROM_EMPTY)


@UART.case("an overrun needs its own enable bit", "Interrupt Enable Register, bit 2")
def line_status_is_enabled(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11, 0x22)
    pc.write(IER, ON_DATA)
    source_is(pc, FROM_DATA, "IIR with data enabled")
    pc.write(IER, ON_LINE)
    source_is(pc, FROM_LINE, "IIR with line status enabled")
    pc.read(LSR)
    source_is(pc, NONE, "IIR after the LSR was read")


@UART.case(
    "a change of the modem lines comes last", "Interrupt Control Functions, priorities", differs={"QEMU": NO_DELTAS}
)
def modem_comes_last(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    pc.write(MCR, LOOPBACK | RTS)
    pc.write(IER, ON_EMPTY | ON_MODEM)
    source_is(pc, FROM_EMPTY)
    source_is(pc, FROM_MODEM)
    source_is(pc, FROM_MODEM, "IIR read again")
    pc.read(MSR)
    source_is(pc, NONE)


@UART.case("reading the LSR lets IRQ 4 fall", "Interrupt Control Functions, highest priority: reset control")
def reading_lsr_answers(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    loop(pc, 0x11, 0x22)
    pc.write(MCR, OUT2)
    pc.write(IER, ON_LINE)
    pc.irq_is(4, True, "with an overrun")
    pc.read(LSR)
    pc.irq_is(4, False, "after the LSR was read")


@UART.case(
    "reading the MSR lets IRQ 4 fall", "Interrupt Control Functions, fourth priority", differs={"QEMU": NO_DELTAS}
)
def reading_msr_answers(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    pc.write(MCR, LOOPBACK | RTS)
    pc.write(IER, ON_MODEM)
    pc.write(MCR, OUT2)
    pc.irq_is(4, True, "with a change")
    pc.read(MSR)
    pc.irq_is(4, False, "after the MSR was read")


@UART.case(
    "a change of the modem lines needs its own enable bit",
    "Interrupt Enable Register, bit 3",
    differs={"QEMU": NO_DELTAS},
)
def modem_status_is_enabled(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    pc.write(MCR, LOOPBACK | RTS)
    pc.write(IER, ON_DATA | ON_LINE)
    source_is(pc, NONE, "IIR with data and line status enabled")
    pc.write(IER, ON_MODEM)
    source_is(pc, FROM_MODEM, "IIR with modem status enabled")


# -- loopback -------------------------------------------------------------------------------------------------------


@UART.case("in loopback a byte comes back, and the other end gets nothing", "Modem Control Register, bit 4")
def loopback(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    for value in (0x00, 0x5A, 0xFF):
        loop(pc, value)
        pc.reads(LSR, IDLE | READY, "LSR")
        pc.reads(DATA, value, "RBR")
    pc.that(pc.system.sent_serial() == b"", "nothing was sent")


@UART.case(
    "a byte in loopback takes its character time",
    "Modem Control Register, bit 4; Programmable Baud Generator",
    differs={"QEMU": SENT_AT_ONCE},
)
def loopback_takes_time(pc: Probe) -> None:
    start(pc, modem=LOOPBACK, divisor=12)
    pc.write(DATA, 0x5A)
    pc.step(us=1000)
    pc.reads(LSR, THRE, "LSR before the stop bit")
    pc.step(us=80)
    pc.reads(LSR, IDLE | READY, "LSR after the stop bit")


@UART.case(
    "loopback leads each modem output to its input",
    "Modem Control Register, bit 4: RTS, DTR, OUT1, OUT2 to CTS, DSR, RI, DCD",
)
def loopback_of_modem_lines(pc: Probe) -> None:
    start(pc)
    for output, given in ((RTS, CTS), (DTR, DSR), (OUT1, RI), (OUT2, DCD), (0, 0), (0x0F, 0xF0)):
        pc.write(MCR, LOOPBACK | output)
        pc.reads(MSR, given, f"MSR with MCR {LOOPBACK | output:02X}h", mask=0xF0)


@UART.case(
    "in loopback each change of CTS, DSR and DCD is told once",
    "Modem Status Register, bits 0, 1, 3",
    differs={"QEMU": NO_DELTAS},
)
def loopback_of_changes(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    for output, given, change in ((RTS, CTS, DCTS), (DTR, DSR, DDSR), (OUT2, DCD, DDCD)):
        pc.write(MCR, LOOPBACK | output)
        pc.reads(MSR, given | change, "MSR with the line on")
        pc.reads(MSR, given, "MSR read again")
        pc.write(MCR, LOOPBACK)
        pc.reads(MSR, change, "MSR with the line off")


@UART.case("changes gather until the MSR is read", "Modem Status Register, bits 0-3", differs={"QEMU": NO_DELTAS})
def changes_gather(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    for output in (RTS, RTS | DTR, DTR, DTR | OUT2):
        pc.write(MCR, LOOPBACK | output)
    pc.reads(MSR, DSR | DCD | DCTS | DDSR | DDCD)


@UART.case(
    "the ring indicator is told when it ends, not when it begins",
    "Modem Status Register, bit 2",
    differs={"QEMU": NO_DELTAS},
)
def ring_tells_its_end(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    pc.write(MCR, LOOPBACK | OUT1)
    pc.reads(MSR, RI, "MSR while it rings")
    pc.write(MCR, LOOPBACK)
    pc.reads(MSR, TERI, "MSR when it has ended")
    pc.reads(MSR, 0, "MSR read again")


@UART.case(
    "in loopback the word length cuts the byte", "Line Control Register, bits 0-1", differs={"QEMU": ALL_EIGHT_BITS}
)
def word_lengths(pc: Probe) -> None:
    for form, mask in ((0x00, 0x1F), (0x01, 0x3F), (0x02, 0x7F), (0x03, 0xFF)):
        start(pc, modem=LOOPBACK, form=form)
        loop(pc, 0xFF)
        pc.reads(DATA, mask, f"RBR with LCR {form:02X}h")


@UART.case(
    "in loopback every parity is received as it was sent",
    "Line Control Register, bits 3-5; Line Status Register, bit 2",
)
def parity_in_loopback(pc: Probe) -> None:
    for form in (0x0B, 0x1B, 0x2B, 0x3B):
        start(pc, modem=LOOPBACK, form=form)
        for value in (0x01, 0x03):
            pc.write(DATA, value)
            characters(pc, 1.3)
            pc.reads(LSR, IDLE | READY, f"LSR with LCR {form:02X}h")
            pc.reads(DATA, value, "RBR")


@UART.case(
    "loopback takes OUT2 from its pin, so that IRQ 4 is cut off",
    "Modem Control Register, bit 4",
    differs={"QEMU": NO_GATE},
)
def loopback_cuts_the_interrupt(pc: Probe) -> None:
    start(pc, enable=ON_DATA, modem=LOOPBACK | OUT2)
    loop(pc, 0x11)
    source_is(pc, FROM_DATA)
    pc.irq_is(4, False, "in loopback")
    pc.write(MCR, OUT2)
    pc.irq_is(4, True, "after it")


@UART.case(
    "in loopback the receiver does not hear the line",
    "Modem Control Register, bit 4: SIN",
    differs={"QEMU": NOT_CUT_OFF},
)
def loopback_cuts_the_line(pc: Probe) -> None:
    start(pc, modem=LOOPBACK)
    pc.system.send_serial(b"a")
    characters(pc, 3)
    pc.reads(LSR, IDLE)


@UART.case(
    "in loopback a byte in the FIFO interrupts like one from the line",
    "Modem Control Register, bit 4: interrupts operate",
)
def loopback_with_fifo(pc: Probe) -> None:
    start(pc, fifo=0x41, enable=ON_DATA, modem=LOOPBACK)
    loop(pc, 1, 2, 3)
    source_is(pc, NONE, "IIR below the trigger level")
    loop(pc, 4)
    source_is(pc, FROM_DATA, "IIR at the trigger level")
