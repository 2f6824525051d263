import pytest

from minivm.debug.inspect_fpu import control_words, doubles_words, extended_words, floats_words, mxcsr_words
from minivm.tui.panels.registers import RegistersPanel

FLOATS = """
        fninit
        fld1
        fldpi
here:   fchs
        hlt
"""
SSE = """
        mov eax, cr4
        or eax, 0x600
        mov cr4, eax
        xor ax, ax
        mov ds, ax
        movups xmm1, [numbers]
here:   hlt
numbers: dd 1.5, -2.0, 0.25, 8.0
"""


def shown(stage):
    return stage.panel.render().plain


async def edit(stage, text):
    await stage.press("enter")
    assert stage.panel.field.has_focus
    stage.panel.field.value = text
    await stage.press("enter")


def test_a_register_is_edited_in_its_place_with_an_expression(play_panel):
    async def scenario(stage):
        await edit(stage, "1200h + 34h")
        assert "AX 1234" in shown(stage)
        assert stage.panel.has_focus
        await stage.press("down")
        await edit(stage, "ax * 2")
        assert "BX 2468" in shown(stage)

    play_panel(RegistersPanel(), scenario)


def test_what_is_offered_is_the_value_and_enter_alone_changes_nothing(play_panel):
    async def scenario(stage):
        await stage.do(lambda debugger: debugger.set_register("ax", 0xF00D))
        await stage.press("enter")
        assert stage.panel.field.value == "0F00Dh"
        await stage.press("enter")
        assert "AX F00D" in shown(stage)
        await stage.press("enter")
        stage.panel.field.value = "1"
        await stage.press("escape")
        assert "AX F00D" in shown(stage)
        assert stage.panel.has_focus

    play_panel(RegistersPanel(), scenario)


def test_a_bad_value_is_told_in_the_panel_and_can_be_corrected(play_panel):
    async def scenario(stage):
        await edit(stage, "no such")
        assert "no" in stage.said
        assert stage.panel.field.has_focus
        stage.panel.field.value = "7"
        await stage.press("enter")
        assert not stage.said
        assert "AX 0007" in shown(stage)

    play_panel(RegistersPanel(), scenario)


def test_a_flag_takes_nought_or_one(play_panel):
    async def scenario(stage):
        panel = stage.panel
        panel.chosen = next(number for number, item in enumerate(panel._items) if item.register == "cf")
        await stage.press("enter")
        assert panel.field.value in "01"
        panel.field.value = "1"
        await stage.press("enter")
        assert "CF" in shown(stage)
        await edit(stage, "2")
        assert "cf is a flag" in stage.said.lower()

    play_panel(RegistersPanel(), scenario)


def test_a_double_click_edits(play_panel):
    async def scenario(stage):
        await stage.pilot.click(stage.panel, offset=(6, 1), times=2)
        await stage.settle()
        assert stage.panel.field.has_focus

    play_panel(RegistersPanel(), scenario)


def test_the_fpu_page_names_bits_tags_and_numbers(play_panel, guest_of):
    async def scenario(stage):
        await stage.press("f")
        text = shown(stage)
        assert "FCW   037F  IM DM ZM OM UM PM, extended, to nearest" in text
        assert "FSW   3000  TOP=6" in text
        assert "ST0   4000C90FDAA22168C235  3.1415926535897931 (valid)" in text
        assert "ST1   3FFF8000000000000000  1 (valid)" in text
        assert "MXCSR 00001F80  IM DM ZM OM UM PM, to nearest" in text
        await stage.step()
        assert "-3.14159" in shown(stage)
        await stage.press("enter")
        assert "can be edited" in stage.said
        await stage.press("f")
        assert "AX" in shown(stage)

    play_panel(RegistersPanel(), scenario, guest_of(FLOATS), at="here")


def test_xmm_registers_are_floats_and_doubles(play_panel, guest_of):
    async def scenario(stage):
        await stage.press("f")
        assert "f 1.5 -2 0.25 8" in shown(stage)
        assert "XMM7" in shown(stage)
        assert "XMM8" not in shown(stage)

    play_panel(RegistersPanel(), scenario, guest_of(SSE), at="here")


def test_sixteen_xmm_registers_in_long_mode_and_the_page_scrolls(play_panel):
    async def scenario(stage):
        await stage.press("f")
        assert "XMM15" not in "\n".join(shown(stage).splitlines()[: stage.panel.size.height])
        await stage.press(*["down"] * 30)
        assert "XMM15" in "\n".join(shown(stage).splitlines()[: stage.panel.size.height])

    play_panel(RegistersPanel(), scenario, "longmode", ms=100, size=(60, 12))


def test_a_search_chooses_the_register(play_panel):
    async def scenario(stage):
        await stage.press("slash")
        await stage.answer("cr3")
        assert stage.panel._items[stage.panel.chosen].register == "cr3"
        await stage.press("escape", "home", "y")
        assert stage.clipboard.startswith("CR3 ")

    play_panel(RegistersPanel(), scenario)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("00000000000000000000", "0"),
        ("0000000000000080ff3f", "1"),
        ("0000000000000080ff7f", "infinity"),
        ("00000000000000c0ffff", "-not a number"),
        ("0000000000000080fe7f", "about 10^4931"),
    ],
)
def test_numbers_in_extended_precision(data, words):
    assert extended_words(bytes.fromhex(data)) == words


def test_words_for_control_registers():
    assert control_words(0x0F7F) == "IM DM ZM OM UM PM, extended, to zero"
    assert control_words(0) == "nothing masked, single, to nearest"
    assert mxcsr_words(0x8040) == "DAZ FZ, to nearest"
    assert floats_words(bytes(16)) == "0 0 0 0"
    assert doubles_words(bytes.fromhex("000000000000f03f") * 2) == "1 1"
