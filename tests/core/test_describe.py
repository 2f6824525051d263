"""Descriptions of chips: fields, words, and which register an access reaches. Values from the chips' datasheets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.describe import Access, Chip, Field, Register, bits_set, decode, flag, listed, sentence, spoken
from minivm.core.record import replace
from minivm.devices.pic import PicState
from minivm.devices.pit import CounterState, PitState
from minivm.devices.registers import cmos, i8042, pic, pit, ps2_keyboard, small, system_control, uart, vga

IRS = tuple(f"IR{number}" for number in range(8))
MASTER = pic.describe("the PIC", IRS, master=True)
SLAVE = pic.describe("the PIC", IRS, master=False)
CHIPS = (
    MASTER, SLAVE, pic.describe_elcr("ELCR"), pit.describe("PIT"), uart.describe("UART"), cmos.describe("CMOS"),
    i8042.describe_data("60h"), i8042.describe_command("64h"), ps2_keyboard.describe("keyboard"), vga.describe("VGA"),
    system_control.describe_port_a("A"), system_control.describe_port_b("B"), small.describe_console("console"),
    small.describe_exit("exit"), small.describe_post("post"), small.describe_power("power"),
)  # fmt: skip


def says(chip: Chip, offset: int, value: int, state: object = None, *, write: bool = True) -> str:
    """Return "REGISTER: sentence" for one access."""
    register = chip.find(Access(offset, write, value), state)
    assert register is not None
    return f"{register.name}: {sentence(register, value, state)}"


def test_a_field_takes_its_bits_out_of_a_value():
    assert Field("RW", 5, 4).of(0b0011_0000) == 3
    assert Field("high", 15, 8).of(0x1234) == 0x12


def test_a_flag_speaks_when_it_is_set_and_a_wider_field_with_its_number():
    assert Field("PE", 2, 2, "parity error").words(1) == "parity error"
    assert Field("PE", 2, 2, "parity error").words(0) == ""
    assert Field("L", 2, 0, "level").words(5) == "level 5"
    assert Field("M", 1, 0, {0: "off"}).words(0) == "off"
    assert Field("M", 1, 0, {0: "off"}).words(2) == "reserved"
    assert Field("N", 3, 0, lambda number: f"{number} lines").words(7) == "7 lines"


def test_decode_gives_each_field_with_number_and_words():
    register = Register("CW", "control word", 3, "w", (Field("SC", 7, 6, "channel"), flag("BCD", 0, "BCD", "binary")))
    assert [(one.field.name, one.number, one.words) for one in decode(register, 0x41)] == [
        ("SC", 1, "channel 1"),
        ("BCD", 1, "BCD"),
    ]
    assert sentence(register, 0x40) == "channel 1, binary"


def test_words_are_joined_as_in_a_sentence():
    assert spoken(["a", "b", "c"]) == "a, b and c"
    assert spoken([]) == ""
    assert listed(["", "a", "", "b"]) == "a, b"
    assert bits_set(("CF", "", "PF"), 0b101) == ["CF", "PF"]


@pytest.mark.parametrize(
    ("chip", "offset", "value", "words"),
    [
        (MASTER, 0, 0x11, "ICW1: initialization begins, the vector base (ICW2) comes next; edge-triggered, "
                          "cascaded and ICW4 will follow"),
        (MASTER, 0, 0x20, "OCW2: non-specific end of interrupt: the highest in service is done"),
        (MASTER, 0, 0x64, "OCW2: end of interrupt of IR4"),
        (MASTER, 0, 0xC3, "OCW2: IR3 becomes the lowest priority"),
        (MASTER, 0, 0x0B, "OCW3: reads now show the ISR"),
        (MASTER, 0, 0x68, "OCW3: special mask mode on"),
        (MASTER, 1, 0xFE, "OCW1: only IR0 may now interrupt"),
        (MASTER, 1, 0xFF, "OCW1: every input is masked"),
        (MASTER, 1, 0x00, "OCW1: no input is masked"),
        (MASTER, 1, 0x40, "OCW1: masked: IR6"),
        (MASTER, 1, 0xF8, "OCW1: open: IR0; IR1; IR2; the others are masked"),
        (pit.describe("PIT"), 3, 0x36, "CW: channel 0, LSB, then MSB, mode 3, square wave, binary"),
        (pit.describe("PIT"), 3, 0x80, "LATCH: the count of channel 2 is held until read"),
        (pit.describe("PIT"), 3, 0xC2, "RBC: count and status of channel 0 are held until read"),
        (pit.describe("PIT"), 3, 0xEE, "RBC: status of channel 0, 1 and 2 is held until read"),
        (uart.describe("UART"), 0, 0x41, "THR: sends 'A' (41h)"),
        (uart.describe("UART"), 1, 0x05, "IER: interrupts for line status, received data"),
        (uart.describe("UART"), 2, 0xC7, "FCR: receiver interrupts at 14, empty the transmitter's FIFO, empty the "
                                         "receiver's FIFO, FIFOs on"),
        (uart.describe("UART"), 2, 0x06, "FCR: FIFOs off"),
        (uart.describe("UART"), 3, 0x03, "LCR: 8N1"),
        (uart.describe("UART"), 3, 0x9A, "LCR: 7E1, the first two ports are the divisor now"),
        (uart.describe("UART"), 3, 0x04, "LCR: 5N1.5"),
        (uart.describe("UART"), 4, 0x0B, "MCR: OUT2 on: interrupts reach the PIC, RTS on, DTR on"),
        (cmos.describe("CMOS"), 0, 0x8A, "INDEX: chooses register A, and masks the NMI"),
        (i8042.describe_command("64h"), 0, 0xD1, "COMMAND: write the output port; it follows at port 60h"),
        (i8042.describe_command("64h"), 0, 0xFE, "COMMAND: pulse the reset line: the CPU is reset"),
        (i8042.describe_data("60h"), 0, 0xED, "KEYBOARD: EDh goes to the keyboard"),
        (ps2_keyboard.describe("keyboard"), 0, 0xF4, "COMMAND: start scanning"),
        (system_control.describe_port_a("A"), 0, 0x02, "PORT A: A20 open"),
        (system_control.describe_port_a("A"), 0, 0x01, "PORT A: A20 closed at this port, and the CPU is reset"),
        (system_control.describe_port_b("B"), 0, 0x03,
         "PORT B: the timer reaches the speaker, timer channel 2 may count"),
        (small.describe_exit("exit"), 0, 0x10, "EXIT: the machine ends, with status 33"),
        (small.describe_power("power"), 0, 0x2000, "PM1a_CNT: the machine goes off"),
        (vga.describe("VGA"), 0x24, 0x0E, "CRTC INDEX: chooses cursor location, high byte"),
        (vga.describe("VGA"), 0x12, 0x67, "MISC: horizontal sync negative, 28.322 MHz, memory on, CRTC at 3D4h"),
    ],
)  # fmt: skip
def test_a_write_is_told_in_words(chip, offset, value, words):
    assert says(chip, offset, value) == words


@pytest.mark.parametrize(
    ("awaited", "name"), [(0, "OCW1"), (1, "OCW1"), (2, "ICW2"), (3, "ICW3"), (4, "ICW4")]
)  # fmt: skip
def test_what_the_pics_second_port_is_depends_on_the_initialization(awaited, name):
    register = MASTER.find(Access(1, True, 0x08), PicState(awaited=awaited))
    assert register is not None
    assert register.name == name


def test_the_initialization_words_are_told():
    assert says(MASTER, 1, 0x20, PicState(awaited=2)) == "ICW2: its interrupts are vectors 20h to 27h"
    assert says(MASTER, 1, 0x04, PicState(awaited=3)) == "ICW3: slaves at IR2"
    assert says(SLAVE, 1, 0x02, PicState(awaited=3)) == "ICW3: the master's input 2"
    assert says(MASTER, 1, 0x01, PicState(awaited=4)).endswith("the handler must send an end of interrupt, 8086 mode")


def test_a_read_of_the_pic_shows_irr_isr_or_the_answer_to_a_poll():
    assert says(MASTER, 0, 0x02, PicState(), write=False) == "IRR: requested by IR1"
    assert says(MASTER, 0, 0x02, PicState(read_isr=True), write=False) == "ISR: in service: IR1"
    assert says(MASTER, 0, 0x81, PicState(poll=True), write=False) == "POLL: a request was acknowledged, level 1"
    assert says(MASTER, 1, 0xFF, PicState(), write=False) == "OCW1: every input is masked"


def pit_state(**fields: object) -> PitState:
    counter = CounterState(**fields)
    return PitState((counter, CounterState(), CounterState()))


def test_a_count_is_told_when_its_last_byte_comes():
    both = {"control": 0x36}
    chip = pit.describe("PIT")
    assert says(chip, 0, 0xA9, pit_state(**both)) == "C0: A9h, the low byte of the count; the high byte follows"
    assert says(chip, 0, 0x04, pit_state(**both, low_byte=0xA9)) == (
        "C0: the count is 1193, so OUT goes round 1000.15 times a second"
    )
    assert says(chip, 0, 0x00, pit_state(**both, low_byte=0)) == (
        "C0: the count is 0, which means 65536, so OUT goes round 18.2065 times a second"
    )
    assert says(chip, 0, 0x10, pit_state(control=0x10)) == "C0: the count is 16, which takes 13.41 us"


def test_dlab_turns_the_uarts_first_ports_into_the_divisor():
    chip, state = uart.describe("UART"), uart_state(line_control=0x83, divisor=1)
    assert says(chip, 0, 0x0C, state) == "DLL: the divisor is 12: 9600 baud"
    assert says(chip, 1, 0x01, state) == "DLM: the divisor is 257: 448.249 baud"


def uart_state(**fields: object):
    from minivm.core.clock import Clock
    from minivm.core.device import Wire
    from minivm.devices.uart import Uart

    return replace(Uart(Clock(), Wire(), lambda byte: None).state(), **fields)


@given(st.sampled_from(CHIPS), st.integers(0, 0x2F), st.booleans(), st.integers(0, 0xFFFF_FFFF))
@settings(max_examples=300, deadline=None)
def test_every_value_of_every_register_has_words(chip, offset, write, value):
    register = chip.find(Access(offset, write, value if write else None))
    if register is not None:
        assert isinstance(sentence(register, value & 0xFF), str)
        decode(register, value)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_fields_lie_inside_their_register_and_do_not_overlap(chip):
    for register in chip.registers:
        taken = 0
        for field in register.fields:
            mask = (1 << field.high_bit + 1) - (1 << field.low_bit)
            assert field.high_bit >= field.low_bit, (register.name, field.name)
            assert not taken & mask, (register.name, field.name)
            taken |= mask
