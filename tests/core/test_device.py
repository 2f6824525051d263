"""Wires."""

from minivm.core.device import Wire


def test_a_wire_tells_its_listener_of_edges_only():
    heard = []
    wire = Wire(heard.append)
    for level in (False, True, True, False, False, True):
        wire.set(level)
    assert heard == [True, False, True]
    assert wire.level


def test_a_wire_may_end_nowhere():
    wire = Wire()
    wire.set(True)
    assert wire.level
