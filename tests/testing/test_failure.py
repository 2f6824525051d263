"""A failed test's machine runs once more: the same end, its last events, and a file that replays it."""

from pathlib import Path

import pytest

import minivm
from minivm.inputs import Input
from minivm.recording import replay
from minivm.testing.events import folded
from minivm.testing.failure import (
    History,
    RunJournal,
    run_again,
    sections,
    sight_of,
)
from minivm.testing.origins import Booted, Forked


@pytest.fixture
def noted():
    """Boot guests whose inputs are noted, as the plugin does; return each with its history."""
    machines = []

    def boot(guest, **options):
        machine = minivm.boot(guest, **options)
        machines.append(machine)
        machine.journal = RunJournal()
        return machine, History(Booted(guest, options), machine.journal)

    yield boot
    for machine in machines:
        machine.close()


def again(history, machine, path, **options):
    sight = sight_of(machine)
    return sight, run_again(history, sight, path, **options)


def assert_same(evidence):
    assert evidence.remarks == ()
    assert evidence.replay is not None
    with replay(evidence.replay) as found:
        verdict = found.run()
    assert verdict.identical, verdict.words


def test_a_run_with_keys_is_done_again(noted, tmp_path):
    vm, history = noted("shell")
    vm.expect("> ")
    vm.type("echo hello\n")
    vm.run(ms=40)
    vm.type("x")
    vm.expect("hello")
    _, evidence = again(history, vm, tmp_path / "x.mvr")
    assert_same(evidence)
    assert 5 < len(evidence.events) <= 50
    assert any("interrupt 09h from the keyboard (IRQ1)" in line for line in evidence.events)


@pytest.mark.parametrize("guest", ["hello-bios", "triplefault", "serial", "fractal"])
def test_a_guest_that_has_ended_ends_again(noted, tmp_path, guest):
    vm, history = noted(guest)
    ended = vm.run(ms=2000)
    sight, evidence = again(history, vm, tmp_path / "x.mvr")
    assert sight.ended == (ended.reason if vm.ended else "")
    assert_same(evidence)


def test_a_run_that_stands_inside_a_block_is_done_again(noted, tmp_path):
    vm, history = noted("shell")
    vm.run(ms=9)
    vm.type("a")
    vm.step(3)
    _, evidence = again(history, vm, tmp_path / "x.mvr")
    assert_same(evidence)


def test_sleep_reset_and_serial_input_are_done_again(noted, tmp_path):
    vm, history = noted("echo")
    vm.run(ms=20)
    vm.console.serial.send(b"hi there")
    vm.pass_time(vm.now + 20_000_000)
    vm.reset()
    vm.run(ms=20)
    vm.run(ms=1)
    _, evidence = again(history, vm, tmp_path / "x.mvr")
    assert [given.kind for given in history.journal] == ["serial", "time", "reset"]
    assert_same(evidence)


def test_a_fork_is_done_again_from_its_parent(noted, tmp_path):
    parent, _ = noted("shell")
    parent.expect("> ")
    parent.settle()
    with parent.clone() as fork:
        fork.journal = RunJournal()
        fork.type("echo fork\n")
        fork.expect("fork\n>")
        _, evidence = again(History(Forked(parent), fork.journal), fork, tmp_path / "x.mvr")
    assert_same(evidence)


def test_memory_changed_by_hand_is_noticed(noted, tmp_path):
    vm, history = noted("shell")
    vm.run(ms=20)
    vm.memory.write(0x9000, b"by hand")
    _, evidence = again(history, vm, tmp_path / "x.mvr")
    assert "the second run came to another state" in evidence.remarks[0]
    assert evidence.events


def test_a_run_that_was_put_back_in_time_is_not_done_again(noted, tmp_path):
    vm, history = noted("shell")
    vm.run(ms=20)
    state = vm.state()
    vm.run(ms=20)
    vm.type("late")
    with vm.clone() as kept:  # its RAM is that of now, but nobody looks
        vm.restore(state)
        vm.type("early")
        _, evidence = again(history, vm, tmp_path / "x.mvr")
        assert kept.now > vm.now
    assert evidence.remarks == ("the test put the machine back in time, so there is no one run to do again",)
    assert evidence.replay is None


def test_a_long_run_is_only_spoken_of(noted, tmp_path):
    vm, history = noted("shell")
    vm.run(ms=20)
    _, evidence = again(history, vm, tmp_path / "x.mvr", most=1000)
    assert evidence.remarks[0].startswith("the run was too long to be done again")
    assert not (tmp_path / "x.mvr").exists()


def test_a_guest_that_is_gone_is_only_spoken_of(noted, tmp_path):
    image = tmp_path / "spin.img"
    image.write_bytes(b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa")
    vm, history = noted(str(image))
    vm.run(ms=1)
    image.unlink()
    _, evidence = again(history, vm, tmp_path / "x.mvr")
    assert evidence.remarks[0].startswith("the run cannot be done again: ")


def test_a_disk_is_not_written_a_second_time(noted, tmp_path):
    image = tmp_path / "data.img"
    image.write_bytes(bytes(512 * 2000))
    vm, history = noted("shell", disks=[str(image)])
    vm.run(ms=5)
    origin = history.origin.again()
    with origin:
        origin.disks["disk0"].write(3, b"c" * 512)
    assert image.read_bytes()[3 * 512 : 4 * 512] == bytes(512)


DEVICE = """
class Count:
    def __init__(self, slot, first=0):
        self.value = first

    def read(self, offset, size):
        self.value += 1
        if self.value == 200:
            raise RuntimeError("overflow")
        return self.value

    def write(self, offset, size, value):
        pass

    def state(self):
        return self.value

    def restore(self, state):
        self.value = state
"""


@pytest.fixture
def count(tmp_path, monkeypatch):
    (tmp_path / "count_device.py").write_text(DEVICE)
    monkeypatch.syspath_prepend(str(tmp_path))
    from importlib import import_module

    yield import_module("count_device").Count
    import sys

    del sys.modules["count_device"]


READS = bytes.fromhex("ba0005 ec ebfd").ljust(510, b"\0") + b"\x55\xaa"  # mov dx, 500h; in al, dx; and again


def test_a_device_of_the_users_own_class_is_made_again(noted, tmp_path, count):
    vm, history = noted(READS, devices=[("port", 0x500, count, {"first": 7})])
    vm.run_until(lambda vm: vm.user_devices["port 500h"].value == 20)
    sight, evidence = again(history, vm, tmp_path / "x.mvr")
    assert evidence.remarks == ()
    assert evidence.devices == (f"{tmp_path}/count_device.py:Count,port=0x500,first=7",)
    told = dict(sections("image", sight, evidence, "minivm replay x.mvr"))["minivm image: replay"]
    assert told == f"minivm replay x.mvr --device {evidence.devices[0]}"
    with replay(evidence.replay, devices=evidence.devices) as found:
        assert found.run().identical


def test_a_device_that_raises_does_so_again_and_the_rest_is_told(noted, tmp_path, count):
    vm, history = noted(READS, devices=[("port", 0x500, count)])
    with pytest.raises(RuntimeError, match="overflow"):
        vm.run(ms=2)
    _, evidence = again(history, vm, tmp_path / "x.mvr")
    assert evidence.remarks == ("the second run ended where a device raised RuntimeError: overflow",)
    assert "IN 500h gave C7h" in evidence.events[-1]


def test_a_device_that_the_test_made_is_not_used_twice(noted, tmp_path, count):
    vm, history = noted(READS, devices=[("port", 0x500, count(None))])
    vm.step(9)
    _, evidence = again(history, vm, tmp_path / "x.mvr")
    why = "the run cannot be done again: the device at port 500h is not as it was; give its class in place of it"
    assert evidence.remarks == (why,)


def test_a_file_that_cannot_be_written_leaves_the_events(noted, tmp_path):
    (tmp_path / "file").write_text("")
    vm, history = noted("shell")
    vm.run(ms=5)
    _, evidence = again(history, vm, tmp_path / "file" / "x.mvr")
    assert evidence.remarks[0].startswith("no replay file: ")
    assert evidence.replay is None
    assert evidence.events


def test_sections_show_screen_serial_registers_events_and_the_command(noted, tmp_path):
    vm, history = noted("serial")
    vm.run(ms=100)
    sight, evidence = again(history, vm, tmp_path / "x.mvr")
    found = dict(sections("serial", sight, evidence, "minivm replay x.mvr"))
    titles = [title.partition(" (")[0] for title in found]
    assert titles == [
        f"minivm serial: {part}" for part in ("screen", "serial log", "registers", "last events", "replay")
    ]
    assert "eip" in found["minivm serial: registers"]
    assert found["minivm serial: replay"] == "minivm replay x.mvr"
    assert found["minivm serial: serial log"] in vm.serial.text() + "\n"


def test_the_serial_log_is_cut_at_its_beginning(noted, tmp_path):
    vm, history = noted("serial")
    vm.console.serial.put(b"".join(b"line %d\n" % number for number in range(100)))
    sight, evidence = again(history, vm, tmp_path / "x.mvr")
    log = dict(sections("serial", sight, evidence, ""))["minivm serial: serial log"].splitlines()
    assert (log[0], log[1], log[-1]) == ("(60 lines before)", "line 60", "line 99")


def test_a_journal_keeps_its_order_only(tmp_path):
    journal = RunJournal()
    journal.append(Input(10, "reset", None, 0))
    assert not journal.copy().went_back
    journal.append(Input(5, "reset", None, 0))
    assert journal.went_back
    assert journal.copy().went_back
    assert len(journal) == 1


def test_cycles_of_events_are_told_once():
    told = (
        [("1 ms  A", "boot")]
        + [(f"{n} ms  A", "tick" if n % 2 else "tock") for n in range(11, 31)]
        + [("40 ms  A", "end")]
    )
    assert folded(told) == [
        "1 ms  A  boot",
        "11 ms  A  tick",
        "12 ms  A  tock",
        "              ...  these 2 events 9 times more, up to 30 ms",
        "40 ms  A  end",
    ]
    assert folded([("1 ms", "a"), ("2 ms", "a")]) == ["1 ms  a", "2 ms  a"]
    assert folded([(f"{n} ms", "a") for n in range(4)])[1] == "              ...  this event 3 times more, up to 3 ms"
    assert folded([]) == []


def test_the_second_run_of_every_kind_of_origin_is_its_own(tmp_path: Path):
    with minivm.boot("shell") as parent:
        parent.run(ms=5)
        with Forked(parent).again() as fork:
            fork.run(ms=5)
        assert parent.now < fork.now
