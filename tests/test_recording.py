"""Recordings: a run written down, done again and compared, and files that are not what they should be."""

import json
import os
import struct
import subprocess
import sys
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
from minivm import bundled
from minivm.core.keys import unescape
from minivm.errors import SnapshotError
from minivm.inputs import Departed
from minivm.machine import NS_PER_MS
from minivm.recording import MAGIC, Recorder, Recording
from minivm.storage.blocks import pack, unpack

MINIVM = Path(sys.executable).with_name("minivm")
LONGEST_MS = 60_000
TYPED_AT_MS = 500


def record_guest(guest: bundled.Guest, path: Path, **options) -> str:
    """Record a bundled guest with its scripted input; return the hash of its last state."""
    with minivm.boot(guest.image, record=path, **options) as vm:
        if guest.types:
            vm.run_to(TYPED_AT_MS * NS_PER_MS)
            vm.type(unescape(guest.types))
        vm.run(ms=LONGEST_MS)
        return vm.state_hash()


def replayed(path: Path, **options) -> tuple[minivm.Replay, str]:
    with minivm.replay(path, **options) as replay:
        verdict = replay.verify()
        assert verdict.identical
        return verdict, replay.machine.state_hash()


every_guest = pytest.mark.parametrize("guest", bundled.guests(), ids=lambda guest: guest.name)


@every_guest
def test_a_bundled_guest_is_replayed_identically_in_slices_of_any_length(guest, tmp_path):
    path = tmp_path / "run.mvr"
    expected = record_guest(guest, path)
    for slice_ticks in (777, 20 * NS_PER_MS) if guest.name not in LONG else (99_991,):
        assert replayed(path, slice_ticks=slice_ticks)[1] == expected


LONG = ("fractal", "tasks")
"""Guests that execute so much that one slice length must do."""
STEPPED_TICKS = 40_000


@every_guest
def test_a_bundled_guest_is_replayed_identically_when_stepped(guest, tmp_path):
    path = tmp_path / "run.mvr"
    expected = record_guest(guest, path)
    assert replayed(path, step_ticks=STEPPED_TICKS)[1] == expected


def a_recording(tmp_path: Path, name: str = "shell") -> Path:
    path = tmp_path / "run.mvr"
    guest = bundled.find(name)
    with minivm.boot(guest.image, record=path) as vm:
        vm.run(ms=50)
        vm.type("ver\n")
        vm.run(ms=100)
        vm.console.ports[0].send(b"xyz")
        vm.run(ms=50)
    return path


def test_a_recording_says_what_it_is(tmp_path):
    recording = Recording(a_recording(tmp_path))
    assert recording.head.version == minivm.__version__
    assert [(image.part, image.name, image.embedded) for image in recording.head.images] == [
        ("guest", "shell.img", True)
    ]
    assert [given.kind for given in recording.journal] == ["keys", "serial"]
    assert recording.end.reason == "closed"
    assert recording.ticks == 200 * NS_PER_MS


def test_a_recording_needs_no_other_file_and_names_no_folder(tmp_path):
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    image, disk = folder / "mine.img", folder / "data.img"
    image.write_bytes(bundled.find("disk").image.read_bytes())
    disk.write_bytes(bytes(1 << 20))
    path = tmp_path / "run.mvr"
    with minivm.boot(image, disks=(str(disk),), record=path) as vm:
        vm.run(ms=2000)
        expected = vm.state_hash()
    image.unlink()
    disk.unlink()
    assert replayed(path)[1] == expected
    head = unpack(memoryview(path.read_bytes())[28 : 28 + struct.unpack_from("<I", path.read_bytes(), 24)[0]], 1 << 20)
    assert b"secret" not in head


def test_an_image_too_large_for_the_file_is_looked_for_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr("minivm.recording.images.EMBED_BYTES", 100)
    disk = tmp_path / "big.img"
    disk.write_bytes(b"".join(blake2b(bytes([number])).digest() for number in range(64)) * 64)
    path = tmp_path / "run.mvr"
    with minivm.boot("hello-bios", disks=(f"{disk},snapshot",), record=path) as vm:
        vm.run(ms=100)
    image = Path(bundled.find("hello-bios").image)
    (tmp_path / image.name).write_bytes(image.read_bytes())
    replayed(path)
    disk.write_bytes(bytes(disk.stat().st_size))
    with pytest.raises(SnapshotError, match=r"big.img: is not the disk 0 of .*: its contents differ"):
        minivm.replay(path)
    disk.unlink()
    with pytest.raises(SnapshotError, match=r"needs the file big.img \(262144 bytes, the disk 0\) beside it or here"):
        minivm.replay(path)


def test_a_replay_that_departs_names_the_span(tmp_path):
    with minivm.replay(a_recording(tmp_path)) as replay:
        replay.run(100 * NS_PER_MS)
        replay.machine.memory.write(0x9000, b"\1")
        verdict = replay.run()
        assert not verdict.identical
        assert verdict.good <= 100 * NS_PER_MS < verdict.bad == 200 * NS_PER_MS
        assert verdict.words.startswith(f"departed between tick {verdict.good} and tick 200000000: ")
        with pytest.raises(Departed):
            replay.verify()


def test_a_run_of_plain_code_is_checked_every_ten_milliseconds(tmp_path):
    path = tmp_path / "run.mvr"
    with minivm.boot(b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa", memory="1M") as vm, Recorder(vm, path, rest=0):
        vm.run(ms=105)
    positions = [entry.position for entry in Recording(path).entries]
    assert 8 <= len(positions) <= 11
    assert all(later - earlier <= 20 * NS_PER_MS for earlier, later in pairwise([0, *positions])), positions
    verdict, _ = replayed(path, slice_ticks=123_457)
    assert verdict.checks == len(positions) + 1


def test_a_register_that_differs_is_found_at_the_next_check(tmp_path):
    path = tmp_path / "run.mvr"
    with minivm.boot(b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa", memory="1M") as vm, Recorder(vm, path, rest=0):
        vm.run(ms=105)
    with minivm.replay(path) as replay:
        replay.run(55 * NS_PER_MS)
        replay.machine.cpu.rbx += 1
        verdict = replay.run()
        assert verdict.good <= 55 * NS_PER_MS < verdict.bad <= verdict.good + 20 * NS_PER_MS


def test_a_replay_can_be_left_in_the_middle_and_gone_on_live(tmp_path):
    with minivm.replay(a_recording(tmp_path)) as replay:
        assert replay.run(60 * NS_PER_MS).identical
        assert replay.machine.now == 60 * NS_PER_MS
        replay.machine.run(ms=300)
        replay.machine.type("help\n")
        replay.machine.run(ms=500)
        assert "help" in replay.machine.screen.text()


def test_recording_changes_nothing_in_the_run(tmp_path):
    guest = bundled.find("timer")
    with minivm.boot(guest.image) as vm:
        vm.run(ms=LONGEST_MS)
        plain = (vm.now, vm.ticks, vm.exits, vm.state_hash())
    with minivm.boot(guest.image, record=tmp_path / "run.mvr") as vm:
        vm.run(ms=LONGEST_MS)
        assert (vm.now, vm.ticks, vm.exits, vm.state_hash()) == plain


@pytest.mark.parametrize("name", ["shell", "timer", "serial", "disk"])
def test_a_recording_can_begin_in_the_middle_of_a_run(name, tmp_path):
    path = tmp_path / "run.mvr"
    with minivm.boot(name) as vm:
        vm.run_to(100_000)
        began = vm.now
        with Recorder(vm, path):
            vm.run(ms=300)
            vm.type("echo hi\n")
            vm.run(ms=700)
            expected = vm.state_hash()
    _, found = replayed(path, slice_ticks=777)
    assert found == expected
    with minivm.replay(path) as replay:
        assert replay.machine.now == began


def test_a_machine_that_has_ended_or_is_recorded_already_is_refused(tmp_path):
    with minivm.boot("hello-bios", record=tmp_path / "a.mvr") as vm:
        with pytest.raises(SnapshotError, match="whose inputs somebody else notes"):
            Recorder(vm, tmp_path / "b.mvr")
        vm.run(ms=100)
    assert not (tmp_path / "b.mvr").exists()


def test_a_recording_does_not_overwrite_the_machines_own_files(tmp_path):
    image = tmp_path / "guest.img"
    image.write_bytes(bundled.find("shell").image.read_bytes())
    before = image.read_bytes()
    with pytest.raises(SnapshotError, match="is the machine's own guest"):
        minivm.boot(image, record=image)
    assert image.read_bytes() == before


def test_a_machine_with_a_device_of_its_own_cannot_be_recorded(tmp_path):
    class Light:
        def read(self, offset: int, size: int) -> int:
            return 0

        def write(self, offset: int, size: int, value: int) -> None:
            pass

    with pytest.raises(SnapshotError, match="devices: a machine with devices of its own cannot be recorded"):
        minivm.boot("shell", devices=(("port", 0x300, Light()),), record=tmp_path / "run.mvr")


def test_what_a_killed_process_has_recorded_can_be_salvaged(tmp_path):
    path = tmp_path / "run.mvr"
    source = f"""
import os, time, minivm
vm = minivm.boot(b"\\xeb\\xfe".ljust(510, b"\\0") + b"\\x55\\xaa", memory="1M", record={str(path)!r})
vm.run(ms=30); vm.type("a"); time.sleep(0.6); vm.run(ms=30); vm.type("b")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", source], check=False, timeout=60).returncode == -9
    with pytest.raises(SnapshotError, match=r"run.mvr: is cut short at tick \d+: its end is missing; --salvage"):
        Recording(path)
    recording = Recording(path, salvage=True)
    assert [given.kind for given in recording.journal][:1] == ["keys"]
    verdict, _ = replayed(path, salvage=True)
    assert verdict.position >= 30 * NS_PER_MS


def test_a_debugging_session_is_replayed(tmp_path):
    from minivm.debug.debugger import Debugger

    path = tmp_path / "run.mvr"
    guest = bundled.find("timer")
    with minivm.boot(guest.image, record=path) as vm:
        debugger = Debugger(vm)
        for _ in range(3):
            vm.run_to(min(vm.now + 60 * NS_PER_MS, vm.clock.next_due - 3))
            vm.step(4)
            debugger.set_register("dx", 0x1234)
            debugger.set_register("si", 7)
            debugger.write(0x600, b"mark")
        vm.run(ms=LONGEST_MS)
    recording = Recording(path)
    assert [given.kind for given in recording.journal] == ["register", "register", "memory"] * 3
    replayed(path, slice_ticks=999)


# -- files that are not what they should be -------------------------------------------------------------------------
def test_a_file_cut_anywhere_is_refused_by_one_line(tmp_path):
    data = a_recording(tmp_path).read_bytes()
    path = tmp_path / "cut.mvr"
    for length in range(0, len(data), 37):
        path.write_bytes(data[:length])
        with pytest.raises(SnapshotError, match=r"^\S*cut.mvr: is (cut short|not a recording)[^\n]*$"):
            Recording(path)


def test_a_file_with_a_changed_byte_is_refused(tmp_path):
    data = a_recording(tmp_path).read_bytes()
    path = tmp_path / "bad.mvr"
    for at in range(0, len(data), 41):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])
        with pytest.raises(SnapshotError, match=r"^[^\n]*bad.mvr: [^\n]*$"):
            Recording(path)


def test_a_newer_format_and_another_file_are_refused(tmp_path):
    path = tmp_path / "x.mvr"
    path.write_bytes(MAGIC + struct.pack("<I", 2))
    with pytest.raises(SnapshotError, match=r"x.mvr: format: 2 is newer than this program's 1; update minivm"):
        Recording(path)
    path.write_bytes(b"hello")
    with pytest.raises(SnapshotError, match=r"x.mvr: is not a recording"):
        Recording(path)
    with pytest.raises(SnapshotError, match="is not a regular file"):
        Recording(tmp_path)
    with pytest.raises(SnapshotError, match="is not there"):
        Recording(tmp_path / "none.mvr")


def rewritten(data: bytes, changes) -> bytes:
    """Return a recording whose JSON sections went through `changes(kind, value)`, with right checksums."""
    at, out = 20, data[:20]
    checksum = blake2b(out, digest_size=16)
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        contents = data[at + 8 : at + 8 + length]
        if kind != b"IMAG":
            contents = pack(json.dumps(changes(kind, json.loads(unpack(memoryview(contents), 1 << 24)))).encode())
        section = struct.pack("<4sI", kind, len(contents)) + contents
        checksum.update(section)
        out += section + checksum.digest()
        at += 8 + length + 16
    return out


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (b"HEAD", lambda head: head | {"start": "noon"}, "head.start: 'noon' is no start"),
        (b"HEAD", lambda head: head | {"more": 1}, "head.more is unknown"),
        (b"HEAD", lambda head: head | {"images": []}, "head.images: are not the files"),
        (b"HEAD", lambda head: head | {"config": head["config"] | {"memory": -1}}, "head.config: memory"),
        (
            b"HEAD",
            lambda head: head | {"images": [head["images"][0] | {"name": "../../x"}]},
            "head.images: '../../x' is no file's name",
        ),
        (b"HEAD", lambda head: head | {"images": [head["images"][0] | {"size": 1 << 60}]}, "shell.img is missing"),
        (b"RUN ", lambda run: [{"input": run[0]["input"] | {"kind": "smell"}}], "'smell' is no kind of input"),
        (b"RUN ", lambda run: run[::-1], "an entry at"),
        (b"RUN ", lambda run: {"a": 1}, "run: is not a list"),
        (b"END ", lambda end: end | {"position": 5}, "end.position: 5 lies before"),
        (b"END ", lambda end: [end], "end: "),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(tmp_path, kind, change, message):
    data = a_recording(tmp_path).read_bytes()
    path = tmp_path / "odd.mvr"
    path.write_bytes(rewritten(data, lambda found, value: change(value) if found == kind else value))
    with pytest.raises(SnapshotError, match=message):
        Recording(path)


def test_a_file_that_announces_a_huge_content_is_refused(tmp_path):
    path = tmp_path / "huge.mvr"
    bomb = pack(bytes(65 << 20))
    section = struct.pack("<4sI", b"HEAD", len(bomb)) + bomb
    start = MAGIC + struct.pack("<I", 1)
    path.write_bytes(start + section + blake2b(start + section, digest_size=16).digest())
    with pytest.raises(SnapshotError, match="announces 68157440 bytes"):
        Recording(path)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_noise_is_never_anything_but_refused(tmp_path_factory, noise, kept):
    path = tmp_path_factory.mktemp("noise") / "n.mvr"
    path.write_bytes((MAGIC + struct.pack("<I", 1))[:kept] + noise)
    with pytest.raises(SnapshotError):
        Recording(path)


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(SnapshotError, match="cannot be written: No such file or directory"):
        minivm.boot("shell", record=tmp_path / "none" / "run.mvr")
    assert os.listdir(tmp_path) == []  # noqa: PTH208
