import asyncio

from minivm.tui.panels.trace import TracePanel

PORTS = "here: mov al, 0xFE\nout 0x21, al\nint 0x11\nin al, 0x64\nud2"


def test_events_come_in_words_while_the_panel_is_seen(play_panel, guest_of):
    async def scenario(stage):
        assert "Nothing has happened" in stage.text
        await stage.step(2)
        assert "OUT 21h, FEh: the master PIC, mask: only IRQ0, the timer, may now interrupt" in stage.text
        assert stage.line("OUT 21h").split()[2] == "00007C02"
        await stage.press("end", "enter")
        assert stage.followed == [0x7C02]

    play_panel(TracePanel(), scenario, guest_of(PORTS))


def test_one_kind_of_events_can_be_chosen_and_all_forgotten(play_panel, guest_of):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.resume(1))
        assert "IN 64h gave" in stage.text
        await stage.press("k")
        assert "INT 11h" in stage.text
        assert "IN 64h gave" not in stage.text
        await stage.press("k")
        assert "invalid opcode" in stage.text
        assert "INT 11h" not in stage.text
        await stage.press("c")
        assert "Nothing has happened" in stage.text

    play_panel(TracePanel(), scenario, guest_of(PORTS))


def test_nothing_is_recorded_while_nobody_looks(play_panel, guest_of):
    async def scenario(stage):
        def listeners(debugger):
            return len(debugger.listeners)

        assert await stage.do(listeners) == 1
        stage.panel.display = False
        await stage.pilot.pause(0.1)
        assert await asyncio.wrap_future(stage.session.call(listeners)) == 0
        await stage.do(lambda debugger: debugger.step(2))
        assert await asyncio.wrap_future(stage.session.call(listeners)) == 0
        stage.panel.display = True
        for _ in range(50):
            if await stage.do(listeners):
                break
        assert await stage.do(listeners) == 1
        assert "OUT 21h" not in stage.text

    play_panel(TracePanel(), scenario, guest_of(PORTS))


def test_a_flood_of_events_is_cut_to_the_last_ones(play_panel, guest_of):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.resume(2))
        assert len(stage.text.splitlines()) == 400
        assert stage.visible.splitlines()[-1].strip()

    play_panel(TracePanel(), scenario, guest_of("again: in al, 0x61\njmp again"))
