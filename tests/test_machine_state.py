"""The whole machine: taken and put back, saved to a file and restored, it goes on as if nothing had happened."""

from pathlib import Path
from typing import Any

import pytest

import minivm
from minivm import bundled
from minivm.core.clock import Clock
from minivm.core.keys import unescape
from minivm.core.memory import PAGE
from minivm.core.plain import from_plain, to_plain
from minivm.engine.state import CpuState
from minivm.errors import SnapshotError
from minivm.machine import Machine
from minivm.saved import pages_of

GUESTS = {guest.name: guest for guest in bundled.guests()}
END = 600_000_000
"""Where the runs end, in virtual nanoseconds, unless the guest ends before."""


def boot(name: str, **options: Any) -> Machine:
    vm = minivm.boot(name, **options)
    if GUESTS[name].types:
        vm.type(unescape(GUESTS[name].types or ""))
    return vm


def seen(vm: Machine) -> dict[str, Any]:
    return {
        "hash": vm.state_hash(), "screen": vm.screen.text(), "serial": vm.serial.text(), "ended": vm.ended,
        "now": vm.now, "exits": vm.exits, "ticks": vm.ticks,
    }  # fmt: skip


def put_ram(vm: Machine, pages: dict[int, bytes]) -> None:
    vm.memory.zero_pages(page for page in vm.memory.used() if page not in pages)
    vm.memory.put_pages(pages)


@pytest.mark.parametrize("name", sorted(GUESTS))
def test_a_saved_guest_goes_on_as_one_that_was_never_saved(name: str, tmp_path: Path) -> None:
    with boot(name) as whole:
        whole.run_to(END)
        expected, middle = seen(whole), whole.now // 2
    with boot(name) as first:
        first.run_to(middle)
        first.step(3)
        here = first.state_hash()
        first.save(tmp_path / "middle.mvm")
        assert first.state_hash() == here, "saving changed it"
        with minivm.restore(tmp_path / "middle.mvm") as second:
            assert second.state() == first.state()
            assert second.state_hash() == here
            second.run_to(END)
            assert seen(second) == expected
        first.run_to(END)
        assert seen(first) == expected


@pytest.mark.parametrize("name", ["timer", "tasks", "longmode", "shell", "paging"])
def test_a_machine_goes_back_in_place(name: str) -> None:
    with boot(name) as vm:
        vm.run(ms=15)
        vm.step(2)
        state, pages, here = vm.state(), pages_of(vm), vm.state_hash()
        vm.run(ms=40)
        later = seen(vm)
        for _ in range(2):
            put_ram(vm, pages)
            vm.restore(state)
            assert vm.state_hash() == here
            assert vm.state() == state
            vm.run_to(later["now"])
            assert seen(vm) == later


def test_a_pending_reset_and_a_wanted_end_are_part_of_the_state() -> None:
    with boot("timer") as vm:
        vm.run(ms=5)
        vm.reset()
        vm.debug_exit(3)
        state, pages = vm.state(), pages_of(vm)
        assert state.reset_wanted
        vm.run(ms=5)
        assert vm.ended is not None
        put_ram(vm, pages)
        vm.restore(state)
        assert vm.ended is None
        ended = vm.run(ms=5)
        assert (ended.reason, ended.code) == ("debug-exit", 3)


def test_alarms_due_together_ring_in_the_saved_order() -> None:
    with boot("timer") as vm:
        rung: list[str] = []
        vm.run(ms=5)

        class Bell:
            def __init__(self, name: str) -> None:
                self.name, self.due = name, 0

            def arm(self, due: int) -> None:
                self.due = due
                vm.clock.at(due, self.ring)

            def ring(self) -> None:
                rung.append(self.name)

            def reset(self) -> None: ...

            def state(self) -> int:
                return self.due

            def restore(self, state: int) -> None:
                self.arm(state)

        vm.devices = vm.devices | {"first": Bell("first"), "second": Bell("second")}
        due = vm.now + 1_000_000
        vm.devices["second"].arm(due)
        vm.devices["first"].arm(due)
        state, pages = vm.state(), pages_of(vm)
        vm.run(ms=2)
        put_ram(vm, pages)
        vm.restore(state)
        vm.run(ms=2)
        assert rung == ["second", "first"] * 2


def test_ties_settle_by_rank_and_quiet_alarms_stay_quiet() -> None:
    clock, rung = Clock(), []
    for name in "abc":
        clock.at(10, lambda name=name: rung.append(name), quiet=name == "a")
    ranks = {action: rank for rank, (_, action) in enumerate(reversed(clock.pending()))}
    clock.settle_ties(lambda due, action: ranks[action])
    assert clock.next_due == 10
    clock.at(10, lambda: rung.append("later"))
    clock.advance_to(10)
    assert rung == ["c", "b", "a", "later"]


def test_the_hash_does_not_know_how_a_machine_came_there() -> None:
    with boot("timer") as one, boot("timer") as other:
        one.run_to(20_000_000)
        other.memory.write(40 << 20, b"x" * PAGE)
        while other.now < 20_000_000:
            other.run_to(min(other.now + 77_777, 20_000_000))
        other.memory.write(40 << 20, bytes(PAGE))
        assert other.now == one.now
        assert one.state_hash() == other.state_hash()
        other.memory.write(40 << 20, b"x")
        assert one.state_hash() != other.state_hash()


def test_the_hash_sees_the_fpu_and_disks() -> None:
    with boot("disk") as vm:
        before = vm.state_hash()
        vm.engine.set_raw_register(122, bytes(range(16)))
        with_xmm = vm.state_hash()
        name, disk = next(iter(vm.disks.items()))
        assert name == "floppy0"
        disk.write(1, b"\x77" * 512)
        assert len({before, with_xmm, vm.state_hash()}) == 3


def test_a_cpu_state_is_plain() -> None:
    with boot("longmode") as vm:
        vm.run(ms=5)
        state = vm.state().cpu
        assert from_plain(CpuState, to_plain(state)) == state


# -- files ------------------------------------------------------------------------------------------------------
@pytest.fixture
def saved(tmp_path: Path) -> Path:
    with boot("shell") as vm:
        vm.run(ms=20)
        vm.save(tmp_path / "shell.mvm")
    return tmp_path / "shell.mvm"


@pytest.mark.parametrize(
    ("field", "value"),
    [("memory", "32M"), ("append", "x"), ("rtc", "2020-01-01"), ("boot", "flat"), ("origin", 0x8000), ("bits", 32)],
)
def test_another_configuration_is_refused_by_its_field(saved: Path, field: str, value: Any) -> None:
    with pytest.raises(SnapshotError, match=rf"shell\.mvm: {field}: the snapshot has"):
        minivm.restore(saved, **{field: value})


def test_a_field_that_does_not_exist_is_refused(saved: Path) -> None:
    with pytest.raises(SnapshotError, match=r"shell\.mvm: colour: a configuration has no such field"):
        minivm.restore(saved, colour="red")


def test_the_hosts_affairs_may_differ(saved: Path) -> None:
    with minivm.restore(saved, speed=2.0, timeout=5, display="none") as vm:
        assert vm.config is not None
        assert vm.config.speed == 2.0
        vm.expect("shell")


def test_a_guest_from_bytes_lies_in_the_snapshot(tmp_path: Path) -> None:
    image = GUESTS["hello-vga"].image.read_bytes()
    with minivm.boot(image) as vm:
        vm.run(ms=1)
        vm.save(tmp_path / "x.mvm")
    with minivm.restore(tmp_path / "x.mvm") as vm:
        vm.reset()
        vm.run(ms=100)
        assert GUESTS["hello-vga"].prints[0] in vm.screen.text()


@pytest.mark.parametrize("spec", ["{}", "{},snapshot", "{},ro"])
def test_disks_come_back_over_the_same_image(tmp_path: Path, spec: str) -> None:
    image, file = tmp_path / "data.img", tmp_path / "x.mvm"
    image.write_bytes(bytes(512 * 2000))
    attached = spec.format(image)
    with boot("shell", disks=[attached]) as vm:
        vm.disks["disk0"].hold()
        if not attached.endswith(",ro"):
            vm.disks["disk0"].write(7, b"\x55" * 512)
        vm.save(file)
        here = vm.state_hash()
        vm.disks["disk0"].discard()
    with minivm.restore(file) as vm:
        assert vm.state_hash() == here
        assert vm.disks["disk0"].read(7, 1) == (bytes(512) if attached.endswith(",ro") else b"\x55" * 512)
        vm.disks["disk0"].discard()
    moved = image.rename(tmp_path / "moved.img")
    with pytest.raises(SnapshotError, match=r"data\.img"):
        minivm.restore(file)
    elsewhere = [spec.format(moved)]
    with minivm.restore(file, disks=elsewhere) as vm:
        assert vm.state_hash() == here
        vm.disks["disk0"].discard()
    moved.write_bytes(b"x" + bytes(512 * 2000 - 1))
    with pytest.raises(SnapshotError, match=r"moved\.img: was altered since the snapshot was made, as disk0"):
        minivm.restore(file, disks=elsewhere)


def test_an_altered_guest_is_refused_by_name(tmp_path: Path) -> None:
    guest = tmp_path / "guest.img"
    guest.write_bytes(GUESTS["timer"].image.read_bytes())
    with minivm.boot(guest) as vm:
        vm.save(tmp_path / "x.mvm")
    guest.write_bytes(GUESTS["shell"].image.read_bytes())
    with pytest.raises(SnapshotError, match=r"guest\.img: was altered since the snapshot was made, as guest"):
        minivm.restore(tmp_path / "x.mvm")


def test_a_child_needs_its_parent_and_holds_only_what_differs(tmp_path: Path) -> None:
    with boot("shell") as vm:
        vm.run(ms=20)
        vm.save(tmp_path / "a.mvm")
        vm.type("help\n")
        vm.run(ms=500)
        info = vm.save(tmp_path / "b.mvm", parent=tmp_path / "a.mvm")
        assert info.pages.stored < 12
        here = vm.state_hash()
    with minivm.restore(tmp_path / "b.mvm") as vm:
        assert vm.state_hash() == here


class Counter:
    """A device of a user's own."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def read(self, offset: int, size: int) -> int:
        return self.count

    def write(self, offset: int, size: int, value: int) -> None:
        self.count += value

    def state(self) -> int:
        return self.count

    def restore(self, state: int) -> None:
        self.count = state


def test_a_device_of_the_users_own_is_saved_and_given_again(tmp_path: Path) -> None:
    file = tmp_path / "x.mvm"
    with boot("shell", devices=[("port", 0x300, Counter(5))]) as vm:
        vm.save(file)
    mine = Counter()
    with minivm.restore(file, devices=[("port", 0x300, mine)]):
        assert mine.count == 5
    with pytest.raises(SnapshotError, match="devices: the snapshot has"):
        minivm.restore(file)


def test_a_device_without_a_state_is_named(tmp_path: Path) -> None:
    class Mute:
        def read(self, offset: int, size: int) -> int:
            return 0

        def write(self, offset: int, size: int, value: int) -> None: ...

    with (
        boot("shell", devices=[("port", 0x300, Mute())]) as vm,
        pytest.raises(SnapshotError, match=r"Mute at port 300h has no state\(\)"),
    ):
        vm.save(tmp_path / "x.mvm")


def test_a_field_of_a_wrong_type_is_named(saved: Path) -> None:
    from minivm import saved as saving
    from minivm.storage import snapshot

    found = snapshot.load(saved)
    found.fields["devices"]["pit"].popitem()
    with boot("shell") as vm, pytest.raises(SnapshotError, match=r"devices\.pit\..* is missing"):
        saving.fill(vm, found)


def test_a_machine_on_a_script_has_a_state_too() -> None:
    from minivm.core.bus import Bus
    from minivm.core.memory import MIB, AddressSpace, Memory, Region
    from minivm.engine.base import Ran
    from minivm.engine.scripted import ScriptedEngine

    class Quiet:
        pending = deaf = False

        def acknowledge(self) -> int:
            return 0

    memory, clock, engine = Memory(MIB), Clock(), ScriptedEngine([Ran(5), Ran(7)])
    space = AddressSpace(memory, Bus("memory", 1 << 32), [Region(0, MIB, True)])
    vm = Machine(
        engine=engine, memory=memory, space=space, ports=Bus("port", 1 << 16), clock=clock, interrupts=Quiet(),
        devices={}, power_on=lambda: None,
    )  # fmt: skip
    vm.cpu.rbx = 77
    vm.step()
    state, here = vm.state(), vm.state_hash()
    vm.cpu.rbx = 78
    vm.step()
    assert vm.now == 12
    vm.restore(state)
    assert (vm.now, vm.cpu.rbx, vm.state_hash()) == (5, 77, here)
    with pytest.raises(SnapshotError, match="cannot be cloned"):
        vm.clone()
    with pytest.raises(SnapshotError, match="cannot be saved"):
        vm.save("x.mvm")
    vm.close()
