"""Speeds."""

import pytest

from minivm.errors import ConfigError
from minivm.tui import pace
from minivm.tui.pace import Pace, Speed


@pytest.fixture
def host(monkeypatch):
    class Host:
        now = 100.0

    monkeypatch.setattr(pace.time, "monotonic", lambda: Host.now)
    return Host


@pytest.mark.parametrize(
    ("text", "speed"),
    [("max", Speed("max")), ("1x", Speed("times", 1.0)), ("0.5X", Speed("times", 0.5)),
     ("5/s", Speed("instructions", 5.0)), ("20", Speed("instructions", 20.0))],
)  # fmt: skip
def test_a_speed_is_read_and_written(text, speed):
    assert Speed.parse(text) == speed
    assert Speed.parse(str(speed)) == speed


@pytest.mark.parametrize("text", ["", "fast", "0x", "-1x", "0/s", "1e9x", "nan"])
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(ConfigError, match="is no speed"):
        Speed.parse(text)


def test_a_paced_machine_may_run_up_to_now(host):
    ours = Pace(Speed("times", 2.0))
    ours.start(1000)
    host.now += 0.01
    assert ours.target(1000) == pytest.approx(1000 + 20_000_000, abs=10)


def test_a_machine_far_behind_loses_the_difference(host):
    ours = Pace(Speed("times", 1.0))
    ours.start(0)
    host.now += 60
    assert ours.target(0) == 100_000_000
    assert ours.target(100_000_000) == 100_000_000


def test_slow_motion_counts_instructions(host):
    ours = Pace(Speed("instructions", 10))
    ours.start(0)
    assert ours.take_steps() == 1
    assert ours.take_steps() == 0
    assert ours.patience(0, None) == pytest.approx(0.1)
    host.now += 0.1
    assert ours.take_steps() == 1


def test_slow_motion_does_not_catch_up_what_was_missed_long_ago(host):
    ours = Pace(Speed("instructions", 50))
    ours.start(0)
    host.now += 60
    assert ours.take_steps() == 5
    assert ours.take_steps() == 0


def test_the_fastest_machine_never_waits(host):
    assert Pace(pace.MAX).patience(0, None) == 0
