"""The PS/2 mouse (IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft's wheel)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.core.clock import Clock
from minivm.core.device import Wire
from minivm.devices.i8042 import I8042
from minivm.devices.ps2_keyboard import Ps2Keyboard
from minivm.devices.ps2_mouse import Ps2Mouse
from minivm.errors import ConfigError

MS = 1_000_000
ACK, RESEND, ERROR = 0xFA, 0xFE, 0xFC


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mouse(clock):
    return Ps2Mouse(clock)


def taken(mouse):
    """Take all that waits."""
    got = bytearray()
    while (value := mouse.take()) is not None:
        got.append(value)
    return bytes(got)


def tell(mouse, *values):
    """Send bytes and return the answer to the last one."""
    for value in values:
        mouse.receive(value)
        answer = taken(mouse)
    return answer


def packets(mouse, clock, most=40, length=3):
    """Let time go by, taking each packet as it comes."""
    got = []
    for _ in range(most):
        clock.advance(5 * MS)
        if data := taken(mouse):
            assert len(data) == length
            got.append(tuple(data))
    return got


def signed(packet):
    return packet[1] - (packet[0] << 4 & 0x100), packet[2] - (packet[0] << 3 & 0x100)


def test_reset_is_acknowledged_then_passes_and_says_its_id(mouse, clock):
    assert tell(mouse, 0xFF) == bytes([ACK])
    clock.advance(500 * MS)
    assert taken(mouse) == b"\xaa\x00"


def test_the_defaults_are_stream_mode_100_samples_and_4_counts(mouse):
    assert tell(mouse, 0xE9) == bytes([ACK, 0x00, 0x02, 100])


def test_status_tells_modes_buttons_resolution_and_rate(mouse):
    tell(mouse, 0xE7, 0xF4, 0xE8, 3, 0xF3, 200)
    mouse.press("left")
    assert tell(mouse, 0xE9) == bytes([ACK, 0x34, 3, 200])
    mouse.release("left")
    mouse.press("right")
    assert tell(mouse, 0xE9) == bytes([ACK, 0x31, 3, 200])
    tell(mouse, 0xF0, 0xF5, 0xE6)
    assert tell(mouse, 0xE9) == bytes([ACK, 0x41, 3, 200])
    tell(mouse, 0xF6)
    assert tell(mouse, 0xE9) == bytes([ACK, 0x01, 2, 100])


def test_a_mouse_that_is_not_enabled_feels_nothing(mouse, clock):
    mouse.move(5, 5)
    mouse.press("left")
    assert not mouse.reporting
    tell(mouse, 0xF4)
    assert mouse.reporting
    assert packets(mouse, clock) == []


@pytest.mark.parametrize(
    ("move", "packet"),
    [
        ((1, 0), (0x08, 1, 0)), ((0, 1), (0x08, 0, 1)), ((-1, 0), (0x18, 0xFF, 0)), ((0, -3), (0x28, 0, 0xFD)),
        ((255, -255), (0x28, 0xFF, 0x01)),
    ],
)  # fmt: skip
def test_a_packet_has_nine_bits_for_each_direction(mouse, clock, move, packet):
    tell(mouse, 0xF4)
    mouse.move(*move)
    assert packets(mouse, clock) == [packet]


def test_buttons_are_bits_0_to_2_and_a_click_is_two_packets(mouse, clock):
    tell(mouse, 0xF4)
    for button, bit in (("left", 1), ("right", 2), ("middle", 4)):
        mouse.press(button)
        mouse.press(button)
        mouse.release(button)
        assert packets(mouse, clock) == [(0x08 | bit, 0, 0), (0x08, 0, 0)]


def test_a_button_pushed_on_the_way_is_down_where_it_was_pushed(mouse, clock):
    tell(mouse, 0xF4)
    mouse.move(3, 0)
    mouse.press("left")
    mouse.move(2, 1)
    mouse.release("left")
    assert packets(mouse, clock) == [(0x08, 3, 0), (0x09, 2, 1), (0x08, 0, 0)]


def test_a_long_way_takes_several_packets(mouse, clock):
    tell(mouse, 0xF4)
    mouse.move(600, -300)
    got = [signed(packet) for packet in packets(mouse, clock)]
    assert got == [(255, -255), (255, -45), (90, 0)]


def test_packets_come_no_faster_than_the_rate(mouse, clock):
    tell(mouse, 0xF3, 20, 0xF4)
    came = []
    mouse.connect(lambda: came.append(clock.now // MS))
    mouse.move(1000, 0)
    for _ in range(400):
        clock.advance(MS)
        taken(mouse)
    assert came == [0, 50, 100, 150]


def test_movement_adds_up_while_a_packet_waits(mouse, clock):
    tell(mouse, 0xF4)
    mouse.move(1, 1)
    clock.advance(20 * MS)
    for _ in range(10):
        mouse.move(2, -1)
        clock.advance(20 * MS)
    assert taken(mouse) == bytes((0x08, 1, 1))
    assert packets(mouse, clock) == [(0x28, 20, 0xF6)]


def test_what_nobody_takes_overflows_and_says_so(mouse, clock):
    tell(mouse, 0xF4)
    for _ in range(3):
        mouse.move(10_000, -10)
    got = packets(mouse, clock)
    assert len(got) == 16
    assert got[-1] == (0x68, 0xFF, 0xEC)
    assert all(not packet[0] & 0xC0 for packet in got[:-1])
    assert packets(mouse, clock) == []


def test_the_wheel_comes_after_200_100_80(mouse, clock):
    assert tell(mouse, 0xF2) == bytes([ACK, 0])
    tell(mouse, 0xF3, 200, 0xF3, 100, 0xF3, 80)
    assert tell(mouse, 0xF2) == bytes([ACK, 3])
    tell(mouse, 0xF4)
    mouse.move(1, 0, 1)
    mouse.move(0, 0, -9)
    assert packets(mouse, clock, length=4) == [(0x08, 1, 0, 0xFA), (0x08, 0, 0, 0xFE)]
    tell(mouse, 0xFF)
    clock.advance(20 * MS)
    assert taken(mouse) == b"\xaa\x00"


def test_two_more_buttons_come_after_200_200_80(mouse, clock):
    tell(mouse, 0xF3, 200, 0xF3, 200, 0xF3, 80)
    assert tell(mouse, 0xF2, 0xF4) == bytes([ACK])
    mouse.press("side")
    mouse.press("extra")
    mouse.move(0, 0, -1)
    assert packets(mouse, clock, length=4) == [(0x08, 0, 0, 0x10), (0x08, 0, 0, 0x3F)]
    assert tell(mouse, 0xF2) == bytes([ACK, 4])


@pytest.mark.parametrize("rates", [(200, 100, 100), (100, 200, 80), (80, 100, 200)])
def test_no_other_rates_make_another_mouse_of_it(mouse, rates):
    for rate in rates:
        tell(mouse, 0xF3, rate)
    assert tell(mouse, 0xF2) == bytes([ACK, 0])


def test_remote_mode_sends_only_when_it_is_asked(mouse, clock):
    tell(mouse, 0xF0)
    mouse.move(7, -7)
    mouse.move(1, 0)
    assert packets(mouse, clock) == []
    assert tell(mouse, 0xEB) == bytes([ACK, 0x28, 8, 0xF9])
    assert tell(mouse, 0xEB) == bytes([ACK, 0x08, 0, 0])
    tell(mouse, 0xEA, 0xF4)
    mouse.move(1, 0)
    assert packets(mouse, clock) == [(0x08, 1, 0)]


def test_wrap_mode_echoes_all_but_its_own_end_and_reset(mouse, clock):
    assert tell(mouse, 0xEE) == bytes([ACK])
    for value in (0x00, 0xE9, 0xF4, 0xEE, 0xFE, 0x55):
        assert tell(mouse, value) == bytes([value])
    assert tell(mouse, 0xEC) == bytes([ACK])
    assert tell(mouse, 0xE9) == bytes([ACK, 0, 2, 100])
    tell(mouse, 0xEE)
    assert tell(mouse, 0xFF) == bytes([ACK])
    clock.advance(20 * MS)
    assert taken(mouse) == b"\xaa\x00"


def test_scaling_changes_what_streams_and_not_what_is_asked_for(mouse, clock):
    tell(mouse, 0xE7, 0xF4)
    for count, seen in ((1, 1), (2, 1), (3, 3), (4, 6), (5, 9), (6, 12), (100, 200), (-4, -6)):
        mouse.move(count, 0)
        assert [signed(packet) for packet in packets(mouse, clock)] == [(seen, 0)]
    mouse.move(4, 0)
    assert tell(mouse, 0xEB) == bytes([ACK, 0x08, 4, 0])


def test_a_byte_that_is_no_command_is_asked_for_again_and_then_an_error(mouse):
    assert tell(mouse, 0x12) == bytes([RESEND])
    assert tell(mouse, 0x12) == bytes([ERROR])
    assert tell(mouse, 0x12) == bytes([RESEND])
    tell(mouse, 0xF5)
    assert tell(mouse, 0xE1) == bytes([RESEND])


@pytest.mark.parametrize(("command", "value"), [(0xE8, 4), (0xF3, 0), (0xF3, 99), (0xE8, 0xF4)])
def test_an_option_that_there_is_not_may_be_corrected_once(mouse, command, value):
    tell(mouse, command)
    assert tell(mouse, value) == bytes([RESEND])
    assert tell(mouse, 1 if command == 0xE8 else 10) == bytes([ACK])
    tell(mouse, command)
    assert tell(mouse, value) == bytes([RESEND])
    assert tell(mouse, value) == bytes([ERROR])
    assert tell(mouse, 0xF2) == bytes([ACK, 0])


def test_reset_ends_a_command_that_waits_for_its_option(mouse, clock):
    tell(mouse, 0xF3)
    assert tell(mouse, 0xFF) == bytes([ACK])
    clock.advance(20 * MS)
    assert taken(mouse) == b"\xaa\x00"


def test_resend_brings_the_last_answer_again(mouse, clock):
    tell(mouse, 0xF2)
    assert tell(mouse, 0xFE) == b"\x00"
    tell(mouse, 0xF4)
    assert tell(mouse, 0xFE) == bytes([ACK])
    mouse.move(1, 2)
    clock.advance(20 * MS)
    assert taken(mouse) == bytes((0x08, 1, 2))
    assert tell(mouse, 0xFE) == bytes((0x08, 1, 2))


def test_a_command_ends_the_packet_that_is_being_sent(mouse, clock):
    tell(mouse, 0xF4)
    mouse.move(1, 2)
    clock.advance(20 * MS)
    assert mouse.take() == 0x08
    assert tell(mouse, 0xF2) == bytes([ACK, 0])
    assert packets(mouse, clock) == []


def test_no_alarm_is_set_while_nothing_moves(mouse, clock):
    tell(mouse, 0xF4)
    assert clock.pending() == []
    mouse.move(1, 1)
    packets(mouse, clock)
    assert clock.pending() == []


def test_a_name_that_no_button_has_is_an_error(mouse):
    with pytest.raises(ConfigError, match="there is no button 'wheel'; there are left, right"):
        mouse.press("wheel")
    with pytest.raises(ConfigError):
        mouse.release("Left")


def test_packets_come_through_the_controller_with_interrupt_12(mouse, clock):
    irq1, irq12 = Wire(), Wire()
    controller = I8042(
        clock, keyboard=Ps2Keyboard(clock), mouse=mouse, irq1=irq1, irq12=irq12, a20=Wire(), reset=lambda: None
    )
    controller.command.write(0, 1, 0x60)
    controller.data.write(0, 1, 0x47)
    controller.command.write(0, 1, 0xD4)
    controller.data.write(0, 1, 0xF4)
    clock.advance(5 * MS)
    assert (irq12.level, controller.data.read(0, 1)) == (True, ACK)
    mouse.move(3, -2)
    mouse.press("right")
    got = []
    for _ in range(60):
        clock.advance(MS)
        if controller.command.read(0, 1) & 0x01:
            assert controller.command.read(0, 1) & 0x20
            assert (irq1.level, irq12.level) == (False, True)
            got.append(controller.data.read(0, 1))
            assert not irq12.level
    assert got == [0x28, 3, 0xFE, 0x0A, 0, 0]


COMMANDS = st.one_of(
    st.integers(0, 255),
    st.sampled_from((0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xEE, 0xF0, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xFE, 0xFF)),
    st.sampled_from((200, 100, 80, 3)),
)
STEPS = st.one_of(
    st.tuples(st.just("command"), COMMANDS, st.just(0)),
    st.tuples(st.just("move"), st.integers(-5000, 5000), st.integers(-5000, 5000)),
    st.tuples(st.just("button"), st.sampled_from(("left", "right", "middle", "side", "extra")), st.booleans()),
    st.tuples(st.just("pass"), st.integers(0, 200 * MS), st.just(0)),
    st.tuples(st.just("take"), st.just(0), st.just(0)),
)


def play(mouse, clock, steps):
    """Do the steps and return all that was taken."""
    got = bytearray()
    for kind, first, second in steps:
        match kind:
            case "command":
                mouse.receive(first)
            case "move":
                mouse.move(first, second, second % 5 - 2)
            case "button":
                (mouse.press if second else mouse.release)(first)
            case "pass":
                clock.advance(first)
            case _:
                got += taken(mouse)
        assert len(mouse.state().steps) <= 16
        assert len(mouse.state().output) <= 5
        assert len(clock.pending()) <= 2
    return bytes(got) + taken(mouse)


@given(st.lists(STEPS, max_size=40), st.lists(STEPS, max_size=20))
def test_any_stream_of_commands_ends_in_a_mouse_that_resets_and_restores(before, after):
    clock, twin_clock = Clock(), Clock()
    mouse, twin = Ps2Mouse(clock), Ps2Mouse(twin_clock)
    play(mouse, clock, before)
    twin_clock.reset_to(clock.now)
    twin.restore(mouse.state())
    assert twin.state() == mouse.state()
    assert play(twin, twin_clock, after) == play(mouse, clock, after)
    assert twin.state() == mouse.state()
    assert tell(mouse, 0xFF) == bytes([ACK])
    clock.advance(20 * MS)
    assert taken(mouse) == b"\xaa\x00"


@given(st.lists(st.tuples(st.integers(-900, 900), st.integers(-900, 900)), max_size=4))
def test_all_movement_arrives_while_the_queue_has_room(moves):
    clock = Clock()
    mouse = Ps2Mouse(clock)
    tell(mouse, 0xF4)
    for dx, dy in moves:
        mouse.move(dx, dy)
    got = [signed(packet) for packet in packets(mouse, clock)]
    assert (sum(x for x, _ in got), sum(y for _, y in got)) == (sum(x for x, _ in moves), sum(y for _, y in moves))
