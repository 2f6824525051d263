"""The machine on its own thread."""

import threading
import time

import pytest

from minivm.api import boot
from minivm.core.keys import parse_keys
from minivm.debug.code import assemble
from minivm.errors import MiniVMError
from minivm.tui.pace import MAX, REAL_TIME, Speed
from minivm.tui.session import LONGEST_REST_S, PANELS_S, Session, SessionClosed

SPIN = "start: inc ax\n jmp start"
CALLS = """
        mov ax, 1
        call double
        call double
        hlt
double: add ax, ax
        call nothing
        ret
nothing: ret
"""


def image(source):
    code = assemble(f"org 7C00h\n{source}").code
    return code.ljust(510, b"\0") + b"\x55\xaa"


class Watched:
    def __init__(self, guest, speed=None):
        self.views = []
        self.machine = boot(guest)
        self.session = Session(self.machine, speed=speed, on_view=self.views.append)
        self.session.start()

    def at_start(self):
        self.session.run_to(0x7C00).result(5)
        assert self.session.wait(5)
        return self.session

    def view(self):
        return self.session.call(lambda debugger: self.session.view()).result(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session.close()
        self.machine.close()


def spin(speed=None):
    return Watched(image(SPIN), speed)


def test_a_view_comes_before_anything_runs():
    with spin() as watched:
        watched.session.call(lambda debugger: None).result(5)
        first = watched.views[0]
        assert (first.running, first.ticks, first.where) == (False, 0, "F000:FFF0")


def test_work_is_done_on_the_machines_thread_while_it_runs():
    with spin() as watched:
        watched.session.resume().result(5)
        name = watched.session.call(lambda debugger: threading.current_thread().name).result(5)
        assert name == "machine"
        assert watched.session.running


def test_work_waits_no_longer_than_a_safe_point():
    with spin() as watched:
        watched.session.resume().result(5)
        slowest = []
        for _ in range(20):
            began = time.perf_counter()
            watched.session.call(lambda debugger: None).result(5)
            slowest.append(time.perf_counter() - began)
            time.sleep(0.005)
        assert sorted(slowest)[len(slowest) // 2] < 0.02


def test_an_exception_in_the_work_comes_back_and_the_thread_lives_on():
    with spin() as watched:
        with pytest.raises(ZeroDivisionError):
            watched.session.call(lambda debugger: 1 // 0).result(5)
        assert watched.session.call(lambda debugger: 42).result(5) == 42


def test_a_running_machine_is_shown_at_most_thirty_times_a_second():
    flood = "mov ax, 0B800h\n mov es, ax\nagain: inc word [es:0]\n jmp again"
    with Watched(image(flood)) as watched:
        watched.session.set_collectors({"screen": lambda debugger: None}, live=["screen"])
        watched.session.resume().result(5)
        time.sleep(0.5)
        watched.session.pause().result(5)
        assert 5 <= len([view for view in watched.views if view.running]) <= 17


def test_between_two_views_of_all_panels_only_a_changed_screen_is_shown():
    with spin() as watched:
        watched.session.set_collectors({"code": lambda debugger: 1, "screen": lambda debugger: 2}, live=["screen"])
        watched.session.resume().result(5)
        time.sleep(0.5)
        watched.session.call(lambda debugger: debugger.write(0xB8000, b"A")).result(5)
        time.sleep(0.3)
        watched.session.pause().result(5)
        seen = [sorted(view.panels) for view in watched.views if view.running]
        assert seen.count(["screen"]) <= 1
        assert 1 <= seen.count(["code", "screen"]) <= 0.8 / PANELS_S + 1


def test_a_view_that_was_dear_lets_the_machine_run_before_the_next():
    with spin() as watched:
        watched.session.set_speed(Speed("instructions", 1000)).result(5)  # every view is one of all panels
        watched.session.shown(10.0)
        watched.session.resume().result(5)
        time.sleep(0.6)
        watched.session.pause().result(5)
        assert len([view for view in watched.views if view.running]) <= 0.6 / LONGEST_REST_S + 1


def test_no_view_is_made_while_the_last_one_is_not_shown():
    with spin() as watched:
        watched.session.hold = True
        watched.session.resume().result(5)
        time.sleep(0.2)
        assert not [view for view in watched.views if view.running]
        watched.session.pause().result(5)
        watched.session.call(lambda debugger: None).result(5)
        assert watched.views[-1].stop.reason == "stopped"  # but a stop is always shown


def test_stepping_marks_what_the_instruction_changed():
    with Watched(image(CALLS)) as watched:
        session = watched.at_start()
        session.step().result(5)
        view = watched.view()
        assert (view.before["rax"] & 0xFFFF, view.registers["rax"] & 0xFFFF) != (1, 1)
        assert view.registers["rax"] & 0xFFFF == 1
        assert view.registers["rip"] == view.before["rip"] + 3


def test_stepping_over_runs_the_whole_call():
    with Watched(image(CALLS)) as watched:
        session = watched.at_start()
        session.step().result(5)
        session.step_over().result(5)
        assert session.wait(5)
        view = watched.view()
        assert (view.registers["rax"] & 0xFFFF, view.linear_ip, view.stop.reason) == (2, 0x7C06, "step")


def test_stepping_out_returns_to_the_caller_past_inner_calls():
    with Watched(image(CALLS)) as watched:
        session = watched.at_start()
        session.step(2).result(5)
        assert watched.view().linear_ip == 0x7C0A
        session.step_out().result(5)
        assert session.wait(5)
        assert watched.view().linear_ip == 0x7C06
        assert session.call(lambda debugger: debugger.entries()).result(5) == []


@pytest.mark.parametrize("speed", [MAX, REAL_TIME, Speed("instructions", 500)], ids=str)
def test_a_breakpoint_stops_at_every_speed(speed):
    with spin() as watched:
        session = watched.at_start()
        session.set_speed(speed).result(5)
        session.call(lambda debugger: debugger.break_at(0x7C01)).result(5)
        for _ in range(3):
            session.resume().result(5)
            assert session.wait(5)
            view = watched.view()
            assert (view.stop.reason, view.linear_ip) == ("breakpoint", 0x7C01)
        assert view.points[0].address == 0x7C01


def test_slow_motion_executes_so_many_instructions_a_second():
    with spin() as watched:
        session = watched.at_start()
        session.set_speed(Speed("instructions", 100)).result(5)
        before = watched.view().registers["rax"]
        session.resume().result(5)
        time.sleep(0.5)
        session.pause().result(5)
        assert 5 <= watched.view().registers["rax"] - before <= 40  # an inc is every second instruction


def test_a_paced_machine_keeps_to_the_hosts_clock():
    with spin(speed=1.0) as watched:
        session = watched.at_start()
        began = watched.view().now_ns
        session.resume().result(5)
        time.sleep(0.4)
        session.pause().result(5)
        assert watched.view().now_ns - began < 0.7e9


def test_a_key_wakes_a_guest_that_nothing_else_can():
    source = "in al, 21h\n or al, 1\n out 21h, al\nagain: sti\n hlt\n inc bx\n jmp again"
    with Watched(image(source)) as watched:
        session = watched.at_start()
        session.resume().result(5)
        deadline = time.monotonic() + 5
        while not watched.view().halted and time.monotonic() < deadline:
            time.sleep(0.01)
        before = watched.view().registers["rbx"]
        session.type(parse_keys("a")).result(5)
        while watched.view().registers["rbx"] == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert watched.view().registers["rbx"] != before


def test_the_end_of_the_machine_is_a_stop_and_running_on_says_so_again():
    with Watched(image("cli\n hlt")) as watched:
        for _ in range(2):
            watched.session.resume().result(5)
            assert watched.session.wait(5)
            assert watched.view().stop.ended.reason == "halted"


def test_collectors_may_be_exchanged_while_a_view_is_made():
    with spin() as watched:
        session = watched.session

        def exchange(debugger):
            session.set_collectors({"third": lambda debugger: 3})
            return 1

        session.set_collectors({"first": exchange, "second": lambda debugger: 2})
        assert session.call(lambda debugger: session.view().panels).result(5) in (
            {"first": 1, "second": 2},
            {"third": 3},
        )
        assert watched.view().stop is None  # and no error


def test_a_collector_that_fails_harms_no_other():
    with spin() as watched:
        watched.session.set_collectors({"bad": lambda debugger: 1 // 0, "good": lambda debugger: 7})
        view = watched.view()
        assert view.panels["good"] == 7
        assert isinstance(view.panels["bad"], ZeroDivisionError)


def test_a_bug_while_running_is_a_stop_that_tells_and_not_a_hang(monkeypatch):
    with spin() as watched:
        session = watched.at_start()

        def broken(ms=None):
            raise RuntimeError("the engine broke")

        session.call(lambda debugger: monkeypatch.setattr(debugger, "resume", broken)).result(5)
        session.resume().result(5)
        assert session.wait(5)
        stop = watched.view().stop
        assert (stop.reason, stop.text) == ("error", "RuntimeError: the engine broke")


def test_an_address_that_is_none_is_an_error_of_the_one_who_asked():
    with spin() as watched, pytest.raises(MiniVMError):
        watched.session.run_to("no_such_label").result(5)


def test_a_closed_session_takes_no_work_and_its_threads_are_gone():
    with spin() as watched:
        watched.session.resume().result(5)
        watched.session.close()
        with pytest.raises(SessionClosed):
            watched.session.step().result(5)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("machine")]
