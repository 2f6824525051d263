from minivm.tui.panels.code import CodePanel

CODE = """
        jmp start
text    db "some text", 0
start:  mov ax, 0x1234
        call routine
        mov bx, 0x5678
        cli
        hlt
routine: mov cx, 0x1234
        ret
"""


async def search(stage, text):
    await stage.press("slash")
    await stage.answer(text)
    await stage.settle()


def test_a_search_goes_through_the_code_behind_the_cursor_and_back(play_panel, guest_of):
    async def scenario(stage):
        panel = stage.panel
        await search(stage, "0x1234")
        first = panel.current
        await stage.press("n")
        assert panel.current > first
        await stage.press("n")
        assert "0x1234: not found behind the cursor" in stage.said
        await stage.press("N")
        assert panel.current == first
        assert not stage.said

    play_panel(CodePanel(), scenario, guest_of(CODE))


def test_hits_are_marked_until_escape(play_panel, guest_of):
    async def scenario(stage):
        await search(stage, "MOV")
        marked = [
            span for span in stage.panel.render().spans if " on " in str(span.style) and span.end - span.start == 3
        ]
        assert len(marked) >= 2
        await stage.press("escape")
        assert stage.panel.wanted == ""
        assert len([s for s in stage.panel.render().spans if s.end - s.start == 3 and " on " in str(s.style)]) == 0

    play_panel(CodePanel(), scenario, guest_of(CODE))


def test_a_line_and_the_whole_panel_can_be_copied(play_panel, guest_of):
    async def scenario(stage):
        await search(stage, "mov bx")
        await stage.press("y")
        assert stage.clipboard.endswith("mov    bx, 0x5678")
        assert "\n" not in stage.clipboard
        await stage.press("Y")
        assert "mov    bx, 0x5678" in stage.clipboard
        assert stage.clipboard.count("\n") > 5

    play_panel(CodePanel(), scenario, guest_of(CODE))
