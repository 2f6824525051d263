import pytest
from textual import events

from minivm.tui.panels.memory import MemoryPanel, byte_under, typed_bytes


def test_bytes_are_shown_in_hexadecimal_and_code_page_437(play_panel, guest_of):
    async def scenario(stage):
        assert stage.line("00007C00").startswith("00007C00  EB 05 48 65 6C 6C 6F B0")
        assert "Hello░" in stage.line("00007C00")

    play_panel(MemoryPanel(), scenario, guest_of('jmp short go\ndb "Hello"\ngo: mov al, 1\nhlt'))


def test_goto_takes_an_expression_and_says_what_is_wrong_with_one(play_panel):
    async def scenario(stage):
        await stage.press("g")
        await stage.answer("B800:0010")
        assert stage.panel.at == 0xB8010
        await stage.press("g")
        await stage.answer("nowhere")
        assert "nowhere" in stage.said
        assert stage.panel.at == 0xB8010

    play_panel(MemoryPanel(), scenario)


def test_the_panel_follows_the_stack(play_panel, guest_of):
    async def scenario(stage):
        await stage.press("f")
        assert stage.panel.following == "ss:sp"
        assert stage.panel.at == 0x1234
        await stage.do(lambda debugger: debugger.step())
        assert stage.panel.at == 0x1232

    source = guest_of("xor ax, ax\nmov ss, ax\nmov sp, 0x1234\nhere: push ax\nhlt")
    play_panel(MemoryPanel(), scenario, source, at="here")


def test_a_byte_that_the_guest_changed_is_marked(play_panel, guest_of):
    async def scenario(stage):
        await stage.press("g")
        await stage.answer("0x500")
        await stage.do(lambda debugger: debugger.step())
        changed = [part for row in stage.panel.listing.rows for part in row.parts if part.role == "changed"]
        assert [part.text for part in changed] == ["A5", "Ñ"]

    source = guest_of("xor ax, ax\nmov ds, ax\nhere: mov byte [0x502], 0xA5\nhlt")
    play_panel(MemoryPanel(), scenario, source, at="here")


def test_bytes_can_be_changed(play_panel):
    async def scenario(stage):
        await stage.press("g")
        await stage.answer("0x600")
        await stage.press("e")
        await stage.answer("90 0xCC")
        await stage.press("right", "right", "e")
        await stage.answer("'Hi'")
        assert await stage.do(lambda debugger: debugger.read(0x600, 4)) == b"\x90\xccHi"
        assert "90 CC 48 69" in stage.line("00000600")
        await stage.press("e")
        await stage.answer("xyz")
        assert "xyz" in stage.said

    play_panel(MemoryPanel(), scenario)


def test_keys_move_by_bytes_rows_and_pages(play_panel):
    async def scenario(stage):
        panel = stage.panel
        await stage.press("right", "down")
        assert panel.at == 0x7C00 + 1 + panel.per_row
        await stage.press("up", "left", "pagedown")
        assert panel.at == panel.start == 0x7C00 + panel.room
        await stage.press("pageup")
        assert panel.at == 0x7C00
        await stage.press("end")
        assert panel.at == 0x7C00 + panel.per_row - 1
        await stage.press("home")
        assert panel.at == 0x7C00

    play_panel(MemoryPanel(), scenario)


def test_a_click_puts_the_cursor_on_a_byte_in_either_half(play_panel):
    async def scenario(stage):
        await stage.click(10 + 3 * 5, 1)
        assert stage.panel.at == 0x7C15
        await stage.click(10 + 3 * 16 + 1 + 7, 2)
        assert stage.panel.at == 0x7C27

    play_panel(MemoryPanel(), scenario)


def test_the_wheel_moves_the_window_and_not_the_cursor(play_panel):
    async def scenario(stage):
        await stage.wheel(events.MouseScrollDown, 12, 3)
        assert stage.panel.start == 0x7C00 + 3 * stage.panel.per_row
        assert stage.panel.at == 0x7C00
        await stage.wheel(events.MouseScrollUp, 12, 3)
        assert stage.panel.start == 0x7C00

    play_panel(MemoryPanel(), scenario)


def test_enter_follows_the_far_pointer_at_the_cursor(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.write(0x600, b"\x34\x12\x00\xb8"))
        await stage.press("g")
        await stage.answer("0x600")
        await stage.press("enter")
        assert stage.followed == [0xB9234]

    play_panel(MemoryPanel(), scenario)


def test_what_is_no_memory_is_question_marks(play_panel):
    async def scenario(stage):
        await stage.press("g")
        await stage.answer("0xF0000000")
        assert "?? ??" in stage.line("F0000000")
        await stage.press("e")
        await stage.answer("90")
        assert "F0000000h is not in" in stage.said

    play_panel(MemoryPanel(), scenario)


def test_the_last_address_is_the_end(play_panel):
    async def scenario(stage):
        await stage.press("g")
        await stage.answer("0xFFFFFFFFFFFFFFFF")
        await stage.press("pagedown", "down", "right")
        assert stage.panel.at == 0xFFFFFFFFFFFFFFFF
        assert "??" in stage.text

    play_panel(MemoryPanel(), scenario, "longmode", ms=100)


@pytest.mark.parametrize(
    ("text", "data"), [("90 0xCC 1h", b"\x90\xcc\x01"), ("0102", b"\1\2"), ("'a b'", b"a b"), ('"é"', b"\x82")]
)
def test_typed_bytes_are_hexadecimal_or_quoted(text, data):
    assert typed_bytes(text) == data


def test_the_byte_under_a_column():
    assert [byte_under(column, 10 + 4 * 16 + 1, 16) for column in (10, 11, 13, 59, 74, 5)] == [0, 0, 1, 0, 15, None]


def test_goto_takes_a_label_of_the_program(play_panel, guest_of):
    async def scenario(stage):
        await stage.press("g")
        await stage.answer("table + 1")
        assert stage.panel.at == 0x7C03
        await stage.press("g")
        await stage.answer("no_such_label")
        assert "no_such_label" in stage.said

    play_panel(MemoryPanel(), scenario, guest_of("jmp short $\ntable: db 1, 2"))
