import pytest

from minivm.tui.panels.interrupts import InterruptsPanel


def test_every_irq_has_its_name_and_its_reason(play_panel):
    async def scenario(stage):
        assert "the keyboard: no request: its line is low" in stage.text
        assert "  the second hard disk: " in stage.text
        assert "INTR is low: nothing waits" in stage.line("CPU")

    play_panel(InterruptsPanel(), scenario, "timer", size=(120, 60))


def test_a_request_that_the_cpu_does_not_hear_says_so(play_panel, guest_of):
    async def scenario(stage):
        assert "IF is 0: the CPU does not listen" in stage.line("CPU")
        assert stage.line("  0  ").split()[:3] == ["0", "1", "1"]
        assert "requested, but IF is 0" in stage.line("the timer")

    play_panel(InterruptsPanel(), scenario, guest_of("cli\njmp $"), ms=80)


def test_a_masked_request_says_so_and_the_change_is_marked(play_panel, guest_of):
    def mask(debugger):
        debugger.machine.ports.write(0x21, 1, 0xFF)
        debugger.step()

    async def scenario(stage):
        await stage.do(mask)
        assert "masked in the master's IMR (FFh)" in stage.line("the timer")
        marked = [row.key for row in stage.panel.listing.rows for part in row.parts if part.role == "changed"]
        assert "irq0" in marked
        assert "irq7" not in marked

    play_panel(InterruptsPanel(), scenario, guest_of("cli\njmp $"), ms=80)


def test_the_handler_can_be_followed_by_key_and_by_mouse(play_panel):
    async def scenario(stage):
        handler = await stage.do(lambda debugger: int.from_bytes(debugger.read(0x20, 2), "little"))
        await stage.press("home", "down", "down", "enter")
        assert stage.followed == [0xF0000 + handler]
        await stage.click_on(f"F000:{handler:04X}")
        assert stage.followed == [0xF0000 + handler] * 2

    play_panel(InterruptsPanel(), scenario)


@pytest.mark.parametrize("guest", ["paging", "longmode"])
def test_handlers_in_protected_mode_are_found_behind_their_gates(play_panel, guest):
    async def scenario(stage):
        assert "the timer: " in stage.text

    play_panel(InterruptsPanel(), scenario, guest, ms=100)
