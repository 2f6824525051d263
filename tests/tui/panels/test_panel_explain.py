from minivm.tui.panels.explain import ExplainPanel
from minivm.tui.session import Speed


def test_the_next_instruction_is_told_with_its_values(play_panel, guest_of):
    async def scenario(stage):
        assert "out 0x21, al: " in stage.text
        assert "only IRQ0, the timer, may now interrupt" in stage.text
        assert "Flags: none change." in stage.text

    play_panel(ExplainPanel(), scenario, guest_of("mov al, 0xFE\nhere: out 0x21, al\nhlt"), at="here")


def test_the_next_instruction_comes_before_what_changed(play_panel, guest_of):
    async def scenario(stage):
        await stage.step()
        heads = [line.split()[0] for line in stage.text.splitlines() if not line.startswith(" ")]
        assert heads == ["Next", "Changed"]

    play_panel(ExplainPanel(), scenario)


def test_what_the_last_instruction_changed_is_told(play_panel, guest_of):
    async def scenario(stage):
        await stage.step()
        assert "AX 0001h is now 0000h" in stage.text
        assert "ZF 0 -> 1: the result is zero." in stage.text
        await stage.step()
        assert "only the instruction pointer" in stage.text

    play_panel(ExplainPanel(), scenario, guest_of("mov ax, 1\nor ax, ax\nhere: sub ax, 1\nnop\nhlt"), at="here")


def test_why_it_stopped_is_told(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.break_at(0x7C02))
        await stage.do(lambda debugger: stage.session.resume())
        assert stage.session.wait(5)
        await stage.settle()
        assert "breakpoint at 7C02h reached" in stage.line("Stopped")

    play_panel(ExplainPanel(), scenario)


def test_a_triple_fault_is_told_from_its_beginning(play_panel):
    async def scenario(stage):
        stage.session.resume()
        assert stage.session.wait(10)
        await stage.settle()
        assert "It began with" in stage.text
        assert "triple fault" in stage.text
        assert "Look first" in stage.text

    play_panel(ExplainPanel(), scenario, "triplefault")


def test_a_running_machine_is_not_explained_but_one_in_slow_motion_is(play_panel, guest_of):
    async def scenario(stage):
        stage.session.resume()
        await stage.until(lambda: "The machine runs." in stage.text)
        stage.session.set_speed(Speed("instructions", 20))
        await stage.until(lambda: "The machine runs." not in stage.text)
        assert "Next" in stage.text
        stage.session.pause()
        await stage.settle()
        assert "paused at" in stage.text

    play_panel(ExplainPanel(), scenario, guest_of("again: inc ax\njmp again"))


def test_a_halted_machine_says_what_it_waits_for(play_panel):
    async def scenario(stage):
        assert "waits for an interrupt" in stage.text

    play_panel(ExplainPanel(), scenario, "timer", ms=20)


def test_words_are_broken_to_a_narrow_panel(play_panel, guest_of):
    async def scenario(stage):
        assert all(len(line.rstrip()) <= 28 for line in stage.visible.splitlines())
        assert "may now" in " ".join(stage.visible.split())

    source = guest_of("mov al, 0xFE\nhere: out 0x21, al\nhlt")
    play_panel(ExplainPanel(), scenario, source, at="here", size=(30, 25))
