import pytest

from minivm.errors import MiniVMError
from minivm.tui.panels.serial import SerialPanel, encode_line, readable

ECHO = """
        mov dx, 0x3FD
again:  in al, dx
        test al, 1
        jz again
        mov dx, 0x3F8
        in al, dx
        inc al
        out dx, al
        mov dx, 0x3FD
        jmp again
"""


def test_the_log_is_shown(play_panel):
    async def scenario(stage):
        assert "Polled: one byte whenever LSR says there is room." in stage.text
        assert "COM1" in str(stage.panel.border_subtitle)

    play_panel(SerialPanel(), scenario, "serial", ms=1000)


def test_a_line_typed_reaches_the_guest_and_its_answer_comes_back(play_panel, guest_of):
    async def scenario(stage):
        assert "Nothing has come over COM1 yet." in stage.text
        await stage.press("i")
        await stage.answer("HAL")
        await stage.do(lambda debugger: debugger.resume(100))
        assert stage.text.startswith("IBM")
        assert stage.panel.prompt.has_focus
        await stage.press("escape")
        assert stage.panel.listing.has_focus

    play_panel(SerialPanel(), scenario, guest_of(ECHO))


def test_the_other_port_has_a_log_of_its_own(play_panel):
    async def scenario(stage):
        await stage.press("p")
        assert "Nothing has come over COM2 yet." in stage.text
        await stage.press("p")
        assert "Polled" in stage.text

    play_panel(SerialPanel(), scenario, "serial", ms=1000)


def test_the_end_stays_in_view_until_the_cursor_leaves_it(play_panel):
    def send(debugger):
        debugger.machine.console.ports[0].put(b"".join(b"line %d\n" % number for number in range(100)))

    async def scenario(stage):
        await stage.do(send)
        assert "line 99" in stage.visible
        await stage.press("home")
        await stage.do(send)
        assert "line 0" in stage.visible
        assert "line 99" not in stage.visible
        await stage.press("end")
        assert "line 99" in stage.visible

    play_panel(SerialPanel(), scenario, size=(40, 12))


def test_a_flood_of_lines_is_cut_to_the_last_ones(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.machine.console.ports[0].put(b"y\n" * 100_000))
        assert len(stage.panel.listing.rows) == 500
        assert "200,000 bytes" in str(stage.panel.border_subtitle)

    play_panel(SerialPanel(), scenario)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one\r\ntwo\r\n", "one\ntwo"),
        (b"\x1b[31mred\x1b[0m\x07", "red"),
        (b"abc\b \b\b \bX", "aX"),
        (b"\b\b", ""),
        (b"\xdb\x00", "█"),
    ],
)
def test_what_is_no_text_is_left_out(data, text):
    assert readable(data) == text


def test_lines_end_in_a_carriage_return_and_know_escapes():
    assert encode_line("é\\e[A") == b"\x82\x1b[A\r"
    assert encode_line("") == b"\r"
    with pytest.raises(MiniVMError):
        encode_line("漢")
