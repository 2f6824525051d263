"""Going back in time with the keys, the commands, the mouse and the panels' `W`."""

import asyncio

import pytest
from textual import events

from minivm.api import boot
from minivm.cli.tui import _history
from minivm.core.keys import parse_keys
from minivm.debug.code import assemble
from minivm.errors import ConfigError, MiniVMError
from minivm.tui.life import Life, Sample
from minivm.tui.pace import REAL_TIME, Speed
from minivm.tui.past import parse_moment, span_words
from minivm.tui.session import Session

PROGRAM = """
    org 7C00h
        mov ax, 1
        mov byte [7E00h], 5
        mov al, 0FEh
        out 21h, al
again:  inc bx
        inc word [7E10h]
        jmp again
"""
KEYS = """
    org 7C00h
        sti
again:  hlt
        inc word [7E00h]
        jmp again
"""


def image(source):
    return assemble(source).code.ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture
def program():
    return image(PROGRAM)


def at_start(script, steps=0):
    async def whole(stage):
        await stage.command("until 7C00h")
        await stage.until(lambda: not stage.session.running and stage.app.view.linear_ip == 0x7C00)
        if steps:
            await stage.command(f"step {steps}")
        await script(stage)

    return whole


def ip(stage):
    return stage.app.view.linear_ip


def history(stage):
    return stage.app.view.history


# -- keys -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["f7", "left_square_bracket"])
def test_a_key_undoes_an_instruction(play, program, key):
    async def script(stage):
        await stage.press(key)
        assert (ip(stage), stage.app.view.registers["rax"] & 0xFFFF) == (0x7C03, 1)
        assert "PAST" in stage.text
        assert "before the end" in stage.text
        await stage.press(key)
        assert ip(stage) == 0x7C00
        await stage.press("right_square_bracket", "right_square_bracket")
        assert ip(stage) == 0x7C08
        assert "PAUSED" in stage.text

    play(at_start(script, 2), program)


@pytest.mark.parametrize("key", ["f8", "left_curly_bracket", "shift+f5"])
def test_a_key_goes_back_to_the_last_breakpoint(play, program, key):
    async def script(stage):
        await stage.command("break 7C03h")
        await stage.press(key)
        assert ip(stage) == 0x7C03
        assert "breakpoint at 7C03h reached" in stage.text
        await stage.press(key)
        assert "the beginning of what is kept" in stage.text
        await stage.press("right_curly_bracket")
        assert not history(stage).in_past
        assert "PAUSED" in stage.text

    play(at_start(script, 40), program)


def test_running_on_in_the_past_does_the_same_again(play, program):
    async def script(stage):
        end = history(stage).end
        await stage.press("f7", "f7", "f7")
        await stage.command("break 7C0Ch if bx == 1")
        await stage.command("tick begin")
        await stage.press("f5")
        await stage.until(lambda: stage.app.view.stop is not None and stage.app.view.stop.reason == "breakpoint")
        assert stage.app.view.registers["rbx"] & 0xFFFF == 1
        assert history(stage).end == end
        assert not history(stage).forks

    play(at_start(script, 40), program)


# -- commands ---------------------------------------------------------------------------------------------------------
def test_commands_go_back(play, program):
    async def script(stage):
        await stage.command("back 4")
        assert ip(stage) == 0x7C00
        await stage.command("back 2x")
        assert "2x is no number of instructions" in stage.message
        await stage.press("escape")
        await stage.command("tick end")
        assert not history(stage).in_past
        await stage.command("goto tick -2us")
        assert history(stage).in_past
        await stage.command("goto tick noon")
        assert "is no moment" in stage.message
        await stage.press("escape")
        await stage.command("tick begin")
        assert stage.app.view.now_ns == history(stage).begin
        await stage.command("rc")
        assert "the beginning of what is kept" in stage.text

    play(at_start(script, 4), program)


def test_who_wrote_a_byte_goes_there_and_explains(play, program):
    async def script(stage):
        await stage.command("who byte [7E00h]")
        assert ip(stage) == 0x7C03
        assert "byte [7E00h] was written: 0h, now 5h, by the next instruction: mov byte" in stage.message
        assert "mov byte" in stage.panel("explain").text()
        await stage.command("who byte [9000h]")
        assert "nobody has written byte [9000h]" in stage.message
        assert ip(stage) == 0x7C03
        await stage.command("who nothing")
        assert "nothing" in stage.message

    play(at_start(script, 20), program)


def test_an_edit_in_the_past_begins_a_branch_and_a_command_goes_back_to_the_old_one(play, program):
    async def script(stage):
        await stage.command("branches")
        assert "no branch" in stage.message
        await stage.command("back 10")
        at = stage.app.view.now_ns
        await stage.command("set bx 1234h")
        assert "a new branch begins here; what had come after is branch 1" in stage.message
        assert [(one.number, one.fork) for one in history(stage).forks] == [(1, at)]
        await stage.press("f11", "f11", "f11")
        assert stage.app.view.registers["rbx"] & 0xFF00 == 0x1200
        await stage.command("branches")
        assert f"1: left at {at:,}" in stage.message
        await stage.command("branch 1")
        assert stage.app.view.registers["rbx"] & 0xFF00 == 0
        assert len(history(stage).forks) == 1
        await stage.command("branch 7")
        assert "there is no branch 7" in stage.message
        await stage.press("escape")
        await stage.command("branch x")
        assert "Give its number" in stage.message

    play(at_start(script, 40), program)


def test_the_palette_and_the_help_have_the_ways_back(play, program):
    async def script(stage):
        titles = {one.title for one in stage.app.get_system_commands(stage.app.screen)}
        assert {"back [N]", "rcontinue", "who WHAT", "branches", "branch N"} <= titles
        await stage.command("help")
        await stage.pilot.pause(0.2)
        assert "undo instructions" in stage.text

    play(script, program, size=(120, 50))


def test_without_a_history_every_way_back_says_so(program, tmp_path):
    from minivm.tui.app import MiniVMApp

    async def script():
        async with MiniVMApp(session, autostart=False, preferences_file=tmp_path / "t").run_test(
            size=(120, 40)
        ) as pilot:
            app = pilot.app
            while app.view is None:
                await asyncio.sleep(0.01)
            for key in ("f7", "f8", "right_curly_bracket"):
                app.tell("")
                await pilot.press(key)
                await asyncio.sleep(0.2)
                assert "no past is kept: the history is off" in str(app.message_line.render()), key
            for text in ("who ax", "tick begin", "branch 1", "branches"):
                app.tell("")
                app.obey(text)
                await asyncio.sleep(0.2)
                assert "no past is kept: the history is off" in str(app.message_line.render()), text

    with boot(program, memory="4M") as machine:
        session = Session(machine, speed=None, history=0)
        try:
            asyncio.run(script())
        finally:
            session.close()


def test_a_long_search_can_be_given_up(play, program):
    async def script(stage):
        stage.send("f5")
        await stage.until(lambda: stage.app.view.now_ns > 5_000_000)
        await asyncio.wrap_future(stage.session.pause())
        await stage.settle()
        here = stage.app.view.now_ns
        stage.app.obey("who fs")
        await stage.until(lambda: "Escape gives it up" in stage.message)
        stage.send("escape")
        await stage.until(lambda: "given up" in stage.message, seconds=20)
        await stage.settle()
        assert stage.app.view.now_ns == here

    play(at_start(script), program)


# -- panels -----------------------------------------------------------------------------------------------------------
def test_w_asks_who_wrote_in_memory_registers_and_devices(play, program):
    async def script(stage):
        memory = stage.panel("memory")
        stage.app.action_panel("memory")
        memory.follow(0x7E00)
        await stage.press("w")
        await stage.until(lambda: ip(stage) == 0x7C03)
        await stage.command("tick end")
        stage.app.action_panel("registers")
        registers = stage.panel("registers")
        registers.chosen = next(at for at, one in enumerate(registers._items) if one.register == "ax")
        await stage.press("w")
        await stage.until(lambda: ip(stage) == 0x7C08)
        await stage.command("tick end")
        stage.app.action_panel("devices")
        devices = stage.panel("devices")
        await stage.press("w")
        assert "put the cursor on a register that has a port" in str(devices.message.render())
        devices.open |= {"pit"}
        devices.look_again()
        await stage.settle()
        keys = [row.key for row in devices.listing.rows]
        devices.listing.put_cursor(next(at for at, key in enumerate(keys) if devices._port_at(key) == 0x21))
        await stage.press("w")
        await stage.until(lambda: "port 21h" in stage.app.view.stop.text)
        assert ip(stage) == 0x7C0A

    play(at_start(script, 30), program, layout="debug", size=(200, 60))


async def timeline(stage):
    stage.app.action_panel("timeline")
    await stage.settle()
    return stage.panel("timeline")


def test_the_timeline_is_scrubbed_by_keys(play, program):
    async def script(stage):
        await timeline(stage)
        end = history(stage).end
        await stage.press("left")
        await stage.until(lambda: history(stage).now < end)
        one = history(stage).now
        await stage.press("left")
        await stage.until(lambda: history(stage).now < one)
        await stage.press("shift+left")
        await stage.until(lambda: history(stage).now < one - 5 * (end - one))
        await stage.press("home")
        await stage.until(lambda: history(stage).now == history(stage).begin)
        await stage.press("right")
        await stage.until(lambda: history(stage).now > history(stage).begin)
        await stage.press("end")
        await stage.until(lambda: history(stage).now == end)
        assert not history(stage).in_past

    play(at_start(script, 300), program, layout="debug", size=(200, 60))


def test_the_timeline_is_clicked_and_dragged(play, program):
    async def script(stage):
        await asyncio.wrap_future(stage.session.call(lambda debugger: debugger.go_on(5_000_000)))
        panel = await timeline(stage)
        (begin, end), width = panel.data.span, panel.listing.columns
        await stage.pilot.mouse_down(panel.listing, offset=(width // 2, 1))
        await stage.pilot.mouse_up(panel.listing, offset=(width // 2, 1))
        await stage.until(lambda: abs(history(stage).now - (begin + end) / 2) < (end - begin) / 10)
        await stage.until(lambda: "▲" in panel.listing.rows[4].text[width // 2 - 1 : width // 2 + 2])
        await stage.pilot.mouse_down(panel.listing, offset=(width - 1, 1))
        for column in range(width - 2, 0, -7):
            await stage.pilot._post_mouse_events([events.MouseMove], panel.listing, offset=(column, 1), button=1)
        await stage.pilot.mouse_up(panel.listing, offset=(0, 1))
        await stage.until(lambda: history(stage).now < begin + (end - begin) / 5)
        assert not history(stage).forks

    play(at_start(script, 300), program, layout="debug", size=(200, 60))


def test_a_branch_and_a_moment_in_the_timeline_are_chosen(play, program):
    async def script(stage):
        end = history(stage).end
        await stage.command("back 50")
        await stage.command("set bx 0")
        panel = await timeline(stage)
        await stage.until(lambda: "branch 1 parts here" in panel.listing.text)
        rows = [row.text for row in panel.listing.rows]
        panel.listing.put_cursor(next(at for at, text in enumerate(rows) if "branch 1" in text))
        await stage.press("enter")
        await stage.until(lambda: history(stage).end == end and not history(stage).in_past)

    play(at_start(script, 100), program, layout="debug", size=(200, 60))


def test_the_trace_forgets_what_was_undone_and_tells_it_once_when_it_comes_again(play, program):
    async def script(stage):
        stage.app.action_panel("trace")
        await stage.command("step 4")
        trace = stage.panel("trace")
        assert trace.text().count("OUT 21h") == 1
        await stage.press("f7")
        await stage.until(lambda: "OUT 21h" not in trace.text())
        await stage.press("f11")
        await stage.until(lambda: trace.text().count("OUT 21h") == 1)
        await stage.command("step 10")
        await stage.press("f7")
        assert trace.text().count("OUT 21h") == 1

    play(at_start(script), program, layout="debug", size=(200, 60))


# -- the session ------------------------------------------------------------------------------------------------------
class Watched:
    def __init__(self, guest, speed=None):
        self.machine = boot(guest, memory="4M")
        self.session = Session(self.machine, speed=speed)
        self.session.start()

    def view(self):
        return self.session.call(lambda debugger: self.session.view()).result(10)

    def run_for(self, ns):
        goal = self.machine.now + ns
        self.session.resume().result(5)
        while self.view().now_ns < goal:
            pass
        self.session.pause().result(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session.close()
        self.machine.close()


def test_only_the_newest_of_many_wishes_is_fulfilled(program):
    with Watched(program) as watched:
        watched.run_for(20_000_000)
        end = watched.view().history.end
        gone = []
        watched.session.call(lambda debugger: debugger.timeline.went_back.append(lambda: gone.append(1))).result(5)
        watched.session.call(lambda debugger: __import__("time").sleep(0.2))
        futures = [watched.session.scrub(end - 100_000 * at) for at in range(1, 101)]
        assert [one is not None for one in futures] == [True] + 99 * [False]
        futures[0].result(20)
        assert abs(watched.view().now_ns - (end - 10_000_000)) < 100_000
        assert len(gone) <= 2


@pytest.mark.parametrize("speed", [REAL_TIME, Speed("instructions", 1000)])
def test_a_sleeping_guest_wakes_in_the_past_as_it_did_and_begins_no_branch(speed):
    with Watched(image(KEYS)) as watched:
        session = watched.session
        session.run_to(0x7C00).result(5)
        session.wait(5)
        session.set_speed(REAL_TIME).result(5)
        watched.run_for(100_000_000)
        session.type(parse_keys("a")).result(5)
        watched.run_for(100_000_000)
        end = watched.view().history.end
        woken = session.call(lambda debugger: debugger.read(0x7E00, 2)).result(5)
        assert woken > b"\0\0"
        session.go_to(watched.view().history.begin + 30_000_000).result(10)
        session.set_speed(speed).result(5)
        watched.run_for(40_000_000)
        session.go_to(end).result(10)
        view = watched.view()
        assert (view.history.end, view.history.forks) == (end, ())
        assert session.call(lambda debugger: debugger.read(0x7E00, 2)).result(5) == woken


def test_a_session_that_is_closed_lets_the_machine_go(program):
    with Watched(program) as watched:
        watched.session.close()
        assert watched.machine.journal is None
        with pytest.raises(MiniVMError):
            watched.session.step_back().result(5)


def test_slow_motion_sleeps_through_a_halt():
    with Watched(image(KEYS), speed=None) as watched:
        watched.session.run_to(0x7C02).result(5)
        watched.session.wait(5)
        watched.session.set_speed(Speed("instructions", 200)).result(5)
        watched.run_for(60_000_000)


@pytest.mark.parametrize(("text", "size"), [(None, 128 << 20), ("off", 0), ("0", 0), ("16", 16 << 20)])
def test_how_much_past_is_kept_is_an_option(text, size):
    assert _history(text) == size


@pytest.mark.parametrize("text", ["many", "-1", "9999999999"])
def test_a_history_of_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="no number of megabytes"):
        _history(text)


# -- words ------------------------------------------------------------------------------------------------------------
def test_moments_are_understood_in_every_notation():
    texts = ("1,234", "12.5ms", "1.5 s", "-3us", "+3us", "begin", "END", "7")
    found = [parse_moment(text, 10_000, 5, 99) for text in texts]
    assert found == [1234, 12_500_000, 1_500_000_000, 7000, 13_000, 5, 99, 7]


@pytest.mark.parametrize("text", ["", "noon", "1.5.2", "12 parsecs", "--3"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ConfigError, match="is no moment"):
        parse_moment(text, 0, 0, 0)


def test_spans_are_told_in_digits_that_fit():
    spans = (7, 1500, 12_345_678, 2_500_000_000)
    assert [span_words(one) for one in spans] == ["7 ns", "1.50 us", "12.3 ms", "2.50 s"]


class FakeTimeline:
    end = 1000
    branches = ()


class FakeMachine:
    def __init__(self, machine, now):
        self.exits = {}
        self.now, self.ticks, self.cpu = now, now, machine.cpu


def test_looks_in_the_past_make_the_picture_finer_and_another_branch_cuts_it(program):
    with boot(program, memory="4M") as machine:
        life, line = Life(), FakeTimeline()
        for now in (100, 900, 500, 900):
            life.look(FakeMachine(machine, now), line)
        assert [one.now for one in life.samples] == [100, 500, 900]
        line.end, line.branches = 600, (type("Branch", (), {"number": 1, "fork": 600, "end": 1000}),)
        life.look(FakeMachine(machine, 600), line)
        assert [one.now for one in life.samples] == [100, 500, 600]
        assert isinstance(life.samples[0], Sample)
