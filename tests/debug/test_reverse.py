"""Backwards, on small programs: one instruction at a time over every kind of them, and to what stopped or wrote."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import minivm
from minivm.debug.code import assemble
from minivm.debug.debugger import Debugger
from minivm.debug.reverse import Reverse
from minivm.errors import MiniVMError
from minivm.machine import Ended

HEAD = """
    org 7C00h
    bits 16
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 7C00h
    mov word [20h*4], handler
    mov word [20h*4+2], 0
    mov word [0], skip
    mov word [2], 0
    cld
begin:
"""
TAIL = """
end_of_it:
    jmp end_of_it
handler:
    inc word [count]
    iret
skip:
    push bp
    mov bp, sp
    add word [bp+2], 4
    pop bp
    iret
count: dw 0
zero: dw 0
text: db "backwards"
buffer: times 16 db 0
"""
PROGRAMS = {
    "arithmetic": "mov ax, 5\n add ax, ax\n push ax\n pop bx\n cmp ax, bx\n jne begin\n sub ax, 1\n xchg ax, bx\n",
    "software interrupt": "int 20h\n inc ax\n int 20h\n inc ax\n",
    "sleep until the timer": "sti\n mov cx, 3\n again: hlt\n inc bx\n loop again\n cli\n nop\n",
    "repeated moves": "mov si, text\n mov di, buffer\n mov cx, 9\n rep movsb\n mov cx, 5\n rep stosb\n nop\n",
    "ports": "in al, 40h\n mov ah, al\n in al, 40h\n mov al, 34h\n out 43h, al\n mov al, 0E9h\n out 0E9h, al\n nop\n",
    "far call": "call 0:far_away\n inc ax\n jmp over\n far_away: inc bx\n retf\n over: nop\n",
    "exception": "mov dx, 0\n mov ax, 7\n div word [zero]\n inc ax\n div word [zero]\n inc ax\n",
    "service of the BIOS": "mov ah, 0Eh\n mov al, 41h\n mov bx, 7\n int 10h\n mov ax, 0201h\n mov cx, 1\n mov dx, 0\n"
    " mov bx, 2000h\n int 13h\n nop\n",
    "code that changes itself": "mov cx, 3\n top: inc byte [one+1]\n one: mov al, 5\n loop top\n nop\n",
    "loops and calls": "mov cx, 4\n turn: call small\n loop turn\n jmp past\n small: push cx\n"
    " pop cx\n ret\n past: nop\n",
}
PROTECTED = """
    cli
    lgdt [gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:inside
gdt: dq 0
    dq 00CF9A000000FFFFh
    dq 00CF92000000FFFFh
gdtr: dw 23
    dd gdt
bits 32
inside:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov dword [10000h], 11003h      ; page directory: one table
    mov edi, 11000h
    mov eax, 3
    mov ecx, 1024
fill:
    mov [edi], eax
    add edi, 4
    add eax, 1000h
    dec ecx
    jnz fill
    mov eax, 10000h
    mov cr3, eax
    mov eax, cr0
    or eax, 80000000h
    mov cr0, eax
    mov dword [20000h], 5
    inc dword [20000h]
    invlpg [20000h]
end_of_it:
    jmp end_of_it
handler: dw 0
skip: dw 0
"""


def image(body: str, tail: str = TAIL) -> bytes:
    code = assemble(HEAD + body + tail + "\n times 510 - ($ - $$) db 0\n dw 0AA55h\n").code
    return code + bytes(1474560 - len(code))


def labels(body: str, tail: str = TAIL) -> dict[str, int]:
    names = re.findall(r"^(\w+):", HEAD + body + tail, re.MULTILINE)
    probes = "".join(f"\n dd {name}" for name in names)
    code = assemble(HEAD + body + tail + "\n align 4" + probes).code[-4 * len(names) :]
    return {name: int.from_bytes(code[4 * at : 4 * at + 4], "little") for at, name in enumerate(names)}


@contextmanager
def started(body: str, tail: str = TAIL, **options: int) -> Iterator[tuple[Reverse, dict[str, int]]]:
    """Boot a program, stand at its `begin`, and keep the past from there."""
    with minivm.boot(image(body, tail), memory="1M") as vm:
        debugger = Debugger(vm)
        at = labels(body, tail)
        debugger.run_to(at["begin"])
        debugger.travel(**options)
        yield Reverse(debugger), at


def forward(reverse: Reverse, end: int, most: int = 200) -> dict[object, str]:
    """Step to `end`; return the hash of each moment on the way, in order."""
    seen: dict[object, str] = {}
    for _ in range(most):
        seen[reverse.timeline.moment()] = reverse.machine.state_hash()
        if reverse.machine.cpu.linear_ip == end:
            return seen
        reverse.debugger.step()
    raise AssertionError("the program did not come to its end")


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_step_back_undoes_one_step(name: str) -> None:
    with started(PROGRAMS[name]) as (reverse, at):
        seen = forward(reverse, at["end_of_it"])
        for moment in list(seen)[-2::-1]:
            assert reverse.step().reason == "step"
            assert reverse.timeline.moment() == moment
            assert reverse.machine.state_hash() == seen[moment], moment
        assert reverse.step().reason == "history"
        assert forward(reverse, at["end_of_it"]) == seen


def test_steps_back_lead_through_protected_mode_and_paging() -> None:
    with started("", PROTECTED) as (reverse, at):
        reverse.debugger.run_to(at["end_of_it"])
        last = reverse.timeline.moment(), reverse.machine.state_hash()
        modes, seen = [], {}
        for _ in range(4):
            reverse.step()
            seen[reverse.timeline.moment()] = reverse.machine.state_hash()
        assert reverse.machine.cpu.cr0 >> 31 == 0  # paging is not on yet
        reverse.debugger.catch("mode")
        for _ in range(2):
            reverse.resume()
            modes.append(reverse.machine.cpu.mode)
        assert modes == ["16", "real"]
        reverse.timeline.return_to(last[0])
        assert reverse.machine.state_hash() == last[1]
        for moment, found in seen.items():
            reverse.timeline.return_to(moment)
            assert reverse.machine.state_hash() == found


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20, 100, 1000])
def test_many_steps_back_are_as_many_single_ones(count: int) -> None:
    body = "mov cx, 400\nturn: add ax, cx\n call small\n loop turn\n jmp past\nsmall: ret\npast: nop\n"
    with started(body, every=2000) as (reverse, at):
        hashes = []
        while reverse.machine.cpu.linear_ip != at["past"]:
            hashes.append(reverse.timeline.moment())
            reverse.debugger.step()
        assert reverse.step(count).reason == "step"
        assert reverse.timeline.moment() == hashes[-count]


COUNTING = """
    mov cx, 5
turn:
    add [count], cx
read_it:
    mov bx, [count]
    loop turn
past:
    nop
"""


def here(reverse: Reverse) -> int:
    return reverse.machine.cpu.linear_ip


def test_going_back_meets_each_hit_of_a_breakpoint_from_the_last_to_the_first() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        entry = reverse.debugger.break_at(at["turn"])
        for left in (1, 2, 3, 4, 5):
            stop = reverse.resume()
            assert (stop.reason, stop.number, reverse.machine.cpu.cx) == ("breakpoint", entry.number, left)
            assert here(reverse) == at["turn"]
        assert reverse.resume().reason == "history"
        assert here(reverse) == at["begin"]
        assert [reverse.debugger.resume().reason for _ in range(5)] == ["breakpoint"] * 5
        assert reverse.machine.cpu.cx == 1


def test_a_condition_holds_backwards_too() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        reverse.debugger.break_at(at["turn"], condition="cx == 4")
        assert reverse.resume().reason == "breakpoint"
        assert reverse.machine.cpu.cx == 4
        assert reverse.resume().reason == "history"


def test_hits_and_ignore_counts_are_left_alone() -> None:
    with started(COUNTING) as (reverse, at):
        entry = reverse.debugger.break_at(at["turn"], ignore=2)
        reverse.debugger.resume()
        assert (entry.hits, entry.ignore, reverse.machine.cpu.cx) == (3, 2, 3)
        assert reverse.resume().reason == "breakpoint"
        assert (entry.hits, entry.ignore, reverse.machine.cpu.cx) == (3, 2, 4)
        reverse.who_wrote(f"word [{at['count']}]", jump=False)
        reverse.step()
        assert (entry.hits, entry.ignore, entry.enabled) == (3, 2, True)
        assert reverse.debugger.entries() == [entry]


def test_a_temporary_breakpoint_stays_for_the_way_forward() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        entry = reverse.debugger.break_at(at["turn"], temporary=True)
        assert reverse.resume().reason == "history"
        assert reverse.debugger.entries() == [entry]
        assert reverse.debugger.resume().number == entry.number
        assert reverse.debugger.entries() == []


def test_a_disabled_breakpoint_stops_nobody_on_the_way_back() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        reverse.debugger.enable(reverse.debugger.break_at(at["turn"]).number, False)
        assert reverse.resume().reason == "history"


@pytest.mark.parametrize(("kind", "where"), [("write", "turn"), ("read", "read_it"), ("change", "turn")])
def test_a_watchpoint_met_backwards_stops_before_its_instruction(kind: str, where: str) -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        reverse.debugger.watch(f"word [{at['count']}]", kind)
        values = []
        for _ in range(3):
            assert reverse.resume().reason == "watchpoint"
            if here(reverse) == at[where]:
                values.append(reverse.debugger.evaluate(f"word [{at['count']}]"))
        assert values == ([15, 14] if kind == "read" else [14, 12, 9])  # `add [count], cx` reads, too


def test_a_watched_register_is_found_backwards() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        reverse.debugger.watch("bx", "change")
        assert reverse.resume().text == "bx changed from Eh to Fh"
        assert here(reverse) == at["read_it"]
        assert reverse.resume().text == "bx changed from Ch to Eh"


CATCHES = {
    "port": ("in al, 40h\nhere: out 80h, al\n nop\n", 0x80, "here"),
    "interrupt": ("nop\nhere: int 20h\n nop\n", 0x20, "here"),
    "exception": ("mov dx, 0\n mov ax, 1\nhere: div word [zero]\n nop\n", 0, "here"),
    "bios": ("mov ax, 0E41h\n mov bx, 7\nhere: int 10h\n nop\n", 0x10, "here"),
}


@pytest.mark.parametrize("kind", CATCHES)
def test_a_caught_event_is_found_backwards(kind: str) -> None:
    body, value, where = CATCHES[kind]
    with started(body) as (reverse, at):
        reverse.debugger.run_to(at["end_of_it"])
        entry = reverse.debugger.catch(kind, value)
        stop = reverse.resume()
        assert (stop.reason, stop.number) == ("catch", entry.number)
        assert here(reverse) == at[where]
        assert reverse.resume().reason == "history"


def test_a_timer_interrupt_is_found_backwards() -> None:
    with started("sti\n mov cx, 2\nagain: hlt\nawake: loop again\n cli\n") as (reverse, at):
        reverse.debugger.run_to(at["end_of_it"])
        reverse.debugger.catch("interrupt", 8)
        first = reverse.resume(), reverse.machine.now, reverse.machine.halted
        second = reverse.resume(), reverse.machine.now, reverse.machine.halted
        assert first[0].reason == second[0].reason == "catch"
        assert 50_000_000 < first[1] - second[1] < 60_000_000  # 18.2 a second
        assert first[2] and second[2]  # asleep still
        assert reverse.resume().reason == "history"


def test_a_breakpoint_behind_a_halt_is_not_met_asleep() -> None:
    with started("sti\n mov cx, 4\nagain: hlt\nawake: loop again\n cli\n") as (reverse, at):
        reverse.debugger.break_at(at["awake"])
        met = []
        for _ in range(3):
            assert reverse.debugger.resume().reason == "breakpoint"
            met.append(reverse.timeline.moment())
        assert reverse.debugger.resume(ms=20).reason == "limit"  # it sleeps in front of the breakpoint
        for moment in reversed(met):
            assert reverse.resume().reason == "breakpoint"
            assert reverse.timeline.moment() == moment
        assert reverse.resume().reason == "history"


def test_who_wrote_memory_names_the_instruction_and_undoes_it() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        what = f"word [{at['count']}]"
        writer = reverse.who_wrote(what)
        assert writer is not None
        assert here(reverse) == at["turn"]
        assert writer.instruction.startswith("add word [")
        assert writer.text == f"{what} was written: Eh, now Fh"
        assert reverse.debugger.evaluate(what) == 14
        for _ in range(4):
            assert reverse.who_wrote(what) is not None
        assert reverse.debugger.evaluate(what) == 0
        assert reverse.who_wrote(what) is None
        assert here(reverse) == at["turn"]


def test_who_wrote_without_a_jump_moves_nothing() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        before = reverse.timeline.moment(), reverse.machine.state_hash()
        for what in (f"word [{at['count']}]", "cx", "cs", "port 43h"):
            reverse.who_wrote(what, jump=False)
            assert (reverse.timeline.moment(), reverse.machine.state_hash()) == before, what


WRITERS = {
    "a register": ("nop\nhere: mov si, 7\n nop\n nop\n", "si", "mov si, 7"),
    "a flag": ("clc\nhere: stc\n nop\n nop\n", "cf", "stc"),
    "a port": ("mov al, 34h\nhere: out 43h, al\n mov al, 1\n nop\n", "port 43h", "out 0x43, al"),
    "an interrupt's frame": ("nop\nhere: int 20h\n nop\n", "word [7BFEh]", "int 0x20"),
    "an exception's frame": ("mov ax, 1\n mov dx, 0\nhere: div word [zero]\n nop\n", "word [7BFEh]", "div word"),
    "a repeated instruction": ("mov si, text\n mov di, buffer\n mov cx, 9\nhere: rep movsb\n nop\n", "byte [BUFFER+4]",
                               "rep movsb"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_who_wrote(name: str) -> None:
    body, what, instruction = WRITERS[name]
    with started(body) as (reverse, at):
        reverse.debugger.run_to(at["end_of_it"])
        writer = reverse.who_wrote(what.replace("BUFFER", str(at["buffer"])))
        assert writer is not None
        assert (here(reverse), writer.instruction[: len(instruction)]) == (at["here"], instruction)


def test_a_sector_that_the_bios_read_was_written_by_its_service() -> None:
    body = "mov ax, 0201h\n mov cx, 1\n mov dx, 0\n mov bx, 2000h\nhere: int 13h\nbehind: nop\n"
    with started(body) as (reverse, at):
        reverse.debugger.run_to(at["end_of_it"])
        assert reverse.debugger.evaluate("word [21FEh]") == 0xAA55
        writer = reverse.who_wrote("word [21FEh]")
        assert writer is not None
        assert reverse.machine.cpu.cs == 0xF000  # in the ROM's handler
        assert reverse.debugger.evaluate("word [21FEh]") == 0
        reverse.debugger.run_to(at["behind"])
        assert reverse.debugger.evaluate("word [21FEh]") == 0xAA55


def test_who_wrote_what_nobody_can_say_is_refused_in_one_line() -> None:
    with started(COUNTING) as (reverse, at):
        reverse.debugger.run_to(at["past"])
        before = reverse.timeline.moment()
        for what in ("", "nonsense", "port", "port xyzzy", "byte ["):
            with pytest.raises(MiniVMError) as refused:
                reverse.who_wrote(what)
            assert "\n" not in str(refused.value)
            assert reverse.timeline.moment() == before
            assert reverse.debugger.entries() == []


def test_at_the_beginning_there_is_nothing_behind() -> None:
    with started(COUNTING) as (reverse, at):
        assert reverse.step().reason == reverse.resume().reason == "history"
        assert reverse.who_wrote("ax") is None
        assert here(reverse) == at["begin"]
        reverse.debugger.step(3)
        assert reverse.step(4).reason == "history"
        assert here(reverse) == at["begin"]


def test_the_end_of_a_machine_can_be_left_and_comes_again() -> None:
    with started("mov al, 1\n out 0F4h, al\n") as (reverse, _):
        stop = reverse.debugger.resume()
        assert stop.reason == "debug-exit"
        final = reverse.machine.state_hash()
        reverse.step(2)
        assert reverse.machine.ended is None
        assert reverse.debugger.resume().reason == "debug-exit"
        assert reverse.machine.state_hash() == final


def test_a_triple_fault_is_undone() -> None:
    with started("cli\n lidt [zero]\nhere: int 3\n") as (reverse, at):
        assert reverse.debugger.resume().reason == "shutdown"
        assert reverse.step().reason == "step"
        assert here(reverse) == at["here"]
        assert reverse.debugger.resume().reason == "shutdown"


def test_a_hot_breakpoint_does_not_end_each_loop_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with started("mov ecx, 200000\nturn: inc eax\n dec ecx\n jnz turn\npast: nop\n") as (reverse, at):
        reverse.debugger.run_to(at["past"])
        reverse.debugger.break_at(at["turn"])
        runs: list[int] = []
        run_to = reverse.machine.run_to

        def counted(position: int) -> Ended:
            runs.append(position)
            return run_to(position)

        monkeypatch.setattr(reverse.machine, "run_to", counted)
        assert reverse.step().reason == "step"
        assert reverse.go_to(reverse.timeline.end // 2).reason == "limit"
        assert len(runs) < 100
        assert reverse.resume().reason == "breakpoint"
        assert len(runs) < 5000  # the last 4,096 ticks have 500 turns
