"""The virtual clock and its alarms."""

from hypothesis import given
from hypothesis import strategies as st

from minivm.core.clock import NEVER, Clock


def test_alarms_ring_in_order_of_time_and_now_is_their_own_time():
    clock, rung = Clock(), []
    clock.after(30, lambda: rung.append(("late", clock.now)))
    clock.after(10, lambda: rung.append(("early", clock.now)))
    clock.advance_to(100)
    assert rung == [("early", 10), ("late", 30)]
    assert clock.now == 100


def test_alarms_of_one_time_ring_in_the_order_they_were_set():
    clock, rung = Clock(), []
    for name in "abc":
        clock.at(5, lambda name=name: rung.append(name))
    clock.advance(5)
    assert rung == ["a", "b", "c"]


def test_an_alarm_may_set_the_next_one_and_both_ring_in_one_advance():
    clock, rung = Clock(), []

    def again() -> None:
        rung.append(clock.now)
        if len(rung) < 4:
            clock.after(10, again)

    clock.after(10, again)
    clock.advance_to(35)
    assert rung == [10, 20, 30]
    assert clock.next_due == 40


def test_a_cancelled_alarm_never_rings_and_is_not_waited_for():
    clock, rung = Clock(), []
    alarm = clock.after(10, lambda: rung.append("no"))
    clock.after(20, lambda: rung.append("yes"))
    alarm.cancel()
    alarm.cancel()
    assert not alarm.active
    assert clock.next_due == 20
    clock.advance_to(50)
    assert rung == ["yes"]
    assert clock.next_due == NEVER


def test_an_alarm_in_the_past_rings_at_the_next_advance():
    clock, rung = Clock(), []
    clock.advance_to(100)
    clock.at(3, lambda: rung.append(clock.now))
    clock.advance_to(100)
    assert rung == [100]


def test_time_never_goes_back():
    clock = Clock()
    clock.advance_to(50)
    clock.advance_to(20)
    assert clock.now == 50


def test_nobody_waits_for_a_quiet_alarm_but_it_rings_in_its_turn():
    clock, rung = Clock(), []
    clock.at(20, lambda: rung.append(("waking", clock.now)))
    quiet = clock.at(10, lambda: rung.append(("quiet", clock.now)), quiet=True)
    assert clock.next_due == 20
    clock.advance_to(20)
    assert rung == [("quiet", 10), ("waking", 20)]
    assert not quiet.active
    clock.after(5, lambda: rung.append("alone"), quiet=True)
    assert clock.next_due == NEVER
    clock.advance(5)
    assert rung[-1] == "alone"


def test_a_restored_clock_has_forgotten_its_alarms():
    clock, rung = Clock(), []
    alarm = clock.after(10, lambda: rung.append("no"))
    clock.after(10, lambda: rung.append("no"), quiet=True)
    clock.reset_to(5)
    clock.advance_to(100)
    assert not rung
    assert not alarm.active


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans()), max_size=30), st.integers(1, 60))
def test_in_whatever_steps_time_passes_the_same_alarms_ring_at_the_same_times(alarms, step):
    def ring(advance: int) -> list[tuple[int, int]]:
        clock, rung = Clock(), []
        for number, (due, quiet, cancelled) in enumerate(alarms):
            alarm = clock.at(due, lambda number=number: rung.append((number, clock.now)), quiet=quiet)
            if cancelled:
                alarm.cancel()
        while clock.now < 60:
            clock.advance_to(min(60, clock.now + advance))
        return rung

    expected = sorted((due, number) for number, (due, _, cancelled) in enumerate(alarms) if not cancelled)
    assert ring(step) == ring(60) == [(number, due) for due, number in expected]
