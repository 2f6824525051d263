"""The journal of inputs, and the player that brings a machine to any position of the run again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
from minivm import bundled
from minivm.core.keys import KeyEvent, parse_keys
from minivm.errors import SnapshotError
from minivm.inputs import Departed, Input, Journal, MemoryEdit, Overshot, Player, SerialInput, apply
from minivm.machine import NS_PER_MS, Machine

ECHO = """
        bits 16
        org 0x7c00
again:  mov ah, 0
        int 0x16
        mov ah, 0x0e
        int 0x10
        add [count], al
        jmp again
count:  db 0
        times 510-($-$$) db 0
        dw 0xaa55
"""
SPIN = """
        bits 16
        org 0x7c00
        sti
        xor ax, ax
        mov ds, ax
again:  inc ax
        add bx, ax
        rol bx, 3
        xor cx, bx
        in al, 0x61
        mov [0x7000], al
        add [0x7002], cx
        mov dx, 0x3fd
        in al, dx
        test al, 1
        jz again
        mov dx, 0x3f8
        in al, dx
        add [0x7004], al
        jmp again
        times 510-($-$$) db 0
        dw 0xaa55
"""


def boot(source: str) -> Machine:
    from minivm.debug.code import assemble

    return minivm.boot(assemble(source, bits=16, origin=0x7C00).code, memory="1M")


def typed(text: str) -> tuple[KeyEvent, ...]:
    return tuple(parse_keys(text))


class Run:
    """A recorded run: what the journal has, and the state at every input and at some positions more."""

    def __init__(self, source: str, script, *, slice_ticks: int | None = None) -> None:
        self.source, self.journal, self.hashes = source, Journal(), []
        with boot(source) as vm:
            vm.slice_ticks = slice_ticks or vm.slice_ticks
            vm.journal = self.journal
            for action in script:
                action(vm)
                vm.settle()
                self.hashes.append((vm.now, vm.state_hash()))

    def replay(self, slice_ticks: int) -> None:
        with boot(self.source) as vm:
            vm.slice_ticks = slice_ticks
            player = Player(vm, self.journal)
            for position, expected in dict(self.hashes).items():
                assert player.reach(position) is None
                vm.settle()
                assert vm.now == position
                assert vm.state_hash() == expected, f"at {position}"


def go(ms: float):
    return lambda vm: vm.run(ms=ms)


def step(count: int):
    return lambda vm: vm.step(count)


def keys(text: str):
    return lambda vm: vm.type(text)


def send(data: bytes):
    return lambda vm: vm.console.ports[0].send(data)


def stop_and_run(vm: Machine) -> None:
    vm.engine.stop()
    vm.run(ms=50)


ECHO_SCRIPT = [go(30), keys("hello"), go(77), keys("<F1>x"), go(3), keys("y"), keys("z"), go(200)]
SPIN_SCRIPT = [
    go(3), send(b"abc"), step(7), send(b"d"), go(1.5), step(3), keys("q"), go(0.1), stop_and_run, send(b"e"), go(2),
    step(5), keys("w"), step(1), send(b"f"), go(1), lambda vm: vm.reset(), go(4), send(b"gh"), go(2),
]  # fmt: skip


@pytest.mark.parametrize("slice_ticks", [777, 20 * NS_PER_MS])
@pytest.mark.parametrize("script", [ECHO_SCRIPT, SPIN_SCRIPT], ids=["echo", "spin"])
def test_a_run_is_the_same_at_every_input_whatever_the_slices(script, slice_ticks):
    Run(ECHO if script is ECHO_SCRIPT else SPIN, script).replay(slice_ticks)


def test_a_run_cut_into_odd_pieces_is_replayed_by_whole_ones():
    Run(SPIN, SPIN_SCRIPT, slice_ticks=997).replay(20 * NS_PER_MS)


def test_an_input_inside_a_block_comes_inside_the_same_block():
    run = Run(SPIN, [go(2), step(9), send(b"x"), step(2), keys("k"), go(1)])
    assert any(given.in_block for given in run.journal)
    run.replay(20 * NS_PER_MS)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 900).map(lambda count: ("step", count)),
            st.integers(1, 3_000_000).map(lambda ticks: ("run", ticks)),
            st.sampled_from([("keys", "a"), ("keys", "<Ctrl-C>"), ("serial", b"z"), ("reset", None), ("stop", None)]),
        ),
        max_size=12,
    )
)
def test_any_walk_with_inputs_is_replayed(walk):
    def action(kind, value):
        return {
            "step": lambda vm: vm.step(value),
            "run": lambda vm: vm.run(ticks=value),
            "keys": lambda vm: vm.type(value),
            "serial": lambda vm: vm.console.ports[0].send(value),
            "reset": lambda vm: vm.reset(),
            "stop": lambda vm: vm.engine.stop(),
        }[kind]

    Run(SPIN, [action(*part) for part in walk]).replay(12345)


def test_the_sleep_of_a_halted_guest_is_an_input_and_two_in_a_row_are_one():
    with boot(ECHO) as vm:
        vm.journal = Journal()
        vm.run(ms=30)
        vm.pass_time(vm.now + 1000)
        vm.pass_time(vm.now + 1000)
        first = len(vm.journal)
        assert first == 1
        at = vm.journal[0].position
        vm.run(ms=60)
        assert [(given.kind, given.data - at) for given in vm.journal] == [("time", 2000)]


def test_a_player_that_stops_within_a_sleep_sleeps_on():
    with boot(ECHO) as vm:
        vm.journal = journal = Journal()
        vm.run(ms=30)
        vm.pass_time(vm.now + 5 * NS_PER_MS)
        vm.run(ms=9)
        vm.type("u")
        vm.run(ms=99)
        end, expected = vm.now, vm.state_hash()
    with boot(ECHO) as vm:
        player = Player(vm, journal)
        middle = journal[0].position + 2 * NS_PER_MS
        player.reach(middle)
        assert vm.now == middle
        Player(vm, journal).reach(end)
        assert vm.state_hash() == expected


def test_cutting_a_journal_keeps_what_lies_before_and_at_the_position():
    journal = Journal(Input(position, "keys", typed("a"), 0) for position in (5, 7, 7, 9))
    assert [given.position for given in journal.cut(7)] == [9]
    assert [given.position for given in journal] == [5, 7, 7]
    assert [given.position for given in journal.since(7)] == [7, 7]


def test_an_input_before_the_last_one_is_refused():
    journal = Journal([Input(5, "reset", None, 0)])
    with pytest.raises(ValueError, match="cut the journal first"):
        journal.append(Input(4, "reset", None, 0))


def test_inputs_at_one_position_keep_their_order():
    run = Run(ECHO, [go(30), keys("a"), keys("b"), send(b"x"), keys("c"), go(90)])
    assert [given.kind for given in run.journal] == ["keys", "keys", "serial", "keys"]
    run.replay(777)


ONE_OF_EACH = [
    Input(1, "keys", typed("a<F1>"), 0x7C00),
    Input(2, "serial", SerialInput(1, b"\0\xff"), 0x7C00, in_block=True),
    Input(3, "time", 1 << 40, 0x7C00),
    Input(3, "reset", None, 0x7C00),
    Input(4, "memory", MemoryEdit(0x500, b"ab"), 0x7C00),
    Input(5, "power-off", None, 0xFFFF_FFFF_FFFF_FFF0),
]


def test_a_journal_comes_back_from_its_plain_form():
    import json

    plain = json.loads(json.dumps(Journal(ONE_OF_EACH).to_plain()))
    assert list(Journal.from_plain(plain)) == ONE_OF_EACH


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "pedal"}, r"inputs\[0\].kind: 'pedal' is no kind"),
        ({"position": -1}, r"inputs\[0\].position: -1 lies before power-on"),
        ({"data": [{"key": "a"}]}, r"inputs\[0\].data\[0\].pressed is missing"),
        ({"more": 1}, r"inputs\[0\].more is unknown"),
        ({"position": 9}, r"inputs\[1\].position: an input at 2 cannot follow"),
    ],
)
def test_a_plain_journal_with_a_wrong_field_is_refused_by_its_name(change, message):
    plain = Journal(ONE_OF_EACH).to_plain()
    plain[0] |= change
    with pytest.raises(SnapshotError, match=message):
        Journal.from_plain(plain)


def test_an_input_that_a_listener_gives_in_the_middle_of_a_run_is_replayed():
    with boot(ECHO) as vm:
        vm.journal = journal = Journal()
        vm.run(ms=30)
        vm.type("a")
        vm.clock.after(NS_PER_MS, lambda: vm.type("b"))
        vm.run(ms=50)
        end, expected = vm.now, vm.state_hash()
        assert [given.kind for given in journal] == ["keys", "keys"]
    with boot(ECHO) as vm:
        Player(vm, journal).reach(end)
        assert vm.state_hash() == expected


def test_another_guest_departs_from_the_journal():
    run = Run(SPIN, [go(2), step(9), send(b"x"), go(1)])
    with boot(ECHO) as vm, pytest.raises(Departed):
        Player(vm, run.journal).reach(run.hashes[-1][0])


def test_a_player_that_looks_too_near_says_that_it_overshot():
    with boot(SPIN) as vm:
        vm.run(ms=2)
        vm.step(5)
        while not vm.engine.in_block:
            vm.step()
        position = vm.now
    with boot(SPIN) as vm, pytest.raises(Overshot):
        Player(vm, Journal(), near=0).reach(position)
    with boot(SPIN) as vm:
        assert Player(vm, Journal()).reach(position) is None
        assert vm.now == position


def test_a_player_goes_on_behind_a_stop():
    run = Run(SPIN, [go(3), send(b"abc"), go(3)])
    position, expected = run.hashes[-1]
    with boot(SPIN) as vm:
        player = Player(vm, run.journal)
        vm.stop()
        assert player.reach(position).reason == "stopped"
        assert player.reach(position) is None
        assert vm.state_hash() == expected


def test_a_player_tells_of_the_machines_end():
    with boot("bits 16\ncli\nhlt\ntimes 510-($-$$) db 0\ndw 0xaa55") as vm:
        assert Player(vm, Journal()).reach(NS_PER_MS).reason == "halted"


def test_a_player_cannot_go_back():
    with boot(SPIN) as vm:
        vm.run(ms=1)
        with pytest.raises(ValueError, match="cannot go back"):
            Player(vm, Journal()).reach(5)


def test_before_the_inputs_is_before_them():
    run = Run(ECHO, [go(30), keys("a"), go(1)])
    with boot(ECHO) as vm:
        player = Player(vm, run.journal)
        player.reach(run.journal[0].position, before_inputs=True)
        assert player.done == 0
        player.reach(run.journal[0].position)
        assert player.done == 1


def test_without_a_journal_nothing_is_kept_and_with_one_apply_notes_nothing():
    with boot(ECHO) as vm:
        vm.type("a")
        vm.journal = Journal()
        apply(vm, Input(0, "keys", typed("b"), 0))
        assert len(vm.journal) == 0


@pytest.mark.parametrize("name", ["scancodes", "echo", "timer"])
def test_a_guest_that_was_driven_live_is_replayed(name):
    """As the terminal does: small pieces, and the time of a sleeping guest passes by the host's clock."""
    guest = bundled.find(name)
    journal = Journal()
    with minivm.boot(name, memory="2M") as vm:
        vm.journal = journal
        for piece in range(60):
            ended = vm.run(ms=7)
            if ended.final and vm.ended is None:
                vm.pass_time(vm.now + 7 * NS_PER_MS)
            if piece % 8 == 7:
                vm.console.play(typed("ab"))
        end, expected, text = vm.now, vm.state_hash(), vm.screen.text()
    assert guest is not None
    with minivm.boot(name, memory="2M") as vm:
        vm.slice_ticks = 777
        Player(vm, journal).reach(end)
        assert (vm.state_hash(), vm.screen.text()) == (expected, text)


def test_a_debuggers_edits_are_replayed_where_they_were_made():
    from minivm.debug.debugger import Debugger

    journal = Journal()
    with boot(SPIN) as vm:
        vm.journal = journal
        debugger = Debugger(vm)
        vm.run(ms=2)
        vm.step(3)
        debugger.set_register("bx", 0x1234)
        vm.devices["uart0"].receive(b"q")
        debugger.write(0x7002, b"ab")
        vm.run(ms=1)
        debugger.set_register("ss", 0x100)
        end, expected = vm.now, vm.state_hash()
    assert [given.kind for given in journal] == ["register", "memory", "register"]
    with boot(SPIN) as vm:
        player = Player(vm, journal)
        player.reach(journal[0].position)
        vm.devices["uart0"].receive(b"q")
        player.reach(end)
        assert vm.state_hash() == expected


TIMED = """
        bits 16
        org 0x7c00
        xor ax, ax
        mov ds, ax
        mov word [0x20], tick
        mov [0x22], ax
        sti
again:  inc bx
        jmp again
tick:   add [0x7000], bx
        push ax
        mov al, 0x20
        out 0x20, al
        pop ax
        iret
        times 510-($-$$) db 0
        dw 0xaa55
"""


def test_an_edit_ahead_of_an_interrupt_that_is_due_is_replayed_ahead_of_it():
    from minivm.debug.debugger import Debugger

    journal = Journal()
    with boot(TIMED) as vm:
        vm.journal = journal
        vm.run(ms=20)
        vm.run_to(vm.clock.next_due - 40)
        for _ in range(40):
            if vm.settled:
                vm.step()
        Debugger(vm).set_register("bx", 5)
        assert not journal[0].settled
        vm.run(ms=200)
        end, expected = vm.now, vm.state_hash()
    with boot(TIMED) as vm:
        Player(vm, journal).reach(end)
        assert vm.state_hash() == expected
