"""Port CF9h, the reset control register."""

from hypothesis import given
from hypothesis import strategies as st

from minivm.devices.reset_control import ResetControl


def make():
    resets = []
    return ResetControl(lambda: resets.append(True)), resets


def test_bit_2_resets_when_it_rises_and_only_then():
    port, resets = make()
    port.write(0, 1, 0x02)
    assert not resets
    port.write(0, 1, 0x06)
    assert len(resets) == 1
    port.write(0, 1, 0x06)
    assert len(resets) == 1
    port.write(0, 1, 0x00)
    port.write(0, 1, 0x04)
    assert len(resets) == 2


def test_reading_returns_the_two_bits_that_exist():
    port, _ = make()
    port.write(0, 1, 0xFB)
    assert port.read(0, 1) == 0x02


def test_a_reset_clears_the_bits_so_that_the_next_one_works():
    port, resets = make()
    port.write(0, 1, 0x06)
    port.reset()
    assert port.read(0, 1) == 0
    port.write(0, 1, 0x06)
    assert len(resets) == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from((1, 2, 4)), st.integers(0, 0xFFFFFFFF)), max_size=20))
def test_any_stream_is_legal_and_a_restored_port_goes_on_alike(stream):
    port, resets = make()
    for offset, size, value in stream:
        port.write(offset, size, value)
    other, other_resets = make()
    other.restore(port.state())
    assert other_resets == []
    assert other.state() == port.state()
    before = len(resets)
    port.write(0, 1, 0x04)
    other.write(0, 1, 0x04)
    assert len(other_resets) == len(resets) - before
