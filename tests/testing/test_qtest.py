"""A real QEMU as a system: its time is exact, and when it is missing, dies or is silent, one line says so."""

import os
import shutil
import signal
import stat
import time
from pathlib import Path

import pytest

from minivm.testing import qtest
from minivm.testing.qtest import PROGRAM, QemuSystem
from minivm.testing.system import RESOLUTION_NS, SystemGone

needs_qemu = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")
pytestmark = pytest.mark.qemu


@pytest.fixture
def qemu():
    with QemuSystem() as system:
        yield system


def one_line(caught):
    return str(caught.value) and "\n" not in str(caught.value)


@needs_qemu
def test_time_passes_exactly_in_small_and_large_steps(qemu):
    qemu.write_port(0x43, 1, 0x34)  # a timer that interrupts all the time, to which QEMU would warp its clock
    qemu.write_port(0x40, 1, 0x00)
    qemu.write_port(0x40, 1, 0x10)
    wanted = 0
    for count in (1, 2, 3, 5, 17, 1000, 31_250, 1, 1_900_000):
        qemu.pass_time(count * RESOLUTION_NS)
        wanted += count * RESOLUTION_NS
        # Where QEMU did not warp, the clock stands up to three instructions before.
        assert wanted - 200 <= qemu.now <= wanted + 10


@needs_qemu
def test_a_timer_that_interrupts_a_thousand_times_in_one_run_stops_nobody(qemu):
    for port, value in ((0x43, 0x34), (0x40, 0xA9), (0x40, 0x04)):  # 1193 pulses: a thousand times a second
        qemu.write_port(port, 1, value)
    qemu.pass_time(1_000_000_000 // RESOLUTION_NS * RESOLUTION_NS)
    assert qemu.now == pytest.approx(1_000_000_000, abs=500)


@needs_qemu
def test_two_systems_see_the_same_count(qemu):
    def count():
        return qemu.read_port(0x40, 1) | qemu.read_port(0x40, 1) << 8

    for value in (0x34, 0x00):
        qemu.write_port(0x43 if value == 0x34 else 0x40, 1, value)
    qemu.write_port(0x40, 1, 0x80)
    qemu.pass_time(10_000_000 // RESOLUTION_NS * RESOLUTION_NS)
    passed = 10_000_000 * 1_193_182 // 1_000_000_000
    assert abs((0x8000 - count()) - passed) <= 2


@needs_qemu
def test_lines_are_driven_and_seen(qemu):
    qemu.drive_irq(5, True)
    qemu.write_port(0x20, 1, 0x0A)
    assert qemu.read_port(0x20, 1) & 0x20


@needs_qemu
def test_it_ends_with_the_status_of_its_debug_exit(qemu):
    qemu.write_port(0xF4, 1, 0x10)
    assert qemu.exit_status() == 0x21
    assert qemu.read_port(0x60, 1) == 0xFF


@needs_qemu
def test_a_qemu_that_dies_is_told_in_one_line(qemu):
    os.kill(qemu._process.pid, signal.SIGKILL)
    with pytest.raises(SystemGone, match=r"^QEMU went away") as caught:
        qemu.pass_time(3_200_000)
    assert one_line(caught)


@needs_qemu
def test_a_qemu_that_stops_answering_is_not_waited_for_for_ever(qemu, monkeypatch):
    os.kill(qemu._process.pid, signal.SIGSTOP)
    for wire in qemu._wires.values():
        wire.socket.settimeout(0.2)
    began = time.monotonic()
    with pytest.raises(SystemGone, match="gave no answer") as caught:
        qemu.read_port(0x60, 1)
    assert time.monotonic() - began < 5
    assert one_line(caught)


@needs_qemu
def test_nothing_is_left_behind(qemu):
    folder = qemu._folder.name
    process = qemu._process
    qemu.close()
    qemu.close()
    assert process.returncode is not None
    assert not Path(folder).exists()


def test_a_missing_qemu_is_told_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        SystemGone, match=r"^qemu-system-i386 is not installed; on Debian: apt install qemu-system-x86$"
    ):
        QemuSystem()


def impostor(tmp_path, monkeypatch, script):
    program = tmp_path / PROGRAM
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_a_qemu_that_does_not_start_says_why(tmp_path, monkeypatch):
    impostor(tmp_path, monkeypatch, "echo first >&2; echo 'no such machine' >&2; exit 1")
    with pytest.raises(SystemGone, match=r"^QEMU did not start: no such machine$"):
        QemuSystem()


def test_a_qemu_that_never_connects_is_given_up(tmp_path, monkeypatch):
    impostor(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(qtest, "PATIENCE_S", 0.3)
    with pytest.raises(SystemGone, match="did not connect its qtest socket") as caught:
        QemuSystem()
    assert one_line(caught)


@needs_qemu
def test_a_command_that_qemu_refuses_is_named(qemu):
    with pytest.raises(SystemGone, match=r"^QEMU refuses 'nonsense': Unknown command"):
        qemu._ask("nonsense")
