"""The device bench: a chip alone, its wires, outputs, faults and its trace in words."""

import datetime

import pytest

from minivm.core.clock import Clock
from minivm.core.describe import Chip, Register, flag
from minivm.core.device import Line
from minivm.core.record import record
from minivm.core.slot import Slot
from minivm.devices.cmos import Cmos
from minivm.devices.exit import DebugExit
from minivm.devices.pic import PicPair
from minivm.devices.pit import Pit
from minivm.devices.system_control import Port92
from minivm.devices.uart import Uart
from minivm.errors import ConfigError, DiskError, WiringError
from minivm.testing.bench import DeviceBench


def uart_at_115200():
    bench = DeviceBench(Uart, base=0x3F8)
    bench.write("LCR", 0x83)
    bench.write("DLL", 1)
    bench.write("DLM", 0)
    bench.write("LCR", 0x03)
    return bench


def test_a_chip_gets_its_clock_wires_and_outputs_by_its_constructors_annotations():
    bench = uart_at_115200()
    bench.write("THR", ord("A"))
    bench.step(us=86)
    assert bench.output("transmit").values == []
    bench.step(us=1)
    assert bench.output("transmit").items == [(86_806, ord("A"))]
    assert bench.output("transmit").data == b"A"


def test_a_line_keeps_every_edge_with_its_time():
    bench = DeviceBench(Pit, base=0x40)
    bench.write("CW", 0x34)
    bench.write(0, 4, 0)
    bench.step(us=10)
    line = bench.line("outputs[0]")
    # Four CLK pulses of 838.1 ns a round, loaded by the first; low for the last of the four.
    assert line.falls == [3353, 6705]
    assert line.rises == [0, 4191, 7543]
    assert line.level


def test_what_comes_in_from_outside_is_fed_and_stands_in_the_trace():
    bench = uart_at_115200()
    bench.feed("receive", b"x")
    bench.step(ms=1)
    assert bench.read("RBR") == ord("x")
    assert "receive" in bench.table()


def test_a_tuple_of_lines_and_a_function_without_arguments_are_made_too():
    assert list(DeviceBench(Pit).lines) == ["outputs[0]", "outputs[1]", "outputs[2]"]
    bench = DeviceBench(Port92)
    bench.write(0, 1)
    assert len(bench.output("reset")) == 1


def test_the_port_may_be_a_part_of_the_device():
    bench = DeviceBench(PicPair, port="slave", base=0xA0)
    bench.write("ICW1", 0x11)
    bench.write(1, 0x70, 2, 1)
    bench.write(1, 0xFB)
    assert bench.read("OCW1") == 0xFB
    assert "A1h OCW1" in bench.table()


def test_what_the_bench_cannot_make_is_asked_for_in_one_line():
    with pytest.raises(ConfigError, match=r"^Cmos wants start, which .* DeviceBench\(Cmos, start=\.\.\.\)$"):
        DeviceBench(Cmos)
    assert DeviceBench(Cmos, start=datetime.datetime(2026, 1, 1)).device


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda bench: bench.read("NOPE"), "NOPE is no register that can be read; there are: "),
        (lambda bench: bench.write("LSR", 1), "LSR is no register that can be written"),
        (lambda bench: bench.line("irq9"), "there is no line 'irq9'; there are: irq"),
        (lambda bench: bench.output("x"), "there is no output 'x'; there are: transmit"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(do, words):
    with pytest.raises(WiringError, match=f"^{words}"):
        do(DeviceBench(Uart))


# -- the trace --------------------------------------------------------------------------------------------------------
def test_the_trace_is_a_table_in_the_chips_own_words():
    bench = uart_at_115200()
    bench.write("IER", 2)
    bench.step(us=100)
    lines = bench.table().splitlines()
    assert lines[0].split() == ["time/us", "register", "value", "meaning"]
    assert lines[1].split(maxsplit=5) == [
        "0.000",
        "write",
        "3FBh",
        "LCR",
        "83h",
        "8N1, the first two ports are the divisor now",
    ]
    assert lines[5].endswith("interrupts for transmitter empty")
    assert lines[6].split()[:2] == ["100.000", "wait"]


def test_a_long_trace_is_shown_from_its_end():
    bench = DeviceBench(DebugExit)
    for value in range(250):
        bench.write(0, value)
    assert bench.table().splitlines()[0] == "(300 rows before)"
    assert len(bench.table().splitlines()) == 202


def test_a_chip_without_a_description_is_traced_by_offsets():
    bench = DeviceBench(Blinker, base=0x500)
    bench.write(0, 3)
    assert "500h" in bench.table()
    assert "03h" in bench.table()


# -- faults -----------------------------------------------------------------------------------------------------------
def wired_to_a_pic():
    pic = PicPair(Quiet())
    for port, values in ((pic.master, (0x11, 0x08, 0x04, 0x01, 0x00)),):
        port.write(0, 1, values[0])
        for value in values[1:]:
            port.write(1, 1, value)
    bench = DeviceBench(Pit)
    bench.line("outputs[0]").connect(pic.line(0))
    return bench, pic


class Quiet:
    def set(self, level):
        pass


def requested(pic):
    pic.master.write(0, 1, 0x0A)
    return pic.master.read(0, 1) & 1


def test_a_wire_leads_on_to_another_chip():
    bench, pic = wired_to_a_pic()
    assert not requested(pic)
    bench.write("CW", 0x30)
    bench.write(0, 2, 0)
    bench.step(us=10)
    assert requested(pic)


def test_a_lost_edge_does_not_arrive_and_the_next_one_does():
    bench, pic = wired_to_a_pic()
    bench.line("outputs[0]").lose()
    bench.write("CW", 0x30)
    bench.write(0, 2, 0)
    bench.step(us=10)
    assert not requested(pic)
    assert bench.line("outputs[0]").driven
    assert not bench.line("outputs[0]").level
    bench.write(0, 2, 0)
    bench.step(us=10)
    assert requested(pic)
    assert "this edge does not arrive" in bench.table()


def test_a_stuck_wire_does_not_follow_the_chip_until_it_is_free():
    bench = DeviceBench(Pit)
    line = bench.line("outputs[0]")
    line.stick(True)
    bench.write("CW", 0x30)
    assert line.level
    assert not line.driven
    line.free()
    assert not line.level


class Controller:
    """Reads the sector that is written to its port; its status is 1 when that failed."""

    def __init__(self, slot, *, disk=None):
        self.disk, self.status, self.data = disk, 0, b""

    def read(self, offset, size):
        return self.status

    def write(self, offset, size, value):
        try:
            self.data, self.status = self.disk.read(value, 1), 0
        except DiskError:
            self.status = 1


def test_a_controllers_disk_fails_comes_short_and_is_slow():
    bench = DeviceBench(Controller)
    bench.device.disk, faults = bench.disk(b"A" * 512 + b"B" * 512)
    bench.write(0, 1)
    assert (bench.read(0), bench.device.data) == (0, b"B" * 512)
    faults.fail(1)
    bench.write(0, 1)
    assert bench.read(0) == 1
    faults.mend()
    faults.short(0, 3)
    faults.slow(2_000_000)
    bench.write(0, 0)
    assert bench.device.data == b"AAA" + bytes(509)
    assert bench.clock.now == 2_000_000
    assert [line.split()[1:3] for line in bench.table().splitlines() if " disk " in line] == [["disk", "read"]] * 3


# -- a device of one's own --------------------------------------------------------------------------------------------
@record
class BlinkerState:
    count: int


class Blinker:
    """Counts writes, and raises its line from the third on."""

    length = 4

    def __init__(self, slot, *, irq=5, forgets=False):
        self._clock = slot.clock
        self._line = slot.irq(irq)
        self._output = slot.output
        self._forgets = forgets
        self._count = 0

    def read(self, offset, size):
        return self._count

    def write(self, offset, size, value):
        self._count += 1
        self._output(b"*")
        self._line.set(self._count >= 3)

    def state(self):
        return BlinkerState(self._count)

    def restore(self, state):
        self._count = 0 if self._forgets else state.count
        self._line.set(state.count >= 3)


def test_a_device_of_ones_own_gets_a_slot():
    bench = DeviceBench(Blinker, irq=9)
    bench.write(0, 0, 0)
    assert not bench.line("IRQ9").level
    bench.write(0, 0)
    assert bench.line("IRQ9").level
    assert bench.output("output").data == b"***"


def test_a_device_of_ones_own_may_be_annotated_and_described():
    class Switch:
        chip = Chip("the switch", (Register("SW", "switch", 0, "rw", (flag("ON", 0, "on", "off"),)),))

        def __init__(self, card: Slot) -> None:
            self.line: Line = card.irq(11)
            self.clock: Clock = card.clock

        def read(self, offset, size):
            return 1

        def write(self, offset, size, value):
            self.line.set(bool(value))

    bench = DeviceBench(Switch)
    bench.write("SW", 1)
    assert bench.line("IRQ11").level
    assert "SW" in bench.table()
    assert bench.table().endswith("rises")


def test_a_twin_has_the_same_state_time_and_lines():
    bench = DeviceBench(Blinker)
    bench.write(0, 0, 0, 0)
    bench.step(us=5)
    twin = bench.check_round_trip()
    assert twin.clock.now == 5000
    assert twin.read(0) == 3
    assert twin.line("IRQ5").level
    assert twin.device is not bench.device


def test_a_restore_that_forgets_a_field_is_named():
    bench = DeviceBench(Blinker, forgets=True)
    bench.write(0, 0)
    with pytest.raises(AssertionError, match=r"^a restored Blinker is not the same: count: 1 became 0$"):
        bench.check_round_trip()


def test_our_own_chips_stay_the_same_in_a_twin_in_the_middle_of_their_work():
    bench = uart_at_115200()
    bench.write("THR", 0x55)
    bench.step(us=30)
    twin = bench.check_round_trip()
    twin.step(us=60)
    assert twin.output("transmit").values == [0x55]


def test_faults_do_not_change_what_the_far_end_had_before():
    bench = DeviceBench(Blinker)
    bench.line("IRQ5").stick(False)
    bench.write(0, 0, 0, 0)
    assert bench.line("IRQ5").edges == []
