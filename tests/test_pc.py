"""The PC's wiring: each chip at its address, its interrupt at its line, and the guest's ways to reset and to leave."""

import gc
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

import minivm
from minivm import pc
from minivm.config import MachineConfig
from minivm.errors import ConfigError, ImageError
from minivm.machine import Machine

PORTS = {
    0x21: "pic0", 0x40: "pit", 0x60: "keyboard data", 0x61: "system control B", 0x64: "keyboard command", 0x71: "cmos",
    0x80: "post code", 0x92: "system control A", 0xA1: "pic1", 0xB2: "bios trap", 0xE9: "debug console",
    0xF4: "debug exit", 0x2F8: "com2", 0x3D4: "vga", 0x3FF: "com1", 0x4D0: "elcr", 0x604: "power switch",
}  # fmt: skip


def sector(code: str) -> bytes:
    return bytes.fromhex(code).ljust(510, b"\x90") + b"\x55\xaa"


def build(code: str, *, native: bool | None = None) -> Machine:
    return pc.build(MachineConfig(guest=Path("image")), image=sector(code), native=native)


def test_each_chip_answers_at_its_ports() -> None:
    with build("f4") as vm:
        found = {port: vm.ports.find(port) for port in PORTS}
        assert {port: mapping.name for port, mapping in found.items() if mapping is not None} == PORTS


@pytest.mark.parametrize(
    ("code", "reason", "code_value"),
    [
        ("b021 e6f4 ebfe", "debug-exit", 0x21), ("ba0406 b80020 ef ebfe", "powered-off", 0), ("faf4", "halted", 0),
        ("fa 0f011e0c7c cd03 90 0000 00000000", "shutdown", 0),
    ],
    ids=["debug exit", "power off", "halt", "triple fault"],
)  # fmt: skip
def test_a_guest_can_leave_in_each_way(code: str, reason: str, code_value: int) -> None:
    with build(code) as vm:
        ended = vm.run(ms=1000)
        assert (ended.reason, ended.code) == (reason, code_value)


@pytest.mark.parametrize(
    "code", ["e492 0c01 e692", "b0fe e664", "baf90c b006 ee"], ids=["port 92h", "keyboard controller", "port CF9h"]
)
def test_a_guest_can_reset_the_machine_in_each_way(code: str) -> None:
    """It counts its starts in memory, which a reset keeps, and leaves at the third."""
    with build(f"fe060070 803e007003 7504 b001 e6f4 {code} ebfe") as vm:
        ended = vm.run(ms=2000)
        assert (ended.reason, vm.resets, vm.memory[0x7000]) == ("debug-exit", 2, b"\x03")


def test_the_timer_interrupts_at_its_usual_rate() -> None:
    with build("fb f4 ebfc") as vm:
        vm.run(ms=100)
        before = vm.exits["interrupts"]
        vm.run(ms=1000)
        assert vm.exits["interrupts"] - before in (18, 19)


@pytest.mark.parametrize(
    "how", [lambda vm: vm.run(ms=50), lambda vm: [vm.run(ms=0.777) for _ in range(70)]], ids=["at once", "sliced"]
)
def test_the_python_block_hook_does_what_the_machine_code_does(how: Callable[[Machine], object]) -> None:
    outcomes = []
    for native in (True, False):
        with build("fb b90500 e2fe cd12 f4 ebf6", native=native) as vm:
            how(vm)
            vm.run_to(60_000_000)
            outcomes.append((vm.now, vm.exits, vm.state_hash()))
    assert outcomes[0] == outcomes[1]


def test_what_cannot_be_built_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="engine"):
        pc.build(MachineConfig(guest=Path("image"), engine="kvm"), image=sector("f4"))
    with pytest.raises(ImageError):
        pc.build(MachineConfig(guest=Path("image")), image=b"")


def test_two_hundred_machines_leave_nothing_behind() -> None:
    def open_some(count: int) -> None:
        for _ in range(count):
            with minivm.boot(sector("faf4"), memory="1M") as vm:
                vm.run(ms=10)
        gc.collect()

    open_some(10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    open_some(200)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB
