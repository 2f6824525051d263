import minivm
from minivm.debug.debugger import Debugger
from minivm.debug.recorder import Recorder, event_words

PROGRAM = """
        bits 16
        org 0x7C00
        cli
        mov al, 0x11
        out 0x20, al
        mov al, 0x40
        out 0x21, al
        mov al, 0x04
        out 0x21, al
        mov al, 0x01
        out 0x21, al
        mov al, 0xFE
        out 0x21, al
        in al, 0x64
        int 0x11
        ud2
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""


def boot(tmp_path, source=PROGRAM):
    path = tmp_path / "guest.asm"
    path.write_text(source)
    return minivm.boot(path)


def at_start(vm):
    debugger = Debugger(vm)
    debugger.run_to(0x7C00)
    return debugger


def test_events_are_told_in_words_and_in_order(tmp_path):
    with boot(tmp_path) as vm:
        debugger = at_start(vm)
        recorder = Recorder(debugger)
        recorder.start()
        debugger.resume(ms=1)
        lines = [event_words(debugger, event) for event in recorder.events]
    assert "initialization begins" in lines[0]
    assert "vectors 40h to 47h" in lines[1]
    assert lines[4].startswith("OUT 21h, FEh: the master PIC, ")
    assert "IRQ0, the timer" in lines[4]
    assert lines[5].startswith("IN 64h gave ")
    assert "keyboard controller" in lines[5]
    assert lines[6] == "INT 11h, asked for by the program"
    assert "exception 06h, #UD, invalid opcode" in lines


def test_times_never_go_back_and_each_kind_is_counted(tmp_path):
    with boot(tmp_path) as vm:
        debugger = at_start(vm)
        recorder = Recorder(debugger)
        recorder.start()
        debugger.resume(ms=1)
        times = [event.now for event in recorder.events]
        assert times == sorted(times)
        assert recorder.counts["out"] >= 5
        assert recorder.counts["int"] == 1


def test_a_recorder_that_is_off_leaves_no_hook_behind(tmp_path):
    with boot(tmp_path) as vm:
        debugger = at_start(vm)
        recorder = Recorder(debugger)
        recorder.start()
        assert recorder.running
        assert debugger.engine.port_listener is not None
        recorder.stop()
        recorder.stop()
        assert not recorder.running
        assert debugger.engine.port_listener is None
        assert debugger.engine.trace is None
        debugger.resume(ms=1)
        assert not recorder.events


def test_recording_changes_nothing_for_the_guest():
    hashes = []
    for recorded in (False, True):
        with minivm.boot("timer") as vm:
            debugger = Debugger(vm)
            if recorded:
                Recorder(debugger).start()
            debugger.resume(ms=300)
            hashes.append(vm.state_hash())
    assert hashes[0] == hashes[1]


def test_a_change_of_mode_is_recorded():
    with minivm.boot("ring3") as vm:
        debugger = at_start(vm)
        recorder = Recorder(debugger)
        recorder.start()
        debugger.resume(ms=100)
        lines = [event_words(debugger, event) for event in recorder.events]
    assert "mode changed: real -> 32" in lines


def test_an_interrupt_names_its_line():
    with minivm.boot("timer") as vm:
        debugger = at_start(vm)
        recorder = Recorder(debugger)
        recorder.start()
        debugger.resume(ms=100)
        lines = [event_words(debugger, event) for event in recorder.events]
    assert "interrupt 08h from the timer (IRQ0)" in lines


def test_a_catch_of_a_port_still_works_beside_a_recorder(tmp_path):
    with boot(tmp_path) as vm:
        debugger = at_start(vm)
        recorder = Recorder(debugger)
        recorder.start()
        debugger.catch("port", 0x64)
        stop = debugger.resume(ms=1)
        assert stop.reason == "catch"
        recorder.stop()
        assert debugger.engine.port_listener is not None


def test_a_byte_that_came_by_itself_is_told_as_new(tmp_path):
    with boot(tmp_path, "org 0x7C00\nbits 16\nspin: hlt\njmp spin\ntimes 510-($-$$) db 0\ndw 0xAA55\n") as vm:
        debugger = at_start(vm)
        recorder = Recorder(debugger)
        recorder.start()
        vm.type("a")
        debugger.resume(ms=100)
        told = [event_words(debugger, event) for event in recorder.events if event.number == 0x60]
    assert [line.partition(":")[0] for line in told] == ["IN 60h gave 1Eh", "IN 60h gave 9Eh"]
    assert all("the keyboard controller, output buffer" in line and "no new byte" not in line for line in told)
