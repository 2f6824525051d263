"""Virtual time against the host's."""

import pytest

from minivm.cli import pacing
from minivm.cli.pacing import Pacing
from minivm.core.clock import NEVER

SECOND = 1_000_000_000


@pytest.fixture
def host(monkeypatch):
    """The host's clock, to be set."""
    now = [100.0]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: now[0])
    return now


def test_a_halted_machine_may_go_as_far_as_the_hosts_clock(host):
    pace = Pacing(1.0)
    pace.start(5)
    host[0] += 3
    assert pace.target(5, halted=True) == 3 * SECOND + 5


def test_a_slow_machine_is_not_asked_to_catch_up(host):
    pace = Pacing(1.0)
    pace.start(0)
    host[0] += 10
    lag = round(pacing.LONGEST_LAG_S * SECOND)
    assert pace.target(0, halted=False) == lag
    host[0] += 0.01
    assert pace.target(lag, halted=False) == pytest.approx(lag + 0.01 * SECOND)


def test_time_that_was_missed_is_skipped_when_the_host_is_followed(host):
    pace = Pacing(1.0, follow_host=True)
    pace.start(0)
    assert not pace.skips(0)
    host[0] += 10
    assert pace.target(0, halted=False) == 10 * SECOND
    assert pace.skips(0)
    assert not pace.skips(10 * SECOND)


def test_the_wait_is_as_long_as_the_speed_makes_it(host):
    pace = Pacing(0.5)
    pace.start(0)
    assert pace.seconds_until(SECOND, 0) == pytest.approx(2)
    host[0] += 1
    assert pace.seconds_until(SECOND, 0) == pytest.approx(1)


def test_nothing_to_come_is_waited_for_without_end_and_no_speed_never_waits(host):
    pace = Pacing(None)
    pace.start(0)
    assert pace.seconds_until(SECOND, 0) == 0
    assert pace.seconds_until(NEVER, 0) is None
    assert pace.target(7, halted=False) > 7
