"""Live clones: a machine in the same state that shares what nobody writes, and goes its own way."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

import minivm
from minivm import bundled
from minivm.core.keys import unescape
from minivm.errors import SnapshotError
from minivm.machine import Machine

GUESTS = {guest.name: guest for guest in bundled.guests()}
END = 300_000_000


def boot(name: str, **options: Any) -> Machine:
    vm = minivm.boot(name, **options)
    if GUESTS[name].types:
        vm.type(unescape(GUESTS[name].types or ""))
    return vm


def seen(vm: Machine) -> tuple[Any, ...]:
    return vm.state_hash(), vm.state(), vm.screen.text(), vm.serial.text()


@pytest.mark.parametrize("name", sorted(GUESTS))
def test_a_clone_in_the_middle_of_a_block_ends_as_its_original(name: str) -> None:
    with boot(name) as vm:
        vm.run(ms=7)
        vm.step(2)
        with vm.clone() as clone:
            assert seen(clone) == seen(vm)
            clone.run_to(END)
            vm.run_to(END)
            assert seen(clone) == seen(vm)


def test_clones_go_their_own_ways() -> None:
    with minivm.boot("shell") as vm:
        vm.run(ms=50)
        with vm.clone() as one, one.clone() as two:
            here = vm.state_hash()
            one.type("help\n")
            one.run(ms=500)
            two.memory.write(0x9000, b"two")
            two.type("zzz\n")
            two.run(ms=500)
            assert vm.state_hash() == here
            assert "zzz" in two.screen.text()
            assert "zzz" not in one.screen.text()
            vm.type("help\n")
            vm.run(ms=500)
            assert seen(vm) == seen(one)


def test_a_halted_machine_can_be_cloned() -> None:
    with boot("echo") as vm:
        vm.run(ms=300)
        assert vm.halted
        with vm.clone() as clone:
            assert clone.halted
            for machine in (vm, clone):
                machine.type("a")
                machine.run(ms=100)
            assert seen(vm) == seen(clone)


def test_a_machine_about_to_reset_is_cloned_so() -> None:
    with boot("timer") as vm:
        vm.run(ms=20)
        vm.reset()
        with vm.clone() as clone:
            for machine in (vm, clone):
                machine.run(ms=100)
            assert clone.resets == vm.resets == 1
            assert seen(vm) == seen(clone)


def test_an_ended_machine_stays_ended_in_its_clone() -> None:
    with boot("triplefault") as vm:
        vm.run(ms=100)
        with vm.clone() as clone:
            assert clone.ended == vm.ended
            assert clone.run(ms=1) == vm.ended


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_family_may_be_closed_in_any_order(order: tuple[int, ...]) -> None:
    vm = boot("timer")
    vm.run(ms=10)
    child = vm.clone()
    family = [vm, child, child.clone()]
    expected = vm.state_hash()
    for place, index in enumerate(order):
        family[index].close()
        for other in order[place + 1 :]:
            assert family[other].state_hash() == expected
    with pytest.raises(ValueError, match="released"):
        vm.memory.view[0]


def test_a_clone_writes_no_disk(tmp_path: Path) -> None:
    image = tmp_path / "data.img"
    image.write_bytes(bytes(512 * 2000))
    with boot("shell", disks=[str(image)]) as vm, vm.clone() as clone:
        clone.disks["disk0"].write(3, b"c" * 512)
        vm.disks["disk0"].write(4, b"v" * 512)
        assert clone.disks["disk0"].read(4, 1) == bytes(512)
        assert vm.disks["disk0"].read(3, 1) == bytes(512)
    assert image.read_bytes()[3 * 512 : 5 * 512] == bytes(512) + b"v" * 512


def test_a_restored_clone_keeps_its_disk_writes_in_memory(tmp_path: Path) -> None:
    image, file = tmp_path / "data.img", tmp_path / "clone.mvm"
    image.write_bytes(bytes(512 * 2000))
    with boot("shell", disks=[str(image)]) as vm, vm.clone() as clone:
        clone.disks["disk0"].write(3, b"c" * 512)
        clone.save(file)
    with minivm.restore(file) as vm:
        assert vm.disks["disk0"].read(3, 1) == b"c" * 512
    assert not any(image.read_bytes())


class Lamp:
    def __init__(self, lit: int = 0) -> None:
        self.lit = lit

    def read(self, offset: int, size: int) -> int:
        return self.lit

    def write(self, offset: int, size: int, value: int) -> None:
        self.lit = value

    def state(self) -> int:
        return self.lit

    def restore(self, state: int) -> None:
        self.lit = state


class OwnLamp(Lamp):
    def clone(self) -> Lamp:
        return OwnLamp()


def test_a_device_of_the_users_own_makes_its_clone() -> None:
    with boot("shell", devices=[("port", 0x300, OwnLamp(3))]) as vm, vm.clone() as clone:
        clone.ports.write(0x300, 1, 9)
        assert (vm.ports.read(0x300, 1), clone.ports.read(0x300, 1)) == (3, 9)
    with (
        boot("shell", devices=[("port", 0x300, Lamp())]) as vm,
        pytest.raises(SnapshotError, match=r"Lamp at port 300h has no clone\(\)"),
    ):
        vm.clone()


def _memory_kb() -> int:
    """Return what this process costs the host: its private pages, and its share of the others."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(re.findall(r"^Pss: +(\d+)", text, re.MULTILINE)[0])


def _used_machine() -> Machine:
    """Return a machine of 32 MB that has used 8 of them."""
    vm = minivm.boot("shell", memory="32M")
    vm.run(ms=20)
    for page in range(2048):
        vm.memory.write((16 << 20) + page * 4096, bytes([page & 0xFF or 1]) * 4096)
    return vm


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_idle_clones_cost_a_tenth_of_whole_machines() -> None:
    with _used_machine() as vm:
        vm.clone().close()
        before = _memory_kb()
        clones = [vm.clone() for _ in range(50)]
        cloned = (_memory_kb() - before) / 50
        for clone in clones:
            clone.close()
    before = _memory_kb()
    copies = [_used_machine() for _ in range(8)]
    copied = (_memory_kb() - before) / 8
    for copy in copies:
        copy.close()
    print(f"a clone {cloned:.0f} KB, a copy {copied:.0f} KB")
    assert cloned <= copied / 10
