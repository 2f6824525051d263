"""The debugger: what stops a machine, where it stands then, and that stopping changes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import minivm
from minivm.debug.code import assemble, assemble_file
from minivm.debug.debugger import DebugError, Debugger
from minivm.debug.symbols_table import SymbolTable
from minivm.errors import MiniVMError

GUESTS = Path(__file__).parents[2] / "guests"
HEAD = " bits 16\n org 0x7C00\n xor ax, ax\n mov ds, ax\n mov es, ax\n mov ss, ax\n mov sp, 0x7C00\n"
TAIL = "\n times 510 - ($ - $$) db 0\n dw 0xAA55\n"
END = " mov al, 0\n out 0xF4, al\n"
HANDLER = """
 mov word [4 * 0x30], handler
 mov word [4 * 0x30 + 2], 0
"""


class Bench:
    """A debugger on a sector, at the first instruction of its body, with the labels as symbols."""

    def __init__(self, body: str) -> None:
        made = assemble(HEAD + " body:\n" + body + END + TAIL)
        table = SymbolTable()
        for name, address in made.symbols.items():
            table.add(name, address)
        self.vm = minivm.boot(made.code)
        self.labels = made.symbols
        self.debugger = Debugger(self.vm, table)
        self.debugger.run_to("body")

    @property
    def ip(self) -> int:
        return self.vm.cpu.linear_ip


@pytest.fixture
def bench() -> Iterator[Callable[[str], Bench]]:
    made: list[Bench] = []

    def make(body: str) -> Bench:
        made.append(Bench(body))
        return made[-1]

    yield make
    for one in made:
        one.vm.close()


@pytest.fixture
def guest() -> Iterator[Callable[[str], Bench]]:
    """A debugger on a bundled guest at its reset vector."""
    made: list[Bench] = []

    def make(name: str) -> Bench:
        one = Bench.__new__(Bench)
        one.labels = assemble_file(GUESTS / f"{name}.asm").symbols
        one.vm = minivm.boot(name)
        one.debugger = Debugger(one.vm)
        made.append(one)
        return one

    yield make
    for one in made:
        one.vm.close()


LOOP = " mov cx, 5\n again: mov [0x600], cx\n inside: nop\n loop again\n"


# -- breakpoints ----------------------------------------------------------------------------------------------------


def test_a_breakpoint_stops_before_its_instruction_each_time(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    entry = one.debugger.break_at("inside")
    seen = []
    while (stop := one.debugger.resume()).reason == "breakpoint":
        assert (stop.number, one.ip) == (entry.number, one.labels["inside"])
        seen.append(one.vm.cpu.cx)
    assert seen == [5, 4, 3, 2, 1]
    assert entry.hits == 5
    assert stop.reason == "debug-exit"


@pytest.mark.parametrize("where", ["0000:{:04X}", "phys:0x{:X}", "0x{:x}", "inside", "07C0:{:04X}"])
def test_a_place_can_be_written_in_every_way(bench: Callable[[str], Bench], where: str) -> None:
    one = bench(LOOP)
    address = one.labels["inside"]
    one.debugger.break_at(where.format(address - 0x7C00 if where.startswith("07C0") else address))
    assert one.debugger.resume().reason == "breakpoint"
    assert one.ip == address


def test_a_condition_decides(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    entry = one.debugger.break_at("inside", condition="cx == 2 and word [0x600] == 2")
    assert one.debugger.resume().number == entry.number
    assert one.vm.cpu.cx == 2
    assert entry.hits == 1
    assert one.debugger.resume().reason == "debug-exit"


def test_the_first_hits_can_be_ignored(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    one.debugger.break_at("inside", ignore=3)
    one.debugger.resume()
    assert one.vm.cpu.cx == 2


def test_a_temporary_breakpoint_goes_when_it_stops(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    one.debugger.break_at("inside", temporary=True)
    assert one.debugger.resume().reason == "breakpoint"
    assert one.debugger.entries() == []
    assert one.debugger.resume().reason == "debug-exit"


def test_a_disabled_or_removed_breakpoint_does_not_stop(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    entry, other = one.debugger.break_at("inside"), one.debugger.break_at("again")
    one.debugger.enable(entry.number, False)
    one.debugger.remove(other.number)
    assert one.debugger.resume().reason == "debug-exit"
    assert "disabled" in str(entry)


def test_unknown_entries_places_and_conditions_are_errors_of_one_line(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    for wrong in (
        lambda: one.debugger.remove(9), lambda: one.debugger.break_at("nowhere"),
        lambda: one.debugger.break_at("body", condition="cx =="), lambda: one.debugger.watch("cx", "write"),
        lambda: one.debugger.watch("[0x600]", "smell"), lambda: one.debugger.catch("fish"),
        lambda: one.debugger.set_register("xyz", 1), lambda: one.debugger.set_register("mode", 1),
    ):  # fmt: skip
        with pytest.raises(MiniVMError) as caught:
            wrong()
        assert "\n" not in str(caught.value)
    assert one.debugger.entries() == []


def test_a_breakpoint_at_an_interrupt_handler_is_not_stepped_over(bench: Callable[[str], Bench]) -> None:
    """In the slow gear, where the interrupt becomes due between two steps."""
    one = bench(
        " mov word [4 * 8], handler\n mov word [4 * 8 + 2], 0\n mov al, 0x34\n out 0x43, al\n mov al, 0x20\n"
        " out 0x40, al\n mov al, 0\n out 0x40, al\n sti\n idle: jmp idle\n handler: mov dx, 0x1234\n"
    )
    one.debugger.break_at("handler")
    one.debugger.watch("byte [0x600]")
    assert one.debugger.resume(ms=1).reason == "breakpoint"
    assert one.ip == one.labels["handler"]
    assert one.vm.cpu.dx != 0x1234


# -- watchpoints ----------------------------------------------------------------------------------------------------


def test_a_write_stops_behind_its_instruction(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    one.debugger.watch("word [0x600]")
    stop = one.debugger.resume()
    assert (stop.reason, one.ip) == ("watchpoint", one.labels["inside"])
    assert "now 5h" in stop.text


def test_reads_and_writes_are_told_apart(bench: Callable[[str], Bench]) -> None:
    body = " mov [0x600], ax\n wrote: mov bx, [0x600]\n read_it: nop\n"
    for kind, label in (("read", "read_it"), ("write", "wrote"), ("access", "wrote"), ("change", None)):
        one = bench(body)
        one.debugger.watch("word [0x600]", kind)
        stop = one.debugger.resume()
        assert stop.reason == ("watchpoint" if label else "debug-exit"), kind
        assert label is None or one.ip == one.labels[label]


def test_only_the_watched_bytes_count(bench: Callable[[str], Bench]) -> None:
    one = bench(" mov [0x602], ax\n mov [0x5FE], ax\n mov [0x600], al\n here: nop\n")
    one.debugger.watch("word [0x600]")
    one.debugger.resume()
    assert one.ip == one.labels["here"]


def test_a_length_widens_what_is_watched(bench: Callable[[str], Bench]) -> None:
    one = bench(" mov [0x5FF], al\n mov [0x607], al\n here: nop\n")
    one.debugger.watch("byte [0x600]", length=8)
    one.debugger.resume()
    assert one.ip == one.labels["here"]


def test_a_register_and_a_flag_are_watched_for_change(bench: Callable[[str], Bench]) -> None:
    one = bench(" clc\n mov dx, 7\n mov dx, 7\n mov dx, 8\n set: stc\n after: nop\n")
    one.debugger.watch("dx", "change", condition="dx == 8")
    assert "to 8h" in one.debugger.resume().text
    assert one.ip == one.labels["set"]
    one.debugger.watch("cf", "change")
    one.debugger.resume()
    assert one.ip == one.labels["after"]


def test_a_watchpoint_sees_the_physical_bytes_behind_paging(guest: Callable[[str], Bench]) -> None:
    one = guest("longmode")
    one.debugger.run_to(one.labels["long_mode"])
    one.debugger.watch("byte [0xb8000]", length=2, condition="byte [0xb8000] == '6'")
    assert one.debugger.resume().reason == "watchpoint"
    assert one.vm.memory[0xB8000:0xB8001] == b"6"


# -- catches --------------------------------------------------------------------------------------------------------


def test_a_port_access_is_caught_with_its_value(bench: Callable[[str], Bench]) -> None:
    one = bench(" mov al, 0x12\n out 0x80, al\n mov al, 0x34\n out 0x99, al\n")
    one.debugger.catch("port", 0x99)
    stop = one.debugger.resume()
    assert stop.reason == "catch"
    assert "99h, 34h" in stop.text


def test_an_exception_is_caught_at_its_handler(bench: Callable[[str], Bench]) -> None:
    one = bench(" mov word [0], handler\n mov word [2], 0\n xor cx, cx\n div cx\n handler: nop\n")
    one.debugger.catch("exception", 0)
    stop = one.debugger.resume()
    assert (stop.reason, one.ip) == ("catch", one.labels["handler"])


def test_an_interrupt_is_caught_and_a_bios_call_by_its_number(bench: Callable[[str], Bench]) -> None:
    one = bench(HANDLER + " int 0x30\n jmp over\n handler: iret\n over: mov ax, 0x0E41\n int 0x10\n")
    first, second = one.debugger.catch("interrupt", 0x30), one.debugger.catch("bios", 0x10)
    assert one.debugger.resume().number == first.number
    assert one.ip == one.labels["handler"]
    assert one.debugger.resume().number == second.number
    assert one.vm.cpu.cs == 0xF000


def test_each_change_of_mode_is_caught(guest: Callable[[str], Bench]) -> None:
    one = guest("longmode")
    one.debugger.catch("mode")
    modes = []
    while one.debugger.resume().reason == "catch":
        modes.append(one.vm.cpu.mode)
    assert modes == ["compat16", "64"]


def test_one_mode_is_waited_for(guest: Callable[[str], Bench]) -> None:
    one = guest("protected")
    one.debugger.catch("mode", "32")
    assert one.debugger.resume().reason == "catch"
    assert one.ip == one.labels["protected"]


def test_the_way_to_ring_3_and_back_is_caught(guest: Callable[[str], Bench]) -> None:
    one = guest("syscall64")
    one.debugger.catch("privilege")
    levels = []
    while one.debugger.resume().reason == "catch":
        levels.append(one.vm.cpu.cpl)
    assert levels == [3, 0, 3, 0]


# -- steps ----------------------------------------------------------------------------------------------------------

CALLS = " call routine\n after: nop\n mov cx, 3\n rep stosb\n behind: int 0x30\n end: nop\n jmp over\n" + (
    " routine: call deeper\n back: ret\n deeper: nop\n ret\n handler: iret\n over: nop\n"
)


def test_a_step_goes_into_a_call(bench: Callable[[str], Bench]) -> None:
    one = bench(CALLS)
    assert one.debugger.step().reason == "step"
    assert one.ip == one.labels["routine"]
    one.debugger.step(2)
    assert one.ip == one.labels["deeper"] + 1


def test_a_step_over_passes_calls_strings_and_interrupts(bench: Callable[[str], Bench]) -> None:
    one = bench(HANDLER + " begin: " + CALLS)
    one.debugger.run_to("begin")
    for label in ("after", None, None, "behind", "end"):
        assert one.debugger.step_over().reason == "step"
        assert label is None or one.ip == one.labels[label]


def test_a_step_over_a_call_stops_at_a_breakpoint_in_it(bench: Callable[[str], Bench]) -> None:
    one = bench(CALLS)
    entry = one.debugger.break_at("deeper")
    assert one.debugger.step_over().number == entry.number
    assert [left.number for left in one.debugger.entries()] == [entry.number]


def test_a_step_over_a_recursive_call_returns_to_the_same_depth(bench: Callable[[str], Bench]) -> None:
    one = bench(
        " mov cx, 3\n call down\n jmp over\n down: dec cx\n jz up\n inner: call down\n here: nop\n up: ret\n over:\n"
    )
    one.debugger.run_to("inner")
    stack = one.vm.cpu.sp
    one.debugger.step_over()
    assert (one.ip, one.vm.cpu.sp) == (one.labels["here"], stack)


def test_a_step_out_returns_to_the_caller(bench: Callable[[str], Bench]) -> None:
    one = bench(CALLS)
    one.debugger.run_to("deeper")
    one.debugger.step_out()
    assert one.ip == one.labels["back"]
    one.debugger.step_out()
    assert one.ip == one.labels["after"]


def test_the_next_interrupt_is_run_to(bench: Callable[[str], Bench]) -> None:
    one = bench(HANDLER + " nop\n nop\n int 0x30\n handler: nop\n")
    assert one.debugger.run_to_interrupt().reason == "catch"
    assert one.ip == one.labels["handler"]
    assert one.debugger.entries() == []


# -- going on -------------------------------------------------------------------------------------------------------


def test_a_limit_ends_a_run_and_breakpoints_hold_in_the_next(bench: Callable[[str], Bench]) -> None:
    one = bench(" mov ecx, 300000\n busy: dec ecx\n jnz busy\n here: nop\n")
    one.debugger.break_at("here")
    slices = 0
    while (stop := one.debugger.resume(ms=0.2)).reason == "limit":
        slices += 1
    assert slices > 3
    assert (stop.reason, one.ip) == ("breakpoint", one.labels["here"])


def test_going_on_stops_at_a_breakpoint_right_here(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    one.debugger.break_at("body")
    assert one.debugger.go_on(one.vm.now + 1000).reason == "breakpoint"
    assert one.debugger.resume().reason == "debug-exit"


def test_a_pause_ends_a_run_in_the_slow_gear(bench: Callable[[str], Bench]) -> None:
    one = bench(" forever: jmp forever\n")
    one.debugger.watch("ebx", "change")
    looks = iter([False] * 10)
    assert one.debugger.go_on(1 << 60, lambda: next(looks, True)).reason == "limit"


@pytest.mark.parametrize("slow", [False, True])
def test_a_stop_that_was_asked_for_ends_a_run_in_every_gear(bench: Callable[[str], Bench], slow: bool) -> None:
    one = bench(" forever: jmp forever\n")
    if slow:
        one.debugger.watch("ebx", "change")
    one.debugger.stop()
    assert one.debugger.resume().reason == "stopped"
    assert one.debugger.resume(ms=0.001).reason == "limit"


@pytest.mark.parametrize("arm", ["break", "condition", "watch", "port", "mode", "interrupt"])
def test_a_debugged_run_ends_in_the_same_state(arm: str) -> None:
    with minivm.boot("ring3") as vm:
        vm.run()
        expected = vm.state_hash()
    with minivm.boot("ring3") as vm:
        debugger = Debugger(vm)
        if arm in ("break", "condition"):
            debugger.break_at(0x7C00, condition="cx == 0x7777" if arm == "condition" else "")
        elif arm == "watch":
            debugger.watch("dword [0xb8000]")
        else:
            debugger.catch(arm)
        while not (stop := debugger.resume()).ended:
            pass
        assert stop.ended is not None
        assert vm.state_hash() == expected


# -- looking and changing -------------------------------------------------------------------------------------------


def test_a_condition_of_one_halted_machine_ends_as_halted(guest: Callable[[str], Bench]) -> None:
    one = guest("hello-bios")
    stop = one.debugger.resume()
    assert stop.reason == "halted"
    assert stop.ended is not None
    assert "Hello" in one.vm.screen.text()


def test_memory_is_written_through_pages_or_not_at_all(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    one.debugger.write(0x1FFE, b"abcd")
    assert one.debugger.read(0x1FFE, 4) == b"abcd"
    end = one.vm.memory.size
    with pytest.raises(DebugError):
        one.debugger.write(end - 1, b"xy")
    assert one.vm.memory[end - 1 : end] == b"\0"


def test_assembled_code_is_executed(bench: Callable[[str], Bench]) -> None:
    one = bench(" mov dx, 1\n here: nop\n")
    assert one.debugger.assemble_at(one.labels["body"], "mov dx, 0x4321") == b"\xba\x21\x43"
    one.debugger.run_to("here")
    assert one.vm.cpu.dx == 0x4321


def test_a_jump_in_the_middle_of_a_block_gives_its_time_back(bench: Callable[[str], Bench]) -> None:
    one = bench(" nop\n nop\n nop\n here: mov dx, 9\n there: nop\n")
    one.debugger.step()
    before = one.vm.now
    one.debugger.set_register("ip", one.labels["here"])
    assert one.vm.now == before
    one.debugger.step()
    assert (one.vm.cpu.dx, one.vm.now) == (9, before + 3)


def test_a_flag_is_set_by_its_name(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    one.debugger.set_register("cf", 1)
    one.debugger.set_register("zf", 0)
    assert (one.vm.cpu.rflags & 1, one.vm.cpu.rflags & 0x40) == (1, 0)
    one.debugger.set_register("eflags", 0x46)
    assert one.vm.cpu.rflags & 0x47 == 0x46


def test_a_segment_loaded_in_real_mode_is_used(bench: Callable[[str], Bench]) -> None:
    one = bench(" mov al, [0]\n here: nop\n")
    one.debugger.write(0x12340, b"\x99")
    one.debugger.set_register("ds", 0x1234)
    one.debugger.run_to("here")
    assert one.vm.cpu.al == 0x99


def test_a_segment_loaded_in_protected_mode_comes_from_its_descriptor(guest: Callable[[str], Bench]) -> None:
    one = guest("protected")
    one.debugger.run_to(one.labels["number"])
    one.debugger.set_register("fs", 0x10)
    assert (one.vm.cpu.fs, one.vm.cpu.fs_limit) == (0x10, 0xFFFF_FFFF)
    one.debugger.set_register("fs", 0)
    assert one.vm.cpu.fs == 0
    for name, selector in (("ss", 8), ("ds", 0xFFF8), ("cs", 0x10)):
        with pytest.raises(DebugError, match="no such segment"):
            one.debugger.set_register(name, selector)
    assert one.debugger.resume().reason == "halted"


def test_protection_switched_on_from_outside_holds(bench: Callable[[str], Bench]) -> None:
    one = bench(" cli\n here: nop\n")
    one.debugger.run_to("here")
    one.debugger.set_register("cr0", one.vm.cpu.cr0 | 1)
    assert one.vm.cpu.mode == "16"
    one.debugger.set_register("cr0", one.vm.cpu.cr0 & ~1)
    assert one.vm.cpu.mode == "real"
    assert one.debugger.resume().reason == "debug-exit"


def test_the_place_is_told_with_its_symbol(bench: Callable[[str], Bench]) -> None:
    one = bench(LOOP)
    assert one.debugger.where() == f"0000:{one.ip:04X} body"
    assert one.debugger.instruction().text == "mov cx, 5"
    assert [found.mnemonic for found in one.debugger.instructions(one.ip, 3)] == ["mov", "mov", "nop"]
    assert one.debugger.evaluate("inside - again") == 4


@pytest.mark.parametrize("guest", ["protected", "v86", "ring3", "paging", "longmode", "syscall64", "exceptions"])
def test_a_register_that_few_instructions_write_is_watched_at_full_speed(guest: str) -> None:
    def changes(form: str) -> list[tuple[str, str, int]]:
        with minivm.boot(guest) as machine:
            debugger = Debugger(machine)
            watches = [debugger.watch(form.format(name), "change") for name in ("cs", "ss", "ds", "fs", "cr0", "cr3")]
            assert all(watch.noticed == (form == "{}") for watch in watches)
            found = []
            while len(found) < 60 and (stop := debugger.resume(ms=3)).reason == "watchpoint":
                found.append((stop.text.replace(" + 0", ""), debugger.where(), machine.now))
            return found

    fast = changes("{}")
    assert fast == changes("{} + 0")  # a computed value: every instruction is looked at
    assert len(fast) >= 3
