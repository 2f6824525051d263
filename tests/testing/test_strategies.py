"""What the strategies draw is what they say; and every parser gives a result or an error of one line for it."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import minivm
from minivm.config import MachineConfig
from minivm.core.clock import Clock
from minivm.debug.symbols_elf import load_elf
from minivm.errors import ImageError, MiniVMError, SnapshotError
from minivm.loaders import prepare
from minivm.loaders.detect import detect
from minivm.recording import Recording
from minivm.storage import snapshot
from minivm.storage.geometry import partitions
from minivm.testing import fuzz_inputs, strategies
from minivm.testing.strategies import (
    Pause,
    PortRead,
    PortWrite,
    bzimage_headers,
    disk_images,
    elf_files,
    multiboot_images,
    play,
    port_streams,
    recordings,
    register_values,
    snapshots,
)

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a whole snapshot that was found
FEW = settings(max_examples=40, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=100, suppress_health_check=list(HealthCheck))
WITHOUT_SHRINKING = settings(max_examples=2000, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
DAMAGE = 0.15


def boots(data, kind=None):
    return prepare(MachineConfig(guest=Path("drawn"), memory="8M", boot=kind), data=data)


def in_one_line(action, wrong=MiniVMError):
    """Return the result, or None for an error of the right kind, which must be one line."""
    try:
        return action()
    except wrong as error:
        assert str(error) and "\n" not in str(error)
        return None


def in_a_file(data, use):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.mvm"
        path.write_bytes(data)
        return use(path)


# -- what is drawn without damage is right ------------------------------------------------------------------------


@FEW
@given(elf_files())
def test_an_undamaged_elf_file_boots(data):
    plan = boots(data)
    assert plan.kind == "elf"
    assert plan.entry.mode == ("long" if data[4] == 2 else "protected")


@FEW
@given(multiboot_images())
def test_an_undamaged_multiboot_kernel_boots(data):
    assert boots(data, "multiboot").kind == "multiboot"


@FEW
@given(bzimage_headers())
def test_an_undamaged_bzimage_is_known_for_one(data):
    assert detect(data, len(data), "drawn") == "linux"
    assert len(data) > 512 * (data[0x1F1] + 1)


@FEW
@given(disk_images())
def test_an_undamaged_disk_boots(data):
    plan = boots(data)
    assert plan.kind in ("sector", "floppy", "disk")
    assert (plan.kind == "disk") == bool(partitions(data[:512], len(data) // 512))
    assert plan.drive.read(0, 1) == data[:512]


@FEW
@given(snapshots())
def test_an_undamaged_snapshot_is_restored(data):
    with in_a_file(data, minivm.restore) as machine:
        machine.run(ms=1)
        assert machine.memory.size == 1 << 20


@FEW
@given(recordings())
def test_an_undamaged_recording_is_read_whole(data):
    found = in_a_file(data, Recording)
    assert found.end is not None and found.end.reason == "closed"
    assert [entry.kind for entry in found.journal] == ["keys"]


# -- damage that is asked for comes ---------------------------------------------------------------------------------


def refused(kind):
    return lambda data: in_one_line(lambda: boots(data, kind)) is None


@pytest.mark.parametrize(
    ("drawn", "is_refused"),
    [
        (elf_files(damage=DAMAGE), refused("elf")),
        (multiboot_images(damage=DAMAGE), refused("multiboot")),
        (disk_images(damage=DAMAGE), refused("sector")),
        (bzimage_headers(damage=DAMAGE), lambda data: data[0x202:0x206] != b"HdrS"),
        (snapshots(damage=0.5), lambda data: in_one_line(lambda: in_a_file(data, snapshot.load)) is None),
        (recordings(damage=0.5), lambda data: in_one_line(lambda: in_a_file(data, Recording)) is None),
    ],
    ids=["elf", "multiboot", "disk", "bzimage", "snapshot", "recording"],
)
def test_a_strategy_with_damage_draws_what_is_refused(drawn, is_refused):
    without_shrinking = settings(max_examples=2000, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    find(drawn, is_refused, settings=without_shrinking)


def test_a_damaged_field_inside_a_whole_snapshot_is_reached():
    def reaches_a_device(data):
        try:
            in_a_file(data, minivm.restore).close()
        except SnapshotError as error:
            return "drawn.mvm: devices." in str(error)
        return False

    find(snapshots(damage=0.4), reaches_a_device, settings=WITHOUT_SHRINKING)


# -- parsers --------------------------------------------------------------------------------------------------------


@MANY
@given(st.one_of(elf_files(damage=DAMAGE), multiboot_images(damage=DAMAGE), bzimage_headers(damage=DAMAGE)))
def test_the_loaders_take_a_damaged_kernel_or_refuse_it_in_one_line(data):
    for kind in (None, "elf", "multiboot"):
        plan = in_one_line(lambda kind=kind: boots(data, kind), ImageError)
        if plan is not None:
            assert sum(len(content) for _, content in plan.segments) <= 2 * len(data) + 0x10000


@MANY
@given(elf_files(damage=DAMAGE))
def test_the_symbols_of_a_damaged_elf_file_are_read_or_refused_in_one_line(data):
    table = in_one_line(lambda: load_elf(data, "drawn"))
    if table is not None:
        table.describe(0x100000)


@MANY
@given(disk_images(damage=DAMAGE))
def test_a_damaged_disk_is_booted_or_refused_in_one_line(data):
    for kind in (None, "sector", "floppy", "disk"):
        plan = in_one_line(lambda kind=kind: boots(data, kind), ImageError)
        if plan is not None and plan.drive is not None:
            assert plan.drive.read(0, 1) == data[:512].ljust(512, b"\0") or kind == "sector"


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(snapshots(damage=0.3))
def test_a_damaged_snapshot_is_restored_or_refused_in_one_line(data):
    machine = in_one_line(lambda: in_a_file(data, minivm.restore), SnapshotError)
    if machine is not None:
        with machine:
            machine.run(ticks=1000)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(recordings(damage=0.3), st.booleans())
def test_a_damaged_recording_is_read_or_refused_in_one_line(data, salvage):
    in_one_line(lambda: in_a_file(data, lambda path: Recording(path, salvage=salvage)), SnapshotError)


# -- ports ----------------------------------------------------------------------------------------------------------


class Register:
    """A chip of eight bytes that a test can look into."""

    def __init__(self):
        self.bytes = bytearray(16)

    def read(self, offset, size):
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def write(self, offset, size, value):
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


@FEW
@given(port_streams(8))
def test_a_stream_stays_within_its_ports_and_sizes(stream):
    for action in stream:
        match action:
            case PortRead(offset=offset, size=size):
                assert 0 <= offset < 8 and size in (1, 2, 4)
            case PortWrite(offset=offset, size=size, value=value):
                assert 0 <= offset < 8 and 0 <= value < 1 << 8 * size
            case Pause(delay_ns=delay_ns):
                assert 0 <= delay_ns <= strategies.LONGEST_STEP_NS


def test_a_stream_is_played_in_order_with_its_pauses():
    clock, chip = Clock(), Register()
    assert play([PortWrite(0, 2, 0x1234), Pause(500), PortRead(1, 1), PortRead(0, 4)], chip, clock) == [0x12, 0x1234]
    assert clock.now == 500


def test_a_failing_stream_shrinks_to_the_one_access_that_matters():
    def fails(stream):
        return any(isinstance(action, PortWrite) and action.value & 0x80 for action in stream)

    found = find(port_streams([3, 4], sizes=(1,), longest_step_ns=0), fails, settings=settings(database=None))
    assert len(found) == 1 and found[0].offset == 3


@pytest.mark.parametrize("size", [1, 2, 4])
def test_register_values_reach_their_edges(size):
    top = (1 << 8 * size) - 1
    for edge in (0, 1, top, (top >> 1) + 1):
        assert find(register_values(size), lambda value, edge=edge: value == edge) == edge


@FEW
@given(port_streams(8, sizes=(1,)))
def test_the_uart_takes_any_stream(stream):
    from minivm.core.device import Wire
    from minivm.devices.uart import Uart

    clock = Clock()
    chip = Uart(clock, Wire(), lambda byte: None)
    assert all(0 <= value <= 0xFF for value in play(stream, chip, clock))


# -- the host -------------------------------------------------------------------------------------------------------


def test_without_hypothesis_one_line_says_how_to_get_it(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try:\n    import minivm.testing.strategies\nexcept ImportError as error:\n    print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert shown.stdout == "minivm.testing.strategies needs Hypothesis: pip install hypothesis\n"


def test_what_is_sealed_again_is_what_the_writers_write():
    assert fuzz_inputs.reseal_snapshot(fuzz_inputs.snapshot()) == fuzz_inputs.snapshot()
    assert fuzz_inputs.reseal_recording(fuzz_inputs.recording()) == fuzz_inputs.recording()
    sections = fuzz_inputs.recording_sections(fuzz_inputs.recording())
    assert fuzz_inputs.recording_of(sections) == fuzz_inputs.recording()
