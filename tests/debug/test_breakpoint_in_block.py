import minivm
from minivm.debug.debugger import Debugger


def test_a_breakpoint_on_the_instruction_behind_the_present_one_stops():
    with minivm.boot("hello-vga") as vm:
        debugger = Debugger(vm)
        debugger.run_to(0x7C00)
        entry = debugger.break_at(0x7C02)
        assert debugger.resume().number == entry.number
        assert vm.cpu.linear_ip == 0x7C02
        assert entry.hits == 1


def test_a_condition_that_does_not_hold_lets_the_instruction_behind_pass():
    with minivm.boot("hello-vga") as vm:
        debugger = Debugger(vm)
        debugger.run_to(0x7C00)
        entry = debugger.break_at(0x7C02, condition="ax == 0x1234")
        assert debugger.resume().reason == "halted"
        assert entry.hits == 0


def test_a_stop_that_was_asked_for_does_not_hide_a_breakpoint():
    with minivm.boot("hello-vga") as vm:
        debugger = Debugger(vm)
        debugger.run_to(0x7C00)
        entry = debugger.break_at(0x7C02)
        step = vm.step

        def step_and_ask(count=1):
            ended = step(count)
            debugger.stop()
            return ended

        vm.step = step_and_ask
        assert debugger.resume().number == entry.number
