"""The Unicorn engine: time, stops, interrupts, memory and ends are exact, in both gears."""

import gc
import resource
import threading
from collections.abc import Callable

import pytest
from engine_bench import (
    CODE,
    COUNTERS,
    EXIT_PORT,
    IRQ_VECTOR,
    LOG_PORT,
    MMIO,
    MODES,
    ROM,
    STACK,
    TIME_PORT,
    TIMER_PORT,
    TIMER_STEP_NS,
    Bench,
)

import minivm
from minivm.engine import library
from minivm.engine.base import Attention, Halted, Ran, Shutdown, Stopped
from minivm.engine.booking import IO_TICKS, RDTSC_TICKS, SPIN_TICKS
from minivm.engine.cpustate import IF, RSP
from minivm.machine import Machine

LONG = 1_000_000
gears = pytest.mark.parametrize(
    "go", [lambda machine: machine.run(ticks=LONG), lambda machine: machine.step(10_000)], ids=["run", "step"]
)
every_mode = pytest.mark.parametrize("mode", MODES)
Go = Callable[[Machine], object]


def counter(bench: Bench, vector: int) -> int:
    at = COUNTERS + 4 * vector
    return int.from_bytes(bench.memory[at : at + 2], "little")


def hexes(text: str) -> bytes:
    return bytes.fromhex(text)


# -- time ------------------------------------------------------------------------------------------------------------


@gears
@every_mode
def test_a_port_read_in_mid_block_sees_its_own_time(mode: str, go: Go) -> None:
    with Bench(mode, hexes(f"90 e4{TIME_PORT:02x} 90 90 e4{TIME_PORT:02x} fa f4")) as bench:
        go(bench.machine)
        assert bench.log == [("in", TIME_PORT, 1 + IO_TICKS), ("in", TIME_PORT, 5 + 2 * IO_TICKS)]


@gears
def test_a_read_that_takes_longer_is_over_when_the_device_sees_it(go: Go) -> None:
    with Bench("real", hexes(f"90 e4{TIME_PORT:02x} 90 90 e4{TIME_PORT + 1:02x} fa f4")) as bench:
        bench.machine.ports.slow[TIME_PORT + 1] = 4 * IO_TICKS
        go(bench.machine)
        assert bench.log == [("in", TIME_PORT, 1 + IO_TICKS), ("in", TIME_PORT, 5 + 5 * IO_TICKS)]


@gears
def test_rdtsc_shows_the_ticks_so_far(go: Go) -> None:
    with Bench("real", hexes("90 90 0f31 fa f4")) as bench:
        go(bench.machine)
        assert (bench.cpu.eax, bench.cpu.edx) == (2 + RDTSC_TICKS, 0)


@gears
@every_mode
def test_an_alarm_set_in_a_port_write_rings_at_the_first_block_start_after_it(mode: str, go: Go) -> None:
    """Ten blocks of two bytes: jmp $+2."""
    code = hexes(f"fb b001 e6{TIMER_PORT:02x}" + "eb00" * 40 + "fa f4")
    with Bench(mode, code) as bench:
        go(bench.machine)
        assert counter(bench, IRQ_VECTOR) == 1
        irq = next(entry for entry in bench.log if entry[0] == "irq")
        due = 3 + IO_TICKS + TIMER_STEP_NS
        assert due <= irq[1] < due + 2
        assert irq[2] == CODE + irq[1] - IO_TICKS


@gears
def test_an_exception_takes_time_even_when_it_is_the_same_one_for_ever(go: Go) -> None:
    with Bench("real", hexes("0f0b")) as bench:
        bench.memory[4 * 6 : 4 * 6 + 4] = CODE.to_bytes(4, "little")  # the handler of #UD is the UD2
        bench.machine.run(ticks=1000)
        assert 1000 <= bench.engine.position < 1000 + 2 * SPIN_TICKS
        assert bench.engine.exits["exceptions"] == 1000 // SPIN_TICKS


def test_a_tick_is_a_byte_of_code() -> None:
    with Bench("real", hexes("b90a00 43 e2fd fa f4")) as bench:
        bench.machine.run(ticks=LONG)
        assert bench.engine.position == 3 + 10 * 3 + 2


# -- stops -----------------------------------------------------------------------------------------------------------


def test_a_stop_before_the_run_is_not_lost() -> None:
    with Bench("real", hexes("ebfe")) as bench:
        bench.engine.stop()
        assert bench.engine.run(LONG) == Stopped(0)
        assert bench.engine.run(100) == Ran(100)


def test_thousands_of_stops_from_another_thread_leave_every_count_exact() -> None:
    """52 million read-modify-writes: inc dword [500h], counted in ECX."""
    code = hexes("66b900002003 66ff060005 6649 75f7 fa f4")
    with Bench("real", code) as bench:
        done, stops = threading.Event(), 0

        def nag() -> None:
            while not done.wait(0.0001):
                bench.engine.stop()

        nagging = threading.Thread(target=nag)
        nagging.start()
        while not isinstance(ended := bench.engine.run(1 << 40), Halted):
            stops += isinstance(ended, Stopped)
        done.set()
        nagging.join()
        assert stops > 500
        assert int.from_bytes(bench.memory[0x500:0x504], "little") == 0x320_0000
        assert bench.engine.position == 6 + 0x320_0000 * 9 + 2


def test_attention_from_a_port_ends_the_run_behind_that_block() -> None:
    code = hexes(f"b001 e6{LOG_PORT:02x} 43 eb00 ebfe")
    with Bench("real", code) as bench:
        bench.engine.port_listener = lambda *access: bench.engine.attention()
        assert bench.engine.run(LONG) == Attention(7 + IO_TICKS)
        assert bench.engine.run(LONG // 100) != Attention(0)


def test_a_budget_smaller_than_a_block_still_gets_on() -> None:
    with Bench("real", hexes("43" * 100 + "fa f4")) as bench:
        assert bench.machine.run(ticks=1).reason == "limit"
        assert bench.engine.position == 102


# -- interrupts ------------------------------------------------------------------------------------------------------


@gears
@every_mode
@pytest.mark.parametrize(
    ("text", "taken_at"),
    [
        ("90 90 fb 90 eb00 fa f4", 4), ("90 fb f4 fa f4", 3), ("fb 90 fa f4", 2), ("fb fa fb 90 90 fa f4", 4),
        ("fb 8cd0 8ed0 43 fa f4", 3),
    ],
    ids=["behind STI's shadow", "STI HLT wakes", "STI NOP CLI", "STI CLI STI", "before MOV SS, not in its shadow"],
)  # fmt: skip
def test_an_interrupt_that_waits_is_taken_where_the_cpu_takes_one(mode: str, go: Go, text: str, taken_at: int) -> None:
    with Bench(mode, hexes(text)) as bench:
        bench.source.request()
        go(bench.machine)
        assert [entry[2] - CODE for entry in bench.log if entry[0] == "irq"] == [taken_at]


@gears
def test_no_interrupt_is_taken_behind_mov_ss(go: Go) -> None:
    """The timer rings inside the block that MOV SS ends; the instruction behind it runs first."""
    code = hexes(f"fb 90 b000 e6{TIMER_PORT:02x} 8cd0 8ed0 43 43 fa f4")
    with Bench("real", code) as bench:
        go(bench.machine)
        assert [entry[2] - CODE for entry in bench.log if entry[0] == "irq"] == [11]


@gears
def test_an_nmi_comes_with_interrupts_off_and_waits_for_the_iret_of_the_one_before(go: Go) -> None:
    with Bench("real", hexes(f"fa 90 eb00 e6{LOG_PORT:02x} 90 eb00 90 90 fa f4")) as bench:
        served: list[int] = []

        def again(*access: object) -> None:
            if len(served) < 1:
                served.append(bench.engine.position)
                bench.engine.nmi()
                bench.engine.nmi()

        bench.engine.port_listener = again
        go(bench.machine)
        assert counter(bench, 2) == 1
        assert bench.engine.exits["interrupts"] == 1


@gears
def test_a_second_nmi_is_taken_right_behind_the_first_ones_iret(go: Go) -> None:
    with Bench("real", hexes("ebfe")) as bench:
        handler = hexes(f"e6{LOG_PORT:02x} eb00 43 cf")
        bench.memory[0x7000 : 0x7000 + len(handler)] = handler
        bench.memory[8:12] = hexes("00700000")
        bench.engine.port_listener = lambda *access: (
            bench.engine.nmi() if len(bench.log) < 3 else bench.machine.power_off()
        )
        bench.engine.nmi()
        go(bench.machine)
        assert bench.cpu.bx == 2
        assert bench.machine.ended is not None


@gears
def test_an_interrupt_pushes_rf_clear(go: Go) -> None:
    """IRET sets RF in the image; the block behind it has run before the interrupt comes."""
    code = hexes("9c 810c2400000100 0e 680f7c0000 cf 90 cd31 fa f4")
    with Bench("32", code) as bench:
        go(bench.machine)
        image = int.from_bytes(bench.memory[STACK - 4 : STACK], "little")
        assert counter(bench, 0x31) == 1
        assert not image & 0x1_0000


@gears
def test_int1_is_a_debug_exception_that_returns_behind_it(go: Go) -> None:
    with Bench("real", hexes("43 f1 43 fa f4")) as bench:
        go(bench.machine)
        assert (counter(bench, 1), counter(bench, 6), bench.cpu.bx) == (1, 0, 2)


# -- ends ------------------------------------------------------------------------------------------------------------


@gears
def test_a_debug_exit_ends_behind_the_block_of_its_out(go: Go) -> None:
    with Bench("real", hexes(f"b005 e6{EXIT_PORT:02x} 43 eb00 ebfe")) as bench:
        ended = go(bench.machine)
        assert (ended.reason, ended.code, ended.status) == ("debug-exit", 5, 11)


@gears
def test_a_reset_from_a_port_starts_the_cpu_afresh(go: Go) -> None:
    with Bench("real", hexes(f"b005 e6{LOG_PORT:02x} 43 eb00 ebfe")) as bench:
        bench.engine.port_listener = lambda *access: bench.machine.reset()
        rom = bench.memory.view[ROM + 0xFFF0 : ROM + 0xFFF2]
        rom[:] = hexes("faf4")
        assert go(bench.machine).reason == "halted"
        assert (bench.machine.resets, bench.cpu.cs, bench.cpu.rip, bench.cpu.bx) == (1, 0xF000, 0xFFF2, 0)


@gears
@pytest.mark.parametrize("mode", ["16", "32", "paged", "long"])
def test_a_triple_fault_is_an_exit_with_its_story(mode: str, go: Go) -> None:
    with Bench(mode, hexes("90 0f0b")) as bench:
        bench.cpu.head.idt.limit = 0
        ended = go(bench.machine)
        assert (ended.reason, ended.status) == ("shutdown", 3)
        autopsy = ended.autopsy
        assert [vector for vector, _ in autopsy.chain] == [6, 13, 8]
        assert "beyond the IDT's limit 0h" in autopsy.chain[0][1]
        assert (autopsy.registers["rip"], autopsy.code[:2]) == (CODE + 1, b"\x0f\x0b")
        assert bench.engine.run(LONG) == Shutdown(0, autopsy)
        assert bench.engine.step() == Shutdown(0, autopsy)


def test_the_story_of_a_page_fault_shows_the_walk() -> None:
    with Bench("paged", hexes("a100008000")) as bench:
        bench.cpu.head.idt.base = 0x90_0000
        ended = bench.machine.run(ticks=LONG)
        assert [vector for vector, _ in ended.autopsy.chain] == [14, 8]
        assert "PDE" in ended.autopsy.details[0]
        assert bench.cpu.cr2 == 0x90_0000 + 8 * 8


# -- memory ----------------------------------------------------------------------------------------------------------


@every_mode
def test_a_host_write_drops_the_code_it_replaces(mode: str) -> None:
    with Bench(mode, hexes("b311 eb00 ebfa")) as bench:
        bench.machine.run(ticks=100)
        assert bench.cpu.bl == 0x11
        bench.memory[CODE + 1] = 0x22
        bench.machine.run(ticks=100)
        assert bench.cpu.bl == 0x22


@gears
def test_rom_keeps_its_bytes_with_paging_and_without(go: Go) -> None:
    for mode in ("32", "paged", "long"):
        store = "fe0425" if mode == "long" else "fe05"
        code = hexes(f"ffc3 {store}00010f00 ffc3 ff{store[2:]}fe0f0f00 ffc3 fa f4")
        with Bench(mode, code) as bench:
            before = bench.memory.read(ROM, 0x2000)
            ended = go(bench.machine)
            assert (ended.reason, bench.cpu.ebx) == ("halted", 3)
            assert bench.memory.read(ROM, 0x2000) == before
            assert bench.engine.position == len(code)


@gears
def test_memory_mapped_io_has_the_time_of_its_blocks_start(go: Go) -> None:
    code = hexes(f"eb00 43 a1{MMIO.to_bytes(4, 'little').hex()} 43 fa f4")
    with Bench("32", code) as bench:
        go(bench.machine)
        assert bench.log == [("in", 0, 2)]


@gears
def test_an_alarm_set_by_a_memory_mapped_write_is_honoured(go: Go) -> None:
    code = hexes(f"fb 90 a3{MMIO.to_bytes(4, 'little').hex()}" + "eb00" * 40 + "fa f4")
    with Bench("32", code) as bench:
        device = bench.space.mmio.find(MMIO)
        assert device is not None
        device.port.write = lambda *access: bench.clock.after(20, bench.source.request)
        go(bench.machine)
        assert counter(bench, IRQ_VECTOR) == 1


def test_an_empty_address_reads_as_ones_and_executes_as_an_invalid_opcode() -> None:
    with Bench("32", hexes("a100000050 ba00000050 ffe2")) as bench:
        bench.machine.step(3)
        assert bench.cpu.eax == 0xFFFF_FFFF
        bench.machine.step(1)
        assert bench.engine.exits["exceptions"] == 1
        assert bench.cpu.eip == 0x3000 + 32 * 6


@gears
def test_a_closed_a20_folds_the_second_megabyte_onto_the_first(go: Go) -> None:
    with Bench("32", hexes("a100051000 fa f4")) as bench:
        bench.memory[0x500:0x504] = b"\x78\x56\x34\x12"
        bench.engine.set_a20(False)
        go(bench.machine)
        assert bench.cpu.eax == 0x1234_5678


def test_paging_can_go_off_and_on_again() -> None:
    code = hexes("0f20c0 25ffffff7f 0f22c0 43 c605007d000055 0d00000080 0f22c0 43 fa f4")
    with Bench("paged", code) as bench:
        bench.machine.run(ticks=9)
        bench.machine.run(ticks=LONG)
        assert (bench.machine.ended.reason, bench.cpu.ebx) == ("halted", 2)
        assert bench.memory[0x7D00] == b"\x55"


# -- the host --------------------------------------------------------------------------------------------------------


@gears
def test_an_error_of_a_device_reaches_the_caller(go: Go) -> None:
    with Bench("real", hexes(f"e6{LOG_PORT:02x} ebfe")) as bench:

        def broken(*access: object) -> None:
            raise ZeroDivisionError("the device is broken")

        bench.engine.port_listener = broken
        with pytest.raises(ZeroDivisionError):
            go(bench.machine)


def test_two_engines_do_not_know_of_each_other() -> None:
    with Bench("real", hexes("43 ebfd")) as one, Bench("long", hexes("ffc3 ebfc")) as other:
        one.machine.run(ticks=300)
        other.machine.run(ticks=600)
        one.machine.run(ticks=300)
        assert (one.cpu.bx, other.cpu.ebx) == (200, 150)


def test_closing_leaves_no_listener_and_may_be_repeated() -> None:
    bench = Bench("real", hexes("f4"))
    bench.machine.close()
    bench.machine.close()
    assert not bench.memory.write_listeners


def test_machines_that_were_closed_give_their_memory_back() -> None:
    def open_some(count: int) -> None:
        for _ in range(count):
            with Bench("real", hexes("43 fa f4")) as bench:
                bench.machine.run(ticks=100)
        gc.collect()

    open_some(20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    open_some(200)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KiB


def test_reset_brings_the_power_on_state() -> None:
    with Bench("long", hexes("ffc3 ebfc")) as bench:
        bench.machine.run(ticks=100)
        bench.engine.reset()
        assert (bench.cpu.mode, bench.cpu.cs, bench.cpu.cs_base, bench.cpu.rip) == ("real", 0xF000, 0xF0000, 0xFFF0)
        assert (bench.cpu.cr0, bench.cpu.rflags, bench.engine.efer, bench.cpu.ebx) == (0x6000_0010, 2, 0, 0)


def test_flags_edited_between_runs_are_the_ones_the_guest_sees() -> None:
    with Bench("real", hexes("90 eb00 9c 58 fa f4")) as bench:
        bench.machine.run(ticks=1)
        bench.cpu.rflags = 0x8D5 | IF | 2
        bench.machine.run(ticks=LONG)
        assert bench.cpu.ax == 0x8D5 | IF | 2
        assert bench.cpu.head.regs[RSP] == STACK


def test_a_reset_leaves_the_fpu_and_the_system_call_registers_as_the_sdm_says():
    """SDM vol. 3, table 9-1."""
    with minivm.boot(b"\xfa\xf4".ljust(510, b"\0") + b"\x55\xaa") as vm:
        engine = vm.engine
        engine.set_raw_register(library.REG_FPCW, b"\x7f\x03")
        engine.set_raw_register(library.REG_MXCSR, b"\x00\x00\x00\x00")
        engine.reset()
        assert engine.raw_register(library.REG_FPCW, 2) == b"\x40\x00"
        assert engine.raw_register(library.REG_MXCSR, 4) == b"\x80\x1f\x00\x00"
        assert engine.msr(0xC000_0082) == 0


def test_a_reset_disarms_the_debug_registers() -> None:
    # mov eax, 7C20h; mov dr0, eax; mov eax, 401h; mov dr7, eax; hlt; and at 7C20h: nop; hlt
    armed = bytes.fromhex("b8207c0000 0f23c0 b801040000 0f23f8 f4").ljust(0x20, b"\x90") + b"\x90\xf4"
    with Bench("32", armed) as bench:
        bench.machine.run(ticks=30)
        state = bench.engine.state()
        assert (state.dr0, state.dr7 & 0x7FF) == (0x7C20, 0x401)
        bench.engine.reset()
        state = bench.engine.state()
        assert (state.dr0, state.dr6, state.dr7) == (0, 0xFFFF_0FF0, 0x400)
