"""Searching and copying: one mechanism for all panels."""

import pytest
from textual.geometry import Offset
from textual.selection import Selection

from minivm.tui.panels.devices import DevicesPanel
from minivm.tui.panels.memory import MemoryPanel
from minivm.tui.panels.picture import PicturePanel
from minivm.tui.panels.serial import SerialPanel
from minivm.tui.panels.stack import StackPanel
from minivm.tui.panels.tables import TablesPanel
from minivm.tui.panels.trace import SHOWN_EVENTS, TracePanel
from minivm.tui.search import find_in, next_line, pieces, spans

CHATTY = """
        mov cx, 2000
        mov dx, 0x3F8
again:  mov ax, cx
        xor al, ah
        and al, 63
        add al, 32
        out dx, al
        mov al, 10
        out dx, al
        loop again
        mov al, 'Z'
        out dx, al
        cli
        hlt
"""


async def search(stage, text):
    await stage.press("slash")
    assert stage.panel.prompt.has_focus
    await stage.answer(text)
    await stage.settle()


def hits(stage):
    listing = stage.panel.listing
    style = listing.get_component_rich_style("listing--hit")
    return [
        segment.text
        for line in range(listing.size.height)
        for segment in listing.render_line(line)
        if segment.style and segment.style.bgcolor == style.bgcolor
    ]


def test_lines_are_searched_round_the_end_in_both_directions():
    lines = ["one", "Two", "three", "two"]
    assert next_line(lines, "two", 1, 1) == 3
    assert next_line(lines, "two", 3, 1) == 1
    assert next_line(lines, "TWO", 1, -1) == 3
    assert next_line(lines, "two", 1, 1, here=True) == 1
    assert next_line(lines, "one", 0, 1) == 0
    assert next_line(lines, "four", 0, 1) is None
    assert next_line([], "x", 0, 1) is None
    assert list(spans("abcABC", "bc")) == [(1, 3), (4, 6)]


@pytest.mark.parametrize("direction", [1, -1])
def test_a_search_of_memory_looks_at_every_address_once(direction):
    for at in (0, 5, 700_000, 1 << 20):
        seen = [address for piece in pieces(at, 1 << 20, direction) for address in (piece.start, piece.stop - 1)]
        covered = sum(len(piece) for piece in pieces(at, 1 << 20, direction))
        assert min(seen) == 0
        assert covered >= 1 << 20


def test_a_hit_in_a_list_is_gone_to_and_marked(play_panel):
    async def scenario(stage):
        await search(stage, "irr")
        panel = stage.panel
        first = panel.listing.current.text
        assert "irr" in first.lower()
        assert "irr" in [text.lower() for text in hits(stage)]
        await stage.press("n")
        await stage.press("N")
        assert panel.listing.current.text == first
        await search(stage, "no such thing")
        assert "no such thing: not found" in stage.said
        await stage.press("escape")
        assert not stage.said
        assert not hits(stage)

    play_panel(DevicesPanel(), scenario)


def test_closed_branches_are_opened_for_a_search(play_panel):
    async def scenario(stage):
        assert "breakpoint" not in stage.text
        await search(stage, "breakpoint")
        assert "breakpoint" in stage.panel.listing.current.text

    play_panel(TablesPanel(), scenario)


def test_memory_is_searched_for_bytes_and_text_beyond_what_is_seen(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.write(0x8FFFE, b"\xde\xad\xbe\xef"))
        await stage.do(lambda debugger: debugger.write(0x500, b"\xde\xad\xbe\xef"))
        panel = stage.panel
        await search(stage, "de ad be ef")
        assert panel.at == 0x8FFFE
        assert hits(stage)
        await stage.press("n")
        assert panel.at == 0x500
        await stage.press("N")
        assert panel.at == 0x8FFFE
        await stage.do(lambda debugger: debugger.write(0x70000, b"Needle"))
        await search(stage, '"Needle"')
        assert panel.at == 0x70000
        await stage.press("y")
        assert "Needle" in stage.clipboard
        await search(stage, "needle in no haystack")
        assert "needle in no haystack: not found" in stage.said
        assert panel.at == 0x70000

    play_panel(MemoryPanel(), scenario)


def test_the_memory_map_finds_bytes_in_ram(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.write(0x8FFFE, b"\xde\xad\xbe\xef"))
        await stage.do(lambda debugger: debugger.write(0x500, b"\xde\xad\xbe\xef"))
        await search(stage, "de ad be ef")
        assert stage.panel.at == 0x500
        await stage.press("n")
        assert stage.panel.at == 0x8FFFE
        await stage.press("n")
        assert stage.panel.at == 0x500
        await stage.press("N")
        assert stage.panel.at == 0x8FFFE
        await search(stage, "no such text at all")
        assert "not found" in stage.said

    play_panel(PicturePanel(), scenario)


def test_ram_is_searched_round_its_end():
    memory = memoryview(b"..ab....ab..")
    assert find_in(memory, b"ab", 2, 1) == 8
    assert find_in(memory, b"ab", 8, 1) == 2
    assert find_in(memory, b"ab", 8, -1) == 2
    assert find_in(memory, b"ab", 2, -1) == 8
    assert find_in(memory, b"ab", -1, 1) == 2
    assert find_in(memory, b"xy", 0, 1) is None


def test_the_whole_serial_log_is_searched_and_copied(play_panel, guest_of):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.write(0x500, b""))
        log = stage.session.machine.console.ports[0]
        await stage.do(lambda debugger: log.put(b"the first line\n" + b"noise\n" * 5000 + b"the end\n"))
        assert "the first line" not in stage.text
        await search(stage, "the first line")
        assert stage.panel.listing.current.text == "the first line"
        await stage.do(lambda debugger: log.put(b"news\n"))
        assert "news" not in stage.text
        await stage.press("escape")
        await stage.settle()
        assert "news" in stage.text
        await stage.press("Y")
        assert stage.clipboard.startswith("the first line")
        assert stage.clipboard.endswith("news")

    play_panel(SerialPanel(), scenario, guest_of("cli\nhlt"))


def test_all_events_that_are_kept_are_searched(play_panel, guest_of):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.step())
        await stage.do(lambda debugger: debugger.resume(2))
        assert len(stage.text.splitlines()) == SHOWN_EVENTS
        assert "INT 11h" not in stage.text
        await search(stage, "int 11h")
        assert "INT 11h" in stage.panel.listing.current.text
        await stage.press("escape")
        await stage.settle()
        assert len(stage.text.splitlines()) == SHOWN_EVENTS
        await stage.press("Y")
        assert "INT 11h" in stage.clipboard

    source = guest_of("int 0x11\nmov cx, 450\nagain: in al, 0x61\nloop again\ncli\nhlt")
    play_panel(TracePanel(), scenario, source)


def test_the_stack_is_searched_further_up_than_is_seen(play_panel):
    async def scenario(stage):
        pointer = await stage.do(lambda debugger: debugger.evaluate("ss_base + rsp"))
        await stage.do(lambda debugger: debugger.write(pointer + 300, b"\xcd\xab"))
        assert "ABCD" not in stage.text
        await search(stage, "ABCD")
        assert "ABCD" in stage.panel.listing.current.text

    play_panel(StackPanel(), scenario)


def test_the_mouse_selects_text_in_a_listing_and_y_copies_it(play_panel):
    async def scenario(stage):
        listing = stage.panel.listing
        selection = Selection(Offset(0, 0), Offset(8, 1))
        stage.screen.selections = {listing: selection}
        await stage.settle()
        expected = "\n".join([stage.visible.splitlines()[0].rstrip(), stage.visible.splitlines()[1][:8]])
        await stage.press("y")
        assert stage.clipboard == expected

    play_panel(MemoryPanel(), scenario)


def test_a_drag_with_the_mouse_selects_and_follows_nothing(play_panel):
    async def scenario(stage):
        listing = stage.panel.listing
        await stage.pilot.mouse_down(listing, offset=(2, 2))
        await stage.pilot.hover(listing, offset=(12, 2))
        await stage.pilot.mouse_up(listing, offset=(12, 2))
        await stage.settle()
        assert stage.screen.get_selected_text() == stage.visible.splitlines()[2][2:13]
        assert not stage.followed

    play_panel(StackPanel(), scenario)
