"""Two runs of one guest: the same in every way, and a planted fault is found at exactly its instruction."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
from minivm import bundled, pc
from minivm.cli.script import Script, Step
from minivm.config import MachineConfig
from minivm.debug.code import assemble
from minivm.debug.compare import Comparison, compare
from minivm.debug.compare_report import as_text, identical
from minivm.debug.compare_ways import WAYS, Side, copy, parse_way
from minivm.errors import ConfigError
from minivm.machine import Machine

SOURCE = """
        bits 16
        org 0x7c00
        xor ax, ax
        mov ds, ax
        mov cx, {rounds}
again:  inc ax
        add bx, ax
        xor bx, cx
        {access}
        mov [0x7000], al
        add [0x7002], bx
        loop again
        cli
        hlt
        times 510-($-$$) db 0
        dw 0xaa55
"""
PLAIN = assemble(SOURCE.format(rounds=800, access="xor al, 0x61"), bits=16, origin=0x7C00).code
ASKING = assemble(SOURCE.format(rounds=200, access="in al, 0x61"), bits=16, origin=0x7C00).code
START, ADD, XOR, IN, STORE, LOOP = 0x7C07, 0x7C08, 0x7C0A, 0x7C0C, 0x7C0E, 0x7C15
FAST = {"max_ticks": 60_000, "seconds": 0.06}
guest = pytest.mark.parametrize("guest", bundled.guests(), ids=lambda guest: guest.name)


def sound() -> Machine:
    return minivm.boot(PLAIN, memory="1M")


def asking() -> Machine:
    return minivm.boot(ASKING, memory="1M")


def middle() -> int:
    """A tick in the middle of the loop, which takes 20 ticks a round."""
    with sound() as vm:
        vm.engine.set_breakpoints([0x7C00])
        vm.run()
        return vm.now + 8_000


MIDDLE = middle()


def guest_maker(found: bundled.Guest):
    config = MachineConfig(guest=found.image, guest_snapshot=True)
    return lambda native=None: pc.build(config, native=native)


def flips_a_bit_at(tick: int, address: int = 0x7200):
    """A machine in whose RAM a bit turns at a tick."""

    def make() -> Machine:
        vm = sound()
        vm.clock.at(tick, lambda: vm.memory.write(address, bytes([vm.memory.view[address] ^ 0x10])))
        return vm

    return make


def answers_wrong_at(read: int, device: str = "port_b"):
    """A machine whose port 61h gives another bit 4 at one read."""

    def make() -> Machine:
        vm = asking()
        port, reads = vm.devices[device], 0
        real = port.read

        def wrong(offset: int, size: int) -> int:
            nonlocal reads
            reads += 1
            return real(offset, size) ^ (0x80 if reads == read else 0)

        port.read = wrong
        return vm

    return make


def after(address: int, time: int, action):
    """A machine to which something is done behind the n-th time that an instruction was stepped."""

    def make() -> Machine:
        vm = sound()
        real, met = vm.engine.step, 0

        def wrong():
            nonlocal met
            here = vm.cpu.linear_ip == address
            ended = real()
            met += here
            if here and met == time:
                action(vm)
            return ended

        vm.engine.step = wrong
        return vm

    return make


def corrupts(register: str, value: int):
    return lambda vm: setattr(vm.cpu, register, getattr(vm.cpu, register) ^ value)


# -- no fault ---------------------------------------------------------------------------------------------------------
def test_one_guest_in_two_ways_is_the_same_and_its_instructions_are_counted():
    comparison = Comparison(sound)
    assert comparison.run() is None
    assert comparison.ended == "halted"
    with sound() as vm:
        vm.run(ms=100)
        assert (comparison.ticks, comparison.executed) == (vm.now, vm.ticks)
    with sound() as vm:
        steps = 1
        while vm.step().reason == "limit":
            steps += 1
    assert comparison.instructions == steps - 1 > 800 * 7  # the last step finds the machine asleep for good
    assert f"{comparison.ticks:,} ticks" in identical(comparison)


@guest
def test_a_bundled_guest_begins_the_same_when_it_is_stepped(guest):
    found = compare(guest_maker(guest), **FAST)
    assert found is None, as_text(found)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("run", "step")] + ["sliced:17", "restored:20000"])
@pytest.mark.parametrize("name", ["paging", "disk", "longmode", "timer", "tasks"])
def test_a_guest_is_the_same_in_every_way(name, way):
    found = compare(guest_maker(bundled.find(name)), ("run", way), **FAST)
    assert found is None, as_text(found)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", [*WAYS][1:])
@guest
def test_a_whole_bundled_guest_is_the_same_in_every_way(guest, way):
    script = None
    if guest.types:
        script = Script((Step.parse("expect", guest.prints[0]), Step.parse("type", guest.types)))
    found = compare(guest_maker(guest), ("run", way), max_ticks=2_000_000, seconds=3, script=script)
    assert found is None, as_text(found)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 50_000), st.integers(1, 3000))
def test_where_the_machines_are_compared_does_not_matter(chunk, slice_ticks):
    chunk = max(chunk, 2000)
    assert compare(sound, ("step", f"sliced {slice_ticks}"), chunk=chunk, max_ticks=20_000) is None


# -- planted faults ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ways", [("run", "step"), ("step", "run"), ("run", "run"), ("sliced 100", "step")])
def test_a_bit_that_turns_in_ram_is_found_where_it_turned(ways):
    found = compare((sound, flips_a_bit_at(MIDDLE)), ways, chunk=30_000)
    assert found.kind == "between"
    assert found.found.memory == ((0x7200, 0x00, 0x10),)
    assert (found.found.count, found.found.registers, found.found.fields) == (1, (), ())
    assert MIDDLE <= found.before.ticks < MIDDLE + 40  # at the first block's start behind it


def test_a_turned_bit_of_code_is_the_first_difference_and_not_what_it_leads_to():
    found = compare((sound, flips_a_bit_at(MIDDLE, ADD)), chunk=1_000_000)
    assert found.kind == "between"
    assert [address for address, _, _ in found.found.memory] == [ADD]
    assert found.before.linear == START


@pytest.mark.parametrize("read", [1, 2, 77, 200])
def test_a_device_that_answers_differently_once_is_found_at_the_read(read):
    found = compare((asking, answers_wrong_at(read)), chunk=7_000)
    assert (found.kind, found.before.linear, found.before.text) == ("instruction", IN, "in al, 0x61")
    assert found.found.registers == ("rax",)
    assert found.first.registers["rax"] ^ found.second.registers["rax"] == 0x80
    assert (found.before.registers["rcx"], found.found.count) == (201 - read, 0)


@pytest.mark.parametrize("time", [1, 2, 400])
def test_a_flag_that_one_step_corrupts_is_found_at_its_instruction(time):
    found = compare((sound, after(XOR, time, corrupts("rflags", 0x400))))
    assert (found.kind, found.before.linear, found.before.text) == ("instruction", XOR, "xor bx, cx")
    assert found.found.registers == ("rflags",)
    assert found.before.registers["rcx"] == 801 - time
    assert found.trace[-2].linear == ADD
    assert found.ways == ("run", "step")


def test_the_instructions_before_a_fault_are_counted():
    found = compare((sound, after(STORE, 3, corrupts("rdx", 1))))
    with sound() as vm:
        steps = met = 0
        while met < 3:
            met += vm.cpu.linear_ip == STORE
            vm.step()
            steps += 1
    assert found.instructions == steps
    assert found.before.registers["rcx"] == 798


def test_a_fault_of_the_run_gear_is_found_as_its_block():
    def make() -> Machine:
        vm = sound()
        real, done = vm.engine.run, False

        def wrong(until: int):
            nonlocal done
            ended = real(until)
            if not done and vm.now >= MIDDLE:
                done = True
                vm.cpu.bx ^= 4
            return ended

        vm.engine.run = wrong
        return vm

    found = compare((make, sound), chunk=1_000_000)
    assert found.kind == "block"
    assert found.found.registers == ("rbx",)
    assert found.before.ticks < MIDDLE <= found.first.ticks == found.second.ticks
    assert found.trace[found.suspect].linear == XOR  # the last that writes BX
    assert "> 0000:7C0A" in as_text(found)


def test_time_alone_is_a_difference():
    slow = after(LOOP, 50, lambda vm: vm.engine.skip_to(vm.now + 3))
    found = compare((sound, slow), ("step", "step"))
    assert (found.kind, found.before.linear) == ("instruction", LOOP)
    assert found.second.ticks - found.first.ticks == 3
    assert (found.found.registers, found.found.count) == ((), 0)
    assert "only the time" in as_text(found)


def test_a_devices_field_is_named():
    def make() -> Machine:
        vm = sound()
        vm.clock.at(MIDDLE, lambda: vm.devices["post_code"].write(0, 1, 0x55))
        return vm

    found = compare((sound, make))
    assert [field.name.rpartition(".")[0] for field in found.found.fields] == ["devices.post_code"]
    assert "devices.post_code" in as_text(found)
    assert "55h" in as_text(found)


def test_what_was_sent_is_compared():
    def make() -> Machine:
        vm = sound()
        vm.clock.at(MIDDLE, lambda: vm.serial.put(b"!"))
        return vm

    found = compare((sound, make))
    assert [(field.name, field.first, field.second) for field in found.found.fields] == [
        ("serial output[0]", b"", b"!")
    ]


def test_machines_that_were_never_the_same_are_told_so():
    def other() -> Machine:
        vm = sound()
        vm.memory.write(0x500, b"\1")
        return vm

    comparison = Comparison((sound, other))
    found = comparison.run()
    assert (found.kind, found.found.memory) == ("start", ((0x500, 0, 1),))
    assert "from the start" in as_text(found)


def test_a_machine_that_ends_earlier_is_a_difference():
    def other() -> Machine:
        vm = sound()
        vm.clock.at(MIDDLE, vm.ask_power_off)
        return vm

    found = compare((sound, other), chunk=100_000)
    assert found.kind == "between"
    [wanted] = [field for field in found.found.fields if field.name == "request"]
    assert (wanted.first, wanted.second.reason) == (None, "powered-off")


# -- input ------------------------------------------------------------------------------------------------------------
def test_what_is_typed_comes_to_both_machines_at_the_same_tick():
    script = Script((Step("expect", "Type"), Step("type", "ab\x1b")))
    comparison = Comparison(guest_maker(bundled.find("echo")), script=script, seconds=1)
    found = comparison.run()
    assert found is None, as_text(found)
    assert [given.kind for given in comparison.journal] == ["keys"]


def test_a_fault_behind_what_was_typed_is_found_as_well():
    sources = guest_maker(bundled.find("echo"))

    def faulty() -> Machine:
        vm = sources()
        vm.clock.at(300_000_000, lambda: vm.memory.write(0x7F00, b"?"))
        return vm

    script = Script((Step("type", "ab"),))
    found = compare((sources, faulty), script=script, seconds=1)
    assert found.found.memory == ((0x7F00, 0, ord("?")),)
    assert found.before.halted


# -- ways -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["walk", "", "sliced:x", "sliced:0", "run:3", "sliced:-1", "watched:0x1ffffffff"])
def test_a_way_that_is_none_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match=r"way|number"):
        parse_way(text)


def test_a_way_is_read_with_its_number():
    assert (parse_way("sliced 20"), str(parse_way("watched:0x500"))) == (parse_way("sliced:20"), "watched:1280")


@pytest.mark.parametrize("wrong", [{"ways": ("run",)}, {"max_ticks": 0}, {"chunk": 0}, {"seconds": 0}])
def test_nothing_to_compare_is_refused(wrong):
    with pytest.raises(ConfigError):
        Comparison(sound, **wrong)


def test_the_way_restored_goes_on_in_new_machines():
    made = []

    def make() -> Machine:
        made.append(sound())
        return made[-1]

    side = Side(make, parse_way("restored:10000"))
    side.go(35_000)
    assert len(made) == 4
    side.close()


def test_a_copy_lacks_nothing():
    with sound() as old, sound() as new:
        old.run(ticks=20_000)
        old.step(3)
        copy(old, new)
        assert old.state_hash() == new.state_hash()
