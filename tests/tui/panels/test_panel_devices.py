from minivm.tui.panels.devices import DevicesPanel


def test_a_chip_tells_its_registers_in_words(play_panel):
    async def scenario(stage):
        assert "B8h  mask: open: IRQ0, the timer; IRQ1, the keyboard" in stage.line("OCW1")
        assert "▶ timer" in stage.text
        assert "Channel 0" not in stage.text

    play_panel(DevicesPanel(), scenario, size=(160, 50))


def test_enter_opens_and_closes_a_chip_and_a_register(play_panel):
    async def scenario(stage):
        await stage.press("home", "enter")
        assert "OCW1" not in stage.text
        await stage.press("enter", "down", "down", "down", "enter")
        assert "M7 1  IRQ7, LPT1" in stage.text
        await stage.press("left")
        assert "M7 1" not in stage.text
        await stage.press("left")
        assert "OCW1" not in stage.text

    play_panel(DevicesPanel(), scenario, size=(160, 50))


def test_a_click_opens_a_chip(play_panel):
    async def scenario(stage):
        await stage.click_on("▶ timer")
        assert "Channel 0: mode 3, square wave" in stage.text

    play_panel(DevicesPanel(), scenario, size=(160, 50))


def test_a_register_that_changed_is_marked(play_panel, guest_of):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.step(2))
        changed = [row.text for row in stage.panel.listing.rows for part in row.parts if part.role == "changed"]
        assert len(changed) == 1
        assert "OCW1 FEh  mask: only IRQ0, the timer, may now interrupt" in changed[0]

    play_panel(DevicesPanel(), scenario, guest_of("mov al, 0xFE\nout 0x21, al\nhlt"), size=(120, 50))


def test_all_chips_open_at_once(play_panel):
    async def scenario(stage):
        await stage.press("a")
        assert " baud" in stage.text
        assert "A text mode of 80 columns and 25 rows" in stage.text
        await stage.press("a")
        assert " baud" not in stage.text

    play_panel(DevicesPanel(), scenario)
