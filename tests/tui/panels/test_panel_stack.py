from minivm.tui.panels.stack import StackPanel

CALLS = """
        xor ax, ax
        mov ss, ax
        mov sp, 0x7C00
        xor bp, bp
        push word 0x1111
        call outer
after:  hlt
outer:  push bp
        mov bp, sp
        call inner
within: pop bp
        ret
inner:  push bp
        mov bp, sp
here:   nop
        push word 0x2222
        int 0x11
        pop ax
        pop bp
        ret
"""


def test_words_are_shown_from_the_top_with_their_guesses(play_panel, guest_of):
    async def scenario(stage):
        lines = stage.text.splitlines()
        assert lines[0].startswith("SS:SP 0000:7BF6")
        assert lines[1].startswith("+000  7BF6  7BFA")
        assert "base pointer" in lines[1]
        assert "return from call" in lines[2]
        assert "start.within" in lines[2] or "within" in lines[2]
        assert "after" in lines[4]
        assert lines[5].startswith("+008  7BFE  1111")

    play_panel(StackPanel(), scenario, guest_of(CALLS), at="here")


def test_frames_follow_the_base_pointers(play_panel, guest_of):
    async def scenario(stage):
        await stage.press("v")
        lines = stage.text.splitlines()
        assert [line.split()[0] for line in lines[1:]] == ["#0", "#1", "#2"]
        assert "here" in lines[1]
        assert "within" in lines[2]
        assert "after" in lines[3]
        await stage.press("v")
        assert "SS:SP" in stage.text

    play_panel(StackPanel(), scenario, guest_of(CALLS), at="here")


def test_a_word_that_changed_is_marked(play_panel, guest_of):
    async def scenario(stage):
        assert not any(part.role == "changed" for row in stage.panel.listing.rows for part in row.parts)
        await stage.do(lambda debugger: debugger.step())
        marked = [part.text.strip() for row in stage.panel.listing.rows for part in row.parts if part.role == "changed"]
        assert marked == ["1112"]

    play_panel(StackPanel(), scenario, guest_of("push word 0x1111\nmov bp, sp\nhere: inc word [bp]\nhlt"), at="here")


def test_a_return_address_can_be_followed(play_panel, guest_of):
    async def scenario(stage):
        await stage.click_on("within")
        within = await stage.do(lambda debugger: debugger.symbols.lookup("within").address)
        assert stage.followed == [within]

    play_panel(StackPanel(), scenario, guest_of(CALLS), at="here")


def test_a_far_return_of_an_interrupt_is_recognized(play_panel, guest_of):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.step(3))
        assert "return from int 0x11" in stage.text
        lines = stage.text.splitlines()
        assert lines[2].split()[2:] == ["0000", "CS", "before", "the", "interrupt"]
        assert "flags before the interrupt" in lines[3]

    play_panel(StackPanel(), scenario, guest_of(CALLS), at="here")


def test_wider_stacks_have_wider_words(play_panel):
    async def scenario(stage):
        assert "RSP 0000" in stage.text
        assert "words of 8 bytes" in stage.text
        await stage.press("v")
        assert "#0" in stage.text

    play_panel(StackPanel(), scenario, "syscall64", ms=20)


def test_a_stack_at_the_segments_end_stops_there(play_panel, guest_of):
    async def scenario(stage):
        assert len(stage.text.splitlines()) == 2

    play_panel(StackPanel(), scenario, guest_of("mov sp, 0xFFFE\nhere: hlt"), at="here")
