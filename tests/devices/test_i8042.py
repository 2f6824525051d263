"""i8042, by the IBM PC AT Technical Reference and the IBM PS/2 Hardware Interface Technical Reference."""

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.core.keys import SCAN_CODES
from minivm.devices.i8042 import BYTE_NS, COMMAND_NS, I8042, I8042State

OBF, IBF, SYSTEM, COMMAND, UNLOCKED, AUXILIARY, TIMEOUT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40


class FakeDevice:
    """Something at the end of a cable that sends what the test puts into it and notes what it gets."""

    def __init__(self) -> None:
        self.queue: deque[int] = deque()
        self.received: list[int] = []
        self.answers: dict[int, bytes] = {}
        self._ready: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> bool:
        return bool(self.queue)

    def connect(self, ready: Callable[[], None]) -> None:
        self._ready = ready

    def take(self) -> int | None:
        return self.queue.popleft() if self.queue else None

    def receive(self, value: int) -> None:
        self.received.append(value)
        self.send(self.answers.get(value, b""))

    def send(self, data: bytes) -> None:
        self.queue.extend(data)
        self._ready()


class Bench:
    """The controller with two fake devices and its wires."""

    def __init__(self, *, mouse: bool = True, a20_at_reset: bool = True) -> None:
        self.clock = Clock()
        self.keyboard = FakeDevice()
        self.mouse = FakeDevice()
        self.irq1, self.irq12, self.a20 = Wire(), Wire(), Wire()
        self.resets = 0
        self.chip = I8042(
            self.clock,
            keyboard=self.keyboard,
            mouse=self.mouse if mouse else None,
            irq1=self.irq1,
            irq12=self.irq12,
            a20=self.a20,
            reset=self._reset,
            a20_at_reset=a20_at_reset,
        )

    def _reset(self) -> None:
        self.resets += 1

    @property
    def status(self) -> int:
        return self.chip.command.read(0, 1)

    def read(self) -> int:
        return self.chip.data.read(0, 1)

    def write(self, value: int) -> None:
        """Write port 60h as a polite guest does: waiting until it is taken."""
        self.chip.data.write(0, 1, value)
        self.wait(lambda: not self.status & IBF)

    def command(self, value: int, *parameters: int) -> None:
        self.chip.command.write(0, 1, value)
        self.wait(lambda: not self.status & IBF)
        for parameter in parameters:
            self.write(parameter)

    def ask(self, command: int) -> int:
        self.command(command)
        assert self.status & OBF
        return self.read()

    def wait(self, done: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if done():
                return
            self.clock.advance(1000)
        raise AssertionError("it never happened")

    def collect(self) -> bytes:
        """Read like an interrupt handler until nothing has come for a while."""
        values = bytearray()
        for _ in range(200):
            self.clock.advance(BYTE_NS // 10)
            if self.status & OBF:
                values.append(self.read())
        return bytes(values)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# Bytes from the keyboard


def test_a_key_arrives_after_its_time_on_the_cable_and_interrupts(bench: Bench) -> None:
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS - 1)
    assert not bench.status & OBF
    assert not bench.irq1.level
    bench.clock.advance(1)
    assert bench.status & OBF
    assert bench.irq1.level
    assert not bench.status & AUXILIARY


def test_reading_empties_the_buffer_and_lowers_the_line(bench: Bench) -> None:
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS)
    assert bench.read() == 0x1E
    assert not bench.status & OBF
    assert not bench.irq1.level
    assert bench.read() == 0x1E, "the buffer keeps its last value"


def test_the_next_byte_waits_until_the_last_was_read(bench: Bench) -> None:
    bench.keyboard.send(b"\x1c\x32")
    bench.clock.advance(10 * BYTE_NS)
    assert list(bench.keyboard.queue) == [0x32]
    assert bench.read() == 0x1E
    bench.clock.advance(BYTE_NS - 1)
    assert not bench.status & OBF
    bench.clock.advance(1)
    assert bench.read() == 0x30


@pytest.mark.parametrize("key", sorted(SCAN_CODES[2]))
def test_every_key_is_translated_to_set_1(bench: Bench, key: str) -> None:
    codes = SCAN_CODES[2][key]
    bench.keyboard.send(codes.make + codes.release)
    assert bench.collect() == SCAN_CODES[1][key].make + SCAN_CODES[1][key].release


def test_without_translation_the_bytes_pass_as_they_are(bench: Bench) -> None:
    bench.command(0x60, 0x25)
    bench.keyboard.send(b"\xe0\xf0\x75")
    assert bench.collect() == b"\xe0\xf0\x75"


def test_answers_are_not_translated_and_do_not_eat_a_break_prefix(bench: Bench) -> None:
    bench.keyboard.send(b"\xf0\xfa\x1c\x1c")
    assert bench.collect() == b"\xfa\x9e\x1e"


def test_interrupts_follow_the_command_byte(bench: Bench) -> None:
    bench.command(0x60, 0x44)
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS)
    assert bench.status & OBF
    assert not bench.irq1.level
    bench.command(0x60, 0x45)
    assert bench.irq1.level


def test_a_disabled_keyboard_keeps_its_bytes(bench: Bench) -> None:
    bench.command(0xAD)
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(10 * BYTE_NS)
    assert not bench.status & OBF
    bench.command(0xAE)
    bench.clock.advance(BYTE_NS)
    assert bench.read() == 0x1E


def test_disabling_in_the_middle_of_a_byte_has_it_sent_again(bench: Bench) -> None:
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS // 2)
    bench.command(0xAD)
    bench.clock.advance(10 * BYTE_NS)
    assert list(bench.keyboard.queue) == [0x1C]
    bench.command(0xAE)
    assert bench.collect() == b"\x1e"


# Bytes to the devices


def test_a_byte_to_port_60h_goes_to_the_keyboard(bench: Bench) -> None:
    bench.keyboard.answers[0xED] = b"\xfa"
    bench.write(0xED)
    assert bench.keyboard.received == []
    bench.clock.advance(BYTE_NS)
    assert bench.keyboard.received == [0xED]
    assert bench.collect() == b"\xfa"


def test_a_second_byte_waits_in_the_input_buffer_until_the_first_is_sent(bench: Bench) -> None:
    bench.write(0xF2)
    bench.clock.advance(BYTE_NS)
    bench.chip.data.write(0, 1, 0xED)
    bench.clock.advance(COMMAND_NS)
    bench.chip.data.write(0, 1, 0x02)
    assert bench.keyboard.received == [0xF2, 0xED], "a guest that does not wait is served at once"
    assert bench.status & IBF
    bench.clock.advance(COMMAND_NS + BYTE_NS)
    assert not bench.status & IBF
    assert bench.keyboard.received == [0xF2, 0xED, 0x02]


def test_sending_enables_a_disabled_keyboard(bench: Bench) -> None:
    bench.command(0xAD)
    bench.write(0xF4)
    assert not bench.ask(0x20) & 0x10


def test_sending_interrupts_what_the_keyboard_sends(bench: Bench) -> None:
    bench.keyboard.answers[0xEE] = b"\xee"
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS // 2)
    bench.write(0xEE)
    assert bench.collect() == b"\x1e\xee"


def test_d4_sends_to_the_mouse_and_its_answer_interrupts_12(bench: Bench) -> None:
    bench.command(0x60, 0x47)
    bench.mouse.answers[0xF4] = b"\xfa"
    bench.command(0xD4, 0xF4)
    bench.wait(lambda: bool(bench.status & OBF))
    assert bench.mouse.received == [0xF4]
    assert bench.status & AUXILIARY
    assert bench.irq12.level
    assert not bench.irq1.level
    assert bench.read() == 0xFA
    assert not bench.irq12.level


def test_without_a_mouse_its_bytes_time_out() -> None:
    bench = Bench(mouse=False)
    bench.command(0xD4, 0xFF)
    bench.clock.advance(BYTE_NS)
    assert bench.status & (OBF | AUXILIARY | TIMEOUT) == OBF | AUXILIARY | TIMEOUT
    assert bench.read() == 0xFE
    assert not bench.status & TIMEOUT


def test_mouse_bytes_are_never_translated(bench: Bench) -> None:
    bench.command(0xA8)
    bench.mouse.send(b"\x08\xf0\x1c")
    assert bench.collect() == b"\x08\xf0\x1c"


# Status


def test_the_status_at_power_on(bench: Bench) -> None:
    assert bench.status == SYSTEM | UNLOCKED


def test_the_input_buffer_is_full_until_the_command_is_taken(bench: Bench) -> None:
    bench.chip.command.write(0, 1, 0xAA)
    assert bench.status & (IBF | COMMAND) == IBF | COMMAND
    bench.clock.advance(COMMAND_NS)
    assert bench.status & (IBF | COMMAND | OBF) == COMMAND | OBF


def test_the_command_bit_tells_which_port_was_written_last(bench: Bench) -> None:
    bench.command(0xD1)
    assert bench.status & COMMAND
    bench.write(0x03)
    assert not bench.status & COMMAND


def test_the_system_flag_is_bit_2_of_the_command_byte(bench: Bench) -> None:
    bench.command(0x60, 0x41)
    assert not bench.status & SYSTEM
    bench.command(0xAA)
    assert bench.status & SYSTEM


def test_c1_and_c2_show_the_input_port_in_the_status_until_the_next_command(bench: Bench) -> None:
    port = bench.ask(0xC0)
    bench.command(0xC1)
    assert bench.status >> 4 == port & 0x0F
    bench.command(0xC2)
    assert bench.status >> 4 == port >> 4
    bench.command(0xAE)
    assert bench.status & 0xF0 == UNLOCKED


# Commands


@pytest.mark.parametrize(
    ("command", "answer"),
    [(0xAA, 0x55), (0xAB, 0x00), (0xA9, 0x00), (0xA4, 0xF1), (0xC0, 0xB3), (0x20, 0x65), (0xE0, 0x01)],
)
def test_commands_that_answer(bench: Bench, command: int, answer: int) -> None:
    assert bench.ask(command) == answer


def test_the_command_byte_is_written_and_read_back(bench: Bench) -> None:
    bench.command(0x60, 0x61)
    assert bench.ask(0x20) == 0x61


@pytest.mark.parametrize("address", [1, 0x0F, 0x1F])
def test_the_ram_keeps_what_is_written(bench: Bench, address: int) -> None:
    bench.command(0x60 | address, 0xA5)
    assert bench.ask(0x20 | address) == 0xA5
    assert bench.ask(0x20) == 0x65


@pytest.mark.parametrize(
    ("command", "bit", "value"), [(0xA7, 0x20, 1), (0xA8, 0x20, 0), (0xAD, 0x10, 1), (0xAE, 0x10, 0)]
)
def test_enabling_and_disabling_shows_in_the_command_byte(bench: Bench, command: int, bit: int, value: int) -> None:
    bench.command(0x60, 0x45 | (0 if value else bit))
    bench.command(command)
    assert bool(bench.ask(0x20) & bit) == bool(value)


def test_e0_tells_the_clock_wires(bench: Bench) -> None:
    bench.command(0xA8)
    bench.command(0xAD)
    assert bench.ask(0xE0) == 0x02


def test_d2_and_d3_put_bytes_into_the_output_buffer(bench: Bench) -> None:
    bench.command(0x60, 0x47)
    bench.command(0xD2, 0x99)
    assert bench.irq1.level
    assert bench.read() == 0x99
    bench.command(0xD3, 0x88)
    assert bench.irq12.level
    assert bench.status & AUXILIARY
    assert bench.read() == 0x88


def test_an_answer_waits_for_the_buffer_and_goes_before_keys(bench: Bench) -> None:
    bench.keyboard.send(b"\x1c\x32")
    bench.clock.advance(BYTE_NS)
    bench.command(0xAA)
    assert bench.read() == 0x1E
    assert bench.read() == 0x55
    assert bench.collect() == b"\x30"


def test_a_disabled_keyboard_lets_answers_be_polled_without_an_interrupt(bench: Bench) -> None:
    bench.command(0xAD)
    bench.command(0xD0)
    assert bench.status & OBF
    assert not bench.irq1.level


def test_an_answer_is_there_for_a_guest_that_does_not_wait(bench: Bench) -> None:
    bench.chip.command.write(0, 1, 0xD0)
    assert bench.read() == 0xCF


def test_unknown_commands_change_nothing(bench: Bench) -> None:
    before = bench.chip.state()
    for command in (0x00, 0x80, 0xA1, 0xB0, 0xC8, 0xEF):
        bench.command(command)
    after = bench.chip.state()
    assert (after.ram, after.output_port, after.output_full) == (before.ram, before.output_port, False)


# A20 and reset


def test_a20_at_power_on_is_what_the_constructor_says() -> None:
    assert Bench().a20.level
    assert not Bench(a20_at_reset=False).a20.level


def test_the_output_port_opens_and_closes_a20(bench: Bench) -> None:
    bench.command(0xD1, 0xDD)
    assert not bench.a20.level
    assert not bench.ask(0xD0) & 0x02
    bench.command(0xD1, 0xDF)
    assert bench.a20.level
    assert bench.ask(0xD0) & 0x03 == 0x03
    assert bench.resets == 0


def test_dd_and_df_are_the_short_way(bench: Bench) -> None:
    bench.command(0xDD)
    assert not bench.a20.level
    bench.command(0xDF)
    assert bench.a20.level


def test_only_the_output_port_moves_a20(bench: Bench) -> None:
    bench.a20.set(False)  # as port 92h would
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS)
    bench.command(0xAE)
    assert not bench.a20.level


def test_the_output_port_shows_the_interrupt_that_waits(bench: Bench) -> None:
    bench.command(0xD2, 0x00)
    bench.command(0xD0)
    assert bench.read() == 0x00
    assert bench.read() & 0x30 == 0x10
    assert bench.ask(0xD0) & 0x30 == 0
    bench.command(0xD3, 0x00)
    bench.command(0xD0)
    assert bench.read() == 0x00
    assert bench.read() & 0x30 == 0x20


def test_fe_resets_the_cpu(bench: Bench) -> None:
    bench.command(0xFE)
    assert bench.resets == 1


def test_pulses_on_other_lines_do_not(bench: Bench) -> None:
    for command in (0xFF, 0xF1, 0xFD):
        bench.command(command)
    assert bench.resets == 0


def test_an_output_port_with_reset_low_resets(bench: Bench) -> None:
    bench.command(0xD1, 0xFE)
    assert bench.resets == 1
    assert bench.ask(0xD0) & 0x01


# Snapshots and anything at all


def restored(bench: Bench) -> Bench:
    copy = Bench()
    copy.clock.reset_to(bench.clock.now)
    copy.keyboard.queue.extend(bench.keyboard.queue)
    copy.mouse.queue.extend(bench.mouse.queue)
    copy.keyboard.answers = bench.keyboard.answers
    copy.chip.restore(bench.chip.state())
    return copy


def test_a_restored_controller_goes_on_receiving(bench: Bench) -> None:
    bench.command(0xDD)
    bench.keyboard.send(b"\xf0\x1c\x32")
    bench.clock.advance(BYTE_NS * 3 // 2)
    copy = restored(bench)
    assert copy.chip.state() == bench.chip.state()
    assert copy.a20.level == bench.a20.level
    assert copy.collect() == bench.collect() == b"\x9e\x30"


def test_a_restored_controller_goes_on_sending(bench: Bench) -> None:
    bench.keyboard.answers[0xEE] = b"\xee"
    bench.write(0xEE)
    bench.chip.command.write(0, 1, 0xAA)
    bench.chip.command.write(0, 1, 0xAB)
    copy = restored(bench)
    assert copy.chip.state() == bench.chip.state()
    assert copy.collect() == bench.collect()


def test_a_restored_controller_drives_its_lines(bench: Bench) -> None:
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS)
    assert restored(bench).irq1.level


def test_reset_lowers_the_lines_and_forgets_the_cable(bench: Bench) -> None:
    fresh = bench.chip.state()
    bench.command(0xD1, 0xDD)
    bench.keyboard.send(b"\x1c")
    bench.clock.advance(BYTE_NS)
    bench.command(0xD1)
    bench.chip.reset()
    assert bench.chip.state() == fresh
    assert not bench.irq1.level
    assert bench.a20.level


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read 60", "write 60", "read 64", "write 64", "advance", "key", "mouse"]),
            st.integers(0, 0xFFFF_FFFF),
            st.sampled_from([1, 2, 4]),
        ),
        max_size=60,
    )
)
def test_nothing_a_guest_does_raises_and_every_state_can_be_restored(steps: list[tuple[str, int, int]]) -> None:
    bench = Bench()
    bench.keyboard.answers[0xEE] = b"\xee"
    for action, value, size in steps:
        match action:
            case "read 60":
                assert 0 <= bench.chip.data.read(0, size) < 1 << 8 * size
            case "read 64":
                assert 0 <= bench.chip.command.read(0, size) < 1 << 8 * size
            case "write 60":
                bench.chip.data.write(0, size, value)
            case "write 64":
                bench.chip.command.write(0, size, value)
            case "advance":
                bench.clock.advance(value % 3_000_000)
            case "key":
                bench.keyboard.send(bytes([value & 0xFF]))
            case "mouse":
                bench.mouse.send(bytes([value & 0xFF]))
        state: I8042State = bench.chip.state()
        assert restored(bench).chip.state() == state
        assert not (bench.irq1.level and bench.irq12.level)
        assert bench.status & OBF or not (bench.irq1.level or bench.irq12.level)
