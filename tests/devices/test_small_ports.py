"""Debug console E9h, debug exit F4h and POST code 80h."""

from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.devices.debugcon import DebugConsole
from minivm.devices.exit import DebugExit, exit_status
from minivm.devices.post import PostCode, PostCodeState

ACCESSES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 7), st.sampled_from((1, 2, 4)), st.integers(0, 0xFFFFFFFF)), max_size=20
)


def test_a_byte_written_to_the_debug_console_reaches_the_host():
    sent = bytearray()
    console = DebugConsole(sent.extend)
    for byte in b"hi\n":
        console.write(0, 1, byte)
    assert sent == b"hi\n"


def test_the_debug_console_takes_only_the_low_byte():
    sent = bytearray()
    DebugConsole(sent.extend).write(0, 4, 0x12345641)
    assert sent == b"A"


def test_the_debug_console_reads_as_e9h_so_that_a_guest_can_find_it():
    assert DebugConsole(lambda data: None).read(0, 1) == 0xE9


def test_a_write_to_the_exit_port_ends_the_machine_with_the_value():
    values: list[int] = []
    port = DebugExit(values.append)
    port.write(0, 1, 0x10)
    port.write(0, 2, 0x1234)
    port.write(0, 4, 0x89ABCDEF)
    assert values == [0x10, 0x1234, 0x89ABCDEF]


def test_a_byte_written_to_the_exit_port_has_no_more_than_eight_bits():
    values: list[int] = []
    DebugExit(values.append).write(0, 1, 0x1FF)
    assert values == [0xFF]


def test_the_exit_status_is_odd_and_fits_a_process_status():
    assert [exit_status(value) for value in (0, 1, 0x10, 0x7F, 0x80, 0x12345)] == [1, 3, 33, 255, 1, 0x8B]


def test_the_exit_port_reads_as_zero():
    assert DebugExit(lambda value: None).read(0, 4) == 0


def test_the_last_post_code_reads_back_and_every_one_is_reported():
    codes: list[int] = []
    post = PostCode(codes.append)
    for code in (0x01, 0x1A3, 0x55):
        post.write(0, 1, code)
    assert codes == [0x01, 0xA3, 0x55]
    assert post.read(0, 1) == 0x55


def test_a_post_port_needs_no_listener():
    post = PostCode()
    post.write(0, 1, 7)
    assert post.code == 7


def test_a_restored_post_code_is_not_reported_again():
    codes: list[int] = []
    post = PostCode(codes.append)
    post.write(0, 1, 0x42)
    state = post.state()
    post.reset()
    assert post.read(0, 1) == 0
    post.restore(state)
    assert (state, post.state(), codes) == (PostCodeState(0x42), state, [0x42])


@given(ACCESSES)
@settings(max_examples=50, deadline=None)
def test_no_access_of_a_guest_makes_a_small_port_raise(accesses):
    sent = bytearray()
    values: list[int] = []
    ports = (DebugConsole(sent.extend), DebugExit(values.append), PostCode(values.append))
    for is_write, offset, size, value in accesses:
        for port in ports:
            if is_write:
                port.write(offset, size, value)
            else:
                assert 0 <= port.read(offset, size) <= 0xFFFFFFFF >> (32 - 8 * size)
    writes = sum(is_write for is_write, *_ in accesses)
    assert (len(sent), len(values)) == (writes, 2 * writes)
